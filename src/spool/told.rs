//! What was told to people outside, so that a restart neither repeats nor forgets.
//!
//! Words for targets and topics come from who tells; here they are only kept.

use chrono::{DateTime, Utc};

use super::{Error, Reading, Tx, row::Cells};
use crate::referral::DeliveryId;

/// What one target was told about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which target.
    pub target: String,
    /// About what kind of thing.
    pub topic: String,
    /// About which: an entry of the operator's list, or a number that the topic gives; 0 stands for the topic as a whole.
    pub about: i64,
    /// How far it had come then.
    pub level: i64,
    /// When.
    pub time: DateTime<Utc>,
}

impl Reading<'_> {
    /// Everything that was told and is not over, and when each target last heard of each topic.
    pub fn told(&self) -> Result<Vec<Told>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT target, topic, about, level, time FROM told")?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok(Told {
                target: cells.get()?,
                topic: cells.get()?,
                about: cells.get()?,
                level: cells.get()?,
                time: cells.time()?.ok_or_else(|| cells.unreadable())?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Reading<'_> {
    /// Interventions that were added to a case that was there, since this time.
    pub fn added_to_existing(&self, since: DateTime<Utc>) -> Result<Vec<DeliveryId>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM deliveries
             WHERE settled IS NOT NULL AND settled > ?1 AND errand = 'open_intervention' AND state = 'delivered' AND new_case = 0
             ORDER BY id",
        )?;
        let rows = statement.query_map([since.timestamp_millis()], |row| Ok(DeliveryId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Remembers all that a target was told; what is not among it is over.
    pub fn remember_told(&mut self, target: &str, told: &[Told]) -> Result<(), Error> {
        self.connection.prepare_cached("DELETE FROM told WHERE target = ?1")?.execute([target])?;
        let mut statement = self.connection.prepare_cached("INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for Told { topic, about, level, time, .. } in told {
            statement.execute((target, topic, about, level, time.timestamp_millis()))?;
        }
        Ok(())
    }
}
