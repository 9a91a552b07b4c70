//! Flow 1: an intervention of UNHCR becomes a case and a service in Primero, and UNHCR hears of it.

use serde_json::json;

use crate::world::{PERSON, World, intervention};

#[tokio::test]
async fn a_new_child_gets_a_case_and_a_service_and_dtp_hears_of_it() {
    let world = World::new().await;
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;

    let case = world.case_of(PERSON);
    let services = world.stage.primero.services(case);
    assert_eq!(services.len(), 1);
    assert_eq!(services[0]["progres_interventionnumber"], "989-26-TEST-0001");
    let document = world.stage.primero.case(case).unwrap();
    assert_eq!(
        world.told_dtp(),
        [json!({
            "status": "Pending Acknowledgement",
            "primero_user": "intake",
            "case_id": document["case_id"],
            "progres_interventionnumber": "989-26-TEST-0001",
        })]
    );
    assert_eq!(world.events(), ["received", "delivered", "feedback_sent"]);
    assert_eq!(world.list(), Vec::<String>::new());
    world.end().await;
}
