//! The operator's list: what a person must do. An entry leaves when done by itself or resolved by a person.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{OptionalExtension, Row, named_params};

use super::{
    Error, Reading, Tx,
    delivery::{About, Delivery},
    row::Cells,
};
use crate::{
    reason::Reason,
    referral::{CaseId, CaseKey, DeliveryId, Errand, InterventionNumber, ReferralId, codes},
};

codes! {
    /// Why something is on the list.
    Kind {
        /// A delivery is held.
        Held = "held",
        /// A delivery is unsettled for too long.
        Late = "late",
        /// A message was refused for good.
        Refused = "refused",
        /// A referral may not leave.
        Withheld = "withheld",
        /// A delivery was given up by its time limit.
        Stopped = "stopped",
        /// A delivered number came again with other content.
        ChangedAfterDelivery = "changed_after_delivery",
        /// A delivered number came again for another person.
        NumberAlreadyDelivered = "number_already_delivered",
        /// A referral that left was withdrawn; UNHCR has not been told by this system.
        WithdrawnAfterSend = "withdrawn_after_send",
        /// UNHCR withdrew a request that is, or may be, in Primero.
        WithdrawnByUnhcr = "withdrawn_by_unhcr",
        /// Two sides say different things.
        Conflict = "conflict",
        /// Staff changed what we wrote, or an identity value differs.
        Differs = "differs",
        /// Fields did not stick in Primero.
        NotStored = "not_stored",
        /// Items of a post were not usable.
        NotTaken = "not_taken",
        /// Posts were refused.
        InboxRefused = "inbox_refused",
        /// No reading of changed cases for referrals to UNHCR has come to its end for too long.
        ReferralsNotRead = "referrals_not_read",
        /// No reading of changed cases for decisions on UNHCR's requests has come to its end for too long.
        DecisionsNotRead = "decisions_not_read",
        /// Nothing was taken or told of UNHCR's requests for too long.
        ToPrimeroSilent = "to_primero_silent",
        /// Nothing was taken or told of referrals to UNHCR for too long.
        ToDtpSilent = "to_dtp_silent",
        /// A referral, in either direction, that nobody has decided for too long.
        Undecided = "undecided",
        /// A service for UNHCR without a referral.
        NearMiss = "near_miss",
        /// There is too little room on the disk.
        DiskNearlyFull = "disk_nearly_full",
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub id: DeliveryId,
    /// Why it is here.
    pub kind: Kind,
    /// Why, more closely.
    pub reason: Option<Reason>,
    /// The delivery that it is about.
    pub delivery: Option<DeliveryId>,
    /// What that delivery was to do.
    pub errand: Option<Errand>,
    /// Whether something of that delivery may stand on the other side.
    pub may_have_acted: bool,
    /// The intervention.
    pub intervention: Option<InterventionNumber>,
    /// The case.
    pub case: Option<CaseId>,
    /// The referral.
    pub referral: Option<ReferralId>,
    /// Of refused posts: the HTTP status given.
    pub status: Option<u16>,
    /// Names of fields.
    pub fields: Vec<String>,
    /// How often.
    pub count: u64,
    /// Since when; of a withdrawal: when we saw it.
    pub made: DateTime<Utc>,
    /// When it left the list.
    pub closed: Option<DateTime<Utc>>,
}

/// What is put on the list.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Why it is here.
    pub kind: Kind,
    /// Why, more closely.
    pub reason: Option<Reason>,
    /// Names of fields.
    pub fields: Vec<String>,
}

impl NewEntry {
    /// Without field names.
    #[must_use]
    pub const fn new(kind: Kind, reason: Reason) -> Self {
        Self { kind, reason: Some(reason), fields: Vec::new() }
    }
}

