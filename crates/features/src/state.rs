//! The mergeable states of aggregates: fold an event in, merge two tiles, read the value.
//!
//! A tile is a row of words and objects; the empty tile is all zeros and no objects. A lane (one pair of `of`
//! and `where`) has a count and the parts that its ops need. Each family of states has a file, which says
//! whether it is exact and whether order matters; this one is the table of them. Where order matters, in
//! the rounding of sums, the engine fixes one: that of coming to count within a tile, then of the tiles.

mod ends;
mod extremes;
mod moments;
mod object;
mod sums;

use perennial_types::{DataType, Value};

pub(crate) use self::object::{Object, encode};
use crate::Op;
use crate::timeline::{Row, RowMut};

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
    /// The value's object in the row of an event, if it has one.
    pub(crate) event_object: usize,
    /// The first of the part's words in the row of a tile.
    pub(crate) word: usize,
    /// The part's object in the row of a tile, if it has one.
    pub(crate) object: usize,
    /// The word of the lane's count in the row of a tile.
    pub(crate) count: usize,
}

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A double (one word), or an integer of 128 bits (two).
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
        match self {
            Self::Sum if data_type == DataType::Double => 1,
            Self::Sum | Self::Moments | Self::Last => 2,
            Self::Min | Self::Max | Self::Count => 1,
        }
    }

    /// How many objects it takes for values of a type.
    pub(crate) fn objects(self, data_type: DataType) -> usize {
        match self {
            Self::Min | Self::Max | Self::Last => usize::from(data_type == DataType::String),
            Self::Sum | Self::Moments | Self::Count => 0,
        }
    }
}

impl Slot {
    /// Keep the text that belongs to the value which was just kept.
    fn keep_text(&self, tile: &mut RowMut<'_>, object: Option<&Object>) {
        if self.data_type == DataType::String {
            tile.objects[self.object] = object.cloned();
        }
    }
}

/// Fold an event of `time` (microseconds) into a tile.
pub(crate) fn fold(slots: &[Slot], tile: &mut RowMut<'_>, event: Row<'_>, time: i64) {
    for slot in slots {
        if event.words[slot.lane / 64] >> (slot.lane % 64) & 1 == 0 {
            continue;
        }
        let value = event.words[slot.event_word];
        match slot.part {
            Part::Count => tile.words[slot.word] += 1,
            Part::Sum => sums::fold(slot, tile.words, value),
            Part::Moments => moments::fold(slot, tile.words, value),
            Part::Min | Part::Max => extremes::keep(slot, tile, value, event.object(slot.event_object)),
            Part::Last => ends::keep(slot, tile, time, value, event.object(slot.event_object)),
        }
    }
}

/// Merge a tile of a later start into `tile`.
pub(crate) fn merge(slots: &[Slot], tile: &mut RowMut<'_>, later: Row<'_>) {
    for slot in slots {
        if later.words[slot.count] == 0 {
            continue;
        }
        let word = later.words[slot.word];
        match slot.part {
            Part::Count => tile.words[slot.word] += word,
            Part::Sum => sums::merge(slot, tile.words, later.words),
            Part::Moments => moments::merge(slot, tile.words, later.words),
            Part::Min | Part::Max => extremes::keep(slot, tile, word, later.object(slot.object)),
            Part::Last => {
                let (time, value) = (word.cast_signed(), later.words[slot.word + 1]);
                ends::keep(slot, tile, time, value, later.object(slot.object));
            }
        }
    }
}

/// The value of `op` in a merged state; `slot` is the part that the op needs.
pub(crate) fn value(op: Op, slot: &Slot, tile: Row<'_>) -> Value {
    let count = tile.words[slot.count];
    match op {
        Op::Count => Value::Int64(count.cast_signed()),
        _ if count == 0 => Value::Null,
        Op::Sum => sums::sum(slot, tile.words),
        Op::Avg => sums::mean(slot, tile.words, count),
        Op::Stddev => moments::deviation(slot, tile.words, count),
        Op::Min | Op::Max => object::decode(slot.data_type, tile.words[slot.word], tile.object(slot.object)),
        Op::Last => object::decode(slot.data_type, tile.words[slot.word + 1], tile.object(slot.object)),
    }
}

/// A double, or NULL for what is none.
fn finite(value: f64) -> Value {
    if value.is_finite() { Value::Double(value) } else { Value::Null }
}

#[cfg(test)]
mod tests;
