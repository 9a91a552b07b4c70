//! The daily list: when it comes, to whom, and what stands on it.

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::primero::{CASE_WORKER, NewReferral, UNHCR},
};
use serde_json::{Value, json};

use super::{
    sinks::{Hook, MailServer, Speaks},
    with_hook,
};
use crate::{
    flow2::{DAY, HOUR, MINUTE, child_referred, service},
    world::{World, intervention},
};

const AT: &str = "REFERRALD__ALERTS__DAILY_LIST";
const ZONE: &str = "REFERRALD__SCHEDULE__TIME_ZONE";

fn lists(hook: &Hook) -> Vec<Value> {
    hook.messages()
        .into_iter()
        .filter(|message| message["message"] == "daily_list")
        .map(|message| message["list"].clone())
        .collect()
}

#[tokio::test]
async fn the_list_says_what_was_not_sent_what_was_added_and_what_waits() {
    let hook = Hook::new().await;
    let world = World::with(&with_hook(&hook, &[(AT, "15:00")])).await;
    // Three o'clock in Addis Ababa is noon.
    world.pass(Duration::ZERO).await;
    world.clock.advance(MINUTE);
    let staff = world.stage.primero.staff(CASE_WORKER);
    // Added to a case that is there.
    world.register(json!({}));
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    // In a new case.
    world.refer(json!([intervention("989-26-TEST-0002", json!({ "individuals.progres_id": "989-TEST0002" }))])).await;
    // Not sent: no consent; and a person must decide.
    let child = child_referred(&world, json!({ "unhcr_individual_no": "989-TEST0003" }));
    staff.edit(child.case, json!({ "consent_for_services": false }));
    let exception = world.register(json!({ "unhcr_individual_no": "989-TEST0004", "consent_for_services": false }));
    let item = staff.add_service(exception, service(json!({})));
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", &item.to_string()).overriding_consent();
    staff.refer(exception, referral).unwrap();
    world.walk(Walk::Referrals).await;
    // A person must look.
    world.refer(json!([intervention("989-26-TEST-0001", json!({ "user.title": "Another title" }))])).await;

    world.pass(4 * HOUR - MINUTE).await;
    let entries = world.entries();
    let of = |kind: &str| entries.iter().find(|entry| entry.kind.code() == kind).unwrap().id.0;
    let first = lists(&hook);
    assert_eq!(first.len(), 1);
    let one = |kind: &str| json!({ "event": kind, "count": 1, "numbers": [of(kind)] });
    assert_eq!(first[0]["not_sent"], json!([one("held"), one("withheld")]));
    assert_eq!(first[0]["waiting_for_a_person"], json!([one("changed_after_delivery")]));
    assert_eq!(first[0]["added_to_existing_cases"]["count"], 1);
    let added = first[0]["added_to_existing_cases"]["numbers"][0].as_i64().unwrap();
    let added = world.delivery(referrald::referral::DeliveryId(added));
    assert_eq!(added.about.intervention.map(|number| number.to_string()), Some("989-26-TEST-0001".to_owned()));
    // What was added is said once.
    world.pass(DAY).await;
    assert_eq!(lists(&hook)[0]["added_to_existing_cases"], json!({ "count": 0, "numbers": [] }));
    world.end_unsettled().await;
}

#[tokio::test]
async fn the_list_comes_once_a_day_in_the_zone_of_the_programme_whatever_was_missed() {
    let hook = Hook::new().await;
    let settings = with_hook(&hook, &[(AT, "07:30"), (ZONE, "Asia/Kathmandu")]);
    let mut world = World::with(&settings).await;
    world.pass(Duration::ZERO).await;
    // It is a quarter to two in Kathmandu; half past seven is at 01:45 UTC.
    world.pass(17 * HOUR + 44 * MINUTE).await;
    assert_eq!(lists(&hook).len(), 0);
    world.pass(MINUTE).await;
    assert_eq!(lists(&hook).len(), 1);
    world.restart().await;
    world.pass(HOUR).await;
    assert_eq!(lists(&hook).len(), 0, "a restart does not repeat it");
    // A target that is down hears it when it is up again.
    hook.answer_with(500);
    world.pass(DAY).await;
    assert_eq!(lists(&hook).len(), 1);
    hook.answer_with(200);
    world.pass(HOUR).await;
    assert_eq!(lists(&hook).len(), 1);
    // A machine asleep for a week.
    world.stop().await;
    world.clock.advance(7 * DAY);
    world.start().await;
    // What is told at the start is told before time goes on; a message that is out of time would be told twice.
    world.pass(Duration::ZERO).await;
    world.pass(MINUTE).await;
    world.pass(HOUR).await;
    assert_eq!(lists(&hook).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_list_goes_to_the_focal_point_where_one_is_named() {
    let server = MailServer::new(Speaks::Plain).await;
    let mut settings = vec![
        ("REFERRALD__ALERTS__ON", "true"),
        ("REFERRALD__ALERTS__MAIL__SERVER", "127.0.0.1"),
        ("REFERRALD__ALERTS__MAIL__PORT", server.port.as_str()),
        ("REFERRALD__ALERTS__MAIL__TLS", "none"),
        ("REFERRALD__ALERTS__MAIL__FROM", "referrald@example.org"),
        ("REFERRALD__ALERTS__MAIL__TO", "duty@example.org,second-duty@example.org"),
        (AT, "12:00"),
    ];
    let mut world = World::with(&settings).await;
    world.pass(Duration::ZERO).await;
    world.pass(HOUR).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["duty@example.org", "second-duty@example.org"]);
    for line in [
        "Subject: [referrald sandbox test] daily list",
        "Not sent to UNHCR",
        "Added to existing cases since the last list",
        "  nothing",
    ] {
        assert!(mails[0].text.lines().any(|other| other == line), "{line}\n{}", mails[0].text);
    }
    settings.push(("REFERRALD__ALERTS__MAIL__DAILY_LIST_TO", "focal-point@example.org"));
    world.restart_with(&settings).await;
    world.pass(DAY).await;
    let mails = server.mails();
    assert_eq!(mails.iter().flat_map(|mail| mail.to.clone()).collect::<Vec<_>>(), ["focal-point@example.org"]);
    world.end().await;
}
