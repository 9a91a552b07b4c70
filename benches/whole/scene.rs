//! One scene: the daemon, or the bare pipe, on one processor; both simulators and the load on the other.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use referrald::sandbox::stage::INBOX_KEY;

use crate::{
    ROLE,
    machine::{self, cpu_of, free_address, pin},
    post,
};

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The daemon.
    Daemon,
    /// The bare pipe.
    Pipe,
}

/// Who is measured, and both simulators.
pub struct Scene {
    subject: Child,
    simulators: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub configuration: PathBuf,
    directory: PathBuf,
    inbox: SocketAddr,
    pub ready_after: Duration,
    http: reqwest::Client,
}

impl Scene {
    /// Sets the scene; `password` replaces the right one.
    pub async fn set(subject: Subject, password: Option<&str>) -> Self {
        Self::with(subject, password, &[]).await
    }

    /// Sets the scene with more settings, as the environment gives them.
    pub async fn with(subject: Subject, password: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut simulators = Command::new(&program)
            .env(ROLE, "simulators")
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
        let configuration = configure(&directory, password, inbox, admin);
        let log = fs::File::create(directory.join("daemon.log")).expect("a log");
        let began = Instant::now();
        let mut command = match subject {
            Subject::Daemon => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
                command.args(["run", "--config"]).arg(&configuration);
                command
            }
            Subject::Pipe => {
                let mut command = Command::new(&program);
                command.env(ROLE, "pipe").arg(&configuration);
                command
            }
        };
        command.envs(settings.iter().copied());
        let subject = command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("it starts");
        pin(subject.id(), 0);
        let http = reqwest::Client::builder().pool_max_idle_per_host(64).build().expect("a client");
        // The pipe has one door only.
        let health = [format!("http://{admin}/livez"), format!("http://{inbox}/")];
        while http.get(&health[0]).send().await.is_err() && http.get(&health[1]).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { subject, simulators, to, from, configuration, directory, inbox, ready_after: began.elapsed(), http }
    }

    /// Asks the simulators; gives their answer.
    pub fn ask(&mut self, what: &str) -> String {
        writeln!(self.to, "{what}").expect("the simulators listen");
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect("the simulators answer");
        answer.trim().to_owned()
    }

    /// Asks the simulators for a count.
    pub fn count(&mut self, what: &str) -> usize {
        self.ask(what).parse().unwrap_or(0)
    }

    /// Waits until DTP has taken so many.
    pub async fn until(&mut self, what: &str, count: usize) {
        self.within(Duration::from_secs(300), what, count).await;
    }

    /// Waits until DTP has taken so many, as long as something goes on in this time.
    pub async fn within(&mut self, patience: Duration, what: &str, count: usize) {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let now = self.count(what);
            if now >= count {
                return;
            }
            if now > seen {
                (seen, since) = (now, Instant::now());
            }
            assert!(
                since.elapsed() < patience,
                "{what} stays at {now} and does not reach {count}; `referrald status` says: {}",
                self.status()
            );
            // Of many it takes a while to say how many they are.
            tokio::time::sleep(Duration::from_millis(if count > 10_000 { 500 } else { 20 })).await;
        }
    }

    /// What the daemon's operator would see now.
    fn status(&self) -> String {
        let output = self.program(&["status"]).output().expect("the program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A command of the program on the same configuration.
    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
        command.args(words).arg("--config").arg(&self.configuration);
        command
    }

    /// Runs a command of the program on the same configuration, to its end.
    pub fn command(&self, words: &[&str]) {
        let status = self.program(words).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "`referrald {}` did not end well", words.join(" "));
    }

    /// Posts so many interventions over so many connections; gives each latency in microseconds.
    pub async fn post_all(&self, count: usize, connections: usize, first: usize) -> Vec<f64> {
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
                    let body = post::post(first + place).to_string();
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

    pub fn cpu(&self) -> Duration {
        cpu_of(self.subject.id())
    }

    pub fn simulators_cpu(&self) -> Duration {
        cpu_of(self.simulators.id())
    }

    pub fn peak_mib(&self) -> f64 {
        machine::peak_mib(self.subject.id())
    }

    pub fn resident_mib(&self) -> f64 {
        machine::resident_mib(self.subject.id())
    }

    /// Database and log, in MiB.
    pub fn state_mib(&self) -> f64 {
        let files = fs::read_dir(self.directory.join("state")).expect("the daemon has a state");
        let bytes: u64 = files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum();
        bytes as f64 / f64::from(1 << 20)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in [&mut self.subject, &mut self.simulators] {
            // Each may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Who is killed does not tidy up.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn configure(directory: &Path, password: Option<&str>, inbox: SocketAddr, admin: SocketAddr) -> PathBuf {
    let path = directory.join("referrald.toml");
    let mut text = fs::read_to_string(&path).expect("the stage wrote a configuration");
    text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{inbox}\""), 1);
    text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{admin}\""), 1);
    text = text.replace("rate = \"unlimited\"", "rate = \"unlimited\"\nparallel = 32");
    text = text.replace("\n[schedule]", "parallel = 32\n\n[schedule]\nreferrals = \"* * * * * *\"");
    if let Some(password) = password {
        fs::write(directory.join("secrets/primero-password"), password).expect("the folder is ours");
    }
    fs::write(&path, text).expect("the folder is ours");
    path
}
