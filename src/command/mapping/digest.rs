//! `mapping digest`: what an approval has to name.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{Shown, loaded};
use crate::command::Failure;

#[derive(Serialize)]
struct Row<'a> {
    version: &'a str,
    digest: &'a str,
    approved: bool,
}

/// Prints version and digest, and the lines that record who approved them.
pub(super) fn digest(directory: &Path, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let (version, digest) = (mapping.plain_version(), mapping.digest());
    let approved = mapping.approval().is_some_and(|approval| approval.digest == digest);
    let file = directory.join("mapping.toml");
    let what_to_do = if approved {
        "This is what was approved.".to_owned()
    } else {
        format!(
            "When it is signed, write these lines into {}, with the agreement, the role that approved it and the day:\n\n\
             [approval]\nagreement = \"…\"\nby_role = \"…\"\non = \"…\"\ndigest = \"{digest}\"",
            file.display()
        )
    };
    shown.say(&format!("version {version}\ndigest  {digest}\n\n{what_to_do}"), &Row { version, digest, approved })
}
