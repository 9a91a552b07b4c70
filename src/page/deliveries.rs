//! Deliveries, newest first, by filters that stand in the address.

use axum::{
    extract::{self, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use super::{
    Source,
    frame::{grouped, state_badge, time},
    query::Query,
    refusal::Refusal,
};
use crate::{
    config::first_moment,
    reason::Reason,
    referral::{self, CaseId, DeliveryId, Flow, InterventionNumber},
    spool::{
        delivery::Delivery,
        search::{Found, Next, Search},
    },
    words::{names, words},
};

/// How many stand on a page.
const MOST: usize = 50;
/// What an address may hold.
const FIELDS: [&str; 8] = ["flow", "state", "reason", "intervention", "case", "from", "to", "below"];

/// What is asked, as it stands in the form.
#[derive(Clone, Debug, Default)]
struct Asked {
    flow: Option<Flow>,
    state: Option<referral::State>,
    reason: Option<Reason>,
    intervention: Option<InterventionNumber>,
    case: Option<CaseId>,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    below: Option<DeliveryId>,
}

pub(super) async fn page(
    State(source): State<Source>,
    extract::Query(fields): extract::Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let query = Query::of(fields, &FIELDS)?;
    let mut wrong = Vec::new();
    let asked = asked(&query, &mut wrong);
    if !wrong.is_empty() {
        let content = html! {
            h1 { "Deliveries" }
            section.needs.bad #wrong role="alert" {
                h2 { "A filter cannot be understood" }
                ul { @for (name, must_be) in &wrong { li { strong { (label(name)) } " must be " (must_be) "." } } }
            }
            (form(&asked, &wrong))
        };
        let page = source.show("A filter cannot be understood", Some("/deliveries"), content).await?;
        return Ok((StatusCode::BAD_REQUEST, page).into_response());
    }
    let zone = source.programme.settings.schedule.time_zone;
    let search = Search {
        flow: asked.flow,
        state: asked.state,
        reason: asked.reason,
        intervention: asked.intervention.clone(),
        case: asked.case.clone(),
        from: asked.from.and_then(|day| first_moment(day, zone)),
        before: asked.to.and_then(|day| first_moment(day.checked_add_days(Days::new(1))?, zone)),
        below: asked.below,
    };
    let (found, attempted) = source
        .read(move |reading| {
            let found = reading.search(&search, MOST)?;
            let attempted: Vec<bool> = found.deliveries.iter().map(|delivery| reading.is_attempted(delivery.id)).collect();
            Ok((found, attempted))
        })
        .await?;
    let content = html! {
        h1 { "Deliveries" }
        (form(&asked, &[]))
        section aria-labelledby="found" {
            h2 #found { (heading(&asked, &found)) }
            @if found.deliveries.is_empty() {
                p.empty { (nothing(&asked, found.next)) }
            } @else {
                table.deliveries.stacked {
                    thead {
                        tr {
                            th scope="col" { "Number" }
                            th scope="col" { "What" }
                            th scope="col" { "State" }
                            th scope="col" { "About" }
                            th scope="col" { "Made" }
                        }
                    }
                    tbody { @for (delivery, attempted) in found.deliveries.iter().zip(attempted) { (row(delivery, attempted, &source)) } }
                }
            }
            (ways_on(&asked, found.next))
        }
    };
    source.show("Deliveries", Some("/deliveries"), content).await
}

/// Reads every field; those that are wrong are named.
fn asked(query: &Query, wrong: &mut Vec<(&'static str, &'static str)>) -> Asked {
    fn keep<T>(read: Result<Option<T>, Refusal>, wrong: &mut Vec<(&'static str, &'static str)>) -> Option<T> {
        read.unwrap_or_else(|refusal| {
            if let Refusal::Field(name, must_be) = refusal {
                wrong.push((name, must_be));
            }
            None
        })
    }
    const ONE_OF: &str = "one of those in the list";
    const NUMBER: &str = "1 to 64 of the characters A-Z a-z 0-9 . - _ /";
    let mut asked = Asked {
        flow: keep(query.get("flow", ONE_OF, Flow::from_code), wrong),
        state: keep(query.get("state", ONE_OF, referral::State::from_code), wrong),
        reason: keep(query.get("reason", ONE_OF, Reason::from_code), wrong),
        intervention: keep(query.get("intervention", NUMBER, |text| text.parse().ok()), wrong),
        case: keep(query.get("case", NUMBER, |text| text.parse().ok()), wrong),
        from: keep(query.day("from"), wrong),
        to: keep(query.day("to"), wrong),
        below: None,
    };
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0).map(DeliveryId);
    asked.below = keep(query.get("below", "the number of a delivery", number), wrong);
    if asked.from.zip(asked.to).is_some_and(|(from, to)| to < from) {
        wrong.push(("to", "the same day as “made from” or a later one"));
    }
    asked
}

