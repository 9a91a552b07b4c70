//! Puts the rooms together, runs the loops, drains them, and lets other settings take over while the doors stay open.
//!
//! What lives as long as the process stands in [`Daemon`]: listeners, state, control socket. The loops around one programme are
//! a generation, which is exchanged as a whole.

mod assembly;
mod generation;

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    net::TcpSocket,
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::assembly::{Objection, Objections};
pub(crate) use self::generation::remember_password_probes;
use self::{
    assembly::{Ground, judge},
    generation::{Generation, Lasting},
};
use crate::{
    activity::{Activity, Event},
    admin,
    clock::Clock,
    config::{Problems, Settings},
    control::{self, Running},
    courier::{self, Attempts},
    inbox::{self, Inbox, Places, Tls},
    programme::{InForce, Programme},
    referral::Walk,
    spool::{self, Listener, keys::KeysRefused, seal::Sealer},
    upkeep,
    walks::{Times, WalkError, Walked, Walks},
};

/// How many connections may wait to be let in; the kernel may allow fewer. A newcomer beyond them is not heard for a second or more.
const MOST_UNGREETED: u32 = 4096;

/// Why the daemon refuses to start: only what makes accepting unsafe.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Configuration, credentials, mapping: all that speaks against them.
    #[error(transparent)]
    Unfit(#[from] Objections),
    /// The state.
    #[error(transparent)]
    State(#[from] spool::OpenError),
    /// The state, once open.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// An address.
    #[error("{key} = \"{address}\": {}", cannot_listen(source))]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether configuration, credentials or mapping must be changed, rather than something about the state or the machine.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Unfit(_) => true,
            Self::State(_) | Self::Spool(_) | Self::Listen { .. } => false,
        }
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its walks.
    pub walks: Arc<Walks>,
    /// Where DTP posts.
    pub inbox: SocketAddr,
    /// Where the operator looks.
    pub admin: SocketAddr,
    in_force: InForce,
    lasting: Lasting,
    places: Arc<Places>,
    inbox_tls: Option<Tls>,
    doors: JoinSet<()>,
    generation: Mutex<Generation>,
}

/// Puts a programme together: credentials, mapping, state, clients. Nothing runs yet and nothing was asked of anybody.
pub fn assemble(settings: Settings, clock: Clock, listener: Listener) -> Result<Programme, StartError> {
    judge(settings)?.first_programme(clock, listener)
}

impl Daemon {
    /// Starts everything. `ticks` say when to look at the timetable.
    pub async fn start(
        settings: Settings,
        clock: Clock,
        listener: Listener,
        ticks: mpsc::Receiver<()>,
    ) -> Result<Self, StartError> {
        let mut parts = judge(settings)?;
        let inbox_tls = parts.inbox_tls.take().map(Tls::new);
        let targets = std::mem::take(&mut parts.targets);
        let in_force = InForce::new(parts.first_programme(clock, listener)?);
        let programme = in_force.now();
        let settings = &programme.settings;
        let inbox_listener = listen("inbox.listen", settings.inbox.listen)?;
        let admin_listener = listen("admin.listen", settings.admin.listen)?;
        let address = |key, listener: &TcpListener, address| {
            listener.local_addr().map_err(|source| StartError::Listen { key, address, source })
        };
        let inbox = address("inbox.listen", &inbox_listener, settings.inbox.listen)?;
        let admin = address("admin.listen", &admin_listener, settings.admin.listen)?;
        let places = Places::new(settings.inbox.max_connections);

        programme.heed_certificate().await;
        let lasting = Lasting::default();
        lasting.alerts.put(targets);
        let walks = Arc::clone(&lasting.walks);
        let end = &lasting.end;
        let mut doors = JoinSet::new();
        let router = Inbox::new(in_force.clone(), Arc::clone(&places)).router();
        doors.spawn(serve("inbox", inbox_listener, inbox_tls.clone(), Arc::clone(&places), router, end.clone()));
        doors.spawn(serve(
            "admin",
            admin_listener,
            None,
            Places::new(64),
            admin::router(in_force.clone(), Arc::clone(&walks)),
            end.clone(),
        ));
        match control::server::listen(&socket(settings)) {
            Ok(socket) => {
                let (in_force, walks, progress) = (in_force.clone(), Arc::clone(&walks), Arc::clone(&lasting.progress));
                let running = move || Running {
                    programme: in_force.now(),
                    walks: Arc::clone(&walks),
                    progress: Arc::clone(&progress),
                    is_daemon: true,
                };
                doors.spawn(control::server::serve(socket, running, end.clone()));
            }
            // Accepting is safe without it, so it does not keep the daemon from starting.
            Err(error) => tracing::error!(
                kind = %error.kind(),
                "the control socket cannot be opened; the command line cannot reach this daemon (hint: is state.directory longer \
                 than 90 characters?)"
            ),
        }
        // Before anything is attempted: an attempt may block a system anew, and that block must stand.
        let line = in_force_line(Event::Started, &programme);
        let put_right = programme.put_right_since()?;
        programme
            .spool
            .write(move |tx| {
                tx.tell(line)?;
                tx.begin_anew(&put_right)
            })
            .await?;
        let generation = Generation::begin(&programme, Attempts::default(), Times::new(ticks), &lasting);
        drop(programme);
        let generation = Mutex::new(generation);
        Ok(Self { walks, inbox, admin, in_force, lasting, places, inbox_tls, doors, generation })
    }

