//! Faults on demand, and the log.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::harness::{Answer, Stage, answer, start};
use crate::{
    clock::Clock,
    sandbox::{
        Endpoint, Fault, Gate, Rule, Shows,
        pki::Authority,
        primero::{CASE_WORKER, SimulatedPrimero},
    },
};

#[tokio::test]
async fn a_planted_status_is_worded_as_primero_words_it() {
    let stage = Stage::set().await;
    for (status, content_type) in [
        (401, "application/json"),
        (403, "application/json; charset=utf-8"),
        (409, "application/json; charset=utf-8"),
        (422, "application/json; charset=utf-8"),
        (429, "text/plain"),
        (500, "application/json; charset=utf-8"),
        (502, "text/html"),
        (503, "application/json; charset=utf-8"),
    ] {
        stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch).once(), Fault::status(status).retry_after("120"));
        let response = stage.request(reqwest::Method::GET, "/api/v2/cases").send().await.expect("an answer");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.headers()["retry-after"], "120");
    }
    assert_eq!(stage.cases("").await.status, 200);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_worded_by_primero_and_a_list_that_is_not_there_by_its_framework() {
    let stage = Stage::set().await;
    stage.primero.faults().plant(Rule::any(), Fault::status(404));
    let record = stage.get("/api/v2/cases/3f0c1a52-0000-4000-8000-000000000001").await;
    assert_eq!((record.status, record.json()["errors"][0]["message"].as_str()), (404, Some("Not Found")));
    let list = stage.cases("").await;
    assert_eq!(list, Answer { status: 404, content_type: "text/html".to_owned(), text: String::new() });
}

#[tokio::test]
async fn a_rule_meets_what_it_names_skips_and_ends() {
    let stage = Stage::set().await;
    let (first, second) = (stage.register("989-TEST0001"), stage.register("989-TEST0002"));
    let rule = Rule::on(Endpoint::GetCase).naming(first.to_string()).skip(1).times(2);
    let planted = stage.primero.faults().plant(rule, Fault::status(500));
    let mut statuses = Vec::new();
    for case in [first, second, first, second, first, first] {
        statuses.push(stage.get(&format!("/api/v2/cases/{case}")).await.status);
    }
    assert_eq!((statuses, planted.met()), (vec![200, 200, 500, 200, 500, 200], 2));

    let by_body = Rule::on(Endpoint::PatchCase).when(|asked| asked.json().is_some_and(|body| body["data"]["age"] == 7));
    let planted = stage.primero.faults().plant(by_body, Fault::status(500));
    assert_eq!(stage.patch_case(first, json!({"age": 8})).await.status, 200);
    assert_eq!(stage.patch_case(first, json!({"age": 7})).await.status, 500);
    planted.pull();
    assert_eq!(stage.patch_case(first, json!({"age": 7})).await.status, 200);
}

#[tokio::test]
async fn an_answer_can_be_lost_before_or_after_the_effect() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let patch = || {
        let path = format!("/api/v2/cases/{case}");
        stage.request(reqwest::Method::PATCH, &path).json(&json!({"data": {"age": 13}})).send()
    };
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::cut());
    let error = patch().await.expect_err("the connection is cut");
    assert!(error.is_request() && !error.is_connect(), "{error:?}");
    assert_eq!(stage.primero.saves(case), 1);
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::cut().after_effect());
    patch().await.expect_err("the connection is cut");
    assert_eq!(stage.primero.saves(case), 2);
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::status(502).after_effect());
    assert_eq!(patch().await.expect("an answer").status(), 502);
    assert_eq!(stage.primero.saves(case), 3);
    let statuses: Vec<_> = stage.primero.log().entries().iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [None, None, Some(502)]);
}

#[tokio::test]
async fn a_truncated_answer_has_a_head_and_half_a_body() {
    let stage = Stage::set().await;
    stage.register("989-TEST0001");
    stage.primero.faults().plant(Rule::any().once(), Fault::truncated());
    let response = stage.request(reqwest::Method::GET, "/api/v2/cases").send().await.expect("the head comes");
    assert_eq!(response.status(), 200);
    assert!(response.content_length().is_some_and(|length| length > 100));
    response.bytes().await.expect_err("the body does not");
}

