//! Primero's answers: a status and a body become a named case, JSON becomes a typed record.
//!
//! It sends nothing. A record that is not in the promised shape is `None` here; only its reader knows what that means.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use reqwest::Response;
use serde_json::Value;

use super::{Case, Document, Referral, ReferralStatus, Row, Trouble, Unwell, text};
use crate::{
    personal::Personal,
    reason::Reason,
    wire::{self, Content},
};

/// The largest body that is read of a refusal.
const LARGEST_REFUSAL: usize = 256 << 10;

/// What an answer to a good request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promised {
    /// 200 with JSON.
    Json,
    /// 200 with JSON, or 204 without anything.
    JsonOrNothing,
}

/// Reads one answer. `writes` tells whether the request may have had an effect.
pub(super) async fn read(
    response: Response,
    promised: Promised,
    largest: usize,
    writes: bool,
    now: DateTime<Utc>,
) -> Result<Option<Value>, Trouble> {
    let status = response.status().as_u16();
    let retry_after = wire::retry_after(response.headers(), now);
    let unwell = |reason| {
        let effect_possible = writes && wire::may_have_acted(status);
        Trouble::Unwell(Unwell { reason, status: Some(status), retry_after, effect_possible })
    };
    match status {
        204 if promised == Promised::JsonOrNothing => Ok(None),
        200 => json(response, largest).await.map(Some).map_err(unwell),
        // Another success than the promised one did not come from Primero, and neither did a page that has moved.
        100..=399 => Err(unwell(Reason::NotAsPromised)),
        401 => Err(Trouble::Unauthorized),
        403 => Err(Trouble::Forbidden),
        404 => match refusal(response).await.map_err(unwell)? {
            Some(refusal) if errors(&refusal).next().is_some() => Err(Trouble::NotFound),
            Some(_) | None => Err(Trouble::WrongUrl),
        },
        405 => Err(Trouble::WrongUrl),
        409 => Err(Trouble::Conflict),
        422 => {
            let refusal = refusal(response).await.map_err(unwell)?;
            Err(Trouble::Invalid(refusal.as_ref().map(pointers).unwrap_or_default()))
        }
        other => Err(wire::unwell(other).map_or(Trouble::Refused(other), unwell)),
    }
}

/// They are unwell: an answer that is not what Primero promises.
pub(super) const fn not_as_promised(status: Option<u16>, effect_possible: bool) -> Trouble {
    Trouble::Unwell(Unwell { reason: Reason::NotAsPromised, status, retry_after: None, effect_possible })
}

/// `data` of an answer.
pub(super) fn data(answer: Value) -> Option<Value> {
    match answer {
        Value::Object(mut answer) => answer.remove("data"),
        _ => None,
    }
}

/// The rows of a list, and what it says of its pages.
pub(super) struct Listing {
    pub(super) rows: Vec<Value>,
    pub(super) total: u64,
    pub(super) per: u32,
    pub(super) page: u32,
}

/// A list with `data` and `metadata`.
pub(super) fn listing(answer: Value) -> Option<Listing> {
    let Value::Object(mut answer) = answer else { return None };
    let Some(Value::Array(rows)) = answer.remove("data") else { return None };
    let metadata = answer.get("metadata")?;
    let number = |name: &str| metadata.get(name)?.as_u64();
    let (per, page) = (u32::try_from(number("per")?).ok()?, u32::try_from(number("page")?).ok()?);
    (per > 0 && rows.len() <= usize::try_from(per).ok()?).then_some(Listing { rows, total: number("total")?, per, page })
}

/// A case with its three constant keys.
pub(super) fn case(value: Value) -> Option<Case> {
    let Value::Object(document) = value else { return None };
    let services = document.get("services_section");
    // Services that cannot be read must not pass for "no services".
    if !services.is_none_or(|services| services.is_null() || services.is_array()) {
        return None;
    }
    Some(Case {
        key: text(&document, "id")?.parse().ok()?,
        enabled: document.get("enabled")?.as_bool()?,
        last_updated_at: moment(&document, "last_updated_at")?,
        document: Personal::new(document),
    })
}

/// A row of the list of changed cases, which follows one of the stamp `before`.
pub(super) fn row(value: Value, before: DateTime<Utc>) -> Row {
    let document = value.as_object();
    let told = |field: &str| document.and_then(|document| text(document, field));
    let unreadable = Row::Unreadable {
        key: told("id").and_then(|id| id.parse().ok()),
        case_id: told("case_id").and_then(|id| id.parse().ok()),
        last_updated_at: document.and_then(|document| moment(document, "last_updated_at")).unwrap_or(before),
    };
    case(value).map_or(unreadable, Row::Case)
}

/// A referral. Absent, null and blank are the same.
pub(super) fn referral(value: &Value) -> Option<Referral> {
    let referral = value.as_object()?;
    let texts = |field: &str| text(referral, field).map(str::to_owned);
    Some(Referral {
        id: text(referral, "id")?.parse().ok()?,
        case: text(referral, "record_id")?.parse().ok()?,
        status: ReferralStatus::from_code(text(referral, "status")?)?,
        service_record_id: texts("service_record_id"),
        transitioned_to: texts("transitioned_to").map(Personal::new),
        transitioned_to_agency: texts("transitioned_to_agency").map(Personal::new),
        remote: yes(referral, "remote")?,
        consent_overridden: yes(referral, "consent_overridden")?,
        created_at: moment(referral, "created_at")?,
    })
}

