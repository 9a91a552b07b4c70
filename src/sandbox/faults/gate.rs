//! A gate at which requests wait until a test opens it.
//!
//! It knows no request, only how many have come.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

/// A gate at which requests wait until a test opens it. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<Waiting>>);

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    arrived: usize,
    let_through: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(Waiting::default())))
    }

    /// Waits until `count` requests, counted from the beginning, have arrived.
    pub async fn arrived(&self, count: usize) {
        // The gate itself holds the sender, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|waiting| waiting.arrived >= count).await;
    }

    /// How many requests have arrived so far.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.0.borrow().arrived
    }

    /// Lets the next request through, in the order of arrival.
    pub fn let_one_through(&self) {
        self.0.send_modify(|waiting| waiting.let_through += 1);
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_modify(|waiting| waiting.open = true);
    }

    pub(in crate::sandbox) async fn pass(&self) {
        let mut number = 0;
        let mut waiting = self.0.subscribe();
        self.0.send_modify(|waiting| {
            waiting.arrived += 1;
            number = waiting.arrived;
        });
        // The gate itself holds the sender, so the wait cannot fail.
        let _ = waiting.wait_for(|waiting| waiting.open || waiting.let_through >= number).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().fmt(formatter)
    }
}
