//! DTP: handshakes, keys, thumbprints, answers.

use std::sync::Arc;

use chrono::DateTime;
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::json;

use super::harness::answer;
use crate::{
    clock::Clock,
    sandbox::{
        Endpoint, Fault, Rule,
        dtp::{SUBSCRIPTION_KEY, SUBSCRIPTION_KEY_HEADER, Shows, SimulatedDtp, THUMBPRINT_HEADER},
        pki::{Authority, Identity, SANDBOX_MARK, Wish},
    },
};

struct Gateway {
    dtp: SimulatedDtp,
    authority: Arc<Authority>,
    identity: Identity,
}

async fn gateway() -> Gateway {
    // A second test in the same process finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Arc::new(Authority::new());
    let dtp = SimulatedDtp::start(Clock::manual(DateTime::UNIX_EPOCH), authority.clone()).await.expect("a free port");
    let identity = authority.issue(Wish::client("bridge"));
    Gateway { dtp, authority, identity }
}

impl Gateway {
    fn client(&self, identity: Option<&Identity>) -> Client {
        let root = Certificate::from_pem(self.authority.certificate_pem().as_bytes()).expect("a certificate");
        let client = Client::builder().no_proxy().tls_certs_only([root]);
        let client = match identity {
            Some(identity) => {
                let pem = format!("{}{}", identity.certificate_pem(), identity.key_pem());
                client.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"))
            }
            None => client,
        };
        client.build().expect("a client")
    }

    /// A proper request, with a client of its own.
    fn post(&self) -> RequestBuilder {
        self.post_as(&self.identity)
    }

    fn post_as(&self, identity: &Identity) -> RequestBuilder {
        let client = self.client(Some(identity));
        client
            .post(self.dtp.referral_url())
            .header(SUBSCRIPTION_KEY_HEADER, SUBSCRIPTION_KEY)
            .header(THUMBPRINT_HEADER, identity.thumbprint())
            .json(&json!({"id": "test"}))
    }

    async fn handshake_fails(&self, identity: Option<&Identity>) -> bool {
        self.client(identity).post(self.dtp.referral_url()).send().await.is_err()
    }
}

