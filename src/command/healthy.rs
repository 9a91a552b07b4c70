//! `referrald healthy`: asks a running daemon whether posts can be stored, where there is no shell to ask with.
//!
//! It asks the admin address that everybody else asks, so that a daemon which no longer answers there is found out, too.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::Failure;

/// How long each step of the question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No more of an answer is read than this.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Whether the daemon whose admin pages are served there is ready.
pub fn ask(admin: SocketAddr) -> Result<(), Failure> {
    let address = reachable(admin);
    let page = ready_page(address).map_err(|error| {
        Failure::failed(format!("nobody answers at {address}: {} (hint: does the daemon run?)", error.kind()))
    })?;
    let (head, body) = page.split_once("\r\n\r\n").unwrap_or((&page, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some("503") => Err(Failure::failed(format!("not ready: {}", why(body)))),
        _ => Err(Failure::failed(format!("what answers at {address} is not referrald (hint: `admin.listen`)"))),
    }
}

/// A daemon that listens on all addresses is asked on the loopback.
const fn reachable(admin: SocketAddr) -> SocketAddr {
    match admin {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), v6.port()),
        other => other,
    }
}

fn ready_page(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0 is answered in one piece, and the connection ends with it.
    write!(stream, "GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut page = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut page)?;
    Ok(page)
}

/// The reason that the page gives.
fn why(body: &str) -> String {
    let page: Option<Value> = serde_json::from_str(body).ok();
    match page.as_ref().map(|page| &page["why"]) {
        Some(Value::String(why)) => why.clone(),
        Some(Value::Null) | None => "it does not say why".to_owned(),
        Some(other) => other.to_string(),
    }
}
