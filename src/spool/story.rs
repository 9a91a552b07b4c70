//! The stories: what happened to each delivery, and what happened at all, kept with the state they belong to.

use chrono::{DateTime, Utc};
use rusqlite::{Row, named_params, params};
use uuid::Uuid;

use super::{
    Error, Reading, Tx,
    delivery::{Delivery, flow_of},
    row::Cells,
};
use crate::{
    activity::{Activity, Basis, Event, Outcome},
    reason::Reason,
    referral::{CaseId, DeliveryId, Errand, InterventionNumber, ReferralId, System, Walk},
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
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            )?;
            statement.execute(params![
                activity.delivery.map(|id| id.0),
                self.now.timestamp_millis(),
                activity.event.code(),
                activity.post.filter(|_| !of_delivery).map(Uuid::into_bytes),
                activity.addressee.filter(|_| !of_delivery).map(System::code),
                number,
                case,
                activity.referral.filter(|_| !of_delivery).map(|id| id.0.into_bytes()),
                activity.attempt,
                activity.outcome.map(Outcome::code),
                activity.reason.map(Reason::code),
                (!activity.fields.is_empty()).then(|| activity.fields.join(" ")),
                activity.status,
                activity.basis.map(Basis::code),
                activity.new_case,
                activity.count,
                activity.due.map(|time| time.timestamp_millis()),
                activity.noticed.map(|time| time.timestamp_millis()),
                activity.who,
            ])?;
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
    /// The place of the newest line; 0 if there is none.
    pub fn newest_line(&self) -> Result<i64, Error> {
        Ok(self.connection.prepare_cached("SELECT coalesce(max(rowid), 0) FROM story")?.query_row([], |row| row.get(0))?)
    }

    /// The lines wanted, oldest first, at most `most` of them.
    pub fn story(&self, wanted: &Wanted, most: u32) -> Result<Vec<Line>, Error> {
        // A delivery's own lines are found by their index; for anything else all are looked through.
        let of_delivery = if wanted.delivery.is_some() { "story.delivery = :delivery" } else { ":delivery IS NULL" };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT story.rowid, story.time, story.event, d.errand, d.walk, coalesce(d.post, story.post), story.delivery, story.addressee,
                coalesce(d.intervention, story.intervention), coalesce(d.case_id, story.case_id), coalesce(d.referral, story.referral),
                story.attempt, story.outcome, story.reason, story.fields, story.status, story.basis, story.new_case, story.count,
                story.due, story.noticed, story.who
             FROM story LEFT JOIN deliveries d ON d.id = story.delivery
             WHERE story.rowid > :after AND {of_delivery}
               AND (:since IS NULL OR story.time >= :since)
               AND (:intervention IS NULL OR coalesce(d.intervention, story.intervention) = :intervention)
               AND (:case_id IS NULL OR coalesce(d.case_id, story.case_id) = :case_id)
             ORDER BY story.rowid LIMIT :most",
        ))?;
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
    let mut cells = Cells::of(row);
    let place = cells.get()?;
    let time = cells.time()?.ok_or_else(|| cells.unreadable())?;
    let event = cells.code(Event::from_code)?.ok_or_else(|| cells.unreadable())?;
    let errand = cells.code(Errand::from_code)?;
    let walk = cells.code(Walk::from_code)?;
    let activity = Activity {
        flow: errand.map(|errand| flow_of(errand, walk)),
        errand,
        post: cells.uuid()?,
        delivery: cells.get::<Option<i64>>()?.map(DeliveryId),
        addressee: cells.code(System::from_code)?.or(errand.map(Errand::addressee)),
        intervention: cells.parsed()?,
        case: cells.parsed()?,
        referral: cells.uuid()?.map(ReferralId),
        attempt: cells.get()?,
        outcome: cells.code(Outcome::from_code)?,
        reason: cells.code(Reason::from_code)?,
        fields: cells.names()?,
        status: cells.get()?,
        basis: cells.code(Basis::from_code)?,
        new_case: cells.get()?,
        count: cells.get()?,
        due: cells.time()?,
        noticed: cells.time()?,
        who: cells.get()?,
        ..Activity::new(event)
    };
    Ok(Line { place, time, activity })
}
