//! SIGKILL at random moments, while all four flows are busy.
//!
//! `REFERRALD_PROOF_KILLS` says how often (20 by default), `REFERRALD_PROOF_SEED` which moments; the seed is printed.

use std::time::Duration;

use referrald::referral::Walk;

use super::ledger::{Child, Ledger};
use crate::play::{Play, breathe};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_leaked_however_often_the_process_is_killed() {
    let kills = number("REFERRALD_PROOF_KILLS", 20);
    let seed = number("REFERRALD_PROOF_SEED", fastrand::u64(..));
    println!("{kills} kills with REFERRALD_PROOF_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut play = Play::set(|text| text).await;
    let mut ledger = Ledger::default();
    let mut while_starting = 0;
    for kill in 1..=kills {
        if random.u8(..) < 50 {
            // In the middle of a start.
            play.try_start(Duration::from_millis(random.u64(0..150))).await.expect("it starts, or is still about to");
            while_starting += 1;
        } else {
            play.start().await;
            busy(&mut play, &mut ledger, &mut random).await;
        }
        play.kill().await;
        if kill % 100 == 0 {
            println!("{kill} kills");
        }
    }
    play.start().await;
    for _ in 0..2 {
        play.walk(Walk::Referrals).await;
        play.walk(Walk::Decisions).await;
        play.settle().await;
    }
    let judged = ledger.judge(&play);
    println!("{kills} kills, {while_starting} of them while starting; lost 0, doubled in Primero 0, leaked 0; {judged:?}");
    assert!(judged.services > 0 && judged.referrals > 0, "{judged:?}: the daemon was given something to do");
}

/// Gives the daemon something of everything to do, and some time for it, or none.
async fn busy(play: &mut Play, ledger: &mut Ledger, random: &mut fastrand::Rng) {
    for _ in 0..random.u8(1..4) {
        let child = random.choice([Child::Unknown, Child::Unknown, Child::HasCase, Child::CannotBeMapped]).expect("some");
        ledger.intervene(play, child).await;
    }
    for referral in ledger.undecided(&play.stage) {
        ledger.decide(play, referral, random.bool()).await;
    }
    ledger.accept(&play.stage);
    ledger.refer(&play.stage, random.u8(..) > 50);
    let moment = random.u64(0..300);
    // Killed while the walk and its errands are under way.
    tokio::spawn(play.walk(if random.bool() { Walk::Referrals } else { Walk::Decisions }));
    breathe(moment).await;
}