    /// The programme in force.
    #[must_use]
    pub fn programme(&self) -> Arc<Programme> {
        self.in_force.now()
    }

    /// Waits until nothing is under way and nothing can be attempted now.
    pub async fn idle(&self) {
        courier::idle(&self.programme(), &self.lasting.progress).await;
    }

    /// One walk now.
    pub async fn walk(&self, walk: Walk) -> Result<Walked, WalkError> {
        self.walks.run(&self.programme(), walk).await
    }

    /// One turn of upkeep now.
    pub async fn upkeep(&self) -> Result<(), spool::Error> {
        upkeep::turn(&self.programme(), &mut *self.lasting.calendar.lock().await).await
    }

    /// Everybody is told what they must hear now.
    pub async fn tell(&self) -> Result<(), spool::Error> {
        self.lasting.alerts.turn(&self.programme()).await
    }

    /// Lets other settings take over, if nothing speaks against them; else everything goes on as before, and every reason is told.
    /// Posts are taken all the while. An attempt under way ends with the programme with which it began.
    pub async fn reload(&self, settings: Result<Settings, Problems>) -> Result<(), Objections> {
        let mut generation = self.generation.lock().await;
        let reloaded = match settings {
            Ok(settings) => self.take_over(settings, &mut generation).await,
            Err(problems) => Err(problems.into()),
        };
        if let Err(objections) = &reloaded {
            for objection in &objections.0 {
                tracing::error!("the new configuration is refused, the old one goes on: {objection}");
            }
            let count = Some(objections.0.len() as u64);
            let line = Activity { count, ..Activity::new(Event::ConfigurationRejected) };
            if let Err(error) = self.programme().spool.write(move |tx| tx.tell(line)).await {
                tracing::error!(%error, "the state did not take that a configuration was refused");
            }
        }
        reloaded
    }

    async fn take_over(&self, settings: Settings, generation: &mut Generation) -> Result<(), Objections> {
        let old = self.programme();
        let spool = &old.spool;
        let mut objections = self.fixed(&old.settings, &settings);
        let mut parts = match judge(settings) {
            Ok(parts) => parts,
            Err(Objections(more)) => {
                objections.extend(more);
                return Err(Objections(objections));
            }
        };
        let sealer = Sealer::new(&parts.keys);
        let missing = spool.missing_key(&sealer).map_err(KeysRefused::from);
        match missing.and_then(|missing| missing.map_or(Ok(()), |name| Err(KeysRefused::Missing(name)))) {
            Ok(()) => {}
            Err(refused) => objections.push(Objection::State(refused.to_string())),
        }
        let (inbox_tls, targets) = (parts.inbox_tls.take(), std::mem::take(&mut parts.targets));
        let same_password =
            parts.secrets(spool).primero == old.secrets.primero && parts.settings.primero.url == old.settings.primero.url;
        let ground = Ground {
            spool: spool.clone(),
            clock: old.clock.clone(),
            standing: Arc::clone(&old.standing),
            gate: same_password.then(|| Arc::clone(&old.gate)),
        };
        let new = match parts.programme(ground) {
            Ok(new) if objections.is_empty() => Arc::new(new),
            Ok(_) => return Err(Objections(objections)),
            Err(Objections(more)) => {
                objections.extend(more);
                return Err(Objections(objections));
            }
        };
        let line = in_force_line(Event::ConfigurationReloaded, &new);
        let changed: Vec<_> = new.changed_secrets(&old).collect();
        let stored = spool.change_keys(sealer, move |tx| {
            tx.begin_anew(&changed)?;
            tx.tell(line)
        });
        stored.await.map_err(|refused| Objections(vec![Objection::State(refused.to_string())]))?;
        spool.allow_size(new.settings.state.max_size);
        self.places.allow(new.settings.inbox.max_connections);
        if let (Some(door), Some(new)) = (&self.inbox_tls, inbox_tls) {
            door.exchange(new);
        }

        let (attempts, times) = generation.end().await;
        new.take_over(&old);
        self.in_force.put(Arc::clone(&new));
        self.lasting.alerts.put(targets);
        *generation = Generation::begin(&new, attempts, times, &self.lasting);
        new.heed_certificate().await;
        new.spool.shared().ring();
        Ok(())
    }

