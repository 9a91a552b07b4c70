//! Yesterday's backup, and a clock that jumps: repeats towards DTP are possible, anything twice in Primero is not.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::TimeDelta;
use referrald::{
    clock::Clock,
    referral::Walk,
    sandbox::{Endpoint, Fault, Rule},
};
use serde_json::{Value, json};

use crate::world::{World, intervention, start};

const HOUR: Duration = Duration::from_secs(3600);

fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

fn person(n: u32) -> String {
    format!("989-TEST{n:04}")
}

/// Copies what lies in a directory, as a backup does while the daemon is stopped.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    let files: Vec<PathBuf> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in files.iter().filter(|path| path.is_file()) {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// How often DTP was told about a number with this status.
fn told(world: &World, n: u32, status: &str) -> usize {
    let number = format!("989-26-TEST-{n:04}");
    world.told_dtp().iter().filter(|told| told["progres_interventionnumber"] == number && told["status"] == status).count()
}

fn sent(world: &World, outgoing: &str) -> usize {
    world.sent_to_dtp().iter().filter(|sent| sent["id"] == outgoing).count()
}

/// A case worker accepts the intervention of a person.
fn accept(world: &World, n: u32) {
    let case = world.case_of(&person(n));
    let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
    let staff = world.stage.primero.staff("caseworker_testina");
    staff.edit_service(case, service, json!({ "unhcr_referral_status": "accepted" }));
}

