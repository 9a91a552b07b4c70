//! A stage for the whole thing: both simulators, throw-away keys and certificates in a temporary folder, and a configuration
//! that points the daemon at them. The folder goes with the stage.

mod furniture;
pub mod site;

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{Key, aead::Generate};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub use self::site::{FIRST_PROGRAMME, Site, programmes};
use super::{
    dtp::{SUBSCRIPTION_KEY, SimulatedDtp},
    pki::{Authority, Identity, Wish},
    primero::{BRIDGE, BRIDGE_PASSWORD, SimulatedPrimero},
};
use crate::{
    clock::Clock,
    config::{Problems, Settings},
};

/// The inbox key of every stage.
pub const INBOX_KEY: &str = "sandbox-inbox-key";

/// The stage.
pub struct Stage {
    /// Primero.
    pub primero: SimulatedPrimero,
    /// DTP.
    pub dtp: SimulatedDtp,
    /// Who signs the certificates.
    pub authority: Arc<Authority>,
    /// Our client certificate.
    pub client: Identity,
    /// The time.
    pub clock: Clock,
    /// What the programme's configuration says.
    pub site: Site,
    directory: TempDir,
}

impl Stage {
    /// Starts both simulators on free ports and writes keys, certificates and mapping, for the first programme.
    ///
    /// # Errors
    /// If no socket or no folder can be had.
    pub async fn set(clock: Clock) -> io::Result<Self> {
        Self::set_for(clock, FIRST_PROGRAMME).await
    }

    /// The same for one of the [`programmes`].
    ///
    /// # Errors
    /// If there is no such programme, or no socket or folder can be had.
    pub async fn set_for(clock: Clock, programme: &str) -> io::Result<Self> {
        let primero = SimulatedPrimero::start(clock.clone()).await?;
        Self::set_with(clock, Site::of(programme)?, Arc::new(Authority::new()), primero).await
    }

    /// A stage with Primero behind TLS, as in production.
    ///
    /// # Errors
    /// If no socket or no folder can be had.
    pub async fn set_behind_tls(clock: Clock) -> io::Result<Self> {
        let authority = Arc::new(Authority::new());
        let primero = SimulatedPrimero::start_behind_tls(clock.clone(), Arc::clone(&authority)).await?;
        Self::set_with(clock, Site::of(FIRST_PROGRAMME)?, authority, primero).await
    }

    async fn set_with(clock: Clock, site: Site, authority: Arc<Authority>, primero: SimulatedPrimero) -> io::Result<Self> {
        let client = authority.issue(Wish::client("referrald"));
        let primero = primero.with_bridge_account();
        let dtp = SimulatedDtp::start(clock.clone(), Arc::clone(&authority)).await?;
        let directory = tempfile::Builder::new().prefix("referrald-sandbox-").tempdir()?;
        let stage = Self { primero, dtp, authority, client, clock, site, directory };
        stage.write_files()?;
        furniture::furnish(&stage.primero, &stage.site, &stage.mapping_directory());
        Ok(stage)
    }

    /// The temporary folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the programme's mapping lies.
    #[must_use]
    pub fn mapping_directory(&self) -> std::path::PathBuf {
        self.directory().join("mappings").join(&self.site.programme)
    }

    /// The configuration as a file in the folder would hold it.
    #[must_use]
    pub fn configuration(&self) -> String {
        format!(
            r#"programme = "sandbox"
environment = "test"

[agreement]
reference = "SANDBOX-AGREEMENT"
valid_from = "2020-01-01"
valid_until = "2099-12-31"

[flows]
to_primero = true
to_dtp = true

[inbox]
listen = "127.0.0.1:0"

[[inbox.keys]]
name = "sandbox"
sha256 = "{sha256}"

[admin]
listen = "127.0.0.1:0"

[primero]
url = "{primero}"
user_name = "{BRIDGE}"
password_file = "secrets/primero-password"
intake_user = "{intake_user}"
rate = "unlimited"
timeout = "60s"
{primero_ca}
[dtp]
referral_url = "{referral_url}"
decision_url = "{decision_url}"
subscription_key_file = "secrets/subscription-key"
certificate_file = "secrets/client.crt.pem"
key_file = "secrets/client.key.pem"
ca_file = "secrets/authority.pem"
timeout = "60s"

[schedule]
time_zone = "{time_zone}"
at_start = false
start_from = "2020-01-01"

[flow1]
service_types = {service_types_in}
agencies = {agencies}

[referrals]
implementing_agencies = {implementing_agencies}
recipients = {recipients}
recipient_agencies = ["UNHCR"]
owner_agencies = {owner_agencies}
service_types = {service_types_out}

[consent]
require = {consent}

[administrator]
email = "cpims-duty@example.org"
full_name = "CPIMS+ Duty Desk"
phone = "+251000000000"

[mapping]
directory = "mappings/{programme}"

[state]
directory = "state"
key_files = ["secrets/state.key"]

[alerts]
silence_after = "0s"
"#,
            sha256 = hex::encode(Sha256::digest(INBOX_KEY)),
            primero = self.primero.url(),
            primero_ca = if self.primero.url().starts_with("https") { "ca_file = \"secrets/authority.pem\"\n" } else { "" },
            referral_url = self.dtp.referral_url(),
            decision_url = self.dtp.decision_url(),
            programme = self.site.programme,
            intake_user = self.site.intake_user,
            time_zone = self.site.time_zone,
            service_types_in = list(&self.site.service_types_in),
            agencies = list(&self.site.agencies),
            implementing_agencies = list(&self.site.implementing_agencies),
            recipients = list(&self.site.recipients),
            owner_agencies = list(&self.site.owner_agencies),
            service_types_out = list(&self.site.service_types_out),
            consent = list(&self.site.consent),
        )
    }

    /// The settings, with some of them given another value as variables would: `REFERRALD__FLOW1__CLOSED_CASE`.
    pub fn settings(&self, changed: &[(&str, &str)]) -> Result<Settings, Problems> {
        let variables = changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_text(&self.directory().join("referrald.toml"), &self.configuration(), variables)
    }

    fn write_files(&self) -> io::Result<()> {
        let secrets = self.directory().join("secrets");
        fs::create_dir(&secrets)?;
        self.authority.write(&secrets, "authority")?;
        let (certificate, key) = (self.client.certificate_pem(), self.client.key_pem());
        let state_key: [u8; 32] = Key::generate().into();
        for (name, content) in [
            ("client.crt.pem", certificate),
            ("client.key.pem", key),
            ("primero-password", BRIDGE_PASSWORD.to_owned()),
            ("subscription-key", SUBSCRIPTION_KEY.to_owned()),
            ("state.key", BASE64_STANDARD.encode(state_key)),
        ] {
            write_secret(&secrets.join(name), &content)?;
        }
        let mappings = self.directory().join("mappings");
        fs::create_dir(&mappings)?;
        site::write_mappings(&mappings)?;
        fs::write(self.directory().join("referrald.toml"), self.configuration())
    }
}

/// A list as TOML writes it.
fn list(texts: &[String]) -> String {
    toml::Value::from(texts.to_vec()).to_string()
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, content: &str) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
