//! Copies of the state: out of a directory in use, and into an empty one. A copy is a state file of its own, whole at one moment.
//!
//! What DTP posted is left out unless a move asks for it: then nothing sealed ever reaches the copy. It holds no key.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{
    Error, OpenError, Tx,
    delivery::select,
    file::{self, BUSY, SCHEMA, lock},
    settle::{Conclusion, Report},
};
use crate::reason::Reason;

/// Why a copy was not made. Nothing is left behind of it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Something is there already.
    #[error("{}: is there already, and nothing is overwritten (hint: name a file that is not there)", .0.display())]
    Exists(PathBuf),
    /// There is nothing to copy.
    #[error("{}: there is no such file", .0.display())]
    Missing(PathBuf),
    /// The directory is in use.
    #[error(
        "{}: is not empty, and no state is overwritten (hint: stop referrald, move what lies there away, then restore)", .0.display()
    )]
    NotEmpty(PathBuf),
    /// It would lie where it must not.
    #[error("{}: {why} (hint: keep copies in a directory of their own)", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// Why not there.
        why: &'static str,
    },
    /// Another version wrote it, or it is something else.
    #[error(
        "{}: is no state that this referrald knows (schema {SCHEMA}) (hint: the version that made the copy can restore it)", .0.display()
    )]
    Unknown(PathBuf),
    /// The file system.
    #[error("{}: {}", path.display(), file::unusable(source))]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory of the state.
    #[error(transparent)]
    State(#[from] OpenError),
    /// SQLite.
    #[error(transparent)]
    Database(#[from] Error),
}

/// What a copy left out, or brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many deliveries wait in it whose content it does not hold.
    pub without_content: u64,
    /// How many wait in it with their content.
    pub with_content: u64,
    /// When it was made; a plain copy of a state does not say so.
    pub made: Option<DateTime<Utc>>,
}

/// Copies the state of a directory, in use or not, into a new file that only its owner can read.
pub fn copy_out(directory: &Path, to: &Path, with_parcels: bool, now: DateTime<Utc>) -> Result<Copied, CopyError> {
    let from = directory.join("state.sqlite");
    if parent(to) == fs::canonicalize(directory).ok() {
        return Err(CopyError::Place { path: to.to_owned(), why: "would lie in the state directory" });
    }
    copy(&from, to, with_parcels, |connection| {
        connection.execute("INSERT INTO meta VALUES ('copied', ?1)", [now.timestamp_millis()]).map(drop)
    })
}

