//! Referrals of a case: all of them, and the decision on one.
//!
//! Primero answers 200 to a decision that it did not apply; so the status that it then has is handed back, not "done".

use reqwest::Method;
use serde_json::Value;

use super::{
    Document, Referral, ReferralStatus, Trouble,
    answer::{self, Promised, not_as_promised},
    client::{Client, LARGEST_LIST},
    target::Target,
    text,
};
use crate::referral::{CaseKey, Decision, OutgoingId, ReferralId};

/// The referrals of a case that we may see, in no particular order.
///
/// A row that is not in the promised shape holds up no other; what it says of itself is kept, so that it is never taken for
/// absent.
#[derive(Clone, Debug)]
pub struct Referrals {
    readable: Vec<Referral>,
    unreadable: Vec<Unreadable>,
}

/// A row that is not a referral in the promised shape.
#[derive(Clone, Debug)]
struct Unreadable {
    id: Option<ReferralId>,
    service: Service,
}

/// Which service an unreadable row names.
#[derive(Clone, Debug)]
enum Service {
    Named(String),
    None,
    Unknown,
}

/// What a case's list says of one referral.
#[derive(Clone, Copy, Debug)]
pub enum Sought<'a> {
    /// It is there.
    Readable(&'a Referral),
    /// A row that cannot be read is, or may be, this one.
    Unreadable,
    /// It is not there.
    Absent,
}

impl Referrals {
    /// Those in the promised shape.
    #[must_use]
    pub fn readable(&self) -> &[Referral] {
        &self.readable
    }

    /// Whether every row could be read.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, id: ReferralId) -> Sought<'_> {
        match self.readable.iter().find(|referral| referral.id == id) {
            Some(referral) => Sought::Readable(referral),
            None if self.unreadable.iter().any(|row| row.id.is_none_or(|own| own == id)) => Sought::Unreadable,
            None => Sought::Absent,
        }
    }

    /// Whether a row that cannot be read is, or may be, about a service that this id names.
    #[must_use]
    pub fn may_hide(&self, outgoing: &OutgoingId) -> bool {
        self.unreadable.iter().any(|row| match &row.service {
            Service::Named(service) => outgoing.names_service(service),
            Service::None => false,
            Service::Unknown => true,
        })
    }
}

impl Unreadable {
    fn of(row: &Value) -> Self {
        let Value::Object(row) = row else { return Self { id: None, service: Service::Unknown } };
        let service = match row.get("service_record_id") {
            None | Some(Value::Null) => Service::None,
            Some(Value::String(service)) => Service::Named(service.clone()),
            Some(_) => Service::Unknown,
        };
        Self { id: text(row, "id").and_then(|id| id.parse().ok()), service }
    }
}

impl Client {
    /// The referrals of a case. Only an answer that is no list at all is not as promised.
    pub async fn referrals(&self, key: CaseKey) -> Result<Referrals, Trouble> {
        let answer = self.get(Target::new(&format!("cases/{key}/referrals")), LARGEST_LIST).await?;
        let Some(Value::Array(rows)) = answer::data(answer) else { return Err(not_as_promised(Some(200), false)) };
        let mut referrals = Referrals { readable: Vec::new(), unreadable: Vec::new() };
        for row in &rows {
            match answer::referral(row).filter(|referral| referral.case == key) {
                Some(referral) => referrals.readable.push(referral),
                None => referrals.unreadable.push(Unreadable::of(row)),
            }
        }
        Ok(referrals)
    }

    /// Asks for a decision on a referral; what status it has now. Another than asked: somebody decided before.
    pub async fn decide(
        &self,
        key: CaseKey,
        referral: ReferralId,
        decision: Decision,
        reason: Option<&str>,
    ) -> Result<ReferralStatus, Trouble> {
        let target = Target::new(&format!("cases/{key}/referrals/{referral}"));
        let mut document = Document::from_iter([("status".to_owned(), Value::from(decision.code()))]);
        if let Some(reason) = reason {
            document.insert("rejected_reason".to_owned(), reason.into());
        }
        let answer = self.write(Method::PATCH, target, &document, Promised::Json).await?;
        let status_of = |data: Value| {
            let data = data.as_object()?;
            let is_asked = text(data, "id")?.parse() == Ok(referral);
            is_asked.then_some(ReferralStatus::from_code(text(data, "status")?)?)
        };
        answer.and_then(answer::data).and_then(status_of).ok_or_else(|| not_as_promised(Some(200), true))
    }
}
