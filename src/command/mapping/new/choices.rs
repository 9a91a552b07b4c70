//! Everything that a country has to decide, read from the mapping with which it begins: rows, tables, texts, lists, settings.
//!
//! Words of the field sort a decision under its topic; what none of them fits stands under the data elements, so that nothing is lost.

use std::path::Path;

use serde::Serialize;

use super::{
    Plan, Source,
    manual::{self, Key, label},
};
use crate::{
    command::mapping::fields::about,
    mapping::{
        rules::{Message, Missing, Row},
        table::Table,
    },
};

/// What a decision is about, in the order in which a country takes them: the four prerequisites first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Topic {
    /// Which services are asked for.
    Services,
    /// Which protection concerns and other data elements cross at all.
    Elements,
    /// Who takes part.
    Agencies,
    /// What is spoken, and in which language staff read.
    Languages,
    /// Who gets a case, and whom UNHCR may call.
    Users,
    /// What consent is.
    Consent,
    /// When Primero is read, and how long something waits.
    Schedules,
    /// Under which agreement, and who approves.
    Approval,
}

impl Topic {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 8] = [
        Self::Services,
        Self::Elements,
        Self::Agencies,
        Self::Languages,
        Self::Users,
        Self::Consent,
        Self::Schedules,
        Self::Approval,
    ];

    /// Its number, from 1.
    pub(super) const fn number(self) -> usize {
        self as usize + 1
    }

    /// Number and name.
    pub(super) fn heading(self) -> String {
        let name = match self {
            Self::Services => "Services",
            Self::Elements => "Protection concerns and other data elements",
            Self::Agencies => "Participating agencies",
            Self::Languages => "Languages",
            Self::Users => "Users",
            Self::Consent => "Consent",
            Self::Schedules => "Schedules",
            Self::Approval => "Agreement and approval",
        };
        format!("{}. {name}", self.number())
    }

    /// What has to be settled.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Services => {
                "Which services UNHCR may ask for, and which may be asked of UNHCR; by which labels both sides know them."
            }
            Self::Elements => "Which protection concerns and other data elements are exchanged at all, and with which codes.",
            Self::Agencies => "Which agencies have signed, and by which names both systems know them.",
            Self::Languages => {
                "Which languages of children are told apart, and in which language staff read what the program writes."
            }
            Self::Users => "Who gets a new case, and whom UNHCR may call.",
            Self::Consent => "Which fields record consent, and what happens where it is missing or was withdrawn.",
            Self::Schedules => "In which time zone the programme lives, how often Primero is read, how long something waits.",
            Self::Approval => "Under which agreement data are exchanged, and who approves the mapping.",
        }
    }

    const fn who(self) -> &'static str {
        match self {
            Self::Services => "business owners of both agencies, with the inter-agency focal point",
            Self::Elements => "business owners of both agencies, with their data protection focal points",
            Self::Agencies => "the agencies that sign the agreement",
            Self::Languages => "inter-agency focal point, with case workers of both sides",
            Self::Users => "inter-agency focal point, with the system administrator of Primero",
            Self::Consent => "data protection focal points of both agencies",
            Self::Schedules => "system administrator of Primero, with the inter-agency focal point",
            Self::Approval => "business owners of both agencies",
        }
    }

    /// By the words in the name of a field, a table or a setting.
    fn of(name: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["agency", "agencies"]) {
            Self::Agencies
        } else if has(&["consent", "closed_case"]) {
            Self::Consent
        } else if has(&["hold_for", "schedule"]) {
            Self::Schedules
        } else if has(&["language"]) {
            Self::Languages
        } else if has(&["owned_by", "user", "recipient", "contact", "administrator"]) {
            Self::Users
        } else if has(&["service"]) {
            Self::Services
        } else {
            Self::Elements
        }
    }

    fn of_row(message: Message, row: &Row) -> Self {
        match Self::of(&row.target) {
            // A text that staff of the other side read.
            Self::Elements
                if matches!(message, Message::Delivered | Message::Failed | Message::DecisionReport)
                    && matches!(row.missing, Missing::Default(_)) =>
            {
                Self::Languages
            }
            topic => topic,
        }
    }

    fn of_key(key: &Key) -> Self {
        match key.section {
            "agreement" | "flows" => Self::Approval,
            "consent" => Self::Consent,
            "schedule" => Self::Schedules,
            "administrator" => Self::Users,
            _ => Self::of(key.name),
        }
    }
}

