//! Asks Primero about itself and about us: one login first, then account, forms, options, users, and what we must not see.

use chrono::{DateTime, TimeDelta};

use super::{Findings, Problem, fit, labels::Label, rights};
use crate::{
    clock::Clock,
    config::Settings,
    credentials::{self, Secret},
    mapping::{Mapping, rules::Message},
    primero::{Client, Gate, OwnAccount, Trouble},
    programme::Fields,
};

/// The module of gender-based violence, which nobody here may see.
pub(super) const GBV: &str = "primeromodule-gbv";
/// The field of a case that names its owner.
const OWNER: &str = "owned_by";
/// How far the clocks may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Checks Primero.
pub(super) async fn check(settings: &Settings, mapping: Option<&Mapping>, clock: &Clock) -> Findings {
    let mut findings = Findings::default();
    let client = match client(settings, clock) {
        Ok(client) => client,
        Err(problem) => {
            findings.notes.push("not asked".to_owned());
            findings.problems.extend(problem);
            return findings;
        }
    };
    // This is the login: one request. What is refused here is not tried again.
    let own = match client.own_account().await {
        Ok(Some(own)) => own,
        Ok(None) => {
            findings.problems.push(Problem::outside(
                "our own account cannot be read, so nothing more can be checked (hint: the role needs `read` on users)",
            ));
            return findings;
        }
        Err(trouble) => {
            findings.problems.push(Problem::outside(login(&trouble)));
            return findings;
        }
    };
    skew(&client, &mut findings);
    rights::check(&own, settings, mapping, &mut findings);
    if let Some(mapping) = mapping {
        forms(&client, &own, settings, mapping, &mut findings, &mut Vec::new()).await;
    }
    users(&client, settings, mapping, &mut findings).await;
    unseen(&client, &mut findings).await;
    findings
}

/// What Primero says about a mapping alone: forms, options with their labels, users.
#[derive(Default)]
pub(in crate::command) struct Live {
    pub(in crate::command) findings: Findings,
    pub(in crate::command) labels: Vec<Label>,
}

/// Compares a mapping with Primero.
pub(in crate::command) async fn live(settings: &Settings, mapping: &Mapping, clock: &Clock) -> Live {
    let Live { mut findings, mut labels } = Live::default();
    match client(settings, clock) {
        Ok(client) => match client.own_account().await {
            Ok(Some(own)) => {
                forms(&client, &own, settings, mapping, &mut findings, &mut labels).await;
                users(&client, settings, Some(mapping), &mut findings).await;
                let agencies = &settings.referrals.owner_agencies;
                if !agencies.is_empty() {
                    findings.notes.push(format!(
                        "agencies cannot be asked of Primero with the rights of this account; compare by hand: {}",
                        agencies.join(", ")
                    ));
                }
            }
            Ok(None) => findings.problems.push(Problem::outside(
                "our own account cannot be read, so nothing more can be checked (hint: the role needs `read` on users)",
            )),
            Err(trouble) => findings.problems.push(Problem::outside(login(&trouble))),
        },
        Err(problem) => findings.problems.push(problem.unwrap_or_else(|| {
            Problem::outside("Primero was not asked: the password or the certificates cannot be read (hint: `referrald check`)")
        })),
    }
    Live { findings, labels }
}

/// `None` for what the check of the credentials has told already.
fn client(settings: &Settings, clock: &Clock) -> Result<Client, Option<Problem>> {
    let password = Secret::read(&settings.primero.password_file).map_err(|_| None)?;
    let tls = match settings.primero.url.scheme() {
        "http" => None,
        _ => Some(credentials::tls_client_config(settings.primero.ca_file.as_deref(), None).map_err(|_| None)?),
    };
    let gate = std::sync::Arc::new(Gate::unproven(clock.clone()));
    Client::new(&settings.primero, password.reveal(), tls, clock.clone(), gate)
        .map_err(|error| Some(Problem::configuration(format!("primero: {error}"))))
}

