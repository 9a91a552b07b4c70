//! Sends a referral to DTP. Consent is checked at the moment of sending, on what was just read.

use super::attempt::{Attempt, Names, Step, Verdict};
use crate::{
    consent,
    mapping::ReferralSources,
    personal::Personal,
    primero::{Case, Document, Referral, ReferralStatus, Sought, Trouble, text},
    reason::Reason,
    spool::settle::Note,
};

/// Attempts the delivery from its references.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    if at.out_of_time() {
        return Ok(Verdict::Stopped(Reason::NotSentInTime));
    }
    let about = at.delivery.about.clone();
    let (Some(key), Some(id)) = (about.case_key, about.referral) else {
        return Ok(Verdict::NotNeeded(Reason::NothingToDo));
    };
    let read = programme.primero.case(key, &programme.fields.referrals()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound) => {
            withdrawn(at, Reason::OutOfSight);
            return Ok(Verdict::Withheld(Reason::OutOfSight));
        }
        Err(Trouble::Forbidden) => {
            withdrawn(at, Reason::OutOfSight);
            return at.primero(Names::OneRecord, Err(Trouble::Forbidden));
        }
        other => at.primero(Names::OneRecord, other)?,
    };
    let referrals = programme.primero.referrals(key).await;
    let referrals = at.primero(Names::OneRecord, referrals)?;
    let referral = match referrals.find(id) {
        Sought::Readable(referral) => referral,
        Sought::Unreadable => return Err(Verdict::later(Reason::NotAsPromised)),
        Sought::Absent => {
            withdrawn(at, Reason::OutOfSight);
            return Ok(Verdict::Withheld(Reason::OutOfSight));
        }
    };
    let service = service_named(&case, referral);
    let released = at.delivery.basis;
    match consent::may_leave(&programme.rules(), &case, service, referral, released, programme.clock.now()) {
        consent::Verdict::MayLeave(basis) => at.delivery.basis = Some(basis),
        consent::Verdict::NotOurs => return Ok(Verdict::NotNeeded(Reason::NothingToDo)),
        consent::Verdict::Withheld(reason) => {
            match reason {
                // One that was made without consent left on another ground, and consent can not be taken back from it.
                Reason::ConsentMissing if !referral.consent_overridden => withdrawn(at, Reason::ConsentWithdrawn),
                Reason::CaseDisabled => withdrawn(at, Reason::CaseDisabled),
                // Moved to another module: as if absent, and nothing tells which module.
                Reason::ModuleNotListed if case.text("module_id").is_some_and(|module| module != programme.mapping.module()) => {
                    withdrawn(at, Reason::OutOfSight);
                    return Ok(Verdict::Withheld(Reason::OutOfSight));
                }
                Reason::NotInProgress => return Ok(over(at, referral.status)),
                _ => {}
            }
            return Ok(Verdict::Withheld(reason));
        }
        consent::Verdict::Held(reason) => return Ok(Verdict::held(reason)),
    }
    let service = Personal::new(service.cloned().unwrap_or_default());
    let message = message(at, &case, &service).await?;
    at.may_have_left().await?;
    let service_type = text(service.reveal(), "service_type").map(str::to_owned);
    post(at, service_type, &message).await
}

/// The referral is not in progress any more, and we do not know that DTP took it.
fn over(at: &mut Attempt, status: ReferralStatus) -> Verdict {
    let may_have_left = at.delivery.may_have_acted;
    match status {
        ReferralStatus::Revoked if may_have_left => {
            withdrawn(at, Reason::ReferralRevoked);
            Verdict::Withheld(Reason::NotInProgress)
        }
        // Taken back by who made it, before it left.
        ReferralStatus::Revoked => Verdict::NotNeeded(Reason::NotInProgress),
        // Only our answer was lost: UNHCR has decided already.
        ReferralStatus::Accepted | ReferralStatus::Rejected | ReferralStatus::Done if may_have_left => {
            Verdict::NotNeeded(Reason::DecidedBefore)
        }
        ReferralStatus::InProgress | ReferralStatus::Accepted | ReferralStatus::Rejected | ReferralStatus::Done => {
            Verdict::Withheld(Reason::NotInProgress)
        }
    }
}

/// Posts a message whose errand is marked as one that may have left.
pub async fn post(at: &mut Attempt, service_type: Option<String>, message: &Personal<Document>) -> Step<Verdict> {
    let programme = at.programme.clone();
    at.service_type = service_type;
    at.dtp(programme.dtp.send_referral(message.reveal()).await)?;
    Ok(Verdict::Delivered)
}

/// The message, with the owner's contact or the administrator's.
pub async fn message(at: &mut Attempt, case: &Case, service: &Personal<Document>) -> Step<Personal<Document>> {
    let programme = at.programme.clone();
    let owner = match case.text("owned_by") {
        Some(name) => {
            let user = programme.primero.user(name).await;
            at.primero(Names::Nothing, user)?
        }
        None => None,
    };
    let sources = ReferralSources {
        case: &case.document,
        service,
        owner: owner.as_ref().map(|user| &user.document),
        administrator: &programme.administrator,
    };
    programme.mapping.referral(sources).map_err(|gaps| Verdict::unmappable(Some(Reason::CannotBeMapped), gaps))
}

/// The service of the case that a referral names.
pub fn service_named<'a>(case: &'a Case, referral: &Referral) -> Option<&'a Document> {
    let id = referral.service_record_id.as_deref()?;
    case.services().find(|service| text(service, "unique_id") == Some(id))
}

/// A referral that may have left already and must not: a person has to tell UNHCR.
fn withdrawn(at: &mut Attempt, reason: Reason) {
    if at.delivery.may_have_acted {
        at.notes.push(Note::Withdrawn(reason));
    }
}
