//! What a body may hold: what is dropped in silence, what is refused with pointers.
//!
//! It knows fields and their kinds, no record and no role.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};

/// The fields a role may write, each with its rule.
pub(super) type Schema = HashMap<String, Kind>;

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text,
    Date,
    DateTime,
    Numeric,
    TickBox,
    Radio(Options),
    Select(Options),
    MultiSelect(Options),
    Subform(Arc<Schema>),
    /// A lower-case UUID.
    UniqueId,
    /// True, false or null.
    Flag,
}

#[derive(Clone, Debug)]
pub(super) enum Options {
    Any,
    Listed(Arc<HashSet<String>>),
}

impl Options {
    fn allow(&self, id: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(ids) => ids.contains(id),
        }
    }
}

/// What of `sent` is kept, or the pointers to what makes the whole body refused.
pub(super) fn accept(schema: &Schema, sent: &Map<String, Value>) -> Result<Map<String, Value>, Vec<String>> {
    let kept = permit(schema, sent);
    let mut pointers = Vec::new();
    refuse(schema, &kept, "", &mut pointers);
    if pointers.is_empty() { Ok(kept) } else { Err(pointers) }
}

/// First stage: what is unknown or of another shape falls out.
fn permit(schema: &Schema, sent: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, value) in sent {
        let Some(kind) = schema.get(name) else { continue };
        let kept_value = match (kind, value) {
            (Kind::Subform(nested), Value::Array(items)) => {
                Some(items.iter().filter_map(Value::as_object).map(|item| Value::Object(permit(nested, item))).collect())
            }
            // An object instead of a list gets through to the second stage, which refuses it.
            (Kind::Subform(_), Value::Object(_)) => Some(value.clone()),
            (Kind::Subform(_), _) => None,
            (Kind::MultiSelect(_), Value::Array(items)) => {
                let scalars_only = !items.iter().any(|item| item.is_array() || item.is_object());
                scalars_only.then(|| value.clone())
            }
            (Kind::MultiSelect(_), _) | (_, Value::Array(_) | Value::Object(_)) => None,
            (_, scalar) => Some(scalar.clone()),
        };
        if let Some(value) = kept_value {
            kept.insert(name.clone(), value);
        }
    }
    kept
}

/// Second stage: what is left must fit its kind.
fn refuse(schema: &Schema, kept: &Map<String, Value>, path: &str, pointers: &mut Vec<String>) {
    for (name, value) in kept {
        let Some(kind) = schema.get(name) else { continue };
        let pointer = format!("{path}/{name}");
        match (kind, value) {
            (Kind::Subform(nested), Value::Array(items)) => {
                for (place, item) in items.iter().enumerate() {
                    if let Value::Object(item) = item {
                        refuse(nested, item, &format!("{pointer}/{place}"), pointers);
                    }
                }
            }
            (Kind::MultiSelect(options), Value::Array(items)) => {
                for (place, item) in items.iter().enumerate() {
                    if !item.as_str().is_some_and(|id| options.allow(id)) {
                        pointers.push(format!("{pointer}/{place}"));
                    }
                }
            }
            (kind, value) => {
                if !fits(kind, value) {
                    pointers.push(pointer);
                }
            }
        }
    }
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::TickBox | Kind::UniqueId | Kind::Subform(_) | Kind::MultiSelect(_), Value::Null) => false,
        (_, Value::Null) => true,
        (Kind::Text, Value::String(text)) => !is_date(text) && !is_date_time(text),
        (Kind::Date, Value::String(text)) => is_date(text),
        (Kind::DateTime, Value::String(text)) => is_date_time(text),
        (Kind::Numeric, Value::Number(number)) => {
            number.as_f64().is_some_and(|number| number.fract() == 0.0 && i32_range().contains(&number))
        }
        (Kind::TickBox | Kind::Flag, Value::Bool(_)) => true,
        (Kind::Radio(Options::Listed(ids)), Value::Bool(flag)) => {
            ids.len() <= 2
                && ids.iter().all(|id| id == "true" || id == "false")
                && ids.contains(if *flag { "true" } else { "false" })
        }
        (Kind::Radio(options), Value::String(id)) => options.allow(id),
        // Reading JSON has turned a text that is exactly a date into a date before options are looked at.
        (Kind::Select(options), Value::String(id)) => options.allow(id) && !is_date(id) && !is_date_time(id),
        (Kind::UniqueId, Value::String(text)) => is_lower_case_uuid(text),
        _ => false,
    }
}

