//! Walks: every changed case is met once, whatever happens on the way, by the server's time and not by ours.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use referrald::{
    activity::Event,
    reason::Reason,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, GENDER_BASED_VIOLENCE},
    },
    walks::WalkError,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    flow2::{child_referred, sent_ids},
    world::{World, start},
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A case stored at this moment, which a decisions walk wants looked at.
fn changed_at(world: &World, stamp: DateTime<Utc>, number: usize) -> Uuid {
    world.stage.primero.staff(CASE_WORKER).register_at(
        stamp,
        json!({
            "name_first": "Testina",
            "owned_by": CASE_WORKER,
            "services_section": [{
                "unique_id": Uuid::new_v4().to_string(), "service_type": "alternative_care", "service_referral": "external_referral",
                "progres_interventionnumber": format!("989-26-TEST-{number:05}"), "unhcr_referral_status": "pending",
            }],
        }),
    )
}

/// The pages that Primero was asked for.
fn pages(world: &World) -> usize {
    world.stage.primero.log().count(Endpoint::ChangedCases)
}

/// The looks that Primero was asked for.
fn looks(world: &World) -> usize {
    world.stage.primero.log().count(Endpoint::GetCase)
}

fn cursor(world: &World, walk: Walk) -> Option<DateTime<Utc>> {
    world.daemon().programme().spool.read(|reading| reading.cursor(walk, "primeromodule-cp")).unwrap()
}

#[tokio::test]
async fn of_1500_changed_cases_every_one_is_looked_at_once() {
    let world = World::new().await;
    for number in 0..1500 {
        changed_at(&world, start() + TimeDelta::milliseconds(number as i64 * 7), number);
    }
    let walked = world.walk(Walk::Decisions).await;
    assert_eq!((walked.cases, walked.looks.len()), (1500, 1500));
    assert_eq!(looks(&world), 1500);

    let again = world.walk(Walk::Decisions).await;
    assert_eq!(again.looks, [], "no second look for the same change");
    assert_eq!(looks(&world), 1500);
    world.end().await;
}

#[tokio::test]
async fn of_3000_cases_changed_in_one_second_every_one_is_looked_at_once() {
    let world = World::new().await;
    world.stage.primero.shuffle_ties();
    for number in 0..3000 {
        changed_at(&world, start() + TimeDelta::milliseconds(number as i64 % 5), number);
    }
    let walked = world.walk(Walk::Decisions).await;
    assert_eq!(walked.looks.len(), 3000);
    assert_eq!(looks(&world), 3000);
    assert_eq!(world.walk(Walk::Decisions).await.looks, []);
    world.end().await;
}

#[tokio::test]
async fn a_change_is_looked_at_once_a_walk_and_each_walk_for_itself() {
    let world = World::new().await;
    let case = changed_at(&world, start(), 1);
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1);
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 0);
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "name_nickname": "Later" }));
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1, "another change within the same second");
    assert_eq!(world.stage.primero.log().count(Endpoint::ListReferrals), 0, "that is the other walk's work");
    world.end().await;
}

#[tokio::test]
async fn one_look_is_open_for_a_case_and_a_walk() {
    let world = World::new().await;
    let case = changed_at(&world, start(), 1);
    let rule = Rule::on(Endpoint::GetCase).naming(case.to_string());
    let fault = world.stage.primero.faults().plant(rule, Fault::status(500));
    world.walk(Walk::Decisions).await;
    for _ in 0..3 {
        world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "name_nickname": "Later" }));
        world.walk(Walk::Decisions).await;
        assert_eq!(world.unsettled().len(), 1);
    }
    fault.pull();
    world.pass(HOUR).await;
    world.end().await;
}

#[tokio::test]
async fn the_cursor_follows_the_servers_time_and_not_ours() {
    let world = World::new().await;
    // The server's clock is a year behind ours.
    let stamp = start() - TimeDelta::days(365);
    changed_at(&world, stamp, 1);
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1);
    assert_eq!(cursor(&world, Walk::Decisions), Some(stamp - TimeDelta::minutes(5)), "the highest stamp, less the overlap");
    world.clock.advance(HOUR);
    changed_at(&world, stamp + TimeDelta::seconds(1), 2);
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1);
    let before = cursor(&world, Walk::Decisions);
    world.walk(Walk::Decisions).await;
    assert_eq!(cursor(&world, Walk::Decisions), before, "nothing new, and so it stays");
    world.end().await;
}

