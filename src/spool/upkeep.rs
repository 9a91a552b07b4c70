//! What the state needs over the years: leases voided at start, time limits, pruning, checkpoints that really erase.

use std::{sync::atomic::Ordering, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

use super::{
    Error, Reading, Shared, Tx,
    delivery::{COLUMNS, Delivery, flow_of, select},
    list::{Kind, NewEntry},
    row::Cells,
    seal::Digest,
};
use crate::{
    activity::{Activity, Event},
    config::PARCEL_LIFE,
    reason::Reason,
    referral::{DeliveryId, Errand, Flow, State, System, Walk},
};

/// A system that is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Which.
    pub addressee: System,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is probed next.
    pub next_probe: DateTime<Utc>,
    /// Keyed hash of the secret in force when it was blocked.
    pub secret: Digest,
}

/// What is unsettled of one errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub errand: Errand,
    /// How many wait.
    pub waiting: u64,
    /// How many are held.
    pub held: u64,
    /// How many of both are late.
    pub late: u64,
    /// When the oldest was made.
    pub oldest: DateTime<Utc>,
}

/// Nobody attempts anything after a start; a write of the last run may have happened.
pub(super) fn void_leases(connection: &Connection, shared: &Shared) -> Result<(), Error> {
    connection.execute(
        // What waits behind another was never attempted.
        "UPDATE deliveries SET may_have_acted = 1
         WHERE errand = 'open_intervention' AND settled IS NULL AND may_have_acted = 0 AND behind IS NULL",
        [],
    )?;
    // A copy that nobody has brought back to the end: what waits in it may have left since it was made.
    connection.execute(
        "UPDATE deliveries SET may_have_acted = 1
         WHERE errand = 'send_referral' AND settled IS NULL AND EXISTS (SELECT 1 FROM meta WHERE name = 'copied')",
        [],
    )?;
    let (now, monotonic) = (shared.clock.now(), shared.clock.monotonic());
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM deliveries WHERE settled IS NULL AND behind IS NULL ORDER BY id"))?;
    let rows = statement.query_map([], Delivery::from_row)?;
    let mut agenda = shared.agenda();
    // One after the other: a long list of what waits is never in memory at once.
    for delivery in rows {
        let delivery = delivery?;
        let mut task = delivery.task(shared, now, monotonic);
        if delivery.state == State::Held {
            task.due = task.due.min(monotonic + super::LONGEST_HELD);
        }
        agenda.put(task);
    }
    Ok(())
}

