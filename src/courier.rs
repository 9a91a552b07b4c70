//! Attempts deliveries and judges the answers: five outcomes, matched in one place.
//!
//! It lends deliveries from the agenda as the health of the systems allows, attempts each errand in its own room, and gives
//! what came of it to the spool in one transaction. It does not know how anything is stored.

mod attempt;
mod look;
mod open_intervention;
mod record_decision;
mod report_decision;
mod send_feedback;
mod send_referral;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::attempt::{Attempt, Verdict};
pub use self::attempt::{Names, deadline, out_of_time, sign_of_primero};
use self::look::Leaving;
use crate::{
    agenda::{Pick, Task},
    health::Leave,
    programme::{Place, Programme},
    referral::{DeliveryId, Errand, Flow, System},
};

/// How long attempts under way may go on once the end was asked for. Longer than a request may take, and shorter than a service
/// manager waits before it kills (`TimeoutStopSec=` in deploy/).
const LAST_WAIT: Duration = Duration::from_secs(90);

/// What the courier has seen and does. Whoever waits for it to be done compares this with agenda and clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many attempts are under way.
    pub under_way: usize,
    /// The [`crate::agenda::Agenda::changes`] that it has seen.
    pub seen: u64,
    /// When it wakes by itself, in monotonic time.
    pub wake: Duration,
}

/// Waits until nothing is under way and nothing can be attempted now.
pub async fn idle(programme: &Programme, progress: &watch::Sender<Progress>) {
    let idle = |progress: &Progress| {
        let seen = programme.spool.shared().agenda().changes() == progress.seen;
        progress.under_way == 0 && seen && progress.wake > programme.clock.monotonic()
    };
    // The sender is borrowed, so the channel is open.
    let _ = progress.subscribe().wait_for(idle).await;
}

