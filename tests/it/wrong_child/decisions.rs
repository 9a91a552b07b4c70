//! UNHCR's decisions: none is recorded on a referral that is not exactly the one whose id came back.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use referrald::{
    referral::Walk,
    sandbox::{
        Asked, Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::try_all;
use crate::world::World;

/// Two cases whose ids are one the beginning of the other, and two services whose ids end alike.
const CASE_IDS: [&str; 3] =
    ["6f1f0000-0000-4000-8000-00000000000a", "6F1F0000-0000-4000-8000-00000000000B", "6f1f0000-0000-4000-8000-00000000000a1"];
const SERVICES: [&str; 3] =
    ["00000001-0000-4000-8000-0123456789ab", "00000002-0000-4000-8000-0123456789ab", "00000003-0000-4000-8000-ba9876543210"];

#[derive(Clone, Debug)]
struct Scene {
    referred: Vec<Referred>,
    /// Whether they were sent before UNHCR decides.
    sent: bool,
    decision: Decision,
    /// The search is answered as if there were no filter, or as if nobody were there.
    lie: Option<bool>,
}

/// A case with one service that was referred to UNHCR.
#[derive(Clone, Copy, Debug)]
struct Referred {
    case_id: usize,
    service: usize,
    in_module: bool,
    enabled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Decision {
    case_id: usize,
    service: usize,
    upper_case: bool,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let mostly = || prop_oneof![5 => Just(true), 1 => Just(false)];
    let which = || prop_oneof![3 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let referred = (which(), which(), mostly(), mostly()).prop_map(|(case_id, service, in_module, enabled)| Referred {
        case_id,
        service,
        in_module,
        enabled,
    });
    let decision =
        (which(), which(), any::<bool>()).prop_map(|(case_id, service, upper_case)| Decision { case_id, service, upper_case });
    let lie = prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (vec(referred, 1..4), any::<bool>(), decision, lie).prop_map(|(referred, sent, decision, lie)| Scene {
        referred,
        sent,
        decision,
        lie,
    })
}

#[test]
fn no_decision_is_recorded_on_a_referral_that_is_not_exactly_the_one_decided() {
    let recorded = Cell::new(0);
    try_all(&scenes(), |scene| async {
        recorded.set(recorded.get() + play(scene).await?);
        Ok(())
    });
    println!("recorded on the wrong referral 0; recorded {}", recorded.get());
    assert!(recorded.get() > 0, "a bridge that never writes would pass everything above");
}

async fn play(scene: Scene) -> Result<usize, String> {
    let world = World::new().await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    let mut known: Vec<(Uuid, Referred, Uuid)> = Vec::new();
    for referred in &scene.referred {
        let place = known.iter().find(|(_, other, _)| other.case_id == referred.case_id).map(|(case, ..)| *case);
        let case = place.unwrap_or_else(|| {
            let person = format!("989-TEST000{}", referred.case_id);
            world.register(json!({ "case_id": CASE_IDS[referred.case_id], "unhcr_individual_no": person }))
        });
        if known.iter().any(|(of, other, _)| *of == case && other.service == referred.service) {
            continue;
        }
        let item = json!({
            "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
            "unique_id": SERVICES[referred.service], "service_referral_notes": "An invented note.",
        });
        staff.add_service(case, item);
        let referral = NewReferral::to(UNHCR).for_service("alternative_care", SERVICES[referred.service]);
        known.push((case, *referred, staff.refer(case, referral).expect("it may be referred")));
    }
    if scene.sent {
        world.walk(Walk::Referrals).await;
    }
    for (case, referred, _) in &known {
        if !referred.in_module {
            staff.edit(*case, json!({ "module_id": "primeromodule-gbv" }));
        }
        if !referred.enabled {
            staff.disable(*case);
        }
    }
    let writes: Arc<Mutex<Vec<(String, Option<Value>)>>> = Arc::default();
    let noted = Arc::clone(&writes);
    let looks = move |asked: &Asked| {
        if asked.method != reqwest::Method::GET {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push((asked.path.clone(), asked.json()));
        }
        false
    };
    world.stage.primero.faults().plant(Rule::any().when(looks), Fault::cut());
    if let Some(everybody) = scene.lie {
        let rows: Vec<Value> = known.iter().filter(|_| everybody).take(5).map(|(case, ..)| row(&world, *case)).collect();
        let body = json!({ "data": rows, "metadata": { "total": rows.len(), "per": 5, "page": 1 } }).to_string();
        let rule = Rule::on(Endpoint::CaseSearch).when(|asked| asked.parameter("case_id").is_some());
        world.stage.primero.faults().plant(rule, Fault::answer(200, "application/json; charset=utf-8", body));
    }
    let Decision { case_id, service, upper_case } = scene.decision;
    let suffix = &SERVICES[service][SERVICES[service].len() - 12..];
    let id = format!("{}#{suffix}", CASE_IDS[case_id].to_lowercase());
    let id = if upper_case { id.to_uppercase() } else { id };
    world.decide(json!([{ "progres_orgreferralid": id, "progres_reviewdecision": "125080000" }])).await;
    world.pass(Duration::from_secs(31 * 60)).await;

    let writes = writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Exactly one referral may be meant: its case has the id, is in reach, and one service of it ends so.
    let meant: Vec<_> = known
        .iter()
        .filter(|(case, referred, _)| {
            let document = world.stage.primero.case(*case).unwrap_or_default();
            referred.case_id == case_id
                && SERVICES[referred.service].ends_with(suffix)
                && document["module_id"] == "primeromodule-cp"
                && document.get("record_state") != Some(&json!(false))
        })
        .collect();
    let right = match meant.as_slice() {
        [(case, _, referral)] => Some(format!("/api/v2/cases/{case}/referrals/{referral}")),
        _ => None,
    };
    let count = writes.len();
    let wrong = writes.iter().filter(|(path, _)| Some(path) != right.as_ref()).count();
    world.stage.primero.faults().clear();
    world.end_whatever().await;
    match (wrong, count) {
        (0, 0 | 1) => Ok(count),
        (0, count) => Err(format!("{count} writes for one decision")),
        (wrong, _) => Err(format!("{wrong} writes reached a referral that was not meant")),
    }
}

fn row(world: &World, case: Uuid) -> Value {
    let document = world.stage.primero.case(case).unwrap_or_default();
    let mut row = json!({
        "id": case.to_string(), "enabled": document.get("record_state") != Some(&json!(false)),
        "last_updated_at": "2026-03-02T08:00:00.000Z",
    });
    row.as_object_mut().expect("an object").extend(document);
    row
}
