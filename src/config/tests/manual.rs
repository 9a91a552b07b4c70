//! The manual of settings and the examples keep their word.

use std::collections::BTreeSet;

use super::super::layers::{MANUAL, known_keys};
use super::*;

/// The manual with every commented setting made a setting.
fn uncommented() -> String {
    let is_setting = |line: &&str| {
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        line.starts_with("[[") || line.split_once(" = ").is_some_and(|(name, _)| plain(name))
    };
    let line = |line: &'static str| line.strip_prefix("# ").filter(is_setting).unwrap_or(line);
    MANUAL.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn keys_of(table: &toml::Table, section: &str, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            toml::Value::Table(table) => keys_of(table, &key, keys),
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                keys.insert(key.clone());
                items.iter().filter_map(toml::Value::as_table).for_each(|table| keys_of(table, &key, keys));
            }
            _ => drop(keys.insert(key)),
        }
    }
}

#[test]
fn the_manual_names_every_key_and_no_other() {
    let mut keys = BTreeSet::new();
    keys_of(&uncommented().parse().expect("the manual is TOML"), "", &mut keys);
    assert_eq!(keys, known_keys());
    assert!(keys.len() > 60, "the manual is empty");
}

#[test]
fn every_key_of_the_manual_is_explained_above_it() {
    let lines: Vec<_> = MANUAL.lines().collect();
    let set: Vec<_> = uncommented().lines().map(str::to_owned).collect();
    let mut seen = 0;
    for (number, line) in set.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        seen += 1;
        let above = lines[number - 1];
        // The three keys of the functional contact are explained together.
        let together = line.starts_with("email") || line.starts_with("full_name") || line.starts_with("phone");
        assert!(together || above.starts_with("# "), "line {} has no explanation: {line}", number + 1);
    }
    assert!(seen > 60, "the manual is empty");
}

