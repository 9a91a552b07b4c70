//! Lists that are what was asked, lists that are not, and writes.

use super::*;

const ASKED: Filter<'static> = Filter { equals: ("unhcr_individual_no", "989-TEST0001"), module: "primeromodule-cp" };

fn found(fields: Value) -> Value {
    let mut row = row(json!({"unhcr_individual_no": "989-TEST0001", "record_state": true}));
    row.as_object_mut().unwrap().extend(document(fields));
    row
}

fn without(field: &str) -> Value {
    let mut row = found(json!({}));
    row.as_object_mut().unwrap().remove(field);
    row
}

async fn find(answer: Value) -> Result<Vec<Case>, Trouble> {
    let (client, _fake) = primero(move |_| fake::json(200, &answer)).await;
    client.find(&ASKED, &["case_id"]).await
}

#[tokio::test]
async fn find_asks_a_small_page_of_enabled_cases_of_the_module_and_for_what_it_checks() {
    let (client, fake) = primero(|_| fake::json(200, &list(&[found(json!({"case_id": "case-1"}))], 1, 5, 1))).await;
    let cases = client.find(&ASKED, &["case_id", "module_id"]).await.unwrap();
    assert_eq!(cases.iter().map(|case| case.case_id().unwrap().to_string()).collect::<Vec<_>>(), ["case-1"]);
    assert_eq!(
        fake.seen()[0].target,
        "/api/v2/cases?per=5&page=1&record_state=true&module_id=primeromodule-cp&unhcr_individual_no=989-TEST0001\
         &fields=case_id,module_id,unhcr_individual_no,record_state"
    );
}

#[tokio::test]
async fn none_is_an_empty_list_and_a_total_of_nought() {
    assert_eq!(find(list(&[], 0, 5, 1)).await.unwrap().len(), 0);
    let later = unwell(Reason::NotAsPromised, Some(200), None, false);
    assert_eq!(find(list(&[], 3, 5, 1)).await.unwrap_err(), later);
    assert_eq!(find(list(&[found(json!({}))], 0, 5, 1)).await.unwrap_err(), later);
}

#[tokio::test]
async fn several_are_several() {
    let six: Vec<Value> = std::iter::repeat_n(found(json!({})), 5).collect();
    assert_eq!(find(list(&six, 6, 5, 1)).await.unwrap().len(), 5);
}

#[tokio::test]
async fn one_row_that_is_not_what_was_asked_means_that_the_filter_was_not_honoured() {
    for stranger in [
        found(json!({"unhcr_individual_no": "989-TEST0002"})),
        found(json!({"unhcr_individual_no": "989-test0001x"})),
        found(json!({"unhcr_individual_no": " 989-TEST0001"})),
        found(json!({"unhcr_individual_no": 989})),
        found(json!({"unhcr_individual_no": null})),
        without("unhcr_individual_no"),
        found(json!({"enabled": false})),
        found(json!({"record_state": false})),
        found(json!({"module_id": "primeromodule-gbv"})),
    ] {
        assert_eq!(find(list(&[found(json!({})), stranger], 2, 5, 1)).await.unwrap_err(), Trouble::FilterIgnored);
    }
    assert_eq!(find(list(&[found(json!({}))], 1, 5, 2)).await.unwrap_err(), Trouble::FilterIgnored);
    assert_eq!(find(list(&[without("module_id")], 1, 5, 1)).await.unwrap().len(), 1, "a role may be unable to read the module");
}

#[tokio::test]
async fn a_value_that_would_change_the_filter_is_not_sent() {
    let (client, fake) = primero(|_| fake::json(200, &list(&[], 0, 5, 1))).await;
    for value in ["", "989\"", "98\\9", "989,990", "98 9", "989%"] {
        let filter = Filter { equals: ("unhcr_individual_no", value), ..ASKED };
        let expected = Trouble::Invalid(["unhcr_individual_no".to_owned()].into());
        assert_eq!(client.find(&filter, &[]).await.unwrap_err(), expected);
        client.query(value, "primeromodule-cp", &[], |_| true).await.unwrap_err();
    }
    assert_eq!(fake.seen().len(), 0);
    assert!(!format!("{ASKED:?}").contains("TEST0001"));
}

#[tokio::test]
async fn a_search_reads_every_page_and_takes_other_numbers_as_normal() {
    let (client, fake) = primero(|seen| {
        let other = found(json!({"unhcr_individual_no": "989-TEST00011"}));
        if seen.target.contains("page=1&") {
            fake::json(200, &list(&[other.clone(), other], 3, 2, 1))
        } else {
            fake::json(200, &list(&[other], 3, 2, 2))
        }
    })
    .await;
    assert_eq!(
        client.query("989-TEST0001", "primeromodule-cp", &["unhcr_individual_no"], |_| true).await.unwrap().unwrap().len(),
        3
    );
    assert_eq!(
        fake.seen().iter().map(|seen| seen.target.as_str()).collect::<Vec<_>>(),
        ["1", "2"].map(|page| format!(
            "/api/v2/cases?per=1000&page={page}&record_state=true&module_id=primeromodule-cp&query=989-TEST0001\
             &fields=unhcr_individual_no,module_id,record_state"
        ))
    );
}

