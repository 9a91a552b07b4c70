//! What Primero may answer to each question that we ask. The first byte chooses question and status.
#![no_main]

mod answering;

use std::{cell::LazyCell, sync::Arc};

use answering::Stage;
use libfuzzer_sys::fuzz_target;
use referrald::{
    clock::Clock,
    mapping::Document,
    primero::{Client, Filter, Gate},
    referral::{CaseKey, Decision, ReferralId},
};
use uuid::Uuid;

const STATUS: [u16; 6] = [200, 204, 404, 409, 422, 500];

thread_local! {
    static STAGE: LazyCell<Stage> = const { LazyCell::new(Stage::new) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    let (question, status) = (which / 6 % 8, STATUS[usize::from(which % 6)]);
    STAGE.with(|stage| {
        stage.answer(status, body);
        stage.runtime.block_on(async {
            let clock = Clock::system();
            let gate = Arc::new(Gate::unproven(clock.clone()));
            let client = Client::new(&stage.settings.primero, "password", None, clock.clone(), gate).expect("a client");
            let (key, referral) = (CaseKey(Uuid::nil()), ReferralId(Uuid::nil()));
            let filter = Filter { equals: ("unhcr_individual_no", "989-TEST0001"), module: "primeromodule-cp" };
            match question {
                0 => drop(client.find(&filter, &["case_id"]).await.map(|found| {
                    assert!(
                        found.iter().all(|case| case.text("unhcr_individual_no") == Some("989-TEST0001")),
                        "a filter was believed"
                    );
                })),
                1 => drop(client.case(key, &["case_id"]).await),
                2 => drop(client.referrals(key).await),
                3 => drop(client.changed_cases(clock.now(), 1, 100, "primeromodule-cp", &["case_id"]).await),
                4 => drop(client.user("caseworker_testina").await),
                5 => drop(client.patch_case(key, &Document::default()).await),
                6 => drop(client.decide(key, referral, Decision::Accepted, None).await),
                _ => drop(client.query("989-TEST0001", "primeromodule-cp", &["case_id"], |_| true).await),
            }
        });
    });
});
