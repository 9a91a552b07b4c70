//! Decisions of UNHCR about referrals from Primero: recorded once, on the one referral that is meant, or held for a person.

use std::time::Duration;

use referrald::{
    activity::Event,
    referral::{Errand, Walk},
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        primero::{CASE_WORKER, NewReferral, Standing, UNHCR},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    flow2::{Referred, case_id, child_referred, refer_again, sent_ids, service},
    world::World,
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const ACCEPTED: &str = "125080000";
const REJECTED: &str = "125080001";

/// A child whose referral DTP has taken. What was told of that is forgotten.
async fn child_sent(world: &World) -> Referred {
    let child = child_referred(world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(world).last(), Some(&child.outgoing(world)));
    world.forget();
    child
}

/// A decision as DTP posts it, with some keys changed.
fn decision(id: &str, code: &str, change: Value) -> Value {
    let mut item = json!({ "progres_orgreferralid": id, "progres_reviewdecision": code });
    for (key, value) in change.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

fn standing(world: &World, child: Referred) -> Standing {
    let referrals = world.stage.primero.referrals(child.case);
    referrals.into_iter().find(|(id, _)| *id == child.referral).unwrap().1
}

fn rejected_reason(world: &World, referral: Uuid) -> Option<String> {
    world.stage.primero.referral(referral).unwrap().get("rejected_reason").map(|reason| reason.as_str().unwrap().to_owned())
}

/// How often a decision was written to Primero.
fn writes(world: &World) -> usize {
    world.stage.primero.log().count(Endpoint::PatchReferral)
}

/// Nothing was written, and the decision is held for this reason.
async fn assert_held(world: World, reason: &str) {
    assert_eq!(writes(&world), 0, "{reason}");
    assert_eq!(world.events().last().unwrap(), &format!("held {reason}"));
    assert_eq!(world.list(), [format!("held {reason}")]);
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "DTP has no channel for this");
    world.end_unsettled().await;
}

#[tokio::test]
async fn an_acceptance_is_recorded_without_a_reason() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let more = json!({ "progres_interoperabilityreferralrejectionomment": "Not for a rejection." });
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, more)])).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    assert_eq!(rejected_reason(&world, child.referral), None);
    assert_eq!(world.events(), ["received", "delivered"]);
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    world.end().await;
}

#[tokio::test]
async fn a_rejection_is_recorded_with_label_and_comment() {
    let reason = "progres_interoperabiltyreferralrejectionreason";
    let sic = "progres_interoperabilityreferralrejectionomment";
    let comment = "progres_interoperabilityreferralrejectioncomment";
    for (change, expected) in [
        (json!({ reason: "125080000" }), Some("Individual Not Found")),
        (
            json!({ reason: "125080001", sic: "An invented comment." }),
            Some("Individual Not Match UNHCR ID: An invented comment."),
        ),
        (json!({ reason: "125080002", comment: "An invented comment." }), Some("Not applicable: An invented comment.")),
        (json!({ reason: "Other words" }), Some("Other words")),
        (json!({ sic: "An invented comment." }), Some("An invented comment.")),
        (json!({}), None),
    ] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        world.decide(json!([decision(&child.outgoing(&world), REJECTED, change)])).await;
        assert_eq!(standing(&world, child), Standing::Rejected);
        assert_eq!(rejected_reason(&world, child.referral).as_deref(), expected);
        world.end().await;
    }
}

#[tokio::test]
async fn the_id_is_read_whatever_its_case() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.decide(json!([decision(&child.outgoing(&world).to_uppercase(), ACCEPTED, json!({}))])).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    world.end().await;
}

