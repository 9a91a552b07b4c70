//! The second programme: an intake user for each agency, other fields and words, fewer fields for one service.

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral},
    },
};
use serde_json::{Value, json};

use crate::world::{PERSON, World, intervention};

const NUMBER: &str = "989-26-TEST-0000101";

fn asked_by(agency: &str, change: Value) -> Value {
    let mut row = intervention(NUMBER, json!({ "user.progres_partner": { "Name": agency } }));
    for (key, value) in change.as_object().expect("an object") {
        row[key] = value.clone();
    }
    row
}

#[tokio::test]
async fn each_agency_has_its_own_intake_user_and_unhcr_hears_which() {
    let world = World::of("dadaab").await;
    world.refer(json!([asked_by("Save the Children", json!({}))])).await;
    let case = world.stage.primero.case(world.case_of(PERSON)).expect("there is a case");
    assert_eq!(case["owned_by"], "save_the_children_intake");
    assert_eq!(world.told_dtp()[0]["primero_user"], "save_the_children_intake");
    let other = json!({ "progres_interventionnumber": "989-26-TEST-0000102", "individuals.progres_id": "989-TEST0102", "user.progres_partner": null });
    world.refer(json!([asked_by("", other)])).await;
    let case = world.stage.primero.case(world.case_of("989-TEST0102")).expect("there is a case");
    assert_eq!(case["owned_by"], "plan_international_intake");
    assert_eq!(world.told_dtp()[1]["primero_user"], "plan_international_intake");
    world.end().await;
}

#[tokio::test]
async fn an_agency_that_has_not_signed_gets_nothing_in_and_is_told_why() {
    let world = World::of("dadaab").await;
    world.refer(json!([asked_by("An agency that has not signed", json!({}))])).await;
    assert_eq!(world.cases_of(PERSON).len(), 0);
    let told = &world.told_dtp()[0];
    assert_eq!(told["status"], "Delivery Fail");
    assert!(told["closure_reason"].as_str().expect("a text").starts_with("L'agence qui fait la demande n'a pas signé"), "{told}");
    world.end().await;
}

#[tokio::test]
async fn an_agency_that_has_not_signed_shares_nothing() {
    let world = World::of("dadaab").await;
    world.stage.primero.change_user(CASE_WORKER, |user| user.agency("unicef"));
    let (_, _, _) = refer(&world, "alternative_care", &world.stage.site.consent.clone());
    world.walk(Walk::Referrals).await;
    assert_eq!((world.sent_to_dtp().len(), world.list()), (0, vec!["withheld agency_not_signed".to_owned()]));
    world.end().await;
}

/// A child whom a case worker referred to UNHCR.
fn refer(world: &World, service_type: &str, consent: &[String]) -> (uuid::Uuid, uuid::Uuid, uuid::Uuid) {
    let staff = world.stage.primero.staff(CASE_WORKER);
    let mut document = json!({
        "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": PERSON, "unhcr_id_no": "989-TESTGROUP", "status": "open", "owned_by": CASE_WORKER,
        "contact_phone": "+254 000 000 001",
    });
    for field in consent {
        document[field] = json!(true);
    }
    let case = staff.register(document);
    let service = staff.add_service(case, json!({ "service_type": service_type, "service_implementing_agency": "UNHCR" }));
    let recipient = &world.stage.site.recipients[0];
    let referral = staff.refer(case, NewReferral::to(recipient).for_service(service_type, &service.to_string()));
    (case, service, referral.expect("it may be referred"))
}

#[tokio::test]
async fn a_feedback_that_reads_the_service_waits_while_primero_has_another_door() {
    let world = World::of("dadaab").await;
    world.stage.dtp.go_down().await;
    world.refer(json!([asked_by("Save the Children", json!({}))])).await;
    // Not for ever: a feedback that asks without a pause shows in the count.
    let page = Fault::answer(404, "text/html", "<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>");
    let moved = world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).times(50), page);
    world.stage.dtp.come_up().await.expect("DTP comes up");
    for _ in 0..6 {
        world.pass(Duration::from_secs(10 * 60)).await;
    }
    assert!((1..=7).contains(&moved.met()), "asked {} times in an hour", moved.met());
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    moved.pull();
    world.pass(Duration::from_secs(60 * 60)).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn every_field_of_consent_that_the_programme_asks_is_asked() {
    let world = World::of("dadaab").await;
    let (case, _, _) =
        refer(&world, "alternative_care", &["consent_for_services".to_owned(), "disclosure_other_orgs".to_owned()]);
    world.walk(Walk::Referrals).await;
    assert_eq!((world.sent_to_dtp().len(), world.list()), (0, vec!["withheld consent_missing".to_owned()]));
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "consent_share_with_unhcr": true }));
    world.walk(Walk::Referrals).await;
    let sent = world.sent_to_dtp();
    assert_eq!((sent.len(), &sent[0]["telephone_current"]), (1, &json!("+254 000 000 001")), "the field has another name here");
    assert_eq!(sent[0]["service_implementing_agency"], "Plan International");
    world.end().await;
}

#[tokio::test]
async fn for_some_services_fewer_fields_are_exchanged() {
    let world = World::of("dadaab").await;
    let consent = world.stage.site.consent.clone();
    refer(&world, "education_service", &consent);
    world.walk(Walk::Referrals).await;
    let keys: Vec<String> = world.sent_to_dtp()[0].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(
        keys,
        ["id", "owned_by_agency_id", "request_type", "service_implementing_agency", "service_type", "unhcr_individual_no"]
    );
    world.end().await;
}

#[tokio::test]
async fn what_the_mapping_does_not_name_reaches_neither_primero_nor_the_state() {
    let world = World::of("dadaab").await;
    let marked = "Unmistakable-Zanzibar";
    // Named by no row; and named by rows that the profile of this service does not have.
    let change = json!({
        "interventiontype.progres_description": "Education", "progres_comments_nonrestrictedstore": marked,
        "individuals.progres_givenname": marked, "individuals.progres_primaryphonenumber": marked,
    });
    world.stage.primero.go_down().await;
    world.refer(json!([asked_by("Save the Children", change)])).await;
    let waiting = world.unsettled();
    assert_eq!(waiting.len(), 1);
    let parcel = world.daemon().programme().spool.read(|reading| reading.parcel(&waiting[0])).expect("the state can be read");
    let parcel = String::from_utf8(parcel.expect("there is a parcel").reveal().to_vec()).expect("it is text");
    assert!(parcel.contains(NUMBER) && !parcel.contains(marked), "what nobody reads is not kept");
    assert!(!parcel.contains("givenname") && !parcel.contains("nonrestrictedstore"));
    world.stage.primero.come_up().await.expect("Primero comes up");
    world.pass(Duration::from_secs(60)).await;
    let case = world.stage.primero.case(world.case_of(PERSON)).expect("there is a case");
    assert!(!json!(case).to_string().contains(marked));
    assert_eq!(case.get("name_first"), None);
    assert_eq!(world.stage.dtp.bodies(Endpoint::DtpDecision).len(), 1);
    world.end().await;
}
