//! Looks at a changed case: what does it ask of us? One look does only its walk's work.
//!
//! It leaves errands with references, or hands on what may go at once. It keeps nothing of the case.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    attempt::{Attempt, Names, Step, Verdict},
    send_referral::{message, service_named},
};
use crate::{
    activity::Basis,
    consent::{self, is_referred},
    decisions::{Decided, decisions_in},
    health::Leave,
    mapping::Gap,
    personal::Personal,
    primero::{Case, Document, Referral, ReferralStatus, Referrals, Sought, Trouble, text},
    programme::{Place, Programme},
    reason::Reason,
    referral::{CaseId, CaseKey, DeliveryId, OutgoingId, ReferralId, State, System, Walk},
    spool::{
        delivery::Delivery,
        looks::Found,
        settle::{Conclusion, Report},
    },
};

/// How long a held errand waits before it is looked at again.
const LOOK_AGAIN: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// A referral that leaves now, with what was just read. A look has one at most: by the time that its post has ended, what was read
/// says nothing any more about another.
pub struct Leaving {
    /// Its errand, stored and marked as one that may have left; its lease is ours.
    pub delivery: Delivery,
    /// What is posted.
    pub message: Personal<Document>,
    /// Primero's service type, for the counters.
    pub service_type: Option<String>,
    /// Kept until the errand has ended.
    pub lease: Lease,
}

/// The lease of an errand that was made while it was lent, and its place at DTP; both are given back whatever becomes of the attempt.
pub struct Lease {
    programme: Arc<Programme>,
    id: DeliveryId,
    place: Option<Place>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // First the place, so that whoever hears the bell finds it free.
        drop(self.place.take());
        let shared = self.programme.spool.shared();
        shared.agenda().give_back(self.id);
        shared.bell.notify_waiters();
    }
}

/// Attempts the look; puts down what leaves at once, also if it ends in trouble.
pub async fn attempt(at: &mut Attempt, leaving: &mut Option<Leaving>) -> Step<()> {
    let about = at.delivery.about.clone();
    let (Some(key), Some(walk)) = (about.case_key, about.walk) else { return Ok(()) };
    if !at.programme.runs(walk.flow()) {
        return Err(Verdict::later(Reason::AgreementNotValid));
    }
    match walk {
        Walk::Referrals => look_for_referrals(at, key, leaving).await,
        Walk::Decisions => look_for_decisions(at, key).await,
    }
}

async fn look_for_decisions(at: &mut Attempt, key: CaseKey) -> Step<()> {
    let programme = at.programme.clone();
    let read = programme.primero.case(key, &programme.fields.decisions()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound) => return Ok(()),
        other => at.primero(Names::OneRecord, other)?,
    };
    if !case.enabled || case.text("module_id") != Some(programme.mapping.module()) {
        return Ok(());
    }
    let case_id = case.case_id();
    for (number, decided) in decisions_in(&case) {
        let (known, heard) = at.state(programme.spool.read(|reading| {
            let known = reading.known_intervention(&number)?.unwrap_or_default();
            Ok((known, reading.is_heard_from(&number, key)?))
        }))?;
        let case_id = case_id.clone();
        let (decision, service) = match decided {
            Decided::Once(decision, service) if heard => (decision, service.into_revealed()),
            // A number that belongs to one case is heard only from that case.
            Decided::Once(..) | Decided::Contradicting => {
                at.state(programme.spool.write(move |tx| tx.conflict(&number, case_id, key)).await)?;
                continue;
            }
        };
        if known.last_status != Some(decision) {
            let service = text(service, "unique_id").map(str::to_owned);
            at.state(programme.spool.write(move |tx| tx.owe_report(&number, key, case_id, service)).await)?;
        }
    }
    Ok(())
}

async fn look_for_referrals(at: &mut Attempt, key: CaseKey, leaving: &mut Option<Leaving>) -> Step<()> {
    let programme = at.programme.clone();
    let watched = at.state(programme.spool.read(|reading| reading.watched(key)))?;
    let read = programme.primero.case(key, &programme.fields.referrals()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(trouble @ (Trouble::NotFound | Trouble::Forbidden)) => {
            // What was sent of it is read again daily, so this look has nothing to wait for.
            let told = !watched.is_empty();
            for sent in watched {
                tell_withdrawn(at, sent, Reason::OutOfSight).await?;
            }
            if told || trouble == Trouble::NotFound {
                return Ok(());
            }
            return at.primero(Names::OneRecord, Err(trouble));
        }
        other => at.primero(Names::OneRecord, other)?,
    };
    let module = case.text("module_id");
    if module.is_some() && !consent::listed(&programme.settings.referrals.modules, module) {
        // A case of another module is as if absent, and named nowhere; but what left of it before is out of our sight.
        for sent in watched {
            tell_withdrawn(at, sent, Reason::OutOfSight).await?;
        }
        return Ok(());
    }
    let referrals = programme.primero.referrals(key).await;
    let referrals = at.primero(Names::OneRecord, referrals)?;
    for sent in watched {
        watch(at, &case, &referrals, sent).await?;
    }
    note_near_miss(at, &case, &referrals).await?;
    // A row that cannot be read holds up no other referral, but as long as it is there nobody knows whether it asks something
    // of us: the look is made again, and is on the operator's list when it is late.
    let is_whole = referrals.is_whole();
    let whole = || if is_whole { Ok(()) } else { Err(Verdict::later(Reason::NotAsPromised)) };
    let Some(case_id) = case.case_id() else {
        // Without its case id nothing of this case can be named to DTP; a person has to see why we cannot read it.
        let ours = |referral: &Referral| {
            let service = service_named(&case, referral);
            consent::may_leave(&programme.rules(), &case, service, referral, None, programme.clock.now())
                != consent::Verdict::NotOurs
        };
        let held = Verdict::Held { reason: Reason::OutOfScope, fields: vec!["case_id".to_owned()], status: None };
        return if referrals.readable().iter().any(ours) { Err(held) } else { whole() };
    };
    for referral in referrals.readable() {
        judge(at, &case, &case_id, referral, leaving).await?;
    }
    whole()
}

