//! What does not leave: each condition that fails is named, and a person hears of it.

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::{
        Endpoint,
        primero::{CASE_WORKER, GENDER_BASED_VIOLENCE, NewReferral, OTHER_CASE_WORKER, UNHCR},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{HOUR, MINUTE, child_referred, child_whose_referral_waits, refer_service, sent_ids, service};
use crate::world::World;

/// The walk withholds one referral for one reason, and a second walk says nothing new.
async fn assert_withheld(world: &World, reason: &str) {
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(world), Vec::<String>::new(), "{reason}");
    let told = [format!("withheld {reason}")];
    assert_eq!(world.events(), told);
    assert_eq!(world.list(), told);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.events(), told);
    assert_eq!(world.list(), told);
}

#[tokio::test]
async fn without_consent_nothing_leaves_and_it_leaves_when_consent_is_given_later() {
    for field in ["consent_for_services", "disclosure_other_orgs"] {
        for missing in [json!(false), json!(null), json!("false"), json!("yes")] {
            let world = World::new().await;
            let child = child_referred(&world, json!({}));
            let staff = world.stage.primero.staff(CASE_WORKER);
            staff.edit(child.case, json!({ field: missing }));
            assert_withheld(&world, "consent_missing").await;

            world.clock.advance(HOUR);
            staff.edit(child.case, json!({ field: "true" }));
            world.walk(Walk::Referrals).await;
            assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
            assert_eq!(world.list(), Vec::<String>::new());
            world.end().await;
        }
    }
}

