//! Copies of the state, a move, the change of its keys, and the emergency stop: on a daemon that runs, and on a state that nobody runs.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use referrald::{
    activity::Event,
    referral::Walk,
    sandbox::{Endpoint, Fault, Gate, Rule, stage::write_secret},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Answered, on, operator::exception, with};
use crate::world::{World, intervention};

const HOUR: Duration = Duration::from_secs(3600);

fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

fn services_of(world: &World, n: u32) -> usize {
    let cases = world.cases_of(&format!("989-TEST{n:04}"));
    cases.iter().map(|case| world.stage.primero.services(*case).len()).sum()
}

/// What was said at the end, with the folder of the world as DIR.
#[track_caller]
fn done(world: &World, answered: &Answered) -> String {
    assert_eq!(answered.exit, 0, "{answered:?}");
    let said = answered.rows.last().and_then(|row| row["done"].as_str()).expect("something was done");
    said.replace(&world.stage.directory().display().to_string(), "DIR")
}

#[track_caller]
fn failed(world: &World, answered: &Answered) -> (i32, String) {
    let said = answered.error.trim_end().replace(&world.stage.directory().display().to_string(), "DIR");
    (answered.exit, said)
}

fn parcels(database: &Path) -> u64 {
    let database = rusqlite::Connection::open(database).unwrap();
    database.query_row("SELECT count(*) FROM parcels", [], |row| row.get(0)).unwrap()
}

/// One is delivered, a referral has left, two wait because Primero fails for them.
async fn busy() -> (World, impl Fn()) {
    let world = World::new().await;
    world.refer(json!([nth(1)])).await;
    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0090" }));
    world.walk(Walk::Referrals).await;
    let trouble =
        [2, 3].map(|n| world.stage.primero.faults().plant(Rule::any().naming(format!("989-TEST000{n}")), Fault::status(500)));
    world.refer(json!([nth(2), nth(3)])).await;
    assert_eq!(world.unsettled().len(), 2);
    (world, move || trouble.iter().for_each(|trouble| trouble.pull()))
}

/// Primero's writes so far.
fn writes(world: &World) -> [usize; 3] {
    let log = world.stage.primero.log();
    [Endpoint::CreateCase, Endpoint::PatchCase, Endpoint::PatchReferral].map(|endpoint| log.count(endpoint))
}

