//! The texts that tell DTP why a delivery failed, in words that both agencies signed.
//!
//! A text names fields, never values. It does not know how the reasons came about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Gap,
    file::{Keys, hint},
    layers::Pair,
};
use crate::reason::Reason;

/// The reasons that DTP may be told, and whether their text names fields.
const TOLD: [(Reason, bool); 9] = [
    (Reason::MissingFields, true),
    (Reason::InvalidValues, true),
    (Reason::ServiceTypeNotAgreed, false),
    (Reason::AgencyNotSigned, false),
    (Reason::RowsContradict, true),
    (Reason::ValuesRefused, true),
    (Reason::NotDeliveredInTime, false),
    (Reason::StoppedByFocalPoint, false),
    (Reason::NotMatchedSafely, false),
];
const FIELDS: &str = "{fields}";
/// Stands for the fields where Primero refused a record and named none.
const NOT_NAMED: &str = "(not named)";

/// One text for each reason that DTP may be told.
#[derive(Debug, Default)]
pub(super) struct ReasonTexts(BTreeMap<Reason, String>);

impl ReasonTexts {
    /// Reads `[texts]`; a text of the programme takes the place of the base's.
    pub(super) fn read(top: &Pair<'_>) -> Self {
        let mut texts = BTreeMap::new();
        let pair = top.table("texts");
        for keys in top.both() {
            if pair.base.is_none() && pair.programme.is_none() && !keys.has("texts") {
                keys.problem("`[texts]` is missing (hint: one text for each reason)");
            }
            keys.finish();
        }
        let mut seen = BTreeSet::new();
        for table in pair.both() {
            Self::read_layer(table, &mut texts, &mut seen);
        }
        for (reason, _) in TOLD.iter().filter(|(reason, _)| !seen.contains(reason)) {
            for table in pair.both().take(1) {
                table.problem(format_args!("reason `{reason}` has no text (hint: add `{reason} = \"…\"` under [texts])"));
            }
        }
        Self(texts)
    }

    fn read_layer(table: &Keys<'_>, texts: &mut BTreeMap<Reason, String>, seen: &mut BTreeSet<Reason>) {
        for (code, text, place) in table.entries() {
            let Some((reason, with_fields)) = TOLD.iter().find(|(reason, _)| reason.code() == code) else {
                let hint = hint(code, TOLD.iter().map(|(reason, _)| reason.code()));
                table.problem_at(place, format_args!("unknown reason `{code}` ({hint})"));
                continue;
            };
            seen.insert(*reason);
            let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
                table.problem_at(place, format_args!("the text of `{code}` must be text, and not empty"));
                continue;
            };
            if text.contains(FIELDS) != *with_fields {
                let hint =
                    if *with_fields { "write {fields} where the names of the fields shall stand" } else { "remove {fields}" };
                table.problem_at(place, format_args!("the text of `{code}` does not fit (hint: {hint})"));
            } else if text.replace(FIELDS, "").contains(['{', '}']) {
                table.problem_at(
                    place,
                    format_args!("the text of `{code}` has an unknown placeholder (hint: {FIELDS} is the only one)"),
                );
            }
            texts.insert(*reason, text.to_owned());
        }
    }

    /// Every reason with its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Reason, &str)> {
        self.0.iter().map(|(reason, text)| (*reason, text.as_str()))
    }

    /// All texts as JSON, by the reason's code.
    pub(super) fn json(&self) -> Value {
        self.iter().map(|(reason, text)| (reason.code().to_owned(), Value::from(text))).collect()
    }

    /// The texts of all reasons, each once, with the fields they concern.
    /// A reason that DTP is not told gets the neutral text: UNHCR need not know which agency knows the child.
    pub(super) fn of(&self, gaps: &[Gap]) -> String {
        let mut fields: BTreeMap<Reason, BTreeSet<&str>> = BTreeMap::new();
        for gap in gaps {
            let told = if self.0.contains_key(&gap.reason) { gap.reason } else { Reason::NotMatchedSafely };
            fields.entry(told).or_default().extend(Some(gap.field.as_str()).filter(|field| !field.is_empty()));
        }
        if fields.is_empty() {
            fields.insert(Reason::NotMatchedSafely, BTreeSet::new());
        }
        let text = |(reason, fields): (&Reason, &BTreeSet<&str>)| {
            let fields: Vec<&str> = if fields.is_empty() { vec![NOT_NAMED] } else { fields.iter().copied().collect() };
            Some(self.0.get(reason)?.replace(FIELDS, &fields.join(", ")))
        };
        fields.iter().filter_map(text).collect::<Vec<_>>().join(" ")
    }
}
