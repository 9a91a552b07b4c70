//! One delivery, or one entry of the list, with its story line by line, in the words of the command line.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::Method,
    response::Response,
};
use maud::{Markup, html};

use super::{
    Source,
    frame::{Mood, badge, commands, counted, moment, prose, state_badge, time, time_and_span},
    list,
    number::{self, CaseNumber},
    refusal::Refusal,
};
use crate::{
    referral::DeliveryId,
    spool::{
        Error, Reading,
        delivery::Delivery,
        list::Entry,
        story::{Line, Wanted},
    },
    standing::listed::for_number,
    words::{names, sentence, words},
    zone::Zone,
};

/// How many lines are read at a time.
const AT_A_TIME: u32 = 500;
/// How many lines of a story are shown; a delivery that is tried again for a week has some hundreds.
const MOST: usize = 2000;

/// What stands in the state about a number.
struct About {
    delivery: Option<Delivery>,
    attempted: bool,
    entries: Vec<Entry>,
    lines: Vec<Line>,
}

pub(super) async fn page(
    State(source): State<Source>,
    method: Method,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|_| Refusal::NothingHere)?;
    let plain = !id.is_empty() && id.len() <= 19 && id.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| plain).map(DeliveryId).ok_or(Refusal::NothingHere)?;
    let about = source.read(move |reading| read(reading, id)).await?.ok_or(Refusal::NothingHere)?;
    let number = match &about.delivery {
        // Whoever wants the head alone is shown no number.
        Some(delivery) if method == Method::GET => match delivery.about.case_key {
            Some(key) => Some(number::of_case(&source, key, delivery.about.case_id.as_ref()).await),
            None => None,
        },
        Some(_) | None => None,
    };
    let title = match &about.delivery {
        Some(delivery) => format!("Delivery {}", delivery.id),
        None => format!("Entry {id}"),
    };
    let (zone, now) = (source.programme.settings.schedule.time_zone, source.now());
    let content = html! {
        h1 { (title) }
        @if let Some(delivery) = &about.delivery {
            p.lead { (names::errand(delivery.errand)) " " (state_badge(delivery.state, about.attempted)) }
            @if let Some(reason) = delivery.reason {
                section.needs.(if delivery.settled.is_none() { "warn" } else { "off" }) aria-labelledby="why" {
                    h2 #why { "Why it stands there" }
                    p { (words(reason).happened) }
                    p { (prose(&for_number(words(reason).to_do, delivery.id))) }
                }
            }
            (facts(delivery, number.as_ref(), zone, now))
        }
        @if !about.entries.is_empty() {
            section aria-labelledby="entries" {
                h2 #entries { "On the operator's list" }
                ol.entries { @for entry in &about.entries { (list::shown(entry, zone, now, 3)) } }
            }
        }
        (story(&about.lines, zone))
        @if let Some(delivery) = about.delivery.as_ref().filter(|delivery| delivery.settled.is_none()) {
            section aria-labelledby="commands" {
                h2 #commands { "Commands" }
                (commands("", &format!("referrald deliveries show {}", delivery.id)))
            }
        }
    };
    source.show(&title, Some("/deliveries"), content).await
}

/// A number is that of a delivery or of an entry: one sequence for both.
fn read(reading: &Reading<'_>, id: DeliveryId) -> Result<Option<About>, Error> {
    let entries = reading.entries_of(id)?;
    let meant = entries.iter().find(|entry| entry.id == id).map_or(Some(id), |entry| entry.delivery);
    let delivery = match meant {
        Some(id) => reading.delivery(id)?,
        None => None,
    };
    if entries.is_empty() && delivery.is_none() {
        return Ok(None);
    }
    let mut wanted = Wanted { delivery: Some(meant.unwrap_or(id)), ..Wanted::default() };
    let mut lines = Vec::new();
    while lines.len() < MOST {
        let more = reading.story(&wanted, AT_A_TIME)?;
        let Some(last) = more.last() else { break };
        wanted.after = last.place;
        lines.extend(more);
    }
    let attempted = delivery.as_ref().is_some_and(|delivery| reading.is_attempted(delivery.id));
    Ok(Some(About { delivery, attempted, entries, lines }))
}

fn facts(delivery: &Delivery, number: Option<&CaseNumber>, zone: Zone, now: chrono::DateTime<chrono::Utc>) -> Markup {
    let about = &delivery.about;
    let attempts = match delivery.attempts {
        0 => "none yet".to_owned(),
        many => counted(u64::from(many), "attempt", "attempts"),
    };
    let row = |name: &str, value: Markup| html! { tr { th scope="row" { (name) } td { (value) } } };
    html! {
        section aria-labelledby="facts" {
            h2 #facts { "Facts" }
            table.facts {
                caption.unseen { "What is known of delivery " (delivery.id) }
                tbody {
                    (row("Flow", html! { (names::flow(delivery.flow())) }))
                    @match number {
                        Some(CaseNumber::Known(number)) => (row("Case number", html! { strong.id { (number) } " " span.quiet { "read from Primero now" } })),
                        Some(CaseNumber::NotShown(why)) => (row("Case number", html! { span.quiet { "not shown: " (why) } })),
                        None => {}
                    }
                    @if let Some(case) = &about.case_id { (row("Case id", html! { a.id href={ "/deliveries?case=" (case) } { (case) } })) }
                    @if let Some(number) = &about.intervention {
                        (row("Intervention", html! { a.id href={ "/deliveries?intervention=" (number) } { (number) } }))
                    }
                    @if let Some(referral) = about.referral { (row("Referral in Primero", html! { span.id { (referral) } })) }
                    @if let Some(outgoing) = &about.outgoing { (row("Known to UNHCR as", html! { span.id { (outgoing) } })) }
                    @if let Some(decision) = about.decision { (row("Decision", html! { (decision) })) }
                    @if let Some(basis) = delivery.basis { (row("Ground", html! { (basis.code().replace('_', " ")) })) }
                    (row("Made", time_and_span(delivery.made, zone, now)))
                    (row("Attempts", html! { (attempts) }))
                    @match delivery.settled {
                        Some(settled) => (row("Settled", time_and_span(settled, zone, now))),
                        None => (row("Due", html! { (time(delivery.due, zone)) })),
                    }
                    @if let Some(held) = delivery.held_since { (row("First held", time_and_span(held, zone, now))) }
                    @if let Some(behind) = delivery.behind {
                        (row("Waits behind", html! { a href={ "/deliveries/" (behind) } { "delivery " (behind) } }))
                    }
                    @if delivery.settled.is_none() && delivery.may_have_acted {
                        (row("Careful", badge(Mood::Warn, "something of it may stand on the other side")))
                    }
                }
            }
        }
    }
}

fn story(lines: &[Line], zone: Zone) -> Markup {
    html! {
        section aria-labelledby="story" {
            h2 #story { "What happened" }
            @if lines.is_empty() {
                p.empty { "Nothing is written down about it yet." }
            } @else {
                ol.story {
                    @for line in lines {
                        li { span.when { (moment(line.time, zone)) } " " span.what { (sentence(&line.activity, zone)) } }
                    }
                }
                @if lines.len() >= MOST { p.quiet { "There is more: " code { "referrald deliveries show" } " prints all of it." } }
            }
        }
    }
}
