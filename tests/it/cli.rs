//! The command line as an operator meets it: the real binary, its texts and its exit codes.

mod alerts;
mod another_country;
mod check;
mod documented;
mod flows;
mod healthy;
mod mapping;
mod operator;
mod state;
mod status;
mod withdrawal;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::world::World;

/// What a command answered in a pipe.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The rows, one JSON object a line.
    rows: Vec<Value>,
    /// What stood on standard error.
    error: String,
    /// The exit code.
    pub(crate) exit: i32,
}

/// Runs a command on a world's configuration while its daemon, if one runs, goes on.
pub(crate) async fn on(world: &World, arguments: &str) -> Answered {
    with(world, arguments, &[]).await
}

/// The same with some settings changed as variables do.
async fn with(world: &World, arguments: &str, variables: &[(&str, &str)]) -> Answered {
    let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
    // An argument in a test may hold blanks, written as tildes.
    command.args(arguments.split(' ').map(|argument| argument.replace('~', " ")));
    command.arg("--config").arg(world.stage.directory().join("referrald.toml"));
    command.env_clear().envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary was built beside this test"))
        .await
        .expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
    let rows = text(output.stdout);
    let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("one JSON object a line: {rows}")));
    Answered { rows: rows.collect(), error: text(output.stderr), exit: output.status.code().unwrap_or(-1) }
}

/// Runs the binary without the variables of this process.
fn referrald(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_referrald"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the binary was built beside this test")
}

