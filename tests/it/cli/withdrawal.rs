//! UNHCR tells that it withdraws a request: what waits is stopped, what stands in Primero is a person's to end.

use std::time::Duration;

use referrald::{
    activity::Event,
    sandbox::{Endpoint, Fault, Gate, Rule},
    spool::list::Kind,
};
use serde_json::{Value, json};

use super::{Answered, on};
use crate::world::{World, intervention};

const NUMBER: &str = "989-26-TEST-0001";
const HOUR: Duration = Duration::from_secs(3600);

async fn record(world: &World, received: &str) -> Answered {
    on(world, &format!("notice record --intervention {NUMBER} --received {received} --by CPIMS+~focal~point")).await
}

fn done(answered: &Answered) -> String {
    assert_eq!(answered.exit, 0, "{answered:?}");
    answered.rows[0]["done"].as_str().expect("it says what was done").to_owned()
}

async fn refer(world: &World, change: Value) {
    world.refer(json!([intervention(NUMBER, change)])).await;
}

/// What DTP was told about requests, oldest first.
fn told(world: &World) -> Vec<String> {
    let bodies = world.told_dtp();
    bodies.iter().map(|body| body["progres_primerodeliverystatus"].as_str().unwrap_or("another").to_owned()).collect()
}

#[tokio::test]
async fn what_waits_is_stopped_and_erased_and_unhcr_is_told_so() {
    let world = World::new().await;
    for _ in 0..2 {
        world.register(json!({}));
    }
    refer(&world, json!({})).await;
    assert_eq!(world.list(), ["held several"]);
    let id = world.unsettled()[0].id;
    let said = done(&record(&world, "2026-03-02").await);
    assert_eq!(
        said,
        format!(
            "{NUMBER}: delivery {id} is stopped and its content erased; nothing of it is in Primero; UNHCR is told that the CPIMS+ focal \
             point stopped it"
        )
    );
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1, "{:?}", told(&world));
    assert_eq!(world.list(), Vec::<String>::new());
    assert!(world.heard(Event::Erased));
    let lines = world.lines();
    let operator = lines.iter().find(|line| line.event == Event::Operator).expect("it is told");
    assert_eq!(operator.noticed, Some(world.clock.now()));
    assert!(operator.who.as_ref().is_some_and(|who| who.ends_with("(CPIMS+ focal point): notice record")), "{operator:?}");

    // UNHCR asks again: what was stopped is taken anew.
    refer(&world, json!({})).await;
    assert_eq!(world.list(), ["held several"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn what_was_delivered_is_a_persons_to_end_within_a_day() {
    let world = World::new().await;
    refer(&world, json!({})).await;
    assert_eq!(world.told_dtp().len(), 1);
    let said = done(&record(&world, "2026-03-02").await);
    assert!(said.contains("revoke it, write a note and close it in CPIMS+ within 24 hours (entry "), "{said}");
    assert_eq!(world.list(), ["withdrawn_by_unhcr withdrawn_by_unhcr"]);
    let entry = world.entries()[0].clone();
    assert_eq!((entry.made, entry.kind), (world.clock.now(), Kind::WithdrawnByUnhcr));
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1, "nobody is told by this system");
    assert_eq!(world.stage.primero.cases_with("status", &json!("open")).len(), 1, "nothing is written in Primero");

    let again = done(&record(&world, "2026-03-02").await);
    assert!(again.contains(&format!("as entry {} on the operator's list says already", entry.id)), "{again}");
    assert_eq!(world.entries().len(), 1);
    // The same content again is nothing new.
    refer(&world, json!({})).await;
    assert_eq!(world.entries().len(), 1);

    let shown = on(&world, &format!("deliveries show {}", entry.id)).await;
    let to_do = shown.rows.iter().find_map(|row| row["what_to_do"].as_str()).expect("it says what to do");
    assert!(to_do.contains("revoke") && to_do.contains("note") && to_do.contains("close"), "{to_do}");
    assert_eq!(on(&world, &format!("deliveries resolve {} --by CP~manager", entry.id)).await.exit, 0);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn the_clock_runs_from_when_unhcr_told_it() {
    let world = World::new().await;
    refer(&world, json!({})).await;
    world.clock.advance(72 * HOUR);
    done(&record(&world, "2026-03-02").await);
    // The day ends at midnight of the programme's zone.
    let zone = world.daemon().programme().settings.schedule.time_zone;
    assert_eq!(world.entries()[0].made.with_timezone(&zone).to_rfc3339()[..19], *"2026-03-03T00:00:00");
    world.end().await;
}

#[tokio::test]
async fn what_may_stand_in_primero_is_stopped_and_is_a_persons_to_end() {
    let mut world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    refer(&world, json!({})).await;
    world.restart().await;
    world.settle().await;
    assert!(world.unsettled()[0].may_have_acted, "a start does not know what the last run wrote");
    let said = done(&record(&world, "2026-03-02").await);
    assert!(said.contains(" is stopped and its content erased; it is, or may be, in Primero: "), "{said}");
    world.settle().await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "no `Delivery Fail` where something may stand");
    assert_eq!(world.list(), ["withdrawn_by_unhcr withdrawn_by_unhcr"]);
    world.end().await;
}

#[tokio::test]
async fn what_is_being_attempted_is_left_alone() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::hold(&gate));
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": [intervention(NUMBER, json!({}))] });
    world.post(&body).await;
    gate.arrived(1).await;
    let refused = record(&world, "2026-03-02").await;
    assert!(refused.exit == 1 && refused.error.contains("is being attempted now; try again"), "{refused:?}");
    gate.open();
    world.settle().await;
    done(&record(&world, "2026-03-02").await);
    assert_eq!(world.list(), ["withdrawn_by_unhcr withdrawn_by_unhcr"]);
    world.end().await;
}

#[tokio::test]
async fn what_was_refused_needs_nothing_and_what_never_came_is_said() {
    let mut world = World::new().await;
    let never = record(&world, "2026-03-02").await;
    assert_eq!(never.exit, 1);
    assert!(
        never.error.starts_with(&format!("nothing is known of {NUMBER}: no post ever brought it (hint: ")),
        "{}",
        never.error
    );
    let tomorrow = record(&world, "2026-03-03").await;
    assert!(tomorrow.exit == 2 && tomorrow.error.contains("this day is still to come"), "{tomorrow:?}");
    refer(&world, json!({ "individuals.progres_sex": "unknown" })).await;
    assert_eq!(world.told_dtp().len(), 1, "refused");
    let said = done(&record(&world, "2026-03-02").await);
    assert_eq!(said, format!("{NUMBER}: nothing of it waits, and nothing of it was put into Primero"));
    assert_eq!(world.list(), Vec::<String>::new());
    world.stop().await;
    assert_eq!(done(&record(&world, "2026-03-02").await), said, "also while no daemon runs");
    world.start().await;
    world.end().await;
}
