//! Rules + document → document + gaps: how one side's words become the other's, as data that people sign.
//!
//! Pure after loading. It knows field names, never a network; a gap names a field, never a value.
//! The rules are a closed set ([`rules`]); nothing in a mapping is a program.

pub mod examples;
pub mod rules;
pub mod table;

mod check;
mod compile;
mod evaluate;
mod file;
mod load;
mod moment;
mod reasons;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

use chrono::NaiveDate;
use serde_json::{Map, Value};
use uuid::Uuid;

use self::{
    evaluate::{Sources, is_identifier, is_missing, uuid},
    load::Loaded,
    reasons::ReasonTexts,
    rules::{Many, Message, Record, Row, Rules, Source, Write},
    table::Table,
};
use crate::{
    personal::Personal,
    reason::Reason,
    referral::{Decision, InterventionNumber},
};

/// The key of everything in flow 1, as DTP spells it.
const INTERVENTION_NUMBER: &str = "progres_interventionnumber";
/// What the program itself reads of a decision of DTP.
const OF_A_DECISION: [&str; 3] = ["progres_orgreferralid", "progres_reviewdecision", "progres_reviewdate"];
/// Primero's name for the services of a case, and for the id of each.
const SERVICES: &str = "services_section";
const UNIQUE_ID: &str = "unique_id";
/// The targets of a decision that is recorded on a referral.
const STATUS: &str = "status";
const REJECTED_REASON: &str = "rejected_reason";

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
pub struct Mapping {
    version: String,
    /// By [`Message`], in the order of its definition.
    rules: [Rules; Message::ALL.len()],
    identity: IdentityFields,
    service_fields: ServiceFields,
    given_case_id: String,
    texts: ReasonTexts,
    tables: Vec<Arc<Table>>,
    intervention_keys: BTreeSet<String>,
    /// Those on which all rows of one intervention must agree.
    agreeing_keys: Vec<String>,
    decision_keys: BTreeSet<String>,
    referral_case_fields: BTreeSet<String>,
    written_case_fields: BTreeSet<String>,
    written_service_fields: BTreeSet<String>,
    origins: BTreeMap<(Message, String), Origin>,
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

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl Mapping {
    /// Reads, compiles and checks `directory`; all problems at once.
    pub fn load(directory: &Path) -> Result<Self, Problems> {
        load::load(directory)
    }

    /// Version and digest, as it stands in the activity log.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The keys of an intervention that are read; everything else is dropped before anything is stored.
    #[must_use]
    pub const fn intervention_keys(&self) -> &BTreeSet<String> {
        &self.intervention_keys
    }

    /// The keys of a decision of DTP that are read.
    #[must_use]
    pub const fn decision_keys(&self) -> &BTreeSet<String> {
        &self.decision_keys
    }

    /// By which case fields a child is recognised.
    #[must_use]
    pub const fn identity(&self) -> &IdentityFields {
        &self.identity
    }

    /// By which service fields a service of ours is recognised.
    #[must_use]
    pub const fn service_fields(&self) -> &ServiceFields {
        &self.service_fields
    }

    /// The case fields that flow 1 writes into a new case, without `services_section`.
    #[must_use]
    pub const fn written_case_fields(&self) -> &BTreeSet<String> {
        &self.written_case_fields
    }

    /// The fields of a service item that flow 1 writes.
    #[must_use]
    pub const fn written_service_fields(&self) -> &BTreeSet<String> {
        &self.written_service_fields
    }

    /// Every row with its documentation, in the order of the files.
    pub fn rows(&self) -> impl Iterator<Item = (Message, &Row)> {
        Message::ALL.iter().flat_map(|message| self.rules(*message).all_rows().map(|row| (*message, row)))
    }

    /// Every value table with the labels of both sides, by name.
    #[must_use]
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Flow 1: the rows of one intervention → a case draft, or all gaps.
    pub fn case_draft(
        &self,
        number: &InterventionNumber,
        rows: &[Document],
        context: InterventionContext<'_>,
    ) -> Result<CaseDraft, Vec<Gap>> {
        let sources = Sources {
            rows,
            number: Some(number.as_str()),
            intake_user: Some(context.intake_user),
            today: Some(context.today),
            service_types: context.service_types,
            ..Sources::default()
        };
        let mut gaps = Vec::new();
        let mut new_case = Document::new();
        let mut if_empty = Document::new();
        for row in &self.rules(Message::Case).rows {
            let Some(value) = sources.value(row, Message::Case, &mut gaps) else { continue };
            if row.write == Write::IfEmpty {
                if_empty.insert(row.target.clone(), value.clone());
            }
            new_case.insert(row.target.clone(), value);
        }
        let service = sources.document(self.rules(Message::Service), Message::Service, &mut gaps);
        let given_case_id = self.given_case_id(rows, &mut gaps);
        let gaps = self.with_contradictions(rows, gaps);

        let text = |document: &Document, field: &str| document.get(field).and_then(Value::as_str).map(str::to_owned);
        let person_number = text(&new_case, &self.identity.person_number);
        let service_id = text(&service, UNIQUE_ID).and_then(|id| Uuid::try_parse(&id).ok());
        // Loading made sure that both are written; without them nothing may be written at all.
        let (Some(person_number), Some(service_id), true) = (person_number, service_id, gaps.is_empty()) else {
            return Err(gaps);
        };
        Ok(CaseDraft {
            person_number: Personal::new(person_number),
            given_case_id,
            new_case: Personal::new(new_case),
            if_empty: Personal::new(if_empty),
            service: Personal::new(service),
            service_id,
        })
    }

    /// Flow 2: case fields that the mapping reads (Primero's `fields=`).
    #[must_use]
    pub const fn referral_case_fields(&self) -> &BTreeSet<String> {
        &self.referral_case_fields
    }

    /// Flow 2: a referral in DTP's words, or all gaps.
    pub fn referral(&self, sources: ReferralSources<'_>) -> Result<Personal<Document>, Vec<Gap>> {
        let sources = Sources {
            case: Some(sources.case.reveal()),
            service: Some(sources.service.reveal()),
            owner: sources.owner.map(Personal::reveal),
            administrator: Some(sources.administrator),
            ..Sources::default()
        };
        self.message(Message::Referral, sources)
    }

    /// Flow 1: what DTP is told when an intervention was delivered.
    #[must_use]
    pub fn delivered_feedback(&self, number: &InterventionNumber, case_id: &str, intake_user: &str) -> Document {
        let sources = Sources {
            number: Some(number.as_str()),
            case_id: Some(case_id),
            intake_user: Some(intake_user),
            ..Sources::default()
        };
        // A message without a record has no gaps: whatever is missing is left out.
        sources.document(self.rules(Message::Delivered), Message::Delivered, &mut Vec::new())
    }

    /// Flow 1: what DTP is told when an intervention was refused; `case_id` only if DTP gave it itself.
    #[must_use]
    pub fn failed_feedback(&self, number: &InterventionNumber, case_id: Option<&str>, gaps: &[Gap]) -> Document {
        let texts = self.texts.of(gaps);
        let sources = Sources { number: Some(number.as_str()), case_id, reason_texts: Some(&texts), ..Sources::default() };
        sources.document(self.rules(Message::Failed), Message::Failed, &mut Vec::new())
    }

    /// Flow 1: a decision made in Primero, in DTP's words.
    pub fn decision_report(
        &self,
        case: &Personal<Document>,
        service: &Personal<Document>,
        decision: Decision,
    ) -> Result<Personal<Document>, Vec<Gap>> {
        let sources = Sources {
            case: Some(case.reveal()),
            service: Some(service.reveal()),
            decision: Some(decision.code()),
            ..Sources::default()
        };
        self.message(Message::DecisionReport, sources)
    }

    /// Flow 2: a decision of DTP in Primero's words; `None` for a code that is not in the table,
    /// and for a rejection whose reason cannot be read: neither may be applied.
    #[must_use]
    pub fn referral_decision(&self, item: &Document) -> Option<ReferralDecision> {
        let sources = Sources { decision_item: Some(item), ..Sources::default() };
        let row = |target: &str| self.rules(Message::ReferralDecision).rows.iter().find(|row| row.target == target);
        let mut gaps = Vec::new();
        let status = sources.value(row(STATUS)?, Message::ReferralDecision, &mut gaps)?;
        let decision = Decision::from_code(status.as_str()?)?;
        let rejected_reason = match decision {
            Decision::Accepted => None,
            Decision::Rejected => row(REJECTED_REASON)
                .and_then(|row| sources.value(row, Message::ReferralDecision, &mut gaps))
                .and_then(|reason| reason.as_str().map(|reason| Personal::new(reason.to_owned()))),
        };
        gaps.is_empty().then_some(ReferralDecision { decision, rejected_reason })
    }

    /// Where the value of a target of a case draft comes from: tells who is wrong when Primero answers 422 with this
    /// JSON pointer (`/sex`, `/services_section/0/service_type`) or field name. `None` for what we do not write.
    #[must_use]
    pub fn origin_of(&self, pointer: &str) -> Option<Origin> {
        let mut parts = pointer.trim_start_matches('/').split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
        let origin = |message, field: String| self.origins.get(&(message, field)).cloned();
        let first = parts.next()?;
        if first != SERVICES {
            return origin(Message::Case, first.clone()).or_else(|| origin(Message::Service, first));
        }
        // The list and its items are made by us; only their fields come from elsewhere.
        match parts.nth(1) {
            Some(field) => origin(Message::Service, field),
            None => Some(Origin::Ours),
        }
    }

    fn of(loaded: Loaded, version: String) -> Self {
        let Loaded { rules, head, texts, tables } = loaded;
        let of = |message: Message| &rules[message as usize];
        let keys = |message: Message, record| {
            of(message).read_keys().filter(move |(of, _)| *of == record).map(|(_, key)| key.to_owned())
        };
        let targets = |message: Message| of(message).all_rows().map(|row| row.target.clone()).collect::<BTreeSet<_>>();
        let both = [Message::Case, Message::Service];
        let mut intervention_keys: BTreeSet<String> =
            both.into_iter().flat_map(|message| keys(message, Record::Intervention)).collect();
        intervention_keys.extend([INTERVENTION_NUMBER.to_owned(), head.given_case_id.clone()]);
        let parts = || both.into_iter().flat_map(|message| of(message).all_rows()).flat_map(|row| row.source.parts());
        let sets: BTreeSet<&String> =
            parts().filter(|part| matches!(part.many, Many::AllRows(_))).flat_map(|part| &part.keys).collect();
        let agreeing_keys = intervention_keys.iter().filter(|key| !sets.contains(key)).cloned().collect();
        let mut decision_keys: BTreeSet<String> = keys(Message::ReferralDecision, Record::Decision).collect();
        decision_keys.extend(OF_A_DECISION.map(str::to_owned));
        let mut referral_case_fields = BTreeSet::new();
        for message in [Message::Referral, Message::DecisionReport] {
            referral_case_fields.extend(keys(message, Record::Case));
            if keys(message, Record::Service).next().is_some() {
                referral_case_fields.insert(SERVICES.to_owned());
            }
        }
        let origins = both
            .into_iter()
            .flat_map(|message| of(message).all_rows().map(move |row| ((message, row.target.clone()), origin(row))));
        Self {
            version,
            intervention_keys,
            agreeing_keys,
            decision_keys,
            referral_case_fields,
            written_case_fields: targets(Message::Case),
            written_service_fields: targets(Message::Service),
            origins: origins.collect(),
            identity: head.identity,
            service_fields: head.service,
            given_case_id: head.given_case_id,
            texts,
            tables,
            rules,
        }
    }

    const fn rules(&self, message: Message) -> &Rules {
        &self.rules[message as usize]
    }

    fn message(&self, message: Message, sources: Sources<'_>) -> Result<Personal<Document>, Vec<Gap>> {
        let mut gaps = Vec::new();
        let document = sources.document(self.rules(message), message, &mut gaps);
        if gaps.is_empty() { Ok(Personal::new(document)) } else { Err(sorted(gaps)) }
    }

    /// The case id that DTP gave, fit for a filter; as Primero writes it if it is a UUID.
    fn given_case_id(&self, rows: &[Document], gaps: &mut Vec<Gap>) -> Option<String> {
        let value = rows.first()?.get(&self.given_case_id).filter(|value| !is_missing(value))?;
        match value.as_str().filter(|text| is_identifier(text, Message::Case)) {
            Some(text) => Some(uuid(text).unwrap_or_else(|| text.to_owned())),
            None => {
                gaps.push(Gap { reason: Reason::InvalidValues, field: self.given_case_id.clone() });
                None
            }
        }
    }

    /// The gaps with those fields added on which the rows do not agree; nothing else is said about such a field.
    fn with_contradictions(&self, rows: &[Document], mut gaps: Vec<Gap>) -> Vec<Gap> {
        if let [first, others @ ..] = rows {
            let contradicts = |key: &&String| others.iter().any(|other| !same(first.get(*key), other.get(*key)));
            for key in self.agreeing_keys.iter().filter(contradicts) {
                gaps.retain(|gap| gap.field != *key);
                gaps.push(Gap { reason: Reason::RowsContradict, field: key.clone() });
            }
        }
        sorted(gaps)
    }
}

fn sorted(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_unstable();
    gaps.dedup();
    gaps
}

/// Whether two rows say the same in a field: a missing value equals a missing value, a reference is its name, a number its digits.
fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let said = |value: Option<&Value>| match value {
        Some(Value::Object(reference)) => reference.get("Name").filter(|name| !is_missing(name)).cloned(),
        Some(Value::Number(number)) => Some(Value::String(number.to_string())),
        Some(value) if is_missing(value) => None,
        other => other.cloned(),
    };
    one == other || said(one) == said(other)
}

fn origin(row: &Row) -> Origin {
    match &row.source {
        Source::Constant(_) | Source::Setting(_) | Source::Given(..) => Origin::Ours,
        Source::Part(part) if part.lookup.is_some() => Origin::Table,
        Source::Part(part) if part.uuid5.is_some() => Origin::Ours,
        Source::Part(part) => Origin::Theirs(part.name().to_owned()),
        Source::Join { parts, .. } => parts.first().map_or(Origin::Ours, |part| Origin::Theirs(part.name().to_owned())),
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

#[cfg(test)]
mod tests;
