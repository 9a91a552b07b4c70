//! What the rules can say beyond what Gambella needs.

use serde_json::json;

use super::{super::*, Copy};

/// Adds rows to the case and gives what they make of the rows of an intervention that is complete otherwise.
pub(super) fn made(rows: &str, added: &[Value]) -> Result<Document, Vec<Gap>> {
    let copy = Copy::new();
    let text = copy.read("base/intervention.toml");
    let rows = rows.replace("[[case]]\n", "[[case]]\nwrite = \"create\"\nform = \"not on form\"\n");
    copy.write("base/intervention.toml", &(text + &rows));
    let mapping = copy.load().unwrap_or_else(|problems| panic!("{problems}"));
    let complete = json!({
        "interventiontype.progres_description": "BID",
        "individuals.progres_id": "989-TEST0002",
        "individuals.progres_registrationgroupid": {"Name": "989-26C00002"},
        "individuals.progres_givenname": "Probus",
        "individuals.progres_familyname": "Inventedson",
        "individuals.progres_dateofbirth": "2010-02-28",
        "individuals.progres_sex": "125080001",
    });
    let documents: Vec<Document> = added
        .iter()
        .map(|added| {
            let mut document = complete.as_object().unwrap().clone();
            document.extend(added.as_object().unwrap().clone());
            document
        })
        .collect();
    let today = "2026-11-22".parse().unwrap();
    let context = InterventionContext { intake_user: "test_intake", today, service_types: &["BID".to_owned()], agencies: &[] };
    let draft = mapping.case_draft(&"1".parse().unwrap(), &documents, context)?;
    Ok(draft.new_case.into_revealed().into_iter().filter(|(field, _)| field.starts_with("x_")).collect())
}

fn check(rows: &str, added: Value, expected: Value) {
    assert_eq!(made(rows, &[added]).map(Value::Object), Ok(expected), "{rows}");
}

#[test]
fn each_rule_makes_what_the_guide_says() {
    let first_of = "[[case]]\nto = \"x_\"\nfirst_of = [\"a.b\", \"a.c\"]\n";
    check(first_of, json!({"a.b": " ", "a.c": "second"}), json!({"x_": "second"}));
    check(first_of, json!({"a.b": "first", "a.c": "second"}), json!({"x_": "first"}));
    check(first_of, json!({"a": {"b": "a dot is part of the key"}}), json!({}));

    let list = "[[case]]\nto = \"x_\"\nfrom = \"a\"\nlist = true\n";
    check(list, json!({"a": ["one", "", null, "two", "two"]}), json!({"x_": ["one", "two", "two"]}));
    check(list, json!({"a": "one"}), json!({"x_": ["one"]}));
    check(list, json!({"a": []}), json!({}));
    check(&format!("{list}separator = \"; \"\n"), json!({"a": ["one", "two"]}), json!({"x_": "one; two"}));

    let plain = "[[case]]\nto = \"x_\"\nfrom = \"a\"\n";
    for (policy, expected) in [
        ("missing = \"absent\"", json!({})),
        ("missing = \"null\"", json!({"x_": null})),
        ("missing = \"empty\"", json!({"x_": ""})),
        ("default = \"given\"", json!({"x_": "given"})),
        ("default = 7", json!({"x_": 7})),
        ("default = false", json!({"x_": false})),
    ] {
        for missing in [json!({}), json!({"a": null}), json!({"a": ""}), json!({"a": " \t"})] {
            check(&format!("{plain}{policy}\n"), missing, expected.clone());
        }
        check(&format!("{plain}{policy}\n"), json!({"a": "there"}), json!({"x_": "there"}));
    }
    check(&format!("{plain}lower_case = true\n"), json!({"a": "CASE-É"}), json!({"x_": "case-é"}));
    check(&format!("{plain}last_characters = 3\n"), json!({"a": "12é45"}), json!({"x_": "é45"}));
    check(&format!("{plain}read = \"text_or_number\"\n"), json!({"a": 912_000_001}), json!({"x_": "912000001"}));
    check(&format!("{plain}read = \"html\"\n"), json!({"a": "[{\"Text\":\"<b>x</b>\"}]"}), json!({"x_": "[{\"Text\":\"x\"}]"}));
    check(&format!("{plain}read = \"notes\"\n"), json!({"a": "[{\"Text\":\"<b>x</b>\"}]"}), json!({"x_": "<b>x</b>"}));
    check(&format!("{plain}read = \"as_is\"\n"), json!({"a": [1, {"b": null}]}), json!({"x_": [1, {"b": null}]}));
    for (unlisted, expected) in [
        ("\"as_is\"", json!({"x_": "Ninth"})),
        ("\"leave_out\"", json!({})),
        ("{ default = \"unknown_4b34795\" }", json!({"x_": "unknown_4b34795"})),
    ] {
        check(&format!("{plain}table = \"sex-in\"\nunlisted = {unlisted}\n"), json!({"a": "Ninth"}), expected);
    }
    let join = "[[case]]\nto = \"x_\"\njoin = [{ from = \"a\", required = true }, { first_of = [\"b\", \"c\"], last_characters = 2 }]\nseparator = \"/\"\n";
    check(join, json!({"a": "1", "c": "234"}), json!({"x_": "1/34"}));
    let gap = |reason, field: &str| Gap { reason, field: field.to_owned() };
    assert_eq!(made(join, &[json!({"b": "2"})]), Err(vec![gap(Reason::MissingFields, "a"), gap(Reason::InvalidValues, "b")]));
}

#[test]
fn values_of_all_rows_may_be_joined() {
    let rows = "[[case]]\nto = \"x_\"\nfrom = \"a\"\nof_all_rows = true\nseparator = \", \"\n";
    let added = [json!({"a": "two"}), json!({"a": "one"}), json!({}), json!({"a": "two"})];
    assert_eq!(made(rows, &added).map(Value::Object), Ok(json!({"x_": "two, one"})));
}

#[test]
fn a_field_can_be_dropped_without_a_new_version_of_the_program() {
    let copy = Copy::new();
    let text = copy.read("base/intervention.toml");
    let rows: Vec<&str> = text.split("\n\n").filter(|row| !row.contains("to = \"sex\"")).collect();
    copy.write("base/intervention.toml", &rows.join("\n\n"));
    assert_eq!(copy.problems().len(), 2, "the name under [identity] is still there, and the table");
    std::fs::remove_file(copy.0.path().join("gambella/tables/sex-in.csv")).unwrap();
    copy.replace("base/mapping.toml", "sex = \"sex\"", "sex = \"\"");
    let mapping = copy.load().unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!mapping.intervention_keys().contains("individuals.progres_sex"));
    assert_eq!(mapping.identity().sex, "");
}
