//! What an operator may do with deliveries and the operator's list.

use chrono::NaiveDate;
use clap::Subcommand;

use super::{Since, Site, code, day, grounds, number, reasons, role};
use crate::{
    control::Role,
    reason::Reason,
    referral::{CaseId, Errand, Flow, InterventionNumber, State},
    spool::{
        list::Kind,
        operator::{Ground, Stopping},
    },
};

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// Show the operator's list, oldest first, with what to do
    ///
    /// With `--all` the deliveries follow that are not settled; with `--all --state delivered` and
    /// the like, those that are.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald deliveries list --all --flow to_dtp --config /etc/referrald/referrald.toml"
    )]
    List {
        /// Also show every delivery that is not settled
        #[arg(long)]
        all: bool,
        /// Only in this state
        #[arg(long, value_parser = code(State::ALL, State::code, State::from_code))]
        state: Option<State>,
        /// Only this errand
        #[arg(long, value_parser = code(Errand::ALL, Errand::code, Errand::from_code))]
        errand: Option<Errand>,
        /// Only this flow
        #[arg(long, value_parser = code(Flow::ALL, Flow::code, Flow::from_code))]
        flow: Option<Flow>,
        /// Only about this referral from UNHCR
        #[arg(long, value_name = "NUMBER")]
        intervention: Option<InterventionNumber>,
        /// Only about the case with this `case_id`
        #[arg(long, value_name = "ID")]
        case: Option<CaseId>,
        /// Only with this reason, a code as the list and the log show it, such as `several`
        #[arg(long, value_name = "CODE", value_parser = reason)]
        reason: Option<Reason>,
        /// Only made or listed since this time, this day, or so long ago: 2026-06-01T08:00:00Z, 2026-06-01, 2h
        #[arg(long, value_name = "TIME", value_parser = Since::parse)]
        from: Option<Since>,
        /// Only made or listed before this time
        #[arg(long, value_name = "TIME", value_parser = Since::parse)]
        to: Option<Since>,
        /// Only entries of the operator's list of this kind, as the list shows it, and no deliveries
        #[arg(long, conflicts_with = "all", hide_possible_values = true, value_parser = code(Kind::ALL, Kind::code, Kind::from_code))]
        kind: Option<Kind>,
        /// Only what is not done for longer than `delivery.alarm_after`
        #[arg(long)]
        late: bool,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Show one delivery or entry: where it stands, its story, what to do
    #[command(after_help = "Example: referrald deliveries show 12 --config /etc/referrald/referrald.toml")]
    Show {
        /// The number of the delivery or the entry
        #[arg(value_parser = number)]
        id: i64,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Try again now
    ///
    /// What waits or is held is due now. What was not sent to UNHCR becomes a new errand and is
    /// judged afresh. What was sent is never sent again.
    #[command(verbatim_doc_comment, after_help = "Example: referrald deliveries retry 12 --config /etc/referrald/referrald.toml")]
    Retry {
        /// The number of the delivery or the entry
        #[arg(value_parser = number)]
        id: i64,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Let a referral go that was made by exception, without consent
    ///
    /// Only for a referral that is held for this reason. It is read again, and leaves if nothing else
    /// stands against it.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald deliveries release 12 --ground best_interests --decided-by \"CP manager\" --config site.toml"
    )]
    Release {
        /// The number of the delivery or the entry
        #[arg(value_parser = number)]
        id: i64,
        /// On what ground
        #[arg(long, value_parser = grounds())]
        ground: Ground,
        /// The role of the person who decided; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        decided_by: Role,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Stop a delivery and erase its content
    ///
    /// UNHCR is told that the CPIMS+ focal point stopped its referral, unless something of it stands,
    /// or may stand, in Primero.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald deliveries stop 12 --reason withdrawn --config /etc/referrald/referrald.toml"
    )]
    Stop {
        /// The number of the delivery or the entry
        #[arg(value_parser = number)]
        id: i64,
        /// Why
        #[arg(long, value_parser = reasons())]
        reason: Stopping,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
    /// Take an entry off the operator's list, because a person has dealt with it
    #[command(
        after_help = "Example: referrald deliveries resolve 12 --informed-on 2026-06-01 --by \"CP manager\" --config site.toml"
    )]
    Resolve {
        /// The number of the entry, or of the delivery
        #[arg(value_parser = number)]
        id: i64,
        /// The role of the person who dealt with it; never a name
        #[arg(long, value_name = "ROLE", value_parser = role)]
        by: Role,
        /// Of a withdrawal: the day when UNHCR was informed, as in 2026-06-01
        #[arg(long, value_name = "DATE", value_parser = day)]
        informed_on: Option<NaiveDate>,
        /// Which programme.
        #[command(flatten)]
        site: Site,
    },
}

/// There are too many for a list in the help.
fn reason(text: &str) -> Result<Reason, &'static str> {
    Reason::from_code(text).ok_or("there is no such reason; the operator's list and the log show the codes")
}
