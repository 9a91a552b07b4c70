//! Walks over a simulated list that changes while it is read.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::*;

type Pair = (CaseKey, DateTime<Utc>);

fn case(number: usize) -> CaseKey {
    CaseKey(Uuid::from_u128(number as u128))
}

/// A moment so many milliseconds after the start of the story.
fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_780_000_000_000 + milliseconds).unwrap()
}

fn walker(cursor: i64, overlap: u64, per: u32) -> Walker {
    Walker::new(Position { cursor: at(cursor) }, Duration::from_secs(overlap), per)
}

fn ask(since: i64, page: u32, per: u32) -> Option<Ask> {
    Some(Ask { since: at(since), page, per })
}

fn step(new: &[usize], cursor: i64, over: bool) -> Result<Step, NotAsAsked> {
    Ok(Step { new: new.to_vec(), position: Position { cursor: at(cursor) }, over })
}

/// A server's list: rows of equal stamps come in another order each time.
struct List {
    rows: BTreeMap<CaseKey, DateTime<Utc>>,
    cap: u32,
    chance: fastrand::Rng,
}

impl List {
    fn new(stamps: impl IntoIterator<Item = i64>, seed: u64) -> Self {
        let rows = stamps.into_iter().enumerate().map(|(number, stamp)| (case(number), at(stamp))).collect();
        Self { rows, cap: 1000, chance: fastrand::Rng::with_seed(seed) }
    }

    fn answer(&mut self, ask: Ask) -> (Vec<Pair>, u32) {
        let per = ask.per.min(self.cap);
        let mut rows: Vec<Pair> = self.rows.iter().map(|(key, stamp)| (*key, *stamp)).collect();
        rows.retain(|(_, stamp)| second(*stamp) >= second(ask.since));
        self.chance.shuffle(&mut rows);
        rows.sort_by_key(|(_, stamp)| *stamp);
        (rows.into_iter().skip(((ask.page - 1) * per) as usize).take(per as usize).collect(), per)
    }
}

/// Walks to the end; what was asked, what was new, and where the next walk begins.
fn walk(mut walker: Walker, list: &mut List) -> (Vec<Ask>, Vec<Pair>, Position) {
    let (mut asked, mut met, mut position) = (Vec::new(), Vec::new(), walker.position);
    while let Some(ask) = walker.request() {
        let (rows, per) = list.answer(ask);
        let step = walker.page(&rows, per).unwrap();
        assert_eq!(step.over, walker.request().is_none());
        assert!(step.position >= position, "the position never moves back");
        asked.push(ask);
        met.extend(step.new.iter().map(|row| rows[*row]));
        position = step.position;
    }
    (asked, met, position)
}

#[test]
fn no_rows_keep_the_position() {
    let mut walker = walker(1500, 60, 10);
    assert_eq!(walker.request(), ask(1500, 1, 10));
    assert_eq!(walker.page(&[], 10), step(&[], 1500, true));
    assert_eq!(walker.request(), None);
}

#[test]
fn a_short_page_ends_the_walk_an_overlap_behind_the_highest_stamp() {
    let rows = [(case(1), at(60_000)), (case(2), at(90_900)), (case(3), at(90_100))];
    assert_eq!(walker(0, 60, 10).page(&rows, 10), step(&[0, 1, 2], 30_900, true));
}

#[test]
fn the_position_never_moves_back_before_where_the_walk_began() {
    assert_eq!(walker(50_000, 60, 10).page(&[(case(1), at(50_100))], 10), step(&[0], 50_000, true));
    assert_eq!(walker(50_000, u64::MAX, 10).page(&[(case(1), at(999_000))], 10), step(&[0], 50_000, true));
}

#[test]
fn a_full_page_is_followed_by_page_1_from_its_last_stamp() {
    let mut walker = walker(0, 1, 3);
    assert_eq!(walker.page(&[(case(1), at(100)), (case(2), at(4000)), (case(3), at(5100))], 3), step(&[0, 1, 2], 4100, false));
    assert_eq!(walker.request(), ask(5100, 1, 3));
    assert_eq!(walker.page(&[(case(3), at(5100)), (case(4), at(5200)), (case(1), at(7000))], 3), step(&[1, 2], 6000, false));
    assert_eq!(walker.request(), ask(7000, 1, 3));
    assert_eq!(walker.page(&[(case(1), at(7000))], 3), step(&[], 6000, true));
}

