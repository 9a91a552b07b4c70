//! Being told: what is open on the operator's list, a system that is blocked, and what ends some day, to a program or by mail.
//!
//! Every turn compares what is open now with what each target was told ([`policy`]), so nothing is watched a second time and a
//! restart neither repeats nor forgets. A target that takes no message is tried again with growing pauses; nobody waits for it but
//! what it has not heard.

mod daily;
mod gather;
mod mail;
pub mod message;
pub mod policy;
mod webhook;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex as Lock, MutexGuard, PoisonError},
    time::Duration,
};

use backon::BackoffBuilder;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::{
    mail::Post,
    message::{Letterhead, Message},
    policy::{Book, Heard, Rules, Topic},
    webhook::Hook,
};
use crate::{
    clock::Clock,
    config::Settings,
    credentials,
    programme::Programme,
    spool::{self, told::Told},
    wire::Unusable,
};

/// From one turn to the next: so late is what is told at once.
const TURN: Duration = Duration::from_secs(20);
/// The pause after the first message that a target did not take; it grows from there.
const FIRST_PAUSE: Duration = Duration::from_secs(20);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// How the state calls the daily list among the topics.
const DAILY: &str = "daily_list";

/// Why targets cannot be made of these settings.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A file with a token, a password, certificates.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// A client cannot be made.
    #[error("{key}: {source}")]
    Client {
        /// The section of the configuration.
        key: &'static str,
        /// Why.
        source: Unusable,
    },
}

/// Why a target did not take a message; nothing of what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a target hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    Second,
    Daily,
}

#[derive(Debug)]
enum Way {
    Hook(Arc<Hook>),
    Post(Box<Post>),
}

/// Somebody who is told.
#[derive(Debug)]
pub struct Target {
    /// As state, log and metrics call it.
    pub code: &'static str,
    part: Part,
    way: Way,
    trouble: Lock<Trouble>,
}

/// What a target has not taken.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    failures: usize,
    /// When it is tried again, in monotonic time.
    next: Duration,
}

/// Everybody who is told.
#[derive(Clone, Debug, Default)]
pub struct Targets(Vec<Arc<Target>>);

impl Targets {
    /// As configured; none if alerts are off. Reads tokens and passwords.
    pub fn of(settings: &Settings) -> Result<Self, Unfit> {
        if settings.alerts.on { Self::configured(settings) } else { Ok(Self(Vec::new())) }
    }

    /// As configured, whether alerts are on or not.
    fn configured(settings: &Settings) -> Result<Self, Unfit> {
        let alerts = &settings.alerts;
        let daily = alerts.daily_list.is_some();
        let mut targets = Vec::new();
        let mut add = |code, part, way| {
            targets.push(Arc::new(Target { code, part, way, trouble: Lock::default() }));
        };
        if let Some(webhook) = &alerts.webhook {
            let (first, second) = Hook::of(alerts, webhook)?;
            let first = Arc::new(first);
            add("webhook", Part::First, Way::Hook(Arc::clone(&first)));
            if let Some(second) = second {
                add("webhook_second_stage", Part::Second, Way::Hook(Arc::new(second)));
            }
            if daily {
                add("webhook_daily_list", Part::Daily, Way::Hook(first));
            }
        }
        if let Some(mail) = &alerts.mail {
            let first = Post::of(alerts, mail)?;
            let focal_point = first.to(&mail.daily_list_to)?.unwrap_or_else(|| first.clone());
            if let Some(second) = first.to(&mail.second_stage_to)? {
                add("mail_second_stage", Part::Second, Way::Post(Box::new(second)));
            }
            add("mail", Part::First, Way::Post(Box::new(first)));
            if daily {
                add("mail_daily_list", Part::Daily, Way::Post(Box::new(focal_point)));
            }
        }
        Ok(Self(targets))
    }

