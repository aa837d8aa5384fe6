//! The state of one key of one view: what an event changes.
//!
//! Time of a key moves by its own events alone: `now` is the largest `available_at` it has seen. An event
//! whose time is before `now` is folded into its tile at once; one whose time is not yet over (it is dated
//! at `now` or later) waits, and is folded when a later event moves `now` past it. Reads are made at or
//! after `now`, so that whatever is folded lies before the read, and of what waits they take the events
//! before it. A tile is therefore the left fold of its events in the order in which they came to count:
//! the order of arrival, except that an event dated into the future comes when its time has passed.

mod roll_up;

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::beside::Beside;
use crate::borders::Borders;
use crate::held::Held;
use crate::kept::Kept;
use crate::ladder::{ETERNITY, floor, tile_end};
use crate::layout::Layout;
use crate::timeline::{Kind, Loose, Row, Timeline};
use crate::totals::Totals;

/// The state of one key of one view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tiles {
    /// The largest `available_at` of the key's events, in microseconds.
    pub(crate) now: i64,
    /// `now` rounded down to a tile: the start of the open tile. Those before it are closed.
    pub(crate) upkeep: i64,
    /// Tiles of all layers, the further in the past the larger, and the events that do not count yet.
    pub(crate) rows: Timeline,
    /// For exact tails: events that count.
    pub(crate) kept: Option<Box<Kept>>,
    /// Sessions and last events, where a window needs them.
    pub(crate) beside: Option<Box<Beside>>,
    /// Merges of closed tiles, of a busy key that is read.
    #[serde(skip)]
    pub(crate) totals: Option<Box<Totals>>,
    #[serde(skip)]
    read: Mark,
    #[serde(skip)]
    pub(crate) held: Held,
}

/// Whether a key was read; readers, who share it, say so. It decides what is merged ahead of a read, never
/// what the read gives.
#[derive(Debug, Default)]
struct Mark(AtomicBool);

impl Clone for Mark {
    fn clone(&self) -> Self {
        Self(AtomicBool::new(self.0.load(Ordering::Relaxed)))
    }
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

/// The tile that holds a time.
#[derive(Clone, Copy)]
struct Spot {
    start: i64,
    row: Where,
    late: bool,
}

#[derive(Clone, Copy)]
enum Where {
    /// A tile of more than one event.
    Tile(usize),
    /// A tile of one event; the tile of several goes before the second index.
    Single(usize, usize),
    /// No event yet; the first goes before this one.
    Nothing(usize),
}

/// Room for merging tiles.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) merged: Loose,
    pub(crate) single: Loose,
    borders: Borders,
}

impl Room {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            merged: Loose::new(layout.tile),
            single: Loose::new(layout.tile),
            borders: Borders::new(layout),
        }
    }
}

impl Tiles {
    /// The state of a key before its first event, which becomes available at `now`.
    pub(crate) fn new(layout: &Layout, now: i64) -> Self {
        let upkeep = floor(now, layout.base());
        let kept = layout.keep.map(|_| Box::default());
        Self {
            now,
            upkeep,
            rows: Timeline::default(),
            kept,
            beside: Beside::new(layout),
            totals: None,
            read: Mark::default(),
            held: Held::default(),
        }
    }

    /// Take in the next event.
    pub(crate) fn apply(
        &mut self,
        layout: &Layout,
        time: i64,
        available_at: i64,
        event: Row<'_>,
        room: &mut Room,
    ) -> Placed {
        if available_at > self.now {
            self.now = available_at;
            self.count_waiting(layout);
            if self.now - self.upkeep >= layout.base() {
                self.roll_up(layout, room);
            }
        }
        if time >= self.now {
            // Of one time the last to arrive comes last.
            let i = match self.rows.last(layout, Kind::Waiting) {
                Some(last) if last > time => {
                    self.rows.lower_bound(layout, Kind::Waiting, time.saturating_add(1))
                }
                _ => self.rows.len(Kind::Waiting),
            };
            self.rows.insert_event(layout, Kind::Waiting, i, time, event);
            return Placed::InOrder;
        }
        if let Some(beside) = &mut self.beside {
            beside.add(layout, self.now, time, event);
        }
        let keep = layout.keep.is_some_and(|keep| time >= self.now.saturating_sub(keep));
        if let Some(kept) = self.kept.as_mut().filter(|_| keep) {
            kept.insert(layout, time, event);
        }
        let Some(spot) = self.spot(layout, time) else { return Placed::Unreachable };
        match spot.row {
            Where::Tile(i) => self.fold(layout, i, time, event),
            Where::Single(single, tile) => {
                self.promote(layout, single, tile, spot.start);
                self.fold(layout, tile, time, event);
            }
            Where::Nothing(i) => self.rows.insert_event(layout, Kind::Single, i, time, event),
        }
        if time < self.upkeep
            && let Some(totals) = &mut self.totals
        {
            totals.changed(layout, &self.rows, self.upkeep, self.kept.as_deref(), time, room);
        }
        if spot.late { Placed::Late } else { Placed::InOrder }
    }

    /// Read the first and the last of its own words, so that it comes into the processor's cache.
    pub(crate) fn touch(&self) -> u64 {
        self.now.cast_unsigned() ^ u64::from(self.read.0.load(Ordering::Relaxed))
    }

    /// Read the words of its rows that [`Tiles::apply`] will want, so that they come into the processor's cache.
    pub(crate) fn touch_rows(&self) -> u64 {
        self.rows.touch()
    }

