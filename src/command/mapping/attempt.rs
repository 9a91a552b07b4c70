//! `mapping try`: one document in, the mapped document out. Nothing is sent, stored or logged.
//!
//! What is printed is the content of the document, for the person who gave it and nobody else.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{Shown, loaded};
use crate::{
    clock::Clock,
    command::Failure,
    config::Settings,
    mapping::{
        Mapping,
        examples::{self, Kind},
        rules::Message,
    },
};

/// Reads the document, maps it, and shows each field with its origin and rule.
pub(super) fn attempt(
    kind: Kind,
    file: Option<&Path>,
    directory: &Path,
    settings: Option<&Settings>,
    shown: &mut Shown<impl Write>,
) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let text = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            fs::read(file).map_err(|error| Failure::failed(format!("{}: cannot be read: {}", file.display(), error.kind())))?
        }
        None => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map_err(|error| Failure::failed(format!("standard input: {}", error.kind())))?;
            text
        }
    };
    // What serde would say may quote a value.
    let given: Value = serde_json::from_slice(&text).map_err(|error| {
        Failure::failed(format!("the document is not JSON (line {}, column {})", error.line(), error.column()))
    })?;
    let (given, not_read) = as_example(&mapping, kind, given);
    let made = examples::made(&mapping, kind, &with(&mapping, kind, settings), &given)
        .map_err(|problem| Failure::failed(format!("{problem} (hint: {})", hint(kind))))?;
    show(&mapping, kind, &made, &not_read, shown)
}

/// What the document has to look like.
const fn hint(kind: Kind) -> &'static str {
    match kind {
        Kind::Intervention => "one row of a post, a list of rows, or the whole post",
        Kind::Referral => "{\"case\": {…}, \"service\": {…}, \"owner\": {…} or null}, as Primero gives them",
        Kind::DecisionReport => "{\"case\": {…}, \"service\": {…}, \"decision\": \"accepted\" or \"rejected\"}",
        Kind::ReferralDecision => "one item of a post, or the whole post",
        Kind::Delivered => "{\"number\": \"…\", \"case_id\": \"…\", \"intake_user\": \"…\"}",
        Kind::Failed => "{\"number\": \"…\", \"case_id\": null, \"gaps\": [[\"missing_fields\", \"a field\"]]}",
    }
}

/// A post, a list or a single item, cut to what the door lets in; with it the names of the keys that are dropped unread.
fn as_example(mapping: &Mapping, kind: Kind, given: Value) -> (Value, BTreeSet<String>) {
    let mut not_read = BTreeSet::new();
    let items = |given: Value| match given {
        Value::Object(mut post) if post.contains_key("interventions") => post.remove("interventions").unwrap_or_default(),
        Value::Object(mut example) if example.contains_key("rows") => example.remove("rows").unwrap_or_default(),
        other => other,
    };
    match kind {
        Kind::Intervention => {
            let mut rows: Vec<Map<String, Value>> = match items(given) {
                Value::Array(rows) => {
                    rows.into_iter().filter_map(|row| if let Value::Object(row) = row { Some(row) } else { None }).collect()
                }
                Value::Object(row) => vec![row],
                other => return (other, not_read),
            };
            // A post may hold several interventions; the first one is tried.
            let number = rows.first().and_then(|row| row.get("progres_interventionnumber")).cloned();
            rows.retain(|row| row.get("progres_interventionnumber") == number.as_ref());
            let before: BTreeSet<String> = rows.iter().flat_map(|row| row.keys().cloned()).collect();
            for row in &mut rows {
                row.retain(|key, _| mapping.intervention_keys().contains(key));
            }
            mapping.narrow(&mut rows);
            let after: BTreeSet<&String> = rows.iter().flat_map(Map::keys).collect();
            not_read.extend(before.iter().filter(|key| !after.contains(key)).cloned());
            (json!({ "rows": rows }), not_read)
        }
        Kind::ReferralDecision => match items(given) {
            Value::Array(items) => (items.into_iter().next().unwrap_or_default(), not_read),
            item => (item, not_read),
        },
        Kind::Referral | Kind::DecisionReport | Kind::Delivered | Kind::Failed => (given, not_read),
    }
}

