//! No referral leaves without consent: everything that can be withdrawn, at every moment at which it can be.
//!
//! What may leave is one pure function, whose every combination is tried beside it (`consent.rs`).
//! Here the same is shown from outside: a change in Primero or in the configuration, made before, during and after the sending;
//! what DTP holds in the end; what a person is told. A judge sits at DTP and holds every message against what Primero had
//! shown last, so that no table of this file has to be believed.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use referrald::{
    referral::{Errand, Walk},
    sandbox::{
        Asked, Endpoint, Fault, Gate, Rule,
        primero::{CASE_WORKER, Document, GENDER_BASED_VIOLENCE, SimulatedPrimero, Standing},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    flow2::{
        DAY, HOUR, MINUTE, Referred, child_referred, child_whose_referral_waits, refer_service, referred_by_exception, sendings,
        sent_ids,
    },
    world::{World, intervention},
};

/// What the programme asks for besides its defaults, so that everything can be withdrawn.
const SETTINGS: [(&str, &str); 2] = [
    ("REFERRALD__CONSENT__HOLD_IF_SET", "disclosure_deny_details"),
    ("REFERRALD__CONSENT__VALID_UNTIL_FIELD", "registration_date"),
];

/// What may happen to a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    NoConsentForServices,
    NoDisclosure,
    ConsentBlank,
    ConsentRunOut,
    Restricted,
    Revoked,
    Disabled,
    OtherModule,
    OtherOwner,
    OtherServiceType,
    OtherAgency,
    /// The lists of the programme change, not the case.
    ListsChanged,
}

const CHANGES: [Change; 12] = [
    Change::NoConsentForServices,
    Change::NoDisclosure,
    Change::ConsentBlank,
    Change::ConsentRunOut,
    Change::Restricted,
    Change::Revoked,
    Change::Disabled,
    Change::OtherModule,
    Change::OtherOwner,
    Change::OtherServiceType,
    Change::OtherAgency,
    Change::ListsChanged,
];

/// When it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before anybody looked.
    BeforeTheWalk,
    /// The walk has seen that the case has changed; the look at it has not begun.
    BetweenWalkAndLook,
    /// DTP failed with it and has nothing; it waits.
    WhileItWaits,
    /// DTP has taken it, and the answer was lost; it waits.
    AfterALostAnswer,
    /// The post is on its way.
    DuringThePost,
    /// DTP has taken it and said so.
    After,
}

const MOMENTS: [Moment; 6] = [
    Moment::BeforeTheWalk,
    Moment::BetweenWalkAndLook,
    Moment::WhileItWaits,
    Moment::AfterALostAnswer,
    Moment::DuringThePost,
    Moment::After,
];

/// How often DTP has it in the end, and what a person is told.
fn expected(moment: Moment, change: Change) -> (usize, Vec<&'static str>) {
    let has_it = usize::from(matches!(moment, Moment::AfterALostAnswer | Moment::DuringThePost | Moment::After));
    // What DTP has, or may have, is withdrawn; what cannot be withdrawn by the child's side is not told.
    let withdrawn = match change {
        Change::NoConsentForServices | Change::NoDisclosure | Change::ConsentBlank | Change::ConsentRunOut => {
            Some("withdrawn_after_send consent_withdrawn")
        }
        Change::Revoked => Some("withdrawn_after_send referral_revoked"),
        Change::Disabled => Some("withdrawn_after_send case_disabled"),
        Change::OtherModule => Some("withdrawn_after_send out_of_sight"),
        Change::Restricted | Change::OtherOwner | Change::OtherServiceType | Change::OtherAgency | Change::ListsChanged => None,
    };
    let kept_here = match change {
        Change::NoConsentForServices | Change::NoDisclosure | Change::ConsentBlank | Change::ConsentRunOut => {
            Some("withheld consent_missing")
        }
        Change::Restricted => Some("held restriction_recorded"),
        Change::Disabled => Some("withheld case_disabled"),
        Change::OtherOwner => Some("withheld agency_not_signed"),
        Change::OtherServiceType | Change::ListsChanged => Some("withheld service_type_not_listed"),
        Change::OtherAgency => Some("withheld implementing_agency_not_listed"),
        Change::Revoked | Change::OtherModule => None,
    };
    let told: Vec<_> = match moment {
        Moment::BeforeTheWalk | Moment::BetweenWalkAndLook => kept_here.into_iter().collect(),
        Moment::DuringThePost | Moment::After => withdrawn.into_iter().collect(),
        // It may have left, for all that we know: what keeps it here is told, and what has to be told to UNHCR.
        Moment::WhileItWaits | Moment::AfterALostAnswer => {
            let kept_here = match change {
                Change::Revoked => Some("withheld not_in_progress"),
                Change::OtherModule => Some("withheld out_of_sight"),
                _ => kept_here,
            };
            kept_here.into_iter().chain(withdrawn).collect()
        }
    };
    // What is held for longer than `delivery.alarm_after` is late, too.
    let is_held = told.first() == Some(&"held restriction_recorded");
    (has_it, told.into_iter().chain(is_held.then_some("late restriction_recorded")).collect())
}

