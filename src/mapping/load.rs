//! Loads a mapping directory: which files there are, what they must say besides rules, the digest over them.
//!
//! It reads files once, at start; nothing here knows a record.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    IdentityFields, Mapping, Problems, ServiceFields, check,
    compile::{self, Tables},
    file::{Findings, Keys, Place, TextFile, hint},
    known::Known,
    reasons::ReasonTexts,
    rules::{Message, Rules},
    table::{self, Table},
};

const RULE_FILES: [&str; 6] =
    ["mapping.toml", "intervention.toml", "feedback.toml", "referral.toml", "decision.toml", "reasons.toml"];

/// Everything that a mapping consists of, before it is known to be right.
pub(super) struct Loaded {
    pub(super) rules: [Rules; Message::ALL.len()],
    pub(super) head: Head,
    pub(super) texts: ReasonTexts,
    pub(super) tables: Vec<Arc<Table>>,
}

/// What `mapping.toml` says besides tables.
#[derive(Default)]
pub(super) struct Head {
    version: String,
    pub(super) identity: IdentityFields,
    pub(super) identity_at: Option<Place>,
    pub(super) service: ServiceFields,
    pub(super) service_at: Option<Place>,
    pub(super) given_case_id: String,
}

/// Reads, compiles and checks a directory.
pub(super) fn load(directory: &Path) -> Result<Mapping, Problems> {
    let findings = Findings::default();
    if !directory.is_dir() {
        findings.add(findings.file(directory), "there is no such directory (hint: look at `mapping.directory`)");
        return Err(Problems(findings.into_texts()));
    }
    let mut digest = Sha256::new();
    let mut read = |name: &str| {
        let file = TextFile::read(&directory.join(name), &findings)?;
        for text in [name, file.raw()] {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        Some(file)
    };
    let files = RULE_FILES.map(&mut read);
    let mut tables = Tables::new();
    let mut head = Head::default();
    let mut table_files = BTreeSet::new();
    if let Some(file) = &files[0] {
        let top = file.toml(&findings);
        let keys = Keys::of_file(file, top.get_ref(), &findings);
        head = self::head(&keys);
        for keys in keys.tables("table") {
            declared_table(&keys, &mut tables, &mut table_files, &mut read, &findings);
        }
        keys.finish();
    }
    let mut rules: [Rules; Message::ALL.len()] = Default::default();
    for (file, sections) in files[1..5].iter().zip(SECTIONS) {
        let Some(file) = file else { continue };
        let top = file.toml(&findings);
        let keys = Keys::of_file(file, top.get_ref(), &findings);
        for (section, message) in sections {
            let blocks = if *message == Message::Referral { compile::blocks(&keys, *message, &tables) } else { Vec::new() };
            let (rows, broken) = compile::rows(&keys, section, *message, &tables);
            rules[*message as usize] = Rules { rows, blocks, broken };
        }
        keys.finish();
        let whole = file.whole();
        let is_empty = |rules: &Rules| rules.rows.is_empty() && rules.broken.is_empty();
        for (section, message) in sections.iter().filter(|(_, message)| is_empty(&rules[*message as usize])) {
            findings.add(whole, format_args!("no `[[{section}]]` rows ({message}) (hint: the message would be empty)"));
        }
    }
    let texts = files[5].as_ref().map(|file| {
        let top = file.toml(&findings);
        ReasonTexts::read(&Keys::of_file(file, top.get_ref(), &findings))
    });
    stray_files(directory, &table_files, &findings);
    let tables = tables.into_values().flatten().collect();
    let loaded = Loaded { rules, head, texts: texts.unwrap_or_default(), tables };
    check::check(&loaded, &findings);
    if !findings.is_empty() {
        return Err(Problems(findings.into_texts()));
    }
    let digest = hex::encode(&digest.finalize()[..6]);
    let version = format!("{}+{digest}", loaded.head.version);
    let Loaded { rules, head: Head { identity, service: service_fields, given_case_id, .. }, texts, tables } = loaded;
    let known = Known::of(&rules, &given_case_id);
    Ok(Mapping { version, rules, identity, service_fields, given_case_id, texts, tables, known })
}

/// Which sections stand in which file, in the order of [`RULE_FILES`] from the second on.
const SECTIONS: [&[(&str, Message)]; 4] = [
    &[("case", Message::Case), ("service", Message::Service)],
    &[("delivered", Message::Delivered), ("failed", Message::Failed), ("decision", Message::DecisionReport)],
    &[("referral", Message::Referral)],
    &[("decision", Message::ReferralDecision)],
];

fn head(keys: &Keys<'_>) -> Head {
    let mut head = Head::default();
    let version = keys.needed("version", "what both sides call this state of the mapping, for example \"2026-11\"");
    head.version = owned(version);
    let needed_table = |key: &'static str| {
        let table = keys.table(key);
        if table.is_none() && !keys.has(key) {
            keys.problem(format_args!("`[{key}]` is missing (hint: the program needs these names)"));
        }
        table
    };
    if let Some(keys) = needed_table("identity") {
        let field = "the Primero field, as in `[[case]]`";
        head.identity_at = Some(keys.place);
        head.identity.person_number = owned(keys.needed("person_number", field));
        head.identity.sex = owned(keys.text("sex"));
        head.identity.date_of_birth = owned(keys.text("date_of_birth"));
        let names = keys.texts("names").map(|(names, _)| names).unwrap_or_default();
        head.identity.names = names.into_iter().map(str::to_owned).collect();
        keys.finish();
    }
    if let Some(keys) = needed_table("service") {
        let field = "the Primero field, as in `[[service]]`";
        head.service_at = Some(keys.place);
        head.service.number = owned(keys.needed("number", field));
        head.service.service_type = owned(keys.needed("service_type", field));
        head.service.status = owned(keys.needed("status", field));
        keys.finish();
    }
    if let Some(keys) = needed_table("intervention") {
        head.given_case_id = owned(keys.needed("given_case_id", "the key under which DTP gives the case id"));
        keys.finish();
    }
    head
}