#[test]
fn a_row_that_was_met_before_its_second_and_left_it_since_does_not_stand_for_one_that_hides() {
    let mut walker = walker(0, 1, 2);
    let (early, late) = (|number| (case(number), at(100)), |number| (case(number), at(1100)));
    let mut new = |rows: &[Pair]| walker.page(rows, 2).unwrap().new;
    assert_eq!(new(&[early(1), early(2)]), [0, 1]);
    assert_eq!(new(&[early(3)]), [0], "the first second holds more than a page");
    assert_eq!(new(&[early(3), late(4)]), [1], "two of its rows have left it");
    // Row 4 leaves as well. Of the rows 5, 6 and 7 of the late second the last hides while another comes twice.
    for pass in 1..=2 {
        assert_eq!(new(&[late(5), late(6)]).len(), if pass == 1 { 2 } else { 0 });
        assert_eq!(new(&[late(6)]), [] as [usize; 0]);
    }
    assert_eq!(new(&[late(5), late(6)]), [] as [usize; 0]);
    assert_eq!(new(&[late(7)]), [0]);
}

#[test]
fn asking_again_after_a_fault_asks_the_same() {
    let mut walker = walker(0, 1, 1);
    walker.page(&[(case(1), at(5000))], 1).unwrap();
    assert_eq!(walker.request(), walker.request());
    let before = walker.request();
    assert_eq!(walker.page(&[(case(1), at(0))], 1), Err(NotAsAsked));
    assert_eq!(walker.request(), before);
}

#[test]
fn a_second_that_holds_more_than_a_page_is_passed_through_until_nothing_is_new() {
    let mut walker = walker(0, 0, 2);
    let [a, b, c, d] = [(case(1), at(100)), (case(2), at(200)), (case(3), at(300)), (case(4), at(1500))];
    assert_eq!(walker.page(&[a, b], 2), step(&[0, 1], 200, false));
    assert_eq!(walker.request(), ask(0, 2, 2));
    // What lies beyond the second is left for page 1.
    assert_eq!(walker.page(&[c, d], 2), step(&[0], 300, false));
    assert_eq!(walker.request(), ask(0, 1, 2));
    assert_eq!(walker.page(&[a, b], 2), step(&[], 300, false));
    assert_eq!(walker.page(&[c, d], 2), step(&[], 300, false));
    assert_eq!(walker.request(), ask(1000, 1, 2));
    assert_eq!(walker.page(&[d], 2), step(&[0], 1500, true));
}

#[test]
fn a_row_skipped_because_another_left_the_second_is_met_by_the_next_pass() {
    let mut walker = walker(0, 0, 2);
    let [a, b, c, d] = [(case(1), at(100)), (case(2), at(200)), (case(3), at(300)), (case(4), at(400))];
    let moved = (case(1), at(9000));
    walker.page(&[a, b], 2).unwrap();
    // The first case is saved: the third takes the second's place and is skipped.
    assert_eq!(walker.page(&[d, moved], 2), step(&[0], 400, false));
    assert_eq!(walker.page(&[b, c], 2), step(&[1], 400, false));
    assert_eq!(walker.page(&[d, moved], 2), step(&[], 400, false));
    assert_eq!(walker.page(&[b, c], 2), step(&[], 400, false));
    assert_eq!(walker.page(&[d, moved], 2), step(&[], 400, false));
    assert_eq!(walker.page(&[moved], 2), step(&[0], 9000, true));
}

#[test]
fn a_row_given_twice_for_ever_does_not_stop_the_walk() {
    let mut walker = walker(0, 0, 2);
    let (a, b) = ((case(1), at(100)), (case(2), at(200)));
    let mut pages = 0;
    while let Some(ask) = walker.request() {
        let first = if ask.page == 1 { 0 } else { 1 };
        walker.page(&[a, b][first..], 2).unwrap();
        pages += 1;
    }
    assert_eq!(pages, 2 * (1 + MOST_FRUITLESS));
}

#[test]
fn a_list_that_is_not_what_was_asked_for_is_an_error() {
    let rows = [(case(1), at(1000)), (case(2), at(3000))];
    let swapped = [rows[1], rows[0]];
    for (name, cursor, rows, per) in [
        ("from before the second asked for", 2500, &rows[..], 10),
        ("out of order", 0, &swapped, 10),
        ("more than a page", 0, &rows, 1),
        ("a page without rows", 0, &[], 0),
    ] {
        assert_eq!(walker(cursor, 60, 10).page(rows, per), Err(NotAsAsked), "{name}");
    }
    // The fraction of a second neither filters nor sorts.
    let rows = [(case(1), at(2600)), (case(2), at(2100))];
    assert_eq!(walker(2500, 0, 10).page(&rows, 10), step(&[0, 1], 2600, true));
}

