//! How an attempt ends in the state: one transaction settles the delivery, erases its parcel and stores what follows from it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    Error, Tx,
    counters::Step,
    delivery::{About, Delivery},
    known::Standing,
    list::{Kind, NewEntry},
};
use crate::{
    activity::{Activity, Event, Outcome},
    mapping::Gap,
    reason::Reason,
    referral::{Decision, DeliveryId, Errand, InterventionNumber, ReferralId, State},
};

/// What an attempt leaves behind.
#[derive(Clone, Debug)]
pub struct Report {
    /// The delivery with the references, flags and the number of attempts as they are now.
    pub delivery: Delivery,
    /// How it ended.
    pub conclusion: Conclusion,
    /// The HTTP status that decided, if one did.
    pub status: Option<u16>,
    /// Names of fields that the conclusion is about.
    pub fields: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<Note>,
    /// Primero's service type, for the counters.
    pub service_type: Option<String>,
}

/// How an attempt, or a decision of a person, ended a delivery or put it off.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// Done, and seen to be done.
    Delivered,
    /// They are unwell.
    Later {
        /// Why.
        reason: Reason,
        /// When it is tried again.
        due: DateTime<Utc>,
    },
    /// We are wrong: the addressee stops, and this waits with it.
    Blocked {
        /// Why.
        reason: Reason,
    },
    /// A person must decide.
    Held {
        /// Why.
        reason: Reason,
        /// When we look again.
        due: DateTime<Utc>,
    },
    /// Wrong for good, with everything that is wrong.
    Refused {
        /// Why, in one code.
        reason: Reason,
        /// Every reason and field; an intervention's are told to DTP.
        gaps: Vec<Gap>,
    },
    /// May not leave.
    Withheld {
        /// Which condition failed.
        reason: Reason,
    },
    /// Nothing left to do.
    NotNeeded {
        /// Why.
        reason: Reason,
    },
    /// Given up.
    Stopped {
        /// Why.
        reason: Reason,
        /// What DTP is told, if it may be told that nothing stands in Primero.
        feedback: Option<Reason>,
    },
}

/// Something a person should know that does not change how the attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Staff changed what we wrote, or an identity value differs.
    Differs(Vec<String>),
    /// Fields did not stick.
    NotStored(Vec<String>),
    /// Two sides say different things.
    Conflict,
    /// A referral that left, or may have, was withdrawn.
    Withdrawn(Reason),
}

