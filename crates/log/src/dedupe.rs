//! Ids seen lately.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use perennial_types::{Entry, Position, Stream, TimeSpan, Timestamp};

type Id = (Stream, Arc<str>, Arc<str>);

/// The ids of the last `window` of `available_at`, with the record of each.
pub(crate) struct Dedupe {
    window: TimeSpan,
    seen: HashMap<Id, (Position, Timestamp)>,
    in_order: VecDeque<(Position, Timestamp, Id)>,
}

impl Dedupe {
    pub(crate) fn new(window: TimeSpan) -> Self {
        Self { window, seen: HashMap::new(), in_order: VecDeque::new() }
    }

    /// Where the record of this id stands, if it became available within the window before `now`.
    pub(crate) fn find(&self, entry: &Entry, now: Timestamp) -> Option<Position> {
        if entry.id.is_empty() {
            return None;
        }
        let (position, at) = self.seen.get(&id_of(entry))?;
        (now.since(*at) <= self.window).then_some(*position)
    }

    /// Remember a record. Their `available_at` never decreases from call to call.
    pub(crate) fn insert(&mut self, position: Position, entry: &Entry) {
        let now = entry.available_at;
        while let Some((_, at, _)) = self.in_order.front()
            && now.since(*at) > self.window
            && let Some((old, _, id)) = self.in_order.pop_front()
        {
            // The id may have a younger record by now.
            if self.seen.get(&id).is_some_and(|(position, _)| *position == old) {
                self.seen.remove(&id);
            }
        }
        if !entry.id.is_empty() {
            let id = id_of(entry);
            self.seen.insert(id.clone(), (position, now));
            self.in_order.push_back((position, now, id));
        }
    }
}

fn id_of(entry: &Entry) -> Id {
    (entry.stream, Arc::clone(&entry.source), Arc::clone(&entry.id))
}
