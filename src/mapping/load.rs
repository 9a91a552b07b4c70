//! Loads a mapping: which files there are in base and programme, what they must say besides rules, the digest over all of it.
//!
//! It reads files once, at start; nothing here knows a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    IdentityFields, Mapping, PROFILE, Removed, ServiceFields, approval, check,
    compile::{self, Tables},
    doubts,
    file::{Findings, Grade, Keys, Place, TextFile, hint},
    known::Known,
    layers::{Both, Layers, Pair},
    profiles,
    reasons::ReasonTexts,
    rules::{Message, Profile, Rules},
    table::{self, Table},
};

const MAPPING: &str = "mapping.toml";
/// The files that hold rules, `mapping.toml` first.
pub const RULE_FILES: [&str; 6] =
    [MAPPING, "intervention.toml", "feedback.toml", "referral.toml", "decision.toml", "reasons.toml"];

/// Everything that a mapping consists of, before it is known to be right.
pub(super) struct Loaded {
    pub(super) rules: [Rules; Message::ALL.len()],
    pub(super) head: Head,
    pub(super) texts: ReasonTexts,
    pub(super) tables: Vec<Arc<Table>>,
    pub(super) profiles_in: Vec<Profile>,
    pub(super) profiles_out: Vec<Profile>,
    /// Case fields of the base that have another name here: the base's name and this one.
    pub(super) renamed: Vec<(String, String)>,
}

