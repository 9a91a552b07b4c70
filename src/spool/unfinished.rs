//! How walks end: when the last one came to its end; since when none has, and on the operator's list when that is too long.
//!
//! It knows nothing of what a walk reads. A restart does not make anything look younger than it is.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension;

use super::{
    Error, Reading, Tx,
    delivery::About,
    list::{Kind, NewEntry},
};
use crate::{reason::Reason, referral::Walk};

impl Reading<'_> {
    /// Whether a walk has begun, or should have, and none of its kind has come to its end since.
    pub fn is_unfinished(&self, walk: Walk) -> Result<bool, Error> {
        Ok(self.unfinished_since(walk)?.is_some())
    }

    /// Since when walks of a kind begin, or should, and none comes to its end.
    pub fn unfinished_since(&self, walk: Walk) -> Result<Option<DateTime<Utc>>, Error> {
        self.time_noted(name(walk))
    }

    /// When a walk of a kind last came to its end.
    pub fn walked(&self, walk: Walk) -> Result<Option<DateTime<Utc>>, Error> {
        self.time_noted(end(walk))
    }

    fn time_noted(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let time: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        Ok(time.and_then(DateTime::from_timestamp_millis))
    }
}

impl Tx<'_> {
    /// A walk begins, or should: it is unfinished from now on, if it was not before.
    pub fn walk_begins(&mut self, walk: Walk) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO meta VALUES (?1, ?2)")?;
        statement.execute((name(walk), self.now.timestamp_millis()))?;
        Ok(())
    }

    /// A walk has come to its end.
    pub fn walk_ends(&mut self, walk: Walk) -> Result<(), Error> {
        let mut statement =
            self.connection.prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2")?;
        statement.execute((end(walk), self.now.timestamp_millis()))?;
        self.walk_is_over(walk)
    }

    /// A walk has come to its end, or none is wanted: nobody need act.
    pub fn walk_is_over(&mut self, walk: Walk) -> Result<(), Error> {
        self.connection.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([name(walk)])?;
        let mut statement = self
            .connection
            .prepare_cached("UPDATE entries SET closed = ?2 WHERE kind = ?1 AND delivery IS NULL AND closed IS NULL")?;
        statement.execute((kind(walk).code(), self.now.timestamp_millis()))?;
        Ok(())
    }

    /// Puts a walk that is unfinished since `before` or longer on the operator's list, with what last stood in its way.
    pub fn list_unfinished(&mut self, walk: Walk, before: DateTime<Utc>, reason: Option<Reason>) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM meta WHERE name = ?1 AND value <= ?2")?;
        if !statement.exists((name(walk), before.timestamp_millis()))? {
            return Ok(());
        }
        let entry = NewEntry { kind: kind(walk), reason, fields: Vec::new() };
        if !self.list_number(&About::default(), &entry)? && reason.is_some() {
            let mut statement = self
                .connection
                .prepare_cached("UPDATE entries SET reason = ?2 WHERE kind = ?1 AND delivery IS NULL AND closed IS NULL")?;
            statement.execute((entry.kind.code(), reason.map(Reason::code)))?;
        }
        Ok(())
    }
}

const fn name(walk: Walk) -> &'static str {
    match walk {
        Walk::Referrals => "referrals_unfinished",
        Walk::Decisions => "decisions_unfinished",
    }
}

const fn end(walk: Walk) -> &'static str {
    match walk {
        Walk::Referrals => "referrals_walked",
        Walk::Decisions => "decisions_walked",
    }
}

const fn kind(walk: Walk) -> Kind {
    match walk {
        Walk::Referrals => Kind::ReferralsNotRead,
        Walk::Decisions => Kind::DecisionsNotRead,
    }
}
