//! The quality of a column or a feature: how often it is NULL, its range, and values that were never seen before.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{Buckets, Merge};

/// A text column of more different values is no category.
const CATEGORIES: usize = 1_000;

/// What was counted of a column over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnCounts {
    /// Rows.
    pub rows: u64,
    /// Those in which it is NULL.
    pub nulls: u64,
    /// The least number.
    pub least: Option<f64>,
    /// The largest number.
    pub largest: Option<f64>,
}

impl ColumnCounts {
    /// The part of the rows in which it is NULL; nothing without rows.
    pub fn null_rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.nulls as f64 / self.rows as f64)
    }

    fn add(&mut self, value: &Value) {
        self.rows += 1;
        self.nulls += u64::from(value.null());
        if let Some(number) = value.as_f64() {
            self.widen(Some(number), Some(number));
        }
    }

    fn widen(&mut self, least: Option<f64>, largest: Option<f64>) {
        let pick = |a: Option<f64>, b: Option<f64>, of: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(of(a, b)),
            (a, b) => a.or(b),
        };
        self.least = pick(self.least, least, f64::min);
        self.largest = pick(self.largest, largest, f64::max);
    }
}

impl Merge for ColumnCounts {
    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.widen(other.least, other.largest);
    }
}

/// A column over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnFigures {
    /// What was counted of it.
    pub counts: Buckets<ColumnCounts>,
    /// When each text was seen first.
    first_seen: BTreeMap<Arc<str>, Timestamp>,
    /// Whether it has more different texts than are remembered.
    too_many: bool,
    /// When it had its first value.
    since: Option<Timestamp>,
}

impl ColumnFigures {
    /// Count a value that became known at `at`.
    pub(crate) fn add(&mut self, at: Timestamp, value: &Value) {
        self.counts.at(at).add(value);
        let Value::String(text) = value else { return };
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        if self.too_many || self.first_seen.contains_key(text) {
            return;
        }
        if self.first_seen.len() >= CATEGORIES {
            self.too_many = true;
            self.first_seen.clear();
            return;
        }
        self.first_seen.insert(Arc::clone(text), at);
    }

    /// The texts that were seen first in a window, with everything before it as the reference; nothing for a column
    /// that holds no categories, or that had none before the window.
    pub fn new_categories(&self, from: Timestamp, to: Timestamp) -> Option<Vec<Arc<str>>> {
        if self.too_many || self.since.is_none_or(|since| since >= from) {
            return None;
        }
        let new = self.first_seen.iter().filter(|(_, seen)| (from..to).contains(*seen));
        Some(new.map(|(text, _)| Arc::clone(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn nulls_and_the_range_are_those_of_the_window() {
        let mut column = ColumnFigures::default();
        for (at, value) in
            [(1, Value::Double(-9.0)), (25, Value::Int64(3)), (26, Value::Null), (31, Value::Double(0.5))]
        {
            column.add(minute(at), &value);
        }
        let counts = column.counts.over(minute(20), minute(40));
        assert_eq!((counts.rows, counts.nulls, counts.least, counts.largest), (3, 1, Some(0.5), Some(3.0)));
        assert_eq!(counts.null_rate(), Some(1.0 / 3.0));
        assert_eq!(column.counts.over(minute(50), minute(60)).null_rate(), None);
    }

    #[test]
    fn a_category_is_new_in_the_window_that_sees_it_first() {
        let mut column = ColumnFigures::default();
        for (at, value) in [(1, "de"), (12, "uk"), (15, "de"), (25, "uk"), (27, "fr")] {
            column.add(minute(at), &text(value));
        }
        assert_eq!(column.new_categories(minute(10), minute(20)), Some(vec!["uk".into()]));
        assert_eq!(column.new_categories(minute(20), minute(30)), Some(vec!["fr".into()]));
        assert_eq!(column.new_categories(minute(30), minute(40)), Some(vec![]));
        assert_eq!(column.new_categories(minute(0), minute(10)), None, "there is nothing before it");
    }

    #[test]
    fn a_column_of_many_texts_holds_no_categories() {
        let mut column = ColumnFigures::default();
        (0..=CATEGORIES).for_each(|i| column.add(minute(i as i64), &text(&i.to_string())));
        assert_eq!(column.new_categories(minute(1), minute(5_000)), None);
        assert!(column.first_seen.is_empty());
    }
}