#[tokio::test]
async fn a_stalled_answer_has_a_head_and_half_a_body_and_no_end() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    stage.primero.faults().plant(Rule::any().once(), Fault::stalled());
    let patch = stage.request(reqwest::Method::PATCH, &format!("/api/v2/cases/{case}")).json(&json!({"data": {"age": 13}}));
    let mut response = patch.send().await.expect("the head comes");
    assert_eq!(stage.primero.saves(case), 2, "it was carried out");
    let whole = response.content_length().expect("the head tells how much comes");
    let half = response.chunk().await.expect("half comes").expect("half comes");
    assert_eq!(half.len() as u64, whole / 2);
    let rest = tokio::spawn(async move { response.chunk().await.is_err() });
    assert_eq!(stage.cases("").await.status, 200, "others are served");
    assert!(!rest.is_finished());
    stage.primero.cut_connections().await;
    assert!(rest.await.expect("the wait ends"));
}

#[tokio::test]
async fn an_answer_that_says_that_it_has_moved_says_where() {
    let stage = Stage::set().await;
    stage.primero.faults().plant(Rule::any().once(), Fault::moved(&format!("{}/health", stage.primero.url())));
    assert_eq!(stage.cases("").await.status, 204, "this client follows");
}

#[tokio::test]
async fn something_can_happen_that_the_next_connection_meets_and_no_connection_before() {
    let stage = Stage::set().await;
    let primero = stage.primero.clone();
    let close = move || {
        let primero = primero.clone();
        async move { primero.refuse_connections().await }
    };
    stage.primero.faults().plant(Rule::any().skip(1).once(), Fault::last_on_its_connection(close));
    stage.primero.faults().plant(Rule::any().skip(1).once(), Fault::status(500));
    assert_eq!((stage.cases("").await.status, stage.cases("").await.status), (200, 500));
    let error = stage.request(reqwest::Method::GET, "/health").send().await.expect_err("nobody listens");
    assert!(error.is_connect(), "{error:?}");
    stage.primero.come_up().await.expect("the port is free");
    assert_eq!(stage.cases("").await.status, 200);
}

#[tokio::test]
async fn primero_behind_tls_shows_what_it_is_told_to() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Arc::new(Authority::new());
    let primero = SimulatedPrimero::start_behind_tls(Clock::manual(start()), authority.clone()).await.expect("a free port");
    let root = reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).expect("a certificate");
    for (shows, goes) in [
        (Shows::Good, true),
        (Shows::Expired, false),
        (Shows::UnknownAuthority, false),
        (Shows::WrongName, false),
        (Shows::Refusal, false),
        (Shows::LateRefusal, false),
    ] {
        primero.show_next(shows);
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root.clone()]).build().expect("a client");
        let answer = client.get(format!("{}/health", primero.url())).send().await;
        assert_eq!(answer.is_ok(), goes, "{shows:?}");
    }
}

#[tokio::test]
async fn an_answer_can_be_something_else_than_promised() {
    let stage = Stage::set().await;
    const JSON: &str = "application/json; charset=utf-8";
    for (fault, content_type, text) in [
        (Fault::html_page(), "text/html", "<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>".to_owned()),
        (Fault::empty(), JSON, String::new()),
        (Fault::wrong_json(), JSON, r#"{"something":["else"]}"#.to_owned()),
        (Fault::huge(100_000), JSON, format!(r#"{{"data":"{}"}}"#, "x".repeat(100_000))),
        (Fault::answer(206, "", "part"), "", "part".to_owned()),
    ] {
        let expected = if content_type.is_empty() { 206 } else { 200 };
        stage.primero.faults().plant(Rule::any().once(), fault);
        assert_eq!(stage.cases("").await, Answer { status: expected, content_type: content_type.to_owned(), text });
    }
}

#[tokio::test]
async fn a_delay_and_a_drip_follow_the_clock() {
    let stage = Stage::set().await;
    stage.primero.faults().plant(Rule::any().once(), Fault::delay(Duration::from_secs(60)));
    let request = tokio::spawn(answer(stage.request(reqwest::Method::GET, "/health")));
    // The request is in the log as soon as it has come, and cannot end before the clock moves.
    while stage.primero.log().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.primero.log().entries()[0].ended, None);
    // The delay counts from the moment the fault happens, so the clock is moved until it has been noticed.
    while !request.is_finished() {
        stage.pass(60_000);
        tokio::task::yield_now().await;
    }
    assert_eq!(request.await.expect("the request ends").status, 204);

    stage.primero.faults().plant(Rule::any().once(), Fault::drip(Duration::from_secs(1)));
    let before = stage.clock.monotonic();
    let request = tokio::spawn(answer(stage.request(reqwest::Method::GET, "/health")));
    while !request.is_finished() {
        stage.pass(1000);
        tokio::task::yield_now().await;
    }
    assert_eq!(request.await.expect("the request ends").status, 204);
    assert!(stage.clock.monotonic() - before > Duration::from_secs(40), "each byte of the head took a second");
}

#[tokio::test]
async fn a_gate_holds_a_request_while_the_world_changes() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let gate = Gate::closed();
    stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::hold(&gate));
    let request = tokio::spawn(answer(stage.request(reqwest::Method::GET, &format!("/api/v2/cases/{case}"))));
    gate.arrived(1).await;
    stage.primero.staff(CASE_WORKER).set_consent(case, false);
    assert!(!request.is_finished());
    gate.let_one_through();
    assert_eq!(request.await.expect("the request ends").data()["consent_for_services"], false);
    gate.open();
    assert_eq!(stage.get(&format!("/api/v2/cases/{case}")).await.status, 200);
    assert_eq!(gate.arrivals(), 2);
}

