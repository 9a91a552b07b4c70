//! The connection to DTP: two endpoints, one certificate, one subscription key.
//!
//! It knows how DTP wants to be spoken to, not what is said. Answers are checked for being whole and forgotten.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use reqwest::{
    Response, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use rustls::ClientConfig;
use serde::de::IgnoredAny;

use super::{Document, Trouble, Unusable};
use crate::{
    clock::Clock,
    config,
    failpoint::{self, Moment, Step},
    reason::Reason,
    wire::{self, Content, Fault},
};

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;

/// A client of DTP. Clones share connections.
#[derive(Clone)]
pub struct Client {
    first: Arc<Inner>,
    /// With another certificate, and from when on. It has connections of its own, so none outlives its certificate.
    next: Option<(DateTime<Utc>, Arc<Inner>)>,
}

struct Inner {
    http: reqwest::Client,
    headers: HeaderMap,
    referral_url: Url,
    decision_url: Url,
    clock: Clock,
}

impl Client {
    /// A client for these settings. `tls` carries our certificate, which is offered in the first handshake.
    /// `thumbprint` is what stands in the thumbprint header: 40 upper-case hexadecimal digits.
    pub fn new(
        settings: &config::Dtp,
        tls: ClientConfig,
        subscription_key: &str,
        thumbprint: Option<&str>,
        clock: Clock,
    ) -> Result<Self, Unusable> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        insert_secret(&mut headers, &settings.subscription_key_header, subscription_key)?;
        if let (Some(name), Some(thumbprint)) = (&settings.thumbprint_header, thumbprint) {
            insert_secret(&mut headers, name, thumbprint)?;
        }
        let tls = wire::tls_for(&settings.decision_url, Some(tls))?;
        let tls = wire::tls_for(&settings.referral_url, Some(tls))?;
        let first = Inner {
            http: wire::client(settings.timeout, tls)?,
            headers,
            referral_url: settings.referral_url.clone(),
            decision_url: settings.decision_url.clone(),
            clock,
        };
        Ok(Self { first: Arc::new(first), next: None })
    }

    /// From this moment on another client speaks in place of this one.
    #[must_use]
    pub fn followed_by(self, from: DateTime<Utc>, next: Self) -> Self {
        Self { next: Some((from, next.first)), ..self }
    }

    fn now(&self) -> &Inner {
        match &self.next {
            Some((from, next)) if *from <= self.first.clock.now() => next,
            Some(_) | None => &self.first,
        }
    }

    /// Sends a referral (flow 2).
    pub async fn send_referral(&self, message: &Document) -> Result<(), Trouble> {
        let client = self.now();
        client.post(&client.referral_url, message).await
    }

    /// Sends feedback on an intervention, or a decision made in Primero (flow 1).
    pub async fn send_decision(&self, message: &Document) -> Result<(), Trouble> {
        let client = self.now();
        client.post(&client.decision_url, message).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dtp::Client")
    }
}

impl Inner {
    async fn post(&self, url: &Url, message: &Document) -> Result<(), Trouble> {
        let step = Step::request("dtp", "POST", url.path());
        failpoint::pass(&step, Moment::Asking);
        let answered = self.exchange(url, message).await;
        failpoint::pass(&step, Moment::Answered);
        answered
    }

    async fn exchange(&self, url: &Url, message: &Document) -> Result<(), Trouble> {
        let body = serde_json::to_vec(message).expect("a JSON document with text keys can always be written");
        let request = self.http.post(url.clone()).headers(self.headers.clone()).body(body);
        let response = request.send().await.map_err(|error| trouble_of(wire::fault_of(&error)))?;
        let status = response.status().as_u16();
        let retry_after = wire::retry_after(response.headers(), self.clock.now());
        let unwell =
            |reason| Trouble::Unwell { reason, status: Some(status), retry_after, effect_possible: wire::may_have_acted(status) };
        let blocked = |reason| Trouble::Blocked { reason, status: Some(status) };
        match status {
            200..=299 => whole(response).await.map_err(unwell),
            // A redirect says nothing about the message: it may be a page for maintenance.
            300..=399 => Err(unwell(Reason::NotAsPromised)),
            401 => Err(blocked(Reason::Unauthorized)),
            403 => Err(blocked(Reason::Forbidden)),
            404 | 405 => Err(blocked(Reason::WrongUrl)),
            other => Err(wire::unwell(other).map_or(Trouble::Refused { status }, unwell)),
        }
    }
}

/// Whether a success is one: a page for people or half an answer comes from something that stands before DTP.
async fn whole(response: Response) -> Result<(), Reason> {
    let content = wire::content(response.headers());
    let body = wire::body(response, LARGEST_ANSWER).await.map_err(wire::Cut::reason)?;
    let text = body.trim_ascii();
    let is_whole = match content {
        _ if text.is_empty() => true,
        Content::Json => serde_json::from_slice::<IgnoredAny>(text).is_ok(),
        Content::Html => false,
        Content::Unsaid => !text.starts_with(b"<"),
        Content::Other => true,
    };
    if is_whole { Ok(()) } else { Err(Reason::NotAsPromised) }
}

fn trouble_of(fault: Fault) -> Trouble {
    match fault {
        Fault::Tls(reason) => Trouble::Blocked { reason, status: None },
        Fault::Unwell { reason, sent } => Trouble::Unwell { reason, status: None, retry_after: None, effect_possible: sent },
    }
}

fn insert_secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Unusable> {
    let name = HeaderName::try_from(name).map_err(|_| Unusable("a configured header name cannot be one"))?;
    let mut value = HeaderValue::try_from(value).map_err(|_| Unusable("the subscription key cannot stand in a header"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}
