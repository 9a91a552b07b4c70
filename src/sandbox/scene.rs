//! What both simulators play before: a clock, faults, a log, and words for failing statuses.
//!
//! It knows no route; what a request does is handed in.

use super::{
    faults::{Fault, Faults, What},
    log::Log,
    wire::{Asked, Connection, Cut, Ending, Reply},
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
        let mut instead = None;
        for fault in faults.iter().filter(|fault| !fault.after_effect) {
            instead = self.happen(&fault.what, None, asked, connection).await?;
            if instead.is_some() {
                break;
            }
        }
        // Where there was no effect, nothing happens after it; but any answer may be the last on its connection.
        let had_effect = instead.is_none();
        let mut reply = instead.unwrap_or_else(|| effect(asked));
        let mut is_last = false;
        for fault in faults {
            if let What::Last(before) = &fault.what {
                before().await;
                is_last = true;
            }
        }
        for fault in faults.iter().filter(|fault| fault.after_effect && had_effect) {
            if let Some(other) = self.happen(&fault.what, Some(&reply), asked, connection).await? {
                reply = other;
            }
        }
        Ok(if is_last { reply.with_only("connection", "close") } else { reply })
    }

    async fn happen(
        &self,
        what: &What,
        reply: Option<&Reply>,
        asked: &Asked,
        connection: &Connection,
    ) -> Result<Option<Reply>, Cut> {
        match what {
            What::Answer { status, headers, body } => {
                let reply = match body {
                    Some((content_type, body)) => Reply::new(*status, content_type, body.clone()),
                    None => (self.wording)(*status, asked),
                };
                return Ok(Some(headers.iter().fold(reply, |reply, (name, value)| reply.with_only(name, value))));
            }
            What::Huge(bytes) => {
                let reply = Reply::new(200, "application/json; charset=utf-8", "");
                return Ok(Some(Reply { ends: Ending::Long(*bytes), ..reply }));
            }
            What::Truncate => return Ok(reply.map(|reply| Reply { ends: Ending::Cut, ..reply.clone() })),
            What::Stall => return Ok(reply.map(|reply| Reply { ends: Ending::Stalled, ..reply.clone() })),
            What::Cut => return Err(Cut),
            What::Delay(by) => self.clock.sleep_until(self.clock.monotonic() + *by).await,
            What::Drip(every) => connection.pace.drip(&self.clock, *every),
            What::Hold(gate) => gate.pass().await,
            What::Run(hook) => hook(),
            // It happens to the answer, whatever that is.
            What::Last(_) => {}
        }
        Ok(None)
    }
}
