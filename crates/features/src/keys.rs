//! The keys of a view with their state.

use std::hint::black_box;

use crate::key::EntityKey;
use crate::tiles::Tiles;

/// Keys that lie together. A chunk never moves once it is full, so that growing copies nothing.
const CHUNK: usize = 1024;

/// The slots of a table that holds its first key.
const FEWEST_SLOTS: usize = 16;

/// Keys in the order in which they came, found by their hash.
///
/// The table is one of open addresses. It holds the numbers of keys and halves of hashes alone, so that it stays
/// near the processor when the keys do not; and each step of a search, the slot, the key, its rows, can be asked of
/// memory for many keys before it is taken for one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// The upper half of a key's hash over its number, which counts from 1; 0 is a free slot. As many as a power of
    /// two, and at most three in four are taken.
    slots: Vec<u64>,
    chunks: Vec<Vec<Entry>>,
    /// About how many bytes they take.
    pub(crate) bytes: u64,
    /// Of how many of them there is a copy elsewhere.
    pub(crate) kept: usize,
}

/// A key's place in a chunk, and its slot with those that are free.
const FIXED: usize = size_of::<Entry>() + 16;

/// A key with its state; it begins with a line of the processor's cache.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Entry {
    key: EntityKey,
    tiles: Tiles,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        full + self.chunks.last().map_or(0, Vec::len)
    }

    pub(crate) fn get(&self, key: &EntityKey) -> Option<&Tiles> {
        self.find(key).map(|number| self.tiles(number))
    }

    /// The number of a key.
    pub(crate) fn find(&self, key: &EntityKey) -> Option<u32> {
        self.numbers(key.hash()).find(|number| self.entry(*number).key == *key)
    }

    /// Read what a search for these hashes and a change of their keys will want, so that what is not in the
    /// processor's cache comes for all of them at once instead of for one after the other: first every slot, then
    /// every key, then every key's rows.
    pub(crate) fn touch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let slot = |hash| self.slots.get(self.first(hash)).copied().unwrap_or(0);
        black_box(hashes.clone().map(slot).fold(0, u64::wrapping_add));
        // Half of a hash is as good as the key.
        let likely = hashes.filter_map(|hash| self.numbers(hash).next());
        let tiles = likely.map(|number| self.tiles(number));
        black_box(tiles.clone().map(Tiles::touch).fold(0, u64::wrapping_add));
        black_box(tiles.map(Tiles::touch_rows).fold(0, u64::wrapping_add));
    }

    /// Take in a key that is not there yet; its number.
    pub(crate) fn insert(&mut self, key: EntityKey, mut tiles: Tiles) -> u32 {
        tiles.count_behind();
        self.bytes += bytes_of(&key, &tiles);
        self.kept += usize::from(tiles.held.kept);
        let number = self.len() as u32;
        if (number as usize + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.enter(key.hash(), number);
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // The first one grows with the keys: most views of a small project never fill it.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Entry { key, tiles });
        }
        number
    }

    /// Take out a key; the last one gets its number.
    pub(crate) fn remove(&mut self, number: u32) -> Option<(EntityKey, Tiles)> {
        let last = (self.len() as u32).checked_sub(1).filter(|last| number <= *last)?;
        self.leave(self.slot(self.entry(number).key.hash(), number));
        if number != last {
            let slot = self.slot(self.entry(last).key.hash(), last);
            self.slots[slot] = self.slots[slot] >> 32 << 32 | u64::from(number + 1);
        }
        let chunk = self.chunks.last_mut()?;
        let mut gone = chunk.pop()?;
        if chunk.is_empty() {
            self.chunks.pop();
        }
        if number != last {
            std::mem::swap(self.entry_mut(number), &mut gone);
        }
        let Entry { key, tiles } = gone;
        let rest = self.bytes.saturating_sub(bytes_of(&key, &tiles));
        self.bytes = if self.chunks.is_empty() { 0 } else { rest };
        self.kept -= usize::from(tiles.held.kept);
        Some((key, tiles))
    }

    /// Take into account that the rows of a key took `before` bytes; with `all`, what is behind them is counted anew.
    pub(crate) fn count(&mut self, number: u32, before: u64, all: bool) {
        let tiles = self.tiles_mut(number);
        let (mut before, mut now) = (before, tiles.rows.bytes());
        if all && tiles.behind_matters() {
            before += tiles.held.behind();
            tiles.count_behind();
            now += tiles.held.behind();
        }
        self.bytes = (self.bytes + now).saturating_sub(before);
    }

    /// A key with its state.
    pub(crate) fn get_mut(&mut self, number: u32) -> (&EntityKey, &mut Tiles) {
        let Entry { key, tiles } = self.entry_mut(number);
        (key, tiles)
    }

    pub(crate) fn tiles(&self, number: u32) -> &Tiles {
        &self.entry(number).tiles
    }

    pub(crate) fn tiles_mut(&mut self, number: u32) -> &mut Tiles {
        &mut self.entry_mut(number).tiles
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&EntityKey, &Tiles)> {
        self.chunks.iter().flatten().map(|entry| (&entry.key, &entry.tiles))
    }

    fn entry(&self, number: u32) -> &Entry {
        let number = number as usize;
        &self.chunks[number / CHUNK][number % CHUNK]
    }

    fn entry_mut(&mut self, number: u32) -> &mut Entry {
        let number = number as usize;
        &mut self.chunks[number / CHUNK][number % CHUNK]
    }

    /// The slot of a key that is there.
    fn slot(&self, hash: u64, number: u32) -> usize {
        let last = self.slots.len() - 1;
        let mut at = self.first(hash);
        while self.slots[at] as u32 != number + 1 {
            at = (at + 1) & last;
        }
        at
    }

    /// Free a slot. Those behind it that a search would not pass to any more come forward (Knuth 1998, volume 3,
    /// algorithm 6.4 R).
    fn leave(&mut self, mut free: usize) {
        let last = self.slots.len() - 1;
        let mut next = (free + 1) & last;
        while self.slots[next] != 0 {
            let first = self.first(self.entry(self.slots[next] as u32 - 1).key.hash());
            if next.wrapping_sub(first) & last >= next.wrapping_sub(free) & last {
                self.slots[free] = self.slots[next];
                free = next;
            }
            next = (next + 1) & last;
        }
        self.slots[free] = 0;
    }

    /// Where the search for a hash begins. The lower half decides.
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    /// The numbers of the keys whose hash has this upper half, among those that a search passes.
    fn numbers(&self, hash: u64) -> impl Iterator<Item = u32> {
        let (before, from) = self.slots.split_at(self.first(hash).min(self.slots.len()));
        let passed = from.iter().chain(before).take_while(|slot| **slot != 0);
        passed.filter(move |slot| **slot >> 32 == hash >> 32).map(|slot| *slot as u32 - 1)
    }

    /// Note the number of a key in the first free slot of its search.
    fn enter(&mut self, hash: u64, number: u32) {
        let last = self.slots.len() - 1;
        let mut at = self.first(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & last;
        }
        self.slots[at] = hash >> 32 << 32 | u64::from(number + 1);
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(FEWEST_SLOTS)];
        for number in 0..self.len() as u32 {
            self.enter(self.entry(number).key.hash(), number);
        }
    }
}

