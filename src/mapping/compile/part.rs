//! One source field of a row: how it is read, what it must be, what it is looked up in.
//!
//! It does not know where the value is written, nor what happens when there is none.

use toml::de::DeValue;
use uuid::Uuid;

use super::{Tables, whose};
use crate::mapping::{
    file::{Keys, hint},
    rules::{Agreed, Demand, Lookup, Many, Message, Part, Reading, Record, Unlisted},
};

/// The ways to read a value.
pub(in crate::mapping) const READINGS: [&str; 9] =
    ["text", "text_or_number", "reference", "notes", "html", "date", "date_time", "age", "as_is"];
/// What may happen to a value that the table does not list, besides a default.
pub(in crate::mapping) const UNLISTED: [&str; 3] = ["refuse", "as_is", "leave_out"];

/// One source field and how it is read. All its keys are asked for before anything is given up.
pub(super) fn part(keys: &Keys<'_>, record: Option<Record>, message: Message, tables: &Tables, in_join: bool) -> Option<Part> {
    let from = keys.value("from").and_then(|_| keys.needed("from", "the key as the sender writes it, dots included"));
    let first_of = keys.texts("first_of");
    let many = if in_join { Many::One } else { many(keys, message) };
    let reading = reading(keys);
    let last_characters = keys.count("last_characters");
    let lower_case = keys.flag("lower_case");
    let demand = demand(keys, message, reading);
    let agreed = agreed(keys, message);
    let uuid5 = keys.text("uuid5").and_then(|(text, place)| {
        let namespace = Uuid::try_parse(text).ok();
        if namespace.is_none() {
            keys.problem_at(place, "`uuid5` must be a UUID, the namespace that both sides agreed on");
        }
        namespace
    });
    let lookup = lookup(keys, tables);
    let required = in_join && keys.flag("required");
    let shaped = last_characters.is_some() || lower_case || uuid5.is_some() || lookup.is_some() || agreed.is_some();
    if shaped && matches!(reading, Reading::Date | Reading::DateTime | Reading::Age | Reading::AsIs) {
        keys.problem(
            "a date, an age or a value taken as it is cannot be shortened, looked up, asked of a list or made into a UUID (hint: read it as text)",
        );
    }
    if matches!((reading, &many), (Reading::AsIs, Many::AllRows(_) | Many::List(_))) {
        keys.problem("`read = \"as_is\"` takes a list whole (hint: remove `list` or `of_all_rows`, or read it as text)");
    }
    if in_join && reading == Reading::AsIs {
        keys.problem("a value taken as it is cannot be joined (hint: read it as text)");
    }
    if uuid5.is_some() && lookup.is_some() {
        keys.problem("`uuid5` and `table` exclude each other (hint: keep one)");
    }
    let names = match (from, first_of) {
        (Some((from, _)), None) => vec![from.to_owned()],
        (None, Some((several, _))) => several.into_iter().map(str::to_owned).collect(),
        (Some(_), Some(_)) if in_join => {
            keys.problem("the part has several sources: `from` and `first_of` (hint: keep one)");
            return None;
        }
        (Some(_), Some(_)) | (None, None) => return None,
    };
    if record.is_none() && !keys.has("of") {
        whose(keys, message);
    }
    let record = record?;
    Some(Part { record, keys: names, many, reading, last_characters, lower_case, demand, agreed, uuid5, lookup, required })
}

fn many(keys: &Keys<'_>, message: Message) -> Many {
    let (all_rows, list) = (keys.flag("of_all_rows"), keys.flag("list"));
    let separator = if keys.has("join") { None } else { keys.text("separator").map(|(text, _)| text.to_owned()) };
    if all_rows && !message.reads_intervention() {
        keys.problem("`of_all_rows` is for what DTP posts about one person (hint: use `list` for a list inside one record)");
    }
    match (all_rows, list) {
        (true, true) => {
            keys.problem("`of_all_rows` and `list` exclude each other (hint: keep one)");
            Many::One
        }
        (true, false) => Many::AllRows(separator),
        (false, true) => Many::List(separator),
        (false, false) => {
            if separator.is_some() {
                keys.problem("`separator` needs `join`, `list` or `of_all_rows` (hint: remove it)");
            }
            Many::One
        }
    }
}

