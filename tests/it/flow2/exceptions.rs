//! Exceptions and restrictions: held until a person decides, and never let go by the program on its own.

use referrald::{
    activity::{Basis, Event},
    referral::{Errand, State, Walk},
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
    spool::operator::Ground,
};
use serde_json::json;

use super::{DAY, HOUR, MINUTE, child_referred, referred_by_exception, sendings, sent_ids, service};
use crate::world::World;

/// What a person does who lets the one held referral go.
async fn release(world: &World, basis: Basis) {
    let mut held = sendings(world).remove(0);
    assert_eq!(held.state, State::Held);
    (held.basis, held.due) = (Some(basis), world.clock.now());
    world.daemon().programme().spool.write(move |tx| tx.store_references(&held)).await.unwrap();
    world.pass(HOUR).await;
}

#[tokio::test]
async fn an_exception_is_held_and_leaves_on_the_ground_that_a_person_gives() {
    for basis in [Basis::VitalInterests, Basis::BestInterests] {
        let world = World::new().await;
        let child = referred_by_exception(&world);
        world.walk(Walk::Referrals).await;
        assert_eq!(world.events(), ["held consent_exception"]);
        assert_eq!(world.list(), ["held consent_exception"]);
        world.pass(HOUR).await;
        assert_eq!(world.events(), ["held consent_exception"], "looked at again, and said once");
        assert_eq!(sent_ids(&world), Vec::<String>::new());

        release(&world, basis).await;
        assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
        let line = world.lines().into_iter().find(|line| line.event == Event::Delivered).unwrap();
        assert_eq!(line.basis, Some(basis));
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn a_released_exception_is_judged_afresh() {
    let world = World::new().await;
    let child = referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).edit_service(child.case, child.service, json!({ "service_type": "shelter" }));
    release(&world, Basis::VitalInterests).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["withheld service_type_not_listed"]);
    world.end().await;
}

#[tokio::test]
async fn an_exception_that_nobody_decides_is_stopped_in_time() {
    let world = World::new().await;
    referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    for _ in 0..4 {
        world.pass(DAY).await;
    }
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["stopped not_sent_in_time"]);
    let told = referrald::standing::listed::listed(&world.entries()[0]);
    assert!(told.to_do.starts_with("Use the manual procedure."), "it never left: {told:?}");
    world.end().await;
}

#[tokio::test]
async fn with_exception_send_it_leaves_and_says_so() {
    let world = World::with(&[("REFERRALD__CONSENT__EXCEPTION", "send")]).await;
    let child = referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    let line = world.lines().into_iter().find(|line| line.event == Event::Delivered).unwrap();
    assert_eq!(line.basis, Some(Basis::Exception));
    world.end().await;
}

#[tokio::test]
async fn with_exception_never_it_is_withheld() {
    let world = World::with(&[("REFERRALD__CONSENT__EXCEPTION", "never")]).await;
    referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["withheld consent_missing"]);
    world.end().await;
}

#[tokio::test]
async fn the_program_never_marks_a_referral_as_an_exception() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit(child.case, json!({ "consent_for_services": false }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.stage.primero.referral(child.referral).unwrap()["consent_overridden"], false);
    world.end().await;
}

#[tokio::test]
async fn a_recorded_restriction_holds_a_referral_until_it_is_gone() {
    let world = World::with(&[("REFERRALD__CONSENT__HOLD_IF_SET", "disclosure_deny_details")]).await;
    let child = child_referred(&world, json!({ "disclosure_deny_details": "An invented wish." }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["held restriction_recorded"]);
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());

    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "disclosure_deny_details": null }));
    world.pass(31 * MINUTE).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_held_referral_that_is_revoked_is_not_needed() {
    let world = World::new().await;
    let child = referred_by_exception(&world);
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.pass(HOUR).await;
    assert_eq!(world.events(), ["held consent_exception", "not_needed not_in_progress"]);
    assert_eq!(world.list(), Vec::<String>::new());
    assert!(!world.unsettled().iter().any(|left| left.errand == Errand::SendReferral));
    world.end().await;
}

#[tokio::test]
async fn what_a_person_has_let_go_is_not_held_again_when_it_is_tried_again() {
    for comes_up in [true, false] {
        let world = World::new().await;
        let child = referred_by_exception(&world);
        world.walk(Walk::Referrals).await;
        world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
        let spool = &world.daemon().programme().spool;
        let held = sendings(&world).remove(0).id;
        let release = spool.operate(move |tx| tx.release(held, Ground::VitalInterests, "focal_point", "a test"));
        release.await.unwrap();
        world.settle().await;
        assert_eq!(sent_ids(&world).len(), 1);
        world.stage.dtp.go_down().await;
        for _ in 0..4 {
            world.pass(18 * HOUR).await;
        }
        assert_eq!(world.list(), ["stopped not_sent_in_time"]);
        if comes_up {
            world.stage.dtp.come_up().await.unwrap();
        }

        spool.operate(move |tx| tx.retry(held, "a test")).await.unwrap();
        world.pass(HOUR).await;
        world.pass(DAY).await;
        assert_eq!(sent_ids(&world), vec![child.outgoing(&world); 1 + usize::from(comes_up)]);
        let told: Vec<_> =
            world.list().into_iter().filter(|entry| entry.starts_with("held") || entry.starts_with("withdrawn")).collect();
        assert_eq!(told, Vec::<String>::new());
        let by: Vec<String> = world
            .database()
            .prepare("SELECT released_by FROM deliveries WHERE errand = 'send_referral'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(by, ["focal_point"; 2]);
        world.end_whatever().await;
    }
}

#[tokio::test]
async fn an_exception_that_may_have_left_and_may_not_leave_any_more_was_not_withdrawn() {
    let mut world = World::with(&[("REFERRALD__CONSENT__EXCEPTION", "send")]).await;
    referred_by_exception(&world);
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    world.walk(Walk::Referrals).await;
    world.restart_with(&[("REFERRALD__CONSENT__EXCEPTION", "never")]).await;
    world.pass(MINUTE).await;
    world.pass(DAY).await;
    assert_eq!(sent_ids(&world).len(), 1);
    assert_eq!(world.list(), ["withheld consent_missing"]);
    world.end().await;
}

#[tokio::test]
async fn exceptions_that_were_leaving_in_a_crash_are_not_withdrawn_for_want_of_consent() {
    let mut world = World::with(&[("REFERRALD__CONSENT__EXCEPTION", "send")]).await;
    let case = referred_by_exception(&world).case;
    let staff = world.stage.primero.staff(CASE_WORKER);
    let second = staff.add_service(case, service(json!({ "service_type": "food" })));
    staff.refer(case, NewReferral::to(UNHCR).for_service("food", &second.to_string()).overriding_consent()).unwrap();
    // The first leaves with the look, the second as an errand of its own: what is on disk of it is only that it may have left.
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral), Fault::hold(&gate));
    world.try_walk(Walk::Referrals).await.unwrap();
    gate.arrived(2).await;
    world.abandon().await;
    world.stage.dtp.faults().clear();
    let fault = world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    world.start().await;
    world.settle().await;
    fault.pull();

    world.clock.advance(std::time::Duration::from_secs(1));
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(HOUR).await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert!(!world.heard(Event::WithdrawnAfterSend));
    world.end().await;
}
