//! Bad days: a machine that slept, a journal that is gone, a log moved away under us, numbers that look like something else.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chrono::{Datelike, TimeDelta, Timelike, Weekday};
use referrald::{
    activity::{Event, Line},
    referral::Walk,
    sandbox::{
        Fault, Rule,
        primero::{BRIDGE, CASE_WORKER},
        stage::{INBOX_KEY, write_secret},
    },
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    flow2::sent_ids,
    world::{World, intervention},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn numbers() -> Vec<(String, Value)> {
    (1..=5).map(|n| (format!("989-26-TEST-000{n}"), json!({ "individuals.progres_id": format!("989-TEST000{n}") }))).collect()
}

/// Five requests and a referral wait, because both systems are down; then the machine sleeps for a week and a bit.
async fn asleep_for_a_week() -> (World, [referrald::sandbox::Planted; 2], String) {
    let world = World::new().await;
    let child = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0009" }));
    let dtp = world.stage.dtp.faults().plant(Rule::any(), Fault::status(500));
    world.walk(Walk::Referrals).await;
    let primero = world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    let rows: Vec<Value> = numbers().into_iter().map(|(number, change)| intervention(&number, change)).collect();
    world.refer(json!(rows)).await;
    assert_eq!(world.unsettled().len(), 6);
    world.clock.set_wall(world.clock.now() + TimeDelta::days(7) + TimeDelta::hours(3));
    (world, [primero, dtp], child.2)
}

/// The password of our account in Primero ends on Friday night, and nobody looks before Monday morning.
#[tokio::test]
async fn a_password_that_ends_on_friday_night_costs_the_weekend_and_nothing_else() {
    let world = World::new().await;
    let numbers = numbers();
    let posted = async |nth: usize| {
        let (number, change) = &numbers[nth];
        let post = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(number, change.clone())] });
        assert_eq!(world.post(&post).await.0, StatusCode::ACCEPTED);
        world.settle().await;
    };
    // From the Monday on which every test begins to Friday, 20:00 in the programme.
    let friday =
        TimeDelta::days(4) + TimeDelta::hours(17) - TimeDelta::seconds(i64::from(world.clock.now().num_seconds_from_midnight()));
    world.pass(friday.to_std().expect("it lies ahead")).await;
    assert_eq!((world.clock.now().weekday(), world.clock.now().hour()), (Weekday::Fri, 17));
    posted(0).await;
    let case_worker = world.child_referred(json!({ "unhcr_individual_no": "989-TEST0009" }));

    world.stage.primero.change_user(BRIDGE, |user| user.password("the password of Monday"));
    posted(1).await;
    for hour in 0..60 {
        match hour {
            14 => posted(2).await,
            31 => posted(3).await,
            45 => posted(4).await,
            _ => {}
        }
        world.pass(HOUR).await;
        let waiting = [14, 31, 45].iter().filter(|posted| hour >= **posted).count();
        assert_eq!(world.unsettled().len(), 1 + waiting, "everything waits in hour {hour}");
    }
    assert_eq!((world.clock.now().weekday(), world.clock.now().hour()), (Weekday::Mon, 5));
    assert_eq!(world.events().iter().filter(|event| *event == "blocked unauthorized").count(), 1, "it is said once");
    assert!(world.stage.primero.failed_sign_ins(BRIDGE).0 <= 61, "once when it was met, then once an hour");
    assert_eq!(world.told_dtp().len(), 1, "of what waits UNHCR hears nothing yet");

    let file = world.stage.directory().join("secrets/primero-password");
    write_secret(&file, "the password of Monday").expect("the secret can be changed");
    world.reload().await;
    world.settle().await;
    // The probes have locked the account for half an hour.
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    world.walk(Walk::Referrals).await;
    assert_eq!(given_up(&world), Vec::<String>::new());
    for (number, change) in &numbers {
        let person = change["individuals.progres_id"].as_str().expect("a text");
        assert_eq!(world.stage.primero.services(world.case_of(person)).len(), 1, "{number}");
        let told = world.told_dtp().into_iter().filter(|told| told["progres_interventionnumber"] == number.as_str()).count();
        assert_eq!(told, 1, "{number}");
    }
    assert_eq!(sent_ids(&world), [case_worker.2]);
    assert_eq!((world.unsettled().len(), world.entries().len()), (0, 0));
    world.end().await;
}

