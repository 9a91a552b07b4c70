//! `mapping test`: runs the examples, and shows what was expected beside what came out.
//!
//! The people in examples are invented, so their values are shown; `mapping check` runs the same examples and quotes nothing.

use std::{io::Write, path::Path};

use serde::Serialize;
use serde_json::Value;

use super::{
    Shown,
    attempt::documents,
    checked::{many, show},
    loaded,
};
use crate::{
    command::Failure,
    mapping::{
        Mapping,
        examples::{self, Broken, Difference, Kind, Ran, Why},
    },
};

#[derive(Serialize)]
struct Row<'a> {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    example: &'a str,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Field<'a>>,
}

/// One field that is another one. What is not there has no key.
#[derive(Serialize)]
struct Field<'a> {
    at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<&'a Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    rule: String,
}

#[derive(Serialize)]
struct Sum<'a> {
    version: &'a str,
    examples: usize,
    hold: usize,
    differ: usize,
    problems: usize,
}

/// Runs the examples of a mapping.
pub(super) fn test(directory: &Path, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let ran = examples::run(&mapping, directory);
    for problem in &ran.problems {
        show(problem, shown)?;
    }
    for broken in &ran.broken {
        one(broken, &mapping, shown)?;
    }
    tally(&ran, &mapping, shown)
}

fn one(broken: &Broken, mapping: &Mapping, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let Broken { file, line, example, kind, why } = broken;
    shown.words(&format!("{}:{line}: example \"{example}\" ({})", file.display(), kind.code().replace('_', " ")))?;
    let (said, differences) = match why {
        Why::Unusable(problem) => {
            shown.words(&format!("  {problem}"))?;
            (Some(problem.as_str()), Vec::new())
        }
        Why::Differs(differences) => {
            let fields: Vec<Field<'_>> = differences.iter().map(|difference| field(difference, *kind, mapping)).collect();
            for (difference, field) in differences.iter().zip(&fields) {
                shown.words(&in_words(difference, field, *kind))?;
            }
            (None, fields)
        }
    };
    shown.words("")?;
    let line = Some(*line).filter(|line| *line > 0);
    shown.row(&Row { file: file.display().to_string(), line, example, kind: *kind, said, differences })
}

/// The document in which a place lies, what people call it, and the field of it.
fn place(at: &str, kind: Kind) -> Option<(&'static super::attempt::Made, &str)> {
    let inside = |made: &'static super::attempt::Made| Some((made, at.strip_prefix(made.at)?.strip_prefix('/')?));
    documents(kind).iter().find_map(inside)
}

fn field<'a>(difference: &'a Difference, kind: Kind, mapping: &Mapping) -> Field<'a> {
    let Difference { at, expected, got } = difference;
    let (from, rule) = place(at, kind).map(|(made, field)| made.origin(mapping, field)).unwrap_or_default();
    Field { at, expected: expected.as_ref(), got: got.as_ref(), from, rule }
}

fn in_words(difference: &Difference, field: &Field<'_>, kind: Kind) -> String {
    let name = match place(&difference.at, kind) {
        Some((made, field)) => format!("{field} ({})", made.what),
        None if difference.at.is_empty() => "the whole".to_owned(),
        None => difference.at.trim_start_matches('/').replace('/', ", "),
    };
    let side = |value: Option<&Value>| match value {
        None => "nothing".to_owned(),
        // All of a message would hide why the other side has none.
        Some(value) if difference.is_about_gaps() && value.get("gaps").is_none() && value.is_object() => "a message".to_owned(),
        Some(value) => in_short(value),
    };
    let (expected, got) = (side(difference.expected.as_ref()), side(difference.got.as_ref()));
    let mut words = format!("  {name}\n    expected  {expected}\n    got       {got}");
    if !field.rule.is_empty() {
        words.push_str(&format!("\n    from      {}\n    rule      {}", field.from, field.rule));
    }
    words
}

/// A value; of what could not be made, why.
fn in_short(value: &Value) -> String {
    match value.get("gaps").and_then(Value::as_array) {
        Some(gaps) => {
            let words = |gap: &Value| {
                let words: Vec<&str> = gap.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                words.join(" ")
            };
            format!("no message, because of: {}", gaps.iter().map(words).collect::<Vec<_>>().join("; "))
        }
        None => value.to_string(),
    }
}

fn tally(ran: &Ran, mapping: &Mapping, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    for (file, (hold, differ)) in &ran.files {
        let differ = if *differ > 0 { format!(", {differ} differ") } else { String::new() };
        shown.words(&format!("{:<40} {hold:>4} hold{differ}", file.file_name().unwrap_or_default().to_string_lossy()))?;
    }
    let (tried, differ, problems) = (ran.tried(), ran.broken.len(), ran.problems.len());
    let hold = tried - differ;
    shown.say(
        &format!("version {}: {hold} of {} hold", mapping.version(), many(tried, "example")),
        &Sum { version: mapping.version(), examples: tried, hold, differ, problems },
    )?;
    match differ + problems {
        0 => Ok(()),
        _ if problems == 0 => Err(Failure::configuration(format!("{} not as agreed", many(differ, "example")))),
        _ => Err(Failure::configuration(format!(
            "{} not as agreed, {} with the files of examples",
            many(differ, "example"),
            many(problems, "problem")
        ))),
    }
}
