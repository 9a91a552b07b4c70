//! The list of decisions as a page that people fill in.

use super::{
    DECISIONS, Plan, Source,
    choices::{Choice, Topic, numbered},
};

/// All decisions, topic by topic.
pub(super) fn page(source: &Source<'_>, plan: &Plan<'_>, choices: &[Choice]) -> String {
    let (name, from) = (plan.name, &source.name);
    let mut page = format!(
        "# Decisions for {name}\n\n\
         Made from {from}, version {}, by `referrald mapping new`.\n\
         Every file here is as {from} has it: a place to begin, and nothing that was agreed for {name}.\n\
         Settle the first four topics between the agencies before anything else; the others follow from them.\n\n\
         For each decision: change what stands in the named place or leave it, write here what was decided, and put an x into the brackets.\n\
         Then change the examples that say otherwise, by hand, from what was agreed.\n\
         `referrald mapping check` tells whether the files are in order, `referrald mapping test` what the examples say otherwise, \
         `referrald mapping sheet` makes what is signed.\n\
         This page is for people; the program does not read {DECISIONS}.\n",
        source.mapping.plain_version(),
    );
    for topic in Topic::ALL {
        page.push_str(&format!("\n## {}\n\n{}\n", topic.heading(), topic.about()));
        for (number, choice) in numbered(choices, topic) {
            let Choice { what, who, written, chose, rows, .. } = choice;
            page.push_str(&format!(
                "\n- [ ] **{number}** {what}\n  - Who decides: {who}\n  - Where: {written}\n  - {from}: {chose}\n"
            ));
            rows.iter().for_each(|row| page.push_str(&format!("    - [ ] {row}\n")));
            page.push_str("  - Decided, by which role, on which day: …\n");
        }
    }
    page
}
