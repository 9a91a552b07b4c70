//! Signing in, users, forms and lookups.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use super::harness::{Stage, answer, client};
use crate::sandbox::primero::{
    BRIDGE, BRIDGE_PASSWORD, BRIDGE_ROLE, CASE_WORKER, Field, FieldType, OTHER_CASE_WORKER, Role, Scope, UNHCR, User,
};

#[tokio::test]
async fn a_wrong_password_gets_401_in_its_own_shape() {
    let mut stage = Stage::set().await;
    stage.sign_in_as(BRIDGE, "wrong");
    let response = stage.request(Method::GET, "/api/v2/cases").send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="Primero" charset="UTF8""#);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.expect("JSON");
    assert!(body["error"].is_string(), "{body}");
    assert_eq!(answer(stage.bare(Method::GET, "/api/v2/cases")).await.status, 401);
    assert_eq!(stage.primero.failed_sign_ins(BRIDGE), (1, false), "a request without credentials is no failed try");
}

#[tokio::test]
async fn six_failures_lock_the_account_for_half_an_hour_and_nothing_tells_so() {
    let mut stage = Stage::set().await;
    stage.sign_in_as(BRIDGE, "wrong");
    for _ in 0..6 {
        assert_eq!(stage.cases("").await.status, 401);
    }
    stage.sign_in_as(BRIDGE, BRIDGE_PASSWORD);
    assert_eq!(stage.cases("").await.status, 401);
    stage.pass(29 * 60 * 1000);
    assert_eq!(stage.cases("").await.status, 401);
    stage.pass(60 * 1000);
    assert_eq!(stage.cases("").await.status, 200);
    assert_eq!(stage.primero.failed_sign_ins(BRIDGE), (0, false));
}

#[tokio::test]
async fn a_success_forgives_failures_and_the_user_name_is_trimmed_and_lower_cased() {
    let mut stage = Stage::set().await;
    stage.sign_in_as(BRIDGE, "wrong");
    for _ in 0..5 {
        stage.cases("").await;
    }
    stage.sign_in_as(" Bridge ", BRIDGE_PASSWORD);
    assert_eq!(stage.cases("").await.status, 200);
    assert_eq!(stage.primero.failed_sign_ins(BRIDGE), (0, false));
    stage.primero.change_user(BRIDGE, User::disabled);
    assert_eq!(stage.cases("").await.status, 401);
}

#[tokio::test]
async fn without_read_on_cases_a_search_is_forbidden() {
    let stage = Stage::set().await;
    stage.primero.change_role(BRIDGE_ROLE, |role| role.may_not("case", "read"));
    assert_eq!(stage.cases("").await.status, 403);
}

#[tokio::test]
async fn basic_sets_no_session_and_a_session_brings_the_csrf_check() {
    let stage = Stage::set().await;
    let response = stage.request(Method::GET, "/api/v2/cases").send().await.expect("an answer");
    assert_eq!(response.headers().get("set-cookie"), None);

    let first = stage.bare(Method::GET, "/api/v2/primero").send().await.expect("an answer");
    let (cookie, csrf) = cookies(first.headers());
    let credentials = json!({"user": {"user_name": BRIDGE, "password": BRIDGE_PASSWORD}});
    let sign_in = || stage.bare(Method::POST, "/api/v2/tokens").json(&credentials).header("cookie", &cookie);
    assert_eq!(answer(sign_in()).await.status, 403);
    let signed_in = sign_in().header("x-csrf-token", csrf).send().await.expect("an answer");
    let (cookie, csrf) = cookies(signed_in.headers());
    let body: Value = signed_in.json().await.expect("JSON");
    assert_eq!(body, json!({"id": 1, "user_name": BRIDGE, "group_permission": "all"}));

    let with_cookie = |method: Method| stage.request(method, "/api/v2/cases").header("cookie", &cookie);
    assert_eq!(answer(with_cookie(Method::GET)).await.status, 200);
    let write = || with_cookie(Method::POST).json(&json!({"data": {}}));
    assert_eq!(answer(write()).await.status, 403, "the session wins over Basic");
    assert_eq!(answer(write().header("x-csrf-token", &csrf)).await.status, 200);
    let leave = stage.bare(Method::DELETE, "/api/v2/tokens").header("cookie", &cookie).header("x-csrf-token", &csrf);
    assert_eq!(answer(leave).await.json(), json!({}));
    assert_eq!(answer(stage.bare(Method::GET, "/api/v2/cases").header("cookie", &cookie)).await.status, 401);
}

fn cookies(headers: &HeaderMap) -> (String, String) {
    let cookies: Vec<&str> = headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("plain text")).collect();
    let value = |name: &str| {
        let cookie = cookies.iter().find_map(|cookie| cookie.strip_prefix(name)?.split(';').next());
        cookie.expect("the cookie is set").to_owned()
    };
    (format!("_app_session={}", value("_app_session=")), value("CSRF-TOKEN="))
}

