//! Tells DTP whether an intervention was delivered. The message is made afresh from references and reason codes.

use super::attempt::{Attempt, Step, Verdict};
use crate::{reason::Reason, referral::CaseId};

/// Attempts the delivery.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let about = &at.delivery.about;
    let number = about.intervention.as_ref().ok_or(Verdict::Stopped(Reason::ParcelMissing))?;
    let case_id = about.case_id.as_ref().map(CaseId::as_str);
    let message = if at.delivery.gaps.is_empty() {
        let intake_user = &programme.settings.primero.intake_user;
        programme.mapping.delivered_feedback(number, case_id.unwrap_or_default(), intake_user)
    } else {
        programme.mapping.failed_feedback(number, case_id, &at.delivery.gaps)
    };
    at.dtp(programme.dtp.send_decision(&message).await)?;
    Ok(Verdict::Delivered)
}