/// One decision.
#[derive(Serialize)]
pub(super) struct Choice {
    pub(super) topic: Topic,
    /// What has to be decided.
    pub(super) what: String,
    /// Which roles decide.
    pub(super) who: &'static str,
    /// File and row.
    pub(super) written: String,
    /// What the other programme chose.
    pub(super) chose: String,
    /// What has to be looked at one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<String>,
}

impl Choice {
    fn new(topic: Topic, what: impl Into<String>, written: impl Into<String>, chose: impl Into<String>) -> Self {
        Self { topic, what: what.into(), who: topic.who(), written: written.into(), chose: chose.into(), rows: Vec::new() }
    }
}

/// The sections of the settings that the agencies decide, and single settings besides; the others are for the system administrator alone.
const SECTIONS: [&str; 7] = ["flow1", "referrals", "administrator", "consent", "schedule", "agreement", "flows"];
const SETTINGS: [(&str, &str); 1] = [("primero", "intake_user")];

/// The decisions of a topic with their numbers.
pub(super) fn numbered(choices: &[Choice], topic: Topic) -> impl Iterator<Item = (String, &Choice)> {
    let of_topic = choices.iter().filter(move |choice| choice.topic == topic);
    of_topic.enumerate().map(move |(at, choice)| (format!("{}.{}", topic.number(), at + 1), choice))
}

/// Every decision, in the order of the topics.
pub(super) fn choices(source: &Source<'_>, plan: &Plan<'_>) -> Vec<Choice> {
    let mut choices = Vec::new();
    tables(source, &mut choices);
    profiles(source, &mut choices);
    concerns(source, &mut choices);
    rows(source, plan, &mut choices);
    exchanged(source, &mut choices);
    recognised(source, &mut choices);
    texts(source, plan, &mut choices);
    settings(source, plan, &mut choices);
    choices.push(Choice::new(
        Topic::Approval,
        "Who approves the mapping, in the name of both agencies; `referrald mapping sheet` makes what they sign.",
        "`mapping.toml`, `[approval]`; `referrald mapping digest` prints the lines",
        source.mapping.approval().map_or_else(
            || "nobody has approved its mapping yet".to_owned(),
            |approval| format!("approved by {} on {}; here nobody has", approval.by_role, approval.on),
        ),
    ));
    choices.sort_by_key(|choice| choice.topic);
    choices
}

/// Every table that is the programme's own.
fn tables(source: &Source<'_>, choices: &mut Vec<Choice>) {
    for table in source.mapping.tables() {
        let path = source.mapping.file_of(table.place);
        let Ok(below) = path.strip_prefix(source.directory) else { continue };
        let (name, rows) = (&table.name, table.rows.len());
        let asked = if table.needs_confirmation {
            "which service is meant on both screens; for each row both sides compare the labels, then role and day are filled in"
        } else {
            "which value of one side becomes which of the other"
        };
        let topic = if table.needs_confirmation { Topic::Services } else { Topic::of(name) };
        let mut choice = Choice::new(
            topic,
            format!("The rows of the table `{name}`: {asked}."),
            format!("`{}`, from `{}` to `{}`", below.display(), table.looked_up, table.written),
            if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") },
        );
        if table.needs_confirmation {
            choice.rows = (0..rows).map(|row| in_words(table, row)).collect();
        }
        choices.push(choice);
    }
}

