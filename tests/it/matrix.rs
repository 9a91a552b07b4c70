//! Each call of each flow with each fault: what comes of it is stated first, and then made to happen.
//!
//! The page for people is printed from what is stated; that it is true, the cells prove one by one.

mod calls;
mod cell;
mod faults;
mod stated;
mod table;

use std::{fmt::Debug, fs, path::Path};

use referrald::referral::System;
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    calls::{Call, Story},
    faults::Broken,
};
use crate::privacy::watch_diagnostics;

/// How many worlds turn at one time, in all tests: those that wait for a time limit leave the machine to the others.
static TURNS: Semaphore = Semaphore::const_new(12);

/// Every cell of the table, in its order.
fn cells() -> Vec<(Call, Broken)> {
    let all = Call::ALL.iter().flat_map(|call| Broken::ALL.iter().map(|broken| (*call, *broken)));
    all.filter(|(call, broken)| broken.fits(*call)).collect()
}

/// The cells that this run tries: every n-th, with another beginning in each call, so that each fault comes up in many. All with
/// `REFERRALD_PROOF=full`; with `REFERRALD_PROOF_FAULT="Create BadGateway"` those whose name holds this.
fn tried(every: usize) -> Vec<(Call, Broken)> {
    let said = |name| std::env::var(name).unwrap_or_default();
    let all = cells();
    if said("REFERRALD_PROOF") == "full" {
        return all;
    }
    let wanted = said("REFERRALD_PROOF_FAULT");
    if !wanted.is_empty() {
        return all.into_iter().filter(|(call, broken)| format!("{call:?} {broken:?}").contains(&wanted)).collect();
    }
    let place = |call: Call, broken: Broken| call as usize + broken as usize;
    all.into_iter().filter(|(call, broken)| place(*call, *broken).is_multiple_of(every)).collect()
}

/// Tries cells in worlds of their own, and says of all of them what is otherwise than stated.
async fn compare<T, F>(cells: Vec<(Call, Broken)>, stated: fn(Call, Broken) -> T, happens: fn(Call, Broken) -> F)
where
    T: Debug + PartialEq + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    assert!(!cells.is_empty());
    let mut running = JoinSet::new();
    for (call, broken) in cells {
        running.spawn(async move {
            let _turn = TURNS.acquire().await.expect("the semaphore is never closed");
            // A cell that panics is told like one that is otherwise.
            let happened = tokio::spawn(happens(call, broken)).await;
            let happened = happened.map_err(|error| panic_of(error.into_panic()));
            let stated = Ok(stated(call, broken));
            (happened != stated).then(|| format!("{call:?}, {broken:?}:\n  stated   {stated:?}\n  happened {happened:?}"))
        });
    }
    let mut otherwise: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    otherwise.sort();
    assert!(otherwise.is_empty(), "{} cells are otherwise than stated:\n{}", otherwise.len(), otherwise.join("\n"));
}

fn panic_of(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

// More workers than processors: who reads files or searches them keeps a worker busy, and others wait for an answer in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_call_with_each_fault_that_passes_comes_to_what_is_stated() {
    let diagnostics = watch_diagnostics();
    compare(tried(7), stated::passing, cell::passing).await;
    diagnostics.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_call_with_each_fault_that_lasts_comes_to_what_is_stated() {
    let diagnostics = watch_diagnostics();
    compare(tried(10), stated::lasting, cell::lasting).await;
    diagnostics.assert_clean();
}

#[tokio::test]
async fn every_request_of_every_story_is_a_call_of_the_table_or_of_another_story() {
    for story in Story::ALL {
        let asked = cell::undisturbed(story).await;
        for system in System::ALL {
            assert_eq!(asked[*system as usize], story.requests(*system), "{story:?}");
            for endpoint in story.requests(*system) {
                assert!(Call::ALL.iter().any(|call| call.endpoint() == *endpoint), "no call of the table asks {endpoint:?}");
            }
        }
    }
    for call in Call::ALL {
        assert!(call.place() < call.story().requests(call.system()).len());
    }
}

#[test]
fn the_page_in_the_documents_is_what_is_stated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let rows: Vec<_> = cells()
        .into_iter()
        .map(|(call, broken)| (call, broken, stated::passing(call, broken), stated::lasting(call, broken)))
        .collect();
    let page = table::page(&rows);
    if std::env::var("REFERRALD_PROOF").is_ok_and(|proof| proof == "write") {
        fs::write(&path, &page).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == page,
        "docs/faults.md is not what is stated (hint: `REFERRALD_PROOF=write cargo test --test it matrix::the_page`, and read the diff)"
    );
}
