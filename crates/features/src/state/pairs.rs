//! Two columns together: both means, both sums of squared deviations and that of the products. Equal up to
//! rounding however they are merged.

use perennial_types::Value;

use super::object::number;
use super::{Slot, finite};

/// Mean of x, mean of y, squares of x, squares of y, products.
type Pairs = [f64; 5];

fn pairs(slot: &Slot, words: &[u64]) -> Pairs {
    std::array::from_fn(|i| f64::from_bits(words[slot.word + i]))
}

fn set_pairs(slot: &Slot, words: &mut [u64], pairs: Pairs) {
    for (i, part) in pairs.into_iter().enumerate() {
        words[slot.word + i] = part.to_bits();
    }
}

/// Two disjoint samples together (Schubert and Gertz 2018, eq. 22).
fn together(n: f64, a: Pairs, m: f64, b: Pairs) -> Pairs {
    let share = m / (n + m);
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    let weight = n * share;
    [
        a[0] + x * share,
        a[1] + y * share,
        a[2] + b[2] + x * x * weight,
        a[3] + b[3] + y * y * weight,
        a[4] + b[4] + x * y * weight,
    ]
}

/// Fold a pair.
pub(super) fn fold(slot: &Slot, words: &mut [u64], value: u64, with: u64) {
    let one = [number(slot.data_type, value), number(slot.with_type, with), 0.0, 0.0, 0.0];
    let count = words[slot.count];
    let all = if count == 0 { one } else { together(count as f64, pairs(slot, words), 1.0, one) };
    set_pairs(slot, words, all);
}

/// Merge a later tile.
pub(super) fn merge(slot: &Slot, words: &mut [u64], later: &[u64]) {
    let (n, m) = (words[slot.count], later[slot.count]);
    let b = pairs(slot, later);
    let all = if n == 0 { b } else { together(n as f64, pairs(slot, words), m as f64, b) };
    set_pairs(slot, words, all);
}

/// Sum of products over `count - less`; NULL where that is not above zero.
pub(super) fn covariance(slot: &Slot, words: &[u64], less: u64) -> Value {
    match words[slot.count].checked_sub(less) {
        None | Some(0) => Value::Null,
        Some(freedom) => finite(pairs(slot, words)[4] / freedom as f64),
    }
}

/// Pearson's correlation; NULL where one column is constant.
pub(super) fn correlation(slot: &Slot, words: &[u64]) -> Value {
    let [_, _, x, y, products] = pairs(slot, words);
    if x <= 0.0 || y <= 0.0 {
        return Value::Null;
    }
    // Each root by itself: the product of the squares may overflow.
    finite((products / x.sqrt() / y.sqrt()).clamp(-1.0, 1.0))
}
