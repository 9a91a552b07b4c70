//! What stands around every page, and the small pieces that all pages share: times, spans, badges, commands.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, html};

use crate::{config::Environment, referral::State, words::names, zone::Zone};

/// What stands around a page.
pub(super) struct Frame<'a> {
    /// What the page is called.
    pub title: &'a str,
    /// Which part of the house it is.
    pub here: Option<&'static str>,
    /// Which programme.
    pub programme: &'a str,
    /// Test or production.
    pub environment: Environment,
    /// In which zone times are shown.
    pub zone: Zone,
    /// When it was made.
    pub time: DateTime<Utc>,
    /// How many entries stand on the operator's list.
    pub entries: u64,
}

/// Where one can go.
const PARTS: [(&str, &str); 4] =
    [("/", "Now"), ("/deliveries", "Deliveries"), ("/list", "Operator's list"), ("/register", "Register")];

impl Frame<'_> {
    pub(super) fn around(&self, content: &Markup) -> Markup {
        let title = format!("{} · {} · referrald", self.title, self.programme);
        let top = html! {
            header.top {
                p.name {
                    span.product { "referrald" } " " strong { (self.programme) } " "
                    span.tag.(self.environment.code()) { (self.environment.code()) }
                }
                nav aria-label="Pages" {
                    ul {
                        @for (address, name) in PARTS {
                            li {
                                a href=(address) aria-current=[(self.here == Some(address)).then_some("page")] {
                                    @match name.split_once(' ') {
                                        // Where there is little room the first word is only spoken.
                                        Some((first, rest)) => { span.roomy { (first) " " } span.rest { (rest) } }
                                        None => (name),
                                    }
                                    @if address == "/list" && self.entries > 0 {
                                        " " span.count { (grouped(self.entries)) span.unseen { " open" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        };
        let foot = html! {
            footer {
                p { "As of " (time(self.time, self.zone)) ". All times are those of " (self.zone.name()) "." }
                p { "This page shows and changes nothing; what is to be done is done with the command " code { "referrald" } "." }
            }
        };
        whole(&title, &top, content, &foot)
    }
}

/// A page that knows no programme.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    let top = html! { header.top { p.name { span.product { "referrald" } } } };
    whole(&format!("{title} · referrald"), &top, content, &html! {})
}

fn whole(title: &str, top: &Markup, content: &Markup, foot: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                title { (title) }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#content" { "To the content" }
                (top)
                main #content tabindex="-1" { (content) }
                (foot)
            }
        }
    }
}

/// A time as people read it.
pub(super) fn time(time: DateTime<Utc>, zone: Zone) -> Markup {
    html! {
        time datetime=(time.format("%Y-%m-%dT%H:%M:%SZ")) { (time.with_timezone(&zone).format("%-d %b %Y, %H:%M")) }
    }
}

/// A time to the second, for the lines of a story.
pub(super) fn moment(time: DateTime<Utc>, zone: Zone) -> Markup {
    html! {
        time datetime=(time.format("%Y-%m-%dT%H:%M:%S%.3fZ")) { (time.with_timezone(&zone).format("%-d %b %Y, %H:%M:%S")) }
    }
}

/// A time with how far off it is.
pub(super) fn time_and_span(at: DateTime<Utc>, zone: Zone, now: DateTime<Utc>) -> Markup {
    let off = match (at - now).num_minutes() {
        0 if at > now => "in a moment".to_owned(),
        0 => "just now".to_owned(),
        1.. => format!("in {}", span(at - now)),
        _ => format!("{} ago", span(now - at)),
    };
    html! { (time(at, zone)) " " span.quiet { "(" (off) ")" } }
}

/// How long something takes or lasted, in the two largest units that say something.
pub(super) fn span(span: TimeDelta) -> String {
    let unit = |count: i64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let minutes = span.num_minutes();
    match minutes {
        ..1 => "less than a minute".to_owned(),
        1..60 => unit(minutes, "minute"),
        60..1440 if minutes % 60 == 0 => unit(minutes / 60, "hour"),
        60..1440 => format!("{} {}", unit(minutes / 60, "hour"), unit(minutes % 60, "minute")),
        1440..4320 if minutes % 1440 >= 60 => format!("{} {}", unit(minutes / 1440, "day"), unit(minutes % 1440 / 60, "hour")),
        _ => unit(minutes / 1440, "day"),
    }
}

/// How a thing is. It is shown as a word with a sign before it: the colour alone says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mood {
    Good,
    Off,
    Note,
    Warn,
    Bad,
}

impl Mood {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Off => "off",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Note => "…",
            Self::Warn => "!",
            Self::Bad => "✕",
            Self::Off => "–",
        }
    }
}

/// A word with a sign before it.
pub(super) fn badge(mood: Mood, word: &str) -> Markup {
    html! { span.badge.(mood.class()) { span aria-hidden="true" { (mood.sign()) } " " (word) } }
}

/// How a delivery stands.
pub(super) fn state_badge(state: State, attempting: bool) -> Markup {
    if attempting && !state.is_settled() {
        return badge(Mood::Note, "being attempted");
    }
    let mood = match state {
        State::Delivered => Mood::Good,
        State::Waiting => Mood::Note,
        State::Held | State::Withheld => Mood::Warn,
        State::Refused | State::Stopped => Mood::Bad,
        State::Superseded | State::NotNeeded => Mood::Off,
    };
    badge(mood, names::state(state))
}

/// A sentence of ours in which commands and settings stand between backticks.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The commands that a sentence names, to be copied; without one: the command that tells more.
pub(super) fn commands(text: &str, otherwise: &str) -> Markup {
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|part| part.starts_with("referrald ")).collect();
    html! {
        ul.commands {
            @for command in &named { li { code { (command) } } }
            @if named.is_empty() { li { code { (otherwise) } } }
        }
    }
}

/// Something that is counted.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(count)) }
}

/// A number with a narrow space between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_units_that_say_something() {
        for (minutes, told) in [
            (-5, "less than a minute"),
            (0, "less than a minute"),
            (1, "1 minute"),
            (59, "59 minutes"),
            (60, "1 hour"),
            (61, "1 hour 1 minute"),
            (1439, "23 hours 59 minutes"),
            (1440, "1 day"),
            (1499, "1 day"),
            (1500, "1 day 1 hour"),
            (2880 + 180, "2 days 3 hours"),
            (4320 + 180, "3 days"),
            (60 * 24 * 400, "400 days"),
        ] {
            assert_eq!(span(TimeDelta::minutes(minutes)), told);
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn commands_stand_apart_to_be_copied() {
        let text = "Put `x.y` right, then `referrald deliveries retry 7` or `referrald check`.";
        assert_eq!(
            commands(text, "referrald deliveries show 7").into_string(),
            r#"<ul class="commands"><li><code>referrald deliveries retry 7</code></li><li><code>referrald check</code></li></ul>"#
        );
        let otherwise = commands("Nothing.", "referrald deliveries show 7").into_string();
        assert!(otherwise.contains("<code>referrald deliveries show 7</code>"));
        assert_eq!(prose("a `b` c").into_string(), "a <code>b</code> c");
    }
}
