//! A number that was seen before: nothing twice, nothing lost, and what was delivered once is known for ever.

use std::time::Duration;

use referrald::{
    reason::Reason,
    referral::{Errand, State},
    sandbox::{Endpoint, Fault, Gate, Rule},
    spool::operator::Stopping,
};
use serde_json::{Value, json};

use super::{NEUTRAL, NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The same number with other content.
fn corrected() -> Value {
    intervention(NUMBER, json!({"progres_interventiondescription": "A corrected note."}))
}

fn first() -> Value {
    intervention(NUMBER, json!({}))
}

/// Posts without waiting for what comes of it.
async fn post(world: &World, row: Value) {
    let (status, answer) = world.post(&json!({"request_type": "PrimeroOutgoingReferral", "interventions": [row]})).await;
    assert_eq!((status.as_u16(), &answer["taken"]), (202, &json!(1)));
}

fn notes_in_primero(world: &World) -> Vec<Value> {
    world.stage.primero.services(world.case_of(PERSON)).iter().map(|service| service["service_referral_notes"].clone()).collect()
}

#[tokio::test]
async fn the_same_post_twice_changes_nothing() {
    let world = World::new().await;
    world.refer(json!([first()])).await;
    let saves = world.stage.primero.saves(world.case_of(PERSON));
    world.refer(json!([first()])).await;
    assert_eq!(world.events(), ["received", "delivered", "feedback_sent", "unchanged"]);
    assert_eq!(world.stage.primero.saves(world.case_of(PERSON)), saves);
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn order_of_rows_repeated_rows_empty_keys_and_keys_that_nobody_reads_are_no_content() {
    let world = World::new().await;
    let speaks = |language: &str| json!({"languages.progres_languagecodeid": {"Name": language}});
    let (a, b) = (intervention(NUMBER, speaks("Nuer")), intervention(NUMBER, speaks("Amharic")));
    world.refer(json!([a, b])).await;
    let mut more = b.clone();
    more["individuals.progres_middlename"] = json!("  ");
    more["individuals.progres_coalocationlevel1"] = json!(null);
    more["specificneeds.progres_spncategory2"] = json!({"Name": "An invented need"});
    world.refer(json!([more, a, b])).await;
    assert_eq!(world.events(), ["received", "delivered", "feedback_sent", "unchanged"]);
    world.end().await;
}

#[tokio::test]
async fn the_same_post_after_a_delivery_fail_is_a_new_delivery() {
    let world = World::new().await;
    let row = intervention(NUMBER, json!({"interventiontype.progres_description": "Cash"}));
    world.refer(json!([row])).await;
    world.refer(json!([row])).await;
    let why = "The service type is not one of those agreed for referral to CPIMS+.";
    assert_eq!(world.told_dtp(), [failed(NUMBER, why), failed(NUMBER, why)]);
    let once = ["received", "refused service_type_not_agreed", "feedback_sent"];
    assert_eq!(world.events(), [once, once].concat());
    world.end().await;
}

#[tokio::test]
async fn a_corrected_post_after_a_refusal_is_taken_up() {
    let world = World::new().await;
    world.refer(json!([intervention(NUMBER, json!({"individuals.progres_sex": null}))])).await;
    world.refer(json!([first()])).await;
    assert_eq!(world.told_dtp()[1..], [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn while_one_waits_the_same_is_nothing_new_and_another_takes_its_place() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([first()])).await;
    world.refer(json!([first()])).await;
    assert_eq!(world.unsettled().len(), 1);
    world.refer(json!([corrected()])).await;
    assert_eq!(world.unsettled().len(), 1);
    assert!(world.events().contains(&"superseded replaced".to_owned()));
    world.stage.primero.come_up().await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!(notes_in_primero(&world), ["A corrected note."]);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))], "the first one is not answered");
    world.end().await;
}

#[tokio::test]
async fn while_one_is_held_the_same_is_nothing_new_and_another_takes_its_place() {
    let world = World::new().await;
    world.register(json!({}));
    world.register(json!({}));
    world.refer(json!([first()])).await;
    world.refer(json!([first()])).await;
    assert_eq!(world.events(), ["received", "held several", "unchanged"]);
    world.forget();
    world.refer(json!([intervention(NUMBER, json!({"individuals.progres_id": "989-TEST0002"}))])).await;
    assert_eq!(world.events(), ["superseded replaced", "received", "delivered", "feedback_sent"]);
    assert_eq!(world.list(), Vec::<String>::new(), "the entry of the held one has left the list");
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn while_one_is_attempted_another_waits_and_is_judged_when_the_first_is_delivered() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseQuery).once(), Fault::hold(&gate));
    post(&world, first()).await;
    gate.arrived(1).await;
    post(&world, first()).await;
    assert_eq!(world.unsettled().len(), 1, "the same is nothing new");
    post(&world, corrected()).await;
    assert_eq!(world.unsettled().len(), 2);
    gate.open();
    world.settle().await;
    assert_eq!(notes_in_primero(&world), ["An invented note."]);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    assert_eq!(world.list(), ["changed_after_delivery changed_after_delivery"]);
    world.end().await;
}

