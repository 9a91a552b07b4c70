//! Runs the examples that lie beside a mapping: invented people, and the whole documents that must come out.
//!
//! Used by the tests and by the operator's check. A failure names what differs and quotes nothing.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::NaiveDate;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Document, Gap, INTERVENTION_NUMBER, InterventionContext, Mapping, ReferralSources};
use crate::{
    personal::Personal,
    reason::Reason,
    referral::{Decision, InterventionNumber, codes},
};

codes! {
    /// What an example file is about.
    Kind {
        /// An intervention of DTP → a case and a service.
        Intervention = "intervention",
        /// A referral of Primero → a message to DTP.
        Referral = "referral",
        /// A decision made in Primero → a message to DTP.
        DecisionReport = "decision_report",
        /// A decision of DTP → a decision on a referral.
        ReferralDecision = "referral_decision",
        /// An intervention was delivered.
        Delivered = "delivered",
        /// An intervention could not be delivered.
        Failed = "failed",
    }
}

/// One `*.in.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    /// What every example of the file is given besides its own.
    #[serde(default)]
    with: Value,
    examples: Map<String, Value>,
}

/// One `*.out.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    examples: Map<String, Value>,
}

/// One example, written out.
struct Example {
    /// The file and the example's name.
    name: String,
    kind: Kind,
    with: Value,
    given: Value,
    expected: Value,
}

/// The examples of a mapping directory.
pub struct Examples(Vec<Example>);

/// Runs the examples of a mapping directory; how many were run, or everything that differs.
pub fn run(mapping: &Mapping, directory: &Path) -> Result<usize, Vec<String>> {
    Examples::read(directory)?.run(mapping)
}

impl Examples {
    /// Reads `examples/*.in.json` with `examples/*.out.json`, or says everything that is wrong with them.
    pub fn read(directory: &Path) -> Result<Self, Vec<String>> {
        let directory = directory.join("examples");
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let mut problems = Vec::new();
        let mut examples = Vec::new();
        for name in names.iter().filter_map(|name| name.strip_suffix(".in.json")) {
            if let Err(problem) = read_file(&directory, name, &mut examples, &mut problems) {
                problems.push(problem);
            }
        }
        for name in names.iter().filter_map(|name| name.strip_suffix(".out.json")) {
            if !names.contains(&format!("{name}.in.json")) {
                problems.push(format!("{}.out.json: there is no {name}.in.json", directory.join(name).display()));
            }
        }
        if examples.is_empty() && problems.is_empty() {
            problems.push(format!("{}: no examples (hint: without them the mapping cannot be checked)", directory.display()));
        }
        if problems.is_empty() { Ok(Self(examples)) } else { Err(problems) }
    }

    /// Compares whole documents; how many were run, or everything that differs.
    pub fn run(&self, mapping: &Mapping) -> Result<usize, Vec<String>> {
        let failures: Vec<String> = self.failures(mapping).collect();
        if failures.is_empty() { Ok(self.0.len()) } else { Err(failures) }
    }

    /// What differs, example by example.
    pub fn failures(&self, mapping: &Mapping) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|example| {
            let differences = match made(mapping, example.kind, &example.with, &example.given) {
                Ok(made) => differences(&example.expected, &made),
                Err(problem) => vec![problem],
            };
            (!differences.is_empty()).then(|| format!("{}: {}", example.name, differences.join("; ")))
        })
    }
}

