//! The inbox: every answer it gives, as a problem document or as a receipt, and what the operator hears of those it refused.

mod door;
mod malice;
mod no_room;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use referrald::{
    activity::Event,
    sandbox::{Endpoint, primero::BRIDGE, stage::INBOX_KEY},
    spool::list::Kind,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::Digest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    described::is_described,
    world::{PERSON, World, intervention},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NUMBER: &str = "989-26-TEST-0001";

/// A request to the inbox with these headers.
async fn ask(world: &World, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Response {
    let url = format!("http://{}{path}", world.daemon().inbox);
    let request = reqwest::Client::new().request(method, url).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("the inbox answers")
}

/// A post with the right key, as JSON.
async fn post(world: &World, body: impl Into<reqwest::Body>) -> Response {
    ask(world, Method::POST, "/inbox", &[("x-api-key", INBOX_KEY), ("content-type", "application/json")], body).await
}

/// Takes an answer to be this problem, whole.
async fn is_problem(response: Response, status: u16, kind: &str, title: &str, errors: Option<Value>) {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let headers = response.headers().clone();
    let mut expected = json!({"type": format!("urn:referrald:problem:{kind}"), "title": title, "status": status});
    if let Some(errors) = errors {
        expected["errors"] = errors;
    }
    let problem: Value = response.json().await.expect("a document");
    assert_eq!(problem, expected);
    is_described(status, &headers, &problem);
}

fn body(rows: Value) -> String {
    json!({"request_type": "PrimeroOutgoingReferral", "interventions": rows}).to_string()
}

fn good() -> String {
    body(json!([intervention(NUMBER, json!({}))]))
}

/// The refused posts on the operator's list: status and count.
fn refused_posts(world: &World) -> Vec<(u16, u64)> {
    let entries = world.entries().into_iter().filter(|entry| entry.kind == Kind::InboxRefused);
    entries.map(|entry| (entry.status.expect("a status"), entry.count)).collect()
}

/// Nothing was stored, and nobody was asked or told anything.
fn nothing_happened(world: &World) {
    assert_eq!(world.unsettled(), []);
    assert!(!world.heard(Event::Received));
    assert!(world.stage.primero.log().is_empty());
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_post_is_answered_with_a_receipt_when_it_is_stored() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    let answer = post(&world, good()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let receipt: Value = answer.json().await.unwrap();
    let line = world.lines().into_iter().find(|line| line.event == Event::Received).expect("it is stored by now");
    assert_eq!(receipt, json!({"post": line.post.unwrap().to_string(), "taken": 1, "not_taken": []}));
    world.end_unsettled().await;
}

#[tokio::test]
async fn known_interventions_and_rows_of_one_number_are_counted_as_taken() {
    let world = World::new().await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let other = json!({"individuals.progres_id": "989-TEST0002"});
    let rows = json!([
        intervention(NUMBER, json!({})),
        intervention("989-26-TEST-0002", other.clone()),
        intervention("989-26-TEST-0002", other),
    ]);
    let receipt: Value = post(&world, body(rows)).await.json().await.unwrap();
    assert_eq!(receipt["taken"], 2);
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn the_key_may_stand_in_any_of_three_headers() {
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("dtp:{INBOX_KEY}")));
    let bearer = format!("Bearer {INBOX_KEY}");
    let bearer_lower = format!("bearer {INBOX_KEY}");
    let world = World::new().await;
    for (name, value) in [
        ("x-api-key", INBOX_KEY),
        ("X-API-Key", INBOX_KEY),
        ("authorization", bearer.as_str()),
        ("authorization", bearer_lower.as_str()),
        ("authorization", basic.as_str()),
    ] {
        let answer = ask(&world, Method::POST, "/inbox", &[(name, value), ("content-type", "application/json")], good()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{name}");
    }
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn no_key_and_a_wrong_key_get_one_answer_and_are_told_to_nobody() {
    let world = World::new().await;
    let wrong_basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{INBOX_KEY}:wrong")));
    let json_type = ("content-type", "application/json");
    for headers in [
        vec![json_type],
        vec![json_type, ("x-api-key", "")],
        vec![json_type, ("x-api-key", "wrong")],
        vec![json_type, ("authorization", "Bearer wrong")],
        vec![json_type, ("authorization", "Basic not-base64!")],
        vec![json_type, ("authorization", wrong_basic.as_str())],
        vec![json_type, ("authorization", "Digest x")],
        // Whatever else is wrong, the key comes first.
        vec![("content-type", "text/plain"), ("x-api-key", "wrong")],
    ] {
        let answer = ask(&world, Method::POST, "/inbox", &headers, good()).await;
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        is_problem(answer, 401, "key", "no key, or one that is not valid here", None).await;
    }
    nothing_happened(&world);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn an_expired_key_gets_the_same_answer_and_is_told_to_the_operator() {
    let world = World::changing(|settings| settings.inbox.keys[0].expires = Some("2026-03-01T00:00:00Z".parse().unwrap())).await;
    let answer = post(&world, good()).await;
    is_problem(answer, 401, "key", "no key, or one that is not valid here", None).await;
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(401, 1)]);
    world.end().await;
}

#[tokio::test]
async fn a_key_is_good_to_the_last_moment_and_its_successor_at_once() {
    let world = World::changing(|settings| {
        let mut successor = settings.inbox.keys[0].clone();
        settings.inbox.keys[0].expires = Some("2026-03-02T08:00:00Z".parse().unwrap());
        successor.name = "successor".to_owned();
        successor.sha256 = sha2::Sha256::digest("the-next-key").into();
        settings.inbox.keys.push(successor);
    })
    .await;
    assert_eq!(post(&world, good()).await.status(), StatusCode::ACCEPTED);
    world.settle().await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(post(&world, good()).await.status(), StatusCode::UNAUTHORIZED);
    let (status, _) = world.post_raw("the-next-key", "application/json", good()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    world.end().await;
}

#[tokio::test]
async fn another_path_and_another_method_are_not_there() {
    let world = World::new().await;
    let headers = [("content-type", "application/json")];
    for path in ["/", "/inbox/", "/Inbox", "/inbox/x", "/livez", "/metrics"] {
        let answer = ask(&world, Method::POST, path, &headers, good()).await;
        is_problem(answer, 404, "no-such-page", "there is nothing here", None).await;
    }
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = ask(&world, method, "/inbox", &headers, "").await;
        assert_eq!(answer.headers()["allow"], "POST");
        is_problem(answer, 405, "only-post", "only POST is taken here", None).await;
    }
    nothing_happened(&world);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_post_to_another_path_with_the_right_key_is_told_to_the_operator() {
    let world = World::new().await;
    let headers = [("x-api-key", INBOX_KEY), ("content-type", "application/json")];
    assert_eq!(ask(&world, Method::POST, "/inbox/v2", &headers, good()).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ask(&world, Method::PUT, "/inbox", &headers, good()).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(404, 1), (405, 1)]);
    world.end().await;
}

#[tokio::test]
async fn what_is_not_json_by_its_content_type_is_refused_unread() {
    let world = World::new().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/jsonp", ""] {
        let headers = [("x-api-key", INBOX_KEY), ("content-type", content_type)];
        let answer = ask(&world, Method::POST, "/inbox", &headers, good()).await;
        is_problem(answer, 415, "content-type", "the content type must be application/json", None).await;
    }
    let answer = ask(&world, Method::POST, "/inbox", &[("x-api-key", INBOX_KEY)], reqwest::Body::from(vec![b'{'])).await;
    is_problem(answer, 415, "content-type", "the content type must be application/json", None).await;
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(415, 6)]);
    world.end().await;
}