#[tokio::test]
async fn a_case_whose_id_stands_in_upper_case_in_primero_is_found() {
    let world = World::new().await;
    let child = child_referred(&world, json!({ "case_id": "5AFE0000-0000-4000-8000-00000000ABCD" }));
    world.walk(Walk::Referrals).await;
    let [id] = sent_ids(&world).try_into().unwrap();
    world.decide(json!([decision(&id, ACCEPTED, json!({}))])).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn an_id_that_is_only_a_part_of_a_cases_id_names_no_case() {
    for part in ["5afe0000-0000-4000-8000-00000000abcd", "5afe0000"] {
        let world = World::new().await;
        let child = child_referred(&world, json!({ "case_id": "5AFE0000-0000-4000-8000-00000000ABCDE" }));
        let outgoing = child.outgoing(&world);
        let id = format!("{part}#{}", &outgoing[outgoing.len() - 12..]);
        world.decide(json!([decision(&id, ACCEPTED, json!({}))])).await;
        assert_held(world, "no_such_referral").await;
    }
}

#[tokio::test]
async fn a_repeat_writes_nothing() {
    let mut world = World::new().await;
    let child = child_sent(&world).await;
    for _ in 0..2 {
        world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    }
    world.restart_with(&[]).await;
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(writes(&world), 1);
    assert_eq!(world.events().iter().filter(|event| *event == "delivered").count(), 3);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn done_counts_as_accepted() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.decide(child.referral, "accepted", None).unwrap();
    staff.decide(child.referral, "done", None).unwrap();
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(writes(&world), 0);
    assert_eq!(standing(&world, child), Standing::Done);
    assert_eq!(world.events(), ["received", "delivered"]);
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_is_delivered_without_a_second_write() {
    for (code, after) in [(ACCEPTED, Standing::Accepted), (REJECTED, Standing::Rejected)] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::cut().after_effect());
        world.decide(json!([decision(&child.outgoing(&world), code, json!({}))])).await;
        assert_eq!(standing(&world, child), after);
        world.pass(MINUTE).await;
        assert_eq!(writes(&world), 1);
        assert_eq!(world.events().last().unwrap(), "delivered");
        world.end().await;
    }
}

#[tokio::test]
async fn the_choice_is_stored_before_anything_is_written() {
    let mut world = World::new().await;
    let child = child_sent(&world).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::hold(&gate));
    let body = json!({
        "request_type": "PrimeroIncomingReferralDecision",
        "interventions": [decision(&child.outgoing(&world), REJECTED, json!({}))],
    });
    world.post(&body).await;
    gate.arrived(1).await;
    let waiting = world.unsettled();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].about.referral.unwrap().0, child.referral);
    // The case worker refers again; the decision is still about the first.
    let again = refer_again(&world, child);
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::cut());
    gate.open();
    world.settle().await;
    world.pass(HOUR).await;
    assert_eq!(standing(&world, child), Standing::Rejected);
    assert_eq!(standing(&world, again), Standing::InProgress);
    world.stop().await;
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn an_unknown_code_is_held() {
    for code in ["125080002", "accepted", ""] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        world.decide(json!([decision(&child.outgoing(&world), code, json!({}))])).await;
        assert_eq!(standing(&world, child), Standing::InProgress);
        assert_held(world, "unknown_decision_code").await;
    }
}

#[tokio::test]
async fn no_such_case_is_held_and_no_such_service_too() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let outgoing = child.outgoing(&world);
    world.decide(json!([decision(&format!("nobody#{}", &outgoing[outgoing.len() - 12..]), ACCEPTED, json!({}))])).await;
    assert_held(world, "no_such_referral").await;

    let world = World::new().await;
    let child = child_sent(&world).await;
    world.decide(json!([decision(&format!("{}#000000000000", case_id(&world, child.case)), ACCEPTED, json!({}))])).await;
    assert_held(world, "no_such_referral").await;
}

#[tokio::test]
async fn a_disabled_case_is_as_if_absent() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let outgoing = child.outgoing(&world);
    world.stage.primero.staff(CASE_WORKER).disable(child.case);
    world.decide(json!([decision(&outgoing, ACCEPTED, json!({}))])).await;
    assert_held(world, "no_such_referral").await;
}

#[tokio::test]
async fn several_services_that_fit_are_held() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    for id in ["11111111-0000-4000-8000-00000000abcd", "22222222-0000-4000-8000-00000000abcd"] {
        staff.add_service(case, service(json!({ "unique_id": id })));
        staff.refer(case, NewReferral::to(UNHCR).for_service("alternative_care", id)).unwrap();
    }
    world.decide(json!([decision(&format!("{}#00000000abcd", case_id(&world, case)), ACCEPTED, json!({}))])).await;
    assert_held(world, "several_referrals_fit").await;
}

#[tokio::test]
async fn what_somebody_decided_otherwise_before_is_a_conflict() {
    for (theirs, code) in [("rejected", ACCEPTED), ("accepted", REJECTED)] {
        let world = World::new().await;
        let child = child_sent(&world).await;
        world.stage.primero.staff(CASE_WORKER).decide(child.referral, theirs, None).unwrap();
        world.decide(json!([decision(&child.outgoing(&world), code, json!({}))])).await;
        assert_eq!(writes(&world), 0);
        assert_eq!(world.events(), ["received", "not_needed decided_before", "conflict conflict"]);
        assert_eq!(world.list(), ["conflict conflict"]);
        world.end().await;
    }
}

