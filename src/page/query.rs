//! What is asked in the address of a page: known fields, each once, each of its form. What is wrong is named, never quoted.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::refusal::Refusal;

/// The longest path with its query, in bytes.
pub const LONGEST_ADDRESS: usize = 2048;

/// The fields of an address.
pub(super) struct Query(HashMap<String, String>);

impl Query {
    /// Reads the fields that a page knows; a blank one is as none.
    pub(super) fn of(fields: Vec<(String, String)>, known: &[&str]) -> Result<Self, Refusal> {
        let mut read = HashMap::new();
        for (name, value) in fields {
            if !known.contains(&name.as_str()) || read.insert(name, value.trim().to_owned()).is_some() {
                return Err(Refusal::UnknownField);
            }
        }
        read.retain(|_, value| !value.is_empty());
        Ok(Self(read))
    }

    /// A field by what makes something of it.
    pub(super) fn get<T>(
        &self,
        name: &'static str,
        must_be: &'static str,
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        self.0.get(name).map(|text| make(text).ok_or(Refusal::Field(name, must_be))).transpose()
    }

    /// A day.
    pub(super) fn day(&self, name: &'static str) -> Result<Option<NaiveDate>, Refusal> {
        self.get(name, "a day, such as 2027-06-30", |text| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)
        })
    }
}
