//! One screen about a programme: what runs, what stands in the way, what waits, what ends soon, and what of it needs a person.
//!
//! The facts that the page shows, with those that only an operator asks for. Nobody outside is asked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Answers, Failure, Office, Row, cursor,
    execute::send,
    flows,
    rows::{CursorRow, FlowRow},
};
use crate::{
    config::Environment,
    credentials::ClientCertificate,
    mapping::Mapping,
    spool::upkeep::Waiting,
    standing::{self, Now, Room, SystemState},
};

/// What ends in so many days needs a person.
const SOON: i64 = 14;

/// How a programme stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusRow {
    /// Which programme.
    pub programme: String,
    /// Test or production.
    pub environment: String,
    /// The version of this program.
    pub version: String,
    /// Since when a daemon runs; `None` if none does.
    pub runs_since: Option<DateTime<Utc>>,
    /// What needs a person, in sentences; empty if nothing does.
    pub needs_a_person: Vec<String>,
    /// Primero and DTP.
    pub systems: Vec<SystemRow>,
    /// Both flows.
    pub flows: Vec<FlowRow>,
    /// What is not settled, by errand.
    pub waiting: Vec<WaitingRow>,
    /// Open entries of the operator's list, by kind.
    pub list: BTreeMap<String, u64>,
    /// The readings of changed cases.
    pub walks: Vec<WalkRow>,
    /// How far they have read.
    pub cursors: Vec<CursorRow>,
    /// The agreement, the client certificate and the keys of the inbox.
    pub ends: Vec<EndRow>,
    /// The size of the state in bytes.
    pub state_size: u64,
    /// How large it may become.
    pub state_max_size: u64,
    /// Version and digest of the mapping, if it can be read.
    pub mapping: Option<String>,
    /// Whether somebody has approved it as it stands.
    pub mapping_approved: bool,
}

/// How a system is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemRow {
    /// Which.
    pub system: String,
    /// `well`, `unwell` or `blocked`.
    pub state: String,
    /// Why it is blocked.
    pub reason: Option<String>,
    /// Since when it is unwell or blocked.
    pub since: Option<DateTime<Utc>>,
    /// When a blocked one is tried again.
    pub next_probe: Option<DateTime<Utc>>,
}

/// What is not settled of an errand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRow {
    /// Which errand.
    pub errand: String,
    /// How many wait, those that are being attempted included.
    pub waiting: u64,
    /// How many are held.
    pub held: u64,
    /// How many of both are late.
    pub late: u64,
    /// When the oldest was made.
    pub oldest: DateTime<Utc>,
}

/// How a reading of changed cases is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkRow {
    /// Which.
    pub walk: String,
    /// Whether one is under way.
    pub under_way: bool,
    /// When the last one came to its end.
    pub ended: Option<DateTime<Utc>>,
    /// Since when none comes to its end, if the last one did not.
    pub unfinished_since: Option<DateTime<Utc>>,
    /// When the next is due; `None` while its flow rests.
    pub next: Option<DateTime<Utc>>,
}

/// What ends some day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRow {
    /// `agreement`, `certificate` or `key`.
    pub what: String,
    /// Its reference, or its name.
    pub name: Option<String>,
    /// When it ends; a key may have no end.
    pub until: Option<DateTime<Utc>>,
    /// How many days are left, from date to date; negative when it is over.
    pub days_left: Option<i64>,
}

/// Shows how a programme stands. Fails with 69 if something needs a person.
pub(super) async fn status(office: &Office, out: &Answers) -> Result<(), Failure> {
    let row = gather(office).await?;
    let needed = row.needs_a_person.len();
    send(vec![Row::Status(Box::new(row))], out).await;
    match needed {
        0 => Ok(()),
        1 => Err(Failure::outside("1 thing needs a person")),
        many => Err(Failure::outside(format!("{many} things need a person"))),
    }
}

async fn gather(office: &Office) -> Result<StatusRow, Failure> {
    let settings = &office.settings;
    let running = office.running.as_ref();
    let daemon = running.filter(|running| running.is_daemon);
    let loops = running.map(|running| standing::Running { programme: &running.programme, walks: &running.walks });
    let now = standing::now(settings, &office.spool, &office.clock, loops).await?;
    let (waiting, list, size) =
        office.spool.read(|reading| Ok((reading.waiting()?, reading.open_by_kind()?, reading.size()?)))?;
    let mut needs = Vec::new();
    let loaded = running.is_none().then(|| Mapping::load(&settings.mapping_directory)).transpose();
    let loaded = loaded.unwrap_or_else(|problems| {
        needs.push(format!("the mapping cannot be loaded: {} problem(s) (hint: `referrald check`)", problems.0.len()));
        None
    });
    let mapping = running.map(|running| &running.programme.mapping).or(loaded.as_ref());
    let certificate_ends = now.certificate_ends.or_else(|| match ClientCertificate::of(settings) {
        Ok(certificate) => Some(certificate.not_after),
        Err(error) => {
            needs.push(error.to_string());
            None
        }
    });
    let unapproved = mapping.and_then(|mapping| mapping.unapproved(&settings.agreement.reference));
    let mut row = StatusRow {
        programme: now.programme.clone(),
        environment: now.environment.code().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        runs_since: daemon.map(|_| office.spool.shared().opened()),
        needs_a_person: Vec::new(),
        systems: now.systems.iter().map(system).collect(),
        flows: flows::rows(office, &now.flows)?,
        waiting: waiting.into_iter().map(waiting_row).collect(),
        list: list.into_iter().map(|(kind, count)| (kind.code().to_owned(), count)).collect(),
        walks: now.walks.iter().map(walk).collect(),
        cursors: mapping.map_or(Ok(Vec::new()), |mapping| cursor::rows(office, mapping.module()))?,
        ends: ends(&now, certificate_ends),
        state_size: size,
        state_max_size: settings.state.max_size,
        mapping: mapping.map(|mapping| mapping.version().to_owned()),
        mapping_approved: mapping.is_some() && unapproved.is_none(),
    };
    // While it is tried out nobody has approved it yet.
    let unapproved = unapproved.filter(|_| settings.environment == Environment::Production);
    needs.extend(unapproved.map(|unapproved| format!("the mapping: {unapproved}")));
    needs.splice(0..0, needed(&row, &now));
    row.needs_a_person = needs;
    Ok(row)
}

