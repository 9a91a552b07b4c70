//! A post of DTP, from its bytes to a case draft. What is taken has a number; what is mapped says nothing outside its allow-list.
#![no_main]

use std::{path::Path, sync::LazyLock};

use chrono::NaiveDate;
use libfuzzer_sys::fuzz_target;
use referrald::{
    dtp::{Envelope, Items, content},
    mapping::{InterventionContext, Mapping},
};

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let gambella = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings/gambella");
    Mapping::load(&gambella).unwrap_or_else(|problems| panic!("{problems}"))
});

fuzz_target!(|bytes: &[u8]| {
    let mapping = &*MAPPING;
    let Ok(envelope) = Envelope::parse(bytes, mapping.intervention_keys(), mapping.decision_keys()) else { return };
    match envelope.items {
        Items::Interventions(interventions) => {
            for intervention in interventions {
                let read = |key: &String| mapping.intervention_keys().contains(key);
                assert!(intervention.rows.iter().all(|row| row.keys().all(read)), "a key that is not read was kept");
                assert_eq!(content(&intervention.rows), content(&intervention.rows.iter().rev().cloned().collect::<Vec<_>>()));
                let types = ["Alternative Care".to_owned()];
                let context = InterventionContext {
                    intake_user: "intake",
                    today: NaiveDate::from_ymd_opt(2026, 11, 22).expect("a day"),
                    service_types: &types,
                    agencies: &[],
                };
                if let Err(gaps) = mapping.case_draft(&intervention.number, &intervention.rows, context) {
                    assert!(!gaps.is_empty(), "refused without a reason");
                }
            }
        }
        Items::Decisions(decisions) => decisions.iter().for_each(|decision| drop(mapping.referral_decision(&decision.item))),
    }
});
