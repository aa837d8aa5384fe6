//! Sums and means: a double in one word, or an integer of 128 bits in two, which no number of events
//! overflows. Sums of integers are exact; sums of doubles are rounded in the order of folds and merges.

use perennial_types::{DataType, Value};

use super::Slot;
use super::object::number;

/// Add a value to a sum.
pub(super) fn fold(slot: &Slot, words: &mut [u64], value: u64) {
    if slot.data_type == DataType::Double {
        words[slot.word] = (f64::from_bits(words[slot.word]) + f64::from_bits(value)).to_bits();
    } else {
        let sum = wide(words, slot.word).wrapping_add(i128::from(value.cast_signed()));
        set_wide(words, slot.word, sum);
    }
}

/// Add a sum to a sum.
pub(super) fn merge(slot: &Slot, words: &mut [u64], later: &[u64]) {
    if slot.data_type == DataType::Double {
        fold(slot, words, later[slot.word]);
    } else {
        let sum = wide(words, slot.word).wrapping_add(wide(later, slot.word));
        set_wide(words, slot.word, sum);
    }
}

/// The sum: an integer that does not fit 64 bits is NULL.
pub(super) fn sum(slot: &Slot, words: &[u64]) -> Value {
    if slot.data_type == DataType::Double {
        return super::finite(number(slot.data_type, words[slot.word]));
    }
    i64::try_from(wide(words, slot.word)).map_or(Value::Null, Value::Int64)
}

/// The mean of `count` values.
pub(super) fn mean(slot: &Slot, words: &[u64], count: u64) -> Value {
    let sum = match slot.data_type {
        DataType::Double => f64::from_bits(words[slot.word]),
        DataType::Boolean
        | DataType::Int64
        | DataType::String
        | DataType::Timestamp
        | DataType::Duration
        | DataType::List(_)
        | DataType::Map(_) => wide(words, slot.word) as f64,
    };
    super::finite(sum / count as f64)
}

/// An integer of 128 bits in two words, the low one first.
fn wide(words: &[u64], at: usize) -> i128 {
    (u128::from(words[at]) | u128::from(words[at + 1]) << 64).cast_signed()
}

fn set_wide(words: &mut [u64], at: usize, value: i128) {
    let value = value.cast_unsigned();
    words[at] = value as u64;
    words[at + 1] = (value >> 64) as u64;
}
