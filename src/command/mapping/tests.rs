//! What people read on a terminal.

use std::path::Path;

use super::*;
use crate::mapping::examples::Kind;

fn mappings(programme: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings").join(programme)
}

/// What stands on the terminal, paths cut.
fn told(what: impl FnOnce(&mut Shown<Vec<u8>>) -> Result<(), Failure>) -> String {
    let mut shown = Shown { terminal: true, out: Vec::new() };
    let ended = what(&mut shown);
    let text = String::from_utf8(shown.out).unwrap() + &ended.err().map(|failure| failure.to_string()).unwrap_or_default();
    text.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "")
}

#[test]
fn a_check_on_a_terminal() {
    insta::assert_snapshot!(told(|shown| checked::check(&mappings("gambella"), shown)));
}

#[test]
fn a_digest_on_a_terminal() {
    let told = told(|shown| digest::digest(&mappings("gambella"), None, shown));
    let digest = told.lines().nth(1).and_then(|line| line.split_whitespace().last()).unwrap().to_owned();
    insta::assert_snapshot!(told.replace(&digest, "(64 hex digits)"));
}

#[test]
fn the_fields_on_a_terminal() {
    let told = told(|shown| fields::fields(&mappings("dadaab"), None, shown));
    let (first, rest) = told.split_once('\n').unwrap();
    assert!(first.starts_with("Data elements of mapping 1+"), "{first}");
    insta::assert_snapshot!(rest);
}

#[test]
fn a_document_tried_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("item.json");
    std::fs::write(
        &file,
        r#"{"progres_reviewdecision": "125080001", "progres_interoperabiltyreferralrejectionreason": "125080000"}"#,
    )
    .unwrap();
    let tried = told(|shown| attempt::attempt(Kind::ReferralDecision, Some(&file), &mappings("gambella"), None, shown));
    std::fs::write(
        &file,
        r#"{"rows": [{"progres_interventionnumber": "1", "individuals.progres_id": "989-TEST0001", "stranger": 1}]}"#,
    )
    .unwrap();
    let gaps = told(|shown| attempt::attempt(Kind::Intervention, Some(&file), &mappings("gambella"), None, shown));
    insta::assert_snapshot!([tried, gaps].join("\n\n"));
}

