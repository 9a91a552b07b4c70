//! `mapping sheet`: the mapping as the table that business owners read and sign.

use std::path::Path;

use super::{loaded, written::Wanted};
use crate::{
    command::Failure,
    config::Settings,
    sheet::{Book, Titles},
};

/// Writes the sheet of a mapping.
pub(super) fn sheet(directory: &Path, settings: Option<&Settings>, wanted: &Wanted) -> Result<(), Failure> {
    wanted.possible()?;
    let mapping = loaded(directory)?;
    let named = super::written::programme(directory);
    let titles = Titles {
        programme: settings.map_or(named.as_str(), |settings| settings.programme.as_str()),
        agreement: settings.map(|settings| settings.agreement.reference.as_str()),
    };
    wanted.write(&Book::to_sign(&mapping, titles))
}
