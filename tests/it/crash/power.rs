//! A power cut: what was synced is there, and of what was written after it anything may be there, in part or torn.
//!
//! A 202 means synced. So the state as it was at a 202 may be followed by any part of what was written later.

use std::{fs, path::PathBuf};

use referrald::referral::State;
use serde_json::json;

use crate::world::{World, intervention};

/// Database and write-ahead log.
#[derive(Clone)]
struct Image {
    database: Vec<u8>,
    log: Vec<u8>,
}

const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// What a disk writes as one.
const SECTOR: usize = 512;

impl Image {
    fn paths(world: &World) -> [PathBuf; 2] {
        ["state.sqlite", "state.sqlite-wal"].map(|name| world.state_directory().join(name))
    }

    /// Copies the state of a daemon that has nothing under way.
    fn take(world: &World) -> Self {
        let [database, log] = Self::paths(world).map(|path| fs::read(path).unwrap());
        Self { database, log }
    }

    /// Puts the image where the state lies; the index of the log is gone with the power.
    fn put(&self, world: &World) {
        fs::remove_dir_all(world.state_directory()).unwrap();
        fs::create_dir(world.state_directory()).unwrap();
        let [database, log] = Self::paths(world);
        fs::write(database, &self.database).unwrap();
        fs::write(log, &self.log).unwrap();
    }

    /// Where the pages of the log belong in the database.
    fn pages(&self) -> Vec<usize> {
        let word = |at: usize| u32::from_be_bytes(self.log[at..at + 4].try_into().unwrap()) as usize;
        let page = word(8);
        let frames = (self.log.len() - LOG_HEAD) / (FRAME_HEAD + page);
        (0..frames).map(|frame| (word(LOG_HEAD + frame * (FRAME_HEAD + page)) - 1) * page).collect()
    }

    /// This image and some of what `later` wrote after it.
    fn torn(&self, later: &Self, random: &mut fastrand::Rng) -> Self {
        assert!(later.log.starts_with(&self.log) && later.log.len() > self.log.len(), "no checkpoint came between");
        let synced = self.log.len();
        let mut log = later.log.clone();
        match random.u8(0..3) {
            0 => log.truncate(random.usize(synced..=later.log.len())),
            1 => {
                for sector in log[synced..].chunks_mut(SECTOR).filter(|_| random.bool()) {
                    sector.fill(0);
                }
            }
            _ => {
                let from = random.usize(synced..later.log.len());
                log[from..].iter_mut().for_each(|byte| *byte = random.u8(..));
            }
        }
        Self { database: self.database.clone(), log }
    }

    /// The power went in the middle of a checkpoint: any page on its way from the log into the database may be torn.
    fn torn_at_checkpoint(&self, random: &mut fastrand::Rng) -> Self {
        let mut torn = self.clone();
        for page in self.pages() {
            for at in (page..page + 4096).step_by(SECTOR) {
                if torn.database.len() < at + SECTOR {
                    torn.database.resize(at + SECTOR, 0);
                }
                if random.u8(0..3) == 0 {
                    torn.database[at..at + SECTOR].iter_mut().for_each(|byte| *byte = random.u8(..));
                }
            }
        }
        torn
    }
}

fn number(n: u32) -> String {
    format!("989-26-TEST-{n:04}")
}

async fn post(world: &World, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        world.refer(json!([intervention(&number(n), json!({ "individuals.progres_id": format!("989-TEST{n:04}") }))])).await;
    }
}

/// The numbers of the interventions that wait, in order.
fn waiting(world: &World) -> Vec<String> {
    let waiting = world.unsettled();
    assert!(waiting.iter().all(|delivery| delivery.state == State::Waiting));
    waiting.into_iter().map(|delivery| delivery.about.intervention.unwrap().to_string()).collect()
}

/// Starts on an image while Primero is down; gives what waits, and that everything of it can be opened.
async fn wakes_up(world: &mut World, image: &Image) -> Vec<String> {
    image.put(world);
    world.start().await;
    world.settle().await;
    let numbers = waiting(world);
    for delivery in world.unsettled() {
        let parcel = world.daemon().programme().spool.read(|reading| reading.parcel(&delivery)).unwrap();
        assert!(parcel.is_some(), "what waits has its content");
    }
    world.stop().await;
    numbers
}

#[tokio::test]
async fn what_was_answered_with_202_survives_a_power_cut_wherever_the_log_is_torn() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    post(&world, 1..=3).await;
    let synced = Image::take(&world);
    post(&world, 4..=6).await;
    let later = Image::take(&world);
    world.stop().await;
    let all: Vec<String> = (1..=6).map(number).collect();
    let mut counts = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let found = wakes_up(&mut world, &synced.torn(&later, &mut random)).await;
        assert!(found.len() >= 3 && all.starts_with(&found), "what was answered, and then only what came next: {found:?}");
        counts.insert(found.len());
    }
    println!("found {counts:?} of {}", all.len());
    assert!(counts.len() > 1, "the log was torn at different places");

    // From a torn state everything goes its way, and what was lost unanswered may come again.
    synced.torn(&later, &mut random).put(&world);
    world.stage.primero.come_up().await.unwrap();
    world.start().await;
    world.settle().await;
    post(&world, 1..=6).await;
    world.pass(std::time::Duration::from_secs(3600)).await;
    assert_eq!(world.stage.primero.case_count(), 6);
    assert_eq!(world.told_dtp().len(), 6);
    world.end().await;
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_checkpoint_loses_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new().await;
    world.stage.primero.go_down().await;
    post(&world, 1..=4).await;
    let image = Image::take(&world);
    assert!(image.pages().len() > 10, "the log holds pages");
    world.stop().await;
    for _ in 0..20 {
        let found = wakes_up(&mut world, &image.torn_at_checkpoint(&mut random)).await;
        assert_eq!(found, (1..=4).map(number).collect::<Vec<_>>());
    }
    world.stage.primero.come_up().await.unwrap();
    world.start().await;
    world.pass(std::time::Duration::from_secs(3600)).await;
    assert_eq!((world.stage.primero.case_count(), world.told_dtp().len()), (4, 4));
    world.end().await;
}

#[tokio::test]
async fn a_power_cut_during_the_first_start_does_not_stand_in_the_way_of_the_second() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new().await;
    let image = Image::take(&world);
    world.stop().await;
    for _ in 0..20 {
        let mut torn = image.clone();
        torn.log.truncate(random.usize(0..=image.log.len()));
        assert_eq!(wakes_up(&mut world, &torn).await, Vec::<String>::new());
    }
    world.start().await;
    world.end().await;
}