#[tokio::test]
async fn messages_are_taken_in_order_at_both_endpoints() {
    let gateway = gateway().await;
    assert_eq!(answer(gateway.post()).await.status, 200);
    gateway.dtp.answer_with(202);
    let decision = gateway
        .client(Some(&gateway.identity))
        .post(gateway.dtp.decision_url())
        .header(SUBSCRIPTION_KEY_HEADER, SUBSCRIPTION_KEY)
        .header(THUMBPRINT_HEADER, gateway.identity.thumbprint())
        .json(&json!({"status": "acknowledged"}));
    assert_eq!(answer(decision).await.status, 202);
    let received = gateway.dtp.received();
    let told: Vec<_> = received.iter().map(|message| (message.endpoint, &message.body, message.thumbprint.as_str())).collect();
    let thumbprint = gateway.identity.thumbprint();
    let (referral, decision) = (json!({"id": "test"}), json!({"status": "acknowledged"}));
    let expected =
        [(Endpoint::DtpReferral, &referral, thumbprint.as_str()), (Endpoint::DtpDecision, &decision, thumbprint.as_str())];
    assert_eq!(told, expected);
    assert_eq!(received[0].headers["content-type"], "application/json");
    assert_eq!(gateway.dtp.bodies(Endpoint::DtpDecision), std::slice::from_ref(&decision));
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let gateway = gateway().await;
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let root = Certificate::from_pem(gateway.authority.certificate_pem().as_bytes()).expect("a certificate");
        let pem = format!("{}{}", gateway.identity.certificate_pem(), gateway.identity.key_pem());
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"))
            .tls_version_min(version)
            .tls_version_max(version)
            .build()
            .expect("a client");
        let status = client.post(gateway.dtp.referral_url()).send().await.expect("an answer").status();
        assert_eq!(status, 401, "{version:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_gets_401_and_a_thumbprint_that_does_not_fit_403() {
    let gateway = gateway().await;
    let client = gateway.client(Some(&gateway.identity));
    let post = |key: &str, thumbprint: &str| {
        let request = client.post(gateway.dtp.referral_url()).json(&json!({}));
        answer(request.header(SUBSCRIPTION_KEY_HEADER, key).header(THUMBPRINT_HEADER, thumbprint))
    };
    let thumbprint = gateway.identity.thumbprint();
    assert_eq!(post("wrong", &thumbprint).await.json()["statusCode"], 401);
    assert_eq!(post(SUBSCRIPTION_KEY, &thumbprint.to_lowercase()).await.json()["statusCode"], 403);
    gateway.dtp.set_thumbprint_header(None);
    assert_eq!(post(SUBSCRIPTION_KEY, "nothing").await.status, 200);
    gateway.dtp.admit_only(&["somebody else"]);
    assert_eq!(post(SUBSCRIPTION_KEY, &thumbprint).await.status, 403);
    gateway.dtp.admit_only(&[&thumbprint]);
    gateway.dtp.set_subscription_key("new");
    assert_eq!(post("new", &thumbprint).await.status, 200);
    assert_eq!(gateway.dtp.received().len(), 2);
}

#[tokio::test]
async fn what_is_not_json_or_not_an_endpoint_is_refused() {
    let gateway = gateway().await;
    let client = gateway.client(Some(&gateway.identity));
    let thumbprint = gateway.identity.thumbprint();
    let signed = |request: RequestBuilder| {
        answer(request.header(SUBSCRIPTION_KEY_HEADER, SUBSCRIPTION_KEY).header(THUMBPRINT_HEADER, &thumbprint))
    };
    let url = gateway.dtp.referral_url();
    assert_eq!(signed(client.post(&url).body("{}")).await.status, 415);
    assert_eq!(signed(client.post(&url).header("content-type", "application/json").body("{")).await.status, 400);
    assert_eq!(signed(client.post(format!("{url}/more")).json(&json!({}))).await.status, 404);
    assert_eq!(signed(client.get(&url)).await.status, 404);
    assert!(gateway.dtp.received().is_empty());
}

#[tokio::test]
async fn without_a_valid_client_certificate_there_is_no_handshake() {
    let gateway = gateway().await;
    assert!(gateway.handshake_fails(None).await);
    assert!(gateway.handshake_fails(Some(&gateway.authority.issue(Wish::client("bridge").expired()))).await);
    assert!(gateway.handshake_fails(Some(&gateway.authority.issue(Wish::client("bridge").not_yet_valid()))).await);
    assert!(gateway.handshake_fails(Some(&Authority::new().issue(Wish::client("bridge")))).await);
    assert!(
        gateway.handshake_fails(Some(&gateway.authority.issue(Wish::loopback()))).await,
        "a server's certificate is no client's"
    );
    assert!(!gateway.handshake_fails(Some(&gateway.identity)).await);
    assert_eq!(gateway.dtp.log().len(), 1);
}

#[tokio::test]
async fn the_server_can_show_bad_certificates_and_refuse_ours() {
    let gateway = gateway().await;
    for shown in [Shows::Expired, Shows::UnknownAuthority, Shows::WrongName] {
        gateway.dtp.show(shown).await;
        assert!(gateway.handshake_fails(Some(&gateway.identity)).await, "{shown:?}");
    }
    gateway.dtp.refuse_client_certificates().await;
    assert!(gateway.handshake_fails(Some(&gateway.identity)).await);
    gateway.dtp.show(Shows::Good).await;
    assert_eq!(answer(gateway.post()).await.status, 200);
}

#[tokio::test]
async fn answers_and_faults_are_worded_as_the_gateway_words_them() {
    let gateway = gateway().await;
    gateway.dtp.answer_with(400);
    assert_eq!(answer(gateway.post()).await.json(), json!({"statusCode": 400, "message": "Request refused"}));
    gateway.dtp.answer_with(200);
    gateway.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::status(429).retry_after("30"));
    assert_eq!(answer(gateway.post()).await.json()["message"], "Rate limit is exceeded.");
    gateway.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::status(503));
    assert_eq!(answer(gateway.post()).await.content_type, "text/html");
    assert!(gateway.dtp.received().is_empty());
    gateway.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    gateway.post().send().await.expect_err("the connection is cut");
    assert_eq!(gateway.dtp.received().len(), 1);
    gateway.dtp.go_down().await;
    assert!(gateway.post().send().await.expect_err("nobody listens").is_connect());
    gateway.dtp.come_up().await.expect("the port is free");
    assert_eq!(answer(gateway.post()).await.status, 200);
}

#[test]
fn certificates_are_marked_and_written_with_a_key_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let identity = authority.issue(Wish::client("bridge"));
    let (certificate, key) = identity.write(directory.path(), "client").expect("both files are written");
    let mode = std::fs::metadata(&key).expect("the key is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(certificate).expect("it can be read"), identity.certificate_pem());
    let der = identity.certificate();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("a certificate");
    for name in [parsed.subject(), parsed.issuer()] {
        let organization = name.iter_organization().next().and_then(|organization| organization.as_str().ok());
        assert_eq!(organization, Some(SANDBOX_MARK));
    }
}
