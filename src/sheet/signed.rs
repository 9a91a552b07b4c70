//! A mapping as the book that business owners sign: cover, one table for each message, one for each value table, the texts.

use super::{
    Book, Cell, Column, Kind, Mark, Row, Tab, Titles,
    words::{self, Field},
};
use crate::mapping::{Mapping, Unapproved, rules::Message, table::Table};

/// Who signs. The names are written by hand.
pub(super) const SIGNERS: [&str; 5] = [
    "Business owner, UNHCR",
    "Business owner, CPIMS+",
    "Inter-agency focal point",
    "System administrator, Primero",
    "Technical focal point, proGres / DTP",
];

/// The whole book.
pub(super) fn book(mapping: &Mapping, titles: Titles<'_>) -> Book {
    let mut facts = vec![
        fact("Programme", titles.programme),
        fact("Version", mapping.plain_version()),
        fact("Digest", mapping.digest()),
        fact("Agreement", agreement(mapping, titles)),
        fact("Approval", &approval(mapping, titles)),
    ];
    let services: Vec<bool> = mapping
        .tables()
        .iter()
        .filter(|table| table.needs_confirmation)
        .flat_map(|table| (0..table.rows.len()).map(|row| table.confirmation(row).is_some()))
        .collect();
    let unconfirmed = services.iter().filter(|confirmed| !**confirmed).count();
    let said = match unconfirmed {
        0 => "every one is confirmed".to_owned(),
        some => format!("{some} of {} are not confirmed; in production these cannot be opened", services.len()),
    };
    facts.push(fact("Rows of service tables", &said));
    Book {
        title: format!("Mapping sheet: {}", titles.programme),
        footer: footer(mapping, titles),
        facts,
        notes: vec![
            "Each table after this page is one message between the two systems; each of its rows is one field that is written."
                .to_owned(),
            "What no row names is neither read nor sent.".to_owned(),
            "A value table has the codes and the labels of both sides. Compare the labels with what you see on your own screen."
                .to_owned(),
            "This sheet is made from the files that the program uses. The digest changes with everything that is signed."
                .to_owned(),
        ],
        declaration: "We have read this version and agree that data are exchanged as it says, and in no other way.".to_owned(),
        signers: SIGNERS.to_vec(),
        tabs: tabs(mapping, titles),
    }
}

/// The line on each printed page.
pub(super) fn footer(mapping: &Mapping, titles: Titles<'_>) -> String {
    format!("{}, version {}, digest {}…", titles.programme, mapping.plain_version(), &mapping.digest()[..12])
}

