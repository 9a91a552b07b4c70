//! What is read: paths, times, schedules, and variables laid over the file.

use chrono::{DateTime, TimeZone, Utc};
use std::time::Duration;

use super::super::{Environment, Rate};
use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[test]
fn relative_paths_begin_at_the_directory_of_the_file_and_absolute_ones_stay() {
    let settings = good(&with("dtp", "secrets/client.key", "/run/credentials/client.key"), &[]);
    assert_eq!(settings.primero.password_file, Path::new("config/secrets/primero"));
    assert_eq!(settings.dtp.key_file, Path::new("/run/credentials/client.key"));
    assert_eq!(settings.state.key_files, [Path::new("config/secrets/state.key")]);
    let beside = Settings::from_text(Path::new("site.toml"), GOOD, []).expect("the good configuration loads");
    assert_eq!(beside.state.directory, Path::new("state"));
}

#[test]
fn a_date_alone_is_that_whole_day_in_the_programmes_zone() {
    let text = with("schedule", "", "time_zone = \"Africa/Addis_Ababa\"")
        .replace("name = \"first\"", "name = \"first\"\nexpires = \"2027-06-30\"");
    let settings = good(&text, &[]);
    assert_eq!(settings.agreement.valid_from, at("2025-12-31T21:00:00Z"));
    assert_eq!(settings.agreement.valid_until, at("2027-12-31T20:59:59.999Z"));
    assert_eq!(settings.schedule.start_from, at("2026-01-31T21:00:00Z"));
    assert_eq!(settings.inbox.keys[0].expires, Some(at("2027-06-30T20:59:59.999Z")));
    assert!(
        settings.agreement.is_valid(at("2027-12-31T20:59:59.999Z")) && !settings.agreement.is_valid(at("2027-12-31T21:00:00Z"))
    );
}

#[test]
fn a_day_that_has_no_midnight_begins_when_the_clocks_have_jumped() {
    // Beirut, 2026-03-29: 00:00 becomes 01:00.
    let text = with("schedule", "start_from = \"2026-02-01\"", "time_zone = \"Asia/Beirut\"\nstart_from = \"2026-03-29\"");
    assert_eq!(good(&text, &[]).schedule.start_from, at("2026-03-28T22:00:00Z"));
}

#[test]
fn a_time_is_taken_as_it_is_and_a_date_without_quotes_too() {
    let text = with("agreement", "\"2026-01-01\"", "2026-01-01T03:00:00+03:00");
    let settings = good(&text.replace("\"2027-12-31\"", "2027-12-31"), &[]);
    assert_eq!(settings.agreement.valid_from, at("2026-01-01T00:00:00Z"));
    assert_eq!(settings.agreement.valid_until, at("2027-12-31T23:59:59.999Z"));
}

#[test]
fn the_schedule_is_read_with_seconds_first() {
    let settings = good(GOOD, &[]);
    let next =
        |cron: &croner::Cron| cron.find_next_occurrence(&Utc.with_ymd_and_hms(2026, 5, 1, 10, 0, 0).unwrap(), false).unwrap();
    assert_eq!(next(&settings.schedule.referrals), at("2026-05-01T10:10:00Z"));
    assert_eq!(next(&settings.schedule.decisions), at("2026-05-01T10:05:00Z"));
}

#[test]
fn text_is_read_as_text_and_urls_can_be_joined_to() {
    assert_eq!(good(GOOD, &[]).primero.url.as_str(), "https://cpims.example.org/");
    let below = good(&with("primero", "https://cpims.example.org", "http://localhost:3000/primero"), &[]);
    assert_eq!(below.primero.url.as_str(), "http://localhost:3000/primero/");
    let spelled = "thumbprint = \"\u{200e}ab:cd ef01-23456789abcdef0123456789abcdef01\"\nthumbprint_header = \"\"";
    let dtp = good(&with("dtp", "", spelled), &[]).dtp;
    assert_eq!(dtp.thumbprint.as_deref(), Some("ABCDEF0123456789ABCDEF0123456789ABCDEF01"));
    assert_eq!(dtp.thumbprint_header, None);
}

