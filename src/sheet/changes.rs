//! What changed from one mapping to another, in words; what is newly shared comes first.
//!
//! It compares what the mappings do, not how their files are written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    signed::{key, relied_on},
    words::{self, Field},
};
use crate::mapping::{
    Mapping,
    rules::{Lookup, Message, Profile, Record, Row, Source, Unlisted},
    table::Table,
};

/// Where the profiles stand.
const FEWER: &str = "Fewer fields";

/// What kind of change it is, in the order in which people must see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// UNHCR gets something that it did not get before.
    Shared,
    /// Primero gets something that it did not get before.
    Taken,
    /// Something is not exchanged any more.
    Ended,
    /// A value that is always the same is another one.
    Constant,
    /// A rule is another one.
    Rule,
    /// What is known of a field: form, localisable, reason.
    Remark,
    /// A value becomes another value.
    Value,
    /// Another cell of a value table.
    Table,
    /// A text that people read.
    Text,
    /// On which fields the program relies.
    Names,
    /// Something that nothing else in the list tells.
    Other,
    /// The version.
    Version,
}

impl Subject {
    /// As people read it.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Shared => "new field shared with UNHCR",
            Self::Taken => "new field taken from UNHCR",
            Self::Ended => "no longer exchanged",
            Self::Constant => "fixed value",
            Self::Rule => "rule",
            Self::Remark => "form, localisable or reason",
            Self::Value => "value",
            Self::Table => "value table",
            Self::Text => "text",
            Self::Names => "recognised by",
            Self::Other => "something else",
            Self::Version => "version",
        }
    }

    /// Whether nobody may overlook it.
    pub(super) const fn is_loud(self) -> bool {
        matches!(self, Self::Shared | Self::Taken)
    }
}

/// One change.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) subject: Subject,
    /// The message or table.
    pub(super) place: String,
    /// The field or row.
    pub(super) what: String,
    pub(super) was: String,
    pub(super) now: String,
    /// All of it as a sentence.
    pub(super) said: String,
}

/// Every change, newly shared fields first.
pub(super) fn changes(old: &Mapping, new: &Mapping) -> Vec<Change> {
    let mut changes = Vec::new();
    for message in Message::ALL {
        of_message(old, new, *message, &mut changes);
    }
    of_profiles(old, new, &mut changes);
    of_reasons(old, new, &mut changes);
    of_tables(old, new, &mut changes);
    of_texts(old, new, &mut changes);
    for ((what, was), (_, now)) in relied_on(old).into_iter().zip(relied_on(new)) {
        let said = format!("{what}: it is now {} instead of {}", quoted(&now), quoted(&was));
        note(&mut changes, Subject::Names, "Recognised by", what, was, now, said);
    }
    of_the_rest(old, new, &mut changes);
    let (was, now) = (old.plain_version().to_owned(), new.plain_version().to_owned());
    let said = format!("the version is now {} instead of {}", quoted(&now), quoted(&was));
    note(&mut changes, Subject::Version, "Cover", "version", was, now, said);
    changes.sort_by_key(|change| change.subject);
    changes
}

/// Notes a change, if it is one.
fn note(changes: &mut Vec<Change>, subject: Subject, place: &str, what: &str, was: String, now: String, said: String) {
    if was != now {
        changes.push(Change { subject, place: place.to_owned(), what: what.to_owned(), was, now, said });
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "empty".to_owned() } else { format!("“{text}”") }
}

