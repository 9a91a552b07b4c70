//! Who approved a mapping, and whether it still says what was approved.
//!
//! The digest covers what is in force: rows, tables, texts, names, version. A remark, a blank line, the order of keys and whether the base
//! or the programme says it change nothing, and the approval itself is not part of it.

use std::fmt;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::{
    Mapping,
    doubts::looks_like_a_name,
    file::{Grade, Keys},
    load::Said,
};

/// What a mapping says of its own approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The reference of the agreement under which it was approved.
    pub agreement: String,
    /// The role that approved it, never a person's name.
    pub by_role: String,
    /// The day.
    pub on: NaiveDate,
    /// What was approved: 64 hex digits.
    pub digest: String,
}

/// Why a mapping does not count as approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unapproved {
    /// Nobody has approved it.
    Never,
    /// It has changed since.
    Changed,
    /// It was approved under another agreement.
    OtherAgreement,
}

impl fmt::Display for Unapproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => {
                "nobody has approved this mapping (hint: have the sheet signed, then write `[approval]` into its mapping.toml: \
                 `referrald mapping digest` prints the lines)"
            }
            Self::Changed => {
                "the mapping has changed since it was approved (hint: have the change signed, then write what `referrald mapping \
                 digest` prints into its mapping.toml; or put back what was approved)"
            }
            Self::OtherAgreement => {
                "the mapping was approved under another agreement than `agreement.reference` (hint: have it approved under this one)"
            }
        })
    }
}

impl Mapping {
    /// What was approved, and by whom.
    #[must_use]
    pub const fn approval(&self) -> Option<&Approval> {
        self.approval.as_ref()
    }

    /// Everything that is in force, as one number of 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Why it does not count as approved under this agreement; `None` if it does.
    #[must_use]
    pub fn unapproved(&self, agreement: &str) -> Option<Unapproved> {
        match &self.approval {
            None => Some(Unapproved::Never),
            Some(approval) if approval.digest != self.digest => Some(Unapproved::Changed),
            Some(approval) if approval.agreement != agreement => Some(Unapproved::OtherAgreement),
            Some(_) => None,
        }
    }
}

/// Reads `[approval]`.
pub(super) fn read(keys: &Keys<'_>) -> Option<Approval> {
    let agreement = keys.needed("agreement", "the reference of the agreement, as in `agreement.reference`");
    let by_role = keys.needed("by_role", "the role that approved it, never a person's name");
    let on = keys.needed("on", "the day, for example \"2026-11-30\"");
    let digest = keys.needed("digest", "what `referrald mapping digest` printed when it was signed");
    keys.finish();
    if by_role.is_some_and(|(role, _)| looks_like_a_name(role)) {
        keys.note(Grade::Warning, "`by_role` looks like a person's name (hint: write the role)");
    }
    let day = on.and_then(|(on, place)| {
        let day = Some(on).filter(|on| on.len() == 10).and_then(|on| on.parse::<NaiveDate>().ok());
        if day.is_none() {
            keys.problem_at(place, "`on` must be a day, year-month-day, as in \"2026-11-30\"");
        }
        day
    });
    let digest = digest.and_then(|(digest, place)| {
        let fits = digest.len() == 64 && digest.bytes().all(|sign| matches!(sign, b'0'..=b'9' | b'a'..=b'f'));
        if !fits {
            keys.problem_at(place, "`digest` must be 64 hex digits (hint: copy what `referrald mapping digest` prints)");
        }
        fits.then_some(digest)
    });
    Some(Approval { agreement: agreement?.0.to_owned(), by_role: by_role?.0.to_owned(), on: day?, digest: digest?.to_owned() })
}

/// The digest of everything that is in force.
pub(super) fn digest(version: &str, said: &Said) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    add("referrald mapping 1");
    add(version);
    for ((section, message), values) in said {
        add(section);
        add(message);
        for value in values {
            add(&value.to_string());
        }
    }
    hex::encode(digest.finalize())
}
