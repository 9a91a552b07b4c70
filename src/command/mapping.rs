//! `referrald mapping …`: the mapping as the people see it who write, check and sign it.
//!
//! It sends nothing and stores nothing.

mod checked;
mod diff;
mod digest;
mod revision;
mod sheet;
pub mod verbs;
mod written;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::verbs::{Verb, Which};
use super::{Failure, settings, unwritable};
use crate::mapping::Mapping;

/// Does what a verb asks.
pub async fn run(verb: Verb) -> Result<(), Failure> {
    let mut shown = Shown { terminal: io::stdout().is_terminal(), out: io::stdout() };
    match verb {
        Verb::Check { which } => checked::check(&directory(&which)?, &mut shown),
        Verb::Digest { which } => digest::digest(&directory(&which)?, &mut shown),
        Verb::Sheet { which, wanted } => {
            let settings = which.config.as_deref().map(settings).transpose()?;
            sheet::sheet(&directory(&which)?, settings.as_ref(), &wanted)
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
    fn say(&mut self, words: &str, row: &impl Serialize) -> Result<(), Failure> {
        let line = if self.terminal { words.to_owned() } else { serde_json::to_string(row).map_err(Failure::failed)? };
        match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            // Whoever reads has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
