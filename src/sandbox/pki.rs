//! A throw-away certificate authority, and certificates for servers and clients, good and bad.
//!
//! Everything it makes says in its subject and issuer that it is no good for production. It keeps nothing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest as _, Sha1};

/// The organization in the subject and the issuer of every certificate made here.
pub const SANDBOX_MARK: &str = "referrald sandbox, not for production";

/// A certificate authority that lives as long as this value.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct Wish {
    name: String,
    alternative_names: Vec<String>,
    purpose: ExtendedKeyUsagePurpose,
    from: (i32, u8, u8),
    until: (i32, u8, u8),
}

impl Wish {
    /// For a client.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            alternative_names: Vec::new(),
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
            from: (2020, 1, 1),
            until: (2090, 1, 1),
        }
    }

    /// For a server under these names or addresses.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        Self {
            alternative_names: names.iter().map(|name| (*name).to_owned()).collect(),
            purpose: ExtendedKeyUsagePurpose::ServerAuth,
            ..Self::client(names.first().copied().unwrap_or("server"))
        }
    }

    /// For a server on the loopback.
    #[must_use]
    pub fn loopback() -> Self {
        Self::server(&["localhost", "127.0.0.1"])
    }

    /// Valid until the beginning of this day: year, month, day.
    #[must_use]
    pub fn until(mut self, year: i32, month: u8, day: u8) -> Self {
        self.until = (year, month, day);
        self
    }

    /// No longer valid.
    #[must_use]
    pub fn expired(self) -> Self {
        self.until(2021, 1, 1)
    }

    /// Not valid yet.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Self {
        self.from = (2089, 1, 1);
        self
    }
}

impl Authority {
    /// A new authority. No two are the same.
    ///
    /// # Panics
    /// If the machine gives no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name("throw-away authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("these parameters always make a certificate"))
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate, as DER.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Makes a certificate with a new key.
    ///
    /// # Panics
    /// If a name of the wish is not one, or the machine gives no random numbers.
    #[must_use]
    pub fn issue(&self, wish: Wish) -> Identity {
        let key = new_key();
        let mut params = CertificateParams::new(wish.alternative_names).expect("a wish holds proper names");
        params.distinguished_name = distinguished_name(&wish.name);
        params.extended_key_usages = vec![wish.purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let day = |(year, month, day)| date_time_ymd(year, month, day);
        (params.not_before, params.not_after) = (day(wish.from), day(wish.until));
        let certificate = params.signed_by(&key, &self.0).expect("these parameters always make a certificate");
        Identity { certificate, key }
    }

    /// Writes its certificate as `NAME.pem` and gives the path.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<PathBuf> {
        let path = directory.join(format!("{name}.pem"));
        fs::write(&path, self.certificate_pem())?;
        Ok(path)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// The certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The key, as unencrypted PKCS#8.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate, as DER.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The key, as DER.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// SHA-1 of the certificate, 40 upper-case hex digits.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint(self.certificate.der())
    }

    /// Writes `NAME.pem` and `NAME.key`, the key for its owner only, and gives both paths.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        fs::write(&certificate, self.certificate_pem())?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&key)?;
        file.write_all(self.key_pem().as_bytes())?;
        Ok((certificate, key))
    }
}

pub(super) fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode_upper(Sha1::digest(certificate))
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the machine gives random numbers")
}

fn distinguished_name(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::OrganizationName, SANDBOX_MARK);
    name.push(DnType::CommonName, common_name);
    name
}
