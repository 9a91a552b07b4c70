//! A configuration as an operator writes it: what is read out of it, and what is said when it is wrong.

mod layered;
mod manual;
mod refused;

use std::path::Path;

use super::{Problems, Settings};

/// A configuration without a problem, both flows on.
pub(crate) const GOOD: &str = r#"programme = "kakuma"

[agreement]
reference = "DPISP-2026-1"
valid_from = "2026-01-01"
valid_until = "2027-12-31"

[flows]
to_primero = true
to_dtp = true

[inbox]

[[inbox.keys]]
name = "first"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"

[primero]
url = "https://cpims.example.org"
user_name = "referrald"
password_file = "secrets/primero"
intake_user = "intake"

[dtp]
referral_url = "https://dtp.example.org/ReceiveIncomingReferral"
decision_url = "https://dtp.example.org/ReceiveDecisionOutgoingReferral"
subscription_key_file = "secrets/subscription"
certificate_file = "secrets/client.pem"
key_file = "secrets/client.key"

[schedule]
start_from = "2026-02-01"

[flow1]
service_types = ["Alternative Care"]

[referrals]
implementing_agencies = ["UNHCR"]
recipients = ["unhcr_cw"]
owner_agencies = ["agency-1"]
service_types = ["alternative_care"]

[consent]

[administrator]
email = "cpims@example.org"
full_name = "CPIMS+ duty desk"
phone = "+000 000"

[mapping]
directory = "mapping"

[state]
directory = "state"
key_files = ["secrets/state.key"]
"#;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_text(Path::new("config/site.toml"), text, variables)
}

fn good(text: &str, variables: &[(&str, &str)]) -> Settings {
    load(text, variables).unwrap_or_else(|problems| panic!("refused:\n{problems}"))
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(text, variables).map_or_else(|problems| problems.0, |_| Vec::new())
}

/// The good configuration with one line replaced, or, with an empty `line`, with another one after the section's header.
fn with(section: &str, line: &str, other: &str) -> String {
    let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let start = GOOD.find(&header).expect("the section is there") + header.len();
    let (before, after) = GOOD.split_at(start);
    if line.is_empty() {
        return format!("{before}{other}\n{after}");
    }
    assert!(after.contains(line), "the line is not in the good configuration");
    format!("{before}{}", after.replacen(line, other, 1))
}
