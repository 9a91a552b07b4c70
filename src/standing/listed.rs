//! An entry of the operator's list in words: what it is called, what happened, what to do.

use crate::{
    reason::Reason,
    referral::{DeliveryId, Errand, State},
    spool::{
        delivery::Delivery,
        list::{Entry, Kind},
    },
    words::words,
};

/// An entry in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it is called; small letters, no full stop.
    pub title: &'static str,
    /// What happened.
    pub happened: &'static str,
    /// What to do, with the number of the entry in its commands.
    pub to_do: String,
}

/// An entry in words.
#[must_use]
pub fn listed(entry: &Entry) -> Words {
    // A kind without a reason of its own is called like one.
    let reason = entry.reason.or_else(|| Reason::from_code(entry.kind.code())).unwrap_or(Reason::Late);
    let words = words(reason);
    let own = stopped_by_a_person(entry).or_else(|| not_read(entry)).or_else(|| may_have_left(reason, entry.may_have_acted));
    let (happened, to_do) = own.unwrap_or((words.happened, words.to_do));
    Words { title: title(entry), happened, to_do: for_number(to_do, entry.id) }
}

/// Why a delivery stands where it stands: what happened, and what to do with its number in the commands.
#[must_use]
pub fn why(delivery: &Delivery) -> Option<(&'static str, String)> {
    let reason = delivery.reason?;
    let words = words(reason);
    let (happened, to_do) = may_have_left(reason, delivery.may_have_acted).unwrap_or((words.happened, words.to_do));
    Some((happened, for_number(to_do, delivery.id)))
}

/// Whether something of a delivery may stand on the other side without our having seen it.
#[must_use]
pub const fn may_stand(delivery: &Delivery) -> bool {
    match delivery.state {
        State::Waiting | State::Held | State::Withheld | State::Stopped | State::NotNeeded => delivery.may_have_acted,
        State::Delivered | State::Refused | State::Superseded => false,
    }
}

/// What a person stopped although it may stand on the other side: trying again is no way out any more.
fn stopped_by_a_person(entry: &Entry) -> Option<(&'static str, &'static str)> {
    if (entry.kind, entry.reason) != (Kind::Stopped, Some(Reason::Unconfirmed)) {
        return None;
    }
    Some(if entry.errand == Some(Errand::SendReferral) {
        (
            "It was stopped here, but it may have reached UNHCR before.",
            "Ask UNHCR whether the referral arrived, and tell them that it is stopped. Then `referrald deliveries resolve ID --by ROLE`.",
        )
    } else {
        (
            "It was stopped here, but something of it stands, or may stand, in Primero. UNHCR was told nothing.",
            "Look at the case in Primero and tell UNHCR what stands there. Then `referrald deliveries resolve ID --by ROLE`.",
        )
    })
}

/// What was not sent in time although it may have left: UNHCR may have it all the same.
fn may_have_left(reason: Reason, may_have_acted: bool) -> Option<(&'static str, &'static str)> {
    (reason == Reason::NotSentInTime && may_have_acted).then_some((
        "The referral could not be sent to UNHCR in the agreed time, as far as we know: it may have left, because an answer was lost.",
        "Ask UNHCR first whether it arrived. If not, use the manual procedure, or send it after all: `referrald deliveries retry ID`.",
    ))
}

/// Readings that do not come to their end: the reason says what stood in the way, and this what that means.
const fn not_read(entry: &Entry) -> Option<(&'static str, &'static str)> {
    let happened = match entry.kind {
        Kind::ReferralsNotRead => {
            "Changed cases could not all be read for too long: referrals to UNHCR may wait unseen in Primero."
        }
        Kind::DecisionsNotRead => {
            "Changed cases could not all be read for too long: decisions on requests of UNHCR may wait unseen in Primero."
        }
        Kind::Held
        | Kind::Late
        | Kind::Refused
        | Kind::Withheld
        | Kind::Stopped
        | Kind::ChangedAfterDelivery
        | Kind::NumberAlreadyDelivered
        | Kind::WithdrawnAfterSend
        | Kind::WithdrawnByUnhcr
        | Kind::Conflict
        | Kind::Differs
        | Kind::NotStored
        | Kind::NotTaken
        | Kind::InboxRefused
        | Kind::ToPrimeroSilent
        | Kind::ToDtpSilent
        | Kind::Undecided
        | Kind::NearMiss
        | Kind::DiskNearlyFull => return None,
    };
    let to_do = "`referrald check` says what is wrong with Primero or our role there; with `not_as_promised`, ask the Primero \
                 administrator for records that are damaged. It leaves by itself when a reading comes to its end. Phone if a \
                 child cannot wait.";
    Some((happened, to_do))
}

fn title(entry: &Entry) -> &'static str {
    let flow2 = entry.errand == Some(Errand::SendReferral);
    match entry.kind {
        Kind::Held if flow2 => "not sent to UNHCR: waits for a person",
        Kind::Held => "waits for a person",
        Kind::Late if flow2 => "not sent to UNHCR: late",
        Kind::Late => "late",
        Kind::Refused if flow2 => "not sent to UNHCR: refused",
        Kind::Refused => "refused",
        Kind::Withheld => "not sent to UNHCR: withheld",
        Kind::Stopped if flow2 => "not sent to UNHCR: given up",
        Kind::Stopped => "given up",
        Kind::ChangedAfterDelivery => "changed after delivery",
        Kind::NumberAlreadyDelivered => "number delivered before for another person",
        Kind::WithdrawnAfterSend => "withdrawn after it was sent: UNHCR has NOT been told by this system",
        Kind::WithdrawnByUnhcr => "withdrawn by UNHCR: revoke, note and close in CPIMS+",
        Kind::Conflict => "two sides say different things",
        Kind::Differs => "differs from what UNHCR sent",
        Kind::NotStored => "not stored in Primero",
        Kind::NotTaken => "items of a post not taken",
        Kind::InboxRefused => "posts refused",
        Kind::ReferralsNotRead => "referrals in Primero not read",
        Kind::DecisionsNotRead => "decisions in Primero not read",
        Kind::ToPrimeroSilent => "referrals from UNHCR: nothing taken or told for long",
        Kind::ToDtpSilent => "referrals to UNHCR: nothing taken or told for long",
        Kind::Undecided if flow2 => "sent to UNHCR and not decided",
        Kind::Undecided => "referral from UNHCR not decided",
        Kind::NearMiss => "a service for UNHCR without a referral",
        Kind::DiskNearlyFull => "the disk is nearly full",
    }
}

/// Puts a number where a sentence says `ID`.
fn for_number(text: &str, id: DeliveryId) -> String {
    text.replace(" ID", &format!(" {id}"))
}
