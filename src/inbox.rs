//! What DTP posts: answered only when it is on disk.
//!
//! The key is checked before the body is read; every refusal is a problem document with a stable type that echoes nothing.
//! It does not know what becomes of an intervention once it is stored.

mod door;
mod places;
mod problem;
mod strangers;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

pub use self::{
    door::{Tls, serve},
    places::Places,
};
use self::{
    problem::Problem,
    strangers::{Source, Strangers},
};
use crate::{
    activity::{Activity, Event},
    credentials::KeyRefusal,
    dtp::{self, Envelope, Flaw, Items, NotTaken, UnusablePost},
    personal::Personal,
    programme::{InForce, Programme},
    reason::Reason,
    referral::Flow,
    spool::{
        self,
        accept::{ArrivedDecision, ArrivedIntervention},
        list::Kind,
    },
};

/// How many bodies of the largest size may be in memory at a time; of smaller ones as many more.
const MOST_BODIES: usize = 32;
/// In how many parts a place for a body may be shared.
const PARTS: usize = 1024;
/// Of how many items that cannot be used the log tells where in the post they stand.
const MOST_PLACES: usize = 20;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    in_force: InForce,
    places: Arc<Places>,
    strangers: Strangers,
    bodies: Semaphore,
}

impl Inbox {
    /// The inbox of whichever programme is in force, and who stands in its door.
    #[must_use]
    pub fn new(in_force: InForce, places: Arc<Places>) -> Self {
        let bodies = Semaphore::new(MOST_BODIES * PARTS);
        Self { in_force, places, strangers: Strangers::default(), bodies }
    }

    /// `POST <inbox.path>` alone; everything else is 404.
    pub fn router(self) -> Router {
        Router::new().fallback(any).with_state(Arc::new(self))
    }
}

async fn any(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let answer = match receive(&inbox, request).await {
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    };
    inbox.in_force.now().meters().answered(answer.status().as_u16());
    answer
}

/// Takes one post. A post that is refused although its key is right, or has expired, is told to the operator:
/// nobody knows whether DTP reads our answer. Whoever has an expired key is answered no more often than any stranger.
async fn receive(inbox: &Inbox, request: Request) -> Result<Response, Problem> {
    // A post is judged by one programme from its head to its answer.
    let programme = inbox.in_force.now();
    let now = programme.clock.now();
    let presented = presented_key(request.headers());
    let checked = presented.as_deref().map(|key| programme.inbox_keys.check(key.as_bytes(), now));
    let was_issued = matches!(checked, Some(Ok(_) | Err(KeyRefusal::Expired(_))));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    if let Some(Ok(_)) = checked {
        if let Some(peer) = peer {
            inbox.places.know(peer);
        }
    } else {
        let settings = &programme.settings.inbox;
        let source = peer.map_or(Source::UNKNOWN, |peer| Source::of_request(settings, peer, request.headers()));
        if !inbox.strangers.may_ask(source, programme.clock.monotonic()) {
            return Err(Problem::TooManyStrangers);
        }
    }
    let answer = match (misplaced(&programme, &request), checked) {
        (Some(problem), _) => Err(problem),
        (None, Some(Ok(_))) => take(inbox, &programme, request).await,
        (None, Some(Err(KeyRefusal::Expired(_) | KeyRefusal::Unknown)) | None) => Err(Problem::Key),
    };
    if let Err(problem) = &answer
        && was_issued
    {
        told_of_refusal(&programme, problem).await;
    }
    answer
}

/// Whether a request is for something else than the inbox.
fn misplaced(programme: &Programme, request: &Request) -> Option<Problem> {
    if request.uri().path() != programme.settings.inbox.path {
        Some(Problem::NoSuchPage)
    } else if request.method() != Method::POST {
        Some(Problem::OnlyPost)
    } else {
        None
    }
}

async fn take(inbox: &Inbox, programme: &Programme, request: Request) -> Result<Response, Problem> {
    let now = programme.clock.now();
    if !programme.settings.agreement.is_valid(now) {
        return Err(Problem::NotNow("the data sharing agreement of this programme is not valid now"));
    }
    if !is_json(request.headers()) {
        return Err(Problem::NotJsonByType);
    }
    let waiting = programme.spool.shared().agenda().len() as u64;
    if waiting >= programme.settings.inbox.max_waiting {
        return Err(Problem::TooManyWaiting);
    }
    // The body counts as one in memory until it is stored.
    let (body, _weight) = body(inbox, programme, request).await?;
    let post = Uuid::now_v7();
    let mapping = &programme.mapping;
    let Envelope { items, not_taken } =
        Envelope::parse(&body, mapping.intervention_keys(), mapping.decision_keys()).map_err(|unusable| match unusable {
            UnusablePost::NotJson => Problem::NotJson,
            UnusablePost::Unprocessable(flaws) => Problem::Unusable(flaws),
        })?;
    drop(body);
    let flow = match &items {
        Items::Interventions(_) => Flow::ToPrimero,
        Items::Decisions(_) => Flow::ToDtp,
    };
    if !programme.runs(flow) {
        return Err(Problem::NotNow("this flow is switched off"));
    }
    let taken = items.len();
    let unusable = not_taken.len() as u64;
    let places: Vec<String> = not_taken.iter().take(MOST_PLACES).map(|item| item.pointer.clone()).collect();
    let arrived = arrived(programme, items);
    let stored = programme
        .spool
        .write(move |tx| {
            match arrived {
                Arrived::Interventions(interventions) => tx.accept_interventions(post, interventions)?,
                Arrived::Decisions(decisions) => tx.accept_decisions(post, decisions)?,
            }
            if unusable > 0 {
                tx.list_count(Kind::NotTaken, Some(Reason::NotTaken), None, unusable)?;
                let line = Activity {
                    flow: Some(flow),
                    post: Some(post),
                    reason: Some(Reason::NotTaken),
                    ..Activity::new(Event::NotTaken)
                };
                tx.tell(Activity { count: Some(unusable), fields: places, ..line })?;
            }
            Ok(())
        })
        .await;
    programme.note_storing(stored.is_ok());
    match stored {
        Ok(()) => Ok(accepted(post, taken, &not_taken)),
        Err(spool::Error::Full) => {
            tracing::error!(
                "a post was answered 503: the state has reached its largest size (hint: `referrald deliveries list` shows what piles \
                 up; `state.max_size` may be raised)"
            );
            Err(Problem::NotNow("the state has reached its largest size"))
        }
        Err(error) => {
            tracing::error!(%error, "a post could not be stored (hint: is the disk full? /readyz answers 503 until it works)");
            Err(Problem::NotNow("the post could not be stored"))
        }
    }
}

