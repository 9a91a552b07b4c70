//! How it stands now: what needs somebody first, then both systems, what waits, the readings, what ends some day, the last 30 days.

use axum::{extract::State, response::Response};
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::{
    Source,
    frame::{Mood, badge, counted, grouped, prose, span, time, time_and_span},
    picture::{self, Picture},
    refusal::Refusal,
};
use crate::{
    referral::{self, Flow},
    standing::{self, FlowState, Now, Room, Running, SystemNow, SystemState, WalkNow},
    words::{names, words},
};

/// What ends in less than this needs somebody.
const SOON: i64 = 30;

pub(super) async fn page(State(source): State<Source>) -> Result<Response, Refusal> {
    let programme = &source.programme;
    let running = Running { programme, walks: &source.walks };
    let now = standing::now(&programme.settings, &programme.spool, &programme.clock, Some(running)).await.map_err(|error| {
        tracing::error!(%error, "a page could not be read from the state");
        Refusal::State
    })?;
    let today = now.time.with_timezone(&now.zone).date_naive();
    let counts = source.read(move |reading| reading.days(picture::first_day(today))).await?;
    let pictures: Vec<Picture> = Flow::ALL.iter().map(|flow| Picture::of(*flow, today, &counts, &now.open)).collect();
    let content = html! {
        h1 { "How it stands now" }
        (needs(&now))
        div.columns {
            (systems(&now))
            (open(&now))
        }
        (readings(&now))
        (endings(&now))
        section aria-labelledby="days" {
            h2 #days { "The last 30 days" }
            p.quiet {
                "Referrals are counted on the day on which they ended, or were first held, or were found not to be allowed to leave; "
                "one that was held and then delivered counts as both. "
                "“Open in the evening” is what waited or was held at the end of the day, or is now. Days are those of " (now.zone.name()) "."
            }
            div.pictures { @for picture in &pictures { (picture.show()) } }
        }
    };
    source.show("Now", Some("/"), content).await
}

/// Something that needs somebody.
struct Need {
    mood: Mood,
    said: Markup,
}

fn needs(now: &Now) -> Markup {
    let needs = all_needs(now);
    let worst = needs.iter().map(|need| need.mood).max();
    html! {
        section.needs.(worst.unwrap_or(Mood::Good).class()) aria-labelledby="needs" {
            h2 #needs {
                @match worst {
                    None | Some(Mood::Good | Mood::Off | Mood::Note) => "Nothing needs anybody",
                    Some(Mood::Warn) => "This needs somebody",
                    Some(Mood::Bad) => "This needs somebody at once",
                }
            }
            @if needs.is_empty() {
                p { "Both systems are well, the flows run, and nothing waits for a person." }
            } @else {
                ul {
                    @for need in &needs { li { (badge(need.mood, mood_word(need.mood))) " " span { (need.said) } } }
                }
            }
        }
    }
}

const fn mood_word(mood: Mood) -> &'static str {
    match mood {
        Mood::Bad => "now",
        Mood::Warn => "today",
        Mood::Note | Mood::Off | Mood::Good => "note",
    }
}

