//! Opens an intervention in Primero: map, match, create or add the service, confirm.
//!
//! Never the wrong child: no write without an exact match on every identifier given, and no guess between several.

mod confirm;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::confirm::{Seen, confirm};
use super::attempt::{Attempt, Names, Step, Verdict};
use crate::{
    config::ClosedCase,
    mapping::{CaseDraft, Gap, InterventionContext, Origin},
    matching,
    personal::Personal,
    primero::{Case, Document, Filter, Trouble, text},
    reason::Reason,
    referral::{CaseKey, State, System},
};

/// How often the service may be gone after we wrote it before a person looks.
const MOST_WRITES: u32 = 2;
/// How often a case that vanished under our hands is matched again.
const MOST_MATCHES: u32 = 2;

/// Primero's own name of a service item's id.
const UNIQUE_ID: &str = "unique_id";

/// What matching found.
enum Matched {
    /// No case: one is created.
    None,
    /// Exactly one case, and nothing that speaks against it.
    One(Box<Case>),
}

/// Attempts the delivery.
pub async fn attempt(at: &mut Attempt) -> Step<Verdict> {
    let programme = at.programme.clone();
    let rows = rows(at)?;
    let number = at.delivery.about.intervention.clone().ok_or(Verdict::Stopped(Reason::ParcelMissing))?;
    let context = InterventionContext {
        intake_user: &programme.settings.primero.intake_user,
        today: programme.clock.now().date_naive(),
        service_types: &programme.settings.flow1.service_types,
        agencies: &programme.settings.flow1.agencies,
    };
    let draft = match programme.mapping.case_draft(&number, rows.reveal(), context) {
        Ok(draft) => draft,
        Err(gaps) => {
            clear_doubt_of_unmappable(at, rows.reveal()).await?;
            return Err(Verdict::unmappable(None, gaps));
        }
    };
    at.service_type = text(draft.service.reveal(), &programme.mapping.service_fields().service_type).map(str::to_owned);
    let mut matches = 0;
    let mut writes = 0;
    loop {
        matches += 1;
        let (case, wrote) = match match_case(at, &draft).await? {
            Matched::None if was_gone_twice(at) => return Err(Verdict::held(Reason::Unconfirmed)),
            Matched::None => {
                let wrote = create(at, &draft).await?;
                (CaseKey(programme.spool.identity().case_key(draft.person_number.reveal())), wrote)
            }
            Matched::One(case) if service_of(at, &case, &draft).is_some() => (case.key, false),
            Matched::One(_) if was_gone_twice(at) => return Err(Verdict::held(Reason::Unconfirmed)),
            Matched::One(case) => {
                let _turn = programme.write_alone(case.key).await;
                match add_service(at, &case, &draft).await? {
                    true => (case.key, true),
                    // The case vanished, or got a number, between our reading and our writing.
                    false if matches < MOST_MATCHES => continue,
                    false => return Err(Verdict::later(Reason::CaseChanged)),
                }
            }
        };
        writes += u32::from(wrote);
        match confirm(at, case, &draft, wrote).await? {
            Seen::Standing => return Ok(Verdict::Delivered),
            // What this attempt has written and then seen to be gone is in doubt no longer.
            seen if writes < MOST_WRITES && matches < MOST_WRITES + MOST_MATCHES => {
                at.delivery.may_have_acted &= !(wrote && seen == Seen::Gone);
            }
            Seen::Gone | Seen::NoCase => return Err(Verdict::held(Reason::Unconfirmed)),
        }
    }
}

/// Whether this is held because our service was gone twice. Somebody may have taken it away on purpose, so looking again
/// writes nothing; only a person has it written once more. What could not be made sure in time is held by the same reason:
/// if nothing of it stands after all, it may still be delivered.
fn was_gone_twice(at: &Attempt) -> bool {
    let delivery = &at.delivery;
    let in_time = |since| since < delivery.made + at.programme.settings.delivery.give_up_after;
    delivery.state == State::Held && delivery.reason == Some(Reason::Unconfirmed) && delivery.held_since.is_some_and(in_time)
}

/// The rows of the intervention, out of the parcel.
fn rows(at: &Attempt) -> Step<Personal<Vec<Document>>> {
    let parcel = at.state(at.programme.spool.read(|reading| reading.parcel(&at.delivery)))?;
    let parcel = parcel.ok_or(Verdict::Stopped(Reason::ParcelMissing))?;
    serde_json::from_slice(parcel.reveal()).map(Personal::new).map_err(|_| Verdict::Stopped(Reason::ParcelMissing))
}

