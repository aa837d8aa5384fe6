//! The first or last so many values by event time, and the so many largest or smallest. Exact, and merged
//! without loss: what a tile has let go has as many before it in that tile, and so in any that it is part of.

use perennial_types::DataType;
use serde::{Deserialize, Serialize};

use super::object::{Item, compare, heap_bytes};

/// Times and values, in order of time, of equal times in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ends(Vec<(i64, Item)>);

/// Which ends are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) most: usize,
    /// The last ones, not the first.
    pub(super) last: bool,
    /// Each value once: by its last event, or its first.
    pub(super) distinct: bool,
}

impl Ends {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let items = heap_bytes(self.0.iter().map(|(_, item)| item));
        size_of::<Self>() + size_of::<(i64, Item)>() * self.0.capacity() + items
    }

    pub(super) fn add(&mut self, kept: Kept, time: i64, item: Item) {
        if kept.distinct
            && let Some(at) = self.0.iter().position(|(_, other)| *other == item)
        {
            let other = self.0[at].0;
            // The entry gives way to a later event of its value, or to an earlier one.
            if (kept.last && time < other) || (!kept.last && time >= other) {
                return;
            }
            self.0.remove(at);
        }
        let at = self.0.partition_point(|(other, _)| *other <= time);
        self.0.insert(at, (time, item));
        if self.0.len() > kept.most {
            if kept.last {
                self.0.remove(0)
            } else {
                self.0.swap_remove(kept.most)
            };
        }
    }

    pub(super) fn merge(&mut self, kept: Kept, later: &Self) {
        for (time, item) in &later.0 {
            self.add(kept, *time, item.clone());
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().map(|(_, item)| item)
    }
}

/// Values, the most extreme first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Extremes(Vec<Item>);

impl Extremes {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<Item>() * self.0.capacity() + heap_bytes(self.0.iter())
    }

    pub(super) fn add(&mut self, data_type: DataType, most: usize, largest: bool, item: Item) {
        let before = |other: &Item| {
            let order = compare(data_type, other, &item);
            if largest { order.is_ge() } else { order.is_le() }
        };
        let at = self.0.partition_point(before);
        if at < most {
            self.0.insert(at, item);
            self.0.truncate(most);
        }
    }

    pub(super) fn merge(&mut self, data_type: DataType, most: usize, largest: bool, later: &Self) {
        for item in &later.0 {
            self.add(data_type, most, largest, item.clone());
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter()
    }
}