/// What `mapping.toml` says besides tables.
#[derive(Default)]
pub(super) struct Head {
    pub(super) identity: IdentityFields,
    pub(super) identity_at: Option<Place>,
    pub(super) service: ServiceFields,
    pub(super) service_at: Option<Place>,
    pub(super) given_case_id: String,
    /// What `[identity]` says is not exchanged: the key, what the field is called where it is, and where that is said.
    pub(super) not_compared: Vec<(&'static str, Vec<String>, Place)>,
}

/// Reads, compiles and checks a programme's directory with the base that it names; what is wrong is noted.
pub(super) fn load(directory: &Path, findings: &Findings) -> Option<Mapping> {
    let programme = TextFile::read(&directory.join(MAPPING), findings)?;
    let top = programme.toml(findings);
    let keys = Keys::of_file(&programme, top.get_ref(), findings);
    let (base, _) = keys.needed("base", "the directory with what no country changes, for example \"../base\"")?;
    let layers = Layers::of(directory, base);
    let named_base = base.to_owned();
    let base = TextFile::read(&layers.base.join(MAPPING), findings);
    let base_top = base.as_ref().map(|file| file.toml(findings));
    let base = base.as_ref().zip(base_top.as_ref()).map(|(file, top)| Keys::of_file(file, top.get_ref(), findings));
    let version = keys.needed("version", "what both sides call this state of the mapping, for example \"2026-11\"");
    let approval = keys.table("approval").and_then(|keys| approval::read(&keys));
    let pair = Pair { base, programme: Some(keys) };
    let (head, mut said) = head(&pair);

    let files: Vec<Both> = RULE_FILES[1..].iter().map(|name| Both::read(&layers, name, findings)).collect();
    let tops: Vec<_> = files.iter().map(|file| file.tops(findings)).collect();
    let mut profiles: [Vec<Profile>; Message::ALL.len()] = Default::default();
    let mut in_force = Vec::new();
    let (mut removed, mut renamed) = (Vec::new(), Vec::new());
    for ((top, file), sections) in tops.iter().zip(&files).zip(SECTIONS) {
        let keys = top.keys(findings);
        for (section, message) in sections {
            let blocks = if *message == Message::Referral { keys.laid("block", "name") } else { Default::default() };
            let rows = keys.laid(section, "to");
            said.insert((*section, message.code()), blocks.json().chain(rows.json()).collect());
            if *message == Message::Case {
                renamed.extend(rows.renamed());
            }
            let taken = blocks.removed.iter().chain(&rows.removed).cloned();
            removed.extend(taken.map(|(target, reason)| Removed { message: *message, target, reason }));
            in_force.push((*section, *message, file, blocks, rows));
        }
        let (_, first) = sections[0];
        if [Message::Case, Message::Referral].contains(&first) {
            let laid = keys.profiles();
            said.insert((PROFILE, first.code()), laid.json().collect());
            profiles[first as usize] = profiles::read(laid, sections);
        }
        keys.both().for_each(Keys::finish);
    }
    let mut used = BTreeSet::new();
    said.values().flatten().for_each(|row| tables_named(row, &mut used));
    let declared = declared(&pair, &layers, &used, findings);
    pair.both().for_each(Keys::finish);

    let mut rules: [Rules; Message::ALL.len()] = Default::default();
    for (section, message, file, blocks, rows) in in_force {
        let blocks = compile::blocks(blocks, message, &declared.tables);
        let (rows, broken) = compile::rows(rows, message, &declared.tables);
        if let Some(file) = file.base.as_ref().filter(|_| rows.is_empty() && broken.is_empty()) {
            findings.add(file.whole(), format_args!("no `[[{section}]]` rows ({message}) (hint: the message would be empty)"));
        }
        rules[message as usize] = Rules { rows, blocks, broken };
    }
    let texts = ReasonTexts::read(&tops[4].keys(findings));
    said.insert(("texts", ""), vec![texts.json()]);
    stray_files(&layers, &declared, findings);
    let tables: Vec<Arc<Table>> = declared.tables.into_values().flatten().collect();
    said.insert(("tables", ""), tables.iter().map(|table| as_signed(table)).collect());
    let profiles_in = std::mem::take(&mut profiles[Message::Case as usize]);
    let profiles_out = std::mem::take(&mut profiles[Message::Referral as usize]);
    let loaded = Loaded { rules, head, texts, tables, profiles_in, profiles_out, renamed };
    check::check(&loaded, findings);
    profiles::check(&loaded, findings);
    doubts::note(&loaded, findings);
    if findings.hold_a_problem() {
        return None;
    }
    let plain_version = version?.0.to_owned();
    let digest = approval::digest(&plain_version, &said);
    // Tables are there as they are asked; nobody compares them as they are written.
    said.remove(&("tables", ""));
    let Loaded { rules, head, texts, tables, mut profiles_in, profiles_out, .. } = loaded;
    let Head { identity, service: service_fields, given_case_id, .. } = head;
    let known = Known::of(&rules, &given_case_id);
    for profile in &mut profiles_in {
        profile.keys = profiles::keys(profile, &rules, &service_fields.service_type, &given_case_id);
    }
    let version = format!("{plain_version}+{}", &digest[..12]);
    let files = findings.files();
    Some(Mapping {
        version,
        plain_version,
        digest,
        approval,
        base: named_base,
        files,
        rules,
        identity,
        service_fields,
        given_case_id,
        texts,
        tables,
        profiles_in,
        profiles_out,
        removed,
        said,
        known,
    })
}

/// Everything that people sign, by section: as JSON, so that no spelling, order of keys or remark changes it.
pub(super) type Said = BTreeMap<(&'static str, &'static str), Vec<Value>>;

/// A table as people sign it, every column included.
fn as_signed(table: &Table) -> Value {
    json!({"name": table.name, "look_up": table.looked_up, "write": table.written, "columns": table.columns, "rows": table.rows})
}

/// Which sections stand in which file, in the order of [`RULE_FILES`] from the second on.
const SECTIONS: [&[(&str, Message)]; 4] = [
    &[("case", Message::Case), ("service", Message::Service)],
    &[("delivered", Message::Delivered), ("failed", Message::Failed), ("decision", Message::DecisionReport)],
    &[("referral", Message::Referral)],
    &[("decision", Message::ReferralDecision)],
];

impl Message {
    /// The file and the section in which its rows stand.
    #[must_use]
    pub fn written_in(self) -> (&'static str, &'static str) {
        let sections = RULE_FILES[1..].iter().zip(SECTIONS);
        sections
            .flat_map(|(file, sections)| sections.iter().map(move |(section, of)| (*of, (*file, *section))))
            .find_map(|(of, place)| (of == self).then_some(place))
            .unwrap_or((MAPPING, ""))
    }
}

fn head(pair: &Pair<'_>) -> (Head, Said) {
    let mut head = Head::default();
    let needed_table = |key: &'static str| {
        let pair = pair.table(key);
        if pair.base.is_none() && pair.programme.is_none() {
            for keys in pair.both().filter(|keys| !keys.has(key)) {
                keys.problem(format_args!("`[{key}]` is missing (hint: the program needs these names)"));
            }
        }
        pair
    };
    let needed = |pair: &Pair<'_>, key: &'static str, hint: &str| owned(pair.having(key).and_then(|keys| keys.needed(key, hint)));
    let place = |pair: &Pair<'_>| pair.programme.as_ref().or(pair.base.as_ref()).map(|keys| keys.place);
    let finish = |pair: &Pair<'_>, known: &[&'static str]| {
        for keys in pair.both() {
            for key in known {
                keys.value(key);
            }
            keys.finish();
        }
    };

    let identity = needed_table("identity");
    let field = "the Primero field, as in `[[case]]`";
    head.identity_at = place(&identity);
    head.identity.person_number = needed(&identity, "person_number", field);
    for (key, name) in [("sex", &mut head.identity.sex), ("date_of_birth", &mut head.identity.date_of_birth)] {
        let Some((text, place)) = identity.having(key).and_then(|keys| keys.text(key)) else { continue };
        *name = text.to_owned();
        if text.is_empty() {
            let of_base = identity.base.as_ref().and_then(|keys| keys.peek(key)).unwrap_or_default();
            head.not_compared.push((key, vec![of_base.to_owned(), key.to_owned()], place));
        }
    }
    let names = identity.having("names").and_then(|keys| keys.texts("names")).map(|(names, _)| names).unwrap_or_default();
    head.identity.names = names.into_iter().map(str::to_owned).collect();
    // A line that is lost must not pass for a field that is not exchanged: then another child would not be noticed.
    for (key, hint) in [
        ("sex", "the Primero field; `sex = \"\"` if it is not exchanged"),
        ("date_of_birth", "the Primero field; `date_of_birth = \"\"` if it is not exchanged"),
        ("names", "a list of the Primero fields that hold a name"),
    ] {
        if !identity.both().any(|keys| keys.has(key))
            && let Some(keys) = identity.both().last()
        {
            keys.problem(format_args!("`{key}` is missing (hint: {hint})"));
        }
    }
    finish(&identity, &["person_number", "sex", "date_of_birth", "names"]);

    let service = needed_table("service");
    let field = "the Primero field, as in `[[service]]`";
    head.service_at = place(&service);
    head.service.number = needed(&service, "number", field);
    head.service.service_type = needed(&service, "service_type", field);
    head.service.status = needed(&service, "status", field);
    finish(&service, &["number", "service_type", "status"]);

    let intervention = needed_table("intervention");
    head.given_case_id = needed(&intervention, "given_case_id", "the key under which DTP gives the case id");
    finish(&intervention, &["given_case_id"]);

    let (identity, service) = (&head.identity, &head.service);
    let names = json!({
        "person_number": identity.person_number, "sex": identity.sex, "date_of_birth": identity.date_of_birth,
        "names": identity.names, "number": service.number, "service_type": service.service_type, "status": service.status,
        "given_case_id": head.given_case_id,
    });
    let said = Said::from([(("names", ""), vec![names])]);
    (head, said)
}