async fn make(world: &mut World, child: Referred, change: Change) {
    let staff = world.stage.primero.staff(CASE_WORKER);
    match change {
        Change::NoConsentForServices => staff.edit(child.case, json!({ "consent_for_services": false })),
        Change::NoDisclosure => staff.edit(child.case, json!({ "disclosure_other_orgs": false })),
        Change::ConsentBlank => staff.edit(child.case, json!({ "disclosure_other_orgs": null })),
        Change::ConsentRunOut => staff.edit(child.case, json!({ "registration_date": "2026-03-01" })),
        Change::Restricted => staff.edit(child.case, json!({ "disclosure_deny_details": "An invented wish." })),
        Change::Revoked => staff.revoke(child.referral),
        Change::Disabled => staff.disable(child.case),
        Change::OtherModule => staff.edit(child.case, json!({ "module_id": GENDER_BASED_VIOLENCE })),
        Change::OtherOwner => staff.edit(child.case, json!({ "owned_by_agency_id": "ANOTHER" })),
        Change::OtherServiceType => staff.edit_service(child.case, child.service, json!({ "service_type": "shelter" })),
        Change::OtherAgency => {
            staff.edit_service(child.case, child.service, json!({ "service_implementing_agency": "ANOTHER" }));
        }
        Change::ListsChanged => {
            let [first, second] = SETTINGS;
            world.restart_with(&[first, second, ("REFERRALD__REFERRALS__SERVICE_TYPES", "food")]).await;
        }
    }
}

/// Whether everything that the rules of these tests ask for is there.
fn may_leave(case: &Document, service: Uuid, standing: Option<Standing>) -> bool {
    let is = |field: &str, value: Value| case.get(field) == Some(&value);
    let is_set = |field: &str| case.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let services = case.get("services_section").and_then(Value::as_array).into_iter().flatten();
    let is_listed = |item: &Value| {
        item["unique_id"] == service.to_string()
            && item["service_type"] == "alternative_care"
            && item["service_implementing_agency"] == "UNHCR"
    };
    is("consent_for_services", json!(true))
        && is("disclosure_other_orgs", json!(true))
        && !is_set("disclosure_deny_details")
        && !is("registration_date", json!("2026-03-01"))
        && is("module_id", json!("primeromodule-cp"))
        && is("owned_by_agency_id", json!("UNICEF"))
        && !is("record_state", json!(false))
        && services.into_iter().any(is_listed)
        && standing == Some(Standing::InProgress)
}

