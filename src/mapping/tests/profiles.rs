//! Need to know: whose profile it is, is read as the row reads that writes the type of the service.

use serde_json::json;

use super::{super::*, Copy};

const LABEL: &str = "interventiontype.progres_description";

/// What is read of an intervention, and what a new case would get.
fn kept(mapping: &Mapping, added: &Value) -> Result<(BTreeSet<String>, BTreeSet<String>), Vec<Gap>> {
    let mut rows = [json!({
        "individuals.progres_id": "989-TEST0002",
        "individuals.progres_registrationgroupid": {"Name": "989-26C00002"},
        "individuals.progres_givenname": "Probus",
        "individuals.progres_familyname": "Inventedson",
        "individuals.progres_dateofbirth": "2010-02-28",
        "individuals.progres_sex": "125080001",
    })]
    .map(|row| row.as_object().unwrap().clone());
    rows[0].extend(added.as_object().unwrap().clone());
    mapping.narrow(&mut rows);
    let today = "2026-11-22".parse().unwrap();
    let service_types = ["Education", "education", "7"].map(str::to_owned);
    let context = InterventionContext { intake_user: "test_intake", today, service_types: &service_types, agencies: &[] };
    let draft = mapping.case_draft(&"1".parse().unwrap(), &rows, context)?;
    Ok((rows[0].keys().cloned().collect(), draft.new_case.reveal().keys().cloned().collect()))
}

/// Dadaab, where the type of the service is read in another way, and its row of education is called otherwise.
fn dadaab(read: &str, education: &str) -> Copy {
    let copy = Copy::of("dadaab");
    let row = format!(
        "\n[[service]]\nto = \"service_type\"\n{read}\nagreed = \"flow1.service_types\"\ntable = \"service-in\"\nunlisted = \"refuse\"\n\
         required = true\nform = \"Services\"\nreason = \"Invented for a test.\"\n"
    );
    let text = copy.read("dadaab/intervention.toml");
    copy.write("dadaab/intervention.toml", &(text + &row));
    copy.replace("dadaab/intervention.toml", "service_types = [\"Education\"]", &format!("service_types = [\"{education}\"]"));
    copy.replace("dadaab/tables/service-in.csv", "Education,education_service", &format!("{education},education_service"));
    copy
}

#[test]
fn a_profile_holds_for_every_spelling_that_the_row_of_the_service_reads() {
    let from = format!("from = \"{LABEL}\"");
    for (read, education, posted) in [
        (from.clone(), "Education", json!({LABEL: "Education"})),
        (format!("{from}\nlower_case = true"), "education", json!({LABEL: "Education"})),
        (from.clone(), "7", json!({LABEL: 7})),
        (
            format!("first_of = [\"kind\", \"{LABEL}\"]\nread = \"reference\""),
            "Education",
            json!({"kind": {"Name": " "}, LABEL: {"Name": "Education"}}),
        ),
        (format!("first_of = [\"kind\", \"{LABEL}\"]"), "Education", json!({"kind": [], LABEL: "Education"})),
    ] {
        let mapping = dadaab(&read, education).load().unwrap_or_else(|problems| panic!("{problems}"));
        let (read_of_it, written) = kept(&mapping, &posted).unwrap_or_else(|gaps| panic!("{read}: {gaps:?}"));
        assert!(!read_of_it.contains("individuals.progres_givenname"), "{read}");
        assert!(!written.contains("name_first") && written.contains("unhcr_individual_no"), "{read}");
    }
}

#[test]
fn a_type_that_cannot_be_read_makes_no_message_at_all() {
    let mapping = Copy::of("dadaab").load().unwrap();
    for (posted, reason) in [
        (json!({LABEL: true}), Reason::InvalidValues),
        (json!({LABEL: {"Name": "Education"}}), Reason::InvalidValues),
        (json!({LABEL: " "}), Reason::MissingFields),
        (json!({LABEL: "education"}), Reason::ServiceTypeNotAgreed),
    ] {
        assert_eq!(kept(&mapping, &posted), Err(vec![Gap { reason, field: LABEL.to_owned() }]), "{posted}");
    }
}

#[test]
fn a_profile_that_could_be_passed_by_is_refused() {
    let plain = "\n[[referral]]\nto = \"service_type\"\nof = \"service\"\nfrom = \"service_type\"\nrequired = true\nform = \"Services\"\n";
    let no_table = |copy: &Copy| copy.write("dadaab/referral.toml", &(copy.read("dadaab/referral.toml") + plain));
    let other = |from: &'static str, to: &'static str| {
        move |copy: &Copy| {
            let text = copy.read("base/referral.toml");
            let (before, row) = text.split_at(text.find("to = \"service_type\"").unwrap());
            assert!(row.contains(from));
            copy.write("base/referral.toml", &format!("{before}{}", row.replacen(from, to, 1)));
        }
    };
    let (unlisted, optional) = (other("unlisted = \"refuse\"", "unlisted = \"as_is\""), other("required = true\n", ""));
    for spoil in [&no_table as &dyn Fn(&Copy), &unlisted, &optional] {
        let copy = Copy::of("dadaab");
        spoil(&copy);
        let problems = copy.problems();
        let said = "the profile could be passed by: the `[[referral]]` row that looks up the type of the service must ";
        assert!(
            problems.iter().any(|problem| problem.starts_with("dadaab/referral.toml:") && problem.contains(said)),
            "{problems:?}"
        );
    }
}
