//! What DTP posts, made durable: each usable intervention becomes a delivery with a sealed parcel, or is known already.

use std::sync::atomic::Ordering;

use rusqlite::OptionalExtension;
use uuid::Uuid;

use super::{
    Error, Reading, Tx,
    delivery::{About, Delivery, select},
    known::{Compared, Ruling, rule},
    list::{Kind, NewEntry},
    seal::{Digest, Kind as ParcelKind, Sealed},
};
use crate::{
    activity::{Activity, Event},
    personal::Personal,
    reason::Reason,
    referral::{CaseId, DeliveryId, Errand, InterventionNumber, OutgoingId, State},
};

/// An intervention as it arrived.
#[derive(Debug)]
pub struct ArrivedIntervention {
    /// Its number.
    pub number: InterventionNumber,
    /// The case that DTP believes it is.
    pub given_case: Option<CaseId>,
    /// The person number, if the rows agree on one.
    pub person: Option<Personal<String>>,
    /// Canonical bytes of the values that the mapping reads: what "same content" means.
    pub content: Personal<Vec<u8>>,
    /// The rows as JSON, cut to the keys that the mapping reads; becomes the parcel.
    pub parcel: Personal<Vec<u8>>,
}

/// A decision of DTP as it arrived.
#[derive(Debug)]
pub struct ArrivedDecision {
    /// The id that we sent.
    pub outgoing: OutgoingId,
    /// Canonical bytes of the values that the mapping reads.
    pub content: Personal<Vec<u8>>,
    /// The item as JSON, cut likewise; becomes the parcel.
    pub parcel: Personal<Vec<u8>>,
}

