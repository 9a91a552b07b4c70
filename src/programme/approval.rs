//! Whether a mapping may be used as it stands: approved, and every service that the configuration opens confirmed by somebody.
//!
//! It reads configuration and mapping, never a record.

use crate::{
    config::{Environment, Settings, Unapproved},
    consent::listed,
    mapping::{Mapping, rules::Agreed},
};

/// What speaks against using a mapping.
#[derive(Debug, Default)]
pub struct Approval {
    /// With these nothing starts.
    pub refused: Vec<String>,
    /// These a person should know.
    pub warned: Vec<String>,
}

/// Judges a mapping under a configuration.
#[must_use]
pub fn approval(settings: &Settings, mapping: &Mapping) -> Approval {
    let mut approval = Approval::default();
    if let Some(unapproved) = mapping.unapproved(&settings.agreement.reference) {
        let said = format!("mapping {}: {unapproved}", mapping.version());
        match settings.mapping_unapproved {
            Unapproved::Refuse => approval.refused.push(said),
            Unapproved::Warn => approval.warned.push(said),
        }
    }
    let asks_agencies = mapping.rows().flat_map(|(_, row)| row.source.parts()).any(|part| part.agreed == Some(Agreed::Agencies));
    if asks_agencies && settings.flows.to_primero && settings.flow1.agencies.is_empty() {
        approval.refused.push(
            "`flow1.agencies` is empty, and the mapping asks it: no agency's request could come in (hint: list the agencies that have \
             signed, as proGres names them)"
                .to_owned(),
        );
    }
    let unconfirmed = unconfirmed(settings, mapping);
    match settings.environment {
        Environment::Production => approval.refused.extend(unconfirmed),
        Environment::Test => approval.warned.extend(unconfirmed),
    }
    approval
}

/// The rows of service types that are opened although nobody has confirmed them, each with file and line.
fn unconfirmed(settings: &Settings, mapping: &Mapping) -> Vec<String> {
    let lists = [
        ("flow1.service_types", &settings.flow1.service_types, mapping.service_types_in()),
        ("referrals.service_types", &settings.referrals.service_types, mapping.service_types_out()),
    ];
    let mut said = Vec::new();
    for (key, opened, part) in lists {
        let Some(lookup) = part.and_then(|part| part.lookup.as_ref()) else { continue };
        let table = &lookup.table;
        // Asked as it is asked whether a service may cross: another spelling in the list opens the row all the same.
        let is_open = |row: &usize| table.confirmation(*row).is_none() && listed(opened, Some(table.key(*row)));
        for row in (0..table.rows.len()).filter(is_open) {
            let (place, service_type) = (mapping.written_at(table.places[row]), table.key(row));
            said.push(format!(
                "{place}: `{service_type}` is opened by `{key}`, but nobody has confirmed this row (hint: compare the labels of both \
                 sides, then fill in `confirmed_by_role` and `confirmed_on`; or close it)"
            ));
        }
    }
    said
}
