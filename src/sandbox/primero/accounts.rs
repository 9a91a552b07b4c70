//! Roles, users and who may sign in: passwords, the lock-out, what a role permits.
//!
//! It knows no case and no form beyond its name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

/// Whose cases a role sees (`group_permission`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every case.
    All,
    /// Cases associated with the user's agency.
    Agency,
    /// Cases associated with one of the user's groups.
    Group,
    /// Cases associated with the user.
    Own,
}

impl Scope {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Agency => "agency",
            Self::Group => "group",
            Self::Own => "self",
        }
    }
}

/// What a role may do with the fields of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormAccess {
    /// `r`
    Read,
    /// `rw`
    ReadWrite,
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    pub(super) unique_id: String,
    pub(super) scope: Scope,
    pub(super) permissions: BTreeMap<String, BTreeSet<String>>,
    pub(super) forms: BTreeMap<String, FormAccess>,
    pub(super) modules: BTreeSet<String>,
    pub(super) unreadable: HashSet<String>,
    pub(super) unwritable: HashSet<String>,
    pub(super) administers_users: bool,
    pub(super) system: bool,
}

impl Role {
    /// A role without any permission.
    #[must_use]
    pub fn new(unique_id: &str, scope: Scope) -> Self {
        Self {
            unique_id: unique_id.to_owned(),
            scope,
            permissions: BTreeMap::new(),
            forms: BTreeMap::new(),
            modules: BTreeSet::new(),
            unreadable: HashSet::new(),
            unwritable: HashSet::new(),
            administers_users: false,
            system: false,
        }
    }

    /// Permits actions on a resource, `case` or `user`.
    #[must_use]
    pub fn may(mut self, resource: &str, actions: &[&str]) -> Self {
        let permitted = self.permissions.entry(resource.to_owned()).or_default();
        permitted.extend(actions.iter().map(|action| (*action).to_owned()));
        self
    }

    /// Takes a permission away.
    #[must_use]
    pub fn may_not(mut self, resource: &str, action: &str) -> Self {
        if let Some(permitted) = self.permissions.get_mut(resource) {
            permitted.remove(action);
        }
        self
    }

    /// Gives access to the fields of a form.
    #[must_use]
    pub fn form(mut self, unique_id: &str, access: FormAccess) -> Self {
        self.forms.insert(unique_id.to_owned(), access);
        self
    }

    /// Takes a form away.
    #[must_use]
    pub fn without_form(mut self, unique_id: &str) -> Self {
        self.forms.remove(unique_id);
        self
    }

    /// Works in a module.
    #[must_use]
    pub fn module(mut self, unique_id: &str) -> Self {
        self.modules.insert(unique_id.to_owned());
        self
    }

    /// Sees cases of this scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Hides a field, as if it stood on a form this role does not have; `permitted_form` does not show it.
    #[must_use]
    pub fn cannot_read(mut self, field: &str) -> Self {
        self.unreadable.insert(field.to_owned());
        self.cannot_write(field)
    }

    /// Makes a field unwritable, as if it stood on a form this role may only read.
    /// A field inside a subform is named with a dot: `services_section.unhcr_referral_status`.
    #[must_use]
    pub fn cannot_write(mut self, field: &str) -> Self {
        self.unwritable.insert(field.to_owned());
        self
    }

    /// A user administrator: sees all users; ordinary users do not see its holders.
    #[must_use]
    pub fn administers_users(mut self) -> Self {
        self.administers_users = true;
        self
    }

    /// A role of category `system`: its holders receive no referrals.
    #[must_use]
    pub fn system(mut self) -> Self {
        self.system = true;
        self
    }

    pub(super) fn permits(&self, resource: &str, action: &str) -> bool {
        self.permissions.get(resource).is_some_and(|actions| actions.contains(action) || actions.contains("manage"))
    }
}

/// A user account.
#[derive(Clone)]
pub struct User {
    pub(super) id: u32,
    pub(super) user_name: String,
    pub(super) role: String,
    pub(super) password: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) position: Option<String>,
    pub(super) agency: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) location: Option<String>,
    pub(super) disabled: bool,
    pub(super) unverified: bool,
    pub(super) created_at: DateTime<Utc>,
}

