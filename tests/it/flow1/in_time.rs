//! In time: the sender is told early enough to use another way, and never while something of ours may stand.

use std::time::Duration;

use referrald::{
    activity::Event,
    reason::Reason,
    sandbox::{Endpoint, Fault, Planted, Rule},
};
use serde_json::{Value, json};

use super::{NEUTRAL, NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LATE: &str = "The referral could not be delivered to CPIMS+ in the agreed time. Please use another way.";

fn nothing() -> Vec<Value> {
    Vec::new()
}

#[tokio::test]
async fn what_is_held_for_a_day_is_refused_with_the_neutral_text() {
    let world = World::new().await;
    world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(DAY - MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
    world.end().await;
}

#[tokio::test]
async fn one_more_attempt_is_made_before_what_is_held_is_refused() {
    let world = World::new().await;
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(DAY - MINUTE).await;
    world.stage.primero.staff("caseworker_testina").edit(case, json!({"status": "open"}));
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn the_clock_of_a_hold_runs_from_the_first_hold_whatever_comes_between() {
    let world = World::new().await;
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(12 * HOUR).await;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    world.pass(HOUR).await;
    sick.pull();
    let staff = world.stage.primero.staff("caseworker_testina");
    staff.edit(case, json!({"status": "open", "sex": "male"}));
    world.pass(HOUR).await;
    assert_eq!(world.list(), ["late case_not_open", "held identity_differs"]);
    world.pass(10 * HOUR).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
    world.end().await;
}

#[tokio::test]
async fn what_is_undelivered_for_three_days_is_refused_in_time() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(3 * DAY - MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, LATE)]);
    world.end().await;
}

#[tokio::test]
async fn a_primero_that_is_down_for_three_days_is_told_in_time() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(3 * DAY).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, LATE)]);
    world.end().await;
}

#[tokio::test]
async fn one_more_attempt_is_made_before_what_is_undelivered_is_refused() {
    let world = World::new().await;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(3 * DAY - MINUTE).await;
    sick.pull();
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_primero_that_is_blocked_at_the_deadline_is_not_asked_again() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.events(), ["received", "blocked unauthorized"]);
    world.pass(3 * DAY - MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    // The probe has just been made; the next one is an hour away.
    let asked = world.stage.primero.log().len();
    world.pass(MINUTE).await;
    assert_eq!(world.stage.primero.log().len(), asked);
    assert_eq!(world.told_dtp(), [failed(NUMBER, LATE)]);
    world.end().await;
}

/// A write may have happened, and nobody can look whether it has.
async fn an_unclear_write(world: &World, effect: bool) -> [Planted; 2] {
    let faults = world.stage.primero.faults();
    let cut = if effect { Fault::cut().after_effect() } else { Fault::cut() };
    faults.plant(Rule::on(Endpoint::CreateCase).once(), cut);
    let look = faults.plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    let search = faults.plant(Rule::on(Endpoint::CaseSearch).skip(1), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    [look, search]
}

#[tokio::test]
async fn after_a_write_that_may_have_happened_dtp_is_told_nothing() {
    for effect in [true, false] {
        let world = World::new().await;
        an_unclear_write(&world, effect).await;
        world.pass(3 * DAY).await;
        assert_eq!(world.told_dtp(), nothing());
        assert_eq!(world.list(), ["late server_error", "held unconfirmed"]);
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_delivered_when_it_can_be_seen_even_after_the_time() {
    let world = World::new().await;
    let sick = an_unclear_write(&world, true).await;
    world.pass(4 * DAY).await;
    for fault in sick {
        fault.pull();
    }
    world.pass(30 * MINUTE).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.saves(case), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_written_service_whose_fields_are_not_writable_is_held_at_the_deadline() {
    let world = World::new().await;
    world.register(json!({}));
    world.stage.primero.change_role("role-bridge", |role| role.cannot_write("services_section.unhcr_referral_status"));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(3 * DAY - MINUTE).await;
    world.pass(2 * MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    assert!(world.list().contains(&"held unconfirmed".to_owned()), "{:?}", world.list());
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_parcel_of_seven_days_is_erased_and_dtp_is_told_nothing() {
    let world = World::new().await;
    an_unclear_write(&world, true).await;
    world.pass(7 * DAY - MINUTE).await;
    let [left] = world.unsettled().try_into().unwrap();
    let parcel = || world.daemon().programme().spool.read(|reading| reading.parcel(&left)).unwrap().is_some();
    assert!(parcel());
    world.pass(MINUTE).await;
    assert!(!parcel());
    assert_eq!(world.unsettled(), []);
    assert_eq!(world.delivery(left.id).reason, Some(Reason::Expired));
    assert!(world.heard(Event::Stopped));
    assert_eq!(world.told_dtp(), nothing());
    assert_eq!(world.list(), ["stopped expired"]);
    world.pass(30 * DAY).await;
    assert_eq!(world.list(), ["stopped expired"], "the entry stays until a person resolves it");
    world.end().await;
}

#[tokio::test]
async fn what_is_late_is_on_the_operators_list_until_it_is_done() {
    let world = World::new().await;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(4 * HOUR - MINUTE).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(MINUTE).await;
    assert_eq!(world.list(), ["late server_error"]);
    sick.pull();
    world.pass(HOUR).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_write_that_left_nothing_is_made_again_even_after_the_time() {
    let world = World::new().await;
    let sick = an_unclear_write(&world, false).await;
    world.pass(4 * HOUR).await;
    world.pass(4 * DAY).await;
    assert_eq!(world.list(), ["late server_error", "held unconfirmed"]);
    for fault in sick {
        fault.pull();
    }
    world.pass(30 * MINUTE).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_hold_that_begins_late_does_not_stretch_the_three_days() {
    let world = World::new().await;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    let twins = [world.register(json!({})), world.register(json!({}))];
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(60 * HOUR).await;
    sick.pull();
    world.pass(HOUR).await;
    assert!(world.list().contains(&"held several".to_owned()), "{:?}", world.list());
    world.pass(11 * HOUR - MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
    assert!(twins.iter().all(|case| world.stage.primero.services(*case).is_empty()));
    world.end().await;
}

#[tokio::test]
async fn a_last_attempt_that_meets_a_wrong_password_is_the_last() {
    let world = World::new().await;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(3 * DAY - MINUTE).await;
    assert_eq!(world.told_dtp(), nothing());
    sick.pull();
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, LATE)]);
    world.end().await;
}

#[tokio::test]
async fn what_can_no_longer_be_mapped_and_may_stand_is_held_and_dtp_is_told_nothing() {
    let mut world = World::new().await;
    an_unclear_write(&world, true).await;
    assert_eq!(world.cases_of(PERSON).len(), 1);
    world.stop().await;
    // Meanwhile its service type was taken off the list of those agreed.
    world.change_settings(&[("REFERRALD__FLOW1__SERVICE_TYPES", "BID")]);
    world.stage.primero.faults().clear();
    world.start().await;
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp(), nothing());
    assert_eq!(world.list(), ["held unconfirmed"]);
    world.end_unsettled().await;
}
