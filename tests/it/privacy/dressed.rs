//! Whatever can hold a value of a record says nothing in its `Debug`: every type of the program is looked at in its source.
//!
//! A `Debug` is written by hand and says nothing, or derived; then each of its fields is a number, a code, a time, the name of a
//! field, or wears `Personal`.

use std::{collections::BTreeSet, fs, path::Path};

/// What holds a record, or a part of one, in whatever form.
const RECORDS: [&str; 9] = ["Document", "Value", "Map", "Vec<u8>", "Bytes", "HeaderMap", "Response", "Zeroizing", "Cow"];
/// Rooms through which no record goes: what they hold comes from the configuration, the mapping's files or the operator, or is made
/// of numbers and codes.
const WITHOUT_RECORDS: [&str; 13] = [
    "activity",
    "admin",
    "command",
    "config",
    "control",
    "credentials",
    "daemon",
    "failpoint",
    "health",
    "inbox",
    "sheet",
    "words",
    "main",
];
/// Fields that may hold a record by their type, and why they do not.
const NO_RECORD: [(&str, &str, &str); 6] = [
    ("Entry", "example", "an invented line for the dictionary of the log"),
    ("ReferralSources", "administrator", "the functional contact out of the configuration"),
    ("Source", "", "a constant of a mapping file"),
    ("Missing", "", "a default of a mapping file"),
    ("Sealed", "", "sealed; without the key it says nothing"),
    ("Subject", "", "what a change of a mapping is about; its `Value` is a name"),
];
/// Texts in rooms through which records go, and what they are.
const NO_VALUE: [(&str, &str); 43] = [
    ("text_identifier", "the number of an intervention or of a case"),
    ("NotTaken", "where an item stands in a post"),
    ("Approval", "an approval in a mapping file"),
    ("Finding", "a mistake in a mapping file"),
    ("Mapping", "names and texts of mapping files"),
    ("Findings", "mistakes in mapping files"),
    ("Known", "names of fields"),
    ("ReasonTexts", "texts of mapping files"),
    ("Row", "a rule of a mapping file"),
    ("Removed", "a rule that a mapping file takes away"),
    ("Source", "a rule of a mapping file"),
    ("Part", "a rule of a mapping file"),
    ("Many", "a rule of a mapping file"),
    ("Unlisted", "a rule of a mapping file"),
    ("Block", "a rule of a mapping file"),
    ("Rules", "a rule of a mapping file"),
    ("Profile", "names of fields and services in a mapping file"),
    ("Gap", "the name of a field"),
    ("Origin", "the name of a field"),
    ("IdentityFields", "names of fields"),
    ("ServiceFields", "names of fields"),
    ("InterventionContext", "settings"),
    ("Problems", "mistakes in mapping files"),
    ("Table", "a table of a mapping file"),
    ("Verdict", "names of fields"),
    ("OwnAccount", "our own role and forms"),
    ("Form", "names of a form and its fields"),
    ("Field", "names of a field and its options"),
    ("Options", "names of options"),
    ("Lookup", "names of options"),
    ("Trouble", "names of fields, checked to be no value"),
    ("Referral", "the id of a service item"),
    ("Service", "the id of a service item"),
    ("Fields", "names of fields"),
    ("OutgoingId", "an id"),
    ("Learnt", "names of fields"),
    ("Agreement", "settings"),
    ("Key", "the name of a key in the settings"),
    ("Now", "the name of the programme"),
    ("Words", "names of settings, and what to do"),
    ("Books", "names of targets and of what they were told"),
    ("Failed", "why a message could not be sent, in our words"),
    ("Letterhead", "the name of the programme"),
];
/// The same for the state: ids, codes, roles, and names of fields, keys, modules and kinds of service.
const OF_THE_STATE: [&str; 14] = [
    "OpenError",
    "About",
    "Entry",
    "NewEntry",
    "Found",
    "Report",
    "Note",
    "Sealed",
    "Cursor",
    "KeysRefused",
    "OfMonth",
    "Pause",
    "Rotated",
    "Told",
];

/// A type with a derived `Debug`: its name and, of each line of its body that holds one, the type.
struct Derived {
    room: String,
    name: String,
    fields: Vec<(String, String)>,
}

