//! An example that does not hold: where the document that was made is another one than the document that was expected.
//!
//! It knows documents, not rules. The people in examples are invented; a finding quotes nothing of them all the same.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

use super::Kind;
use crate::mapping::{Finding, Grade};

/// What says that a message could not be made, and why.
const GAPS: &str = "gaps";

/// An example that does not hold.
pub struct Broken {
    /// The file that says what must come out.
    pub file: PathBuf,
    /// The line of the example in it, from 1; 0 if it was not found.
    pub line: usize,
    /// What the example is called.
    pub example: String,
    /// What it is about.
    pub kind: Kind,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with an example.
pub enum Why {
    /// Something else came out.
    Differs(Vec<Difference>),
    /// It is not as its kind expects.
    Unusable(String),
}

/// One place where two documents differ.
pub struct Difference {
    /// The place as a JSON pointer; empty if the whole is meant.
    pub at: String,
    /// What the example says; none if it has nothing there.
    pub expected: Option<Value>,
    /// What the mapping made; none if it made nothing there.
    pub got: Option<Value>,
}

impl Broken {
    /// The same without a value.
    pub(super) fn finding(&self) -> Finding {
        let what = match &self.why {
            Why::Unusable(problem) => problem.clone(),
            Why::Differs(differences) => differences.iter().map(Difference::named).collect::<Vec<_>>().join("; "),
        };
        let said = format!("example \"{}\": {what} (hint: `referrald mapping test` shows what was expected)", self.example);
        Finding { grade: Grade::Problem, file: self.file.clone(), line: self.line, said }
    }
}

impl Difference {
    fn named(&self) -> String {
        let Self { at, expected, got } = self;
        match (expected, got) {
            (Some(_), None) => format!("{at} is missing"),
            (None, Some(_)) => format!("{at} is unexpected"),
            (Some(_), Some(_)) | (None, None) if at.is_empty() => "the whole differs".to_owned(),
            (Some(_), Some(_)) | (None, None) => format!("{at} differs"),
        }
    }

    /// Whether one side is a message and the other says only why there is none.
    #[must_use]
    pub fn is_about_gaps(&self) -> bool {
        self.expected.as_ref().is_some_and(has_gaps) || self.got.as_ref().is_some_and(has_gaps)
    }
}

fn has_gaps(document: &Value) -> bool {
    document.get(GAPS).is_some()
}

/// Where two documents differ, field by field.
pub(super) fn differences(expected: &Value, made: &Value) -> Vec<Difference> {
    fn compare(at: &str, expected: Option<&Value>, made: Option<&Value>, found: &mut Vec<Difference>) {
        match (expected, made) {
            (Some(Value::Object(expected)), Some(Value::Object(made))) => {
                for key in expected.keys().chain(made.keys()).collect::<BTreeSet<_>>() {
                    compare(&format!("{at}/{key}"), expected.get(key), made.get(key), found);
                }
            }
            (expected, made) if expected == made => {}
            (expected, got) => found.push(Difference { at: at.to_owned(), expected: expected.cloned(), got: got.cloned() }),
        }
    }
    let mut found = Vec::new();
    if has_gaps(expected) == has_gaps(made) {
        compare("", Some(expected), Some(made), &mut found);
    } else {
        // A message on one side, none on the other: to list every field of it would hide why.
        found.push(Difference { at: String::new(), expected: Some(expected.clone()), got: Some(made.clone()) });
    }
    found
}
