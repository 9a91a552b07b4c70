//! What is not wrong by itself and looks as if it were: tables that do not come back, columns pasted side by side, people in a mapping.
//!
//! These are warnings for whoever reviews a mapping; nothing here keeps it from being used.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    file::{Findings, Grade, Place},
    load::Loaded,
    rules::{Missing, Source},
    table::Table,
};

/// From so many rows on, a shift is more than an accident of words.
const FEWEST_SHIFTED: usize = 2;
/// Words of this length or more tell what a label is about.
const SHORTEST_WORD: usize = 4;
/// Words that stand in every other label and tell nothing.
const IDLE_WORDS: [&str; 7] = ["service", "services", "support", "care", "other", "with", "child"];
/// A role has one of these words, or is written in capitals; a person's name has neither.
const ROLE_WORDS: [&str; 22] = [
    "administrator",
    "agency",
    "business",
    "chair",
    "chief",
    "coordinator",
    "director",
    "focal",
    "group",
    "head",
    "lead",
    "leader",
    "manager",
    "officer",
    "owner",
    "point",
    "protection",
    "representative",
    "specialist",
    "supervisor",
    "team",
    "unit",
];
/// Before a name.
const TITLES: [&str; 4] = ["mr", "mrs", "ms", "dr"];

/// Notes all doubts.
pub(super) fn note(loaded: &Loaded, findings: &Findings) {
    there_and_back(loaded, findings);
    for table in &loaded.tables {
        shifted(table, findings);
        people_in(table, findings);
    }
    for (place, text) in texts(loaded) {
        if let Some(what) = of_a_person(text) {
            findings.note(
                place,
                Grade::Warning,
                format_args!(
                    "{what} stands here (hint: a mapping names no people; functional addresses belong into the configuration)"
                ),
            );
        }
    }
}

/// Where a table leads in and its counterpart leads out, a value should come back as it went.
fn there_and_back(loaded: &Loaded, findings: &Findings) {
    let table = |name: &str| loaded.tables.iter().find(|table| table.name == name);
    for inward in &loaded.tables {
        let Some(outward) = inward.name.strip_suffix("-in").and_then(|stem| table(&format!("{stem}-out"))) else { continue };
        let keys: BTreeSet<&str> = inward.rows.iter().enumerate().map(|(row, _)| inward.key(row)).collect();
        // Only tables that speak the same words on both ends can be compared.
        if !outward.values().any(|value| keys.contains(value)) {
            continue;
        }
        let mut lost: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in 0..inward.rows.len() {
            let (key, written) = (inward.key(row), inward.value(row));
            match outward.get(written) {
                Some(back) if back == key => {}
                Some(back) => lost.entry("come back as something else").or_default().push(format!("`{key}` as `{back}`")),
                None => lost.entry("do not come back").or_default().push(format!("`{key}`")),
            }
        }
        for (what, values) in lost {
            let Some(place) = inward.places.first() else { continue };
            findings.note(
                Place { line: 0, ..*place },
                Grade::Warning,
                format_args!(
                    "through `{}` and `{}` these {what}: {} (hint: compare both tables; several to one may be meant)",
                    inward.name,
                    outward.name,
                    values.join(", ")
                ),
            );
        }
    }
}

