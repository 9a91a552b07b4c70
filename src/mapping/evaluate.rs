//! Applies rules to records: a document, and every gap that keeps it from being made.
//!
//! Pure. A gap names the source field and never a value.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Document, Gap, INTERVENTION_NUMBER,
    moment::{Moment, looks_like_date},
    rules::{
        Agreed, Demand, Given, Lookup, Many, Message, Missing, Part, Profile, Reading, Record, Row, Rules, Setting, Source,
        Unlisted,
    },
    text::{clean, is_blank, plain},
};
use crate::{reason::Reason, referral::is_plain_identifier};

/// The longest identifier that is taken.
const LONGEST_IDENTIFIER: usize = 64;

/// Everything that rules may read. What a message does not know stays empty.
#[derive(Clone, Copy, Default)]
pub(super) struct Sources<'a> {
    /// The rows of one intervention.
    pub(super) rows: &'a [Document],
    pub(super) case: Option<&'a Document>,
    pub(super) service: Option<&'a Document>,
    pub(super) owner: Option<&'a Document>,
    pub(super) decision_item: Option<&'a Document>,
    /// The intervention number, as the door read it.
    pub(super) number: Option<&'a str>,
    pub(super) case_id: Option<&'a str>,
    pub(super) decision: Option<&'a str>,
    pub(super) reason_texts: Option<&'a str>,
    pub(super) intake_user: Option<&'a str>,
    pub(super) administrator: Option<&'a Document>,
    pub(super) today: Option<NaiveDate>,
    pub(super) service_types: &'a [String],
    pub(super) agencies: &'a [String],
    /// Only these fields are written.
    pub(super) profile: Option<&'a Profile>,
}

/// A value as it was read; `Nothing` when absent, null, empty or blank.
enum Found<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Value(Value),
}

/// The field and why it cannot be used.
type Unusable<'a> = (&'a str, Reason);

impl<'a> Sources<'a> {
    /// The document of all rows, in the order of the rules; gaps are added to `gaps`.
    pub(super) fn document(&self, rules: &'a Rules, message: Message, gaps: &mut Vec<Gap>) -> Document {
        let mut document = Document::new();
        for row in self.rows_of(rules).filter(|row| self.writes(row, message)) {
            if let Some(value) = self.value(row, message, gaps) {
                document.insert(row.target.clone(), value);
            }
        }
        document
    }

    /// Whether the profile, if there is one, has the row.
    pub(super) fn writes(&self, row: &Row, message: Message) -> bool {
        self.profile.is_none_or(|profile| profile.has(message, &row.target))
    }

    /// The rows that apply: of each block, one side.
    fn rows_of(&self, rules: &'a Rules) -> impl Iterator<Item = &'a Row> {
        let sides = rules.blocks.iter().flat_map(|block| {
            let there = |(record, key): &(Record, String)| self.raw(*record, key).is_some_and(|value| !is_missing(value));
            if block.any_of.iter().any(there) { &block.then } else { &block.otherwise }
        });
        rules.rows.iter().chain(sides)
    }

    /// The value of one row; `None` if nothing is to be written.
    pub(super) fn value(&self, row: &'a Row, message: Message, gaps: &mut Vec<Gap>) -> Option<Value> {
        let found = match &row.source {
            Source::Constant(value) => return Some(value.clone()),
            Source::Setting(setting) => Ok(self.setting(*setting)),
            Source::Given(given, lookup) => {
                let found = self.given(*given);
                lookup.as_ref().map_or(Ok(Found::text(found)), |lookup| look_up(lookup, found, Reason::InvalidValues))
            }
            .map_err(|reason| (row.target.as_str(), reason)),
            Source::Part(part) => self.part(part, message),
            Source::Join { parts, separator } => match self.join(parts, separator, message, gaps) {
                Some(found) => Ok(found),
                None => return None,
            },
        };
        match found {
            Ok(Found::Text(text)) => Some(Value::String(if message.goes_to_primero() && is_free_text(&row.source) {
                not_a_date(text)
            } else {
                text.into_owned()
            })),
            Ok(Found::Value(value)) => Some(value),
            Ok(Found::Nothing) => match &row.missing {
                Missing::Absent => None,
                Missing::Null => Some(Value::Null),
                Missing::Empty => Some(Value::String(String::new())),
                Missing::Default(value) => Some(value.clone()),
                Missing::Required => {
                    let field = row.source.parts().first().map_or(row.target.as_str(), Part::name);
                    gaps.push(Gap { reason: Reason::MissingFields, field: field.to_owned() });
                    None
                }
            },
            Err((field, reason)) => {
                gaps.push(Gap { reason, field: field.to_owned() });
                None
            }
        }
    }

    fn setting(&self, setting: Setting) -> Found<'a> {
        let of_administrator = |key| self.administrator.and_then(|administrator| administrator.get(key)).and_then(Value::as_str);
        Found::text(match setting {
            Setting::IntakeUser => self.intake_user,
            Setting::AdministratorEmail => of_administrator("email"),
            Setting::AdministratorFullName => of_administrator("full_name"),
            Setting::AdministratorPhone => of_administrator("phone"),
        })
    }

