//! Records UNHCR's decision on a referral in Primero. A decision is never refused: what does not fit is held for a person.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    attempt::{Attempt, Names, Step, Verdict},
    send_referral::service_named,
};
use crate::{
    mapping::ReferralDecision,
    personal::Personal,
    primero::{Case, Document, Filter, Referral, ReferralStatus, Referrals, Sought, Trouble, text},
    reason::Reason,
    referral::{CaseKey, Decision, OutgoingId, ReferralId},
    spool::settle::Note,
};

/// What is read of the case: whether it is meant, and the kind of the service, for the counts.
const FIELDS: [&str; 2] = ["case_id", "services_section"];

/// Attempts the delivery.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let item = item(at)?;
    let Some(outgoing) = at.delivery.about.outgoing.clone() else { return Err(Verdict::held(Reason::NoSuchReferral)) };
    let Some(decision) = programme.mapping.referral_decision(item.reveal()) else {
        return Err(Verdict::held(Reason::UnknownDecisionCode));
    };
    at.delivery.about.decision = Some(decision.decision);
    let case = case_of(at, &outgoing).await?;
    let key = case.key;
    let referrals = programme.primero.referrals(key).await;
    let referrals = at.primero(Names::OneRecord, referrals)?;
    let referral = choose(at, &outgoing, &referrals, item.reveal())?.clone();
    at.service_type = service_named(&case, &referral).and_then(|service| text(service, "service_type")).map(str::to_owned);
    match (referral.status, decision.decision) {
        // A repeat, or our own write whose answer was lost.
        (ReferralStatus::Accepted | ReferralStatus::Done, Decision::Accepted)
        | (ReferralStatus::Rejected, Decision::Rejected) => {
            at.delivery.about.case_key = Some(key);
            at.delivery.about.referral = Some(referral.id);
            Ok(Verdict::Delivered)
        }
        (ReferralStatus::InProgress, _) => {
            at.delivery.about.case_key = Some(key);
            at.delivery.about.referral = Some(referral.id);
            let chosen = at.delivery.clone();
            at.state(programme.spool.write(move |tx| tx.store_references(&chosen)).await)?;
            record(at, key, referral.id, &decision).await
        }
        (ReferralStatus::Accepted | ReferralStatus::Rejected | ReferralStatus::Done | ReferralStatus::Revoked, _) => {
            Ok(decided_before(at))
        }
    }
}

fn item(at: &Attempt) -> Step<Personal<Document>> {
    let parcel = at.state(at.programme.spool.read(|reading| reading.parcel(&at.delivery)))?;
    let parcel = parcel.ok_or(Verdict::Stopped(Reason::ParcelMissing))?;
    serde_json::from_slice(parcel.reveal()).map(Personal::new).map_err(|_| Verdict::Stopped(Reason::ParcelMissing))
}

/// The case that the id names.
///
/// Primero compares a `case_id` to the letter, and the id that we are given is in lower case. Primero makes its ids in lower
/// case, but whoever brought a case from elsewhere may have given it upper case; such a one is searched regardless of case, and
/// only an id that is the same but for that is taken. What is no UUID is not searched so: it could be a part of many others.
async fn case_of(at: &mut Attempt, outgoing: &OutgoingId) -> Step<Case> {
    let programme = at.programme.clone();
    let case_id = outgoing.case().as_str();
    let mut found = Vec::new();
    for module in &programme.settings.referrals.modules {
        let filter = Filter { equals: ("case_id", case_id), module };
        let cases = programme.primero.find(&filter, &FIELDS).await;
        found.extend(at.primero(Names::Nothing, cases)?);
    }
    if found.is_empty() && Uuid::try_parse(case_id).is_ok() {
        for module in &programme.settings.referrals.modules {
            let is_meant = |case: &Case| case.text("case_id").is_some_and(|id| id.eq_ignore_ascii_case(case_id));
            let cases = programme.primero.query(case_id, module, &FIELDS, is_meant).await;
            found.extend(at.primero(Names::Nothing, cases)?.ok_or(Verdict::later(Reason::NotAsPromised))?);
        }
    }
    let case = found.pop().ok_or(Verdict::held(Reason::NoSuchReferral))?;
    if found.is_empty() { Ok(case) } else { Err(Verdict::held(Reason::SeveralReferralsFit)) }
}

