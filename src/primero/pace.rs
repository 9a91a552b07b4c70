//! Spreads requests evenly, so that there are never more than the configured number a second.
//!
//! It knows no request; how many are under way at a time is the caller's.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, config::Rate};

/// The pace of one client.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    /// From one request to the next; `None` for no limit.
    spacing: Option<Duration>,
    /// When the next request may go, by monotonic time.
    next: Mutex<Duration>,
}

impl Pace {
    pub(super) fn new(clock: Clock, rate: Rate) -> Self {
        let spacing = match rate {
            Rate::Unlimited => None,
            // A rate that is no rate is the settings' mistake; one request a second harms nobody.
            Rate::PerSecond(rate) => Some(Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::from_secs(1))),
        };
        Self { clock, spacing, next: Mutex::new(Duration::ZERO) }
    }

    /// Waits until one more request may go.
    pub(super) async fn step(&self) {
        let Some(spacing) = self.spacing else { return };
        let now = self.clock.monotonic();
        let at = {
            // Nothing can panic while the lock is held.
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = now.max(*next);
            *next = at + spacing;
            at
        };
        if at > now {
            self.clock.sleep_until(at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context, task::Poll, task::Waker};

    use chrono::DateTime;

    use super::*;

    fn poll(step: std::pin::Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        step.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn requests_keep_their_distance_in_the_order_in_which_they_came() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let pace = Pace::new(clock.clone(), Rate::PerSecond(4.0));
        let (mut first, mut second, mut third) = (pin!(pace.step()), pin!(pace.step()), pin!(pace.step()));
        assert!(poll(first.as_mut()).is_ready());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        clock.advance(Duration::from_millis(250));
        assert!(poll(second.as_mut()).is_ready());
        assert!(poll(third.as_mut()).is_pending());
        clock.advance(Duration::from_millis(250));
        assert!(poll(third.as_mut()).is_ready());
    }

    #[test]
    fn silence_saves_nothing_up() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let pace = Pace::new(clock.clone(), Rate::PerSecond(4.0));
        clock.advance(Duration::from_secs(60));
        assert!(poll(pin!(pace.step())).is_ready());
        assert!(poll(pin!(pace.step())).is_pending());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let pace = Pace::new(Clock::manual(DateTime::UNIX_EPOCH), Rate::Unlimited);
        for _ in 0..100 {
            assert!(poll(pin!(pace.step())).is_ready());
        }
    }
}
