//! The last word that DTP has of a number is the decision that stands in Primero: after a lost answer, a change under way, and
//! behind a feedback that comes late.

use referrald::{
    referral::{CaseKey, Decision, Walk},
    sandbox::{Endpoint, Fault, Gate, Rule, primero::CASE_WORKER},
    spool::{Tx, operator::Stopping},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{HOUR, NUMBER, child_from_unhcr, decide, decided, statuses};
use crate::world::{PERSON, World, intervention};

/// The case worker sets the status of a service, and no time passes in which anything is tried again.
fn decide_at_once(world: &World, (case, service): (Uuid, Uuid), status: &str) {
    world.stage.primero.staff(CASE_WORKER).edit_service(case, service, json!({ "unhcr_referral_status": status }));
}

/// As at the cut-over: the decision in this case is taken as known.
async fn take_as_known(world: &World, case: Uuid) {
    let number = NUMBER.parse().unwrap();
    let known = move |tx: &mut Tx<'_>| tx.know_status(&number, Some(CaseKey(case)), Decision::Accepted);
    world.daemon().programme().spool.write(known).await.unwrap();
}

/// A child whose rejection DTP has heard.
async fn child_rejected(world: &World) -> (Uuid, Uuid) {
    let child = child_from_unhcr(world).await;
    decide(world, child, "rejected");
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(world), ["rejected"]);
    child
}

#[tokio::test]
async fn a_decision_changed_back_after_a_lost_answer_is_told_all_the_same() {
    for is_abandoned in [false, true] {
        let mut world = World::new().await;
        let child = child_rejected(&world).await;
        let gate = Gate::closed();
        let (lost, held) = (Fault::cut().after_effect(), Fault::hold(&gate).after_effect());
        world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), if is_abandoned { held } else { lost });
        decide(&world, child, "accepted");
        world.try_walk(Walk::Decisions).await.unwrap();
        if is_abandoned {
            // The process dies while DTP, which has taken it, is about to answer.
            gate.arrived(1).await;
            world.abandon().await;
            gate.open();
        } else {
            world.settle().await;
        }
        assert_eq!(statuses(&world), ["rejected", "acknowledged"]);
        decide_at_once(&world, child, "rejected");
        if is_abandoned {
            world.start().await;
        }
        world.pass(HOUR).await;
        assert_eq!(statuses(&world), ["rejected", "acknowledged", "rejected"], "DTP has what Primero has");
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn a_decision_taken_back_after_a_lost_answer_is_for_a_person() {
    let world = World::new().await;
    let child = child_rejected(&world).await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::cut().after_effect());
    decide(&world, child, "accepted");
    world.walk(Walk::Decisions).await;
    decide_at_once(&world, child, "pending");
    world.pass(HOUR).await;
    assert_eq!(statuses(&world), ["rejected", "acknowledged"]);
    assert_eq!(world.list(), ["conflict conflict"], "DTP may have what no longer stands in Primero");
    // What is decided then is told, whatever DTP has.
    decide(&world, child, "rejected");
    world.walk(Walk::Decisions).await;
    assert_eq!(statuses(&world), ["rejected", "acknowledged", "rejected"]);
    world.end().await;
}

#[tokio::test]
async fn a_decision_changed_back_while_it_was_being_reported_is_told_last() {
    let world = World::new().await;
    let child = child_rejected(&world).await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::hold(&gate));
    decide(&world, child, "accepted");
    world.try_walk(Walk::Decisions).await.unwrap();
    gate.arrived(1).await;
    decide(&world, child, "rejected");
    let walked = world.try_walk(Walk::Decisions).await.unwrap();
    assert_eq!(walked.looks.len(), 1);
    // The look is dropped when it is done.
    let is_open = || world.daemon().programme().spool.read(|reading| reading.delivery(walked.looks[0])).unwrap().is_some();
    while is_open() {
        tokio::task::yield_now().await;
    }
    gate.open();
    world.settle().await;
    assert_eq!(statuses(&world), ["rejected", "acknowledged", "rejected"]);
    world.end().await;
}

#[tokio::test]
async fn a_decision_stays_the_last_word_when_unhcr_posts_again_what_was_entered_by_hand() {
    for is_baseline in [false, true] {
        let world = World::new().await;
        let case = world.register(json!({ "status": "closed" }));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        world.pass(24 * HOUR).await;
        world.stage.primero.staff(CASE_WORKER).add_service(case, decided(NUMBER, "accepted"));
        if is_baseline {
            take_as_known(&world, case).await;
        } else {
            world.walk(Walk::Decisions).await;
        }
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        let heard: &[&str] = if is_baseline { &[] } else { &["acknowledged"] };
        assert_eq!(statuses(&world), [&["Delivery Fail"], heard, &["Pending Acknowledgement", "acknowledged"]].concat());
        world.walk(Walk::Decisions).await;
        assert_eq!(statuses(&world).last().unwrap(), "acknowledged");
        world.end().await;
    }
}

#[tokio::test]
async fn a_decision_stays_the_last_word_when_a_feedback_that_was_refused_is_tried_again() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(400));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    assert_eq!(world.list(), ["refused refused_by_dtp"]);
    let refused = world.entries()[0].id;
    let case = world.case_of(PERSON);
    let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
    decide(&world, (case, service), "accepted");
    world.walk(Walk::Decisions).await;
    world.daemon().programme().spool.operate(move |tx| tx.retry(refused, "tester")).await.unwrap();
    world.settle().await;
    assert_eq!(statuses(&world), ["acknowledged", "Pending Acknowledgement", "acknowledged"]);
    world.end().await;
}

#[tokio::test]
async fn a_decision_stays_the_last_word_when_what_was_held_is_told_as_failed() {
    for is_stopped in [false, true] {
        let world = World::new().await;
        let case = world.register(json!({ "sex": "male" }));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        assert_eq!(world.list(), ["held identity_differs"]);
        let held = world.unsettled()[0].id;
        // Somebody asked for it by telephone, entered it at another child's case, and decided.
        let other = world.register(json!({ "unhcr_individual_no": "989-TEST0002" }));
        world.stage.primero.staff(CASE_WORKER).add_service(other, decided(NUMBER, "accepted"));
        world.walk(Walk::Decisions).await;
        if is_stopped {
            world.daemon().programme().spool.operate(move |tx| tx.stop(held, Stopping::Error, "tester")).await.unwrap();
            world.settle().await;
        } else {
            world.pass(24 * HOUR).await;
        }
        assert_eq!(statuses(&world), ["acknowledged", "Delivery Fail", "acknowledged"]);
        assert_eq!(world.stage.primero.services(case).len(), 0);
        world.end().await;
    }
}

#[tokio::test]
async fn a_failure_is_not_told_after_a_decision_of_a_case_that_nobody_knows_any_more() {
    let world = World::new().await;
    world.register(json!({ "sex": "male" }));
    let other = world.register(json!({ "unhcr_individual_no": "989-TEST0002" }));
    world.stage.primero.staff(CASE_WORKER).add_service(other, decided(NUMBER, "accepted"));
    take_as_known(&world, other).await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(24 * HOUR).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "UNHCR has been told the decision");
    assert_eq!(world.list(), ["conflict conflict"]);
    world.end().await;
}
