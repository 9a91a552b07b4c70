//! The nine items of the security checklist that was published with the pilot in Gambella: how each is met here, what is not, and
//! what only people can confirm.
//!
//! What the program does by its nature is said; what the machine shows is looked at; nothing that people do is taken for granted.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{Findings, Problem};
use crate::{
    config::{Environment, Settings, alerts::Alerts},
    mapping::{Grade, Mapping},
    programme::approval::approval,
};

/// An item of the checklist.
pub(super) struct Item {
    pub(super) number: u8,
    /// What is asked for.
    pub(super) title: &'static str,
    /// How it is met, and what is known besides.
    pub(super) how: Vec<String>,
    /// What is not met.
    pub(super) problems: Vec<Problem>,
    /// What people have to confirm to each other.
    pub(super) to_confirm: &'static str,
}

/// What the rest of the check has found.
pub(super) struct Known<'a> {
    pub(super) config: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) mapping: Option<&'a Mapping>,
    pub(super) credentials: &'a Findings,
    /// `None` if it was not asked.
    pub(super) primero: Option<&'a Findings>,
    /// Likewise.
    pub(super) dtp: Option<&'a Findings>,
    pub(super) now: DateTime<Utc>,
}

/// Judges the nine items.
pub(super) fn items(known: &Known<'_>) -> Vec<Item> {
    vec![
        nothing_of_primero_is_kept(known),
        posts_are_erased(known),
        changes_have_a_history(known),
        the_log_is_signed_off(known),
        the_key_is_new(known),
        the_repository_is_closed(known),
        administrators_are_few(known),
        accounts_can_do_nothing_else(known),
        administrators_are_trained(),
    ]
}

fn nothing_of_primero_is_kept(known: &Known<'_>) -> Item {
    let directory = &known.settings.state.directory;
    Item {
        number: 1,
        title: "data of a case in Primero is never stored on the way",
        how: vec![
            "by its nature: the state holds numbers, codes and times; a case is read at the moment of sending and stays in memory".to_owned(),
            "core dumps are switched off by the program".to_owned(),
        ],
        problems: open_to_others(directory, 0o077).into_iter().collect(),
        to_confirm: "swap is off or encrypted on this machine",
    }
}

fn posts_are_erased(known: &Known<'_>) -> Item {
    Item {
        number: 2,
        title: "what UNHCR posts is erased when it has been put into Primero",
        how: vec![
            "by its nature: sealed on disk from the first moment, erased when it is settled, and after 7 days in any case"
                .to_owned(),
        ],
        problems: about(known.credentials, "key_file"),
        to_confirm: "copies of the state are kept for 7 days at most, and apart from the state key",
    }
}

fn changes_have_a_history(known: &Known<'_>) -> Item {
    let mut problems = Vec::new();
    if let Some(mapping) = known.mapping {
        let judged = approval(known.settings, mapping);
        problems.extend(judged.refused.into_iter().chain(judged.warned).map(Problem::configuration));
    } else {
        problems.push(Problem::configuration("the mapping cannot be loaded (hint: see the section `mapping`)"));
    }
    let version =
        known.mapping.map(|mapping| format!("the mapping is of version {}, which stands in the log", mapping.version()));
    Item {
        number: 3,
        title: "mapping and settings have a history, and a change is agreed before it is used",
        how: version
            .into_iter()
            .chain(["a mapping that was changed after its approval is told, and refused in production".to_owned()])
            .collect(),
        problems,
        to_confirm: "mapping and settings, without secrets, lie in a repository, and somebody looks at each change",
    }
}

fn the_log_is_signed_off(known: &Known<'_>) -> Item {
    let place = known.settings.activity_file.as_deref();
    Item {
        number: 4,
        title: "the partners have agreed to what is logged: numbers of systems, codes and times",
        how: vec![
            "by its nature: a closed list of events and fields, none of which can take free text or a value of a record"
                .to_owned(),
            "`referrald activity dictionary` prints that list".to_owned(),
        ],
        problems: place.and_then(|file| open_to_others(file, 0o007)).into_iter().collect(),
        to_confirm: "both agencies have signed what the dictionary prints, and how long the log is kept",
    }
}

fn the_key_is_new(known: &Known<'_>) -> Item {
    let settings = known.settings;
    let mut problems = Vec::new();
    if settings.environment != Environment::Production {
        problems.push(Problem::configuration("`environment` is \"test\" (hint: \"production\", with keys of its own)"));
    }
    if settings.inbox.keys.iter().all(|key| key.expires.is_some_and(|end| end <= known.now)) {
        problems.push(Problem::configuration("every key of the inbox has expired (hint: `referrald key new` makes one)"));
    }
    let names: Vec<&str> = settings.inbox.keys.iter().map(|key| key.name.as_str()).collect();
    let mut how = vec![format!("keys of the inbox: {}; the settings know only their hashes", names.join(", "))];
    match (&settings.inbox.tls, settings.inbox.behind_proxy) {
        (Some(_), _) => how.push("the inbox speaks TLS itself".to_owned()),
        (None, true) => how.push("TLS is ended by a proxy before the inbox".to_owned()),
        (None, false) => how.push("the inbox listens on the loopback only; a proxy on this machine has to speak TLS".to_owned()),
    }
    Item {
        number: 5,
        title: "the key of the inbox was made for production and given to UNHCR",
        how,
        problems,
        to_confirm: "the key was made anew, given to UNHCR's administrators in the way agreed for secrets, and the key of the tests is gone",
    }
}