    /// What has changed although it cannot.
    fn fixed(&self, old: &Settings, new: &Settings) -> Vec<Objection> {
        let listens = |tls: &Settings| tls.inbox.tls.is_some();
        [
            ("programme", old.programme != new.programme),
            ("environment", old.environment != new.environment),
            ("inbox.listen", old.inbox.listen != new.inbox.listen),
            ("inbox.tls", listens(old) != listens(new)),
            ("admin.listen", old.admin.listen != new.admin.listen),
            ("state.directory", old.state.directory != new.state.directory),
            ("activity.file", old.activity_file != new.activity_file),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(Objection::Fixed(key)))
        .collect()
    }

    /// Takes no more, finishes the attempts under way, and closes the state. It does not wait for ever: what cannot be finished,
    /// because the state takes no ending, is named in the log and looked at again at the next start.
    pub async fn stop(self) {
        let Self { in_force, lasting, mut doors, generation, .. } = self;
        let programme = in_force.now();
        drop(in_force);
        lasting.end.cancel();
        let finished = async {
            let (attempts, times) = generation.into_inner().end().await;
            drop(times);
            courier::finish(&programme, attempts).await;
            lasting.walks.ended().await;
        };
        let closed = async { while doors.join_next().await.is_some() {} };
        tokio::join!(finished, closed);
        if let Err(error) = programme.spool.write(|tx| tx.tell(Activity::new(Event::ShutDown))).await {
            tracing::error!(%error, "the state did not take the last line");
        }
        if let Some(programme) = Arc::into_inner(programme) {
            programme.spool.close().await;
        }
    }
}

/// Ends a daemon as a crash does, for tests.
#[cfg(feature = "sandbox")]
impl Daemon {
    /// Breaks everything off where it stands, and returns when the state is unlocked.
    pub async fn abandon(self) {
        let Self { in_force, lasting, mut doors, generation, .. } = self;
        let mut programme = in_force.now();
        drop(in_force);
        generation.into_inner().abandon().await;
        doors.shutdown().await;
        lasting.end.cancel();
        // Connections and walks under way hold the programme until they have seen that.
        loop {
            match Arc::try_unwrap(programme) {
                Ok(programme) => return programme.spool.close().await,
                Err(shared) => programme = shared,
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What is said of a programme when it comes into force.
fn in_force_line(event: Event, programme: &Programme) -> Activity {
    Activity {
        mapping: Some(programme.mapping.version().to_owned()),
        agreement: Some(programme.settings.agreement.reference.clone()),
        ..Activity::new(event)
    }
}

fn cannot_listen(source: &std::io::Error) -> String {
    let (why, hint) = match source.kind() {
        ErrorKind::AddrInUse => ("another program listens there", "`ss -ltnp` shows which; stop it, or take another port"),
        ErrorKind::AddrNotAvailable => ("this machine has no such address", "`ip address` shows those it has"),
        ErrorKind::PermissionDenied => ("this user may not listen there", "take a port from 1024 on"),
        kind => return format!("{kind} (hint: look at the address)"),
    };
    format!("{why} (hint: {hint})")
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { key, address, source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(MOST_UNGREETED).and_then(tokio::net::TcpListener::into_std).map_err(failed)
}

async fn serve(
    name: &'static str,
    listener: TcpListener,
    tls: Option<Tls>,
    places: Arc<Places>,
    router: axum::Router,
    stop: CancellationToken,
) {
    if let Err(error) = inbox::serve(listener, tls, places, router, stop).await {
        tracing::error!(%error, "the {name} listener has ended");
    }
}

/// Where the socket of a running daemon lies.
#[must_use]
pub fn socket(settings: &Settings) -> PathBuf {
    settings.state.directory.join("control.sock")
}
