//! Being told: every alert from its cause to whoever is told, what is kept back and told together, and what is never told.

mod daily;
mod mail;
pub mod sinks;

use std::time::Duration;

use referrald::{
    alerts::policy::Topic,
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, OTHER_CASE_WORKER, UNHCR},
        stage::write_secret,
    },
    spool::list::Kind,
};
use reqwest::StatusCode;
use serde_json::json;

use self::sinks::Hook;
use crate::{
    alarms::with_entry,
    flow2::{DAY, HOUR, MINUTE, child_referred, service},
    world::{World, intervention, start},
};

const ON: (&str, &str) = ("REFERRALD__ALERTS__ON", "true");
const URL: &str = "REFERRALD__ALERTS__WEBHOOK__URL";
const NUMBER: &str = "989-26-TEST-0001";
const SECOND: Duration = Duration::from_secs(1);

/// A world whose alerts go to a program, with more settings.
async fn told(settings: &[(&str, &str)]) -> (Hook, World) {
    let hook = Hook::new().await;
    let world = World::with(&with_hook(&hook, settings)).await;
    (hook, world)
}

fn with_hook<'a>(hook: &'a Hook, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![ON, (URL, hook.url.as_str())];
    settings.extend(more);
    settings
}

#[tokio::test]
async fn every_entry_that_needs_somebody_is_told_with_its_number_and_that_it_is_over_once() {
    let mut topics = 0;
    for kind in Kind::ALL {
        let hook = Hook::new().await;
        let world = with_entry(*kind, &with_hook(&hook, &[])).await;
        world.pass(Duration::ZERO).await;
        let entry = world.entries().into_iter().find(|entry| entry.kind == *kind).unwrap_or_else(|| panic!("no {kind}"));
        let said = hook.said();
        let Some(topic) = Topic::of_entry(*kind, entry.reason) else {
            assert!(!said.iter().any(|line| line.starts_with(kind.code())), "{kind}: the list says it, {said:?}");
            world.end_whatever().await;
            continue;
        };
        topics += 1;
        let id = entry.id;
        assert!(said.contains(&format!("{topic} open 1 [{id}]")), "{kind}: {said:?}");
        world.pass(MINUTE).await;
        assert_eq!(hook.said(), Vec::<String>::new(), "{kind}: told once");
        let resolved = world.daemon().programme().spool.write(move |tx| tx.resolve(id, "manager", None)).await;
        assert_eq!(resolved.unwrap(), 1);
        world.pass(MINUTE).await;
        assert_eq!(hook.said(), Vec::<String>::new(), "{kind}: what follows is told together");
        world.pass(HOUR).await;
        let said = hook.said();
        assert!(said.contains(&format!("{topic} over 1 [{id}]")), "{kind}: {said:?}");
        world.pass(2 * HOUR).await;
        let said = hook.said();
        assert!(
            !said.iter().any(|line| line.starts_with(&format!("{topic} over")) && line.ends_with(&format!("[{id}]"))),
            "{said:?}"
        );
        world.end_whatever().await;
    }
    assert_eq!(topics, 15, "most kinds of entries are told");
}

#[tokio::test]
async fn a_system_that_is_blocked_is_told_at_once_and_that_it_goes_on() {
    for (system, topic) in [("primero", "primero_blocked"), ("dtp", "dtp_blocked")] {
        let (hook, world) = told(&[]).await;
        let faults = if system == "dtp" { world.stage.dtp.faults() } else { world.stage.primero.faults() };
        faults.plant(Rule::any().once(), Fault::status(401));
        world.refer(json!([intervention(NUMBER, json!({}))])).await;
        world.pass(SECOND).await;
        assert_eq!(hook.said(), [format!("{topic} open 1 []")]);
        world.pass(10 * MINUTE).await;
        assert_eq!(hook.said(), Vec::<String>::new(), "that it goes on is told with what else comes");
        world.pass(50 * MINUTE).await;
        assert_eq!(hook.said(), [format!("{topic} over 1 []")]);
        world.end().await;
    }
}

