//! Flow 1: an intervention of UNHCR becomes a case and a service in Primero, and UNHCR hears of it.

mod confirm;
mod existing_case;
mod feedback;
mod in_time;
mod matching;
mod new_case;
mod numbers_seen_before;
mod refused_by_primero;
mod unusable_values;

use serde_json::{Value, json};

use crate::world::{PERSON, World, intervention};

/// The intervention of most of these tests.
const NUMBER: &str = "989-26-TEST-0001";

/// What every held intervention and every closed case is told as: UNHCR need not know which agency knows the child.
const NEUTRAL: &str = "Could not be matched safely in CPIMS+. Please contact the CPIMS+ focal point.";

/// The feedback that an intervention could not be delivered.
fn failed(number: &str, why: &str) -> Value {
    json!({
        "status": "Delivery Fail",
        "closure_reason": why,
        "request_type": "Feedback",
        "progres_interventionnumber": number,
    })
}

/// The feedback that an intervention lies in this case.
fn delivered(world: &World, number: &str, case: uuid::Uuid) -> Value {
    json!({
        "status": "Pending Acknowledgement",
        "primero_user": "intake",
        "case_id": world.stage.primero.case(case).expect("there is such a case")["case_id"],
        "progres_interventionnumber": number,
    })
}

#[tokio::test]
async fn a_new_child_gets_a_case_and_a_service_and_dtp_hears_of_it() {
    let world = World::new().await;
    world.refer(json!([intervention(NUMBER, json!({}))])).await;

    let case = world.case_of(PERSON);
    let services = world.stage.primero.services(case);
    assert_eq!(services.len(), 1);
    assert_eq!(services[0]["progres_interventionnumber"], NUMBER);
    assert_eq!(world.told_dtp(), [delivered(&world, NUMBER, case)]);
    assert_eq!(world.events(), ["received", "delivered", "feedback_sent"]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
