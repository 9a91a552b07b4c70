//! A book as text that reads well as it is. A book of changes is its list of sentences: marks in tables need colours.

use super::{Book, Mark, Tab};

pub(super) fn text(book: &Book) -> String {
    let mut text = format!("# {}\n", plain(&book.title));
    text.push('\n');
    for (name, value) in &book.facts {
        text += &format!("- {}: {}\n", plain(name), plain(value));
    }
    if let Some(changes) = book.changes() {
        let said = book.notes.iter().take_while(|note| !note.starts_with("Newly shared"));
        said.for_each(|note| text += &format!("\n{}\n", plain(note)));
        sentences(changes, &mut text);
        signatures(book, &mut text);
        return text;
    }
    for note in &book.notes {
        text += &format!("\n{}\n", plain(note));
    }
    for tab in &book.tabs {
        text += &format!("\n## {}\n\n{}\n\n", plain(&tab.name), plain(&tab.note));
        table(tab, &mut text);
    }
    signatures(book, &mut text);
    text
}

/// One sentence a change, under a heading for each kind.
fn sentences(changes: &Tab, text: &mut String) {
    let mut heading = None;
    for row in &changes.rows {
        let kind = &row.cells[1].text;
        if heading != Some(kind) {
            *text += &format!("\n## {}\n\n", plain(&capital(kind)));
            heading = Some(kind);
        }
        let said = plain(&row.cells[4].text);
        match row.mark {
            Mark::Loud => *text += &format!("- **{said}**\n"),
            Mark::Plain | Mark::Added | Mark::Removed => *text += &format!("- {said}\n"),
        }
    }
}

fn table(tab: &Tab, text: &mut String) {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    *text += &line(tab.columns.iter().map(|column| plain(&column.heading)).collect());
    *text += &line(tab.columns.iter().map(|_| "---".to_owned()).collect());
    for row in &tab.rows {
        *text += &line(row.cells.iter().map(|cell| plain(&cell.with_was())).collect());
    }
}

fn signatures(book: &Book, text: &mut String) {
    *text += &format!("\n## Signatures\n\n{}\n\n", plain(&book.declaration));
    *text += "| Role | Name | Signature | Date |\n| --- | --- | --- | --- |\n";
    for signer in &book.signers {
        *text += &format!("| {} |  |  |  |\n", plain(signer));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// As text, whatever signs are in it; a table has one line a row.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        match letter {
            '\n' => plain.push_str("<br>"),
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '\r' => {}
            // Inside a word it is no emphasis.
            '_' if inside(Some(before)) && inside(letters.peek().copied()) => plain.push('_'),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '>' => plain.extend(['\\', letter]),
            other => plain.push(other),
        }
        before = letter;
    }
    plain
}
