//! What an operator does on the list: through a running daemon, and on a state that nobody runs.

use std::collections::BTreeSet;

use referrald::{
    activity::{Basis, Event},
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
};
use serde_json::{Value, json};

use super::{on, with};
use crate::world::{PERSON, World, intervention};

/// Two cases with one number, so that an intervention for it is held.
fn two_cases(world: &World) {
    world.register(json!({}));
    world.register(json!({ "name_first": "Testus" }));
}

/// A child whose referral was made by exception.
pub(super) fn exception(world: &World) -> uuid::Uuid {
    let case = world.register(json!({ "disclosure_other_orgs": false }));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(
        case,
        json!({ "service_type": "alternative_care", "service_implementing_agency": "UNHCR", "service_referral_notes": "An invented note." }),
    );
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", &service.to_string()).overriding_consent();
    staff.refer(case, referral).expect("an exception may be referred");
    case
}

fn whos(world: &World) -> BTreeSet<String> {
    world.lines().into_iter().filter_map(|line| line.who).collect()
}

#[tokio::test]
async fn the_list_says_what_happened_and_what_to_do_and_a_story_is_told() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;

    let list = on(&world, "deliveries list").await;
    assert_eq!((list.exit, list.rows.len()), (0, 1), "{list:?}");
    let entry = &list.rows[0];
    assert_eq!(
        (&entry["kind"], &entry["reason"], &entry["errand"], &entry["state"], &entry["intervention"]),
        (&json!("held"), &json!("several"), &json!("open_intervention"), &json!("held"), &json!("989-TEST-1"))
    );
    let id = entry["delivery"].as_i64().expect("it is about a delivery");
    let to_do = entry["what_to_do"].as_str().expect("it says what to do");
    assert!(to_do.contains(&format!("deliveries retry {}", entry["entry"])), "{to_do}");

    let all = on(&world, "deliveries list --all --state held --flow to_primero").await;
    assert_eq!(all.rows.len(), 2, "{all:?}");
    assert_eq!(on(&world, "deliveries list --all --flow to_dtp").await.rows, Vec::<Value>::new());

    for number in [id, entry["entry"].as_i64().expect("a number")] {
        let shown = on(&world, &format!("deliveries show {number}")).await;
        let events: Vec<&str> = shown.rows.iter().filter_map(|row| row["event"].as_str()).collect();
        assert_eq!(events, ["received", "held"]);
        assert_eq!(shown.rows[0]["delivery"], json!(id));
        assert!(!format!("{shown:?}").contains(PERSON), "a person's number is shown to nobody");
    }
    let nothing = on(&world, "deliveries show 4000").await;
    assert_eq!(nothing.exit, 1);
    assert!(nothing.error.starts_with("there is no delivery and no entry 4000 (hint: "), "{}", nothing.error);

    let story = on(&world, "activity --intervention 989-TEST-1").await;
    let events: Vec<&str> = story.rows.iter().filter_map(|row| row["event"].as_str()).collect();
    assert_eq!(events, ["received", "held"]);
    assert!(
        story
            .rows
            .iter()
            .all(|row| row["programme"] == "sandbox" && row["time"].as_str().is_some_and(|time| time.ends_with('Z')))
    );
    world.end_unsettled().await;
}

#[tokio::test]
async fn the_number_of_an_entry_means_its_delivery() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    let (id, entry) = (world.unsettled()[0].id, world.entries()[0].id);
    let retried = on(&world, &format!("deliveries retry {entry}")).await;
    assert_eq!(retried.rows, [json!({ "done": format!("delivery {id} is due now") })], "{retried:?}");
    world.settle().await;
    let entry = world.entries()[0].id;
    let stopped = on(&world, &format!("deliveries stop {entry} --reason error")).await;
    assert_eq!(stopped.exit, 0, "{stopped:?}");
    world.settle().await;
    world.end().await;
}

