//! The check finds everything at once, names the remedy, and tries a wrong password once.

use chrono::TimeDelta;
use referrald::{
    clock::Clock,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{BRIDGE, BRIDGE_PASSWORD, BRIDGE_ROLE, GENDER_BASED_VIOLENCE, INTAKE},
    },
};
use serde_json::{Value, json};

use super::{Answered, on, with};
use crate::world::World;

const MAPPING: (&str, &str) = ("REFERRALD__MAPPING__DIRECTORY", concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/gambella"));

async fn check(world: &World, variables: &[(&str, &str)]) -> Answered {
    let all: Vec<_> = std::iter::once(MAPPING).chain(variables.iter().copied()).collect();
    with(world, "check", &all).await
}

pub fn problems(answered: &Answered) -> Vec<String> {
    let of = |row: &Value| {
        let problems = row["problems"].as_array().expect("a list").clone();
        problems.into_iter().map(|problem| problem.as_str().expect("a sentence").to_owned())
    };
    answered.rows.iter().flat_map(of).collect()
}

#[tokio::test]
async fn a_site_in_order_has_no_problem() {
    let world = World::without_daemon(&[]).await;
    let checked = check(&world, &[]).await;
    assert_eq!(problems(&checked), Vec::<String>::new());
    assert_eq!((checked.exit, checked.error.as_str()), (0, ""));
    let sections: Vec<&str> = checked.rows.iter().filter_map(|row| row["section"].as_str()).collect();
    assert_eq!(sections, ["configuration", "credentials", "mapping", "primero", "dtp"]);
    assert_eq!(world.sent_to_dtp().len() + world.told_dtp().len(), 0, "nothing is posted");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let world = World::without_daemon(&[]).await;
    let file = world.stage.directory().join("secrets/primero-password");
    std::fs::write(&file, "wrong").expect("the secret can be changed");
    let checked = check(&world, &[]).await;
    assert_eq!(checked.exit, 69);
    let problems = problems(&checked);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("primero does not accept our user name and password (hint: "), "{problems:?}");
    assert_eq!(world.stage.primero.failed_sign_ins(BRIDGE), (1, false));
}

#[tokio::test]
async fn everything_that_does_not_fit_is_said_at_once() {
    let world = World::without_daemon(&[]).await;
    let primero = &world.stage.primero;
    primero.remove_field("services_section", "progres_interventionnumber");
    primero.remove_option("lookup-gender", "female");
    primero.change_user(INTAKE, |user| user.disabled());
    primero.change_role(BRIDGE_ROLE, |role| {
        role.may("case", &["consent_override"])
            .may_not("case", "create")
            .without_form("other_identity_details")
            .module("primeromodule-gbv")
    });
    let checked = check(&world, &[("REFERRALD__REFERRALS__SERVICE_TYPES", "alternative_care,flying")]).await;
    assert_eq!(checked.exit, 78, "{checked:?}");
    insta::assert_snapshot!(problems(&checked).join("\n"));
}

