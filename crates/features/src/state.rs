//! The mergeable states of aggregates: fold an event in, merge two tiles, read the value.
//!
//! A tile is a row of words and objects; the empty tile is all zeros and no objects. A lane (one choice of `of`,
//! `with`, `by`, edges and `where`) has a count and the parts that its ops need. Each family of states has a file, which
//! says whether it is exact and whether order matters; this one is the table of them. Where order matters, in
//! the rounding of sums, the engine fixes one: that of coming to count within a tile, then of the tiles.

mod buckets;
mod decay;
mod distinct;
mod doubles;
mod ends;
mod extremes;
mod frequent;
mod many;
mod moments;
mod object;
mod pairs;
mod part;
mod quantiles;
mod sums;
mod vectors;

pub use quantiles::Quantiles;

use std::sync::Arc;

use perennial_types::{DataType, Value};

pub(crate) use self::buckets::Inner;
pub(crate) use self::doubles::Doubles;
use self::many::Kept;
use self::object::Item;
pub(crate) use self::object::{Object, encode};
pub(crate) use self::part::Part;
use crate::Op;
use crate::timeline::{Row, RowMut};

/// One part of the state of a lane, and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    pub(crate) part: Part,
    /// The lane it belongs to.
    pub(crate) lane: usize,
    /// The lane's bit in the mask of an event; nothing where every event counts.
    pub(crate) mask: Option<usize>,
    /// The type of the lane's values; Int64 where it only counts.
    pub(crate) data_type: DataType,
    /// The type of the second column's values.
    pub(crate) with_type: DataType,
    /// The value's word in the row of an event.
    pub(crate) event_word: usize,
    /// The value's object in the row of an event, if it has one.
    pub(crate) event_object: usize,
    /// The second column's word in the row of an event, or that of the bin of a histogram, if there is one.
    pub(crate) event_with: usize,
    /// The object of the bucket's text in the row of an event, if there are buckets.
    pub(crate) event_by: usize,
    /// The first of the part's words in the row of a tile.
    pub(crate) word: usize,
    /// The part's object in the row of a tile, if it has one.
    pub(crate) object: usize,
    /// The word of the lane's count in the row of a tile.
    pub(crate) count: usize,
    /// The state of each bucket, if there are buckets.
    pub(crate) inner: Option<Arc<Inner>>,
    /// Which of the slots of a bucket is read.
    pub(crate) chosen: usize,
}

impl Slot {
    /// About how many bytes its object takes beside the row.
    pub(crate) fn heap_bytes(&self) -> usize {
        let inner = self.inner.as_ref().filter(|_| self.part == Part::Buckets);
        self.part.heap_bytes(self.data_type) + inner.map_or(0, |inner| inner.heap_bytes())
    }

    /// Keep the text that belongs to the value which was just kept.
    fn keep_text(&self, tile: &mut RowMut<'_>, object: Option<&Object>) {
        if self.data_type == DataType::String {
            tile.objects[self.object] = object.cloned();
        }
    }

    /// The event's value for a collection.
    fn item(&self, event: &Row<'_>) -> Item {
        Item::new(self.data_type, event.word(self.event_word), event.object(self.event_object))
    }
}

/// Fold an event of `time` (microseconds) into a tile.
pub(crate) fn fold(slots: &[Slot], tile: &mut RowMut<'_>, event: Row<'_>, time: i64) {
    for slot in slots {
        if !event.counts(slot.mask) {
            continue;
        }
        let value = event.word(slot.event_word);
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
            Part::Histogram(_) => tile.words[slot.word + event.words[slot.event_with] as usize] += 1,
            Part::Vectors => {
                vectors::add(&mut tile.objects[slot.object], event.object(slot.event_object));
            }
            Part::Ends { .. } => fold_object(slot, tile, &event, time, || Object::Ends(Box::default())),
            Part::Extremes { .. } => {
                fold_object(slot, tile, &event, time, || Object::Extremes(Box::default()));
            }
            Part::Frequent(_) => fold_object(slot, tile, &event, time, || Object::Frequent(Box::default())),
            Part::Buckets => fold_object(slot, tile, &event, time, || Object::Buckets(Box::default())),
            Part::Distinct => fold_object(slot, tile, &event, time, || Object::Distinct(Box::default())),
            Part::ApproxDistinct => {
                fold_object(slot, tile, &event, time, || Object::ApproxDistinct(Box::default()));
            }
            Part::Quantiles => fold_object(slot, tile, &event, time, || Object::Quantiles(Box::default())),
        }
    }
}

