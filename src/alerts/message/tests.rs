//! Messages as they are read.

use super::*;
use crate::alerts::policy::Topic;

fn head() -> Letterhead {
    Letterhead {
        programme: "gambella".to_owned(),
        environment: "production",
        zone: "Africa/Addis_Ababa".parse().unwrap(),
        time: "2026-03-02T08:00:00Z".parse().unwrap(),
    }
}

fn message() -> Message {
    let item = |topic, news, numbers: &[i64], days| Item {
        topic,
        news,
        count: numbers.len().max(1),
        numbers: numbers.iter().map(|number| DeliveryId(*number)).collect(),
        days,
    };
    let many: Vec<i64> = (1..=23).collect();
    let items = vec![
        item(Topic::Held, News::Open, &[17, 23], None),
        item(Topic::Late, News::Over, &many, None),
        item(Topic::DtpBlocked, News::Open, &[], None),
        item(Topic::AgreementExpiring, News::StillOpen, &[], Some(7)),
    ];
    Message::Alert { stage: 1, items }
}

#[test]
fn people_read_what_happened_how_often_and_our_numbers() {
    assert_eq!(
        message().subject(&head()),
        "[referrald gambella production] held (2), late over (23), dtp_blocked, agreement_expiring"
    );
    insta::assert_snapshot!(message().text(&head()));
}

#[test]
fn a_program_reads_the_same() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&message().json(&head())).unwrap());
}

#[test]
fn a_test_says_that_it_is_one() {
    assert_eq!(Message::Test.subject(&head()), "[referrald gambella production] a test message");
    assert_eq!(Message::Test.json(&head())["message"], "test");
    assert!(Message::Test.text(&head()).contains("This is a test."));
}
