//! Walks through Primero's changed cases: notices what asks something of us and stores looks, cursor and all, in one transaction.
//!
//! It reads only the list, decides nothing about a referral, and keeps nothing of a case but its numbers.

pub mod baseline;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    activity::{Activity, Event},
    consent::{is_referred, listed},
    courier::{Names, sign_of_primero},
    decisions::NUMBER,
    health::{Leave, Sign},
    primero::{Page, Row, Trouble, text},
    programme::{ASSOCIATED_USERS, Programme},
    reason::Reason,
    referral::{CaseKey, DeliveryId, System, Walk},
    schedule::{Due, Timetable},
    spool::{Tx, looks::Changed},
    walk::{NotAsAsked, Position, Walker},
};

/// Rows asked for in a page.
const PER: u32 = 1000;

/// Why a walk did not come to its end. The next one begins where this one had stored its cursor.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Another walk of this kind is under way.
    #[error("a walk of this kind is under way already")]
    UnderWay,
    /// Its flow is off or paused, or the agreement is not valid.
    #[error("the flow of this walk is off or paused, or the agreement is not valid now")]
    Resting,
    /// Primero is blocked and not to be probed now.
    #[error("primero is blocked; it is probed again later (hint: `referrald check` says what is wrong)")]
    Blocked,
    /// Primero did not answer as promised.
    #[error(transparent)]
    Primero(#[from] Trouble),
    /// Everything else was done, but some rows of the list do not even say which case they are.
    #[error(
        "{0} row(s) of primero's list cannot be read; the next walk reads on from there (hint: ask the Primero administrator)"
    )]
    Unreadable(u64),
    /// The state failed.
    #[error(transparent)]
    State(#[from] crate::spool::Error),
}

/// What a walk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// How many changed cases it met.
    pub cases: u64,
    /// The looks that it made.
    pub looks: Vec<DeliveryId>,
}

/// The ticks and the timetables that they are held against. They outlive a change of settings, so that no time is lost or comes twice.
#[derive(Debug, Default)]
pub struct Times {
    /// Without it nothing is ever due.
    ticks: Option<mpsc::Receiver<()>>,
    tables: Option<[(Walk, Timetable); 2]>,
}

impl Times {
    /// Before the first programme.
    #[must_use]
    pub const fn new(ticks: mpsc::Receiver<()>) -> Self {
        Self { ticks: Some(ticks), tables: None }
    }

    /// The timetables by the settings of a programme. Only at a start is a walk due whatever the time is.
    pub fn set(&mut self, programme: &Programme) {
        let schedule = &programme.settings.schedule;
        let now = programme.clock.now();
        let crons = [(Walk::Referrals, &schedule.referrals), (Walk::Decisions, &schedule.decisions)];
        match &mut self.tables {
            Some(tables) => {
                for ((_, timetable), (_, cron)) in tables.iter_mut().zip(crons) {
                    timetable.change(cron.clone(), schedule.time_zone, now);
                }
            }
            None => {
                let new = |cron: &croner::Cron| Timetable::new(cron.clone(), schedule.time_zone, None, schedule.at_start, now);
                self.tables = Some(crons.map(|(walk, cron)| (walk, new(cron))));
            }
        }
    }
}

/// Starts walks as their timetables, set before, say, looking at the clock with every tick, until told to stop. A walk that it started goes on
/// to its end, also beyond that, unless the `end` of all comes first.
pub async fn run(
    programme: Arc<Programme>,
    walks: Arc<Walks>,
    mut times: Times,
    stop: CancellationToken,
    end: CancellationToken,
) -> Times {
    while let Some(ticks) = &mut times.ticks {
        tokio::select! {
            tick = ticks.recv() => if tick.is_none() { break },
            () = stop.cancelled() => break,
        }
        for (walk, timetable) in times.tables.iter_mut().flatten() {
            let walk = *walk;
            match timetable.look(programme.clock.now(), walks.under_way(walk)) {
                Due::No => {}
                Due::StillRunning => {
                    tracing::warn!(walk = walk.code(), "the walk before is still running; this one is left out");
                }
                Due::Now => {
                    let (programme, own, end) = (Arc::clone(&programme), Arc::clone(&walks), end.clone());
                    walks.started.spawn(async move {
                        tokio::select! {
                            result = own.run(&programme, walk) => report(walk, result),
                            // Whatever was stored stands; the next walk begins there.
                            () = end.cancelled() => {}
                        }
                    });
                }
            }
        }
    }
    times
}

