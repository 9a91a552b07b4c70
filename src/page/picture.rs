//! A picture of one flow over the last 30 days, drawn from the counts alone, with the same as a table for who cannot see it.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use super::frame::grouped;
use crate::{
    referral::{Errand, Flow, State},
    spool::counters::{OfDay, Step},
    standing::Open,
    words::names,
};

/// How many days are shown, today included.
const DAYS: u64 = 30;
/// The height of the bars, in units of the drawing.
const HEIGHT: u64 = 120;
/// The height of the strip below them.
const STRIP: u64 = 36;
/// The width of a day.
const WIDTH: u64 = 20;
/// The gap between two days.
const GAP: u64 = 4;
/// What is there can be seen.
const LEAST: u64 = 3;

/// The first day of a picture.
pub(super) fn first_day(today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(today)
}

/// What became of referrals on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Day {
    delivered: u64,
    held: u64,
    withheld: u64,
    refused: u64,
    given_up: u64,
    /// Waiting or held at the end of the day.
    open: u64,
}

/// A kind of thing that is counted: how it is called, and its class in the drawing.
type Part = (&'static str, &'static str, fn(&Day) -> u64);

/// From the bottom of a bar to its top.
const PARTS: [Part; 5] = [
    ("delivered", "delivered", |day| day.delivered),
    ("held", "held", |day| day.held),
    ("withheld", "withheld", |day| day.withheld),
    ("refused", "refused", |day| day.refused),
    ("given up", "given-up", |day| day.given_up),
];

/// The picture of a flow.
pub(super) struct Picture {
    flow: Flow,
    days: Vec<(NaiveDate, Day)>,
}

impl Picture {
    /// From what is counted and what is open now. What was open on an evening follows from both.
    pub(super) fn of(flow: Flow, today: NaiveDate, counts: &[OfDay], open: &Open) -> Self {
        let errand = match flow {
            Flow::ToPrimero => Errand::OpenIntervention,
            Flow::ToDtp => Errand::SendReferral,
        };
        let mut days: BTreeMap<NaiveDate, Day> =
            first_day(today).iter_days().take_while(|day| *day <= today).map(|day| (day, Day::default())).collect();
        let mut grown: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        for OfDay { day, errand: of, step, count } in counts {
            let Some(shown) = days.get_mut(day).filter(|_| *of == errand) else { continue };
            let (made, ended) = grown.entry(*day).or_default();
            match step {
                Step::Made => *made += count,
                Step::Held => shown.held += count,
                Step::Ended(state) => {
                    *ended += count;
                    match state {
                        State::Delivered => shown.delivered += count,
                        State::Refused => shown.refused += count,
                        State::Withheld => shown.withheld += count,
                        State::Stopped => shown.given_up += count,
                        State::Superseded | State::NotNeeded | State::Waiting | State::Held => {}
                    }
                }
            }
        }
        let mut left: u64 = open.counts.iter().filter(|(of, ..)| *of == errand).map(|(.., count)| count).sum();
        for (day, shown) in days.iter_mut().rev() {
            shown.open = left;
            let (made, ended) = grown.get(day).copied().unwrap_or_default();
            left = (left + ended).saturating_sub(made);
        }
        Self { flow, days: days.into_iter().collect() }
    }

    fn sum(&self, of: fn(&Day) -> u64) -> u64 {
        self.days.iter().map(|(_, day)| of(day)).sum()
    }

    fn is_empty(&self) -> bool {
        PARTS.iter().all(|(_, _, of)| self.sum(*of) == 0) && self.sum(|day| day.open) == 0
    }

    /// The picture in a sentence.
    fn told(&self) -> String {
        let parts: Vec<String> = PARTS
            .iter()
            .filter(|(_, _, of)| self.sum(*of) > 0)
            .map(|(name, _, of)| format!("{} {name}", grouped(self.sum(*of))))
            .collect();
        let open = self.days.last().map_or(0, |(_, day)| day.open);
        let parts = if parts.is_empty() { "nothing ended".to_owned() } else { parts.join(", ") };
        format!("{parts}; {} open now", grouped(open))
    }