#[tokio::test]
async fn what_is_put_right_in_primero_goes_at_once_with_retry() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    let id = world.unsettled()[0].id;
    let twin = world.cases_of(PERSON)[1];
    world.stage.primero.staff(CASE_WORKER).edit(twin, json!({ "unhcr_individual_no": "989-TEST0002" }));

    let retried = on(&world, &format!("deliveries retry {id}")).await;
    assert_eq!((retried.exit, &retried.rows), (0, &vec![json!({ "done": format!("delivery {id} is due now") })]), "{retried:?}");
    world.settle().await;
    assert_eq!(world.list(), Vec::<String>::new());
    assert_eq!(world.told_dtp().len(), 1);
    assert!(whos(&world).iter().all(|who| who.ends_with(": deliveries retry")), "{:?}", whos(&world));

    let again = on(&world, &format!("deliveries retry {id}")).await;
    assert_eq!(again.exit, 1);
    assert_eq!(
        again.error,
        format!("delivery {id} is settled and its content is erased (hint: UNHCR can send the referral again)\n")
    );
    world.end().await;
}

#[tokio::test]
async fn an_exception_leaves_once_a_person_has_decided() {
    let world = World::new().await;
    exception(&world);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["held consent_exception"]);
    let id = world.unsettled()[0].id;

    let released = on(&world, &format!("deliveries release {id} --ground best_interests --decided-by CP~manager")).await;
    assert_eq!(released.exit, 0, "{released:?}");
    world.settle().await;
    assert_eq!(world.sent_to_dtp().len(), 1);
    assert_eq!(world.list(), Vec::<String>::new());
    let lines = world.lines();
    let released = lines.iter().find(|line| line.event == Event::Released).expect("it is told");
    assert_eq!(released.basis, Some(Basis::BestInterests));
    assert!(released.who.as_ref().is_some_and(|who| who.contains(" (CP manager): deliveries release")), "{:?}", released.who);
    let sent = lines.iter().find(|line| line.event == Event::Delivered).expect("it left");
    assert_eq!(sent.basis, Some(Basis::BestInterests));

    let twice = on(&world, &format!("deliveries release {id} --ground best_interests --decided-by CP~manager")).await;
    assert_eq!(twice.exit, 1);
    assert!(twice.error.contains("only such a one can be released"), "{}", twice.error);
    world.end().await;
}

#[tokio::test]
async fn a_restriction_holds_even_what_a_person_released() {
    let world = World::with(&[("REFERRALD__CONSENT__HOLD_IF_SET", "consent_info_sharing")]).await;
    let case = exception(&world);
    world.walk(Walk::Referrals).await;
    let id = world.unsettled()[0].id;
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "consent_info_sharing": ["family"] }));
    let released = on(&world, &format!("deliveries release {id} --ground vital_interests --decided-by CP~manager")).await;
    assert_eq!(released.exit, 0, "{released:?}");
    world.settle().await;
    assert_eq!(world.list(), ["held restriction_recorded"]);
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    world.end_unsettled().await;
}

#[tokio::test]
async fn what_is_stopped_is_erased_and_unhcr_is_told() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    let id = world.unsettled()[0].id;
    let stopped = on(&world, &format!("deliveries stop {id} --reason sent_otherwise")).await;
    assert_eq!(
        stopped.rows,
        [
            json!({ "done": format!("delivery {id} is stopped and its content erased; UNHCR is told that the CPIMS+ focal point stopped it") })
        ],
        "{stopped:?}"
    );
    world.settle().await;
    assert_eq!(world.told_dtp().len(), 1);
    assert!(world.told_dtp()[0].to_string().contains("Delivery Fail"));
    let parcels: i64 =
        world.database().query_row("SELECT count(*) FROM parcels", [], |row| row.get(0)).expect("the state is read");
    assert_eq!(parcels, 0);
    assert_eq!(world.list(), Vec::<String>::new());
    let twice = on(&world, &format!("deliveries stop {id} --reason error")).await;
    assert_eq!((twice.exit, twice.error), (1, format!("delivery {id} is settled already; there is nothing to stop\n")));
    world.end().await;
}

