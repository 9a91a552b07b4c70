//! Confirms a delivery by reading the case again: nobody is told "delivered" before it is seen to be.
//!
//! It decides nothing about which case is the right one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::attempt::{Attempt, Names, Step, Verdict},
    UNIQUE_ID, is_empty, patch, service_of,
};
use crate::{
    mapping::CaseDraft,
    matching,
    primero::{Case, Document, Trouble, text},
    reason::Reason,
    referral::{CaseKey, System},
    spool::settle::Note,
};

/// What is there when the case is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Our service, with number, type and status.
    Standing,
    /// The case, and our service is not in it.
    Gone,
    /// No case: what stands in it is not known.
    NoCase,
}

/// Reads the case again: is our service there, with number, type and status?
pub(super) async fn confirm(at: &mut Attempt, key: CaseKey, draft: &CaseDraft, wrote: bool) -> Step<Seen> {
    at.delivery.may_have_acted |= wrote;
    let (case, service) = match read_service(at, key, draft).await? {
        Ok(read) => read,
        Err(seen) => return Ok(seen),
    };
    let names = at.programme.mapping.service_fields().clone();
    let sent = draft.service.reveal();
    let essential = [&names.number, &names.service_type, &names.status];
    let missing: Vec<&String> = essential.into_iter().filter(|field| is_empty(service.get(*field))).collect();
    if !missing.is_empty() {
        at.delivery.written = true;
        let not_writable = || Verdict::Blocked { system: System::Primero, reason: Reason::FieldsNotWritable, status: Some(200) };
        if wrote {
            return Err(not_writable());
        }
        // An item that is there already gets the keys that it lacks, and nothing else of it.
        let mut item: Document = missing.iter().filter_map(|field| Some(((*field).clone(), sent.get(*field)?.clone()))).collect();
        item.insert(UNIQUE_ID.to_owned(), service.get(UNIQUE_ID).cloned().unwrap_or(Value::Null));
        let document = Document::from_iter([("services_section".to_owned(), json!([item]))]);
        let turn = at.programme.clone();
        let _turn = turn.write_alone(key).await;
        if !patch(at, key, &document).await? {
            return Ok(Seen::NoCase);
        }
        let service = match read_service(at, key, draft).await? {
            Ok((_, service)) => service,
            Err(seen) => return Ok(seen),
        };
        if essential.into_iter().any(|field| is_empty(service.get(field))) {
            return Err(not_writable());
        }
    }
    let Some(case_id) = case.case_id() else {
        at.delivery.written = true;
        return Err(Verdict::Held { reason: Reason::Unconfirmed, fields: vec!["case_id".to_owned()], status: None });
    };
    notes(at, &case, &service, draft, wrote);
    at.delivery.written = true;
    at.delivery.about.case_key = Some(key);
    at.delivery.about.case_id = Some(case_id);
    at.delivery.about.service = text(&service, UNIQUE_ID).map(str::to_owned);
    at.delivery.new_case = at.delivery.new_case.or(Some(false));
    Ok(Seen::Standing)
}

/// The case and our service in it, or what is there instead.
async fn read_service(at: &mut Attempt, key: CaseKey, draft: &CaseDraft) -> Step<Result<(Case, Document), Seen>> {
    let programme = at.programme.clone();
    let read = programme.primero.case(key, &programme.fields.flow1()).await;
    at.heard_primero(Names::OneRecord, &read);
    let case = match read {
        Err(Trouble::NotFound) => return Ok(Err(Seen::NoCase)),
        other => at.primero(Names::OneRecord, other)?,
    };
    let service = service_of(at, &case, draft).cloned();
    Ok(service.map(|service| (case, service)).ok_or(Seen::Gone))
}

/// What a person should know although it was delivered.
fn notes(at: &mut Attempt, case: &Case, service: &Document, draft: &CaseDraft, wrote: bool) {
    let names = at.programme.mapping.service_fields().clone();
    let sent = draft.service.reveal();
    let changed = |field: &&String| {
        let (ours, theirs) = (sent.get(*field), service.get(*field));
        !is_empty(theirs) && ours != theirs
    };
    let mut differing: Vec<String> =
        [&names.number, &names.service_type, &names.status].into_iter().filter(changed).cloned().collect();
    let created = at.delivery.new_case == Some(true);
    if !created {
        // What an existing case may get where it has no value are the numbers by which UNHCR knows the child.
        let numbers = draft.if_empty.reveal().keys();
        let (ours, theirs) = (draft.new_case.reveal(), case.document.reveal());
        differing.extend(matching::differing(at.programme.mapping.identity(), numbers, ours, theirs));
    }
    if !differing.is_empty() {
        at.notes.push(Note::Differs(differing));
    }
    if !wrote {
        return;
    }
    let lost = |sent: &Document, stored: &Document| -> BTreeSet<String> {
        sent.iter()
            .filter(|(field, value)| !is_empty(Some(value)) && is_empty(stored.get(*field)))
            .map(|(field, _)| field.clone())
            .collect()
    };
    let mut not_stored = lost(sent, service);
    if created {
        not_stored.extend(lost(draft.new_case.reveal(), case.document.reveal()));
    }
    if !not_stored.is_empty() {
        at.notes.push(Note::NotStored(not_stored.into_iter().collect()));
    }
}
