//! Makes the simulated Primero the instance of a programme: the fields, options, users and agencies that its mapping and its configuration
//! name are there, as somebody would have set them up.
//!
//! Fields and options come out of the mapping, so a test that a mapping fits this instance proves nothing; the fixed catalogue beneath it
//! is the one that is faithful.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{
    super::primero::{CASE_WORKER, Field, FieldType, OTHER_CASE_WORKER, OptionSource, SimulatedPrimero},
    Site,
};
use crate::mapping::{
    Mapping,
    rules::{Many, Message, Missing, Part, Reading, Record, Row, Source, Unlisted},
};

const CASE_FORM: &str = "basic_identity";
const CONSENT_FORM: &str = "consent";
const SERVICE_FORM: &str = "services_section";
const OWNER: &str = "owned_by";
/// Every item of a subform has it.
const UNIQUE_ID: &str = "unique_id";

type Choices = BTreeMap<String, String>;

/// Furnishes the instance. A mapping that cannot be read furnishes nothing: the daemon will say what is wrong with it.
pub(super) fn furnish(primero: &SimulatedPrimero, site: &Site, mapping: &Path) {
    for agency in &site.owner_agencies {
        primero.put_agency(agency, agency);
    }
    let agency = site.case_workers_agency();
    for worker in [CASE_WORKER, OTHER_CASE_WORKER] {
        primero.change_user(worker, |user| user.agency(agency));
    }
    for recipient in &site.recipients {
        primero.add_recipient(recipient);
    }
    for field in &site.consent {
        primero.offer(CONSENT_FORM, Field::new(field, FieldType::TickBox), &[]);
    }
    primero.add_intake_user(&site.intake_user, agency);
    let Ok(mapping) = Mapping::load(mapping) else { return };
    for (message, row) in mapping.rows() {
        let form = match message {
            Message::Case if row.target == OWNER => {
                choices(row).keys().for_each(|user| primero.add_intake_user(user, agency));
                continue;
            }
            Message::Case => CASE_FORM,
            Message::Service => SERVICE_FORM,
            Message::Referral | Message::DecisionReport => {
                row.source.parts().iter().for_each(|part| read(primero, part));
                continue;
            }
            Message::Delivered | Message::Failed | Message::ReferralDecision => continue,
        };
        if row.target == UNIQUE_ID {
            continue;
        }
        let choices = choices(row);
        primero.offer(form, Field::new(&row.target, kind(row, !choices.is_empty())), &listed(&choices));
    }
}

/// A field that a message to DTP reads.
fn read(primero: &SimulatedPrimero, part: &Part) {
    let form = match part.record {
        Record::Case => CASE_FORM,
        Record::Service => SERVICE_FORM,
        Record::Intervention | Record::Owner | Record::Decision => return,
    };
    let mut choices = Choices::new();
    for table in part.lookup.iter().map(|lookup| &lookup.table) {
        for row in 0..table.rows.len() {
            choices.insert(table.key(row).to_owned(), table.cell(row, "primero_label").unwrap_or(table.key(row)).to_owned());
        }
    }
    for name in part.keys.iter().filter(|name| *name != UNIQUE_ID) {
        primero.offer(form, Field::new(name, FieldType::Text), &listed(&choices));
    }
}

/// What a row may write into a field with options: ids with their labels.
fn choices(row: &Row) -> Choices {
    let mut choices = Choices::new();
    for lookup in row.source.parts().iter().filter_map(|part| part.lookup.as_ref()) {
        let table = &lookup.table;
        for row in 0..table.rows.len() {
            choices.insert(table.value(row).to_owned(), table.cell(row, "primero_label").unwrap_or(table.value(row)).to_owned());
        }
        if let Unlisted::Default(default) = &lookup.unlisted {
            choices.entry(default.clone()).or_insert_with(|| default.clone());
        }
        if let Missing::Default(Value::String(default)) = &row.missing {
            choices.entry(default.clone()).or_insert_with(|| default.clone());
        }
    }
    choices
}

fn listed(choices: &Choices) -> Vec<(String, String)> {
    choices.iter().map(|(id, label)| (id.clone(), label.clone())).collect()
}

fn kind(row: &Row, has_choices: bool) -> FieldType {
    let several = row.source.parts().iter().any(|part| matches!(part.many, Many::AllRows(None) | Many::List(None)));
    let options = || OptionSource::Inline(Vec::new());
    match (&row.source, row.source.parts()) {
        _ if has_choices && several => FieldType::MultiSelect(options()),
        _ if has_choices => FieldType::Select(options()),
        (Source::Constant(Value::Bool(_)), _) => FieldType::TickBox,
        (_, [part]) if part.reading == Reading::Date => FieldType::Date,
        (_, [part]) if part.reading == Reading::DateTime => FieldType::DateTime,
        (_, [part]) if part.reading == Reading::Age => FieldType::Numeric,
        _ => FieldType::Text,
    }
}
