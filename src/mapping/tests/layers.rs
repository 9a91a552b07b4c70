//! A programme over its base: what it may change, and what it has to say when it does.

use super::{Copy, Grade, Message, loaded};

fn row(copy: &Copy, target: &str) -> (bool, bool) {
    let mapping = copy.load().unwrap_or_else(|problems| panic!("{problems}"));
    let found = mapping.rows().find(|(message, row)| *message == Message::Case && row.target == target);
    let (_, row) = found.unwrap_or_else(|| panic!("no row {target}"));
    (row.of_base, row.localisable)
}

fn with(added: &str) -> Copy {
    let copy = Copy::new();
    let text = copy.read("gambella/intervention.toml");
    copy.write("gambella/intervention.toml", &(text + added));
    copy
}

fn last_row(copy: &Copy) -> usize {
    let text = copy.read("gambella/intervention.toml");
    let at = text.rfind("[[").unwrap();
    1 + text[..at].matches('\n').count()
}

#[test]
fn a_programme_may_change_what_the_base_leaves_to_it() {
    let copy = with(
        "[[case]]\nto = \"module_id\"\nconstant = \"primeromodule-x\"\nwrite = \"create\"\nform = \"not on form\"\nreason = \"Ours.\"\n",
    );
    assert_eq!(copy.problems(), [""; 0]);
    assert_eq!(copy.load().unwrap().module(), "primeromodule-x");
    assert_eq!((row(&copy, "module_id"), row(&copy, "name_first")), ((false, true), (true, false)));
    let note = format!("gambella/intervention.toml:{}: stands in place of `module_id` of the base, line ", last_row(&copy));
    assert!(copy.found(Grade::Note).iter().any(|said| said.starts_with(&note)), "{:?}", copy.found(Grade::Note));
}

#[test]
fn anything_else_needs_a_reason() {
    let change = "[[case]]\nto = \"name_first\"\nfrom = \"individuals.progres_givenname\"\nwrite = \"create\"\nform = \"Basic Identity\"\n";
    let copy = with(change);
    let line = last_row(&copy);
    assert_eq!(
        copy.problems(),
        [format!(
            "gambella/intervention.toml:{line}: the base does not leave `name_first` to a programme (hint: remove the row, or add a \
             `reason`, one sentence for the people who sign)"
        )]
    );
    assert_eq!(with(&format!("{change}reason = \"Many children have one name.\"\n")).problems(), [""; 0]);
}

#[test]
fn a_field_can_be_renamed_and_taken_away() {
    let copy = with(
        "[[case]]\nto = \"phone\"\ninstead_of = \"telephone_current\"\nfrom = \"individuals.progres_primaryphonenumber\"\nwrite = \"create\"\n\
         form = \"Basic Identity\"\nreason = \"Called so here.\"\n[[case]]\nto = \"name_nickname\"\nremove = true\nreason = \"Not agreed.\"\n",
    );
    copy.replace("base/mapping.toml", ", \"name_nickname\"]", "]");
    let mapping = copy.load().unwrap_or_else(|problems| panic!("{problems}"));
    let written = mapping.written_case_fields();
    assert!(written.contains("phone") && !written.contains("telephone_current") && !written.contains("name_nickname"));
    assert!(!mapping.intervention_keys().contains("individuals.progres_commonyusedname"), "what is not written is not read");
}

#[test]
fn a_field_that_is_exchanged_under_another_name_is_compared_under_that_name() {
    let copy = with(
        "[[case]]\nto = \"gender\"\ninstead_of = \"sex\"\nfrom = \"individuals.progres_sex\"\ntable = \"sex-in\"\nunlisted = \"refuse\"\n\
         write = \"create\"\nform = \"Basic Identity\"\nreason = \"Called so here.\"\n",
    );
    let text = copy.read("gambella/mapping.toml");
    let identity = |sex: &str| copy.write("gambella/mapping.toml", &format!("{text}\n[identity]\nsex = \"{sex}\"\n"));
    identity("gender");
    assert_eq!(copy.load().unwrap_or_else(|problems| panic!("{problems}")).identity().sex, "gender");
    identity("");
    let problems = copy.problems();
    assert!(
        problems.len() == 1
            && problems[0].contains("`sex` is empty, but a `[[case]]` row still writes `gender`, so another child"),
        "{problems:?}"
    );
}

