//! What a person does on the state: try again, release, stop, resolve; and what a person looks for in it.
//!
//! Every act is one transaction and leaves an `operator` line. A delivery that is being attempted is nobody else's:
//! it is not changed. It does not know how a person asks, nor whether a daemon runs.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::ToSql;

use super::{
    Error, Reading, Spool, Tx,
    counters::Step,
    delivery::{Delivery, select},
    list::{Entry, Kind, NewEntry},
    looks::Sending,
    settle::{Conclusion, Report},
};
use crate::{
    activity::{Activity, Basis, Event},
    reason::Reason,
    referral::{CaseId, DeliveryId, Errand, Flow, InterventionNumber, State},
};

/// Why what a person asked for was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// No such number.
    #[error("there is no delivery and no entry {0} (hint: `referrald deliveries list --all` shows those that are open)")]
    Unknown(DeliveryId),
    /// Nothing is known of this number.
    #[error(
        "nothing is known of {0}: no post ever brought it (hint: compare it with what UNHCR wrote; if it was entered in CPIMS+ by hand, \
         end it there by hand)"
    )]
    NeverCame(InterventionNumber),
    /// Somebody has its lease.
    #[error("delivery {0} is being attempted now; try again")]
    BeingAttempted(DeliveryId),
    /// The entry stands for itself.
    #[error("entry {0} is about no delivery (hint: `referrald deliveries resolve {0} --by ROLE` takes it off the list)")]
    NoDelivery(DeliveryId),
    /// It waits for another delivery.
    #[error("delivery {0} waits until delivery {1} about the same number is settled (hint: look at {1} first)")]
    Behind(DeliveryId, DeliveryId),
    /// A newer delivery stands for the same thing.
    #[error("delivery {0} was followed by delivery {1} (hint: `referrald deliveries show {1}`)")]
    Followed(DeliveryId, DeliveryId),
    /// This cannot be done with it.
    #[error("delivery {0} {1}")]
    Not(DeliveryId, &'static str),
    /// Nothing of it stands on the list.
    #[error("nothing about {0} is open on the operator's list")]
    NothingOpen(DeliveryId),
    /// The entry goes when the delivery does.
    #[error(
        "delivery {0} is still held, so the entry would come back (hint: put it right and `deliveries retry {0}`, or `deliveries \
         release` or `deliveries stop` it)"
    )]
    StillHeld(DeliveryId),
    /// Whoever resolves a withdrawal must have told UNHCR.
    #[error("UNHCR has to be told of a withdrawal by a person (hint: add `--informed-on DATE`, the day when UNHCR was informed)")]
    InformedOnMissing,
    /// The state failed.
    #[error(transparent)]
    State(#[from] Error),
}

/// On what ground a person lets an exception go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Vital interests of the child.
    VitalInterests,
    /// Best interests of the child.
    BestInterests,
}

impl Ground {
    /// As it is stored and logged.
    #[must_use]
    pub const fn basis(self) -> Basis {
        match self {
            Self::VitalInterests => Basis::VitalInterests,
            Self::BestInterests => Basis::BestInterests,
        }
    }
}

/// Why a person stops a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// The request was withdrawn.
    Withdrawn,
    /// It was sent in another way.
    SentOtherwise,
    /// It was made in error.
    Error,
}

impl Stopping {
    /// As it is stored and logged.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Withdrawn => Reason::Withdrawn,
            Self::SentOtherwise => Reason::SentOtherwise,
            Self::Error => Reason::Error,
        }
    }
}

/// What became of a delivery that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// UNHCR is told that the focal point stopped it.
    Told(DeliveryId),
    /// Nobody is told, and nobody need be.
    Quietly(DeliveryId),
    /// Something of it stands, or may stand, on the other side: a new entry asks a person to look.
    MayStand(DeliveryId),
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this state. Without it: the unsettled ones.
    pub state: Option<State>,
    /// Only this errand.
    pub errand: Option<Errand>,
    /// Only this flow.
    pub flow: Option<Flow>,
    /// Only about this intervention.
    pub intervention: Option<InterventionNumber>,
    /// Only about this case.
    pub case: Option<CaseId>,
    /// Only with this reason.
    pub reason: Option<Reason>,
    /// Only made at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only made before this time.
    pub to: Option<DateTime<Utc>>,
    /// Only what is late.
    pub late: bool,
}

impl Spool {
    /// Runs what a person asked for; a refusal changes nothing.
    pub async fn operate<T, F>(&self, work: F) -> Result<T, Unable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Unable> + Send + 'static,
    {
        self.write(move |tx| match work(tx) {
            Err(Unable::State(error)) => Err(error),
            answer => Ok(answer),
        })
        .await?
    }
}