fn read_file(directory: &Path, name: &str, examples: &mut Vec<Example>, problems: &mut Vec<String>) -> Result<(), String> {
    let path = directory.join(format!("{name}.in.json"));
    let file: File = read(&path)?;
    let expected: Expected = read(&directory.join(format!("{name}.out.json")))?;
    let allowed = || Kind::ALL.iter().map(|kind| kind.code()).collect::<Vec<_>>().join(", ");
    let kind = Kind::from_code(&file.kind)
        .ok_or_else(|| format!("{}: unknown `kind` (hint: allowed are {})", path.display(), allowed()))?;
    for example in file.examples.keys().chain(expected.examples.keys()).collect::<BTreeSet<_>>() {
        let name = format!("{name}: example \"{example}\"");
        match (written_out(&file.examples, example), written_out(&expected.examples, example)) {
            (Ok(given), Ok(expected)) => examples.push(Example { name, kind, with: file.with.clone(), given, expected }),
            (Err(problem), _) => problems.push(format!("{name}: in: {problem}")),
            (_, Err(problem)) => problems.push(format!("{name}: out: {problem}")),
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read(path).map_err(|error| format!("{}: cannot be read: {}", path.display(), error.kind()))?;
    // What serde would say may quote a value.
    serde_json::from_slice(&text).map_err(|error| format!("{}:{}: is not as expected", path.display(), error.line()))
}

/// An example in full. It may be written as `like` another one, with values `set` and others left out (`without`), by JSON pointer.
fn written_out(examples: &Map<String, Value>, name: &str) -> Result<Value, String> {
    let example = examples.get(name).ok_or("the example is missing")?;
    let Some(like) = example.get("like") else { return Ok(example.clone()) };
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Like {
        like: String,
        #[serde(default)]
        set: Map<String, Value>,
        #[serde(default)]
        without: Vec<String>,
    }
    let like: Like = match like {
        Value::String(_) => given(example)?,
        _ => return Err("`like` must name another example".to_owned()),
    };
    if examples.get(&like.like).is_none_or(|other| other.get("like").is_some()) {
        return Err("`like` must name an example that is written out".to_owned());
    }
    let mut full = written_out(examples, &like.like)?;
    for (pointer, value) in like.set {
        *slot(&mut full, &pointer)? = value;
    }
    for pointer in like.without {
        let (parent, key) = pointer.rsplit_once('/').ok_or("a pointer begins with /")?;
        let removed = slot(&mut full, parent)?.as_object_mut().and_then(|parent| parent.remove(&key.replace("~1", "/")));
        removed.ok_or_else(|| format!("nothing to leave out at {pointer}"))?;
    }
    Ok(full)
}

/// The place of a value, made if only its last key is missing.
fn slot<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, String> {
    let missing = || format!("nothing at {pointer}");
    let Some((parent, key)) = pointer.rsplit_once('/') else { return Ok(value) };
    let key = key.replace("~1", "/");
    let slot = match value.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(parent) => parent.entry(key).or_insert(Value::Null),
        Value::Array(parent) => {
            let at = if key == "-" { parent.len() } else { key.parse().map_err(|_| missing())? };
            if at == parent.len() {
                parent.push(Value::Null);
            }
            parent.get_mut(at).ok_or_else(missing)?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(missing()),
    };
    Ok(slot)
}

fn given<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|_| "the example is not as its kind expects".to_owned())
}

