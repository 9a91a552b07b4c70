//! Everything the simulated Primero holds, and the one way in which a case is saved.
//!
//! It knows no wire.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    access::Access,
    accounts::{Accounts, Role, Scope, User},
    forms::Forms,
    referrals::Referrals,
    release::Release,
    save::settle,
    sessions::Sessions,
    store::{Case, Document, Store, shown},
};
use crate::clock::Clock;

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) release: Release,
    pub(super) accounts: Accounts,
    pub(super) forms: Forms,
    pub(super) store: Store,
    pub(super) referrals: Referrals,
    pub(super) sessions: Sessions,
    /// Counts searches, if rows with equal sort keys shall come in another order each time.
    pub(super) tie_order: Option<u64>,
    /// The request line may hold so many bytes, as behind the reference proxy.
    pub(super) longest_request_line: usize,
    /// A configuration update is in progress (503).
    pub(super) updating: bool,
    access: HashMap<String, Arc<Access>>,
}

/// Another case has this id or this `case_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash;

/// A case before and after a save.
pub(super) struct Saved {
    pub(super) before: Option<Arc<Case>>,
    pub(super) after: Arc<Case>,
}

impl Saved {
    /// The fields that differ.
    pub(super) fn changed(&self) -> impl Fn(&str) -> bool {
        move |name| self.before.as_ref().is_none_or(|before| before.document.get(name) != self.after.document.get(name))
    }
}

impl World {
    pub(super) fn new(clock: Clock, release: Release) -> Self {
        Self {
            clock,
            release,
            accounts: Accounts::default(),
            forms: Forms::default(),
            store: Store::default(),
            referrals: Referrals::default(),
            sessions: Sessions::default(),
            tie_order: None,
            longest_request_line: 1024,
            updating: false,
            access: HashMap::new(),
        }
    }

    /// To be called whenever roles, forms, lookups or the release have changed.
    pub(super) fn forget_access(&mut self) {
        self.access.clear();
    }

    pub(super) fn access(&mut self, role: &Role) -> Arc<Access> {
        if let Some(access) = self.access.get(&role.unique_id) {
            return access.clone();
        }
        let access = Arc::new(Access::of(role, &self.forms, self.release.checks_options));
        self.access.insert(role.unique_id.clone(), access.clone());
        access
    }

    /// Stores a new case. `stamp` sets the time of creation and of the last change; otherwise the clock does.
    pub(super) fn create(&mut self, actor: &str, mut document: Document, stamp: Option<DateTime<Utc>>) -> Result<Saved, Clash> {
        let now = stamp.unwrap_or_else(|| self.clock.now());
        let given = document.remove("id");
        let given = given.as_ref().and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let key = given.unwrap_or_else(Uuid::new_v4);
        if self.store.get(key).is_some() {
            return Err(Clash);
        }
        let unique = Uuid::new_v4().to_string();
        let short_id = unique[unique.len() - 7..].to_owned();
        let mut default = |name: &str, value: Value| {
            let missing = document.get(name).is_none_or(|value| value.is_null() || value == "");
            if missing {
                document.insert(name.to_owned(), value);
            }
        };
        default("case_id", json!(unique));
        default("case_id_display", json!(short_id));
        default("short_id", json!(short_id));
        default("created_at", json!(shown(now)));
        default("created_by", json!(actor));
        default("owned_by", json!(actor));
        default("registration_date", json!(now.format("%Y-%m-%d").to_string()));
        default("status", json!("open"));
        default("record_state", json!(true));
        let case_id = document.get("case_id").and_then(Value::as_str).unwrap_or_default();
        let taken = self.store.with_identifier("case_id", case_id).is_some_and(|cases| !cases.is_empty());
        if taken && self.release.unique_case_id {
            return Err(Clash);
        }
        Ok(self.put(key, None, document, actor, now))
    }

    /// Saves a case after a change, whatever the change. A save always moves the stamp.
    pub(super) fn save(&mut self, key: Uuid, actor: &str, change: impl FnOnce(&mut Document)) -> Option<Saved> {
        let now = self.clock.now().max(self.store.get(key)?.stamp + TimeDelta::milliseconds(1));
        self.save_at(now, key, actor, change)
    }

    /// Saves a case with a stamp of one's own, as a save does that was stamped early and committed late.
    pub(super) fn save_at(
        &mut self,
        stamp: DateTime<Utc>,
        key: Uuid,
        actor: &str,
        change: impl FnOnce(&mut Document),
    ) -> Option<Saved> {
        let before = self.store.get(key)?.clone();
        let mut document = before.document.clone();
        change(&mut document);
        Some(self.put(key, Some(before), document, actor, stamp))
    }

    fn put(&mut self, key: Uuid, before: Option<Arc<Case>>, mut document: Document, actor: &str, now: DateTime<Utc>) -> Saved {
        settle(&self.accounts, before.as_deref().map(|case| &case.document), &mut document);
        document.insert("last_updated_at".to_owned(), json!(shown(now)));
        document.insert("last_updated_by".to_owned(), json!(actor));
        let created_at = document.get("created_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let created_at = created_at.unwrap_or(now);
        let saves = before.as_ref().map_or(0, |case| case.saves) + 1;
        let after = self.store.put(Case { key, stamp: now, created_at, document, saves });
        Saved { before, after }
    }

    pub(super) fn in_scope(user: &User, role: &Role, case: &Case) -> bool {
        match role.scope {
            Scope::All => true,
            Scope::Agency => user.agency.as_ref().is_some_and(|agency| case.lists("associated_user_agencies", agency)),
            Scope::Group => user.groups.iter().any(|group| case.lists("associated_user_groups", group)),
            Scope::Own => case.lists("associated_user_names", &user.user_name),
        }
    }
}
