//! The client against small servers: statuses, faults of the connection, TLS.

mod tls;

use std::time::Duration;

use axum::response::Response;
use chrono::DateTime;
use reqwest::Url;
use serde_json::json;

use super::*;
use crate::{
    clock::Clock,
    config,
    wire::fake::{self, Fake},
};

const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

fn settings(url: &Url) -> config::Dtp {
    config::Dtp {
        referral_url: url.join("ReceiveIncomingReferral").unwrap(),
        decision_url: url.join("ReceiveDecisionOutgoingReferral").unwrap(),
        subscription_key_file: "unread".into(),
        subscription_key_header: "Ocp-Apim-Subscription-Key".to_owned(),
        certificate_file: "unread".into(),
        key_file: "unread".into(),
        thumbprint: None,
        next: None,
        thumbprint_header: Some("X-Client-Cert-Thumbprint".to_owned()),
        ca_file: None,
        timeout: Duration::from_secs(20),
        parallel: 4,
    }
}

fn client_at(settings: &config::Dtp) -> Client {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    Client::new(settings, tls::trusting_nobody(), "subscription", Some(THUMBPRINT), clock).unwrap()
}

fn message() -> Document {
    json!({"id": "case-1#0123456789ab"}).as_object().unwrap().clone()
}

/// What a message meets that is answered so.
async fn met(answer: impl Fn() -> Response + Send + Sync + 'static) -> Result<(), Trouble> {
    let fake = Fake::answering(move |_| answer()).await;
    client_at(&settings(&fake.url)).send_referral(&message()).await
}

fn unwell(reason: Reason, status: Option<u16>, retry_after_s: Option<u64>, effect_possible: bool) -> Trouble {
    Trouble::Unwell { reason, status, retry_after: retry_after_s.map(Duration::from_secs), effect_possible }
}

#[tokio::test]
async fn every_message_carries_key_and_thumbprint_and_goes_to_its_endpoint() {
    let fake = Fake::answering(|_| fake::empty(202)).await;
    let client = client_at(&settings(&fake.url));
    client.send_referral(&message()).await.unwrap();
    client.send_decision(&message()).await.unwrap();
    let seen = fake.seen();
    assert_eq!(
        seen.iter().map(|seen| (seen.method.as_str(), seen.target.as_str())).collect::<Vec<_>>(),
        [("POST", "/ReceiveIncomingReferral"), ("POST", "/ReceiveDecisionOutgoingReferral")]
    );
    for seen in seen {
        assert_eq!(seen.header("ocp-apim-subscription-key"), Some("subscription"));
        assert_eq!(seen.header("x-client-cert-thumbprint"), Some(THUMBPRINT));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.json(), json!({"id": "case-1#0123456789ab"}));
    }
    let without = config::Dtp { thumbprint_header: None, ..settings(&fake.url) };
    client_at(&without).send_referral(&message()).await.unwrap();
    assert_eq!(fake.seen()[2].header("x-client-cert-thumbprint"), None);
}

#[tokio::test]
async fn any_whole_success_is_one() {
    let answers: [fn() -> Response; 6] = [
        || fake::empty(200),
        || fake::empty(202),
        || fake::empty(204),
        || fake::json(200, &json!({"result": "Marker"})),
        || fake::typed(201, "text/plain", "OK"),
        || fake::typed(200, "application/json", ""),
    ];
    for answer in answers {
        met(answer).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_for_people_and_half_an_answer_are_later_and_the_message_may_have_been_taken() {
    let answers: [fn() -> Response; 4] = [
        || fake::html(200),
        || fake::typed(200, "application/xhtml+xml", "<html/>"),
        || fake::typed(200, "application/json", "{\"result\":"),
        || fake::typed(200, "application/json", &"1".repeat((1 << 20) + 1)),
    ];
    for answer in answers {
        assert_eq!(met(answer).await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, true));
    }
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>Marker</",
    ] {
        let client = client_at(&settings(&fake::writing(bytes).await));
        assert_eq!(client.send_decision(&message()).await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, true));
    }
}

#[tokio::test]
async fn every_status_is_a_named_case() {
    for (status, expected) in [
        (401, Trouble::Blocked { reason: Reason::Unauthorized, status: Some(401) }),
        (403, Trouble::Blocked { reason: Reason::Forbidden, status: Some(403) }),
        (404, Trouble::Blocked { reason: Reason::WrongUrl, status: Some(404) }),
        (405, Trouble::Blocked { reason: Reason::WrongUrl, status: Some(405) }),
        (408, unwell(Reason::Throttled, Some(408), Some(60), true)),
        (425, unwell(Reason::Throttled, Some(425), Some(60), false)),
        (429, unwell(Reason::Throttled, Some(429), Some(60), false)),
        (500, unwell(Reason::ServerError, Some(500), Some(60), true)),
        (501, unwell(Reason::ServerError, Some(501), Some(60), true)),
        (502, unwell(Reason::GatewayError, Some(502), Some(60), true)),
        (503, unwell(Reason::GatewayError, Some(503), Some(60), true)),
        (504, unwell(Reason::GatewayError, Some(504), Some(60), true)),
        (400, Trouble::Refused { status: 400 }),
        (409, Trouble::Refused { status: 409 }),
        (413, Trouble::Refused { status: 413 }),
        (422, Trouble::Refused { status: 422 }),
        // Says nothing about the message: it may be a page for maintenance.
        (302, unwell(Reason::NotAsPromised, Some(302), Some(60), false)),
    ] {
        let answer = move || {
            let mut answer = fake::html(status);
            answer.headers_mut().insert("Retry-After", "60".parse().unwrap());
            answer.headers_mut().insert("Location", "/elsewhere".parse().unwrap());
            answer
        };
        assert_eq!(met(answer).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn faults_of_the_connection_are_later() {
    for (url, reason, effect_possible) in [
        (fake::nobody().await, Reason::Unreachable, false),
        (fake::writing("").await, Reason::ConnectionLost, true),
        (fake::silent().await, Reason::TimedOut, true),
    ] {
        let client = client_at(&config::Dtp { timeout: Duration::from_millis(300), ..settings(&url) });
        assert_eq!(client.send_referral(&message()).await.unwrap_err(), unwell(reason, None, None, effect_possible));
    }
}

#[test]
fn secrets_that_cannot_stand_in_a_header_and_plain_http_to_others_are_refused() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let local = settings(&"http://127.0.0.1/".parse().unwrap());
    let made = |settings: &config::Dtp, key: &str| {
        Client::new(settings, tls::trusting_nobody(), key, None, clock.clone()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(made(&local, "good"), Ok(()));
    assert_eq!(made(&local, "Marker\nKey"), Err("the subscription key cannot stand in a header".to_owned()));
    let elsewhere = config::Dtp { decision_url: "http://dtp.example/".parse().unwrap(), ..local };
    let expected = "plain http is allowed for this machine alone (hint: use https)";
    assert_eq!(made(&elsewhere, "good"), Err(expected.to_owned()));
}