/// A tick that may be absent. Anything but a tick is nothing.
pub(super) fn yes(document: &Document, field: &str) -> Option<bool> {
    match document.get(field) {
        None | Some(Value::Null) => Some(false),
        Some(value) => value.as_bool(),
    }
}

fn moment(document: &Document, field: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text(document, field)?).ok()?.to_utc())
}

/// The JSON of a refusal; `None` if it does not say that it is JSON, and so does not come from Primero itself.
async fn refusal(response: Response) -> Result<Option<Value>, Reason> {
    match wire::content(response.headers()) {
        Content::Json => json(response, LARGEST_REFUSAL).await.map(Some),
        Content::Html | Content::Other | Content::Unsaid => Ok(None),
    }
}

/// Complete JSON that says that it is JSON.
async fn json(response: Response, largest: usize) -> Result<Value, Reason> {
    if wire::content(response.headers()) != Content::Json {
        return Err(Reason::NotAsPromised);
    }
    let body = wire::body(response, largest).await.map_err(wire::Cut::reason)?;
    serde_json::from_slice(&body).map_err(|_| Reason::NotAsPromised)
}

/// The entries of Primero's own error shape.
fn errors(refusal: &Value) -> impl Iterator<Item = &Document> {
    refusal.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// The JSON pointers and field names of a refusal, each once. Nothing else is kept: a message may quote a value.
fn pointers(refusal: &Value) -> BTreeSet<String> {
    errors(refusal)
        .filter_map(|error| error.get("detail"))
        .flat_map(|detail| detail.as_array().map_or(std::slice::from_ref(detail), Vec::as_slice))
        .filter_map(Value::as_str)
        .filter(|text| (1..=128).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/-".contains(&byte)))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_kept_once_and_nothing_that_could_be_a_value() {
        let refusal = json!({"errors": [
            {"status": 422, "detail": ["/age", "/services_section/0/service_type", "/age", "Marker Name", 7, "", "x".repeat(129)]},
            {"status": 422, "detail": "consent", "message": ["Marker-Message"]},
            {"status": 422, "message": "Marker-Message"},
        ]});
        let expected = ["/age", "/services_section/0/service_type", "consent"];
        assert_eq!(pointers(&refusal), expected.map(str::to_owned).into());
        for other in [json!({}), json!([]), json!({"errors": "Marker"}), json!(null)] {
            assert_eq!(pointers(&other), BTreeSet::new());
        }
    }

    #[test]
    fn a_case_has_its_three_constant_keys() {
        let good =
            json!({"id": "3f0c1a52-0000-4000-8000-000000000001", "enabled": true, "last_updated_at": "2026-01-05T10:00:00.123Z"});
        let case_of = |change: fn(&mut Document)| {
            let mut value = good.clone();
            change(value.as_object_mut().unwrap());
            case(value)
        };
        let read = case_of(|_| ()).unwrap();
        assert_eq!(read.last_updated_at.timestamp_millis(), 1_767_607_200_123);
        assert!(read.enabled);
        for change in [
            (|case| drop(case.remove("id"))) as fn(&mut Document),
            |case| drop(case.insert("id".into(), json!(7))),
            |case| drop(case.remove("enabled")),
            |case| drop(case.insert("enabled".into(), json!("true"))),
            |case| drop(case.insert("last_updated_at".into(), json!("yesterday"))),
        ] {
            assert!(case_of(change).is_none());
        }
    }

    #[test]
    fn a_referral_without_its_optional_keys_is_one() {
        let least = json!({"id": "3f0c1a52-0000-4000-8000-0000000000aa", "record_id": "3f0c1a52-0000-4000-8000-000000000001",
            "status": "in_progress", "service_record_id": " ", "created_at": "2026-01-05T10:00:00.123Z"});
        let read = referral(&least).unwrap();
        assert_eq!(read.status, ReferralStatus::InProgress);
        assert_eq!((read.service_record_id, read.transitioned_to, read.transitioned_to_agency), (None, None, None));
        assert_eq!((read.remote, read.consent_overridden), (false, false));
        for (field, value) in [
            ("status", json!("paused")),
            ("id", json!(7)),
            ("record_id", json!(null)),
            ("created_at", json!(null)),
            ("consent_overridden", json!("true")),
        ] {
            let mut other = least.clone();
            other[field] = value;
            assert!(referral(&other).is_none(), "{field}");
        }
    }

    #[test]
    fn a_list_has_rows_and_says_its_page() {
        let read = listing(json!({"data": [{}], "metadata": {"total": 1, "per": 5, "page": 1}})).unwrap();
        assert_eq!((read.rows.len(), read.total, read.per, read.page), (1, 1, 5, 1));
        for other in [
            json!([]),
            json!({"data": [], "metadata": {"total": 0, "per": 5}}),
            json!({"data": [], "metadata": {"total": 0, "per": 0, "page": 1}}),
            json!({"data": {}, "metadata": {"total": 0, "per": 5, "page": 1}}),
            json!({"metadata": {"total": 0, "per": 5, "page": 1}}),
            json!({"data": [{}, {}], "metadata": {"total": 2, "per": 1, "page": 1}}),
        ] {
            assert!(listing(other).is_none());
        }
    }
}
