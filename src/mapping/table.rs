//! Value tables: CSV files with the codes and labels of both sides, one column looked up, one column written.
//!
//! A lookup sees the table's own rows only. It does not know what happens to a value that is not listed: the rule that uses the table says so.

use std::{collections::HashMap, sync::Arc};

use chrono::NaiveDate;

use super::file::{Findings, Place, TextFile, hint};

mod spreadsheet;

/// The columns of a table whose rows have to be confirmed.
const CONFIRMED: [&str; 2] = ["confirmed_by_role", "confirmed_on"];

/// A value table.
#[derive(Debug)]
pub struct Table {
    /// What rules call it.
    pub name: String,
    /// The column that is looked up.
    pub looked_up: String,
    /// The column that is written.
    pub written: String,
    /// Every column, as the file names them.
    pub columns: Vec<String>,
    /// Every row, for people who review it.
    pub rows: Vec<Vec<String>>,
    /// The file as a whole.
    pub place: Place,
    /// Where each row stands.
    pub places: Vec<Place>,
    /// Whether each row has to be confirmed before it is opened.
    pub needs_confirmation: bool,
    /// Which columns are looked up and written.
    looked_up_at: usize,
    written_at: usize,
    /// Which row is meant by a value that is looked up.
    values: HashMap<String, usize>,
}

impl Table {
    /// What is written for a value; `None` if it is not listed.
    #[must_use]
    pub fn get(&self, looked_up: &str) -> Option<&str> {
        let row = self.values.get(looked_up)?;
        Some(&self.rows[*row][self.written_at])
    }

    /// What is looked up in a row, counted from 0.
    #[must_use]
    pub fn key(&self, row: usize) -> &str {
        &self.rows[row][self.looked_up_at]
    }

    /// What is written by a row, counted from 0.
    #[must_use]
    pub fn value(&self, row: usize) -> &str {
        &self.rows[row][self.written_at]
    }

    /// Everything that may be written.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.values().map(|row| self.rows[*row][self.written_at].as_str())
    }

    /// The row of a value, counted from 0.
    #[must_use]
    pub fn row_of(&self, looked_up: &str) -> Option<usize> {
        self.values.get(looked_up).copied()
    }

    /// The cell of a row in the column of this name; `None` if there is no such column.
    #[must_use]
    pub fn cell(&self, row: usize, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| name == column)?;
        Some(&self.rows[row][at])
    }

    /// By which role a row was confirmed, and on which day.
    #[must_use]
    pub fn confirmation(&self, row: usize) -> Option<(&str, &str)> {
        let [by, on] = CONFIRMED.map(|column| self.cell(row, column).filter(|cell| !cell.is_empty()));
        by.zip(on)
    }
}

/// Where a table is declared: its name, its two columns, and what its rows must have besides.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) looked_up: (&'a str, Place),
    pub(super) written: (&'a str, Place),
    pub(super) needs_confirmation: bool,
}

/// Reads a table; every problem is noted, and what could be read is given all the same.
pub(super) fn read(declared: &Declaration<'_>, file: &TextFile, findings: &Findings) -> Option<Arc<Table>> {
    let wanted = [declared.looked_up.0, declared.written.0];
    let delimiter = spreadsheet::delimiter(file.text(), &wanted);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(file.text().as_bytes());
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(str::to_owned).collect(),
        Err(error) => {
            findings.add(file.line(1), not_csv(&error));
            return None;
        }
    };
    let columns = spreadsheet::headings(columns, file.line(1), findings);
    let column = |name: &str, asked_by: &str| {
        let found = columns.iter().position(|column| column == name);
        if found.is_none() {
            let hint = hint(name, columns.iter().map(String::as_str));
            findings.add(
                file.line(1),
                format_args!(
                    "table `{}` has no column `{name}`, which {asked_by} asks for ({hint}; cells are parted by commas)",
                    declared.name
                ),
            );
        }
        found
    };
    let declared_column = |(name, place): (&str, Place)| column(name, &findings.line_of(place));
    let (looked_up, written) = (declared_column(declared.looked_up), declared_column(declared.written));
    let (looked_up, written) = (looked_up?, written?);
    let confirmed =
        if declared.needs_confirmation { CONFIRMED.map(|name| column(name, "`confirmation = true`")) } else { [None, None] };

    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut places = Vec::new();
    let mut values = HashMap::new();
    for record in reader.into_records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line());
                findings.add(file.line(usize::try_from(line).unwrap_or(0)), not_csv(&error));
                continue;
            }
        };
        let line = record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
        let place = file.line(line);
        if record.iter().all(|cell| cell.trim().is_empty()) {
            // A spreadsheet keeps rows that were emptied.
            continue;
        }
        let key = &record[looked_up];
        for (column, cell) in columns.iter().zip(&record) {
            let matched = [looked_up, written].iter().any(|at| columns[*at] == *column);
            if let Some(wrong) = spreadsheet::damage(cell, matched) {
                findings.add(place, format_args!("the cell `{column}` {wrong}"));
            } else if matched && cell.trim().is_empty() {
                findings.add(place, format_args!("the cell `{column}` is empty (hint: fill it in, or remove the row)"));
            }
        }
        if record.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty()) {
            findings.add(place, "a cell stands right of the last heading (hint: give its column a heading, or remove it)");
        }
        confirmation(confirmed, &record, place, findings);
        match values.get(key) {
            Some(first) => {
                let Place { line: first, .. } = places[*first];
                findings.add(
                    place,
                    format_args!(
                        "`{key}` stands in the table twice, first in line {first} (hint: keep the row that both sides signed)"
                    ),
                );
            }
            None => {
                values.insert(key.to_owned(), rows.len());
            }
        }
        rows.push(record.iter().take(columns.len()).map(str::to_owned).collect());
        places.push(place);
    }
    for at in [looked_up, written] {
        let cells = rows.iter().map(|row| row[at].as_str()).zip(places.iter().copied());
        spreadsheet::lost_zeros(&columns[at], cells, findings);
    }
    let (looked_up_at, written_at) = (looked_up, written);
    let (looked_up, written) = (columns[looked_up].clone(), columns[written].clone());
    let (name, needs_confirmation) = (declared.name.to_owned(), declared.needs_confirmation);
    Some(Arc::new(Table {
        name,
        looked_up,
        written,
        columns,
        rows,
        place: file.whole(),
        places,
        needs_confirmation,
        looked_up_at,
        written_at,
        values,
    }))
}

/// Role and day stand together or not at all.
fn confirmation(columns: [Option<usize>; 2], record: &csv::StringRecord, place: Place, findings: &Findings) {
    let [Some(by), Some(on)] = columns.map(|at| at.map(|at| record[at].trim())) else { return };
    if by.is_empty() != on.is_empty() {
        findings.add(
            place,
            "a confirmation has a role and a day (hint: fill in both `confirmed_by_role` and `confirmed_on`, or neither)",
        );
    } else if !on.is_empty() && (on.len() != 10 || on.parse::<NaiveDate>().is_err()) {
        findings.add(
            place,
            "the cell `confirmed_on` is no day (hint: year-month-day, as in 2026-11-30; a spreadsheet may have changed it)",
        );
    }
}

fn not_csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells instead of {expected_len} (hint: a cell with a comma in it stands in double quotes)")
        }
        _ => "cannot be read as CSV (hint: save it as \"CSV UTF-8\", cells parted by commas)".to_owned(),
    }
}