/// Holds every message to DTP against what Primero had shown last of case and referral. Gives what was wrong.
fn judge(world: &World, child: Referred) -> Arc<Mutex<Vec<&'static str>>> {
    let wrong: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let shown: Arc<Mutex<(Option<Document>, Option<Standing>)>> = Arc::default();
    let (primero, noted) = (world.stage.primero.clone(), Arc::clone(&shown));
    let reads = move |asked: &Asked| {
        let mut shown = noted.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.path.contains(&child.case.to_string()) {
            match asked.endpoint {
                Endpoint::GetCase => shown.0 = primero.case(child.case),
                Endpoint::ListReferrals => shown.1 = standing(&primero, child),
                _ => {}
            }
        }
        false
    };
    world.stage.primero.faults().plant(Rule::any().when(reads), Fault::cut());
    let found = Arc::clone(&wrong);
    let posts = move |_: &Asked| {
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = shown.0.as_ref().is_some_and(|case| may_leave(case, child.service, shown.1));
        if !allowed {
            found.lock().unwrap_or_else(PoisonError::into_inner).push("a referral left that was shown as one that may not");
        }
        false
    };
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).when(posts), Fault::cut());
    wrong
}

fn standing(primero: &SimulatedPrimero, child: Referred) -> Option<Standing> {
    primero.referrals(child.case).into_iter().find(|(id, _)| *id == child.referral).map(|(_, standing)| standing)
}

/// Brings a referral to the moment, changes what is changed, and lets everything come to its end.
async fn play(moment: Moment, change: Change) -> (World, Referred, Vec<&'static str>) {
    let mut world = World::with(&SETTINGS).await;
    let child = child_referred(&world, json!({ "registration_date": "2026-12-31" }));
    let wrong = judge(&world, child);
    let on_post = |fault| world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), fault);
    let gate = Gate::closed();
    match moment {
        Moment::BeforeTheWalk => make(&mut world, child, change).await,
        Moment::BetweenWalkAndLook => {
            world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).once(), Fault::status(500));
            world.walk(Walk::Referrals).await;
            make(&mut world, child, change).await;
        }
        Moment::WhileItWaits => {
            on_post(Fault::status(500));
            world.walk(Walk::Referrals).await;
            make(&mut world, child, change).await;
        }
        Moment::AfterALostAnswer => {
            on_post(Fault::cut().after_effect());
            world.walk(Walk::Referrals).await;
            make(&mut world, child, change).await;
        }
        Moment::DuringThePost => {
            on_post(Fault::hold(&gate));
            world.try_walk(Walk::Referrals).await.unwrap();
            gate.arrived(1).await;
            if change == Change::ListsChanged {
                // A stop waits for what is under way.
                gate.open();
            }
            make(&mut world, child, change).await;
            gate.open();
            world.settle().await;
        }
        Moment::After => {
            world.walk(Walk::Referrals).await;
            make(&mut world, child, change).await;
        }
    }
    world.pass(MINUTE).await;
    world.walk(Walk::Referrals).await;
    world.pass(HOUR).await;
    world.pass(DAY).await;
    let wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (world, child, wrong)
}

async fn end(world: World) {
    world.stage.primero.faults().clear();
    world.stage.dtp.faults().clear();
    world.end_whatever().await;
}

#[tokio::test]
async fn whatever_is_withdrawn_and_whenever_nothing_leaves_that_was_shown_as_one_that_may_not() {
    let mut differing = Vec::new();
    for moment in MOMENTS {
        for change in CHANGES {
            let (world, child, wrong) = play(moment, change).await;
            let (times, told) = expected(moment, change);
            let sent = sent_ids(&world);
            let list = world.list();
            if !wrong.is_empty() || sent != vec![child.outgoing(&world); times] || list != told {
                differing.push(format!(
                    "{moment:?} {change:?}: {wrong:?}; sent {}, expected {times}; {list:?}, expected {told:?}",
                    sent.len()
                ));
            }
            end(world).await;
        }
    }
    assert_eq!(differing, Vec::<String>::new(), "{:#?}", differing);
    println!("{} changes at {} moments: leaked 0", CHANGES.len(), MOMENTS.len());
}

