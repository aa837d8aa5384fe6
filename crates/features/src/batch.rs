//! Events as one view takes them in: their keys hashed and their expressions evaluated once, whatever the shards.

use perennial_types::Position;

use crate::inputs::Evaluated;
use crate::key::{EntityKey, shard_of};
use crate::layout::Layout;
use crate::shard::Event;
use crate::timeline::Row;
use crate::view::View;

/// The next events of the log, ready to be applied to the shards of one view; room that is used again.
///
/// Filling it needs no shard, so that a shard is locked only while its own events are applied.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The events that count, in the order of the log.
    events: Vec<Taken>,
    evaluated: Evaluated,
    /// The last position, whether its event counts or not.
    pub(crate) last: Position,
}

/// An event that counts.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) key: EntityKey,
    pub(crate) position: Position,
    /// Microseconds, as `available_at`.
    pub(crate) time: i64,
    pub(crate) available_at: i64,
    /// Which shard owns its key.
    shard: usize,
}

impl Batch {
    /// Take these events instead of those from before. Those of other sources, those without a key and those
    /// that no aggregate counts only move the position on. Keys are spread over `shards` by [`shard_of`].
    pub fn fill(&mut self, view: &View, events: &[Event<'_>], shards: usize) {
        self.fill_by(view, events, |key| Some(shard_of(key, shards)));
    }

    /// As [`Batch::fill`], with the events whose key `shard` gives no shard left out.
    pub(crate) fn fill_by(
        &mut self,
        view: &View,
        events: &[Event<'_>],
        shard: impl Fn(&EntityKey) -> Option<usize>,
    ) {
        self.events.clear();
        self.evaluated.clear();
        for event in events {
            self.last = self.last.max(event.position);
            if *view.spec.from != *event.source {
                continue;
            }
            let Some(key) = EntityKey::of_row(event.row, &view.entity_columns) else { continue };
            let Some(shard) = shard(&key) else { continue };
            if view.inputs.evaluate(&view.layout, event.row, &mut self.evaluated) {
                let (time, available_at) = (event.event_time.micros(), event.available_at.micros());
                self.events.push(Taken { key, position: event.position, time, available_at, shard });
            }
        }
    }

    /// The places of a shard's events after a position.
    pub(crate) fn places(&self, shard: usize, after: Position) -> impl Iterator<Item = usize> {
        let own = move |event: &Taken| event.shard == shard && event.position > after;
        self.events.iter().enumerate().filter_map(move |(place, event)| own(event).then_some(place))
    }

    /// The event in a place.
    pub(crate) fn event(&self, place: usize) -> &Taken {
        &self.events[place]
    }

    /// The values of the event in a place.
    pub(crate) fn row(&self, layout: &Layout, place: usize) -> Row<'_> {
        self.evaluated.event(layout, place)
    }
}
