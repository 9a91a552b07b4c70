//! The file of the state: who may use it, how it is opened, which schema and which identity key it holds.
//!
//! It knows no delivery.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};

use super::{
    Error, OpenError,
    keys::store_identity,
    seal::{self, Identity, Kind, Sealed, Sealer},
};
use crate::referral::DeliveryId;

/// How long a statement waits for another process that is using the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// The version of the schema.
pub(super) const SCHEMA: i64 = 1;

/// Why a directory or file of the state cannot be used, and what to do.
pub(super) fn unusable(error: &io::Error) -> String {
    let (why, hint) = match error.kind() {
        ErrorKind::PermissionDenied => {
            ("this user may not write there", "the state directory and all in it must belong to the user that runs referrald")
        }
        ErrorKind::ReadOnlyFilesystem => {
            ("the file system is read-only", "under systemd `StateDirectory=` or `ReadWritePaths=` lets referrald write there")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("there is no room", "make room on this disk"),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            ("something else lies there", "look at `state.directory`")
        }
        ErrorKind::NotFound => ("it cannot be made", "look at `state.directory`"),
        kind => return format!("{kind} (hint: look at `state.directory` and the disk)"),
    };
    format!("{why} (hint: {hint})")
}

/// What SQLite said, and what to do.
pub(super) fn in_words(error: &rusqlite::Error) -> String {
    let Some(code) = error.sqlite_error_code() else {
        return "it holds what this referrald does not know (hint: has a newer one run on it?)".to_owned();
    };
    let (why, hint) = match code {
        ErrorCode::DiskFull => ("there is no room", "make room on this disk"),
        ErrorCode::SystemIoFailure => ("the disk failed", "is it full? else see what the system log says about it"),
        ErrorCode::NotADatabase => ("the file is no state of referrald", "look at `state.directory`"),
        ErrorCode::DatabaseCorrupt => ("the file is damaged", "restore the whole state directory from a backup"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ("another program holds the file", "is a backup under way?"),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            ("this user may not write there", "the state directory and all in it must belong to the user that runs referrald")
        }
        // What SQLite calls an error of the statement: a table or column is not there.
        ErrorCode::Unknown => ("the file is not laid out as this referrald knows it", "which version made it? start that one"),
        code => return format!("{code:?}"),
    };
    format!("{why} (hint: {hint})")
}

pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

pub(super) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

pub(super) fn connect(path: &Path, read_only: bool) -> Result<Connection, Error> {
    let flags = if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without this guarantee a statement over a partial index is planned anew with every value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if !read_only {
        // The pragmas before the first table: incremental vacuum lets the file shrink back.
        connection.execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             PRAGMA journal_size_limit = 4194304; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;",
        )?;
    } else {
        connection.execute_batch("PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;")?;
    }
    Ok(connection)
}

/// Makes the tables of a new state; returns the schema's version.
pub(super) fn prepare(connection: &Connection) -> Result<i64, Error> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    if tables == 0 {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute_batch(include_str!("schema.sql"))?;
        connection.execute("INSERT INTO meta VALUES ('schema', ?1), ('number', 0)", [SCHEMA])?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(connection.query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0))?)
}

/// The last number given to a delivery or an entry; 0 if none was.
pub(super) fn last_number(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("SELECT value FROM meta WHERE name = 'number'", [], |row| row.get(0))?)
}

pub(super) enum IdentityError {
    KeyMissing(String),
    Missing,
    Damaged,
    Database(Error),
}

/// Opens the identity key, makes it at the first start, and seals it anew when the first state key is another one than before.
pub(super) fn identity(connection: &Connection, sealer: &Sealer) -> Result<Identity, IdentityError> {
    let database = |error: rusqlite::Error| IdentityError::Database(error.into());
    let row = DeliveryId(0);
    let stored = connection
        .query_row("SELECT key_name, sealed FROM identity", [], |row| Ok(Sealed { key_name: row.get(0)?, bytes: row.get(1)? }))
        .optional()
        .map_err(database)?;
    let used = last_number(connection).map_err(IdentityError::Database)? > 0;
    let (identity, old_name) = match stored {
        None if used => return Err(IdentityError::Missing),
        None => (Identity::generate(), None),
        Some(sealed) => {
            let opened = sealer.open(row, Kind::Identity, &sealed).map_err(|error| match error {
                seal::OpenError::KeyMissing => IdentityError::KeyMissing(sealed.key_name.clone()),
                seal::OpenError::Damaged => IdentityError::Damaged,
            })?;
            (Identity::from_bytes(&opened).map_err(|_| IdentityError::Damaged)?, Some(sealed.key_name))
        }
    };
    let sealed = sealer.seal(row, Kind::Identity, identity.bytes());
    if old_name.as_ref() != Some(&sealed.key_name) {
        store_identity(connection, &sealed).map_err(IdentityError::Database)?;
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.sqlite");
        create_private(&path).unwrap();
        let connection = connect(&path, false).unwrap();
        prepare(&connection).unwrap();
        let mut statement = connection.prepare("SELECT id FROM deliveries WHERE intervention = ?1 AND settled IS NULL").unwrap();
        for number in ["989-26-TEST-0001", "989-26-TEST-0002", "989-26-TEST-0003"] {
            assert!(!statement.exists([number]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn every_fault_of_the_disk_says_what_to_do() {
        for (kind, said) in [
            (
                ErrorKind::PermissionDenied,
                "this user may not write there (hint: the state directory and all in it must belong to",
            ),
            (ErrorKind::ReadOnlyFilesystem, "the file system is read-only (hint: under systemd `StateDirectory=`"),
            (ErrorKind::StorageFull, "there is no room (hint: make room on this disk)"),
            (ErrorKind::TimedOut, "timed out (hint: look at `state.directory` and the disk)"),
        ] {
            assert!(unusable(&kind.into()).starts_with(said), "{kind}");
        }
        for (code, said) in [
            (rusqlite::ffi::SQLITE_FULL, "there is no room (hint: make room on this disk)"),
            (rusqlite::ffi::SQLITE_IOERR_WRITE, "the disk failed (hint: is it full?"),
            (rusqlite::ffi::SQLITE_CORRUPT, "the file is damaged (hint: restore the whole state directory from a backup)"),
            (rusqlite::ffi::SQLITE_BUSY, "another program holds the file (hint: is a backup under way?)"),
            (rusqlite::ffi::SQLITE_READONLY, "this user may not write there (hint: "),
            (rusqlite::ffi::SQLITE_ERROR, "the file is not laid out as this referrald knows it (hint: which version made it?"),
        ] {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some("Testina".to_owned()));
            let words = in_words(&error);
            assert!(words.starts_with(said) && !words.contains("Testina"), "{words}");
        }
    }
}
