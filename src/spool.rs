//! The state: one SQLite file, one writer thread, group commit. The only room that knows SQL.
//!
//! What a transaction wants the world to hear (activity lines, work for the agenda) is told after its commit and never before.
//! It knows what is owed and what was done; it does not know how a delivery is attempted.

pub mod accept;
mod asleep;
pub mod copy;
pub mod counters;
pub mod cursor;
pub mod delivery;
pub mod erase;
mod file;
pub mod keys;
pub mod known;
pub mod list;
pub mod looks;
pub mod noticed;
pub mod operator;
pub mod pause;
mod room;
mod row;
pub mod seal;
pub mod search;
pub mod settle;
pub mod story;
pub mod told;
pub mod unfinished;
pub mod upkeep;
pub mod withdrawal;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use tokio::sync::{Notify, mpsc, oneshot};

use self::{
    counters::Counted,
    delivery::Delivery,
    file::{IdentityError, SCHEMA, connect, create_private, identity, last_number, lock, prepare},
    keys::missing_key,
    pause::Pause,
    seal::{Digest, Identity, Sealer},
};
use crate::{
    activity::Activity,
    agenda::{Agenda, Task},
    clock::Clock,
    failpoint::{self, Moment, Step},
    referral::{DeliveryId, InterventionNumber},
    zone::Zone,
};

/// How many jobs one commit may carry.
const GROUP: usize = 64;
/// The longest that anything waits: a `Retry-After` or a probe. What is stored further ahead is cut to that.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The longest after a start that something held waits until it is looked at again.
const LONGEST_HELD: Duration = Duration::from_secs(1800);

/// Why the state could not do what was asked. Texts carry no value of a record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What SQLite said, in our words.
    #[error("the state could not be read or written: {}", file::in_words(.0))]
    Database(#[from] rusqlite::Error),
    /// A parcel.
    #[error(transparent)]
    Parcel(#[from] seal::OpenError),
    /// The commit failed; nothing of it stands, and it may be tried again.
    #[error("the state could not be written")]
    NotWritten,
    /// The writer has ended.
    #[error("the state is closed")]
    Closed,
    /// `state.max_size` is reached.
    #[error("the state has reached state.max_size")]
    Full,
}

/// Why the state could not be opened: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("{}: {}", path.display(), file::unusable(source))]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else has it.
    #[error("{}: another referrald is using this state (hint: one process per state.directory; stop the other one first)", .0.display())]
    Locked(PathBuf),
    /// SQLite cannot use the file.
    #[error("{}: {source}", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// A newer referrald wrote it.
    #[error("{}: this state was written by a newer referrald (schema {found}; this one knows {SCHEMA}) (hint: start the newer one, or go back to the copy from before)", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// The schema found.
        found: i64,
    },
    /// The identity key cannot be opened.
    #[error(
        "the state key `{0}` that this state needs is not among state.key_files (hint: add the old key file after the new one; it may go when nothing waits that it sealed)"
    )]
    KeyMissing(String),
    /// The identity key is gone.
    #[error(
        "this state has been used, but its identity key is gone: what was delivered could not be recognised (hint: restore the whole state directory from a backup)"
    )]
    IdentityMissing,
    /// The identity key is damaged.
    #[error(
        "the identity key in the state cannot be opened: it was damaged, or a key file has changed under its name (hint: put the key file back as it was, or restore the whole state directory from a backup)"
    )]
    Damaged,
}

/// What every transaction needs.
#[derive(Debug)]
pub struct Shared {
    /// Keyed hashes and made ids.
    pub identity: Identity,
    sealer: RwLock<Arc<Sealer>>,
    clock: Clock,
    agenda: Mutex<Agenda>,
    /// The flows that a person has paused.
    paused: RwLock<Vec<Pause>>,
    /// Rung after a commit that changed the agenda.
    pub bell: Notify,
    opened: DateTime<Utc>,
    /// Whether this machine has slept.
    watch: asleep::Watch,
    path: PathBuf,
    max_size: AtomicU64,
    /// In which zone a day is counted.
    zone: RwLock<Zone>,
    /// Content was erased that no checkpoint has overwritten yet.
    erased: AtomicBool,
}