/// `food` (Family Reunification Service) becomes `Family Reunification Service`
fn in_words(table: &Table, row: usize) -> String {
    let label_in = label(table, row).map(|label| format!(" ({label})")).unwrap_or_default();
    let label_out =
        table.written.split_once('_').map(|(side, _)| format!("{side}_label")).filter(|column| *column != table.written);
    let label_out = label_out.and_then(|column| table.cell(row, &column)).map(|label| format!(" ({label})")).unwrap_or_default();
    format!("`{}`{label_in} becomes `{}`{label_out}", table.key(row), table.value(row))
}

/// Fewer fields for some services.
fn profiles(source: &Source<'_>, choices: &mut Vec<Choice>) {
    let mut none = true;
    for profile in source.mapping.profiles().into_iter().flatten() {
        none = false;
        for (message, only) in &profile.only {
            let only: Vec<&str> = only.iter().map(String::as_str).collect();
            choices.push(Choice::new(
                Topic::Services,
                format!("Whether fewer fields do for {} ({}).", profile.service_types.join(", "), about(*message).2),
                format!("`{}`, `[[profile]]` with `name = \"{}\"`", message.written_in().0, profile.name),
                format!("only {}", only.join(", ")),
            ));
        }
    }
    if none {
        choices.push(Choice::new(
            Topic::Services,
            "For which services fewer fields would do.",
            "`intervention.toml` and `referral.toml`, `[[profile]]`",
            "none: every service has all fields",
        ));
    }
}

/// A prerequisite of each programme, whether this one has a row for it or not.
fn concerns(source: &Source<'_>, choices: &mut Vec<Choice>) {
    let about_concerns = |row: &Row| row.target.contains("concern");
    let targets: Vec<&str> =
        source.mapping.rows().filter(|(_, row)| about_concerns(row)).map(|(_, row)| row.target.as_str()).collect();
    choices.push(Choice::new(
        Topic::Elements,
        "Which protection concerns are exchanged, if any, and by which codes.",
        "`intervention.toml` and `referral.toml`: a row with `own_field = true` and a table",
        if targets.is_empty() { "none: no row writes them".to_owned() } else { format!("written as {}", targets.join(", ")) },
    ));
}

/// Every row that the base leaves to a programme, and every other one that the other programme has made its own.
fn rows(source: &Source<'_>, plan: &Plan<'_>, choices: &mut Vec<Choice>) {
    let mapping = source.mapping;
    for message in Message::ALL {
        let ((file, section), what) = (message.written_in(), about(*message).2);
        let open = |row: &Row| row.localisable || !row.of_base;
        let at_base = |row: &Row| {
            let base = Path::new(&plan.base).join(file);
            format!("; without one the base's holds ({}, line {})", base.display(), row.place.line)
        };
        for row in mapping.rules(*message).rows.iter().filter(|row| open(row)) {
            let question = match (&row.asked, row.localisable) {
                (Some(asked), _) => format!("`{}`: {asked}", row.target),
                (None, true) => format!("`{}`: what is written there.", row.target),
                (None, false) => format!("`{}`: whether this programme, too, needs another row than the base's.", row.target),
            };
            let place = format!("`{file}`, `[[{section}]]` with `to = \"{}\"`", row.target);
            let place = if row.of_base { format!("{place}{}", at_base(row)) } else { place };
            choices.push(Choice::new(Topic::of_row(*message, row), format!("{what}: {question}"), place, said(row)));
        }
        for block in &mapping.rules(*message).blocks {
            let Some(first) = block.then.first().filter(|row| open(row)) else { continue };
            let place = format!("`{file}`, `[[block]]` with `name = \"{}\"`", block.name);
            let place = if first.of_base { format!("{place}{}", at_base(first)) } else { place };
            let keys: Vec<&str> = block.any_of.iter().map(|(_, key)| key.as_str()).collect();
            let mut choice = Choice::new(
                Topic::of(&block.name),
                format!("{what}: the block `{}`, which is written as a whole in one way or the other.", block.name),
                place,
                format!("the first way if one of {} has a value, else the other", keys.join(", ")),
            );
            let sides = [("first", &block.then), ("other", &block.otherwise)];
            let rows = sides.into_iter().flat_map(|(side, rows)| rows.iter().map(move |row| (side, row)));
            choice.rows = rows.map(|(side, row)| format!("`{}` ({side} way): {}", row.target, said(row))).collect();
            choices.push(choice);
        }
    }
    for removed in mapping.removed() {
        let (file, section) = removed.message.written_in();
        choices.push(Choice::new(
            Topic::of(&removed.target),
            format!("{}: `{}`: whether it is not exchanged here either.", about(removed.message).2, removed.target),
            format!("`{file}`, `[[{section}]]` with `to = \"{}\"` and `remove = true`", removed.target),
            format!("not exchanged; reason: {}", removed.reason),
        ));
    }
}

