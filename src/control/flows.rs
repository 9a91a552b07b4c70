//! Letting a flow rest and letting it go on, by a person; how both flows stand.

use super::{Answers, Failure, Office, Role, Row, execute::send, execute::signature, needed, rows::FlowRow};
use crate::{
    activity::{Activity, Event},
    referral::Flow,
    spool::pause::{Pause, Pausing},
    standing::{self, FlowNow, FlowState},
};

/// Both flows.
pub(super) async fn list(office: &Office, out: &Answers) -> Result<(), Failure> {
    let flows = standing::flows(&office.settings, &office.spool, office.clock.now());
    let rows = rows(office, &flows)?;
    send(rows.into_iter().map(Row::Flow).collect(), out).await;
    Ok(())
}

/// When UNHCR hears what it is told of its requests: at once, of which nothing is said, or once the flow goes on.
pub(super) fn when_unhcr_hears(office: &Office) -> &'static str {
    let flows = standing::flows(&office.settings, &office.spool, office.clock.now());
    if flows.iter().any(|now| now.flow == Flow::ToPrimero && now.state == FlowState::On) {
        ""
    } else {
        ", as soon as `to_primero` goes on (hint: tell it by phone)"
    }
}

/// The flows as they stand, and how much waits in each.
pub(super) fn rows(office: &Office, flows: &[FlowNow]) -> Result<Vec<FlowRow>, Failure> {
    let waiting = office.spool.read(|reading| reading.waiting_by_flow())?;
    let waits = |flow: Flow| waiting.iter().find(|(of, _)| *of == flow).map_or(0, |(_, count)| *count);
    Ok(flows.iter().map(|now| FlowRow::new(now.clone(), waits(now.flow))).collect())
}

/// Pauses a flow. What is being attempted is finished first.
pub(super) async fn pause(
    office: &Office,
    flow: &str,
    by: &Role,
    reason: Option<&str>,
    account: &str,
) -> Result<String, Failure> {
    let flow = needed("FLOW", flow, Flow::from_code)?;
    let reason = reason.map(|reason| needed("--reason", reason, Pausing::from_code)).transpose()?;
    let command = reason.map_or_else(|| "flow pause".to_owned(), |reason| format!("flow pause --reason {reason}"));
    let (who, role) = (signature(account, Some(by.as_str()), &command), by.as_str().to_owned());
    let new = office.spool.write(move |tx| {
        let new = tx.pause_flow(flow, &role, reason)?;
        if new {
            tx.tell(Activity { flow: Some(flow), who: Some(who), ..Activity::new(Event::Operator) })?;
        }
        Ok(new)
    });
    if !new.await? {
        let since = office.spool.shared().pause_of(flow).map_or_else(String::new, |pause| format!(" {}", paused(&pause, office)));
        return Ok(format!("{flow} is paused already{since}; nothing was changed"));
    }
    let under_way = office.spool.shared().agenda().lent_of(flow);
    let first = match (under_way, &office.running) {
        (_, None) => "; no daemon runs, and the next one begins so".to_owned(),
        (0, Some(_)) => String::new(),
        (1, Some(_)) => "; 1 attempt that is under way is finished first".to_owned(),
        (many, Some(_)) => format!("; {many} attempts that are under way are finished first"),
    };
    Ok(format!(
        "{flow} is paused, also over restarts: its posts get 503, its readings and errands wait{first}; `referrald flow resume {flow} \
         --by ROLE` lets it go on"
    ))
}

/// Lets a flow go on.
pub(super) async fn resume(office: &Office, flow: &str, by: &Role, account: &str) -> Result<String, Failure> {
    let flow = needed("FLOW", flow, Flow::from_code)?;
    let who = signature(account, Some(by.as_str()), "flow resume");
    let was_paused = office.spool.write(move |tx| {
        let was_paused = tx.resume_flow(flow)?;
        if was_paused {
            tx.tell(Activity { flow: Some(flow), who: Some(who), ..Activity::new(Event::Operator) })?;
        }
        Ok(was_paused)
    });
    if !was_paused.await? {
        return Ok(format!("{flow} is not paused; nothing was changed"));
    }
    let flows = standing::flows(&office.settings, &office.spool, office.clock.now());
    let state = flows.into_iter().find(|now| now.flow == flow).map(|now| now.state);
    let now = match state {
        Some(FlowState::On) | None if office.running.is_some() => "goes on now".to_owned(),
        Some(FlowState::On) | None => "goes on when the daemon runs".to_owned(),
        Some(FlowState::Off) => format!("is no longer paused, but it is off in the configuration (`flows.{flow}`)"),
        Some(FlowState::NoAgreement) => "is no longer paused, but it rests, because the agreement is not valid now".to_owned(),
        Some(FlowState::Paused) => "was paused again meanwhile".to_owned(),
    };
    Ok(format!("{flow} {now}"))
}

fn paused(pause: &Pause, office: &Office) -> String {
    format!("since {}, by {}", office.settings.schedule.time_zone.to_the_minute(pause.since), pause.by)
}
