//! The state of one key of one view: what an event changes.
//!
//! Time of a key moves by its own events alone: `now` is the largest `available_at` it has seen. An event
//! whose time is before `now` is folded into its tile at once; one whose time is not yet over (it is dated
//! at `now` or later) waits, and is folded when a later event moves `now` past it. Reads are made at or
//! after `now`, so that whatever is folded lies before the read, and of what waits they take the events
//! before it. A tile is therefore the left fold of its events in the order in which they came to count:
//! the order of arrival, except that an event dated into the future comes when its time has passed.

use serde::{Deserialize, Serialize};

use crate::beside::Beside;
use crate::ladder::{ETERNITY, floor, tile_end};
use crate::layout::Layout;
use crate::state::{fold, merge};
use crate::timeline::{Row, Shape, Timeline};

/// The state of one key of one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tiles {
    /// The largest `available_at` of the key's events, in microseconds.
    pub(crate) now: i64,
    /// `now` rounded down to a tile when the tiles were last rolled up.
    pub(crate) upkeep: i64,
    /// Tiles of all layers in order of start: the further in the past, the larger.
    pub(crate) tiles: Timeline,
    /// Events that do not count yet, in order of event time, then of arrival.
    pub(crate) waiting: Timeline,
    /// For exact tails: events that count, in order of event time, then of coming to count.
    pub(crate) kept: Timeline,
    /// Sessions and last events, where a window needs them.
    pub(crate) beside: Option<Box<Beside>>,
}

/// Where an event came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In the newest tile, or it waits.
    InOrder,
    /// In a tile before the newest one.
    Late,
    /// Nowhere: before every window that can still be read.
    Unreachable,
}

impl Tiles {
    /// The state of a key before its first event, which becomes available at `now`.
    pub(crate) fn new(layout: &Layout, now: i64) -> Self {
        Self {
            now,
            upkeep: floor(now, layout.base()),
            tiles: Timeline::default(),
            waiting: Timeline::default(),
            kept: Timeline::default(),
            beside: Beside::new(layout),
        }
    }

    /// Take in the next event.
    pub(crate) fn apply(&mut self, layout: &Layout, time: i64, available_at: i64, event: Row<'_>) -> Placed {
        if available_at > self.now {
            self.now = available_at;
            self.count_waiting(layout);
            if self.now - self.upkeep >= layout.base() {
                self.roll_up(layout);
            }
        }
        if time >= self.now {
            self.waiting.insert(layout.event, self.waiting.upper_bound(time), time, event);
            return Placed::InOrder;
        }
        let placed = fold_event(&mut self.tiles, layout, self.upkeep, time, event);
        if let Some(beside) = &mut self.beside {
            beside.add(layout, self.now, time, event);
        }
        if layout.keep.is_some_and(|keep| time >= self.now.saturating_sub(keep)) {
            self.kept.insert(layout.event, self.kept.upper_bound(time), time, event);
        }
        placed
    }

    /// Whether the vectors of a saved state fit the layout.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        self.tiles.fits(layout.tile)
            && self.waiting.fits(layout.event)
            && self.kept.fits(layout.event)
            && Beside::fits(self.beside.as_deref(), layout)
    }

    /// Fold the waiting events whose time has passed.
    fn count_waiting(&mut self, layout: &Layout) {
        let passed = self.waiting.lower_bound(self.now);
        for i in 0..passed {
            let (time, event) = (self.waiting.times()[i], self.waiting.row(layout.event, i));
            fold_event(&mut self.tiles, layout, self.upkeep, time, event);
            if let Some(beside) = &mut self.beside {
                beside.add(layout, self.now, time, event);
            }
            if layout.keep.is_some() {
                self.kept.insert(layout.event, self.kept.upper_bound(time), time, event);
            }
        }
        self.waiting.remove(layout.event, 0, passed);
    }

    /// Drop what no window reaches any more, and merge tiles that only longer windows reach into the tiles
    /// of those.
    fn roll_up(&mut self, layout: &Layout) {
        let before = self.upkeep;
        self.upkeep = floor(self.now, layout.base());
        let top = layout.layers.len() - 1;
        self.tiles.remove(layout.tile, 0, self.tiles.lower_bound(layout.border(top, self.upkeep)));
        for layer in 0..top {
            let above = layout.layers[layer + 1].size;
            let start = match above {
                ETERNITY => 0,
                _ => self.tiles.lower_bound(layout.border(layer, before)),
            };
            let end = self.tiles.lower_bound(layout.border(layer, self.upkeep));
            merge_children(&mut self.tiles, layout, start..end, above);
        }
        if let Some(keep) = layout.keep {
            self.kept.remove(layout.event, 0, self.kept.lower_bound(self.now.saturating_sub(keep)));
        }
    }
}

/// Fold an event into the tile of the layer that holds its time.
fn fold_event(tiles: &mut Timeline, layout: &Layout, upkeep: i64, time: i64, event: Row<'_>) -> Placed {
    // Mostly the event belongs to the newest tile, which is found without a division.
    if let Some(start) = tiles.times().last().copied()
        && start <= time
        && time.saturating_sub(start) < layout.base()
    {
        fold(&layout.slots, &mut tiles.row_mut(layout.tile, tiles.len() - 1), event, time);
        return Placed::InOrder;
    }
    let Some(layer) = (0..layout.layers.len()).find(|layer| time >= layout.border(*layer, upkeep)) else {
        return Placed::Unreachable;
    };
    let start = floor(time, layout.layers[layer].size);
    let i = tiles.lower_bound(start);
    if tiles.times().get(i) != Some(&start) {
        tiles.insert_empty(layout.tile, i, start);
    }
    fold(&layout.slots, &mut tiles.row_mut(layout.tile, i), event, time);
    if i + 1 < tiles.len() { Placed::Late } else { Placed::InOrder }
}

/// Replace a range of tiles by their parents of `size`; a parent is the merge of its children in order.
fn merge_children(tiles: &mut Timeline, layout: &Layout, range: std::ops::Range<usize>, size: i64) {
    let shape: Shape = layout.tile;
    let mut at = range.start;
    let mut end = range.end;
    while at < end {
        let parent = floor(tiles.times()[at], size);
        let next = tiles.lower_bound(tile_end(parent, size)).min(end);
        for child in at + 1..next {
            let (mut first, later) = tiles.pair_mut(shape, at, child);
            merge(&layout.slots, &mut first, later);
        }
        tiles.set_time(at, parent);
        tiles.remove(shape, at + 1, next);
        end -= next - at - 1;
        at += 1;
    }
}
