//! Both systems in a process of their own.

use std::time::Duration;

use referrald::{
    clock::Clock,
    sandbox::{
        Endpoint,
        primero::{CASE_WORKER, NewReferral, UNHCR},
        stage::Stage,
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::{judge, post};

/// Between two cases that case workers saved before the scene began: a bustling day, not a single second.
const BETWEEN: Duration = Duration::from_millis(300);

/// Both systems in a process of their own; answers one line per line.
pub async fn simulate() {
    // It goes as the machine's, but for the day that is made up.
    let clock = Clock::manual(Clock::system().now());
    tokio::spawn(go_on(clock.clone()));
    let stage = Stage::set(clock.clone()).await.expect("a stage");
    println!("{}", stage.directory().display());
    let lines = std::io::stdin().lines();
    for line in lines.map_while(Result::ok) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("feedback") => println!("{}", stage.dtp.log().met(Endpoint::DtpDecision)),
            Some("referrals") => println!("{}", stage.dtp.log().met(Endpoint::DtpReferral)),
            Some("numbers") => println!("{}", judge::numbers(&stage.dtp, number(&mut words))),
            Some("persons") => println!("{}", judge::persons(&stage.dtp, number(&mut words))),
            Some("pages") => println!("{}", stage.primero.log().met(Endpoint::ChangedCases)),
            Some("requests") => println!("{}", stage.primero.log().met_in_all() + stage.dtp.log().met_in_all()),
            Some("work") => println!("{}", judge::work(&stage)),
            Some("spoil") => {
                judge::spoil(&stage, words.next().and_then(|percent| percent.parse().ok()).unwrap_or(0.0));
                println!("spoilt");
            }
            Some("register") => {
                let (with_consent, without) = (number(&mut words), number(&mut words));
                over_the_day(&clock, with_consent + without, |child| refer(&stage, child, child < with_consent));
                println!("registered");
            }
            Some("crowd") => {
                let cases = number(&mut words);
                over_the_day(&clock, cases, |child| match child % 100 {
                    0 => refer(&stage, child / 100, true),
                    _ => drop(register(&stage, cases + child, true)),
                });
                println!("registered");
            }
            Some("judge") => {
                let (interventions, first, referrals) = (number(&mut words), number(&mut words), number(&mut words));
                println!("{}", judge::judge(&stage, interventions, first, referrals).line());
            }
            _ => println!("?"),
        }
    }
}

/// Lets the clock go on with the machine's.
async fn go_on(clock: Clock) {
    let machine = Clock::system();
    let (mut every, mut then) = (tokio::time::interval(Duration::from_millis(5)), machine.monotonic());
    loop {
        every.tick().await;
        let now = machine.monotonic();
        clock.advance(now - then);
        then = now;
    }
}

/// Saves so many cases one after the other, the last of them now.
fn over_the_day(clock: &Clock, cases: usize, save: impl Fn(usize)) {
    let now = || Clock::system().now();
    clock.set_wall(now() - BETWEEN * u32::try_from(cases).expect("no day has so many"));
    for case in 0..cases {
        save(case);
        clock.advance(BETWEEN);
    }
    clock.set_wall(now());
}

fn number<'a>(words: &mut impl Iterator<Item = &'a str>) -> usize {
    words.next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// A case, open and with or without consent.
fn register(stage: &Stage, child: usize, consent: bool) -> Uuid {
    stage.primero.staff(CASE_WORKER).register(json!({
        "name_first": "Testina", "name_last": "Examplename", "sex": "female", "date_of_birth": "2014-05-06",
        "unhcr_individual_no": post::person(child), "unhcr_id_no": "989-BENCHGROUP", "status": "open",
        "owned_by": CASE_WORKER, "owned_by_agency_id": "UNICEF",
        "consent_for_services": consent, "disclosure_other_orgs": consent,
    }))
}

/// A case with a referral to UNHCR.
fn refer(stage: &Stage, child: usize, consent: bool) {
    let worker = stage.primero.staff(CASE_WORKER);
    let case = register(stage, child, consent);
    let item = json!({
        "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_response_type": "service_provision", "service_referral_notes": "An invented note.",
    });
    let service = worker.add_service(case, item).to_string();
    let mut referral = NewReferral::to(UNHCR).for_service("alternative_care", &service);
    referral.consent_overridden = !consent;
    worker.refer(case, referral).expect("the simulated Primero lets a case worker refer");
}
