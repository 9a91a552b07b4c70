//! The habits of the house: what every file has, which way the rooms look, and that the documents name everything they must.
//!
//! It reads sources and documents as text; it starts nothing.

#![allow(clippy::unwrap_used, reason = "all of this file is test, and a file that cannot be read fails it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use referrald::{
    activity::{Basis, Event, Outcome},
    alerts::policy::Topic,
    referral::{Errand, Flow, State, System},
    spool::list::Kind,
};

const DATA_PROTECTION: &str = include_str!("../../docs/data-protection.md");
const BEING_TOLD: &str = include_str!("../../docs/operations/alerts.md");
const OPERATIONS: &str = include_str!("../../docs/operations/README.md");
const ARCHITECTURE: &str = include_str!("../../docs/architecture.md");
const SCHEMA: &str = include_str!("../../src/spool/schema.sql");
const ACTIVITY: &str = include_str!("../../src/activity.rs");

/// A file longer than this asks to be two rooms.
const LONGEST_FILE: usize = 600;

/// What may be seen at the top; tool settings are dot-files.
const TOP: [&str; 9] = ["Cargo.toml", "Cargo.lock", "README.md", "config", "deploy", "docs", "mappings", "src", "tests"];
/// What may be there, too: where cargo wants it, or puts it.
const TOP_IF_NEEDED: [&str; 3] = ["benches", "fuzz", "target"];

/// The rooms from the ground up. A room may use its own storey and those below; one that is not named here stands on the roof.
const STOREYS: [&[&str]; 9] = [
    &["clock", "failpoint", "personal", "referral", "reason", "zone"],
    &["config", "credentials"],
    &["activity", "mapping", "meters", "wire", "words"],
    &["primero", "dtp", "sheet"],
    &["agenda", "consent", "decisions", "health", "matching", "walk"],
    &["schedule", "spool"],
    &["programme"],
    &["admin", "alerts", "courier", "inbox", "page", "standing", "upkeep", "walks"],
    &["control", "daemon"],
];
/// The one pair that may name each other: the daemon opens the socket, and a command that finds no daemon puts the same programme
/// together by itself.
const NAME_EACH_OTHER: (&str, &str) = ("control", "daemon");

/// Rooms without async, network, database, disk or clock. What Primero's records look like is a pure shape, too.
const PURE: [&str; 12] = [
    "activity",
    "agenda",
    "consent",
    "decisions",
    "health",
    "mapping",
    "matching",
    "personal",
    "reason",
    "referral",
    "sheet",
    "walk",
];
/// The only files of pure rooms that touch the disk: a mapping is loaded once, at the start; the log is written.
const MAY_TOUCH_FILES: [&str; 2] = ["src/mapping", "src/activity/log.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a directory that ends so, with its path from the top, sorted. It finds some, or the test is none.
fn files(directory: &str, ending: &str) -> BTreeMap<String, String> {
    fn gather(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                gather(&entry, ending, found);
            } else if entry.extension().is_some_and(|extension| extension == ending) {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    gather(&root().join(directory), ending, &mut found);
    assert!(!found.is_empty(), "no file ends in .{ending} under {directory}");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The sources that are in the program, without the tests in them, by path.
fn production() -> BTreeMap<String, String> {
    let tests_end_the_file = |text: String| match text.find("#[cfg(test)]\nmod tests") {
        Some(tests) => text[..tests].to_owned(),
        None => text,
    };
    files("src", "rs")
        .into_iter()
        .filter(|(path, _)| !path.contains("/tests") && path != "src/wire/fake.rs")
        .map(|(path, text)| (path, tests_end_the_file(text)))
        .collect()
}

/// `src/courier/look.rs` belongs to the room `courier`.
fn room(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or(inside)
}

/// The lines that are no comment.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

/// The rooms that a source names with `crate::`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for after in code(text).split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for letter in list.chars() {
                match letter {
                    '}' if depth == 0 => break,
                    ',' if depth == 0 => used.extend(first_word(&std::mem::take(&mut item))),
                    _ => {
                        depth += i32::from(letter == '{') - i32::from(letter == '}');
                        item.push(letter);
                    }
                }
            }
            used.extend(first_word(&item));
        } else {
            used.extend(first_word(after));
        }
    }
    used
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// Whether a whole word stands in a text; an underscore belongs to the word.
fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

