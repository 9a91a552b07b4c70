//! The mapping as tables that people read, print and sign, and what changed between two of them.
//!
//! Pure: a [`Mapping`] gives a [`Book`], and each format is one room that writes a book down. It knows no file and no record.
//! Every cell is text: nothing in a book is a formula.

mod changes;
mod comma;
mod compare;
mod html;
mod markdown;
mod signed;
mod words;
mod xlsx;

use crate::{mapping::Mapping, referral::codes};

codes! {
    /// How a book is written down.
    Format {
        /// For LibreOffice and Excel: a tab for each table, ready to print.
        Xlsx = "xlsx",
        /// One table, for other programs.
        Csv = "csv",
        /// One page for a browser, ready to print.
        Html = "html",
        /// Text that reads well as it is.
        Markdown = "markdown",
    }
}

/// What stands on the cover besides what the mapping says itself.
#[derive(Clone, Copy, Debug)]
pub struct Titles<'a> {
    /// What people call the programme.
    pub programme: &'a str,
    /// The agreement of the configuration, if one was read.
    pub agreement: Option<&'a str>,
}

/// A cover and its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// What it is.
    pub title: String,
    /// Programme, version and the beginning of the digest: stands on each printed page.
    pub footer: String,
    /// Name and value of what the cover says.
    pub facts: Vec<(String, String)>,
    /// How to read it, one sentence or two each.
    pub notes: Vec<String>,
    /// What a signature means.
    pub declaration: String,
    /// Who signs: roles; the names are written on paper.
    pub signers: Vec<&'static str>,
    /// The tables.
    pub tabs: Vec<Tab>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Short and unlike every other in its book.
    pub name: String,
    /// What kind of table it is.
    pub kind: Kind,
    /// What it is about.
    pub note: String,
    /// The columns. The first one numbers the rows, and says of a row in words that it is new or gone.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What kind of table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What changed, one row a change.
    Changes,
    /// One row a field.
    Fields,
    /// One row a value.
    Values,
    /// Anything else.
    Other,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// How wide it is, in characters.
    pub width: u16,
    /// Whether another text in it is a change of what people sign.
    pub signed: bool,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// By what it is found again in another book's table of the same name.
    pub id: String,
    /// Whether it stands out.
    pub mark: Mark,
    /// A cell for each column.
    pub cells: Vec<Cell>,
}

/// Whether a row stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It does not.
    Plain,
    /// It was not there before.
    Added,
    /// It was there before.
    Removed,
    /// Nobody may overlook it.
    Loud,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What it said before, if that was something else.
    pub was: Option<String>,
}

impl Cell {
    /// What it says, with what it said before.
    #[must_use]
    pub fn with_was(&self) -> String {
        let empty = |text: &str| if text.is_empty() { "(empty)".to_owned() } else { text.to_owned() };
        self.was.as_ref().map_or_else(|| self.text.clone(), |was| format!("{}\nwas: {}", empty(&self.text), empty(was)))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, was: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Book {
    /// The mapping as people sign it.
    #[must_use]
    pub fn to_sign(mapping: &Mapping, titles: Titles<'_>) -> Self {
        signed::book(mapping, titles)
    }

    /// What changed from one mapping to another: in words, and as marks in the tables.
    #[must_use]
    pub fn of_changes(old: &Mapping, new: &Mapping, titles: Titles<'_>) -> Self {
        compare::book(old, new, titles)
    }

    /// The book in a format; fails if a spreadsheet cannot hold it.
    pub fn written(&self, format: Format) -> Result<Vec<u8>, Unwritable> {
        match format {
            Format::Xlsx => xlsx::workbook(self).map_err(|error| Unwritable(error.to_string())),
            Format::Csv => comma::table(self).map_err(|error| Unwritable(error.to_string())),
            Format::Html => Ok(html::page(self).into_bytes()),
            Format::Markdown => Ok(markdown::text(self).into_bytes()),
        }
    }

    /// The table of changes, if it is a book of changes.
    fn changes(&self) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.kind == Kind::Changes)
    }
}

/// Why a book cannot be written in a format.
#[derive(Debug, thiserror::Error)]
#[error("the sheet cannot be written in this format: {0} (hint: take `--format html`)")]
pub struct Unwritable(String);

#[cfg(test)]
mod tests;
