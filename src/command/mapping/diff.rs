//! `mapping diff`: what changed between two states of a mapping. That they differ is an answer, not a failure.

use std::path::Path;

use super::{
    revision::Revision,
    written::{Wanted, programme},
};
use crate::{
    command::Failure,
    mapping::Mapping,
    sheet::{Book, Titles},
};

/// Writes what changed from one to the other; each is a directory or a revision of git.
pub(super) fn diff(old: &str, new: &str, mapping: Option<&Path>, wanted: &Wanted) -> Result<(), Failure> {
    wanted.possible()?;
    // Where a revision is asked for, and nobody says which mapping is meant, it is the one of the other side.
    let other = [new, old].into_iter().map(Path::new).find(|path| path.is_dir());
    let directory = mapping.or(other).unwrap_or_else(|| Path::new("."));
    let side = |named: &str| {
        if Path::new(named).is_dir() {
            return load(Path::new(named), named);
        }
        let revision = Revision::fetch(named, directory)?;
        load(&revision.mapping, named)
    };
    let (before, now) = (side(old)?, side(new)?);
    let named = programme(if Path::new(new).is_dir() { Path::new(new) } else { directory });
    wanted.write(&Book::of_changes(&before, &now, Titles { programme: &named, agreement: None }))
}

fn load(directory: &Path, named: &str) -> Result<Mapping, Failure> {
    Mapping::load(directory).map_err(|problems| Failure::configuration(format!("{named} cannot be compared:\n{problems}")))
}
