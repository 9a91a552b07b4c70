//! The register of transfers by month: how many referrals and decisions crossed, by flow and kind of service, made to be handed on.
//!
//! It is drawn from the counters alone, which hold no number of anybody; small counts are not shown ([`super::suppress`]).

use std::collections::BTreeMap;

use axum::{
    extract::{self, State},
    http::{HeaderValue, header},
    response::Response,
};
use chrono::{Datelike, Months, NaiveDate};
use maud::{Markup, html};

use super::{
    Source,
    frame::Mood,
    frame::badge,
    query::Query,
    refusal::Refusal,
    suppress::{Shown, Total, column},
    text,
};
use crate::{
    mapping::{
        Mapping,
        rules::{Message, Record, Source as From},
    },
    referral::{Decision, Errand, Flow},
    spool::counters::OfMonth,
    words::names,
};

/// How many months can be chosen; older ones by their address.
const MOST_MONTHS: usize = 120;
/// What is counted of each kind of service.
const COLUMNS: [&str; 3] = ["referrals", "accepted", "rejected"];

/// The same, for people.
const HEADS: [&str; 3] = ["Referrals", "Accepted", "Rejected"];

/// A month of the programme's zone, by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Month(NaiveDate);

impl Month {
    fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }

    fn from_code(code: &str) -> Option<Self> {
        let is_month = code.len() == 7
            && code.bytes().enumerate().all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() });
        if !is_month {
            return None;
        }
        NaiveDate::parse_from_str(&format!("{code}-01"), "%Y-%m-%d").ok().map(Self)
    }

    fn code(self) -> String {
        self.0.format("%Y-%m").to_string()
    }

    fn name(self) -> String {
        self.0.format("%B %Y").to_string()
    }

    fn before(self) -> Option<Self> {
        self.0.checked_sub_months(Months::new(1)).map(Self)
    }
}

/// What is shown of a flow in a month.
struct Sheet {
    flow: Flow,
    /// Kinds of service as people call them.
    services: Vec<String>,
    /// Of each column: what is shown of each service, and of all.
    columns: [(Vec<Shown>, Total); 3],
}

impl Sheet {
    fn of(flow: Flow, counts: &[OfMonth], mapping: &Mapping) -> Self {
        let mut rows = BTreeMap::<String, [u64; 3]>::new();
        for OfMonth { errand, service_type, decision, count, .. } in counts.iter().filter(|of| of.flow == flow) {
            let at = match (errand, decision) {
                (Errand::OpenIntervention | Errand::SendReferral, _) => 0,
                (Errand::ReportDecision | Errand::RecordDecision, Some(Decision::Accepted)) => 1,
                (Errand::ReportDecision | Errand::RecordDecision, Some(Decision::Rejected)) => 2,
                (Errand::ReportDecision | Errand::RecordDecision, None) | (Errand::SendFeedback | Errand::Look, _) => continue,
            };
            let name = service_type.as_deref().map_or_else(|| "not known".to_owned(), |code| service_name(mapping, code));
            rows.entry(name).or_default()[at] += count;
        }
        let columns = [0, 1, 2].map(|at| column(&rows.values().map(|row| row[at]).collect::<Vec<_>>()));
        Self { flow, services: rows.into_keys().collect(), columns }
    }
}

/// A kind of service as it was agreed to be called; else by its code in Primero.
fn service_name(mapping: &Mapping, code: &str) -> String {
    let agreed = mapping.rows().filter(|(message, _)| *message == Message::Referral).find_map(|(_, row)| match &row.source {
        From::Part(part) if part.record == Record::Service && part.name() == "service_type" => {
            part.lookup.as_ref()?.table.get(code).map(str::to_owned)
        }
        From::Part(_) | From::Constant(_) | From::Setting(_) | From::Given(..) | From::Join { .. } => None,
    });
    agreed.unwrap_or_else(|| code.replace('_', " "))
}

/// A month with everything that is shown of it.
struct Register {
    month: Month,
    this_month: Month,
    months: Vec<Month>,
    sheets: Vec<Sheet>,
}

impl Register {
    async fn read(source: &Source, fields: Vec<(String, String)>) -> Result<Self, Refusal> {
        let query = Query::of(fields, &["month"])?;
        let asked = query.get("month", "a month, such as 2027-06", Month::from_code)?;
        let zone = source.programme.settings.schedule.time_zone;
        let this_month = Month::of(source.now().with_timezone(&zone).date_naive());
        let (first, month, counts) = source
            .read(move |reading| {
                let first = reading.first_day()?.map(Month::of);
                // The last month that is over is the one that people hand on.
                let over = this_month.before().filter(|over| first.is_some_and(|first| first.0 <= over.0));
                let month = asked.or(over).unwrap_or(this_month);
                Ok((first, month, reading.delivered_in(month.0)?))
            })
            .await?;
        let first = first.unwrap_or(this_month);
        let months = std::iter::successors(Some(this_month), |month| month.before());
        Ok(Self {
            month,
            this_month,
            months: months.take_while(|month| month.0 >= first.0).take(MOST_MONTHS).collect(),
            sheets: Flow::ALL.iter().map(|flow| Sheet::of(*flow, &counts, &source.programme.mapping)).collect(),
        })
    }

