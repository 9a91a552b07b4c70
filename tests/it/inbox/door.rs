//! The door of the inbox: TLS, how many stand in it, and who is too slow.

use std::time::Duration;

use referrald::{config::InboxTls, credentials, daemon::StartError, sandbox::pki::Wish};
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{INBOX_KEY, NUMBER, good, nothing_happened, refused_posts};
use crate::world::{PERSON, World};

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
    assert!(matches!(error, StartError::Credentials(_)), "{error}");
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
async fn one_connection_too_many_is_closed_and_the_others_are_served_on() {
    let world = World::with(&[("REFERRALD__INBOX__MAX_CONNECTIONS", "2")]).await;
    let (mut first, mut second) = (open(&world, ASKING).await, open(&world, ASKING).await);
    for connection in [&mut first, &mut second] {
        assert!(head(connection).await.starts_with("HTTP/1.1 405 "));
    }
    for _ in 0..3 {
        assert_eq!(rest(&mut open(&world, ASKING).await).await, "", "there is no place, and so no answer");
    }
    first.write_all(ASKING.as_bytes()).await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 405 "), "who stands in it is served on");
    // One leaves, one comes.
    first.write_all(LEAVING.as_bytes()).await.unwrap();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 405 "));
    let mut third = open(&world, ASKING).await;
    assert!(head(&mut third).await.starts_with("HTTP/1.1 405 "));
    assert_eq!(rest(&mut open(&world, ASKING).await).await, "");
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