#[tokio::test]
async fn what_somebody_decided_while_we_wrote_is_seen_in_the_answer() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::hold(&gate));
    let body = json!({
        "request_type": "PrimeroIncomingReferralDecision",
        "interventions": [decision(&child.outgoing(&world), ACCEPTED, json!({}))],
    });
    world.post(&body).await;
    gate.arrived(1).await;
    world.stage.primero.staff(CASE_WORKER).decide(child.referral, "rejected", None).unwrap();
    gate.open();
    world.settle().await;
    assert_eq!(world.events(), ["received", "not_needed decided_before", "conflict conflict"]);
    assert_eq!(standing(&world, child), Standing::Rejected);
    world.end().await;
}

#[tokio::test]
async fn a_referral_revoked_before_is_a_conflict() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(world.events(), ["received", "not_needed decided_before", "conflict conflict"]);
    assert_eq!(standing(&world, child), Standing::Revoked);
    world.end().await;
}

#[tokio::test]
async fn when_consent_was_withdrawn_the_decision_is_held_and_the_withdrawal_shown_once() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit(child.case, json!({ "consent_for_services": false }));
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(world.list(), ["held decision_refused", "withdrawn_after_send consent_withdrawn"]);
    world.pass(HOUR).await;
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["held decision_refused", "withdrawn_after_send consent_withdrawn"]);
    let told = world.lines().into_iter().filter(|line| line.event == Event::WithdrawnAfterSend).count();
    assert_eq!(told, 1);
    assert_eq!(world.stage.primero.referral(child.referral).unwrap()["consent_overridden"], false);

    staff.set_consent(child.case, true);
    world.pass(HOUR).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    assert_eq!(world.list(), ["withdrawn_after_send consent_withdrawn"]);
    world.end().await;
}

#[tokio::test]
async fn any_other_422_is_held_too() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.change_user(UNHCR, |user| user.disabled());
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(world.list(), ["held decision_refused"]);
    assert_eq!(world.entries()[0].fields, ["transitioned_to"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_403_after_a_rejection_is_verified_by_another_read() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::status(403).after_effect());
    world.decide(json!([decision(&child.outgoing(&world), REJECTED, json!({}))])).await;
    assert_eq!(world.events(), ["received", "delivered"]);
    assert_eq!(standing(&world, child), Standing::Rejected);
    world.end().await;

    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral), Fault::status(403));
    world.decide(json!([decision(&child.outgoing(&world), REJECTED, json!({}))])).await;
    assert_eq!(world.events(), ["received", "held out_of_scope"]);
    assert_eq!(standing(&world, child), Standing::InProgress);
    world.end_unsettled().await;
}

/// A service that was referred, rejected, and referred again; DTP took both.
async fn referred_twice(world: &World) -> (Referred, Referred) {
    let first = child_sent(world).await;
    world
        .decide(json!([decision(&first.outgoing(world), REJECTED, json!({ "progres_reviewdate": "2026-03-02T08:30:00Z" }))]))
        .await;
    assert_eq!(standing(world, first), Standing::Rejected);
    world.clock.advance(HOUR);
    let second = refer_again(world, first);
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(world), [first.outgoing(world), first.outgoing(world)]);
    (first, second)
}

