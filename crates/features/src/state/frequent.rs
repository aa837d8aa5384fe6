//! The most frequent values, by counters that are lowered together when there are too many.
//!
//! Misra and Gries (1982), merged as by Agarwal et al. (2012, "Mergeable summaries"). With `c` counters every
//! count is too low by at most `n / (c + 1)` of `n` values, however tiles were merged; while there are at most
//! `c` different values every count is exact.

use perennial_types::{DataType, Value};
use serde::{Deserialize, Serialize};

use super::object::{Item, compare, heap_bytes, list};

/// How many counters are kept to tell the so many most frequent.
pub(super) fn counters(most: usize) -> usize {
    (8 * most).max(64)
}

/// Counts by value, in the order of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frequent(Vec<(Item, u64)>);

impl Frequent {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let items = heap_bytes(self.0.iter().map(|(item, _)| item));
        size_of::<Self>() + size_of::<(Item, u64)>() * self.0.capacity() + items
    }

    pub(super) fn add(&mut self, counters: usize, item: Item) {
        match self.0.binary_search_by(|(other, _)| other.cmp(&item)) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) if self.0.len() < counters => self.0.insert(at, (item, 1)),
            // The new value and one of each that is counted cancel.
            Err(_) => self.lower(1),
        }
    }

    pub(super) fn merge(&mut self, counters: usize, later: &Self) {
        for (item, count) in &later.0 {
            match self.0.binary_search_by(|(other, _)| other.cmp(item)) {
                Ok(at) => self.0[at].1 += count,
                Err(at) => self.0.insert(at, (item.clone(), *count)),
            }
        }
        if self.0.len() > counters {
            let mut counts: Vec<u64> = self.0.iter().map(|(_, count)| *count).collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            self.lower(counts[counters]);
        }
    }

    fn lower(&mut self, by: u64) {
        self.0.retain_mut(|(_, count)| {
            *count = count.saturating_sub(by);
            *count > 0
        });
    }

    /// The so many most frequent, the most frequent first, of equally frequent ones the smaller.
    pub(super) fn most(&self, data_type: DataType, most: usize) -> Value {
        let mut sorted: Vec<&(Item, u64)> = self.0.iter().collect();
        sorted.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| compare(data_type, a, b)));
        list(data_type, sorted.into_iter().take(most).map(|(item, _)| item))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const COUNTERS: usize = 8;

    fn counted(values: &[u64]) -> Frequent {
        let mut frequent = Frequent::default();
        values.iter().for_each(|value| frequent.add(COUNTERS, Item::Word(*value)));
        frequent
    }

    proptest! {
        #[test]
        fn counts_are_too_low_by_a_ninth_of_all_at_most(
            tiles in prop::collection::vec(prop::collection::vec(0..20_u64, 0..60), 1..6),
        ) {
            let mut merged = Frequent::default();
            tiles.iter().for_each(|tile| merged.merge(COUNTERS, &counted(tile)));
            let mut exact: BTreeMap<u64, u64> = BTreeMap::new();
            tiles.concat().into_iter().for_each(|value| *exact.entry(value).or_default() += 1);
            let n = tiles.concat().len() as u64;
            for (value, count) in exact {
                let found = merged.0.iter().find(|(item, _)| *item == Item::Word(value));
                let found = found.map_or(0, |(_, count)| *count);
                prop_assert!(found <= count && count - found <= n / (COUNTERS as u64 + 1), "{} for {}", found, count);
            }
            prop_assert!(merged.0.len() <= COUNTERS);
        }

        #[test]
        fn few_values_are_counted_exactly(a in prop::collection::vec(0..8_u64, 0..60), b in prop::collection::vec(0..8_u64, 0..60)) {
            let mut merged = counted(&a);
            merged.merge(COUNTERS, &counted(&b));
            prop_assert_eq!(merged, counted(&[a, b].concat()));
        }
    }
}