fn report(walk: Walk, result: Result<Walked, WalkError>) {
    match result {
        Ok(_) | Err(WalkError::Resting | WalkError::UnderWay | WalkError::Blocked) => {}
        Err(error) => tracing::warn!(walk = walk.code(), %error, "a walk did not come to its end; the next one goes on there"),
    }
}

/// Which walks are under way: one of a kind at a time.
#[derive(Debug, Default)]
pub struct Walks {
    under_way: Mutex<HashSet<Walk>>,
    /// Those that a timetable started.
    started: TaskTracker,
}

impl Walks {
    /// Runs one walk to its end.
    pub async fn run(self: &Arc<Self>, programme: &Programme, walk: Walk) -> Result<Walked, WalkError> {
        let _turn = self.begin(walk).ok_or(WalkError::UnderWay)?;
        if !programme.runs(walk.flow()) {
            if programme.spool.read(|reading| reading.is_unfinished(walk))? {
                programme.spool.write(move |tx| tx.walk_is_over(walk)).await?;
            }
            return Err(WalkError::Resting);
        }
        let _asking = match may_ask(programme) {
            Ok(asking) => asking,
            Err(error) => {
                keep(programme, move |tx| tx.walk_begins(walk)).await;
                note_unfinished(programme, walk, None, blocked_because(programme)).await;
                return Err(error);
            }
        };
        let flow = Some(walk.flow());
        keep(programme, move |tx| {
            tx.walk_begins(walk)?;
            tx.tell(Activity { flow, ..Activity::new(Event::PollStarted) })
        })
        .await;
        let result = walk_all(programme, walk).await;
        let status = report_to_health(programme, &result).await;
        let line = match &result {
            Ok(walked) => Activity { count: Some(walked.looks.len() as u64), ..Activity::new(Event::PollFinished) },
            Err(error) => Activity { reason: reason(error), status, count: rows(error), ..Activity::new(Event::PollFailed) },
        };
        let line = Activity { flow, addressee: Some(System::Primero), ..line };
        match &result {
            Ok(_) => {
                keep(programme, move |tx| {
                    tx.walk_ends(walk)?;
                    tx.tell(line)
                })
                .await;
            }
            Err(error) => note_unfinished(programme, walk, Some(line), reason(error)).await,
        }
        result
    }

    /// Whether a walk is under way.
    #[must_use]
    pub fn under_way(&self, walk: Walk) -> bool {
        self.set().contains(&walk)
    }

    /// Waits until no walk is under way that a timetable started.
    pub async fn ended(&self) {
        self.started.close();
        self.started.wait().await;
    }

    fn set(&self) -> MutexGuard<'_, HashSet<Walk>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps walks of this kind from beginning, as long as the answer lives; `None` if one is under way.
    #[must_use]
    pub fn begin(self: &Arc<Self>, walk: Walk) -> Option<Turn> {
        let new = self.set().insert(walk);
        new.then(|| Turn { walks: Arc::clone(self), walk })
    }
}

/// Ends with the walk, however that ends.
#[derive(Debug)]
pub struct Turn {
    walks: Arc<Walks>,
    walk: Walk,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.walks.set().remove(&self.walk);
    }
}

