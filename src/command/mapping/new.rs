//! `mapping new`: a mapping for another country, made from one that is there, with the list of everything that has to be decided.
//!
//! It knows no programme: what has to be decided is read from the mapping that it begins with. The directory appears whole or not at all.

mod choices;
mod copied;
mod manual;
mod page;

use std::{
    fs,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use serde::Serialize;

use self::choices::{Choice, Topic};
use super::{Shown, checked::many, loaded, written::programme};
use crate::{
    command::Failure,
    mapping::{Mapping, examples},
};

/// What the list of decisions is called.
const DECISIONS: &str = "DECISIONS.md";
/// Where the settings to fill in lie, below the new directory; what lies beside the rules would have to be rules.
const SETTINGS: &str = "config";
/// With which version a mapping begins.
const FIRST_VERSION: &str = "1";

/// The mapping with which another one begins.
struct Source<'a> {
    mapping: &'a Mapping,
    directory: &'a Path,
    /// What people call it.
    name: String,
    /// What the example of its settings says, where one was found.
    settings: Option<toml::Table>,
}

/// The mapping that is to be.
struct Plan<'a> {
    /// What people will call it.
    name: &'a str,
    /// How it names its base.
    base: String,
}

#[derive(Serialize)]
struct Row<'a> {
    number: &'a str,
    #[serde(flatten)]
    choice: &'a Choice,
}

#[derive(Serialize)]
struct Sum<'a> {
    directory: String,
    from: &'a str,
    version: &'a str,
    decisions: usize,
    examples: usize,
}

/// Makes a directory from a mapping, and lists what has to be decided.
pub(super) fn new(directory: &Path, from: &Path, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let name = vacant(directory)?;
    let parent = match directory.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !parent.is_dir() {
        return Err(Failure::failed(format!("{}: there is no such directory (hint: make it first)", parent.display())));
    }
    let found = find(from, &parent)?;
    let mapping = loaded(&found)?;
    let failures = examples::run(&mapping, &found).findings();
    if !failures.is_empty() {
        return Err(Failure::configuration(format!(
            "{} does not give what its examples say, so it is nothing to begin with (hint: `referrald mapping test {}`)",
            found.display(),
            found.display()
        )));
    }
    let source = Source { mapping: &mapping, directory: &found, name: programme(&found), settings: manual::settings_of(&found) };
    let plan = Plan { name: &name, base: base(&parent, &found, &mapping)? };
    let choices = choices::choices(&source, &plan);
    let tried = make(&source, &plan, &choices, directory, &parent)?;
    tell(&source, &choices, directory, tried, shown)
}

/// The name of the directory, if nothing stands there.
fn vacant(directory: &Path) -> Result<String, Failure> {
    let taken = || {
        Failure::failed(format!(
            "{}: is there already, and nothing is written over (hint: name a directory that is not there, or an empty one)",
            directory.display()
        ))
    };
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(false) | Err(_) => return Err(taken()),
    }
    let name = match directory.components().next_back() {
        Some(Component::Normal(name)) => name.to_str(),
        _ => None,
    };
    let plain = |name: &&str| name.bytes().all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, b'-' | b'_'));
    name.filter(plain).map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!(
            "{}: the programme is called as its directory (hint: a name of letters, digits, `-` and `_`, as in mappings/kakuma)",
            directory.display()
        ))
    })
}

