//! A flow that a person pauses rests like one that is off; and a walk reads from where a person wants it to.

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::{Endpoint, Fault, Gate, Rule, primero::CASE_WORKER},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Answered, on};
use crate::{
    flow2::sent_ids,
    world::{World, intervention},
};

const HOUR: Duration = Duration::from_secs(3600);
const NUMBER: &str = "989-26-TEST-0001";

fn post(number: &str) -> Value {
    json!({ "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": [intervention(number, json!({}))] })
}

fn done(answered: &Answered) -> String {
    assert_eq!(answered.exit, 0, "{answered:?}");
    answered.rows[0]["done"].as_str().expect("it says what was done").to_owned()
}

/// The states of both flows, as the command line shows them.
async fn states(world: &World) -> Vec<Value> {
    on(world, "flow list").await.rows.iter().map(|row| row["state"].clone()).collect()
}

#[tokio::test]
async fn a_paused_flow_takes_no_posts_and_what_waits_waits_until_it_goes_on() {
    let world = World::new().await;
    let down = world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    assert_eq!(world.post(&post(NUMBER)).await.0, StatusCode::ACCEPTED);
    world.settle().await;

    let said = done(&on(&world, "flow pause to_primero --by CPIMS+~focal~point --reason incident").await);
    assert_eq!(
        said,
        "to_primero is paused, also over restarts: its posts get 503, its readings and errands wait; `referrald flow resume \
         to_primero --by ROLE` lets it go on"
    );
    assert_eq!(states(&world).await, ["paused", "on"]);
    let who = world.lines().into_iter().filter_map(|line| line.who).collect::<Vec<_>>();
    assert!(who.len() == 1 && who[0].ends_with(" (CPIMS+ focal point): flow pause --reason incident"), "{who:?}");

    down.pull();
    assert_eq!(world.post(&post("989-26-TEST-0002")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.pass(HOUR).await;
    assert_eq!(world.unsettled().len(), 1, "what was taken waits");
    assert!(world.try_walk(Walk::Decisions).await.is_err(), "its readings wait");
    let child = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0009" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.2], "the other flow goes on");
    let ready: Value = serde_json::from_str(&world.page("/readyz").await.1).expect("JSON");
    assert_eq!((&ready["ready"], &ready["flows"]["to_primero"]), (&json!(true), &json!("paused")));

    let again = done(&on(&world, "flow pause to_primero --by somebody~else").await);
    assert!(again.contains("is paused already since 2026-03-02 ") && again.contains(", by CPIMS+ focal point; "), "{again}");
    assert_eq!(done(&on(&world, "flow resume to_primero --by CP~manager").await), "to_primero goes on now");
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(
        done(&on(&world, "flow resume to_primero --by CP~manager").await),
        "to_primero is not paused; nothing was changed"
    );
    world.end_whatever().await;
}

#[tokio::test]
async fn a_pause_is_kept_over_a_restart_and_can_be_made_and_ended_while_no_daemon_runs() {
    let mut world = World::new().await;
    world.stop().await;
    let said = done(&on(&world, "flow pause to_dtp --by CP~manager").await);
    assert!(said.contains("; no daemon runs, and the next one begins so; "), "{said}");
    world.start().await;
    let child = world.child_referred(json!({}));
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    world.restart().await;
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    assert_eq!(states(&world).await, ["on", "paused"]);
    world.stop().await;
    assert_eq!(states(&world).await, ["on", "paused"]);
    assert_eq!(done(&on(&world, "flow resume to_dtp --by CP~manager").await), "to_dtp goes on when the daemon runs");
    world.start().await;
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.2]);
    world.end().await;
}

#[tokio::test]
async fn an_attempt_that_is_under_way_is_finished_and_no_other_begins() {
    let world = World::with(&[("REFERRALD__PRIMERO__PARALLEL", "1")]).await;
    // What the first request proves about the password is proved already.
    world.walk(Walk::Decisions).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::hold(&gate));
    let second = json!({ "individuals.progres_id": "989-TEST0002" });
    let rows = json!([intervention(NUMBER, json!({})), intervention("989-26-TEST-0002", second)]);
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": rows });
    assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    let said = done(&on(&world, "flow pause to_primero --by CP~manager").await);
    assert!(said.contains("; 1 attempt that is under way is finished first; "), "{said}");
    gate.open();
    world.settle().await;
    let left: Vec<_> = world.unsettled().iter().map(|left| left.errand.code()).collect();
    assert_eq!(left, ["open_intervention", "send_feedback"], "the first arrived, its feedback and the second wait");
    done(&on(&world, "flow resume to_primero --by CP~manager").await);
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

/// A world in which a request waits for a Primero that is unwell, and its flow is paused.
async fn one_waits_paused() -> World {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    assert_eq!(world.post(&post(NUMBER)).await.0, StatusCode::ACCEPTED);
    world.settle().await;
    done(&on(&world, "flow pause to_primero --by CP~manager").await);
    world
}

