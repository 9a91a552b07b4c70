//! Walks and looks: how far we have read, which cases are to be looked at, and what a look asks for.
//! References only: nothing of a case is kept here.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension;
use uuid::Uuid;

use super::{
    Error, Reading, Tx,
    counters::Step,
    delivery::{About, Delivery, select},
    list::{Kind, NewEntry},
    row::Cells,
    seal::Digest,
};
use crate::{
    activity::{Activity, Basis, Event, Outcome},
    reason::Reason,
    referral::{CaseId, CaseKey, DeliveryId, Errand, Flow, InterventionNumber, OutgoingId, ReferralId, State, Walk},
};

/// A changed case that a walk wants looked at.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The case.
    pub key: CaseKey,
    /// Its `case_id`, if we could read it.
    pub case_id: Option<CaseId>,
    /// The server's stamp.
    pub stamp: DateTime<Utc>,
}

/// A referral that a look found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The referral.
    pub referral: ReferralId,
    /// Its case.
    pub case_key: CaseKey,
    /// Its case.
    pub case_id: CaseId,
    /// The service, if it names one.
    pub service: Option<String>,
    /// The id under which DTP will know it; `None` if it names no service.
    pub outgoing: Option<OutgoingId>,
}

/// What is known of a referral already.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// DTP took it, at any time.
    pub taken: bool,
    /// The newest errand to send it.
    pub newest: Option<Delivery>,
}

/// A referral that was sent under an outgoing id, or may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentUnder {
    /// Which, if it is among those asked about.
    pub referral: Option<ReferralId>,
    /// When DTP took it; `None` if it may have been, without an answer that we saw.
    pub taken: Option<DateTime<Utc>>,
}

