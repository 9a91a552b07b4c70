//! Referrals: their states, who may receive one, and what each step does to the case.
//!
//! It knows no wire; permissions are the routes' affair.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    accounts::{Role, Scope, User},
    store::{Case, Document, shown},
    world::{Saved, World},
};

/// What a new referral says.
#[derive(Clone, Default)]
pub struct NewReferral {
    /// The recipient's user name; none for a remote referral.
    pub to: Option<String>,
    /// `transitioned_to_agency`
    pub to_agency: Option<String>,
    /// `transitioned_to_remote`
    pub to_remote: Option<String>,
    /// Whether the recipient has no account here.
    pub remote: bool,
    /// The type of the service.
    pub service: Option<String>,
    /// `unique_id` of the service item.
    pub service_record_id: Option<String>,
    /// Made without consent.
    pub consent_overridden: bool,
    /// Notes.
    pub notes: Option<String>,
    /// The role whose fields the recipient sees.
    pub authorized_role: Option<String>,
    /// `type_of_export`
    pub type_of_export: Option<String>,
}

impl NewReferral {
    /// To a user of this instance.
    #[must_use]
    pub fn to(user_name: &str) -> Self {
        Self { to: Some(user_name.to_owned()), ..Self::default() }
    }

    /// To somebody elsewhere.
    #[must_use]
    pub fn remote(agency: &str) -> Self {
        Self { remote: true, to_agency: Some(agency.to_owned()), ..Self::default() }
    }

    /// For a service of the case.
    #[must_use]
    pub fn for_service(mut self, service_type: &str, unique_id: &str) -> Self {
        self.service = Some(service_type.to_owned());
        self.service_record_id = Some(unique_id.to_owned());
        self
    }

    /// Without consent.
    #[must_use]
    pub fn overriding_consent(mut self) -> Self {
        self.consent_overridden = true;
        self
    }
}

/// Where a referral stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `in_progress`
    InProgress,
    /// `accepted`
    Accepted,
    /// `rejected`
    Rejected,
    /// `done`
    Done,
    /// `revoked`
    Revoked,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Done => "done",
            Self::Revoked => "revoked",
        }
    }

    fn is_active(self) -> bool {
        matches!(self, Self::InProgress | Self::Accepted)
    }
}

#[derive(Clone)]
pub(super) struct Referral {
    pub(super) id: Uuid,
    pub(super) case: Uuid,
    pub(super) standing: Standing,
    pub(super) says: NewReferral,
    by: String,
    by_agency: Option<String>,
    by_groups: Vec<String>,
    to_user_agency: Option<String>,
    to_user_groups: Option<Vec<String>>,
    owned_by: Option<String>,
    owned_by_agency: Option<String>,
    owned_by_groups: Value,
    rejected_reason: Option<String>,
    rejection_note: Option<String>,
    created_at: DateTime<Utc>,
    responded_at: Option<DateTime<Utc>>,
}

#[derive(Default)]
pub(super) struct Referrals {
    all: HashMap<Uuid, Referral>,
    of_case: HashMap<Uuid, Vec<Uuid>>,
}

impl Referrals {
    pub(super) fn get(&self, id: Uuid) -> Option<&Referral> {
        self.all.get(&id)
    }

    pub(super) fn of_case(&self, case: Uuid) -> impl Iterator<Item = &Referral> {
        self.of_case.get(&case).into_iter().flatten().filter_map(|id| self.all.get(id))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Why a referral cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// 422: field and message.
    Fields(Vec<(&'static str, &'static str)>),
    /// The application fails on an unknown recipient.
    UnknownRecipient,
}

impl World {
    /// Makes a referral.
    pub(super) fn refer(&mut self, case: &Case, actor: &str, says: NewReferral) -> Result<(Uuid, Option<Saved>), Invalid> {
        let recipient = says.to.as_deref().and_then(|name| self.accounts.user(name)).cloned();
        if !says.remote && recipient.is_none() {
            return Err(Invalid::UnknownRecipient);
        }
        let by = self.accounts.user(actor).cloned();
        let referral = Referral {
            id: Uuid::new_v4(),
            case: case.key,
            standing: Standing::InProgress,
            by: actor.to_owned(),
            by_agency: by.as_ref().and_then(|by| by.agency.clone()),
            by_groups: by.map(|by| by.groups.clone()).unwrap_or_default(),
            to_user_agency: recipient.as_ref().and_then(|user| user.agency.clone()),
            to_user_groups: recipient.map(|user| user.groups.clone()),
            owned_by: case.text("owned_by").map(str::to_owned),
            owned_by_agency: case.text("owned_by_agency_id").map(str::to_owned),
            owned_by_groups: case.document.get("owned_by_groups").cloned().unwrap_or(Value::Null),
            rejected_reason: None,
            rejection_note: None,
            created_at: self.clock.now(),
            responded_at: None,
            says,
        };
        self.validate(&referral, case)?;
        let recipient = referral.says.to.clone().filter(|_| !referral.says.remote);
        let service = referral.says.service_record_id.clone();
        let saved = self.save(case.key, actor, |document| {
            if let Some(recipient) = recipient {
                assign(document, &recipient);
            }
            on_service(document, service.as_deref(), |item| {
                item.insert("service_status_referred".to_owned(), json!(true));
            });
        });
        let id = referral.id;
        self.referrals.of_case.entry(case.key).or_default().push(id);
        self.referrals.all.insert(id, referral);
        Ok((id, saved))
    }

