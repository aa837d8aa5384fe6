//! Features at past instants: a replay of events with queries mixed in, key by key, through the same tiles as
//! live. Keys do not know of each other, so that one after the other gives the bits of all at once, and the
//! state of the key at hand is all that has to be near the processor.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use perennial_types::{Position, Timestamp, Value};

use crate::inputs::Evaluated;
use crate::key::{EntityKey, KeyHash};
use crate::shard::Event;
use crate::tiles::{Room, Tiles};
use crate::view::View;
use crate::window::{self, ReadRoom};

/// A question about one key at one instant.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose features.
    pub key: EntityKey,
    /// At which instant.
    pub at: Timestamp,
    /// The position that the read had seen; used by [`Mode::AsServed`] alone.
    pub seen: Position,
}

/// Which events a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Those up to the position that the query has seen, with an event time before it: what was served.
    AsServed,
    /// Those with `available_at` and event time before the query: what could be known.
    AsKnown,
    /// Those with an event time before the query, whenever they became known: what had happened.
    AsOccurred,
}

/// The values of each query, in the order of the queries; each in the order of [`View::outputs`]: a [`Replay`] of
/// these events.
pub fn replay(view: &Arc<View>, events: &[Event<'_>], queries: &[Query], mode: Mode) -> Vec<Vec<Value>> {
    let mut replay = Replay::new(view, queries, mode);
    for event in events {
        replay.take(event);
    }
    replay.values()
}

/// Queries, and what they need of the events that are given one by one: of the keys that are asked for, the
/// evaluated values.
///
/// Events and queries may come in any order. `AsServed` applies events by position, as live: the values
/// have the bits that were served. `AsKnown` applies them by `available_at`, then position, a query before
/// the events of its own instant. `AsOccurred` applies them by event time, then position, as if each had
/// been known when it happened.
///
/// To use several processors, give each the queries of some keys ([`crate::shard_of`]) and all the events.
pub struct Replay<'a> {
    view: &'a View,
    queries: &'a [Query],
    mode: Mode,
    /// The number of each key that is asked for.
    keys: HashMap<&'a EntityKey, u32, KeyHash>,
    /// Key, moment and place of each query.
    asked: Vec<(u32, i64, usize)>,
    /// Each event with the number of its key; its row is its place.
    past: Vec<(u32, Past)>,
    evaluated: Evaluated,
}

impl<'a> Replay<'a> {
    /// No events yet.
    pub fn new(view: &'a View, queries: &'a [Query], mode: Mode) -> Self {
        let mut keys: HashMap<&EntityKey, u32, KeyHash> = HashMap::default();
        let mut asked = Vec::with_capacity(queries.len());
        for (i, query) in queries.iter().enumerate() {
            let next = keys.len() as u32;
            asked.push((*keys.entry(&query.key).or_insert(next), mode.moment_of_query(query), i));
        }
        asked.sort_unstable();
        Self { view, queries, mode, keys, asked, past: Vec::new(), evaluated: Evaluated::default() }
    }

    /// Take in an event; of another source, or of a key that nobody asks for, it is nothing.
    pub fn take(&mut self, event: &Event<'_>) {
        let (view, mode) = (self.view, self.mode);
        if *event.source != *view.spec.from {
            return;
        }
        let key = EntityKey::of_row(event.row, &view.entity_columns);
        let Some(number) = key.and_then(|key| self.keys.get(&key).copied()) else { return };
        if !view.inputs.evaluate(&view.layout, event.row, &mut self.evaluated) {
            return;
        }
        let (time, position) = (event.event_time.micros(), event.position.0);
        let available_at = match mode {
            Mode::AsServed | Mode::AsKnown => event.available_at.micros(),
            Mode::AsOccurred => time,
        };
        let row = self.past.len() as u32;
        let past = Past { moment: mode.moment_of_event(event), position, time, available_at, row };
        self.past.push((number, past));
    }

    /// The values of each query, in the order of the queries; each in the order of [`View::outputs`].
    pub fn values(self) -> Vec<Vec<Value>> {
        let histories = Histories::new(&self.past, self.keys.len());
        let Self { view, queries, asked, evaluated, .. } = self;
        let mut values = vec![Vec::new(); queries.len()];
        let (mut room, mut read_room) = (Room::new(&view.layout), ReadRoom::default());
        for asked in asked.chunk_by(|a, b| a.0 == b.0) {
            let mut history = histories.events(asked[0].0).iter().peekable();
            let mut tiles: Option<Tiles> = None;
            for (_, moment, i) in asked {
                while let Some(event) = history.next_if(|event| event.moment < *moment) {
                    let tiles = tiles.get_or_insert_with(|| Tiles::new(&view.layout, event.available_at));
                    let row = evaluated.event(&view.layout, event.row as usize);
                    tiles.apply(&view.layout, event.time, event.available_at, row, &mut room);
                }
                let at = queries[*i].at.micros();
                window::read(&view.layout, tiles.as_ref(), at, &mut read_room, &mut values[*i]);
                view.derive(&mut values[*i]);
            }
        }
        values
    }
}

impl Mode {
    /// Where an event stands in the order of replay; of equal ones the position decides.
    fn moment_of_event(self, event: &Event<'_>) -> i64 {
        match self {
            Self::AsServed => event.position.0.cast_signed(),
            Self::AsKnown => event.available_at.micros(),
            Self::AsOccurred => event.event_time.micros(),
        }
    }

    /// Where a query stands: events with an earlier moment are applied before it. Which of those it counts,
    /// the read decides by event time.
    fn moment_of_query(self, query: &Query) -> i64 {
        match self {
            Self::AsServed => query.seen.0.cast_signed().saturating_add(1),
            Self::AsKnown | Self::AsOccurred => query.at.micros(),
        }
    }
}

/// An event in the history of its key.
#[derive(Clone, Copy)]
struct Past {
    moment: i64,
    position: u64,
    time: i64,
    available_at: i64,
    /// Its place among the evaluated ones.
    row: u32,
}

/// The events of each key, in the order of replay.
struct Histories {
    past: Vec<Past>,
    /// Where the events of each key are.
    ranges: Vec<Range<usize>>,
}

impl Histories {
    fn new(events: &[(u32, Past)], keys: usize) -> Self {
        // Count each key's events, then put every event where its key's are: two passes instead of a sort of
        // all events by key.
        let mut ranges = vec![0..0; keys];
        for (number, _) in events {
            ranges[*number as usize].end += 1;
        }
        let mut start = 0;
        for range in &mut ranges {
            let len = range.end;
            *range = start..start;
            start += len;
        }
        let nothing = Past { moment: 0, position: 0, time: 0, available_at: 0, row: 0 };
        let mut past = vec![nothing; start];
        for (number, event) in events {
            let range = &mut ranges[*number as usize];
            past[range.end] = *event;
            range.end += 1;
        }
        for range in &ranges {
            past[range.clone()].sort_unstable_by_key(|event| (event.moment, event.position, event.row));
        }
        Self { past, ranges }
    }

    fn events(&self, key: u32) -> &[Past] {
        &self.past[self.ranges[key as usize].clone()]
    }
}
