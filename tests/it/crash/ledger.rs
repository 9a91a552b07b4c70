//! What was asked of the daemon in one play, and the judgement of what became of it, by what both simulators hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use referrald::sandbox::{
    Endpoint,
    primero::{CASE_WORKER, NewReferral, UNHCR},
    stage::Stage,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{play::Play, world::intervention};

/// What was asked, in order. People and numbers are counted, so that one ledger names nobody twice.
#[derive(Default)]
pub struct Ledger {
    people: u32,
    interventions: Vec<Intervention>,
    referrals: Vec<Referral>,
    decisions: Vec<Decision>,
    reports: Vec<String>,
}

struct Intervention {
    number: String,
    person: String,
    can_be_mapped: bool,
    /// DTP read 202.
    accepted: bool,
}

/// A referral that a case worker made.
struct Referral {
    id: Uuid,
    outgoing: String,
    consent: bool,
}

struct Decision {
    referral: Uuid,
    status: &'static str,
    accepted: bool,
}

/// What an intervention is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    Unknown,
    HasCase,
    /// Of a sex that no table knows.
    CannotBeMapped,
}

/// What the judge counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    pub services: usize,
    pub feedback: usize,
    pub referrals: usize,
    pub withheld: usize,
    pub decisions: usize,
    pub reports: usize,
    /// Messages that DTP has taken more than once: each time a crash lay between.
    pub repeats: usize,
}

impl Ledger {
    fn person(&mut self) -> String {
        self.people += 1;
        format!("989-TEST{:06}", self.people)
    }