/// Before an intervention that cannot be mapped is refused after a restart: does anything of ours stand in Primero?
async fn clear_doubt_of_unmappable(at: &mut Attempt, rows: &[Document]) -> Step<()> {
    if !at.delivery.may_have_acted || at.delivery.written {
        return Ok(());
    }
    let number = at.delivery.about.intervention.clone();
    let number = number.as_ref().map_or("", |number| number.as_str());
    let mut standing = match at.programme.mapping.person_number(rows) {
        Some(person) => {
            let field = at.programme.mapping.identity().person_number.clone();
            let found = find(at, &field, person.reveal()).await?;
            found.iter().any(|case| services_with(at, case, number))
        }
        // Without a person number nothing was ever matched or written for this content.
        None => false,
    };
    // Where this, or what was given up before it, may have written: whatever number that case carries.
    if let Some(key) = at.delivery.about.case_key.filter(|_| !standing) {
        let programme = at.programme.clone();
        let read = programme.primero.case(key, &programme.fields.flow1()).await;
        at.heard_primero(Names::OneRecord, &read);
        standing = match read {
            Err(Trouble::NotFound) => false,
            other => {
                let case = at.primero(Names::OneRecord, other)?;
                services_with(at, &case, number)
            }
        };
    }
    at.delivery.may_have_acted = standing;
    Ok(())
}

fn services_with(at: &Attempt, case: &Case, number: &str) -> bool {
    let field = &at.programme.mapping.service_fields().number;
    case.services().any(|service| text(service, field) == Some(number))
}

/// Finds the one case of this child, or none. Disabled cases and other modules are as if absent.
async fn match_case(at: &mut Attempt, draft: &CaseDraft) -> Step<Matched> {
    let identity = at.programme.mapping.identity().clone();
    let number = draft.person_number.reveal();
    let by_id = match draft.given_case_id.as_ref().map(Personal::reveal) {
        Some(id) => find(at, "case_id", id).await?,
        None => Vec::new(),
    };
    let by_number = find(at, &identity.person_number, number).await?;
    let shows_ours = by_id.iter().chain(&by_number).any(|case| service_of(at, case, draft).is_some());
    let case = match the_one(at, draft, by_id, by_number).await {
        Ok(Some(case)) => case,
        Ok(None) => {
            settle_doubt(at, draft, None).await?;
            nobody_is_similar(at, number, &identity.person_number).await?;
            return Ok(Matched::None);
        }
        // Which child is meant is for a person to say; whether something of ours stands is not: only where nothing does may UNHCR
        // hear of it in time, and a corrected post take its place.
        Err(held @ Verdict::Held { .. }) if !shows_ours => match settle_doubt(at, draft, None).await {
            Ok(_) | Err(Verdict::Held { .. }) => return Err(held),
            Err(trouble) => return Err(trouble),
        },
        Err(verdict) => return Err(verdict),
    };
    let case = match service_of(at, &case, draft) {
        None => settle_doubt(at, draft, Some(&case)).await?.unwrap_or(case),
        Some(_) => case,
    };
    let fields = matching::contradictions(&identity, draft.new_case.reveal(), case.document.reveal());
    if fields.is_empty() {
        Ok(Matched::One(Box::new(case)))
    } else {
        Err(Verdict::Held { reason: Reason::IdentityDiffers, fields, status: None })
    }
}

/// The one case that both searches allow, or none; held if they do not say which.
async fn the_one(at: &mut Attempt, draft: &CaseDraft, by_id: Vec<Case>, by_number: Vec<Case>) -> Step<Option<Case>> {
    if by_id.len() > 1 || by_number.len() > 1 {
        return Err(Verdict::held(Reason::Several));
    }
    let field = at.programme.mapping.identity().person_number.clone();
    let given = draft.given_case_id.is_some();
    match (by_id.into_iter().next(), by_number.into_iter().next()) {
        (Some(by_id), Some(by_number)) if by_id.key != by_number.key => Err(Verdict::held(Reason::Several)),
        // The two answers tell the one case differently: one of them is no longer so.
        (Some(by_id), Some(by_number)) if !stands_as_matched(at, &by_id, &by_number) => Err(Verdict::later(Reason::CaseChanged)),
        (None, Some(_)) if given => Err(Verdict::held(Reason::IdentifiersDiffer)),
        (_, Some(case)) => Ok(Some(case)),
        (Some(case), None) if case.text(&field).is_none() => {
            // It would get a number that somebody else may carry.
            nobody_is_similar(at, draft.person_number.reveal(), &field).await?;
            Ok(Some(case))
        }
        (Some(_), None) => Err(Verdict::held(Reason::IdentifiersDiffer)),
        (None, None) => Ok(None),
    }
}

