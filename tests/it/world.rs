//! The world of a test: a stage with both simulators, a daemon on it, and a clock that moves when we say so.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use referrald::{
    activity::{Activity, Event},
    clock::Clock,
    config::Settings,
    daemon::{Daemon, Objections, StartError},
    referral::{DeliveryId, Walk},
    sandbox::{
        Endpoint,
        primero::{CASE_WORKER, NewReferral, UNHCR},
        stage::{FIRST_PROGRAMME, INBOX_KEY, Stage},
    },
    spool::{delivery::Delivery, list::Entry},
    walks::{WalkError, Walked},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

/// A person of these tests: obviously invented.
pub const PERSON: &str = "989-TEST0001";

type Lines = Arc<Mutex<Vec<(DateTime<Utc>, Activity)>>>;

/// A world.
pub struct World {
    pub stage: Stage,
    pub clock: Clock,
    settings: Settings,
    daemon: Option<Daemon>,
    lines: Lines,
    ticks: Option<mpsc::Sender<()>>,
    http: reqwest::Client,
    unsettled_is_told: bool,
}

/// A clock in our hand, and the TLS library ready.
fn begin() -> Clock {
    // A second test in this process finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Clock::manual(start())
}

/// When every test begins.
pub fn start() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().expect("a time")
}

impl World {
    /// A world with a running daemon, both flows on.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A world whose daemon runs with some settings changed, as variables would change them.
    pub async fn with(changed: &[(&str, &str)]) -> Self {
        let mut world = Self::without_daemon(changed).await;
        world.start().await;
        world
    }

    /// Likewise, with Primero behind TLS as in production.
    pub async fn behind_tls(changed: &[(&str, &str)]) -> Self {
        let clock = begin();
        let mut world = Self::on(Stage::set_behind_tls(clock).await, changed);
        world.start().await;
        world
    }

    /// A world whose daemon has not been started.
    pub async fn without_daemon(changed: &[(&str, &str)]) -> Self {
        Self::staged(FIRST_PROGRAMME, changed).await
    }

    /// A world of another programme, with a running daemon.
    pub async fn of(programme: &str) -> Self {
        let mut world = Self::staged(programme, &[]).await;
        world.start().await;
        world
    }

    async fn staged(programme: &str, changed: &[(&str, &str)]) -> Self {
        let clock = begin();
        Self::on(Stage::set_for(clock, programme).await, changed)
    }

    fn on(stage: std::io::Result<Stage>, changed: &[(&str, &str)]) -> Self {
        let stage = stage.expect("a stage on free ports");
        let clock = stage.clock.clone();
        let settings = stage.settings(changed).unwrap_or_else(|problems| panic!("the settings are wrong:\n{problems}"));
        Self {
            stage,
            clock,
            settings,
            daemon: None,
            lines: Arc::default(),
            ticks: None,
            // Each request has its own connection: the daemon ends those on which nothing comes for some seconds.
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client"),
            unsettled_is_told: false,
        }
    }

    /// Starts the daemon on whatever state is there.
    pub async fn start(&mut self) {
        self.try_start().await.unwrap_or_else(|error| panic!("the daemon did not start: {error}"));
    }

    /// Tries to.
    pub async fn try_start(&mut self) -> Result<(), StartError> {
        let lines = Arc::clone(&self.lines);
        let listener = Box::new(move |new: &[(DateTime<Utc>, Activity)]| {
            lines.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(new);
        });
        let (ticks, ticked) = mpsc::channel(1);
        let daemon = Daemon::start(self.settings.clone(), self.clock.clone(), listener, ticked).await?;
        self.ticks = Some(ticks);
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Stops the daemon in order.
    pub async fn stop(&mut self) {
        self.ticks = None;
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
    }

    /// Stops and starts it again, with some settings changed.
    pub async fn restart_with(&mut self, changed: &[(&str, &str)]) {
        self.stop().await;
        self.settings = self.stage.settings(changed).unwrap_or_else(|problems| panic!("the settings are wrong:\n{problems}"));
        self.start().await;
    }

    /// Lets the settings of the next start take over at once.
    pub async fn reload(&self) {
        self.try_reload().await.unwrap_or_else(|objections| panic!("the settings were refused:\n{objections}"));
    }

    /// Tries to.
    pub async fn try_reload(&self) -> Result<(), Objections> {
        self.daemon().reload(Ok(self.settings.clone())).await
    }

    /// The running daemon.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// Waits until nothing is under way and nothing can be attempted now.
    pub async fn settle(&self) {
        self.daemon().idle().await;
    }

    /// Lets what is under way end, then time pass, and everything happen that is due by then.
    pub async fn pass(&self, time: Duration) {
        // An attempt that ended only after the step would wait for its next one from there on.
        self.settle().await;
        self.advance(time).await;
    }

    /// Lets time pass over what is under way, and everything happen that is due by then.
    pub async fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.daemon().upkeep().await.expect("upkeep works");
        self.settle().await;
        self.daemon().tell().await.expect("the state can be read");
    }

