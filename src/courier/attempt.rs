//! One attempt at one delivery: what it has learnt on its way, and the one place where an answer becomes an outcome.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    activity::Outcome,
    dtp,
    health::Sign,
    mapping::Gap,
    primero,
    programme::Programme,
    reason::Reason,
    referral::{Errand, State, System},
    spool::{
        Error,
        delivery::Delivery,
        settle::{Conclusion, Note, Report},
    },
};

/// A held delivery is looked at again after this.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(30);
/// How long to wait before an ending is offered to the state again.
const STATE_PAUSE: Duration = Duration::from_secs(5);

/// How an attempt ended, before anybody has asked when it is tried again.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Done, and seen to be done.
    Delivered,
    /// They are unwell.
    Later {
        /// Why.
        reason: Reason,
        /// The status seen.
        status: Option<u16>,
        /// What they asked us to wait.
        retry_after: Option<Duration>,
    },
    /// This message is wrong for good.
    Refused {
        /// Why, in one code.
        reason: Reason,
        /// Every reason and field.
        gaps: Vec<Gap>,
        /// The status seen.
        status: Option<u16>,
    },
    /// A person must decide.
    Held {
        /// Why.
        reason: Reason,
        /// Names of fields.
        fields: Vec<String>,
        /// The status seen.
        status: Option<u16>,
    },
    /// We are wrong: the system stops.
    Blocked {
        /// Which.
        system: System,
        /// Why.
        reason: Reason,
        /// The status seen.
        status: Option<u16>,
    },
    /// A referral may not leave.
    Withheld(Reason),
    /// Nothing left to do.
    NotNeeded(Reason),
    /// Given up.
    Stopped(Reason),
}

impl Verdict {
    /// What is counted: the code of the outcome, or of the state that it leads to.
    const fn code(&self) -> &'static str {
        match self {
            Self::Delivered => Outcome::Delivered.code(),
            Self::Later { .. } => Outcome::Later.code(),
            Self::Refused { .. } => Outcome::Refused.code(),
            Self::Held { .. } => Outcome::Held.code(),
            Self::Blocked { .. } => Outcome::Blocked.code(),
            Self::Withheld(_) => State::Withheld.code(),
            Self::NotNeeded(_) => State::NotNeeded.code(),
            Self::Stopped(_) => State::Stopped.code(),
        }
    }

    /// Held, without fields and status.
    pub const fn held(reason: Reason) -> Self {
        Self::Held { reason, fields: Vec::new(), status: None }
    }

    /// Later, without status.
    pub const fn later(reason: Reason) -> Self {
        Self::Later { reason, status: None, retry_after: None }
    }

    /// Refused because the mapping found gaps.
    pub fn unmappable(reason: Option<Reason>, gaps: Vec<Gap>) -> Self {
        let reason = reason.or(gaps.first().map(|gap| gap.reason)).unwrap_or(Reason::InvalidValues);
        Self::Refused { reason, gaps, status: None }
    }
}

/// A step of an attempt: goes on, or ends it.
pub type Step<T> = Result<T, Verdict>;

/// What a request to Primero names: tells what 403 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// One case or one referral: a refusal is about this errand only.
    OneRecord,
    /// A list, or nothing: a refusal is about us.
    Nothing,
}

/// One attempt.
pub struct Attempt {
    /// The programme.
    pub programme: Arc<Programme>,
    /// The delivery, changed as the attempt learns.
    pub delivery: Delivery,
    /// What a person should know besides.
    pub notes: Vec<Note>,
    /// Primero's service type, for the counters.
    pub service_type: Option<String>,
    /// When it began, in monotonic time.
    begun: Duration,
    signs: [Option<(Sign, Option<u16>)>; 2],
}

impl Attempt {
    /// Begins an attempt.
    pub fn new(programme: Arc<Programme>, mut delivery: Delivery) -> Self {
        delivery.attempts += 1;
        let begun = programme.clock.monotonic();
        Self { programme, delivery, notes: Vec::new(), service_type: None, begun, signs: [None; 2] }
    }

