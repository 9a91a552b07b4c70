//! Flow 2: a referral of a case worker leaves for UNHCR, once, if everything allows it; else a person hears why it does not.

mod exceptions;
mod leaving;
mod trouble;
mod withdrawal;
mod withheld;

use referrald::{
    referral::{Errand, Walk},
    sandbox::{
        Endpoint, Fault, Rule,
        primero::{CASE_WORKER, NewReferral, UNHCR},
    },
    spool::delivery::Delivery,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

/// A day.
pub const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// An hour.
pub const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
/// A minute.
pub const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// A case with a service for which it was referred.
#[derive(Clone, Copy, Debug)]
pub struct Referred {
    pub case: Uuid,
    pub service: Uuid,
    pub referral: Uuid,
}

impl Referred {
    /// The id under which DTP knows it.
    pub fn outgoing(self, world: &World) -> String {
        let service = self.service.to_string();
        format!("{}#{}", case_id(world, self.case), &service[service.len() - 12..])
    }
}

/// Primero's `case_id`.
pub fn case_id(world: &World, case: Uuid) -> String {
    world.stage.primero.case(case).unwrap()["case_id"].as_str().unwrap().to_owned()
}

/// A service for UNHCR as a case worker enters it, with some keys changed.
pub fn service(change: Value) -> Value {
    let mut item = json!({
        "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_referral_notes": "An invented note.", "service_response_day_time": "2026-03-01T09:00:00.000Z",
    });
    for (key, value) in change.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

/// The case worker refers a service of a case to UNHCR.
pub fn refer_service(world: &World, case: Uuid, change: Value) -> Referred {
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(case, service(change));
    let referral = staff.refer(case, NewReferral::to(UNHCR).for_service("alternative_care", &service.to_string())).unwrap();
    Referred { case, service, referral }
}

/// A child with consent, referred to UNHCR.
pub fn child_referred(world: &World, change: Value) -> Referred {
    let case = world.register(change);
    refer_service(world, case, json!({}))
}

/// A child without consent, referred by exception.
pub fn referred_by_exception(world: &World) -> Referred {
    let case = world.register(json!({ "consent_for_services": false }));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = staff.add_service(case, service(json!({})));
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", &service.to_string()).overriding_consent();
    Referred { case, service, referral: staff.refer(case, referral).unwrap() }
}

/// Another referral of the same service.
pub fn refer_again(world: &World, referred: Referred) -> Referred {
    let staff = world.stage.primero.staff(CASE_WORKER);
    let again = NewReferral::to(UNHCR).for_service("alternative_care", &referred.service.to_string());
    Referred { referral: staff.refer(referred.case, again).unwrap(), ..referred }
}

/// A child whose referral waits because DTP fails with it.
pub async fn child_whose_referral_waits(world: &World) -> Referred {
    let child = child_referred(world, json!({}));
    let fault = world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::status(500));
    world.walk(Walk::Referrals).await;
    assert_eq!(fault.met(), 1);
    assert_eq!(world.sent_to_dtp(), Vec::<Value>::new());
    child
}

/// The errands that are to send a referral and are not settled.
pub fn sendings(world: &World) -> Vec<Delivery> {
    world.unsettled().into_iter().filter(|delivery| delivery.errand == Errand::SendReferral).collect()
}

/// The ids of the referrals that DTP has taken, in order.
pub fn sent_ids(world: &World) -> Vec<String> {
    world.sent_to_dtp().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}
