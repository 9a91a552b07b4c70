//! What cannot be mapped is taken, and answered by feedback with every gap at once; nobody else in the post is touched by it.

use serde_json::{Value, json};

use super::{NUMBER, delivered, failed};
use crate::world::{World, intervention};

const NEIGHBOUR: &str = "989-26-TEST-0002";

/// One bad intervention and a good neighbour in one post: the closure reason that DTP is told, and the neighbour is delivered.
async fn refused(rows: &[Value]) -> String {
    let world = World::new().await;
    let good = intervention(NEIGHBOUR, json!({"individuals.progres_id": "989-TEST0002"}));
    let post: Vec<Value> = rows.iter().cloned().chain([good]).collect();
    world.refer(Value::Array(post)).await;
    let told = world.told_dtp();
    let of = |number: &str| told.iter().filter(|body| body["progres_interventionnumber"] == number).cloned().collect::<Vec<_>>();
    assert_eq!(of(NEIGHBOUR), [delivered(&world, NEIGHBOUR, world.case_of("989-TEST0002"))]);
    assert_eq!(world.stage.primero.case_count(), 1, "nothing was written for the bad one");
    let [feedback] = of(NUMBER).try_into().expect("one feedback for the bad one");
    let why = feedback["closure_reason"].as_str().unwrap().to_owned();
    assert_eq!(feedback, failed(NUMBER, &why));
    world.end().await;
    why
}

fn row(change: Value) -> [Value; 1] {
    [intervention(NUMBER, change)]
}

fn missing(fields: &str) -> String {
    format!("Required fields are missing: {fields}. Please complete them and send the referral again.")
}

fn invalid(fields: &str) -> String {
    format!("These fields hold values that cannot be used: {fields}. Please correct them and send the referral again.")
}

#[tokio::test]
async fn every_gap_is_told_at_once() {
    let why = refused(&row(json!({
        "individuals.progres_givenname": null,
        "individuals.progres_familyname": "   ",
        "individuals.progres_sex": "999",
        "individuals.progres_dateofbirth": "not a date",
        "interventiontype.progres_description": "Cash",
    })))
    .await;
    let expected = [
        missing("individuals.progres_familyname, individuals.progres_givenname"),
        invalid("individuals.progres_dateofbirth, individuals.progres_sex"),
        "The service type is not one of those agreed for referral to CPIMS+.".to_owned(),
    ];
    assert_eq!(why, expected.join(" "));
}

#[tokio::test]
async fn null_everywhere_is_missing_everywhere() {
    let nulls = json!({
        "progres_interventionnumber": NUMBER,
        "progres_interventionstartdate": null,
        "interventiontype.progres_description": null,
        "individuals.progres_id": null,
        "individuals.progres_registrationgroupid": null,
        "individuals.progres_givenname": null,
        "individuals.progres_familyname": null,
        "individuals.progres_dateofbirth": null,
        "individuals.progres_sex": null,
        "progres_interventiondescription": null,
        "user.title": null,
        "user.internalemailaddress": null,
    });
    let why = refused(&[nulls]).await;
    let fields = "individuals.progres_dateofbirth, individuals.progres_familyname, individuals.progres_givenname, \
                  individuals.progres_id, individuals.progres_registrationgroupid, individuals.progres_sex, \
                  interventiontype.progres_description";
    assert_eq!(why, missing(fields));
}

#[tokio::test]
async fn values_that_look_like_parts_of_a_programming_language_are_in_no_table() {
    for value in ["constructor", "__proto__", "toString", "hasOwnProperty"] {
        let change = json!({"individuals.progres_sex": value, "interventiontype.progres_description": value});
        let why = refused(&row(change)).await;
        let expected = [
            invalid("individuals.progres_sex"),
            "The service type is not one of those agreed for referral to CPIMS+.".to_owned(),
        ];
        assert_eq!(why, expected.join(" "));
    }
}

#[tokio::test]
async fn keys_that_look_like_parts_of_a_programming_language_are_read_by_nobody() {
    let world = World::new().await;
    let change = json!({"__proto__": {"individuals.progres_sex": "125080001"}, "constructor": {"prototype": 1}, "toString": "x"});
    world.refer(json!(row(change))).await;
    assert_eq!(world.stage.primero.case(world.case_of("989-TEST0001")).unwrap()["sex"], "female");
    world.end().await;
}

#[tokio::test]
async fn values_that_cannot_be_used_are_named_by_their_field() {
    for (field, value) in [
        ("individuals.progres_dateofbirth", json!("2999-01-01T00:00:00Z")),
        ("individuals.progres_dateofbirth", json!("2014-02-30T00:00:00Z")),
        ("individuals.progres_givenname", json!(17)),
        ("individuals.progres_givenname", json!(true)),
        ("individuals.progres_givenname", json!({"Name": "Testina"})),
        ("individuals.progres_familyname", json!(["Examplename"])),
        ("individuals.progres_id", json!(989)),
        ("individuals.progres_id", json!("989 TEST\"0001")),
        ("individuals.progres_id", json!("989,TEST0001")),
        ("individuals.progres_registrationgroupid", json!("989-TESTGROUP")),
        ("individuals.progres_sex", json!(125_080_009)),
        ("individuals.progres_sex", json!(1.5)),
        ("individuals.progres_sex", json!("female")),
        ("progres_interventionstartdate", json!("tomorrow")),
        ("user.title", json!(5)),
        ("progres_primeroid", json!("a\"b")),
    ] {
        assert_eq!(refused(&row(json!({field: value}))).await, invalid(field), "{field} {value}");
    }
}

#[tokio::test]
async fn rows_that_contradict_each_other_are_named_and_not_guessed() {
    let [mut first] = row(json!({}));
    let second = intervention(NUMBER, json!({"individuals.progres_sex": "125080001", "user.title": "Other"}));
    first["languages.progres_languagecodeid"] = json!({"Name": "Nuer"});
    let why = refused(&[first, second]).await;
    let expected = "The referral holds contradictory values in these fields: individuals.progres_sex, user.title. \
                    Please correct them and send the referral again.";
    assert_eq!(why, expected);
}

#[tokio::test]
async fn an_integer_where_a_code_is_expected_is_read_as_its_digits() {
    let world = World::new().await;
    world.refer(json!(row(json!({"individuals.progres_sex": 125_080_001})))).await;
    assert_eq!(world.stage.primero.case(world.case_of("989-TEST0001")).unwrap()["sex"], "male");
    world.end().await;
}

#[tokio::test]
async fn free_text_that_is_exactly_a_date_is_stored_all_the_same() {
    let world = World::new().await;
    let change = json!({"user.title": "2024-05-01", "progres_interventiondescription": "2024-05-01T10:00:00Z"});
    world.refer(json!(row(change))).await;
    let service = &world.stage.primero.services(world.case_of("989-TEST0001"))[0];
    assert_eq!(service["service_request_title"], "2024-05-01.");
    assert_eq!(service["service_referral_notes"], "2024-05-01T10:00:00Z.");
    assert_eq!(world.told_dtp().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_service_type_that_is_in_the_table_but_not_agreed_is_refused() {
    let world = World::with(&[("REFERRALD__FLOW1__SERVICE_TYPES", "BID,BIA")]).await;
    world.refer(json!(row(json!({})))).await;
    assert_eq!(world.told_dtp(), [failed(NUMBER, "The service type is not one of those agreed for referral to CPIMS+.")]);
    world.end().await;
}