/// What the program knows besides the document: from the configuration, else everything open and plain placeholders.
fn with(mapping: &Mapping, kind: Kind, settings: Option<&Settings>) -> Value {
    match kind {
        Kind::Intervention => {
            let all = || {
                let lookup = mapping.service_types_in().and_then(|part| part.lookup.as_ref());
                lookup
                    .map(|lookup| (0..lookup.table.rows.len()).map(|row| lookup.table.key(row).to_owned()).collect())
                    .unwrap_or_default()
            };
            let service_types: Vec<String> = settings.map_or_else(all, |settings| settings.flow1.service_types.clone());
            json!({
                "today": Clock::system().now().date_naive(),
                "intake_user": settings.map_or("(intake user)", |settings| &settings.primero.intake_user),
                "service_types": service_types,
                "agencies": settings.map(|settings| settings.flow1.agencies.clone()).unwrap_or_default(),
            })
        }
        Kind::Referral => {
            let administrator = settings.map(|settings| &settings.administrator);
            json!({"administrator": {
                "email": administrator.map_or("(administrator's e-mail)", |administrator| &administrator.email),
                "full_name": administrator.map_or("(administrator's name)", |administrator| &administrator.full_name),
                "phone": administrator.map_or("(administrator's phone)", |administrator| &administrator.phone),
            }})
        }
        Kind::DecisionReport | Kind::ReferralDecision | Kind::Delivered | Kind::Failed => Value::Null,
    }
}

/// A document inside what is made of a kind of record.
pub(super) struct Made {
    /// Where it stands, as a JSON pointer.
    pub(super) at: &'static str,
    /// What people call it.
    pub(super) what: &'static str,
    /// The message whose rows make it.
    message: Message,
}

/// The documents that are made of a kind of record.
pub(super) const fn documents(kind: Kind) -> &'static [Made] {
    const fn alone(what: &'static str, message: Message) -> Made {
        Made { at: "", what, message }
    }
    match kind {
        Kind::Intervention => {
            const {
                &[
                    Made { at: "/new_case", what: "a new case", message: Message::Case },
                    Made { at: "/if_empty", what: "into an existing case, where it has no value", message: Message::Case },
                    Made { at: "/service", what: "the service", message: Message::Service },
                ]
            }
        }
        Kind::Referral => const { &[alone("to DTP", Message::Referral)] },
        Kind::DecisionReport => const { &[alone("to DTP", Message::DecisionReport)] },
        Kind::ReferralDecision => const { &[alone("on the referral", Message::ReferralDecision)] },
        Kind::Delivered => const { &[alone("to DTP", Message::Delivered)] },
        Kind::Failed => const { &[alone("to DTP", Message::Failed)] },
    }
}

impl Made {
    /// Where a field of it comes from, and by which rule; both empty if no row writes it.
    pub(super) fn origin(&self, mapping: &Mapping, field: &str) -> (String, String) {
        let target = if self.message == Message::ReferralDecision && field == "decision" { "status" } else { field };
        let rows = mapping.rows().filter(|(of, row)| *of == self.message && row.target == target);
        let (from, rules): (Vec<String>, Vec<String>) = rows.map(|(_, row)| (row.origin_in_words(), row.rule_in_words())).unzip();
        (from.join(", or "), rules.join(", or "))
    }
}

fn show(
    mapping: &Mapping,
    kind: Kind,
    made: &Value,
    not_read: &BTreeSet<String>,
    shown: &mut Shown<impl Write>,
) -> Result<(), Failure> {
    let gaps = made.get("gaps").and_then(Value::as_array).map(Vec::as_slice).filter(|_| made.get("gaps").is_some());
    let mut fields = Vec::new();
    if gaps.is_none() && !made.is_null() {
        for part in documents(kind) {
            let what = part.what;
            shown.words(&format!("{what}:"))?;
            for (field, value) in made.pointer(part.at).and_then(Value::as_object).into_iter().flatten() {
                let (from, rule) = part.origin(mapping, field);
                shown.words(&format!("  {field} = {value}\n      from {from}\n      {rule}"))?;
                fields.push(json!({"in": what, "field": field, "from": from, "rule": rule}));
            }
        }
    }
    if kind == Kind::ReferralDecision && made.is_null() {
        shown.words("held: the decision's code, or the reason of a rejection, is not known; nothing is written")?;
    }
    for gap in gaps.unwrap_or_default() {
        shown.words(&format!("gap: {} {}", gap[0].as_str().unwrap_or_default(), gap[1].as_str().unwrap_or_default()))?;
    }
    if !not_read.is_empty() {
        let names: Vec<&str> = not_read.iter().map(String::as_str).collect();
        shown.words(&format!("dropped unread, because no rule reads them: {}", names.join(", ")))?;
    }
    let document = if gaps.is_some() { &Value::Null } else { made };
    shown.row(&json!({"document": document, "fields": fields, "gaps": gaps.unwrap_or_default(), "not_read": not_read}))?;
    match gaps {
        Some(gaps) => Err(Failure::failed(format!("it cannot be mapped: {}", super::checked::many(gaps.len(), "gap")))),
        None => Ok(()),
    }
}
