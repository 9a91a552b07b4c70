//! Puts the rooms together, runs the loops, drains them.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    net::TcpSocket,
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    activity::{Activity, Event},
    admin,
    clock::Clock,
    config::{InboxTls, Settings},
    control::{self, Running},
    courier::{self, Progress},
    credentials::{self, ClientCertificate, Secret},
    dtp,
    inbox::{self, Inbox, Places},
    mapping::{self, Mapping},
    primero,
    programme::{self, Fields, Programme, Standing, approval::approval},
    referral::{System, Walk},
    spool::{self, Listener, Spool, seal::Sealer, upkeep::StoredBlock},
    upkeep::{self, Calendar, Ending},
    walks::{self, WalkError, Walked, Walks},
};

/// How many connections may wait to be let in; the kernel may allow fewer. A newcomer beyond them is not heard for a second or more.
const MOST_UNGREETED: u32 = 4096;

/// Why the daemon refuses to start: only what makes accepting unsafe.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The mapping.
    #[error("{0}")]
    Mapping(#[from] mapping::Problems),
    /// A secret file, a certificate.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// The state.
    #[error(transparent)]
    State(#[from] spool::OpenError),
    /// The state, once open.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// A client could not be made.
    #[error("{key}: {source}")]
    Client {
        /// The section of the configuration.
        key: &'static str,
        /// Why.
        source: primero::Unusable,
    },
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
    /// Whether configuration or mapping must be changed, rather than something outside.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Mapping(_) | Self::Credentials(_) | Self::Client { .. } => true,
            Self::State(_) | Self::Spool(_) | Self::Listen { .. } => false,
        }
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    /// What its loops share.
    pub programme: Arc<Programme>,
    /// Its walks.
    pub walks: Arc<Walks>,
    /// Where DTP posts.
    pub inbox: SocketAddr,
    /// Where the operator looks.
    pub admin: SocketAddr,
    progress: Arc<watch::Sender<Progress>>,
    endings: Vec<Ending>,
    calendar: Arc<Mutex<Calendar>>,
    stop: CancellationToken,
    courier_stop: CancellationToken,
    loops: JoinSet<()>,
    courier: tokio::task::JoinHandle<()>,
}

/// Puts a programme together: credentials, mapping, state, clients. Nothing runs yet and nothing was asked of anybody.
pub fn assemble(settings: Settings, clock: Clock, listener: Listener) -> Result<Programme, StartError> {
    let keys = credentials::state_keys(&settings.state.key_files)?;
    let mapping = Mapping::load(&settings.mapping_directory)?;
    let judged = approval(&settings, &mapping);
    if !judged.refused.is_empty() {
        return Err(mapping::Problems(judged.refused).into());
    }
    judged.warned.iter().for_each(|warned| tracing::warn!("{warned}"));
    credentials::refuse_sandbox(&settings)?;
    let certificate = ClientCertificate::of(&settings)?;
    let password = Secret::read(&settings.primero.password_file)?;
    let subscription_key = Secret::read(&settings.dtp.subscription_key_file)?;
    let primero_tls = match settings.primero.url.scheme() {
        "http" => None,
        _ => Some(credentials::tls_client_config(settings.primero.ca_file.as_deref(), None)?),
    };
    let dtp_tls = credentials::tls_client_config(settings.dtp.ca_file.as_deref(), Some(&certificate))?;

    let spool = Spool::open(&settings.state.directory, Sealer::new(&keys), clock.clone(), settings.state.max_size, listener)?;
    spool.count_days_in(settings.schedule.time_zone);
    let secret = |parts: &[&str]| spool.identity().digest("secret", parts.join("\n").as_bytes());
    let secrets = [
        secret(&[&settings.primero.user_name, password.reveal()]),
        secret(&[subscription_key.reveal(), &certificate.thumbprint]),
    ];
    let health = Programme::restored_health(&spool, &clock, &secrets)?;
    let gate = Arc::new(match Programme::password_refused(&health) {
        Some(next_probe) => primero::Gate::refused(clock.clone(), next_probe),
        None => primero::Gate::unproven(clock.clone()),
    });
    let client = |key| move |source| StartError::Client { key, source };
    let primero = primero::Client::new(&settings.primero, password.reveal(), primero_tls, clock.clone(), Arc::clone(&gate))
        .map_err(client("primero"))?;
    let thumbprint = settings.dtp.thumbprint_header.as_ref().map(|_| certificate.thumbprint.as_str());
    let dtp =
        dtp::Client::new(&settings.dtp, dtp_tls, subscription_key.reveal(), thumbprint, clock.clone()).map_err(client("dtp"))?;
    Ok(Programme {
        fields: Fields::of(&settings, &mapping),
        administrator: programme::administrator(&settings),
        standing: Standing::new(&settings, health),
        certificate_ends: certificate.not_after,
        settings,
        mapping,
        primero,
        gate,
        dtp,
        spool,
        clock,
        secrets,
    })
}