impl Tx<'_> {
    /// Makes a delivery due now, or makes a new errand of one that ended unsent. Returns the delivery that is due.
    pub fn retry(&mut self, id: DeliveryId, who: &str) -> Result<DeliveryId, Unable> {
        let mut delivery = self.lent_to_us(id)?;
        if delivery.settled.is_none() {
            if let Some(first) = delivery.behind {
                return Err(Unable::Behind(delivery.id, first));
            }
            // A person has it tried again: what was held is held anew if it must be, and not because it was.
            (delivery.state, delivery.reason, delivery.due) = (State::Waiting, None, self.now);
            self.put(&delivery)?;
            self.unlist(delivery.id, &[Kind::Held])?;
            self.tell_operator(who, &delivery, None)?;
            return Ok(delivery.id);
        }
        let mut again = self.again(&delivery)?;
        self.tell_operator(who, &delivery, None)?;
        again.id = DeliveryId(self.next_number());
        self.put(&again)?;
        self.connection
            .prepare_cached(
                "UPDATE deliveries SET released_by = (SELECT released_by FROM deliveries WHERE id = ?2) WHERE id = ?1",
            )
            .and_then(|mut statement| statement.execute((again.id.0, delivery.id.0)))
            .map_err(Error::from)?;
        self.count(&again, Step::Made, None);
        self.unlist(delivery.id, &[Kind::Withheld, Kind::Refused, Kind::Stopped])?;
        Ok(again.id)
    }

    /// Lets a referral go that was made by exception: due now, and judged afresh with this decision of a person.
    pub fn release(&mut self, id: DeliveryId, ground: Ground, role: &str, who: &str) -> Result<DeliveryId, Unable> {
        let mut delivery = self.lent_to_us(id)?;
        let exception = (delivery.errand, delivery.state, delivery.reason)
            == (Errand::SendReferral, State::Held, Some(Reason::ConsentException));
        if !exception {
            return Err(Unable::Not(
                delivery.id,
                "is not a referral that is held because it was made by exception; only such a one can be released",
            ));
        }
        self.tell_operator(who, &delivery, None)?;
        delivery.basis = Some(ground.basis());
        (delivery.state, delivery.reason, delivery.due) = (State::Waiting, None, self.now);
        self.put(&delivery)?;
        self.connection
            .prepare_cached("UPDATE deliveries SET released_by = ?2 WHERE id = ?1")
            .and_then(|mut statement| statement.execute((delivery.id.0, role)))
            .map_err(Error::from)?;
        self.unlist(delivery.id, &[Kind::Held])?;
        let line = Activity { basis: delivery.basis, who: Some(who.to_owned()), ..self.about(Event::Released, &delivery) };
        self.tell(line)?;
        Ok(delivery.id)
    }

    /// Stops a delivery and erases its parcel. UNHCR is told of an intervention only if nothing of ours stands, or may stand,
    /// in Primero and the number was never delivered.
    pub fn stop(&mut self, id: DeliveryId, why: Stopping, who: &str) -> Result<Stopped, Unable> {
        let delivery = self.lent_to_us(id)?;
        if delivery.settled.is_some() {
            return Err(Unable::Not(delivery.id, "is settled already; there is nothing to stop"));
        }
        let known = match &delivery.about.intervention {
            Some(number) => self.reading().known_intervention(number)?,
            None => None,
        };
        let delivered = known.is_some_and(|known| known.content.is_some());
        // What waits behind another delivery of its number has that one's doubts.
        let acted = delivery.may_have_acted || delivery.written || delivery.behind.is_some();
        let acted = acted || self.reading().has_decision_of_unknown_case(&delivery.about)?;
        let (feedback, may_stand) = match delivery.errand {
            Errand::OpenIntervention if acted || delivered => (None, true),
            Errand::OpenIntervention => (Some(Reason::StoppedByFocalPoint), false),
            Errand::SendReferral => (None, acted),
            Errand::RecordDecision | Errand::Look | Errand::ReportDecision | Errand::SendFeedback => (None, false),
        };
        let reason = why.reason();
        self.tell_operator(who, &delivery, Some(reason))?;
        let conclusion = Conclusion::Stopped { reason, feedback };
        let report = Report {
            delivery: delivery.clone(),
            conclusion,
            status: None,
            fields: Vec::new(),
            notes: Vec::new(),
            service_type: None,
        };
        self.conclude(report)?;
        if may_stand {
            self.list(&delivery, NewEntry::new(Kind::Stopped, Reason::Unconfirmed))?;
            return Ok(Stopped::MayStand(delivery.id));
        }
        Ok(if feedback.is_some() { Stopped::Told(delivery.id) } else { Stopped::Quietly(delivery.id) })
    }

    /// Takes an entry, or every open entry of a delivery, off the list because a person has dealt with it. Returns how many.
    pub fn resolve_by_hand(
        &mut self,
        id: DeliveryId,
        role: &str,
        informed_on: Option<NaiveDate>,
        who: &str,
    ) -> Result<usize, Unable> {
        let entries = self.reading().entries_of(id)?;
        if entries.is_empty() && self.delivery(id)?.is_none() {
            return Err(Unable::Unknown(id));
        }
        let open: Vec<&Entry> = entries.iter().filter(|entry| entry.closed.is_none()).collect();
        if open.is_empty() {
            return Err(Unable::NothingOpen(id));
        }
        for entry in &open {
            if entry.kind == Kind::Held
                && let Some(delivery) = entry.delivery
            {
                return Err(Unable::StillHeld(delivery));
            }
            if entry.kind == Kind::WithdrawnAfterSend && informed_on.is_none() {
                return Err(Unable::InformedOnMissing);
            }
        }
        for entry in &open {
            let delivery = match entry.delivery {
                Some(delivery) => self.delivery(delivery)?,
                None => None,
            };
            match delivery {
                Some(delivery) => self.tell_operator(who, &delivery, entry.reason)?,
                None => self.tell(Activity {
                    delivery: Some(entry.id),
                    intervention: entry.intervention.clone(),
                    case: entry.case.clone(),
                    reason: entry.reason,
                    who: Some(who.to_owned()),
                    ..Activity::new(Event::Operator)
                })?,
            }
        }
        Ok(self.resolve(id, role, informed_on)?)
    }

    /// Notes that a person did something that changes no delivery.
    pub fn tell_of_operator(&mut self, who: &str, flow: Option<Flow>, count: Option<u64>) -> Result<(), Error> {
        self.tell(Activity { flow, count, who: Some(who.to_owned()), ..Activity::new(Event::Operator) })
    }

    /// Notes that a person did something with a delivery.
    pub fn tell_operator(&mut self, who: &str, delivery: &Delivery, reason: Option<Reason>) -> Result<(), Error> {
        let line = Activity { reason, who: Some(who.to_owned()), ..self.about(Event::Operator, delivery) };
        self.tell(line)
    }

    /// The delivery that a number means, with its lease for the length of this transaction.
    fn lent_to_us(&mut self, id: DeliveryId) -> Result<Delivery, Unable> {
        let delivery = self.reading().delivery_meant(id)?;
        if self.take(delivery.id) { Ok(delivery) } else { Err(Unable::BeingAttempted(delivery.id)) }
    }

    /// A new errand for what ended unsent. What was sent is never sent again by a person's wish.
    fn again(&mut self, old: &Delivery) -> Result<Delivery, Unable> {
        let not = |why| Err(Unable::Not(old.id, why));
        match (old.errand, old.state) {
            (Errand::SendReferral, State::Stopped | State::Refused | State::Withheld) => {}
            (Errand::ReportDecision | Errand::SendFeedback, State::Refused) => {}
            (Errand::SendReferral | Errand::ReportDecision | Errand::SendFeedback, State::Delivered) => {
                return not("was taken by DTP and is never sent again");
            }
            (Errand::OpenIntervention, _) => {
                return not("is settled and its content is erased (hint: UNHCR can send the referral again)");
            }
            (Errand::RecordDecision, _) => {
                return not("is settled and its content is erased (hint: ask UNHCR to send the decision again)");
            }
            (Errand::SendReferral | Errand::ReportDecision | Errand::SendFeedback | Errand::Look, _) => {
                return not("is settled and needs nothing more");
            }
        }
        let mut again = Delivery {
            state: State::Waiting,
            made: self.now,
            due: self.now,
            attempts: 0,
            held_since: None,
            settled: None,
            reason: None,
            written: false,
            new_case: None,
            behind: None,
            watched: None,
            late: false,
            ..old.clone()
        };
        match old.errand {
            Errand::SendReferral => {
                if let Some(referral) = old.about.referral {
                    let Sending { taken, newest } = self.reading().sending(referral)?;
                    if taken {
                        return not("is about a referral that DTP took; it is never sent again");
                    }
                    newer(old, newest)?;
                }
                // Gaps are found afresh. Whether and on what ground it may have left, and what a person decided, is not forgotten.
                again.gaps.clear();
            }
            Errand::ReportDecision | Errand::SendFeedback => {
                if let Some(number) = &old.about.intervention {
                    newer(old, self.reading().newest_about(number, old.errand)?)?;
                }
                if let (Errand::SendFeedback, Some(number)) = (old.errand, &old.about.intervention) {
                    newer(old, self.reading().newest_about(number, Errand::OpenIntervention)?)?;
                }
                if !old.gaps.is_empty() && self.reading().has_decision_of_unknown_case(&old.about)? {
                    return not(
                        "tells a failure, and UNHCR has been told a decision meanwhile (hint: tell UNHCR what stands in Primero)",
                    );
                }
            }
            Errand::OpenIntervention | Errand::RecordDecision | Errand::Look => {}
        }
        Ok(again)
    }
}

