//! The smallest and the largest value: one word, or a text. Exact, and independent of order.

use std::cmp::Ordering;

use perennial_types::DataType;

use super::object::{Object, compare_words};
use super::{Part, Slot};
use crate::timeline::RowMut;

/// Keep a value, or the extreme of a later tile, if it is beyond the one that is kept.
pub(super) fn keep(slot: &Slot, tile: &mut RowMut<'_>, value: u64, object: Option<&Object>) {
    if tile.words[slot.count] > 0 {
        let ordering = match slot.data_type {
            DataType::String => {
                let kept = tile.objects[slot.object].as_ref().and_then(Object::text);
                object.and_then(Object::text).cmp(&kept)
            }
            DataType::Boolean
            | DataType::Int64
            | DataType::Double
            | DataType::Timestamp
            | DataType::Duration
            | DataType::List(_)
            | DataType::Map(_) => compare_words(slot.data_type, value, tile.words[slot.word]),
        };
        let wanted = if slot.part == Part::Min { Ordering::Less } else { Ordering::Greater };
        if ordering != wanted {
            return;
        }
    }
    tile.words[slot.word] = value;
    slot.keep_text(tile, object);
}
