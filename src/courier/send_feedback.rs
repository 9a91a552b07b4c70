//! Tells DTP whether an intervention was delivered. The message is made afresh from references and reason codes.

use super::attempt::{Attempt, Names, Step, Verdict};
use crate::{
    personal::Personal,
    primero::{Document, Trouble, text},
    reason::Reason,
    referral::{CaseId, Walk},
};

/// Attempts the delivery.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let about = &at.delivery.about;
    let number = about.intervention.as_ref().ok_or(Verdict::Stopped(Reason::ParcelMissing))?;
    let case_id = about.case_id.as_ref().map(CaseId::as_str);
    let message = if at.delivery.gaps.is_empty() {
        let intake_user = &programme.settings.primero.intake_user;
        let number = number.clone();
        let case_id = case_id.map(str::to_owned);
        let service = service(at).await?;
        programme.mapping.delivered_feedback(&number, case_id.as_deref().unwrap_or_default(), intake_user, service.as_ref())
    } else {
        programme.mapping.failed_feedback(number, case_id, &at.delivery.gaps)
    };
    at.dtp(programme.dtp.send_decision(&message).await)?;
    Ok(Verdict::Delivered)
}

/// The service as it stands in Primero now, where the mapping asks for it; a case that is not there any more, or not ours to see, tells
/// nothing.
async fn service(at: &mut Attempt) -> Step<Option<Personal<Document>>> {
    let programme = at.programme.clone();
    let Some(key) = at.delivery.about.case_key.filter(|_| programme.mapping.delivered_reads_service()) else { return Ok(None) };
    let read = programme.primero.case(key, &programme.fields.walk(Walk::Decisions)).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound | Trouble::Forbidden) => return Ok(None),
        other => at.primero(Names::OneRecord, other)?,
    };
    let field = &programme.mapping.service_fields().number;
    let number = at.delivery.about.intervention.as_ref().map(|number| number.as_str());
    let service = case.services().find(|service| number.is_some() && text(service, field) == number);
    Ok(service.cloned().map(Personal::new))
}