/// What of this needs a person.
fn needed(row: &StatusRow, now: &Now) -> Vec<String> {
    let mut needs = Vec::new();
    if row.runs_since.is_none() {
        needs.push("no daemon runs".to_owned());
    }
    for system in row.systems.iter().filter(|system| system.state == "blocked") {
        let reason = system.reason.as_deref().unwrap_or_default();
        needs.push(format!("{} is blocked: {reason} (hint: `referrald check` says what is wrong)", system.system));
    }
    for flow in row.flows.iter().filter(|flow| flow.state == "paused") {
        let by = flow.paused_by.as_deref().unwrap_or_default();
        needs.push(format!("{} is paused by {by} (hint: `referrald flow resume {} --by ROLE`)", flow.flow, flow.flow));
    }
    match row.list.values().sum::<u64>() {
        0 => {}
        1 => needs.push("1 entry on the operator's list (hint: `referrald deliveries list`)".to_owned()),
        many => needs.push(format!("{many} entries on the operator's list (hint: `referrald deliveries list`)")),
    }
    // Of several keys one may end: they overlap so that UNHCR can change from one to the other.
    let longest_key = row.ends.iter().filter(|end| end.what == "key").map(|end| end.days_left.unwrap_or(i64::MAX)).max();
    for end in row.ends.iter().filter(|end| end.what != "key") {
        needs.extend(end.days_left.filter(|days| *days <= SOON).map(|days| ends_soon(&end.what, days)));
    }
    needs.extend(longest_key.filter(|days| *days <= SOON).map(|days| ends_soon("last key of the inbox", days)));
    match now.room {
        Room::Enough if row.state_size > row.state_max_size / 10 * 9 => {
            needs.push("the state is nearly as large as `state.max_size`".to_owned());
        }
        Room::Enough => {}
        Room::Full => needs.push("the state has reached `state.max_size`: posts get 503".to_owned()),
        Room::NotWritable => needs.push("the state cannot be written: posts get 503 (hint: is the disk full?)".to_owned()),
    }
    needs
}

fn ends_soon(what: &str, days: i64) -> String {
    match days {
        ..0 => format!("the {what} has ended"),
        0 => format!("the {what} ends today"),
        1 => format!("the {what} ends tomorrow"),
        _ => format!("the {what} ends in {days} days"),
    }
}

fn system(now: &standing::SystemNow) -> SystemRow {
    let (state, reason, since, next_probe) = match now.state {
        SystemState::Well => ("well", None, None, None),
        SystemState::Unwell { since } => ("unwell", None, Some(since), None),
        SystemState::Blocked { reason, since, next_probe } => ("blocked", Some(reason), since, Some(next_probe)),
    };
    let reason = reason.map(|reason| reason.code().to_owned());
    SystemRow { system: now.system.code().to_owned(), state: state.to_owned(), reason, since, next_probe }
}

fn waiting_row(waiting: Waiting) -> WaitingRow {
    let Waiting { errand, waiting, held, late, oldest } = waiting;
    WaitingRow { errand: errand.code().to_owned(), waiting, held, late, oldest }
}

fn walk(now: &standing::WalkNow) -> WalkRow {
    WalkRow {
        walk: now.walk.code().to_owned(),
        under_way: now.under_way,
        ended: now.last,
        unfinished_since: now.unfinished_since,
        next: now.next,
    }
}

fn ends(now: &Now, certificate: Option<DateTime<Utc>>) -> Vec<EndRow> {
    let end = |what: &str, name: Option<&str>, until: Option<DateTime<Utc>>| EndRow {
        what: what.to_owned(),
        name: name.map(str::to_owned),
        until,
        days_left: until.map(|until| match (until.date_naive() - now.time.date_naive()).num_days() {
            // Over, and still the same day.
            0 if until < now.time => -1,
            days => days,
        }),
    };
    let keys = now.keys.iter().map(|key| end("key", Some(&key.name), key.expires));
    [end("agreement", Some(&now.agreement.reference), Some(now.agreement.until)), end("certificate", None, certificate)]
        .into_iter()
        .chain(keys)
        .collect()
}