fn owned<P>(text: Option<(&str, P)>) -> String {
    text.map(|(text, _)| text.to_owned()).unwrap_or_default()
}

/// The names of all tables that a row uses.
fn tables_named(row: &Value, used: &mut BTreeSet<String>) {
    match row {
        Value::Object(keys) => {
            used.extend(keys.get("table").and_then(Value::as_str).map(str::to_owned));
            keys.values().for_each(|value| tables_named(value, used));
        }
        Value::Array(list) => list.iter().for_each(|value| tables_named(value, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The tables that are declared, and their files below base and programme.
#[derive(Default)]
struct Declared {
    tables: Tables,
    /// Paths below either directory.
    files: BTreeSet<String>,
}

/// Reads the tables: a programme's file takes the place of the base's of the same name.
fn declared(pair: &Pair<'_>, layers: &Layers, used: &BTreeSet<String>, findings: &Findings) -> Declared {
    let mut declared = Declared::default();
    let own = pair.programme.as_ref().map(|keys| keys.tables("table")).unwrap_or_default();
    let of_base = pair.base.as_ref().map(|keys| keys.tables("table")).unwrap_or_default();
    let named = |name: Option<&str>| name.is_some() && own.iter().any(|keys| keys.peek("name") == name);
    declared.files.extend(of_base.iter().filter_map(|keys| keys.peek("file")).map(str::to_owned));
    let of_base: Vec<Keys<'_>> = of_base.into_iter().filter(|keys| !named(keys.peek("name"))).collect();
    for (keys, is_own) in of_base.iter().map(|keys| (keys, false)).chain(own.iter().map(|keys| (keys, true))) {
        let name = keys.needed("name", "what rules call the table");
        let file = keys.needed("file", "its path below this directory, for example \"tables/sex-in.csv\"");
        let looked_up = keys.needed("look_up", "the column that is looked up");
        let written = keys.needed("write", "the column that is written");
        let needs_confirmation = keys.flag("confirmation");
        keys.finish();
        declared.files.extend(file.map(|(file, _)| file.to_owned()));
        let Some((name, place)) = name else { continue };
        if declared.tables.contains_key(name) {
            keys.problem_at(place, format_args!("two tables are called `{name}` (hint: give one of them another name)"));
            continue;
        }
        declared.tables.insert(name.to_owned(), None);
        let (Some((path, _)), Some(looked_up), Some(written)) = (file, looked_up, written) else { continue };
        let in_programme = layers.programme.join(path);
        let lies_in_programme = is_own || in_programme.exists();
        if !used.contains(name) {
            // What the base offers and no row uses is nobody's mistake; what the programme brings is one.
            if is_own {
                keys.problem_at(place, format_args!("no row uses the table `{name}` (hint: name it in a row, or remove it)"));
            } else if lies_in_programme {
                let place = findings.file(&in_programme);
                findings.add(place, format_args!("no row uses the table `{name}` (hint: remove this file)"));
            }
            declared.tables.remove(name);
            continue;
        }
        let in_base = layers.base.join(path);
        if lies_in_programme && in_base.exists() {
            keys.note(Grade::Note, format_args!("the programme's `{path}` takes the place of the base's"));
        }
        let path = if lies_in_programme || !in_base.exists() { in_programme } else { in_base };
        if let Some(file) = TextFile::read(&path, findings) {
            let declaration = table::Declaration { name, looked_up, written, needs_confirmation };
            declared.tables.insert(name.to_owned(), table::read(&declaration, &file, findings));
        }
    }
    declared
}

/// A rule file or table that nothing reads is a mistake: somebody believes that it says something.
fn stray_files(layers: &Layers, declared: &Declared, findings: &Findings) {
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    };
    for directory in [&layers.base, &layers.programme] {
        for name in names(directory).iter().filter(|name| name.ends_with(".toml") && !RULE_FILES.contains(&name.as_str())) {
            let place = findings.file(&directory.join(name));
            findings.add(place, format_args!("nothing reads this file ({})", hint(name, RULE_FILES)));
        }
        for name in names(&directory.join("tables")).iter().filter(|name| name.ends_with(".csv")) {
            let path = format!("tables/{name}");
            if !declared.files.contains(&path) {
                let place = findings.file(&directory.join(&path));
                findings.add(place, "nothing reads this file (hint: declare it as a `[[table]]` in mapping.toml, or remove it)");
            }
        }
    }
}
