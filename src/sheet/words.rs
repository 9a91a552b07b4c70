//! A row of the mapping in plain English, for people who sign and need not know how the files are written.

use serde_json::Value;

use crate::mapping::{
    Mapping,
    rules::{
        Agreed, Block, Demand, Lookup, Many, Message, Missing, Part, Reading, Record, Row, Setting, Source, Unlisted, Write,
    },
};

/// A row of a message, in words.
#[derive(Debug)]
pub(super) struct Field<'a> {
    /// By what it is found again in another mapping.
    pub(super) id: String,
    /// The row.
    pub(super) row: &'a Row,
    /// Where the value comes from.
    pub(super) source: String,
    /// What becomes of it, and what happens without one.
    pub(super) rule: String,
}

/// The rows of a message with its blocks, in the order of the files.
pub(super) fn fields(mapping: &Mapping, message: Message) -> Vec<Field<'_>> {
    let rules = mapping.rules(message);
    let mut fields: Vec<Field<'_>> = rules.rows.iter().map(|row| field(row, message, None)).collect();
    for block in &rules.blocks {
        fields.extend(block.then.iter().map(|row| field(row, message, Some((block, true)))));
        fields.extend(block.otherwise.iter().map(|row| field(row, message, Some((block, false)))));
    }
    fields
}

fn field<'a>(row: &'a Row, message: Message, block: Option<(&Block, bool)>) -> Field<'a> {
    let (id, mut sentences) = match block {
        None => (row.target.clone(), Vec::new()),
        Some((block, then)) => {
            let keys: Vec<String> = block.any_of.iter().map(|(record, key)| format!("{} {key}", whose(*record))).collect();
            let keys = keys.join(" or ");
            let condition = if then {
                format!("If {keys} has a value (block “{}”).", block.name)
            } else {
                format!("If none of {keys} has a value (block “{}”).", block.name)
            };
            let side = if then { "then" } else { "otherwise" };
            (format!("{}/{side}/{}", block.name, row.target), vec![condition])
        }
    };
    sentences.extend(rule(row, message));
    Field { id, row, source: source(&row.source), rule: sentences.join(" ") }
}

/// What the message is, in at most 31 signs.
pub(super) const fn title(message: Message) -> &'static str {
    match message {
        Message::Case => "New case in Primero",
        Message::Service => "Service in Primero",
        Message::Delivered => "Feedback - delivered",
        Message::Failed => "Feedback - not delivered",
        Message::DecisionReport => "Decision to UNHCR",
        Message::Referral => "Referral to UNHCR",
        Message::ReferralDecision => "Decision of UNHCR",
    }
}

/// What the message is for.
pub(super) const fn about(message: Message) -> &'static str {
    match message {
        Message::Case => "Flow 1, UNHCR to Primero: what is written into a new case when UNHCR asks for a service.",
        Message::Service => "Flow 1, UNHCR to Primero: the service that UNHCR asks for, as it is added to the case.",
        Message::Delivered => "Flow 1, Primero to UNHCR: what UNHCR is told when its request lies in Primero.",
        Message::Failed => "Flow 1, Primero to UNHCR: what UNHCR is told when its request could not be delivered.",
        Message::DecisionReport => "Flow 1, Primero to UNHCR: the decision of Primero's staff on UNHCR's request.",
        Message::Referral => "Flow 2, Primero to UNHCR: what UNHCR gets when a case worker refers a child to it.",
        Message::ReferralDecision => "Flow 2, UNHCR to Primero: UNHCR's decision on a referral, as it is recorded in Primero.",
    }
}

/// Whether UNHCR gets the message.
pub(super) const fn goes_to_unhcr(message: Message) -> bool {
    match message {
        Message::Delivered | Message::Failed | Message::DecisionReport | Message::Referral => true,
        Message::Case | Message::Service | Message::ReferralDecision => false,
    }
}

/// What happens when the message cannot be made.
const fn consequence(message: Message) -> &'static str {
    match message {
        Message::Case | Message::Service => "the request is refused and UNHCR is told why",
        Message::Delivered | Message::Failed => "the field is left out",
        Message::DecisionReport => "the decision is not sent and the operator is told",
        Message::Referral => "the referral is not sent and the operator is told",
        Message::ReferralDecision => "nothing is recorded and a person must decide",
    }
}

const fn whose(record: Record) -> &'static str {
    match record {
        Record::Intervention => "UNHCR's request:",
        Record::Case => "case:",
        Record::Service => "service:",
        Record::Owner => "user record of the case's owner:",
        Record::Decision => "UNHCR's decision:",
    }
}