/// A write may have happened, and the case that matches does not show it. Before anything is written, or UNHCR is told that
/// nothing stands, the cases that we may have written to are read: staff may have changed what we would find them by.
/// A list may tell what was: the case that matched is given back as it was read, with our service in it if that stands.
async fn settle_doubt(at: &mut Attempt, draft: &CaseDraft, matched: Option<&Case>) -> Step<Option<Case>> {
    if !at.delivery.may_have_acted {
        return Ok(None);
    }
    let programme = at.programme.clone();
    let number = draft.person_number.reveal().as_str();
    let made = CaseKey(programme.spool.identity().case_key(number));
    let doubtful: BTreeSet<CaseKey> = at.delivery.about.case_key.into_iter().chain([made]).collect();
    let mut now = None;
    for key in doubtful {
        let matched = matched.filter(|matched| matched.key == key);
        let read = programme.primero.case(key, &programme.fields.flow1()).await;
        at.heard_primero(Names::OneRecord, &read);
        match read {
            Ok(case) if service_of(at, &case, draft).is_some() => {
                let is_asked_for = case.text(&programme.mapping.identity().person_number) == Some(number);
                let is_found = matched.is_some() && is_asked_for;
                return if is_found { Ok(Some(case)) } else { Err(Verdict::held(Reason::Unconfirmed)) };
            }
            Ok(case) => match matched {
                Some(matched) if !stands_as_matched(at, matched, &case) => return Err(Verdict::later(Reason::CaseChanged)),
                Some(_) => now = Some(case),
                None => {}
            },
            Err(Trouble::NotFound) if matched.is_none() => {}
            Err(trouble) => return at.primero(Names::OneRecord, Err(trouble)),
        }
    }
    at.delivery.may_have_acted = false;
    Ok(now)
}

/// Nobody carries the number. Before a case is made for it, or gets it, somebody might carry it in another spelling.
async fn nobody_is_similar(at: &mut Attempt, number: &str, field: &str) -> Step<()> {
    let programme = at.programme.clone();
    // Most of what this finds are other children: of them nothing but the number is asked for.
    let is_similar = |case: &Case| case.text(field).is_some_and(|other| matching::same_number(number, other));
    let similar = programme.primero.query(number, programme.mapping.module(), &[field], is_similar).await;
    match at.primero(Names::Nothing, similar)? {
        Some(similar) if similar.is_empty() => Ok(()),
        Some(_) | None => Err(Verdict::held(Reason::SimilarNumber)),
    }
}

async fn find(at: &mut Attempt, field: &str, value: &str) -> Step<Vec<Case>> {
    let programme = at.programme.clone();
    let filter = Filter { equals: (field, value), module: programme.mapping.module() };
    let found = programme.primero.find(&filter, &programme.fields.flow1()).await;
    at.primero(Names::Nothing, found)
}

/// The service of this intervention, if the case has it: by our id, or by the intervention number.
fn service_of<'a>(at: &Attempt, case: &'a Case, draft: &CaseDraft) -> Option<&'a Document> {
    let names = at.programme.mapping.service_fields();
    let ours = draft.service_id.to_string();
    let number = text(draft.service.reveal(), &names.number);
    case.services()
        .find(|service| text(service, UNIQUE_ID).is_some_and(|id| id.eq_ignore_ascii_case(&ours)))
        .or_else(|| case.services().find(|service| number.is_some() && text(service, &names.number) == number))
}

