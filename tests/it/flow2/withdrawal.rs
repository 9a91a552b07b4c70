//! The withdrawal watch: a referral that left, or may have, and is withdrawn afterwards is told to a person, once.

use std::time::Duration;

use referrald::{
    activity::Event,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        primero::{CASE_WORKER, UNHCR},
    },
    spool::operator::{Stopped, Stopping},
};
use serde_json::json;

use super::{DAY, HOUR, MINUTE, Referred, child_referred, child_whose_referral_waits, sent_ids};
use crate::world::World;

async fn child_sent(world: &World) -> Referred {
    let child = child_referred(world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(world), [child.outgoing(world)]);
    world.forget();
    child
}

/// What may happen to a referral that was sent, and what is told of it.
const WITHDRAWALS: [(&str, &str); 3] =
    [("revoked", "referral_revoked"), ("consent", "consent_withdrawn"), ("disabled", "case_disabled")];

fn withdraw(world: &World, child: Referred, how: &str) {
    let staff = world.stage.primero.staff(CASE_WORKER);
    match how {
        "revoked" => staff.revoke(child.referral),
        "consent" => staff.edit(child.case, json!({ "disclosure_other_orgs": false })),
        "disabled" => staff.disable(child.case),
        other => panic!("nobody knows how to withdraw by {other}"),
    }
}

fn assert_told_once(world: &World, reason: &str) {
    assert_eq!(world.events(), [format!("withdrawn_after_send {reason}")]);
    assert_eq!(world.list(), [format!("withdrawn_after_send {reason}")]);
}

