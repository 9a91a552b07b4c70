//! One programme: one Primero, one DTP, one mapping, one signed agreement, and the state between them.
//!
//! What every loop of the daemon holds in its hands. It also keeps how the two systems are, and tells the state when that changes.
//! Other settings make another programme around the same state; what was learnt of the two systems goes over to it.

pub mod approval;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use backon::BackoffBuilder;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    activity::{Activity, Event},
    clock::Clock,
    config::Settings,
    consent,
    credentials::{Certificates, InboxKeys},
    dtp,
    health::{Change, Health, Sign},
    mapping::{Document, Mapping},
    meters::Meters,
    primero,
    reason::Reason,
    referral::{CaseKey, DeliveryId, Flow, System, Walk},
    spool::{Spool, seal::Digest, upkeep::StoredBlock},
};

/// In this time everybody has been told what they must hear.
const TOLD_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// Everything that the loops share.
pub struct Programme {
    /// What is configured.
    pub settings: Settings,
    /// The words of both sides.
    pub mapping: Mapping,
    /// Primero.
    pub primero: primero::Client,
    /// The care for Primero's password.
    pub gate: Arc<primero::Gate>,
    /// DTP.
    pub dtp: dtp::Client,
    /// The state.
    pub spool: Spool,
    /// The time.
    pub clock: Clock,
    /// The keys that open the inbox.
    pub inbox_keys: InboxKeys,
    /// Keyed hashes of the secrets.
    pub secrets: Secrets,
    /// Our client certificate, and the one that takes its place.
    pub certificates: Certificates,
    /// The case fields that are asked for: what mapping and rules read, and nothing else.
    pub fields: Fields,
    /// The functional contact, as the mapping reads it.
    pub administrator: Document,
    /// What it learns while it is in force.
    pub learnt: Learnt,
    /// What is known beyond a change of settings.
    pub standing: Arc<Standing>,
}

impl std::fmt::Debug for Programme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Programme(…)")
    }
}

/// Who has to do with a case: its owner, and whoever it was referred to.
pub const ASSOCIATED_USERS: &str = "associated_user_names";

/// The case fields that are asked for, by what they are asked for.
#[derive(Debug)]
pub struct Fields {
    flow1: Vec<String>,
    referrals: Vec<String>,
    decisions: Vec<String>,
    walk: Vec<String>,
}

impl Fields {
    /// What a mapping and the rules of a configuration read.
    #[must_use]
    pub fn of(settings: &Settings, mapping: &Mapping) -> Self {
        let rules = consent::fields(&consent::Rules {
            referrals: &settings.referrals,
            consent: &settings.consent,
            agreement: &settings.agreement,
            start_from: settings.schedule.start_from,
            time_zone: settings.schedule.time_zone,
        })
        .map(str::to_owned)
        .collect::<Vec<_>>();
        let core = ["case_id", "module_id", "record_state", "status", "services_section"].map(str::to_owned);
        let set = |more: &mut dyn Iterator<Item = String>| core.iter().cloned().chain(more).collect::<BTreeSet<_>>();
        let identity = mapping.identity();
        let mut identity = [&identity.person_number, &identity.sex, &identity.date_of_birth]
            .into_iter()
            .chain(&identity.names)
            .filter(|name| !name.is_empty())
            .cloned()
            .chain(mapping.written_case_fields().iter().cloned());
        let mapped = mapping.referral_case_fields();
        let owners = ["owned_by", "owned_by_agency_id"].map(str::to_owned);
        Self {
            flow1: set(&mut identity).into_iter().collect(),
            referrals: set(&mut mapped.iter().cloned().chain(rules).chain(owners)).into_iter().collect(),
            decisions: set(&mut mapping.decision_case_fields().iter().cloned()).into_iter().collect(),
            walk: vec!["case_id".to_owned(), "services_section".to_owned()],
        }
    }

    /// What matching, writing and confirming look at.
    #[must_use]
    pub fn flow1(&self) -> Vec<&str> {
        self.flow1.iter().map(String::as_str).collect()
    }

    /// What the rules of consent and the mapping of a referral read.
    #[must_use]
    pub fn referrals(&self) -> Vec<&str> {
        self.referrals.iter().map(String::as_str).collect()
    }

    /// What a report of a decision reads.
    #[must_use]
    pub fn decisions(&self) -> Vec<&str> {
        self.decisions.iter().map(String::as_str).collect()
    }

    /// What a walk reads of every changed case.
    #[must_use]
    pub fn walk(&self, walk: Walk) -> Vec<&str> {
        let recipients = match walk {
            Walk::Referrals => Some(ASSOCIATED_USERS),
            Walk::Decisions => None,
        };
        self.walk.iter().map(String::as_str).chain(recipients).collect()
    }
}

