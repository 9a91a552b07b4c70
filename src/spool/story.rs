//! The stories: what happened to each delivery, and what happened at all, kept with the state they belong to.

use chrono::{DateTime, Utc};
use rusqlite::{Row, named_params};
use uuid::Uuid;

use super::{
    Error, Reading, Tx,
    delivery::{Delivery, code, parsed, time},
};
use crate::{
    activity::{Activity, Basis, Event, Outcome},
    reason::Reason,
    referral::{CaseId, DeliveryId, Errand, Flow, InterventionNumber, ReferralId, System, Walk},
};

/// Which lines are asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only about this intervention.
    pub intervention: Option<InterventionNumber>,
    /// Only about this case.
    pub case: Option<CaseId>,
    /// Only since this time.
    pub since: Option<DateTime<Utc>>,
    /// Only about this delivery.
    pub delivery: Option<DeliveryId>,
    /// Only lines after this place in the log.
    pub after: i64,
}

/// A line with its time and its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The place; grows.
    pub place: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// What.
    pub activity: Activity,
}

impl Tx<'_> {
    /// Writes a line into the story; it goes to the log after the commit.
    pub fn tell(&mut self, activity: Activity) -> Result<(), Error> {
        // Walks that found nothing are the log's, not the story's.
        if !matches!(activity.event, Event::PollStarted | Event::PollFinished) {
            let of_delivery = activity.delivery.is_some();
            let number = activity.intervention.as_ref().filter(|_| !of_delivery).map(InterventionNumber::as_str);
            let case = activity.case.as_ref().filter(|_| !of_delivery).map(CaseId::as_str);
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO story (delivery, time, event, post, addressee, intervention, case_id, referral, attempt, outcome, reason,
                    fields, status, basis, new_case, count, due, noticed, who)
                 VALUES (:delivery, :time, :event, :post, :addressee, :intervention, :case_id, :referral, :attempt, :outcome, :reason,
                    :fields, :status, :basis, :new_case, :count, :due, :noticed, :who)",
            )?;
            statement.execute(named_params! {
                ":delivery": activity.delivery.map(|id| id.0),
                ":time": self.now.timestamp_millis(),
                ":event": activity.event.code(),
                ":post": activity.post.filter(|_| !of_delivery).map(Uuid::into_bytes),
                ":addressee": activity.addressee.filter(|_| !of_delivery).map(System::code),
                ":intervention": number,
                ":case_id": case,
                ":referral": activity.referral.filter(|_| !of_delivery).map(|id| id.0.into_bytes()),
                ":attempt": activity.attempt,
                ":outcome": activity.outcome.map(Outcome::code),
                ":reason": activity.reason.map(Reason::code),
                ":fields": (!activity.fields.is_empty()).then(|| activity.fields.join(" ")),
                ":status": activity.status,
                ":basis": activity.basis.map(Basis::code),
                ":new_case": activity.new_case,
                ":count": activity.count,
                ":due": activity.due.map(|time| time.timestamp_millis()),
                ":noticed": activity.noticed.map(|time| time.timestamp_millis()),
                ":who": activity.who,
            })?;
        }
        self.told.lines.push((self.now, activity));
        Ok(())
    }

    /// Begins a line about a delivery.
    pub(super) fn about(&self, event: Event, delivery: &Delivery) -> Activity {
        let about = &delivery.about;
        Activity {
            flow: Some(delivery.flow()),
            post: about.post,
            delivery: Some(delivery.id),
            errand: Some(delivery.errand),
            addressee: Some(delivery.errand.addressee()),
            intervention: about.intervention.clone(),
            case: about.case_id.clone(),
            referral: about.referral,
            ..Activity::new(event)
        }
    }
}

impl Reading<'_> {
    /// The lines wanted, oldest first, at most `most` of them.
    pub fn story(&self, wanted: &Wanted, most: u32) -> Result<Vec<Line>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT story.rowid AS place, story.*, d.errand, d.walk, d.post AS d_post, d.intervention AS d_intervention,
                d.case_id AS d_case_id, d.referral AS d_referral
             FROM story LEFT JOIN deliveries d ON d.id = story.delivery
             WHERE story.rowid > :after
               AND (:since IS NULL OR story.time >= :since)
               AND (:delivery IS NULL OR story.delivery = :delivery)
               AND (:intervention IS NULL OR coalesce(d.intervention, story.intervention) = :intervention)
               AND (:case_id IS NULL OR coalesce(d.case_id, story.case_id) = :case_id)
             ORDER BY story.rowid LIMIT :most",
        )?;
        let rows = statement.query_map(
            named_params! {
                ":after": wanted.after,
                ":since": wanted.since.map(|time| time.timestamp_millis()),
                ":delivery": wanted.delivery.map(|id| id.0),
                ":intervention": wanted.intervention.as_ref().map(InterventionNumber::as_str),
                ":case_id": wanted.case.as_ref().map(CaseId::as_str),
                ":most": most,
            },
            line,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    let errand = code(row, "errand", Errand::from_code)?;
    let walk = code(row, "walk", Walk::from_code)?;
    let fields: Option<String> = row.get("fields")?;
    let event = code(row, "event", Event::from_code)?.unwrap_or(Event::Operator);
    let uuid = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes));
    let activity = Activity {
        flow: errand.map(|errand| match errand {
            Errand::OpenIntervention | Errand::SendFeedback | Errand::ReportDecision => Flow::ToPrimero,
            Errand::SendReferral | Errand::RecordDecision => Flow::ToDtp,
            Errand::Look => walk.map_or(Flow::ToDtp, Walk::flow),
        }),
        post: uuid("d_post")?.or(uuid("post")?),
        delivery: row.get::<_, Option<i64>>("delivery")?.map(DeliveryId),
        errand,
        addressee: code(row, "addressee", System::from_code)?.or(errand.map(Errand::addressee)),
        intervention: parsed(row, "d_intervention")?.or(parsed(row, "intervention")?),
        case: parsed(row, "d_case_id")?.or(parsed(row, "case_id")?),
        referral: uuid("d_referral")?.or(uuid("referral")?).map(ReferralId),
        attempt: row.get("attempt")?,
        outcome: code(row, "outcome", Outcome::from_code)?,
        reason: code(row, "reason", Reason::from_code)?,
        fields: fields.map_or_else(Vec::new, |text| text.split(' ').map(str::to_owned).collect()),
        status: row.get("status")?,
        basis: code(row, "basis", Basis::from_code)?,
        new_case: row.get("new_case")?,
        count: row.get("count")?,
        due: time(row, "due")?,
        noticed: time(row, "noticed")?,
        who: row.get("who")?,
        ..Activity::new(event)
    };
    let time = time(row, "time")?.ok_or_else(|| rusqlite::Error::InvalidColumnName("time".to_owned()))?;
    Ok(Line { place: row.get("place")?, time, activity })
}
