//! The closed set of rules, compiled: what a row writes, where it takes it from, how it reads it.
//!
//! Plain structure for those who apply it, check it or show it to people. No file and no record is known here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use uuid::Uuid;

use super::{file::Place, table::Table};
use crate::referral::codes;

codes! {
    /// A document that we make, named as its section in the files.
    Message {
        /// Flow 1: a new case in Primero.
        Case = "case",
        /// Flow 1: the service item in Primero.
        Service = "service",
        /// Flow 1: feedback to DTP, delivered.
        Delivered = "delivered",
        /// Flow 1: feedback to DTP, failed.
        Failed = "failed",
        /// Flow 1: a decision made in Primero, to DTP.
        DecisionReport = "decision_report",
        /// Flow 2: a referral, to DTP.
        Referral = "referral",
        /// Flow 2: a decision of DTP, on a referral in Primero.
        ReferralDecision = "referral_decision",
    }
}

codes! {
    /// A document that we read.
    Record {
        /// What DTP posted for one person.
        Intervention = "intervention",
        /// Primero's case.
        Case = "case",
        /// The service item of the case.
        Service = "service",
        /// The user record of the case's owner.
        Owner = "owner",
        /// What DTP posted as a decision.
        Decision = "decision",
    }
}

codes! {
    /// A configured value, named as in the configuration.
    Setting {
        /// The user who owns new cases.
        IntakeUser = "primero.intake_user",
        /// The functional contact's address.
        AdministratorEmail = "administrator.email",
        /// The functional contact's name.
        AdministratorFullName = "administrator.full_name",
        /// The functional contact's phone.
        AdministratorPhone = "administrator.phone",
    }
}

codes! {
    /// What the program itself knows when it makes a message.
    Given {
        /// The intervention number.
        InterventionNumber = "intervention_number",
        /// The case id: the one we delivered to, or the one DTP gave.
        CaseId = "case_id",
        /// `accepted` or `rejected`.
        Decision = "decision",
        /// The texts of all reasons why a delivery failed.
        ReasonTexts = "reason_texts",
    }
}

codes! {
    /// When a row is written.
    Write {
        /// Only into a new case.
        Create = "create",
        /// Into a new case, and into an existing one that has no value there.
        IfEmpty = "if_empty",
        /// Always, as part of something new: a service item, a message.
        Always = "always",
    }
}

codes! {
    /// A configured list on which a value must stand.
    Agreed {
        /// The service types that come in.
        ServiceTypes = "flow1.service_types",
        /// The agencies whose requests come in.
        Agencies = "flow1.agencies",
    }
}

impl Message {
    /// The records that its rows may read; where there are several, a row says which.
    #[must_use]
    pub const fn records(self) -> &'static [Record] {
        match self {
            Self::Case | Self::Service => &[Record::Intervention],
            Self::Delivered => &[Record::Service],
            Self::Failed => &[],
            Self::DecisionReport => &[Record::Case, Record::Service],
            Self::Referral => &[Record::Case, Record::Service, Record::Owner],
            Self::ReferralDecision => &[Record::Decision],
        }
    }

    /// The configured values that its rows may use.
    #[must_use]
    pub const fn settings(self) -> &'static [Setting] {
        match self {
            Self::Case | Self::Service | Self::Delivered => &[Setting::IntakeUser],
            Self::Referral => &[Setting::AdministratorEmail, Setting::AdministratorFullName, Setting::AdministratorPhone],
            Self::Failed | Self::DecisionReport | Self::ReferralDecision => &[],
        }
    }

    /// What the program knows when it makes this message.
    #[must_use]
    pub const fn given(self) -> &'static [Given] {
        match self {
            Self::Delivered => &[Given::InterventionNumber, Given::CaseId],
            Self::Failed => &[Given::InterventionNumber, Given::CaseId, Given::ReasonTexts],
            Self::DecisionReport => &[Given::Decision],
            Self::Case | Self::Service | Self::Referral | Self::ReferralDecision => &[],
        }
    }

    /// Whether Primero reads it: free text that is exactly a date must not reach it unaltered, because Primero would take it for a date.
    #[must_use]
    pub const fn goes_to_primero(self) -> bool {
        matches!(self, Self::Case | Self::Service | Self::ReferralDecision)
    }

    /// Whether its rows read what DTP posted for one person, possibly several rows, on a known day.
    #[must_use]
    pub const fn reads_intervention(self) -> bool {
        matches!(self, Self::Case | Self::Service)
    }
}

/// One row of the mapping: one target.
#[derive(Debug)]
pub struct Row {
    /// The field that is written.
    pub target: String,
    /// Where its value comes from.
    pub source: Source,
    /// What happens when there is none.
    pub missing: Missing,
    /// When it is written.
    pub write: Write,
    /// The form of the inter-agency forms where the field stands; `None`: not on a form.
    pub form: Option<String>,
    /// Whether a country may change it without asking the other agencies.
    pub localisable: bool,
    /// Whether the base says it; otherwise the programme does.
    pub of_base: bool,
    /// What the base asks each programme to decide here, as a sentence; `None` where it has a row of its own.
    pub asked: Option<String>,
    /// Why it is so.
    pub reason: Option<String>,
    /// Where it stands in the files.
    pub place: Place,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum Source {
    /// Always the same.
    Constant(Value),
    /// A configured value.
    Setting(Setting),
    /// What the program knows, perhaps through a table.
    Given(Given, Option<Lookup>),
    /// One field, or the first of several that has a value.
    Part(Part),
    /// Several parts, those without a value skipped.
    Join {
        /// The parts.
        parts: Vec<Part>,
        /// What stands between them.
        separator: String,
    },
}

impl Source {
    /// The parts that it reads.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        match self {
            Self::Constant(_) | Self::Setting(_) | Self::Given(..) => &[],
            Self::Part(part) => std::slice::from_ref(part),
            Self::Join { parts, .. } => parts,
        }
    }
}

