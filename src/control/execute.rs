//! Executes a request on an office. It neither knows nor asks whether a daemon runs.

use std::time::Duration;

use super::{
    Answer, Answers, Failure, Office, Only, Request, Row, coded, cursor, flows, ground, keeping, notice, poll,
    rows::{DeliveryRow, EntryRow, ToldRow},
    status, stopping,
};
use crate::{
    activity,
    alerts::{Failed, Targets},
    referral::{DeliveryId, System, Walk},
    spool::{
        Error,
        delivery::Delivery,
        list::{Entry, Kind},
        operator::{Filter, Stopped, Stopping},
        story::Wanted,
    },
};

/// How many lines are read at a time.
const LINES: u32 = 500;
/// How many deliveries are read at a time.
const DELIVERIES: u32 = 500;
/// How often is looked for new lines.
const FOLLOW: Duration = Duration::from_millis(500);

/// Executes a request for an account of this machine; returns what there is to say at the end.
pub async fn execute(office: &Office, request: Request, account: &str, out: &Answers) -> Result<Option<String>, Failure> {
    let command = request.command();
    match request {
        Request::List { all, only } => list(office, all, &only, out).await.map(|()| None),
        Request::Show { id } => show(office, DeliveryId(id), out).await.map(|()| None),
        Request::Retry { id } => {
            let who = signature(account, None, command);
            let meant = office.spool.read(|reading| Ok(reading.delivery_meant(DeliveryId(id))))??.id;
            let due = office.spool.operate(move |tx| tx.retry(meant, &who)).await?;
            let new = if due == meant { String::new() } else { format!(" in place of {meant}") };
            Ok(Some(format!("delivery {due} is due now{new}{}", if_blocked(office, due)?)))
        }
        Request::Release { id, ground: on, decided_by } => {
            let ground = ground(&on)?;
            let who = signature(account, Some(decided_by.as_str()), command);
            let due = office.spool.operate(move |tx| tx.release(DeliveryId(id), ground, decided_by.as_str(), &who)).await?;
            Ok(Some(format!("delivery {due} is released: it is read again and sent now{}", if_blocked(office, due)?)))
        }
        Request::Stop { id, reason } => stop(office, DeliveryId(id), stopping(&reason)?, account, command).await.map(Some),
        Request::Resolve { id, by, informed_on } => {
            let today = office.clock.now().with_timezone(&office.settings.schedule.time_zone).date_naive();
            if informed_on.is_some_and(|day| day > today) {
                return Err(Failure::usage(
                    "--informed-on: this day is still to come (hint: the day on which UNHCR was informed, as in 2026-06-01)",
                ));
            }
            let who = signature(account, Some(by.as_str()), command);
            let resolve = move |tx: &mut crate::spool::Tx<'_>| tx.resolve_by_hand(DeliveryId(id), by.as_str(), informed_on, &who);
            let resolved = office.spool.operate(resolve).await?;
            Ok(Some(if resolved == 1 {
                "1 entry is off the list".to_owned()
            } else {
                format!("{resolved} entries are off the list")
            }))
        }
        Request::Activity { follow, intervention, case, since } => {
            let wanted = Wanted {
                intervention: intervention.map(|text| text.parse()).transpose().map_err(Failure::usage)?,
                case: case.map(|text| text.parse()).transpose().map_err(Failure::usage)?,
                since,
                ..Wanted::default()
            };
            tell(office, wanted, follow, out).await.map(|()| None)
        }
        Request::Poll { walk, baseline } => {
            let walk = coded("walk", Some(&walk), Walk::from_code)?.unwrap_or(Walk::Referrals);
            poll::poll(office, walk, baseline, &signature(account, None, command), out).await.map(Some)
        }
        Request::Rotate { first } => keeping::rotate(office, &first, signature(account, None, command)).await.map(Some),
        Request::EraseParcels => keeping::erase_parcels(office, signature(account, None, command)).await.map(Some),
        Request::Copied { .. } => {
            let who = signature(account, None, command);
            office.spool.write(move |tx| tx.tell_of_operator(&who, None, None)).await?;
            Ok(None)
        }
        Request::Notice { id } => {
            notice::notice(office, DeliveryId(id), &signature(account, None, command), out).await.map(|()| None)
        }
        Request::TestAlerts => test_alerts(office, &signature(account, None, command), out).await.map(Some),
        Request::Withdrawal { intervention, received, by } => {
            let number = intervention.parse().map_err(|error| Failure::usage(format!("--intervention: {error}")))?;
            notice::record(office, number, received, &signature(account, Some(by.as_str()), command)).await.map(Some)
        }
        Request::Status => status::status(office, out).await.map(|()| None),
        Request::Flows => flows::list(office, out).await.map(|()| None),
        Request::Pause { flow, by, reason } => flows::pause(office, &flow, &by, reason.as_deref(), account).await.map(Some),
        Request::Resume { flow, by } => flows::resume(office, &flow, &by, account).await.map(Some),
        Request::Cursors => cursor::show(office, out).await.map(|()| None),
        Request::MoveCursor { walk, to, reason, by, leave_unread } => {
            let signed = signature(account, Some(by.as_str()), command);
            cursor::set(office, &walk, to, &reason, leave_unread, &signed).await.map(Some)
        }
    }
}

