//! Mean and central moments, merged without sums of powers, which would cancel. Equal up to rounding however
//! they are merged.

use perennial_types::Value;

use super::object::number;
use super::{Slot, finite};

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

/// Sum of squared deviations over `count - less`; nothing where that is not above zero.
pub(super) fn variance(slot: &Slot, words: &[u64], less: u64) -> Option<f64> {
    let freedom = words[slot.count].checked_sub(less).filter(|freedom| *freedom > 0)?;
    Some(f64::from_bits(words[slot.word + 1]) / freedom as f64)
}

/// Mean and the sums of the second to fourth powers of deviations.
type Powers = [f64; 4];

fn powers(slot: &Slot, words: &[u64]) -> Powers {
    std::array::from_fn(|i| f64::from_bits(words[slot.word + i]))
}

fn set_powers(slot: &Slot, words: &mut [u64], powers: Powers) {
    for (i, power) in powers.into_iter().enumerate() {
        words[slot.word + i] = power.to_bits();
    }
}

/// Two disjoint samples together (Pébay 2008, SAND2008-6212, eqs. 3.1).
fn together(n: f64, a: Powers, m: f64, b: Powers) -> Powers {
    let total = n + m;
    let apart = b[0] - a[0];
    let step = apart / total;
    let product = n * m;
    [
        a[0] + step * m,
        a[1] + b[1] + apart * step * product,
        a[2] + b[2] + apart * step * step * product * (n - m) + 3.0 * step * (n * b[1] - m * a[1]),
        a[3] + b[3]
            + apart * step * step * step * product * (n * n - product + m * m)
            + 6.0 * step * step * (n * n * b[1] + m * m * a[1])
            + 4.0 * step * (n * b[2] - m * a[2]),
    ]
}

/// Fold a value into the first four moments.
pub(super) fn fold_powers(slot: &Slot, words: &mut [u64], value: u64) {
    let one = [number(slot.data_type, value), 0.0, 0.0, 0.0];
    let count = words[slot.count];
    let all = if count == 0 { one } else { together(count as f64, powers(slot, words), 1.0, one) };
    set_powers(slot, words, all);
}

/// Merge the first four moments.
pub(super) fn merge_powers(slot: &Slot, words: &mut [u64], later: &[u64]) {
    let (n, m) = (words[slot.count], later[slot.count]);
    let b = powers(slot, later);
    let all = if n == 0 { b } else { together(n as f64, powers(slot, words), m as f64, b) };
    set_powers(slot, words, all);
}

/// G1, as in pandas and DuckDB (Joanes and Gill 1998).
pub(super) fn skew(slot: &Slot, words: &[u64]) -> Value {
    let (n, [_, squares, cubes, _]) = (words[slot.count] as f64, powers(slot, words));
    if n < 3.0 || squares <= 0.0 {
        return Value::Null;
    }
    let skewness = n.sqrt() * cubes / (squares * squares.sqrt());
    finite(skewness * (n * (n - 1.0)).sqrt() / (n - 2.0))
}

/// G2, as in pandas and DuckDB (Joanes and Gill 1998).
pub(super) fn kurtosis(slot: &Slot, words: &[u64]) -> Value {
    let (n, [_, squares, _, fourths]) = (words[slot.count] as f64, powers(slot, words));
    if n < 4.0 || squares <= 0.0 {
        return Value::Null;
    }
    let excess = n * fourths / (squares * squares) - 3.0;
    finite(((n + 1.0) * excess + 6.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0)))
}