/// A walk that asks Primero; if it is the probe of a Primero that is blocked, the probe ends with it, however it ends.
struct Asking<'a>(&'a Programme);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.health()[System::Primero as usize].ended(None);
    }
}

/// Whether Primero may be asked for a list now.
fn may_ask(programme: &Programme) -> Result<Asking<'_>, WalkError> {
    let mut health = programme.health();
    let primero = &mut health[System::Primero as usize];
    match primero.leave(programme.clock.monotonic()) {
        Leave::All | Leave::One => Ok(Asking(programme)),
        Leave::None(_) => Err(WalkError::Blocked),
        // A walk writes nothing, so it says nothing about fields that are dropped, while an errand is left that does.
        Leave::Probe { only_written } if only_written && programme.spool.shared().agenda().has_written(&programme.resting()) => {
            Err(WalkError::Blocked)
        }
        Leave::Probe { .. } => {
            primero.probe_started(None);
            Ok(Asking(programme))
        }
    }
}

/// What a walk showed about Primero; returns the status that it met.
async fn report_to_health<T>(programme: &Programme, result: &Result<T, WalkError>) -> Option<u16> {
    let (sign, status) = match result {
        Err(WalkError::Primero(trouble)) => sign_of_primero(Names::Nothing, trouble),
        Ok(_) | Err(WalkError::Unreadable(_)) => (Sign::Answered, None),
        // These say nothing about Primero.
        Err(WalkError::UnderWay | WalkError::Resting | WalkError::Blocked | WalkError::State(_)) => return None,
    };
    programme.report_health(System::Primero, None, sign, status).await;
    status
}

async fn walk_all(programme: &Programme, walk: Walk) -> Result<Walked, WalkError> {
    let modules = match walk {
        Walk::Referrals => programme.settings.referrals.modules.clone(),
        Walk::Decisions => vec![programme.mapping.module().to_owned()],
    };
    let mut walked = Walked::default();
    let mut unreadable = 0;
    for module in modules {
        unreadable += walk_module(programme, walk, &module, &mut walked).await?;
    }
    if unreadable > 0 { Err(WalkError::Unreadable(unreadable)) } else { Ok(walked) }
}

/// Reads what changed in one module since the last time; each page's looks are stored together with the cursor.
/// Returns how many rows do not say which case they are. They hold up no other, but the cursor does not pass them:
/// every walk comes back to them until they can be read, so that no case is lost with them.
async fn walk_module(programme: &Programme, walk: Walk, module: &str, walked: &mut Walked) -> Result<u64, WalkError> {
    let schedule = &programme.settings.schedule;
    let cursor = programme.spool.read(|reading| reading.cursor(walk, module))?.unwrap_or(schedule.start_from);
    let mut walker = Walker::new(Position { cursor }, schedule.overlap, PER);
    let mut unreadable = Vec::new();
    while let Some(ask) = walker.request() {
        let page = programme.primero.changed_cases(ask.since, ask.page, ask.per, module, &programme.fields.walk(walk)).await?;
        let step = walker.page(&stamps(&page), page.per).map_err(|NotAsAsked| Trouble::FilterIgnored)?;
        let mut changed = Vec::new();
        for row in step.new.iter().filter_map(|index| page.rows.get(*index)) {
            let Some(key) = row.key() else {
                unreadable.push(row.last_updated_at());
                continue;
            };
            walked.cases += 1;
            if asks_something(programme, walk, row)? {
                changed.push(Changed { key, case_id: row.case_id(), stamp: row.last_updated_at() });
            }
        }
        drop(page);
        // The list ascends, so the first of them is the oldest.
        let position = unreadable.first().map_or(step.position.cursor, |first| step.position.cursor.min(*first));
        let of = module.to_owned();
        let made = programme.spool.write(move |tx| tx.advance(walk, &of, position, &changed)).await?;
        walked.looks.extend(made);
    }
    Ok(unreadable.len() as u64)
}