fn the_repository_is_closed(known: &Known<'_>) -> Item {
    let (_, findings) = Mapping::inspect(&known.settings.mapping_directory);
    let of_people = |said: &str| said.contains("e-mail address") || said.contains("person's name");
    let named = findings.iter().filter(|finding| finding.grade == Grade::Warning && of_people(&finding.said));
    Item {
        number: 6,
        title: "who may read and change the repository is agreed, and no data lies in it",
        how: vec![
            "the examples of a mapping are invented people; `referrald mapping check` warns of names and e-mail addresses"
                .to_owned(),
        ],
        problems: named
            .map(|finding| Problem::configuration(format!("{}:{}: {}", finding.file.display(), finding.line, finding.said)))
            .collect(),
        to_confirm: "the repository of mapping and settings is private, and only the agreed administrators may write to it",
    }
}

fn administrators_are_few(known: &Known<'_>) -> Item {
    let settings = known.settings;
    // The service reads it under a user of its own, and no secret stands in it.
    let mut problems: Vec<Problem> = open_to_others(known.config, 0o002).into_iter().collect();
    if !settings.admin.listen.ip().is_loopback() {
        problems.push(Problem::configuration(
            "`admin.listen` is reached from other machines (hint: the loopback, and a tunnel for whoever may look)",
        ));
    }
    Item {
        number: 7,
        title: "who may administer it is agreed, and nobody else can",
        how: vec![
            "the command line answers root and the daemon's own account only; who did what is in the log".to_owned(),
            "secrets that others on this machine can read are refused".to_owned(),
            who_is_told(&settings.alerts),
        ],
        problems,
        to_confirm: "the list of people who may become root here, or the daemon's account, is agreed and written down; they are the ones whom alerts reach, and `referrald alerts test` has reached them",
    }
}

/// Whom alerts go to, by their way and their number: addresses are of people.
fn who_is_told(alerts: &Alerts) -> String {
    if !alerts.on {
        return "nobody is told when something needs a person: `alerts.on` is false (hint: name a target in `[alerts]`, or let \
                somebody look at the operator's list and the log, at night too)"
            .to_owned();
    }
    let webhook = alerts.webhook.as_ref().map(|webhook| ("a webhook".to_owned(), webhook.second_stage_url.is_some()));
    let mail = alerts.mail.as_ref().map(|mail| {
        let many = mail.to.len();
        (format!("mail to {many} address{}", if many == 1 { "" } else { "es" }), !mail.second_stage_to.is_empty())
    });
    let ways: Vec<_> = webhook.into_iter().chain(mail).collect();
    let second = if ways.iter().any(|(_, second)| *second) {
        "what stays open goes to a second stage"
    } else {
        "there is no second stage for what stays open"
    };
    let ways: Vec<String> = ways.into_iter().map(|(way, _)| way).collect();
    format!("who must act is told by {}; {second}", ways.join(" and "))
}

fn accounts_can_do_nothing_else(known: &Known<'_>) -> Item {
    let mut problems = Vec::new();
    for (name, found) in [("Primero", known.primero), ("DTP", known.dtp)] {
        match found {
            Some(found) if found.problems.is_empty() => {}
            Some(found) => {
                problems.push(Problem::outside(format!("{} problem(s) with {name}, told above", found.problems.len())))
            }
            None => problems.push(Problem::outside(format!("{name} was not asked (hint: without `--offline` it is)"))),
        }
    }
    problems.extend(about(known.credentials, "certificate"));
    Item {
        number: 8,
        title: "our accounts at Primero and at DTP may do what is needed, and nothing else",
        how: vec![
            "the rights of our role in Primero are compared with what is needed, and so is what must not be seen".to_owned(),
        ],
        problems,
        to_confirm: "the account in Primero is used by nothing and nobody else; UNHCR has the thumbprint of our certificate and of no other",
    }
}

fn administrators_are_trained() -> Item {
    Item {
        number: 9,
        title: "the administrators are trained",
        how: vec![
            "`referrald sandbox` plays all flows with invented people; docs/operations says what to do when".to_owned(),
            "`--help` of each command has an example".to_owned(),
        ],
        problems: Vec::new(),
        to_confirm: "two people at least have paused a flow, stopped a delivery, replaced a key and restored a copy, with the sandbox or the test systems",
    }
}

/// A file or directory that others on this machine may use. One that is not there yet is made as it should be.
fn open_to_others(path: &Path, bits: u32) -> Option<Problem> {
    let path: PathBuf = path.into();
    let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
    (mode & bits != 0).then(|| {
        let right = mode & !bits;
        let what = if bits & 0o005 == 0 { "change" } else { "use" };
        Problem::configuration(format!(
            "{}: others on this machine can {what} it (hint: chmod {right:o} {})",
            path.display(),
            path.display()
        ))
    })
}

/// What was found about something, again where it belongs.
fn about(findings: &Findings, what: &str) -> Vec<Problem> {
    findings.problems.iter().filter(|problem| problem.said.contains(what)).cloned().collect()
}