fn all_needs(now: &Now) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut add = |mood, said| needs.push(Need { mood, said });
    match now.room {
        Room::Enough => {}
        Room::Full => {
            add(Mood::Bad, html! { "The state has reached " code { "state.max_size" } ": posts of UNHCR are not taken." })
        }
        Room::NotWritable => {
            add(
                Mood::Bad,
                html! { "The state cannot be written: posts of UNHCR are not taken. Is the disk of " code { "state.directory" } " full?" },
            );
        }
    }
    for SystemNow { system, state, .. } in &now.systems {
        match state {
            SystemState::Blocked { reason, .. } => add(
                Mood::Bad,
                html! { "Nothing is sent to " (names::system(*system)) ": " (words(*reason).happened) " " (prose(words(*reason).to_do)) },
            ),
            SystemState::Unwell { since } => add(
                Mood::Warn,
                html! { (names::system(*system)) " has failed again and again for " (span(now.time - *since)) ". It is tried with growing pauses; if it lasts, ask its administrator." },
            ),
            SystemState::Well => {}
        }
    }
    for flow in &now.flows {
        match flow.state {
            FlowState::On => {}
            FlowState::Off => add(Mood::Note, html! { "The flow " (names::flow(flow.flow)) " is switched off in the settings." }),
            FlowState::Paused => add(
                Mood::Warn,
                html! {
                    "The flow " (names::flow(flow.flow)) " is paused"
                    @if let Some(pause) = &flow.pause { " since " (time_and_span(pause.since, now.zone, now.time)) ", by the " (pause.by) }
                    ". " code { "referrald flow resume" } " lets it go on."
                },
            ),
            FlowState::NoAgreement => {
                add(Mood::Bad, html! { "The flow " (names::flow(flow.flow)) " rests, because the agreement is not valid now." });
            }
        }
    }
    if now.list.entries > 0 {
        let since = now.list.oldest.map(|oldest| format!(", the oldest for {}", span(now.time - oldest))).unwrap_or_default();
        add(
            Mood::Warn,
            html! {
                a href="/list" { (counted(now.list.entries, "entry", "entries")) " on the operator's list" } (since) "."
            },
        );
    }
    for walk in &now.walks {
        if let Some(since) = walk.unfinished_since.filter(|since| now.time - *since >= TimeDelta::hours(1)) {
            add(
                Mood::Warn,
                html! { "No reading “" (names::walk(walk.walk)) "” has come to its end for " (span(now.time - since)) "." },
            );
        }
    }
    for ending in all_endings(now) {
        let mood = ending.mood(now.time);
        if mood >= Mood::Warn {
            add(mood, html! { (ending.what) " " (ending.when(now.time)) "." });
        }
    }
    needs.sort_by_key(|need| std::cmp::Reverse(need.mood));
    needs
}

