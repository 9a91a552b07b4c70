//! The loops around one programme: courier, walks, upkeep, alerts, care for the password. They begin and end together.
//!
//! What they hand on to the next generation is what must not be broken off or come twice: attempts under way, and the timetables.

use std::sync::Arc;

use tokio::{
    sync::{Mutex, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    alerts::Alerts,
    courier::{self, Attempts, Progress},
    primero,
    programme::Programme,
    reason::Reason,
    referral::System,
    spool::upkeep::StoredBlock,
    upkeep::{self, Calendar},
    walks::{self, Times, Walks},
};

/// What loops share that outlives a generation.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    pub walks: Arc<Walks>,
    pub progress: Arc<watch::Sender<Progress>>,
    pub calendar: Arc<Mutex<Calendar>>,
    pub alerts: Arc<Alerts>,
    /// The end of the process.
    pub end: CancellationToken,
}

/// The loops around one programme.
#[derive(Debug)]
pub(super) struct Generation {
    stop: CancellationToken,
    courier: JoinHandle<Attempts>,
    walks: JoinHandle<Times>,
    others: JoinSet<()>,
}

impl Generation {
    /// Starts the loops. Attempts under way are taken over as they stand.
    pub fn begin(programme: &Arc<Programme>, attempts: Attempts, mut times: Times, lasting: &Lasting) -> Self {
        times.set(programme);
        let stop = CancellationToken::new();
        let mut others = JoinSet::new();
        others.spawn(upkeep::run(Arc::clone(programme), Arc::clone(&lasting.calendar), stop.clone()));
        others.spawn(Arc::clone(&lasting.alerts).run(Arc::clone(programme), stop.clone()));
        others.spawn(remember_password_probes(Arc::clone(programme), stop.clone()));
        let walks = Arc::clone(&lasting.walks);
        let walks = tokio::spawn(walks::run(Arc::clone(programme), walks, times, stop.clone(), lasting.end.clone()));
        let progress = Arc::clone(&lasting.progress);
        let courier = tokio::spawn(courier::run(Arc::clone(programme), attempts, stop.clone(), progress));
        Self { stop, courier, walks, others }
    }

    /// Ends the loops, and hands on what goes on without them.
    pub async fn end(&mut self) -> (Attempts, Times) {
        self.stop.cancel();
        // A loop that panicked has been reported already; what it held is gone with it, as after a crash.
        let attempts = (&mut self.courier).await.unwrap_or_default();
        let times = (&mut self.walks).await.unwrap_or_default();
        while self.others.join_next().await.is_some() {}
        (attempts, times)
    }

    /// Breaks the loops off where they stand.
    #[cfg(feature = "sandbox")]
    pub async fn abandon(mut self) {
        self.courier.abort();
        self.walks.abort();
        // An aborted task ends with an error; that is what was asked for.
        let _ = self.courier.await;
        let _ = self.walks.await;
        self.others.shutdown().await;
    }
}

/// Every probe of the password is stored before another process could make it again.
pub(crate) async fn remember_password_probes(programme: Arc<Programme>, stop: CancellationToken) {
    let mut standing = programme.gate.subscribe();
    loop {
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let now = *standing.borrow_and_update();
        let primero::Standing::Refused { next_probe } = now else { continue };
        let wall = programme.clock.now();
        let block = StoredBlock {
            addressee: System::Primero,
            reason: Reason::Unauthorized,
            since: wall,
            next_probe: wall + next_probe.saturating_sub(programme.clock.monotonic()),
            secret: programme.secrets.primero,
        };
        if let Err(error) = programme.spool.write(move |tx| tx.block(&block)).await {
            tracing::error!(%error, "could not store when the password is tried next");
        }
    }
}
