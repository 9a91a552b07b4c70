//! What a person asks of a programme and what is answered: one request, then rows, then an end; one JSON object a line.
//!
//! The same request is executed by the same functions whether it comes through the socket of a running daemon or is made on
//! a state that the command line has opened itself. Requests come from outside the process and are judged as such.
//! Answers carry numbers, codes and times; only a notice carries what the person must write to UNHCR.

pub mod client;
mod cursor;
mod execute;
mod flows;
mod keeping;
mod notice;
mod poll;
pub mod rows;
pub mod server;
pub mod status;

use std::{fmt, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

pub use self::{execute::execute, rows::Row};
use crate::{
    alerts::Unfit,
    clock::Clock,
    config::Settings,
    courier::Progress,
    programme::Programme,
    reason::Reason,
    referral::{Errand, Flow, State},
    spool::{
        self, Spool,
        list::Kind,
        operator::{Filter, Ground, Stopping, Unable},
    },
    walks::Walks,
};

/// What a person asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The operator's list.
    List {
        /// Unsettled deliveries too.
        all: bool,
        /// Which.
        only: Only,
    },
    /// One delivery or entry, with its story.
    Show {
        /// Its number.
        id: i64,
    },
    /// Try again.
    Retry {
        /// Its number.
        id: i64,
    },
    /// Let an exception go.
    Release {
        /// Its number.
        id: i64,
        /// On what ground.
        ground: String,
        /// The role of the person who decided.
        decided_by: Role,
    },
    /// Stop a delivery.
    Stop {
        /// Its number.
        id: i64,
        /// Why.
        reason: String,
    },
    /// Take an entry off the list.
    Resolve {
        /// Its number.
        id: i64,
        /// The role of the person who dealt with it.
        by: Role,
        /// When UNHCR was informed.
        informed_on: Option<NaiveDate>,
    },
    /// The stories.
    Activity {
        /// Go on as lines come.
        follow: bool,
        /// Only about this intervention.
        intervention: Option<String>,
        /// Only about this case.
        case: Option<String>,
        /// Only since then.
        since: Option<DateTime<Utc>>,
    },
    /// One walk now.
    Poll {
        /// Which.
        walk: String,
        /// Take the decisions that are there as known.
        baseline: bool,
    },
    /// Seal everything with the first state key.
    Rotate {
        /// The name of the key that the one who asks means.
        first: String,
    },
    /// Erase everything that DTP posted and that still waits.
    EraseParcels,
    /// Note that a copy of the state was taken.
    Copied {
        /// With what DTP posted.
        for_move: bool,
    },
    /// What a withdrawal message needs.
    Notice {
        /// The number of the entry or the delivery.
        id: i64,
    },
    /// A test message to everybody who is told.
    TestAlerts,
    /// UNHCR has withdrawn a request.
    Withdrawal {
        /// Its number.
        intervention: String,
        /// The day on which UNHCR told it.
        received: NaiveDate,
        /// The role of the person who records it.
        by: Role,
    },
    /// How the programme stands.
    Status,
    /// How the flows stand.
    Flows,
    /// Let a flow rest.
    Pause {
        /// Which.
        flow: String,
        /// The role of the person who pauses it.
        by: Role,
        /// Why.
        reason: Option<String>,
    },
    /// Let a flow go on.
    Resume {
        /// Which.
        flow: String,
        /// The role of the person who resumes it.
        by: Role,
    },
    /// How far changed cases were read.
    Cursors,
    /// Read from another time on.
    MoveCursor {
        /// Which walk.
        walk: String,
        /// From when on.
        to: DateTime<Utc>,
        /// Why.
        reason: String,
        /// The role of the person who moves it.
        by: Role,
        /// Changes that were not read yet are left unread.
        leave_unread: bool,
    },
}

/// A request on its way to a daemon. It says which programme is meant, so that of two on one machine none takes what is the other's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The name of the programme, as its configuration has it.
    pub programme: String,
    /// What is asked.
    pub request: Request,
}

