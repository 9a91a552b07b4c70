//! Whole-process figures: what one post, one intervention and one referral cost the daemon, and how much memory it takes.
//!
//! Three processes: the daemon (the release binary, pinned to processor 0), the simulators, and the load (both on processor 1).
//! Primero is reached over plain HTTP on the loopback, DTP over mutual TLS; state is durable. CPU comes from `/proc`.
//!
//! `cargo bench --bench whole` runs every scene three times and prints medians; `-- --quick` runs each once and smaller.

#![allow(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a benchmark asks the machine for the time")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use referrald::{
    clock::Clock,
    sandbox::{
        Endpoint,
        primero::{CASE_WORKER, NewReferral, UNHCR},
        stage::{INBOX_KEY, Stage},
    },
};
use serde_json::{Value, json};

/// Set in the process that plays both systems.
const SIMULATORS: &str = "REFERRALD_BENCH_SIMULATORS";
/// A note that brings a post to about 4 KB.
const NOTE_BYTES: usize = 2_600;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if std::env::var_os(SIMULATORS).is_some() {
        runtime.block_on(simulate());
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (runs, posts, interventions, referrals, waiting) =
        if quick { (1, 2_000, 500, 500, 5_000) } else { (3, 20_000, 5_000, 1_000, 50_000) };
    pin(std::process::id(), 1);
    let mut figures: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in 0..runs {
        println!("run {} of {runs}", run + 1);
        let mut note = |name, value| {
            println!("  {name:<58} {value:>10.1}");
            figures.entry(name).or_default().push(value);
        };
        runtime.block_on(inbox(posts, &mut note));
        runtime.block_on(flow1(interventions, &mut note));
        runtime.block_on(flow2(referrals, &mut note));
        runtime.block_on(memory(waiting, &mut note));
    }
    println!("\nmedians of {runs} runs");
    for (name, mut values) in figures {
        values.sort_by(f64::total_cmp);
        println!("  {name:<58} {:>10.1}   (min {:.1}, max {:.1})", values[values.len() / 2], values[0], values[values.len() - 1]);
    }
}

type Note<'a> = &'a mut dyn FnMut(&'static str, f64);

/// The inbox alone: Primero refuses our password, so nothing but accepting is done.
async fn inbox(posts: usize, note: Note<'_>) {
    let scene = Scene::set("password = \"wrong\"").await;
    let latencies = scene.post_all(300, 1, 0).await;
    note("inbox, 1 connection: p50, µs", percentile(&latencies, 50));
    note("inbox, 1 connection: p99, µs", percentile(&latencies, 99));
    let (before, began) = (scene.cpu(), Instant::now());
    scene.post_all(posts, 64, 1_000_000).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note("inbox, 64 connections: CPU per post, µs", per_item(after - before, posts));
    note("inbox, 64 connections: posts per second", posts as f64 / took.as_secs_f64());
}

/// Flow 1, the whole way: 202, two searches and a query, create, read back, feedback, erase.
async fn flow1(interventions: usize, note: Note<'_>) {
    let mut scene = Scene::set("").await;
    scene.post_all(50, 4, 0).await;
    scene.until("feedback", 50).await;
    let (before, others, began) = (scene.cpu(), scene.simulators_cpu(), Instant::now());
    scene.post_all(interventions, 16, 1_000_000).await;
    scene.until("feedback", 50 + interventions).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note("flow 1: CPU per intervention, µs", per_item(after - before, interventions));
    note("flow 1: interventions per second", interventions as f64 / took.as_secs_f64());
    note("flow 1: the simulators' CPU per intervention, µs", per_item(scene.simulators_cpu() - others, interventions));
}

/// Flow 2: changed cases with one referral each, from the walk to DTP.
async fn flow2(referrals: usize, note: Note<'_>) {
    let mut scene = Scene::set("").await;
    scene.ask(&format!("register {referrals}"));
    let (before, others, began) = (scene.cpu(), scene.simulators_cpu(), Instant::now());
    scene.until("referrals", referrals).await;
    let (after, took) = (scene.cpu(), began.elapsed());
    note("flow 2: CPU per referral, µs", per_item(after - before, referrals));
    note("flow 2: referrals per second", referrals as f64 / took.as_secs_f64());
    note("flow 2: the simulators' CPU per referral, µs", per_item(scene.simulators_cpu() - others, referrals));
    note("flow 2: peak memory, MiB", scene.peak_mib());
}

/// Memory: idle, and with many interventions waiting.
async fn memory(waiting: usize, note: Note<'_>) {
    let scene = Scene::set("password = \"wrong\"").await;
    note("start to ready, ms", scene.ready_after.as_secs_f64() * 1_000.0);
    note("idle: peak memory, MiB", scene.peak_mib());
    scene.post_all(waiting, 64, 0).await;
    note("with interventions waiting: peak memory, MiB", scene.peak_mib());
}

/// A daemon and its simulators.
struct Scene {
    daemon: Child,
    simulators: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    directory: PathBuf,
    inbox: SocketAddr,
    ready_after: Duration,
    http: reqwest::Client,
}

impl Scene {
    async fn set(change: &str) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut simulators = Command::new(program)
            .env(SIMULATORS, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the simulators start");
        pin(simulators.id(), 1);
        let to = simulators.stdin.take().expect("a pipe");
        let mut from = BufReader::new(simulators.stdout.take().expect("a pipe"));
        let mut directory = String::new();
        from.read_line(&mut directory).expect("the simulators answer");
        let directory = PathBuf::from(directory.trim());
        let (inbox, admin) = (free_address(), free_address());
        let configuration = configure(&directory, change, inbox, admin);
        let log = fs::File::create(directory.join("daemon.log")).expect("a log");
        let began = Instant::now();
        let daemon = Command::new(env!("CARGO_BIN_EXE_referrald"))
            .args(["run", "--config"])
            .arg(&configuration)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        pin(daemon.id(), 0);
        let http = reqwest::Client::builder().pool_max_idle_per_host(64).build().expect("a client");
        while http.get(format!("http://{admin}/livez")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { daemon, simulators, to, from, directory, inbox, ready_after: began.elapsed(), http }
    }

    /// Asks the simulators; gives their answer.
    fn ask(&mut self, what: &str) -> String {
        writeln!(self.to, "{what}").expect("the simulators listen");
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect("the simulators answer");
        answer.trim().to_owned()
    }

    /// Waits until DTP has taken so many.
    async fn until(&mut self, what: &str, count: usize) {
        let began = Instant::now();
        while self.ask(what).parse::<usize>().unwrap_or(0) < count {
            assert!(began.elapsed() < Duration::from_secs(300), "{what} did not reach {count}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Posts so many interventions over so many connections; gives each latency in microseconds.
    async fn post_all(&self, count: usize, connections: usize, first: usize) -> Vec<f64> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = Vec::new();
        for _ in 0..connections {
            let (http, next) = (self.http.clone(), Arc::clone(&next));
            let url = format!("http://{}/inbox", self.inbox);
            workers.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count {
                        return latencies;
                    }
                    let body = post(first + place).to_string();
                    let request =
                        http.post(&url).header("x-api-key", INBOX_KEY).header("content-type", "application/json").body(body);
                    let began = Instant::now();
                    let status = request.send().await.expect("the inbox answers").status();
                    assert_eq!(status.as_u16(), 202);
                    latencies.push(began.elapsed().as_secs_f64() * 1e6);
                }
            }));
        }
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await.expect("the load does not fail"));
        }
        all
    }

    fn cpu(&self) -> Duration {
        cpu_of(self.daemon.id())
    }

    fn simulators_cpu(&self) -> Duration {
        cpu_of(self.simulators.id())
    }

    fn peak_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id())).expect("/proc is there");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.simulators] {
            // Each may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Who is killed does not tidy up.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn configure(directory: &Path, change: &str, inbox: SocketAddr, admin: SocketAddr) -> PathBuf {
    let path = directory.join("referrald.toml");
    let mut text = fs::read_to_string(&path).expect("the stage wrote a configuration");
    text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{inbox}\""), 1);
    text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{admin}\""), 1);
    text = text.replace("rate = \"unlimited\"", "rate = \"unlimited\"\nparallel = 32");
    text = text.replace("\n[schedule]", "parallel = 32\n\n[schedule]\nreferrals = \"* * * * * *\"");
    if !change.is_empty() {
        fs::write(directory.join("secrets/primero-password"), "a wrong password").expect("the folder is ours");
    }
    fs::write(&path, text).expect("the folder is ours");
    path
}

