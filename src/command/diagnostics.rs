//! What the process tells about itself on standard error, and what it must never leave behind.
//!
//! Only our own words are let through: other libraries may quote addresses and values.

use std::io::IsTerminal;

use nix::sys::resource::{Resource, setrlimit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::arguments::Level;

/// Begins to tell, and replaces the words of a panic by the place where it happened.
pub fn begin(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let lines = fmt::layer().compact().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // If nobody reads any more, saying so on the same stream would break the daemon off.
    let lines = lines.log_internal_errors(false);
    let ours = Targets::new().with_target("referrald", level);
    // A second beginning, in one process with tests, changes nothing.
    let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The payload may hold a value; the place never does.
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, "a part of the program broke off (hint: report the place; the values are not shown on purpose)");
    }));
}

/// A core dump would hold records and keys.
pub fn no_core_dumps() {
    if setrlimit(Resource::RLIMIT_CORE, 0, 0).is_err() {
        tracing::warn!("core dumps could not be switched off (hint: `LimitCORE=0` in the unit)");
    }
}