/// Makes a new case. `false` if it was there already from an earlier attempt.
async fn create(at: &mut Attempt, draft: &CaseDraft) -> Step<bool> {
    let programme = at.programme.clone();
    let key = CaseKey(programme.spool.identity().case_key(draft.person_number.reveal()));
    let _turn = programme.write_alone(key).await;
    let mut document = draft.new_case.reveal().clone();
    document.insert("id".to_owned(), json!(key.to_string()));
    document.insert("services_section".to_owned(), json!([draft.service.reveal()]));
    // Stored when this attempt ends: whoever is meant by a corrected post, it is looked for here. A crash needs no more, because
    // this case has its key from the number and is read by it at the next attempt.
    at.delivery.about.case_key = Some(key);
    let created = programme.primero.create(&document).await;
    at.heard_primero(Names::Nothing, &created);
    let unclear = match created {
        Ok(()) => {
            at.delivery.new_case = Some(true);
            return Ok(true);
        }
        Err(Trouble::Conflict) => {
            // Until it is read, nobody knows whether what stands there is ours.
            at.delivery.may_have_acted = true;
            None
        }
        Err(Trouble::Unwell(unwell)) if unwell.effect_possible => {
            at.delivery.may_have_acted = true;
            Some(unwell)
        }
        Err(Trouble::Invalid(pointers)) => return Err(refused_values(at, &pointers)),
        Err(Trouble::Refused(status)) => return Err(refused(status)),
        Err(trouble) => return at.primero(Names::Nothing, Err(trouble)),
    };
    let read = programme.primero.case(key, &programme.fields.flow1()).await;
    at.heard_primero(Names::OneRecord, &read);
    match read {
        Ok(case) if !case.enabled || case.text("module_id") != Some(programme.mapping.module()) => {
            at.delivery.may_have_acted = service_of(at, &case, draft).is_some();
            Err(Verdict::held(Reason::CaseOutOfReach))
        }
        Ok(case) => {
            at.delivery.may_have_acted = service_of(at, &case, draft).is_some();
            let number = case.text(&programme.mapping.identity().person_number);
            if number == Some(draft.person_number.reveal().as_str()) {
                // Ours from before. Without our service it is matched again, as any case that is there.
                let ours = service_of(at, &case, draft).is_some();
                at.delivery.new_case = ours.then_some(true);
                Ok(ours && unclear.is_some())
            } else {
                Err(Verdict::held(Reason::IdentifiersDiffer))
            }
        }
        Err(Trouble::Forbidden) => Err(Verdict::held(Reason::CaseOutOfReach)),
        Err(Trouble::NotFound) => match unclear {
            // It was the case id that is taken: nothing was made.
            None => {
                at.delivery.may_have_acted = false;
                Err(Verdict::held(Reason::CaseOutOfReach))
            }
            // Not made, as far as can be seen now: what went wrong with the creation says when it is tried again.
            Some(unwell) => at.primero(Names::Nothing, Err(Trouble::Unwell(unwell))),
        },
        Err(trouble) => at.primero(Names::OneRecord, Err(trouble)),
    }
}

/// Adds the service to a case, and nothing else but identity values that it lacks. `false` if the case is not there any more,
/// or not as it was matched.
async fn add_service(at: &mut Attempt, case: &Case, draft: &CaseDraft) -> Step<bool> {
    let programme = at.programme.clone();
    match case.text("status") {
        Some("open") => {}
        status => match programme.settings.flow1.closed_case {
            // A case that is a duplicate or has moved is no place for a new service, whatever is configured.
            _ if !matches!(status, Some("closed")) => return Err(Verdict::held(Reason::CaseNotOpen)),
            ClosedCase::Hold => return Err(Verdict::held(Reason::CaseNotOpen)),
            ClosedCase::Refuse => {
                let gaps = vec![Gap { reason: Reason::NotMatchedSafely, field: String::new() }];
                return Err(Verdict::unmappable(Some(Reason::CaseNotOpen), gaps));
            }
            ClosedCase::Reopen => {}
        },
    }
    let Some(mut document) = missing_identity(at, case, draft).await? else { return Ok(false) };
    document.insert("services_section".to_owned(), json!([draft.service.reveal()]));
    // Stored before anything is written: after a crash, or when it is given up, this case is read, whatever number it carries by
    // then and whoever a corrected post is about.
    at.delivery.about.case_key = Some(case.key);
    let writing = at.delivery.clone();
    at.state(programme.spool.write(move |tx| tx.store_references(&writing)).await)?;
    patch(at, case.key, &document).await
}

