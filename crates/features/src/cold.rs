//! Keys that leave memory: what a shard holds, which keys were not used for a while, which changed.
//!
//! A shard never looks for a key elsewhere by itself: whoever keeps what it gave away hands it back when an event
//! of the key comes ([`Shard::apply_fetching`]) or reads it where it is ([`KeyState::read_into`]).

use perennial_types::{ContentHash, Position};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::key_state::{KeyState, encode};
use crate::keys::Keys;
use crate::shard::{Shard, ViewState};
use crate::tiles::Tiles;
use crate::view::View;
use crate::{EntityKey, Reading};

/// Keys that one call looks at, at most: some microseconds for those who wait for the shard.
const LOOKS: usize = 1024;

/// What a shard knows of a view beside its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The last position that was taken in.
    pub seen: Position,
    /// Events that came late, the unreachable ones included.
    pub late: u64,
    /// Events that came after every window that could hold them.
    pub unreachable: u64,
    /// The largest time of availability, in microseconds.
    pub now: i64,
}

/// How much of a view a shard holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Keys.
    pub keys: usize,
    /// Those of them of which a copy is kept elsewhere, an older one perhaps.
    pub kept: usize,
    /// About how many bytes they take.
    pub bytes: u64,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving<'a> {
    /// These bytes are its state now; an earlier copy, if `known`, is out of date.
    State {
        /// For [`KeyState::decode`].
        bytes: &'a [u8],
        /// When no window reaches its events any more, in microseconds; then it can be forgotten.
        expires: i64,
        /// Whether there is an earlier copy.
        known: bool,
    },
    /// The copy that was given before is its state.
    Unchanged,
    /// No window reaches its events any more; a copy, if `known`, can be forgotten.
    Expired {
        /// Whether there is a copy.
        known: bool,
    },
}

impl Shard {
    /// As [`Shard::apply_filled`], where `fetch` gives back the state of a key that is not in memory, if there is
    /// any.
    pub fn apply_fetching(
        &mut self,
        view: ContentHash,
        batch: &Batch,
        index: usize,
        fetch: &mut dyn FnMut(&EntityKey) -> Option<KeyState>,
    ) {
        if let Some(state) = self.state_mut(view) {
            state.apply(batch, index, fetch);
        }
    }

    /// What is held in memory of a view.
    pub fn holding(&self, view: ContentHash) -> Holding {
        self.state(view).map_or_else(Holding::default, |state| {
            let Keys { kept, bytes, .. } = state.keys;
            Holding { keys: state.keys.len(), kept, bytes }
        })
    }

    /// Let go of keys that were not used for a while, until `bytes` are free: of each the caller keeps what
    /// `keep` is given. A key that was used since the last look at it is passed over once (a clock). One call
    /// looks at a few keys only; the bytes that it made free.
    pub fn take_cold(
        &mut self,
        view: ContentHash,
        bytes: u64,
        mut keep: impl FnMut(&EntityKey, Leaving<'_>),
    ) -> u64 {
        let Some(state) = self.state_mut(view) else { return 0 };
        let (before, mut encoded) = (state.keys.bytes, Vec::new());
        for _ in 0..LOOKS {
            let len = state.keys.len();
            if len == 0 || before - state.keys.bytes >= bytes {
                break;
            }
            if state.hand as usize >= len {
                state.hand = 0;
            }
            let hand = state.hand;
            if state.keys.tiles_mut(hand).held.take_used() {
                state.hand += 1;
                continue;
            }
            // The last key comes into its place and is looked at next.
            if let Some((key, tiles)) = state.keys.remove(hand) {
                keep(&key, leaving(&state.view, &tiles, &mut encoded));
            }
        }
        before - state.keys.bytes
    }

    /// Go through the keys in memory, `most` of them beginning at number `from`: `keep` is given those that
    /// changed since it was given them last, and those that expired, which are forgotten. The number at which to
    /// go on; nothing after the last one. Between two calls nothing else may change the shard.
    pub fn take_changed(
        &mut self,
        view: ContentHash,
        from: usize,
        most: usize,
        mut keep: impl FnMut(&EntityKey, Leaving<'_>),
    ) -> Option<usize> {
        let state = self.state_mut(view)?;
        let (mut number, mut encoded) = (from, Vec::new());
        for _ in 0..most {
            if number >= state.keys.len() {
                return None;
            }
            let (key, tiles) = state.keys.get_mut(number as u32);
            if tiles.expires(&state.view.layout) <= state.now {
                let known = tiles.held.kept;
                if let Some((key, _)) = state.keys.remove(number as u32) {
                    keep(&key, Leaving::Expired { known });
                }
                continue;
            }
            if tiles.held.changed || !tiles.held.kept {
                keep(key, leaving(&state.view, tiles, &mut encoded));
                tiles.held.changed = false;
                if !std::mem::replace(&mut tiles.held.kept, true) {
                    state.keys.kept += 1;
                }
            }
            number += 1;
        }
        (number < state.keys.len()).then_some(number)
    }

    /// What is known of a view beside its keys.
    pub fn counters(&self, view: ContentHash) -> Counters {
        self.state(view).map_or_else(Counters::default, |state| Counters {
            seen: state.seen,
            late: state.late,
            unreachable: state.unreachable,
            now: state.now,
        })
    }

    /// Go on from such counters, with all keys elsewhere.
    pub fn resume(&mut self, view: ContentHash, counters: Counters) {
        if let Some(state) = self.state_mut(view) {
            let Counters { seen, late, unreachable, now } = counters;
            (state.seen, state.late, state.unreachable, state.now) = (seen, late, unreachable, now);
        }
    }
}

impl Reading {
    /// Whether the key that was read was not in the shard.
    pub fn absent(&self) -> bool {
        self.latest.is_none()
    }
}

impl ViewState {
    /// The number of a key: where it is, or where it is put now, with the state that `fetch` has of it.
    pub(crate) fn take_in(
        &mut self,
        key: &EntityKey,
        available_at: i64,
        fetch: &mut dyn FnMut(&EntityKey) -> Option<KeyState>,
    ) -> u32 {
        let tiles = match fetch(key) {
            Some(KeyState(tiles)) => tiles,
            None => Tiles::new(&self.view.layout, available_at),
        };
        self.keys.insert(key.clone(), tiles)
    }
}

fn leaving<'a>(view: &View, tiles: &Tiles, bytes: &'a mut Vec<u8>) -> Leaving<'a> {
    let known = tiles.held.kept;
    if known && !tiles.held.changed {
        return Leaving::Unchanged;
    }
    encode(tiles, bytes);
    Leaving::State { bytes, expires: tiles.expires(&view.layout), known }
}