#[test]
fn variables_lie_over_the_file_and_the_file_over_the_defaults() {
    let settings = good(
        GOOD,
        &[
            ("REFERRALD__ENVIRONMENT", "production"),
            ("REFERRALD__PRIMERO__TIMEOUT", "45s"),
            ("REFERRALD__PRIMERO__PARALLEL", "20"),
            ("REFERRALD__PRIMERO__RATE", "unlimited"),
            ("REFERRALD__PRIMERO__PASSWORD_FILE", "/run/credentials/referrald.service/primero"),
            ("REFERRALD__FLOWS__TO_DTP", "false"),
            ("REFERRALD__INBOX__TLS__CERTIFICATE_FILE", "tls/inbox.pem"),
            ("REFERRALD__INBOX__TLS__KEY_FILE", "tls/inbox.key"),
            ("REFERRALD__INBOX__LISTEN", "0.0.0.0:8443"),
            ("REFERRALD__STATE__KEY_FILES", "/run/credentials/new, /run/credentials/old"),
            ("REFERRALD__STATE__MAX_SIZE", "1 GiB"),
        ],
    );
    assert_eq!(settings.environment, Environment::Production);
    assert_eq!(settings.primero.timeout, Duration::from_secs(45));
    assert_eq!((settings.primero.parallel, settings.primero.rate), (20, Rate::Unlimited));
    assert_eq!(settings.primero.password_file, Path::new("/run/credentials/referrald.service/primero"));
    assert!(settings.flows.to_primero && !settings.flows.to_dtp);
    assert_eq!(settings.inbox.tls.expect("given by variables").certificate_file, Path::new("config/tls/inbox.pem"));
    assert_eq!(settings.state.key_files, [Path::new("/run/credentials/new"), Path::new("/run/credentials/old")]);
    assert_eq!(settings.state.max_size, 1 << 30);
}