impl Shared {
    pub(crate) fn number_digest(&self, number: &InterventionNumber) -> Digest {
        self.identity.digest("number", number.as_str().as_bytes())
    }

    /// In which zone a day is counted.
    #[must_use]
    pub fn zone(&self) -> Zone {
        *self.zone.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state keys of now.
    fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.sealer.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn exchange_sealer(&self, sealer: Arc<Sealer>) {
        *self.sealer.write().unwrap_or_else(PoisonError::into_inner) = sealer;
    }

    /// Since when this process has the state open.
    #[must_use]
    pub const fn opened(&self) -> DateTime<Utc> {
        self.opened
    }

    /// Lets the courier look again at what may be attempted: something else than the agenda has changed.
    pub fn ring(&self) {
        self.agenda().touch();
        self.bell.notify_waiters();
    }

    /// The agenda. A panic elsewhere does not take it away: it holds numbers only, and each change is whole.
    pub fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one programme. Clones share it; the file is closed and unlocked when the last one goes.
#[derive(Clone)]
pub struct Spool {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    readers: Arc<Mutex<Vec<Connection>>>,
    writer: Arc<Writer>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spool(…)")
    }
}

/// Joins the writer thread when the last clone goes.
struct Writer {
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may go with the last job, on the thread itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic in it was reported already.
            let _ = thread.join();
        }
    }
}

type Work = Box<dyn FnOnce(&mut Tx<'_>) -> Result<Answer, Error> + Send>;
type Answer = Box<dyn FnOnce() + Send>;
type Failed = Box<dyn FnOnce(Error) + Send>;

struct Job {
    step: Step,
    work: Work,
    failed: Failed,
}

/// Hears every activity line after its commit.
pub type Listener = Box<dyn Fn(&[(DateTime<Utc>, Activity)]) + Send>;

impl Spool {
    /// Opens the state in `directory`, or makes a new one; takes the lock; loads what is unsettled onto the agenda.
    pub fn open(directory: &Path, sealer: Sealer, clock: Clock, max_size: u64, listener: Listener) -> Result<Self, OpenError> {
        let lock = lock(directory)?;
        let path = directory.join("state.sqlite");
        let database = |source: Error| OpenError::Database { path: path.clone(), source };
        create_private(&path).map_err(|source| OpenError::Directory { path: path.clone(), source })?;
        let connection = connect(&path, false).map_err(database)?;
        let found = prepare(&connection).map_err(database)?;
        if found > SCHEMA {
            return Err(OpenError::Newer { path, found });
        }
        let identity = identity(&connection, &sealer).map_err(|error| match error {
            IdentityError::KeyMissing(name) => OpenError::KeyMissing(name),
            IdentityError::Missing => OpenError::IdentityMissing,
            IdentityError::Damaged => OpenError::Damaged,
            IdentityError::Database(source) => database(source),
        })?;
        if let Some(name) = missing_key(&connection, &sealer).map_err(database)? {
            return Err(OpenError::KeyMissing(name));
        }
        let watch = asleep::Watch::new(&clock);
        let shared = Arc::new(Shared {
            identity,
            sealer: RwLock::new(Arc::new(sealer)),
            clock: clock.clone(),
            agenda: Mutex::default(),
            paused: RwLock::new(pause::pauses(&connection).map_err(database)?),
            bell: Notify::new(),
            opened: clock.now(),
            watch,
            path: path.clone(),
            max_size: AtomicU64::new(max_size),
            zone: RwLock::new(Zone::UTC),
            erased: AtomicBool::new(false),
        });
        upkeep::void_leases(&connection, &shared).map_err(database)?;
        let number = last_number(&connection).map_err(database)?;
        let (jobs, inbox) = mpsc::channel(1024);
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    write_all(&connection, &shared, number, inbox, &listener);
                    drop(connection);
                    drop(lock);
                }
            })
            .map_err(|source| OpenError::Directory { path, source })?;
        let writer = Arc::new(Writer { thread: Mutex::new(Some(thread)) });
        Ok(Self { jobs, shared, readers: Arc::default(), writer })
    }

    /// What every transaction needs, and the agenda.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The keyed hashes.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// From now on a day is counted in this zone; before, in UTC. What was counted stays as it is.
    pub fn count_days_in(&self, zone: Zone) {
        *self.shared.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// Runs `work` on the writer thread; returns after the commit that carries it. If it fails, nothing of it stands.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        // Both ends of a job may answer, so both hold the sender; exactly one of them is called.
        let answer = Arc::new(Mutex::new(Some(answer)));
        let on_failure = Arc::clone(&answer);
        let send = move |answer: &Mutex<Option<oneshot::Sender<Result<T, Error>>>>, result| {
            if let Some(sender) = answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // Nobody waits any more when a request was given up; the work stands all the same.
                let _ = sender.send(result);
            }
        };
        let job = Job {
            step: Step::of::<F>(),
            work: Box::new(move |tx| {
                let value = work(tx)?;
                Ok(Box::new(move || send(&answer, Ok(value))))
            }),
            failed: Box::new(move |error| send(&on_failure, Err(error))),
        };
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Reads without waiting for the writer. Sees everything that was committed before.
    pub fn read<T>(&self, work: impl FnOnce(&Reading<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => connect(&self.shared.path, true)?,
        };
        let result = work(&Reading { connection: &connection, shared: &self.shared });
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    /// Ends the writer after everything that was asked of it, and unlocks the state. Other clones find it closed.
    pub async fn close(self) {
        let Self { jobs, writer, readers, .. } = self;
        drop(jobs);
        readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let thread = writer.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread ends when the last sender is gone; a panic in it was reported by the runtime already.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// A view of the state for reading.
#[derive(Debug)]
pub struct Reading<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
}

impl Reading<'_> {
    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        Delivery::load(self.connection, id)
    }
}