/// What happens when a row has no value.
#[derive(Debug, PartialEq)]
pub enum Missing {
    /// The field is not written.
    Absent,
    /// The field is written as null.
    Null,
    /// The field is written as an empty text.
    Empty,
    /// The field is written with this.
    Default(Value),
    /// The message cannot be made.
    Required,
}

/// One source field, or the first of several that has a value, and how it is read.
#[derive(Debug)]
pub struct Part {
    /// Whose field.
    pub record: Record,
    /// Literal keys; dots are part of them.
    pub keys: Vec<String>,
    /// One value or several.
    pub many: Many,
    /// How a value is read.
    pub reading: Reading,
    /// Only so many characters, from the end.
    pub last_characters: Option<usize>,
    /// In lower case.
    pub lower_case: bool,
    /// What the value must be.
    pub demand: Option<Demand>,
    /// The value must stand on this list.
    pub agreed: Option<Agreed>,
    /// The value is made into a UUID (version 5) of this namespace.
    pub uuid5: Option<Uuid>,
    /// The value is looked up.
    pub lookup: Option<Lookup>,
    /// Inside a join: the message cannot be made without this part.
    pub required: bool,
}

impl Part {
    /// The key that a gap names.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.keys[0]
    }
}

/// One value or several.
#[derive(Debug, PartialEq)]
pub enum Many {
    /// One; the rows of one intervention must agree.
    One,
    /// The values of all rows of one intervention, each once, in the order first seen; joined if there is a separator.
    AllRows(Option<String>),
    /// Each entry of a list; joined if there is a separator.
    List(Option<String>),
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Text. Where a table follows, whole numbers are read as their digits.
    Text,
    /// Text, or a number as its digits.
    TextOrNumber,
    /// A reference: the text under its `Name`.
    Reference,
    /// Text that may be a list of notes written as JSON, HTML, or both.
    Plain {
        /// A list of notes gives their texts.
        notes: bool,
        /// HTML gives its text.
        html: bool,
    },
    /// The date of a date or a date-time.
    Date,
    /// A date-time in UTC; a date is its midnight.
    DateTime,
    /// Years completed today since a date.
    Age,
    /// Whatever it is.
    AsIs,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A plain identifier, fit for a filter of Primero; anything else is invalid.
    Identifier,
    /// A plain identifier, used only if it is a UUID (then in lower case), otherwise as if it were missing.
    OnlyUuid,
    /// A date that is not after today; a later one is invalid.
    NotAfterToday,
}

/// A table and what happens to values that it does not list.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The table.
    pub table: Arc<Table>,
    /// What happens to other values.
    pub unlisted: Unlisted,
}

/// What happens to a value that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// The message cannot be made.
    Refuse,
    /// It is written as it is.
    AsIs,
    /// As if there were no value.
    LeaveOut,
    /// This is written instead.
    Default(String),
}

/// Rows that stand or fall together: one person's contact block, or another's, never a mixture.
#[derive(Debug)]
pub struct Block {
    /// What people call it.
    pub name: String,
    /// If one of these has a value …
    pub any_of: Vec<(Record, String)>,
    /// … these rows are used,
    pub then: Vec<Row>,
    /// otherwise these. Both write the same targets.
    pub otherwise: Vec<Row>,
}

/// Fewer fields for some service types: whoever gets the message needs to know no more.
#[derive(Debug)]
pub struct Profile {
    /// What people call it.
    pub name: String,
    /// The service types, as they are looked up.
    pub service_types: Vec<String>,
    /// The only fields that are written, by message.
    pub only: BTreeMap<Message, BTreeSet<String>>,
    /// Why it is so.
    pub reason: Option<String>,
    /// Where it stands in the files.
    pub place: Place,
    /// The keys of an intervention that its rows read.
    pub(super) keys: BTreeSet<String>,
}

impl Profile {
    /// Whether a row is used.
    #[must_use]
    pub fn has(&self, message: Message, target: &str) -> bool {
        self.only.get(&message).is_none_or(|only| only.contains(target))
    }
}

/// Everything that makes one message.
#[derive(Debug, Default)]
pub struct Rules {
    /// The rows.
    pub rows: Vec<Row>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Targets of rows that could not be compiled, empty where even that could not be read; only while loading.
    pub(super) broken: Vec<String>,
}

impl Rules {
    /// Every row, those of blocks included.
    pub fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(self.blocks.iter().flat_map(|block| block.then.iter().chain(&block.otherwise)))
    }

    /// Whether a row writes this target, or may have been meant to.
    pub(super) fn mentions(&self, target: &str) -> bool {
        self.all_rows().any(|row| row.target == target) || self.broken.iter().any(|broken| broken == target || broken.is_empty())
    }

    /// Every field that is read.
    pub fn read_keys(&self) -> impl Iterator<Item = (Record, &str)> {
        let of_rows = self
            .all_rows()
            .flat_map(|row| row.source.parts())
            .flat_map(|part| part.keys.iter().map(|key| (part.record, key.as_str())));
        let of_blocks = self.blocks.iter().flat_map(|block| &block.any_of).map(|(record, key)| (*record, key.as_str()));
        of_rows.chain(of_blocks)
    }
}