/// Identity values that the case lacks and our role is known to read: only then is "empty" known to be empty.
/// `None` if the case does not stand any more as it was matched: then it may be another child's.
async fn missing_identity(at: &mut Attempt, case: &Case, draft: &CaseDraft) -> Step<Option<Document>> {
    let lacks = |case: &Case, field: &String| is_empty(case.document.reveal().get(field));
    if !draft.if_empty.reveal().keys().any(|field| lacks(case, field)) {
        return Ok(Some(Document::new()));
    }
    let programme = at.programme.clone();
    let readable = match programme.readable().await {
        Ok(readable) => readable,
        // This is a nicety: what Primero does not tell us here stops nothing; a Primero that is unwell is another matter.
        Err(trouble @ (Trouble::Unauthorized | Trouble::Unwell(_))) => return at.primero(Names::Nothing, Err(trouble)),
        Err(_) => return Ok(Some(Document::new())),
    };
    let missing: Document = draft
        .if_empty
        .reveal()
        .iter()
        .filter(|(field, _)| readable.contains(*field) && lacks(case, field))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if missing.is_empty() {
        return Ok(Some(missing));
    }
    let read = programme.primero.case(case.key, &programme.fields.flow1()).await;
    at.heard_primero(Names::OneRecord, &read);
    let now = match read {
        Err(Trouble::NotFound) => return Ok(None),
        other => at.primero(Names::OneRecord, other)?,
    };
    let stands = stands_as_matched(at, case, &now) && missing.keys().all(|field| lacks(&now, field));
    Ok(stands.then_some(missing))
}

/// Whether what says which child a case is, whether it is ours to write to and whether it is open is as it was when it was matched.
fn stands_as_matched(at: &Attempt, matched: &Case, now: &Case) -> bool {
    let identity = at.programme.mapping.identity();
    let of_the_child = [&identity.person_number, &identity.sex, &identity.date_of_birth].into_iter().chain(&identity.names);
    let fields = ["case_id", "module_id", "status"].into_iter().chain(of_the_child.map(String::as_str));
    let same = |field: &str| matched.document.reveal().get(field) == now.document.reveal().get(field);
    now.enabled && fields.into_iter().all(same)
}

async fn patch(at: &mut Attempt, key: CaseKey, document: &Document) -> Step<bool> {
    let programme = at.programme.clone();
    let patched = programme.primero.patch_case(key, document).await;
    at.heard_primero(Names::OneRecord, &patched);
    match patched {
        Ok(_) => Ok(true),
        Err(Trouble::NotFound) => Ok(false),
        Err(Trouble::Invalid(pointers)) => Err(refused_values(at, &pointers)),
        Err(Trouble::Refused(status)) => Err(refused(status)),
        Err(trouble) => {
            if let Trouble::Unwell(unwell) = &trouble {
                at.delivery.may_have_acted |= unwell.effect_possible;
            }
            at.primero(Names::OneRecord, Err(trouble))
        }
    }
}

/// Who is wrong when Primero refuses values: we, our table, or DTP?
fn refused_values(at: &Attempt, pointers: &BTreeSet<String>) -> Verdict {
    let origins: Vec<Option<Origin>> = pointers.iter().map(|pointer| at.programme.mapping.origin_of(pointer)).collect();
    let status = Some(422);
    if origins.contains(&Some(Origin::Ours)) {
        return Verdict::Blocked { system: System::Primero, reason: Reason::ConstantRefused, status };
    }
    let mut gaps = Vec::new();
    for origin in origins {
        match origin {
            Some(Origin::Theirs(field)) => gaps.push(Gap { reason: Reason::ValuesRefused, field }),
            Some(Origin::Ours | Origin::Table) | None => {
                let fields = pointers.iter().cloned().collect();
                return Verdict::Held { reason: Reason::TableValueRefused, fields, status };
            }
        }
    }
    gaps.sort();
    gaps.dedup();
    if gaps.is_empty() {
        return Verdict::Held { reason: Reason::TableValueRefused, fields: Vec::new(), status };
    }
    Verdict::Refused { reason: Reason::ValuesRefused, gaps, status }
}

fn refused(status: u16) -> Verdict {
    let gaps = vec![Gap { reason: Reason::ValuesRefused, field: String::new() }];
    Verdict::Refused { reason: Reason::ValuesRefused, gaps, status: Some(status) }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(keys)) => keys.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}
