//! How the parameters of a search are read: what is a filter, what is dropped, what a value means.
//!
//! It knows names and values, no case; whether a role may use a name is asked of the caller.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::{
    body::is_date,
    store::{Case, IDENTIFIERS, shown},
};

/// One condition on a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) field: String,
    pub(super) negated: bool,
    pub(super) condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// Raw text, exact.
    Identifier(String),
    /// One of these, or a list that holds one of these.
    AnyOf(Vec<Scalar>),
    /// Both ends inclusive; an open end matches nothing.
    Numbers(f64, Option<f64>),
    /// From the first moment, up to and without the second.
    Moments(DateTime<Utc>, Option<DateTime<Utc>>),
    /// Matches nothing.
    Nothing,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// Why a search has no ordinary answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// The database refused the filter.
    Database,
    /// The application failed on it.
    Application,
}

/// Parameters that are no filters.
const RESERVED: [&str; 11] =
    ["page", "per", "order", "order_by", "fields", "query", "id_search", "phonetic", "phone_number", "locale", "record_type"];

/// Reads the conditions out of a query. What is unknown, unusable or badly written is dropped.
pub(super) fn tests(query: &[(String, String)], usable: impl Fn(&str) -> bool) -> Result<Vec<Test>, Raised> {
    let mut wanted: BTreeMap<(String, bool), Sent> = BTreeMap::new();
    for (key, value) in query {
        let Some((name, negated, indexed)) = name_of(key) else { continue };
        if RESERVED.contains(&name) || !usable(name) {
            continue;
        }
        let sent = wanted.entry((name.to_owned(), negated)).or_insert_with(|| Sent::One(String::new()));
        match sent {
            Sent::Many(values) if indexed => values.push(value.clone()),
            _ if indexed => *sent = Sent::Many(vec![value.clone()]),
            _ => *sent = Sent::One(value.clone()),
        }
    }
    let mut tests = Vec::new();
    for ((field, negated), sent) in wanted {
        if let Some(condition) = condition(&field, sent)? {
            tests.push(Test { field, negated, condition });
        }
    }
    Ok(tests)
}

enum Sent {
    One(String),
    Many(Vec<String>),
}

/// The field a parameter names, whether it is negated, and whether it is one of an indexed list. `name[]` and other shapes are dropped.
fn name_of(key: &str) -> Option<(&str, bool, bool)> {
    let (name, brackets) = match key.split_once('[') {
        None => return Some((key, false, false)),
        Some((name, rest)) => (name, rest.strip_suffix(']')?),
    };
    let parts: Vec<&str> = brackets.split("][").collect();
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match (name, parts.as_slice()) {
        ("not", [field]) if !field.is_empty() => Some((field, true, false)),
        ("not", [field, index]) if is_index(index) => Some((field, true, true)),
        (name, [index]) if is_index(index) => Some((name, false, true)),
        _ => None,
    }
}

fn condition(field: &str, sent: Sent) -> Result<Option<Condition>, Raised> {
    let identifier = IDENTIFIERS.contains(&field);
    let values = match sent {
        Sent::One(value) if identifier => {
            refuse_quotes(&value)?;
            return Ok(Some(Condition::Identifier(value)));
        }
        Sent::Many(_) if identifier => return Ok(None),
        Sent::One(value) => {
            if let Some((from, to)) = value.split_once("..") {
                return range(field, from, to);
            }
            if field == "last_updated_at" {
                return Ok(Some(Condition::Nothing));
            }
            value.split(',').map(str::to_owned).collect()
        }
        Sent::Many(values) => values,
    };
    let mut scalars = Vec::new();
    for value in values {
        refuse_quotes(&value)?;
        scalars.push(scalar(value));
    }
    Ok(Some(Condition::AnyOf(scalars)))
}

/// The value is placed inside a quoted path, so a quote or a backslash breaks the statement.
fn refuse_quotes(value: &str) -> Result<(), Raised> {
    if value.contains(['"', '\\']) { Err(Raised::Database) } else { Ok(()) }
}

