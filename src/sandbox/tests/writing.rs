//! Creating and changing cases.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::{Answer, Stage, answer};
use crate::sandbox::primero::{
    BRIDGE, BRIDGE_ROLE, CASE_WORKER, FormAccess, GENDER_BASED_VIOLENCE, INTAKE, OTHER_CASE_WORKER, Release, Scope,
};

const KEY: &str = "0b7e6b1e-0000-4000-8000-000000000001";
const ITEM: &str = "0b7e6b1e-0000-4000-8000-00000000000a";
const OTHER_ITEM: &str = "0b7e6b1e-0000-4000-8000-00000000000b";

fn key() -> Uuid {
    KEY.parse().expect("a key")
}

fn new_case() -> Value {
    json!({"module_id": "primeromodule-cp", "name_first": "Testina", "unhcr_individual_no": "989-TEST0001", "owned_by": INTAKE})
}

/// `a` with everything of `b`.
fn with(mut a: Value, b: Value) -> Value {
    let Value::Object(more) = b else { panic!("an object") };
    a.as_object_mut().expect("an object").extend(more);
    a
}

#[track_caller]
fn refused(answer: &Answer, pointers: &[&str]) {
    let expected =
        json!({"errors": [{"status": 422, "resource": "/api/v2/cases", "detail": pointers, "message": "Invalid Record JSON"}]});
    assert_eq!((answer.status, answer.json()), (422, expected));
}

#[tokio::test]
async fn a_case_with_our_id_is_created_with_204_and_an_empty_body() {
    let stage = Stage::set().await;
    let created = stage.create(with(new_case(), json!({"id": KEY}))).await;
    assert_eq!((created.status, created.text.as_str()), (204, ""));
    let case = stage.get(&format!("/api/v2/cases/{KEY}")).await.data();
    for (field, expected) in [
        ("id", json!(KEY)),
        ("enabled", json!(true)),
        ("status", json!("open")),
        ("owned_by", json!(INTAKE)),
        ("owned_by_agency_id", json!("UNICEF")),
        ("associated_user_names", json!([INTAKE])),
        ("created_by", json!(BRIDGE)),
        ("last_updated_by", json!(BRIDGE)),
        ("created_at", json!("2026-01-05T10:00:00.000Z")),
        ("registration_date", json!("2026-01-05")),
        ("workflow", json!("new")),
        ("name", json!("Testina")),
    ] {
        assert_eq!(case[field], expected, "{field}");
    }
    assert!(case["case_id"].as_str().is_some_and(|case_id| case_id.len() == 36 && case_id != KEY));
    assert_eq!(case["case_id_display"], case["short_id"]);
}

#[tokio::test]
async fn a_case_without_our_id_is_answered_with_what_was_set() {
    let stage = Stage::set().await;
    let created = stage.create(new_case()).await.data();
    assert_eq!((&created["name_first"], &created["status"]), (&json!("Testina"), &json!("open")));
    assert_eq!(stage.primero.case_count(), 1);
}

#[tokio::test]
async fn the_same_id_or_case_id_again_is_a_conflict() {
    let stage = Stage::set().await;
    stage.create(with(new_case(), json!({"id": KEY, "case_id": "one"}))).await;
    let conflict = json!({"errors": [{"status": 409, "resource": "/api/v2/cases", "message": "Conflict: A record with this id already exists"}]});
    for again in [json!({"id": KEY}), json!({"case_id": "one"})] {
        let answer = stage.create(with(new_case(), again)).await;
        assert_eq!((answer.status, answer.json()), (409, conflict.clone()));
    }
    stage.primero.set_release(Release::V2_5);
    assert_eq!(stage.create(with(new_case(), json!({"case_id": "one"}))).await.status, 200);
}

