//! The reference of all rules, `docs/mapping-rules.md`: each rule with an example that is run here.
//!
//! `UPDATE_DOCS=1 cargo test --lib reference` writes the document anew.

use serde_json::json;

use super::{
    super::{
        compile::{KINDS, MISSING, OF_A_SOURCE, READINGS, UNLISTED},
        rules::{Agreed, Given, Setting, Write},
        *,
    },
    language::made,
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mapping-rules.md");
const FROM: &str = "from = \"a\"\n";

/// A rule: its lines in a row, what it does, what is given, what is made of it.
type Example = (&'static str, &'static str, Value, Value);

/// A chapter: its title, what is said first, the rules.
type Chapter = (&'static str, &'static str, Vec<Example>);

fn chapters() -> Vec<Chapter> {
    let reference = json!({"a": {"Id": "1", "Name": "Camp Four"}});
    vec![
        (
            "Where a value comes from",
            "A row has exactly one of these.",
            vec![
                (
                    "from = \"individuals.progres_givenname\"",
                    "one field; a dot is part of its name",
                    json!({"individuals.progres_givenname": "Testina"}),
                    json!({"x_": "Testina"}),
                ),
                (
                    "first_of = [\"a\", \"b\"]",
                    "the first of several fields that has a value",
                    json!({"a": " ", "b": "second"}),
                    json!({"x_": "second"}),
                ),
                (
                    "join = [{ from = \"a\" }, { from = \"b\", required = true }]\nseparator = \" \"",
                    "several fields, those without a value skipped; a part may be `required`",
                    json!({"a": null, "b": "town"}),
                    json!({"x_": "town"}),
                ),
                (
                    "constant = \"open\"\nreason = \"A new case waits for a case worker.\"",
                    "always the same; it needs a `reason`",
                    json!({}),
                    json!({"x_": "open"}),
                ),
                ("setting = \"primero.intake_user\"", "a configured value", json!({}), json!({"x_": "test_intake"})),
            ],
        ),
        (
            "How a value is read",
            "Without `read`, a value must be text.",
            vec![
                (
                    "from = \"a\"\nread = \"text\"",
                    "text; the same as no `read` at all",
                    json!({"a": "one"}),
                    json!({"x_": "one"}),
                ),
                (
                    "from = \"a\"\nread = \"text_or_number\"",
                    "text, or a number as its digits",
                    json!({"a": 912_000_001}),
                    json!({"x_": "912000001"}),
                ),
                ("from = \"a\"\nread = \"reference\"", "the name of a reference", reference, json!({"x_": "Camp Four"})),
                (
                    "from = \"a\"\nread = \"html\"",
                    "the text of HTML",
                    json!({"a": "<p>One &amp; two</p>"}),
                    json!({"x_": "One & two"}),
                ),
                (
                    "from = \"a\"\nread = \"notes\"",
                    "the texts of a list of notes, one a line",
                    json!({"a": "[{\"Text\":\"First.\"},{\"Text\":\"Second.\"}]"}),
                    json!({"x_": "First.\nSecond."}),
                ),
                (
                    "from = \"a\"\nread = \"date\"",
                    "the date as written",
                    json!({"a": "2014-11-23T00:00:00Z"}),
                    json!({"x_": "2014-11-23"}),
                ),
                (
                    "from = \"a\"\nread = \"date_time\"",
                    "date and time in UTC; a date is its midnight",
                    json!({"a": "2026-11-01T00:30:00+03:00"}),
                    json!({"x_": "2026-10-31T21:30:00Z"}),
                ),
                (
                    "from = \"a\"\nread = \"age\"",
                    "years completed today, here the 22nd of November 2026",
                    json!({"a": "2014-11-23"}),
                    json!({"x_": 11}),
                ),
                ("from = \"a\"\nread = \"as_is\"", "whatever it is, unread", json!({"a": [1, null]}), json!({"x_": [1, null]})),
                (
                    "from = \"a\"\nlast_characters = 3",
                    "the end of a text; a shorter one is invalid",
                    json!({"a": "12345"}),
                    json!({"x_": "345"}),
                ),
                ("from = \"a\"\nlower_case = true", "in small letters", json!({"a": "CASE-A"}), json!({"x_": "case-a"})),
                (
                    "from = \"a\"\nuuid5 = \"522d0ff0-eeda-44c7-8896-77e7a44dd9f7\"",
                    "an id made of the value: the same value gives the same id",
                    json!({"a": "1"}),
                    json!({"x_": "26fef07c-e5bc-5968-99ca-fd87947b414a"}),
                ),
            ],
        ),
        (
            "Several values",
            "",
            vec![
                (
                    "from = \"a\"\nlist = true",
                    "each entry of a list; one value alone is a list of one",
                    json!({"a": ["one", "", "two"]}),
                    json!({"x_": ["one", "two"]}),
                ),
                (
                    "from = \"a\"\nlist = true\nseparator = \", \"",
                    "one text instead of a list",
                    json!({"a": ["one", "two"]}),
                    json!({"x_": "one, two"}),
                ),
                (
                    "from = \"a\"\nof_all_rows = true",
                    "the values of all rows of one intervention, each once",
                    json!({"a": "one"}),
                    json!({"x_": ["one"]}),
                ),
            ],
        ),
        (
            "What a value must be",
            "What does not fit is a gap: the message is not made, and the sender is told the name of the field.",
            vec![
                (
                    "from = \"a\"\nidentifier = true",
                    "letters, digits and `- _ / .`, at most 64",
                    json!({"a": "989-TEST0001"}),
                    json!({"x_": "989-TEST0001"}),
                ),
                (
                    "from = \"a\"\nonly_uuid = true",
                    "an identifier that is a UUID; another one counts as missing",
                    json!({"a": "989-TEST0001"}),
                    json!({}),
                ),
                (
                    "from = \"a\"\nread = \"date\"\nnot_after_today = true",
                    "a date that is not to come",
                    json!({"a": "2026-11-23"}),
                    json!({"gaps": ["invalid_values a"]}),
                ),
                (
                    "from = \"a\"\nagreed = \"flow1.service_types\"",
                    "a value on the configured list of service types",
                    json!({"a": "Cash"}),
                    json!({"gaps": ["service_type_not_agreed a"]}),
                ),
                (
                    "from = \"a\"\nagreed = \"flow1.agencies\"",
                    "a value on the configured list of agencies that have signed",
                    json!({"a": "Agency"}),
                    json!({"gaps": ["agency_not_signed a"]}),
                ),
            ],
        ),
        (
            "Tables",
            "A row with a `table` says in `unlisted` what happens to any other value.",
            vec![
                (
                    "from = \"a\"\ntable = \"sex-in\"\nunlisted = \"refuse\"",
                    "makes the message impossible",
                    json!({"a": "9"}),
                    json!({"gaps": ["invalid_values a"]}),
                ),
                (
                    "from = \"a\"\ntable = \"sex-in\"\nunlisted = \"as_is\"",
                    "is written as it is",
                    json!({"a": "9"}),
                    json!({"x_": "9"}),
                ),
                ("from = \"a\"\ntable = \"sex-in\"\nunlisted = \"leave_out\"", "counts as missing", json!({"a": "9"}), json!({})),
                (
                    "from = \"a\"\ntable = \"sex-in\"\nunlisted = { default = \"unknown_4b34795\" }",
                    "becomes this",
                    json!({"a": "9"}),
                    json!({"x_": "unknown_4b34795"}),
                ),
            ],
        ),
        (
            "When there is no value",
            "Absent, null, empty and blank are all the same: there is no value.",
            vec![
                (
                    "from = \"a\"\nmissing = \"absent\"",
                    "the field is not written; the same as no rule at all",
                    json!({"a": ""}),
                    json!({}),
                ),
                ("from = \"a\"\nmissing = \"null\"", "null is written", json!({"a": ""}), json!({"x_": null})),
                ("from = \"a\"\nmissing = \"empty\"", "an empty text is written", json!({}), json!({"x_": ""})),
                ("from = \"a\"\ndefault = \"UNHCR\"", "this is written", json!({}), json!({"x_": "UNHCR"})),
                ("from = \"a\"\nrequired = true", "the message cannot be made", json!({}), json!({"gaps": ["missing_fields a"]})),
            ],
        ),
    ]
}

fn rendered() -> String {
    let mut text = "# Every rule with an example\n\nThis page is made from the program: each example on it is run by a test.\nHow a mapping is put together stands in [the mapping guide](mapping-guide.md).\nA row also has `to`, `form` and perhaps `reason`; they are left out here.\n".to_owned();
    for (title, first, examples) in chapters() {
        text += &format!("\n## {title}\n");
        if !first.is_empty() {
            text += &format!("\n{first}\n");
        }
        for (lines, says, given, made) in examples {
            text += &format!("\n### {says}\n\n```toml\n{lines}\n```\n\n");
            let (given, made) = (shown(&given), shown(&made));
            text += &format!("| given | made |\n|---|---|\n| {given} | {made} |\n");
        }
    }
    let list = |codes: Vec<&str>| codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    text += "\n## Closed lists\n\n| Key | One of |\n|---|---|\n";
    for (key, codes) in [
        ("read", READINGS.to_vec()),
        ("unlisted", UNLISTED.to_vec()),
        ("missing", MISSING.to_vec()),
        ("write", Write::ALL.iter().map(|code| code.code()).collect()),
        ("setting", Setting::ALL.iter().map(|code| code.code()).collect()),
        ("given", Given::ALL.iter().map(|code| code.code()).collect()),
        ("agreed", Agreed::ALL.iter().map(|code| code.code()).collect()),
    ] {
        text += &format!("| `{key}` | {} |\n", list(codes));
    }
    text += "\nNot every list is known in every section; what does not fit is told when the mapping is checked.\n";
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(keys) if keys.is_empty() => "nothing".to_owned(),
        other => format!("`{}`", other.to_string().replace('|', "\\|")),
    }
}