/// What it said, as an operator sees it, with its exit code.
fn said(arguments: &[&str], folder: Option<&Path>) -> String {
    let output = referrald(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
    let mut told = format!(
        "{}{}exit {}",
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().map_or_else(|| "by a signal".to_owned(), |code| code.to_string())
    );
    if let Some(folder) = folder {
        told = told.replace(&folder.display().to_string(), "DIR");
    }
    told
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let commands = [
        "",
        "run",
        "sandbox",
        "check",
        "poll",
        "activity",
        "activity dictionary",
        "deliveries",
        "deliveries list",
        "deliveries show",
        "deliveries retry",
        "deliveries release",
        "deliveries stop",
        "deliveries resolve",
        "notice",
        "alerts",
        "alerts test",
        "healthy",
        "notice record",
        "status",
        "flow",
        "flow pause",
        "flow resume",
        "flow list",
        "cursor",
        "cursor show",
        "cursor set",
        "key",
        "key new",
        "key state",
        "mapping",
        "mapping new",
        "mapping check",
        "mapping test",
        "mapping try",
        "mapping fields",
        "mapping digest",
        "mapping sheet",
        "mapping diff",
        "state",
        "state backup",
        "state restore",
        "state erase",
        "state rotate",
        "certificate",
    ];
    let mut help = String::new();
    for command in commands {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let told = said(&arguments, None);
        assert!(told.contains("Example: referrald ") && told.ends_with("exit 0"), "{told}");
        let longest = told.lines().map(str::len).max().unwrap_or_default();
        assert!(longest <= 160, "a line of {longest} characters: {told}");
        help += &format!("==== referrald {command}\n{}\n", told.trim_end_matches("exit 0"));
    }
    insta::assert_snapshot!(help);
}

#[test]
fn wrong_use_ends_with_2_and_says_what_would_be_right() {
    let table = [
        "deliveries show twelve --config site.toml",
        "deliveries show 0 --config site.toml",
        "deliveries list",
        "deliveries list --state visited --config site.toml",
        "deliveries list --case a#b --config site.toml",
        "deliveries release 1 --ground urgent --decided-by manager --config site.toml",
        "deliveries release 1 --ground best_interests --decided-by someone@example.org --config site.toml",
        "deliveries stop 1 --reason because --config site.toml",
        "deliveries resolve 1 --by manager --informed-on yesterday --config site.toml",
        "deliveries list --all --kind held --config site.toml",
        "deliveries list --reason because --config site.toml",
        "notice record --intervention a#b --received 2026-06-01 --by manager --config site.toml",
        "notice record --intervention 989-1 --received 2026-06-01 --by someone@example.org --config site.toml",
        "notice",
        "flow pause both --by manager --config site.toml",
        "flow pause to_dtp --config site.toml",
        "flow pause to_dtp --by manager --reason because --config site.toml",
        "cursor set referrals yesterday --reason missed --by manager --config site.toml",
        "cursor set referrals 2h --by manager --config site.toml",
        "poll cases --config site.toml",
        "activity --since yesterday --config site.toml",
        "activity",
        "key new --name",
    ];
    let mut told = String::new();
    for arguments in table {
        let said = said(&arguments.split(' ').collect::<Vec<_>>(), None);
        assert!(said.ends_with("exit 2"), "{said}");
        told += &format!("==== {arguments}\n{said}\n\n");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_configuration_with_mistakes_ends_with_78_and_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("site.toml");
    std::fs::write(&file, "programme = \"kakuma\"\n[dtp]\ncertificat_file = \"a.pem\"\n").expect("the file can be written");
    let file = file.display().to_string();
    for command in ["run", "check", "certificate", "deliveries list", "poll referrals", "activity", "notice 1", "healthy"] {
        let arguments: Vec<&str> = command.split(' ').chain(["--config", &file]).collect();
        let told = said(&arguments, Some(folder.path()));
        assert!(told.contains("certificat_file") && told.ends_with("exit 78"), "{command}: {told}");
    }
    let told = said(&["certificate", "--config", &folder.path().join("none.toml").display().to_string()], Some(folder.path()));
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn the_certificate_is_shown_before_unhcr_has_given_what_the_configuration_lacks() {
    let world = World::without_daemon(&[]).await;
    let file = world.stage.directory().join("begun.toml");
    let begun = world.stage.configuration().replace(&world.stage.dtp.referral_url(), "…");
    std::fs::write(&file, begun.replace("Africa/Addis_Ababa", "…")).expect("the folder is ours");
    let told = said(&["certificate", "--config", &file.display().to_string()], None);
    assert!(told.contains(&format!("Thumbprint (SHA-1)  {}\n", world.stage.client.thumbprint())), "{told}");
    assert!(
        told.ends_with("The configuration is not complete yet (hint: `referrald check` says what is missing).\nexit 0"),
        "{told}"
    );

    // Without the certificate there is nothing to show but what is missing.
    std::fs::remove_file(world.stage.directory().join("secrets/client.crt.pem")).expect("it is ours");
    let told = said(&["certificate", "--config", &file.display().to_string()], None);
    assert!(told.contains("`dtp.referral_url` is not filled in yet") && told.ends_with("exit 78"), "{told}");
}

#[test]
fn the_dictionary_needs_no_configuration_and_is_json_in_a_pipe() {
    let output = referrald(&["activity", "dictionary"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("it speaks UTF-8");
    assert!(text.lines().count() > 40, "{text}");
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("one JSON object a line");
        assert!(entry["name"].is_string() && entry["meaning"].is_string(), "{line}");
    }
}

#[test]
fn a_key_is_shown_once_and_a_state_key_is_never_written_over() {
    let output = referrald(&["key", "new", "--name", "dtp-test"]);
    let text = String::from_utf8(output.stdout).expect("it speaks UTF-8");
    assert!(output.status.success() && text.contains("name = \"dtp-test\"\n"), "{text}");

    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("state.key").display().to_string();
    assert!(said(&["key", "state", &file], None).ends_with("exit 0"));
    insta::assert_snapshot!(said(&["key", "state", &file], Some(folder.path())), @"
    DIR/state.key: is there already, and a key is never written over another (hint: name a new file; what is sealed with the old key needs the old key)
    exit 1
    ");
}

#[tokio::test]
async fn the_daemon_runs_until_sigterm_and_tells_its_beginning_and_its_end() {
    let world = World::without_daemon(&[]).await;
    let ended = tokio::task::spawn_blocking({
        let config = world.stage.directory().join("referrald.toml");
        move || {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_referrald"))
                .args(["run", "--config"])
                .arg(config)
                .env_clear()
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary was built beside this test");
            let mut lines = BufReader::new(daemon.stdout.take().expect("it was piped")).lines();
            let mut next = || lines.next().map(|line| line.expect("it speaks UTF-8"));
            let first = next().expect("it tells that it has started");
            let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("it runs");
            let killed = Command::new("kill").arg(daemon.id().to_string()).status().expect("there is a kill");
            assert!(killed.success(), "it is ours");
            let rest: Vec<String> = std::iter::from_fn(next).collect();
            let status = daemon.wait().expect("it ends");
            (first, rest, limits, status.code())
        }
    });
    let (first, rest, limits, status) = ended.await.expect("it was watched");
    assert!(first.contains(r#""event":"started""#), "{first}");
    assert!(rest.last().is_some_and(|last| last.contains(r#""event":"shut_down""#)), "{rest:?}");
    assert_eq!(status, Some(0));
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("there is such a limit");
    assert!(core.split_whitespace().skip(4).take(2).all(|limit| limit == "0"), "{core}");
    assert!(!world.state_directory().join("control.sock").exists(), "the socket goes with the daemon");
}
