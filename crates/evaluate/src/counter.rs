//! How many labels an endpoint has got since a position.

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::LabelledPrediction;

/// The labelled rows of one endpoint, whoever answered: where each was complete, and when. Sixteen bytes a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounter {
    /// By position; new ones come at the end.
    labels: Vec<(Position, Timestamp)>,
    /// How many were forgotten, and the last position up to which.
    forgotten: u64,
    forgotten_through: Position,
}

impl LabelCounter {
    /// Without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Take the next joined row, in the order of the log. Late rows are not handed in: nothing trains on them.
    pub fn labelled(&mut self, row: &LabelledPrediction) {
        let place = self.after(row.position);
        self.labels.insert(place, (row.position, row.known_at));
    }

    /// Forget where rows up to `position` were complete, but not how many they were: for a position that is
    /// the data end of no version any more.
    pub fn forget_through(&mut self, position: Position) {
        let count = self.after(position);
        self.labels.drain(..count);
        self.forgotten += count as u64;
        self.forgotten_through = self.forgotten_through.max(position);
    }

    /// Labelled rows after `position`. Before the last forgotten position it is too large: every forgotten
    /// row counts, so that from the start it is the count of all rows.
    pub fn count_since(&self, position: Position) -> u64 {
        let forgotten = if position < self.forgotten_through { self.forgotten } else { 0 };
        forgotten + (self.labels.len() - self.after(position)) as u64
    }

    /// Where and when the `n`-th newest labelled row was complete, the newest being the first. Nothing for
    /// zero, or if there are fewer rows that are not forgotten.
    pub fn nth_newest_label(&self, n: u64) -> Option<(Position, Timestamp)> {
        let n = usize::try_from(n).ok().filter(|n| *n > 0)?;
        self.labels.len().checked_sub(n).map(|place| self.labels[place])
    }

    /// Labelled rows that were complete at `time` or later, of those that are not forgotten.
    pub fn count_known_since(&self, time: Timestamp) -> u64 {
        (self.labels.len() - self.labels.partition_point(|(_, at)| *at < time)) as u64
    }

    /// When the first row after `position` was complete, if it is not forgotten.
    pub fn first_since(&self, position: Position) -> Option<Timestamp> {
        self.labels.get(self.after(position)).map(|(_, at)| *at)
    }

    fn after(&self, position: Position) -> usize {
        self.labels.partition_point(|(other, _)| *other <= position)
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;
    use proptest::prelude::*;

    use super::*;
    use crate::Prediction;

    fn at(position: u64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_hours(position as i64)
    }

    fn counter(positions: &[u64]) -> LabelCounter {
        let mut counter = LabelCounter::new();
        for position in positions {
            let prediction = Prediction {
                id: "p".into(),
                at: at(0),
                model: "m".into(),
                version: "v".into(),
                value: 0.0,
                fallback: false,
                exposure: crate::Exposure::default(),
                position: Position(0),
            };
            let (known_at, position) = (at(*position), Position(*position));
            counter.labelled(&LabelledPrediction { prediction, label: 0.0, known_at, position });
        }
        counter
    }

    #[test]
    fn the_row_before_a_hold_out_is_found_from_the_newest() {
        let counter = counter(&[3, 5, 8, 13]);
        assert_eq!(counter.nth_newest_label(1), Some((Position(13), at(13))));
        assert_eq!(counter.nth_newest_label(3), Some((Position(5), at(5))));
        assert_eq!((counter.nth_newest_label(5), counter.nth_newest_label(0)), (None, None));
        assert_eq!(counter.first_since(Position(5)), Some(at(8)));
        assert_eq!(counter.first_since(Position(13)), None);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_list_and_forgetting_keeps_the_later_ones(
            steps in prop::collection::vec(0..4_u64, 0..60),
            since in 0..150_u64,
            forget in 0..150_u64,
        ) {
            let positions: Vec<u64> = steps
                .iter()
                .scan(1, |position, step| {
                    *position += step;
                    Some(*position)
                })
                .collect();
            let slow = |since: u64| positions.iter().filter(|position| **position > since).count() as u64;
            let mut counter = counter(&positions);
            prop_assert_eq!(counter.count_since(Position(since)), slow(since));
            counter.forget_through(Position(forget));
            prop_assert_eq!(counter.count_since(Position(since.max(forget))), slow(since.max(forget)));
            prop_assert_eq!(counter.count_since(Position::START), positions.len() as u64);
        }
    }
}
