//! Option ids with the label that people see in Primero beside the label in our table.
//!
//! Ids outlive their labels: an id that reads like one service may be shown as another. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::fit::{ALWAYS_WRITTEN, Fit};
use crate::{
    config::Settings,
    consent::listed,
    mapping::{
        Mapping,
        rules::{Message, Record, Row, Source},
        table::Table,
    },
    primero::FormAccess,
};

/// One option of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The field in Primero.
    pub field: String,
    /// The option id.
    pub id: String,
    /// What people see in Primero; none if there is no such option.
    pub live: Option<String>,
    /// What stands in our table; none if we have no label for it.
    pub ours: Option<String>,
    /// The table; none for an option without a row, and for a constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// File and line of our row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is the matter: `agrees`, `differs`, `no_such_option`, `no_row`, `no_label`.
    pub verdict: &'static str,
    /// Whether the configuration opens it.
    pub opened: bool,
}

impl Fit<'_> {
    /// Every option that the mapping names, and every option of a looked-up field that it does not.
    pub(super) fn labels(&self, settings: &Settings, mapping: &Mapping) -> Vec<Label> {
        let mut labels = Vec::new();
        for (message, row) in mapping.rows() {
            match message {
                Message::Case | Message::Service => self.written(settings, mapping, message, row, &mut labels),
                Message::Referral | Message::DecisionReport => self.read(settings, mapping, row, &mut labels),
                Message::Delivered | Message::Failed | Message::ReferralDecision => {}
            }
        }
        let mut seen = BTreeSet::new();
        labels.retain(|label: &Label| {
            seen.insert((label.field.clone(), label.id.clone(), label.table.clone(), label.place.clone()))
        });
        labels
    }

    fn written(&self, settings: &Settings, mapping: &Mapping, message: Message, row: &Row, labels: &mut Vec<Label>) {
        let Some(offered) = self.options_of(message == Message::Service, &row.target) else { return };
        let mut label = |id: &str, ours: Option<&str>, table: Option<&Table>, place: String, opened| {
            labels.push(judged(&row.target, id, offered.get(id), ours, table, Some(place), opened));
        };
        if let Source::Constant(serde_json::Value::String(id)) = &row.source {
            label(id, None, None, mapping.written_at(row.place), false);
        }
        for table in row.source.parts().iter().filter_map(|part| part.lookup.as_ref()).map(|lookup| &*lookup.table) {
            for at in 0..table.rows.len() {
                let opened = listed(&settings.flow1.service_types, Some(table.key(at)));
                let ours = label_beside(table, at, &table.written);
                label(table.value(at), ours, Some(table), mapping.written_at(table.places[at]), opened);
            }
        }
    }

    fn read(&self, settings: &Settings, mapping: &Mapping, row: &Row, labels: &mut Vec<Label>) {
        for part in row.source.parts() {
            let Some(table) = part.lookup.as_ref().map(|lookup| &*lookup.table) else { continue };
            let nested = match part.record {
                Record::Case => false,
                Record::Service => true,
                Record::Intervention | Record::Owner | Record::Decision => continue,
            };
            let Some(offered) = self.options_of(nested, part.name()) else { continue };
            let opened = |id: &str| nested && listed(&settings.referrals.service_types, Some(id));
            for at in 0..table.rows.len() {
                let (id, ours) = (table.key(at), label_beside(table, at, &table.looked_up));
                let place = mapping.written_at(table.places[at]);
                labels.push(judged(part.name(), id, offered.get(id), ours, Some(table), Some(place), opened(id)));
            }
            for (id, live) in offered.iter().filter(|(id, _)| table.get(id).is_none()) {
                labels.push(judged(part.name(), id, Some(live), None, Some(table), None, opened(id)));
            }
        }
    }

    /// Fields that people must fill in and that the mapping does not write, in words.
    pub(super) fn required_without_rule(&self, mapping: &Mapping) -> Vec<String> {
        let words = |what: &str, form: &str, name: &str| {
            format!(
                "{what} `{name}` is required on the form `{form}`, and no rule writes it: people cannot save the form before they have filled it in"
            )
        };
        let case = self.required(false).into_iter().filter(|(_, name, access)| {
            *access == Some(FormAccess::ReadAndWrite)
                && !mapping.written_case_fields().contains(*name)
                && !ALWAYS_WRITTEN.contains(name)
        });
        let service = self.required(true).into_iter().filter(|(_, name, _)| !mapping.written_service_fields().contains(*name));
        let case = case.map(|(form, name, _)| words("the case field", form, name));
        case.chain(service.map(|(form, name, _)| words("the field of a service", form, name))).collect()
    }
}

fn judged(
    field: &str,
    id: &str,
    live: Option<&String>,
    ours: Option<&str>,
    table: Option<&Table>,
    place: Option<String>,
    opened: bool,
) -> Label {
    let same = |one: &str, other: &str| one.trim().to_lowercase() == other.trim().to_lowercase();
    let verdict = match (live, ours, &place) {
        (None, _, _) => "no_such_option",
        (Some(_), None, None) => "no_row",
        (Some(_), None, Some(_)) => "no_label",
        (Some(live), Some(ours), _) if same(live, ours) => "agrees",
        (Some(_), Some(_), _) => "differs",
    };
    Label {
        field: field.to_owned(),
        id: id.to_owned(),
        live: live.cloned(),
        ours: ours.map(str::to_owned),
        table: table.map(|table| table.name.clone()),
        place,
        verdict,
        opened,
    }
}

/// Beside `primero_id` stands `primero_label`.
fn label_beside<'a>(table: &'a Table, row: usize, column: &str) -> Option<&'a str> {
    let side = column.rsplit_once('_').map_or(column, |(side, _)| side);
    table.cell(row, &format!("{side}_label")).filter(|label| !label.is_empty())
}