#[tokio::test]
async fn a_row_that_becomes_visible_late_is_met_within_the_overlap() {
    let world = World::new().await;
    changed_at(&world, start(), 1);
    world.walk(Walk::Decisions).await;
    changed_at(&world, start() - TimeDelta::minutes(4), 2);
    let walked = world.walk(Walk::Decisions).await;
    assert_eq!(walked.looks.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_walk_that_broke_off_goes_on_where_it_stored_its_cursor() {
    let mut world = World::new().await;
    for number in 0..2500 {
        changed_at(&world, start() + TimeDelta::seconds(number as i64), number);
    }
    // The second request of the walk fails, and so does the third after a restart.
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).skip(1).once(), Fault::status(500));
    assert!(world.try_walk(Walk::Decisions).await.is_err());
    world.settle().await;
    assert!(world.heard(Event::PollFailed));
    assert_eq!(looks(&world), 1000, "what the first page asked for is done");
    let reached = cursor(&world, Walk::Decisions).unwrap();
    assert!(reached > start() + TimeDelta::seconds(600));

    world.restart_with(&[]).await;
    let walked = world.walk(Walk::Decisions).await;
    assert_eq!(walked.looks.len(), 1500);
    assert_eq!(looks(&world), 2500, "nothing is lost and nothing is looked at twice");
    world.end().await;
}

#[tokio::test]
async fn a_page_that_is_not_as_promised_fails_the_walk_and_moves_nothing() {
    for fault in [Fault::status(500), Fault::html_page(), Fault::empty(), Fault::wrong_json(), Fault::truncated(), Fault::cut()] {
        let world = World::new().await;
        changed_at(&world, start(), 1);
        world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), fault);
        assert!(world.try_walk(Walk::Decisions).await.is_err());
        assert!(world.heard(Event::PollFailed));
        assert_eq!(cursor(&world, Walk::Decisions), None);
        assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1, "the next walk meets it");
        world.end().await;
    }
}

#[tokio::test]
async fn a_filter_that_is_not_honoured_blocks_primero_until_a_probe_goes_through() {
    let row = |module: &str, stamp: &str| json!({ "id": Uuid::new_v4().to_string(), "enabled": true, "last_updated_at": stamp, "module_id": module });
    let module = "primeromodule-cp";
    for rows in [
        json!([row(GENDER_BASED_VIOLENCE, "2026-03-02T08:00:00.000Z")]),
        json!([row(module, "2019-12-31T20:59:59.999Z")]),
        json!([row(module, "2026-03-02T08:00:01.000Z"), row(module, "2026-03-02T08:00:00.000Z")]),
    ] {
        let world = World::new().await;
        let child = child_referred(&world, json!({}));
        let total = rows.as_array().unwrap().len();
        let body = json!({ "data": rows, "metadata": { "total": total, "per": 1000, "page": 1 } }).to_string();
        let fault = Fault::answer(200, "application/json; charset=utf-8", body);
        world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), fault);
        let error = world.try_walk(Walk::Referrals).await.unwrap_err();
        assert!(matches!(error, WalkError::Primero(_)), "{error}");
        world.settle().await;
        assert_eq!(world.events(), ["blocked filter_ignored", "poll_failed filter_ignored"]);
        assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Blocked)));
        assert_eq!(pages(&world), 1);

        world.clock.advance(10 * MINUTE);
        world.walk(Walk::Referrals).await;
        assert!(world.heard(Event::Unblocked));
        assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
        world.end().await;
    }
}

#[tokio::test]
async fn a_wrong_password_blocks_the_walk_and_is_not_tried_in_a_loop() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(401));
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    for _ in 0..5 {
        assert!(world.try_walk(Walk::Referrals).await.is_err());
        assert!(world.try_walk(Walk::Decisions).await.is_err());
    }
    assert_eq!(pages(&world), 1);
    let blocked = world.lines().into_iter().find(|line| line.event == Event::Blocked).unwrap();
    assert_eq!(blocked.reason, Some(Reason::Unauthorized));
    world.end().await;
}

#[tokio::test]
async fn a_walk_asks_for_no_more_than_it_needs_and_in_the_form_primero_understands() {
    let world = World::new().await;
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&asked);
    let rule = Rule::on(Endpoint::ChangedCases).when(move |asked| {
        heard.lock().unwrap().push(asked.query.clone());
        false
    });
    world.stage.primero.faults().plant(rule, Fault::status(500));
    world.walk(Walk::Referrals).await;
    let asked = asked.lock().unwrap().clone();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        asked,
        [vec![
            (text("per"), text("1000")),
            (text("page"), text("1")),
            (text("module_id"), text("primeromodule-cp")),
            (text("last_updated_at"), text("2019-12-31T21:00:00.000Z..")),
            (text("order_by"), text("last_updated_at")),
            (text("order"), text("asc")),
            (text("fields"), text("case_id,services_section,associated_user_names,module_id")),
        ]]
    );
    world.end().await;
}

