//! Posts and what becomes of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn keys(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn parse(post: &Value) -> Result<Envelope, UnusablePost> {
    parse_bytes(post.to_string().as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> Result<Envelope, UnusablePost> {
    Envelope::parse(bytes, &keys(&[NUMBER, "individuals.progres_id", "language"]), &keys(&["progres_reviewdecision"]))
}

fn flaws(pairs: &[(&str, Flaw)]) -> Vec<NotTaken> {
    pairs.iter().map(|(pointer, reason)| NotTaken { pointer: (*pointer).to_owned(), reason: *reason }).collect()
}

fn document(value: Value) -> Document {
    value.as_object().unwrap().clone()
}

#[test]
fn rows_of_one_number_are_one_intervention_in_the_order_of_the_post() {
    let envelope = parse(&json!({
        "__query_params": {"x": 1}, "request_type": "PrimeroOutgoingReferral", "interventions": [
            {NUMBER: "989-T-1", "language": {"Id": "1", "Name": "A", "RowVersion": 7}, "individuals.progres_id": "989-TEST0001"},
            {NUMBER: "989-T-2", "specificneeds.progres_spncategory2": "never shared"},
            {NUMBER: "989-T-1", "language": {"Id": "2", "Name": "B"}, "individuals.progres_id": "989-TEST0001"},
        ]
    }))
    .unwrap();
    let Items::Interventions(interventions) = envelope.items else { panic!("interventions are expected") };
    let [one, two] = interventions.as_slice() else { panic!("two interventions are expected") };
    assert_eq!((one.number.as_str(), two.number.as_str()), ("989-T-1", "989-T-2"));
    assert_eq!(
        one.rows,
        [
            document(json!({NUMBER: "989-T-1", "language": {"Name": "A"}, "individuals.progres_id": "989-TEST0001"})),
            document(json!({NUMBER: "989-T-1", "language": {"Name": "B"}, "individuals.progres_id": "989-TEST0001"})),
        ]
    );
    assert_eq!(two.rows, [document(json!({NUMBER: "989-T-2"}))]);
    assert_eq!(envelope.not_taken, []);
}

#[test]
fn decisions_are_taken_one_by_one_with_only_the_keys_of_decisions() {
    let envelope = parse(&json!({"interventions": [
        {OUTGOING_ID: "Case-1#0123456789AB", "progres_reviewdecision": "125080000", "individuals.progres_id": "never asked for"},
    ], "request_type": "PrimeroIncomingReferralDecision"}))
    .unwrap();
    let Items::Decisions(decisions) = envelope.items else { panic!("decisions are expected") };
    let outgoing = "case-1#0123456789ab".parse().unwrap();
    assert_eq!(decisions, [DecisionItem { outgoing, item: document(json!({"progres_reviewdecision": "125080000"})) }]);
}

#[test]
fn an_item_that_is_not_usable_does_not_hold_up_the_others() {
    let envelope = parse(&json!({"request_type": "PrimeroOutgoingReferral", "interventions": [
        7, {}, {NUMBER: "989-T-1"}, {NUMBER: null}, {NUMBER: ""}, {NUMBER: "98 9"}, {NUMBER: 989}, {NUMBER: "9".repeat(65)}, [],
    ]}))
    .unwrap();
    assert_eq!(envelope.items.len(), 1);
    let number = |place: u8| format!("/interventions/{place}/{NUMBER}");
    assert_eq!(
        envelope.not_taken,
        flaws(&[
            ("/interventions/0", Flaw::NotAnObject),
            (&number(1), Flaw::Missing),
            (&number(3), Flaw::Missing),
            (&number(4), Flaw::Missing),
            (&number(5), Flaw::MalformedNumber),
            (&number(6), Flaw::MalformedNumber),
            (&number(7), Flaw::MalformedNumber),
            ("/interventions/8", Flaw::NotAnObject),
        ])
    );
}

#[test]
fn a_post_without_anything_usable_names_every_flaw() {
    let referral = "PrimeroOutgoingReferral";
    let decision = "PrimeroIncomingReferralDecision";
    for (post, expected) in [
        (json!([]), flaws(&[("", Flaw::NotAnObject)])),
        (json!("text"), flaws(&[("", Flaw::NotAnObject)])),
        (json!({}), flaws(&[("/request_type", Flaw::Missing), ("/interventions", Flaw::Missing)])),
        (json!({"request_type": referral}), flaws(&[("/interventions", Flaw::Missing)])),
        (json!({"request_type": referral, "interventions": []}), flaws(&[("/interventions", Flaw::Empty)])),
        (json!({"request_type": referral, "interventions": {}}), flaws(&[("/interventions", Flaw::NotAList)])),
        (json!({"request_type": referral, "interventions": null}), flaws(&[("/interventions", Flaw::NotAList)])),
        (
            json!({"request_type": "Feedback", "interventions": [{NUMBER: "1"}]}),
            flaws(&[("/request_type", Flaw::UnknownRequestType)]),
        ),
        (json!({"request_type": 1, "interventions": [{NUMBER: "1"}]}), flaws(&[("/request_type", Flaw::UnknownRequestType)])),
        (
            json!({"request_type": referral, "interventions": [null, {}]}),
            flaws(&[("/interventions/0", Flaw::NotAnObject), ("/interventions/1/progres_interventionnumber", Flaw::Missing)]),
        ),
        (
            json!({"request_type": decision, "interventions": [{}, {OUTGOING_ID: "case#short"}]}),
            flaws(&[
                ("/interventions/0/progres_orgreferralid", Flaw::Missing),
                ("/interventions/1/progres_orgreferralid", Flaw::MalformedReferralId),
            ]),
        ),
    ] {
        assert_eq!(parse(&post).unwrap_err(), UnusablePost::Unprocessable(expected));
    }
    assert_eq!(parse_bytes(b"not json").unwrap_err(), UnusablePost::NotJson);
}

#[test]
fn content_is_the_same_whatever_the_order_and_the_repeats() {
    let one = document(json!({"a": "1", "b": {"Name": "x"}}));
    let two = document(json!({"a": "1", "b": {"Name": "y"}}));
    let same = content(&[one.clone(), two.clone()]);
    assert_eq!(
        String::from_utf8(same.clone()).unwrap(),
        "{\"a\":\"1\",\"b\":{\"Name\":\"x\"}}\n{\"a\":\"1\",\"b\":{\"Name\":\"y\"}}\n"
    );
    assert_eq!(content(&[two.clone(), one.clone(), two.clone()]), same);
    assert_ne!(content(&[one]), same);
}

#[test]
fn what_says_nothing_is_no_content_and_everything_else_is() {
    let of = |value: Value| content(&[document(value)]);
    let plain = of(json!({"a": "1"}));
    for nothing in [json!(null), json!(""), json!(" \n"), json!({}), json!([]), json!({"Name": null}), json!([""])] {
        assert_eq!(of(json!({"a": "1", "b": nothing})), plain);
    }
    for something in [json!(0), json!(false), json!("x"), json!({"Name": "x"}), json!([1])] {
        assert_ne!(of(json!({"a": "1", "b": something})), plain);
    }
    assert_ne!(of(json!({"a": 1})), plain, "a number is not its digits: another value may have been put right");
    assert_ne!(of(json!({"a": "x\ny"})), of(json!({"a": "x", "b": "y"})));
}

#[test]
fn debug_says_nothing() {
    let post = json!({"request_type": "PrimeroOutgoingReferral", "interventions": [
        {NUMBER: "989-T-1", "individuals.progres_id": "Marker-Number", "language": "Marker-Language"}]});
    let shown = format!("{:?}", parse(&post).unwrap());
    assert!(!shown.contains("Marker"));
    let post = json!({"request_type": "PrimeroIncomingReferralDecision", "interventions": [
        {OUTGOING_ID: "case-1#0123456789ab", "progres_reviewdecision": "Marker-Decision"}]});
    let shown = format!("{:?}", parse(&post).unwrap());
    assert!(!shown.contains("Marker"));
}

/// JSON that comes close to a post.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("request_type".to_owned()),
        Just("interventions".to_owned()),
        Just(NUMBER.to_owned()),
        Just("Name".to_owned()),
        "[a-c]{0,2}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!("PrimeroOutgoingReferral")),
        Just(json!("989-T-1")),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_bytes(&bytes);
    }

    #[test]
    fn no_json_makes_it_panic(post in any_json()) {
        let _ = parse(&post);
    }

    #[test]
    fn every_item_is_either_taken_or_named(items in prop::collection::vec(any_json(), 1..6)) {
        let post = json!({"request_type": "PrimeroOutgoingReferral", "interventions": items});
        let (taken, not_taken) = match parse(&post) {
            Ok(envelope) => {
                let Items::Interventions(interventions) = envelope.items else { panic!("interventions are expected") };
                (interventions.iter().map(|intervention| intervention.rows.len()).sum(), envelope.not_taken.len())
            }
            Err(UnusablePost::Unprocessable(flaws)) => (0, flaws.len()),
            Err(UnusablePost::NotJson) => panic!("this is JSON"),
        };
        prop_assert_eq!(taken + not_taken, items.len());
    }
}
