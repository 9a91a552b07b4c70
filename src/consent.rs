//! May this referral leave? The one place that says so, asked at the moment of sending, on records read just before.
//!
//! Pure: no I/O, no clock, no wire. What is not explicitly allowed does not leave.
//! It does not know whether the referral was sent before, nor what the mapping can express; others ask that.

use std::iter;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use crate::{
    activity::Basis,
    config::{Agreement, Consent, ConsentException, Referrals},
    primero::{Case, Document, Referral, ReferralStatus, text},
    reason::Reason,
    zone::Zone,
};

const MODULE: &str = "module_id";
const OWNER_AGENCY: &str = "owned_by_agency_id";
const SERVICES: &str = "services_section";
const SERVICE_ID: &str = "unique_id";
const SERVICE_TYPE: &str = "service_type";
const IMPLEMENTING_AGENCY: &str = "service_implementing_agency";

/// What the programme allows.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The lists; an empty one lets nothing through.
    pub referrals: &'a Referrals,
    /// Where consent is recorded.
    pub consent: &'a Consent,
    /// The signed agreement.
    pub agreement: &'a Agreement,
    /// No referral made before this leaves.
    pub start_from: DateTime<Utc>,
    /// Where the last day of consent ends.
    pub time_zone: Zone,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Neither the implementing agency nor the recipient is on a list: it is not for us and is noted nowhere.
    NotOurs,
    /// It may leave now, on this ground.
    MayLeave(Basis),
    /// It does not leave; the reason names the first condition that fails.
    Withheld(Reason),
    /// It does not leave before a person has put it right or decided.
    Held(Reason),
}

/// May `referral` of `case` leave at the moment `now`?
///
/// `service` is the item of the case that the referral names; an item that it does not name tells nothing and counts as absent,
/// and so does every item if the referral belongs to another case.
/// `released` is the ground on which a person let this exception go; it helps nothing but an exception.
///
/// Conditions are looked at in this order, and the first that fails gives the reason:
///
/// 1. it concerns us: implementing agency or recipient on a list (else [`Verdict::NotOurs`]);
/// 2. made since the first day; in progress; a service of this case named; the case enabled;
/// 3. module, implementing agency, recipient, owning agency and service type on their lists;
/// 4. the agreement valid;
/// 5. not an exception: consent given; an exception: not forbidden by configuration;
/// 6. no restriction recorded, whoever decided what;
/// 7. an exception: let go by configuration, or released by a person.
///
/// A referral marked as an exception is judged as one even where consent stands in the case:
/// who made it said that it goes without.
#[must_use]
pub fn may_leave(
    rules: &Rules<'_>,
    case: &Case,
    service: Option<&Document>,
    referral: &Referral,
    released: Option<Basis>,
    now: DateTime<Utc>,
) -> Verdict {
    let service = service.filter(|service| names(referral, case, service));
    let lists = rules.referrals;
    let implementing_agency =
        listed(&lists.implementing_agencies, service.and_then(|service| text(service, IMPLEMENTING_AGENCY)));
    let recipient = recipient_is_listed(lists, referral);
    if !implementing_agency && !recipient {
        return Verdict::NotOurs;
    }

    let conditions = [
        (referral.created_at >= rules.start_from, Reason::BeforeStart),
        (referral.status == ReferralStatus::InProgress, Reason::NotInProgress),
        (service.is_some(), Reason::ServiceNotNamed),
        (case.enabled, Reason::CaseDisabled),
        (listed(&lists.modules, case.text(MODULE)), Reason::ModuleNotListed),
        (implementing_agency, Reason::ImplementingAgencyNotListed),
        (recipient, Reason::RecipientNotListed),
        (listed(&lists.owner_agencies, case.text(OWNER_AGENCY)), Reason::AgencyNotSigned),
        (listed(&lists.service_types, service.and_then(|service| text(service, SERVICE_TYPE))), Reason::ServiceTypeNotListed),
        (rules.agreement.is_valid(now), Reason::AgreementNotValid),
    ];
    if let Some((_, reason)) = conditions.into_iter().find(|(holds, _)| !holds) {
        return Verdict::Withheld(reason);
    }

    let ground = if referral.consent_overridden {
        exception(rules.consent.exception, released)
    } else if consent_given(rules, case, now) {
        Verdict::MayLeave(Basis::Consent)
    } else {
        Verdict::Withheld(Reason::ConsentMissing)
    };
    match ground {
        Verdict::MayLeave(_) | Verdict::Held(_) if restriction_recorded(rules, case) => {
            Verdict::Held(Reason::RestrictionRecorded)
        }
        Verdict::NotOurs | Verdict::MayLeave(_) | Verdict::Withheld(_) | Verdict::Held(_) => ground,
    }
}