#[tokio::test]
async fn without_an_envelope_a_post_creates_an_empty_case_and_a_patch_only_touches() {
    let stage = Stage::set().await;
    assert_eq!(stage.post("/api/v2/cases", new_case()).await.status, 200);
    let case = stage.primero.cases_with("status", &json!("open"))[0];
    assert_eq!(stage.primero.case(case).expect("it is there").get("name_first"), None);
    stage.pass(5);
    let touched = stage.patch(&format!("/api/v2/cases/{case}"), json!({"name_first": "Testina"})).await.data();
    assert_eq!(touched, json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.005Z"}));
}

#[tokio::test]
async fn without_a_module_only_core_fields_are_kept() {
    let stage = Stage::set().await;
    let mut sent = with(new_case(), json!({"id": KEY}));
    sent.as_object_mut().expect("an object").remove("module_id");
    assert_eq!(stage.create(sent).await.status, 204);
    let case = stage.primero.case(key()).expect("it is there");
    assert_eq!((case.get("name_first"), case.get("owned_by")), (None, Some(&json!(INTAKE))));
}

#[tokio::test]
async fn an_unknown_owner_leaves_the_case_without_one() {
    let stage = Stage::set().await;
    assert_eq!(stage.create(with(new_case(), json!({"id": KEY, "owned_by": "nobody"}))).await.status, 204);
    let case = stage.primero.case(key()).expect("it is there");
    assert_eq!((&case["owned_by"], &case["associated_user_names"]), (&Value::Null, &json!(["nobody"])));
}

#[tokio::test]
async fn unknown_and_unwritable_fields_are_dropped_with_200() {
    let stage = Stage::set().await;
    stage
        .primero
        .change_role(BRIDGE_ROLE, |role| role.cannot_write("sex").cannot_write("services_section.unhcr_referral_status"));
    let item = json!({"unique_id": ITEM, "service_type": "food", "unhcr_referral_status": "pending", "stranger": 1});
    let sent = json!({"id": KEY, "sex": "female", "consent_for_services": true, "stranger": 1, "services_section": [item]});
    assert_eq!(stage.create(with(new_case(), sent)).await.status, 204);
    let case = stage.primero.case(key()).expect("it is there");
    for field in ["sex", "consent_for_services", "stranger"] {
        assert_eq!(case.get(field), None, "{field}");
    }
    assert_eq!(
        case["services_section"],
        json!([{"unique_id": ITEM, "service_type": "food", "service_implemented": "not_implemented"}])
    );
    stage.primero.change_role(BRIDGE_ROLE, |role| role.form("services", FormAccess::Read));
    let answer = stage.patch_case(key(), json!({"services_section": [{"unique_id": OTHER_ITEM}]})).await;
    assert_eq!((answer.status, stage.primero.services(key()).len()), (200, 1));
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused_with_pointers_and_nothing_is_saved() {
    let stage = Stage::set().await;
    let item = json!({"unique_id": ITEM.to_uppercase(), "service_type": "unheard_of", "service_response_day_time": "2026-01-05"});
    let sent = json!({"age": "12", "date_of_birth": "", "sex": "", "name_last": "2024-05-01", "language": ["language1", "klingon"],
        "services_section": [{}, item]});
    let pointers = [
        "/age",
        "/date_of_birth",
        "/language/1",
        "/name_last",
        "/services_section/1/service_response_day_time",
        "/services_section/1/service_type",
        "/services_section/1/unique_id",
        "/sex",
    ];
    refused(&stage.create(with(new_case(), sent)).await, &pointers);
    refused(&stage.create(with(new_case(), json!({"id": KEY.to_uppercase().replace('7', "A")}))).await, &["/id"]);
    assert_eq!(stage.primero.case_count(), 0);
}

#[tokio::test]
async fn before_2_15_any_text_is_an_option_and_agencies_never_are_checked() {
    let stage = Stage::set().await;
    let item = json!({"service_implementing_agency": "anybody"});
    assert_eq!(stage.create(with(new_case(), json!({"services_section": [item]}))).await.status, 200);
    refused(&stage.create(with(new_case(), json!({"sex": "unheard_of"}))).await, &["/sex"]);
    stage.primero.set_release(Release::V2_14);
    assert_eq!(stage.create(with(new_case(), json!({"sex": "unheard_of"}))).await.status, 200);
}

#[tokio::test]
async fn a_birth_in_a_future_year_is_refused_by_the_model() {
    let stage = Stage::set().await;
    let answer = stage.create(with(new_case(), json!({"date_of_birth": "2027-01-01"}))).await;
    let error = json!({"status": 422, "resource": "/api/v2/cases", "detail": "date_of_birth", "message": ["errors.models.child.date_of_birth"]});
    assert_eq!((answer.status, answer.json()), (422, json!({"errors": [error]})));
}

#[tokio::test]
async fn items_meet_by_unique_id_and_double_without_one() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let item = json!({"unique_id": ITEM, "service_type": "food", "unhcr_referral_status": "pending"});
    stage.patch_case(case, json!({"services_section": [item.clone()]})).await;
    stage.primero.staff(CASE_WORKER).edit_service(
        case,
        ITEM.parse().expect("an id"),
        json!({"unhcr_referral_status": "accepted"}),
    );
    stage.patch_case(case, json!({"services_section": [item]})).await;
    let services = stage.primero.services(case);
    assert_eq!((services.len(), &services[0]["unhcr_referral_status"]), (1, &json!("pending")), "a redelivery resets a decision");
    for _ in 0..2 {
        stage.patch_case(case, json!({"services_section": [{"service_type": "food"}]})).await;
    }
    assert_eq!(stage.primero.services(case).len(), 3);
    stage.patch_case(case, json!({"services_section": [{"unique_id": ITEM, "_destroy": true}]})).await;
    stage.patch_case(case, json!({"services_section": []})).await;
    assert_eq!(stage.primero.services(case).len(), 2);
}

#[tokio::test]
async fn a_patch_answers_with_what_changed_and_moves_the_stamp_even_if_nothing_did() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let patched = stage.patch_case(case, json!({"name_nickname": "Tina"})).await.data();
    let expected = json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.001Z",
        "last_updated_by": BRIDGE, "name_nickname": "Tina"});
    assert_eq!(patched, expected);
    let again = stage.patch_case(case, json!({"name_nickname": "Tina"})).await.data();
    assert_eq!(again, json!({"id": case.to_string(), "enabled": true, "last_updated_at": "2026-01-05T10:00:00.002Z"}));
    assert_eq!(stage.primero.saves(case), 3);
}

