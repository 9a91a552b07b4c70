//! When walks run: at the start, by the programme's clock, one of a kind at a time, and once after a long sleep.

use std::time::Duration;

use chrono::{DateTime, Utc};
use referrald::{
    activity::Event,
    referral::{Flow, Walk},
    sandbox::{Endpoint, Fault, Gate, Rule},
};

use crate::{flow2::sent_ids, world::World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How often each of the two walks has begun: referrals, decisions.
fn begun(world: &World) -> (usize, usize) {
    let lines = world.lines();
    let of = |flow| lines.iter().filter(|line| line.event == Event::PollStarted && line.flow == Some(flow)).count();
    (of(Flow::ToDtp), of(Flow::ToPrimero))
}

/// Time goes by, the ticker knocks, and what it starts comes to its end.
async fn tick_after(world: &World, time: Duration) {
    world.clock.advance(time);
    world.tick().await;
    while [Walk::Referrals, Walk::Decisions].iter().any(|walk| world.daemon().walks.under_way(*walk)) {
        tokio::task::yield_now().await;
    }
    world.settle().await;
}

/// At this time of the wall.
async fn tick_at(world: &World, time: &str) -> (usize, usize) {
    world.clock.set_wall(at(time));
    tick_after(world, Duration::ZERO).await;
    begun(world)
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// Settings of the two walks.
fn every<'a>(referrals: &'a str, decisions: &'a str, zone: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("REFERRALD__SCHEDULE__REFERRALS", referrals),
        ("REFERRALD__SCHEDULE__DECISIONS", decisions),
        ("REFERRALD__SCHEDULE__TIME_ZONE", zone),
    ]
}

const YEARLY: &str = "0 0 0 1 1 *";

#[tokio::test]
async fn by_default_each_walk_runs_every_ten_minutes_five_minutes_apart() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for minute in 1..=20 {
        tick_after(&world, MINUTE).await;
        seen.push((minute, begun(&world)));
    }
    seen.dedup_by_key(|(_, begun)| *begun);
    assert_eq!(seen, [(1, (0, 0)), (5, (0, 1)), (10, (1, 1)), (15, (1, 2)), (20, (2, 2))]);
    world.end().await;
}

#[tokio::test]
async fn a_time_is_kept_to_the_second_and_comes_once() {
    let world = World::with(&every("30 */10 * * * *", YEARLY, "UTC")).await;
    for (time, walks) in [
        ("2026-03-02T08:00:29.999Z", 0),
        ("2026-03-02T08:00:30Z", 1),
        ("2026-03-02T08:00:30.500Z", 1),
        ("2026-03-02T08:10:29Z", 1),
        ("2026-03-02T08:10:31Z", 2),
    ] {
        assert_eq!(tick_at(&world, time).await, (walks, 0), "{time}");
    }
    world.end().await;
}

#[tokio::test]
async fn at_start_both_walks_run_with_the_first_tick_and_otherwise_they_wait_for_their_time() {
    let mut world = World::with(&[("REFERRALD__SCHEDULE__AT_START", "true")]).await;
    tick_after(&world, SECOND).await;
    assert_eq!(begun(&world), (1, 1));
    tick_after(&world, SECOND).await;
    assert_eq!(begun(&world), (1, 1), "once");
    world.restart_with(&[("REFERRALD__SCHEDULE__AT_START", "true")]).await;
    tick_after(&world, SECOND).await;
    assert_eq!(begun(&world), (2, 2), "with each start");
    world.restart_with(&[("REFERRALD__SCHEDULE__AT_START", "false")]).await;
    tick_after(&world, SECOND).await;
    assert_eq!(begun(&world), (2, 2));
    world.end().await;
}

