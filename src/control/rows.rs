//! The rows of an answer: what a terminal shows in words and a pipe gets as it is.
//!
//! Numbers, codes and times of the state, with the sentences that go with them. Nothing here is asked of anybody.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::status::StatusRow;
use crate::{
    activity::Basis,
    referral::{CaseId, Decision, InterventionNumber, OutgoingId, Walk},
    spool::{delivery::Delivery, list::Entry},
    standing::{
        FlowNow,
        listed::{listed, may_stand, why},
    },
};

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// An entry of the operator's list.
    Entry(Box<EntryRow>),
    /// A delivery.
    Delivery(Box<DeliveryRow>),
    /// A line of the activity log, as it stands there.
    Line(String),
    /// What a walk and its errands came to.
    Poll(PollRow),
    /// What a withdrawal message needs.
    Notice(Box<NoticeRow>),
    /// Whether a target took a test message.
    Told(ToldRow),
    /// How the programme stands.
    Status(Box<StatusRow>),
    /// How a flow stands.
    Flow(FlowRow),
    /// How far a module was read.
    Cursor(CursorRow),
}

/// Whether a target took a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldRow {
    /// Which target.
    pub target: String,
    /// Whether it did.
    pub taken: bool,
    /// Why it did not.
    pub why: Option<String>,
}

/// How a flow stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRow {
    /// Which.
    pub flow: String,
    /// `on`, `off` in the configuration, `paused` by a person, or `no_agreement`: without a valid one.
    pub state: String,
    /// Since when it is paused.
    pub paused_since: Option<DateTime<Utc>>,
    /// The role of the person who paused it.
    pub paused_by: Option<String>,
    /// Why.
    pub paused_because: Option<String>,
    /// How many deliveries of it are unsettled.
    pub waiting: u64,
}

impl FlowRow {
    /// The row of a flow.
    #[must_use]
    pub fn new(now: FlowNow, waiting: u64) -> Self {
        let FlowNow { flow, state, pause } = now;
        Self {
            flow: flow.code().to_owned(),
            state: state.code().to_owned(),
            paused_since: pause.as_ref().map(|pause| pause.since),
            paused_because: pause.as_ref().and_then(|pause| pause.reason).map(|reason| reason.code().to_owned()),
            paused_by: pause.map(|pause| pause.by),
            waiting,
        }
    }
}

/// How far a walk has read a module of Primero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRow {
    /// Which walk.
    pub walk: String,
    /// Which module.
    pub module: String,
    /// Every change up to this time of Primero was read; `None` before the first walk.
    pub read_up_to: Option<DateTime<Utc>>,
    /// How many seconds ago that was.
    pub age_s: Option<i64>,
    /// Where the first walk begins; nothing before it is ever read.
    pub start_from: DateTime<Utc>,
    /// Since when no walk of this kind has come to its end, if one began, or should have.
    pub unfinished_since: Option<DateTime<Utc>>,
}

/// An entry of the operator's list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRow {
    /// Its number.
    pub entry: i64,
    /// Why it is here.
    pub kind: String,
    /// The same in words.
    pub title: String,
    /// Why, more closely.
    pub reason: Option<String>,
    /// The delivery that it is about.
    pub delivery: Option<i64>,
    /// What that was to do.
    pub errand: Option<String>,
    /// Where that stands.
    pub state: Option<String>,
    /// The intervention.
    pub intervention: Option<String>,
    /// The case.
    pub case: Option<String>,
    /// The referral.
    pub referral: Option<String>,
    /// Of refused posts: the status given.
    pub status: Option<u16>,
    /// Names of fields.
    #[serde(default)]
    pub fields: Vec<String>,
    /// How often.
    pub count: u64,
    /// Since when; of a withdrawal: when it was noticed.
    pub since: DateTime<Utc>,
    /// When it left the list.
    pub closed: Option<DateTime<Utc>>,
    /// What happened.
    pub what_happened: String,
    /// What to do.
    pub what_to_do: String,
}