#[tokio::test]
async fn the_seventh_sign_in_of_a_minute_is_throttled_in_plain_text() {
    let stage = Stage::set().await;
    let credentials = json!({"user": {"user_name": BRIDGE, "password": "wrong"}});
    let sign_in = || answer(client().post(format!("{}/api/v2/tokens", stage.primero.url())).json(&credentials));
    for _ in 0..6 {
        assert_eq!(sign_in().await.status, 403);
    }
    let throttled = sign_in().await;
    assert_eq!(
        (throttled.status, throttled.content_type.as_str(), throttled.text.as_str()),
        (429, "text/plain", "Retry later\n")
    );
    stage.pass(60_000);
    assert_eq!(sign_in().await.status, 403);
}

#[tokio::test]
async fn a_user_is_found_by_name_and_shown_without_empty_keys() {
    let stage = Stage::set().await;
    let found = stage.get(&format!("/api/v2/users?user_name={CASE_WORKER}")).await;
    let expected = json!({
        "id": 3, "user_name": CASE_WORKER, "full_name": "Testina Caseworker", "email": "testina.caseworker@example.org",
        "phone": "+251000000001", "position": "Case worker", "agency_id": 1, "disabled": false, "locale": "en",
        "role_unique_id": "role-cp-case-worker", "role_group_permission": "group", "module_unique_ids": ["primeromodule-cp"],
        "user_group_unique_ids": ["usergroup-gambella"],
        "created_at": "2026-01-05T10:00:00.000Z", "updated_at": "2026-01-05T10:00:00.000Z",
    });
    let metadata = json!({"total": 1, "per": 20, "page": 1, "total_enabled": 1});
    assert_eq!(found.json(), json!({"data": [expected], "metadata": metadata}));
    let other = stage.get(&format!("/api/v2/users?user_name={OTHER_CASE_WORKER}")).await.data()[0].take();
    assert_eq!((other.get("email"), other.get("phone"), other.get("position")), (None, None, None));
    assert_eq!(stage.get("/api/v2/users?user_name=nobody").await.data(), json!([]));
    assert_eq!(stage.get("/api/v2/users?unheard_of=x").await.total(), 5);
    assert_eq!(stage.get("/api/v2/users?query=caseworker_").await.total(), 2);
    assert_eq!(stage.get(&format!("/api/v2/users/{CASE_WORKER}")).await.status, 404);
}

#[tokio::test]
async fn permissions_and_forms_stand_in_the_extended_view() {
    let stage = Stage::set().await;
    let own = stage.get("/api/v2/users/1?extended=true").await.data();
    assert_eq!(own["user_name"], BRIDGE);
    assert_eq!((&own["agency_unique_id"], &own["agency_name"]), (&json!("UNICEF"), &json!("UNICEF")));
    let permissions = json!({"list": [
        {"resource": "cases", "actions": ["create", "read", "receive_referral", "write"]}, {"resource": "users", "actions": ["read"]},
    ]});
    assert_eq!(own["permissions"], permissions);
    let forms = json!({"basic_identity": "rw", "other_identity_details": "rw", "services": "rw", "consent": "r"});
    assert_eq!(own["permitted_form"], forms);
    let listed = stage.get(&format!("/api/v2/users?user_name={BRIDGE}&extended=true")).await.data();
    assert_eq!(listed[0]["permitted_form"], forms);
}

#[tokio::test]
async fn who_sees_whom_depends_on_the_role() {
    let stage = Stage::set().await;
    stage.primero.put_role(Role::new("role-admin", Scope::All).administers_users());
    stage.primero.put_user(User::new("administrator", "role-admin"));
    assert_eq!(stage.get("/api/v2/users?user_name=administrator").await.total(), 0);
    stage.primero.change_role(BRIDGE_ROLE, |role| role.may("user", &["agency_read"]));
    assert_eq!(stage.get("/api/v2/users").await.total(), 4);
    assert_eq!(stage.get(&format!("/api/v2/users?user_name={UNHCR}")).await.total(), 0);
    stage.primero.change_role(BRIDGE_ROLE, |role| role.may_not("user", "read"));
    assert_eq!(stage.get("/api/v2/users").await.status, 403);
    assert_eq!(stage.get("/api/v2/users/1").await.status, 200, "one's own account can be read");
    assert_eq!(stage.get("/api/v2/users/3").await.status, 403);
}

