//! The daily list for the focal point: what was not sent, what was added to existing cases, what waits for a person.
//!
//! Counts and our own numbers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use croner::Cron;
use serde_json::{Value, json};

use super::message::{first, in_brackets};
use crate::{
    config::Settings,
    referral::{DeliveryId, Errand},
    schedule::next_after,
    spool::{Error, Spool, list::Kind},
};

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    not_sent: BTreeMap<Kind, Vec<DeliveryId>>,
    added: Vec<DeliveryId>,
    waiting: BTreeMap<Kind, Vec<DeliveryId>>,
}

/// What is in state, and what was added since the last list.
pub fn list(spool: &Spool, since: DateTime<Utc>) -> Result<List, Error> {
    let (entries, added) = spool.read(|reading| Ok((reading.open_entries()?, reading.added_to_existing(since)?)))?;
    let mut list = List { added, ..List::default() };
    for entry in entries {
        let of = if is_not_sent(entry.kind, entry.errand) { &mut list.not_sent } else { &mut list.waiting };
        of.entry(entry.kind).or_default().push(entry.id);
    }
    Ok(list)
}

/// Whether an entry says that a referral has not reached UNHCR.
const fn is_not_sent(kind: Kind, errand: Option<Errand>) -> bool {
    matches!(errand, Some(Errand::SendReferral))
        && matches!(kind, Kind::Held | Kind::Late | Kind::Refused | Kind::Withheld | Kind::Stopped)
}

/// Whether a list is due that was last made at this time. However many times have passed, it is due once.
#[must_use]
pub fn is_due(settings: &Settings, daily: &Cron, last: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    // A clock that was set back: the next one counts from now.
    next_after(daily, settings.schedule.time_zone, last.min(now)).is_some_and(|next| next <= now)
}

impl List {
    /// For a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let part = |part: &BTreeMap<Kind, Vec<DeliveryId>>| -> Value {
            part.iter()
                .map(|(kind, numbers)| json!({ "event": kind.code(), "count": numbers.len(), "numbers": first(numbers) }))
                .collect()
        };
        json!({
            "not_sent": part(&self.not_sent),
            "added_to_existing_cases": { "count": self.added.len(), "numbers": first(&self.added) },
            "waiting_for_a_person": part(&self.waiting),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let part = |title: &str, part: &BTreeMap<Kind, Vec<DeliveryId>>| {
            let lines: Vec<String> =
                part.iter().map(|(kind, numbers)| format!("  {kind}: {}{}\n", numbers.len(), in_brackets(numbers))).collect();
            format!("{title}\n{}", if lines.is_empty() { "  nothing\n".to_owned() } else { lines.concat() })
        };
        let added = match self.added.len() {
            0 => "  nothing\n".to_owned(),
            count => format!("  {count}{}\n", in_brackets(&self.added)),
        };
        format!(
            "{}\nAdded to existing cases since the last list\n{added}\n{}",
            part("Not sent to UNHCR", &self.not_sent),
            part("Waits for a person", &self.waiting)
        )
    }
}
