//! What time it is: wall time for what is written down, monotonic time for how long to wait.
//!
//! Nobody else in the house asks the operating system for the time; a test holds the clock in its hand.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::watch;

/// A clock. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { start: Instant },
    Manual(Arc<watch::Sender<Hands>>),
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    wall: DateTime<Utc>,
    monotonic: Duration,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
    pub fn system() -> Self {
        Self(Source::System { start: Instant::now() })
    }

    /// A clock that moves only when told to, for tests.
    #[must_use]
    pub fn manual(wall: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(Hands { wall, monotonic: Duration::ZERO }))))
    }

    /// Wall time, cut to the millisecond.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System { .. } => Utc::now(),
            Source::Manual(hands) => hands.borrow().wall,
        }
        .trunc_subsecs(3)
    }

    /// Time since this clock was made; never goes back, whatever happens to wall time.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { start } => start.elapsed(),
            Source::Manual(hands) => hands.borrow().monotonic,
        }
    }

    /// Waits until [`Self::monotonic`] has reached `until`.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
    pub async fn sleep_until(&self, until: Duration) {
        match &self.0 {
            Source::System { start } => tokio::time::sleep_until((*start + until).into()).await,
            Source::Manual(hands) => {
                // The sender lives as long as this clock does, so the wait cannot fail.
                let _ = hands.subscribe().wait_for(|hands| hands.monotonic >= until).await;
            }
        }
    }

    /// Moves a manual clock forward, wall and monotonic time alike. The machine's clock does not obey.
    pub fn advance(&self, by: Duration) {
        self.turn(|hands| {
            hands.wall += by;
            hands.monotonic += by;
        });
    }

    /// Sets the wall time of a manual clock, as an administrator or NTP does; monotonic time stands still.
    pub fn set_wall(&self, wall: DateTime<Utc>) {
        self.turn(|hands| hands.wall = wall);
    }

    fn turn(&self, how: impl FnOnce(&mut Hands)) {
        if let Source::Manual(hands) = &self.0 {
            hands.send_modify(how);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hands_pass_its_time_and_not_when_the_wall_clock_is_set() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Duration::from_secs(60)).await }
        });
        clock.set_wall(DateTime::UNIX_EPOCH + Duration::from_secs(86_400));
        assert_eq!(clock.monotonic(), Duration::ZERO);
        clock.advance(Duration::from_secs(59));
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("the sleeper ends");
    }
}
