//! Every reason and every event as people read them, and what must never stand there.

use std::fmt::Write as _;

use uuid::Uuid;

use super::*;
use crate::{
    activity::Outcome,
    referral::{DeliveryId, ReferralId},
};

fn addis_ababa() -> Zone {
    "Africa/Addis_Ababa".parse().unwrap()
}

/// Words that mean other things in this field, and codes that nobody should have to read.
const FORBIDDEN: &[&str] =
    &["visit", "discard", "turned away", "intervention", "_referral", "flow 1", "flow 2", "withheld", "parcel"];

fn from_unhcr(event: Event, errand: Errand) -> Activity {
    Activity {
        flow: Some(Flow::ToPrimero),
        errand: Some(errand),
        delivery: Some(DeliveryId(42)),
        intervention: "989-22-TEST-0000051".parse().ok(),
        ..Activity::new(event)
    }
}

fn to_unhcr(event: Event, errand: Errand) -> Activity {
    Activity {
        flow: Some(Flow::ToDtp),
        errand: Some(errand),
        delivery: Some(DeliveryId(43)),
        case: "TEST-CASE-1".parse().ok(),
        referral: Some(ReferralId(Uuid::from_u128(7))),
        ..Activity::new(event)
    }
}

/// What each event looks like in the life of the daemon.
fn seen(event: Event) -> Vec<Activity> {
    use Errand::{Look, OpenIntervention, RecordDecision, ReportDecision, SendFeedback, SendReferral};
    let plain = || Activity::new(event);
    let case = || "TEST-CASE-1".parse().ok();
    let time = |text: &str| text.parse::<DateTime<Utc>>().ok();
    let because = |reason: Reason, activity: Activity| Activity { reason: Some(reason), ..activity };
    match event {
        Event::Started | Event::ConfigurationReloaded => vec![
            plain(),
            Activity { mapping: Some("gambella 2026-06".to_owned()), agreement: Some("DPISP-TEST-1".to_owned()), ..plain() },
        ],
        Event::ShutDown | Event::ConfigurationRejected => vec![plain()],
        Event::Received | Event::Unchanged | Event::Superseded => {
            vec![from_unhcr(event, OpenIntervention), to_unhcr(event, RecordDecision)]
        }
        Event::InboxRefused => vec![plain(), Activity { status: Some(413), count: Some(1), ..plain() }],
        Event::NotTaken => [None, Some(1), Some(3)].into_iter().map(|count| Activity { count, ..plain() }).collect(),
        Event::ChangedAfterDelivery => vec![
            because(Reason::ChangedAfterDelivery, from_unhcr(event, OpenIntervention)),
            because(Reason::NumberAlreadyDelivered, from_unhcr(event, OpenIntervention)),
        ],
        Event::Delivered => vec![
            Activity {
                new_case: Some(true),
                case: case(),
                outcome: Some(Outcome::Delivered),
                ..from_unhcr(event, OpenIntervention)
            },
            Activity { new_case: Some(false), case: case(), ..from_unhcr(event, OpenIntervention) },
            from_unhcr(event, OpenIntervention),
            from_unhcr(event, ReportDecision),
            from_unhcr(event, SendFeedback),
            Activity { basis: Some(Basis::Consent), ..to_unhcr(event, SendReferral) },
            Activity { basis: Some(Basis::VitalInterests), ..to_unhcr(event, SendReferral) },
            Activity { basis: Some(Basis::BestInterests), ..to_unhcr(event, SendReferral) },
            Activity { basis: Some(Basis::Exception), ..to_unhcr(event, SendReferral) },
            to_unhcr(event, RecordDecision),
            Activity { case: case(), errand: Some(Look), flow: Some(Flow::ToDtp), ..plain() },
            Activity { delivery: Some(DeliveryId(44)), ..plain() },
            plain(),
        ],
        Event::Later => vec![
            Activity { due: time("2026-06-01T08:30:00Z"), ..because(Reason::Unreachable, from_unhcr(event, OpenIntervention)) },
            because(Reason::GatewayError, to_unhcr(event, SendReferral)),
        ],
        Event::Refused => vec![
            Activity {
                fields: ["individuals.progres_sex", "individuals.progres_id"].map(str::to_owned).to_vec(),
                ..because(Reason::MissingFields, from_unhcr(event, OpenIntervention))
            },
            because(Reason::RefusedByDtp, to_unhcr(event, SendReferral)),
        ],
        Event::Held => vec![
            because(Reason::Several, from_unhcr(event, OpenIntervention)),
            because(Reason::ConsentException, to_unhcr(event, SendReferral)),
            because(Reason::UnknownDecisionCode, to_unhcr(event, RecordDecision)),
        ],
        Event::Released => vec![Activity { basis: Some(Basis::VitalInterests), ..to_unhcr(event, SendReferral) }],
        Event::Stopped => vec![
            because(Reason::SentOtherwise, from_unhcr(event, OpenIntervention)),
            because(Reason::NotSentInTime, to_unhcr(event, SendReferral)),
        ],
        Event::NotNeeded => vec![
            because(Reason::AlreadyReported, from_unhcr(event, ReportDecision)),
            because(Reason::DecidedBefore, to_unhcr(event, RecordDecision)),
        ],
        Event::NotDeliveredInTime => {
            vec![because(Reason::Late, from_unhcr(event, OpenIntervention)), to_unhcr(event, SendReferral)]
        }
        Event::Blocked => vec![
            because(Reason::Unauthorized, Activity { addressee: Some(System::Primero), ..plain() }),
            because(Reason::CertificateExpired, Activity { addressee: Some(System::Dtp), ..plain() }),
        ],
        Event::Unblocked | Event::Well => vec![Activity { addressee: Some(System::Primero), ..plain() }, plain()],
        Event::Unwell => vec![because(Reason::TimedOut, Activity { addressee: Some(System::Dtp), ..plain() })],
        Event::FeedbackSent => {
            vec![from_unhcr(event, SendFeedback), because(Reason::ServiceTypeNotAgreed, from_unhcr(event, SendFeedback))]
        }
        Event::Withheld => vec![
            because(Reason::ConsentMissing, to_unhcr(event, SendReferral)),
            because(Reason::RecipientNotListed, to_unhcr(event, Look)),
        ],
        Event::WithdrawnAfterSend => vec![
            Activity { noticed: time("2026-06-01T08:30:00Z"), ..because(Reason::ReferralRevoked, to_unhcr(event, SendReferral)) },
            to_unhcr(event, SendReferral),
        ],
        Event::Conflict => vec![
            because(Reason::Conflict, from_unhcr(event, ReportDecision)),
            because(Reason::DecidedBefore, to_unhcr(event, RecordDecision)),
        ],
        Event::Differs | Event::NotStored => vec![Activity {
            fields: vec!["date_of_birth".to_owned()],
            reason: Some(if event == Event::Differs { Reason::Differs } else { Reason::NotStored }),
            ..from_unhcr(event, OpenIntervention)
        }],
        Event::PollStarted | Event::PollFinished => [(Flow::ToDtp, Some(1)), (Flow::ToPrimero, Some(12)), (Flow::ToDtp, None)]
            .into_iter()
            .map(|(flow, count)| Activity { flow: Some(flow), count, ..plain() })
            .collect(),
        Event::PollFailed => vec![because(Reason::Unreachable, Activity { flow: Some(Flow::ToDtp), ..plain() })],
        Event::Erased => vec![from_unhcr(event, OpenIntervention)],
        Event::AgreementExpiring => vec![
            Activity { until: time("2026-12-31T20:59:59.999Z"), agreement: Some("DPISP-TEST-1".to_owned()), ..plain() },
            plain(),
        ],
        Event::CertificateExpiring | Event::CertificateSwitched | Event::KeyExpiring => {
            vec![Activity { until: time("2026-12-31T20:59:59.999Z"), ..plain() }]
        }
        Event::Operator => vec![
            Activity { who: Some("operator, CPIMS+ focal point".to_owned()), delivery: Some(DeliveryId(42)), ..plain() },
            plain(),
        ],
    }
}

