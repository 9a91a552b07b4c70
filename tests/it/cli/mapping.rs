//! `referrald mapping`: for those who write a mapping and those who sign it.

use std::{fs, path::Path};

use referrald::sandbox::primero::{Field, FieldType};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answered, referrald, said, with};
use crate::world::World;

/// A folder with all mappings in it.
pub(super) fn copied() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to)
            } else {
                let _bytes = fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings"), folder.path());
    folder
}

fn append(folder: &TempDir, file: &str, text: &str) {
    let path = folder.path().join(file);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, before + text).unwrap();
}

fn check(folder: &TempDir, programme: &str) -> String {
    said(&["mapping", "check", &folder.path().join(programme).display().to_string()], Some(folder.path()))
}

#[test]
fn forty_mistakes_are_forty_findings_in_file_order_each_with_a_remedy() {
    let folder = copied();
    let row = |rest: &str| {
        format!("[[case]]\nown_field = true\nreason = \"A test.\"\nwrite = \"create\"\nform = \"not on form\"\n{rest}\n")
    };
    let rows = [
        "to = \"x1\"\nfromm = \"a\"\nfrom = \"a\"",
        "to = \"x2\"\nrequired = true",
        "to = \"x3\"",
        "to = \"x4\"\nfrom = \"a\"\nconstant = \"b\"",
        "to = \"x5\"\nfrom = \"a\"\nread = \"datee\"",
        "to = \"x6\"\nfrom = \"a\"\ntable = \"sex-inn\"\nunlisted = \"refuse\"",
        "to = \"x7\"\nfrom = \"a\"\ntable = \"sex-in\"",
        "to = \"x8\"\nfrom = \"a\"\ntable = \"sex-in\"\nunlisted = \"refused\"",
        "to = \"x9\"\nfrom = \"a\"\nrequired = true\ndefault = \"b\"",
        "to = \"y1\"\nfrom = 7",
        "to = \"y2\"\nsetting = \"primero.intake_usr\"",
        "to = \"y3\"\njoin = [{ from = \"a\" }]",
        "to = \"y4\"\nfrom = \"a\"\nuuid5 = \"no uuid\"",
        "to = \"y5\"\nfrom = \"a\"\nlast_characters = 0",
        "to = \"y6\"\nfrom = \"a\"\nidentifier = \"yes\"",
        "to = \"y7\"\nfrom = \"a\"\nagreed = \"flow1.servicetypes\"",
        "to = \"y8\"\nfrom = \"a\"\nof_all_rows = true\nlist = true",
        "to = \"y9\"\nfrom = \"a\"\nunlisted = \"refuse\"",
        "to = \"z1\"\nfrom = \"a\"\nmissing = \"nothing\"",
        "to = \"z2\"\nfrom = \"languages.progres_languagecodeid\"",
        "to = \"services_section\"\nfrom = \"a\"",
    ];
    rows.iter().for_each(|rest| append(&folder, "gambella/intervention.toml", &row(rest)));
    append(
        &folder,
        "gambella/intervention.toml",
        "[[case]]\nto = \"name_first\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"Basic Identity\"\n",
    );
    append(
        &folder,
        "gambella/intervention.toml",
        "[[case]]\nto = \"name_frist\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"Basic Identity\"\n",
    );
    append(&folder, "gambella/intervention.toml", "[[case]]\nto = \"nobody\"\nremove = true\n");
    append(
        &folder,
        "gambella/intervention.toml",
        "[[case]]\nto = \"owned_by\"\nsetting = \"primero.intake_user\"\nwrite = \"always\"\nform = \"Record Owner\"\n",
    );
    append(
        &folder,
        "gambella/intervention.toml",
        "[[profile]]\nname = \"less\"\nservice_types = [\"Flying\"]\ncase = [\"sexx\"]\n",
    );
    append(
        &folder,
        "gambella/referral.toml",
        "[[referral]]\nto = \"sexe\"\nof = \"case\"\nfrom = \"sex\"\nform = \"Basic Identity\"\n",
    );
    append(
        &folder,
        "gambella/feedback.toml",
        "[[failed]]\nto = \"status\"\nfrom = \"a\"\nform = \"not on form\"\nreason = \"A test.\"\n",
    );
    append(&folder, "gambella/reasons.toml", "[texts]\nexpired = \"a\"\nmissing_fields = \"Something is missing.\"\n");
    append(
        &folder,
        "gambella/mapping.toml",
        "\n[[table]]\nname = \"never\"\nfile = \"tables/never.csv\"\nlook_up = \"a\"\nwrite = \"b\"\n",
    );
    append(
        &folder,
        "gambella/tables/sex-in.csv",
        "125080000,Female,female,Female\n 125080007,A,a,A\n1.2508E+08,B,b,B\n125080008,C,,C\n125080009,D\n",
    );
    append(
        &folder,
        "gambella/tables/service-in.csv",
        "Cash,cash,Cash,CP coordinator,,\nShoes,shoes,Shoes,CP coordinator,30/11/2026,\n",
    );
    append(&folder, "gambella/tables/old.csv", "a,b\n");
    let told = check(&folder, "gambella");
    let rows: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let problems: Vec<&Value> = rows.iter().filter(|row| row["grade"] == "problem").collect();
    assert_eq!(rows.last().map(|sum| sum["problems"].clone()), Some(json!(problems.len())));
    assert!(problems.len() >= 40, "{} problems:\n{told}", problems.len());
    for problem in &problems {
        let said = problem["said"].as_str().unwrap();
        assert!(said.contains("hint: ") || said.contains(" must be ") || said.contains("must hold"), "no remedy: {said}");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_looks_wrong_is_a_warning_and_what_a_programme_changed_is_a_note() {
    let folder = copied();
    append(&folder, "dadaab/tables/concern-in.csv", "Somebody else,ask.testina@example.org,Testina\n");
    append(&folder, "dadaab/tables/concern-in.csv", "Nobody,nobody,as Ms. Testina said\n");
    append(&folder, "dadaab/tables/service-in.csv", "Cash,cash_assistance,Cash,Testina Examplename,2026-10-01\n");
    append(
        &folder,
        "dadaab/mapping.toml",
        &format!(
            "\n[approval]\nagreement = \"A\"\nby_role = \"Ms Testina\"\non = \"2026-10-01\"\ndigest = \"{}\"\n",
            "0".repeat(64)
        ),
    );
    insta::assert_snapshot!([check(&folder, "gambella"), check(&folder, "dadaab")].join("\n\n"));
}

#[test]
fn a_digest_comes_with_the_lines_that_record_an_approval() {
    let folder = copied();
    let directory = folder.path().join("gambella").display().to_string();
    let row = |told: &str| serde_json::from_str::<Value>(told.lines().next().unwrap()).unwrap();
    let told = row(&said(&["mapping", "digest", &directory], None));
    let digest = told["digest"].as_str().unwrap();
    assert_eq!((digest.len(), &told["approved"]), (64, &json!(false)));
    append(
        &folder,
        "gambella/mapping.toml",
        &format!("\n[approval]\nagreement = \"A\"\nby_role = \"CP coordinator\"\non = \"2026-10-01\"\ndigest = \"{digest}\"\n"),
    );
    assert_eq!(row(&said(&["mapping", "digest", &directory], None))["approved"], json!(true));
}

#[test]
fn a_configuration_speaks_for_its_own_mapping_alone() {
    let folder = copied();
    let path = |below: &str| folder.path().join(below).display().to_string();
    let config = path("site.toml");
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dadaab.example.toml")).unwrap();
    let day = |text: String, key: &str, day: &str| text.replace(&format!("{key} = \"…\""), &format!("{key} = \"{day}\""));
    let text = day(day(day(example, "valid_from", "2026-01-01"), "valid_until", "2027-12-31"), "start_from", "2026-01-01");
    let text = text.replace("email = \"…\"", "email = \"cpims@example.org\"").replace("../mappings/dadaab", &path("dadaab"));
    let text = text.replace("sha256 = \"…\"", &format!("sha256 = \"{}\"", "2".repeat(64))).replace('…', "example.org");
    fs::write(&config, text).unwrap();
    let sheet = |programme: &str| {
        let told = referrald(&["mapping", "sheet", &path(programme), "--config", &config]);
        assert!(told.status.success(), "{told:?}");
        String::from_utf8(told.stdout).unwrap()
    };
    assert!(sheet("dadaab").contains("example.org"), "{}", sheet("dadaab"));
    let other = sheet("gambella");
    assert!(other.starts_with("# Mapping sheet: gambella\n") && !other.contains("example.org"), "{other}");

    let approved = |more: &[&str]| {
        let told = referrald(&[&["mapping", "digest", &path("dadaab")], more].concat());
        let row: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
        (row["approved"].as_bool().unwrap(), row["digest"].as_str().unwrap().to_owned())
    };
    let (_, digest) = approved(&[]);
    append(
        &folder,
        "dadaab/mapping.toml",
        &format!("\n[approval]\nagreement = \"A\"\nby_role = \"CP coordinator\"\non = \"2026-10-01\"\ndigest = \"{digest}\"\n"),
    );
    assert!(approved(&[]).0 && !approved(&["--config", &config]).0, "it was approved under another agreement than that one's");
}

#[test]
fn the_data_elements_are_listed_for_each_direction_and_service() {
    let folder = copied();
    let directory = folder.path().join("dadaab").display().to_string();
    let told = String::from_utf8(referrald(&["mapping", "fields", &directory]).stdout).unwrap();
    let rows: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = |message: &str, service: &str| -> Vec<String> {
        let named = |row: &&Value| {
            row["message"] == message
                && (service.is_empty() || row["service_types"].as_array().unwrap().contains(&json!(service)))
        };
        rows.iter().filter(named).map(|row| row["field"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        fields("referral", "education_service"),
        ["id", "request_type", "service_implementing_agency", "owned_by_agency_id", "service_type", "unhcr_individual_no"]
    );
    assert!(fields("referral", "alternative_care").contains(&"name_first".to_owned()));
    assert_eq!(
        fields("case", "Education"),
        ["unhcr_individual_no", "unhcr_id_no", "status", "module_id", "owned_by", "registration_camp"]
    );
    assert_eq!(fields("failed", "").len(), 5);
    insta::assert_snapshot!(
        rows.iter()
            .map(|row| format!(
                "{} {} <- {} [{}]",
                row["message"].as_str().unwrap(),
                row["field"].as_str().unwrap(),
                row["from"].as_str().unwrap(),
                row["form"].as_str().unwrap()
            ))
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn one_document_can_be_tried_and_nothing_of_it_is_told_elsewhere() {
    let folder = copied();
    let directory = folder.path().join("gambella").display().to_string();
    let marked = "Unmistakable-Zanzibar";
    let row = json!({
        "progres_interventionnumber": "989-26-TEST-0000001", "interventiontype.progres_description": "BID",
        "individuals.progres_id": "989-TEST0001", "individuals.progres_registrationgroupid": { "Name": "989-26C00001" },
        "individuals.progres_givenname": marked, "individuals.progres_familyname": "Examplename",
        "individuals.progres_sex": "125080000", "progres_comments_nonrestrictedstore": "not shared",
    });
    let file = folder.path().join("post.json");
    let attempt = |post: &Value, kind: &str| {
        fs::write(&file, post.to_string()).unwrap();
        let output = referrald(&["--log", "debug", "mapping", "try", kind, &file.display().to_string(), "--mapping", &directory]);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (serde_json::from_str::<Value>(text(output.stdout).trim()).unwrap_or_default(), text(output.stderr), output.status.code())
    };
    let (told, errors, exit) =
        attempt(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row.clone()] }), "intervention");
    assert_eq!((&told["gaps"], exit), (&json!([["missing_fields", "individuals.progres_dateofbirth"]]), Some(1)));
    assert_eq!(told["not_read"], json!(["progres_comments_nonrestrictedstore"]));
    assert!(!errors.contains(marked), "{errors}");
    let mut whole = row;
    whole["individuals.progres_dateofbirth"] = json!("2014-05-06");
    let (told, errors, exit) = attempt(&whole, "intervention");
    assert_eq!((&told["document"]["new_case"]["name_first"], exit, errors.as_str()), (&json!(marked), Some(0), ""));
    let sex = told["fields"].as_array().unwrap().iter().find(|field| field["field"] == "sex").unwrap();
    assert_eq!(
        *sex,
        json!({
            "in": "a new case", "field": "sex", "from": "individuals.progres_sex",
            "rule": "table `sex-in`, any other value refused; required; only into a new case",
        })
    );
    let (told, _, exit) = attempt(&json!({ "progres_reviewdecision": "9" }), "referral_decision");
    assert_eq!((&told["document"], exit), (&Value::Null, Some(0)));
    let (_, errors, exit) = attempt(&json!([marked]), "referral");
    assert!(errors.contains("hint: {\"case\": ") && !errors.contains(marked) && exit == Some(1), "{errors}");
    fs::write(&file, format!("{{\"a\": {marked}")).unwrap();
    let output = referrald(&["mapping", "try", "intervention", &file.display().to_string(), "--mapping", &directory]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("the document is not JSON (line 1, column ") && !errors.contains(marked), "{errors}");
}

async fn live(world: &World) -> Answered {
    with(world, "mapping check --live", &[]).await
}

#[tokio::test]
async fn a_mapping_is_compared_with_the_primero_that_it_is_made_for() {
    let world = World::without_daemon(&[]).await;
    let told = live(&world).await;
    assert_eq!((told.exit, told.error.as_str()), (0, ""), "{told:?}");
    let label = |id: &str, table: &str| {
        let found = told.rows.iter().find(|row| row["id"] == id && row["table"] == table);
        found.unwrap_or_else(|| panic!("no label of {id}")).clone()
    };
    let food = label("food", "service-in");
    assert_eq!((&food["live"], &food["ours"]), (&json!("Family Reunification Service"), &json!("Family Reunification Service")));
    assert_eq!((&food["verdict"], &food["opened"]), (&json!("agrees"), &json!(true)));
    assert_eq!(label("education_formal", "service-out")["verdict"], "differs", "the label in Primero is another one");
    assert_eq!(label("language9", "language-out")["verdict"], "no_row");
    assert!(food["place"].as_str().unwrap().ends_with("mappings/gambella/tables/service-in.csv:5"), "{food}");
}

#[tokio::test]
async fn what_does_not_fit_primero_is_a_problem() {
    let world = World::without_daemon(&[]).await;
    let primero = &world.stage.primero;
    primero.relabel_option("lookup-service-type", "food", "Food Service");
    primero.remove_option("lookup-gender", "male");
    primero.put_field("basic_identity", Field::new("registration_site", FieldType::Text).required());
    let told = live(&world).await;
    assert_eq!(told.exit, 69, "{told:?}");
    let of = |grade: &str| -> Vec<&str> {
        told.rows.iter().filter(|row| row["grade"] == grade).filter_map(|row| row["said"].as_str()).collect()
    };
    let folder = world.stage.directory().display().to_string();
    insta::assert_snapshot!(of("problem").join("\n").replace(&folder, "DIR"));
    assert!(
        of("note")
            .iter()
            .any(|said| said.starts_with("the case field `registration_site` is required on the form `basic_identity`"))
    );
    let offline = with(&world, "mapping check", &[]).await;
    assert_eq!(offline.exit, 0, "{offline:?}");
}
