//! Why a page is not shown: a page as well, in the same clothes. It echoes nothing of what was asked.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::{frame, html as page};

/// Why a page is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No such page, no such number.
    NothingHere,
    /// A field of the address cannot be understood: its name, and what it must be.
    Field(&'static str, &'static str),
    /// A field that this page does not have, or one twice.
    UnknownField,
    /// The state cannot be read.
    State,
    /// Whoever asks must ask in another way.
    Barred(Barred),
}

/// Why a request does not even come to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// Something else than GET or HEAD.
    Method,
    /// It brings a body.
    Body,
    /// It asks too much at once.
    TooLong,
    /// It means another host, or none.
    Host,
    /// Another site's page has sent it.
    OtherSite,
}

impl Barred {
    /// The answer to a browser.
    #[must_use]
    pub fn page(self) -> Response {
        Refusal::Barred(self).into_response()
    }

    /// The answer to a machine.
    #[must_use]
    pub fn line(self) -> Response {
        let (status, title, _) = Refusal::Barred(self).words();
        self.with_allow((status, format!("{title}\n")).into_response())
    }

    fn with_allow(self, mut response: Response) -> Response {
        if self == Self::Method {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

impl Refusal {
    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NothingHere => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "No page has this address, or no delivery and no entry has this number. What is settled is dropped after some months.",
            ),
            Self::Field(..) => (StatusCode::BAD_REQUEST, "A filter cannot be understood", ""),
            Self::UnknownField => (
                StatusCode::BAD_REQUEST,
                "A filter is not known here",
                "The address holds a filter that this page does not have, or one of them twice.",
            ),
            Self::State => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The state cannot be read",
                "What the daemon writes on standard error says why. Is the disk of the state directory well?",
            ),
            Self::Barred(Barred::Method) => {
                (StatusCode::METHOD_NOT_ALLOWED, "This page only shows", "What is to be done is done on the command line.")
            }
            Self::Barred(Barred::Body) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "This page takes nothing", "A request for a page has no body.")
            }
            Self::Barred(Barred::TooLong) => (StatusCode::URI_TOO_LONG, "The address is too long", "No filter needs so much."),
            Self::Barred(Barred::Host) => (
                StatusCode::MISDIRECTED_REQUEST,
                "This page has another address",
                "Ask by localhost or by the address of admin.listen. Another name may be a trap of another site.",
            ),
            Self::Barred(Barred::OtherSite) => (
                StatusCode::FORBIDDEN,
                "Another site has sent you here",
                "Other sites get no answer from this page. If you followed a link yourself, go on from here:",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, said) = self.words();
        let content = html! {
            h1 { (title) }
            @if let Self::Field(name, must_be) = self { p { strong { (name) } ": " (must_be) "." } } @else { p { (said) } }
            ul.ways {
                li { a href="/" { "How it stands now" } }
                li { a href="/deliveries" { "Deliveries" } }
                li { a href="/list" { "Operator's list" } }
            }
        };
        let response = (status, page(frame::bare(title, &content))).into_response();
        if let Self::Barred(barred) = self { barred.with_allow(response) } else { response }
    }
}
