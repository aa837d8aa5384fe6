//! What an audit counts of each feature.

use perennial_types::Value;
use serde::{Deserialize, Serialize};

use crate::audits::Merge;

/// How the values of a feature as served compare with what a replay gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureSkew {
    /// Values compared.
    pub compared: u64,
    /// Both are there, and differ.
    pub mismatch: u64,
    /// The replay has a value, and NULL was served.
    pub missing: u64,
    /// A value was served, and the replay has NULL.
    pub extra: u64,
    /// Pairs of numbers.
    numbers: u64,
    /// The sum of `2 |a − b| / (|a| + |b|)` over them.
    error: f64,
}

impl FeatureSkew {
    /// Count a value as served beside the one that a replay gives: they are equal by their bits.
    pub fn add(&mut self, served: &Value, replayed: &Value) {
        self.add_within(served, replayed, 0.0);
    }

    /// The same where numbers that are apart by no more than a part of the larger one are equal too.
    pub fn add_within(&mut self, served: &Value, replayed: &Value, tolerance: f64) {
        self.compared += 1;
        let near = match (served.as_f64(), replayed.as_f64()) {
            (Some(a), Some(b)) => tolerance > 0.0 && (a - b).abs() <= tolerance * a.abs().max(b.abs()),
            _ => false,
        };
        match (served.null(), replayed.null()) {
            (true, false) => self.missing += 1,
            (false, true) => self.extra += 1,
            _ => self.mismatch += u64::from(served != replayed && !near),
        }
        if let (Some(a), Some(b)) = (served.as_f64(), replayed.as_f64()) {
            self.numbers += 1;
            let apart = (a - b).abs();
            self.error += if apart > 0.0 { 2.0 * apart / (a.abs() + b.abs()) } else { 0.0 };
        }
    }

    /// The part of the values that differ in any way; nothing without values.
    pub fn share(&self) -> Option<f64> {
        let differ = self.mismatch + self.missing + self.extra;
        (self.compared > 0).then(|| differ as f64 / self.compared as f64)
    }

    /// The symmetric mean absolute percentage error of the numbers, from 0 to 2; nothing without numbers.
    pub fn symmetric_error(&self) -> Option<f64> {
        (self.numbers > 0).then(|| self.error / self.numbers as f64)
    }
}

impl Merge for FeatureSkew {
    fn merge(&mut self, other: &Self) {
        self.compared += other.compared;
        self.mismatch += other.mismatch;
        self.missing += other.missing;
        self.extra += other.extra;
        self.numbers += other.numbers;
        self.error += other.error;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_differ_is_counted_as_itself() {
        let mut skew = FeatureSkew::default();
        let one = Value::Double(1.0);
        for (served, replayed) in [
            (&one, &one),
            (&one, &Value::Double(3.0)),
            (&Value::Null, &one),
            (&one, &Value::Null),
            (&Value::Null, &Value::Null),
        ] {
            skew.add(served, replayed);
        }
        assert_eq!((skew.compared, skew.mismatch, skew.missing, skew.extra), (5, 1, 1, 1));
        assert_eq!(skew.share(), Some(0.6));
        assert_eq!(skew.symmetric_error(), Some(0.5), "2 · 2 / 4 over two pairs");
        assert_eq!(FeatureSkew::default().symmetric_error(), None);
    }

    #[test]
    fn one_bit_is_a_mismatch() {
        let mut skew = FeatureSkew::default();
        skew.add(&Value::Double(1.0), &Value::Double(f64::from_bits(1.0_f64.to_bits() ^ 1)));
        assert_eq!(skew.mismatch, 1);
    }
}
