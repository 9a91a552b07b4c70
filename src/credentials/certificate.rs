//! Our client certificate, and what UNHCR has to know about it.
//!
//! It reads files and compares; it opens no connection, and what an expired certificate means is not decided here.

use std::{fmt, path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::{certificate::X509Certificate, parse_x509_certificate, time::ASN1Time, x509::X509Name};
use zeroize::Zeroizing;

use super::{Error, files};
use crate::config::{Environment, Settings};

/// The organisation in every certificate that the sandbox makes. Production refuses it.
pub const SANDBOX_ORGANISATION: &str = "referrald sandbox, not for production";

/// A client certificate with its chain and its key.
#[derive(Clone)]
pub struct ClientCertificate {
    pair: Arc<CertifiedKey>,
    /// SHA-1 of the certificate, 40 upper-case hex digits without separators, as Azure spells it.
    pub thumbprint: String,
    /// SHA-256 of the certificate, spelled likewise.
    pub sha256: String,
    /// For whom it was issued.
    pub subject: String,
    /// From when it is valid.
    pub not_before: DateTime<Utc>,
    /// Until when it is valid.
    pub not_after: DateTime<Utc>,
}

/// Whether a certificate may be used today. Not an error: it blocks DTP, it does not keep the inbox shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Its first day is still to come.
    NotYet,
    /// It may be used.
    Valid,
    /// Its last day is over.
    Expired,
}

