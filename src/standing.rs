//! How a programme stands now: the facts that a person looks for first, on the page and on the command line alike.
//!
//! They are gathered from the state and from what the loops know; nobody outside is asked, so looking changes nothing.
//! How the facts are shown is the business of whoever asked for them.

pub mod listed;

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    config::{Environment, Settings},
    health::Health,
    programme::Programme,
    reason::Reason,
    referral::{Errand, Flow, State, System, Walk, codes},
    schedule::next_after,
    spool::{Error, Spool, pause::Pause, upkeep::StoredBlock},
    walks::Walks,
    zone::Zone,
};

/// How a programme stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Now {
    /// When this was so.
    pub time: DateTime<Utc>,
    /// Which programme.
    pub programme: String,
    /// Test or production.
    pub environment: Environment,
    /// In which zone its people read a clock.
    pub zone: Zone,
    /// Whether anything can be stored.
    pub room: Room,
    /// The two systems, in the order of [`System::ALL`].
    pub systems: Vec<SystemNow>,
    /// The flows, in the order of [`Flow::ALL`].
    pub flows: Vec<FlowNow>,
    /// What is unsettled.
    pub open: Open,
    /// What stands on the operator's list.
    pub list: Listed,
    /// The readings of changed cases, in the order of [`Walk::ALL`].
    pub walks: Vec<WalkNow>,
    /// From when to when the agreement is valid.
    pub agreement: Agreement,
    /// When our client certificate ends; known only where a programme is put together.
    pub certificate_ends: Option<DateTime<Utc>>,
    /// The keys of the inbox.
    pub keys: Vec<Key>,
}

/// Whether anything can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes.
    Enough,
    /// No: `state.max_size` is reached.
    Full,
    /// No: the disk, or the file.
    NotWritable,
}

/// How a system is.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemNow {
    /// Which.
    pub system: System,
    /// How it is.
    pub state: SystemState,
    /// When it last answered as promised; `None` if it was not asked since the start, or did not.
    pub answered: Option<DateTime<Utc>>,
}

/// How a system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemState {
    /// Nothing is known against it.
    Well,
    /// It fails in a row: one attempt at a time.
    Unwell {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// We are wrong: nothing is attempted but probes.
    Blocked {
        /// Why.
        reason: Reason,
        /// Since when, as far as that is stored.
        since: Option<DateTime<Utc>>,
        /// When it is tried again.
        next_probe: DateTime<Utc>,
    },
}

/// How a flow is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowNow {
    /// Which.
    pub flow: Flow,
    /// How it is.
    pub state: FlowState,
    /// Who paused it, and since when, if a person did.
    pub pause: Option<Pause>,
}

codes! {
    /// How a flow is. What a person did comes first: only a person can undo it.
    FlowState {
        /// It runs.
        On = "on",
        /// It is switched off in the settings.
        Off = "off",
        /// A person has paused it.
        Paused = "paused",
        /// It is switched on, but the agreement is not valid now.
        NoAgreement = "no_agreement",
    }
}

/// What is unsettled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// How many, by errand and state.
    pub counts: Vec<(Errand, State, u64)>,
    /// When the oldest was made.
    pub oldest: Option<DateTime<Utc>>,
}

impl Open {
    /// How many are in a state.
    #[must_use]
    pub fn in_state(&self, state: State) -> u64 {
        self.counts.iter().filter(|(_, of, _)| *of == state).map(|(.., count)| count).sum()
    }
}

/// What stands on the operator's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// How many entries.
    pub entries: u64,
    /// When the oldest came there.
    pub oldest: Option<DateTime<Utc>>,
}

/// How a reading of changed cases is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkNow {
    /// Which.
    pub walk: Walk,
    /// Whether one is under way; known only where a programme runs.
    pub under_way: bool,
    /// When one last came to its end.
    pub last: Option<DateTime<Utc>>,
    /// Since when none comes to its end.
    pub unfinished_since: Option<DateTime<Utc>>,
    /// When one is due; `None` while its flow does not run.
    pub next: Option<DateTime<Utc>>,
}

/// From when to when the agreement is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Its reference.
    pub reference: String,
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The last.
    pub until: DateTime<Utc>,
}

/// A key of the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the operator calls it.
    pub name: String,
    /// When it ends, if it does.
    pub expires: Option<DateTime<Utc>>,
}

/// A programme whose loops run.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The programme.
    pub programme: &'a Programme,
    /// Its walks.
    pub walks: &'a Walks,
}