fn bytes_of(key: &EntityKey, tiles: &Tiles) -> u64 {
    (FIXED + key.heap_bytes()) as u64 + tiles.rows.bytes() + tiles.held.behind()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use perennial_types::Value;
    use proptest::prelude::*;

    use super::*;
    use crate::layout::{Lane, Layout, Wanted};
    use crate::{Op, Tail, ladder};

    #[test]
    fn a_key_lies_in_two_lines_of_the_cache() {
        assert_eq!(size_of::<Entry>(), 128);
    }

    proptest! {
        #[test]
        fn every_key_that_was_taken_in_and_not_out_is_found(
            ids in prop::collection::vec((0..3_000_i64, any::<bool>()), 0..3_000),
        ) {
            let window = ladder::SHORTEST_WINDOW.into();
            let wanted = [Wanted { lane: 0, op: Op::Count, window, tail: Tail::Hop }];
            let layout = Layout::new(&mut [Lane::default()], &wanted);
            let (mut keys, mut there) = (Keys::default(), HashSet::new());
            for (id, out) in ids {
                // The second half of the ids are of the first half's keys, so that many are there.
                let id = id % 1_500;
                let key = EntityKey::from_values(&[Value::Int64(id)]);
                prop_assert_eq!(keys.get(&key).map(|tiles| tiles.now), there.get(&id).copied());
                match keys.find(&key) {
                    None => {
                        keys.insert(key.clone(), Tiles::new(&layout, id));
                        there.insert(id);
                    }
                    Some(number) if out => {
                        prop_assert_eq!(keys.remove(number).map(|(_, tiles)| tiles.now), Some(id));
                        there.remove(&id);
                    }
                    Some(_) => {}
                }
            }
            for id in 0..1_500 {
                let key = EntityKey::from_values(&[Value::Int64(id)]);
                prop_assert_eq!(keys.get(&key).map(|tiles| tiles.now), there.get(&id).copied());
            }
            prop_assert_eq!(keys.len(), there.len());
        }
    }
}
