//! Asks the daemon if one runs; otherwise opens the state and does the same itself.

use std::{io, path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use nix::unistd::Uid;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use super::{Answer, Asked, Exit, Failure, Office, Request, Row, Running, execute, server::account};
use crate::{
    activity::{Activity, Line, Log},
    clock::Clock,
    config::Settings,
    courier::{self, Attempts},
    credentials,
    daemon::{self, StartError},
    spool::{self, OpenError, Spool, seal::Sealer},
    walks::Walks,
};

/// How many answers wait to be shown.
const ANSWERS: usize = 64;

/// Asks, and hands on each row as it comes; returns what there is to say at the end.
/// `show` says whether it wants more.
pub async fn ask(
    settings: &Settings,
    clock: Clock,
    request: Request,
    show: &mut (dyn FnMut(Row) -> bool + Send),
) -> Result<Option<String>, Failure> {
    let socket = daemon::socket(settings);
    match UnixStream::connect(&socket).await {
        Ok(stream) => {
            let asked = Asked { programme: settings.programme.clone(), request };
            ask_daemon(stream, &asked, show).await
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            do_it_ourselves(settings, clock, request, show).await
        }
        Err(error) => Err(Failure::failed(format!(
            "{}: {} (hint: run this as the account that runs referrald, or as root)",
            socket.display(),
            error.kind()
        ))),
    }
}

async fn ask_daemon(
    mut stream: UnixStream,
    asked: &Asked,
    show: &mut (dyn FnMut(Row) -> bool + Send),
) -> Result<Option<String>, Failure> {
    let broken = |_: io::Error| Failure::failed("the daemon broke off before it had answered (hint: look at its log)");
    let mut line = serde_json::to_vec(asked).map_err(Failure::failed)?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(broken)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.map_err(broken)? {
        let answer = serde_json::from_str(&line).map_err(|_| {
            Failure::failed("the daemon's answer is not understood (hint: are command line and daemon of one version?)")
        })?;
        match answer {
            Answer::Row(row) => {
                if !show(row) {
                    return Ok(None);
                }
            }
            Answer::Done(said) => return Ok(said),
            Answer::Failed(failure) => return Err(failure),
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}

/// No daemon runs: the state is opened here, with a whole programme around it where Primero is needed.
async fn do_it_ourselves(
    settings: &Settings,
    clock: Clock,
    request: Request,
    show: &mut (dyn FnMut(Row) -> bool + Send),
) -> Result<Option<String>, Failure> {
    if request.needs_primero() {
        let programme = daemon::assemble(settings.clone(), clock, log(settings)).map_err(|error| refused(settings, error))?;
        let programme = Arc::new(programme);
        let progress = Arc::new(watch::Sender::default());
        let stop = CancellationToken::new();
        let probes = tokio::spawn(daemon::remember_password_probes(Arc::clone(&programme), stop.clone()));
        programme.heed_certificate().await;
        let attempts = Attempts::default();
        let courier = tokio::spawn(courier::run(Arc::clone(&programme), attempts, stop.clone(), Arc::clone(&progress)));
        let running =
            Running { programme: Arc::clone(&programme), walks: Arc::new(Walks::default()), progress, is_daemon: false };
        let ended = execute_here(Office::of(running), request, show).await;
        stop.cancel();
        // One that panicked has been reported already.
        if let Ok(attempts) = courier.await {
            courier::finish(&programme, attempts).await;
        }
        let _ = probes.await;
        if let Some(programme) = Arc::into_inner(programme) {
            programme.spool.close().await;
        }
        ended
    } else {
        let keys = credentials::state_keys(&settings.state.key_files).map_err(Failure::outside)?;
        let state = &settings.state;
        let spool = Spool::open(&state.directory, Sealer::new(&keys), clock.clone(), state.max_size, log(settings))
            .map_err(|error| refused(settings, error.into()))?;
        spool.count_days_in(settings.schedule.time_zone);
        let office = Office { settings: settings.clone(), spool: spool.clone(), clock, running: None };
        let ended = execute_here(office, request, show).await;
        spool.close().await;
        ended
    }
}

async fn execute_here(
    office: Office,
    request: Request,
    show: &mut (dyn FnMut(Row) -> bool + Send),
) -> Result<Option<String>, Failure> {
    let (answers, mut next) = mpsc::channel(ANSWERS);
    let account = account(Uid::current());
    let work = async {
        let ended = execute(&office, request, &account, &answers).await;
        drop(answers);
        ended
    };
    let shown = async {
        while let Some(answer) = next.recv().await {
            if let Answer::Row(row) = answer
                && !show(row)
            {
                break;
            }
        }
        next.close();
    };
    let (ended, ()) = tokio::join!(work, shown);
    ended
}

/// Lines go to the activity file, if there is one. Standard output belongs to the answer; the state keeps every line anyway.
#[must_use]
pub fn log(settings: &Settings) -> spool::Listener {
    let file = settings.activity_file.as_deref();
    listener(file.map(|file| Log::new(&settings.programme, settings.environment, Some(file))))
}

/// Writes what the state tells into the activity log.
#[must_use]
pub fn listener(log: Option<Log>) -> spool::Listener {
    Box::new(move |told: &[(DateTime<Utc>, Activity)]| {
        if let Some(log) = &log {
            let lines: Vec<Line> = told.iter().map(|(time, activity)| Line { time: *time, activity: activity.clone() }).collect();
            log.write(&lines);
        }
    })
}

fn refused(settings: &Settings, error: StartError) -> Failure {
    match error {
        StartError::State(OpenError::Locked(directory)) => Failure::failed(locked(&directory, &daemon::socket(settings))),
        other => start_failure(&other),
    }
}

fn locked(directory: &Path, socket: &Path) -> String {
    format!(
        "{}: another process is using this state, but nobody answers at {} (hint: a daemon that is just starting or stopping \
         answers soon; try again)",
        directory.display(),
        socket.display()
    )
}

/// Why a programme cannot be put together, with its exit code.
#[must_use]
pub fn start_failure(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Unfit(objections) if objections.are_configuration() => Exit::Configuration,
        StartError::Unfit(_) | StartError::State(OpenError::KeyMissing(_)) => Exit::Outside,
        StartError::State(_) | StartError::Spool(_) | StartError::Listen { .. } => Exit::Failed,
    };
    Failure { exit, said: error.to_string() }
}