#[tokio::test]
async fn a_new_service_reopens_a_closed_case_and_sets_the_workflow() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    stage.primero.staff(CASE_WORKER).close(case);
    assert_eq!(stage.primero.case(case).expect("it is there")["workflow"], "closed");
    let item = json!({"unique_id": ITEM, "service_type": "food", "service_response_type": "service_provision"});
    let patched = stage.patch_case(case, json!({"services_section": [item]})).await.data();
    assert_eq!((&patched["status"], &patched["workflow"]), (&json!("open"), &json!("service_provision")));
    assert_eq!(stage.primero.case(case).expect("it is there")["case_status_reopened"], true);
}

#[tokio::test]
async fn a_patch_can_move_a_case_and_an_unknown_owner_only_spoils_the_associated_names() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    stage.patch_case(case, json!({"owned_by": OTHER_CASE_WORKER, "case_id": "other", "id": KEY})).await;
    let stored = stage.primero.case(case).expect("it is there");
    assert_eq!((&stored["owned_by"], &stored["previously_owned_by"]), (&json!(OTHER_CASE_WORKER), &json!(CASE_WORKER)));
    assert_ne!(stored["case_id"], "other");
    stage.patch_case(case, json!({"owned_by": "nobody"})).await;
    let stored = stage.primero.case(case).expect("it is there");
    assert_eq!((&stored["owned_by"], &stored["associated_user_names"]), (&json!(OTHER_CASE_WORKER), &json!(["nobody"])));
}

#[tokio::test]
async fn a_stale_save_erases_what_was_added_meanwhile() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let mut form = stage.primero.staff(CASE_WORKER).open(case);
    stage.patch_case(case, json!({"services_section": [{"unique_id": ITEM, "service_type": "food"}]})).await;
    assert_eq!(stage.primero.services(case).len(), 1);
    form.document().insert("age".to_owned(), json!(13));
    stage.primero.staff(CASE_WORKER).save(form);
    assert_eq!(stage.primero.services(case).len(), 0);
    assert_eq!(stage.primero.case(case).expect("it is there")["last_updated_by"], CASE_WORKER);
}

#[tokio::test]
async fn a_case_out_of_scope_is_forbidden_and_an_unknown_one_is_not_found() {
    let stage = Stage::set().await;
    let theirs = stage.primero.staff("nobody").register(json!({}));
    stage.primero.change_role(BRIDGE_ROLE, |role| role.scope(Scope::Agency));
    let path = format!("/api/v2/cases/{theirs}");
    let forbidden = json!({"errors": [{"status": 403, "resource": path, "message": "Forbidden"}]});
    let answer = stage.get(&path).await;
    assert_eq!((answer.status, answer.json()), (403, forbidden));
    assert_eq!(stage.patch_case(theirs, json!({})).await.status, 403);
    assert_eq!(stage.cases("").await.total(), 0);
    for unknown in [KEY, "CP-1234567"] {
        let answer = stage.get(&format!("/api/v2/cases/{unknown}")).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["message"]), (404, &json!("Not Found")), "{unknown}");
    }
}

#[tokio::test]
async fn a_service_can_be_added_without_write_by_the_action_made_for_it() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    stage.primero.change_role(BRIDGE_ROLE, |role| {
        role.may_not("case", "write").may("case", &["services_section_from_case"]).without_form("services")
    });
    let data = json!({"services_section": [{"unique_id": ITEM, "service_type": "food"}], "name_nickname": "Tina"});
    assert_eq!(stage.patch_case(case, data.clone()).await.status, 403);
    let body = json!({"data": data, "record_action": "services_section_from_case"});
    assert_eq!(stage.patch(&format!("/api/v2/cases/{case}"), body).await.status, 200);
    assert_eq!(stage.primero.services(case).len(), 1);
}

#[tokio::test]
async fn cases_of_another_module_keep_what_the_role_cannot_write_there() {
    let stage = Stage::set().await;
    let case = stage.primero.staff(CASE_WORKER).register(json!({"module_id": GENDER_BASED_VIOLENCE, "name_first": "Testina"}));
    assert_eq!(stage.patch_case(case, json!({"name_first": "Other"})).await.status, 200);
    assert_eq!(stage.primero.case(case).expect("it is there")["name_first"], "Testina");
}

#[tokio::test]
async fn a_body_that_is_not_json_gets_a_blank_page() {
    let stage = Stage::set().await;
    let request = stage.request(Method::POST, "/api/v2/cases").header("content-type", "application/json").body("{\"data\":");
    let answer = answer(request).await;
    assert_eq!((answer.status, answer.content_type.as_str(), answer.text.as_str()), (400, "text/html", ""));
}
