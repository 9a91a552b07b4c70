//! The operator's list, oldest first: what happened, what to do, and the command that does it.

use axum::{
    extract::{self, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    Source,
    frame::{commands, counted, prose, time, time_and_span},
    query::Query,
    refusal::Refusal,
};
use crate::{referral::DeliveryId, spool::list::Entry, standing::listed::listed, zone::Zone};

/// How many stand on a page.
const MOST: usize = 100;

pub(super) async fn page(
    State(source): State<Source>,
    extract::Query(fields): extract::Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let query = Query::of(fields, &["after"])?;
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0).map(DeliveryId);
    let after = query.get("after", "the number of an entry", number)?;
    let (mut entries, (all, _)) = source
        .read(move |reading| Ok((reading.open_entries_after(after.unwrap_or(DeliveryId(0)), MOST + 1)?, reading.list_size()?)))
        .await?;
    let more = entries.len() > MOST;
    entries.truncate(MOST);
    let (zone, now) = (source.programme.settings.schedule.time_zone, source.now());
    let content = html! {
        h1 { "Operator's list" }
        @if entries.is_empty() {
            p.empty {
                @if after.is_some() { "There is nothing younger." }
                @else { "Nothing waits for a person. An entry comes here when somebody must act, and leaves when it is done or resolved." }
            }
        } @else {
            p { (counted(all, "entry", "entries")) ", oldest first. An entry leaves when it is done by itself, or when a person resolves it." }
            ol.entries { @for entry in &entries { (shown(entry, zone, now, 2)) } }
        }
        nav.pages aria-label="Pages of the list" {
            @if after.is_some() { a href="/list" { "Oldest" } }
            @if let Some(last) = entries.last().filter(|_| more) { a rel="next" href={ "/list?after=" (last.id) } { "Younger" } }
        }
    };
    source.show("Operator's list", Some("/list"), content).await
}

/// One entry; its name is a heading of this level.
pub(super) fn shown(entry: &Entry, zone: Zone, now: DateTime<Utc>, level: u8) -> Markup {
    let told = listed(entry);
    let mut title: String = told.title.chars().take(1).flat_map(char::to_uppercase).collect();
    title.extend(told.title.chars().skip(1));
    let name = html! { span.number { (entry.id) } " " (title) };
    let about = entry.delivery.map_or(entry.id, |delivery| delivery);
    html! {
        li.entry id={ "entry-" (entry.id) } {
            @if level == 2 { h2 { (name) } } @else { h3 { (name) } }
            p.quiet {
                "since " (time_and_span(entry.made, zone, now))
                @if entry.count > 1 { ", " (counted(entry.count, "time", "times")) }
                @if let Some(closed) = entry.closed { "; off the list since " (time(closed, zone)) }
            }
            p { (told.happened) }
            @if !entry.fields.is_empty() { p { "Fields: " @for (n, field) in entry.fields.iter().enumerate() { @if n > 0 { ", " } code { (field) } } } }
            p.references {
                @if let Some(delivery) = entry.delivery { a href={ "/deliveries/" (delivery) } { "delivery " (delivery) } " " }
                // Its own page, where the number of the case is.
                @else if entry.case.is_some() { a href={ "/deliveries/" (entry.id) } { "entry " (entry.id) } " " }
                @if let Some(number) = &entry.intervention { span { span.kind { "intervention " } span.id { (number) } } " " }
                @if let Some(case) = &entry.case { span { span.kind { "case " } span.id { (case) } } " " }
                @if let Some(status) = entry.status { span { span.kind { "status " } (status) } " " }
                @if let Some(reason) = entry.reason { span { span.kind { "reason " } code { (reason) } } }
            }
            @if entry.closed.is_none() {
                p.do { strong { "What to do: " } (prose(&told.to_do)) }
                (commands(&told.to_do, &format!("referrald deliveries show {about}")))
            }
        }
    }
}