#[tokio::test]
async fn json_with_a_character_set_is_json() {
    let world = World::new().await;
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let (status, _) = world.post_raw(INBOX_KEY, content_type, good()).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    world.settle().await;
    world.end().await;
}

const NOT_JSON: &str = "the body is not JSON in UTF-8, has a key twice, or is nested deeper than 32";

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let world = World::new().await;
    let twice = good().replacen("\"request_type\"", "\"request_type\":\"PrimeroOutgoingReferral\",\"request_type\"", 1);
    let twice_in_a_row = good().replacen("\"user.title\"", "\"user.title\":\"x\",\"user.title\"", 1);
    let twice_unread = good().replacen("\"user.title\"", "\"nobody.reads\":1,\"nobody.reads\":2,\"user.title\"", 1);
    let escaped_twice = good().replacen("\"user.title\"", "\"user.t\\u0069tle\":\"x\",\"user.title\"", 1);
    let mut not_utf8 = good().into_bytes();
    let place = not_utf8.windows(8).position(|window| window == b"Testina\"").unwrap();
    not_utf8[place] = 0xff;
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        good().into_bytes()[..200].to_vec(),
        format!("{} x", good()).into_bytes(),
        format!("{}{}", good(), good()).into_bytes(),
        b"request_type=PrimeroOutgoingReferral".to_vec(),
        good().replace("\"125080000\"", "NaN").into_bytes(),
        twice.into_bytes(),
        twice_in_a_row.into_bytes(),
        twice_unread.into_bytes(),
        escaped_twice.into_bytes(),
        not_utf8,
    ];
    let count = bodies.len() as u64;
    for body in bodies {
        is_problem(post(&world, body).await, 400, "not-json", NOT_JSON, None).await;
    }
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(400, count)]);
    world.end().await;
}

