//! Counts without ids: per day, flow, kind of service, errand and what became of it, and decision.
//!
//! A delivery is counted on the day when it was made, when it was first held, and when it was settled, each once; so what was
//! open at the end of a day can be said from the counts alone. A look leaves no trace, so it is not counted either.
//! A day is a day of the programme's zone.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rusqlite::{Connection, Row};

use super::{Error, Reading, Tx, delivery::Delivery, row::Cells};
use crate::referral::{Decision, Errand, Flow, State};

/// What is counted of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// It was made.
    Made,
    /// A person must decide, for the first time.
    Held,
    /// It was settled.
    Ended(State),
}

impl Step {
    const fn code(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Held => "held",
            Self::Ended(state) => state.code(),
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        match code {
            "made" => Some(Self::Made),
            "held" => Some(Self::Held),
            _ => State::from_code(code).filter(|state| state.is_settled()).map(Self::Ended),
        }
    }
}

/// How often something happened on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfDay {
    /// The day, in the programme's zone.
    pub day: NaiveDate,
    /// What was to be done.
    pub errand: Errand,
    /// What became of it.
    pub step: Step,
    /// How often.
    pub count: u64,
}

/// How often something was delivered in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfMonth {
    /// Which flow.
    pub flow: Flow,
    /// What was done.
    pub errand: Errand,
    /// Primero's kind of service, where it is known.
    pub service_type: Option<String>,
    /// Of a decision: which.
    pub decision: Option<Decision>,
    /// How often.
    pub count: u64,
}

/// What a transaction counts, added up until its commit.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<Counter, i64>);

/// One row of the counters: flow, service type, errand and step, decision.
type Counter = (Flow, String, Errand, Step, Option<Decision>);

impl Counted {
    /// Takes in what another job counted.
    pub(super) fn add(&mut self, other: Self) {
        for (counter, count) in other.0 {
            *self.0.entry(counter).or_default() += count;
        }
    }

    /// Stores what was counted, on this day.
    pub(super) fn store(&self, connection: &Connection, day: NaiveDate) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let day = day.to_string();
        let mut statement = connection.prepare_cached(
            "INSERT INTO counters VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (day, flow, service_type, outcome, decision) DO UPDATE SET count = count + ?6",
        )?;
        for ((flow, service_type, errand, step, decision), count) in &self.0 {
            let outcome = format!("{errand} {}", step.code());
            statement.execute((&day, flow.code(), service_type, outcome, decision.map_or("", Decision::code), count))?;
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Counts what becomes of a delivery now.
    pub(super) fn count(&mut self, delivery: &Delivery, step: Step, service_type: Option<&str>) {
        if delivery.errand == Errand::Look {
            return;
        }
        let decision = match step {
            Step::Ended(_) => delivery.about.decision,
            // What is decided may become known, or change, until it is told.
            Step::Made | Step::Held => None,
        };
        let counter = (delivery.flow(), service_type.unwrap_or_default().to_owned(), delivery.errand, step, decision);
        *self.told.counted.0.entry(counter).or_default() += 1;
    }
}

impl Reading<'_> {
    /// What happened on each day from `since` on, over all kinds of service.
    pub fn days(&self, since: NaiveDate) -> Result<Vec<OfDay>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT day, outcome, sum(count) FROM counters WHERE day >= ?1 GROUP BY day, outcome ORDER BY day")?;
        let rows = statement.query_map([since.to_string()], |row| {
            let mut cells = Cells::of(row);
            let day = cells.parsed()?.ok_or_else(|| cells.unreadable())?;
            let (errand, step) = outcome(&mut cells)?;
            Ok(OfDay { day, errand, step, count: cells.get()? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was delivered in the month that begins on `first`.
    pub fn delivered_in(&self, first: NaiveDate) -> Result<Vec<OfMonth>, Error> {
        let next = first.checked_add_months(chrono::Months::new(1)).unwrap_or(NaiveDate::MAX);
        let last = next.checked_sub_days(Days::new(1)).unwrap_or(first);
        let mut statement = self.connection.prepare_cached(
            "SELECT flow, outcome, service_type, decision, sum(count) FROM counters WHERE day BETWEEN ?1 AND ?2
             GROUP BY flow, outcome, service_type, decision ORDER BY flow, service_type, outcome, decision",
        )?;
        let rows = statement.query_map([first.to_string(), last.to_string()], of_month)?;
        let delivered = |(step, row): (Step, OfMonth)| (step == Step::Ended(State::Delivered)).then_some(row);
        let rows = rows.filter_map(|row| row.map(delivered).transpose());
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first day of which anything is counted.
    pub fn first_day(&self) -> Result<Option<NaiveDate>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT min(day) FROM counters")?;
        Ok(statement.query_row([], |row| Cells::of(row).parsed())?)
    }

    /// How many deliveries were ever settled, by errand and state (`send_feedback delivered`).
    pub fn settled(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT outcome, sum(count) FROM counters WHERE outcome NOT LIKE '% made' AND outcome NOT LIKE '% held'
             GROUP BY outcome ORDER BY 1",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The counters: day, flow, service type, outcome, decision, count.
    pub fn counters(&self) -> Result<Vec<[String; 6]>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT day, flow, service_type, outcome, decision, count FROM counters")?;
        let rows = statement.query_map([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get::<_, i64>(5)?.to_string()])
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The next cell: errand and step, as in `send_feedback delivered`.
fn outcome(cells: &mut Cells<'_>) -> rusqlite::Result<(Errand, Step)> {
    let text = cells.text()?.unwrap_or_default();
    let known = text.split_once(' ').and_then(|(errand, step)| Some((Errand::from_code(errand)?, Step::from_code(step)?)));
    known.ok_or_else(|| cells.unreadable())
}

fn of_month(row: &Row<'_>) -> rusqlite::Result<(Step, OfMonth)> {
    let mut cells = Cells::of(row);
    let flow = cells.code(Flow::from_code)?.ok_or_else(|| cells.unreadable())?;
    let (errand, step) = outcome(&mut cells)?;
    let service_type = cells.text()?.filter(|text| !text.is_empty()).map(str::to_owned);
    let decision = match cells.text()? {
        None | Some("") => None,
        Some(code) => Some(Decision::from_code(code).ok_or_else(|| cells.unreadable())?),
    };
    Ok((step, OfMonth { flow, errand, service_type, decision, count: cells.get()? }))
}
