//! What a programme decides in its settings: read from the manual of settings, so that no key is forgotten.
//!
//! The settings to fill in are the general example, with the lists of what this mapping knows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Plan, SETTINGS, Source};
use crate::{
    config::MANUAL,
    mapping::{
        Mapping,
        rules::{Agreed, Message, Part},
        table::Table,
    },
};

const EXAMPLE: &str = include_str!("../../../../config/example.toml");
/// What an example leaves for its site to fill in.
const PLACEHOLDER: char = '…';
/// What is said of a setting that has no value yet.
pub(super) const LEFT_OPEN: &str = "left open";

/// A setting as the manual explains it.
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// The lines of its explanation.
    pub(super) about: Vec<&'static str>,
    /// As it stands in a file; none if there is no default.
    pub(super) default: Option<&'static str>,
}

/// Every setting of the manual.
pub(super) fn keys() -> Vec<Key> {
    let (mut section, mut of_section, mut about) = ("", Vec::new(), Vec::new());
    let mut keys = Vec::new();
    for line in MANUAL.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            of_section = std::mem::take(&mut about);
            continue;
        }
        let set = line.strip_prefix("# ").unwrap_or(line).split_once(" = ").filter(|(name, _)| is_key(name));
        match set {
            Some((name, value)) => {
                let about = std::mem::take(&mut about);
                let about = if about.is_empty() { of_section.clone() } else { about };
                keys.push(Key { section, name, about, default: Some(value).filter(|value| !value.contains(PLACEHOLDER)) });
            }
            None if line.trim().is_empty() => about.clear(),
            None => about.extend(line.strip_prefix("# ")),
        }
    }
    keys
}

fn is_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_')
}

/// Where the settings to fill in lie.
pub(super) fn file(name: &str) -> String {
    format!("{SETTINGS}/{name}.example.toml")
}

/// The example of a programme's settings, wherever one lies with its mapping.
pub(super) fn settings_of(directory: &Path) -> Option<toml::Table> {
    let whole = fs::canonicalize(directory).ok()?;
    let file = format!("{}.example.toml", whole.file_name()?.to_str()?);
    let above = whole.parent().and_then(Path::parent).map(Path::to_owned);
    let documents = above.as_ref().and_then(|share| Some(share.parent()?.join("doc/referrald")));
    let places: [Option<PathBuf>; 3] = [Some(whole), above, documents];
    places.into_iter().flatten().find_map(|place| fs::read_to_string(place.join(SETTINGS).join(&file)).ok()?.parse().ok())
}

/// What such an example says of a setting, as it stands in a file; what is left to fill in there is [`LEFT_OPEN`].
pub(super) fn value(settings: &toml::Table, key: &Key) -> Option<String> {
    let value = match key.section {
        "" => settings.get(key.name)?,
        section => settings.get(section)?.get(key.name)?,
    };
    let value = value.to_string();
    Some(if value.contains(PLACEHOLDER) { LEFT_OPEN.to_owned() } else { format!("`{value}`") })
}

/// The settings to fill in.
pub(super) fn skeleton(source: &Source<'_>, plan: &Plan<'_>) -> String {
    let mut text = format!(
        "# {}: the settings of this programme. Copy the file, replace every `…`, fill the lists as {} says, then run\n\
         # `referrald check --config FILE`. Everything else, with its default and its meaning, stands in the manual of settings,\n\
         # config/default.toml. Paths begin at the directory of this file; wherever it goes, `mapping.directory` has to follow.\n\
         # Both flows stay off, and the lists stay empty, until the agencies have agreed.\n\n",
        plan.name,
        super::DECISIONS
    );
    let keys = keys();
    let mut section = "";
    for line in EXAMPLE.lines().skip_while(|line| line.starts_with('#') || line.is_empty()) {
        let header = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        if header == Some("administrator") || line.starts_with("# A shared mailbox") {
            consent(&keys, &mut text);
        }
        section = header.unwrap_or(section);
        let key = line.split_once(" = ").map_or("", |(name, _)| name);
        match (section, key) {
            ("", "programme") => text.push_str(&format!("programme = \"{}\"\n", plan.name)),
            ("mapping", "directory") => text.push_str("directory = \"..\"\n"),
            ("flow1" | "referrals", _) if line.ends_with(" = []") => {
                list(section, key, &keys, source.mapping, &mut text);
                if (section, key) == ("flow1", "service_types") && agencies(source.mapping).is_some() {
                    list(section, "agencies", &keys, source.mapping, &mut text);
                }
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn explain(about: &[&str], text: &mut String) {
    about.iter().for_each(|line| text.push_str(&format!("# {line}\n")));
}

/// The section of consent, once.
fn consent(keys: &[Key], text: &mut String) {
    if text.contains("\n[consent]\n") {
        return;
    }
    text.push_str("# Consent, checked at the moment of sending.\n[consent]\n");
    for key in keys.iter().filter(|key| key.section == "consent") {
        explain(&key.about, text);
        text.push_str(&format!("{} = {}\n", key.name, key.default.unwrap_or_default()));
    }
    text.push('\n');
}

/// An empty list with everything that the mapping knows, each ready to be let in.
fn list(section: &str, name: &str, keys: &[Key], mapping: &Mapping, text: &mut String) {
    keys.iter().filter(|key| (key.section, key.name) == (section, name)).for_each(|key| explain(&key.about, text));
    let part = match (section, name) {
        ("flow1", "service_types") => mapping.service_types_in(),
        ("flow1", "agencies") => agencies(mapping),
        ("referrals", "service_types") => mapping.service_types_out(),
        _ => None,
    };
    let Some(table) = part.and_then(|part| part.lookup.as_ref()).map(|lookup| &lookup.table) else {
        text.push_str(&format!("{name} = []\n"));
        return;
    };
    text.push_str(&format!("{name} = [\n"));
    for row in 0..table.rows.len() {
        let label = label(table, row).map(|label| format!(" # {label}")).unwrap_or_default();
        text.push_str(&format!("    # {},{label}\n", toml::Value::from(table.key(row))));
    }
    text.push_str("]\n");
}

/// Where the agency that asks is held against the list of those that have signed.
fn agencies(mapping: &Mapping) -> Option<&Part> {
    let rows = [Message::Case, Message::Service].into_iter().flat_map(|message| mapping.rules(message).all_rows());
    rows.flat_map(|row| row.source.parts()).find(|part| part.agreed == Some(Agreed::Agencies))
}

/// What people call a code that is looked up: the label of the same side.
pub(super) fn label(table: &Table, row: usize) -> Option<&str> {
    let side = table.looked_up.split_once('_')?.0;
    let column = format!("{side}_label");
    table.cell(row, &column).filter(|_| column != table.looked_up)
}