#[tokio::test]
async fn json_may_be_nested_thirty_two_deep_and_no_deeper() {
    let world = World::new().await;
    // The post, its list and its row are three.
    let nested = |more: usize| {
        let value = format!("\"nobody.reads\":{}{},\"user.title\"", "[".repeat(more), "]".repeat(more));
        good().replacen("\"user.title\"", &value, 1)
    };
    assert_eq!(post(&world, nested(29)).await.status(), StatusCode::ACCEPTED);
    is_problem(post(&world, nested(30)).await, 400, "not-json", NOT_JSON, None).await;
    is_problem(post(&world, nested(100_000)).await, 400, "not-json", NOT_JSON, None).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let world = World::with(&[("REFERRALD__INBOX__MAX_BODY", "4 KiB")]).await;
    let row = intervention(NUMBER, json!({"progres_interventiondescription": "x".repeat(5000)}));
    let large = body(json!([row]));
    is_problem(post(&world, large.clone()).await, 413, "too-large", "the body is too large", None).await;
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    let head = format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {INBOX_KEY}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n",
        large.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer, and then the end: the rest is not read");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(413, 2)]);
    assert_eq!(post(&world, good()).await.status(), StatusCode::ACCEPTED);
    world.settle().await;
    world.end().await;
}

const UNUSABLE: &str = "the envelope is wrong, or no item is usable; nothing was stored";

