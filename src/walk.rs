//! How to read every changed case once, from a list that changes while it is read.
//!
//! Pure: it says what to ask next and which rows of an answer are new; it sends nothing, stores nothing and asks no clock.
//! Stamps are the server's own; the time of this machine never enters.
//!
//! The list gives rows whose `last_updated_at` is not before the second of what was asked, ascending, in pages.
//! A case that is saved moves to the end, so a deep page may skip rows. Therefore:
//!
//! 1. Page 1 is asked, again and again, each time from the last stamp of the page before.
//! 2. Only where a single second holds more rows than a page are deeper pages asked, and only the rows of that second are taken
//!    from them. Such a second is passed through again from page 1 until a pass shows nothing new and none can be missing:
//!    a row that leaves the second lets another slip from one page to the page before; and rows of equal stamps come in any
//!    order, so one may hide while another comes twice.
//! 3. A page that is not full ends the walk.
//!
//! A row may become visible after rows that are stamped later; the overlap brings the next walk back to it.
//! It covers how late a row comes together with how long a walk reads on at the end of a list that keeps growing.
//!
//! Not promised: a row later than that; one behind a stamp that a server's clock put into the future;
//! one that hides from [`MOST_FRUITLESS`] passes through its second.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::referral::CaseKey;

/// After so many passes in a row that show nothing new a walk goes on, even if the list seems to hold more:
/// a list that gives one row twice for ever must not stop it. A row that comes in random order hides from all of them
/// less than once in a million times.
pub const MOST_FRUITLESS: u32 = 16;

/// How far a kind of walk has read: where the next walk begins. Server time, to the millisecond.
///
/// Rows stamped before the whole second of the cursor are never asked for again,
/// so a pair of case and stamp that is older may be forgotten by whoever remembers handled pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The overlap is taken off already.
    pub cursor: DateTime<Utc>,
}

/// What to ask the list for: not before `since`, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The list looks at the whole second only.
    pub since: DateTime<Utc>,
    /// Counted from 1.
    pub page: u32,
    /// Rows wanted in a page; the server may give fewer a page, and says so.
    pub per: u32,
}

/// What one page means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Indexes of the rows that this walk has not met before. An earlier walk may have, inside the overlap.
    pub new: Vec<usize>,
    /// What the stored position may become in the same transaction as these rows, and not earlier:
    /// a walk begun there meets everything that this one has not.
    pub position: Position,
    /// Nothing is left to ask.
    pub over: bool,
}

/// The list was not what was asked for: rows from before `since`, out of order, or more than a page.
/// Reading on could miss cases without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of cases did not honour the range, the order or the page asked for")]
pub struct NotAsAsked;

/// One walk.
///
/// Memory: of all rows only those in the second that is asked from are remembered, for only they can come twice.
/// That is at most a page, or the rows of the busiest second if these are more: for 100,000 cases saved by one script at a
/// thousand a second a thousand pairs of about 50 bytes; for 100,000 saved within one second, the worst there is, 5 MB.
#[derive(Clone, Debug)]
pub struct Walker {
    position: Position,
    overlap: Duration,
    per: u32,
    since: DateTime<Utc>,
    page: u32,
    /// The rows met in the second of `since`, each with the last pass that met it.
    met: HashMap<(CaseKey, DateTime<Utc>), u32>,
    pass: Pass,
    over: bool,
}

/// A pass through a second that holds more rows than a page.
#[derive(Clone, Copy, Debug)]
struct Pass {
    /// Counted from 1.
    number: u32,
    /// Rows of the second that this pass was given, repeats included.
    given: usize,
    /// The same of the pass before.
    given_before: Option<usize>,
    /// The first of the passes, up to this one, that gave as many rows as the one before: no row left the second during them,
    /// so what they met together is still there.
    still_from: u32,
    /// Whether this pass met a row that none before it had.
    met_new: bool,
    /// Passes in a row that met no such row.
    fruitless: u32,
}

impl Pass {
    const FIRST: Self = Self { number: 1, given: 0, given_before: None, still_from: 1, met_new: false, fruitless: 0 };
}

impl Walker {
    /// A walk from `position`, whose stored position stays `overlap` behind the highest stamp met.
    #[must_use]
    pub fn new(position: Position, overlap: Duration, per: u32) -> Self {
        let since = position.cursor.trunc_subsecs(3);
        Self { position, overlap, per, since, page: 1, met: HashMap::new(), pass: Pass::FIRST, over: false }
    }

    /// What to ask next; `None` when the walk is over. Asking changes nothing: after a fault the same is asked again.
    #[must_use]
    pub fn request(&self) -> Option<Ask> {
        // Rows of equal stamps are dealt out to pages by how the server sorts, which depends on the size of a page:
        // a row that hides from one size shows itself at another.
        let per = self.per - self.per / 64 * self.pass.fruitless;
        (!self.over).then_some(Ask { since: self.since, page: self.page, per })
    }

