//! Puts a programme together: reads every file that a configuration names, judges all of it, and makes the clients.
//!
//! Nothing runs yet, and nothing was asked of anybody. A start and a reload are judged by the same functions, all reasons at once.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, ServerConfig};

use super::StartError;
use crate::{
    alerts::{self, Targets},
    clock::Clock,
    config::{self, Settings},
    credentials::{self, Certificates, ClientCertificate, InboxKeys, Secret, StateKey},
    dtp,
    mapping::{self, Mapping},
    primero,
    programme::{self, Fields, Learnt, Programme, Secrets, Standing, approval::approval},
    spool::{Listener, Spool, seal::Sealer},
};

/// One thing that speaks against a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Objection {
    /// The configuration.
    #[error("{0}")]
    Settings(String),
    /// The mapping.
    #[error("{0}")]
    Mapping(String),
    /// A secret file, a certificate.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// A client could not be made.
    #[error("{key}: {source}")]
    Client {
        /// The section of the configuration.
        key: &'static str,
        /// Why.
        source: primero::Unusable,
    },
    /// It cannot change while it is in use.
    #[error("`{0}` cannot change while referrald runs (hint: restart it, or put the old value back)")]
    Fixed(&'static str),
    /// The state does not go with it.
    #[error("{0}")]
    State(String),
}

/// Everything that speaks against a configuration. Never empty.
#[derive(Debug)]
pub struct Objections(pub Vec<Objection>);

impl fmt::Display for Objections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&said.join("\n"))
    }
}

impl std::error::Error for Objections {}

impl From<alerts::Unfit> for Objection {
    fn from(unfit: alerts::Unfit) -> Self {
        match unfit {
            alerts::Unfit::Credentials(error) => Self::Credentials(error),
            alerts::Unfit::Client { key, source } => Self::Client { key, source },
        }
    }
}

impl From<config::Problems> for Objections {
    fn from(problems: config::Problems) -> Self {
        Self(problems.0.into_iter().map(Objection::Settings).collect())
    }
}

impl Objections {
    /// Whether configuration or mapping must be changed, rather than something outside.
    #[must_use]
    pub fn are_configuration(&self) -> bool {
        self.0.iter().any(|objection| match objection {
            Objection::Settings(_) | Objection::Mapping(_) | Objection::Client { .. } | Objection::Fixed(_) => true,
            Objection::Credentials(_) | Objection::State(_) => false,
        })
    }
}

/// Everything that a configuration names, read and judged.
pub(super) struct Parts {
    pub settings: Settings,
    pub keys: Vec<StateKey>,
    pub inbox_tls: Option<ServerConfig>,
    pub targets: Targets,
    mapping: Mapping,
    certificates: Certificates,
    password: Secret,
    subscription_key: Secret,
    primero_tls: Option<ClientConfig>,
    dtp_tls: ClientConfig,
    dtp_tls_next: Option<ClientConfig>,
}

/// Reads and judges everything that a configuration names.
pub(super) fn judge(settings: Settings) -> Result<Parts, Objections> {
    let mut objections = Vec::new();
    let keys = kept(credentials::state_keys(&settings.state.key_files), &mut objections);
    let mapping = Mapping::load(&settings.mapping_directory);
    let mapping =
        mapping.map_err(|mapping::Problems(problems)| objections.extend(problems.into_iter().map(Objection::Mapping))).ok();
    if let Some(mapping) = &mapping {
        let judged = approval(&settings, mapping);
        judged.warned.iter().for_each(|warned| tracing::warn!("{warned}"));
        objections.extend(judged.refused.into_iter().map(Objection::Mapping));
    }
    kept(credentials::refuse_sandbox(&settings), &mut objections);
    let (first, next) = Certificates::of(&settings);
    let first = kept(first, &mut objections);
    let next = kept(next.transpose(), &mut objections);
    let password = kept(Secret::read(&settings.primero.password_file), &mut objections);
    let subscription_key = kept(Secret::read(&settings.dtp.subscription_key_file), &mut objections);
    let primero_tls = match settings.primero.url.scheme() {
        "http" => Some(None),
        _ => kept(credentials::tls_client_config(settings.primero.ca_file.as_deref(), None).map(Some), &mut objections),
    };
    let dtp_tls = |certificate| credentials::tls_client_config(settings.dtp.ca_file.as_deref(), Some(certificate));
    let dtp_tls_next = next.iter().flatten().next().map(dtp_tls).transpose();
    let dtp_tls_next = kept(dtp_tls_next, &mut objections);
    let dtp_tls = kept(first.as_ref().map(dtp_tls).transpose(), &mut objections).flatten();
    let inbox_tls = kept(settings.inbox.tls.as_ref().map(credentials::tls_server_config).transpose(), &mut objections);
    let targets = kept(Targets::of(&settings), &mut objections);
    let from = settings.dtp.next.as_ref().map(|next| next.from);
    let whole = || {
        Some(Parts {
            settings,
            keys: keys?,
            inbox_tls: inbox_tls?,
            targets: targets?,
            mapping: mapping?,
            certificates: Certificates { first: first?, next: next?.and_then(|next| Some((from?, next))) },
            password: password?,
            subscription_key: subscription_key?,
            primero_tls: primero_tls?,
            dtp_tls: dtp_tls?,
            dtp_tls_next: dtp_tls_next?,
        })
    };
    // A part is missing only if something was said about it, so the two never disagree.
    match whole() {
        Some(parts) if objections.is_empty() => Ok(parts),
        _ => Err(Objections(objections)),
    }
}

