//! Where the operator's machines look: alive, ready, metrics. Read-only; on the loopback by default; never the inbox's address.

mod metrics;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::{
    health::Block,
    programme::Programme,
    referral::{Flow, System, Walk},
    spool::Error,
};

/// The admin pages of a programme.
pub fn router(programme: Arc<Programme>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::page))
        .with_state(programme)
}

/// 503 only when a post could not be stored. A blocked system is content, not status: the inbox accepts all the same.
async fn ready(State(programme): State<Arc<Programme>>) -> Response {
    let stored = programme.spool.write(|tx| tx.check_room()).await;
    programme.note_storing(stored.is_ok());
    let why = match &stored {
        Ok(()) => None,
        Err(Error::Full) => Some("the state has reached state.max_size"),
        Err(_) => Some("the state cannot be written"),
    };
    let (blocks, entries, oldest) = programme
        .spool
        .read(|reading| Ok((reading.blocks()?, reading.open_entries()?, reading.oldest_unsettled()?)))
        .unwrap_or_default();
    let system = |system: System| {
        let health = programme.health();
        let health = &health[system as usize];
        let block = blocks.iter().find(|block| block.addressee == system);
        match health.block() {
            Some(Block { reason, .. }) => json!({
                "state": "blocked",
                "reason": reason.code(),
                "since": block.map(|block| stamp(block.since)),
                "next_probe": block.map(|block| stamp(block.next_probe)),
            }),
            None if health.is_unwell() => json!({ "state": "unwell" }),
            None => json!({ "state": "well" }),
        }
    };
    let mut list = BTreeMap::<&str, u64>::new();
    for entry in entries {
        *list.entry(entry.kind.code()).or_default() += 1;
    }
    let agreement = &programme.settings.agreement;
    let walked = |walk: Walk| programme.meters().last_walk(walk).map(stamp);
    let content = json!({
        "ready": why.is_none(),
        "why": why,
        "primero": system(System::Primero),
        "dtp": system(System::Dtp),
        "flows": { "to_primero": programme.runs(Flow::ToPrimero), "to_dtp": programme.runs(Flow::ToDtp) },
        "waiting": programme.spool.shared().agenda().len(),
        "oldest": oldest.map(stamp),
        "operator_list": list,
        "last_walk": { "referrals": walked(Walk::Referrals), "decisions": walked(Walk::Decisions) },
        "agreement": { "valid": agreement.is_valid(programme.clock.now()), "until": stamp(agreement.valid_until) },
        "certificate": { "until": stamp(programme.certificate_ends) },
    });
    (if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(content)).into_response()
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
