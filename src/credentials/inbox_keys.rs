//! Whether a key that somebody presents is one that we issued.
//!
//! It knows digests only. How a key is presented on the wire is the inbox's.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::config::InboxKey;

/// The keys that open the inbox.
#[derive(Clone, Debug)]
pub struct InboxKeys(Vec<InboxKey>);

/// Why a key does not open the inbox. For the operator: outside, both are one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal<'a> {
    /// We issued no such key.
    Unknown,
    /// The key of this name was good once.
    Expired(&'a str),
}

impl InboxKeys {
    /// The configured keys.
    #[must_use]
    pub fn new(keys: &[InboxKey]) -> Self {
        Self(keys.to_vec())
    }

    /// The name of the key presented. Takes the same time whichever key it is, and whether it is one.
    pub fn check(&self, presented: &[u8], now: DateTime<Utc>) -> Result<&str, KeyRefusal<'_>> {
        let digest = Sha256::digest(presented);
        let mut found = u64::MAX;
        for (number, key) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&number, key.sha256[..].ct_eq(&digest[..]));
        }
        let key = usize::try_from(found).ok().and_then(|found| self.0.get(found)).ok_or(KeyRefusal::Unknown)?;
        match key.expires {
            Some(expires) if expires < now => Err(KeyRefusal::Expired(&key.name)),
            Some(_) | None => Ok(&key.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_until_it_expires_and_no_other_does() {
        let day: DateTime<Utc> = "2027-06-30T00:00:00Z".parse().unwrap();
        let key =
            |name: &str, text: &str, expires| InboxKey { name: name.to_owned(), sha256: Sha256::digest(text).into(), expires };
        let keys = InboxKeys::new(&[key("old", "Marker-Old", Some(day)), key("new", "Marker-New", None)]);
        let later = day + chrono::TimeDelta::milliseconds(1);
        for (presented, now, answer) in [
            ("Marker-Old", day, Ok("old")),
            ("Marker-Old", later, Err(KeyRefusal::Expired("old"))),
            ("Marker-New", later, Ok("new")),
            ("Marker-New\n", day, Err(KeyRefusal::Unknown)),
            ("marker-new", day, Err(KeyRefusal::Unknown)),
            ("", day, Err(KeyRefusal::Unknown)),
            (&hex::encode(Sha256::digest("Marker-New")), day, Err(KeyRefusal::Unknown)),
        ] {
            assert_eq!(keys.check(presented.as_bytes(), now), answer);
        }
        assert_eq!(InboxKeys::new(&[]).check(b"", day), Err(KeyRefusal::Unknown));
    }
}