/// The part of a document under a heading, to the next heading that is not deeper.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let level = heading.chars().take_while(|letter| *letter == '#').count();
    let from = document.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}")) + heading.len() + 2;
    let rest = &document[from..];
    let end = rest
        .match_indices("\n#")
        .find(|(at, _)| rest[at + 1..].chars().take_while(|letter| *letter == '#').count() <= level)
        .map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

/// What of these is not named, in backticks, in a text.
fn unnamed<'a>(names: impl IntoIterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
    names.into_iter().filter(|name| !text.contains(&format!("`{name}`"))).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn every_source_says_first_what_it_is_for() {
    for (path, text) in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        assert!(text.starts_with("//! "), "{path} does not begin with //!");
    }
}

#[test]
fn no_source_is_too_long_to_be_one_room() {
    let long: Vec<String> = files("src", "rs")
        .into_iter()
        .chain(files("tests", "rs"))
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(long, NOTHING, "files of more than {LONGEST_FILE} lines");
}

#[test]
fn the_top_holds_what_is_agreed_and_nothing_else() {
    let names: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let agreed: BTreeSet<String> = TOP.map(str::to_owned).into();
    let more: Vec<&String> = names.difference(&agreed).filter(|name| !TOP_IF_NEEDED.contains(&name.as_str())).collect();
    let missing: Vec<&String> = agreed.difference(&names).collect();
    assert_eq!((more, missing), (vec![], vec![]), "(more, missing)");
}

