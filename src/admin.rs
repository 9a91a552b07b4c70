//! Where the operator looks: the page, and for machines alive, ready, metrics. Read-only; on the loopback by default; never the
//! inbox's address.

mod guard;

use std::sync::{Arc, atomic::AtomicU64};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use serde_json::json;

use crate::{
    page,
    programme::{InForce, Programme},
    referral::{Flow, System},
    spool::Error,
    walks::Walks,
};

/// Everything that the operator and their machines may look at, of whichever programme is in force.
pub fn router(in_force: InForce, walks: Arc<Walks>) -> Router {
    let listen = in_force.now().settings.admin.listen;
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(in_force.clone())
        .merge(page::router(in_force, walks))
        .layer(middleware::from_fn_with_state(listen, guard::guard))
}

/// 503 only when a post could not be stored. A blocked system is content, not status: the inbox accepts all the same.
async fn ready(State(in_force): State<InForce>) -> Response {
    let programme = in_force.now();
    let stored = programme.spool.write(|tx| tx.check_room()).await;
    let why = match &stored {
        Ok(()) => None,
        Err(Error::Full) => Some("the state has reached state.max_size"),
        Err(_) => Some("the state cannot be written"),
    };
    let system = |system: System| {
        let health = programme.health();
        let health = &health[system as usize];
        match health.block() {
            Some(block) => json!({ "state": "blocked", "reason": block.reason.code() }),
            None if health.is_unwell() => json!({ "state": "unwell" }),
            None => json!({ "state": "well" }),
        }
    };
    let content = json!({
        "ready": why.is_none(),
        "why": why,
        "primero": system(System::Primero),
        "dtp": system(System::Dtp),
        "flows": { "to_primero": programme.runs(Flow::ToPrimero), "to_dtp": programme.runs(Flow::ToDtp) },
        "paused": Flow::ALL.iter().filter(|flow| programme.spool.shared().is_paused(**flow)).collect::<Vec<_>>(),
        "waiting": programme.spool.shared().agenda().len(),
    });
    (if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(content)).into_response()
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Standing {
    errand: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Addressee {
    addressee: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Entries {
    kind: String,
}

async fn metrics(State(in_force): State<InForce>) -> Response {
    match text(&in_force.now()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be read from the state");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn text(programme: &Programme) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("referrald");
    let deliveries = Family::<Standing, Gauge>::default();
    registry.register("deliveries", "Unsettled deliveries, by errand and state", deliveries.clone());
    let settled = Family::<Standing, Counter>::default();
    registry.register("settled", "Deliveries settled since the state was made, by errand and state", settled.clone());
    let entries = Family::<Entries, Gauge>::default();
    registry.register("operator_list_entries", "Open entries on the operator's list", entries.clone());
    let blocked = Family::<Addressee, Gauge>::default();
    registry.register("addressee_blocked", "1 while a system is blocked because we are wrong", blocked.clone());
    let unwell = Family::<Addressee, Gauge>::default();
    registry.register("addressee_unwell", "1 while a system fails in a row", unwell.clone());
    let oldest = Gauge::<f64, AtomicU64>::default();
    registry.register("oldest_unsettled_seconds", "Age of the oldest unsettled delivery", oldest.clone());

    let (standing, ended, open, unsettled) = programme
        .spool
        .read(|reading| Ok((reading.standing()?, reading.settled()?, reading.open_entries()?, reading.oldest_unsettled()?)))?;
    for (outcome, count) in ended {
        if let Some((errand, state)) = outcome.split_once(' ') {
            settled.get_or_create(&Standing { errand: errand.to_owned(), state: state.to_owned() }).inc_by(count);
        }
    }
    for (errand, state, count) in standing {
        deliveries.get_or_create(&Standing { errand, state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    for entry in open {
        entries.get_or_create(&Entries { kind: entry.kind.code().to_owned() }).inc();
    }
    if let Some(made) = unsettled {
        oldest.set((programme.clock.now() - made).as_seconds_f64());
    }
    let health = programme.health();
    for system in System::ALL {
        let label = Addressee { addressee: system.code().to_owned() };
        blocked.get_or_create(&label).set(health[*system as usize].block().is_some().into());
        unwell.get_or_create(&label).set(health[*system as usize].is_unwell().into());
    }
    drop(health);
    let mut text = String::new();
    // Writing into a String cannot fail.
    encode(&mut text, &registry).expect("writing into a String cannot fail");
    Ok(text)
}
