//! How the two systems are: well, unwell, or blocked because we are wrong.
//!
//! Pure: times are handed in. It knows no delivery but by number, and it does not know why an errand ended as it did;
//! it only counts and says how many attempts may be under way.

use std::{collections::HashSet, time::Duration};

use crate::{reason::Reason, referral::DeliveryId};

/// How many faults in a row, of different errands, make a system unwell.
const FAULTS_IN_A_ROW: usize = 3;
/// First probe of a blocked system.
const FIRST_PROBE: Duration = Duration::from_secs(600);
/// Every later one; also the longest that a stored probe time may lie ahead.
pub const LATER_PROBE: Duration = Duration::from_secs(3600);

/// What one attempt showed about a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered as promised, whatever the answer said.
    Answered,
    /// Connection fault, time-out, 502, 503, 504.
    Fault,
    /// It failed, but only with this errand: a 500, a throttle, an answer that is not as promised.
    Stumbled,
    /// We are wrong.
    Wrong(Reason),
}

/// A change that the log should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on one attempt at a time.
    Unwell,
    /// All is well again.
    Well,
    /// Nothing more is attempted but probes.
    Blocked(Reason),
    /// A probe went through.
    Unblocked,
}

/// How many attempts may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As many as configured.
    All,
    /// One.
    One,
    /// One, which is a probe; for dropped fields only an errand already written.
    Probe {
        /// Only errands of which something may have been written.
        only_written: bool,
    },
    /// None before this time.
    None(Duration),
}

/// Why and since when a system is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Why.
    pub reason: Reason,
    /// The next probe, in monotonic time.
    pub next_probe: Duration,
}

/// The health of one system.
#[derive(Debug, Default)]
pub struct Health {
    faults: HashSet<DeliveryId>,
    unwell: Option<Unwell>,
    block: Option<Block>,
    /// When it last answered as promised.
    answered: Option<Duration>,
    probed: HashSet<DeliveryId>,
    /// Who probes now: an errand, or a walk (`None` inside).
    probing: Option<Option<DeliveryId>>,
}

#[derive(Clone, Copy, Debug)]
struct Unwell {
    since: Duration,
    next: Duration,
    pauses: u32,
}

impl Health {
    /// A system that was blocked before the last end, with its stored probe time cut to the longest wait.
    #[must_use]
    pub fn restored(reason: Reason, next_probe: Duration) -> Self {
        Self { block: Some(Block { reason, next_probe }), ..Self::default() }
    }

    /// How many attempts may be under way now.
    #[must_use]
    pub fn leave(&self, now: Duration) -> Leave {
        match (self.block, self.unwell) {
            (Some(_), _) if self.probing.is_some() => Leave::None(Duration::MAX),
            (Some(block), _) if now < block.next_probe => Leave::None(block.next_probe),
            (Some(block), _) => Leave::Probe { only_written: block.reason == Reason::FieldsNotWritable },
            (None, Some(unwell)) if now < unwell.next => Leave::None(unwell.next),
            (None, Some(_)) => Leave::One,
            (None, None) => Leave::All,
        }
    }

    /// Whether the system is blocked.
    #[must_use]
    pub const fn block(&self) -> Option<Block> {
        self.block
    }

    /// Whether it is unwell.
    #[must_use]
    pub const fn is_unwell(&self) -> bool {
        self.unwell.is_some()
    }

    /// Since when it is unwell, in monotonic time.
    #[must_use]
    pub fn unwell_since(&self) -> Option<Duration> {
        self.unwell.map(|unwell| unwell.since)
    }

    /// When it last answered as promised, in monotonic time; `None` if it has not since the start.
    #[must_use]
    pub const fn answered(&self) -> Option<Duration> {
        self.answered
    }

    /// Errands that probed already; each probe takes a different one.
    #[must_use]
    pub const fn probed(&self) -> &HashSet<DeliveryId> {
        &self.probed
    }

    /// Every errand has probed: begin again with the first.
    pub fn forget_probes(&mut self) {
        self.probed.clear();
    }

    /// A probe is under way. A walk probes without an errand.
    pub fn probe_started(&mut self, errand: Option<DeliveryId>) {
        self.probing = Some(errand);
        self.probed.extend(errand);
    }

