//! Where activity lines go: standard output or a file. Writing never fails for the caller, and never stops the daemon.
//!
//! It knows nothing of what a line says. Lines that could not be written are gone; that is told once, not for each of them.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Line;
use crate::config::Environment;

/// The activity log of one programme. Clones write to the same place, one batch at a time.
#[derive(Clone)]
pub struct Log {
    programme: Arc<str>,
    environment: Environment,
    place: Arc<Mutex<Place>>,
}

struct Place {
    sink: Sink,
    /// The last batch could not be written, and that has been told.
    failing: bool,
}

enum Sink {
    StandardOutput,
    File { path: PathBuf, open: Option<File> },
    Captured(Vec<String>),
}

impl Log {
    /// A log on standard output, or, if a path is given, at the end of that file (made with mode 0600 when it is not there).
    ///
    /// The file is opened when the first line is written, and again whenever it was moved away, as a rotation does.
    #[must_use]
    pub fn new(programme: &str, environment: Environment, file: Option<&Path>) -> Self {
        let sink = file.map_or(Sink::StandardOutput, |path| Sink::File { path: path.to_owned(), open: None });
        Self::with(programme, environment, sink)
    }

    /// A log that keeps its lines in memory, for tests.
    #[must_use]
    pub fn captured() -> (Self, Captured) {
        let log = Self::with("test", Environment::Test, Sink::Captured(Vec::new()));
        (log.clone(), Captured(log))
    }

    fn with(programme: &str, environment: Environment, sink: Sink) -> Self {
        Self { programme: programme.into(), environment, place: Arc::new(Mutex::new(Place { sink, failing: false })) }
    }

    /// Writes a batch, whole and flushed. A failure is told through the diagnostics, once until writing succeeds again.
    pub fn write(&self, lines: &[Line]) {
        let batch: String =
            lines.iter().flat_map(|line| [line.render(&self.programme, self.environment.code()), "\n".to_owned()]).collect();
        if batch.is_empty() {
            return;
        }
        let mut place = self.place();
        match (place.sink.append(&batch), place.failing) {
            (Ok(()), false) => {}
            (Ok(()), true) => {
                place.failing = false;
                tracing::info!("the activity log is written again");
            }
            (Err(_), true) => {}
            (Err(error), false) => {
                place.failing = true;
                tracing::error!(%error, "the activity log cannot be written; lines are lost until it can (hint: is the disk full?)");
            }
        }
    }

    /// A batch is appended whole or not at all, so the place is sound even if a writer panicked.
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// What a captured log was given.
#[derive(Clone, Debug)]
pub struct Captured(Log);

impl Captured {
    /// Every line so far, as written.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match &self.0.place().sink {
            Sink::Captured(lines) => lines.clone(),
            Sink::StandardOutput | Sink::File { .. } => Vec::new(),
        }
    }
}

impl Sink {
    fn append(&mut self, batch: &str) -> io::Result<()> {
        match self {
            Self::StandardOutput => {
                let mut output = io::stdout().lock();
                output.write_all(batch.as_bytes())?;
                output.flush()
            }
            Self::File { path, open } => append_to_file(current(path, open)?, batch),
            Self::Captured(lines) => {
                lines.extend(batch.lines().map(str::to_owned));
                Ok(())
            }
        }
    }
}

/// The file at the path: the one that is open, or a new one if that was moved away.
fn current<'a>(path: &Path, open: &'a mut Option<File>) -> io::Result<&'a mut File> {
    let identity = |file: &std::fs::Metadata| (file.dev(), file.ino());
    let at_path = std::fs::metadata(path).ok().as_ref().map(identity);
    let is_current = match (&open, at_path) {
        (Some(file), Some(at_path)) => identity(&file.metadata()?) == at_path,
        (None, _) | (_, None) => false,
    };
    if !is_current {
        *open = None;
    }
    match open {
        Some(file) => Ok(file),
        None => Ok(open.insert(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?)),
    }
}

/// Appends the batch whole: what was written of it before a failure is cut off again, so that the next line begins a line.
fn append_to_file(file: &mut File, batch: &str) -> io::Result<()> {
    let end = file.metadata()?.len();
    file.write_all(batch.as_bytes()).inspect_err(|_| {
        // A device has no length to cut; a full disk lets a file be cut.
        let _ = file.set_len(end);
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::activity::{Activity, Event};

    fn line(event: Event) -> Line {
        Line { time: "2026-06-01T08:00:00Z".parse().unwrap(), activity: Activity::new(event) }
    }

    fn events(text: &str) -> Vec<Event> {
        text.lines().map(|line| Line::read(line).unwrap().activity.event).collect()
    }

    #[test]
    fn a_captured_log_shows_every_line_of_every_clone() {
        let (log, captured) = Log::captured();
        log.write(&[line(Event::Started), line(Event::Received)]);
        log.clone().write(&[line(Event::ShutDown)]);
        log.write(&[]);
        let lines = captured.lines();
        assert_eq!(events(&lines.join("\n")), [Event::Started, Event::Received, Event::ShutDown]);
        assert_eq!(lines[0], r#"{"time":"2026-06-01T08:00:00.000Z","programme":"test","environment":"test","event":"started"}"#);
    }

    #[test]
    fn a_file_is_appended_to_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("activity.jsonl");
        for event in [Event::Started, Event::ShutDown] {
            Log::new("test", Environment::Production, Some(&path)).write(&[line(event)]);
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(events(&text), [Event::Started, Event::ShutDown]);
        assert!(text.ends_with('\n') && text.contains(r#""environment":"production""#));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("activity.jsonl"), folder.path().join("activity.jsonl.1"));
        let log = Log::new("test", Environment::Test, Some(&path));
        log.write(&[line(Event::Started)]);
        fs::rename(&path, &rotated).unwrap();
        log.write(&[line(Event::Received)]);
        assert_eq!(events(&fs::read_to_string(&rotated).unwrap()), [Event::Started]);
        assert_eq!(events(&fs::read_to_string(&path).unwrap()), [Event::Received]);
        fs::remove_file(&path).unwrap();
        log.write(&[line(Event::Delivered)]);
        fs::write(folder.path().join("new"), "").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        log.write(&[line(Event::ShutDown)]);
        assert_eq!(events(&fs::read_to_string(&path).unwrap()), [Event::ShutDown]);
    }

    #[test]
    fn a_log_that_cannot_be_written_loses_lines_and_goes_on_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("activity.jsonl");
        let log = Log::new("test", Environment::Test, Some(&path));
        log.write(&[line(Event::Started)]);
        log.write(&[line(Event::Received)]);
        assert!(log.place().failing);
        fs::create_dir(folder.path().join("missing")).unwrap();
        log.write(&[line(Event::ShutDown)]);
        assert!(!log.place().failing);
        assert_eq!(events(&fs::read_to_string(&path).unwrap()), [Event::ShutDown]);
    }

    #[test]
    fn a_full_disk_is_told_once_and_stops_nothing() {
        let log = Log::new("test", Environment::Test, Some(Path::new("/dev/full")));
        log.write(&[line(Event::Started)]);
        log.write(&[line(Event::ShutDown)]);
        assert!(log.place().failing);
    }
}
