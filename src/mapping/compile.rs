//! From the keys of a rule file to compiled rules. Everything wrong with a row is noted where it stands.
//!
//! It looks at one row at a time; what several rows must agree on is looked at in [`super::check`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use toml::de::DeValue;

use super::{
    file::{Keys, Place, hint, whole},
    layers::{InForce, Laid},
    rules::{Block, Given, Message, Missing, Part, Record, Row, Setting, Source, Write},
    table::Table,
};

mod part;

#[cfg(test)]
pub(super) use part::{READINGS, UNLISTED};
use part::{lookup, part};

/// The tables of a mapping by name; `None` for one that is declared but could not be read.
pub(super) type Tables = BTreeMap<String, Option<Arc<Table>>>;

const NOT_ON_FORM: &str = "not on form";
/// The kinds of source; a row has one of them.
pub(super) const KINDS: [&str; 6] = ["from", "first_of", "join", "constant", "setting", "given"];
/// What may happen when there is no value, besides `default` and `required`.
pub(super) const MISSING: [&str; 3] = ["absent", "null", "empty"];
/// The keys that say how a source is read; a constant or a configured value has none of them.
pub(super) const OF_A_SOURCE: [&str; 13] = [
    "of",
    "of_all_rows",
    "list",
    "separator",
    "read",
    "last_characters",
    "lower_case",
    "identifier",
    "only_uuid",
    "not_after_today",
    "uuid5",
    "agreed",
    "table",
];

/// The rows of a section, and the targets of those that could not be compiled.
pub(super) fn rows(laid: Laid<'_>, message: Message, tables: &Tables) -> (Vec<Row>, Vec<String>) {
    let (rows, mut broken) = rows_of(laid.rows.into_iter(), message, tables);
    broken.extend(laid.left_open);
    (rows, broken)
}

fn rows_of<'a>(laid: impl Iterator<Item = InForce<'a>>, message: Message, tables: &Tables) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for in_force in laid {
        match row(&in_force, message, tables) {
            Some(row) => rows.push(row),
            None => broken.push(in_force.keys.peek("to").unwrap_or_default().to_owned()),
        }
    }
    (rows, broken)
}

/// The blocks of a section.
pub(super) fn blocks(laid: Laid<'_>, message: Message, tables: &Tables) -> Vec<Block> {
    laid.rows.iter().filter_map(|in_force| block(in_force, message, tables)).collect()
}

fn block(in_force: &InForce<'_>, message: Message, tables: &Tables) -> Option<Block> {
    let keys = &in_force.keys;
    let name = keys.needed("name", "what people call these rows, for example \"contact\"");
    let record = record(keys, message);
    if record.is_none() && !keys.has("of") {
        whose(keys, message);
    }
    let any_of = keys.texts("if_any_of");
    if any_of.is_none() && !keys.has("if_any_of") {
        keys.problem("`if_any_of` is missing (hint: the fields of which one must have a value)");
    }
    keys.flag("localisable");
    keys.text("reason");
    let side = |section: &'static str| {
        let rows = keys.tables(section).into_iter();
        let in_force = |keys| InForce { keys, of_base: in_force.of_base, localisable: in_force.localisable, asked: None };
        rows_of(rows.map(in_force), message, tables)
    };
    let then = side("then");
    let otherwise = side("otherwise");
    keys.finish();
    let targets = |(rows, broken): &(Vec<Row>, Vec<String>)| {
        rows.iter().map(|row| row.target.clone()).chain(broken.iter().cloned()).collect::<BTreeSet<_>>()
    };
    if targets(&then) != targets(&otherwise) {
        keys.problem("`then` and `otherwise` write different fields (hint: each field of a block stands once in both)");
    }
    let (any_of, record) = (any_of?.0, record?);
    let any_of = any_of.into_iter().map(|key| (record, key.to_owned())).collect();
    Some(Block { name: name?.0.to_owned(), any_of, then: then.0, otherwise: otherwise.0 })
}

fn row(in_force: &InForce<'_>, message: Message, tables: &Tables) -> Option<Row> {
    let keys = &in_force.keys;
    let target = keys.needed("to", "the field that is written");
    let source = source(keys, message, tables);
    let missing = missing(keys, source.as_ref());
    let write = write(keys, message);
    let form = keys.needed("form", "where the field stands in the inter-agency forms, or \"not on form\"");
    if in_force.of_base {
        keys.flag("localisable");
    }
    let reason = keys.text("reason").filter(|(text, _)| !text.trim().is_empty());
    if matches!(source, Some(Source::Constant(_))) && reason.is_none() {
        keys.problem("a constant needs a `reason` (hint: one sentence for the people who sign)");
    }
    keys.finish();
    Some(Row {
        target: target?.0.to_owned(),
        source: source?,
        missing,
        write,
        form: form.map(|(form, _)| form.to_owned()).filter(|form| form != NOT_ON_FORM),
        localisable: in_force.localisable,
        of_base: in_force.of_base,
        asked: in_force.asked.map(str::to_owned),
        reason: reason.map(|(reason, _)| reason.to_owned()),
        place: keys.place,
    })
}

