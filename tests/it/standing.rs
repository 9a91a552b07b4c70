//! How a programme stands now: the facts that page and command line show alike.

use std::time::Duration;

use referrald::{
    reason::Reason,
    referral::{Errand, Flow, State, System, Walk},
    sandbox::{Endpoint, Fault, Rule},
    standing::{self, FlowState, Now, Room, Running, SystemState},
};
use serde_json::{Value, json};

use crate::world::{World, intervention, start};

const MINUTE: Duration = Duration::from_secs(60);

async fn now(world: &World) -> Now {
    let programme = &world.daemon().programme();
    let running = Running { programme, walks: &world.daemon().walks };
    standing::now(&programme.settings, &programme.spool, &world.clock, Some(running)).await.unwrap()
}

/// As a command line sees it that finds no daemon.
async fn by_the_state(world: &World) -> Now {
    let programme = &world.daemon().programme();
    standing::now(&programme.settings, &programme.spool, &world.clock, None).await.unwrap()
}

fn first(count: u32) -> Value {
    let nth = |n| intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }));
    (1..=count).map(nth).collect()
}

#[tokio::test]
async fn a_new_programme_is_well_and_has_nothing_to_do() {
    let world = World::new().await;
    let now = now(&world).await;
    assert_eq!((now.time, now.room, now.environment.code()), (start(), Room::Enough, "test"));
    assert!(now.systems.iter().all(|system| (system.state, system.answered) == (SystemState::Well, None)));
    assert!(now.flows.iter().all(|flow| flow.state == FlowState::On));
    assert_eq!((now.open.counts.len(), now.open.oldest, now.list.entries), (0, None, 0));
    assert!(now.walks.iter().all(|walk| !walk.under_way && walk.last.is_none() && walk.unfinished_since.is_none()));
    assert!(now.walks.iter().all(|walk| walk.next.is_some_and(|next| next > start())));
    assert_eq!(now.keys.len(), 1);
    assert!(now.certificate_ends.is_some_and(|ends| ends > start()));
    world.end().await;
}

#[tokio::test]
async fn a_blocked_system_says_why_and_since_when_with_and_without_a_daemon() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(first(1)).await;
    world.pass(3 * MINUTE).await;
    for now in [now(&world).await, by_the_state(&world).await] {
        let primero = &now.systems[System::Primero as usize];
        let (since, next_probe) = (Some(start()), start() + 10 * MINUTE);
        assert_eq!(primero.state, SystemState::Blocked { reason: Reason::Unauthorized, since, next_probe });
        assert_eq!(now.systems[System::Dtp as usize].state, SystemState::Well);
        assert_eq!(now.open.counts, [(Errand::OpenIntervention, State::Waiting, 1)]);
        assert_eq!(now.open.oldest, Some(start()));
    }
    world.end_unsettled().await;
}

#[tokio::test]
async fn an_unwell_system_says_since_when_and_a_well_one_when_it_answered() {
    let world = World::new().await;
    world.clock.advance(MINUTE);
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), Fault::status(503));
    world.refer(first(4)).await;
    world.clock.advance(MINUTE);
    let now = now(&world).await;
    assert_eq!(now.systems[System::Dtp as usize].state, SystemState::Unwell { since: start() + MINUTE });
    let primero = &now.systems[System::Primero as usize];
    assert_eq!((primero.state, primero.answered), (SystemState::Well, Some(start() + MINUTE)));
    world.end_unsettled().await;
}

#[tokio::test]
async fn readings_say_when_the_last_one_ended_and_since_when_none_does() {
    let mut world = World::new().await;
    world.walk(Walk::Referrals).await;
    world.clock.advance(MINUTE);
    world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    world.clock.advance(MINUTE);
    for _ in 0..2 {
        let now = now(&world).await;
        let of = |walk: Walk| now.walks.iter().find(|of| of.walk == walk).unwrap();
        assert_eq!(of(Walk::Referrals).last, Some(start()));
        assert_eq!(of(Walk::Referrals).unfinished_since, Some(start() + MINUTE));
        assert_eq!((of(Walk::Decisions).last, of(Walk::Decisions).unfinished_since), (None, None));
        world.restart().await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_flow_that_does_not_run_says_why_and_has_no_next_reading() {
    let changed = [("REFERRALD__FLOWS__TO_DTP", "false"), ("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-02-01")];
    let world = World::with(&changed).await;
    let now = now(&world).await;
    let of = |flow: Flow| now.flows.iter().find(|of| of.flow == flow).unwrap().state;
    assert_eq!((of(Flow::ToPrimero), of(Flow::ToDtp)), (FlowState::NoAgreement, FlowState::Off));
    assert!(now.walks.iter().all(|walk| walk.next.is_none()));
    world.end().await;
}
