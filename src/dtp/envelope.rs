//! What DTP posts: the envelope and its items, checked and cut to what the mapping reads.
//!
//! Pure. It knows how DTP groups its rows and nothing of what they mean; a flaw names a place, never a value.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde_json::Value;

use super::{
    Document,
    pruned::{self, NotJson},
};
use crate::referral::{InterventionNumber, OutgoingId, codes};

const NUMBER: &str = "progres_interventionnumber";
const OUTGOING_ID: &str = "progres_orgreferralid";
/// The most items of a post. What is wrong with each is told, in many times the bytes of an item that is nothing.
const MOST_ITEMS: usize = 10_000;

/// A post of which at least one item is usable.
#[derive(Debug)]
pub struct Envelope {
    /// The usable items.
    pub items: Items,
    /// The others.
    pub not_taken: Vec<NotTaken>,
}

/// What a post is about.
#[derive(Debug)]
pub enum Items {
    /// `PrimeroOutgoingReferral`, in the order in which their first rows stand in the post.
    Interventions(Vec<Intervention>),
    /// `PrimeroIncomingReferralDecision`
    Decisions(Vec<DecisionItem>),
}

/// What is asked for one person: the rows of a post that share a number.
#[derive(Clone, PartialEq)]
pub struct Intervention {
    /// `progres_interventionnumber`
    pub number: InterventionNumber,
    /// Its rows in order, cut to the keys that are read.
    pub rows: Vec<Document>,
}

/// UNHCR's decision on one referral.
#[derive(Clone, PartialEq)]
pub struct DecisionItem {
    /// `progres_orgreferralid`
    pub outgoing: OutgoingId,
    /// The item, cut to the keys that are read.
    pub item: Document,
}

/// An item that is not usable, or what is wrong with the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// JSON pointer into the post.
    pub pointer: String,
    /// What is wrong there.
    pub reason: Flaw,
}

codes! {
    /// What is wrong at a place in a post.
    Flaw {
        /// There is nothing.
        Missing = "missing",
        /// An object is expected.
        NotAnObject = "not_an_object",
        /// A list is expected.
        NotAList = "not_a_list",
        /// The list has no items.
        Empty = "empty",
        /// The list has more than 10,000 items.
        TooMany = "too_many",
        /// Not one of the two request types.
        UnknownRequestType = "unknown_request_type",
        /// Not an intervention number: 1 to 64 of the characters A-Z a-z 0-9 - _ / .
        MalformedNumber = "malformed_number",
        /// Not an id of a referral that came from Primero: `<case_id>#<12 characters>`.
        MalformedReferralId = "malformed_referral_id",
    }
}

/// A post of which nothing can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnusablePost {
    /// Not JSON, not UTF-8, a key twice in one object, or nested deeper than 32: 400.
    NotJson,
    /// The envelope is wrong, or no item is usable: 422 with every flaw.
    Unprocessable(Vec<NotTaken>),
}

impl Envelope {
    /// Reads a post. Of its items only the keys given for their kind stay.
    pub fn parse(
        bytes: &[u8],
        intervention_keys: &BTreeSet<String>,
        decision_keys: &BTreeSet<String>,
    ) -> Result<Self, UnusablePost> {
        // What kind of items these are may be said only after them; so the keys of both kinds are read at first.
        let is_read =
            |key: &str| intervention_keys.contains(key) || decision_keys.contains(key) || key == NUMBER || key == OUTGOING_ID;
        let post = pruned::read(bytes, &is_read).map_err(|NotJson| UnusablePost::NotJson)?;
        let (kind, items) = outline(post).map_err(UnusablePost::Unprocessable)?;
        let mut not_taken = Vec::new();
        let items = match kind {
            Kind::Interventions => Items::Interventions(interventions(items, intervention_keys, &mut not_taken)),
            Kind::Decisions => Items::Decisions(decisions(items, decision_keys, &mut not_taken)),
        };
        if items.is_empty() { Err(UnusablePost::Unprocessable(not_taken)) } else { Ok(Self { items, not_taken }) }
    }
}

impl Items {
    /// How many interventions or decisions there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Interventions(interventions) => interventions.len(),
            Self::Decisions(decisions) => decisions.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The content of an intervention or a decision in one spelling, so that equal content has equal bytes.
///
/// The order of keys and of rows does not matter, nor how often a row stands there. A key that is absent, null, blank or an
/// empty list or object is the same: none of them says anything.
#[must_use]
pub fn content(rows: &[Document]) -> Vec<u8> {
    let rows: BTreeSet<Vec<u8>> = rows
        .iter()
        .map(|row| {
            let mut bytes = Vec::with_capacity(1024);
            write_object(row, &mut bytes);
            bytes
        })
        .collect();
    let mut content = Vec::with_capacity(rows.iter().map(|row| row.len() + 1).sum());
    for row in rows {
        content.extend_from_slice(&row);
        // JSON written without spaces has no line breaks of its own.
        content.push(b'\n');
    }
    content
}

impl fmt::Debug for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intervention").field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecisionItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionItem").field("outgoing", &self.outgoing).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Interventions,
    Decisions,
}

