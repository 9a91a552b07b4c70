//! Crashes: the daemon breaks off, starts again on the same state, and nothing is lost or done twice.
//!
//! Here it breaks off at each request, seen from the other system; the rooms inside kill the real process, cut its power, fill its
//! disk and give it back yesterday's backup.

mod disk;
mod judged;
mod kills;
mod ledger;
mod power;
mod restored;
mod steps;

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::{Endpoint, Fault, Faults, Gate, Rule},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{PERSON, World, intervention};

const HOUR: Duration = Duration::from_secs(3600);

/// When, seen from the other system, the daemon breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The request is on its way, and never arrives.
    Lost,
    /// It had its effect; the answer is never seen.
    Unanswered,
    /// It was held up on its way and has its effect only after the next start.
    Belated,
}

const MOMENTS: [Moment; 3] = [Moment::Lost, Moment::Unanswered, Moment::Belated];

/// Which system's requests are counted.
#[derive(Clone, Copy, Debug)]
enum Side {
    Primero,
    Dtp,
}

fn faults(world: &World, side: Side) -> &Faults {
    match side {
        Side::Primero => world.stage.primero.faults(),
        Side::Dtp => world.stage.dtp.faults(),
    }
}

/// Holds the n-th request from now on at that moment.
fn hold(world: &World, side: Side, nth: usize, moment: Moment) -> Gate {
    let gate = Gate::closed();
    let fault = Fault::hold(&gate);
    let fault = if moment == Moment::Unanswered { fault.after_effect() } else { fault };
    faults(world, side).plant(Rule::any().skip(nth).once(), fault);
    gate
}

/// Breaks off while a request waits at the gate, and starts again.
async fn crash(world: &mut World, gate: &Gate, moment: Moment) {
    gate.arrived(1).await;
    world.abandon().await;
    world.start().await;
    if moment == Moment::Belated {
        gate.open();
    }
    recover(world).await;
}

/// Lets everything come to its end.
async fn recover(world: &World) {
    world.settle().await;
    for _ in 0..3 {
        world.pass(HOUR).await;
    }
}

fn post() -> Value {
    json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention("989-26-TEST-0001", json!({}))] })
}

/// The messages that DTP has taken, each once: it may get one twice if its answer was lost.
fn once(mut messages: Vec<Value>) -> Vec<Value> {
    messages.dedup();
    messages
}

/// How many requests an intervention needs without any trouble, in a world with or without the child's case.
async fn requests(with_case: bool) -> (usize, usize) {
    let world = World::new().await;
    if with_case {
        world.register(json!({}));
    }
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    let counted = (world.stage.primero.log().len(), world.stage.dtp.log().len());
    world.end().await;
    counted
}

async fn intervention_survives(with_case: bool, side: Side, nth: usize, moment: Moment) {
    let what = format!("case there: {with_case}, request {nth} to {side:?}, {moment:?}");
    let mut world = World::new().await;
    if with_case {
        world.register(json!({}));
    }
    let gate = hold(&world, side, nth, moment);
    assert_eq!(world.post(&post()).await.0, StatusCode::ACCEPTED);
    crash(&mut world, &gate, moment).await;

    let case = world.case_of(PERSON);
    let services = world.stage.primero.services(case);
    assert_eq!(services.len(), 1, "{what}: one service");
    assert_eq!(services[0]["progres_interventionnumber"], "989-26-TEST-0001", "{what}");
    let feedback = json!({
        "status": "Pending Acknowledgement",
        "primero_user": "intake",
        "case_id": world.stage.primero.case(case).unwrap()["case_id"],
        "progres_interventionnumber": "989-26-TEST-0001",
    });
    assert_eq!(once(world.told_dtp()), [feedback], "{what}");
    // The same post once more is nothing new.
    world.refer(post()["interventions"].clone()).await;
    assert_eq!(world.stage.primero.services(case).len(), 1, "{what}");
    assert_eq!(world.unsettled(), [], "{what}");
    world.end().await;
}

#[tokio::test]
async fn an_intervention_for_a_new_child_survives_a_crash_at_every_request() {
    let (primero, dtp) = requests(false).await;
    assert!(primero >= 4 && dtp == 1, "{primero} {dtp}");
    for moment in MOMENTS {
        for nth in 0..primero {
            intervention_survives(false, Side::Primero, nth, moment).await;
        }
        intervention_survives(false, Side::Dtp, 0, moment).await;
    }
}

#[tokio::test]
async fn an_intervention_for_a_known_child_survives_a_crash_at_every_request() {
    let (primero, dtp) = requests(true).await;
    assert!(primero >= 3 && dtp == 1, "{primero} {dtp}");
    for moment in MOMENTS {
        for nth in 0..primero {
            intervention_survives(true, Side::Primero, nth, moment).await;
        }
        intervention_survives(true, Side::Dtp, 0, moment).await;
    }
}