#[test]
fn two_rows_about_one_field_are_named_where_one_takes_it_away_or_renames_it() {
    let away = "[[case]]\nto = \"telephone_current\"\nremove = true\nreason = \"Not agreed.\"\n";
    let row =
        "from = \"individuals.progres_primaryphonenumber\"\nwrite = \"create\"\nform = \"Basic Identity\"\nreason = \"Ours.\"\n";
    let kept = format!("[[case]]\nto = \"telephone_current\"\n{row}");
    let renamed = format!("[[case]]\nto = \"phone\"\ninstead_of = \"telephone_current\"\n{row}");
    for (first, second) in
        [(away, kept.as_str()), (&kept, away), (away, away), (&renamed, &kept), (&kept, &renamed), (away, &renamed)]
    {
        let line = last_row(&with(first));
        let copy = with(&format!("{first}{second}"));
        assert_eq!(
            copy.problems(),
            [format!(
                "gambella/intervention.toml:{}: this row and the one in line {line} are both about `telephone_current`, and one of them \
                 takes it away or gives it another name (hint: keep one)",
                last_row(&copy)
            )]
        );
    }
}

#[test]
fn a_field_of_its_own_is_said_to_be_one() {
    let own = "[[case]]\nto = \"name_frist\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"not on form\"\n";
    let said = |added: &str| with(&format!("{own}{added}")).problems();
    let line = last_row(&with(own));
    assert_eq!(
        said(""),
        [format!(
            "gambella/intervention.toml:{line}: the base does not know `name_frist` in `[[case]]` (hint: did you mean `name_first`?; or \
             `own_field = true`, if it is this programme's own)"
        )]
    );
    assert_eq!(
        said("own_field = true\n"),
        [format!(
            "gambella/intervention.toml:{line}: a field that the base does not exchange needs a `reason` (hint: one sentence for the \
             people who sign)"
        )]
    );
    assert_eq!(said("own_field = true\nreason = \"Ours.\"\n"), [""; 0]);
}

#[test]
fn what_is_left_to_the_programme_has_to_be_said() {
    let copy = Copy::new();
    copy.write("gambella/intervention.toml", "");
    let problems = copy.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].starts_with("base/intervention.toml:") && problems[0].contains(": `language` is left to the programme"),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(
            |said| said.contains("`service_implementing_agency` is left to the programme, which does not say it: The agency")
        )
    );
    assert!(
        problems
            .iter()
            .any(|said| said == "gambella/tables/language-in.csv: no row uses the table `language-in` (hint: remove this file)"),
        "{problems:?}"
    );
}

#[test]
fn mistakes_of_a_programme_are_named() {
    for (added, said) in [
        ("[[case]]\nto = \"x\"\nremove = true\n", "the base has no `x` in `[[case]]` (hint: did you mean "),
        ("[[case]]\nto = \"age\"\nremove = true\nread = \"age\"\nreason = \"a\"\n", "unknown key `read` (hint: "),
        ("[[case]]\nto = \"sex\"\nremove = true\nlocalisable = true\n", "`localisable` is for the base to say (hint: remove it)"),
        (
            "[[case]]\nto = \"owned_by\"\nsetting = \"primero.intake_user\"\nown_field = true\nwrite = \"create\"\nform = \"Record Owner\"\n",
            "`own_field` is for what the base does not know, and it knows `owned_by` (hint: remove it)",
        ),
    ] {
        let problems = with(added).problems();
        assert!(problems.iter().any(|problem| problem.contains(said)), "expected:\n{said}\ngot:\n{}", problems.join("\n"));
    }
    let copy = with(
        "[[case]]\nto = \"owned_by\"\nsetting = \"primero.intake_user\"\nwrite = \"create\"\nform = \"Record Owner\"\n\
         reason = \"The intake user hands new cases to case workers.\"\n",
    );
    assert_eq!(copy.problems(), [""; 0]);
    assert!(
        copy.found(Grade::Warning)[0].contains("says word for word what the base says in line "),
        "{:?}",
        copy.found(Grade::Warning)
    );
}

#[test]
fn what_gambella_chose_stands_in_its_own_files() {
    let mapping = loaded();
    let own: Vec<&str> = mapping.rows().filter(|(_, row)| !row.of_base).map(|(_, row)| row.target.as_str()).collect();
    assert_eq!(own, ["language", "service_implementing_agency", "service_implementing_agency", "owned_by_agency_id"]);
}
