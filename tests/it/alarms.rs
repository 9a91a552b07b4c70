//! Alarms: what an operator reads on standard error, when it is said first, and when again.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use referrald::{
    activity::Event,
    referral::Walk,
    sandbox::{Endpoint, Fault, Gate, Rule, primero::CASE_WORKER},
    spool::list::{Entry, Kind},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt};

use crate::{
    flow2::{child_referred, service},
    world::{World, intervention},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const NUMBER: &str = "989-26-TEST-0001";

/// The error lines of this test's thread. Everything but the writer of the state runs on it, and that one gives no alarm.
struct Alarms {
    lines: Lines,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Alarms {
    /// Listens from now on, to what `referrald run` would write.
    fn hear() -> Self {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer().compact().without_time().with_ansi(false).with_writer(lines.clone());
        let ours = Targets::new().with_target("referrald", LevelFilter::ERROR);
        let subscriber = tracing_subscriber::registry().with(ours).with(layer);
        Self { lines, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// What was said since the last time.
    fn said(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    /// How often this entry was said since the last time.
    fn said_of(&self, entry: &Entry) -> usize {
        let reason = entry.reason.map_or_else(String::new, |reason| reason.to_string());
        let line = format!(
            "ERROR referrald::upkeep: a person must act (hint: `referrald deliveries show {id}` says what to do) entry={id} \
             kind=\"{kind}\" reason=\"{reason}\"",
            id = entry.id,
            kind = entry.kind,
        );
        self.said().iter().filter(|said| **said == line).count()
    }
}

fn row(change: Value) -> Value {
    json!([intervention(NUMBER, change)])
}

/// A world with an open entry of this kind, which nothing but a person takes away within a few days.
pub async fn with_entry(kind: Kind, settings: &[(&str, &str)]) -> World {
    let mut settings = settings.to_vec();
    if kind != Kind::Stopped {
        settings.extend([("REFERRALD__FLOW1__HOLD_FOR", "6 days"), ("REFERRALD__DELIVERY__GIVE_UP_AFTER", "6 days")]);
    }
    match kind {
        Kind::ToPrimeroSilent | Kind::ToDtpSilent => settings.push(("REFERRALD__ALERTS__SILENCE_AFTER", "1h")),
        Kind::DiskNearlyFull => settings.push(("REFERRALD__ALERTS__DISK_FREE", "1 PiB")),
        _ => {}
    }
    let world = World::with(&settings).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    match kind {
        Kind::Held => {
            for _ in 0..2 {
                world.register(json!({}));
            }
            world.refer(row(json!({}))).await;
        }
        Kind::Late => {
            world.stage.dtp.faults().plant(Rule::any(), Fault::status(500));
            world.refer(row(json!({}))).await;
            world.clock.advance(4 * HOUR);
        }
        Kind::Refused => {
            world.stage.dtp.faults().plant(Rule::any(), Fault::status(400));
            world.refer(row(json!({}))).await;
        }
        Kind::Withheld => {
            let child = child_referred(&world, json!({}));
            staff.edit(child.case, json!({ "consent_for_services": false }));
            world.walk(Walk::Referrals).await;
        }
        Kind::Stopped => {
            child_referred(&world, json!({}));
            world.stage.dtp.go_down().await;
            world.walk(Walk::Referrals).await;
            world.clock.advance(3 * DAY);
        }
        Kind::ChangedAfterDelivery => {
            world.refer(row(json!({}))).await;
            world.refer(row(json!({ "user.title": "Another title" }))).await;
        }
        Kind::NumberAlreadyDelivered => {
            world.refer(row(json!({}))).await;
            world.refer(row(json!({ "individuals.progres_id": "989-TEST0002" }))).await;
        }
        Kind::WithdrawnAfterSend => {
            let child = child_referred(&world, json!({}));
            world.walk(Walk::Referrals).await;
            staff.revoke(child.referral);
            world.walk(Walk::Referrals).await;
        }
        Kind::WithdrawnByUnhcr => {
            world.refer(row(json!({}))).await;
            let (number, now) = (NUMBER.parse().expect("a number"), world.clock.now());
            let spool = &world.daemon().programme().spool;
            let withdrawn = spool.operate(move |tx| tx.withdrawn_by_unhcr(&number, now, "root (test): notice record")).await;
            withdrawn.expect("it is recorded");
        }
        Kind::Conflict => {
            let case = world.register(json!({}));
            for status in ["accepted", "rejected"] {
                let decided = json!({
                    "service_type": "alternative_care", "service_referral": "external_referral",
                    "progres_interventionnumber": NUMBER, "unhcr_referral_status": status,
                });
                staff.add_service(case, decided);
            }
            world.walk(Walk::Decisions).await;
        }
        Kind::Differs => {
            world.register(json!({ "name_last": "Otherwise" }));
            world.refer(row(json!({}))).await;
        }
        Kind::NotStored => {
            world.stage.primero.remove_field("services_section", "service_request_title");
            world.refer(row(json!({}))).await;
        }
        Kind::NotTaken => {
            let rows = json!([intervention(NUMBER, json!({})), "not an object"]);
            world.refer(rows).await;
        }
        Kind::InboxRefused => {
            assert_eq!(world.post(&json!([])).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        }
        Kind::ReferralsNotRead | Kind::DecisionsNotRead => {
            world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(500));
            let walk = if kind == Kind::ReferralsNotRead { Walk::Referrals } else { Walk::Decisions };
            assert!(world.try_walk(walk).await.is_err());
            world.clock.advance(4 * HOUR);
        }
        Kind::ToPrimeroSilent | Kind::ToDtpSilent => {
            world.pass(Duration::ZERO).await;
            world.clock.advance(2 * HOUR);
        }
        Kind::Undecided => {
            world.refer(row(json!({}))).await;
            world.clock.advance(7 * DAY);
        }
        Kind::NearMiss => {
            let case = world.register(json!({}));
            staff.add_service(case, service(json!({ "service_status_referred": true })));
            world.walk(Walk::Referrals).await;
        }
        Kind::DiskNearlyFull => {}
    }
    world
}

/// When the first alarm is due, counted from the entry; the manual of operations says the same.
const fn bell(kind: Kind) -> Option<Duration> {
    match kind {
        Kind::Held
        | Kind::Late
        | Kind::NumberAlreadyDelivered
        | Kind::Conflict
        | Kind::NotStored
        | Kind::ReferralsNotRead
        | Kind::DecisionsNotRead
        | Kind::ToPrimeroSilent
        | Kind::ToDtpSilent
        | Kind::DiskNearlyFull => Some(Duration::ZERO),
        Kind::WithdrawnAfterSend | Kind::WithdrawnByUnhcr => Some(DAY),
        Kind::Refused
        | Kind::Withheld
        | Kind::Stopped
        | Kind::ChangedAfterDelivery
        | Kind::Differs
        | Kind::NotTaken
        | Kind::InboxRefused
        | Kind::Undecided
        | Kind::NearMiss => None,
    }
}

#[tokio::test]
async fn every_entry_with_a_bell_is_said_at_once_and_daily_until_it_is_resolved_and_the_others_never() {
    for kind in Kind::ALL {
        let alarms = Alarms::hear();
        let world = with_entry(*kind, &[]).await;
        world.pass(Duration::ZERO).await;
        let entry = world.entries().into_iter().find(|entry| entry.kind == *kind).unwrap_or_else(|| panic!("no {kind}"));
        let first = bell(*kind);
        let at_once = usize::from(first == Some(Duration::ZERO));
        assert_eq!(alarms.said_of(&entry), at_once, "{kind}: at once");
        world.pass(MINUTE).await;
        assert_eq!(alarms.said_of(&entry), 0, "{kind}: said once");
        for day in 1..=3 {
            world.pass(DAY - MINUTE - SECOND).await;
            assert_eq!(alarms.said_of(&entry), 0, "{kind}: not before the day is over");
            world.pass(MINUTE + SECOND).await;
            assert_eq!(alarms.said_of(&entry), usize::from(first.is_some()), "{kind}: day {day}");
        }
        let id = entry.id;
        let resolved = world.daemon().programme().spool.write(move |tx| tx.resolve(id, "manager", None)).await;
        assert_eq!(resolved.unwrap(), 1);
        for _ in 0..2 {
            world.pass(DAY).await;
            assert_eq!(alarms.said_of(&entry), 0, "{kind}: resolved");
        }
        world.end_whatever().await;
    }
}

#[tokio::test]
async fn the_manual_of_operations_puts_a_bell_where_there_is_an_alarm() {
    let manual = include_str!("../../docs/operations/README.md");
    for kind in Kind::ALL {
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).expect("every kind has a row");
        let column = row.split('|').nth(2).map(str::trim);
        let expected = match bell(*kind) {
            None => "",
            Some(Duration::ZERO) => "bell",
            Some(_) => "bell, after 24 h",
        };
        assert_eq!(column, Some(expected), "{kind}");
    }
}

#[tokio::test]
async fn a_withdrawal_alarms_first_after_a_day_and_a_second_reason_has_its_own_day() {
    let alarms = Alarms::hear();
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "consent_for_services": false }));
    world.walk(Walk::Referrals).await;
    world.pass(12 * HOUR).await;
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withdrawn_after_send consent_withdrawn", "withdrawn_after_send referral_revoked"]);
    let mut said = Vec::new();
    for hour in 13..=60 {
        world.pass(HOUR).await;
        said.extend(alarms.said().iter().map(|line| (hour, line.split("reason=").nth(1).unwrap_or_default().to_owned())));
    }
    let expected = [(24, "consent_withdrawn"), (36, "referral_revoked"), (48, "consent_withdrawn"), (60, "referral_revoked")];
    assert_eq!(said, expected.map(|(hour, reason)| (hour, format!("\"{reason}\""))));
    world.end().await;
}

#[tokio::test]
async fn a_system_that_is_blocked_is_an_alarm_that_says_which_and_why_once() {
    for (system, reason) in [("primero", "unauthorized"), ("dtp", "unauthorized")] {
        let alarms = Alarms::hear();
        let world = World::new().await;
        let faults = if system == "dtp" { world.stage.dtp.faults() } else { world.stage.primero.faults() };
        faults.plant(Rule::any(), Fault::status(401));
        world.refer(row(json!({}))).await;
        world.pass(HOUR).await;
        world.pass(HOUR).await;
        let line = format!(
            "ERROR referrald::programme: {system} is blocked: nothing is attempted there but probes (hint: `referrald check` says \
             what is wrong) addressee=\"{system}\" reason=\"{reason}\""
        );
        assert_eq!(alarms.said(), [line]);
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn what_ends_is_an_alarm_of_its_day_that_says_what_and_when() {
    let alarms = Alarms::hear();
    let world = World::with(&[("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-03-09T12:00:00Z")]).await;
    world.pass(SECOND).await;
    world.pass(HOUR).await;
    let line = |days| {
        format!(
            "ERROR referrald::upkeep: something that this programme needs ends soon, or has ended event=\"agreement_expiring\" \
             until=2026-03-09 12:00:00 UTC days={days}"
        )
    };
    assert_eq!(alarms.said(), [line(7)], "once a day");
    world.pass(6 * DAY).await;
    assert_eq!(alarms.said(), [line(1)]);
    world.pass(DAY).await;
    assert_eq!(alarms.said(), Vec::<String>::new(), "the last day is not over");
    world.pass(DAY).await;
    world.pass(DAY).await;
    assert_eq!(alarms.said(), [line(0), line(0)], "each day once it has come");
    world.end().await;
}

#[tokio::test]
async fn a_client_certificate_and_an_inbox_key_that_end_are_alarms_as_well() {
    let alarms = Alarms::hear();
    let world = World::changing(|settings| settings.inbox.keys[0].expires = Some("2026-03-03T00:00:00Z".parse().unwrap())).await;
    world.pass(SECOND).await;
    let line = "ERROR referrald::upkeep: something that this programme needs ends soon, or has ended event=\"key_expiring\" \
                until=2026-03-03 00:00:00 UTC days=1";
    assert_eq!(alarms.said(), [line]);
    assert!(world.heard(Event::KeyExpiring));
    // The certificate of the stage ends in 2090.
    world.clock.set_wall("2089-12-02T08:00:00Z".parse().unwrap());
    world.pass(SECOND).await;
    let said = alarms.said();
    assert!(said.iter().any(|line| line.contains("event=\"certificate_expiring\"") && line.ends_with("days=30")), "{said:?}");
    assert!(world.heard(Event::CertificateExpiring));
    world.end().await;
}

#[tokio::test]
async fn an_inbox_that_is_half_full_is_an_alarm_and_again_only_after_it_was_less() {
    let alarms = Alarms::hear();
    let world = World::with(&[("REFERRALD__INBOX__MAX_WAITING", "4")]).await;
    let line = |waiting| {
        format!(
            "ERROR referrald::upkeep: more than half of inbox.max_waiting waits (hint: are both systems well? see /readyz) \
             waiting={waiting}"
        )
    };
    let nth = |n: u32| {
        json!([intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))])
    };
    for round in [0, 10] {
        world.stage.primero.go_down().await;
        world.refer(nth(round + 1)).await;
        world.refer(nth(round + 2)).await;
        world.pass(SECOND).await;
        assert_eq!(alarms.said(), Vec::<String>::new(), "half is not more than half");
        world.refer(nth(round + 3)).await;
        world.pass(SECOND).await;
        world.pass(SECOND).await;
        assert_eq!(alarms.said(), [line(3)]);
        world.stage.primero.come_up().await.unwrap();
        world.pass(HOUR).await;
        world.pass(HOUR).await;
        assert_eq!(alarms.said(), Vec::<String>::new());
    }
    world.end().await;
}

#[tokio::test]
async fn a_state_that_takes_no_more_is_an_alarm() {
    let alarms = Alarms::hear();
    let world = World::with(&[("REFERRALD__STATE__MAX_SIZE", "1 KiB")]).await;
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(NUMBER, json!({}))] });
    assert_eq!(world.post(&body).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        alarms.said(),
        [
            "ERROR referrald::inbox: a post was answered 503: the state has reached its largest size (hint: `referrald deliveries list` \
          shows what piles up; `state.max_size` may be raised)"
        ]
    );
    assert_eq!(world.stage.primero.log().count(Endpoint::CreateCase), 0);
    world.end().await;
}

#[tokio::test]
async fn what_became_late_while_it_was_attempted_is_told_once_and_leaves_the_list_when_it_is_done() {
    let world = World::new().await;
    world.register(json!({}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::hold(&gate));
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(NUMBER, json!({}))] });
    assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    world.clock.advance(5 * HOUR);
    world.daemon().upkeep().await.unwrap();
    assert_eq!(world.list(), ["late late"]);
    gate.open();
    world.settle().await;
    world.pass(MINUTE).await;
    let told = world.lines().iter().filter(|line| line.event == Event::NotDeliveredInTime).count();
    assert_eq!((told, world.list()), (1, Vec::<String>::new()));
    world.end().await;
}
