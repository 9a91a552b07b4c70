//! Whether the forms of an instance fit the mapping: fields that are there, readable, writable, of the right kind, with the right options.
//!
//! Pure. Primero drops what it does not know without a word, so this is found before the first child, or never.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::prepared;
use crate::{
    config::{Flows, Settings},
    mapping::{
        Mapping, Place,
        rules::{Many, Message, Missing, Reading, Record, Row, Source, Unlisted},
    },
    primero::{Field, Form, FormAccess, Lookup, Options, OwnAccount},
    programme::Fields,
};

/// The section of the services of a case, and the id of each.
const SERVICES: &str = "services_section";
const UNIQUE_ID: &str = "unique_id";
/// What every role that reads cases can read without a form.
const ALWAYS_READ: [&str; 21] = [
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
    "last_updated_at",
    "last_updated_by",
    "created_by",
    "assigned_user_names",
    "owned_by_agency_id",
    "previously_owned_by",
    "consent_for_services",
    "disclosure_other_orgs",
];
/// What every role that writes cases can write without a form.
pub(super) const ALWAYS_WRITTEN: [&str; 4] = ["status", "owned_by", "module_id", "record_state"];

/// The forms of an instance as our role has them.
pub(super) struct Fit<'a> {
    /// Every case field of the module, with the best access that we have to it.
    case: BTreeMap<&'a str, Held<'a>>,
    /// Every field of a service item, likewise.
    service: BTreeMap<&'a str, Held<'a>>,
    lookups: BTreeMap<&'a str, &'a BTreeMap<String, String>>,
}

#[derive(Clone, Copy)]
struct Held<'a> {
    field: &'a Field,
    form: &'a str,
    access: Option<FormAccess>,
}

impl<'a> Fit<'a> {
    /// Puts forms and our access to them together.
    pub(super) fn new(own: &OwnAccount, forms: &'a [Form], lookups: &'a [Lookup]) -> Self {
        let mut case: BTreeMap<&str, Held<'a>> = BTreeMap::new();
        for form in forms.iter().filter(|form| !form.nested) {
            let access = own.forms.get(&form.unique_id).copied();
            for field in &form.fields {
                let held = Held { field, form: &form.unique_id, access };
                let known = case.entry(&field.name).or_insert(held);
                if rank(access) > rank(known.access) {
                    *known = held;
                }
            }
        }
        let mut service = BTreeMap::new();
        if let Some(section) = case.get(SERVICES).copied() {
            let inner = forms.iter().find(|form| Some(form.id) == section.field.subform);
            for field in inner.map_or(&[][..], |form| &form.fields) {
                service.insert(field.name.as_str(), Held { field, ..section });
            }
        }
        let lookups = lookups.iter().map(|lookup| (lookup.unique_id.as_str(), &lookup.options)).collect();
        Self { case, service, lookups }
    }

    /// Everything that does not fit.
    pub(super) fn problems(&self, settings: &Settings, mapping: &Mapping, fields: &Fields) -> Vec<String> {
        let mut problems = Vec::new();
        let prepared = prepared(settings);
        let in_flow1 = prepared.to_primero;
        let read = [fields.flow1(), fields.referrals(), fields.decisions()];
        let read: BTreeSet<&str> = read.into_iter().flatten().filter(|name| !ALWAYS_READ.contains(name)).collect();
        let written: BTreeSet<&str> = mapping
            .written_case_fields()
            .iter()
            .map(String::as_str)
            .filter(|name| in_flow1 && !ALWAYS_WRITTEN.contains(name))
            .collect();
        let absent = |name: &&&str| !self.case.contains_key(**name);
        let missing: Vec<&str> = read.union(&written).filter(absent).copied().collect();
        say(&mut problems, &missing, |names| {
            format!(
                "the case forms of the module `{}` have no field {names} (hint: the names in mapping and `consent` are those of \
                 Primero's forms; fields of the inter-agency forms have to be added there)",
                mapping.module()
            )
        });
        self.without(&mut problems, &read, FormAccess::Read, &self.case, "the case fields");
        self.without(&mut problems, &written, FormAccess::ReadAndWrite, &self.case, "the case fields");
        self.services(&mut problems, settings, prepared, mapping);
        if in_flow1 {
            for (message, row) in mapping.rows() {
                let known = match message {
                    Message::Case => self.case.get(row.target.as_str()),
                    Message::Service => self.service.get(row.target.as_str()),
                    Message::Delivered
                    | Message::Failed
                    | Message::DecisionReport
                    | Message::Referral
                    | Message::ReferralDecision => None,
                };
                if let Some(held) = known {
                    problems.extend(wrong_kind(row, held.field));
                    self.options(&mut problems, "the mapping writes", held.field, written_values(row).into_keys());
                }
            }
        }
        problems
    }

