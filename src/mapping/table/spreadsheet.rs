//! What a spreadsheet does to a table when it saves it: read right where nothing is lost, else refused with the cell named.
//!
//! It knows cells, not what they mean. A cell of a table is configuration, never a value of a record, so it may be quoted.

use crate::mapping::file::{Findings, Place};

/// What a spreadsheet writes where a formula failed.
const ERRORS: [&str; 8] = ["#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "########"];
/// The months as spreadsheets write them in English, French, German and Spanish.
const MONTHS: &str = " jan january janv janvier januar jänner ene enero feb february fév févr février februar febrero mar march mars \
    mär mrz märz marzo apr april avr avril abr abril may mai mayo jun june juin juni junio jul july juil juillet juli julio aug \
    august aoû août ago agosto sep sept september septembre septiembre oct october octobre okt oktober octubre nov november \
    novembre noviembre dec december déc décembre dez dezember dic diciembre ";

/// What a spreadsheet makes of true and false, in the same languages.
const ANSWERS: [&str; 8] = ["TRUE", "FALSE", "VRAI", "FAUX", "WAHR", "FALSCH", "VERDADERO", "FALSO"];
/// What nobody sees, or takes for a plain blank: Unicode's format characters (general category Cf), every blank but the plain one, fillers
/// and selectors of variants. From each first to each last one.
const UNSEEN: [(char, char); 31] = [
    ('\u{a0}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// What parts the cells: a comma, or what a spreadsheet uses where the comma is a decimal sign.
pub(super) fn delimiter(text: &str, wanted: &[&str]) -> u8 {
    let heading = text.lines().next().unwrap_or_default();
    let parts = |delimiter: char| {
        let names: Vec<&str> = heading.split(delimiter).map(|name| name.trim().trim_matches('"')).collect();
        wanted.iter().all(|name| names.contains(name))
    };
    [(',', b','), (';', b';'), ('\t', b'\t')].into_iter().find(|(sign, _)| parts(*sign)).map_or(b',', |(_, delimiter)| delimiter)
}

/// The headings without empty ones at the end; a heading must be plain and stand once.
pub(super) fn headings(mut columns: Vec<String>, place: Place, findings: &Findings) -> Vec<String> {
    while columns.last().is_some_and(|name| name.trim().is_empty()) {
        columns.pop();
    }
    for (at, name) in columns.iter().enumerate() {
        if name.trim().is_empty() {
            findings.add(place, format_args!("column {} has no heading (hint: give it one, or remove it)", at + 1));
        } else if name.trim() != name {
            findings.add(place, format_args!("the heading `{name}` has white space around it (hint: remove it)"));
        } else if columns[..at].contains(name) {
            findings.add(place, format_args!("two columns are called `{name}` (hint: give one of them another name)"));
        }
    }
    columns
}

/// What a spreadsheet has done to a cell; `matched` if the program compares or writes it.
pub(super) fn damage(cell: &str, matched: bool) -> Option<String> {
    if cell.trim() != cell {
        return Some("has white space around it, which is easily overlooked (hint: remove it)".to_owned());
    }
    if cell.contains('\u{fffd}') {
        return Some("has a character that was lost (hint: type it again, and save as \"CSV UTF-8\")".to_owned());
    }
    if ERRORS.contains(&cell) {
        return Some(format!(
            "says `{cell}`, an error of a spreadsheet (hint: type the cell again, as text and not as a formula)"
        ));
    }
    if !matched {
        return None;
    }
    if cell.contains(['“', '”', '„', '‟', '‘', '’', '‚', '«', '»']) {
        return Some(
            "has typographic quotation marks (hint: type straight ones; a word processor may have changed them)".to_owned(),
        );
    }
    if is_shortened_number(cell) {
        return Some(format!(
            "says `{cell}`, a number that a spreadsheet has shortened (hint: make the column text, and type the code again)"
        ));
    }
    if is_grouped_number(cell) {
        return Some(format!(
            "says `{cell}`, a number that a spreadsheet has written its own way (hint: make the column text, and type the digits alone)"
        ));
    }
    if hides_something(cell) {
        return Some("has a character that nobody can see (hint: type the cell again)".to_owned());
    }
    if ANSWERS.contains(&cell) {
        return Some(format!(
            "says `{cell}`, which a spreadsheet has made of a word in small letters (hint: make the column text, and type the word again)"
        ));
    }
    if is_made_date(cell) {
        return Some(format!(
            "says `{cell}`, which looks like a date that a spreadsheet has made (hint: make the column text, and type the cell again)"
        ));
    }
    None
}

/// Whether a cell has a character that nobody sees. Between letters beyond Latin, Greek and Cyrillic the two joiners belong to the spelling.
fn hides_something(cell: &str) -> bool {
    let signs: Vec<char> = cell.chars().collect();
    let belongs = |at: usize| {
        let of_a_script = |at: usize| signs.get(at).is_some_and(|sign| ('\u{590}'..'\u{2000}').contains(sign));
        matches!(signs[at], '\u{200c}' | '\u{200d}') && at > 0 && of_a_script(at - 1) && of_a_script(at + 1)
    };
    let unseen = |sign: char| sign.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&sign));
    signs.iter().enumerate().any(|(at, sign)| unseen(*sign) && !belongs(at))
}

/// Codes of digits where some begin with 0 and others are shorter: those lost their zeros.
pub(super) fn lost_zeros<'a>(column: &str, cells: impl Iterator<Item = (&'a str, Place)>, findings: &Findings) {
    let digits: Vec<(&str, Place)> =
        cells.filter(|(cell, _)| !cell.is_empty() && cell.bytes().all(|sign| sign.is_ascii_digit())).collect();
    let Some(length) =
        digits.iter().filter(|(cell, _)| cell.len() > 1 && cell.starts_with('0')).map(|(cell, _)| cell.len()).max()
    else {
        return;
    };
    for (cell, place) in digits.iter().filter(|(cell, _)| cell.len() < length) {
        findings.add(
            *place,
            format_args!(
                "the cell `{column}` says `{cell}`, shorter than other codes that begin with 0 (hint: a spreadsheet has taken zeros away; \
                 make the column text, and type the code again)"
            ),
        );
    }
}

