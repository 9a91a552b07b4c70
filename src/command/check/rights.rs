//! What our role in Primero may do: what it needs, and nothing besides.

use super::{Findings, Problem, prepared, primero::GBV};
use crate::{config::Settings, mapping::Mapping, primero::OwnAccount};

/// What is needed, by resource and action, and what for.
const NEEDED: [(&str, &str, &str); 5] = [
    ("cases", "read", "to find the case"),
    ("cases", "create", "to open a case that is not there"),
    ("cases", "write", "to add the service"),
    ("cases", "receive_referral", "to record UNHCR's decision"),
    ("users", "read", "to know the owner of a case"),
];
/// What may be there without being needed: it shows the same users.
const HARMLESS: [(&str, &str); 1] = [("users", "agency_read")];
/// The right to do everything.
const MANAGE: &str = "manage";

/// Compares what the role may do with what it needs.
pub(super) fn check(own: &OwnAccount, settings: &Settings, mapping: Option<&Mapping>, findings: &mut Findings) {
    let mut say = |said: String| findings.problems.push(Problem::outside(said));
    let may = |resource: &str, action: &str| {
        own.permissions.get(resource).is_some_and(|actions| actions.contains(action) || actions.contains(MANAGE))
    };
    let prepared = prepared(settings);
    for (resource, action, reason) in NEEDED {
        let needed = match action {
            "create" | "write" => prepared.to_primero,
            "receive_referral" => prepared.to_dtp,
            _ => true,
        };
        if needed && !may(resource, action) {
            say(format!("the role may not `{action}` {resource}, which is needed {reason} (hint: add it to the role)"));
        }
    }
    for (resource, actions) in &own.permissions {
        let excess = |action: &&String| {
            !NEEDED.iter().any(|(of, needed, _)| (of, needed) == (&resource.as_str(), &action.as_str()))
                && !HARMLESS.contains(&(resource.as_str(), action.as_str()))
        };
        let excess: Vec<&str> = actions.iter().filter(excess).map(String::as_str).collect();
        if !excess.is_empty() {
            say(format!("the role may do more than is needed: {} on {resource} (hint: take it away)", excess.join(", ")));
        }
    }
    match own.group_permission.as_deref() {
        Some("all" | "group") => {}
        _ => say(
            "the role sees too little: its scope must be `all`, or `group` with a group that covers every owner of cases (hint: \
             otherwise a case that exists is taken for one that does not)"
                .to_owned(),
        ),
    }
    if let Some(mapping) = mapping
        && !own.modules.contains(mapping.module())
    {
        say(format!("our account does not have the module `{}` (hint: give it to the account's role)", mapping.module()));
    }
    if own.modules.contains(GBV) {
        say(format!("our account has the module `{GBV}` (hint: take it away; this system must not see such cases)"));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::config::tests::GOOD;

    fn said(permissions: &[(&str, &[&str])], scope: &str, modules: &[&str]) -> Vec<String> {
        let own = OwnAccount {
            role: None,
            group_permission: Some(scope.to_owned()),
            modules: modules.iter().map(ToString::to_string).collect(),
            agency: None,
            permissions: permissions
                .iter()
                .map(|(resource, actions)| ((*resource).to_owned(), actions.iter().map(ToString::to_string).collect()))
                .collect(),
            forms: BTreeMap::new(),
        };
        let settings = Settings::from_text(Path::new("site.toml"), GOOD, []).unwrap();
        let mut findings = Findings::default();
        check(&own, &settings, None, &mut findings);
        findings.problems.into_iter().map(|problem| problem.said).collect()
    }

    #[test]
    fn a_role_with_what_is_needed_and_nothing_besides_is_well() {
        let cases: &[&str] = &["read", "create", "write", "receive_referral"];
        assert_eq!(said(&[("cases", cases), ("users", &["read"])], "all", &["primeromodule-cp"]), Vec::<String>::new());
        assert_eq!(said(&[("cases", cases), ("users", &["read", "agency_read"])], "group", &[]), Vec::<String>::new());
    }

    #[test]
    fn too_little_and_too_much_are_both_said() {
        let told = said(&[("cases", &["manage", "consent_override"]), ("users", &["write"])], "self", &[GBV]);
        assert_eq!(
            told,
            [
                "the role may not `read` users, which is needed to know the owner of a case (hint: add it to the role)",
                "the role may do more than is needed: consent_override, manage on cases (hint: take it away)",
                "the role may do more than is needed: write on users (hint: take it away)",
                "the role sees too little: its scope must be `all`, or `group` with a group that covers every owner of cases (hint: \
                 otherwise a case that exists is taken for one that does not)",
                "our account has the module `primeromodule-gbv` (hint: take it away; this system must not see such cases)",
            ]
        );
    }
}
