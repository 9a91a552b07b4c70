//! What the process counts while it runs, for those who watch it: attempts, answers, messages.
//!
//! Labels are codes of closed lists; no service, no agency, no place and no number of anything is one.
//! What the state knows is not counted here a second time.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::referral::System;

/// Where the seconds of an attempt are counted: from what is at once to the longest time-outs.
const SECONDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// The counts. Clones count together.
#[derive(Clone, Debug)]
pub struct Meters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    attempts: Family<Attempted, Histogram, fn() -> Histogram>,
    answers: Family<Answered, Counter>,
    sent: Family<To, Counter>,
    failed: Family<To, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempted {
    addressee: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct To {
    target: &'static str,
}

impl Default for Meters {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self(Arc::new(Inner {
            attempts: Family::new_with_constructor(histogram),
            answers: Family::default(),
            sent: Family::default(),
            failed: Family::default(),
        }))
    }
}

impl Meters {
    /// An attempt has ended.
    pub fn attempted(&self, addressee: System, outcome: &'static str, took: Duration) {
        self.0.attempts.get_or_create(&Attempted { addressee: addressee.code(), outcome }).observe(took.as_secs_f64());
    }

    /// The inbox has answered.
    pub fn answered(&self, status: u16) {
        self.0.answers.get_or_create(&Answered { status }).inc();
    }

    /// A message to a target was taken, or not.
    pub fn messaged(&self, target: &'static str, taken: bool) {
        let family = if taken { &self.0.sent } else { &self.0.failed };
        family.get_or_create(&To { target }).inc();
    }

    /// Puts the counts where a page reads them.
    pub fn register(&self, registry: &mut Registry) {
        let Inner { attempts, answers, sent, failed } = &*self.0;
        registry.register_with_unit(
            "attempt_duration",
            "How long attempts took, by addressee and outcome, since the start",
            Unit::Seconds,
            attempts.clone(),
        );
        registry.register("inbox_answers", "Answers of the inbox by HTTP status, since the start", answers.clone());
        registry.register("alerts_sent", "Messages that a target has taken, since the start", sent.clone());
        registry.register("alerts_failed", "Messages that a target has not taken, since the start", failed.clone());
    }
}
