//! Sick systems: what is tried, how often, and that nothing bad holds up anything good.

use std::{collections::BTreeSet, time::Duration};

use referrald::{
    activity::Event,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        primero::{BRIDGE, BRIDGE_PASSWORD, Field, FieldType},
        stage::write_secret,
    },
    spool::operator::Stopping,
    walks::WalkError,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, intervention};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An intervention for the n-th person.
fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

fn first(count: u32) -> Value {
    (1..=count).map(nth).collect()
}

/// The intervention numbers that DTP was told about.
fn told(world: &World) -> BTreeSet<String> {
    world.told_dtp().iter().map(|told| told["progres_interventionnumber"].as_str().unwrap().to_owned()).collect()
}

fn count(world: &World, event: &str) -> usize {
    world.events().iter().filter(|other| *other == event).count()
}

#[tokio::test]
async fn three_faults_in_a_row_from_different_errands_make_a_system_unwell_until_one_succeeds() {
    let short: &[_] = &[("REFERRALD__DTP__TIMEOUT", "300ms")];
    let faults = [502, 503, 504].map(Fault::status).into_iter().chain([Fault::cut()]).map(|fault| (fault, &[][..]));
    for (fault, settings) in faults.chain([(Fault::delay(DAY), short)]) {
        let mut world = World::with(settings).await;
        let fault = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), fault);
        world.refer(first(6)).await;
        assert_eq!(count(&world, "unwell"), 1);
        assert!(fault.met() <= 6, "nobody is asked again before a pause is over");
        let (status, page) = world.page("/readyz").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["dtp"]["state"], "unwell");

        world.stage.dtp.log().clear();
        for _ in 0..20 {
            let before = fault.met();
            world.pass(MINUTE).await;
            assert!(fault.met() <= before + 1, "one attempt, then a pause");
        }
        assert!(fault.met() > 6);
        fault.pull();
        // An answer that comes is in time, however busy the machine is. How DTP is, is known as before.
        world.change_settings(&[]);
        world.reload().await;
        world.pass(16 * MINUTE).await;
        world.pass(16 * MINUTE).await;
        assert_eq!(count(&world, "well"), 1);
        assert_eq!(told(&world).len(), 6);
        world.end().await;
    }
}

#[tokio::test]
async fn one_errand_that_fails_again_and_again_makes_nobody_unwell() {
    for status in [500, 502] {
        let world = World::new().await;
        let bad = world.stage.dtp.faults().plant(Rule::any().naming("989-26-TEST-0001"), Fault::status(status));
        world.refer(first(5)).await;
        for _ in 0..10 {
            world.pass(20 * MINUTE).await;
        }
        assert!(bad.met() >= 10, "{status}: it is tried again");
        assert_eq!(told(&world).len(), 4, "{status}: the others went");
        assert_eq!(count(&world, "unwell"), 0, "{status}");
        world.end_unsettled().await;
    }
}

#[tokio::test]
async fn a_500_for_many_errands_counts_against_each_of_them_only() {
    let world = World::new().await;
    let bad = world.stage.dtp.faults().plant(Rule::any(), Fault::status(500));
    world.refer(first(6)).await;
    assert_eq!(bad.met(), 6);
    assert_eq!(count(&world, "unwell"), 0);
    bad.pull();
    world.pass(HOUR).await;
    assert_eq!(told(&world).len(), 6);
    world.end().await;
}

#[tokio::test]
async fn pauses_grow_from_the_first_to_the_longest() {
    let world = World::new().await;
    let bad = world.stage.dtp.faults().plant(Rule::any(), Fault::status(500));
    world.refer(json!([nth(1)])).await;
    let dues = |world: &World| {
        let lines = world.lines();
        let dues: Vec<_> = lines.iter().filter(|line| line.event == Event::Later).filter_map(|line| line.due).collect();
        dues
    };
    let mut pauses = Vec::new();
    for attempt in 1..=14 {
        let due = dues(&world).last().copied().unwrap();
        let pause = (due - world.clock.now()).to_std().unwrap();
        pauses.push(pause);
        world.pass(pause).await;
        assert_eq!(bad.met(), attempt + 1);
    }
    assert!(pauses[0] >= 5 * SECOND && pauses[0] <= 10 * SECOND, "{pauses:?}");
    assert!(pauses[4] >= 60 * SECOND, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 30 * MINUTE), "{pauses:?}");
    assert!(pauses[13] >= 15 * MINUTE, "{pauses:?}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn while_one_system_is_blocked_the_other_is_tried_again_in_its_own_time() {
    let world = World::new().await;
    world.refer(json!([nth(1)])).await;
    // DTP stumbles once over the second; then Primero refuses the third.
    world.stage.dtp.faults().plant(Rule::any().naming("989-26-TEST-0002").once(), Fault::status(500));
    world.refer(json!([nth(2)])).await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([nth(3)])).await;
    assert_eq!(count(&world, "blocked unauthorized"), 1);
    world.pass(MINUTE).await;
    assert_eq!(told(&world).len(), 2, "what DTP alone is needed for does not wait for Primero's probe");
    world.end_unsettled().await;
}

