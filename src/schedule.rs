//! When a walk is due: cron in the programme's time zone, caught up once after a sleep, never twice at a time.
//!
//! Times are pure here; the [`Ticker`] only knocks once a second. It knows neither what a walk does nor how far it has read.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use croner::Cron;

use crate::zone::Zone;

mod ticker;

pub use ticker::{Ticker, TickerFailed};

/// The next time after `after`, true to the zone: a time that the clocks repeat comes once, one that they skip comes right after.
/// `None` for a pattern that never comes, such as 31 February.
#[must_use]
pub fn next_after(cron: &Cron, zone: Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = cron.find_next_occurrence(&after.with_timezone(&zone), false).ok()?;
    Some(next.to_utc()).filter(|next| *next > after)
}

/// When a day begins in a zone. Where the clocks are put forward at midnight, it begins with the first moment after that.
#[must_use]
pub fn midnight(day: NaiveDate, zone: Zone) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    let earliest = |time: NaiveDateTime| zone.from_local_datetime(&time).earliest();
    let begins = earliest(midnight).or_else(|| earliest(midnight + TimeDelta::hours(1)));
    begins.map_or_else(|| midnight.and_utc(), |begins| begins.to_utc())
}

/// A clock may be set back by less than this without a time coming again.
const LITTLE: TimeDelta = TimeDelta::minutes(1);

/// Whether a walk is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Not yet.
    No,
    /// Now: the caller starts it.
    Now,
    /// A time has come and gone because the walk before is still running. Told once for each such walk.
    StillRunning,
}

/// The times of one kind of walk.
///
/// However many times have passed while nobody looked, the walk is due once.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: Zone,
    /// All times up to this moment are dealt with.
    settled: DateTime<Utc>,
    /// The next time after `settled`.
    next: Option<DateTime<Utc>>,
    /// Due whatever the time is.
    at_once: bool,
    /// That the running walk stands in the way has been told.
    told: bool,
}

impl Timetable {
    /// The times of a walk that was last started at `last_started`, perhaps by an earlier process.
    ///
    /// A walk that never ran waits for its first time, unless `at_once` asks for it as soon as anybody looks.
    #[must_use]
    pub fn new(cron: Cron, zone: Zone, last_started: Option<DateTime<Utc>>, at_once: bool, now: DateTime<Utc>) -> Self {
        let mut timetable = Self { cron, zone, settled: now, next: None, at_once, told: false };
        timetable.settle(last_started.unwrap_or(now));
        timetable
    }

    /// Looks at the clock. After [`Due::Now`] the walk counts as started at `now`.
    ///
    /// A clock that was set back makes the walk wait for the next time by the new clock, so no longer than a period;
    /// a clock that was set forward makes it due once; a clock that trembles about a time does not make it due again.
    pub fn look(&mut self, now: DateTime<Utc>, running: bool) -> Due {
        if now < self.settled && !self.is_a_tremble(now) {
            self.settle(now);
        }
        if !running {
            self.told = false;
        }
        if !self.at_once && self.next.is_none_or(|next| now < next) {
            return Due::No;
        }
        self.at_once = false;
        self.settle(now);
        if !running {
            Due::Now
        } else if self.told {
            Due::No
        } else {
            self.told = true;
            Due::StillRunning
        }
    }

    /// The next time, for people to read.
    #[must_use]
    pub const fn next(&self) -> Option<DateTime<Utc>> {
        self.next
    }

    /// Takes other times, as after a reload: the next one counts from `now`.
    pub fn change(&mut self, cron: Cron, zone: Zone, now: DateTime<Utc>) {
        if (&self.cron, self.zone) != (&cron, zone) {
            self.cron = cron;
            self.zone = zone;
            self.settle(now);
        }
    }

    /// Whether the clock went back so little that at most one time comes again, the one that was dealt with just now.
    fn is_a_tremble(&self, now: DateTime<Utc>) -> bool {
        let after = |time| next_after(&self.cron, self.zone, time);
        self.settled - now < LITTLE && self.next <= after(now).and_then(after)
    }

