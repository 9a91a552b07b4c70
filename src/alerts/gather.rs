//! What is open now: from the operator's list, the health of the systems, and what ends some day.
//!
//! It decides nothing, and takes of an entry its kind, its number and its time.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::{Open, Topic};
use crate::{
    activity::Event,
    programme::Programme,
    reason::Reason,
    referral::{DeliveryId, System},
    spool::{Error, list::Entry},
    upkeep::{self, Ending},
};

/// What has no entry, and so no number of its own.
const THE_ONE: i64 = 1;
/// A referral that is undecided is told again after this.
const UNDECIDED_AGAIN: TimeDelta = TimeDelta::days(7);
/// To save a service and to refer it are two steps: so long nobody is told that the second is missing.
const TWO_STEPS: TimeDelta = TimeDelta::hours(1);
/// The second stage hears of what ends in its last week.
const LAST_WEEK: TimeDelta = TimeDelta::days(7);

/// Everything that is open now.
pub(super) fn open(programme: &Programme) -> Result<Vec<Open>, Error> {
    let now = programme.clock.now();
    let (entries, blocks) = programme.spool.read(|reading| Ok((reading.open_entries()?, reading.blocks()?)))?;
    let mut open: Vec<Open> = entries.iter().filter_map(|entry| of_entry(entry, now)).collect();
    for system in System::ALL.iter().copied() {
        if programme.health()[system as usize].block().is_some() {
            let since = blocks.iter().find(|block| block.addressee == system).map_or(now, |block| block.since);
            let topic = match system {
                System::Primero => Topic::PrimeroBlocked,
                System::Dtp => Topic::DtpBlocked,
            };
            open.push(Open { topic, about: THE_ONE, level: 0, since, number: None, days: None });
        }
    }
    if let Some(since) = programme.not_storing_since() {
        open.push(Open { topic: Topic::PostNotStored, about: THE_ONE, level: 0, since, number: None, days: None });
    }
    open.extend(upkeep::endings(programme).iter().filter_map(|ending| of_ending(ending, now)));
    Ok(open)
}

fn of_entry(entry: &Entry, now: DateTime<Utc>) -> Option<Open> {
    let topic = Topic::of_entry(entry.kind, entry.reason)?;
    if entry.reason == Some(Reason::ServiceWithoutReferral) && entry.made <= now && now - entry.made < TWO_STEPS {
        return None;
    }
    let level = match topic {
        // Again after a day, and each day that nobody has said that it was dealt with.
        Topic::WithdrawnAfterSend | Topic::WithdrawnByUnhcr => (now - entry.made).num_days().max(0),
        Topic::Undecided => i64::from(now - entry.made >= UNDECIDED_AGAIN),
        _ => 0,
    };
    let DeliveryId(about) = entry.id;
    Some(Open { topic, about, level, since: entry.made, number: Some(entry.id), days: None })
}

fn of_ending(ending: &Ending, now: DateTime<Utc>) -> Option<Open> {
    let (topic, about) = match ending.event {
        Event::AgreementExpiring => (Topic::AgreementExpiring, THE_ONE),
        Event::CertificateExpiring => (Topic::CertificateExpiring, THE_ONE),
        // There may be several keys; when one ends tells it from another.
        Event::KeyExpiring => (Topic::KeyExpiring, ending.until.timestamp()),
        _ => return None,
    };
    let days = ending.days_left(now);
    let passed = upkeep::DAYS_BEFORE.iter().filter(|before| days <= **before).count() as i64;
    // Each day after the end is one further.
    let level = if ending.until <= now { passed + 1 + (now.date_naive() - ending.until.date_naive()).num_days() } else { passed };
    let open = Open { topic, about, level, since: ending.until - LAST_WEEK, number: None, days: Some(days) };
    (level > 0).then_some(open)
}