/// Which referral is meant: the one chosen before; the one that we sent last under this id; else the newest in progress.
/// While a row cannot be read that may be the one, nobody knows.
fn choose<'a>(at: &Attempt, outgoing: &OutgoingId, referrals: &'a Referrals, item: &Document) -> Step<&'a Referral> {
    if let Some(chosen) = at.delivery.about.referral {
        return find(referrals, chosen);
    }
    if referrals.may_hide(outgoing) {
        return Err(Verdict::later(Reason::NotAsPromised));
    }
    let fits = |referral: &&Referral| referral.service_record_id.as_deref().is_some_and(|id| outgoing.names_service(id));
    let named: Vec<&Referral> = referrals.readable().iter().filter(fits).collect();
    if named.iter().any(|referral| referral.service_record_id != named[0].service_record_id) {
        return Err(Verdict::held(Reason::SeveralReferralsFit));
    }
    let ids: Vec<ReferralId> = named.iter().map(|referral| referral.id).collect();
    let sent = at.state(at.programme.spool.read(|reading| reading.sent_under(outgoing, &ids)))?;
    let Some(last) = sent.last() else {
        let newest = named
            .into_iter()
            .filter(|referral| referral.status == ReferralStatus::InProgress)
            .max_by_key(|referral| referral.created_at);
        return newest.ok_or(Verdict::held(Reason::NoSuchReferral));
    };
    // Of one whose answer was lost nobody knows when it was taken, so no date can be later than that.
    let later = |reviewed| last.taken.is_some_and(|taken| reviewed > taken);
    if sent.len() > 1 && !review_date(item).is_some_and(later) {
        return Err(Verdict::held(Reason::SentTwiceUnderThisId));
    }
    last.referral.map_or(Err(Verdict::held(Reason::NoSuchReferral)), |id| find(referrals, id))
}

fn find(referrals: &Referrals, id: ReferralId) -> Step<&Referral> {
    match referrals.find(id) {
        Sought::Readable(referral) => Ok(referral),
        Sought::Unreadable => Err(Verdict::later(Reason::NotAsPromised)),
        Sought::Absent => Err(Verdict::held(Reason::NoSuchReferral)),
    }
}

/// `progres_reviewdate`; without a zone it is UTC.
fn review_date(item: &Document) -> Option<DateTime<Utc>> {
    let text = item.get("progres_reviewdate").and_then(Value::as_str)?.trim();
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| text.parse::<NaiveDateTime>().map(|time| time.and_utc()))
        .ok()
}

/// Writes the decision. Only an answer with our status counts.
async fn record(at: &mut Attempt, key: CaseKey, id: ReferralId, decision: &ReferralDecision) -> Step<Verdict> {
    let programme = at.programme.clone();
    let _turn = programme.write_alone(key).await;
    let reason = decision.rejected_reason.as_ref().map(|reason| reason.reveal().as_str());
    let decided = programme.primero.decide(key, id, decision.decision, reason).await;
    at.heard_primero(Names::OneRecord, &decided);
    match decided {
        Ok(status) if is(status, decision.decision) => Ok(Verdict::Delivered),
        // Not applied, and nobody decided: UNHCR's decision must not be lost.
        Ok(ReferralStatus::InProgress) => {
            Err(Verdict::Held { reason: Reason::DecisionRefused, fields: Vec::new(), status: Some(200) })
        }
        Ok(_) => Ok(decided_before(at)),
        Err(Trouble::Invalid(fields)) => {
            if fields.iter().any(|field| field.contains("consent")) {
                at.notes.push(Note::Withdrawn(Reason::ConsentWithdrawn));
            }
            Err(Verdict::Held { reason: Reason::DecisionRefused, fields: fields.into_iter().collect(), status: Some(422) })
        }
        // After a rejection the case may be out of our sight: another read tells whether it was ours that went through.
        Err(Trouble::Forbidden) => {
            let referrals = programme.primero.referrals(key).await;
            let referrals = at.primero(Names::OneRecord, referrals)?;
            let recorded = find(&referrals, id).is_ok_and(|referral| is(referral.status, decision.decision));
            if recorded { Ok(Verdict::Delivered) } else { at.primero(Names::OneRecord, Err(Trouble::Forbidden)) }
        }
        Err(Trouble::NotFound) => Err(Verdict::held(Reason::NoSuchReferral)),
        Err(Trouble::Refused(status)) => {
            Err(Verdict::Held { reason: Reason::DecisionRefused, fields: Vec::new(), status: Some(status) })
        }
        Err(trouble) => at.primero(Names::OneRecord, Err(trouble)),
    }
}

fn is(status: ReferralStatus, decision: Decision) -> bool {
    match decision {
        Decision::Accepted => matches!(status, ReferralStatus::Accepted | ReferralStatus::Done),
        Decision::Rejected => status == ReferralStatus::Rejected,
    }
}

/// Somebody decided or revoked before: a person looks at the two.
fn decided_before(at: &mut Attempt) -> Verdict {
    at.notes.push(Note::Conflict);
    Verdict::NotNeeded(Reason::DecidedBefore)
}
