//! Walks through Primero's changed cases: notices what asks something of us and stores looks, cursor and all, in one transaction.
//!
//! It reads only the list, decides nothing about a referral, and keeps nothing of a case but its numbers.

pub mod baseline;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    activity::{Activity, Event},
    consent::listed,
    courier::{Names, sign_of_primero},
    decisions::NUMBER,
    health::{Leave, Sign},
    primero::{Case, Trouble, text},
    programme::Programme,
    reason::Reason,
    referral::{DeliveryId, System, Walk},
    schedule::{Due, Timetable},
    spool::looks::Changed,
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
    /// Its flow is off, or the agreement is not valid.
    #[error("the flow of this walk is off, or the agreement is not valid now")]
    Resting,
    /// Primero is blocked and not to be probed now.
    #[error("primero is blocked; it is probed again later (hint: `referrald check` says what is wrong)")]
    Blocked,
    /// Primero did not answer as promised.
    #[error(transparent)]
    Primero(#[from] Trouble),
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

/// Starts walks as their timetables say, looking at the clock with every tick; on the way out it waits for those under way.
pub async fn run(programme: Arc<Programme>, walks: Arc<Walks>, mut ticks: mpsc::Receiver<()>, stop: CancellationToken) {
    let schedule = &programme.settings.schedule;
    let now = programme.clock.now();
    let timetable = |cron: &croner::Cron| Timetable::new(cron.clone(), schedule.time_zone, None, schedule.at_start, now);
    let mut timetables = [(Walk::Referrals, timetable(&schedule.referrals)), (Walk::Decisions, timetable(&schedule.decisions))];
    let tracker = TaskTracker::new();
    loop {
        tokio::select! {
            tick = ticks.recv() => if tick.is_none() { break },
            () = stop.cancelled() => break,
        }
        for (walk, timetable) in &mut timetables {
            let walk = *walk;
            match timetable.look(programme.clock.now(), walks.under_way(walk)) {
                Due::No => {}
                Due::StillRunning => {
                    tracing::warn!(walk = walk.code(), "the walk before is still running; this one is left out");
                }
                Due::Now => {
                    let (programme, walks, stop) = (Arc::clone(&programme), Arc::clone(&walks), stop.clone());
                    tracker.spawn(async move {
                        tokio::select! {
                            result = walks.run(&programme, walk) => report(walk, result),
                            // Whatever was stored stands; the next walk begins there.
                            () = stop.cancelled() => {}
                        }
                    });
                }
            }
        }
    }
    tracker.close();
    tracker.wait().await;
}

fn report(walk: Walk, result: Result<Walked, WalkError>) {
    match result {
        Ok(_) | Err(WalkError::Resting | WalkError::UnderWay | WalkError::Blocked) => {}
        Err(error) => tracing::warn!(walk = walk.code(), %error, "a walk did not come to its end; the next one goes on there"),
    }
}

/// Which walks are under way: one of a kind at a time.
#[derive(Debug, Default)]
pub struct Walks(Mutex<HashSet<Walk>>);

impl Walks {
    /// Runs one walk to its end.
    pub async fn run(self: &Arc<Self>, programme: &Programme, walk: Walk) -> Result<Walked, WalkError> {
        let _turn = self.begin(walk).ok_or(WalkError::UnderWay)?;
        if !programme.runs(walk.flow()) {
            return Err(WalkError::Resting);
        }
        let _asking = may_ask(programme)?;
        tell(programme, Activity { flow: Some(walk.flow()), ..Activity::new(Event::PollStarted) }).await;
        let result = walk_all(programme, walk).await;
        let status = report_to_health(programme, &result).await;
        let line = match &result {
            Ok(walked) => Activity { count: Some(walked.looks.len() as u64), ..Activity::new(Event::PollFinished) },
            Err(error) => Activity { reason: reason(error), status, ..Activity::new(Event::PollFailed) },
        };
        tell(programme, Activity { flow: Some(walk.flow()), addressee: Some(System::Primero), ..line }).await;
        result
    }

    /// Whether a walk is under way.
    #[must_use]
    pub fn under_way(&self, walk: Walk) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&walk)
    }

    fn begin(self: &Arc<Self>, walk: Walk) -> Option<Turn> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(walk);
        new.then(|| Turn { walks: Arc::clone(self), walk })
    }
}

