//! The mergeable states of aggregates: fold an event in, merge two tiles, read the value.
//!
//! A tile is a row of words and objects; the empty tile is all zeros and no objects. A lane (one choice of `of`,
//! `with` and `where`) has a count and the parts that its ops need. Each family of states has a file, which
//! says whether it is exact and whether order matters; this one is the table of them. Where order matters, in
//! the rounding of sums, the engine fixes one: that of coming to count within a tile, then of the tiles.

mod decay;
mod distinct;
mod ends;
mod extremes;
mod moments;
mod object;
mod pairs;
mod part;
mod quantiles;
mod sums;

use perennial_types::{DataType, Value};

use self::object::Item;
pub(crate) use self::object::{Object, encode};
pub(crate) use self::part::Part;
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
    /// The type of the second column's values.
    pub(crate) with_type: DataType,
    /// The value's word in the row of an event.
    pub(crate) event_word: usize,
    /// The value's object in the row of an event, if it has one.
    pub(crate) event_object: usize,
    /// The second column's word in the row of an event, if there is one.
    pub(crate) event_with: usize,
    /// The first of the part's words in the row of a tile.
    pub(crate) word: usize,
    /// The part's object in the row of a tile, if it has one.
    pub(crate) object: usize,
    /// The word of the lane's count in the row of a tile.
    pub(crate) count: usize,
}

impl Slot {
    /// Keep the text that belongs to the value which was just kept.
    fn keep_text(&self, tile: &mut RowMut<'_>, object: Option<&Object>) {
        if self.data_type == DataType::String {
            tile.objects[self.object] = object.cloned();
        }
    }

    /// The event's value for a collection.
    fn item(&self, event: &Row<'_>) -> Item {
        Item::new(self.data_type, event.words[self.event_word], event.object(self.event_object))
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
            Part::Powers => moments::fold_powers(slot, tile.words, value),
            Part::Min | Part::Max => extremes::keep(slot, tile, value, event.object(slot.event_object)),
            Part::First | Part::Last => {
                ends::keep(slot, tile, time, value, event.object(slot.event_object));
            }
            Part::LastTime => ends::keep_time(slot, tile.words, time),
            Part::Pairs => pairs::fold(slot, tile.words, value, event.words[slot.event_with]),
            Part::Decayed { half_life, weighted } => {
                let value = if weighted { object::number(slot.data_type, value) } else { 1.0 };
                decay::add(slot, half_life, tile.words, time, value);
            }
            Part::Distinct => fold_object(slot, tile, &event, || Object::Distinct(Box::default())),
            Part::ApproxDistinct => {
                fold_object(slot, tile, &event, || Object::ApproxDistinct(Box::default()));
            }
            Part::Quantiles => fold_object(slot, tile, &event, || Object::Quantiles(Box::default())),
        }
    }
}

fn fold_object(slot: &Slot, tile: &mut RowMut<'_>, event: &Row<'_>, empty: fn() -> Object) {
    match tile.objects[slot.object].get_or_insert_with(empty) {
        Object::Distinct(kept) => kept.add(slot.item(event)),
        Object::ApproxDistinct(kept) => kept.add(&slot.item(event)),
        Object::Quantiles(kept) => kept.add(object::number(slot.data_type, event.words[slot.event_word])),
        // A text is no state by itself.
        Object::Text(_) => {}
    }
}

