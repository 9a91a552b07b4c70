//! Small counts are not shown, nor anything from which one could be computed.
//!
//! Pure. A count of 1 to 4 in a small programme can point at a child, so it is shown as "<5". Where the total would tell it all the
//! same, the total is the second cell that is not shown: in its place stands from what to what it may be, made of the shown cells
//! alone. Whoever knows these rules learns no more than whoever does not.

use std::fmt;

/// The smallest count that is shown as it is, but for nought.
const LEAST: u64 = 5;

/// What is shown of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The count: nought, or five and more.
    Exactly(u64),
    /// One to four.
    Few,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => count.fmt(f),
            Self::Few => f.write_str("<5"),
        }
    }
}

/// What is shown of a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// The total.
    Exactly(u64),
    /// From what to what it may be, as the shown cells say.
    Between(u64, u64),
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(total) => total.fmt(f),
            Self::Between(1, 4) => f.write_str("<5"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// What is shown of a column of counts and of its total.
#[must_use]
pub fn column(counts: &[u64]) -> (Vec<Shown>, Total) {
    let is_few = |count: &u64| (1..LEAST).contains(count);
    let shown = counts.iter().map(|count| if is_few(count) { Shown::Few } else { Shown::Exactly(*count) }).collect();
    let few: Vec<u64> = counts.iter().copied().filter(is_few).collect();
    let (number, sum) = (few.len() as u64, few.iter().sum::<u64>());
    let others = counts.iter().sum::<u64>() - sum;
    // Two and more share a sum. If it is one of the smallest or largest that they can have, it tells too much about each of them,
    // and so would its absence if only the very smallest and largest were left out.
    let tells = number == 1 || number > 1 && !(number + 2..=4 * number - 2).contains(&sum);
    let total = if tells { Total::Between(others + number, others + 4 * number) } else { Total::Exactly(others + sum) };
    (shown, total)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Every column that is shown like this one: what somebody knows who has seen it and knows the rules.
    fn alike(counts: &[u64]) -> Vec<Vec<u64>> {
        let seen = column(counts);
        let mut all: Vec<Vec<u64>> = vec![Vec::new()];
        for cell in &seen.0 {
            let may_be = match cell {
                Shown::Exactly(count) => *count..=*count,
                Shown::Few => 1..=4,
            };
            all = all.iter().flat_map(|left| may_be.clone().map(|count| [left.as_slice(), &[count]].concat())).collect();
        }
        all.retain(|counts| column(counts) == seen);
        all
    }

    proptest! {
        #[test]
        fn from_what_is_shown_no_small_count_can_be_computed(counts in prop::collection::vec(0_u64..9, 0..6)) {
            let alike = alike(&counts);
            prop_assert!(alike.contains(&counts));
            for (index, count) in counts.iter().enumerate() {
                if (1..5).contains(count) {
                    let may_be: BTreeSet<u64> = alike.iter().map(|counts| counts[index]).collect();
                    prop_assert!(may_be.len() >= 3, "{counts:?}: cell {index} may only be {may_be:?}");
                }
            }
        }

        #[test]
        fn what_is_shown_is_true_and_no_small_count_is(counts in prop::collection::vec(0_u64..200, 0..12)) {
            let (shown, total) = column(&counts);
            prop_assert_eq!(shown.len(), counts.len());
            for (shown, count) in shown.iter().zip(&counts) {
                match shown {
                    Shown::Exactly(shown) => prop_assert!(shown == count && !(1..5).contains(count)),
                    Shown::Few => prop_assert!((1..5).contains(count)),
                }
            }
            let sum = counts.iter().sum::<u64>();
            match total {
                Total::Exactly(total) => prop_assert!(total == sum && !(1..5).contains(&sum)),
                Total::Between(least, most) => prop_assert!((least..=most).contains(&sum)),
            }
        }
    }

    #[test]
    fn as_people_see_it() {
        for (counts, shown) in [
            (&[][..], "0"),
            (&[0, 0], "0 0 | 0"),
            (&[7, 12], "7 12 | 19"),
            (&[3], "<5 | <5"),
            (&[10, 3], "10 <5 | 11 to 14"),
            (&[10, 1, 1], "10 <5 <5 | 12 to 18"),
            (&[10, 2, 3], "10 <5 <5 | 15"),
            (&[10, 4, 4], "10 <5 <5 | 12 to 18"),
            (&[4, 4, 4], "<5 <5 <5 | 3 to 12"),
            (&[1, 4, 4], "<5 <5 <5 | 9"),
        ] {
            let (cells, total) = column(counts);
            let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
            let line = if cells.is_empty() { total.to_string() } else { format!("{} | {total}", cells.join(" ")) };
            assert_eq!(line, shown);
        }
    }
}