#[test]
fn every_event_as_people_read_it() {
    let mut text = String::new();
    for event in Event::ALL {
        for activity in seen(*event) {
            let sentence = sentence(&activity, addis_ababa());
            assert!(
                sentence.ends_with('.') && !sentence.ends_with("..") && !sentence.starts_with(char::is_lowercase),
                "{sentence}"
            );
            writeln!(text, "{:22}  {sentence}", event.code()).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_reason_as_people_read_it() {
    let mut text = String::new();
    for reason in Reason::ALL {
        let words = words(*reason);
        let alarm = if words.alarm { "  ALARM" } else { "" };
        writeln!(text, "{reason}{alarm}\n    {}\n    {}", words.happened, words.to_do).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn words_that_mean_other_things_in_this_field_stand_nowhere() {
    let said = Reason::ALL.iter().flat_map(|reason| [words(*reason).happened.to_owned(), words(*reason).to_do.to_owned()]);
    let told = Event::ALL
        .iter()
        .flat_map(|event| seen(*event))
        .map(|activity| sentence(&Activity { fields: vec![], ..activity }, addis_ababa()));
    for text in said.chain(told) {
        let lower = text.to_lowercase();
        for word in FORBIDDEN {
            assert!(!lower.contains(word), "`{word}` in: {text}");
        }
    }
}

#[test]
fn every_reason_goes_with_every_event() {
    for event in Event::ALL {
        for reason in Reason::ALL {
            let told = sentence(&Activity { reason: Some(*reason), ..Activity::new(*event) }, addis_ababa());
            assert!(told.ends_with('.') && !told.ends_with("..") && !told.contains(".:") && !told.contains("::"), "{told}");
        }
    }
}

#[test]
fn the_reasons_for_which_a_system_is_blocked_are_alarms() {
    use Reason::*;
    for reason in [
        Unauthorized,
        Forbidden,
        CertificateRefused,
        CertificateExpired,
        FilterIgnored,
        FieldsNotWritable,
        WrongUrl,
        ConstantRefused,
    ] {
        assert!(words(reason).alarm, "{reason}");
    }
}
