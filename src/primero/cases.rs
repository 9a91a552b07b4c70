//! Cases: found by exact identifier, searched, read, walked by their last change, created and added to.
//!
//! Primero drops a filter that it does not allow, without a word; so every row is compared with what was asked.

use chrono::{DateTime, SubsecRound, Utc};
use reqwest::Method;
use serde_json::Value;

use super::{
    Case, Document, Filter, Page, Trouble,
    answer::{self, Listing, Promised, not_as_promised},
    client::{Client, LARGEST_LIST, LARGEST_RECORD},
    target::Target,
};
use crate::referral::{CaseKey, is_plain_identifier};

/// How many pages of a search are read. A number that more cases contain is too short to say anything.
const MOST_PAGES: u32 = 20;
/// The largest page that Primero gives.
const LARGEST_PAGE: &str = "1000";

impl Client {
    /// The enabled cases of a module whose field equals the value exactly: the first five.
    /// A single row that does not equal what was asked is [`Trouble::FilterIgnored`], never "none".
    pub async fn find(&self, filter: &Filter<'_>, fields: &[&str]) -> Result<Vec<Case>, Trouble> {
        let (field, value) = filter.equals;
        let target = Target::new("cases")
            .with("per", "5")
            .with("page", "1")
            .with("record_state", "true")
            .with("module_id", filter.module)
            .with(plain(field, field)?, plain(field, value)?)
            .with_fields(fields.iter().copied().chain([field, "module_id", "record_state"]));
        let Listing { rows, total, per, page } = self.list(target).await?;
        let found = cases(rows)?;
        let is_asked = |case: &Case| is_in(case, filter.module) && case.document.reveal().get(field) == Some(&Value::from(value));
        if page != 1 || !found.iter().all(is_asked) {
            return Err(Trouble::FilterIgnored);
        }
        // Rows and total are counted one after the other. Where they differ, cases come and go: ask again later.
        if found.len() as u64 != total.min(u64::from(per)) {
            return Err(not_as_promised(Some(200), false));
        }
        Ok(found)
    }

    /// Of the enabled cases of a module in one of whose identifiers the text stands, whatever its case, those that are meant.
    /// `None` if the text stands in too many to read them all and none of those read is meant: nobody knows.
    pub async fn query(
        &self,
        text: &str,
        module: &str,
        fields: &[&str],
        is_meant: impl Fn(&Case) -> bool,
    ) -> Result<Option<Vec<Case>>, Trouble> {
        let mut found = Vec::new();
        for page in 1..=MOST_PAGES {
            let target = Target::new("cases")
                .with("per", LARGEST_PAGE)
                .with("page", &page.to_string())
                .with("record_state", "true")
                .with("module_id", module)
                .with("query", plain("query", text)?)
                .with_fields(fields.iter().copied().chain(["module_id", "record_state"]));
            let listing = self.list(target).await?;
            let is_last = listing.rows.len() < listing.per as usize;
            let rows = cases(listing.rows)?;
            if listing.page != page || !rows.iter().all(|case| is_in(case, module)) {
                return Err(Trouble::FilterIgnored);
            }
            found.extend(rows.into_iter().filter(&is_meant));
            if is_last {
                return Ok(Some(found));
            }
        }
        Ok((!found.is_empty()).then_some(found))
    }

    /// One case, whatever its module and state, cut to `fields`.
    pub async fn case(&self, key: CaseKey, fields: &[&str]) -> Result<Case, Trouble> {
        let target = Target::new(&format!("cases/{key}")).with_fields(fields.iter().copied());
        let answer = self.get(target, LARGEST_RECORD).await?;
        one(answer, key).ok_or_else(|| not_as_promised(Some(200), false))
    }