    fn is_over(&self) -> bool {
        self.month.0 < self.this_month.0
    }
}

pub(super) async fn page(
    State(source): State<Source>,
    extract::Query(fields): extract::Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let register = Register::read(&source, fields).await?;
    let month = register.month;
    let content = html! {
        h1 { "Register of transfers" }
        form.filters method="get" action="/register" aria-label="Month" {
            p.field {
                label for="month" { "Month" }
                select #month name="month" {
                    @if !register.months.contains(&month) { option value=(month.code()) selected { (month.name()) } }
                    @for of in &register.months { option value=(of.code()) selected[*of == month] { (of.name()) } }
                }
            }
            p.field.act { button type="submit" { "Show" } }
        }
        section aria-labelledby="of-month" {
            h2 #of-month { (month.name()) }
            @if !register.is_over() {
                p { (badge(Mood::Warn, "not over yet")) " Do not hand it on: two copies of one month, compared, tell what happened between them." }
            }
            @for sheet in &register.sheets { (shown(sheet)) }
            p { a.file href={ "/register.csv?month=" (month.code()) } { "The same as a file (CSV)" } }
        }
        section aria-labelledby="how" {
            h2 #how { "How to read it" }
            ul {
                li { "A referral is counted in the month in which it reached the other system; a decision in the month in which it was told or recorded there, each time that it was." }
                li { "1 to 4 is shown as “<5”, because so small a number can point at a child. A total that would tell such a number is shown as from what to what it may be." }
                li { "Kinds of service are called as UNHCR was told, else as in Primero. Months are those of " (source.programme.settings.schedule.time_zone.name()) "." }
                li { "Only this page and its file are made to be handed on. The other pages show numbers of single referrals." }
            }
        }
    };
    source.show(&format!("Register, {}", month.name()), Some("/register"), content).await
}

fn shown(sheet: &Sheet) -> Markup {
    let name = names::flow(sheet.flow);
    html! {
        h3 { (name) }
        @if sheet.services.is_empty() {
            p.empty { "Nothing crossed in this month." }
        } @else {
            table.register {
                caption.unseen { (name) ": referrals and decisions by kind of service" }
                thead { tr { th scope="col" { "Kind of service" } @for column in HEADS { th.number scope="col" { (column) } } } }
                tbody {
                    @for (index, service) in sheet.services.iter().enumerate() {
                        tr {
                            th scope="row" { (service) }
                            @for (cells, _) in &sheet.columns { td.number { @if let Some(cell) = cells.get(index) { (cell) } } }
                        }
                    }
                }
                tfoot { tr { th scope="row" { "All" } @for (_, total) in &sheet.columns { td.number { (total) } } } }
            }
        }
    }
}

pub(super) async fn csv(
    State(source): State<Source>,
    extract::Query(fields): extract::Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let register = Register::read(&source, fields).await?;
    let month = register.month.code();
    let mut file = csv::Writer::from_writer(Vec::new());
    let mut rows = vec![
        ["programme", "month", "flow", "service"].map(str::to_owned).into_iter().chain(COLUMNS.map(str::to_owned)).collect(),
    ];
    for sheet in &register.sheets {
        let begin = |service: &str| {
            [&source.programme.settings.programme, &month, sheet.flow.code(), service]
                .map(harmless)
                .into_iter()
                .collect::<Vec<String>>()
        };
        for (index, service) in sheet.services.iter().enumerate() {
            let cells = sheet.columns.iter().filter_map(|(cells, _)| cells.get(index).map(ToString::to_string));
            rows.push(begin(service).into_iter().chain(cells).collect());
        }
        if !sheet.services.is_empty() {
            rows.push(begin("all").into_iter().chain(sheet.columns.iter().map(|(_, total)| total.to_string())).collect());
        }
    }
    // Writing rows of equal length into memory cannot fail; if it did, no half file is handed out.
    rows.iter().try_for_each(|row: &Vec<String>| file.write_record(row)).map_err(|_| Refusal::State)?;
    let bytes = file.into_inner().map_err(|_| Refusal::State)?;
    let mut response = text("text/csv; charset=utf-8", bytes);
    let name = format!("attachment; filename=\"register-{month}.csv\"");
    let name = HeaderValue::try_from(name).map_err(|_| Refusal::State)?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_like_a_formula() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("alternative care", "alternative care"),
            ("", ""),
        ] {
            assert_eq!(harmless(cell), written);
        }
    }

    #[test]
    fn a_month_is_a_year_and_a_month() {
        assert_eq!(Month::from_code("2026-03").unwrap().name(), "March 2026");
        assert_eq!(Month::from_code("2026-01").unwrap().before().unwrap().code(), "2025-12");
        for bad in ["", "2026", "2026-13", "2026-3", "2026-03-01", "-026-03", "20260-3", "+026-03", "２０２６-03"] {
            assert_eq!(Month::from_code(bad), None, "{bad}");
        }
    }
}
