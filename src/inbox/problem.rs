//! Why a post was refused: a problem document (RFC 9457) with a stable type. It echoes nothing of the post.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::dtp::NotTaken;

/// Seconds after which a post that could not be taken may come again.
const RETRY_AFTER: &str = "300";

/// Why a post was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 400
    NotJson,
    /// 401: no key, a wrong one, an expired one: one answer for all.
    Key,
    /// 404
    NoSuchPage,
    /// 405
    OnlyPost,
    /// 408
    TooSlow,
    /// 413
    TooLarge,
    /// 415
    NotJsonByType,
    /// 422: the envelope is wrong, or no item is usable.
    Unusable(Vec<NotTaken>),
    /// 429
    TooManyWaiting,
    /// 429: of those without a right key.
    TooManyStrangers,
    /// 503, and why.
    NotNow(&'static str),
}

impl Problem {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotJson => StatusCode::BAD_REQUEST,
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::OnlyPost => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJsonByType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyWaiting | Self::TooManyStrangers => StatusCode::TOO_MANY_REQUESTS,
            Self::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable type, a URN that names the problem and leads nowhere.
    const fn kind(&self) -> &'static str {
        match self {
            Self::NotJson => "urn:referrald:problem:not-json",
            Self::Key => "urn:referrald:problem:key",
            Self::NoSuchPage => "urn:referrald:problem:no-such-page",
            Self::OnlyPost => "urn:referrald:problem:only-post",
            Self::TooSlow => "urn:referrald:problem:too-slow",
            Self::TooLarge => "urn:referrald:problem:too-large",
            Self::NotJsonByType => "urn:referrald:problem:content-type",
            Self::Unusable(_) => "urn:referrald:problem:unusable",
            Self::TooManyWaiting => "urn:referrald:problem:too-many-waiting",
            Self::TooManyStrangers => "urn:referrald:problem:too-many-requests",
            Self::NotNow(_) => "urn:referrald:problem:not-now",
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::NotJson => "the body is not JSON in UTF-8, has a key twice, or is nested deeper than 32",
            Self::Key => "no key, or one that is not valid here",
            Self::NoSuchPage => "there is nothing here",
            Self::OnlyPost => "only POST is taken here",
            Self::TooSlow => "the body did not arrive in time",
            Self::TooLarge => "the body is too large",
            Self::NotJsonByType => "the content type must be application/json",
            Self::Unusable(_) => "the envelope is wrong, or no item is usable; nothing was stored",
            Self::TooManyWaiting => "too much is waiting; send again later",
            Self::TooManyStrangers => "too many requests without a valid key; ask again later",
            Self::NotNow(why) => why,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut document = json!({ "type": self.kind(), "title": self.title(), "status": status.as_u16() });
        if let Self::Unusable(flaws) = &self {
            document["errors"] = super::flaws(flaws).into();
        }
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Key => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::OnlyPost => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::TooManyWaiting | Self::NotNow(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            Self::TooManyStrangers => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::TooLarge | Self::TooSlow => {
                // The rest of the body is not read.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::NotJson | Self::NoSuchPage | Self::NotJsonByType | Self::Unusable(_) => {}
        }
        response
    }
}
