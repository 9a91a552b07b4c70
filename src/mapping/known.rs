//! What the rules tell about themselves once compiled: which fields they read, which they write, where each value comes from.
//!
//! From here come the inbox's list of keys and Primero's `fields=`: nothing else of a record is ever looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    INTERVENTION_NUMBER, OF_A_DECISION, Origin, SERVICES,
    rules::{Many, Message, Record, Row, Rules, Source},
};

/// The fields that a mapping knows.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) intervention_keys: BTreeSet<String>,
    /// Those on which all rows of one intervention must agree.
    pub(super) agreeing_keys: Vec<String>,
    pub(super) decision_keys: BTreeSet<String>,
    pub(super) referral_case_fields: BTreeSet<String>,
    pub(super) written_case_fields: BTreeSet<String>,
    pub(super) written_service_fields: BTreeSet<String>,
    /// Of the targets of flow 1.
    pub(super) origins: BTreeMap<(Message, String), Origin>,
}

impl Known {
    /// Looks through all rules.
    pub(super) fn of(rules: &[Rules; Message::ALL.len()], given_case_id: &str) -> Self {
        let of = |message: Message| &rules[message as usize];
        let keys = |message: Message, record| {
            of(message).read_keys().filter(move |(of, _)| *of == record).map(|(_, key)| key.to_owned())
        };
        let targets = |message: Message| of(message).all_rows().map(|row| row.target.clone()).collect::<BTreeSet<_>>();
        let both = [Message::Case, Message::Service];
        let mut intervention_keys: BTreeSet<String> =
            both.into_iter().flat_map(|message| keys(message, Record::Intervention)).collect();
        intervention_keys.extend([INTERVENTION_NUMBER.to_owned(), given_case_id.to_owned()]);
        let parts = || both.into_iter().flat_map(|message| of(message).all_rows()).flat_map(|row| row.source.parts());
        let sets: BTreeSet<&String> =
            parts().filter(|part| matches!(part.many, Many::AllRows(_))).flat_map(|part| &part.keys).collect();
        let agreeing_keys = intervention_keys.iter().filter(|key| !sets.contains(key)).cloned().collect();
        let mut decision_keys: BTreeSet<String> = keys(Message::ReferralDecision, Record::Decision).collect();
        decision_keys.extend(OF_A_DECISION.map(str::to_owned));
        let mut referral_case_fields = BTreeSet::new();
        for message in [Message::Referral, Message::DecisionReport] {
            referral_case_fields.extend(keys(message, Record::Case));
            if keys(message, Record::Service).next().is_some() {
                referral_case_fields.insert(SERVICES.to_owned());
            }
        }
        let origins = both
            .into_iter()
            .flat_map(|message| of(message).all_rows().map(move |row| ((message, row.target.clone()), origin(row))));
        Self {
            intervention_keys,
            agreeing_keys,
            decision_keys,
            referral_case_fields,
            written_case_fields: targets(Message::Case),
            written_service_fields: targets(Message::Service),
            origins: origins.collect(),
        }
    }
}

fn origin(row: &Row) -> Origin {
    match &row.source {
        Source::Constant(_) | Source::Setting(_) | Source::Given(..) => Origin::Ours,
        Source::Part(part) if part.lookup.is_some() => Origin::Table,
        Source::Part(part) if part.uuid5.is_some() => Origin::Ours,
        Source::Part(part) => Origin::Theirs(part.name().to_owned()),
        Source::Join { parts, .. } => parts.first().map_or(Origin::Ours, |part| Origin::Theirs(part.name().to_owned())),
    }
}
