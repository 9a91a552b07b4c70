//! Every event and every field that an activity line can have, with its meaning, for people who must agree to them.
//!
//! It describes the closed list; it adds nothing to it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Activity, Basis, Event, Line, Outcome};
use crate::{
    reason::Reason,
    referral::{DeliveryId, Errand, Flow, ReferralId, System},
};

/// A field of the line, or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A field of the line.
    Field,
    /// A value of the field `event`.
    Event,
}

/// One entry of the dictionary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// A field, or an event.
    pub part: Part,
    /// As it stands on the line.
    pub name: &'static str,
    /// What kind of value it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means.
    pub meaning: &'static str,
    /// What it may look like; invented.
    pub example: Value,
}

/// Every field in the order of the line, then every event.
#[must_use]
pub fn dictionary() -> Vec<Entry> {
    let examples: Map<String, Value> =
        serde_json::from_str(&example().render("gambella", "production")).expect("a line that was just rendered is JSON");
    let fields = fields().into_iter().map(|(name, kind, meaning)| {
        let example = examples.get(name).cloned().unwrap_or(Value::Null);
        Entry { part: Part::Field, name, kind, meaning, example }
    });
    let events = Event::ALL.iter().map(|event| Entry {
        part: Part::Event,
        name: event.code(),
        kind: "event".to_owned(),
        meaning: meaning(*event),
        example: Value::from(format!(r#""event":"{event}""#)),
    });
    fields.chain(events).collect()
}

/// The dictionary for a terminal.
#[must_use]
pub fn table() -> String {
    let entries = dictionary();
    let name_width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut table = String::new();
    for (part, title) in [(Part::Field, "Fields of a line"), (Part::Event, "Events")] {
        writeln!(table, "{title}").expect("writing to a String cannot fail");
        for Entry { name, kind, meaning, example, .. } in entries.iter().filter(|entry| entry.part == part) {
            match part {
                Part::Field => {
                    writeln!(table, "  {name:name_width$}  {meaning}\n  {:name_width$}  {kind}; for example {example}", "")
                }
                Part::Event => writeln!(table, "  {name:name_width$}  {meaning}"),
            }
            .expect("writing to a String cannot fail");
        }
    }
    table
}

/// The dictionary for a pipe: one JSON object a line.
#[must_use]
pub fn json_lines() -> String {
    let line = |entry: &Entry| serde_json::to_string(entry).expect("an entry is text and can always be written as JSON") + "\n";
    dictionary().iter().map(line).collect()
}

fn fields() -> Vec<(&'static str, String, &'static str)> {
    fn one_of<T: Copy>(all: &[T], code: fn(T) -> &'static str) -> String {
        format!("one of {}", all.iter().map(|value| code(*value)).collect::<Vec<_>>().join(", "))
    }
    let plain = str::to_owned;
    vec![
        ("time", plain("time, UTC, RFC 3339"), "When it happened."),
        ("programme", plain("text"), "The programme that this daemon serves, as configured."),
        ("environment", plain("one of test, production"), "Whether this is practice or real, as configured."),
        ("event", plain("event"), "What happened; the events are listed below."),
        (
            "flow",
            one_of(Flow::ALL, Flow::code),
            "Who asked whom: a referral from UNHCR (to_primero) or to UNHCR (to_dtp), answers included.",
        ),
        ("post", plain("UUID"), "Our number for one request of DTP, as told to DTP in our answer."),
        ("delivery", plain("number"), "The delivery, or the entry on the operator's list: the ID of the command line."),
        ("errand", one_of(Errand::ALL, Errand::code), "What was to be done."),
        ("addressee", one_of(System::ALL, System::code), "The system that was addressed."),
        ("intervention", plain("system number"), "The number that UNHCR gave to its referral."),
        ("case", plain("system number"), "Primero's case_id of the case. Confidential: both agencies can find the child by it."),
        ("referral", plain("UUID"), "Primero's id of the referral."),
        ("attempt", plain("number"), "Which attempt it was, counted from 1."),
        ("outcome", one_of(Outcome::ALL, Outcome::code), "How the attempt ended."),
        ("reason", plain("reason code"), "Why. A code says what happened, never the value that was found."),
        (
            "fields",
            plain("list of field names"),
            "Which fields are meant, by their names; of a post, the places in it. Never what stands there.",
        ),
        ("status", plain("HTTP status"), "The status that we were given, or gave."),
        ("basis", one_of(Basis::ALL, Basis::code), "On what ground a referral left."),
        (
            "new_case",
            plain("true or false"),
            "Whether a case was created for a referral from UNHCR, or a service added to one that was there.",
        ),
        ("count", plain("number"), "How many."),
        ("due", plain("time, UTC, RFC 3339"), "When it is tried again."),
        ("noticed", plain("time, UTC, RFC 3339"), "When we saw that a referral was withdrawn; not the date of the withdrawal."),
        ("mapping", plain("version and digest"), "The mapping in force."),
        ("agreement", plain("reference"), "The data sharing agreement in force."),
        (
            "who",
            plain("account"),
            "The operator's own account on this machine, the role that was given, and the command. Never a case worker's.",
        ),
        ("until", plain("time, UTC, RFC 3339"), "Until when something holds."),
    ]
}

const fn meaning(event: Event) -> &'static str {
    match event {
        Event::Started => "The daemon runs.",
        Event::ShutDown => "The daemon has ended in order.",
        Event::Received => "A referral from UNHCR, or a decision of UNHCR, was taken and stored.",
        Event::Unchanged => "A referral or decision that is known came again, unchanged; nothing was done.",
        Event::InboxRefused => "A post was refused; nothing of it was stored.",
        Event::NotTaken => "Items of a post could not be used; the others were taken.",
        Event::Superseded => "A newer message took the place of this one before it was delivered.",
        Event::ChangedAfterDelivery => {
            "A delivered referral from UNHCR came again with other content; nothing was stored or written."
        }
        Event::Delivered => "It was done, and was seen to be done.",
        Event::Later => "The other system is unwell; it will be tried again.",
        Event::Refused => "The message was wrong for good.",
        Event::Held => "A person must decide, or put something right.",
        Event::Released => "A person let a referral go that was made by exception.",
        Event::Stopped => "It was given up, by a person or because its time was over.",
        Event::NotNeeded => "There was nothing left to do.",
        Event::NotDeliveredInTime => "It is not done yet and has waited for too long.",
        Event::Blocked => "We are wrong (credentials, certificate, configuration): nothing more is sent to this system.",
        Event::Unblocked => "A system that was blocked is addressed again.",
        Event::Unwell => "A system failed several times in a row; one attempt is made at a time.",
        Event::Well => "A system that was unwell answers again.",
        Event::FeedbackSent => "UNHCR was told whether its referral was delivered.",
        Event::Withheld => "A referral was not sent to UNHCR because a condition is not met.",
        Event::WithdrawnAfterSend => {
            "A referral that was sent to UNHCR has been withdrawn since; this system does not tell UNHCR."
        }
        Event::Conflict => "Two sides, or two records, say different things; a person should look.",
        Event::Differs => "What stands in Primero is not what UNHCR sent; nothing was overwritten.",
        Event::NotStored => "Primero did not keep some fields.",
        Event::PollStarted => "Reading of changed cases began.",
        Event::PollFinished => "Reading of changed cases ended.",
        Event::PollFailed => "Reading of changed cases could not be ended, or could not begin in time.",
        Event::Erased => "The stored content of a message was erased.",
        Event::AgreementExpiring => "The data sharing agreement ends soon, or has ended.",
        Event::CertificateExpiring => "The client certificate ends soon, or has ended.",
        Event::KeyExpiring => "A key for the inbox ends soon, or has ended.",
        Event::CertificateSwitched => "The next client certificate took the place of the one before, at the configured moment.",
        Event::ConfigurationReloaded => "New settings are in force.",
        Event::ConfigurationRejected => "New settings were refused; the old ones stay in force.",
        Event::Operator => "An operator did something on the command line.",
    }
}

/// A line with every field, of invented values. No real line has them all.
pub(super) fn example() -> Line {
    let moment = |text: &str| text.parse().expect("the moments below are written in full");
    Line {
        time: moment("2026-06-01T08:00:00.123Z"),
        activity: Activity {
            event: Event::Delivered,
            flow: Some(Flow::ToPrimero),
            post: Some(Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001)),
            delivery: Some(DeliveryId(42)),
            errand: Some(Errand::OpenIntervention),
            addressee: Some(System::Primero),
            intervention: "989-22-TEST-0000051".parse().ok(),
            case: "00000000-0000-4000-8000-00000000cafe".parse().ok(),
            referral: Some(ReferralId(Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0002))),
            attempt: Some(1),
            outcome: Some(Outcome::Delivered),
            reason: Some(Reason::Differs),
            fields: vec!["date_of_birth".to_owned()],
            status: Some(200),
            basis: Some(Basis::Consent),
            new_case: Some(true),
            count: Some(3),
            due: Some(moment("2026-06-01T08:30:00Z")),
            noticed: Some(moment("2026-06-01T08:00:00Z")),
            mapping: Some("gambella 2026-06 sha256:0123456789ab".to_owned()),
            agreement: Some("DPISP-TEST-1".to_owned()),
            who: Some("operator (CPIMS+ focal point)".to_owned()),
            until: Some(moment("2026-12-31T21:00:00Z")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_line_is_told_in_its_order_with_an_example() {
        let json = example().render("gambella", "production");
        let mut rest = json.as_str();
        let told: Vec<Entry> = dictionary().into_iter().filter(|entry| entry.part == Part::Field).collect();
        for entry in &told {
            let key = format!("\"{}\":", entry.name);
            let at = rest.find(&key).unwrap_or_else(|| panic!("{} is not on the line, or not here", entry.name));
            rest = &rest[at + key.len()..];
            assert_ne!(entry.example, Value::Null, "{}", entry.name);
        }
        let written: Map<String, Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(told.len(), written.len());
    }

    #[test]
    fn every_event_is_told() {
        let told: Vec<&str> = dictionary().iter().filter(|entry| entry.part == Part::Event).map(|entry| entry.name).collect();
        assert_eq!(told, Event::ALL.iter().map(|event| event.code()).collect::<Vec<_>>());
    }

    #[test]
    fn the_table_is_for_people() {
        insta::assert_snapshot!(table());
    }

    #[test]
    fn the_lines_are_for_programs() {
        let lines = json_lines();
        assert_eq!(lines.lines().count(), dictionary().len());
        assert_eq!(
            lines.lines().next(),
            Some(
                r#"{"part":"field","name":"time","type":"time, UTC, RFC 3339","meaning":"When it happened.","example":"2026-06-01T08:00:00.123Z"}"#
            )
        );
    }
}
