//! What time does: what is late, over, expired or old; what is watched; what ends soon; what must be overwritten.
//!
//! One turn is cheap and may be taken at any time. It attempts nothing itself.

mod noticed;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    activity::{Activity, Event},
    config::PARCEL_LIFE,
    courier,
    programme::Programme,
    reason::Reason,
    referral::{DeliveryId, Errand, Flow, System, Walk},
    spool::{
        Error,
        delivery::Delivery,
        settle::{Conclusion, Report},
    },
};

/// From one turn to the next. Erased content is overwritten within three of them.
const TURN: Duration = Duration::from_secs(20);
/// How many days before something ends it is told.
pub const DAYS_BEFORE: [i64; 5] = [60, 30, 14, 7, 1];

/// Takes turns until told to stop.
pub async fn run(programme: Arc<Programme>, calendar: Arc<Mutex<Calendar>>, stop: CancellationToken) {
    loop {
        if let Err(error) = turn(&programme, &mut *calendar.lock().await).await {
            tracing::error!(%error, "upkeep failed; it is tried again");
        }
        let wake = programme.clock.monotonic() + TURN;
        tokio::select! {
            () = programme.clock.sleep_until(wake) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What ends some day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How the log calls it.
    pub event: Event,
    /// When.
    pub until: DateTime<Utc>,
}

impl Ending {
    /// Counted from date to date, so that each day comes once, at whatever time of the day this looks; 0 from the last day on.
    #[must_use]
    pub fn days_left(&self, now: DateTime<Utc>) -> i64 {
        (self.until.date_naive() - now.date_naive()).num_days().max(0)
    }
}

/// What ends some day: agreement, client certificate, inbox keys.
#[must_use]
pub fn endings(programme: &Programme) -> Vec<Ending> {
    let settings = &programme.settings;
    let keys = settings.inbox.keys.iter().filter_map(|key| key.expires).collect::<BTreeSet<_>>();
    let certificates = programme.certificates.ends(programme.clock.now());
    [Ending { event: Event::AgreementExpiring, until: settings.agreement.valid_until }]
        .into_iter()
        .chain(certificates.map(|until| Ending { event: Event::CertificateExpiring, until }))
        .chain(keys.into_iter().map(|until| Ending { event: Event::KeyExpiring, until }))
        .collect()
}

/// What was done today already.
#[derive(Debug, Default)]
pub struct Calendar {
    pruned: Option<NaiveDate>,
    /// The day, and what was looked at: other settings bring other endings.
    told: Option<(NaiveDate, Vec<Ending>)>,
    noticed: Option<DateTime<Utc>>,
    half_full: bool,
}

/// One turn.
pub async fn turn(programme: &Programme, calendar: &mut Calendar) -> Result<(), Error> {
    let now = programme.clock.now();
    programme.heed_certificate().await;
    end_what_is_over(programme, now).await?;
    let alarm_before = now - programme.settings.delivery.alarm_after;
    let wanted = Walk::ALL.iter().copied().filter(|walk| programme.runs(walk.flow())).collect::<Vec<_>>();
    programme
        .spool
        .write(move |tx| {
            tx.mark_late(alarm_before)?;
            for walk in wanted {
                tx.list_unfinished(walk, alarm_before, None)?;
            }
            tx.owe_watch_looks()
        })
        .await?;
    noticed::notice(programme, calendar, now).await?;
    for (id, kind, reason) in programme.spool.write(|tx| tx.alarms()).await? {
        tracing::error!(
            entry = id.0,
            kind,
            reason = reason.unwrap_or_default(),
            "a person must act (hint: `referrald deliveries show {id}` says what to do)"
        );
    }
    let today = Some((now.date_naive(), endings(programme)));
    if calendar.told != today {
        let told = calendar.told.iter().filter(|(day, _)| *day == now.date_naive()).flat_map(|(_, told)| told);
        let told: Vec<&Ending> = told.collect();
        let new = today.iter().flat_map(|(_, endings)| endings).filter(|ending| !told.contains(ending));
        tell_endings(programme, new, now).await?;
        if calendar.told.as_ref().is_none_or(|(day, _)| *day != now.date_naive()) {
            tell_pauses(programme);
        }
        calendar.told = today;
    }
    if calendar.pruned != Some(now.date_naive()) {
        let before = now - programme.settings.state.keep_settled;
        programme.spool.write(move |tx| tx.prune(before)).await?;
        programme
            .spool
            .write(|tx| {
                tx.want_checkpoint();
                Ok(())
            })
            .await?;
        calendar.pruned = Some(now.date_naive());
    }
    if programme.spool.read(|reading| Ok(reading.erasure_pending()))? {
        programme
            .spool
            .write(|tx| {
                tx.want_checkpoint();
                Ok(())
            })
            .await?;
    }
    let waiting = programme.spool.shared().agenda().len() as u64;
    let half_full = waiting > programme.settings.inbox.max_waiting / 2;
    if half_full && !calendar.half_full {
        tracing::error!(waiting, "more than half of inbox.max_waiting waits (hint: are both systems well? see /readyz)");
    }
    calendar.half_full = half_full;
    // Time itself may have let something go on: an agreement begins to be valid.
    programme.spool.shared().ring();
    Ok(())
}

/// Ends what is out of time and cannot be attempted once more, and erases content that is too old.
async fn end_what_is_over(programme: &Programme, now: DateTime<Utc>) -> Result<(), Error> {
    let put_off = |end: DateTime<Utc>| programme.spool.shared().put_off(end) > now;
    for delivery in programme.spool.read(|reading| reading.expired(now))? {
        if put_off(delivery.made + PARCEL_LIFE) {
            continue;
        }
        conclude(programme, delivery.id, |_| Some(Conclusion::Stopped { reason: Reason::Expired, feedback: None })).await?;
    }
    let delivery = programme.settings.delivery;
    let made_before = now - delivery.give_up_after;
    let held_before = now - programme.settings.flow1.hold_for;
    let blocked = |system: System| programme.health()[system as usize].block().is_some();
    let unwell = |system: System| programme.health()[system as usize].is_unwell();
    // Where only one goes at a time, a last attempt comes too late for all but the first.
    let grace = delivery.longest_pause;
    let resting = programme.resting();
    let over = [(Errand::OpenIntervention, Flow::ToPrimero, Some(held_before)), (Errand::SendReferral, Flow::ToDtp, None)];
    for (errand, flow, held_before) in over {
        let needed = || System::ALL.iter().copied().filter(|system| errand.needs(*system));
        // A referral is not attempted once more when its time is over.
        let (made_before, held_before) = if errand == Errand::SendReferral || resting.contains(&flow) || needed().any(blocked) {
            (made_before, held_before)
        } else if needed().any(unwell) {
            (made_before - grace, held_before.map(|before| before - grace))
        } else {
            // Its last attempt is due by itself.
            continue;
        };
        for delivery in programme.spool.read(|reading| reading.overdue(errand, made_before, held_before))? {
            if courier::deadline(programme, &delivery).is_some_and(|deadline| deadline > now) {
                continue;
            }
            conclude(programme, delivery.id, move |delivery| {
                let conclusion = courier::out_of_time(delivery, delivery.held_since.is_some(), now);
                let already = delivery.reason == Some(Reason::Unconfirmed) && matches!(conclusion, Conclusion::Held { .. });
                (!already).then_some(conclusion)
            })
            .await?;
        }
    }
    Ok(())
}

/// Ends a delivery that nobody attempts now, by what its row says in the same transaction.
async fn conclude(
    programme: &Programme,
    id: DeliveryId,
    how: impl FnOnce(&Delivery) -> Option<Conclusion> + Send + 'static,
) -> Result<(), Error> {
    let concluded = programme.spool.write(move |tx| {
        if !tx.take(id) {
            return Ok(());
        }
        let Some(delivery) = tx.delivery(id)?.filter(|delivery| delivery.settled.is_none()) else { return Ok(()) };
        let Some(conclusion) = how(&delivery) else { return Ok(()) };
        let (fields, notes) = (Vec::new(), Vec::new());
        tx.conclude(Report { delivery, conclusion, status: None, fields, notes, service_type: None })?;
        Ok(())
    });
    concluded.await
}

/// A pause that is forgotten looks like peace.
fn tell_pauses(programme: &Programme) {
    for pause in Flow::ALL.iter().filter_map(|flow| programme.spool.shared().pause_of(*flow)) {
        tracing::warn!(
            flow = pause.flow.code(),
            since = %pause.since,
            by = pause.by,
            "a flow is paused (hint: `referrald flow resume` lets it go on)"
        );
    }
}

async fn tell_endings(programme: &Programme, endings: impl Iterator<Item = &Ending>, now: DateTime<Utc>) -> Result<(), Error> {
    for ending in endings {
        let days = ending.days_left(now);
        if ending.until <= now || DAYS_BEFORE.contains(&days) {
            tracing::error!(event = ending.event.code(), until = %ending.until, days, "something that this programme needs ends soon, or has ended");
            let line = Activity { until: Some(ending.until), ..Activity::new(ending.event) };
            programme.spool.write(move |tx| tx.tell(line)).await?;
        }
    }
    Ok(())
}
