//! Need to know: for some service types fewer fields are exchanged than the mapping could.
//!
//! A profile names the only fields that are written. What no row of a profile reads is dropped before anything is stored.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Document, INTERVENTION_NUMBER, Mapping, ServiceFields, UNIQUE_ID,
    evaluate::Sources,
    file::{Findings, hint},
    layers::Laid,
    load::Loaded,
    rules::{Agreed, Many, Message, Missing, Part, Profile, Record, Row, Rules, Source, Unlisted},
    table::Table,
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
        let reason = keys.text("reason").map(|(reason, _)| reason.to_owned());
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
        profiles.push(Profile { name: name.to_owned(), service_types, only, reason, place: keys.place, keys: BTreeSet::new() });
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
                Message::Service => &[
                    UNIQUE_ID,
                    service.number.as_str(),
                    service.service_type.as_str(),
                    service.status.as_str(),
                    ServiceFields::ORIGIN,
                ],
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
        let message = if profile.only.contains_key(&Message::Referral) { Message::Referral } else { Message::Service };
        let rules = &loaded.rules[message as usize];
        let found = if message == Message::Referral {
            type_out(rules, &service.service_type)
        } else {
            type_in(rules, &service.service_type)
        };
        let Some(table) = found.and_then(|(row, part)| sure(rules, row, part)) else {
            if rules.broken.is_empty() {
                findings.add(
                    profile.place,
                    format_args!(
                        "the profile could be passed by: the `[[{message}]]` row that looks up the type of the service must read one \
                         field and be `required = true`, with a `table` and `unlisted = \"refuse\"` (hint: otherwise a type that \
                         nobody can read gets every field)"
                    ),
                );
            }
            continue;
        };
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

/// The table by which the type of a service is told, if no message can be made whose type is not in it.
fn sure<'a>(rules: &Rules, row: &Row, part: &'a Part) -> Option<&'a Table> {
    let stands_always = matches!(row.source, Source::Part(_)) && rules.rows.iter().any(|other| std::ptr::eq(other, row));
    let lookup = part.lookup.as_ref().filter(|lookup| lookup.unlisted == Unlisted::Refuse)?;
    (stands_always && row.missing == Missing::Required && part.many == Many::One).then_some(&*lookup.table)
}

/// The keys of an intervention that the rows of a profile read.
pub(super) fn keys(
    profile: &Profile,
    rules: &[Rules; Message::ALL.len()],
    service_type: &str,
    given_case_id: &str,
) -> BTreeSet<String> {
    let rows = [Message::Case, Message::Service]
        .into_iter()
        .flat_map(|message| rules[message as usize].rows.iter().filter(move |row| profile.has(message, &row.target)));
    let read = rows.flat_map(|row| row.source.parts()).flat_map(|part| part.keys.iter().cloned());
    // Without its label nobody knows which profile it is.
    let label =
        type_in(&rules[Message::Service as usize], service_type).into_iter().flat_map(|(_, part)| part.keys.iter().cloned());
    read.chain(label).chain([INTERVENTION_NUMBER.to_owned(), given_case_id.to_owned()]).collect()
}

/// The row that writes the type of a service, and how it reads the label that proGres gives it.
fn type_in<'a>(rules: &'a Rules, service_type: &str) -> Option<(&'a Row, &'a Part)> {
    parts(rules).find(|(row, part)| row.target == service_type && part.agreed == Some(Agreed::ServiceTypes))
}

/// The row that reads the type of a service to look it up, and how.
fn type_out<'a>(rules: &'a Rules, service_type: &str) -> Option<(&'a Row, &'a Part)> {
    parts(rules).find(|(_, part)| part.record == Record::Service && part.name() == service_type && part.lookup.is_some())
}

fn parts(rules: &Rules) -> impl Iterator<Item = (&Row, &Part)> {
    rules.all_rows().flat_map(|row| row.source.parts().iter().map(move |part| (row, part)))
}

impl Mapping {
    /// Where an intervention's service type is read.
    #[must_use]
    pub fn service_types_in(&self) -> Option<&Part> {
        type_in(self.rules(Message::Service), &self.service_fields.service_type).map(|(_, part)| part)
    }

    /// Where a referral's service type is read.
    #[must_use]
    pub fn service_types_out(&self) -> Option<&Part> {
        type_out(self.rules(Message::Referral), &self.service_fields.service_type).map(|(_, part)| part)
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

    /// The profile of an intervention. Without one the message is made whole, or not at all: loading made sure that a type that
    /// cannot be read, or that no table knows, refuses it.
    pub(super) fn profile_in(&self, rows: &[Document]) -> Option<&Profile> {
        let sources = Sources { rows, ..Sources::default() };
        of_type(&self.profiles_in, self.service_types_in(), Message::Service, sources)
    }

    /// The profile of a referral, likewise.
    pub(super) fn profile_out(&self, service: &Document) -> Option<&Profile> {
        let sources = Sources { service: Some(service), ..Sources::default() };
        of_type(&self.profiles_out, self.service_types_out(), Message::Referral, sources)
    }
}

/// The profile of the type that the table would be asked for.
fn of_type<'a>(profiles: &'a [Profile], part: Option<&Part>, message: Message, sources: Sources<'_>) -> Option<&'a Profile> {
    let part = part.filter(|_| !profiles.is_empty())?;
    let asked = sources.asked_for(part, message)?;
    profiles.iter().find(|profile| profile.service_types.iter().any(|known| *known == asked))
}