    /// An attempt, or a walk, has ended; if it was the probe and gave no sign, nobody probes now.
    pub fn ended(&mut self, errand: Option<DeliveryId>) {
        if self.probing == Some(errand) {
            self.probing = None;
        }
    }

    /// Probe at once: settings were loaded again.
    pub fn probe_now(&mut self, now: Duration) {
        if let Some(block) = &mut self.block {
            block.next_probe = now;
        }
    }

    /// No probe before this time.
    pub fn put_off(&mut self, until: Duration) {
        if let Some(block) = &mut self.block {
            block.next_probe = block.next_probe.max(until);
        }
    }

    /// Takes in what an attempt showed. `pause` gives the n-th growing pause.
    pub fn report(
        &mut self,
        now: Duration,
        errand: Option<DeliveryId>,
        sign: Sign,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Option<Change> {
        // Only who probes speaks for the probe: an attempt that was under way before the block says nothing about it.
        let was_probing = self.probing == Some(errand);
        if was_probing {
            self.probing = None;
        }
        match sign {
            Sign::Wrong(reason) => {
                let known = self.block.is_some_and(|block| block.reason == reason);
                if self.block.is_none() || was_probing || !known {
                    let wait = if self.block.is_some() && was_probing { LATER_PROBE } else { FIRST_PROBE };
                    self.block = Some(Block { reason, next_probe: now + wait });
                }
                (!known).then_some(Change::Blocked(reason))
            }
            Sign::Fault | Sign::Stumbled if self.block.is_some() => {
                if was_probing {
                    self.block = self.block.map(|block| Block { next_probe: now + LATER_PROBE, ..block });
                }
                None
            }
            Sign::Fault => {
                self.faults.extend(errand);
                if let Some(unwell) = &mut self.unwell {
                    unwell.pauses += 1;
                    unwell.next = now + pause(unwell.pauses);
                    return None;
                }
                (self.faults.len() >= FAULTS_IN_A_ROW).then(|| {
                    self.unwell = Some(Unwell { since: now, next: now + pause(0), pauses: 0 });
                    Change::Unwell
                })
            }
            Sign::Stumbled => None,
            Sign::Answered if self.block.is_some() && !was_probing => {
                self.answered = Some(now);
                None
            }
            Sign::Answered => {
                let change = match (self.block, self.unwell) {
                    (Some(_), _) => Some(Change::Unblocked),
                    (None, Some(_)) => Some(Change::Well),
                    (None, None) => None,
                };
                *self = Self { answered: Some(now), ..Self::default() };
                change
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn report(health: &mut Health, now: u64, errand: i64, sign: Sign) -> Option<Change> {
        health.report(s(now), Some(DeliveryId(errand)), sign, |n| s(5 << n))
    }

    #[test]
    fn three_faults_in_a_row_of_different_errands_make_a_system_unwell() {
        let mut health = Health::default();
        assert_eq!(report(&mut health, 0, 1, Sign::Fault), None);
        assert_eq!(report(&mut health, 0, 1, Sign::Fault), None);
        assert_eq!(report(&mut health, 0, 1, Sign::Fault), None, "one bad record does not make a system unwell");
        assert_eq!(report(&mut health, 0, 2, Sign::Fault), None);
        assert_eq!(report(&mut health, 0, 3, Sign::Stumbled), None, "a 500 counts against its errand only");
        assert_eq!(report(&mut health, 0, 3, Sign::Fault), Some(Change::Unwell));
        assert_eq!((health.unwell_since(), health.answered()), (Some(s(0)), None));
        assert_eq!(health.leave(s(4)), Leave::None(s(5)));
        assert_eq!(health.leave(s(5)), Leave::One);
        assert_eq!(report(&mut health, 5, 4, Sign::Fault), None);
        assert_eq!(health.leave(s(5)), Leave::None(s(15)), "the pauses grow");
        assert_eq!((health.unwell_since(), health.answered()), (Some(s(0)), None), "a further fault does not make it younger");
        assert_eq!(report(&mut health, 15, 4, Sign::Answered), Some(Change::Well));
        assert_eq!((health.unwell_since(), health.answered()), (None, Some(s(15))));
        assert_eq!(health.leave(s(15)), Leave::All);
    }

    #[test]
    fn an_answer_in_between_begins_the_count_again() {
        let mut health = Health::default();
        report(&mut health, 0, 1, Sign::Fault);
        report(&mut health, 0, 2, Sign::Fault);
        report(&mut health, 0, 3, Sign::Answered);
        assert_eq!(report(&mut health, 0, 4, Sign::Fault), None);
        assert_eq!(health.leave(s(0)), Leave::All);
    }

    #[test]
    fn a_blocked_system_is_probed_after_ten_minutes_then_hourly() {
        let mut health = Health::default();
        let wrong = Sign::Wrong(Reason::Forbidden);
        assert_eq!(report(&mut health, 0, 1, wrong), Some(Change::Blocked(Reason::Forbidden)));
        assert_eq!(report(&mut health, 1, 2, wrong), None, "said once");
        assert_eq!(health.leave(s(599)), Leave::None(s(600)), "an attempt that was under way does not push the probe out");
        assert_eq!(health.leave(s(600)), Leave::Probe { only_written: false });
        health.probe_started(Some(DeliveryId(1)));
        assert_eq!(health.leave(s(600)), Leave::None(Duration::MAX), "one probe at a time");
        assert_eq!(report(&mut health, 600, 1, wrong), None);
        assert_eq!(health.leave(s(4199)), Leave::None(s(4200)));
        assert!(health.probed().contains(&DeliveryId(1)));
        health.probe_now(s(1000));
        assert_eq!(health.leave(s(1000)), Leave::Probe { only_written: false });
        health.probe_started(Some(DeliveryId(2)));
        assert_eq!(report(&mut health, 1000, 2, Sign::Answered), Some(Change::Unblocked));
        assert_eq!(health.leave(s(1000)), Leave::All);
        assert!(health.probed().is_empty());
    }

    #[test]
    fn an_answer_to_an_attempt_that_was_under_way_does_not_unblock() {
        let mut health = Health::default();
        report(&mut health, 0, 1, Sign::Wrong(Reason::FilterIgnored));
        assert_eq!(report(&mut health, 0, 2, Sign::Answered), None);
        assert_eq!(health.leave(s(0)), Leave::None(s(600)));
    }

    #[test]
    fn a_probe_that_gave_no_sign_lets_another_probe() {
        let mut health = Health::default();
        report(&mut health, 0, 1, Sign::Wrong(Reason::Forbidden));
        health.probe_started(Some(DeliveryId(1)));
        health.ended(Some(DeliveryId(2)));
        health.ended(None);
        assert_eq!(health.leave(s(600)), Leave::None(Duration::MAX), "others that end do not end the probe");
        health.ended(Some(DeliveryId(1)));
        assert_eq!(health.leave(s(600)), Leave::Probe { only_written: false });
        health.probe_started(None);
        health.ended(None);
        assert_eq!(health.leave(s(600)), Leave::Probe { only_written: false });
    }

    #[test]
    fn a_probe_that_meets_a_fault_has_shown_nothing_and_the_next_is_an_hour_later() {
        for sign in [Sign::Fault, Sign::Stumbled] {
            let mut health = Health::default();
            report(&mut health, 0, 1, Sign::Wrong(Reason::Forbidden));
            assert_eq!(report(&mut health, 5, 2, sign), None);
            assert_eq!(health.leave(s(5)), Leave::None(s(600)), "an attempt that was under way does not push the probe out");
            health.probe_started(Some(DeliveryId(1)));
            assert_eq!(report(&mut health, 600, 1, sign), None);
            assert_eq!(health.leave(s(600)), Leave::None(s(4200)), "{sign:?}");
        }
    }

    #[test]
    fn dropped_fields_are_probed_only_with_what_was_written() {
        let mut health = Health::default();
        report(&mut health, 0, 1, Sign::Wrong(Reason::FieldsNotWritable));
        assert_eq!(health.leave(s(600)), Leave::Probe { only_written: true });
    }
}
