//! Each stage by itself, in a process on the daemon's processor: mapping, seal and commit, one call to each system;
//! and a bare SQLite that commits the same rows in the same groups.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use referrald::{
    clock::Clock, config::Settings, daemon, mapping::InterventionContext, personal::Personal, primero::Filter,
    programme::Programme, spool::accept::ArrivedIntervention,
};
use rusqlite::{Connection, params};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    Note, ROLE,
    machine::{cpu_of, per_item, pin},
    post,
    scene::{Scene, Subject},
};

/// The rate of a bare SQLite.
pub const BARE_SQLITE: &str = "stage: a bare SQLite group commit of the same rows, per second";
/// How many of everything.
const ITEMS: usize = 10_000;
/// How many at a time, and how many in one commit.
const AT_A_TIME: usize = 64;

/// Has the stages run beside fresh simulators.
pub async fn ask(note: Note<'_>) {
    let scene = Scene::set(Subject::Pipe, None).await;
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    let stages = command.env(ROLE, "stages").arg(&scene.configuration).stdout(Stdio::piped()).spawn().expect("it starts");
    pin(stages.id(), 0);
    let output = stages.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the stages failed");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((name, value)) = line.split_once('\t') {
            note(name, value.parse().expect("a figure"));
        }
    }
}

/// Runs each stage; a line for each figure.
pub async fn run(configuration: &Path) {
    // Whoever started this pins it; a stage that began before would run elsewhere.
    std::thread::sleep(Duration::from_millis(200));
    let settings = Settings::load(configuration, []).expect("a configuration");
    let directory = settings.state.directory.clone();
    let programme = Arc::new(daemon::assemble(settings, Clock::system(), Box::new(|_| {})).expect("a programme"));
    mapping(&programme);
    seal_and_commit(&programme).await;
    bare_sqlite(&directory);
    primero(&programme).await;
    dtp(&programme).await;
}

fn tell(name: &str, value: f64) {
    println!("{name}\t{value}");
}

fn row(child: usize) -> Value {
    post::post(child)["interventions"][0].clone()
}

fn mapping(programme: &Programme) {
    let rows = [row(0).as_object().expect("a row").clone()];
    let number = post::number(0).parse().expect("a number");
    let before = cpu_of(std::process::id());
    for _ in 0..ITEMS {
        let context = InterventionContext {
            intake_user: &programme.settings.primero.intake_user,
            today: programme.clock.now().date_naive(),
            service_types: &programme.settings.flow1.service_types,
            agencies: &programme.settings.flow1.agencies,
        };
        std::hint::black_box(programme.mapping.case_draft(&number, &rows, context).expect("a draft"));
    }
    tell("stage: mapping of an intervention, µs", per_item(cpu_of(std::process::id()) - before, ITEMS));
}

/// Through the writer thread, so many at a time, each to its durable end.
async fn seal_and_commit(programme: &Arc<Programme>) {
    let (before, began) = (cpu_of(std::process::id()), Instant::now());
    at_a_time(ITEMS, |child| {
        let programme = Arc::clone(programme);
        async move {
            let bytes = serde_json::to_vec(&[row(child)]).expect("JSON");
            let arrived = ArrivedIntervention {
                number: post::number(child).parse().expect("a number"),
                given_case: None,
                person: Some(Personal::new(post::person(child))),
                content: Personal::new(bytes.clone()),
                parcel: Personal::new(bytes),
            };
            let stored = programme.spool.write(move |tx| tx.accept_interventions(Uuid::new_v4(), vec![arrived])).await;
            stored.expect("it is stored");
        }
    })
    .await;
    tell("stage: seal and commit, µs", per_item(cpu_of(std::process::id()) - before, ITEMS));
    tell("stage: seal and commit, per second", ITEMS as f64 / began.elapsed().as_secs_f64());
}

/// The rows of an accepted intervention and nothing else, by one thread that never waits for work.
fn bare_sqlite(directory: &Path) {
    let connection = Connection::open(directory.join("bare.sqlite")).expect("a database");
    connection
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;",
        )
        .expect("pragmas");
    connection.execute_batch(include_str!("../../src/spool/schema.sql")).expect("the schema");
    let parcel = vec![7_u8; serde_json::to_vec(&[row(0)]).expect("JSON").len() + 40];
    let (before, began) = (cpu_of(std::process::id()), Instant::now());
    for group in 0..ITEMS / AT_A_TIME {
        connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        for child in group * AT_A_TIME..(group + 1) * AT_A_TIME {
            let id = i64::try_from(child).expect("a small number") + 1;
            let mut delivery = connection
                .prepare_cached(
                    "INSERT INTO deliveries (id, errand, state, post, intervention, person, content, made, due)
                     VALUES (?1, 'open_intervention', 'waiting', ?2, ?3, ?4, ?4, ?5, ?5)",
                )
                .expect("a statement");
            delivery.execute(params![id, [1_u8; 16], post::number(child), [2_u8; 32], 1_800_000_000_000_i64]).expect("a row");
            let mut sealed = connection.prepare_cached("INSERT INTO parcels VALUES (?1, 'bare', ?2)").expect("a statement");
            sealed.execute(params![id, parcel]).expect("a row");
            let mut story = connection
                .prepare_cached("INSERT INTO story (delivery, time, event) VALUES (?1, ?2, 'received')")
                .expect("a statement");
            story.execute(params![id, 1_800_000_000_000_i64]).expect("a row");
        }
        connection.execute_batch("COMMIT").expect("a commit");
    }
    let rows = ITEMS / AT_A_TIME * AT_A_TIME;
    tell("stage: a bare SQLite group commit of the same rows, µs", per_item(cpu_of(std::process::id()) - before, rows));
    tell(BARE_SQLITE, rows as f64 / began.elapsed().as_secs_f64());
}

async fn primero(programme: &Arc<Programme>) {
    let calls = ITEMS / 2;
    let before = cpu_of(std::process::id());
    at_a_time(calls, |child| {
        let programme = Arc::clone(programme);
        async move {
            let person = post::person(child);
            let filter = Filter { equals: ("unhcr_individual_no", &person), module: programme.mapping.module() };
            programme.primero.find(&filter, &programme.fields.flow1()).await.expect("an answer");
        }
    })
    .await;
    tell("stage: one search in Primero, µs", per_item(cpu_of(std::process::id()) - before, calls));
}

async fn dtp(programme: &Arc<Programme>) {
    let calls = ITEMS / 2;
    let before = cpu_of(std::process::id());
    at_a_time(calls, |child| {
        let programme = Arc::clone(programme);
        async move {
            let number = post::number(child).parse().expect("a number");
            let message = programme.mapping.delivered_feedback(&number, "case", &programme.settings.primero.intake_user, None);
            programme.dtp.send_decision(&message).await.expect("an answer");
        }
    })
    .await;
    tell("stage: one feedback to DTP, µs", per_item(cpu_of(std::process::id()) - before, calls));
}

async fn at_a_time<F: Future<Output = ()> + Send + 'static>(count: usize, item: impl Fn(usize) -> F) {
    let mut under_way = JoinSet::new();
    for child in 0..count {
        if under_way.len() >= AT_A_TIME {
            under_way.join_next().await.expect("one is under way").expect("it does not fail");
        }
        under_way.spawn(item(child));
    }
    while let Some(ended) = under_way.join_next().await {
        ended.expect("it does not fail");
    }
}
