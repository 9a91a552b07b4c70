//! The number of a case as people know it: read from Primero when it is shown, stored nowhere.
//!
//! Primero is asked only while it is well and has accepted the password, one case at a time, and not for long. Nothing is learnt
//! from the answer about how Primero is: looking at a page is no attempt and no probe.

use std::time::Duration;

use super::Source;
use crate::{
    health::Leave,
    primero::{Standing, Trouble},
    referral::{CaseId, CaseKey, System},
};

/// The longest that a page waits for it.
const LONGEST: Duration = Duration::from_secs(2);
/// What is read of the case.
const FIELDS: [&str; 3] = ["case_id", "case_id_display", "module_id"];
/// The longest number that is one. It is letters, digits and common signs: nothing that turns the text around it.
const LONGEST_NUMBER: usize = 64;

/// The number, or why it is not shown.
pub(super) enum CaseNumber {
    /// As Primero has it now.
    Known(String),
    /// Why it is not shown.
    NotShown(&'static str),
}

/// Asks Primero for the number of a case.
pub(super) async fn of_case(source: &Source, key: CaseKey, case: Option<&CaseId>) -> CaseNumber {
    let programme = &source.programme;
    let clock = &programme.clock;
    if let Err(why) = may_ask(source) {
        return CaseNumber::NotShown(why);
    }
    let late = clock.sleep_until(clock.monotonic() + LONGEST);
    let read = async {
        // Nobody closes it.
        let _turn = source.asking.acquire().await;
        may_ask(source)?;
        match programme.primero.case(key, &FIELDS).await {
            Ok(found) => {
                let is_ours = case.is_none_or(|case| found.case_id().as_ref() == Some(case)) && is_in_our_module(source, &found);
                let number = found.text("case_id_display").map(str::trim).filter(|_| is_ours);
                number.filter(|number| is_number(number)).map(str::to_owned).ok_or("Primero shows no such number for it")
            }
            Err(Trouble::NotFound | Trouble::Forbidden) => Err("Primero does not show us this case any more"),
            Err(_) => Err("Primero did not tell it just now"),
        }
    };
    tokio::select! {
        read = read => read.map_or_else(CaseNumber::NotShown, CaseNumber::Known),
        () = late => CaseNumber::NotShown("Primero did not answer in time"),
    }
}

/// Whether Primero may be asked by somebody who has no errand.
fn may_ask(source: &Source) -> Result<(), &'static str> {
    let programme = &source.programme;
    let leave = programme.health()[System::Primero as usize].leave(programme.clock.monotonic());
    match (leave, programme.gate.standing()) {
        (Leave::All, Standing::Proven) => Ok(()),
        (Leave::All, Standing::Unproven) => Err("Primero was not asked since the start; it is not asked for this first"),
        (Leave::All, Standing::Refused { .. }) | (Leave::Probe { .. } | Leave::None(_) | Leave::One, _) => {
            Err("Primero is blocked or unwell now; it is not asked for this")
        }
    }
}

fn is_in_our_module(source: &Source, case: &crate::primero::Case) -> bool {
    let programme = &source.programme;
    let ours =
        |module: &str| module == programme.mapping.module() || programme.settings.referrals.modules.iter().any(|of| of == module);
    case.text("module_id").is_none_or(ours)
}

fn is_number(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
    !text.is_empty() && text.len() <= LONGEST_NUMBER && text.chars().all(is_plain)
}