    /// Whether the errand's time is over.
    pub fn out_of_time(&self) -> bool {
        deadline(&self.programme, &self.delivery).is_some_and(|deadline| deadline <= self.programme.clock.now())
    }

    /// Passes an answer of Primero on, or judges the trouble.
    pub fn primero<T>(&mut self, names: Names, result: Result<T, primero::Trouble>) -> Step<T> {
        self.heard_primero(names, &result);
        result.map_err(|trouble| judge_primero(names, trouble))
    }

    /// Notes what an answer of Primero shows about its health, where the errand itself judges it.
    pub fn heard_primero<T>(&mut self, names: Names, result: &Result<T, primero::Trouble>) {
        let sign = match result {
            Ok(_) => (Sign::Answered, None),
            Err(trouble) => sign_of_primero(names, trouble),
        };
        self.signs[System::Primero as usize] = Some(sign);
    }

    /// Passes an answer of DTP on, or judges the trouble.
    pub fn dtp(&mut self, result: Result<(), dtp::Trouble>) -> Step<()> {
        let (sign, status) = match &result {
            Ok(()) | Err(dtp::Trouble::Refused { .. }) => (Sign::Answered, None),
            Err(dtp::Trouble::Unwell { reason, status, .. }) => (sign_of_unwell(*reason), *status),
            Err(dtp::Trouble::Blocked { reason, status }) => (Sign::Wrong(*reason), *status),
        };
        self.signs[System::Dtp as usize] = Some((sign, status));
        result.map_err(|trouble| match trouble {
            dtp::Trouble::Unwell { reason, status, retry_after, .. } => Verdict::Later { reason, status, retry_after },
            dtp::Trouble::Blocked { reason, status } => Verdict::Blocked { system: System::Dtp, reason, status },
            dtp::Trouble::Refused { status } => {
                Verdict::Refused { reason: Reason::RefusedByDtp, gaps: Vec::new(), status: Some(status) }
            }
        })
    }

    /// Marks durably, before a referral is posted, that it may have left.
    pub async fn may_have_left(&mut self) -> Step<()> {
        if !self.delivery.may_have_acted {
            let id = self.delivery.id;
            self.state(self.programme.spool.write(move |tx| tx.may_have_left(id)).await)?;
            self.delivery.may_have_acted = true;
        }
        Ok(())
    }

    /// Passes an answer of the state on. If the state fails, the attempt is made again later.
    pub fn state<T>(&self, result: Result<T, Error>) -> Step<T> {
        result.map_err(|error| {
            tracing::error!(%error, delivery = self.delivery.id.0, "the state failed during an attempt");
            Verdict::later(Reason::ServerError)
        })
    }

    /// Puts the ending into the state; then the health of the systems hears what was seen of them.
    pub async fn conclude(self, verdict: Verdict) {
        let Self { programme, delivery, notes, service_type, begun, signs } = self;
        let now = programme.clock.now();
        let took = programme.clock.monotonic().saturating_sub(begun);
        programme.meters().attempted(delivery.errand.addressee(), verdict.code(), took);
        let (status, fields) = details(&verdict);
        let wrong = match &verdict {
            Verdict::Blocked { system, reason, status } => Some((*system, Sign::Wrong(*reason), *status)),
            _ => None,
        };
        let conclusion = conclusion(&programme, &delivery, verdict, now);
        let id = delivery.id;
        let report = Report { delivery, conclusion, status, fields, notes, service_type };
        loop {
            let offered = report.clone();
            match programme.spool.write(move |tx| tx.conclude(offered)).await {
                Ok(_) | Err(Error::Closed) => break,
                Err(error) => {
                    // What was done cannot be done again without harm, so the lease is kept until the state takes it.
                    tracing::error!(%error, delivery = id.0, "an ending could not be stored; it is offered again");
                    programme.clock.sleep_until(programme.clock.monotonic() + STATE_PAUSE).await;
                }
            }
        }
        for (system, sign) in System::ALL.iter().zip(signs) {
            let sign = wrong.filter(|(wrong, ..)| wrong == system).map(|(_, sign, status)| (sign, status)).or(sign);
            if let Some((sign, status)) = sign {
                programme.report_health(*system, Some(id), sign, status).await;
            }
        }
    }
}