fn systems(now: &Now) -> Markup {
    html! {
        section aria-labelledby="systems" {
            h2 #systems { "Both sides" }
            table.facts {
                caption.unseen { "The two systems and the flows between them" }
                tbody {
                    @for SystemNow { system, state, answered } in &now.systems {
                        tr {
                            th scope="row" { (names::system(*system)) }
                            td {
                                @match state {
                                    SystemState::Well => {
                                        (badge(Mood::Good, "well"))
                                        p.quiet {
                                            @match answered {
                                                Some(answered) => { "last answered " (time_and_span(*answered, now.zone, now.time)) }
                                                None => "not asked since the start",
                                            }
                                        }
                                    }
                                    SystemState::Unwell { since } => {
                                        (badge(Mood::Warn, "unwell"))
                                        p.quiet { "since " (time_and_span(*since, now.zone, now.time)) "; one attempt at a time" }
                                    }
                                    SystemState::Blocked { reason, since, next_probe } => {
                                        (badge(Mood::Bad, "blocked"))
                                        p { code { (reason) } }
                                        p.quiet {
                                            @if let Some(since) = since { "since " (time_and_span(*since, now.zone, now.time)) "; " }
                                            "tried again " (time_and_span((*next_probe).max(now.time), now.zone, now.time))
                                        }
                                    }
                                }
                            }
                        }
                    }
                    @for flow in &now.flows {
                        tr {
                            th scope="row" { (names::flow(flow.flow)) }
                            td {
                                @match flow.state {
                                    FlowState::On => (badge(Mood::Good, "on")),
                                    FlowState::Off => { (badge(Mood::Off, "off")) p.quiet { "switched off in the settings" } },
                                    FlowState::Paused => {
                                        (badge(Mood::Warn, "paused"))
                                        @if let Some(pause) = &flow.pause { p.quiet { "by the " (pause.by) } }
                                    },
                                    FlowState::NoAgreement => { (badge(Mood::Bad, "rests")) p.quiet { "the agreement is not valid now" } },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn open(now: &Now) -> Markup {
    let waiting = now.open.in_state(referral::State::Waiting);
    let held = now.open.in_state(referral::State::Held);
    html! {
        section aria-labelledby="open" {
            h2 #open { "Waiting" }
            @if now.open.counts.is_empty() {
                p.empty { "Nothing waits. Everything that came is done." }
            } @else {
                p.figures {
                    a href="/deliveries?state=waiting" { strong { (grouped(waiting)) } " waiting" }
                    a href="/deliveries?state=held" { strong { (grouped(held)) } " held" }
                }
                @if let Some(oldest) = now.open.oldest { p { "The oldest was made " (time_and_span(oldest, now.zone, now.time)) "." } }
                table.counts {
                    caption.unseen { "What waits, by what is to be done" }
                    thead { tr { th scope="col" { "To be done" } th scope="col" { "State" } th.number scope="col" { "Count" } } }
                    tbody {
                        @for (errand, state, count) in &now.open.counts {
                            tr {
                                th scope="row" { (names::errand(*errand)) }
                                td { (names::state(*state)) }
                                td.number { (grouped(*count)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn readings(now: &Now) -> Markup {
    let when = |time: Option<DateTime<Utc>>, none: &str| {
        html! { @match time { Some(at) => (time_and_span(at, now.zone, now.time)), None => span.quiet { (none) } } }
    };
    html! {
        section aria-labelledby="readings" {
            h2 #readings { "Readings of changed cases" }
            div {
                table.stacked {
                    thead { tr { th scope="col" { "Looking for" } th scope="col" { "State" } th scope="col" { "Last came to its end" } th scope="col" { "Next" } } }
                    tbody {
                        @for WalkNow { walk, under_way, last, unfinished_since, next } in &now.walks {
                            tr {
                                th scope="row" { (names::walk(*walk)) }
                                td {
                                    @match (under_way, unfinished_since, next) {
                                        (true, ..) => (badge(Mood::Note, "under way")),
                                        (false, Some(since), _) => { (badge(Mood::Warn, "not ended")) " for " (span(now.time - *since)) },
                                        (false, None, Some(_)) => (badge(Mood::Good, "in time")),
                                        (false, None, None) => (badge(Mood::Off, "rests")),
                                    }
                                }
                                td data-name="last came to its end" { (when(*last, "not yet")) }
                                td data-name="next" { (when(*next, "none while its flow rests")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Something that ends some day.
struct Ending {
    what: String,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl Ending {
    /// Days from date to date, as people count them.
    fn days(&self, now: DateTime<Utc>) -> Option<i64> {
        self.until.map(|until| (until - now).num_days())
    }

    fn mood(&self, now: DateTime<Utc>) -> Mood {
        if self.from.is_some_and(|from| now < from) {
            return Mood::Bad;
        }
        match (self.until, self.days(now)) {
            (None, _) | (_, None) => Mood::Good,
            (Some(until), _) if until <= now => Mood::Bad,
            (_, Some(days)) if days < SOON => Mood::Warn,
            _ => Mood::Good,
        }
    }

    /// The end of a sentence that begins with what it is.
    fn when(&self, now: DateTime<Utc>) -> String {
        if let Some(from) = self.from.filter(|from| now < *from) {
            return format!("is not valid yet: it begins in {}", span(from - now));
        }
        match self.until {
            None => "has no end".to_owned(),
            Some(until) if until <= now => format!("ended {} ago", span(now - until)),
            Some(until) => format!("ends in {}", span(until - now)),
        }
    }
}

fn all_endings(now: &Now) -> Vec<Ending> {
    let agreement = &now.agreement;
    let mut endings = vec![Ending {
        what: format!("The agreement {}", agreement.reference),
        from: Some(agreement.from),
        until: Some(agreement.until),
    }];
    if let Some(until) = now.certificate_ends {
        endings.push(Ending { what: "Our client certificate".to_owned(), from: None, until: Some(until) });
    }
    let keys = now.keys.iter();
    endings.extend(keys.map(|key| Ending { what: format!("The inbox key {}", key.name), from: None, until: key.expires }));
    endings
}

fn endings(now: &Now) -> Markup {
    html! {
        section aria-labelledby="endings" {
            h2 #endings { "What ends some day" }
            div {
                table.stacked {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Valid until" } th.number scope="col" { "Days left" } th scope="col" { "State" } } }
                    tbody {
                        @for ending in all_endings(now) {
                            tr {
                                th scope="row" { (ending.what) }
                                td data-name="until" { @match ending.until { Some(until) => (time(until, now.zone)), None => span.quiet { "no end is set" } } }
                                td.number data-name="days left" {
                                    @match ending.days(now.time) { Some(days) => (grouped(days.max(0).unsigned_abs())), None => "–" }
                                }
                                td {
                                    @match ending.mood(now.time) {
                                        Mood::Bad => (badge(Mood::Bad, "not valid")),
                                        Mood::Warn => (badge(Mood::Warn, "ends soon")),
                                        Mood::Good | Mood::Note | Mood::Off => (badge(Mood::Good, "valid")),
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
