//! Defaults, file and variables, laid one over the other; keys that do not exist are found here.
//!
//! It knows the form of a configuration, not its meaning.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::Path,
};

use config::{Config, File, FileFormat, ValueKind};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Problems,
    findings::{Findings, Place},
    nearest::nearest_key,
    reading::{Reading, without_numbers},
    sections,
};

/// The manual of settings, which is also the lowest layer.
pub const MANUAL: &str = include_str!("../../config/default.toml");

/// What every variable of ours begins with; `__` stands where the key has a dot.
const PREFIX: &str = "REFERRALD__";

/// The text of a configuration file.
pub(super) fn file_text(path: &Path) -> Result<String, Problems> {
    let bytes = std::fs::read(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file (hint: look at `--config`)".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "this user may not read it (hint: run this as the account that runs referrald, or give the file to its group)"
                    .to_owned()
            }
            io::ErrorKind::IsADirectory => "it is a directory (hint: `--config` names the file in it)".to_owned(),
            kind => kind.to_string(),
        };
        one_problem(path, Place::File, format!("the configuration cannot be read: {why}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
        one_problem(path, Place::Line(line), "the configuration must be TOML in UTF-8".to_owned())
    })
}

/// The merged layers, ready to be read.
pub(super) fn read(
    path: &Path,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Reading, Problems> {
    let known = known_keys();
    let mut findings = Findings::of(path.display());

    let document = DeTable::parse(text).map_err(|error| {
        // Its own display would quote the line.
        let line = error.span().map_or(1, |span| line_at(text.as_bytes(), span.start));
        one_problem(path, Place::Line(line), format!("the configuration must be TOML: {}", error.message()))
    })?;
    let mut lines =
        Lines { text, known: &known, at: BTreeMap::new(), findings: &mut findings, odd_name: false, too_large: Vec::new() };
    lines.walk(document.get_ref(), "");
    let (at, odd_name, too_large) = (lines.at, lines.odd_name, lines.too_large);

    let (variables, given) = variables(environment, &known, &mut findings);
    if odd_name {
        return Err(findings.into_problems());
    }
    let merged = Config::builder()
        .add_source(File::from_str(MANUAL, FileFormat::Toml))
        .add_source(File::from_str(&without(text, too_large), FileFormat::Toml))
        .add_source(
            config::Environment::with_prefix("REFERRALD")
                .prefix_separator("__")
                .separator("__")
                .ignore_empty(true)
                .source(Some(given.into_iter().collect())),
        )
        .build();
    let root = merged.map(|merged| merged.cache.kind).unwrap_or_else(|_| {
        findings.note(Place::File, "the layers of the configuration do not fit together");
        ValueKind::Nil
    });
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Reading::of(root, directory, at, variables, findings))
}

/// Every key that exists: those that are asked for.
pub(super) fn known_keys() -> BTreeSet<String> {
    let mut reading = Reading::of_nothing();
    let _ = sections::settings(&mut reading);
    reading.into_asked()
}

/// Where each key of the file stands; keys that do not exist are noted on the way.
struct Lines<'a> {
    text: &'a str,
    known: &'a BTreeSet<String>,
    at: BTreeMap<String, usize>,
    findings: &'a mut Findings,
    /// Whether a name was seen that the next layer might take for a path of names.
    odd_name: bool,
    /// Numbers at which the next layer would stumble, without a word about the line.
    too_large: Vec<Range<usize>>,
}