#[test]
fn an_empty_configuration_lacks_exactly_what_has_no_default() {
    insta::assert_snapshot!(problems("", &[]).join("\n"), @r#"
    config/site.toml: `programme` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `agreement.reference` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `agreement.valid_from` is missing; it must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml: `agreement.valid_until` is missing; it must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml: `inbox.keys` must hold one key at least (hint: `referrald key new` makes one and prints the lines)
    config/site.toml: `primero.url` is missing; it must be the https address of the Primero instance without `/api/v2`, user name and query, such as `"https://cpims.example.org"` (http is for this machine alone)
    config/site.toml: `primero.user_name` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `primero.password_file` is missing; it must be a path in quotes
    config/site.toml: `primero.intake_user` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `dtp.referral_url` is missing; it must be the whole https address that UNHCR gave, without user name and subscription key
    config/site.toml: `dtp.decision_url` is missing; it must be the whole https address that UNHCR gave, without user name and subscription key
    config/site.toml: `dtp.subscription_key_file` is missing; it must be a path in quotes
    config/site.toml: `dtp.certificate_file` is missing; it must be a path in quotes
    config/site.toml: `dtp.key_file` is missing; it must be a path in quotes
    config/site.toml: `schedule.start_from` is missing; it must be a date, such as `"2027-06-30"`, or a time with its zone, such as `"2027-06-30T12:00:00Z"`
    config/site.toml: `administrator.email` is missing; it must be an e-mail address, such as `"cpims@example.org"`
    config/site.toml: `administrator.full_name` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `administrator.phone` is missing; it must be text in quotes, on one line and not blank
    config/site.toml: `mapping.directory` is missing; it must be a path in quotes
    config/site.toml: `state.directory` is missing; it must be a path in quotes
    config/site.toml: `state.key_files` is missing; it must be a list of paths of files, such as `["secrets/state.key"]`, one at least
    "#);
}

#[test]
fn the_manual_itself_is_a_configuration_that_is_not_filled_in() {
    let said = problems(&uncommented(), &[]);
    assert!(said.len() > 20, "the manual has no placeholders");
    for line in said {
        assert!(line.ends_with("` is not filled in yet"), "{line}");
    }
}

#[test]
fn the_examples_load_once_they_are_filled_in() {
    for (name, example) in [
        ("example", include_str!("../../../config/example.toml")),
        ("gambella", include_str!("../../../config/gambella.example.toml")),
        ("dadaab", include_str!("../../../config/dadaab.example.toml")),
    ] {
        let refused = problems(example, &[]);
        assert!(
            !refused.is_empty() && refused.iter().all(|line| line.ends_with("` is not filled in yet")),
            "{name}: {refused:?}"
        );

        let fill = |line: &str| {
            let value = match line.split_once(" = ").map(|(key, _)| key) {
                Some("valid_from" | "start_from") => "2026-01-01",
                Some("valid_until") => "2027-12-31",
                Some("sha256") => "2222222222222222222222222222222222222222222222222222222222222222",
                Some("time_zone") => "Africa/Nairobi",
                Some("email") => "cpims@example.org",
                _ => "example.org",
            };
            line.replace('…', value)
        };
        let filled: Vec<_> =
            example.lines().map(|line| if line.starts_with('#') { line.to_owned() } else { fill(line) }).collect();
        let filled = filled.join("\n").replace("to_primero = false", "to_primero = true");
        let zone = match name {
            "gambella" => Some("Africa/Addis_Ababa".parse().unwrap()),
            "dadaab" => Some("Africa/Nairobi".parse().unwrap()),
            _ => None,
        };
        if let Some(zone) = zone {
            let settings = good(&filled.replace("to_dtp = false", "to_dtp = true"), &[]);
            assert_eq!(settings.mapping_directory, Path::new("config/../mappings").join(name));
            assert_eq!(settings.schedule.time_zone, zone);
        } else {
            assert_eq!(
                problems(&filled, &[]).len(),
                1,
                "only the list of service types is missing: {:?}",
                problems(&filled, &[])
            );
            good(&filled.replace("to_primero = true", "to_primero = false"), &[]);
        }
    }
}

#[test]
fn the_defaults_are_those_that_were_agreed() {
    let settings = good(GOOD, &[]);
    let inbox = &settings.inbox;
    insta::assert_compact_debug_snapshot!((settings.environment, settings.admin, settings.activity_file), @"(Test, Admin { listen: 127.0.0.1:9090 }, None)");
    insta::assert_compact_debug_snapshot!(
        (inbox.listen, &inbox.path, inbox.max_body, inbox.max_waiting, inbox.max_connections, inbox.behind_proxy, &inbox.trusted_proxies), @r#"(127.0.0.1:8080, "/inbox", 1048576, 100000, 1024, false, [])"#);
    insta::assert_compact_debug_snapshot!((settings.delivery, settings.state.keep_settled, settings.state.max_size), @"(Delivery { first_pause: 5s, longest_pause: 900s, alarm_after: 14400s, give_up_after: 259200s }, 15552000s, 2147483648)");
    insta::assert_compact_debug_snapshot!((settings.consent, settings.flow1, settings.referrals), @r#"(Consent { require: ["consent_for_services", "disclosure_other_orgs"], hold_if_set: [], valid_until_field: None, exception: Hold }, Flow1 { closed_case: Hold, hold_for: 86400s, service_types: ["Alternative Care"], agencies: [] }, Referrals { implementing_agencies: ["UNHCR"], recipients: ["unhcr_cw"], recipient_agencies: [], owner_agencies: ["agency-1"], service_types: ["alternative_care"], modules: ["primeromodule-cp"] })"#);
    let (primero, dtp) = (settings.primero, settings.dtp);
    insta::assert_compact_debug_snapshot!((primero.timeout, primero.parallel, primero.rate, dtp.timeout, dtp.parallel), @"(30s, 2, PerSecond(8.0), 60s, 4)");
    insta::assert_compact_debug_snapshot!((dtp.subscription_key_header, dtp.thumbprint_header), @r#"("Ocp-Apim-Subscription-Key", Some("X-Client-Cert-Thumbprint"))"#);
    let schedule = settings.schedule;
    insta::assert_compact_debug_snapshot!(
        (schedule.time_zone, schedule.referrals.as_str(), schedule.decisions.as_str(), schedule.at_start, schedule.overlap), @r#"(UTC, "0 */10 * * * *", "0 5/10 * * * *", true, 300s)"#);
}
