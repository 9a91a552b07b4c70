//! The table for people: grouped by call, one line for each fault.
//!
//! It only lays out what is handed in.

use std::fmt::Write as _;

use super::{
    calls::Call,
    cell::{Lasting, Passing},
    faults::Broken,
};

const HEAD: &str = "\
# Faults

What `referrald` does when a call goes wrong: each call of each flow with each fault.
For an operator who finds a line in the log and asks what comes of it, and for whoever wants to know what is promised.

This page is printed by the tests (`tests/it/matrix`), and they fail when it is not true; nobody edits it by hand.
What must come of a fault is stated in `tests/it/matrix/stated.rs`, from the rules in [architecture.md](architecture.md).
Then each fault is made to happen to the running program, on real connections, with both systems simulated, and what comes of it is compared:
`cargo test --test it matrix` tries a fixed part of the table, `REFERRALD_PROOF=full cargo test --test it matrix` all of it.

How to read it:

- *Outcome*: how the attempt ended that met the fault, with the reason as it stands in the log and in `deliveries show`. [operations](operations/README.md) says what to do about each.
- *Again*: when it is tried again. \"In seconds\" is `delivery.first_pause` with jitter; later pauses grow to `delivery.longest_pause`.
- *Attempts*, *Primero*, *DTP*, *Log*, *List*: all attempts until it was done, and what both systems, the activity log and the operator's list held at the end. A fault meets one request; one that is about a whole system (connection refused, TLS, 403 on everything) is put right when the attempt has ended.
- *If it lasts*: how the errand stands after four days of the same fault at the same call, what DTP was told, and what is on the list then. `late` is on the list from the fourth hour on.
- \"Twice\" and \"again and again\" are the same message with the same id: DTP's answer was lost, so it may repeat. In Primero nothing is there twice.

With TLS 1.3 a server refuses a certificate only after the handshake; then the refusal may be lost with the connection, and it is `later connection_lost` until an attempt hears it.
A proxy's page for people (502, 503, 504, or 200 with HTML) stands for every system that is in between.
";

/// The whole page.
pub fn page(rows: &[(Call, Broken, Passing, Lasting)]) -> String {
    let mut page = HEAD.to_owned();
    for call in Call::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n| Fault | Outcome | Again | Attempts | Primero | DTP | Log | List | If it lasts |\n|---|---|---|---|---|---|---|---|---|\n",
            call.title()
        );
        for (_, broken, passing, lasting) in rows.iter().filter(|(of, ..)| of == call) {
            let _ = writeln!(page, "| {} {} {} |", broken.title(), once(passing), ever(lasting));
        }
    }
    page
}

fn once(passing: &Passing) -> String {
    let Passing { outcome, again, attempts, primero, dtp, activity, list } = passing;
    format!(
        "| {} | {again} | {attempts} | {primero} | {dtp} | {} | {} |",
        coded(outcome),
        listed(activity, "none"),
        listed(list, "–")
    )
}

fn ever(lasting: &Lasting) -> String {
    let Lasting { end, primero, dtp, list } = lasting;
    format!("{}; Primero: {primero}; DTP: {dtp}; list: {}", coded(end), listed(list, "–"))
}

/// `held out_of_scope` in code, and what follows in brackets not.
fn coded(text: &str) -> String {
    let (code, rest) = text.split_once(" (").map_or((text, String::new()), |(code, rest)| (code, format!(" ({rest}")));
    let is_code =
        code.bytes().all(|byte| byte.is_ascii_lowercase() || b"_ ".contains(&byte)) && code != "nothing to do" && code != "done";
    if is_code { format!("`{code}`{rest}") } else { text.to_owned() }
}

fn listed(texts: &[String], none: &str) -> String {
    if texts.is_empty() {
        return none.to_owned();
    }
    texts.iter().map(|text| coded(text)).collect::<Vec<_>>().join(", ")
}