/// What the mapping makes of an example, `with` what the program would know besides; or what is wrong with the example.
pub fn made(mapping: &Mapping, kind: Kind, with: &Value, example: &Value) -> Result<Value, String> {
    match kind {
        Kind::Intervention => intervention(mapping, &given(with)?, given(example)?),
        Kind::Referral => referral(mapping, &given(with)?, given(example)?),
        Kind::DecisionReport => decision_report(mapping, given(example)?),
        Kind::ReferralDecision => Ok(mapping.referral_decision(&given(example)?).map_or(Value::Null, |decision| {
            let reason = decision.rejected_reason.map(Personal::into_revealed);
            json!({"decision": decision.decision, "rejected_reason": reason})
        })),
        Kind::Delivered => {
            let Delivered { number, case_id, intake_user, service } = given(example)?;
            let service = service.map(Personal::new);
            Ok(Value::Object(mapping.delivered_feedback(&self::number(&number)?, &case_id, &intake_user, service.as_ref())))
        }
        Kind::Failed => {
            let Failed { number, case_id, gaps } = given(example)?;
            let gap = |(reason, field): (String, String)| {
                Ok(Gap { reason: Reason::from_code(&reason).ok_or("unknown reason")?, field })
            };
            let gaps = gaps.into_iter().map(gap).collect::<Result<Vec<_>, String>>()?;
            Ok(Value::Object(mapping.failed_feedback(&self::number(&number)?, case_id.as_deref(), &gaps)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithIntervention {
    today: NaiveDate,
    intake_user: String,
    service_types: Vec<String>,
    #[serde(default)]
    agencies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: Vec<Document>,
}

fn intervention(mapping: &Mapping, with: &WithIntervention, example: Rows) -> Result<Value, String> {
    let number = match example.rows.first().and_then(|row| row.get(INTERVENTION_NUMBER)) {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(number)) => number.clone(),
        _ => return Err(format!("`{INTERVENTION_NUMBER}` is missing")),
    };
    let context = InterventionContext {
        intake_user: &with.intake_user,
        today: with.today,
        service_types: &with.service_types,
        agencies: &with.agencies,
    };
    Ok(match mapping.case_draft(&self::number(&number)?, &example.rows, context) {
        Ok(draft) => json!({
            "person_number": draft.person_number.reveal(),
            "given_case_id": draft.given_case_id.as_ref().map(Personal::reveal),
            "new_case": draft.new_case.reveal(),
            "if_empty": draft.if_empty.reveal(),
            "service": draft.service.reveal(),
        }),
        Err(gaps) => told(&gaps),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithReferral {
    administrator: Document,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    case: Document,
    service: Document,
    owner: Option<Document>,
}

fn referral(mapping: &Mapping, with: &WithReferral, example: Sources) -> Result<Value, String> {
    let (case, service) = (Personal::new(example.case), Personal::new(example.service));
    let owner = example.owner.map(Personal::new);
    let sources = ReferralSources { case: &case, service: &service, owner: owner.as_ref(), administrator: &with.administrator };
    Ok(mapping.referral(sources).map_or_else(|gaps| told(&gaps), |message| Value::Object(message.into_revealed())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    case: Document,
    service: Document,
    decision: String,
}

fn decision_report(mapping: &Mapping, example: Decided) -> Result<Value, String> {
    let decision = Decision::from_code(&example.decision).ok_or("a decision is `accepted` or `rejected`")?;
    let made = mapping.decision_report(&Personal::new(example.case), &Personal::new(example.service), decision);
    Ok(made.map_or_else(|gaps| told(&gaps), |message| Value::Object(message.into_revealed())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivered {
    number: String,
    case_id: String,
    intake_user: String,
    service: Option<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    number: String,
    case_id: Option<String>,
    /// Reason and field.
    gaps: Vec<(String, String)>,
}

fn number(text: &str) -> Result<InterventionNumber, String> {
    text.parse().map_err(|_| "the intervention number is malformed".to_owned())
}

fn told(gaps: &[Gap]) -> Value {
    json!({"gaps": gaps.iter().map(|gap| json!([gap.reason, gap.field])).collect::<Vec<_>>()})
}

/// Where two documents differ, by JSON pointer; never a value.
fn differences(expected: &Value, made: &Value) -> Vec<String> {
    fn compare(at: &str, expected: &Value, made: &Value, found: &mut Vec<String>) {
        match (expected, made) {
            (Value::Object(expected), Value::Object(made)) => {
                for key in expected.keys().chain(made.keys()).collect::<BTreeSet<_>>() {
                    let at = format!("{at}/{key}");
                    match (expected.get(key), made.get(key)) {
                        (Some(expected), Some(made)) => compare(&at, expected, made, found),
                        (Some(_), None) => found.push(format!("{at} is missing")),
                        (None, _) => found.push(format!("{at} is unexpected")),
                    }
                }
            }
            (expected, made) if expected == made => {}
            _ => found.push(format!("{} differs", if at.is_empty() { "the whole" } else { at })),
        }
    }
    let mut found = Vec::new();
    compare("", expected, made, &mut found);
    found
}
