//! Value tables: CSV files with the codes and labels of both sides, one column looked up, one column written.
//!
//! A lookup sees the table's own rows only. It does not know what happens to a value that is not listed: the rule that uses the table says so.

use std::{collections::HashMap, sync::Arc};

use super::file::{Findings, Place, TextFile, hint};

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
    values: HashMap<String, String>,
}

impl Table {
    /// What is written for a value; `None` if it is not listed.
    #[must_use]
    pub fn get(&self, looked_up: &str) -> Option<&str> {
        self.values.get(looked_up).map(String::as_str)
    }

    /// Everything that may be written.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.values().map(String::as_str)
    }
}

/// Where a table is declared: its name and its two columns.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) looked_up: (&'a str, Place),
    pub(super) written: (&'a str, Place),
}

/// Reads a table; every problem is noted, and what could be read is given all the same.
pub(super) fn read(declared: &Declaration<'_>, file: &TextFile, findings: &Findings) -> Option<Arc<Table>> {
    let mut reader = csv::Reader::from_reader(file.text().as_bytes());
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(str::to_owned).collect(),
        Err(error) => {
            findings.add(file.line(1), not_csv(&error));
            return None;
        }
    };
    let column = |(name, place): (&str, Place)| {
        let found = columns.iter().position(|column| column == name);
        if found.is_none() {
            let hint = hint(name, columns.iter().map(String::as_str));
            findings.add(
                place,
                format_args!("table `{}` has no column `{name}` ({hint}; cells are parted by commas)", declared.name),
            );
        }
        found
    };
    let (looked_up, written) = (column(declared.looked_up), column(declared.written));
    let (looked_up, written) = (looked_up?, written?);

    let mut rows = Vec::new();
    let mut values = HashMap::new();
    let mut first_lines = HashMap::new();
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
        let (key, value) = (&record[looked_up], &record[written]);
        for (column, cell) in [(declared.looked_up.0, key), (declared.written.0, value)] {
            if cell.trim().is_empty() {
                findings.add(place, format_args!("the cell `{column}` is empty (hint: fill it in, or remove the row)"));
            }
        }
        match first_lines.get(key) {
            Some(first) => findings.add(
                place,
                format_args!(
                    "`{key}` stands in the table twice, first in line {first} (hint: keep the row that both sides signed)"
                ),
            ),
            None => {
                first_lines.insert(key.to_owned(), line);
                values.insert(key.to_owned(), value.to_owned());
            }
        }
        rows.push(record.iter().map(str::to_owned).collect());
    }
    let (looked_up, written) = (columns[looked_up].clone(), columns[written].clone());
    Some(Arc::new(Table { name: declared.name.to_owned(), looked_up, written, columns, rows, values }))
}

fn not_csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells instead of {expected_len} (hint: a cell with a comma in it stands in double quotes)")
        }
        _ => "cannot be read as CSV (hint: save it as \"CSV UTF-8\", cells parted by commas)".to_owned(),
    }
}
