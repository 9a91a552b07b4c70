//! What an operator may do with a flow as a whole, and with how far changed cases were read.

use clap::Subcommand;

use super::{Since, Site, code, role};
use crate::{
    control::Role,
    referral::{Flow, Walk},
    spool::{cursor::Moving, pause::Pausing},
};

/// What to do with a flow.
#[derive(Debug, Subcommand)]
pub enum Flows {
    /// Let a flow rest, also over restarts, until somebody resumes it
    ///
    /// Its posts get 503, its readings and errands wait; what is being attempted is finished first.
    /// Time runs on: a request is answered and a referral given up when its time is over.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald flow pause to_dtp --by \"CPIMS+ focal point\" --reason incident --config site.toml"
    )]
    Pause {
        /// Which: to_primero is what UNHCR asks, to_dtp what case workers ask
        #[arg(value_parser = code(Flow::ALL, Flow::code, Flow::from_code))]
        flow: Flow,
        /// The role of the person who pauses it; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        by: Role,
        /// Why
        #[arg(long, value_parser = code(Pausing::ALL, Pausing::code, Pausing::from_code))]
        reason: Option<Pausing>,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Let a paused flow go on
    #[command(after_help = "Example: referrald flow resume to_dtp --by \"CPIMS+ focal point\" --config site.toml")]
    Resume {
        /// Which
        #[arg(value_parser = code(Flow::ALL, Flow::code, Flow::from_code))]
        flow: Flow,
        /// The role of the person who resumes it; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        by: Role,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Show both flows: on, off, or paused, by whom and since when
    #[command(after_help = "Example: referrald flow list --config /etc/referrald/referrald.toml")]
    List {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// What to do with the cursors.
#[derive(Debug, Subcommand)]
pub enum Cursor {
    /// Show up to when each walk has read the changed cases in Primero
    #[command(after_help = "Example: referrald cursor show --config /etc/referrald/referrald.toml")]
    Show {
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Let a walk read from another time on
    ///
    /// Back: what changed since then is read and looked at again; nothing that was sent is sent
    /// twice. Forward: changes in between are never read, so it must be said with `--leave-unread`.
    /// Never before `schedule.start_from`. A walk that is under way is not disturbed.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald cursor set referrals 2026-06-01 --reason restored --by \"system administrator\" --config site.toml"
    )]
    Set {
        /// Which: referrals (for UNHCR) or decisions (on UNHCR's requests)
        #[arg(value_parser = code(Walk::ALL, Walk::code, Walk::from_code))]
        walk: Walk,
        /// From when on: 2026-06-01T08:00:00Z, 2026-06-01, or so long ago, as in 2h
        #[arg(value_name = "TIME", value_parser = Since::parse)]
        to: Since,
        /// Why
        #[arg(long, value_parser = code(Moving::ALL, Moving::code, Moving::from_code))]
        reason: Moving,
        /// The role of the person who moves it; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        by: Role,
        /// Leave changes unread that were not read yet
        #[arg(long)]
        leave_unread: bool,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}
