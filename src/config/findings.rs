//! What is wrong with a configuration, and where.
//!
//! It collects and orders; it does not know what any key means. It is never given a value.

use super::Problems;

/// Where a problem stands. The order is the order of the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// Nowhere in particular: something is missing.
    File,
    /// A variable.
    Variable(String),
}

/// The problems found so far.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    found: Vec<(Place, String)>,
}

impl Findings {
    /// Nothing found yet in the file of this name.
    pub(super) fn of(file: impl ToString) -> Self {
        Self { file: file.to_string(), found: Vec::new() }
    }

    /// Notes a problem.
    pub(super) fn note(&mut self, place: Place, text: impl Into<String>) {
        self.found.push((place, text.into()));
    }

    /// Whether exactly this was noted already.
    pub(super) fn has(&self, text: &str) -> bool {
        self.found.iter().any(|(_, found)| found == text)
    }

    /// One line each, in the order of the file.
    pub(super) fn into_problems(mut self) -> Problems {
        self.found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let file = self.file;
        let line = |(place, text)| match place {
            Place::Line(line) => format!("{file}:{line}: {text}"),
            Place::File => format!("{file}: {text}"),
            Place::Variable(name) => format!("variable `{name}`: {text}"),
        };
        Problems(self.found.into_iter().map(line).collect())
    }
}
