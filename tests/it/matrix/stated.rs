//! What must come of each fault at each call. Written from the rules of the exchange, not from what the program does:
//! first what an answer means where it is heard, then what follows from that for the errand.
//!
//! It runs nothing.

use super::{
    calls::{Call, Errand, Kind, Story},
    cell::{Lasting, Passing},
    faults::Broken,
};

/// What a fault means for the attempt that meets it. The text is the code of the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing: the attempt goes on as if it had not been.
    Harmless,
    /// They are unwell.
    Later(&'static str),
    /// We are wrong: the whole system stops.
    Blocked(&'static str),
    /// A person must decide.
    Held(&'static str),
    /// The message is wrong for good.
    Refused(&'static str),
    /// The case asks nothing of us, as far as Primero says.
    NothingToDo,
    /// There is no decision any more.
    NotNeeded(&'static str),
    /// The referral, which may have left, is out of our sight.
    OutOfSight,
    /// Likewise, but only because Primero does not let us see the case now: a person must decide.
    HeldOutOfSight,
}
use Meaning::{Blocked, Harmless, Held, HeldOutOfSight, Later, NotNeeded, NothingToDo, OutOfSight, Refused};

/// The request was carried out, although no answer said so.
const fn carried_out(broken: Broken) -> bool {
    matches!(broken, Broken::ResetAfter | Broken::TimeoutAfter | Broken::Drip | Broken::Truncated)
}

/// Whoever asked cannot know whether the request was carried out. 425 and 429 say themselves that it was not, and a redirect is
/// sent in its place.
const fn unclear(broken: Broken) -> bool {
    use Broken as B;
    carried_out(broken)
        || matches!(
            broken,
            B::ResetBefore
                | B::TimeoutBefore
                | B::Html
                | B::Empty
                | B::WrongJson
                | B::Huge
                | B::RequestTimeout
                | B::ServerError
                | B::BadGateway
                | B::UnavailableWait
        )
}

/// What an answer means where the call has no word of its own for it.
const fn by_kind(kind: Kind, broken: Broken) -> Meaning {
    use Broken as B;
    match broken {
        B::Refused => Later("unreachable"),
        B::ResetBefore | B::ResetAfter => Later("connection_lost"),
        B::TimeoutBefore | B::TimeoutAfter | B::Drip => Later("timed_out"),
        // DTP promises a success and nothing of its body; an answer for people, or none that ends, is no success.
        B::Empty | B::WrongJson if matches!(kind, Kind::Post) => Harmless,
        B::Truncated | B::Html | B::Empty | B::WrongJson | B::Huge | B::Moved => Later("not_as_promised"),
        B::RequestTimeout | B::TooMany | B::TooManyWait => Later("throttled"),
        B::ServerError => Later("server_error"),
        B::BadGateway | B::UnavailableWait => Later("gateway_error"),
        B::Unauthorized => Blocked("unauthorized"),
        // Of one record a refusal is about that record; of everything else it is about us.
        B::ForbiddenHere | B::ForbiddenEverywhere => match kind {
            Kind::Record | Kind::Write => Held("out_of_scope"),
            Kind::List | Kind::Post => Blocked("forbidden"),
        },
        B::NoSuchPage => Blocked("wrong_url"),
        // A list is always there.
        B::NotFound => match kind {
            Kind::List | Kind::Post => Blocked("wrong_url"),
            Kind::Record | Kind::Write => Later("case_changed"),
        },
        B::BadRequest => match kind {
            Kind::Post => Refused("refused_by_dtp"),
            Kind::Write => Refused("values_refused"),
            Kind::List | Kind::Record => Later("not_as_promised"),
        },
        B::Conflict => match kind {
            Kind::Post => Refused("refused_by_dtp"),
            Kind::List | Kind::Record | Kind::Write => Later("not_as_promised"),
        },
        B::Invalid => match kind {
            Kind::Post => Refused("refused_by_dtp"),
            Kind::List | Kind::Record => Later("not_as_promised"),
            // It names nothing, so nobody knows whose value it is.
            Kind::Write => Held("table_value_refused"),
        },
        B::InvalidOurs => Blocked("constant_refused"),
        B::InvalidTheirs => Refused("values_refused"),
        B::InvalidTable => Held("table_value_refused"),
        B::TlsRefused | B::CertificateUnknown | B::CertificateExpired | B::CertificateForAnother => {
            Blocked("certificate_refused")
        }
    }
}

/// What a fault means at a call.
fn meaning(call: Call, broken: Broken) -> Meaning {
    use Broken as B;
    use Call as C;
    match (call, broken) {
        // The id was made by us: after an unclear answer it is read, and if it is there all is well.
        (C::Create, broken) if carried_out(broken) => Harmless,
        // No case has our id, so it is the case id that is taken.
        (C::Create, B::Conflict) => Held("case_out_of_reach"),
        (C::Create, B::ForbiddenHere | B::ForbiddenEverywhere) => Blocked("forbidden"),
        (C::Create, B::NotFound) => Blocked("wrong_url"),
        (C::ReadMade, B::ForbiddenHere | B::ForbiddenEverywhere) => Held("case_out_of_reach"),
        // It was never made: what went wrong before is what is told.
        (C::ReadMade, B::NotFound) => Later("connection_lost"),
        // Whether an empty number may be filled in is a nicety: what Primero does not tell us of it stops nothing.
        (C::Role | C::Forms, B::ForbiddenHere | B::NotFound | B::NoSuchPage | B::BadRequest | B::Conflict | B::Invalid) => {
            Harmless
        }
        // The call after it tells what stops everything.
        (C::Role | C::Forms, B::ForbiddenEverywhere) => Held("out_of_scope"),
        // The case vanished under our hands: it is matched once more.
        (C::ReadAgain | C::AddService | C::ConfirmMade | C::ConfirmAdded, B::NotFound) => Harmless,
        // What is not there asks nothing of us.
        (C::LookDecided | C::LookReferred, B::NotFound) => NothingToDo,
        (C::ReadDecided, B::NotFound) => NotNeeded("no_longer_a_decision"),
        (C::ReadToSend | C::WatchCase, B::NotFound) => OutOfSight,
        (C::WatchCase, B::ForbiddenHere | B::ForbiddenEverywhere) => OutOfSight,
        (C::ReadToSend, B::ForbiddenHere | B::ForbiddenEverywhere) => HeldOutOfSight,
        // A decision is never refused.
        (C::Accept | C::Reject, B::NotFound) => Held("no_such_referral"),
        (C::Accept | C::Reject, B::BadRequest | B::Invalid) => Held("decision_refused"),
        _ => by_kind(call.kind(), broken),
    }
}

/// What the activity log tells before the call's own errand has an end.
fn before(call: Call) -> Vec<&'static str> {
    match call.errand() {
        Errand::Open | Errand::Record => vec!["received"],
        Errand::Feedback => vec!["received", "delivered"],
        Errand::Walk | Errand::LookForDecisions | Errand::Report | Errand::LookForReferrals | Errand::Send => Vec::new(),
    }
}

/// What it tells when all has gone well.
fn after(call: Call) -> Vec<&'static str> {
    match (call.errand(), call.story()) {
        (Errand::Open, _) => vec!["delivered", "feedback_sent"],
        (Errand::Feedback, _) => vec!["feedback_sent"],
        (_, Story::Watched) => Vec::new(),
        _ => vec!["delivered"],
    }
}

/// What Primero holds before the story, and after it.
fn primero(story: Story) -> [&'static str; 2] {
    match story {
        Story::NewChild | Story::CaseNamed | Story::UnclearCreation => ["nothing", "one case, one service"],
        Story::KnownChild | Story::NumberLacking => ["the case as it was", "one case, one service"],
        Story::Decided | Story::Referred | Story::ReferredLater | Story::Watched => ["unchanged", "unchanged"],
        Story::Accepted => ["in_progress", "accepted"],
        Story::Rejected | Story::RejectedUnseen => ["in_progress", "rejected"],
    }
}

/// What DTP holds when all has gone well.
fn dtp(story: Story) -> &'static str {
    match story {
        Story::NewChild | Story::CaseNamed | Story::UnclearCreation | Story::KnownChild | Story::NumberLacking => {
            "Pending Acknowledgement"
        }
        Story::Decided => "acknowledged",
        Story::Referred | Story::ReferredLater => "the referral",
        Story::Watched | Story::Accepted | Story::Rejected | Story::RejectedUnseen => "nothing",
    }
}

/// What comes of a fault that does not last.
pub fn passing(call: Call, broken: Broken) -> Passing {
    let meaning = meaning(call, broken);
    let is_walk = call.errand() == Errand::Walk;
    let [stood, stands] = primero(call.story());
    let told = |code: &str, reason: &str| vec![format!("{code} {reason}")];
    // What the attempt told; whether it ends well after all; how often it was tried; what a person finds on the list.
    let (met, well, attempts, list) = match meaning {
        Harmless => (Vec::new(), true, 1, Vec::new()),
        Later(reason) if is_walk => (told("poll_failed", reason), true, 2, Vec::new()),
        Later(reason) => (told("later", reason), true, 2, Vec::new()),
        Blocked(reason) => {
            let mut met = vec![format!("blocked {reason}"), "unblocked".to_owned()];
            if is_walk {
                met.push(format!("poll_failed {reason}"));
            }
            (met, true, 2, Vec::new())
        }
        Held(reason) => (told("held", reason), true, 2, vec![format!("held {reason} (leaves by itself)")]),
        Refused(reason) if call.errand() == Errand::Open => {
            (vec![format!("refused {reason}"), "feedback_sent".to_owned()], false, 1, Vec::new())
        }
        Refused(reason) => (told("refused", reason), false, 1, told("refused", reason)),
        NothingToDo => (Vec::new(), false, 1, Vec::new()),
        NotNeeded(reason) => (told("not_needed", reason), false, 1, Vec::new()),
        OutOfSight if call == Call::WatchCase => {
            (told("withdrawn_after_send", "out_of_sight"), false, 1, told("withdrawn_after_send", "out_of_sight"))
        }
        OutOfSight => {
            let both = ["withdrawn_after_send out_of_sight", "withheld out_of_sight"].map(str::to_owned);
            (vec![both[1].clone(), both[0].clone()], false, 1, both.to_vec())
        }
        HeldOutOfSight => {
            let met = ["held out_of_scope", "withdrawn_after_send out_of_sight"].map(str::to_owned);
            let list = ["held out_of_scope (leaves by itself)", "withdrawn_after_send out_of_sight"].map(str::to_owned);
            (met.to_vec(), true, 2, list.to_vec())
        }
    };
    let refused_by_primero = !well && call.errand() == Errand::Open;
    let twice = well && call.kind() == Kind::Post && carried_out(broken);
    let goes = |texts: Vec<&'static str>| texts.into_iter().map(str::to_owned);
    let ends: Vec<String> = if well { goes(after(call)).collect() } else { Vec::new() };
    let activity: Vec<String> = goes(before(call)).chain(met).chain(ends).collect();
    Passing {
        outcome: match meaning {
            Harmless if after(call).is_empty() => "nothing to do".to_owned(),
            Harmless => "delivered".to_owned(),
            Later(reason) => format!("later {reason}"),
            Blocked(reason) => format!("blocked {reason}"),
            Held(reason) => format!("held {reason}"),
            Refused(reason) => format!("refused {reason}"),
            NothingToDo => "nothing to do".to_owned(),
            NotNeeded(reason) => format!("not_needed {reason}"),
            OutOfSight if call == Call::WatchCase => "withdrawn_after_send out_of_sight".to_owned(),
            OutOfSight => "withheld out_of_sight".to_owned(),
            HeldOutOfSight => "held out_of_scope".to_owned(),
        },
        again: match (meaning, broken) {
            _ if is_walk => "with the next walk",
            (Later(_), Broken::TooManyWait) => "in 10 min",
            (Later(_), Broken::UnavailableWait) => "in 1 min",
            (Later(_), _) => "in seconds",
            (Blocked(_), _) => "probe in 10 min",
            (Held(_) | HeldOutOfSight, _) => "in 30 min",
            (Harmless | Refused(_) | NothingToDo | NotNeeded(_) | OutOfSight, _) => "–",
        }
        .to_owned(),
        attempts,
        primero: if well || call.errand() == Errand::Feedback { stands } else { stood }.to_owned(),
        dtp: match (well, twice) {
            (true, true) => format!("{}, twice", dtp(call.story())),
            (true, false) => dtp(call.story()).to_owned(),
            (false, _) if refused_by_primero => "Delivery Fail".to_owned(),
            (false, _) => "nothing".to_owned(),
        },
        activity,
        list,
    }
}

/// What four days of a fault come to.
pub fn lasting(call: Call, broken: Broken) -> Lasting {
    let meaning = that_lasts(call, broken);
    let [stood, stands] = primero(call.story());
    let ends = |end: String, primero: &str, dtp: &str, list: &[&str]| Lasting {
        end,
        primero: primero.to_owned(),
        dtp: dtp.to_owned(),
        list: list.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    let well = || ends("delivered".to_owned(), stands, dtp(call.story()), &[]);
    match call.errand() {
        Errand::Open => opening(call, broken, meaning),
        Errand::Feedback | Errand::Report => match meaning {
            Harmless => well(),
            Refused(reason) => ends(format!("refused {reason}"), stands, "nothing", &["refused refused_by_dtp"]),
            NotNeeded(reason) => ends(format!("not_needed {reason}"), stands, "nothing", &[]),
            Held(reason) => Lasting {
                list: vec![format!("held {reason}"), late(call, broken)],
                ..ends(format!("held {reason}"), stands, "nothing", &[])
            },
            Later(reason) | Blocked(reason) => {
                let repeated = format!("{}, again and again", dtp(call.story()));
                let dtp = if call.kind() == Kind::Post && carried_out(broken) { repeated.as_str() } else { "nothing" };
                ends(format!("waiting {reason}"), stands, dtp, &[&late(call, broken)])
            }
            NothingToDo | OutOfSight | HeldOutOfSight => unreachable!("nobody looks for a referral"),
        },
        // It is given up after 72 hours, whatever stood in the way; a person uses the manual procedure.
        Errand::Send => match meaning {
            Harmless => well(),
            Refused(reason) => ends(format!("refused {reason}"), stood, "nothing", &["refused refused_by_dtp"]),
            OutOfSight => ends(
                "withheld out_of_sight".to_owned(),
                stood,
                "nothing",
                &["withdrawn_after_send out_of_sight", "withheld out_of_sight"],
            ),
            HeldOutOfSight => {
                let list = ["stopped not_sent_in_time", "withdrawn_after_send out_of_sight"];
                ends("stopped not_sent_in_time".to_owned(), stood, "nothing", &list)
            }
            Later(_) | Blocked(_) | Held(_) => {
                let repeated = call.kind() == Kind::Post && carried_out(broken);
                let dtp = if repeated { "the referral, again and again" } else { "nothing" };
                ends("stopped not_sent_in_time".to_owned(), stood, dtp, &["stopped not_sent_in_time"])
            }
            NothingToDo | NotNeeded(_) => unreachable!("it is there"),
        },
        // A decision waits until a person helps, at most for the seven days that its content is kept.
        Errand::Record => match meaning {
            Harmless => well(),
            Later(_) if carried_out(broken) && call.kind() == Kind::Write => well(),
            Later(reason) | Blocked(reason) => {
                let primero = if call == Call::VerifyRejection { stands } else { stood };
                ends(format!("waiting {reason}"), primero, "nothing", &[&late(call, broken)])
            }
            Held(reason) => {
                let primero = if call == Call::VerifyRejection { stands } else { stood };
                Lasting {
                    list: vec![format!("held {reason}"), late(call, broken)],
                    ..ends(format!("held {reason}"), primero, "nothing", &[])
                }
            }
            Refused(_) | NothingToDo | NotNeeded(_) | OutOfSight | HeldOutOfSight => unreachable!("a decision is never refused"),
        },
        Errand::LookForDecisions | Errand::LookForReferrals => match meaning {
            Harmless | NothingToDo => ends("done".to_owned(), stood, "nothing", &[]),
            OutOfSight => ends("done".to_owned(), stood, "nothing", &["withdrawn_after_send out_of_sight"]),
            Later(reason) | Blocked(reason) => ends(format!("waiting {reason}"), stood, "nothing", &[&late(call, broken)]),
            Held(reason) => Lasting {
                list: vec![format!("held {reason}"), late(call, broken)],
                ..ends(format!("held {reason}"), stood, "nothing", &[])
            },
            Refused(_) | NotNeeded(_) | HeldOutOfSight => unreachable!("a look refuses nothing"),
        },
        Errand::Walk => match meaning {
            Later(reason) | Blocked(reason) => {
                let walk = if call == Call::WalkDecisions { "decisions" } else { "referrals" };
                ends(format!("poll_failed {reason}"), stood, "nothing", &[&format!("{walk}_not_read {reason}")])
            }
            _ => unreachable!("a walk only reads a list"),
        },
    }
}

/// What a fault means that lasts. Once everything is forbidden, each new attempt fails at its first call; but what is held stays
/// held while a system is blocked.
fn that_lasts(call: Call, broken: Broken) -> Meaning {
    match (call, broken) {
        (Call::WatchCase | Call::WatchReferrals, Broken::ForbiddenEverywhere) => OutOfSight,
        (Call::LookOwner, Broken::ForbiddenEverywhere) => Held("out_of_scope"),
        (Call::ReferralsToSend | Call::OwnerToSend, Broken::ForbiddenEverywhere) => HeldOutOfSight,
        _ => meaning(call, broken),
    }
}

/// What is not done after four hours is late, by the reason that stood in the way then.
fn late(call: Call, broken: Broken) -> String {
    use Broken as B;
    let reason = match (call, broken) {
        // Matched again and again, and gone each time.
        (Call::ReadMade | Call::ConfirmMade | Call::ConfirmAdded, B::NotFound) => "unconfirmed",
        // By then the case is found by its number, and it is the confirmation that is forbidden.
        (Call::ReadMade, B::ForbiddenHere) => "out_of_scope",
        _ => match that_lasts(call, broken) {
            Later(reason) | Blocked(reason) | Held(reason) => reason,
            Harmless | Refused(_) | NothingToDo | NotNeeded(_) | OutOfSight | HeldOutOfSight => "late",
        },
    };
    format!("late {reason}")
}

/// An intervention is answered after 72 hours, or 24 hours after it was held; UNHCR hears that it failed only if nothing of ours
/// stands, or may stand, in Primero.
fn opening(call: Call, broken: Broken, meaning: Meaning) -> Lasting {
    use Call as C;
    let [stood, stands] = primero(call.story());
    let wrote = matches!(call, C::ReadMade | C::ConfirmMade | C::ConfirmAdded);
    let may_have_written = matches!(call, C::Create | C::AddService) && unclear(broken);
    let failed = |reason: &str| Lasting {
        end: format!("refused {reason}"),
        primero: stood.to_owned(),
        dtp: "Delivery Fail".to_owned(),
        list: Vec::new(),
    };
    let delivered = Lasting {
        end: "delivered".to_owned(),
        primero: stands.to_owned(),
        dtp: "Pending Acknowledgement".to_owned(),
        list: Vec::new(),
    };
    let unconfirmed = Lasting {
        end: "held unconfirmed".to_owned(),
        primero: if wrote { stands } else { stood }.to_owned(),
        dtp: "nothing".to_owned(),
        list: vec!["held unconfirmed".to_owned(), late(call, broken)],
    };
    match meaning {
        _ if wrote => unconfirmed,
        // Carried out: the next attempt finds it.
        _ if matches!(call, C::Create | C::AddService) && carried_out(broken) => delivered,
        _ if may_have_written => unconfirmed,
        // A case that vanishes each time when it is read or written is never written.
        Harmless if matches!(call, C::ReadAgain | C::AddService) => failed("not_delivered_in_time"),
        Harmless => delivered,
        Later(_) | Blocked(_) => failed("not_delivered_in_time"),
        Held(_) => failed("not_matched_safely"),
        Refused(reason) => failed(reason),
        NothingToDo | NotNeeded(_) | OutOfSight | HeldOutOfSight => unreachable!("an intervention is delivered, refused or held"),
    }
}