/// Copies a file that was made by [`copy_out`] into a directory that holds no state. Nobody else can open it meanwhile.
pub fn copy_in(from: &Path, directory: &Path) -> Result<Copied, CopyError> {
    let failed = |source| CopyError::File { path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Ok(mut entries) => {
            let other = |entry: &io::Result<fs::DirEntry>| !entry.as_ref().is_ok_and(|entry| entry.file_name() == "lock");
            if entries.any(|entry| other(&entry)) {
                return Err(CopyError::NotEmpty(directory.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let lock = lock(directory)?;
    let copied = copy(from, &directory.join("state.sqlite"), true, |_| Ok(()))?;
    // Root restores for the account that owns the directory, and nobody else could give the files away.
    let owner = fs::metadata(directory).map_err(failed)?;
    for name in ["state.sqlite", "lock"] {
        let file = directory.join(name);
        if fs::metadata(&file).map_err(failed)?.uid() != owner.uid() {
            chown(&file, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
    }
    drop(lock);
    Ok(copied)
}

/// The directory in which a file lies, or would lie.
fn parent(file: &Path) -> Option<PathBuf> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::canonicalize(parent).ok()
}

/// Whether a file would lie in the same directory as another.
#[must_use]
pub fn lies_beside(file: &Path, other: &Path) -> bool {
    parent(file).is_some_and(|directory| Some(directory) == parent(other))
}

fn copy(
    from: &Path,
    to: &Path,
    with_parcels: bool,
    mark: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Copied, CopyError> {
    if !from.is_file() {
        return Err(CopyError::Missing(from.to_owned()));
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => CopyError::Exists(to.to_owned()),
        _ => CopyError::File { path: to.to_owned(), source },
    };
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to).map_err(failed)?;
    let copied = fill(from, to, with_parcels, mark).and_then(|copied| {
        file.sync_all().map_err(failed)?;
        let directory = parent(to).unwrap_or_default();
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(copied)
    });
    if copied.is_err() {
        // What is not whole is worse than nothing.
        let _ = fs::remove_file(to);
    }
    copied
}

fn fill(
    from: &Path,
    to: &Path,
    with_parcels: bool,
    mark: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Copied, CopyError> {
    let database = |error: rusqlite::Error| CopyError::Database(error.into());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(to, flags).map_err(database)?;
    connection.busy_timeout(BUSY).map_err(database)?;
    connection
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;")
        .map_err(database)?;
    connection.execute("ATTACH ?1 AS source", [from.to_string_lossy()]).map_err(database)?;
    // One transaction reads the source at one moment, whatever is written to it meanwhile.
    connection.execute_batch("BEGIN").map_err(database)?;
    let schema = connection.query_row("SELECT value FROM source.meta WHERE name = 'schema'", [], |row| row.get::<_, i64>(0));
    if schema.optional().ok().flatten() != Some(SCHEMA) {
        return Err(CopyError::Unknown(from.to_owned()));
    }
    connection.execute_batch(include_str!("schema.sql")).map_err(database)?;
    let copied = rows(&connection, with_parcels).and_then(|copied| {
        mark(&connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(copied)
    });
    let copied = copied.map_err(database)?;
    connection.close().map_err(|(_, error)| database(error))?;
    Ok(copied)
}

fn rows(connection: &Connection, with_parcels: bool) -> rusqlite::Result<Copied> {
    let mut tables =
        connection.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for table in tables.iter().filter(|table| with_parcels || *table != "parcels") {
        connection.execute(&format!("INSERT INTO main.\"{table}\" SELECT * FROM source.\"{table}\""), [])?;
    }
    let count = |condition: &str| {
        let needs =
            "SELECT count(*) FROM main.deliveries WHERE settled IS NULL AND errand IN ('open_intervention', 'record_decision')";
        connection.query_row(&format!("{needs} AND id {condition} (SELECT delivery FROM main.parcels)"), [], |row| row.get(0))
    };
    let made = connection.query_row("SELECT value FROM main.meta WHERE name = 'copied'", [], |row| row.get::<_, i64>(0));
    Ok(Copied {
        without_content: count("NOT IN")?,
        with_content: count("IN")?,
        made: made.optional()?.and_then(DateTime::from_timestamp_millis),
    })
}

impl Tx<'_> {
    /// The state was restored from a copy: what waits without its content is stopped, for a person to see to, and of whatever else
    /// waits it is not known what was done since. Returns how many were stopped.
    pub fn restored(&mut self, who: &str) -> Result<u64, Error> {
        self.connection.execute("DELETE FROM meta WHERE name = 'copied'", [])?;
        // An intervention is looked for before it is written, after every start; a referral may have left since.
        self.connection.execute(
            "UPDATE deliveries SET may_have_acted = 1 WHERE settled IS NULL AND errand IN ('open_intervention', 'send_referral')",
            [],
        )?;
        let lost = select(
            self.connection,
            "settled IS NULL AND errand IN ('open_intervention', 'record_decision')
             AND NOT EXISTS (SELECT 1 FROM parcels WHERE delivery = deliveries.id) ORDER BY id DESC",
            &[],
        )?;
        self.tell_of_operator(who, None, Some(lost.len() as u64))?;
        for delivery in &lost {
            self.give_up(delivery.id, Reason::ParcelMissing)?;
        }
        Ok(lost.len() as u64)
    }

    /// Stops a delivery that nobody attempts, for want of its content; `false` if somebody does. UNHCR is told nothing.
    pub(super) fn give_up(&mut self, id: crate::referral::DeliveryId, reason: Reason) -> Result<bool, Error> {
        if !self.take(id) {
            return Ok(false);
        }
        let Some(delivery) = self.delivery(id)?.filter(|delivery| delivery.settled.is_none()) else { return Ok(true) };
        let conclusion = Conclusion::Stopped { reason, feedback: None };
        let (fields, notes) = (Vec::new(), Vec::new());
        self.conclude(Report { delivery, conclusion, status: None, fields, notes, service_type: None })?;
        Ok(true)
    }
}
