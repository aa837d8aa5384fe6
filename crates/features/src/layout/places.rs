//! Where lanes lie in the row of an event, and their parts in the row of a tile.

use std::sync::Arc;

use perennial_types::DataType;

use super::{Lane, Wanted};
use crate::Op;
use crate::state::{Inner, Part, Slot};
use crate::timeline::Shape;

/// The part that an op of a lane is made of.
pub(super) fn find_slot(slots: &[Slot], lane: &Lane, want: &Wanted) -> Option<Slot> {
    let part = Part::of(want.op, lane);
    let own = |slot: &&Slot| slot.lane == want.lane;
    if lane.by.is_none() {
        return slots.iter().filter(own).find(|slot| slot.part == part).cloned();
    }
    let buckets = slots.iter().filter(own).find(|slot| slot.part == Part::Buckets)?;
    let chosen = buckets.inner.as_ref()?.slots.iter().position(|slot| slot.part == part)?;
    Some(Slot { chosen, ..buckets.clone() })
}

/// Give every lane its places in the row of an event; without a mask where `masked` says so.
pub(super) fn place_events(lanes: &mut [Lane], masked: bool) -> Shape {
    let words = if masked { lanes.len().div_ceil(64) } else { 0 };
    let mut shape = Shape { words, objects: 0 };
    for (bit, lane) in lanes.iter_mut().enumerate() {
        lane.mask = masked.then_some(bit);
        match lane.data_type {
            DataType::String | DataType::List(_) | DataType::Map(_) => {
                lane.event_object = shape.objects;
                shape.objects += 1;
            }
            _ if lane.of.is_none() => {}
            DataType::Boolean
            | DataType::Int64
            | DataType::Double
            | DataType::Timestamp
            | DataType::Duration => {
                lane.event_word = shape.words;
                shape.words += 1;
            }
        }
        if lane.with.is_some() || lane.edges.is_some() {
            lane.event_with = shape.words;
            shape.words += 1;
        }
        if lane.by.is_some() {
            lane.event_by = shape.objects;
            shape.objects += 1;
        }
    }
    shape
}

/// The parts of one lane, the count last.
pub(super) fn place_slots(
    tile: &mut Shape,
    lane: usize,
    spec: &Lane,
    ops: impl Iterator<Item = Op>,
) -> Vec<Slot> {
    let mut parts: Vec<Part> = ops.map(|op| Part::of(op, spec)).chain([Part::Count]).collect();
    parts.sort_unstable();
    parts.dedup();
    if spec.by.is_none() {
        return place_parts(tile, lane, spec, &parts, None);
    }
    let mut shape = Shape::default();
    let slots = place_parts(&mut shape, lane, spec, &parts, None);
    place_parts(tile, lane, spec, &[Part::Buckets, Part::Count], Some(Arc::new(Inner { shape, slots })))
}

fn place_parts(
    shape: &mut Shape,
    lane: usize,
    spec: &Lane,
    parts: &[Part],
    inner: Option<Arc<Inner>>,
) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(parts.len());
    for part in parts {
        slots.push(Slot {
            part: *part,
            lane,
            mask: spec.mask,
            data_type: spec.data_type,
            with_type: spec.with_type,
            event_word: spec.event_word,
            event_object: spec.event_object,
            event_with: spec.event_with,
            event_by: spec.event_by,
            word: shape.words,
            object: shape.objects,
            count: 0,
            inner: inner.clone(),
            chosen: 0,
        });
        shape.words += part.words(spec.data_type);
        shape.objects += part.objects(spec.data_type);
    }
    // The count is the last part, of one word.
    let count = shape.words - 1;
    for slot in &mut slots {
        slot.count = count;
    }
    slots
}
