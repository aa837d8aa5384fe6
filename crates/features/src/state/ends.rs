//! The first and the last value by event time, and the time of the last event. Of equal times the first to
//! arrive is first and the last to arrive is last. Exact.

use perennial_types::Value;

use super::object::Object;
use super::{Part, Slot};
use crate::timeline::RowMut;

/// Keep a value of `time` if it is nearer to the end that the part keeps.
pub(super) fn keep(slot: &Slot, tile: &mut RowMut<'_>, time: i64, value: u64, object: Option<&Object>) {
    let kept = tile.words[slot.word].cast_signed();
    let nearer = if slot.part == Part::First { time < kept } else { time >= kept };
    if tile.words[slot.count] == 0 || nearer {
        tile.words[slot.word] = time.cast_unsigned();
        tile.words[slot.word + 1] = value;
        slot.keep_text(tile, object);
    }
}

/// Keep the time of the last event.
pub(super) fn keep_time(slot: &Slot, words: &mut [u64], time: i64) {
    if words[slot.count] == 0 || time > words[slot.word].cast_signed() {
        words[slot.word] = time.cast_unsigned();
    }
}

/// Seconds from the last event to `at`.
pub(super) fn seconds_since(slot: &Slot, words: &[u64], at: i64) -> Value {
    let micros = at.saturating_sub(words[slot.word].cast_signed());
    Value::Double(micros as f64 / 1e6)
}