impl Reading<'_> {
    /// Where a walk's next reading of a module begins.
    pub fn cursor(&self, walk: Walk, module: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT position FROM cursors WHERE walk = ?1 AND module = ?2")?;
        let position: Option<i64> = statement.query_row((walk.code(), module), |row| row.get(0)).optional()?;
        Ok(position.and_then(DateTime::from_timestamp_millis))
    }

    /// Whether a referral of this case was sent, or may have been, and is still watched.
    pub fn watches(&self, key: CaseKey) -> Result<bool, Error> {
        Ok(!self.watched(key)?.is_empty())
    }

    /// The errands of this case whose referral was sent, or may have been, and is still watched.
    pub fn watched(&self, key: CaseKey) -> Result<Vec<Delivery>, Error> {
        select(
            self.connection,
            "case_key = ?1 AND (settled IS NULL OR watched IS NOT NULL) AND errand = 'send_referral'
             AND (watched IS NOT NULL OR may_have_acted = 1) ORDER BY id",
            &[&key.0.into_bytes()],
        )
    }

    /// What is known of a referral.
    pub fn sending(&self, referral: ReferralId) -> Result<Sending, Error> {
        let newest = select(
            self.connection,
            "referral = ?1 AND errand = 'send_referral' ORDER BY id DESC LIMIT 1",
            &[&referral.0.into_bytes()],
        )?;
        Ok(Sending { taken: self.referral_taken(referral)?, newest: newest.into_iter().next() })
    }

    /// What was sent under an outgoing id, or may have been, oldest first. `referrals` are those that the id could name.
    pub fn sent_under(&self, outgoing: &OutgoingId, referrals: &[ReferralId]) -> Result<Vec<SentUnder>, Error> {
        let mut sent = Vec::new();
        for known in self.referrals_taken_under(outgoing)? {
            let referral = referrals.iter().find(|id| self.referral_digest(**id) == known.referral).copied();
            sent.push((known.taken, SentUnder { referral, taken: Some(known.taken) }));
        }
        for id in referrals {
            let Sending { taken, newest } = self.sending(*id)?;
            if let Some(newest) = newest.filter(|newest| !taken && newest.may_have_acted) {
                sent.push((newest.made, SentUnder { referral: Some(*id), taken: None }));
            }
        }
        sent.sort_by_key(|(at, _)| *at);
        Ok(sent.into_iter().map(|(_, sent)| sent).collect())
    }

    /// Whether two referrals were sent under an outgoing id, or may have been.
    pub fn was_sent_twice(&self, outgoing: &OutgoingId) -> Result<bool, Error> {
        // By the end of the case's id there is an index; Primero may write that id in upper case.
        let mut statement = self.connection.prepare_cached(
            "SELECT DISTINCT referral FROM deliveries
             WHERE substr(case_id, -8) IN (substr(?1, -8), upper(substr(?1, -8))) AND case_id IS NOT NULL
                AND outgoing = ?2 AND errand = 'send_referral' AND may_have_acted = 1 AND referral IS NOT NULL",
        )?;
        let rows = statement.query_map((outgoing.case().as_str(), outgoing.to_string()), |row| Cells::of(row).uuid())?;
        let sent: Vec<Option<Uuid>> = rows.collect::<Result<_, _>>()?;
        let sent: Vec<ReferralId> = sent.into_iter().flatten().map(ReferralId).collect();
        Ok(self.sent_under(outgoing, &sent)?.len() > 1)
    }

    /// The open report of a decision about a number that nobody attempts now.
    pub fn open_report(&self, number: &InterventionNumber) -> Result<Option<Delivery>, Error> {
        let open = select(
            self.connection,
            "intervention = ?1 AND errand = 'report_decision' AND settled IS NULL ORDER BY id",
            &[&number.as_str()],
        )?;
        let agenda = self.shared.agenda();
        Ok(open.into_iter().find(|delivery| !agenda.is_lent(delivery.id)))
    }

    /// Whether decisions about a number are heard from this case. The case that it was delivered to is the only one,
    /// or else the one from which it was heard first.
    pub fn is_heard_from(&self, number: &InterventionNumber, key: CaseKey) -> Result<bool, Error> {
        if let Some(case) = self.known_intervention(number)?.and_then(|known| known.case) {
            return Ok(case == self.case_digest(key));
        }
        let first = select(
            self.connection,
            "intervention = ?1 AND errand = 'report_decision' AND settled IS NULL ORDER BY id LIMIT 1",
            &[&number.as_str()],
        )?;
        Ok(first.first().is_none_or(|first| first.about.case_key == Some(key)))
    }

    fn pair(&self, changed: &Changed) -> Digest {
        let mut bytes = changed.key.0.into_bytes().to_vec();
        bytes.extend(changed.stamp.timestamp_millis().to_be_bytes());
        self.shared.identity.digest("pair", &bytes)
    }
}

