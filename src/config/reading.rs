//! The merged layers, read key by key; what cannot be read is noted with its place.
//!
//! It knows which keys were asked for, and by that which keys exist; it does not know what they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::{Path, PathBuf},
};

use config::{Value, ValueKind};

use super::{
    Problems,
    findings::{Findings, Place},
    values::{self, Given, Wrong},
};

/// The placeholder of the manual and of the examples.
const PLACEHOLDER: char = '…';

/// The merged layers and what is wrong with them. Keys are dotted; an item of a list of tables is `key[0]`.
#[derive(Debug)]
pub(super) struct Reading {
    root: ValueKind,
    directory: PathBuf,
    /// Where each key of the file stands.
    lines: BTreeMap<String, usize>,
    /// Which key was given by which variable.
    variables: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    secret_files: Vec<(String, PathBuf)>,
    findings: Findings,
}

impl Reading {
    /// Of merged layers.
    pub(super) fn of(
        root: ValueKind,
        directory: PathBuf,
        lines: BTreeMap<String, usize>,
        variables: BTreeMap<String, String>,
        findings: Findings,
    ) -> Self {
        Self { root, directory, lines, variables, asked: BTreeSet::new(), secret_files: Vec::new(), findings }
    }

    /// Of nothing: reading it tells which keys exist.
    pub(super) fn of_nothing() -> Self {
        Self::of(ValueKind::Nil, PathBuf::new(), BTreeMap::new(), BTreeMap::new(), Findings::of(""))
    }

    /// Every key that was asked for; items of a list of tables without their number.
    pub(super) fn into_asked(self) -> BTreeSet<String> {
        self.asked
    }

    /// Everything that was noted.
    pub(super) fn into_problems(self) -> Problems {
        self.findings.into_problems()
    }

    /// Notes that a key is wrong in itself or together with others.
    pub(super) fn refuse(&mut self, key: &str, text: impl Display) {
        let place = self.place(key);
        self.findings.note(place, format!("`{}` {text}", without_numbers(key)));
    }

