//! Never the wrong child: which case an intervention belongs to, and when a person must say.

use std::time::Duration;

use referrald::{
    activity::Event,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{BRIDGE_ROLE, FormAccess, GENDER_BASED_VIOLENCE},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NUMBER, delivered};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);

/// An intervention that must be held for this reason, with these fields; nothing is written and DTP hears nothing.
async fn is_held(world: World, change: Value, reason: &str, fields: &[&str]) {
    let before = documents(&world);
    world.refer(json!([intervention(NUMBER, change)])).await;
    assert_eq!(world.list(), [format!("held {reason}")]);
    assert_eq!(world.entries()[0].fields, fields);
    assert_eq!(world.events(), ["received".to_owned(), format!("held {reason}")]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(documents(&world), before, "nothing was written");
    assert_eq!(writes(&world), 0);
    world.end_unsettled().await;
}

fn documents(world: &World) -> Vec<Value> {
    let cases = world.stage.primero.cases_with("module_id", &json!("primeromodule-cp"));
    cases.into_iter().map(|case| Value::Object(world.stage.primero.case(case).unwrap())).collect()
}

fn writes(world: &World) -> usize {
    let log = world.stage.primero.log();
    log.count(Endpoint::CreateCase) + log.count(Endpoint::PatchCase)
}

#[tokio::test]
async fn the_one_case_with_the_number_gets_the_service() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let stranger = world.register(json!({"unhcr_individual_no": "989-TEST0002"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1);
    assert_eq!(world.stage.primero.services(stranger).len(), 0);
    assert_eq!(world.stage.primero.case_count(), 2);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn the_case_that_dtp_names_gets_the_service_and_the_number_that_it_lacks() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    let case = world.register(json!({"case_id": case_id, "unhcr_individual_no": null, "unhcr_id_no": ""}));
    world.refer(json!([intervention(NUMBER, json!({"progres_primeroid": case_id}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1);
    let document = world.stage.primero.case(case).unwrap();
    assert_eq!(document["unhcr_individual_no"], PERSON);
    assert_eq!(document["unhcr_id_no"], "989-TESTGROUP");
    assert_eq!(world.stage.primero.case_count(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_case_named_by_dtp_that_also_carries_the_number_is_the_one() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    let case = world.register(json!({"case_id": case_id}));
    world.refer(json!([intervention(NUMBER, json!({"progres_primeroid": case_id}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn two_cases_with_the_number_are_held_and_neither_is_touched() {
    let world = World::new().await;
    world.register(json!({}));
    world.register(json!({}));
    is_held(world, json!({}), "several", &[]).await;
}

#[tokio::test]
async fn two_identifiers_that_name_different_cases_are_held() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    world.register(json!({"case_id": case_id, "unhcr_individual_no": null}));
    world.register(json!({}));
    is_held(world, json!({"progres_primeroid": case_id}), "several", &[]).await;
}

#[tokio::test]
async fn a_case_named_by_dtp_that_carries_another_number_is_held() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    world.register(json!({"case_id": case_id, "unhcr_individual_no": "989-TEST0002"}));
    is_held(world, json!({"progres_primeroid": case_id}), "identifiers_differ", &[]).await;
}

#[tokio::test]
async fn a_case_named_by_dtp_that_is_not_there_while_the_number_is_is_held() {
    let world = World::new().await;
    world.register(json!({}));
    is_held(world, json!({"progres_primeroid": Uuid::new_v4().to_string()}), "identifiers_differ", &[]).await;
}

#[tokio::test]
async fn a_number_that_is_ours_but_for_its_case_is_held() {
    let world = World::new().await;
    world.register(json!({"unhcr_individual_no": "989-test0001"}));
    is_held(world, json!({}), "similar_number", &[]).await;
}

#[tokio::test]
async fn a_number_that_is_ours_but_for_blanks_is_held() {
    let world = World::new().await;
    world.register(json!({"unhcr_individual_no": format!(" {PERSON} ")}));
    is_held(world, json!({}), "similar_number", &[]).await;
}

#[tokio::test]
async fn a_number_that_only_contains_ours_is_another_child() {
    let world = World::new().await;
    let other = world.register(json!({"unhcr_individual_no": format!("{PERSON}9")}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let case = world.case_of(PERSON);
    assert_ne!(case, other);
    assert_eq!(world.stage.primero.services(other).len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_similar_number_on_a_later_page_is_found() {
    let world = World::new().await;
    for last in 0..1001 {
        world.register(json!({"unhcr_individual_no": format!("{PERSON}-{last}")}));
    }
    // The list is newest first, so the oldest case stands on the second page.
    world
        .stage
        .primero
        .staff("caseworker_testina")
        .register_at("2020-01-01T00:00:00Z".parse().unwrap(), json!({"unhcr_individual_no": "989-test0001", "status": "open"}));
    is_held(world, json!({}), "similar_number", &[]).await;
}

#[tokio::test]
async fn a_number_that_too_many_cases_contain_is_held_and_stops_nobody_else() {
    let world = World::new().await;
    for page in 1..=20 {
        // Pages of one row that are all full: the list goes on.
        let row = json!({
            "id": Uuid::from_u128(page).to_string(), "enabled": true, "last_updated_at": "2026-03-02T08:00:00.000Z", "record_state": true,
            "module_id": "primeromodule-cp", "unhcr_individual_no": format!("989-TEST1{page:03}"),
        });
        let body = json!({ "data": [row], "metadata": { "total": 99_999, "per": 1, "page": page } }).to_string();
        let asked = page.to_string();
        let rule = Rule::on(Endpoint::CaseQuery)
            .when(move |query| query.parameter("query") == Some("1") && query.parameter("page") == Some(&asked));
        world.stage.primero.faults().plant(rule, Fault::answer(200, "application/json; charset=utf-8", body));
    }
    let short = intervention("989-26-TEST-0009", json!({ "individuals.progres_id": "1" }));
    world.refer(json!([short, intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held similar_number"]);
    assert!(!world.heard(Event::Blocked));
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    assert_eq!(world.stage.primero.case_count(), 1);
    world.end_unsettled().await;
}

#[tokio::test]
async fn another_sex_is_held() {
    let world = World::new().await;
    world.register(json!({"sex": "male"}));
    is_held(world, json!({}), "identity_differs", &["sex"]).await;
}

#[tokio::test]
async fn a_year_of_birth_two_years_off_is_held() {
    let world = World::new().await;
    world.register(json!({"date_of_birth": "2012-12-31"}));
    is_held(world, json!({}), "identity_differs", &["date_of_birth"]).await;
}

#[tokio::test]
async fn names_without_a_part_in_common_are_held() {
    let world = World::new().await;
    world.register(json!({"name_first": "Other", "name_last": "Person"}));
    is_held(world, json!({}), "identity_differs", &["name_first", "name_last"]).await;
}

#[tokio::test]
async fn a_year_of_birth_one_year_off_and_one_name_in_common_are_the_same_child() {
    let world = World::new().await;
    let change = json!({"date_of_birth": "2015-11-30", "name_first": "Examplename", "name_last": "Person", "sex": null});
    let case = world.register(change);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.services(case).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_number_on_a_disabled_case_or_in_another_module_is_as_if_absent() {
    let world = World::new().await;
    let disabled = world.register(json!({"record_state": false}));
    let elsewhere = world.register(json!({"module_id": GENDER_BASED_VIOLENCE}));
    let before = [disabled, elsewhere].map(|case| world.stage.primero.saves(case));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;

    let cases = world.cases_of(PERSON);
    assert_eq!(cases.len(), 3);
    let ours = cases.into_iter().find(|case| ![disabled, elsewhere].contains(case)).unwrap();
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, ours)]);
    assert_eq!([disabled, elsewhere].map(|case| world.stage.primero.saves(case)), before);
    assert_eq!(world.list(), Vec::<String>::new(), "such cases are named nowhere");
    world.end().await;
}

#[tokio::test]
async fn a_similar_number_on_a_disabled_case_or_in_another_module_is_as_if_absent() {
    let world = World::new().await;
    world.register(json!({"unhcr_individual_no": "989-test0001", "record_state": false}));
    world.register(json!({"unhcr_individual_no": "989-test0001", "module_id": GENDER_BASED_VIOLENCE}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_filter_that_is_not_honoured_blocks_primero_until_a_probe_goes_through() {
    let world = World::new().await;
    let stranger = world.register(json!({"unhcr_individual_no": "989-TEST0002"}));
    let saves = world.stage.primero.saves(stranger);
    world.stage.primero.change_role(BRIDGE_ROLE, |role| role.without_form("basic_identity"));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.events(), ["received", "blocked filter_ignored"]);
    assert_eq!(writes(&world), 0);

    // Blocked: a second one is not even tried, and nothing is before the probe.
    let asked = world.stage.primero.log().len();
    world.refer(json!([intervention("989-26-TEST-0002", json!({}))])).await;
    world.pass(9 * MINUTE).await;
    assert_eq!(world.stage.primero.log().len(), asked);

    world.stage.primero.change_role(BRIDGE_ROLE, |role| role.form("basic_identity", FormAccess::ReadWrite));
    world.pass(MINUTE).await;
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 2);
    assert_eq!(world.stage.primero.saves(stranger), saves, "the stranger was not touched");
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_filter_that_stays_ignored_is_probed_every_hour() {
    let world = World::new().await;
    world.register(json!({"unhcr_individual_no": "989-TEST0002"}));
    world.stage.primero.change_role(BRIDGE_ROLE, |role| role.without_form("basic_identity"));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let searches = || world.stage.primero.log().count(Endpoint::CaseSearch);
    assert_eq!(searches(), 1);
    for (minutes, asked) in [(10, 2), (59, 2), (1, 3), (59, 3), (1, 4)] {
        world.pass(minutes * MINUTE).await;
        assert_eq!(searches(), asked);
    }
    assert_eq!(world.events(), ["received", "blocked filter_ignored"], "it is told once");
    world.end_unsettled().await;
}

#[tokio::test]
async fn putting_it_right_in_primero_is_enough() {
    let world = World::new().await;
    let case = world.register(json!({"sex": "male"}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held identity_differs"]);
    world.stage.primero.staff("caseworker_testina").edit(case, json!({"sex": "female"}));
    world.pass(29 * MINUTE).await;
    assert_eq!(world.told_dtp().len(), 0);
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new(), "the entry has left the list by itself");
    world.end().await;
}

#[tokio::test]
async fn a_page_that_is_not_json_or_not_all_of_it_is_later_and_never_none() {
    for fault in [Fault::html_page(), Fault::empty(), Fault::wrong_json(), Fault::truncated(), Fault::status(500)] {
        for endpoint in [Endpoint::CaseSearch, Endpoint::CaseQuery] {
            let world = World::new().await;
            let planted = world.stage.primero.faults().plant(Rule::on(endpoint).once(), fault.clone());
            world.refer(json!([intervention(NUMBER, json!({}))])).await;
            assert_eq!(planted.met(), 1);
            assert_eq!(writes(&world), 0);
            assert_eq!(world.unsettled().len(), 1);
            world.pass(MINUTE).await;
            assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
            world.end().await;
        }
    }
}
