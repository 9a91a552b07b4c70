//! Which services of a case carry a decision on a referral from UNHCR.
//!
//! Pure. It knows how Primero spells it, and nothing of what was reported before.

use std::collections::BTreeMap;

use crate::{
    mapping::ServiceFields,
    personal::Personal,
    primero::{Case, Document, text},
    referral::{Decision, InterventionNumber},
};

/// The key of a referral from UNHCR in a service item.
pub const NUMBER: &str = ServiceFields::NUMBER;

/// A decision made in Primero.
#[derive(Clone, Debug)]
pub enum Decided<'a> {
    /// One status, on every service that carries the number.
    Once(Decision, Personal<&'a Document>),
    /// The services that carry the number say different things.
    Contradicting,
}

/// The decisions in a case, by intervention number. A number on two services with two statuses, pending among them, contradicts itself.
#[must_use]
pub fn decisions_in(case: &Case) -> BTreeMap<InterventionNumber, Decided<'_>> {
    let mut statuses: BTreeMap<InterventionNumber, Vec<(&str, &Document)>> = BTreeMap::new();
    for service in case.services() {
        let number = text(service, NUMBER).and_then(|number| number.parse().ok());
        if let (Some(number), Some(ServiceFields::FROM_OUTSIDE)) = (number, text(service, ServiceFields::ORIGIN)) {
            statuses.entry(number).or_default().push((text(service, ServiceFields::STATUS).unwrap_or_default(), service));
        }
    }
    statuses
        .into_iter()
        .filter_map(|(number, found)| {
            let any = found.iter().any(|(status, _)| Decision::from_code(status).is_some());
            let same = found.iter().all(|(status, _)| *status == found[0].0);
            match (any, same) {
                (false, _) => None,
                (true, false) => Some((number, Decided::Contradicting)),
                (true, true) => {
                    Decision::from_code(found[0].0).map(|decision| (number, Decided::Once(decision, Personal::new(found[0].1))))
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::referral::CaseKey;

    const STATUS: &str = ServiceFields::STATUS;
    const ORIGIN: &str = ServiceFields::ORIGIN;
    const FROM_OUTSIDE: &str = ServiceFields::FROM_OUTSIDE;

    fn told(services: &Value) -> Vec<String> {
        let document = json!({ "services_section": services }).as_object().cloned().unwrap_or_default();
        let case = Case {
            key: CaseKey(Uuid::nil()),
            enabled: true,
            last_updated_at: DateTime::UNIX_EPOCH,
            document: Personal::new(document),
        };
        decisions_in(&case)
            .into_iter()
            .map(|(number, decided)| match decided {
                Decided::Once(decision, _) => format!("{number} {decision}"),
                Decided::Contradicting => format!("{number} contradicting"),
            })
            .collect()
    }

    fn service(number: &str, origin: &str, status: &str) -> Value {
        json!({ NUMBER: number, ORIGIN: origin, STATUS: status })
    }

    #[test]
    fn only_external_referrals_with_a_number_and_a_decision_are_told() {
        let table = [
            (json!([service("A-1", FROM_OUTSIDE, "accepted")]), vec!["A-1 accepted"]),
            (json!([service("A-1", FROM_OUTSIDE, "rejected")]), vec!["A-1 rejected"]),
            (json!([service("A-1", FROM_OUTSIDE, "pending")]), vec![]),
            (json!([service("A-1", FROM_OUTSIDE, "")]), vec![]),
            (json!([service("A-1", "internal_referral", "accepted")]), vec![]),
            (json!([service("", FROM_OUTSIDE, "accepted")]), vec![]),
            (json!([service("not a number", FROM_OUTSIDE, "accepted")]), vec![]),
            (json!([{ ORIGIN: FROM_OUTSIDE, STATUS: "accepted" }, 7, null]), vec![]),
            (json!(null), vec![]),
            (
                json!([service("A-2", FROM_OUTSIDE, "rejected"), service("A-1", FROM_OUTSIDE, "accepted")]),
                vec!["A-1 accepted", "A-2 rejected"],
            ),
        ];
        for (services, expected) in table {
            assert_eq!(told(&services), expected);
        }
    }

    #[test]
    fn one_number_with_two_statuses_contradicts_itself() {
        let accepted = service("A-1", FROM_OUTSIDE, "accepted");
        for other in ["rejected", "pending"] {
            assert_eq!(told(&json!([accepted, service("A-1", FROM_OUTSIDE, other)])), ["A-1 contradicting"]);
        }
        assert_eq!(told(&json!([accepted, accepted])), ["A-1 accepted"]);
    }
}
