//! How Primero and DTP are reached.
//!
//! It opens no connection and reads no secret.

use super::super::{
    Dtp, NextCertificate, Primero, Rate,
    reading::Reading,
    values::{self, Edge},
};
use crate::zone::Zone;

/// More attempts at a time than this are pointless, or a burden, as long as the rate is bounded.
const MOST_PARALLEL_WITH_RATE: usize = 5;

pub(super) fn primero(reading: &mut Reading) -> Option<Primero> {
    let url = reading.read("primero.url", values::primero_url);
    let user_name = reading.read("primero.user_name", values::text);
    let password_file = reading.secret_file("primero.password_file");
    let intake_user = reading.read("primero.intake_user", values::text);
    let ca_file = reading.path_if_given("primero.ca_file");
    let timeout = reading.read("primero.timeout", values::duration);
    let parallel = reading.read("primero.parallel", values::whole(1..=64_usize));
    let rate = reading.read("primero.rate", values::rate);
    if let (Some(parallel), Some(Rate::PerSecond(_))) = (parallel, rate)
        && parallel > MOST_PARALLEL_WITH_RATE
    {
        reading.refuse(
            "primero.parallel",
            format_args!("may be more than {MOST_PARALLEL_WITH_RATE} only with `primero.rate = \"unlimited\"`"),
        );
    }
    if user_name.as_ref().is_some_and(|name| name.contains(':')) {
        reading.refuse("primero.user_name", "must not hold a colon: HTTP Basic could not carry it");
    }
    Some(Primero {
        url: url?,
        user_name: user_name?,
        password_file: password_file?,
        intake_user: intake_user?,
        ca_file: ca_file?,
        timeout: timeout?,
        parallel: parallel?,
        rate: rate?,
    })
}

pub(super) fn dtp(reading: &mut Reading, zone: Zone) -> Option<Dtp> {
    let referral_url = reading.read("dtp.referral_url", values::dtp_url);
    let decision_url = reading.read("dtp.decision_url", values::dtp_url);
    let subscription_key_file = reading.secret_file("dtp.subscription_key_file");
    let subscription_key_header = reading.read("dtp.subscription_key_header", values::header);
    let certificate_file = reading.path("dtp.certificate_file");
    let key_file = reading.secret_file("dtp.key_file");
    let thumbprint = reading.read_if_given("dtp.thumbprint", values::thumbprint);
    let next = next(reading, zone);
    let thumbprint_header = reading.read("dtp.thumbprint_header", values::header_or_none);
    let ca_file = reading.path_if_given("dtp.ca_file");
    let timeout = reading.read("dtp.timeout", values::duration);
    let parallel = reading.read("dtp.parallel", values::whole(1..=64_usize));
    if referral_url.is_some() && referral_url == decision_url {
        reading.refuse("dtp.decision_url", "must not be the address of `dtp.referral_url`: UNHCR gives one for each");
    }
    for (key, url, other) in [
        ("dtp.referral_url", &referral_url, "/ReceiveDecisionOutgoingReferral"),
        ("dtp.decision_url", &decision_url, "/ReceiveIncomingReferral"),
    ] {
        if url.as_ref().is_some_and(|url| url.path().ends_with(other)) {
            reading.refuse(key, format_args!("must not end in `{other}`, which is the other of the two addresses"));
        }
    }
    if let (Some(key_header), Some(Some(thumbprint_header))) = (&subscription_key_header, &thumbprint_header)
        && key_header.eq_ignore_ascii_case(thumbprint_header)
    {
        reading.refuse("dtp.thumbprint_header", "must not be the header of `dtp.subscription_key_header`");
    }
    Some(Dtp {
        referral_url: referral_url?,
        decision_url: decision_url?,
        subscription_key_file: subscription_key_file?,
        subscription_key_header: subscription_key_header?,
        certificate_file: certificate_file?,
        key_file: key_file?,
        thumbprint: thumbprint?,
        next: next?,
        thumbprint_header: thumbprint_header?,
        ca_file: ca_file?,
        timeout: timeout?,
        parallel: parallel?,
    })
}

fn next(reading: &mut Reading, zone: Zone) -> Option<Option<NextCertificate>> {
    let certificate_file = reading.path_if_given("dtp.next.certificate_file");
    let key_file = reading.secret_file_if_given("dtp.next.key_file");
    let thumbprint = reading.read_if_given("dtp.next.thumbprint", values::thumbprint);
    let from = reading.read_if_given("dtp.next.from", values::moment(zone, Edge::First));
    let absent = [
        ("certificate_file", matches!(certificate_file, Some(None))),
        ("key_file", matches!(key_file, Some(None))),
        ("from", matches!(from, Some(None))),
    ];
    if absent.iter().all(|(_, absent)| *absent) && matches!(thumbprint, Some(None)) {
        return Some(None);
    }
    for (key, _) in absent.into_iter().filter(|(_, absent)| *absent) {
        reading
            .refuse(&format!("dtp.next.{key}"), "is missing: a certificate that is to come needs its file, its key and a moment");
    }
    let thumbprint = thumbprint?;
    Some(Some(NextCertificate { certificate_file: certificate_file??, key_file: key_file??, thumbprint, from: from?? }))
}