/// Keyed hashes of the secrets: a block is about the one that was refused, and another begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Primero's user name and password.
    pub primero: Digest,
    /// DTP's subscription key, with our certificate.
    pub dtp: Digest,
    /// The same with the certificate that takes its place, and from when on.
    pub dtp_next: Option<(DateTime<Utc>, Digest)>,
}

impl Secrets {
    /// The one that is shown to a system at this time.
    #[must_use]
    pub fn of(&self, system: System, now: DateTime<Utc>) -> Digest {
        match (system, self.dtp_next) {
            (System::Primero, _) => self.primero,
            (System::Dtp, Some((from, next))) if from <= now => next,
            (System::Dtp, _) => self.dtp,
        }
    }
}

/// What a programme learns while it is in force. Other settings may make it untrue, so it goes with the programme.
#[derive(Debug)]
pub struct Learnt {
    readable: RwLock<Option<Arc<BTreeSet<String>>>>,
    /// The certificate, by the hash of DTP's secret, that was looked at last, and whether its end was heeded.
    certificate: Mutex<Option<(Digest, bool)>>,
    /// The how-manieth programme of this process it is.
    generation: u64,
}

impl Learnt {
    /// Of a programme that follows on the one in force; nothing is learnt yet.
    #[must_use]
    pub fn next(standing: &Standing) -> Self {
        Self {
            readable: RwLock::default(),
            certificate: Mutex::default(),
            generation: standing.generation.load(Ordering::SeqCst) + 1,
        }
    }
}

/// What the loops know of the two systems and keep in memory for each other, as long as the process lives.
#[derive(Debug)]
pub struct Standing {
    health: Mutex<[Health; 2]>,
    writers: Mutex<HashMap<CaseKey, Weak<tokio::sync::Mutex<()>>>>,
    at_dtp: Arc<AtomicUsize>,
    /// The programme in force; changed only by who holds `health`.
    generation: AtomicU64,
    /// Since when posts cannot be stored.
    not_storing: Mutex<Option<DateTime<Utc>>>,
    meters: Meters,
}

impl Standing {
    /// At a start: nothing is known yet but how the systems were when the state was last written.
    #[must_use]
    pub fn new(health: [Health; 2]) -> Self {
        Self {
            health: Mutex::new(health),
            writers: Mutex::default(),
            at_dtp: Arc::default(),
            generation: AtomicU64::new(0),
            not_storing: Mutex::default(),
            meters: Meters::default(),
        }
    }
}

/// The right to have one attempt at DTP under way; given back when it goes.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The programme in force, for whatever outlives a change of settings. Who begins something takes it once, and keeps it to the end.
#[derive(Clone, Debug)]
pub struct InForce(Arc<RwLock<Arc<Programme>>>);

impl InForce {
    /// Begins with a programme.
    #[must_use]
    pub fn new(programme: Programme) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(programme))))
    }

    /// The programme of now.
    #[must_use]
    pub fn now(&self) -> Arc<Programme> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this one.
    pub fn put(&self, programme: Arc<Programme>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = programme;
    }
}

/// The functional contact of a configuration, as the mapping reads it.
#[must_use]
pub fn administrator(settings: &Settings) -> Document {
    let contact = &settings.administrator;
    let fields = [("email", &contact.email), ("full_name", &contact.full_name), ("phone", &contact.phone)];
    fields.into_iter().map(|(key, text)| (key.to_owned(), text.as_str().into())).collect()
}

