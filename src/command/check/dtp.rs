//! Whether DTP lets us in as far as the handshake: their certificate, ours, a common protocol. Nothing is posted.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{Findings, Problem, site::Shown};
use crate::{config::Settings, credentials};

/// How long we wait for a word after the handshake: with TLS 1.3 a server judges our certificate after our side is done.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Shakes hands with every host of DTP: with the certificate that is used now, and with the one that is to take its place, if it
/// is valid already. Whether UNHCR knows that one must be seen before its day.
pub(super) async fn check(settings: &Settings, shown: &Shown, now: DateTime<Utc>) -> Findings {
    let mut findings = Findings::default();
    if shown.now.is_none() {
        findings.notes.push("not asked: without a client certificate there is no handshake".to_owned());
    }
    let (then, early): (Vec<_>, Vec<_>) =
        shown.then.iter().map(|next| (next, " with the certificate of `dtp.next`")).partition(|(next, _)| next.not_before <= now);
    if !early.is_empty() {
        findings.notes.push("the certificate of `dtp.next` was not tried: it is not valid yet".to_owned());
    }
    let urls = [&settings.dtp.referral_url, &settings.dtp.decision_url];
    let hosts: BTreeSet<(String, u16)> = urls
        .into_iter()
        .filter(|url| url.scheme() == "https")
        .filter_map(|url| Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?)))
        .collect();
    let mut shaking = Vec::new();
    for (certificate, which) in shown.now.iter().map(|certificate| (certificate, "")).chain(then) {
        let tls = match credentials::tls_client_config(settings.dtp.ca_file.as_deref(), Some(certificate)) {
            Ok(tls) => Arc::new(tls),
            Err(error) => {
                findings.problems.push(Problem::outside(error));
                return findings;
            }
        };
        for (host, port) in hosts.iter().cloned() {
            let (tls, timeout, name) = (Arc::clone(&tls), settings.dtp.timeout, host.clone());
            shaking.push((host, which, tokio::task::spawn_blocking(move || shake_hands(tls, &name, port, timeout))));
        }
    }
    for (host, which, shaken) in shaking {
        match shaken.await {
            Ok(Ok(version)) => findings.notes.push(format!("{host}: handshake done{which}, {version}")),
            Ok(Err(said)) => findings.problems.push(Problem::outside(format!("{host}{which}: {said}"))),
            Err(_) => findings.problems.push(Problem::outside(format!("{host}{which}: the handshake broke off"))),
        }
    }
    findings
}

fn shake_hands(tls: Arc<ClientConfig>, host: &str, port: u16, timeout: Duration) -> Result<String, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| "this is no name of a host".to_owned())?;
    let addresses = (host, port).to_socket_addrs().map_err(|_| {
        "the name cannot be resolved (hint: look at `dtp.referral_url`, `dtp.decision_url` and the name servers)".to_owned()
    })?;
    let unreachable = || "no connection (hint: is the way out open for this machine at UNHCR and in your network?)".to_owned();
    let stream = addresses
        .into_iter()
        .find_map(|address| TcpStream::connect_timeout(&address, timeout.min(Duration::from_secs(10))).ok())
        .ok_or_else(unreachable)?;
    let quiet = stream.set_read_timeout(Some(timeout)).and_then(|()| stream.set_write_timeout(Some(timeout)));
    quiet.map_err(|_| unreachable())?;
    let connection = ClientConnection::new(tls, name).map_err(|error| remedy(&error))?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| trouble(&error))?;
    }
    stream.flush().map_err(|error| trouble(&error))?;
    stream.sock.set_read_timeout(Some(AFTERWARDS)).map_err(|_| unreachable())?;
    match stream.read(&mut [0; 1]) {
        // It waits for a request that does not come.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
        Err(error) if rustls_error(&error).is_some() => return Err(trouble(&error)),
        Ok(_) | Err(_) => {}
    }
    Ok(stream.conn.protocol_version().and_then(|version| version.as_str().map(str::to_owned)).unwrap_or_default())
}

fn trouble(error: &io::Error) -> String {
    rustls_error(error).map_or_else(|| format!("the connection was cut during the handshake: {}", error.kind()), remedy)
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn remedy(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => format!(
            "DTP ended the handshake ({alert:?}): it does not take our client certificate (hint: `referrald certificate` shows what \
             UNHCR must know)"
        ),
        rustls::Error::InvalidCertificate(_) => {
            "DTP's certificate is not one that we trust (hint: look at the host in the URL, `dtp.ca_file` and the clock)"
                .to_owned()
        }
        _ => "TLS failed (hint: is this the address of DTP?)".to_owned(),
    }
}
