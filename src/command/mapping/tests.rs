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
    let told = told(|shown| digest::digest(&mappings("gambella"), shown));
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
