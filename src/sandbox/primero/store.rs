//! The cases and what finds them quickly: by key, by stamp, by exact identifier, by part of an identifier.
//!
//! It knows no user and no rule about what a case may hold.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A document as it is stored.
pub type Document = Map<String, Value>;

/// The fields whose exact value is found at once, and whose parts `query=` looks through.
pub(super) const IDENTIFIERS: [&str; 8] = [
    "unhcr_individual_no",
    "unhcr_id_no",
    "case_id",
    "case_id_display",
    "short_id",
    "national_id_no",
    "ration_card_no",
    "other_id_no",
];

/// A stored case. What it holds is replaced, never changed, so that an answer under way shows one state of it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) key: Uuid,
    pub(super) stamp: DateTime<Utc>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) document: Document,
    /// How often it was saved, the first time included.
    pub(super) saves: u32,
}

impl Case {
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.document.get(field).and_then(Value::as_str)
    }

    pub(super) fn enabled(&self) -> bool {
        self.document.get("record_state") != Some(&Value::Bool(false))
    }

    pub(super) fn module(&self) -> Option<&str> {
        self.text("module_id")
    }

    pub(super) fn lists(&self, field: &str, value: &str) -> bool {
        let list = self.document.get(field).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|item| item == value))
    }
}

/// A time as Primero shows it.
pub(super) fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[derive(Default)]
pub(super) struct Store {
    slots: Vec<Arc<Case>>,
    by_key: HashMap<Uuid, u32>,
    by_stamp: BTreeSet<(DateTime<Utc>, u32)>,
    by_creation: BTreeSet<(DateTime<Utc>, u32)>,
    by_identifier: HashMap<&'static str, HashMap<String, Vec<u32>>>,
    by_part: Parts,
}

impl Store {
    pub(super) fn get(&self, key: Uuid) -> Option<&Arc<Case>> {
        self.by_key.get(&key).map(|slot| &self.slots[*slot as usize])
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn at(&self, slot: u32) -> &Arc<Case> {
        &self.slots[slot as usize]
    }

    /// All slots, in the order the cases were first stored.
    #[expect(clippy::cast_possible_truncation, reason = "a slot is counted in 32 bits when it is made")]
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.slots.len() as u32
    }

    pub(super) fn by_stamp(&self) -> &BTreeSet<(DateTime<Utc>, u32)> {
        &self.by_stamp
    }

    pub(super) fn by_creation(&self) -> &BTreeSet<(DateTime<Utc>, u32)> {
        &self.by_creation
    }

    /// The cases with exactly this identifier; `None` if the field is not one of the indexed ones.
    pub(super) fn with_identifier(&self, field: &str, value: &str) -> Option<&[u32]> {
        if !IDENTIFIERS.contains(&field) {
            return None;
        }
        Some(self.by_identifier.get(field).and_then(|values| values.get(value)).map_or(&[], Vec::as_slice))
    }

    /// The cases one of whose identifiers contains this, whatever the case of letters, in no order.
    pub(super) fn with_part(&self, part: &str) -> Vec<u32> {
        let part = part.to_lowercase();
        let contains = |slot: &u32| {
            let case = self.at(*slot);
            IDENTIFIERS.iter().filter_map(|field| case.text(field)).any(|value| value.to_lowercase().contains(&part))
        };
        match self.by_part.candidates(&part) {
            Some(candidates) => candidates.iter().copied().filter(contains).collect(),
            None => self.slots().filter(contains).collect(),
        }
    }

    /// Stores a case, in place of the one with the same key if there is one.
    pub(super) fn put(&mut self, case: Case) -> Arc<Case> {
        let case = Arc::new(case);
        match self.by_key.get(&case.key).copied() {
            Some(slot) => {
                let before = std::mem::replace(&mut self.slots[slot as usize], case.clone());
                self.by_stamp.remove(&(before.stamp, slot));
                self.by_creation.remove(&(before.created_at, slot));
                self.index(slot, &case, Some(&before));
            }
            None => {
                let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(case.clone());
                self.by_key.insert(case.key, slot);
                self.index(slot, &case, None);
            }
        }
        case
    }

    fn index(&mut self, slot: u32, case: &Case, before: Option<&Case>) {
        self.by_stamp.insert((case.stamp, slot));
        self.by_creation.insert((case.created_at, slot));
        for field in IDENTIFIERS {
            let (old, new) = (before.and_then(|before| before.text(field)), case.text(field));
            if old == new {
                continue;
            }
            let values = self.by_identifier.entry(field).or_default();
            if let Some(slots) = old.and_then(|old| values.get_mut(old)) {
                slots.retain(|known| *known != slot);
            }
            if let Some(new) = new {
                values.entry(new.to_owned()).or_default().push(slot);
                self.by_part.add(&new.to_lowercase(), slot);
            }
        }
    }
}

/// Every run of four bytes in an identifier leads to its cases, and by chance to a few others: whoever asks looks again.
struct Parts(Vec<Vec<u32>>);

const RUN: usize = 4;
const BUCKETS: usize = 1 << 17;

impl Default for Parts {
    fn default() -> Self {
        Self(vec![Vec::new(); BUCKETS])
    }
}

impl Parts {
    fn add(&mut self, value: &str, slot: u32) {
        for run in value.as_bytes().windows(RUN) {
            let bucket = &mut self.0[bucket(run)];
            if bucket.last() != Some(&slot) {
                bucket.push(slot);
            }
        }
    }

    /// The shortest list that must hold every case sought, in order and each once; `None` if the part is too short to tell.
    fn candidates(&self, part: &str) -> Option<BTreeSet<u32>> {
        let lists = part.as_bytes().windows(RUN).map(|run| &self.0[bucket(run)]);
        lists.min_by_key(|list| list.len()).map(|list| list.iter().copied().collect())
    }
}

fn bucket(run: &[u8]) -> usize {
    let mixed = run.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from(mixed >> 40).unwrap_or(0) % BUCKETS
}
