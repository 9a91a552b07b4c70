//! The connection to one Primero: every request goes through the gate, at the configured pace, with HTTP Basic.
//!
//! It knows what a request looks like on the wire, not what is asked.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue},
};
use rustls::ClientConfig;
use serde_json::Value;

use super::{
    Document, Trouble, Unusable, Unwell,
    answer::{self, Promised},
    gate::{Gate, Verdict},
    pace::Pace,
    target::{LONGEST_REQUEST_LINE, Target},
    users::Known,
};
use crate::{
    clock::Clock,
    config,
    failpoint::{self, Moment, Step},
    reason::Reason,
    wire::{self, Fault},
};

/// The largest answer that is read of a list.
pub(super) const LARGEST_LIST: usize = 32 << 20;
/// The largest answer that is read of one record.
pub(super) const LARGEST_RECORD: usize = 8 << 20;

/// A client of one Primero. Clones share connections, pace, gate and the users they know.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

pub(super) struct Inner {
    http: reqwest::Client,
    /// Ends in `/api/v2/`.
    root: Url,
    pub(super) user_name: String,
    authorization: HeaderValue,
    pub(super) clock: Clock,
    gate: Arc<Gate>,
    pace: Pace,
    server_date: Mutex<Option<ServerDate>>,
    pub(super) users: Known,
}

/// What time Primero said it was, and what time it was here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerDate {
    /// Their `Date` header, to the second.
    pub theirs: DateTime<Utc>,
    /// Our clock when it came.
    pub ours: DateTime<Utc>,
}

impl Client {
    /// A client for these settings. `tls` may be absent only for plain HTTP on this machine.
    /// The gate belongs to the user name and password: a changed secret needs a new one.
    pub fn new(
        settings: &config::Primero,
        password: &str,
        tls: Option<ClientConfig>,
        clock: Clock,
        gate: Arc<Gate>,
    ) -> Result<Self, Unusable> {
        if settings.user_name.contains(':') {
            return Err(Unusable("a user name of primero has no colon"));
        }
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{password}", settings.user_name)));
        let mut authorization = HeaderValue::try_from(basic).map_err(|_| Unusable("the password cannot stand in a header"))?;
        authorization.set_sensitive(true);
        Ok(Self(Arc::new(Inner {
            http: wire::client(settings.timeout, wire::tls_for(&settings.url, tls)?)?,
            root: settings.url.clone(),
            user_name: settings.user_name.trim().to_lowercase(),
            authorization,
            pace: Pace::new(clock.clone(), settings.rate),
            clock,
            gate,
            server_date: Mutex::new(None),
            users: Known::default(),
        })))
    }

    /// What time Primero said it was with its last answer, for the check of the clocks.
    #[must_use]
    pub fn server_date(&self) -> Option<ServerDate> {
        // Nothing can panic while the lock is held.
        *self.0.server_date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Reads; the whole JSON answer.
    pub(super) async fn get(&self, target: Target, largest: usize) -> Result<Value, Trouble> {
        let ask = Ask { method: Method::GET, target, body: None, largest, promised: Promised::Json };
        self.send(ask).await?.ok_or_else(|| answer::not_as_promised(None, false))
    }

    /// Writes `{"data": document}`.
    pub(super) async fn write(
        &self,
        method: Method,
        target: Target,
        document: &Document,
        promised: Promised,
    ) -> Result<Option<Value>, Trouble> {
        #[derive(serde::Serialize)]
        struct Envelope<'a> {
            data: &'a Document,
        }
        let body =
            serde_json::to_vec(&Envelope { data: document }).expect("a JSON document with text keys can always be written");
        self.send(Ask { method, target, body: Some(body), largest: LARGEST_RECORD, promised }).await
    }

    async fn send(&self, ask: Ask) -> Result<Option<Value>, Trouble> {
        let url = self.0.url(&ask)?;
        let pass = self.0.gate.pass().await.ok_or(Trouble::Unauthorized)?;
        self.0.pace.step().await;
        if pass.is_void() {
            return Err(Trouble::Unauthorized);
        }
        let step = Step::request("primero", ask.method.as_str(), ask.target.as_str());
        failpoint::pass(&step, Moment::Asking);
        let met = self.0.exchange(ask, url).await;
        failpoint::pass(&step, Moment::Answered);
        pass.settle(verdict(&met));
        met
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("primero::Client")
    }
}

struct Ask {
    method: Method,
    target: Target,
    body: Option<Vec<u8>>,
    largest: usize,
    promised: Promised,
}

impl Inner {
    /// A request line that is too long is refused as a proxy would refuse it, but here, where it is not logged.
    fn url(&self, ask: &Ask) -> Result<Url, Trouble> {
        let (path, query) = ask.target.parts();
        let mut url = self.root.clone();
        url.set_path(&format!("{}/api/v2/{path}", self.root.path().trim_end_matches('/')));
        url.set_query(query);
        let target = url.path().len() + url.query().map_or(0, |query| query.len() + 1);
        if ask.method.as_str().len() + target + "  HTTP/1.1\r\n".len() > LONGEST_REQUEST_LINE {
            return Err(Trouble::Refused(414));
        }
        Ok(url)
    }

    async fn exchange(&self, ask: Ask, url: Url) -> Result<Option<Value>, Trouble> {
        let writes = ask.body.is_some();
        let mut request = self
            .http
            .request(ask.method, url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = ask.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        }
        let response = request.send().await.map_err(|error| trouble_of(wire::fault_of(&error), writes))?;
        let now = self.clock.now();
        self.note_date(response.headers(), now);
        answer::read(response, ask.promised, ask.largest, writes, now).await
    }

    fn note_date(&self, headers: &HeaderMap, ours: DateTime<Utc>) {
        let theirs = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(wire::http_date);
        if let Some(theirs) = theirs {
            *self.server_date.lock().unwrap_or_else(PoisonError::into_inner) = Some(ServerDate { theirs, ours });
        }
    }
}

fn trouble_of(fault: Fault, writes: bool) -> Trouble {
    match fault {
        Fault::Tls(_) => Trouble::CertificateRefused,
        Fault::Unwell { reason, sent } => {
            Trouble::Unwell(Unwell { reason, status: None, retry_after: None, effect_possible: writes && sent })
        }
    }
}

/// What an outcome tells about the password.
fn verdict(met: &Result<Option<Value>, Trouble>) -> Verdict {
    match met {
        Ok(_) => Verdict::Accepted,
        Err(Trouble::Unauthorized) => Verdict::Refused,
        Err(Trouble::CertificateRefused | Trouble::Unwell(Unwell { reason: Reason::Unreachable, .. })) => Verdict::Untried,
        Err(
            Trouble::Unwell(_)
            | Trouble::Forbidden
            | Trouble::NotFound
            | Trouble::Conflict
            | Trouble::Invalid(_)
            | Trouble::Refused(_)
            | Trouble::WrongUrl
            | Trouble::FilterIgnored,
        ) => Verdict::Unclear,
    }
}