/// A transaction. It ends with the closure that holds it.
pub struct Tx<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    now: DateTime<Utc>,
    /// The last number given.
    numbers: &'a Cell<i64>,
    /// What the jobs before it, which are committed together with it, have taken.
    taken_before: &'a [DeliveryId],
    told: Told,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx(…)")
    }
}

/// What is told after the commit, or added up until then.
#[derive(Default)]
struct Told {
    lines: Vec<(DateTime<Utc>, Activity)>,
    tasks: Vec<TaskChange>,
    taken: Vec<DeliveryId>,
    /// Lent to the caller from the moment they are on the agenda.
    held_back: Vec<DeliveryId>,
    /// The flows that are paused from now on.
    paused: Option<Vec<Pause>>,
    /// Stored with the commit.
    counted: Counted,
    checkpoint: bool,
}

enum TaskChange {
    Put(Task),
    Remove(DeliveryId),
}

impl Tx<'_> {
    /// The time of this transaction.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The keyed hashes.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// A view for reading what this transaction sees.
    #[must_use]
    pub const fn reading(&self) -> Reading<'_> {
        Reading { connection: self.connection, shared: self.shared }
    }

    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        Delivery::load(self.connection, id)
    }

    /// The next number of the one sequence of deliveries and entries. It is given once, even if its job fails.
    fn next_number(&self) -> i64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    /// Stores a delivery and puts it where the agenda must have it.
    fn put(&mut self, delivery: &Delivery) -> Result<(), Error> {
        delivery.store(self.connection)?;
        self.told.tasks.push(if delivery.state.is_settled() || delivery.behind.is_some() {
            TaskChange::Remove(delivery.id)
        } else {
            TaskChange::Put(delivery.task(self.shared, self.now, self.shared.clock.monotonic()))
        });
        Ok(())
    }

    /// Takes the lease of a delivery until the commit; `false` if it is being attempted.
    pub fn take(&mut self, id: DeliveryId) -> bool {
        // Jobs that are committed together follow upon each other; what one has taken, nobody attempts before all have ended.
        if self.taken_before.contains(&id) || self.told.taken.contains(&id) {
            return true;
        }
        let free = self.shared.agenda().take(id);
        self.told.taken.extend(free.then_some(id));
        free
    }
}

