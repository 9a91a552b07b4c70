//! One cell: one call meets one fault in a world of its own. What came of it is read from outside, and every output is searched.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use referrald::{
    activity::{Activity, Event},
    reason::Reason,
    referral::System,
    sandbox::Endpoint,
    spool::list::Entry,
};
use serde_json::Value;

use super::{
    calls::{Call, Errand, NUMBER, Story, Told},
    faults::{Broken, FOUR_DAYS, LONG, Lasts, SHORT},
};
use crate::{
    privacy::{examine, markers::PERSON},
    world::World,
};

/// From the first attempt to the next: longer than every pause, every probe and every `Retry-After` of the first attempt.
const A_WHILE: Duration = Duration::from_secs(31 * 60);
/// After so many whiles everything must be done.
const MOST_WHILES: usize = 4;

/// What a fault that does not last comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// How the attempt ended that met it.
    pub outcome: String,
    /// When it is tried again.
    pub again: String,
    /// How many attempts it took.
    pub attempts: u64,
    /// What Primero holds in the end.
    pub primero: String,
    /// What DTP holds in the end.
    pub dtp: String,
    /// What the activity log told.
    pub activity: Vec<String>,
    /// What the operator's list held, and whether it left by itself.
    pub list: Vec<String>,
}

/// What a fault that lasts has come to after four days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// How the errand stands.
    pub end: String,
    /// What Primero holds.
    pub primero: String,
    /// What DTP holds.
    pub dtp: String,
    /// What is on the operator's list.
    pub list: Vec<String>,
}

/// The errand as its row tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    attempts: u64,
    state: String,
    reason: Option<String>,
    due: Option<DateTime<Utc>>,
}

struct Cell {
    world: World,
    call: Call,
    told: Told,
    saves: u32,
    /// The highest number given before the story began.
    mark: i64,
    /// Attempts before the story began.
    before: u64,
}

impl Cell {
    async fn arrange(call: Call, broken: Broken) -> Self {
        let limit = |system| if broken.is_slow() && call.system() == system { SHORT } else { LONG };
        let timeout = [("REFERRALD__PRIMERO__TIMEOUT", limit(System::Primero)), ("REFERRALD__DTP__TIMEOUT", limit(System::Dtp))];
        let world = if broken.is_tls() { World::behind_tls(&timeout).await } else { World::with(&timeout).await };
        let told = call.story().arrange(&world).await;
        let mut cell = Self { world, call, told, saves: 0, mark: 0, before: 0 };
        cell.saves = cell.told.case.map_or(0, |case| cell.world.stage.primero.saves(case));
        // What waited before the story is the errand that it is about.
        if call.story() != Story::ReferredLater {
            let highest = "SELECT coalesce(max(id), 0) FROM deliveries";
            cell.mark = cell.world.database().query_row(highest, [], |row| row.get(0)).expect("the state can be read");
        }
        cell.before = cell.standing().map_or(0, |standing| standing.attempts);
        cell
    }

    /// The row of the call's errand. A walk has none, and a look that is done has none any more.
    fn standing(&self) -> Option<Standing> {
        let errand = self.call.errand().code()?;
        let database = self.world.database();
        let row = database.query_row(
            "SELECT attempts, state, reason, due FROM deliveries WHERE errand = ?1 AND id > ?2 ORDER BY id LIMIT 1",
            (errand, self.mark),
            |row| {
                let due: Option<i64> = row.get(3)?;
                Ok(Standing {
                    attempts: row.get(0)?,
                    state: row.get(1)?,
                    reason: row.get(2)?,
                    due: due.and_then(DateTime::from_timestamp_millis),
                })
            },
        );
        row.ok()
    }

    /// When it is tried again, in words.
    fn again(&self) -> String {
        if self.call.errand() == Errand::Walk {
            return "with the next walk".to_owned();
        }
        let Some(standing) = self.standing() else { return "–".to_owned() };
        if !matches!(standing.state.as_str(), "waiting" | "held") {
            return "–".to_owned();
        }
        let blocked: Option<i64> = self
            .world
            .database()
            .query_row("SELECT max(next_probe) FROM blocked", [], |row| row.get(0))
            .expect("the state can be read");
        let probe = blocked.and_then(DateTime::from_timestamp_millis);
        let seconds = (probe.or(standing.due).expect("it is due some day") - self.world.clock.now()).num_seconds();
        match (probe.is_some(), seconds) {
            (true, _) => format!("probe in {} min", seconds / 60),
            (false, ..60) => "in seconds".to_owned(),
            (false, _) => format!("in {} min", seconds / 60),
        }
    }

