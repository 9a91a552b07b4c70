//! Many deliveries: every page costs about the same, however many were settled.
//!
//! The ordinary form has ten thousand of them. `REFERRALD_PROOF=full` has a million and prints how long each page takes, a start
//! and `referrald status`; the figures are for people to read, the test judges what is shown.

use std::{fs, time::Instant};

use rusqlite::{TransactionBehavior, params};

use super::{get, shown};
use crate::{
    cli,
    world::{World, start},
};

/// Settles so many deliveries at a stroke, each with the story that such a one has.
fn settle(world: &World, count: i64) {
    let mut database = world.database();
    // Only to be filled faster: case ids come in no order, and each goes to another place of its index.
    database.execute_batch("PRAGMA cache_size = -400000; PRAGMA synchronous = OFF").unwrap();
    // The daemon writes, too: whoever reads first and writes then may find that it was faster.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let last: i64 = transaction.query_row("SELECT value FROM meta WHERE name = 'number'", [], |row| row.get(0)).unwrap();
    {
        let mut delivery = transaction
            .prepare(
                "INSERT INTO deliveries (id, errand, state, post, intervention, case_key, case_id, service, person, content, made, due,
                    attempts, settled, reason, written, new_case)
                 VALUES (?1, ?2, ?3, randomblob(16), ?4, randomblob(16), ?5, ?6, randomblob(16), randomblob(16), ?7, ?7, 1, ?7 + 2000, ?8, 1, 1)",
            )
            .unwrap();
        let mut line = transaction
            .prepare("INSERT INTO story (delivery, time, event, attempt, outcome, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .unwrap();
        let first = start().timestamp_millis() - 170 * 86_400_000;
        for n in 0..count {
            let id = last + 1 + n;
            let made = first + n * (170 * 86_400_000 / count);
            let errand = if n % 2 == 0 { "report_decision" } else { "send_feedback" };
            let (state, reason) = if n % 500 == 0 { ("refused", Some("invalid_values")) } else { ("delivered", None) };
            let (number, case) =
                (format!("989-26-TEST-{:07}", n / 2), format!("{:032x}", 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((n / 2) as u64)));
            let service = format!("{:036x}", n);
            delivery.execute(params![id, errand, state, number, case, service, made, reason]).unwrap();
            for (event, after, attempt, outcome) in
                [("received", 0, None, None), (state, 2000, Some(1), Some(state)), ("erased", 2000, None, None)]
            {
                line.execute(params![id, made + after, event, attempt, outcome, attempt.map(|_| 200)]).unwrap();
            }
        }
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'number'", [last + count]).unwrap();
    transaction.execute_batch(&format!(
        "INSERT INTO counters SELECT date({now} / 1000 - n * 86400, 'unixepoch'), 'to_primero', 'service_' || (n % 20), 'open_intervention delivered', '', 1000
         FROM (WITH RECURSIVE days(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM days WHERE n < 3000) SELECT n FROM days)",
        now = start().timestamp_millis()
    ))
    .unwrap();
    transaction.commit().unwrap();
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // What a daemon wrote is on the disk; else the first write after it would wait until half a gigabyte is.
    fs::File::open(world.state_directory().join("state.sqlite")).unwrap().sync_all().unwrap();
}

fn is_full() -> bool {
    std::env::var("REFERRALD_PROOF").is_ok_and(|proof| proof == "full")
}

#[expect(clippy::disallowed_methods, reason = "a figure for people to read")]
fn now() -> Instant {
    Instant::now()
}

fn print(began: Instant, what: &str) {
    if is_full() {
        println!("{:>7.1} ms  {what}", began.elapsed().as_secs_f64() * 1000.0);
    }
}

#[tokio::test]
async fn every_page_is_there_at_once_whatever_was_settled() {
    let is_full = is_full();
    let count = if is_full { 1_000_000 } else { 10_000 };
    let mut world = World::new().await;
    settle(&world, count);
    let middle = count / 2;
    let number = format!("989-26-TEST-{:07}", middle / 2);
    let case = world
        .database()
        .query_row("SELECT case_id FROM deliveries WHERE intervention = ?1 LIMIT 1", [&number], |row| row.get::<_, String>(0))
        .unwrap();
    for (path, said) in [
        ("/list".to_owned(), "Nothing waits for a person."),
        ("/".to_owned(), "1\u{202f}000"),
        ("/deliveries".to_owned(), "The newest 50 deliveries"),
        (format!("/deliveries?below={middle}"), "50 more deliveries"),
        ("/deliveries?state=refused".to_owned(), if is_full { "The newest 50" } else { "20 deliveries that match" }),
        ("/deliveries?state=held".to_owned(), "No delivery matches"),
        ("/deliveries?state=withheld".to_owned(), "No delivery matches"),
        ("/deliveries?reason=invalid_values&flow=to_primero".to_owned(), "deliveries that match"),
        ("/deliveries?reason=late".to_owned(), "No delivery matches"),
        (
            "/deliveries?flow=to_dtp".to_owned(),
            if is_full { "None of those looked through matches." } else { "No delivery matches" },
        ),
        ("/deliveries?flow=to_primero&state=delivered".to_owned(), "The newest 50 deliveries that match"),
        (format!("/deliveries?intervention={number}"), "2 deliveries that match"),
        (format!("/deliveries?case={case}"), "2 deliveries that match"),
        ("/deliveries?to=2025-10-01".to_owned(), "The newest 50 deliveries that match"),
        ("/deliveries?from=2026-03-10".to_owned(), "No delivery matches"),
        (format!("/deliveries/{middle}"), "was erased"),
        ("/register".to_owned(), "31\u{202f}000"),
        ("/register.csv?month=2020-05".to_owned(), "sandbox,2020-05,to_primero,all,31000,0,0"),
    ] {
        let said = if path == "/register" { "1000" } else { said };
        let began = now();
        let page = get(&world, &path).await;
        print(began, &path);
        assert!(page.body.contains(said), "{path}: {said}: {}", page.body);
    }
    let began = now();
    let status = cli::on(&world, "status").await;
    print(began, "`referrald status`");
    assert_eq!(status.exit, 0, "{status:?}");
    world.stop().await;
    let began = now();
    world.start().await;
    print(began, "start to ready");
    if is_full {
        let bytes = fs::metadata(world.state_directory().join("state.sqlite")).unwrap().len();
        println!("{:>7} bytes on disk for each settled delivery", bytes / count as u64);
    }
    assert!(shown(&world, "/deliveries?state=refused").await.contains("Fields hold values that cannot be used."));
    world.end().await;
}
