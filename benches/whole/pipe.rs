//! The yardstick: a bare axum and reqwest pipe that answers a post with 202 and makes the same requests as the daemon.
//!
//! It keeps nothing, checks nothing and maps nothing: the documents come from one draft with other numbers in it.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use referrald::{
    clock::Clock,
    config::Settings,
    credentials::{self, ClientCertificate, Secret},
    mapping::{InterventionContext, Mapping},
    programme::Fields,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

/// The figure for one intervention.
pub const CPU: &str = "flow 1 through a bare pipe: CPU per intervention, µs";
/// Its rate.
pub const RATE: &str = "flow 1 through a bare pipe: interventions per second";

/// What the pipe needs for each intervention.
struct Pipe {
    http: reqwest::Client,
    root: String,
    authorization: String,
    module: String,
    fields: String,
    decision_url: reqwest::Url,
    subscription: (String, String),
    thumbprint: Option<(String, String)>,
    /// The document of the first child of the load.
    draft: String,
    feedback: String,
}

/// Serves until it is killed.
pub async fn run(configuration: &Path) {
    let settings = Settings::load(configuration, []).expect("a configuration");
    let pipe = Arc::new(Pipe::new(&settings));
    let (sender, mut posts) = mpsc::unbounded_channel();
    let doors = Router::new().route(&settings.inbox.path, post(take)).with_state(sender);
    let listener = tokio::net::TcpListener::bind(settings.inbox.listen).await.expect("a port");
    tokio::spawn(async move { axum::serve(listener, doors).await });
    let places = Arc::new(Semaphore::new(settings.primero.parallel));
    while let Some((number, person)) = posts.recv().await {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let pipe = Arc::clone(&pipe);
        tokio::spawn(async move {
            pipe.carry(&number, &person).await;
            drop(place);
        });
    }
}

async fn take(State(sender): State<mpsc::UnboundedSender<(String, String)>>, body: Bytes) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).expect("the load posts JSON");
    let row = &body["interventions"][0];
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let _ = sender.send((text("progres_interventionnumber"), text("individuals.progres_id")));
    StatusCode::ACCEPTED
}

impl Pipe {
    fn new(settings: &Settings) -> Self {
        let mapping = Mapping::load(&settings.mapping_directory).expect("a mapping");
        let certificate = ClientCertificate::of(settings).expect("a certificate");
        let tls = credentials::tls_client_config(settings.dtp.ca_file.as_deref(), Some(&certificate)).expect("TLS");
        let secret = |file| Secret::read(file).expect("a secret").reveal().to_owned();
        let basic = format!("{}:{}", settings.primero.user_name, secret(&settings.primero.password_file));
        let post = crate::post::post(0);
        let rows: Vec<_> =
            post["interventions"].as_array().into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect();
        let number = crate::post::number(0).parse().expect("a number");
        let context = InterventionContext {
            intake_user: &settings.primero.intake_user,
            today: Clock::system().now().date_naive(),
            service_types: &settings.flow1.service_types,
            agencies: &settings.flow1.agencies,
        };
        let draft = mapping.case_draft(&number, &rows, context).expect("a draft");
        let mut document = draft.new_case.reveal().clone();
        let mut service = draft.service.reveal().clone();
        document.insert("id".to_owned(), json!("ID"));
        service.insert("unique_id".to_owned(), json!("SERVICE"));
        document.insert("services_section".to_owned(), json!([service]));
        let feedback = mapping.delivered_feedback(&number, "CASE", &settings.primero.intake_user, None);
        let thumbprint = settings.dtp.thumbprint_header.clone().map(|name| (name.to_string(), certificate.thumbprint.clone()));
        Self {
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .http1_only()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()
                .expect("a client"),
            root: format!("{}/api/v2/cases", settings.primero.url.as_str().trim_end_matches('/')),
            authorization: format!("Basic {}", BASE64_STANDARD.encode(basic)),
            module: mapping.module().to_owned(),
            fields: Fields::of(settings, &mapping).flow1().join(","),
            decision_url: settings.dtp.decision_url.clone(),
            subscription: (settings.dtp.subscription_key_header.to_string(), secret(&settings.dtp.subscription_key_file)),
            thumbprint,
            draft: json!({ "data": document }).to_string(),
            feedback: Value::Object(feedback).to_string(),
        }
    }

    async fn carry(&self, number: &str, person: &str) {
        let id = Uuid::new_v4().to_string();
        let common = [("page", "1"), ("record_state", "true"), ("module_id", &self.module), ("fields", &self.fields)];
        let search = self.primero(Method::GET, "").query(&common);
        fetch(search.query(&[("per", "5"), ("unhcr_individual_no", person)])).await;
        let similar = self.primero(Method::GET, "").query(&common);
        fetch(similar.query(&[("per", "1000"), ("query", person)])).await;
        let service = Uuid::new_v4().to_string();
        let document = self
            .draft
            .replace(&crate::post::number(0), number)
            .replace(&format!("\"{}\"", crate::post::person(0)), &format!("\"{person}\""))
            .replace("\"SERVICE\"", &format!("\"{service}\""))
            .replace("\"ID\"", &format!("\"{id}\""));
        fetch(json_body(self.primero(Method::POST, ""), document)).await;
        fetch(self.primero(Method::GET, &format!("/{id}")).query(&[("fields", &self.fields)])).await;
        let feedback = self.feedback.replace(&crate::post::number(0), number).replace("\"CASE\"", &format!("\"{id}\""));
        let mut told = self.http.post(self.decision_url.clone()).header(&self.subscription.0, &self.subscription.1);
        if let Some((name, value)) = &self.thumbprint {
            told = told.header(name, value);
        }
        fetch(json_body(told, feedback)).await;
    }

    fn primero(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.root)).header("authorization", &self.authorization)
    }
}

fn json_body(request: RequestBuilder, body: String) -> RequestBuilder {
    request.header("content-type", "application/json").body(body)
}

async fn fetch(request: RequestBuilder) {
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "the simulators refuse the pipe: {}", response.status());
    response.bytes().await.expect("a whole answer");
}
