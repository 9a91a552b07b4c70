//! Forms, fields and lookups: what can be recorded, and how Primero shows it.
//!
//! It knows no record and no role.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::body::{Kind, Options, Schema};

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `text_field`
    Text,
    /// `textarea`
    TextArea,
    /// `date_field`
    Date,
    /// `date_field` with `date_include_time`
    DateTime,
    /// `numeric_field`
    Numeric,
    /// `tick_box`
    TickBox,
    /// `radio_button`
    Radio(OptionSource),
    /// `select_box`
    Select(OptionSource),
    /// `select_box` with `multi_select`
    MultiSelect(OptionSource),
    /// `subform`: the unique id of the nested form
    Subform(String),
}

/// Where the options of a select come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionSource {
    /// A lookup, by its unique id.
    Lookup(String),
    /// Written into the field: id and label.
    Inline(Vec<(String, String)>),
    /// `Agency`, `User`, `Location`, `ReportingLocation`: not checked.
    Records(String),
}

impl OptionSource {
    /// A lookup.
    #[must_use]
    pub fn lookup(unique_id: &str) -> Self {
        Self::Lookup(unique_id.to_owned())
    }

    /// Options written into the field, labelled by their ids.
    #[must_use]
    pub fn inline(ids: &[&str]) -> Self {
        Self::Inline(ids.iter().map(|id| ((*id).to_owned(), (*id).to_owned())).collect())
    }

    /// Records of some kind.
    #[must_use]
    pub fn records(kind: &str) -> Self {
        Self::Records(kind.to_owned())
    }
}

/// A field of a form.
#[derive(Clone, Debug)]
pub struct Field {
    pub(super) name: String,
    pub(super) field_type: FieldType,
    pub(super) label: String,
    pub(super) required: bool,
}

impl Field {
    /// People cannot save the form without it. The API does not ask for it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// A field labelled by its name.
    #[must_use]
    pub fn new(name: &str, field_type: FieldType) -> Self {
        Self { name: name.to_owned(), field_type, label: name.replace('_', " "), required: false }
    }
}

/// A form; nested ones are reached through a subform field.
#[derive(Clone, Debug)]
pub struct Form {
    pub(super) unique_id: String,
    pub(super) nested: bool,
    pub(super) modules: Vec<String>,
    pub(super) fields: Vec<Field>,
}

impl Form {
    /// A form of a module.
    #[must_use]
    pub fn new(unique_id: &str, module: &str, fields: Vec<Field>) -> Self {
        Self { unique_id: unique_id.to_owned(), nested: false, modules: vec![module.to_owned()], fields }
    }

    /// A nested form.
    #[must_use]
    pub fn nested(unique_id: &str, module: &str, fields: Vec<Field>) -> Self {
        Self { nested: true, ..Self::new(unique_id, module, fields) }
    }
}

/// Options with their labels.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    unique_id: String,
    values: Vec<(String, String)>,
    ids: Arc<HashSet<String>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    forms: Vec<Form>,
    lookups: Vec<Lookup>,
}

impl Forms {
    /// Puts a form in place of one with the same id, if there is one.
    pub(super) fn put_form(&mut self, form: Form) {
        match self.forms.iter_mut().find(|known| known.unique_id == form.unique_id) {
            Some(known) => *known = form,
            None => self.forms.push(form),
        }
    }