/// Where the rows of a page stand. Rows that do not say which case they are, are told apart by their place in the page.
fn stamps(page: &Page) -> Vec<(CaseKey, DateTime<Utc>)> {
    let key = |place: usize, row: &Row| row.key().unwrap_or(CaseKey(Uuid::from_u128(place as u128)));
    page.rows.iter().enumerate().map(|(place, row)| (key(place, row), row.last_updated_at())).collect()
}

/// Whether a changed case is one of this walk's: the look decides the rest, also of what cannot be read here. A look that cannot
/// read it either is tried again, and is on the operator's list with the case when it is late.
fn asks_something(programme: &Programme, walk: Walk, row: &Row) -> Result<bool, crate::spool::Error> {
    let Row::Case(case) = row else { return Ok(true) };
    match walk {
        Walk::Decisions => Ok(case.services().any(|service| text(service, NUMBER).is_some())),
        Walk::Referrals => {
            let lists = &programme.settings.referrals;
            let has_service = case.services().any(|service| {
                listed(&lists.implementing_agencies, text(service, "service_implementing_agency")) || is_referred(service)
            });
            // A referral that was made on the case, and not on a service, marks none.
            let associated = case.document.reveal().get(ASSOCIATED_USERS).and_then(Value::as_array).into_iter().flatten();
            let concerns = has_service || associated.into_iter().any(|name| listed(&lists.recipients, name.as_str()));
            Ok(concerns || programme.spool.read(|reading| Ok(reading.watches(case.key)? || reading.awaits_a_look(case.key)?))?)
        }
    }
}

/// How many rows could not be read.
const fn rows(error: &WalkError) -> Option<u64> {
    match error {
        WalkError::Unreadable(rows) => Some(*rows),
        WalkError::UnderWay | WalkError::Resting | WalkError::Blocked | WalkError::Primero(_) | WalkError::State(_) => None,
    }
}

fn reason(error: &WalkError) -> Option<Reason> {
    match error {
        WalkError::Primero(Trouble::Unwell(unwell)) => Some(unwell.reason),
        WalkError::Primero(Trouble::Unauthorized) => Some(Reason::Unauthorized),
        WalkError::Primero(Trouble::Forbidden) => Some(Reason::Forbidden),
        WalkError::Primero(Trouble::FilterIgnored) => Some(Reason::FilterIgnored),
        WalkError::Primero(Trouble::WrongUrl) => Some(Reason::WrongUrl),
        WalkError::Primero(Trouble::CertificateRefused) => Some(Reason::CertificateRefused),
        WalkError::Primero(Trouble::NotFound | Trouble::Conflict | Trouble::Invalid(_) | Trouble::Refused(_)) => {
            Some(Reason::NotAsPromised)
        }
        WalkError::Unreadable(_) => Some(Reason::NotAsPromised),
        WalkError::UnderWay | WalkError::Resting | WalkError::Blocked | WalkError::State(_) => None,
    }
}

/// A walk did not come to its end: told, and on the operator's list if none has for too long.
async fn note_unfinished(programme: &Programme, walk: Walk, line: Option<Activity>, reason: Option<Reason>) {
    let before = programme.clock.now() - programme.settings.delivery.alarm_after;
    keep(programme, move |tx| {
        tx.list_unfinished(walk, before, reason)?;
        line.map_or(Ok(()), |line| tx.tell(line))
    })
    .await;
}

fn blocked_because(programme: &Programme) -> Option<Reason> {
    programme.health()[System::Primero as usize].block().map(|block| block.reason)
}

/// What a walk notes of itself. If the state does not take it, the walk goes on all the same.
async fn keep(programme: &Programme, what: impl FnOnce(&mut Tx<'_>) -> Result<(), crate::spool::Error> + Send + 'static) {
    if let Err(error) = programme.spool.write(what).await {
        tracing::error!(%error, "the state did not take what a walk notes of itself");
    }
}
