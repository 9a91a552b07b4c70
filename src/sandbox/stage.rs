//! A stage for the whole thing: both simulators, throw-away keys and certificates in a temporary folder, and a configuration
//! that points the daemon at them. The folder goes with the stage.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{Key, aead::Generate};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    dtp::{SUBSCRIPTION_KEY, SimulatedDtp},
    pki::{Authority, Identity, Wish},
    primero::{BRIDGE, BRIDGE_PASSWORD, INTAKE, SimulatedPrimero, UNHCR},
};
use crate::{
    clock::Clock,
    config::{Problems, Settings},
};

/// The inbox key of every stage.
pub const INBOX_KEY: &str = "sandbox-inbox-key";

macro_rules! mapping_files {
    ($($file:literal),+ $(,)?) => {
        /// Base and programme, so that the sandbox needs nothing but the program itself.
        const MAPPINGS: &[(&str, &str)] = &[$(($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/", $file)))),+];
    };
}
mapping_files!(
    "base/mapping.toml",
    "base/intervention.toml",
    "base/feedback.toml",
    "base/decision.toml",
    "base/referral.toml",
    "base/reasons.toml",
    "base/tables/decision-in.csv",
    "base/tables/decision-out.csv",
    "base/tables/rejection-reason-in.csv",
    "gambella/mapping.toml",
    "gambella/intervention.toml",
    "gambella/referral.toml",
    "gambella/tables/language-in.csv",
    "gambella/tables/language-out.csv",
    "gambella/tables/service-in.csv",
    "gambella/tables/service-out.csv",
    "gambella/tables/sex-in.csv",
    "gambella/tables/sex-out.csv",
);

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
    directory: TempDir,
}

impl Stage {
    /// Starts both simulators on free ports and writes keys, certificates and mapping.
    ///
    /// # Errors
    /// If no socket or no folder can be had.
    pub async fn set(clock: Clock) -> io::Result<Self> {
        let authority = Arc::new(Authority::new());
        let client = authority.issue(Wish::client("referrald"));
        let primero = SimulatedPrimero::start(clock.clone()).await?.with_bridge_account();
        let dtp = SimulatedDtp::start(clock.clone(), Arc::clone(&authority)).await?;
        let directory = tempfile::Builder::new().prefix("referrald-sandbox-").tempdir()?;
        let stage = Self { primero, dtp, authority, client, clock, directory };
        stage.write_files()?;
        Ok(stage)
    }

    /// The temporary folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
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
intake_user = "{INTAKE}"
rate = "unlimited"
timeout = "5s"

[dtp]
referral_url = "{referral_url}"
decision_url = "{decision_url}"
subscription_key_file = "secrets/subscription-key"
certificate_file = "secrets/client.crt.pem"
key_file = "secrets/client.key.pem"
ca_file = "secrets/authority.pem"
timeout = "5s"

[schedule]
time_zone = "Africa/Addis_Ababa"
at_start = false
start_from = "2020-01-01"

[flow1]
service_types = ["Alternative Care", "BID", "BIA", "Family Tracing and Reunification"]

[referrals]
implementing_agencies = ["UNHCR"]
recipients = ["{UNHCR}"]
recipient_agencies = ["UNHCR"]
owner_agencies = ["UNICEF"]
service_types = ["alternative_care", "focuses_non_specialized_mhpss_care", "food"]

[administrator]
email = "cpims-duty@example.org"
full_name = "CPIMS+ Duty Desk"
phone = "+251000000000"

[mapping]
directory = "mappings/gambella"

[state]
directory = "state"
key_files = ["secrets/state.key"]
"#,
            sha256 = hex::encode(Sha256::digest(INBOX_KEY)),
            primero = self.primero.url(),
            referral_url = self.dtp.referral_url(),
            decision_url = self.dtp.decision_url(),
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
        for (name, content) in MAPPINGS {
            let path = self.directory().join("mappings").join(name);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, content)?;
        }
        fs::write(self.directory().join("referrald.toml"), self.configuration())
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, content: &str) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