fn kept<T, E: Into<Objection>>(result: Result<T, E>, objections: &mut Vec<Objection>) -> Option<T> {
    result.map_err(|error| objections.push(error.into())).ok()
}

/// What a programme is put around: the state, the time, and what is known of the two systems.
#[derive(Clone)]
pub(super) struct Ground {
    pub spool: Spool,
    pub clock: Clock,
    pub standing: Arc<Standing>,
    /// The care for Primero's password, if this is still the same password of the same account.
    pub gate: Option<Arc<primero::Gate>>,
}

impl Parts {
    /// Keyed hashes of the secrets.
    pub fn secrets(&self, spool: &Spool) -> Secrets {
        let secret = |parts: &[&str]| spool.identity().digest("secret", parts.join("\n").as_bytes());
        let dtp = |certificate: &ClientCertificate| secret(&[self.subscription_key.reveal(), &certificate.thumbprint]);
        Secrets {
            primero: secret(&[&self.settings.primero.user_name, self.password.reveal()]),
            dtp: dtp(&self.certificates.first),
            dtp_next: self.certificates.next.as_ref().map(|(from, next)| (*from, dtp(next))),
        }
    }

    /// The programme on its ground.
    pub fn programme(self, ground: Ground) -> Result<Programme, Objections> {
        let secrets = self.secrets(&ground.spool);
        let Self { settings, mapping, certificates, password, subscription_key, primero_tls, dtp_tls, dtp_tls_next, .. } = self;
        let Ground { spool, clock, standing, gate } = ground;
        let gate = gate.unwrap_or_else(|| Arc::new(primero::Gate::unproven(clock.clone())));
        let mut objections = Vec::new();
        let client = |key| move |source| Objection::Client { key, source };
        let primero = primero::Client::new(&settings.primero, password.reveal(), primero_tls, clock.clone(), Arc::clone(&gate));
        let primero = kept(primero.map_err(client("primero")), &mut objections);
        let dtp = |tls, certificate: &ClientCertificate| {
            let thumbprint = Some(certificate.thumbprint.as_str());
            dtp::Client::new(&settings.dtp, tls, subscription_key.reveal(), thumbprint, clock.clone()).map_err(client("dtp"))
        };
        let next = certificates.next.as_ref().zip(dtp_tls_next).map(|((from, next), tls)| dtp(tls, next).map(|dtp| (*from, dtp)));
        let next = kept(next.transpose(), &mut objections).flatten();
        let dtp = kept(dtp(dtp_tls, &certificates.first), &mut objections);
        let dtp = dtp.map(|dtp| match next {
            Some((from, next)) => dtp.followed_by(from, next),
            None => dtp,
        });
        let (Some(primero), Some(dtp)) = (primero, dtp) else { return Err(Objections(objections)) };
        Ok(Programme {
            fields: Fields::of(&settings, &mapping),
            administrator: programme::administrator(&settings),
            inbox_keys: InboxKeys::new(&settings.inbox.keys),
            learnt: Learnt::next(&standing),
            certificates,
            settings,
            mapping,
            primero,
            gate,
            dtp,
            spool,
            clock,
            secrets,
            standing,
        })
    }

    /// The first programme of a process, on a state that is opened for it.
    pub fn first_programme(self, clock: Clock, listener: Listener) -> Result<Programme, StartError> {
        let state = &self.settings.state;
        let spool = Spool::open(&state.directory, Sealer::new(&self.keys), clock.clone(), state.max_size, listener)?;
        let health = Programme::restored_health(&spool, &clock, &self.secrets(&spool))?;
        let refused = Programme::password_refused(&health);
        let gate = refused.map(|next_probe| Arc::new(primero::Gate::refused(clock.clone(), next_probe)));
        let standing = Arc::new(Standing::new(health));
        let programme = self.programme(Ground { spool, clock, standing, gate })?;
        programme.come_into_force();
        Ok(programme)
    }
}
