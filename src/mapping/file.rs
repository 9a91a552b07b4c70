//! Reading the files of a mapping so that every problem can name its file and line, all at once.
//!
//! It knows TOML and lines, and nothing of what a rule means.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

/// A place in a file of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which file, in the order of reading.
    pub(super) file: usize,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing starts until it is put right.
    Problem,
    /// It may be meant; somebody should look.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that was found: where, and a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The sentence.
    pub said: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.said),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.said),
        }
    }
}

/// What was found so far. Shared while reading, so that one problem never hides another.
#[derive(Debug, Default)]
pub(super) struct Findings {
    files: RefCell<Vec<PathBuf>>,
    found: RefCell<BTreeSet<(Place, Grade, String)>>,
}

impl Findings {
    /// Notes a problem. `what` names the key, what is allowed and the next step.
    pub(super) fn add(&self, place: Place, what: impl Display) {
        self.note(place, Grade::Problem, what);
    }

    /// Notes anything.
    pub(super) fn note(&self, place: Place, grade: Grade, what: impl Display) {
        self.found.borrow_mut().insert((place, grade, what.to_string()));
    }

    /// Whether anything keeps the mapping from being used.
    pub(super) fn hold_a_problem(&self) -> bool {
        self.found.borrow().iter().any(|(_, grade, _)| *grade == Grade::Problem)
    }

    /// Everything in file order.
    pub(super) fn into_list(self) -> Vec<Finding> {
        let files = self.files.into_inner();
        let finding = |(place, grade, said): (Place, Grade, String)| Finding {
            grade,
            file: files[place.file].clone(),
            line: place.line,
            said,
        };
        self.found.into_inner().into_iter().map(finding).collect()
    }

    /// A place in words, for a finding that stands somewhere else: the line, the file and its directory's name.
    pub(super) fn line_of(&self, place: Place) -> String {
        let files = self.files.borrow();
        let names: Vec<_> = files[place.file].iter().collect();
        let file: PathBuf = names[names.len().saturating_sub(2)..].iter().collect();
        format!("line {} of {}", place.line, file.display())
    }

    /// The files read so far, in the order of [`Place`].
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    /// Where a file as a whole is meant.
    pub(super) fn file(&self, path: &Path) -> Place {
        let mut files = self.files.borrow_mut();
        files.push(path.to_owned());
        Place { file: files.len() - 1, line: 0 }
    }
}

/// One text file of the mapping.
pub(super) struct TextFile {
    place: Place,
    text: String,
    /// Where each line break stands in [`Self::text`].
    breaks: Vec<usize>,
}

impl TextFile {
    /// Reads a file; `None` after noting why it cannot be read.
    pub(super) fn read(path: &Path, findings: &Findings) -> Option<Self> {
        let place = findings.file(path);
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let (why, hint) = match error.kind() {
                    io::ErrorKind::NotFound => ("there is no such file".to_owned(), "a mapping needs it"),
                    io::ErrorKind::PermissionDenied => (
                        "this user may not read it".to_owned(),
                        "it holds no secret; the account that runs referrald must read it",
                    ),
                    kind => (kind.to_string(), "a mapping needs this file"),
                };
                findings.add(place, format_args!("cannot be read: {why} (hint: {hint})"));
                return None;
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            findings.add(place, "is not UTF-8 (hint: save it as \"UTF-8\" or \"CSV UTF-8\")");
            return None;
        };
        let mut file = Self { place, text, breaks: Vec::new() };
        file.breaks = file.text().match_indices('\n').map(|(at, _)| at).collect();
        Some(file)
    }

    /// Reads a file that a programme may do without.
    pub(super) fn read_if_there(path: &Path, findings: &Findings) -> Option<Self> {
        path.exists().then(|| Self::read(path, findings)).flatten()
    }

    /// The text without the mark that spreadsheets put before UTF-8.
    pub(super) fn text(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// The file as a whole.
    pub(super) const fn whole(&self) -> Place {
        self.place
    }

    /// A line of the file.
    pub(super) const fn line(&self, line: usize) -> Place {
        Place { file: self.place.file, line }
    }

    /// The line of a byte of [`Self::text`].
    fn at(&self, offset: usize) -> Place {
        self.line(1 + self.breaks.partition_point(|at| *at < offset))
    }

    /// The keys at the top of a TOML file. What is not TOML is noted; the rest is read all the same.
    pub(super) fn toml(&self, findings: &Findings) -> Spanned<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(self.text());
        for error in errors {
            let place = error.span().map_or(self.place, |span| self.at(span.start));
            findings.add(place, format_args!("not TOML: {} (hint: compare with the lines around it)", error.message()));
        }
        table
    }
}

