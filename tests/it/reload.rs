//! Other settings take over while everything goes on: nothing is lost, nothing is done twice, nobody is sent away.

use std::{fs, time::Duration};

use referrald::{
    activity::Event,
    config::InboxTls,
    credentials,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        pki::Wish,
        primero::{BRIDGE, BRIDGE_PASSWORD},
        stage::{INBOX_KEY, write_secret},
    },
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{World, intervention};

const MINUTE: Duration = Duration::from_secs(60);

/// An intervention for the n-th person.
fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

fn post(n: u32) -> Value {
    json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [nth(n)] })
}

fn services_of(world: &World, n: u32) -> usize {
    world.stage.primero.services(world.case_of(&format!("989-TEST{n:04}"))).len()
}

fn write(world: &World, name: &str, content: &str) {
    write_secret(&world.stage.directory().join("secrets").join(name), content).unwrap();
}

/// The last line about settings, and what it says of the mapping.
fn said_of_settings(world: &World) -> (Event, Option<String>, Option<u64>) {
    let wanted = [Event::ConfigurationReloaded, Event::ConfigurationRejected];
    let line = world.lines().into_iter().rfind(|line| wanted.contains(&line.event)).expect("something was said");
    (line.event, line.mapping, line.count)
}

#[tokio::test]
async fn other_rules_lists_and_keys_are_in_force_at_once_and_the_mapping_is_named() {
    let mut world = World::new().await;
    world.refer(json!([nth(1)])).await;
    let before = world.daemon().programme().mapping.version().to_owned();
    // Another key for the inbox, another mapping, one flow off.
    let key = format!("sha256 = \"{}\"", hex::encode(Sha256::digest("another-key")));
    let old = format!("sha256 = \"{}\"", hex::encode(Sha256::digest(INBOX_KEY)));
    world.change_configuration(|text| text.replace(&old, &key).replace("to_dtp = true", "to_dtp = false"));
    let rules = world.stage.mapping_directory().join("mapping.toml");
    let text = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, text.replace("version = \"1\"", "version = \"2\"")).unwrap();
    world.reload().await;

    let (event, mapping, _) = said_of_settings(&world);
    let after = world.daemon().programme().mapping.version().to_owned();
    assert_eq!((event, mapping), (Event::ConfigurationReloaded, Some(after.clone())));
    assert_ne!(before, after);
    assert_eq!(world.post(&post(2)).await.0, StatusCode::UNAUTHORIZED, "the old key opens nothing");
    assert_eq!(world.post_raw("another-key", "application/json", post(2).to_string()).await.0, StatusCode::ACCEPTED);
    world.settle().await;
    assert_eq!(services_of(&world, 2), 1);
    let decision =
        json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": [{ "progres_orgreferralid": "x#1" }] });
    assert_ne!(world.post_raw("another-key", "application/json", decision.to_string()).await.0, StatusCode::ACCEPTED);
    assert!(world.try_walk(Walk::Referrals).await.is_err(), "that flow rests");
    assert_eq!(world.told_dtp().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_every_reason_and_the_old_one_goes_on() {
    let mut world = World::new().await;
    fs::remove_file(world.stage.directory().join("secrets/subscription-key")).unwrap();
    fs::write(world.stage.directory().join("secrets/primero-password"), "").unwrap();
    fs::remove_file(world.stage.mapping_directory().join("mapping.toml")).unwrap();
    let elsewhere = world.stage.directory().join("elsewhere");
    world.change(|settings| {
        settings.programme = "another".to_owned();
        settings.state.directory = elsewhere;
        settings.admin.listen = "127.0.0.1:9".parse().unwrap();
    });
    let refused = world.try_reload().await.expect_err("it is refused").to_string();
    let refused = refused.replace(&world.stage.directory().display().to_string(), "DIR");
    assert_eq!(
        refused,
        "`programme` cannot change while referrald runs (hint: restart it, or put the old value back)\n\
         `admin.listen` cannot change while referrald runs (hint: restart it, or put the old value back)\n\
         `state.directory` cannot change while referrald runs (hint: restart it, or put the old value back)\n\
         DIR/mappings/gambella/mapping.toml: cannot be read: there is no such file (hint: a mapping needs it)\n\
         DIR/secrets/primero-password: is empty (hint: one line is wanted)\n\
         DIR/secrets/subscription-key: there is no such file (hint: look at the path in the configuration)"
    );
    assert_eq!(said_of_settings(&world), (Event::ConfigurationRejected, None, Some(6)));

    world.refer(json!([nth(1)])).await;
    assert_eq!((services_of(&world, 1), world.told_dtp().len()), (1, 1), "nothing has changed");
    world.end().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_with_every_reason() {
    let world = World::new().await;
    let file = world.stage.directory().join("referrald.toml");
    let text = world.stage.configuration().replace("to_dtp", "to_dpt").replace("timeout = \"60s\"", "timeout = \"soon\"");
    let settings = referrald::config::Settings::from_text(&file, &text, []);
    let refused = world.daemon().reload(settings).await.expect_err("it is refused").to_string();
    let keys: Vec<&str> = refused.lines().filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(keys, ["flows.to_dpt", "primero.timeout", "dtp.timeout"]);
    assert_eq!(said_of_settings(&world), (Event::ConfigurationRejected, None, Some(3)));
    world.end().await;
}

#[tokio::test]
async fn an_attempt_under_way_ends_as_it_began_and_holds_up_nobody() {
    for endpoint in [Endpoint::CreateCase, Endpoint::DtpDecision] {
        let world = World::new().await;
        let gate = Gate::closed();
        let faults = if endpoint == Endpoint::DtpDecision { world.stage.dtp.faults() } else { world.stage.primero.faults() };
        faults.plant(Rule::on(endpoint).once(), Fault::hold(&gate));
        assert_eq!(world.post(&post(1)).await.0, StatusCode::ACCEPTED);
        gate.arrived(1).await;
        for n in 2..5 {
            world.reload().await;
            assert_eq!(world.post(&post(n)).await.0, StatusCode::ACCEPTED);
        }
        // The others go, while the first is still under way.
        while world.unsettled().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.arrivals(), 1, "{endpoint:?}");
        gate.open();
        world.settle().await;
        assert_eq!((1..5).map(|n| services_of(&world, n)).collect::<Vec<_>>(), [1; 4], "{endpoint:?}");
        assert_eq!(world.told_dtp().len(), 4, "{endpoint:?}: nothing is told twice");
        assert_eq!(world.stage.primero.log().count(Endpoint::CreateCase), 4);
        world.end().await;
    }
}

#[tokio::test]
async fn places_are_counted_across_a_reload() {
    let mut world = World::with(&[("REFERRALD__DTP__PARALLEL", "2")]).await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), Fault::hold(&gate));
    for n in 1..5 {
        assert_eq!(world.post(&post(n)).await.0, StatusCode::ACCEPTED);
    }
    gate.arrived(2).await;
    world.change_settings(&[("REFERRALD__DTP__PARALLEL", "3")]);
    world.reload().await;
    gate.arrived(3).await;
    assert!(world.daemon().programme().place_at_dtp().is_none(), "two of before and one more");
    assert_eq!(gate.arrivals(), 3);
    gate.open();
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 4);
    world.end().await;
}

