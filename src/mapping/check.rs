//! What the rows of a mapping must agree on: one rule for a target, names that exist, a request line that Primero takes.
//!
//! Runs once at load, over compiled rules; it knows no record.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    INTERVENTION_NUMBER, REJECTED_REASON, SERVICES, STATUS, ServiceFields, UNIQUE_ID,
    file::{Findings, Place, hint},
    load::Loaded,
    rules::{Agreed, Demand, Lookup, Many, Message, Missing, Part, Record, Row, Rules, Source, Unlisted},
};
use crate::referral::Decision;

/// Primero's front refuses longer request lines.
const REQUEST_LINE: usize = 1_000;
/// What is left for the method, the path, a filter and the names that the program itself adds to a `fields=` list.
const RESERVED: usize = 400;

/// Notes everything on which the rows do not agree.
pub(super) fn check(loaded: &Loaded, findings: &Findings) {
    for message in Message::ALL {
        targets(*message, &loaded.rules[*message as usize], findings);
    }
    sets(loaded, findings);
    names(loaded, findings);
    service_type(loaded, findings);
    own_names(loaded, findings);
    request_lines(loaded, findings);
    service_id(&loaded.rules[Message::Service as usize], findings);
    decision(&loaded.rules[Message::ReferralDecision as usize], findings);
    confirmation(loaded, findings);
}

/// Whoever opens a service type relies on somebody having compared the labels of both sides.
fn confirmation(loaded: &Loaded, findings: &Findings) {
    let service_type = &loaded.head.service.service_type;
    let types = |message: Message, is_type: &dyn Fn(&Part) -> bool| {
        for row in loaded.rules[message as usize].all_rows() {
            let lookups = row.source.parts().iter().filter(|part| is_type(part)).filter_map(|part| part.lookup.as_ref());
            for lookup in lookups.filter(|lookup| !lookup.table.needs_confirmation) {
                let name = &lookup.table.name;
                findings.add(row.place, format_args!("the table `{name}` maps service types, so its rows have to be confirmed (hint: `confirmation = true` where it is declared)"));
            }
        }
    };
    types(Message::Service, &|part| part.agreed == Some(Agreed::ServiceTypes));
    types(Message::Referral, &|part| part.record == Record::Service && part.name() == service_type);
}

/// Decisions and referrals are read by Primero's own names: under others no decision would ever be reported.
fn own_names(loaded: &Loaded, findings: &Findings) {
    let (service, rules) = (&loaded.head.service, &loaded.rules[Message::Service as usize]);
    for (key, name, own) in [
        ("number", &service.number, ServiceFields::NUMBER),
        ("service_type", &service.service_type, ServiceFields::SERVICE_TYPE),
        ("status", &service.status, ServiceFields::STATUS),
    ] {
        if let Some(place) = loaded.head.service_at.filter(|_| !name.is_empty() && name != own) {
            findings.add(
                place,
                format_args!(
                    "`{key}` must be `{own}`: it is Primero's own name, by which decisions are heard and referrals are looked at (hint: \
                     `{key} = \"{own}\"`, and the same name in the `[[service]]` row)"
                ),
            );
        }
    }
    let (origin, outside) = (ServiceFields::ORIGIN, ServiceFields::FROM_OUTSIDE);
    let what = format_args!("`{origin}` of a service must be the constant `{outside}` (hint: without it no decision is heard)");
    match rules.rows.iter().find(|row| row.target == origin) {
        Some(row) => {
            if !matches!(&row.source, Source::Constant(value) if value.as_str() == Some(outside)) {
                findings.add(row.place, what);
            }
        }
        None if rules.mentions(origin) => {}
        None => rules.rows.first().into_iter().for_each(|row| findings.add(row.place, what)),
    }
}

/// Nothing comes in that is not agreed: the list is asked by the row that writes the type of the service, of each service.
fn service_type(loaded: &Loaded, findings: &Findings) {
    let service_type = &loaded.head.service.service_type;
    let rows = loaded.rules[Message::Service as usize].all_rows().filter(|row| row.target == *service_type);
    for row in rows {
        let asks = |part: &Part| part.agreed == Some(Agreed::ServiceTypes) && part.many == Many::One;
        if !matches!(&row.source, Source::Part(part) if asks(part)) || row.missing != Missing::Required {
            findings.add(
                row.place,
                format_args!(
                    "`{service_type}` of a service must read one field, with `agreed = \"{}\"` and `required = true` (hint: otherwise \
                     services come in that nobody agreed or confirmed)",
                    Agreed::ServiceTypes
                ),
            );
        }
    }
}

