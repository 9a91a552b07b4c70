//! Referrals over the wire: list, make, decide, revoke.
//!
//! It knows permissions and shapes of answers; the steps themselves are told elsewhere.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    errors::{Refusal, ok},
    referrals::{Invalid, NewReferral, Referral, referral_json},
    routes::{Caller, sent},
    store::Case,
    views::saved_json,
    world::{Saved, World},
};
use crate::sandbox::wire::{Asked, Reply};

impl World {
    pub(super) fn list_referrals(&mut self, caller: &Caller, part: &str) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        caller.must("case", "read")?;
        self.must_be_in_scope(caller, &case)?;
        let rows =
            self.referrals.of_case(case.key).filter(|referral| Self::sees_referral(&caller.user, &caller.role, &case, referral));
        let rows: Vec<_> = rows.map(|referral| Value::Object(referral_json(referral, &caller.user, false))).collect();
        Ok(ok(&json!({ "data": rows })))
    }

    pub(super) fn create_referral(&mut self, caller: &Caller, part: &str, asked: &Asked) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        let sent = sent(asked).ok_or(Refusal::Missing("data"))?;
        let from_service = sent.contains_key("service_record_id") && caller.role.permits("case", "referral_from_service");
        if !from_service {
            caller.must("case", "referral")?;
        }
        self.must_be_in_scope(caller, &case)?;
        let (id, saved) = self.refer(&case, &caller.user.user_name, new_referral(&sent)).map_err(refusal)?;
        self.referral_reply(caller, id, saved.as_ref())
    }

    pub(super) fn patch_referral(&mut self, caller: &Caller, part: &str, id: &str, asked: &Asked) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        let id = self.decidable(caller, &case, id)?;
        if self.release.reads_before_deciding {
            let own = self.referrals.get(id).and_then(|referral| self.store.get(referral.case)).cloned();
            let readable =
                own.is_some_and(|own| caller.role.permits("case", "read") && self.must_be_in_scope(caller, &own).is_ok());
            if !readable {
                return Err(Refusal::Forbidden);
            }
        }
        let sent = sent(asked).filter(|sent| !sent.is_empty()).ok_or(Refusal::Missing("data"))?;
        let text = |name: &str| sent.get(name).and_then(Value::as_str);
        let decided = self.decide(id, &caller.user.user_name, text("status"), text("rejected_reason"), text("rejection_note"));
        let saved = decided.map_err(refusal)?;
        self.referral_reply(caller, id, saved.as_ref())
    }

    pub(super) fn revoke_referral(&mut self, caller: &Caller, part: &str, id: &str) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        let id = self.decidable(caller, &case, id)?;
        let saved = self.revoke(id, &caller.user.user_name);
        self.referral_reply(caller, id, saved.as_ref())
    }

    /// The referral is looked up by its id alone, not within the case of the path.
    fn decidable(&self, caller: &Caller, case: &Case, id: &str) -> Result<Uuid, Refusal> {
        let permits = |action: &str| caller.role.permits("case", action);
        let may = permits("write")
            || (self.release.decides_without_write && permits("receive_referral"))
            || (self.release.reads_before_deciding && permits("remove_assigned_users"));
        if !may {
            return Err(Refusal::Forbidden);
        }
        self.must_be_in_scope(caller, case)?;
        let known = Uuid::try_parse(id).ok().filter(|id| self.referrals.get(*id).is_some());
        known.ok_or_else(|| Refusal::NoRecord("Referral", id.to_owned()))
    }

    fn referral_reply(&mut self, caller: &Caller, id: Uuid, saved: Option<&Saved>) -> Result<Reply, Refusal> {
        let access = self.access(&caller.role);
        let unknown = || Refusal::NoRecord("Referral", id.to_string());
        let referral: &Referral = self.referrals.get(id).ok_or_else(unknown)?;
        let case = self.store.get(referral.case).ok_or_else(unknown)?;
        let reachable = Self::in_scope(&caller.user, &caller.role, case) && caller.role.permits("case", "read");
        let mut shown = referral_json(referral, &caller.user, !reachable);
        if reachable {
            let record = match saved {
                Some(saved) => saved_json(saved, &access.readable),
                None => saved_json(&Saved { before: Some(case.clone()), after: case.clone() }, &access.readable),
            };
            shown.insert("record".to_owned(), record);
        }
        Ok(ok(&json!({ "data": shown })))
    }
}

fn new_referral(sent: &Map<String, Value>) -> NewReferral {
    let text = |name: &str| sent.get(name).and_then(Value::as_str).map(str::to_owned);
    let flag = |name: &str| sent.get(name) == Some(&Value::Bool(true));
    NewReferral {
        to: text("transitioned_to"),
        to_agency: text("transitioned_to_agency"),
        to_remote: text("transitioned_to_remote"),
        remote: flag("remote"),
        service: text("service"),
        service_record_id: text("service_record_id"),
        consent_overridden: flag("consent_overridden"),
        notes: text("notes"),
        authorized_role: text("authorized_role_unique_id"),
        type_of_export: text("type_of_export"),
    }
}

fn refusal(invalid: Invalid) -> Refusal {
    match invalid {
        Invalid::Fields(fields) => Refusal::Model(fields),
        Invalid::UnknownRecipient => Refusal::Raised("undefined method for nil"),
    }
}