fn reading(keys: &Keys<'_>) -> Reading {
    let Some((names, place)) = keys.texts("read") else { return Reading::Text };
    for name in names.iter().filter(|name| !READINGS.contains(name)) {
        keys.problem_at(place, format_args!("unknown rule `read = \"{name}\"` ({})", hint(name, READINGS)));
    }
    match names.as_slice() {
        ["text"] => Reading::Text,
        ["text_or_number"] => Reading::TextOrNumber,
        ["reference"] => Reading::Reference,
        ["notes"] => Reading::Plain { notes: true, html: false },
        ["html"] => Reading::Plain { notes: false, html: true },
        ["notes", "html"] => Reading::Plain { notes: true, html: true },
        ["date"] => Reading::Date,
        ["date_time"] => Reading::DateTime,
        ["age"] => Reading::Age,
        ["as_is"] => Reading::AsIs,
        others => {
            if others.iter().all(|name| READINGS.contains(name)) {
                keys.problem_at(place, "these readings do not go together (hint: the only pair is [\"notes\", \"html\"])");
            }
            Reading::Text
        }
    }
}

fn demand(keys: &Keys<'_>, message: Message, reading: Reading) -> Option<Demand> {
    let demands = [
        (keys.flag("identifier"), Demand::Identifier),
        (keys.flag("only_uuid"), Demand::OnlyUuid),
        (keys.flag("not_after_today"), Demand::NotAfterToday),
    ];
    let mut demands = demands.into_iter().filter(|(wanted, _)| *wanted).map(|(_, demand)| demand);
    let (first, second) = (demands.next(), demands.next());
    if second.is_some() {
        keys.problem(
            "`identifier`, `only_uuid` and `not_after_today` exclude each other (hint: `only_uuid` is an identifier too)",
        );
    }
    let is_date = matches!(reading, Reading::Date | Reading::DateTime);
    match first {
        Some(Demand::NotAfterToday) if !is_date || !message.reads_intervention() => {
            keys.problem("`not_after_today` is for dates that DTP posts (hint: add `read = \"date\"`)");
        }
        Some(Demand::Identifier | Demand::OnlyUuid) if is_date || matches!(reading, Reading::Age | Reading::AsIs) => {
            keys.problem("an identifier is text (hint: remove `read`)");
        }
        Some(Demand::NotAfterToday | Demand::Identifier | Demand::OnlyUuid) | None => {}
    }
    if reading == Reading::Age && !message.reads_intervention() {
        keys.problem("`read = \"age\"` is for what DTP posts (hint: in other messages the day is not known)");
    }
    first
}

fn agreed(keys: &Keys<'_>, message: Message) -> Option<Agreed> {
    let (list, place) = keys.text("agreed")?;
    let agreed = Agreed::from_code(list);
    if agreed.is_none() {
        let hint = hint(list, Agreed::ALL.iter().map(|agreed| agreed.code()));
        keys.problem_at(place, format_args!("unknown list `{list}` ({hint})"));
    } else if !message.reads_intervention() {
        keys.problem_at(
            place,
            "`agreed` is for what DTP posts (hint: what may leave Primero is decided by the configuration alone)",
        );
    }
    agreed
}

pub(super) fn lookup(keys: &Keys<'_>, tables: &Tables) -> Option<Lookup> {
    let table = keys.text("table");
    let unlisted = unlisted(keys);
    let Some((name, place)) = table else {
        if keys.has("unlisted") {
            keys.problem("`unlisted` needs a `table` (hint: add one, or remove it)");
        }
        return None;
    };
    if unlisted.is_none() && !keys.has("unlisted") {
        keys.problem_at(
            place,
            "the table has no rule for values that it does not list \
             (hint: add `unlisted = \"refuse\"`, \"as_is\", \"leave_out\" or { default = \"…\" })",
        );
    }
    let Some(table) = tables.get(name) else {
        let hint = hint(name, tables.keys().map(String::as_str));
        keys.problem_at(place, format_args!("unknown table `{name}` ({hint})"));
        return None;
    };
    Some(Lookup { table: table.clone()?, unlisted: unlisted? })
}

fn unlisted(keys: &Keys<'_>) -> Option<Unlisted> {
    let (value, place) = keys.value("unlisted")?;
    match value {
        DeValue::Table(_) => {
            let inner = keys.table("unlisted")?;
            let default = inner.needed("default", "what is written for every other value");
            inner.finish();
            Some(Unlisted::Default(default?.0.to_owned()))
        }
        other => match other.as_str() {
            Some("refuse") => Some(Unlisted::Refuse),
            Some("as_is") => Some(Unlisted::AsIs),
            Some("leave_out") => Some(Unlisted::LeaveOut),
            given => {
                let hint = hint(given.unwrap_or_default(), UNLISTED);
                keys.problem_at(place, format_args!("unknown rule for unlisted values ({hint}; or {{ default = \"…\" }})"));
                None
            }
        },
    }
}