impl Request {
    /// The command, as an operator types it and as the log tells it.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::List { .. } => "deliveries list",
            Self::Show { .. } => "deliveries show",
            Self::Retry { .. } => "deliveries retry",
            Self::Release { .. } => "deliveries release",
            Self::Stop { .. } => "deliveries stop",
            Self::Resolve { .. } => "deliveries resolve",
            Self::Activity { .. } => "activity",
            Self::Poll { baseline: false, .. } => "poll",
            Self::Poll { baseline: true, .. } => "poll --baseline",
            Self::Rotate { .. } => "state rotate",
            Self::EraseParcels => "state erase --parcels",
            Self::Copied { for_move: false } => "state backup",
            Self::Copied { for_move: true } => "state backup --for-move",
            Self::Notice { .. } => "notice",
            Self::TestAlerts => "alerts test",
            Self::Withdrawal { .. } => "notice record",
            Self::Status => "status",
            Self::Flows => "flow list",
            Self::Pause { .. } => "flow pause",
            Self::Resume { .. } => "flow resume",
            Self::Cursors => "cursor show",
            Self::MoveCursor { .. } => "cursor set",
        }
    }

    /// Whether it needs Primero, so that without a daemon a whole programme must be put together.
    #[must_use]
    pub const fn needs_primero(&self) -> bool {
        matches!(self, Self::Poll { .. } | Self::Notice { .. })
    }
}

/// Which entries and deliveries are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Only {
    /// In this state.
    pub state: Option<String>,
    /// This errand.
    pub errand: Option<String>,
    /// This flow.
    pub flow: Option<String>,
    /// About this intervention.
    pub intervention: Option<String>,
    /// About this case.
    pub case: Option<String>,
    /// With this reason.
    pub reason: Option<String>,
    /// Entries of this kind.
    pub kind: Option<String>,
    /// Made or listed at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Made or listed before this time.
    pub to: Option<DateTime<Utc>>,
    /// What is late.
    pub late: bool,
}

impl Only {
    /// As the state understands it.
    pub fn filter(&self) -> Result<Filter, Failure> {
        let number = |text: &String| text.parse().map_err(|error| Failure::usage(format!("--intervention: {error}")));
        let case = |text: &String| text.parse().map_err(|error| Failure::usage(format!("--case: {error}")));
        Ok(Filter {
            state: coded("--state", self.state.as_deref(), State::from_code)?,
            errand: coded("--errand", self.errand.as_deref(), Errand::from_code)?,
            flow: coded("--flow", self.flow.as_deref(), Flow::from_code)?,
            intervention: self.intervention.as_ref().map(number).transpose()?,
            case: self.case.as_ref().map(case).transpose()?,
            reason: coded("--reason", self.reason.as_deref(), Reason::from_code)?,
            from: self.from,
            to: self.to,
            late: self.late,
        })
    }

    /// The kind of entries that is asked for.
    fn kind(&self) -> Result<Option<Kind>, Failure> {
        coded("--kind", self.kind.as_deref(), Kind::from_code)
    }
}

/// The role in which a person decides: a function, never a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

impl Role {
    /// The role as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Role {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let plain = |character: char| character.is_alphanumeric() || " -_.+/&".contains(character);
        if (1..=60).contains(&text.chars().count()) && text.starts_with(char::is_alphabetic) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a role has 1 to 60 letters, digits, blanks and - _ . + / & and begins with a letter; it is a function, not a \
                 person's name")
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0
    }
}

/// What is answered: rows, then `done` or `failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Something that was asked for.
    Row(Row),
    /// It was done; a sentence, if there is something to say.
    Done(Option<String>),
    /// It was not done, or not to the end.
    Failed(Failure),
}

/// How a command ends that was not done as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 1: failed.
    Failed,
    /// 2: wrong use.
    Usage,
    /// 69: credentials, or an outside party.
    Outside,
    /// 78: configuration or mapping.
    Configuration,
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Outside => 69,
            Self::Configuration => 78,
        }
    }
}

/// Why a command was not done as asked: a sentence and an exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The sentence; no value of a record in it.
    pub said: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl Failure {
    /// Failed.
    #[must_use]
    pub fn failed(said: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, said: said.to_string() }
    }

    /// Wrong use.
    #[must_use]
    pub fn usage(said: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, said: said.to_string() }
    }

    /// Credentials, or an outside party.
    #[must_use]
    pub fn outside(said: impl fmt::Display) -> Self {
        Self { exit: Exit::Outside, said: said.to_string() }
    }

    /// Configuration or mapping.
    #[must_use]
    pub fn configuration(said: impl fmt::Display) -> Self {
        Self { exit: Exit::Configuration, said: said.to_string() }
    }
}