#[tokio::test]
async fn a_new_password_of_primero_recovers_it_at_once_and_the_old_one_is_not_tried_again() {
    let mut world = World::new().await;
    world.stage.primero.change_user(BRIDGE, |user| user.password("another password"));
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.events().iter().filter(|event| *event == "blocked unauthorized").count(), 1);
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE).0, 1);
    // Who reloads in a loop with the wrong password does not lock the account.
    for _ in 0..10 {
        world.reload().await;
        world.settle().await;
    }
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE).0, 1);
    world.pass(10 * MINUTE).await;
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE).0, 2, "the first probe");
    world.pass(9 * MINUTE).await;
    world.reload().await;
    world.settle().await;
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE).0, 2);
    world.pass(MINUTE).await;
    assert_eq!(
        world.stage.primero.failed_sign_ins(BRIDGE).0,
        3,
        "a reload brings the next one forward, ten minutes after the last"
    );

    write(&world, "primero-password", "another password");
    world.reload().await;
    world.settle().await;
    assert_eq!((services_of(&world, 1), world.told_dtp().len()), (1, 1));
    assert_eq!(world.page("/readyz").await.1.matches("\"well\"").count(), 2);
    let blocked: i64 = world.database().query_row("SELECT count(*) FROM blocked", [], |row| row.get(0)).unwrap();
    assert_eq!(blocked, 0);
    // It survives a restart: nothing old stands in the way.
    world.restart().await;
    world.refer(json!([nth(2)])).await;
    assert_eq!(services_of(&world, 2), 1);
    world.end().await;
}

#[tokio::test]
async fn what_the_old_password_still_meets_does_not_stop_the_new_one() {
    let world = World::new().await;
    // Two are under way with the old password when it changes; they come back when the new one is in force.
    let gate = Gate::closed();
    let held = world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).times(2), Fault::hold(&gate));
    for n in 1..3 {
        assert_eq!(world.post(&post(n)).await.0, StatusCode::ACCEPTED);
    }
    gate.arrived(1).await;
    world.stage.primero.change_user(BRIDGE, |user| user.password("another password"));
    write(&world, "primero-password", "another password");
    world.reload().await;
    gate.open();
    world.settle().await;
    assert!(held.met() >= 1);
    assert!(!world.heard(Event::Blocked));
    assert_eq!([services_of(&world, 1), services_of(&world, 2)], [1, 1]);
    assert_ne!(world.stage.primero.failed_sign_ins(BRIDGE).0, 6, "{BRIDGE_PASSWORD}");
    world.end().await;
}