#[tokio::test]
async fn who_stops_a_request_of_a_flow_that_rests_is_told_that_unhcr_hears_it_later() {
    let world = one_waits_paused().await;
    let id = world.unsettled()[0].id;
    let said = done(&on(&world, &format!("deliveries stop {id} --reason error")).await);
    assert!(said.ends_with("stopped it, as soon as `to_primero` goes on (hint: tell it by phone)"), "{said}");
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    done(&on(&world, "flow resume to_primero --by CP~manager").await);
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn time_runs_on_in_a_pause_as_in_a_flow_that_is_off() {
    let world = one_waits_paused().await;
    world.pass(71 * HOUR).await;
    let left = |world: &World| world.unsettled().iter().map(|left| left.errand.code()).collect::<Vec<_>>();
    assert_eq!(left(&world), ["open_intervention"]);
    world.pass(HOUR).await;
    assert_eq!(left(&world), ["send_feedback"], "its time is over, and UNHCR hears of it when the flow goes on");
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    done(&on(&world, "flow resume to_primero --by CP~manager").await);
    world.settle().await;
    assert_eq!(world.told_dtp()[0]["status"], "Delivery Fail");
    world.end().await;
}

/// Where the referrals of one module were read up to.
async fn read_up_to(world: &World) -> Value {
    let shown = on(world, "cursor show").await;
    assert_eq!(shown.exit, 0, "{shown:?}");
    shown.rows.iter().find(|row| row["walk"] == "referrals").expect("a row")["read_up_to"].clone()
}

#[tokio::test]
async fn a_walk_reads_again_from_an_earlier_time_and_sends_nothing_twice() {
    let mut world = World::new().await;
    assert_eq!(read_up_to(&world).await, Value::Null);
    let child = world.child_referred(json!({}));
    let walked = world.walk(Walk::Referrals).await;
    assert_eq!((walked.looks.len(), sent_ids(&world)), (1, vec![child.2.clone()]));
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.0, json!({ "name_last": "Otherwise" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 0, "nothing new");
    let before = read_up_to(&world).await;

    let said = done(&on(&world, "cursor set referrals 2026-03-02T07:00:00Z --reason restored --by system~administrator").await);
    assert!(
        said.starts_with("the walk `referrals` reads from 2026-03-02 ") && said.contains(" are read again with its next run, "),
        "{said}"
    );
    assert_eq!(read_up_to(&world).await, "2026-03-02T07:00:00Z");
    let who = world.lines().into_iter().filter_map(|line| line.who).next_back().expect("an operator");
    assert!(who.ends_with("(system administrator): cursor set referrals 2026-03-02T07:00:00Z --reason restored"), "{who}");
    assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 1, "what was looked at is looked at again");
    assert_eq!(sent_ids(&world).len(), 1, "nothing is sent twice");
    assert_eq!(read_up_to(&world).await, before);

    world.stop().await;
    done(&on(&world, "cursor set referrals 2026-03-02T07:30:00Z --reason missed --by system~administrator").await);
    assert_eq!(read_up_to(&world).await, "2026-03-02T07:30:00Z");
    let decisions = on(&world, "cursor show").await.rows.iter().filter(|row| row["walk"] == "decisions").count();
    assert_eq!(decisions, 1, "the module that is read for decisions stands there before it was read");
    world.start().await;
    assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn changes_are_left_unread_only_if_that_is_said() {
    let world = World::new().await;
    world.child_referred(json!({}));
    world.clock.advance(HOUR);
    let forward = "cursor set referrals 2026-03-02T08:30:00Z --reason cut_over --by system~administrator";
    let refused = on(&world, forward).await;
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.error.contains("would never be read") && refused.error.contains("`--leave-unread`"), "{}", refused.error);
    assert_eq!(read_up_to(&world).await, Value::Null, "nothing was changed");
    for (time, said) in [("2026-03-02T10:00:00Z", "that is still to come"), ("2019-12-31", "`schedule.start_from`")] {
        let wrong = on(&world, &format!("cursor set referrals {time} --reason missed --by manager --leave-unread")).await;
        assert!(wrong.exit == 2 && wrong.error.contains(said), "{wrong:?}");
    }
    let said = done(&on(&world, &format!("{forward} --leave-unread")).await);
    assert!(said.contains(" stay unread, until their cases change again"), "{said}");
    assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 0, "what was there before is left unread");
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    world.end().await;
}

#[tokio::test]
async fn a_walk_under_way_is_not_disturbed() {
    let world = World::new().await;
    world.walk(Walk::Decisions).await;
    let child = world.child_referred(json!({}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), Fault::hold(&gate));
    let walk = world.try_walk(Walk::Referrals);
    let meanwhile = async {
        gate.arrived(1).await;
        let refused = on(&world, "cursor set referrals 2026-03-02T07:00:00Z --reason missed --by manager").await;
        assert_eq!(refused.exit, 1);
        assert!(refused.error.starts_with("the walk `referrals` is under way and is not disturbed; "), "{}", refused.error);
        gate.open();
    };
    let (walked, ()) = tokio::join!(walk, meanwhile);
    assert_eq!(walked.expect("it ends").looks.len(), 1);
    world.settle().await;
    assert_eq!(sent_ids(&world), [child.2]);
    world.end().await;
}