/// Two referrals of one case may leave, and the post of the first takes long. What was read before it lets nobody else go.
#[tokio::test]
async fn a_second_referral_of_a_case_is_not_let_go_by_what_was_read_before_the_first() {
    let world = World::new().await;
    let first = child_referred(&world, json!({}));
    refer_service(&world, first.case, json!({ "service_type": "food" }));
    let (post, read) = (Gate::closed(), Gate::closed());
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::hold(&post));
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase).skip(1).once(), Fault::hold(&read));
    world.try_walk(Walk::Referrals).await.unwrap();
    post.arrived(1).await;

    world.clock.advance(Duration::from_millis(1));
    world.stage.primero.staff(CASE_WORKER).edit(first.case, json!({ "disclosure_other_orgs": false }));
    read.open();
    world.try_walk(Walk::Referrals).await.unwrap();
    while world.unsettled().iter().any(|delivery| delivery.errand == Errand::Look) {
        tokio::task::yield_now().await;
    }
    post.open();
    world.settle().await;
    world.pass(HOUR).await;
    assert_eq!(sent_ids(&world).len(), 1);
    assert!(world.list().contains(&"withdrawn_after_send consent_withdrawn".to_owned()), "{:?}", world.list());
    assert!(world.list().contains(&"withheld consent_missing".to_owned()), "{:?}", world.list());
    end(world).await;
}

/// What was withdrawn may come back. It leaves then, once, unless it has left.
#[tokio::test]
async fn consent_that_returns_lets_a_referral_leave_once() {
    for moment in MOMENTS {
        let (world, child, wrong) = play(moment, Change::NoDisclosure).await;
        let before = sent_ids(&world).len();
        world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "disclosure_other_orgs": true }));
        for _ in 0..2 {
            world.walk(Walk::Referrals).await;
            world.pass(HOUR).await;
        }
        assert_eq!(wrong, Vec::<&str>::new(), "{moment:?}");
        // Where DTP's answer was lost nobody knows that DTP has it: then it leaves once more, under the same id.
        let once_more = usize::from(before == 0 || moment == Moment::AfterALostAnswer);
        assert_eq!(sent_ids(&world), vec![child.outgoing(&world); before + once_more], "{moment:?}");
        let not_sent: Vec<_> = world.list().into_iter().filter(|entry| entry.starts_with("withheld")).collect();
        assert_eq!(not_sent, Vec::<String>::new(), "{moment:?}");
        end(world).await;
    }
}

/// What lets an exception go, and what nothing lets go.
#[tokio::test]
async fn an_exception_leaves_only_where_configuration_and_a_person_let_it_and_no_restriction_is_recorded() {
    use referrald::activity::Basis;
    for policy in ["hold", "send", "never"] {
        for released in [None, Some(Basis::VitalInterests), Some(Basis::BestInterests)] {
            for restricted in [false, true] {
                let [first, second] = SETTINGS;
                let world = World::with(&[first, second, ("REFERRALD__CONSENT__EXCEPTION", policy)]).await;
                let child = referred_by_exception(&world);
                if restricted {
                    world
                        .stage
                        .primero
                        .staff(CASE_WORKER)
                        .edit(child.case, json!({ "disclosure_deny_details": "An invented wish." }));
                }
                world.walk(Walk::Referrals).await;
                if let (Some(mut waiting), Some(basis)) = (sendings(&world).pop(), released) {
                    (waiting.basis, waiting.due) = (Some(basis), world.clock.now());
                    world.daemon().programme().spool.write(move |tx| tx.store_references(&waiting)).await.unwrap();
                }
                world.pass(HOUR).await;
                let leaves = !restricted && (policy == "send" || (policy == "hold" && released.is_some()));
                let what = format!("{policy} {released:?} {restricted}");
                assert_eq!(sent_ids(&world).len(), usize::from(leaves), "{what}");
                let told = match (leaves, policy, restricted) {
                    (true, ..) => vec![],
                    (false, "never", _) => vec!["withheld consent_missing"],
                    (false, _, true) => vec!["held restriction_recorded"],
                    (false, ..) => vec!["held consent_exception"],
                };
                assert_eq!(world.list(), told, "{what}");
                end(world).await;
            }
        }
    }
}