#[tokio::test]
async fn at_the_start_one_request_goes_alone_until_primero_has_accepted_the_password() {
    let mut world = World::without_daemon(&[]).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::any().once(), Fault::hold(&gate));
    world.stage.primero.faults().plant(Rule::any().once(), Fault::status(500));
    world.start().await;
    let (status, _) = world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": first(4) })).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    gate.open();
    world.settle().await;
    let requests = world.stage.primero.log().entries();
    let proven = requests.iter().position(|request| request.status == Some(200)).unwrap();
    for pair in requests[..=proven].windows(2) {
        assert!(pair[0].ended.unwrap() < pair[1].began, "two requests at once before the first success");
    }
    assert_eq!(requests[0].status, Some(500));
    world.pass(HOUR).await;
    assert_eq!(told(&world).len(), 4);
    world.end().await;
}

#[tokio::test]
async fn no_more_is_attempted_at_a_time_than_is_configured() {
    for (primero, dtp) in [(2, 4), (3, 1)] {
        let (to_primero, to_dtp) = (primero.to_string(), dtp.to_string());
        let world = World::with(&[("REFERRALD__PRIMERO__PARALLEL", &to_primero), ("REFERRALD__DTP__PARALLEL", &to_dtp)]).await;
        // The first request proves the password, alone.
        world.refer(json!([nth(100)])).await;
        let gate = Gate::closed();
        world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase), Fault::hold(&gate));
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": first(12) });
        assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
        gate.arrived(primero).await;
        // Who is held keeps his place, so one more than that would come now or never.
        for n in 0..20 {
            assert_eq!(world.page("/readyz").await.0, StatusCode::OK, "{n}");
        }
        assert_eq!(world.stage.primero.log().most_at_once(), primero);
        let feedback = Gate::closed();
        world.stage.dtp.faults().plant(Rule::any(), Fault::hold(&feedback));
        gate.open();
        feedback.arrived(dtp).await;
        for n in 0..20 {
            assert_eq!(world.page("/readyz").await.0, StatusCode::OK, "{n}");
        }
        assert_eq!(world.stage.dtp.log().most_at_once(), dtp);
        feedback.open();
        world.settle().await;
        assert_eq!(told(&world).len(), 13);
        assert_eq!((world.stage.primero.log().most_at_once(), world.stage.dtp.log().most_at_once()), (primero, dtp));
        world.end().await;
    }
}

fn write_password(world: &World, password: &str) {
    write_secret(&world.stage.directory().join("secrets/primero-password"), password).unwrap();
}

#[tokio::test]
async fn a_refused_password_is_tried_after_ten_minutes_then_hourly_also_over_a_restart_and_a_new_one_at_once() {
    let mut world = World::without_daemon(&[]).await;
    write_password(&world, "not-the-password");
    world.start().await;
    let asked = |world: &World| world.stage.primero.log().len();
    world.refer(first(4)).await;
    assert_eq!(asked(&world), 1, "one try");
    assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Blocked)));
    world.refer(json!([nth(5)])).await;
    world.pass(10 * MINUTE - SECOND).await;
    assert_eq!(asked(&world), 1);
    world.pass(SECOND).await;
    assert_eq!(asked(&world), 2, "one probe after ten minutes");
    world.pass(HOUR - SECOND).await;
    assert_eq!(asked(&world), 2);
    world.pass(SECOND).await;
    assert_eq!(asked(&world), 3, "then one an hour");

    for _ in 0..3 {
        world.restart().await;
        world.settle().await;
        assert!(matches!(world.try_walk(Walk::Decisions).await, Err(WalkError::Blocked)));
    }
    world.pass(HOUR - SECOND).await;
    assert_eq!(asked(&world), 3, "a restart does not try it again");
    world.pass(SECOND).await;
    assert_eq!(asked(&world), 4);
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE).0, 4);
    assert_eq!(world.stage.primero.case_count(), 0);

    world.stop().await;
    write_password(&world, "not-the-password-either");
    world.start().await;
    world.settle().await;
    assert_eq!(asked(&world), 5, "another password is tried at once");
    world.restart().await;
    world.settle().await;
    assert_eq!(asked(&world), 5, "that it was refused stands over a restart, too");
    assert_eq!(count(&world, "unblocked"), 1, "of the first one");

    world.stop().await;
    write_password(&world, BRIDGE_PASSWORD);
    world.start().await;
    world.settle().await;
    assert_eq!(told(&world).len(), 5, "a new password is tried at once");
    assert_eq!(count(&world, "unblocked"), 2);
    let blocked: i64 = world.database().query_row("SELECT count(*) FROM blocked", [], |row| row.get(0)).unwrap();
    assert_eq!(blocked, 0, "nothing is left of it, for the next time to begin with");
    world.end().await;
}

