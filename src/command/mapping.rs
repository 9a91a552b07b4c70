//! `referrald mapping …`: the mapping as the people see it who write, check and sign it.
//!
//! It sends nothing, and stores nothing but the mapping that `new` makes.

mod attempt;
mod checked;
mod diff;
mod digest;
mod fields;
mod live;
mod new;
mod revision;
mod sheet;
mod tested;
pub mod verbs;
mod written;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::verbs::{Verb, Which};
use super::{Failure, plain::Plain, settings, unwritable};
use crate::{config::Settings, mapping::Mapping};

/// Does what a verb asks.
pub async fn run(verb: Verb) -> Result<(), Failure> {
    let mut shown = Shown { terminal: io::stdout().is_terminal(), out: Plain::stdout() };
    match verb {
        Verb::Check { which, live } => {
            let checked = checked::check(&directory(&which)?, &mut shown);
            match (live, which.config.as_deref()) {
                (false, _) => checked,
                (true, None) => Err(Failure::usage("`--live` needs `--config FILE`: it says where Primero is")),
                (true, Some(config)) => checked.and(live::compare(&settings(config)?, &directory(&which)?, &mut shown).await),
            }
        }
        Verb::Test { which } => tested::test(&directory(&which)?, &mut shown),
        Verb::Try { kind, file, mapping, config } => {
            let settings = config.as_deref().map(settings).transpose()?;
            let directory = directory(&Which { directory: mapping, config })?;
            attempt::attempt(kind, file.as_deref(), &directory, settings.as_ref(), &mut shown)
        }
        Verb::Fields { which } => {
            let settings = which.config.as_deref().map(settings).transpose()?;
            fields::fields(&directory(&which)?, settings.as_ref(), &mut shown)
        }
        Verb::New { directory, from } => new::new(&directory, &from, &mut shown),
        Verb::Digest { which } => {
            let directory = directory(&which)?;
            digest::digest(&directory, settings_of(&which, &directory)?.as_ref(), &mut shown)
        }
        Verb::Sheet { which, wanted } => {
            let directory = directory(&which)?;
            sheet::sheet(&directory, settings_of(&which, &directory)?.as_ref(), &wanted)
        }
        Verb::Diff { old, new, mapping, wanted } => diff::diff(&old, &new, mapping.as_deref(), &wanted),
    }
}

/// The programme's directory: the one named, else the one of the configuration, else this one.
fn directory(which: &Which) -> Result<PathBuf, Failure> {
    match (&which.directory, &which.config) {
        (Some(directory), _) => Ok(directory.clone()),
        (None, Some(config)) => Ok(settings(config)?.mapping_directory),
        (None, None) => Ok(PathBuf::from(".")),
    }
}

/// The settings of the programme whose mapping it is; none if the configuration names another mapping.
fn settings_of(which: &Which, directory: &Path) -> Result<Option<Settings>, Failure> {
    let settings = which.config.as_deref().map(settings).transpose()?;
    let place = |path: &Path| path.canonicalize().ok();
    Ok(settings.filter(|settings| place(&settings.mapping_directory).is_some_and(|named| place(directory) == Some(named))))
}

/// A mapping without which nothing can be said.
fn loaded(directory: &Path) -> Result<Mapping, Failure> {
    Mapping::load(directory).map_err(Failure::configuration)
}

/// To a terminal words, to a pipe one JSON object a line.
struct Shown<W> {
    terminal: bool,
    out: W,
}

impl<W: Write> Shown<W> {
    /// The same as words for a terminal and as a row for a pipe.
    fn say(&mut self, words: &str, row: &impl Serialize) -> Result<(), Failure> {
        if self.terminal { self.words(words) } else { self.row(row) }
    }

    /// Only for a terminal.
    fn words(&mut self, words: &str) -> Result<(), Failure> {
        if self.terminal { self.line(words) } else { Ok(()) }
    }

    /// Only for a pipe.
    fn row(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        if self.terminal {
            return Ok(());
        }
        let line = serde_json::to_string(row).map_err(Failure::failed)?;
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            // Whoever reads has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
