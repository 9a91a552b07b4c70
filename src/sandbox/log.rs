//! What a simulator was asked, in order: methods, paths, names of query parameters and answers, never a value.
//!
//! It knows nothing of what the requests meant.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::http::Method;

use super::{Endpoint, locked, wire::Asked};

/// Requests beyond this many are forgotten, the oldest first, so that a long run does not fill the memory.
const KEPT: usize = 100_000;

/// The requests a simulator has met. Clones show the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Book>>);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place among all beginnings and ends of requests, counted from 1.
    pub began: u64,
    /// Where its end stands in the same count; `None` while it is open.
    pub ended: Option<u64>,
    /// What it was about.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// The names of its query parameters, in order.
    pub query_keys: Vec<String>,
    /// The status of the answer; `None` if the connection was cut instead, or while it is open.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct Book {
    moments: u64,
    first: u64,
    entries: VecDeque<Entry>,
    /// How many came about each, also of those that are forgotten.
    met: HashMap<Endpoint, usize>,
    open: usize,
    most_open: usize,
}

impl Log {
    /// All requests kept, in the order they came.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        locked(&self.0).entries.iter().cloned().collect()
    }

    /// How many of the requests kept were about this.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        locked(&self.0).entries.iter().filter(|entry| entry.endpoint == endpoint).count()
    }

    /// How many requests about this have come, also of those that are not kept any more.
    #[must_use]
    pub fn met(&self, endpoint: Endpoint) -> usize {
        locked(&self.0).met.get(&endpoint).copied().unwrap_or_default()
    }

    /// How many requests have come about anything, likewise.
    #[must_use]
    pub fn met_in_all(&self) -> usize {
        locked(&self.0).met.values().sum()
    }

    /// How many of the requests kept were about this and named a case or referral in their path.
    #[must_use]
    pub fn count_naming(&self, endpoint: Endpoint, id: impl std::fmt::Display) -> usize {
        let id = id.to_string();
        locked(&self.0).entries.iter().filter(|entry| entry.endpoint == endpoint && entry.path.contains(&id)).count()
    }

    /// How many requests are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.0).entries.len()
    }

    /// Whether nobody has asked anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most requests that were open at one time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        locked(&self.0).most_open
    }

    /// Forgets all requests. Those that are open count on.
    pub fn clear(&self) {
        let mut book = locked(&self.0);
        book.first += book.entries.len() as u64;
        book.entries.clear();
        book.met.clear();
        book.most_open = book.open;
    }

    pub(super) fn begin(&self, asked: &Asked) -> Begun {
        let mut book = locked(&self.0);
        book.moments += 1;
        book.open += 1;
        book.most_open = book.most_open.max(book.open);
        *book.met.entry(asked.endpoint).or_default() += 1;
        if book.entries.len() == KEPT {
            book.entries.pop_front();
            book.first += 1;
        }
        let entry = Entry {
            began: book.moments,
            ended: None,
            endpoint: asked.endpoint,
            method: asked.method.clone(),
            path: asked.path.clone(),
            query_keys: asked.query.iter().map(|(key, _)| key.clone()).collect(),
            status: None,
        };
        book.entries.push_back(entry);
        Begun { log: self.clone(), number: book.first + book.entries.len() as u64 - 1, status: None }
    }
}

/// An open request; its end is noted when this is dropped, also if the client has gone away.
pub(super) struct Begun {
    log: Log,
    number: u64,
    status: Option<u16>,
}

impl Begun {
    /// Notes the end, with the status of the answer if there is one.
    pub(super) fn end(mut self, status: Option<u16>) {
        self.status = status;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut book = locked(&self.log.0);
        book.moments += 1;
        book.open -= 1;
        let (moment, first) = (book.moments, book.first);
        let place = self.number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| book.entries.get_mut(place)) {
            entry.ended = Some(moment);
            entry.status = self.status;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, http::HeaderMap};

    use super::*;

    #[test]
    fn what_is_forgotten_is_counted_all_the_same() {
        let log = Log::default();
        let asked = |endpoint| Asked {
            endpoint,
            method: Method::GET,
            path: String::new(),
            query: Vec::new(),
            well_encoded: true,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        log.begin(&asked(Endpoint::Forms)).end(Some(200));
        for _ in 0..KEPT {
            log.begin(&asked(Endpoint::GetCase)).end(Some(200));
        }
        assert_eq!((log.len(), log.count(Endpoint::Forms), log.met(Endpoint::Forms)), (KEPT, 0, 1));
        assert_eq!((log.met(Endpoint::GetCase), log.met_in_all()), (KEPT, KEPT + 1));
        assert!(log.entries().iter().all(|entry| entry.status == Some(200)), "an end is noted at its own beginning");
    }
}
