//! What is to be attempted next: every unsettled delivery's number and due time, in memory.
//!
//! Pure: times are the monotonic clock's and are handed in. It knows no content and no outcome;
//! the truth about a delivery stands in the spool, and after a start the agenda is read from there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    time::Duration,
};

use crate::referral::{DeliveryId, Errand, Flow, System};

/// One delivery as the agenda sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: DeliveryId,
    /// What is to be done.
    pub errand: Errand,
    /// The flow that it belongs to.
    pub flow: Flow,
    /// When, in monotonic time.
    pub due: Duration,
    /// Tasks of one lane go strictly in the order of their numbers, one at a time: messages to DTP about one intervention.
    pub lane: Option<u64>,
    /// Tasks that share this key are never attempted together: one writer per person.
    pub alone: Option<u64>,
    /// Whether something of it may have been written already; only such errands probe a Primero that drops our fields.
    pub written: bool,
}

/// Which errands may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick<'a> {
    /// The system addressed.
    pub addressee: System,
    /// Flows that rest: off, or without a valid agreement.
    pub resting: &'a [Flow],
    /// Errands that need Primero rest, because it is blocked.
    pub without_primero: bool,
    /// Only errands of which something may have been written.
    pub only_written: bool,
    /// Errands that have been used as a probe already.
    pub not: &'a HashSet<DeliveryId>,
}

/// The agenda.
#[derive(Debug, Default)]
pub struct Agenda {
    tasks: HashMap<DeliveryId, Task>,
    due: BTreeMap<(Errand, Flow), BTreeSet<(Duration, DeliveryId)>>,
    lanes: HashMap<u64, BTreeSet<DeliveryId>>,
    leased: HashSet<DeliveryId>,
    alone: HashMap<u64, Vec<DeliveryId>>,
    /// Which lent task holds a key; only that one gives it back.
    taken_alone: HashMap<u64, DeliveryId>,
    changes: u64,
}

impl Agenda {
    /// Puts a task on the agenda, or moves it.
    pub fn put(&mut self, task: Task) {
        self.changes += 1;
        self.unlist(task.id);
        if let Some(lane) = task.lane {
            self.lanes.entry(lane).or_default().insert(task.id);
        }
        self.tasks.insert(task.id, task);
        self.list(task.id);
    }

    /// Takes a task off: it is settled.
    pub fn remove(&mut self, id: DeliveryId) {
        self.changes += 1;
        self.unlist(id);
        let Some(task) = self.tasks.remove(&id) else { return };
        self.free(&task);
        if let Some(lane) = task.lane {
            let next = self.lanes.get_mut(&lane).and_then(|ids| {
                ids.remove(&id);
                ids.first().copied()
            });
            match next {
                Some(next) => self.list(next),
                None => {
                    self.lanes.remove(&lane);
                }
            }
        }
    }

    /// Lends the task that is due first and may be picked; it is nobody else's until [`Self::give_back`] or [`Self::remove`].
    pub fn lend(&mut self, now: Duration, pick: Pick<'_>) -> Option<Task> {
        loop {
            let (_, id) = self
                .due
                .iter()
                .filter(|((errand, flow), _)| pick.admits(*errand, *flow))
                .filter_map(|(_, ids)| {
                    ids.iter()
                        .take_while(|(due, _)| *due <= now)
                        .find(|(_, id)| (!pick.only_written || self.tasks[id].written) && !pick.not.contains(id))
                })
                .min()
                .copied()?;
            let task = self.tasks[&id];
            self.unlist(id);
            match task.alone {
                Some(key) if self.taken_alone.contains_key(&key) => self.alone.entry(key).or_default().push(id),
                _ => {
                    self.taken_alone.extend(task.alone.map(|key| (key, id)));
                    self.leased.insert(id);
                    return Some(task);
                }
            }
        }
    }

    /// Takes a certain task, unless it is lent.
    pub fn take(&mut self, id: DeliveryId) -> bool {
        if self.leased.contains(&id) {
            return false;
        }
        self.unlist(id);
        self.leased.insert(id);
        true
    }

    /// Ends a lease; the task stays on the agenda as it was last put.
    pub fn give_back(&mut self, id: DeliveryId) {
        if !self.leased.remove(&id) {
            return;
        }
        self.changes += 1;
        if let Some(task) = self.tasks.get(&id).copied() {
            self.free(&task);
            self.list(id);
        }
    }