#[tokio::test]
async fn a_search_that_finds_other_modules_was_not_honoured_and_one_that_never_ends_says_nothing() {
    let (client, _fake) = primero(|_| fake::json(200, &list(&[found(json!({"module_id": "other"}))], 1, 1000, 1))).await;
    assert_eq!(client.query("989", "primeromodule-cp", &[], |_| true).await.unwrap_err(), Trouble::FilterIgnored);
    let (client, fake) = primero(|seen| {
        let page = fake_page(seen);
        fake::json(200, &list(&[found(json!({}))], 1_000_000, 1, page))
    })
    .await;
    assert!(client.query("989", "primeromodule-cp", &[], |_| false).await.unwrap().is_none(), "nobody knows");
    assert_eq!(fake.seen().len(), 20);
}

fn fake_page(seen: &Seen) -> u32 {
    let url = Url::parse("http://unused/").unwrap().join(&seen.target).unwrap();
    let (_, page) = url.query_pairs().find(|(name, _)| name == "page").unwrap();
    page.parse().unwrap()
}

async fn changed(rows: Vec<Value>, page: u32) -> Result<Page, Trouble> {
    let (client, fake) = primero(move |_| fake::json(200, &list(&rows, rows.len() as u64, 1000, page))).await;
    let since = "2026-01-05T10:00:00.471Z".parse().unwrap();
    let answer = client.changed_cases(since, 1, 1000, "primeromodule-cp", &["services_section"]).await;
    assert_eq!(
        fake.seen()[0].target,
        "/api/v2/cases?per=1000&page=1&module_id=primeromodule-cp&last_updated_at=2026-01-05T10:00:00.471Z..\
         &order_by=last_updated_at&order=asc&fields=services_section,module_id"
    );
    answer
}

fn at(last_updated_at: &str) -> Value {
    row(json!({"last_updated_at": last_updated_at, "enabled": false}))
}

#[tokio::test]
async fn changed_cases_begin_with_the_whole_second_and_ascend() {
    let page = changed(vec![at("2026-01-05T10:00:00.000Z"), at("2026-01-05T10:00:00.000Z"), at("2026-01-06T00:00:00Z")], 1)
        .await
        .unwrap();
    assert_eq!((page.rows.len(), page.per), (3, 1000));
    assert_eq!(changed(vec![], 1).await.unwrap().rows.len(), 0);
    for rows in [
        vec![at("2026-01-05T09:59:59.999Z")],
        vec![at("2026-01-05T10:00:01Z"), at("2026-01-05T10:00:00Z")],
        vec![row(json!({"module_id": "primeromodule-gbv"}))],
    ] {
        assert_eq!(changed(rows, 1).await.unwrap_err(), Trouble::FilterIgnored);
    }
    assert_eq!(changed(vec![], 2).await.unwrap_err(), Trouble::FilterIgnored);
}

#[tokio::test]
async fn a_case_is_created_with_an_id_of_ours_and_a_module_or_not_at_all() {
    let new = document(json!({"id": KEY, "module_id": "primeromodule-cp", "name_first": "Testina"}));
    let (client, fake) = primero(|_| fake::empty(204)).await;
    client.create(&new).await.unwrap();
    let seen = &fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/api/v2/cases"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.json(), json!({ "data": new }));
    let nameless = document(json!({"name_first": "Testina"}));
    let missing = ["id".to_owned(), "module_id".to_owned()];
    assert_eq!(client.create(&nameless).await.unwrap_err(), Trouble::Invalid(missing.into()));
    assert_eq!(fake.seen().len(), 1);
    let (client, _fake) = primero(|_| fake::json(200, &json!({"data": row(json!({}))}))).await;
    client.create(&new).await.unwrap();
    let (client, _fake) = primero(|_| fake::html(200)).await;
    assert_eq!(client.create(&new).await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, true));
}

#[tokio::test]
async fn a_patch_answers_with_what_changed() {
    let services = json!({"services_section": [{"unique_id": "u"}]});
    let (client, fake) =
        primero(move |_| fake::json(200, &json!({"data": row(json!({"services_section": [{"unique_id": "u"}]}))}))).await;
    let case = client.patch_case(key(), &document(services.clone())).await.unwrap();
    assert_eq!(case.services().count(), 1);
    let seen = &fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PATCH", format!("/api/v2/cases/{KEY}").as_str()));
    assert_eq!(seen.json(), json!({ "data": services }));
}