#[test]
fn rooms_look_one_way() {
    let storey = |room: &str| STOREYS.iter().position(|rooms| rooms.contains(&room)).unwrap_or(STOREYS.len());
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut upwards = Vec::new();
    for (path, text) in production() {
        let from = room(&path).to_owned();
        for to in rooms_used(&text) {
            if storey(&to) > storey(&from) {
                upwards.push(format!("{path} uses {to}"));
            }
            if to != from {
                uses.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    assert_eq!(upwards, NOTHING);
    assert!(uses["courier"].contains("spool"), "the reading of `use` has gone blind");

    if let Some(used) = uses.get_mut(NAME_EACH_OTHER.0) {
        used.remove(NAME_EACH_OTHER.1);
    }
    // What nobody else uses is in no circle; take such rooms away until none is left.
    loop {
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        let free: Vec<String> = uses.keys().filter(|room| !used.contains(*room)).cloned().collect();
        if free.is_empty() {
            break;
        }
        uses.retain(|room, _| !free.contains(room));
    }
    assert_eq!(uses, BTreeMap::new(), "these rooms use each other in a circle");
}

#[test]
fn pure_rooms_have_no_async_no_network_no_database_no_disk_and_no_clock() {
    let mut looked = BTreeSet::new();
    for (path, text) in production() {
        if !PURE.contains(&room(&path)) {
            continue;
        }
        looked.insert(room(&path).to_owned());
        let text = code(&text);
        for foreign in ["tokio", "reqwest", "axum", "hyper_util", "rusqlite", "rustls", "async fn", "std::net", "crate::clock"] {
            assert!(!text.contains(foreign), "{path} knows {foreign}");
        }
        let touches_files = MAY_TOUCH_FILES.iter().any(|prefix| path.starts_with(prefix));
        assert!(touches_files || !text.contains("std::fs") && !text.contains("fs::"), "{path} touches the disk");
    }
    assert_eq!(looked, PURE.map(str::to_owned).into());
}

#[test]
fn one_room_each_for_sql_http_out_and_the_time() {
    let allowed: [(&str, &[&str]); 5] = [
        ("rusqlite", &["spool"]),
        ("reqwest::", &["alerts", "config", "dtp", "primero", "wire", "sandbox"]),
        ("lettre::", &["alerts"]),
        ("Utc::now(", &["clock"]),
        ("Instant::now(", &["clock"]),
    ];
    for (word, rooms) in allowed {
        let users: BTreeSet<String> =
            production().iter().filter(|(_, text)| code(text).contains(word)).map(|(path, _)| room(path).to_owned()).collect();
        assert!(users.iter().all(|user| rooms.contains(&user.as_str())), "{word} is used by {users:?}");
        assert!(!users.is_empty(), "nobody uses {word}: the test has gone blind");
    }
}

#[test]
fn words_that_mean_something_else_in_this_field_are_not_used() {
    let texts = production()
        .into_iter()
        .chain(files("docs", "md"))
        .chain(files("config", "toml"))
        .chain(files("mappings", "toml"))
        .chain([("README.md".to_owned(), fs::read_to_string(root().join("README.md")).unwrap())]);
    for (path, text) in texts {
        let text = text.to_lowercase();
        for word in ["visit", "visits", "visited", "discard", "discards", "discarded", "turned away"] {
            assert!(!holds_word(&text, word), "{path} says {word:?}");
        }
    }
}

#[test]
fn the_unit_for_several_programmes_is_the_unit_for_one_with_places_of_its_own() {
    let unit = |name: &str| {
        let text = fs::read_to_string(root().join("deploy").join(name)).unwrap();
        text[text.find("[Unit]").unwrap()..].to_owned()
    };
    let several = unit("referrald@.service");
    assert!(several.contains("%i"));
    let one = several
        .replace("/etc/referrald/%i/", "/etc/referrald/")
        .replace("referrald-%i", "referrald")
        .replace(", programme %i", "");
    assert_eq!(one, unit("referrald.service"));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    let documents = files("docs", "md")
        .into_iter()
        .chain(files("deploy", "md"))
        .chain([("README.md".to_owned(), fs::read_to_string(root().join("README.md")).unwrap())]);
    for (path, text) in documents {
        for (_, link) in text.match_indices("](").map(|(at, found)| (at, text[at + found.len()..].split(')').next().unwrap())) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            let target = root().join(&path).parent().unwrap().join(file);
            assert!(target.exists(), "{path} links to {link}, which is not there");
        }
    }
    assert!(links > 0, "no document links to another");
}

#[test]
fn every_event_and_every_field_of_the_log_stands_in_the_document() {
    let events = section(DATA_PROTECTION, "### Events");
    assert_eq!(unnamed(Event::ALL.iter().map(|event| event.code()), events), NOTHING, "events");

    let line = ACTIVITY.split("pub struct Activity {").nth(1).expect("a line is a struct").split("\n}").next().unwrap();
    let fields: Vec<&str> = line
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next())
        .chain(["time", "programme", "environment"])
        .collect();
    assert!(fields.contains(&"intervention"), "the reading of the struct has gone blind");
    assert_eq!(unnamed(fields, section(DATA_PROTECTION, "### Fields")), NOTHING, "fields");

    let values = section(DATA_PROTECTION, "### Fields");
    let codes = Flow::ALL.iter().map(|code| code.code());
    let codes = codes.chain(Errand::ALL.iter().map(|code| code.code())).chain(System::ALL.iter().map(|code| code.code()));
    let codes = codes.chain(Outcome::ALL.iter().map(|code| code.code())).chain(Basis::ALL.iter().map(|code| code.code()));
    assert_eq!(unnamed(codes, values), NOTHING, "values");
}

#[test]
fn every_table_and_every_column_of_the_state_stands_in_the_document() {
    let mut tables = 0;
    for table in SCHEMA.split("CREATE TABLE ").skip(1) {
        let (name, body) = table.split_once(" (").unwrap();
        let body = body.split(") STRICT").next().expect("every table is strict");
        let columns = body.lines().filter_map(first_word).filter(|word| word.chars().all(|letter| !letter.is_uppercase()));
        let columns: Vec<String> = columns.collect();
        assert!(!columns.is_empty(), "no column of {name} was read");
        let described = section(DATA_PROTECTION, &format!("### `{name}`"));
        assert_eq!(unnamed(columns.iter().map(String::as_str), described), NOTHING, "columns of {name}");
        tables += 1;
    }
    assert_eq!(tables, DATA_PROTECTION.matches("\n### `").count(), "a table is described that is not there");
}

#[test]
fn operators_find_every_entry_of_their_list_and_everything_that_they_are_told_of() {
    let entries = section(OPERATIONS, "## The operator's list");
    assert_eq!(unnamed(Kind::ALL.iter().map(|kind| kind.code()), entries), NOTHING, "kinds of entries");
    let told = section(BEING_TOLD, "## When something is told");
    assert_eq!(unnamed(Topic::ALL.iter().map(|topic| topic.code()), told), NOTHING, "topics");
}

#[test]
fn the_map_names_every_room_and_every_state() {
    let rooms: BTreeSet<String> = production().keys().map(|path| room(path).to_owned()).filter(|room| room != "lib").collect();
    let map = section(ARCHITECTURE, "## The map");
    assert_eq!(unnamed(rooms.iter().map(String::as_str), map), NOTHING, "rooms");
    let states = section(ARCHITECTURE, "## States and outcomes");
    assert_eq!(unnamed(State::ALL.iter().map(|state| state.code()), states), NOTHING, "states");
    assert_eq!(unnamed(Outcome::ALL.iter().map(|outcome| outcome.code()), states), NOTHING, "outcomes");
}
