//! What the command line does. Each command is a plain function that writes to what it is given and tells what went wrong.
//!
//! It decides nothing about a delivery; it asks the rooms that do.

pub mod arguments;
pub mod certificate;
pub mod check;
mod daemon;
mod diagnostics;
mod healthy;
pub mod key;
pub mod mapping;
pub mod plain;
mod shown;
pub mod state;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use chrono::{DateTime, Utc};

pub use self::arguments::Arguments;
use self::{
    arguments::{Alerts, Command, Cursor, Deliveries, Dictionary, Flows, Key, Notice, Since},
    plain::Plain,
    shown::Shown,
};
pub use crate::control::{Exit, Failure};
use crate::{
    activity,
    clock::Clock,
    config::{Settings, process_environment},
    control::{Only, Request, client},
    zone::Zone,
};

/// Does what the arguments ask.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { log, command } = arguments;
    diagnostics::no_core_dumps();
    diagnostics::begin(log.unwrap_or(match command {
        Command::Run { .. } => arguments::Level::Info,
        // Its mapping is signed by nobody, and whoever plays need not hear so.
        #[cfg(feature = "sandbox")]
        Command::Sandbox { .. } => arguments::Level::Error,
        _ => arguments::Level::Warn,
    }));
    match command {
        Command::Run { site } => daemon::run(&site.config).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox { programme, once } => daemon::sandbox(&programme, once).await,
        Command::Check { site, offline, go_live } => {
            let scope = check::Scope { offline, go_live };
            check::check(&site.config, scope, &Clock::system(), io::stdout().is_terminal(), &mut Plain::stdout()).await
        }
        Command::Poll { walk, site, baseline } => {
            ask(&site.config, |_| Ok(Request::Poll { walk: walk.code().to_owned(), baseline })).await
        }
        Command::Activity { dictionary: Some(Dictionary::Dictionary), .. } => dictionary(),
        Command::Activity { dictionary: None, follow, intervention, case, since, site } => {
            let site = site.ok_or_else(no_configuration)?;
            ask(&site.config, |settings| {
                let since = moment(since, "--since", settings)?;
                Ok(Request::Activity { follow, intervention: intervention.map(text), case: case.map(text), since })
            })
            .await
        }
        Command::Deliveries { command } => deliveries(command).await,
        Command::Alerts { command: Alerts::Test { site } } => ask(&site.config, |_| Ok(Request::TestAlerts)).await,
        Command::Healthy { site } => healthy::ask(settings(&site.config)?.admin.listen),
        Command::Notice { record: Some(Notice::Record { intervention, received, by, site }), .. } => {
            ask(&site.config, |_| Ok(Request::Withdrawal { intervention: text(intervention), received, by })).await
        }
        Command::Notice { record: None, id, site } => {
            let site = site.ok_or_else(no_configuration)?;
            ask(&site.config, |_| Ok(Request::Notice { id: id.unwrap_or_default() })).await
        }
        Command::Status { site } => ask(&site.config, |_| Ok(Request::Status)).await,
        Command::Flow { command } => flows(command).await,
        Command::Cursor { command } => cursor(command).await,
        Command::Key { command: Key::New { name } } => {
            key::new_inbox_key(name.as_deref(), &mut io::stdout()).map_err(|error| match error {
                key::Error::Name => Failure::usage(error),
                other => Failure::failed(other),
            })
        }
        Command::Key { command: Key::State { file } } => key::new_state_key(&file, &mut io::stdout()).map_err(Failure::failed),
        Command::Mapping { verb } => mapping::run(verb).await,
        Command::State { state } => {
            let said = state::run(state, Clock::system()).await?;
            Shown::new(io::stdout(), io::stdout().is_terminal(), Zone::UTC).end(Some(&said))
        }
        Command::Certificate { site } => {
            let (now, mut out) = (Clock::system().now(), Plain::stdout());
            let shown = match settings(&site.config) {
                Ok(settings) => certificate::show_certificate(&settings, now, &mut out),
                Err(problems) => {
                    match Settings::client_certificate_of(&site.config, process_environment()).filter(certificate::is_there) {
                        Some(files) => certificate::show_before_all_is_filled_in(&files, now, &mut out),
                        None => return Err(problems),
                    }
                }
            };
            shown.map_err(|error| match error {
                certificate::Error::Credentials(error) => Failure::outside(error),
                certificate::Error::Output(error) => unwritable(&error),
            })
        }
    }
}

