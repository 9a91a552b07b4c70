//! What leaves: exactly the agreed document, once, whatever happens on the way.

use referrald::{
    activity::{Basis, Event},
    referral::{Errand, Walk},
    sandbox::{
        Endpoint, Fault, Gate, Rule,
        dtp::{SUBSCRIPTION_KEY, SUBSCRIPTION_KEY_HEADER, THUMBPRINT_HEADER},
        primero::{CASE_WORKER, NewReferral, OTHER_CASE_WORKER},
    },
};
use serde_json::{Value, json};

use super::{
    DAY, HOUR, MINUTE, case_id, child_referred, child_whose_referral_waits, refer_again, refer_service, sendings, sent_ids,
    service,
};
use crate::world::{PERSON, World, intervention};

#[tokio::test]
async fn a_referral_with_consent_leaves_once_and_holds_exactly_what_was_agreed() {
    let world = World::new().await;
    let child = child_referred(
        &world,
        json!({
            "name_middle": "Middlename", "name_nickname": "Nickname", "address_current": "Invented zone 1", "telephone_current": "0001",
            "language": ["language2", "language9", "_amharic"], "national_id_no": "NEVER-AGREED", "age": 11,
        }),
    );
    world.walk(Walk::Referrals).await;

    assert_eq!(
        world.sent_to_dtp(),
        [json!({
            "id": child.outgoing(&world),
            "request_type": "ReceiveIncomingReferral",
            "service_implementing_agency": "UNICEF",
            "owned_by_agency_id": "UNICEF",
            "primero_user": CASE_WORKER,
            "position": "Case worker",
            "email": "testina.caseworker@example.org",
            "phone": "+251000000001",
            "full_name": "Testina Caseworker",
            "service_type": "Alternative Care",
            "service_type_other": null,
            "service_referral_notes": "An invented note.",
            "service_response_day_time": "2026-03-01T09:00:00.000Z",
            "unhcr_individual_no": PERSON,
            "unhcr_id_no": "989-TESTGROUP",
            "name_first": "Testina",
            "name_last": "Examplename",
            "name_middle": "Middlename",
            "name_nickname": "Nickname",
            "address_current": "Invented zone 1",
            "date_of_birth": "2014-05-06",
            "sex": "female",
            "telephone_current": "0001",
            "language": "Nuer, Amharic",
        })]
    );
    assert_eq!(world.events(), ["delivered"]);
    let line = world.lines().into_iter().find(|line| line.event == Event::Delivered).unwrap();
    assert_eq!(line.basis, Some(Basis::Consent));
    assert_eq!(line.case.unwrap().as_str(), case_id(&world, child.case));
    assert_eq!(line.referral.unwrap().0, child.referral);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_child_of_whom_little_is_known_leaves_with_the_administrators_contact_as_a_whole() {
    let world = World::new().await;
    let case = world.register(json!({
        "owned_by": OTHER_CASE_WORKER, "unhcr_individual_no": null, "unhcr_id_no": null, "date_of_birth": null, "sex": null,
    }));
    let child = refer_service(&world, case, json!({ "service_referral_notes": null, "service_response_day_time": null }));
    world.walk(Walk::Referrals).await;

    assert_eq!(
        world.sent_to_dtp(),
        [json!({
            "id": child.outgoing(&world),
            "request_type": "ReceiveIncomingReferral",
            "service_implementing_agency": "UNICEF",
            "owned_by_agency_id": "UNICEF",
            "primero_user": OTHER_CASE_WORKER,
            "position": "CPIMS+ Administrator",
            "email": "cpims-duty@example.org",
            "phone": "+251000000000",
            "full_name": "CPIMS+ Duty Desk",
            "service_type": "Alternative Care",
            "service_type_other": null,
            "service_referral_notes": "Primero referral",
            "name_first": "Testina",
            "name_last": "Examplename",
            "name_middle": null,
            "name_nickname": null,
            "telephone_current": null,
            "language": null,
        })]
    );
    world.end().await;
}

#[tokio::test]
async fn a_referral_carries_the_subscription_key_and_the_thumbprint_of_its_handshake() {
    let world = World::new().await;
    child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;

    let received = world.stage.dtp.received();
    assert_eq!(received.len(), 1);
    let header = |name: &str| received[0].headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header(SUBSCRIPTION_KEY_HEADER), SUBSCRIPTION_KEY);
    assert_eq!(header(THUMBPRINT_HEADER), received[0].thumbprint);
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(received[0].thumbprint.len(), 40);
    world.end().await;
}

