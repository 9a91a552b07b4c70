//! Referrals.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::{Answer, Stage, answer};
use crate::sandbox::primero::{
    BRIDGE, BRIDGE_PASSWORD, BRIDGE_ROLE, CASE_WORKER, NewReferral, OTHER_CASE_WORKER, Release, Scope, Standing, UNHCR, Unsaved,
};

struct Referred {
    stage: Stage,
    case: Uuid,
    service: Uuid,
    referral: Uuid,
}

/// A case with a service that was referred to UNHCR's account.
async fn referred() -> Referred {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let staff = stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(case, json!({"service_type": "food"}));
    let referral = staff.refer(case, NewReferral::to(UNHCR).for_service("food", &service.to_string()));
    let referral = referral.expect("there is consent and a recipient");
    Referred { stage, case, service, referral }
}

impl Referred {
    async fn list(&self) -> Value {
        self.stage.get(&format!("/api/v2/cases/{}/referrals", self.case)).await.data()
    }

    async fn decide(&self, data: Value) -> Answer {
        self.stage.patch(&self.path(), json!({ "data": data })).await
    }

    fn path(&self) -> String {
        format!("/api/v2/cases/{}/referrals/{}", self.case, self.referral)
    }

    fn case(&self) -> serde_json::Map<String, Value> {
        self.stage.primero.case(self.case).expect("it is there")
    }
}

#[tokio::test]
async fn a_referral_is_listed_with_its_service_and_marks_it() {
    let referred = referred().await;
    let expected = json!([{
        "id": referred.referral.to_string(), "type": "Referral", "record_id": referred.case.to_string(), "record_type": "case",
        "status": "in_progress", "transitioned_by": CASE_WORKER, "transitioned_to": UNHCR,
        "transitioned_by_user_agency": "UNICEF", "transitioned_by_user_groups": ["usergroup-gambella"],
        "transitioned_to_user_agency": "UNHCR", "transitioned_to_user_groups": [],
        "record_owned_by": CASE_WORKER, "record_owned_by_agency": "UNICEF", "record_owned_by_groups": ["usergroup-gambella"],
        "service": "food", "service_record_id": referred.service.to_string(), "remote": false, "consent_overridden": false,
        "consent_individual_transfer": false, "allow_case_creation": false, "created_at": "2026-01-05T10:00:00.000Z",
        "record_access_denied": false, "user_can_accept_or_reject": false,
    }]);
    assert_eq!(referred.list().await, expected);
    assert_eq!(referred.stage.primero.services(referred.case)[0]["service_status_referred"], true);
    assert_eq!(referred.case()["associated_user_names"], json!([CASE_WORKER, UNHCR]));
}

#[tokio::test]
async fn accepting_leaves_the_service_alone_and_finishing_implements_it() {
    let referred = referred().await;
    let accepted = referred.decide(json!({"status": "accepted", "notes": "ignored"})).await.data();
    assert_eq!((&accepted["status"], &accepted["responded_at"]), (&json!("accepted"), &json!("2026-01-05T10:00:00.000Z")));
    assert_eq!(accepted["record"]["id"], referred.case.to_string());
    assert_eq!(referred.stage.primero.services(referred.case)[0]["service_implemented"], "not_implemented");
    referred.stage.pass(1000);
    let done = referred.decide(json!({"status": "done", "rejection_note": "note"})).await.data();
    assert_eq!((&done["status"], &done["rejection_note"]), (&json!("done"), &json!("note")));
    let service = referred.stage.primero.services(referred.case).remove(0);
    assert_eq!(service["service_implemented"], "implemented");
    assert_eq!(service["service_implemented_day_time"], "2026-01-05T10:00:01.000Z");
    assert_eq!(service["note_on_referral_from_provider"], "note");
    assert_eq!(referred.case()["associated_user_names"], json!([CASE_WORKER]));
}

#[tokio::test]
async fn rejecting_removes_the_recipient_from_the_case() {
    let referred = referred().await;
    let rejected = referred.decide(json!({"status": "rejected", "rejected_reason": "Not applicable"})).await.data();
    assert_eq!((&rejected["status"], &rejected["rejected_reason"]), (&json!("rejected"), &json!("Not applicable")));
    assert_eq!(rejected["record"]["associated_user_names"], json!([CASE_WORKER]));
    assert_eq!(referred.case()["assigned_user_names"], json!([]));
}

#[tokio::test]
async fn a_recipient_stays_while_another_referral_is_active() {
    let referred = referred().await;
    let staff = referred.stage.primero.staff(CASE_WORKER);
    staff.refer(referred.case, NewReferral::to(UNHCR)).expect("another referral");
    referred.decide(json!({"status": "rejected"})).await;
    assert_eq!(referred.case()["assigned_user_names"], json!([UNHCR]));
}