    /// Moves a task that is lent: it could not even be read.
    pub fn postpone(&mut self, id: DeliveryId, due: Duration) {
        if let Some(task) = self.tasks.get(&id).copied() {
            self.put(Task { due, ..task });
        }
    }

    /// Whether somebody attempts this delivery now.
    #[must_use]
    pub fn is_lent(&self, id: DeliveryId) -> bool {
        self.leased.contains(&id)
    }

    /// How many deliveries of a flow are being attempted now.
    #[must_use]
    pub fn lent_of(&self, flow: Flow) -> usize {
        self.leased.iter().filter_map(|id| self.tasks.get(id)).filter(|task| task.flow == flow).count()
    }

    /// The earliest due time after `now` of what is not lent. What is due already and was not picked waits for something else.
    #[must_use]
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let after = (Bound::Excluded((now, DeliveryId(i64::MAX))), Bound::Unbounded);
        self.due.values().filter_map(|ids| ids.range(after).next()).map(|(due, _)| *due).min()
    }

    /// Something else than a task has changed that says what may be picked.
    pub const fn touch(&mut self) {
        self.changes += 1;
    }

    /// Whether something of any unsettled task may have been written; of those of flows that rest, none can show it now.
    #[must_use]
    pub fn has_written(&self, resting: &[Flow]) -> bool {
        self.tasks.values().any(|task| task.written && !resting.contains(&task.flow))
    }

    /// Grows with every change: whoever has seen this number has seen everything.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// How many tasks are unsettled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nothing is unsettled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn free(&mut self, task: &Task) {
        self.leased.remove(&task.id);
        let Some(key) = task.alone.filter(|key| self.taken_alone.get(key) == Some(&task.id)) else { return };
        self.taken_alone.remove(&key);
        for id in self.alone.remove(&key).unwrap_or_default() {
            self.list(id);
        }
    }

    /// Lists a task among the due ones, if nothing stands before it in its lane.
    fn list(&mut self, id: DeliveryId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let first = task.lane.is_none_or(|lane| self.lanes.get(&lane).and_then(BTreeSet::first) == Some(&id));
        if first && !self.leased.contains(&id) {
            self.due.entry((task.errand, task.flow)).or_default().insert((task.due, id));
        }
    }

    fn unlist(&mut self, id: DeliveryId) {
        let Some(task) = self.tasks.get(&id) else { return };
        if let Some(ids) = self.due.get_mut(&(task.errand, task.flow)) {
            ids.remove(&(task.due, id));
        }
    }
}

