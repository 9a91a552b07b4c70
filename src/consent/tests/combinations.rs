//! Every combination of what can be wrong, against an oracle that was written from the rules alone.

use super::*;

/// Every combination of choices, one wheel of a counter for each size.
fn combinations<const N: usize>(sizes: [usize; N]) -> Vec<[usize; N]> {
    sizes.iter().enumerate().fold(vec![[0; N]], |all, (wheel, size)| {
        all.iter()
            .flat_map(|at| {
                (0..*size).map(move |choice| {
                    let mut at = *at;
                    at[wheel] = choice;
                    at
                })
            })
            .collect()
    })
}

/// What a person may have said, and what nobody can say: consent and configuration are no grounds of a person.
const RELEASED: [Option<Basis>; 5] =
    [None, Some(Basis::VitalInterests), Some(Basis::BestInterests), Some(Basis::Consent), Some(Basis::Exception)];

#[test]
fn every_combination_agrees_with_the_rules_as_told() {
    // Each kind of record is spoiled by itself, so that the million and a half combinations only put ready ones together.
    let cases: Vec<_> = combinations([2, 2, 2, 4, 2]).into_iter().map(|at| (at, spoiled_case(at))).collect();
    let services: Vec<_> = combinations([4, 2]).into_iter().map(|at| (at, spoiled_service(at))).collect();
    let referrals: Vec<_> = combinations([5, 5, 2, 2]).into_iter().map(|at| (at, spoiled_referral(at))).collect();
    let settings: Vec<_> = combinations([2, 3]).into_iter().map(|at| (at, spoiled_settings(at))).collect();
    let now = Scene::good().now;

    let (mut seen, mut left) = (0, 0);
    for (case_at, case) in &cases {
        for (service_at, service) in &services {
            for (referral_at, referral) in &referrals {
                for (settings_at, scene) in &settings {
                    for released in RELEASED {
                        let verdict = may_leave(&scene.rules(), case, service.as_ref(), referral, released, now);
                        let told = as_told(*case_at, *service_at, *referral_at, *settings_at, released);
                        assert_eq!(verdict, told, "{case_at:?} {service_at:?} {referral_at:?} {settings_at:?} {released:?}");
                        seen += 1;
                        left += i32::from(matches!(verdict, Verdict::MayLeave(_)));
                    }
                }
            }
        }
    }
    assert_eq!(seen, 64 * 8 * 100 * 6 * 5);
    // What leaves: to two kinds of recipient, with consent and no exception (3 policies, 5 answers of a person), or, in each of
    // 4 states of consent, an exception: under hold on 2 grounds, under send whatever a person says.
    assert_eq!(left, 2 * (3 * 5 + 4 * (2 + 5)));
}

fn spoiled_case([owner, module, enabled, consent, restriction]: [usize; 5]) -> Case {
    let mut scene = Scene::good();
    if owner == 1 {
        scene.set("owned_by_agency_id", json!("AGENCY-9"));
    }
    if module == 1 {
        scene.set("module_id", json!("primeromodule-gbv"));
    }
    scene.case.enabled = enabled == 0;
    match consent {
        1 => scene.set("disclosure_other_orgs", json!(false)),
        2 => scene.set("consent_until", json!("2026-06-09")),
        3 => scene.set("consent_for_services", Value::Null),
        _ => {}
    }
    if restriction == 1 {
        scene.set("protection_restriction", json!("unhcr"));
    }
    scene.case
}

fn spoiled_service([service, kind]: [usize; 2]) -> Option<Document> {
    let mut scene = Scene::good();
    if kind == 1 {
        scene.set_service("service_type", json!("shelter"));
    }
    match service {
        1 => scene.set_service("service_implementing_agency", json!("AGENCY-9")),
        2 => scene.service = None,
        3 => scene.set_service("unique_id", json!(OTHER_SERVICE)),
        _ => {}
    }
    scene.service
}

fn spoiled_referral([recipient, status, day, overridden]: [usize; 4]) -> Referral {
    let mut scene = Scene::good();
    match recipient {
        1 => scene.referral.transitioned_to = Some(Personal::new("somebody@test.example".to_owned())),
        2 => scene.send_remotely_to(Some("UNHCR")),
        3 => scene.send_remotely_to(Some("AGENCY-9")),
        4 => scene.send_remotely_to(None),
        _ => {}
    }
    scene.referral.status = ReferralStatus::ALL[status];
    if day == 1 {
        scene.referral.created_at = at("2026-05-31T00:00:00Z");
    }
    scene.referral.consent_overridden = overridden == 1;
    scene.referral
}

fn spoiled_settings([agreement, policy]: [usize; 2]) -> Scene {
    let mut scene = Scene::good();
    if agreement == 1 {
        scene.agreement.valid_until = scene.now - TimeDelta::days(1);
    }
    scene.consent.exception = [ConsentException::Hold, ConsentException::Send, ConsentException::Never][policy];
    scene
}

/// The rules as they are told to people, over the choices alone.
fn as_told(
    [owner, module, enabled, consent, restriction]: [usize; 5],
    [service, kind]: [usize; 2],
    [recipient, status, day, overridden]: [usize; 4],
    [agreement, policy]: [usize; 2],
    released: Option<Basis>,
) -> Verdict {
    let agency_listed = service == 0;
    let recipient_listed = matches!(recipient, 0 | 2);
    if !agency_listed && !recipient_listed {
        return Verdict::NotOurs;
    }
    if day == 1 {
        return Verdict::Withheld(Reason::BeforeStart);
    }
    if status != 0 {
        return Verdict::Withheld(Reason::NotInProgress);
    }
    if service >= 2 {
        return Verdict::Withheld(Reason::ServiceNotNamed);
    }
    if enabled == 1 {
        return Verdict::Withheld(Reason::CaseDisabled);
    }
    if module == 1 {
        return Verdict::Withheld(Reason::ModuleNotListed);
    }
    if !agency_listed {
        return Verdict::Withheld(Reason::ImplementingAgencyNotListed);
    }
    if !recipient_listed {
        return Verdict::Withheld(Reason::RecipientNotListed);
    }
    if owner == 1 {
        return Verdict::Withheld(Reason::AgencyNotSigned);
    }
    if kind == 1 {
        return Verdict::Withheld(Reason::ServiceTypeNotListed);
    }
    if agreement == 1 {
        return Verdict::Withheld(Reason::AgreementNotValid);
    }
    let (exception, never, send) = (overridden == 1, policy == 2, policy == 1);
    if if exception { never } else { consent != 0 } {
        return Verdict::Withheld(Reason::ConsentMissing);
    }
    if restriction == 1 {
        return Verdict::Held(Reason::RestrictionRecorded);
    }
    match (exception, released) {
        (false, _) => Verdict::MayLeave(Basis::Consent),
        (true, Some(ground @ (Basis::VitalInterests | Basis::BestInterests))) => Verdict::MayLeave(ground),
        (true, _) if send => Verdict::MayLeave(Basis::Exception),
        (true, _) => Verdict::Held(Reason::ConsentException),
    }
}
