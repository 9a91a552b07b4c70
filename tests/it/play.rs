//! The real daemon in a process of its own, which can be killed; both simulators stand in this one, and judge.
//!
//! Another process keeps its own time, so this is the one place of the tests that waits for it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use referrald::{
    clock::Clock,
    control::{Asked, Request},
    referral::Walk,
    sandbox::stage::{INBOX_KEY, Stage},
};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::oneshot,
};

/// Longer than anything takes on a slow machine; what takes longer hangs.
const LONG: Duration = Duration::from_secs(60);

/// A daemon that can be killed, and its stage.
pub struct Play {
    pub stage: Stage,
    /// What the next start finds in its environment, besides.
    pub environment: Vec<(String, String)>,
    running: Option<Running>,
    /// How many messages DTP had taken at each kill.
    kills: Vec<usize>,
    http: reqwest::Client,
}

struct Running {
    process: Child,
    inbox: SocketAddr,
    admin: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Play {
    /// A stage, and a daemon that is not started yet. Nothing is walked but when asked for.
    pub async fn set(change: impl FnOnce(String) -> String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stage = Stage::set(Clock::system()).await.expect("a stage on free ports");
        let text = stage
            .configuration()
            .replace("[schedule]", "[schedule]\noverlap = \"2s\"\nreferrals = \"0 0 0 1 1 *\"\ndecisions = \"0 0 0 1 1 *\"");
        let text = format!("{}\n[delivery]\nfirst_pause = \"100ms\"\n", change(text));
        fs::write(stage.directory().join("referrald.toml"), text).expect("the folder is ours");
        let http = reqwest::Client::builder().timeout(LONG).build().expect("a client");
        Self { stage, environment: Vec::new(), running: None, kills: Vec::new(), http }
    }

    pub fn configuration(&self) -> PathBuf {
        self.stage.directory().join("referrald.toml")
    }

    /// Starts the daemon, which must be ready after that.
    pub async fn start(&mut self) {
        if let Err(said) = self.try_start(LONG).await {
            panic!("the daemon did not start: {said}");
        }
    }

    /// Starts the daemon and waits until it is ready, or so long: then it is still starting. Else gives what it said at its end.
    pub async fn try_start(&mut self, patience: Duration) -> Result<(), String> {
        assert!(self.running.is_none(), "one daemon at a time");
        let mut process = Command::new(program())
            .args(["run", "--config"])
            .arg(self.configuration())
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built beside this test");
        let lines = BufReader::new(process.stderr.take().expect("it was piped")).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let (ready, is_ready) = oneshot::channel();
        let listener = std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                let mut ready = Some(ready);
                for line in lines.map_while(Result::ok) {
                    if let (Some(inbox), Some(admin)) = (address(&line, "inbox="), address(&line, "admin="))
                        && let Some(ready) = ready.take()
                    {
                        let _ = ready.send((inbox, admin));
                    }
                    said.lock().expect("nobody panics with it").push_str(&format!("{line}\n"));
                }
            }
        });
        match tokio::time::timeout(patience, is_ready).await {
            Ok(Ok((inbox, admin))) => {
                self.running = Some(Running { process, inbox, admin, said });
                Ok(())
            }
            Err(_) => {
                let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
                self.running = Some(Running { process, inbox: nowhere, admin: nowhere, said });
                Ok(())
            }
            Ok(Err(_)) => {
                let ended = process.wait().expect("it ends");
                listener.join().expect("it only reads");
                let said = said.lock().expect("nobody panics with it").clone();
                Err(format!("{said}exit {:?}", ended.code()))
            }
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the daemon runs")
    }

    /// What the daemon has said on standard error since it was started.
    pub fn said(&self) -> String {
        self.running().said.lock().expect("nobody panics with it").clone()
    }

    /// The most memory that it has had resident, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running().process.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux counts it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// What the machine lets the daemon have, as Linux tells it.
    pub fn limits(&self) -> String {
        fs::read_to_string(format!("/proc/{}/limits", self.running().process.id())).expect("it runs")
    }

    pub fn inbox(&self) -> SocketAddr {
        self.running().inbox
    }

    /// SIGKILL; or it has ended by itself. Nothing of it is on its way to DTP any more after that.
    pub async fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // It may have ended by itself.
        let _ = running.process.kill();
        running.process.wait().expect("it has ended");
        self.stage.dtp.cut_connections().await;
        self.kills.push(self.stage.dtp.received().len());
    }

    /// How many kills lie before the message that DTP took at this place.
    pub fn lives_before(&self, place: usize) -> usize {
        self.kills.partition_point(|kill| *kill <= place)
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let process = self.running().process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().expect("there is such a command");
        assert!(sent.success(), "the signal was not sent");
    }

    /// Waits until the daemon has said this on standard error so many times.
    pub async fn hears(&mut self, text: &str, times: usize) {
        for turn in 0.. {
            if self.said().matches(text).count() >= times {
                return;
            }
            assert!(!self.is_dead(), "the daemon has ended: {}", self.said());
            assert!(turn < 6_000, "it did not say {text:?}: {}", self.said());
            breathe(10).await;
        }
    }

    /// Waits for its end, and gives the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        while !self.is_dead() {
            breathe(10).await;
        }
        self.running.take().and_then(|mut running| running.process.wait().expect("it has ended").code())
    }

    pub fn is_dead(&mut self) -> bool {
        self.running.as_mut().is_none_or(|running| running.process.try_wait().expect("it can be asked").is_some())
    }

    /// Posts to the inbox; `None` if nothing was answered.
    pub async fn post(&self, body: &Value) -> Option<StatusCode> {
        let url = format!("http://{}/inbox", self.running().inbox);
        let request = self.http.post(url).header("x-api-key", INBOX_KEY).header("content-type", "application/json");
        request.body(body.to_string()).send().await.ok().map(|response| response.status())
    }

    /// Has the running daemon walk, as the command line does; ends when the errands of the walk are done, or the daemon is dead.
    pub fn walk(&self, walk: Walk) -> impl Future<Output = ()> + use<> {
        let socket = self.stage.directory().join("state/control.sock");
        let request = Request::Poll { walk: walk.to_string(), baseline: false };
        let asked = Asked { programme: "sandbox".to_owned(), request };
        let asked = serde_json::to_string(&asked).expect("a request is JSON");
        async move {
            let Ok(mut daemon) = UnixStream::connect(socket).await else { return };
            if daemon.write_all(format!("{asked}\n").as_bytes()).await.is_ok() {
                // It breaks off when the daemon does.
                let _ = daemon.read_to_end(&mut Vec::new()).await;
            }
        }
    }

    /// How many deliveries are unsettled; `None` if the daemon does not answer.
    async fn waiting(&self) -> Option<u64> {
        let page = self.http.get(format!("http://{}/readyz", self.running().admin)).send().await.ok()?;
        page.json::<Value>().await.ok()?["waiting"].as_u64()
    }

    /// Waits until nothing is owed any more.
    pub async fn settle(&mut self) {
        for turn in 0.. {
            if self.waiting().await == Some(0) {
                return;
            }
            assert!(!self.is_dead(), "the daemon has ended: {}", self.said());
            assert!(turn < 6_000, "{:?} deliveries are not settled: {}", self.waiting().await, self.said());
            breathe(10).await;
        }
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It may have ended by itself.
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }
}

/// The daemon that was built beside this test, or the one that `REFERRALD_PROOF_BINARY` names, such as a package for production.
/// One without fail points cannot be broken off at its steps.
fn program() -> PathBuf {
    std::env::var_os("REFERRALD_PROOF_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_referrald").into(), PathBuf::from)
}

fn address(line: &str, key: &str) -> Option<SocketAddr> {
    line.split(key).nth(1)?.split_whitespace().next()?.parse().ok()
}

/// Lets another process go on for so many milliseconds.
#[expect(clippy::disallowed_methods, reason = "another process does not obey a clock in our hand")]
pub async fn breathe(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
