//! What waits for its label window to close.

use std::collections::BTreeMap;

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// Figures that count from the instant their prediction matures, in the order of maturity and then position:
/// the order in which labels came leaves no trace. One prediction has one figure; another for the same place
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting<T> {
    figures: BTreeMap<(Timestamp, Position), T>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { figures: BTreeMap::new() }
    }
}

impl<T> Waiting<T> {
    /// Let a figure wait for `matured_at`.
    pub(crate) fn insert(&mut self, matured_at: Timestamp, position: Position, figure: T) {
        self.figures.entry((matured_at, position)).or_insert(figure);
    }

    /// Take the next figure that has matured at `now`.
    pub(crate) fn next_matured(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        let next = self.figures.first_entry()?;
        if next.key().0 > now {
            return None;
        }
        let ((matured_at, _), figure) = next.remove_entry();
        Some((matured_at, figure))
    }

    /// Those that have matured at `now`, in order.
    pub(crate) fn matured(&self, now: Timestamp) -> impl Iterator<Item = &T> {
        self.figures.range(..=(now, Position(u64::MAX))).map(|(_, figure)| figure)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.figures.len()
    }
}