    /// Posts to the inbox with the right key; gives status and answer.
    pub async fn post(&self, body: &Value) -> (StatusCode, Value) {
        self.post_raw(INBOX_KEY, "application/json", body.to_string()).await
    }

    /// Posts anything.
    pub async fn post_raw(&self, key: &str, content_type: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let url = format!("http://{}/inbox", self.daemon().inbox);
        let request = self.http.post(url).header("x-api-key", key).header("content-type", content_type).body(body);
        let response = request.send().await.expect("the inbox answers");
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Posts interventions, which must be taken, and waits until all is done.
    #[track_caller]
    pub fn refer(&self, rows: Value) -> impl Future<Output = ()> {
        let body = json!({ "request_type": "PrimeroOutgoingReferral", "__query_params": {}, "interventions": rows });
        async move {
            let (status, answer) = self.post(&body).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
            self.settle().await;
        }
    }

    /// Posts decisions of UNHCR, which must be taken, and waits until all is done.
    pub async fn decide(&self, items: Value) {
        let body = json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": items });
        let (status, answer) = self.post(&body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.settle().await;
    }

    /// One walk and everything that it asks for.
    pub async fn walk(&self, walk: Walk) -> Walked {
        let walked = self.try_walk(walk).await.unwrap_or_else(|error| panic!("the walk failed: {error}"));
        self.settle().await;
        walked
    }

    /// Tries a walk.
    pub async fn try_walk(&self, walk: Walk) -> Result<Walked, WalkError> {
        self.daemon().walk(walk).await
    }

    /// The ticker knocks, and the timetables have been looked at. What was due is under way.
    pub async fn tick(&self) {
        let ticks = self.ticks.as_ref().expect("the daemon runs");
        // There is room for one: the third is put down only when the second was taken up, so the first is dealt with.
        for _ in 0..3 {
            ticks.send(()).await.expect("the walks listen");
        }
    }

    /// The feedback and decisions that DTP has taken, in order.
    pub fn told_dtp(&self) -> Vec<Value> {
        self.stage.dtp.bodies(Endpoint::DtpDecision)
    }

    /// The referrals that DTP has taken, in order.
    pub fn sent_to_dtp(&self) -> Vec<Value> {
        self.stage.dtp.bodies(Endpoint::DtpReferral)
    }

    /// The one case of a person.
    #[track_caller]
    pub fn case_of(&self, person: &str) -> Uuid {
        let cases = self.cases_of(person);
        assert_eq!(cases.len(), 1, "one case carries the number");
        cases[0]
    }

    /// Every case of a person.
    pub fn cases_of(&self, person: &str) -> Vec<Uuid> {
        self.stage.primero.cases_with("unhcr_individual_no", &json!(person))
    }

    /// Registers an open case of a case worker with consent.
    pub fn register(&self, change: Value) -> Uuid {
        let mut document = json!({
            "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
            "unhcr_individual_no": PERSON, "unhcr_id_no": "989-TESTGROUP", "status": "open",
            "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF",
            "consent_for_services": true, "disclosure_other_orgs": true,
        });
        for (field, value) in change.as_object().expect("an object") {
            document[field] = value.clone();
        }
        self.stage.primero.staff(CASE_WORKER).register(document)
    }

    /// The activity so far.
    pub fn lines(&self) -> Vec<Activity> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, line)| line.clone()).collect()
    }

    /// The events about deliveries and systems so far, each with its reason.
    pub fn events(&self) -> Vec<String> {
        self.lines()
            .iter()
            .filter(|line| !matches!(line.event, Event::Started | Event::Erased | Event::PollStarted | Event::PollFinished))
            .map(|line| line.reason.map_or_else(|| line.event.to_string(), |reason| format!("{} {reason}", line.event)))
            .collect()
    }

    /// Whether an event was told.
    pub fn heard(&self, event: Event) -> bool {
        self.lines().iter().any(|line| line.event == event)
    }

    /// Forgets the activity so far.
    pub fn forget(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The operator's list: kind and reason of each open entry.
    pub fn list(&self) -> Vec<String> {
        self.entries()
            .iter()
            .map(|entry| entry.reason.map_or_else(|| entry.kind.to_string(), |reason| format!("{} {reason}", entry.kind)))
            .collect()
    }

    /// The operator's list.
    pub fn entries(&self) -> Vec<Entry> {
        self.daemon().programme().spool.read(|reading| reading.open_entries()).expect("the state can be read")
    }

    /// The deliveries that are not settled.
    pub fn unsettled(&self) -> Vec<Delivery> {
        self.daemon().programme().spool.read(|reading| reading.unsettled()).expect("the state can be read")
    }

    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Delivery {
        let delivery = self.daemon().programme().spool.read(|reading| reading.delivery(id)).expect("the state can be read");
        delivery.expect("there is such a delivery")
    }

    /// A world with a running daemon, some of whose settings are changed where no variable can.
    pub async fn changing(change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = Self::without_daemon(&[]).await;
        world.change(change);
        world.start().await;
        world
    }

    /// From the next start on, some settings hold that no variable can change.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    /// Ends a test to which it does not matter what is left.
    pub async fn end_whatever(mut self) {
        self.stop().await;
    }

    /// Ends the test. Something is left unsettled only if the test says so.
    pub async fn end(mut self) {
        if !self.unsettled_is_told {
            let left: Vec<_> =
                self.unsettled().iter().map(|left| format!("{} {} {:?}", left.errand, left.state, left.reason)).collect();
            assert_eq!(left, Vec::<String>::new(), "something is left unsettled");
        }
        self.stop().await;
    }

    /// Ends a test in which something rightly stays unsettled.
    pub async fn end_unsettled(mut self) {
        self.unsettled_is_told = true;
        assert_ne!(self.unsettled().len(), 0, "something is said to be left unsettled");
        self.end().await;
    }

    /// A child with consent whom a case worker referred to UNHCR: the case, the referral, and the id under which DTP knows it.
    pub fn child_referred(&self, change: Value) -> (Uuid, Uuid, String) {
        let case = self.register(change);
        let staff = self.stage.primero.staff(CASE_WORKER);
        let service = staff.add_service(
            case,
            json!({
                "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
                "service_referral_notes": "An invented note.", "service_response_day_time": "2026-03-01T09:00:00.000Z",
            }),
        );
        let service = service.to_string();
        let referral = NewReferral::to(UNHCR).for_service("alternative_care", &service);
        let referral = staff.refer(case, referral).expect("it may be referred");
        let document = self.stage.primero.case(case).expect("there is a case");
        let case_id = document["case_id"].as_str().expect("a case has an id").to_owned();
        (case, referral, format!("{case_id}#{}", &service[service.len() - 12..]))
    }

    /// Breaks the daemon off where it stands, as a crash does.
    pub async fn abandon(&mut self) {
        self.ticks = None;
        if let Some(daemon) = self.daemon.take() {
            daemon.abandon().await;
        }
    }

    /// Stops and starts it again, with the same settings.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// From the next start on, other settings hold.
    pub fn change_settings(&mut self, changed: &[(&str, &str)]) {
        self.settings = self.stage.settings(changed).unwrap_or_else(|problems| panic!("the settings are wrong:\n{problems}"));
    }

    /// From the next start on, the configuration file reads otherwise.
    pub fn change_configuration(&mut self, change: impl FnOnce(String) -> String) {
        let file = self.stage.directory().join("referrald.toml");
        let text = change(self.stage.configuration());
        let settings = Settings::from_text(&file, &text, []);
        self.settings = settings.unwrap_or_else(|problems| panic!("the settings are wrong:\n{problems}"));
    }

    /// The settings of the next start.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Reads an admin page.
    pub async fn page(&self, path: &str) -> (StatusCode, String) {
        let response = self.http.get(format!("http://{}{path}", self.daemon().admin)).send().await.expect("the page answers");
        (response.status(), response.text().await.expect("the page is text"))
    }

    /// Opens the state beside the daemon, to look into it or to damage it.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state_directory().join("state.sqlite")).expect("the state opens")
    }

    /// Where the state lies.
    pub fn state_directory(&self) -> std::path::PathBuf {
        self.stage.directory().join("state")
    }
}

/// An intervention of one row, with some keys changed; `null` takes a key away.
pub fn intervention(number: &str, change: Value) -> Value {
    let mut row = json!({
        "progres_interventionnumber": number,
        "progres_interventionstartdate": "2026-02-01T00:00:00Z",
        "interventiontype.progres_description": "Alternative Care",
        "individuals.progres_id": PERSON,
        "individuals.progres_registrationgroupid": { "Id": "x", "Name": "989-TESTGROUP", "LogicalName": "progres_registrationgroup" },
        "individuals.progres_givenname": "Testina",
        "individuals.progres_familyname": "Examplename",
        "individuals.progres_dateofbirth": "2014-05-06T00:00:00Z",
        "individuals.progres_sex": "125080000",
        "progres_interventiondescription": "<p>An invented note.</p>",
        "user.title": "Protection Associate",
        "user.internalemailaddress": "protection@example.org",
    });
    for (key, value) in change.as_object().expect("an object") {
        if value.is_null() {
            row.as_object_mut().expect("an object").remove(key);
        } else {
            row[key] = value.clone();
        }
    }
    row
}
