//! The command line as an operator meets it: the real binary, its texts and its exit codes.

use std::{
    path::Path,
    process::{Command, Output},
};

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
        "key",
        "key new",
        "key state",
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
    for command in ["run", "check", "certificate", "deliveries list", "poll referrals", "activity", "notice 1"] {
        let arguments: Vec<&str> = command.split(' ').chain(["--config", &file]).collect();
        let told = said(&arguments, Some(folder.path()));
        assert!(told.contains("certificat_file") && told.ends_with("exit 78"), "{command}: {told}");
    }
    let told = said(&["certificate", "--config", &folder.path().join("none.toml").display().to_string()], Some(folder.path()));
    insta::assert_snapshot!(told);
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
