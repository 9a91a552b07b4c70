//! A simulated DTP: two endpoints behind TLS with client certificates, a subscription key and a thumbprint check.
//!
//! It keeps what it receives, in order, and understands nothing of it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::http::{HeaderMap, Method};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use super::handshake::Shows;
use super::{
    Endpoint,
    faults::Faults,
    handshake::Handshake,
    locked,
    log::Log,
    pki::{Authority, thumbprint},
    scene::Scene,
    wire::{self, Asked, Connection, Cut, Door, Handler, Reply},
};
use crate::clock::Clock;

/// The key that it asks of whoever posts.
pub const SUBSCRIPTION_KEY: &str = "sandbox-subscription-key";
/// Where it looks for that key, unless told otherwise.
pub const SUBSCRIPTION_KEY_HEADER: &str = "Ocp-Apim-Subscription-Key";
/// Where it looks for the thumbprint, unless told otherwise.
pub const THUMBPRINT_HEADER: &str = "X-Client-Cert-Thumbprint";

/// A running simulated DTP. Clones are the same; it stops when the last one is dropped.
#[derive(Clone)]
pub struct SimulatedDtp {
    state: State,
    handshake: Handshake,
    door: Arc<Door<State>>,
}

/// A message it has taken.
#[derive(Clone)]
pub struct Received {
    /// Which of the two.
    pub endpoint: Endpoint,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
    /// The thumbprint of the certificate in the handshake.
    pub thumbprint: String,
}

#[derive(Clone)]
struct State {
    desk: Arc<Mutex<Desk>>,
    scene: Scene,
}

/// What it asks for and what lies before it.
struct Desk {
    subscription_key: String,
    subscription_key_header: String,
    thumbprint_header: Option<String>,
    admitted: Option<Vec<String>>,
    answer: u16,
    received: Vec<Received>,
}

impl SimulatedDtp {
    /// Starts on a free port of the loopback, with a certificate of this authority, which must also have signed the clients'.
    ///
    /// # Errors
    /// If no socket can be had.
    pub async fn start(clock: Clock, authority: Arc<Authority>) -> io::Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?, clock, authority)
    }

    /// Starts on a socket handed in.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn start_on(listener: TcpListener, clock: Clock, authority: Arc<Authority>) -> io::Result<Self> {
        let desk = Desk {
            subscription_key: SUBSCRIPTION_KEY.to_owned(),
            subscription_key_header: SUBSCRIPTION_KEY_HEADER.to_owned(),
            thumbprint_header: Some(THUMBPRINT_HEADER.to_owned()),
            admitted: None,
            answer: 200,
            received: Vec::new(),
        };
        let state = State { desk: Arc::new(Mutex::new(desk)), scene: Scene::new(clock, wording) };
        let handshake = Handshake::new(authority, true);
        let door = Arc::new(Door::open(listener, handshake.source(), state.clone())?);
        Ok(Self { state, handshake, door })
    }

    /// Where referrals go.
    #[must_use]
    pub fn referral_url(&self) -> String {
        self.url("ReceiveIncomingReferral")
    }

    /// Where feedback and decisions go.
    #[must_use]
    pub fn decision_url(&self) -> String {
        self.url("ReceiveDecisionOutgoingReferral")
    }

    /// Faults that requests may meet.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.state.scene.faults
    }

    /// What it was asked, failed tries included. A handshake that failed was no request.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.state.scene.log
    }

    /// All messages taken, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.desk().received.clone()
    }

    /// The bodies taken at one endpoint, in order.
    #[must_use]
    pub fn bodies(&self, endpoint: Endpoint) -> Vec<Value> {
        self.desk().received.iter().filter(|message| message.endpoint == endpoint).map(|message| message.body.clone()).collect()
    }

    /// Forgets what it has taken.
    pub fn clear(&self) {
        self.desk().received.clear();
    }

    /// Answers what it takes with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.desk().answer = status;
    }

    /// Asks for this subscription key.
    pub fn set_subscription_key(&self, key: &str) {
        key.clone_into(&mut self.desk().subscription_key);
    }

    /// Looks for the subscription key in this header.
    pub fn set_subscription_key_header(&self, name: &str) {
        name.clone_into(&mut self.desk().subscription_key_header);
    }

    /// Looks for the thumbprint in this header, or nowhere.
    pub fn set_thumbprint_header(&self, name: Option<&str>) {
        self.desk().thumbprint_header = name.map(str::to_owned);
    }

    /// Lets in only clients with these thumbprints (403 for others).
    pub fn admit_only(&self, thumbprints: &[&str]) {
        self.desk().admitted = Some(thumbprints.iter().map(|thumbprint| (*thumbprint).to_owned()).collect());
    }

    /// Greets otherwise from now on. Connections are cut.
    pub async fn show(&self, shows: Shows) {
        self.handshake.show(shows);
        self.door.cut_connections().await;
    }

    /// From now on the handshake refuses every client's certificate, until [`Self::show`] is called. Connections are cut.
    pub async fn refuse_client_certificates(&self) {
        self.show(Shows::LateRefusal).await;
    }

    /// Greets otherwise from the next connection on; what is connected goes on.
    pub fn show_next(&self, shows: Shows) {
        self.handshake.show(shows);
    }

    /// From now on new connections are refused; what is connected goes on. Returns when the socket is closed.
    pub async fn refuse_connections(&self) {
        self.door.refuse().await;
    }

    /// From now on connections are refused. Returns when the socket is closed and all connections are gone.
    pub async fn go_down(&self) {
        self.door.shut().await;
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    /// If somebody else has taken the port.
    pub async fn come_up(&self) -> io::Result<()> {
        self.door.reopen().await
    }

    /// Cuts all connections and returns when they are gone; new ones are welcome.
    pub async fn cut_connections(&self) {
        self.door.cut_connections().await;
    }

    fn url(&self, endpoint: &str) -> String {
        format!("https://{}/dtp/{endpoint}", self.door.address())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        locked(&self.state.desk)
    }
}

