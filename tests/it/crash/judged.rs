//! The judge is judged: what came out right is made wrong in one way after the other, and each must be found.
//!
//! Without this a judge that sees nothing would pass every crash.

use std::panic::{AssertUnwindSafe, catch_unwind};

use referrald::{
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
};
use serde_json::json;

use super::ledger::{Child, Judged, Ledger};
use crate::play::Play;

/// What the judge says, or what he finds wrong.
fn judge(ledger: &Ledger, play: &Play) -> Result<Judged, String> {
    catch_unwind(AssertUnwindSafe(|| ledger.judge(play))).map_err(|found| {
        let said = found.downcast_ref::<String>().cloned();
        said.or_else(|| found.downcast_ref::<&str>().map(ToString::to_string)).expect("a sentence")
    })
}

#[track_caller]
fn assert_found(ledger: &Ledger, play: &Play, what: &str) {
    let said = judge(ledger, play).expect_err(what);
    assert!(said.contains(what), "he found {said:?}, and not {what:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_of_crashes_finds_whatever_is_lost_doubled_or_leaked() {
    let mut play = Play::set(|text| text).await;
    play.start().await;
    let mut ledger = Ledger::default();
    let (primero, dtp) = (play.stage.primero.clone(), play.stage.dtp.clone());
    let staff = primero.staff(CASE_WORKER);

    ledger.intervene(&play, Child::Unknown).await;
    play.settle().await;
    assert!(judge(&ledger, &play).is_ok());
    let case = primero.cases_with("unhcr_individual_no", &json!("989-TEST000001"))[0];
    let right = primero.case(case).unwrap();
    let services = right["services_section"].clone();
    staff.change(case, |document| drop(document.remove("services_section")));
    assert_found(&ledger, &play, "989-26-TEST-000001: not lost");
    let mut twice = services[0].clone();
    twice["unique_id"] = json!("6f1f0000-0000-4000-8000-00000000000b");
    staff.change(case, |document| drop(document.insert("services_section".to_owned(), json!([services[0], twice]))));
    assert_found(&ledger, &play, "989-26-TEST-000001: nothing twice in Primero");
    staff.change(case, |document| drop(document.insert("services_section".to_owned(), services.clone())));
    let other = staff.register(json!({ "unhcr_individual_no": "989-TEST000001", "owned_by": CASE_WORKER }));
    assert_found(&ledger, &play, "989-26-TEST-000001: one case");
    staff.edit(other, json!({ "unhcr_individual_no": "989-TEST999999" }));
    // A case worker has decided, and nobody told it.
    assert!(ledger.accept(&play.stage));
    assert_found(&ledger, &play, "989-26-TEST-000001: the decision was reported");
    play.walk(Walk::Decisions).await;
    play.settle().await;

    // With consent and not sent, sent, and sent without consent.
    let referral = ledger.refer(&play.stage, true);
    assert_found(&ledger, &play, "with consent it reaches DTP");
    play.walk(Walk::Referrals).await;
    play.settle().await;
    assert!(judge(&ledger, &play).is_ok());
    ledger.claim_consent(referral, false);
    assert_found(&ledger, &play, "without it never leaves");
    ledger.claim_consent(referral, true);
    ledger.decide(&play, referral, true).await;
    play.settle().await;
    assert!(judge(&ledger, &play).is_ok());
    staff.revoke(referral);
    assert_found(&ledger, &play, "UNHCR's decision stands in Primero");
    ledger.forget_decisions();

    // Told twice in one life, because DTP's answer was lost.
    dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::cut().after_effect());
    ledger.intervene(&play, Child::CannotBeMapped).await;
    play.settle().await;
    assert_found(&ledger, &play, "DTP got a message twice from one life");

    // A referral that nobody of the ledger made; and at last nothing that was told is there any more.
    let stranger = staff.register(json!({
        "unhcr_individual_no": "989-TEST888888", "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF", "status": "open",
        "name_first": "Testina", "consent_for_services": true, "disclosure_other_orgs": true,
    }));
    let item = json!({ "service_type": "alternative_care", "service_implementing_agency": "UNHCR" });
    let service = staff.add_service(stranger, item).to_string();
    staff.refer(stranger, NewReferral::to(UNHCR).for_service("alternative_care", &service)).unwrap();
    play.walk(Walk::Referrals).await;
    play.settle().await;
    assert_found(&ledger, &play, "DTP got what nobody referred");
    dtp.clear();
    assert_found(&ledger, &play, "989-26-TEST-000001: DTP was told what became of it");
    ledger.intervene(&play, Child::Unknown).await;
    play.settle().await;
    assert_found(&Ledger::default(), &play, "DTP was told of what nobody posted");
}