impl Tx<'_> {
    /// Puts a delivery on the list. If it stands there for the same kind, reason and fields are brought up to date; `true` if it is new.
    pub fn list(&mut self, delivery: &Delivery, entry: NewEntry) -> Result<bool, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM entries WHERE kind = ?1 AND delivery = ?2 AND closed IS NULL LIMIT 1")?;
        let open: Option<i64> = statement.query_row((entry.kind.code(), delivery.id.0), |row| row.get(0)).optional()?;
        match open {
            Some(id) => {
                let mut statement =
                    self.connection.prepare_cached("UPDATE entries SET reason = ?2, fields = ?3 WHERE id = ?1")?;
                statement.execute((id, entry.reason.map(Reason::code), joined(&entry.fields)))?;
                Ok(false)
            }
            None => {
                self.insert_entry(Some(delivery.id), &delivery.about, &entry, None)?;
                Ok(true)
            }
        }
    }

    /// Puts a withdrawal on the list: once per referral and reason. What was told and dealt with before this errand was made says
    /// nothing of it: it may have left since.
    pub fn list_withdrawal(&mut self, delivery: &Delivery, reason: Reason) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM entries WHERE kind = ?1 AND (delivery = ?2 OR referral = ?4) AND reason = ?3
                AND (closed IS NULL OR delivery = ?2 OR made >= ?5)",
        )?;
        let referral = delivery.about.referral.map(|id| id.0.into_bytes());
        let made = delivery.made.timestamp_millis();
        if statement.exists((Kind::WithdrawnAfterSend.code(), delivery.id.0, reason.code(), referral, made))? {
            return Ok(false);
        }
        self.insert_entry(Some(delivery.id), &delivery.about, &NewEntry::new(Kind::WithdrawnAfterSend, reason), None)?;
        Ok(true)
    }

    /// Puts something on the list that is about a number but no delivery; once while it is open. `true` if it is new.
    pub fn list_number(&mut self, about: &About, entry: &NewEntry) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM entries WHERE kind = ?1 AND delivery IS NULL AND intervention IS ?2 AND case_id IS ?3 AND closed IS NULL",
        )?;
        let number = about.intervention.as_ref().map(InterventionNumber::as_str);
        if statement.exists((entry.kind.code(), number, about.case_id.as_ref().map(CaseId::as_str)))? {
            return Ok(false);
        }
        self.insert_entry(None, about, entry, None)?;
        Ok(true)
    }

    /// Counts something on the list that has no number of its own: one open entry per kind, status and day.
    pub fn list_count(&mut self, kind: Kind, reason: Option<Reason>, status: Option<u16>, count: u64) -> Result<(), Error> {
        let day = self.now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        let mut statement = self.connection.prepare_cached(
            "UPDATE entries SET count = count + ?5
             WHERE kind = ?1 AND reason IS ?2 AND status IS ?3 AND made >= ?4 AND delivery IS NULL AND closed IS NULL",
        )?;
        if statement.execute((kind.code(), reason.map(Reason::code), status, day, count))? == 0 {
            self.insert_entry(None, &About::default(), &NewEntry { kind, reason, fields: Vec::new() }, status)?;
            if count > 1 {
                statement.execute((kind.code(), reason.map(Reason::code), status, day, count - 1))?;
            }
        }
        Ok(())
    }

    /// Takes a delivery's entries of some kinds off the list: they are done by themselves.
    pub fn unlist(&mut self, delivery: DeliveryId, kinds: &[Kind]) -> Result<(), Error> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE entries SET closed = ?3 WHERE delivery = ?1 AND kind = ?2 AND closed IS NULL")?;
        for kind in kinds {
            statement.execute((delivery.0, kind.code(), self.now.timestamp_millis()))?;
        }
        Ok(())
    }

    /// A person resolved an entry, or every entry of a delivery; returns how many.
    pub fn resolve(&mut self, id: DeliveryId, role: &str, informed_on: Option<NaiveDate>) -> Result<usize, Error> {
        Ok(self.connection.execute(
            "UPDATE entries SET closed = ?2, closed_by = ?3, informed_on = ?4 WHERE (id = ?1 OR delivery = ?1) AND closed IS NULL",
            (id.0, self.now.timestamp_millis(), role, informed_on.map(|day| day.to_string())),
        )?)
    }

    fn insert_entry(
        &mut self,
        delivery: Option<DeliveryId>,
        about: &About,
        entry: &NewEntry,
        status: Option<u16>,
    ) -> Result<(), Error> {
        let id = self.next_number();
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO entries (id, kind, reason, delivery, intervention, case_id, case_key, referral, status, fields, made)
             VALUES (:id, :kind, :reason, :delivery, :intervention, :case_id, :case_key, :referral, :status, :fields, :made)",
        )?;
        statement.execute(named_params! {
            ":id": id,
            ":kind": entry.kind.code(),
            ":reason": entry.reason.map(Reason::code),
            ":delivery": delivery.map(|id| id.0),
            ":intervention": about.intervention.as_ref().map(InterventionNumber::as_str),
            ":case_id": about.case_id.as_ref().map(CaseId::as_str),
            ":case_key": about.case_key.map(|key| key.0.into_bytes()),
            ":referral": about.referral.map(|id| id.0.into_bytes()),
            ":status": status,
            ":fields": joined(&entry.fields),
            ":made": self.now.timestamp_millis(),
        })?;
        Ok(())
    }
}