#[tokio::test]
async fn what_may_stand_in_primero_is_stopped_without_a_word_to_unhcr() {
    let world = World::new().await;
    // The case is made and nobody hears of it: from now on a write of ours may stand.
    let create = world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
    let reads = world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::status(500));
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    assert_eq!((create.met(), reads.met() > 0), (1, true));
    let id = world.unsettled()[0].id;
    let stopped = on(&world, &format!("deliveries stop {id} --reason withdrawn")).await;
    assert_eq!(stopped.exit, 0, "{stopped:?}");
    world.settle().await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());
    assert_eq!(world.list(), ["stopped unconfirmed"]);
    let resolved = on(&world, &format!("deliveries resolve {id} --by focal~point")).await;
    assert_eq!(resolved.rows, [json!({ "done": "1 entry is off the list" })], "{resolved:?}");
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_withdrawal_stays_on_the_list_until_unhcr_was_informed_and_its_notice_is_kept_nowhere() {
    let world = World::new().await;
    let (_, referral, outgoing) = world.child_referred(json!({}));
    world.walk(Walk::Referrals).await;
    world.clock.advance(std::time::Duration::from_secs(3600));
    world.stage.primero.staff(CASE_WORKER).revoke(referral);
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["withdrawn_after_send referral_revoked"]);
    let entry = world.entries()[0].id;

    let notice = on(&world, &format!("notice {entry}")).await;
    assert_eq!((notice.exit, notice.rows.len()), (0, 1), "{notice:?}");
    let row = &notice.rows[0];
    assert_eq!(
        (&row["outgoing"], &row["service"], &row["service_type"], &row["date_of_withdrawal"], &row["sent_for_sure"]),
        (&json!(outgoing), &json!("Alternative Care"), &json!("alternative_care"), &Value::Null, &json!(true))
    );
    assert!(row["case_number"].is_string(), "the number that people use");
    assert!(!format!("{:?}", world.lines()).contains("alternative_care"), "no value stands in the log");

    // A day that is still to come is no day on which UNHCR was informed.
    let days = [("", 2), (" --informed-on 2026-03-03", 2), (" --informed-on 2026-03-02", 0), (" --informed-on 2026-03-02", 1)];
    for (arguments, exit) in days {
        let resolved = on(&world, &format!("deliveries resolve {entry} --by CP~manager{arguments}")).await;
        assert_eq!(resolved.exit, exit, "{resolved:?}");
    }
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_held_entry_is_not_resolved_while_it_is_held() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    let id = world.unsettled()[0].id;
    let resolved = on(&world, &format!("deliveries resolve {id} --by focal~point")).await;
    assert_eq!(resolved.exit, 1);
    assert!(resolved.error.starts_with(&format!("delivery {id} is still held")), "{}", resolved.error);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_poll_ends_with_what_its_errands_came_to() {
    let world = World::new().await;
    world.child_referred(json!({}));
    let polled = on(&world, "poll referrals").await;
    assert_eq!(polled.exit, 0, "{polled:?}");
    assert_eq!((&polled.rows[0]["looks"], &polled.rows[0]["delivered"]), (&json!(1), &json!(1)));
    assert_eq!(world.sent_to_dtp().len(), 1);

    exception(&world);
    let polled = on(&world, "poll referrals").await;
    assert_eq!(polled.exit, 69, "{polled:?}");
    assert_eq!(polled.rows[0]["held"], json!(1));
    assert!(polled.error.ends_with(": 1 held\n"), "{}", polled.error);

    let refused = on(&world, "poll referrals --baseline").await;
    assert_eq!(refused.exit, 2, "{refused:?}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_poll_of_a_primero_that_is_away_ends_with_69() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::on(Endpoint::ChangedCases), Fault::status(503));
    let polled = on(&world, "poll decisions").await;
    let said = "primero is unwell: gateway_error (hint: `referrald check` tries it and says what to do)\n";
    assert_eq!((polled.exit, polled.error.as_str()), (69, said));
    world.end().await;
}

#[tokio::test]
async fn a_baseline_takes_decisions_as_known_and_sends_nothing() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(
        case,
        json!({
            "service_referral": "external_referral", "progres_interventionnumber": "989-TEST-9", "unhcr_referral_status": "accepted",
        }),
    );
    let learnt = on(&world, "poll decisions --baseline").await;
    assert_eq!((learnt.exit, &learnt.rows[0]["known"]), (0, &json!(1)), "{learnt:?}");
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new());

    world.clock.advance(std::time::Duration::from_secs(3600));
    staff.edit_service(case, service, json!({ "unhcr_referral_status": "rejected" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn decisions_from_before_the_first_day_are_known_after_a_baseline_too() {
    let mut world = World::new().await;
    let case = world.register(json!({}));
    let decided = json!({
        "service_referral": "external_referral", "progres_interventionnumber": "989-TEST-9", "unhcr_referral_status": "accepted",
    });
    world.stage.primero.staff(CASE_WORKER).add_service(case, decided);
    // A country that takes over from another way: nothing made before this day is this program's.
    world.pass(std::time::Duration::from_secs(86_400)).await;
    let first_day = world.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    world.restart_with(&[("REFERRALD__SCHEDULE__START_FROM", &first_day)]).await;
    let learnt = on(&world, "poll decisions --baseline").await;
    assert_eq!((learnt.exit, &learnt.rows[0]["known"]), (0, &json!(1)), "{learnt:?}");
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "name_nickname": "Invented" }));
    world.walk(Walk::Decisions).await;
    assert_eq!(world.told_dtp(), Vec::<Value>::new(), "UNHCR was told in the other way");
    world.end().await;
}