    fn primero(&self) -> String {
        let primero = &self.world.stage.primero;
        match self.call.story() {
            Story::NewChild | Story::CaseNamed | Story::UnclearCreation | Story::KnownChild | Story::NumberLacking => {
                let cases = self.world.cases_of(PERSON);
                let services: usize = cases
                    .iter()
                    .flat_map(|case| primero.services(*case))
                    .filter(|service| service.get("progres_interventionnumber").and_then(Value::as_str) == Some(NUMBER))
                    .count();
                match (cases.len(), services) {
                    (0, _) => "nothing".to_owned(),
                    (1, 0) => "the case as it was".to_owned(),
                    (1, 1) => "one case, one service".to_owned(),
                    (cases, services) => format!("{cases} cases, {services} services"),
                }
            }
            Story::Decided | Story::Referred | Story::ReferredLater | Story::Watched => {
                let saves = self.told.case.map_or(0, |case| primero.saves(case));
                if saves == self.saves { "unchanged".to_owned() } else { format!("saved {} times", saves - self.saves) }
            }
            Story::Accepted | Story::Rejected | Story::RejectedUnseen => {
                let referral = self.told.referral.and_then(|id| primero.referral(id)).expect("there is a referral");
                referral["status"].as_str().unwrap_or_default().to_owned()
            }
        }
    }

    fn dtp(&self) -> String {
        let statuses = self.world.told_dtp();
        let statuses = statuses.iter().map(|body| body["status"].as_str().unwrap_or("?").to_owned());
        let sent = self.world.sent_to_dtp();
        // A repeat is the same message, id included.
        for bodies in [&sent, &self.world.told_dtp()] {
            let different: BTreeSet<String> = bodies.iter().map(ToString::to_string).collect();
            assert!(different.len() <= 1, "DTP was told different things");
        }
        let all: Vec<String> = statuses.chain(sent.iter().map(|_| "the referral".to_owned())).collect();
        match (all.first(), all.len()) {
            (None, _) => "nothing".to_owned(),
            (Some(one), 1) => one.clone(),
            (Some(one), 2) => format!("{one}, twice"),
            (Some(one), _) => format!("{one}, again and again"),
        }
    }

    /// What is on the operator's list about this errand, and about nothing else that waits meanwhile: a sent referral, for one, is to
    /// be read again each day.
    fn list(&self) -> BTreeSet<String> {
        let errand = self.call.errand();
        let concerns = |entry: &&Entry| match entry.errand.map(|errand| errand.code()) {
            None => true,
            // Who looks at a case notices what became of the referrals that were sent.
            Some("send_referral") => matches!(errand, Errand::Send | Errand::LookForReferrals),
            Some(other) => errand.code() == Some(other) && !(other == "look" && entry.reason == Some(Reason::Late)),
        };
        let told = |entry: &Entry| match entry.reason {
            Some(reason) => format!("{} {reason}", entry.kind),
            None => entry.kind.to_string(),
        };
        self.world.entries().iter().filter(concerns).map(told).collect()
    }

    fn activity(&self) -> Vec<String> {
        let tells =
            |line: &&Activity| !matches!(line.event, Event::Started | Event::Erased | Event::PollStarted | Event::PollFinished);
        let mut told: Vec<String> = self
            .world
            .lines()
            .iter()
            .filter(tells)
            .map(|line| line.reason.map_or_else(|| line.event.to_string(), |reason| format!("{} {reason}", line.event)))
            .collect();
        told.dedup();
        // Health is told beside the errands; so that the order is always the same, the end of a block stands behind its beginning.
        let unblocked = told.iter().position(|line| line == "unblocked");
        let blocked = told.iter().position(|line| line.starts_with("blocked "));
        if let (Some(unblocked), Some(blocked)) = (unblocked, blocked) {
            let line = told.remove(unblocked);
            told.insert(blocked + 1, line);
        }
        told
    }

    /// Nobody was asked anything that is no part of a flow.
    fn assert_nothing_else_was_asked(&self) {
        let asked = self.world.stage.primero.log().entries().into_iter().chain(self.world.stage.dtp.log().entries());
        let others: Vec<_> = asked.filter(|entry| entry.endpoint == Endpoint::Other).map(|entry| entry.path).collect();
        assert_eq!(others, Vec::<String>::new());
    }
}

