//! What waits for its label window to close.

use std::collections::BTreeMap;

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// Figures that count from the instant their prediction matures, in the order of maturity and then position:
/// the order in which labels came leaves no trace. One prediction has one figure; another for the same place
/// changes nothing.
///
/// It is saved as a list, since a key of two parts is no key of a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<((Timestamp, Position), T)>", into = "Vec<((Timestamp, Position), T)>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Waiting<T> {
    figures: BTreeMap<(Timestamp, Position), T>,
}

impl<T> From<Vec<((Timestamp, Position), T)>> for Waiting<T> {
    fn from(list: Vec<((Timestamp, Position), T)>) -> Self {
        Self { figures: list.into_iter().collect() }
    }
}

impl<T> From<Waiting<T>> for Vec<((Timestamp, Position), T)> {
    fn from(waiting: Waiting<T>) -> Self {
        waiting.figures.into_iter().collect()
    }
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

    /// What waits for `matured_at` at a place, to be added to.
    pub(crate) fn at(&mut self, matured_at: Timestamp, position: Position) -> &mut T
    where
        T: Default,
    {
        self.figures.entry((matured_at, position)).or_default()
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