impl Handler for State {
    async fn handle(&self, request: hyper::Request<Incoming>, connection: Connection) -> Result<Reply, Cut> {
        let asked = wire::read(request, endpoint).await?;
        let desk = self.desk.clone();
        let certificate = connection.peer_certificate.as_ref().map(thumbprint).unwrap_or_default();
        self.scene.play(asked, connection, move |asked| locked(&desk).take(asked, certificate)).await
    }
}

impl Desk {
    fn take(&mut self, asked: &Asked, certificate: String) -> Reply {
        if asked.endpoint == Endpoint::Other {
            return wording(404, asked);
        }
        if asked.header(&self.subscription_key_header) != Some(&self.subscription_key) {
            return wording(401, asked);
        }
        let header_differs =
            self.thumbprint_header.as_deref().is_some_and(|name| asked.header(name) != Some(certificate.as_str()));
        let is_stranger = self.admitted.as_ref().is_some_and(|admitted| !admitted.contains(&certificate));
        if header_differs || is_stranger {
            return wording(403, asked);
        }
        if !asked.header("content-type").is_some_and(|content_type| content_type.starts_with("application/json")) {
            return wording(415, asked);
        }
        let Some(body) = asked.json() else { return wording(400, asked) };
        if (200..300).contains(&self.answer) {
            let headers = asked.headers.clone();
            self.received.push(Received { endpoint: asked.endpoint, headers, body, thumbprint: certificate });
            return Reply::new(self.answer, "", "");
        }
        wording(self.answer, asked)
    }
}

fn endpoint(method: &Method, path: &str, _: &[(String, String)]) -> Endpoint {
    match (method, path.rsplit('/').next()) {
        (&Method::POST, Some("ReceiveIncomingReferral")) => Endpoint::DtpReferral,
        (&Method::POST, Some("ReceiveDecisionOutgoingReferral")) => Endpoint::DtpDecision,
        _ => Endpoint::Other,
    }
}

/// How the gateway in front of DTP words a refusal.
fn wording(status: u16, _: &Asked) -> Reply {
    let message = match status {
        401 => "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.",
        403 => "Invalid client certificate",
        404 => "Resource not found",
        429 => "Rate limit is exceeded.",
        _ => "Request refused",
    };
    if matches!(status, 502..=504) {
        return Reply::new(status, "text/html", format!("<html><body><h2>{status}</h2></body></html>"));
    }
    Reply::new(status, "application/json", json!({"statusCode": status, "message": message}).to_string())
}
