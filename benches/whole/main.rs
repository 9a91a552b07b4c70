//! Whole-process figures: what one post, one intervention and one referral cost the daemon, where it goes, and how much memory it takes.
//!
//! Three processes: the daemon (the release binary, pinned to processor 0), the simulators, and the load (both on processor 1).
//! Primero is reached over plain HTTP on the loopback, DTP over mutual TLS; state is durable. CPU comes from `/proc`.
//! The yardstick is a bare pipe in the daemon's place: it makes the same requests, and keeps, checks and maps nothing.
//!
//! `cargo bench --bench whole` runs every scene three times and prints medians; `-- --quick` runs each once and smaller.
//! `-- load`, `-- soak 1h` and `-- walk 100000` are long scenes of their own: see `load`.

#![allow(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a benchmark asks the machine for the time")]

mod judge;
mod load;
mod machine;
mod pipe;
mod post;
mod scene;
mod simulators;
mod stages;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use machine::{per_item, percentile, pin};
use scene::{Scene, Subject};

/// Says which part a process plays; without it, it is the load.
const ROLE: &str = "REFERRALD_BENCH_ROLE";

/// How much is done.
#[derive(Clone, Copy)]
struct Size {
    runs: usize,
    posts: usize,
    interventions: usize,
    referrals: usize,
    waiting: usize,
    /// How long nothing happens.
    idle: Duration,
}

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let configuration = || PathBuf::from(std::env::args_os().nth(1).expect("a configuration"));
    match std::env::var(ROLE).as_deref() {
        Ok("simulators") => return two_threads().block_on(simulators::simulate()),
        // On one thread, as the daemon.
        Ok("pipe") => return one_thread().block_on(pipe::run(&configuration())),
        Ok("stages") => return one_thread().block_on(stages::run(&configuration())),
        _ => {}
    }
    pin(std::process::id(), 1);
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let count = |at: usize, otherwise: usize| words.get(at).map_or(otherwise, |word| word.parse().expect("a number"));
    match words.first().map(String::as_str) {
        Some("load") => return two_threads().block_on(load::load(count(1, 50_000), count(2, 50_000), count(3, 1) as f64)),
        Some("soak") => {
            let how_long = words.get(1).map_or("1h", String::as_str);
            return two_threads().block_on(load::soak(humantime::parse_duration(how_long).expect("a time such as 1h")));
        }
        Some("walk") => return two_threads().block_on(load::walk(count(1, 100_000))),
        _ => {}
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let size = if quick {
        Size { runs: 1, posts: 2_000, interventions: 500, referrals: 500, waiting: 5_000, idle: Duration::from_secs(10) }
    } else {
        Size { runs: 3, posts: 20_000, interventions: 5_000, referrals: 1_000, waiting: 50_000, idle: Duration::from_secs(60) }
    };
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in 0..size.runs {
        println!("run {} of {}", run + 1, size.runs);
        let mut noted = BTreeMap::new();
        let mut note = |name: &str, value: f64| {
            println!("  {name:<64} {value:>10.2}");
            noted.insert(name.to_owned(), value);
        };
        two_threads().block_on(measure(size, &mut note));
        let of = |name: &str| noted.get(name).copied().unwrap_or(f64::NAN);
        let ratios = [
            ("flow 1: CPU of the bare pipe ÷ ours", of(pipe::CPU) / of(FLOW1_CPU)),
            ("flow 1: throughput ÷ the bare pipe's", of(FLOW1_RATE) / of(pipe::RATE)),
            ("inbox: posts per second ÷ bare SQLite group commit", of(INBOX_RATE) / of(stages::BARE_SQLITE)),
        ];
        for (name, ratio) in ratios {
            println!("  {name:<64} {ratio:>10.2}");
            noted.insert(name.to_owned(), ratio);
        }
        for (name, value) in noted {
            figures.entry(name).or_default().push(value);
        }
    }
    println!("\nmedians of {} runs", size.runs);
    for (name, mut values) in figures {
        values.sort_by(f64::total_cmp);
        println!("  {name:<64} {:>10.2}   (min {:.2}, max {:.2})", values[values.len() / 2], values[0], values[values.len() - 1]);
    }
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn two_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

type Note<'a> = &'a mut dyn FnMut(&str, f64);

const INBOX_RATE: &str = "inbox, 64 connections: posts per second";
const FLOW1_CPU: &str = "flow 1: CPU per intervention, µs";
const FLOW1_RATE: &str = "flow 1: interventions per second";

async fn measure(size: Size, note: Note<'_>) {
    inbox(size.posts, note).await;
    flow1(size.interventions, note).await;
    bare_pipe(size.interventions, note).await;
    flow2(size.referrals, note).await;
    memory(size.waiting, note).await;
    idle(size.idle, note).await;
    stages::ask(note).await;
}

/// The inbox alone: Primero refuses our password, so nothing but accepting is done.
async fn inbox(posts: usize, note: Note<'_>) {
    let scene = Scene::set(Subject::Daemon, Some("a wrong password")).await;
    let latencies = scene.post_all(300, 1, 0).await;
    note("inbox, 1 connection: p50, µs", percentile(&latencies, 50));
    note("inbox, 1 connection: p99, µs", percentile(&latencies, 99));
    let (before, began) = (scene.cpu(), Instant::now());
    scene.post_all(posts, 64, 1_000_000).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note("inbox, 64 connections: CPU per post, µs", per_item(after - before, posts));
    note(INBOX_RATE, posts as f64 / took.as_secs_f64());
}

/// Flow 1, the whole way: 202, two searches, create, read back, feedback, erase.
async fn flow1(interventions: usize, note: Note<'_>) {
    let mut scene = Scene::set(Subject::Daemon, None).await;
    scene.post_all(50, 4, 0).await;
    scene.until("feedback", 50).await;
    let (before, others, began) = (scene.cpu(), scene.simulators_cpu(), Instant::now());
    scene.post_all(interventions, 16, 1_000_000).await;
    scene.until("feedback", 50 + interventions).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note(FLOW1_CPU, per_item(after - before, interventions));
    note(FLOW1_RATE, interventions as f64 / took.as_secs_f64());
    note("flow 1: the simulators' CPU per intervention, µs", per_item(scene.simulators_cpu() - others, interventions));
}

/// The same requests from a pipe that keeps nothing.
async fn bare_pipe(interventions: usize, note: Note<'_>) {
    let mut scene = Scene::set(Subject::Pipe, None).await;
    scene.post_all(50, 4, 0).await;
    scene.until("feedback", 50).await;
    let (before, began) = (scene.cpu(), Instant::now());
    scene.post_all(interventions, 16, 1_000_000).await;
    scene.until("feedback", 50 + interventions).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note(pipe::CPU, per_item(after - before, interventions));
    note(pipe::RATE, interventions as f64 / took.as_secs_f64());
}

/// Flow 2: changed cases with one referral each, from the walk to DTP.
async fn flow2(referrals: usize, note: Note<'_>) {
    let mut scene = Scene::set(Subject::Daemon, None).await;
    scene.ask(&format!("register {referrals}"));
    let (before, others, began) = (scene.cpu(), scene.simulators_cpu(), Instant::now());
    scene.until("referrals", referrals).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note("flow 2: CPU per referral, µs", per_item(after - before, referrals));
    note("flow 2: referrals per second", referrals as f64 / took.as_secs_f64());
    note("flow 2: the simulators' CPU per referral, µs", per_item(scene.simulators_cpu() - others, referrals));
    note("flow 2: peak memory, MiB", scene.peak_mib());
}

/// Nothing to do, and both lists read at their usual times.
async fn idle(how_long: Duration, note: Note<'_>) {
    let scene = Scene::with(Subject::Daemon, None, &[("REFERRALD__SCHEDULE__REFERRALS", "0 */10 * * * *")]).await;
    let before = scene.cpu();
    tokio::time::sleep(how_long).await;
    note("idle: CPU, % of a core", (scene.cpu() - before).as_secs_f64() / how_long.as_secs_f64() * 100.0);
}

/// Memory: idle, and with many interventions waiting.
async fn memory(waiting: usize, note: Note<'_>) {
    let scene = Scene::set(Subject::Daemon, Some("a wrong password")).await;
    note("start to ready, ms", scene.ready_after.as_secs_f64() * 1_000.0);
    note("idle: peak memory, MiB", scene.peak_mib());
    scene.post_all(waiting, 64, 0).await;
    note("with interventions waiting: peak memory, MiB", scene.peak_mib());
}
