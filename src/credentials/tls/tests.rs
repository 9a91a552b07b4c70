//! Handshakes in memory: a client and a server that pass their bytes to each other.

use rustls::{ClientConnection, Connection, ServerConnection, server::WebPkiClientVerifier};
use rustls_pki_types::{ServerName, UnixTime};

use super::*;
use crate::credentials::certificate::tests::{Files, issued};

/// The moment at which the certificates made for tests are valid.
#[derive(Debug)]
struct Then;

impl rustls::time_provider::TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        let then: chrono::DateTime<chrono::Utc> = "2026-06-01T00:00:00Z".parse().ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(then.timestamp().try_into().ok()?)))
    }
}

/// The certificates that the server got from the client, or what broke the handshake.
fn shake_hands(mut client: ClientConfig, mut server: ServerConfig) -> Result<Option<usize>, rustls::Error> {
    client.time_provider = Arc::new(Then);
    server.time_provider = Arc::new(Then);
    let name = ServerName::try_from("client.example.org").unwrap();
    let mut client = Connection::from(ClientConnection::new(Arc::new(client), name).unwrap());
    let mut server = Connection::from(ServerConnection::new(Arc::new(server)).unwrap());
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    Ok(server.peer_certificates().map(<[_]>::len))
}

fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn the_client_trusts_the_configured_authority_alone_and_offers_its_certificate_with_the_chain() {
    let files = Files::new();
    let (key, leaf, authority) = issued();
    let inbox = InboxTls {
        certificate_file: files.write("inbox.pem", format!("{leaf}{authority}")),
        key_file: files.write("inbox.key", &key),
    };
    let roots = files.write("authority.pem", &authority);
    let (.., stranger) = issued();
    let others = files.write("others.pem", stranger);
    let client = ClientCertificate::load(&inbox.certificate_file, &inbox.key_file).unwrap();

    let plain = || tls_client_config(Some(&roots), None).unwrap();
    assert_eq!(shake_hands(plain(), tls_server_config(&inbox).unwrap()), Ok(None));
    let distrustful = tls_client_config(Some(&others), None).unwrap();
    let broken = shake_hands(distrustful, tls_server_config(&inbox).unwrap()).unwrap_err();
    assert!(matches!(broken, rustls::Error::InvalidCertificate(_)), "{broken}");

    let asking = |version: &'static rustls::SupportedProtocolVersion| {
        let ring = Arc::new(crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(trusted(Some(&roots)).unwrap()), ring.clone()).build().unwrap();
        let builder = ServerConfig::builder_with_provider(ring).with_protocol_versions(&[version]).unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(pair(&inbox.certificate_file, &inbox.key_file).unwrap()));
        builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver)
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let ours = tls_client_config(Some(&roots), Some(&client)).unwrap();
        assert_eq!(shake_hands(ours, asking(version)), Ok(Some(2)));
        assert!(shake_hands(plain(), asking(version)).is_err(), "the server took a client without a certificate");
    }
}

#[test]
fn reqwest_takes_the_settings_without_any_provider_installed() {
    let files = Files::new();
    let (key, leaf, authority) = issued();
    let bundle = files.write("bundle.pem", format!("{key}{leaf}"));
    let client = ClientCertificate::load(&bundle, &bundle).unwrap();
    let tls = tls_client_config(Some(&files.write("authority.pem", authority)), Some(&client)).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("reqwest takes them");
}

#[test]
fn authorities_must_be_there() {
    let files = Files::new();
    let (key, ..) = issued();
    let said = tls_client_config(Some(&files.write("ca.pem", key)), None).unwrap_err().to_string();
    assert!(
        said.ends_with("/ca.pem: holds no certificate (hint: a PEM file with `-----BEGIN CERTIFICATE-----` is wanted)"),
        "{said}"
    );
}
