//! Features at past instants: a replay of events with queries mixed in, through the same shard as live.

use std::collections::HashSet;
use std::sync::Arc;

use perennial_types::{Position, Timestamp, Value};

use crate::key::{EntityKey, KeyHash};
use crate::shard::{Event, Shard};
use crate::view::View;

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
pub fn replay(view: &Arc<View>, events: &[Event<'_>], queries: &[Query], mode: Mode) -> Vec<Vec<Value>> {
    let wanted: HashSet<&EntityKey, KeyHash> = queries.iter().map(|query| &query.key).collect();
    let mut events: Vec<&Event<'_>> =
        events.iter().filter(|event| *event.source == *view.spec().from).collect();
    let mut order: Vec<usize> = (0..queries.len()).collect();
    match mode {
        Mode::AsServed => {
            events.sort_by_key(|event| event.position);
            order.sort_by_key(|i| queries[*i].seen);
        }
        Mode::AsKnown => {
            events.sort_by_key(|event| (event.available_at, event.position));
            order.sort_by_key(|i| queries[*i].at);
        }
        Mode::AsOccurred => {
            events.sort_by_key(|event| (event.event_time, event.position));
            order.sort_by_key(|i| queries[*i].at);
        }
    }
    let mut shard = Shard::new(vec![Arc::clone(view)]);
    let mut values = vec![Vec::new(); queries.len()];
    let mut next = events.into_iter().peekable();
    let mut position = Position::START;
    for i in order {
        let query = &queries[i];
        while let Some(event) = next.next_if(|event| visible(event, query, mode)) {
            position = position.next();
            let available_at = match mode {
                Mode::AsServed | Mode::AsKnown => event.available_at,
                Mode::AsOccurred => event.event_time,
            };
            let event = Event { position, available_at, ..*event };
            shard.apply(&event, |key| wanted.contains(key));
        }
        values[i] = shard.read(view.version(), &query.key, query.at).values;
    }
    values
}

/// Whether an event is applied before a query; which of the applied ones it counts, the read decides by
/// event time.
fn visible(event: &Event<'_>, query: &Query, mode: Mode) -> bool {
    match mode {
        Mode::AsServed => event.position <= query.seen,
        Mode::AsKnown => event.available_at < query.at,
        Mode::AsOccurred => event.event_time < query.at,
    }
}
