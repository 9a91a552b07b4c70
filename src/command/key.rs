//! `referrald key`: new keys for the inbox and for the state.
//!
//! It makes keys and shows or stores them once; it changes no configuration.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::credentials::StateKey;

/// What a key is called when nobody says.
const DEFAULT_NAME: &str = "dtp";

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there already.
    #[error("{}: is there already, and a key is never written over another (hint: name a new file; what is sealed with the old key \
             needs the old key)", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{}: the key cannot be written: {what} (hint: look at the directory and its permissions)", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What happened.
        what: String,
    },
    /// A key's name is blank, or more than one line.
    #[error("the name of a key is one line of text that is not blank")]
    Name,
    /// The machine gives no random bytes.
    #[error("this machine gives no random bytes (hint: a container needs /dev/urandom)")]
    NoRandomness,
    /// The text cannot be shown.
    #[error("the text cannot be written")]
    Output(#[from] io::Error),
}

/// Makes a new inbox key: the key is shown this once, with the lines for the configuration.
pub fn new_inbox_key(name: Option<&str>, out: &mut impl Write) -> Result<(), Error> {
    let name = name.unwrap_or(DEFAULT_NAME).trim();
    if name.is_empty() || name.contains(char::is_control) {
        return Err(Error::Name);
    }
    let key = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*random()?));
    let digest = hex::encode(Sha256::digest(key.as_bytes()));
    let name = toml::Value::from(name);
    // Plain text on purpose: no TOML, so that nobody appends it to the configuration with the key in it.
    writeln!(out, "The new key is shown only now and stored nowhere. Give it to UNHCR in the way agreed for secrets:")?;
    writeln!(out)?;
    writeln!(out, "    {}", *key)?;
    writeln!(out)?;
    writeln!(out, "Add these lines to the configuration, beside the keys that are there, then reload referrald:")?;
    writeln!(out)?;
    writeln!(out, "[[inbox.keys]]")?;
    writeln!(out, "name = {name}")?;
    writeln!(out, "sha256 = \"{digest}\"")?;
    Ok(())
}

/// Makes a new state key in a new file that only its owner can read.
pub fn new_state_key(file: &Path, out: &mut impl Write) -> Result<(), Error> {
    let key = random()?;
    let line = Zeroizing::new(format!("{}\n", BASE64_STANDARD.encode(*key)));
    let unwritable = |error: io::Error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "there is no such directory".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
            kind => kind.to_string(),
        };
        Error::Unwritable { file: file.to_owned(), what }
    };
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(file.to_owned()),
        _ => unwritable(error),
    })?;
    store(created, file, line.as_bytes()).map_err(|error| {
        // Half a key is no key; the file is ours, for it was not there before.
        let _ = std::fs::remove_file(file);
        unwritable(error)
    })?;
    let name = StateKey::new(key).name;
    writeln!(out, "{}: new state key {name}", file.display())?;
    writeln!(out, "Name it first in `state.key_files`: the first key seals, all of them open.")?;
    writeln!(out, "Keep a copy apart from the copies of the state: without the key they cannot be read, with it they can.")?;
    Ok(())
}

/// The key must be on disk before anything is sealed with it.
fn store(mut created: File, file: &Path, line: &[u8]) -> io::Result<()> {
    created.write_all(line)?;
    created.sync_all()?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// From the source of randomness that TLS uses.
fn random() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    let ring = rustls::crypto::ring::default_provider();
    ring.secure_random.fill(&mut bytes[..]).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        config::{Settings, tests::GOOD},
        credentials::InboxKeys,
    };

    fn shown(name: Option<&str>) -> String {
        let mut out = Vec::new();
        new_inbox_key(name, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_key_shown_opens_the_inbox_once_the_lines_stand_in_the_configuration() {
        let shown = shown(Some("the \"second\" key"));
        let key = shown.lines().find_map(|line| line.strip_prefix("    ")).unwrap();
        assert_eq!(key.len(), 43, "32 bytes in base64url without padding");
        let (_, lines) = shown.split_once("[[inbox.keys]]").unwrap();
        let settings = Settings::from_text(Path::new("site.toml"), &format!("{GOOD}\n[[inbox.keys]]{lines}"), []).unwrap();
        let keys = InboxKeys::new(&settings.inbox.keys);
        assert_eq!(keys.check(key.as_bytes(), chrono::DateTime::UNIX_EPOCH), Ok("the \"second\" key"));
        insta::assert_snapshot!(shown.replace(key, "KEY").replace(&hex::encode(Sha256::digest(key)), "DIGEST"), @r#"
        The new key is shown only now and stored nowhere. Give it to UNHCR in the way agreed for secrets:

            KEY

        Add these lines to the configuration, beside the keys that are there, then reload referrald:

        [[inbox.keys]]
        name = 'the "second" key'
        sha256 = "DIGEST"
        "#);
    }

    #[test]
    fn every_key_is_another_and_a_name_is_one_line() {
        assert_ne!(shown(None), shown(None));
        assert!(shown(None).contains("\nname = \"dtp\"\n"));
        for name in ["", " ", "a\nb"] {
            let said = new_inbox_key(Some(name), &mut Vec::new()).unwrap_err().to_string();
            assert_eq!(said, "the name of a key is one line of text that is not blank");
        }
    }

    #[test]
    fn a_state_key_is_written_for_its_owner_alone_and_never_over_another() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state.key");
        let mut out = Vec::new();
        new_state_key(&file, &mut out).unwrap();
        let written = fs::read_to_string(&file).unwrap();
        let key = StateKey::read(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!((written.len(), written.lines().count()), (45, 1));
        let shown = String::from_utf8(out).unwrap().replace(&directory.path().display().to_string(), "DIR");
        insta::assert_snapshot!(shown.replace(&key.name, "NAME"), @"
        DIR/state.key: new state key NAME
        Name it first in `state.key_files`: the first key seals, all of them open.
        Keep a copy apart from the copies of the state: without the key they cannot be read, with it they can.
        ");

        let said = |file: &Path| {
            let said = new_state_key(file, &mut Vec::new()).unwrap_err().to_string();
            said.replace(&directory.path().display().to_string(), "DIR")
        };
        assert_eq!(
            said(&file),
            "DIR/state.key: is there already, and a key is never written over another (hint: name a new file; what is sealed with \
             the old key needs the old key)"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), written);
        assert_eq!(
            said(&directory.path().join("none/state.key")),
            "DIR/none/state.key: the key cannot be written: there is no such directory (hint: look at the directory and its permissions)"
        );
    }
}
