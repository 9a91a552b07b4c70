//! The health check of a container: 0 while posts can be stored, 1 with the reason otherwise.

use std::net::TcpListener;

use serde_json::json;

use super::with;
use crate::world::{World, intervention};

async fn asked_at(world: &World, address: &str) -> (i32, String) {
    let answered = with(world, "healthy", &[("REFERRALD__ADMIN__LISTEN", address)]).await;
    assert_eq!(answered.rows, Vec::<serde_json::Value>::new());
    (answered.exit, answered.error)
}

#[tokio::test]
async fn a_daemon_that_can_store_is_healthy_although_both_systems_are_down() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.stage.dtp.answer_with(403);
    let admin = world.daemon().admin;
    assert_eq!(asked_at(&world, &admin.to_string()).await, (0, String::new()));
    // It is asked on the loopback where it listens on all addresses.
    assert_eq!(asked_at(&world, &format!("0.0.0.0:{}", admin.port())).await, (0, String::new()));
    world.end().await;
}

#[tokio::test]
async fn a_daemon_without_room_is_not_healthy_and_says_why() {
    let world = World::with(&[("REFERRALD__STATE__MAX_SIZE", "1 MiB")]).await;
    world.stage.primero.go_down().await;
    let note = "<p>Invented. </p>".repeat(2000);
    for n in 1..=60 {
        let row = intervention(&format!("989-26-TEST-{n:07}"), json!({ "progres_interventiondescription": note }));
        world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] })).await;
    }
    let (exit, error) = asked_at(&world, &world.daemon().admin.to_string()).await;
    assert_eq!(exit, 1);
    assert!(error.contains("not ready: the state has reached state.max_size"), "{error}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn nobody_and_somebody_else_are_not_healthy() {
    let world = World::new().await;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").to_string();
    let (exit, error) = asked_at(&world, &free).await;
    assert_eq!((exit, error.contains("nobody answers")), (1, true), "{error}");
    // The inbox is another page.
    let (exit, error) = asked_at(&world, &world.daemon().inbox.to_string()).await;
    assert_eq!((exit, error.contains("is not referrald")), (1, true), "{error}");
    world.end().await;
}