/// How a field is called.
fn label(name: &str) -> &'static str {
    match name {
        "flow" => "Flow",
        "state" => "State",
        "reason" => "Reason",
        "intervention" => "Intervention number",
        "case" => "Case id",
        "from" => "Made from",
        "to" => "Made until",
        _ => "Page",
    }
}

fn form(asked: &Asked, wrong: &[(&str, &str)]) -> Markup {
    let is_wrong = |name: &str| wrong.iter().any(|(of, _)| *of == name);
    let invalid = |name: &str| is_wrong(name).then_some("true");
    let because = |name: &str| is_wrong(name).then_some("wrong");
    let text = |name: &'static str, value: Option<&str>| {
        html! {
            p.field {
                label for=(name) { (label(name)) }
                input #(name) type="text" name=(name) value=[value] maxlength="64" autocomplete="off" spellcheck="false"
                    aria-invalid=[invalid(name)] aria-describedby=[because(name)];
            }
        }
    };
    let day = |name: &'static str, value: Option<NaiveDate>| {
        html! {
            p.field {
                label for=(name) { (label(name)) }
                input #(name) type="date" name=(name) value=[value] aria-invalid=[invalid(name)] aria-describedby=[because(name)];
            }
        }
    };
    html! {
        form.filters method="get" action="/deliveries" role="search" aria-label="Filters" {
            p.field {
                label for="flow" { (label("flow")) }
                select #flow name="flow" aria-invalid=[invalid("flow")] aria-describedby=[because("flow")] {
                    option value="" { "both" }
                    @for flow in Flow::ALL { option value=(flow.code()) selected[asked.flow == Some(*flow)] { (names::flow(*flow)) } }
                }
            }
            p.field {
                label for="state" { (label("state")) }
                select #state name="state" aria-invalid=[invalid("state")] aria-describedby=[because("state")] {
                    option value="" { "any" }
                    @for state in referral::State::ALL {
                        option value=(state.code()) selected[asked.state == Some(*state)] { (names::state(*state)) }
                    }
                }
            }
            p.field {
                label for="reason" { (label("reason")) }
                select #reason name="reason" aria-invalid=[invalid("reason")] aria-describedby=[because("reason")] {
                    option value="" { "any" }
                    @for reason in sorted_reasons() {
                        option value=(reason.code()) selected[asked.reason == Some(reason)] { (reason.code().replace('_', " ")) }
                    }
                }
            }
            (text("intervention", asked.intervention.as_ref().map(InterventionNumber::as_str)))
            (text("case", asked.case.as_ref().map(CaseId::as_str)))
            (day("from", asked.from))
            (day("to", asked.to))
            p.field.act {
                button type="submit" { "Show" }
                " " a href="/deliveries" { "All" }
            }
        }
    }
}

fn sorted_reasons() -> Vec<Reason> {
    let mut reasons = Reason::ALL.to_vec();
    reasons.sort_by_key(|reason| reason.code());
    reasons
}