    /// Creates a case. Without an `id` of ours it could not be repeated safely, without `module_id` it would be nearly empty:
    /// such a document is not sent.
    pub async fn create(&self, document: &Document) -> Result<(), Trouble> {
        let missing = ["id", "module_id"].into_iter().filter(|field| super::text(document, field).is_none()).map(str::to_owned);
        let missing: std::collections::BTreeSet<String> = missing.collect();
        if !missing.is_empty() {
            return Err(Trouble::Invalid(missing));
        }
        match self.write(Method::POST, Target::new("cases"), document, Promised::JsonOrNothing).await? {
            None => Ok(()),
            Some(answer) => answer::data(answer).and_then(answer::case).map(drop).ok_or_else(|| not_as_promised(Some(200), true)),
        }
    }

    /// Changes a case. The answer holds the three constant keys and what changed.
    pub async fn patch_case(&self, key: CaseKey, document: &Document) -> Result<Case, Trouble> {
        let target = Target::new(&format!("cases/{key}"));
        let answer = self.write(Method::PATCH, target, document, Promised::Json).await?;
        answer.and_then(|answer| one(answer, key)).ok_or_else(|| not_as_promised(Some(200), true))
    }

    /// One page of the cases of a module, disabled ones included, that were changed in the second of `since` or later, oldest change first.
    /// A row that cannot be read holds up no other; a page of which no row names its case is no list of cases.
    pub async fn changed_cases(
        &self,
        since: DateTime<Utc>,
        page: u32,
        per: u32,
        module: &str,
        fields: &[&str],
    ) -> Result<Page, Trouble> {
        let target = Target::new("cases")
            .with("per", &per.to_string())
            .with("page", &page.to_string())
            .with("module_id", module)
            .with("last_updated_at", &format!("{}..", since.format("%Y-%m-%dT%H:%M:%S%.3fZ")))
            .with("order_by", "last_updated_at")
            .with("order", "asc")
            .with_fields(fields.iter().copied().chain(["module_id"]));
        let listing = self.list(target).await?;
        let of_module = listing.rows.iter().all(|row| row.as_object().is_none_or(|row| has_module(row, module)));
        let from = since.trunc_subsecs(0);
        let mut before = from;
        let mut rows = Vec::with_capacity(listing.rows.len());
        for value in listing.rows {
            let row = answer::row(value, before);
            if row.last_updated_at() < before {
                return Err(Trouble::FilterIgnored);
            }
            before = row.last_updated_at();
            rows.push(row);
        }
        if listing.page != page || !of_module {
            return Err(Trouble::FilterIgnored);
        }
        if !rows.is_empty() && rows.iter().all(|row| row.key().is_none()) {
            return Err(not_as_promised(Some(200), false));
        }
        Ok(Page { rows, per: listing.per })
    }

    async fn list(&self, target: Target) -> Result<Listing, Trouble> {
        answer::listing(self.get(target, LARGEST_LIST).await?).ok_or_else(|| not_as_promised(Some(200), false))
    }
}

/// A value with other characters would change the meaning of a filter: it is not sent, and the field is named.
fn plain<'a>(field: &str, value: &'a str) -> Result<&'a str, Trouble> {
    if is_plain_identifier(value) { Ok(value) } else { Err(Trouble::Invalid([field.to_owned()].into())) }
}

fn cases(rows: Vec<Value>) -> Result<Vec<Case>, Trouble> {
    rows.into_iter().map(|row| answer::case(row).ok_or_else(|| not_as_promised(Some(200), false))).collect()
}

fn one(answer: Value, key: CaseKey) -> Option<Case> {
    answer::data(answer).and_then(answer::case).filter(|case| case.key == key)
}

/// Enabled and of this module, as far as the row says.
fn is_in(case: &Case, module: &str) -> bool {
    let document = case.document.reveal();
    case.enabled && document.get("record_state") != Some(&Value::Bool(false)) && has_module(document, module)
}

/// Of this module, as far as the row says: a role may be unable to read the field.
fn has_module(document: &Document, module: &str) -> bool {
    document.get("module_id").is_none_or(|value| value.is_null() || value == module)
}