#[tokio::test]
async fn a_wrong_envelope_is_refused_with_every_flaw() {
    let world = World::new().await;
    let bodies = [
        (json!([]), json!([{"pointer": "", "reason": "not_an_object"}])),
        (
            json!({}),
            json!([{"pointer": "/request_type", "reason": "missing"}, {"pointer": "/interventions", "reason": "missing"}]),
        ),
        (
            json!({"request_type": "Other", "interventions": {}}),
            json!([
                {"pointer": "/request_type", "reason": "unknown_request_type"},
                {"pointer": "/interventions", "reason": "not_a_list"},
            ]),
        ),
        (
            json!({"request_type": "PrimeroOutgoingReferral", "interventions": []}),
            json!([{"pointer": "/interventions", "reason": "empty"}]),
        ),
        (
            json!({"request_type": "PrimeroOutgoingReferral", "interventions": vec![0; 10_001]}),
            json!([{"pointer": "/interventions", "reason": "too_many"}]),
        ),
        (
            json!({"request_type": "PrimeroOutgoingReferral", "interventions": ["x", {}, {"progres_interventionnumber": "a b"}]}),
            json!([
                {"pointer": "/interventions/0", "reason": "not_an_object"},
                {"pointer": "/interventions/1/progres_interventionnumber", "reason": "missing"},
                {"pointer": "/interventions/2/progres_interventionnumber", "reason": "malformed_number"},
            ]),
        ),
        (
            json!({"request_type": "PrimeroIncomingReferralDecision", "interventions": [{"progres_orgreferralid": "no-hash"}]}),
            json!([{"pointer": "/interventions/0/progres_orgreferralid", "reason": "malformed_referral_id"}]),
        ),
    ];
    let count = bodies.len() as u64;
    for (body, errors) in bodies {
        is_problem(post(&world, body.to_string()).await, 422, "unusable", UNUSABLE, Some(errors)).await;
    }
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(422, count)]);
    world.end().await;
}

#[tokio::test]
async fn items_that_are_not_usable_are_told_in_the_answer_in_the_activity_and_on_the_operators_list() {
    let world = World::new().await;
    let too_long = "x".repeat(65);
    let rows = json!([
        intervention(NUMBER, json!({})),
        null,
        ["Testina"],
        intervention("x", json!({"progres_interventionnumber": null})),
        intervention("x", json!({"progres_interventionnumber": ""})),
        intervention("Testina Examplename", json!({})),
        intervention(&too_long, json!({})),
        intervention("x", json!({"progres_interventionnumber": 17.5})),
    ]);
    let receipt: Value = post(&world, body(rows)).await.json().await.unwrap();
    assert_eq!(receipt["taken"], 1);
    let number = |place: usize, reason: &str| json!({"pointer": format!("/interventions/{place}/progres_interventionnumber"), "reason": reason});
    assert_eq!(
        receipt["not_taken"],
        json!([
            {"pointer": "/interventions/1", "reason": "not_an_object"},
            {"pointer": "/interventions/2", "reason": "not_an_object"},
            number(3, "missing"),
            number(4, "missing"),
            number(5, "malformed_number"),
            number(6, "malformed_number"),
            number(7, "malformed_number"),
        ])
    );
    world.settle().await;
    let told: Vec<_> = world.lines().into_iter().filter(|line| line.event == Event::NotTaken).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].count, Some(7));
    assert_eq!(told[0].post.map(|post| json!(post.to_string())), Some(receipt["post"].clone()));
    let places: Vec<&str> =
        receipt["not_taken"].as_array().unwrap().iter().map(|item| item["pointer"].as_str().unwrap()).collect();
    assert_eq!(told[0].fields, places, "the operator can tell UNHCR which items of which post");
    assert_eq!(world.list(), ["not_taken not_taken"]);
    assert_eq!(world.entries()[0].count, 7);
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1, "the usable one is delivered");
    world.end().await;
}

#[tokio::test]
async fn too_many_waiting_are_refused_until_there_is_room() {
    let world = World::with(&[("REFERRALD__INBOX__MAX_WAITING", "1")]).await;
    world.stage.primero.go_down().await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    let answer = post(&world, body(json!([intervention("989-26-TEST-0002", json!({}))]))).await;
    assert_eq!(answer.headers()["retry-after"], "300");
    is_problem(answer, 429, "too-many-waiting", "too much is waiting; send again later", None).await;
    assert_eq!(world.unsettled().len(), 1);
    assert_eq!(refused_posts(&world), [(429, 1)]);
    world.stage.primero.come_up().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    world.refer(json!([intervention("989-26-TEST-0002", json!({}))])).await;
    world.end().await;
}

