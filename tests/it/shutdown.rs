//! An orderly end: attempts under way are finished, nothing new is begun, and the next start goes on from there.

use std::time::Duration;

use chrono::TimeDelta;
use referrald::{
    activity::Event,
    sandbox::{Endpoint, Fault, Gate, Rule, stage::INBOX_KEY},
};
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{PERSON, World, intervention};

#[tokio::test]
async fn an_attempt_under_way_is_finished_before_the_end_and_nothing_is_done_twice() {
    for endpoint in [Endpoint::CreateCase, Endpoint::DtpDecision] {
        let mut world = World::new().await;
        let gate = Gate::closed();
        let faults = if endpoint == Endpoint::DtpDecision { world.stage.dtp.faults() } else { world.stage.primero.faults() };
        faults.plant(Rule::on(endpoint).once(), Fault::hold(&gate));
        let body =
            json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention("989-26-TEST-0001", json!({}))] });
        assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
        gate.arrived(1).await;
        let (opener, ready) = (gate.clone(), tokio::sync::Notify::new());
        tokio::join!(
            async {
                ready.notify_one();
                world.stop().await;
            },
            async {
                ready.notified().await;
                opener.open();
            }
        );
        assert!(world.heard(Event::Delivered), "{endpoint:?}: the end waited for it");
        assert_eq!(world.lines().last().map(|line| line.event), Some(Event::ShutDown));
        let asked = world.stage.primero.log().len();
        world.start().await;
        world.settle().await;
        assert_eq!(world.stage.primero.log().len(), asked, "{endpoint:?}: Primero is not asked again");
        assert_eq!(world.told_dtp().len(), 1);
        assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_post_that_is_coming_in_at_the_end_is_taken_and_no_other() {
    let mut world = World::new().await;
    let body =
        json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention("989-26-TEST-0001", json!({}))] });
    let body = body.to_string();
    let address = world.daemon().inbox;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {INBOX_KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body.as_bytes()[..100]).await.unwrap();
    // Another connection is answered after it, so its head has been read.
    world.page("/livez").await;
    let mut answer = vec![0; 4096];
    let ready = tokio::sync::Notify::new();
    let ((), read) = tokio::join!(
        async {
            ready.notify_one();
            world.stop().await;
        },
        async {
            ready.notified().await;
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            connection.write_all(&body.as_bytes()[100..]).await.unwrap();
            connection.read(&mut answer).await.unwrap()
        }
    );
    assert!(answer[..read].starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer[..read]));
    assert_eq!(world.stage.primero.case_count(), 0, "it is stored, and attempted by the next start");
    world.start().await;
    world.settle().await;
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_end_does_not_wait_for_ever_for_a_state_that_takes_no_ending_and_nothing_is_done_twice() {
    for endpoint in [Endpoint::CreateCase, Endpoint::DtpDecision] {
        let mut world = World::new().await;
        let gate = Gate::closed();
        let faults = if endpoint == Endpoint::DtpDecision { world.stage.dtp.faults() } else { world.stage.primero.faults() };
        faults.plant(Rule::on(endpoint).once(), Fault::hold(&gate));
        let body =
            json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention("989-26-TEST-0001", json!({}))] });
        assert_eq!(world.post(&body).await.0, StatusCode::ACCEPTED);
        gate.arrived(1).await;
        let refuse = "CREATE TRIGGER refused BEFORE UPDATE ON deliveries BEGIN SELECT raise(ABORT, 'refused'); END";
        world.database().execute_batch(refuse).unwrap();
        gate.open();
        let began = world.clock.now();
        let (clock, ended) = (world.clock.clone(), tokio_util::sync::CancellationToken::new());
        tokio::join!(
            async {
                world.stop().await;
                ended.cancel();
            },
            async {
                while !ended.is_cancelled() {
                    clock.advance(Duration::from_secs(1));
                    tokio::task::yield_now().await;
                }
            }
        );
        assert!(world.clock.now() - began >= TimeDelta::seconds(90), "{endpoint:?}: it was offered for a while");
        assert!(!world.heard(Event::FeedbackSent));
        world.database().execute_batch("DROP TRIGGER refused").unwrap();
        world.start().await;
        world.settle().await;
        assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1, "{endpoint:?}: Primero got it once");
        let told = world.told_dtp();
        assert_eq!(told.len(), if endpoint == Endpoint::DtpDecision { 2 } else { 1 }, "towards DTP at least once");
        assert!(told.iter().all(|other| *other == told[0]), "and always the same");
        world.end().await;
    }
}

#[tokio::test]
async fn what_waits_at_the_end_is_taken_up_at_the_next_start() {
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    world.stop().await;
    world.stage.primero.come_up().await.unwrap();
    world.start().await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_end_with_nothing_to_do_leaves_no_write_ahead_log() {
    let mut world = World::new().await;
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    world.stop().await;
    let log = world.state_directory().join("state.sqlite-wal");
    assert_eq!(std::fs::metadata(&log).map_or(0, |metadata| metadata.len()), 0);
    assert_eq!(world.told_dtp().iter().filter(|told| told["status"] == "Pending Acknowledgement").count(), 1);
    world.start().await;
    world.end().await;
}