#[tokio::test]
async fn times_are_those_of_the_zone_also_when_the_clocks_change() {
    // Half past two: skipped on 29 March, said twice on 25 October.
    let world = World::with(&every("0 30 2 * * *", "0 0 9 * * *", "Europe/Berlin")).await;
    for (time, walks) in [
        ("2026-03-28T01:29:00Z", (1, 1)),
        ("2026-03-28T01:30:00Z", (2, 1)),
        ("2026-03-28T08:00:00Z", (2, 2)),
        ("2026-03-29T00:59:59Z", (2, 2)),
        ("2026-03-29T01:00:00Z", (3, 2)),
        ("2026-03-29T06:59:59Z", (3, 2)),
        ("2026-03-29T07:00:00Z", (3, 3)),
        ("2026-10-24T07:00:00Z", (4, 4)),
        ("2026-10-25T00:29:59Z", (4, 4)),
        ("2026-10-25T00:30:00Z", (5, 4)),
        ("2026-10-25T01:30:00Z", (5, 4)),
        ("2026-10-25T07:59:59Z", (5, 4)),
        ("2026-10-25T08:00:00Z", (5, 5)),
    ] {
        assert_eq!(tick_at(&world, time).await, walks, "{time}");
    }
    world.end().await;
}

#[tokio::test]
async fn after_a_sleep_of_the_machine_every_walk_is_caught_up_once() {
    let world = World::new().await;
    tick_after(&world, 10 * MINUTE).await;
    assert_eq!(begun(&world), (1, 1));
    // Monotonic time may stand still while a machine sleeps; the wall clock is right again when it wakes.
    assert_eq!(tick_at(&world, "2026-03-05T13:07:00Z").await, (2, 2));
    assert_eq!(tick_at(&world, "2026-03-05T13:07:01Z").await, (2, 2));
    assert_eq!(tick_at(&world, "2026-03-05T13:10:00Z").await, (3, 2));
    world.end().await;
}

#[tokio::test]
async fn a_walk_that_is_longer_than_its_period_is_not_joined_by_another_and_is_not_made_up_for() {
    let world = World::with(&every("0 */10 * * * *", YEARLY, "UTC")).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), Fault::hold(&gate));
    world.clock.advance(10 * MINUTE);
    world.tick().await;
    gate.arrived(1).await;
    for _ in 0..3 {
        world.clock.advance(10 * MINUTE);
        world.tick().await;
    }
    assert_eq!(begun(&world), (1, 0));
    assert_eq!(world.stage.primero.log().count(Endpoint::ChangedCases), 1);
    gate.open();
    tick_after(&world, SECOND).await;
    assert_eq!(begun(&world), (1, 0), "what was left out is not made up for");
    tick_after(&world, 10 * MINUTE).await;
    assert_eq!(begun(&world), (2, 0));
    world.end().await;
}

#[tokio::test]
async fn one_walk_under_way_does_not_keep_the_other_waiting() {
    let world = World::with(&every("0 */10 * * * *", "0 */10 * * * *", "UTC")).await;
    let gate = Gate::closed();
    // What the first request proves about the password is proved already.
    world.walk(Walk::Decisions).await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), Fault::hold(&gate));
    world.clock.advance(10 * MINUTE);
    world.tick().await;
    gate.arrived(1).await;
    let finished = |world: &World| world.lines().iter().filter(|line| line.event == Event::PollFinished).count();
    while finished(&world) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(begun(&world), (1, 2));
    gate.open();
    tick_after(&world, SECOND).await;
    assert_eq!(finished(&world), 3);
    world.end().await;
}

#[tokio::test]
async fn a_walk_that_failed_is_tried_again_at_its_next_time_and_not_before() {
    let world = World::with(&every("0 */10 * * * *", YEARLY, "UTC")).await;
    let fault = world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(500));
    tick_after(&world, 10 * MINUTE).await;
    assert!(world.heard(Event::PollFailed));
    for _ in 0..9 {
        tick_after(&world, MINUTE).await;
    }
    assert_eq!(begun(&world), (1, 0));
    fault.pull();
    tick_after(&world, MINUTE).await;
    assert_eq!(begun(&world), (2, 0));
    assert!(world.heard(Event::PollFinished));
    world.end().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_walk_and_the_next_start_walks_again() {
    let mut world = World::with(&every("0 */10 * * * *", YEARLY, "UTC")).await;
    let gate = Gate::closed();
    let child = world.child_referred(serde_json::json!({}));
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), Fault::hold(&gate));
    world.clock.advance(10 * MINUTE);
    world.tick().await;
    gate.arrived(1).await;
    world.stop().await;
    assert_eq!(world.lines().last().map(|line| line.event), Some(Event::ShutDown));
    gate.open();
    world.start().await;
    tick_after(&world, HOUR).await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    assert_eq!(sent_ids(&world), [child.2]);
    world.end().await;
}
