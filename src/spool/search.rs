//! Deliveries that a person looks for, newest first, a page at a time.
//!
//! However many there are, a page costs about the same: each kind of question has its index, and where none helps, so many rows are
//! looked at and no more; then the answer says how far it came. What it finds is never too much for memory.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, ToSql};

use super::{
    Error, Reading,
    delivery::{COLUMNS, Delivery},
};
use crate::{
    reason::Reason,
    referral::{CaseId, DeliveryId, Flow, InterventionNumber, State},
};

/// How many rows are looked at for one page.
const MOST_LOOKED_AT: i64 = 20_000;
/// A wall clock may be set back by so much without a delivery being missed by its time.
const SET_BACK: TimeDelta = TimeDelta::days(1);
/// What belongs to UNHCR's requests; all else belongs to those of case workers.
const TO_PRIMERO: &str = "(errand IN ('open_intervention', 'send_feedback', 'report_decision') OR walk = 'decisions')";

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// In this flow.
    pub flow: Option<Flow>,
    /// In this state.
    pub state: Option<State>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// About this intervention.
    pub intervention: Option<InterventionNumber>,
    /// About this case.
    pub case: Option<CaseId>,
    /// Made then or later.
    pub from: Option<DateTime<Utc>>,
    /// Made before then.
    pub before: Option<DateTime<Utc>>,
    /// With a smaller number than this.
    pub below: Option<DeliveryId>,
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The deliveries, newest first.
    pub deliveries: Vec<Delivery>,
    /// Where to go on.
    pub next: Next,
}

/// Where a search goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nowhere: there is nothing more.
    End,
    /// There are more below this number.
    More(DeliveryId),
    /// Below this number nobody has looked yet.
    Unseen(DeliveryId),
}

impl Reading<'_> {
    /// A page of at most `most` deliveries.
    pub fn search(&self, search: &Search, most: usize) -> Result<Found, Error> {
        let end = |deliveries| Ok(Found { deliveries, next: Next::End });
        let below = match search.before {
            Some(before) => self.first_made(before + SET_BACK)?,
            None => None,
        };
        let below = [below, search.below.map(|id| id.0)].into_iter().flatten().min().unwrap_or(i64::MAX);
        let above = match search.from {
            Some(from) => match self.first_made(from - SET_BACK)? {
                Some(id) => id,
                None => return end(Vec::new()),
            },
            None => 0,
        };

        let (index, condition) = way(search);
        let (state, reason, flow) = (search.state.map(State::code), search.reason.map(Reason::code), search.flow.map(Flow::code));
        let intervention = search.intervention.as_ref().map(InterventionNumber::as_str);
        let case = search.case.as_ref().map(CaseId::as_str);
        let tail = case.map(tail);
        let from = search.from.map_or(i64::MIN, |time| time.timestamp_millis());
        let before = search.before.map_or(i64::MAX, |time| time.timestamp_millis());
        let (asked, last) = (most as i64 + 1, MOST_LOOKED_AT - 1);
        let all: [(&str, &dyn ToSql); 13] = [
            (":below", &below),
            (":above", &above),
            (":looked_at", &MOST_LOOKED_AT),
            (":last", &last),
            (":state", &state),
            (":reason", &reason),
            (":flow", &flow),
            (":intervention", &intervention),
            (":case_id", &case),
            (":tail", &tail),
            (":from", &from),
            (":before", &before),
            (":asked", &asked),
        ];
        let looked_at = format!("FROM deliveries {index} WHERE {condition} AND id < :below AND id >= :above ORDER BY id DESC");
        // SQLite takes the rows of the inner query one after the other, in its order, until enough fit.
        let found = format!(
            "SELECT {COLUMNS} FROM deliveries WHERE id IN (
                SELECT id FROM (SELECT id, errand, walk, state, reason, intervention, case_id, made {looked_at} LIMIT :looked_at)
                WHERE (:state IS NULL OR state = :state) AND (:reason IS NULL OR reason = :reason)
                  AND (:flow IS NULL OR CASE WHEN {TO_PRIMERO} THEN 'to_primero' ELSE 'to_dtp' END = :flow)
                  AND (:intervention IS NULL OR intervention = :intervention) AND (:case_id IS NULL OR case_id = :case_id)
                  AND made >= :from AND made < :before
                LIMIT :asked)
             ORDER BY id DESC"
        );
        let mut statement = self.connection.prepare_cached(&found)?;
        let rows = statement.query_map(named_in(&found, &all).as_slice(), Delivery::from_row)?;
        let mut deliveries = rows.collect::<Result<Vec<_>, _>>()?;
        if deliveries.len() > most {
            deliveries.truncate(most);
            let last = deliveries.last().map_or(DeliveryId(below), |last| last.id);
            return Ok(Found { deliveries, next: Next::More(last) });
        }
        let seen_last = format!("SELECT id {looked_at} LIMIT 1 OFFSET :last");
        let mut statement = self.connection.prepare_cached(&seen_last)?;
        let unseen: Option<i64> = statement.query_row(named_in(&seen_last, &all).as_slice(), |row| row.get(0)).optional()?;
        Ok(Found { deliveries, next: unseen.map_or(Next::End, |id| Next::Unseen(DeliveryId(id))) })
    }

    /// The first number of a delivery made at this time or later, if the wall clock was never set back: found by halving, because
    /// numbers and times grow together. `None` if none was.
    fn first_made(&self, time: DateTime<Utc>) -> Result<Option<i64>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, made FROM deliveries WHERE id >= ?1 ORDER BY id LIMIT 1")?;
        let mut at_or_after =
            |id: i64| statement.query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional();
        let (mut low, mut high) = (0, super::file::last_number(self.connection)? + 1);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match at_or_after(middle)? {
                Some((id, made)) if made < time.timestamp_millis() => low = id + 1,
                Some((id, _)) => {
                    found = Some(id);
                    high = middle;
                }
                None => high = middle,
            }
        }
        Ok(found)
    }
}

/// By which index the rows are looked at, and what it demands of them.
fn way(search: &Search) -> (&'static str, String) {
    if search.intervention.is_some() {
        ("INDEXED BY deliveries_intervention", "intervention = :intervention".to_owned())
    } else if search.case.is_some() {
        ("INDEXED BY deliveries_case_id", "case_id IS NOT NULL AND substr(case_id, -8) = :tail".to_owned())
    } else if search.state.is_some_and(|state| !state.is_settled()) {
        ("INDEXED BY deliveries_unsettled", "settled IS NULL".to_owned())
    } else if search.reason.is_some() {
        ("INDEXED BY deliveries_reason", "reason = :reason".to_owned())
    } else if search.state.is_some_and(|state| state != State::Delivered) {
        ("INDEXED BY deliveries_undelivered", "state = :state AND settled IS NOT NULL AND state <> 'delivered'".to_owned())
    } else {
        ("NOT INDEXED", "id > 0".to_owned())
    }
}

/// The end of a case id, by which it is found; the whole of a shorter one.
fn tail(case: &str) -> &str {
    case.get(case.len().saturating_sub(8)..).unwrap_or(case)
}

/// Those parameters that a statement names.
fn named_in<'a>(statement: &str, all: &[(&'a str, &'a dyn ToSql)]) -> Vec<(&'a str, &'a dyn ToSql)> {
    all.iter().copied().filter(|(name, _)| statement.contains(name)).collect()
}

#[cfg(test)]
mod tests;