#[tokio::test]
async fn of_two_sendings_under_one_id_a_later_review_date_means_the_second() {
    let world = World::new().await;
    let (_, second) = referred_twice(&world).await;
    let later = json!({ "progres_reviewdate": "2026-03-02T09:00:01Z" });
    world.decide(json!([decision(&second.outgoing(&world), ACCEPTED, later)])).await;
    assert_eq!(standing(&world, second), Standing::Accepted);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn of_two_sendings_under_one_id_without_a_later_review_date_a_person_decides() {
    for date in [json!(null), json!("2026-03-02T08:30:00Z"), json!("2026-03-02T09:00:00"), json!("soon")] {
        let world = World::new().await;
        let (_, second) = referred_twice(&world).await;
        world.decide(json!([decision(&second.outgoing(&world), ACCEPTED, json!({ "progres_reviewdate": date }))])).await;
        assert_eq!(standing(&world, second), Standing::InProgress);
        assert_eq!(world.list(), ["held sent_twice_under_this_id"]);
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn a_second_sending_whose_answer_was_lost_counts() {
    let world = World::new().await;
    let first = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).decide(first.referral, "rejected", None).unwrap();
    world.clock.advance(HOUR);
    let second = refer_again(&world, first);
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    world.walk(Walk::Referrals).await;
    let date = json!({ "progres_reviewdate": "2026-03-02T09:00:03Z" });
    world.decide(json!([decision(&second.outgoing(&world), ACCEPTED, date)])).await;
    assert_eq!(writes(&world), 0);
    assert!(world.list().contains(&"held sent_twice_under_this_id".to_owned()), "{:?}", world.list());
    world.end_unsettled().await;
}

#[tokio::test]
async fn the_referral_that_was_sent_is_meant_whatever_its_status() {
    // Sent, then rejected in Primero and referred again, but the second has not left: the decision is about the first.
    let world = World::new().await;
    let first = child_sent(&world).await;
    world.stage.primero.staff(CASE_WORKER).decide(first.referral, "rejected", None).unwrap();
    let second = refer_again(&world, first);
    world.decide(json!([decision(&first.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(standing(&world, second), Standing::InProgress);
    assert_eq!(world.list(), ["conflict conflict"]);
    world.end().await;
}

#[tokio::test]
async fn if_none_was_sent_the_newest_in_progress_is_meant() {
    let world = World::new().await;
    let first = child_referred(&world, json!({}));
    world.stage.primero.staff(CASE_WORKER).decide(first.referral, "rejected", None).unwrap();
    world.clock.advance(MINUTE);
    let second = refer_again(&world, first);
    world.clock.advance(MINUTE);
    let third = refer_again(&world, first);
    world.decide(json!([decision(&first.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(standing(&world, first), Standing::Rejected);
    assert_eq!(standing(&world, second), Standing::InProgress);
    assert_eq!(standing(&world, third), Standing::Accepted);
    world.end().await;
}

#[tokio::test]
async fn the_same_content_while_one_waits_or_is_held_is_nothing_new() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    let fault = world.stage.primero.faults().plant(Rule::on(Endpoint::ListReferrals), Fault::status(500));
    let item = decision(&child.outgoing(&world), ACCEPTED, json!({}));
    world.decide(json!([item])).await;
    world.decide(json!([item])).await;
    let waiting = world.unsettled();
    assert_eq!(waiting.iter().filter(|left| left.errand == Errand::RecordDecision).count(), 1);
    assert_eq!(world.events().last().unwrap(), "unchanged");
    fault.pull();
    world.pass(HOUR).await;
    assert_eq!(standing(&world, child), Standing::Accepted);

    let unknown = decision(&child.outgoing(&world), "7", json!({}));
    world.decide(json!([unknown])).await;
    world.decide(json!([unknown])).await;
    assert_eq!(world.unsettled().len(), 1);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_waiting_decision_survives_a_restart() {
    let mut world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.go_down().await;
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    world.restart_with(&[]).await;
    world.stage.primero.come_up().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    assert_eq!(writes(&world), 1);
    world.end().await;
}

#[tokio::test]
async fn a_corrected_decision_takes_the_place_of_one_that_waits() {
    for (old, new, stands) in [(REJECTED, ACCEPTED, Standing::Accepted), (ACCEPTED, REJECTED, Standing::Rejected)] {
        let mut world = World::new().await;
        let child = child_sent(&world).await;
        world.stage.primero.go_down().await;
        for code in [old, new, new] {
            world.decide(json!([decision(&child.outgoing(&world), code, json!({}))])).await;
        }
        assert_eq!(world.events().iter().filter(|event| *event == "superseded replaced").count(), 1);
        world.stage.primero.come_up().await.unwrap();
        world.pass(HOUR).await;
        assert_eq!((standing(&world, child), writes(&world)), (stands, 1));
        assert_eq!(world.list(), Vec::<String>::new());
        world.restart().await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_corrected_decision_takes_the_place_of_one_that_is_held() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.decide(json!([decision(&child.outgoing(&world), "125089999", json!({}))])).await;
    assert_eq!(world.list(), ["held unknown_decision_code"]);
    world.decide(json!([decision(&child.outgoing(&world), ACCEPTED, json!({}))])).await;
    assert_eq!(standing(&world, child), Standing::Accepted);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn of_two_sendings_under_one_id_no_decision_takes_the_place_of_another() {
    let world = World::new().await;
    let (_, second) = referred_twice(&world).await;
    world.stage.primero.go_down().await;
    for code in [REJECTED, ACCEPTED] {
        world.decide(json!([decision(&second.outgoing(&world), code, json!({}))])).await;
    }
    assert_eq!(world.unsettled().len(), 2);
    assert!(!world.heard(Event::Superseded));
    world.end_whatever().await;
}

#[tokio::test]
async fn a_decision_that_may_have_been_written_stays_and_a_person_sees_both() {
    let world = World::new().await;
    let child = child_sent(&world).await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::cut().after_effect());
    for code in [REJECTED, ACCEPTED] {
        world.decide(json!([decision(&child.outgoing(&world), code, json!({}))])).await;
    }
    world.pass(HOUR).await;
    assert_eq!(standing(&world, child), Standing::Rejected);
    assert_eq!(world.list(), ["conflict conflict"]);
    world.end().await;
}