#[tokio::test]
async fn what_waits_behind_an_attempt_gives_way_to_what_comes_later() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseQuery).once(), Fault::hold(&gate));
    post(&world, first()).await;
    gate.arrived(1).await;
    post(&world, corrected()).await;
    post(&world, first()).await;
    assert_eq!(world.unsettled().len(), 2);
    gate.open();
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(world.list(), Vec::<String>::new(), "the last word was what had been delivered");
    world.end().await;
}

#[tokio::test]
async fn what_waits_behind_an_attempt_that_is_refused_is_delivered() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::hold(&gate));
    let pointers = json!({"errors": [{"status": 422, "resource": "/api/v2/cases", "detail": ["/name_first"], "message": "Invalid Record JSON"}]});
    let fault = Fault::answer(422, "application/json; charset=utf-8", pointers.to_string());
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), fault);
    post(&world, first()).await;
    gate.arrived(1).await;
    post(&world, corrected()).await;
    gate.open();
    world.settle().await;
    assert_eq!(notes_in_primero(&world), ["A corrected note."]);
    assert_eq!(world.told_dtp().last(), Some(&delivered(&world, NUMBER, world.case_of(PERSON))));
    world.end().await;
}

#[tokio::test]
async fn what_waits_behind_an_attempt_that_is_held_takes_its_place() {
    let world = World::new().await;
    world.register(json!({}));
    world.register(json!({}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::hold(&gate));
    post(&world, first()).await;
    gate.arrived(1).await;
    post(&world, intervention(NUMBER, json!({"individuals.progres_id": "989-TEST0002"}))).await;
    gate.open();
    world.settle().await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of("989-TEST0002"))]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn while_a_write_may_have_happened_another_waits() {
    let world = World::new().await;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
    faults.plant(Rule::on(Endpoint::GetCase).once(), Fault::status(500));
    world.refer(json!([first()])).await;
    world.refer(json!([first()])).await;
    assert_eq!(world.unsettled().len(), 1, "the same is nothing new");
    world.refer(json!([corrected()])).await;
    assert_eq!(world.unsettled().len(), 2);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.pass(MINUTE).await;
    assert_eq!(notes_in_primero(&world), ["An invented note."]);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    assert_eq!(world.list(), ["changed_after_delivery changed_after_delivery"]);
    world.end().await;
}

#[tokio::test]
async fn what_waits_behind_another_survives_a_restart() {
    let mut world = World::new().await;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut());
    faults.plant(Rule::on(Endpoint::GetCase).once(), Fault::status(500));
    world.refer(json!([first()])).await;
    world.refer(json!([corrected()])).await;
    assert_eq!(world.unsettled().len(), 2);
    world.restart_with(&[]).await;
    world.settle().await;
    world.pass(MINUTE).await;
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn after_a_delivery_other_content_is_stored_nowhere_and_told_to_the_operator_once() {
    let world = World::new().await;
    world.refer(json!([first()])).await;
    let before = world.stage.primero.case(world.case_of(PERSON));
    world.refer(json!([corrected()])).await;
    world.refer(json!([corrected()])).await;
    assert_eq!(world.stage.primero.case(world.case_of(PERSON)), before);
    assert_eq!(world.told_dtp().len(), 1, "a second status could undo an accepted one");
    assert_eq!(world.list(), ["changed_after_delivery changed_after_delivery"]);
    assert_eq!(world.entries()[0].intervention.as_ref().unwrap().as_str(), NUMBER);
    world.end().await;
}

