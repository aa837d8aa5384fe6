//! Mean and central moments, merged without a sum of squares, which would cancel.

use perennial_types::Value;

use super::Slot;
use super::object::number;

/// Fold a value into mean and sum of squared deviations (Welford 1962).
pub(super) fn fold(slot: &Slot, words: &mut [u64], value: u64) {
    let at = slot.word;
    let value = number(slot.data_type, value);
    let mean = f64::from_bits(words[at]);
    let moved = mean + (value - mean) / (words[slot.count] + 1) as f64;
    let squares = f64::from_bits(words[at + 1]) + (value - mean) * (value - moved);
    words[at] = moved.to_bits();
    words[at + 1] = squares.to_bits();
}

/// Mean and squares of two disjoint samples together (Chan, Golub, LeVeque 1983, eq. 2.1).
pub(super) fn merge(slot: &Slot, words: &mut [u64], later: &[u64]) {
    let at = slot.word;
    if words[slot.count] == 0 {
        words[at] = later[at];
        words[at + 1] = later[at + 1];
        return;
    }
    let (mean, later_mean) = (f64::from_bits(words[at]), f64::from_bits(later[at]));
    let (n, later_n) = (words[slot.count] as f64, later[slot.count] as f64);
    let apart = later_mean - mean;
    let squares = f64::from_bits(words[at + 1]) + f64::from_bits(later[at + 1]);
    words[at] = (mean + apart * (later_n / (n + later_n))).to_bits();
    words[at + 1] = (squares + apart * apart * (n * (later_n / (n + later_n)))).to_bits();
}

/// The standard deviation of a sample; NULL below two values.
pub(super) fn deviation(slot: &Slot, words: &[u64], count: u64) -> Value {
    if count < 2 {
        return Value::Null;
    }
    super::finite((f64::from_bits(words[slot.word + 1]) / (count - 1) as f64).sqrt())
}
