//! An activity as a sentence for a case worker or a supervisor. The time of the line stands before it, elsewhere.

use chrono::{DateTime, Utc};

use super::words;
use crate::{
    activity::{Activity, Basis, Event},
    reason::Reason,
    referral::{Errand, Flow, System},
    zone::Zone,
};

/// How a known referral is called inside a sentence; at the beginning without the article, as in a list.
const THE_REFERRAL: &str = "the referral ";

/// One activity as a sentence, times in the programme's zone.
#[must_use]
pub fn sentence(activity: &Activity, zone: Zone) -> String {
    let about = subject(activity);
    let at = |time: Option<DateTime<Utc>>| time.map(|time| zone.to_the_minute(time));
    let told = match activity.event {
        Event::Started => format!("the daemon started{}", in_force(activity)),
        Event::ShutDown => "the daemon ended in order".to_owned(),
        Event::Received => format!("{about} was received and stored"),
        Event::Unchanged => format!("{about} came again, unchanged; nothing was done"),
        Event::InboxRefused => match activity.status {
            Some(status) => because(format!("a post of DTP was refused with status {status}"), activity.reason),
            None => because("a post of DTP was refused".to_owned(), activity.reason),
        },
        Event::NotTaken => {
            let post = activity.post.map_or_else(|| "a post of DTP".to_owned(), |post| format!("post {post} of DTP"));
            match activity.count {
                Some(1) => format!("1 item of {post} could not be used"),
                Some(count) => format!("{count} items of {post} could not be used"),
                None => format!("items of {post} could not be used"),
            }
        }
        Event::Superseded => format!("{about} was replaced by a newer message before it was delivered"),
        Event::ChangedAfterDelivery => {
            let told = format!("{about} came again with other content after it was delivered");
            match other_than(activity, Reason::ChangedAfterDelivery) {
                Some(reason) => because(told, Some(reason)),
                None => format!("{told}; nothing was changed in Primero"),
            }
        }
        Event::Delivered => delivered(activity, &about),
        Event::Later => {
            let when = at(activity.due).map_or_else(|| "later".to_owned(), |due| format!("at {due}"));
            because(format!("{about} will be tried again {when}"), activity.reason)
        }
        Event::Refused => because(format!("{about} was refused"), activity.reason),
        Event::Held => because(format!("{about} waits for a person"), activity.reason),
        Event::Released => format!("a person let {} go{}", request(activity), ground(activity.basis)),
        Event::Stopped => because(format!("{about} was given up"), activity.reason),
        Event::NotNeeded => because(format!("{about} needs nothing more"), activity.reason),
        Event::NotDeliveredInTime => because(format!("{about} has waited for too long"), other_than(activity, Reason::Late)),
        Event::Blocked => because(format!("nothing more is sent to {}", addressee(activity)), activity.reason),
        Event::Unblocked => format!("{} is addressed again", addressee(activity)),
        Event::Unwell => {
            because(format!("{} fails again and again; one attempt is made at a time", addressee(activity)), activity.reason)
        }
        Event::Well => format!("{} answers again", addressee(activity)),
        Event::FeedbackSent => because(format!("UNHCR got feedback on {}", request(activity)), activity.reason),
        Event::Withheld => because(format!("{} was not sent to UNHCR", request(activity)), activity.reason),
        Event::WithdrawnAfterSend => {
            let noticed = at(activity.noticed).map_or_else(String::new, |noticed| format!(" (noticed at {noticed})"));
            let told = format!("{} was withdrawn after it was sent{noticed}", request(activity));
            match activity.reason {
                Some(_) => because(told, activity.reason),
                None => format!("{told}; UNHCR has NOT been told by this system"),
            }
        }
        Event::Conflict => match other_than(activity, Reason::Conflict) {
            Some(reason) => because(format!("{about} needs a look"), Some(reason)),
            None => format!("{about} needs a look: two records, or the two sides, say different things"),
        },
        Event::Differs => because(
            format!("{about} differs from what stands in Primero; nothing was overwritten"),
            other_than(activity, Reason::Differs),
        ),
        Event::NotStored => {
            because(format!("Primero did not keep some fields of {}", request(activity)), other_than(activity, Reason::NotStored))
        }
        Event::PollStarted => format!("{} began", reading(activity)),
        Event::PollFinished => match activity.count {
            Some(1) => format!("{} ended; 1 case is to be looked at", reading(activity)),
            Some(count) => format!("{} ended; {count} cases are to be looked at", reading(activity)),
            None => format!("{} ended", reading(activity)),
        },
        Event::PollFailed => because(format!("{} could not be ended", reading(activity)), activity.reason),
        Event::Erased => format!("the stored content of {about} was erased"),
        Event::AgreementExpiring => {
            let reference = activity.agreement.as_ref().map_or_else(String::new, |agreement| format!(" {agreement}"));
            valid_until(&format!("the data sharing agreement{reference}"), at(activity.until))
        }
        Event::CertificateExpiring => valid_until("our client certificate", at(activity.until)),
        Event::CertificateSwitched => {
            let until = at(activity.until).map_or_else(String::new, |until| format!("; it is valid until {until}"));
            format!("the next client certificate took the place of the one before{until}")
        }
        Event::KeyExpiring => valid_until("a key for our inbox", at(activity.until)),
        Event::ConfigurationReloaded => format!("new settings are in force{}", in_force(activity)),
        Event::ConfigurationRejected => "new settings were refused; the old ones stay in force".to_owned(),
        Event::Operator => {
            let who = activity.who.as_deref().unwrap_or("somebody");
            let what = activity.delivery.map_or_else(String::new, |id| format!(" on {id}"));
            because(format!("an operator ({who}) used the command line{what}"), activity.reason)
        }
    };
    let told = match told.strip_prefix(THE_REFERRAL) {
        Some(rest) => format!("Referral {rest}"),
        None => capitalised(&told),
    };
    let told = told.trim_end_matches('.');
    let fields = if activity.event == Event::NotTaken { "Places" } else { "Fields" };
    if activity.fields.is_empty() { format!("{told}.") } else { format!("{told}. {fields}: {}.", activity.fields.join(", ")) }
}