impl Kind {
    fn of(request_type: &Value) -> Option<Self> {
        match request_type.as_str()? {
            "PrimeroOutgoingReferral" => Some(Self::Interventions),
            "PrimeroIncomingReferralDecision" => Some(Self::Decisions),
            _ => None,
        }
    }
}

/// Kind and items of a post, or everything that is wrong with its outline.
fn outline(post: Value) -> Result<(Kind, Vec<Value>), Vec<NotTaken>> {
    let flaw = |pointer: &str, reason| NotTaken { pointer: pointer.to_owned(), reason };
    let Value::Object(mut post) = post else { return Err(vec![flaw("", Flaw::NotAnObject)]) };
    let kind = match post.get("request_type") {
        None => Err(Flaw::Missing),
        Some(request_type) => Kind::of(request_type).ok_or(Flaw::UnknownRequestType),
    };
    let items = match post.remove("interventions") {
        None => Err(Flaw::Missing),
        Some(Value::Array(items)) if items.is_empty() => Err(Flaw::Empty),
        Some(Value::Array(items)) if items.len() > MOST_ITEMS => Err(Flaw::TooMany),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Flaw::NotAList),
    };
    match (kind, items) {
        (Ok(kind), Ok(items)) => Ok((kind, items)),
        (kind, items) => {
            let kind = kind.err().map(|reason| flaw("/request_type", reason));
            Err(kind.into_iter().chain(items.err().map(|reason| flaw("/interventions", reason))).collect())
        }
    }
}

fn interventions(items: Vec<Value>, keys: &BTreeSet<String>, not_taken: &mut Vec<NotTaken>) -> Vec<Intervention> {
    let mut interventions: Vec<Intervention> = Vec::new();
    let mut places: HashMap<InterventionNumber, usize> = HashMap::new();
    for (place, item) in items.into_iter().enumerate() {
        match usable::<InterventionNumber>(item, NUMBER, Flaw::MalformedNumber, keys) {
            Ok((number, row)) => {
                let at = *places.entry(number).or_insert_with_key(|number| {
                    interventions.push(Intervention { number: number.clone(), rows: Vec::new() });
                    interventions.len() - 1
                });
                interventions[at].rows.push(row);
            }
            Err((below, reason)) => not_taken.push(NotTaken { pointer: format!("/interventions/{place}{below}"), reason }),
        }
    }
    interventions
}

fn decisions(items: Vec<Value>, keys: &BTreeSet<String>, not_taken: &mut Vec<NotTaken>) -> Vec<DecisionItem> {
    let mut decisions = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        match usable::<OutgoingId>(item, OUTGOING_ID, Flaw::MalformedReferralId, keys) {
            Ok((outgoing, item)) => decisions.push(DecisionItem { outgoing, item }),
            Err((below, reason)) => not_taken.push(NotTaken { pointer: format!("/interventions/{place}{below}"), reason }),
        }
    }
    decisions
}

/// The identifier of an item and the item itself, cut to `keys`; or what is wrong, and where below it.
fn usable<Id: std::str::FromStr>(
    item: Value,
    field: &str,
    malformed: Flaw,
    keys: &BTreeSet<String>,
) -> Result<(Id, Document), (String, Flaw)> {
    let Value::Object(mut item) = item else { return Err((String::new(), Flaw::NotAnObject)) };
    let id = match item.get(field) {
        None | Some(Value::Null) => Err(Flaw::Missing),
        Some(Value::String(text)) if text.is_empty() => Err(Flaw::Missing),
        Some(Value::String(text)) => text.parse().map_err(|_| malformed),
        Some(_) => Err(malformed),
    };
    let id = id.map_err(|flaw| (format!("/{field}"), flaw))?;
    item.retain(|key, _| keys.contains(key));
    Ok((id, item))
}

/// An object with its keys sorted, without those that say nothing.
fn write_object(object: &Document, bytes: &mut Vec<u8>) {
    let mut keys: Vec<_> = object.iter().filter(|(_, value)| !says_nothing(value)).collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    bytes.push(b'{');
    for (place, (key, value)) in keys.into_iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        write_plain(key, bytes);
        bytes.push(b':');
        write_value(value, bytes);
    }
    bytes.push(b'}');
}

fn write_value(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Object(object) => write_object(object, bytes),
        Value::Array(list) => {
            bytes.push(b'[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    bytes.push(b',');
                }
                write_value(value, bytes);
            }
            bytes.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write_plain(value, bytes),
    }
}

fn write_plain<T: serde::Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    serde_json::to_writer(bytes, value).expect("writing text, numbers and booleans into memory cannot fail");
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.iter().all(says_nothing),
        Value::Object(object) => object.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
