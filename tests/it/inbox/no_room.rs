//! A disk without room, with the real program in a process of its own: no file of it may grow beyond a limit, so that the state
//! meets a failing write in the middle of its work. Nothing that was taken is lost, and it goes on by itself when there is room.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use referrald::{clock::Clock, sandbox::stage::INBOX_KEY};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{World, intervention};

const HOUR: Duration = Duration::from_secs(3600);

/// `referrald run` in a process of its own; it goes with the test.
struct Process {
    child: Child,
    said: mpsc::UnboundedReceiver<String>,
    inbox: String,
    admin: String,
    http: reqwest::Client,
}

impl Process {
    /// Starts it on a world's configuration with a limit on the size of each of its files, in blocks of 512 bytes.
    /// The signal that comes with the limit is ignored, so that a write fails as on a full disk.
    #[expect(clippy::zombie_processes, reason = "whoever holds it ends it and waits; a panic before that ends the test process")]
    async fn limited(world: &World, blocks: u32) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -S -f \"$1\"; exec \"$0\" run --config \"$2\""])
            .arg(env!("CARGO_BIN_EXE_referrald"))
            .arg(blocks.to_string())
            .arg(world.stage.directory().join("referrald.toml"))
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
        let (tell, mut said) = mpsc::unbounded_channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let address = |line: &str, name: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.map(str::to_owned)
        };
        loop {
            let line = said.recv().await.expect("it tells where it listens");
            if let (Some(inbox), Some(admin)) = (address(&line, "inbox"), address(&line, "admin")) {
                return Self { child, said, inbox, admin, http: reqwest::Client::new() };
            }
        }
    }

    /// There is room again.
    fn unlimited(&self) {
        let lifted = Command::new("prlimit").args(["--pid", &self.child.id().to_string(), "--fsize=unlimited:"]).status();
        assert!(lifted.expect("there is a prlimit").success());
    }

    async fn post(&self, row: &Value) -> StatusCode {
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] }).to_string();
        let post = self.http.post(format!("http://{}/inbox", self.inbox)).header("content-type", "application/json").body(body);
        let answer = post.header("x-api-key", INBOX_KEY).send().await.expect("the inbox answers");
        if answer.status() != StatusCode::ACCEPTED {
            assert_eq!(answer.headers()["retry-after"], "300");
        }
        answer.status()
    }

    async fn ready(&self) -> (StatusCode, Value) {
        let answer = self.http.get(format!("http://{}/readyz", self.admin)).send().await.expect("the page answers");
        (answer.status(), answer.json().await.expect("a document"))
    }

    /// Ends it in order; gives what it said on standard error.
    async fn end(mut self) -> Vec<String> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(asked.expect("there is a kill").success());
        let mut said = Vec::new();
        while let Some(line) = self.said.recv().await {
            said.push(line);
        }
        assert!(self.child.wait().expect("it is ours").success(), "{said:?}");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An intervention for the n-th person, with a long note.
fn nth(n: u32) -> Value {
    let note = "<p>Invented. </p>".repeat(1200);
    let change = json!({ "individuals.progres_id": format!("989-TEST{n:04}"), "progres_interventiondescription": note });
    intervention(&format!("989-26-TEST-{n:04}"), change)
}

#[tokio::test]
async fn on_a_full_disk_posts_get_503_nothing_taken_is_lost_and_it_goes_on_when_there_is_room() {
    let mut world = World::without_daemon(&[]).await;
    world.stage.primero.go_down().await;
    let process = Process::limited(&world, 2048).await;
    assert_eq!(process.ready().await.0, StatusCode::OK);
    let mut taken = BTreeSet::new();
    let mut n = 0;
    let refused = loop {
        n += 1;
        assert!(n < 200, "a megabyte holds no more than that");
        match process.post(&nth(n)).await {
            StatusCode::ACCEPTED => taken.insert(format!("989-26-TEST-{n:04}")),
            StatusCode::SERVICE_UNAVAILABLE => break n,
            other => panic!("{other}"),
        };
    };
    assert!(taken.len() > 5, "{}", taken.len());
    assert_eq!(process.post(&nth(refused + 1)).await, StatusCode::SERVICE_UNAVAILABLE, "and again, without harm");
    // Whether there is room is tried with a small write, and each takes some of the little that is left.
    let mut asked = 0;
    let why = loop {
        asked += 1;
        assert!(asked < 20, "a long note has no more room than so many small writes");
        match process.ready().await {
            (StatusCode::SERVICE_UNAVAILABLE, page) => break page["why"].clone(),
            (status, _) => assert_eq!(status, StatusCode::OK),
        }
    };
    assert!(why.is_string(), "{why}");

    process.unlimited();
    for n in [refused, refused + 1] {
        assert_eq!(process.post(&nth(n)).await, StatusCode::ACCEPTED);
        taken.insert(format!("989-26-TEST-{n:04}"));
    }
    assert_eq!(process.ready().await.0, StatusCode::OK);
    let said = process.end().await;
    assert!(said.iter().any(|line| line.contains("a post could not be stored (hint: is the disk full?")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("Testina")), "no value of a record");

    // Another daemon finds exactly what was taken, and carries it.
    world.clock.set_wall(Clock::system().now());
    world.stage.primero.come_up().await.unwrap();
    world.start().await;
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    let told = world.told_dtp();
    let delivered: BTreeSet<String> =
        told.iter().map(|told| told["progres_interventionnumber"].as_str().unwrap().to_owned()).collect();
    assert_eq!((delivered, told.len()), (taken.clone(), taken.len()));
    assert_eq!(world.stage.primero.case_count(), taken.len());
    world.end().await;
}
