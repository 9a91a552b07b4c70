//! The client against small servers: statuses, faults of the connection, the password.

mod cases;
mod others;

use std::{sync::Arc, time::Duration};

use axum::response::Response;
use chrono::DateTime;
use reqwest::Url;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Clock,
    config::{self, Rate},
    wire::fake::{self, Fake, Seen},
};

const KEY: &str = "3f0c1a52-0000-4000-8000-000000000001";
const NOW: &str = "2026-11-22T10:00:00Z";

fn settings(url: &Url) -> config::Primero {
    config::Primero {
        url: url.clone(),
        user_name: "Bridge".to_owned(),
        password_file: "unread".into(),
        intake_user: "intake".to_owned(),
        ca_file: None,
        timeout: Duration::from_secs(20),
        parallel: 2,
        rate: Rate::Unlimited,
    }
}

/// A client, and the clock in our hand.
fn client_at(url: &Url) -> (Client, Clock) {
    let clock = Clock::manual(DateTime::parse_from_rfc3339(NOW).unwrap().to_utc());
    let gate = Arc::new(Gate::unproven(clock.clone()));
    (Client::new(&settings(url), "pass:word", None, clock.clone(), gate).unwrap(), clock)
}

async fn primero(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (Client, Fake) {
    let fake = Fake::answering(answer).await;
    (client_at(&fake.url).0, fake)
}

fn key() -> CaseKey {
    KEY.parse().unwrap()
}

fn document(value: Value) -> Document {
    value.as_object().unwrap().clone()
}

/// A case of the right module, with these fields.
fn row(fields: Value) -> Value {
    let mut row =
        json!({"id": KEY, "enabled": true, "last_updated_at": "2026-01-05T10:00:00.123Z", "module_id": "primeromodule-cp"});
    row.as_object_mut().unwrap().extend(document(fields));
    row
}

fn list(rows: &[Value], total: u64, per: u32, page: u32) -> Value {
    json!({"data": rows, "metadata": {"total": total, "per": per, "page": page}})
}

fn unwell(reason: Reason, status: Option<u16>, retry_after_s: Option<u64>, effect_possible: bool) -> Trouble {
    Trouble::Unwell(Unwell { reason, status, retry_after: retry_after_s.map(Duration::from_secs), effect_possible })
}

/// What a read and what a write meet.
async fn read_and_write(client: &Client) -> [Trouble; 2] {
    let read = client.case(key(), &["status"]).await.expect_err("the read meets trouble");
    let write = client.patch_case(key(), &document(json!({}))).await.expect_err("the write meets trouble");
    [read, write]
}

/// Primero's own error shape.
fn refusal(status: u16) -> Response {
    let error = json!({"status": status, "message": "Marker-Message", "detail": ["/age", "/services_section/0/sex", "/age"]});
    fake::json(status, &json!({ "errors": [error] }))
}

#[tokio::test]
async fn every_status_is_a_named_case() {
    let cases: [(fn() -> Response, Trouble); 14] = [
        (|| fake::json(401, &json!({"error": "Marker-Message"})), Trouble::Unauthorized),
        (|| refusal(403), Trouble::Forbidden),
        (|| refusal(404), Trouble::NotFound),
        (|| fake::json(404, &json!({"error": "no such route"})), Trouble::WrongUrl),
        (|| fake::html(404), Trouble::WrongUrl),
        (|| fake::empty(404), Trouble::WrongUrl),
        (|| fake::empty(405), Trouble::WrongUrl),
        (|| refusal(409), Trouble::Conflict),
        (|| refusal(422), Trouble::Invalid(["/age".to_owned(), "/services_section/0/sex".to_owned()].into())),
        (|| fake::html(422), Trouble::Invalid(BTreeSet::new())),
        (|| fake::empty(400), Trouble::Refused(400)),
        (|| fake::html(413), Trouble::Refused(413)),
        (|| fake::empty(301), unwell(Reason::NotAsPromised, Some(301), None, false)),
        (|| fake::empty(302), unwell(Reason::NotAsPromised, Some(302), None, false)),
    ];
    for (answer, expected) in cases {
        let (client, _fake) = primero(move |_| answer()).await;
        assert_eq!(read_and_write(&client).await, [expected.clone(), expected]);
    }
}

#[tokio::test]
async fn an_unwell_primero_says_why_and_whether_a_write_may_have_acted() {
    for (status, reason, may_have_acted) in [
        (408, Reason::Throttled, true),
        (425, Reason::Throttled, false),
        (429, Reason::Throttled, false),
        (500, Reason::ServerError, true),
        (501, Reason::ServerError, true),
        (502, Reason::GatewayError, true),
        (503, Reason::GatewayError, true),
        (504, Reason::GatewayError, true),
        (505, Reason::ServerError, true),
    ] {
        let (client, _fake) = primero(move |_| {
            let mut answer = fake::html(status);
            answer.headers_mut().insert("Retry-After", "60".parse().unwrap());
            answer
        })
        .await;
        let [read, write] = read_and_write(&client).await;
        assert_eq!(read, unwell(reason, Some(status), Some(60), false));
        assert_eq!(write, unwell(reason, Some(status), Some(60), may_have_acted));
    }
}

#[tokio::test]
async fn a_success_that_is_not_what_primero_promises_is_later() {
    let cases: [fn() -> Response; 8] = [
        || fake::html(200),
        || fake::empty(200),
        || fake::empty(204),
        || fake::typed(201, "application/json", "{\"data\":{}}"),
        || fake::typed(200, "application/json", "{\"data\":"),
        || fake::typed(200, "application/json", "<html>"),
        || fake::json(200, &json!({})),
        || {
            fake::json(
                200,
                &json!({"data": {"id": "3f0c1a52-0000-4000-8000-000000000002", "enabled": true, "last_updated_at": NOW}}),
            )
        },
    ];
    for answer in cases {
        let (client, _fake) = primero(move |_| answer()).await;
        let status = answer().status().as_u16();
        let [read, write] = read_and_write(&client).await;
        assert_eq!(read, unwell(Reason::NotAsPromised, Some(status), None, false));
        assert_eq!(write, unwell(Reason::NotAsPromised, Some(status), None, true));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let (client, _fake) = primero(|_| fake::typed(200, "application/json", &" ".repeat(8 * 1024 * 1024 + 1))).await;
    assert_eq!(client.case(key(), &[]).await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, false));
}

#[tokio::test]
async fn half_an_answer_is_later_and_a_write_may_have_acted() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"data\":",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"dat\r\n",
    ] {
        let (client, _) = client_at(&fake::writing(bytes).await);
        let [read, write] = read_and_write(&client).await;
        assert_eq!(read, unwell(Reason::NotAsPromised, Some(200), None, false));
        assert_eq!(write, unwell(Reason::NotAsPromised, Some(200), None, true));
    }
}