/// The event by which the attempt ended that met the fault: the first one about the errand.
fn outcome(errand: Errand, activity: &[String]) -> String {
    let of_errand = |line: &&String| {
        let event = line.split(' ').next().unwrap_or_default();
        !(event == "received" || event == "unblocked" || (errand == Errand::Feedback && event == "delivered"))
    };
    let first = activity.iter().find(of_errand).cloned().unwrap_or_else(|| "nothing to do".to_owned());
    match first.strip_prefix("poll_failed ") {
        Some(reason) => format!("later {reason}"),
        None if first == "feedback_sent" => "delivered".to_owned(),
        None => first,
    }
}

/// The fault meets one request, and is gone when the attempt has ended.
pub async fn passing(call: Call, broken: Broken) -> Passing {
    let cell = Cell::arrange(call, broken).await;
    let (world, story) = (&cell.world, call.story());
    let trouble = broken.plant(world, call, Lasts::Once).await;
    story.happen(world, &cell.told).await;
    assert!(trouble.was_met(), "no request met the fault");
    examine(world).await;
    let (again, mut attempts) = (cell.again(), cell.standing().map_or(0, |standing| standing.attempts) - cell.before);
    let is_walk = call.errand() == Errand::Walk;
    let failed = |world: &World| world.lines().iter().any(|line| line.event == Event::PollFailed);
    let mut walks_again = is_walk && failed(world);
    attempts += u64::from(is_walk);
    let mut listed = cell.list();
    trouble.heal(world).await;
    for _ in 0..MOST_WHILES {
        if world.unsettled().is_empty() && !walks_again {
            break;
        }
        world.pass(A_WHILE).await;
        if walks_again {
            walks_again = false;
            attempts += 1;
            story.walk(world).await;
        }
        match cell.standing() {
            Some(standing) => attempts = standing.attempts - cell.before,
            // A look that is done leaves no row.
            None if call.errand().code() == Some("look") && attempts > 0 => attempts += 1,
            None => {}
        }
        listed.extend(cell.list());
    }
    assert_eq!(world.unsettled(), [], "it is done when the fault is gone");
    if call.errand().code() == Some("look") && attempts == 0 {
        attempts = 1;
    }
    examine(world).await;
    cell.assert_nothing_else_was_asked();
    let still = cell.list();
    let list = listed.into_iter().map(|entry| if still.contains(&entry) { entry } else { format!("{entry} (leaves by itself)") });
    let activity = cell.activity();
    let passing = Passing {
        outcome: outcome(call.errand(), &activity),
        again,
        attempts,
        primero: cell.primero(),
        dtp: cell.dtp(),
        activity,
        list: list.collect(),
    };
    trouble.release();
    cell.world.end_whatever().await;
    passing
}

/// The fault meets every such request for four days.
pub async fn lasting(call: Call, broken: Broken) -> Lasting {
    let cell = Cell::arrange(call, broken).await;
    let (world, story) = (&cell.world, call.story());
    let trouble = broken.plant(world, call, Lasts::Always).await;
    story.happen(world, &cell.told).await;
    for time in FOUR_DAYS {
        world.pass(time).await;
        if call.errand() == Errand::Walk {
            story.walk(world).await;
        }
    }
    assert!(trouble.was_met(), "no request met the fault");
    examine(world).await;
    cell.assert_nothing_else_was_asked();
    let end = match (cell.standing(), call.errand()) {
        (Some(standing), _) => {
            standing.reason.map_or_else(|| standing.state.clone(), |reason| format!("{} {reason}", standing.state))
        }
        (None, Errand::Walk) => {
            let last = world.lines().into_iter().rev().find(|line| matches!(line.event, Event::PollFailed | Event::PollFinished));
            last.map_or_else(
                || "nothing".to_owned(),
                |line| format!("{}{}", line.event, line.reason.map_or_else(String::new, |reason| format!(" {reason}"))),
            )
        }
        (None, _) => "done".to_owned(),
    };
    let lasting = Lasting { end, primero: cell.primero(), dtp: cell.dtp(), list: cell.list().into_iter().collect() };
    trouble.heal(world).await;
    trouble.release();
    cell.world.end_whatever().await;
    lasting
}

/// The requests that a story makes of both systems when nothing goes wrong, and what comes of it.
pub async fn undisturbed(story: Story) -> [Vec<Endpoint>; 2] {
    let world = World::new().await;
    let told = story.arrange(&world).await;
    story.happen(&world, &told).await;
    assert_eq!(world.unsettled(), [], "{story:?}");
    assert_eq!(world.list(), Vec::<String>::new(), "{story:?}");
    examine(&world).await;
    let asked = [world.stage.primero.log().entries(), world.stage.dtp.log().entries()];
    world.end().await;
    asked.map(|entries| entries.into_iter().map(|entry| entry.endpoint).collect())
}
