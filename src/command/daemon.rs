//! `referrald run`: the daemon in a process, with its signals, its log, and word to the service manager.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    activity::Log,
    clock::Clock,
    config::Settings,
    control::{
        Failure,
        client::{listener, start_failure},
    },
    daemon::Daemon,
    schedule::Ticker,
};

/// Runs until SIGTERM or SIGINT, then finishes what is under way.
pub async fn run(settings: Settings) -> Result<(), Failure> {
    let asked_to_stop = asked_to_stop()?;
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
    tell(NotifyState::Ready);
    tokio::select! {
        () = asked_to_stop => {}
        () = reassure(&daemon, &clock) => {}
    }
    tell(NotifyState::Stopping);
    tracing::info!("the daemon stops; what is under way is finished");
    daemon.stop().await;
    ticker.shut_down().await;
    Ok(())
}

/// Plays the sandbox; without `once` until SIGTERM or SIGINT.
#[cfg(feature = "sandbox")]
pub async fn sandbox(programme: &str, once: bool) -> Result<(), Failure> {
    let stop = tokio_util::sync::CancellationToken::new();
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
    let listen = |kind| signal(kind).map_err(|_| Failure::failed("this process cannot listen to signals"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells a watchdog that all is well, as long as the writer of the state answers: without it nothing else is worth anything.
/// A full disk is no reason: a restart would make no room.
async fn reassure(daemon: &Daemon, clock: &Clock) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| *within > Duration::ZERO) else {
        return std::future::pending().await;
    };
    loop {
        clock.sleep_until(clock.monotonic() + within / 3).await;
        if daemon.programme.spool.write(|_| Ok(())).await.is_ok() {
            tell(NotifyState::Watchdog);
        }
    }
}

/// Without a service manager nobody listens, and that is no error.
fn tell(state: NotifyState<'_>) {
    if sd_notify::notify(&[state]).is_err() {
        tracing::debug!("the service manager could not be told");
    }
}