#[tokio::test]
async fn half_a_refusal_is_not_taken_for_one() {
    for status in [404, 422] {
        let (client, _fake) = primero(move |_| fake::typed(status, "application/json", "{\"errors\":[{")).await;
        let [read, write] = read_and_write(&client).await;
        assert_eq!(read, unwell(Reason::NotAsPromised, Some(status), None, false));
        assert_eq!(write, unwell(Reason::NotAsPromised, Some(status), None, true));
    }
}

#[tokio::test]
async fn a_connection_cut_without_an_answer_is_later_and_a_write_may_have_acted() {
    let (client, _) = client_at(&fake::writing("").await);
    let [read, write] = read_and_write(&client).await;
    assert_eq!(read, unwell(Reason::ConnectionLost, None, None, false));
    assert_eq!(write, unwell(Reason::ConnectionLost, None, None, true));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable_and_nothing_was_sent() {
    let (client, _) = client_at(&fake::nobody().await);
    let expected = unwell(Reason::Unreachable, None, None, false);
    assert_eq!(read_and_write(&client).await, [expected.clone(), expected]);
}

#[tokio::test]
async fn no_answer_in_time_is_timed_out_and_a_write_may_have_acted() {
    let url = fake::silent().await;
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let settings = config::Primero { timeout: Duration::from_millis(200), ..settings(&url) };
    let client = Client::new(&settings, "password", None, clock.clone(), Arc::new(Gate::unproven(clock))).unwrap();
    let [read, write] = read_and_write(&client).await;
    assert_eq!(read, unwell(Reason::TimedOut, None, None, false));
    assert_eq!(write, unwell(Reason::TimedOut, None, None, true));
}

#[tokio::test]
async fn every_request_carries_basic_and_never_a_cookie() {
    let (client, fake) = primero(|_| {
        let mut answer = fake::json(200, &json!({"data": row(json!({}))}));
        answer.headers_mut().insert("Set-Cookie", "_app_session=x".parse().unwrap());
        answer.headers_mut().insert("Date", "Sun, 22 Nov 2026 10:00:07 GMT".parse().unwrap());
        answer
    })
    .await;
    assert_eq!(client.server_date(), None);
    client.case(key(), &["status"]).await.unwrap();
    client.case(key(), &["status"]).await.unwrap();
    for seen in fake.seen() {
        assert_eq!(seen.target, format!("/api/v2/cases/{KEY}?fields=status"));
        // "Bridge:pass:word"
        assert_eq!(seen.header("authorization"), Some("Basic QnJpZGdlOnBhc3M6d29yZA=="));
        assert_eq!(seen.header("accept"), Some("application/json"));
        assert_eq!(seen.header("cookie"), None);
    }
    assert_eq!(fake.seen().len(), 2);
    let date = client.server_date().unwrap();
    assert_eq!((date.theirs - date.ours).num_seconds(), 7);
}

#[tokio::test]
async fn after_a_401_nothing_is_sent_until_the_probe_is_due() {
    let fake = Fake::answering(|_| fake::json(401, &json!({"error": "Marker-Message"}))).await;
    let (client, clock) = client_at(&fake.url);
    for _ in 0..3 {
        assert_eq!(client.case(key(), &[]).await.unwrap_err(), Trouble::Unauthorized);
    }
    assert_eq!(fake.seen().len(), 1);
    clock.advance(Duration::from_secs(600));
    for _ in 0..3 {
        assert_eq!(client.case(key(), &[]).await.unwrap_err(), Trouble::Unauthorized);
    }
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_page_for_people_does_not_prove_the_password() {
    let fake = Fake::answering(|_| fake::html(200)).await;
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let gate = Arc::new(Gate::unproven(clock.clone()));
    let client = Client::new(&settings(&fake.url), "password", None, clock, Arc::clone(&gate)).unwrap();
    client.case(key(), &[]).await.unwrap_err();
    assert_eq!(gate.standing(), Standing::Unproven);
}

#[tokio::test]
async fn a_request_line_that_a_proxy_would_refuse_is_not_sent() {
    let (client, fake) = primero(|_| fake::json(200, &json!({"data": row(json!({}))}))).await;
    let field = |length: usize| "x".repeat(length);
    // The method, the path with its query, the protocol and the line break make 1,000 bytes.
    let longest = 1000 - "GET  HTTP/1.1\r\n".len() - format!("/api/v2/cases/{KEY}?fields=").len();
    client.case(key(), &[&field(longest)]).await.unwrap();
    assert_eq!(client.case(key(), &[&field(longest + 1)]).await.unwrap_err(), Trouble::Refused(414));
    assert_eq!(fake.seen().len(), 1);
}

#[test]
fn a_client_that_cannot_be_safe_is_not_made() {
    for (url, user_name, password) in [
        ("http://primero.example/", "bridge", "password"),
        ("https://primero.example/", "bridge", "password"),
        ("http://127.0.0.1/", "bri:dge", "password"),
    ] {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let settings = config::Primero { user_name: user_name.to_owned(), ..settings(&url.parse().unwrap()) };
        let gate = Arc::new(Gate::unproven(clock.clone()));
        assert!(Client::new(&settings, password, None, clock, gate).is_err(), "{url} {user_name}");
    }
}