    fn services(&self, problems: &mut Vec<String>, settings: &Settings, prepared: Flows, mapping: &Mapping) {
        if !self.case.contains_key(SERVICES) {
            // It was told above, among the fields that are not there.
            return;
        }
        let known = |name: &&str| self.service.contains_key(name);
        let of_us: BTreeSet<&str> = match prepared.to_primero {
            true => mapping.written_service_fields().iter().map(String::as_str).collect(),
            false => BTreeSet::new(),
        };
        let read = mapping.rows().flat_map(|(_, row)| row.source.parts()).filter(|part| part.record == Record::Service);
        let read: BTreeSet<&str> = read.flat_map(|part| &part.keys).map(String::as_str).collect();
        let missing: Vec<&str> =
            of_us.union(&read).copied().filter(|name| *name != UNIQUE_ID).filter(|name| !known(name)).collect();
        say(problems, &missing, |names| {
            format!(
                "the services of a case have no field {names} (hint: Primero would drop it without a word; add it to the subform \
                 `{SERVICES}`)"
            )
        });
        self.without(problems, &BTreeSet::from([SERVICES]), FormAccess::Read, &self.case, "the services");
        if prepared.to_primero {
            self.without(problems, &BTreeSet::from([SERVICES]), FormAccess::ReadAndWrite, &self.case, "the services");
        }
        let out = mapping.service_types_out().and_then(|part| self.service.get(part.name()));
        if let (true, Some(held)) = (prepared.to_dtp, out) {
            let types = settings.referrals.service_types.iter().map(String::as_str);
            self.options(problems, "`referrals.service_types` names", held.field, types);
        }
    }

    /// Fields that are there, and that our role may not read, or may read and not write.
    fn without(
        &self,
        problems: &mut Vec<String>,
        names: &BTreeSet<&str>,
        wanted: FormAccess,
        fields: &BTreeMap<&str, Held<'_>>,
        what: &str,
    ) {
        let mut by_form: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, held) in names.iter().filter_map(|name| Some((name, fields.get(name)?))) {
            let lacks = match wanted {
                FormAccess::Read => held.access.is_none(),
                // What cannot even be read is told as that.
                FormAccess::ReadAndWrite => held.access == Some(FormAccess::Read),
            };
            if lacks {
                by_form.entry(held.form).or_default().push(name);
            }
        }
        for (form, names) in by_form {
            let (may, give) = match wanted {
                FormAccess::Read => ("read", "at least read"),
                FormAccess::ReadAndWrite => ("write", "read-write"),
            };
            problems.push(format!(
                "the role may not {may} {what} {} (hint: give the role the form `{form}`, {give})",
                quoted(&names)
            ));
        }
    }

    /// The options of a case field, or of a field of a service; `None` if it has none.
    pub(super) fn options_of(&self, of_service: bool, name: &str) -> Option<&'a BTreeMap<String, String>> {
        let held = if of_service { self.service.get(name) } else { self.case.get(name) };
        self.offered(held?.field).ok().flatten()
    }

    /// The fields that people must fill in: form, name, our access.
    pub(super) fn required(&self, of_service: bool) -> Vec<(&'a str, &'a str, Option<FormAccess>)> {
        let fields = if of_service { &self.service } else { &self.case };
        let required = fields.iter().filter(|(_, held)| held.field.required);
        required.map(|(name, held)| (held.form, *name, held.access)).collect()
    }

    /// What a field offers, by id; the error names a list that is not there. Agencies, users and places are no options: Primero does not
    /// check them either.
    fn offered(&self, field: &'a Field) -> Result<Option<&'a BTreeMap<String, String>>, &'a str> {
        match &field.options {
            Options::None => Ok(None),
            Options::Inline(options) => Ok(Some(options)),
            Options::Source(source) => match source.strip_prefix("lookup ").map(str::trim) {
                Some(name) => self.lookups.get(name).copied().map(Some).ok_or(name),
                None => Ok(None),
            },
        }
    }

    /// Values that we write or expect and that the field does not offer.
    fn options<'b>(&self, problems: &mut Vec<String>, who: &str, field: &'a Field, values: impl Iterator<Item = &'b str>) {
        let offered = match self.offered(field) {
            Ok(Some(offered)) => offered,
            Ok(None) => return,
            Err(name) => {
                problems.push(format!(
                    "`{}` takes its options from `{name}`, which Primero does not have (hint: ask who keeps the forms)",
                    field.name
                ));
                return;
            }
        };
        let missing: Vec<&str> = values.filter(|value| !offered.contains_key(*value)).collect();
        say(problems, &missing, |values| {
            format!(
                "Primero's field `{}` does not offer {values}, which {who} (hint: compare the value tables of the mapping with the \
                 options of the field)",
                field.name
            )
        });
    }
}

