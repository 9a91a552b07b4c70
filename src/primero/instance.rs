//! What an instance tells about itself: our own account, the forms of a module, the lists of options. For the check at start.
//!
//! It judges nothing. What stands here is configuration of the instance, never a record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Document, Trouble,
    answer::{self, Listing, not_as_promised},
    client::{Client, LARGEST_LIST},
    target::Target,
    text,
};
use crate::referral::codes;

/// How many pages of lists of options are read.
const MOST_PAGES: u32 = 20;

/// The account that we work with.
#[derive(Clone, Debug)]
pub struct OwnAccount {
    /// `role_unique_id`
    pub role: Option<String>,
    /// `role_group_permission`: `self`, `group`, `agency` or `all`.
    pub group_permission: Option<String>,
    /// `module_unique_ids`
    pub modules: BTreeSet<String>,
    /// `agency_unique_id`
    pub agency: Option<String>,
    /// What the role may do: resource in the plural, as Primero lists it (`cases`, `users`) → actions.
    pub permissions: BTreeMap<String, BTreeSet<String>>,
    /// Which forms the role has: `unique_id` → access.
    pub forms: BTreeMap<String, FormAccess>,
}

codes! {
    /// What a role may do with a form.
    FormAccess {
        /// `r`
        Read = "r",
        /// `rw`
        ReadAndWrite = "rw",
    }
}

/// A form, nested or not.
#[derive(Clone, Debug)]
pub struct Form {
    /// `id`, to which [`Field::subform`] refers.
    pub id: i64,
    /// `unique_id`, to which [`OwnAccount::forms`] refers.
    pub unique_id: String,
    /// Whether it is the inner part of another form.
    pub nested: bool,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// `name`
    pub name: String,
    /// `type`, as Primero calls it: `text_field`, `select_box`, `tick_box`, `subform` …
    pub kind: String,
    /// `multi_select`
    pub multi_select: bool,
    /// `date_include_time`
    pub with_time: bool,
    /// `required`: people cannot save the form without it.
    pub required: bool,
    /// What may be chosen.
    pub options: Options,
    /// `subform_section_id`: the [`Form::id`] of the inner form.
    pub subform: Option<i64>,
}

/// What may be chosen in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Options {
    /// Nothing to choose from.
    None,
    /// What stands in the field itself: id and label.
    Inline(BTreeMap<String, String>),
    /// `option_strings_source` as given: `lookup lookup-gender`, `Agency`, `User` …
    Source(String),
}

/// A list of options.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// `unique_id`
    pub unique_id: String,
    /// What may be chosen: id and label.
    pub options: BTreeMap<String, String>,
}

impl Client {
    /// Our own account with its rights; `None` if we may not even see ourselves.
    pub async fn own_account(&self) -> Result<Option<OwnAccount>, Trouble> {
        let Some(record) = self.user_record(&self.inner().user_name, true).await? else { return Ok(None) };
        account_of(&record).map(Some).ok_or_else(|| not_as_promised(Some(200), false))
    }

    /// The case forms of a module, whether our role has them or not.
    pub async fn forms(&self, module: &str) -> Result<Vec<Form>, Trouble> {
        let target = Target::new("forms").with("record_type", "case").with("module_id", module);
        let answer = self.get(target, LARGEST_LIST).await?;
        let read = || match answer::data(answer)? {
            Value::Array(forms) => forms.iter().map(form_of).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        read().ok_or_else(|| not_as_promised(Some(200), false))
    }

    /// All lists of options.
    pub async fn lookups(&self) -> Result<Vec<Lookup>, Trouble> {
        let mut lookups = Vec::new();
        for page in 1..=MOST_PAGES {
            let target = Target::new("lookups").with("per", "1000").with("page", &page.to_string());
            let listing = answer::listing(self.get(target, LARGEST_LIST).await?);
            let Listing { rows, per, page: given, .. } = listing.ok_or_else(|| not_as_promised(Some(200), false))?;
            if given != page {
                return Err(Trouble::FilterIgnored);
            }
            let read = rows.iter().map(lookup_of).collect::<Option<Vec<_>>>();
            lookups.extend(read.ok_or_else(|| not_as_promised(Some(200), false))?);
            if rows.len() < per as usize {
                return Ok(lookups);
            }
        }
        Err(not_as_promised(Some(200), false))
    }
}

fn account_of(record: &Document) -> Option<OwnAccount> {
    let owned = |field: &str| text(record, field).map(str::to_owned);
    let permissions = record.get("permissions")?.get("list")?.as_array()?.iter().map(|permission| {
        let resource = permission.get("resource")?.as_str()?;
        Some((resource.to_owned(), texts(permission.get("actions"))))
    });
    // Primero leaves out what is empty.
    let forms = record.get("permitted_form").and_then(Value::as_object).into_iter().flatten();
    Some(OwnAccount {
        role: owned("role_unique_id"),
        group_permission: owned("role_group_permission"),
        modules: texts(record.get("module_unique_ids")),
        agency: owned("agency_unique_id"),
        permissions: permissions.collect::<Option<_>>()?,
        forms: forms
            .map(|(form, access)| Some((form.clone(), FormAccess::from_code(access.as_str()?)?)))
            .collect::<Option<_>>()?,
    })
}

fn form_of(value: &Value) -> Option<Form> {
    let form = value.as_object()?;
    Some(Form {
        id: form.get("id")?.as_i64()?,
        unique_id: text(form, "unique_id")?.to_owned(),
        nested: answer::yes(form, "is_nested")?,
        fields: form.get("fields").and_then(Value::as_array).into_iter().flatten().map(field_of).collect::<Option<_>>()?,
    })
}

fn field_of(value: &Value) -> Option<Field> {
    let field = value.as_object()?;
    let options = match (text(field, "option_strings_source"), field.get("option_strings_text")) {
        (Some(source), _) => Options::Source(source.to_owned()),
        (None, Some(Value::Array(options))) if !options.is_empty() => Options::Inline(labelled(options)),
        (None, _) => Options::None,
    };
    Some(Field {
        name: text(field, "name")?.to_owned(),
        kind: text(field, "type")?.to_owned(),
        multi_select: answer::yes(field, "multi_select")?,
        with_time: answer::yes(field, "date_include_time")?,
        required: field.get("required").and_then(Value::as_bool).unwrap_or_default(),
        options,
        subform: field.get("subform_section_id").and_then(Value::as_i64),
    })
}

fn lookup_of(value: &Value) -> Option<Lookup> {
    let lookup = value.as_object()?;
    let values = lookup.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Some(Lookup { unique_id: text(lookup, "unique_id")?.to_owned(), options: labelled(values) })
}

/// Ids with their labels: in English if there is one, else in the first language.
fn labelled(options: &[Value]) -> BTreeMap<String, String> {
    let label = |option: &Value| match option.get("display_text") {
        Some(Value::String(label)) => label.clone(),
        Some(Value::Object(languages)) => {
            let label = languages.get("en").or_else(|| languages.values().next());
            label.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    options.iter().filter_map(|option| Some((option.get("id")?.as_str()?.to_owned(), label(option)))).collect()
}

fn texts(list: Option<&Value>) -> BTreeSet<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