    /// A required key.
    pub(super) fn read<T>(&mut self, key: &str, parse: impl Fn(Given<'_>) -> Result<T, Wrong>) -> Option<T> {
        self.read_if_given(key, &parse)?.or_else(|| {
            let nothing = Given { value: None, variable: false };
            let right = parse(nothing).err().unwrap_or_default();
            self.refuse(key, format_args!("is missing; it {right}"));
            None
        })
    }

    /// A key that may be absent. The outer `None` means that a problem was noted.
    pub(super) fn read_if_given<T>(&mut self, key: &str, parse: impl Fn(Given<'_>) -> Result<T, Wrong>) -> Option<Option<T>> {
        self.asked.insert(without_numbers(key));
        let value = match find(&self.root, key) {
            Found::Value(value) => value,
            Found::Nothing => return Some(None),
            Found::NotASection(section) => {
                let section = section.to_owned();
                let noted = format!("`{section}` must be a section: write `[{section}]` and its keys below");
                if !self.findings.has(&noted) {
                    self.findings.note(self.place(&section), noted);
                }
                return None;
            }
        };
        if holds_placeholder(value) {
            self.refuse(key, "is not filled in yet");
            return None;
        }
        match parse(Given { value: Some(value), variable: self.variables.contains_key(key) }) {
            Ok(value) => Some(Some(value)),
            Err(wrong) => {
                self.refuse(key, wrong);
                None
            }
        }
    }

    /// A required path, relative to the directory of the configuration file.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.read(key, path).map(|path| self.directory.join(path))
    }

    /// A path that may be absent.
    pub(super) fn path_if_given(&mut self, key: &str) -> Option<Option<PathBuf>> {
        Some(self.read_if_given(key, path)?.map(|path| self.directory.join(path)))
    }

    /// The path of a file that holds a secret.
    pub(super) fn secret_file(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.path(key)?;
        self.secret_files.push((key.to_owned(), path.clone()));
        Some(path)
    }

    /// The path of a file that holds a secret and may be absent.
    pub(super) fn secret_file_if_given(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let path = self.path_if_given(key)?;
        self.secret_files.extend(path.clone().map(|path| (key.to_owned(), path)));
        Some(path)
    }

    /// The paths of files that hold secrets; one at least.
    pub(super) fn secret_files(&mut self, key: &str) -> Option<Vec<PathBuf>> {
        let list = self.read(key, |given| {
            let wrong = "must be a list of paths of files, such as `[\"secrets/state.key\"]`, one at least";
            values::list(given).ok().filter(|list| !list.is_empty()).ok_or_else(|| wrong.to_owned())
        })?;
        let paths: Vec<_> = list.iter().map(|path| self.directory.join(path)).collect();
        self.secret_files.extend(paths.iter().map(|path| (key.to_owned(), path.clone())));
        Some(paths)
    }

    /// The keys whose files were read as secrets so far and lie inside `directory`.
    pub(super) fn secret_files_inside(&self, directory: &Path) -> BTreeSet<String> {
        let directory = resolved(directory);
        let inside = |(_, file): &&(String, PathBuf)| resolved(file).starts_with(&directory);
        self.secret_files.iter().filter(inside).map(|(key, _)| key.clone()).collect()
    }

    /// How many items a list of tables has, whose items have these keys.
    pub(super) fn items(&mut self, key: &str, keys: &[&str]) -> Option<usize> {
        self.asked.extend(keys.iter().map(|inner| format!("{key}.{inner}")));
        let count = self.read_if_given(key, |given| match given.value {
            Some(ValueKind::Array(items)) if items.iter().all(|item| matches!(item.kind, ValueKind::Table(_))) => Ok(items.len()),
            _ => Err(format!("must be a list of sections: write `[[{key}]]` for each and its keys below")),
        })?;
        Some(count.unwrap_or(0))
    }

    /// The variable, else the line, else the line of the section, else the file.
    fn place(&self, key: &str) -> Place {
        if let Some(variable) = self.variables.get(key) {
            return Place::Variable(variable.clone());
        }
        let mut key = key;
        loop {
            match (self.lines.get(key), key.rfind(['.', '['])) {
                (Some(line), _) => return Place::Line(*line),
                (None, Some(end)) => key = &key[..end],
                (None, None) => return Place::File,
            }
        }
    }
}

fn path(given: Given<'_>) -> Result<PathBuf, Wrong> {
    values::text(given).map(PathBuf::from).map_err(|_| "must be a path in quotes".to_owned())
}

enum Found<'a, 'k> {
    Value(&'a ValueKind),
    Nothing,
    /// A part of the way is no table.
    NotASection(&'k str),
}

fn find<'a, 'k>(root: &'a ValueKind, key: &'k str) -> Found<'a, 'k> {
    let mut value = root;
    let mut at = 0;
    for part in key.split('.') {
        let (name, number) = part.strip_suffix(']').and_then(|part| part.split_once('[')).unwrap_or((part, ""));
        let next = match value {
            ValueKind::Table(table) => table.get(name).map(|value: &Value| &value.kind),
            ValueKind::Nil => None,
            _ => return Found::NotASection(&key[..at]),
        };
        let item = match (next, number.parse::<usize>()) {
            (Some(ValueKind::Array(items)), Ok(number)) => items.get(number).map(|item| &item.kind),
            (next, _) => next,
        };
        let Some(found) = item else { return Found::Nothing };
        value = found;
        at += part.len() + usize::from(at > 0);
    }
    Found::Value(value)
}

fn holds_placeholder(value: &ValueKind) -> bool {
    match value {
        ValueKind::String(text) => text.contains(PLACEHOLDER),
        ValueKind::Array(items) => items.iter().any(|item| holds_placeholder(&item.kind)),
        _ => false,
    }
}

/// `inbox.keys[0].name` → `inbox.keys.name`
pub(super) fn without_numbers(key: &str) -> String {
    key.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".")
}

/// The real place of a path, as far as it exists: symbolic links must not hide that a key lies in the state directory.
fn resolved(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let real = plain.ancestors().find_map(|ancestor| Some((ancestor.canonicalize().ok()?, plain.strip_prefix(ancestor).ok()?)));
    real.map_or_else(|| plain.clone(), |(real, rest)| real.join(rest))
}