    const fn given(&self, given: Given) -> Option<&'a str> {
        match given {
            Given::InterventionNumber => self.number,
            Given::CaseId => self.case_id,
            Given::Decision => self.decision,
            Given::ReasonTexts => self.reason_texts,
        }
    }

    /// Every part that has a value; `None` if one of them cannot be used.
    fn join(&self, parts: &'a [Part], separator: &str, message: Message, gaps: &mut Vec<Gap>) -> Option<Found<'a>> {
        let mut joined: Option<String> = None;
        let before = gaps.len();
        for part in parts {
            let text = match self.part(part, message) {
                Ok(Found::Text(text)) => text,
                Ok(Found::Value(value)) => Cow::Owned(value.to_string()),
                Ok(Found::Nothing) => {
                    if part.required {
                        gaps.push(Gap { reason: Reason::MissingFields, field: part.name().to_owned() });
                    }
                    continue;
                }
                Err((field, reason)) => {
                    gaps.push(Gap { reason, field: field.to_owned() });
                    continue;
                }
            };
            let joined = joined.get_or_insert_default();
            if !joined.is_empty() {
                joined.push_str(separator);
            }
            joined.push_str(text.trim());
        }
        (gaps.len() == before).then(|| joined.map_or(Found::Nothing, |joined| Found::Text(Cow::Owned(joined))))
    }

    /// One part: the first of its fields that has a value, or several values.
    fn part(&self, part: &'a Part, message: Message) -> Result<Found<'a>, Unusable<'a>> {
        match &part.many {
            Many::One => self.first(part, message, |key| self.raw(part.record, key)),
            Many::AllRows(separator) => {
                let mut values: Vec<Value> = Vec::new();
                for row in self.rows {
                    match self.first(part, message, |key| row.get(key))? {
                        Found::Nothing => {}
                        Found::Text(text) if values.iter().any(|seen| seen.as_str() == Some(text.as_ref())) => {}
                        Found::Text(text) => values.push(Value::String(text.into_owned())),
                        Found::Value(value) => values.extend(Some(value).filter(|value| !values.contains(value))),
                    }
                }
                Ok(several(values, separator.as_deref()))
            }
            Many::List(separator) => {
                let filled = |key: &&String| self.raw(part.record, key).is_some_and(|value| !is_missing(value));
                let Some(key) = part.keys.iter().find(filled) else { return Ok(Found::Nothing) };
                let entries = match self.raw(part.record, key) {
                    Some(Value::Array(entries)) => entries.as_slice(),
                    Some(single) => std::slice::from_ref(single),
                    None => &[],
                };
                let mut values: Vec<Value> = Vec::with_capacity(entries.len());
                for entry in entries {
                    match self.read(part, entry, message).map_err(|reason| (key.as_str(), reason))? {
                        Found::Nothing => {}
                        Found::Text(text) => values.push(Value::String(text.into_owned())),
                        Found::Value(value) => values.push(value),
                    }
                }
                Ok(several(values, separator.as_deref()))
            }
        }
    }

    fn first(
        &self,
        part: &'a Part,
        message: Message,
        raw: impl Fn(&str) -> Option<&'a Value>,
    ) -> Result<Found<'a>, Unusable<'a>> {
        for key in &part.keys {
            let unusable = |reason| (key.as_str(), reason);
            let found = match self.number {
                Some(number) if part.record == Record::Intervention && key == INTERVENTION_NUMBER => {
                    worded(part, Cow::Borrowed(number), message)
                        .and_then(|text| text.map_or(Ok(Found::Nothing), |text| self.shape(part, text)))
                        .map_err(unusable)?
                }
                _ => match raw(key) {
                    Some(value) => self.read(part, value, message).map_err(unusable)?,
                    None => Found::Nothing,
                },
            };
            if !matches!(found, Found::Nothing) {
                return Ok(found);
            }
        }
        Ok(Found::Nothing)
    }

    fn raw(&self, record: Record, key: &str) -> Option<&'a Value> {
        match record {
            Record::Intervention => self.rows.first(),
            Record::Case => self.case,
            Record::Service => self.service,
            Record::Owner => self.owner,
            Record::Decision => self.decision_item,
        }?
        .get(key)
    }

    /// What a table or a list is asked for: the text of the first field that has one. `None` if there is none, or none that can be read.
    pub(super) fn asked_for(&self, part: &'a Part, message: Message) -> Option<Cow<'a, str>> {
        let mut values = part.keys.iter().filter_map(|key| self.raw(part.record, key)).filter(|value| !is_missing(value));
        values.find_map(|value| text(part, value, message).transpose())?.ok()
    }

    /// Reads one value as the part says.
    fn read(&self, part: &'a Part, value: &'a Value, message: Message) -> Result<Found<'a>, Reason> {
        if is_missing(value) {
            return Ok(Found::Nothing);
        }
        match (part.reading, value) {
            (Reading::AsIs, value) => Ok(Found::Value(value.clone())),
            (Reading::Date | Reading::DateTime | Reading::Age, Value::String(text)) => self.moment(part, text),
            _ => text(part, value, message)?.map_or(Ok(Found::Nothing), |text| self.shape(part, text)),
        }
    }

    fn moment(&self, part: &Part, text: &str) -> Result<Found<'a>, Reason> {
        let moment = Moment::parse(text).ok_or(Reason::InvalidValues)?;
        let today = self.today.unwrap_or(NaiveDate::MAX);
        if part.demand == Some(Demand::NotAfterToday) && moment.date > today {
            return Err(Reason::InvalidValues);
        }
        match part.reading {
            Reading::Age => today.years_since(moment.date).map(|years| Found::Value(years.into())),
            Reading::DateTime => moment.to_utc().map(|utc| Found::Text(Cow::Owned(utc))),
            Reading::Date
            | Reading::Text
            | Reading::TextOrNumber
            | Reading::Reference
            | Reading::Plain { .. }
            | Reading::AsIs => Some(Found::Text(Cow::Owned(moment.date.to_string()))),
        }
        .ok_or(Reason::InvalidValues)
    }

    /// What the part makes of its text: it must stand on its list, and is made into an id or looked up.
    fn shape(&self, part: &'a Part, text: Cow<'a, str>) -> Result<Found<'a>, Reason> {
        let agreed = part.agreed.map(|list| match list {
            Agreed::ServiceTypes => (self.service_types, Reason::ServiceTypeNotAgreed),
            Agreed::Agencies => (self.agencies, Reason::AgencyNotSigned),
        });
        if let Some((list, reason)) = agreed
            && !list.iter().any(|agreed| *agreed == text)
        {
            return Err(reason);
        }
        if let Some(namespace) = &part.uuid5 {
            let uuid = Uuid::new_v5(namespace, text.as_bytes());
            return Ok(Found::Text(Cow::Owned(uuid.hyphenated().to_string())));
        }
        let Some(lookup) = &part.lookup else { return Ok(Found::Text(text)) };
        let refusal = agreed.map_or(Reason::InvalidValues, |(_, reason)| reason);
        look_up(lookup, Some(text), refusal)
    }
}