/// Sends a test to each target and tells what came of it.
async fn test_alerts(office: &Office, who: &str, out: &Answers) -> Result<String, Failure> {
    let who = who.to_owned();
    office.spool.write(move |tx| tx.tell_of_operator(&who, None, None)).await?;
    let told = Targets::test(&office.settings, &office.clock).await?;
    let (count, failed) = (told.len(), told.iter().filter(|(_, sent)| sent.is_err()).count());
    let row = |(target, sent): (&str, Result<(), Failed>)| {
        let why = sent.err().map(|why| why.to_string());
        Row::Told(ToldRow { target: target.to_owned(), taken: why.is_none(), why })
    };
    send(told.into_iter().map(row).collect(), out).await;
    let off = if office.settings.alerts.on { "" } else { "; `alerts.on` is false, so nothing but this test is sent" };
    match (count, failed) {
        (0, _) => Err(Failure::configuration(
            "nobody is to be told (hint: give `alerts.webhook.url`, or `alerts.mail.server` with `from` and `to`)",
        )),
        (_, 0) => Ok(format!("every target took the test message{off}")),
        (_, failed) => Err(Failure::outside(format!("{failed} of {count} targets did not take the test message{off}"))),
    }
}

/// Who ran what, as it stands in the log: the account of this machine, the role given, the command.
pub(super) fn signature(account: &str, role: Option<&str>, command: &str) -> String {
    role.map_or_else(|| format!("{account}: {command}"), |role| format!("{account} ({role}): {command}"))
}

async fn list(office: &Office, all: bool, only: &Only, out: &Answers) -> Result<(), Failure> {
    let (filter, kind) = (only.filter()?, only.kind()?);
    let entries = office.spool.read(|reading| {
        let mut rows = Vec::new();
        for entry in reading.open_entries()? {
            let delivery = match entry.delivery {
                Some(id) => reading.delivery(id)?,
                None => None,
            };
            if kind.is_none_or(|kind| entry.kind == kind) && wanted(&entry, delivery.as_ref(), &filter) {
                rows.push(Row::Entry(Box::new(EntryRow::new(&entry, delivery.as_ref()))));
            }
        }
        Ok(rows)
    })?;
    let mut listening = send(entries, out).await;
    let mut after = DeliveryId(0);
    // Page by page: the settled ones of years are never in memory at once.
    while all && listening {
        let page = office.spool.read(|reading| {
            let page = reading.deliveries(&filter, after, DELIVERIES)?;
            let row = |delivery: &Delivery| DeliveryRow::new(delivery, reading.is_attempted(delivery.id));
            Ok(page.iter().map(|delivery| Row::Delivery(Box::new(row(delivery)))).collect::<Vec<_>>())
        })?;
        let Some(Row::Delivery(last)) = page.last() else { break };
        after = DeliveryId(last.delivery);
        listening = send(page, out).await;
    }
    Ok(())
}

fn wanted(entry: &Entry, delivery: Option<&Delivery>, filter: &Filter) -> bool {
    let Filter { state, errand, flow, intervention, case, reason, from, to, late } = filter;
    errand.is_none_or(|errand| entry.errand == Some(errand))
        && intervention.as_ref().is_none_or(|number| entry.intervention.as_ref() == Some(number))
        && case.as_ref().is_none_or(|case| entry.case.as_ref() == Some(case))
        && flow.is_none_or(|flow| delivery.is_some_and(|delivery| delivery.flow() == flow))
        && state.is_none_or(|state| delivery.is_some_and(|delivery| delivery.state == state))
        && reason.is_none_or(|reason| entry.reason == Some(reason))
        && from.is_none_or(|from| entry.made >= from)
        && to.is_none_or(|to| entry.made < to)
        && (!late || entry.kind == Kind::Late || delivery.is_some_and(|delivery| delivery.late && delivery.settled.is_none()))
}

