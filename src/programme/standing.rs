//! Whether a mapping may be used as it stands: approved, and every service that the configuration opens confirmed by somebody.
//!
//! It reads configuration and mapping, never a record.

use crate::{
    config::{Environment, Settings, Unapproved},
    mapping::{
        Mapping,
        rules::{Message, Part, Record},
    },
};

/// What speaks against using a mapping.
#[derive(Debug, Default)]
pub struct Standing {
    /// With these nothing starts.
    pub refused: Vec<String>,
    /// These a person should know.
    pub warned: Vec<String>,
}

/// Judges a mapping under a configuration.
#[must_use]
pub fn standing(settings: &Settings, mapping: &Mapping) -> Standing {
    let mut standing = Standing::default();
    if let Some(unapproved) = mapping.unapproved(&settings.agreement.reference) {
        let said = format!("mapping {}: {unapproved}", mapping.version());
        match settings.mapping_unapproved {
            Unapproved::Refuse => standing.refused.push(said),
            Unapproved::Warn => standing.warned.push(said),
        }
    }
    let unconfirmed = unconfirmed(settings, mapping);
    match settings.environment {
        Environment::Production => standing.refused.extend(unconfirmed),
        Environment::Test => standing.warned.extend(unconfirmed),
    }
    standing
}

/// The rows of service types that are opened although nobody has confirmed them, each with file and line.
fn unconfirmed(settings: &Settings, mapping: &Mapping) -> Vec<String> {
    let lists = [
        ("flow1.service_types", &settings.flow1.service_types, service_types_in(mapping)),
        ("referrals.service_types", &settings.referrals.service_types, service_types_out(mapping)),
    ];
    let mut said = Vec::new();
    for (key, opened, part) in lists {
        let Some(lookup) = part.and_then(|part| part.lookup.as_ref()) else { continue };
        let table = &lookup.table;
        for service_type in opened {
            let Some(row) = table.row_of(service_type).filter(|row| table.confirmation(*row).is_none()) else { continue };
            let place = mapping.written_at(table.places[row]);
            said.push(format!(
                "{place}: `{service_type}` is opened by `{key}`, but nobody has confirmed this row (hint: compare the labels of both \
                 sides, then fill in `confirmed_by_role` and `confirmed_on`; or close it)"
            ));
        }
    }
    said
}

/// Where an intervention's service type is read.
#[must_use]
pub fn service_types_in(mapping: &Mapping) -> Option<&Part> {
    parts(mapping, Message::Service).find(|part| part.agreed)
}

/// Where a referral's service type is read.
#[must_use]
pub fn service_types_out(mapping: &Mapping) -> Option<&Part> {
    parts(mapping, Message::Referral).find(|part| part.record == Record::Service && part.name() == "service_type")
}

fn parts(mapping: &Mapping, message: Message) -> impl Iterator<Item = &Part> {
    mapping.rows().filter(move |(of, _)| *of == message).flat_map(|(_, row)| row.source.parts())
}
