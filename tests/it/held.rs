//! What is held stays held, with one entry on the operator's list, until it is known that nobody has to act any more.

use std::time::Duration;

use referrald::{
    referral::{DeliveryId, State, Walk},
    sandbox::{Endpoint, Fault, Rule, primero::CASE_WORKER},
    spool::{list::Kind, operator::Ground},
};
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    flow2::{referred_by_exception, sent_ids},
    world::{World, intervention},
};

const MINUTE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(30 * 60);
const NUMBER: &str = "989-26-TEST-0001";

/// An intervention that is held, because its child's case is closed: the delivery, its entry and the case.
async fn held(world: &World) -> (DeliveryId, DeliveryId, uuid::Uuid) {
    let case = world.register(json!({ "status": "closed" }));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held case_not_open"]);
    (world.unsettled()[0].id, world.entries()[0].id, case)
}

/// It is held as before: same entry, same reason, and nothing was said twice.
fn assert_still_held(world: &World, (delivery, entry): (DeliveryId, DeliveryId), what: &str) {
    let stands = world.delivery(delivery);
    assert_eq!(
        (stands.state, stands.reason.map(|reason| reason.code())),
        (State::Held, Some("case_not_open")),
        "after {what}, a person must still act"
    );
    let held: Vec<_> = world.entries().into_iter().filter(|entry| entry.kind == Kind::Held).map(|entry| entry.id).collect();
    assert_eq!(held, [entry], "{what}");
    assert_eq!(world.events().iter().filter(|event| event.starts_with("held")).count(), 1, "{what}");
}

#[tokio::test]
async fn a_look_again_that_learns_nothing_leaves_the_entry_as_it_is() {
    for (what, status) in [("later", 500), ("blocked", 401)] {
        let world = World::new().await;
        let (delivery, entry, case) = held(&world).await;
        let sick = world.stage.primero.faults().plant(Rule::any(), Fault::status(status));
        world.pass(LOOK_AGAIN).await;
        assert!(sick.met() > 0, "{what}: it was looked at again");
        assert_still_held(&world, (delivery, entry), what);
        sick.pull();
        // Held, later or blocked, held.
        world.pass(2 * LOOK_AGAIN).await;
        assert_still_held(&world, (delivery, entry), what);
        world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "status": "open" }));
        world.pass(LOOK_AGAIN).await;
        assert_eq!(world.told_dtp().len(), 1, "{what}");
        assert_eq!(world.list(), Vec::<String>::new(), "{what}: done by itself");
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_held_stays_held_over_a_restart_with_a_sick_system() {
    let mut world = World::new().await;
    let (delivery, entry, _) = held(&world).await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(503));
    world.pass(LOOK_AGAIN).await;
    world.restart().await;
    world.pass(LOOK_AGAIN).await;
    assert_still_held(&world, (delivery, entry), "a restart");
    world.end_unsettled().await;
}

/// Two cases carry the number, or another one in another spelling, or the case that was named carries another number.
const UNCLEAR: [&str; 3] = ["several", "similar_number", "identifiers_differ"];

/// Registers what makes it unclear which child is meant; gives what the post says besides.
fn unclear(world: &World, reason: &str) -> serde_json::Value {
    let case_id = "6f1f0000-0000-4000-8000-00000000000c";
    match reason {
        "several" => {
            world.register(json!({}));
            world.register(json!({}));
            json!({})
        }
        "similar_number" => {
            world.register(json!({ "unhcr_individual_no": "989-test0001" }));
            world.register(json!({ "unhcr_individual_no": null, "case_id": case_id }));
            json!({ "progres_primeroid": case_id })
        }
        "identifiers_differ" => {
            world.register(json!({ "unhcr_individual_no": "989-TEST0009", "case_id": case_id }));
            json!({ "progres_primeroid": case_id })
        }
        other => unreachable!("{other}"),
    }
}