impl User {
    /// An enabled account without a password; Primero stores user names in lower case.
    #[must_use]
    pub fn new(user_name: &str, role: &str) -> Self {
        Self {
            id: 0,
            user_name: user_name.to_lowercase(),
            role: role.to_owned(),
            password: None,
            full_name: None,
            email: None,
            phone: None,
            position: None,
            agency: None,
            groups: Vec::new(),
            location: None,
            disabled: false,
            unverified: false,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    /// May sign in with this.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The name people see.
    #[must_use]
    pub fn full_name(mut self, full_name: &str) -> Self {
        self.full_name = Some(full_name.to_owned());
        self
    }

    /// E-mail address.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.email = Some(email.to_owned());
        self
    }

    /// Telephone number.
    #[must_use]
    pub fn phone(mut self, phone: &str) -> Self {
        self.phone = Some(phone.to_owned());
        self
    }

    /// Position.
    #[must_use]
    pub fn position(mut self, position: &str) -> Self {
        self.position = Some(position.to_owned());
        self
    }

    /// Works for an agency, by its unique id.
    #[must_use]
    pub fn agency(mut self, unique_id: &str) -> Self {
        self.agency = Some(unique_id.to_owned());
        self
    }

    /// Belongs to a user group, by its unique id.
    #[must_use]
    pub fn group(mut self, unique_id: &str) -> Self {
        self.groups.push(unique_id.to_owned());
        self
    }

    /// Works at a location, by its code.
    #[must_use]
    pub fn location(mut self, code: &str) -> Self {
        self.location = Some(code.to_owned());
        self
    }

    /// Has been disabled.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Has not been verified.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.unverified = true;
        self
    }
}

/// Six failures lock an account for half an hour.
const FAILURES_ALLOWED: u32 = 6;
const LOCKED_FOR: TimeDelta = TimeDelta::minutes(30);

#[derive(Default)]
pub(super) struct Accounts {
    roles: HashMap<String, Arc<Role>>,
    users: Vec<Arc<User>>,
    by_name: HashMap<String, usize>,
    agencies: Vec<(String, String)>,
    attempts: HashMap<String, Attempts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    failed: u32,
    locked_at: Option<DateTime<Utc>>,
}

impl Accounts {
    /// Puts a role in place of one with the same id, if there is one.
    pub(super) fn put_role(&mut self, role: Role) {
        self.roles.insert(role.unique_id.clone(), Arc::new(role));
    }

    pub(super) fn role(&self, unique_id: &str) -> Option<&Arc<Role>> {
        self.roles.get(unique_id)
    }

    pub(super) fn role_of(&self, user: &User) -> Option<&Arc<Role>> {
        self.roles.get(&user.role)
    }

    /// Puts an account in place of one with the same name, if there is one.
    pub(super) fn put_user(&mut self, mut user: User, now: DateTime<Utc>) {
        if let Some(agency) = user.agency.clone() {
            self.put_agency(&agency, &agency);
        }
        let place = self.by_name.get(&user.user_name).copied();
        let id = place.unwrap_or(self.users.len()) + 1;
        user.id = u32::try_from(id).unwrap_or(u32::MAX);
        user.created_at = place.map_or(now, |place| self.users[place].created_at);
        match place {
            Some(place) => self.users[place] = Arc::new(user),
            None => {
                self.by_name.insert(user.user_name.clone(), self.users.len());
                self.users.push(Arc::new(user));
            }
        }
    }

    pub(super) fn user(&self, user_name: &str) -> Option<&Arc<User>> {
        self.by_name.get(user_name).map(|place| &self.users[*place])
    }

    pub(super) fn users(&self) -> &[Arc<User>] {
        &self.users
    }

    /// Names an agency; a second time, it is renamed only if the new name says more than the id.
    pub(super) fn put_agency(&mut self, unique_id: &str, name: &str) {
        match self.agencies.iter_mut().find(|(known, _)| known == unique_id) {
            Some((_, known_name)) if name != unique_id => name.clone_into(known_name),
            Some(_) => {}
            None => self.agencies.push((unique_id.to_owned(), name.to_owned())),
        }
    }

    /// The database id and the name of an agency.
    pub(super) fn agency(&self, unique_id: &str) -> Option<(usize, &str)> {
        let place = self.agencies.iter().position(|(known, _)| known == unique_id)?;
        Some((place + 1, &self.agencies[place].1))
    }

    /// Checks a user name and password, counting failures. One answer for all: it does not tell a locked account from a wrong password.
    pub(super) fn sign_in(&mut self, user_name: &str, password: &str, now: DateTime<Utc>) -> Option<Arc<User>> {
        let user_name = user_name.trim().to_lowercase();
        let user = self.user(&user_name)?.clone();
        let attempts = self.attempts.entry(user_name).or_default();
        if attempts.locked_at.is_some_and(|at| now < at + LOCKED_FOR) {
            return None;
        }
        if attempts.locked_at.take().is_some() {
            attempts.failed = 0;
        }
        if user.password.as_deref() != Some(password) {
            attempts.failed += 1;
            if attempts.failed >= FAILURES_ALLOWED {
                attempts.locked_at = Some(now);
            }
            return None;
        }
        if user.disabled || user.unverified {
            return None;
        }
        attempts.failed = 0;
        Some(user)
    }

    /// Failed attempts since the last success, and whether they have locked the account.
    pub(super) fn failed_attempts(&self, user_name: &str) -> (u32, bool) {
        self.attempts.get(user_name).map_or((0, false), |attempts| (attempts.failed, attempts.locked_at.is_some()))
    }
}
