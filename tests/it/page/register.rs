//! The register of transfers: what crossed in a month, without a small number from which a child could be known.

use std::time::Duration;

use referrald::{referral::Walk, sandbox::primero::CASE_WORKER};
use serde_json::{Value, json};

use super::{filled::nth, get, shown};
use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A month in which six referrals came in, of which all were accepted, and two went out, of which one was accepted.
async fn a_month() -> World {
    let world = World::new().await;
    world.refer((1..=6).map(|n| nth(n, json!({}))).collect::<Value>()).await;
    for n in 1..=6 {
        let case = world.case_of(&format!("989-TEST{n:04}"));
        let service = world.stage.primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
        world.stage.primero.staff(CASE_WORKER).edit_service(case, service, json!({ "unhcr_referral_status": "accepted" }));
    }
    world.walk(Walk::Decisions).await;
    let (_, _, outgoing) = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0060" }));
    world.child_referred(json!({ "unhcr_individual_no": "989-TEST0061" }));
    world.walk(Walk::Referrals).await;
    world.decide(json!([{ "progres_orgreferralid": outgoing, "progres_reviewdecision": "125080000" }])).await;
    world
}

#[tokio::test]
async fn it_counts_by_flow_service_and_decision_and_shows_no_small_number() {
    let world = a_month().await;
    let file = get(&world, "/register.csv?month=2026-03").await;
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"register-2026-03.csv\""));
    let expected = "programme,month,flow,service,referrals,accepted,rejected\n\
                    sandbox,2026-03,to_primero,Alternative Care,6,6,0\n\
                    sandbox,2026-03,to_primero,all,6,6,0\n\
                    sandbox,2026-03,to_dtp,Alternative Care,<5,<5,0\n\
                    sandbox,2026-03,to_dtp,all,<5,<5,0\n";
    assert_eq!(file.body, expected);
    let page = shown(&world, "/register?month=2026-03").await;
    for cell in
        ["<th scope=\"row\">Alternative Care</th><td class=\"number\">6</td>", "<td class=\"number\">&lt;5</td>", "not over yet"]
    {
        assert!(page.contains(cell), "{cell}: {page}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_month_is_that_of_the_programmes_zone_and_the_last_that_is_over_is_shown_first() {
    let world = a_month().await;
    // 31 March, 23:30 in Addis Ababa; an hour later it is April there, and still March in UTC.
    world.pass(29 * DAY + Duration::from_secs(12 * 3600 + 1800)).await;
    world.refer(json!([nth(20, json!({}))])).await;
    world.pass(Duration::from_secs(3600)).await;
    world.refer(json!([nth(21, json!({})), nth(22, json!({}))])).await;
    let page = shown(&world, "/register").await;
    assert!(page.contains("<h2 id=\"of-month\">March 2026</h2>") && !page.contains("not over yet"), "{page}");
    let of = async |month: &str| get(&world, &format!("/register.csv?month={month}")).await.body;
    assert!(of("2026-03").await.contains("to_primero,all,7,6,0"), "{}", of("2026-03").await);
    assert!(of("2026-04").await.contains("to_primero,all,<5,0,0"), "{}", of("2026-04").await);
    assert_eq!(of("2025-01").await, "programme,month,flow,service,referrals,accepted,rejected\n");
    world.end().await;
}

#[tokio::test]
async fn no_cell_of_the_file_is_a_formula() {
    let world = World::changing(|settings| settings.programme = "=HYPERLINK(\"https://attacker.example\")".to_owned()).await;
    world.refer(json!([nth(1, json!({}))])).await;
    let file = get(&world, "/register.csv?month=2026-03").await.body;
    for line in file.lines().skip(1) {
        assert!(line.starts_with("\"'=HYPERLINK("), "{line}");
    }
    world.end().await;
}
