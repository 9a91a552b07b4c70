//! A simulated Primero with its invented people, and a plain client that sends what it is told.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    clock::Clock,
    sandbox::primero::{BRIDGE, BRIDGE_PASSWORD, CASE_WORKER, SimulatedPrimero},
};

/// When the tests begin.
pub(super) fn start() -> DateTime<Utc> {
    "2026-01-05T10:00:00.000Z".parse().expect("a time")
}

pub(super) fn after(milliseconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::milliseconds(milliseconds)
}

/// A simulated Primero, a clock in our hand, a client that signs in as the bridge.
pub(super) struct Stage {
    pub(super) primero: SimulatedPrimero,
    pub(super) clock: Clock,
    client: Client,
    user: (String, String),
}

/// Status, content type, body.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the answer is JSON")
    }

    #[track_caller]
    pub(super) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["data"].take()
    }

    /// The keys of a list of cases, in order.
    #[track_caller]
    pub(super) fn keys(&self) -> Vec<Uuid> {
        let data = self.data();
        let rows = data.as_array().expect("a list");
        rows.iter().map(|row| row["id"].as_str().and_then(|id| id.parse().ok()).expect("each row has a key")).collect()
    }

    #[track_caller]
    pub(super) fn total(&self) -> u64 {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["metadata"]["total"].as_u64().expect("there is a total")
    }
}

impl Stage {
    pub(super) async fn set() -> Self {
        // A second test in the same process finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::manual(start());
        let primero = SimulatedPrimero::start(clock.clone()).await.expect("a free port").with_bridge_account();
        Self { primero, clock, client: client(), user: (BRIDGE.to_owned(), BRIDGE_PASSWORD.to_owned()) }
    }

    /// Forgets open connections: a client may not have noticed yet that one is gone.
    pub(super) fn reconnect(&mut self) {
        self.client = client();
    }

    pub(super) fn sign_in_as(&mut self, user_name: &str, password: &str) {
        self.user = (user_name.to_owned(), password.to_owned());
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).basic_auth(&self.user.0, Some(&self.user.1))
    }

    /// Without signing in.
    pub(super) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.primero.url()))
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// `GET cases` with a query written out.
    pub(super) async fn cases(&self, query: &str) -> Answer {
        self.get(&format!("/api/v2/cases?{query}")).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(super) async fn patch_case(&self, case: Uuid, data: Value) -> Answer {
        self.patch(&format!("/api/v2/cases/{case}"), json!({ "data": data })).await
    }

    pub(super) async fn create(&self, data: Value) -> Answer {
        self.post("/api/v2/cases", json!({ "data": data })).await
    }

    /// A case of the case worker's with a number and consent.
    pub(super) fn register(&self, number: &str) -> Uuid {
        self.register_as(CASE_WORKER, number)
    }

    pub(super) fn register_as(&self, user_name: &str, number: &str) -> Uuid {
        self.primero.staff(user_name).register(testina(number))
    }

    pub(super) fn pass(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
    }
}

/// An invented child.
pub(super) fn testina(number: &str) -> Value {
    json!({
        "unhcr_individual_no": number, "name_first": "Testina", "name_last": "Examplename", "sex": "female", "age": 12,
        "consent_for_services": true, "disclosure_other_orgs": true,
    })
}

pub(super) fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

pub(super) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the simulator answers");
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().expect("plain text")).to_owned();
    Answer { status, content_type, text: response.text().await.expect("a whole body") }
}
