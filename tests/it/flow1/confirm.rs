//! Nobody is told "delivered" before it is seen to be: the case is read again after every write.

use std::time::Duration;

use referrald::{
    referral::Errand,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{BRIDGE_ROLE, Role},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NEUTRAL, NUMBER, delivered, failed};
use crate::world::{PERSON, World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The role of the bridge, as it is before a test changes it.
fn full_role(world: &World) -> Role {
    let mut role = None;
    world.stage.primero.change_role(BRIDGE_ROLE, |known| {
        role = Some(known.clone());
        known
    });
    role.expect("the bridge has a role")
}

fn service(world: &World, case: Uuid) -> Value {
    let services = world.stage.primero.services(case);
    assert_eq!(services.len(), 1);
    Value::Object(services[0].clone())
}

fn service_id(world: &World, case: Uuid) -> Uuid {
    service(world, case)["unique_id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_field_that_is_empty_after_our_own_write_blocks_primero_until_it_is_writable() {
    for field in ["progres_interventionnumber", "service_type", "unhcr_referral_status"] {
        let world = World::new().await;
        let case = world.register(json!({}));
        let role = full_role(&world);
        world.stage.primero.put_role(role.clone().cannot_write(&format!("services_section.{field}")));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.events(), ["received", "blocked fields_not_writable"]);
        assert_eq!(world.told_dtp(), Vec::<Value>::new(), "it is not told as delivered");

        // Only what was written already may probe.
        world.refer(json!([intervention("989-26-TEST-0002", json!({}))])).await;
        world.pass(10 * MINUTE).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new());
        assert_eq!(world.stage.primero.services(case).len(), 1, "the second one has not been attempted");

        world.stage.primero.put_role(role);
        world.pass(60 * MINUTE).await;
        let services = world.stage.primero.services(case);
        assert_eq!(services.len(), 2);
        for service in &services {
            assert_eq!(service["service_type"], "alternative_care");
            assert_eq!(service["unhcr_referral_status"], "pending");
        }
        let numbers = [&services[0], &services[1]].map(|service| service["progres_interventionnumber"].clone());
        assert_eq!(numbers, [NUMBER, "989-26-TEST-0002"]);
        assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case), delivered(&world, "989-26-TEST-0002", case)]);
        world.end().await;
    }
}

#[tokio::test]
async fn a_service_that_is_there_gets_the_keys_it_lacks_and_nothing_else() {
    let world = World::new().await;
    let item = json!({"progres_interventionnumber": NUMBER, "service_referral_notes": "Entered by hand."});
    let case = world.register(json!({}));
    let id = world.stage.primero.staff("caseworker_testina").add_service(case, item);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let service = service(&world, case);
    assert_eq!(service["unique_id"], id.to_string());
    assert_eq!(service["service_type"], "alternative_care");
    assert_eq!(service["unhcr_referral_status"], "pending");
    assert_eq!(service["service_referral_notes"], "Entered by hand.");
    assert_eq!(service.get("service_request_title"), None);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn a_service_of_ours_that_is_there_is_not_written_again() {
    let world = World::new().await;
    let item =
        json!({"progres_interventionnumber": NUMBER, "service_type": "alternative_care", "unhcr_referral_status": "pending"});
    let case = world.register(json!({"status": "closed"}));
    world.stage.primero.staff("caseworker_testina").add_service(case, item);
    let saves = world.stage.primero.saves(case);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.stage.primero.saves(case), saves);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    world.end().await;
}

#[tokio::test]
async fn what_staff_changed_before_we_looked_is_delivered_and_told_and_stays() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let primero = world.stage.primero.clone();
    let hook = Fault::run(move || {
        let service = primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
        let change = json!({"unhcr_referral_status": "accepted", "service_type": "food"});
        primero.staff("caseworker_testina").edit_service(case, service, change);
    });
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).once(), hook);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let service = service(&world, case);
    assert_eq!((&service["unhcr_referral_status"], &service["service_type"]), (&json!("accepted"), &json!("food")));
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), ["differs differs"]);
    assert_eq!(world.entries()[0].fields, ["service_type", "unhcr_referral_status"]);
    assert_eq!(world.events(), ["received", "delivered", "differs differs", "feedback_sent"]);
    world.end().await;
}

/// A case worker had the case open while we wrote, and saves it as it was, so many times.
fn stale_saves(world: &World, case: Uuid, times: usize) {
    let primero = world.stage.primero.clone();
    let form = primero.staff("caseworker_testina").open(case);
    let hook = Fault::run(move || primero.staff("caseworker_testina").save(form.clone()));
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).naming(case.to_string()).times(times), hook);
}

#[tokio::test]
async fn a_service_that_a_stale_save_erased_is_written_again() {
    let world = World::new().await;
    let case = world.register(json!({}));
    stale_saves(&world, case, 1);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(service(&world, case)["progres_interventionnumber"], NUMBER);
    assert_eq!(world.stage.primero.log().count(Endpoint::PatchCase), 2);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_service_that_is_gone_twice_is_held_and_not_written_a_third_time() {
    let world = World::new().await;
    let case = world.register(json!({}));
    stale_saves(&world, case, 2);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["held unconfirmed"]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    let patched = || world.stage.primero.log().count(Endpoint::PatchCase);
    assert_eq!(patched(), 2);
    // Somebody may have taken it away on purpose: looking again writes nothing.
    for _ in 0..3 {
        world.pass(30 * MINUTE).await;
    }
    assert_eq!(patched(), 2);
    assert_eq!(world.list(), ["held unconfirmed"]);
    world.pass(DAY).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, NEUTRAL)], "nothing of ours stands, and that was seen");
    world.end().await;
}

