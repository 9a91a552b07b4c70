//! How a row is read: cell by cell, by place, into the types of the program.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use rusqlite::{Row, types::FromSql};
use uuid::Uuid;

/// The cells of a row, one after the other: each is read once, by its place.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Cells<'a> {
    pub(super) const fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell.
    pub(super) fn get<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    /// The next cell as text that is not copied.
    pub(super) fn text(&mut self) -> rusqlite::Result<Option<&'a str>> {
        self.next += 1;
        Ok(self.row.get_ref(self.next - 1)?.as_str_or_null()?)
    }

    /// A time.
    pub(super) fn time(&mut self) -> rusqlite::Result<Option<DateTime<Utc>>> {
        Ok(self.get::<Option<i64>>()?.and_then(DateTime::from_timestamp_millis))
    }

    /// An id of 16 bytes.
    pub(super) fn uuid(&mut self) -> rusqlite::Result<Option<Uuid>> {
        Ok(self.get::<Option<[u8; 16]>>()?.map(Uuid::from_bytes))
    }

    /// A code; an unknown one is an error, so that a newer state is never half understood.
    pub(super) fn code<T>(&mut self, from: fn(&str) -> Option<T>) -> rusqlite::Result<Option<T>> {
        let Some(text) = self.text()? else { return Ok(None) };
        from(text).map(Some).ok_or_else(|| self.unreadable())
    }

    /// An identifier.
    pub(super) fn parsed<T: FromStr>(&mut self) -> rusqlite::Result<Option<T>> {
        let Some(text) = self.text()? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.unreadable())
    }

    /// Names of fields, which hold no blanks.
    pub(super) fn names(&mut self) -> rusqlite::Result<Vec<String>> {
        Ok(self.text()?.map_or_else(Vec::new, |text| text.split(' ').map(str::to_owned).collect()))
    }

    /// The cell just read is not what it should be.
    pub(super) fn unreadable(&self) -> rusqlite::Error {
        rusqlite::Error::InvalidColumnIndex(self.next - 1)
    }
}
