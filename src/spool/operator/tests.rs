//! What a person may do with which delivery, on a real state in a temporary folder.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::Clock,
    credentials::StateKey,
    personal::Personal,
    referral::{CaseKey, OutgoingId, ReferralId},
    spool::{accept::ArrivedIntervention, looks::Found, seal::Sealer},
};

const WHO: &str = "operator: deliveries";

struct State {
    spool: Spool,
    _directory: tempfile::TempDir,
}

impl State {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sealer = Sealer::new(&[StateKey::new(Zeroizing::new([7; 32]))]);
        let clock = Clock::manual("2026-06-01T08:00:00Z".parse().unwrap());
        let spool = Spool::open(&directory.path().join("state"), sealer, clock, 1 << 30, Box::new(|_| {})).unwrap();
        Self { spool, _directory: directory }
    }

    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static) -> T {
        self.spool.write(work).await.unwrap()
    }

    async fn operate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Unable> + Send + 'static,
    ) -> Result<T, String> {
        self.spool.operate(work).await.map_err(|unable| unable.to_string())
    }

    /// An errand to send a referral, in the state that this conclusion leaves it in.
    async fn sending(&self, conclusion: Option<Conclusion>) -> DeliveryId {
        let owed = self.write(|tx| tx.owe_referral(&found(), None)).await.unwrap();
        self.end(owed, conclusion).await
    }

    /// An intervention, likewise.
    async fn intervention(&self, conclusion: Option<Conclusion>) -> DeliveryId {
        let arrived = ArrivedIntervention {
            number: "989-TEST-1".parse().unwrap(),
            given_case: None,
            person: Some(Personal::new("989-TEST0001".to_owned())),
            content: Personal::new(b"content".to_vec()),
            parcel: Personal::new(b"parcel".to_vec()),
        };
        self.write(|tx| tx.accept_interventions(Uuid::nil(), vec![arrived])).await;
        let owed = self.all().pop().unwrap();
        self.end(owed, conclusion).await
    }

    async fn end(&self, delivery: Delivery, conclusion: Option<Conclusion>) -> DeliveryId {
        let id = delivery.id;
        if let Some(conclusion) = conclusion {
            let report = Report { delivery, conclusion, status: None, fields: Vec::new(), notes: Vec::new(), service_type: None };
            assert!(self.write(move |tx| tx.conclude(report)).await);
        }
        id
    }

    fn all(&self) -> Vec<Delivery> {
        self.spool.read(|reading| reading.deliveries(&Filter::default(), DeliveryId(0), 1000)).unwrap()
    }

    fn list(&self) -> Vec<String> {
        let entries = self.spool.read(|reading| reading.open_entries()).unwrap();
        entries.iter().map(|entry| format!("{} {}", entry.kind, entry.reason.map_or("", Reason::code))).collect()
    }

    fn delivery(&self, id: DeliveryId) -> Delivery {
        self.spool.read(|reading| reading.delivery(id)).unwrap().unwrap()
    }
}

fn found() -> Found {
    let case_id: CaseId = "case-1".parse().unwrap();
    let service = "00000000-0000-4000-8000-0123456789ab".to_owned();
    Found {
        referral: ReferralId(Uuid::from_u128(1)),
        case_key: CaseKey(Uuid::from_u128(2)),
        outgoing: OutgoingId::new(&case_id, &service),
        case_id,
        service: Some(service),
    }
}

#[tokio::test]
async fn what_was_not_sent_becomes_a_new_errand_that_is_judged_afresh() {
    for conclusion in [
        Conclusion::Withheld { reason: Reason::ConsentMissing },
        Conclusion::Refused { reason: Reason::RefusedByDtp, gaps: Vec::new() },
        Conclusion::Stopped { reason: Reason::NotSentInTime, feedback: None },
    ] {
        let state = State::new();
        let id = state.sending(Some(conclusion)).await;
        assert_eq!(state.list().len(), 1);
        let entry = state.spool.read(|reading| reading.open_entries()).unwrap()[0].id;
        let again = state.operate(move |tx| tx.retry(entry, WHO)).await.unwrap();
        assert_ne!(again, id);
        let (old, new) = (state.delivery(id), state.delivery(again));
        assert_eq!((new.state, new.basis, new.attempts, &new.about), (crate::referral::State::Waiting, None, 0, &old.about));
        assert_eq!(state.list(), Vec::<String>::new());
        let twice = state.operate(move |tx| tx.retry(id, WHO)).await.unwrap_err();
        assert_eq!(twice, format!("delivery {id} was followed by delivery {again} (hint: `referrald deliveries show {again}`)"));
    }
}

