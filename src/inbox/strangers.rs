//! How many requests without a right key are answered: so many a minute from one source. A request with a right key is never
//! counted, and never refused because of others.
//!
//! Where a proxy stands between that is not named in the configuration, nobody knows who asks; then all strangers are one source.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;

use crate::config;

/// How many requests of one source are answered in a minute.
const MOST: u32 = 120;
/// The minute.
const WHILE: Duration = Duration::from_secs(60);
/// How many sources are told apart; beyond them all share one allowance.
const MOST_SOURCES: usize = 4096;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl Source {
    /// An address; of IPv6 the network, because whoever has one address there has all of them.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
            address => address,
        }))
    }

    /// Nobody knows.
    pub const UNKNOWN: Self = Self(None);

    /// Where a request comes from: who is connected, or whom the nearest proxies that we trust name.
    #[must_use]
    pub fn of_request(settings: &config::Inbox, peer: SocketAddr, headers: &HeaderMap) -> Self {
        if !settings.behind_proxy {
            return Self::of(peer.ip());
        }
        let trusted = |address: IpAddr| {
            let address = address.to_canonical();
            settings.trusted_proxies.iter().any(|network| network.contains(&address))
        };
        if !trusted(peer.ip()) {
            return Self::UNKNOWN;
        }
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
        // Each proxy adds on the right whom it was asked by; what stands left of the last one that we trust may be made up.
        for text in lines.join(",").rsplit(',').map(str::trim) {
            match text.parse::<IpAddr>() {
                Ok(address) if trusted(address) => {}
                Ok(address) => return Self::of(address),
                Err(_) => return Self::UNKNOWN,
            }
        }
        Self::UNKNOWN
    }
}

/// What strangers have asked.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// Since when is counted.
    since: Duration,
    times: HashMap<Source, u32>,
}

impl Strangers {
    /// Counts a request without a right key; whether it is still answered. `now` is monotonic time.
    pub fn may_ask(&self, source: Source, now: Duration) -> bool {
        // Each change is whole, so a panic elsewhere does not take it away.
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(asked.since) >= WHILE {
            asked.since = now;
            asked.times.clear();
        }
        let is_full = asked.times.len() >= MOST_SOURCES;
        let source = if is_full && !asked.times.contains_key(&source) { Source::UNKNOWN } else { source };
        let times = asked.times.entry(source).or_default();
        *times += 1;
        *times <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(trusted: &[&str], peer: &str, forwarded: &[&str]) -> Source {
        let settings = config::Inbox {
            listen: "127.0.0.1:0".parse().unwrap(),
            path: String::new(),
            max_body: 0,
            max_waiting: 0,
            max_connections: 0,
            behind_proxy: true,
            trusted_proxies: trusted.iter().map(|network| network.parse().unwrap()).collect(),
            tls: None,
            keys: Vec::new(),
        };
        let lines = forwarded.iter().map(|line| (axum::http::HeaderName::from_static("x-forwarded-for"), line.parse().unwrap()));
        Source::of_request(&settings, peer.parse().unwrap(), &lines.collect())
    }

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let address = |text: &str| Source::of(text.parse().unwrap());
        let proxies = ["10.0.0.0/8", "2001:db8::1/128"];
        for (trusted, peer, forwarded, expected) in [
            (&proxies[..], "10.0.0.1:5", &["192.0.2.7"][..], address("192.0.2.7")),
            (&proxies[..], "[2001:db8::1]:5", &["192.0.2.7"][..], address("192.0.2.7")),
            (&proxies[..], "[::ffff:10.0.0.1]:5", &["192.0.2.7"][..], address("192.0.2.7")),
            (&proxies[..], "10.0.0.1:5", &["198.51.100.1, 192.0.2.7, 10.0.0.2"][..], address("192.0.2.7")),
            (&proxies[..], "10.0.0.1:5", &["198.51.100.1", "192.0.2.7"][..], address("192.0.2.7")),
            (&proxies[..], "10.0.0.1:5", &["2001:db8:1:2:3::4"][..], address("2001:db8:1:2::")),
            (&proxies[..], "10.0.0.1:5", &["192.0.2.7, made up"][..], Source::UNKNOWN),
            (&proxies[..], "10.0.0.1:5", &["10.0.0.3"][..], Source::UNKNOWN),
            (&proxies[..], "10.0.0.1:5", &[][..], Source::UNKNOWN),
            (&proxies[..], "192.0.2.1:5", &["192.0.2.7"][..], Source::UNKNOWN),
            (&[][..], "10.0.0.1:5", &["192.0.2.7"][..], Source::UNKNOWN),
        ] {
            assert_eq!(source(trusted, peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn sources_beyond_counting_share_one_allowance_and_a_minute_later_all_begin_anew() {
        let strangers = Strangers::default();
        let nth = |n: u32| Source::of(IpAddr::V4(n.into()));
        for n in 0..u32::try_from(MOST_SOURCES).unwrap() {
            assert!(strangers.may_ask(nth(n), WHILE));
        }
        let others = (0..=MOST).filter(|n| strangers.may_ask(nth(1_000_000 + n), WHILE)).count();
        assert_eq!(others, MOST as usize);
        assert!(strangers.may_ask(nth(0), WHILE), "who was counted keeps an allowance of his own");
        assert!(strangers.may_ask(nth(1_000_000), 2 * WHILE));
    }
}
