//! `mapping check --live`: the mapping beside the Primero that it is made for.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{Shown, checked::many, loaded};
use crate::{
    clock::Clock,
    command::{
        Exit, Failure,
        check::{Label, Live, live},
    },
    config::Settings,
};

#[derive(Serialize)]
struct Row<'a> {
    grade: &'static str,
    said: &'a str,
}

/// Asks Primero, and shows what it says; every option with its label there and our label.
pub(super) async fn compare(settings: &Settings, directory: &Path, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let Live { findings, labels } = live(settings, &mapping, &Clock::system()).await;
    let mut field = "";
    for label in &labels {
        if label.field != field {
            field = &label.field;
            shown.words(&format!("\n{field}"))?;
        }
        shown.say(&in_words(label), label)?;
    }
    shown.words("")?;
    for problem in &findings.problems {
        shown.say(&format!("problem  {}", problem.said), &Row { grade: "problem", said: &problem.said })?;
    }
    // A wrong label on a service that is open sends a child to the wrong place.
    let wrong: Vec<&Label> =
        labels.iter().filter(|label| label.opened && matches!(label.verdict, "differs" | "no_row")).collect();
    for label in &wrong {
        let place = label.place.as_deref().map(|place| format!("{place}: ")).unwrap_or_default();
        let said = format!(
            "{place}`{}` of `{}` is opened, but its label in Primero is not the one in our table (hint: ask both sides which service is meant)",
            label.id, label.field
        );
        shown.say(&format!("problem  {said}"), &Row { grade: "problem", said: &said })?;
    }
    for note in &findings.notes {
        shown.say(&format!("note     {note}"), &Row { grade: "note", said: note })?;
    }
    let differing = labels.iter().filter(|label| label.verdict == "differs").count();
    if findings.problems.is_empty() && wrong.is_empty() {
        shown.words(&format!("Primero and the mapping fit; {} to look at", many(differing, "differing label")))
    } else {
        let exits: Vec<Exit> = findings.problems.iter().map(|problem| problem.exit).collect();
        let said = format!("{} found", many(exits.len() + wrong.len(), "problem"));
        let exit = if exits.contains(&Exit::Configuration) { Exit::Configuration } else { Exit::Outside };
        Err(Failure { exit, said })
    }
}

fn in_words(label: &Label) -> String {
    let Label { id, live, ours, .. } = label;
    let text = |label: &Option<String>| label.as_deref().map_or("-".to_owned(), |label| format!("\"{label}\""));
    let (live, ours) = (text(live), text(ours));
    let mark = match label.verdict {
        "agrees" => "",
        "differs" => "  <-- THE LABELS DIFFER",
        "no_such_option" => "  <-- PRIMERO HAS NO SUCH OPTION",
        "no_row" => "  <-- no row in our table",
        _ => "",
    };
    let place = label.place.as_deref().unwrap_or_default();
    format!("  {id:<44} Primero: {live:<44} ours: {ours:<44} {place}{mark}")
}
