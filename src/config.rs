//! The settings of one programme: layered, typed, every problem reported at once.
//!
//! Three layers: the defaults built in (`config/default.toml`, which is also the manual), the file, variables of the
//! form `REFERRALD__SECTION__KEY`.
//! Secrets are paths of files here; [`crate::credentials`] reads them. Nothing but the configuration file is opened.

pub mod alerts;
mod findings;
mod layers;
mod nearest;
mod reading;
mod sections;
#[cfg(test)]
pub(crate) mod tests;
mod values;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use reqwest::Url;

pub use self::{layers::MANUAL, values::first_moment};
use crate::zone::Zone;

/// Content is erased after this, whatever became of it; what waits for a person is given up sooner.
pub const PARCEL_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Everything that can be configured. `config/default.toml` is the manual.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the programme; stands in every activity line.
    pub programme: String,
    /// Test or production.
    pub environment: Environment,
    /// The signed data sharing agreement.
    pub agreement: Agreement,
    /// Which flows run.
    pub flows: Flows,
    /// Where DTP posts.
    pub inbox: Inbox,
    /// Where the operator looks.
    pub admin: Admin,
    /// How Primero is reached.
    pub primero: Primero,
    /// How DTP is reached.
    pub dtp: Dtp,
    /// When we look into Primero.
    pub schedule: Schedule,
    /// Rules of flow 1.
    pub flow1: Flow1,
    /// What may leave in flow 2.
    pub referrals: Referrals,
    /// Consent.
    pub consent: Consent,
    /// The functional contact.
    pub administrator: Administrator,
    /// Where the mapping lies.
    pub mapping_directory: PathBuf,
    /// What to do with a mapping that nobody has approved as it stands.
    pub mapping_unapproved: Unapproved,
    /// Pauses and limits.
    pub delivery: Delivery,
    /// Where the state lies.
    pub state: StateSettings,
    /// The activity file; `None` means standard output.
    pub activity_file: Option<PathBuf>,
    /// Who is told of what needs a person.
    pub alerts: alerts::Alerts,
}

impl Settings {
    /// Reads the configuration file and lays variables over it; all problems at once.
    ///
    /// Only variables that begin with `REFERRALD__` are looked at, and an empty one counts as not set.
    pub fn load(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        let text = layers::file_text(path)?;
        Self::from_text(path, &text, environment)
    }

    /// The same from text; `path` stands in the messages, and relative paths begin at its directory.
    pub fn from_text(path: &Path, text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        let mut reading = layers::read(path, text, environment)?;
        let settings = sections::settings(&mut reading);
        let problems = reading.into_problems();
        // A section is absent only if one of its keys was refused, so the two never disagree.
        match settings {
            Some(settings) if problems.0.is_empty() => Ok(settings),
            _ => Err(problems),
        }
    }

    /// Where the mapping lies, as far as a configuration that has problems still says so: then it can be looked at all the same.
    pub fn mapping_directory_of(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Option<PathBuf> {
        let text = layers::file_text(path).ok()?;
        layers::read(path, &text, environment).ok()?.path("mapping.directory")
    }

    /// Where the client certificate and its key lie, likewise: UNHCR must know the certificate before it gives what else is needed.
    pub fn client_certificate_of(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Option<(PathBuf, PathBuf)> {
        let text = layers::file_text(path).ok()?;
        let mut reading = layers::read(path, &text, environment).ok()?;
        Some((reading.path("dtp.certificate_file")?, reading.path("dtp.key_file")?))
    }
}

/// The variables of this process that can be read as text; others cannot be ours.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Test or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// `test`
    Test,
    /// `production`: refuses sandbox certificates.
    Production,
}

impl Environment {
    /// As in configuration and activity.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

/// What to do with a mapping that nobody has approved as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unapproved {
    /// Nothing starts.
    Refuse,
    /// It is told, and used.
    Warn,
}

/// The signed data sharing agreement.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Its reference.
    pub reference: String,
    /// First moment.
    pub valid_from: DateTime<Utc>,
    /// Last moment (a date alone is that whole day in the programme's zone).
    pub valid_until: DateTime<Utc>,
}

impl Agreement {
    /// Whether anything may travel now.
    #[must_use]
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.valid_from <= now && now <= self.valid_until
    }
}

/// Which flows run; go-live is a decision.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    /// Flow 1 with its feedback and decisions.
    pub to_primero: bool,
    /// Flow 2 with its decisions.
    pub to_dtp: bool,
}

/// Where DTP posts.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only path.
    pub path: String,
    /// Largest body in bytes.
    pub max_body: u64,
    /// How many deliveries may wait.
    pub max_waiting: u64,
    /// How many connections at a time.
    pub max_connections: usize,
    /// TLS is ended by a proxy before us.
    pub behind_proxy: bool,
    /// The proxies whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Our own TLS.
    pub tls: Option<InboxTls>,
    /// The keys that DTP may use.
    pub keys: Vec<InboxKey>,
}

/// The inbox's own certificate.
#[derive(Clone, Debug)]
pub struct InboxTls {
    /// PEM.
    pub certificate_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
}

/// A key that we issued; only its digest is known here.
#[derive(Clone, Debug)]
pub struct InboxKey {
    /// What the operator calls it.
    pub name: String,
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
    /// After this it opens nothing.
    pub expires: Option<DateTime<Utc>>,
}

