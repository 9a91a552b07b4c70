//! The nouns of this field and their numbers: intervention, referral, decision, feedback; errands and deliveries.
//!
//! Pure: no I/O, no clock. Identifiers are parsed once at the door and are types from then on.
//! It knows neither Primero's nor DTP's spelling of anything but the identifiers themselves.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// An identifier that does not have the form it must have. It never quotes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

macro_rules! text_identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Whether every character may stand in an identifier that we put into a filter of Primero: letters, digits, `-`, `_`, `/`, `.`.
#[must_use]
pub fn is_plain_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.'))
}

text_identifier! {
    /// `progres_interventionnumber`: 1 to 64 of `A–Z a–z 0–9 - _ / .`; the key of everything in flow 1.
    InterventionNumber
}

impl FromStr for InterventionNumber {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() <= 64 && is_plain_identifier(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("an intervention number has 1 to 64 of the characters A-Z a-z 0-9 - _ / ."))
        }
    }
}

text_identifier! {
    /// Primero's `case_id`: the long case id that both agencies know. Never the primary key, never in a path.
    CaseId
}

impl FromStr for CaseId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() <= 64 && is_plain_identifier(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("a case id has 1 to 64 of the characters A-Z a-z 0-9 - _ / ."))
        }
    }
}

/// Primero's primary key of a case (`id`), a UUID; what stands in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseKey(pub Uuid);

/// Primero's `id` of a referral (a transition), a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReferralId(pub Uuid);

macro_rules! uuid_identifier {
    ($name:ident, $says:literal) => {
        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                Uuid::try_parse(text).map(Self).map_err(|_| Malformed($says))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}
uuid_identifier!(CaseKey, "the primary key of a case is a UUID");
uuid_identifier!(ReferralId, "the id of a referral is a UUID");

/// The id under which a referral of Primero is known to DTP (`id`, later `progres_orgreferralid`):
/// `<case_id>#<last 12 characters of the service's unique_id>`, lower-cased.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutgoingId {
    case: CaseId,
    suffix: String,
}

impl OutgoingId {
    /// The id for a service of a case; `None` if the service's id has no 12 characters.
    #[must_use]
    pub fn new(case: &CaseId, service_unique_id: &str) -> Option<Self> {
        let from = service_unique_id.len().checked_sub(12)?;
        format!("{case}#{}", service_unique_id.get(from..)?).parse().ok()
    }

    /// The case that it names.
    #[must_use]
    pub const fn case(&self) -> &CaseId {
        &self.case
    }

    /// Whether a service with this `unique_id` is meant.
    #[must_use]
    pub fn names_service(&self, service_unique_id: &str) -> bool {
        service_unique_id.to_ascii_lowercase().ends_with(&self.suffix)
    }
}

impl FromStr for OutgoingId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = Malformed("an outgoing referral id is <case_id>#<12 characters>");
        let text = text.to_ascii_lowercase();
        let (case, suffix) = text.split_once('#').ok_or(malformed)?;
        if suffix.len() == 12 && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            Ok(Self { case: case.parse().map_err(|_| malformed)?, suffix: suffix.to_owned() })
        } else {
            Err(malformed)
        }
    }
}

impl fmt::Display for OutgoingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.case, self.suffix)
    }
}

/// The number of a delivery, or of an entry on the operator's list: one sequence for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub i64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives an enum without content one stable code per variant, for the log, the state and the command line.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The variant of a code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.code())
            }
        }
    };
}
pub(crate) use codes;

codes! {
    /// One of the two systems between which we stand.
    System {
        /// Primero v2 (CPIMS+).
        Primero = "primero",
        /// UNHCR's door.
        Dtp = "dtp",
    }
}

codes! {
    /// Which way a request travels; its feedback and its decisions belong to the same flow.
    Flow {
        /// UNHCR asks: DTP → Primero, with feedback and decisions back.
        ToPrimero = "to_primero",
        /// Primero asks: Primero → DTP, with decisions back.
        ToDtp = "to_dtp",
    }
}

