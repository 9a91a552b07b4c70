//! A target hears the first at once, the rest together, and nothing twice.

use super::*;

const HOUR: TimeDelta = TimeDelta::hours(1);
const FIRST: Rules = Rules { after: None, digest: HOUR };

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

fn open(topic: Topic, about: i64, since: i64) -> Open {
    Open { topic, about, level: 0, since: at(since), number: Some(DeliveryId(about)), days: None }
}

/// A target that is told every time, and what it heard: `topic news count [numbers]`.
struct Ear {
    book: Book,
    rules: Rules,
}

impl Ear {
    fn new(rules: Rules) -> Self {
        Self { book: Book::new(), rules }
    }

    fn hears(&mut self, minutes: i64, open: &[Open]) -> Vec<String> {
        let due = due(open, &self.book, self.rules, at(minutes));
        self.book = due.book;
        let line = |item: &Item| {
            let numbers: Vec<String> = item.numbers.iter().map(ToString::to_string).collect();
            format!("{} {} {} [{}]", item.topic, item.news, item.count, numbers.join(","))
        };
        due.items.iter().map(line).collect()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_of_a_topic_is_told_at_once_and_what_follows_together_an_hour_later() {
    let mut ear = Ear::new(FIRST);
    let held = |about| open(Topic::Held, about, 0);
    assert_eq!(ear.hears(0, &[held(1)]), ["held open 1 [1]"]);
    assert_eq!(ear.hears(1, &[held(1), held(3)]), NOTHING);
    assert_eq!(ear.hears(59, &[held(1), held(2), held(3)]), NOTHING);
    assert_eq!(ear.hears(60, &[held(1), held(2), held(3)]), ["held open 2 [2,3]"]);
    assert_eq!(ear.hears(600, &[held(1), held(2), held(3)]), NOTHING, "nothing twice");
}

#[test]
fn another_topic_is_told_at_once_and_takes_with_it_what_waits_to_be_told() {
    let mut ear = Ear::new(FIRST);
    let (held, late) = (open(Topic::Held, 1, 0), open(Topic::Late, 2, 0));
    assert_eq!(ear.hears(0, std::slice::from_ref(&held)), ["held open 1 [1]"]);
    let more = open(Topic::Held, 3, 0);
    assert_eq!(ear.hears(5, &[held.clone(), more.clone()]), NOTHING);
    assert_eq!(ear.hears(6, &[held, late, more]), ["held open 1 [3]", "late open 1 [2]"]);
}

#[test]
fn what_is_over_is_told_once_and_what_was_over_before_anybody_heard_of_it_never() {
    let mut ear = Ear::new(FIRST);
    let held = |about| open(Topic::Held, about, 0);
    assert_eq!(ear.hears(0, &[held(1)]), ["held open 1 [1]"]);
    assert_eq!(ear.hears(10, &[held(1), held(2)]), NOTHING);
    assert_eq!(ear.hears(60, &[]), ["held over 1 [1]"]);
    assert_eq!(ear.hears(120, &[]), NOTHING);
    // What comes back is told again; so soon after the last word on it, not at once.
    assert_eq!(ear.hears(119, &[held(1)]), NOTHING);
    assert_eq!(ear.hears(120, &[held(1)]), ["held open 1 [1]"]);
}

#[test]
fn what_flickers_is_told_no_more_often_than_a_digest() {
    let mut ear = Ear::new(FIRST);
    let blocked = Open { number: None, ..open(Topic::DtpBlocked, 1, 0) };
    let mut told = 0;
    for minute in 0..600 {
        let now = if minute % 2 == 0 { vec![blocked.clone()] } else { Vec::new() };
        told += ear.hears(minute, &now).len();
    }
    assert!((2..=11).contains(&told), "{told} messages in ten hours");
}

#[test]
fn what_comes_further_is_told_again_and_what_was_put_off_anew_from_there() {
    let mut ear = Ear::new(FIRST);
    let ends = |level, days| Open { level, days: Some(days), number: None, ..open(Topic::AgreementExpiring, 1, 0) };
    assert_eq!(ear.hears(0, &[ends(1, 60)]), ["agreement_expiring open 1 []"]);
    assert_eq!(ear.hears(1440, &[ends(1, 59)]), NOTHING);
    assert_eq!(ear.hears(43_200, &[ends(2, 30)]), ["agreement_expiring still_open 1 []"]);
    assert_eq!(ear.hears(44_000, &[ends(1, 60)]), NOTHING, "a new end");
    assert_eq!(ear.hears(90_000, &[ends(2, 30)]), ["agreement_expiring still_open 1 []"]);
    assert_eq!(ear.hears(100_000, &[]), ["agreement_expiring over 1 []"]);
    // A first stage does not wait for the week from which a second stage counts.
    assert_eq!(ear.hears(200_000, &[Open { since: at(300_000), ..ends(1, 60) }]), ["agreement_expiring open 1 []"]);
}

#[test]
fn the_second_stage_hears_only_of_what_is_open_for_its_time() {
    let mut ear = Ear::new(Rules { after: Some(HOUR * 4), digest: HOUR });
    let (short, long) = (open(Topic::Held, 1, 0), open(Topic::Held, 2, 10));
    assert_eq!(ear.hears(239, &[short.clone(), long.clone()]), NOTHING);
    assert_eq!(ear.hears(240, &[short, long.clone()]), ["held open 1 [1]"]);
    assert_eq!(ear.hears(300, &[long]), ["held open 1 [2]", "held over 1 [1]"]);
    assert_eq!(ear.hears(400, &[]), ["held over 1 [2]"]);
    assert_eq!(ear.hears(500, &[open(Topic::Held, 3, 499)]), NOTHING);
    assert_eq!(ear.hears(501, &[]), NOTHING, "it never heard of it");
}

#[test]
fn a_time_that_lies_ahead_keeps_nothing_back() {
    let mut ear = Ear::new(FIRST);
    assert_eq!(ear.hears(10_000, &[open(Topic::Held, 1, 0)]), ["held open 1 [1]"]);
    assert_eq!(ear.hears(5, &[]), ["held over 1 [1]"]);
    assert_eq!(ear.hears(5, &[open(Topic::Held, 2, 0)]), NOTHING);
    assert_eq!(ear.hears(65, &[open(Topic::Held, 2, 0)]), ["held open 1 [2]"]);
    assert_eq!(ear.hears(65, &[open(Topic::Held, 2, 0)]), NOTHING);
}

#[test]
fn of_the_kinds_of_entries_only_those_that_the_list_alone_tells_have_no_topic() {
    let silent: Vec<&str> =
        Kind::ALL.iter().filter(|kind| Topic::of_entry(**kind, None).is_none()).map(|kind| kind.code()).collect();
    assert_eq!(silent, ["refused", "withheld", "stopped", "differs", "not_taken", "inbox_refused"]);
    let half = [Reason::ImplementingAgencyNotListed, Reason::RecipientNotListed];
    assert!(half.iter().all(|reason| Topic::of_entry(Kind::Withheld, Some(*reason)) == Some(Topic::NearMiss)));
    assert_eq!(Topic::of_entry(Kind::Withheld, Some(Reason::ConsentMissing)), None);
}