/// Walks, whatever becomes of the walk.
async fn walk(world: &World) {
    let _ = world.try_walk(Walk::Referrals).await;
    world.settle().await;
}

async fn referral_survives(side: Side, nth: usize, moment: Moment) {
    let what = format!("request {nth} to {side:?}, {moment:?}");
    let mut world = World::new().await;
    let (_, _, outgoing) = world.child_referred(json!({}));
    let gate = hold(&world, side, nth, moment);
    {
        // The walk breaks off with the daemon, so nobody waits for its end.
        let walking = world.try_walk(Walk::Referrals);
        tokio::pin!(walking);
        tokio::select! {
            () = gate.arrived(1) => {}
            _ = &mut walking => gate.arrived(1).await,
        }
    }
    crash(&mut world, &gate, moment).await;
    walk(&world).await;
    recover(&world).await;

    let sent = world.sent_to_dtp();
    assert!(!sent.is_empty(), "{what}: not lost");
    assert!(sent.len() <= 2, "{what}");
    assert_eq!(once(sent.clone()).len(), 1, "{what}: the same message");
    assert_eq!(sent[0]["id"], outgoing.as_str(), "{what}");
    if matches!(side, Side::Primero) || moment == Moment::Lost {
        assert_eq!(sent.len(), 1, "{what}: nothing was lost on the way to DTP, so nothing goes twice");
    }
    walk(&world).await;
    assert_eq!(world.sent_to_dtp().len(), sent.len(), "{what}: never again");
    world.end().await;
}

#[tokio::test]
async fn a_referral_survives_a_crash_at_every_request() {
    let world = World::new().await;
    world.child_referred(json!({}));
    walk(&world).await;
    let (primero, dtp) = (world.stage.primero.log().len(), world.stage.dtp.log().count(Endpoint::DtpReferral));
    world.end().await;
    assert!(primero >= 4 && dtp == 1, "{primero} {dtp}");
    for moment in MOMENTS {
        for nth in 0..primero {
            referral_survives(Side::Primero, nth, moment).await;
        }
        referral_survives(Side::Dtp, 0, moment).await;
    }
}

fn decision(outgoing: &str) -> Value {
    json!({
        "request_type": "PrimeroIncomingReferralDecision",
        "interventions": [{ "progres_orgreferralid": outgoing, "progres_reviewdecision": "125080000" }],
    })
}

#[tokio::test]
async fn a_decision_of_unhcr_survives_a_crash_at_every_request() {
    let mut requests = 0;
    for (moment, nth) in
        [(None, 0)].into_iter().chain(MOMENTS.into_iter().flat_map(|moment| (0..9).map(move |nth| (Some(moment), nth))))
    {
        let what = format!("request {nth}, {moment:?}");
        let mut world = World::new().await;
        let (_, referral, outgoing) = world.child_referred(json!({}));
        walk(&world).await;
        let before = world.stage.primero.log().len();
        match moment {
            Some(_) if nth >= requests => {
                world.end().await;
                continue;
            }
            Some(moment) => {
                let gate = hold(&world, Side::Primero, nth, moment);
                assert_eq!(world.post(&decision(&outgoing)).await.0, StatusCode::ACCEPTED);
                crash(&mut world, &gate, moment).await;
            }
            None => {
                assert_eq!(world.post(&decision(&outgoing)).await.0, StatusCode::ACCEPTED);
                world.settle().await;
                requests = world.stage.primero.log().len() - before;
                assert!((3..9).contains(&requests), "{requests}");
            }
        }
        assert_eq!(world.stage.primero.referral(referral).unwrap()["status"], "accepted", "{what}");
        assert_eq!(world.list(), Vec::<String>::new(), "{what}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_report_of_a_decision_survives_a_crash_at_every_request() {
    for (side, nth) in [(Side::Primero, 0), (Side::Primero, 1), (Side::Primero, 2), (Side::Dtp, 0)] {
        for moment in MOMENTS {
            let what = format!("request {nth} to {side:?}, {moment:?}");
            let mut world = World::new().await;
            world.refer(post()["interventions"].clone()).await;
            let case = world.case_of(PERSON);
            let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
            let staff = world.stage.primero.staff("caseworker_testina");
            world.clock.advance(HOUR);
            staff.edit_service(case, service, json!({ "unhcr_referral_status": "accepted" }));
            world.stage.dtp.clear();
            let gate = hold(&world, side, nth, moment);
            {
                let walking = world.try_walk(Walk::Decisions);
                tokio::pin!(walking);
                tokio::select! {
                    () = gate.arrived(1) => {}
                    _ = &mut walking => gate.arrived(1).await,
                }
            }
            crash(&mut world, &gate, moment).await;
            world.walk(Walk::Decisions).await;
            recover(&world).await;
            let told = once(world.told_dtp());
            assert_eq!(told.len(), 1, "{what}: {told:?}");
            assert_eq!(told[0]["progres_interventionnumber"], "989-26-TEST-0001", "{what}");
            world.end().await;
        }
    }
}