/// When an errand's time is over: an intervention is answered, a referral given up. After a sleep there is time for one more attempt.
pub fn deadline(programme: &Programme, delivery: &Delivery) -> Option<DateTime<Utc>> {
    let give_up = delivery.made + programme.settings.delivery.give_up_after;
    let deadline = match delivery.errand {
        Errand::OpenIntervention => {
            let held = delivery.held_since.map(|since| since + programme.settings.flow1.hold_for);
            held.map_or(give_up, |held| held.min(give_up))
        }
        Errand::SendReferral => give_up,
        Errand::RecordDecision | Errand::Look | Errand::ReportDecision | Errand::SendFeedback => return None,
    };
    Some(programme.spool.shared().put_off(deadline))
}

/// How a delivery ends whose time is over.
pub fn out_of_time(delivery: &Delivery, was_held: bool, now: DateTime<Utc>) -> Conclusion {
    match delivery.errand {
        // UNHCR is told that it failed only if nothing of ours stands, or may stand, in Primero.
        Errand::OpenIntervention if delivery.may_have_acted || delivery.written => {
            Conclusion::Held { reason: Reason::Unconfirmed, due: now + LOOK_AGAIN }
        }
        Errand::OpenIntervention => {
            let reason = if was_held { Reason::NotMatchedSafely } else { Reason::NotDeliveredInTime };
            Conclusion::Refused { reason, gaps: vec![Gap { reason, field: String::new() }] }
        }
        Errand::SendReferral => Conclusion::Stopped { reason: Reason::NotSentInTime, feedback: None },
        Errand::RecordDecision | Errand::Look | Errand::ReportDecision | Errand::SendFeedback => {
            Conclusion::Later { reason: Reason::Late, due: now + LOOK_AGAIN }
        }
    }
}

/// The verdict with everything that time adds to it.
fn conclusion(programme: &Programme, delivery: &Delivery, verdict: Verdict, now: DateTime<Utc>) -> Conclusion {
    let deadline = deadline(programme, delivery);
    let over = deadline.is_some_and(|deadline| deadline <= now);
    let by = |due: DateTime<Utc>| deadline.filter(|deadline| *deadline > now).map_or(due, |deadline| due.min(deadline));
    let may_stand = delivery.errand == Errand::OpenIntervention && (delivery.may_have_acted || delivery.written);
    match verdict {
        Verdict::Delivered => Conclusion::Delivered,
        Verdict::Later { .. } | Verdict::Blocked { .. } if over => out_of_time(delivery, delivery.held_since.is_some(), now),
        Verdict::Held { .. } if over => out_of_time(delivery, true, now),
        Verdict::Later { reason, retry_after, .. } => {
            let pause = programme.pause(delivery.attempts.saturating_sub(1));
            Conclusion::Later { reason, due: by(now + retry_after.unwrap_or_default().max(pause)) }
        }
        // What only reads in a system is not kept from trying again by that system's being blocked.
        Verdict::Blocked { system, reason, .. } if !delivery.errand.needs(system) => {
            Conclusion::Later { reason, due: by(now + programme.pause(delivery.attempts.saturating_sub(1))) }
        }
        Verdict::Blocked { reason, .. } => Conclusion::Blocked { reason },
        Verdict::Held { reason, .. } => {
            // The clock of a held intervention runs from now, if it was not held before.
            let held = programme.settings.flow1.hold_for;
            let first = delivery.held_since.is_none() && delivery.errand == Errand::OpenIntervention;
            let due = now + LOOK_AGAIN;
            Conclusion::Held { reason, due: by(if first { due.min(now + held) } else { due }) }
        }
        Verdict::Refused { .. } if may_stand => Conclusion::Held { reason: Reason::Unconfirmed, due: now + LOOK_AGAIN },
        Verdict::Refused { reason, gaps, .. } => Conclusion::Refused { reason, gaps },
        Verdict::Withheld(reason) => Conclusion::Withheld { reason },
        Verdict::NotNeeded(reason) => Conclusion::NotNeeded { reason },
        Verdict::Stopped(reason) => Conclusion::Stopped { reason, feedback: None },
    }
}