fn i32_range() -> std::ops::RangeInclusive<f64> {
    f64::from(i32::MIN)..=f64::from(i32::MAX)
}

pub(super) fn is_lower_case_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// `2021-10-06`
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// `2021-10-06T00:00:00Z`, with a fraction, an offset with a colon, or without a zone.
pub(super) fn is_date_time(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T')
        && (DateTime::parse_from_rfc3339(text).is_ok() || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let listed = |ids: &[&str]| Options::Listed(Arc::new(ids.iter().map(|id| (*id).to_owned()).collect()));
        let item = Schema::from([
            ("unique_id".to_owned(), Kind::UniqueId),
            ("_destroy".to_owned(), Kind::Flag),
            ("service_type".to_owned(), Kind::Select(listed(&["food"]))),
        ]);
        [
            ("text", Kind::Text),
            ("date", Kind::Date),
            ("moment", Kind::DateTime),
            ("number", Kind::Numeric),
            ("tick", Kind::TickBox),
            ("select", Kind::Select(listed(&["a", "b"]))),
            ("agency", Kind::Select(Options::Any)),
            ("many", Kind::MultiSelect(listed(&["a", "b"]))),
            ("radio", Kind::Radio(listed(&["true", "false"]))),
            ("items", Kind::Subform(Arc::new(item))),
        ]
        .map(|(name, kind)| (name.to_owned(), kind))
        .into()
    }

    #[track_caller]
    fn check(sent: Value, expected: Result<Value, &[&str]>) {
        let sent = sent.as_object().expect("an object").clone();
        let found = accept(&schema(), &sent).map(Value::Object);
        let expected = expected.map_err(|pointers| pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_unknown_or_of_another_shape_falls_out_in_silence() {
        check(json!({"stranger": 1, "text": ["x"], "select": {"x": 1}}), Ok(json!({})));
        check(json!({"many": "a"}), Ok(json!({})));
        check(json!({"many": null}), Ok(json!({})));
        check(json!({"items": null}), Ok(json!({})));
        check(json!({"items": "x"}), Ok(json!({})));
        check(json!({"items": [1, {"stranger": 2, "service_type": "food"}]}), Ok(json!({"items": [{"service_type": "food"}]})));
    }

    #[test]
    fn each_kind_accepts_its_own_values() {
        for good in [
            json!({"text": "words", "date": "2024-05-01", "number": 16, "tick": true, "select": "a", "agency": "anything"}),
            json!({"text": null, "date": null, "number": 16.0, "tick": false, "select": null, "many": []}),
            json!({"moment": "2021-10-06T00:00:00Z"}),
            json!({"moment": "2021-10-06T00:00:00.123+03:00"}),
            json!({"moment": "2021-10-06T00:00:00"}),
            json!({"radio": true}),
            json!({"items": []}),
            json!({"items": [{"unique_id": "0b7e6b1e-0000-4000-8000-000000000001", "_destroy": null}]}),
        ] {
            check(good.clone(), Ok(good));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_pointers() {
        for (name, bad) in [
            ("text", json!(1)),
            ("text", json!("2024-05-01")),
            ("text", json!("2024-05-01T10:00:00Z")),
            ("date", json!("2024-05-01T00:00:00Z")),
            ("date", json!("")),
            ("moment", json!("2024-05-01")),
            ("moment", json!("2024-05-01T10:00Z")),
            ("moment", json!("")),
            ("number", json!("16")),
            ("number", json!(16.5)),
            ("number", json!(2_147_483_648_i64)),
            ("tick", json!(null)),
            ("tick", json!("true")),
            ("select", json!("c")),
            ("select", json!("")),
            ("items", json!({})),
        ] {
            let mut sent = Map::new();
            sent.insert(name.to_owned(), bad);
            check(Value::Object(sent), Err(&[format!("/{name}").as_str()]));
        }
        check(json!({"many": ["a", "c"]}), Err(&["/many/1"]));
        check(
            json!({"items": [{}, {"service_type": "drink", "unique_id": "X"}]}),
            Err(&["/items/1/service_type", "/items/1/unique_id"]),
        );
        check(json!({"items": [{"unique_id": null}]}), Err(&["/items/0/unique_id"]));
        check(json!({"items": [{"unique_id": "0B7E6B1E-0000-4000-8000-000000000001"}]}), Err(&["/items/0/unique_id"]));
    }
}