/// What a message takes out of records, and the fields that it writes.
fn taken(fields: &[Field<'_>]) -> BTreeSet<(Record, String)> {
    let parts = fields.iter().flat_map(|field| field.row.source.parts());
    parts.flat_map(|part| part.keys.iter().map(|key| (part.record, key.clone()))).collect()
}

fn of_message(old: &Mapping, new: &Mapping, message: Message, changes: &mut Vec<Change>) {
    let (old, new) = (words::fields(old, message), words::fields(new, message));
    let place = words::title(message);
    let (known, read_now) = (taken(&old), taken(&new));
    let (subject, loud, ask) = loud(message);
    let has = |fields: &[Field<'_>], target: &str| fields.iter().any(|field| field.row.target == target);
    for field in &new {
        let target = &field.row.target;
        if !has(&old, target) {
            let said = format!("{loud}: {target}: {ask}. {place}, {}. {}", one_line(&field.source), field.rule);
            note(changes, subject, place, target, "not exchanged".to_owned(), field.source.clone(), said);
            continue;
        }
        // A field that was there, and now holds something that this message did not hold.
        let more = taken(std::slice::from_ref(field));
        for (record, key) in more.difference(&known).filter(|_| !matches!(field.row.source, Source::Constant(_))) {
            let said = format!("{loud}: {key}, inside {target}: {ask}. {place}, {}.", words::named(*record, key));
            note(changes, subject, place, target, "not exchanged".to_owned(), words::named(*record, key), said);
        }
        let before = old.iter().find(|before| before.id == field.id);
        if before.is_none() {
            let said = format!("{target} ({place}): new rule: {}", field.rule);
            note(changes, Subject::Rule, place, target, "no such rule".to_owned(), field.rule.clone(), said);
        }
        let Some(before) = before else { continue };
        of_field(before, field, place, changes);
    }
    for field in &old {
        let target = &field.row.target;
        if !has(&new, target) {
            let said = format!("{target} ({place}): it is not exchanged any more; it was taken from {}", one_line(&field.source));
            note(changes, Subject::Ended, place, target, field.source.clone(), "not exchanged".to_owned(), said);
        } else if !new.iter().any(|after| after.id == field.id) {
            let said = format!("{target} ({place}): this rule is gone: {}", field.rule);
            note(changes, Subject::Rule, place, target, field.rule.clone(), "no such rule".to_owned(), said);
        } else {
            for (record, key) in taken(std::slice::from_ref(field)).difference(&read_now) {
                let said = format!("{} ({place}): it is not read any more; it was part of {target}", words::named(*record, key));
                note(changes, Subject::Ended, place, target, words::named(*record, key), "not read".to_owned(), said);
            }
        }
    }
}

/// What a service gets that it did not get before, because a profile is wider or gone; and the other way round.
fn of_profiles(old: &Mapping, new: &Mapping, changes: &mut Vec<Change>) {
    let written = |mapping: &Mapping, message| -> BTreeSet<String> {
        mapping.rules(message).all_rows().map(|row| row.target.clone()).collect()
    };
    for (at, messages) in [&[Message::Case, Message::Service][..], &[Message::Referral]].into_iter().enumerate() {
        let profiles = [old.profiles()[at], new.profiles()[at]];
        let services: BTreeSet<&String> = profiles.into_iter().flatten().flat_map(|profile| &profile.service_types).collect();
        for (service, message) in services.into_iter().flat_map(|service| messages.iter().map(move |message| (service, *message)))
        {
            let [before, now] = profiles.map(|all| all.iter().find(|profile| profile.service_types.contains(service)));
            let has = |profile: Option<&Profile>, field: &String| profile.is_none_or(|profile| profile.has(message, field));
            let place = words::title(message);
            let fields: Vec<String> = written(old, message).intersection(&written(new, message)).cloned().collect();
            let those = |more: Option<&Profile>, less: Option<&Profile>| {
                let those: Vec<&str> =
                    fields.iter().filter(|field| has(more, field) && !has(less, field)).map(String::as_str).collect();
                those.join(", ")
            };
            let (more, less) = (those(now, before), those(before, now));
            let said = format!("{}: {more}, for {service}: {} ({place})", loud(message).1, loud(message).2);
            note(changes, loud(message).0, place, service, String::new(), more, said);
            let said = format!("{less} ({place}): not exchanged any more for {service}");
            note(changes, Subject::Ended, place, service, less, String::new(), said);
        }
    }
}

/// Names and reasons of the profiles themselves.
fn of_reasons(old: &Mapping, new: &Mapping, changes: &mut Vec<Change>) {
    let reasons = |mapping: &Mapping| -> BTreeMap<(usize, String), String> {
        let profiles =
            mapping.profiles().into_iter().enumerate().flat_map(|(at, all)| all.iter().map(move |profile| (at, profile)));
        profiles.map(|(at, profile)| ((at, profile.name.clone()), profile.reason.clone().unwrap_or_default())).collect()
    };
    let (before, after) = (reasons(old), reasons(new));
    for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
        let (_, name) = key;
        match (before.get(key), after.get(key)) {
            (Some(was), Some(now)) => {
                let said = format!("{name}: the reason is now {} instead of {}", quoted(now), quoted(was));
                note(changes, Subject::Remark, FEWER, name, was.clone(), now.clone(), said);
            }
            (was, _) => {
                let is = |there: bool| if there { "there" } else { "not there" }.to_owned();
                let said = format!("{name}: {}", if was.is_some() { "this profile is gone" } else { "this profile is new" });
                note(changes, Subject::Remark, FEWER, name, is(was.is_some()), is(was.is_none()), said);
            }
        }
    }
}

/// Rows, blocks and profiles that are written otherwise and of which the list says nothing yet.
fn of_the_rest(old: &Mapping, new: &Mapping, changes: &mut Vec<Change>) {
    for message in Message::ALL {
        let (old, new): (Vec<_>, Vec<_>) = (old.written(*message).iter().collect(), new.written(*message).iter().collect());
        untold(words::title(*message), &old, &new, changes);
    }
    let (old, new): (Vec<_>, Vec<_>) = (old.written_profiles().collect(), new.written_profiles().collect());
    untold(FEWER, &old, &new, changes);
}

fn untold(place: &str, old: &[&Value], new: &[&Value], changes: &mut Vec<Change>) {
    let name = |row: &Value| ["to", "name"].iter().find_map(|key| row.get(key)?.as_str().map(str::to_owned)).unwrap_or_default();
    let names: BTreeSet<String> = old.iter().chain(new).map(|row| name(row)).collect();
    for what in names {
        let of = |rows: &[&Value]| -> BTreeSet<String> {
            rows.iter().filter(|row| name(row) == what).map(|row| row.to_string()).collect()
        };
        if of(old) == of(new) {
            continue;
        }
        let about: BTreeSet<String> =
            old.iter().chain(new).filter(|row| name(row) == what).flat_map(|row| said_about(row)).collect();
        let tells = |change: &Change| {
            (change.place == place || place == FEWER)
                && about.iter().any(|name| change.what == *name || change.what.starts_with(&format!("{name}: ")))
        };
        if !changes.iter().any(tells) {
            let said = format!("{what} ({place}): something differs that this list does not show; compare the files");
            note(changes, Subject::Other, place, &what, "one way".to_owned(), "another way".to_owned(), said);
        }
    }
}

/// Under which names the list tells of a row, a block or a profile.
fn said_about(row: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let texts = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    for key in ["to", "name", "service_types"] {
        names.extend(row.get(key).map(texts).unwrap_or_default());
    }
    for side in ["then", "otherwise"] {
        names.extend(row.get(side).and_then(Value::as_array).into_iter().flatten().flat_map(said_about));
    }
    names
}

/// What a field that is exchanged anew is called, and what has to be done.
const fn loud(message: Message) -> (Subject, &'static str, &'static str) {
    if words::goes_to_unhcr(message) {
        (Subject::Shared, "NEW FIELD SHARED WITH UNHCR", "agreement and consent wording must be checked")
    } else {
        (Subject::Taken, "NEW FIELD TAKEN FROM UNHCR", "the agreement must be checked")
    }
}

fn of_field(before: &Field<'_>, field: &Field<'_>, place: &str, changes: &mut Vec<Change>) {
    let target = &field.row.target;
    if let (Source::Constant(was), Source::Constant(now)) = (&before.row.source, &field.row.source) {
        let (was, now) = (words::value(was), words::value(now));
        let said = format!("{target} ({place}): it is now always {} instead of {}", quoted(&now), quoted(&was));
        note(changes, Subject::Constant, place, target, was, now, said);
    } else {
        let source = format!(
            "{target} ({place}): it is now taken from {} instead of {}",
            one_line(&field.source),
            one_line(&before.source)
        );
        note(changes, Subject::Rule, place, target, before.source.clone(), field.source.clone(), source);
        let rule = format!("{target} ({place}): the rule is now {} It was {}", quoted(&field.rule), quoted(&before.rule));
        note(changes, Subject::Rule, place, target, before.rule.clone(), field.rule.clone(), rule);
    }
    let of = |row: &Row| {
        let form = row.form.clone().unwrap_or_else(|| "not on form".to_owned());
        let localisable = if row.localisable { "yes" } else { "no" }.to_owned();
        [form, localisable, row.reason.clone().unwrap_or_default()]
    };
    let remarks = ["the form", "localisable", "the reason"].into_iter().zip(of(before.row).into_iter().zip(of(field.row)));
    for (what, (was, now)) in remarks {
        let said = format!("{target} ({place}): {what} is now {} instead of {}", quoted(&now), quoted(&was));
        note(changes, Subject::Remark, place, target, was, now, said);
    }
    let lookups = words::lookups(before.row).into_iter().zip(words::lookups(field.row));
    for (was, now) in lookups {
        of_values(target, place, was, now, changes);
    }
}

/// What becomes of each value that one of both tables knows.
fn of_values(target: &str, place: &str, was: &Lookup, now: &Lookup, changes: &mut Vec<Change>) {
    let mut seen = BTreeSet::new();
    for (table, row) in [&now.table, &was.table].into_iter().flat_map(|table| (0..table.rows.len()).map(move |row| (table, row)))
    {
        let value = key(table, row);
        if !seen.insert(value) {
            continue;
        }
        let (before, after) = (effect(was, value), effect(now, value));
        let what = labelled(table, row, &table.looked_up);
        // Labels are compared with the rows of the table.
        if plain(was, value) != plain(now, value) {
            let said = format!("{target}: {what} is now {after} instead of {before} ({place})");
            note(changes, Subject::Value, place, &format!("{target}: {what}"), before, after, said);
        }
    }
}

fn plain(lookup: &Lookup, value: &str) -> String {
    lookup.table.get(value).map_or_else(|| unlisted(lookup), |written| format!("“{written}”"))
}

/// What becomes of a value, with its label.
fn effect(lookup: &Lookup, value: &str) -> String {
    let row = lookup.table.row_of(value);
    row.map_or_else(|| unlisted(lookup), |row| labelled(&lookup.table, row, &lookup.table.written))
}

fn unlisted(lookup: &Lookup) -> String {
    match &lookup.unlisted {
        Unlisted::Refuse => "refused".to_owned(),
        Unlisted::AsIs => "taken as it is".to_owned(),
        Unlisted::LeaveOut => "left out".to_owned(),
        Unlisted::Default(default) => format!("{default} (as any other value)"),
    }
}

/// A cell with its label beside it: `primero_id` has the label `primero_label`.
fn labelled(table: &Table, row: usize, column: &str) -> String {
    let cell = table.cell(row, column).unwrap_or_default();
    let side = column.rsplit_once('_').map_or(column, |(side, _)| side);
    match table.cell(row, &format!("{side}_label")) {
        Some(label) if !label.is_empty() && label != cell => format!("{cell} ({label})"),
        _ => cell.to_owned(),
    }
}

fn of_tables(old: &Mapping, new: &Mapping, changes: &mut Vec<Change>) {
    let find = |mapping: &Mapping, name: &str| mapping.tables().iter().find(|table| table.name == name).cloned();
    for table in new.tables() {
        let place = format!("Table {}", table.name);
        let Some(before) = find(old, &table.name) else {
            let now = format!("{} rows", table.rows.len());
            let said = format!("the table {} is new and has {now}", table.name);
            note(changes, Subject::Table, &place, "the whole table", "not there".to_owned(), now, said);
            continue;
        };
        of_table(&before, table, &place, changes);
    }
    for table in old.tables().iter().filter(|table| find(new, &table.name).is_none()) {
        let was = format!("{} rows", table.rows.len());
        let said = format!("the table {} is gone; it had {was}", table.name);
        note(changes, Subject::Table, &format!("Table {}", table.name), "the whole table", was, "not there".to_owned(), said);
    }
}

fn of_table(before: &Table, table: &Table, place: &str, changes: &mut Vec<Change>) {
    let name = &table.name;
    for (what, was, now) in [("looks up", &before.looked_up, &table.looked_up), ("writes", &before.written, &table.written)] {
        let said = format!("the table {name} now {what} its column {now} instead of {was}");
        note(changes, Subject::Table, place, "columns", was.clone(), now.clone(), said);
    }
    let (was, now) = (before.columns.join(", "), table.columns.join(", "));
    let said = format!("the table {name} now has the columns {now} instead of {was}");
    note(changes, Subject::Table, place, "columns", was, now, said);
    for row in 0..table.rows.len() {
        let value = key(table, row);
        let what = labelled(table, row, &table.looked_up);
        let Some(earlier) = before.row_of(value) else {
            let now = cells(table, row);
            let said = format!("the table {name} has a new row: {now}");
            note(changes, Subject::Table, place, &what, "not there".to_owned(), now, said);
            continue;
        };
        for column in table.columns.iter().filter(|column| before.columns.contains(column)) {
            let cell = |table: &Table, row| table.cell(row, column).unwrap_or_default().to_owned();
            let (was, now) = (cell(before, earlier), cell(table, row));
            let said = format!("the table {name}, row {what}: {column} is now {} instead of {}", quoted(&now), quoted(&was));
            note(changes, Subject::Table, place, &what, was, now, said);
        }
    }
    for row in (0..before.rows.len()).filter(|row| table.row_of(key(before, *row)).is_none()) {
        let (what, was) = (labelled(before, row, &before.looked_up), cells(before, row));
        let said = format!("the table {name} has lost a row: {was}");
        note(changes, Subject::Table, place, &what, was, "not there".to_owned(), said);
    }
}

/// The cells of a row that say something.
fn cells(table: &Table, row: usize) -> String {
    let cells = table.columns.iter().zip(&table.rows[row]).filter(|(_, cell)| !cell.is_empty());
    cells.map(|(column, cell)| format!("{column} “{cell}”")).collect::<Vec<_>>().join(", ")
}

fn of_texts(old: &Mapping, new: &Mapping, changes: &mut Vec<Change>) {
    let text = |mapping: &Mapping, code: &str| {
        mapping.texts().find(|(reason, _)| reason.code() == code).map(|(_, text)| text.to_owned()).unwrap_or_default()
    };
    let codes: BTreeSet<&str> = old.texts().chain(new.texts()).map(|(reason, _)| reason.code()).collect();
    for code in codes {
        let (was, now) = (text(old, code), text(new, code));
        let said = format!("the text of {code} is now {} instead of {}", quoted(&now), quoted(&was));
        note(changes, Subject::Text, "Texts", code, was, now, said);
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', ", ")
}
