//! Users of Primero, by their name: the owner of a case, the intake user, ourselves.
//!
//! What is known of a user is kept for ten minutes in memory and nowhere else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{
    Document, Trouble,
    answer::{self, Listing, not_as_promised},
    client::{Client, LARGEST_LIST},
    target::Target,
    text,
};
use crate::personal::Personal;

/// How long a user is remembered.
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// How many users are remembered.
const MOST_KNOWN: usize = 1000;
/// What is kept of a user record.
const KEPT: [&str; 5] = ["user_name", "full_name", "email", "phone", "position"];

/// A user of Primero.
#[derive(Clone, Debug)]
pub struct User {
    /// `user_name`
    pub user_name: Personal<String>,
    /// `full_name`
    pub full_name: Option<Personal<String>>,
    /// `email`
    pub email: Option<Personal<String>>,
    /// `phone`
    pub phone: Option<Personal<String>>,
    /// `position`
    pub position: Option<Personal<String>>,
    /// `disabled`: cannot log in.
    pub disabled: bool,
    /// The five texts above as Primero gave them, for the mapping.
    pub document: Personal<Document>,
}

impl Client {
    /// The user of this name, if there is one that we may see. Remembered for ten minutes.
    pub async fn user(&self, user_name: &str) -> Result<Option<User>, Trouble> {
        let user_name = user_name.trim().to_lowercase();
        let now = self.inner().clock.monotonic();
        if let Some(user) = self.inner().users.recall(&user_name, now) {
            return Ok(Some(user));
        }
        let user = match self.user_record(&user_name, false).await? {
            Some(record) => Some(user_of(record).ok_or_else(|| not_as_promised(Some(200), false))?),
            None => None,
        };
        if let Some(user) = &user {
            self.inner().users.remember(user_name, user.clone(), now + KNOWN_FOR);
        }
        Ok(user)
    }

    /// The whole record; `extended` asks for role and permissions too.
    pub(super) async fn user_record(&self, user_name: &str, extended: bool) -> Result<Option<Document>, Trouble> {
        let mut target = Target::new("users").with("per", "5").with("page", "1").with("user_name", user_name);
        if extended {
            target = target.with("extended", "true");
        }
        let answer = self.get(target, LARGEST_LIST).await?;
        let Listing { rows, total, .. } = answer::listing(answer).ok_or_else(|| not_as_promised(Some(200), false))?;
        // A user may come twice, once for each group that we share.
        let is_asked =
            |row: &Value| row.get("user_name").and_then(Value::as_str).is_some_and(|name| name.to_lowercase() == user_name);
        if !rows.iter().all(is_asked) {
            return Err(Trouble::FilterIgnored);
        }
        match rows.into_iter().next() {
            Some(Value::Object(record)) => Ok(Some(record)),
            None if total == 0 => Ok(None),
            Some(_) | None => Err(not_as_promised(Some(200), false)),
        }
    }
}

fn user_of(mut record: Document) -> Option<User> {
    let texts = |field: &str| text(&record, field).map(|text| Personal::new(text.to_owned()));
    let user = User {
        user_name: texts("user_name")?,
        full_name: texts("full_name"),
        email: texts("email"),
        phone: texts("phone"),
        position: texts("position"),
        disabled: answer::yes(&record, "disabled")?,
        document: Personal::default(),
    };
    record.retain(|field, _| KEPT.contains(&field.as_str()));
    Some(User { document: Personal::new(record), ..user })
}

/// The users known at present.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<String, (Duration, User)>>);

impl Known {
    fn recall(&self, user_name: &str, now: Duration) -> Option<User> {
        // Nothing can panic while the lock is held.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user_name).filter(|(until, _)| now < *until).map(|(_, user)| user.clone())
    }

    fn remember(&self, user_name: String, user: User, until: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            // Whom it forgets too early is asked for once more.
            known.clear();
        }
        known.insert(user_name, (until, user));
    }
}
