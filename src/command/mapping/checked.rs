//! `mapping check`: everything that is wrong at once, in file order.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::Shown;
use crate::{
    command::Failure,
    mapping::{
        Finding, Grade, Mapping,
        examples::{self, Ran},
    },
};

#[derive(Serialize)]
struct Row<'a> {
    grade: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    said: &'a str,
}

#[derive(Serialize)]
struct Sum<'a> {
    problems: usize,
    warnings: usize,
    version: Option<&'a str>,
    examples: Option<usize>,
}

/// Checks the files and runs the examples.
pub(super) fn check(directory: &Path, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let (mapping, findings) = Mapping::inspect(directory);
    for finding in &findings {
        show(finding, shown)?;
    }
    let ran = mapping.as_ref().map(|mapping| examples::run(mapping, directory));
    // What an example must give is shown by `mapping test`; here only where it gives something else.
    let failures = ran.as_ref().map(Ran::findings).unwrap_or_default();
    for failure in &failures {
        show(failure, shown)?;
    }
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (problems, warnings) = (count(Grade::Problem) + failures.len(), count(Grade::Warning));
    let examples = ran.filter(|_| failures.is_empty()).map(|ran| ran.tried());
    let version = mapping.as_ref().map(Mapping::version);
    let words = match (version, examples) {
        (Some(version), Some(examples)) => {
            format!("version {version}: in order, {examples} examples hold, {}", many(warnings, "warning"))
        }
        _ => format!("{}, {}", many(problems, "problem"), many(warnings, "warning")),
    };
    shown.say(&words, &Sum { problems, warnings, version, examples })?;
    if problems == 0 { Ok(()) } else { Err(Failure::configuration(format!("{} found", many(problems, "problem")))) }
}

pub(super) fn show(finding: &Finding, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let Finding { grade, file, line, said } = finding;
    let row =
        Row { grade: word(*grade), file: Some(file.display().to_string()), line: Some(*line).filter(|line| *line > 0), said };
    shown.say(&format!("{:<8} {finding}", row.grade), &row)
}

const fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Problem => "problem",
        Grade::Warning => "warning",
        Grade::Note => "note",
    }
}

pub(super) fn many(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
