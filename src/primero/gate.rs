//! Keeps Primero's password from being tried in a loop: six failures lock the account.
//!
//! One gate belongs to one user name and password; a changed secret is a new gate.
//! It knows no request and no answer, only whether the password was accepted. What it knows must be stored by others, so that
//! it survives a restart: watch [`Gate::subscribe`], restore with [`Gate::refused`].

use std::{sync::PoisonError, time::Duration};

use tokio::sync::{Mutex, MutexGuard, watch};

use crate::clock::Clock;

/// From a refusal to the first probe.
const FIRST_PROBE: Duration = Duration::from_secs(10 * 60);
/// From one probe to the next.
const NEXT_PROBE: Duration = Duration::from_secs(60 * 60);

/// What is known of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not tried yet, or without a clear answer: requests go one at a time.
    Unproven,
    /// Accepted: requests go as they come.
    Proven,
    /// Refused: nothing goes, but for one probe.
    Refused {
        /// From when on one request may go as a probe, by the clock's monotonic time.
        next_probe: Duration,
    },
}

/// Through which every request goes.
#[derive(Debug)]
pub struct Gate {
    clock: Clock,
    standing: watch::Sender<Standing>,
    tried: std::sync::Mutex<Option<Duration>>,
    /// Held by the one request that goes alone.
    turn: Mutex<()>,
}

impl Gate {
    /// The gate of a password that was not tried yet: at start, and after each change of the secret.
    #[must_use]
    pub fn unproven(clock: Clock) -> Self {
        Self::standing_at(clock, Standing::Unproven)
    }

    /// The gate of a password that was refused before the restart. A probe further off than the longest wait is cut to that.
    #[must_use]
    pub fn refused(clock: Clock, next_probe: Duration) -> Self {
        let next_probe = next_probe.min(clock.monotonic() + NEXT_PROBE);
        Self::standing_at(clock, Standing::Refused { next_probe })
    }

    fn standing_at(clock: Clock, standing: Standing) -> Self {
        Self { clock, standing: watch::Sender::new(standing), tried: std::sync::Mutex::default(), turn: Mutex::new(()) }
    }

    /// What is known now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Every change of what is known. A new time for the next probe is a change too, and is to be stored like the others.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Lets the next request go as a probe, if the password was refused: after a reload. At once, but never sooner after the last
    /// one than the first probe comes: who reloads in a loop must not lock the account. Returns what is known now.
    pub fn probe_now(&self) -> Standing {
        let now = self.clock.monotonic();
        let soonest = self.tried().map_or(now, |tried| now.max(tried + FIRST_PROBE));
        self.change(|standing| match standing {
            Standing::Refused { next_probe } if next_probe > soonest => Some(Standing::Refused { next_probe: soonest }),
            Standing::Refused { .. } | Standing::Unproven | Standing::Proven => None,
        });
        self.standing()
    }

    /// When the password was last refused, or probed, in this process.
    fn tried(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave for one request; `None` if nothing may go now. Waits for its turn while the password is unproven.
    pub(super) async fn pass(&self) -> Option<Pass<'_>> {
        loop {
            match self.standing() {
                Standing::Proven => return Some(Pass { gate: self, alone: None }),
                Standing::Unproven => {
                    let turn = self.turn.lock().await;
                    if self.standing() == Standing::Unproven {
                        return Some(Pass { gate: self, alone: Some(turn) });
                    }
                }
                Standing::Refused { next_probe } => {
                    if self.clock.monotonic() < next_probe {
                        return None;
                    }
                    let turn = self.turn.try_lock().ok()?;
                    if self.begin_probe() {
                        return Some(Pass { gate: self, alone: Some(turn) });
                    }
                }
            }
        }
    }