fn login(trouble: &Trouble) -> String {
    let hint = match trouble {
        Trouble::Unauthorized => {
            "look at `primero.user_name` and `primero.password_file`; it was tried once and not again, because six failures lock \
             the account for half an hour"
        }
        Trouble::Unwell(_) => "try again later; look at `primero.url`",
        Trouble::Forbidden => "the role needs `read` on users, to see itself and the owners of cases",
        Trouble::WrongUrl => "`primero.url` is the address that people open in the browser, without `/api/v2`",
        Trouble::CertificateRefused => "look at the host in `primero.url`, at `primero.ca_file` and at the clock",
        Trouble::NotFound | Trouble::Conflict | Trouble::Invalid(_) | Trouble::Refused(_) | Trouble::FilterIgnored => {
            "is this a Primero of version 2?"
        }
    };
    format!("{trouble} (hint: {hint})")
}

fn skew(client: &Client, findings: &mut Findings) {
    let Some(date) = client.server_date() else { return };
    let apart = (date.theirs - date.ours).abs();
    if apart > SKEW {
        findings.problems.push(Problem::outside(format!(
            "Primero's clock and ours are {} seconds apart (hint: let both machines follow a time server)",
            apart.num_seconds()
        )));
    }
}

async fn forms(
    client: &Client,
    own: &OwnAccount,
    settings: &Settings,
    mapping: &Mapping,
    findings: &mut Findings,
    labels: &mut Vec<Label>,
) {
    let told = async { Ok::<_, Trouble>((client.forms(mapping.module()).await?, client.lookups().await?)) };
    match told.await {
        Ok((forms, lookups)) => {
            let fields = Fields::of(settings, mapping);
            let fit = fit::Fit::new(own, &forms, &lookups);
            findings.problems.extend(fit.problems(settings, mapping, &fields).into_iter().map(Problem::outside));
            findings.notes.extend(fit.required_without_rule(mapping));
            labels.extend(fit.labels(settings, mapping));
        }
        Err(trouble) => findings.problems.push(asked("the forms and options", &trouble)),
    }
}

/// The user who owns new cases, and those to whom case workers refer.
async fn users(client: &Client, settings: &Settings, mapping: Option<&Mapping>, findings: &mut Findings) {
    let intake = ("primero.intake_user".to_owned(), settings.primero.intake_user.as_str());
    let recipients = settings.referrals.recipients.iter().zip(1..);
    let recipients = recipients.map(|(name, number)| (format!("referrals.recipients, entry {number}"), name.as_str()));
    let owners = mapping.into_iter().flat_map(|mapping| {
        let rows = mapping.rows().filter(|(message, row)| *message == Message::Case && row.target == OWNER);
        let named = rows.flat_map(|(_, row)| fit::written_values(row));
        named.map(|(name, place)| (format!("{}, the owner of a new case", mapping.written_at(place)), name))
    });
    let mut asked_before = std::collections::BTreeSet::new();
    for (place, name) in std::iter::once(intake).chain(recipients).chain(owners) {
        if !asked_before.insert(name) {
            continue;
        }
        match client.user(name).await {
            Ok(Some(user)) if user.disabled => findings.problems.push(Problem::outside(format!(
                "{place}: this user is disabled in Primero (hint: enable the user, or name another)"
            ))),
            Ok(Some(_)) => {}
            Ok(None) => findings.problems.push(Problem::outside(format!(
                "{place}: there is no such user that we may see (hint: user names are written as in Primero; the role's scope must \
                 cover the user)"
            ))),
            Err(trouble) => findings.problems.push(asked("a user", &trouble)),
        }
    }
}

/// A search for what we must not see has to find nothing.
async fn unseen(client: &Client, findings: &mut Findings) {
    match client.changed_cases(DateTime::UNIX_EPOCH, 1, 1, GBV, &["module_id"]).await {
        Ok(page) if page.rows.is_empty() => {}
        Ok(_) => findings.problems.push(Problem::outside(
            "cases of gender-based violence can be read with our account (hint: take the module away from the account; this system \
             must not see them)",
        )),
        Err(Trouble::FilterIgnored) => findings.problems.push(Problem::outside(
            "Primero did not honour the filter on the module (hint: the role needs `read` on cases, and a version of Primero that \
             filters by module)",
        )),
        Err(trouble) => findings.problems.push(asked("cases", &trouble)),
    }
}

fn asked(what: &str, trouble: &Trouble) -> Problem {
    Problem::outside(format!("{what} could not be read: {trouble} (hint: try again; the role may lack a right)"))
}