/// A service for a listed agency without a referral: whoever saved it may believe that it was sent. What is for others, what UNHCR
/// asked for, what is done and what was written down before our first day is noted nowhere; and as long as a referral cannot be
/// read, nobody knows that there is none.
async fn note_near_miss(at: &Attempt, case: &Case, referrals: &Referrals) -> Step<()> {
    let programme = &at.programme;
    let lists = &programme.settings.referrals;
    let number = &programme.mapping.service_fields().number;
    let has_referral = |service: &Document| {
        let service = text(service, "unique_id");
        referrals.readable().iter().any(|referral| service.is_some() && referral.service_record_id.as_deref() == service)
    };
    let is_ours = |service: &&Document| {
        consent::listed(&lists.implementing_agencies, text(service, "service_implementing_agency"))
            && text(service, number).is_none()
            && !has_referral(service)
    };
    // A referral to UNHCR that names none of them may be of any: it has an entry of its own.
    let is_stray = |referral: &Referral| {
        let may_be_meant = referral.status == ReferralStatus::InProgress && consent::recipient_is_listed(lists, referral);
        may_be_meant && service_named(case, referral).is_none()
    };
    let has_stray = referrals.readable().iter().any(is_stray);
    let is_open = |service: &Document| {
        let saved = text(service, "service_response_day_time").and_then(|time| time.parse::<DateTime<Utc>>().ok());
        text(service, "service_implemented_day_time").is_none()
            && saved.is_none_or(|saved| saved >= programme.settings.schedule.start_from)
    };
    let missed = if !case.enabled || !referrals.is_whole() {
        None
    } else if case.services().filter(is_ours).any(is_referred) {
        Some(Reason::ServiceNotReferred)
    } else if !has_stray && case.services().filter(is_ours).any(is_open) {
        Some(Reason::ServiceWithoutReferral)
    } else {
        None
    };
    let key = case.key;
    if at.state(programme.spool.read(|reading| reading.near_miss(key)))? == missed {
        return Ok(());
    }
    let case_id = case.case_id();
    at.state(programme.spool.write(move |tx| tx.near_miss(key, case_id, missed)).await)
}

/// A referral that was sent, or may have been: was it withdrawn since?
async fn watch(at: &mut Attempt, case: &Case, referrals: &Referrals, sent: Delivery) -> Step<()> {
    let programme = at.programme.clone();
    let now = programme.clock.now();
    let referral = match sent.about.referral.map_or(Sought::Absent, |id| referrals.find(id)) {
        Sought::Readable(referral) => Some(referral),
        Sought::Absent => None,
        // Neither withdrawn nor over, as far as anybody knows.
        Sought::Unreadable => return Ok(()),
    };
    // Where the ground on which it left is not stored, the referral itself says whether it was made without consent.
    let on_consent = match sent.basis {
        Some(basis) => basis == Basis::Consent,
        None => referral.is_some_and(|referral| !referral.consent_overridden),
    };
    let (withdrawn, over) = match referral.map(|referral| referral.status) {
        None => (Some(Reason::OutOfSight), false),
        Some(ReferralStatus::Revoked) => (Some(Reason::ReferralRevoked), true),
        Some(ReferralStatus::Rejected | ReferralStatus::Done) => (None, true),
        Some(ReferralStatus::InProgress | ReferralStatus::Accepted) if !case.enabled => (Some(Reason::CaseDisabled), false),
        Some(ReferralStatus::InProgress | ReferralStatus::Accepted) => {
            let lost = on_consent && !consent::consent_given(&programme.rules(), case, now);
            (lost.then_some(Reason::ConsentWithdrawn), false)
        }
    };
    if withdrawn.is_none() && !over {
        return Ok(());
    }
    let told = programme.spool.write(move |tx| {
        if let Some(reason) = withdrawn {
            tx.withdrawn(&sent, reason)?;
        }
        if over { tx.watch(sent.id, None) } else { Ok(()) }
    });
    at.state(told.await)
}