#[tokio::test]
async fn a_service_that_was_gone_twice_is_not_written_again_because_primero_was_sick_in_between() {
    let world = World::new().await;
    let case = world.register(json!({}));
    stale_saves(&world, case, 2);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let patched = || world.stage.primero.log().count(Endpoint::PatchCase);
    assert_eq!(patched(), 2);
    let sick = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::status(502));
    world.pass(30 * MINUTE).await;
    assert_eq!(sick.met(), 1);
    world.pass(30 * MINUTE).await;
    assert_eq!(patched(), 2, "only a person has it written once more");
    assert_eq!(world.list(), ["held unconfirmed"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_case_that_is_not_found_when_it_is_read_again_is_never_told_as_failed() {
    let world = World::new().await;
    let case = world.register(json!({}));
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::status(404));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    for _ in 0..4 {
        world.pass(DAY).await;
    }
    assert_eq!(world.stage.primero.services(case).len(), 1, "it stands there, although it is not shown");
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.list(), ["held unconfirmed", "late unconfirmed"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_service_that_was_gone_twice_and_stands_again_is_delivered() {
    let world = World::new().await;
    let case = world.register(json!({}));
    stale_saves(&world, case, 2);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let item =
        json!({"progres_interventionnumber": NUMBER, "service_type": "alternative_care", "unhcr_referral_status": "pending"});
    world.stage.primero.staff("caseworker_testina").add_service(case, item);
    world.pass(30 * MINUTE).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn other_fields_that_did_not_stick_are_delivered_and_named() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let role = full_role(&world)
        .cannot_write("services_section.service_request_title")
        .cannot_write("services_section.service_referral_notes");
    world.stage.primero.put_role(role);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), ["not_stored not_stored"]);
    assert_eq!(world.entries()[0].fields, ["service_referral_notes", "service_request_title"]);
    world.end().await;
}

#[tokio::test]
async fn fields_of_a_new_case_that_did_not_stick_are_named() {
    let world = World::new().await;
    world.stage.primero.put_role(full_role(&world).cannot_write("name_middle").cannot_write("telephone_current"));
    let more = json!({"individuals.progres_middlename": "Middle", "individuals.progres_primaryphonenumber": "+251000000009"});
    world.refer(json!([intervention(NUMBER, more)])).await;
    assert_eq!(world.list(), ["not_stored not_stored"]);
    assert_eq!(world.entries()[0].fields, ["name_middle", "telephone_current"]);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, world.case_of(PERSON))]);
    world.end().await;
}

#[tokio::test]
async fn an_unknown_intake_user_leaves_no_owner_and_that_is_named() {
    let world = World::with(&[("REFERRALD__PRIMERO__INTAKE_USER", "nobody")]).await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["not_stored not_stored"]);
    assert_eq!(world.entries()[0].fields, ["owned_by"]);
    world.end().await;
}

#[tokio::test]
async fn identity_values_that_differ_are_named_and_nothing_is_overwritten() {
    let world = World::new().await;
    let change = json!({"name_last": "Otherwise", "date_of_birth": "2015-05-06", "unhcr_id_no": "989-OTHERGROUP"});
    let case = world.register(change);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let document = world.stage.primero.case(case).unwrap();
    let kept = ["name_last", "date_of_birth", "unhcr_id_no"].map(|field| document[field].clone());
    assert_eq!(kept, ["Otherwise", "2015-05-06", "989-OTHERGROUP"].map(|text| json!(text)));
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.list(), ["differs differs"]);
    assert_eq!(world.entries()[0].fields, ["unhcr_id_no", "date_of_birth", "name_last"]);
    world.end().await;
}

#[tokio::test]
async fn a_look_after_the_write_that_fails_is_later_and_writes_nothing_again() {
    for fault in [Fault::html_page(), Fault::truncated(), Fault::cut(), Fault::status(503)] {
        let world = World::new().await;
        let case = world.register(json!({}));
        world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).once(), fault);
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new());
        let left: Vec<_> = world.unsettled().iter().map(|left| (left.errand, left.may_have_acted)).collect();
        assert_eq!(left, [(Errand::OpenIntervention, true)]);
        world.pass(MINUTE).await;
        assert_eq!(world.stage.primero.log().count(Endpoint::PatchCase), 1);
        assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
        world.end().await;
    }
}

#[tokio::test]
async fn what_was_delivered_and_is_deleted_later_is_not_revived() {
    let world = World::new().await;
    let case = world.register(json!({}));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.stage.primero.staff("caseworker_testina").delete_service(case, service_id(&world, case));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(DAY).await;
    assert_eq!(world.stage.primero.services(case).len(), 0);
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}
