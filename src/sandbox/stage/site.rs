//! The programmes that can be played: every directory of mappings for which there is an example of a configuration.
//!
//! Both are built in, so that the sandbox needs nothing but the program itself. No programme is known here by more than its name.

use std::{io, path::Path};

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::super::primero::INTAKE;

static MAPPINGS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mappings");
static CONFIGURATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config");

/// The programme that is played unless another one is named.
pub const FIRST_PROGRAMME: &str = "gambella";
/// The agency of the case workers, where an example leaves that open.
const CASE_WORKERS_AGENCY: &str = "UNICEF";
/// What an example leaves for its site to fill in.
const PLACEHOLDER: char = '…';

/// What the example of a programme's configuration says, as far as a stage has to play it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name, as the directory of its mapping.
    pub programme: String,
    /// `schedule.time_zone`
    pub time_zone: String,
    /// `primero.intake_user`
    pub intake_user: String,
    /// `flow1.service_types`
    pub service_types_in: Vec<String>,
    /// `flow1.agencies`
    pub agencies: Vec<String>,
    /// `referrals.implementing_agencies`
    pub implementing_agencies: Vec<String>,
    /// `referrals.recipients`
    pub recipients: Vec<String>,
    /// `referrals.owner_agencies`
    pub owner_agencies: Vec<String>,
    /// `referrals.service_types`
    pub service_types_out: Vec<String>,
    /// `consent.require`
    pub consent: Vec<String>,
}

/// The names of all programmes that can be played.
#[must_use]
pub fn programmes() -> Vec<&'static str> {
    let names = MAPPINGS.dirs().filter_map(|directory| directory.path().to_str());
    let mut names: Vec<&str> = names.filter(|name| CONFIGURATIONS.get_file(example(name)).is_some()).collect();
    names.sort_unstable();
    names
}

fn example(programme: &str) -> String {
    format!("{programme}.example.toml")
}

/// Writes every mapping below a directory.
pub(super) fn write_mappings(directory: &Path) -> io::Result<()> {
    MAPPINGS.extract(directory)
}

impl Site {
    /// Of a programme by its name.
    ///
    /// # Errors
    /// If there is no such programme.
    pub fn of(programme: &str) -> io::Result<Self> {
        let unknown = || {
            let known = programmes().join(", ");
            io::Error::new(io::ErrorKind::NotFound, format!("there is no programme of this name (hint: known are {known})"))
        };
        let file = programmes().contains(&programme).then(|| CONFIGURATIONS.get_file(example(programme))).flatten();
        let example: Table = file.and_then(|file| file.contents_utf8()).and_then(|text| text.parse().ok()).ok_or_else(unknown)?;
        let value = |section: &str, key: &str| example.get(section)?.as_table()?.get(key);
        let text = |section: &str, key: &str| {
            value(section, key).and_then(Value::as_str).filter(|text| !text.contains(PLACEHOLDER)).map(str::to_owned)
        };
        let list = |section: &str, key: &str| {
            let texts = value(section, key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let texts = texts.filter(|text| !text.contains(PLACEHOLDER)).map(str::to_owned);
            Some(texts.collect::<Vec<_>>()).filter(|texts| !texts.is_empty())
        };
        Ok(Self {
            programme: programme.to_owned(),
            time_zone: text("schedule", "time_zone").unwrap_or_else(|| "UTC".to_owned()),
            intake_user: text("primero", "intake_user").unwrap_or_else(|| INTAKE.to_owned()),
            service_types_in: list("flow1", "service_types").unwrap_or_default(),
            agencies: list("flow1", "agencies").unwrap_or_default(),
            implementing_agencies: list("referrals", "implementing_agencies").unwrap_or_default(),
            recipients: list("referrals", "recipients").unwrap_or_default(),
            owner_agencies: list("referrals", "owner_agencies").unwrap_or_else(|| vec![CASE_WORKERS_AGENCY.to_owned()]),
            service_types_out: list("referrals", "service_types").unwrap_or_default(),
            consent: list("consent", "require")
                .unwrap_or_else(|| ["consent_for_services", "disclosure_other_orgs"].map(str::to_owned).into()),
        })
    }

    /// The agency of the case workers.
    #[must_use]
    pub fn case_workers_agency(&self) -> &str {
        self.owner_agencies.first().map_or(CASE_WORKERS_AGENCY, String::as_str)
    }
}
