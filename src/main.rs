//! The command line: reads what was asked, has it done, and turns an error into a sentence and an exit code.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use referrald::command::{self, Arguments};

fn main() -> ExitCode {
    // One TLS provider for the whole process. It can be installed only once, and this is the first line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    // One thread for both systems and the inbox: they wait more than they work, and the state has a thread of its own.
    let ended = tokio::runtime::Builder::new_current_thread().enable_all().build().map_or_else(
        |error| Err(command::Failure::failed(format!("the runtime could not be started: {}", error.kind()))),
        |runtime| runtime.block_on(command::run(arguments)),
    );
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody reads it, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{}", command::plain::plain(&failure.to_string()));
            ExitCode::from(failure.exit.code())
        }
    }
}
