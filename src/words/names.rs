//! How things are called on a screen: flows, errands, states, systems, readings.

use crate::referral::{Errand, Flow, State, System, Walk};

/// A flow, as an arrow between two names.
#[must_use]
pub const fn flow(flow: Flow) -> &'static str {
    match flow {
        Flow::ToPrimero => "UNHCR → Primero",
        Flow::ToDtp => "Primero → UNHCR",
    }
}

/// An errand.
#[must_use]
pub const fn errand(errand: Errand) -> &'static str {
    match errand {
        Errand::OpenIntervention => "Referral from UNHCR",
        Errand::SendFeedback => "Feedback to UNHCR",
        Errand::ReportDecision => "Our decision to UNHCR",
        Errand::SendReferral => "Referral to UNHCR",
        Errand::RecordDecision => "UNHCR's decision to Primero",
        Errand::Look => "Look at a changed case",
    }
}

/// A state.
#[must_use]
pub const fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Held => "held",
        State::Delivered => "delivered",
        State::Refused => "refused",
        State::Superseded => "replaced",
        State::Withheld => "withheld",
        State::Stopped => "given up",
        State::NotNeeded => "not needed",
    }
}

/// A system.
#[must_use]
pub const fn system(system: System) -> &'static str {
    match system {
        System::Primero => "Primero (CPIMS+)",
        System::Dtp => "UNHCR (DTP)",
    }
}

/// A reading of changed cases.
#[must_use]
pub const fn walk(walk: Walk) -> &'static str {
    match walk {
        Walk::Referrals => "Referrals to UNHCR",
        Walk::Decisions => "Decisions on UNHCR's referrals",
    }
}