fn source(keys: &Keys<'_>, message: Message, tables: &Tables) -> Option<Source> {
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| keys.has(kind)).collect();
    let constant = keys.value("constant");
    let setting = chosen(keys, "setting", Setting::from_code, message.settings().iter().map(|setting| setting.code()));
    let given = chosen(keys, "given", Given::from_code, message.given().iter().map(|given| given.code()));
    let joined = keys.has("join").then(|| join(keys, message, tables));
    let whose = record(keys, message);
    let part = part(keys, whose, message, tables, false);
    let bare = |kind: &str| {
        for key in OF_A_SOURCE.into_iter().filter(|key| keys.has(key) && !(kind == "given" && *key == "table")) {
            keys.problem(format_args!("`{key}` says how a source field is read (hint: `{kind}` has none; remove one of them)"));
        }
    };
    match kinds.as_slice() {
        [] if keys.flag("required") => {
            keys.problem("the field is required but has no source (hint: add `from = \"…\"`)");
            None
        }
        [] => {
            keys.problem("the row has no source (hint: add `from`, `first_of`, `join`, `constant`, `setting` or `given`)");
            None
        }
        ["constant"] => {
            bare("constant");
            Some(Source::Constant(scalar(keys, "constant", constant?)?))
        }
        ["setting"] => {
            bare("setting");
            Some(Source::Setting(setting?))
        }
        ["given"] => {
            bare("given");
            Some(Source::Given(given?, lookup(keys, tables)))
        }
        ["join"] => joined?,
        [_] => part.map(Source::Part),
        several => {
            let several = several.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" and ");
            keys.problem(format_args!("the row has several sources: {several} (hint: keep one)"));
            None
        }
    }
}

fn join(keys: &Keys<'_>, message: Message, tables: &Tables) -> Option<Source> {
    let outer = record(keys, message);
    let compiled = |keys: Keys<'_>| {
        let record = record(&keys, message).or(outer);
        let part = part(&keys, record, message, tables, true);
        if part.is_none() && !keys.has("from") && !keys.has("first_of") {
            keys.problem("the part has no source (hint: add `from` or `first_of`)");
        }
        keys.finish();
        part
    };
    let parts: Vec<Option<Part>> = keys.tables("join").into_iter().map(compiled).collect();
    for key in OF_A_SOURCE.into_iter().filter(|key| keys.has(key) && !["of", "separator"].contains(key)) {
        keys.problem(format_args!("`{key}` stands beside `join` (hint: it belongs into one of the parts)"));
    }
    let separator = keys.text("separator");
    if separator.is_none() && !keys.has("separator") {
        keys.problem("`join` needs a `separator` (hint: what stands between the parts, for example \" \")");
    }
    let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Source::Join { parts, separator: separator?.0.to_owned() })
}

fn missing(keys: &Keys<'_>, source: Option<&Source>) -> Missing {
    let required = keys.flag("required");
    let default = keys.value("default").and_then(|value| scalar(keys, "default", value));
    let missing = keys.text("missing");
    if [required, keys.has("default"), keys.has("missing")].into_iter().filter(|given| *given).count() > 1 {
        keys.problem("`required`, `default` and `missing` exclude each other (hint: keep one)");
    }
    if required && matches!(source, Some(Source::Constant(_) | Source::Setting(_))) {
        keys.problem("a constant or configured value is always there (hint: remove `required`)");
    }
    match (required, default, missing) {
        (true, _, _) => Missing::Required,
        (false, Some(default), _) => Missing::Default(default),
        (false, None, None | Some(("absent", _))) => Missing::Absent,
        (false, None, Some(("null", _))) => Missing::Null,
        (false, None, Some(("empty", _))) => Missing::Empty,
        (false, None, Some((other, place))) => {
            keys.problem_at(place, format_args!("unknown rule `missing = \"{other}\"` ({})", hint(other, MISSING)));
            Missing::Absent
        }
    }
}

fn write(keys: &Keys<'_>, message: Message) -> Write {
    let allowed: &[Write] = if message == Message::Case { &[Write::Create, Write::IfEmpty] } else { &[Write::Always] };
    if message == Message::Case && !keys.has("write") {
        keys.problem(
            "`write` is missing (hint: \"create\", or \"if_empty\" for what an existing case may get where it has no value)",
        );
    }
    chosen(keys, "write", Write::from_code, allowed.iter().map(|write| write.code())).unwrap_or(allowed[0])
}

/// Whose field it is. Where a message reads one record alone, nobody needs to say so.
fn record(keys: &Keys<'_>, message: Message) -> Option<Record> {
    let known = message.records();
    let only = if let [only] = known { Some(*only) } else { None };
    chosen(keys, "of", Record::from_code, known.iter().map(|record| record.code())).or(only)
}

fn whose(keys: &Keys<'_>, message: Message) {
    let known = message.records().iter().map(|record| format!("`of = \"{record}\"`")).collect::<Vec<_>>();
    if known.is_empty() {
        keys.problem("this message reads no record (hint: use `given`, `setting` or `constant`)");
    } else {
        keys.problem(format_args!("it is not said whose field is read (hint: add {})", known.join(" or ")));
    }
}

/// A value out of a closed list.
fn chosen<'a, T>(
    keys: &Keys<'_>,
    key: &'static str,
    parse: fn(&str) -> Option<T>,
    allowed: impl Iterator<Item = &'a str> + Clone,
) -> Option<T> {
    let (text, place) = keys.text(key)?;
    if allowed.clone().any(|known| known == text) {
        return parse(text);
    }
    let mut allowed = allowed.peekable();
    if allowed.peek().is_none() {
        keys.problem_at(place, format_args!("`{key}` is not known in this section (hint: use another source)"));
    } else {
        keys.problem_at(place, format_args!("unknown `{key} = \"{text}\"` ({})", hint(text, allowed)));
    }
    None
}

/// Text, a whole number, true or false.
fn scalar(keys: &Keys<'_>, key: &str, (value, place): (&DeValue<'_>, Place)) -> Option<Value> {
    let scalar = match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(number) => whole(number).map(Value::from),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    if scalar.is_none() {
        keys.problem_at(place, format_args!("`{key}` must be text in quotes, a whole number, true or false"));
    }
    scalar
}