    /// Decides on a referral. A step that does not exist from where it stands saves nothing, and nobody is told.
    pub(super) fn decide(
        &mut self,
        id: Uuid,
        actor: &str,
        status: Option<&str>,
        reason: Option<&str>,
        note: Option<&str>,
    ) -> Result<Option<Saved>, Invalid> {
        let Some(referral) = self.referrals.get(id).cloned() else { return Ok(None) };
        let Some(case) = self.store.get(referral.case).cloned() else { return Ok(None) };
        let to = match (referral.standing, status) {
            (Standing::InProgress, Some("accepted")) => Standing::Accepted,
            (Standing::InProgress, Some("rejected")) => Standing::Rejected,
            (Standing::Accepted, Some("done")) => Standing::Done,
            _ => return Ok(None),
        };
        self.validate(&referral, &case)?;
        let now = self.clock.now();
        if let Some(referral) = self.referrals.all.get_mut(&id) {
            referral.standing = to;
            match to {
                Standing::Accepted => referral.responded_at = Some(now),
                Standing::Rejected => {
                    referral.responded_at = Some(now);
                    referral.rejected_reason = reason.map(str::to_owned);
                    referral.rejection_note = note.map(str::to_owned);
                }
                Standing::Done => referral.rejection_note = note.map(str::to_owned),
                Standing::InProgress | Standing::Revoked => {}
            }
        }
        let leaves = (to != Standing::Accepted).then(|| self.leaving(&referral)).flatten();
        Ok(self.save(case.key, actor, |document| {
            if let Some(recipient) = leaves {
                unassign(document, &recipient);
            }
            if to == Standing::Done {
                finish(document, referral.says.service_record_id.as_deref(), note, now);
            }
        }))
    }

    /// Takes a referral back, wherever it stands.
    pub(super) fn revoke(&mut self, id: Uuid, actor: &str) -> Option<Saved> {
        let referral = self.referrals.all.get_mut(&id)?;
        referral.standing = Standing::Revoked;
        let referral = referral.clone();
        let leaves = self.leaving(&referral);
        self.save(referral.case, actor, |document| {
            if let Some(recipient) = leaves {
                unassign(document, &recipient);
            }
        })
    }

    /// Checked at every save of a referral, not only at the first.
    fn validate(&self, referral: &Referral, case: &Case) -> Result<(), Invalid> {
        let mut fields = Vec::new();
        if !consent_given(case) && !referral.says.consent_overridden {
            fields.push(("consent", "transition.errors.consent"));
        }
        if !referral.says.remote && !self.can_receive(referral, case) {
            fields.push(("transitioned_to", "transition.errors.to_user_can_receive"));
        }
        if fields.is_empty() { Ok(()) } else { Err(Invalid::Fields(fields)) }
    }

    fn can_receive(&self, referral: &Referral, case: &Case) -> bool {
        let Some(user) = referral.says.to.as_deref().and_then(|name| self.accounts.user(name)) else { return false };
        let Some(role) = self.accounts.role_of(user) else { return false };
        let of_module =
            case.module().is_some_and(|module| role.modules.contains(module)) && role.permits("case", "receive_referral");
        let may = of_module || role.permits("case", "receive_referral_different_module");
        may && !user.disabled && !user.unverified && !role.system && user.user_name != referral.by
    }

    /// The recipient, unless another active referral keeps them on the case.
    fn leaving(&self, referral: &Referral) -> Option<String> {
        let recipient = referral.says.to.clone()?;
        let mut others = self.referrals.of_case(referral.case).filter(|other| other.id != referral.id);
        let kept = others.any(|other| other.standing.is_active() && other.says.to.as_ref() == Some(&recipient));
        (!kept).then_some(recipient)
    }

