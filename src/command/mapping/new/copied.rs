//! The files of the mapping that another one begins with, without what only its own agencies have agreed: version, approval, confirmations.

use std::{fs, path::Path};

use super::{FIRST_VERSION, Plan, Source};
use crate::{
    command::Failure,
    mapping::{RULE_FILES, table::Table},
};

/// Every file by its path below the new directory.
pub(super) fn files(source: &Source<'_>, plan: &Plan<'_>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    let [mapping, rules @ ..] = RULE_FILES;
    files.push((mapping.to_owned(), head(&text(&source.directory.join(mapping))?, source, plan).into_bytes()));
    for file in rules.into_iter().filter(|file| source.directory.join(file).exists()) {
        let text = text(&source.directory.join(file))?;
        let rest = without_remarks(&text);
        files.push((file.to_owned(), format!("{}\n{rest}\n", remark(source, plan)).into_bytes()));
    }
    for table in source.mapping.tables() {
        let path = source.mapping.file_of(table.place);
        // A table of the base stays there.
        let Some(below) = path.strip_prefix(source.directory).ok().and_then(Path::to_str) else { continue };
        let bytes = if table.needs_confirmation { unconfirmed(table, source)? } else { bytes(path)? };
        files.push((below.to_owned(), bytes));
    }
    let folder = source.directory.join("examples");
    let mut names: Vec<String> =
        fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for name in names.iter().filter(|name| name.ends_with(".in.json") || name.ends_with(".out.json")) {
        files.push((format!("examples/{name}"), bytes(&folder.join(name))?));
    }
    Ok(files)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::failed(format!("{}: cannot be read: {}", path.display(), error.kind())))
}

/// A text with plain line ends, without the mark of a spreadsheet.
fn text(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8_lossy(&bytes(path)?).into_owned();
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

fn remark(source: &Source<'_>, plan: &Plan<'_>) -> String {
    format!(
        "# {}: as {} has it; nothing of it is agreed yet. {} lists what has to be decided.\n",
        plan.name,
        source.name,
        super::DECISIONS
    )
}

/// A file without the remarks at its head, which are about the other programme.
fn without_remarks(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// `mapping.toml`: the new base and version, nothing of the approval, every other section as it is.
fn head(text: &str, source: &Source<'_>, plan: &Plan<'_>) -> String {
    let mut head = format!(
        "{}\nbase = {}\n\n# What both sides call this state of the mapping. Raise it whenever something that was signed changes.\n\
         version = \"{FIRST_VERSION}\"\n\n\
         # Nobody has approved this state yet. When the sheet is signed, `referrald mapping digest` prints the lines that belong here.\n",
        remark(source, plan),
        toml::Value::from(plan.base.as_str()),
    );
    // A section begins with its remarks, as far as no empty line stands between.
    let (mut remarks, mut section) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(name) = heading(line) {
            section = Some(name);
            if name != "approval" {
                head.push('\n');
                remarks.iter().for_each(|remark| head.push_str(&format!("{remark}\n")));
            }
            remarks.clear();
        } else if line.starts_with('#') {
            remarks.push(line);
            continue;
        } else {
            remarks.clear();
        }
        if section.is_some_and(|name| name != "approval") && !line.trim().is_empty() {
            head.push_str(&format!("{line}\n"));
        }
    }
    head
}

/// The name in `[name]` or `[[name]]`.
fn heading(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).trim();
    (!name.is_empty() && name.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_')).then_some(name)
}

/// A table that nobody has confirmed; what the other programme remarked on its rows says whose remark it is.
fn unconfirmed(table: &Table, source: &Source<'_>) -> Result<Vec<u8>, Failure> {
    let unwritable = |_: csv::Error| Failure::failed(format!("the table `{}` cannot be written", table.name));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.columns).map_err(unwritable)?;
    for row in &table.rows {
        let cells = table.columns.iter().zip(row).map(|(column, cell)| match column.as_str() {
            "confirmed_by_role" | "confirmed_on" => String::new(),
            column if [&table.looked_up, &table.written].iter().any(|of_rule| *of_rule == column) => cell.clone(),
            column if column.ends_with("_label") || cell.is_empty() => cell.clone(),
            _ => format!("{}: {cell}", source.name),
        });
        writer.write_record(cells).map_err(unwritable)?;
    }
    writer.into_inner().map_err(|_| Failure::failed(format!("the table `{}` cannot be written", table.name)))
}