/// A case that was never of a module of ours, or is not any more and has not left, stands nowhere.
#[tokio::test]
async fn a_case_of_the_gbv_module_is_named_nowhere() {
    let mut world = World::with(&SETTINGS).await;
    let case_id = "5a5a0000-0000-4000-8000-00000000000b";
    let case = world.register(json!({ "case_id": case_id }));
    let accepted = json!({ "progres_interventionnumber": "989-26-TEST-0009", "unhcr_referral_status": "accepted" });
    let child = refer_service(&world, case, accepted);
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "module_id": GENDER_BASED_VIOLENCE }));
    let named = |what: &dyn Debug| {
        let said = format!("{what:?}");
        [child.case, child.service, child.referral].iter().any(|id| said.contains(&id.to_string()))
            || said.contains(case_id)
            || said.contains("989-26-TEST-0009")
    };
    for walk in [Walk::Referrals, Walk::Decisions] {
        world.walk(walk).await;
    }
    // UNHCR names it: a decision, and an intervention by its case id.
    world.decide(json!([{ "progres_orgreferralid": child.outgoing(&world), "progres_reviewdecision": "125080000" }])).await;
    let saves = world.stage.primero.saves(case);
    world.refer(json!([intervention("989-26-TEST-0001", json!({ "progres_primeroid": case_id }))])).await;
    world.pass(HOUR).await;
    assert!(!named(&world.sent_to_dtp()) && !named(&world.told_dtp()));
    assert_eq!(world.stage.primero.saves(case), saves, "nothing is written to it");
    // What UNHCR itself sent is held under the id that UNHCR gave; of the case itself nothing stands anywhere.
    assert_eq!(world.list(), ["held no_such_referral", "held case_out_of_reach"]);
    let ids = [child.case, child.service, child.referral].map(|id| id.to_string());
    let said = format!("{:?} {:?}", world.lines(), world.entries());
    for page in ["/metrics", "/readyz"] {
        let (_, text) = world.page(page).await;
        assert!(!named(&text), "{page}");
    }
    world.stop().await;
    let mut files = 0;
    for entry in std::fs::read_dir(world.state_directory()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        files += usize::from(!bytes.is_empty());
        for id in &ids {
            assert!(!said.contains(id), "a case of another module is named");
            assert!(
                !bytes.windows(id.len()).any(|window| window == id.as_bytes()),
                "a case of another module stands in the state"
            );
        }
    }
    assert!(files > 0);
    world.start().await;
    end(world).await;
}

/// The lists may change while an errand waits, in any of their entries; they are read at the moment of sending.
#[tokio::test]
async fn whatever_the_programme_takes_back_while_an_errand_waits_keeps_it_here_until_it_is_given_back() {
    for (setting, value) in [
        ("REFERRALD__REFERRALS__IMPLEMENTING_AGENCIES", "ANOTHER"),
        ("REFERRALD__REFERRALS__RECIPIENTS", "somebody"),
        ("REFERRALD__REFERRALS__OWNER_AGENCIES", "ANOTHER"),
        ("REFERRALD__REFERRALS__SERVICE_TYPES", "food"),
        ("REFERRALD__CONSENT__REQUIRE", "unhcr_export_opt_in"),
        ("REFERRALD__AGREEMENT__VALID_UNTIL", "2026-03-01"),
    ] {
        let mut world = World::new().await;
        let child = child_whose_referral_waits(&world).await;
        world.restart_with(&[(setting, value)]).await;
        world.pass(HOUR).await;
        assert_eq!(sent_ids(&world), Vec::<String>::new(), "{setting}");
        world.restart_with(&[]).await;
        world.stage.primero.staff(CASE_WORKER).edit(child.case, json!({ "name_nickname": "Later" }));
        world.walk(Walk::Referrals).await;
        world.pass(HOUR).await;
        assert_eq!(sent_ids(&world), [child.outgoing(&world)], "{setting}");
        end(world).await;
    }
}