    /// Whether a user sees this referral in the list of its case.
    pub(super) fn sees_referral(user: &User, role: &Role, case: &Case, referral: &Referral) -> bool {
        let owns = case.text("owned_by") == Some(&user.user_name);
        let is_ours = referral.says.to.as_ref() == Some(&user.user_name);
        let shares = |groups: &Value| {
            groups.as_array().is_some_and(|groups| user.groups.iter().any(|group| groups.contains(&json!(group))))
        };
        let refers = ["referral", "referral_from_service", "receive_referral", "receive_referral_different_module"];
        let may_refer = refers.iter().any(|action| role.permits("case", action));
        let active = is_ours && referral.standing.is_active();
        match role.scope {
            Scope::All => true,
            Scope::Own => owns || is_ours,
            Scope::Group if !may_refer => owns || active,
            Scope::Group => {
                let with_owner = shares(case.document.get("owned_by_groups").unwrap_or(&Value::Null));
                let to_group = referral.to_user_groups.as_ref().is_some_and(|groups| shares(&json!(groups)));
                owns || with_owner || to_group
            }
            Scope::Agency if !may_refer => active,
            Scope::Agency => {
                let with_owner = user.agency.is_some() && case.text("owned_by_agency_id") == user.agency.as_deref();
                with_owner || (user.agency.is_some() && referral.says.to_agency == user.agency)
            }
        }
    }
}

/// Anything but absent, null and false counts as given.
fn consent_given(case: &Case) -> bool {
    let given = |field: &str| !matches!(case.document.get(field), None | Some(Value::Null | Value::Bool(false)));
    if case.module() == Some("primeromodule-gbv") {
        given("consent_for_services")
    } else {
        given("disclosure_other_orgs") && given("consent_for_services")
    }
}

fn assign(document: &mut Document, user_name: &str) {
    let mut assigned = document.get("assigned_user_names").and_then(Value::as_array).cloned().unwrap_or_default();
    if !assigned.contains(&json!(user_name)) {
        assigned.push(json!(user_name));
    }
    document.insert("assigned_user_names".to_owned(), json!(assigned));
}

fn unassign(document: &mut Document, user_name: &str) {
    if let Some(assigned) = document.get_mut("assigned_user_names").and_then(Value::as_array_mut) {
        assigned.retain(|name| name != user_name);
    }
}

fn on_service(document: &mut Document, unique_id: Option<&str>, change: impl Fn(&mut Document)) {
    let services = document.get_mut("services_section").and_then(Value::as_array_mut);
    let Some(unique_id) = unique_id else { return };
    for item in services.into_iter().flatten().filter_map(Value::as_object_mut) {
        if item.get("unique_id").and_then(Value::as_str) == Some(unique_id) {
            change(item);
        }
    }
}

fn finish(document: &mut Document, service: Option<&str>, note: Option<&str>, now: DateTime<Utc>) {
    on_service(document, service, |item| {
        item.insert("service_implemented".to_owned(), json!("implemented"));
        let blank = item.get("service_implemented_day_time").is_none_or(|time| time.is_null() || time == "");
        if blank {
            item.insert("service_implemented_day_time".to_owned(), json!(shown(now)));
        }
        if let Some(note) = note {
            item.insert("note_on_referral_from_provider".to_owned(), json!(note));
        }
    });
}

/// A referral as it is shown to a user; keys without a value are left out.
pub(super) fn referral_json(referral: &Referral, user: &User, record_access_denied: bool) -> Document {
    let says = &referral.says;
    let pending_for_us = referral.standing == Standing::InProgress && !says.remote && says.to.as_ref() == Some(&user.user_name);
    let shown = json!({
        "id": referral.id.to_string(), "type": "Referral", "record_id": referral.case.to_string(), "record_type": "case",
        "status": referral.standing.word(),
        "transitioned_by": referral.by, "transitioned_to": says.to,
        "transitioned_to_agency": says.to_agency, "transitioned_to_remote": says.to_remote,
        "transitioned_by_user_agency": referral.by_agency, "transitioned_by_user_groups": referral.by_groups,
        "transitioned_to_user_agency": referral.to_user_agency, "transitioned_to_user_groups": referral.to_user_groups,
        "record_owned_by": referral.owned_by, "record_owned_by_agency": referral.owned_by_agency,
        "record_owned_by_groups": referral.owned_by_groups,
        "service": says.service, "service_record_id": says.service_record_id,
        "remote": says.remote, "consent_overridden": says.consent_overridden, "consent_individual_transfer": false,
        "allow_case_creation": false, "notes": says.notes, "type_of_export": says.type_of_export,
        "authorized_role_unique_id": says.authorized_role,
        "rejected_reason": referral.rejected_reason, "rejection_note": referral.rejection_note,
        "created_at": shown(referral.created_at), "responded_at": referral.responded_at.map(shown),
        "record_access_denied": record_access_denied, "user_can_accept_or_reject": pending_for_us,
    });
    match shown {
        Value::Object(shown) => shown.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Document::new(),
    }
}
