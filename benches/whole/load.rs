//! Long scenes: much at once with faults, an hour of steady work, one walk over very many cases.
//!
//! `-- load`, `-- soak 1h` and `-- walk 100000` of the benchmark. Each prints what it saw and ends with an error when a promise was broken.

use std::time::{Duration, Instant};

use crate::{
    judge::{Finding, PATIENCE},
    machine::{per_item, percentile},
    scene::{Scene, Subject},
};

/// The first child of the interventions; the children of the referrals come before it.
const FIRST: usize = 10_000_000;
/// So many referrals come with one that has no consent.
const ONE_WITHOUT_CONSENT_IN: usize = 100;
/// Pauses and limits of a scene with faults: the waiting of days, in seconds.
const HURRIED: [(&str, &str); 4] = [
    ("REFERRALD__DELIVERY__FIRST_PAUSE", "200ms"),
    ("REFERRALD__DELIVERY__LONGEST_PAUSE", "5s"),
    ("REFERRALD__PRIMERO__TIMEOUT", "2s"),
    ("REFERRALD__DTP__TIMEOUT", "2s"),
];

fn say(what: &str, value: f64) {
    println!("  {what:<64} {value:>10.2}");
}

/// Posts and registers, lets each fault meet so many of a hundred requests, and asks the judge at the end.
pub async fn load(interventions: usize, referrals: usize, percent: f64) {
    println!("load: {interventions} interventions, {referrals} referrals, {percent} % of each of twelve faults");
    let mut scene = Scene::with(Subject::Daemon, None, &HURRIED).await;
    scene.ask(&format!("spoil {percent}"));
    scene.ask(&format!("register {referrals} {}", referrals / ONE_WITHOUT_CONSENT_IN));
    let (before, others, began) = (scene.cpu(), scene.simulators_cpu(), Instant::now());
    let latencies = scene.post_all(interventions, 64, FIRST).await;
    say("inbox: p50, ms", percentile(&latencies, 50) / 1_000.0);
    say("inbox: p99, ms", percentile(&latencies, 99) / 1_000.0);
    say("inbox: longest, ms", percentile(&latencies, 100) / 1_000.0);
    say("posts per second", interventions as f64 / began.elapsed().as_secs_f64());
    scene.within(PATIENCE, &format!("numbers {interventions}"), interventions).await;
    scene.within(PATIENCE, &format!("persons {referrals}"), referrals).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    let items = interventions + referrals;
    say("whole, s", took.as_secs_f64());
    say("items per second", items as f64 / took.as_secs_f64());
    say("CPU per item, µs", per_item(after - before, items));
    say("the simulators' CPU per item, µs", per_item(scene.simulators_cpu() - others, items));
    say("requests per item", scene.count("requests") as f64 / items as f64);
    say("peak memory, MiB", scene.peak_mib());
    say("state at the end, MiB", scene.state_mib());
    // What is still under way after the last item was seen is a repeat at most; the judge is asked when nothing moves any more.
    settle(&mut scene).await;
    judged(&mut scene, interventions, referrals);
}

/// Steady work for so long, with a burst in the middle; memory and state file minute by minute.
pub async fn soak(how_long: Duration) {
    const PER_SECOND: usize = 20;
    let burst = 10_000;
    println!("soak: {PER_SECOND} interventions a second for {} min, a burst of {burst} in the middle", how_long.as_secs() / 60);
    let mut scene = Scene::with(Subject::Daemon, None, &HURRIED).await;
    let (began, before) = (Instant::now(), scene.cpu());
    let (mut posted, mut minutes, mut was_burst) = (0, Vec::new(), false);
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let sample = how_long.min(Duration::from_secs(60 * 20)) / 20;
    while began.elapsed() < how_long {
        every.tick().await;
        let count = if !was_burst && began.elapsed() > how_long / 2 { burst } else { PER_SECOND };
        was_burst |= count == burst;
        scene.post_all(count, 16, FIRST + posted).await;
        posted += count;
        if began.elapsed() >= sample * u32::try_from(minutes.len() + 1).expect("no soak is that long") {
            minutes.push((scene.resident_mib(), scene.state_mib()));
            println!(
                "  after {:>5.1} min: {posted:>8} posted, {:>6.1} MiB resident, {:>7.1} MiB of state",
                began.elapsed().as_secs_f64() / 60.0,
                scene.resident_mib(),
                scene.state_mib()
            );
        }
    }
    scene.within(PATIENCE, &format!("numbers {posted}"), posted).await;
    settle(&mut scene).await;
    let quarter = (minutes.len() / 4).max(1);
    let median = |of: &[(f64, f64)]| percentile(&of.iter().map(|(memory, _)| *memory).collect::<Vec<_>>(), 50);
    say("memory, median of the first quarter, MiB", median(&minutes[..quarter]));
    say("memory, median of the last quarter, MiB", median(&minutes[minutes.len() - quarter..]));
    say("peak memory, MiB", scene.peak_mib());
    say("state at its largest, MiB", minutes.iter().map(|(_, state)| *state).fold(0.0, f64::max));
    say("state at the end, MiB", scene.state_mib());
    say("state at the end, bytes per settled intervention", scene.state_mib() * f64::from(1 << 20) / posted as f64);
    say("CPU per item, µs", per_item(scene.cpu() - before, posted));
    judged(&mut scene, posted, 0);
}

/// One walk over so many changed cases, one in a hundred of them with a referral.
pub async fn walk(cases: usize) {
    println!("walk: {cases} changed cases, one in a hundred with a referral");
    // No walk by the clock: one is asked for.
    let never = "0 0 0 1 1 *";
    let by_hand = [
        ("REFERRALD__SCHEDULE__REFERRALS", never),
        ("REFERRALD__SCHEDULE__DECISIONS", never),
        ("REFERRALD__SCHEDULE__AT_START", "false"),
    ];
    let mut scene = Scene::with(Subject::Daemon, None, &by_hand).await;
    scene.ask(&format!("crowd {cases}"));
    let (before, asked, began) = (scene.cpu(), scene.count("pages"), Instant::now());
    scene.command(&["poll", "referrals"]);
    say("whole, s", began.elapsed().as_secs_f64());
    say("CPU per case, µs", per_item(scene.cpu() - before, cases));
    let pages = scene.count("pages") - asked;
    say("pages read", pages as f64);
    say("changed cases ÷ pages", cases as f64 / pages as f64);
    say("referrals taken by DTP", scene.count("persons 0") as f64);
    say("peak memory, MiB", scene.peak_mib());
    assert_eq!(scene.count("persons 0"), cases / 100, "a referral is missing");
}

/// Waits until nothing new is asked for a while, walks apart.
async fn settle(scene: &mut Scene) {
    loop {
        let before = scene.count("work");
        tokio::time::sleep(Duration::from_secs(6)).await;
        if scene.count("work") == before {
            return;
        }
    }
}

fn judged(scene: &mut Scene, interventions: usize, referrals: usize) {
    let found = Finding::read(&scene.ask(&format!("judge {interventions} {FIRST} {referrals}")));
    let Finding { lost, doubled, leaked, unlike, repeats } = found;
    println!(
        "  lost {lost}, doubled in Primero {doubled}, leaked {leaked}, feedbacks that differ {unlike}, repeats to DTP {repeats}"
    );
    assert!((lost, doubled, leaked, unlike) == (0, 0, 0, 0), "a promise was broken");
}
