//! The door of the inbox: TLS, how many stand in it, and who is too slow.

use std::time::Duration;

use referrald::{activity::Event, config::InboxTls, credentials, daemon::StartError, sandbox::pki::Wish};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{INBOX_KEY, NUMBER, ask, body, good, is_problem, nothing_happened, post, refused_posts};
use crate::world::{PERSON, World, intervention};

const SECOND: Duration = Duration::from_secs(1);

/// A world whose inbox has its own TLS, with a certificate for the loopback.
async fn with_tls() -> World {
    let mut world = World::without_daemon(&[]).await;
    let identity = world.stage.authority.issue(Wish::loopback());
    let (certificate_file, key_file) = identity.write(&world.stage.directory().join("secrets"), "inbox").unwrap();
    world.change(|settings| settings.inbox.tls = Some(InboxTls { certificate_file, key_file }));
    world
}

/// A client that trusts the authority of the stage and nobody else.
fn client(world: &World) -> reqwest::Client {
    let authority = world.stage.directory().join("secrets/authority.pem");
    let tls = credentials::tls_client_config(Some(&authority), None).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

#[tokio::test]
async fn with_tls_posts_are_taken_and_plain_http_is_not_understood() {
    let mut world = with_tls().await;
    world.start().await;
    let address = world.daemon().inbox;
    let post = || client(&world).post(format!("https://{address}/inbox")).header("content-type", "application/json").body(good());
    assert_eq!(post().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(post().header("x-api-key", INBOX_KEY).send().await.unwrap().status(), StatusCode::ACCEPTED);
    world.settle().await;
    assert_eq!(world.stage.primero.services(world.case_of(PERSON)).len(), 1);

    let plain = reqwest::Client::new().post(format!("http://{address}/inbox")).header("x-api-key", INBOX_KEY).body(good());
    assert!(plain.send().await.is_err(), "no answer without TLS, so no key is ever welcome in the clear");
    world.end().await;
}

#[tokio::test]
async fn a_certificate_that_does_not_belong_to_its_key_refuses_the_start() {
    let mut world = with_tls().await;
    let other = world.stage.authority.issue(Wish::loopback());
    let (_, key_file) = other.write(&world.stage.directory().join("secrets"), "other").unwrap();
    world.change(|settings| settings.inbox.tls.as_mut().unwrap().key_file = key_file);
    let error = world.try_start().await.expect_err("the start is refused");
    assert!(matches!(error, StartError::Unfit(_)), "{error}");
    assert!(error.is_configuration());
    let said = error.to_string().replace(&world.stage.directory().display().to_string(), "DIR");
    assert_eq!(
        said,
        "DIR/secrets/inbox.pem: does not belong to the key in DIR/secrets/other.key (hint: request a certificate for this key, or name \
         the key that it was issued for)"
    );
    assert!(!world.state_directory().join("state.sqlite").exists(), "it is found before the state is touched");
}

/// Sends this as it is.
async fn open(world: &World, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// Everything that is answered until the connection is closed. A reset is an end as well.
async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

const ASKING: &str = "GET /inbox HTTP/1.1\r\nhost: inbox\r\n\r\n";
const LEAVING: &str = "GET /inbox HTTP/1.1\r\nhost: inbox\r\nconnection: close\r\n\r\n";

/// Reads the head of an answer that keeps the connection open.
async fn head(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0, "it was closed");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn where_everybody_has_a_key_one_connection_too_many_is_closed_and_the_others_are_served_on() {
    let asking = ASKING.replace("\r\n\r\n", &format!("\r\nx-api-key: {INBOX_KEY}\r\n\r\n"));
    let leaving = LEAVING.replace("\r\n\r\n", &format!("\r\nx-api-key: {INBOX_KEY}\r\n\r\n"));
    let world = World::with(&[("REFERRALD__INBOX__MAX_CONNECTIONS", "2")]).await;
    let (mut first, mut second) = (open(&world, &asking).await, open(&world, &asking).await);
    for connection in [&mut first, &mut second] {
        assert!(head(connection).await.starts_with("HTTP/1.1 405 "));
    }
    for _ in 0..3 {
        assert_eq!(rest(&mut open(&world, &asking).await).await, "", "there is no place, and so no answer");
    }
    first.write_all(asking.as_bytes()).await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 405 "), "who stands in it is served on");
    // One leaves, one comes.
    first.write_all(leaving.as_bytes()).await.unwrap();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 405 "));
    let mut third = open(&world, &asking).await;
    assert!(head(&mut third).await.starts_with("HTTP/1.1 405 "));
    assert_eq!(rest(&mut open(&world, &asking).await).await, "");
    assert_eq!(world.page("/livez").await.0, StatusCode::OK, "the operator looks through another door");
    drop((second, third));
    world.end().await;
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408_and_the_rest_of_it_is_not_read() {
    let world = World::new().await;
    let body = good();
    let head = format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {INBOX_KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (mut reader, mut writer) = open(&world, &head).await.into_split();
    let answer = tokio::spawn(async move {
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.map(|_| answer)
    });
    // A byte with every second; long before the last one somebody loses patience.
    for byte in body.bytes() {
        if answer.is_finished() || writer.write_all(&[byte]).await.is_err() {
            break;
        }
        world.clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    let answer = answer.await.unwrap().expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\"type\":\"urn:referrald:problem:too-slow\""), "{answer}");
    nothing_happened(&world);
    assert_eq!(refused_posts(&world), [(408, 1)], "DTP may not read it, so the operator hears of it");
    assert!(!answer.contains(NUMBER));
    world.end().await;
}

#[tokio::test]
async fn slow_bodies_give_their_places_back() {
    let world = World::new().await;
    let head = format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {INBOX_KEY}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    // As many as may be read at a time, and one more that waits for its turn.
    let mut slow = Vec::new();
    for _ in 0..33 {
        slow.push(open(&world, &head).await);
    }
    let answers: Vec<_> =
        slow.into_iter().map(|mut connection| tokio::spawn(async move { rest(&mut connection).await })).collect();
    while !answers.iter().all(|answer| answer.is_finished()) {
        world.clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    for answer in answers {
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 408 "));
    }
    // Whoever was slow is gone, and the next one is taken.
    let (status, _) = world.post_raw(INBOX_KEY, "application/json", good()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    world.settle().await;
    world.end().await;
}

/// A place is given back by who does not use it. The head of a request has five seconds by the machine's clock; nobody here looks
/// at a watch.
async fn gives_its_place_back(said: &str) {
    let world = World::with(&[("REFERRALD__INBOX__MAX_CONNECTIONS", "1")]).await;
    let mut connection = open(&world, said).await;
    rest(&mut connection).await;
    let (status, _) = world.post_raw(INBOX_KEY, "application/json", good()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn who_says_nothing_gives_his_place_back() {
    gives_its_place_back("").await;
}

#[tokio::test]
async fn who_never_ends_his_head_gives_his_place_back() {
    gives_its_place_back("POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-").await;
}

#[tokio::test]
async fn who_has_his_answer_and_stays_gives_his_place_back() {
    gives_its_place_back(ASKING).await;
}

#[tokio::test]
async fn who_never_shakes_hands_gives_his_place_back() {
    let mut world = with_tls().await;
    world.change(|settings| settings.inbox.max_connections = 1);
    world.start().await;
    let mut connection = open(&world, "").await;
    rest(&mut connection).await;
    let post = client(&world).post(format!("https://{}/inbox", world.daemon().inbox)).header("content-type", "application/json");
    let answer = post.header("x-api-key", INBOX_KEY).body(good()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    world.settle().await;
    world.end().await;
}

/// The head of a post over a connection of its own that stays open.
fn post_head(key: &str, length: usize) -> String {
    format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Reads the head of an answer and as much of its body as has come.
async fn answered(connection: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.expect("an answer");
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

/// A post with the right key is taken over this connection.
async fn is_taken_over(connection: &mut TcpStream) {
    let post = format!("{}{}", post_head(INBOX_KEY, good().len()), good());
    connection.write_all(post.as_bytes()).await.unwrap();
    assert!(answered(connection).await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn strangers_who_hold_every_connection_give_way_to_whoever_comes() {
    let world = World::with(&[("REFERRALD__INBOX__MAX_CONNECTIONS", "4")]).await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(TcpStream::connect(world.daemon().inbox).await.unwrap());
    }
    for n in 1..=3 {
        // Each over a new connection.
        let number = format!("989-26-TEST-{n:04}");
        assert_eq!(post(&world, body(json!([intervention(&number, json!({}))]))).await.status(), StatusCode::ACCEPTED, "{n}");
    }
    let end = strangers[0].read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "the one that stood there longest is closed");
    world.settle().await;
    world.end_whatever().await;
}

#[tokio::test]
async fn a_connection_over_which_a_right_key_came_keeps_its_place() {
    let world = World::with(&[("REFERRALD__INBOX__MAX_CONNECTIONS", "3")]).await;
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    is_taken_over(&mut connection).await;
    for _ in 0..20 {
        let mut stranger = TcpStream::connect(world.daemon().inbox).await.unwrap();
        stranger.write_all(post_head("wrong", 2).as_bytes()).await.unwrap();
        assert!(answered(&mut stranger).await.starts_with("HTTP/1.1 401 "));
        // Each stays open.
        std::mem::forget(stranger);
    }
    is_taken_over(&mut connection).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn a_connection_over_which_a_right_key_came_is_there_for_the_next_post() {
    let world = World::new().await;
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    is_taken_over(&mut connection).await;
    // A stranger who came later has been waited for too long already.
    rest(&mut open(&world, "").await).await;
    is_taken_over(&mut connection).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn who_has_an_expired_key_is_answered_no_more_often_than_a_stranger() {
    let mut world = World::without_daemon(&[]).await;
    let expired = world.clock.now() - chrono::TimeDelta::days(1);
    world.change(|settings| settings.inbox.keys.iter_mut().for_each(|key| key.expires = Some(expired)));
    world.start().await;
    let mut statuses = Vec::new();
    for _ in 0..121 {
        statuses.push(world.post_raw(INBOX_KEY, "application/json", good()).await.0);
    }
    assert!(statuses[..120].iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{statuses:?}");
    assert_eq!(statuses[120], StatusCode::TOO_MANY_REQUESTS);
    let told = world.lines().into_iter().filter(|line| line.event == Event::InboxRefused).count();
    assert_eq!(told, 120, "what is not answered is not told");
    world.end().await;
}

#[tokio::test]
async fn strangers_are_answered_so_many_times_a_minute_and_a_right_key_always() {
    let world = World::new().await;
    let json_type = [("content-type", "application/json"), ("x-api-key", "wrong")];
    for _ in 0..120 {
        assert_eq!(ask(&world, Method::POST, "/inbox", &json_type, "{}").await.status(), StatusCode::UNAUTHORIZED);
    }
    for path in ["/inbox", "/elsewhere"] {
        let answer = ask(&world, Method::POST, path, &json_type, "{}").await;
        assert_eq!(answer.headers()["retry-after"], "60");
        is_problem(answer, 429, "too-many-requests", "too many requests without a valid key; ask again later", None).await;
    }
    assert_eq!(post(&world, good()).await.status(), StatusCode::ACCEPTED);
    world.settle().await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(ask(&world, Method::POST, "/inbox", &json_type, "{}").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn behind_a_proxy_that_is_trusted_each_source_has_its_own_allowance() {
    let settings = [("REFERRALD__INBOX__BEHIND_PROXY", "true"), ("REFERRALD__INBOX__TRUSTED_PROXIES", "127.0.0.0/8")];
    for (settings, others) in [(&settings[..], 401), (&settings[..1], 429)] {
        let world = World::with(settings).await;
        let wrong = |source| [("content-type", "application/json"), ("x-api-key", "wrong"), ("x-forwarded-for", source)];
        for _ in 0..120 {
            ask(&world, Method::POST, "/inbox", &wrong("192.0.2.1"), "{}").await;
        }
        let status = ask(&world, Method::POST, "/inbox", &wrong("192.0.2.1"), "{}").await.status();
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        let status = ask(&world, Method::POST, "/inbox", &wrong("192.0.2.2"), "{}").await.status();
        assert_eq!(status.as_u16(), others, "a source that nobody knows shares with all others");
        world.end().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let world = World::new().await;
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    let long = format!("POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-much: {}\r\n\r\n", "x".repeat(64 * 1024));
    // It may be refused before all of it is written.
    let _ = connection.write_all(long.as_bytes()).await;
    assert!(answered(&mut connection).await.starts_with("HTTP/1.1 431 "));
    world.end().await;
}