#[tokio::test]
async fn whatever_else_is_blocked_is_probed_after_a_reload() {
    let world = World::new().await;
    let wrong = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), Fault::status(404));
    world.refer(json!([nth(1)])).await;
    assert_eq!((wrong.met(), world.heard(Event::Blocked)), (1, true));
    world.reload().await;
    world.settle().await;
    assert_eq!(wrong.met(), 2, "a probe");
    assert!(!world.heard(Event::Unblocked));
    wrong.pull();
    world.reload().await;
    world.settle().await;
    assert!(world.heard(Event::Unblocked));
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_door_shows_its_new_certificate_and_does_not_close() {
    let mut world = World::without_daemon(&[]).await;
    let secrets = world.stage.directory().join("secrets");
    let (certificate_file, key_file) =
        world.stage.authority.issue(Wish::loopback().until(2020, 1, 1)).write(&secrets, "inbox").unwrap();
    world.change(|settings| settings.inbox.tls = Some(InboxTls { certificate_file, key_file }));
    world.start().await;
    let tls = || credentials::tls_client_config(Some(&secrets.join("authority.pem")), None).unwrap();
    let client = || reqwest::Client::builder().tls_backend_preconfigured(tls()).build().unwrap();
    let url = format!("https://{}/inbox", world.daemon().inbox);
    let posted = |n| client().post(&url).header("x-api-key", INBOX_KEY).json(&post(n)).send();
    assert!(posted(1).await.is_err(), "nobody trusts a certificate that has ended");
    world.stage.authority.issue(Wish::loopback()).write(&secrets, "inbox").unwrap();
    world.reload().await;
    assert_eq!(posted(1).await.unwrap().status(), StatusCode::ACCEPTED);
    world.settle().await;

    world.change(|settings| settings.inbox.tls = None);
    let refused = world.try_reload().await.expect_err("it is refused").to_string();
    assert_eq!(refused, "`inbox.tls` cannot change while referrald runs (hint: restart it, or put the old value back)");
    world.end().await;
}

/// A world whose next client certificate takes its place in an hour.
async fn with_next_certificate() -> (World, String, String) {
    let mut world = World::without_daemon(&[]).await;
    let first = world.stage.client.thumbprint();
    let next = world.stage.authority.issue(Wish::client("referrald").until(2085, 1, 1));
    next.write(&world.stage.directory().join("secrets"), "next").unwrap();
    world.change_configuration(|text| {
        let next = "next = { certificate_file = \"secrets/next.pem\", key_file = \"secrets/next.key\", from = \"2026-03-02T09:00:00Z\" }";
        text.replace("[dtp]", &format!("[dtp]\n{next}"))
    });
    world.start().await;
    (world, first, next.thumbprint())
}

#[tokio::test]
async fn the_next_client_certificate_is_used_from_its_moment_on_without_a_reload() {
    let (world, first, next) = with_next_certificate().await;
    world.stage.dtp.admit_only(&[&first]);
    world.refer(json!([nth(1)])).await;
    world.pass(59 * MINUTE).await;
    world.refer(json!([nth(2)])).await;
    assert_eq!(world.told_dtp().len(), 2);
    assert!(!world.heard(Event::CertificateSwitched));
    world.stage.dtp.admit_only(&[&next]);
    world.pass(MINUTE).await;
    world.refer(json!([nth(3)])).await;
    assert_eq!(world.told_dtp().len(), 3, "certificate and header changed together");
    assert!(!world.heard(Event::Blocked));
    assert_eq!(world.lines().iter().filter(|line| line.event == Event::CertificateSwitched).count(), 1);
    // Its end is watched like that of the first.
    world.clock.set_wall("2084-12-18T12:00:00Z".parse().unwrap());
    world.pass(MINUTE).await;
    let told = world.lines().into_iter().rfind(|line| line.event == Event::CertificateExpiring).expect("14 days before");
    assert_eq!(told.until, Some("2085-01-01T00:00:00Z".parse().unwrap()));
    world.end().await;
}

