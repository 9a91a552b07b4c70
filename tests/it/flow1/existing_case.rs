//! One case: it gets the new service and nothing else, by one writer at a time, and only if it is open.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use referrald::sandbox::{Endpoint, Fault, Gate, Rule, primero::OTHER_CASE_WORKER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NEUTRAL, NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);

/// Collects what is PATCHed.
fn patches(world: &World) -> Arc<Mutex<Vec<Value>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let rule = Rule::on(Endpoint::PatchCase).when(move |asked| {
        noted.lock().unwrap().push(asked.json().unwrap_or_default());
        false
    });
    world.stage.primero.faults().plant(rule, Fault::status(500));
    seen
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn an_existing_case_is_sent_the_new_service_and_nothing_else() {
    let world = World::new().await;
    let patched = patches(&world);
    let case = world.register(json!({"owned_by": OTHER_CASE_WORKER, "name_last": "Written Otherwise", "telephone_current": "0"}));
    let older = world.stage.primero.staff(OTHER_CASE_WORKER).add_service(case, json!({"service_type": "food"}));
    let mut before = world.stage.primero.case(case).unwrap();
    world.refer(json!([intervention(NUMBER, json!({"individuals.progres_primaryphonenumber": "+251000000009"}))])).await;

    let patched = patched.lock().unwrap().clone();
    assert_eq!(patched.len(), 1);
    assert_eq!(keys(&patched[0]["data"]), ["services_section"]);
    let items = patched[0]["data"]["services_section"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["progres_interventionnumber"], NUMBER);
    assert_eq!(items[0]["unique_id"], Uuid::new_v5(&NAMESPACE, NUMBER.as_bytes()).to_string());

    let mut after = world.stage.primero.case(case).unwrap();
    assert_eq!(after["services_section"].as_array().unwrap().len(), 2);
    assert_eq!(after["services_section"][0]["unique_id"], older.to_string());
    for document in [&mut before, &mut after] {
        // What Primero itself changes at any save of a service.
        for field in ["services_section", "last_updated_at", "last_updated_by", "workflow"] {
            document.remove(field);
        }
    }
    assert_eq!(after, before);
    world.end().await;
}

const NAMESPACE: Uuid = Uuid::from_u128(0x522d_0ff0_eeda_44c7_8896_77e7_a44d_d9f7);

#[tokio::test]
async fn an_empty_number_field_that_our_role_cannot_read_is_not_taken_for_empty() {
    let world = World::new().await;
    let patched = patches(&world);
    world.stage.primero.change_role("role-bridge", |role| role.cannot_read("unhcr_id_no"));
    let case = world.register(json!({"unhcr_id_no": "989-OTHERGROUP"}));
    world.stage.primero.remove_field("basic_identity", "unhcr_id_no");
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(keys(&patched.lock().unwrap()[0]["data"]), ["services_section"]);
    assert_eq!(world.stage.primero.case(case).unwrap()["unhcr_id_no"], "989-OTHERGROUP");
    world.end().await;
}

#[tokio::test]
async fn a_number_that_somebody_else_wrote_meanwhile_is_not_overwritten() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    let case = world.register(json!({"case_id": case_id, "unhcr_individual_no": null}));
    // After we have looked at the case and before we write to it.
    let primero = world.stage.primero.clone();
    let hook = Fault::run(move || primero.staff("caseworker_testina").edit(case, json!({"unhcr_individual_no": "989-TEST0002"})));
    world.stage.primero.faults().plant(Rule::on(Endpoint::Forms).once(), hook);
    world.refer(json!([intervention(NUMBER, json!({"progres_primeroid": case_id}))])).await;
    assert_eq!(world.stage.primero.case(case).unwrap()["unhcr_individual_no"], "989-TEST0002");
    assert_eq!(world.stage.primero.services(case).len(), 0);
    assert_eq!(world.list(), ["held identifiers_differ"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn two_interventions_for_one_case_are_written_one_after_the_other() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase), Fault::hold(&gate));
    let body = json!({
        "request_type": "PrimeroOutgoingReferral",
        "interventions": [intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", json!({}))],
    });
    world.post(&body).await;
    gate.arrived(1).await;
    gate.let_one_through();
    gate.arrived(2).await;
    let patched: Vec<_> =
        world.stage.primero.log().entries().into_iter().filter(|entry| entry.endpoint == Endpoint::PatchCase).collect();
    assert!(patched[0].ended.unwrap() < patched[1].began, "the second began after the first had ended");
    gate.open();
    world.settle().await;
    assert_eq!(world.stage.primero.services(case).len(), 2);
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn two_children_that_are_said_to_be_one_case_do_not_both_become_it() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    let case = world.register(json!({"case_id": case_id, "unhcr_individual_no": null}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase), Fault::hold(&gate));
    let named = |number, person| intervention(number, json!({"progres_primeroid": case_id, "individuals.progres_id": person}));
    let body = json!({
        "request_type": "PrimeroOutgoingReferral",
        "interventions": [named(NUMBER, PERSON), named("989-26-TEST-0002", "989-TEST0002")],
    });
    world.post(&body).await;
    gate.arrived(1).await;
    // Both have looked at the case while nobody had written to it.
    while world.stage.primero.log().count(Endpoint::CaseSearch) < 4 {
        tokio::task::yield_now().await;
    }
    gate.open();
    world.settle().await;
    let services = world.stage.primero.services(case);
    assert_eq!(services.len(), 1);
    let (first, person) =
        if services[0]["progres_interventionnumber"] == NUMBER { (NUMBER, PERSON) } else { ("989-26-TEST-0002", "989-TEST0002") };
    assert_eq!(world.stage.primero.case(case).unwrap()["unhcr_individual_no"], person);
    assert_eq!(world.told_dtp(), [delivered(&world, first, case)]);
    assert_eq!(world.list(), ["held identifiers_differ"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_lost_answer_after_the_effect_adds_nothing_twice_and_touches_no_staff_edit() {
    for fault in
        [Fault::cut().after_effect(), Fault::truncated(), Fault::html_page().after_effect(), Fault::empty().after_effect()]
    {
        let world = World::new().await;
        let case = world.register(json!({}));
        world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), fault);
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new(), "it is not success before it is seen");
        let service: Uuid = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
        let staff = world.stage.primero.staff("caseworker_testina");
        staff.edit_service(case, service, json!({"unhcr_referral_status": "accepted"}));
        world.pass(MINUTE).await;
        let services = world.stage.primero.services(case);
        assert_eq!(services.len(), 1);
        assert_eq!(services[0]["unhcr_referral_status"], "accepted");
        assert_eq!(world.stage.primero.log().count(Endpoint::PatchCase), 1);
        assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
        assert_eq!(world.list(), ["differs differs"]);
        world.end().await;
    }
}