async fn show(office: &Office, id: DeliveryId, out: &Answers) -> Result<(), Failure> {
    let found = office.spool.read(|reading| {
        let entries = reading.entries_of(id)?;
        let about = entries.iter().find(|entry| entry.id == id).map_or(Some(id), |entry| entry.delivery);
        let delivery = match about {
            Some(id) => reading.delivery(id)?,
            None => None,
        };
        if entries.is_empty() && delivery.is_none() {
            return Ok(None);
        }
        let mut rows = Vec::new();
        if let Some(delivery) = &delivery {
            rows.push(Row::Delivery(Box::new(DeliveryRow::new(delivery, reading.is_attempted(delivery.id)))));
        }
        rows.extend(entries.iter().map(|entry| Row::Entry(Box::new(EntryRow::new(entry, delivery.as_ref())))));
        let mut wanted = Wanted { delivery: Some(about.unwrap_or(id)), ..Wanted::default() };
        loop {
            let lines = reading.story(&wanted, LINES)?;
            let Some(last) = lines.last() else { break };
            wanted.after = last.place;
            rows.extend(lines.into_iter().map(|line| told(office, line)));
        }
        Ok(Some(rows))
    })?;
    let rows = found.ok_or_else(|| Failure::from(crate::spool::operator::Unable::Unknown(id)))?;
    send(rows, out).await;
    Ok(())
}

async fn stop(office: &Office, id: DeliveryId, why: Stopping, account: &str, command: &str) -> Result<String, Failure> {
    let who = signature(account, None, command);
    let stopped = office.spool.operate(move |tx| tx.stop(id, why, &who)).await?;
    Ok(match stopped {
        Stopped::Told(id) => {
            let when = flows::when_unhcr_hears(office);
            format!("delivery {id} is stopped and its content erased; UNHCR is told that the CPIMS+ focal point stopped it{when}")
        }
        Stopped::Quietly(id) => format!("delivery {id} is stopped; nobody is told by this system"),
        Stopped::MayStand(id) => format!(
            "delivery {id} is stopped and its content erased, but something of it may have reached the other side; nobody is told \
             by this system (hint: a new entry on the operator's list says what to look at)"
        ),
    })
}

/// Tells the stories line by line; with `follow` until whoever asked goes away.
async fn tell(office: &Office, mut wanted: Wanted, follow: bool, out: &Answers) -> Result<(), Failure> {
    if follow && !office.running.as_ref().is_some_and(|running| running.is_daemon) {
        return Err(Failure::failed("no daemon runs, so there is nothing to follow (hint: leave out `--follow`)"));
    }
    loop {
        let (newest, lines) = office.spool.read(|reading| Ok((reading.newest_line()?, reading.story(&wanted, LINES)?)))?;
        let more = lines.len() == LINES as usize;
        let last = lines.last().map_or(wanted.after, |line| line.place);
        // What was looked through without being wanted is not looked through again.
        wanted.after = if more { last } else { last.max(newest) };
        if !send(lines.into_iter().map(|line| told(office, line)).collect(), out).await {
            return Ok(());
        }
        match (more, follow) {
            (true, _) => {}
            (false, true) => office.clock.sleep_until(office.clock.monotonic() + FOLLOW).await,
            (false, false) => return Ok(()),
        }
    }
}

fn told(office: &Office, line: crate::spool::story::Line) -> Row {
    let line = activity::Line { time: line.time, activity: line.activity };
    Row::Line(line.render(&office.settings.programme, office.settings.environment.code()))
}

/// Sends rows; `false` if nobody listens any more.
pub(super) async fn send(rows: Vec<Row>, out: &Answers) -> bool {
    for row in rows {
        if out.send(Answer::Row(row)).await.is_err() {
            return false;
        }
    }
    true
}

/// What stands in the way of a delivery that was just made due.
fn if_blocked(office: &Office, id: DeliveryId) -> Result<String, Error> {
    let Some(running) = &office.running else {
        return Ok("; no daemon runs, so it goes when one does".to_owned());
    };
    let Some(delivery) = office.spool.read(|reading| reading.delivery(id))? else { return Ok(String::new()) };
    let health = running.programme.health();
    let blocked = System::ALL.iter().filter(|system| delivery.errand.needs(**system));
    let blocked = blocked.filter_map(|system| health[*system as usize].block().map(|block| (system, block.reason)));
    Ok(blocked.map(|(system, reason)| format!(", but {system} is blocked ({reason}); it waits for the next probe")).collect())
}