enum Arrived {
    Interventions(Vec<ArrivedIntervention>),
    Decisions(Vec<ArrivedDecision>),
}

fn arrived(programme: &Programme, items: Items) -> Arrived {
    match items {
        Items::Interventions(interventions) => Arrived::Interventions(
            interventions
                .into_iter()
                .map(|mut intervention| {
                    programme.mapping.narrow(&mut intervention.rows);
                    ArrivedIntervention {
                        given_case: programme.mapping.named_case(&intervention.rows),
                        person: programme.mapping.person_number(&intervention.rows),
                        content: Personal::new(dtp::content(&intervention.rows)),
                        parcel: Personal::new(bytes(&intervention.rows)),
                        number: intervention.number,
                    }
                })
                .collect(),
        ),
        Items::Decisions(decisions) => Arrived::Decisions(
            decisions
                .into_iter()
                .map(|decision| ArrivedDecision {
                    content: Personal::new(dtp::content(std::slice::from_ref(&decision.item))),
                    parcel: Personal::new(bytes(&decision.item)),
                    outgoing: decision.outgoing,
                })
                .collect(),
        ),
    }
}

fn bytes(document: &impl serde::Serialize) -> Vec<u8> {
    // What was JSON a moment ago is JSON again.
    serde_json::to_vec(document).expect("JSON values always serialise")
}

/// The largest body that is read, in bytes.
fn largest(programme: &Programme) -> usize {
    usize::try_from(programme.settings.inbox.max_body).unwrap_or(usize::MAX)
}

/// How many parts of a place a body of so many bytes takes.
fn weight(bytes: usize, largest: usize) -> u32 {
    let parts = bytes.saturating_mul(PARTS).div_ceil(largest.max(1)).clamp(1, PARTS);
    u32::try_from(parts).unwrap_or(u32::MAX)
}

async fn body<'a>(inbox: &'a Inbox, programme: &Programme, request: Request) -> Result<(Bytes, SemaphorePermit<'a>), Problem> {
    let limit = largest(programme);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(Problem::TooLarge);
    }
    let reading = async {
        // One that does not say how long it is may be of the largest size.
        let weight = weight(announced.unwrap_or(limit), limit);
        let weight = inbox.bodies.acquire_many(weight).await.expect("the semaphore is never closed");
        axum::body::to_bytes(request.into_body(), limit).await.map(|body| (body, weight))
    };
    let clock = &programme.clock;
    let over = clock.sleep_until(clock.monotonic() + BODY_TIME);
    tokio::select! {
        read = reading => read.map_err(|error| if too_large(&error) { Problem::TooLarge } else { Problem::NotJson }),
        () = over => Err(Problem::TooSlow),
    }
}

fn too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn accepted(post: Uuid, taken: usize, not_taken: &[NotTaken]) -> Response {
    let answer = json!({ "post": post.to_string(), "taken": taken, "not_taken": flaws(not_taken) });
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], Body::from(answer.to_string())).into_response()
}

fn flaws(not_taken: &[NotTaken]) -> Vec<serde_json::Value> {
    let flaw = |NotTaken { pointer, reason }: &NotTaken| json!({ "pointer": pointer, "reason": Flaw::code(*reason) });
    not_taken.iter().map(flaw).collect()
}

/// The key as DTP may present it: `x-api-key`, `Authorization: Bearer`, or Basic with the key as password.
fn presented_key(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok().map(str::to_owned);
    }
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = authorization.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        Some(credentials.to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
        decoded.split_once(':').map(|(_, password)| password.to_owned())
    } else {
        None
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

async fn told_of_refusal(programme: &Programme, problem: &Problem) {
    let status = problem.status().as_u16();
    let told = programme.spool.write(move |tx| {
        tx.list_count(Kind::InboxRefused, Some(Reason::InboxRefused), Some(status), 1)?;
        tx.tell(Activity { status: Some(status), ..Activity::new(Event::InboxRefused) })
    });
    if let Err(error) = told.await {
        tracing::error!(%error, status, "a refused post could not be put on the operator's list");
    }
}