fn given_up(world: &World) -> Vec<String> {
    let events = world.events();
    events.into_iter().filter(|event| ["refused", "stopped"].iter().any(|end| event.starts_with(end))).collect()
}

#[tokio::test]
async fn after_a_week_of_sleep_everything_gets_one_more_attempt() {
    let (world, sick, referral) = asleep_for_a_week().await;
    world.pass(Duration::ZERO).await;
    assert_eq!(given_up(&world), Vec::<String>::new(), "nothing is given up at waking");
    for fault in sick {
        fault.pull();
    }
    world.pass(20 * MINUTE).await;
    assert_eq!(given_up(&world), Vec::<String>::new());
    assert_eq!(world.told_dtp().len(), numbers().len(), "every request was delivered and answered");
    assert_eq!(sent_ids(&world), [referral]);
    world.end().await;
}

#[tokio::test]
async fn what_fails_again_after_a_sleep_is_given_up_within_the_hour() {
    let (world, _sick, _) = asleep_for_a_week().await;
    world.pass(Duration::ZERO).await;
    world.pass(55 * MINUTE).await;
    assert_eq!(given_up(&world), Vec::<String>::new());
    world.pass(10 * MINUTE).await;
    assert_eq!(given_up(&world).len(), numbers().len() + 1, "{:?}", given_up(&world));
    world.end_whatever().await;
}

#[tokio::test]
async fn numbers_that_look_like_something_else_reach_no_log_and_no_answer() {
    let world = World::new().await;
    let hostile =
        ["989\u{1b}[2J", "989\n{\"event\":\"delivered\"}", "<script>989</script>", "989\u{202e}", "989;rm", "\u{9b}31m989"];
    let mut said = String::new();
    for text in hostile {
        let requests =
            json!([intervention(text, json!({})), intervention("989-26-TEST-0001", json!({ "progres_primeroid": text }))]);
        let (status, answer) = world
            .post(&json!({ "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": requests }))
            .await;
        assert_eq!((status, &answer["taken"]), (StatusCode::ACCEPTED, &json!(1)), "{answer}");
        said += &answer.to_string();
        let decision = json!([{ "progres_orgreferralid": text, "progres_reviewdecision": text }]);
        let (status, answer) =
            world.post(&json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": decision })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        said += &answer.to_string();
        world.settle().await;
    }
    let staff = world.stage.primero.staff(CASE_WORKER);
    let case = world.register(json!({ "unhcr_individual_no": "989-TEST0009" }));
    for (field, walk) in [("progres_interventionnumber", Walk::Decisions), ("service_type", Walk::Referrals)] {
        let mut service = json!({
            "service_type": "alternative_care", "service_implementing_agency": "UNHCR", "service_status_referred": true,
            "service_referral": "external_referral", "unhcr_referral_status": "accepted",
        });
        service[field] = json!(hostile[0]);
        staff.add_service(case, service);
        world.walk(walk).await;
    }
    // Whatever else of a case stands in the log: its id, that of its service, its module, whoever owns it.
    for (n, text) in hostile.iter().enumerate() {
        let named = json!({ "unhcr_individual_no": format!("989-TEST001{n}"), "case_id": text, "case_id_display": text });
        let (case, ..) = world.child_referred(named);
        staff.edit(case, json!({ "owned_by_agency_id": text, "status": text }));
        world.walk(Walk::Referrals).await;
        staff.edit(case, json!({ "module_id": text }));
        world.walk(Walk::Referrals).await;
    }
    for page in ["/", "/deliveries", "/list", "/readyz", "/metrics"] {
        said += &world.page(page).await.1.replace('\n', " ");
    }
    let time = world.clock.now();
    for activity in world.lines() {
        said += &Line { time, activity }.render("test", "test");
    }
    assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
    for mark in ["[2J", "<script", "script>", "\u{202e}", ";rm", "\\u001b", "\\n"] {
        assert!(!said.contains(mark), "{mark:?} was let through");
    }
    world.end_whatever().await;
}

/// The real program on a world's configuration; what it says first, and where its inbox is.
struct Real {
    process: Child,
    inbox: String,
}

impl Real {
    fn start(world: &World, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
        command.arg("run").arg("--config").arg(world.stage.directory().join("referrald.toml"));
        command.env_clear().envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary was built beside this test");
        let said = BufReader::new(process.stderr.take().expect("it is piped"));
        let ready = said.lines().map_while(Result::ok).find(|line| line.contains("inbox=")).expect("it says where it listens");
        let inbox = ready.split("inbox=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address").to_owned();
        // From here on nobody reads what it says: both streams are closed.
        drop(process.stdout.take());
        Self { process, inbox }
    }

    /// Posts a request, from a thread of its own, because the simulators live on this one.
    async fn post(&self, number: &str) -> StatusCode {
        let body = json!({
            "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": [intervention(number, json!({}))],
        });
        let request = reqwest::Client::new().post(format!("http://{}/inbox", self.inbox)).header("x-api-key", INBOX_KEY);
        request.json(&body).send().await.expect("the inbox answers").status()
    }

    /// Ends it in order.
    async fn stop(mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().expect("kill is there").success());
        let ended = tokio::task::spawn_blocking(move || self.process.wait()).await.expect("it ends").expect("it ends");
        assert!(ended.success(), "{ended}");
    }
}