impl From<spool::Error> for Failure {
    fn from(error: spool::Error) -> Self {
        Self::failed(error)
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Credentials(error) => Self::outside(error),
            Unfit::Client { .. } => Self::configuration(unfit),
        }
    }
}

impl From<Unable> for Failure {
    fn from(unable: Unable) -> Self {
        match unable {
            Unable::InformedOnMissing => Self::usage(unable),
            Unable::Unknown(_)
            | Unable::NeverCame(_)
            | Unable::BeingAttempted(_)
            | Unable::NoDelivery(_)
            | Unable::Behind(..)
            | Unable::Followed(..)
            | Unable::Not(..)
            | Unable::NothingOpen(_)
            | Unable::StillHeld(_)
            | Unable::State(_) => Self::failed(unable),
        }
    }
}

/// Where requests are executed: a state, and the programme around it where there is one.
#[derive(Clone, Debug)]
pub struct Office {
    /// What is configured.
    pub settings: Settings,
    /// The state.
    pub spool: Spool,
    /// The time.
    pub clock: Clock,
    /// A programme with a courier at work.
    pub running: Option<Running>,
}

/// A programme with a courier at work.
#[derive(Clone, Debug)]
pub struct Running {
    /// The programme.
    pub programme: Arc<Programme>,
    /// Its walks.
    pub walks: Arc<Walks>,
    /// What its courier does.
    pub progress: Arc<watch::Sender<Progress>>,
    /// Whether it goes on when the command has ended.
    pub is_daemon: bool,
}

impl Office {
    /// The office of a programme whose courier is at work.
    #[must_use]
    pub fn of(running: Running) -> Self {
        let programme = &running.programme;
        Self {
            settings: programme.settings.clone(),
            spool: programme.spool.clone(),
            clock: programme.clock.clone(),
            running: Some(running),
        }
    }
}

/// Where answers go. Whoever asked may have gone away; then nothing more need be said.
pub type Answers = mpsc::Sender<Answer>;

fn coded<T>(what: &str, code: Option<&str>, from: fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    code.map(|code| from(code).ok_or_else(|| Failure::usage(format!("{what}: there is no such value")))).transpose()
}

fn needed<T>(what: &str, code: &str, from: fn(&str) -> Option<T>) -> Result<T, Failure> {
    from(code).ok_or_else(|| Failure::usage(format!("{what}: there is no such value")))
}

fn ground(code: &str) -> Result<Ground, Failure> {
    [Ground::VitalInterests, Ground::BestInterests]
        .into_iter()
        .find(|ground| ground.basis().code() == code)
        .ok_or_else(|| Failure::usage("--ground: vital_interests or best_interests"))
}

fn stopping(code: &str) -> Result<Stopping, Failure> {
    [Stopping::Withdrawn, Stopping::SentOtherwise, Stopping::Error]
        .into_iter()
        .find(|stopping| stopping.reason().code() == code)
        .ok_or_else(|| Failure::usage("--reason: withdrawn, sent_otherwise or error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_function_in_one_plain_line() {
        for good in ["CP manager", "CPIMS+ focal point", "a", "Protection/UNHCR", " duty desk "] {
            assert_eq!(Role::try_from(good.to_owned()).unwrap().as_str(), good.trim());
        }
        for bad in ["", " ", "a@example.org", "a\nb", "1st", "a\u{1b}[2J", &"a".repeat(61)] {
            assert!(Role::try_from(bad.to_owned()).is_err(), "a role that is none was taken");
        }
    }

    #[test]
    fn a_request_travels_as_one_line_and_unknown_ones_are_refused() {
        let request = Request::Stop { id: 7, reason: "withdrawn".to_owned() };
        let asked = Asked { programme: "gambella".to_owned(), request };
        let line = serde_json::to_string(&asked).unwrap();
        assert_eq!(line, r#"{"programme":"gambella","request":{"stop":{"id":7,"reason":"withdrawn"}}}"#);
        assert_eq!(serde_json::from_str::<Asked>(&line).unwrap(), asked);
        assert!(serde_json::from_str::<Asked>(r#"{"request":"status"}"#).is_err(), "whose status?");
        for bad in [r#"{"stop":{"id":7}}"#, r#"{"stop":{"id":7,"reason":"error","more":1}}"#, r#""visit""#, "{}"] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
        let signed = r#"{"resolve":{"id":7,"by":"\u001b[2J","informed_on":null}}"#;
        assert!(serde_json::from_str::<Request>(signed).is_err(), "a role is judged at the door");
    }
}
