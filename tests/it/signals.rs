//! The signals of a service manager, sent to the real process: read the configuration again, and end in order.

use std::{fs, os::unix::net::UnixDatagram};

use reqwest::StatusCode;
use serde_json::json;

use crate::{play::Play, world::intervention};

const READ: &str = "the configuration was read again at the last reload";
const REFUSED: &str = "the configuration was refused at the last reload";

/// What the service manager has been told since the last time.
fn told(manager: &UnixDatagram) -> Vec<String> {
    let mut told = Vec::new();
    let mut message = [0; 1024];
    while let Ok(length) = manager.recv(&mut message) {
        let text = String::from_utf8_lossy(&message[..length]);
        let names = text.lines().map(|line| line.split('=').next().unwrap_or_default());
        told.push(names.collect::<Vec<_>>().join(" "));
    }
    told
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_again_and_the_service_manager_is_told() {
    let mut play = Play::set(|text| text).await;
    let socket = play.stage.directory().join("notify.sock");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    play.environment.push(("NOTIFY_SOCKET".to_owned(), socket.display().to_string()));
    play.start().await;
    let body = |n: u32| json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))] });
    assert_eq!(play.post(&body(1)).await, Some(StatusCode::ACCEPTED));
    let good = fs::read_to_string(play.configuration()).unwrap();

    fs::write(play.configuration(), good.replace("to_primero = true", "to_primero = false")).unwrap();
    play.signal("HUP");
    play.hears(READ, 1).await;
    assert_eq!(play.post(&body(2)).await, Some(StatusCode::SERVICE_UNAVAILABLE));

    // Two reasons at once; the configuration before goes on.
    fs::write(play.configuration(), good.replace("to_dtp", "to_dpt").replace("\"127.0.0.1:0\"", "\"nowhere\"")).unwrap();
    play.signal("HUP");
    play.hears(REFUSED, 1).await;
    for reason in ["unknown key `flows.to_dpt`", "`inbox.listen` must be", "`admin.listen` must be"] {
        assert!(play.said().contains(reason), "{}", play.said());
    }
    assert_eq!(play.post(&body(2)).await, Some(StatusCode::SERVICE_UNAVAILABLE));

    fs::write(play.configuration(), good).unwrap();
    play.signal("HUP");
    play.hears(READ, 2).await;
    assert_eq!(play.post(&body(2)).await, Some(StatusCode::ACCEPTED));
    play.settle().await;
    assert_eq!(play.stage.dtp.received().len(), 2);

    play.signal("TERM");
    assert_eq!(play.ended().await, Some(0));
    let reload = ["RELOADING MONOTONIC_USEC", "READY STATUS"];
    assert_eq!(told(&manager), [&["READY"][..], &reload, &reload, &reload, &["STOPPING"]].concat());
}