#[tokio::test]
async fn a_password_refused_while_at_work_stops_everything_at_once() {
    let world = World::new().await;
    world.refer(first(1)).await;
    let asked = world.stage.primero.log().len();
    let refused = world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    for n in 2..=6 {
        world.refer(json!([nth(n)])).await;
    }
    assert_eq!(world.stage.primero.log().len(), asked + 1);
    assert_eq!(count(&world, "blocked unauthorized"), 1);
    refused.pull();
    world.pass(10 * MINUTE).await;
    assert_eq!(told(&world).len(), 6);
    world.end().await;
}

#[tokio::test]
async fn fields_that_primero_drops_are_probed_only_with_what_was_written() {
    let world = World::new().await;
    // A referral that waits because DTP stumbled once would read in Primero and prove nothing about writing.
    let referral = Rule::on(Endpoint::DtpReferral).once();
    world.stage.dtp.faults().plant(referral, Fault::status(500).retry_after("900"));
    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0099" }));
    world.walk(Walk::Referrals).await;
    world.stage.primero.remove_field("services_section", "progres_interventionnumber");
    world.refer(first(2)).await;
    assert_eq!(count(&world, "blocked fields_not_writable"), 1);
    assert_eq!(told(&world).len(), 0);
    world.pass(20 * MINUTE).await;
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    assert_eq!(count(&world, "unblocked"), 0);
    assert_eq!(world.list(), Vec::<String>::new());
    world.stage.primero.put_field("services_section", Field::new("progres_interventionnumber", FieldType::Text));
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    assert_eq!(count(&world, "unblocked"), 1);
    assert_eq!(told(&world).len(), 2);
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn when_nothing_that_was_written_is_left_dropped_fields_hold_up_neither_a_referral_nor_a_walk() {
    for walks in [false, true] {
        let world = World::new().await;
        if !walks {
            let referral = Rule::on(Endpoint::DtpReferral).once();
            world.stage.dtp.faults().plant(referral, Fault::status(500).retry_after("900"));
            world.child_referred(json!({ "unhcr_individual_no": "989-TEST0099" }));
            world.walk(Walk::Referrals).await;
        }
        world.stage.primero.remove_field("services_section", "progres_interventionnumber");
        world.refer(first(1)).await;
        assert_eq!(count(&world, "blocked fields_not_writable"), 1);
        world.pass(20 * MINUTE).await;
        assert_eq!(world.sent_to_dtp().len(), 0);
        if walks {
            world.child_referred(json!({ "unhcr_individual_no": "989-TEST0099" }));
            assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Blocked)));
        }
        let written = world.unsettled().into_iter().find(|delivery| delivery.written).expect("one was written").id;
        let programme = world.daemon().programme();
        let stopped = programme.spool.write(move |tx| Ok(tx.stop(written, Stopping::SentOtherwise, "manager").is_ok()));
        assert!(stopped.await.unwrap());
        world.pass(HOUR).await;
        if walks {
            world.walk(Walk::Referrals).await;
        }
        assert_eq!(count(&world, "unblocked"), 1, "{walks}");
        assert_eq!(world.sent_to_dtp().len(), 1, "{walks}");
        world.end().await;
    }
}

