//! Base and programme: what no country changes, and what one programme lays over it, row by row.
//!
//! A row of the programme stands in place of the base's row for the same field. The base says which of its rows it leaves to a
//! programme; for any other one the programme must say why. What a row means is not known here.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};
use toml::{Spanned, de::DeTable};

use super::{
    PROFILE,
    file::{Findings, Grade, Keys, TextFile, hint},
};

/// The directories of a mapping.
pub(super) struct Layers {
    pub(super) base: PathBuf,
    pub(super) programme: PathBuf,
}

impl Layers {
    /// The programme's directory and the one that its `base` names.
    pub(super) fn of(programme: &Path, base: &str) -> Self {
        Self { base: plain(programme, base), programme: programme.to_owned() }
    }
}

/// `mappings/gambella` and `../base` make `mappings/base`, which is how people call it, if that is the same place.
fn plain(directory: &Path, base: &str) -> PathBuf {
    let joined = directory.join(base);
    let named = matches!(directory.components().next_back(), Some(Component::Normal(_)));
    let short = directory.parent().filter(|_| named).zip(base.strip_prefix("../")).map(|(parent, rest)| parent.join(rest));
    let same = |short: &PathBuf| short.canonicalize().ok() == joined.canonicalize().ok();
    short.filter(same).unwrap_or(joined)
}

/// One file as both layers have it.
pub(super) struct Both {
    pub(super) base: Option<TextFile>,
    pub(super) programme: Option<TextFile>,
}

/// The same, read as TOML.
pub(super) struct Tops<'a> {
    base: Option<(&'a TextFile, Spanned<DeTable<'a>>)>,
    programme: Option<(&'a TextFile, Spanned<DeTable<'a>>)>,
}

/// The keys at the top of both.
pub(super) struct Pair<'a> {
    pub(super) base: Option<Keys<'a>>,
    pub(super) programme: Option<Keys<'a>>,
}

impl Both {
    /// Reads what both layers have of a file; the base must have it.
    pub(super) fn read(layers: &Layers, name: &str, findings: &Findings) -> Self {
        Self {
            base: TextFile::read(&layers.base.join(name), findings),
            programme: TextFile::read_if_there(&layers.programme.join(name), findings),
        }
    }

    pub(super) fn tops(&self, findings: &Findings) -> Tops<'_> {
        Tops {
            base: self.base.as_ref().map(|file| (file, file.toml(findings))),
            programme: self.programme.as_ref().map(|file| (file, file.toml(findings))),
        }
    }
}

impl Tops<'_> {
    pub(super) fn keys<'a>(&'a self, findings: &'a Findings) -> Pair<'a> {
        fn of<'a>((file, top): &'a (&TextFile, Spanned<DeTable<'_>>), findings: &'a Findings) -> Keys<'a> {
            Keys::of_file(file, top.get_ref(), findings)
        }
        Pair {
            base: self.base.as_ref().map(|top| of(top, findings)),
            programme: self.programme.as_ref().map(|top| of(top, findings)),
        }
    }
}

impl<'a> Pair<'a> {
    /// A table under a key, in both.
    pub(super) fn table(&self, key: &'static str) -> Self {
        let table = |keys: &Option<Keys<'a>>| keys.as_ref().and_then(|keys| keys.table(key));
        Self { base: table(&self.base), programme: table(&self.programme) }
    }

    /// The programme's keys where it has this one, else the base's.
    pub(super) fn having(&self, key: &str) -> Option<&Keys<'a>> {
        self.programme.as_ref().filter(|keys| keys.has(key)).or(self.base.as_ref())
    }

    pub(super) fn both(&self) -> impl Iterator<Item = &Keys<'a>> {
        self.base.iter().chain(&self.programme)
    }

    /// The rows or blocks of a section, those of the programme laid over those of the base.
    pub(super) fn laid(&self, section: &'static str, named_by: &'static str) -> Laid<'a> {
        let rows = |keys: &Option<Keys<'a>>| keys.as_ref().map(|keys| keys.tables(section)).unwrap_or_default();
        lay(section, named_by, rows(&self.base), rows(&self.programme))
    }

    /// The profiles of both. They take fields away and add none, so a programme adds them as it likes.
    pub(super) fn profiles(&self) -> Laid<'a> {
        let rows = self.both().flat_map(|keys| keys.tables(PROFILE));
        let in_force = |keys| InForce { keys, of_base: false, localisable: true, asked: None };
        Laid { rows: rows.map(in_force).collect(), ..Laid::default() }
    }
}

/// A row or block that is in force.
pub(super) struct InForce<'a> {
    pub(super) keys: Keys<'a>,
    /// Whether the base says it, and no programme has changed it.
    pub(super) of_base: bool,
    /// Whether a programme may change it without saying why.
    pub(super) localisable: bool,
    /// What the base asks the programme to decide here.
    pub(super) asked: Option<&'a str>,
}

impl InForce<'_> {
    /// What it says, whoever says it.
    pub(super) fn json(&self) -> Value {
        let mut json: Map<String, Value> = self.keys.json();
        for key in ["instead_of", "own_field", "localisable"] {
            json.remove(key);
        }
        if self.localisable {
            json.insert("localisable".to_owned(), true.into());
        }
        Value::Object(json)
    }
}

/// Everything of a section that is in force.
#[derive(Default)]
pub(super) struct Laid<'a> {
    pub(super) rows: Vec<InForce<'a>>,
    /// What the base leaves to the programme, and the programme does not say.
    pub(super) left_open: Vec<String>,
    /// What the programme takes away, each with its reason.
    pub(super) removed: Vec<(String, String)>,
}

