//! `mapping fields`: exactly which data elements are exchanged, in which direction, for which services: the dictionary for all agencies.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{Shown, loaded};
use crate::{
    command::Failure,
    config::Settings,
    mapping::{
        Mapping,
        rules::{Message, Part, Profile},
    },
};

#[derive(Serialize)]
struct Row<'a> {
    flow: &'static str,
    direction: &'static str,
    message: &'static str,
    service_types: &'a [String],
    field: &'a str,
    from: String,
    rule: String,
    form: &'a str,
    agreement: &'a str,
    version: &'a str,
}

/// Lists every field.
pub(super) fn fields(directory: &Path, settings: Option<&Settings>, shown: &mut Shown<impl Write>) -> Result<(), Failure> {
    let mapping = loaded(directory)?;
    let agreement = settings.map(|settings| settings.agreement.reference.as_str());
    let agreement = agreement.or_else(|| mapping.approval().map(|approval| approval.agreement.as_str())).unwrap_or("none named");
    shown.words(&format!("Data elements of mapping {}, under the agreement: {agreement}", mapping.version()))?;
    for message in Message::ALL {
        let (flow, direction, what) = about(*message);
        for (service_types, profile) in groups(&mapping, *message, settings) {
            shown.words(&format!("\n{what} ({flow}, {direction}){}", for_services(&service_types, profile)))?;
            let mut seen = std::collections::BTreeSet::new();
            for (_, row) in
                mapping.rows().filter(|(of, row)| of == message && profile.is_none_or(|profile| profile.has(*of, &row.target)))
            {
                let form = row.form.as_deref().unwrap_or("not on form");
                let again = !seen.insert(&row.target);
                let from = row.origin_in_words();
                shown.say(
                    &format!("  {:<32} {}{from}  [{form}]", row.target, if again { "or else " } else { "" }),
                    &Row {
                        flow,
                        direction,
                        message: message.code(),
                        service_types: &service_types,
                        field: &row.target,
                        from,
                        rule: row.rule_in_words(),
                        form,
                        agreement,
                        version: mapping.version(),
                    },
                )?;
            }
        }
    }
    Ok(())
}

pub(super) const fn about(message: Message) -> (&'static str, &'static str, &'static str) {
    const IN: &str = "UNHCR to Primero";
    const OUT: &str = "Primero to UNHCR";
    match message {
        Message::Case => ("flow 1", IN, "A new case"),
        Message::Service => ("flow 1", IN, "The service that UNHCR asks for"),
        Message::Delivered => ("flow 1", OUT, "Feedback: delivered"),
        Message::Failed => ("flow 1", OUT, "Feedback: not delivered"),
        Message::DecisionReport => ("flow 1", OUT, "The decision on UNHCR's request"),
        Message::Referral => ("flow 2", OUT, "A referral"),
        Message::ReferralDecision => ("flow 2", IN, "UNHCR's decision on a referral"),
    }
}

/// Which services get the same fields; without services, once.
fn groups<'a>(mapping: &'a Mapping, message: Message, settings: Option<&Settings>) -> Vec<(Vec<String>, Option<&'a Profile>)> {
    let [profiles_in, profiles_out] = mapping.profiles();
    let (part, profiles, opened) = match message {
        Message::Case | Message::Service => {
            (mapping.service_types_in(), profiles_in, settings.map(|settings| &settings.flow1.service_types))
        }
        Message::Referral => {
            (mapping.service_types_out(), profiles_out, settings.map(|settings| &settings.referrals.service_types))
        }
        Message::Delivered | Message::Failed | Message::DecisionReport | Message::ReferralDecision => {
            return vec![(Vec::new(), None)];
        }
    };
    let all = opened.cloned().unwrap_or_else(|| part.map(known).unwrap_or_default());
    let mut groups = Vec::new();
    let plain: Vec<String> =
        all.iter().filter(|known| !profiles.iter().any(|profile| profile.service_types.contains(known))).cloned().collect();
    if !plain.is_empty() {
        groups.push((plain, None));
    }
    for profile in profiles {
        let narrowed: Vec<String> = profile.service_types.iter().filter(|name| all.contains(name)).cloned().collect();
        if !narrowed.is_empty() {
            groups.push((narrowed, Some(profile)));
        }
    }
    groups
}

fn known(part: &Part) -> Vec<String> {
    let Some(lookup) = &part.lookup else { return Vec::new() };
    (0..lookup.table.rows.len()).map(|row| lookup.table.key(row).to_owned()).collect()
}

fn for_services(service_types: &[String], profile: Option<&Profile>) -> String {
    let name = profile.map(|profile| format!(", {}", profile.name)).unwrap_or_default();
    if service_types.is_empty() { String::new() } else { format!("{name}, for: {}", service_types.join("; ")) }
}