impl Tx<'_> {
    /// Applies a report. `false` if the delivery was settled meanwhile by somebody else; then nothing is changed.
    pub fn conclude(&mut self, report: Report) -> Result<bool, Error> {
        let Report { mut delivery, conclusion, status, fields, notes, service_type } = report;
        let Some(stored) = self.delivery(delivery.id)?.filter(|stored| stored.settled.is_none()) else { return Ok(false) };
        delivery.late = stored.late;
        // A look again that learnt nothing leaves what is held as it stands: a person must still act, and for the same reason.
        let held = (stored.state == State::Held).then_some(stored.reason).flatten();
        let mut line = self.about(Event::Later, &delivery);
        line.attempt = Some(delivery.attempts).filter(|attempts| *attempts > 0);
        line.status = status;
        line.fields.clone_from(&fields);
        match conclusion {
            Conclusion::Later { reason, due } => {
                (delivery.state, delivery.reason, delivery.due) = (waiting(held), held.or(Some(reason)), due);
                self.put(&delivery)?;
                self.tell(Activity { outcome: Some(Outcome::Later), reason: Some(reason), due: Some(due), ..line })?;
            }
            Conclusion::Blocked { reason } => {
                // The delivery waits with its addressee; the log hears once that the addressee is blocked.
                (delivery.state, delivery.reason, delivery.due) = (waiting(held), held.or(Some(reason)), self.now());
                self.put(&delivery)?;
            }
            Conclusion::Held { reason, due } => {
                (delivery.state, delivery.reason, delivery.due) = (State::Held, Some(reason), due);
                if delivery.held_since.is_none() {
                    delivery.held_since = Some(self.now());
                    self.count(&delivery, Step::Held, service_type.as_deref());
                }
                self.put(&delivery)?;
                if held.is_some_and(|held| held != reason) {
                    // Something else is to be done now: an entry of its own, with an alarm of its own.
                    self.unlist(delivery.id, &[Kind::Held])?;
                }
                if self.list(&delivery, NewEntry { kind: Kind::Held, reason: Some(reason), fields })? {
                    let line = Activity { event: Event::Held, outcome: Some(Outcome::Held), reason: Some(reason), ..line };
                    self.tell(line)?;
                }
            }
            Conclusion::Delivered => self.settle_delivered(&mut delivery, line)?,
            Conclusion::Refused { reason, gaps } => {
                delivery.gaps.clone_from(&gaps);
                let mut told = by_reason(reason, &gaps).into_iter();
                line.event = Event::Refused;
                line.outcome = Some(Outcome::Refused);
                line.fields = told.next().map_or_else(Vec::new, |(_, fields)| fields);
                self.settle(&mut delivery, State::Refused, Some(reason), line.clone())?;
                for (reason, fields) in told {
                    self.tell(Activity { reason: Some(reason), fields, ..line.clone() })?;
                }
                match delivery.errand {
                    Errand::OpenIntervention => self.owe_feedback(&delivery, gaps)?,
                    Errand::RecordDecision
                    | Errand::Look
                    | Errand::SendReferral
                    | Errand::ReportDecision
                    | Errand::SendFeedback => {
                        self.list(&delivery, NewEntry { kind: Kind::Refused, reason: Some(reason), fields: line.fields })?;
                    }
                }
            }
            Conclusion::Withheld { reason } => {
                self.settle(&mut delivery, State::Withheld, Some(reason), Activity { event: Event::Withheld, ..line })?;
                self.list(&delivery, NewEntry::new(Kind::Withheld, reason))?;
            }
            Conclusion::NotNeeded { reason } => {
                self.settle(&mut delivery, State::NotNeeded, Some(reason), Activity { event: Event::NotNeeded, ..line })?;
                if delivery.errand == Errand::RecordDecision {
                    self.decided(&delivery)?;
                }
            }
            Conclusion::Stopped { reason, feedback } => {
                self.settle(&mut delivery, State::Stopped, Some(reason), Activity { event: Event::Stopped, ..line })?;
                if matches!(reason, Reason::Expired | Reason::NotSentInTime | Reason::ParcelMissing | Reason::ContentErased) {
                    self.list(&delivery, NewEntry::new(Kind::Stopped, reason))?;
                }
                if let Some(told) = feedback {
                    self.owe_feedback(&delivery, vec![Gap { reason: told, field: String::new() }])?;
                }
            }
        }
        for note in notes {
            self.note(&delivery, note)?;
        }
        if delivery.settled.is_some() {
            self.count(&delivery, Step::Ended(delivery.state), service_type.as_deref());
        }
        if delivery.errand == Errand::OpenIntervention {
            self.judge_behind(&delivery)?;
        }
        Ok(true)
    }

    fn settle_delivered(&mut self, delivery: &mut Delivery, line: Activity) -> Result<(), Error> {
        let about = delivery.about.clone();
        let mut line = Activity { event: Event::Delivered, outcome: Some(Outcome::Delivered), ..line };
        match delivery.errand {
            Errand::OpenIntervention => line.new_case = delivery.new_case,
            Errand::SendFeedback => line.event = Event::FeedbackSent,
            Errand::SendReferral => {
                line.basis = delivery.basis;
            }
            Errand::Look | Errand::RecordDecision | Errand::ReportDecision => {}
        }
        self.settle(delivery, State::Delivered, None, line)?;
        match (delivery.errand, &about.intervention, about.referral) {
            (Errand::OpenIntervention, Some(number), _) => {
                self.know_delivered(number, about.content, about.person, about.case_key)?;
                self.owe_feedback(delivery, Vec::new())
            }
            (Errand::ReportDecision, Some(number), _) => {
                let status = about.decision.unwrap_or(Decision::Accepted);
                self.know_status(number, about.case_key, status)?;
                self.unlist_refused_reports(number)?;
                self.decided(delivery)
            }
            (Errand::RecordDecision, ..) => self.decided(delivery),
            (Errand::SendReferral, _, Some(referral)) => match &about.outgoing {
                Some(outgoing) => {
                    self.unlist_withheld(referral, delivery.id)?;
                    self.know_taken(referral, outgoing)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Settles a delivery: its parcel is erased in the same transaction. A look that is done leaves no trace.
    fn settle(&mut self, delivery: &mut Delivery, state: State, reason: Option<Reason>, line: Activity) -> Result<(), Error> {
        (delivery.state, delivery.reason, delivery.settled) = (state, reason, Some(self.now()));
        delivery.behind = None;
        if may_be_with_dtp(delivery) {
            delivery.watched = Some(self.now() + chrono::TimeDelta::days(1));
        }
        if delivery.held_since.is_some() || delivery.late {
            self.unlist(delivery.id, &[Kind::Held, Kind::Late])?;
        }
        if delivery.errand == Errand::Look {
            self.put(delivery)?;
            for trace in ["DELETE FROM deliveries WHERE id = ?1", "DELETE FROM story WHERE delivery = ?1"] {
                self.connection.prepare_cached(trace)?.execute([delivery.id.0])?;
            }
            return Ok(());
        }
        self.put(delivery)?;
        self.tell(Activity { reason, ..line })?;
        if delivery.errand == Errand::SendFeedback && state != State::Superseded {
            self.tell_decision_again(delivery)?;
        }
        let erased = self.connection.prepare_cached("DELETE FROM parcels WHERE delivery = ?1")?.execute([delivery.id.0])?;
        if erased > 0 {
            self.shared.erased.store(true, std::sync::atomic::Ordering::Relaxed);
            self.tell(self.about(Event::Erased, delivery))?;
        }
        Ok(())
    }

    /// Ends a delivery in favour of a newer message.
    pub(super) fn supersede(&mut self, mut delivery: Delivery, reason: Reason) -> Result<(), Error> {
        let line = self.about(Event::Superseded, &delivery);
        self.settle(&mut delivery, State::Superseded, Some(reason), line)?;
        self.count(&delivery, Step::Ended(State::Superseded), None);
        Ok(())
    }

    /// Owes DTP a feedback about an intervention; an unsent one of the same number is replaced. A failure that nothing could put
    /// right any more is not told: a person looks.
    fn owe_feedback(&mut self, intervention: &Delivery, gaps: Vec<Gap>) -> Result<(), Error> {
        let Some(number) = intervention.about.intervention.clone() else { return Ok(()) };
        if !gaps.is_empty() && self.reading().has_decision_of_unknown_case(&intervention.about)? {
            return self.note(intervention, Note::Conflict);
        }
        let unsent = super::delivery::select(
            self.connection,
            "intervention = ?1 AND errand = 'send_feedback' AND settled IS NULL ORDER BY id",
            &[&number.as_str()],
        )?;
        for feedback in unsent {
            if self.take(feedback.id) {
                self.supersede(feedback, Reason::Replaced)?;
            }
        }
        let about = About {
            post: intervention.about.post,
            intervention: Some(number),
            case_key: intervention.about.case_key,
            case_id: intervention.about.case_id.clone(),
            service: intervention.about.service.clone(),
            ..About::default()
        };
        let mut feedback = self.new_delivery(Errand::SendFeedback, about)?;
        feedback.gaps = gaps;
        self.put(&feedback)
    }

    /// A feedback went, or may have gone, after DTP had heard a decision of its number. The decision that stands in Primero by now is
    /// told once more, so that it is the last word that DTP has.
    fn tell_decision_again(&mut self, feedback: &Delivery) -> Result<(), Error> {
        let Some(number) = feedback.about.intervention.as_ref() else { return Ok(()) };
        if !self.reading().has_decision(number)? {
            return Ok(());
        }
        let Some(About { case_key: Some(key), case_id, service, .. }) = self.reading().decided_in(&feedback.about)? else {
            return self.note(feedback, Note::Conflict);
        };
        self.forget_status(number)?;
        self.owe_report(number, key, case_id, service)
    }

    fn note(&mut self, delivery: &Delivery, note: Note) -> Result<(), Error> {
        let (event, kind, reason, fields) = match note {
            Note::Differs(fields) => (Event::Differs, Kind::Differs, Reason::Differs, fields),
            Note::NotStored(fields) => (Event::NotStored, Kind::NotStored, Reason::NotStored, fields),
            Note::Conflict => (Event::Conflict, Kind::Conflict, Reason::Conflict, Vec::new()),
            Note::Withdrawn(reason) => return self.withdrawn(delivery, reason),
        };
        let line = Activity { reason: Some(reason), fields: fields.clone(), ..self.about(event, delivery) };
        if self.list(delivery, NewEntry { kind, reason: Some(reason), fields })? {
            self.tell(line)?;
        }
        Ok(())
    }

    /// A referral that left, or may have left, was withdrawn: said once per referral and reason, and anew of what was sent after it was dealt with.
    /// What is listed is the errand that sent it, whichever errand noticed.
    pub fn withdrawn(&mut self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let sent = match delivery.about.referral {
            Some(referral) if delivery.errand != Errand::SendReferral => self.reading().sending(referral)?.newest,
            _ => None,
        };
        let delivery = sent.as_ref().unwrap_or(delivery);
        if self.list_withdrawal(delivery, reason)? {
            let line =
                Activity { reason: Some(reason), noticed: Some(self.now()), ..self.about(Event::WithdrawnAfterSend, delivery) };
            self.tell(line)?;
        }
        Ok(())
    }

    /// A new delivery, due now, counted and not yet stored.
    pub(super) fn new_delivery(&mut self, errand: Errand, about: About) -> Result<Delivery, Error> {
        let delivery = Delivery {
            id: DeliveryId(self.next_number()),
            errand,
            state: State::Waiting,
            about,
            made: self.now,
            due: self.now,
            attempts: 0,
            held_since: None,
            settled: None,
            reason: None,
            gaps: Vec::new(),
            may_have_acted: false,
            written: false,
            new_case: None,
            behind: None,
            basis: None,
            watched: None,
            late: false,
        };
        self.count(&delivery, Step::Made, None);
        Ok(delivery)
    }

    /// An intervention's attempt has ended: what waits behind it is judged as if it had just come.
    fn judge_behind(&mut self, old: &Delivery) -> Result<(), Error> {
        let waiting = super::delivery::select(self.connection, "behind = ?1 ORDER BY id", &[&old.id.0])?;
        for new in waiting {
            self.judge_again(new, old)?;
        }
        Ok(())
    }

    /// Where a delivery of this number stands for a newer post. `attempt_over` has just been attempted and its lease is ours.
    pub(super) fn standing(&mut self, delivery: &Delivery, attempt_over: Option<DeliveryId>) -> Standing {
        if delivery.state.is_settled() {
            Standing::Ended
        } else if delivery.may_have_acted || delivery.written || !(attempt_over == Some(delivery.id) || self.take(delivery.id)) {
            Standing::Busy
        } else {
            Standing::Idle
        }
    }

    /// DTP took the report of a decision: that it refused earlier ones about this number is past.
    fn unlist_refused_reports(&mut self, number: &InterventionNumber) -> Result<(), Error> {
        let refused = super::delivery::select(
            self.connection,
            "intervention = ?1 AND errand = 'report_decision' AND state = 'refused'",
            &[&number.as_str()],
        )?;
        for report in refused {
            self.unlist(report.id, &[Kind::Refused])?;
        }
        Ok(())
    }

    /// DTP took a referral: what was said about earlier errands of it is past, and only this one is watched.
    fn unlist_withheld(&mut self, referral: ReferralId, taken: DeliveryId) -> Result<(), Error> {
        let earlier = super::delivery::select(
            self.connection,
            "referral = ?1 AND errand = 'send_referral' AND settled IS NOT NULL AND id <> ?2",
            &[&referral.0.into_bytes(), &taken.0],
        )?;
        for delivery in earlier {
            self.unlist(delivery.id, &[Kind::Withheld, Kind::Refused, Kind::Stopped])?;
            self.watch(delivery.id, None)?;
        }
        Ok(())
    }
}

/// Where a delivery waits that could not be attempted to its end.
const fn waiting(held: Option<Reason>) -> State {
    if held.is_some() { State::Held } else { State::Waiting }
}

/// Whether a referral that is settled now was taken by DTP, or may have been: it is watched for withdrawal.
fn may_be_with_dtp(delivery: &Delivery) -> bool {
    let may_be = match delivery.state {
        State::Delivered => true,
        State::Withheld | State::Stopped | State::NotNeeded => delivery.may_have_acted,
        // The answer to the only attempt says that DTP did not take it; an earlier one may have been lost.
        State::Refused => delivery.may_have_acted && delivery.attempts > 1,
        State::Waiting | State::Held | State::Superseded => false,
    };
    delivery.errand == Errand::SendReferral && may_be
}

/// One line for each reason, with its own fields; the delivery's reason comes first, and where no gap has it, it speaks for all.
fn by_reason(first: Reason, gaps: &[Gap]) -> Vec<(Reason, Vec<String>)> {
    let fields = |reason: Option<Reason>| {
        let of = gaps.iter().filter(|gap| reason.is_none_or(|reason| gap.reason == reason));
        of.map(|gap| gap.field.clone()).filter(|field| !field.is_empty()).collect()
    };
    if !gaps.iter().any(|gap| gap.reason == first) {
        return vec![(first, fields(None))];
    }
    let others: BTreeSet<Reason> = gaps.iter().map(|gap| gap.reason).filter(|reason| *reason != first).collect();
    [first].into_iter().chain(others).map(|reason| (reason, fields(Some(reason)))).collect()
}
