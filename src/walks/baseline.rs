//! The cut-over: decisions that stand in Primero already are taken as known, so that UNHCR is not told them again.
//!
//! It sends nothing and may run before the flow is switched on.

use std::sync::Arc;

use chrono::DateTime;

use super::{PER, WalkError, Walks, report_to_health};
use crate::{
    decisions::{Decided, decisions_in},
    primero::{Row, Trouble},
    programme::Programme,
    referral::Walk,
    walk::{NotAsAsked, Position, Walker},
};

/// What was learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// How many cases were read.
    pub cases: u64,
    /// How many decisions are known from now on.
    pub decisions: u64,
}

impl Walks {
    /// Reads every case of the module, whenever it was saved, takes every decision that is there as reported, and moves the cursor
    /// behind them. A decision from before `schedule.start_from` would be told, too, as soon as its case is saved again.
    pub async fn take_decisions_as_known(self: &Arc<Self>, programme: &Programme) -> Result<Learnt, WalkError> {
        let _turn = self.begin(Walk::Decisions).ok_or(WalkError::UnderWay)?;
        let _asking = super::may_ask(programme)?;
        let result = learn(programme).await;
        report_to_health(programme, &result).await;
        result
    }
}

async fn learn(programme: &Programme) -> Result<Learnt, WalkError> {
    let mut learnt = Learnt::default();
    let settings = &programme.settings.schedule;
    let mut walker = Walker::new(Position { cursor: DateTime::UNIX_EPOCH }, settings.overlap, PER);
    let module = programme.mapping.module();
    while let Some(ask) = walker.request() {
        let page = programme
            .primero
            .changed_cases(ask.since, ask.page, ask.per, module, &programme.fields.walk(Walk::Decisions))
            .await?;
        let step = walker.page(&super::stamps(&page), page.per).map_err(|NotAsAsked| Trouble::FilterIgnored)?;
        // What cannot be read would be told to UNHCR later as if it were new, so a baseline is whole or none.
        let cases = page.rows.into_iter().map(|row| match row {
            Row::Case(case) => Ok(case),
            Row::Unreadable { .. } => Err(WalkError::Unreadable(1)),
        });
        let cases = cases.collect::<Result<Vec<_>, _>>()?;
        learnt.cases += step.new.len() as u64;
        let mut decided = Vec::new();
        for case in step.new.iter().filter_map(|index| cases.get(*index)).filter(|case| case.enabled) {
            for (number, decision) in decisions_in(case) {
                if let Decided::Once(decision, _) = decision {
                    decided.push((number, case.key, decision));
                }
            }
        }
        let (of, position) = (module.to_owned(), step.position.cursor.max(settings.start_from));
        learnt.decisions += programme
            .spool
            .write(move |tx| {
                let mut known = 0;
                for (number, key, decision) in decided {
                    let heard_from = tx.reading().known_intervention(&number)?.and_then(|known| known.case);
                    // A number that belongs to one case is heard only from that case.
                    if heard_from.is_none_or(|case| case == tx.reading().case_digest(key)) {
                        tx.know_status(&number, Some(key), decision)?;
                        known += 1;
                    }
                }
                tx.set_cursor(Walk::Decisions, &of, position)?;
                Ok(known)
            })
            .await?;
    }
    Ok(learnt)
}
