//! The mergeable states of aggregates: fold an event in, merge two tiles, read the value.
//!
//! A tile is a row of words; the empty tile is all zeros. A lane (one pair of `of` and `where`) has a count
//! and the parts that its ops need. All of count, integer sum, min, max and last are exact and associative;
//! sums of doubles and central moments are so up to rounding, and have one order that the engine fixes.

use std::cmp::Ordering;

use perennial_types::{DataType, Timestamp, Value};

use crate::Op;
use crate::timeline::{Row, RowMut, Text};

/// One part of the state of a lane, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) part: Part,
    /// The lane it belongs to, which is also its bit in the mask of an event.
    pub(crate) lane: usize,
    /// The type of the lane's values; Int64 where it only counts.
    pub(crate) data_type: DataType,
    /// The value's word in the row of an event.
    pub(crate) event_word: usize,
    /// The value's text in the row of an event, if it is a text.
    pub(crate) event_text: usize,
    /// The first of the part's words in the row of a tile.
    pub(crate) word: usize,
    /// The part's text in the row of a tile, if it has one.
    pub(crate) text: usize,
    /// The word of the lane's count in the row of a tile.
    pub(crate) count: usize,
}

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A double (one word), or an integer of 128 bits (two), which no number of events overflows.
    Sum,
    /// Mean and sum of squared deviations.
    Moments,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// Event time and value.
    Last,
    /// Number of values. The others look at it, so it changes after them.
    Count,
}

impl Part {
    /// The part that holds what `op` needs beside the count.
    pub(crate) fn of(op: Op) -> Self {
        match op {
            Op::Count => Self::Count,
            Op::Sum | Op::Avg => Self::Sum,
            Op::Stddev => Self::Moments,
            Op::Min => Self::Min,
            Op::Max => Self::Max,
            Op::Last => Self::Last,
        }
    }

    /// How many words it takes for values of a type.
    pub(crate) fn words(self, data_type: DataType) -> usize {
        match (self, data_type) {
            (Self::Sum, DataType::Double) | (Self::Count, _) => 1,
            (Self::Sum | Self::Moments | Self::Last, _) => 2,
            (Self::Min | Self::Max, _) => 1,
        }
    }

    /// Whether it holds a text for values of a type.
    pub(crate) fn text(self, data_type: DataType) -> bool {
        data_type == DataType::String && matches!(self, Self::Min | Self::Max | Self::Last)
    }
}

/// The word of a value, if it fits one; a text is kept beside the words.
pub(crate) fn encode(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::Boolean(value) => Some(u64::from(*value)),
        Value::Int64(value) => Some(value.cast_unsigned()),
        // What is not finite would poison every window it is in; it counts as unknown.
        Value::Double(value) => value.is_finite().then(|| value.to_bits()),
        Value::String(_) => Some(0),
        Value::Timestamp(value) => Some(value.micros().cast_unsigned()),
        Value::Duration(value) => Some(value.micros().cast_unsigned()),
    }
}

fn decode(data_type: DataType, word: u64, text: Option<&Text>) -> Value {
    match data_type {
        DataType::Boolean => Value::Boolean(word != 0),
        DataType::Int64 => Value::Int64(word.cast_signed()),
        DataType::Double => Value::Double(f64::from_bits(word)),
        DataType::String => text.cloned().flatten().map_or(Value::Null, Value::String),
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(word.cast_signed())),
        DataType::Duration => Value::Null,
    }
}

fn number(data_type: DataType, word: u64) -> f64 {
    match data_type {
        DataType::Double => f64::from_bits(word),
        DataType::Boolean | DataType::Int64 | DataType::String | DataType::Timestamp | DataType::Duration => {
            word.cast_signed() as f64
        }
    }
}

/// Fold an event of `time` (microseconds) into a tile.
pub(crate) fn fold(slots: &[Slot], tile: &mut RowMut<'_>, event: Row<'_>, time: i64) {
    for slot in slots {
        if event.words[slot.lane / 64] >> (slot.lane % 64) & 1 == 0 {
            continue;
        }
        let (at, value) = (slot.word, event.words[slot.event_word]);
        let count = tile.words[slot.count];
        match slot.part {
            Part::Count => tile.words[at] += 1,
            Part::Sum => add(slot.data_type, tile.words, at, value),
            Part::Moments => {
                let value = number(slot.data_type, value);
                let mean = f64::from_bits(tile.words[at]);
                let moved = mean + (value - mean) / (count + 1) as f64;
                let squares = f64::from_bits(tile.words[at + 1]) + (value - mean) * (value - moved);
                tile.words[at] = moved.to_bits();
                tile.words[at + 1] = squares.to_bits();
            }
            Part::Min | Part::Max => keep_extreme(slot, tile, value, event.texts.get(slot.event_text)),
            Part::Last => {
                if count == 0 || time >= tile.words[at].cast_signed() {
                    tile.words[at] = time.cast_unsigned();
                    tile.words[at + 1] = value;
                    set_text(slot, tile, event.texts.get(slot.event_text));
                }
            }
        }
    }
}

