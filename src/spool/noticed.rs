//! What nobody told us and time or absence shows: a silent flow, referrals that nobody decides, services without a referral, a
//! disk that fills. Each is on the operator's list while it is so, and leaves by itself.
//!
//! It looks at nothing outside the state; who watches hands in what was seen.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::OptionalExtension;

use super::{
    Error, Reading, Tx,
    delivery::{About, Delivery, select},
    list::{Kind, NewEntry},
};
use crate::{
    reason::Reason,
    referral::{CaseId, CaseKey, DeliveryId, Errand, Flow, InterventionNumber},
};

/// A referral is undecided after this.
pub const UNDECIDED_AFTER: TimeDelta = TimeDelta::days(7);
impl Reading<'_> {
    /// Whether a flow is known to be silent: switched on since `before` or earlier, and nothing taken or told in it since then.
    pub fn is_silent(&self, flow: Flow, before: DateTime<Utc>) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM meta WHERE name = ?1 AND value <= ?2")?;
        if !statement.exists((since(flow), before.timestamp_millis()))? {
            return Ok(false);
        }
        let errands = match flow {
            Flow::ToPrimero => "('open_intervention', 'send_feedback', 'report_decision')",
            Flow::ToDtp => "('send_referral', 'record_decision')",
        };
        // Newest first: in a flow that is alive the first line that is looked at is one.
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT 1 FROM story JOIN deliveries d ON d.id = story.delivery
             WHERE story.time > ?1 AND story.event IN ('received', 'unchanged', 'delivered', 'feedback_sent') AND d.errand IN {errands}
             ORDER BY story.time DESC LIMIT 1"
        ))?;
        Ok(!statement.exists([before.timestamp_millis()])?)
    }

    /// Deliveries whose referral nobody has decided for [`UNDECIDED_AFTER`], as far as the state knows, and that are not listed
    /// as such: interventions in Primero whose decision we never reported, and referrals that DTP took and never decided.
    /// Interventions that were that old at `last` were looked for then.
    pub fn undecided(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<Delivery>, Error> {
        let until = (now - UNDECIDED_AFTER).timestamp_millis();
        let unlisted = "NOT EXISTS (SELECT 1 FROM entries e WHERE e.delivery = deliveries.id AND e.kind = 'undecided')";
        let opened = select(
            self.connection,
            &format!(
                "settled IS NOT NULL AND settled > ?1 AND settled <= ?2 AND errand = 'open_intervention' AND state = 'delivered'
                 AND {unlisted} ORDER BY id"
            ),
            &[&(last - UNDECIDED_AFTER).timestamp_millis(), &until],
        )?;
        let mut undecided = Vec::new();
        for delivery in opened {
            let known = match &delivery.about.intervention {
                Some(number) => self.known_intervention(number)?,
                None => None,
            };
            if known.is_none_or(|known| known.last_status.is_none()) {
                undecided.push(delivery);
            }
        }
        // What is over in Primero is watched no more.
        undecided.extend(select(
            self.connection,
            &format!(
                "watched IS NOT NULL AND settled <= ?1 AND errand = 'send_referral' AND state = 'delivered' AND {unlisted}
                 AND NOT EXISTS (SELECT 1 FROM deliveries r WHERE r.referral = deliveries.referral AND r.errand = 'record_decision'
                                    AND r.state IN ('delivered', 'not_needed'))
                 ORDER BY id"
            ),
            &[&until],
        )?);
        Ok(undecided)
    }

    /// Why a case is on the list for a service without a referral; `None` if it is not.
    pub fn near_miss(&self, key: CaseKey) -> Result<Option<Reason>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT reason FROM entries WHERE kind = 'near_miss' AND case_key = ?1 AND closed IS NULL")?;
        let reason: Option<String> = statement.query_row([key.0.into_bytes()], |row| row.get(0)).optional()?;
        Ok(reason.and_then(|code| Reason::from_code(&code)))
    }

    /// Whether something of this case is on the list that leaves it by itself when a look finds the case put right.
    pub fn awaits_a_look(&self, key: CaseKey) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM entries WHERE kind IN ('near_miss', 'withheld') AND case_key = ?1 AND closed IS NULL",
        )?;
        Ok(statement.exists([key.0.into_bytes()])?)
    }

    /// Whether the list says that the disk is nearly full.
    pub fn is_disk_nearly_full(&self) -> Result<bool, Error> {
        Ok(self.open_of(Kind::DiskNearlyFull)?.is_some())
    }

    fn open_of(&self, kind: Kind) -> Result<Option<DeliveryId>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT id FROM entries WHERE kind = ?1 AND closed IS NULL LIMIT 1")?;
        Ok(statement.query_row([kind.code()], |row| row.get(0)).optional()?.map(DeliveryId))
    }
}

