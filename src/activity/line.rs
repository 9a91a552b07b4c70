//! One line of the activity log: an activity with its time, written as JSON and read back.
//!
//! It knows the names on the wire and their order; where lines go is the log's.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Activity, Basis, Event, Outcome};
use crate::{
    reason::Reason,
    referral::{DeliveryId, Errand, Flow, System},
};

/// An activity and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What happened.
    pub activity: Activity,
}

/// The line as it is written; the order of its fields is the order on the line.
#[derive(Serialize)]
struct Written<'a> {
    time: String,
    programme: &'a str,
    environment: &'a str,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errand: Option<Errand>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addressee: Option<System>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intervention: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referral: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    fields: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<Basis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_case: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noticed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl Line {
    /// The line as JSON, without a line break. What is `None` or empty is left out.
    #[must_use]
    pub fn render(&self, programme: &str, environment: &str) -> String {
        // Taken apart without `..`, so that a new field cannot be forgotten here.
        let Activity {
            event,
            flow,
            post,
            delivery,
            errand,
            addressee,
            intervention,
            case,
            referral,
            attempt,
            outcome,
            reason,
            fields,
            status,
            basis,
            new_case,
            count,
            due,
            noticed,
            mapping,
            agreement,
            who,
            until,
        } = &self.activity;
        let written = Written {
            time: stamp(self.time),
            programme,
            environment,
            event: *event,
            flow: *flow,
            post: post.map(|post| post.hyphenated().to_string()),
            delivery: delivery.map(|DeliveryId(id)| id),
            errand: *errand,
            addressee: *addressee,
            intervention: intervention.as_ref().map(|number| number.as_str()),
            case: case.as_ref().map(|case| case.as_str()),
            referral: referral.map(|referral| referral.to_string()),
            attempt: *attempt,
            outcome: *outcome,
            reason: *reason,
            fields,
            status: *status,
            basis: *basis,
            new_case: *new_case,
            count: *count,
            due: due.map(stamp),
            noticed: noticed.map(stamp),
            mapping: mapping.as_deref(),
            agreement: agreement.as_deref(),
            who: who.as_deref(),
            until: until.map(stamp),
        };
        let json = serde_json::to_string(&written).expect("text, numbers and lists of text can always be written as JSON");
        without_control_characters(&json)
    }

    /// Reads a line back; `None` for anything that is not a whole line of a log of ours.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let object: Map<String, Value> = serde_json::from_str(text).ok()?;
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        let number = |field: &str| object.get(field).and_then(Value::as_u64);
        let time = |field: &str| text(field).and_then(moment);
        let fields = object.get("fields").and_then(Value::as_array);
        let activity = Activity {
            event: Event::from_code(text("event")?)?,
            flow: text("flow").and_then(Flow::from_code),
            post: text("post").and_then(|post| Uuid::try_parse(post).ok()),
            delivery: object.get("delivery").and_then(Value::as_i64).map(DeliveryId),
            errand: text("errand").and_then(Errand::from_code),
            addressee: text("addressee").and_then(System::from_code),
            intervention: text("intervention").and_then(|number| number.parse().ok()),
            case: text("case").and_then(|case| case.parse().ok()),
            referral: text("referral").and_then(|referral| referral.parse().ok()),
            attempt: number("attempt").and_then(|attempt| attempt.try_into().ok()),
            outcome: text("outcome").and_then(Outcome::from_code),
            reason: text("reason").and_then(Reason::from_code),
            fields: fields.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            status: number("status").and_then(|status| status.try_into().ok()),
            basis: text("basis").and_then(Basis::from_code),
            new_case: object.get("new_case").and_then(Value::as_bool),
            count: number("count"),
            due: time("due"),
            noticed: time("noticed"),
            mapping: text("mapping").map(str::to_owned),
            agreement: text("agreement").map(str::to_owned),
            who: text("who").map(str::to_owned),
            until: time("until"),
        };
        Some(Self { time: time("time")?, activity })
    }
}

/// RFC 3339, UTC, to the millisecond: lines sort as text.
fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// Escapes what JSON allows but a terminal or a reader of lines may obey: DEL, the C1 controls, line and paragraph separators,
/// marks that turn the direction of text. JSON itself has escaped the rest; such characters stand in texts only.
fn without_control_characters(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            write!(plain, "\\u{:04x}", u32::from(character)).expect("writing to a String cannot fail");
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::dictionary::example;

    #[test]
    fn a_line_that_says_only_what_happened_is_short() {
        let line = Line { time: "2026-06-01T08:00:00Z".parse().unwrap(), activity: Activity::new(Event::Started) };
        assert_eq!(
            line.render("gambella", "test"),
            r#"{"time":"2026-06-01T08:00:00.000Z","programme":"gambella","environment":"test","event":"started"}"#
        );
    }

    #[test]
    fn a_full_line_has_every_field_in_order_and_is_read_back() {
        let line = example();
        let json = line.render("gambella", "test");
        insta::assert_snapshot!(json, @r#"
        {"time":"2026-06-01T08:00:00.123Z","programme":"gambella","environment":"test","event":"delivered","flow":"to_primero","post":"01970000-0000-7000-8000-000000000001","delivery":42,"errand":"open_intervention","addressee":"primero","intervention":"989-22-TEST-0000051","case":"00000000-0000-4000-8000-00000000cafe","referral":"00000000-0000-4000-8000-000000000002","attempt":1,"outcome":"delivered","reason":"differs","fields":["date_of_birth"],"status":200,"basis":"consent","new_case":true,"count":3,"due":"2026-06-01T08:30:00.000Z","noticed":"2026-06-01T08:00:00.000Z","mapping":"gambella 2026-06 sha256:0123456789ab","agreement":"DPISP-TEST-1","who":"operator (CPIMS+ focal point)","until":"2026-12-31T21:00:00.000Z"}
        "#);
        assert_eq!(Line::read(&json), Some(line));
    }

    #[test]
    fn what_is_no_line_of_ours_is_not_read() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"time":"2026-06-01T08:00:00.000Z","event":"visited"}"#,
            r#"{"event":"started"}"#,
            r#"{"time":"2026-06-01T08:00:00.000Z","event":"sta"#,
        ] {
            assert_eq!(Line::read(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_that_a_terminal_would_obey_comes_out_as_it_is() {
        let mut activity = Activity::new(Event::Operator);
        activity.who = Some("\u{1b}[2J\n\u{7f}\u{9b}\u{2028}\u{202e}é".to_owned());
        let line = Line { time: "2026-06-01T08:00:00Z".parse().unwrap(), activity };
        let json = line.render("gambella", "test");
        assert!(json.ends_with(r#""who":"\u001b[2J\n\u007f\u009b\u2028\u202eé"}"#), "{json}");
        assert_eq!(Line::read(&json), Some(line));
    }
}
