//! What was delivered once is known for ever: "never twice" as a table and a pure ruling over it.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension;

use super::{
    Error, Reading, Tx,
    delivery::{About, select},
    row::Cells,
    seal::Digest,
};
use crate::referral::{CaseKey, Decision, DeliveryId, InterventionNumber, OutgoingId, ReferralId};

/// Where the newest delivery of a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waiting or held, and no write may have happened.
    Idle,
    /// Being attempted, or a write may have happened.
    Busy,
    /// Refused or stopped: we asked for another.
    Ended,
}

/// What happens to an intervention whose number was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// A new delivery.
    New,
    /// Nothing new.
    Unchanged,
    /// The old one is superseded, the new one stored.
    Replace,
    /// The new one waits until the old one has settled.
    Behind,
    /// Delivered before with other content: nothing is stored; the operator's list.
    ChangedAfterDelivery,
    /// Delivered before for another person: the same, with alarm.
    NumberAlreadyDelivered,
}

/// How the new content compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The same values.
    pub same_content: bool,
    /// The same person.
    pub same_person: bool,
}

/// The ruling. What was delivered at any time comes first, whatever came after.
#[must_use]
pub const fn rule(delivered: Option<Compared>, newest: Option<(Standing, Compared)>) -> Ruling {
    match (delivered, newest) {
        (Some(Compared { same_content: true, .. }), _) => Ruling::Unchanged,
        (Some(Compared { same_person: false, .. }), _) => Ruling::NumberAlreadyDelivered,
        (Some(_), _) => Ruling::ChangedAfterDelivery,
        (None, None | Some((Standing::Ended, _))) => Ruling::New,
        (None, Some((Standing::Idle | Standing::Busy, Compared { same_content: true, .. }))) => Ruling::Unchanged,
        (None, Some((Standing::Idle, _))) => Ruling::Replace,
        (None, Some((Standing::Busy, _))) => Ruling::Behind,
    }
}

/// What is known about an intervention number, as keyed hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownIntervention {
    /// What was delivered, if it was by us.
    pub content: Option<Digest>,
    /// For whom.
    pub person: Option<Digest>,
    /// To which case; or from which case a decision was first heard.
    pub case: Option<Digest>,
    /// The last decision that DTP took, and heard nothing else since; `None` also while nobody knows what it has.
    pub last_status: Option<Decision>,
}

/// A referral that DTP took, as keyed hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReferral {
    /// Keyed hash of its id.
    pub referral: Digest,
    /// When DTP took it.
    pub taken: DateTime<Utc>,
}