/// Merge a tile of a later start into `tile`.
pub(crate) fn merge(slots: &[Slot], tile: &mut RowMut<'_>, later: Row<'_>) {
    for slot in slots {
        if later.words[slot.count] == 0 {
            continue;
        }
        let object = later.object(slot.object);
        match slot.part {
            Part::Count => tile.words[slot.word] += later.words[slot.word],
            Part::Sum => sums::merge(slot, tile.words, later.words),
            Part::Moments => moments::merge(slot, tile.words, later.words),
            Part::Powers => moments::merge_powers(slot, tile.words, later.words),
            Part::Min | Part::Max => extremes::keep(slot, tile, later.words[slot.word], object),
            Part::First | Part::Last => {
                let (time, value) = (later.words[slot.word].cast_signed(), later.words[slot.word + 1]);
                ends::keep(slot, tile, time, value, object);
            }
            Part::LastTime => ends::keep_time(slot, tile.words, later.words[slot.word].cast_signed()),
            Part::Pairs => pairs::merge(slot, tile.words, later.words),
            Part::Decayed { half_life, .. } => decay::merge(slot, half_life, tile.words, later.words),
            Part::Distinct | Part::ApproxDistinct | Part::Quantiles => {
                merge_objects(&mut tile.objects[slot.object], object);
            }
        }
    }
}

fn merge_objects(kept: &mut Option<Object>, later: Option<&Object>) {
    match (&mut *kept, later) {
        (_, None) => {}
        (None, Some(later)) => *kept = Some(later.clone()),
        (Some(Object::Distinct(kept)), Some(Object::Distinct(later))) => kept.merge(later),
        (Some(Object::ApproxDistinct(kept)), Some(Object::ApproxDistinct(later))) => kept.merge(later),
        (Some(Object::Quantiles(kept)), Some(Object::Quantiles(later))) => kept.merge(later),
        // A slot has objects of one kind.
        (Some(_), Some(_)) => {}
    }
}

/// The value at the instant `at` (microseconds) of `op` in a merged state; `slot` is the part that the op needs.
pub(crate) fn value(op: Op, slot: &Slot, tile: Row<'_>, at: i64) -> Value {
    let count = tile.words[slot.count];
    if count == 0 {
        return if op.counts() { Value::Int64(0) } else { Value::Null };
    }
    let (words, object) = (tile.words, tile.object(slot.object));
    match op {
        Op::Count => whole(count),
        Op::Sum => sums::sum(slot, words),
        Op::Avg => sums::mean(slot, words, count),
        Op::Stddev => moments::variance(slot, words, 1).map_or(Value::Null, |it| finite(it.sqrt())),
        Op::StddevPop => moments::variance(slot, words, 0).map_or(Value::Null, |it| finite(it.sqrt())),
        Op::Variance => moments::variance(slot, words, 1).map_or(Value::Null, finite),
        Op::VariancePop => moments::variance(slot, words, 0).map_or(Value::Null, finite),
        Op::Skew => moments::skew(slot, words),
        Op::Kurtosis => moments::kurtosis(slot, words),
        Op::Min | Op::Max => object::decode(slot.data_type, words[slot.word], object),
        Op::First | Op::Last => object::decode(slot.data_type, words[slot.word + 1], object),
        Op::SinceLast => ends::seconds_since(slot, words, at),
        Op::Covariance => pairs::covariance(slot, words, 1),
        Op::CovariancePop => pairs::covariance(slot, words, 0),
        Op::Correlation => pairs::correlation(slot, words),
        Op::DecayedSum(half_life) => decay::sum(slot, half_life, words, at),
        Op::DecayedRate(half_life) => decay::rate(slot, half_life, words, at),
        Op::Distinct | Op::ApproxDistinct | Op::Quantile(_) => of_object(op, object),
    }
}

/// The value of an op whose state is an object.
fn of_object(op: Op, object: Option<&Object>) -> Value {
    match (op, object) {
        (Op::Distinct, Some(Object::Distinct(distinct))) => whole(distinct.count()),
        (Op::ApproxDistinct, Some(Object::ApproxDistinct(distinct))) => whole(distinct.count()),
        (Op::Quantile(rank), Some(Object::Quantiles(quantiles))) => {
            quantiles.quantile(rank.share()).map_or(Value::Null, finite)
        }
        _ => Value::Null,
    }
}

fn whole(count: u64) -> Value {
    Value::Int64(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A double, or NULL for what is none.
fn finite(value: f64) -> Value {
    if value.is_finite() { Value::Double(value) } else { Value::Null }
}

#[cfg(test)]
mod tests;