/// How a programme stands now. Without one that runs, as the state says.
pub async fn now(settings: &Settings, spool: &Spool, clock: &Clock, running: Option<Running<'_>>) -> Result<Now, Error> {
    let room = match spool.write(|tx| tx.check_room()).await {
        Ok(()) => Room::Enough,
        Err(Error::Full) => Room::Full,
        Err(_) => Room::NotWritable,
    };
    let time = clock.now();
    let (blocks, open, list, walked) = spool.read(|reading| {
        let mut walked = Vec::new();
        for walk in Walk::ALL {
            walked.push((*walk, reading.walked(*walk)?, reading.unfinished_since(*walk)?));
        }
        let open = Open { counts: reading.unsettled_counts()?, oldest: reading.oldest_unsettled()? };
        let (entries, oldest) = reading.list_size()?;
        Ok((reading.blocks()?, open, Listed { entries, oldest }, walked))
    })?;
    let flows = flows(settings, spool, time);
    let runs = |flow: Flow| flows.iter().any(|now| now.flow == flow && now.state == FlowState::On);
    let walks = walked.into_iter().map(|(walk, last, unfinished_since)| WalkNow {
        walk,
        under_way: running.is_some_and(|running| running.walks.under_way(walk)),
        last,
        unfinished_since,
        next: runs(walk.flow()).then(|| next_walk(settings, walk, time)).flatten(),
    });
    Ok(Now {
        time,
        programme: settings.programme.clone(),
        environment: settings.environment,
        zone: settings.schedule.time_zone,
        room,
        systems: systems(&blocks, clock, running),
        walks: walks.collect(),
        flows,
        open,
        list,
        agreement: Agreement {
            reference: settings.agreement.reference.clone(),
            from: settings.agreement.valid_from,
            until: settings.agreement.valid_until,
        },
        certificate_ends: running.map(|running| running.programme.certificate_ends()),
        keys: settings.inbox.keys.iter().map(|key| Key { name: key.name.clone(), expires: key.expires }).collect(),
    })
}

/// How both flows are.
#[must_use]
pub fn flows(settings: &Settings, spool: &Spool, now: DateTime<Utc>) -> Vec<FlowNow> {
    let flow = |flow: Flow| {
        let is_on = match flow {
            Flow::ToPrimero => settings.flows.to_primero,
            Flow::ToDtp => settings.flows.to_dtp,
        };
        let pause = spool.shared().pause_of(flow);
        let state = match (pause.is_some(), is_on, settings.agreement.is_valid(now)) {
            (true, ..) => FlowState::Paused,
            (false, false, _) => FlowState::Off,
            (false, true, false) => FlowState::NoAgreement,
            (false, true, true) => FlowState::On,
        };
        FlowNow { flow, state, pause }
    };
    Flow::ALL.iter().copied().map(flow).collect()
}

fn next_walk(settings: &Settings, walk: Walk, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = &settings.schedule;
    let cron = match walk {
        Walk::Referrals => &schedule.referrals,
        Walk::Decisions => &schedule.decisions,
    };
    next_after(cron, schedule.time_zone, now)
}

/// How the systems are: as the loops know it, else as the state says.
fn systems(blocks: &[StoredBlock], clock: &Clock, running: Option<Running<'_>>) -> Vec<SystemNow> {
    let health = running.map(|running| running.programme.health());
    let of = |system: System| {
        let stored = blocks.iter().find(|block| block.addressee == system);
        match &health {
            Some(health) => system_now(system, &health[system as usize], stored, clock),
            None => SystemNow {
                system,
                state: stored.map_or(SystemState::Well, |block| SystemState::Blocked {
                    reason: block.reason,
                    since: Some(block.since),
                    next_probe: block.next_probe,
                }),
                answered: None,
            },
        }
    };
    System::ALL.iter().map(|system| of(*system)).collect()
}

fn system_now(system: System, health: &Health, stored: Option<&StoredBlock>, clock: &Clock) -> SystemNow {
    let (now, monotonic) = (clock.now(), clock.monotonic());
    let past = |then: std::time::Duration| now - monotonic.saturating_sub(then);
    let state = match (health.block(), health.unwell_since()) {
        (Some(block), _) => SystemState::Blocked {
            reason: block.reason,
            since: stored.map(|stored| stored.since),
            next_probe: now + block.next_probe.saturating_sub(monotonic),
        },
        (None, Some(since)) => SystemState::Unwell { since: past(since) },
        (None, None) => SystemState::Well,
    };
    SystemNow { system, state, answered: health.answered().map(past) }
}
