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
}

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
    pub(crate) fn insert(&mut self, key: EntityKey, tiles: Tiles) -> u32 {
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

    pub(crate) fn tiles(&self, number: u32) -> &Tiles {
        &self.entry(number).tiles
    }

    pub(crate) fn tiles_mut(&mut self, number: u32) -> &mut Tiles {
        let number = number as usize;
        &mut self.chunks[number / CHUNK][number % CHUNK].tiles
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&EntityKey, &Tiles)> {
        self.chunks.iter().flatten().map(|entry| (&entry.key, &entry.tiles))
    }

    fn entry(&self, number: u32) -> &Entry {
        let number = number as usize;
        &self.chunks[number / CHUNK][number % CHUNK]
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
        fn every_key_that_was_taken_in_is_found_and_no_other(ids in prop::collection::vec(0..3_000_i64, 0..2_000)) {
            let window = ladder::SHORTEST_WINDOW.into();
            let wanted = [Wanted { lane: 0, op: Op::Count, window, tail: Tail::Hop }];
            let layout = Layout::new(&mut [Lane::default()], &wanted);
            let (mut keys, mut numbers) = (Keys::default(), HashMap::new());
            for id in ids {
                let key = EntityKey::from_values(&[Value::Int64(id)]);
                prop_assert_eq!(keys.find(&key), numbers.get(&id).copied());
                if let std::collections::hash_map::Entry::Vacant(entry) = numbers.entry(id) {
                    entry.insert(keys.insert(key.clone(), Tiles::new(&layout, id)));
                }
                prop_assert_eq!(keys.get(&key).map(|tiles| tiles.now), Some(id));
            }
            prop_assert_eq!(keys.len(), numbers.len());
        }
    }
}