#[test]
fn a_variable_keeps_its_leading_zeros_and_an_empty_one_is_not_set() {
    let settings = good(
        GOOD,
        &[
            ("REFERRALD__ADMINISTRATOR__PHONE", "00123"),
            ("REFERRALD__PRIMERO__USER_NAME", "007"),
            ("REFERRALD__PROGRAMME", "true"),
            ("REFERRALD__INBOX__MAX_WAITING", "00500"),
            ("REFERRALD__PRIMERO__RATE", "0.5"),
            ("REFERRALD__PRIMERO__URL", ""),
            ("REFERRALD__DTP__THUMBPRINT_HEADER", ""),
        ],
    );
    assert_eq!(settings.administrator.phone, "00123");
    assert_eq!(settings.primero.user_name, "007");
    assert_eq!(settings.programme, "true");
    assert_eq!(settings.inbox.max_waiting, 500);
    assert_eq!(settings.primero.rate, Rate::PerSecond(0.5));
    assert_eq!(settings.primero.url.as_str(), "https://cpims.example.org/");
    assert_eq!(settings.dtp.thumbprint_header.as_deref(), Some("X-Client-Cert-Thumbprint"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let others = [
        ("PATH", "/bin"),
        ("REFERRALD_SERVICE_HOST", "10.0.0.1"),
        ("REFERRALD_PORT", "tcp://10.0.0.1:8080"),
        ("DTP__TIMEOUT", "1s"),
    ];
    good(GOOD, &others);
}

#[test]
fn a_wrong_variable_is_named_by_its_own_name() {
    insta::assert_snapshot!(problems(GOOD, &[
        ("REFERRALD_DTP_TIMEOUT", "1s"),
        ("REFERRALD__DTP_TIMEOUT", "1s"),
        ("REFERRALD__DTP__TIMEOUT", "1"),
        ("REFERRALD__DTP__CERTIFICAT", "client.pem"),
        ("REFERRALD__DTP", "x"),
        ("REFERRALD____", "x"),
        ("REFERRALD__PRIMERO__PASSWORD", "Marker-Password"),
        ("REFERRALD__PRIMERO__RATE", "Marker-Password"),
        ("REFERRALD__FLOWS__TO_DTP", "yes"),
        ("REFERRALD__INBOX__KEYS", "Marker-Key"),
        ("REFERRALD__INBOX__KEYS__0__NAME", "second"),
        ("REFERRALD__INBOX__MAX_WAITING", "many"),
        ("REFERRALD__REFERRALS__RECIPIENTS", "a,,b"),
        ("REFERRALD__SCHEDULE__TIME_ZONE", "Africa/Adis_Abeba"),
    ]).join("\n"), @r#"
    variable `REFERRALD_DTP_TIMEOUT`: is not read (hint: did you mean `REFERRALD__DTP__TIMEOUT`, with two underscores?)
    variable `REFERRALD__DTP`: unknown key `dtp` (hint: config/default.toml lists every key)
    variable `REFERRALD__DTP_TIMEOUT`: unknown key `dtp_timeout` (hint: did you mean `REFERRALD__DTP__TIMEOUT`?)
    variable `REFERRALD__DTP__CERTIFICAT`: unknown key `dtp.certificat` (hint: did you mean `REFERRALD__DTP__CERTIFICATE_FILE`?)
    variable `REFERRALD__DTP__TIMEOUT`: `dtp.timeout` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    variable `REFERRALD__FLOWS__TO_DTP`: `flows.to_dtp` must be `true` or `false`, without quotes
    variable `REFERRALD__INBOX__KEYS`: `inbox.keys` cannot be given by a variable (hint: write `[[inbox.keys]]` into the file)
    variable `REFERRALD__INBOX__KEYS__0__NAME`: `inbox.keys` cannot be given by a variable (hint: write `[[inbox.keys]]` into the file)
    variable `REFERRALD__INBOX__MAX_WAITING`: `inbox.max_waiting` must be a whole number from 1 to 10000000, without quotes
    variable `REFERRALD__PRIMERO__PASSWORD`: unknown key `primero.password` (hint: did you mean `REFERRALD__PRIMERO__PASSWORD_FILE`?)
    variable `REFERRALD__PRIMERO__RATE`: `primero.rate` must be a number from 0.01 to 1000, or `"unlimited"`
    variable `REFERRALD__REFERRALS__RECIPIENTS`: `referrals.recipients` must be text separated by commas, none of them blank
    variable `REFERRALD__SCHEDULE__TIME_ZONE`: `schedule.time_zone` must be a time zone of the IANA database, such as `"UTC"` or `"Africa/Addis_Ababa"` (hint: did you mean `Africa/Addis_Ababa`?)
    variable `REFERRALD____`: unknown key `.` (hint: config/default.toml lists every key)
    "#);
}

#[test]
fn a_list_from_a_variable_is_separated_by_commas() {
    let settings = good(GOOD, &[("REFERRALD__REFERRALS__RECIPIENTS", "one , two")]);
    assert_eq!(settings.referrals.recipients, ["one", "two"]);
}

#[test]
fn the_file_is_read_from_disk_and_a_missing_one_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.toml");
    let said = |path: &Path| {
        Settings::load(path, []).expect_err("refused").to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    assert_eq!(said(&path), "DIR/site.toml: the configuration cannot be read: there is no such file (hint: look at `--config`)");
    assert_eq!(
        said(directory.path()),
        "DIR: the configuration cannot be read: it is a directory (hint: `--config` names the file in it)"
    );
    std::fs::write(&path, b"programme = \"a\"\nenvironment = \"\xff\"\n").unwrap();
    assert_eq!(said(&path), "DIR/site.toml:2: the configuration must be TOML in UTF-8");
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(Settings::load(&path, []).expect("loads").state.directory, directory.path().join("state"));
}
