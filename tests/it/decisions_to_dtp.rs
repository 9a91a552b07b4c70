//! Decisions made in Primero about UNHCR's referrals: DTP hears each of them, as it stands at the moment of sending.

mod last_word;

use std::time::Duration;

use referrald::{
    activity::Event,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        primero::{CASE_WORKER, GENDER_BASED_VIOLENCE, INTAKE},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{PERSON, World, intervention};

const NUMBER: &str = "989-26-TEST-0001";
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A child that UNHCR referred: case and service. What DTP heard of that is forgotten.
async fn child_from_unhcr(world: &World) -> (Uuid, Uuid) {
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let case = world.case_of(PERSON);
    let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
    world.stage.dtp.clear();
    world.forget();
    (case, service)
}

/// The case worker sets the status of a service; some time passes before it.
fn decide(world: &World, (case, service): (Uuid, Uuid), status: &str) {
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit_service(case, service, json!({ "unhcr_referral_status": status }));
}

/// A service that carries a decision about a number.
fn decided(number: &str, status: &str) -> Value {
    json!({
        "service_type": "alternative_care", "service_referral": "external_referral",
        "progres_interventionnumber": number, "unhcr_referral_status": status,
    })
}

/// The statuses that DTP has heard, in order.
fn statuses(world: &World) -> Vec<String> {
    world.told_dtp().iter().map(|message| message["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_accepted_referral_is_acknowledged_once() {
    let mut world = World::new().await;
    let child = child_from_unhcr(&world).await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    let case_id = world.stage.primero.case(child.0).unwrap()["case_id"].clone();
    let expected = json!({
        "case_id": case_id,
        "primero_user": INTAKE,
        "progres_interventionnumber": NUMBER,
        "status": "acknowledged",
        "closure_reason": "No reason specified.",
        "request_type": "ReceiveDecisionOutgoingReferral",
    });
    assert_eq!(world.told_dtp(), [expected]);
    assert_eq!(world.events(), ["delivered"]);

    world.walk(Walk::Decisions).await;
    world.restart_with(&[]).await;
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_rejection_carries_its_reason_and_the_owner_of_the_case() {
    let world = World::new().await;
    let (case, service) = child_from_unhcr(&world).await;
    world.clock.advance(HOUR);
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit(case, json!({ "owned_by": CASE_WORKER }));
    let rejected = json!({ "unhcr_referral_status": "rejected", "unhcr_referral_rejection_reason": "An invented reason." });
    staff.edit_service(case, service, rejected);
    world.walk(Walk::Decisions).await;
    assert_eq!(
        world.told_dtp(),
        [json!({
            "case_id": world.stage.primero.case(case).unwrap()["case_id"],
            "primero_user": CASE_WORKER,
            "progres_interventionnumber": NUMBER,
            "status": "rejected",
            "closure_reason": "An invented reason.",
            "request_type": "ReceiveDecisionOutgoingReferral",
        })]
    );
    world.end().await;
}

#[tokio::test]
async fn a_rejection_without_reason_says_so() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    decide(&world, child, "rejected");
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp()[0]["closure_reason"], "No reason specified.");
    assert_eq!(statuses(&world), ["rejected"]);
    world.end().await;
}

#[tokio::test]
async fn a_pending_referral_and_a_service_of_our_own_are_no_decisions() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.add_service(case, decided("989-26-TEST-0001", "pending"));
    let mut internal = decided("989-26-TEST-0002", "accepted");
    internal["service_referral"] = json!("internal_referral");
    staff.add_service(case, internal);
    let mut unnumbered = decided("", "accepted");
    unnumbered["progres_interventionnumber"] = Value::Null;
    staff.add_service(case, unnumbered);
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.events(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_decision_changed_twice_is_reported_three_times_if_there_was_time_between() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    for status in ["accepted", "rejected", "accepted"] {
        decide(&world, child, status);
        world.walk(Walk::Decisions).await;
    }
    assert_eq!(statuses(&world), ["acknowledged", "rejected", "acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn without_time_between_only_the_last_status_is_reported() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.go_down().await;
    for status in ["accepted", "rejected", "accepted", "rejected"] {
        decide(&world, child, status);
        world.settle().await;
        world.walk(Walk::Decisions).await;
        assert_eq!(world.unsettled().len(), 1, "one open errand for a number");
    }
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["rejected"]);
    world.end().await;
}

#[tokio::test]
async fn a_decision_changed_while_it_was_being_reported_is_reported_too() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::hold(&gate));
    decide(&world, child, "accepted");
    world.try_walk(Walk::Decisions).await.unwrap();
    gate.arrived(1).await;
    decide(&world, child, "rejected");
    let walked = world.try_walk(Walk::Decisions).await.unwrap();
    assert_eq!(walked.looks.len(), 1);
    gate.open();
    world.settle().await;
    assert_eq!(statuses(&world), ["acknowledged", "rejected"]);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_longer_a_decision_is_not_needed() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.go_down().await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    decide(&world, child, "pending");
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert!(world.events().contains(&"not_needed no_longer_a_decision".to_owned()), "{:?}", world.events());
    world.end().await;
}

#[tokio::test]
async fn a_case_disabled_or_moved_before_the_report_tells_nothing() {
    for change in [json!({ "record_state": false }), json!({ "module_id": GENDER_BASED_VIOLENCE })] {
        let world = World::new().await;
        let child = child_from_unhcr(&world).await;
        world.stage.dtp.go_down().await;
        decide(&world, child, "accepted");
        world.walk(Walk::Decisions).await;
        world.stage.primero.staff(CASE_WORKER).edit(child.0, change);
        world.stage.dtp.come_up().await.unwrap();
        world.pass(HOUR).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn what_dtp_has_already_is_not_needed() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    world.stage.dtp.go_down().await;
    decide(&world, child, "rejected");
    world.walk(Walk::Decisions).await;
    decide(&world, child, "accepted");
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    assert!(world.events().contains(&"not_needed already_reported".to_owned()), "{:?}", world.events());
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_repeats_the_report() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::cut().after_effect());
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    world.pass(MINUTE).await;
    assert_eq!(statuses(&world), ["acknowledged", "acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn one_number_on_two_services_with_different_statuses_is_a_conflict() {
    for other in ["rejected", "pending"] {
        let world = World::new().await;
        let case = world.register(json!({}));
        let staff = world.stage.primero.staff(CASE_WORKER);
        staff.add_service(case, decided(NUMBER, "accepted"));
        staff.add_service(case, decided(NUMBER, other));
        world.walk(Walk::Decisions).await;
        world.clock.advance(HOUR);
        staff.edit(case, json!({ "name_nickname": "Later" }));
        world.walk(Walk::Decisions).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new());
        assert_eq!(world.events(), ["conflict conflict"], "said once");
        assert_eq!(world.list(), ["conflict conflict"]);
        world.end().await;
    }
}

#[tokio::test]
async fn one_number_on_two_services_with_one_status_is_one_decision() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.add_service(case, decided(NUMBER, "accepted"));
    staff.add_service(case, decided(NUMBER, "accepted"));
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn services_that_come_to_differ_before_the_report_are_a_conflict() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.go_down().await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    world.stage.primero.staff(CASE_WORKER).add_service(child.0, decided(NUMBER, "rejected"));
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.list(), ["conflict conflict"]);
    world.end().await;
}

