//! `referrald certificate`: what UNHCR has to know about our client certificate.
//!
//! It reads the files and opens no connection. Nothing it shows is secret.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use chrono::{DateTime, Utc};

use crate::{
    config::Settings,
    credentials::{self, Certificates, ClientCertificate, Validity},
    zone::Zone,
};

/// Why it could not be told, or what is wrong with what was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The files cannot be used, or hold another certificate than the configured one.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// The text cannot be shown.
    #[error("the text cannot be written")]
    Output(#[from] io::Error),
}

/// Shows the certificate, and the one that takes its place, in the programme's time zone; then says whether they are those that are
/// configured.
pub fn show_certificate(settings: &Settings, now: DateTime<Utc>, out: &mut impl Write) -> Result<(), Error> {
    let (dtp, zone) = (&settings.dtp, settings.schedule.time_zone);
    let first = ClientCertificate::load(&dtp.certificate_file, &dtp.key_file)?;
    writeln!(out, "Send these lines to UNHCR, so that DTP knows the client certificate of {}:", settings.programme)?;
    show(&first, zone, now, out)?;
    if let Some(next) = &dtp.next {
        let from = zone.to_the_second(next.from);
        let uses = if next.from <= now { "takes its place since" } else { "takes its place from" };
        writeln!(out)?;
        writeln!(out, "This one {uses} {from} on; UNHCR must know it before:")?;
        show(&ClientCertificate::load(&next.certificate_file, &next.key_file)?, zone, now, out)?;
    }
    let (first, next) = Certificates::of(settings);
    first?;
    next.transpose()?;
    Ok(())
}

/// Whether both files are there.
#[must_use]
pub fn is_there((certificate, key): &(PathBuf, PathBuf)) -> bool {
    certificate.exists() && key.exists()
}

/// Shows the certificate of a configuration that is not complete yet: what is missing in it may be what UNHCR gives in return.
/// Times are UTC, for it may not say the programme's zone.
pub fn show_before_all_is_filled_in(
    (certificate, key): &(PathBuf, PathBuf),
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let certificate = ClientCertificate::load(certificate, key)?;
    writeln!(out, "Send these lines to UNHCR, so that DTP knows the client certificate:")?;
    show(&certificate, Zone::UTC, now, out)?;
    writeln!(out)?;
    writeln!(out, "The configuration is not complete yet (hint: `referrald check` says what is missing).")?;
    Ok(())
}

fn show(certificate: &ClientCertificate, zone: Zone, now: DateTime<Utc>, out: &mut impl Write) -> io::Result<()> {
    let time = |time| zone.to_the_second(time);
    let remark = match certificate.validity(now) {
        Validity::NotYet => "  (not valid yet)",
        Validity::Valid => "",
        Validity::Expired => "  (expired)",
    };
    writeln!(out)?;
    writeln!(out, "Thumbprint (SHA-1)  {}", certificate.thumbprint)?;
    writeln!(out, "SHA-256             {}", certificate.sha256)?;
    writeln!(out, "Subject             {}", certificate.subject)?;
    writeln!(out, "Valid from          {}", time(certificate.not_before))?;
    writeln!(out, "Valid until         {}{remark}", time(certificate.not_after))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::config::tests::GOOD;

    #[test]
    fn the_certificate_is_shown_as_azure_spells_it_in_the_programmes_zone() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("bundle.pem");
        fs::write(&bundle, include_bytes!("../credentials/certificate/tests/rsa-bundle.pem")).unwrap();
        fs::set_permissions(&bundle, fs::Permissions::from_mode(0o640)).unwrap();
        let show = |more: &str, now: &str| {
            let text = GOOD
                .replace("secrets/client.pem", "bundle.pem")
                .replace("secrets/client.key", "bundle.pem")
                .replace("[dtp]", &format!("[dtp]\n{more}"))
                .replace("[schedule]", "[schedule]\ntime_zone = \"Africa/Addis_Ababa\"");
            let settings = Settings::from_text(&directory.path().join("site.toml"), &text, []).unwrap();
            let mut out = Vec::new();
            let result = show_certificate(&settings, now.parse().unwrap(), &mut out);
            (String::from_utf8(out).unwrap(), result.map_err(|error| error.to_string()))
        };
        let (shown, result) = show("", "2127-01-01T00:00:00Z");
        insta::assert_snapshot!(shown, @"
        Send these lines to UNHCR, so that DTP knows the client certificate of kakuma:

        Thumbprint (SHA-1)  49469925C257F5CF5AAF930E1BB2C7984DABB708
        SHA-256             30FF902C3377120733306D204CF324D98AED5BF4ECD288055D54AC0A051CB117
        Subject             CN=referrald test, O=Made for tests, opens nothing
        Valid from          2026-11-22 04:44:53 EAT
        Valid until         2126-10-29 04:44:53 EAT  (expired)
        ");
        assert_eq!(result, Ok(()));

        let (shown, result) = show(&format!("thumbprint = \"{}\"", "AB".repeat(20)), "2026-12-01T00:00:00Z");
        assert!(shown.ends_with("Valid until         2126-10-29 04:44:53 EAT\n"), "{shown}");
        let said = result.unwrap_err().replace(&directory.path().display().to_string(), "DIR");
        assert!(said.starts_with("DIR/bundle.pem: has the thumbprint 49469925C257F5CF5AAF930E1BB2C7984DABB708, which"), "{said}");
    }

    #[test]
    fn the_next_certificate_is_shown_with_its_moment() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("bundle.pem");
        fs::write(&bundle, include_bytes!("../credentials/certificate/tests/rsa-bundle.pem")).unwrap();
        fs::set_permissions(&bundle, fs::Permissions::from_mode(0o640)).unwrap();
        let next = |more: &str| {
            format!(
                "[dtp]\nnext = {{ certificate_file = \"bundle.pem\", key_file = \"bundle.pem\", from = \"2027-03-01\"{more} }}"
            )
        };
        let show = |more: &str, now: &str| {
            let text = GOOD
                .replace("secrets/client.pem", "bundle.pem")
                .replace("secrets/client.key", "bundle.pem")
                .replace("[dtp]", &next(more));
            let settings = Settings::from_text(&directory.path().join("site.toml"), &text, []).unwrap();
            let mut out = Vec::new();
            let result = show_certificate(&settings, now.parse().unwrap(), &mut out).map_err(|error| error.to_string());
            (String::from_utf8(out).unwrap(), result)
        };
        let (shown, result) = show("", "2026-12-01T00:00:00Z");
        let second = "\nThis one takes its place from 2027-03-01 00:00:00 UTC on; UNHCR must know it before:\n\nThumbprint (SHA-1)  49469925C2";
        assert!(shown.contains(second), "{shown}");
        assert_eq!((shown.matches("Valid until").count(), result), (2, Ok(())));
        let (shown, result) = show(&format!(", thumbprint = \"{}\"", "AB".repeat(20)), "2027-12-01T00:00:00Z");
        assert!(shown.contains("\nThis one takes its place since 2027-03-01 00:00:00 UTC on"), "{shown}");
        assert!(result.unwrap_err().contains("(hint: put it into `dtp.next.thumbprint` once UNHCR knows it"));
    }
}