#[tokio::test]
async fn a_daemon_does_nothing_for_the_configuration_of_another_programme() {
    let world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    for command in ["flow pause to_primero --by CP~manager", "state erase --parcels --confirm kakuma", "deliveries list"] {
        let refused = with(&world, command, &[("REFERRALD__PROGRAMME", "kakuma")]).await;
        assert_eq!((refused.exit, refused.rows.len()), (78, 0), "{refused:?}");
        assert_eq!(
            refused.error.replace(&world.stage.directory().display().to_string(), "DIR"),
            "DIR/state: here runs the programme `sandbox`, and this configuration is of another, so nothing was done (hint: each \
             programme has a `state.directory` of its own; its configuration names the one that its service uses)\n"
        );
    }
    assert_eq!(world.unsettled().len(), 1);
    assert_eq!(on(&world, "flow list").await.rows[0]["state"], json!("on"));
    world.end_unsettled().await;
}

#[tokio::test]
async fn without_a_daemon_the_same_commands_open_the_state_themselves() {
    let mut world = World::new().await;
    two_cases(&world);
    world.refer(json!([intervention("989-TEST-1", json!({}))])).await;
    let id = world.unsettled()[0].id;
    world.stop().await;

    let list = on(&world, "deliveries list").await;
    assert_eq!((list.exit, list.rows.len()), (0, 1), "{list:?}");
    assert_eq!(list.rows[0]["delivery"], json!(id.0));
    let followed = on(&world, "activity --follow").await;
    assert_eq!(followed.exit, 1);
    assert_eq!(followed.error, "no daemon runs, so there is nothing to follow (hint: leave out `--follow`)\n");
    // After a start nobody knows whether a write has happened, so UNHCR is told nothing.
    let stopped = on(&world, &format!("deliveries stop {id} --reason error")).await;
    assert_eq!(stopped.exit, 0, "{stopped:?}");
    let list = on(&world, "deliveries list").await;
    assert_eq!(list.rows[0]["kind"], json!("stopped"), "{list:?}");

    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0003" }));
    let polled = on(&world, "poll referrals").await;
    assert_eq!((polled.exit, &polled.rows[0]["delivered"]), (0, &json!(1)), "{polled:?}");
    assert_eq!(world.sent_to_dtp().len(), 1);

    world.start().await;
    assert_eq!(world.list(), ["stopped unconfirmed"]);
    world.end().await;
}

#[tokio::test]
async fn a_state_that_is_held_by_somebody_who_does_not_answer_is_said() {
    let world = World::new().await;
    std::fs::remove_file(world.state_directory().join("control.sock")).expect("the socket is there");
    let list = on(&world, "deliveries list").await;
    assert_eq!(list.exit, 1);
    let said = list.error.replace(&world.stage.directory().display().to_string(), "DIR");
    assert_eq!(
        said,
        "DIR/state: another process is using this state, but nobody answers at DIR/state/control.sock (hint: a daemon that is just \
         starting or stopping answers soon; try again)\n"
    );
    world.end().await;
}