    /// DTP posts an intervention. Whether it was taken shows in the status; `None`: nothing was answered.
    pub async fn intervene(&mut self, play: &Play, child: Child) -> Option<StatusCode> {
        let person = self.person();
        let number = format!("989-26-TEST-{:06}", self.people);
        if child == Child::HasCase {
            register(&play.stage, &person);
        }
        let can_be_mapped = child != Child::CannotBeMapped;
        let sex = if can_be_mapped { "125080000" } else { "0" };
        let row = intervention(&number, json!({ "individuals.progres_id": person, "individuals.progres_sex": sex }));
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] });
        let status = play.post(&body).await;
        self.interventions.push(Intervention { number, person, can_be_mapped, accepted: status == Some(StatusCode::ACCEPTED) });
        status
    }

    /// A case worker refers a child to UNHCR; without consent, it is withdrawn before anybody looks.
    pub fn refer(&mut self, stage: &Stage, consent: bool) -> Uuid {
        let person = self.person();
        let case = register(stage, &person);
        let staff = stage.primero.staff(CASE_WORKER);
        let item = json!({ "service_type": "alternative_care", "service_implementing_agency": "UNHCR" });
        let service = staff.add_service(case, item).to_string();
        let id = staff.refer(case, NewReferral::to(UNHCR).for_service("alternative_care", &service)).expect("it may be referred");
        if !consent {
            staff.set_consent(case, false);
        }
        let document = stage.primero.case(case).expect("it was registered");
        let outgoing = format!("{}#{}", document["case_id"].as_str().expect("a case has an id"), &service[service.len() - 12..]);
        self.referrals.push(Referral { id, outgoing, consent });
        id
    }

    /// UNHCR decides on a referral that it has got.
    pub async fn decide(&mut self, play: &Play, referral: Uuid, accepted: bool) -> Option<StatusCode> {
        let outgoing = &self.referrals.iter().find(|known| known.id == referral).expect("it was made here").outgoing;
        let (code, status) = if accepted { ("125080000", "accepted") } else { ("125080001", "rejected") };
        let item = json!({ "progres_orgreferralid": outgoing, "progres_reviewdecision": code });
        let taken = play.post(&json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": [item] })).await;
        self.decisions.push(Decision { referral, status, accepted: taken == Some(StatusCode::ACCEPTED) });
        taken
    }

    /// A case worker accepts an intervention that stands in Primero and that nobody has decided on; `false` if there is none.
    pub fn accept(&mut self, stage: &Stage) -> bool {
        let open = |known: &&Intervention| known.can_be_mapped && !self.reports.contains(&known.number);
        for known in self.interventions.iter().rev().filter(open) {
            for case in stage.primero.cases_with("unhcr_individual_no", &json!(known.person)) {
                for service in stage.primero.services(case) {
                    if service["progres_interventionnumber"] == known.number.as_str() {
                        let id = service["unique_id"].as_str().and_then(|id| id.parse().ok()).expect("a service has an id");
                        let status = json!({ "unhcr_referral_status": "accepted" });
                        stage.primero.staff(CASE_WORKER).edit_service(case, id, status);
                        self.reports.push(known.number.clone());
                        return true;
                    }
                }
            }
        }
        false
    }

    /// The referrals that DTP has got and UNHCR has not decided on.
    pub fn undecided(&self, stage: &Stage) -> Vec<Uuid> {
        let got: BTreeSet<String> =
            stage.dtp.bodies(Endpoint::DtpReferral).iter().filter_map(|body| Some(body["id"].as_str()?.to_owned())).collect();
        let open = self.referrals.iter().filter(|referral| {
            got.contains(&referral.outgoing) && !self.decisions.iter().any(|decision| decision.referral == referral.id)
        });
        open.map(|referral| referral.id).collect()
    }

    /// Says otherwise of a referral's consent: for those who judge the judge.
    pub fn claim_consent(&mut self, referral: Uuid, consent: bool) {
        self.referrals.iter_mut().filter(|known| known.id == referral).for_each(|known| known.consent = consent);
    }

    /// Expects no decision of UNHCR any more: likewise.
    pub fn forget_decisions(&mut self) {
        self.decisions.clear();
    }

    /// Judges, when all is settled and both walks have been made.
    pub fn judge(&self, play: &Play) -> Judged {
        let stage = &play.stage;
        let mut judged = Judged::default();
        let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for message in stage.dtp.bodies(Endpoint::DtpDecision) {
            let number = message["progres_interventionnumber"].as_str().expect("every message names its number").to_owned();
            told.entry(number).or_default().push(message);
        }
        for known in &self.interventions {
            self.judge_intervention(stage, known, &told.remove(&known.number).unwrap_or_default(), &mut judged);
        }
        assert_eq!(told.into_keys().collect::<Vec<_>>(), Vec::<String>::new(), "DTP was told of what nobody posted");

        let mut sent: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for message in stage.dtp.bodies(Endpoint::DtpReferral) {
            sent.entry(message["id"].as_str().expect("a referral has an id").to_owned()).or_default().push(message);
        }
        for Referral { outgoing, consent, .. } in &self.referrals {
            let mut messages = sent.remove(outgoing).unwrap_or_default();
            assert_eq!(!messages.is_empty(), *consent, "{outgoing}: with consent it reaches DTP, without it never leaves");
            messages.dedup();
            assert!(messages.len() <= 1, "{outgoing}: a repeat is the same message");
            judged.referrals += usize::from(*consent);
            judged.withheld += usize::from(!consent);
        }
        assert_eq!(sent.into_keys().collect::<Vec<_>>(), Vec::<String>::new(), "DTP got what nobody referred");
        for Decision { referral, status, accepted } in &self.decisions {
            let stored = stage.primero.referral(*referral).expect("it was made here");
            let is_open = !accepted && stored["status"] == "in_progress";
            assert!(is_open || stored["status"] == *status, "UNHCR's decision stands in Primero, not {}", stored["status"]);
            judged.decisions += 1;
        }
        judged.repeats = repeats(play);
        judged
    }

    fn judge_intervention(&self, stage: &Stage, known: &Intervention, told: &[Value], judged: &mut Judged) {
        let Intervention { number, person, can_be_mapped, accepted } = known;
        let cases = stage.primero.cases_with("unhcr_individual_no", &json!(person));
        assert!(cases.len() <= 1, "{number}: one case");
        let services = cases.iter().flat_map(|case| stage.primero.services(*case));
        let services = services.filter(|service| service["progres_interventionnumber"] == number.as_str()).count();
        assert!(services <= 1, "{number}: nothing twice in Primero, but {services} services");
        let (reports, mut feedback): (Vec<&Value>, Vec<&Value>) =
            told.iter().partition(|message| message["status"] == "acknowledged");
        let some = !feedback.is_empty();
        feedback.dedup();
        assert!(feedback.len() <= 1, "{number}: every feedback is alike: {feedback:?}");
        if *accepted {
            assert_eq!(services, usize::from(*can_be_mapped), "{number}: not lost, and nothing written that cannot be mapped");
            assert!(some, "{number}: DTP was told what became of it");
        } else {
            // DTP never read 202, so it may have been taken or not; if it was, it was done to the end.
            assert!(services == 0 || some, "{number}: done, so told");
        }
        let status = if *can_be_mapped { "Pending Acknowledgement" } else { "Delivery Fail" };
        assert!(feedback.iter().all(|message| message["status"] == status), "{number}: {feedback:?}");
        assert_eq!(!reports.is_empty(), self.reports.contains(number), "{number}: the decision was reported");
        let last = told.last().map(|message| &message["status"]);
        assert!(
            reports.is_empty() || last == Some(&json!("acknowledged")),
            "{number}: the decision is DTP's last word: {told:?}"
        );
        judged.services += services;
        judged.feedback += usize::from(some);
        judged.reports += usize::from(!reports.is_empty());
    }
}

/// Counts the repeats towards DTP. Without a crash between, its answer was neither lost nor impossible to record.
/// A decision that is told again behind a feedback of its number, as the last word, is none.
fn repeats(play: &Play) -> usize {
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    let mut feedbacks: BTreeMap<String, usize> = BTreeMap::new();
    let mut repeats = 0;
    for (place, message) in play.stage.dtp.received().into_iter().enumerate() {
        let life = play.lives_before(place);
        let before = feedbacks.entry(message.body["progres_interventionnumber"].to_string()).or_default();
        let behind = if message.body["status"] == "acknowledged" { *before } else { 0 };
        *before +=
            usize::from(["Pending Acknowledgement", "Delivery Fail"].iter().any(|status| message.body["status"] == *status));
        let message = format!("{:?} {behind} {}", message.endpoint, message.body);
        if let Some(before) = last.insert(message, life) {
            assert_ne!(before, life, "DTP got a message twice from one life of the daemon, and had answered");
            repeats += 1;
        }
    }
    repeats
}

fn register(stage: &Stage, person: &str) -> Uuid {
    stage.primero.staff(CASE_WORKER).register(json!({
        "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": person, "unhcr_id_no": "989-TESTGROUP", "status": "open",
        "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF",
        "consent_for_services": true, "disclosure_other_orgs": true,
    }))
}