impl Pick<'_> {
    fn admits(&self, errand: Errand, flow: Flow) -> bool {
        errand.addressee() == self.addressee
            && !self.resting.contains(&flow)
            && !(self.without_primero && errand.needs(System::Primero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: i64, due: u64) -> Task {
        Task {
            id: DeliveryId(id),
            errand: Errand::OpenIntervention,
            flow: Flow::ToPrimero,
            due: Duration::from_secs(due),
            lane: None,
            alone: None,
            written: false,
        }
    }

    fn message(id: i64, lane: u64) -> Task {
        Task { errand: Errand::SendFeedback, lane: Some(lane), ..task(id, 0) }
    }

    fn lend(agenda: &mut Agenda, now: u64, addressee: System) -> Option<i64> {
        let none = HashSet::new();
        let pick = Pick { addressee, resting: &[], without_primero: false, only_written: false, not: &none };
        agenda.lend(Duration::from_secs(now), pick).map(|task| task.id.0)
    }

    #[test]
    fn what_is_due_first_goes_first_and_only_once() {
        let mut agenda = Agenda::default();
        agenda.put(task(1, 20));
        agenda.put(task(2, 10));
        assert_eq!(lend(&mut agenda, 5, System::Primero), None);
        assert_eq!(agenda.next_due(Duration::from_secs(5)), Some(Duration::from_secs(10)));
        assert_eq!(
            agenda.next_due(Duration::from_secs(10)),
            Some(Duration::from_secs(20)),
            "what is due hides nothing that comes"
        );
        assert_eq!(lend(&mut agenda, 30, System::Dtp), None);
        assert_eq!(lend(&mut agenda, 30, System::Primero), Some(2));
        assert_eq!(lend(&mut agenda, 30, System::Primero), Some(1));
        assert_eq!(lend(&mut agenda, 30, System::Primero), None);
        agenda.give_back(DeliveryId(2));
        assert_eq!(lend(&mut agenda, 30, System::Primero), Some(2));
        agenda.remove(DeliveryId(2));
        agenda.give_back(DeliveryId(2));
        assert_eq!(lend(&mut agenda, 30, System::Primero), None);
        assert_eq!(agenda.len(), 1);
    }

    #[test]
    fn messages_of_one_lane_go_in_order_and_different_lanes_never_wait_for_each_other() {
        let mut agenda = Agenda::default();
        agenda.put(message(1, 7));
        agenda.put(message(2, 7));
        agenda.put(message(3, 8));
        assert_eq!(lend(&mut agenda, 0, System::Dtp), Some(1));
        assert_eq!(lend(&mut agenda, 0, System::Dtp), Some(3));
        assert_eq!(lend(&mut agenda, 0, System::Dtp), None);
        agenda.put(Task { due: Duration::from_secs(60), ..message(1, 7) });
        agenda.give_back(DeliveryId(1));
        assert_eq!(lend(&mut agenda, 59, System::Dtp), None, "the second waits for the first");
        assert_eq!(lend(&mut agenda, 60, System::Dtp), Some(1));
        agenda.remove(DeliveryId(1));
        assert_eq!(lend(&mut agenda, 60, System::Dtp), Some(2));
    }

    #[test]
    fn one_writer_per_person_at_a_time() {
        let mut agenda = Agenda::default();
        for id in 1..=3 {
            agenda.put(Task { alone: Some(5), ..task(id, 0) });
        }
        agenda.put(task(4, 0));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(1));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(4));
        assert_eq!(lend(&mut agenda, 0, System::Primero), None);
        agenda.remove(DeliveryId(1));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(2));
        agenda.put(Task { alone: Some(5), ..task(2, 9) });
        agenda.give_back(DeliveryId(2));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(3));
        agenda.remove(DeliveryId(3));
        assert_eq!(lend(&mut agenda, 9, System::Primero), Some(2));
    }

    #[test]
    fn a_task_taken_for_a_moment_does_not_let_a_second_writer_in() {
        let mut agenda = Agenda::default();
        for id in 1..=3 {
            agenda.put(Task { alone: Some(5), ..task(id, 0) });
        }
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(1));
        assert!(agenda.take(DeliveryId(2)));
        agenda.give_back(DeliveryId(2));
        assert!(agenda.take(DeliveryId(3)));
        agenda.remove(DeliveryId(3));
        assert_eq!(lend(&mut agenda, 0, System::Primero), None, "the first still writes");
        agenda.give_back(DeliveryId(1));
        agenda.remove(DeliveryId(1));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(2));
    }

    #[test]
    fn what_is_lent_is_nobody_elses_whatever_is_put_meanwhile() {
        let mut agenda = Agenda::default();
        agenda.put(task(1, 0));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(1));
        agenda.put(task(1, 0));
        assert!(!agenda.take(DeliveryId(1)));
        assert_eq!(lend(&mut agenda, 0, System::Primero), None);
        agenda.give_back(DeliveryId(1));
        assert_eq!(lend(&mut agenda, 0, System::Primero), Some(1));
    }

    #[test]
    fn resting_blocked_and_probing_errands_are_passed_over() {
        let mut agenda = Agenda::default();
        agenda.put(Task { errand: Errand::SendReferral, flow: Flow::ToDtp, ..task(1, 0) });
        agenda.put(Task { errand: Errand::SendFeedback, ..task(2, 1) });
        agenda.put(task(3, 0));
        agenda.put(Task { written: true, ..task(4, 1) });
        let now = Duration::from_secs(2);
        let none = HashSet::new();
        let all = Pick { addressee: System::Dtp, resting: &[], without_primero: true, only_written: false, not: &none };
        assert_eq!(agenda.lend(now, all).map(|task| task.id.0), Some(2));
        agenda.give_back(DeliveryId(2));
        let resting = Pick { resting: &[Flow::ToDtp, Flow::ToPrimero], without_primero: false, ..all };
        assert_eq!(agenda.lend(now, resting), None);
        let written = Pick { addressee: System::Primero, only_written: true, ..all };
        assert_eq!(agenda.lend(now, Pick { without_primero: false, ..written }).map(|task| task.id.0), Some(4));
        let tried = HashSet::from([DeliveryId(1)]);
        let probe = Pick { without_primero: false, not: &tried, ..all };
        assert_eq!(agenda.lend(now, probe).map(|task| task.id.0), Some(2));
    }
}