    fn settle(&mut self, until: DateTime<Utc>) {
        self.settled = until;
        self.next = next_after(&self.cron, self.zone, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        "Europe/Berlin".parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(pattern: &str) -> Cron {
        pattern.parse().unwrap()
    }

    fn table(pattern: &str, last_started: Option<&str>, now: &str) -> Timetable {
        Timetable::new(cron(pattern), Zone::UTC, last_started.map(at), false, at(now))
    }

    #[test]
    fn times_are_true_to_the_zone_when_the_clocks_change() {
        for (name, pattern, after, expected) in [
            ("half past nine in summer", "0 30 9 * * *", "2026-10-24T00:00:00Z", "2026-10-24T07:30:00Z"),
            ("half past nine in winter", "0 30 9 * * *", "2026-10-24T07:30:00Z", "2026-10-25T08:30:00Z"),
            ("the repeated half past two", "0 30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("comes once", "0 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            ("the skipped half past two", "0 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("and then again", "0 30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
            ("every ten minutes in the repeated hour", "0 */10 * * * *", "2026-10-25T00:55:00Z", "2026-10-25T01:00:00Z"),
            ("and on", "0 */10 * * * *", "2026-10-25T01:00:00Z", "2026-10-25T01:10:00Z"),
            ("strictly after", "0 */10 * * * *", "2026-06-01T00:10:00Z", "2026-06-01T00:20:00Z"),
            ("a fraction after", "0 */10 * * * *", "2026-06-01T00:10:00.001Z", "2026-06-01T00:20:00Z"),
            ("a fraction before", "0 */10 * * * *", "2026-06-01T00:09:59.999Z", "2026-06-01T00:10:00Z"),
        ] {
            assert_eq!(next_after(&cron(pattern), berlin(), at(after)), Some(at(expected)), "{name}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_zone_also_where_the_clocks_skip_it() {
        let day = |text: &str| text.parse().unwrap();
        for (zone, of, begins) in [
            ("Africa/Addis_Ababa", "2026-06-01", "2026-05-31T21:00:00Z"),
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"),
            ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),
        ] {
            assert_eq!(midnight(day(of), zone.parse().unwrap()), at(begins), "{zone}");
        }
    }

    #[test]
    fn every_ten_minutes_comes_every_ten_minutes_all_through_both_changes_of_the_clocks() {
        let cron = cron("0 */10 * * * *");
        for (from, until) in [("2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"), ("2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z")]
        {
            let mut now = at(from);
            while now < at(until) {
                let next = next_after(&cron, berlin(), now).unwrap();
                assert_eq!(next - now, TimeDelta::minutes(10), "after {now}");
                now = next;
            }
        }
    }

    #[test]
    fn a_time_that_never_comes_is_never_due() {
        let mut table = table("0 0 0 31 2 *", None, "2026-01-01T00:00:00Z");
        assert_eq!(table.next(), None);
        assert_eq!(table.look(at("2030-01-01T00:00:00Z"), false), Due::No);
    }

    #[test]
    fn a_walk_is_due_once_at_its_time() {
        let mut table = table("0 */10 * * * *", None, "2026-06-01T00:01:00Z");
        assert_eq!(table.look(at("2026-06-01T00:09:59.999Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:10:00.300Z"), false), Due::Now);
        assert_eq!(table.look(at("2026-06-01T00:10:00.400Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:20:00Z"), false), Due::Now);
        assert_eq!(table.next(), Some(at("2026-06-01T00:30:00Z")));
    }

    #[test]
    fn at_once_is_once() {
        let now = at("2026-06-01T00:01:00Z");
        let mut table = Timetable::new(cron("0 */10 * * * *"), Zone::UTC, None, true, now);
        assert_eq!(table.look(now, false), Due::Now);
        assert_eq!(table.look(now, false), Due::No);
    }

    #[test]
    fn many_times_slept_through_are_caught_up_once() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T00:10:00Z"), "2026-06-03T07:03:00Z");
        assert_eq!(table.look(at("2026-06-03T07:03:00Z"), false), Due::Now);
        assert_eq!(table.look(at("2026-06-03T07:03:01Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-03T07:10:00Z"), false), Due::Now);
    }

    #[test]
    fn a_walk_that_was_started_lately_is_not_due_after_a_restart() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T00:10:00Z"), "2026-06-01T00:12:00Z");
        assert_eq!(table.look(at("2026-06-01T00:12:00Z"), false), Due::No);
        assert_eq!(table.next(), Some(at("2026-06-01T00:20:00Z")));
    }

    #[test]
    fn a_time_missed_because_the_walk_still_runs_is_told_once_and_not_made_up_for() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T00:10:00Z"), "2026-06-01T00:10:00Z");
        assert_eq!(table.look(at("2026-06-01T00:19:00Z"), true), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:20:00Z"), true), Due::StillRunning);
        assert_eq!(table.look(at("2026-06-01T00:20:01Z"), true), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:30:00Z"), true), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:31:00Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T00:40:00Z"), false), Due::Now);
        assert_eq!(table.look(at("2026-06-01T00:50:00Z"), true), Due::StillRunning, "another walk, told again");
    }

    #[test]
    fn a_clock_set_back_stops_a_walk_for_no_longer_than_a_period() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T12:10:00Z"), "2026-06-01T12:11:00Z");
        assert_eq!(table.look(at("2026-06-01T09:03:00Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T09:10:00Z"), false), Due::Now);
        // The same when the process was started with a clock that had been ahead.
        let mut table = self::table("0 */10 * * * *", Some("2099-01-01T00:00:00Z"), "2026-06-01T12:11:00Z");
        assert_eq!(table.look(at("2026-06-01T12:11:00Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T12:20:00Z"), false), Due::Now);
    }

    #[test]
    fn a_clock_that_trembles_about_a_time_makes_no_storm() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T12:10:00Z"), "2026-06-01T12:10:00Z");
        let mut due = 0;
        for _ in 0..1000 {
            due += u32::from(table.look(at("2026-06-01T12:20:00.100Z"), false) == Due::Now);
            due += u32::from(table.look(at("2026-06-01T12:19:59.900Z"), false) == Due::Now);
        }
        assert_eq!(due, 1);
        assert_eq!(table.look(at("2026-06-01T12:30:00Z"), false), Due::Now);
    }

    #[test]
    fn a_clock_set_back_by_more_than_a_short_period_is_no_tremble() {
        let mut table = table("* * * * * *", Some("2026-06-01T12:10:30Z"), "2026-06-01T12:10:30Z");
        assert_eq!(table.look(at("2026-06-01T12:10:00.500Z"), false), Due::No);
        assert_eq!(table.look(at("2026-06-01T12:10:01Z"), false), Due::Now);
    }

    #[test]
    fn other_times_count_from_when_they_are_given() {
        let mut table = table("0 */10 * * * *", Some("2026-06-01T12:10:00Z"), "2026-06-01T12:10:00Z");
        let now = at("2026-06-01T12:15:00Z");
        table.change(cron("0 */10 * * * *"), Zone::UTC, now);
        assert_eq!(table.next(), Some(at("2026-06-01T12:20:00Z")));
        table.change(cron("0 */5 * * * *"), Zone::UTC, now);
        assert_eq!(table.next(), Some(at("2026-06-01T12:20:00Z")));
        table.change(cron("0 0 3 * * *"), berlin(), now);
        assert_eq!(table.next(), Some(at("2026-06-02T01:00:00Z")));
    }
}
