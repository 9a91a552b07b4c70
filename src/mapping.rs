//! Rules + document → document + gaps: how one side's words become the other's, as data that people sign.
//!
//! Pure after loading. It knows field names, never a network; a gap names a field, never a value.

use std::{collections::BTreeSet, path::Path};

use chrono::NaiveDate;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    personal::Personal,
    reason::Reason,
    referral::{Decision, InterventionNumber},
};

/// A flat or nested JSON object of a record.
pub type Document = Map<String, Value>;

/// One thing that keeps a document from being mapped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// `MissingFields`, `InvalidValues`, `ServiceTypeNotAgreed` or `RowsContradict`.
    pub reason: Reason,
    /// The source field, as the sender knows it.
    pub field: String,
}

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {}

/// Names of the case fields by which a child is recognised, as this programme calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFields {
    /// UNHCR's person number, the match key (`unhcr_individual_no`).
    pub person_number: String,
    /// `sex`
    pub sex: String,
    /// `date_of_birth`
    pub date_of_birth: String,
    /// The parts of the name.
    pub names: Vec<String>,
}

/// What the mapping needs to know besides the rows.
#[derive(Clone, Copy, Debug)]
pub struct InterventionContext<'a> {
    /// `primero.intake_user`
    pub intake_user: &'a str,
    /// Today, UTC, for the age.
    pub today: NaiveDate,
    /// `flow1.service_types`: proGres labels allowed in.
    pub service_types: &'a [String],
}

/// An intervention in Primero's words.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseDraft {
    /// The person number, checked to be a plain identifier.
    pub person_number: Personal<String>,
    /// `progres_primeroid`, checked to be a plain identifier: the case that proGres believes it is.
    pub given_case_id: Option<String>,
    /// A whole new case without its `services_section` (`create` and `if empty` rows); `case_id` is in it only if given as a UUID.
    pub new_case: Personal<Document>,
    /// The `if empty` rows alone: what an existing case may get where it has no value.
    pub if_empty: Personal<Document>,
    /// The service item, `unique_id` included.
    pub service: Personal<Document>,
    /// The service's `unique_id` (UUIDv5 of the intervention number).
    pub service_id: Uuid,
}

/// The sources of a flow 2 referral, each as Primero gave it.
#[derive(Clone, Copy, Debug)]
pub struct ReferralSources<'a> {
    /// The case.
    pub case: &'a Personal<Document>,
    /// The service item.
    pub service: &'a Personal<Document>,
    /// The owner's user record, if there is one.
    pub owner: Option<&'a Personal<Document>>,
    /// `email`, `full_name`, `phone` of the configured administrator.
    pub administrator: &'a Document,
}

/// UNHCR's decision in Primero's words.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferralDecision {
    /// What was decided.
    pub decision: Decision,
    /// The reason, only with a rejection.
    pub rejected_reason: Option<Personal<String>>,
}

/// Every problem of a mapping directory, in file order, each with file, line and remedy.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl Mapping {
    /// Reads, compiles and checks `directory`; all problems at once.
    pub fn load(directory: &Path) -> Result<Self, Problems> {
        let _ = directory;
        todo!()
    }

    /// Version and digest, as it stands in the activity log.
    pub fn version(&self) -> &str {
        todo!()
    }

    /// The keys of an intervention that are read; everything else is dropped before anything is stored.
    pub fn intervention_keys(&self) -> &BTreeSet<String> {
        todo!()
    }

    /// The keys of a decision of DTP that are read.
    pub fn decision_keys(&self) -> &BTreeSet<String> {
        todo!()
    }

    /// By which case fields a child is recognised.
    pub fn identity(&self) -> &IdentityFields {
        todo!()
    }

    /// Flow 1: the rows of one intervention → a case draft, or all gaps.
    pub fn case_draft(
        &self,
        number: &InterventionNumber,
        rows: &[Document],
        context: InterventionContext<'_>,
    ) -> Result<CaseDraft, Vec<Gap>> {
        let _ = (number, rows, context);
        todo!()
    }

    /// Flow 2: case fields that the mapping reads (Primero's `fields=`).
    pub fn referral_case_fields(&self) -> &BTreeSet<String> {
        todo!()
    }

    /// Flow 2: a referral in DTP's words, or all gaps.
    pub fn referral(&self, sources: ReferralSources<'_>) -> Result<Personal<Document>, Vec<Gap>> {
        let _ = sources;
        todo!()
    }

    /// Flow 1: what DTP is told when an intervention was delivered.
    pub fn delivered_feedback(&self, number: &InterventionNumber, case_id: &str, intake_user: &str) -> Document {
        let _ = (number, case_id, intake_user);
        todo!()
    }

    /// Flow 1: what DTP is told when an intervention was refused; `case_id` only if DTP gave it itself.
    pub fn failed_feedback(&self, number: &InterventionNumber, case_id: Option<&str>, gaps: &[Gap]) -> Document {
        let _ = (number, case_id, gaps);
        todo!()
    }

    /// Flow 1: a decision made in Primero, in DTP's words.
    pub fn decision_report(
        &self,
        case: &Personal<Document>,
        service: &Personal<Document>,
        decision: Decision,
    ) -> Result<Personal<Document>, Vec<Gap>> {
        let _ = (case, service, decision);
        todo!()
    }

    /// Flow 2: a decision of DTP in Primero's words; `None` for a code that is not in the table.
    pub fn referral_decision(&self, item: &Document) -> Option<ReferralDecision> {
        let _ = item;
        todo!()
    }

    /// Which targets of a case draft come from a constant or a configured value of ours (`true`), from a table (`false`)
    /// or from DTP itself (`None`): tells who is wrong when Primero answers 422 with this JSON pointer.
    pub fn origin_of(&self, pointer: &str) -> Option<Origin> {
        let _ = pointer;
        todo!()
    }
}

/// Where a value that Primero refused came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A constant or a configured value: we are wrong.
    Ours,
    /// A table's result: our table is wrong.
    Table,
    /// A value of DTP; the source field's name.
    Theirs(String),
}
