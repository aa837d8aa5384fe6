//! The last value by event time; of equal times the last to arrive. Exact.

use super::Slot;
use super::object::Object;
use crate::timeline::RowMut;

/// Keep a value of `time` unless a later one is kept.
pub(super) fn keep(slot: &Slot, tile: &mut RowMut<'_>, time: i64, value: u64, object: Option<&Object>) {
    if tile.words[slot.count] == 0 || time >= tile.words[slot.word].cast_signed() {
        tile.words[slot.word] = time.cast_unsigned();
        tile.words[slot.word + 1] = value;
        slot.keep_text(tile, object);
    }
}
