//! The book of changes: the list in words, then every table of the new mapping with what changed marked in it.

use super::{
    Book, Kind, Mark, Row, Tab, Titles,
    changes::{Change, changes},
    signed::{approval, column, fact, footer, tabs, unsigned},
};
use crate::mapping::Mapping;

/// The whole book.
pub(super) fn book(old: &Mapping, new: &Mapping, titles: Titles<'_>) -> Book {
    let changes = changes(old, new);
    let same = old.digest() == new.digest();
    let loud = changes.iter().filter(|change| change.subject.is_loud()).count();
    let state = |mapping: &Mapping| format!("version {}, digest {}", mapping.plain_version(), mapping.digest());
    let facts = vec![
        fact("Programme", titles.programme),
        fact("Before", &state(old)),
        fact("Before, approval", &approval(old, titles)),
        fact("Now", &state(new)),
        fact("Now, approval", &approval(new, titles)),
        fact("Changes", &number(changes.len())),
        fact("Newly shared or taken", &number(loud)),
    ];
    let mut notes = Vec::new();
    if same {
        notes.push("Nothing is different: both have the same digest.".to_owned());
    } else {
        if changes.is_empty() {
            notes.push("The digests differ, but no rule, value, text or name does: rows stand in another order.".to_owned());
        }
        if old.plain_version() == new.plain_version() {
            notes.push("THE VERSION IS STILL THE SAME: raise it, because what was signed has changed.".to_owned());
        }
        notes.push("Newly shared fields come first. What changed is marked in the tables after the list.".to_owned());
        notes.push("NEW is green, GONE is red and struck through, a changed cell is yellow and says what it was.".to_owned());
    }
    let mut list = vec![listed(&changes)];
    list.extend(marked(&tabs(old, titles), tabs(new, titles)));
    Book {
        title: format!("Changes of the mapping: {}", titles.programme),
        footer: format!("{} (before: version {}, digest {}…)", footer(new, titles), old.plain_version(), &old.digest()[..12]),
        facts,
        notes,
        declaration: "We have read these changes and agree that from now on data are exchanged in this way.".to_owned(),
        signers: super::signed::SIGNERS.to_vec(),
        tabs: list,
    }
}

fn number(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { count.to_string() }
}

fn listed(changes: &[Change]) -> Tab {
    let rows = changes.iter().enumerate().map(|(at, change)| Row {
        id: at.to_string(),
        mark: if change.subject.is_loud() { Mark::Loud } else { Mark::Plain },
        cells: vec![
            (at + 1).to_string().into(),
            change.subject.in_words().into(),
            change.place.as_str().into(),
            change.what.as_str().into(),
            change.said.as_str().into(),
            change.was.as_str().into(),
            change.now.as_str().into(),
        ],
    });
    Tab {
        name: "Changes".to_owned(),
        kind: Kind::Changes,
        note: if changes.is_empty() { "Nothing is different." } else { "Everything that changed, newly shared fields first." }
            .to_owned(),
        columns: vec![
            unsigned("No.", 5),
            column("Kind", 18),
            column("Where", 24),
            column("Field or row", 28),
            column("In words", 70),
            column("Was", 40),
            column("Is now", 40),
        ],
        rows: rows.collect(),
    }
}

/// The new tables with what changed marked; then the tables that are gone.
fn marked(old: &[Tab], new: Vec<Tab>) -> Vec<Tab> {
    let all = |tab: Tab, mark: fn(&mut Row)| {
        let mut tab = tab;
        tab.rows.iter_mut().for_each(mark);
        tab
    };
    let gone: Vec<Tab> = old.iter().filter(|tab| new.iter().all(|other| other.name != tab.name)).cloned().collect();
    let tabs = new.into_iter().map(|tab| match old.iter().find(|before| before.name == tab.name) {
        Some(before) => merged(before, tab),
        None => all(tab, added),
    });
    let mut tabs: Vec<Tab> = tabs.collect();
    tabs.extend(gone.into_iter().map(|tab| all(tab, removed)));
    tabs
}

fn merged(before: &Tab, mut tab: Tab) -> Tab {
    let headings = |tab: &Tab| tab.columns.iter().map(|column| column.heading.clone()).collect::<Vec<_>>();
    let earlier = headings(before);
    for row in &mut tab.rows {
        let Some(was) = before.rows.iter().find(|was| was.id == row.id) else {
            added(row);
            continue;
        };
        for (cell, column) in row.cells.iter_mut().zip(&tab.columns).filter(|(_, column)| column.signed) {
            let at = earlier.iter().position(|heading| *heading == column.heading);
            let text = at.map(|at| was.cells[at].text.clone()).unwrap_or_default();
            if text != cell.text {
                cell.was = Some(text);
            }
        }
    }
    let lost = before.rows.iter().filter(|was| tab.rows.iter().all(|row| row.id != was.id));
    let lost: Vec<Row> = lost
        .map(|was| {
            let cells = tab.columns.iter().map(|column| {
                let at = earlier.iter().position(|heading| *heading == column.heading);
                at.map(|at| was.cells[at].clone()).unwrap_or_default()
            });
            let mut row = Row { id: was.id.clone(), mark: Mark::Plain, cells: cells.collect() };
            removed(&mut row);
            row
        })
        .collect();
    tab.rows.extend(lost);
    tab
}

/// Said in words, too: colours are lost on a black and white printer.
fn added(row: &mut Row) {
    row.mark = Mark::Added;
    row.cells[0] = "NEW".into();
}

fn removed(row: &mut Row) {
    row.mark = Mark::Removed;
    row.cells[0] = "GONE".into();
}
