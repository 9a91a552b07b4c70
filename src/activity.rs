//! What may be remembered: a closed list of events with typed fields.
//!
//! No free text, no value from a record, no staff name, no service type, no consent value can be put into a line,
//! because there is no field that would take it.
//! Pure but for the [`Log`], which writes lines and knows nothing of what they say.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    reason::Reason,
    referral::{CaseId, DeliveryId, Errand, Flow, InterventionNumber, ReferralId, System, codes},
};

mod dictionary;
mod line;
mod log;

pub use dictionary::{Entry, Part, dictionary, json_lines as dictionary_as_json_lines, table as dictionary_as_table};
pub use line::Line;
pub use log::{Captured, Log};

codes! {
    /// What happened.
    Event {
        /// The daemon runs.
        Started = "started",
        /// The daemon has ended in order.
        ShutDown = "shut_down",
        /// An intervention or a decision was taken from DTP and stored.
        Received = "received",
        /// A known intervention or decision came again; nothing new.
        Unchanged = "unchanged",
        /// A post was refused.
        InboxRefused = "inbox_refused",
        /// An item of a post was not usable.
        NotTaken = "not_taken",
        /// A newer message took the place of this one.
        Superseded = "superseded",
        /// A delivered number came again with other content.
        ChangedAfterDelivery = "changed_after_delivery",
        /// Done, and seen to be done.
        Delivered = "delivered",
        /// It will be tried again.
        Later = "later",
        /// The message was wrong for good.
        Refused = "refused",
        /// A person must decide.
        Held = "held",
        /// A person let an exception go.
        Released = "released",
        /// A person, or the time limit, ended it.
        Stopped = "stopped",
        /// There was nothing left to do.
        NotNeeded = "not_needed",
        /// Unsettled for too long.
        NotDeliveredInTime = "not_delivered_in_time",
        /// A system was stopped because we are wrong.
        Blocked = "blocked",
        /// A blocked system goes on.
        Unblocked = "unblocked",
        /// A system fails in a row; one attempt at a time.
        Unwell = "unwell",
        /// The system answers again.
        Well = "well",
        /// DTP took a feedback.
        FeedbackSent = "feedback_sent",
        /// A referral may not leave.
        Withheld = "withheld",
        /// A referral that left was withdrawn.
        WithdrawnAfterSend = "withdrawn_after_send",
        /// Two sides say different things.
        Conflict = "conflict",
        /// Staff changed what we wrote, or an identity value differs.
        Differs = "differs",
        /// Fields did not stick in Primero.
        NotStored = "not_stored",
        /// A walk began.
        PollStarted = "poll_started",
        /// A walk ended.
        PollFinished = "poll_finished",
        /// A walk could not be ended.
        PollFailed = "poll_failed",
        /// A parcel was erased.
        Erased = "erased",
        /// The agreement ends soon, or has ended.
        AgreementExpiring = "agreement_expiring",
        /// The client certificate ends soon, or has ended.
        CertificateExpiring = "certificate_expiring",
        /// The next client certificate took the place of the one before.
        CertificateSwitched = "certificate_switched",
        /// An inbox key ends soon, or has ended.
        KeyExpiring = "key_expiring",
        /// New settings are in force.
        ConfigurationReloaded = "configuration_reloaded",
        /// New settings were refused.
        ConfigurationRejected = "configuration_rejected",
        /// A person did something on the command line.
        Operator = "operator",
    }
}

codes! {
    /// On what ground a referral left without asking further.
    Basis {
        /// Consent or assent is recorded.
        Consent = "consent",
        /// Vital interests of the child; a person decided.
        VitalInterests = "vital_interests",
        /// Best interests of the child; a person decided.
        BestInterests = "best_interests",
        /// By exception, as configured (`consent.exception = "send"`).
        Exception = "exception",
    }
}

codes! {
    /// How an attempt ended.
    Outcome {
        /// Done, and seen to be done.
        Delivered = "delivered",
        /// They are unwell.
        Later = "later",
        /// This message is wrong for good.
        Refused = "refused",
        /// A person must decide.
        Held = "held",
        /// We are wrong: the addressee stops.
        Blocked = "blocked",
    }
}

/// One line of the activity log. What is `None` or empty is left out of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// What happened.
    pub event: Event,
    /// The flow it belongs to.
    pub flow: Option<Flow>,
    /// The number of the post (our UUID).
    pub post: Option<Uuid>,
    /// The delivery, or the entry on the operator's list.
    pub delivery: Option<DeliveryId>,
    /// What was to be done.
    pub errand: Option<Errand>,
    /// The system meant.
    pub addressee: Option<System>,
    /// The intervention number.
    pub intervention: Option<InterventionNumber>,
    /// Primero's `case_id`.
    pub case: Option<CaseId>,
    /// Primero's referral id.
    pub referral: Option<ReferralId>,
    /// The how-manieth attempt.
    pub attempt: Option<u32>,
    /// How the attempt ended.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: Option<Reason>,
    /// Names of fields, as in our mapping; never values.
    pub fields: Vec<String>,
    /// The HTTP status seen or given.
    pub status: Option<u16>,
    /// On what ground a referral left.
    pub basis: Option<Basis>,
    /// Whether a case was created.
    pub new_case: Option<bool>,
    /// How many.
    pub count: Option<u64>,
    /// When it is tried again.
    pub due: Option<DateTime<Utc>>,
    /// When we saw it.
    pub noticed: Option<DateTime<Utc>>,
    /// Version and digest of the mapping.
    pub mapping: Option<String>,
    /// Reference of the agreement.
    pub agreement: Option<String>,
    /// The operator's own account.
    pub who: Option<String>,
    /// Until when something holds.
    pub until: Option<DateTime<Utc>>,
}

impl Activity {
    /// A line that says only what happened; the rest is filled in field by field.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            flow: None,
            post: None,
            delivery: None,
            errand: None,
            addressee: None,
            intervention: None,
            case: None,
            referral: None,
            attempt: None,
            outcome: None,
            reason: None,
            fields: Vec::new(),
            status: None,
            basis: None,
            new_case: None,
            count: None,
            due: None,
            noticed: None,
            mapping: None,
            agreement: None,
            who: None,
            until: None,
        }
    }
}