impl Reading<'_> {
    /// The systems that were blocked when the state was last written.
    pub fn blocks(&self) -> Result<Vec<StoredBlock>, Error> {
        let mut statement = self.connection.prepare("SELECT addressee, reason, since, next_probe, secret FROM blocked")?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok(StoredBlock {
                addressee: cells.code(System::from_code)?.ok_or_else(|| cells.unreadable())?,
                reason: cells.code(Reason::from_code)?.ok_or_else(|| cells.unreadable())?,
                since: cells.time()?.ok_or_else(|| cells.unreadable())?,
                next_probe: cells.time()?.ok_or_else(|| cells.unreadable())?,
                secret: cells.get()?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Unsettled deliveries of an errand made, or first held, before these times; not what waits behind another, because of that
    /// one something may stand.
    pub fn overdue(
        &self,
        errand: Errand,
        made_before: DateTime<Utc>,
        held_before: Option<DateTime<Utc>>,
    ) -> Result<Vec<Delivery>, Error> {
        select(
            self.connection,
            "errand = ?1 AND settled IS NULL AND behind IS NULL AND (made <= ?2 OR held_since <= ?3) ORDER BY id",
            &[&errand.code(), &made_before.timestamp_millis(), &held_before.map(|time| time.timestamp_millis())],
        )
    }

    /// Deliveries whose content is too old to be kept.
    pub fn expired(&self, now: DateTime<Utc>) -> Result<Vec<Delivery>, Error> {
        select(
            self.connection,
            "settled IS NULL AND made <= ?1 AND id IN (SELECT delivery FROM parcels) ORDER BY id",
            &[&(now - PARCEL_LIFE).timestamp_millis()],
        )
    }

    /// Every unsettled delivery, oldest first.
    pub fn unsettled(&self) -> Result<Vec<Delivery>, Error> {
        select(self.connection, "settled IS NULL ORDER BY id", &[])
    }

    /// When the oldest unsettled delivery was made.
    pub fn oldest_unsettled(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let made: Option<i64> =
            self.connection.query_row("SELECT min(made) FROM deliveries WHERE settled IS NULL", [], |row| row.get(0))?;
        Ok(made.and_then(DateTime::from_timestamp_millis))
    }

    /// How many unsettled deliveries are in each state; what is settled stands in the counters.
    pub fn unsettled_counts(&self) -> Result<Vec<(Errand, State, u64)>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT errand, state, count(*) FROM deliveries WHERE settled IS NULL GROUP BY errand, state ORDER BY 1, 2",
        )?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            let errand = cells.code(Errand::from_code)?.ok_or_else(|| cells.unreadable())?;
            let state = cells.code(State::from_code)?.ok_or_else(|| cells.unreadable())?;
            Ok((errand, state, cells.get()?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is unsettled, by errand.
    pub fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT errand, sum(state = 'waiting'), sum(state = 'held'), sum(late), min(made)
             FROM deliveries WHERE settled IS NULL GROUP BY errand ORDER BY errand",
        )?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok(Waiting {
                errand: cells.code(Errand::from_code)?.ok_or_else(|| cells.unreadable())?,
                waiting: cells.get()?,
                held: cells.get()?,
                late: cells.get()?,
                oldest: cells.time()?.ok_or_else(|| cells.unreadable())?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How large the state is, in bytes.
    pub fn size(&self) -> Result<u64, Error> {
        let pages: u64 = self.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(pages * 4096)
    }

    /// How many deliveries of each flow are unsettled.
    pub fn waiting_by_flow(&self) -> Result<Vec<(Flow, u64)>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT errand, walk, count(*) FROM deliveries WHERE settled IS NULL GROUP BY errand, walk")?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            let errand = cells.code(Errand::from_code)?.ok_or_else(|| cells.unreadable())?;
            Ok((flow_of(errand, cells.code(Walk::from_code)?), cells.get::<u64>()?))
        })?;
        let mut waiting = Flow::ALL.iter().map(|flow| (*flow, 0)).collect::<Vec<_>>();
        for row in rows {
            let (flow, count) = row?;
            waiting.iter_mut().filter(|(of, _)| *of == flow).for_each(|(_, sum)| *sum += count);
        }
        Ok(waiting)
    }

    /// How many deliveries are in each state, settled ones that are still remembered included.
    pub fn tally(&self) -> Result<Vec<(String, String, u64)>, Error> {
        let mut statement =
            self.connection.prepare("SELECT errand, state, count(*) FROM deliveries GROUP BY errand, state ORDER BY 1, 2")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether content was erased that a checkpoint has not yet overwritten, or the file has not yet shrunk back.
    #[must_use]
    pub fn erasure_pending(&self) -> bool {
        self.shared.erased.load(Ordering::Relaxed)
    }
}

impl Tx<'_> {
    /// Stores that a system is blocked; survives a restart.
    pub fn block(&mut self, block: &StoredBlock) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO blocked VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (addressee) DO UPDATE SET reason = ?2, next_probe = ?4, secret = ?5",
            (
                block.addressee.code(),
                block.reason.code(),
                block.since.timestamp_millis(),
                block.next_probe.timestamp_millis(),
                block.secret,
            ),
        )?;
        Ok(())
    }

    /// Stores that a system goes on.
    pub fn unblock(&mut self, addressee: System) -> Result<(), Error> {
        self.connection.execute("DELETE FROM blocked WHERE addressee = ?1", [addressee.code()])?;
        Ok(())
    }

    /// What blocked these systems is over, because their secret is another one; said of those that were blocked.
    pub fn begin_anew(&mut self, systems: &[System]) -> Result<(), Error> {
        let blocked = self.reading().blocks()?;
        for block in blocked.iter().filter(|block| systems.contains(&block.addressee)) {
            self.unblock(block.addressee)?;
            self.tell(Activity { addressee: Some(block.addressee), ..Activity::new(Event::Unblocked) })?;
        }
        Ok(())
    }

    /// Puts every delivery that is unsettled since before `made_before` on the operator's list as late.
    pub fn mark_late(&mut self, made_before: DateTime<Utc>) -> Result<usize, Error> {
        let late = select(
            self.connection,
            "settled IS NULL AND late = 0 AND made <= ?1 ORDER BY id",
            &[&made_before.timestamp_millis()],
        )?;
        for delivery in &late {
            self.connection.prepare_cached("UPDATE deliveries SET late = 1 WHERE id = ?1")?.execute([delivery.id.0])?;
            let reason = delivery.reason.unwrap_or(Reason::Late);
            self.list(delivery, NewEntry::new(Kind::Late, reason))?;
            let line = Activity { reason: delivery.reason, ..self.about(Event::NotDeliveredInTime, delivery) };
            self.tell(line)?;
        }
        Ok(late.len())
    }

    /// Owes a look at every case whose sent referral is to be read again.
    pub fn owe_watch_looks(&mut self) -> Result<(), Error> {
        let due = select(
            self.connection,
            "watched IS NOT NULL AND watched <= ?1 ORDER BY watched, id",
            &[&self.now.timestamp_millis()],
        )?;
        for delivery in due {
            // Read again tomorrow, whatever becomes of this look; a wall clock set back must not stretch that.
            self.watch(delivery.id, Some(self.now + TimeDelta::days(1)))?;
            if let Some(key) = delivery.about.case_key {
                self.owe_look(Walk::Referrals, key, delivery.about.case_id)?;
            }
        }
        let too_far = (self.now + TimeDelta::days(1)).timestamp_millis();
        self.connection
            .prepare_cached("UPDATE deliveries SET watched = ?1 WHERE watched IS NOT NULL AND watched > ?1")?
            .execute([too_far])?;
        Ok(())
    }

    /// Open entries whose alarm is due again: never alarmed, or longer than a day ago. Marks them as alarmed.
    pub fn alarms(&mut self) -> Result<Vec<(DeliveryId, String, Option<String>)>, Error> {
        let day = TimeDelta::days(1);
        let mut statement = self.connection.prepare_cached(
            "UPDATE entries SET alarmed = ?1
             WHERE closed IS NULL AND kind IN ('held', 'late', 'withdrawn_after_send', 'withdrawn_by_unhcr', 'number_already_delivered',
                                            'not_stored', 'conflict', 'referrals_not_read', 'decisions_not_read', 'to_primero_silent',
                                            'to_dtp_silent', 'disk_nearly_full')
               AND coalesce(alarmed, CASE WHEN kind IN ('withdrawn_after_send', 'withdrawn_by_unhcr') THEN made ELSE 0 END) <= ?2
             RETURNING id, kind, reason",
        )?;
        let rows = statement.query_map((self.now.timestamp_millis(), (self.now - day).timestamp_millis()), |row| {
            Ok((DeliveryId(row.get(0)?), row.get(1)?, row.get(2)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets what was settled before `before`; not what is watched, nor what an open entry is about.
    pub fn prune(&mut self, before: DateTime<Utc>) -> Result<usize, Error> {
        let before = before.timestamp_millis();
        // A withdrawal is said once per referral and reason, so its entry lives as long as the referral is watched.
        self.connection.execute(
            "DELETE FROM entries WHERE closed < ?1
                AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = entries.delivery AND d.watched IS NOT NULL)",
            [before],
        )?;
        let old = "settled < ?1 AND watched IS NULL AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.delivery = deliveries.id)";
        // What a person or time has given up is never sent by itself, not even when its delivery is forgotten.
        let given_up = format!("{old} AND errand = 'send_referral' AND state IN ('stopped', 'refused')");
        for delivery in select(self.connection, &given_up, &[&before])? {
            if let Some(referral) = delivery.about.referral {
                self.know_given_up(referral)?;
            }
        }
        let forgotten = self.connection.execute(&format!("DELETE FROM deliveries WHERE {old}"), [before])?;
        self.connection.execute(
            "DELETE FROM story WHERE time < ?1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = story.delivery)",
            [before],
        )?;
        Ok(forgotten)
    }

    /// Wants a checkpoint between this commit and its answer; it overwrites what was erased and lets the file shrink.
    pub fn want_checkpoint(&mut self) {
        self.told.checkpoint = true;
    }
}

/// Overwrites the write-ahead log. A reader in the way leaves the wish standing for the next turn.
pub(super) fn checkpoint(connection: &Connection, shared: &Shared) -> Result<(), Error> {
    // This pragma gives a row for each page that it frees, and stops where its reader does.
    let mut vacuum = connection.prepare_cached("PRAGMA incremental_vacuum(2000)")?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    drop(freed);
    // Nobody's answer waits for a reader in the way.
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    connection.busy_timeout(super::file::BUSY)?;
    let busy = busy?;
    let left: u64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    shared.erased.store(busy || left > 0, Ordering::Relaxed);
    Ok(())
}
