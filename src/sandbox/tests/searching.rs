//! Listing and searching cases.

use serde_json::json;

use super::harness::{Stage, after, testina};
use crate::sandbox::primero::{BRIDGE_ROLE, CASE_WORKER, FormAccess, GENDER_BASED_VIOLENCE, Release};

const FIRST: &str = "989-TEST0001";
const SECOND: &str = "989-TEST0002";

#[tokio::test]
async fn a_permitted_filter_finds_exactly_one() {
    let stage = Stage::set().await;
    let first = stage.register(FIRST);
    stage.register(SECOND);
    let found = stage.cases(&format!("unhcr_individual_no={FIRST}&module_id=primeromodule-cp&record_state=true&per=5")).await;
    assert_eq!((found.keys(), found.total()), (vec![first], 1));
    assert_eq!(found.json()["metadata"], json!({"total": 1, "per": 5, "page": 1}));
    assert_eq!(stage.cases("unhcr_individual_no=989-test0001").await.total(), 0, "it is case-sensitive");
    assert_eq!(stage.cases("unhcr_individual_no=989-TEST9999").await.total(), 0);
}

#[tokio::test]
async fn an_unpermitted_filter_is_dropped_and_everybody_comes_back() {
    let stage = Stage::set().await;
    stage.register(FIRST);
    stage.register(SECOND);
    stage.primero.change_role(BRIDGE_ROLE, |role| role.without_form("basic_identity"));
    assert_eq!(stage.cases(&format!("unhcr_individual_no={FIRST}")).await.total(), 2);
}

#[tokio::test]
async fn an_unknown_or_malformed_filter_is_dropped_and_everybody_comes_back() {
    let stage = Stage::set().await;
    stage.register(FIRST);
    stage.register(SECOND);
    for query in [
        "remote=true",
        "associated_user_names[]=nobody",
        "unhcr_individual_no[0]=989-TEST0001",
        "service_type=food",
        "services_section=food",
        "last_updated_at=..2020-01-01T00:00:00Z",
        "last_updated_at=2030-01-01T00:00Z..",
        "last_updated_at=2030-01-01T00:00:00+03:00..",
    ] {
        assert_eq!(stage.cases(query).await.total(), 2, "{query}");
    }
}