    pub(super) fn form(&self, unique_id: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.unique_id == unique_id)
    }

    pub(super) fn form_mut(&mut self, unique_id: &str) -> Option<&mut Form> {
        self.forms.iter_mut().find(|form| form.unique_id == unique_id)
    }

    /// Makes sure that a field is there and offers these options. A field that is there keeps its kind, its form and its options.
    pub(super) fn offer(&mut self, form: &str, field: Field, options: &[(String, String)]) {
        let nested = self.form(form).is_some_and(|form| form.nested);
        let known = |known: &Form| known.nested == nested && known.fields.iter().any(|known| known.name == field.name);
        let name = field.name.clone();
        let holder = match self.forms.iter().position(known) {
            Some(holder) => holder,
            None => {
                let Some(holder) = self.forms.iter().position(|known| known.unique_id == form) else { return };
                self.forms[holder].fields.push(field);
                holder
            }
        };
        let Some(field) = self.forms[holder].fields.iter_mut().find(|field| field.name == name) else { return };
        let extend = |values: &mut Vec<(String, String)>| {
            for option in options.iter().filter(|(id, _)| !values.iter().any(|(known, _)| known == id)).collect::<Vec<_>>() {
                values.push(option.clone());
            }
        };
        let lookup = match &mut field.field_type {
            FieldType::Radio(source) | FieldType::Select(source) | FieldType::MultiSelect(source) => match source {
                OptionSource::Inline(values) => {
                    extend(values);
                    None
                }
                OptionSource::Lookup(name) => Some(name.clone()),
                OptionSource::Records(_) => None,
            },
            FieldType::Text
            | FieldType::TextArea
            | FieldType::Date
            | FieldType::DateTime
            | FieldType::Numeric
            | FieldType::TickBox
            | FieldType::Subform(_) => None,
        };
        if let Some(lookup) = lookup {
            let mut values = self.lookup_values(&lookup);
            extend(&mut values);
            self.put_lookup(&lookup, values);
        }
    }

    /// A field of any form that is not nested.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.forms.iter().filter(|form| !form.nested).flat_map(|form| &form.fields).find(|field| field.name == name)
    }

    /// Puts a lookup in place of one with the same id, if there is one.
    pub(super) fn put_lookup(&mut self, unique_id: &str, values: Vec<(String, String)>) {
        let ids = Arc::new(values.iter().map(|(id, _)| id.clone()).collect());
        let lookup = Lookup { unique_id: unique_id.to_owned(), values, ids };
        match self.lookups.iter_mut().find(|known| known.unique_id == unique_id) {
            Some(known) => *known = lookup,
            None => self.lookups.push(lookup),
        }
    }

    pub(super) fn lookup_values(&self, unique_id: &str) -> Vec<(String, String)> {
        self.lookup(unique_id).map(|lookup| lookup.values.clone()).unwrap_or_default()
    }

    /// The fields of a form as rules for a body; `leave_out` names fields by their dotted path.
    pub(super) fn extend_schema(&self, schema: &mut Schema, form: &Form, check_options: bool, leave_out: &HashSet<String>) {
        for field in form.fields.iter().filter(|field| !leave_out.contains(&field.name)) {
            schema.insert(field.name.clone(), self.kind(field, &field.name, check_options, leave_out));
        }
    }

    /// The rule for the options of a lookup.
    pub(super) fn lookup_options(&self, unique_id: &str, check_options: bool) -> Options {
        match self.lookup(unique_id) {
            Some(lookup) if check_options => Options::Listed(lookup.ids.clone()),
            Some(_) | None => Options::Any,
        }
    }

    fn kind(&self, field: &Field, path: &str, check: bool, leave_out: &HashSet<String>) -> Kind {
        let options = |source: &OptionSource| match source {
            OptionSource::Lookup(lookup) => self.lookup_options(lookup, check),
            OptionSource::Inline(values) if check => Options::Listed(Arc::new(values.iter().map(|(id, _)| id.clone()).collect())),
            OptionSource::Inline(_) | OptionSource::Records(_) => Options::Any,
        };
        match &field.field_type {
            FieldType::Text | FieldType::TextArea => Kind::Text,
            FieldType::Date => Kind::Date,
            FieldType::DateTime => Kind::DateTime,
            FieldType::Numeric => Kind::Numeric,
            FieldType::TickBox => Kind::TickBox,
            FieldType::Radio(source) => Kind::Radio(options(source)),
            FieldType::Select(source) => Kind::Select(options(source)),
            FieldType::MultiSelect(source) => Kind::MultiSelect(options(source)),
            FieldType::Subform(nested) => {
                let mut schema = Schema::from([("unique_id".to_owned(), Kind::UniqueId), ("_destroy".to_owned(), Kind::Flag)]);
                for field in self.form(nested).into_iter().flat_map(|form| &form.fields) {
                    let path = format!("{path}.{}", field.name);
                    if !leave_out.contains(&path) {
                        schema.insert(field.name.clone(), self.kind(field, &path, check, leave_out));
                    }
                }
                Kind::Subform(Arc::new(schema))
            }
        }
    }

    fn lookup(&self, unique_id: &str) -> Option<&Lookup> {
        self.lookups.iter().find(|lookup| lookup.unique_id == unique_id)
    }

    /// `GET forms`: every form of the module, whatever the role.
    pub(super) fn forms_json(&self, module: Option<&str>) -> Value {
        let ids: HashMap<&str, usize> = self.forms.iter().zip(1..).map(|(form, id)| (form.unique_id.as_str(), id)).collect();
        let of_module = |form: &&Form| module.is_none_or(|module| form.modules.iter().any(|known| known == module));
        let mut field_id = 0;
        let mut forms = Vec::new();
        for form in self.forms.iter().filter(of_module) {
            let id = ids[form.unique_id.as_str()];
            let fields = form.fields.iter().map(|field| {
                field_id += 1;
                field_json(field, field_id, id, &ids)
            });
            let fields: Vec<Value> = fields.collect();
            forms.push(json!({
                "id": id, "unique_id": form.unique_id, "name": {"en": form.unique_id.replace('_', " ")}, "parent_form": "case",
                "visible": true, "editable": true, "is_nested": form.nested, "module_ids": form.modules, "fields": fields,
            }));
        }
        json!({ "data": forms })
    }

    /// `GET lookups`, a page of them.
    pub(super) fn lookups_json(&self, per: usize, page: usize) -> Value {
        let rows = self.lookups.iter().zip(1..).skip(per.saturating_mul(page - 1)).take(per);
        let rows: Vec<Value> = rows
            .map(|(lookup, id)| {
                json!({"id": id, "unique_id": lookup.unique_id, "name": {"en": lookup.unique_id}, "values": options_json(&lookup.values)})
            })
            .collect();
        json!({"data": rows, "metadata": {"total": self.lookups.len(), "per": per, "page": page}})
    }
}