/// Ends with the walk, however that ends.
struct Turn {
    walks: Arc<Walks>,
    walk: Walk,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.walks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.walk);
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
        // A walk writes nothing, so it says nothing about fields that are dropped.
        Leave::Probe { only_written: true } | Leave::None(_) => Err(WalkError::Blocked),
        Leave::Probe { only_written: false } => {
            primero.probe_started(None);
            Ok(Asking(programme))
        }
    }
}

/// What a walk showed about Primero; returns the status that it met.
async fn report_to_health<T>(programme: &Programme, result: &Result<T, WalkError>) -> Option<u16> {
    let (sign, status) = match result {
        Err(WalkError::Primero(trouble)) => sign_of_primero(Names::Nothing, trouble),
        Ok(_) => (Sign::Answered, None),
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
    for module in modules {
        walk_module(programme, walk, &module, &mut walked).await?;
    }
    Ok(walked)
}

/// Reads what changed in one module since the last time; each page's looks are stored together with the cursor.
async fn walk_module(programme: &Programme, walk: Walk, module: &str, walked: &mut Walked) -> Result<(), WalkError> {
    let schedule = &programme.settings.schedule;
    let cursor = programme.spool.read(|reading| reading.cursor(walk, module))?.unwrap_or(schedule.start_from);
    let mut walker = Walker::new(Position { cursor }, schedule.overlap, PER);
    while let Some(ask) = walker.request() {
        let page = programme.primero.changed_cases(ask.since, ask.page, ask.per, module, &programme.fields.walk()).await?;
        let stamps: Vec<_> = page.cases.iter().map(|case| (case.key, case.last_updated_at)).collect();
        let step = walker.page(&stamps, page.per).map_err(|NotAsAsked| Trouble::FilterIgnored)?;
        walked.cases += step.new.len() as u64;
        let mut changed = Vec::new();
        for case in step.new.iter().filter_map(|index| page.cases.get(*index)) {
            if asks_something(programme, walk, case)? {
                changed.push(Changed { key: case.key, case_id: case.case_id(), stamp: case.last_updated_at });
            }
        }
        drop(page);
        let (of, position) = (module.to_owned(), step.position.cursor);
        let made = programme.spool.write(move |tx| tx.advance(walk, &of, position, &changed)).await?;
        walked.looks.extend(made);
    }
    Ok(())
}

/// Whether a changed case is one of this walk's: the look decides the rest.
fn asks_something(programme: &Programme, walk: Walk, case: &Case) -> Result<bool, crate::spool::Error> {
    match walk {
        Walk::Decisions => Ok(case.services().any(|service| text(service, NUMBER).is_some())),
        Walk::Referrals => {
            let agencies = &programme.settings.referrals.implementing_agencies;
            let concerns = case.services().any(|service| {
                listed(agencies, text(service, "service_implementing_agency"))
                    || service
                        .get("service_status_referred")
                        .is_some_and(|referred| *referred == Value::Bool(true) || referred.as_str() == Some("true"))
            });
            Ok(concerns || programme.spool.read(|reading| reading.watches(case.key))?)
        }
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
        WalkError::UnderWay | WalkError::Resting | WalkError::Blocked | WalkError::State(_) => None,
    }
}

async fn tell(programme: &Programme, line: Activity) {
    if let Err(error) = programme.spool.write(move |tx| tx.tell(line)).await {
        tracing::error!(%error, "the state did not take a line of the activity log");
    }
}
