//! Ids seen lately.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use perennial_types::{Entry, Position, Stream, TimeSpan, Timestamp};

/// The ids of the last `window` of `available_at`, with the record of each.
pub(crate) struct Dedupe {
    window: TimeSpan,
    /// In the order of their records.
    ids: VecDeque<Seen>,
    /// The number of the first of `ids`: numbers go on when it is forgotten.
    first: u64,
    /// The number of the youngest record of each id, found by its hash.
    numbers: HashTable<u64>,
    hasher: RandomState,
}

/// An id and its record.
struct Seen {
    hash: u64,
    stream: Stream,
    source: Arc<str>,
    id: Arc<str>,
    position: Position,
    at: Timestamp,
}

impl Seen {
    fn of(&self, entry: &Entry) -> bool {
        self.id == entry.id && self.stream == entry.stream && self.source == entry.source
    }
}

impl Dedupe {
    pub(crate) fn new(window: TimeSpan) -> Self {
        let (ids, numbers) = (VecDeque::new(), HashTable::new());
        Self { window, ids, first: 0, numbers, hasher: RandomState::new() }
    }

    /// What an entry is found by; nothing for one without an id, which is never a duplicate.
    pub(crate) fn hash(&self, entry: &Entry) -> Option<u64> {
        (!entry.id.is_empty()).then(|| self.hasher.hash_one((entry.stream, &*entry.id)))
    }

    /// Where the record of this id stands, if it became available within the window before `now`.
    pub(crate) fn find(&self, hash: u64, entry: &Entry, now: Timestamp) -> Option<Position> {
        let number =
            self.numbers.find(hash, |number| self.seen(*number).is_some_and(|seen| seen.of(entry)))?;
        let seen = self.seen(*number)?;
        (now.since(seen.at) <= self.window).then_some(seen.position)
    }

    /// Remember a record. Their `available_at` never decreases from call to call.
    pub(crate) fn insert(&mut self, hash: Option<u64>, position: Position, entry: &Entry) {
        let now = entry.available_at;
        self.forget(now);
        let Some(hash) = hash else { return };
        let number = self.first + self.ids.len() as u64;
        let (source, id) = (Arc::clone(&entry.source), Arc::clone(&entry.id));
        self.ids.push_back(Seen { hash, stream: entry.stream, source, id, position, at: now });
        let (ids, first) = (&self.ids, self.first);
        let seen = |number: u64| &ids[(number - first) as usize];
        let same = |number: &u64| seen(*number).of(entry);
        match self.numbers.find_mut(hash, same) {
            Some(older) => *older = number,
            None => drop(self.numbers.insert_unique(hash, number, |number| seen(*number).hash)),
        }
    }

    /// Forget what lies before the window that ends now.
    fn forget(&mut self, now: Timestamp) {
        while self.ids.front().is_some_and(|oldest| now.since(oldest.at) > self.window)
            && let Some(oldest) = self.ids.pop_front()
        {
            let number = self.first;
            self.first += 1;
            // The id may have a younger record by now.
            if let Ok(found) = self.numbers.find_entry(oldest.hash, |known| *known == number) {
                found.remove();
            }
        }
    }

    fn seen(&self, number: u64) -> Option<&Seen> {
        self.ids.get(usize::try_from(number - self.first).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(id: u8, source: bool, at: i64) -> Entry {
        let at = Timestamp::from_micros(at);
        let id = if id == 0 { String::new() } else { id.to_string() };
        let source = if source { "a" } else { "b" };
        Entry {
            stream: Stream::Event,
            source: source.into(),
            key: "".into(),
            event_time: at,
            available_at: at,
            id: id.into(),
            payload: Vec::new(),
        }
    }

    proptest! {
        /// The oracle is a map that forgets nothing.
        #[test]
        fn an_id_is_found_for_as_long_as_the_window_says(rows in prop::collection::vec((0_u8..12, any::<bool>(), 0_i64..6), 1..300)) {
            let window = TimeSpan::from_micros(20);
            let mut dedupe = Dedupe::new(window);
            let mut known: HashMap<(u8, bool), (Position, i64)> = HashMap::new();
            let mut now = 0;
            for (position, (id, source, later)) in (1..).map(Position).zip(rows) {
                now += later;
                let entry = entry(id, source, now);
                let expected = known.get(&(id, source)).filter(|(_, at)| id != 0 && now - at <= window.micros());
                let hash = dedupe.hash(&entry);
                let found = hash.and_then(|hash| dedupe.find(hash, &entry, entry.available_at));
                prop_assert_eq!(found, expected.map(|(position, _)| *position));
                if found.is_none() {
                    dedupe.insert(hash, position, &entry);
                    known.insert((id, source), (position, now));
                }
                prop_assert!(dedupe.numbers.len() <= dedupe.ids.len());
            }
        }
    }
}
