//! The whole thing on one machine: invented people, all four flows, told as it happens in the words of a case worker.
//!
//! It plays both sides; what is between them is the real daemon. Nothing of it leaves the loopback, and nothing stays behind.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    primero::{CASE_WORKER, NewReferral},
    stage::{INBOX_KEY, Site, Stage},
};
use crate::{
    activity::{Activity, Event},
    clock::Clock,
    daemon::Daemon,
    referral::{State, Walk},
    schedule::Ticker,
    spool::list::Entry,
    words,
    zone::Zone,
};

/// What is left on the operator's list when all has gone as it should: kind and reason, sorted.
const EXPECTED_LIST: [&str; 5] = [
    "held consent_exception",
    "held several",
    "withdrawn_after_send referral_revoked",
    "withheld consent_missing",
    "not_taken not_taken",
];
/// What DTP has been told in the end, by status.
const EXPECTED_FEEDBACK: [(&str, usize); 4] =
    [("Delivery Fail", 1), ("Pending Acknowledgement", 3), ("acknowledged", 1), ("rejected", 1)];
/// How many referrals have reached DTP.
const EXPECTED_REFERRALS: usize = 2;

/// Why the sandbox could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// No socket, no folder.
    #[error("the sandbox could not be set up: {0}")]
    Stage(#[from] std::io::Error),
    /// The settings that we wrote ourselves.
    #[error("the sandbox's own settings are wrong:\n{0}")]
    Settings(#[from] crate::config::Problems),
    /// The daemon did not start.
    #[error("the daemon did not start: {0}")]
    Start(#[from] crate::daemon::StartError),
    /// The state.
    #[error(transparent)]
    State(#[from] crate::spool::Error),
    /// A walk.
    #[error("a walk through the simulated Primero failed: {0}")]
    Walk(#[from] crate::walks::WalkError),
    /// The inbox did not answer.
    #[error("the inbox did not take a post: {0}")]
    Post(String),
    /// Something did not go as it should.
    #[error("not everything went as it should:\n{0}")]
    NotAsExpected(String),
}

/// Plays everything. With `once` it ends with the tally; else it stays and takes posts until `stop`.
pub async fn play(
    programme: &str,
    once: bool,
    out: Arc<Mutex<dyn Write + Send>>,
    stop: CancellationToken,
) -> Result<(), PlayError> {
    let stage = Stage::set_for(Clock::system(), programme).await?;
    let settings = stage.settings(&[
        ("REFERRALD__SCHEDULE__REFERRALS", "*/10 * * * * *"),
        ("REFERRALD__SCHEDULE__DECISIONS", "5/10 * * * * *"),
    ])?;
    let zone = settings.schedule.time_zone;
    let stage_out = Arc::clone(&out);
    let listener = Box::new(move |lines: &[(DateTime<Utc>, Activity)]| {
        let mut out = stage_out.lock().unwrap_or_else(PoisonError::into_inner);
        for (time, line) in lines {
            tell(&mut *out, *time, line, zone);
        }
    });
    // While it is played, walks run when the story wants them; afterwards by their timetable.
    let (knock, ticks) = tokio::sync::mpsc::channel(1);
    let daemon = Daemon::start(settings, stage.clock.clone(), listener, ticks).await?;
    let story = Story { stage: &stage, daemon: &daemon, out: &out, http: reqwest::Client::new() };
    let result = story.tell_all().await;
    if !once && result.is_ok() {
        story.stay();
        if let Ok((ticker, mut knocks)) = Ticker::start(stage.clock.clone()).await {
            loop {
                tokio::select! {
                    Some(()) = knocks.recv() => drop(knock.try_send(())),
                    () = stop.cancelled() => break,
                }
            }
            ticker.shut_down().await;
        }
    }
    drop(knock);
    daemon.stop().await;
    result
}

struct Story<'a> {
    stage: &'a Stage,
    daemon: &'a Daemon,
    out: &'a Arc<Mutex<dyn Write + Send>>,
    http: reqwest::Client,
}

impl Story<'_> {
    async fn tell_all(&self) -> Result<(), PlayError> {
        self.say("referrald sandbox: a simulated Primero (CPIMS+), a simulated DTP (UNHCR), the real referrald between them.");
        self.say("Every person here is invented; nothing leaves this machine.");
        self.unhcr_refers().await?;
        self.case_workers_decide().await?;
        let (first, second) = self.case_workers_refer().await?;
        self.unhcr_decides(first).await?;
        self.a_referral_is_revoked(second).await?;
        self.close().await
    }

    async fn unhcr_refers(&self) -> Result<(), PlayError> {
        let primero = &self.stage.primero;
        let worker = primero.staff(CASE_WORKER);
        worker.register(person(2, "Testus", &[]));
        worker.register(person(6, "Testa", &[]));
        worker.register(person(6, "Testa", &[]));

        self.chapter("UNHCR refers children to Primero");
        self.say("SANDBOX-0001  a child whom Primero does not know");
        self.say("SANDBOX-0002  a child whom Primero knows");
        self.say("SANDBOX-0003  a child with two languages, so two rows");
        self.say("SANDBOX-0004  no date of birth and a service that was never agreed: it cannot be mapped");
        self.say("SANDBOX-0006  a number that two cases carry");
        let site = &self.stage.site;
        let mut two = [intervention(site, 3, "Testine"), intervention(site, 3, "Testine")];
        two[0]["languages.progres_languagecodeid"] = json!({ "Name": "Nuer" });
        two[1]["languages.progres_languagecodeid"] = json!({ "Name": "Anyuak" });
        let [first_row, second_row] = two;
        let mut unmappable = intervention(site, 4, "Testo");
        unmappable["individuals.progres_dateofbirth"] = Value::Null;
        unmappable["interventiontype.progres_description"] = json!("Something Else");
        let mut rows = vec![
            intervention(site, 1, "Testina"),
            intervention(site, 2, "Testus"),
            first_row,
            second_row,
            unmappable,
            intervention(site, 6, "Testa"),
            json!("not an intervention at all"),
        ];
        if self.asks_agencies() {
            self.say("SANDBOX-0007  from an agency that has not signed");
            let mut unsigned = intervention(site, 7, "Testie");
            unsigned["user.progres_partner"] = json!({ "Name": "An agency that has not signed" });
            rows.push(unsigned);
        }
        self.post("PrimeroOutgoingReferral", json!(rows)).await?;
        self.chapter("UNHCR sends SANDBOX-0001 once more: nothing is done twice");
        self.post("PrimeroOutgoingReferral", json!([intervention(site, 1, "Testina")])).await
    }

    async fn case_workers_decide(&self) -> Result<(), PlayError> {
        self.chapter("Case workers decide: SANDBOX-0001 is accepted, SANDBOX-0003 is rejected");
        for (child, change) in [
            (1, json!({ "unhcr_referral_status": "accepted" })),
            (3, json!({ "unhcr_referral_status": "rejected", "unhcr_referral_rejection_reason": "No place this month" })),
        ] {
            let number = json!(person_number(child));
            let cases = self.stage.primero.cases_with("unhcr_individual_no", &number);
            for (case, service) in cases.into_iter().flat_map(|case| self.services(case).map(move |service| (case, service))) {
                self.stage.primero.staff(CASE_WORKER).edit_service(case, service, change.clone());
            }
        }
        self.walk(Walk::Decisions).await
    }

    fn services(&self, case: Uuid) -> impl Iterator<Item = Uuid> + use<> {
        let ids = |service: super::primero::Document| service.get("unique_id")?.as_str()?.parse().ok();
        self.stage.primero.services(case).into_iter().filter_map(ids)
    }

    async fn case_workers_refer(&self) -> Result<(Uuid, Uuid), PlayError> {
        self.chapter("Case workers refer children to UNHCR: two with consent, one without, one by exception");
        let consent = &self.stage.site.consent;
        let first = self.refer(11, "Testella", consent, false);
        let second = self.refer(12, "Testolo", consent, false);
        self.refer(14, "Testarda", &[], true);
        // Primero lets nobody refer without consent; here it was given, and taken back before we looked.
        let (without, _) = self.refer(13, "Testeno", consent, false);
        self.stage.primero.staff(CASE_WORKER).set_consent(without, false);
        self.walk(Walk::Referrals).await?;
        Ok((first.1, second.1))
    }

    fn refer(&self, child: u32, name: &str, consent: &[String], by_exception: bool) -> (Uuid, Uuid) {
        let worker = self.stage.primero.staff(CASE_WORKER);
        let site = &self.stage.site;
        let service_type = site.service_types_out.first().map_or("", String::as_str);
        let case = worker.register(person(child, name, consent));
        let service = worker.add_service(
            case,
            json!({
                "service_type": service_type, "service_implementing_agency": site.implementing_agencies.first(),
                "service_response_type": "service_provision",
            }),
        );
        let recipient = site.recipients.first().map_or("", String::as_str);
        let referral = NewReferral::to(recipient).for_service(service_type, &service.to_string());
        let referral = if by_exception { referral.overriding_consent() } else { referral };
        let id = worker.refer(case, referral).expect("the simulated Primero lets a case worker refer");
        (case, id)
    }

    async fn unhcr_decides(&self, referral: Uuid) -> Result<(), PlayError> {
        self.chapter("UNHCR accepts the first of them");
        let id = self.outgoing_id(referral);
        let item = json!({ "progres_orgreferralid": id, "progres_reviewdecision": "125080000" });
        self.post("PrimeroIncomingReferralDecision", json!([item])).await
    }

    /// The id under which DTP knows a referral, as DTP received it.
    fn outgoing_id(&self, referral: Uuid) -> Value {
        let suffix = self.stage.primero.referral(referral).and_then(|referral| {
            let service = referral.get("service_record_id")?.as_str()?;
            service.get(service.len().checked_sub(12)?..).map(str::to_owned)
        });
        let suffix = suffix.unwrap_or_default();
        let sent = self.stage.dtp.bodies(super::Endpoint::DtpReferral);
        let id = sent.iter().map(|message| &message["id"]).find(|id| id.as_str().is_some_and(|id| id.ends_with(&suffix)));
        id.cloned().unwrap_or_default()
    }

    async fn a_referral_is_revoked(&self, referral: Uuid) -> Result<(), PlayError> {
        self.chapter("The second is revoked in Primero, after it has reached UNHCR");
        self.stage.primero.staff(CASE_WORKER).revoke(referral);
        self.walk(Walk::Referrals).await
    }

    async fn close(&self) -> Result<(), PlayError> {
        let programme = &self.daemon.programme();
        let (tally, entries, unsettled) =
            programme.spool.read(|reading| Ok((reading.tally()?, reading.open_entries()?, reading.unsettled()?)))?;
        self.chapter("What was done");
        for (errand, state, count) in &tally {
            self.say(&format!("{count:>4}  {} {}", errand.replace('_', " "), state.replace('_', " ")));
        }
        self.chapter("The operator's list: what a person must do");
        for entry in &entries {
            self.entry(entry);
        }
        let mut problems = Vec::new();
        for delivery in unsettled.iter().filter(|delivery| delivery.state != State::Held) {
            problems
                .push(format!("delivery {} ({}) is neither settled nor on the operator's list", delivery.id, delivery.errand));
        }
        let mut list: Vec<_> = entries.iter().map(code).collect();
        list.sort();
        let mut expected = EXPECTED_LIST;
        expected.sort_unstable();
        if list != expected {
            problems.push(format!("the operator's list is {list:?} and should be {expected:?}"));
        }
        let mut feedback = BTreeMap::new();
        for message in self.stage.dtp.bodies(super::Endpoint::DtpDecision) {
            *feedback.entry(message["status"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        let mut expected: BTreeMap<_, _> =
            EXPECTED_FEEDBACK.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
        if self.asks_agencies() {
            *expected.entry("Delivery Fail".to_owned()).or_insert(0) += 1;
        }
        if feedback != expected {
            problems.push(format!("DTP was told {feedback:?} and should have been told {expected:?}"));
        }
        let referrals = self.stage.dtp.bodies(super::Endpoint::DtpReferral).len();
        if referrals != EXPECTED_REFERRALS {
            problems.push(format!("{referrals} referrals reached DTP and {EXPECTED_REFERRALS} should have"));
        }
        if problems.is_empty() {
            self.say("");
            self.say("All errands are settled, or wait on the operator's list as they should.");
            Ok(())
        } else {
            Err(PlayError::NotAsExpected(problems.join("\n")))
        }
    }

    fn entry(&self, entry: &Entry) {
        let about = entry
            .intervention
            .as_ref()
            .map(|number| format!("referral from UNHCR {number}"))
            .or_else(|| entry.case.as_ref().map(|case| format!("case {case}")))
            .unwrap_or_else(|| "posts".to_owned());
        self.say(&format!("{:>4}  {about}: {}", entry.id, entry.kind.code().replace('_', " ")));
        if let Some(reason) = entry.reason {
            let words = words::words(reason);
            self.say(&format!("      {}", words.happened));
            self.say(&format!("      To do: {}", words.to_do.replace("ID", &entry.id.to_string())));
        }
    }

    /// Whether only agencies that have signed may ask.
    fn asks_agencies(&self) -> bool {
        !self.stage.site.agencies.is_empty()
    }

    fn stay(&self) {
        let inbox = format!("http://{}/inbox", self.daemon.inbox);
        self.chapter("The sandbox stays up; end it with Ctrl-C");
        self.say(&format!("Inbox:           {inbox}"));
        self.say(&format!("Key:             {INBOX_KEY}"));
        self.say(&format!("The page:        http://{}/ (for machines: /readyz and /metrics)", self.daemon.admin));
        self.say(&format!(
            "Primero:         {}/api/v2/cases (user `bridge`, password `sandbox-password`)",
            self.stage.primero.url()
        ));
        self.say("Post a child of your own:");
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [intervention(&self.stage.site, 99, "Testerina")] });
        self.say(&format!("curl -si {inbox} -H 'x-api-key: {INBOX_KEY}' -H 'content-type: application/json' -d '{body}'"));
    }

    async fn post(&self, request_type: &str, items: Value) -> Result<(), PlayError> {
        let body = json!({ "request_type": request_type, "interventions": items });
        let url = format!("http://{}/inbox", self.daemon.inbox);
        let request = self.http.post(url).header("x-api-key", INBOX_KEY).json(&body);
        let status = request.send().await.map_err(|_| PlayError::Post("no answer".to_owned()))?.status();
        if status.as_u16() != 202 {
            return Err(PlayError::Post(status.to_string()));
        }
        self.daemon.idle().await;
        Ok(())
    }

    async fn walk(&self, walk: Walk) -> Result<(), PlayError> {
        self.daemon.walk(walk).await?;
        self.daemon.idle().await;
        Ok(())
    }

    fn chapter(&self, title: &str) {
        self.say("");
        self.say(&format!("== {title}"));
    }

    fn say(&self, text: &str) {
        // A reader who has gone away must not stop the sandbox from cleaning up.
        let _ = writeln!(self.out.lock().unwrap_or_else(PoisonError::into_inner), "{text}");
    }
}

fn tell(out: &mut dyn Write, time: DateTime<Utc>, line: &Activity, zone: Zone) {
    let found_nothing = line.event == Event::PollFinished && line.count == Some(0);
    if !found_nothing && !matches!(line.event, Event::PollStarted | Event::Started | Event::ShutDown) {
        let _ = writeln!(out, "  {}  {}", time.with_timezone(&zone).format("%H:%M:%S"), words::sentence(line, zone));
    }
}

fn code(entry: &Entry) -> String {
    entry.reason.map_or_else(|| entry.kind.to_string(), |reason| format!("{} {reason}", entry.kind))
}

fn person_number(child: u32) -> String {
    format!("989-SANDBOX{child:04}")
}

/// An invented child as a case worker would register it.
fn person(child: u32, name: &str, consent: &[String]) -> Value {
    let mut document = json!({
        "name_first": name, "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": person_number(child), "unhcr_id_no": "989-SANDBOXGROUP", "status": "open",
        "owned_by": CASE_WORKER,
    });
    for field in consent {
        document[field] = json!(true);
    }
    document
}

/// An invented child as DTP would post it.
fn intervention(site: &Site, child: u32, name: &str) -> Value {
    let mut row = json!({
        "progres_interventionnumber": format!("SANDBOX-{child:04}"),
        "progres_interventionstartdate": "2026-02-01T00:00:00Z",
        "interventiontype.progres_description": site.service_types_in.first(),
        "individuals.progres_id": person_number(child),
        "individuals.progres_registrationgroupid": { "Name": "989-SANDBOXGROUP" },
        "individuals.progres_givenname": name,
        "individuals.progres_familyname": "Examplename",
        "individuals.progres_dateofbirth": "2014-05-06T00:00:00Z",
        "individuals.progres_sex": "125080000",
        "progres_interventiondescription": "<p>An invented note.</p>",
        "user.title": "Protection Associate",
        "user.internalemailaddress": "protection@example.org",
    });
    if let Some(agency) = site.agencies.first() {
        row["user.progres_partner"] = json!({ "Name": agency });
    }
    row
}