#[tokio::test]
async fn a_step_that_does_not_exist_answers_200_and_saves_nothing() {
    let referred = referred().await;
    referred.decide(json!({"status": "accepted"})).await;
    let saves = referred.stage.primero.saves(referred.case);
    for status in ["accepted", "rejected", "in_progress", "revoked", "nonsense"] {
        let data = referred.decide(json!({"status": status})).await.data();
        assert_eq!(data["status"], "accepted", "{status}");
    }
    assert_eq!(referred.decide(json!({"rejected_reason": "x"})).await.data()["status"], "accepted");
    assert_eq!(referred.stage.primero.saves(referred.case), saves);
}

#[tokio::test]
async fn without_data_a_decision_is_refused_and_an_unknown_referral_is_not_found() {
    let referred = referred().await;
    let answer = referred.stage.patch(&referred.path(), json!({"status": "accepted"})).await;
    let error = json!({"status": 422, "resource": referred.path(), "message": "param is missing or the value is empty: data"});
    assert_eq!((answer.status, answer.json()), (422, json!({"errors": [error]})));
    let unknown = format!("/api/v2/cases/{}/referrals/{}", referred.case, Uuid::nil());
    assert_eq!(referred.stage.patch(&unknown, json!({"data": {"status": "accepted"}})).await.status, 404);
}

#[tokio::test]
async fn a_referral_is_found_by_its_id_alone_whatever_case_the_path_names() {
    let referred = referred().await;
    let other = referred.stage.register("989-TEST0002");
    let path = format!("/api/v2/cases/{other}/referrals/{}", referred.referral);
    assert_eq!(referred.stage.patch(&path, json!({"data": {"status": "accepted"}})).await.data()["status"], "accepted");
}

#[tokio::test]
async fn consent_and_recipient_are_checked_again_at_every_decision() {
    let referred = referred().await;
    referred.stage.primero.staff(CASE_WORKER).set_consent(referred.case, false);
    referred.stage.primero.change_user(UNHCR, crate::sandbox::primero::User::disabled);
    let answer = referred.decide(json!({"status": "accepted"})).await;
    let error =
        |field: &str, message: &str| json!({"status": 422, "resource": referred.path(), "detail": field, "message": [message]});
    let errors =
        [error("consent", "transition.errors.consent"), error("transitioned_to", "transition.errors.to_user_can_receive")];
    assert_eq!((answer.status, answer.json()), (422, json!({ "errors": errors })));
    assert_eq!(referred.stage.primero.referrals(referred.case), [(referred.referral, Standing::InProgress)]);
}

#[tokio::test]
async fn without_consent_only_an_override_makes_a_referral() {
    let stage = Stage::set().await;
    let case =
        stage.primero.staff(CASE_WORKER).register(json!({"consent_for_services": "false", "disclosure_other_orgs": false}));
    let staff = stage.primero.staff(CASE_WORKER);
    assert_eq!(staff.refer(case, NewReferral::to(UNHCR)), Err(Unsaved::Fields(vec!["consent"])));
    assert!(staff.refer(case, NewReferral::to(UNHCR).overriding_consent()).is_ok());
    staff.edit(case, json!({"disclosure_other_orgs": true}));
    assert!(staff.refer(case, NewReferral::to(UNHCR)).is_ok(), "the text false counts as given");
}

#[tokio::test]
async fn a_referral_needs_a_recipient_who_may_receive_unless_it_is_remote() {
    let stage = Stage::set().await;
    let case = stage.register("989-TEST0001");
    let staff = stage.primero.staff(CASE_WORKER);
    stage.primero.change_role("role-unhcr", |role| role.may_not("case", "receive_referral"));
    assert_eq!(staff.refer(case, NewReferral::to(UNHCR)), Err(Unsaved::Fields(vec!["transitioned_to"])));
    assert_eq!(staff.refer(case, NewReferral::to(CASE_WORKER)), Err(Unsaved::Fields(vec!["transitioned_to"])));
    let remote = staff.refer(case, NewReferral::remote("UNHCR")).expect("nobody is checked");
    let listed = stage.get(&format!("/api/v2/cases/{case}/referrals")).await.data();
    assert_eq!((&listed[0]["remote"], &listed[0]["transitioned_to_agency"]), (&json!(true), &json!("UNHCR")));
    assert_eq!(listed[0].get("transitioned_to"), None);
    let path = format!("/api/v2/cases/{case}/referrals/{remote}");
    assert_eq!(stage.patch(&path, json!({"data": {"status": "accepted"}})).await.data()["status"], "accepted");
}

