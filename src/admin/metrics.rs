//! `/metrics`: what the state knows, read when it is asked for, and what the process counts.
//!
//! Names are stable, labels are codes of closed lists: no service, no agency, no place, no number of anything.

use std::{fs, sync::atomic::AtomicU64};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    programme::{InForce, Programme},
    referral::{Flow, System, Walk},
    spool::{Error, list::Kind},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Standing {
    errand: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Addressee {
    addressee: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Entries {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfFlow {
    flow: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfWalk {
    walk: &'static str,
}

/// The page.
pub(super) async fn page(State(in_force): State<InForce>) -> Response {
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
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Which referrald this is", version);
    state(programme, &mut registry)?;
    systems(programme, &mut registry);
    endings(programme, &mut registry);
    room(programme, &mut registry);
    programme.meters().register(&mut registry);
    process(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing into a String cannot fail");
    Ok(text)
}

fn state(programme: &Programme, registry: &mut Registry) -> Result<(), Error> {
    let deliveries = Family::<Standing, Gauge>::default();
    registry.register("deliveries", "Unsettled deliveries, by errand and state", deliveries.clone());
    let settled = Family::<Standing, Counter>::default();
    registry.register("settled", "Deliveries settled since the state was made, by errand and state", settled.clone());
    let entries = Family::<Entries, Gauge>::default();
    registry.register("operator_list_entries", "Open entries on the operator's list", entries.clone());
    let oldest = Gauge::<f64, AtomicU64>::default();
    registry.register_with_unit("oldest_unsettled", "Age of the oldest unsettled delivery", Unit::Seconds, oldest.clone());
    let walks = Family::<OfWalk, Gauge>::default();
    let help = "When a reading of changed cases last came to its end";
    registry.register_with_unit("walk_last_success_timestamp", help, Unit::Seconds, walks.clone());

    let (standing, ended, open, unsettled) = programme.spool.read(|reading| {
        Ok((reading.unsettled_counts()?, reading.settled()?, reading.open_by_kind()?, reading.oldest_unsettled()?))
    })?;
    for walk in Walk::ALL {
        if let Some(walked) = programme.spool.read(|reading| reading.walked(*walk))? {
            walks.get_or_create(&OfWalk { walk: walk.code() }).set(walked.timestamp());
        }
    }
    for (outcome, count) in ended {
        if let Some((errand, state)) = outcome.split_once(' ') {
            settled.get_or_create(&Standing { errand: errand.to_owned(), state: state.to_owned() }).inc_by(count);
        }
    }
    for (errand, state, count) in standing {
        let standing = Standing { errand: errand.code().to_owned(), state: state.code().to_owned() };
        deliveries.get_or_create(&standing).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    for kind in Kind::ALL {
        entries.get_or_create(&Entries { kind: kind.code() }).set(0);
    }
    for (kind, count) in open {
        entries.get_or_create(&Entries { kind: kind.code() }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    if let Some(made) = unsettled {
        oldest.set((programme.clock.now() - made).as_seconds_f64());
    }
    Ok(())
}

fn systems(programme: &Programme, registry: &mut Registry) {
    let blocked = Family::<Addressee, Gauge>::default();
    registry.register("addressee_blocked", "1 while a system is blocked because we are wrong", blocked.clone());
    let unwell = Family::<Addressee, Gauge>::default();
    registry.register("addressee_unwell", "1 while a system fails in a row", unwell.clone());
    let running = Family::<OfFlow, Gauge>::default();
    registry.register("flow_running", "1 while a flow is on and the agreement valid", running.clone());
    let storing = ConstGauge::new(i64::from(programme.not_storing_since().is_none()));
    registry.register("posts_can_be_stored", "0 since a post could not be stored, until one can be again", storing);
    let health = programme.health();
    for system in System::ALL {
        let label = Addressee { addressee: system.code() };
        blocked.get_or_create(&label).set(health[*system as usize].block().is_some().into());
        unwell.get_or_create(&label).set(health[*system as usize].is_unwell().into());
    }
    drop(health);
    for flow in Flow::ALL {
        running.get_or_create(&OfFlow { flow: flow.code() }).set(programme.runs(*flow).into());
    }
}

fn endings(programme: &Programme, registry: &mut Registry) {
    let settings = &programme.settings;
    let mut ends = |name: &str, help: &str, end: DateTime<Utc>| {
        registry.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(end.timestamp()));
    };
    ends("agreement_end_timestamp", "When the agreement ends", settings.agreement.valid_until);
    ends("certificate_end_timestamp", "When our client certificate ends", programme.certificate_ends());
    if let Some(first) = settings.inbox.keys.iter().filter_map(|key| key.expires).min() {
        ends("inbox_key_end_timestamp", "When the first key of the inbox ends, if one does", first);
    }
}

fn room(programme: &Programme, registry: &mut Registry) {
    let mut bytes = |name: &str, help: &str, bytes: u64| {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX)));
    };
    bytes("state", "What the state takes on its disk", programme.spool.bytes());
    bytes(
        "state_max",
        "state.max_size: posts are answered with 503 when the state is as large",
        programme.settings.state.max_size,
    );
    if let Some(free) = programme.spool.disk_free() {
        bytes("disk_free", "What is free on the disk of the state", free);
    }
}

/// What the process takes of the machine, where the machine says so.
fn process(registry: &mut Registry) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let seconds = ConstCounter::new(micros as f64 / 1e6);
        registry.register_with_unit("process_cpu", "Processor time that the process has used", Unit::Seconds, seconds);
    }
    let resident = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()
    });
    if let Some(resident) = resident {
        let bytes = ConstGauge::new(resident * 1024);
        registry.register_with_unit("process_resident_memory", "Memory that the process holds", Unit::Bytes, bytes);
    }
}
