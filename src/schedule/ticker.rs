//! A knock once a second, so that somebody looks at the timetables. It carries no time and starts nothing itself.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// After so much silence from the scheduler the ticker knocks by itself.
const SILENCE: Duration = Duration::from_secs(5);

/// The scheduler could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scheduler did not start")]
pub struct TickerFailed;

/// Knocks once a second, as long as it lives.
///
/// The scheduler thinks in wall time: if the clock is set back by an hour, it is silent for an hour.
/// So its knocks pass through a listener that counts monotonic time and stands in for it.
#[derive(Debug)]
pub struct Ticker {
    stop: CancellationToken,
    listener: JoinHandle<()>,
}

impl Ticker {
    /// Starts to knock. A knock that nobody takes up in time is dropped; the receiver closes after [`Self::shut_down`].
    ///
    /// # Errors
    /// The scheduler did not start.
    pub async fn start(clock: Clock) -> Result<(Self, mpsc::Receiver<()>), TickerFailed> {
        let (scheduled, knocks) = mpsc::channel(1);
        let mut scheduler = JobScheduler::new().await.map_err(|_| TickerFailed)?;
        // A full channel means that the last knock has not been taken up yet; one is enough.
        let job = Job::new("* * * * * *", move |_, _| _ = scheduled.try_send(())).map_err(|_| TickerFailed)?;
        scheduler.add(job).await.map_err(|_| TickerFailed)?;
        scheduler.start().await.map_err(|_| TickerFailed)?;

        let stop = CancellationToken::new();
        let (knock, receiver) = mpsc::channel(1);
        let listener = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.run_until_cancelled(pass_on(knocks, knock, clock)).await;
                if scheduler.shutdown().await.is_err() {
                    tracing::warn!("the scheduler did not shut down in order");
                }
            }
        });
        Ok((Self { stop, listener }, receiver))
    }

    /// Ends the knocking; no knock comes after this.
    pub async fn shut_down(self) {
        self.stop.cancel();
        if self.listener.await.is_err() {
            tracing::error!("the ticker ended in a panic");
        }
    }
}

/// Passes knocks on, and knocks by itself where they fail to come.
async fn pass_on(mut knocks: mpsc::Receiver<()>, knock: mpsc::Sender<()>, clock: Clock) {
    let mut standing_in = false;
    while !knock.is_closed() {
        let silence = clock.sleep_until(clock.monotonic() + SILENCE);
        tokio::select! {
            Some(()) = knocks.recv() => standing_in = false,
            () = silence => {
                if !standing_in {
                    tracing::warn!("the scheduler is silent; was the clock set back? the ticker stands in for it");
                }
                standing_in = true;
            }
        }
        // A full channel means that the last knock has not been taken up yet; one is enough.
        let _ = knock.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[tokio::test]
    async fn it_knocks_until_it_is_shut_down() {
        let (ticker, mut knocks) = Ticker::start(Clock::system()).await.unwrap();
        assert_eq!(knocks.recv().await, Some(()));
        ticker.shut_down().await;
        while knocks.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn knocks_are_passed_on_and_silence_is_filled() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let (scheduled, from) = mpsc::channel(1);
        let (to, mut knocks) = mpsc::channel(1);
        let listener = tokio::spawn(pass_on(from, to, clock.clone()));
        scheduled.send(()).await.unwrap();
        assert_eq!(knocks.recv().await, Some(()));
        for sender in [Some(scheduled), None] {
            // With a silent scheduler and with one that is gone: the listener comes to wait, then its time is over.
            tokio::task::yield_now().await;
            clock.advance(SILENCE);
            assert_eq!(knocks.recv().await, Some(()));
            drop(sender);
        }
        drop(knocks);
        tokio::task::yield_now().await;
        clock.advance(SILENCE);
        listener.await.unwrap();
    }
}
