//! The page: what an operator sees in a browser. It shows, the command line acts.
//!
//! HTML from here, one stylesheet and one icon from here, no script at all and nothing from anybody else.
//! It reads the state and, for the number of a case as people know it, Primero; it changes nothing and keeps nothing.
//! Who may ask, and from where, is judged before it is asked.

mod deliveries;
mod frame;
mod list;
mod now;
mod number;
mod picture;
mod query;
mod refusal;
mod register;
mod story;
pub mod suppress;

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use maud::Markup;
use tokio::sync::Semaphore;

use self::{frame::Frame, refusal::Refusal};
pub use self::{query::LONGEST_ADDRESS, refusal::Barred};
use crate::{
    programme::{InForce, Programme},
    spool::{Error, Reading},
    walks::Walks,
};

/// The only stylesheet.
const STYLE: &str = include_str!("page/style.css");
/// The only picture that is not drawn into a page.
const ICON: &str = include_str!("page/icon.svg");

/// What every page is made from.
#[derive(Clone, Debug)]
pub struct Source {
    programme: Arc<Programme>,
    walks: Arc<Walks>,
    /// One case number is read at a time, so that no reader of pages takes Primero's time from the errands.
    asking: Arc<Semaphore>,
}

/// Where sources come from: each page is made of the programme that is in force when it is asked for.
#[derive(Clone, Debug)]
struct Pages {
    in_force: InForce,
    walks: Arc<Walks>,
    asking: Arc<Semaphore>,
}

impl FromRef<Pages> for Source {
    fn from_ref(pages: &Pages) -> Self {
        Self { programme: pages.in_force.now(), walks: Arc::clone(&pages.walks), asking: Arc::clone(&pages.asking) }
    }
}

/// The pages of whichever programme is in force.
pub fn router(in_force: InForce, walks: Arc<Walks>) -> Router {
    Router::new()
        .route("/", get(now::page))
        .route("/deliveries", get(deliveries::page))
        .route("/deliveries/{id}", get(story::page))
        .route("/list", get(list::page))
        .route("/register", get(register::page))
        .route("/register.csv", get(register::csv))
        .route("/style.css", get(|| async { text("text/css; charset=utf-8", STYLE) }))
        .route("/icon.svg", get(|| async { text("image/svg+xml", ICON) }))
        .fallback(|| async { Refusal::NothingHere })
        .with_state(Pages { in_force, walks, asking: Arc::new(Semaphore::new(1)) })
}

/// What stands in the head of every answer of the admin listener.
pub const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

impl Source {
    fn now(&self) -> DateTime<Utc> {
        self.programme.clock.now()
    }

    /// Reads the state where nobody waits for the reader.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reading<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let spool = self.programme.spool.clone();
        let read = tokio::task::spawn_blocking(move || spool.read(work)).await;
        match read {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => {
                tracing::error!(%error, "a page could not be read from the state");
                Err(Refusal::State)
            }
            // The panic has been reported already.
            Err(_) => Err(Refusal::State),
        }
    }

    /// A page of this programme.
    async fn show(&self, title: &str, here: Option<&'static str>, content: Markup) -> Result<Response, Refusal> {
        let (entries, _) = self.read(|reading| reading.list_size()).await?;
        let settings = &self.programme.settings;
        let frame = Frame {
            title,
            here,
            programme: &settings.programme,
            environment: settings.environment,
            zone: settings.schedule.time_zone,
            time: self.now(),
            entries,
        };
        Ok(html(frame.around(&content)))
    }
}

fn html(page: Markup) -> Response {
    text("text/html; charset=utf-8", page.into_string())
}

fn text(content_type: &'static str, text: impl IntoResponse) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