codes! {
    /// What is to be done.
    Errand {
        /// Open an intervention in Primero: match, create or add the service, confirm.
        OpenIntervention = "open_intervention",
        /// Record UNHCR's decision on a referral in Primero.
        RecordDecision = "record_decision",
        /// Read a changed case and see what it asks of us.
        Look = "look",
        /// Send a referral to DTP.
        SendReferral = "send_referral",
        /// Tell DTP what was decided in Primero about an intervention.
        ReportDecision = "report_decision",
        /// Tell DTP whether an intervention was delivered.
        SendFeedback = "send_feedback",
    }
}

impl Errand {
    /// The system that the errand addresses.
    #[must_use]
    pub const fn addressee(self) -> System {
        match self {
            Self::OpenIntervention | Self::RecordDecision | Self::Look => System::Primero,
            Self::SendReferral | Self::ReportDecision | Self::SendFeedback => System::Dtp,
        }
    }

    /// Whether the errand cannot go on without this system.
    #[must_use]
    pub const fn needs(self, system: System) -> bool {
        match self {
            Self::OpenIntervention | Self::RecordDecision | Self::Look => matches!(system, System::Primero),
            Self::SendReferral | Self::ReportDecision => true,
            Self::SendFeedback => matches!(system, System::Dtp),
        }
    }
}

codes! {
    /// Where a delivery stands. `attempting` is `waiting` with a lease that lives in memory.
    State {
        /// Due now or later.
        Waiting = "waiting",
        /// A person must decide; looked at again every 30 minutes.
        Held = "held",
        /// Done, and seen to be done.
        Delivered = "delivered",
        /// The message was wrong for good.
        Refused = "refused",
        /// A newer message took its place.
        Superseded = "superseded",
        /// A referral that may not leave.
        Withheld = "withheld",
        /// Given up: by a person, or because its time was over.
        Stopped = "stopped",
        /// There was nothing left to do.
        NotNeeded = "not_needed",
    }
}

impl State {
    /// Whether nothing more will be done.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Waiting | Self::Held)
    }
}

codes! {
    /// Which walk through Primero's changed cases.
    Walk {
        /// Looks for referrals to UNHCR (flow 2).
        Referrals = "referrals",
        /// Looks for decisions on UNHCR's referrals (flow 1).
        Decisions = "decisions",
    }
}

impl Walk {
    /// The flow that a walk serves.
    #[must_use]
    pub const fn flow(self) -> Flow {
        match self {
            Self::Referrals => Flow::ToDtp,
            Self::Decisions => Flow::ToPrimero,
        }
    }
}

codes! {
    /// Accepted or rejected: about one referral, in either direction.
    Decision {
        /// The other side takes the referral.
        Accepted = "accepted",
        /// The other side does not take it.
        Rejected = "rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervention_numbers_have_1_to_64_plain_characters() {
        for good in ["989-22-PRTITV-0000051", "a", "A_b/c.d", &"9".repeat(64)] {
            assert_eq!(good.parse::<InterventionNumber>().unwrap().as_str(), good);
        }
        for bad in ["", " 989", "989\"", "98\\9", "é", "a b", "a#b", &"9".repeat(65)] {
            assert!(bad.parse::<InterventionNumber>().is_err(), "a malformed number was taken");
        }
    }

    #[test]
    fn an_outgoing_id_is_parsed_once_and_lower_cased() {
        let id: OutgoingId = "AB-12#0123456789AB".parse().unwrap();
        assert_eq!(id.to_string(), "ab-12#0123456789ab");
        assert!(id.names_service("00000000-0000-4000-8000-0123456789ab"));
        assert!(!id.names_service("00000000-0000-4000-8000-0123456789ac"));
        for bad in
            ["", "#", "case#", "#0123456789ab", "case#0123456789a", "case#0123456789abc", "case#0123456789é", "a#b#0123456789ab"]
        {
            assert!(bad.parse::<OutgoingId>().is_err(), "a malformed outgoing id was taken");
        }
    }

    #[test]
    fn an_outgoing_id_is_made_of_the_last_12_characters() {
        let case: CaseId = "case-1".parse().unwrap();
        let id = OutgoingId::new(&case, "00000000-0000-4000-8000-00000000ABCD").unwrap();
        assert_eq!(id.to_string(), "case-1#00000000abcd");
        assert_eq!(OutgoingId::new(&case, "short"), None);
    }

    #[test]
    fn codes_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_code(state.code()), Some(*state));
        }
        assert_eq!(Errand::from_code("nonsense"), None);
    }
}