impl<'a> Found<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.filter(|text| !is_blank(text)).map_or(Self::Nothing, |text| Self::Text(Cow::Borrowed(text)))
    }
}

/// The text of a value that is not missing, as lists and tables are asked for it; `None` if there is nothing to read.
fn text<'a>(part: &Part, value: &'a Value, message: Message) -> Result<Option<Cow<'a, str>>, Reason> {
    // Free text may lose what nobody can see; an identifier or a code is what it is, or nothing.
    let exact = part.demand.is_some() || part.lookup.is_some() || part.uuid5.is_some();
    let cleaned = |text: &'a String| if exact { Cow::Borrowed(text.as_str()) } else { clean(text) };
    let text = match (part.reading, value) {
        (Reading::Text | Reading::TextOrNumber, Value::String(text)) => cleaned(text),
        // A code may come as a number; only its digits are a code.
        (Reading::Text, Value::Number(number)) if part.lookup.is_some() && !number.is_f64() => Cow::Owned(number.to_string()),
        (Reading::TextOrNumber, Value::Number(number)) => Cow::Owned(number.to_string()),
        (Reading::Reference, Value::Object(reference)) => match reference.get("Name") {
            Some(Value::String(name)) => cleaned(name),
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => return Err(Reason::InvalidValues),
        },
        (Reading::Plain { notes, html }, Value::String(text)) => plain(text, notes, html).ok_or(Reason::InvalidValues)?,
        (
            Reading::Text
            | Reading::TextOrNumber
            | Reading::Reference
            | Reading::Plain { .. }
            | Reading::Date
            | Reading::DateTime
            | Reading::Age
            | Reading::AsIs,
            _,
        ) => return Err(Reason::InvalidValues),
    };
    if is_blank(&text) { Ok(None) } else { worded(part, text, message) }
}