#[tokio::test]
async fn what_was_blocked_with_the_first_certificate_begins_anew_with_the_next() {
    let (mut world, _, next) = with_next_certificate().await;
    world.stage.dtp.admit_only(&[&next]);
    world.refer(json!([nth(1)])).await;
    assert!(world.heard(Event::Blocked));
    world.restart().await;
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 0);
    world.pass(60 * MINUTE).await;
    assert!(world.heard(Event::CertificateSwitched));
    assert_eq!(world.told_dtp().len(), 1, "at once, and not with the next probe");
    let blocked: i64 = world.database().query_row("SELECT count(*) FROM blocked", [], |row| row.get(0)).unwrap();
    assert_eq!(blocked, 0);
    world.end().await;
}

#[tokio::test]
async fn a_next_certificate_that_does_not_fit_is_refused_with_every_reason() {
    let mut world = World::new().await;
    let other = world.stage.authority.issue(Wish::client("referrald"));
    other.write(&world.stage.directory().join("secrets"), "next").unwrap();
    let next = |rest: &str| format!("[dtp]\nnext = {{ certificate_file = \"secrets/next.pem\", {rest} }}");
    let read = |rest: &str| {
        let file = world.stage.directory().join("referrald.toml");
        referrald::config::Settings::from_text(&file, &world.stage.configuration().replace("[dtp]", &next(rest)), [])
    };
    let lacking = read("thumbprint = \"x\"").expect_err("it is refused").to_string();
    let keys: Vec<&str> = lacking.lines().filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(keys, ["dtp.next.thumbprint", "dtp.next.key_file", "dtp.next.from"]);
    let lacking = read("key_file = \"secrets/next.key\"").expect_err("it is refused").to_string();
    assert!(lacking.contains("`dtp.next.from` is missing"), "{lacking}");
    let wrong_key = read("key_file = \"secrets/client.key.pem\", from = \"2026-04-01\"");
    let said = world.daemon().reload(wrong_key).await.expect_err("it is refused").to_string();
    assert!(said.contains("next.pem: does not belong to the key in"), "{said}");
    let thumbprint = "AB".repeat(20);
    let wrong = read(&format!("key_file = \"secrets/next.key\", from = \"2026-04-01\", thumbprint = \"{thumbprint}\""));
    let said = world.daemon().reload(wrong).await.expect_err("it is refused").to_string();
    assert!(said.contains("(hint: put it into `dtp.next.thumbprint`"), "{said}");
    world.stop().await;
}

#[tokio::test]
async fn state_keys_change_with_a_reload_while_parcels_wait() {
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([nth(1)])).await;
    write(&world, "new.key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    const KEYS: &str = "REFERRALD__STATE__KEY_FILES";
    let names = |table: &str| -> Vec<String> {
        let database = world.database();
        let mut statement = database.prepare(&format!("SELECT key_name FROM {table}")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let old = names("identity");
    let needs = format!(
        "the state key `{}` that this state needs is not among state.key_files (hint: add the old key file after the new one; it may go \
         when nothing waits that it sealed)",
        old[0]
    );
    let settings = |keys| world.stage.settings(&[(KEYS, keys)]);
    let refused = world.daemon().reload(settings("secrets/new.key")).await.expect_err("it is refused").to_string();
    assert_eq!(refused, needs);
    world.daemon().reload(settings("secrets/new.key,secrets/state.key")).await.unwrap();
    assert_eq!(world.post(&post(2)).await.0, StatusCode::ACCEPTED);
    let now = names("identity");
    assert_ne!(now, old, "the identity key is sealed anew");
    assert_eq!(names("parcels"), [old[0].as_str(), now[0].as_str()]);
    world.stage.primero.come_up().await.unwrap();
    world.pass(20 * MINUTE).await;
    assert_eq!([services_of(&world, 1), services_of(&world, 2)], [1, 1]);
    world.daemon().reload(settings("secrets/new.key")).await.unwrap();
    world.change_settings(&[(KEYS, "secrets/new.key")]);
    world.restart().await;
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.events().last().unwrap(), "unchanged", "what was delivered is still known");
    world.end().await;
}

#[tokio::test]
async fn walks_go_on_by_their_timetable_and_one_under_way_comes_to_its_end() {
    let mut world = World::new().await;
    world.child_referred(json!({}));
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases).once(), Fault::hold(&gate));
    world.clock.advance(10 * MINUTE);
    world.tick().await;
    gate.arrived(1).await;
    world.change_settings(&[("REFERRALD__SCHEDULE__AT_START", "true")]);
    world.reload().await;
    world.tick().await;
    gate.open();
    while [Walk::Referrals, Walk::Decisions].iter().any(|walk| world.daemon().walks.under_way(*walk)) {
        tokio::task::yield_now().await;
    }
    world.settle().await;
    assert_eq!(world.sent_to_dtp().len(), 1, "the walk went on");
    let begun = world.lines().iter().filter(|line| line.event == Event::PollStarted).count();
    assert_eq!(begun, 2, "each walk once: a reload is no start");
    world.end().await;
}