async fn tell_withdrawn(at: &Attempt, sent: Delivery, reason: Reason) -> Step<()> {
    at.state(at.programme.spool.write(move |tx| tx.withdrawn(&sent, reason)).await)
}

/// One referral of the case: ignored, withheld, held, owed, or leaving now.
async fn judge(at: &mut Attempt, case: &Case, case_id: &CaseId, referral: &Referral, leaving: &mut Option<Leaving>) -> Step<()> {
    let programme = at.programme.clone();
    let service = service_named(case, referral);
    let now = programme.clock.now();
    let verdict = consent::may_leave(&programme.rules(), case, service, referral, None, now);
    let found = Found {
        referral: referral.id,
        case_key: case.key,
        case_id: case_id.clone(),
        outgoing: referral.service_record_id.as_deref().and_then(|service| OutgoingId::new(case_id, service)),
        service: referral.service_record_id.clone(),
    };
    match verdict {
        // It concerned us once, and was corrected.
        consent::Verdict::NotOurs => nothing_to_send(at, found.referral).await,
        // Who made it took it back: nothing that a person should do about it.
        consent::Verdict::Withheld(Reason::NotInProgress) if referral.status == ReferralStatus::Revoked => {
            nothing_to_send(at, found.referral).await
        }
        // Made before our first day, and over: it was never ours to send.
        consent::Verdict::Withheld(Reason::BeforeStart) if referral.status != ReferralStatus::InProgress => Ok(()),
        consent::Verdict::Withheld(reason) => at.state(programme.spool.write(move |tx| tx.withhold(&found, reason)).await),
        consent::Verdict::Held(reason) => {
            at.state(programme.spool.write(move |tx| tx.owe_held_referral(&found, reason, now + LOOK_AGAIN)).await)
        }
        // DTP knows a referral by its outgoing id alone; one that has none can never be told apart from another.
        consent::Verdict::MayLeave(_) if found.outgoing.is_none() => {
            at.state(programme.spool.write(move |tx| tx.withhold(&found, Reason::ServiceNotNamed)).await)
        }
        consent::Verdict::MayLeave(basis) => {
            let service = Personal::new(service.cloned().unwrap_or_default());
            leave(at, case, service, found, basis, leaving).await
        }
    }
}

/// Nothing of a referral is to be sent: what was withheld of it before asks nothing of anybody any more.
async fn nothing_to_send(at: &Attempt, referral: ReferralId) -> Step<()> {
    let spool = &at.programme.spool;
    let known = at.state(spool.read(|reading| reading.sending(referral)))?;
    if known.newest.is_some_and(|newest| newest.state == State::Withheld && !newest.may_have_acted) {
        at.state(spool.write(move |tx| tx.nothing_to_send(referral)).await)?;
    }
    Ok(())
}

/// A referral may leave: now, if it is the first of this look, and DTP is well and has a place free; else when its errand is lent.
async fn leave(
    at: &mut Attempt,
    case: &Case,
    service: Personal<Document>,
    found: Found,
    basis: Basis,
    leaving: &mut Option<Leaving>,
) -> Step<()> {
    let programme = at.programme.clone();
    let sending = at.state(programme.spool.read(|reading| reading.sending(found.referral)))?;
    if sending.taken || sending.newest.as_ref().is_some_and(|newest| newest.settled.is_none()) {
        return Ok(());
    }
    let message = match message(at, case, &service).await {
        Ok(message) => message,
        Err(Verdict::Refused { reason, gaps, .. }) => {
            return refuse(at, found, reason, gaps).await;
        }
        Err(verdict) => return Err(verdict),
    };
    let well = programme.health()[System::Dtp as usize].leave(programme.clock.monotonic()) == Leave::All;
    let place = if well && leaving.is_none() { programme.place_at_dtp() } else { None };
    let basis = place.as_ref().map(|_| basis);
    let owed = at.state(programme.spool.write(move |tx| tx.owe_referral(&found, basis)).await)?;
    let service_type = text(service.reveal(), "service_type").map(str::to_owned);
    if let Some((delivery, place)) = owed.zip(place) {
        let lease = Lease { programme, id: delivery.id, place: Some(place) };
        *leaving = Some(Leaving { delivery, message, service_type, lease });
    }
    Ok(())
}

/// A referral that cannot be mapped: a person must know, and DTP is told nothing.
async fn refuse(at: &Attempt, found: Found, reason: Reason, gaps: Vec<Gap>) -> Step<()> {
    let result = at.programme.spool.write(move |tx| {
        let Some(delivery) = tx.owe_referral(&found, None)? else { return Ok(()) };
        let conclusion = Conclusion::Refused { reason, gaps };
        tx.conclude(Report { delivery, conclusion, status: None, fields: Vec::new(), notes: Vec::new(), service_type: None })?;
        Ok(())
    });
    at.state(result.await)
}