const fn rank(access: Option<FormAccess>) -> u8 {
    match access {
        None => 0,
        Some(FormAccess::Read) => 1,
        Some(FormAccess::ReadAndWrite) => 2,
    }
}

/// Every value that a row may write, and where the mapping names it first: rules, never a value of a record.
pub(super) fn written_values(row: &Row) -> BTreeMap<&str, Place> {
    let mut values = BTreeMap::new();
    for lookup in row.source.parts().iter().filter_map(|part| part.lookup.as_ref()) {
        let table = &lookup.table;
        for at in 0..table.rows.len() {
            values.entry(table.value(at)).or_insert(table.places[at]);
        }
        if let Unlisted::Default(value) = &lookup.unlisted {
            values.entry(value).or_insert(row.place);
        }
    }
    if let Source::Constant(Value::String(value)) = &row.source {
        values.entry(value).or_insert(row.place);
    }
    if let Missing::Default(Value::String(value)) = &row.missing {
        values.entry(value).or_insert(row.place);
    }
    values
}

fn wrong_kind(row: &Row, field: &Field) -> Option<String> {
    let wrong = |is: &str, should: &str| {
        let name = &field.name;
        Some(format!("`{name}` {is} in Primero, but the mapping writes {should} (hint: change the form or the rule)"))
    };
    match &row.source {
        Source::Part(part) => {
            let list = matches!(part.many, Many::AllRows(None) | Many::List(None));
            let date = field.kind == "date_field";
            match part.reading {
                _ if list && !field.multi_select => wrong("takes one value", "several"),
                _ if !list && field.multi_select => wrong("takes several values", "one"),
                Reading::Date if !date || field.with_time => wrong("is no date without time", "one"),
                Reading::DateTime if !date || !field.with_time => wrong("is no date with time", "one"),
                Reading::Text
                | Reading::TextOrNumber
                | Reading::Reference
                | Reading::Plain { .. }
                | Reading::Date
                | Reading::DateTime
                | Reading::Age
                | Reading::AsIs => None,
            }
        }
        Source::Constant(Value::Bool(_)) if field.kind != "tick_box" => wrong("is no tick box", "yes or no"),
        Source::Constant(_) | Source::Setting(_) | Source::Given(..) | Source::Join { .. } => None,
    }
}

fn say(problems: &mut Vec<String>, names: &[&str], sentence: impl FnOnce(String) -> String) {
    if !names.is_empty() {
        problems.push(sentence(quoted(names)));
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
