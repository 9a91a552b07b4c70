//! What an operator may type. The texts are the help that operators read.
//!
//! Identifiers and codes are judged here, before anything is opened.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

mod deliveries;
mod flows;

pub use self::{
    deliveries::Deliveries,
    flows::{Cursor, Flows},
};
use super::mapping::verbs::Verb;
use crate::{
    control::{Failure, Role},
    referral::{CaseId, InterventionNumber, Walk, codes},
    schedule::midnight,
    spool::operator::{Ground, Stopping},
    zone::Zone,
};

/// Carries child-protection referrals between Primero (CPIMS+) and proGres (UNHCR, through DTP).
///
/// It is not an emergency channel: phone first.
#[derive(Debug, Parser)]
#[command(
    name = "referrald",
    version,
    verbatim_doc_comment,
    after_help = "Exit codes:\n   0  done as asked\n   1  failed\n   2  wrong use\n  69  credentials or an outside party\n  78  \
                  configuration or mapping\n\nExample: referrald check --config /etc/referrald/referrald.toml"
)]
pub struct Arguments {
    /// How much is told on standard error
    #[arg(long, global = true, value_name = "LEVEL", value_parser = code(Level::ALL, Level::code, Level::from_code))]
    pub log: Option<Level>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

codes! {
    /// How much is told on standard error.
    Level {
        /// Only what a person must act on.
        Error = "error",
        /// And what may become that.
        Warn = "warn",
        /// And what happens.
        Info = "info",
        /// And how.
        Debug = "debug",
    }
}

/// Which programme.
#[derive(Args, Clone, Debug)]
pub struct Site {
    /// The configuration of the programme
    #[arg(long, value_name = "FILE", env = "REFERRALD_CONFIG", hide_env_values = true)]
    pub config: PathBuf,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    ///
    /// Takes what DTP posts, carries it to Primero, and carries referrals and decisions from Primero
    /// to DTP, until it gets SIGTERM or SIGINT; then it finishes what is under way.
    /// The activity log goes to standard output, or to `activity.file`.
    /// It refuses to start only for what would make accepting unsafe.
    #[command(verbatim_doc_comment, after_help = "Example: referrald run --config /etc/referrald/referrald.toml")]
    Run {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Play the whole thing on this machine with invented people
    ///
    /// Simulates Primero and DTP on the loopback, lets all flows run and shows the activity. Without
    /// `--once` it stays and takes posts until it gets SIGTERM or SIGINT.
    #[cfg(feature = "sandbox")]
    #[command(verbatim_doc_comment, after_help = "Example: referrald sandbox --once")]
    Sandbox {
        /// Which programme's mapping and rules are played
        #[arg(long, value_name = "NAME", default_value = crate::sandbox::stage::FIRST_PROGRAMME, value_parser = PossibleValuesParser::new(crate::sandbox::stage::programmes()))]
        programme: String,
        /// End when every errand is settled, or stands on the operator's list as expected
        #[arg(long)]
        once: bool,
    },
    /// Check configuration, credentials, mapping, Primero and DTP
    ///
    /// Reports every problem with its remedy, and changes nothing: it reads Primero and shakes hands
    /// with DTP, it posts nothing.
    #[command(verbatim_doc_comment, after_help = "Example: referrald check --config /etc/referrald/referrald.toml")]
    Check {
        /// Which programme.
        #[command(flatten)]
        site: Site,
        /// Ask neither Primero nor DTP
        #[arg(long)]
        offline: bool,
        /// Go through the nine items of the published security checklist, too
        #[arg(long)]
        go_live: bool,
    },
    /// Look into Primero now, and do what follows from it
    ///
    /// Walks once through the changed cases and waits until the errands it made are done or can only
    /// go on later. Ends with 69 if any is later, held or blocked.
    #[command(verbatim_doc_comment, after_help = "Example: referrald poll referrals --config /etc/referrald/referrald.toml")]
    Poll {
        /// What to look for
        #[arg(value_parser = code(Walk::ALL, Walk::code, Walk::from_code))]
        walk: Walk,
        /// Which programme.
        #[command(flatten)]
        site: Site,
        /// At a cut-over: take the decisions that are there as known to UNHCR, and send nothing
        #[arg(long)]
        baseline: bool,
    },
    /// Read what happened
    ///
    /// Shows the stories in the state: as sentences on a terminal, as lines of the activity log in a
    /// pipe.
    #[command(
        verbatim_doc_comment,
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Example: referrald activity --intervention 989-26-PRTITV-0000051 --config /etc/referrald/referrald.toml"
    )]
    Activity {
        /// Explain instead.
        #[command(subcommand)]
        dictionary: Option<Dictionary>,
        /// Go on as it happens
        #[arg(long)]
        follow: bool,
        /// Only about this referral from UNHCR
        #[arg(long, value_name = "NUMBER")]
        intervention: Option<InterventionNumber>,
        /// Only about the case with this `case_id`
        #[arg(long, value_name = "ID")]
        case: Option<CaseId>,
        /// Only since this time, this day, or so long ago: 2026-06-01T08:00:00Z, 2026-06-01, 2h
        #[arg(long, value_name = "TIME", value_parser = Since::parse)]
        since: Option<Since>,
        /// Which programme.
        #[command(flatten)]
        site: Option<Site>,
    },
    /// See and change what is waiting: the operator's list
    #[command(after_help = "Example: referrald deliveries list --config /etc/referrald/referrald.toml")]
    Deliveries {
        /// What to do with them.
        #[command(subcommand)]
        command: Deliveries,
    },
    /// Show what the message to UNHCR about a withdrawal needs, or record one that UNHCR told
    ///
    /// Reads the case in Primero now. What is shown is stored nowhere; the date of withdrawal is the
    /// case worker's to fill in. For the other direction, a request that UNHCR withdraws: `record`.
    #[command(
        verbatim_doc_comment,
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Example: referrald notice 12 --config /etc/referrald/referrald.toml"
    )]
    Notice {
        /// Record instead.
        #[command(subcommand)]
        record: Option<Notice>,
        /// The number of the entry, or of the delivery
        #[arg(value_parser = number, required = true)]
        id: Option<i64>,
        /// Which programme.
        #[command(flatten)]
        site: Option<Site>,
    },
    /// Show on one screen how the programme stands, and what needs a person
    ///
    /// Both systems, both flows, what waits, the operator's list in numbers, the readings, what ends
    /// soon, the size of the state. Asks nobody outside. Ends with 69 if something needs a person.
    #[command(verbatim_doc_comment, after_help = "Example: referrald status --config /etc/referrald/referrald.toml")]
    Status {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// See whether those who are to be told are reached
    #[command(after_help = "Example: referrald alerts test --config /etc/referrald/referrald.toml")]
    Alerts {
        /// What to do with them.
        #[command(subcommand)]
        command: Alerts,
    },
    /// Ask the running daemon whether it can store what is posted
    ///
    /// Asks `/readyz` on `admin.listen` and ends with 0 or with 1 and the reason: the health check of
    /// a container, which has no shell.
    #[command(verbatim_doc_comment, after_help = "Example: referrald healthy --config /etc/referrald/referrald.toml")]
    Healthy {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Pause a flow, let it go on, see how both stand
    #[command(after_help = "Example: referrald flow list --config /etc/referrald/referrald.toml")]
    Flow {
        /// What to do.
        #[command(subcommand)]
        command: Flows,
    },
    /// See how far changed cases were read, and let a walk read from another time on
    #[command(after_help = "Example: referrald cursor show --config /etc/referrald/referrald.toml")]
    Cursor {
        /// What to do.
        #[command(subcommand)]
        command: Cursor,
    },
    /// Make a new key
    #[command(after_help = "Example: referrald key new --name dtp-2027")]
    Key {
        /// Which kind.
        #[command(subcommand)]
        command: Key,
    },
    /// Begin, check, try and show a mapping: for those who write it and those who sign it
    #[command(after_help = "Example: referrald mapping check mappings/gambella")]
    Mapping {
        /// What to do with it.
        #[command(subcommand)]
        verb: Verb,
    },
    /// Copy the state, bring a copy back, change its keys, or erase what waits
    #[command(
        after_help = "Example: referrald state backup /var/backups/referrald.sqlite --config /etc/referrald/referrald.toml"
    )]
    State {
        /// What to do with it.
        #[command(subcommand)]
        state: super::state::State,
    },
    /// Show what UNHCR has to know about the client certificate
    #[command(after_help = "Example: referrald certificate --config /etc/referrald/referrald.toml")]
    Certificate {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// Explanations.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Dictionary {
    /// Explain every event and field, for partners to sign off
    #[command(after_help = "Example: referrald activity dictionary")]
    Dictionary,
}

