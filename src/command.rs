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
mod shown;
pub mod state;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

pub use self::arguments::Arguments;
use self::{
    arguments::{Command, Deliveries, Dictionary, Key},
    shown::Shown,
};
pub use crate::control::{Exit, Failure};
use crate::{
    activity,
    clock::Clock,
    config::{Settings, process_environment},
    control::{Only, Request, client},
};

/// Does what the arguments ask.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { log, command } = arguments;
    diagnostics::begin(log.unwrap_or(if matches!(command, Command::Run { .. }) {
        arguments::Level::Info
    } else {
        arguments::Level::Warn
    }));
    match command {
        Command::Run { site } => {
            diagnostics::no_core_dumps();
            daemon::run(&site.config).await
        }
        #[cfg(feature = "sandbox")]
        Command::Sandbox { programme, once } => daemon::sandbox(&programme, once).await,
        Command::Check { site, offline } => {
            check::check(&site.config, offline, &Clock::system(), io::stdout().is_terminal(), &mut io::stdout()).await
        }
        Command::Poll { walk, site, baseline } => {
            ask(&site.config, |_| Ok(Request::Poll { walk: walk.code().to_owned(), baseline })).await
        }
        Command::Activity { dictionary: Some(Dictionary::Dictionary), .. } => dictionary(),
        Command::Activity { dictionary: None, follow, intervention, case, since, site } => {
            let site = site.ok_or_else(|| Failure::usage("name the configuration with `--config FILE`"))?;
            ask(&site.config, |settings| {
                let since = since.map(|since| since.moment(settings.schedule.time_zone, Clock::system().now())).transpose()?;
                Ok(Request::Activity { follow, intervention: intervention.map(text), case: case.map(text), since })
            })
            .await
        }
        Command::Deliveries { command } => deliveries(command).await,
        Command::Notice { id, site } => ask(&site.config, |_| Ok(Request::Notice { id })).await,
        Command::Healthy { site } => healthy::ask(settings(&site.config)?.admin.listen),
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
            Shown::new(io::stdout(), io::stdout().is_terminal(), chrono_tz::Tz::UTC).end(Some(&said))
        }
        Command::Certificate { site } => {
            let settings = settings(&site.config)?;
            certificate::show_certificate(&settings, Clock::system().now(), &mut io::stdout()).map_err(|error| match error {
                certificate::Error::Credentials(error) => Failure::outside(error),
                certificate::Error::Output(error) => unwritable(&error),
            })
        }
    }
}

async fn deliveries(command: Deliveries) -> Result<(), Failure> {
    let (site, request) = match command {
        Deliveries::List { all, state, errand, flow, intervention, case, site } => {
            let only = Only {
                state: state.map(|state| state.code().to_owned()),
                errand: errand.map(|errand| errand.code().to_owned()),
                flow: flow.map(|flow| flow.code().to_owned()),
                intervention: intervention.map(text),
                case: case.map(text),
            };
            (site, Request::List { all, only })
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

/// Asks the daemon, or does it here, and shows the answer.
async fn ask(config: &Path, request: impl FnOnce(&Settings) -> Result<Request, Failure>) -> Result<(), Failure> {
    let settings = settings(config)?;
    let request = request(&settings)?;
    let mut shown = Shown::new(io::stdout(), io::stdout().is_terminal(), settings.schedule.time_zone);
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
