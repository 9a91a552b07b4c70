//! When a system fails: errands wait, are given up in time, and never hold up others.

use referrald::{
    activity::Event,
    referral::{State, Walk},
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, OTHER_CASE_WORKER},
    },
    standing::listed::listed,
};
use serde_json::{Value, json};

use super::{DAY, HOUR, MINUTE, child_referred, refer_service, sendings, sent_ids};
use crate::world::World;

#[tokio::test]
async fn what_was_not_sent_in_time_is_stopped_and_left_alone() {
    let mut world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.stage.dtp.go_down().await;
    world.walk(Walk::Referrals).await;
    for _ in 0..4 {
        world.pass(18 * HOUR).await;
    }
    assert_eq!(world.list(), ["stopped not_sent_in_time"]);
    let stopped = world.entries()[0].delivery.unwrap();
    assert!(world.delivery(stopped).may_have_acted);
    let told = listed(&world.entries()[0]);
    assert!(told.to_do.starts_with("Ask UNHCR first whether it arrived. If not, use the manual procedure"), "{told:?}");

    world.stage.dtp.come_up().await.unwrap();
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    world.restart_with(&[]).await;
    world.pass(DAY).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["stopped not_sent_in_time"]);

    // It may have left, so it is watched.
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.pass(DAY).await;
    assert_eq!(world.list(), ["stopped not_sent_in_time", "withdrawn_after_send referral_revoked"]);
    world.end().await;
}

#[tokio::test]
async fn what_is_due_after_its_time_is_not_sent_even_if_dtp_is_well_again() {
    let world = World::new().await;
    child_referred(&world, json!({}));
    world.stage.dtp.go_down().await;
    world.walk(Walk::Referrals).await;
    world.stage.dtp.come_up().await.unwrap();
    world.pass(3 * DAY).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["stopped not_sent_in_time"]);
    world.end().await;
}

#[tokio::test]
async fn an_unsent_referral_is_late_before_it_is_given_up() {
    let world = World::new().await;
    child_referred(&world, json!({}));
    world.stage.dtp.go_down().await;
    world.walk(Walk::Referrals).await;
    world.pass(4 * HOUR).await;
    assert!(world.heard(Event::NotDeliveredInTime));
    assert_eq!(world.list().len(), 1);
    assert!(world.list()[0].starts_with("late "));
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world).len(), 1);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn what_dtp_refuses_is_on_the_list_and_not_tried_again() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::status(400));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.events(), ["refused refused_by_dtp"]);
    assert_eq!(world.list(), ["refused refused_by_dtp"]);
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    world.pass(DAY).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["refused refused_by_dtp"]);
    // It did not leave, so there is nothing to withdraw.
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.walk(Walk::Referrals).await;
    assert!(!world.heard(Event::WithdrawnAfterSend));
    world.end().await;
}

#[tokio::test]
async fn a_service_type_without_a_word_for_dtp_is_refused_and_told_to_the_operator_only() {
    let world = World::with(&[("REFERRALD__REFERRALS__SERVICE_TYPES", "health_medical_service")]).await;
    let case = world.register(json!({}));
    refer_service(&world, case, json!({ "service_type": "health_medical_service" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["refused cannot_be_mapped"]);
    assert_eq!(world.entries()[0].fields, ["service_type"]);
    assert_eq!(world.stage.dtp.received().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_wrong_subscription_key_blocks_dtp_and_nothing_is_refused() {
    for (status, reason) in [(401, "unauthorized"), (403, "forbidden"), (404, "wrong_url"), (405, "wrong_url")] {
        let world = World::new().await;
        let fault = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral), Fault::status(status));
        let one = child_referred(&world, json!({}));
        world.walk(Walk::Referrals).await;
        world.clock.advance(MINUTE);
        let two = child_referred(&world, json!({}));
        world.walk(Walk::Referrals).await;
        assert_eq!(world.events(), [format!("blocked {reason}")]);
        assert_eq!(fault.met(), 1, "only the first was tried");
        fault.pull();
        world.pass(HOUR).await;
        assert_eq!(sent_ids(&world), [one.outgoing(&world), two.outgoing(&world)]);
        world.end().await;
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let world = World::new().await;
    let fault = Fault::status(429).retry_after("1800");
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), fault);
    child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.pass(29 * MINUTE).await;
    assert_eq!(sent_ids(&world).len(), 0);
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_page_for_people_is_no_success() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::html_page());
    child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sendings(&world).len(), 1);
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_case_that_primero_forbids_does_not_hold_up_the_others() {
    let world = World::new().await;
    let forbidden = child_referred(&world, json!({}));
    let rule = Rule::on(Endpoint::GetCase).naming(forbidden.case.to_string());
    world.stage.primero.faults().plant(rule, Fault::status(403));
    let other = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [other.outgoing(&world)]);
    assert_eq!(world.list(), ["held out_of_scope"]);
    assert!(!world.heard(Event::Blocked), "it is about this case, not about us");
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_case_whose_referrals_primero_can_never_list_does_not_hold_up_the_others() {
    let world = World::new().await;
    let ownerless = child_referred(&world, json!({}));
    let rule = Rule::on(Endpoint::ListReferrals).naming(ownerless.case.to_string());
    world.stage.primero.faults().plant(rule, Fault::status(500));
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(child_referred(&world, json!({})).outgoing(&world));
    }
    world.walk(Walk::Referrals).await;
    let mut sent = sent_ids(&world);
    sent.sort();
    others.sort();
    assert_eq!(sent, others);
    world.pass(5 * HOUR).await;
    assert_eq!(world.list(), ["late server_error"]);
    world.clock.advance(MINUTE);
    let after = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert!(sent_ids(&world).contains(&after.outgoing(&world)));
    assert!(!world.heard(Event::Unwell), "one record makes nobody unwell");
    world.end_unsettled().await;
}

#[tokio::test]
async fn what_a_look_has_let_go_leaves_even_if_it_then_stumbles() {
    let world = World::new().await;
    let one = child_referred(&world, json!({ "owned_by": OTHER_CASE_WORKER }));
    let two = refer_service(&world, one.case, json!({ "service_type": "food" }));
    // Primero does not show the owner, so he is asked for twice; the second time it fails.
    let nobody = r#"{"data":[],"metadata":{"total":0,"per":5,"page":1}}"#;
    let faults = world.stage.primero.faults();
    faults.plant(Rule::on(Endpoint::Users).once(), Fault::answer(200, "application/json; charset=utf-8", nobody));
    faults.plant(Rule::on(Endpoint::Users).skip(1).once(), Fault::status(500));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [one.outgoing(&world)]);
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world), [one.outgoing(&world), two.outgoing(&world)]);
    world.end().await;
}

#[tokio::test]
async fn when_primero_fails_at_the_moment_of_sending_nothing_leaves_unread() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.stage.dtp.go_down().await;
    world.walk(Walk::Referrals).await;
    world.stage.dtp.come_up().await.unwrap();
    let fault = world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::status(502));
    world.pass(HOUR).await;
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    assert_eq!(sendings(&world)[0].state, State::Waiting);
    fault.pull();
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    world.end().await;
}
