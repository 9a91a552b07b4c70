//! What the other rooms ask a mapping.

use super::{super::*, loaded};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_mapping_tells_which_fields_it_reads_and_writes() {
    let mapping = loaded();
    assert_eq!(
        *mapping.intervention_keys(),
        set(&[
            "individuals.progres_coalocationlevel1",
            "individuals.progres_coalocationlevel2",
            "individuals.progres_coalocationlevel3",
            "individuals.progres_coalocationlevel4",
            "individuals.progres_coalocationlevel5",
            "individuals.progres_coalocationlevel6",
            "individuals.progres_commonyusedname",
            "individuals.progres_dateofbirth",
            "individuals.progres_familyname",
            "individuals.progres_givenname",
            "individuals.progres_id",
            "individuals.progres_middlename",
            "individuals.progres_primaryphonenumber",
            "individuals.progres_registrationgroupid",
            "individuals.progres_sex",
            "interventiontype.progres_description",
            "languages.progres_languagecodeid",
            "progres_interventiondescription",
            "progres_interventionnumber",
            "progres_interventionstartdate",
            "progres_primeroid",
            "progres_reasonforreferral",
            "user.internalemailaddress",
            "user.mobilephone",
            "user.progres_partner",
            "user.title",
        ])
    );
    assert_eq!(
        *mapping.decision_keys(),
        set(&[
            "progres_interoperabilityreferralrejectioncomment",
            "progres_interoperabilityreferralrejectionomment",
            "progres_interoperabiltyreferralrejectionreason",
            "progres_orgreferralid",
            "progres_reviewdate",
            "progres_reviewdecision",
        ])
    );
    assert_eq!(
        *mapping.referral_case_fields(),
        set(&[
            "address_current",
            "case_id",
            "date_of_birth",
            "language",
            "name_first",
            "name_last",
            "name_middle",
            "name_nickname",
            "owned_by",
            "services_section",
            "sex",
            "telephone_current",
            "unhcr_id_no",
            "unhcr_individual_no",
        ])
    );
    assert_eq!(
        *mapping.written_case_fields(),
        set(&[
            "address_current",
            "age",
            "case_id",
            "date_of_birth",
            "language",
            "module_id",
            "name_first",
            "name_last",
            "name_middle",
            "name_nickname",
            "owned_by",
            "sex",
            "status",
            "telephone_current",
            "unhcr_id_no",
            "unhcr_individual_no",
        ])
    );
    assert_eq!(
        *mapping.written_service_fields(),
        set(&[
            "progres_interventionnumber",
            "service_implementing_agency",
            "service_referral",
            "service_referral_notes",
            "service_request_agency",
            "service_request_email",
            "service_request_external",
            "service_request_phone",
            "service_request_title",
            "service_response_day_time",
            "service_response_type",
            "service_type",
            "unhcr_referral_status",
            "unique_id",
        ])
    );
}

#[test]
fn a_mapping_tells_by_which_fields_a_child_and_a_service_are_recognised() {
    let mapping = loaded();
    assert_eq!(
        *mapping.identity(),
        IdentityFields {
            person_number: "unhcr_individual_no".to_owned(),
            sex: "sex".to_owned(),
            date_of_birth: "date_of_birth".to_owned(),
            names: ["name_first", "name_middle", "name_last", "name_nickname"].map(str::to_owned).to_vec(),
        }
    );
    assert_eq!(
        *mapping.service_fields(),
        ServiceFields {
            number: "progres_interventionnumber".to_owned(),
            service_type: "service_type".to_owned(),
            status: "unhcr_referral_status".to_owned(),
        }
    );
}

#[test]
fn a_mapping_tells_who_is_wrong_when_primero_refuses_a_value() {
    let mapping = loaded();
    let theirs = |key: &str| Some(Origin::Theirs(key.to_owned()));
    for (pointer, origin) in [
        ("/status", Some(Origin::Ours)),
        ("/owned_by", Some(Origin::Ours)),
        ("/module_id", Some(Origin::Ours)),
        ("/sex", Some(Origin::Table)),
        ("/language", Some(Origin::Table)),
        ("/language/0", Some(Origin::Table)),
        ("date_of_birth", theirs("individuals.progres_dateofbirth")),
        ("/age", theirs("individuals.progres_dateofbirth")),
        ("/address_current", theirs("individuals.progres_coalocationlevel1")),
        ("/services_section", Some(Origin::Ours)),
        ("/services_section/0", Some(Origin::Ours)),
        ("/services_section/0/service_type", Some(Origin::Table)),
        ("/services_section/0/unique_id", Some(Origin::Ours)),
        ("/services_section/3/unhcr_referral_status", Some(Origin::Ours)),
        ("/services_section/0/service_request_title", theirs("user.title")),
        ("/services_section/0/sex", None),
        ("service_type", Some(Origin::Table)),
        ("/consent_for_services", None),
        ("", None),
        ("/", None),
    ] {
        assert_eq!(mapping.origin_of(pointer), origin, "{pointer}");
    }
}

#[test]
fn the_version_changes_with_any_file_that_decides() {
    let copy = super::Copy::new();
    let version = |copy: &super::Copy| copy.load().unwrap().version().to_owned();
    let original = version(&copy);
    assert_eq!(original, loaded().version());
    let (said, digest) = original.split_once('+').unwrap();
    assert_eq!((said, digest.len()), ("1", 12));
    copy.replace("gambella/tables/language-out.csv", "Toro,Toro", "Toro,Tooro");
    let changed = version(&copy);
    assert_ne!(changed, original);
    copy.replace("base/reasons.toml", "Please use another way", "Use another way");
    assert_ne!(version(&copy), changed);
}

#[test]
fn a_case_draft_says_nothing_when_it_is_shown() {
    let number: InterventionNumber = "989-26-TEST-0000001".parse().unwrap();
    let examples: Value =
        serde_json::from_slice(&std::fs::read(super::gambella().join("examples/interventions.in.json")).unwrap()).unwrap();
    let rows: Vec<Document> = serde_json::from_value(examples["examples"]["everything"]["rows"].clone()).unwrap();
    let service_types = ["Alternative Care".to_owned()];
    let today = "2026-11-22".parse().unwrap();
    let context = InterventionContext { intake_user: "test_intake", today, service_types: &service_types, agencies: &[] };
    let shown = format!("{:?}", loaded().case_draft(&number, &rows, context).unwrap());
    for value in ["Testina", "Examplename", "TEST0001", "2014", "Nuer", "language2"] {
        assert!(!shown.contains(value), "a value of a record is shown");
    }
}

#[test]
fn no_rows_are_gaps_and_no_panic() {
    let number: InterventionNumber = "1".parse().unwrap();
    let today = "2026-11-22".parse().unwrap();
    let context = InterventionContext { intake_user: "test_intake", today, service_types: &[], agencies: &[] };
    assert_eq!(loaded().case_draft(&number, &[], context).unwrap_err().len(), 7);
}
