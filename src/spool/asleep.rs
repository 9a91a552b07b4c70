//! Whether this machine has slept: what ran out of time meanwhile gets some more, for one more attempt each.
//!
//! Asleep is wall time that passed while monotonic time stood still. A wall clock that was set forward looks the same, and is no
//! more the fault of what waits. It knows no delivery.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::Shared;
use crate::clock::Clock;

/// A clock that goes forward by less than this between two looks was only put right.
const LITTLE: TimeDelta = TimeDelta::minutes(10);
/// How long after waking nothing is given up that ran out of time in the sleep.
const ONE_MORE_ATTEMPT: TimeDelta = TimeDelta::hours(1);

/// When somebody last looked, and the last sleep.
#[derive(Debug)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    wall: DateTime<Utc>,
    monotonic: std::time::Duration,
    /// From the last moment awake to the end of the time for one more attempt.
    slept: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Watch {
    pub(super) fn new(clock: &Clock) -> Self {
        Self(Mutex::new(Seen { wall: clock.now(), monotonic: clock.monotonic(), slept: None }))
    }

    fn put_off(&self, clock: &Clock, end: DateTime<Utc>) -> DateTime<Utc> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, monotonic) = (clock.now(), clock.monotonic());
        // What monotonic time tells of is no sleep.
        let awake = seen.wall + monotonic.saturating_sub(seen.monotonic);
        if now - awake > LITTLE {
            // Waking for a moment is no end of a sleep.
            let began = seen.slept.filter(|(_, until)| *until > awake).map_or(awake, |(began, _)| began);
            tracing::warn!(slept_s = (now - awake).num_seconds(), "this machine has slept, or its clock was set forward");
            seen.slept = Some((began, now + ONE_MORE_ATTEMPT));
        }
        (seen.wall, seen.monotonic) = (now, monotonic);
        match seen.slept {
            Some((began, until)) if began < end && end < until => until,
            Some(_) | None => end,
        }
    }
}

impl Shared {
    /// The end of somebody's time, put off if it came while this machine slept, or comes right after.
    #[must_use]
    pub fn put_off(&self, end: DateTime<Utc>) -> DateTime<Utc> {
        self.watch.put_off(&self.clock, end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_ended_in_the_sleep_or_right_after_is_put_off() {
        let clock = Clock::manual(at("2026-06-01T08:00:00Z"));
        let watch = Watch::new(&clock);
        let ends = ["2026-06-01T07:00:00Z", "2026-06-03T00:00:00Z", "2026-06-08T08:30:00Z", "2026-06-08T10:00:00Z"].map(at);
        let put_off = || ends.map(|end| watch.put_off(&clock, end) - end);
        assert_eq!(put_off(), [TimeDelta::zero(); 4]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(put_off(), [TimeDelta::zero(); 4]);
        clock.set_wall(at("2026-06-08T08:00:00Z"));
        let until = at("2026-06-08T09:00:00Z");
        let expected = [TimeDelta::zero(), until - ends[1], until - ends[2], TimeDelta::zero()];
        assert_eq!(put_off(), expected);
        clock.advance(Duration::from_secs(600));
        assert_eq!(put_off(), expected, "it is told of once, and the hour does not begin again");
    }

    #[test]
    fn waking_for_a_moment_does_not_end_a_sleep_and_small_corrections_are_none() {
        let clock = Clock::manual(at("2026-06-01T08:00:00Z"));
        let watch = Watch::new(&clock);
        let end = at("2026-06-02T00:00:00Z");
        clock.set_wall(at("2026-06-03T00:00:00Z"));
        assert_eq!(watch.put_off(&clock, end), at("2026-06-03T01:00:00Z"));
        clock.set_wall(at("2026-06-04T00:00:00Z"));
        assert_eq!(watch.put_off(&clock, end), at("2026-06-04T01:00:00Z"));
        clock.set_wall(at("2026-06-03T12:00:00Z"));
        clock.set_wall(at("2026-06-03T12:09:00Z"));
        assert_eq!(watch.put_off(&clock, at("2026-06-09T00:00:00Z")), at("2026-06-09T00:00:00Z"));
    }
}
