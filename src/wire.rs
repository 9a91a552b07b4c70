//! What both clients share about HTTP: how a connection is made, how much of an answer is read, what a fault means.
//!
//! It knows neither Primero's nor DTP's words, and nothing of what is sent.
//! Errors of the HTTP library quote URLs; they end here.

#[cfg(test)]
pub mod fake;

use std::{error::Error, io, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Response, Url,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use rustls::{AlertDescription, ClientConfig, RootCertStore, crypto::ring};

use crate::reason::Reason;

/// The longest that we let another system make us wait.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A client that cannot be made of these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub(crate) &'static str);

/// A request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are unwell.
    Unwell {
        /// `Unreachable`, `TimedOut` or `ConnectionLost`.
        reason: Reason,
        /// Whether they may have got the request.
        sent: bool,
    },
    /// TLS failed for good: `CertificateRefused` or `CertificateExpired`.
    Tls(Reason),
}

/// An answer whose body did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// No more came in time.
    TimedOut,
    /// The connection ended early, or the body is larger than we read.
    NotAsPromised,
}

impl Cut {
    /// The reason for "they are unwell".
    pub const fn reason(self) -> Reason {
        match self {
            Self::TimedOut => Reason::TimedOut,
            Self::NotAsPromised => Reason::NotAsPromised,
        }
    }
}

/// A client that keeps connections alive and does nothing by itself: no cookies, no redirects, no retries, no proxy from the environment.
pub fn client(timeout: Duration, tls: ClientConfig) -> Result<reqwest::Client, Unusable> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .timeout(timeout)
        // Connecting ends well before the whole does: a request that could not be sent is told from one without an answer.
        .connect_timeout((timeout / 2).min(Duration::from_secs(10)))
        // Shorter than servers and proxies usually keep a silent connection, so that we seldom write into one they are closing.
        .pool_idle_timeout(Duration::from_secs(15))
        .user_agent(concat!("referrald/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| Unusable("the HTTP client cannot be made of these TLS settings"))
}

/// The TLS that a URL asks for. Plain HTTP is for this machine alone.
pub fn tls_for(url: &Url, tls: Option<ClientConfig>) -> Result<ClientConfig, Unusable> {
    match (url.scheme(), tls) {
        ("https", Some(tls)) => Ok(tls),
        ("https", None) => Err(Unusable("an https URL needs TLS settings")),
        ("http", _) if !is_loopback(url) => Err(Unusable("plain http is allowed for this machine alone (hint: use https)")),
        ("http", Some(tls)) => Ok(tls),
        ("http", None) => trusting_nobody(),
        _ => Err(Unusable("the URL must begin with https")),
    }
}

/// What it means that a request got no answer.
pub fn fault_of(error: &reqwest::Error) -> Fault {
    if let Some(reason) = causes(error).find_map(tls_error).and_then(failed_for_good) {
        Fault::Tls(reason)
    } else if error.is_connect() {
        Fault::Unwell { reason: Reason::Unreachable, sent: false }
    } else if error.is_timeout() {
        Fault::Unwell { reason: Reason::TimedOut, sent: true }
    } else {
        Fault::Unwell { reason: Reason::ConnectionLost, sent: true }
    }
}

/// The whole body, if it is not larger than `limit`.
pub async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, Cut> {
    let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(Cut::NotAsPromised);
    }
    let mut body = Vec::with_capacity(announced);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(Cut::NotAsPromised),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(Cut::TimedOut),
            Err(_) => return Err(Cut::NotAsPromised),
        }
    }
}

/// Why an answer with this status means that they are unwell; `None` if it does not.
pub const fn unwell(status: u16) -> Option<Reason> {
    match status {
        408 | 425 | 429 => Some(Reason::Throttled),
        502..=504 => Some(Reason::GatewayError),
        500..=599 => Some(Reason::ServerError),
        _ => None,
    }
}

/// Whether a write that was answered so may have had its effect: they say of 425 and 429 themselves that they did nothing, and of a
/// redirect that somebody else would.
pub const fn may_have_acted(status: u16) -> bool {
    !matches!(status, 300..=399 | 425 | 429)
}

/// What they asked us to wait, as seconds or as a date, at most one hour.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        (http_date(text)? - now).to_std().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// A date as HTTP writes it.
pub fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// What an answer says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/json` or something `+json`.
    Json,
    /// HTML.
    Html,
    /// Something else.
    Other,
    /// It does not say.
    Unsaid,
}

/// What an answer says that it holds.
pub fn content(headers: &HeaderMap) -> Content {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Content::Unsaid };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" => Content::Unsaid,
        "application/json" => Content::Json,
        "text/html" | "application/xhtml+xml" => Content::Html,
        other if other.ends_with("+json") => Content::Json,
        _ => Content::Other,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// For plain HTTP: whatever asks for TLS all the same meets a client that trusts no certificate.
fn trusting_nobody() -> Result<ClientConfig, Unusable> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| Unusable("the TLS library offers no protocol version"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// An error and everything that caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // An I/O error names as its source what lies *behind* the error that it wraps.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref()
}

/// Why TLS will fail the next time too; `None` for what looks like a disturbance.
///
/// With TLS 1.3 a server judges our certificate after our side of the handshake is done, so its alert comes with the first read.
const fn failed_for_good(error: &rustls::Error) -> Option<Reason> {
    use AlertDescription as Alert;
    match error {
        rustls::Error::AlertReceived(Alert::CertificateExpired) => Some(Reason::CertificateExpired),
        rustls::Error::AlertReceived(
            Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::UnrecognisedName,
        )
        | rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::PeerIncompatible(_) => Some(Reason::CertificateRefused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", Some(90)),
            ("Mon, 23 Nov 2026 10:00:00 GMT", Some(3600)),
            ("Sun, 22 Nov 2026 09:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn content_is_judged_without_its_parameters() {
        for (value, expected) in [
            ("application/json; charset=utf-8", Content::Json),
            ("Application/Problem+JSON", Content::Json),
            ("text/html; charset=utf-8", Content::Html),
            ("text/plain", Content::Other),
            ("", Content::Unsaid),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(content(&headers), expected, "{value:?}");
        }
        assert_eq!(content(&HeaderMap::new()), Content::Unsaid);
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for (url, allowed) in [
            ("http://127.0.0.1:3000/", true),
            ("http://[::1]:3000/", true),
            ("http://localhost/", true),
            ("http://primero.example/", false),
            ("http://127.0.0.1.primero.example/", false),
            ("https://primero.example/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(tls_for(&url.parse().unwrap(), None).is_ok(), allowed, "{url}");
        }
    }
}