/// The sources of the program without the tests in them, by path. The simulators hold records of nobody.
fn sources() -> Vec<(String, String)> {
    fn gather(directory: &Path, found: &mut Vec<(String, String)>) {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    gather(&root, &mut found);
    let inside = |path: &str| path.strip_prefix(&format!("{}/", root.display())).unwrap_or(path).to_owned();
    found
        .into_iter()
        .map(|(path, text)| (inside(&path), text))
        .filter(|(path, _)| !path.starts_with("sandbox") && !path.contains("/tests") && path != "wire/fake.rs")
        .map(|(path, text)| {
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            (path, text[..end].to_owned())
        })
        .collect()
}

/// What `Personal<…>` wraps is dressed: it is cut out, however deep its brackets go.
fn undressed(text: &str) -> String {
    let Some((before, inside)) = text.split_once("Personal<") else { return text.to_owned() };
    let mut depth = 1;
    let end = inside.find(|letter| {
        depth += i32::from(letter == '<') - i32::from(letter == '>');
        depth == 0
    });
    format!("{before}{}", end.map_or_else(String::new, |end| undressed(&inside[end + 1..])))
}

fn derived() -> Vec<Derived> {
    let mut all = Vec::new();
    for (path, text) in sources() {
        let room = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        for (at, _) in text.match_indices("#[derive(") {
            let (derives, rest) = text[at..].split_once(")]").unwrap();
            if !derives.contains("Debug") {
                continue;
            }
            let is_item =
                |line: &&str| ["struct ", "enum "].iter().any(|kind| line.contains(kind)) && !line.trim().starts_with("//");
            let item = rest.lines().find(is_item).unwrap_or_else(|| panic!("{path}: a derived type"));
            let name = item.split(["struct ", "enum "].into_iter().find(|kind| item.contains(kind)).unwrap()).nth(1).unwrap();
            // Identifiers are made by a macro.
            let name = if name.starts_with('$') { "text_identifier" } else { name };
            let is_part = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
            let name: String = name.chars().take_while(is_part).collect();
            let body = &rest[rest.find(item).unwrap()..];
            // A one-line item ends with its line, any other with the first brace at the margin.
            let end = if item.ends_with('{') { body.find("\n}").unwrap() } else { item.len() };
            let lines = body[..end].lines().filter(|line| !line.trim().starts_with("//"));
            let fields = lines.map(|line| {
                let (field, kind) = line.split_once(": ").unwrap_or(("", line));
                (field.trim().trim_start_matches("pub ").to_owned(), undressed(kind))
            });
            all.push(Derived { room: room.clone(), name, fields: fields.collect() });
        }
    }
    all
}

fn holds(text: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

#[test]
fn no_derived_debug_can_show_a_record() {
    let all = derived();
    assert!(all.len() > 100, "{} types were found", all.len());
    let mut showing = BTreeSet::new();
    let mut excused = BTreeSet::new();
    for Derived { name, fields, .. } in &all {
        for (field, kind) in fields.iter().filter(|(_, kind)| RECORDS.iter().any(|record| holds(kind, record))) {
            let excuse = NO_RECORD.iter().find(|(of, which, _)| of == name && (which.is_empty() || which == field));
            match excuse {
                Some(excuse) => drop(excused.insert(*excuse)),
                None => drop(showing.insert(format!("{name}: {field} {kind}"))),
            }
        }
    }
    assert_eq!(showing, BTreeSet::new(), "these types show in their Debug what may be of a record (hint: Personal)");
    assert_eq!(excused.len(), NO_RECORD.len(), "an excuse that nobody needs");
}

#[test]
fn texts_where_records_go_through_are_numbers_codes_and_names_of_fields() {
    let mut showing = BTreeSet::new();
    let mut named = BTreeSet::new();
    for Derived { room, name, fields } in derived().into_iter().filter(|of| !WITHOUT_RECORDS.contains(&of.room.as_str())) {
        for (field, kind) in fields.iter().filter(|(_, kind)| holds(kind, "String") || holds(kind, "str")) {
            // `&'static str` is written by us.
            if kind.contains("&'static str") && !holds(kind, "String") {
                continue;
            }
            if OF_THE_STATE.contains(&name.as_str()) && room == "spool" || NO_VALUE.iter().any(|(of, _)| *of == name) {
                named.insert(name.clone());
            } else {
                showing.insert(format!("{room}: {name}: {field} {kind}"));
            }
        }
    }
    assert_eq!(showing, BTreeSet::new(), "say what these texts are, or dress them in Personal");
    let unneeded: Vec<_> = NO_VALUE.iter().map(|(name, _)| *name).filter(|name| !named.contains(*name)).collect();
    assert_eq!(unneeded, Vec::<&str>::new(), "an excuse that nobody needs");
}

#[test]
fn a_debug_written_by_hand_says_nothing_but_names_and_counts() {
    let mut by_hand = BTreeSet::new();
    for (path, text) in sources() {
        for (at, _) in text.match_indices("Debug for ") {
            let body = &text[at..];
            let body = &body[..body.find("\n}").unwrap()];
            let name: String = body["Debug for ".len()..].chars().take_while(|letter| letter.is_ascii_alphanumeric()).collect();
            for opening in ["{:?}", "debug_list", "debug_map", ".reveal()", "{self", "into_revealed"] {
                assert!(!body.contains(opening), "{path}: the Debug of {name} may show something: {opening}");
            }
            by_hand.insert(name);
        }
    }
    for expected in ["Personal", "Secret", "ClientCertificate", "Client", "Intervention", "DecisionItem", "NoticeRow", "Sealer"] {
        assert!(by_hand.contains(expected), "{expected} is not dressed by hand");
    }
}

#[test]
fn the_search_for_undressed_fields_sees_through_brackets() {
    assert_eq!(undressed("Option<Personal<Vec<Document>>>, x: Document,"), "Option<>, x: Document,");
    assert_eq!(undressed("Personal<&'a Document>)"), ")");
    assert!(holds("&'a Document,", "Document") && !holds("Documents,", "Document"));
}