#[test]
fn of_a_list_that_stands_still_each_page_is_read_once_and_each_row_is_new_once() {
    let mut list = List::new((0..2500).map(|row| row * 1000), 1);
    let (asked, met, position) = walk(walker(0, 60, 1000), &mut list);
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|ask| ask.page == 1));
    assert_eq!(met.len(), 2500);
    assert_eq!(met.into_iter().collect::<BTreeMap<_, _>>(), list.rows);
    assert_eq!(position.cursor, at(2_499_000 - 60_000));
}

#[test]
fn three_thousand_rows_of_one_stamp_are_all_met_whatever_their_order() {
    for (seed, cap) in [(1, 1000), (2, 1000), (3, 1000), (4, 500)] {
        let stamps =
            (0..300).map(|row| row * 100).chain(std::iter::repeat_n(40_250, 3000)).chain((0..300).map(|row| 50_000 + row * 100));
        let mut list = List::new(stamps, seed);
        list.cap = cap;
        let (asked, met, _) = walk(walker(0, 60, 1000), &mut list);
        assert_eq!(met.len(), 3600, "each row is new once");
        assert_eq!(met.into_iter().collect::<BTreeMap<_, _>>(), list.rows);
        assert!(
            asked.iter().filter(|ask| ask.page > 1).all(|ask| second(ask.since) == at(40_000)),
            "only that second is paged through"
        );
    }
}

#[test]
fn only_the_rows_of_one_second_are_remembered() {
    let mut list = List::new((0..20_000).map(|row| row * 10), 1);
    let mut walker = walker(0, 60, 1000);
    let mut most = 0;
    while let Some(ask) = walker.request() {
        let (rows, per) = list.answer(ask);
        walker.page(&rows, per).unwrap();
        most = most.max(walker.met.len());
    }
    assert!((100..=1000).contains(&most), "{most} rows were remembered; a second holds a hundred, a page a thousand");
}

/// One story of a list that is saved, read, and read again after a crash.
fn story(seed: u64) {
    // The overlap covers how late a row may come and how long a walk may read on while the list grows.
    const LATE: i64 = 3_000;
    const READING_ON: u32 = 12;
    const PAUSE: i64 = 400;
    const OVERLAP: u64 = 8_000;
    let mut chance = fastrand::Rng::with_seed(seed);
    let per = chance.u32(1..8);
    // Dense enough that seconds hold more rows than a page, with many equal stamps.
    let span = chance.i64(1..40) * 500;
    let mut list = List::new((0..chance.i64(0..60)).map(|_| chance.i64(0..span) / 100 * 100), seed);
    let mut now = span + LATE;
    let mut position = Position { cursor: at(0) };
    let mut met: BTreeSet<Pair> = BTreeSet::new();

    for round in 0..6 {
        let quiet = round == 5;
        let busy = if quiet { 0 } else { chance.u32(0..4) };
        let mut saves = 0;
        let mut walker = Walker::new(position, Duration::from_millis(OVERLAP), per);
        let mut asked = 0;
        while let Some(ask) = walker.request() {
            let (rows, per) = list.answer(ask);
            let step = walker.page(&rows, per).expect("the list is as asked for");
            for row in &step.new {
                met.insert(rows[*row]);
            }
            assert!(step.position >= position, "the position never moves back");
            position = step.position;
            asked += 1;
            assert!(asked < 5000, "the walk of story {seed} finds no end");
            for _ in 0..chance.u32(0..=busy).min(READING_ON - saves) {
                saves += 1;
                now += chance.i64(0..PAUSE);
                // Saved now, or saved a while ago and visible only now.
                let stamp = at(now - if chance.bool() { chance.i64(0..LATE) } else { 0 });
                let number = chance.usize(0..list.rows.len() + 2);
                let before = list.rows.get(&case(number)).copied();
                list.rows.insert(case(number), before.map_or(stamp, |before| before.max(stamp)));
            }
            if !quiet && chance.u32(0..20) == 0 {
                break; // The process ends here; the next walk begins at what was stored.
            }
        }
        now += chance.i64(0..3_000);
    }
    for (key, stamp) in &list.rows {
        assert!(met.contains(&(*key, *stamp)), "story {seed} missed a row");
    }
}

#[test]
fn no_row_is_missed_over_the_walks_whatever_happens_to_the_list() {
    for seed in 0..300 {
        story(seed);
    }
}