    /// Takes the answer to [`Self::request`]: the rows in their order, and the size of a page as really used.
    ///
    /// # Errors
    /// The list was not what was asked for. The walk stands where it stood.
    pub fn page(&mut self, stamps: &[(CaseKey, DateTime<Utc>)], per: u32) -> Result<Step, NotAsAsked> {
        let full = honoured(stamps, self.since, per)?;
        let second = second(self.since);
        let new = if self.page == 1 && !ends_in(stamps, full, second) {
            self.ahead(stamps, full)
        } else {
            self.through_a_second(stamps, full, second)
        };
        let highest = new.iter().map(|row| stamps[*row].1).max();
        if let Some(reached) = highest.and_then(|highest| behind(highest, self.overlap)) {
            self.position.cursor = self.position.cursor.max(reached);
        }
        Ok(Step { new, position: self.position, over: self.over })
    }

    /// A first page that reaches beyond the second asked from, or the last one.
    fn ahead(&mut self, stamps: &[(CaseKey, DateTime<Utc>)], full: bool) -> Vec<usize> {
        let new = self.meet(stamps);
        match stamps.last() {
            Some((_, last)) if full => self.go_on_from(*last),
            Some(_) | None => self.over = true,
        }
        new
    }

    /// A page of a pass through a second that holds more rows than a page.
    fn through_a_second(&mut self, stamps: &[(CaseKey, DateTime<Utc>)], full: bool, second: DateTime<Utc>) -> Vec<usize> {
        // Seconds ascend, so the rows of this one come first.
        let inside = stamps.partition_point(|(_, stamp)| self::second(*stamp) == second);
        let new = self.meet(&stamps[..inside]);
        self.pass.given += inside;
        self.pass.met_new |= !new.is_empty();
        if ends_in(stamps, full, second) {
            self.page += 1;
        } else if !self.pass_was_the_last() {
            self.page = 1;
        } else if full || inside < stamps.len() {
            // What lies beyond the second is read from page 1, as everything.
            self.go_on_from(second + TimeDelta::seconds(1));
        } else {
            self.over = true;
        }
        new
    }

    /// Ends a pass; if it was not the last, the next one stands ready.
    fn pass_was_the_last(&mut self) -> bool {
        let Pass { number, given, given_before, still_from, met_new, fruitless } = self.pass;
        let still_from = if given_before == Some(given) { still_from } else { number + 1 };
        let fruitless = if met_new { 0 } else { fruitless + 1 };
        self.pass = Pass { number: number + 1, given: 0, given_before: Some(given), still_from, met_new: false, fruitless };
        let complete = || self.met.values().filter(|pass| **pass >= still_from).count() >= given;
        fruitless >= MOST_FRUITLESS || (!met_new && still_from <= number && complete())
    }

    fn go_on_from(&mut self, since: DateTime<Utc>) {
        self.since = since.trunc_subsecs(3);
        self.page = 1;
        self.pass = Pass::FIRST;
        self.met.retain(|(_, stamp), _| second(*stamp) >= second(since));
        self.met.values_mut().for_each(|pass| *pass = 0);
    }

    /// Remembers rows as met in this pass; the indexes of those that were not met before.
    fn meet(&mut self, stamps: &[(CaseKey, DateTime<Utc>)]) -> Vec<usize> {
        let pass = self.pass.number;
        stamps.iter().enumerate().filter_map(|(row, pair)| self.met.insert(*pair, pass).is_none().then_some(row)).collect()
    }
}

/// Checks a page against what was asked; whether it is full.
///
/// The order is looked at by seconds: within one, the list sorts texts, and these need not all be written alike.
fn honoured(stamps: &[(CaseKey, DateTime<Utc>)], since: DateTime<Utc>, per: u32) -> Result<bool, NotAsAsked> {
    let per = usize::try_from(per).map_err(|_| NotAsAsked)?;
    let seconds = || stamps.iter().map(|(_, stamp)| second(*stamp));
    let honoured =
        per > 0 && stamps.len() <= per && seconds().is_sorted() && seconds().next().is_none_or(|first| first >= second(since));
    honoured.then_some(stamps.len() == per).ok_or(NotAsAsked)
}

/// Whether a page stops inside `second`, so that more of its rows may follow.
fn ends_in(stamps: &[(CaseKey, DateTime<Utc>)], full: bool, second: DateTime<Utc>) -> bool {
    full && stamps.last().is_some_and(|(_, last)| self::second(*last) == second)
}

fn second(stamp: DateTime<Utc>) -> DateTime<Utc> {
    stamp.trunc_subsecs(0)
}

fn behind(stamp: DateTime<Utc>, overlap: Duration) -> Option<DateTime<Utc>> {
    Some(stamp.checked_sub_signed(TimeDelta::from_std(overlap).ok()?)?.trunc_subsecs(3))
}

#[cfg(test)]
mod tests;
