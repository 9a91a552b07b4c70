//! What may come in, and what may leave.
//!
//! It holds the lists; it never sees a case.

use super::super::{Consent, Flow1, Flows, Referrals, reading::Reading, values};

pub(super) fn flow1(reading: &mut Reading, flows: Option<Flows>) -> Option<Flow1> {
    let closed_case = reading.read("flow1.closed_case", values::closed_case);
    let hold_for = reading.read("flow1.hold_for", values::patience);
    let service_types = reading.read("flow1.service_types", values::list);
    if flows.is_some_and(|flows| flows.to_primero) && service_types.as_ref().is_some_and(Vec::is_empty) {
        reading.refuse(
            "flow1.service_types",
            "is empty while `flows.to_primero` is on: nothing could come in (hint: list the agreed labels of proGres)",
        );
    }
    let agencies = reading.read("flow1.agencies", values::list);
    Some(Flow1 { closed_case: closed_case?, hold_for: hold_for?, service_types: service_types?, agencies: agencies? })
}

pub(super) fn referrals(reading: &mut Reading, flows: Option<Flows>) -> Option<Referrals> {
    let mut list = |name: &str| reading.read(&format!("referrals.{name}"), values::list);
    let implementing_agencies = list("implementing_agencies");
    let recipients = list("recipients");
    let recipient_agencies = list("recipient_agencies");
    let owner_agencies = list("owner_agencies");
    let service_types = list("service_types");
    let modules = list("modules");

    if flows.is_some_and(|flows| flows.to_dtp) {
        for (key, list, hint) in [
            ("referrals.implementing_agencies", &implementing_agencies, "list the agencies whose services are UNHCR's"),
            ("referrals.owner_agencies", &owner_agencies, "list the agencies that have signed"),
            ("referrals.service_types", &service_types, "list the option ids of Primero that may leave"),
            ("referrals.modules", &modules, "list the modules of Primero that may leave"),
        ] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                reading.refuse(key, format_args!("is empty while `flows.to_dtp` is on: nothing could leave (hint: {hint})"));
            }
        }
        if let (Some([]), Some([])) = (recipients.as_deref(), recipient_agencies.as_deref()) {
            reading.refuse(
                "referrals.recipients",
                "is empty, and `referrals.recipient_agencies` too, while `flows.to_dtp` is on: nothing could leave (hint: list the \
                 user names of Primero to whom UNHCR's referrals are sent)",
            );
        }
    }
    Some(Referrals {
        implementing_agencies: implementing_agencies?,
        recipients: recipients?,
        recipient_agencies: recipient_agencies?,
        owner_agencies: owner_agencies?,
        service_types: service_types?,
        modules: modules?,
    })
}

pub(super) fn consent(reading: &mut Reading, flows: Option<Flows>) -> Option<Consent> {
    let require = reading.read("consent.require", values::list);
    let hold_if_set = reading.read("consent.hold_if_set", values::list);
    let valid_until_field = reading.read("consent.valid_until_field", values::text_or_none);
    let exception = reading.read("consent.exception", values::consent_exception);
    if flows.is_some_and(|flows| flows.to_dtp) && require.as_ref().is_some_and(Vec::is_empty) {
        reading.refuse(
            "consent.require",
            "is empty while `flows.to_dtp` is on: referrals would leave without consent (hint: list the fields of a case that \
             record it)",
        );
    }
    Some(Consent { require: require?, hold_if_set: hold_if_set?, valid_until_field: valid_until_field?, exception: exception? })
}