#[tokio::test]
async fn a_colleague_of_two_groups_is_listed_twice() {
    let stage = Stage::set().await;
    stage.primero.change_role(BRIDGE_ROLE, |role| role.scope(Scope::Group));
    stage.primero.change_user(BRIDGE, |user| user.group("usergroup-gambella").group("usergroup-other"));
    stage.primero.change_user(CASE_WORKER, |user| user.group("usergroup-other"));
    let found = stage.get(&format!("/api/v2/users?user_name={CASE_WORKER}")).await;
    assert_eq!((found.total(), found.data()[0]["id"] == found.data()[1]["id"]), (2, true));
    assert_eq!(stage.get(&format!("/api/v2/users?user_name={UNHCR}")).await.total(), 0);
}

#[tokio::test]
async fn forms_show_every_field_whatever_the_role() {
    let stage = Stage::set().await;
    stage.primero.change_role(BRIDGE_ROLE, |role| role.without_form("services"));
    let forms = stage.get("/api/v2/forms?record_type=case&module_id=primeromodule-cp").await.data();
    let forms = forms.as_array().expect("a list");
    let form = |unique_id: &str| forms.iter().find(|form| form["unique_id"] == unique_id).expect("the form is there");
    let field = |form: &Value, name: &str| {
        let fields = form["fields"].as_array().expect("a list").iter().find(|field| field["name"] == name);
        fields.expect("the field is there").clone()
    };
    let nested = form("services_section");
    let subform = field(form("services"), "services_section");
    assert_eq!((&subform["type"], &subform["subform_section_id"]), (&json!("subform"), &nested["id"]));
    assert_eq!((&nested["is_nested"], &form("services")["is_nested"]), (&json!(true), &json!(false)));
    let day = field(nested, "service_response_day_time");
    assert_eq!((&day["type"], &day["date_include_time"]), (&json!("date_field"), &json!(true)));
    assert_eq!(field(nested, "service_type")["option_strings_source"], "lookup lookup-service-type");
    assert_eq!(field(nested, "service_implementing_agency")["option_strings_source"], "Agency");
    let status = field(nested, "unhcr_referral_status");
    assert_eq!(status["option_strings_text"][0], json!({"id": "pending", "display_text": {"en": "pending"}}));
    let language = field(form("other_identity_details"), "language");
    assert_eq!((&language["type"], &language["multi_select"]), (&json!("select_box"), &json!(true)));
    assert_eq!(stage.get("/api/v2/forms?record_type=case&module_id=primeromodule-gbv").await.data(), json!([]));
}

#[tokio::test]
async fn fields_and_options_can_be_taken_away_and_changed() {
    let stage = Stage::set().await;
    stage.primero.remove_field("basic_identity", "name_nickname");
    stage.primero.put_field("basic_identity", Field::new("telephone_current", FieldType::Numeric));
    stage.primero.remove_option("lookup-gender", "female");
    stage.primero.relabel_option("lookup-gender", "male", "Boy");
    let forms = stage.get("/api/v2/forms").await.data();
    let fields = forms[0]["fields"].as_array().expect("a list");
    assert!(!fields.iter().any(|field| field["name"] == "name_nickname"));
    let phone = fields.iter().find(|field| field["name"] == "telephone_current").expect("the field is there");
    assert_eq!(phone["type"], "numeric_field");
    let lookups = stage.get("/api/v2/lookups?per=1000").await;
    assert_eq!(lookups.json()["metadata"], json!({"total": 6, "per": 1000, "page": 1}));
    let gender =
        lookups.data().as_array().and_then(|all| all.iter().find(|lookup| lookup["unique_id"] == "lookup-gender").cloned());
    let values = gender.expect("the lookup is there")["values"].clone();
    assert_eq!(values[0], json!({"id": "male", "display_text": {"en": "Boy"}}));
    assert_eq!(values.as_array().map(Vec::len), Some(3));
    assert_eq!(stage.create(json!({"module_id": "primeromodule-cp", "sex": "female"})).await.status, 422);
}

#[tokio::test]
async fn public_pages_need_no_account_and_unknown_routes_are_blank() {
    let stage = Stage::set().await;
    assert_eq!(answer(stage.bare(Method::GET, "/health")).await.status, 204);
    assert_eq!(answer(stage.bare(Method::GET, "/api/v2/primero")).await.status, 200);
    let unknown = stage.get("/api/v2/unheard_of").await;
    assert_eq!((unknown.status, unknown.content_type.as_str(), unknown.text.as_str()), (404, "text/html", ""));
}

#[tokio::test]
async fn during_a_configuration_update_everything_waits() {
    let stage = Stage::set().await;
    stage.primero.set_updating(true);
    let response = stage.request(Method::GET, "/api/v2/cases").send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"60".parse().expect("a header")));
    stage.primero.set_updating(false);
    assert_eq!(stage.cases("").await.status, 200);
}
