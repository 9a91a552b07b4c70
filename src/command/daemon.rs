//! `referrald run`: the daemon in a process, with its signals, its log, and word to the service manager.

use std::{path::Path, time::Duration};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    activity::Log,
    clock::Clock,
    config::{Settings, process_environment},
    control::{
        Failure,
        client::{listener, start_failure},
    },
    daemon::Daemon,
    schedule::Ticker,
};

/// Runs until SIGTERM or SIGINT, then finishes what is under way. With SIGHUP it reads its configuration again.
pub async fn run(config: &Path) -> Result<(), Failure> {
    let settings = Settings::load(config, process_environment()).map_err(Failure::configuration)?;
    let asked_to_stop = asked_to_stop()?;
    let asked_to_reload = listen(SignalKind::hangup())?;
    let clock = Clock::system();
    let log = Log::new(&settings.programme, settings.environment, settings.activity_file.as_deref());
    let (ticker, ticks) = Ticker::start(clock.clone()).await.map_err(Failure::failed)?;
    let daemon = match Daemon::start(settings, clock.clone(), listener(Some(log)), ticks).await {
        Ok(daemon) => daemon,
        Err(error) => {
            ticker.shut_down().await;
            return Err(start_failure(&error));
        }
    };
    tracing::info!(inbox = %daemon.inbox, admin = %daemon.admin, "the daemon runs");
    tell(&[NotifyState::Ready]);
    let stop = CancellationToken::new();
    // A reload that is under way comes to its end first: it cannot be left half done.
    tokio::join!(
        async {
            asked_to_stop.await;
            stop.cancel();
        },
        stop.run_until_cancelled(reassure(&daemon, &clock)),
        reload(&daemon, config, asked_to_reload, &stop)
    );
    tell(&[NotifyState::Stopping]);
    tracing::info!("the daemon stops; what is under way is finished");
    daemon.stop().await;
    ticker.shut_down().await;
    Ok(())
}

/// Plays the sandbox; without `once` until SIGTERM or SIGINT.
#[cfg(feature = "sandbox")]
pub async fn sandbox(programme: &str, once: bool) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let out = std::sync::Arc::new(std::sync::Mutex::new(std::io::stdout()));
    let asked_to_stop = asked_to_stop()?;
    let play = crate::sandbox::play(programme, once, out, stop.clone());
    tokio::pin!(play);
    let played = tokio::select! {
        played = &mut play => played,
        () = asked_to_stop => {
            stop.cancel();
            play.await
        }
    };
    played.map_err(Failure::failed)
}

/// Ends with the first SIGTERM or SIGINT. From the call on, neither ends the process.
fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|_| Failure::failed("this process cannot listen to signals"))
}

/// Reads the configuration again with every SIGHUP, until told to stop. What speaks against it is told; then the old one goes on.
async fn reload(daemon: &Daemon, config: &Path, mut asked: Signal, stop: &CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(asked.recv()).await {
        let now = NotifyState::monotonic_usec_now().ok();
        tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
        let status = match daemon.reload(Settings::load(config, process_environment())).await {
            Ok(()) => "the configuration was read again at the last reload",
            Err(_) => "the configuration was refused at the last reload; the one from before goes on",
        };
        tracing::info!("{status}");
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }
}

/// Tells a watchdog that all is well, as long as the writer of the state answers: without it nothing else is worth anything.
/// A full disk is no reason: a restart would make no room.
async fn reassure(daemon: &Daemon, clock: &Clock) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| *within > Duration::ZERO) else {
        return std::future::pending().await;
    };
    loop {
        clock.sleep_until(clock.monotonic() + within / 3).await;
        if daemon.programme().spool.write(|_| Ok(())).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Without a service manager nobody listens, and that is no error.
fn tell(states: &[NotifyState<'_>]) {
    if sd_notify::notify(states).is_err() {
        tracing::debug!("the service manager could not be told");
    }
}
