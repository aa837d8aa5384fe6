//! Exponentially decayed sums: a sum as it stands at its newest event, and the time of that. Equal up to
//! rounding however they are merged.

use perennial_types::{TimeSpan, Value};

use super::{Slot, finite};

/// Add `value` as of `time`: the older of the two decays to the time of the newer.
pub(super) fn add(slot: &Slot, half_life: i64, words: &mut [u64], time: i64, value: f64) {
    let (kept_time, kept) = (words[slot.word].cast_signed(), f64::from_bits(words[slot.word + 1]));
    let (time, sum) = if words[slot.count] == 0 {
        (time, value)
    } else if time >= kept_time {
        (time, kept * weight(time - kept_time, half_life) + value)
    } else {
        (kept_time, kept + value * weight(kept_time - time, half_life))
    };
    words[slot.word] = time.cast_unsigned();
    words[slot.word + 1] = sum.to_bits();
}

/// Add the sum of a later tile.
pub(super) fn merge(slot: &Slot, half_life: i64, words: &mut [u64], later: &[u64]) {
    let (time, sum) = (later[slot.word].cast_signed(), f64::from_bits(later[slot.word + 1]));
    add(slot, half_life, words, time, sum);
}

/// The sum as it stands at `at`.
pub(super) fn sum(slot: &Slot, half_life: TimeSpan, words: &[u64], at: i64) -> Value {
    finite(decayed(slot, half_life, words, at))
}

/// The sum per second: events that come every `d` seconds have a decayed sum of nearly `h / (d ln 2)`, for a
/// half-life of `h` seconds that is long beside `d`.
pub(super) fn rate(slot: &Slot, half_life: TimeSpan, words: &[u64], at: i64) -> Value {
    let seconds = half_life.micros() as f64 / 1e6;
    finite(decayed(slot, half_life, words, at) * std::f64::consts::LN_2 / seconds)
}

fn decayed(slot: &Slot, half_life: TimeSpan, words: &[u64], at: i64) -> f64 {
    let age = at.saturating_sub(words[slot.word].cast_signed());
    f64::from_bits(words[slot.word + 1]) * weight(age, half_life.micros())
}

fn weight(age: i64, half_life: i64) -> f64 {
    (-(age as f64) / half_life as f64).exp2()
}
