//! Is the case found the child that was meant? Compares identity values in memory and tells only the names of fields.
//!
//! Pure. It finds no case and decides nothing: what a contradiction leads to is said elsewhere.
//! In matching, a missing value never equals a missing value, and never contradicts anything either.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate};
use serde_json::Value;

use crate::mapping::{Document, IdentityFields};

/// Whether two numbers are the same after trimming and case folding. A blank one equals nothing.
#[must_use]
pub fn same_number(a: &str, b: &str) -> bool {
    let a = plain(a);
    !a.is_empty() && a == plain(b)
}

/// Names of the identity fields in which the case contradicts the draft, where both have a value:
/// the sex differs; the years of birth lie more than one apart; no part of the name is in common.
///
/// A name is one thing, told in several fields: its parts are compared across all of them,
/// and where none is in common every name field that has a value on either side is told.
#[must_use]
pub fn contradictions(identity: &IdentityFields, draft: &Document, case: &Document) -> Vec<String> {
    let mut fields = Vec::new();
    if both(draft, case, &identity.sex).is_some_and(|(ours, theirs)| ours != theirs) {
        fields.push(identity.sex.clone());
    }
    if let (Some(ours), Some(theirs)) = (date(draft, &identity.date_of_birth), date(case, &identity.date_of_birth))
        && ours.year().abs_diff(theirs.year()) > 1
    {
        fields.push(identity.date_of_birth.clone());
    }
    let (ours, theirs) = (name_parts(identity, draft), name_parts(identity, case));
    if !ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs) {
        let told = |field: &&String| value(draft, field).is_some() || value(case, field).is_some();
        fields.extend(identity.names.iter().filter(told).cloned());
    }
    fields
}

/// Names of the identity fields whose value on the existing case differs from ours, where both have one:
/// exactly, but for surrounding blanks and case. A date and a moment of that day are the same.
///
/// `numbers` are further fields that say who the child is, such as the number of its registration group.
#[must_use]
pub fn differing<'a>(
    identity: &'a IdentityFields,
    numbers: impl IntoIterator<Item = &'a String>,
    draft: &Document,
    case: &Document,
) -> Vec<String> {
    let differs = |field: &&String| both(draft, case, field).is_some_and(|(ours, theirs)| ours != theirs);
    let born_otherwise = match (date(draft, &identity.date_of_birth), date(case, &identity.date_of_birth)) {
        (Some(ours), Some(theirs)) => ours != theirs,
        (None, _) | (_, None) => differs(&&identity.date_of_birth),
    };
    let numbers = numbers.into_iter().filter(|field| **field != identity.person_number);
    [&identity.person_number]
        .into_iter()
        .chain(numbers)
        .chain([&identity.sex])
        .filter(differs)
        .chain(born_otherwise.then_some(&identity.date_of_birth))
        .chain(identity.names.iter().filter(differs))
        .cloned()
        .collect()
}

/// The values of a field on both sides, if both have one.
fn both(draft: &Document, case: &Document, field: &str) -> Option<(String, String)> {
    Some((value(draft, field)?, value(case, field)?))
}