#[tokio::test]
async fn names_on_the_lists_compare_without_regard_to_case() {
    let world = World::with(&[
        ("REFERRALD__REFERRALS__IMPLEMENTING_AGENCIES", "unhcr"),
        ("REFERRALD__REFERRALS__RECIPIENTS", "UNHCR_CW@CPIMS-Gambella.Primero.org"),
        ("REFERRALD__REFERRALS__OWNER_AGENCIES", "unicef"),
        ("REFERRALD__REFERRALS__SERVICE_TYPES", "Alternative_Care"),
        ("REFERRALD__REFERRALS__RECIPIENT_AGENCIES", "unhcr"),
    ])
    .await;
    let child = child_referred(&world, json!({}));
    let remote = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let item = staff.add_service(remote, service(json!({})));
    staff.refer(remote, NewReferral::remote("Unhcr").for_service("alternative_care", &item.to_string())).unwrap();
    world.walk(Walk::Referrals).await;

    let sent = sent_ids(&world);
    assert_eq!(sent.len(), 2);
    assert!(sent.contains(&child.outgoing(&world)));
    world.end().await;
}

#[tokio::test]
async fn every_service_of_a_case_that_was_referred_leaves_under_its_own_id() {
    let world = World::new().await;
    let one = child_referred(&world, json!({}));
    let two = refer_service(&world, one.case, json!({ "service_type": "food" }));
    world.walk(Walk::Referrals).await;

    // The second is read afresh while the first is under way.
    let (mut sent, mut expected) = (sent_ids(&world), [one.outgoing(&world), two.outgoing(&world)]);
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
    world.end().await;
}

#[tokio::test]
async fn what_dtp_took_is_never_sent_again() {
    let mut world = World::new().await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);

    world.walk(Walk::Referrals).await;
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
    world.walk(Walk::Referrals).await;
    world.restart_with(&[]).await;
    world.clock.advance(HOUR);
    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later still" }));
    world.walk(Walk::Referrals).await;
    world.pass(DAY).await;
    assert_eq!(sent_ids(&world).len(), 1);
    assert_eq!(world.stage.primero.log().count(Endpoint::Users), 1, "and nobody asks for its owner again");
    world.end().await;
}

#[tokio::test]
async fn a_second_referral_of_the_same_service_leaves_under_the_same_id() {
    let world = World::new().await;
    let first = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).decide(first.referral, "rejected", None).unwrap();
    world.clock.advance(HOUR);
    refer_again(&world, first);
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world), [first.outgoing(&world), first.outgoing(&world)]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn while_dtp_is_down_the_errand_waits_with_references_only_and_reads_afresh_when_it_sends() {
    let world = World::new().await;
    world.stage.dtp.go_down().await;
    let child = child_referred(&world, json!({ "name_first": "Beforehand" }));
    world.walk(Walk::Referrals).await;
    let waiting = sendings(&world);
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].may_have_acted);

    world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_first": "Afterwards" }));
    world.stage.dtp.come_up().await.unwrap();
    world.pass(HOUR).await;
    let sent = world.sent_to_dtp();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["name_first"], "Afterwards");
    let state = std::fs::read(world.stage.directory().join("state/state.sqlite")).unwrap();
    let log = std::fs::read(world.stage.directory().join("state/state.sqlite-wal")).unwrap_or_default();
    for name in ["Beforehand", "Afterwards", "Examplename", "An invented note.", PERSON] {
        let found = [&state, &log].iter().any(|bytes| bytes.windows(name.len()).any(|window| window == name.as_bytes()));
        assert!(!found, "a value of the record is in the state");
    }
    world.end().await;
}