#[tokio::test]
async fn values_are_read_as_lists_booleans_numbers_and_negations() {
    let stage = Stage::set().await;
    let first = stage.register(FIRST);
    let staff = stage.primero.staff(CASE_WORKER);
    let closed = staff.register(json!({"age": 15, "status": "closed", "consent_for_services": "true"}));
    let other = staff.register(json!({"name_first": "0123", "module_id": GENDER_BASED_VIOLENCE, "record_state": false}));
    for (query, expected) in [
        ("associated_user_names=caseworker_testina,nobody", vec![other, closed, first]),
        ("associated_user_names[0]=nobody&associated_user_names[1]=caseworker_testina", vec![other, closed, first]),
        ("owned_by=nobody", vec![]),
        ("not[status]=closed", vec![other, first]),
        ("age=10..13", vec![first]),
        ("age=10..", vec![]),
        ("consent_for_services=true", vec![closed, first]),
        ("consent_for_services=false", vec![other]),
        ("name_first=0123", vec![]),
        ("record_state=false", vec![other]),
        ("module_id=primeromodule-cp&status=open,closed", vec![closed, first]),
    ] {
        assert_eq!(stage.cases(query).await.keys(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_quote_breaks_the_statement_and_gives_an_empty_list() {
    let stage = Stage::set().await;
    stage.register(FIRST);
    assert_eq!(stage.cases("unhcr_individual_no=%22x").await.total(), 0);
    stage.primero.set_release(Release::V2_10);
    assert_eq!(stage.cases("unhcr_individual_no=%22x").await.status, 500);
}

#[tokio::test]
async fn a_page_holds_twenty_unless_asked_and_a_thousand_at_most() {
    let stage = Stage::set().await;
    let staff = stage.primero.staff(CASE_WORKER);
    for number in 0..1005 {
        staff.register_at(after(number), json!({"unhcr_individual_no": format!("989-TEST{number}")}));
    }
    for (query, rows, metadata) in [
        ("", 20, json!({"total": 1005, "per": 20, "page": 1})),
        ("per=2000", 1000, json!({"total": 1005, "per": 1000, "page": 1})),
        ("per=1000&page=2", 5, json!({"total": 1005, "per": 1000, "page": 2})),
        ("page=99", 0, json!({"total": 1005, "per": 20, "page": 99})),
        ("per=0", 0, json!({"total": 1005, "per": 0, "page": 1})),
        ("per=many", 0, json!({"total": 1005, "per": 0, "page": 1})),
    ] {
        let page = stage.cases(query).await;
        assert_eq!((page.keys().len(), &page.json()["metadata"]), (rows, &metadata), "{query}");
    }
    for query in ["page=0", "page=-1", "per=-1"] {
        assert_eq!(stage.cases(query).await.status, 500, "{query}");
    }
    stage.primero.set_release(Release::V2_10);
    assert_eq!(stage.cases("per=2000").await.keys().len(), 1005);
}

#[tokio::test]
async fn rows_come_newest_first_unless_asked_otherwise() {
    let stage = Stage::set().await;
    let staff = stage.primero.staff(CASE_WORKER);
    let a = staff.register_at(after(0), json!({"name_first": "B"}));
    let b = staff.register_at(after(10), json!({"name_first": "A"}));
    let c = staff.register_at(after(20), json!({}));
    stage.pass(1000);
    staff.edit(a, json!({"age": 3}));
    for (query, expected) in [
        ("", [c, b, a]),
        ("order=asc", [a, b, c]),
        ("order=upwards", [a, b, c]),
        ("order_by=last_updated_at&order=asc", [b, c, a]),
        ("order_by=last_updated_at", [a, c, b]),
        ("order_by=name_first&order=asc", [b, a, c]),
    ] {
        assert_eq!(stage.cases(query).await.keys(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_range_of_changes_includes_the_whole_second_at_both_ends() {
    let stage = Stage::set().await;
    let staff = stage.primero.staff(CASE_WORKER);
    let stamps = [-1, 0, 471, 999, 1000, 1999, 2000];
    let keys = stamps.map(|stamp| staff.register_at(after(stamp), json!({})));
    for (range, expected) in [
        ("2026-01-05T10:00:00.471Z..", &keys[1..]),
        ("2026-01-05T10:00:00.999Z..2026-01-05T10:00:01.000Z", &keys[1..6]),
        ("2026-01-05T13:00:01%2B03:00..", &keys[4..]),
        ("2026-01-05..", &keys[..]),
        ("2026-01-06..", &[]),
        ("2026-01-05T10:00:00.000Z", &[]),
    ] {
        let found = stage.cases(&format!("last_updated_at={range}&order_by=last_updated_at&order=asc")).await;
        assert_eq!(found.keys(), expected, "{range}");
    }
    assert_eq!(stage.cases("last_updated_at=2026-01-05T10:00:00Z..soon").await.status, 500);
    let exact = stage.cases("created_at=2026-01-05T10:00:00.471Z..2026-01-05T10:00:01.000Z&order=asc").await;
    assert_eq!(exact.keys(), keys[2..5], "created_at keeps its fraction");
}

#[tokio::test]
async fn many_cases_can_share_a_stamp_and_ties_can_come_in_any_order() {
    let stage = Stage::set().await;
    let staff = stage.primero.staff(CASE_WORKER);
    let mut keys: Vec<_> = (0..50).map(|_| staff.register_at(after(0), json!({}))).collect();
    let asked = "order_by=last_updated_at&order=asc&per=50";
    assert_eq!(stage.cases(asked).await.keys(), keys);
    stage.primero.shuffle_ties();
    let (mut once, again) = (stage.cases(asked).await.keys(), stage.cases(asked).await.keys());
    assert_ne!(once, again);
    once.sort_unstable();
    keys.sort_unstable();
    assert_eq!(once, keys);
}

#[tokio::test]
async fn a_save_stamped_early_can_become_visible_late() {
    let stage = Stage::set().await;
    let (a, b) = (stage.register(FIRST), stage.register(SECOND));
    let asked = "last_updated_at=2026-01-05T10:00:05Z..&order_by=last_updated_at&order=asc";
    stage.primero.staff(CASE_WORKER).edit_at(after(9_000), b, json!({"age": 13}));
    assert_eq!(stage.cases(asked).await.keys(), [b]);
    stage.primero.staff(CASE_WORKER).edit_at(after(6_000), a, json!({"age": 13}));
    assert_eq!(stage.cases(asked).await.keys(), [a, b]);
}

#[tokio::test]
async fn query_finds_parts_of_identifiers_whatever_the_case_of_letters() {
    let stage = Stage::set().await;
    let first = stage.register(FIRST);
    let second = stage.register("X-989-test0001-Y");
    stage.register(SECOND);
    let mut found = stage.cases("query=989-Test0001").await.keys();
    found.sort_unstable();
    let mut expected = vec![first, second];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(stage.cases("query=01&module_id=none").await.total(), 0);
    assert_eq!(stage.cases("query=T0").await.total(), 3, "short parts are found too");
    stage.primero.staff(CASE_WORKER).edit(first, json!({"unhcr_individual_no": "989-TEST7777"}));
    assert_eq!(stage.cases("query=989-TEST0001").await.keys(), [second]);
    assert_eq!(stage.cases("query=test7777").await.keys(), [first]);
}

#[tokio::test]
async fn a_search_of_everything_shows_a_summary_and_whether_it_may_be_opened() {
    let stage = Stage::set().await;
    let ours = stage.register(FIRST);
    let theirs = stage.primero.staff("nobody").register(testina("989-TEST0001-B"));
    stage.primero.change_role(BRIDGE_ROLE, |role| {
        role.scope(crate::sandbox::primero::Scope::Agency).may("case", &["search_owned_by_others"])
    });
    assert_eq!(stage.cases("query=989-TEST0001").await.keys(), [ours]);
    let found = stage.cases("id_search=true&query=989-TEST0001&order=asc").await.data();
    let marks = |key: &str| found.as_array().map(|rows| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>());
    assert_eq!(marks("id"), Some(vec![json!(ours.to_string()), json!(theirs.to_string())]));
    assert_eq!(marks("record_in_scope"), Some(vec![json!(true), json!(false)]));
    assert_eq!(marks("unhcr_individual_no"), Some(vec![json!(null), json!(null)]));
}

#[tokio::test]
async fn fields_cut_a_row_but_three_keys_always_stand_there() {
    let stage = Stage::set().await;
    let case = stage.register(FIRST);
    let row = stage.cases("fields=sex,unhcr_individual_no,nonsense").await.data()[0].take();
    assert_eq!(
        row,
        json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.000Z", "sex": "female", "unhcr_individual_no": FIRST})
    );
    let row = stage.cases("fields=nonsense").await.data()[0].take();
    assert_eq!(row, json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.000Z"}));
    stage.primero.change_role(BRIDGE_ROLE, |role| role.cannot_read("unhcr_individual_no"));
    let row = stage.get(&format!("/api/v2/cases/{case}?fields=unhcr_individual_no")).await.data();
    assert_eq!(row, json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.000Z"}));
}

#[tokio::test]
async fn a_form_that_may_only_be_read_can_be_read() {
    let stage = Stage::set().await;
    stage.register(FIRST);
    stage.primero.change_role(BRIDGE_ROLE, |role| role.form("basic_identity", FormAccess::Read));
    assert_eq!(stage.cases("fields=name_first").await.data()[0]["name_first"], "Testina");
}

#[tokio::test]
async fn a_hidden_name_is_masked() {
    let stage = Stage::set().await;
    let case = stage.register(FIRST);
    stage.primero.staff(CASE_WORKER).edit(case, json!({"hidden_name": true}));
    let row = stage.cases("").await.data()[0].take();
    assert_eq!((&row["name"], &row["name_first"]), (&json!("*******"), &json!("Testina")));
}

#[tokio::test]
async fn a_request_line_longer_than_the_proxy_allows_is_refused_with_html() {
    let stage = Stage::set().await;
    let answer = stage.cases(&format!("fields={}", "x".repeat(1000))).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (414, "text/html"));
    stage.primero.set_longest_request_line(8000);
    assert_eq!(stage.cases(&format!("fields={}", "x".repeat(1000))).await.status, 200);
}

#[tokio::test]
async fn a_badly_encoded_query_gets_a_blank_page() {
    let stage = Stage::set().await;
    let answer = stage.cases("owned_by=%ZZ").await;
    assert_eq!((answer.status, answer.content_type.as_str(), answer.text.as_str()), (400, "text/html", ""));
}
