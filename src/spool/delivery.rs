//! One delivery as it stands in the state: references, state, attempts. No content: that is in its parcel.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use uuid::Uuid;

use super::{Error, Shared, seal::Digest};
use crate::{
    activity::Basis,
    agenda::Task,
    mapping::Gap,
    reason::Reason,
    referral::{CaseId, CaseKey, Decision, DeliveryId, Errand, Flow, InterventionNumber, OutgoingId, ReferralId, State, Walk},
};

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
        match self.errand {
            Errand::OpenIntervention | Errand::SendFeedback | Errand::ReportDecision => Flow::ToPrimero,
            Errand::SendReferral | Errand::RecordDecision => Flow::ToDtp,
            Errand::Look => self.about.walk.map_or(Flow::ToDtp, Walk::flow),
        }
    }

    pub(super) fn load(connection: &Connection, id: DeliveryId) -> Result<Option<Self>, Error> {
        let mut statement = connection.prepare_cached("SELECT * FROM deliveries WHERE id = ?1")?;
        Ok(statement.query_row([id.0], Self::from_row).optional()?)
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let gaps: Option<String> = row.get("gaps")?;
        Ok(Self {
            id: DeliveryId(row.get("id")?),
            errand: code(row, "errand", Errand::from_code)?.ok_or_else(|| unreadable("errand"))?,
            state: code(row, "state", State::from_code)?.ok_or_else(|| unreadable("state"))?,
            about: About {
                post: row.get::<_, Option<[u8; 16]>>("post")?.map(Uuid::from_bytes),
                intervention: parsed(row, "intervention")?,
                case_key: row.get::<_, Option<[u8; 16]>>("case_key")?.map(Uuid::from_bytes).map(CaseKey),
                case_id: parsed(row, "case_id")?,
                service: row.get("service")?,
                referral: row.get::<_, Option<[u8; 16]>>("referral")?.map(Uuid::from_bytes).map(ReferralId),
                outgoing: parsed(row, "outgoing")?,
                walk: code(row, "walk", Walk::from_code)?,
                decision: code(row, "decision", Decision::from_code)?,
                person: row.get("person")?,
                content: row.get("content")?,
            },
            made: time(row, "made")?.ok_or_else(|| unreadable("made"))?,
            due: time(row, "due")?.ok_or_else(|| unreadable("due"))?,
            attempts: row.get("attempts")?,
            held_since: time(row, "held_since")?,
            settled: time(row, "settled")?,
            reason: code(row, "reason", Reason::from_code)?,
            gaps: gaps.map_or_else(Vec::new, |text| gaps_from_text(&text)),
            may_have_acted: row.get("may_have_acted")?,
            written: row.get("written")?,
            new_case: row.get("new_case")?,
            behind: row.get::<_, Option<i64>>("behind")?.map(DeliveryId),
            basis: code(row, "basis", Basis::from_code)?,
            watched: time(row, "watched")?,
            late: row.get("late")?,
        })
    }

    /// Writes every column, whether the row is there or not.
    pub(super) fn store(&self, connection: &Connection) -> Result<(), Error> {
        let about = &self.about;
        let mut statement = connection.prepare_cached(
            "INSERT INTO deliveries (id, errand, state, post, intervention, case_key, case_id, service, referral, outgoing, walk,
                decision, person, content, made, due, attempts, held_since, settled, reason, gaps, may_have_acted, written, new_case,
                behind, basis, watched, late)
             VALUES (:id, :errand, :state, :post, :intervention, :case_key, :case_id, :service, :referral, :outgoing, :walk,
                :decision, :person, :content, :made, :due, :attempts, :held_since, :settled, :reason, :gaps, :may_have_acted, :written,
                :new_case, :behind, :basis, :watched, :late)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, case_key = excluded.case_key, case_id = excluded.case_id,
                service = excluded.service, referral = excluded.referral, outgoing = excluded.outgoing, decision = excluded.decision,
                due = excluded.due, attempts = excluded.attempts, held_since = excluded.held_since, settled = excluded.settled,
                reason = excluded.reason, gaps = excluded.gaps, may_have_acted = excluded.may_have_acted, written = excluded.written,
                new_case = excluded.new_case, behind = excluded.behind, basis = excluded.basis, watched = excluded.watched,
                late = excluded.late",
        )?;
        statement.execute(named_params! {
            ":id": self.id.0,
            ":errand": self.errand.code(),
            ":state": self.state.code(),
            ":post": about.post.map(Uuid::into_bytes),
            ":intervention": about.intervention.as_ref().map(InterventionNumber::as_str),
            ":case_key": about.case_key.map(|key| key.0.into_bytes()),
            ":case_id": about.case_id.as_ref().map(CaseId::as_str),
            ":service": about.service,
            ":referral": about.referral.map(|id| id.0.into_bytes()),
            ":outgoing": about.outgoing.as_ref().map(ToString::to_string),
            ":walk": about.walk.map(Walk::code),
            ":decision": about.decision.map(Decision::code),
            ":person": about.person,
            ":content": about.content,
            ":made": self.made.timestamp_millis(),
            ":due": self.due.timestamp_millis(),
            ":attempts": self.attempts,
            ":held_since": self.held_since.map(|time| time.timestamp_millis()),
            ":settled": self.settled.map(|time| time.timestamp_millis()),
            ":reason": self.reason.map(Reason::code),
            ":gaps": (!self.gaps.is_empty()).then(|| gaps_to_text(&self.gaps)),
            ":may_have_acted": self.may_have_acted,
            ":written": self.written,
            ":new_case": self.new_case,
            ":behind": self.behind.map(|id| id.0),
            ":basis": self.basis.map(Basis::code),
            ":watched": self.watched.map(|time| time.timestamp_millis()),
            ":late": self.late,
        })?;
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

/// A time in a row.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(DateTime::from_timestamp_millis))
}

/// A code in a row; an unknown one is an error, so that a newer state is never half understood.
pub(super) fn code<T>(row: &Row<'_>, column: &str, from: fn(&str) -> Option<T>) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    from(&text).map(Some).ok_or_else(|| unreadable(column))
}

/// An identifier in a row.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| unreadable(column))
}

fn unreadable(column: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnName(column.to_owned())
}

/// Deliveries that a condition finds, oldest first.
pub(super) fn select(connection: &Connection, condition: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Delivery>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM deliveries WHERE {condition}"))?;
    let rows = statement.query_map(parameters, Delivery::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