impl ClientCertificate {
    /// Reads certificate and key, both PEM; either file may hold both. They must belong together.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, Error> {
        let pair = pair(certificate_file, key_file)?;
        let certificate = parsed(&pair.cert[0], certificate_file)?;
        let validity = certificate.validity();
        Ok(Self {
            thumbprint: hex::encode_upper(Sha1::digest(&pair.cert[0])),
            sha256: hex::encode_upper(Sha256::digest(&pair.cert[0])),
            subject: certificate.subject().to_string(),
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
            pair: Arc::new(pair),
        })
    }

    /// Reads the certificate of these settings: it must have the configured thumbprint, and not be the sandbox's in production.
    pub fn of(settings: &Settings) -> Result<Self, Error> {
        let certificate = Self::load(&settings.dtp.certificate_file, &settings.dtp.key_file)?;
        certificate.check(settings)?;
        Ok(certificate)
    }

    /// Whether it is the certificate that these settings mean.
    pub fn check(&self, settings: &Settings) -> Result<(), Error> {
        let dtp = &settings.dtp;
        self.is_meant(settings, &dtp.certificate_file, dtp.thumbprint.as_deref(), "dtp.thumbprint")
    }

    fn is_meant(&self, settings: &Settings, file: &Path, configured: Option<&str>, key: &'static str) -> Result<(), Error> {
        if settings.environment == Environment::Production && self.pair.cert.iter().any(is_of_sandbox) {
            return Err(Error::Sandbox { file: file.to_owned() });
        }
        match configured {
            Some(configured) if !self.has_thumbprint(configured) => {
                Err(Error::ThumbprintDiffers { file: file.to_owned(), thumbprint: self.thumbprint.clone(), key })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this is its thumbprint, in any spelling: colons, blanks and small letters do not count.
    #[must_use]
    pub fn has_thumbprint(&self, spelled: &str) -> bool {
        let digits: String = spelled.chars().filter(char::is_ascii_hexdigit).collect();
        digits.eq_ignore_ascii_case(&self.thumbprint)
    }

    /// Whether it may be used at this time.
    #[must_use]
    pub fn validity(&self, now: DateTime<Utc>) -> Validity {
        if now < self.not_before {
            Validity::NotYet
        } else if now > self.not_after {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    /// Chain and key as TLS takes them; the certificate itself comes first.
    #[must_use]
    pub fn pair(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.pair)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.thumbprint)
    }
}

/// Our client certificate, and the one that takes its place.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The first.
    pub first: ClientCertificate,
    /// The one that is to come, and from when on it is used.
    pub next: Option<(DateTime<Utc>, ClientCertificate)>,
}

impl Certificates {
    /// Reads the certificates of these settings, each by itself.
    pub fn of(settings: &Settings) -> (Result<ClientCertificate, Error>, Option<Result<ClientCertificate, Error>>) {
        let next = settings.dtp.next.as_ref().map(|next| {
            let certificate = ClientCertificate::load(&next.certificate_file, &next.key_file)?;
            certificate.is_meant(settings, &next.certificate_file, next.thumbprint.as_deref(), "dtp.next.thumbprint")?;
            Ok(certificate)
        });
        (ClientCertificate::of(settings), next)
    }

    /// The one that is used at this time.
    #[must_use]
    pub fn in_use(&self, now: DateTime<Utc>) -> &ClientCertificate {
        match &self.next {
            Some((from, next)) if *from <= now => next,
            Some(_) | None => &self.first,
        }
    }

    /// When those end that are or will be used. One that ends after another has taken its place is nobody's concern.
    pub fn ends(&self, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let in_time = self.next.as_ref().is_some_and(|(from, _)| *from <= self.first.not_after || *from <= now);
        let first = Some(self.first.not_after).filter(|_| !in_time);
        first.into_iter().chain(self.next.as_ref().map(|(_, next)| next.not_after))
    }
}

/// Refuses every certificate file of production settings that comes from the sandbox: authorities to trust, the inbox's own.
pub fn refuse_sandbox(settings: &Settings) -> Result<(), Error> {
    if settings.environment == Environment::Test {
        return Ok(());
    }
    let inbox = settings.inbox.tls.as_ref().map(|tls| &tls.certificate_file);
    for file in [&settings.primero.ca_file, &settings.dtp.ca_file].into_iter().flatten().chain(inbox) {
        if certificates(file)?.iter().any(is_of_sandbox) {
            return Err(Error::Sandbox { file: file.clone() });
        }
    }
    Ok(())
}

/// Certificate chain and key that belong together. The certificate of the key comes first, wherever it stood in the file.
pub(super) fn pair(certificate_file: &Path, key_file: &Path) -> Result<CertifiedKey, Error> {
    let mut chain = certificates(certificate_file)?;
    let key = Zeroizing::new(private_key(key_file)?);
    let signing_key = any_supported_type(&key).map_err(|_| Error::Content {
        file: key_file.to_owned(),
        what: "holds a key of a kind that cannot be used",
        hint: "RSA of 2048 bits or more, ECDSA on P-256 or P-384, and Ed25519 can",
    })?;
    let public_key = signing_key.public_key();
    let mut own = None;
    for (number, certificate) in chain.iter().enumerate() {
        let certificate = parsed(certificate, certificate_file)?;
        if own.is_none() && public_key.as_ref().is_some_and(|key| key.as_ref() == certificate.public_key().raw) {
            own = Some(number);
        }
    }
    let own =
        own.ok_or_else(|| Error::KeyDiffers { certificate_file: certificate_file.to_owned(), key_file: key_file.to_owned() })?;
    chain[..=own].rotate_right(1);
    Ok(CertifiedKey::new(chain, signing_key))
}

/// Every certificate of a PEM file; one at least.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = files::certificate_bytes(file)?;
    let wrong = |what, hint| Error::Content { file: file.to_owned(), what, hint };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem(&bytes)).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) if is_der(&bytes) => {
            Err(wrong("is not PEM but DER or PKCS#12", "`openssl x509 -inform der`, or `openssl pkcs12`, makes PEM of it"))
        }
        Ok(_) => Err(wrong("holds no certificate", "a PEM file with `-----BEGIN CERTIFICATE-----` is wanted")),
        Err(_) => Err(wrong("holds PEM that is damaged", "copy the file again, whole")),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = files::secret_bytes(file)?;
    let has = |marker: &[u8]| bytes.windows(marker.len()).any(|window| window == marker);
    let wrong = |what, hint| Error::Content { file: file.to_owned(), what, hint };
    if has(b"ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(wrong(
            "holds a private key that is encrypted with a password",
            "`openssl pkey -in FILE -out PLAIN` decrypts it; protect the plain file with its permissions",
        ));
    }
    match PrivateKeyDer::from_pem_slice(pem(&bytes)) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) if is_der(&bytes) => {
            Err(wrong("is not PEM but DER or PKCS#12", "`openssl pkey -inform der`, or `openssl pkcs12`, makes PEM of it"))
        }
        Err(rustls_pki_types::pem::Error::NoItemsFound) => {
            Err(wrong("holds no private key", "a PEM file with `-----BEGIN PRIVATE KEY-----` is wanted"))
        }
        Err(_) => Err(wrong("holds PEM that is damaged", "copy the file again, whole")),
    }
}

/// Without the byte order mark that some editors put in front.
fn pem(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>, file: &Path) -> Result<X509Certificate<'a>, Error> {
    let wrong = Error::Content {
        file: file.to_owned(),
        what: "holds a certificate that cannot be read",
        hint: "copy the file again, whole",
    };
    parse_x509_certificate(certificate).map(|(_, certificate)| certificate).map_err(|_| wrong)
}

fn is_of_sandbox(certificate: &CertificateDer<'_>) -> bool {
    let says_so = |name: &X509Name<'_>| name.iter_organization().any(|name| name.as_str() == Ok(SANDBOX_ORGANISATION));
    parse_x509_certificate(certificate).is_ok_and(|(_, it)| says_so(it.subject()) || says_so(it.issuer()))
}

fn time(time: ASN1Time) -> DateTime<Utc> {
    // A certificate's year has four digits, so the calendar holds it.
    DateTime::from_timestamp(time.timestamp(), 0).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests;