/// Where the operator looks.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address and port; never the inbox's address.
    pub listen: SocketAddr,
}

/// Requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// At most so many.
    PerSecond(f64),
    /// No limit.
    Unlimited,
}

/// How Primero is reached.
#[derive(Clone, Debug)]
pub struct Primero {
    /// Root of the instance, without `/api/v2`.
    pub url: Url,
    /// The service account.
    pub user_name: String,
    /// File with its password.
    pub password_file: PathBuf,
    /// The user who owns new cases.
    pub intake_user: String,
    /// Roots to trust, PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Time for one request.
    pub timeout: Duration,
    /// Attempts at a time.
    pub parallel: usize,
    /// Requests per second.
    pub rate: Rate,
}

/// How DTP is reached.
#[derive(Clone, Debug)]
pub struct Dtp {
    /// `…/ReceiveIncomingReferral`
    pub referral_url: Url,
    /// `…/ReceiveDecisionOutgoingReferral`
    pub decision_url: Url,
    /// File with the subscription key.
    pub subscription_key_file: PathBuf,
    /// The header that carries it.
    pub subscription_key_header: String,
    /// Client certificate, PEM.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// What the certificate's SHA-1 thumbprint must be, any spelling.
    pub thumbprint: Option<String>,
    /// The certificate that takes its place.
    pub next: Option<NextCertificate>,
    /// The header that carries it; `None` when switched off with `""`.
    pub thumbprint_header: Option<String>,
    /// Roots to trust, PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Time for one request.
    pub timeout: Duration,
    /// Attempts at a time.
    pub parallel: usize,
}

/// A client certificate that takes the place of the one before at a moment.
#[derive(Clone, Debug)]
pub struct NextCertificate {
    /// PEM.
    pub certificate_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
    /// What its SHA-1 thumbprint must be, any spelling.
    pub thumbprint: Option<String>,
    /// From when on it is used.
    pub from: DateTime<Utc>,
}

/// When we look into Primero.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The programme's time zone.
    pub time_zone: Zone,
    /// Cron with seconds, for the walk `referrals`.
    pub referrals: croner::Cron,
    /// Cron with seconds, for the walk `decisions`.
    pub decisions: croner::Cron,
    /// Whether both walks run at start.
    pub at_start: bool,
    /// How far a walk reaches back before where the last one ended.
    pub overlap: Duration,
    /// No referral made before this ever leaves; both walks begin here.
    pub start_from: DateTime<Utc>,
}

/// What to do with an intervention for a case that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedCase {
    /// A person decides.
    Hold,
    /// Primero opens it again.
    Reopen,
    /// UNHCR gets the neutral answer.
    Refuse,
}

/// Rules of flow 1.
#[derive(Clone, Debug)]
pub struct Flow1 {
    /// A case that is closed.
    pub closed_case: ClosedCase,
    /// How long a held intervention waits for a person before UNHCR is answered.
    pub hold_for: Duration,
    /// proGres labels allowed in.
    pub service_types: Vec<String>,
    /// Agencies that have signed, as proGres names them; asked where the mapping says so.
    pub agencies: Vec<String>,
}

/// What may leave in flow 2. An empty list lets nothing through.
#[derive(Clone, Debug)]
pub struct Referrals {
    /// Implementing agencies of a service.
    pub implementing_agencies: Vec<String>,
    /// Primero user names.
    pub recipients: Vec<String>,
    /// Agencies of remote referrals.
    pub recipient_agencies: Vec<String>,
    /// Agencies that have signed.
    pub owner_agencies: Vec<String>,
    /// Primero option ids allowed out.
    pub service_types: Vec<String>,
    /// Primero modules.
    pub modules: Vec<String>,
}

/// What to do with a referral made by exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentException {
    /// One person decides, once.
    Hold,
    /// It leaves.
    Send,
    /// It never leaves.
    Never,
}

/// Consent.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Case fields that must all be true.
    pub require: Vec<String>,
    /// Case fields that must have no value.
    pub hold_if_set: Vec<String>,
    /// A case field with the last day of consent.
    pub valid_until_field: Option<String>,
    /// A referral made by exception.
    pub exception: ConsentException,
}

/// The functional contact of the programme: a duty phone, a shared mailbox.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Shared mailbox.
    pub email: String,
    /// Name of the function.
    pub full_name: String,
    /// Duty phone.
    pub phone: String,
}

/// Pauses and limits.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The first pause after "later".
    pub first_pause: Duration,
    /// The longest.
    pub longest_pause: Duration,
    /// Unsettled for longer: late.
    pub alarm_after: Duration,
    /// Undelivered for longer: given up.
    pub give_up_after: Duration,
}

/// Where the state lies.
#[derive(Clone, Debug)]
pub struct StateSettings {
    /// The directory.
    pub directory: PathBuf,
    /// State keys: the first seals, all open.
    pub key_files: Vec<PathBuf>,
    /// How long a settled delivery is remembered.
    pub keep_settled: Duration,
    /// Largest size of the state in bytes.
    pub max_size: u64,
}

/// Every problem of a configuration: those of the file in its order, then those of variables. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}
