//! Passwords, keys and certificates: read from files, never printed.
//!
//! A file that everybody on the machine may read is refused. Nothing here knows where a secret is used, and no error
//! carries a piece of a file's content.

mod certificate;
mod files;
mod inbox_keys;
mod state_keys;
mod tls;

use std::{fmt, path::Path, path::PathBuf};

use zeroize::Zeroizing;

pub use self::{
    certificate::{Certificates, ClientCertificate, SANDBOX_ORGANISATION, Validity, refuse_sandbox},
    inbox_keys::{InboxKeys, KeyRefusal},
    state_keys::{StateKey, state_keys},
    tls::{authorities, tls_client_config, tls_server_config},
};

/// A password or a subscription key. Wiped from memory when it is dropped; its `Debug` says nothing.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Dresses a secret that did not come from a file.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads a secret of one line; one line break at the end does not count.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let bytes = files::secret_bytes(file)?;
        let wrong = |what, hint| Error::Content { file: file.to_owned(), what, hint };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not text", "one line of UTF-8 is wanted"))?;
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(wrong("is empty", "one line is wanted"));
        }
        if text.starts_with('\u{feff}') {
            return Err(wrong("begins with a byte order mark", "save it as UTF-8 without one"));
        }
        if text.contains(char::is_control) {
            return Err(wrong("holds more than one line, or control characters", "one line is wanted"));
        }
        Ok(Self::new(text.to_owned()))
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a credential cannot be used: the file, what is wrong with it, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {what} (hint: {hint})", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What happened.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Everybody on the machine may read or write the file.
    #[error("{}: holds a secret, and its mode {mode:04o} opens it to everybody on this machine (hint: `chmod o-rwx`; mount a container \
             secret with mode 0440)", file.display())]
    OpenToOthers {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold what it should.
    #[error("{}: {what} (hint: {hint})", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Certificate and key are not a pair.
    #[error("{}: does not belong to the key in {} (hint: request a certificate for this key, or name the key that it was issued for)",
            certificate_file.display(), key_file.display())]
    KeyDiffers {
        /// The certificate.
        certificate_file: PathBuf,
        /// The key.
        key_file: PathBuf,
    },
    /// The certificate is not the one that was configured.
    #[error("{}: has the thumbprint {thumbprint}, which is not the configured one (hint: put it into `{key}` once UNHCR knows \
             it, or name the old certificate)", file.display())]
    ThumbprintDiffers {
        /// The certificate.
        file: PathBuf,
        /// Its thumbprint.
        thumbprint: String,
        /// The key of the configuration that says otherwise.
        key: &'static str,
    },
    /// A certificate of the sandbox in production.
    #[error("{}: is a certificate of the sandbox (hint: production needs one of its own)", file.display())]
    Sandbox {
        /// The certificate.
        file: PathBuf,
    },
    /// Two state keys are one.
    #[error("{}: holds the same key as {} (hint: name each key once in `state.key_files`)", file.display(), other.display())]
    SameStateKey {
        /// The file.
        file: PathBuf,
        /// The file named before it.
        other: PathBuf,
    },
    /// Nothing to trust.
    #[error("this machine trusts no certificate authority (hint: install `ca-certificates`, or set `ca_file`)")]
    NoRoots,
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let shorten = |error: Error| error.to_string().replace(&directory.path().display().to_string(), "DIR");
        Secret::read(&file).map(|secret| secret.reveal().to_owned()).map_err(shorten)
    }

    #[test]
    fn a_secret_is_one_line_and_one_line_break_does_not_count() {
        for (content, secret) in [
            (&b"Marker"[..], "Marker"),
            (b"Marker\n", "Marker"),
            (b"Marker\r\n", "Marker"),
            (b" 00123 \n", " 00123 "),
            ("gehe\u{ef}m\n".as_bytes(), "gehe\u{ef}m"),
        ] {
            assert_eq!(read(content, 0o600), Ok(secret.to_owned()));
        }
        for (content, said) in [
            (&b""[..], "DIR/secret: is empty (hint: one line is wanted)"),
            (b"\n", "DIR/secret: is empty (hint: one line is wanted)"),
            (b"Marker\n\n", "DIR/secret: holds more than one line, or control characters (hint: one line is wanted)"),
            (b"Marker\nMarker\n", "DIR/secret: holds more than one line, or control characters (hint: one line is wanted)"),
            (b"Marker\xff", "DIR/secret: is not text (hint: one line of UTF-8 is wanted)"),
            ("\u{feff}Marker".as_bytes(), "DIR/secret: begins with a byte order mark (hint: save it as UTF-8 without one)"),
        ] {
            assert_eq!(read(content, 0o600), Err(said.to_owned()));
        }
    }

    #[test]
    fn a_secret_that_is_open_to_everybody_is_refused() {
        for mode in [0o400, 0o440, 0o600, 0o640, 0o660] {
            assert_eq!(read(b"Marker", mode), Ok("Marker".to_owned()), "{mode:o}");
        }
        for mode in [0o604, 0o602, 0o601, 0o644] {
            let said = format!(
                "DIR/secret: holds a secret, and its mode {mode:04o} opens it to everybody on this machine (hint: `chmod o-rwx`; \
                 mount a container secret with mode 0440)"
            );
            assert_eq!(read(b"Marker", mode), Err(said));
        }
    }

    #[test]
    fn what_is_no_file_is_said_and_a_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let said = |file: &Path| {
            Secret::read(file).expect_err("refused").to_string().replace(&directory.path().display().to_string(), "DIR")
        };
        assert_eq!(said(&path("none")), "DIR/none: there is no such file (hint: look at the path in the configuration)");
        assert_eq!(said(directory.path()), "DIR: is not a file (hint: look at the path in the configuration)");
        // A directory mounted as a container secret holds links to the current version.
        fs::write(path("version"), "Marker").unwrap();
        fs::set_permissions(path("version"), fs::Permissions::from_mode(0o440)).unwrap();
        std::os::unix::fs::symlink(path("version"), path("link")).unwrap();
        assert_eq!(Secret::read(&path("link")).unwrap().reveal(), "Marker");
        fs::write(path("large"), vec![b'a'; 2 << 20]).unwrap();
        fs::set_permissions(path("large"), fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(said(&path("large")), "DIR/large: is larger than 1 MiB (hint: look at the path in the configuration)");
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Secret::new("Marker".to_owned())), "Secret(…)");
    }
}