#[tokio::test]
async fn a_copy_that_was_only_put_in_place_is_started_as_one_in_which_referrals_may_have_left() {
    let mut world = World::new().await;
    // An exception waits for a person.
    exception(&world);
    world.walk(Walk::Referrals).await;
    let held = world.unsettled().pop().expect("it is held");
    assert!(!held.may_have_acted);
    let copies = world.stage.directory().join("copies");
    fs::create_dir(&copies).unwrap();
    let file = copies.join("state.copy");
    done(&world, &on(&world, &format!("state backup {}", file.display())).await);
    world.stop().await;
    // By hand, or broken off: `state restore` did not come to its end.
    let elsewhere = world.stage.directory().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&file, elsewhere.join("state.sqlite")).unwrap();
    world.change_settings(&[("REFERRALD__STATE__DIRECTORY", elsewhere.to_str().unwrap())]);
    world.start().await;
    assert!(world.delivery(held.id).may_have_acted);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_copy_of_a_running_state_leaves_content_out_and_what_needed_it_is_told_after_a_restore() {
    let (mut world, heal) = busy().await;
    let copies = world.stage.directory().join("copies");
    fs::create_dir(&copies).unwrap();
    let file = copies.join("state.copy");
    let backup = format!("state backup {}", file.display());
    assert_eq!(
        done(&world, &on(&world, &backup).await),
        "DIR/copies/state.copy: everything but the content of 2 deliveries that wait (hint: keep the state key elsewhere; without it the \
         copy cannot be used)"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((parcels(&file), parcels(&world.state_directory().join("state.sqlite"))), (0, 2));
    assert!(
        world
            .lines()
            .iter()
            .any(|line| line.event == Event::Operator && line.who.as_deref().unwrap().ends_with(": state backup"))
    );
    // Never over anything, never beside the key, never into the state itself.
    assert_eq!(
        failed(&world, &on(&world, &backup).await),
        (
            1,
            "DIR/copies/state.copy: is there already, and nothing is overwritten (hint: name a file that is not there)"
                .to_owned()
        )
    );
    let beside = world.stage.directory().join("secrets/state.copy");
    assert_eq!(on(&world, &format!("state backup {}", beside.display())).await.exit, 2);
    let inside = world.state_directory().join("copy.sqlite");
    assert_eq!(on(&world, &format!("state backup {}", inside.display())).await.exit, 1);
    assert!(!beside.exists() && !inside.exists());
    // Nothing is restored over a state, whether anybody runs it or not.
    let restore = format!("state restore {}", file.display());
    assert_eq!(on(&world, &restore).await.exit, 1);
    heal();
    world.pass(HOUR).await;
    world.stop().await;
    let refused =
        "DIR/state: is not empty, and no state is overwritten (hint: stop referrald, move what lies there away, then restore)";
    assert_eq!(failed(&world, &on(&world, &restore).await), (1, refused.to_owned()));

    let before = (writes(&world), world.told_dtp().len(), world.sent_to_dtp().len());
    let elsewhere = world.stage.directory().join("elsewhere");
    let there = [("REFERRALD__STATE__DIRECTORY", elsewhere.to_str().unwrap())];
    // The wrong key leaves nothing behind.
    write_secret(&world.stage.directory().join("secrets/wrong.key"), "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let wrong = [there[0], ("REFERRALD__STATE__KEY_FILES", "secrets/wrong.key")];
    assert_eq!(with(&world, &restore, &wrong).await.exit, 69);
    let said = done(&world, &with(&world, &restore, &there).await);
    assert!(
        said.contains("; 2 deliveries waited without their content and are stopped, each on the operator's list; 0 wait with it"),
        "{said}"
    );
    world.change_settings(&there);
    world.start().await;
    world.pass(HOUR).await;
    assert_eq!(world.list(), ["stopped parcel_missing", "stopped parcel_missing"]);
    assert_eq!((writes(&world), world.told_dtp().len(), world.sent_to_dtp().len()), before, "nothing is done again");
    // If UNHCR sends again what was lost, it is found where it stands.
    world.refer(json!([nth(1), nth(2), nth(3)])).await;
    assert_eq!(writes(&world), before.0);
    assert_eq!([services_of(&world, 1), services_of(&world, 2), services_of(&world, 3)], [1; 3]);
    world.end().await;
}

#[tokio::test]
async fn a_move_takes_everything_and_doubles_nothing() {
    let (mut world, heal) = busy().await;
    let file = world.stage.directory().join("move.copy");
    let said = done(&world, &on(&world, &format!("state backup {} --for-move", file.display())).await);
    assert!(
        said.starts_with(
            "DIR/move.copy: everything, with the sealed content of 2 deliveries that wait (hint: nothing may go on here"
        ),
        "{said}"
    );
    // It goes on for a while against the advice; then the copy is used.
    heal();
    let (_, _, left) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0091" }));
    world.walk(Walk::Referrals).await;
    world.pass(HOUR).await;
    world.stop().await;
    let before = writes(&world);
    let elsewhere = world.stage.directory().join("elsewhere");
    let there = [("REFERRALD__STATE__DIRECTORY", elsewhere.to_str().unwrap())];
    let said = done(&world, &with(&world, &format!("state restore {}", file.display()), &there).await);
    assert!(
        said.starts_with("restored the copy of 20")
            && said.contains("; 0 deliveries waited without")
            && said.contains("; 2 wait with it"),
        "{said}"
    );
    world.change_settings(&there);
    world.start().await;
    world.pass(HOUR).await;
    world.walk(Walk::Referrals).await;
    assert_eq!(writes(&world), before, "nothing is written again");
    assert_eq!([services_of(&world, 1), services_of(&world, 2), services_of(&world, 3)], [1; 3]);
    let sent: Vec<_> = world.sent_to_dtp().iter().filter(|sent| sent["id"] == left).cloned().collect();
    assert_eq!(sent.len(), 2, "the copy did not know that it had left");
    assert_eq!(sent[0], sent[1]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn what_is_no_copy_restores_nothing() {
    let world = World::without_daemon(&[]).await;
    let file = world.stage.directory().join("no.copy");
    let restore = format!("state restore {}", file.display());
    assert_eq!(failed(&world, &on(&world, &restore).await), (1, "DIR/no.copy: there is no such file".to_owned()));
    fs::write(&file, "Testina").unwrap();
    assert_eq!(on(&world, &restore).await.exit, 1);
    rusqlite::Connection::open(world.stage.directory().join("other.copy"))
        .unwrap()
        .execute_batch("CREATE TABLE other (x)")
        .unwrap();
    let other = format!("state restore {}", world.stage.directory().join("other.copy").display());
    let said =
        "DIR/other.copy: is no state that this referrald knows (schema 1) (hint: the version that made the copy can restore it)";
    assert_eq!(failed(&world, &on(&world, &other).await), (1, said.to_owned()));
    assert!(!world.state_directory().join("state.sqlite").exists());
}

#[tokio::test]
async fn everything_that_waits_is_erased_at_once_and_stopped_and_unhcr_is_told_nothing() {
    for running in [true, false] {
        let (mut world, heal) = busy().await;
        if !running {
            world.stop().await;
        }
        let told = world.told_dtp().len();
        let refused = on(&world, "state erase --parcels --confirm gambela").await;
        assert_eq!((refused.exit, parcels(&world.state_directory().join("state.sqlite"))), (2, 2), "{refused:?}");
        assert_eq!(
            done(&world, &on(&world, "state erase --parcels --confirm sandbox").await),
            "2 deliveries are stopped and their content erased; UNHCR is told nothing by this system; it is overwritten on the disk"
        );
        let file = world.state_directory().join("state.sqlite");
        assert_eq!(parcels(&file), 0);
        let log = fs::metadata(file.with_extension("sqlite-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "nothing of it lies in the log");
        heal();
        if !running {
            world.start().await;
        }
        world.pass(HOUR).await;
        assert_eq!(world.list(), ["stopped content_erased", "stopped content_erased"]);
        assert_eq!((world.unsettled(), world.told_dtp().len()), (vec![], told));
        let operator: i64 = world
            .database()
            .query_row("SELECT count FROM story WHERE event = 'operator' AND who LIKE '%: state erase --parcels'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(operator, 2);
        // UNHCR may send it again.
        world.refer(json!([nth(2)])).await;
        assert_eq!(services_of(&world, 2), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_being_attempted_loses_its_content_and_ends_by_itself() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::hold(&gate));
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(1)] });
    assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    let said = done(&world, &on(&world, "state erase --parcels --confirm sandbox").await);
    assert!(said.starts_with("nothing waited that UNHCR had sent; 1 more are being attempted"), "{said}");
    assert_eq!(parcels(&world.state_directory().join("state.sqlite")), 0);
    gate.open();
    world.settle().await;
    assert_eq!((services_of(&world, 1), world.told_dtp().len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn everything_is_sealed_with_the_first_key_and_the_old_one_may_go() {
    for running in [true, false] {
        let (mut world, heal) = busy().await;
        write_secret(&world.stage.directory().join("secrets/new.key"), "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        let both = [("REFERRALD__STATE__KEY_FILES", "secrets/new.key,secrets/state.key")];
        let new = [("REFERRALD__STATE__KEY_FILES", "secrets/new.key")];
        if running {
            let early = with(&world, "state rotate", &both).await;
            assert_eq!(early.exit, 1);
            assert!(early.error.contains("(hint: let the daemon read its configuration again, then ask again)"), "{early:?}");
            world.change_settings(&new);
            assert!(world.try_reload().await.is_err(), "the old one is needed");
            world.change_settings(&both);
            world.reload().await;
        } else {
            world.stop().await;
        }
        let said = done(&world, &with(&world, "state rotate", &both).await);
        assert_eq!(
            said,
            "the identity key is sealed with the key `4bb06f8e`, and the content of 2 deliveries was sealed anew with it; nothing here needs \
             another key (hint: the old one may leave `state.key_files`; a copy of the state that was made before still needs it)"
        );
        let database = world.database();
        let mut names = database.prepare("SELECT key_name FROM parcels UNION ALL SELECT key_name FROM identity").unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(names, ["4bb06f8e"; 3]);
        world.change_settings(&new);
        fs::remove_file(world.stage.directory().join("secrets/state.key")).unwrap();
        if running {
            world.reload().await;
        } else {
            world.start().await;
        }
        heal();
        world.pass(HOUR).await;
        assert_eq!([services_of(&world, 1), services_of(&world, 2), services_of(&world, 3)], [1; 3]);
        world.refer(json!([nth(1)])).await;
        assert!(world.heard(Event::Unchanged), "what was delivered is still known");
        world.end().await;
    }
}