impl Daemon {
    /// Starts everything. `ticks` say when to look at the timetable.
    pub async fn start(
        settings: Settings,
        clock: Clock,
        listener: Listener,
        ticks: mpsc::Receiver<()>,
    ) -> Result<Self, StartError> {
        let tls = settings.inbox.tls.as_ref().map(|tls: &InboxTls| credentials::tls_server_config(tls)).transpose()?;
        let programme = Arc::new(assemble(settings, clock, listener)?);
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
        let (stop, courier_stop) = (CancellationToken::new(), CancellationToken::new());
        let progress = Arc::new(watch::Sender::default());
        let walks = Arc::new(Walks::default());
        let endings = endings(&programme);
        let calendar = Arc::default();
        let mut loops = JoinSet::new();
        let router = Inbox::new(Arc::clone(&programme), Arc::clone(&places)).router();
        loops.spawn(serve("inbox", inbox_listener, tls, places, router, stop.clone()));
        let router = admin::router(Arc::clone(&programme), Arc::clone(&walks));
        loops.spawn(serve("admin", admin_listener, None, Places::new(64), router, stop.clone()));
        loops.spawn(upkeep::run(Arc::clone(&programme), endings.clone(), Arc::clone(&calendar), stop.clone()));
        loops.spawn(walks::run(Arc::clone(&programme), Arc::clone(&walks), ticks, stop.clone()));
        loops.spawn(remember_password_probes(Arc::clone(&programme), stop.clone()));
        match control::server::listen(&socket(&programme.settings)) {
            Ok(socket) => {
                let running = Running {
                    programme: Arc::clone(&programme),
                    walks: Arc::clone(&walks),
                    progress: Arc::clone(&progress),
                    is_daemon: true,
                };
                loops.spawn(control::server::serve(socket, running, stop.clone()));
            }
            // Accepting is safe without it, so it does not keep the daemon from starting.
            Err(error) => tracing::error!(
                kind = %error.kind(),
                "the control socket cannot be opened; the command line cannot reach this daemon (hint: is state.directory longer \
                 than 90 characters?)"
            ),
        }
        let courier = tokio::spawn(courier::run(Arc::clone(&programme), courier_stop.clone(), Arc::clone(&progress)));

        let line = Activity {
            mapping: Some(programme.mapping.version().to_owned()),
            agreement: Some(programme.settings.agreement.reference.clone()),
            ..Activity::new(Event::Started)
        };
        programme.spool.write(move |tx| tx.tell(line)).await?;
        Ok(Self { programme, walks, inbox, admin, progress, endings, calendar, stop, courier_stop, loops, courier })
    }

    /// Waits until nothing is under way and nothing can be attempted now.
    pub async fn idle(&self) {
        courier::idle(&self.programme, &self.progress).await;
    }

    /// One walk now.
    pub async fn walk(&self, walk: Walk) -> Result<Walked, WalkError> {
        self.walks.run(&self.programme, walk).await
    }

    /// One turn of upkeep now.
    pub async fn upkeep(&self) -> Result<(), spool::Error> {
        upkeep::turn(&self.programme, &self.endings, &mut *self.calendar.lock().await).await
    }

    /// Takes no more, finishes the attempts under way, and closes the state. It does not wait for ever: what cannot be finished,
    /// because the state takes no ending, is named in the log and looked at again at the next start.
    pub async fn stop(self) {
        let Self { programme, stop, courier_stop, mut loops, courier, .. } = self;
        stop.cancel();
        courier_stop.cancel();
        while loops.join_next().await.is_some() {}
        // A courier that panicked has been reported already.
        let _ = courier.await;
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
        let Self { mut programme, stop, mut loops, courier, .. } = self;
        courier.abort();
        // An aborted task ends with an error; that is what was asked for.
        let _ = courier.await;
        loops.shutdown().await;
        stop.cancel();
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
    tls: Option<rustls::ServerConfig>,
    places: Arc<Places>,
    router: axum::Router,
    stop: CancellationToken,
) {
    if let Err(error) = inbox::serve(listener, tls, places, router, stop).await {
        tracing::error!(%error, "the {name} listener has ended");
    }
}

/// Every probe of the password is stored before another process could make it again.
pub(crate) async fn remember_password_probes(programme: Arc<Programme>, stop: CancellationToken) {
    let mut standing = programme.gate.subscribe();
    loop {
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let now = *standing.borrow_and_update();
        let primero::Standing::Refused { next_probe } = now else { continue };
        let wall = programme.clock.now();
        let block = StoredBlock {
            addressee: System::Primero,
            reason: crate::reason::Reason::Unauthorized,
            since: wall,
            next_probe: wall + next_probe.saturating_sub(programme.clock.monotonic()),
            secret: programme.secrets[System::Primero as usize],
        };
        if let Err(error) = programme.spool.write(move |tx| tx.block(&block)).await {
            tracing::error!(%error, "could not store when the password is tried next");
        }
    }
}

/// What ends some day: agreement, client certificate, inbox keys.
fn endings(programme: &Programme) -> Vec<Ending> {
    let settings = &programme.settings;
    let keys = settings.inbox.keys.iter().filter_map(|key| key.expires).collect::<BTreeSet<_>>();
    [
        Ending { event: Event::AgreementExpiring, until: settings.agreement.valid_until },
        Ending { event: Event::CertificateExpiring, until: programme.certificate_ends },
    ]
    .into_iter()
    .chain(keys.into_iter().map(|until| Ending { event: Event::KeyExpiring, until }))
    .collect()
}

/// Where the socket of a running daemon lies.
#[must_use]
pub fn socket(settings: &Settings) -> PathBuf {
    settings.state.directory.join("control.sock")
}