fn fold_object(slot: &Slot, tile: &mut RowMut<'_>, event: &Row<'_>, time: i64, empty: fn() -> Object) {
    let kept = tile.objects[slot.object].get_or_insert_with(empty);
    match (kept, slot.part) {
        (Object::Ends(kept), Part::Ends { most, last, distinct }) => {
            kept.add(Kept { most, last, distinct }, time, slot.item(event));
        }
        (Object::Extremes(kept), Part::Extremes { most, largest }) => {
            kept.add(slot.data_type, most, largest, slot.item(event));
        }
        (Object::Frequent(kept), Part::Frequent(most)) => {
            kept.add(frequent::counters(most), slot.item(event));
        }
        (Object::Buckets(kept), Part::Buckets) => {
            if let (Some(inner), Some(Object::Text(text))) = (&slot.inner, event.object(slot.event_by)) {
                kept.add(inner, text, *event, time);
            }
        }
        (Object::Distinct(kept), _) => kept.add(slot.item(event)),
        (Object::ApproxDistinct(kept), _) => kept.add(&slot.item(event)),
        (Object::Quantiles(kept), _) => {
            kept.add(object::number(slot.data_type, event.words[slot.event_word]));
        }
        // A slot has objects of one kind.
        _ => {}
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
            Part::Histogram(counts) => {
                for word in slot.word..slot.word + counts {
                    tile.words[word] += later.words[word];
                }
            }
            Part::Vectors => vectors::add(&mut tile.objects[slot.object], object),
            Part::Distinct
            | Part::ApproxDistinct
            | Part::Quantiles
            | Part::Ends { .. }
            | Part::Extremes { .. }
            | Part::Frequent(_)
            | Part::Buckets => merge_objects(slot, &mut tile.objects[slot.object], object),
        }
    }
}

fn merge_objects(slot: &Slot, kept: &mut Option<Object>, later: Option<&Object>) {
    match (&mut *kept, later) {
        (_, None) => {}
        (None, Some(later)) => *kept = Some(later.clone()),
        (Some(Object::Ends(kept)), Some(Object::Ends(later))) => {
            if let Part::Ends { most, last, distinct } = slot.part {
                kept.merge(Kept { most, last, distinct }, later);
            }
        }
        (Some(Object::Extremes(kept)), Some(Object::Extremes(later))) => {
            if let Part::Extremes { most, largest } = slot.part {
                kept.merge(slot.data_type, most, largest, later);
            }
        }
        (Some(Object::Frequent(kept)), Some(Object::Frequent(later))) => {
            if let Part::Frequent(most) = slot.part {
                kept.merge(frequent::counters(most), later);
            }
        }
        (Some(Object::Buckets(kept)), Some(Object::Buckets(later))) => {
            if let Some(inner) = &slot.inner {
                kept.merge(inner, later);
            }
        }
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
    if slot.part == Part::Buckets {
        return by_bucket(op, slot, tile.object(slot.object), at);
    }
    if count == 0 {
        return if op.counts() { Value::Int64(0) } else { Value::Null };
    }
    let (words, object) = (tile.words, tile.object(slot.object));
    match op {
        Op::Count => whole(count),
        Op::Sum => sums::sum(slot, words),
        Op::Avg if slot.part == Part::Vectors => vectors::mean(object, count),
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
        Op::Histogram => {
            let Part::Histogram(counts) = slot.part else { return Value::Null };
            Value::List(words[slot.word..slot.word + counts].iter().map(|count| whole(*count)).collect())
        }
        Op::Distinct
        | Op::ApproxDistinct
        | Op::Quantile(_)
        | Op::FirstK(_)
        | Op::LastK(_)
        | Op::FirstDistinct(_)
        | Op::LastDistinct(_)
        | Op::Top(_)
        | Op::Bottom(_)
        | Op::Frequent(_) => of_object(op, slot.data_type, object),
    }
}

/// The value of an op whose state is an object.
fn of_object(op: Op, data_type: DataType, object: Option<&Object>) -> Value {
    match (op, object) {
        (Op::Distinct, Some(Object::Distinct(distinct))) => whole(distinct.count()),
        (Op::ApproxDistinct, Some(Object::ApproxDistinct(distinct))) => whole(distinct.count()),
        (Op::Quantile(rank), Some(Object::Quantiles(quantiles))) => {
            quantiles.quantile(rank.share()).map_or(Value::Null, finite)
        }
        (_, Some(Object::Ends(ends))) => object::list(data_type, ends.items()),
        (_, Some(Object::Extremes(extremes))) => object::list(data_type, extremes.items()),
        (Op::Frequent(most), Some(Object::Frequent(frequent))) => frequent.most(data_type, most.into()),
        _ => Value::Null,
    }
}

/// The values of an op by bucket: an op that counts has an empty map where others are NULL.
fn by_bucket(op: Op, slot: &Slot, object: Option<&Object>, at: i64) -> Value {
    let chosen = slot.inner.as_ref().and_then(|inner| Some((inner, inner.slots.get(slot.chosen)?)));
    match (chosen, object) {
        (Some((inner, chosen)), Some(Object::Buckets(buckets))) => buckets.values(inner, op, chosen, at),
        _ if op.counts() => Value::Map([].into()),
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
