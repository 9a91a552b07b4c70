//! The judge, in the simulators' process: what both systems hold at the end, against what was posted and registered.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use referrald::sandbox::{
    Endpoint, Fault, Rule,
    dtp::SimulatedDtp,
    primero::{CHILD_PROTECTION, Document, SimulatedPrimero},
    stage::Stage,
};
use serde_json::Value;

use crate::post;

/// The same faults in each run, as far as the order of requests is the same.
const SEED: u64 = 20_261_122;

/// What is found, in the order in which it is said.
#[derive(Debug, Default)]
pub struct Finding {
    /// Interventions without a service in Primero or without feedback, and referrals with consent that DTP does not have.
    pub lost: usize,
    /// Interventions with more than one service in Primero.
    pub doubled: usize,
    /// Referrals without consent that DTP has.
    pub leaked: usize,
    /// Interventions whose feedbacks say different things.
    pub unlike: usize,
    /// Messages that DTP got more than once.
    pub repeats: usize,
}

impl Finding {
    /// As it travels from the simulators to the load.
    pub fn line(&self) -> String {
        format!("{} {} {} {} {}", self.lost, self.doubled, self.leaked, self.unlike, self.repeats)
    }

    /// As it comes.
    pub fn read(line: &str) -> Self {
        let mut numbers = line.split_whitespace().map(|number| number.parse().expect("the judge gives numbers"));
        let mut next = || numbers.next().expect("the judge gives five numbers");
        Self { lost: next(), doubled: next(), leaked: next(), unlike: next(), repeats: next() }
    }
}

/// Lets each fault meet so many of a hundred requests, chosen by chance: everything that does not stop an addressee by design.
pub fn spoil(stage: &Stage, percent: f64) {
    let (primero, dtp) = (&stage.primero, &stage.dtp);
    let kinds: [fn() -> Fault; 12] = [
        || Fault::status(500),
        || Fault::status(502),
        || Fault::status(503).retry_after("1"),
        || Fault::status(429).retry_after("1"),
        || Fault::status(500).after_effect(),
        Fault::html_page,
        // DTP promises nothing but its status, so these two come after it took the message.
        || Fault::empty().after_effect(),
        || Fault::wrong_json().after_effect(),
        Fault::truncated,
        Fault::stalled,
        Fault::cut,
        || Fault::cut().after_effect(),
    ];
    for (at, fault) in (0..).zip(kinds) {
        let by_chance = |of: u64| {
            let chance = Mutex::new(fastrand::Rng::with_seed(SEED + 2 * at + of));
            Rule::any().when(move |_| chance.lock().expect("nobody panics with it").f64() * 100.0 < percent)
        };
        primero.faults().plant(by_chance(0), fault());
        dtp.faults().plant(by_chance(1), fault());
    }
}

/// How many interventions have been answered; cheaply, as long as there are fewer messages than are waited for.
pub fn numbers(dtp: &SimulatedDtp, wanted: usize) -> usize {
    distinct(dtp, Endpoint::DtpDecision, "progres_interventionnumber", wanted)
}

/// Of how many children DTP has a referral; likewise.
pub fn persons(dtp: &SimulatedDtp, wanted: usize) -> usize {
    distinct(dtp, Endpoint::DtpReferral, "unhcr_individual_no", wanted)
}

fn distinct(dtp: &SimulatedDtp, endpoint: Endpoint, key: &str, wanted: usize) -> usize {
    let messages = dtp.log().met(endpoint);
    // Failed tries are counted as well, so that waiting for the last ones sees that something goes on.
    if messages < wanted { messages } else { by(dtp, endpoint, key).len() }
}

/// What changes as long as anything is under way: writes and messages, but not what is only read.
pub fn work(stage: &Stage) -> usize {
    let primero = [Endpoint::CreateCase, Endpoint::PatchCase].map(|endpoint| stage.primero.log().met(endpoint));
    primero.iter().sum::<usize>() + stage.dtp.log().met_in_all()
}

/// Looks at both systems. Interventions are the children from `first` on; referrals those from 0 on, the ones after them have no consent.
pub fn judge(stage: &Stage, interventions: usize, first: usize, referrals: usize) -> Finding {
    let mut finding = Finding::default();
    let feedback = by(&stage.dtp, Endpoint::DtpDecision, "progres_interventionnumber");
    let services = services(&stage.primero);
    for child in first..first + interventions {
        let children = services.get(&post::number(child)).map_or(&[][..], Vec::as_slice);
        finding.doubled += usize::from(children.len() > 1);
        let told = feedback.get(&post::number(child));
        finding.lost += usize::from(!children.contains(&post::person(child)) || told.is_none());
        finding.unlike += usize::from(told.is_some_and(|told| told.iter().any(|one| one != &told[0])));
        finding.repeats += told.map_or(0, |told| told.len() - 1);
    }
    let sent = by(&stage.dtp, Endpoint::DtpReferral, "unhcr_individual_no");
    let with_consent: Vec<String> = (0..referrals).map(post::person).collect();
    for person in &with_consent {
        finding.lost += usize::from(!sent.contains_key(person));
        finding.repeats += sent.get(person).map_or(0, |sent| sent.len() - 1);
    }
    finding.leaked = sent.len() - with_consent.iter().filter(|person| sent.contains_key(*person)).count();
    finding
}

/// The children on whose cases Primero holds a service, by the intervention's number.
fn services(primero: &SimulatedPrimero) -> BTreeMap<String, Vec<String>> {
    let text = |of: &Document, field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in primero.cases_with("module_id", &Value::from(CHILD_PROTECTION)) {
        let person = primero.case(case).map(|case| text(&case, "unhcr_individual_no")).unwrap_or_default();
        for service in primero.services(case) {
            all.entry(text(&service, "progres_interventionnumber")).or_default().push(person.clone());
        }
    }
    all
}

/// What DTP took, by a key of the message.
fn by(dtp: &SimulatedDtp, endpoint: Endpoint, key: &str) -> BTreeMap<String, Vec<Value>> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for body in dtp.bodies(endpoint) {
        let key = body[key].as_str().unwrap_or_default().to_owned();
        all.entry(key).or_default().push(body);
    }
    all
}

/// How long nothing may happen before a scene with faults counts as stuck: longer than any pause in it.
pub const PATIENCE: Duration = Duration::from_secs(180);
