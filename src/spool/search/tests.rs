//! What is found is what a plain look through all rows finds, page by page, whatever is asked.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::Clock,
    credentials::StateKey,
    referral::Errand,
    spool::{Spool, seal::Sealer},
};

struct Filled {
    spool: Spool,
    directory: tempfile::TempDir,
}

fn start() -> DateTime<Utc> {
    "2026-06-01T08:00:00Z".parse().unwrap()
}

/// A state with so many settled deliveries, one a minute, of which each n-th is of the n-th kind; then some that wait.
fn filled(count: i64) -> Filled {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let sealer = Sealer::new(&[StateKey::new(Zeroizing::new([7; 32]))]);
    let spool = Spool::open(&path, sealer, Clock::manual(start()), 1 << 30, Box::new(|_| {})).unwrap();
    let mut connection = Connection::open(path.join("state.sqlite")).unwrap();
    let transaction = connection.transaction().unwrap();
    for id in 1..=count {
        let (errand, walk) = match id % 10 {
            0 => (Errand::SendReferral, None),
            1 => (Errand::SendFeedback, None),
            2 if id % 100 == 2 => (Errand::Look, Some("referrals")),
            _ => (Errand::OpenIntervention, None),
        };
        let (state, reason) = match id % 50 {
            0 => (State::Withheld, Some(Reason::ConsentMissing)),
            7 => (State::Refused, Some(Reason::InvalidValues)),
            9 => (State::Held, Some(Reason::Several)),
            11 => (State::Waiting, None),
            _ => (State::Delivered, None),
        };
        // Once the clock was set back, by some hours.
        let set_back = if id > count / 2 { TimeDelta::hours(6) } else { TimeDelta::zero() };
        let made = (start() + TimeDelta::minutes(id) - set_back).timestamp_millis();
        let case = (id % 4 != 0).then(|| format!("{}-case-{}", id % 7, id % 30));
        let mut statement = transaction
            .prepare_cached(
                "INSERT INTO deliveries (id, errand, state, reason, intervention, case_id, walk, made, due, settled)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
            )
            .unwrap();
        let settled = state.is_settled().then_some(made);
        let reason = reason.map(Reason::code);
        statement
            .execute(params![id, errand.code(), state.code(), reason, format!("989-{}", id % 40), case, walk, made, settled])
            .unwrap();
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'number'", [count]).unwrap();
    transaction.commit().unwrap();
    Filled { spool, directory }
}

impl Filled {
    fn all(&self) -> Vec<Delivery> {
        self.spool.read(|reading| super::super::delivery::select(reading.connection, "id > 0 ORDER BY id DESC", &[])).unwrap()
    }

    /// The numbers on all pages, and how many pages there are.
    fn pages(&self, search: &Search, most: usize) -> (Vec<i64>, usize) {
        let (mut search, mut numbers) = (search.clone(), Vec::new());
        for pages in 1.. {
            let found = self.spool.read(|reading| reading.search(&search, most)).unwrap();
            assert!(found.deliveries.len() <= most);
            numbers.extend(found.deliveries.iter().map(|delivery| delivery.id.0));
            search.below = match found.next {
                Next::End => return (numbers, pages),
                Next::More(below) | Next::Unseen(below) => Some(below),
            };
        }
        unreachable!("a page ends")
    }
}

fn fits(search: &Search, delivery: &Delivery) -> bool {
    search.flow.is_none_or(|flow| delivery.flow() == flow)
        && search.state.is_none_or(|state| delivery.state == state)
        && search.reason.is_none_or(|reason| delivery.reason == Some(reason))
        && search.intervention.as_ref().is_none_or(|number| delivery.about.intervention.as_ref() == Some(number))
        && search.case.as_ref().is_none_or(|case| delivery.about.case_id.as_ref() == Some(case))
        && search.from.is_none_or(|from| delivery.made >= from)
        && search.before.is_none_or(|before| delivery.made < before)
}

#[test]
fn every_question_is_answered_as_by_a_look_through_all_rows() {
    let filled = filled(2500);
    let all = filled.all();
    let flows = [None, Some(Flow::ToPrimero), Some(Flow::ToDtp)];
    let states =
        [None, Some(State::Delivered), Some(State::Refused), Some(State::Withheld), Some(State::Held), Some(State::Waiting)];
    let reasons = [None, Some(Reason::ConsentMissing), Some(Reason::Several), Some(Reason::Late)];
    let numbers = [None, Some("989-7")];
    let cases = [None, Some("3-case-17")];
    let times = [(None, None), (Some(1300), Some(1700)), (Some(90_000), None)];
    let at = |minutes: Option<i64>| minutes.map(|minutes| start() + TimeDelta::minutes(minutes));
    let mut found_some = BTreeSet::new();
    for flow in flows {
        for state in states {
            for reason in reasons {
                for number in numbers {
                    for case in cases {
                        for (from, before) in times {
                            let search = Search {
                                flow,
                                state,
                                reason,
                                intervention: number.map(|number| number.parse().unwrap()),
                                case: case.map(|case| case.parse().unwrap()),
                                from: at(from),
                                before: at(before),
                                below: None,
                            };
                            let expected: Vec<i64> =
                                all.iter().filter(|delivery| fits(&search, delivery)).map(|delivery| delivery.id.0).collect();
                            assert_eq!(filled.pages(&search, 500).0, expected, "{search:?}");
                            found_some.insert((!expected.is_empty(), way(&search).0));
                        }
                    }
                }
            }
        }
    }
    let ways: BTreeSet<&str> = found_some.iter().map(|(_, way)| *way).collect();
    assert!(ways.iter().all(|way| found_some.contains(&(true, *way))), "each way has found something: {found_some:?}");
    assert_eq!(ways.len(), 6);
}

#[test]
fn pages_follow_on_each_other_without_gap_or_repeat() {
    let filled = filled(1000);
    let all: Vec<i64> = filled.all().iter().map(|delivery| delivery.id.0).collect();
    for most in [1, 7, 50, 999, 1000, 1001] {
        let (numbers, pages) = filled.pages(&Search::default(), most);
        assert_eq!(numbers, all);
        assert_eq!(pages, all.len().div_ceil(most));
    }
}

#[test]
fn what_no_index_helps_with_is_looked_through_in_steps_that_say_so() {
    let filled = filled(MOST_LOOKED_AT + 500);
    let connection = Connection::open(filled.directory.path().join("state/state.sqlite")).unwrap();
    connection.execute("UPDATE deliveries SET reason = 'late'", []).unwrap();
    let search = Search { reason: Some(Reason::Late), state: Some(State::Superseded), ..Search::default() };
    let found = filled.spool.read(|reading| reading.search(&search, 50)).unwrap();
    assert_eq!(found, Found { deliveries: Vec::new(), next: Next::Unseen(DeliveryId(501)) });
    assert_eq!(filled.pages(&search, 50), (Vec::new(), 2));
    let search = Search { reason: None, ..search };
    assert_eq!(filled.pages(&search, 50), (Vec::new(), 1), "an index knows at once that there is none");
}
