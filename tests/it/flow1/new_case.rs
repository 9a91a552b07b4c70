//! No case: one is made, once, whatever becomes of the answer.

use std::time::Duration;

use referrald::sandbox::{Endpoint, Fault, Gate, Rule, primero::GENDER_BASED_VIOLENCE};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NUMBER, delivered};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);

/// The id under which the case of the person will be made.
fn id_to_be(world: &World) -> Uuid {
    world.daemon().programme().spool.identity().case_key(PERSON)
}

/// Somebody makes a case with our id between our search and our writing.
fn make_meanwhile(world: &World, change: Value) {
    let primero = world.stage.primero.clone();
    let mut document = json!({
        "id": id_to_be(world).to_string(), "unhcr_individual_no": PERSON, "name_first": "Testina", "name_last": "Examplename",
        "sex": "female", "date_of_birth": "2014-05-06", "status": "open",
    });
    for (field, value) in change.as_object().expect("an object") {
        document[field] = value.clone();
    }
    let hook = Fault::run(move || {
        primero.staff("caseworker_testina").register(document.clone());
    });
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), hook);
}

#[tokio::test]
async fn a_new_case_goes_open_to_the_intake_user_with_one_service() {
    let world = World::new().await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let case = world.case_of(PERSON);
    assert_eq!(case, id_to_be(&world));
    let document = world.stage.primero.case(case).unwrap();
    let told = ["status", "module_id", "owned_by", "sex", "date_of_birth", "age", "name_first", "name_last", "unhcr_id_no"];
    assert_eq!(
        told.map(|field| document[field].clone()),
        [
            json!("open"),
            json!("primeromodule-cp"),
            json!("intake"),
            json!("female"),
            json!("2014-05-06"),
            json!(11),
            json!("Testina"),
            json!("Examplename"),
            json!("989-TESTGROUP"),
        ]
    );
    let service = &world.stage.primero.services(case)[0];
    let told =
        ["service_type", "unhcr_referral_status", "service_referral", "service_implementing_agency", "service_referral_notes"];
    assert_eq!(
        told.map(|field| service[field].clone()),
        ["alternative_care", "pending", "external_referral", "UNICEF", "An invented note."].map(|text| json!(text))
    );
    world.end().await;
}

#[tokio::test]
async fn several_rows_of_one_number_are_one_service_and_all_languages() {
    let world = World::new().await;
    let speaks = |language: &str| json!({"languages.progres_languagecodeid": {"Name": language}});
    let rows = ["Nuer", "Amharic", "Zande", "Nuer"].map(|language| intervention(NUMBER, speaks(language)));
    world.refer(json!(rows)).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.services(case).len(), 1);
    assert_eq!(world.stage.primero.case(case).unwrap()["language"], json!(["language2", "language5", "language6"]));
    world.end().await;
}

#[tokio::test]
async fn a_new_case_takes_the_case_id_that_dtp_gives_if_it_is_a_uuid() {
    let given = Uuid::new_v4().to_string();
    for (case_id, taken) in [(given.as_str(), true), ("ETH-0001", false)] {
        let world = World::new().await;
        world.refer(json!([intervention(NUMBER, json!({"progres_primeroid": case_id}))])).await;
        let document = world.stage.primero.case(world.case_of(PERSON)).unwrap();
        assert_eq!(document["case_id"] == json!(case_id), taken);
        world.end().await;
    }
}

#[tokio::test]
async fn a_lost_answer_after_the_effect_creates_nothing_twice() {
    for fault in
        [Fault::cut().after_effect(), Fault::truncated(), Fault::html_page().after_effect(), Fault::status(502).after_effect()]
    {
        let world = World::new().await;
        world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), fault);
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        world.pass(MINUTE).await;
        let case = world.case_of(PERSON);
        assert_eq!(world.stage.primero.services(case).len(), 1);
        assert_eq!(world.stage.primero.saves(case), 1);
        assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
        world.end().await;
    }
}

#[tokio::test]
async fn a_lost_answer_and_a_lost_look_after_it_create_nothing_twice() {
    let world = World::new().await;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
    faults.plant(Rule::on(Endpoint::GetCase).once(), Fault::status(500));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.pass(MINUTE).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.services(case).len(), 1);
    assert_eq!(world.stage.primero.saves(case), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn a_write_that_never_arrived_is_made_again() {
    let world = World::new().await;
    let planted = world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut());
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(planted.met(), 1);
    assert_eq!(world.cases_of(PERSON).len(), 0);
    world.pass(MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn a_time_out_after_the_effect_creates_nothing_twice() {
    let world = World::with(&[("REFERRALD__PRIMERO__TIMEOUT", "2s")]).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::hold(&gate).after_effect());
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    gate.open();
    world.pass(MINUTE).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.saves(case), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn a_case_under_our_id_with_our_number_goes_on_as_the_one_case() {
    let world = World::new().await;
    make_meanwhile(&world, json!({}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.services(case).len(), 1);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.lines().iter().find_map(|line| line.new_case), Some(false));
    world.end().await;
}

#[tokio::test]
async fn a_case_under_our_id_that_is_not_ours_is_held() {
    for (change, reason) in [
        (json!({"unhcr_individual_no": "989-TEST0002"}), "held identifiers_differ"),
        (json!({"record_state": false}), "held case_out_of_reach"),
        (json!({"module_id": GENDER_BASED_VIOLENCE}), "held case_out_of_reach"),
    ] {
        let world = World::new().await;
        make_meanwhile(&world, change);
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.list(), [reason]);
        assert_eq!(world.stage.primero.services(id_to_be(&world)).len(), 0);
        assert_eq!(world.told_dtp(), Vec::<Value>::new());
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn a_case_under_our_id_that_we_may_not_read_is_held() {
    let world = World::new().await;
    make_meanwhile(&world, json!({}));
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).once(), Fault::status(403));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held case_out_of_reach"]);
    assert_eq!(world.events(), ["received", "held case_out_of_reach"], "one case out of reach blocks nobody");
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_case_id_that_a_case_out_of_sight_holds_is_held() {
    let world = World::new().await;
    let case_id = Uuid::new_v4().to_string();
    world.register(json!({"case_id": case_id, "module_id": GENDER_BASED_VIOLENCE, "unhcr_individual_no": "989-TEST0002"}));
    world.refer(json!([intervention(NUMBER, json!({"progres_primeroid": case_id}))])).await;
    assert_eq!(world.list(), ["held case_out_of_reach"]);
    assert_eq!(world.cases_of(PERSON).len(), 0);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.end_unsettled().await;
}

#[tokio::test]
async fn two_interventions_for_one_new_person_at_once_give_one_case_with_two_services() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase), Fault::hold(&gate));
    let body = json!({
        "request_type": "PrimeroOutgoingReferral",
        "interventions": [intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", json!({}))],
    });
    world.post(&body).await;
    gate.arrived(1).await;
    gate.open();
    world.settle().await;
    let log = world.stage.primero.log();
    assert_eq!((log.count(Endpoint::CreateCase), log.count(Endpoint::PatchCase)), (1, 1), "the second came after the first");
    let case = world.case_of(PERSON);
    assert_eq!(world.stage.primero.services(case).len(), 2);
    let mut told = world.told_dtp();
    told.sort_by_key(|body| body["progres_interventionnumber"].to_string());
    assert_eq!(told, [delivered(&world, NUMBER, case), delivered(&world, "989-26-TEST-0002", case)]);
    world.end().await;
}
