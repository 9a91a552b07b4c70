//! One delivery as it stands in the state: references, state, attempts. No content: that is in its parcel.

use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, ToSql, params};
use uuid::Uuid;

use super::{Error, Shared, row::Cells, seal::Digest};
use crate::{
    activity::Basis,
    agenda::Task,
    mapping::Gap,
    reason::Reason,
    referral::{CaseId, CaseKey, Decision, DeliveryId, Errand, Flow, InterventionNumber, OutgoingId, ReferralId, State, Walk},
};

/// The columns of a delivery, in the order in which they are read and written.
pub(super) const COLUMNS: &str = "id, errand, state, post, intervention, case_key, case_id, service, referral, outgoing, walk, decision, \
    person, content, made, due, attempts, held_since, settled, reason, gaps, may_have_acted, written, new_case, behind, basis, watched, late";

/// Writes a delivery, whether its row is there or not. What never changes is not written again.
static STORE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO deliveries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
            ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)
         ON CONFLICT (id) DO UPDATE SET state = ?3, case_key = ?6, case_id = ?7, service = ?8, referral = ?9, outgoing = ?10,
            decision = ?12, due = ?16, attempts = ?17, held_since = ?18, settled = ?19, reason = ?20, gaps = ?21, may_have_acted = ?22,
            written = ?23, new_case = ?24, behind = ?25, basis = ?26, watched = ?27, late = ?28"
    )
});

/// A delivery: an errand that we owe to one of the two systems.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// What is to be done.
    pub errand: Errand,
    /// Where it stands.
    pub state: State,
    /// What it is about.
    pub about: About,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When it is due.
    pub due: DateTime<Utc>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Since when it was first held.
    pub held_since: Option<DateTime<Utc>>,
    /// When it was settled.
    pub settled: Option<DateTime<Utc>>,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
    /// Reasons and fields that DTP is, or was, told.
    pub gaps: Vec<Gap>,
    /// Primero may hold our write, or DTP our message, without our having seen it.
    pub may_have_acted: bool,
    /// Our write was seen in Primero.
    pub written: bool,
    /// Whether a case was created.
    pub new_case: Option<bool>,
    /// Waits until that delivery has settled.
    pub behind: Option<DeliveryId>,
    /// On what ground a referral leaves, once a person decided, or as it left.
    pub basis: Option<Basis>,
    /// When a sent referral is read again.
    pub watched: Option<DateTime<Utc>>,
    /// Whether it is on the operator's list as late.
    pub late: bool,
}

/// What a delivery is about: references only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The post of DTP that brought it.
    pub post: Option<Uuid>,
    /// The intervention.
    pub intervention: Option<InterventionNumber>,
    /// Primero's primary key of the case.
    pub case_key: Option<CaseKey>,
    /// Primero's `case_id`; of an intervention or a failed feedback: the one that DTP gave.
    pub case_id: Option<CaseId>,
    /// `unique_id` of the service item.
    pub service: Option<String>,
    /// The referral.
    pub referral: Option<ReferralId>,
    /// The id under which DTP knows the referral.
    pub outgoing: Option<OutgoingId>,
    /// Of a look: which walk asked for it.
    pub walk: Option<Walk>,
    /// Of a decision: which.
    pub decision: Option<Decision>,
    /// Keyed hash of the person number.
    pub person: Option<Digest>,
    /// Keyed hash of the content.
    pub content: Option<Digest>,
}

impl Delivery {
    /// The flow that it belongs to.
    #[must_use]
    pub fn flow(&self) -> Flow {
        flow_of(self.errand, self.about.walk)
    }

    pub(super) fn load(connection: &Connection, id: DeliveryId) -> Result<Option<Self>, Error> {
        Ok(select(connection, "id = ?1", &[&id.0])?.pop())
    }

