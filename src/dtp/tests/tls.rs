//! TLS with a client certificate: who is let in, and who is at fault when not.

use std::{net::TcpListener, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::inbox::{Places, Tls, serve};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Certificate and key.
type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

pub(super) fn trusting_nobody() -> ClientConfig {
    client_config(&[&TLS13], None, None)
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn roots(authority: Option<&Authority>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if let Some(authority) = authority {
        roots.add(authority.der().clone()).unwrap();
    }
    roots
}

fn client_config(
    versions: &[&'static SupportedProtocolVersion],
    trusted: Option<&Authority>,
    own: Option<&Pair>,
) -> ClientConfig {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots(trusted));
    match own {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A DTP that lets in the certificates of one authority.
fn dtp(versions: &[&'static SupportedProtocolVersion], own: &Pair, lets_in: &Authority) -> Url {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(Some(lets_in))), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = builder.with_client_cert_verifier(verifier).with_single_cert(vec![own.0.clone()], own.1.clone_key()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let (_seen, router) = fake::router(|_| fake::empty(202));
    tokio::spawn(serve(listener, Some(Tls::new(config)), Places::new(16), router, CancellationToken::new()));
    url
}

async fn met(url: &Url, tls: ClientConfig) -> Result<(), Trouble> {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    Client::new(&settings(url), tls, "subscription", None, clock).unwrap().send_decision(&message()).await
}

fn blocked(reason: Reason) -> Result<(), Trouble> {
    Err(Trouble::Blocked { reason, status: None })
}

#[tokio::test]
async fn with_each_version_our_certificate_is_judged_and_a_refusal_is_ours_to_put_right() {
    let (ours, theirs, stranger) = (authority(), authority(), authority());
    let server = issued(&theirs, |_| ());
    let good = issued(&ours, |_| ());
    let unknown = issued(&stranger, |_| ());
    let expired = issued(&ours, |params| params.not_after = date_time_ymd(2001, 1, 1));
    for version in [&TLS12, &TLS13] {
        let url = dtp(&[version], &server, &ours);
        for (own, expected) in [
            (Some(&good), Ok(())),
            (Some(&unknown), blocked(Reason::CertificateRefused)),
            (Some(&expired), blocked(Reason::CertificateExpired)),
            (None, blocked(Reason::CertificateRefused)),
        ] {
            assert_eq!(met(&url, client_config(&[version], Some(&theirs), own)).await, expected, "{:?}", version.version);
        }
    }
}

#[tokio::test]
async fn a_server_that_we_do_not_trust_or_cannot_agree_with_is_ours_to_put_right() {
    let (ours, theirs, stranger) = (authority(), authority(), authority());
    let own = issued(&ours, |_| ());
    let good = issued(&theirs, |_| ());
    let elsewhere =
        issued(&theirs, |params| params.subject_alt_names = vec![SanType::DnsName("dtp.example".try_into().unwrap())]);
    let refused = blocked(Reason::CertificateRefused);
    let url = dtp(&[&TLS13], &good, &ours);
    assert_eq!(met(&url, client_config(&[&TLS13], Some(&stranger), Some(&own))).await, refused);
    assert_eq!(met(&url, client_config(&[&TLS12], Some(&theirs), Some(&own))).await, refused);
    let url = dtp(&[&TLS13], &elsewhere, &ours);
    assert_eq!(met(&url, client_config(&[&TLS13], Some(&theirs), Some(&own))).await, refused);
}

#[tokio::test]
async fn a_connection_cut_during_the_handshake_is_later_and_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    assert_eq!(met(&url, trusting_nobody()).await, Err(unwell(Reason::Unreachable, None, None, false)));
}