impl Tx<'_> {
    /// Stores looks and the cursor in one transaction. Returns the looks made.
    pub fn advance(
        &mut self,
        walk: Walk,
        module: &str,
        position: DateTime<Utc>,
        changed: &[Changed],
    ) -> Result<Vec<DeliveryId>, Error> {
        let mut made = Vec::new();
        for changed in changed {
            let pair = self.reading().pair(changed);
            let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2, ?3, ?4)")?;
            if statement.execute((walk.code(), module, pair, changed.stamp.timestamp_millis()))? == 1 {
                made.extend(self.owe_look(walk, changed.key, changed.case_id.clone())?);
            }
        }
        self.connection.prepare_cached("DELETE FROM seen WHERE walk = ?1 AND module = ?2 AND stamp < ?3")?.execute((
            walk.code(),
            module,
            position.timestamp_millis() - 1000,
        ))?;
        self.set_cursor(walk, module, position)?;
        Ok(made)
    }

    /// Moves a walk's cursor.
    pub fn set_cursor(&mut self, walk: Walk, module: &str, position: DateTime<Utc>) -> Result<(), Error> {
        self.connection
            .prepare_cached("INSERT INTO cursors VALUES (?1, ?2, ?3) ON CONFLICT (walk, module) DO UPDATE SET position = ?3")?
            .execute((walk.code(), module, position.timestamp_millis()))?;
        Ok(())
    }

    /// Owes a look at a case, unless one is open that has not begun. One open look per case and walk.
    pub fn owe_look(&mut self, walk: Walk, key: CaseKey, case_id: Option<CaseId>) -> Result<Option<DeliveryId>, Error> {
        let open = select(
            self.connection,
            "case_key = ?1 AND (settled IS NULL OR watched IS NOT NULL) AND errand = 'look' AND walk = ?2 AND settled IS NULL",
            &[&key.0.into_bytes(), &walk.code()],
        )?;
        let idle = {
            let agenda = self.shared.agenda();
            open.iter().any(|look| !agenda.is_lent(look.id))
        };
        if idle {
            return Ok(None);
        }
        let about = About { case_key: Some(key), case_id, walk: Some(walk), ..About::default() };
        let look = self.new_delivery(Errand::Look, about)?;
        self.put(&look)?;
        Ok(Some(look.id))
    }

    /// Owes DTP a referral. With `leaves_now` the errand is marked as one that may have left: the caller posts it after this commit.
    pub fn owe_referral(&mut self, found: &Found, leaves_now: Option<Basis>) -> Result<Option<Delivery>, Error> {
        let Sending { taken, newest } = self.reading().sending(found.referral)?;
        let open = newest.as_ref().is_some_and(|newest| newest.settled.is_none());
        let ended = newest.as_ref().is_some_and(|newest| matches!(newest.state, State::Stopped | State::Refused));
        if taken || open || ended {
            return Ok(None);
        }
        let mut delivery = self.new_sending(found, newest.as_ref())?;
        if let Some(basis) = leaves_now {
            delivery.may_have_acted = true;
            delivery.basis = Some(basis);
        }
        self.put(&delivery)?;
        if let Some(withheld) = newest {
            // What kept it back is past; a new reason would make a new entry.
            self.unlist(withheld.id, &[Kind::Withheld])?;
        }
        if leaves_now.is_some() {
            self.told.held_back.push(delivery.id);
        }
        Ok(Some(delivery))
    }

    /// A new errand to send a referral. Whether an earlier one may have left is not forgotten.
    fn new_sending(&mut self, found: &Found, newest: Option<&Delivery>) -> Result<Delivery, Error> {
        let mut delivery = self.new_delivery(Errand::SendReferral, about(found))?;
        delivery.may_have_acted = newest.is_some_and(|newest| newest.may_have_acted);
        Ok(delivery)
    }

    /// Marks, durably and before the post, that a message may have left.
    pub fn may_have_left(&mut self, id: DeliveryId) -> Result<(), Error> {
        self.connection.prepare_cached("UPDATE deliveries SET may_have_acted = 1 WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Stores which case or referral a delivery is about, before anything is written to Primero.
    pub fn store_references(&mut self, delivery: &Delivery) -> Result<(), Error> {
        // Whether it is late is told by time, and may have been told since the attempt began.
        let late = self.delivery(delivery.id)?.is_some_and(|stored| stored.late);
        Delivery { late, ..delivery.clone() }.store(self.connection)
    }

    /// A referral concerns us and may not leave. The same reason again is nothing new.
    pub fn withhold(&mut self, found: &Found, reason: Reason) -> Result<(), Error> {
        let Sending { taken, newest } = self.reading().sending(found.referral)?;
        if taken {
            return Ok(());
        }
        match newest {
            // What is open is judged when it is sent; what a person or time has ended stays ended.
            Some(newest) if newest.state == State::NotNeeded && newest.reason == Some(Reason::NothingToDo) => {
                // It did not concern us then, and does now.
                self.withhold_anew(found, reason, Some(&newest))
            }
            Some(newest) if newest.state != State::Withheld => Ok(()),
            Some(newest) if newest.reason == Some(reason) => Ok(()),
            Some(mut newest) => {
                newest.reason = Some(reason);
                newest.store(self.connection)?;
                self.tell_withheld(&newest, reason)
            }
            None => self.withhold_anew(found, reason, None),
        }
    }

    fn withhold_anew(&mut self, found: &Found, reason: Reason, newest: Option<&Delivery>) -> Result<(), Error> {
        let mut delivery = self.new_sending(found, newest)?;
        (delivery.state, delivery.reason, delivery.settled) = (State::Withheld, Some(reason), Some(self.now));
        self.put(&delivery)?;
        self.count(&delivery, Step::Ended(State::Withheld), None);
        self.tell_withheld(&delivery, reason)
    }

    fn tell_withheld(&mut self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        self.list(delivery, NewEntry::new(Kind::Withheld, reason))?;
        let line = Activity { reason: Some(reason), ..self.about(Event::Withheld, delivery) };
        self.tell(line)
    }

    /// A referral that was withheld and never left asks nothing of anybody any more. If it does again, it is told anew.
    pub fn nothing_to_send(&mut self, referral: ReferralId) -> Result<(), Error> {
        let Sending { newest, .. } = self.reading().sending(referral)?;
        match newest {
            Some(mut newest) if newest.state == State::Withheld && !newest.may_have_acted => {
                (newest.state, newest.reason) = (State::NotNeeded, Some(Reason::NothingToDo));
                newest.store(self.connection)?;
                self.unlist(newest.id, &[Kind::Withheld])
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A referral that needs a person's decision before it may leave.
    pub fn owe_held_referral(&mut self, found: &Found, reason: Reason, due: DateTime<Utc>) -> Result<(), Error> {
        let Some(mut delivery) = self.owe_referral(found, None)? else { return Ok(()) };
        (delivery.state, delivery.reason, delivery.due) = (State::Held, Some(reason), due);
        delivery.held_since = Some(self.now);
        self.put(&delivery)?;
        self.count(&delivery, Step::Held, None);
        self.list(&delivery, NewEntry::new(Kind::Held, reason))?;
        let line = Activity { reason: Some(reason), outcome: Some(Outcome::Held), ..self.about(Event::Held, &delivery) };
        self.tell(line)
    }

    /// Owes DTP the report of a decision, unless one about this number is open that has not begun.
    pub fn owe_report(
        &mut self,
        number: &InterventionNumber,
        case_key: CaseKey,
        case_id: Option<CaseId>,
        service: Option<String>,
    ) -> Result<(), Error> {
        if let Some(open) = self.reading().open_report(number)? {
            return if open.about.case_key == Some(case_key) { Ok(()) } else { self.conflict(number, case_id, case_key) };
        }
        let about = About { intervention: Some(number.clone()), case_key: Some(case_key), case_id, service, ..About::default() };
        let report = self.new_delivery(Errand::ReportDecision, about)?;
        self.put(&report)
    }

    /// A number stands on several services or cases: nothing is sent, a person looks.
    pub fn conflict(&mut self, number: &InterventionNumber, case_id: Option<CaseId>, case_key: CaseKey) -> Result<(), Error> {
        let about =
            About { intervention: Some(number.clone()), case_id: case_id.clone(), case_key: Some(case_key), ..About::default() };
        if self.list_number(&about, &NewEntry::new(Kind::Conflict, Reason::Conflict))? {
            self.tell(Activity {
                flow: Some(Flow::ToPrimero),
                intervention: Some(number.clone()),
                case: case_id,
                reason: Some(Reason::Conflict),
                ..Activity::new(Event::Conflict)
            })?;
        }
        Ok(())
    }

    /// A sent referral was read again: when it is read next, or never.
    pub fn watch(&mut self, id: DeliveryId, next: Option<DateTime<Utc>>) -> Result<(), Error> {
        self.connection
            .prepare_cached("UPDATE deliveries SET watched = ?2 WHERE id = ?1 AND settled IS NOT NULL")?
            .execute((id.0, next.map(|time| time.timestamp_millis())))?;
        // What is over needs no decision.
        if next.is_none() { self.unlist(id, &[Kind::Undecided]) } else { Ok(()) }
    }
}

fn about(found: &Found) -> About {
    About {
        case_key: Some(found.case_key),
        case_id: Some(found.case_id.clone()),
        service: found.service.clone(),
        referral: Some(found.referral),
        outgoing: found.outgoing.clone(),
        ..About::default()
    }
}
