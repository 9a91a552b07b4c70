//! A world in which something of everything has happened, for pages to show.

use std::time::Duration;

use referrald::{
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
};
use serde_json::{Value, json};

use crate::world::{World, intervention};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An intervention for the n-th person.
pub fn nth(n: u32, change: Value) -> Value {
    let mut row = intervention(&format!("989-26-TEST-{n:04}"), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }));
    for (key, value) in change.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

/// Some days of work: delivered, refused, held, withheld, withdrawn, decided on both sides; in the end DTP is unwell and something waits.
pub async fn filled() -> World {
    let world = World::new().await;
    for day in 0..4 {
        let rows: Vec<Value> = (1..=3 + day).map(|n| nth(day * 10 + n, json!({}))).collect();
        world.refer(json!(rows)).await;
        world.pass(DAY).await;
    }
    // Refused: no such kind of service. Held: two cases with the number.
    world.refer(json!([nth(50, json!({ "interventiontype.progres_description": "Something Else" }))])).await;
    for _ in 0..2 {
        world.register(json!({ "unhcr_individual_no": "989-TEST0051" }));
    }
    world.refer(json!([nth(51, json!({})), json!("not an intervention at all")])).await;
    decide_in_primero(&world).await;

    let (case, referral, outgoing) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0060" }));
    let (withheld, ..) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0061" }));
    world.stage.primero.staff(CASE_WORKER).edit(withheld, json!({ "consent_for_services": false }));
    let (_, revoked, _) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0062" }));
    exception(&world, case);
    world.walk(Walk::Referrals).await;
    world.decide(json!([{ "progres_orgreferralid": outgoing, "progres_reviewdecision": "125080000" }])).await;
    world.stage.primero.staff(CASE_WORKER).revoke(revoked);
    world.walk(Walk::Referrals).await;
    assert!(world.stage.primero.referral(referral).is_some());

    world.pass(HOUR).await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision), Fault::status(503));
    world.refer((70..74).map(|n| nth(n, json!({}))).collect()).await;
    world
}

/// One is accepted by a case worker.
async fn decide_in_primero(world: &World) {
    let case = world.case_of("989-TEST0001");
    let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
    let change = json!({ "unhcr_referral_status": "accepted" });
    world.stage.primero.staff(CASE_WORKER).edit_service(case, service, change);
    world.walk(Walk::Decisions).await;
}

/// A case worker refers by exception, for a second service of a case.
fn exception(world: &World, case: uuid::Uuid) {
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(
        case,
        json!({ "service_type": "alternative_care", "service_implementing_agency": "UNHCR", "service_response_day_time": "2026-03-01T09:00:00.000Z" }),
    );
    let referral = NewReferral { consent_overridden: true, ..NewReferral::to(UNHCR) };
    staff.refer(case, referral.for_service("alternative_care", &service.to_string())).unwrap();
}