#[tokio::test]
async fn a_number_delivered_to_one_case_is_not_heard_from_another() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.clock.advance(HOUR);
    let other = world.register(json!({ "unhcr_individual_no": "989-TEST0002" }));
    world.stage.primero.staff(CASE_WORKER).add_service(other, decided(NUMBER, "rejected"));
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.list(), ["conflict conflict"]);
    assert_eq!(world.events(), ["conflict conflict"], "and no errand was made of it");
    assert_eq!(world.entries()[0].case.as_ref().unwrap().as_str(), crate::flow2::case_id(&world, other));

    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn a_number_that_two_cases_carry_is_heard_from_the_first_only() {
    let world = World::new().await;
    world.stage.dtp.go_down().await;
    let one = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.add_service(one, decided(NUMBER, "accepted"));
    world.walk(Walk::Decisions).await;
    world.clock.advance(HOUR);
    let two = world.register(json!({}));
    staff.add_service(two, decided(NUMBER, "rejected"));
    world.walk(Walk::Decisions).await;
    assert!(world.list().contains(&"conflict conflict".to_owned()), "{:?}", world.list());
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn feedback_goes_before_the_decision_about_its_number_whatever_dtp_does() {
    for status in [500, 503, 429] {
        let world = World::new().await;
        world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).naming("Pending").times(2), Fault::status(status));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        let case = world.case_of(PERSON);
        let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
        world.stage.primero.staff(CASE_WORKER).edit_service(case, service, json!({ "unhcr_referral_status": "accepted" }));
        world.walk(Walk::Decisions).await;
        assert_eq!(statuses(&world), Vec::<String>::new(), "the decision waits behind the feedback");
        world.pass(HOUR).await;
        world.pass(HOUR).await;
        assert_eq!(statuses(&world), ["Pending Acknowledgement", "acknowledged"]);
        world.end().await;
    }
}

#[tokio::test]
async fn different_numbers_do_not_wait_for_each_other() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.add_service(case, decided("989-26-TEST-0001", "accepted"));
    staff.add_service(case, decided("989-26-TEST-0002", "rejected"));
    let rule = Rule::on(Endpoint::DtpDecision).naming("989-26-TEST-0001");
    let fault = world.stage.dtp.faults().plant(rule, Fault::status(500));
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["rejected"]);
    fault.pull();
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["rejected", "acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn a_report_that_dtp_refuses_is_on_the_list() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(422));
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    assert_eq!(world.list(), ["refused refused_by_dtp"]);
    world.end().await;
}

#[tokio::test]
async fn a_late_report_is_told_and_never_given_up() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.dtp.go_down().await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    for _ in 0..10 {
        world.pass(24 * HOUR).await;
    }
    assert!(world.heard(Event::NotDeliveredInTime));
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_decision_in_a_disabled_case_is_as_if_absent() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "record_state": false }));
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.events(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn what_dtp_has_makes_no_errand_when_the_case_changes_otherwise() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    world.forget();
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "name_nickname": "Later" }));
    assert_eq!(world.walk(Walk::Decisions).await.looks.len(), 1);
    assert_eq!(world.events(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn reports_that_dtp_refused_leave_the_list_when_a_later_one_is_taken() {
    let world = World::new().await;
    let child = child_from_unhcr(&world).await;
    let fault = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), Fault::status(400));
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(world.list(), ["refused refused_by_dtp"; 2]);
    fault.pull();
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "name_nickname": "Later still" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["acknowledged"]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
