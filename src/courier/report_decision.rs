//! Tells DTP what was decided in Primero about an intervention. What is told is read at the moment of sending.

use super::attempt::{Attempt, Names, Step, Verdict};
use crate::{
    decisions::{Decided, decisions_in},
    personal::Personal,
    primero::{Trouble, text},
    reason::Reason,
};

/// Attempts the delivery.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let about = at.delivery.about.clone();
    let (Some(number), Some(key)) = (about.intervention, about.case_key) else {
        return Ok(Verdict::NotNeeded(Reason::NoLongerADecision));
    };
    let read = programme.primero.case(key, &programme.fields.decisions()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound) => return Ok(Verdict::NotNeeded(Reason::NoLongerADecision)),
        other => at.primero(Names::OneRecord, other)?,
    };
    let (decision, service) = match decisions_in(&case).remove(&number) {
        _ if !case.enabled || case.text("module_id") != Some(programme.mapping.module()) => {
            return Ok(Verdict::NotNeeded(Reason::NoLongerADecision));
        }
        None => return Ok(Verdict::NotNeeded(Reason::NoLongerADecision)),
        Some(Decided::Contradicting) => {
            let case_id = case.case_id();
            at.state(programme.spool.write(move |tx| tx.conflict(&number, case_id, key)).await)?;
            return Ok(Verdict::NotNeeded(Reason::Conflict));
        }
        Some(Decided::Once(decision, service)) => (decision, Personal::new(service.into_revealed().clone())),
    };
    let (known, heard) = at.state(
        programme.spool.read(|reading| Ok((reading.known_intervention(&number)?, reading.is_heard_from(&number, key)?))),
    )?;
    if !heard {
        let case_id = case.case_id();
        at.state(programme.spool.write(move |tx| tx.conflict(&number, case_id, key)).await)?;
        return Ok(Verdict::NotNeeded(Reason::Conflict));
    }
    if known.is_some_and(|known| known.last_status == Some(decision)) {
        return Ok(Verdict::NotNeeded(Reason::AlreadyReported));
    }
    let message = programme
        .mapping
        .decision_report(&case.document, &service, decision)
        .map_err(|gaps| Verdict::unmappable(Some(Reason::CannotBeMapped), gaps))?;
    at.delivery.about.decision = Some(decision);
    at.service_type = text(service.reveal(), &programme.mapping.service_fields().service_type).map(str::to_owned);
    at.dtp(programme.dtp.send_decision(message.reveal()).await)?;
    Ok(Verdict::Delivered)
}
