//! What happens to a key's tiles when its time moves on.

use std::ops::Range;

use super::{Room, Tiles};
use crate::ladder::{ETERNITY, floor, tile_end};
use crate::layout::Layout;
use crate::timeline::{Kind, Timeline};
use crate::totals::Totals;

impl Tiles {
    /// Drop what no window reaches any more, and merge tiles that only longer windows reach into the tiles
    /// of those.
    pub(super) fn roll_up(&mut self, layout: &Layout, room: &mut Room) {
        let before = self.upkeep;
        self.upkeep = room.borders.base(self.now);
        let top = layout.layers.len() - 1;
        let horizon = room.borders.border(layout, top, self.upkeep);
        for kind in [Kind::Tile, Kind::Single] {
            if self.rows.first(layout, kind).is_some_and(|oldest| oldest < horizon) {
                let gone = self.rows.lower_bound(layout, kind, horizon);
                self.rows.remove(layout, kind, 0, gone);
            }
        }
        for layer in 0..top {
            let to = room.borders.border(layout, layer, self.upkeep);
            let oldest = before.saturating_sub(layout.layers[layer].reach);
            // Otherwise the border did not move: the one before is at or before this, and it has no less.
            if to > oldest {
                let above = layout.layers[layer + 1].size;
                // The border before is at most one of the tiles above it further back.
                if !self.may_merge(layout, oldest.saturating_sub(above), to, above) {
                    continue;
                }
                // What goes into the tile without end meets the one that is there.
                let from = if above == ETERNITY { i64::MIN } else { layout.border(layer, before) };
                self.merge_children(layout, layer + 1, from..to, room);
            }
        }
        if let (Some(kept), Some(keep)) = (&mut self.kept, layout.keep) {
            kept.forget_before(layout, self.now.saturating_sub(keep));
        }
        let read = std::mem::take(self.read.0.get_mut());
        let (rows, kept) = (&self.rows, self.kept.as_deref());
        if self.totals.as_mut().is_some_and(|totals| totals.done(rows, read)) {
            self.totals = None;
        }
        match &mut self.totals {
            Some(totals) => totals.advance(layout, rows, self.upkeep, kept, room),
            None if read && Totals::wanted(rows) => {
                self.totals = Some(Box::new(Totals::new(layout, rows, self.upkeep, kept, room)));
            }
            None => {}
        }
    }

    /// Whether tiles of `[from, to)` may change by becoming tiles of `size`: a single event does not, unless there
    /// is another one near. It asks less than what it saves.
    fn may_merge(&self, layout: &Layout, from: i64, to: i64, size: i64) -> bool {
        let newest = |kind, i: usize| i.checked_sub(1).map(|i| self.rows.time(layout, kind, i));
        let tile = newest(Kind::Tile, self.rows.lower_bound(layout, Kind::Tile, to));
        if tile.is_some_and(|start| start >= from) {
            return true;
        }
        let mut single = self.rows.lower_bound(layout, Kind::Single, to);
        let mut later = None;
        while let Some(time) = newest(Kind::Single, single)
            && time >= from
        {
            if later.is_some_and(|later: i64| later - time < size) {
                return true;
            }
            (later, single) = (Some(time), single - 1);
        }
        false
    }

    /// Replace the tiles of some time by their parents in `layer`; a parent is the merge of its children
    /// in order. A single event needs no parent: it is its own tile at any size.
    fn merge_children(&mut self, layout: &Layout, layer: usize, times: Range<i64>, room: &mut Room) {
        let (Range { start: from, end: to }, size) = (times, layout.layers[layer].size);
        let bound = |rows: &Timeline, kind, time| rows.lower_bound(layout, kind, time);
        let mut tile = bound(&self.rows, Kind::Tile, from);
        let mut single = bound(&self.rows, Kind::Single, from);
        let mut tiles = bound(&self.rows, Kind::Tile, to) - tile;
        let mut singles = bound(&self.rows, Kind::Single, to) - single;
        while tiles > 0 || singles > 0 {
            let time = |kind, i, left: usize| (left > 0).then(|| self.rows.time(layout, kind, i));
            let first = [time(Kind::Tile, tile, tiles), time(Kind::Single, single, singles)]
                .into_iter()
                .flatten()
                .min();
            let parent = floor(first.unwrap_or(from), size);
            let end = tile_end(parent, size).min(to);
            let within = |kind, i: usize, left: usize| {
                (0..left).take_while(|more| self.rows.time(layout, kind, i + more) < end).count()
            };
            let (here, alone) = (within(Kind::Tile, tile, tiles), within(Kind::Single, single, singles));
            tiles -= here;
            singles -= alone;
            match (here, alone) {
                (0, 1) => single += 1,
                (1, 0) => {
                    self.rows.set_start(layout, tile, parent);
                    layout.forget(layer, &mut self.rows.tile_mut(layout, tile));
                    tile += 1;
                }
                _ => {
                    let Room { merged, single: one, .. } = room;
                    merged.clear();
                    self.rows.forward(layout, parent.max(from), end, one, |_, child| {
                        layout.merge(&mut merged.row_mut(), child);
                    });
                    layout.forget(layer, &mut merged.row_mut());
                    if here == 0 {
                        self.rows.insert_tile(layout, tile, parent);
                    }
                    self.rows.set_tile(layout, tile, parent, merged);
                    self.rows.remove(layout, Kind::Tile, tile + 1, tile + here);
                    self.rows.remove(layout, Kind::Single, single, single + alone);
                    tile += 1;
                }
            }
        }
    }
}