/// Merge a tile of a later start into `tile`.
pub(crate) fn merge(slots: &[Slot], tile: &mut RowMut<'_>, later: Row<'_>) {
    for slot in slots {
        let (count, later_count) = (tile.words[slot.count], later.words[slot.count]);
        if later_count == 0 {
            continue;
        }
        let (at, text) = (slot.word, later.texts.get(slot.text));
        match slot.part {
            Part::Count => tile.words[at] += later_count,
            Part::Sum if slot.data_type == DataType::Double => {
                add(slot.data_type, tile.words, at, later.words[at]);
            }
            Part::Sum => set_wide(tile.words, at, wide(tile.words, at).wrapping_add(wide(later.words, at))),
            Part::Moments => merge_moments(tile.words, later.words, at, count, later_count),
            Part::Min | Part::Max => keep_extreme(slot, tile, later.words[at], text),
            Part::Last => {
                if count == 0 || later.words[at].cast_signed() >= tile.words[at].cast_signed() {
                    tile.words[at] = later.words[at];
                    tile.words[at + 1] = later.words[at + 1];
                    set_text(slot, tile, text);
                }
            }
        }
    }
}

/// The value of `op` in a merged state; `slot` is the part that the op needs.
pub(crate) fn value(op: Op, slot: &Slot, tile: Row<'_>) -> Value {
    let count = tile.words[slot.count];
    let double = |value: f64| if value.is_finite() { Value::Double(value) } else { Value::Null };
    match op {
        Op::Count => Value::Int64(count.cast_signed()),
        _ if count == 0 => Value::Null,
        Op::Sum if slot.data_type == DataType::Double => double(f64::from_bits(tile.words[slot.word])),
        Op::Sum => i64::try_from(wide(tile.words, slot.word)).map_or(Value::Null, Value::Int64),
        Op::Avg if slot.data_type == DataType::Double => {
            double(f64::from_bits(tile.words[slot.word]) / count as f64)
        }
        Op::Avg => double(wide(tile.words, slot.word) as f64 / count as f64),
        Op::Stddev if count < 2 => Value::Null,
        Op::Stddev => double((f64::from_bits(tile.words[slot.word + 1]) / (count - 1) as f64).sqrt()),
        Op::Min | Op::Max => decode(slot.data_type, tile.words[slot.word], tile.texts.get(slot.text)),
        Op::Last => decode(slot.data_type, tile.words[slot.word + 1], tile.texts.get(slot.text)),
    }
}

/// Add one value to a sum.
fn add(data_type: DataType, words: &mut [u64], at: usize, value: u64) {
    if data_type == DataType::Double {
        words[at] = (f64::from_bits(words[at]) + f64::from_bits(value)).to_bits();
    } else {
        set_wide(words, at, wide(words, at).wrapping_add(i128::from(value.cast_signed())));
    }
}

/// Mean and squares of two disjoint samples together (Chan, Golub, LeVeque 1983, eq. 2.1).
fn merge_moments(words: &mut [u64], later: &[u64], at: usize, count: u64, later_count: u64) {
    if count == 0 {
        words[at] = later[at];
        words[at + 1] = later[at + 1];
        return;
    }
    let (mean, later_mean) = (f64::from_bits(words[at]), f64::from_bits(later[at]));
    let (n, later_n) = (count as f64, later_count as f64);
    let apart = later_mean - mean;
    let squares = f64::from_bits(words[at + 1]) + f64::from_bits(later[at + 1]);
    words[at] = (mean + apart * (later_n / (n + later_n))).to_bits();
    words[at + 1] = (squares + apart * apart * (n * (later_n / (n + later_n)))).to_bits();
}

fn keep_extreme(slot: &Slot, tile: &mut RowMut<'_>, value: u64, text: Option<&Text>) {
    let kept = tile.words[slot.word];
    let ordering = match slot.data_type {
        DataType::Double => f64::from_bits(value).total_cmp(&f64::from_bits(kept)),
        DataType::String => text.cmp(&tile.texts.get(slot.text)),
        DataType::Boolean | DataType::Int64 | DataType::Timestamp | DataType::Duration => {
            value.cast_signed().cmp(&kept.cast_signed())
        }
    };
    let wanted = if slot.part == Part::Min { Ordering::Less } else { Ordering::Greater };
    if tile.words[slot.count] == 0 || ordering == wanted {
        tile.words[slot.word] = value;
        set_text(slot, tile, text);
    }
}

fn set_text(slot: &Slot, tile: &mut RowMut<'_>, text: Option<&Text>) {
    if slot.data_type == DataType::String {
        tile.texts[slot.text] = text.cloned().flatten();
    }
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

#[cfg(test)]
mod tests;