/// A folder with all mappings in it.
fn copied() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
            let to = to.join(entry.file_name().unwrap());
            if entry.is_dir() {
                copy(&entry, &to);
            } else {
                std::fs::copy(&entry, &to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for below in ["mappings", "config"] {
        copy(&root.join(below), &folder.path().join(below));
    }
    folder
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn examples_on_a_terminal() {
    let hold = told(|shown| tested::test(&mappings("dadaab"), shown));
    let folder = copied();
    let gambella = folder.path().join("mappings/gambella");
    edit(&gambella.join("tables/sex-in.csv"), "125080002,Other,other_b25f252", "125080002,Other,other");
    edit(&gambella.join("tables/language-out.csv"), "_moro,Moro,Moro\n", "");
    edit(&folder.path().join("mappings/base/reasons.toml"), "in the agreed time", "in time");
    edit(&gambella.join("tables/service-in.csv"), "Alternative Care,alternative_care,Alternative Care,,,\n", "");
    let differ = told(|shown| tested::test(&gambella, shown));
    let short = |text: String| -> String {
        let version = text.lines().find_map(|line| line.strip_prefix("version 1+")).and_then(|rest| rest.get(..12));
        let text = version.map_or(text.clone(), |version| text.replace(version, "(digest)"));
        text.replace(&format!("{}/", folder.path().display()), "")
    };
    insta::assert_snapshot!([short(hold), short(differ)].join("\n\n"));
}

#[test]
fn a_new_mapping_on_a_terminal() {
    let folder = copied();
    let kakuma = folder.path().join("mappings/kakuma");
    let told = told(|shown| new::new(&kakuma, Path::new("gambella"), shown));
    insta::assert_snapshot!(told.replace(&format!("{}/", folder.path().display()), ""));
    let read = |file: &str| std::fs::read_to_string(kakuma.join(file)).unwrap();
    insta::assert_snapshot!("the_decisions_of_a_new_mapping", read("DECISIONS.md"));
    insta::assert_snapshot!("the_settings_of_a_new_mapping", read("config/kakuma.example.toml"));
    insta::assert_snapshot!(
        "the_files_of_a_new_mapping",
        ["mapping.toml", "intervention.toml", "tables/service-in.csv"].map(read).join("\n----\n")
    );
}

/// What the list of decisions says, made from a mapping.
fn decisions(from: &Path) -> String {
    let to = from.with_file_name("kakuma");
    let ended = told(|shown| new::new(&to, from, shown));
    let page = std::fs::read_to_string(to.join("DECISIONS.md")).unwrap_or_else(|_| panic!("{ended}"));
    std::fs::remove_dir_all(to).unwrap();
    page
}

#[test]
fn everything_that_a_country_may_choose_stands_among_its_decisions() {
    let folder = copied();
    for (programme, least) in [("gambella", 10), ("dadaab", 15)] {
        let directory = folder.path().join("mappings").join(programme);
        let (mapping, page) = (Mapping::load(&directory).unwrap(), decisions(&directory));
        let mut rows = 0;
        for (message, row) in mapping.rows().filter(|(_, row)| row.localisable || !row.of_base) {
            let (file, section) = message.written_in();
            let alone = format!("`{file}`, `[[{section}]]` with `to = \"{}\"`", row.target);
            let in_block = mapping.rules(message).blocks.iter().any(|block| {
                block.then.iter().chain(&block.otherwise).any(|of_block| of_block.place == row.place)
                    && page.contains(&format!("`{file}`, `[[block]]` with `name = \"{}\"`", block.name))
                    && page.contains(&format!("- [ ] `{}` (", row.target))
            });
            assert!(page.contains(&alone) || in_block, "{programme}: no decision about {message} {}", row.target);
            let said = format!("{}; {}", row.origin_in_words(), row.rule_in_words());
            assert!(page.contains(&said), "{programme}: not what was chosen for {}: {said}", row.target);
            assert!(row.asked.as_ref().is_none_or(|asked| page.contains(asked)), "{:?}", row.asked);
            rows += 1;
        }
        assert!(rows >= least, "only {rows} rows of {programme}");
        let mut tables = 0;
        for table in mapping.tables().iter().filter(|table| mapping.file_of(table.place).starts_with(&directory)) {
            assert!(page.contains(&format!("The rows of the table `{}`", table.name)), "{programme}: {}", table.name);
            if table.needs_confirmation {
                for row in 0..table.rows.len() {
                    let known = |line: &str| {
                        line.contains(&format!("`{}`", table.key(row)))
                            && line.contains(&format!("becomes `{}`", table.value(row)))
                    };
                    assert!(page.lines().any(known), "{programme}: {} {}", table.name, table.key(row));
                }
            }
            tables += 1;
        }
        assert!(tables >= 6, "only {tables} tables of {programme}");
        assert!(mapping.texts().all(|(_, text)| page.contains(text)), "{programme}: every text that people read");
        for profile in mapping.profiles().into_iter().flatten() {
            assert!(page.contains(&format!("`[[profile]]` with `name = \"{}\"`", profile.name)));
        }
        for list in [
            "flow1.service_types",
            "flow1.agencies",
            "referrals.owner_agencies",
            "consent.require",
            "schedule.time_zone",
            "primero.intake_user",
        ] {
            assert!(page.contains(&format!("`{list}`")), "{programme}: {list}");
        }
        let order = [
            "## 1. Services",
            "## 2. Protection concerns",
            "## 3. Participating agencies",
            "## 4. Languages",
            "## 5. Users",
            "## 6. Consent",
            "## 7. Schedules",
        ];
        let places: Vec<usize> =
            order.iter().map(|heading| page.find(heading).unwrap_or_else(|| panic!("no {heading}"))).collect();
        assert!(places.is_sorted(), "{places:?}");
        let of_services = &page[..places[1]];
        for prerequisite in ["`service-in`", "`service-out`", "`flow1.service_types`", "`referrals.service_types`"] {
            assert!(of_services.contains(prerequisite), "{programme}: {prerequisite} is no service");
        }
    }
}

#[test]
fn a_row_that_the_base_leaves_open_tomorrow_is_a_decision_tomorrow() {
    let folder = copied();
    let directory = folder.path().join("mappings/gambella");
    let place =
        "`intervention.toml`, `[[case]]` with `to = \"age\"`; without one the base's holds (../base/intervention.toml, line ";
    assert!(!decisions(&directory).contains(place));
    let base = folder.path().join("mappings/base/intervention.toml");
    edit(&base, "to = \"age\"\n", "to = \"age\"\nlocalisable = true\n");
    assert!(decisions(&directory).contains(place));
    // What the other country took away is a decision, too.
    let text = std::fs::read_to_string(directory.join("referral.toml")).unwrap();
    let removal = "\n[[referral]]\nto = \"service_type_other\"\nremove = true\nreason = \"Nobody reads it.\"\n";
    std::fs::write(directory.join("referral.toml"), text + removal).unwrap();
    let examples = directory.join("examples");
    for file in std::fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("referrals") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let page = decisions(&directory);
    assert!(
        page.contains("`[[referral]]` with `to = \"service_type_other\"` and `remove = true`")
            && page.contains("Nobody reads it."),
        "{page}"
    );
}
