//! What Primero adds to a case whenever it is saved: ids of subform items, owner and associated users, workflow, name.
//!
//! It knows documents and users, no stamp and no permission.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{accounts::Accounts, store::Document};

/// Brings a document into the state in which it is stored.
pub(super) fn settle(accounts: &Accounts, before: Option<&Document>, document: &mut Document) {
    give_ids(document);
    mark_services(document);
    reopen(before, document);
    own(accounts, before, document);
    set_workflow(document);
    compose_name(before, document);
}

fn give_ids(document: &mut Document) {
    for item in document.values_mut().filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        let id = item.entry("unique_id").or_insert(Value::Null);
        if id.as_str().is_none_or(str::is_empty) {
            *id = json!(Uuid::new_v4().to_string());
        }
    }
}

fn services(document: &Document) -> impl Iterator<Item = &Document> {
    document.get("services_section").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn mark_services(document: &mut Document) {
    let services = document.get_mut("services_section").and_then(Value::as_array_mut);
    for service in services.into_iter().flatten().filter_map(Value::as_object_mut) {
        let has = |name: &str| service.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if has("service_implemented_day_time") {
            service.insert("service_implemented".to_owned(), json!("implemented"));
        } else if has("service_type") {
            service.insert("service_implemented".to_owned(), json!("not_implemented"));
        }
    }
}

fn reopen(before: Option<&Document>, document: &mut Document) {
    let Some(before) = before else { return };
    if before.get("status") != Some(&json!("closed")) || document.get("record_state") == Some(&json!(false)) {
        return;
    }
    let known: Vec<_> = services(before).map(|service| &service["unique_id"]).collect();
    let added = services(document).any(|service| !known.contains(&&service["unique_id"]));
    if added || document.get("status") == Some(&json!("open")) {
        document.insert("status".to_owned(), json!("open"));
        document.insert("case_status_reopened".to_owned(), json!(true));
    }
}

fn own(accounts: &Accounts, before: Option<&Document>, document: &mut Document) {
    let moved = |name: &str| before.is_none_or(|before| before.get(name) != document.get(name));
    let (owner_moved, assigned_moved) = (moved("owned_by"), moved("assigned_user_names"));
    if !owner_moved && !assigned_moved {
        return;
    }
    let asked = document.get("owned_by").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut names = vec![asked.clone()];
    let assigned = document.get("assigned_user_names").and_then(Value::as_array).into_iter().flatten();
    for name in assigned.filter_map(Value::as_str) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if owner_moved {
        match accounts.user(&asked) {
            Some(owner) => {
                if let Some(previous) = before.and_then(|before| before.get("owned_by")) {
                    document.insert("previously_owned_by".to_owned(), previous.clone());
                }
                document.insert("owned_by_agency_id".to_owned(), json!(owner.agency));
                document.insert("owned_by_groups".to_owned(), json!(owner.groups));
                document.insert("owned_by_location".to_owned(), json!(owner.location));
            }
            // The owner goes back to what it was, but the associated names have been rebuilt with the bad one.
            None => {
                let previous = before.and_then(|before| before.get("owned_by")).cloned().unwrap_or(Value::Null);
                document.insert("owned_by".to_owned(), previous);
            }
        }
    }
    names.retain(|name| !name.is_empty());
    let users: Vec<_> = names.iter().filter_map(|name| accounts.user(name)).collect();
    let mut agencies: Vec<_> = users.iter().filter_map(|user| user.agency.clone()).collect();
    let mut groups: Vec<_> = users.iter().flat_map(|user| user.groups.clone()).collect();
    for list in [&mut agencies, &mut groups] {
        list.sort_unstable();
        list.dedup();
    }
    document.insert("associated_user_names".to_owned(), json!(names));
    document.insert("associated_user_agencies".to_owned(), json!(agencies));
    document.insert("associated_user_groups".to_owned(), json!(groups));
}

fn set_workflow(document: &mut Document) {
    let newest = services(document)
        .filter(|service| service.get("service_implemented") != Some(&json!("implemented")))
        .filter_map(|service| {
            let response = service.get("service_response_type")?.as_str()?;
            Some((service.get("service_response_day_time").and_then(Value::as_str).unwrap_or_default(), response))
        })
        .max_by_key(|(due, _)| *due);
    let workflow = match (document.get("status").and_then(Value::as_str), newest) {
        (Some("closed"), _) => "closed",
        (_, Some((_, response))) => response,
        _ if document.get("case_status_reopened") == Some(&json!(true)) => "reopened",
        _ => "new",
    };
    let workflow = json!(workflow);
    document.insert("workflow".to_owned(), workflow);
}

fn compose_name(before: Option<&Document>, document: &mut Document) {
    const PARTS: [&str; 3] = ["name_first", "name_middle", "name_last"];
    let changed = PARTS.iter().any(|part| document.get(*part) != before.and_then(|before| before.get(*part)));
    if changed {
        let parts = PARTS.iter().filter_map(|part| document.get(*part).and_then(Value::as_str)).filter(|part| !part.is_empty());
        let name = parts.collect::<Vec<_>>().join(" ");
        document.insert("name".to_owned(), json!(name));
    }
}
