//! Primero's words on the wire, and its client: every status becomes a named case.
//!
//! It knows no delivery and no flow; it decides nothing about what a refusal means.

mod answer;
mod cases;
mod client;
mod gate;
mod instance;
mod pace;
mod referrals;
mod target;
#[cfg(test)]
mod tests;
mod users;

use std::{collections::BTreeSet, fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    personal::Personal,
    reason::Reason,
    referral::{CaseId, CaseKey, ReferralId, codes},
};

pub use self::{
    client::{Client, ServerDate},
    gate::{Gate, Standing},
    instance::{Field, Form, FormAccess, Lookup, Options, OwnAccount},
    referrals::{Referrals, Sought},
    users::User,
};
pub use crate::wire::Unusable;

/// A record as Primero gave it.
pub type Document = Map<String, Value>;

/// What one request met. No variant carries a value of a record.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// They are unwell: try again later.
    #[error("primero is unwell: {}", .0.reason)]
    Unwell(Unwell),
    /// 401; or not sent, because an earlier 401 has stopped all requests.
    #[error("primero does not accept our user name and password")]
    Unauthorized,
    /// 403.
    #[error("primero forbids this")]
    Forbidden,
    /// 404 in Primero's own error shape.
    #[error("primero knows no such record")]
    NotFound,
    /// 409.
    #[error("primero has such a record already")]
    Conflict,
    /// 422; JSON pointers or field names, each once.
    #[error("primero refuses {} field(s)", .0.len())]
    Invalid(BTreeSet<String>),
    /// Any other 4xx.
    #[error("primero answered {0}")]
    Refused(u16),
    /// 405, or a 404 that is not Primero's own: this is not the URL of a Primero.
    #[error("there is no primero at this URL")]
    WrongUrl,
    /// TLS failed for good: we do not trust their certificate, it is for another name, or there is no common protocol.
    #[error("TLS with primero failed for good")]
    CertificateRefused,
    /// Rows came back that do not equal what was asked, or paging did not answer as asked.
    #[error("primero did not honour the filter")]
    FilterIgnored,
}

/// Why they are unwell.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwell {
    /// `Unreachable`, `TimedOut`, `ConnectionLost`, `Throttled`, `ServerError`, `GatewayError` or `NotAsPromised`.
    pub reason: Reason,
    /// The status, if one was seen.
    pub status: Option<u16>,
    /// What they asked us to wait, at most one hour.
    pub retry_after: Option<Duration>,
    /// Whether the request may have had its effect all the same.
    pub effect_possible: bool,
}

/// A case as Primero gave it, cut to what our role may read.
#[derive(Clone, Debug)]
pub struct Case {
    /// Primary key.
    pub key: CaseKey,
    /// `enabled`: false for a disabled case.
    pub enabled: bool,
    /// The server's own stamp, to the millisecond.
    pub last_updated_at: DateTime<Utc>,
    /// Everything, the three constant keys included.
    pub document: Personal<Document>,
}

impl Case {
    /// A field that holds text which is not blank.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        text(self.document.reveal(), field)
    }

    /// `case_id`, if it has the form of one.
    #[must_use]
    pub fn case_id(&self) -> Option<CaseId> {
        self.text("case_id")?.parse().ok()
    }

    /// The items of `services_section`.
    pub fn services(&self) -> impl Iterator<Item = &Document> {
        self.document
            .reveal()
            .get("services_section")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
    }
}

/// A field of a document that holds text which is not blank.
#[must_use]
pub fn text<'a>(document: &'a Document, field: &str) -> Option<&'a str> {
    document.get(field).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// A referral (a transition) of a case.
#[derive(Clone, Debug)]
pub struct Referral {
    /// Its id.
    pub id: ReferralId,
    /// The case it belongs to (`record_id`).
    pub case: CaseKey,
    /// `in_progress`, `accepted`, `rejected`, `done`, `revoked`.
    pub status: ReferralStatus,
    /// `service_record_id`, absent or blank → `None`.
    pub service_record_id: Option<String>,
    /// The recipient's user name; absent for a remote one.
    pub transitioned_to: Option<Personal<String>>,
    /// The recipient's agency as given (remote referrals).
    pub transitioned_to_agency: Option<Personal<String>>,
    /// Whether it is a remote one.
    pub remote: bool,
    /// Made by exception.
    pub consent_overridden: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

codes! {
    /// Where a referral stands in Primero.
    ReferralStatus {
        /// `in_progress`
        InProgress = "in_progress",
        /// `accepted`
        Accepted = "accepted",
        /// `rejected`
        Rejected = "rejected",
        /// `done`
        Done = "done",
        /// `revoked`
        Revoked = "revoked",
    }
}

/// One page of changed cases.
#[derive(Debug)]
pub struct Page {
    /// The rows, as many as the server gave; at least one of them names its case, unless there is none.
    pub rows: Vec<Row>,
    /// `metadata.per`, as really used.
    pub per: u32,
}

/// A row of the list of changed cases.
#[derive(Debug)]
pub enum Row {
    /// A case in the promised shape.
    Case(Case),
    /// Something else: what can be read of it.
    Unreadable {
        /// Its primary key.
        key: Option<CaseKey>,
        /// Its `case_id`.
        case_id: Option<CaseId>,
        /// Its own stamp, or that of the row before it: the list ascends.
        last_updated_at: DateTime<Utc>,
    },
}

impl Row {
    /// The primary key.
    #[must_use]
    pub const fn key(&self) -> Option<CaseKey> {
        match self {
            Self::Case(case) => Some(case.key),
            Self::Unreadable { key, .. } => *key,
        }
    }

    /// `case_id`, if it has the form of one.
    #[must_use]
    pub fn case_id(&self) -> Option<CaseId> {
        match self {
            Self::Case(case) => case.case_id(),
            Self::Unreadable { case_id, .. } => case_id.clone(),
        }
    }

    /// Where it stands in the list.
    #[must_use]
    pub const fn last_updated_at(&self) -> DateTime<Utc> {
        match self {
            Self::Case(case) => case.last_updated_at,
            Self::Unreadable { last_updated_at, .. } => *last_updated_at,
        }
    }
}

/// What is asked of the list of cases.
#[derive(Clone)]
pub struct Filter<'a> {
    /// Field and exact value; the value is a plain identifier.
    pub equals: (&'a str, &'a str),
    /// `module_id`
    pub module: &'a str,
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("field", &self.equals.0).field("module", &self.module).finish_non_exhaustive()
    }
}
