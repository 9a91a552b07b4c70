//! The two listeners: where DTP posts, and where the operator looks.
//!
//! It opens no socket and reads no key.

use std::{collections::BTreeMap, net::SocketAddr};

use super::super::{
    Admin, Inbox, InboxKey, InboxTls,
    reading::Reading,
    values::{self, Edge},
};
use crate::zone::Zone;

pub(super) fn inbox(reading: &mut Reading, zone: Zone) -> Option<Inbox> {
    let listen = reading.read("inbox.listen", values::address);
    let path = reading.read("inbox.path", values::url_path);
    let max_body = reading.read("inbox.max_body", values::size);
    let max_waiting = reading.read("inbox.max_waiting", values::whole(1..=10_000_000_u64));
    let max_connections = reading.read("inbox.max_connections", values::whole(1..=65_535_usize));
    let behind_proxy = reading.read("inbox.behind_proxy", values::truth);
    let trusted_proxies = reading.read("inbox.trusted_proxies", values::networks);
    if behind_proxy == Some(false) && trusted_proxies.as_ref().is_some_and(|proxies| !proxies.is_empty()) {
        reading.refuse("inbox.trusted_proxies", "names proxies, but `inbox.behind_proxy` is false");
    }
    let tls = tls(reading);
    let keys = keys(reading, zone);
    if let (Some(listen), Some(false), Some(None)) = (listen, behind_proxy, &tls)
        && !listen.ip().to_canonical().is_loopback()
    {
        reading.refuse(
            "inbox.listen",
            "is open to the network without encryption (hint: give `inbox.tls`, or set `inbox.behind_proxy = true` where a proxy \
             ends TLS)",
        );
    }
    Some(Inbox {
        listen: listen?,
        path: path?,
        max_body: max_body?,
        max_waiting: max_waiting?,
        max_connections: max_connections?,
        behind_proxy: behind_proxy?,
        trusted_proxies: trusted_proxies?,
        tls: tls?,
        keys: keys?,
    })
}

pub(super) fn admin(reading: &mut Reading, inbox: Option<&Inbox>) -> Option<Admin> {
    let listen = reading.read("admin.listen", values::address)?;
    if inbox.is_some_and(|inbox| share_a_port(inbox.listen, listen)) {
        reading.refuse("admin.listen", "must not be the address of `inbox.listen`: what the operator sees is not for DTP");
    }
    Some(Admin { listen })
}

/// Whether both would be reached at one address; an unspecified address is every one of the machine.
fn share_a_port(one: SocketAddr, other: SocketAddr) -> bool {
    let same_place = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_place
}

fn tls(reading: &mut Reading) -> Option<Option<InboxTls>> {
    let certificate_file = reading.path_if_given("inbox.tls.certificate_file");
    let key_file = reading.secret_file_if_given("inbox.tls.key_file");
    match (certificate_file?, key_file?) {
        (Some(certificate_file), Some(key_file)) => Some(Some(InboxTls { certificate_file, key_file })),
        (None, None) => Some(None),
        (Some(_), None) => {
            reading.refuse("inbox.tls.key_file", "is missing beside `inbox.tls.certificate_file`");
            None
        }
        (None, Some(_)) => {
            reading.refuse("inbox.tls.certificate_file", "is missing beside `inbox.tls.key_file`");
            None
        }
    }
}

fn keys(reading: &mut Reading, zone: Zone) -> Option<Vec<InboxKey>> {
    const KEYS: &str = "inbox.keys";
    let count = reading.items(KEYS, &["name", "sha256", "expires"])?;
    if count == 0 {
        reading.refuse(KEYS, "must hold one key at least (hint: `referrald key new` makes one and prints the lines)");
    }
    let keys: Vec<_> = (0..count).map(|number| key(reading, &format!("{KEYS}[{number}]"), zone)).collect();

    let (mut names, mut digests) = (BTreeMap::new(), BTreeMap::new());
    for (number, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        if names.insert(&key.name, number).is_some() {
            reading.refuse(&format!("{KEYS}[{number}].name"), "is used by another key before");
        }
        if digests.insert(key.sha256, number).is_some() {
            reading.refuse(&format!("{KEYS}[{number}].sha256"), "is given for another key before");
        }
    }
    keys.into_iter().collect()
}

fn key(reading: &mut Reading, key: &str, zone: Zone) -> Option<InboxKey> {
    let name = reading.read(&format!("{key}.name"), values::text);
    let sha256 = reading.read(&format!("{key}.sha256"), values::sha256);
    let expires = reading.read_if_given(&format!("{key}.expires"), values::moment(zone, Edge::Last));
    Some(InboxKey { name: name?, sha256: sha256?, expires: expires? })
}