#[tokio::test]
async fn what_ends_is_told_60_30_14_7_and_1_days_before_and_each_day_after_and_over_when_it_is_renewed() {
    let renewed = [("REFERRALD__AGREEMENT__VALID_UNTIL", "2027-12-31")];
    let (hook, mut world) = told(&[("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-05-02T12:00:00Z")]).await;
    world.change(|settings| settings.inbox.keys[0].expires = Some("2026-03-10T00:00:00Z".parse().unwrap()));
    world.restart().await;
    let mut days = Vec::new();
    for day in 0..63 {
        world.pass(if day == 0 { SECOND } else { DAY }).await;
        days.extend(hook.said().into_iter().map(|said| format!("{day}: {said}")));
    }
    assert_eq!(
        days,
        [
            "0: key_expiring open 1 [] 8 days",
            "1: agreement_expiring open 1 [] 60 days",
            "1: key_expiring still_open 1 [] 7 days",
            "7: key_expiring still_open 1 [] 1 days",
            "8: key_expiring still_open 1 [] 0 days",
            "9: key_expiring still_open 1 [] 0 days",
        ]
        .into_iter()
        .map(str::to_owned)
        .chain((10..63).flat_map(|day| {
            let left = 61 - day;
            let agreement = match left {
                30 | 14 | 7 | 1 => Some(format!("{day}: agreement_expiring still_open 1 [] {left} days")),
                -1 => Some(format!("{day}: agreement_expiring still_open 1 [] 0 days")),
                _ => None,
            };
            agreement.into_iter().chain([format!("{day}: key_expiring still_open 1 [] 0 days")])
        }))
        .collect::<Vec<_>>()
    );
    let settings = with_hook(&hook, &renewed);
    world.restart_with(&settings).await;
    world.pass(HOUR).await;
    assert_eq!(hook.said(), ["agreement_expiring over 1 []", "key_expiring over 1 []"]);
    // The certificate of the stage ends in 2090.
    world.clock.set_wall("2089-12-31T08:00:00Z".parse().unwrap());
    world.pass(HOUR).await;
    let said = hook.said();
    assert!(said.contains(&"certificate_expiring open 1 [] 1 days".to_owned()), "{said:?}");
    world.end().await;
}

#[tokio::test]
async fn a_withdrawal_is_told_at_once_and_again_each_day_that_nobody_has_informed_unhcr() {
    let (hook, world) = told(&[]).await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.walk(Walk::Referrals).await;
    let id = world.entries()[0].id;
    world.pass(SECOND).await;
    assert_eq!(hook.said(), [format!("withdrawn_after_send open 1 [{id}]")]);
    world.pass(23 * HOUR).await;
    assert_eq!(hook.said(), Vec::<String>::new());
    for _ in 0..2 {
        world.pass(DAY).await;
        assert_eq!(hook.said(), [format!("withdrawn_after_send still_open 1 [{id}]")]);
    }
    world.end().await;
}

