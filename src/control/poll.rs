//! One walk now, and the errands it made, to their end for now.

use std::collections::HashSet;

use super::{Answers, Failure, Office, Row, Running, execute::send, rows::PollRow};
use crate::{
    courier::Progress,
    health::Leave,
    programme::Programme,
    referral::{DeliveryId, Errand, State, System, Walk},
    spool::{self, delivery::Delivery},
    walks::{WalkError, Walked},
};

/// Walks, waits for what the walk made, and says what it came to.
pub(super) async fn poll(office: &Office, walk: Walk, baseline: bool, who: &str, out: &Answers) -> Result<String, Failure> {
    let running = office.running.as_ref().ok_or_else(|| Failure::failed("a walk needs a programme"))?;
    let mut row = PollRow::new(walk, baseline);
    if baseline {
        if walk != Walk::Decisions {
            return Err(Failure::usage(
                "only decisions have a baseline: which referrals may leave is said by `schedule.start_from`",
            ));
        }
        let learnt = running.walks.take_decisions_as_known(&running.programme).await.map_err(failure)?;
        (row.cases, row.known) = (learnt.cases, learnt.decisions);
        note(office, walk, who, learnt.decisions).await?;
    } else {
        note(office, walk, who, 0).await?;
        let before = office.spool.read(|reading| reading.last_number())?;
        let walked = running.walks.run(&running.programme, walk).await.map_err(failure)?;
        (row.cases, row.looks) = (walked.cases, walked.looks.len() as u64);
        let made = until_nothing_can_be_done(running, walk, before, &walked).await?;
        made.iter().for_each(|delivery| tally(&mut row, &running.programme, delivery));
    }
    let (sentence, open) = (row.sentence(), row.is_open());
    send(vec![Row::Poll(row)], out).await;
    if open { Err(Failure::outside(sentence)) } else { Ok(sentence) }
}

async fn note(office: &Office, walk: Walk, who: &str, count: u64) -> Result<(), spool::Error> {
    let who = format!("{who} {walk}");
    office.spool.write(move |tx| tx.tell_of_operator(&who, Some(walk.flow()), (count > 0).then_some(count))).await
}

/// Waits until every errand that the walk made is settled, or cannot be attempted now.
async fn until_nothing_can_be_done(
    running: &Running,
    walk: Walk,
    before: DeliveryId,
    walked: &Walked,
) -> Result<Vec<Delivery>, spool::Error> {
    let looks: HashSet<DeliveryId> = walked.looks.iter().copied().collect();
    let errands = match walk {
        Walk::Referrals => [Errand::Look, Errand::SendReferral],
        Walk::Decisions => [Errand::Look, Errand::ReportDecision],
    };
    let programme = &running.programme;
    let mut progress = running.progress.subscribe();
    loop {
        let Progress { seen, .. } = *progress.borrow_and_update();
        let known = programme.spool.shared().agenda().changes() == seen;
        let (made, busy) = programme.spool.read(|reading| {
            let mut made = reading.made_after(before, &errands)?;
            made.retain(|delivery| delivery.errand != Errand::Look || looks.contains(&delivery.id));
            let busy = made.iter().any(|delivery| reading.is_attempted(delivery.id) || can_be_attempted(programme, delivery));
            Ok((made, busy))
        })?;
        if known && !busy {
            return Ok(made);
        }
        if progress.changed().await.is_err() {
            return Ok(made);
        }
    }
}

fn can_be_attempted(programme: &Programme, delivery: &Delivery) -> bool {
    let now = programme.clock.monotonic();
    let health = programme.health();
    let allowed = |system: &System| match health[*system as usize].leave(now) {
        Leave::All | Leave::One | Leave::Probe { only_written: false } => true,
        Leave::Probe { only_written: true } => delivery.written,
        Leave::None(_) => false,
    };
    delivery.settled.is_none()
        && delivery.due <= programme.clock.now()
        && !programme.resting().contains(&delivery.flow())
        && System::ALL.iter().filter(|system| delivery.errand.needs(**system)).all(allowed)
}

fn tally(row: &mut PollRow, programme: &Programme, delivery: &Delivery) {
    let blocked = || {
        let health = programme.health();
        System::ALL.iter().any(|system| delivery.errand.needs(*system) && health[*system as usize].block().is_some())
    };
    let count = match delivery.state {
        State::Held => &mut row.held,
        State::Waiting if blocked() => &mut row.blocked,
        State::Waiting => &mut row.later,
        State::Delivered => &mut row.delivered,
        State::Refused => &mut row.refused,
        State::Withheld => &mut row.withheld,
        State::Stopped => &mut row.stopped,
        State::NotNeeded | State::Superseded => &mut row.not_needed,
    };
    *count += 1;
}

fn failure(error: WalkError) -> Failure {
    match error {
        WalkError::Primero(_) => Failure::outside(format!("{error} (hint: `referrald check` tries it and says what to do)")),
        WalkError::Blocked | WalkError::Unreadable(_) => Failure::outside(error),
        WalkError::Resting => Failure::configuration(format!("{error} (hint: `referrald flow list` says which)")),
        WalkError::UnderWay | WalkError::State(_) => Failure::failed(error),
    }
}