fn field_json(field: &Field, id: usize, form: usize, forms: &HashMap<&str, usize>) -> Value {
    let word = match &field.field_type {
        FieldType::Text => "text_field",
        FieldType::TextArea => "textarea",
        FieldType::Date | FieldType::DateTime => "date_field",
        FieldType::Numeric => "numeric_field",
        FieldType::TickBox => "tick_box",
        FieldType::Radio(_) => "radio_button",
        FieldType::Select(_) | FieldType::MultiSelect(_) => "select_box",
        FieldType::Subform(_) => "subform",
    };
    let mut shown = json!({
        "id": id, "name": field.name, "type": word, "form_section_id": form, "visible": true, "editable": true,
        "required": field.required, "display_name": {"en": field.label}, "multi_select": matches!(field.field_type, FieldType::MultiSelect(_)),
        "date_include_time": field.field_type == FieldType::DateTime,
    });
    match &field.field_type {
        FieldType::Radio(source) | FieldType::Select(source) | FieldType::MultiSelect(source) => match source {
            OptionSource::Lookup(lookup) => shown["option_strings_source"] = json!(format!("lookup {lookup}")),
            OptionSource::Records(kind) => shown["option_strings_source"] = json!(kind),
            OptionSource::Inline(values) => shown["option_strings_text"] = options_json(values),
        },
        FieldType::Subform(nested) => shown["subform_section_id"] = json!(forms.get(nested.as_str())),
        FieldType::Text
        | FieldType::TextArea
        | FieldType::Date
        | FieldType::DateTime
        | FieldType::Numeric
        | FieldType::TickBox => {}
    }
    shown
}

fn options_json(values: &[(String, String)]) -> Value {
    values.iter().map(|(id, label)| json!({"id": id, "display_text": {"en": label}})).collect()
}
