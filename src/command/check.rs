//! `referrald check`: everything that can be known before the first child depends on it, all problems at once.
//!
//! It changes nothing: it reads files, reads Primero, and shakes hands with DTP. A wrong password is tried once, never again.

mod dtp;
mod fit;
mod go_live;
mod labels;
mod primero;
mod rights;
mod site;

pub(super) use self::{
    labels::Label,
    primero::{Live, live},
};

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{Exit, Failure, unwritable};
use crate::{
    clock::Clock,
    config::{Flows, Settings, process_environment},
};

/// One thing that is wrong: a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whose it is to put right.
    pub exit: Exit,
    /// The sentence.
    pub said: String,
}

impl Problem {
    pub(super) fn configuration(said: impl ToString) -> Self {
        Self { exit: Exit::Configuration, said: said.to_string() }
    }

    fn outside(said: impl ToString) -> Self {
        Self { exit: Exit::Outside, said: said.to_string() }
    }
}

/// What one part of the check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// The flows that are on, and those that are being made ready: services are named for them. What Primero lacks for these is
/// to be known before they are switched on.
fn prepared(settings: &Settings) -> Flows {
    Flows {
        to_primero: settings.flows.to_primero || !settings.flow1.service_types.is_empty(),
        to_dtp: settings.flows.to_dtp || !settings.referrals.service_types.is_empty(),
    }
}

#[derive(Serialize)]
struct Section<'a> {
    section: &'a str,
    ok: bool,
    problems: Vec<&'a str>,
    notes: &'a [String],
}

/// What is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Neither Primero nor DTP is asked.
    pub offline: bool,
    /// The security checklist too.
    pub go_live: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    section: &'a str,
    item: u8,
    title: &'a str,
    /// As far as the program can see; the rest is for people to confirm.
    unmet: bool,
    how: &'a [String],
    problems: Vec<&'a str>,
    to_confirm: &'a str,
}

/// Checks a site; writes section by section, in words for a terminal, else one JSON object a line.
pub async fn check(
    config: &Path,
    Scope { offline, go_live }: Scope,
    clock: &Clock,
    terminal: bool,
    out: &mut (impl Write + Send),
) -> Result<(), Failure> {
    let mut all = Report { terminal, out, exits: Vec::new() };
    let settings = match Settings::load(config, process_environment()) {
        Ok(settings) => settings,
        Err(problems) => {
            let problems = problems.0.into_iter().map(Problem::configuration).collect();
            let notes = vec!["credentials, Primero and DTP are looked at once the configuration is right".to_owned()];
            all.section("configuration", &Findings { problems, notes })?;
            if let Some(directory) = Settings::mapping_directory_of(config, process_environment()) {
                all.section("mapping", &site::mapping(&directory).0)?;
            }
            return all.end();
        }
    };
    all.section("configuration", &site::configuration(&settings, clock.now()))?;
    let (credentials, shown) = site::credentials(&settings, clock.now());
    all.section("credentials", &credentials)?;
    let (mut findings, mapping) = site::mapping(&settings.mapping_directory);
    if let Some(mapping) = &mapping {
        site::fitness(&settings, mapping, &mut findings);
    }
    all.section("mapping", &findings)?;
    let mut asked = (None, None);
    if !offline {
        let primero = primero::check(&settings, mapping.as_ref(), clock).await;
        all.section("primero", &primero)?;
        let dtp = dtp::check(&settings, &shown, clock.now()).await;
        all.section("dtp", &dtp)?;
        asked = (Some(primero), Some(dtp));
    }
    if go_live {
        let known = go_live::Known {
            config,
            settings: &settings,
            mapping: mapping.as_ref(),
            credentials: &credentials,
            primero: asked.0.as_ref(),
            dtp: asked.1.as_ref(),
            now: clock.now(),
        };
        go_live::items(&known).iter().try_for_each(|item| all.item(item))?;
    }
    all.end()
}

struct Report<'a, W> {
    terminal: bool,
    out: &'a mut W,
    exits: Vec<Exit>,
}

impl<W: Write> Report<'_, W> {
    fn section(&mut self, name: &str, findings: &Findings) -> Result<(), Failure> {
        self.exits.extend(findings.problems.iter().map(|problem| problem.exit));
        let Findings { problems, notes } = findings;
        let mut text = String::new();
        if self.terminal {
            let mark = match problems.len() {
                0 => "ok".to_owned(),
                1 => "1 problem".to_owned(),
                many => format!("{many} problems"),
            };
            text += &format!("{name:<15}{mark}\n");
            for problem in problems {
                text += &format!("  - {}\n", problem.said.replace('\n', "\n    "));
            }
            for note in notes {
                text += &format!("    {note}\n");
            }
        } else {
            let problems = problems.iter().map(|problem| problem.said.as_str()).collect::<Vec<_>>();
            let section = Section { section: name, ok: problems.is_empty(), problems, notes };
            text += &serde_json::to_string(&section).map_err(Failure::failed)?;
            text.push('\n');
        }
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(|error| unwritable(&error))
    }

    fn item(&mut self, item: &go_live::Item) -> Result<(), Failure> {
        let go_live::Item { number, title, how, problems, to_confirm } = item;
        self.exits.extend(problems.iter().map(|problem| problem.exit));
        let mut text = String::new();
        if self.terminal {
            let mark = if problems.is_empty() { "to confirm" } else { "not met" };
            text += &format!("{:<15}{mark}: {title}\n", format!("go-live {number}"));
            for problem in problems {
                text += &format!("  - {}\n", problem.said.replace('\n', "\n    "));
            }
            for line in how {
                text += &format!("    {line}\n");
            }
            text += &format!("    to be confirmed by people: {to_confirm}\n");
        } else {
            let problems: Vec<&str> = problems.iter().map(|problem| problem.said.as_str()).collect();
            let unmet = !problems.is_empty();
            let listed = Listed { section: "go-live", item: *number, title, unmet, how, problems, to_confirm };
            text += &serde_json::to_string(&listed).map_err(Failure::failed)?;
            text.push('\n');
        }
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(|error| unwritable(&error))
    }

    /// Configuration is told first: it is ours to put right.
    fn end(self) -> Result<(), Failure> {
        let said = match self.exits.len() {
            0 => return Ok(()),
            1 => "1 problem was found".to_owned(),
            many => format!("{many} problems were found"),
        };
        let exit = if self.exits.contains(&Exit::Configuration) { Exit::Configuration } else { Exit::Outside };
        Err(Failure { exit, said })
    }
}
