//! Runs a search over the cases: scope, filters, `query=`, order, page.
//!
//! It knows no permission and no shape of an answer.

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    filter::{Condition, Test},
    store::{Case, Store},
};

pub(super) struct Search<'a> {
    pub(super) tests: Vec<Test>,
    pub(super) looks_for: Option<LooksFor<'a>>,
    pub(super) order_by: &'a str,
    pub(super) descending: bool,
    pub(super) per: usize,
    /// Counted from 1.
    pub(super) page: usize,
    /// Rows with equal keys come in an order drawn from this.
    pub(super) tie_order: Option<u64>,
}

pub(super) enum LooksFor<'a> {
    /// Part of an identifier, whatever the case of letters.
    Identifier(&'a str),
    /// Words of a name.
    Name(&'a str),
    /// A whole telephone number.
    Phone(&'a str),
}

/// The rows of the page, and how many there are in all.
pub(super) fn run(store: &Store, search: &Search<'_>, in_scope: &impl Fn(&Case) -> bool) -> (Vec<Arc<Case>>, usize) {
    let fits = |slot: &u32| {
        let case = store.at(*slot);
        in_scope(case) && search.tests.iter().all(|test| test.fits(case))
    };
    let skip = search.per.saturating_mul(search.page - 1);
    let mut page = Page { skip, per: search.per, total: 0, rows: Vec::new() };
    match candidates(store, search) {
        Candidates::Few(few) => page.of_unordered(store, search, few.into_iter().filter(fits).collect()),
        Candidates::Ordered(ordered) => page.of_ordered(ordered.filter(fits)),
        Candidates::All => page.of_unordered(store, search, store.slots().filter(fits).collect()),
    }
    (page.rows.into_iter().map(|slot| store.at(slot).clone()).collect(), page.total)
}

enum Candidates<'a> {
    Few(Vec<u32>),
    Ordered(Box<dyn Iterator<Item = u32> + 'a>),
    All,
}

fn candidates<'a>(store: &'a Store, search: &Search<'_>) -> Candidates<'a> {
    for test in search.tests.iter().filter(|test| !test.negated) {
        match &test.condition {
            Condition::Identifier(value) => {
                if let Some(slots) = store.with_identifier(&test.field, value) {
                    return Candidates::Few(slots.to_vec());
                }
            }
            Condition::Nothing => return Candidates::Few(Vec::new()),
            Condition::AnyOf(_) | Condition::Numbers(..) | Condition::Moments(..) => {}
        }
    }
    match search.looks_for {
        Some(LooksFor::Identifier(part)) => return Candidates::Few(store.with_part(part)),
        Some(LooksFor::Name(words)) => {
            return Candidates::Few(store.slots().filter(|slot| named(store.at(*slot), words)).collect());
        }
        Some(LooksFor::Phone(number)) => {
            let has_it = |slot: &u32| store.at(*slot).text("telephone_current") == Some(number);
            return Candidates::Few(store.slots().filter(has_it).collect());
        }
        None => {}
    }
    let ordered = match search.order_by {
        "last_updated_at" => store.by_stamp(),
        "created_at" => store.by_creation(),
        _ => return Candidates::All,
    };
    if search.tie_order.is_some() {
        return Candidates::All;
    }
    let range = stamp_range(search).filter(|_| search.order_by == "last_updated_at");
    let (first, last) = range.unwrap_or((DateTime::<Utc>::MIN_UTC, None));
    let last = last.unwrap_or(DateTime::<Utc>::MAX_UTC);
    if last <= first {
        return Candidates::Few(Vec::new());
    }
    let ordered = ordered.range((first, 0)..(last, 0)).map(|(_, slot)| *slot);
    if search.descending { Candidates::Ordered(Box::new(ordered.rev())) } else { Candidates::Ordered(Box::new(ordered)) }
}

fn stamp_range(search: &Search<'_>) -> Option<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    search.tests.iter().find_map(|test| match test.condition {
        Condition::Moments(first, last) if test.field == "last_updated_at" && !test.negated => Some((first, last)),
        _ => None,
    })
}

fn named(case: &Case, words: &str) -> bool {
    let names =
        ["name", "name_first", "name_middle", "name_last", "name_nickname"].map(|field| case.text(field).unwrap_or_default());
    let names = names.join(" ").to_lowercase();
    words.to_lowercase().split_whitespace().all(|word| names.split_whitespace().any(|name| name == word))
}

struct Page {
    skip: usize,
    per: usize,
    total: usize,
    rows: Vec<u32>,
}

impl Page {
    fn of_ordered(&mut self, slots: impl Iterator<Item = u32>) {
        for slot in slots {
            if self.total >= self.skip && self.rows.len() < self.per {
                self.rows.push(slot);
            }
            self.total += 1;
        }
    }

    fn of_unordered(&mut self, store: &Store, search: &Search<'_>, mut slots: Vec<u32>) {
        slots.sort_by(|a, b| {
            let order = compare(store.at(*a), store.at(*b), search.order_by).then_with(|| tie(*a, *b, search.tie_order));
            if search.descending { order.reverse() } else { order }
        });
        self.of_ordered(slots.into_iter());
    }
}

fn tie(a: u32, b: u32, tie_order: Option<u64>) -> Ordering {
    let drawn = |slot: u32| {
        let mut hasher = DefaultHasher::new();
        (slot, tie_order).hash(&mut hasher);
        hasher.finish()
    };
    if tie_order.is_some() { drawn(a).cmp(&drawn(b)) } else { a.cmp(&b) }
}

fn compare(a: &Case, b: &Case, field: &str) -> Ordering {
    match field {
        "last_updated_at" => a.stamp.cmp(&b.stamp),
        "created_at" => a.created_at.cmp(&b.created_at),
        "id" => a.key.cmp(&b.key),
        field => match (a.document.get(field), b.document.get(field)) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
            (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
            // A missing value stands behind every value.
            (a, b) => a.is_none_or(Value::is_null).cmp(&b.is_none_or(Value::is_null)),
        },
    }
}