fn owned<P>(text: Option<(&str, P)>) -> String {
    text.map(|(text, _)| text.to_owned()).unwrap_or_default()
}

fn declared_table(
    keys: &Keys<'_>,
    tables: &mut Tables,
    table_files: &mut BTreeSet<String>,
    read: &mut impl FnMut(&str) -> Option<TextFile>,
    findings: &Findings,
) {
    let name = keys.needed("name", "what rules call the table");
    let file = keys.needed("file", "its path below this directory, for example \"tables/sex-in.csv\"");
    let looked_up = keys.needed("look_up", "the column that is looked up");
    let written = keys.needed("write", "the column that is written");
    keys.finish();
    let Some((name, place)) = name else { return };
    if tables.contains_key(name) {
        keys.problem_at(place, format_args!("two tables are called `{name}` (hint: give one of them another name)"));
        return;
    }
    tables.insert(name.to_owned(), None);
    let (Some((path, _)), Some(looked_up), Some(written)) = (file, looked_up, written) else { return };
    table_files.insert(path.to_owned());
    if let Some(file) = read(path) {
        tables.insert(name.to_owned(), table::read(&table::Declaration { name, looked_up, written }, &file, findings));
    }
}

/// A rule file or table that nothing reads is a mistake: somebody believes that it says something.
fn stray_files(directory: &Path, table_files: &BTreeSet<String>, findings: &Findings) {
    let names = |below: &str| {
        let entries = fs::read_dir(directory.join(below)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    };
    for name in names("").iter().filter(|name| name.ends_with(".toml") && !RULE_FILES.contains(&name.as_str())) {
        let place = findings.file(&directory.join(name));
        findings.add(place, format_args!("nothing reads this file ({})", hint(name, RULE_FILES)));
    }
    for name in names("tables").iter().filter(|name| name.ends_with(".csv")) {
        let path = format!("tables/{name}");
        if !table_files.contains(&path) {
            let place = findings.file(&directory.join(&path));
            findings.add(place, "nothing reads this file (hint: declare it as a `[[table]]` in mapping.toml, or remove it)");
        }
    }
}