/// Two rules for one target: only the two sides of one block may share theirs.
fn targets(message: Message, rules: &Rules, findings: &Findings) {
    let mut first: BTreeMap<&str, Place> = BTreeMap::new();
    let mut rows: Vec<&Row> = rules.rows.iter().chain(rules.blocks.iter().flat_map(|block| &block.then)).collect();
    rows.sort_unstable_by_key(|row| row.place);
    for row in rows {
        if let Some(place) = first.get(row.target.as_str()) {
            let what = format_args!("two rules for `{}`, the first in line {} (hint: keep one)", row.target, place.line);
            findings.add(row.place, what);
        }
        first.entry(&row.target).or_insert(row.place);
    }
    for block in &rules.blocks {
        let mut seen = BTreeSet::new();
        for row in block.otherwise.iter().filter(|row| !seen.insert(row.target.as_str())) {
            findings.add(row.place, format_args!("two rules for `{}` in one block (hint: keep one)", row.target));
        }
    }
    if message == Message::Case {
        for row in rules.rows.iter().filter(|row| [SERVICES, "id"].contains(&row.target.as_str())) {
            findings.add(row.place, format_args!("`{}` is made by the program (hint: remove the row)", row.target));
        }
    }
}

/// A key whose values of all rows form a set cannot also be one that all rows agree on.
fn sets(loaded: &Loaded, findings: &Findings) {
    let rows = || [Message::Case, Message::Service].into_iter().flat_map(|message| &loaded.rules[message as usize].rows);
    let parts = || rows().flat_map(|row| row.source.parts().iter().map(move |part| (row, part)));
    let is_set = |part: &Part| matches!(part.many, Many::AllRows(_));
    let sets: BTreeSet<&str> =
        parts().filter(|(_, part)| is_set(part)).flat_map(|(_, part)| &part.keys).map(String::as_str).collect();
    for (row, part) in parts().filter(|(_, part)| !is_set(part)) {
        for key in part.keys.iter().filter(|key| sets.contains(key.as_str())) {
            let what =
                format_args!("`{key}` is read here for one row and elsewhere for all rows (hint: add `of_all_rows = true`)");
            findings.add(row.place, what);
        }
    }
}

/// The names that the program needs are names that the rules write.
fn names(loaded: &Loaded, findings: &Findings) {
    let head = &loaded.head;
    let known = |message: Message, name: &str, key: &str, place: Option<Place>| {
        let rules = &loaded.rules[message as usize];
        let Some(place) = place.filter(|_| !name.is_empty() && !rules.rows.is_empty() && !rules.mentions(name)) else { return };
        let hint = hint(name, rules.rows.iter().map(|row| row.target.as_str()));
        findings.add(place, format_args!("`{key}` names `{name}`, which no `[[{message}]]` row writes ({hint})"));
    };
    let (identity, at) = (&head.identity, head.identity_at);
    known(Message::Case, &identity.person_number, "person_number", at);
    known(Message::Case, &identity.sex, "sex", at);
    known(Message::Case, &identity.date_of_birth, "date_of_birth", at);
    identity.names.iter().for_each(|name| known(Message::Case, name, "names", at));
    for (key, names, place) in &head.not_compared {
        let here =
            |name: &String| loaded.renamed.iter().find(|(base, _)| base == name).map_or(name.clone(), |(_, here)| here.clone());
        let written = |name: &String| loaded.rules[Message::Case as usize].all_rows().any(|row| row.target == *name);
        if let Some(name) = names.iter().map(here).find(written) {
            findings.add(
                *place,
                format_args!(
                    "`{key}` is empty, but a `[[case]]` row still writes `{name}`, so another child would not be noticed by it (hint: \
                     `{key} = \"{name}\"`, or remove the row)"
                ),
            );
        }
    }
    let (service, at) = (&head.service, head.service_at);
    known(Message::Service, &service.number, "number", at);
    known(Message::Service, &service.service_type, "service_type", at);
    known(Message::Service, &service.status, "status", at);

    let match_key = loaded.rules[Message::Case as usize].rows.iter().find(|row| row.target == identity.person_number);
    if let Some(row) = match_key {
        let identifier = matches!(&row.source, Source::Part(part) if part.demand == Some(Demand::Identifier));
        if !identifier || row.missing != Missing::Required {
            findings.add(row.place, "the match key must be `required = true` and `identifier = true` (hint: add both)");
        }
    }
}

