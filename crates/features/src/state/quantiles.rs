//! Quantiles within a relative error, by counts of values in bins that grow by a constant factor.
//!
//! DDSketch (Masson, Rim, Lee 2019) with the uniform collapse of UDDSketch (Epicoco et al. 2020): where there
//! are too many bins, every two neighbours become one, and the error nearly doubles. The state is a function
//! of the values alone, since the number of collapses is the least that makes the bins of all of them few
//! enough: neither order nor merges matter, to the bit.

use serde::{Deserialize, Serialize};

/// The relative error before any collapse.
const ERROR: f64 = 0.01;
/// At most this many bins are kept: at 1 %, nearly nine decades of one sign are no more.
const BINS: usize = 1024;
/// Added to the exponent of a bin, so that those of positive values are above zero and those of negative
/// values, mirrored, below: the largest and smallest doubles have exponents of ±37,300.
const BIAS: i32 = 1 << 16;

/// Quantiles of many numbers in little room: counts of values by bin, which merge, to the bit, in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Quantiles {
    /// How often bins were collapsed.
    level: u8,
    /// Keys ascending, as are the values of their bins.
    keys: Vec<i32>,
    counts: Vec<u64>,
}

/// The same as it was saved, which may be anything.
#[derive(Deserialize)]
struct Saved {
    level: u8,
    keys: Vec<i32>,
    counts: Vec<u64>,
}

impl TryFrom<Saved> for Quantiles {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { level, keys, counts } = saved;
        if keys.len() != counts.len() || !keys.is_sorted() || level > 20 {
            return Err("quantiles out of shape");
        }
        Ok(Self { level, keys, counts })
    }
}

/// The logarithm of the factor between bins.
fn width() -> f64 {
    ((1.0 + ERROR) / (1.0 - ERROR)).ln()
}

/// The bin of a value before any collapse.
fn bin(value: f64) -> i32 {
    if value == 0.0 {
        return 0;
    }
    let exponent = (value.abs().ln() / width()).ceil() as i32;
    if value > 0.0 { exponent + BIAS } else { -(exponent + BIAS) }
}

/// The bin that a bin is part of after one more collapse; order and signs stay.
fn collapsed(key: i32) -> i32 {
    match key.signum() {
        0 => 0,
        sign => sign * ((key.abs() - BIAS + 1).div_euclid(2) + BIAS),
    }
}

/// The value for which no value of the bin is further away, relatively, than the error.
fn middle(key: i32, level: u8) -> f64 {
    if key == 0 {
        return 0.0;
    }
    let width = width() * f64::from(1_u32 << level);
    // The upper edge times 2 / (1 + factor), in one exponent: the edge of the last bin is no double.
    let exponent = f64::from(key.abs() - BIAS) * width - ((1.0 + width.exp()) / 2.0).ln();
    f64::from(key.signum()) * exponent.exp().min(f64::MAX)
}

impl Quantiles {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 4 * self.keys.capacity() + 8 * self.counts.capacity()
    }

    /// Count a finite value.
    pub fn add(&mut self, value: f64) {
        let key = (0..self.level).fold(bin(value), |key, _| collapsed(key));
        self.count(key, 1);
        self.shrink();
    }

    /// Count the values of another one too.
    pub fn merge(&mut self, later: &Self) {
        if self.keys.is_empty() {
            *self = later.clone();
            return;
        }
        while self.level < later.level {
            self.collapse();
        }
        for (key, count) in later.keys.iter().zip(&later.counts) {
            let key = (later.level..self.level).fold(*key, |key, _| collapsed(key));
            self.count(key, *count);
        }
        self.shrink();
    }

    fn count(&mut self, key: i32, count: u64) {
        match self.keys.binary_search(&key) {
            Ok(at) => self.counts[at] += count,
            Err(at) => {
                self.keys.insert(at, key);
                self.counts.insert(at, count);
            }
        }
    }

    fn shrink(&mut self) {
        while self.keys.len() > BINS {
            self.collapse();
        }
    }

    fn collapse(&mut self) {
        let before = std::mem::take(self);
        self.level = before.level + 1;
        for (key, count) in before.keys.into_iter().zip(before.counts) {
            let key = collapsed(key);
            match (self.keys.last(), self.counts.last_mut()) {
                (Some(last), Some(last_count)) if *last == key => *last_count += count,
                _ => {
                    self.keys.push(key);
                    self.counts.push(count);
                }
            }
        }
    }

    /// The value of rank `⌊share · (n − 1)⌋`, counted from zero, of `n` values, within 1 % unless they span more
    /// than nine decades; nothing without values.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let n: u64 = self.counts.iter().sum();
        let rank = (share * n.checked_sub(1)? as f64).floor() as u64;
        let mut below = 0;
        for (key, count) in self.keys.iter().zip(&self.counts) {
            below += count;
            if below > rank {
                return Some(middle(*key, self.level));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> Quantiles {
        let mut sketch = Quantiles::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    /// The value of the rank by sorting.
    fn exact(values: &[f64], share: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[(share * (values.len() - 1) as f64).floor() as usize]
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            6 => -1e4..1e4_f64,
            2 => (-20.0..20.0_f64).prop_map(f64::exp),
            1 => Just(0.0),
        ];
        prop::collection::vec(value, 1..300)
    }

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent(values in values(), share in 0.0..=1.0_f64) {
            let (found, wanted) = (sketch(&values).quantile(share).unwrap(), exact(&values, share));
            prop_assert!((found - wanted).abs() <= 0.010_000_1 * wanted.abs(), "{} for {}", found, wanted);
        }

        #[test]
        fn merging_is_adding_to_the_bit(a in values(), b in values()) {
            let mut merged = sketch(&a);
            merged.merge(&sketch(&b));
            prop_assert_eq!(merged, sketch(&[a, b].concat()));
        }
    }

    /// 3,000 values over 60 decades need more bins than are kept.
    #[test]
    fn collapsed_bins_keep_a_stated_error_and_do_not_depend_on_order() {
        let values: Vec<f64> = (0..3_000).map(|i| 10_f64.powf(f64::from(i) / 50.0 - 30.0)).collect();
        let forward = sketch(&values);
        let reversed: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(forward, sketch(&reversed));
        let (mut merged, odd): (Vec<_>, Vec<_>) = values.iter().partition(|value| value.to_bits() % 2 == 0);
        merged.rotate_left(7);
        let mut parts = sketch(&merged);
        parts.merge(&sketch(&odd));
        assert_eq!(parts, forward);
        assert!(forward.keys.len() <= BINS && forward.level > 0);
        // γ² after a collapse: the error e becomes 2e / (1 + e²), three times at most here.
        let error = (0..forward.level).fold(ERROR, |e, _| 2.0 * e / (1.0 + e * e));
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let (found, wanted) = (forward.quantile(share).unwrap(), exact(&values, share));
            assert!((found / wanted - 1.0).abs() <= error * 1.000_001, "{found} for {wanted}");
        }
    }

    #[test]
    fn every_double_has_a_bin_of_its_sign() {
        for value in [f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0] {
            assert!(bin(value) > 0 && bin(-value) == -bin(value), "{value}");
            let found = sketch(&[-value]).quantile(0.5).unwrap();
            assert!((found + value).abs() <= 0.011 * value, "{found} for -{value}");
        }
    }
}
