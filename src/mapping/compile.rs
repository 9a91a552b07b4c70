//! From the keys of a rule file to compiled rules. Everything wrong with a row is noted where it stands.
//!
//! It looks at one row at a time; what several rows must agree on is looked at in [`super::check`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use toml::de::DeValue;
use uuid::Uuid;

use super::{
    file::{Keys, Place, hint},
    rules::{Block, Demand, Given, Lookup, Many, Message, Missing, Part, Reading, Record, Row, Setting, Source, Unlisted, Write},
    table::Table,
};

/// The tables of a mapping by name; `None` for one that is declared but could not be read.
pub(super) type Tables = BTreeMap<String, Option<Arc<Table>>>;

const NOT_ON_FORM: &str = "not on form";
const SERVICE_TYPES: &str = "flow1.service_types";
/// The keys that say how a source is read; a constant or a configured value has none of them.
const OF_A_SOURCE: [&str; 13] = [
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
pub(super) fn rows(keys: &Keys<'_>, section: &'static str, message: Message, tables: &Tables) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for keys in keys.tables(section) {
        match row(&keys, message, tables) {
            Some(row) => rows.push(row),
            None => broken.extend(keys.value("to").and_then(|(target, _)| target.as_str()).map(str::to_owned)),
        }
    }
    (rows, broken)
}

/// The blocks of a section.
pub(super) fn blocks(keys: &Keys<'_>, message: Message, tables: &Tables) -> Vec<Block> {
    let blocks = keys.tables("block");
    blocks.iter().filter_map(|keys| block(keys, message, tables)).collect()
}

fn block(keys: &Keys<'_>, message: Message, tables: &Tables) -> Option<Block> {
    let name = keys.needed("name", "what people call these rows, for example \"contact\"");
    let record = record(keys, message);
    if record.is_none() && !keys.has("of") {
        whose(keys, message);
    }
    let any_of = keys.texts("if_any_of");
    if any_of.is_none() && !keys.has("if_any_of") {
        keys.problem("`if_any_of` is missing (hint: the fields of which one must have a value)");
    }
    let then = rows(keys, "then", message, tables);
    let otherwise = rows(keys, "otherwise", message, tables);
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

fn row(keys: &Keys<'_>, message: Message, tables: &Tables) -> Option<Row> {
    let target = keys.needed("to", "the field that is written");
    let source = source(keys, message, tables);
    let missing = missing(keys, source.as_ref());
    let write = write(keys, message);
    let form = keys.needed("form", "where the field stands in the inter-agency forms, or \"not on form\"");
    let localisable = keys.flag("localisable");
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
        localisable,
        reason: reason.map(|(reason, _)| reason.to_owned()),
        place: keys.place,
    })
}

fn source(keys: &Keys<'_>, message: Message, tables: &Tables) -> Option<Source> {
    const KINDS: [&str; 6] = ["from", "first_of", "join", "constant", "setting", "given"];
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

/// One source field and how it is read. All its keys are asked for before anything is given up.
fn part(keys: &Keys<'_>, record: Option<Record>, message: Message, tables: &Tables, in_join: bool) -> Option<Part> {
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
    let shaped = last_characters.is_some() || lower_case || uuid5.is_some() || lookup.is_some();
    if shaped && matches!(reading, Reading::Date | Reading::DateTime | Reading::Age | Reading::AsIs) {
        keys.problem(
            "a date, an age or a value taken as it is cannot be shortened, looked up or made into a UUID (hint: read it as text)",
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
    const KNOWN: [&str; 9] = ["text", "text_or_number", "reference", "notes", "html", "date", "date_time", "age", "as_is"];
    let Some((names, place)) = keys.texts("read") else { return Reading::Text };
    for name in names.iter().filter(|name| !KNOWN.contains(name)) {
        keys.problem_at(place, format_args!("unknown rule `read = \"{name}\"` ({})", hint(name, KNOWN)));
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
            if others.iter().all(|name| KNOWN.contains(name)) {
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

fn agreed(keys: &Keys<'_>, message: Message) -> bool {
    let Some((list, place)) = keys.text("agreed") else { return false };
    if list != SERVICE_TYPES {
        keys.problem_at(place, format_args!("unknown list `{list}` (hint: allowed is `{SERVICE_TYPES}`)"));
    } else if !message.reads_intervention() {
        keys.problem_at(
            place,
            "`agreed` is for what DTP posts (hint: what may leave Primero is decided by the configuration alone)",
        );
    }
    true
}

fn lookup(keys: &Keys<'_>, tables: &Tables) -> Option<Lookup> {
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
    const KNOWN: [&str; 3] = ["refuse", "as_is", "leave_out"];
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
                let hint = hint(given.unwrap_or_default(), KNOWN);
                keys.problem_at(place, format_args!("unknown rule for unlisted values ({hint}; or {{ default = \"…\" }})"));
                None
            }
        },
    }
}

fn missing(keys: &Keys<'_>, source: Option<&Source>) -> Missing {
    const KNOWN: [&str; 3] = ["absent", "null", "empty"];
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
            keys.problem_at(place, format_args!("unknown rule `missing = \"{other}\"` ({})", hint(other, KNOWN)));
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
        DeValue::Integer(number) => number.as_str().parse::<i64>().ok().map(Value::from),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    if scalar.is_none() {
        keys.problem_at(place, format_args!("`{key}` must be text in quotes, a whole number, true or false"));
    }
    scalar
}
