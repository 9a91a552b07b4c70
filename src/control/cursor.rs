//! How far changed cases were read, and reading from another time on, because a person wants it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Answers, Failure, Office, Row, execute::send, needed, rows::CursorRow};
use crate::{
    mapping::Mapping,
    referral::Walk,
    spool::cursor::{Cursor, Moving},
};

/// Every cursor.
pub(super) async fn show(office: &Office, out: &Answers) -> Result<(), Failure> {
    let rows = rows(office, &module(office)?)?;
    send(rows.into_iter().map(Row::Cursor).collect(), out).await;
    Ok(())
}

/// How far each walk has read each of its modules; `module` is the mapping's.
pub(super) fn rows(office: &Office, module: &str) -> Result<Vec<CursorRow>, Failure> {
    let now = office.clock.now();
    let (stored, unfinished) = office.spool.read(|reading| {
        let unfinished = [reading.unfinished_since(Walk::Referrals)?, reading.unfinished_since(Walk::Decisions)?];
        Ok((reading.cursors()?, unfinished))
    })?;
    let mut rows = Vec::new();
    for (walk, unfinished) in [Walk::Referrals, Walk::Decisions].into_iter().zip(unfinished) {
        let mut modules = modules(office, walk, module);
        modules.extend(stored.iter().filter(|cursor| cursor.walk == walk).map(|cursor| cursor.module.clone()));
        modules.sort();
        modules.dedup();
        for module in modules {
            let position = position(&stored, walk, &module);
            rows.push(CursorRow {
                walk: walk.code().to_owned(),
                module,
                read_up_to: position,
                age_s: position.map(|position| (now - position).num_seconds()),
                start_from: office.settings.schedule.start_from,
                unfinished_since: unfinished,
            });
        }
    }
    Ok(rows)
}

/// Lets a walk read from another time on.
pub(super) async fn set(
    office: &Office,
    walk: &str,
    to: DateTime<Utc>,
    reason: &str,
    leave_unread: bool,
    who: &str,
) -> Result<String, Failure> {
    let walk = needed("WALK", walk, Walk::from_code)?;
    let reason = needed("--reason", reason, Moving::from_code)?;
    let start_from = office.settings.schedule.start_from;
    let now = office.clock.now();
    if to < start_from {
        return Err(Failure::usage(format!(
            "TIME: nothing from before {} is ever read (hint: that is `schedule.start_from` in the configuration)",
            stamp(start_from, office)
        )));
    }
    if to > now {
        return Err(Failure::usage("TIME: that is still to come, so changes would be missed that nobody has made yet"));
    }
    let modules = modules(office, walk, &module(office)?);
    // A walk under way moves the cursor itself, page by page.
    let _turn = match &office.running {
        Some(running) => Some(running.walks.begin(walk).ok_or_else(|| {
            Failure::failed(format!(
                "the walk `{walk}` is under way and is not disturbed; nothing was changed (hint: try again when it is over)"
            ))
        })?),
        None => None,
    };
    let stored = office.spool.read(|reading| reading.cursors())?;
    let positions = modules.iter().map(|module| position(&stored, walk, module).unwrap_or(start_from));
    let (oldest, newest) =
        positions.fold((None, None), |(oldest, newest): (Option<DateTime<Utc>>, Option<DateTime<Utc>>), at| {
            (Some(oldest.map_or(at, |oldest| oldest.min(at))), Some(newest.map_or(at, |newest| newest.max(at))))
        });
    let (oldest, newest) = (oldest.unwrap_or(start_from), newest.unwrap_or(start_from));
    if to > oldest && !leave_unread {
        return Err(Failure::failed(format!(
            "changes between {} and {} were not read yet and would never be read: what waits there in Primero would stay unseen until it \
             changes again; nothing was changed (hint: if that is meant, add `--leave-unread`)",
            stamp(oldest, office),
            stamp(to, office)
        )));
    }
    let who = format!("{who} {walk} {} --reason {reason}", to.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    let moved = office.spool.write(move |tx| {
        tx.move_cursor(walk, &modules, to)?;
        tx.tell_of_operator(&who, Some(walk.flow()), None)
    });
    moved.await?;
    let from = stamp(to, office);
    Ok(if to > oldest {
        format!(
            "the walk `{walk}` reads on from {from}: changes of {} before that stay unread, until their cases change again",
            span(to - oldest)
        )
    } else if to == newest {
        format!("the walk `{walk}` reads from {from} on, as it would have; what was looked at since then is looked at again")
    } else {
        format!(
            "the walk `{walk}` reads from {from} on: changes of {} are read again with its next run, and looked at again; nothing that \
             was sent is sent twice",
            span(newest - to)
        )
    })
}

/// The modules of Primero that a walk reads.
fn modules(office: &Office, walk: Walk, module: &str) -> Vec<String> {
    match walk {
        Walk::Referrals => office.settings.referrals.modules.clone(),
        Walk::Decisions => vec![module.to_owned()],
    }
}

/// The module that the mapping writes to.
fn module(office: &Office) -> Result<String, Failure> {
    match &office.running {
        Some(running) => Ok(running.programme.mapping.module().to_owned()),
        None => Ok(Mapping::load(&office.settings.mapping_directory).map_err(Failure::configuration)?.module().to_owned()),
    }
}

fn position(stored: &[Cursor], walk: Walk, module: &str) -> Option<DateTime<Utc>> {
    stored.iter().find(|cursor| cursor.walk == walk && cursor.module == module).map(|cursor| cursor.position)
}

fn stamp(time: DateTime<Utc>, office: &Office) -> String {
    office.settings.schedule.time_zone.to_the_second(time)
}

/// How long, in the largest units that say something.
fn span(time: TimeDelta) -> String {
    let seconds = u64::try_from(time.num_seconds()).unwrap_or_default();
    humantime::format_duration(std::time::Duration::from_secs(if seconds > 3600 { seconds / 60 * 60 } else { seconds }))
        .to_string()
}
