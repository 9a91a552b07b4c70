//! A book as CSV, for other programs: the changes if it is a book of changes, otherwise the fields of all messages.
//!
//! A cell that a spreadsheet would take for a formula gets an apostrophe in front: it begins with = + - @, a tab or a return.
//! The text begins with a byte order mark, or Excel reads it in another alphabet.

use super::{Book, Column, Kind, Tab};

pub(super) fn table(book: &Book) -> Result<Vec<u8>, csv::Error> {
    let tabs: Vec<&Tab> = match book.changes() {
        Some(changes) => vec![changes],
        None => book.tabs.iter().filter(|tab| tab.kind == Kind::Fields).collect(),
    };
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer("\u{feff}".as_bytes().to_vec());
    if let Some(tab) = tabs.first() {
        let headings = tab.columns.iter().map(heading);
        writer.write_record(before("Table", tab).into_iter().map(str::to_owned).chain(headings))?;
    }
    for tab in tabs {
        for row in &tab.rows {
            let cells = row.cells.iter().map(|cell| harmless(&cell.text));
            writer.write_record(before(&tab.name, tab).into_iter().map(harmless).chain(cells))?;
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// Tables of fields stand below each other: each row says which one it is of.
fn before<'a>(text: &'a str, tab: &Tab) -> Option<&'a str> {
    (tab.kind == Kind::Fields).then_some(text)
}

/// The headings of all messages are the same but for the side.
fn heading(column: &Column) -> String {
    let written = column.heading.starts_with("Written to");
    harmless(if written { "Written to" } else { &column.heading })
}

/// As text, whatever it begins with.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
