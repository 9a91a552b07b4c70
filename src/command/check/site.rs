//! What lies on this machine: configuration, credentials, mapping. Nobody is asked.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Findings, Problem, prepared};
use crate::{
    alerts::{Targets, Unfit},
    config::{Flows, Settings},
    credentials::{self, Certificates, ClientCertificate, Secret, Validity},
    mapping::{Mapping, examples},
    programme::approval::approval,
};

/// What is read without a problem and cannot be meant so all the same.
pub(super) fn configuration(settings: &Settings, now: DateTime<Utc>) -> Findings {
    let mut problems = Vec::new();
    let agreement = &settings.agreement;
    if !agreement.is_valid(now) {
        problems.push(Problem::configuration(format!(
            "agreement: valid from {} until {}, not now: nothing leaves and the inbox answers 503 (hint: renew the agreement, then \
             `agreement.valid_until`)",
            stamp(agreement.valid_from),
            stamp(agreement.valid_until)
        )));
    }
    if settings.inbox.keys.iter().all(|key| key.expires.is_some_and(|end| end <= now)) {
        problems.push(Problem::configuration(
            "inbox.keys: every key has expired, so DTP cannot post (hint: `referrald key new` makes one)",
        ));
    }
    let mut notes = Vec::new();
    let Flows { to_primero, to_dtp } = prepared(settings);
    let flows = [
        ("flows.to_primero", settings.flows.to_primero, to_primero, "flow1.service_types"),
        ("flows.to_dtp", settings.flows.to_dtp, to_dtp, "referrals.service_types"),
    ];
    for (key, on, prepared, list) in flows {
        if !prepared {
            notes.push(format!(
                "`{key}` is off and `{list}` is empty: this flow rests, and whether Primero's forms and our role fit it is not looked at"
            ));
        } else if !on {
            notes.push(format!("`{key}` is off: this flow rests"));
        }
    }
    if !settings.alerts.on {
        notes.push("`alerts.on` is false: what needs a person is told by the operator's list and the log alone".to_owned());
    }
    Findings { problems, notes }
}

/// What we show to DTP.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The certificate that is used now.
    pub(super) now: Option<ClientCertificate>,
    /// The one that is to take its place.
    pub(super) then: Option<ClientCertificate>,
}

/// Every file that holds a secret or a certificate, each by itself.
pub(super) fn credentials(settings: &Settings, now: DateTime<Utc>) -> (Findings, Shown) {
    let (certificate, next) = Certificates::of(settings);
    let next = next.transpose();
    let tls = |roots: Option<&Path>| credentials::tls_client_config(roots, None).map(drop);
    let results = [
        credentials::state_keys(&settings.state.key_files).map(drop),
        Secret::read(&settings.primero.password_file).map(drop),
        Secret::read(&settings.dtp.subscription_key_file).map(drop),
        tls(settings.primero.ca_file.as_deref()),
        tls(settings.dtp.ca_file.as_deref()),
        settings.inbox.tls.as_ref().map_or(Ok(()), |tls| credentials::tls_server_config(tls).map(drop)),
        credentials::refuse_sandbox(settings),
        certificate.as_ref().map(drop).map_err(Clone::clone),
        next.as_ref().map(drop).map_err(Clone::clone),
    ];
    let mut problems: Vec<Problem> = Vec::new();
    for error in results.into_iter().filter_map(Result::err) {
        let problem = Problem::outside(error);
        // One file may serve twice.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if let Err(unfit) = Targets::of(settings) {
        problems.push(match unfit {
            Unfit::Credentials(error) => Problem::outside(error),
            Unfit::Client { .. } => Problem::configuration(unfit),
        });
    }
    let certificate = certificate.ok();
    let next = settings.dtp.next.as_ref().map(|next| next.from).zip(next.ok().flatten());
    let mut notes = Vec::new();
    let (mut replaced, mut from_then) = (false, None);
    if let Some((from, next)) = next {
        replaced = from <= now;
        problems.extend(gaps(certificate.as_ref(), from, &next).map(Problem::outside));
        notes.push(format!("dtp.next: {} takes its place from {} on", next.thumbprint, stamp(from)));
        from_then = Some(next);
    }
    // Who has been replaced is asked nothing more.
    let (certificate, then) = if replaced { (from_then, None) } else { (certificate, from_then) };
    let validity = certificate.as_ref().map(|certificate| (certificate.validity(now), certificate));
    match validity {
        Some((Validity::Expired, certificate)) => problems.push(Problem::outside(format!(
            "dtp.certificate_file: expired on {} (hint: ask for a new certificate and tell UNHCR its thumbprint: `referrald \
             certificate`)",
            stamp(certificate.not_after)
        ))),
        Some((Validity::NotYet, certificate)) => problems.push(Problem::outside(format!(
            "dtp.certificate_file: valid only from {} (hint: is the clock of this machine right?)",
            stamp(certificate.not_before)
        ))),
        Some((Validity::Valid, _)) | None => {}
    }
    (Findings { problems, notes }, Shown { now: certificate, then })
}

/// When neither of the two certificates can be used, although one takes the place of the other.
fn gaps(first: Option<&ClientCertificate>, from: DateTime<Utc>, next: &ClientCertificate) -> impl Iterator<Item = String> {
    let early = first.filter(|first| first.not_after < from).map(|first| {
        format!(
            "dtp.next.from: is {}, and the certificate before it ends on {} (hint: let it take its place earlier)",
            stamp(from),
            stamp(first.not_after)
        )
    });
    let late = (from < next.not_before || next.not_after <= from).then(|| {
        format!(
            "dtp.next.certificate_file: is valid from {} until {}, so not at the moment in `dtp.next.from` (hint: choose another moment)",
            stamp(next.not_before),
            stamp(next.not_after)
        )
    });
    early.into_iter().chain(late)
}

/// The mapping and its examples.
pub(super) fn mapping(directory: &Path) -> (Findings, Option<Mapping>) {
    let mapping = match Mapping::load(directory) {
        Ok(mapping) => mapping,
        Err(problems) => {
            let problems = problems.0.into_iter().map(Problem::configuration).collect();
            return (Findings { problems, notes: Vec::new() }, None);
        }
    };
    let mut findings = Findings::default();
    let ran = examples::run(&mapping, directory);
    findings.problems.extend(ran.findings().into_iter().map(Problem::configuration));
    if findings.problems.is_empty() {
        findings.notes.push(format!("version {}, {} examples", mapping.version(), ran.tried()));
    }
    (findings, Some(mapping))
}

/// Whether the lists of the configuration speak the words of the mapping, and whether the mapping may be used as it stands.
pub(super) fn fitness(settings: &Settings, mapping: &Mapping, findings: &mut Findings) {
    let listed = [
        ("flow1.service_types", &settings.flow1.service_types, mapping.service_types_in()),
        ("referrals.service_types", &settings.referrals.service_types, mapping.service_types_out()),
    ];
    for (key, types, part) in listed {
        let Some(lookup) = part.and_then(|part| part.lookup.as_ref()) else { continue };
        for service_type in types.iter().filter(|service_type| lookup.table.get(service_type).is_none()) {
            findings.problems.push(Problem::configuration(format!(
                "{key}: `{service_type}` is not in the table `{}` of the mapping (hint: its column `{}` lists what can be mapped)",
                lookup.table.name, lookup.table.looked_up
            )));
        }
    }
    let judged = approval(settings, mapping);
    findings.problems.extend(judged.refused.into_iter().map(Problem::configuration));
    findings.notes.extend(judged.warned);
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
