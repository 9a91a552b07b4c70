//! What machines read: every metric is explained, shown and watched, and no other is; labels are codes of closed lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use referrald::{
    referral::Walk,
    sandbox::{Fault, Rule},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    alerts::sinks::Hook,
    world::{World, intervention},
};

const EXPLAINED: &str = include_str!("../../docs/operations/metrics.md");
const DASHBOARD: &str = include_str!("../../deploy/grafana/referrald.json");
const RULES: &str = include_str!("../../deploy/prometheus/alerts.yml");
const RULES_TESTED: &str = include_str!("../../deploy/prometheus/alerts.test.yml");
const MINUTE: Duration = Duration::from_secs(60);

/// Names of metrics in a text, without what Prometheus adds to the name of a histogram.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices("referrald_")
        .map(|(at, _)| text[at..].split(|letter| !is_part(letter)).next().unwrap())
        .map(|name| ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned())
        .collect()
}

/// A world in which everything that is counted has happened once, and its page.
async fn counted() -> (World, String) {
    let hook = Hook::new().await;
    let settings = [("REFERRALD__ALERTS__ON", "true"), ("REFERRALD__ALERTS__WEBHOOK__URL", hook.url.as_str())];
    let mut world = World::without_daemon(&settings).await;
    world.change(|settings| settings.inbox.keys[0].expires = Some("2027-01-01T00:00:00Z".parse().unwrap()));
    world.start().await;
    hook.answer_with(500);
    world.stage.dtp.faults().plant(Rule::any(), Fault::status(403));
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    assert_eq!(world.post(&json!({})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    for walk in Walk::ALL {
        world.walk(*walk).await;
    }
    world.pass(MINUTE).await;
    hook.answer_with(200);
    world.pass(MINUTE).await;
    let (status, page) = world.page("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    (world, page)
}

#[tokio::test]
async fn every_metric_is_explained_and_shown_or_watched_and_no_other_is() {
    let (world, page) = counted().await;
    let samples = page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let there = named(&samples);
    assert!(there.len() > 20, "{page}");
    let rows: String =
        EXPLAINED.lines().filter(|line| line.starts_with("| `referrald_")).map(|line| line.split('|').nth(1).unwrap()).collect();
    assert_eq!(named(&rows), there, "docs/operations/metrics.md");
    // An alert's own name begins with a capital letter, the word elsewhere has no underscore.
    let used: BTreeSet<String> = named(DASHBOARD).union(&named(RULES)).cloned().collect();
    assert_eq!(used, there, "deploy/grafana/referrald.json and deploy/prometheus/alerts.yml");
    assert!(named(RULES_TESTED).is_subset(&there));
    let elsewhere =
        named(EXPLAINED).union(&named(include_str!("../../docs/operations/alerts.md"))).cloned().collect::<BTreeSet<_>>();
    assert!(elsewhere.is_subset(&there), "{elsewhere:?}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn labels_are_codes_of_closed_lists() {
    let (world, page) = counted().await;
    let mut labels = BTreeMap::<String, BTreeSet<String>>::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, rest)) = line.split_once('{') else { continue };
        for pair in rest.split('}').next().unwrap().split(',') {
            let (label, value) = pair.split_once('=').unwrap();
            labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    let names: Vec<&str> = labels.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["addressee", "errand", "flow", "kind", "le", "outcome", "state", "status", "target", "version", "walk"],
        "no service, no agency, no place"
    );
    for (label, values) in &labels {
        let is_code =
            |value: &String| value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.+Inf".contains(&b));
        assert!(values.iter().all(is_code) && values.len() <= 24, "{label}: {values:?}");
    }
    for line in [
        "referrald_attempt_duration_seconds_count{addressee=\"primero\",outcome=\"delivered\"} 1",
        "referrald_attempt_duration_seconds_count{addressee=\"dtp\",outcome=\"blocked\"} 1",
        "referrald_inbox_answers_total{status=\"202\"} 1",
        "referrald_inbox_answers_total{status=\"422\"} 1",
        "referrald_alerts_failed_total{target=\"webhook\"} 1",
        "referrald_alerts_sent_total{target=\"webhook\"} 1",
        "referrald_operator_list_entries{kind=\"inbox_refused\"} 1",
        "referrald_operator_list_entries{kind=\"held\"} 0",
        "referrald_flow_running{flow=\"to_dtp\"} 1",
        "referrald_posts_can_be_stored 1",
        "referrald_walk_last_success_timestamp_seconds{walk=\"referrals\"} 1772438400",
        "referrald_inbox_key_end_timestamp_seconds 1798761600",
        "referrald_state_max_bytes 2147483648",
    ] {
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
    let value = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for name in ["state_bytes", "disk_free_bytes", "process_cpu_seconds_total", "process_resident_memory_bytes"] {
        assert!(value(&format!("referrald_{name}")) > 0.0, "{name}");
    }
    world.end_unsettled().await;
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["schemaVersion"].as_i64().unwrap() >= 39);
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "two panels have one id");
        let place = |key: &str| panel["gridPos"][key].as_i64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "two panels lie on one another: {}", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("{instance=~\"$instance\""), "{expression}");
        }
    }
    assert!(panels.len() > 15);
}
