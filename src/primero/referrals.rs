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
};
use crate::referral::{CaseKey, Decision, ReferralId};

impl Client {
    /// The referrals of a case that we may see, in no particular order.
    pub async fn referrals(&self, key: CaseKey) -> Result<Vec<Referral>, Trouble> {
        let answer = self.get(Target::new(&format!("cases/{key}/referrals")), LARGEST_LIST).await?;
        let read = || {
            let Value::Array(rows) = answer::data(answer)? else { return None };
            let read = |row| answer::referral(row).filter(|referral| referral.case == key);
            rows.iter().map(read).collect::<Option<Vec<_>>>()
        };
        read().ok_or_else(|| not_as_promised(Some(200), false))
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
            let is_asked = super::text(data, "id")?.parse() == Ok(referral);
            is_asked.then_some(ReferralStatus::from_code(super::text(data, "status")?)?)
        };
        answer.and_then(answer::data).and_then(status_of).ok_or_else(|| not_as_promised(Some(200), true))
    }
}