impl Reading<'_> {
    /// What is known about a number.
    pub fn known_intervention(&self, number: &InterventionNumber) -> Result<Option<KnownIntervention>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT content, person, case_hash, last_status FROM known_interventions WHERE number = ?1")?;
        let known = statement.query_row([self.shared.number_digest(number)], |row| {
            let mut cells = Cells::of(row);
            Ok(KnownIntervention {
                content: cells.get()?,
                person: cells.get()?,
                case: cells.get()?,
                last_status: cells.code(Decision::from_code)?,
            })
        });
        Ok(known.optional()?)
    }

    /// Whether DTP has a decision about a number, as far as we know.
    pub(super) fn has_decision(&self, number: &InterventionNumber) -> Result<bool, Error> {
        Ok(self.known_intervention(number)?.is_some_and(|known| known.last_status.is_some()))
    }

    /// The case from which the decisions of a number are heard, where its key is still known: from a report, or by itself.
    pub(super) fn decided_in(&self, about: &About) -> Result<Option<About>, Error> {
        let Some(number) = &about.intervention else { return Ok(None) };
        let reports = "intervention = ?1 AND errand = 'report_decision' ORDER BY id DESC";
        let reports = select(self.connection, reports, &[&number.as_str()])?;
        let itself = About { intervention: Some(number.clone()), case_key: about.case_key, ..About::default() };
        for about in reports.into_iter().map(|report| report.about).chain([itself]) {
            if let Some(key) = about.case_key
                && self.is_heard_from(number, key)?
            {
                return Ok(Some(about));
            }
        }
        Ok(None)
    }

    /// Whether DTP has a decision about a number that could not be told again: nobody knows any more in which case it stands.
    pub(super) fn has_decision_of_unknown_case(&self, about: &About) -> Result<bool, Error> {
        let Some(number) = &about.intervention else { return Ok(false) };
        Ok(self.has_decision(number)? && self.decided_in(about)?.is_none())
    }

    /// Whether DTP took this referral, or it was given up so long ago that its delivery is forgotten: it is never sent again.
    pub fn referral_taken(&self, id: ReferralId) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM known_referrals WHERE referral = ?1")?;
        Ok(statement.exists([self.referral_digest(id)])?)
    }

    /// The referrals that DTP took under an outgoing id, oldest first.
    pub fn referrals_taken_under(&self, outgoing: &OutgoingId) -> Result<Vec<KnownReferral>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT referral, taken FROM known_referrals WHERE outgoing = ?1 ORDER BY taken")?;
        let rows = statement.query_map([self.outgoing_digest(outgoing)], |row| {
            let mut cells = Cells::of(row);
            Ok(KnownReferral { referral: cells.get()?, taken: cells.time()?.ok_or_else(|| cells.unreadable())? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keyed hash of a referral's id.
    #[must_use]
    pub fn referral_digest(&self, id: ReferralId) -> Digest {
        self.shared.identity.digest("referral", id.0.as_bytes())
    }

    /// Keyed hash of a case's key.
    #[must_use]
    pub fn case_digest(&self, key: CaseKey) -> Digest {
        self.shared.identity.digest("known case", key.0.as_bytes())
    }

    fn outgoing_digest(&self, outgoing: &OutgoingId) -> Digest {
        self.shared.identity.digest("outgoing", outgoing.to_string().as_bytes())
    }
}

impl Tx<'_> {
    /// An intervention was delivered: for ever.
    pub(super) fn know_delivered(
        &mut self,
        number: &InterventionNumber,
        content: Option<Digest>,
        person: Option<Digest>,
        case: Option<CaseKey>,
    ) -> Result<(), Error> {
        let case = case.map(|key| self.reading().case_digest(key));
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO known_interventions (number, content, person, case_hash) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (number) DO UPDATE SET content = ?2, person = ?3, case_hash = ?4",
        )?;
        statement.execute((self.shared.number_digest(number), content, person, case))?;
        Ok(())
    }

    /// DTP took, or is to be taken to have, this status of a number; it is heard only from this case from now on.
    pub fn know_status(&mut self, number: &InterventionNumber, case: Option<CaseKey>, status: Decision) -> Result<(), Error> {
        let case = case.map(|key| self.reading().case_digest(key));
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO known_interventions (number, case_hash, last_status) VALUES (?1, ?2, ?3)
             ON CONFLICT (number) DO UPDATE SET case_hash = coalesce(case_hash, ?2), last_status = ?3",
        )?;
        statement.execute((self.shared.number_digest(number), case, status.code()))?;
        Ok(())
    }

    /// Marks durably, before a decision is told, that DTP may have it, and that nobody knows any more what it has.
    /// Returns what it had until now.
    pub fn about_to_tell(&mut self, report: DeliveryId, number: &InterventionNumber) -> Result<Option<Decision>, Error> {
        let last = self.reading().known_intervention(number)?.and_then(|known| known.last_status);
        self.may_have_left(report)?;
        self.forget_status(number)?;
        Ok(last)
    }

    /// Nothing was told after all: DTP has what it had, unless something else was learnt meanwhile.
    pub fn nothing_told(&mut self, report: DeliveryId, number: &InterventionNumber, last: Decision) -> Result<(), Error> {
        self.connection.prepare_cached("UPDATE deliveries SET may_have_acted = 0 WHERE id = ?1")?.execute([report.0])?;
        let mut statement = self
            .connection
            .prepare_cached("UPDATE known_interventions SET last_status = ?2 WHERE number = ?1 AND last_status IS NULL")?;
        statement.execute((self.shared.number_digest(number), last.code()))?;
        Ok(())
    }

    /// What DTP has of a number is not known any more, or is no decision: the decision that stands is told again.
    pub(super) fn forget_status(&mut self, number: &InterventionNumber) -> Result<(), Error> {
        let mut statement =
            self.connection.prepare_cached("UPDATE known_interventions SET last_status = NULL WHERE number = ?1")?;
        statement.execute([self.shared.number_digest(number)])?;
        Ok(())
    }

    /// This referral was given up: it is never sent by itself.
    pub(super) fn know_given_up(&mut self, referral: ReferralId) -> Result<(), Error> {
        let referral = self.reading().referral_digest(referral);
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO known_referrals VALUES (?1, x'', ?2)")?;
        statement.execute((referral, self.now.timestamp_millis()))?;
        Ok(())
    }

    /// DTP took this referral: it is never sent again.
    pub(super) fn know_taken(&mut self, referral: ReferralId, outgoing: &OutgoingId) -> Result<(), Error> {
        let reading = self.reading();
        let (referral, outgoing) = (reading.referral_digest(referral), reading.outgoing_digest(outgoing));
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO known_referrals VALUES (?1, ?2, ?3)")?;
        statement.execute((referral, outgoing, self.now.timestamp_millis()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Compared = Compared { same_content: true, same_person: true };
    const OTHER: Compared = Compared { same_content: false, same_person: true };
    const STRANGER: Compared = Compared { same_content: false, same_person: false };

    #[test]
    fn the_table_of_numbers_seen_before() {
        use Standing::{Busy, Ended, Idle};
        let table = [
            (None, None, Ruling::New),
            (None, Some((Idle, SAME)), Ruling::Unchanged),
            (None, Some((Idle, OTHER)), Ruling::Replace),
            (None, Some((Idle, STRANGER)), Ruling::Replace),
            (None, Some((Busy, SAME)), Ruling::Unchanged),
            (None, Some((Busy, OTHER)), Ruling::Behind),
            (None, Some((Ended, SAME)), Ruling::New),
            (None, Some((Ended, OTHER)), Ruling::New),
        ];
        for (delivered, newest, ruling) in table {
            assert_eq!(rule(delivered, newest), ruling, "{newest:?}");
        }
        for newest in [None, Some((Idle, OTHER)), Some((Busy, SAME)), Some((Ended, STRANGER))] {
            assert_eq!(rule(Some(SAME), newest), Ruling::Unchanged);
            assert_eq!(rule(Some(OTHER), newest), Ruling::ChangedAfterDelivery);
            assert_eq!(rule(Some(STRANGER), newest), Ruling::NumberAlreadyDelivered);
        }
    }
}