    /// Whether the vectors of a saved state fit the layout.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        let kept = self.kept.as_ref().is_none_or(|kept| kept.fits(layout));
        self.rows.fits(layout)
            && kept
            && Beside::fits(self.beside.as_deref(), layout)
            && self.kept.is_some() == layout.keep.is_some()
            && self.upkeep == floor(self.now, layout.base())
    }

    /// Say that the key is read. A busy one keeps its merges from the next tile on.
    pub(crate) fn mark_read(&self) {
        self.held.mark_used();
        if !self.read.0.load(Ordering::Relaxed) {
            self.read.0.store(true, Ordering::Relaxed);
        }
    }

    /// When no window reaches its events any more, in microseconds: a late one would find a new key's state.
    pub(crate) fn expires(&self, layout: &Layout) -> i64 {
        let last = self.rows.last(layout, Kind::Waiting).map_or(self.now, |waiting| waiting.max(self.now));
        layout.forgets_after().map_or(i64::MAX, |after| last.saturating_add(after))
    }

    /// Count the bytes behind its rows: the objects of the rows, kept events, sessions, merges.
    pub(crate) fn count_behind(&mut self) {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.bytes());
        let beside = self.beside.as_ref().map_or(0, |beside| beside.bytes());
        let totals = self.totals.as_ref().map_or(0, |totals| totals.bytes());
        self.held.set_behind(self.rows.object_bytes() + kept + beside + totals);
    }

    /// Whether there is anything behind its rows, or was.
    pub(crate) fn behind_matters(&self) -> bool {
        self.held.behind() > 0
            || self.kept.is_some()
            || self.beside.is_some()
            || self.totals.is_some()
            || self.rows.has_objects()
    }

    fn fold(&mut self, layout: &Layout, tile: usize, time: i64, event: Row<'_>) {
        layout.fold(&mut self.rows.tile_mut(layout, tile), event, time);
    }

    /// Make a tile of several events of a single one.
    fn promote(&mut self, layout: &Layout, single: usize, tile: usize, start: i64) {
        self.rows.insert_tile(layout, tile, start);
        self.rows.fold_into(layout, tile, Kind::Single, single);
        self.rows.remove(layout, Kind::Single, single, single + 1);
    }

    /// The tile for an event of `time`; nothing if no window reaches it any more.
    fn spot(&self, layout: &Layout, time: i64) -> Option<Spot> {
        let newest_tile = self.rows.last(layout, Kind::Tile);
        let newest_single = self.rows.last(layout, Kind::Single);
        // Mostly the event belongs to the newest tile, which is found without a division.
        if let Some(start) = newest_tile
            && start <= time
            && time.saturating_sub(start) < layout.base()
            && newest_single.is_none_or(|single| single < start)
        {
            let row = Where::Tile(self.rows.len(Kind::Tile) - 1);
            return Some(Spot { start, row, late: false });
        }
        let (start, end) = self.tile_of(layout, time)?;
        let late = [newest_tile, newest_single].into_iter().flatten().any(|newest| newest >= end);
        let tile = self.rows.lower_bound(layout, Kind::Tile, start);
        if tile < self.rows.len(Kind::Tile) && self.rows.time(layout, Kind::Tile, tile) == start {
            return Some(Spot { start, row: Where::Tile(tile), late });
        }
        let single = self.rows.lower_bound(layout, Kind::Single, start);
        let taken =
            single < self.rows.len(Kind::Single) && self.rows.time(layout, Kind::Single, single) < end;
        let row = if taken { Where::Single(single, tile) } else { Where::Nothing(single) };
        Some(Spot { start, row, late })
    }

    /// Start and end of the tile that holds `time`.
    fn tile_of(&self, layout: &Layout, time: i64) -> Option<(i64, i64)> {
        let base = layout.base();
        if time >= self.upkeep && time - self.upkeep < base {
            return Some((self.upkeep, self.upkeep.saturating_add(base)));
        }
        let layer = (0..layout.layers.len()).find(|layer| {
            // The border is at most a tile before the reach, so that the reach decides without a division.
            time >= self.upkeep.saturating_sub(layout.layers[*layer].reach)
                || time >= layout.border(*layer, self.upkeep)
        })?;
        let start = floor(time, layout.layers[layer].size);
        // The tile without a start of its own ends where the layer below begins.
        let end = match (layout.layers[layer].size, layer.checked_sub(1)) {
            (ETERNITY, Some(below)) => layout.border(below, self.upkeep),
            (size, _) => tile_end(start, size),
        };
        Some((start, end))
    }

    /// Fold the waiting events whose time has passed.
    fn count_waiting(&mut self, layout: &Layout) {
        while self.rows.len(Kind::Waiting) > 0 && self.rows.time(layout, Kind::Waiting, 0) < self.now {
            let time = self.rows.time(layout, Kind::Waiting, 0);
            if let Some(beside) = &mut self.beside {
                beside.add(layout, self.now, time, self.rows.row(layout, Kind::Waiting, 0));
            }
            if let Some(kept) = &mut self.kept {
                kept.insert(layout, time, self.rows.row(layout, Kind::Waiting, 0));
            }
            // It was not over when it came, so that it lies in the open tile or after it.
            match self.spot(layout, time).map(|spot| (spot.row, spot.start)) {
                Some((Where::Tile(i), _)) => self.count_first_waiting(layout, i),
                Some((Where::Single(single, tile), start)) => {
                    self.promote(layout, single, tile, start);
                    self.count_first_waiting(layout, tile);
                }
                Some((Where::Nothing(_), _)) | None => self.rows.count_first_waiting(),
            }
        }
    }

    fn count_first_waiting(&mut self, layout: &Layout, tile: usize) {
        self.rows.fold_into(layout, tile, Kind::Waiting, 0);
        self.rows.remove(layout, Kind::Waiting, 0, 1);
    }
}
