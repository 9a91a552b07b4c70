//! What people do in Primero while nobody looks through the API: case workers record, refer, decide, close; administrators disable.
//!
//! It knows no permission: whatever a test says a person did, they did.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    SimulatedPrimero,
    merge::merge,
    referrals::{Invalid, NewReferral},
    store::{Document, shown},
};

/// A person at work.
pub struct Staff<'a> {
    pub(super) primero: &'a SimulatedPrimero,
    pub(super) user_name: String,
}

/// A case as somebody opened it; saving it puts all of it back, and so erases what others have added since.
#[derive(Clone)]
pub struct OpenForm {
    key: Uuid,
    document: Document,
}

impl OpenForm {
    /// The document, to be edited.
    pub fn document(&mut self) -> &mut Document {
        &mut self.document
    }
}

/// Why a person's referral or decision was not saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsaved {
    /// There is no such case or referral.
    #[error("no such record in the simulated primero")]
    NoRecord,
    /// These fields do not allow it.
    #[error("the simulated primero does not allow it: {0:?}")]
    Fields(Vec<&'static str>),
}

impl Staff<'_> {
    /// Registers a case of the child-protection module, or of another one if the document says so. Gives its key.
    ///
    /// # Panics
    /// If another case has the same id or `case_id`.
    pub fn register(&self, document: Value) -> Uuid {
        self.store(document, None)
    }

    /// Registers a case as it would have been stored at some moment.
    ///
    /// # Panics
    /// If another case has the same id or `case_id`.
    pub fn register_at(&self, stamp: DateTime<Utc>, document: Value) -> Uuid {
        self.store(document, Some(stamp))
    }

    /// Changes fields; subform items meet by `unique_id`, as through the API.
    ///
    /// # Panics
    /// If there is no such case, or the change is no object.
    pub fn edit(&self, case: Uuid, change: Value) {
        let change = object(change);
        self.change(case, |document| merge(document, change));
    }

    /// Changes a document in any way.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn change(&self, case: Uuid, change: impl FnOnce(&mut Document)) {
        let saved = self.primero.world().save(case, &self.user_name, change);
        assert!(saved.is_some(), "the simulated primero has no such case");
    }

    /// Changes fields with a stamp of one's own: such a save was stamped then and becomes visible only now.
    ///
    /// # Panics
    /// If there is no such case, or the change is no object.
    pub fn edit_at(&self, stamp: DateTime<Utc>, case: Uuid, change: Value) {
        let change = object(change);
        let saved = self.primero.world().save_at(stamp, case, &self.user_name, |document| merge(document, change));
        assert!(saved.is_some(), "the simulated primero has no such case");
    }

    /// Adds a service and gives its `unique_id`.
    ///
    /// # Panics
    /// If there is no such case, or the item is no object.
    pub fn add_service(&self, case: Uuid, item: Value) -> Uuid {
        let mut item = object(item);
        let given = item.get("unique_id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let unique_id = given.unwrap_or_else(Uuid::new_v4);
        item.insert("unique_id".to_owned(), json!(unique_id.to_string()));
        self.edit(case, json!({"services_section": [item]}));
        unique_id
    }

    /// Changes a service.
    ///
    /// # Panics
    /// If there is no such case, or the change is no object.
    pub fn edit_service(&self, case: Uuid, unique_id: Uuid, change: Value) {
        let mut item = object(change);
        item.insert("unique_id".to_owned(), json!(unique_id.to_string()));
        self.edit(case, json!({"services_section": [item]}));
    }

    /// Deletes a service.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn delete_service(&self, case: Uuid, unique_id: Uuid) {
        self.edit(case, json!({"services_section": [{"unique_id": unique_id.to_string(), "_destroy": true}]}));
    }

    /// Gives or withdraws the consents that a referral needs.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn set_consent(&self, case: Uuid, given: bool) {
        self.edit(case, json!({"consent_for_services": given, "disclosure_other_orgs": given}));
    }

    /// Disables a case.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn disable(&self, case: Uuid) {
        self.edit(case, json!({"record_state": false}));
    }

    /// Closes a case.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn close(&self, case: Uuid) {
        self.edit(case, json!({"status": "closed"}));
    }

    /// Opens a case for editing.
    ///
    /// # Panics
    /// If there is no such case.
    #[must_use]
    pub fn open(&self, case: Uuid) -> OpenForm {
        let world = self.primero.world();
        let stored = world.store.get(case);
        let document = stored.map(|stored| stored.document.clone());
        OpenForm { key: case, document: document.expect("a person can only open a case that is there") }
    }

    /// Saves all of a case as it stands in the form.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn save(&self, form: OpenForm) {
        self.change(form.key, |document| *document = form.document);
    }

    /// Refers a case and gives the id of the referral.
    ///
    /// # Errors
    /// What Primero would say.
    pub fn refer(&self, case: Uuid, referral: NewReferral) -> Result<Uuid, Unsaved> {
        let mut world = self.primero.world();
        let case = world.store.get(case).cloned().ok_or(Unsaved::NoRecord)?;
        world.refer(&case, &self.user_name, referral).map(|(id, _)| id).map_err(Into::into)
    }

    /// Decides on a referral: `accepted`, `rejected` or `done`. A step that does not exist changes nothing.
    ///
    /// # Errors
    /// What Primero would say.
    pub fn decide(&self, referral: Uuid, status: &str, reason: Option<&str>) -> Result<(), Unsaved> {
        self.primero.world().decide(referral, &self.user_name, Some(status), reason, None)?;
        Ok(())
    }

    /// Revokes a referral.
    pub fn revoke(&self, referral: Uuid) {
        self.primero.world().revoke(referral, &self.user_name);
    }

    fn store(&self, document: Value, stamp: Option<DateTime<Utc>>) -> Uuid {
        let mut document = object(document);
        document.entry("module_id").or_insert_with(|| json!(super::CHILD_PROTECTION));
        if let Some(stamp) = stamp {
            document.entry("created_at").or_insert_with(|| json!(shown(stamp)));
        }
        let saved = self.primero.world().create(&self.user_name, document, stamp);
        saved.map(|saved| saved.after.key).expect("a case with this id or case_id is there already")
    }
}

impl From<Invalid> for Unsaved {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Fields(fields) => Self::Fields(fields.into_iter().map(|(field, _)| field).collect()),
            Invalid::UnknownRecipient => Self::Fields(vec!["transitioned_to"]),
        }
    }
}

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        _ => panic!("a document is a JSON object"),
    }
}