/// Two columns of labels that were pasted side by side: a label stands beside another than the one that it is about.
fn shifted(table: &Table, findings: &Findings) {
    let labels: Vec<usize> =
        table.columns.iter().enumerate().filter(|(_, name)| name.ends_with("_label")).map(|(at, _)| at).collect();
    let [left, right] = labels[..] else { return };
    let words: Vec<[BTreeSet<String>; 2]> = table.rows.iter().map(|row| [words(&row[left]), words(&row[right])]).collect();
    let fits = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.intersection(other).next().is_some();
    let is_shifted = |at: usize| {
        let [own, other] = &words[at];
        !fits(own, other) && words.iter().enumerate().any(|(row, [left, _])| row != at && fits(left, other))
    };
    let shifted: Vec<usize> = (0..words.len()).filter(|at| is_shifted(*at)).collect();
    if shifted.len() < FEWEST_SHIFTED {
        return;
    }
    let lines: Vec<String> = shifted.iter().map(|row| table.places[*row].line.to_string()).collect();
    let Some(place) = shifted.first().map(|row| table.places[*row]) else { return };
    findings.note(
        place,
        Grade::Warning,
        format_args!(
            "`{}` and `{}` look as if they were pasted side by side and shifted, in the lines {} (hint: have both sides confirm each row)",
            table.columns[left],
            table.columns[right],
            lines.join(", ")
        ),
    );
}

fn words(label: &str) -> BTreeSet<String> {
    let words = label.split(|sign: char| !sign.is_alphabetic()).map(str::to_lowercase);
    words.filter(|word| word.chars().count() >= SHORTEST_WORD && !IDLE_WORDS.contains(&word.as_str())).collect()
}

fn people_in(table: &Table, findings: &Findings) {
    for (row, place) in table.places.iter().enumerate() {
        for (column, cell) in table.columns.iter().zip(&table.rows[row]) {
            if let Some(what) = of_a_person(cell) {
                findings.note(
                    *place,
                    Grade::Warning,
                    format_args!("the cell `{column}` holds {what} (hint: a mapping names no people)"),
                );
            }
        }
        if let Some((role, _)) = table.confirmation(row)
            && looks_like_a_name(role)
        {
            findings.note(
                *place,
                Grade::Warning,
                "the cell `confirmed_by_role` looks like a person's name (hint: write the role)",
            );
        }
    }
}

/// Every text of the rules that people wrote.
fn texts(loaded: &Loaded) -> impl Iterator<Item = (Place, &str)> {
    let rows = loaded.rules.iter().flat_map(|rules| rules.all_rows());
    rows.flat_map(|row| {
        let constant = match &row.source {
            Source::Constant(value) => value.as_str(),
            Source::Setting(_) | Source::Given(..) | Source::Part(_) | Source::Join { .. } => None,
        };
        let default = match &row.missing {
            Missing::Default(value) => value.as_str(),
            Missing::Absent | Missing::Null | Missing::Empty | Missing::Required => None,
        };
        [constant, default, row.reason.as_deref()].into_iter().flatten().map(|text| (row.place, text))
    })
}

/// What a text holds of a person, as far as that can be told from a text.
fn of_a_person(text: &str) -> Option<&'static str> {
    match text {
        _ if holds_address(text) => Some("an e-mail address"),
        _ if holds_title(text) => Some("a person's name"),
        _ => None,
    }
}

fn holds_address(text: &str) -> bool {
    text.split(|sign: char| sign.is_whitespace() || matches!(sign, ',' | ';' | '<' | '>' | '(' | ')')).any(|word| {
        word.split_once('@').is_some_and(|(before, after)| !before.is_empty() && after.trim_end_matches('.').contains('.'))
    })
}

/// A title before a word with a capital: `Ms Example`.
fn holds_title(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_title = |word: &str| TITLES.contains(&word.trim_matches(|sign: char| !sign.is_alphabetic()).to_lowercase().as_str());
    words.windows(2).any(|pair| is_title(pair[0]) && pair[1].starts_with(char::is_uppercase))
}

/// A title, or two or three words, each beginning with a capital and going on in small letters, none of them a word of a role.
pub(super) fn looks_like_a_name(role: &str) -> bool {
    let words: Vec<&str> = role.split_whitespace().collect();
    let is_name = |word: &&str| {
        let mut letters = word.chars().filter(|sign| sign.is_alphabetic());
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
    };
    holds_title(role)
        || (2..=3).contains(&words.len())
            && words.iter().all(is_name)
            && !words.iter().any(|word| ROLE_WORDS.contains(&word.to_lowercase().as_str()))
}