fn details(verdict: &Verdict) -> (Option<u16>, Vec<String>) {
    match verdict {
        Verdict::Later { status, .. } | Verdict::Refused { status, .. } | Verdict::Blocked { status, .. } => {
            (*status, Vec::new())
        }
        Verdict::Held { status, fields, .. } => (*status, fields.clone()),
        Verdict::Delivered | Verdict::Withheld(_) | Verdict::NotNeeded(_) | Verdict::Stopped(_) => (None, Vec::new()),
    }
}

/// What trouble with Primero means where the errand has no meaning of its own for it.
fn judge_primero(names: Names, trouble: primero::Trouble) -> Verdict {
    use primero::Trouble;
    let blocked = |reason, status| Verdict::Blocked { system: System::Primero, reason, status };
    match trouble {
        Trouble::Unwell(unwell) => {
            Verdict::Later { reason: unwell.reason, status: unwell.status, retry_after: unwell.retry_after }
        }
        Trouble::Unauthorized => blocked(Reason::Unauthorized, Some(401)),
        Trouble::Forbidden => match names {
            Names::OneRecord => Verdict::Held { reason: Reason::OutOfScope, fields: Vec::new(), status: Some(403) },
            Names::Nothing => blocked(Reason::Forbidden, Some(403)),
        },
        // What nobody foresaw is tried again; it is on the operator's list when it is late.
        Trouble::NotFound => Verdict::Later { reason: Reason::CaseChanged, status: Some(404), retry_after: None },
        Trouble::Conflict => Verdict::Later { reason: Reason::NotAsPromised, status: Some(409), retry_after: None },
        Trouble::Invalid(_) => Verdict::Later { reason: Reason::NotAsPromised, status: Some(422), retry_after: None },
        Trouble::Refused(status) => Verdict::Later { reason: Reason::NotAsPromised, status: Some(status), retry_after: None },
        Trouble::WrongUrl => blocked(Reason::WrongUrl, Some(404)),
        Trouble::CertificateRefused => blocked(Reason::CertificateRefused, None),
        Trouble::FilterIgnored => blocked(Reason::FilterIgnored, Some(200)),
    }
}

/// What trouble with Primero shows about its health.
pub fn sign_of_primero(names: Names, trouble: &primero::Trouble) -> (Sign, Option<u16>) {
    use primero::Trouble;
    match trouble {
        Trouble::Unwell(unwell) => (sign_of_unwell(unwell.reason), unwell.status),
        Trouble::Unauthorized => (Sign::Wrong(Reason::Unauthorized), Some(401)),
        Trouble::Forbidden if names == Names::Nothing => (Sign::Wrong(Reason::Forbidden), Some(403)),
        Trouble::WrongUrl => (Sign::Wrong(Reason::WrongUrl), Some(404)),
        Trouble::CertificateRefused => (Sign::Wrong(Reason::CertificateRefused), None),
        Trouble::FilterIgnored => (Sign::Wrong(Reason::FilterIgnored), Some(200)),
        Trouble::Forbidden | Trouble::NotFound | Trouble::Conflict | Trouble::Invalid(_) | Trouble::Refused(_) => {
            (Sign::Answered, None)
        }
    }
}

fn sign_of_unwell(reason: Reason) -> Sign {
    if matches!(reason, Reason::Unreachable | Reason::TimedOut | Reason::ConnectionLost | Reason::GatewayError) {
        Sign::Fault
    } else {
        Sign::Stumbled
    }
}