#[tokio::test]
async fn revoking_works_from_any_state_and_leaves_the_service_marked() {
    let referred = referred().await;
    referred.decide(json!({"status": "accepted"})).await;
    let revoked = answer(referred.stage.request(Method::DELETE, &referred.path())).await.data();
    assert_eq!((&revoked["status"], &revoked["responded_at"]), (&json!("revoked"), &json!("2026-01-05T10:00:00.000Z")));
    assert_eq!(referred.stage.primero.services(referred.case)[0]["service_status_referred"], true);
    assert_eq!(referred.case()["associated_user_names"], json!([CASE_WORKER]));
}

#[tokio::test]
async fn every_step_of_a_referral_moves_the_stamp_of_its_case() {
    let referred = referred().await;
    let stamp = || referred.case()["last_updated_at"].clone();
    let made = stamp();
    referred.decide(json!({"status": "accepted"})).await;
    let accepted = stamp();
    referred.stage.primero.staff(CASE_WORKER).revoke(referred.referral);
    assert!(made.as_str() < accepted.as_str() && accepted.as_str() < stamp().as_str());
}

#[tokio::test]
async fn deciding_takes_receive_referral_or_write_and_before_2_8_write() {
    let referred = referred().await;
    let bridge = |change: fn(crate::sandbox::primero::Role) -> crate::sandbox::primero::Role| {
        referred.stage.primero.change_role(BRIDGE_ROLE, change);
    };
    bridge(|role| role.may_not("case", "write"));
    assert_eq!(referred.decide(json!({"status": "in_progress"})).await.status, 200);
    referred.stage.primero.set_release(Release::V2_5);
    assert_eq!(referred.decide(json!({"status": "in_progress"})).await.status, 403);
    referred.stage.primero.set_release(Release::NEWEST);
    bridge(|role| role.may_not("case", "receive_referral"));
    assert_eq!(referred.decide(json!({"status": "in_progress"})).await.status, 403);
    bridge(|role| role.may("case", &["remove_assigned_users"]));
    assert_eq!(referred.decide(json!({"status": "in_progress"})).await.status, 200);
}

#[tokio::test]
async fn a_recipient_of_own_scope_loses_the_case_by_rejecting() {
    let mut referred = referred().await;
    referred.stage.primero.change_user(UNHCR, |user| user.password("secret"));
    referred.stage.sign_in_as(UNHCR, "secret");
    assert_eq!(referred.stage.cases("").await.keys(), [referred.case]);
    assert_eq!(referred.list().await[0]["user_can_accept_or_reject"], true);
    let case = referred.stage.get(&format!("/api/v2/cases/{}", referred.case)).await.data();
    assert_eq!(case["permitted_forms"]["services"], "rw", "one case shows what the referral permits");
    let rejected = referred.decide(json!({"status": "rejected"})).await.data();
    assert_eq!((&rejected["status"], &rejected["record_access_denied"]), (&json!("rejected"), &json!(true)));
    assert_eq!(rejected.get("record"), None);
    assert_eq!(referred.decide(json!({"status": "rejected"})).await.status, 403);
    assert_eq!(referred.stage.cases("").await.total(), 0);
    referred.stage.sign_in_as(BRIDGE, BRIDGE_PASSWORD);
    assert_eq!(referred.list().await[0]["status"], "rejected");
}

#[tokio::test]
async fn a_group_sees_the_referrals_of_its_own_cases() {
    let mut referred = referred().await;
    referred.stage.primero.change_user(OTHER_CASE_WORKER, |user| user.password("secret"));
    referred.stage.sign_in_as(OTHER_CASE_WORKER, "secret");
    assert_eq!(referred.list().await.as_array().map(Vec::len), Some(1));
    referred.stage.primero.change_role("role-cp-case-worker", |role| {
        role.may_not("case", "referral").may_not("case", "referral_from_service").may_not("case", "receive_referral")
    });
    assert_eq!(referred.list().await, json!([]));
    referred.stage.primero.change_role("role-cp-case-worker", |role| role.scope(Scope::Own));
    assert_eq!(referred.stage.get(&format!("/api/v2/cases/{}/referrals", referred.case)).await.status, 403);
}

#[tokio::test]
async fn a_referral_can_be_made_over_the_wire_as_often_as_it_is_sent() {
    let referred = referred().await;
    let path = format!("/api/v2/cases/{}/referrals", referred.case);
    let body = json!({"data": {"transitioned_to": UNHCR, "service_record_id": referred.service.to_string()}});
    assert_eq!(referred.stage.post(&path, body.clone()).await.status, 403);
    referred.stage.primero.change_role(BRIDGE_ROLE, |role| role.may("case", &["referral_from_service"]));
    for _ in 0..2 {
        assert_eq!(referred.stage.post(&path, body.clone()).await.data()["status"], "in_progress");
    }
    assert_eq!(referred.stage.primero.referrals(referred.case).len(), 3);
    let unknown = json!({"data": {"transitioned_to": "nobody", "service_record_id": "x"}});
    assert_eq!(referred.stage.post(&path, unknown).await.status, 500);
}