async fn deliveries(command: Deliveries) -> Result<(), Failure> {
    let (site, request) = match command {
        Deliveries::List { all, state, errand, flow, intervention, case, reason, from, to, kind, late, site } => {
            return ask(&site.config, |settings| {
                let only = Only {
                    state: state.map(|state| state.code().to_owned()),
                    errand: errand.map(|errand| errand.code().to_owned()),
                    flow: flow.map(|flow| flow.code().to_owned()),
                    intervention: intervention.map(text),
                    case: case.map(text),
                    reason: reason.map(|reason| reason.code().to_owned()),
                    kind: kind.map(|kind| kind.code().to_owned()),
                    from: moment(from, "--from", settings)?,
                    to: moment(to, "--to", settings)?,
                    late,
                };
                Ok(Request::List { all, only })
            })
            .await;
        }
        Deliveries::Show { id, site } => (site, Request::Show { id }),
        Deliveries::Retry { id, site } => (site, Request::Retry { id }),
        Deliveries::Release { id, ground, decided_by, site } => {
            (site, Request::Release { id, ground: ground.basis().code().to_owned(), decided_by })
        }
        Deliveries::Stop { id, reason, site } => (site, Request::Stop { id, reason: reason.reason().code().to_owned() }),
        Deliveries::Resolve { id, by, informed_on, site } => (site, Request::Resolve { id, by, informed_on }),
    };
    ask(&site.config, |_| Ok(request)).await
}

async fn flows(command: Flows) -> Result<(), Failure> {
    let (site, request) = match command {
        Flows::List { site } => (site, Request::Flows),
        Flows::Pause { flow, by, reason, site } => {
            (site, Request::Pause { flow: text(flow), by, reason: reason.map(|reason| reason.code().to_owned()) })
        }
        Flows::Resume { flow, by, site } => (site, Request::Resume { flow: text(flow), by }),
    };
    ask(&site.config, |_| Ok(request)).await
}

async fn cursor(command: Cursor) -> Result<(), Failure> {
    match command {
        Cursor::Show { site } => ask(&site.config, |_| Ok(Request::Cursors)).await,
        Cursor::Set { walk, to, reason, by, leave_unread, site } => {
            ask(&site.config, |settings| {
                let to = moment(Some(to), "TIME", settings)?.unwrap_or_default();
                Ok(Request::MoveCursor { walk: text(walk), to, reason: text(reason), by, leave_unread })
            })
            .await
        }
    }
}

/// The moment that an operator means; days begin in the programme's zone.
fn moment(time: Option<Since>, what: &str, settings: &Settings) -> Result<Option<DateTime<Utc>>, Failure> {
    let moment = time.map(|time| time.moment(settings.schedule.time_zone, Clock::system().now())).transpose();
    moment.map_err(|failure| Failure::usage(format!("{what}: {failure}")))
}

fn no_configuration() -> Failure {
    Failure::usage("name the configuration with `--config FILE`")
}

/// Asks the daemon, or does it here, and shows the answer.
async fn ask(config: &Path, request: impl FnOnce(&Settings) -> Result<Request, Failure>) -> Result<(), Failure> {
    let settings = settings(config)?;
    let request = request(&settings)?;
    let mut shown = Shown::new(Plain::stdout(), io::stdout().is_terminal(), settings.schedule.time_zone);
    let said = client::ask(&settings, Clock::system(), request, &mut |row| shown.show(&row)).await;
    shown.end(said?.as_deref())
}

fn settings(config: &Path) -> Result<Settings, Failure> {
    Settings::load(config, process_environment()).map_err(Failure::configuration)
}

fn dictionary() -> Result<(), Failure> {
    let text = if io::stdout().is_terminal() { activity::dictionary_as_table() } else { activity::dictionary_as_json_lines() };
    io::stdout().write_all(text.as_bytes()).map_err(|error| unwritable(&error))
}

fn text(identifier: impl ToString) -> String {
    identifier.to_string()
}

/// Nobody reads the answer any more, or the disk is full.
fn unwritable(error: &io::Error) -> Failure {
    Failure::failed(format!("the answer cannot be written: {}", error.kind()))
}
