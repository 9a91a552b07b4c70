//! One screen: what runs, what waits, and what needs a person.

use std::time::Duration;

use chrono::TimeDelta;
use referrald::sandbox::{Fault, Rule};
use serde_json::{Value, json};

use super::{Answered, on, with};
use crate::world::{World, intervention};

const HOUR: Duration = Duration::from_secs(3600);

/// What needs a person.
fn needs(answered: &Answered) -> Vec<String> {
    let needs = answered.rows[0]["needs_a_person"].as_array().expect("a list").clone();
    needs.into_iter().map(|need| need.as_str().expect("a sentence").to_owned()).collect()
}

#[tokio::test]
async fn a_programme_in_order_needs_nobody() {
    let world = World::new().await;
    world.walk(referrald::referral::Walk::Referrals).await;
    let status = on(&world, "status").await;
    assert_eq!((needs(&status), status.exit, status.rows.len()), (Vec::<String>::new(), 0, 1), "{status:?}");
    let row = &status.rows[0];
    assert_eq!(row["runs_since"], "2026-03-02T08:00:00Z");
    let states = |of: &str| row[of].as_array().expect("a list").iter().map(|row| row["state"].clone()).collect::<Vec<_>>();
    assert_eq!((states("systems"), states("flows")), (vec![json!("well"); 2], vec![json!("on"); 2]));
    assert_eq!((&row["waiting"], &row["list"]), (&json!([]), &json!({})));
    assert_eq!(row["walks"][0]["ended"], "2026-03-02T08:00:00Z");
    assert!(row["walks"][0]["next"].is_string() && row["cursors"][0]["walk"] == "referrals", "{row}");
    let ends: Vec<&str> = row["ends"].as_array().expect("a list").iter().filter_map(|end| end["what"].as_str()).collect();
    assert_eq!(ends, ["agreement", "certificate", "key"]);
    assert!(row["state_size"].as_u64().is_some_and(|size| size > 4096) && row["mapping"].is_string(), "{row}");
    world.end().await;
}

#[tokio::test]
async fn everything_that_needs_a_person_is_said_and_the_exit_code_says_so_too() {
    let mut world = World::new().await;
    world.register(json!({}));
    world.register(json!({ "name_first": "Testus" }));
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    let other = json!({ "individuals.progres_id": "989-TEST0002" });
    world.refer(json!([intervention("989-26-TEST-0002", other)])).await;
    assert_eq!(on(&world, "flow pause to_dtp --by CP~manager").await.exit, 0);
    world.pass(5 * HOUR).await;

    let status = on(&world, "status").await;
    assert_eq!(status.exit, 69);
    assert_eq!(status.error, "3 things need a person\n");
    let needs_now = needs(&status);
    assert!(needs_now[0].starts_with("primero is blocked: unauthorized (hint: "), "{needs_now:?}");
    assert!(needs_now[1].starts_with("to_dtp is paused by CP manager (hint: "), "{needs_now:?}");
    assert!(needs_now[2].starts_with("3 entries on the operator's list (hint: "), "{needs_now:?}");
    let row = &status.rows[0];
    let primero = &row["systems"][0];
    assert_eq!((&primero["since"], &primero["reason"]), (&json!("2026-03-02T08:00:00Z"), &json!("unauthorized")));
    assert!(primero["next_probe"].is_string());
    let expected =
        json!([{ "errand": "open_intervention", "waiting": 1, "held": 1, "late": 2, "oldest": "2026-03-02T08:00:00Z" }]);
    assert_eq!((&row["waiting"], &row["list"]), (&expected, &json!({ "held": 1, "late": 2 })));

    // The same from the state, while no daemon runs.
    world.stop().await;
    let status = on(&world, "status").await;
    assert_eq!((status.exit, status.rows[0]["runs_since"].clone()), (69, Value::Null), "{status:?}");
    let needs_then = needs(&status);
    assert_eq!(needs_then[0], "no daemon runs");
    assert_eq!(needs_then[1..4], needs_now[..], "{needs_then:?}");
    world.start().await;
    world.end_whatever().await;
}

#[tokio::test]
async fn what_ends_within_a_fortnight_needs_a_person() {
    let world = World::new().await;
    let ends = world.daemon().programme().settings.agreement.valid_until;
    for (days, said) in [(20, None), (14, Some("the agreement ends in 14 days")), (1, Some("the agreement ends tomorrow"))] {
        world.clock.set_wall(ends - TimeDelta::days(days));
        let status = on(&world, "status").await;
        let of_agreement: Vec<String> = needs(&status).into_iter().filter(|need| need.contains("agreement")).collect();
        assert_eq!(of_agreement, said.into_iter().collect::<Vec<_>>(), "{days}");
    }
    world.clock.set_wall(ends + TimeDelta::days(1));
    let status = on(&world, "status").await;
    assert!(needs(&status).contains(&"the agreement has ended".to_owned()), "{status:?}");
    assert_eq!(status.rows[0]["flows"][0]["state"], "no_agreement");
    world.end_whatever().await;
}

#[tokio::test]
async fn a_mapping_that_cannot_be_read_does_not_hide_the_rest() {
    let mut world = World::new().await;
    world.stop().await;
    let status = with(&world, "status", &[("REFERRALD__MAPPING__DIRECTORY", "nowhere")]).await;
    assert_eq!((status.exit, &status.rows[0]["mapping"]), (69, &Value::Null), "{status:?}");
    assert!(needs(&status).iter().any(|need| need.starts_with("the mapping cannot be loaded: ")), "{status:?}");
    world.start().await;
    world.end().await;
}