/// Attempts what is due until told to stop; then begins nothing more and hands on what is under way, without waiting for it.
/// `under_way` are the attempts of the programme before, which end with it.
pub async fn run(
    programme: Arc<Programme>,
    mut under_way: Attempts,
    stop: CancellationToken,
    progress: Arc<watch::Sender<Progress>>,
) -> Attempts {
    let shared = Arc::clone(programme.spool.shared());
    loop {
        let bell = shared.bell.notified();
        tokio::pin!(bell);
        bell.as_mut().enable();
        let mut wake = Duration::MAX;
        let seen = shared.agenda().changes();
        if stop.is_cancelled() {
            return under_way;
        }
        for system in System::ALL {
            while let Some((task, place)) = lend(&programme, &under_way, *system, &mut wake) {
                under_way.begin(&programme, task, place);
            }
        }
        progress.send_replace(Progress { under_way: under_way.running.len(), seen, wake });
        tokio::select! {
            Some(ended) = under_way.running.join_next_with_id(), if !under_way.running.is_empty() => {
                under_way.ended(&programme, ended);
            }
            () = &mut bell => {}
            () = programme.clock.sleep_until(wake), if wake < Duration::MAX => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits for what is under way, but not for ever: the state may not take an ending. What is broken off then is as after a crash:
/// at the next start whatever may have been written is looked for before anything is written.
pub async fn finish(programme: &Programme, mut under_way: Attempts) {
    let last_moment = programme.clock.monotonic() + LAST_WAIT;
    loop {
        tokio::select! {
            ended = under_way.running.join_next_with_id() => match ended {
                Some(ended) => under_way.ended(programme, ended),
                None => return,
            },
            () = programme.clock.sleep_until(last_moment) => break,
        }
    }
    for (task, _) in under_way.tasks.values() {
        tracing::error!(
            delivery = task.id.0,
            errand = task.errand.code(),
            "broken off, because how it ended could not be stored before the end; the next start looks first whether it was done \
             (hint: is the disk of state.directory full?)"
        );
    }
    under_way.running.shutdown().await;
}

/// The attempts under way, and how many of them use Primero. Who is at DTP has a place there, also a look that sends at once.
#[derive(Debug, Default)]
pub struct Attempts {
    running: JoinSet<()>,
    tasks: HashMap<tokio::task::Id, (Task, Option<Place>)>,
    to_primero: usize,
    using_primero: usize,
}

impl Attempts {
    fn begin(&mut self, programme: &Arc<Programme>, task: Task, place: Option<Place>) {
        self.to_primero += usize::from(task.errand.addressee() == System::Primero);
        self.using_primero += usize::from(task.errand.needs(System::Primero));
        let id = self.running.spawn(attempt(Arc::clone(programme), task)).id();
        self.tasks.insert(id, (task, place));
    }

    fn nobody_uses(&self, system: System, programme: &Programme) -> bool {
        match system {
            System::Primero => self.using_primero == 0,
            System::Dtp => programme.nobody_at_dtp(),
        }
    }

    /// An attempt has ended, or broke off.
    fn ended(&mut self, programme: &Programme, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let broken = ended.is_err();
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        if let Some((task, place)) = self.tasks.remove(&id) {
            drop(place);
            self.end(programme, &task, broken);
        }
    }

    /// Gives a delivery back. One whose attempt broke off is put off for the longest pause: it would break again.
    fn end(&mut self, programme: &Programme, task: &Task, broken: bool) {
        self.to_primero -= usize::from(task.errand.addressee() == System::Primero);
        self.using_primero -= usize::from(task.errand.needs(System::Primero));
        let mut health = programme.health();
        for system in System::ALL.iter().filter(|system| task.errand.needs(**system)) {
            health[*system as usize].ended(Some(task.id));
        }
        drop(health);
        let mut agenda = programme.spool.shared().agenda();
        if broken {
            tracing::error!(delivery = task.id.0, "an attempt broke off; it is tried again later");
            agenda.postpone(task.id, programme.clock.monotonic() + programme.settings.delivery.longest_pause);
        }
        agenda.give_back(task.id);
    }
}

/// Lends the next delivery for a system, if its health, and that of any other system the errand needs, allows one.
fn lend(programme: &Programme, under_way: &Attempts, addressee: System, wake: &mut Duration) -> Option<(Task, Option<Place>)> {
    let now = programme.clock.monotonic();
    let alone = [System::Primero, System::Dtp].map(|system| under_way.nobody_uses(system, programme));
    let place = match addressee {
        System::Primero if under_way.to_primero >= programme.settings.primero.parallel => return None,
        System::Primero => None,
        System::Dtp => Some(programme.place_at_dtp()?),
    };
    let resting = programme.resting();
    let mut health = programme.health();
    let mut may = |system: System, health: &[crate::health::Health; 2]| {
        let alone = alone[system as usize];
        match health[system as usize].leave(now) {
            Leave::All => (true, None),
            Leave::One => (alone, None),
            Leave::Probe { only_written } => (alone, Some(only_written)),
            Leave::None(until) => {
                *wake = (*wake).min(until);
                (false, None)
            }
        }
    };
    let (allowed, probe) = may(addressee, &health);
    if !allowed {
        return None;
    }
    let (primero_allowed, primero_probe) = match addressee {
        System::Primero => (true, None),
        System::Dtp => match may(System::Primero, &health) {
            // An errand for DTP only reads in Primero, so it says nothing about fields that are dropped, while one is left that does.
            (_, Some(true)) if programme.spool.shared().agenda().has_written(&resting) => (false, None),
            other => other,
        },
    };
    let none = HashSet::new();
    let probing = probe.is_some();
    let both = [(addressee, probing), (System::Primero, primero_probe.is_some())];
    let probed: HashSet<DeliveryId> =
        both.iter().filter(|(_, probing)| *probing).flat_map(|(system, _)| health[*system as usize].probed()).copied().collect();
    let mut agenda = programme.spool.shared().agenda();
    // If nothing that was written is left, any errand has to show whether our fields stick.
    let only_written = probe == Some(true) && agenda.has_written(&resting);
    let pick = Pick { addressee, resting: &resting, without_primero: !primero_allowed, only_written, not: &probed };
    let mut task = agenda.lend(now, pick);
    if task.is_none() && !probed.is_empty() {
        // Every errand has probed once; the round begins again.
        task = agenda.lend(now, Pick { not: &none, ..pick });
        for (system, _) in both.iter().filter(|(_, probing)| *probing && task.is_some()) {
            health[*system as usize].forget_probes();
        }
    }
    match task {
        Some(task) => {
            for (system, probing) in both {
                if probing && task.errand.needs(system) {
                    health[system as usize].probe_started(Some(task.id));
                }
            }
            Some((task, place))
        }
        None => {
            if let Some(due) = agenda.next_due(now) {
                *wake = (*wake).min(due);
            }
            None
        }
    }
}

/// Attempts one delivery, from the row to the row.
async fn attempt(programme: Arc<Programme>, task: Task) {
    if let Some(mut attempt) = load(&programme, task.id).await {
        let verdict = match task.errand {
            Errand::OpenIntervention => open_intervention::attempt(&mut attempt).await,
            Errand::RecordDecision => record_decision::attempt(&mut attempt).await,
            Errand::Look => return look_and_send(attempt).await,
            Errand::SendReferral => send_referral::attempt(&mut attempt).await,
            Errand::ReportDecision => report_decision::attempt(&mut attempt).await,
            Errand::SendFeedback => send_feedback::attempt(&mut attempt).await,
        };
        attempt.conclude(verdict.unwrap_or_else(|verdict| verdict)).await;
    }
}

/// A look decides, and the first referral that may go at once goes with what was just read.
async fn look_and_send(mut attempt: Attempt) {
    let programme = Arc::clone(&attempt.programme);
    // What the look has marked as leaving leaves, even if it then stumbles over another referral.
    let mut leaving = None;
    let looked = look::attempt(&mut attempt, &mut leaving).await;
    attempt.conclude(looked.err().unwrap_or(Verdict::NotNeeded(crate::reason::Reason::NothingToDo))).await;
    let Some(Leaving { delivery, message, service_type, lease }) = leaving else { return };
    // What can no longer go at once goes when its errand is lent like any other, after a fresh read.
    let well = programme.health()[System::Dtp as usize].leave(programme.clock.monotonic()) == Leave::All;
    if well && programme.runs(Flow::ToDtp) {
        let mut sending = Attempt::new(programme, delivery);
        let verdict = send_referral::post(&mut sending, service_type, &message).await;
        sending.conclude(verdict.unwrap_or_else(|verdict| verdict)).await;
    }
    drop(lease);
}

/// The delivery as it stands now; `None` if it was settled meanwhile.
async fn load(programme: &Arc<Programme>, id: DeliveryId) -> Option<Attempt> {
    match programme.spool.read(|reading| reading.delivery(id)) {
        Ok(Some(delivery)) if delivery.settled.is_none() => Some(Attempt::new(Arc::clone(programme), delivery)),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, delivery = id.0, "could not read a delivery; it is tried again");
            programme
                .spool
                .shared()
                .agenda()
                .postpone(id, programme.clock.monotonic() + programme.settings.delivery.longest_pause);
            None
        }
    }
}