/// A text that is not blank, as the part wants it; `None` if it counts as missing.
fn worded<'a>(part: &Part, mut text: Cow<'a, str>, message: Message) -> Result<Option<Cow<'a, str>>, Reason> {
    if let Some(count) = part.last_characters {
        let (from, _) = text.char_indices().rev().nth(count - 1).ok_or(Reason::InvalidValues)?;
        text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
            Cow::Owned(text) => Cow::Owned(text[from..].to_owned()),
        };
    }
    if part.lower_case && text.contains(char::is_uppercase) {
        text = Cow::Owned(text.to_lowercase());
    }
    match part.demand {
        Some(Demand::Identifier | Demand::OnlyUuid) if !is_identifier(&text, message) => Err(Reason::InvalidValues),
        Some(Demand::OnlyUuid) => Ok(uuid(&text).map(Cow::Owned)),
        Some(Demand::Identifier | Demand::NotAfterToday) | None => Ok(Some(text)),
    }
}

/// Absent, null, empty and blank are the same.
pub(super) fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => is_blank(text),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a text can stand in a filter of Primero, and in Primero unaltered.
pub(super) fn is_identifier(text: &str, message: Message) -> bool {
    text.len() <= LONGEST_IDENTIFIER && is_plain_identifier(text) && !(message.goes_to_primero() && looks_like_date(text))
}

/// A UUID in its usual spelling, in lower case.
pub(super) fn uuid(text: &str) -> Option<String> {
    let uuid = Uuid::try_parse(text).ok()?.hyphenated().to_string();
    uuid.eq_ignore_ascii_case(text).then_some(uuid)
}

fn look_up<'a>(lookup: &'a Lookup, text: Option<impl Into<Cow<'a, str>>>, refusal: Reason) -> Result<Found<'a>, Reason> {
    let Some(text) = text.map(Into::into) else { return Ok(Found::Nothing) };
    match (lookup.table.get(&text), &lookup.unlisted) {
        (Some(written), _) => Ok(Found::Text(Cow::Borrowed(written))),
        (None, Unlisted::Refuse) => Err(refusal),
        (None, Unlisted::AsIs) => Ok(Found::Text(text)),
        (None, Unlisted::LeaveOut) => Ok(Found::Nothing),
        (None, Unlisted::Default(default)) => Ok(Found::Text(Cow::Borrowed(default))),
    }
}

fn several<'a>(values: Vec<Value>, separator: Option<&str>) -> Found<'a> {
    match separator {
        _ if values.is_empty() => Found::Nothing,
        None => Found::Value(Value::Array(values)),
        Some(separator) => {
            let texts: Vec<Cow<'_, str>> =
                values.iter().map(|value| value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)).collect();
            Found::Text(Cow::Owned(texts.join(separator)))
        }
    }
}

/// Whether the text is somebody's own words, and not a code, an identifier or a date.
fn is_free_text(source: &Source) -> bool {
    let free = |part: &Part| {
        part.lookup.is_none()
            && part.demand.is_none()
            && part.uuid5.is_none()
            && !matches!(part.reading, Reading::Date | Reading::DateTime | Reading::Age | Reading::AsIs)
    };
    match source {
        Source::Join { .. } => true,
        Source::Part(part) => free(part),
        Source::Constant(_) | Source::Setting(_) | Source::Given(..) => false,
    }
}

/// Primero takes a text that is exactly a date for a date, and refuses it; a full stop makes it a text again.
fn not_a_date(text: Cow<'_, str>) -> String {
    let mut text = text.into_owned();
    if looks_like_date(&text) {
        text.push('.');
    }
    text
}
