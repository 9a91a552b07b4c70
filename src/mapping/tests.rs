//! Tests of the room: the programme's own mapping, its examples, and what a careless change does.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{examples::Examples, *};

mod approval;
mod language;
mod layers;
mod problems;
mod profiles;
mod questions;
mod reference;
mod spreadsheets;

fn mappings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

fn gambella() -> PathBuf {
    mappings().join("gambella")
}

const PROGRAMMES: [&str; 2] = ["gambella", "dadaab"];

fn loaded() -> Mapping {
    Mapping::load(&gambella()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A copy of a programme's mapping and its base that a test may spoil. Files are named from above both: `base/referral.toml`.
struct Copy(TempDir, &'static str);

impl Copy {
    /// Gambella's.
    fn new() -> Self {
        Self::of("gambella")
    }

    fn of(programme: &'static str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let own = ["", "/tables", "/examples"].map(|below| format!("{programme}{below}"));
        for below in ["base", "base/tables"].into_iter().chain(own.iter().map(String::as_str)) {
            fs::create_dir_all(copy.path().join(below)).unwrap();
            for file in files_in(&mappings().join(below)) {
                fs::copy(mappings().join(below).join(&file), copy.path().join(below).join(&file)).unwrap();
            }
        }
        Self(copy, programme)
    }

    fn programme(&self) -> PathBuf {
        self.0.path().join(self.1)
    }

    fn load(&self) -> Result<Mapping, Problems> {
        Mapping::load(&self.programme())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    /// Replaces a text that stands in the file.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// What is found of a grade, paths cut to the directory.
    fn found(&self, grade: Grade) -> Vec<String> {
        let (_, findings) = Mapping::inspect(&self.programme());
        let directory = format!("{}/", self.0.path().display());
        let found = findings.iter().filter(|finding| finding.grade == grade);
        found.map(|finding| finding.to_string().replace(&directory, "")).collect()
    }

    fn problems(&self) -> Vec<String> {
        self.found(Grade::Problem)
    }

    fn is_found_out(&self, examples: &Examples) -> bool {
        self.load().map_or(true, |mapping| examples.failures(&mapping).next().is_some())
    }
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn the_examples_of_the_mapping_hold() {
    for (programme, least) in PROGRAMMES.into_iter().zip([150, 50]) {
        let directory = mappings().join(programme);
        let mapping = Mapping::load(&directory).unwrap_or_else(|problems| panic!("{problems}"));
        let ran = examples::run(&mapping, &directory);
        assert_eq!(ran.findings(), []);
        assert!(ran.tried() > least, "only {} examples of {programme} were run", ran.tried());
    }
}

#[test]
fn every_table_row_is_held_by_an_example() {
    let tried = PROGRAMMES.map(table_rows_held);
    assert_eq!(tried, [4 + 13 + 4 + 2 + 36 + 23 + 2 + 2 + 3, 4 + 4 + 3 + 5 + 3 + 3 + 3 + 3 + 3]);
}

/// Spoils every row of a programme's own tables, and of the base's for the first programme; how many.
fn table_rows_held(programme: &'static str) -> usize {
    let own = mappings().join(programme);
    let (copy, examples) = (Copy::of(programme), Examples::read(&own));
    assert!(!copy.is_found_out(&examples));
    let mut tried = 0;
    for table in &copy.load().unwrap().tables {
        let layer = if own.join(format!("tables/{}.csv", table.name)).exists() { programme } else { "base" };
        if layer == "base" && programme != PROGRAMMES[0] {
            continue;
        }
        let file = format!("{layer}/tables/{}.csv", table.name);
        let whole = copy.read(&file);
        for at in 0..table.rows.len() {
            let spoil = |how: &dyn Fn(&mut Vec<Vec<String>>)| {
                let mut rows = table.rows.clone();
                how(&mut rows);
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(&table.columns).unwrap();
                rows.iter().for_each(|row| writer.write_record(row).unwrap());
                copy.write(&file, &String::from_utf8(writer.into_inner().unwrap()).unwrap());
                copy.is_found_out(&examples)
            };
            let key = &table.rows[at][0];
            assert!(spoil(&|rows| drop(rows.remove(at))), "{file}: the row of {key} can be removed unnoticed");
            for column in [&table.looked_up, &table.written] {
                let column = table.columns.iter().position(|name| name == column).unwrap();
                let found = spoil(&|rows| rows[at][column].push('~'));
                assert!(found, "{file}: the row of {key} can be changed unnoticed in column {column}");
            }
            tried += 1;
        }
        copy.write(&file, &whole);
    }
    tried
}

#[test]
fn every_line_of_the_rules_is_held_by_an_example() {
    let base = ["intervention.toml", "feedback.toml", "referral.toml", "decision.toml", "reasons.toml"];
    let (tried, unnoticed) = lines_held("gambella", base.map(|name| format!("base/{name}")));
    // The age refuses a date of birth in the future as well, and there is no intervention without its number.
    assert_eq!(unnoticed, ["base/intervention.toml: not_after_today = true -> ", "base/intervention.toml: required = true -> "]);
    assert!(tried > 400, "only {tried} changes were tried");
    let (tried, unnoticed) = lines_held("dadaab", []);
    // Both agencies are read from one field: what the one row does not refuse for want of it, the other does.
    assert_eq!(unnoticed, ["dadaab/referral.toml: required = true -> "; 2]);
    assert!(tried > 100, "only {tried} changes were tried");
}

/// Spoils every line of a programme's own rules, and of these files: how many were tried, and those that nothing noticed.
fn lines_held(programme: &'static str, files: impl IntoIterator<Item = String>) -> (usize, Vec<String>) {
    let for_people = ["form =", "localisable =", "decide =", "reason =", "name =", "#"];
    let own = mappings().join(programme);
    let (copy, examples) = (Copy::of(programme), Examples::read(&own));
    let (mut tried, mut unnoticed) = (0, Vec::new());
    let mut rules = files_in(&own);
    rules.retain(|name| name != "mapping.toml");
    rules.sort();
    for file in files.into_iter().chain(rules.into_iter().map(|name| format!("{programme}/{name}"))) {
        let whole = copy.read(&file);
        let lines: Vec<&str> = whole.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.is_empty() || for_people.iter().any(|starts| line.starts_with(starts)) {
                continue;
            }
            let mut spoilt = vec![String::new()];
            // Every text in the line, one at a time.
            let quotes: Vec<usize> = line.match_indices('"').map(|(at, _)| at).collect();
            spoilt.extend(quotes.chunks(2).map(|quote| format!("{}~{}", &line[..quote[1]], &line[quote[1]..])));
            let other_write = ["if_empty", "create"].into_iter().filter(|_| line.starts_with("write"));
            spoilt.extend(other_write.map(|write| format!("write = \"{write}\"")));
            for spoilt in spoilt.iter().filter(|spoilt| spoilt != line) {
                let mut lines = lines.clone();
                lines[at] = spoilt;
                copy.write(&file, &lines.join("\n"));
                if !copy.is_found_out(&examples) {
                    unnoticed.push(format!("{file}: {line} -> {spoilt}"));
                }
                tried += 1;
            }
        }
        copy.write(&file, &whole);
    }
    (tried, unnoticed)
}
