//! Whether those who are to be told are reached: through a running daemon, and without one.

use serde_json::json;

use super::{check::problems, on, with};
use crate::{alerts::sinks::Hook, world::World};

const ON: (&str, &str) = ("REFERRALD__ALERTS__ON", "true");
const URL: &str = "REFERRALD__ALERTS__WEBHOOK__URL";
const SERVER: [(&str, &str); 4] = [
    ("REFERRALD__ALERTS__MAIL__SERVER", "127.0.0.1"),
    ("REFERRALD__ALERTS__MAIL__TLS", "none"),
    ("REFERRALD__ALERTS__MAIL__FROM", "referrald@example.org"),
    ("REFERRALD__ALERTS__MAIL__TO", "duty@example.org"),
];

#[tokio::test]
async fn a_test_goes_to_every_target_of_the_running_daemon_and_says_which_took_it() {
    let hook = Hook::new().await;
    // Nobody listens there.
    let mail = SERVER.into_iter().chain([("REFERRALD__ALERTS__MAIL__PORT", "9")]);
    let settings: Vec<_> = mail.chain([ON, (URL, hook.url.as_str())]).collect();
    let mut world = World::with(&settings).await;
    let tested = on(&world, "alerts test").await;
    let row = |target: &str, why: Option<&str>| json!({ "target": target, "taken": why.is_none(), "why": why });
    let away = Some("unreachable");
    assert_eq!(
        tested.rows,
        [row("webhook", None), row("webhook_daily_list", None), row("mail", away), row("mail_daily_list", away)]
    );
    assert_eq!((tested.exit, tested.error.as_str()), (69, "2 of 4 targets did not take the test message\n"));
    let messages = hook.messages();
    assert!(messages.len() == 2 && messages.iter().all(|message| message["message"] == "test"), "{messages:?}");
    let who: Vec<_> = world.lines().into_iter().filter_map(|line| line.who).collect();
    assert!(who.len() == 1 && who[0].ends_with(": alerts test"), "{who:?}");

    hook.answer_with(403);
    world.restart_with(&[(URL, hook.url.as_str())]).await;
    let tested = on(&world, "alerts test").await;
    assert_eq!(tested.rows[0], row("webhook", Some("it answered 403")));
    assert!(tested.error.contains("; `alerts.on` is false, so nothing but this test is sent"), "{}", tested.error);
    world.end().await;
}

#[tokio::test]
async fn without_a_daemon_the_same_test_is_made_here() {
    let hook = Hook::new().await;
    let world = World::without_daemon(&[]).await;
    let nobody = on(&world, "alerts test").await;
    assert_eq!(nobody.exit, 78);
    assert!(nobody.error.starts_with("nobody is to be told (hint: give `alerts.webhook.url`"), "{}", nobody.error);
    let tested = with(&world, "alerts test", &[ON, (URL, hook.url.as_str())]).await;
    assert_eq!((tested.exit, tested.rows.len(), hook.messages().len()), (0, 2, 2), "{tested:?}");
}

#[tokio::test]
async fn a_check_says_that_nobody_would_be_told_and_that_a_token_cannot_be_read() {
    let world = World::without_daemon(&[]).await;
    let checked = with(&world, "check --offline", &[ON]).await;
    assert_eq!(checked.exit, 78);
    let said = problems(&checked);
    assert!(said.iter().any(|said| said.contains("`alerts.on` is true, but nobody would be told")), "{said:?}");
    let hook = [ON, (URL, "http://127.0.0.1:9/"), ("REFERRALD__ALERTS__WEBHOOK__TOKEN_FILE", "secrets/none")];
    let checked = with(&world, "check --offline", &hook).await;
    assert_eq!(checked.exit, 69);
    let said = problems(&checked);
    assert!(said.len() == 1 && said[0].contains("secrets/none: there is no such file"), "{said:?}");
}
