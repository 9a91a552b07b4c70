//! Rows of Primero that cannot be read: they hold up no other, are never taken for absent, and are not lost.

use std::time::Duration;

use chrono::TimeDelta;
use referrald::{
    activity::Event,
    reason::Reason,
    referral::Walk,
    sandbox::{Endpoint, Fault, Planted, Rule, primero::Standing},
    walks::WalkError,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    flow2::{Referred, child_referred, child_whose_referral_waits, refer_service, sent_ids},
    world::{World, intervention, start},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const ACCEPTED: &str = "125080000";

fn list(rows: &[Value]) -> Fault {
    let body = json!({ "data": rows, "metadata": { "total": rows.len(), "per": 1000, "page": 1 } });
    Fault::answer(200, "application/json; charset=utf-8", body.to_string())
}

fn referral_row(world: &World, referral: Uuid) -> Value {
    Value::Object(world.stage.primero.referral(referral).unwrap())
}

/// From now on one referral of the case cannot be read, because something in it is not as promised.
fn spoil(world: &World, spoiled: Referred, others: &[Referred], change: Value) -> Planted {
    let mut row = referral_row(world, spoiled.referral);
    match change {
        Value::Object(change) => row.as_object_mut().unwrap().extend(change),
        other => row = other,
    }
    let rows: Vec<Value> = [row].into_iter().chain(others.iter().map(|other| referral_row(world, other.referral))).collect();
    world.stage.primero.faults().plant(Rule::on(Endpoint::ListReferrals).naming(spoiled.case.to_string()), list(&rows))
}

fn standing(world: &World, referred: Referred) -> Standing {
    let referrals = world.stage.primero.referrals(referred.case);
    referrals.into_iter().find(|(id, _)| *id == referred.referral).unwrap().1
}

#[tokio::test]
async fn a_referral_that_cannot_be_read_holds_up_no_other_of_its_case_and_goes_when_it_can() {
    for change in [json!({ "status": "paused" }), json!({ "id": 7 }), json!({ "created_at": null }), json!("a text")] {
        let world = World::new().await;
        let bad = child_referred(&world, json!({}));
        let good = refer_service(&world, bad.case, json!({}));
        let spoiled = spoil(&world, bad, &[good], change);
        world.walk(Walk::Referrals).await;
        assert_eq!(sent_ids(&world), [good.outgoing(&world)]);
        world.pass(4 * HOUR).await;
        assert_eq!(world.list(), ["late not_as_promised"], "a person hears that this case cannot be read wholly");
        spoiled.pull();
        world.pass(HOUR).await;
        assert_eq!(sent_ids(&world), [good.outgoing(&world), bad.outgoing(&world)]);
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn a_sent_referral_that_cannot_be_read_is_not_told_as_withdrawn() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    let spoiled = spoil(&world, child, &[], json!({ "status": "paused" }));
    world.pass(DAY).await;
    assert!(!world.heard(Event::WithdrawnAfterSend));
    spoiled.pull();
    world.stage.primero.staff("caseworker_testina").revoke(child.referral);
    world.pass(HOUR).await;
    assert_eq!(world.list(), ["withdrawn_after_send referral_revoked"]);
    world.end().await;
}

#[tokio::test]
async fn a_waiting_referral_that_cannot_be_read_is_not_given_up() {
    let world = World::new().await;
    let child = child_whose_referral_waits(&world).await;
    let spoiled = spoil(&world, child, &[], json!({ "id": 7 }));
    world.pass(MINUTE).await;
    assert!(spoiled.met() > 0);
    assert!(!world.heard(Event::Withheld));
    spoiled.pull();
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    world.end().await;
}

#[tokio::test]
async fn a_decision_on_a_referral_that_may_be_the_unreadable_one_waits_and_any_other_is_recorded() {
    for (change, other_is_known) in [(json!({ "status": "paused" }), true), (json!("a text"), false)] {
        let world = World::new().await;
        let bad = child_referred(&world, json!({}));
        let good = refer_service(&world, bad.case, json!({}));
        world.walk(Walk::Referrals).await;
        let spoiled = spoil(&world, bad, &[good], change);
        let decision =
            |child: Referred| json!({ "progres_orgreferralid": child.outgoing(&world), "progres_reviewdecision": ACCEPTED });
        world.decide(json!([decision(bad), decision(good)])).await;
        assert_eq!(standing(&world, bad), Standing::InProgress);
        let expected = if other_is_known { Standing::Accepted } else { Standing::InProgress };
        assert_eq!(standing(&world, good), expected);
        assert!(!world.heard(Event::Held), "nobody knows yet that there is no such referral");
        spoiled.pull();
        world.pass(HOUR).await;
        assert_eq!([standing(&world, bad), standing(&world, good)], [Standing::Accepted; 2]);
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}

/// A row as Primero lists it at this moment.
fn case_row(world: &World, case: Uuid) -> Value {
    let document = world.stage.primero.case(case).unwrap();
    json!({
        "id": case.to_string(), "enabled": true, "last_updated_at": world.clock.now().to_rfc3339(),
        "case_id": document["case_id"], "module_id": document["module_id"], "services_section": document["services_section"],
    })
}

#[tokio::test]
async fn a_row_of_the_list_that_says_which_case_it_is_is_looked_at_whatever_else_it_says() {
    for (field, value) in [("enabled", json!("true")), ("last_updated_at", json!(null)), ("services_section", json!("none"))] {
        let world = World::new().await;
        let bad = child_referred(&world, json!({}));
        let good = child_referred(&world, json!({ "unhcr_individual_no": "989-TEST0002" }));
        let mut row = case_row(&world, bad.case);
        row[field] = value;
        let rows = [row, case_row(&world, good.case)];
        world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), list(&rows));
        assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 2, "{field}");
        let mut sent = sent_ids(&world);
        sent.sort();
        let mut expected = [bad.outgoing(&world), good.outgoing(&world)];
        expected.sort();
        assert_eq!(sent, expected, "{field}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_case_that_cannot_be_read_at_all_comes_onto_the_operators_list() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    let mut row = case_row(&world, child.case);
    row["services_section"] = json!("none");
    let fault = Fault::answer(200, "application/json; charset=utf-8", json!({ "data": row }).to_string());
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), list(&[row]));
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), fault);
    world.walk(Walk::Referrals).await;
    world.pass(4 * HOUR).await;
    assert_eq!(world.list(), ["late not_as_promised"]);
    assert!(world.entries()[0].case.is_some());
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_row_that_does_not_say_which_case_it_is_holds_up_no_other_and_is_met_when_it_does() {
    let world = World::new().await;
    let bad = child_referred(&world, json!({}));
    let mut row = case_row(&world, bad.case);
    row["id"] = json!(7);
    world.clock.advance(HOUR);
    let good = child_referred(&world, json!({ "unhcr_individual_no": "989-TEST0002" }));
    let rows = [row, json!("a text"), case_row(&world, good.case)];
    let spoiled = world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), list(&rows));
    for _ in 0..2 {
        assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Unreadable(2))));
        world.settle().await;
    }
    assert_eq!(sent_ids(&world), [good.outgoing(&world)]);
    let failed = world.lines().into_iter().find(|line| line.event == Event::PollFailed).unwrap();
    assert_eq!((failed.reason, failed.count), (Some(Reason::NotAsPromised), Some(2)));
    let cursor = world.daemon().programme().spool.read(|reading| reading.cursor(Walk::Referrals, "primeromodule-cp")).unwrap();
    assert!(cursor.unwrap() <= start(), "the next walk comes back to it");
    spoiled.pull();
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [good.outgoing(&world), bad.outgoing(&world)]);
    let cursor = world.daemon().programme().spool.read(|reading| reading.cursor(Walk::Referrals, "primeromodule-cp")).unwrap();
    assert!(cursor.unwrap() > start() + TimeDelta::minutes(50));
    world.end().await;
}

#[tokio::test]
async fn a_list_of_which_no_row_says_which_case_it_is_is_no_list() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), list(&[json!("a text"), json!(null)]));
    assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Primero(_))));
    world.end().await;
}

#[tokio::test]
async fn in_a_search_for_a_child_a_row_that_cannot_be_read_is_never_taken_for_nobody() {
    for row in [json!({ "id": 7 }), json!("a text")] {
        let world = World::new().await;
        let rows = json!({ "data": [row], "metadata": { "total": 1, "per": 5, "page": 1 } });
        let body = Fault::answer(200, "application/json; charset=utf-8", rows.to_string());
        let spoiled = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), body);
        world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
        assert_eq!(world.stage.primero.case_count(), 0);
        assert_eq!(world.events().last().map(String::as_str), Some("later not_as_promised"));
        spoiled.pull();
        world.pass(HOUR).await;
        assert_eq!(world.stage.primero.case_count(), 1);
        world.end().await;
    }
}