pub(super) fn fact(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub(super) fn agreement<'a>(mapping: &'a Mapping, titles: Titles<'a>) -> &'a str {
    let of_approval = || mapping.approval().map(|approval| approval.agreement.as_str());
    titles.agreement.or_else(of_approval).unwrap_or("none is named")
}

/// Whether somebody approved it.
pub(super) fn approval(mapping: &Mapping, titles: Titles<'_>) -> String {
    let Some(approval) = mapping.approval() else { return "NOT APPROVED: nobody has signed this version yet".to_owned() };
    let (by, on) = (&approval.by_role, approval.on);
    match mapping.unapproved(titles.agreement.unwrap_or(&approval.agreement)) {
        None => format!("approved by {by} on {on}"),
        Some(Unapproved::Never) => "NOT APPROVED: nobody has signed this version yet".to_owned(),
        Some(Unapproved::Changed) => format!("NOT APPROVED: it has changed since {by} approved it on {on}"),
        Some(Unapproved::OtherAgreement) => {
            format!("NOT APPROVED under this agreement: {by} approved it on {on} under {}", approval.agreement)
        }
    }
}

/// Every table of the book.
pub(super) fn tabs(mapping: &Mapping, titles: Titles<'_>) -> Vec<Tab> {
    let messages = Message::ALL.iter().map(|message| fields(mapping, *message, titles));
    let tables = mapping.tables().iter().map(|table| values(mapping, table));
    messages.chain(tables).chain(profiles(mapping)).chain([texts(mapping), names(mapping)]).collect()
}

pub(super) fn column(heading: &str, width: u16) -> Column {
    Column { heading: heading.to_owned(), width, signed: true }
}

/// A column that may differ without anything being changed.
pub(super) fn unsigned(heading: &str, width: u16) -> Column {
    Column { signed: false, ..column(heading, width) }
}

fn fields(mapping: &Mapping, message: Message, titles: Titles<'_>) -> Tab {
    let side = if words::goes_to_unhcr(message) { "DTP" } else { "Primero" };
    let columns = vec![
        unsigned("No.", 5),
        column(&format!("Written to ({side})"), 26),
        column("Taken from", 38),
        column("Rule", 52),
        column("Form", 18),
        column("Localisable", 11),
        column("Required", 11),
        column("Default", 18),
        unsigned("Set by", 11),
        column("Reason", 38),
    ];
    let rows = words::fields(mapping, message).into_iter().enumerate().map(|(at, Field { id, row, source, rule })| Row {
        id,
        mark: Mark::Plain,
        cells: vec![
            (at + 1).to_string().into(),
            row.target.as_str().into(),
            source.into(),
            rule.into(),
            row.form.as_deref().unwrap_or("not on form").into(),
            (if row.localisable { "yes" } else { "no" }).into(),
            words::required(row).into(),
            words::default(row).into(),
            (if row.of_base { "base" } else { titles.programme }).into(),
            row.reason.as_deref().unwrap_or_default().into(),
        ],
    });
    let rows = rows.collect();
    Tab { name: words::title(message).to_owned(), kind: Kind::Fields, note: words::about(message).to_owned(), columns, rows }
}

fn values(mapping: &Mapping, table: &Table) -> Tab {
    let users: Vec<String> = Message::ALL
        .iter()
        .flat_map(|message| mapping.rules(*message).all_rows().map(move |row| (message, row)))
        .filter(|(_, row)| words::lookups(row).iter().any(|lookup| lookup.table.name == table.name))
        .map(|(message, row)| format!("{} ({})", row.target, words::title(*message)))
        .collect();
    let mut note = format!("Used by: {}.", users.join(", "));
    if table.needs_confirmation {
        note.push_str(" Each row says which role confirmed it and when; in production no other row can be opened.");
    }
    let wide = |at: usize| {
        let cells = table.rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or_default().clamp(18, 48)
    };
    let mut columns = vec![unsigned("No.", 5)];
    columns.extend(table.columns.iter().enumerate().map(|(at, name)| {
        let role = if *name == table.looked_up {
            " (looked up)"
        } else if *name == table.written {
            " (written)"
        } else {
            ""
        };
        let width = wide(at).max(name.chars().count() + role.len() + 2);
        column(&format!("{name}{role}"), u16::try_from(width).unwrap_or(48))
    }));
    let rows = table.rows.iter().enumerate().map(|(at, cells)| {
        let mut texts: Vec<Cell> = vec![(at + 1).to_string().into()];
        for (name, cell) in table.columns.iter().zip(cells) {
            let unconfirmed = table.needs_confirmation && name == "confirmed_by_role" && cell.is_empty();
            texts.push(if unconfirmed { "not confirmed".into() } else { cell.as_str().into() });
        }
        Row { id: key(table, at).to_owned(), mark: Mark::Plain, cells: texts }
    });
    let rows = rows.collect();
    Tab { name: format!("Table {}", table.name), kind: Kind::Values, note, columns, rows }
}

/// What is looked up in a row.
pub(super) fn key(table: &Table, row: usize) -> &str {
    table.cell(row, &table.looked_up).unwrap_or_default()
}

/// Services for which fewer fields are exchanged; no table if there are none.
fn profiles(mapping: &Mapping) -> Option<Tab> {
    let mut rows = Vec::new();
    for profile in mapping.profiles().into_iter().flatten() {
        for (message, only) in &profile.only {
            let only: Vec<&str> = only.iter().map(String::as_str).collect();
            let cells = vec![
                (rows.len() + 1).to_string().into(),
                profile.name.as_str().into(),
                profile.service_types.join("\n").into(),
                words::title(*message).into(),
                only.join(", ").into(),
                profile.reason.as_deref().unwrap_or_default().into(),
            ];
            rows.push(Row { id: format!("{} {}", profile.name, message.code()), mark: Mark::Plain, cells });
        }
    }
    (!rows.is_empty()).then(|| Tab {
        name: "Fewer fields".to_owned(),
        kind: Kind::Other,
        note: "For these services only the fields named here are written; whoever gets the message needs to know no more."
            .to_owned(),
        columns: vec![
            unsigned("No.", 5),
            column("Name", 26),
            column("Services", 30),
            column("Message", 24),
            column("Only these fields", 70),
            column("Reason", 38),
        ],
        rows,
    })
}

fn texts(mapping: &Mapping) -> Tab {
    let rows = mapping.texts().enumerate().map(|(at, (reason, text))| Row {
        id: reason.code().to_owned(),
        mark: Mark::Plain,
        cells: vec![(at + 1).to_string().into(), reason.code().into(), text.into()],
    });
    Tab {
        name: "Texts".to_owned(),
        kind: Kind::Other,
        note: "What UNHCR's staff read when a request could not be delivered. {fields} becomes the names of the fields, never a value."
            .to_owned(),
        columns: vec![unsigned("No.", 5), column("Reason", 30), column("Text", 110)],
        rows: rows.collect(),
    }
}

/// The fields on which the program itself relies, by what they are for.
pub(super) fn relied_on(mapping: &Mapping) -> Vec<(&'static str, String)> {
    let (identity, service) = (mapping.identity(), mapping.service_fields());
    vec![
        ("a child is found by its person number", identity.person_number.clone()),
        ("a case found must not contradict: sex", identity.sex.clone()),
        ("a case found must not contradict: date of birth", identity.date_of_birth.clone()),
        ("a case found must not contradict: names", identity.names.join(", ")),
        ("a service is recognised by the request's number", service.number.clone()),
        ("the kind of service", service.service_type.clone()),
        ("the decision of staff", service.status.clone()),
        ("the case that UNHCR believes it is (a field of proGres)", mapping.names_case_by().to_owned()),
    ]
}

fn names(mapping: &Mapping) -> Tab {
    let rows = relied_on(mapping).into_iter().enumerate().map(|(at, (what, name))| Row {
        id: what.to_owned(),
        mark: Mark::Plain,
        cells: vec![(at + 1).to_string().into(), what.into(), if name.is_empty() { "not exchanged".into() } else { name.into() }],
    });
    Tab {
        name: "Recognised by".to_owned(),
        kind: Kind::Other,
        note: "The fields by which the program finds a child and a service again: those of Primero, and one of proGres."
            .to_owned(),
        columns: vec![unsigned("No.", 5), column("What for", 60), column("Field", 60)],
        rows: rows.collect(),
    }
}