#[tokio::test]
async fn what_dtp_took_is_never_sent_again() {
    let state = State::new();
    let id = state.sending(Some(Conclusion::Delivered)).await;
    let said = state.operate(move |tx| tx.retry(id, WHO)).await.unwrap_err();
    assert_eq!(said, format!("delivery {id} was taken by DTP and is never sent again"));
}

#[tokio::test]
async fn that_it_may_have_left_is_not_forgotten() {
    let state = State::new();
    let id = state.sending(None).await;
    let mut delivery = state.delivery(id);
    delivery.may_have_acted = true;
    state.end(delivery, Some(Conclusion::Stopped { reason: Reason::NotSentInTime, feedback: None })).await;
    let again = state.operate(move |tx| tx.retry(id, WHO)).await.unwrap();
    assert!(state.delivery(again).may_have_acted);
}

#[tokio::test]
async fn a_refused_feedback_goes_again_unless_something_newer_stands_for_it() {
    let state = State::new();
    state.intervention(Some(Conclusion::Delivered)).await;
    let feedback = state.all().pop().unwrap();
    let id = state.end(feedback, Some(Conclusion::Refused { reason: Reason::RefusedByDtp, gaps: Vec::new() })).await;
    let again = state.operate(move |tx| tx.retry(id, WHO)).await.unwrap();
    assert_eq!(state.delivery(again).errand, Errand::SendFeedback);
    assert!(state.operate(move |tx| tx.retry(id, WHO)).await.unwrap_err().contains("was followed by delivery"));
}

#[tokio::test]
async fn what_is_being_attempted_is_left_alone() {
    let state = State::new();
    let id = state.sending(None).await;
    assert!(state.spool.shared().agenda().take(id));
    let said = format!("delivery {id} is being attempted now; try again");
    assert_eq!(state.operate(move |tx| tx.retry(id, WHO)).await.unwrap_err(), said);
    assert_eq!(state.operate(move |tx| tx.stop(id, Stopping::Error, WHO)).await.unwrap_err(), said);
    state.spool.shared().agenda().give_back(id);
    assert_eq!(state.operate(move |tx| tx.retry(id, WHO)).await, Ok(id));
    assert!(!state.spool.shared().agenda().is_lent(id), "the lease ends with the transaction");
}

#[tokio::test]
async fn only_an_exception_that_is_held_can_be_released() {
    let state = State::new();
    let due = state.spool.shared().clock.now();
    let held = Conclusion::Held { reason: Reason::RestrictionRecorded, due };
    let id = state.sending(Some(held)).await;
    let release = move |tx: &mut Tx<'_>| tx.release(id, Ground::BestInterests, "CP manager", WHO);
    assert!(state.operate(release).await.unwrap_err().contains("only such a one can be released"));
    let delivery = state.delivery(id);
    state.end(delivery, Some(Conclusion::Held { reason: Reason::ConsentException, due })).await;
    assert_eq!(state.operate(release).await, Ok(id));
    assert_eq!(state.delivery(id).basis, Some(Basis::BestInterests));
    assert_eq!(state.list(), Vec::<String>::new());
}

#[tokio::test]
async fn unhcr_is_told_of_a_stop_only_if_nothing_may_stand() {
    for (may_have_acted, told) in [(false, true), (true, false)] {
        let state = State::new();
        let id = state.intervention(None).await;
        let mut delivery = state.delivery(id);
        delivery.may_have_acted = may_have_acted;
        state.write(move |tx| tx.put(&delivery)).await;
        let stopped = state.operate(move |tx| tx.stop(id, Stopping::Withdrawn, WHO)).await.unwrap();
        assert_eq!(stopped, if told { Stopped::Told(id) } else { Stopped::MayStand(id) });
        assert_eq!(state.delivery(id).state, crate::referral::State::Stopped);
        assert_eq!(state.all().len(), usize::from(told), "one feedback, or none");
        assert_eq!(state.list().len(), usize::from(!told));
    }
}

#[tokio::test]
async fn a_number_that_means_nothing_is_said() {
    let state = State::new();
    let said = "there is no delivery and no entry 9 (hint: `referrald deliveries list --all` shows those that are open)";
    assert_eq!(state.operate(|tx| tx.retry(DeliveryId(9), WHO)).await.unwrap_err(), said);
    assert_eq!(state.operate(|tx| tx.resolve_by_hand(DeliveryId(9), "manager", None, WHO)).await.unwrap_err(), said);
}
