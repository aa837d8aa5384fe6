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

/// The values of each query, in the order of the queries; each in the order of [`View::outputs`].
///
/// Events and queries may come in any order. `AsServed` applies events by position, as live: the values
/// have the bits that were served. `AsKnown` applies them by `available_at`, then position, a query before
/// the events of its own instant. `AsOccurred` applies them by event time, then position, as if each had
/// been known when it happened.
///
/// To use several processors, give each the queries of some keys ([`crate::shard_of`]) and all the events.
pub fn replay(view: &Arc<View>, events: &[Event<'_>], queries: &[Query], mode: Mode) -> Vec<Vec<Value>> {
    let mut keys: HashMap<&EntityKey, u32, KeyHash> = HashMap::default();
    let mut asked: Vec<(u32, i64, usize)> = Vec::with_capacity(queries.len());
    for (i, query) in queries.iter().enumerate() {
        let next = keys.len() as u32;
        asked.push((*keys.entry(&query.key).or_insert(next), mode.moment_of_query(query), i));
    }
    asked.sort_unstable();
    let histories = Histories::new(view, events, &keys, mode);
    let mut values = vec![Vec::new(); queries.len()];
    let (mut room, mut read_room) = (Room::new(&view.layout), ReadRoom::default());
    for asked in asked.chunk_by(|a, b| a.0 == b.0) {
        let mut history = histories.events(asked[0].0).iter().peekable();
        let mut tiles: Option<Tiles> = None;
        for (_, moment, i) in asked {
            while let Some(event) = history.next_if(|event| event.moment < *moment) {
                let tiles = tiles.get_or_insert_with(|| Tiles::new(&view.layout, event.available_at));
                let row = histories.evaluated.event(&view.layout, event.row as usize);
                tiles.apply(&view.layout, event.time, event.available_at, row, &mut room);
            }
            let at = queries[*i].at.micros();
            window::read(&view.layout, tiles.as_ref(), at, &mut read_room, &mut values[*i]);
            view.derive(&mut values[*i]);
        }
    }
    values
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
    evaluated: Evaluated,
}

impl Histories {
    fn new(view: &View, events: &[Event<'_>], keys: &HashMap<&EntityKey, u32, KeyHash>, mode: Mode) -> Self {
        // Count each key's events, then put every event where its key's are: two passes instead of a sort of
        // all events by key.
        let number = |event: &Event<'_>| {
            let own = *event.source == *view.spec.from;
            let key = own.then(|| EntityKey::of_row(event.row, &view.entity_columns)).flatten()?;
            keys.get(&key).copied()
        };
        let numbers: Vec<Option<u32>> = events.iter().map(number).collect();
        let mut ranges = vec![0..0; keys.len()];
        for number in numbers.iter().flatten() {
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
        let mut evaluated = Evaluated::default();
        let mut row = 0;
        for (event, number) in events.iter().zip(&numbers) {
            let Some(number) = number else { continue };
            if !view.inputs.evaluate(&view.layout, event.row, &mut evaluated) {
                continue;
            }
            let (time, position) = (event.event_time.micros(), event.position.0);
            let available_at = match mode {
                Mode::AsServed | Mode::AsKnown => event.available_at.micros(),
                Mode::AsOccurred => time,
            };
            let range = &mut ranges[*number as usize];
            past[range.end] = Past { moment: mode.moment_of_event(event), position, time, available_at, row };
            range.end += 1;
            row += 1;
        }
        for range in &ranges {
            past[range.clone()].sort_unstable_by_key(|event| (event.moment, event.position));
        }
        Self { past, ranges, evaluated }
    }

    fn events(&self, key: u32) -> &[Past] {
        &self.past[self.ranges[key as usize].clone()]
    }
}
