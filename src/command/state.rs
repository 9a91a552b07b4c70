//! `referrald state`: copies of the state, its keys, and the emergency stop.
//!
//! A copy is taken by the command itself, into a place that the daemon could not write to; everything else is asked of the daemon,
//! if one runs.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use nix::unistd::Uid;

use super::{Failure, arguments::Site, settings};
use crate::{
    clock::Clock,
    config::Settings,
    control::{Request, client, server},
    credentials,
    spool::{
        OpenError, Spool,
        copy::{CopyError, copy_in, copy_out, lies_beside},
        seal::Sealer,
    },
};

/// What to do with the state.
#[derive(Debug, Subcommand)]
pub enum State {
    /// Copy the state into a new file, while the daemon runs or not
    ///
    /// What UNHCR has sent and still waits here is left out: after a restore it is stopped and on the
    /// operator's list. With `--for-move` it is in the copy, sealed. The state key is never in it.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald state backup /var/backups/referrald.sqlite --config site.toml"
    )]
    Backup {
        /// The file; it must not be there yet
        file: PathBuf,
        /// Take what waits, too: for a move to another machine
        #[arg(long)]
        for_move: bool,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Bring a copy back, into a state directory that is empty
    ///
    /// What waits in it without its content is stopped and put on the operator's list. Of everything
    /// else it is looked first what was done since the copy was made.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald state restore /var/backups/referrald.sqlite --config site.toml"
    )]
    Restore {
        /// The copy
        file: PathBuf,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Erase at once what UNHCR has sent and still waits here
    ///
    /// Whatever needed it is stopped and on the operator's list; UNHCR is told nothing. It cannot be
    /// undone.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald state erase --parcels --confirm gambella --config /etc/referrald/referrald.toml"
    )]
    Erase {
        /// The sealed content of every delivery
        #[arg(long, required = true)]
        parcels: bool,
        /// The name of the programme, as in the configuration: what is erased cannot be brought back
        #[arg(long, value_name = "PROGRAMME")]
        confirm: String,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Seal everything with the first key of `state.key_files`, so that the old one can be taken out
    #[command(after_help = "Example: referrald state rotate --config /etc/referrald/referrald.toml")]
    Rotate {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// Does it; returns what there is to say.
pub(super) async fn run(state: State, clock: Clock) -> Result<String, Failure> {
    match state {
        State::Backup { file, for_move, site } => backup(&settings(&site.config)?, &file, for_move, clock).await,
        State::Restore { file, site } => restore(&settings(&site.config)?, &file, clock).await,
        State::Erase { parcels: _, confirm, site } => {
            let settings = settings(&site.config)?;
            if confirm != settings.programme {
                return Err(Failure::usage(
                    "--confirm: this is not the name of the programme in the configuration, so nothing was erased",
                ));
            }
            ask(&settings, clock, Request::EraseParcels).await
        }
        State::Rotate { site } => {
            let settings = settings(&site.config)?;
            let keys = credentials::state_keys(&settings.state.key_files).map_err(Failure::outside)?;
            let first = keys.first().map(|key| key.name.clone()).unwrap_or_default();
            ask(&settings, clock, Request::Rotate { first }).await
        }
    }
}

async fn ask(settings: &Settings, clock: Clock, request: Request) -> Result<String, Failure> {
    Ok(client::ask(settings, clock, request, &mut |_| true).await?.unwrap_or_default())
}

async fn backup(settings: &Settings, file: &Path, for_move: bool, clock: Clock) -> Result<String, Failure> {
    if settings.state.key_files.iter().any(|key| lies_beside(file, key)) {
        return Err(Failure::usage(format!(
            "{}: would lie beside the state key, and who takes both can read everything (hint: keep copies in a directory of their own)",
            file.display()
        )));
    }
    let copied = copy_out(&settings.state.directory, file, for_move, clock.now()).map_err(refused)?;
    // The copy is good whether or not this can be noted; but somebody should know that it cannot.
    let file = file.display();
    ask(settings, clock, Request::Copied { for_move }).await.map_err(|failure| Failure {
        said: format!("{file}: the copy is whole, but that it was taken could not be noted: {failure}"),
        ..failure
    })?;
    Ok(if for_move {
        format!(
            "{file}: everything, with the sealed content of {} deliveries that wait (hint: nothing may go on here once the copy is used: \
             stop this daemon before that, and take a new copy then if it has gone on; bring the state key another way)",
            copied.with_content
        )
    } else {
        format!(
            "{file}: everything but the content of {} deliveries that wait (hint: keep the state key elsewhere; without it the copy \
             cannot be used)",
            copied.without_content
        )
    })
}

async fn restore(settings: &Settings, file: &Path, clock: Clock) -> Result<String, Failure> {
    let keys = credentials::state_keys(&settings.state.key_files).map_err(Failure::outside)?;
    let state = &settings.state;
    let copied = copy_in(file, &state.directory).map_err(refused)?;
    let listener = client::log(settings);
    let spool = match Spool::open(&state.directory, Sealer::new(&keys), clock, state.max_size, listener) {
        Ok(spool) => spool,
        Err(error) => {
            // It was empty before, so that the right key can be tried with the next one.
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(state.directory.join(format!("state.sqlite{end}")));
            }
            let missing = matches!(error, OpenError::KeyMissing(_));
            return Err(if missing { Failure::outside(error) } else { Failure::failed(error) });
        }
    };
    let who = format!("{}: state restore", server::account(Uid::current()));
    let stopped = spool.write(move |tx| tx.restored(&who)).await;
    spool.close().await;
    let stopped = stopped?;
    let made = copied.made.map_or_else(|| "a copy of unknown age".to_owned(), |made| format!("the copy of {}", stamp(made)));
    Ok(format!(
        "restored {made}; {stopped} deliveries waited without their content and are stopped, each on the operator's list; {} wait with it \
         (hint: `deliveries list` before the flows are switched on; what was sent to UNHCR after the copy may be sent again, under the \
         same number)",
        copied.with_content
    ))
}

fn refused(error: CopyError) -> Failure {
    Failure::failed(error)
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
