//! Looks for what nobody tells us: a silent flow, referrals that nobody decides, a disk that fills.

use chrono::{DateTime, TimeDelta, Utc};

use super::Calendar;
use crate::{programme::Programme, referral::Flow, spool::Error};

/// How often silence and undecided referrals are looked for. They are counted in days.
const EVERY: TimeDelta = TimeDelta::hours(1);

/// How far the first look after a start reaches back for what was undecided by then. What is on the list already stays there.
const FIRST_LOOK: TimeDelta = TimeDelta::days(60);

/// Brings the operator's list up to date with what is seen now.
pub(super) async fn notice(programme: &Programme, calendar: &mut Calendar, now: DateTime<Utc>) -> Result<(), Error> {
    let spool = &programme.spool;
    let alerts = &programme.settings.alerts;
    let nearly_full = spool.disk_free().is_some_and(|free| free < alerts.disk_free);
    if spool.read(|reading| reading.is_disk_nearly_full())? != nearly_full {
        spool.write(move |tx| tx.disk_nearly_full(nearly_full)).await?;
    }
    // A wall clock that was set back must not put it off.
    if calendar.noticed.is_some_and(|last| last <= now && now - last < EVERY) {
        return Ok(());
    }
    let running = Flow::ALL.iter().map(|flow| (*flow, programme.runs(*flow))).collect::<Vec<_>>();
    let silence_after = alerts.silence_after;
    let silent = running
        .iter()
        .filter(|(_, runs)| *runs)
        .map(|(flow, _)| {
            let silent = !silence_after.is_zero() && spool.read(|reading| reading.is_silent(*flow, now - silence_after))?;
            Ok((*flow, silent))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let last = calendar.noticed.filter(|last| *last <= now).unwrap_or(now - FIRST_LOOK);
    let undecided = spool.read(|reading| reading.undecided(last, now))?;
    spool
        .write(move |tx| {
            for (flow, runs) in running {
                tx.flow_runs(flow, runs)?;
            }
            for (flow, silent) in silent {
                tx.flow_is_silent(flow, silent)?;
            }
            undecided.iter().try_for_each(|delivery| tx.list_undecided(delivery))
        })
        .await?;
    calendar.noticed = Some(now);
    Ok(())
}