#[tokio::test]
async fn what_was_written_in_a_flow_that_rests_holds_up_no_referral_of_the_other() {
    let world = World::new().await;
    world.stage.primero.remove_field("services_section", "progres_interventionnumber");
    world.refer(first(1)).await;
    assert_eq!(count(&world, "blocked fields_not_writable"), 1);
    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0099" }));
    assert!(matches!(world.try_walk(Walk::Referrals).await, Err(WalkError::Blocked)));
    let paused = crate::cli::on(&world, "flow pause to_primero --by CP~manager").await;
    assert_eq!(paused.exit, 0, "{paused:?}");
    world.pass(HOUR).await;
    world.walk(Walk::Referrals).await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_probe_goes_alone() {
    let world = World::new().await;
    // The first request proves the password, alone.
    world.refer(json!([nth(100)])).await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::hold(&gate));
    let refused = world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase), Fault::status(401));
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": first(2) });
    assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    while count(&world, "blocked unauthorized") == 0 {
        tokio::task::yield_now().await;
    }
    refused.pull();
    let asked = world.stage.primero.log().len();
    world.clock.advance(10 * MINUTE);
    world.daemon().upkeep().await.unwrap();
    for n in 0..20 {
        assert_eq!(world.page("/readyz").await.0, StatusCode::OK, "{n}");
    }
    assert_eq!(world.stage.primero.log().len(), asked, "one attempt is still there");
    gate.open();
    world.settle().await;
    world.pass(HOUR).await;
    assert_eq!(count(&world, "unblocked"), 1);
    assert_eq!(told(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn who_asks_for_less_than_a_pause_gets_the_pause() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::any(), Fault::status(503).retry_after("1"));
    world.refer(json!([nth(1)])).await;
    for _ in 0..4 {
        world.pass(20 * MINUTE).await;
    }
    let due = world.lines().iter().filter(|line| line.event == Event::Later).filter_map(|line| line.due).next_back();
    let pause = (due.unwrap() - world.clock.now()).to_std().unwrap();
    assert!(pause >= MINUTE, "{pause:?}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn whatever_is_unsettled_for_four_hours_is_late_and_alarms_daily() {
    let world = World::new().await;
    let fault = world.stage.dtp.faults().plant(Rule::any(), Fault::status(500));
    world.refer(first(1)).await;
    world.pass(4 * HOUR - SECOND).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(SECOND).await;
    assert_eq!(world.list(), ["late server_error"]);
    assert_eq!(count(&world, "not_delivered_in_time server_error"), 1);
    let alarmed = |world: &World| -> i64 {
        world.database().query_row("SELECT alarmed FROM entries WHERE closed IS NULL", [], |row| row.get(0)).unwrap()
    };
    let begun = world.clock.now().timestamp_millis();
    assert_eq!(alarmed(&world), begun);
    world.pass(DAY - SECOND).await;
    assert_eq!(alarmed(&world), begun);
    world.pass(SECOND).await;
    assert_eq!(alarmed(&world), world.clock.now().timestamp_millis());
    assert_eq!(count(&world, "not_delivered_in_time server_error"), 1, "said once");
    fault.pull();
    world.pass(HOUR).await;
    assert_eq!(world.list(), Vec::<String>::new(), "it leaves the list by itself");
    world.end().await;
}

#[tokio::test]
async fn what_is_held_is_looked_at_every_thirty_minutes_and_goes_when_it_is_put_right() {
    let world = World::new().await;
    let twins = [world.register(json!({})), world.register(json!({}))];
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    assert_eq!(world.list(), ["held several"]);
    let asked = world.stage.primero.log().len();
    world.pass(30 * MINUTE - SECOND).await;
    assert_eq!(world.stage.primero.log().len(), asked);
    world.pass(SECOND).await;
    assert!(world.stage.primero.log().len() > asked);
    assert_eq!(count(&world, "held several"), 1, "said once");
    world.stage.primero.staff("caseworker_testina").disable(twins[1]);
    world.pass(30 * MINUTE).await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(world.stage.primero.services(twins[0]).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_deadline_is_not_missed_because_a_pause_is_longer_nor_because_only_one_goes_at_a_time() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(first(8)).await;
    assert_eq!(count(&world, "unwell"), 1);
    for _ in 0..72 {
        world.pass(HOUR).await;
    }
    world.pass(30 * MINUTE).await;
    assert_eq!(told(&world).len(), 8, "everybody is told in time");
    for message in world.told_dtp() {
        assert_eq!(message["status"], "Delivery Fail");
    }
    world.end().await;
}

#[tokio::test]
async fn while_primero_is_blocked_the_time_runs_out_without_another_attempt() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(first(3)).await;
    world.pass(72 * HOUR - SECOND).await;
    assert_eq!(told(&world).len(), 0);
    world.pass(SECOND).await;
    assert_eq!(told(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn after_the_agreement_nothing_leaves_the_inbox_answers_503_and_walks_rest() {
    let world = World::with(&[("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-03-02T10:00:00Z")]).await;
    let fault = world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(500).retry_after("3600"));
    world.refer(first(1)).await;
    assert_eq!(fault.met(), 1);
    world.stage.primero.log().clear();
    world.stage.dtp.log().clear();
    world.clock.advance(HOUR - SECOND);
    world.pass(HOUR + 2 * SECOND).await;
    let (status, _) = world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(2)] })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    for walk in [Walk::Referrals, Walk::Decisions] {
        assert!(matches!(world.try_walk(walk).await, Err(WalkError::Resting)));
    }
    world.pass(DAY).await;
    assert!(world.stage.primero.log().is_empty());
    assert!(world.stage.dtp.log().is_empty());
    assert!(world.heard(Event::AgreementExpiring));
    world.end_unsettled().await;
}