#[tokio::test]
async fn yesterdays_backup_repeats_towards_dtp_and_does_nothing_twice_in_primero() {
    let mut world = World::new().await;
    let backup = world.stage.directory().join("backup");
    // Before the backup: one is delivered, one waits, a referral has left.
    world.refer(json!([nth(1)])).await;
    let trouble = world.stage.primero.faults().plant(Rule::any().naming(person(2)), Fault::status(500));
    world.refer(json!([nth(2)])).await;
    let (_, before, before_outgoing) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0090" }));
    world.walk(Walk::Referrals).await;
    world.stop().await;
    copy(&world.state_directory(), &backup);

    // After it: the second is delivered, a third comes, both sides decide, another referral leaves.
    trouble.pull();
    world.start().await;
    world.pass(HOUR).await;
    world.refer(json!([nth(3)])).await;
    world.decide(json!([{ "progres_orgreferralid": before_outgoing, "progres_reviewdecision": "125080000" }])).await;
    accept(&world, 1);
    world.walk(Walk::Decisions).await;
    let (_, after, after_outgoing) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0091" }));
    world.walk(Walk::Referrals).await;
    world.decide(json!([{ "progres_orgreferralid": after_outgoing, "progres_reviewdecision": "125080001" }])).await;
    assert_eq!(world.unsettled(), []);
    let people = [1, 2, 3];
    let saves = people.map(|n| world.stage.primero.saves(world.case_of(&person(n))));
    let writes = |world: &World| {
        let log = world.stage.primero.log();
        [Endpoint::CreateCase, Endpoint::PatchCase, Endpoint::PatchReferral].map(|endpoint| log.count(endpoint))
    };
    let written = writes(&world);
    let counts = [told(&world, 1, "Pending Acknowledgement"), told(&world, 2, "Pending Acknowledgement")];
    assert_eq!((counts, told(&world, 1, "acknowledged"), sent(&world, &after_outgoing)), ([1, 1], 1, 1));
    world.stop().await;

    copy(&backup, &world.state_directory());
    world.start().await;
    world.pass(HOUR).await;
    world.walk(Walk::Referrals).await;
    world.walk(Walk::Decisions).await;
    // If UNHCR posts again what we have forgotten, it is found where it stands.
    world.refer(json!([nth(3)])).await;
    world.decide(json!([{ "progres_orgreferralid": before_outgoing, "progres_reviewdecision": "125080000" }])).await;
    world.pass(HOUR).await;

    assert_eq!(writes(&world), written, "nothing is written again");
    for (n, saves) in people.into_iter().zip(saves) {
        let case = world.case_of(&person(n));
        assert_eq!(world.stage.primero.saves(case), saves, "person {n}");
        assert_eq!(world.stage.primero.services(case).len(), 1, "person {n}");
    }
    let feedback = people.map(|n| told(&world, n, "Pending Acknowledgement"));
    assert_eq!(feedback, [1, 2, 2], "what the backup knew as told is not told again");
    assert_eq!(told(&world, 1, "acknowledged"), 2, "a decision that the backup did not know is reported again");
    assert_eq!(sent(&world, &before_outgoing), 1, "what the backup knew as sent is not sent again");
    assert_eq!(sent(&world, &after_outgoing), 1, "UNHCR has decided on it, so it is not in progress any more");
    for (referral, status) in [(before, "accepted"), (after, "rejected")] {
        assert_eq!(world.stage.primero.referral(referral).unwrap()["status"], status);
    }
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_left_after_the_backup_leaves_again_under_the_same_id() {
    let mut world = World::new().await;
    let backup = world.stage.directory().join("backup");
    world.stop().await;
    copy(&world.state_directory(), &backup);
    world.start().await;
    let (_, _, outgoing) = world.child_referred(json!({}));
    world.walk(Walk::Referrals).await;
    world.stop().await;
    copy(&backup, &world.state_directory());
    world.start().await;
    world.walk(Walk::Referrals).await;
    let messages = world.sent_to_dtp();
    assert_eq!(messages.len(), 2, "the backup did not know that it had left");
    assert_eq!((&messages[0], messages[0]["id"].as_str()), (&messages[1], Some(outgoing.as_str())));
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_at_any_time_loses_and_doubles_nothing() {
    for first in [-1, 1] {
        let mut world = World::without_daemon(&[]).await;
        // The clock of the daemon's machine is not Primero's.
        world.clock = Clock::manual(start());
        world.start().await;
        let mut days = 0;
        let mut jump = |world: &World| {
            days = if days == 0 { first } else { -days };
            world.clock.set_wall(world.clock.now() + TimeDelta::days(days));
        };
        // While an intervention waits for Primero, and its feedback for DTP.
        world.stage.primero.go_down().await;
        world.refer(json!([nth(1)])).await;
        jump(&world);
        world.settle().await;
        world.stage.primero.come_up().await.unwrap();
        world.stage.dtp.go_down().await;
        world.pass(HOUR).await;
        jump(&world);
        world.restart().await;
        world.settle().await;
        world.stage.dtp.come_up().await.unwrap();
        world.pass(HOUR).await;
        assert_eq!(told(&world, 1, "Pending Acknowledgement"), 1, "first {first}");
        // Between a referral and the walk, the walk and the decision on it, a decision and its report.
        let (_, referral, outgoing) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0090" }));
        jump(&world);
        world.walk(Walk::Referrals).await;
        jump(&world);
        world.decide(json!([{ "progres_orgreferralid": outgoing, "progres_reviewdecision": "125080000" }])).await;
        world.stage.clock.advance(HOUR);
        accept(&world, 1);
        jump(&world);
        world.walk(Walk::Decisions).await;
        for _ in 0..4 {
            jump(&world);
            world.walk(Walk::Referrals).await;
            world.walk(Walk::Decisions).await;
            world.pass(HOUR).await;
        }
        assert_eq!((world.stage.primero.case_count(), world.stage.primero.services(world.case_of(&person(1))).len()), (2, 1));
        assert_eq!((sent(&world, &outgoing), told(&world, 1, "acknowledged")), (1, 1), "first {first}");
        assert_eq!(world.stage.primero.referral(referral).unwrap()["status"], "accepted");
        assert_eq!(world.told_dtp().len(), 2, "first {first}");
        world.end().await;
    }
}