/// Whose field it is, as people say it: `case: sex`.
pub(super) fn named(record: Record, key: &str) -> String {
    format!("{} {key}", whose(record))
}

fn source(source: &Source) -> String {
    match source {
        Source::Constant(_) => "always the same".to_owned(),
        Source::Setting(setting) => format!("configuration: {} ({})", setting_in_words(*setting), setting.code()),
        Source::Given(given, _) => format!("known to the program: {}", given.code().replace('_', " ")),
        Source::Part(part) => taken_from(part),
        Source::Join { parts, .. } => {
            let parts = parts.iter().enumerate();
            parts.map(|(at, part)| format!("{}. {}", at + 1, taken_from(part))).collect::<Vec<_>>().join("\n")
        }
    }
}

const fn setting_in_words(setting: Setting) -> &'static str {
    match setting {
        Setting::IntakeUser => "the intake user",
        Setting::AdministratorEmail => "the duty mailbox",
        Setting::AdministratorFullName => "the name of the functional contact",
        Setting::AdministratorPhone => "the duty phone",
    }
}

fn taken_from(part: &Part) -> String {
    named(part.record, &part.keys.join(", or else "))
}

/// A value as people read it. The text `true` is not the answer true, and says so; likewise digits.
pub(super) fn value(value: &Value) -> String {
    let reads_otherwise = |text: &str| matches!(serde_json::from_str(text), Ok(Value::Bool(_) | Value::Number(_) | Value::Null));
    match value {
        Value::String(text) if reads_otherwise(text) => format!("{text} (text)"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn rule(row: &Row, message: Message) -> Vec<String> {
    let mut sentences = match &row.source {
        Source::Constant(constant) => vec![format!("Always “{}”.", value(constant))],
        Source::Setting(_) => vec!["As configured.".to_owned()],
        Source::Given(_, lookup) => lookup.iter().map(|lookup| translated(lookup, message)).collect(),
        Source::Part(part) => how_read(part, message),
        Source::Join { parts, separator } => joined(parts, separator, message),
    };
    let without = match &row.missing {
        Missing::Absent => "it is left out".to_owned(),
        Missing::Null => "it is sent as empty (null)".to_owned(),
        Missing::Empty => "an empty text is written".to_owned(),
        Missing::Default(default) => format!("“{}” is written", value(default)),
        Missing::Required => consequence(message).to_owned(),
    };
    match &row.source {
        Source::Constant(_) => {}
        Source::Setting(_) if row.missing == Missing::Absent => {}
        Source::Setting(_) | Source::Given(..) | Source::Part(_) | Source::Join { .. } => {
            sentences.push(format!("Without a value {without}."));
        }
    }
    match row.write {
        Write::Create => sentences.push("Written only into a new case.".to_owned()),
        Write::IfEmpty => {
            sentences.push("Written into a new case, and into an existing one that has no value there.".to_owned());
        }
        Write::Always => {}
    }
    sentences
}

fn joined(parts: &[Part], separator: &str, message: Message) -> Vec<String> {
    let between = match separator {
        " " => "a blank".to_owned(),
        "\n" => "a line break".to_owned(),
        other => format!("“{other}”"),
    };
    let mut sentences = vec![format!("Put together in this order with {between} between them; empty parts are skipped.")];
    let each: Vec<Vec<String>> = parts.iter().map(|part| how_read(part, message)).collect();
    let copied = copied();
    for (at, said) in each.iter().enumerate() {
        // What is said of several parts is said once.
        if each[..at].contains(said) || said.iter().all(|said| *said == copied) {
            continue;
        }
        let which: Vec<String> =
            each.iter().enumerate().filter(|(_, other)| *other == said).map(|(at, _)| (at + 1).to_string()).collect();
        let which = if which.len() == each.len() { "Each part".to_owned() } else { format!("Part {}", which.join(", ")) };
        sentences.push(format!("{which}: {}", said.join(" ")));
    }
    sentences
}

fn copied() -> String {
    "Copied as it is written.".to_owned()
}

fn how_read(part: &Part, message: Message) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut say = |sentence: &str| sentences.push(sentence.to_owned());
    match &part.many {
        Many::One => {}
        Many::AllRows(None) => say("All rows of the request are read, each value once."),
        Many::AllRows(Some(separator)) => {
            say(&format!("All rows of the request are read, each value once, joined with “{separator}”."))
        }
        Many::List(None) => say("Each entry of the list is read."),
        Many::List(Some(separator)) => say(&format!("Each entry of the list is read; they are joined with “{separator}”.")),
    }
    match part.reading {
        Reading::Text | Reading::Plain { notes: false, html: false } => {}
        Reading::TextOrNumber => say("A number is written as its digits."),
        Reading::Reference => say("The name that proGres shows is taken, not its internal id."),
        Reading::Plain { notes: true, html: true } => say("The texts of the notes are taken, without formatting."),
        Reading::Plain { notes: true, html: false } => say("The texts of the notes are taken as they are written."),
        Reading::Plain { notes: false, html: true } => say("The text is taken without its formatting."),
        Reading::Date => say("The day is taken, without time."),
        Reading::DateTime => say("Day and time are taken, in UTC; a day without time is its midnight."),
        Reading::Age => say("The completed years on the day of writing are computed from it."),
        Reading::AsIs => say("Taken exactly as it is recorded."),
    }
    match part.demand {
        Some(Demand::Identifier) => say(&format!("It must be a plain number or code, otherwise {}.", consequence(message))),
        Some(Demand::OnlyUuid) => say("Used only if it is an id that Primero can have made; otherwise as if it were empty."),
        Some(Demand::NotAfterToday) => say(&format!("It must not lie in the future, otherwise {}.", consequence(message))),
        None => {}
    }
    if part.lower_case {
        say("Capital letters become small ones.");
    }
    if let Some(count) = part.last_characters {
        say(&format!("Only its last {count} characters are used."));
    }
    if let Some(list) = agreed(part) {
        say(&format!("It must stand on the configured list {list}, otherwise {}.", consequence(message)));
    }
    if let Some(namespace) = part.uuid5 {
        say(&format!("Made into an id that is always the same for the same value (namespace {namespace})."));
    }
    if let Some(lookup) = &part.lookup {
        say(&translated(lookup, message));
    }
    if part.required {
        say(&format!("Without this part {}.", consequence(message)));
    }
    if sentences.is_empty() {
        sentences.push(copied());
    }
    sentences
}

/// The configured list on which the value must stand.
fn agreed(part: &Part) -> Option<&'static str> {
    part.agreed.map(Agreed::code)
}

fn translated(lookup: &Lookup, message: Message) -> String {
    let other = match &lookup.unlisted {
        Unlisted::Refuse => format!("with any other value {}", consequence(message)),
        Unlisted::AsIs => "any other value is taken as it is".to_owned(),
        Unlisted::LeaveOut => "any other value is left out".to_owned(),
        Unlisted::Default(default) => format!("any other value becomes “{default}”"),
    };
    format!("Translated with the table “{}”; {other}.", lookup.table.name)
}

/// The tables that a row looks values up in.
pub(super) fn lookups(row: &Row) -> Vec<&Lookup> {
    let given = match &row.source {
        Source::Given(_, lookup) => lookup.as_ref(),
        Source::Constant(_) | Source::Setting(_) | Source::Part(_) | Source::Join { .. } => None,
    };
    given.into_iter().chain(row.source.parts().iter().filter_map(|part| part.lookup.as_ref())).collect()
}

/// Whether a message cannot be made without it: `yes`, `no`, or which parts.
pub(super) fn required(row: &Row) -> String {
    let parts: Vec<&str> = row.source.parts().iter().filter(|part| part.required).map(Part::name).collect();
    match &row.missing {
        Missing::Required => "yes".to_owned(),
        Missing::Absent | Missing::Null | Missing::Empty | Missing::Default(_) if parts.is_empty() => "no".to_owned(),
        Missing::Absent | Missing::Null | Missing::Empty | Missing::Default(_) => format!("yes: {}", parts.join(", ")),
    }
}

/// What is written when there is no value, or none that a table knows.
pub(super) fn default(row: &Row) -> String {
    let missing = match &row.missing {
        Missing::Default(default) => Some(value(default)),
        Missing::Absent | Missing::Null | Missing::Empty | Missing::Required => None,
    };
    let unlisted = lookups(row).into_iter().filter_map(|lookup| match &lookup.unlisted {
        Unlisted::Default(default) => Some(format!("{default} (not in the table)")),
        Unlisted::Refuse | Unlisted::AsIs | Unlisted::LeaveOut => None,
    });
    missing.into_iter().chain(unlisted).collect::<Vec<_>>().join("; ")
}
