//! Users over the wire: list and show.
//!
//! It knows who sees whom, and no case.

use std::sync::Arc;

use serde_json::json;

use super::{
    accounts::{Scope, User},
    errors::{Refusal, ok},
    routes::{Caller, paging},
    views::user_json,
    world::World,
};
use crate::sandbox::wire::{Asked, Reply};

impl World {
    pub(super) fn list_users(&self, caller: &Caller, asked: &Asked) -> Result<Reply, Refusal> {
        caller.must("user", "read")?;
        let (per, page) = paging(self, asked)?;
        let seen = self.accounts.users().iter().filter(|user| self.sees(caller, user) && self.asked_for(user, asked));
        let mut rows: Vec<&Arc<User>> = seen.flat_map(|user| std::iter::repeat_n(user, appearances(caller, user))).collect();
        // The newest first; accounts of one moment in the order of their ids, so that an answer is the same each time.
        rows.sort_by_key(|user| (std::cmp::Reverse(user.created_at), user.id));
        let enabled = rows.iter().filter(|user| !user.disabled).count();
        let total = rows.len();
        let rows = rows.into_iter().skip(per.saturating_mul(page - 1)).take(per);
        let extended = asked.parameter("extended") == Some("true");
        let rows: Vec<_> = rows.map(|user| user_json(&self.accounts, user, extended)).collect();
        Ok(ok(&json!({"data": rows, "metadata": {"total": total, "per": per, "page": page, "total_enabled": enabled}})))
    }

    pub(super) fn show_user(&self, caller: &Caller, part: &str, asked: &Asked) -> Result<Reply, Refusal> {
        let user = part.parse::<u32>().ok().and_then(|id| self.accounts.users().iter().find(|user| user.id == id));
        let user = user.ok_or_else(|| Refusal::NoRecord("User", part.to_owned()))?;
        let sees = caller.role.permits("user", "read") && self.sees(caller, user);
        // One's own account is always there to read.
        if !sees && user.id != caller.user.id {
            return Err(Refusal::Forbidden);
        }
        let extended = asked.parameter("extended") == Some("true");
        Ok(ok(&json!({ "data": user_json(&self.accounts, user, extended) })))
    }

    fn sees(&self, caller: &Caller, user: &User) -> bool {
        if caller.role.administers_users {
            return true;
        }
        let is_admin = self.accounts.role_of(user).is_some_and(|role| role.administers_users);
        let visible = if caller.role.permits("user", "agency_read") {
            user.agency.is_some() && user.agency == caller.user.agency
        } else {
            match caller.role.scope {
                Scope::All => true,
                Scope::Group => user.groups.iter().any(|group| caller.user.groups.contains(group)),
                Scope::Agency | Scope::Own => user.id == caller.user.id,
            }
        };
        visible && !is_admin
    }

    fn asked_for(&self, user: &User, asked: &Asked) -> bool {
        let values =
            |name: &str| asked.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
        let one_of = |name: &str, actual: &str| {
            let values = values(name);
            values.is_empty() || values.iter().any(|value| value == actual)
        };
        let agency = user.agency.as_deref().and_then(|agency| self.accounts.agency(agency));
        let agency = agency.map(|(id, _)| id.to_string()).unwrap_or_default();
        let part = asked.parameter("query").unwrap_or_default().to_lowercase();
        let full_name = user.full_name.as_deref().unwrap_or_default().to_lowercase();
        let groups = asked.parameter("user_group_ids");
        asked.parameter("user_name").is_none_or(|name| name == user.user_name)
            && (user.user_name.contains(&part) || full_name.contains(&part))
            && asked.parameter("location").is_none_or(|location| user.location.as_deref() == Some(location))
            && one_of("disabled[]", if user.disabled { "true" } else { "false" })
            && one_of("role_id[]", &user.role)
            && one_of("agency[]", &agency)
            && groups.is_none_or(|groups| groups.split(',').any(|group| user.groups.iter().any(|known| known == group)))
    }
}

/// A caller of group scope sees a user once for each group they share.
fn appearances(caller: &Caller, user: &User) -> usize {
    let by_group =
        caller.role.scope == Scope::Group && !caller.role.administers_users && !caller.role.permits("user", "agency_read");
    if by_group { user.groups.iter().filter(|group| caller.user.groups.contains(group)).count() } else { 1 }
}
