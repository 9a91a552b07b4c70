//! The real program: what it writes on standard output and standard error at its most talkative, and what it answers through its
//! socket.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc,
};

use referrald::{
    referral::Walk,
    sandbox::{Endpoint, Fault, Rule, primero::CASE_WORKER, stage::INBOX_KEY},
};
use serde_json::json;

use super::markers::{COMMENT, PERSON, STRAY, assert_clean, child, mark_staff, marked, referred};
use crate::{play::Play, world::World};

/// The binary with the world's configuration, and nothing of this process's variables.
fn referrald(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
    command.args(arguments).arg("--config").arg(world.stage.directory().join("referrald.toml")).env_clear();
    command
}

/// The lines of a stream as they come; the last one is followed by nothing.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    heard
}

/// Every line of every secret file: keys, passwords, and what stands between the marks of PEM.
fn secrets(world: &World) -> Vec<(String, String)> {
    let files = std::fs::read_dir(world.stage.directory().join("secrets")).unwrap().map(|file| file.unwrap().path());
    let lines = files.flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> =
            text.lines().filter(|line| line.len() >= 8 && !line.starts_with("-----")).map(str::to_owned).collect();
        lines.into_iter().map(move |line| (name.clone(), line))
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() > 10, "there are secrets");
    lines
}

#[tokio::test]
async fn the_real_daemon_at_its_most_talkative_says_nothing_of_a_record() {
    let world = World::without_daemon(&[]).await;
    mark_staff(&world);
    let quoting =
        json!({ "errors": [{ "status": 422, "detail": ["/services_section/0/service_response_day_time"], "message": PERSON }] });
    let quoting = Fault::answer(422, "application/json; charset=utf-8", quoting.to_string());
    world.stage.primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), quoting);
    let mut daemon = referrald(&world, &["--log", "debug", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (told, said) = (lines(daemon.stdout.take().unwrap()), lines(daemon.stderr.take().unwrap()));

    // The rest waits for lines and for answers; nothing of it turns the runtime in which the simulators live.
    let runs = tokio::task::spawn_blocking(move || {
        let mut output = Vec::new();
        let mut until = |stream: &mpsc::Receiver<String>, mark: &str| {
            let line = stream.iter().inspect(|line| output.push(line.clone())).find(|line| line.contains(mark));
            line.unwrap_or_else(|| panic!("nobody said {mark}: {output:#?}"))
        };
        let ready = until(&said, "inbox=");
        let inbox = ready.split("inbox=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut answers = String::new();
        let mut post = |body: String| {
            let request = reqwest::Client::new().post(format!("http://{inbox}/inbox"));
            let request = request.header("x-api-key", INBOX_KEY).header("content-type", "application/json").body(body);
            let answer = runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() });
            answers.push_str(&answer);
        };
        let outgoing = |rows| json!({ "request_type": "PrimeroOutgoingReferral", "interventions": rows }).to_string();
        post(outgoing(json!([marked("989-26-TEST-0001")])));
        until(&told, "\"feedback_sent\"");
        post(outgoing(json!([marked("989-26-TEST-0002"), { "progres_interventionnumber": format!("{STRAY} is no number") }])));
        until(&told, "\"feedback_sent\"");
        let decision = json!([{ "progres_orgreferralid": "abc#0123456789ab", "progres_reviewdecision": COMMENT }]);
        post(json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": decision }).to_string());
        until(&told, "\"held\"");
        post(format!("{{\"{STRAY}"));
        assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
        until(&told, "\"shut_down\"");
        output.extend(told.iter().chain(said.iter()));
        assert!(daemon.wait().unwrap().success());
        (output.join("\n"), answers)
    });
    let (output, answers) = runs.await.unwrap();
    assert!(output.contains("values_refused") && output.contains("\"delivered\""), "{output}");
    assert_clean("standard output and standard error", output.as_bytes());
    assert_clean("the answers of the inbox", answers.as_bytes());
    for (name, secret) in secrets(&world) {
        assert!(!output.contains(&secret) && !answers.contains(&secret), "a piece of {name} was told");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_tells_its_place_alone_and_what_it_broke_off_is_done_after_the_next_start() {
    let mut play = Play::set(|text| text).await;
    let directory = play.stage.directory().join("failpoints");
    std::fs::create_dir(&directory).unwrap();
    let armed = directory.join("armed");
    std::fs::write(&armed, format!("1 primero POST cases Answered\n{PERSON} {STRAY}")).unwrap();
    play.environment.push(("REFERRALD_FAILPOINTS".to_owned(), directory.display().to_string()));
    play.environment.push(("RUST_BACKTRACE".to_owned(), "full".to_owned()));
    play.start().await;
    let core = play.limits().lines().find(|line| line.starts_with("Max core file size")).map(str::to_owned).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "no dump of memory: {core}");
    let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [marked("989-26-TEST-0001")] });
    assert_eq!(play.post(&body).await.map(|status| status.as_u16()), Some(202));
    play.hears("an attempt broke off; it is tried again later", 1).await;
    let said = play.said();
    assert!(said.contains("a part of the program broke off") && said.contains("src/failpoint.rs:"), "{said}");
    assert_clean("what is said of a panic", said.as_bytes());
    play.kill().await;
    std::fs::remove_file(armed).unwrap();
    play.start().await;
    play.settle().await;
    let cases = play.stage.primero.cases_with("unhcr_individual_no", &json!(PERSON));
    assert_eq!((cases.len(), play.stage.primero.services(cases[0]).len()), (1, 1));
    assert_clean("the rest", play.said().as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_about_the_list_or_the_log_shows_a_value_of_a_record() {
    let world = World::new().await;
    mark_staff(&world);
    let (case, ..) = referred(&world, &json!({}));
    world.walk(Walk::Referrals).await;
    world.stage.primero.staff(CASE_WORKER).set_consent(case, false);
    world.clock.advance(std::time::Duration::from_secs(3600));
    world.walk(Walk::Referrals).await;
    world.register(child(&json!({ "unhcr_id_no": "989-ZZGROUP77" })));
    world.refer(json!([marked("989-26-TEST-0001")])).await;
    let listed: Vec<String> = world.entries().iter().map(|entry| entry.id.0.to_string()).collect();
    assert!(listed.len() >= 2, "{:?}", world.list());
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["deliveries", "list"],
        vec!["deliveries", "list", "--all"],
        vec!["activity"],
        vec!["activity", "--intervention", "989-26-TEST-0001"],
        vec!["activity", "dictionary"],
        vec!["check"],
        vec!["status"],
        vec!["flow", "list"],
        vec!["cursor", "show"],
    ];
    commands.extend(listed.iter().map(|id| vec!["deliveries", "show", id.as_str()]));
    commands.extend(listed.iter().map(|id| vec!["deliveries", "retry", id.as_str()]));
    for arguments in commands {
        let mut command = referrald(&world, &[&["--log", "debug"], arguments.as_slice()].concat());
        if arguments == ["activity", "dictionary"] {
            command = Command::new(env!("CARGO_BIN_EXE_referrald"));
            command.args(&arguments).env_clear();
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_clean(&format!("`referrald {}`", arguments.join(" ")), &said);
    }
    world.end_whatever().await;
}
