//! Rules + document → document + gaps: how one side's words become the other's, as data that people sign.
//!
//! Pure after loading. It knows field names, never a network; a gap names a field, never a value.
//! The rules are a closed set ([`rules`]); nothing in a mapping is a program.

pub mod examples;
pub mod rules;
pub mod table;

mod approval;
mod arrival;
mod check;
mod compile;
mod doubts;
mod evaluate;
mod file;
mod known;
mod layers;
mod load;
mod moment;
mod profiles;
mod reasons;
mod shapes;
mod text;
mod wording;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::shapes::{
    CaseDraft, Gap, IdentityFields, InterventionContext, Origin, Problems, ReferralDecision, ReferralSources, ServiceFields,
};
pub use self::{
    approval::{Approval, Unapproved},
    file::{Finding, Grade, Place},
    load::RULE_FILES,
};
use self::{
    evaluate::{Sources, is_identifier, is_missing, uuid},
    file::Findings,
    known::Known,
    load::Said,
    reasons::ReasonTexts,
    rules::{Message, Profile, Row, Rules, Write},
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
/// The section that takes fields away from some services.
const PROFILE: &str = "profile";
/// Primero's name for the services of a case, and for the id of each.
const SERVICES: &str = "services_section";
const UNIQUE_ID: &str = "unique_id";
/// The targets of a decision that is recorded on a referral.
const STATUS: &str = "status";
const REJECTED_REASON: &str = "rejected_reason";

/// A flat or nested JSON object of a record.
pub type Document = Map<String, Value>;

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    /// Version and the beginning of the digest.
    version: String,
    /// The version alone.
    plain_version: String,
    digest: String,
    approval: Option<Approval>,
    /// The base, as the programme names it.
    base: String,
    /// The files that were read, by the number in a [`Place`].
    files: Vec<PathBuf>,
    /// By [`Message`], in the order of its definition.
    rules: [Rules; Message::ALL.len()],
    identity: IdentityFields,
    service_fields: ServiceFields,
    given_case_id: String,
    texts: ReasonTexts,
    tables: Vec<Arc<Table>>,
    profiles_in: Vec<Profile>,
    profiles_out: Vec<Profile>,
    removed: Vec<Removed>,
    said: Said,
    known: Known,
}

/// A row or block of the base that a programme has taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The message in which it would stand.
    pub message: Message,
    /// The field, or the name of the block.
    pub target: String,
    /// Why.
    pub reason: String,
}

impl Mapping {
    /// Reads, compiles and checks a programme's directory with its base; all problems at once.
    pub fn load(directory: &Path) -> Result<Self, Problems> {
        let (mapping, findings) = Self::inspect(directory);
        let problems = || findings.iter().filter(|finding| finding.grade == Grade::Problem).map(ToString::to_string).collect();
        mapping.ok_or_else(|| Problems(problems()))
    }

    /// The same, with everything that is worth knowing, in file order; there is no mapping if a problem is among it.
    #[must_use]
    pub fn inspect(directory: &Path) -> (Option<Self>, Vec<Finding>) {
        let findings = Findings::default();
        let mapping = load::load(directory, &findings);
        (mapping, findings.into_list())
    }

    /// Version and the beginning of the digest, as it stands in the activity log: `1+3fa9c1d2e0b4`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What both sides call this state of the mapping.
    #[must_use]
    pub fn plain_version(&self) -> &str {
        &self.plain_version
    }

    /// Where something stands, as people write it: `mappings/gambella/tables/service-in.csv:3`.
    #[must_use]
    pub fn written_at(&self, place: Place) -> String {
        format!("{}:{}", self.files[place.file].display(), place.line)
    }

    /// The file in which something stands.
    #[must_use]
    pub fn file_of(&self, place: Place) -> &Path {
        &self.files[place.file]
    }

    /// The directory of the base over which the programme's directory is laid.
    #[must_use]
    pub fn base_of(&self, directory: &Path) -> PathBuf {
        directory.join(&self.base)
    }

    /// What the programme has taken away of the base.
    #[must_use]
    pub fn removed(&self) -> &[Removed] {
        &self.removed
    }

    /// The texts that tell DTP why a delivery failed.
    pub fn texts(&self) -> impl Iterator<Item = (Reason, &str)> {
        self.texts.iter()
    }

    /// The keys of an intervention that are read; everything else is dropped before anything is stored.
    #[must_use]
    pub const fn intervention_keys(&self) -> &BTreeSet<String> {
        &self.known.intervention_keys
    }

    /// The keys of a decision of DTP that are read.
    #[must_use]
    pub const fn decision_keys(&self) -> &BTreeSet<String> {
        &self.known.decision_keys
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
        &self.known.written_case_fields
    }

    /// The fields of a service item that flow 1 writes.
    #[must_use]
    pub const fn written_service_fields(&self) -> &BTreeSet<String> {
        &self.known.written_service_fields
    }

