//! The page, from outside: what it shows, to whom, and that what it shows can be read by everybody.

mod door;
mod filled;
mod looks;
mod many;
mod markup;
mod register;
mod shown;

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

/// What came back over a socket.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A line of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (of, value) = line.split_once(':')?;
            of.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends bytes to a listener and reads until it closes.
pub async fn say(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut connection = TcpStream::connect(to).await.unwrap();
    // Who is refused in the middle of a long head may be cut off while it still speaks.
    let _ = connection.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Asks for a page as a browser does in which somebody has typed the address.
pub async fn get(world: &World, path: &str) -> Answer {
    let admin = world.daemon().admin;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nSec-Fetch-Site: none\r\nConnection: close\r\n\r\n");
    say(admin, request.as_bytes()).await
}

/// A page that must be there.
pub async fn shown(world: &World, path: &str) -> String {
    let answer = get(world, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}