/// Whether consent is given now: every required field is true, and the last day of consent, if one is recorded, is not past.
///
/// True is JSON's `true` or the text `"true"`, nothing else. No required field at all is no consent.
/// A last day counts whole, in the programme's zone; one that cannot be read is past.
#[must_use]
pub fn consent_given(rules: &Rules<'_>, case: &Case, now: DateTime<Utc>) -> bool {
    let document = case.document.reveal();
    let consent = rules.consent;
    !consent.require.is_empty()
        && consent.require.iter().all(|field| document.get(field).is_some_and(is_true))
        && consent.valid_until_field.as_ref().and_then(|field| document.get(field)).filter(|value| has_value(value)).is_none_or(
            |value| day(value, rules.time_zone).is_some_and(|day| now.with_timezone(&rules.time_zone).date_naive() <= day),
        )
}

/// The case fields that this room reads, for Primero's `fields=`; a name may come twice.
pub fn fields<'a>(rules: &Rules<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let Consent { require, hold_if_set, valid_until_field, exception: _ } = rules.consent;
    iter::chain([MODULE, OWNER_AGENCY, SERVICES], require.iter().chain(hold_if_set).chain(valid_until_field).map(String::as_str))
}

/// What configuration and a person say about a referral made by exception.
///
/// A person's word does not help where configuration says never. Only the two grounds on which a person can decide count.
fn exception(policy: ConsentException, released: Option<Basis>) -> Verdict {
    let by_a_person = match released {
        Some(ground @ (Basis::VitalInterests | Basis::BestInterests)) => Some(ground),
        Some(Basis::Consent | Basis::Exception) | None => None,
    };
    match (policy, by_a_person) {
        (ConsentException::Never, _) => Verdict::Withheld(Reason::ConsentMissing),
        (ConsentException::Hold | ConsentException::Send, Some(ground)) => Verdict::MayLeave(ground),
        (ConsentException::Hold, None) => Verdict::Held(Reason::ConsentException),
        (ConsentException::Send, None) => Verdict::MayLeave(Basis::Exception),
    }
}

fn restriction_recorded(rules: &Rules<'_>, case: &Case) -> bool {
    rules.consent.hold_if_set.iter().any(|field| case.document.reveal().get(field).is_some_and(has_value))
}

fn names(referral: &Referral, case: &Case, service: &Document) -> bool {
    referral.case == case.key
        && referral.service_record_id.is_some()
        && referral.service_record_id.as_deref() == text(service, SERVICE_ID)
}

/// Whether the recipient of a referral is on its list.
///
/// A remote referral has no user as recipient, so the agency stands for it; for any other one the agency says nothing.
#[must_use]
pub fn recipient_is_listed(lists: &Referrals, referral: &Referral) -> bool {
    if referral.remote {
        listed(&lists.recipient_agencies, referral.transitioned_to_agency.as_ref().map(|agency| agency.reveal().as_str()))
    } else {
        listed(&lists.recipients, referral.transitioned_to.as_ref().map(|name| name.reveal().as_str()))
    }
}

/// Whether a name is on a list, whatever its case. A missing or blank name is on no list, not even on one with a blank entry.
#[must_use]
pub fn listed(list: &[String], name: Option<&str>) -> bool {
    let plain = |name: &str| name.trim().to_lowercase();
    name.map(plain).filter(|name| !name.is_empty()).is_some_and(|name| list.iter().any(|entry| plain(entry) == name))
}

/// Whether a service is marked as referred.
#[must_use]
pub fn is_referred(service: &Document) -> bool {
    service.get("service_status_referred").is_some_and(is_true)
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value.as_str() == Some("true")
}

fn has_value(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(_) | Value::Object(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => !values.is_empty(),
    }
}

/// A date as it stands, a moment as its day in the programme's zone.
fn day(value: &Value, time_zone: Zone) -> Option<NaiveDate> {
    let text = value.as_str()?.trim();
    let moment = || DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.with_timezone(&time_zone).date_naive());
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().or_else(moment)
}

#[cfg(test)]
mod tests;