    /// Every row with its documentation, in the order of the files.
    pub fn rows(&self) -> impl Iterator<Item = (Message, &Row)> {
        Message::ALL.iter().flat_map(|message| self.rules(*message).all_rows().map(|row| (*message, row)))
    }

    /// The rows and blocks of a message as they are written, in a fixed spelling.
    #[must_use]
    pub fn written(&self, message: Message) -> &[Value] {
        let (_, section) = message.written_in();
        self.said.get(&(section, message.code())).map_or(&[], Vec::as_slice)
    }

    /// The profiles, likewise.
    pub fn written_profiles(&self) -> impl Iterator<Item = &Value> {
        self.said.iter().filter(|((section, _), _)| *section == PROFILE).flat_map(|(_, profiles)| profiles)
    }

    /// The key under which proGres names a case of Primero.
    #[must_use]
    pub fn names_case_by(&self) -> &str {
        &self.given_case_id
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
            agencies: context.agencies,
            profile: self.profile_in(rows),
            ..Sources::default()
        };
        let mut gaps = Vec::new();
        let mut new_case = Document::new();
        let mut if_empty = Document::new();
        for row in self.rules(Message::Case).rows.iter().filter(|row| sources.writes(row, Message::Case)) {
            let Some(value) = sources.value(row, Message::Case, &mut gaps) else { continue };
            if row.write == Write::IfEmpty {
                if_empty.insert(row.target.clone(), value.clone());
            }
            new_case.insert(row.target.clone(), value);
        }
        let service = sources.document(self.rules(Message::Service), Message::Service, &mut gaps);
        let given_case_id = self.given_case_id(rows, &mut gaps);
        let gaps = self.with_contradictions(rows, sources.profile, gaps);

        let text = |document: &Document, field: &str| document.get(field).and_then(Value::as_str).map(str::to_owned);
        let person_number = text(&new_case, &self.identity.person_number);
        let service_id = text(&service, UNIQUE_ID).and_then(|id| Uuid::try_parse(&id).ok());
        // Loading made sure that both are written; without them nothing may be written at all.
        let (Some(person_number), Some(service_id), true) = (person_number, service_id, gaps.is_empty()) else {
            return Err(gaps);
        };
        Ok(CaseDraft {
            person_number: Personal::new(person_number),
            given_case_id: given_case_id.map(Personal::new),
            new_case: Personal::new(new_case),
            if_empty: Personal::new(if_empty),
            service: Personal::new(service),
            service_id,
        })
    }

    /// Flow 2: case fields that the mapping reads (Primero's `fields=`).
    #[must_use]
    pub const fn referral_case_fields(&self) -> &BTreeSet<String> {
        &self.known.referral_case_fields
    }

    /// Flow 1: case fields that the report of a decision reads.
    #[must_use]
    pub fn decision_case_fields(&self) -> BTreeSet<String> {
        let read = self.rules(Message::DecisionReport).read_keys();
        read.filter(|(of, _)| *of == rules::Record::Case).map(|(_, key)| key.to_owned()).collect()
    }

    /// Flow 2: a referral in DTP's words, or all gaps.
    pub fn referral(&self, sources: ReferralSources<'_>) -> Result<Personal<Document>, Vec<Gap>> {
        let sources = Sources {
            case: Some(sources.case.reveal()),
            service: Some(sources.service.reveal()),
            owner: sources.owner.map(Personal::reveal),
            administrator: Some(sources.administrator),
            profile: self.profile_out(sources.service.reveal()),
            ..Sources::default()
        };
        self.message(Message::Referral, sources)
    }

    /// Whether the feedback about a delivery reads the service as it stands in Primero.
    #[must_use]
    pub fn delivered_reads_service(&self) -> bool {
        self.rules(Message::Delivered).read_keys().next().is_some()
    }

    /// Flow 1: what DTP is told when an intervention was delivered. `service` is read only if the mapping asks for it.
    #[must_use]
    pub fn delivered_feedback(
        &self,
        number: &InterventionNumber,
        case_id: &str,
        intake_user: &str,
        service: Option<&Personal<Document>>,
    ) -> Document {
        let sources = Sources {
            service: service.map(Personal::reveal),
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
        let origin = |message, field: String| self.known.origins.get(&(message, field)).cloned();
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

    /// The rules of a message, as the files give them.
    #[must_use]
    pub const fn rules(&self, message: Message) -> &Rules {
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
    fn with_contradictions(&self, rows: &[Document], profile: Option<&Profile>, mut gaps: Vec<Gap>) -> Vec<Gap> {
        if let [first, others @ ..] = rows {
            let contradicts = |key: &&String| others.iter().any(|other| !same(first.get(*key), other.get(*key)));
            let read = |key: &&String| profile.is_none_or(|profile| profile.keys.contains(*key));
            for key in self.known.agreeing_keys.iter().filter(read).filter(contradicts) {
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

#[cfg(test)]
mod tests;