#[tokio::test]
async fn a_hook_changes_the_world_between_two_requests_of_one_client() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let primero = stage.primero.clone();
    let stale = primero.staff(CASE_WORKER).open(case);
    let erase = move || primero.staff(CASE_WORKER).save(stale.clone());
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase).once(), Fault::run(erase).after_effect());
    let patched = stage.patch_case(case, json!({"services_section": [{"service_type": "food"}]})).await.data();
    assert_eq!(patched["services_section"].as_array().map(Vec::len), Some(1));
    assert_eq!(stage.primero.services(case).len(), 0);
}

#[tokio::test]
async fn a_server_goes_on_when_its_client_has_gone_away() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let (gate, done) = (Gate::closed(), Gate::closed());
    done.open();
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase), Fault::hold(&gate));
    stage.primero.faults().plant(Rule::on(Endpoint::PatchCase), Fault::hold(&done).after_effect());
    let path = format!("/api/v2/cases/{case}");
    let request = tokio::spawn(stage.request(reqwest::Method::PATCH, &path).json(&json!({"data": {"age": 13}})).send());
    gate.arrived(1).await;
    request.abort();
    gate.open();
    done.arrived(1).await;
    assert_eq!(stage.primero.saves(case), 2);
}

#[tokio::test]
async fn the_log_tells_order_names_of_parameters_and_how_many_came_at_once() {
    let stage = Stage::set().await;
    stage.cases("per=5&unhcr_individual_no=989-TEST0001").await;
    stage.create(json!({})).await;
    let told: Vec<_> = stage
        .primero
        .log()
        .entries()
        .into_iter()
        .map(|entry| (entry.began, entry.ended, entry.endpoint, entry.path, entry.query_keys, entry.status))
        .collect();
    let keys = vec!["per".to_owned(), "unhcr_individual_no".to_owned()];
    let cases = "/api/v2/cases".to_owned();
    assert_eq!(
        told,
        [
            (1, Some(2), Endpoint::CaseSearch, cases.clone(), keys, Some(200)),
            (3, Some(4), Endpoint::CreateCase, cases, vec![], Some(200)),
        ]
    );
    assert_eq!(stage.primero.log().count_naming(Endpoint::CreateCase, "api/v2/cases"), 1);
    assert_eq!(stage.primero.log().count_naming(Endpoint::CreateCase, "other"), 0);
    assert_eq!((stage.primero.log().count(Endpoint::CreateCase), stage.primero.log().most_at_once()), (1, 1));

    let gate = Gate::closed();
    stage.primero.faults().plant(Rule::any(), Fault::hold(&gate));
    let requests: Vec<_> = (0..3).map(|_| tokio::spawn(answer(stage.request(reqwest::Method::GET, "/health")))).collect();
    gate.arrived(3).await;
    gate.open();
    for request in requests {
        request.await.expect("the request ends");
    }
    assert_eq!(stage.primero.log().most_at_once(), 3);
    stage.primero.log().clear();
    assert_eq!((stage.primero.log().len(), stage.primero.log().most_at_once()), (0, 0));
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_until_it_comes_up_on_the_same_port() {
    let mut stage = Stage::set().await;
    assert_eq!(stage.cases("").await.status, 200);
    stage.primero.go_down().await;
    stage.reconnect();
    let error = stage.request(reqwest::Method::GET, "/health").send().await.expect_err("nobody listens");
    assert!(error.is_connect(), "{error:?}");
    stage.primero.come_up().await.expect("the port is free");
    assert_eq!(stage.cases("").await.status, 200);
    stage.primero.cut_connections().await;
    stage.reconnect();
    assert_eq!(stage.cases("").await.status, 200);
}
