//! `mapping check`: everything that is wrong at once, in file order.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::Shown;
use crate::{
    command::Failure,
    mapping::{Finding, Grade, Mapping, examples},
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
    let failures = ran.as_ref().and_then(|ran| ran.as_ref().err()).map_or(&[][..], Vec::as_slice);
    for failure in failures {
        let row = Row { grade: word(Grade::Problem), file: None, line: None, said: failure };
        shown.say(&format!("{:<8} {failure}", row.grade), &row)?;
    }
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (problems, warnings) = (count(Grade::Problem) + failures.len(), count(Grade::Warning));
    let examples = ran.and_then(Result::ok);
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

fn show(finding: &Finding, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
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
