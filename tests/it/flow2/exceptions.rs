//! Exceptions and restrictions: held until a person decides, and never let go by the program on its own.

use referrald::{
    activity::{Basis, Event},
    referral::{Errand, State, Walk},
    sandbox::primero::CASE_WORKER,
};
use serde_json::json;

use super::{DAY, HOUR, MINUTE, child_referred, referred_by_exception, sendings, sent_ids};
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