fn scalar(value: String) -> Scalar {
    match value.as_str() {
        "true" => Scalar::Flag(true),
        "false" => Scalar::Flag(false),
        _ => match value.parse::<i64>() {
            Ok(number) => Scalar::Number(number as f64),
            Err(_) => Scalar::Text(value),
        },
    }
}

fn range(field: &str, from: &str, to: &str) -> Result<Option<Condition>, Raised> {
    if let Ok(first) = from.parse::<f64>() {
        return match to {
            "" => Ok(Some(Condition::Numbers(first, None))),
            to => Ok(to.parse().ok().map(|last| Condition::Numbers(first, Some(last)))),
        };
    }
    let Some(first) = Moment::read(from) else { return Ok(None) };
    let last = match to {
        "" => None,
        to => Some(Moment::read(to).ok_or(Raised::Application)?),
    };
    // `created_at` has a column of its own and keeps its fraction; anything else is compared as text cut to the second.
    let exact = field == "created_at";
    Ok(Some(Condition::Moments(first.begins(exact), last.map(|last| last.ends(exact)))))
}

#[derive(Clone, Copy)]
enum Moment {
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

impl Moment {
    fn read(text: &str) -> Option<Self> {
        if is_date(text) {
            return NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self::Day);
        }
        if text.as_bytes().get(10) != Some(&b'T') {
            return None;
        }
        DateTime::parse_from_rfc3339(text).ok().map(|instant| Self::Instant(instant.to_utc()))
    }

    fn begins(self, exact: bool) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
            Self::Instant(instant) if exact => instant,
            Self::Instant(instant) => whole_second(instant),
        }
    }

    /// The first moment that is too late.
    fn ends(self, exact: bool) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1),
            Self::Instant(instant) if exact => instant + TimeDelta::nanoseconds(1),
            Self::Instant(instant) => whole_second(instant) + TimeDelta::seconds(1),
        }
    }
}

fn whole_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    use chrono::SubsecRound as _;
    instant.trunc_subsecs(0)
}

impl Test {
    pub(super) fn fits(&self, case: &Case) -> bool {
        self.negated != self.matches(case)
    }

    fn matches(&self, case: &Case) -> bool {
        match &self.condition {
            Condition::Nothing | Condition::Numbers(_, None) => false,
            Condition::Identifier(value) => case.text(&self.field) == Some(value),
            Condition::AnyOf(scalars) => scalars.iter().any(|scalar| self.holds(case, scalar)),
            Condition::Numbers(first, Some(last)) => {
                let number = case.document.get(&self.field).and_then(serde_json::Value::as_f64);
                number.is_some_and(|number| (*first..=*last).contains(&number))
            }
            Condition::Moments(first, last) => {
                let found = match self.field.as_str() {
                    "last_updated_at" => Some(case.stamp),
                    "created_at" => Some(case.created_at),
                    field => case.text(field).and_then(Moment::read).map(|moment| moment.begins(true)),
                };
                found.is_some_and(|found| *first <= found && last.is_none_or(|last| found < last))
            }
        }
    }

