//! What the manual message about a withdrawal needs: read from Primero now, handed to the person who asked, kept nowhere.

use chrono::NaiveDate;

use super::{Answers, Failure, Office, Row, execute::send, flows, rows::NoticeRow};
use crate::{
    mapping::{
        Mapping,
        rules::{Message, Record, Source},
    },
    primero::{Case, Trouble, text},
    referral::{DeliveryId, Errand, InterventionNumber, State},
    schedule::midnight,
    spool::list::Kind,
    words::words,
};

/// The case fields that the message needs.
const FIELDS: [&str; 4] = ["case_id", "case_id_display", "module_id", "services_section"];

/// Reads what the message needs.
pub(super) async fn notice(office: &Office, id: DeliveryId, who: &str, out: &Answers) -> Result<(), Failure> {
    let programme = &office.running.as_ref().ok_or_else(|| Failure::failed("a notice needs a programme"))?.programme;
    let (delivery, entry) = office.spool.read(|reading| {
        let entries = reading.entries_of(id)?;
        let entry = entries.into_iter().find(|entry| entry.kind == Kind::WithdrawnAfterSend);
        Ok((reading.delivery_meant(id), entry))
    })?;
    let delivery = delivery?;
    if delivery.errand != Errand::SendReferral || !(delivery.may_have_acted || delivery.state == State::Delivered) {
        return Err(Failure::failed(format!(
            "delivery {} sent no referral to UNHCR, so there is nothing to withdraw",
            delivery.id
        )));
    }
    let (note, by) = (delivery.clone(), who.to_owned());
    office.spool.write(move |tx| tx.tell_operator(&by, &note, None)).await?;

    let about = &delivery.about;
    let case = match about.case_key {
        Some(key) => match programme.primero.case(key, &FIELDS).await {
            Ok(case) => Some(case),
            Err(Trouble::NotFound | Trouble::Forbidden) => None,
            Err(trouble) => {
                return Err(Failure::outside(format!("{trouble} (hint: `referrald check` says what is wrong; try again later)")));
            }
        },
        None => None,
    };
    let service_type = case.as_ref().and_then(|case| service_type(case, about.service.as_deref()));
    let service = service_type.as_deref().and_then(|service_type| agreed_name(&programme.mapping, service_type));
    let sent_for_sure = delivery.state == State::Delivered;
    let remark = match (&case, sent_for_sure) {
        (None, _) => Some("Primero does not show us this case any more: look up the case number and the service by hand"),
        (Some(_), false) => Some("it is not certain that the referral reached UNHCR: ask UNHCR first"),
        (Some(_), true) => None,
    };
    let row = NoticeRow {
        delivery: delivery.id.0,
        entry: entry.as_ref().map(|entry| entry.id.0),
        case_number: case.as_ref().and_then(|case| case.text("case_id_display")).map(str::to_owned),
        case: about.case_id.as_ref().map(ToString::to_string),
        service,
        service_type,
        outgoing: about.outgoing.as_ref().map(ToString::to_string),
        sent: delivery.settled.filter(|_| sent_for_sure),
        sent_for_sure,
        reason: entry.as_ref().and_then(|entry| entry.reason).map(|reason| words(reason).happened.to_owned()),
        noticed: entry.as_ref().map(|entry| entry.made),
        date_of_withdrawal: None,
        remark: remark.map(str::to_owned),
    };
    send(vec![Row::Notice(Box::new(row))], out).await;
    Ok(())
}

/// Records that UNHCR has withdrawn a request, and does what follows from it.
pub(super) async fn record(
    office: &Office,
    number: InterventionNumber,
    received: NaiveDate,
    who: &str,
) -> Result<String, Failure> {
    let now = office.clock.now();
    let zone = office.settings.schedule.time_zone;
    if received > now.with_timezone(&zone).date_naive() {
        return Err(Failure::usage(
            "--received: this day is still to come (hint: the day on which UNHCR told it, as in 2026-06-01)",
        ));
    }
    // Only the day is known, so the clock begins at its end; on the same day, now.
    let end_of_day = received.succ_opt().map(|next| midnight(next, zone));
    let told = end_of_day.map_or(now, |end| end.min(now));
    let (asked, who) = (number.clone(), who.to_owned());
    let withdrawn = office.spool.operate(move |tx| tx.withdrawn_by_unhcr(&asked, told, &who)).await?;
    let mut said = Vec::new();
    for id in &withdrawn.stopped {
        said.push(format!("delivery {id} is stopped and its content erased"));
    }
    match withdrawn.entry {
        Some(entry) if withdrawn.listed_before => {
            said.push(format!("it is, or may be, in Primero, as entry {entry} on the operator's list says already"));
        }
        Some(entry) => said.push(format!(
            "it is, or may be, in Primero: revoke it, write a note and close it in CPIMS+ within 24 hours (entry {entry} on the operator's \
             list); nobody is told by this system"
        )),
        None if withdrawn.told => {
            let when = flows::when_unhcr_hears(office);
            said.push(format!("nothing of it is in Primero; UNHCR is told that the CPIMS+ focal point stopped it{when}"));
        }
        None => said.push("nothing of it waits, and nothing of it was put into Primero".to_owned()),
    }
    Ok(format!("{number}: {}", said.join("; ")))
}

fn service_type(case: &Case, unique_id: Option<&str>) -> Option<String> {
    let service = case.services().find(|service| unique_id.is_some() && text(service, "unique_id") == unique_id)?;
    text(service, "service_type").map(str::to_owned)
}

/// What UNHCR was told the service is called.
fn agreed_name(mapping: &Mapping, service_type: &str) -> Option<String> {
    mapping.rows().filter(|(message, _)| *message == Message::Referral).find_map(|(_, row)| match &row.source {
        Source::Part(part) if part.record == Record::Service && part.name() == "service_type" => {
            part.lookup.as_ref()?.table.get(service_type).map(str::to_owned)
        }
        Source::Part(_) | Source::Constant(_) | Source::Setting(_) | Source::Given(..) | Source::Join { .. } => None,
    })
}
