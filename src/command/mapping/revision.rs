//! A mapping as it was at a revision of git: its files and those of its base, read with the program `git` into a folder that
//! goes away with this value.
//!
//! It changes nothing in the repository: it only asks which files there were and what stood in them.

use std::{
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::command::Failure;

/// The files of a revision, in a folder of their own.
pub(super) struct Revision {
    /// The programme's directory in it.
    pub(super) mapping: PathBuf,
    _folder: TempDir,
}

impl Revision {
    /// Fetches `REVISION` or `REVISION:PATH`; without a path it is that of the directory.
    pub(super) fn fetch(named: &str, directory: &Path) -> Result<Self, Failure> {
        let (revision, path) = match named.split_once(':') {
            Some((revision, path)) => (revision, Some(path)),
            None => (named, None),
        };
        let neither = || {
            Failure::usage(format!(
                "`{named}` is neither a directory nor a revision of git here (hint: a directory, a revision such as `HEAD~1`, or \
                 `REVISION:PATH`; `--mapping DIR` names the mapping)"
            ))
        };
        let here = if directory.is_dir() { directory } else { Path::new(".") };
        let git = |arguments: &[&OsStr]| git(here, arguments);
        let asked = format!("{revision}^{{commit}}");
        let commit = ["rev-parse", "--verify", "--quiet", "--end-of-options", &asked].map(OsStr::new);
        let commit = git(&commit).map_err(|error| if revision.is_empty() { neither() } else { error.or(neither()) })?;
        let commit = text(commit).trim().to_owned();
        let path = match path {
            Some(path) => path.to_owned(),
            // Where this directory lies below the top of the repository.
            None => text(git(&["rev-parse", "--show-prefix"].map(OsStr::new)).map_err(|error| error.or(neither()))?)
                .trim_end_matches('\n')
                .to_owned(),
        };
        let path = plain(Path::new(&path)).ok_or_else(neither)?;
        let folder =
            tempfile::tempdir().map_err(|error| Failure::failed(format!("no temporary folder can be made: {}", error.kind())))?;
        let fetched = Fetched { here, commit: &commit, named, folder: folder.path() };
        fetched.directory(&path)?;
        let mapping = folder.path().join(&path);
        if let Some(base) = base(&mapping).and_then(|base| plain(&path.join(base))) {
            fetched.directory(&base)?;
        }
        Ok(Self { mapping, _folder: folder })
    }
}

struct Fetched<'a> {
    here: &'a Path,
    commit: &'a str,
    named: &'a str,
    folder: &'a Path,
}

impl Fetched<'_> {
    /// Writes the rule files and tables of a directory; examples are not compared.
    fn directory(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: Refused| error.or(Failure::failed(format!("{}: git cannot list its files", self.named)));
        let top = if path.as_os_str().is_empty() { OsStr::new(".") } else { path.as_os_str() };
        let arguments = ["ls-tree", "-r", "-z", "--full-tree", "--name-only", self.commit, "--"].map(OsStr::new);
        let listed = text(git(self.here, &[&arguments[..], &[top]].concat()).map_err(failed)?);
        let mut found = false;
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let Some(below) = Path::new(name).strip_prefix(path).ok().and_then(Path::to_str) else { continue };
            if !(below.ends_with(".toml") && !below.contains('/') || below.starts_with("tables/") && below.ends_with(".csv")) {
                continue;
            }
            found = true;
            let object = format!("{}:{name}", self.commit);
            let bytes = git(self.here, &["cat-file", "blob", &object].map(OsStr::new)).map_err(failed)?;
            let file = self.folder.join(path).join(below);
            let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, bytes));
            written.map_err(|error| Failure::failed(format!("{} cannot be written: {}", file.display(), error.kind())))?;
        }
        if found {
            return Ok(());
        }
        Err(Failure::configuration(format!(
            "{} has no mapping in `{}` (hint: `REVISION:PATH` names where it lay then)",
            self.named,
            path.display()
        )))
    }
}

/// The base that a programme's `mapping.toml` names. Loading tells what is wrong with it.
fn base(mapping: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(mapping.join("mapping.toml")).ok()?;
    let file: toml::Table = text.trim_start_matches('\u{feff}').parse().ok()?;
    Some(PathBuf::from(file.get("base")?.as_str()?))
}

/// A path below the top of the repository without `.` and `..`; none if it leaves it.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Why git gave nothing.
enum Refused {
    /// There is no program `git`.
    NotThere,
    /// It did not do what was asked.
    Failed,
}

impl Refused {
    fn or(self, failure: Failure) -> Failure {
        match self {
            Self::NotThere => Failure::failed(
                "a revision is read with the program `git`, which is not there (hint: install it, or name two directories)",
            ),
            Self::Failed => failure,
        }
    }
}

fn git(here: &Path, arguments: &[&OsStr]) -> Result<Vec<u8>, Refused> {
    let output = Command::new("git").arg("-C").arg(here).args(arguments).output().map_err(|_| Refused::NotThere)?;
    if output.status.success() { Ok(output.stdout) } else { Err(Refused::Failed) }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
