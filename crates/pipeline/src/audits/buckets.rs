//! Figures by stretches of time, so that any window can be looked at.

use std::collections::BTreeMap;

use perennial_types::{TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

/// The length of a stretch.
pub const STRETCH: TimeSpan = TimeSpan::from_secs(600);

/// Stretches that are kept by themselves: thirty days of them without a gap.
const KEPT: usize = 4_320;

/// Figures that can be put together.
pub trait Merge: Clone + Default {
    /// Take those of another stretch too.
    fn merge(&mut self, other: &Self);
}

/// Figures by ten minutes. Of more than `MOST` stretches the oldest become one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Buckets<T, const MOST: usize = KEPT> {
    kept: BTreeMap<Timestamp, T>,
    older: T,
    /// The end of the last stretch that is no longer kept by itself.
    older_to: Option<Timestamp>,
}

impl<T: Merge, const MOST: usize> Buckets<T, MOST> {
    /// The stretch of an instant, to be counted in. What lies before the stretches that are kept counts with the
    /// older ones.
    pub(crate) fn at(&mut self, time: Timestamp) -> &mut T {
        let start = time.floor(STRETCH);
        if self.older_to.is_some_and(|to| start < to) {
            return &mut self.older;
        }
        if self.kept.len() >= MOST && !self.kept.contains_key(&start) {
            let Some((oldest, figures)) = self.kept.pop_first() else { return &mut self.older };
            if start < oldest {
                self.kept.insert(oldest, figures);
                self.older_to = Some(oldest);
                return &mut self.older;
            }
            self.older.merge(&figures);
            self.older_to = Some(oldest + STRETCH);
        }
        self.kept.entry(start).or_default()
    }

    /// The stretches that are kept by themselves, oldest first, with their starts.
    pub fn stretches(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &T)> {
        self.kept.iter().map(|(start, figures)| (*start, figures))
    }

    /// Everything of a window: it reaches back to the start of the stretch that `from` lies in.
    pub fn over(&self, from: Timestamp, to: Timestamp) -> T {
        let mut sum = T::default();
        for figures in self.kept.range(from.floor(STRETCH)..to.max(from)).map(|(_, figures)| figures) {
            sum.merge(figures);
        }
        sum
    }

    /// Everything.
    pub fn total(&self) -> T {
        let mut sum = self.older.clone();
        self.kept.values().for_each(|figures| sum.merge(figures));
        sum
    }
}

impl Merge for u64 {
    fn merge(&mut self, other: &Self) {
        *self += other;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_where_stretches_become_one(times in prop::collection::vec(-4_000_000..4_000_000_i64, 1..6_000)) {
            let mut buckets: Buckets<u64> = Buckets::default();
            times.iter().for_each(|secs| *buckets.at(instant(*secs)) += 1);
            prop_assert_eq!(buckets.total(), times.len() as u64);
            prop_assert!(buckets.kept.len() <= KEPT);
        }

        #[test]
        fn a_window_holds_what_lies_in_its_stretches(
            times in prop::collection::vec(0..100_000_i64, 1..200), from in 0..100_000_i64, length in 1..50_000_i64,
        ) {
            let mut buckets: Buckets<u64> = Buckets::default();
            times.iter().for_each(|secs| *buckets.at(instant(*secs)) += 1);
            let (first, end) = (from - from % 600, (from + length + 599) / 600 * 600);
            let wanted = times.iter().filter(|secs| (first..end).contains(*secs)).count() as u64;
            prop_assert_eq!(buckets.over(instant(from), instant(from + length)), wanted);
        }
    }
}
