//! docs/openapi.yaml against the running inbox: every example is posted, and every problem that any test here meets must stand
//! in the description as it was answered. `.ci/full` goes on from there with invented requests.

use std::{collections::BTreeSet, sync::LazyLock};

use referrald::dtp::Flaw;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::world::World;

const PROBLEMS: &str = include_str!("../../src/inbox/problem.rs");

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../docs/openapi.yaml")).expect("the description is YAML"));

fn operation() -> &'static Value {
    &DESCRIPTION["paths"]["/inbox"]["post"]
}

fn response(status: u16) -> &'static Value {
    let response = &operation()["responses"][status.to_string()];
    assert!(response.is_object(), "status {status} is not described");
    response
}

/// What a reference leads to, or the thing itself.
fn followed(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere"),
        None => value,
    }
}

/// The types of problems that a schema allows.
fn types(schema: &'static Value) -> BTreeSet<&'static str> {
    let kind = &followed(schema)["properties"]["type"];
    let many = kind["enum"].as_array().into_iter().flatten();
    many.chain(std::iter::once(&kind["const"])).filter_map(Value::as_str).collect()
}

/// Every example of an answer.
fn examples(content: &'static Value) -> Vec<&'static Value> {
    let several = content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
    several.chain(content.get("example")).collect()
}

/// Takes a refusal to be one that the description tells: its status, its headers, its type, and its title where an example shows it.
pub fn is_described(status: u16, headers: &HeaderMap, problem: &Value) {
    let response = response(status);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        if followed(header)["required"] == true {
            assert!(headers.contains_key(name), "{status} lacks the header {name}");
        }
    }
    let content = &response["content"]["application/problem+json"];
    let kind = problem["type"].as_str().expect("a problem has a type");
    assert!(types(&content["schema"]).contains(kind), "{kind} is not described for {status}");
    let shown = examples(content);
    let same =
        shown.iter().find(|example| example["type"] == kind).unwrap_or_else(|| panic!("no example of {status} shows {kind}"));
    assert_eq!(same["status"], status);
    // There are several reasons for "not now"; one is shown.
    assert!(same["title"] == problem["title"] || status == 503, "{kind}: the example has another title");
}

#[tokio::test]
async fn every_example_is_answered_as_the_description_says() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    let receipts = &response(202)["content"]["application/json"]["examples"];
    let posts = operation()["requestBody"]["content"]["application/json"]["examples"].as_object().expect("there are examples");
    assert_eq!(posts.keys().collect::<Vec<_>>(), receipts.as_object().unwrap().keys().collect::<Vec<_>>());
    for (name, example) in posts {
        let (status, mut receipt) = world.post(&example["value"]).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{name}: {receipt}");
        let mut expected = receipts[name]["value"].clone();
        let (given, shown) = (receipt["post"].take(), expected["post"].take());
        assert_eq!(given.as_str().map(str::len), shown.as_str().map(str::len), "{name}");
        assert_eq!(receipt, expected, "{name}");
    }
    world.end_unsettled().await;
}

#[test]
fn every_problem_and_every_flaw_is_described_and_no_other() {
    let problems: BTreeSet<&str> = PROBLEMS.split('"').filter(|text| text.starts_with("urn:referrald:problem:")).collect();
    assert!(problems.contains("urn:referrald:problem:key"), "the reading of the source has gone blind");
    let schemas = &DESCRIPTION["components"]["schemas"];
    let described: BTreeSet<&str> = types(&schemas["Problem"]).union(&types(&schemas["Unusable"])).copied().collect();
    assert_eq!(described, problems);

    let reasons = schemas["Flaw"]["properties"]["reason"]["enum"].as_array().expect("a list");
    let reasons: BTreeSet<&str> = reasons.iter().filter_map(Value::as_str).collect();
    assert_eq!(reasons, Flaw::ALL.iter().map(|flaw| flaw.code()).collect());
}

#[test]
fn every_status_that_is_described_shows_what_it_answers() {
    let responses = operation()["responses"].as_object().expect("there are responses");
    for (status, response) in responses {
        let Some(content) = response["content"].get("application/problem+json") else {
            assert!(["202", "431"].contains(&status.as_str()), "{status} has no problem document");
            continue;
        };
        let shown = examples(content);
        assert!(!shown.is_empty(), "{status} shows no example");
        for example in shown {
            assert_eq!(example["status"].to_string(), *status);
            assert!(types(&content["schema"]).contains(example["type"].as_str().unwrap()), "{status}");
        }
    }
}