#[tokio::test]
async fn consent_that_has_run_out_is_none() {
    let setting = [("REFERRALD__CONSENT__VALID_UNTIL_FIELD", "registration_date")];
    let world = World::with(&setting).await;
    child_referred(&world, json!({ "registration_date": "2026-03-01" }));
    assert_withheld(&world, "consent_missing").await;
    world.end().await;
    let world = World::with(&setting).await;
    child_referred(&world, json!({ "registration_date": "2026-03-02" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_referral_to_unhcrs_account_for_another_agencys_service_is_withheld() {
    let world = World::new().await;
    let case = world.register(json!({}));
    refer_service(&world, case, json!({ "service_implementing_agency": "UNICEF" }));
    assert_withheld(&world, "implementing_agency_not_listed").await;
    world.end().await;
}

/// A service for UNHCR whose referral names another case worker is withheld; the case and the service.
async fn refer_to_somebody_else(world: &World) -> (Uuid, Uuid) {
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let item = staff.add_service(case, service(json!({})));
    staff.refer(case, NewReferral::to(OTHER_CASE_WORKER).for_service("alternative_care", &item.to_string())).unwrap();
    assert_withheld(world, "recipient_not_listed").await;
    (case, item)
}

#[tokio::test]
async fn a_referral_of_unhcrs_service_to_somebody_else_is_withheld() {
    let world = World::new().await;
    refer_to_somebody_else(&world).await;
    world.end().await;
}

#[tokio::test]
async fn a_case_of_an_agency_that_has_not_signed_is_withheld() {
    let world = World::with(&[("REFERRALD__REFERRALS__OWNER_AGENCIES", "ANOTHER")]).await;
    child_referred(&world, json!({}));
    assert_withheld(&world, "agency_not_signed").await;
    world.end().await;
}

#[tokio::test]
async fn a_service_type_that_is_not_listed_is_withheld() {
    let world = World::new().await;
    let case = world.register(json!({}));
    refer_service(&world, case, json!({ "service_type": "shelter" }));
    assert_withheld(&world, "service_type_not_listed").await;
    world.end().await;
}

#[tokio::test]
async fn a_referral_made_before_the_first_day_is_withheld() {
    let world = World::with(&[("REFERRALD__SCHEDULE__START_FROM", "2026-03-02T09:00:00Z")]).await;
    let child = child_referred(&world, json!({}));
    world.clock.advance(2 * HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
    assert_withheld(&world, "before_start").await;
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_somebody_decided_before_it_left_is_withheld() {
    for status in ["accepted", "rejected"] {
        let world = World::new().await;
        let child = child_referred(&world, json!({}));
        world.stage.primero.staff(CASE_WORKER).decide(child.referral, status, None).unwrap();
        assert_withheld(&world, "not_in_progress").await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_referral_revoked_before_it_left_asks_nothing_of_anybody() {
    let world = World::new().await;
    let child = child_referred(&world, json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit(child.case, json!({ "consent_for_services": false }));
    assert_withheld(&world, "consent_missing").await;
    world.clock.advance(HOUR);
    staff.revoke(child.referral);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_names_no_service_of_its_case_is_withheld() {
    for named in [None, Some(""), Some("3f0c1a52-0000-4000-8000-000000000001"), Some("short")] {
        let world = World::new().await;
        let case = world.register(json!({}));
        let staff = world.stage.primero.staff(CASE_WORKER);
        staff.add_service(case, service(json!({})));
        let referral = NewReferral { service_record_id: named.map(str::to_owned), ..NewReferral::to(UNHCR) };
        staff.refer(case, referral).unwrap();
        assert_withheld(&world, "service_not_named").await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_referral_that_does_not_concern_us_is_noted_nowhere() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let item = staff.add_service(case, service(json!({ "service_implementing_agency": "ANOTHER" })));
    staff.refer(case, NewReferral::to(OTHER_CASE_WORKER).for_service("alternative_care", &item.to_string())).unwrap();
    staff.refer(case, NewReferral::remote("ANOTHER").for_service("alternative_care", &item.to_string())).unwrap();
    let walked = world.walk(Walk::Referrals).await;

    assert_eq!(walked.looks.len(), 1, "the case is looked at, for its service is marked as referred");
    assert_eq!(world.stage.primero.log().count(Endpoint::ListReferrals), 1);
    assert_eq!(world.events(), Vec::<String>::new());
    assert_eq!(world.list(), Vec::<String>::new());
    let spool = &world.daemon().programme().spool;
    assert_eq!(spool.read(|reading| reading.tally()).unwrap(), []);
    assert_eq!(spool.read(|reading| reading.counters()).unwrap(), Vec::<[String; 6]>::new());
    world.end().await;
}

#[tokio::test]
async fn a_case_of_another_module_is_named_nowhere() {
    let mut world = World::new().await;
    let case = world.register(json!({ "module_id": GENDER_BASED_VIOLENCE }));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff
        .add_service(case, service(json!({ "progres_interventionnumber": "989-26-TEST-0001", "service_status_referred": true })));
    world.walk(Walk::Referrals).await;
    world.walk(Walk::Decisions).await;
    assert_eq!(world.stage.primero.log().count(Endpoint::GetCase), 0);

    // Nor is one that was moved to it before it was looked at.
    let child = child_referred(&world, json!({}));
    let gate = referrald::sandbox::Gate::closed();
    let fault = referrald::sandbox::Fault::hold(&gate);
    world.stage.primero.faults().plant(referrald::sandbox::Rule::on(Endpoint::GetCase), fault);
    world.try_walk(Walk::Referrals).await.unwrap();
    gate.arrived(1).await;
    staff.edit(child.case, json!({ "module_id": GENDER_BASED_VIOLENCE }));
    gate.open();
    world.settle().await;

    assert_eq!(world.events(), Vec::<String>::new());
    assert_eq!(world.list(), Vec::<String>::new());
    let numbers = [case, child.case].map(|case| [case.to_string(), super::case_id(&world, case)]);
    world.stop().await;
    let state = std::fs::read(world.stage.directory().join("state/state.sqlite")).unwrap();
    for number in numbers.iter().flatten() {
        assert!(!state.windows(number.len()).any(|window| window == number.as_bytes()), "a case of another module is named");
    }
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn lists_that_changed_while_an_errand_waited_withhold_it() {
    for (setting, value, reason) in [
        ("REFERRALD__REFERRALS__IMPLEMENTING_AGENCIES", "ANOTHER", "implementing_agency_not_listed"),
        ("REFERRALD__REFERRALS__RECIPIENTS", "somebody", "recipient_not_listed"),
        ("REFERRALD__REFERRALS__OWNER_AGENCIES", "ANOTHER", "agency_not_signed"),
        ("REFERRALD__REFERRALS__SERVICE_TYPES", "food", "service_type_not_listed"),
        ("REFERRALD__REFERRALS__MODULES", "primeromodule-other", "module_not_listed"),
        ("REFERRALD__SCHEDULE__START_FROM", "2026-03-02T09:00:00Z", "before_start"),
        ("REFERRALD__CONSENT__REQUIRE", "unhcr_export_opt_in", "consent_missing"),
    ] {
        let mut world = World::new().await;
        child_whose_referral_waits(&world).await;
        world.restart_with(&[(setting, value)]).await;
        world.pass(MINUTE).await;
        assert_eq!(sent_ids(&world), Vec::<String>::new(), "{setting}");
        assert!(world.list().contains(&format!("withheld {reason}")), "{setting}: {:?}", world.list());
        world.end().await;
    }
}

#[tokio::test]
async fn a_reload_that_allows_it_again_lets_it_leave_when_the_case_changes() {
    let mut world = World::with(&[("REFERRALD__REFERRALS__SERVICE_TYPES", "food")]).await;
    let child = child_referred(&world, json!({}));
    assert_withheld(&world, "service_type_not_listed").await;
    world.restart_with(&[]).await;
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn after_the_agreement_nothing_leaves() {
    let mut world = World::new().await;
    child_whose_referral_waits(&world).await;
    world.restart_with(&[("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-03-01")]).await;
    world.pass(HOUR).await;
    assert!(world.try_walk(Walk::Referrals).await.is_err());
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    world.pass(Duration::from_secs(72 * 3600)).await;
    assert!(world.list().contains(&"stopped not_sent_in_time".to_owned()), "{:?}", world.list());
    world.end().await;
}

#[tokio::test]
async fn an_empty_list_refuses_the_start() {
    let world = World::without_daemon(&[]).await;
    for list in ["IMPLEMENTING_AGENCIES", "OWNER_AGENCIES", "SERVICE_TYPES", "MODULES", "RECIPIENTS"] {
        let key = format!("referrals.{}", list.to_lowercase());
        let text = world.stage.configuration();
        let start = text.find("[referrals]").unwrap();
        let line = text[start..].lines().find(|line| line.starts_with(&format!("{} =", list.to_lowercase())));
        let text = match line.map(str::to_owned) {
            Some(line) => text.replace(&line, &format!("{} = []", list.to_lowercase())),
            None => text.replace("[referrals]", &format!("[referrals]\n{} = []", list.to_lowercase())),
        };
        let text = text.replace("recipient_agencies = [\"UNHCR\"]", "");
        let path = world.stage.directory().join("referrald.toml");
        let problems = referrald::config::Settings::from_text(&path, &text, std::iter::empty()).err();
        let problems = problems.map(|problems| problems.to_string()).unwrap_or_default();
        assert!(problems.contains(&key) && problems.contains("is empty"), "{key}: {problems}");
    }
}

#[tokio::test]
async fn a_referral_made_before_the_first_day_that_is_over_was_never_ours_to_send() {
    for status in ["accepted", "rejected"] {
        let world = World::with(&[("REFERRALD__SCHEDULE__START_FROM", "2026-03-02T09:00:00Z")]).await;
        let child = child_referred(&world, json!({}));
        world.clock.advance(2 * HOUR);
        world.stage.primero.staff(CASE_WORKER).decide(child.referral, status, None).unwrap();
        world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
        assert_eq!(world.walk(Walk::Referrals).await.looks.len(), 1);
        assert_eq!(world.list(), Vec::<String>::new());
        assert_eq!(world.events(), Vec::<String>::new());
        world.end().await;
    }
}

#[tokio::test]
async fn a_case_whose_id_our_role_cannot_read_is_held_and_not_passed_over() {
    let world = World::new().await;
    world.stage.primero.change_role("role-bridge", |role| role.cannot_read("case_id"));
    child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), Vec::<String>::new());
    assert_eq!(world.list(), ["held out_of_scope"]);
    assert_eq!(world.entries()[0].fields, ["case_id"]);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_service_whose_id_is_too_short_for_dtp_is_withheld() {
    let world = World::new().await;
    let service = json!({
        "unique_id": "short", "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_referral_notes": "An invented note.", "service_response_day_time": "2026-03-01T09:00:00.000Z",
    });
    let case = world.register(json!({ "services_section": [service] }));
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", "short");
    world.stage.primero.staff(CASE_WORKER).refer(case, referral).unwrap();
    assert_withheld(&world, "service_not_named").await;
    world.end().await;
}

#[tokio::test]
async fn what_was_withheld_leaves_the_list_when_it_is_corrected_to_concern_somebody_else() {
    let world = World::new().await;
    let (case, item) = refer_to_somebody_else(&world).await;

    world.clock.advance(HOUR);
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.edit_service(case, item, json!({ "service_implementing_agency": "UNICEF" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(sent_ids(&world), Vec::<String>::new());

    // It concerns UNHCR again, for the same reason: it is told anew.
    world.clock.advance(HOUR);
    staff.edit_service(case, item, json!({ "service_implementing_agency": "UNHCR" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withheld recipient_not_listed"]);
    assert_eq!(world.events(), ["withheld recipient_not_listed"; 2]);
    world.end().await;
}

#[tokio::test]
async fn a_referral_on_a_case_without_any_service_for_unhcr_is_seen() {
    let world = World::new().await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    let [to_unhcr, to_others] = [UNHCR, OTHER_CASE_WORKER].map(|recipient| {
        let case = world.register(json!({}));
        (case, staff.refer(case, NewReferral::to(recipient)).unwrap())
    });
    assert_withheld(&world, "service_not_named").await;
    assert_eq!(world.stage.primero.log().count_naming(Endpoint::GetCase, to_others.0), 0);

    // Taken back, and so nobody's concern any more, though nothing in the case tells of it.
    world.clock.advance(HOUR);
    staff.revoke(to_unhcr.1);
    staff.edit(to_unhcr.0, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
