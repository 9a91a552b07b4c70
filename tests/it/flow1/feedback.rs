//! What UNHCR hears: the words, in what order, and what it never hears.

use std::time::Duration;

use referrald::sandbox::{Endpoint, Fault, Gate, Rule};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NEUTRAL, NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn unmappable(number: &str) -> Value {
    intervention(number, json!({"interventiontype.progres_description": "Cash"}))
}

#[tokio::test]
async fn while_dtp_is_down_an_unsent_feedback_gives_way_to_a_newer_one_of_the_same_number() {
    let world = World::new().await;
    world.stage.dtp.go_down().await;
    world.refer(json!([unmappable(NUMBER)])).await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.unsettled().len(), 1);
    world.stage.dtp.come_up().await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_feedback_under_way_is_finished_before_the_newer_one_of_the_same_number_goes() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::hold(&gate));
    let post = |row: Value| json!({"request_type": "PrimeroOutgoingReferral", "interventions": [row]});
    world.post(&post(unmappable(NUMBER))).await;
    gate.arrived(1).await;
    world.post(&post(intervention(NUMBER, json!({})))).await;
    // The newer one would have gone by now, if it might: another number has.
    let other = json!({"individuals.progres_id": "989-TEST0002"});
    world.post(&post(intervention("989-26-TEST-0002", other))).await;
    while world.told_dtp().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(world.told_dtp()[0]["progres_interventionnumber"], "989-26-TEST-0002");
    gate.open();
    world.settle().await;
    let told: Vec<_> = world.told_dtp().into_iter().filter(|body| body["progres_interventionnumber"] == NUMBER).collect();
    let why = "The service type is not one of those agreed for referral to CPIMS+.";
    assert_eq!(told, [failed(NUMBER, why), delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_feedback_under_way_that_fails_gives_way_to_the_newer_one_or_goes_before_it() {
    let world = World::new().await;
    let gate = Gate::closed();
    let faults = world.stage.dtp.faults();
    faults.plant(Rule::on(Endpoint::DtpDecision).once(), Fault::hold(&gate));
    faults.plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(500));
    let post = |row: Value| json!({"request_type": "PrimeroOutgoingReferral", "interventions": [row]});
    world.post(&post(unmappable(NUMBER))).await;
    gate.arrived(1).await;
    world.post(&post(intervention(NUMBER, json!({})))).await;
    // A sibling that is told after it shows that the newer one has been delivered meanwhile.
    let other = json!({"individuals.progres_id": "989-TEST0002"});
    world.post(&post(intervention("989-26-TEST-0002", other))).await;
    while world.told_dtp().is_empty() {
        tokio::task::yield_now().await;
    }
    gate.open();
    world.settle().await;
    world.pass(MINUTE).await;
    world.pass(MINUTE).await;
    let told: Vec<_> = world.told_dtp().into_iter().filter(|body| body["progres_interventionnumber"] == NUMBER).collect();
    assert_eq!(told.last(), Some(&delivered(&world, NUMBER, world.case_of(PERSON))), "the newest word is the last one");
    world.end().await;
}

#[tokio::test]
async fn different_numbers_never_wait_for_each_other() {
    let world = World::new().await;
    let sick = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).naming(NUMBER), Fault::status(500));
    let other = json!({"individuals.progres_id": "989-TEST0002"});
    world.refer(json!([intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", other)])).await;
    assert_eq!(world.told_dtp(), [delivered(&world, "989-26-TEST-0002", world.case_of("989-TEST0002"))]);
    sick.pull();
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_feedback_that_dtp_refuses_is_told_to_the_operator() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(400));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["refused refused_by_dtp"]);
    assert_eq!(world.events(), ["received", "delivered", "refused refused_by_dtp"]);
    world.end().await;
}

#[tokio::test]
async fn a_failed_feedback_names_a_case_only_if_dtp_named_it() {
    let world = World::with(&[("REFERRALD__FLOW1__CLOSED_CASE", "refuse")]).await;
    let case_id = Uuid::new_v4().to_string();
    world.register(json!({"status": "closed", "case_id": case_id}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.refer(json!([intervention("989-26-TEST-0002", json!({"progres_primeroid": case_id}))])).await;
    let mut second = failed("989-26-TEST-0002", NEUTRAL);
    second["case_id"] = json!(case_id);
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL), second]);
    world.end().await;
}

#[tokio::test]
async fn whatever_the_reason_of_a_hold_dtp_hears_the_neutral_text_only() {
    let several = |world: &World| {
        world.register(json!({}));
        world.register(json!({}));
    };
    let other_sex = |world: &World| {
        world.register(json!({"sex": "male"}));
    };
    let similar = |world: &World| {
        world.register(json!({"unhcr_individual_no": "989-test0001"}));
    };
    let closed = |world: &World| {
        world.register(json!({"status": "closed"}));
    };
    let transferred = |world: &World| {
        world.register(json!({"status": "transferred"}));
    };
    type Arrangement<'a> = (&'a dyn Fn(&World), &'a str);
    let arrangements: [Arrangement<'_>; 5] = [
        (&several, "held several"),
        (&other_sex, "held identity_differs"),
        (&similar, "held similar_number"),
        (&closed, "held case_not_open"),
        (&transferred, "held case_not_open"),
    ];
    for (arrange, reason) in arrangements {
        let world = World::new().await;
        arrange(&world);
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.list(), [reason]);
        world.pass(DAY).await;
        assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}
