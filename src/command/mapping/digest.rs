//! `mapping digest`: what an approval has to name.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{Shown, loaded};
use crate::{command::Failure, config::Settings, mapping::Unapproved};

#[derive(Serialize)]
struct Row<'a> {
    version: &'a str,
    digest: &'a str,
    approved: bool,
}

/// Prints version and digest, and the lines that record who approved them.
pub(super) fn digest(directory: &Path, settings: Option<&Settings>, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let (version, digest) = (mapping.plain_version(), mapping.digest());
    let under = settings.map(|settings| settings.agreement.reference.as_str());
    let agreement = under.or_else(|| mapping.approval().map(|approval| approval.agreement.as_str())).unwrap_or_default();
    let unapproved = mapping.unapproved(agreement);
    let approved = unapproved.is_none();
    let file = directory.join("mapping.toml");
    let what_to_do = match unapproved {
        None => "This is what was approved.".to_owned(),
        Some(Unapproved::OtherAgreement) => format!("{}.", Unapproved::OtherAgreement),
        Some(Unapproved::Never | Unapproved::Changed) => format!(
            "When it is signed, write these lines into {}, with the agreement, the role that approved it and the day:\n\n\
             [approval]\nagreement = \"…\"\nby_role = \"…\"\non = \"…\"\ndigest = \"{digest}\"",
            file.display()
        ),
    };
    shown.say(&format!("version {version}\ndigest  {digest}\n\n{what_to_do}"), &Row { version, digest, approved })
}