/// What a row does, and why.
fn said(row: &Row) -> String {
    let reason = row.reason.as_ref().map(|reason| format!("; reason: {reason}")).unwrap_or_default();
    format!("{}; {}{reason}", row.origin_in_words(), row.rule_in_words())
}

/// Every field of every message: what nobody needs is taken away.
fn exchanged(source: &Source<'_>, choices: &mut Vec<Choice>) {
    for message in Message::ALL {
        let (flow, direction, what) = about(*message);
        let mut fields: Vec<&str> = source.mapping.rules(*message).all_rows().map(|row| row.target.as_str()).collect();
        let mut seen = std::collections::BTreeSet::new();
        fields.retain(|field| seen.insert(*field));
        let (file, section) = message.written_in();
        choices.push(Choice::new(
            Topic::Elements,
            format!("{what} ({flow}, {direction}): whether each field may be exchanged, is in the agreement, and is needed."),
            format!(
                "`{file}`, `[[{section}]]`: `remove = true` takes a field away, `own_field = true` adds one; both with a `reason`"
            ),
            fields.join(", "),
        ));
    }
}

/// The names by which a child is found again.
fn recognised(source: &Source<'_>, choices: &mut Vec<Choice>) {
    let identity = source.mapping.identity();
    let mut names = vec![&identity.person_number, &identity.sex, &identity.date_of_birth];
    names.extend(&identity.names);
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
    choices.push(Choice::new(
        Topic::Elements,
        "By which fields of Primero a child is recognised; the first finds the case, the others must not contradict.",
        "`mapping.toml`, `[identity]`; without it the base's holds",
        names.join(", "),
    ));
}

fn texts(source: &Source<'_>, plan: &Plan<'_>, choices: &mut Vec<Choice>) {
    const FILE: &str = "reasons.toml";
    let own = source.directory.join(FILE).exists();
    let mut choice = Choice::new(
        Topic::Languages,
        "The texts that UNHCR's staff read when a request could not be delivered: in which language, and what they ask for.",
        if own {
            format!("`{FILE}`, `[texts]`")
        } else {
            format!(
                "`{FILE}`, `[texts]`, a file of your own; without it the base's holds ({})",
                Path::new(&plan.base).join(FILE).display()
            )
        },
        if own { "texts of its own" } else { "the texts of the base" },
    );
    choice.rows = source.mapping.texts().map(|(reason, text)| format!("`{reason}`: {text}")).collect();
    choices.push(choice);
}

/// The settings that are decided and not only set up.
fn settings(source: &Source<'_>, plan: &Plan<'_>, choices: &mut Vec<Choice>) {
    let keys = manual::keys();
    let decided = |key: &&Key| SECTIONS.contains(&key.section) || SETTINGS.contains(&(key.section, key.name));
    for key in keys.iter().filter(decided) {
        let by_default =
            key.default.map_or_else(|| manual::LEFT_OPEN.to_owned(), |default| format!("`{default}`, as by default"));
        let chose = match &source.settings {
            None => format!("its settings do not lie with its mapping; without a word it is {by_default}"),
            Some(settings) => manual::value(settings, key).unwrap_or(by_default),
        };
        choices.push(Choice::new(
            Topic::of_key(key),
            format!("`{}.{}`: {}", key.section, key.name, key.about.join(" ")),
            format!("`{}`, `[{}]`, `{}`", manual::file(plan.name), key.section, key.name),
            chose,
        ));
    }
}