#[tokio::test]
async fn the_end_of_the_agreement_is_announced_60_30_14_7_and_1_day_before_and_daily_once_it_has_come() {
    let world = World::with(&[("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-05-03T08:30:00Z")]).await;
    let mut announced = Vec::new();
    for left in (-2..62).rev() {
        world.forget();
        world.pass(DAY).await;
        if world.heard(Event::AgreementExpiring) {
            announced.push(left);
        }
    }
    assert_eq!(announced, [60, 30, 14, 7, 1, -1, -2]);
    world.end().await;
}

#[tokio::test]
async fn a_flow_that_is_off_answers_503_and_its_errands_wait_until_it_is_on_again() {
    let mut world = World::new().await;
    world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(500));
    world.refer(first(1)).await;
    world.restart_with(&[("REFERRALD__FLOWS__TO_PRIMERO", "false")]).await;
    let asked = (world.stage.primero.log().len(), world.stage.dtp.log().len());
    let (status, _) = world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(2)] })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(matches!(world.try_walk(Walk::Decisions).await, Err(WalkError::Resting)));
    world.pass(HOUR).await;
    assert_eq!((world.stage.primero.log().len(), world.stage.dtp.log().len()), asked);
    // The other flow goes on.
    world.child_referred(json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.restart_with(&[]).await;
    world.settle().await;
    assert_eq!(told(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_admin_pages_tell_how_things_stand() {
    let world = World::new().await;
    assert_eq!(world.page("/livez").await, (StatusCode::OK, "alive\n".to_owned()));
    let (status, page) = world.page("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    let well = json!({ "state": "well" });
    assert_eq!(
        serde_json::from_str::<Value>(&page).unwrap(),
        json!({
            "ready": true, "why": null, "primero": well, "dtp": well,
            "flows": { "to_primero": "on", "to_dtp": "on" }, "waiting": 0, "oldest": null, "operator_list": {},
            "last_walk": { "referrals": null, "decisions": null },
            "agreement_until": "2099-12-31T20:59:59Z", "certificate_until": "2090-01-01T00:00:00Z",
        })
    );
    world.stage.dtp.answer_with(403);
    world.refer(first(1)).await;
    world.walk(Walk::Referrals).await;
    world.pass(5 * MINUTE).await;
    let (status, page) = world.page("/readyz").await;
    assert_eq!(status, StatusCode::OK, "a system that is blocked is content, not status");
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        page["dtp"],
        json!({ "state": "blocked", "reason": "forbidden", "since": "2026-03-02T08:00:00Z", "next_probe": "2026-03-02T08:10:00Z" })
    );
    assert_eq!((&page["waiting"], &page["oldest"]), (&json!(1), &json!("2026-03-02T08:00:00Z")));
    assert_eq!(page["last_walk"], json!({ "referrals": "2026-03-02T08:00:00Z", "decisions": null }));
    let (status, page) = world.page("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "referrald_settled_total{errand=\"open_intervention\",state=\"delivered\"} 1",
        "referrald_deliveries{errand=\"send_feedback\",state=\"waiting\"} 1",
        "referrald_addressee_blocked{addressee=\"dtp\"} 1",
        "referrald_addressee_blocked{addressee=\"primero\"} 0",
        "referrald_oldest_unsettled_seconds 300.0",
    ] {
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
    assert_eq!(world.page("/inbox").await.0, StatusCode::NOT_FOUND);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_state_without_room_is_not_ready_and_the_inbox_says_so() {
    let world = World::with(&[("REFERRALD__STATE__MAX_SIZE", "1 MiB")]).await;
    world.stage.primero.go_down().await;
    let mut answers = BTreeSet::new();
    let note = "<p>Invented. </p>".repeat(2000);
    for n in 1..=60 {
        let mut row = nth(n);
        row["progres_interventiondescription"] = json!(note);
        let (status, _) = world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] })).await;
        answers.insert(status.as_u16());
    }
    assert_eq!(answers, BTreeSet::from([202, 503]));
    let (status, page) = world.page("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["why"], "the state has reached state.max_size");
    world.end_unsettled().await;
}
