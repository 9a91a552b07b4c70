//! Both systems in a process of their own.

use referrald::{
    clock::Clock,
    sandbox::{
        Endpoint,
        primero::{CASE_WORKER, NewReferral, UNHCR},
        stage::Stage,
    },
};
use serde_json::json;

use crate::post;

/// Both systems in a process of their own; answers one line per line.
pub async fn simulate() {
    let stage = Stage::set(Clock::system()).await.expect("a stage");
    println!("{}", stage.directory().display());
    let lines = std::io::stdin().lines();
    for line in lines.map_while(Result::ok) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("feedback") => println!("{}", stage.dtp.log().count(Endpoint::DtpDecision)),
            Some("referrals") => println!("{}", stage.dtp.log().count(Endpoint::DtpReferral)),
            Some("register") => {
                let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(0);
                (0..count).for_each(|child| register(&stage, child));
                println!("registered");
            }
            _ => println!("?"),
        }
    }
}

fn register(stage: &Stage, child: usize) {
    let worker = stage.primero.staff(CASE_WORKER);
    let case = worker.register(json!({
        "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": post::person(child), "unhcr_id_no": "989-BENCHGROUP", "status": "open",
        "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF",
        "consent_for_services": true, "disclosure_other_orgs": true,
    }));
    let item = json!({
        "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_response_type": "service_provision", "service_referral_notes": "An invented note.",
    });
    let service = worker.add_service(case, item).to_string();
    let referral = NewReferral::to(UNHCR).for_service("alternative_care", &service);
    worker.refer(case, referral).expect("the simulated Primero lets a case worker refer");
}