fn write_all(connection: &Connection, shared: &Shared, number: i64, mut jobs: mpsc::Receiver<Job>, listener: &Listener) {
    let mut group = Vec::with_capacity(GROUP);
    let numbers = Cell::new(number);
    while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
        let (answers, told) = commit_group(connection, shared, &numbers, group.drain(..));
        let checkpoint = told.checkpoint;
        publish(shared, told, listener);
        // Whoever wants the checkpoint is answered when it is made: nothing counts as erased that still lies in the log.
        if checkpoint && let Err(error) = upkeep::checkpoint(connection, shared) {
            tracing::warn!(%error, "the checkpoint that overwrites erased content was not made; it is tried again");
        }
        for (step, answer) in answers {
            failpoint::pass(&step, Moment::Told);
            answer();
        }
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(error = %Error::from(error), "the last checkpoint was not made; the next start makes it");
    }
}

/// Runs a group of jobs in one transaction, each in its own savepoint: one that fails takes nothing of the others with it.
fn commit_group(
    connection: &Connection,
    shared: &Shared,
    numbers: &Cell<i64>,
    group: impl Iterator<Item = Job>,
) -> (Vec<(Step, Answer)>, Told) {
    let now = shared.clock.now();
    let before = numbers.get();
    let mut all = Told::default();
    let mut done: Vec<(Step, Answer, Failed)> = Vec::new();
    let begun = run(connection, "BEGIN IMMEDIATE");
    for Job { step, work, failed } in group {
        // A full disk, an I/O error or a lack of memory ends the whole transaction, whichever job met it.
        if begun.is_err() || connection.is_autocommit() {
            failed(Error::NotWritten);
            continue;
        }
        let mut tx = Tx { connection, shared, now, numbers, taken_before: &all.taken, told: Told::default() };
        let result = run(connection, "SAVEPOINT job").map_err(Error::from).and_then(|()| work(&mut tx));
        let Tx { told, .. } = tx;
        all.taken.extend(told.taken);
        match result {
            // Releasing a savepoint fails only if the transaction is gone; then the commit fails as well.
            Ok(answer) if run(connection, "RELEASE job").is_ok() => {
                all.lines.extend(told.lines);
                all.tasks.extend(told.tasks);
                all.held_back.extend(told.held_back);
                all.paused = told.paused.or(all.paused);
                all.counted.add(told.counted);
                all.checkpoint |= told.checkpoint;
                failpoint::pass(&step, Moment::Written);
                done.push((step, answer, failed));
            }
            Ok(_) => failed(Error::NotWritten),
            Err(error) => {
                let _ = connection.execute_batch("ROLLBACK TO job; RELEASE job");
                failed(error);
            }
        }
    }
    let day = now.with_timezone(&shared.zone()).date_naive();
    let committed = begun
        .and_then(|()| store_number(connection, before, numbers.get()))
        .and_then(|()| all.counted.store(connection, day))
        .and_then(|()| run(connection, "COMMIT"));
    let answers = match committed {
        Ok(()) => {
            done.iter().for_each(|(step, ..)| failpoint::pass(step, Moment::Committed));
            done.into_iter().map(|(step, answer, _)| (step, answer)).collect()
        }
        Err(error) => {
            tracing::error!(error = %Error::from(error), "the state could not be written; nothing of this group stands");
            let _ = connection.execute_batch("ROLLBACK");
            for (_, _, failed) in done {
                failed(Error::NotWritten);
            }
            all.lines.clear();
            all.tasks.clear();
            all.held_back.clear();
            all.paused = None;
            Vec::new()
        }
    };
    (answers, all)
}

/// Stores the last number given, if any was.
fn store_number(connection: &Connection, before: i64, last: i64) -> rusqlite::Result<()> {
    if last == before {
        return Ok(());
    }
    connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'number'")?.execute([last]).map(drop)
}

/// A statement that every group or job needs: prepared once, not with each.
fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

fn publish(shared: &Shared, told: Told, listener: &Listener) {
    let changed = !told.tasks.is_empty() || !told.taken.is_empty() || told.paused.is_some();
    if let Some(paused) = told.paused {
        shared.pause(paused);
        shared.agenda().touch();
    }
    if changed {
        let mut agenda = shared.agenda();
        for change in told.tasks {
            match change {
                TaskChange::Put(task) => agenda.put(task),
                TaskChange::Remove(id) => agenda.remove(id),
            }
        }
        for id in told.held_back {
            agenda.take(id);
        }
        for id in told.taken {
            agenda.give_back(id);
        }
    }
    if !told.lines.is_empty() {
        listener(&told.lines);
    }
    if changed {
        shared.bell.notify_waiters();
    }
}