#[tokio::test]
async fn what_a_flow_will_lack_is_found_before_it_is_switched_on() {
    let world = World::without_daemon(&[]).await;
    let primero = &world.stage.primero;
    primero.remove_field("services_section", "progres_interventionnumber");
    primero.change_role(BRIDGE_ROLE, |role| role.may_not("case", "create").may_not("case", "receive_referral"));
    let off = [("REFERRALD__FLOWS__TO_PRIMERO", "false"), ("REFERRALD__FLOWS__TO_DTP", "false")];
    let found = problems(&check(&world, &off).await);
    for lack in ["progres_interventionnumber", "may not `create` cases", "may not `receive_referral` cases"] {
        assert!(found.iter().any(|problem| problem.contains(lack)), "{lack}: {found:?}");
    }

    // A flow for which nothing is agreed lacks nothing; that nobody looked is said.
    let without_lists = |text: String| -> String {
        text.lines().filter(|line| !line.starts_with("service_types = ")).map(|line| format!("{line}\n")).collect()
    };
    let file = world.stage.directory().join("referrald.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, without_lists(text)).expect("it is ours");
    let checked = check(&world, &off).await;
    assert!(!problems(&checked).iter().any(|problem| problem.contains("may not")), "{checked:?}");
    let notes = checked.rows[0]["notes"].to_string();
    assert!(notes.contains("`flows.to_dtp` is off and `referrals.service_types` is empty"), "{notes}");
}

#[tokio::test]
async fn each_user_that_is_missing_is_found_where_it_is_named() {
    let world = World::without_daemon(&[]).await;
    let dadaab = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/dadaab");
    let recipients = "unhcr_cw@cpims-gambella.primero.org,nobody_of_that_name";
    let variables = [("REFERRALD__MAPPING__DIRECTORY", dadaab), ("REFERRALD__REFERRALS__RECIPIENTS", recipients)];
    let problems = problems(&with(&world, "check", &variables).await);
    let missing: Vec<&str> = problems.iter().filter_map(|said| Some(said.split_once(": there is no such user")?.0)).collect();
    let owner = |line: usize| format!("{dadaab}/tables/intake-users.csv:{line}, the owner of a new case");
    assert_eq!(missing, ["referrals.recipients, entry 2", &owner(4), &owner(2), &owner(3)], "{problems:#?}");
}

#[tokio::test]
async fn a_clock_that_is_far_off_and_cases_that_we_must_not_see_are_found() {
    let world = World::without_daemon(&[]).await;
    world.register(json!({ "module_id": GENDER_BASED_VIOLENCE }));
    // Our own account is told as it is, but an hour ago.
    let primero = &world.stage.primero;
    let url = format!("{}/api/v2/users?user_name={BRIDGE}&extended=true", primero.url());
    let asked = reqwest::Client::new().get(url).basic_auth(BRIDGE, Some(BRIDGE_PASSWORD)).send().await.expect("it answers");
    let account = asked.text().await.expect("it is text");
    let date = (Clock::system().now() - TimeDelta::hours(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer = Fault::answer(200, "application/json; charset=utf-8", account).with_header("date", date);
    primero.faults().plant(Rule::on(Endpoint::Users).once(), answer);

    let checked = check(&world, &[]).await;
    let problems = problems(&checked);
    assert_eq!((checked.exit, problems.len()), (69, 2), "{problems:?}");
    assert!(problems[0].starts_with("Primero's clock and ours are 3"), "{problems:?}");
    assert!(problems[1].starts_with("cases of gender-based violence can be read with our account"), "{problems:?}");
}

#[tokio::test]
async fn a_configuration_with_mistakes_does_not_hide_those_of_the_mapping() {
    let world = World::without_daemon(&[]).await;
    let feedback = world.stage.directory().join("mappings/base/feedback.toml");
    let text = std::fs::read_to_string(&feedback).expect("the stage has a mapping");
    std::fs::write(&feedback, format!("{text}\nsurprise = true\n")).expect("it can be changed");
    let checked =
        with(&world, "check", &[("REFERRALD__PRIMERO__TIMEOUT", "soon"), ("REFERRALD__FLOW1__CLOSED_CASES", "hold")]).await;
    assert_eq!(checked.exit, 78);
    let sections: Vec<&str> = checked.rows.iter().filter_map(|row| row["section"].as_str()).collect();
    assert_eq!(sections, ["configuration", "mapping"]);
    let problems = problems(&checked);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[2].contains("feedback.toml:") && problems[2].contains("`surprise`"), "{problems:?}");
    assert_eq!(checked.error.trim_end(), "3 problems were found");
    assert_eq!(checked.rows[0]["notes"][0], "credentials, Primero and DTP are looked at once the configuration is right");
    assert_eq!(world.stage.primero.log().entries().len(), 0);

    // Where even its place cannot be read, nothing is said about it.
    let checked = with(&world, "check", &[("REFERRALD__MAPPING__DIRECTORY", "…")]).await;
    assert_eq!((checked.exit, checked.rows.len()), (78, 1), "{checked:?}");
}

#[tokio::test]
async fn an_inbox_whose_certificate_does_not_belong_to_its_key_is_found() {
    let world = World::without_daemon(&[]).await;
    let secrets = world.stage.directory().join("secrets");
    for name in ["inbox", "other"] {
        let identity = world.stage.authority.issue(referrald::sandbox::pki::Wish::loopback());
        identity.write(&secrets, name).expect("the secrets can be written");
    }
    let file = |name: &str| secrets.join(name).display().to_string();
    let tls = |key: &str| {
        [("REFERRALD__INBOX__TLS__CERTIFICATE_FILE", file("inbox.pem")), ("REFERRALD__INBOX__TLS__KEY_FILE", file(key))]
    };
    for (key, found) in [("inbox.key", 0), ("other.key", 1), ("none.key", 1), ("inbox.pem", 1)] {
        let tls = tls(key);
        let variables: Vec<_> = tls.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let checked = check(&world, &variables).await;
        let problems = problems(&checked);
        assert_eq!((problems.len(), checked.exit), (found, if found == 0 { 0 } else { 69 }), "{key}: {problems:?}");
        assert!(problems.iter().all(|problem| problem.contains("(hint: ")), "{problems:?}");
    }
}

#[tokio::test]
async fn offline_nobody_is_asked() {
    let world = World::without_daemon(&[]).await;
    let checked = with(&world, "check --offline", &[MAPPING]).await;
    assert_eq!((checked.exit, checked.rows.len()), (0, 3), "{checked:?}");
    assert_eq!(world.stage.primero.log().entries().len(), 0);
}

#[tokio::test]
async fn a_dtp_that_does_not_take_our_certificate_is_found_before_the_first_child() {
    let world = World::without_daemon(&[]).await;
    let stranger = referrald::sandbox::pki::Authority::new();
    let wrong = stranger.issue(referrald::sandbox::pki::Wish::client("referrald"));
    let secrets = world.stage.directory().join("secrets");
    for (name, content) in [("client.crt.pem", wrong.certificate_pem()), ("client.key.pem", wrong.key_pem())] {
        referrald::sandbox::stage::write_secret(&secrets.join(name), &content).expect("the secret can be changed");
    }
    let checked = check(&world, &[]).await;
    let problems = problems(&checked);
    assert_eq!((checked.exit, problems.len()), (69, 1), "{problems:?}");
    assert!(problems[0].contains("it does not take our client certificate"), "{problems:?}");
}

#[tokio::test]
async fn a_next_certificate_that_dtp_does_not_know_yet_is_found_before_its_day() {
    use referrald::sandbox::pki::{Authority, Wish};
    let world = World::without_daemon(&[]).await;
    let secrets = world.stage.directory().join("secrets");
    let next = "next = { certificate_file = \"secrets/next.pem\", key_file = \"secrets/next.key\", from = \"2070-01-01\" }";
    let file = world.stage.directory().join("referrald.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[dtp]", &format!("[dtp]\n{next}"))).unwrap();
    for (authority, known) in [(&*world.stage.authority, true), (&Authority::new(), false)] {
        authority.issue(Wish::client("referrald")).write(&secrets, "next").unwrap();
        let checked = check(&world, &[]).await;
        let problems = problems(&checked);
        assert_eq!((checked.exit, problems.len()), (if known { 0 } else { 69 }, usize::from(!known)), "{problems:?}");
        let notes = checked.rows.last().unwrap()["notes"].to_string();
        assert!(notes.contains("handshake done, TLS"), "the one that is used now goes on: {notes}");
        assert_eq!(notes.contains("handshake done with the certificate of `dtp.next`"), known, "{notes}");
        assert!(
            problems.iter().all(|said| said.contains("with the certificate of `dtp.next`: DTP ended the handshake")),
            "{problems:?}"
        );
    }
}

/// The nine items, each with what is not met.
fn checklist(checked: &Answered) -> Vec<(i64, Vec<String>)> {
    let items = checked.rows.iter().filter(|row| row["section"] == "go-live");
    let problems = |row: &Value| row["problems"].as_array().expect("a list").iter().map(ToString::to_string).collect();
    items.map(|row| (row["item"].as_i64().expect("a number"), problems(row))).collect()
}

#[tokio::test]
async fn the_checklist_for_going_live_says_of_nine_items_how_each_is_met_and_what_is_not() {
    let world = World::without_daemon(&[]).await;
    let file = world.stage.directory().join("referrald.toml");
    let allow = |mode| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("it is ours");
    // As the package installs it: the service reads it under a user of its own.
    allow(0o644);
    let checked = on(&world, "check --go-live").await;
    let items = checklist(&checked);
    assert_eq!(items.iter().map(|(item, _)| *item).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    let unmet: Vec<_> = items.iter().filter(|(_, problems)| !problems.is_empty()).map(|(item, _)| *item).collect();
    assert_eq!((unmet, checked.exit), (vec![3, 5], 78), "{checked:?}");
    assert!(items[4].1[0].contains("`environment` is"), "{items:?}");
    for row in checked.rows.iter().filter(|row| row["section"] == "go-live") {
        let told = |key: &str| row[key].as_str().is_some_and(|text| !text.is_empty());
        let problems = row["problems"].as_array().map_or(0, Vec::len);
        assert_eq!(row["unmet"], Value::Bool(problems > 0));
        assert!(told("title") && told("to_confirm") && row["how"].as_array().is_some_and(|how| !how.is_empty()), "{row}");
    }

    let how = |checked: &Answered| checked.rows.iter().find(|row| row["item"] == 7).expect("an item")["how"].to_string();
    assert!(how(&checked).contains("nobody is told when something needs a person"), "{checked:?}");
    let alerts = [
        ("REFERRALD__ALERTS__ON", "true"),
        ("REFERRALD__ALERTS__WEBHOOK__URL", "http://127.0.0.1:9/"),
        ("REFERRALD__ALERTS__WEBHOOK__SECOND_STAGE_URL", "http://127.0.0.1:9/second"),
    ];
    let told = how(&with(&world, "check --go-live --offline", &alerts).await);
    assert!(told.contains("who must act is told by a webhook; what stays open goes to a second stage"), "{told}");

    // What the machine shows is looked at.
    allow(0o666);
    std::fs::create_dir(world.state_directory()).expect("it is not there yet");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.state_directory(), mode).expect("it is ours");
    world.stage.primero.change_role(BRIDGE_ROLE, |role| role.may("case", &["consent_override"]));
    let checked = on(&world, "check --go-live").await;
    let unmet: Vec<_> =
        checklist(&checked).into_iter().filter(|(_, problems)| !problems.is_empty()).map(|(item, _)| item).collect();
    assert_eq!(unmet, [1, 3, 5, 7, 8], "{checked:?}");
    assert!(
        checked.rows.iter().any(|row| row["item"] == 7 && row["problems"].to_string().contains("change it (hint: chmod 664 "))
    );
    let offline = checklist(&on(&world, "check --go-live --offline").await);
    assert!(offline[7].1.iter().all(|problem| problem.contains("was not asked")) && offline[7].1.len() == 2, "{offline:?}");
}
