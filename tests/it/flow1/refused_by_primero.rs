//! Primero refuses values: who is wrong, DTP, our table, or we?

use std::time::Duration;

use referrald::sandbox::{Endpoint, Fault, Rule};
use serde_json::{Value, json};

use super::{NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);

fn refusal(pointers: &[&str]) -> Fault {
    let error = json!({"status": 422, "resource": "/api/v2/cases", "detail": pointers, "message": "Invalid Record JSON"});
    Fault::answer(422, "application/json; charset=utf-8", json!({"errors": [error]}).to_string())
}

#[tokio::test]
async fn a_value_of_dtp_that_primero_refuses_is_told_to_dtp() {
    let world = World::new().await;
    world.stage.primero.faults().plant(
        Rule::on(Endpoint::CreateCase).once(),
        refusal(&["/name_first", "/services_section/0/service_request_title", "/name_first"]),
    );
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let why = "CPIMS+ did not accept the values of these fields: individuals.progres_givenname, user.title. \
               Please correct them and send the referral again.";
    assert_eq!(world.told_dtp(), [failed(NUMBER, why)]);
    assert_eq!(world.events(), ["received", "refused values_refused", "feedback_sent"]);
    world.end().await;
}

#[tokio::test]
async fn an_option_out_of_our_table_that_primero_does_not_know_is_held_until_it_does() {
    let world = World::new().await;
    world.stage.primero.remove_option("lookup-service-type", "alternative_care");
    let other = json!({"individuals.progres_id": "989-TEST0002", "interventiontype.progres_description": "BID"});
    world.refer(json!([intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", other)])).await;
    assert_eq!(world.list(), ["held table_value_refused"]);
    assert_eq!(world.told_dtp(), [delivered(&world, "989-26-TEST-0002", world.case_of("989-TEST0002"))], "nobody else waits");
    world.stage.primero.put_lookup("lookup-service-type", &[("alternative_care", "Alternative Care")]);
    world.pass(30 * MINUTE).await;
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_constant_of_ours_that_primero_refuses_blocks_primero() {
    let world = World::new().await;
    world.stage.primero.remove_option("lookup-service-response-type", "service_provision");
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.events(), ["received", "blocked constant_refused"]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "nothing is refused before its time");
    world.stage.primero.put_lookup("lookup-service-response-type", &[("service_provision", "Service provision")]);
    world.pass(10 * MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_constant_among_refused_values_is_our_fault_first() {
    let world = World::new().await;
    let pointers = ["/name_first", "/sex", "/services_section/0/service_response_type"];
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), refusal(&pointers));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.events(), ["received", "blocked constant_refused"]);
    world.pass(10 * MINUTE).await;
    world.end().await;
}

#[tokio::test]
async fn a_table_value_among_refused_values_is_held() {
    let world = World::new().await;
    world.register(json!({}));
    let pointers = ["/services_section/0/service_request_title", "/services_section/0/service_type"];
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), refusal(&pointers));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held table_value_refused"]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_refusal_that_names_nothing_is_held() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), refusal(&[]));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held table_value_refused"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_refusal_of_the_right_to_create_blocks_primero() {
    let world = World::new().await;
    world.stage.primero.change_role("role-bridge", |role| role.may_not("case", "create"));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.events(), ["received", "blocked forbidden"]);
    world.stage.primero.change_role("role-bridge", |role| role.may("case", &["create"]));
    world.pass(10 * MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn what_primero_says_when_it_fails_is_remembered_nowhere() {
    let world = World::new().await;
    let body =
        json!({"errors": [{"status": 500, "resource": "/api/v2/cases", "message": "PG::Error Marker-Testina-Examplename"}]});
    let fault = Fault::answer(500, "application/json; charset=utf-8", body.to_string());
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), fault);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(MINUTE).await;
    assert!(!format!("{:?} {:?}", world.lines(), world.entries()).contains("Marker"));
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_record_that_primero_refuses_without_naming_a_field_is_told_in_a_whole_sentence() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::status(400));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let why = "CPIMS+ did not accept the values of these fields: (not named). Please correct them and send the referral again.";
    assert_eq!(world.told_dtp(), [failed(NUMBER, why)]);
    world.end().await;
}
