//! Who may ask the admin listener, and how: judged before anything is looked up.
//!
//! It only shows, so a request that comes twice does nothing twice; but what it shows is confidential. A browser on the machine of an
//! operator is where another site could try to read it: by a link, by a script, or by a name that it lets point here (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header},
    middleware::Next,
    response::Response,
};

use crate::page::{Barred, HEADERS, LONGEST_ADDRESS};

/// Where machines ask: they name the host as their own settings say, and get counts and states only.
const FOR_MACHINES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Lets a request through, or answers it; and says with every answer what a browser may do with it. `listen` is `admin.listen`.
pub(super) async fn guard(State(listen): State<SocketAddr>, request: Request, next: Next) -> Response {
    let is_for_machines = FOR_MACHINES.contains(&request.uri().path());
    let barred = barred(&request, is_for_machines, listen.ip());
    let mut response = match barred {
        None => next.run(request).await,
        Some(barred) if is_for_machines => barred.line(),
        Some(barred) => barred.page(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

fn barred(request: &Request, is_for_machines: bool, listen: IpAddr) -> Option<Barred> {
    let headers = request.headers();
    let brings_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0");
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        Some(Barred::Method)
    } else if brings_body {
        Some(Barred::Body)
    } else if request.uri().path_and_query().is_some_and(|asked| asked.as_str().len() > LONGEST_ADDRESS) {
        Some(Barred::TooLong)
    } else if !host_is_ours(headers, request.uri(), is_for_machines, listen) {
        Some(Barred::Host)
    } else if !comes_from_here(headers) {
        Some(Barred::OtherSite)
    } else {
        None
    }
}

/// Whether the host that is asked is us. A name is what another site could let point here, so no name is ours but `localhost`; an
/// address is ours if it is a loopback address or that of `admin.listen`, and any if we listen on all of them.
///
/// Machines in other containers ask by a name that is theirs to choose. Where we listen on the loopback there are none, and they are
/// held to the same; where we listen elsewhere they may ask by any name, or by none.
fn host_is_ours(headers: &HeaderMap, uri: &Uri, is_for_machines: bool, listen: IpAddr) -> bool {
    if is_for_machines && !listen.is_loopback() {
        return true;
    }
    let ours = |authority: &str| {
        let Some(authority) = authority.parse::<axum::http::uri::Authority>().ok().filter(|whole| !whole.as_str().contains('@'))
        else {
            return false;
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => address.is_loopback() || listen.is_unspecified() || address == listen.to_canonical(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    };
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(ours),
        // A probe that speaks HTTP/1.0 names none; no browser does that.
        (None, _) => is_for_machines,
        (Some(_), Some(_)) => false,
    };
    named && uri.authority().is_none_or(|authority| ours(authority.as_str()))
}

/// Whether it was sent by a person or by one of our own pages, as far as the browser says so.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let same_site = headers.get_all("sec-fetch-site").iter().all(|site| site == "same-origin" || site == "none");
    // A form or a link of ours sends no origin, and a script has no business here.
    same_site && !headers.contains_key(header::ORIGIN)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ours(host: &str, listen: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        host_is_ours(&headers, &Uri::from_static("/"), false, listen.parse().unwrap())
    }

    #[test]
    fn only_addresses_and_localhost_are_ours() {
        let loopback =
            ["127.0.0.1:9090", "127.0.0.1", "127.8.8.8:1", "[::1]:9090", "localhost", "LocalHost:9090", "[::ffff:127.0.0.1]:9"];
        for listen in ["127.0.0.1", "::1", "10.1.2.3", "0.0.0.0", "::"] {
            for host in loopback {
                assert!(ours(host, listen), "{host} at {listen}");
            }
            for host in [
                "example.org",
                "localhost.example.org",
                "127.0.0.1.example.org",
                "localhost.",
                "a.localhost",
                "",
                "user@localhost",
                "2130706433",
                "0x7f.1",
                "10.1.2.3.",
                "[::1",
                "localhost:9090:1",
            ] {
                assert!(!ours(host, listen), "{host} at {listen}");
            }
        }
        for (host, listen, expected) in [
            ("10.1.2.3:9090", "10.1.2.3", true),
            ("10.1.2.4:9090", "10.1.2.3", false),
            ("10.1.2.4:9090", "127.0.0.1", false),
            ("10.1.2.4:9090", "0.0.0.0", true),
            ("[fd00::1]:9090", "fd00::1", true),
            ("[fd00::2]:9090", "fd00::1", false),
            ("[fd00::2]:9090", "::", true),
        ] {
            assert_eq!(ours(host, listen), expected, "{host} at {listen}");
        }
    }
}