/// Waits until DTP was told so often.
async fn told(world: &World, times: usize) {
    while world.told_dtp().len() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_daemon_whose_journal_is_gone_goes_on() {
    let world = World::without_daemon(&[]).await;
    let daemon = Real::start(&world, &[]);
    for (times, number) in [(1, "989-26-TEST-0001"), (2, "989-26-TEST-0002")] {
        assert_eq!(daemon.post(number).await, StatusCode::ACCEPTED);
        told(&world, times).await;
    }
    // Something that a person would be told of: it has to be said to nobody.
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    assert_eq!(daemon.post("989-26-TEST-0003").await, StatusCode::ACCEPTED);
    daemon.stop().await;
}

#[tokio::test]
async fn an_activity_file_that_is_moved_away_is_begun_anew_without_a_signal() {
    let world = World::without_daemon(&[]).await;
    let file = world.stage.directory().join("activity.jsonl");
    let daemon = Real::start(&world, &[("REFERRALD__ACTIVITY__FILE", file.to_str().expect("a path"))]);
    assert_eq!(daemon.post("989-26-TEST-0001").await, StatusCode::ACCEPTED);
    told(&world, 1).await;
    let events = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).expect("there is a log");
        text.lines().map(|line| Line::read(line).expect("a whole line").activity.event).collect::<Vec<_>>()
    };
    let moved = file.with_extension("jsonl.1");
    std::fs::rename(&file, &moved).expect("it can be moved");
    assert_eq!(daemon.post("989-26-TEST-0002").await, StatusCode::ACCEPTED);
    told(&world, 2).await;
    daemon.stop().await;
    assert_eq!(events(&moved)[..2], [Event::Started, Event::Received]);
    let new = events(&file);
    assert!(new.contains(&Event::Received) && new.last() == Some(&Event::ShutDown), "{new:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_sentence_and_an_exit_code() {
    let world = World::without_daemon(&[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for (key, variable) in [("admin.listen", "REFERRALD__ADMIN__LISTEN"), ("inbox.listen", "REFERRALD__INBOX__LISTEN")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
        command.arg("run").arg("--config").arg(world.stage.directory().join("referrald.toml"));
        command.env_clear().env(variable, &address);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it ends");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(said.contains(&format!("{key} = \"{address}\": another program listens there (hint: ")), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[tokio::test]
async fn a_clock_set_far_ahead_and_back_gives_nothing_up() {
    let world = World::new().await;
    let sick = world.stage.primero.faults().plant(Rule::any(), Fault::status(500));
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    let right = world.clock.now();
    world.clock.set_wall(right + TimeDelta::days(400));
    world.pass(MINUTE).await;
    world.clock.set_wall(right);
    world.pass(HOUR).await;
    assert_eq!(given_up(&world), Vec::<String>::new());
    sick.pull();
    world.pass(HOUR).await;
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}
