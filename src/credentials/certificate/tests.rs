//! Certificate files as they are met in the field.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::*;
use crate::config::tests::GOOD;

/// A directory for the files of one test.
pub(in crate::credentials) struct Files(tempfile::TempDir);

impl Files {
    pub(in crate::credentials) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(in crate::credentials) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.0.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn said<T>(&self, result: Result<T, Error>) -> String {
        result.map_or_else(|error| error.to_string().replace(&self.0.path().display().to_string(), "DIR"), |_| "fine".to_owned())
    }
}

fn params(name: &str, organisation: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["client.example.org".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params
}

/// Key, certificate and the certificate of its issuer, all PEM.
pub(in crate::credentials) fn issued() -> (String, String, String) {
    let mut authority = params("Authority", "Example");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params("referrald", "Example").signed_by(&key, &authority).unwrap();
    (key.serialize_pem(), certificate.pem(), authority.pem())
}

fn self_signed(organisation: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (key.serialize_pem(), params("referrald", organisation).self_signed(&key).unwrap().pem())
}

#[test]
fn a_bundle_is_read_in_any_order_with_any_line_breaks() {
    let (key, leaf, authority) = issued();
    for (name, bundle) in [
        ("certificate first", format!("{leaf}{authority}{key}")),
        ("key first", format!("{key}{leaf}{authority}")),
        ("authority first", format!("{authority}{leaf}{key}")),
        ("text between", format!("Bag Attributes\n  friendlyName: x\n{key}\nsubject=CN\n{authority}\n{leaf}")),
        ("windows", format!("{key}{leaf}{authority}").replace('\n', "\r\n")),
        ("byte order mark", format!("\u{feff}{leaf}{authority}{key}")),
    ] {
        let files = Files::new();
        let file = files.write("bundle.pem", bundle);
        let certificate = ClientCertificate::load(&file, &file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(certificate.subject, "CN=referrald, O=Example", "{name}");
        assert_eq!(certificate.pair().cert.len(), 2, "{name}");
        assert_eq!(certificate.pair().cert[0], CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap(), "{name}");
    }
}

#[test]
fn thumbprints_are_those_of_openssl_and_compared_in_any_spelling() {
    let files = Files::new();
    let file = files.write("rsa.pem", include_bytes!("tests/rsa-bundle.pem"));
    let certificate = ClientCertificate::load(&file, &file).unwrap();
    assert_eq!(certificate.thumbprint, "49469925C257F5CF5AAF930E1BB2C7984DABB708");
    assert_eq!(certificate.sha256, "30FF902C337712073330 6D204CF324D98AED5BF4ECD288055D54AC0A051CB117".replace(' ', ""));
    assert_eq!(certificate.subject, "CN=referrald test, O=Made for tests, opens nothing");
    assert_eq!(certificate.not_before.to_rfc3339(), "2026-11-22T01:44:53+00:00");
    assert_eq!(certificate.not_after.to_rfc3339(), "2126-10-29T01:44:53+00:00");
    for same in [
        "49:46:99:25:C2:57:F5:CF:5A:AF:93:0E:1B:B2:C7:98:4D:AB:B7:08",
        "49469925c257f5cf5aaf930e1bb2c7984dabb708",
        "\u{200e}49 46 99 25 c2 57 f5 cf 5a af 93 0e 1b b2 c7 98 4d ab b7 08",
    ] {
        assert!(certificate.has_thumbprint(same), "{same}");
    }
    assert!(!certificate.has_thumbprint("49469925C257F5CF5AAF930E1BB2C7984DABB709"));
    assert!(!certificate.has_thumbprint(""));
    assert_eq!(format!("{certificate:?}"), "ClientCertificate(49469925C257F5CF5AAF930E1BB2C7984DABB708)");
}

#[test]
fn an_expired_certificate_is_a_status_and_no_error() {
    let files = Files::new();
    let (key, certificate) = self_signed("Example");
    let file = files.write("bundle.pem", format!("{certificate}{key}"));
    let certificate = ClientCertificate::load(&file, &file).unwrap();
    for (now, validity) in [
        ("2025-12-31T23:59:59Z", Validity::NotYet),
        ("2026-01-01T00:00:00Z", Validity::Valid),
        ("2027-01-01T00:00:00Z", Validity::Valid),
        ("2027-01-01T00:00:01Z", Validity::Expired),
    ] {
        assert_eq!(certificate.validity(now.parse().unwrap()), validity, "{now}");
    }
}

#[test]
fn what_cannot_be_used_is_said_with_what_to_do() {
    let files = Files::new();
    let (key, leaf, authority) = issued();
    let der = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
    let damaged = leaf.replacen("MII", "M!I", 1);
    let not_x509 = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let small = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    let cut = &key[..key.len() - 20];
    let mut all = Vec::new();
    for (name, certificate, key) in [
        ("another key", leaf.as_bytes(), KeyPair::generate().unwrap().serialize_pem().as_bytes()),
        ("the authority alone", authority.as_bytes(), key.as_bytes()),
        ("DER", &der, key.as_bytes()),
        ("key as certificate", key.as_bytes(), key.as_bytes()),
        ("certificate as key", leaf.as_bytes(), leaf.as_bytes()),
        ("DER as key", leaf.as_bytes(), &der),
        ("damaged", damaged.as_bytes(), key.as_bytes()),
        ("not a certificate", not_x509.as_bytes(), key.as_bytes()),
        ("not a key", leaf.as_bytes(), small.as_bytes()),
        ("encrypted key", leaf.as_bytes(), encrypted.as_bytes()),
        ("key encrypted the old way", leaf.as_bytes(), older.as_bytes()),
        ("cut", leaf.as_bytes(), cut.as_bytes()),
    ] {
        let (certificate, key) = (files.write("client.pem", certificate), files.write("client.key", key));
        all.push(format!("{name}: {}", files.said(ClientCertificate::load(&certificate, &key))));
    }
    insta::assert_snapshot!(all.join("\n"), @"
    another key: DIR/client.pem: does not belong to the key in DIR/client.key (hint: request a certificate for this key, or name the key that it was issued for)
    the authority alone: DIR/client.pem: does not belong to the key in DIR/client.key (hint: request a certificate for this key, or name the key that it was issued for)
    DER: DIR/client.pem: is not PEM but DER or PKCS#12 (hint: `openssl x509 -inform der`, or `openssl pkcs12`, makes PEM of it)
    key as certificate: DIR/client.pem: holds no certificate (hint: a PEM file with `-----BEGIN CERTIFICATE-----` is wanted)
    certificate as key: DIR/client.key: holds no private key (hint: a PEM file with `-----BEGIN PRIVATE KEY-----` is wanted)
    DER as key: DIR/client.key: is not PEM but DER or PKCS#12 (hint: `openssl pkey -inform der`, or `openssl pkcs12`, makes PEM of it)
    damaged: DIR/client.pem: holds PEM that is damaged (hint: copy the file again, whole)
    not a certificate: DIR/client.pem: holds a certificate that cannot be read (hint: copy the file again, whole)
    not a key: DIR/client.key: holds a key of a kind that cannot be used (hint: RSA of 2048 bits or more, ECDSA on P-256 or P-384, and Ed25519 can)
    encrypted key: DIR/client.key: holds a private key that is encrypted with a password (hint: `openssl pkey -in FILE -out PLAIN` decrypts it; protect the plain file with its permissions)
    key encrypted the old way: DIR/client.key: holds a private key that is encrypted with a password (hint: `openssl pkey -in FILE -out PLAIN` decrypts it; protect the plain file with its permissions)
    cut: DIR/client.key: holds PEM that is damaged (hint: copy the file again, whole)
    ");
}

#[test]
fn only_a_file_that_holds_a_key_must_be_closed_to_others() {
    let files = Files::new();
    let (key, leaf, _) = issued();
    let open = |file: &Path| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    let (certificate, key_file) = (files.write("client.pem", &leaf), files.write("client.key", &key));
    open(&certificate);
    assert_eq!(files.said(ClientCertificate::load(&certificate, &key_file)), "fine");
    let bundle = files.write("bundle.pem", format!("{leaf}{key}"));
    open(&bundle);
    let hint = "(hint: `chmod o-rwx`; mount a container secret with mode 0440)";
    let said = format!("DIR/bundle.pem: holds a secret, and its mode 0644 opens it to everybody on this machine {hint}");
    assert_eq!(files.said(ClientCertificate::load(&bundle, &key_file)), said);
    open(&key_file);
    assert_eq!(files.said(ClientCertificate::load(&certificate, &key_file)), said.replace("bundle.pem", "client.key"));
}

#[test]
fn the_configured_thumbprint_must_be_its_own_and_production_takes_nothing_of_the_sandbox() {
    let files = Files::new();
    let settings = |environment: &str, thumbprint: &str| {
        let text = GOOD
            .replace("programme = \"kakuma\"", &format!("programme = \"kakuma\"\nenvironment = \"{environment}\""))
            .replace("[dtp]", &format!("[dtp]\n{thumbprint}ca_file = \"authority.pem\""))
            .replace("[inbox]", "[inbox]\ntls = { certificate_file = \"inbox.pem\", key_file = \"inbox.key\" }");
        Settings::from_text(&files.0.path().join("site.toml"), &text, []).unwrap()
    };
    fs::create_dir(files.0.path().join("secrets")).unwrap();
    let place = |organisation: &str| {
        let (key, certificate) = self_signed(organisation);
        files.write("secrets/client.pem", &certificate);
        files.write("secrets/client.key", key);
        files.write("authority.pem", &certificate);
        files.write("inbox.pem", certificate);
    };

    place("Example");
    let production = settings("production", "");
    let ours = ClientCertificate::of(&production).unwrap().thumbprint;
    assert_eq!(files.said(refuse_sandbox(&production)), "fine");
    let spelled = format!("thumbprint = \"{}\"\n", ours.to_lowercase());
    assert_eq!(files.said(ClientCertificate::of(&settings("production", &spelled))), "fine");
    let other = format!("thumbprint = \"{}\"\n", "AB".repeat(20));
    assert_eq!(
        files.said(ClientCertificate::of(&settings("test", &other))),
        format!(
            "DIR/secrets/client.pem: has the thumbprint {ours}, which is not the configured one (hint: put it into `dtp.thumbprint` \
             once UNHCR knows it, or name the old certificate)"
        )
    );

    place(SANDBOX_ORGANISATION);
    assert_eq!(files.said(ClientCertificate::of(&settings("test", ""))), "fine");
    assert_eq!(files.said(refuse_sandbox(&settings("test", ""))), "fine");
    let refused = "is a certificate of the sandbox (hint: production needs one of its own)";
    assert_eq!(files.said(ClientCertificate::of(&production)), format!("DIR/secrets/client.pem: {refused}"));
    assert_eq!(files.said(refuse_sandbox(&production)), format!("DIR/authority.pem: {refused}"));
    let (_, example) = self_signed("Example");
    files.write("authority.pem", example);
    assert_eq!(files.said(refuse_sandbox(&production)), format!("DIR/inbox.pem: {refused}"));
}