/// Withdrawals that UNHCR told.
#[derive(Debug, Subcommand)]
pub enum Notice {
    /// Record that UNHCR has withdrawn a request
    ///
    /// What waits for its number is stopped and its content erased. If it is, or may be, in Primero,
    /// the operator's list says "revoke, note and close in CPIMS+", with an alarm after 24 hours,
    /// until a person resolves it. If UNHCR sends a stopped request again, it is taken anew.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald notice record --intervention 989-26-PRTITV-0000051 --received 2026-06-01 --by \"CP manager\" \
                      --config site.toml"
    )]
    Record {
        /// UNHCR's number of the request
        #[arg(long, value_name = "NUMBER")]
        intervention: InterventionNumber,
        /// The day on which UNHCR told it, as in 2026-06-01
        #[arg(long, value_name = "DATE", value_parser = day)]
        received: NaiveDate,
        /// The role of the person who records it; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        by: Role,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// Being told.
#[derive(Debug, Subcommand)]
pub enum Alerts {
    /// Send a test message to every target, and say which took it
    ///
    /// Through a running daemon, if there is one. It ends with 69 if a target did not take it.
    #[command(verbatim_doc_comment, after_help = "Example: referrald alerts test --config /etc/referrald/referrald.toml")]
    Test {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// Keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key for the inbox: shown once, with the lines for the configuration
    #[command(after_help = "Example: referrald key new --name dtp-2027")]
    New {
        /// What the operator calls it
        #[arg(long)]
        name: Option<String>,
    },
    /// Make a key that seals the state, in a new file that only its owner can read
    #[command(after_help = "Example: referrald key state /etc/referrald/secrets/state-2027.key")]
    State {
        /// The file; it must not be there yet
        file: PathBuf,
    },
}

/// A time, as an operator says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// A moment.
    Moment(DateTime<Utc>),
    /// A day, from its beginning.
    Day(NaiveDate),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Moment(moment.to_utc()));
        }
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self::Day(day));
        }
        let ago = humantime::parse_duration(text);
        ago.map(Self::Ago).map_err(|_| "a time (2026-06-01T08:00:00Z), a day (2026-06-01) or a duration (2h) is wanted")
    }

    /// The moment meant; a day begins in the programme's zone.
    pub fn moment(self, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        match self {
            Self::Moment(moment) => Ok(moment),
            Self::Day(day) => Ok(midnight(day, zone)),
            Self::Ago(ago) => chrono::TimeDelta::from_std(ago)
                .ok()
                .and_then(|ago| now.checked_sub_signed(ago))
                .ok_or_else(|| Failure::usage("that is too long ago")),
        }
    }
}

