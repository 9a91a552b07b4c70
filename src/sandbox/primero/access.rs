//! What a role may read and write, worked out from its forms.
//!
//! It knows no record and no user.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    accounts::{FormAccess, Role},
    body::{Kind, Options, Schema},
    forms::{FieldType, Forms, OptionSource},
};

/// Names that every role may read and filter by.
const ALWAYS: [&str; 13] = [
    "id",
    "owned_by",
    "status",
    "module_id",
    "record_state",
    "created_at",
    "associated_user_names",
    "case_id_display",
    "short_id",
    "sex",
    "age",
    "registration_date",
    "workflow",
];

/// Names that `read` on cases adds.
const WITH_READ: [&str; 8] = [
    "last_updated_at",
    "last_updated_by",
    "created_by",
    "assigned_user_names",
    "owned_by_agency_id",
    "previously_owned_by",
    "consent_for_services",
    "disclosure_other_orgs",
];

/// Names that a PATCH cannot change.
pub(super) const FIXED: [&str; 4] = ["id", "case_id", "case_id_display", "short_id"];

/// Whether every case has the field, whatever the forms.
pub(super) fn is_core(name: &str) -> bool {
    ALWAYS.contains(&name) || WITH_READ.contains(&name)
}

pub(super) struct Access {
    /// Names of top-level fields the role may read.
    pub(super) readable: HashSet<String>,
    /// What it may write, by module.
    writable: HashMap<String, Arc<Schema>>,
    /// What it may write in a case that is in none of its modules.
    core: Arc<Schema>,
}

impl Access {
    pub(super) fn of(role: &Role, forms: &Forms, check_options: bool) -> Self {
        let mut readable: HashSet<String> = ALWAYS.into_iter().map(str::to_owned).collect();
        if role.permits("case", "read") {
            readable.extend(WITH_READ.into_iter().map(str::to_owned));
        }
        for unique_id in role.forms.keys() {
            let fields = forms.form(unique_id).into_iter().flat_map(|form| &form.fields);
            readable.extend(fields.map(|field| field.name.clone()));
        }
        readable.retain(|name| !role.unreadable.contains(name));

        let core = core(forms, check_options);
        let mut writable = HashMap::new();
        for module in &role.modules {
            let mut schema = Schema::new();
            for (unique_id, access) in &role.forms {
                let form = forms.form(unique_id).filter(|form| *access == FormAccess::ReadWrite && form.modules.contains(module));
                if let Some(form) = form {
                    forms.extend_schema(&mut schema, form, check_options, &role.unwritable);
                }
            }
            schema.extend(core.clone());
            writable.insert(module.clone(), Arc::new(schema));
        }
        Self { readable, writable, core: Arc::new(core) }
    }

    pub(super) fn schema(&self, module: Option<&str>) -> Arc<Schema> {
        module.and_then(|module| self.writable.get(module)).unwrap_or(&self.core).clone()
    }
}

/// What may be written without any form.
fn core(forms: &Forms, check_options: bool) -> Schema {
    let status = forms.field("status").map(|field| &field.field_type);
    let status = if let Some(FieldType::Select(OptionSource::Lookup(lookup))) = status {
        forms.lookup_options(lookup, check_options)
    } else {
        let ids = ["open", "closed", "transferred", "identified"].map(str::to_owned);
        Options::Listed(Arc::new(ids.into()))
    };
    let names = [
        ("status", Kind::Select(status)),
        ("owned_by", Kind::Text),
        ("module_id", Kind::Text),
        ("record_state", Kind::TickBox),
        ("created_at", Kind::DateTime),
        ("case_status_reopened", Kind::TickBox),
        ("family_id", Kind::Text),
        ("id", Kind::UniqueId),
    ];
    names.map(|(name, kind)| (name.to_owned(), kind)).into()
}
