//! A crash between any two steps: the daemon's process is aborted at each of its fail points in turn, and starts again.
//!
//! Which fail points there are is not listed anywhere: each errand is done once without a crash, and what it passed is what is tried.
//! By default each is tried once; `REFERRALD_PROOF=full` tries it at every passing.

use std::{collections::BTreeSet, fs, path::PathBuf};

use referrald::referral::Walk;

use super::ledger::{Child, Ledger};
use crate::play::{Play, breathe};

/// What one round asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Intervention(Child),
    Referral {
        consent: bool,
    },
    /// UNHCR's, on a referral.
    Decision,
    /// A case worker's, on an intervention.
    Report,
}

struct Steps {
    play: Play,
    ledger: Ledger,
    directory: PathBuf,
}

impl Steps {
    async fn begin() -> Self {
        // One at a time, so that the steps come in one order.
        let one_at_a_time = |text: String| {
            text.replace("rate = \"unlimited\"", "rate = \"unlimited\"\nparallel = 1").replace("ca_file", "parallel = 1\nca_file")
        };
        let mut play = Play::set(one_at_a_time).await;
        let directory = play.stage.directory().join("failpoints");
        fs::create_dir(&directory).unwrap();
        play.environment.push(("REFERRALD_FAILPOINTS".to_owned(), directory.display().to_string()));
        play.start().await;
        Self { play, ledger: Ledger::default(), directory }
    }

    /// What was passed since the last time.
    fn passed(&self) -> Vec<String> {
        let passed = fs::read_to_string(self.directory.join("passed")).unwrap_or_default();
        let _ = fs::remove_file(self.directory.join("passed"));
        // Upkeep comes when it comes, and whoever asks how the daemon is asks when he likes; neither is an errand.
        let is_errand = |name: &&str| !["upkeep", "admin", "standing"].iter().any(|room| name.starts_with(room));
        passed.lines().filter(is_errand).map(str::to_owned).collect()
    }

    /// A fresh process, and everything that a part needs before it can be asked for.
    async fn prepare(&mut self, part: Part) {
        // What a process remembers of its first round would change the second.
        self.play.kill().await;
        self.play.start().await;
        match part {
            Part::Intervention(_) | Part::Referral { .. } => {}
            Part::Decision => {
                self.ledger.refer(&self.play.stage, true);
                self.play.walk(Walk::Referrals).await;
            }
            Part::Report => {
                self.ledger.intervene(&self.play, Child::Unknown).await;
                self.play.settle().await;
                assert!(self.ledger.accept(&self.play.stage), "it stands in Primero");
            }
        }
        if let Part::Referral { consent } = part {
            self.ledger.refer(&self.play.stage, consent);
        }
        self.play.settle().await;
    }

    async fn ask(&mut self, part: Part) {
        match part {
            Part::Intervention(child) => drop(self.ledger.intervene(&self.play, child).await),
            Part::Referral { .. } => self.play.walk(Walk::Referrals).await,
            Part::Decision => {
                let referral = *self.ledger.undecided(&self.play.stage).last().expect("one has just been sent");
                self.ledger.decide(&self.play, referral, true).await;
            }
            Part::Report => self.play.walk(Walk::Decisions).await,
        }
    }

    /// The fail points of a part, in the order in which they are passed.
    async fn of(&mut self, part: Part) -> Vec<String> {
        self.prepare(part).await;
        self.passed();
        self.ask(part).await;
        self.play.settle().await;
        self.passed()
    }

    /// Does a part and crashes at the n-th passing of a fail point; gives what was passed until then.
    async fn crash_at(&mut self, part: Part, nth: usize, name: &str) -> Vec<String> {
        self.prepare(part).await;
        self.passed();
        fs::write(self.directory.join("armed"), format!("{nth} {name}")).unwrap();
        self.ask(part).await;
        for turn in 0.. {
            if self.play.is_dead() {
                break;
            }
            assert!(turn < 1_000, "{part:?}: {name:?} was not passed for the {nth}. time; passed: {:#?}", self.passed());
            breathe(10).await;
        }
        self.play.kill().await;
        let passed = self.passed();
        fs::remove_file(self.directory.join("armed")).unwrap();
        self.play.start().await;
        // A walk that broke off is made again by the timetable; here it is asked for.
        match part {
            Part::Referral { .. } => self.play.walk(Walk::Referrals).await,
            Part::Report => self.play.walk(Walk::Decisions).await,
            Part::Intervention(_) | Part::Decision => {}
        }
        self.play.settle().await;
        passed
    }
}

/// DTP may have taken the message, and the process ended before that was committed: each part owes DTP one message at most, and
/// that is the second errand to be concluded.
fn may_repeat(passed: &[String]) -> bool {
    let asked = passed.iter().any(|name| name.starts_with("dtp ") && name.ends_with(" Asking"));
    asked && passed.iter().filter(|name| name.contains("conclude") && name.ends_with(" Committed")).count() < 2
}

/// Crashes at every fail point of these parts that is not known from an earlier part, and at every one that ends an errand.
async fn crashes(parts: &[Part], least: usize) {
    let full = std::env::var("REFERRALD_PROOF").is_ok_and(|proof| proof == "full");
    let mut steps = Steps::begin().await;
    let mut tried = BTreeSet::new();
    let (mut crashes, mut repeats) = (0, 0);
    for part in parts {
        let passed = steps.of(*part).await;
        let mut times: BTreeSet<(String, usize)> = BTreeSet::new();
        for name in &passed {
            let nth = times.iter().filter(|(known, _)| known == name).count() + 1;
            times.insert((name.clone(), nth));
            let ends_an_errand = name.contains("conclude") || name.starts_with("dtp ");
            if !full && !ends_an_errand && !tried.insert(name.clone()) {
                continue;
            }
            let passed = steps.crash_at(*part, nth, name).await;
            let judged = steps.ledger.judge(&steps.play);
            if judged.repeats > repeats {
                assert!(may_repeat(&passed), "{part:?}: after a crash at {name:?} ({nth}.) DTP got something again: {passed:#?}");
            }
            repeats = judged.repeats;
            crashes += 1;
        }
    }
    println!("{crashes} crashes, each at another step: {:?}", steps.ledger.judge(&steps.play));
    assert!(crashes >= least, "only {crashes} steps were found: the fail points have gone blind");
    assert!(repeats > 0, "a crash between DTP's answer and its record repeats the message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intervention_survives_a_crash_between_any_two_steps() {
    let children = [Child::Unknown, Child::HasCase, Child::CannotBeMapped];
    crashes(&children.map(Part::Intervention), 25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_referral_and_the_decision_on_it_survive_a_crash_between_any_two_steps() {
    crashes(&[Part::Referral { consent: true }, Part::Referral { consent: false }, Part::Decision], 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_in_primero_survives_a_crash_between_any_two_steps() {
    crashes(&[Part::Report], 15).await;
}