impl Tx<'_> {
    /// Takes the interventions of one post, all or none.
    pub fn accept_interventions(&mut self, post: Uuid, arrived: Vec<ArrivedIntervention>) -> Result<(), Error> {
        self.check_size()?;
        for intervention in arrived {
            self.accept_intervention(post, &intervention)?;
        }
        Ok(())
    }

    fn accept_intervention(&mut self, post: Uuid, arrived: &ArrivedIntervention) -> Result<(), Error> {
        let number = &arrived.number;
        let content = self.identity().digest("content", arrived.content.reveal());
        let person = arrived.person.as_ref().map(|person| self.identity().digest("person", person.reveal().as_bytes()));
        let about = About {
            post: Some(post),
            intervention: Some(number.clone()),
            case_id: arrived.given_case.clone(),
            person,
            content: Some(content),
            ..About::default()
        };
        let newest = self.newest(number, None)?;
        match self.ruling(number, content, person, newest.as_ref(), None)? {
            Ruling::New => {
                let given_up = newest.as_ref().filter(|old| old.may_have_acted || old.written);
                let about = About { case_key: given_up.and_then(|old| old.about.case_key), ..about };
                self.admit(about, None, given_up.is_some(), arrived.parcel.reveal())?;
            }
            Ruling::Behind => {
                let old = newest.as_ref().map(|old| old.behind.unwrap_or(old.id));
                self.admit(about, old, false, arrived.parcel.reveal())?;
                if let Some(old) = old {
                    self.look_now(old)?;
                }
            }
            Ruling::Replace => {
                let behind = newest.as_ref().and_then(|old| old.behind);
                if let Some(old) = newest {
                    self.supersede(old, Reason::Replaced)?;
                }
                self.admit(about, behind, false, arrived.parcel.reveal())?;
            }
            Ruling::Unchanged => {
                let delivery = newest.as_ref().map(|old| old.id);
                self.tell(Activity { delivery, ..in_flow1(Event::Unchanged, &about) })?;
            }
            Ruling::ChangedAfterDelivery => {
                self.warn_of_change(&about, Kind::ChangedAfterDelivery, Reason::ChangedAfterDelivery)?
            }
            Ruling::NumberAlreadyDelivered => {
                self.warn_of_change(&about, Kind::NumberAlreadyDelivered, Reason::NumberAlreadyDelivered)?;
            }
        }
        Ok(())
    }

    /// Takes the decisions of one post, all or none.
    pub fn accept_decisions(&mut self, post: Uuid, arrived: Vec<ArrivedDecision>) -> Result<(), Error> {
        self.check_size()?;
        for decision in arrived {
            let content = self.identity().digest("decision", decision.content.reveal());
            let about = About {
                post: Some(post),
                case_id: Some(decision.outgoing.case().clone()),
                outgoing: Some(decision.outgoing.clone()),
                content: Some(content),
                ..About::default()
            };
            let waiting = select(
                self.connection,
                "outgoing = ?1 AND errand = 'record_decision' AND settled IS NULL ORDER BY id",
                &[&decision.outgoing.to_string()],
            )?;
            if let Some(known) = waiting.iter().find(|waiting| waiting.about.content == Some(content)) {
                let line = self.about(Event::Unchanged, known);
                self.tell(line)?;
                continue;
            }
            self.replace_decisions(&decision.outgoing, waiting)?;
            let delivery = self.new_delivery(Errand::RecordDecision, about)?;
            self.store_parcel(delivery.id, ParcelKind::Decision, decision.parcel.reveal())?;
            self.put(&delivery)?;
            let line = self.about(Event::Received, &delivery);
            self.tell(line)?;
        }
        Ok(())
    }

    /// An old decision that still waits must not be written after a corrected one. It stays if it is being attempted, if its referral
    /// was chosen, because then something of it may stand in Primero, and if two referrals were sent under this id: each may be meant.
    fn replace_decisions(&mut self, outgoing: &OutgoingId, waiting: Vec<Delivery>) -> Result<(), Error> {
        if waiting.is_empty() || self.reading().was_sent_twice(outgoing)? {
            return Ok(());
        }
        for old in waiting {
            if old.about.referral.is_none() && self.take(old.id) {
                self.supersede(old, Reason::Replaced)?;
            }
        }
        Ok(())
    }

    /// What waited behind another delivery is judged as if it had just come.
    pub(super) fn judge_again(&mut self, mut new: Delivery, old: &Delivery) -> Result<(), Error> {
        let (Some(number), Some(content)) = (new.about.intervention.clone(), new.about.content) else { return Ok(()) };
        let newest = self.newest(&number, Some(new.id))?;
        match self.ruling(&number, content, new.about.person, newest.as_ref(), Some(old.id))? {
            Ruling::New => {
                // What was given up may have left something in Primero: where that would stand is looked for, whoever is meant now.
                if let Some(given_up) = newest.as_ref().filter(|old| old.may_have_acted || old.written) {
                    new.may_have_acted = true;
                    new.about.case_key = given_up.about.case_key;
                }
                new.behind = None;
                self.put(&new)
            }
            Ruling::Behind => {
                new.behind = newest.as_ref().map(|newest| newest.id);
                self.put(&new)
            }
            Ruling::Replace => {
                // The attempt that has just ended left nothing in Primero, so the old one gives way.
                if let Some(stored) = self.delivery(old.id)?.filter(|stored| stored.settled.is_none()) {
                    self.supersede(stored, Reason::Replaced)?;
                }
                new.behind = None;
                self.put(&new)
            }
            Ruling::Unchanged => self.supersede(new, Reason::Replaced),
            Ruling::ChangedAfterDelivery => {
                self.warn_of_change(&new.about, Kind::ChangedAfterDelivery, Reason::ChangedAfterDelivery)?;
                self.supersede(new, Reason::ChangedAfterDelivery)
            }
            Ruling::NumberAlreadyDelivered => {
                self.warn_of_change(&new.about, Kind::NumberAlreadyDelivered, Reason::NumberAlreadyDelivered)?;
                self.supersede(new, Reason::NumberAlreadyDelivered)
            }
        }
    }

    fn ruling(
        &mut self,
        number: &InterventionNumber,
        content: Digest,
        person: Option<Digest>,
        newest: Option<&Delivery>,
        attempt_over: Option<DeliveryId>,
    ) -> Result<Ruling, Error> {
        let known = self.reading().known_intervention(number)?;
        let delivered = known
            .filter(|known| known.content.is_some())
            // A post that names no person names no other person either.
            .map(|known| Compared {
                same_content: known.content == Some(content),
                same_person: person.is_none() || known.person == person,
            });
        let newest = newest.map(|newest| {
            let compared =
                Compared { same_content: newest.about.content == Some(content), same_person: newest.about.person == person };
            (self.standing(newest, attempt_over), compared)
        });
        Ok(rule(delivered, newest))
    }

    /// The newest delivery of a number that is not superseded and not the one given.
    fn newest(&self, number: &InterventionNumber, except: Option<DeliveryId>) -> Result<Option<Delivery>, Error> {
        let newest = select(
            self.connection,
            "intervention = ?1 AND errand = 'open_intervention' AND state <> 'superseded' AND id IS NOT ?2 ORDER BY id DESC LIMIT 1",
            &[&number.as_str(), &except.map(|id| id.0)],
        )?;
        Ok(newest.into_iter().next())
    }

    /// `may_stand`: something of an earlier delivery of this number, which was given up, may stand in Primero.
    fn admit(&mut self, about: About, behind: Option<DeliveryId>, may_stand: bool, parcel: &[u8]) -> Result<(), Error> {
        let mut delivery = self.new_delivery(Errand::OpenIntervention, about)?;
        delivery.behind = behind;
        delivery.may_have_acted = may_stand;
        self.store_parcel(delivery.id, ParcelKind::Intervention, parcel)?;
        self.put(&delivery)?;
        let line = self.about(Event::Received, &delivery);
        self.tell(line)
    }

    /// Something waits behind this delivery: what is held is looked at now, as nothing may stand in the way any more.
    fn look_now(&mut self, id: DeliveryId) -> Result<(), Error> {
        let held = self.delivery(id)?.filter(|delivery| delivery.state == State::Held);
        match held {
            Some(held) if self.take(id) => self.put(&Delivery { due: self.now, ..held }),
            Some(_) | None => Ok(()),
        }
    }

    fn warn_of_change(&mut self, about: &About, kind: Kind, reason: Reason) -> Result<(), Error> {
        // What has a bell on the list is said by upkeep, after this commit.
        self.list_number(about, &NewEntry::new(kind, reason))?;
        self.tell(Activity { reason: Some(reason), ..in_flow1(Event::ChangedAfterDelivery, about) })
    }

    fn store_parcel(&mut self, delivery: DeliveryId, kind: ParcelKind, plain: &[u8]) -> Result<(), Error> {
        let Sealed { key_name, bytes } = self.shared.sealer().seal(delivery, kind, plain);
        self.connection.prepare_cached("INSERT INTO parcels VALUES (?1, ?2, ?3)")?.execute((delivery.0, key_name, bytes))?;
        Ok(())
    }

    /// Whether a post could be stored now: writes, as only a write can tell. SQLite leaves out a write that changes nothing,
    /// so a number of its own goes to and fro.
    pub fn check_room(&self) -> Result<(), Error> {
        self.connection
            .prepare_cached("INSERT INTO meta VALUES ('room', 0) ON CONFLICT (name) DO UPDATE SET value = 1 - value")?
            .execute([])?;
        self.check_size()
    }

    /// Whether `state.max_size` leaves room for another post.
    pub fn check_size(&self) -> Result<(), Error> {
        let pages: u64 = self.connection.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get(0))?;
        let free: u64 = self.connection.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get(0))?;
        if (pages - free) * 4096 >= self.shared.max_size.load(Ordering::Relaxed) { Err(Error::Full) } else { Ok(()) }
    }
}

impl Reading<'_> {
    /// The content of a delivery, opened; `None` if it is not there.
    pub fn parcel(&self, delivery: &Delivery) -> Result<Option<Personal<zeroize::Zeroizing<Vec<u8>>>>, Error> {
        let kind = match delivery.errand {
            Errand::OpenIntervention => ParcelKind::Intervention,
            Errand::RecordDecision => ParcelKind::Decision,
            Errand::Look | Errand::SendReferral | Errand::ReportDecision | Errand::SendFeedback => return Ok(None),
        };
        let mut statement = self.connection.prepare_cached("SELECT key_name, sealed FROM parcels WHERE delivery = ?1")?;
        let sealed =
            statement.query_row([delivery.id.0], |row| Ok(Sealed { key_name: row.get(0)?, bytes: row.get(1)? })).optional()?;
        let Some(sealed) = sealed else { return Ok(None) };
        Ok(Some(Personal::new(self.shared.sealer().open(delivery.id, kind, &sealed)?)))
    }
}

fn in_flow1(event: Event, about: &About) -> Activity {
    Activity {
        flow: Some(crate::referral::Flow::ToPrimero),
        post: about.post,
        intervention: about.intervention.clone(),
        ..Activity::new(event)
    }
}