fn heading(asked: &Asked, found: &Found) -> String {
    let count = found.deliveries.len();
    let which = if asked.is_everything() { "" } else { " that match" };
    match (count, found.next) {
        (0, _) => "Nothing found".to_owned(),
        (1, Next::End) if asked.below.is_none() => format!("1 delivery{which}"),
        (_, Next::End) if asked.below.is_none() => format!("{count} deliveries{which}, newest first"),
        _ if asked.below.is_none() => format!("The newest {count} deliveries{which}"),
        _ => format!("{count} more deliveries{which}, newest first"),
    }
}

fn nothing(asked: &Asked, next: Next) -> &'static str {
    match next {
        Next::Unseen(_) => "None of those looked through matches. There are older ones that nobody has looked at yet.",
        Next::End | Next::More(_) if asked.below.is_some() => "There is nothing older.",
        Next::End | Next::More(_) if asked.is_everything() => {
            "Nothing was delivered yet. Deliveries come here when UNHCR posts a referral, or a case worker refers a child to UNHCR."
        }
        Next::End | Next::More(_) => "No delivery matches these filters. What is settled is dropped after some months.",
    }
}

fn row(delivery: &Delivery, attempted: bool, source: &Source) -> Markup {
    let (zone, id) = (source.programme.settings.schedule.time_zone, delivery.id);
    html! {
        tr {
            th scope="row" { a href={ "/deliveries/" (id) } { span.unseen { "Delivery " } (id) } }
            td { (names::errand(delivery.errand)) }
            td {
                (state_badge(delivery.state, attempted))
                @if let Some(reason) = delivery.reason { p.quiet { (words(reason).happened) } }
            }
            td { (about(delivery)) }
            td { (time(delivery.made, zone)) }
        }
    }
}

/// What a delivery is about: the numbers by which people find it.
pub(super) fn about(delivery: &Delivery) -> Markup {
    let about = &delivery.about;
    html! {
        @if let Some(number) = &about.intervention { p { span.kind { "intervention " } span.id { (number) } } }
        @if let Some(case) = &about.case_id { p { span.kind { "case " } span.id { (case) } } }
        @if about.intervention.is_none() && about.case_id.is_none() {
            @match &about.outgoing {
                Some(outgoing) => p { span.kind { "referral " } span.id { (outgoing) } },
                None => span.quiet { "no number" },
            }
        }
    }
}

fn ways_on(asked: &Asked, next: Next) -> Markup {
    html! {
        nav.pages aria-label="Pages of deliveries" {
            @if asked.below.is_some() { a href=(asked.address(None)) { "Newest" } }
            @match next {
                Next::End => {}
                Next::More(below) => a rel="next" href=(asked.address(Some(below))) { "Older" },
                Next::Unseen(below) => {
                    span { "Looked back to number " (grouped(below.0.unsigned_abs())) "." }
                    a rel="next" href=(asked.address(Some(below))) { "Look further back" }
                }
            }
        }
    }
}

impl Asked {
    fn is_everything(&self) -> bool {
        let Self { flow, state, reason, intervention, case, from, to, below: _ } = self;
        flow.is_none()
            && state.is_none()
            && reason.is_none()
            && intervention.is_none()
            && case.is_none()
            && from.is_none()
            && to.is_none()
    }

    /// The address of the same question, from another number on. No value here can mean anything else in an address.
    fn address(&self, below: Option<DeliveryId>) -> String {
        let fields = [
            ("flow", self.flow.map(|flow| flow.code().to_owned())),
            ("state", self.state.map(|state| state.code().to_owned())),
            ("reason", self.reason.map(|reason| reason.code().to_owned())),
            ("intervention", self.intervention.as_ref().map(ToString::to_string)),
            ("case", self.case.as_ref().map(ToString::to_string)),
            ("from", self.from.map(|day| day.to_string())),
            ("to", self.to.map(|day| day.to_string())),
            ("below", below.map(|id| id.to_string())),
        ];
        let fields: Vec<String> = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
        if fields.is_empty() { "/deliveries".to_owned() } else { format!("/deliveries?{}", fields.join("&")) }
    }
}
