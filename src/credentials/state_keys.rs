//! The keys that seal what is kept on disk.
//!
//! It reads and names them; sealing is the spool's.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Error, files};

/// A state key. Its name may be written down; the key may not.
#[derive(Clone)]
pub struct StateKey {
    /// The first 8 hex digits of the key's SHA-256.
    pub name: String,
    /// 32 random bytes.
    pub key: Zeroizing<[u8; 32]>,
}

impl StateKey {
    /// Names a key.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let mut name = hex::encode(Sha256::digest(*key));
        name.truncate(8);
        Self { name, key }
    }

    /// Reads a file of one line: 32 bytes in base64.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let bytes = files::secret_bytes(file)?;
        let line = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
        // Padded base64 of 32 bytes decodes into at most 33.
        let mut decoded = Zeroizing::new([0; 33]);
        match BASE64_STANDARD.decode_slice(line, &mut decoded[..]) {
            Ok(32) => {
                let mut key = Zeroizing::new([0; 32]);
                key.copy_from_slice(&decoded[..32]);
                Ok(Self::new(key))
            }
            _ => Err(Error::Content {
                file: file.to_owned(),
                what: "is not a state key: one line, 32 bytes in base64",
                hint: "`referrald key state FILE` makes one",
            }),
        }
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({})", self.name)
    }
}

/// The keys of these files, in this order: the first seals, all open. Each key once.
pub fn state_keys(files: &[PathBuf]) -> Result<Vec<StateKey>, Error> {
    let mut keys: Vec<StateKey> = Vec::with_capacity(files.len());
    for file in files {
        let key = StateKey::read(file)?;
        // A row names its key, so keys of one name would not do either.
        if let Some(same) = keys.iter().position(|other| other.name == key.name) {
            return Err(Error::SameStateKey { file: file.clone(), other: files[same].clone() });
        }
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn keys_are_read_in_order_named_and_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let file = directory.path().join(name);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            file
        };
        let said = |error: Error| error.to_string().replace(&directory.path().display().to_string(), "DIR");
        let (one, two) = (BASE64_STANDARD.encode([1; 32]), BASE64_STANDARD.encode([2; 32]));
        let new = write("new", &format!("{two}\r\n"));
        let old = write("old", &one);
        let keys = state_keys(&[new.clone(), old.clone()]).unwrap();
        assert_eq!(format!("{keys:?}"), "[StateKey(75877bb4), StateKey(72cd6e84)]");
        assert_eq!(*keys[0].key, [2; 32]);

        let again = write("again", &format!("{one}\n"));
        let twice = state_keys(&[new, old, again]).map_err(said);
        assert_eq!(
            twice.unwrap_err(),
            "DIR/again: holds the same key as DIR/old (hint: name each key once in `state.key_files`)"
        );
        for content in [
            "",
            "Marker",
            &BASE64_STANDARD.encode([1; 31]),
            &BASE64_STANDARD.encode([1; 33]),
            &format!("{one}\n\n"),
            &format!("{one}{one}"),
        ] {
            assert_eq!(
                StateKey::read(&write("wrong", content)).map_err(said).unwrap_err(),
                "DIR/wrong: is not a state key: one line, 32 bytes in base64 (hint: `referrald key state FILE` makes one)"
            );
        }
        fs::set_permissions(directory.path().join("new"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(StateKey::read(&directory.path().join("new")), Err(Error::OpenToOthers { .. })));
    }
}