#[tokio::test]
async fn a_closed_case_is_held_unless_it_is_configured_otherwise() {
    let world = World::new().await;
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held case_not_open"]);
    assert_eq!(world.stage.primero.services(case).len(), 0);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_closed_case_is_reopened_where_that_is_configured() {
    let world = World::with(&[("REFERRALD__FLOW1__CLOSED_CASE", "reopen")]).await;
    let patched = patches(&world);
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(keys(&patched.lock().unwrap()[0]["data"]), ["services_section"], "Primero reopens it by itself");
    assert_eq!(world.stage.primero.services(case).len(), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn a_closed_case_is_refused_with_the_neutral_text_where_that_is_configured() {
    let world = World::with(&[("REFERRALD__FLOW1__CLOSED_CASE", "refuse")]).await;
    let case = world.register(json!({"status": "closed"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 0);
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)]);
    assert_eq!(world.events(), ["received", "refused case_not_open", "feedback_sent"]);
    world.end().await;
}

#[tokio::test]
async fn a_duplicate_or_transferred_case_is_always_held() {
    for setting in ["hold", "reopen", "refuse"] {
        for status in ["duplicate", "transferred"] {
            let world = World::with(&[("REFERRALD__FLOW1__CLOSED_CASE", setting)]).await;
            let case = world.register(json!({"status": status}));
            world.refer(json!([intervention(NUMBER, json!({}))])).await;
            assert_eq!(world.list(), ["held case_not_open"]);
            assert_eq!(world.stage.primero.services(case).len(), 0);
            world.end_unsettled().await;
        }
    }
}

#[tokio::test]
async fn a_case_that_vanishes_before_the_write_is_matched_again_once() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let primero = world.stage.primero.clone();
    world
        .stage
        .primero
        .faults()
        .plant(Rule::on(Endpoint::PatchCase).once(), Fault::run(move || primero.staff("caseworker_testina").disable(case)));
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::status(404));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let fresh = world.cases_of(PERSON).into_iter().find(|other| *other != case).unwrap();
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, fresh)]);
    assert_eq!(world.stage.primero.services(case).len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_case_that_goes_on_vanishing_is_later() {
    let world = World::new().await;
    let case = world.register(json!({}));
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).times(2), Fault::status(404));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.log().count(Endpoint::PatchCase), 2);
    assert_eq!(world.events(), ["received", "later case_changed"]);
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn one_case_out_of_scope_is_held_and_blocks_nobody() {
    let world = World::new().await;
    world.register(json!({}));
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::status(403));
    let other = json!({"individuals.progres_id": "989-TEST0002"});
    world.refer(json!([intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", other)])).await;
    assert_eq!(world.list(), ["held out_of_scope"]);
    assert_eq!(world.told_dtp().len(), 1);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_case_that_we_may_have_written_to_is_read_again_whatever_number_it_carries_by_then() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::PatchCase).once(), Fault::cut().after_effect());
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1, "it was written, and nobody saw the answer");
    let staff = world.stage.primero.staff("caseworker_testina");
    staff.edit(case, json!({"unhcr_individual_no": "989-TEST0077"}));
    world.pass(MINUTE).await;
    assert_eq!(world.cases_of(PERSON), Vec::<Uuid>::new(), "no second case for a service that stands");
    assert_eq!(world.list(), ["held unconfirmed"]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.end_unsettled().await;
}
