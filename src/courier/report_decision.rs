//! Tells DTP what was decided in Primero about an intervention. What is told is read at the moment of sending.

use super::attempt::{Attempt, Names, Step, Verdict};
use crate::{
    decisions::{Decided, decisions_in},
    dtp,
    personal::Personal,
    primero::{Case, Trouble, text},
    reason::Reason,
    referral::{CaseKey, Decision, InterventionNumber},
    spool::settle::Note,
};

/// Attempts the delivery. From before the case is read until DTP's answer is stored, nobody knows what DTP has: whoever looks
/// meanwhile owes another report, and after a lost answer the decision that stands is told whatever was told before.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let about = at.delivery.about.clone();
    let (Some(number), Some(key)) = (about.intervention, about.case_key) else {
        return Ok(Verdict::NotNeeded(Reason::NoLongerADecision));
    };
    let may_have_told = at.delivery.may_have_acted;
    let (id, of) = (at.delivery.id, number.clone());
    let last_told = at.state(programme.spool.write(move |tx| tx.about_to_tell(id, &of)).await)?;
    at.delivery.may_have_acted = true;
    let mut told = Told { before: if may_have_told { None } else { last_told }, may_have_now: false };
    let verdict = report(at, &number, key, &mut told).await;
    at.delivery.may_have_acted = may_have_told || told.may_have_now;
    if verdict == Ok(Verdict::NotNeeded(Reason::NoLongerADecision)) && may_have_told {
        // DTP may have heard a decision that was taken back: nothing that we could tell it says so.
        at.notes.push(Note::Conflict);
    }
    if let Some(last_told) = told.before.filter(|_| !told.may_have_now) {
        at.state(programme.spool.write(move |tx| tx.nothing_told(id, &number, last_told)).await)?;
    }
    verdict
}

/// What DTP has heard of a number.
struct Told {
    /// The decision that it has, if that is known.
    before: Option<Decision>,
    /// It may have heard another one from this attempt.
    may_have_now: bool,
}

async fn report(at: &mut Attempt, number: &InterventionNumber, key: CaseKey, told: &mut Told) -> Step<Verdict> {
    let programme = at.programme.clone();
    let read = programme.primero.case(key, &programme.fields.decisions()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound) => return Ok(Verdict::NotNeeded(Reason::NoLongerADecision)),
        other => at.primero(Names::OneRecord, other)?,
    };
    let (decision, service) = match decisions_in(&case).remove(number) {
        _ if !case.enabled || case.text("module_id") != Some(programme.mapping.module()) => {
            return Ok(Verdict::NotNeeded(Reason::NoLongerADecision));
        }
        None => return Ok(Verdict::NotNeeded(Reason::NoLongerADecision)),
        Some(Decided::Contradicting) => return conflict(at, number, &case).await,
        Some(Decided::Once(decision, service)) => (decision, Personal::new(service.into_revealed().clone())),
    };
    if !at.state(programme.spool.read(|reading| reading.is_heard_from(number, key)))? {
        return conflict(at, number, &case).await;
    }
    if told.before == Some(decision) {
        return Ok(Verdict::NotNeeded(Reason::AlreadyReported));
    }
    let message = programme
        .mapping
        .decision_report(&case.document, &service, decision)
        .map_err(|gaps| Verdict::unmappable(Some(Reason::CannotBeMapped), gaps))?;
    at.delivery.about.decision = Some(decision);
    at.delivery.about.case_id = case.case_id();
    at.service_type = text(service.reveal(), &programme.mapping.service_fields().service_type).map(str::to_owned);
    let sent = programme.dtp.send_decision(message.reveal()).await;
    told.may_have_now = match &sent {
        Ok(()) => true,
        Err(dtp::Trouble::Unwell { effect_possible, .. }) => *effect_possible,
        Err(dtp::Trouble::Blocked { .. } | dtp::Trouble::Refused { .. }) => false,
    };
    at.dtp(sent)?;
    Ok(Verdict::Delivered)
}

async fn conflict(at: &mut Attempt, number: &InterventionNumber, case: &Case) -> Step<Verdict> {
    let (number, case_id, key) = (number.clone(), case.case_id(), case.key);
    at.state(at.programme.spool.write(move |tx| tx.conflict(&number, case_id, key)).await)?;
    Ok(Verdict::NotNeeded(Reason::Conflict))
}
