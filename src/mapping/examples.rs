//! Runs the examples that lie beside a mapping: invented people, and the whole documents that must come out.
//!
//! Used by the tests and by the operator's checks. A finding names what differs and quotes nothing; who asks for the values gets them.

mod broken;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use self::broken::differences;
pub use self::broken::{Broken, Difference, Why};
use super::{Document, Finding, Gap, Grade, INTERVENTION_NUMBER, InterventionContext, Mapping, ReferralSources};
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
    /// The file that says what must come out, and the line where it does.
    file: PathBuf,
    line: usize,
    name: String,
    kind: Kind,
    with: Value,
    given: Value,
    expected: Value,
}

/// The examples of a mapping directory.
pub struct Examples {
    examples: Vec<Example>,
    /// What is wrong with the files themselves.
    problems: Vec<Finding>,
}

/// What came of the examples of a mapping directory.
pub struct Ran {
    /// The files, each with the number of examples that hold and of those that do not.
    pub files: BTreeMap<PathBuf, (usize, usize)>,
    /// What is wrong with the files themselves.
    pub problems: Vec<Finding>,
    /// The examples that do not hold.
    pub broken: Vec<Broken>,
}

impl Ran {
    /// How many were tried.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.files.values().map(|(held, failed)| held + failed).sum()
    }

    /// Everything that is wrong, without a value; empty if all examples hold.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.problems.clone();
        findings.extend(self.broken.iter().map(Broken::finding));
        findings.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        findings
    }
}

/// Runs the examples of a mapping directory.
#[must_use]
pub fn run(mapping: &Mapping, directory: &Path) -> Ran {
    let examples = Examples::read(directory);
    let broken: Vec<Broken> = examples.failures(mapping).collect();
    let mut files: BTreeMap<PathBuf, (usize, usize)> = BTreeMap::new();
    for example in &examples.examples {
        files.entry(example.file.clone()).or_default().0 += 1;
    }
    for example in &broken {
        let (held, failures) = files.entry(example.file.clone()).or_default();
        *held -= 1;
        *failures += 1;
    }
    Ran { files, problems: examples.problems, broken }
}

impl Examples {
    /// Reads `examples/*.in.json` with `examples/*.out.json`; what is wrong with one of them hides no other.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        let directory = directory.join("examples");
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let mut read = Self { examples: Vec::new(), problems: Vec::new() };
        for name in names.iter().filter_map(|name| name.strip_suffix(".in.json")) {
            if let Err(problem) = read.file(&directory, name) {
                read.problems.push(problem);
            }
        }
        for name in names.iter().filter_map(|name| name.strip_suffix(".out.json")) {
            if !names.contains(&format!("{name}.in.json")) {
                let said = format!("there is no {name}.in.json (hint: it says what is given; write it, or remove this file)");
                read.problems.push(problem(&directory.join(format!("{name}.out.json")), 0, said));
            }
        }
        if read.examples.is_empty() && read.problems.is_empty() {
            read.problems.push(problem(
                &directory,
                0,
                "no examples (hint: without them the mapping cannot be checked)".to_owned(),
            ));
        }
        read
    }

    /// Compares whole documents: what does not hold, example by example.
    pub fn failures(&self, mapping: &Mapping) -> impl Iterator<Item = Broken> {
        self.examples.iter().filter_map(|example| {
            let why = match made(mapping, example.kind, &example.with, &example.given) {
                Ok(made) => Why::Differs(differences(&example.expected, &made)),
                Err(problem) => Why::Unusable(problem),
            };
            let Example { file, line, name, kind, .. } = example;
            let holds = matches!(&why, Why::Differs(differences) if differences.is_empty());
            (!holds).then(|| Broken { file: file.clone(), line: *line, example: name.clone(), kind: *kind, why })
        })
    }

    fn file(&mut self, directory: &Path, name: &str) -> Result<(), Finding> {
        let paths = ["in", "out"].map(|side| directory.join(format!("{name}.{side}.json")));
        let (given_text, File { kind, with, examples }): (String, File) = read(&paths[0])?;
        let (expected_text, expected): (String, Expected) = read(&paths[1])?;
        let allowed = || Kind::ALL.iter().map(|kind| kind.code()).collect::<Vec<_>>().join(", ");
        let kind = Kind::from_code(&kind)
            .ok_or_else(|| problem(&paths[0], 0, format!("unknown `kind` (hint: allowed are {})", allowed())))?;
        for name in examples.keys().chain(expected.examples.keys()).collect::<BTreeSet<_>>() {
            let line = line_of(name, &expected_text);
            let wrong = |at: usize, line: usize, what: String| {
                problem(&paths[at], line, format!("example \"{name}\": {what} (hint: compare with the examples around it)"))
            };
            match (written_out(&examples, name), written_out(&expected.examples, name)) {
                (Ok(given), Ok(expected)) => {
                    let (file, name, with) = (paths[1].clone(), name.clone(), with.clone());
                    self.examples.push(Example { file, line, name, kind, with, given, expected });
                }
                (Err(what), _) => self.problems.push(wrong(0, line_of(name, &given_text), what)),
                (_, Err(what)) => self.problems.push(wrong(1, line, what)),
            }
        }
        Ok(())
    }
}

fn problem(file: &Path, line: usize, said: String) -> Finding {
    Finding { grade: Grade::Problem, file: file.to_owned(), line, said }
}

/// The line where an example begins; 0 if it is not there.
fn line_of(name: &str, text: &str) -> usize {
    let key = format!("{}:", Value::from(name));
    text.lines().position(|line| line.trim_start().starts_with(&key)).map_or(0, |at| at + 1)
}

/// A file and its text.
fn read<T: DeserializeOwned>(path: &Path) -> Result<(String, T), Finding> {
    let text = fs::read_to_string(path)
        .map_err(|error| problem(path, 0, format!("cannot be read: {} (hint: it is JSON in UTF-8)", error.kind())))?;
    // What serde would say may quote a value.
    let read = serde_json::from_str(&text).map_err(|error| {
        let said = "is not as expected (hint: JSON with `examples`, and in the file of what is given `kind`)";
        problem(path, error.line(), said.to_owned())
    })?;
    Ok((text, read))
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
