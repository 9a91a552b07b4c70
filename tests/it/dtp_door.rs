//! What DTP's front asks of us, and what its refusals mean: the certificate, the thumbprint, the key, every status.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use referrald::sandbox::{
    Endpoint, Fault, Rule,
    dtp::{SUBSCRIPTION_KEY, SUBSCRIPTION_KEY_HEADER, Shows, THUMBPRINT_HEADER},
    pki::Wish,
    stage::{Stage, write_secret},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An intervention for the n-th person.
fn nth(n: u32) -> Value {
    intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))
}

/// The intervention numbers that DTP was told about, in order.
fn told(world: &World) -> Vec<String> {
    world.told_dtp().iter().map(|told| told["progres_interventionnumber"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_certificate_of_the_handshake_is_the_one_in_the_header() {
    let world = World::new().await;
    world.refer(json!([nth(1)])).await;
    let received = world.stage.dtp.received();
    assert_eq!(received.len(), 1);
    let header = received[0].headers[THUMBPRINT_HEADER].to_str().unwrap();
    assert_eq!(header, received[0].thumbprint);
    assert_eq!(header, world.stage.client.thumbprint());
    assert_eq!(received[0].headers[SUBSCRIPTION_KEY_HEADER], SUBSCRIPTION_KEY);
    world.end().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_the_one_meant_refuses_the_start() {
    let mut world = World::without_daemon(&[]).await;
    let configured = |thumbprint: &str| {
        let line = format!("[dtp]\nthumbprint = \"{thumbprint}\"");
        move |text: String| text.replace("[dtp]", &line)
    };
    world.change_configuration(configured(&"AB".repeat(20)));
    let refused = world.try_start().await.expect_err("it is another one");
    assert!(refused.is_configuration() && refused.to_string().contains("has the thumbprint"), "{refused}");

    // A key that belongs to another certificate.
    let spelled = world.stage.client.thumbprint().to_lowercase();
    world.change_configuration(configured(&spelled));
    let other = world.stage.authority.issue(Wish::client("another"));
    let key = world.stage.directory().join("secrets/client.key.pem");
    let ours = std::fs::read_to_string(&key).unwrap();
    write_secret(&key, &other.key_pem()).unwrap();
    let refused = world.try_start().await.expect_err("they do not belong together");
    assert!(refused.is_configuration() && refused.to_string().contains("client.key.pem"), "{refused}");

    // The one that is meant, however its thumbprint is spelled.
    write_secret(&key, &ours).unwrap();
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn without_a_thumbprint_header_none_is_sent() {
    let mut world = World::without_daemon(&[]).await;
    world.change_configuration(|text| text.replace("[dtp]", "[dtp]\nthumbprint_header = \"\""));
    world.stage.dtp.set_thumbprint_header(None);
    world.start().await;
    world.refer(json!([nth(1)])).await;
    let received = world.stage.dtp.received();
    assert_eq!(received.len(), 1);
    let thumbprint = world.stage.client.thumbprint();
    for (name, value) in &received[0].headers {
        assert!(!value.to_str().unwrap().contains(&thumbprint), "{name} carries the thumbprint");
    }
    world.end().await;
}

#[tokio::test]
async fn the_subscription_key_never_stands_in_a_url() {
    let world = World::new().await;
    let urls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&urls);
    let remember = Rule::any().when(move |asked| {
        seen.lock().unwrap().push(format!("{}?{:?}", asked.path, asked.query));
        false
    });
    world.stage.dtp.faults().plant(remember, Fault::status(500));
    world.refer(json!([nth(1)])).await;
    assert_eq!(*urls.lock().unwrap(), ["/dtp/ReceiveDecisionOutgoingReferral?[]"]);
    world.end().await;
}

#[tokio::test]
async fn a_refused_key_certificate_or_url_blocks_dtp_refuses_nothing_and_a_probe_finds_out_when_it_is_right() {
    for (status, reason) in [(401, "unauthorized"), (403, "forbidden"), (404, "wrong_url"), (405, "wrong_url")] {
        let world = World::new().await;
        world.stage.dtp.answer_with(status);
        world.refer(json!([nth(1), nth(2)])).await;
        let blocked = format!("blocked {reason}");
        let blocks = |world: &World| world.events().iter().filter(|event| **event == blocked).count();
        assert_eq!(blocks(&world), 1, "{status}");
        assert_eq!(world.list(), Vec::<String>::new(), "{status}: nobody is refused for it");
        let asked = world.stage.dtp.log().len();

        let (ready, page) = world.page("/readyz").await;
        assert_eq!(ready, StatusCode::OK, "{status}");
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!((&page["dtp"]["state"], &page["dtp"]["reason"]), (&json!("blocked"), &json!(reason)), "{status}");
        world.refer(json!([nth(3)])).await;
        world.pass(10 * MINUTE - Duration::from_millis(1)).await;
        assert_eq!(world.stage.dtp.log().len(), asked, "{status}: nothing goes before the probe");
        world.pass(Duration::from_millis(1)).await;
        assert_eq!(world.stage.dtp.log().len(), asked + 1, "{status}: one probe");
        world.pass(HOUR - Duration::from_millis(1)).await;
        assert_eq!(world.stage.dtp.log().len(), asked + 1, "{status}: the next one an hour later");
        world.stage.dtp.answer_with(200);
        world.pass(Duration::from_millis(1)).await;
        assert!(world.events().contains(&"unblocked".to_owned()), "{status}");
        assert_eq!(blocks(&world), 1, "{status}: said once");
        let mut told = told(&world);
        told.sort();
        assert_eq!(told, ["989-26-TEST-0001", "989-26-TEST-0002", "989-26-TEST-0003"], "{status}");
        world.end().await;
    }
}

#[tokio::test]
async fn each_probe_takes_a_different_errand() {
    let world = World::new().await;
    world.stage.dtp.answer_with(403);
    world.refer(json!([nth(1), nth(2), nth(3)])).await;
    let probes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&probes);
    let remember = Rule::any().when(move |asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        seen.lock().unwrap().push(body["progres_interventionnumber"].as_str().unwrap().to_owned());
        false
    });
    world.stage.dtp.faults().plant(remember, Fault::status(500));
    for _ in 0..4 {
        world.pass(HOUR).await;
    }
    let probes = probes.lock().unwrap().clone();
    assert_eq!(probes.len(), 4);
    let mut round = probes[..3].to_vec();
    round.sort();
    assert_eq!(round, ["989-26-TEST-0001", "989-26-TEST-0002", "989-26-TEST-0003"]);
    assert_eq!(probes[3], probes[0], "then the round begins again");
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_blocks_dtp_and_the_inbox_accepts_all_the_same() {
    for shows in [Some(Shows::Expired), Some(Shows::UnknownAuthority), Some(Shows::WrongName), None] {
        let world = World::new().await;
        match shows {
            Some(shows) => world.stage.dtp.show(shows).await,
            None => world.stage.dtp.refuse_client_certificates().await,
        }
        world.refer(json!([nth(1)])).await;
        assert_eq!(world.events(), ["received", "delivered", "blocked certificate_refused"], "{shows:?}");
        world.refer(json!([nth(2)])).await;
        assert_eq!(world.told_dtp(), Vec::<Value>::new(), "{shows:?}");
        world.stage.dtp.show(Shows::Good).await;
        world.pass(10 * MINUTE).await;
        assert_eq!(told(&world).len(), 2, "{shows:?}");
        world.end().await;
    }
}

/// Gives the stage another client certificate.
fn issue(stage: &Stage, wish: Wish) {
    let identity = stage.authority.issue(wish);
    let secrets = stage.directory().join("secrets");
    write_secret(&secrets.join("client.crt.pem"), &identity.certificate_pem()).unwrap();
    write_secret(&secrets.join("client.key.pem"), &identity.key_pem()).unwrap();
}

#[tokio::test]
async fn an_expired_client_certificate_blocks_dtp_but_not_the_start_and_a_new_one_is_tried_at_once() {
    let mut world = World::without_daemon(&[]).await;
    issue(&world.stage, Wish::client("referrald").expired());
    world.start().await;
    world.refer(json!([nth(1)])).await;
    let events = world.events();
    assert!(events.iter().any(|event| event.starts_with("blocked certificate_")), "{events:?}");
    assert!(events.contains(&"certificate_expiring".to_owned()), "{events:?}");
    assert_eq!(world.told_dtp(), Vec::<Value>::new());

    world.stop().await;
    issue(&world.stage, Wish::client("referrald"));
    world.start().await;
    world.settle().await;
    assert_eq!(told(&world), ["989-26-TEST-0001"]);
    world.end().await;
}

#[tokio::test]
async fn a_block_survives_a_restart_and_what_was_put_right_meanwhile_is_found_out_at_once() {
    let mut world = World::new().await;
    world.stage.dtp.answer_with(404);
    world.refer(json!([nth(1), nth(2), nth(3)])).await;
    let asked = world.stage.dtp.log().len();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.stage.dtp.log().len(), asked + 1, "one probe, not three errands");
    let (_, page) = world.page("/readyz").await;
    assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["dtp"]["state"], "blocked");
    world.stop().await;
    world.stage.dtp.answer_with(200);
    world.start().await;
    world.settle().await;
    assert_eq!(told(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn who_is_throttled_waits_as_long_as_was_asked_but_never_more_than_an_hour() {
    for status in [408, 425, 429, 503] {
        for (asked, waits) in [("1800", 1800), ("86400", 3600)] {
            let world = World::new().await;
            world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(status).retry_after(asked));
            world.refer(json!([nth(1)])).await;
            world.pass(Duration::from_secs(waits - 1)).await;
            assert_eq!(world.told_dtp(), Vec::<Value>::new(), "{status} {asked}");
            world.pass(Duration::from_secs(1)).await;
            assert_eq!(told(&world), ["989-26-TEST-0001"], "{status} {asked}");
            assert!(!world.events().contains(&"unwell".to_owned()));
            world.end().await;
        }
    }
}

#[tokio::test]
async fn what_dtp_refuses_is_refused_for_good_and_a_person_hears_of_it() {
    for status in [400, 413, 422] {
        let world = World::new().await;
        let bad = world.stage.dtp.faults().plant(Rule::any().naming("989-26-TEST-0001"), Fault::status(status));
        world.refer(json!([nth(1), nth(2)])).await;
        world.pass(24 * HOUR).await;
        assert_eq!(bad.met(), 1, "{status}: it is not tried again");
        assert_eq!(told(&world), ["989-26-TEST-0002"], "{status}: nobody else is held up");
        assert_eq!(world.list(), ["refused refused_by_dtp"], "{status}");
        world.end().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_is_tried_again() {
    let faults = [Fault::html_page(), Fault::truncated(), Fault::huge(2 << 20), Fault::cut(), Fault::status(302)];
    for (place, fault) in faults.into_iter().enumerate() {
        let world = World::new().await;
        let fault = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), fault);
        world.refer(json!([nth(1)])).await;
        assert_eq!(fault.met(), 1, "{place}");
        let later = world.events().iter().filter(|event| event.starts_with("later")).count();
        assert_eq!(later, 1, "{place}");
        world.pass(MINUTE).await;
        assert!(told(&world).iter().all(|number| number == "989-26-TEST-0001"), "{place}");
        assert!(world.heard(referrald::activity::Event::FeedbackSent), "{place}");
        world.end().await;
    }
}

/// Our client certificate ends on this day.
fn certificate_until(world: &World, (year, month, day): (i32, u8, u8)) {
    let client = world.stage.authority.issue(Wish::client("referrald").until(year, month, day));
    let secrets = world.stage.directory().join("secrets");
    write_secret(&secrets.join("client.crt.pem"), &client.certificate_pem()).unwrap();
    write_secret(&secrets.join("client.key.pem"), &client.key_pem()).unwrap();
}

fn count(world: &World, event: &str) -> usize {
    world.events().iter().filter(|other| *other == event).count()
}

#[tokio::test]
async fn an_expired_certificate_at_the_start_blocks_dtp_before_dtp_is_asked_and_the_inbox_accepts() {
    let mut world = World::without_daemon(&[]).await;
    certificate_until(&world, (2026, 3, 2));
    world.start().await;
    world.settle().await;
    assert_eq!(world.events(), ["blocked certificate_expired"]);
    world.refer(json!([nth(1)])).await;
    assert_eq!(world.stage.primero.case_count(), 1, "the other side goes on");
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    let (_, page) = world.page("/readyz").await;
    assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["dtp"]["reason"], "certificate_expired");

    // Nothing is refused before its time, and a new certificate is tried at once.
    world.stop().await;
    certificate_until(&world, (2090, 1, 1));
    world.start().await;
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_certificate_that_expires_at_work_blocks_dtp_once_and_probes_go_on() {
    let mut world = World::without_daemon(&[]).await;
    certificate_until(&world, (2089, 1, 1));
    world.start().await;
    let days = "2089-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() - world.clock.now();
    world.pass((days - TimeDelta::seconds(1)).to_std().unwrap()).await;
    assert_eq!(count(&world, "blocked certificate_expired"), 0);
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(count(&world, "blocked certificate_expired"), 1);

    world.refer(json!([nth(1)])).await;
    world.pass(10 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "ten minutes to the first probe");
    // By the clock of DTP it is good still; whoever takes it, gets what is due.
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(count(&world, "unblocked"), 1);
    world.pass(HOUR).await;
    assert_eq!(count(&world, "blocked certificate_expired"), 1, "DTP takes it, so it is not blocked again");
    world.end().await;
}

#[tokio::test]
async fn a_redirect_says_nothing_about_the_message_and_is_tried_again() {
    for status in [302, 307, 308] {
        let world = World::new().await;
        let moved = world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(status));
        world.refer(json!([nth(1)])).await;
        assert_eq!(moved.met(), 1);
        assert_eq!(world.list(), Vec::<String>::new(), "{status}");
        world.pass(MINUTE).await;
        assert_eq!(world.told_dtp().len(), 1, "{status}");
        world.end().await;
    }
}