/// A value as plain text; older instances hold some numbers as JSON numbers. Anything else is no identity value.
fn value(document: &Document, field: &str) -> Option<String> {
    let text = match document.get(field)? {
        Value::String(text) => plain(text),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A date, or the UTC day of a moment; what cannot be read as either is no date.
fn date(document: &Document, field: &str) -> Option<NaiveDate> {
    let text = document.get(field)?.as_str()?.trim();
    let moment = || DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc().date_naive());
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().or_else(moment)
}

fn name_parts(identity: &IdentityFields, document: &Document) -> BTreeSet<String> {
    let texts: Vec<String> = identity.names.iter().filter_map(|field| value(document, field)).collect();
    texts.iter().flat_map(|text| text.split_whitespace()).map(without_marks).filter(|part| !part.is_empty()).collect()
}

fn plain(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Lower-case Latin letters with marks that have a plain letter, by that letter.
const MARKED: &[(char, &str)] = &[
    ('a', "àáâãäåāăąǎạảấầẩẫậắằẳẵặ"),
    ('c', "çćĉċč"),
    ('d', "ďđḍ"),
    ('e', "èéêëēĕėęěẹẻẽếềểễệ"),
    ('g', "ĝğġģǧ"),
    ('h', "ĥħḥ"),
    ('i', "ìíîïĩīĭįıǐịỉ"),
    ('j', "ĵ"),
    ('k', "ķǩḳ"),
    ('l', "ĺļľŀł"),
    ('n', "ñńņňŋṇ"),
    ('o', "òóôõöøōŏőǒơọỏốồổỗộớờởỡợ"),
    ('r', "ŕŗřṛ"),
    ('s', "śŝşšșṣ"),
    ('t', "ţťŧțṭ"),
    ('u', "ùúûüũūŭůűųǔưụủứừửữự"),
    ('w', "ŵẁẃẅ"),
    ('y', "ýÿŷỳỵỷỹ"),
    ('z', "źżžẓ"),
];

/// Takes the marks off Latin letters, written as one character or with combining marks, so that `Zoé` and `Zoe` share a part.
///
/// Only Latin: other scripts are compared as they stand. Two spellings of a name in two scripts have nothing in common,
/// and then a person decides, which is the safe side.
fn without_marks(text: &str) -> String {
    text.chars()
        .filter(|letter| !('\u{300}'..='\u{36f}').contains(letter))
        .map(|letter| MARKED.iter().find(|(_, marked)| marked.contains(letter)).map_or(letter, |(plain, _)| *plain))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> IdentityFields {
        IdentityFields {
            person_number: "unhcr_individual_no".to_owned(),
            sex: "sex".to_owned(),
            date_of_birth: "date_of_birth".to_owned(),
            names: ["name_first", "name_middle", "name_last"].map(str::to_owned).to_vec(),
        }
    }

    fn object(value: &Value) -> Document {
        value.as_object().expect("a test writes an object here").clone()
    }

    #[test]
    fn numbers_are_the_same_but_for_blanks_and_case() {
        for (a, b, same) in [
            ("989-TEST0001", "989-TEST0001", true),
            (" 989-test0001\t", "989-TEST0001", true),
            ("989-TEST0001", "989-TEST00011", false),
            ("989-TEST0001", "989TEST0001", false),
            ("", "", false),
            (" ", "\t", false),
        ] {
            assert_eq!(same_number(a, b), same);
            assert_eq!(same_number(b, a), same);
        }
    }

    #[test]
    fn contradictions_are_told_by_field_and_only_where_both_have_a_value() {
        for (name, ours, theirs, expected) in [
            ("nothing on either side", json!({}), json!({}), vec![]),
            (
                "nothing on theirs",
                json!({"sex": "male", "date_of_birth": "2010-01-01", "name_first": "Testina"}),
                json!({}),
                vec![],
            ),
            (
                "blank is nothing",
                json!({"sex": "male", "name_first": "Testina", "date_of_birth": "2010-01-01"}),
                json!({"sex": "", "name_first": "  ", "date_of_birth": null}),
                vec![],
            ),
            ("sex", json!({"sex": "male"}), json!({"sex": "female"}), vec!["sex"]),
            ("sex but for case", json!({"sex": "male"}), json!({"sex": " Male"}), vec![]),
            ("a year apart", json!({"date_of_birth": "2010-01-01"}), json!({"date_of_birth": "2011-12-31"}), vec![]),
            (
                "two years apart",
                json!({"date_of_birth": "2012-01-01"}),
                json!({"date_of_birth": "2010-12-31"}),
                vec!["date_of_birth"],
            ),
            (
                "a moment is its day",
                json!({"date_of_birth": "2010-01-01"}),
                json!({"date_of_birth": "2012-01-01T00:00:00.000Z"}),
                vec!["date_of_birth"],
            ),
            ("not a date", json!({"date_of_birth": "2010-01-01"}), json!({"date_of_birth": "long ago"}), vec![]),
            (
                "one part in another field, in another case, without its marks",
                json!({"name_first": "Zoé Testina", "name_last": "Examplename"}),
                json!({"name_first": "Other", "name_middle": "zoe"}),
                vec![],
            ),
            ("combining marks", json!({"name_first": "Zoe\u{301}"}), json!({"name_last": "ZOÉ"}), vec![]),
            ("another script as it stands", json!({"name_first": "ሙከራ ምሳሌ"}), json!({"name_first": "ምሳሌ"}), vec![]),
            (
                "no part in common",
                json!({"name_first": "Testina", "name_last": "Examplename"}),
                json!({"name_first": "Sample", "name_middle": "Testinas"}),
                vec!["name_first", "name_middle", "name_last"],
            ),
            (
                "fields that neither has are not told",
                json!({"name_first": "Testina"}),
                json!({"name_last": "Sample"}),
                vec!["name_first", "name_last"],
            ),
            (
                "all at once",
                json!({"sex": "male", "date_of_birth": "2010-01-01", "name_first": "Testina"}),
                json!({"sex": "female", "date_of_birth": "2001-01-01", "name_first": "Sample"}),
                vec!["sex", "date_of_birth", "name_first"],
            ),
        ] {
            assert_eq!(contradictions(&identity(), &object(&ours), &object(&theirs)), expected, "{name}");
        }
    }

    #[test]
    fn differing_values_are_told_by_field_and_only_where_both_have_one() {
        for (name, ours, theirs, expected) in [
            ("nothing on either side", json!({}), json!({}), vec![]),
            (
                "theirs is empty",
                json!({"unhcr_individual_no": "989-TEST0001", "name_first": "Testina"}),
                json!({"name_first": ""}),
                vec![],
            ),
            ("ours is empty", json!({}), json!({"unhcr_individual_no": "989-TEST0001"}), vec![]),
            (
                "blanks and case say nothing",
                json!({"unhcr_individual_no": "989-TEST0001", "sex": "male", "name_first": "Testina"}),
                json!({"unhcr_individual_no": "989-test0001 ", "sex": "MALE", "name_first": " testina"}),
                vec![],
            ),
            (
                "the same day",
                json!({"date_of_birth": "2010-01-01"}),
                json!({"date_of_birth": "2010-01-01T00:00:00.000Z"}),
                vec![],
            ),
            (
                "another day",
                json!({"date_of_birth": "2010-01-01"}),
                json!({"date_of_birth": "2010-01-02"}),
                vec!["date_of_birth"],
            ),
            ("not a date", json!({"date_of_birth": "2010-01-01"}), json!({"date_of_birth": "long ago"}), vec!["date_of_birth"]),
            ("a number as a number", json!({"unhcr_individual_no": "12345"}), json!({"unhcr_individual_no": 12345}), vec![]),
            ("marks count", json!({"name_first": "Zoé"}), json!({"name_first": "Zoe"}), vec!["name_first"]),
            (
                "all at once",
                json!({"unhcr_individual_no": "989-TEST0001", "unhcr_id_no": "989-TESTGROUP", "sex": "male", "date_of_birth": "2010-01-01",
                       "name_first": "Testina", "name_last": "Examplename"}),
                json!({"unhcr_individual_no": "989-TEST0002", "unhcr_id_no": "989-TESTOTHER", "sex": "female", "date_of_birth": "2010-02-01",
                       "name_first": "Sample", "name_last": "Name"}),
                vec!["unhcr_individual_no", "unhcr_id_no", "sex", "date_of_birth", "name_first", "name_last"],
            ),
        ] {
            let numbers = ["unhcr_individual_no", "unhcr_id_no"].map(str::to_owned);
            assert_eq!(differing(&identity(), &numbers, &object(&ours), &object(&theirs)), expected, "{name}");
        }
    }
}