    /// Sends a test to each target, whether alerts are on or not, and says what came of it.
    pub async fn test(settings: &Settings, clock: &Clock) -> Result<Vec<(&'static str, Result<(), Failed>)>, Unfit> {
        let head = Letterhead::of(settings, clock.now());
        let mut told = Vec::new();
        for target in Self::configured(settings)?.0 {
            let sent = target.send(&Message::Test, &head, clock, settings.alerts.timeout).await;
            told.push((target.code, sent));
        }
        Ok(told)
    }
}

impl Target {
    /// Sends a message, which takes no longer than twice the time for one.
    async fn send(&self, message: &Message, head: &Letterhead, clock: &Clock, timeout: Duration) -> Result<(), Failed> {
        let sending = async {
            match &self.way {
                Way::Hook(hook) => hook.send(&message.json(head)).await,
                Way::Post(post) => post.send(&message.subject(head), message.text(head), head.time).await,
            }
        };
        // A mail has many answers, each in its time.
        tokio::select! {
            sent = sending => sent,
            () = clock.sleep_until(clock.monotonic() + timeout * 2) => Err(Failed("timed_out".to_owned())),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came of a message. That it is not taken is said once; that it is tried again, as often as it is.
    fn note(&self, programme: &Programme, sent: &Result<(), Failed>) {
        programme.meters().messaged(self.code, sent.is_ok());
        let mut trouble = self.trouble();
        match sent {
            Ok(()) => {
                if trouble.failures > 0 {
                    tracing::info!(target = self.code, "messages are taken again");
                }
                *trouble = Trouble::default();
            }
            Err(why) => {
                let pause = pause(trouble.failures);
                *trouble = Trouble { failures: trouble.failures + 1, next: programme.clock.monotonic() + pause };
                if trouble.failures == 1 {
                    tracing::error!(
                        target = self.code,
                        %why,
                        "a message was not taken; it is tried again (hint: `referrald alerts test` says whether it works)"
                    );
                } else {
                    tracing::warn!(target = self.code, %why, failures = trouble.failures, "a message was not taken again");
                }
            }
        }
    }
}

fn pause(failures: usize) -> Duration {
    let pauses = backon::ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times();
    pauses.build().nth(failures.min(16)).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

/// Who is told, and what they have heard.
#[derive(Debug, Default)]
pub struct Alerts {
    targets: Lock<Targets>,
    /// Held for the length of a turn.
    books: Mutex<Option<Books>>,
}

/// What every target has heard, as the state has it.
#[derive(Debug, Default)]
struct Books {
    told: BTreeMap<String, Book>,
    lists: BTreeMap<String, DateTime<Utc>>,
}

/// A message that goes now, and what its target has heard once it took it.
struct Going {
    message: Message,
    heard: Next,
}

enum Next {
    Book(Book),
    List(DateTime<Utc>),
}

impl Alerts {
    /// From now on these are told. What they have heard is known by their names.
    pub fn put(&self, targets: Targets) {
        *self.targets() = targets;
    }

    fn targets(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes turns until told to stop.
    pub async fn run(self: Arc<Self>, programme: Arc<Programme>, stop: CancellationToken) {
        loop {
            let wake = programme.clock.monotonic() + TURN;
            tokio::select! {
                turned = self.turn(&programme) => if let Err(error) = turned {
                    tracing::error!(%error, "what is to be told could not be read from the state; it is tried again");
                },
                // What was not taken yet is told after the next start.
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = programme.clock.sleep_until(wake) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One turn: tells every target what it must hear now.
    pub async fn turn(&self, programme: &Programme) -> Result<(), spool::Error> {
        let mut books = self.books.lock().await;
        let Targets(targets) = self.targets().clone();
        if targets.is_empty() {
            return Ok(());
        }
        let books = match &mut *books {
            Some(books) => books,
            none => none.insert(Books::of(programme)?),
        };
        if programme.not_storing_since().is_some() {
            programme.note_room(programme.spool.write(|tx| tx.check_room()).await.is_ok());
        }
        let now = programme.clock.now();
        let open = gather::open(programme)?;
        let mut sending = JoinSet::new();
        for target in &targets {
            if target.trouble().next > programme.clock.monotonic() {
                continue;
            }
            let Some(Going { message, heard }) = going(programme, books, target, &open, now).await? else { continue };
            // Nothing of the programme goes with it: a stop does not wait for a message under way.
            let (target, clock) = (Arc::clone(target), programme.clock.clone());
            let (head, timeout) = (Letterhead::of(&programme.settings, now), programme.settings.alerts.timeout);
            sending.spawn(async move {
                let sent = target.send(&message, &head, &clock, timeout).await;
                (target, sent, heard)
            });
        }
        while let Some(sent) = sending.join_next().await {
            // One that panicked has been reported already, and has told nobody.
            let Ok((target, sent, heard)) = sent else { continue };
            target.note(programme, &sent);
            if sent.is_ok() {
                books.keep(programme, target.code, heard).await;
            }
        }
        Ok(())
    }
}

/// What a target must hear now, if anything. What changes without a word is kept at once.
async fn going(
    programme: &Programme,
    books: &mut Books,
    target: &Target,
    open: &[policy::Open],
    now: DateTime<Utc>,
) -> Result<Option<Going>, spool::Error> {
    let settings = &programme.settings;
    let alerts = &settings.alerts;
    let (stage, after) = match (target.part, &alerts.daily_list) {
        (Part::First, _) => (1, None),
        (Part::Second, _) => (2, Some(delta(alerts.second_stage_after))),
        (Part::Daily, None) => return Ok(None),
        (Part::Daily, Some(daily)) => {
            let Some(last) = books.lists.get(target.code).copied() else {
                // The first list comes when its time comes.
                books.keep(programme, target.code, Next::List(now)).await;
                return Ok(None);
            };
            if !daily::is_due(settings, daily, last, now) {
                return Ok(None);
            }
            let list = daily::list(&programme.spool, last)?;
            return Ok(Some(Going { message: Message::Daily(list), heard: Next::List(now) }));
        }
    };
    let book = books.told.get(target.code).cloned().unwrap_or_default();
    let rules = Rules { after, digest: delta(alerts.digest) };
    let due = policy::due(open, &book, rules, now);
    if due.items.is_empty() {
        if due.book != book {
            books.keep(programme, target.code, Next::Book(due.book)).await;
        }
        return Ok(None);
    }
    Ok(Some(Going { message: Message::Alert { stage, items: due.items }, heard: Next::Book(due.book) }))
}

/// A configured duration is at most ten years.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

impl Books {
    fn of(programme: &Programme) -> Result<Self, spool::Error> {
        let mut books = Self::default();
        for Told { target, topic, about, level, time } in programme.spool.read(|reading| reading.told())? {
            match Topic::from_code(&topic) {
                Some(topic) => drop(books.told.entry(target).or_default().insert((topic, about), Heard { level, time })),
                None if topic == DAILY => drop(books.lists.insert(target, time)),
                // A topic of an older referrald.
                None => {}
            }
        }
        Ok(books)
    }

    /// Keeps what a target has heard: here, so that it is not told twice, and in the state, so that a restart does not tell it again.
    async fn keep(&mut self, programme: &Programme, target: &'static str, heard: Next) {
        let rows = match heard {
            Next::List(time) => {
                let row = Told { target: target.to_owned(), topic: DAILY.to_owned(), about: policy::WHOLE, level: 0, time };
                self.lists.insert(target.to_owned(), time);
                vec![row]
            }
            Next::Book(book) => {
                let row = |((topic, about), heard): (&(Topic, i64), &Heard)| Told {
                    target: target.to_owned(),
                    topic: topic.code().to_owned(),
                    about: *about,
                    level: heard.level,
                    time: heard.time,
                };
                let rows = book.iter().map(row).collect();
                self.told.insert(target.to_owned(), book);
                rows
            }
        };
        if let Err(error) = programme.spool.write(move |tx| tx.remember_told(target, &rows)).await {
            tracing::warn!(%error, target, "what a target has heard could not be stored; a restart may tell it again");
        }
    }
}