/// A request line of Primero names every field that we read or confirm.
fn request_lines(loaded: &Loaded, findings: &Findings) {
    let written = loaded.rules[Message::Case as usize].all_rows().map(|row| (row.target.as_str(), row.place));
    too_long("fields that are confirmed after writing", written, findings);
    let mut read = Vec::new();
    for message in [Message::Referral, Message::DecisionReport] {
        for row in loaded.rules[message as usize].all_rows() {
            let keys = row.source.parts().iter().filter(|part| part.record == Record::Case).flat_map(|part| &part.keys);
            read.extend(keys.map(|key| (key.as_str(), row.place)));
        }
    }
    too_long("case fields that are read", read.into_iter(), findings);
}

fn too_long<'a>(what: &str, names: impl Iterator<Item = (&'a str, Place)>, findings: &Findings) {
    let mut seen = BTreeSet::new();
    // The comma between two names may travel as %2C.
    let mut length = SERVICES.len();
    for (name, place) in names {
        if seen.insert(name) {
            length += name.len() + "%2C".len();
        }
        if length > REQUEST_LINE - RESERVED {
            let most = REQUEST_LINE - RESERVED;
            let what = format_args!(
                "the {what} need more than {most} bytes of Primero's request line of {REQUEST_LINE} (hint: exchange fewer or shorter fields)"
            );
            findings.add(place, what);
            return;
        }
    }
}

/// A repeat is the same item only if its id is made of the intervention number.
fn service_id(rules: &Rules, findings: &Findings) {
    let what = format_args!(
        "`{UNIQUE_ID}` of a service must be made of `{INTERVENTION_NUMBER}` with `uuid5` (hint: otherwise a repeat is a second service)"
    );
    match rules.rows.iter().find(|row| row.target == UNIQUE_ID) {
        Some(row) => {
            let fit = |part: &Part| part.uuid5.is_some() && part.keys == [INTERVENTION_NUMBER];
            if !matches!(&row.source, Source::Part(part) if fit(part)) {
                findings.add(row.place, what);
            }
        }
        None if rules.mentions(UNIQUE_ID) => {}
        None => rules.rows.first().into_iter().for_each(|row| findings.add(row.place, what)),
    }
}

/// A decision that is recorded in Primero is `accepted` or `rejected`, nothing else.
fn decision(rules: &Rules, findings: &Findings) {
    let what = "`status` must be required and looked up in a table that writes only `accepted` and `rejected`, \
                with `unlisted = \"refuse\"` (hint: an unknown code is never applied)";
    for row in rules.rows.iter().filter(|row| ![STATUS, REJECTED_REASON].contains(&row.target.as_str())) {
        let hint = hint(&row.target, [STATUS, REJECTED_REASON]);
        findings.add(row.place, format_args!("`{}` cannot be recorded on a referral ({hint})", row.target));
    }
    match rules.rows.iter().find(|row| row.target == STATUS) {
        Some(row) => {
            let only_decisions = |lookup: &Lookup| {
                lookup.unlisted == Unlisted::Refuse && lookup.table.values().all(|value| Decision::from_code(value).is_some())
            };
            let fit = |part: &Part| part.lookup.as_ref().is_some_and(only_decisions);
            if !matches!(&row.source, Source::Part(part) if fit(part)) || row.missing != Missing::Required {
                findings.add(row.place, what);
            }
        }
        None if rules.mentions(STATUS) => {}
        None => rules.rows.first().into_iter().for_each(|row| findings.add(row.place, what)),
    }
}
