//! A mapping for another country: made from one that is there, filled in, tested, and refused in production until it is signed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use referrald::config::{Environment, Unapproved};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{mapping::copied, referrald, said};
use crate::world::World;

/// The directory of a mapping that is not there yet, beside the others.
fn kakuma(folder: &TempDir) -> String {
    folder.path().join("kakuma").display().to_string()
}

fn begin(directory: &str, from: &str) -> String {
    said(&["mapping", "new", directory, "--from", from], None)
}

/// The rows of a command and its exit code.
fn rows(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = referrald(arguments);
    let told = String::from_utf8(output.stdout).unwrap();
    (told.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

fn last(arguments: &[&str]) -> (Value, Option<i32>) {
    let (rows, exit) = rows(arguments);
    (rows.last().cloned().unwrap_or_default(), exit)
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_new_country_can_be_checked_tested_shown_and_tried() {
    for programme in ["gambella", "dadaab"] {
        let folder = copied();
        let directory = kakuma(&folder);
        let (told, exit) = last(&["mapping", "new", &directory, "--from", programme]);
        assert_eq!((&told["from"], &told["version"], exit), (&json!(programme), &json!("1"), Some(0)));
        assert!(told["decisions"].as_u64() > Some(40), "{told}");

        let (checked, exit) = last(&["mapping", "check", &directory]);
        assert_eq!((&checked["problems"], exit), (&json!(0), Some(0)), "{programme}");
        let (tested, exit) = last(&["mapping", "test", &directory]);
        assert_eq!((&tested["differ"], &tested["problems"], exit), (&json!(0), &json!(0), Some(0)), "{programme}");
        assert!(tested["hold"].as_u64() > Some(40) && tested["hold"] == told["examples"], "{tested} {told}");

        let sheet = said(&["mapping", "sheet", &directory], None);
        assert!(sheet.starts_with("# Mapping sheet: kakuma\n") && sheet.contains("NOT APPROVED"), "{sheet}");
        let document = folder.path().join("item.json");
        fs::write(&document, r#"{"progres_reviewdecision": "125080000"}"#).unwrap();
        let document = document.display().to_string();
        let (tried, exit) = last(&["mapping", "try", "referral_decision", &document, "--mapping", &directory]);
        assert_eq!((&tried["document"]["decision"], exit), (&json!("accepted"), Some(0)));
        let diff = said(&["mapping", "diff", &folder.path().join(programme).display().to_string(), &directory], None);
        assert!(!diff.contains("NEW FIELD"), "{diff}");
    }
}

#[test]
fn what_only_the_other_country_agreed_is_taken_out() {
    let folder = copied();
    let dadaab = folder.path().join("dadaab");
    let approval = format!(
        "[approval] # signed\nagreement = \"A-1\"\nby_role = \"CP coordinator\"\non = \"2026-10-01\"\ndigest = \"{}\"\n\n",
        "0".repeat(64)
    );
    edit(&dadaab.join("mapping.toml"), "# Value tables of Dadaab alone.", &format!("{approval}# Value tables of Dadaab alone."));
    edit(&dadaab.join("mapping.toml"), "version = \"1\"", "version = \"7\"");
    let text = fs::read_to_string(dadaab.join("mapping.toml")).unwrap();
    fs::write(dadaab.join("mapping.toml"), format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    fs::create_dir(folder.path().join("kakuma")).unwrap();
    let directory = kakuma(&folder);
    assert!(begin(&directory, "dadaab").ends_with("exit 0"), "an empty directory is no obstacle");

    let kakuma = folder.path().join("kakuma");
    let read = |file: &str| fs::read_to_string(kakuma.join(file)).unwrap();
    let (told, _) = last(&["mapping", "digest", &directory]);
    assert_eq!((&told["version"], &told["approved"]), (&json!("1"), &json!(false)));
    let mapping = read("mapping.toml");
    assert!(mapping.starts_with("# kakuma: as dadaab has it; nothing of it is agreed yet."), "{mapping}");
    assert!(!mapping.contains("[approval]") && !mapping.contains("A-1") && !mapping.contains("invented"), "{mapping}");
    assert!(mapping.contains("base = \"../base\"\n") && mapping.contains("# Which intake user gets"), "{mapping}");
    for table in ["tables/service-in.csv", "tables/service-out.csv"] {
        let text = read(table);
        assert!(
            !text.contains("focal point")
                && !text.contains("2026")
                && text.lines().all(|line| line.ends_with(",,") || line.ends_with("_on")),
            "{text}"
        );
    }
    // Everything else is as it was.
    assert_eq!(read("tables/intake-users.csv"), fs::read_to_string(dadaab.join("tables/intake-users.csv")).unwrap());
    let below = |directory: &Path| -> Vec<PathBuf> {
        files(directory).into_iter().map(|file| file.strip_prefix(directory).unwrap().to_owned()).collect()
    };
    let mut expected = below(&dadaab);
    expected.extend(["DECISIONS.md", "config/kakuma.example.toml"].map(PathBuf::from));
    expected.sort();
    assert_eq!(below(&kakuma), expected);
    // What one side remarked is not the other's remark.
    let other = folder.path().join("turkana").display().to_string();
    assert!(begin(&other, "gambella").ends_with("exit 0"));
    let text = fs::read_to_string(folder.path().join("turkana/tables/service-out.csv")).unwrap();
    assert!(text.contains("alternative_care,Alternative Care,Alternative Care,,,gambella: agreed\n"), "{text}");
}

#[test]
fn a_country_may_lie_elsewhere_than_the_one_that_it_begins_with() {
    let (folder, site) = (copied(), tempfile::tempdir().unwrap());
    fs::create_dir_all(site.path().join("etc/mappings")).unwrap();
    let directory = site.path().join("etc/mappings/kakuma").display().to_string();
    let from = folder.path().join("gambella").display().to_string();
    assert!(begin(&directory, &from).ends_with("exit 0"));
    let (checked, exit) = last(&["mapping", "check", &directory]);
    assert_eq!((&checked["problems"], exit), (&json!(0), Some(0)));
    // A name alone is looked for beside the new directory.
    let other = site.path().join("etc/mappings/turkana").display().to_string();
    assert!(begin(&other, "kakuma").ends_with("exit 0"));
    assert_eq!(last(&["mapping", "test", &other]).1, Some(0));
}

#[test]
fn the_settings_of_a_new_country_lack_only_what_has_to_be_filled_in() {
    for programme in ["gambella", "dadaab"] {
        let folder = copied();
        assert!(begin(&kakuma(&folder), programme).ends_with("exit 0"));
        let file = folder.path().join("kakuma/config/kakuma.example.toml");
        let (told, exit) = rows(&["check", "--offline", "--config", &file.display().to_string()]);
        assert_eq!((&told[0]["section"], exit), (&json!("configuration"), Some(78)));
        let problems: Vec<&str> = told[0]["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(problems.len() > 12 && problems.iter().all(|said| said.ends_with("` is not filled in yet")), "{problems:?}");
        assert_eq!((&told[1]["section"], &told[1]["ok"]), (&json!("mapping"), &json!(true)), "{told:?}");
        let text = fs::read_to_string(&file).unwrap();
        for list in ["service_types = [\n    # \"", "implementing_agencies = []\n", "owner_agencies = []\n", "recipients = []\n"]
        {
            assert!(text.contains(list), "no {list} in {text}");
        }
        assert_eq!(text.matches("service_types = [\n").count(), 2, "{text}");
        assert_eq!(text.contains("\nagencies = [\n    # \"Plan International\",\n"), programme == "dadaab", "{text}");
        assert_eq!(text.matches("\n[consent]\n").count(), 1, "{text}");
        // Each list can be opened by taking a sign away.
        let opened = text.replace("    # \"", "    \"");
        let opened: toml::Table = opened.parse().unwrap_or_else(|error| panic!("{error}: {opened}"));
        assert!(opened["referrals"]["service_types"].as_array().is_some_and(|types| types.len() >= 3), "{opened}");
        let settings = tempfile::tempdir().unwrap();
        let filled = settings.path().join("site.toml");
        let day = |text: String, key: &str, day: &str| text.replace(&format!("{key} = \"…\""), &format!("{key} = \"{day}\""));
        let text = day(day(day(text, "valid_from", "2026-01-01"), "valid_until", "2027-12-31"), "start_from", "2026-01-01");
        let text = day(text, "time_zone", "Africa/Nairobi").replace("email = \"…\"", "email = \"cpims@example.org\"");
        let text = text.replace("sha256 = \"…\"", &format!("sha256 = \"{}\"", "2".repeat(64))).replace('…', "example.org");
        let text = text.replace("\"..\"", &format!("\"{}\"", kakuma(&folder)));
        fs::write(&filled, text).unwrap();
        let (fields, exit) = rows(&["mapping", "fields", "--config", &filled.display().to_string()]);
        assert!(exit == Some(0) && fields.iter().all(|row| row["agreement"] == "example.org"), "{exit:?} {fields:?}");
    }
}

#[test]
fn what_cannot_be_made_is_told_and_leaves_nothing() {
    let folder = copied();
    let before = files(folder.path());
    let path = |below: &str| folder.path().join(below).display().to_string();
    let mut told = String::new();
    let mut refused = |directory: &str, from: &str| {
        let answer = begin(&path(directory), from).replace(&folder.path().display().to_string(), "DIR");
        told += &format!("==== new {directory} --from {from}\n{answer}\n\n");
    };
    refused("gambella", "dadaab");
    refused("gambella/mapping.toml", "dadaab");
    refused("nowhere/kakuma", "gambella");
    refused("kakuma 2", "gambella");
    refused("kakuma", "gambela");
    refused("kakuma", "base");
    insta::assert_snapshot!(told);
    assert_eq!(files(folder.path()), before);

    edit(&folder.path().join("gambella/tables/sex-in.csv"), "125080003,Unknown,unknown_4b34795", "125080003,Unknown,unknown");
    let answer = begin(&kakuma(&folder), "gambella");
    assert!(answer.contains("does not give what its examples say") && answer.ends_with("exit 78"), "{answer}");
    fs::write(folder.path().join("gambella/tables/sex-in.csv"), "nothing\n").unwrap();
    let answer = begin(&kakuma(&folder), "gambella");
    assert!(answer.contains("table `sex-in` has no column") && answer.ends_with("exit 78"), "{answer}");
    assert_eq!(files(folder.path()), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no folder is left behind");
}

#[test]
fn a_changed_table_shows_what_was_expected_beside_what_came_out() {
    let folder = copied();
    assert!(begin(&kakuma(&folder), "gambella").ends_with("exit 0"));
    let directory = kakuma(&folder);
    let kakuma = folder.path().join("kakuma");
    edit(&kakuma.join("tables/sex-in.csv"), "125080002,Other,other_b25f252", "125080002,Other,other");
    edit(&kakuma.join("tables/sex-in.csv"), "125080003,Unknown,unknown_4b34795,Unknown\n", "");
    let (told, exit) = rows(&["mapping", "test", &directory]);
    assert_eq!(exit, Some(78));
    let one = told.iter().find(|row| row["example"] == "sex 125080002").expect("its example is named");
    assert_eq!(
        one["differences"],
        json!([{
            "at": "/new_case/sex", "expected": "other_b25f252", "got": "other", "from": "individuals.progres_sex",
            "rule": "table `sex-in`, any other value refused; required; only into a new case",
        }])
    );
    assert!(one["file"].as_str().unwrap().ends_with("kakuma/examples/interventions.out.json") && one["line"].as_u64() > Some(1));
    let sum = told.last().unwrap();
    assert!(sum["differ"].as_u64() >= Some(2) && sum["hold"].as_u64() > Some(150), "{sum}");
    // `check` names the same examples and quotes nothing of them.
    let (checked, exit) = rows(&["mapping", "check", &directory]);
    let said = checked.iter().filter_map(|row| row["said"].as_str()).find(|said| said.contains("sex 125080002")).unwrap();
    assert_eq!(
        (said, exit),
        ("example \"sex 125080002\": /new_case/sex differs (hint: `referrald mapping test` shows what was expected)", Some(78))
    );
    assert_eq!(checked.last().unwrap()["problems"], sum["differ"]);
}

#[test]
fn examples_that_cannot_be_read_hide_no_other() {
    let folder = copied();
    let examples = folder.path().join("gambella/examples");
    fs::write(examples.join("decisions-to-dtp.in.json"), "{\"kind\": \"decision\"").unwrap();
    fs::write(examples.join("more.out.json"), "{\"examples\": {}}").unwrap();
    let directory = folder.path().join("gambella").display().to_string();
    let (told, exit) = rows(&["mapping", "test", &directory]);
    let problems: Vec<&str> =
        told.iter().filter(|row| row["grade"] == "problem").filter_map(|row| row["said"].as_str()).collect();
    assert_eq!(
        problems,
        [
            "is not as expected (hint: JSON with `examples`, and in the file of what is given `kind`)",
            "there is no more.in.json (hint: it says what is given; write it, or remove this file)",
        ]
    );
    let sum = told.last().unwrap();
    assert!(exit == Some(78) && sum["problems"] == 2 && sum["differ"] == 0 && sum["hold"].as_u64() > Some(100), "{sum}");
}

#[tokio::test]
async fn in_production_a_new_country_waits_for_its_signature() {
    let mut world = World::without_daemon(&[]).await;
    let directory = world.stage.directory().join("mappings/kakuma");
    assert!(begin(&directory.display().to_string(), "gambella").ends_with("exit 0"));
    world.settings_mut().mapping_directory = directory;
    world.settings_mut().environment = Environment::Production;
    world.settings_mut().mapping_unapproved = Unapproved::Refuse;
    let refused = world.try_start().await.expect_err("the start is refused").to_string();
    assert!(refused.contains("nobody has approved this mapping (hint: have the sheet signed"), "{refused}");
    assert!(refused.contains("mappings/kakuma/tables/service-in.csv:2: `Alternative Care` is opened"), "{refused}");
}