    /// Counts a probe before it goes, so that one of which nothing is heard, not even after a crash, is not repeated at once.
    fn begin_probe(&self) -> bool {
        let now = self.clock.monotonic();
        let begins = self.change(|standing| match standing {
            Standing::Refused { next_probe } if next_probe <= now => Some(Standing::Refused { next_probe: now + NEXT_PROBE }),
            Standing::Refused { .. } | Standing::Unproven | Standing::Proven => None,
        });
        if begins {
            *self.tried() = Some(now);
        }
        begins
    }

    fn change(&self, to: impl FnOnce(Standing) -> Option<Standing>) -> bool {
        self.standing.send_if_modified(|standing| match to(*standing) {
            Some(new) => {
                *standing = new;
                true
            }
            None => false,
        })
    }
}

/// What a request told about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A 2xx that was what Primero promises.
    Accepted,
    /// 401.
    Refused,
    /// The request never reached them.
    Untried,
    /// Anything else.
    Unclear,
}

/// Leave for one request. Dropped without a verdict, it proves nothing.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    alone: Option<MutexGuard<'a, ()>>,
}

impl Pass<'_> {
    /// Whether the password was refused since this leave was given. The request that goes alone is the one that finds out.
    pub(super) fn is_void(&self) -> bool {
        self.alone.is_none() && matches!(self.gate.standing(), Standing::Refused { .. })
    }

    /// Tells what the request met.
    pub(super) fn settle(self, verdict: Verdict) {
        let now = self.gate.clock.monotonic();
        let alone = self.alone.is_some();
        if verdict == Verdict::Refused {
            *self.gate.tried() = Some(now);
        }
        self.gate.change(|standing| match (verdict, standing) {
            // A request that was under way when another was refused proves nothing: the password may have changed in between.
            (Verdict::Accepted, Standing::Unproven | Standing::Refused { .. }) if alone => Some(Standing::Proven),
            (Verdict::Refused, Standing::Unproven | Standing::Proven) => {
                Some(Standing::Refused { next_probe: now + FIRST_PROBE })
            }
            (Verdict::Refused, Standing::Refused { .. }) if alone => Some(Standing::Refused { next_probe: now + NEXT_PROBE }),
            (Verdict::Untried, Standing::Refused { .. }) if alone => Some(Standing::Refused { next_probe: now + FIRST_PROBE }),
            (Verdict::Accepted | Verdict::Refused | Verdict::Untried | Verdict::Unclear, _) => None,
        });
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn gate() -> (Clock, Gate) {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        (clock.clone(), Gate::unproven(clock))
    }

    /// Whether a request could go at once.
    async fn is_open(gate: &Gate) -> bool {
        tokio::select! { biased; pass = gate.pass() => pass.is_some(), () = std::future::ready(()) => false }
    }

    #[tokio::test]
    async fn until_the_first_success_one_request_goes_at_a_time() {
        let (_, gate) = gate();
        let first = gate.pass().await.unwrap();
        assert!(!is_open(&gate).await);
        first.settle(Verdict::Unclear);
        let second = gate.pass().await.unwrap();
        assert!(!is_open(&gate).await);
        second.settle(Verdict::Accepted);
        let _third = gate.pass().await.unwrap();
        assert!(is_open(&gate).await);
        assert_eq!(gate.standing(), Standing::Proven);
    }

    #[tokio::test]
    async fn those_who_wait_for_the_first_answer_do_not_go_after_a_refusal() {
        let (_, gate) = gate();
        let first = gate.pass().await.unwrap();
        let waiting = async { gate.pass().await.is_some() };
        let refusing = async { first.settle(Verdict::Refused) };
        let (went, ()) = tokio::join!(waiting, refusing);
        assert!(!went);
    }

    #[tokio::test]
    async fn after_a_refusal_one_probe_after_10_minutes_then_one_an_hour() {
        let (clock, gate) = gate();
        gate.pass().await.unwrap().settle(Verdict::Refused);
        clock.advance(10 * MINUTE - Duration::from_millis(1));
        assert!(gate.pass().await.is_none());
        clock.advance(Duration::from_millis(1));
        let probe = gate.pass().await.unwrap();
        assert!(gate.pass().await.is_none(), "a second request went beside the probe");
        probe.settle(Verdict::Refused);
        clock.advance(60 * MINUTE - Duration::from_millis(1));
        assert!(gate.pass().await.is_none());
        clock.advance(Duration::from_millis(1));
        gate.pass().await.unwrap().settle(Verdict::Accepted);
        assert_eq!(gate.standing(), Standing::Proven);
    }

    #[tokio::test]
    async fn a_probe_counts_from_its_beginning_whatever_becomes_of_it() {
        for (verdict, minutes) in [(None, 60), (Some(Verdict::Unclear), 60), (Some(Verdict::Untried), 10)] {
            let (clock, gate) = gate();
            gate.pass().await.unwrap().settle(Verdict::Refused);
            clock.advance(10 * MINUTE);
            let probe = gate.pass().await.unwrap();
            match verdict {
                Some(verdict) => probe.settle(verdict),
                None => drop(probe),
            }
            assert_eq!(gate.standing(), Standing::Refused { next_probe: 10 * MINUTE + minutes * MINUTE }, "{verdict:?}");
        }
    }

    #[tokio::test]
    async fn requests_under_way_neither_reopen_the_gate_nor_put_off_the_probe() {
        let (clock, gate) = gate();
        gate.pass().await.unwrap().settle(Verdict::Accepted);
        let [one, two, three] = [gate.pass().await.unwrap(), gate.pass().await.unwrap(), gate.pass().await.unwrap()];
        assert!(!one.is_void());
        one.settle(Verdict::Refused);
        assert!(two.is_void());
        clock.advance(MINUTE);
        two.settle(Verdict::Refused);
        three.settle(Verdict::Accepted);
        assert_eq!(gate.standing(), Standing::Refused { next_probe: 10 * MINUTE });
    }

    #[tokio::test]
    async fn a_restart_keeps_the_time_of_the_probe_and_cuts_one_that_is_too_far_off() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let gate = Gate::refused(clock.clone(), 7 * MINUTE);
        assert!(gate.pass().await.is_none());
        clock.advance(7 * MINUTE);
        assert!(gate.pass().await.is_some());
        let gate = Gate::refused(Clock::manual(DateTime::UNIX_EPOCH), Duration::MAX);
        assert_eq!(gate.standing(), Standing::Refused { next_probe: 60 * MINUTE });
    }

    #[tokio::test]
    async fn a_reload_lets_one_probe_go_but_never_sooner_than_the_first_comes() {
        let (clock, gate) = gate();
        gate.pass().await.unwrap().settle(Verdict::Refused);
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: 10 * MINUTE }, "it was tried a moment ago");
        clock.advance(10 * MINUTE);
        gate.pass().await.unwrap().settle(Verdict::Refused);
        assert_eq!(gate.standing(), Standing::Refused { next_probe: 70 * MINUTE });
        let mut changes = gate.subscribe();
        clock.advance(3 * MINUTE);
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: 20 * MINUTE });
        assert!(changes.has_changed().unwrap());
        changes.borrow_and_update();
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: 20 * MINUTE });
        assert!(!changes.has_changed().unwrap());
        clock.advance(20 * MINUTE);
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: 20 * MINUTE }, "one that is due stays due");
        gate.pass().await.unwrap().settle(Verdict::Accepted);
        assert_eq!(gate.probe_now(), Standing::Proven);
    }

    #[tokio::test]
    async fn a_reload_after_a_restart_lets_one_probe_go_at_once() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let gate = Gate::refused(clock, 40 * MINUTE);
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: Duration::ZERO });
        gate.pass().await.unwrap().settle(Verdict::Refused);
        assert_eq!(gate.probe_now(), Standing::Refused { next_probe: 10 * MINUTE });
    }
}
