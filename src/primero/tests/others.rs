//! Referrals, users, and what an instance tells about itself.

use super::*;
use crate::referral::Decision;

const REFERRAL: &str = "3f0c1a52-0000-4000-8000-0000000000aa";

fn referral(fields: Value) -> Value {
    let mut referral = json!({"id": REFERRAL, "type": "Referral", "record_id": KEY, "status": "in_progress",
        "service_record_id": "3f0c1a52-0000-4000-8000-00000000abcd", "transitioned_to": "unhcr_cw", "created_at": NOW});
    referral.as_object_mut().unwrap().extend(document(fields));
    referral
}

#[tokio::test]
async fn a_referral_that_cannot_be_read_holds_up_no_other_and_is_never_taken_for_absent() {
    let (client, fake) = primero(|_| {
        let remote =
            json!({"transitioned_to": null, "transitioned_to_agency": "UNHCR", "remote": true, "consent_overridden": true});
        fake::json(200, &json!({"data": [referral(json!({})), referral(remote)]}))
    })
    .await;
    let referrals = client.referrals(key()).await.unwrap();
    assert_eq!(fake.seen()[0].target, format!("/api/v2/cases/{KEY}/referrals"));
    let told = |referral: &Referral| {
        let to = referral.transitioned_to.as_ref().map(|name| name.reveal().clone());
        (
            to,
            referral.transitioned_to_agency.as_ref().map(|agency| agency.reveal().clone()),
            referral.remote,
            referral.consent_overridden,
        )
    };
    assert_eq!(
        referrals.readable().iter().map(told).collect::<Vec<_>>(),
        [(Some("unhcr_cw".to_owned()), None, false, false), (None, Some("UNHCR".to_owned()), true, true)]
    );
    assert!(referrals.is_whole());
    let (id, other): (ReferralId, ReferralId) = (REFERRAL.parse().unwrap(), KEY.parse().unwrap());
    for wrong in [json!({"status": "paused"}), json!({"record_id": REFERRAL}), json!({"remote": "true"})] {
        let good = referral(json!({"id": KEY}));
        let (client, _fake) = primero(move |_| fake::json(200, &json!({"data": [referral(wrong.clone()), good]}))).await;
        let referrals = client.referrals(key()).await.unwrap();
        assert_eq!((referrals.readable().len(), referrals.is_whole()), (1, false));
        assert!(matches!(referrals.find(id), Sought::Unreadable));
        assert!(matches!(referrals.find(other), Sought::Readable(_)));
        assert!(matches!(referrals.find(ReferralId(uuid::Uuid::nil())), Sought::Absent));
    }
    for nobody in [json!(null), json!([]), json!({"id": 7, "service_record_id": 7})] {
        let (client, _fake) = primero(move |_| fake::json(200, &json!({"data": [nobody]}))).await;
        let referrals = client.referrals(key()).await.unwrap();
        assert!(matches!(referrals.find(id), Sought::Unreadable), "it may be any");
        assert!(referrals.may_hide(&"a-case#000000000001".parse().unwrap()));
    }
    for no_list in [json!({}), json!(null), json!("")] {
        let (client, _fake) = primero(move |_| fake::json(200, &json!({"data": no_list}))).await;
        assert_eq!(client.referrals(key()).await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, false));
    }
}

#[tokio::test]
async fn a_decision_answers_with_the_status_that_the_referral_has_now() {
    let (client, fake) = primero(|_| fake::json(200, &json!({"data": referral(json!({"status": "accepted"}))}))).await;
    let id: ReferralId = REFERRAL.parse().unwrap();
    let status = client.decide(key(), id, Decision::Rejected, Some("Not applicable")).await.unwrap();
    assert_eq!(status, ReferralStatus::Accepted, "somebody decided before");
    client.decide(key(), id, Decision::Accepted, None).await.unwrap();
    let [rejection, acceptance] = &fake.seen()[..] else { panic!("two requests are expected") };
    assert_eq!(rejection.target, format!("/api/v2/cases/{KEY}/referrals/{REFERRAL}"));
    assert_eq!(rejection.json(), json!({"data": {"status": "rejected", "rejected_reason": "Not applicable"}}));
    assert_eq!(acceptance.json(), json!({"data": {"status": "accepted"}}));
    for wrong in [json!({"id": KEY}), json!({"status": null})] {
        let (client, _fake) = primero(move |_| fake::json(200, &json!({"data": referral(wrong.clone())}))).await;
        let met = client.decide(key(), id, Decision::Accepted, None).await;
        assert_eq!(met.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, true));
    }
}

#[tokio::test]
async fn a_user_is_asked_for_by_name_and_remembered_for_ten_minutes() {
    let fake = Fake::answering(|_| {
        let user = json!({"id": 7, "user_name": "case+worker@primero.example", "full_name": "Testina Examplename", "phone": null,
            "email": "testina@example.org", "agency_id": 3, "locale": "en"});
        fake::json(200, &list(&[user.clone(), user], 2, 5, 1))
    })
    .await;
    let (client, clock) = client_at(&fake.url);
    let user = client.user(" Case+Worker@primero.example ").await.unwrap().unwrap();
    assert_eq!(fake.seen()[0].target, "/api/v2/users?per=5&page=1&user_name=case%2Bworker@primero.example");
    assert_eq!(user.email.as_ref().unwrap().reveal(), "testina@example.org");
    assert_eq!((user.phone.is_none(), user.disabled), (true, false));
    let kept = json!({"user_name": "case+worker@primero.example", "full_name": "Testina Examplename", "phone": null, "email": "testina@example.org"});
    assert_eq!(user.document.reveal(), &document(kept));
    assert!(!format!("{user:?}").contains("Testina"));
    clock.advance(Duration::from_secs(599));
    client.user("case+worker@primero.example").await.unwrap().unwrap();
    assert_eq!(fake.seen().len(), 1);
    clock.advance(Duration::from_secs(1));
    client.user("case+worker@primero.example").await.unwrap().unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn another_user_is_not_the_one_asked_for() {
    let (client, _fake) = primero(|_| fake::json(200, &list(&[json!({"user_name": "somebody"})], 1, 5, 1))).await;
    assert_eq!(client.user("intake").await.unwrap_err(), Trouble::FilterIgnored);
    let (client, _fake) = primero(|_| fake::json(200, &list(&[], 0, 5, 1))).await;
    assert!(client.user("intake").await.unwrap().is_none());
    let (client, _fake) = primero(|_| fake::json(200, &list(&[], 2, 5, 1))).await;
    assert_eq!(client.user("intake").await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, false));
}