    /// Reads a row of [`COLUMNS`].
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        // A struct's fields are evaluated as they are written: in the order of the columns, but for what `About` holds.
        let mut cells = Cells::of(row);
        let id = DeliveryId(cells.get()?);
        let errand = cells.code(Errand::from_code)?.ok_or_else(|| cells.unreadable())?;
        let state = cells.code(State::from_code)?.ok_or_else(|| cells.unreadable())?;
        let about = About {
            post: cells.uuid()?,
            intervention: cells.parsed()?,
            case_key: cells.uuid()?.map(CaseKey),
            case_id: cells.parsed()?,
            service: cells.get()?,
            referral: cells.uuid()?.map(ReferralId),
            outgoing: cells.parsed()?,
            walk: cells.code(Walk::from_code)?,
            decision: cells.code(Decision::from_code)?,
            person: cells.get()?,
            content: cells.get()?,
        };
        Ok(Self {
            id,
            errand,
            state,
            about,
            made: cells.time()?.ok_or_else(|| cells.unreadable())?,
            due: cells.time()?.ok_or_else(|| cells.unreadable())?,
            attempts: cells.get()?,
            held_since: cells.time()?,
            settled: cells.time()?,
            reason: cells.code(Reason::from_code)?,
            gaps: cells.text()?.map_or_else(Vec::new, gaps_from_text),
            may_have_acted: cells.get()?,
            written: cells.get()?,
            new_case: cells.get()?,
            behind: cells.get::<Option<i64>>()?.map(DeliveryId),
            basis: cells.code(Basis::from_code)?,
            watched: cells.time()?,
            late: cells.get()?,
        })
    }

    /// Writes every column, whether the row is there or not.
    pub(super) fn store(&self, connection: &Connection) -> Result<(), Error> {
        let about = &self.about;
        let mut statement = connection.prepare_cached(&STORE)?;
        // In the order of `COLUMNS`.
        statement.execute(params![
            self.id.0,
            self.errand.code(),
            self.state.code(),
            about.post.map(Uuid::into_bytes),
            about.intervention.as_ref().map(InterventionNumber::as_str),
            about.case_key.map(|key| key.0.into_bytes()),
            about.case_id.as_ref().map(CaseId::as_str),
            about.service,
            about.referral.map(|id| id.0.into_bytes()),
            about.outgoing.as_ref().map(ToString::to_string),
            about.walk.map(Walk::code),
            about.decision.map(Decision::code),
            about.person,
            about.content,
            self.made.timestamp_millis(),
            self.due.timestamp_millis(),
            self.attempts,
            self.held_since.map(|time| time.timestamp_millis()),
            self.settled.map(|time| time.timestamp_millis()),
            self.reason.map(Reason::code),
            (!self.gaps.is_empty()).then(|| gaps_to_text(&self.gaps)),
            self.may_have_acted,
            self.written,
            self.new_case,
            self.behind.map(|id| id.0),
            self.basis.map(Basis::code),
            self.watched.map(|time| time.timestamp_millis()),
            self.late,
        ])?;
        Ok(())
    }

    /// How the agenda sees it; `monotonic` is now.
    pub(super) fn task(&self, shared: &Shared, now: DateTime<Utc>, monotonic: Duration) -> Task {
        let about = &self.about;
        let lane = match self.errand {
            Errand::SendFeedback | Errand::ReportDecision => {
                about.intervention.as_ref().map(|number| shared.number_digest(number))
            }
            Errand::OpenIntervention | Errand::RecordDecision | Errand::Look | Errand::SendReferral => None,
        };
        let alone = match self.errand {
            Errand::OpenIntervention => about.person,
            Errand::RecordDecision => {
                about.outgoing.as_ref().map(|id| shared.identity.digest("outgoing", id.to_string().as_bytes()))
            }
            Errand::Look | Errand::SendReferral => about.case_key.map(|key| shared.identity.digest("case", key.0.as_bytes())),
            Errand::SendFeedback | Errand::ReportDecision => None,
        };
        Task {
            id: self.id,
            errand: self.errand,
            flow: self.flow(),
            // A wall clock that jumped must not make anything wait longer than it ever would.
            due: monotonic + (self.due - now).to_std().unwrap_or_default().min(super::LONGEST_WAIT),
            lane: lane.map(short),
            alone: alone.map(short),
            written: self.written,
        }
    }
}

/// The flow that an errand belongs to; of a look, the walk that asked for it says it.
pub(super) fn flow_of(errand: Errand, walk: Option<Walk>) -> Flow {
    match errand {
        Errand::OpenIntervention | Errand::SendFeedback | Errand::ReportDecision => Flow::ToPrimero,
        Errand::SendReferral | Errand::RecordDecision => Flow::ToDtp,
        Errand::Look => walk.map_or(Flow::ToDtp, Walk::flow),
    }
}

/// The first half of a digest: enough to tell lanes apart in memory.
fn short(digest: Digest) -> u64 {
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

pub(super) fn gaps_to_text(gaps: &[Gap]) -> String {
    let pairs: Vec<(&str, &str)> = gaps.iter().map(|gap| (gap.reason.code(), gap.field.as_str())).collect();
    // Pairs of text always become JSON.
    serde_json::to_string(&pairs).expect("pairs of text are always JSON")
}

fn gaps_from_text(text: &str) -> Vec<Gap> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    pairs.into_iter().filter_map(|(reason, field)| Some(Gap { reason: Reason::from_code(&reason)?, field })).collect()
}

/// Deliveries that a condition finds, oldest first.
pub(super) fn select(connection: &Connection, condition: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Delivery>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries WHERE {condition}"))?;
    let rows = statement.query_map(parameters, Delivery::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