impl Reading<'_> {
    /// The case that an entry is about.
    pub fn case_of_entry(&self, id: DeliveryId) -> Result<Option<CaseKey>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT case_key FROM entries WHERE id = ?1")?;
        let key = statement.query_row([id.0], |row| Cells::of(row).uuid()).optional()?;
        Ok(key.flatten().map(CaseKey))
    }

    /// The open entries, oldest first.
    pub fn open_entries(&self) -> Result<Vec<Entry>, Error> {
        self.entries("e.closed IS NULL", 0)
    }

    /// Of the open entries those after a number, oldest first, at most so many.
    pub fn open_entries_after(&self, after: DeliveryId, most: usize) -> Result<Vec<Entry>, Error> {
        let mut entries = self.entries("e.closed IS NULL AND e.id > ?1", after.0)?;
        entries.truncate(most);
        Ok(entries)
    }

    /// How many entries are open, and when the oldest was made.
    pub fn list_size(&self) -> Result<(u64, Option<DateTime<Utc>>), Error> {
        let mut statement = self.connection.prepare_cached("SELECT count(*), min(made) FROM entries WHERE closed IS NULL")?;
        let (count, oldest) = statement.query_row([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
        Ok((count, oldest.and_then(DateTime::from_timestamp_millis)))
    }

    /// How many entries of each kind are open.
    pub fn open_by_kind(&self) -> Result<Vec<(Kind, u64)>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT kind, count(*) FROM entries WHERE closed IS NULL GROUP BY kind ORDER BY kind")?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok((cells.code(Kind::from_code)?.ok_or_else(|| cells.unreadable())?, cells.get()?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An entry by its own number, or all open entries of a delivery.
    pub fn entries_of(&self, id: DeliveryId) -> Result<Vec<Entry>, Error> {
        self.entries("(e.id = ?1 OR (e.delivery = ?1 AND e.closed IS NULL))", id.0)
    }

    fn entries(&self, condition: &str, id: i64) -> Result<Vec<Entry>, Error> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT e.id, e.kind, e.reason, e.delivery, d.errand, coalesce(d.may_have_acted, 0), e.intervention, e.case_id, e.referral, e.status,
                e.fields, e.count, e.made, e.closed
             FROM entries e LEFT JOIN deliveries d ON d.id = e.delivery WHERE ?1 = ?1 AND {condition} ORDER BY e.id"
        ))?;
        let rows = statement.query_map([id], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let mut cells = Cells::of(row);
    Ok(Entry {
        id: DeliveryId(cells.get()?),
        kind: cells.code(Kind::from_code)?.ok_or_else(|| cells.unreadable())?,
        reason: cells.code(Reason::from_code)?,
        delivery: cells.get::<Option<i64>>()?.map(DeliveryId),
        errand: cells.code(Errand::from_code)?,
        may_have_acted: cells.get()?,
        intervention: cells.parsed()?,
        case: cells.parsed()?,
        referral: cells.uuid()?.map(ReferralId),
        status: cells.get()?,
        fields: cells.names()?,
        count: cells.get()?,
        made: cells.time()?.ok_or_else(|| cells.unreadable())?,
        closed: cells.time()?,
    })
}

fn joined(fields: &[String]) -> Option<String> {
    (!fields.is_empty()).then(|| fields.join(" "))
}