#[tokio::test]
async fn a_withdrawal_is_seen_by_the_next_walk_and_told_once() {
    for (how, reason) in WITHDRAWALS {
        let world = World::new().await;
        let child = child_sent(&world).await;
        world.clock.advance(HOUR);
        withdraw(&world, child, how);
        let noticed = world.clock.now();
        world.walk(Walk::Referrals).await;
        assert_told_once(&world, reason);
        let line = world.lines().into_iter().find(|line| line.event == Event::WithdrawnAfterSend).unwrap();
        assert_eq!(line.noticed, Some(noticed));
        assert_eq!(line.referral.unwrap().0, child.referral);

        world.clock.advance(HOUR);
        world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
        world.walk(Walk::Referrals).await;
        world.pass(DAY).await;
        world.pass(DAY).await;
        assert_told_once(&world, reason);
        assert_eq!(sent_ids(&world).len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_withdrawal_is_seen_within_a_day_without_any_walk() {
    for (how, reason) in WITHDRAWALS {
        let mut world = World::new().await;
        let child = child_sent(&world).await;
        withdraw(&world, child, how);
        world.pass(23 * HOUR).await;
        assert_eq!(world.events(), Vec::<String>::new());
        world.restart_with(&[]).await;
        world.forget();
        world.pass(HOUR).await;
        assert_told_once(&world, reason);
        world.end().await;
    }
}

#[tokio::test]
async fn a_case_that_went_out_of_sight_is_told() {
    for status in [403, 404] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        let rule = Rule::on(Endpoint::GetCase).naming(child.case.to_string());
        let fault = world.stage.primero.faults().plant(rule, Fault::status(status));
        world.pass(DAY).await;
        let told: Vec<_> = world.events().into_iter().filter(|event| event.starts_with("withdrawn")).collect();
        assert_eq!(told, ["withdrawn_after_send out_of_sight"], "{status}");
        world.pass(DAY).await;
        assert_eq!(world.list(), ["withdrawn_after_send out_of_sight"], "{status}: and nothing else is asked of anybody");
        fault.pull();
        world.pass(DAY).await;
        assert_eq!(world.list(), ["withdrawn_after_send out_of_sight"], "{status}");
        world.end().await;
    }
}

#[tokio::test]
async fn consent_that_runs_out_after_the_sending_is_told() {
    let world = World::with(&[("REFERRALD__CONSENT__VALID_UNTIL_FIELD", "registration_date")]).await;
    let child = child_referred(&world, json!({ "registration_date": "2026-03-03" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    world.pass(DAY).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(DAY).await;
    assert_eq!(world.list(), ["withdrawn_after_send consent_withdrawn"]);
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_left_by_exception_is_not_withdrawn_for_want_of_consent() {
    let world = World::with(&[("REFERRALD__CONSENT__EXCEPTION", "send")]).await;
    let case = world.register(json!({ "consent_for_services": false }));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(case, super::service(json!({})));
    let referral = referrald::sandbox::primero::NewReferral::to(UNHCR)
        .for_service("alternative_care", &service.to_string())
        .overriding_consent();
    staff.refer(case, referral).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world).len(), 1);
    world.pass(DAY).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_second_reason_is_told_beside_the_first() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    withdraw(&world, child, "consent");
    world.pass(DAY).await;
    withdraw(&world, child, "revoked");
    world.pass(DAY).await;
    assert_eq!(world.list(), ["withdrawn_after_send consent_withdrawn", "withdrawn_after_send referral_revoked"]);
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_was_rejected_or_done_is_watched_no_longer() {
    for statuses in [&["rejected"][..], &["accepted", "done"][..]] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        for status in statuses {
            world.stage.primero.staff(CASE_WORKER).decide(child.referral, status, None).unwrap();
        }
        world.pass(DAY).await;
        let asked = world.stage.primero.log().count(Endpoint::GetCase);
        withdraw(&world, child, "consent");
        world.pass(DAY).await;
        assert_eq!(world.stage.primero.log().count(Endpoint::GetCase), asked);
        assert_eq!(world.list(), Vec::<String>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn an_accepted_referral_is_still_watched() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).decide(child.referral, "accepted", None).unwrap();
    world.pass(DAY).await;
    withdraw(&world, child, "consent");
    world.pass(DAY).await;
    assert_told_once(&world, "consent_withdrawn");
    world.end().await;
}

#[tokio::test]
async fn consent_lost_between_walk_and_sending_withholds_it() {
    let world = World::new().await;
    // Three faults in a row make DTP unwell, so that the last errand is made without having been posted.
    for _ in 0..3 {
        child_referred(&world, json!({}));
    }
    world.stage.dtp.go_down().await;
    world.walk(Walk::Referrals).await;
    world.clock.advance(Duration::from_millis(1));
    let last = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    let waiting = super::sendings(&world);
    let waiting = waiting.iter().find(|waiting| waiting.about.referral.unwrap().0 == last.referral).unwrap();
    assert!(!waiting.may_have_acted);

    withdraw(&world, last, "consent");
    world.stage.dtp.come_up().await.unwrap();
    for _ in 0..4 {
        world.pass(HOUR).await;
    }
    assert_eq!(sent_ids(&world).len(), 3);
    assert!(!sent_ids(&world).contains(&last.outgoing(&world)));
    assert_eq!(world.list(), ["withheld consent_missing"]);
    world.end().await;
}

#[tokio::test]
async fn consent_lost_after_a_first_try_withholds_it_and_says_that_it_may_have_left() {
    let world = World::new().await;
    let child = child_whose_referral_waits(&world).await;
    withdraw(&world, child, "consent");
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["withheld consent_missing", "withdrawn_after_send consent_withdrawn"]);

    // It stays watched: what may have left may be revoked, too.
    withdraw(&world, child, "revoked");
    world.pass(DAY).await;
    assert!(world.list().contains(&"withdrawn_after_send referral_revoked".to_owned()), "{:?}", world.list());
    world.end().await;
}

#[tokio::test]
async fn revoked_before_sent_was_recorded_is_told_and_not_sent_again() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    withdraw(&world, child, "revoked");
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    let told: Vec<_> = world.list().into_iter().filter(|entry| entry.starts_with("withdrawn")).collect();
    assert_eq!(told, ["withdrawn_after_send referral_revoked"]);
    world.walk(Walk::Referrals).await;
    world.pass(DAY).await;
    let told: Vec<_> = world.events().into_iter().filter(|event| event.starts_with("withdrawn")).collect();
    assert_eq!(told, ["withdrawn_after_send referral_revoked"]);
    world.end().await;
}

#[tokio::test]
async fn revoked_while_the_post_was_under_way_is_told() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::hold(&gate));
    let child = child_referred(&world, json!({}));
    world.try_walk(Walk::Referrals).await.unwrap();
    gate.arrived(1).await;
    withdraw(&world, child, "revoked");
    gate.open();
    world.settle().await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withdrawn_after_send referral_revoked"]);
    world.end().await;
}

#[tokio::test]
async fn decided_by_unhcr_though_its_answer_was_lost_is_not_said_to_be_unsent() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.decide(json!([{ "progres_orgreferralid": child.outgoing(&world), "progres_reviewdecision": "125080000" }])).await;
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world).len(), 1);
    assert_eq!(world.list(), Vec::<String>::new());
    // It is with UNHCR, so it is watched.
    withdraw(&world, child, "consent");
    world.pass(DAY).await;
    assert_eq!(world.list(), ["withdrawn_after_send consent_withdrawn"]);
    world.end().await;
}

