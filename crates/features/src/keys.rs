//! The keys of a view with their state.

use hashbrown::HashTable;

use crate::key::EntityKey;
use crate::tiles::Tiles;

/// Keys that lie together. A chunk never moves once it is full, so that growing copies nothing.
const CHUNK: usize = 1024;

/// Keys in the order in which they came, found by their hash: the table holds numbers alone, so that it stays
/// near the processor when the keys do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    table: HashTable<u32>,
    chunks: Vec<Vec<(EntityKey, Tiles)>>,
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
        self.table.find(key.hash(), |number| self.entry(*number).0 == *key).copied()
    }

    /// Take in a key that is not there yet; its number.
    pub(crate) fn insert(&mut self, key: EntityKey, tiles: Tiles) -> u32 {
        let number = self.len() as u32;
        let hash = key.hash();
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // The first one grows with the keys: most views of a small project never fill it.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push((key, tiles));
        }
        let chunks = &self.chunks;
        self.table.insert_unique(hash, number, |number| entry(chunks, *number).0.hash());
        number
    }

    pub(crate) fn tiles(&self, number: u32) -> &Tiles {
        &self.entry(number).1
    }

    pub(crate) fn tiles_mut(&mut self, number: u32) -> &mut Tiles {
        let number = number as usize;
        &mut self.chunks[number / CHUNK][number % CHUNK].1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(EntityKey, Tiles)> {
        self.chunks.iter().flatten()
    }

    fn entry(&self, number: u32) -> &(EntityKey, Tiles) {
        entry(&self.chunks, number)
    }
}

fn entry(chunks: &[Vec<(EntityKey, Tiles)>], number: u32) -> &(EntityKey, Tiles) {
    let number = number as usize;
    &chunks[number / CHUNK][number % CHUNK]
}