fn number(text: &str) -> Result<i64, &'static str> {
    text.parse().ok().filter(|id| *id > 0).ok_or("an ID is a whole number, as `referrald deliveries list` shows it")
}

fn day(text: &str) -> Result<NaiveDate, &'static str> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "a date is wanted, as in 2026-06-01")
}

fn role(text: &str) -> Result<Role, &'static str> {
    Role::try_from(text.to_owned())
}

/// Takes the codes of an enum, and shows them in the help.
pub(super) fn code<T>(
    all: &'static [T],
    code_of: fn(T) -> &'static str,
    from: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|value| code_of(*value)))
        .try_map(move |text| from(&text).ok_or("there is no such value"))
}

fn grounds() -> impl TypedValueParser<Value = Ground> {
    const ALL: &[Ground] = &[Ground::VitalInterests, Ground::BestInterests];
    code(ALL, |ground| ground.basis().code(), |code| ALL.iter().copied().find(|ground| ground.basis().code() == code))
}

fn reasons() -> impl TypedValueParser<Value = Stopping> {
    const ALL: &[Stopping] = &[Stopping::Withdrawn, Stopping::SentOtherwise, Stopping::Error];
    code(ALL, |why| why.reason().code(), |code| ALL.iter().copied().find(|why| why.reason().code() == code))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_put_together_soundly() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn since_is_a_moment_a_day_in_the_zone_or_so_long_ago() {
        let now = "2026-06-03T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-06-01T08:00:00+03:00", "2026-06-01T05:00:00Z"),
            ("2026-06-01", "2026-05-31T21:00:00Z"),
            ("2h", "2026-06-03T10:00:00Z"),
            ("7 days", "2026-05-27T12:00:00Z"),
        ] {
            let since = Since::parse(text).unwrap().moment("Africa/Addis_Ababa".parse().unwrap(), now).unwrap();
            assert_eq!(since, moment.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "yesterday", "2026-06-31", "2026-06-01T08:00:00"] {
            assert!(Since::parse(text).is_err(), "{text}");
        }
    }
}