impl Programme {
    /// The case fields that our role is known to read: only there is "no value" known to mean "empty".
    /// Asked of Primero once; if it does not tell, nothing is known to be empty.
    pub async fn readable(&self) -> Result<Arc<BTreeSet<String>>, primero::Trouble> {
        if let Some(known) = self.learnt.readable.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(known);
        }
        let account = self.primero.own_account().await?;
        let forms = self.primero.forms(self.mapping.module()).await?;
        let fields = forms
            .into_iter()
            .filter(|form| account.as_ref().is_some_and(|account| account.forms.contains_key(&form.unique_id)))
            .flat_map(|form| form.fields)
            .map(|field| field.name)
            .collect();
        let fields = Arc::new(fields);
        *self.learnt.readable.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fields));
        Ok(fields)
    }

    /// How the two systems are. A panic elsewhere does not take it away: each change is whole.
    pub fn health(&self) -> MutexGuard<'_, [Health; 2]> {
        self.standing.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process counts while it runs.
    pub fn meters(&self) -> &Meters {
        &self.standing.meters
    }

    /// Whether the last post that came could be stored.
    pub fn note_storing(&self, stored: bool) {
        let mut since = self.standing.not_storing.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if stored { None } else { since.or(Some(self.clock.now())) };
    }

    /// Whether a look found room. Little may fit where a post did not, so a post that was refused is first told to people.
    pub fn note_room(&self, room: bool) {
        let told = |since: DateTime<Utc>| self.clock.now() - since >= TOLD_WITHIN;
        if !room || self.not_storing_since().is_some_and(told) {
            self.note_storing(room);
        }
    }

    /// Since when posts cannot be stored; `None` if they can.
    pub fn not_storing_since(&self) -> Option<DateTime<Utc>> {
        *self.standing.not_storing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may leave.
    #[must_use]
    pub fn rules(&self) -> consent::Rules<'_> {
        consent::Rules {
            referrals: &self.settings.referrals,
            consent: &self.settings.consent,
            agreement: &self.settings.agreement,
            start_from: self.settings.schedule.start_from,
            time_zone: self.settings.schedule.time_zone,
        }
    }

    /// Whether a flow is switched on, not paused by a person, and the agreement valid.
    #[must_use]
    pub fn runs(&self, flow: Flow) -> bool {
        let on = match flow {
            Flow::ToPrimero => self.settings.flows.to_primero,
            Flow::ToDtp => self.settings.flows.to_dtp,
        };
        on && !self.spool.shared().is_paused(flow) && self.settings.agreement.is_valid(self.clock.now())
    }

    /// Flows whose errands wait: switched off, paused, or without a valid agreement.
    #[must_use]
    pub fn resting(&self) -> Vec<Flow> {
        Flow::ALL.iter().copied().filter(|flow| !self.runs(*flow)).collect()
    }

    /// The n-th pause, with jitter, growing from the first to the longest.
    #[must_use]
    pub fn pause(&self, n: u32) -> Duration {
        let delivery = self.settings.delivery;
        let longest = delivery.longest_pause;
        backon::ExponentialBuilder::default()
            .with_min_delay(delivery.first_pause)
            .with_max_delay(longest)
            .with_jitter()
            .without_max_times()
            .build()
            .nth(n.min(64) as usize)
            .map_or(longest, |pause| pause.min(longest))
    }

    /// A place at DTP, if fewer than `dtp.parallel` attempts are under way there. Nobody waits for one, so nobody waits in a circle.
    #[must_use]
    pub fn place_at_dtp(&self) -> Option<Place> {
        let most = self.settings.dtp.parallel;
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        let at_dtp = &self.standing.at_dtp;
        at_dtp.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Place(Arc::clone(at_dtp)))
    }

    /// Whether nobody has a place at DTP.
    #[must_use]
    pub fn nobody_at_dtp(&self) -> bool {
        self.standing.at_dtp.load(Ordering::SeqCst) == 0
    }

    /// One writer per case at a time: waits for its turn.
    pub async fn write_alone(&self, case: CaseKey) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut writers = self.standing.writers.lock().unwrap_or_else(PoisonError::into_inner);
            writers.retain(|_, turn| turn.strong_count() > 0);
            match writers.get(&case).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(tokio::sync::Mutex::new(()));
                    writers.insert(case, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }

    /// Takes in what an attempt or a walk showed about a system; the log and the state hear of a change.
    /// What began before the settings changed shows nothing about those of now.
    pub async fn report_health(&self, system: System, errand: Option<DeliveryId>, sign: Sign, status: Option<u16>) {
        let now = self.clock.monotonic();
        let (change, block) = {
            let mut health = self.health();
            if self.standing.generation.load(Ordering::SeqCst) > self.learnt.generation {
                return;
            }
            let health = &mut health[system as usize];
            let change = health.report(now, errand, sign, |n| self.pause(n));
            (change, health.block())
        };
        if change.is_none() && !matches!(sign, Sign::Wrong(_)) {
            return;
        }
        let event = change.map(|change| match change {
            Change::Unwell => (Event::Unwell, None),
            Change::Well => (Event::Well, None),
            Change::Blocked(reason) => (Event::Blocked, Some(reason)),
            Change::Unblocked => (Event::Unblocked, None),
        });
        if let Some(Change::Blocked(reason)) = change {
            tracing::error!(
                addressee = system.code(),
                reason = reason.code(),
                "{system} is blocked: nothing is attempted there but probes (hint: `referrald check` says what is wrong)"
            );
        }
        let wall = self.clock.now();
        let stored = block.map(|block| StoredBlock {
            addressee: system,
            reason: block.reason,
            since: wall,
            next_probe: wall + block.next_probe.saturating_sub(now),
            secret: self.secrets.of(system, wall),
        });
        let due = stored.as_ref().map(|stored| stored.next_probe);
        let result = self
            .spool
            .write(move |tx| {
                match &stored {
                    Some(block) => tx.block(block)?,
                    None => tx.unblock(system)?,
                }
                match event {
                    Some((event, reason)) => {
                        tx.tell(Activity { addressee: Some(system), reason, status, due, ..Activity::new(event) })
                    }
                    None => Ok(()),
                }
            })
            .await;
        if let Err(error) = result {
            tracing::error!(%error, "could not store how {system} is");
        }
        self.spool.shared().ring();
    }

    /// Looks at our client certificate. When another has taken its place, DTP begins anew. When it has ended, DTP is blocked before
    /// DTP has to say so; once: if a probe goes through all the same, DTP takes the certificate, and its end is told daily.
    pub async fn heed_certificate(&self) {
        let now = self.clock.now();
        let secret = self.secrets.of(System::Dtp, now);
        let over = self.certificates.in_use(now).not_after <= now;
        let (switched, heed) = {
            let mut seen = self.learnt.certificate.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *seen;
            let heeded = before.is_some_and(|(before, heeded)| before == secret && heeded);
            *seen = Some((secret, over || heeded));
            (before.is_some_and(|(before, _)| before != secret), over && !heeded)
        };
        if switched {
            self.begin_anew_with_dtp().await;
        }
        if heed {
            self.report_health(System::Dtp, None, Sign::Wrong(Reason::CertificateExpired), None).await;
        }
    }

    /// The next certificate is in use: what the one before met says nothing about it.
    async fn begin_anew_with_dtp(&self) {
        self.health()[System::Dtp as usize] = Health::default();
        let until = Some(self.certificates.in_use(self.clock.now()).not_after);
        let told = self.spool.write(move |tx| {
            tx.unblock(System::Dtp)?;
            tx.tell(Activity { addressee: Some(System::Dtp), until, ..Activity::new(Event::CertificateSwitched) })
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "could not store that the next client certificate is in use");
        }
        self.spool.shared().ring();
    }

    /// What programmes before this one still meet counts no more.
    pub fn come_into_force(&self) {
        self.spool.count_days_in(self.settings.schedule.time_zone);
        self.standing.generation.store(self.learnt.generation, Ordering::SeqCst);
    }

    /// Takes over from the programme that was in force: a changed secret begins anew, anything else that is blocked is probed now.
    pub fn take_over(&self, from: &Self) {
        let now = self.clock.monotonic();
        let mut health = self.health();
        self.come_into_force();
        let changed: Vec<System> = self.changed_secrets(from).collect();
        for system in System::ALL {
            if changed.contains(system) {
                health[*system as usize] = Health::default();
            } else {
                health[*system as usize].probe_now(now);
            }
        }
        // One gate knows when its password may be tried, whatever the settings.
        if let primero::Standing::Refused { next_probe } = self.gate.probe_now() {
            health[System::Primero as usize].put_off(next_probe);
        }
    }

    /// The systems whose secret is another one than before.
    pub fn changed_secrets<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = System> + use<'a> {
        let now = self.clock.now();
        System::ALL.iter().copied().filter(move |system| self.secrets.of(*system, now) != before.secrets.of(*system, now))
    }

    /// The systems that were blocked when the state was last written, with a secret that is another one now.
    pub fn put_right_since(&self) -> Result<Vec<System>, crate::spool::Error> {
        let now = self.clock.now();
        let blocks = self.spool.read(|reading| reading.blocks())?;
        let put_right = blocks.into_iter().filter(|block| block.secret != self.secrets.of(block.addressee, now));
        Ok(put_right.map(|block| block.addressee).collect())
    }

    /// When the client certificate that is used now ends.
    #[must_use]
    pub fn certificate_ends(&self) -> DateTime<Utc> {
        self.certificates.in_use(self.clock.now()).not_after
    }

    /// Health as it is restored at a start: blocked stays blocked unless the secret has changed.
    /// Only Primero's password waits for its next probe; anything else may have been put right in between, and is probed at once.
    pub fn restored_health(spool: &Spool, clock: &Clock, secrets: &Secrets) -> Result<[Health; 2], crate::spool::Error> {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let mut health = [Health::default(), Health::default()];
        for block in spool.read(|reading| reading.blocks())? {
            let system = block.addressee as usize;
            if block.secret == secrets.of(block.addressee, now) {
                let is_password = block.addressee == System::Primero && block.reason == Reason::Unauthorized;
                let wait = (block.next_probe - now).to_std().unwrap_or_default().min(crate::health::LATER_PROBE);
                let wait = if is_password { wait } else { Duration::ZERO };
                health[system] = Health::restored(block.reason, monotonic + wait);
            }
        }
        Ok(health)
    }

    /// Whether Primero was stopped because of its password.
    #[must_use]
    pub fn password_refused(health: &[Health; 2]) -> Option<Duration> {
        health[System::Primero as usize]
            .block()
            .filter(|block| block.reason == Reason::Unauthorized)
            .map(|block| block.next_probe)
    }
}