/// What the activity is about, to begin a sentence.
fn subject(activity: &Activity) -> String {
    match activity.errand {
        Some(Errand::OpenIntervention | Errand::SendReferral) | None => request(activity),
        Some(Errand::RecordDecision) => format!("UNHCR's decision on {}", request(activity)),
        Some(Errand::ReportDecision) => format!("the decision on {}", request(activity)),
        Some(Errand::SendFeedback) => format!("the feedback on {}", request(activity)),
        Some(Errand::Look) => case(activity).unwrap_or_else(|| "a changed case".to_owned()),
    }
}

/// The request for a service that stands behind it, in whichever direction.
fn request(activity: &Activity) -> String {
    let to_unhcr =
        activity.flow == Some(Flow::ToDtp) || activity.referral.is_some() || activity.errand == Some(Errand::SendReferral);
    match (&activity.intervention, case(activity)) {
        (Some(number), _) => format!("{THE_REFERRAL}from UNHCR {number}"),
        (None, Some(case)) if to_unhcr => format!("{THE_REFERRAL}of {case}"),
        (None, Some(case)) => case,
        (None, None) if to_unhcr => "a referral to UNHCR".to_owned(),
        (None, None) if activity.flow == Some(Flow::ToPrimero) => "a referral from UNHCR".to_owned(),
        (None, None) => activity.delivery.map_or_else(|| "a message".to_owned(), |id| format!("delivery {id}")),
    }
}

fn case(activity: &Activity) -> Option<String> {
    activity.case.as_ref().map(|case| format!("case {case}"))
}

fn delivered(activity: &Activity, about: &str) -> String {
    let in_case = case(activity).map_or_else(String::new, |case| format!(" ({case})"));
    match (activity.errand, activity.new_case) {
        (Some(Errand::OpenIntervention), Some(true)) => format!("{about} was opened in Primero: a new case was made{in_case}"),
        (Some(Errand::OpenIntervention), Some(false)) => {
            format!("{about} was opened in Primero: the service was added to the case that was there{in_case}")
        }
        (Some(Errand::OpenIntervention), None) => format!("{about} is in Primero{in_case}"),
        (Some(Errand::SendReferral), _) => format!("{about} was sent to UNHCR{}", ground(activity.basis)),
        (Some(Errand::RecordDecision), _) => format!("{about} was recorded in Primero"),
        (Some(Errand::ReportDecision | Errand::SendFeedback), _) => format!("{about} was sent to UNHCR"),
        (Some(Errand::Look), _) => format!("{about} was looked at"),
        (None, _) => format!("{about} was delivered"),
    }
}

const fn ground(basis: Option<Basis>) -> &'static str {
    match basis {
        None => "",
        Some(Basis::Consent) => ", with consent",
        Some(Basis::VitalInterests) => ", in the vital interests of the child",
        Some(Basis::BestInterests) => ", in the best interests of the child",
        Some(Basis::Exception) => ", by exception, as configured",
    }
}

const fn addressee(activity: &Activity) -> &'static str {
    match activity.addressee {
        Some(System::Primero) => "Primero",
        Some(System::Dtp) => "DTP",
        None => "the other system",
    }
}

fn reading(activity: &Activity) -> String {
    let of_what = match activity.flow {
        Some(Flow::ToDtp) => " for referrals to UNHCR",
        Some(Flow::ToPrimero) => " for decisions on referrals from UNHCR",
        None => "",
    };
    format!("reading of changed cases{of_what}")
}

fn in_force(activity: &Activity) -> String {
    let mapping = activity.mapping.as_ref().map(|mapping| format!("mapping {mapping}"));
    let agreement = activity.agreement.as_ref().map(|agreement| format!("agreement {agreement}"));
    let told: Vec<String> = mapping.into_iter().chain(agreement).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

fn valid_until(what: &str, until: Option<String>) -> String {
    until.map_or_else(|| format!("{what} ends soon, or has ended"), |until| format!("{what} is valid until {until} only"))
}

/// A reason, unless it is the one that the event says already.
fn other_than(activity: &Activity, said: Reason) -> Option<Reason> {
    activity.reason.filter(|reason| *reason != said)
}

/// What happened, and after a colon why.
fn because(told: String, reason: Option<Reason>) -> String {
    match reason {
        Some(reason) => format!("{told}: {}", inside_a_sentence(words(reason).happened)),
        None => told,
    }
}

/// A sentence that continues another begins with a small letter, unless a name stands there.
fn inside_a_sentence(sentence: &str) -> String {
    let is_name = sentence.starts_with("UNHCR") || sentence.starts_with("DTP") || sentence.starts_with("Primero");
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if !is_name => first.to_lowercase().chain(letters).collect(),
        Some(_) | None => sentence.to_owned(),
    }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests;
