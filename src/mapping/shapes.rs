//! What goes into a mapping and what comes out of it.
//!
//! Plain values; what is about a person wears [`Personal`].

use std::fmt;

use chrono::NaiveDate;
use uuid::Uuid;

use super::Document;
use crate::{personal::Personal, reason::Reason, referral::Decision};

/// One thing that keeps a document from being mapped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// `MissingFields`, `InvalidValues`, `ServiceTypeNotAgreed`, `AgencyNotSigned` or `RowsContradict`.
    pub reason: Reason,
    /// The source field, as the sender knows it.
    pub field: String,
}

/// Names of the case fields by which a child is recognised, as this programme calls them.
/// A name other than `person_number` may be empty: then the programme does not exchange that field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Names of the service fields by which the program sees that a service of ours is there, besides `unique_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFields {
    /// The intervention number (`progres_interventionnumber`).
    pub number: String,
    /// `service_type`
    pub service_type: String,
    /// What staff decided (`unhcr_referral_status`).
    pub status: String,
}

/// Primero's own names, by which decisions are heard and referrals are looked at: no mapping can change them.
impl ServiceFields {
    /// The intervention number.
    pub const NUMBER: &str = "progres_interventionnumber";
    /// The kind of service.
    pub const SERVICE_TYPE: &str = "service_type";
    /// What staff decided.
    pub const STATUS: &str = "unhcr_referral_status";
    /// Where a service came from.
    pub const ORIGIN: &str = "service_referral";
    /// The origin of a service that another agency asked for.
    pub const FROM_OUTSIDE: &str = "external_referral";
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
    /// `flow1.agencies`: agencies that have signed, as proGres names them; asked where the mapping says so.
    pub agencies: &'a [String],
}

/// An intervention in Primero's words.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseDraft {
    /// The person number, checked to be a plain identifier.
    pub person_number: Personal<String>,
    /// `progres_primeroid`, checked to be a plain identifier: the case that proGres believes it is, or whatever somebody typed there.
    pub given_case_id: Option<Personal<String>>,
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

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}