impl EntryRow {
    /// The row of an entry; `delivery` is the one that it is about.
    #[must_use]
    pub fn new(entry: &Entry, delivery: Option<&Delivery>) -> Self {
        let told = listed(entry);
        Self {
            entry: entry.id.0,
            kind: entry.kind.code().to_owned(),
            title: told.title.to_owned(),
            reason: entry.reason.map(|reason| reason.code().to_owned()),
            delivery: entry.delivery.map(|id| id.0),
            errand: entry.errand.map(|errand| errand.code().to_owned()),
            state: delivery.map(|delivery| delivery.state.code().to_owned()),
            intervention: entry.intervention.as_ref().map(ToString::to_string),
            case: entry.case.as_ref().map(ToString::to_string),
            referral: entry.referral.map(|id| id.to_string()),
            status: entry.status,
            fields: entry.fields.clone(),
            count: entry.count,
            since: entry.made,
            closed: entry.closed,
            what_happened: told.happened.to_owned(),
            what_to_do: told.to_do,
        }
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// Its number.
    pub delivery: i64,
    /// What is to be done.
    pub errand: String,
    /// Where it stands; `attempting` while somebody attempts it.
    pub state: String,
    /// The flow it belongs to.
    pub flow: String,
    /// The system meant.
    pub addressee: String,
    /// Why it stands there.
    pub reason: Option<String>,
    /// The intervention.
    pub intervention: Option<String>,
    /// The case.
    pub case: Option<String>,
    /// The referral.
    pub referral: Option<String>,
    /// The id under which DTP knows the referral.
    pub outgoing: Option<String>,
    /// What was decided.
    pub decision: Option<String>,
    /// On what ground a referral leaves, or left.
    pub basis: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When it is tried next.
    pub due: Option<DateTime<Utc>>,
    /// Since when it was first held.
    pub held_since: Option<DateTime<Utc>>,
    /// When it was settled.
    pub settled: Option<DateTime<Utc>>,
    /// The delivery that must settle first.
    pub behind: Option<i64>,
    /// Whether something of it may stand on the other side without our having seen it.
    pub may_have_acted: bool,
    /// What happened, where there is a reason.
    pub what_happened: Option<String>,
    /// What to do, where there is a reason.
    pub what_to_do: Option<String>,
}

impl DeliveryRow {
    /// The row of a delivery.
    #[must_use]
    pub fn new(delivery: &Delivery, attempting: bool) -> Self {
        let about = &delivery.about;
        let told = why(delivery);
        let open = delivery.settled.is_none();
        Self {
            delivery: delivery.id.0,
            errand: delivery.errand.code().to_owned(),
            state: if attempting && open { "attempting".to_owned() } else { delivery.state.code().to_owned() },
            flow: delivery.flow().code().to_owned(),
            addressee: delivery.errand.addressee().code().to_owned(),
            reason: delivery.reason.map(|reason| reason.code().to_owned()),
            intervention: about.intervention.as_ref().map(InterventionNumber::to_string),
            case: about.case_id.as_ref().map(CaseId::to_string),
            referral: about.referral.map(|id| id.to_string()),
            outgoing: about.outgoing.as_ref().map(OutgoingId::to_string),
            decision: about.decision.map(|decision: Decision| decision.code().to_owned()),
            basis: delivery.basis.map(|basis: Basis| basis.code().to_owned()),
            attempts: delivery.attempts,
            made: delivery.made,
            due: open.then_some(delivery.due),
            held_since: delivery.held_since,
            settled: delivery.settled,
            behind: delivery.behind.map(|id| id.0),
            may_have_acted: may_stand(delivery),
            what_happened: told.as_ref().map(|(happened, _)| (*happened).to_owned()),
            what_to_do: told.map(|(_, to_do)| to_do),
        }
    }
}

/// What a walk and its errands came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRow {
    /// Which walk.
    pub walk: String,
    /// Whether decisions were only taken as known.
    pub baseline: bool,
    /// How many changed cases were read in the list.
    pub cases: u64,
    /// How many of them were looked at.
    pub looks: u64,
    /// Of a baseline: how many decisions are known from now on.
    pub known: u64,
    /// How many errands it made were delivered,
    pub delivered: u64,
    /// needed nothing,
    pub not_needed: u64,
    /// may not leave,
    pub withheld: u64,
    /// were refused,
    pub refused: u64,
    /// were given up,
    pub stopped: u64,
    /// wait for a person,
    pub held: u64,
    /// are tried again later,
    pub later: u64,
    /// wait because a system is blocked.
    pub blocked: u64,
}

impl PollRow {
    /// An empty one.
    #[must_use]
    pub fn new(walk: Walk, baseline: bool) -> Self {
        Self { walk: walk.code().to_owned(), baseline, ..Self::default() }
    }

    /// Whether something is left that was not done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.held + self.later + self.blocked > 0
    }

    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { walk, cases, looks, known, .. } = self;
        if self.baseline {
            return format!(
                "the walk `{walk}` read {}; {} known from now on, nothing was sent",
                counted(*cases, "case"),
                if *known == 1 { "1 decision is".to_owned() } else { format!("{known} decisions are") },
            );
        }
        let parts = [
            (self.delivered, "sent"),
            (self.withheld, "withheld"),
            (self.refused, "refused"),
            (self.stopped, "stopped"),
            (self.not_needed, "not needed"),
            (self.held, "held"),
            (self.later, "to be tried later"),
            (self.blocked, "waiting for a blocked system"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let outcome = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
        format!("the walk `{walk}` read {} and looked at {looks} of them: {outcome}", counted(*cases, "changed case"))
    }
}

/// What a withdrawal message needs. Shown once, stored nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// The delivery that sent the referral.
    pub delivery: i64,
    /// The entry that asks for the message.
    pub entry: Option<i64>,
    /// The number of the case that people use, as Primero has it now.
    pub case_number: Option<String>,
    /// Primero's `case_id`.
    pub case: Option<String>,
    /// The service as both sides agreed to call it.
    pub service: Option<String>,
    /// Primero's service type.
    pub service_type: Option<String>,
    /// The id under which UNHCR knows the referral.
    pub outgoing: Option<String>,
    /// When it was sent.
    pub sent: Option<DateTime<Utc>>,
    /// Whether it was sent for sure.
    pub sent_for_sure: bool,
    /// Why it is withdrawn, as far as we know.
    pub reason: Option<String>,
    /// When we saw it.
    pub noticed: Option<DateTime<Utc>>,
    /// For the case worker to fill in.
    pub date_of_withdrawal: Option<NaiveDate>,
    /// What is to be known besides.
    pub remark: Option<String>,
}

impl std::fmt::Debug for NoticeRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoticeRow(…)")
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