#[tokio::test]
async fn an_undecided_referral_is_told_after_7_and_14_days_in_both_directions_until_it_is_decided() {
    let (hook, world) = told(&[]).await;
    world.refer(json!([intervention(NUMBER, json!({ "individuals.progres_id": "989-TEST0002" }))])).await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    assert_eq!((world.sent_to_dtp().len(), world.told_dtp().len()), (1, 1));
    world.pass(7 * DAY - HOUR).await;
    assert_eq!((hook.said(), world.list()), (vec![], vec![]));
    world.pass(HOUR).await;
    assert_eq!(world.list(), ["undecided decision_not_reported", "undecided decision_not_told"]);
    let ids: Vec<_> = world.entries().iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(hook.said(), [format!("undecided open 2 [{}]", ids.join(","))]);
    world.pass(7 * DAY - HOUR).await;
    assert_eq!(hook.said(), Vec::<String>::new());
    world.pass(HOUR).await;
    assert_eq!(hook.said(), [format!("undecided still_open 2 [{}]", ids.join(","))]);

    // UNHCR decides on the one, a case worker on the other.
    world.decide(json!([{ "progres_orgreferralid": child.outgoing(&world), "progres_reviewdecision": "125080000" }])).await;
    assert_eq!(world.list(), ["undecided decision_not_reported"]);
    let case = world.case_of("989-TEST0002");
    let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
    world.stage.primero.staff(CASE_WORKER).edit_service(case, service, json!({ "unhcr_referral_status": "accepted" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp().len(), 2);
    assert_eq!(world.list(), Vec::<String>::new());
    world.pass(2 * HOUR).await;
    assert_eq!(hook.said(), [format!("undecided over 2 [{}]", ids.join(","))]);
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_is_over_in_primero_needs_no_decision() {
    let (hook, world) = told(&[]).await;
    let child = child_referred(&world, json!({}));
    world.walk(Walk::Referrals).await;
    world.pass(8 * DAY).await;
    assert_eq!(world.list(), ["undecided decision_not_told"]);
    world.stage.primero.staff(CASE_WORKER).revoke(child.referral);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withdrawn_after_send referral_revoked"]);
    world.pass(8 * DAY).await;
    assert!(!world.list().iter().any(|entry| entry.starts_with("undecided")), "{:?}", world.list());
    assert!(hook.said().iter().any(|said| said.starts_with("undecided open")));
    world.end().await;
}

#[tokio::test]
async fn a_near_miss_is_a_service_without_a_referral_or_a_referral_that_is_half_for_unhcr() {
    let (hook, world) = told(&[]).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    // Marked, and no referral.
    let case = world.register(json!({}));
    let missed = staff.add_service(case, service(json!({ "service_status_referred": true })));
    // For UNHCR and not marked, but carried out, from before our first day, or asked for by UNHCR: nothing is missing.
    let planned = world.register(json!({ "unhcr_individual_no": "989-TEST0002" }));
    staff.add_service(planned, service(json!({ "service_implemented_day_time": "2026-03-02T07:00:00.000Z" })));
    staff.add_service(planned, service(json!({ "service_response_day_time": "2019-12-01T09:00:00.000Z" })));
    staff.add_service(planned, service(json!({ "progres_interventionnumber": "989-26-TEST-0009" })));
    // For somebody else, marked and referred or not: no concern of ours.
    let other = world.register(json!({ "unhcr_individual_no": "989-TEST0003" }));
    staff.add_service(other, service(json!({ "service_implementing_agency": "OTHER", "service_status_referred": true })));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_not_referred"]);
    let entry = world.entries().remove(0);
    assert_eq!((entry.count, entry.delivery, entry.intervention), (1, None, None));
    world.pass(SECOND).await;
    assert_eq!(hook.said(), [format!("near_miss open 1 [{}]", entry.id)]);

    // The recipient is UNHCR, the agency is not.
    let half = world.register(json!({ "unhcr_individual_no": "989-TEST0004" }));
    let item = staff.add_service(half, service(json!({ "service_implementing_agency": "OTHER" })));
    let to_unhcr = NewReferral::to(referrald::sandbox::primero::UNHCR).for_service("alternative_care", &item.to_string());
    staff.refer(half, to_unhcr).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_not_referred", "withheld implementing_agency_not_listed"]);
    let withheld = world.entries()[1].id;
    // The first one is referred after all.
    let referral = NewReferral::to(referrald::sandbox::primero::UNHCR).for_service("alternative_care", &missed.to_string());
    staff.refer(case, referral).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withheld implementing_agency_not_listed"]);
    assert_eq!(world.sent_to_dtp().len(), 1);
    world.pass(HOUR).await;
    assert_eq!(hook.said(), [format!("near_miss open 1 [{withheld}]"), format!("near_miss over 1 [{}]", entry.id)]);
    world.end().await;
}

#[tokio::test]
async fn a_service_that_was_saved_and_not_referred_is_told_when_there_was_time_to_refer_it() {
    let (hook, world) = told(&[]).await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    let [forgotten, referred] = ["989-TEST0001", "989-TEST0002"].map(|person| {
        let case = world.register(json!({ "unhcr_individual_no": person }));
        (case, staff.add_service(case, service(json!({}))))
    });
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_without_referral"; 2]);
    world.pass(HOUR / 2).await;
    let to_unhcr = NewReferral::to(referrald::sandbox::primero::UNHCR);
    staff.refer(referred.0, to_unhcr.clone().for_service("alternative_care", &referred.1.to_string())).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!((world.list(), world.sent_to_dtp().len()), (vec!["near_miss service_without_referral".to_owned()], 1));
    let entry = world.entries()[0].id;
    world.pass(HOUR / 2).await;
    assert_eq!(hook.said(), [format!("near_miss open 1 [{entry}]")], "the one that was referred in time is told to nobody");
    // Marked by hand: now somebody believes that it was sent.
    staff.edit_service(forgotten.0, forgotten.1, json!({ "service_status_referred": true }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_not_referred"]);
    staff.refer(forgotten.0, to_unhcr.for_service("alternative_care", &forgotten.1.to_string())).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn what_is_not_for_unhcr_any_more_leaves_the_list_though_nothing_in_the_case_concerns_us() {
    let world = World::new().await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    let unhcr = || NewReferral::to(UNHCR);
    // A service that was saved for UNHCR, and one that was referred to its account for another agency and then put right.
    let [missed, half] = [service(json!({})), service(json!({ "service_implementing_agency": "OTHER" }))].map(|item| {
        let case = world.register(json!({}));
        (case, staff.add_service(case, item))
    });
    let referral = staff.refer(half.0, unhcr().for_service("alternative_care", &half.1.to_string())).unwrap();
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_without_referral", "withheld implementing_agency_not_listed"]);
    world.pass(HOUR).await;
    staff.edit_service(missed.0, missed.1, json!({ "service_implementing_agency": "OTHER" }));
    staff.revoke(referral);
    staff.edit_service(half.0, half.1, json!({ "service_status_referred": false }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), Vec::<String>::new());
    // And from then on nobody looks at them again.
    let looks = || world.stage.primero.log().count(Endpoint::GetCase);
    let before = looks();
    world.pass(HOUR).await;
    for (case, _) in [missed, half] {
        staff.edit(case, json!({ "name_nickname": "Later" }));
    }
    world.walk(Walk::Referrals).await;
    assert_eq!(looks(), before);
    world.end().await;
}

#[tokio::test]
async fn a_referral_that_names_no_service_hides_a_service_without_one_only_if_it_may_be_meant() {
    for (to, revoked, hides) in [(OTHER_CASE_WORKER, false, false), (UNHCR, true, false), (UNHCR, false, true)] {
        let world = World::new().await;
        let staff = world.stage.primero.staff(CASE_WORKER);
        let case = world.register(json!({}));
        staff.add_service(case, service(json!({})));
        let referral = staff.refer(case, NewReferral::to(to)).unwrap();
        if revoked {
            staff.revoke(referral);
        }
        world.walk(Walk::Referrals).await;
        let told = if hides { "withheld service_not_named" } else { "near_miss service_without_referral" };
        assert_eq!(world.list(), [told], "{to}, revoked {revoked}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_flow_is_silent_when_nothing_was_taken_or_told_since_it_is_on() {
    let silence = ("REFERRALD__ALERTS__SILENCE_AFTER", "2 days");
    let (hook, mut world) = told(&[silence]).await;
    world.pass(Duration::ZERO).await;
    world.pass(DAY).await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(DAY).await;
    assert_eq!(world.list(), ["to_dtp_silent silent"], "the other flow is alive");
    let id = world.entries()[0].id;
    assert_eq!(hook.said(), [format!("to_dtp_silent open 1 [{id}]")]);
    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0002" }));
    world.walk(Walk::Referrals).await;
    world.pass(HOUR).await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(hook.said(), [format!("to_dtp_silent over 1 [{id}]")]);
    // A flow that is off is not silent, and when it is on again its time begins anew.
    let off = ("REFERRALD__FLOWS__TO_DTP", "false");
    let settings = with_hook(&hook, &[silence, off]);
    world.restart_with(&settings).await;
    world.pass(10 * DAY).await;
    assert_eq!(world.list(), ["to_primero_silent silent", "undecided decision_not_reported", "undecided decision_not_told"]);
    let settings = with_hook(&hook, &[silence]);
    world.restart_with(&settings).await;
    world.pass(Duration::ZERO).await;
    world.pass(DAY).await;
    assert!(!world.list().contains(&"to_dtp_silent silent".to_owned()));
    world.pass(DAY).await;
    assert!(world.list().contains(&"to_dtp_silent silent".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn a_post_that_could_not_be_stored_is_told_until_one_can_be_stored() {
    let (hook, mut world) = told(&[("REFERRALD__STATE__MAX_SIZE", "1 KiB")]).await;
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(NUMBER, json!({}))] });
    assert_eq!(world.post(&body).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.pass(SECOND).await;
    assert_eq!(hook.said(), ["post_not_stored open 1 []"]);
    let (status, page) = world.page("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
    let settings = with_hook(&hook, &[]);
    world.restart_with(&settings).await;
    world.pass(HOUR).await;
    assert_eq!(hook.said(), ["post_not_stored over 1 []"]);
    world.end().await;
}

#[tokio::test]
async fn a_post_that_could_not_be_stored_is_told_though_there_is_room_for_less() {
    let (hook, world) = told(&[]).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON parcels BEGIN SELECT raise(ABORT, 'no room for content'); END";
    world.database().execute_batch(full).unwrap();
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(NUMBER, json!({}))] });
    assert_eq!(world.post(&body).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.page("/readyz").await;
    world.pass(SECOND).await;
    assert_eq!(hook.said(), ["post_not_stored open 1 []"]);
    world.pass(HOUR).await;
    assert_eq!(hook.said(), ["post_not_stored over 1 []"]);
    world.end().await;
}

#[tokio::test]
async fn what_is_still_open_after_its_time_is_told_to_the_second_stage() {
    let (second, first) = (Hook::new().await, Hook::new().await);
    let more =
        [("REFERRALD__ALERTS__WEBHOOK__SECOND_STAGE_URL", second.url.as_str()), ("REFERRALD__ALERTS__SECOND_STAGE_AFTER", "2h")];
    let world = with_entry(Kind::Held, &with_hook(&first, &more)).await;
    let id = world.entries()[0].id;
    world.pass(SECOND).await;
    assert_eq!((first.said(), second.said()), (vec![format!("held open 1 [{id}]")], vec![]));
    world.pass(2 * HOUR - 2 * SECOND).await;
    assert_eq!((first.said(), second.said()), (vec![], vec![]));
    world.pass(SECOND).await;
    let messages = second.messages();
    assert_eq!((messages.len(), &messages[0]["stage"]), (1, &json!(2)));
    assert_eq!(messages[0]["text"], "[referrald sandbox test] still open: held");
    let twin = world.cases_of(crate::world::PERSON)[1];
    world.stage.primero.staff(CASE_WORKER).disable(twin);
    world.pass(HOUR).await;
    assert_eq!((first.said(), second.said()), (vec![format!("held over 1 [{id}]")], vec![format!("held over 1 [{id}]")]));
    world.end().await;
}

#[tokio::test]
async fn a_restart_neither_repeats_nor_forgets() {
    let hook = Hook::new().await;
    let mut world = with_entry(Kind::Held, &with_hook(&hook, &[])).await;
    let id = world.entries()[0].id;
    world.pass(SECOND).await;
    assert_eq!(hook.said(), [format!("held open 1 [{id}]")]);
    world.restart().await;
    world.pass(2 * HOUR).await;
    assert_eq!(hook.said(), Vec::<String>::new(), "told before the restart");
    // What comes over a restart is told after it, and what is over as well.
    hook.answer_with(500);
    world.refer(json!([intervention("989-26-TEST-0002", json!({}))])).await;
    world.pass(SECOND).await;
    let other = world.entries()[1].id;
    assert_eq!(hook.messages().len(), 1);
    world.abandon().await;
    hook.answer_with(200);
    world.start().await;
    world.pass(SECOND).await;
    assert_eq!(hook.said(), [format!("held open 1 [{other}]")]);
    for twin in &world.cases_of(crate::world::PERSON)[1..] {
        world.stage.primero.staff(CASE_WORKER).disable(*twin);
    }
    world.restart().await;
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    let mut ids = [id, other];
    ids.sort();
    assert_eq!(hook.said(), [format!("held over 2 [{},{}]", ids[0], ids[1])]);
    world.end().await;
}

#[tokio::test]
async fn a_target_that_is_down_disturbs_nothing_is_tried_again_and_is_counted() {
    let hook = Hook::new().await;
    let world = with_entry(Kind::Conflict, &with_hook(&hook, &[])).await;
    hook.answer_with(503);
    world.pass(SECOND).await;
    assert_eq!(hook.asked(), 1);
    world.pass(SECOND).await;
    assert_eq!(hook.asked(), 1, "there is a pause");
    world.refer(json!([intervention("989-26-TEST-0002", json!({ "individuals.progres_id": "989-TEST0002" }))])).await;
    assert_eq!(world.told_dtp().len(), 1, "delivery goes on");
    for _ in 0..20 {
        world.pass(10 * MINUTE).await;
    }
    let asked = hook.asked();
    assert!((8..=21).contains(&asked), "pauses grow to a quarter of an hour: {asked}");
    hook.messages();
    hook.answer_with(200);
    world.pass(HOUR).await;
    let id = world.entries()[0].id;
    assert_eq!(hook.said(), [format!("conflict open 1 [{id}]")]);
    let page = world.page("/metrics").await.1;
    assert!(page.contains("referrald_alerts_sent_total{target=\"webhook\"} 1\n"), "{page}");
    assert!(page.contains(&format!("referrald_alerts_failed_total{{target=\"webhook\"}} {asked}\n")), "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_token_goes_with_each_message_and_nowhere_else() {
    let hook = Hook::new().await;
    let mut world = World::without_daemon(&[]).await;
    write_secret(&world.stage.directory().join("secrets/alert-token"), "Zyxtoken").unwrap();
    world.change_settings(&with_hook(&hook, &[("REFERRALD__ALERTS__WEBHOOK__TOKEN_FILE", "secrets/alert-token")]));
    world.start().await;
    world.stage.dtp.faults().plant(Rule::any().once(), Fault::status(401));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(SECOND).await;
    assert_eq!(hook.tokens(), [Some("Bearer Zyxtoken".to_owned())]);
    assert!(!format!("{:?}", world.daemon()).contains("Zyxtoken"));
    world.end_whatever().await;
}

#[tokio::test]
async fn alerts_without_a_target_refuse_the_start_and_so_does_a_token_that_cannot_be_read() {
    let world = World::without_daemon(&[]).await;
    let refused = world.stage.settings(&[ON]).expect_err("nobody would be told").0;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("`alerts.on` is true, but nobody would be told (hint: give `alerts.webhook.url`"), "{refused:?}");
    let hook = Hook::new().await;
    let mut world = World::without_daemon(&with_hook(&hook, &[("REFERRALD__ALERTS__WEBHOOK__TOKEN_FILE", "secrets/none")])).await;
    let refused = world.try_start().await.expect_err("there is no token").to_string();
    assert!(refused.ends_with("secrets/none: there is no such file (hint: look at the path in the configuration)"), "{refused}");
    // What is off is not looked at.
    world.change_settings(&[(URL, hook.url.as_str())]);
    world.start().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::CaseSearch), Fault::status(401));
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(HOUR).await;
    assert_eq!(hook.asked(), 0);
    world.end_whatever().await;
}

#[tokio::test]
async fn other_targets_are_told_from_a_reload_on_and_know_nothing_of_what_others_heard() {
    let (hook, other) = (Hook::new().await, Hook::new().await);
    let mut world = with_entry(Kind::Conflict, &with_hook(&hook, &[])).await;
    world.pass(SECOND).await;
    let id = world.entries()[0].id;
    assert_eq!(hook.said(), [format!("conflict open 1 [{id}]")]);
    let more = ("REFERRALD__ALERTS__WEBHOOK__SECOND_STAGE_URL", other.url.as_str());
    world.change_settings(&with_hook(&hook, &[more]));
    world.reload().await;
    world.pass(4 * HOUR).await;
    assert_eq!((hook.said(), other.said()), (vec![], vec![format!("conflict open 1 [{id}]")]));
    // Without a target nothing changes.
    world.change(|settings| settings.alerts.webhook.as_mut().unwrap().token_file = Some("/none".into()));
    let refused = world.try_reload().await.expect_err("there is no token").to_string();
    assert_eq!(refused, "/none: there is no such file (hint: look at the path in the configuration)");
    let resolved = world.daemon().programme().spool.write(move |tx| tx.resolve(id, "manager", None)).await;
    assert_eq!(resolved.unwrap(), 1);
    world.pass(HOUR).await;
    assert_eq!((hook.said(), other.said()), (vec![format!("conflict over 1 [{id}]")], vec![format!("conflict over 1 [{id}]")]));
    // Off.
    world.change_settings(&[]);
    world.reload().await;
    world.stage.dtp.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([intervention("989-26-TEST-0009", json!({ "individuals.progres_id": "989-TEST0009" }))])).await;
    world.pass(HOUR).await;
    assert_eq!(hook.asked() + other.asked(), 0);
    world.end_whatever().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_keep_anything_from_being_told() {
    let (hook, world) = told(&[]).await;
    world.stage.dtp.faults().plant(Rule::any().times(2), Fault::status(401));
    world.clock.set_wall(start() + DAY);
    world.refer(json!([intervention(NUMBER, json!({}))])).await;
    world.pass(SECOND).await;
    assert_eq!(hook.said(), ["dtp_blocked open 1 []"]);
    world.clock.set_wall(start());
    world.pass(10 * MINUTE).await;
    world.pass(HOUR).await;
    assert_eq!(hook.said(), ["dtp_blocked over 1 []"]);
    world.end().await;
}