#[tokio::test]
async fn a_case_without_anything_for_us_is_not_looked_at() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let walked = world.walk(Walk::Referrals).await;
    assert_eq!((walked.cases, walked.looks.len()), (1, 0));
    world.clock.advance(HOUR);
    let item = json!({ "service_type": "food", "service_implementing_agency": "ANOTHER" });
    world.stage.primero.staff(CASE_WORKER).add_service(case, item);
    assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 0);
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_module_without_cases_does_not_keep_the_others_back() {
    let world = World::with(&[("REFERRALD__REFERRALS__MODULES", "primeromodule-cp,primeromodule-other")]).await;
    child_referred(&world, json!({}));
    assert_eq!(world.walk(Walk::Referrals).await.cases, 1);
    assert!(cursor(&world, Walk::Referrals).is_some_and(|cursor| cursor > start() - TimeDelta::minutes(6)));
    assert_eq!(sent_ids(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_flow_that_is_off_is_not_walked() {
    let world = World::with(&[("REFERRALD__FLOWS__TO_DTP", "false")]).await;
    child_referred(&world, json!({}));
    assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Resting)));
    world.walk(Walk::Decisions).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn deep_pages_are_asked_only_within_a_second_that_holds_more_than_a_page() {
    let world = World::new().await;
    for number in 0..2200 {
        changed_at(&world, start() + TimeDelta::seconds(number as i64), number);
    }
    let deep = world
        .stage
        .primero
        .faults()
        .plant(Rule::on(Endpoint::ChangedCases).when(|asked| asked.parameter("page") != Some("1")), Fault::status(500));
    let walked = world.walk(Walk::Decisions).await;
    assert_eq!(walked.looks.len(), 2200);
    assert_eq!(deep.met(), 0);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.end().await;
}

#[tokio::test]
async fn a_walk_that_does_not_come_to_its_end_for_too_long_is_on_the_operators_list_until_one_does() {
    for (status, reason) in [(500, "server_error"), (503, "gateway_error"), (401, "unauthorized")] {
        let mut world = World::new().await;
        let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(status));
        assert!(world.try_walk(Walk::Referrals).await.is_err());
        assert!(world.try_walk(Walk::Decisions).await.is_err());
        world.pass(4 * HOUR - MINUTE).await;
        assert!(world.try_walk(Walk::Referrals).await.is_err());
        assert_eq!(world.list(), Vec::<String>::new(), "{status}");
        // Not even a restart makes it look younger.
        world.restart().await;
        world.pass(MINUTE).await;
        assert_eq!(world.list(), ["referrals_not_read", "decisions_not_read"], "{status}");
        assert!(world.try_walk(Walk::Referrals).await.is_err());
        assert_eq!(world.list()[0], format!("referrals_not_read {reason}"), "what stands in the way now");
        sick.pull();
        world.pass(2 * HOUR).await;
        world.walk(Walk::Referrals).await;
        assert_eq!(world.list(), ["decisions_not_read"], "{status}: each for itself");
        world.walk(Walk::Decisions).await;
        assert_eq!(world.list(), Vec::<String>::new(), "{status}: done by itself");
        world.pass(5 * HOUR).await;
        assert_eq!(world.list(), Vec::<String>::new(), "{status}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_walk_that_is_not_wanted_is_not_missed() {
    let mut world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(500));
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    world.pass(4 * HOUR).await;
    assert_eq!(world.list(), ["referrals_not_read"]);
    world.restart_with(&[("REFERRALD__FLOWS__TO_DTP", "false")]).await;
    assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Resting)));
    assert_eq!(world.list(), Vec::<String>::new());
    world.restart_with(&[]).await;
    world.pass(5 * HOUR).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn rows_that_nobody_can_name_come_onto_the_operators_list_too() {
    let world = World::new().await;
    let row = json!({ "id": Uuid::new_v4().to_string(), "enabled": true, "last_updated_at": "2026-03-02T08:00:00.000Z" });
    let body = json!({ "data": [row, "a text"], "metadata": { "total": 2, "per": 1000, "page": 1 } }).to_string();
    let answer = Fault::answer(200, "application/json; charset=utf-8", body);
    let spoiled = world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), answer);
    for _ in 0..2 {
        assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Unreadable(1))));
        world.pass(4 * HOUR).await;
    }
    assert_eq!(world.list(), ["referrals_not_read not_as_promised"]);
    spoiled.pull();
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