#[test]
fn every_example_of_the_reference_makes_what_it_says() {
    let mut ran = 0;
    for (lines, _, given, expected) in chapters().into_iter().flat_map(|(_, _, examples)| examples) {
        let row = format!("[[case]]\nto = \"x_\"\n{lines}\n");
        let made = match made(&row, &[given]) {
            Ok(document) => Value::Object(document),
            Err(gaps) => json!({"gaps": gaps.iter().map(|gap| format!("{} {}", gap.reason, gap.field)).collect::<Vec<_>>()}),
        };
        assert_eq!(made, expected, "{lines}");
        ran += 1;
    }
    assert!(ran > 30, "only {ran} examples");
}

#[test]
fn the_reference_names_every_rule() {
    let text = rendered();
    let keys = KINDS.iter().chain(&OF_A_SOURCE).filter(|key| **key != "of" && **key != "given").copied();
    let unnamed: Vec<&str> = keys.filter(|key| !text.contains(&format!("{key} ="))).collect();
    assert_eq!(unnamed, [""; 0]);
    let unread: Vec<&str> = READINGS.into_iter().filter(|reading| !text.contains(&format!("read = \"{reading}\""))).collect();
    assert_eq!(unread, [""; 0]);
    assert!(text.contains(FROM));
}

#[test]
fn the_reference_is_the_document() {
    let text = rendered();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(DOCUMENT).unwrap_or_default(), text, "run it again with UPDATE_DOCS=1");
}
