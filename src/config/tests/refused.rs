//! What is refused, with the whole message.

use super::*;

/// What is said about the good configuration with one line replaced or added.
fn said(section: &str, line: &str, other: &str) -> String {
    problems(&with(section, line, other), &[]).join("\n")
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("valid_until = \"2027-12-31\"", "valid_until = \"31.12.2027\"")
        .replace("certificate_file", "certificat")
        .replace("[mapping]\ndirectory", "[maping]\ndirectory")
        .replace("to_dtp = true", "to_dtp = \"on\"")
        .replace("user_name = \"referrald\"\n", "")
        .replace(
            "key_files = [\"secrets/state.key\"]",
            "key_files = [\"secrets/state.key\"]\nkeep_settled = \"180\"\nmax_size = 2",
        );
    insta::assert_snapshot!(problems(&text, &[("REFERRALD__DELIVERY__FIRST_PAUSE", "soon")]).join("\n"), @r#"
    config/site.toml:6: `agreement.valid_until` must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml:10: `flows.to_dtp` must be `true` or `false`, without quotes
    config/site.toml:18: `primero.user_name` is missing; it must be text in quotes, on one line and not blank
    config/site.toml:23: `dtp.certificate_file` is missing; it must be a path in quotes
    config/site.toml:27: unknown key `dtp.certificat` (hint: did you mean `dtp.certificate_file`?)
    config/site.toml:49: unknown section `maping` (hint: did you mean `mapping`?)
    config/site.toml:55: `state.keep_settled` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    config/site.toml:56: `state.max_size` must be a size with its unit, such as `"512 KiB"`, `"1 MiB"` or `"2 GiB"`
    config/site.toml: `mapping.directory` is missing; it must be a path in quotes
    variable `REFERRALD__DELIVERY__FIRST_PAUSE`: `delivery.first_pause` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    "#);
}

#[test]
fn a_file_that_is_no_toml_is_one_sentence_without_its_content() {
    let texts = [
        "programme = \"a\"\nMarker-Password\n",
        "{\"programme\": \"Marker-Password\"}",
        "programme = Marker-Password",
        "programme = \"a\"\nprogramme = \"Marker-Password\"",
        "programme = \"Marker-Password",
    ];
    let said: Vec<_> = texts.iter().map(|text| problems(text, &[]).join("\n")).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    config/site.toml:2: the configuration must be TOML: key with no value, expected `=`
    config/site.toml:1: the configuration must be TOML: invalid key-value pair, expected key
    config/site.toml:1: the configuration must be TOML: string values must be quoted, expected literal string
    config/site.toml:2: the configuration must be TOML: duplicate key
    config/site.toml:1: the configuration must be TOML: invalid basic string, expected `"`
    "#);
}

#[test]
fn no_message_repeats_a_value() {
    // Somebody pastes a password into every line there is.
    let known = super::super::layers::known_keys();
    let mut seen = 0;
    for key in known.iter().filter(|key| !key.starts_with("inbox.keys")) {
        let variable = format!("REFERRALD__{}", key.replace('.', "__").to_uppercase());
        for value in ["Marker-Password", "Marker-Password\nx", "https://user:Marker-Password@example.org/a"] {
            let said = problems(GOOD, &[(&variable, value)]);
            seen += said.len();
            assert!(said.iter().all(|line| !line.contains("Marker")), "{said:?}");
        }
    }
    assert!(seen > 60, "nothing was refused");
    let pasted = problems(&GOOD.replace("sha256 = \"1111", "sha256 = \"Marker-Key"), &[]);
    assert_eq!(
        pasted,
        ["config/site.toml:16: `inbox.keys.sha256` must be the SHA-256 of the key's text, 64 hex digits, never the key itself \
          (hint: `referrald key new` prints the line)"]
    );
}

#[test]
fn each_kind_of_value_says_what_is_allowed() {
    let mut all = Vec::new();
    for (section, line, other) in [
        ("", "programme = \"kakuma\"", "programme = 5"),
        ("", "programme = \"kakuma\"", "programme = \" \""),
        ("", "programme = \"kakuma\"", "programme = \"…\""),
        ("", "programme = \"kakuma\"", "programme = \"kakuma\"\nenvironment = \"prod\""),
        ("agreement", "2026-01-01", "2026-1-1"),
        ("agreement", "2026-01-01", "2026-02-30"),
        ("agreement", "2026-01-01", "2026-01-01T00:00:00"),
        ("flows", "to_dtp = true", "to_dtp = 1"),
        ("inbox", "", "listen = \"localhost:8080\""),
        ("inbox", "", "path = \"inbox\""),
        ("inbox", "", "path = \"/{any}\""),
        ("inbox", "", "max_body = \"1\""),
        ("inbox", "", "max_body = \"0 MiB\""),
        ("inbox", "", "max_waiting = \"100\""),
        ("inbox", "", "max_waiting = 0"),
        ("inbox", "", "max_waiting = 99999999999999999999"),
        ("inbox", "", "max_connections = -1"),
        ("primero", "", "timeout = \"30\""),
        ("primero", "", "timeout = \"0s\""),
        ("primero", "", "timeout = \"11 years\""),
        ("primero", "", "timeout = \"1M\""),
        ("primero", "", "rate = \"8\""),
        ("primero", "", "rate = 0"),
        ("primero", "", "rate = nan"),
        ("primero", "secrets/primero", ""),
        ("dtp", "", "thumbprint = \"12\""),
        ("dtp", "", "subscription_key_header = \"a b\""),
        ("dtp", "", "thumbprint_header = \"a:b\""),
        ("schedule", "", "time_zone = \"Africa/Addis Ababa\""),
        ("schedule", "", "time_zone = \"EAT\""),
        ("schedule", "", "referrals = \"*/10 * * * *\""),
        ("schedule", "", "referrals = \"@hourly\""),
        ("schedule", "", "referrals = \"0 0 0 31 2 *\""),
        ("schedule", "", "referrals = \"0 99 * * * *\""),
        ("schedule", "", "overlap = \"none\""),
        ("flow1", "[\"Alternative Care\"]", "\"Alternative Care\""),
        ("referrals", "[\"UNHCR\"]", "[\"UNHCR\", \"\"]"),
        ("referrals", "[\"UNHCR\"]", "[1]"),
        ("flow1", "", "closed_case = \"open\""),
        ("flow1", "", "hold_for = \"7 days\""),
        ("consent", "", "exception = \"maybe\""),
        ("consent", "", "valid_until_field = 3"),
        ("administrator", "cpims@example.org", "cpims"),
        ("state", "[\"secrets/state.key\"]", "[]"),
        ("state", "[\"secrets/state.key\"]", "\"secrets/state.key\""),
        ("state", "[\"secrets/state.key\"]", "[\"secrets/state.key\"]\n[delivery]\ngive_up_after = \"168h\""),
    ] {
        let said = said(section, line, other);
        assert_eq!(said.lines().count(), 1, "{section} {other}: {said}");
        all.push(said);
    }
    insta::assert_snapshot!(all.join("\n"), @r#"
    config/site.toml:1: `programme` must be text in quotes, on one line and not blank
    config/site.toml:1: `programme` must be text in quotes, on one line and not blank
    config/site.toml:1: `programme` is not filled in yet
    config/site.toml:2: `environment` must be one of `"test"`, `"production"`
    config/site.toml:5: `agreement.valid_from` must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml:5: `agreement.valid_from` must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml:5: `agreement.valid_from` must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml:10: `flows.to_dtp` must be `true` or `false`, without quotes
    config/site.toml:13: `inbox.listen` must be an IP address and a port, such as `"127.0.0.1:8080"` or `"[::1]:8080"`
    config/site.toml:13: `inbox.path` must begin with `/` and hold only A-Z a-z 0-9 - _ . ~ /
    config/site.toml:13: `inbox.path` must begin with `/` and hold only A-Z a-z 0-9 - _ . ~ /
    config/site.toml:13: `inbox.max_body` must be a size with its unit, such as `"512 KiB"`, `"1 MiB"` or `"2 GiB"`
    config/site.toml:13: `inbox.max_body` must be a size with its unit, such as `"512 KiB"`, `"1 MiB"` or `"2 GiB"`
    config/site.toml:13: `inbox.max_waiting` must be a whole number from 1 to 10000000, without quotes
    config/site.toml:13: `inbox.max_waiting` must be a whole number from 1 to 10000000, without quotes
    config/site.toml:13: `inbox.max_waiting` must be a whole number from 1 to 10000000, without quotes
    config/site.toml:13: `inbox.max_connections` must be a whole number from 1 to 65535, without quotes
    config/site.toml:19: `primero.timeout` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    config/site.toml:19: `primero.timeout` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    config/site.toml:19: `primero.timeout` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    config/site.toml:19: `primero.timeout` must be a duration with its unit, such as `"500ms"`, `"15m"` or `"180 days"`, longer than nothing and at most 10 years
    config/site.toml:19: `primero.rate` must be a number from 0.01 to 1000, or `"unlimited"`
    config/site.toml:19: `primero.rate` must be a number from 0.01 to 1000, or `"unlimited"`
    config/site.toml:19: `primero.rate` must be a number from 0.01 to 1000, or `"unlimited"`
    config/site.toml:21: `primero.password_file` must be a path in quotes
    config/site.toml:25: `dtp.thumbprint` must be a SHA-1 thumbprint, 40 hex digits, separators allowed (hint: `referrald certificate` prints it)
    config/site.toml:25: `dtp.subscription_key_header` must be the name of an HTTP header, such as `"X-Example"`
    config/site.toml:25: `dtp.thumbprint_header` must be the name of an HTTP header, such as `"X-Example"`; `""` means none
    config/site.toml:32: `schedule.time_zone` must be a time zone of the IANA database, such as `"UTC"` or `"Africa/Addis_Ababa"` (hint: did you mean `Africa/Addis_Ababa`?)
    config/site.toml:32: `schedule.time_zone` must be a time zone of the IANA database, such as `"UTC"` or `"Africa/Addis_Ababa"` (hint: did you mean `EST`?)
    config/site.toml:32: `schedule.referrals` must be a cron expression of six fields that comes at least once: second, minute, hour, day, month, weekday, such as `"0 */10 * * * *"`
    config/site.toml:32: `schedule.referrals` must be a cron expression of six fields that comes at least once: second, minute, hour, day, month, weekday, such as `"0 */10 * * * *"`
    config/site.toml:32: `schedule.referrals` must be a cron expression of six fields that comes at least once: second, minute, hour, day, month, weekday, such as `"0 */10 * * * *"`
    config/site.toml:32: `schedule.referrals` must be a cron expression of six fields that comes at least once: second, minute, hour, day, month, weekday, such as `"0 */10 * * * *"`
    config/site.toml:32: `schedule.overlap` must be a duration with its unit, such as `"0s"`, `"5m"` or `"2 hours"`, at most 10 years
    config/site.toml:35: `flow1.service_types` must be a list of texts, such as `["one", "two"]`, none of them blank
    config/site.toml:38: `referrals.implementing_agencies` must be a list of texts, such as `["one", "two"]`, none of them blank
    config/site.toml:38: `referrals.implementing_agencies` must be a list of texts, such as `["one", "two"]`, none of them blank
    config/site.toml:35: `flow1.closed_case` must be one of `"hold"`, `"reopen"`, `"refuse"`
    config/site.toml:35: `flow1.hold_for` must be a duration with its unit, such as `"24h"` or `"72h"`, longer than nothing and shorter than 7 days, after which what UNHCR posted is erased in any case
    config/site.toml:44: `consent.exception` must be one of `"hold"`, `"send"`, `"never"`
    config/site.toml:44: `consent.valid_until_field` must be text in quotes; `""` means none
    config/site.toml:46: `administrator.email` must be an e-mail address, such as `"cpims@example.org"`
    config/site.toml:55: `state.key_files` must be a list of paths of files, such as `["secrets/state.key"]`, one at least
    config/site.toml:55: `state.key_files` must be a list of paths of files, such as `["secrets/state.key"]`, one at least
    config/site.toml:57: `delivery.give_up_after` must be a duration with its unit, such as `"24h"` or `"72h"`, longer than nothing and shorter than 7 days, after which what UNHCR posted is erased in any case
    "#);
}

#[test]
fn addresses_must_be_encrypted_and_hold_no_secret() {
    let primero = "config/site.toml:19: `primero.url` must be the https address of the Primero instance without `/api/v2`, user name \
                   and query, such as `\"https://cpims.example.org\"` (http is for this machine alone)";
    for bad in [
        "http://cpims.example.org",
        "https://a:b@cpims.example.org",
        "https://cpims.example.org/api/v2",
        "cpims.example.org",
        "https://cpims.example.org?x=1",
        "ftp://localhost",
        "http://127.0.0.1.example.org",
    ] {
        assert_eq!(said("primero", "https://cpims.example.org", bad), primero, "{bad}");
    }
    for fine in ["http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "https://cpims.example.org/"] {
        assert_eq!(said("primero", "https://cpims.example.org", fine), "", "{fine}");
    }
    let dtp = "config/site.toml:25: `dtp.referral_url` must be the whole https address that UNHCR gave, without user name and \
               subscription key";
    for bad in [
        "http://localhost/ReceiveIncomingReferral",
        "https://dtp.example.org/R?Subscription-Key=x",
        "https://k@dtp.example.org/R",
    ] {
        assert_eq!(said("dtp", "https://dtp.example.org/ReceiveIncomingReferral", bad), dtp, "{bad}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut all = Vec::new();
    for (section, line, other) in [
        ("agreement", "2027-12-31", "2025-12-31"),
        ("inbox", "", "listen = \"0.0.0.0:8080\""),
        ("inbox", "", "listen = \"[::]:8080\""),
        ("inbox", "", "listen = \"127.0.0.1:9090\""),
        ("inbox", "", "listen = \"0.0.0.0:9090\"\nbehind_proxy = true"),
        ("inbox", "", "trusted_proxies = [\"10.0.0.1\"]"),
        ("inbox", "", "tls = { certificate_file = \"a\" }"),
        ("inbox", "", "tls = { key_file = \"a\" }"),
        ("primero", "", "parallel = 6"),
        ("primero", "", "parallel = 6\nrate = 100"),
        ("primero", "user_name = \"referrald\"", "user_name = \"a:b\""),
        ("dtp", "ReceiveDecisionOutgoingReferral", "ReceiveIncomingReferral"),
        ("dtp", "ReceiveIncomingReferral", "x/ReceiveDecisionOutgoingReferral"),
        ("dtp", "https://dtp.example.org/ReceiveDecisionOutgoingReferral", "https://dtp.example.org/ReceiveIncomingReferral?"),
        ("dtp", "", "subscription_key_header = \"x-client-cert-thumbprint\""),
        ("flow1", "[\"Alternative Care\"]", "[]"),
        ("referrals", "[\"UNHCR\"]", "[]"),
        ("referrals", "recipients = [\"unhcr_cw\"]\n", ""),
        ("referrals", "[\"agency-1\"]", "[]"),
        ("referrals", "[\"alternative_care\"]", "[]"),
        ("referrals", "", "modules = []"),
        ("consent", "", "require = []"),
        ("state", "secrets/state.key", "state/state.key"),
        ("state", "directory = \"state\"", "directory = \"secrets/../.\""),
    ] {
        all.push(format!("{section} {}\n{}\n", other.replace('\n', " "), said(section, line, other)));
    }
    insta::assert_snapshot!(all.join("\n"), @r#"
    agreement 2025-12-31
    config/site.toml:6: `agreement.valid_until` must not lie before `agreement.valid_from`

    inbox listen = "0.0.0.0:8080"
    config/site.toml:13: `inbox.listen` is open to the network without encryption (hint: give `inbox.tls`, or set `inbox.behind_proxy = true` where a proxy ends TLS)

    inbox listen = "[::]:8080"
    config/site.toml:13: `inbox.listen` is open to the network without encryption (hint: give `inbox.tls`, or set `inbox.behind_proxy = true` where a proxy ends TLS)

    inbox listen = "127.0.0.1:9090"
    config/site.toml: `admin.listen` must not be the address of `inbox.listen`: what the operator sees is not for DTP

    inbox listen = "0.0.0.0:9090" behind_proxy = true
    config/site.toml: `admin.listen` must not be the address of `inbox.listen`: what the operator sees is not for DTP

    inbox trusted_proxies = ["10.0.0.1"]
    config/site.toml:13: `inbox.trusted_proxies` names proxies, but `inbox.behind_proxy` is false

    inbox tls = { certificate_file = "a" }
    config/site.toml:13: `inbox.tls.key_file` is missing beside `inbox.tls.certificate_file`

    inbox tls = { key_file = "a" }
    config/site.toml:13: `inbox.tls.certificate_file` is missing beside `inbox.tls.key_file`

    primero parallel = 6
    config/site.toml:19: `primero.parallel` may be more than 5 only with `primero.rate = "unlimited"`

    primero parallel = 6 rate = 100
    config/site.toml:19: `primero.parallel` may be more than 5 only with `primero.rate = "unlimited"`

    primero user_name = "a:b"
    config/site.toml:20: `primero.user_name` must not hold a colon: HTTP Basic could not carry it

    dtp ReceiveIncomingReferral
    config/site.toml:26: `dtp.decision_url` must not be the address of `dtp.referral_url`: UNHCR gives one for each
    config/site.toml:26: `dtp.decision_url` must not end in `/ReceiveIncomingReferral`, which is the other of the two addresses

    dtp x/ReceiveDecisionOutgoingReferral
    config/site.toml:25: `dtp.referral_url` must not end in `/ReceiveDecisionOutgoingReferral`, which is the other of the two addresses

    dtp https://dtp.example.org/ReceiveIncomingReferral?
    config/site.toml:26: `dtp.decision_url` must not end in `/ReceiveIncomingReferral`, which is the other of the two addresses

    dtp subscription_key_header = "x-client-cert-thumbprint"
    config/site.toml:24: `dtp.thumbprint_header` must not be the header of `dtp.subscription_key_header`

    flow1 []
    config/site.toml:35: `flow1.service_types` is empty while `flows.to_primero` is on: nothing could come in (hint: list the agreed labels of proGres)

    referrals []
    config/site.toml:38: `referrals.implementing_agencies` is empty while `flows.to_dtp` is on: nothing could leave (hint: list the agencies whose services are UNHCR's)

    referrals 
    config/site.toml:37: `referrals.recipients` is empty, and `referrals.recipient_agencies` too, while `flows.to_dtp` is on: nothing could leave (hint: list the user names of Primero to whom UNHCR's referrals are sent)

    referrals []
    config/site.toml:40: `referrals.owner_agencies` is empty while `flows.to_dtp` is on: nothing could leave (hint: list the agencies that have signed)

    referrals []
    config/site.toml:41: `referrals.service_types` is empty while `flows.to_dtp` is on: nothing could leave (hint: list the option ids of Primero that may leave)

    referrals modules = []
    config/site.toml:38: `referrals.modules` is empty while `flows.to_dtp` is on: nothing could leave (hint: list the modules of Primero that may leave)

    consent require = []
    config/site.toml:44: `consent.require` is empty while `flows.to_dtp` is on: referrals would leave without consent (hint: list the fields of a case that record it)

    state state/state.key
    config/site.toml:55: `state.key_files` must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a directory of their own)

    state directory = "secrets/../."
    config/site.toml:21: `primero.password_file` must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a directory of their own)
    config/site.toml:27: `dtp.subscription_key_file` must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a directory of their own)
    config/site.toml:29: `dtp.key_file` must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a directory of their own)
    config/site.toml:55: `state.key_files` must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a directory of their own)
    "#);
}

#[test]
fn what_only_looks_contradictory_is_taken() {
    for (section, line, other) in [
        ("agreement", "2027-12-31", "2026-01-01"),
        ("inbox", "", "listen = \"0.0.0.0:8080\"\nbehind_proxy = true"),
        ("inbox", "", "listen = \"[::]:8443\"\ntls = { certificate_file = \"a\", key_file = \"b\" }"),
        ("inbox", "", "listen = \"[::ffff:127.0.0.1]:8080\""),
        ("primero", "", "parallel = 6\nrate = \"unlimited\""),
        ("referrals", "recipients = [\"unhcr_cw\"]", "recipient_agencies = [\"UNHCR\"]"),
    ] {
        assert_eq!(said(section, line, other), "", "{other}");
    }
    let off = GOOD.replace("= true", "= false").replace("[\"UNHCR\"]", "[]").replace("[\"Alternative Care\"]", "[]");
    good(&off, &[]);
    let shorter = good(GOOD, &[("REFERRALD__DELIVERY__LONGEST_PAUSE", "1s")]).delivery;
    assert_eq!(shorter.first_pause, shorter.longest_pause);
}

#[test]
fn inbox_keys_are_each_looked_at() {
    let second = "[[inbox.keys]]\nname = \"first\"\nsha256 = \"1111111111111111111111111111111111111111111111111111111111111111\"\nexpire = \"2027-01-01\"\n\n\
                  [[inbox.keys]]\n\n[primero]";
    insta::assert_snapshot!(problems(&GOOD.replace("[primero]", second), &[]).join("\n"), @"
    config/site.toml:19: `inbox.keys.name` is used by another key before
    config/site.toml:20: `inbox.keys.sha256` is given for another key before
    config/site.toml:21: unknown key `inbox.keys.expire` (hint: did you mean `inbox.keys.expires`?)
    config/site.toml:23: `inbox.keys.name` is missing; it must be text in quotes, on one line and not blank
    config/site.toml:23: `inbox.keys.sha256` is missing; it must be the SHA-256 of the key's text, 64 hex digits, never the key itself (hint: `referrald key new` prints the line)
    ");
    let none = GOOD.replace("[[inbox.keys]]", "[x]");
    insta::assert_snapshot!(problems(&none, &[]).join("\n"), @"
    config/site.toml:12: `inbox.keys` must hold one key at least (hint: `referrald key new` makes one and prints the lines)
    config/site.toml:14: unknown section `x` (hint: config/default.toml lists every key)
    ");
    let single = GOOD.replace("[[inbox.keys]]", "[inbox.keys]");
    insta::assert_snapshot!(problems(&single, &[]).join("\n"), @"config/site.toml:14: `inbox.keys` must be a list of sections: write `[[inbox.keys]]` for each and its keys below");
}

#[test]
fn a_section_must_be_a_section_and_a_key_a_key() {
    let text = GOOD
        .replace("[consent]\n", "")
        .replace("programme = \"kakuma\"", "programme = \"kakuma\"\nconsent = \"yes\"")
        .replace("[inbox]", "[inbox]\ntls = true");
    insta::assert_snapshot!(problems(&text, &[]).join("\n"), @"
    config/site.toml:2: `consent` must be a section: write `[consent]` and its keys below
    config/site.toml:14: `inbox.tls` must be a section: write `[inbox.tls]` and its keys below
    ");
    let text = GOOD.replace("programme = \"kakuma\"", "programme = \"kakuma\"\n\n\"Marker \\\"x\" = 1");
    insta::assert_snapshot!(problems(&text, &[]).join("\n"), @"config/site.toml:3: unknown key");
    let text = GOOD
        .replace("[consent]\n", "[consent.require]\na = 1\n[schedule.referral]\n[dpt]\ntimeout = \"1s\"\n")
        .replace("[dtp]", "[dtp]\npassword_file = \"x\"\ncolour = 1");
    insta::assert_snapshot!(problems(&text, &[]).join("\n"), @r#"
    config/site.toml:25: unknown key `dtp.password_file` (hint: did you mean `primero.password_file`?)
    config/site.toml:26: unknown key `dtp.colour` (hint: config/default.toml lists every key)
    config/site.toml:45: `consent.require` must be a list of texts, such as `["one", "two"]`, none of them blank
    config/site.toml:47: unknown section `schedule.referral` (hint: did you mean `schedule.referrals`?)
    config/site.toml:48: unknown section `dpt` (hint: did you mean `dtp`?)
    "#);
}

#[test]
fn a_symbolic_link_does_not_hide_a_key_in_the_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("state")).unwrap();
    std::os::unix::fs::symlink(path("state"), path("secrets")).unwrap();
    let said = Settings::from_text(&path("site.toml"), GOOD, []).expect_err("refused");
    let key = |line: &String| line.split('`').nth(1).unwrap().to_owned();
    assert_eq!(
        said.0.iter().map(key).collect::<Vec<_>>(),
        ["primero.password_file", "dtp.subscription_key_file", "dtp.key_file", "state.key_files"]
    );
}