#[tokio::test]
async fn after_a_delivery_another_person_under_the_number_is_an_alarm() {
    let world = World::new().await;
    world.refer(json!([first()])).await;
    world.refer(json!([intervention(NUMBER, json!({"individuals.progres_id": "989-TEST0002"}))])).await;
    assert_eq!(world.list(), ["number_already_delivered number_already_delivered"]);
    assert_eq!(world.cases_of("989-TEST0002").len(), 0);
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn after_a_delivery_a_post_that_names_no_person_names_no_other_person() {
    let world = World::new().await;
    world.refer(json!([first()])).await;
    world.refer(json!([intervention(NUMBER, json!({"individuals.progres_id": null}))])).await;
    assert_eq!(world.list(), ["changed_after_delivery changed_after_delivery"]);
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn what_was_delivered_is_known_when_its_delivery_has_long_been_dropped() {
    let world = World::new().await;
    world.refer(json!([first()])).await;
    world.pass(400 * DAY).await;
    world.forget();
    world.refer(json!([first()])).await;
    world.refer(json!([corrected()])).await;
    assert_eq!(world.events(), ["unchanged", "changed_after_delivery changed_after_delivery"]);
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn after_a_neutral_delivery_fail_the_same_post_is_a_new_delivery() {
    let world = World::new().await;
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([first()])).await;
    world.pass(DAY).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
    world.stage.primero.staff("caseworker_testina").edit(case, json!({"status": "open"}));
    world.refer(json!([first()])).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL), delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn after_one_was_stopped_the_same_post_is_a_new_delivery_that_writes_nothing_twice() {
    let world = World::new().await;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
    let sick = faults.plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    let search = faults.plant(Rule::on(Endpoint::CaseSearch).skip(1), Fault::status(500));
    world.refer(json!([first()])).await;
    world.pass(7 * DAY - MINUTE).await;
    world.pass(MINUTE).await;
    assert_eq!(world.unsettled(), []);
    assert_eq!(world.list(), ["stopped expired"]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    let stopped = world.delivery(world.entries()[0].delivery.unwrap());
    assert_eq!(
        (stopped.errand, stopped.state, stopped.reason),
        (Errand::OpenIntervention, State::Stopped, Some(Reason::Expired))
    );
    sick.pull();
    search.pull();
    world.refer(json!([first()])).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.saves(case), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), ["stopped expired"], "it stays until a person resolves it");
    world.end().await;
}

#[tokio::test]
async fn after_one_was_stopped_other_content_is_a_new_delivery_and_what_was_written_stays() {
    let world = World::new().await;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
    let sick = faults.plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    let search = faults.plant(Rule::on(Endpoint::CaseSearch).skip(1), Fault::status(500));
    world.refer(json!([first()])).await;
    world.pass(7 * DAY - MINUTE).await;
    world.pass(MINUTE).await;
    sick.pull();
    search.pull();
    world.refer(json!([corrected()])).await;
    assert_eq!(notes_in_primero(&world), ["An invented note."], "a service that stands is not written over");
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn what_a_stopped_one_may_have_written_is_looked_for_where_it_would_stand_whoever_is_meant_now() {
    for (has_case, can_be_mapped) in [(true, true), (false, true), (true, false)] {
        let world = World::new().await;
        if has_case {
            world.register(json!({}));
        }
        let faults = world.stage.primero.faults();
        let writing = if has_case { Endpoint::PatchCase } else { Endpoint::CreateCase };
        faults.plant(Rule::on(writing).once(), Fault::cut().after_effect());
        let sick = faults.plant(Rule::on(Endpoint::GetCase), Fault::status(500));
        let search = faults.plant(Rule::on(Endpoint::CaseSearch).skip(1), Fault::status(500));
        world.refer(json!([first()])).await;
        let written = world.unsettled()[0].id;
        let mut other = json!({"individuals.progres_id": "989-TEST0002"});
        if !can_be_mapped {
            other["interventiontype.progres_description"] = json!("Cash");
        }
        world.refer(json!([intervention(NUMBER, other)])).await;
        assert_eq!(world.unsettled().len(), 2, "the corrected one waits");
        sick.pull();
        search.pull();
        let spool = &world.daemon().programme().spool;
        spool.operate(move |tx| tx.stop(written, Stopping::Error, "tester")).await.unwrap();
        world.settle().await;
        assert_eq!(world.cases_of("989-TEST0002").len(), 0, "the number would stand in two cases");
        assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);
        assert_eq!(world.told_dtp(), Vec::<Value>::new(), "something stands");
        assert_eq!(world.list(), ["stopped unconfirmed", "held unconfirmed"]);
        // A person takes it away there, and has the corrected one tried again.
        let (case, corrected) = (world.case_of(PERSON), world.unsettled()[0].id);
        let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
        world.stage.primero.staff("caseworker_testina").delete_service(case, service);
        spool.operate(move |tx| tx.retry(corrected, "tester")).await.unwrap();
        world.settle().await;
        assert_eq!(world.cases_of("989-TEST0002").len(), usize::from(can_be_mapped));
        assert_eq!(world.told_dtp().len(), 1);
        assert_eq!(world.told_dtp()[0]["status"] == "Pending Acknowledgement", can_be_mapped);
        world.end().await;
    }
}