    pub(super) fn show(&self) -> Markup {
        let id = self.flow.code();
        html! {
            figure.picture aria-labelledby={ (id) "-name" } {
                figcaption {
                    h3 id={ (id) "-name" } { (names::flow(self.flow)) }
                    p { (self.told()) "." }
                }
                @if self.is_empty() {
                    p.empty { "No referral in the last 30 days." }
                } @else {
                    (self.legend())
                    (self.drawing())
                    (self.table())
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend aria-hidden="true" {
                @for (name, class, of) in PARTS {
                    @if self.sum(of) > 0 { li { span.swatch.(class) {} (name) } }
                }
                li { span.swatch.open {} "open in the evening" }
            }
        }
    }

    fn drawing(&self) -> Markup {
        let total = |day: &Day| PARTS.iter().map(|(_, _, of)| of(day)).sum::<u64>();
        let most = self.days.iter().map(|(_, day)| total(day)).max().unwrap_or_default().max(1);
        let most_open = self.days.iter().map(|(_, day)| day.open).max().unwrap_or_default().max(1);
        let width = WIDTH * DAYS;
        let height = HEIGHT + STRIP + 10;
        let label = |index: usize| self.days.get(index).map(|(day, _)| day.format("%-d %b").to_string()).unwrap_or_default();
        html! {
            div.drawing {
                p.most aria-hidden="true" { "tallest bar: " (grouped(most)) " a day" }
                svg role="img" aria-label={ (names::flow(self.flow)) ", the last 30 days: " (self.told()) ". The table below says it day by day." }
                    viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" {
                    line.ground x1="0" y1=(HEIGHT) x2=(width) y2=(HEIGHT) {}
                    line.ground x1="0" y1=(height) x2=(width) y2=(height) {}
                    @for (index, (day, shown)) in self.days.iter().enumerate() {
                        g {
                            title { (day.format("%-d %b")) ": " (day_told(shown)) }
                            rect.room x=(index as u64 * WIDTH) y="0" width=(WIDTH) height=(height) {}
                            @for (class, y, part) in stacked(shown, most) {
                                rect.(class) x=(index as u64 * WIDTH + GAP / 2) y=(y) width=(WIDTH - GAP) height=(part) {}
                            }
                            @if shown.open > 0 {
                                @let part = scaled(shown.open, most_open, STRIP);
                                rect.open x=(index as u64 * WIDTH + GAP / 2) y=(height - part) width=(WIDTH - GAP) height=(part) {}
                            }
                        }
                    }
                }
                p.axis aria-hidden="true" { span { (label(0)) } span { (label(self.days.len() / 2)) } span { "today" } }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            details {
                summary { "The same as a table" }
                div.wide tabindex="0" role="region" aria-label={ (names::flow(self.flow)) ", day by day" } {
                    table.counts {
                        caption.unseen { (names::flow(self.flow)) ", day by day" }
                        thead {
                            tr {
                                th scope="col" { "Day" }
                                @for (name, ..) in PARTS { th.number scope="col" { (name) } }
                                th.number scope="col" { "open in the evening" }
                            }
                        }
                        tbody {
                            @for (day, shown) in self.days.iter().rev() {
                                tr {
                                    th scope="row" { time datetime=(day) { (day.format("%-d %b %Y")) } }
                                    @for (_, _, of) in PARTS { td.number { (grouped(of(shown))) } }
                                    td.number { (grouped(shown.open)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn day_told(day: &Day) -> String {
    let parts = PARTS.iter().filter(|(_, _, of)| of(day) > 0).map(|(name, _, of)| format!("{} {name}", of(day)));
    parts.chain([format!("{} open in the evening", day.open)]).collect::<Vec<_>>().join(", ")
}

/// How high something is drawn; what is there is never too small to be seen.
fn scaled(count: u64, most: u64, height: u64) -> u64 {
    (count * height / most).max(LEAST).min(height)
}

/// The parts of a bar, from the bottom up: class, top, height. Parts lifted to be seen take the room from the largest.
fn stacked(day: &Day, most: u64) -> Vec<(&'static str, u64, u64)> {
    let mut parts: Vec<(&str, u64)> =
        PARTS.iter().filter(|(_, _, of)| of(day) > 0).map(|(_, class, of)| (*class, scaled(of(day), most, HEIGHT))).collect();
    let over = parts.iter().map(|(_, height)| height).sum::<u64>().saturating_sub(HEIGHT);
    if let Some((_, largest)) = parts.iter_mut().max_by_key(|(_, height)| *height) {
        *largest = largest.saturating_sub(over);
    }
    let mut bottom = HEIGHT;
    parts
        .into_iter()
        .map(|(class, height)| {
            bottom -= height;
            (class, bottom, height)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn picture(counts: &[(&str, Step, u64)], open: u64) -> Picture {
        let errand = Errand::OpenIntervention;
        let counts: Vec<OfDay> =
            counts.iter().map(|(of, step, count)| OfDay { day: day(of), errand, step: *step, count: *count }).collect();
        let other =
            OfDay { day: day("2026-03-30"), errand: Errand::SendFeedback, step: Step::Ended(State::Delivered), count: 99 };
        let open = Open { counts: vec![(errand, State::Waiting, open), (Errand::SendFeedback, State::Waiting, 7)], oldest: None };
        Picture::of(Flow::ToPrimero, day("2026-03-30"), &[counts, vec![other]].concat(), &open)
    }

    #[test]
    fn what_was_open_on_an_evening_follows_from_what_is_open_now() {
        let picture = picture(
            &[
                ("2026-03-01", Step::Made, 5),
                ("2026-03-02", Step::Held, 2),
                ("2026-03-28", Step::Ended(State::Delivered), 3),
                ("2026-03-28", Step::Made, 4),
                ("2026-03-29", Step::Ended(State::Refused), 1),
                ("2026-03-29", Step::Ended(State::Superseded), 2),
                ("2026-03-30", Step::Made, 1),
            ],
            4,
        );
        assert_eq!(picture.days.len(), 30);
        let open: Vec<u64> = picture.days.iter().rev().take(4).map(|(_, day)| day.open).collect();
        assert_eq!(open, [4, 3, 6, 5]);
        assert_eq!(picture.days[0], (day("2026-03-01"), Day { open: 5, ..Day::default() }));
        assert_eq!(picture.told(), "3 delivered, 2 held, 1 refused; 4 open now");
    }

    #[test]
    fn a_bar_never_leaves_its_room_and_nothing_in_it_is_too_small_to_be_seen() {
        for (delivered, held, withheld, refused, given_up) in
            [(1, 0, 0, 0, 0), (1000, 1, 1, 1, 1), (0, 0, 0, 0, 5), (3, 3, 3, 3, 3), (1_000_000, 0, 0, 0, 1)]
        {
            let day = Day { delivered, held, withheld, refused, given_up, open: 0 };
            let parts = stacked(&day, delivered + held + withheld + refused + given_up);
            assert!(parts.iter().all(|(_, _, height)| *height >= LEAST), "{parts:?}");
            assert!(parts.iter().map(|(.., height)| height).sum::<u64>() <= HEIGHT, "{parts:?}");
        }
    }

    #[test]
    fn an_empty_picture_says_so_and_draws_nothing() {
        let shown = picture(&[], 0).show().into_string();
        assert!(shown.contains("No referral in the last 30 days.") && !shown.contains("<svg"), "{shown}");
    }
}