#[tokio::test]
async fn unhcr_hears_in_time_of_what_is_held_over_a_restart() {
    for reason in UNCLEAR {
        let mut world = World::new().await;
        let besides = unclear(&world, reason);
        world.refer(json!([intervention(NUMBER, besides)])).await;
        assert_eq!(world.list(), [format!("held {reason}")]);
        world.restart().await;
        world.pass(LOOK_AGAIN).await;
        assert_eq!(world.list(), [format!("held {reason}")]);
        assert!(!world.unsettled()[0].may_have_acted, "{reason}: it was looked at, and nothing of ours stands");
        world.pass(48 * LOOK_AGAIN).await;
        let told = world.told_dtp();
        assert_eq!(told.iter().map(|told| told["status"].clone()).collect::<Vec<_>>(), ["Delivery Fail"], "{reason}");
        assert_eq!(world.list(), Vec::<String>::new(), "{reason}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_corrected_post_after_a_restart_takes_the_place_of_what_is_held_at_once() {
    for reason in UNCLEAR {
        let mut world = World::new().await;
        let besides = unclear(&world, reason);
        world.refer(json!([intervention(NUMBER, besides)])).await;
        world.restart().await;
        world.refer(json!([intervention(NUMBER, json!({ "individuals.progres_id": "989-TEST0002" }))])).await;
        assert_eq!(world.stage.primero.services(world.case_of("989-TEST0002")).len(), 1, "{reason}");
        assert_eq!(world.told_dtp().len(), 1, "{reason}");
        assert_eq!(world.list(), Vec::<String>::new(), "{reason}");
        world.end().await;
    }
}

#[tokio::test]
async fn what_stands_in_one_of_several_cases_is_never_told_as_failed() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::PatchCase).once(), Fault::cut().after_effect());
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1);
    world.register(json!({}));
    for _ in 0..3 {
        world.pass(16 * LOOK_AGAIN).await;
    }
    world.pass(LOOK_AGAIN).await;
    assert_eq!(world.told_dtp(), Vec::<serde_json::Value>::new());
    assert!(world.unsettled()[0].may_have_acted);
    world.end_unsettled().await;
}

#[tokio::test]
async fn another_reason_is_another_entry() {
    let world = World::new().await;
    let (delivery, entry, case) = held(&world).await;
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "status": "open", "sex": "male" }));
    world.pass(LOOK_AGAIN).await;
    assert_eq!(world.list(), ["held identity_differs"]);
    let other = world.entries()[0].id;
    assert_ne!(other, entry);
    assert_eq!(world.events().iter().filter(|event| event.starts_with("held")).count(), 2);
    world.pass(LOOK_AGAIN).await;
    assert_eq!(world.entries()[0].id, other, "the same reason again is nothing new");
    assert_eq!(world.delivery(delivery).state, State::Held);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_retry_by_hand_takes_the_entry_away_and_what_is_still_so_comes_back() {
    let world = World::new().await;
    let (delivery, entry, _) = held(&world).await;
    world.stage.primero.faults().plant(Rule::any().once(), Fault::status(500));
    let spool = &world.daemon().programme().spool;
    spool.operate(move |tx| tx.retry(delivery, "tester")).await.unwrap();
    world.settle().await;
    assert_eq!(
        world.delivery(delivery).state,
        State::Waiting,
        "the person has done something, and nobody knows yet whether it helped"
    );
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(MINUTE).await;
    assert_eq!(world.list(), ["held case_not_open"]);
    assert_ne!(world.entries()[0].id, entry);
    world.end_unsettled().await;
}

#[tokio::test]
async fn what_waits_and_was_never_held_is_on_no_list() {
    for status in [500, 401] {
        let world = World::new().await;
        world.stage.primero.faults().plant(Rule::any(), Fault::status(status));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        world.pass(LOOK_AGAIN).await;
        assert_eq!(world.unsettled()[0].state, State::Waiting);
        assert_eq!(world.list(), Vec::<String>::new());
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn an_exception_can_be_released_while_primero_is_sick() {
    let world = World::new().await;
    let child = referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["held consent_exception"]);
    let delivery = world.unsettled()[0].id;
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    world.pass(LOOK_AGAIN).await;
    assert!(sick.met() > 0);
    let spool = &world.daemon().programme().spool;
    spool.operate(move |tx| tx.release(delivery, Ground::BestInterests, "CP manager", "tester")).await.unwrap();
    sick.pull();
    world.pass(LOOK_AGAIN).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn what_is_held_waits_as_long_as_primero_asks() {
    let world = World::new().await;
    let (delivery, ..) = held(&world).await;
    let sick = Fault::answer(StatusCode::SERVICE_UNAVAILABLE.as_u16(), "text/plain", "").retry_after("3600");
    let sick = world.stage.primero.faults().plant(Rule::any().once(), sick);
    world.pass(LOOK_AGAIN).await;
    assert_eq!(sick.met(), 1);
    let asked = world.stage.primero.log().len();
    world.pass(2 * LOOK_AGAIN - MINUTE).await;
    assert_eq!(world.stage.primero.log().len(), asked);
    world.pass(MINUTE).await;
    assert!(world.stage.primero.log().len() > asked);
    assert_eq!(world.delivery(delivery).state, State::Held);
    world.end_unsettled().await;
}
