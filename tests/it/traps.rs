//! Every trap of Primero that concerns us, by name, and the tests that prove that we do not step into it.

use std::{fs, path::Path};

/// What Primero does, and the test of each.
const TRAPS: &[(&str, &[&str])] = &[
    (
        "a filter that our role may not use is dropped, and the answer is everybody",
        &["a_filter_that_is_not_honoured_blocks_primero_until_a_probe_goes_through"],
    ),
    (
        "a filter that the database rejects answers with nobody, so nobody is asked for once more in another way",
        &["a_number_that_is_ours_but_for_its_case_is_held", "a_similar_number_on_a_later_page_is_found"],
    ),
    ("a page holds twenty rows and never more than a thousand", &["of_1500_changed_cases_every_one_is_looked_at_once"]),
    (
        "pages skip and repeat rows while cases change, and equal stamps come in any order",
        &["of_3000_cases_changed_in_one_second_every_one_is_looked_at_once"],
    ),
    (
        "a post that is repeated makes a second case",
        &["a_lost_answer_after_the_effect_creates_nothing_twice", "a_time_out_after_the_effect_creates_nothing_twice"],
    ),
    (
        "a service without an id of its own comes twice when it is sent twice",
        &["a_service_of_ours_that_is_there_is_not_written_again", "an_existing_case_is_sent_the_new_service_and_nothing_else"],
    ),
    (
        "a service sent again takes back what staff decided, or comes back when they deleted it",
        &[
            "a_lost_answer_after_the_effect_adds_nothing_twice_and_touches_no_staff_edit",
            "what_was_delivered_and_is_deleted_later_is_not_revived",
        ],
    ),
    ("two clocks differ", &["the_cursor_follows_the_servers_time_and_not_ours"]),
    (
        "a range looks at whole seconds, so the rows of its first second come again",
        &["a_change_is_looked_at_once_a_walk_and_each_walk_for_itself"],
    ),
    ("a row becomes visible behind later ones", &["a_row_that_becomes_visible_late_is_met_within_the_overlap"]),
    (
        "our own writes move the stamp of a case",
        &["what_dtp_has_makes_no_errand_when_the_case_changes_otherwise", "what_dtp_took_is_never_sent_again"],
    ),
    (
        "fields that are unknown or not writable vanish with 200",
        &[
            "a_field_that_is_empty_after_our_own_write_blocks_primero_until_it_is_writable",
            "other_fields_that_did_not_stick_are_delivered_and_named",
        ],
    ),
    (
        "one bad option refuses the whole case",
        &[
            "an_option_out_of_our_table_that_primero_does_not_know_is_held_until_it_does",
            "a_value_of_dtp_that_primero_refuses_is_told_to_dtp",
        ],
    ),
    ("a text that is exactly a date is refused", &["free_text_that_is_exactly_a_date_is_stored_all_the_same"]),
    (
        "a case moves or opens again when its owner, status or module is sent along",
        &["an_existing_case_is_sent_the_new_service_and_nothing_else"],
    ),
    ("an owner who does not exist makes a case without one", &["an_unknown_intake_user_leaves_no_owner_and_that_is_named"]),
    (
        "without module and envelope an empty case is made, with 200",
        &["a_new_case_goes_open_to_the_intake_user_with_one_service"],
    ),
    ("a decision on a decided referral is 200 without effect", &["what_somebody_decided_while_we_wrote_is_seen_in_the_answer"]),
    ("after a rejection the case may be out of our sight", &["a_403_after_a_rejection_is_verified_by_another_read"]),
    (
        "a decision is refused when consent was withdrawn",
        &[
            "when_consent_was_withdrawn_the_decision_is_held_and_the_withdrawal_shown_once",
            "the_program_never_marks_a_referral_as_an_exception",
        ],
    ),
    ("a referral names no service", &["a_referral_that_names_no_service_of_its_case_is_withheld"]),
    (
        "several referrals are about one service",
        &["the_referral_that_was_sent_is_meant_whatever_its_status", "if_none_was_sent_the_newest_in_progress_is_meant"],
    ),
    (
        "six wrong passwords lock the account",
        &["a_refused_password_is_tried_after_ten_minutes_then_hourly_also_over_a_restart_and_a_new_one_at_once"],
    ),
    ("a cookie brings a check with it that forbids our writes", &["a_cookie_that_primero_sets_is_not_sent_back"]),
    ("a save of staff erases what we wrote", &["a_service_that_a_stale_save_erased_is_written_again"]),
    ("a service added to a closed case opens it again", &["a_closed_case_is_held_unless_it_is_configured_otherwise"]),
    ("answers and addresses hold personal data", &["what_primero_says_when_it_fails_is_remembered_nowhere"]),
    (
        "a parameter in a form that Primero does not understand does nothing",
        &["a_walk_asks_for_no_more_than_it_needs_and_in_the_form_primero_understands"],
    ),
];

/// The text of every source in a directory.
fn tests(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { tests(&path) } else { fs::read_to_string(&path).unwrap_or_default() })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_trap_has_its_test() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = [tests(&top.join("tests/it")), tests(&top.join("src/primero"))].concat();
    for (trap, proofs) in TRAPS {
        for proof in *proofs {
            assert!(tests.contains(&format!("#[tokio::test]\nasync fn {proof}() {{")), "{trap}: there is no test `{proof}`");
        }
    }
}
