//! The state: who may open it, with which keys, what happens when it cannot be written, and what it forgets when.

use std::{fs, path::Path, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use referrald::{
    activity::Event,
    daemon::StartError,
    referral::{Errand, Walk},
    sandbox::{Endpoint, Fault, Gate, Rule, stage::write_secret},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, intervention, start};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An intervention for the n-th person.
fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

/// A world in which one intervention waits, because Primero is down, and whose daemon has stopped.
async fn one_waits() -> World {
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([nth(1)])).await;
    world.stop().await;
    world.stage.primero.come_up().await.unwrap();
    world
}

/// Writes a state key.
fn write_key(world: &World, name: &str, fill: u8) {
    let secrets = world.stage.directory().join("secrets");
    write_secret(&secrets.join(name), &BASE64_STANDARD.encode([fill; 32])).unwrap();
}

async fn refusal(world: &mut World) -> (String, bool) {
    let error = world.try_start().await.expect_err("the start is refused");
    (error.to_string(), error.is_configuration())
}

const KEYS: &str = "REFERRALD__STATE__KEY_FILES";

#[tokio::test]
async fn keys_rotate_while_parcels_wait() {
    let mut world = one_waits().await;
    write_key(&world, "new.key", 7);
    let old_name: String = world.database().query_row("SELECT key_name FROM identity", [], |row| row.get(0)).unwrap();

    // The new key alone: the identity key cannot be opened.
    world.change_settings(&[(KEYS, "secrets/new.key")]);
    let needs = format!(
        "the state key `{old_name}` that this state needs is not among state.key_files (hint: add the old key file after the new one; it may go when nothing waits that it sealed)"
    );
    assert_eq!(refusal(&mut world).await, (needs.clone(), false));

    // Both, the new one first: the identity key is sealed anew, the parcel still opens.
    world.change_settings(&[(KEYS, "secrets/new.key,secrets/state.key")]);
    world.stage.primero.go_down().await;
    world.start().await;
    world.settle().await;
    world.stop().await;
    let name: String = world.database().query_row("SELECT key_name FROM identity", [], |row| row.get(0)).unwrap();
    assert_ne!(name, old_name);

    // The old one may not go while the parcel waits that it sealed.
    world.change_settings(&[(KEYS, "secrets/new.key")]);
    assert_eq!(refusal(&mut world).await, (needs, false));

    world.change_settings(&[(KEYS, "secrets/new.key,secrets/state.key")]);
    world.stage.primero.come_up().await.unwrap();
    world.start().await;
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp().len(), 1);

    // Now it may, and what was delivered is still known.
    world.restart_with(&[(KEYS, "secrets/new.key")]).await;
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.events().last().map(String::as_str), Some("unchanged"));
    assert_eq!(world.stage.primero.case_count(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_used_state_without_its_identity_key_is_refused() {
    let mut world = one_waits().await;
    world.database().execute("DELETE FROM identity", []).unwrap();
    assert_eq!(
        refusal(&mut world).await.0,
        "this state has been used, but its identity key is gone: what was delivered could not be recognised (hint: restore the whole state directory from a backup)"
    );
}

#[tokio::test]
async fn a_damaged_identity_key_is_refused() {
    let mut world = one_waits().await;
    world.database().execute("UPDATE identity SET sealed = zeroblob(72)", []).unwrap();
    assert_eq!(
        refusal(&mut world).await.0,
        "the identity key in the state cannot be opened: it was damaged, or a key file has changed under its name (hint: put the key file back as it was, or restore the whole state directory from a backup)"
    );
}

#[tokio::test]
async fn a_state_of_a_newer_referrald_is_refused() {
    let mut world = one_waits().await;
    world.database().execute("UPDATE meta SET value = 99 WHERE name = 'schema'", []).unwrap();
    let (sentence, _) = refusal(&mut world).await;
    let state = world.state_directory().join("state.sqlite");
    assert_eq!(
        sentence,
        format!(
            "{}: this state was written by a newer referrald (schema 99; this one knows 1) (hint: start the newer one, or go back to the copy from before)",
            state.display()
        )
    );
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() {
    let mut world = World::new().await;
    let (sentence, is_configuration) = refusal(&mut world).await;
    let hint = "another referrald is using this state (hint: one process per state.directory; stop the other one first)";
    assert_eq!(sentence, format!("{}: {hint}", world.state_directory().display()));
    assert!(!is_configuration);
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_is_refused() {
    // No directory can be made in /proc, not even by root, and none where a file lies.
    for (directory, why) in [("/proc/referrald-test", "it cannot be made"), ("referrald.toml", "something else lies there")] {
        let mut world = World::without_daemon(&[("REFERRALD__STATE__DIRECTORY", directory)]).await;
        let error = world.try_start().await.expect_err("the start is refused");
        assert!(matches!(error, StartError::State(_)), "{directory}");
        let sentence = error.to_string();
        assert!(sentence.ends_with(&format!("{directory}: {why} (hint: look at `state.directory`)")), "{sentence}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_refused_and_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (key, setting) in [("inbox.listen", "REFERRALD__INBOX__LISTEN"), ("admin.listen", "REFERRALD__ADMIN__LISTEN")] {
        let mut world = World::without_daemon(&[(setting, &taken)]).await;
        let hint = "another program listens there (hint: `ss -ltnp` shows which; stop it, or take another port)";
        assert_eq!(refusal(&mut world).await, (format!("{key} = \"{taken}\": {hint}"), false));
        // Nothing is left behind: with a free address it starts.
        world.restart_with(&[]).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_state_is_refused_without_a_word_of_its_content() {
    let mut world = World::without_daemon(&[]).await;
    fs::create_dir(world.state_directory()).unwrap();
    fs::write(world.state_directory().join("state.sqlite"), "Testina Examplename ".repeat(500)).unwrap();
    let (sentence, _) = refusal(&mut world).await;
    let state = world.state_directory().join("state.sqlite");
    assert_eq!(
        sentence,
        format!(
            "{}: the state could not be read or written: the file is no state of referrald (hint: look at `state.directory`)",
            state.display()
        )
    );
}

#[tokio::test]
async fn keys_inside_the_state_directory_are_refused() {
    let world = World::without_daemon(&[]).await;
    let problems = world.stage.settings(&[(KEYS, "state/state.key")]).expect_err("the settings are refused").to_string();
    assert!(
        problems.contains("`state.key_files` must not lie inside `state.directory`: a copy of the state would carry its own key")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_state() {
    use std::os::unix::fs::PermissionsExt;
    let world = one_unsettled().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.state_directory()), 0o700);
    let mut files = 0;
    for file in fs::read_dir(world.state_directory()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 3, "{files}");
    world.end_unsettled().await;
}

async fn one_unsettled() -> World {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([nth(1)])).await;
    world
}

#[tokio::test]
async fn a_wall_clock_set_back_makes_nothing_wait_longer_than_it_ever_would() {
    for held in [false, true] {
        let mut world = World::new().await;
        let twins = [world.register(json!({})), world.register(json!({}))];
        if !held {
            world.stage.primero.staff("caseworker_testina").disable(twins[1]);
            world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(503).retry_after("3600"));
        }
        world.refer(json!([nth(1)])).await;
        world.stop().await;
        world.clock.set_wall(start() - TimeDelta::days(400));
        world.stage.primero.staff("caseworker_testina").disable(twins[1]);
        world.start().await;
        world.settle().await;
        assert_eq!(world.told_dtp().len(), 0);
        world.pass(if held { 30 * MINUTE } else { HOUR }).await;
        world.settle().await;
        assert_eq!(world.told_dtp().len(), 1, "held: {held}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_wall_clock_set_forward_or_back_at_work_changes_no_pause() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(503).retry_after("600"));
    world.refer(json!([nth(1)])).await;
    world.clock.set_wall(start() + TimeDelta::hours(2));
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 0);
    world.clock.set_wall(start() - TimeDelta::days(400));
    world.pass(10 * MINUTE).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_ending_that_could_not_be_written_is_offered_again_and_nothing_is_done_twice() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::hold(&gate));
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(1)] });
    assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    gate.arrived(1).await;
    // Somebody else holds the file, as a backup tool that locks it would.
    let other = world.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    // Two that failed: this post, and in its group or before it the ending.
    for _ in 0..2 {
        let second = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(2)] });
        assert_eq!(world.post(&second).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(world.told_dtp().len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    // The attempt is under way until its ending stands.
    world.advance(MINUTE).await;
    assert_eq!(world.told_dtp().len(), 1, "DTP is not told twice");
    assert_eq!(world.events().iter().filter(|event| *event == "feedback_sent").count(), 1);
    world.end().await;
}

#[tokio::test]
async fn one_damaged_parcel_holds_up_nobody_else() {
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer((1..=3).map(nth).collect()).await;
    world.stop().await;
    world.stage.primero.come_up().await.unwrap();
    world
        .database()
        .execute("UPDATE parcels SET sealed = zeroblob(100) WHERE delivery = (SELECT min(delivery) FROM parcels)", [])
        .unwrap();
    world.start().await;
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp().len(), 2);
    world.pass(4 * HOUR).await;
    assert_eq!(world.list(), ["late server_error"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn content_of_seven_days_is_erased_dtp_is_told_nothing_and_a_person_resolves_it() {
    // Longer limits than a configuration may have: whatever else should keep content for so long, it does not.
    let world = World::changing(|settings| {
        settings.flow1.hold_for = 30 * DAY;
        settings.delivery.give_up_after = 30 * DAY;
    })
    .await;
    for _ in 0..2 {
        world.register(json!({}));
    }
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    world.decide(json!([{ "progres_orgreferralid": "abc1234#0123456789ab", "progres_reviewdecision": "125080000" }])).await;
    assert_eq!(world.unsettled().len(), 2);
    world.pass(7 * DAY - SECOND).await;
    assert_eq!(world.unsettled().len(), 2);
    world.pass(SECOND).await;
    assert_eq!(world.unsettled(), []);
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.list(), ["stopped expired", "stopped expired"]);
    world.pass(30 * DAY).await;
    assert_eq!(world.list().len(), 2, "it stays until a person resolves it");
    let parcels: i64 = world.database().query_row("SELECT count(*) FROM parcels", [], |row| row.get(0)).unwrap();
    assert_eq!(parcels, 0);
    world.end().await;
}

#[tokio::test]
async fn after_half_a_year_stories_go_but_not_what_was_delivered_watched_or_listed() {
    let world = World::new().await;
    // Delivered; refused by DTP, hence listed; sent and still watched.
    world.refer(json!([nth(1)])).await;
    world.stage.dtp.faults().plant(Rule::any().naming("989-26-TEST-0002"), Fault::status(400));
    world.refer(json!([nth(2)])).await;
    let (_, referral, _) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0099" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    let rows = |sql: &str| -> i64 { world.database().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(rows("SELECT count(*) FROM deliveries"), 5);
    world.pass(181 * DAY).await;
    world.pass(MINUTE).await;
    let left: Vec<String> = {
        let database = world.database();
        let mut statement = database.prepare("SELECT errand FROM deliveries ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let undecided = Errand::OpenIntervention.code();
    let left_over = [undecided, undecided, Errand::SendFeedback.code(), Errand::SendReferral.code()];
    assert_eq!(left, left_over, "what is listed, requests that nobody has decided among it, and what is watched");
    assert_eq!(rows("SELECT count(*) FROM story WHERE delivery NOT IN (SELECT id FROM deliveries)"), 0);

    // What was delivered is known for ever.
    world.forget();
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.events(), ["unchanged"]);
    let saves = world.stage.primero.saves(world.case_of("989-TEST0001"));
    world.refer(json!([intervention("989-26-TEST-0001", json!({ "individuals.progres_id": "989-TEST0055" }))])).await;
    assert!(world.heard(Event::ChangedAfterDelivery));
    assert_eq!(world.stage.primero.saves(world.case_of("989-TEST0001")), saves);

    // What is over is watched no more and goes.
    world.stage.primero.staff("caseworker_testina").decide(referral, "accepted", None).unwrap();
    world.stage.primero.staff("caseworker_testina").revoke(referral);
    world.pass(2 * DAY).await;
    world.pass(DAY).await;
    assert_eq!(rows("SELECT count(*) FROM deliveries WHERE watched IS NOT NULL"), 0);
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_file_shrinks_back() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    let note = "<p>Invented. </p>".repeat(2000);
    for n in 1..=100 {
        let mut row = nth(n);
        row["progres_interventiondescription"] = json!(note);
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] });
        assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
    }
    world.settle().await;
    let file = world.state_directory().join("state.sqlite");
    let size = || {
        ["", "-wal"].iter().map(|end| fs::metadata(format!("{}{end}", file.display())).map_or(0, |file| file.len())).sum::<u64>()
    };
    assert!(size() > 3_000_000, "{}", size());
    world.pass(7 * DAY).await;
    assert_eq!(world.unsettled(), []);
    world.pass(MINUTE).await;
    assert!(size() < 500_000, "{}", size());
    world.end().await;
}
