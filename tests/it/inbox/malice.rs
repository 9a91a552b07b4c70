//! Requests that mean one thing to a proxy and another to us: each is one request, judged by its own key, or none.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{INBOX_KEY, body};
use crate::world::{World, intervention};

/// A post of one intervention, and with it the lines of its head that say how long it is.
fn post(key: &str, length: &str, content: &str) -> String {
    format!(
        "POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{length}\r\n\r\n{content}"
    )
}

fn good(number: &str) -> String {
    body(json!([intervention(number, json!({ "individuals.progres_id": format!("989-TEST{}", &number[number.len() - 4..]) }))]))
}

fn chunked(content: &str) -> String {
    format!("{:x}\r\n{content}\r\n0\r\n\r\n", content.len())
}

/// What a stranger adds, in the hope that it is taken for a part of what came before, or that it shares its key.
fn smuggled() -> String {
    let content = good("989-26-TEST-6666");
    post("none", &format!("connection: close\r\ncontent-length: {}", content.len()), &content)
}

/// The statuses of everything that is answered over one connection, which we close or which was said to be the last.
async fn statuses(world: &World, said: &str) -> Vec<u16> {
    let mut connection = TcpStream::connect(world.daemon().inbox).await.unwrap();
    // Who is refused in the middle may be cut off while he still speaks.
    let _ = connection.write_all(said.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    answer.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn each_request_of_a_connection_is_judged_by_its_own_key() {
    let world = World::new().await;
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|n| good(&format!("989-26-TEST-000{n}")));
    let length = |content: &str| format!("content-length: {}", content.len());
    // Pipelined: both are taken before the stranger is heard.
    let pipelined = [post(INBOX_KEY, &length(&first), &first), post(INBOX_KEY, &length(&second), &second), smuggled()].concat();
    assert_eq!(statuses(&world, &pipelined).await, [202, 202, 401]);
    // Who says two lengths is believed in that which tells its own end, whichever he says first; and he is heard no further.
    let both = format!("content-length: {}\r\ntransfer-encoding: chunked", chunked(&third).len() + smuggled().len());
    assert_eq!(statuses(&world, &[post(INBOX_KEY, &both, &chunked(&third)), smuggled()].concat()).await, [202]);
    let both = "transfer-encoding: chunked\r\ncontent-length: 3";
    assert_eq!(statuses(&world, &[post(INBOX_KEY, both, &chunked(&fourth)), smuggled()].concat()).await, [202]);
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 4, "what had a key was taken, and nothing else");
    assert!(world.cases_of("989-TEST6666").is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_request_that_nobody_can_read_in_one_way_is_refused_and_its_connection_closed() {
    let world = World::new().await;
    let content = good("989-26-TEST-6666");
    let (long, chunks) = (content.len(), chunked(&content));
    let mut refused = Vec::new();
    for length in [
        format!("content-length: {long}\r\ncontent-length: 3"),
        format!("content-length: 3\r\ncontent-length: {long}"),
        format!("content-length: {long}, 3"),
        format!("content-length: +{long}"),
        format!("content-length: -{long}"),
        format!("content-length: 0x{long:x}"),
        "content-length: 99999999999999999999999".to_owned(),
        format!("content-length : {long}"),
        format!("content-length: {long}\r\nx-folded: a\r\n b"),
        format!("content-length: {long}\r\nx-null: a\0b"),
        format!("content-length: {long}\r\nx-return: a\rb"),
    ] {
        refused.push((post(INBOX_KEY, &length, &content), length));
    }
    for length in [
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "transfer-encoding: chunked\r\n\tx",
    ] {
        refused.push((post(INBOX_KEY, length, &chunks), length.to_owned()));
    }
    let older = post(INBOX_KEY, "transfer-encoding: chunked", &chunks).replace("HTTP/1.1", "HTTP/1.0");
    refused.push((older, "chunked in HTTP/1.0".to_owned()));
    // Chunks that lie about their size.
    for size in ["zz", "-5", "ffffffffffffffffff", "", "0x10", "1 0"] {
        let lie = format!("{size}\r\n{content}\r\n0\r\n\r\n");
        refused.push((post(INBOX_KEY, "transfer-encoding: chunked", &lie), format!("a chunk of {size:?}")));
    }
    let shorter = format!("{:x}\r\n{content}\r\n0\r\n\r\n", long - 5);
    refused.push((post(INBOX_KEY, "transfer-encoding: chunked", &shorter), "a chunk that is longer than it says".to_owned()));
    let mut otherwise = Vec::new();
    for (said, what) in refused {
        let answered = statuses(&world, &[said, smuggled()].concat()).await;
        if answered != [400] {
            otherwise.push((what, answered));
        }
    }
    assert_eq!(otherwise, []);
    assert_eq!(world.unsettled(), []);
    assert_eq!(world.stage.primero.log().len(), 0, "nothing of it was taken");
    // And the next one is served.
    let last = good("989-26-TEST-0001");
    let head = format!("connection: close\r\ncontent-length: {}", last.len());
    assert_eq!(statuses(&world, &post(INBOX_KEY, &head, &last)).await, [202]);
    world.settle().await;
    world.end_whatever().await;
}