impl Lines<'_> {
    fn walk(&mut self, table: &DeTable<'_>, section: &str) {
        for (name, value) in table {
            let line = line_at(self.text.as_bytes(), name.span().start);
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if !name.get_ref().bytes().all(plain) || name.get_ref().len() > 64 {
                self.findings.note(Place::Line(line), "unknown key");
                self.odd_name = true;
                continue;
            }
            let key = if section.is_empty() { name.get_ref().to_string() } else { format!("{section}.{}", name.get_ref()) };
            self.at.entry(key.clone()).or_insert(line);
            self.enter(&key, line, value);
        }
    }

    fn enter(&mut self, key: &str, line: usize, value: &Spanned<DeValue<'_>>) {
        let pattern = without_numbers(key);
        let is_key = self.known.contains(&pattern);
        match value.get_ref() {
            DeValue::Table(table) if !is_key && is_section(&pattern, self.known) => self.walk(table, key),
            DeValue::Array(items) if is_key && is_section(&pattern, self.known) => {
                for (number, item) in items.iter().enumerate() {
                    if let DeValue::Table(table) = item.get_ref() {
                        let key = format!("{key}[{number}]");
                        self.at.insert(key.clone(), line_at(self.text.as_bytes(), item.span().start));
                        self.walk(table, &key);
                    }
                }
            }
            other => {
                self.note_too_large(value);
                if is_key || is_section(&pattern, self.known) {
                    return;
                }
                let what = if matches!(other, DeValue::Table(_)) { "section" } else { "key" };
                let sections: BTreeSet<_> = self.known.iter().flat_map(|key| sections_of(key)).collect();
                let sections = sections.iter().copied().filter(|_| what == "section");
                let hint = hint(&pattern, self.known.iter().map(String::as_str).chain(sections), str::to_owned);
                self.findings.note(Place::Line(line), format!("unknown {what} `{pattern}`{hint}"));
            }
        }
    }

    fn note_too_large(&mut self, value: &Spanned<DeValue<'_>>) {
        let too_large = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_err(),
            DeValue::Float(number) => number.as_str().parse::<f64>().map_or(true, f64::is_infinite),
            DeValue::Array(items) => return items.iter().for_each(|item| self.note_too_large(item)),
            DeValue::Table(table) => return table.iter().for_each(|(_, value)| self.note_too_large(value)),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => false,
        };
        self.too_large.extend(too_large.then(|| value.span()));
    }
}

/// Puts empty text where these numbers stand: no key that wants a number takes it, so each is refused at its own line.
fn without(text: &str, mut numbers: Vec<Range<usize>>) -> String {
    let mut text = text.to_owned();
    numbers.sort_by_key(|number| std::cmp::Reverse(number.start));
    numbers.into_iter().for_each(|number| text.replace_range(number, "\"\""));
    text
}

/// Which key is given by which variable, and the variables that are used.
fn variables(
    environment: impl IntoIterator<Item = (String, String)>,
    known: &BTreeSet<String>,
    findings: &mut Findings,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut names, mut given) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in environment.into_iter().collect::<BTreeMap<_, _>>() {
        let Some(ours) = name.to_ascii_uppercase().strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            note_missing_underscore(&name, known, findings);
            continue;
        };
        let key = ours.replace("__", ".");
        if let Some(list) = list_of_sections(&key, known) {
            let text = format!("`{list}` cannot be given by a variable (hint: write `[[{list}]]` into the file)");
            findings.note(Place::Variable(name), text);
        } else if !known.contains(&key) {
            let hint =
                hint(&key, known.iter().map(String::as_str).filter(|key| list_of_sections(key, known).is_none()), variable);
            findings.note(Place::Variable(name), format!("unknown key `{key}`{hint}"));
        } else if !value.is_empty() {
            names.insert(key, name.clone());
            given.insert(name, value);
        }
    }
    (names, given)
}

/// `REFERRALD_DTP_TIMEOUT` would be ignored without a word. Others that begin so are not ours: Kubernetes sets
/// `REFERRALD_SERVICE_HOST` and the like in every pod beside a service of this name.
fn note_missing_underscore(name: &str, known: &BTreeSet<String>, findings: &mut Findings) {
    let single =
        |text: &str| text.to_ascii_lowercase().split(['_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    let meant = |key: &&String| single(name) == format!("referrald_{}", single(key));
    if let Some(key) = known.iter().find(meant) {
        let text = format!("is not read (hint: did you mean `{}`, with two underscores?)", variable(key));
        findings.note(Place::Variable(name.to_owned()), text);
    }
}

/// The list of sections that this key is, or lies in.
fn list_of_sections<'a>(key: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    known.iter().find(|list| is_section(list, known) && (key == *list || key.starts_with(&format!("{list}."))))
}

/// Whether keys lie below this one.
fn is_section(key: &str, known: &BTreeSet<String>) -> bool {
    known.iter().any(|other| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

fn hint<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone, spelling: impl Fn(&str) -> String) -> String {
    match nearest_key(key, known) {
        Some(key) => format!(" (hint: did you mean `{}`?)", spelling(key)),
        None => " (hint: config/default.toml lists every key)".to_owned(),
    }
}

/// `inbox.tls.key_file` → `inbox`, `inbox.tls`
fn sections_of(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').map(|(end, _)| &key[..end])
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

fn one_problem(path: &Path, place: Place, text: String) -> Problems {
    let mut findings = Findings::of(path.display());
    findings.note(place, text);
    findings.into_problems()
}