impl Reading<'_> {
    /// The delivery that a number means: itself, or the one that an entry is about.
    pub fn delivery_meant(&self, id: DeliveryId) -> Result<Delivery, Unable> {
        if let Some(delivery) = self.delivery(id)? {
            return Ok(delivery);
        }
        let entry = self.entry(id)?.ok_or(Unable::Unknown(id))?;
        let about = entry.delivery.ok_or(Unable::NoDelivery(id))?;
        self.delivery(about)?.ok_or(Unable::NoDelivery(id))
    }

    /// The entry of this number, open or not.
    pub fn entry(&self, id: DeliveryId) -> Result<Option<Entry>, Error> {
        Ok(self.entries_of(id)?.into_iter().find(|entry| entry.id == id))
    }

    /// The deliveries that a filter lets through with a higher number than `after`, oldest first, at most `most` of them.
    pub fn deliveries(&self, filter: &Filter, after: DeliveryId, most: u32) -> Result<Vec<Delivery>, Error> {
        // Only what is asked for stands in the statement, so that an index can serve it.
        let mut conditions = vec!["id > ?1"];
        let mut parameters: Vec<Box<dyn ToSql>> = vec![Box::new(after.0)];
        let mut only = |condition: &'static str, value: Option<Box<dyn ToSql>>| {
            if let Some(value) = value {
                conditions.push(condition);
                parameters.push(value);
            }
        };
        let text = |text: &str| -> Box<dyn ToSql> { Box::new(text.to_owned()) };
        let time = |time: DateTime<Utc>| -> Box<dyn ToSql> { Box::new(time.timestamp_millis()) };
        only("state = ?", filter.state.map(|state| text(state.code())));
        only("errand = ?", filter.errand.map(|errand| text(errand.code())));
        only("intervention = ?", filter.intervention.as_ref().map(|number| text(number.as_str())));
        only("case_id = ?", filter.case.as_ref().map(|case| text(case.as_str())));
        only("reason = ?", filter.reason.map(|reason| text(reason.code())));
        only("made >= ?", filter.from.map(time));
        only("made < ?", filter.to.map(time));
        if filter.state.is_none_or(|state| !state.is_settled()) {
            conditions.push("settled IS NULL");
        }
        if filter.late {
            conditions.push("late = 1");
        }
        conditions.extend(filter.flow.map(|flow| match flow {
            Flow::ToPrimero => {
                "(errand IN ('open_intervention', 'send_feedback', 'report_decision') OR errand = 'look' AND walk = 'decisions')"
            }
            Flow::ToDtp => {
                "(errand IN ('send_referral', 'record_decision') OR errand = 'look' AND coalesce(walk, '') <> 'decisions')"
            }
        }));
        let parameters: Vec<&dyn ToSql> = parameters.iter().map(|parameter| &**parameter).collect();
        select(self.connection, &format!("{} ORDER BY id LIMIT {most}", conditions.join(" AND ")), &parameters)
    }

    /// Deliveries with a higher number than this, of these errands.
    pub fn made_after(&self, number: DeliveryId, errands: &[Errand]) -> Result<Vec<Delivery>, Error> {
        let made = select(self.connection, "id > ?1 ORDER BY id", &[&number.0])?;
        Ok(made.into_iter().filter(|delivery| errands.contains(&delivery.errand)).collect())
    }

    /// The highest number given so far.
    pub fn last_number(&self) -> Result<DeliveryId, Error> {
        Ok(DeliveryId(super::file::last_number(self.connection)?))
    }

    /// Whether somebody attempts this delivery now.
    #[must_use]
    pub fn is_attempted(&self, id: DeliveryId) -> bool {
        self.shared.agenda().is_lent(id)
    }

    /// The newest delivery of an errand about a number that was not replaced.
    fn newest_about(&self, number: &InterventionNumber, errand: Errand) -> Result<Option<Delivery>, Error> {
        let newest = select(
            self.connection,
            "intervention = ?1 AND errand = ?2 AND state <> 'superseded' ORDER BY id DESC LIMIT 1",
            &[&number.as_str(), &errand.code()],
        )?;
        Ok(newest.into_iter().next())
    }
}

/// Refuses to repeat what a newer delivery stands for.
fn newer(old: &Delivery, newest: Option<Delivery>) -> Result<(), Unable> {
    match newest {
        Some(newest) if newest.id > old.id => Err(Unable::Followed(old.id, newest.id)),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