#[tokio::test]
async fn our_own_account_tells_its_rights() {
    let (client, fake) = primero(|_| {
        let account = json!({"user_name": "bridge", "role_unique_id": "role-bridge", "role_group_permission": "all",
            "module_unique_ids": ["primeromodule-cp"], "agency_unique_id": "UNICEF",
            "permissions": {"list": [{"resource": "cases", "actions": ["read", "write"]}, {"resource": "users", "actions": ["read"]}]},
            "permitted_form": {"basic_identity": "rw", "consent": "r"}});
        fake::json(200, &list(&[account], 1, 5, 1))
    })
    .await;
    let account = client.own_account().await.unwrap().unwrap();
    assert_eq!(fake.seen()[0].target, "/api/v2/users?per=5&page=1&user_name=bridge&extended=true");
    assert_eq!((account.role.as_deref(), account.group_permission.as_deref()), (Some("role-bridge"), Some("all")));
    assert_eq!(account.permissions["cases"], ["read".to_owned(), "write".to_owned()].into());
    assert_eq!(account.forms["basic_identity"], FormAccess::ReadAndWrite);
    assert_eq!(account.forms["consent"], FormAccess::Read);
    assert_eq!(account.modules, ["primeromodule-cp".to_owned()].into());
    let (client, _fake) = primero(|_| fake::json(200, &list(&[json!({"user_name": "bridge"})], 1, 5, 1))).await;
    assert_eq!(client.own_account().await.unwrap_err(), unwell(Reason::NotAsPromised, Some(200), None, false));
}

#[tokio::test]
async fn forms_tell_their_fields_and_options() {
    let (client, fake) = primero(|_| {
        let form = json!({"id": 12, "unique_id": "services", "is_nested": false, "fields": [
            {"name": "services_section", "type": "subform", "subform_section_id": 13},
            {"name": "sex", "type": "select_box", "multi_select": false, "option_strings_source": "lookup lookup-gender"},
            {"name": "kind", "type": "radio_button", "option_strings_text": [{"id": "a", "display_text": {"en": "A"}}, {"id": "b"}]},
            {"name": "moment", "type": "date_field", "date_include_time": true, "option_strings_text": []},
        ]});
        fake::json(200, &json!({"data": [form]}))
    })
    .await;
    let forms = client.forms("primeromodule-cp").await.unwrap();
    assert_eq!(fake.seen()[0].target, "/api/v2/forms?record_type=case&module_id=primeromodule-cp");
    let told = |field: &Field| (field.name.clone(), field.options.clone(), field.subform, field.with_time);
    assert_eq!(
        forms[0].fields.iter().map(told).collect::<Vec<_>>(),
        [
            ("services_section".to_owned(), Options::None, Some(13), false),
            ("sex".to_owned(), Options::Source("lookup lookup-gender".to_owned()), None, false),
            (
                "kind".to_owned(),
                Options::Inline([("a".to_owned(), "A".to_owned()), ("b".to_owned(), String::new())].into()),
                None,
                false
            ),
            ("moment".to_owned(), Options::None, None, true),
        ]
    );
}

#[tokio::test]
async fn lookups_are_read_to_the_last_page() {
    let (client, fake) = primero(|seen| {
        let lookup = |name: &str| json!({"unique_id": name, "values": [{"id": "female", "display_text": {"fr": "Féminin", "en": "Female"}}, {"id": "male"}]});
        if seen.target.ends_with("page=1") {
            fake::json(200, &list(&[lookup("lookup-gender")], 2, 1, 1))
        } else if seen.target.ends_with("page=2") {
            fake::json(200, &list(&[lookup("lookup-other")], 2, 1, 2))
        } else {
            fake::json(200, &list(&[], 2, 1, 3))
        }
    })
    .await;
    let lookups = client.lookups().await.unwrap();
    assert_eq!(lookups.iter().map(|lookup| lookup.unique_id.as_str()).collect::<Vec<_>>(), ["lookup-gender", "lookup-other"]);
    assert_eq!(lookups[0].options, [("female".to_owned(), "Female".to_owned()), ("male".to_owned(), String::new())].into());
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_cookie_that_primero_sets_is_not_sent_back() {
    let (client, fake) = primero(|_| {
        let mut answer = fake::json(200, &json!({"data": row(json!({}))}));
        for cookie in ["_app_session=open; path=/", "CSRF-TOKEN=invented; path=/"] {
            answer.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        answer
    })
    .await;
    client.case(key(), &["case_id"]).await.unwrap();
    client.patch_case(key(), &document(json!({"name_first": "Testina"}))).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
    for seen in fake.seen() {
        assert_eq!(seen.header("cookie"), None);
        assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    }
}
