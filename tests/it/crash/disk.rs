//! A disk that is full, read-only or broken, at every write of the state in turn.
//!
//! A small library between the daemon and the disk refuses the n-th write and all that follow, until there is room again.
//! By default some of the writes are tried; `REFERRALD_PROOF=full` tries every one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use reqwest::StatusCode;

use super::ledger::{Child, Ledger};
use crate::play::{Play, breathe};

const FULL: u32 = 28;
const READ_ONLY: u32 = 30;
const BROKEN: u32 = 5;

/// Builds the library; a C compiler is there, because SQLite needs one.
fn library(folder: &Path) -> String {
    let library = folder.join("full_disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/full_disk.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.expect("there is a C compiler").success());
    library.display().to_string()
}

struct Disk {
    play: Play,
    ledger: Ledger,
    library: String,
}

impl Disk {
    async fn new() -> Self {
        let play = Play::set(|text| text).await;
        let library = library(play.stage.directory());
        Self { play, ledger: Ledger::default(), library }
    }

    /// The next start meets a disk that fails from the n-th write on.
    fn fails_from(&mut self, nth: u32, error: u32) {
        let folder = self.play.stage.directory();
        let [well, met] = ["disk-well", "disk-met"].map(|name| folder.join(name));
        for file in [&well, &met] {
            // It may not be there.
            let _ = fs::remove_file(file);
        }
        self.play.environment = [
            ("LD_PRELOAD", self.library.clone()),
            ("DISK_DIRECTORY", folder.join("state").display().to_string()),
            ("DISK_FROM", nth.to_string()),
            ("DISK_ERROR", error.to_string()),
            ("DISK_WELL", well.display().to_string()),
            ("DISK_MET", met.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    }

    fn was_met(&self) -> bool {
        self.play.stage.directory().join("disk-met").exists()
    }

    fn gets_well(&self) {
        fs::write(self.play.stage.directory().join("disk-well"), "").unwrap();
    }

    /// One life of the daemon on a disk that fails from the n-th write on; `false` if it did not come so far.
    async fn live(&mut self, nth: u32, error: u32) -> bool {
        let what = format!("write {nth}, error {error}");
        self.fails_from(nth, error);
        match self.play.try_start(std::time::Duration::from_secs(60)).await {
            Err(said) => {
                assert!(said.contains("state") && said.ends_with("exit Some(1)"), "{what}: a sentence and no panic: {said}");
                self.gets_well();
                self.play.start().await;
            }
            Ok(()) => {
                let status = self.ledger.intervene(&self.play, Child::Unknown).await;
                let honest = [StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE];
                assert!(status.is_some_and(|status| honest.contains(&status)), "{what}: {status:?}");
                for _ in 0..20 {
                    if self.was_met() {
                        break;
                    }
                    breathe(10).await;
                }
                self.gets_well();
            }
        }
        assert!(!self.play.is_dead(), "{what}: {}", self.play.said());
        let status = self.ledger.intervene(&self.play, Child::Unknown).await;
        assert_eq!(status, Some(StatusCode::ACCEPTED), "{what}: it goes on by itself when there is room");
        self.play.settle().await;
        assert!(!self.play.said().contains("broke off"), "{what}: {}", self.play.said());
        let judged = self.ledger.judge(&self.play);
        assert_eq!(judged.repeats, 0, "{what}: what could not be recorded is kept in memory and recorded later");
        self.play.kill().await;
        self.was_met()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_at_any_write_loses_and_doubles_nothing() {
    let full = std::env::var("REFERRALD_PROOF").is_ok_and(|proof| proof == "full");
    let mut disk = Disk::new().await;
    let mut writes = 0;
    for error in [FULL, BROKEN] {
        let mut nth = 1;
        while disk.live(nth, error).await {
            writes += 1;
            nth += if full { 1 } else { fastrand::u32(16..32) };
        }
    }
    println!("{writes} writes refused: {:?}", disk.ledger.judge(&disk.play));
    assert!(writes >= 4, "only {writes} writes were refused: the library has gone blind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_cannot_be_written_refuses_the_start_with_a_sentence() {
    let mut disk = Disk::new().await;
    disk.fails_from(0, READ_ONLY);
    fs::create_dir(disk.play.stage.directory().join("state")).unwrap();
    let said = disk.play.try_start(std::time::Duration::from_secs(60)).await.expect_err("it does not start");
    let hint =
        "the file system is read-only (hint: under systemd `StateDirectory=` or `ReadWritePaths=` lets referrald write there)";
    assert!(said.contains(hint) && said.ends_with("exit Some(1)"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_state_is_refused_with_a_sentence() {
    let mut play = Play::set(|text| text).await;
    play.start().await;
    let second = Command::new(env!("CARGO_BIN_EXE_referrald"))
        .args(["run", "--config"])
        .arg(play.configuration())
        .env_clear()
        .stdout(Stdio::null())
        .output()
        .expect("the binary was built beside this test");
    let said = String::from_utf8(second.stderr).unwrap();
    let hint = "another referrald is using this state (hint: one process per state.directory; stop the other one first)";
    assert!(said.contains(hint) && second.status.code() == Some(1), "{said}");
    let mut ledger = Ledger::default();
    ledger.intervene(&play, Child::Unknown).await;
    play.settle().await;
    assert_eq!(ledger.judge(&play).services, 1, "the first goes on");
}
