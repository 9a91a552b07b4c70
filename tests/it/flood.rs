//! A flood of strangers against the inbox of the real daemon: thousands of connections, large bodies, half of them slow.
//!
//! By default 1,000 connections against places for 128. `REFERRALD_PROOF=full` opens 10,000 against the default of 1,024, with 64
//! posts of the largest size at the same time, and holds the daemon to its promise of time as well: a build with optimisations,
//! named by `REFERRALD_PROOF_BINARY`, keeps it. Figures are printed.

#![expect(clippy::disallowed_methods, reason = "how long another process takes is measured")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use referrald::sandbox::stage::INBOX_KEY;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    sync::oneshot,
};

use crate::{
    play::{Play, breathe},
    world::intervention,
};

const MIB: usize = 1024 * 1024;
/// The largest that the daemon may grow, in KiB.
const MOST_MEMORY: u64 = 128 * 1024;
/// In this time 99 of 100 posts with a right key are answered.
const SOON: Duration = Duration::from_secs(1);

/// One stranger: opens a connection and keeps it as long as he can. Half of them are slow, and half of those never finish a head.
async fn stranger(inbox: SocketAddr, n: usize, opened: Arc<AtomicUsize>) -> Option<()> {
    // From another address than DTP's.
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind("127.0.0.2:0".parse().ok()?).ok()?;
    let mut connection = socket.connect(inbox).await.ok()?;
    opened.fetch_add(1, Ordering::Relaxed);
    let head = format!("POST /inbox HTTP/1.1\r\nhost: inbox\r\nx-api-key: wrong\r\ncontent-length: {MIB}\r\n");
    connection.write_all(head.as_bytes()).await.ok()?;
    match n % 4 {
        0 => loop {
            connection.write_all(b"x").await.ok()?;
            breathe(200).await;
        },
        1 => {
            connection.write_all(b"\r\n").await.ok()?;
            loop {
                connection.write_all(b"x").await.ok()?;
                breathe(200).await;
            }
        }
        _ => {
            connection.write_all(b"\r\n").await.ok()?;
            let chunk = vec![b'x'; 16 * 1024];
            for _ in 0..MIB / chunk.len() {
                connection.write_all(&chunk).await.ok()?;
            }
            connection.read_to_end(&mut Vec::new()).await.ok().map(drop)
        }
    }
}

fn post(n: usize, note_bytes: usize) -> Value {
    let change = json!({
        "individuals.progres_id": format!("989-TEST{n:06}"),
        "progres_interventiondescription": format!("<p>{}</p>", "invented ".repeat(note_bytes / 9)),
    });
    json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(&format!("989-26-TEST-{n:06}"), change)] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_neither_fills_the_memory_nor_keeps_out_a_right_key() {
    let full = std::env::var("REFERRALD_PROOF").is_ok_and(|proof| proof == "full");
    let (connections, places, posts, large_posts) = if full { (10_000, 1_024, 400, 64) } else { (1_000, 128, 100, 4) };
    let (_, most_files) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Both ends of the connections are files of this process or of one that it starts.
    setrlimit(Resource::RLIMIT_NOFILE, most_files, most_files).unwrap();
    let mut play =
        Play::set(|text| text.replace("[[inbox.keys]]", &format!("max_connections = {places}\n\n[[inbox.keys]]"))).await;
    // What is taken waits: here it is about the inbox.
    play.stage.primero.go_down().await;
    play.start().await;
    let inbox = play.inbox();

    // On a thread of their own: they may keep each other waiting, but not DTP.
    let opened = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = oneshot::channel::<()>();
    let strangers = std::thread::spawn({
        let opened = Arc::clone(&opened);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut strangers = tokio::task::JoinSet::new();
                for n in 0..connections {
                    strangers.spawn(stranger(inbox, n, Arc::clone(&opened)));
                }
                let _ = stopped.await;
            });
        }
    });
    // DTP in between: half of its posts over one connection, half over a new one each, and some as large as may be.
    let url = format!("http://{inbox}/inbox");
    let kept = reqwest::Client::new();
    let mut took = Vec::new();
    let large = tokio::spawn({
        let url = url.clone();
        async move {
            let posts = (0..large_posts).map(|n| {
                let body = post(900_000 + n, MIB - 4096).to_string();
                let request = reqwest::Client::new().post(&url).header("x-api-key", INBOX_KEY);
                tokio::spawn(request.header("content-type", "application/json").body(body).send())
            });
            let posts: Vec<_> = posts.collect();
            for post in posts {
                assert_eq!(post.await.unwrap().expect("it is answered").status(), StatusCode::ACCEPTED);
            }
        }
    });
    for n in 0..posts {
        let client = if n % 2 == 0 { kept.clone() } else { reqwest::Client::new() };
        let request = client.post(&url).header("x-api-key", INBOX_KEY).header("content-type", "application/json");
        let began = Instant::now();
        let answer = request.body(post(n, 2600).to_string()).send().await.expect("it is answered");
        took.push(began.elapsed());
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
    large.await.unwrap();
    took.sort();
    let (median, slow) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let memory = play.peak_memory();
    println!(
        "{} strangers for {places} places; {posts} posts with a right key: p50 {median:?}, p99 {slow:?}; peak memory {:.1} MiB",
        opened.load(Ordering::Relaxed),
        f64::from(u32::try_from(memory).unwrap()) / 1024.0
    );
    assert!(memory <= MOST_MEMORY, "{memory} KiB");
    assert!(!full || slow <= SOON, "{slow:?}");
    assert!(!play.is_dead());
    drop(stop);
    strangers.join().unwrap();
}