    fn holds(&self, case: &Case, scalar: &Scalar) -> bool {
        use serde_json::Value;
        let stored = match self.field.as_str() {
            "id" => return matches!(scalar, Scalar::Text(text) if *text == case.key.to_string()),
            "created_at" => return matches!(scalar, Scalar::Text(text) if *text == shown(case.created_at)),
            field => case.document.get(field).unwrap_or(&Value::Null),
        };
        let equals = |value: &Value| match scalar {
            Scalar::Text(text) => value == text,
            Scalar::Number(number) => value.as_f64() == Some(*number),
            Scalar::Flag(true) => *value == true || value == "true",
            Scalar::Flag(false) => *value == false || value == "false" || value.is_null(),
        };
        match stored {
            Value::Array(list) => list.iter().any(equals),
            value => equals(value),
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[track_caller]
    fn check(query: &[(&str, &str)], expected: Result<&[(&str, bool, Condition)], Raised>) {
        let query: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let usable = |name: &str| name != "remote";
        let expected = expected.map(|expected| {
            let test = |(field, negated, condition): &(&str, bool, Condition)| Test {
                field: (*field).to_owned(),
                negated: *negated,
                condition: condition.clone(),
            };
            expected.iter().map(test).collect::<Vec<_>>()
        });
        assert_eq!(tests(&query, usable), expected);
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn what_is_unusable_or_badly_written_is_dropped() {
        check(&[("remote", "true")], Ok(&[]));
        check(&[("associated_user_names[]", "u1")], Ok(&[]));
        check(&[("case_id[0]", "x")], Ok(&[]));
        check(&[("last_updated_at", "..2024-04-09T00:00:00Z")], Ok(&[]));
        check(&[("last_updated_at", "2024-04-09T21:00Z..")], Ok(&[]));
        check(&[("last_updated_at", "2024-04-09T21:00:00+0300..")], Ok(&[]));
        check(&[("last_updated_at", "2024-04-09T21:00:00 03:00..")], Ok(&[]));
        check(&[("per", "5"), ("order", "asc")], Ok(&[]));
    }

    #[test]
    fn values_are_read_as_what_they_look_like() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        check(&[("owned_by", "u1")], Ok(&[("owned_by", false, Condition::AnyOf(vec![text("u1")]))]));
        check(&[("owned_by", "u1,u2")], Ok(&[("owned_by", false, Condition::AnyOf(vec![text("u1"), text("u2")]))]));
        check(&[("sex[0]", "a"), ("sex[1]", "b")], Ok(&[("sex", false, Condition::AnyOf(vec![text("a"), text("b")]))]));
        check(&[("name_first", "0123")], Ok(&[("name_first", false, Condition::AnyOf(vec![Scalar::Number(123.0)]))]));
        check(&[("case_id", "0123,4")], Ok(&[("case_id", false, Condition::Identifier("0123,4".to_owned()))]));
        check(&[("not[status]", "closed")], Ok(&[("status", true, Condition::AnyOf(vec![text("closed")]))]));
        check(&[("record_state", "true")], Ok(&[("record_state", false, Condition::AnyOf(vec![Scalar::Flag(true)]))]));
        check(&[("age", "10..15")], Ok(&[("age", false, Condition::Numbers(10.0, Some(15.0)))]));
        check(&[("age", "10..")], Ok(&[("age", false, Condition::Numbers(10.0, None))]));
        check(&[("last_updated_at", "2024-04-09T21:00:00Z")], Ok(&[("last_updated_at", false, Condition::Nothing)]));
    }

    #[test]
    fn ranges_of_moments_are_inclusive_to_the_whole_second_but_exact_for_creation() {
        let moments = |from: &str, to: Option<&str>| Condition::Moments(at(from), to.map(at));
        check(
            &[("last_updated_at", "2024-04-09T21:00:17.471Z..2024-04-09T21:00:19.1Z")],
            Ok(&[("last_updated_at", false, moments("2024-04-09T21:00:17Z", Some("2024-04-09T21:00:20Z")))]),
        );
        check(
            &[("last_updated_at", "2024-04-09T21:00:17+03:00..")],
            Ok(&[("last_updated_at", false, moments("2024-04-09T18:00:17Z", None))]),
        );
        check(
            &[("last_updated_at", "2024-04-09..2024-04-10")],
            Ok(&[("last_updated_at", false, moments("2024-04-09T00:00:00Z", Some("2024-04-11T00:00:00Z")))]),
        );
        check(
            &[("created_at", "2024-04-09T21:00:17.471Z..2024-04-09T21:00:19.1Z")],
            Ok(&[("created_at", false, moments("2024-04-09T21:00:17.471Z", Some("2024-04-09T21:00:19.100000001Z")))]),
        );
    }

    #[test]
    fn some_values_raise() {
        check(&[("case_id", "a\"b")], Err(Raised::Database));
        check(&[("owned_by", "a\\b")], Err(Raised::Database));
        check(&[("last_updated_at", "2024-04-09T21:00:00Z..soon")], Err(Raised::Application));
    }
}
