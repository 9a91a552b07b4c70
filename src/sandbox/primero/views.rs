//! How cases and users are shown.
//!
//! It knows which names may be shown because it is told, and writes straight from what is stored, without a copy.

use std::{collections::HashSet, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    accounts::{Accounts, FormAccess, User},
    store::{Case, shown},
    world::Saved,
};

/// The names shown when `fields=short` is asked.
const SHORT: [&str; 10] =
    ["case_id_display", "short_id", "name", "age", "sex", "status", "owned_by", "module_id", "registration_date", "record_state"];

/// The names asked for with `fields=`; `None` for all.
pub(super) fn chosen(fields: Option<&str>) -> Option<HashSet<&str>> {
    match fields? {
        "short" => Some(SHORT.into()),
        list => Some(list.split(',').map(str::trim).collect()),
    }
}

/// A case, cut to some of its fields. `id`, `enabled` and `last_updated_at` always stand there.
pub(super) struct CaseView<'a, F: Fn(&str) -> bool> {
    pub(super) case: &'a Case,
    pub(super) shows: F,
    pub(super) more: Vec<(&'static str, Value)>,
}

impl<F: Fn(&str) -> bool> Serialize for CaseView<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const CONSTANT: [&str; 3] = ["id", "enabled", "last_updated_at"];
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.case.key.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))?;
        map.serialize_entry("enabled", &self.case.enabled())?;
        for (name, value) in &self.case.document {
            if CONSTANT.contains(&name.as_str()) || value.is_null() || !(self.shows)(name) {
                continue;
            }
            if name == "name" && self.case.document.get("hidden_name") == Some(&Value::Bool(true)) {
                map.serialize_entry(name, "*******")?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("last_updated_at", &shown(self.case.stamp))?;
        for (name, value) in &self.more {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What a save is answered with: what it changed, as far as it may be read.
pub(super) fn saved_json(saved: &Saved, readable: &HashSet<String>) -> Value {
    let changed = saved.changed();
    let shows = |name: &str| readable.contains(name) && changed(name);
    serde_json::to_value(CaseView { case: &saved.after, shows, more: Vec::new() }).unwrap_or(Value::Null)
}

/// An account as others see it; keys without a value are left out.
pub(super) fn user_json(accounts: &Accounts, user: &Arc<User>, extended: bool) -> Value {
    let role = accounts.role_of(user);
    let agency = user.agency.as_deref().and_then(|agency| accounts.agency(agency));
    let mut view = json!({
        "id": user.id, "user_name": user.user_name, "full_name": user.full_name, "email": user.email, "phone": user.phone,
        "position": user.position, "agency_id": agency.map(|(id, _)| id), "location": user.location,
        "disabled": user.disabled, "locale": "en", "role_unique_id": user.role,
        "role_group_permission": role.map(|role| role.scope.word()), "module_unique_ids": role.map(|role| &role.modules),
        "user_group_unique_ids": user.groups, "created_at": shown(user.created_at), "updated_at": shown(user.created_at),
    });
    if let Some(role) = role.filter(|_| extended) {
        let list: Vec<_> = role
            .permissions
            .iter()
            .map(|(resource, actions)| json!({"resource": format!("{resource}s"), "actions": actions}))
            .collect();
        let word = |access: &FormAccess| match access {
            FormAccess::Read => "r",
            FormAccess::ReadWrite => "rw",
        };
        let forms: serde_json::Map<_, _> = role.forms.iter().map(|(form, access)| (form.clone(), json!(word(access)))).collect();
        view["agency_unique_id"] = json!(user.agency);
        view["agency_name"] = json!(agency.map(|(_, name)| name));
        view["permissions"] = json!({ "list": list });
        view["permitted_form"] = Value::Object(forms);
    }
    if let Some(view) = view.as_object_mut() {
        view.retain(|_, value| !value.is_null());
    }
    view
}
