//! A withdrawal that UNHCR has told: what waits for its number is stopped, and what stands in Primero is a person's to end.
//!
//! A request that comes again after this is judged like any other: what was stopped is taken anew, because UNHCR asks anew.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension;

use super::{
    Error, Tx,
    delivery::{About, Delivery, select},
    list::{Kind, NewEntry},
    operator::Unable,
    settle::{Conclusion, Report},
};
use crate::{
    activity::{Activity, Event},
    reason::Reason,
    referral::{DeliveryId, Errand, InterventionNumber, State},
};

/// What became of a withdrawal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// The deliveries that were stopped, content erased.
    pub stopped: Vec<DeliveryId>,
    /// Whether UNHCR is told that it was stopped: only if nothing of it stands, or may stand, in Primero.
    pub told: bool,
    /// The entry that asks a person to end it in Primero, if something of it stands, or may stand, there.
    pub entry: Option<DeliveryId>,
    /// Whether that entry was there before.
    pub listed_before: bool,
}

impl Tx<'_> {
    /// UNHCR withdraws a request; `received` is when that was told, and the time to act runs from then.
    pub fn withdrawn_by_unhcr(
        &mut self,
        number: &InterventionNumber,
        received: DateTime<Utc>,
        who: &str,
    ) -> Result<Withdrawn, Unable> {
        let about = select(self.connection, "intervention = ?1 ORDER BY id DESC", &[&number.as_str()])?;
        let known = self.reading().known_intervention(number)?;
        if about.is_empty() && known.is_none() {
            return Err(Unable::NeverCame(number.clone()));
        }
        // Newest first: what waits behind another ends before that one.
        let requests: Vec<&Delivery> = about.iter().filter(|delivery| delivery.errand == Errand::OpenIntervention).collect();
        let open: Vec<&Delivery> = requests.iter().copied().filter(|delivery| delivery.settled.is_none()).collect();
        for delivery in &open {
            if !self.take(delivery.id) {
                return Err(Unable::BeingAttempted(delivery.id));
            }
        }
        let may_stand = |delivery: &&&Delivery| delivery.state == State::Delivered || delivery.may_have_acted || delivery.written;
        // Known without a delivery of ours: it was delivered long ago, or its decision was heard from Primero.
        let stands = known.is_some() || requests.iter().any(|delivery| may_stand(&delivery));
        let mut withdrawn = Withdrawn::default();
        for delivery in open {
            let told = !stands && delivery.behind.is_none();
            let conclusion =
                Conclusion::Stopped { reason: Reason::Withdrawn, feedback: told.then_some(Reason::StoppedByFocalPoint) };
            self.note_withdrawal(who, received, Reason::Withdrawn, Some(delivery), number)?;
            let (fields, notes) = (Vec::new(), Vec::new());
            let report = Report { delivery: delivery.clone(), conclusion, status: None, fields, notes, service_type: None };
            self.conclude(report)?;
            withdrawn.stopped.push(delivery.id);
            withdrawn.told |= told;
        }
        if stands {
            let delivery = requests.iter().find(may_stand).copied();
            let (entry, before) = self.list_withdrawn_by_unhcr(number, delivery, received)?;
            (withdrawn.entry, withdrawn.listed_before) = (Some(entry), before);
        }
        if stands || withdrawn.stopped.is_empty() {
            let delivery = requests.iter().find(may_stand).or(requests.first()).copied();
            self.note_withdrawal(who, received, Reason::WithdrawnByUnhcr, delivery, number)?;
        }
        Ok(withdrawn)
    }

    fn note_withdrawal(
        &mut self,
        who: &str,
        received: DateTime<Utc>,
        reason: Reason,
        delivery: Option<&Delivery>,
        number: &InterventionNumber,
    ) -> Result<(), Error> {
        let line = match delivery {
            Some(delivery) => self.about(Event::Operator, delivery),
            None => Activity { intervention: Some(number.clone()), ..Activity::new(Event::Operator) },
        };
        self.tell(Activity { reason: Some(reason), noticed: Some(received), who: Some(who.to_owned()), ..line })
    }

    /// Puts it on the list, once while it is open; gives the entry, and whether it was there before.
    fn list_withdrawn_by_unhcr(
        &mut self,
        number: &InterventionNumber,
        delivery: Option<&Delivery>,
        received: DateTime<Utc>,
    ) -> Result<(DeliveryId, bool), Error> {
        let open = |tx: &Self| {
            let mut statement = tx
                .connection
                .prepare_cached("SELECT id FROM entries WHERE kind = ?1 AND intervention = ?2 AND closed IS NULL LIMIT 1")?;
            let found = statement.query_row((Kind::WithdrawnByUnhcr.code(), number.as_str()), |row| row.get(0)).optional()?;
            Ok::<_, Error>(found.map(DeliveryId))
        };
        if let Some(entry) = open(self)? {
            return Ok((entry, true));
        }
        let entry = NewEntry::new(Kind::WithdrawnByUnhcr, Reason::WithdrawnByUnhcr);
        match delivery {
            Some(delivery) => self.list(delivery, entry)?,
            None => self.list_number(&About { intervention: Some(number.clone()), ..About::default() }, &entry)?,
        };
        let entry = open(self)?.ok_or(Error::NotWritten)?;
        // Its clock runs from when UNHCR told it, not from when somebody came to write it down.
        self.connection
            .prepare_cached("UPDATE entries SET made = ?2 WHERE id = ?1")?
            .execute((entry.0, received.timestamp_millis()))?;
        Ok((entry, false))
    }
}
