//! Everything that DTP posted and that still waits is erased at once: the emergency stop.

use std::sync::atomic::Ordering;

use super::{Error, Spool, Tx};
use crate::{activity::Event, reason::Reason, referral::DeliveryId};

/// How often the overwriting is tried while somebody reads.
const ATTEMPTS: usize = 3;

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// How many deliveries were stopped with their content.
    pub stopped: u64,
    /// How many lost their content while they were being attempted; they end by themselves.
    pub attempted: u64,
    /// Whether it is overwritten on the disk, too.
    pub overwritten: bool,
}

impl Spool {
    /// Erases every sealed parcel, and stops what needed them.
    pub async fn erase_parcels(&self, who: String) -> Result<Erased, Error> {
        let (stopped, attempted) = self.write(move |tx| tx.erase_parcels(&who)).await?;
        for _ in 1..ATTEMPTS {
            if !self.shared.erased.load(Ordering::Relaxed) {
                break;
            }
            self.write(|tx| {
                tx.want_checkpoint();
                Ok(())
            })
            .await?;
        }
        Ok(Erased { stopped, attempted, overwritten: !self.shared.erased.load(Ordering::Relaxed) })
    }
}

impl Tx<'_> {
    fn erase_parcels(&mut self, who: &str) -> Result<(u64, u64), Error> {
        // The newest first: what waits behind another goes before it would be judged in its place.
        let ids = {
            let mut statement = self.connection.prepare("SELECT delivery FROM parcels ORDER BY delivery DESC")?;
            let ids = statement.query_map([], |row| row.get(0).map(DeliveryId))?;
            ids.collect::<Result<Vec<_>, _>>()?
        };
        self.tell_of_operator(who, None, Some(ids.len() as u64))?;
        let (mut stopped, mut attempted) = (0, 0);
        for id in ids {
            if self.give_up(id, Reason::ContentErased)? {
                stopped += 1;
                continue;
            }
            attempted += 1;
            self.connection.prepare_cached("DELETE FROM parcels WHERE delivery = ?1")?.execute([id.0])?;
            if let Some(delivery) = self.delivery(id)? {
                let line = self.about(Event::Erased, &delivery);
                self.tell(line)?;
            }
        }
        self.shared.erased.store(true, Ordering::Relaxed);
        self.want_checkpoint();
        Ok((stopped, attempted))
    }
}