/// Both systems in a process of their own; answers one line per line.
async fn simulate() {
    let stage = Stage::set(Clock::system()).await.expect("a stage");
    println!("{}", stage.directory().display());
    let lines = std::io::stdin().lines();
    for line in lines.map_while(Result::ok) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("feedback") => println!("{}", stage.dtp.log().count(Endpoint::DtpDecision)),
            Some("referrals") => println!("{}", stage.dtp.log().count(Endpoint::DtpReferral)),
            Some("register") => {
                let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(0);
                (0..count).for_each(|child| register(&stage, child));
                println!("registered");
            }
            _ => println!("?"),
        }
    }
}

fn register(stage: &Stage, child: usize) {
    let worker = stage.primero.staff(CASE_WORKER);
    let case = worker.register(json!({
        "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": format!("989-BENCH{child}"), "unhcr_id_no": "989-BENCHGROUP", "status": "open",
        "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF",
        "consent_for_services": true, "disclosure_other_orgs": true,
    }));
    let item = json!({
        "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_response_type": "service_provision", "service_referral_notes": "An invented note.",
    });
    let service = worker.add_service(case, item).to_string();
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", &service);
    worker.refer(case, referral).expect("the simulated Primero lets a case worker refer");
}

fn post(child: usize) -> Value {
    json!({
        "request_type": "PrimeroOutgoingReferral",
        "interventions": [{
            "progres_interventionnumber": format!("989-26-BENCH-{child}"),
            "progres_interventionstartdate": "2026-02-01T00:00:00Z",
            "interventiontype.progres_description": "Alternative Care",
            "individuals.progres_id": format!("989-BENCH{child}"),
            "individuals.progres_registrationgroupid": { "Id": "x", "Name": "989-BENCHGROUP", "LogicalName": "progres_registrationgroup" },
            "individuals.progres_givenname": "Testina",
            "individuals.progres_familyname": "Examplename",
            "individuals.progres_dateofbirth": "2014-05-06T00:00:00Z",
            "individuals.progres_sex": "125080000",
            "progres_interventiondescription": format!("<p>{}</p>", "invented ".repeat(NOTE_BYTES / 9)),
            "specificneeds.progres_spncategory2": { "Name": "never read" },
            "user.title": "Protection Associate",
            "user.internalemailaddress": "protection@example.org",
        }]
    })
}

fn per_item(cpu: Duration, items: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / items as f64
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

/// User and system time of a process, its ended threads included.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("/proc is there");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second.
    Duration::from_millis(ticks * 10)
}

fn pin(process: u32, processor: u32) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", &processor.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        println!("  (could not pin process {process} to processor {processor}: figures are less steady)");
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