impl Tx<'_> {
    /// Remembers since when a flow is on. One that is off cannot be silent.
    pub fn flow_runs(&mut self, flow: Flow, runs: bool) -> Result<(), Error> {
        if runs {
            let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO meta VALUES (?1, ?2)")?;
            statement.execute((since(flow), self.now.timestamp_millis()))?;
        } else if self.connection.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([since(flow)])? > 0 {
            self.flow_is_silent(flow, false)?;
        }
        Ok(())
    }

    /// A flow is silent, or not any more.
    pub fn flow_is_silent(&mut self, flow: Flow, silent: bool) -> Result<(), Error> {
        let kind = match flow {
            Flow::ToPrimero => Kind::ToPrimeroSilent,
            Flow::ToDtp => Kind::ToDtpSilent,
        };
        self.list_while(kind, Reason::Silent, silent)
    }

    /// There is too little room on the disk, or enough again.
    pub fn disk_nearly_full(&mut self, nearly_full: bool) -> Result<(), Error> {
        self.list_while(Kind::DiskNearlyFull, Reason::DiskNearlyFull, nearly_full)
    }

    /// Puts a delivery on the list whose referral nobody has decided for too long.
    pub fn list_undecided(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let reason = match delivery.flow() {
            Flow::ToPrimero => Reason::DecisionNotReported,
            Flow::ToDtp => Reason::DecisionNotTold,
        };
        self.list(delivery, NewEntry::new(Kind::Undecided, reason)).map(drop)
    }

    /// A decision is known: what asked for it is decided.
    pub(super) fn decided(&mut self, decision: &Delivery) -> Result<(), Error> {
        let about = &decision.about;
        let asked = match (decision.errand, &about.intervention, about.referral) {
            (Errand::ReportDecision, Some(number), _) => select(
                self.connection,
                "intervention = ?1 AND errand = 'open_intervention' ORDER BY id",
                &[&InterventionNumber::as_str(number)],
            )?,
            (Errand::RecordDecision, _, Some(referral)) => {
                select(self.connection, "referral = ?1 AND errand = 'send_referral' ORDER BY id", &[&referral.0.into_bytes()])?
            }
            _ => Vec::new(),
        };
        for delivery in asked {
            self.unlist(delivery.id, &[Kind::Undecided])?;
        }
        Ok(())
    }

    /// A case has services for a listed agency without a referral, and why that matters; or has none any more.
    pub fn near_miss(&mut self, key: CaseKey, case_id: Option<CaseId>, missed: Option<Reason>) -> Result<(), Error> {
        self.connection
            .prepare_cached("UPDATE entries SET closed = ?2 WHERE kind = 'near_miss' AND case_key = ?1 AND closed IS NULL")?
            .execute((key.0.into_bytes(), self.now.timestamp_millis()))?;
        let Some(reason) = missed else { return Ok(()) };
        let about = About { case_key: Some(key), case_id, ..About::default() };
        self.list_number(&about, &NewEntry::new(Kind::NearMiss, reason)).map(drop)
    }

    /// Keeps one entry of a kind open while something is so.
    fn list_while(&mut self, kind: Kind, reason: Reason, so: bool) -> Result<(), Error> {
        if so {
            return self.list_number(&About::default(), &NewEntry::new(kind, reason)).map(drop);
        }
        self.connection
            .prepare_cached("UPDATE entries SET closed = ?2 WHERE kind = ?1 AND closed IS NULL")?
            .execute((kind.code(), self.now.timestamp_millis()))?;
        Ok(())
    }
}

/// Where the state remembers since when a flow is on.
const fn since(flow: Flow) -> &'static str {
    match flow {
        Flow::ToPrimero => "to_primero_since",
        Flow::ToDtp => "to_dtp_since",
    }
}