/// The mapping to begin with: a directory, or the name of one beside the new one, in `mappings`, or where the program was installed.
fn find(from: &Path, parent: &Path) -> Result<PathBuf, Failure> {
    if is_programme(from) {
        return Ok(from.to_owned());
    }
    let installed =
        std::env::current_exe().ok().and_then(|program| Some(program.parent()?.parent()?.join("share/referrald/mappings")));
    let places = [Some(parent.to_owned()), Some(PathBuf::from("mappings")), installed];
    let mut known: Vec<String> = Vec::new();
    for place in places.into_iter().flatten() {
        if is_programme(&place.join(from)) {
            return Ok(place.join(from));
        }
        let entries = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        known.extend(entries.filter(|path| is_programme(path)).map(|path| path.display().to_string()));
    }
    known.sort_unstable();
    known.dedup();
    let known = if known.is_empty() { "none was found".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(Failure::usage(format!(
        "`--from {}`: there is no such mapping (hint: a directory with a mapping.toml, or the name of one beside the new one; {known})",
        from.display()
    )))
}

/// Whether a directory holds a programme's mapping; a base is none.
fn is_programme(directory: &Path) -> bool {
    let text = fs::read_to_string(directory.join("mapping.toml")).unwrap_or_default();
    // What is no TOML is told when it is loaded.
    text.trim_start_matches('\u{feff}').parse::<toml::Table>().map_or(!text.is_empty(), |file| file.contains_key("base"))
}

/// How the new directory names the base of the other one: from where it lies, if both lie near each other.
fn base(parent: &Path, found: &Path, mapping: &Mapping) -> Result<String, Failure> {
    let whole = |path: &Path| {
        fs::canonicalize(path).map_err(|error| Failure::failed(format!("{}: cannot be found: {}", path.display(), error.kind())))
    };
    let (parent, base) = (whole(parent)?, whole(&mapping.base_of(found))?);
    let (here, there): (Vec<_>, Vec<_>) = (parent.components().collect(), base.components().collect());
    let shared = here.iter().zip(&there).take_while(|(one, other)| one == other).count();
    let path = if shared > 1 {
        let up = std::iter::repeat_n(Component::ParentDir, here.len() + 1 - shared);
        up.chain(there[shared..].iter().copied()).collect()
    } else {
        base.clone()
    };
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::failed(format!(
            "{}: the path of the base cannot be written into a file (hint: give it a plain name)",
            base.display()
        ))
    })
}

/// Writes everything into a directory beside the new one, checks it there, and puts it into its place; how many examples were tried.
fn make(source: &Source<'_>, plan: &Plan<'_>, choices: &[Choice], directory: &Path, parent: &Path) -> Result<usize, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".referrald-new-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let folder = builder.tempdir_in(parent).map_err(|error| {
        Failure::failed(format!(
            "{}: nothing can be written there: {} (hint: who may write there?)",
            parent.display(),
            error.kind()
        ))
    })?;
    let write = |below: &str, text: &[u8]| {
        let file = folder.path().join(below);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, text));
        written.map_err(|error| Failure::failed(format!("{below} cannot be written: {}", error.kind())))
    };
    for (below, text) in copied::files(source, plan)? {
        write(&below, &text)?;
    }
    write(DECISIONS, page::page(source, plan, choices).as_bytes())?;
    write(&manual::file(plan.name), manual::skeleton(source, plan).as_bytes())?;
    let (made, findings) = Mapping::inspect(folder.path());
    let fits = |made: &Mapping| made.approval().is_none() && made.plain_version() == FIRST_VERSION;
    let Some(made) = made.filter(fits) else {
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        return Err(Failure::failed(format!(
            "{} is written in a way from which no other can be made; nothing was written\n{}",
            source.directory.display(),
            found.join("\n")
        )));
    };
    let ran = examples::run(&made, folder.path());
    if let Some(failure) = ran.findings().first() {
        return Err(Failure::failed(format!("{}: its examples do not hold for another programme: {failure}", source.name)));
    }
    // Keeping it would leave it there if it could not be put into its place.
    fs::rename(folder.path(), directory)
        .map_err(|error| Failure::failed(format!("{}: cannot be made: {}", directory.display(), error.kind())))?;
    drop(folder.keep());
    Ok(ran.tried())
}

fn tell(
    source: &Source<'_>,
    choices: &[Choice],
    directory: &Path,
    tried: usize,
    shown: &mut Shown<impl Write>,
) -> Result<(), Failure> {
    for topic in Topic::ALL {
        shown.words(&format!("{}{}", if topic.number() == 1 { "" } else { "\n" }, topic.heading()))?;
        for (number, choice) in choices::numbered(choices, topic) {
            shown.say(&format!("  {number:<5} {}\n        {}", choice.what, choice.written), &Row { number: &number, choice })?;
        }
    }
    let named = directory.display();
    shown.say(
        &format!(
            "\n{named} is made from {}, and nobody has approved it: {}, {} in order.\n\
             {named}/{DECISIONS} says of each who decides and what {} chose. `referrald mapping check {named}` goes on from here.",
            source.name,
            many(choices.len(), "decision"),
            many(tried, "example"),
            source.name,
        ),
        &Sum {
            directory: named.to_string(),
            from: &source.name,
            version: FIRST_VERSION,
            decisions: choices.len(),
            examples: tried,
        },
    )
}