/// The keys of one TOML table. Each key is asked for by name; [`Keys::finish`] reports those nobody asked for.
pub(super) struct Keys<'a> {
    table: &'a DeTable<'a>,
    file: &'a TextFile,
    findings: &'a Findings,
    /// Where the table begins.
    pub(super) place: Place,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Keys<'a> {
    /// The keys at the top of a file.
    pub(super) fn of_file(file: &'a TextFile, table: &'a DeTable<'a>, findings: &'a Findings) -> Self {
        Self { table, file, findings, place: file.whole(), asked: RefCell::default() }
    }

    fn of_table(&self, table: &'a DeTable<'a>, place: Place) -> Self {
        Self { table, place, asked: RefCell::default(), ..*self }
    }

    /// Whether the key is there, asked for or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text that somebody else asks for and judges.
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Whether a key is plainly `true`; somebody else judges it.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.table.get(key).and_then(|value| value.get_ref().as_bool()) == Some(true)
    }

    /// All of the table as JSON, keys in order: the same for every spelling of the same content.
    pub(super) fn json(&self) -> Map<String, Value> {
        table_as_json(self.table)
    }

    /// Notes a problem of this table.
    pub(super) fn problem(&self, what: impl Display) {
        self.findings.add(self.place, what);
    }

    /// Notes something that is no problem.
    pub(super) fn note(&self, grade: Grade, what: impl Display) {
        self.findings.note(self.place, grade, what);
    }

    /// Notes a problem at a value.
    pub(super) fn problem_at(&self, place: Place, what: impl Display) {
        self.findings.add(place, what);
    }

    pub(super) fn value(&self, key: &'static str) -> Option<(&'a DeValue<'a>, Place)> {
        self.asked.borrow_mut().insert(key);
        let value = self.table.get(key)?;
        Some((value.get_ref(), self.file.at(value.span().start)))
    }

    pub(super) fn text(&self, key: &'static str) -> Option<(&'a str, Place)> {
        let (value, place) = self.value(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.findings.add(place, format_args!("`{key}` must be text in quotes"));
        }
        Some((text?, place))
    }

    /// Text that must be there and not blank.
    pub(super) fn needed(&self, key: &'static str, hint: &str) -> Option<(&'a str, Place)> {
        match self.text(key) {
            Some((text, place)) if text.trim().is_empty() => {
                self.findings.add(place, format_args!("`{key}` is empty (hint: {hint})"));
                None
            }
            Some(found) => Some(found),
            None if self.has(key) => None,
            None => {
                self.problem(format_args!("`{key}` is missing (hint: {hint})"));
                None
            }
        }
    }

    /// `true` or `false`; `false` when absent.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some((value, place)) = self.value(key) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.findings.add(place, format_args!("`{key}` must be true or false"));
            false
        })
    }

    /// A whole number from 1.
    pub(super) fn count(&self, key: &'static str) -> Option<usize> {
        let (value, place) = self.value(key)?;
        let number =
            value.as_integer().and_then(whole).and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
        if number.is_none() {
            self.findings.add(place, format_args!("`{key}` must be a whole number from 1"));
        }
        number
    }

    /// A list of texts; a text alone is a list of one.
    pub(super) fn texts(&self, key: &'static str) -> Option<(Vec<&'a str>, Place)> {
        let (value, place) = self.value(key)?;
        let texts: Option<Vec<_>> = match value {
            DeValue::Array(list) => list.iter().map(|item| item.get_ref().as_str()).collect(),
            other => other.as_str().map(|text| vec![text]),
        };
        let texts = texts.filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.trim().is_empty()));
        if texts.is_none() {
            self.findings.add(place, format_args!("`{key}` must be a list of texts, none of them empty"));
        }
        Some((texts?, place))
    }

    /// A table under a key.
    pub(super) fn table(&self, key: &'static str) -> Option<Self> {
        let (value, place) = self.value(key)?;
        let table = value.as_table();
        if table.is_none() {
            self.findings.add(place, format_args!("`{key}` must be a table, written `[{key}]`"));
        }
        Some(self.of_table(table?, place))
    }

    /// A list of tables under a key; texts in it are handed to `short`, which may know a short form.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some((value, place)) = self.value(key) else { return Vec::new() };
        let mut tables = Vec::new();
        for item in value.as_array().into_iter().flat_map(|list| list.iter()) {
            let place = self.file.at(item.span().start);
            match item.get_ref().as_table() {
                Some(table) => tables.push(self.of_table(table, place)),
                None => self.findings.add(place, format_args!("`{key}` must hold tables, written {{ … }}")),
            }
        }
        if value.as_array().is_none() {
            self.findings.add(place, format_args!("`{key}` must be a list of tables, each written `[[{key}]]` or {{ … }}"));
        }
        tables
    }

    /// Every key with its text, for tables whose keys are names.
    pub(super) fn entries(&self) -> Vec<(&'a str, Option<&'a str>, Place)> {
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &'a std::borrow::Cow<'a, str> = key.get_ref();
            (key.as_ref(), value.get_ref().as_str(), self.file.at(value.span().start))
        };
        self.table.iter().map(entry).collect()
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            if !asked.contains(key.get_ref().as_ref()) {
                let place = self.file.at(key.span().start);
                let hint = hint(key.get_ref(), asked.iter().copied());
                self.findings.add(place, format_args!("unknown key `{}` ({hint})", key.get_ref()));
            }
        }
    }
}

fn table_as_json(table: &DeTable<'_>) -> Map<String, Value> {
    let sorted: BTreeMap<&str, &DeValue<'_>> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect();
    sorted.into_iter().map(|(key, value)| (key.to_owned(), as_json(value))).collect()
}

fn as_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        // A number is not the text of its digits: whoever signed the one has not signed the other.
        DeValue::Integer(number) => whole(number).map_or_else(|| Value::from(number.to_string()), Value::from),
        DeValue::Float(number) => Value::from(number.as_str()),
        DeValue::Datetime(moment) => Value::from(moment.to_string()),
        DeValue::Array(list) => list.iter().map(|item| as_json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(table_as_json(table)),
    }
}

/// A whole number, however it is written.
pub(super) fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `hint: did you mean …?`, or everything that is allowed.
pub(super) fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |name: &&&str| strsim::damerau_levenshtein(given, name);
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= 2.max(given.len() / 3) => format!("hint: did you mean `{nearest}`?"),
        _ => format!("hint: allowed are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}
