//! Need to know: for some service types fewer fields are exchanged than the mapping could.
//!
//! A profile names the only fields that are written. What no row of a profile reads is dropped before anything is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Document, INTERVENTION_NUMBER, Mapping, UNIQUE_ID,
    file::{Findings, hint},
    layers::Laid,
    load::Loaded,
    rules::{Agreed, Message, Part, Profile, Record, Rules},
};

/// Reads the profiles of a file; `sections` are the messages that it makes.
pub(super) fn read(laid: Laid<'_>, sections: &[(&'static str, Message)]) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for in_force in laid.rows {
        let keys = in_force.keys;
        let name = keys.needed("name", "what people call it, for example \"number and service only\"");
        let service_types = keys.texts("service_types");
        if service_types.is_none() && !keys.has("service_types") {
            keys.problem("`service_types` is missing (hint: the services for which fewer fields are exchanged)");
        }
        keys.text("reason");
        let mut only = BTreeMap::new();
        for (section, message) in sections {
            if let Some((fields, _)) = keys.texts(section) {
                only.insert(*message, fields.into_iter().map(str::to_owned).collect());
            }
        }
        if only.is_empty() {
            let sections = sections.iter().map(|(section, _)| format!("`{section}`")).collect::<Vec<_>>().join(" or ");
            keys.problem(format_args!(
                "the profile names no fields (hint: {sections}, a list of the only fields that are written)"
            ));
        }
        keys.finish();
        let (Some((name, _)), Some((types, _))) = (name, service_types) else { continue };
        let service_types = types.into_iter().map(str::to_owned).collect();
        profiles.push(Profile { name: name.to_owned(), service_types, only, place: keys.place, keys: BTreeSet::new() });
    }
    profiles
}

/// Notes what does not fit: fields that nothing writes, services that no table knows, and what no message can do without.
pub(super) fn check(loaded: &Loaded, findings: &Findings) {
    let (identity, service) = (&loaded.head.identity, &loaded.head.service);
    for profiles in [&loaded.profiles_in, &loaded.profiles_out] {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for profile in profiles {
            for service_type in profile.service_types.iter().filter(|service_type| !seen.insert(service_type)) {
                findings.add(profile.place, format_args!("`{service_type}` stands in two profiles (hint: keep one)"));
            }
        }
    }
    for profile in loaded.profiles_in.iter().chain(&loaded.profiles_out) {
        for (message, only) in &profile.only {
            let rules = &loaded.rules[*message as usize];
            for field in only.iter().filter(|field| !rules.mentions(field)) {
                let hint = hint(field, rules.all_rows().map(|row| row.target.as_str()));
                findings.add(
                    profile.place,
                    format_args!("the profile names `{field}`, which no `[[{message}]]` row writes ({hint})"),
                );
            }
            let needed: &[&str] = match message {
                Message::Case => &[identity.person_number.as_str(), "module_id", "owned_by", "status"],
                Message::Service => &[UNIQUE_ID, service.number.as_str(), service.service_type.as_str(), service.status.as_str()],
                Message::Referral => &["id", "service_type"],
                Message::Delivered | Message::Failed | Message::DecisionReport | Message::ReferralDecision => &[],
            };
            for field in needed.iter().filter(|field| rules.mentions(field) && !only.contains(**field)) {
                findings.add(
                    profile.place,
                    format_args!("the profile lacks `{field}`, without which nothing can be sent (hint: add it)"),
                );
            }
        }
        let part = if profile.only.contains_key(&Message::Referral) {
            type_out(&loaded.rules[Message::Referral as usize], &service.service_type)
        } else {
            type_in(&loaded.rules[Message::Service as usize])
        };
        let Some(table) = part.and_then(|part| part.lookup.as_ref()).map(|lookup| &lookup.table) else { continue };
        for service_type in profile.service_types.iter().filter(|service_type| table.get(service_type).is_none()) {
            findings.add(
                profile.place,
                format_args!(
                    "`{service_type}` is not in the table `{}` (hint: its column `{}` lists the services)",
                    table.name, table.looked_up
                ),
            );
        }
    }
}

/// The keys of an intervention that the rows of a profile read.
pub(super) fn keys(profile: &Profile, rules: &[Rules; Message::ALL.len()], given_case_id: &str) -> BTreeSet<String> {
    let rows = [Message::Case, Message::Service]
        .into_iter()
        .flat_map(|message| rules[message as usize].rows.iter().filter(move |row| profile.has(message, &row.target)));
    let read = rows.flat_map(|row| row.source.parts()).flat_map(|part| part.keys.iter().cloned());
    // Without its label nobody knows which profile it is.
    let label = type_in(&rules[Message::Service as usize]).into_iter().flat_map(|part| part.keys.iter().cloned());
    read.chain(label).chain([INTERVENTION_NUMBER.to_owned(), given_case_id.to_owned()]).collect()
}

fn type_in(rules: &Rules) -> Option<&Part> {
    rules.all_rows().flat_map(|row| row.source.parts()).find(|part| part.agreed == Some(Agreed::ServiceTypes))
}

fn type_out<'a>(rules: &'a Rules, service_type: &str) -> Option<&'a Part> {
    let mut parts = rules.all_rows().flat_map(|row| row.source.parts());
    parts.find(|part| part.record == Record::Service && part.name() == service_type && part.lookup.is_some())
}

impl Mapping {
    /// Where an intervention's service type is read.
    #[must_use]
    pub fn service_types_in(&self) -> Option<&Part> {
        type_in(self.rules(Message::Service))
    }

    /// Where a referral's service type is read.
    #[must_use]
    pub fn service_types_out(&self) -> Option<&Part> {
        type_out(self.rules(Message::Referral), &self.service_fields.service_type)
    }

    /// The profiles of what comes in, and of what goes out.
    #[must_use]
    pub fn profiles(&self) -> [&[Profile]; 2] {
        [&self.profiles_in, &self.profiles_out]
    }

    /// Drops of an intervention what its service's profile does not read.
    pub fn narrow(&self, rows: &mut [Document]) {
        let Some(keys) = self.profile_in(rows).map(|profile| &profile.keys) else { return };
        for row in rows {
            row.retain(|key, _| keys.contains(key));
        }
    }

    pub(super) fn profile_in(&self, rows: &[Document]) -> Option<&Profile> {
        if self.profiles_in.is_empty() {
            return None;
        }
        let label = label(self.service_types_in()?, rows.first()?)?;
        self.profiles_in.iter().find(|profile| profile.service_types.iter().any(|known| known == label))
    }

    pub(super) fn profile_out(&self, service: &Document) -> Option<&Profile> {
        if self.profiles_out.is_empty() {
            return None;
        }
        let label = label(self.service_types_out()?, service)?;
        self.profiles_out.iter().find(|profile| profile.service_types.iter().any(|known| known == label))
    }
}

fn label<'a>(part: &Part, document: &'a Document) -> Option<&'a str> {
    part.keys.iter().find_map(|key| match document.get(key)? {
        Value::String(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Value::Object(reference) => reference.get("Name").and_then(Value::as_str),
        _ => None,
    })
}