impl Laid<'_> {
    pub(super) fn json(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(InForce::json)
    }

    /// The base's name and the one that the programme has for it, where they differ.
    pub(super) fn renamed(&self) -> impl Iterator<Item = (String, String)> {
        let names = self.rows.iter().filter_map(|row| row.keys.peek("instead_of").zip(row.keys.peek("to")));
        names.map(|(base, here)| (base.to_owned(), here.to_owned()))
    }
}

fn lay<'a>(section: &str, named_by: &'static str, base: Vec<Keys<'a>>, programme: Vec<Keys<'a>>) -> Laid<'a> {
    let names: Vec<Option<&str>> = base.iter().map(|keys| keys.peek(named_by)).collect();
    let in_base = |keys: Keys<'a>| {
        let localisable = keys.is_set("localisable") || keys.has("decide");
        let asked = keys.peek("decide");
        Some(InForce { keys, of_base: true, localisable, asked })
    };
    let mut slots: Vec<Option<InForce<'a>>> = base.into_iter().map(in_base).collect();
    // Where the programme's row about it stands, and whether that one takes it away or gives it another name.
    let mut taken: Vec<Option<(usize, bool)>> = vec![None; slots.len()];
    let mut removed = Vec::new();
    for keys in programme {
        let instead_of = keys.text("instead_of");
        let removes = keys.flag("remove");
        let own = keys.flag("own_field");
        if keys.has("localisable") {
            keys.value("localisable");
            keys.problem("`localisable` is for the base to say (hint: remove it)");
        }
        let name = instead_of.map(|(name, _)| name).or_else(|| keys.peek(named_by));
        let place = name.and_then(|name| names.iter().position(|known| *known == Some(name)));
        match place {
            Some(at) if taken[at].is_none() => {
                taken[at] = Some((keys.place.line, removes || instead_of.is_some()));
                let localisable = slots[at].as_ref().is_some_and(|row| row.localisable);
                let asked = slots[at].as_ref().and_then(|row| row.asked);
                if let Some(row) = &slots[at] {
                    compare(&keys, &row.keys, name.unwrap_or_default(), localisable);
                }
                if removes {
                    finish_removal(&keys, named_by);
                    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                    removed.push((text(name), text(keys.peek("reason"))));
                }
                slots[at] = (!removes).then_some(InForce { keys, of_base: false, localisable, asked });
            }
            Some(at) => {
                if let Some((line, _)) = taken[at].filter(|(_, changed)| *changed || removes || instead_of.is_some()) {
                    keys.problem(format_args!(
                        "this row and the one in line {line} are both about `{}`, and one of them takes it away or gives it another \
                         name (hint: keep one)",
                        name.unwrap_or_default()
                    ));
                }
                if removes {
                    finish_removal(&keys, named_by);
                } else {
                    slots.push(Some(InForce { keys, of_base: false, localisable: false, asked: None }));
                }
            }
            None => {
                let known = || hint(name.unwrap_or_default(), names.iter().flatten().copied());
                if removes || instead_of.is_some() {
                    keys.problem(format_args!("the base has no `{}` in `[[{section}]]` ({})", name.unwrap_or_default(), known()));
                } else if name.is_some() && !own {
                    let name = name.unwrap_or_default();
                    keys.problem(format_args!(
                        "the base does not know `{name}` in `[[{section}]]` ({}; or `own_field = true`, if it is this programme's \
                         own)",
                        known()
                    ));
                } else if name.is_some() && !has_reason(&keys) {
                    keys.problem(
                        "a field that the base does not exchange needs a `reason` (hint: one sentence for the people who sign)",
                    );
                }
                if !removes {
                    slots.push(Some(InForce { keys, of_base: false, localisable: true, asked: None }));
                }
            }
        }
    }
    let (open, rows): (Vec<_>, Vec<_>) = slots.into_iter().flatten().partition(|row| row.of_base && row.keys.has("decide"));
    let left_open = open.into_iter().map(|row| left_open(section, named_by, &row.keys)).collect();
    Laid { rows, left_open, removed }
}

/// A row of the programme beside the row of the base in whose place it stands.
fn compare(keys: &Keys<'_>, base: &Keys<'_>, name: &str, localisable: bool) {
    let without = |mut json: Map<String, Value>| {
        json.remove("localisable");
        json
    };
    if keys.is_set("own_field") {
        keys.problem(format_args!("`own_field` is for what the base does not know, and it knows `{name}` (hint: remove it)"));
    }
    if !localisable && !has_reason(keys) {
        keys.problem(format_args!(
            "the base does not leave `{name}` to a programme (hint: remove the row, or add a `reason`, one sentence for the people \
             who sign)"
        ));
    } else if without(keys.json()) == without(base.json()) {
        let line = base.place.line;
        keys.note(Grade::Warning, format_args!("says word for word what the base says in line {line} (hint: remove the row)"));
    } else if !base.has("decide") {
        let what = if keys.is_set("remove") { "removes" } else { "stands in place of" };
        keys.note(Grade::Note, format_args!("{what} `{name}` of the base, line {}", base.place.line));
    }
}

/// A row that takes another away says nothing else.
fn finish_removal(keys: &Keys<'_>, named_by: &'static str) {
    keys.text(named_by);
    keys.text("reason");
    keys.finish();
}

fn left_open(section: &str, named_by: &'static str, keys: &Keys<'_>) -> String {
    let about = keys.text("decide").map(|(about, _)| about.trim_end_matches('.')).unwrap_or_default();
    let name = keys.peek(named_by).unwrap_or_default();
    keys.problem(format_args!(
        "`{name}` is left to the programme, which does not say it: {about} (hint: write a `[[{section}]]` row for it in the \
         programme's file of this name)"
    ));
    name.to_owned()
}

fn has_reason(keys: &Keys<'_>) -> bool {
    keys.peek("reason").is_some_and(|reason| !reason.trim().is_empty())
}
