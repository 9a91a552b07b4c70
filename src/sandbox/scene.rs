//! What both simulators play before: a clock, faults, a log, and words for failing statuses.
//!
//! It knows no route; what a request does is handed in.

use super::{
    faults::{Fault, Faults, What},
    log::Log,
    wire::{Asked, Connection, Cut, Reply},
};
use crate::clock::Clock;

/// How a simulator words a failing status.
pub(super) type Wording = fn(u16, &Asked) -> Reply;

/// The surroundings in which requests are answered. Clones are the same.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) faults: Faults,
    pub(super) log: Log,
    clock: Clock,
    wording: Wording,
}

impl Scene {
    pub(super) fn new(clock: Clock, wording: Wording) -> Self {
        Self { faults: Faults::default(), log: Log::default(), clock, wording }
    }

    /// Answers a request: its faults, its effect, its place in the log.
    pub(super) async fn play(
        &self,
        asked: Asked,
        connection: Connection,
        effect: impl FnOnce(&Asked) -> Reply + Send + 'static,
    ) -> Result<Reply, Cut> {
        let begun = self.log.begin(&asked);
        let faults = self.faults.claim(&asked);
        if faults.is_empty() {
            let reply = effect(&asked);
            begun.end(Some(reply.status));
            return Ok(reply);
        }
        let scene = self.clone();
        let played = tokio::spawn(async move {
            let reply = scene.with_faults(&faults, &asked, &connection, effect).await;
            begun.end(reply.as_ref().ok().map(|reply| reply.status));
            reply
        });
        // A server goes on when its client has gone away, so the effect does not depend on anybody waiting here.
        // A hook that panics has told so already; the client sees a cut connection.
        played.await.unwrap_or(Err(Cut))
    }

    async fn with_faults(
        &self,
        faults: &[Fault],
        asked: &Asked,
        connection: &Connection,
        effect: impl FnOnce(&Asked) -> Reply,
    ) -> Result<Reply, Cut> {
        for fault in faults.iter().filter(|fault| !fault.after_effect) {
            if let Some(reply) = self.happen(&fault.what, None, asked, connection).await? {
                return Ok(reply);
            }
        }
        let mut reply = effect(asked);
        for fault in faults.iter().filter(|fault| fault.after_effect) {
            if let Some(other) = self.happen(&fault.what, Some(&reply), asked, connection).await? {
                reply = other;
            }
        }
        Ok(reply)
    }

    async fn happen(
        &self,
        what: &What,
        reply: Option<&Reply>,
        asked: &Asked,
        connection: &Connection,
    ) -> Result<Option<Reply>, Cut> {
        match what {
            What::Answer { status, retry_after, body } => {
                let reply = match body {
                    Some((content_type, body)) => Reply::new(*status, content_type, body.clone()),
                    None => (self.wording)(*status, asked),
                };
                return Ok(Some(match retry_after {
                    Some(value) => reply.with("retry-after", value),
                    None => reply,
                }));
            }
            What::Truncate => return Ok(reply.map(|reply| Reply { truncated: true, ..reply.clone() })),
            What::Cut => return Err(Cut),
            What::Delay(by) => self.clock.sleep_until(self.clock.monotonic() + *by).await,
            What::Drip(every) => connection.pace.drip(&self.clock, *every),
            What::Hold(gate) => gate.pass().await,
            What::Run(hook) => hook(),
        }
        Ok(None)
    }
}
