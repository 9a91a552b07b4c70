//! Flows that a person has paused: in the state, so that a restart changes nothing, and in memory, because everybody asks.
//!
//! A pause works as if the flow were off in the configuration. What that means for a delivery is known elsewhere.

use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::{Error, Reading, Shared, Tx, row::Cells};
use crate::referral::{Flow, codes};

codes! {
    /// Why a person pauses a flow.
    Pausing {
        /// Something went wrong, or may have.
        Incident = "incident",
        /// Work on one of the two systems, or on this one.
        Maintenance = "maintenance",
        /// The agreement, or who takes part in it, is in question.
        Agreement = "agreement",
        /// The other agency asked for it.
        Asked = "asked",
    }
}

/// A flow that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Which.
    pub flow: Flow,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The role of the person who paused it.
    pub by: String,
    /// Why, if that was said.
    pub reason: Option<Pausing>,
}

impl Shared {
    /// Whether a person has paused this flow.
    #[must_use]
    pub fn is_paused(&self, flow: Flow) -> bool {
        self.paused.read().unwrap_or_else(PoisonError::into_inner).iter().any(|pause| pause.flow == flow)
    }

    /// The pause of this flow, if there is one.
    #[must_use]
    pub fn pause_of(&self, flow: Flow) -> Option<Pause> {
        self.paused.read().unwrap_or_else(PoisonError::into_inner).iter().find(|pause| pause.flow == flow).cloned()
    }

    pub(super) fn pause(&self, paused: Vec<Pause>) {
        *self.paused.write().unwrap_or_else(PoisonError::into_inner) = paused;
    }
}

impl Reading<'_> {
    /// The flows that a person has paused.
    pub fn pauses(&self) -> Result<Vec<Pause>, Error> {
        pauses(self.connection)
    }
}

impl Tx<'_> {
    /// Pauses a flow; `false` if it is paused already, and then nothing is changed.
    pub fn pause_flow(&mut self, flow: Flow, by: &str, reason: Option<Pausing>) -> Result<bool, Error> {
        let new = self.connection.execute(
            "INSERT OR IGNORE INTO pauses VALUES (?1, ?2, ?3, ?4)",
            (flow.code(), self.now.timestamp_millis(), by, reason.map(Pausing::code)),
        )?;
        self.told.paused = Some(pauses(self.connection)?);
        Ok(new > 0)
    }

    /// Lets a flow go on; `false` if nobody has paused it.
    pub fn resume_flow(&mut self, flow: Flow) -> Result<bool, Error> {
        let gone = self.connection.execute("DELETE FROM pauses WHERE flow = ?1", [flow.code()])?;
        self.told.paused = Some(pauses(self.connection)?);
        Ok(gone > 0)
    }
}

pub(super) fn pauses(connection: &Connection) -> Result<Vec<Pause>, Error> {
    let mut statement = connection.prepare_cached("SELECT flow, since, by, reason FROM pauses ORDER BY flow DESC")?;
    let rows = statement.query_map([], |row| {
        let mut cells = Cells::of(row);
        Ok(Pause {
            flow: cells.code(Flow::from_code)?.ok_or_else(|| cells.unreadable())?,
            since: cells.time()?.ok_or_else(|| cells.unreadable())?,
            by: cells.get()?,
            reason: cells.code(Pausing::from_code)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