#[tokio::test]
async fn that_a_referral_may_have_left_is_on_disk_before_the_post() {
    let mut world = World::new().await;
    let gate = Gate::closed();
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::hold(&gate));
    child_referred(&world, json!({}));
    world.try_walk(Walk::Referrals).await.unwrap();
    gate.arrived(1).await;
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(world.stage.directory().join("state")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("state.sqlite") {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let connection = rusqlite::Connection::open(copy.path().join("state.sqlite")).unwrap();
    let marked: Vec<bool> = connection
        .prepare("SELECT may_have_acted FROM deliveries WHERE errand = 'send_referral'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(marked, [true]);
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    gate.open();
    world.settle().await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.restart_with(&[]).await;
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_repeats_the_message_with_the_same_id() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::cut().after_effect());
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!(sendings(&world).len(), 1);
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world), child.outgoing(&world)]);
    let messages = world.sent_to_dtp();
    assert_eq!(messages[0], messages[1]);
    world.end().await;
}

#[tokio::test]
async fn a_waiting_errand_survives_a_restart_and_is_sent_once() {
    let mut world = World::new().await;
    let child = child_whose_referral_waits(&world).await;
    world.restart_with(&[]).await;
    world.pass(MINUTE).await;
    assert_eq!(sent_ids(&world), [child.outgoing(&world)]);
    world.walk(Walk::Referrals).await;
    assert_eq!(sent_ids(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_owner_whom_primero_cannot_tell_holds_up_only_his_own_referrals() {
    let world = World::new().await;
    let failing = child_referred(&world, json!({ "owned_by": OTHER_CASE_WORKER }));
    let other = child_referred(&world, json!({}));
    let fault = world.stage.primero.faults().plant(Rule::on(Endpoint::Users).naming(OTHER_CASE_WORKER), Fault::status(500));
    world.walk(Walk::Referrals).await;
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world), [other.outgoing(&world)]);
    fault.pull();
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world), [other.outgoing(&world), failing.outgoing(&world)]);
    world.end().await;
}

#[tokio::test]
async fn never_more_attempts_are_under_way_at_dtp_than_configured_whoever_makes_them() {
    for parallel in [1, 2] {
        let settings = [("REFERRALD__DTP__PARALLEL", parallel.to_string()), ("REFERRALD__PRIMERO__PARALLEL", "5".to_owned())];
        let world = World::with(&settings.each_ref().map(|(key, value)| (*key, value.as_str()))).await;
        let gate = Gate::closed();
        world.stage.dtp.faults().plant(Rule::any(), Fault::hold(&gate));
        let children: Vec<_> =
            (0..5).map(|n| child_referred(&world, json!({ "unhcr_individual_no": format!("989-TEST010{n}") }))).collect();
        // One of them has two referrals, and feedback wants to go, too.
        refer_service(&world, children[0].case, json!({}));
        let rows: Value = (0..3)
            .map(|n| {
                let person = json!({ "individuals.progres_id": format!("989-TEST000{n}") });
                intervention(&format!("989-26-TEST-000{n}"), person)
            })
            .collect();
        let post = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": rows });
        world.post(&post).await;
        world.try_walk(Walk::Referrals).await.unwrap();
        gate.arrived(parallel).await;
        // What needs only Primero is done while DTP is busy: nobody waits for a place there.
        let waits_for_dtp = |errand| matches!(errand, Errand::SendReferral | Errand::SendFeedback);
        while !world.unsettled().iter().all(|delivery| waits_for_dtp(delivery.errand)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.arrivals(), parallel);
        gate.open();
        world.settle().await;
        assert_eq!(world.stage.dtp.log().most_at_once(), parallel);
        assert_eq!((sent_ids(&world).len(), world.told_dtp().len()), (6, 3));
        world.end().await;
    }
}