#[tokio::test]
async fn a_flow_that_is_switched_off_takes_no_posts_and_the_other_does() {
    let decision = json!({
        "request_type": "PrimeroIncomingReferralDecision",
        "interventions": [{"progres_orgreferralid": "aaaaaaaa-0000-4000-8000-000000000001#000000000001"}],
    });
    for (switch, refused) in [("REFERRALD__FLOWS__TO_PRIMERO", good()), ("REFERRALD__FLOWS__TO_DTP", decision.to_string())] {
        let world = World::with(&[(switch, "false")]).await;
        let answer = post(&world, refused.clone()).await;
        assert_eq!(answer.headers()["retry-after"], "300");
        is_problem(answer, 503, "not-now", "this flow is switched off", None).await;
        nothing_happened(&world);
        assert_eq!(refused_posts(&world), [(503, 1)]);
        let other = if refused == good() { decision.to_string() } else { good() };
        assert_eq!(post(&world, other).await.status(), StatusCode::ACCEPTED);
        world.settle().await;
        world.end_whatever().await;
    }
}

#[tokio::test]
async fn before_and_after_the_agreement_nothing_is_taken() {
    for (setting, value) in
        [("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-03-01"), ("REFERRALD__AGREEMENT__VALID_FROM", "2026-03-03")]
    {
        let world = World::with(&[(setting, value)]).await;
        let answer = post(&world, good()).await;
        assert_eq!(answer.headers()["retry-after"], "300");
        is_problem(answer, 503, "not-now", "the data sharing agreement of this programme is not valid now", None).await;
        nothing_happened(&world);
        world.end().await;
    }
}

#[tokio::test]
async fn a_state_of_the_largest_size_takes_no_more() {
    let world = World::with(&[("REFERRALD__STATE__MAX_SIZE", "1 KiB")]).await;
    let answer = post(&world, good()).await;
    assert_eq!(answer.headers()["retry-after"], "300");
    is_problem(answer, 503, "not-now", "the state has reached its largest size", None).await;
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(503, 1)]);
    world.end().await;
}

#[tokio::test]
async fn refused_posts_are_one_entry_per_status_and_day() {
    let world = World::new().await;
    let refuse = |body: &'static str| post(&world, body);
    refuse("{").await;
    refuse("{").await;
    refuse("{}").await;
    world.pass(DAY).await;
    refuse("{").await;
    assert_eq!(refused_posts(&world), [(400, 2), (422, 1), (400, 1)]);
    let lines: Vec<_> =
        world.lines().into_iter().filter(|line| line.event == Event::InboxRefused).map(|line| line.status).collect();
    assert_eq!(lines, [Some(400), Some(400), Some(422), Some(400)]);
    world.end().await;
}

#[tokio::test]
async fn no_answer_echoes_anything_of_the_post() {
    let world = World::new().await;
    for body in [
        "{\"Marker\":".to_owned(),
        json!({"request_type": "Marker", "interventions": [{"Marker": "Marker"}]}).to_string(),
        json!({"request_type": "PrimeroOutgoingReferral", "interventions": ["Marker", {"progres_interventionnumber": "Marker Marker"}]})
            .to_string(),
    ] {
        let answer = post(&world, body).await.text().await.unwrap();
        assert!(!answer.contains("Marker"), "{answer}");
    }
    assert!(!format!("{:?} {:?}", world.lines(), world.entries()).contains("Marker"));
    world.end().await;
}

#[tokio::test]
async fn a_post_is_taken_while_primero_and_dtp_are_down() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.stage.dtp.go_down().await;
    assert_eq!(post(&world, good()).await.status(), StatusCode::ACCEPTED);
    world.settle().await;
    world.stage.primero.come_up().await.unwrap();
    world.stage.dtp.come_up().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.told_dtp().len(), 1);
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE), (0, false));
    assert_eq!(world.stage.primero.log().count(Endpoint::CreateCase), 1);
    world.end().await;
}
