//! `/readyz`: whether posts can be stored, and how everything else stands.
//!
//! 503 only when a post could not be stored. A blocked system is content, not status: the inbox accepts all the same.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::{
    programme::InForce,
    spool::Error,
    standing::{self, Now, Room, Running, SystemNow, SystemState},
    walks::Walks,
};

/// The page.
pub(super) async fn page(State((in_force, walks)): State<(InForce, Arc<Walks>)>) -> Response {
    let programme = in_force.now();
    let (spool, clock) = (&programme.spool, &programme.clock);
    let running = Running { programme: &programme, walks: &walks };
    let now = standing::now(&programme.settings, spool, clock, Some(running)).await;
    let why = match &now {
        Ok(Now { room: Room::Enough, .. }) => None,
        Ok(Now { room: Room::Full, .. }) => Some("the state has reached state.max_size"),
        Ok(Now { room: Room::NotWritable, .. }) => Some("the state cannot be written"),
        Err(_) => Some("the state cannot be read"),
    };
    programme.note_room(why.is_none());
    let mut content = json!({ "ready": why.is_none(), "why": why });
    let told = now.and_then(|now| {
        let open = spool.read(|reading| reading.open_by_kind())?;
        let list = open.iter().map(|(kind, count)| (kind.code(), *count)).collect();
        Ok::<_, Error>(told(&now, &list, spool.shared().agenda().len()))
    });
    if let (Some(content), Ok(told)) = (content.as_object_mut(), told) {
        content.extend(told);
    }
    (if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(content)).into_response()
}

/// How everything stands: codes, counts and times.
fn told(now: &Now, list: &BTreeMap<&str, u64>, waiting: usize) -> Map<String, Value> {
    let mut told = Map::new();
    for system in &now.systems {
        told.insert(system.system.code().to_owned(), of_system(system));
    }
    let flows: BTreeMap<&str, &str> = now.flows.iter().map(|flow| (flow.flow.code(), flow.state.code())).collect();
    let walks: BTreeMap<&str, Option<String>> = now.walks.iter().map(|walk| (walk.walk.code(), walk.last.map(stamp))).collect();
    let rest = [
        ("flows", json!(flows)),
        ("waiting", json!(waiting)),
        ("oldest", json!(now.open.oldest.map(stamp))),
        ("operator_list", json!(list)),
        ("last_walk", json!(walks)),
        ("agreement_until", json!(stamp(now.agreement.until))),
        ("certificate_until", json!(now.certificate_ends.map(stamp))),
    ];
    told.extend(rest.map(|(key, value)| (key.to_owned(), value)));
    told
}

fn of_system(now: &SystemNow) -> Value {
    match now.state {
        SystemState::Well => json!({ "state": "well" }),
        SystemState::Unwell { since } => json!({ "state": "unwell", "since": stamp(since) }),
        SystemState::Blocked { reason, since, next_probe } => json!({
            "state": "blocked",
            "reason": reason.code(),
            "since": since.map(stamp),
            "next_probe": stamp(next_probe),
        }),
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