#[tokio::test]
async fn a_case_that_was_moved_to_another_module_is_out_of_sight() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "module_id": "primeromodule-gbv" }));
    world.pass(DAY).await;
    assert_told_once(&world, "out_of_sight");
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_was_revoked_and_told_is_watched_no_longer() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.pass(DAY).await;
    assert_told_once(&world, "referral_revoked");
    let reads = || world.stage.primero.log().count_naming(Endpoint::GetCase, child.case);
    let before = reads();
    for _ in 0..3 {
        world.pass(DAY).await;
    }
    assert_eq!(reads(), before);
    world.end().await;
}

#[tokio::test]
async fn that_it_may_have_left_is_not_forgotten_when_consent_returns() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    withdraw(&world, child, "consent");
    world.pass(MINUTE).await;
    assert_eq!(world.list(), ["withheld consent_missing", "withdrawn_after_send consent_withdrawn"]);

    // DTP is unwell with others, so nothing is posted when consent returns.
    world.stage.dtp.go_down().await;
    for _ in 0..3 {
        child_referred(&world, json!({}));
    }
    world.walk(Walk::Referrals).await;
    world.clock.advance(Duration::from_millis(1));
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "disclosure_other_orgs": true }));
    world.walk(Walk::Referrals).await;
    let waiting = super::sendings(&world);
    let waiting = waiting.iter().find(|waiting| waiting.about.referral.unwrap().0 == child.referral).unwrap();
    assert_eq!(waiting.attempts, 0);
    // So whoever gives it up is told to ask UNHCR first whether it arrived.
    let (id, spool) = (waiting.id, &world.daemon().programme().spool);
    let stopped = spool.operate(move |tx| tx.stop(id, Stopping::SentOtherwise, "a test")).await.unwrap();
    assert_eq!(stopped, Stopped::MayStand(id));
    world.end_whatever().await;
}

#[tokio::test]
async fn a_withdrawal_after_a_second_sending_is_told_though_the_first_was_dealt_with() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    withdraw(&world, child, "consent");
    world.pass(MINUTE).await;
    assert_eq!(world.list(), ["withheld consent_missing", "withdrawn_after_send consent_withdrawn"]);
    let (told, informed) = (world.entries()[1].id, world.clock.now().date_naive());
    let spool = &world.daemon().programme().spool;
    spool.operate(move |tx| tx.resolve_by_hand(told, "focal_point", Some(informed), "a test")).await.unwrap();

    world.pass(HOUR).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit(child.case, json!({ "disclosure_other_orgs": true }));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world), child.outgoing(&world)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(HOUR).await;
    world.forget();
    withdraw(&world, child, "consent");
    world.walk(Walk::Referrals).await;
    assert_told_once(&world, "consent_withdrawn");
    // That is dealt with, too, and now nothing is sent any more.
    let (told, informed) = (world.entries()[0].id, world.clock.now().date_naive());
    spool.operate(move |tx| tx.resolve_by_hand(told, "focal_point", Some(informed), "a test")).await.unwrap();
    world.pass(DAY).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