/// `1.25E+08`
fn is_shortened_number(cell: &str) -> bool {
    let Some((number, power)) = cell.split_once(['E', 'e']) else { return false };
    let numeric = |text: &str| !text.is_empty() && text.chars().all(|sign| sign.is_ascii_digit() || matches!(sign, '.' | ','));
    numeric(number) && power.strip_prefix(['+', '-']).is_some_and(|power| power.bytes().all(|sign| sign.is_ascii_digit()))
}

/// `125,080,000`, `125.080.000`, `125080000.0`
fn is_grouped_number(cell: &str) -> bool {
    let mut parts = cell.split(['.', ',', '\u{202f}', '\'']);
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_digit());
    let rest: Vec<&str> = parts.collect();
    !rest.is_empty()
        && digits(first)
        && rest.iter().all(|part| digits(part))
        && (rest.iter().all(|part| part.len() == 3) && first.len() <= 3
            || matches!(rest.as_slice(), [decimals] if decimals.bytes().all(|sign| sign == b'0')))
}

/// `10-May`, `mai 26`, `05/10/2026`, `2026-10-05 00:00:00`
fn is_made_date(cell: &str) -> bool {
    let midnight = [" 00:00:00", " 0:00:00", " 00:00", " 0:00"].iter().find_map(|time| cell.strip_suffix(time));
    let day = midnight.unwrap_or(cell);
    let number = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|sign| sign.is_ascii_digit());
    let month = |part: &str| part.chars().all(char::is_alphabetic) && MONTHS.contains(&format!(" {} ", part.to_lowercase()));
    let digits: Vec<&str> = day.split(['-', '/', '.']).collect();
    let words: Vec<&str> = day.split(['-', '/', '.', ' ', ',']).filter(|part| !part.is_empty()).collect();
    matches!(digits.as_slice(), [day, middle, year] if number(day) && number(middle) && number(year))
        || match words.as_slice() {
            [one, other] => number(one) && month(other) || month(one) && number(other),
            [day, middle, year] => number(year) && (number(day) && month(middle) || month(day) && number(middle)),
            _ => false,
        }
}
