//! Reading the windows of one key at an instant.
//!
//! A window is what its layers hold, merged from the newest to the oldest: the open tile with the waiting
//! events before the instant; then, layer by layer, the tiles from the layer's flip on (merged from the oldest
//! to the newest) and those before it (from the newest to the oldest, to the far end), each in front of all
//! that is newer; with an exact tail, last, the events of the tile that the far end cuts, one by one. Windows share what they have
//! in common, and a busy key has most of it merged already; neither changes the order.

use perennial_types::Value;

use crate::ladder::floor;
use crate::layout::{Kind, Layout};
use crate::state::value;
use crate::tiles::Tiles;
use crate::timeline::{self, Loose, Shape};
use crate::totals::{first_whole, flip, head, prepend, prepend_events};
use crate::{Tail, beside};

/// Write the aggregated values at `at` (microseconds) over those of `values`, in the order of the outputs;
/// nothing for an unknown key.
pub(crate) fn read(
    layout: &Layout,
    key: Option<&Tiles>,
    at: i64,
    room: &mut ReadRoom,
    values: &mut Vec<Value>,
) {
    values.clear();
    values.resize(layout.outputs, Value::Null);
    room.fit(layout);
    let mut reader = Reader { layout, at, room, values };
    match key {
        Some(key) => {
            // Of the past of a key newer tiles do not count, so that nothing is shared.
            let shared = at >= key.upkeep;
            if shared {
                key.mark_read();
                reader.read(key);
            }
            for window in 0..layout.windows.len() {
                if !shared || layout.windows[window].reach().is_none() {
                    reader.read_alone(key, window);
                }
            }
        }
        None => {
            reader.room.total.clear();
            (0..layout.windows.len()).for_each(|window| reader.write(window));
        }
    }
}

/// Room for a read, used again for the next one, of whatever view.
#[derive(Clone, Debug, Default)]
pub struct ReadRoom {
    shape: Shape,
    /// Everything newer than the layer that is being read; then with the layer's tiles from its flip on.
    rest: Loose,
    /// Tiles of the layer before its flip, from some far end on.
    older: Loose,
    /// One window.
    total: Loose,
    cut: Loose,
    one: Loose,
    spare: Loose,
}

impl ReadRoom {
    fn fit(&mut self, layout: &Layout) {
        if self.shape != layout.tile {
            let loose = || Loose::new(layout.tile);
            *self = Self {
                shape: layout.tile,
                rest: loose(),
                older: loose(),
                total: loose(),
                cut: loose(),
                one: loose(),
                spare: loose(),
            };
        }
    }
}

/// A read on its way.
struct Reader<'a> {
    layout: &'a Layout,
    at: i64,
    room: &'a mut ReadRoom,
    values: &'a mut [Value],
}

impl Reader<'_> {
    /// Read every window, from the lowest layer to the highest.
    fn read(&mut self, key: &Tiles) {
        let layout = self.layout;
        self.open(key, i64::MIN, self.at);
        let (mut next, mut apart) = (0, Vec::new());
        for layer in 0..layout.layers.len() {
            let flip = self.newer(key, layer);
            self.room.older.clear();
            let mut reached = flip;
            while let Some(window) = layout.by_layer.get(next)
                && layout.windows[*window].layer == layer
            {
                next += 1;
                let first = self.first(*window);
                if first > reached {
                    // It begins after the flip, or in a lower layer, or after one that was read already.
                    apart.push(*window);
                    continue;
                }
                self.total(key, layer, first, reached);
                reached = first;
                self.cut(key, *window);
                self.write(*window);
            }
            if next < layout.by_layer.len() {
                self.total(key, layer, layout.border(layer, key.upkeep), reached);
                std::mem::swap(&mut self.room.total, &mut self.room.rest);
                layout.forget(layer + 1, &mut self.room.rest.row_mut());
            }
        }
        apart.into_iter().for_each(|window| self.read_alone(key, window));
    }

    /// Read one window without the others.
    fn read_alone(&mut self, key: &Tiles, window: usize) {
        match self.layout.windows[window].kind {
            Kind::Sliding { .. } | Kind::Lifetime => self.merge_tiles(key, self.first(window), self.at),
            Kind::Tumbling { span } => {
                let end = floor(self.at, span);
                self.merge_tiles(key, end.saturating_sub(span), end);
            }
            Kind::Session(_) | Kind::Last { .. } => {
                let total = &mut self.room.total;
                total.clear();
                beside::merge_window(
                    self.layout,
                    &self.layout.windows[window],
                    key,
                    self.at,
                    &mut total.row_mut(),
                );
            }
        }
        self.cut(key, window);
        self.write(window);
    }

    /// Have in `total` the tiles from `first` up to `to`, and the waiting events.
    fn merge_tiles(&mut self, key: &Tiles, first: i64, to: i64) {
        let layout = self.layout;
        self.open(key, first, to);
        for layer in 0..layout.layers.len() {
            let end = head(layout, layer, key.upkeep);
            if end <= first {
                break;
            }
            let flip = flip(layout, layer, end);
            let from = first.max(layout.border(layer, key.upkeep));
            self.merge_newer(key, flip.max(from), end.min(to));
            self.room.older.clear();
            self.merge_older(key, from, flip.min(to));
            self.close_layer();
        }
        let ReadRoom { total, rest, .. } = &mut *self.room;
        std::mem::swap(total, rest);
    }

    /// Where the whole tiles of a window begin.
    fn first(&self, window: usize) -> i64 {
        let size = self.layout.layers[self.layout.windows[window].layer].size;
        match self.layout.windows[window].reach() {
            Some((span, Tail::Hop)) => floor(self.at.saturating_sub(span), size),
            Some((_, Tail::Exact)) | None => first_whole(self.layout, window, self.at),
        }
    }

    /// The layer's tiles before its flip become part of the rest.
    fn close_layer(&mut self) {
        let ReadRoom { older, rest, .. } = &mut *self.room;
        self.layout.merge(&mut older.row_mut(), rest.row());
        std::mem::swap(older, rest);
    }

    /// Begin with the open tile and the waiting events, from `from` up to `to`.
    fn open(&mut self, key: &Tiles, from: i64, to: i64) {
        let (layout, rows) = (self.layout, &key.rows);
        let base = layout.base();
        let ReadRoom { rest, one, .. } = &mut *self.room;
        rest.clear();
        rows.forward(layout, key.upkeep.max(from), to, one, |_, tile| {
            layout.merge(&mut rest.row_mut(), tile);
        });
        let mut waiting = rows.lower_bound(layout, timeline::Kind::Waiting, from);
        let passed = rows.lower_bound(layout, timeline::Kind::Waiting, to);
        // Those of the open tile continue it; it is the only tile that is there so far.
        while waiting < passed
            && rows.time(layout, timeline::Kind::Waiting, waiting) < key.upkeep.saturating_add(base)
        {
            let time = rows.time(layout, timeline::Kind::Waiting, waiting);
            layout.fold(&mut rest.row_mut(), rows.row(layout, timeline::Kind::Waiting, waiting), time);
            waiting += 1;
        }
        while waiting < passed {
            let end = floor(rows.time(layout, timeline::Kind::Waiting, waiting), base).saturating_add(base);
            one.clear();
            while waiting < passed && rows.time(layout, timeline::Kind::Waiting, waiting) < end {
                let time = rows.time(layout, timeline::Kind::Waiting, waiting);
                let event = rows.row(layout, timeline::Kind::Waiting, waiting);
                layout.fold(&mut one.row_mut(), event, time);
                waiting += 1;
            }
            layout.merge(&mut rest.row_mut(), one.row());
        }
    }

    /// Put the tiles of a layer from its flip on in front of the rest; the flip.
    fn newer(&mut self, key: &Tiles, layer: usize) -> i64 {
        let layout = self.layout;
        if let Some(totals) = &key.totals {
            let ReadRoom { rest, spare, .. } = &mut *self.room;
            prepend(layout, totals.newer(layer), rest, spare);
            return totals.flip(layer);
        }
        let end = head(layout, layer, key.upkeep);
        let flip = flip(layout, layer, end);
        self.merge_newer(key, flip.max(layout.border(layer, key.upkeep)), end);
        flip
    }

    fn merge_newer(&mut self, key: &Tiles, from: i64, to: i64) {
        let (layout, mut some) = (self.layout, false);
        let ReadRoom { total, one, rest, spare, .. } = &mut *self.room;
        total.clear();
        key.rows.forward(layout, from, to, one, |_, tile| {
            some = true;
            layout.merge(&mut total.row_mut(), tile);
        });
        if some {
            prepend(layout, total.row(), rest, spare);
        }
    }

    /// Have in `total` the layer's tiles from `first` on, before its flip, in front of the rest; those from
    /// `reached` on are in `older` unless the key keeps its merges.
    fn total(&mut self, key: &Tiles, layer: usize, first: i64, reached: i64) {
        let layout = self.layout;
        let merged = key.totals.as_ref().map(|totals| totals.older(layout, layer, first));
        if merged.is_none() {
            self.merge_older(key, first.max(layout.border(layer, key.upkeep)), reached);
        }
        let ReadRoom { total, older, rest, .. } = &mut *self.room;
        match merged {
            Some(Some(merged)) => total.copy(merged),
            Some(None) => {
                total.copy(rest.row());
                return;
            }
            None => total.copy(older.row()),
        }
        layout.merge(&mut total.row_mut(), rest.row());
    }

    fn merge_older(&mut self, key: &Tiles, from: i64, to: i64) {
        let layout = self.layout;
        let ReadRoom { older, one, spare, .. } = &mut *self.room;
        key.rows.backward(layout, from, to, one, |_, tile| prepend(layout, tile, older, spare));
    }

    /// Put the events of a cut tile in front of the total.
    fn cut(&mut self, key: &Tiles, window: usize) {
        let layout = self.layout;
        let (Some((span, Tail::Exact)), Some(kept)) = (layout.windows[window].reach(), &key.kept) else {
            return;
        };
        let start = self.at.saturating_sub(span);
        let end = first_whole(layout, window, self.at);
        if start >= end {
            return;
        }
        // Of a read far ahead the cut tile holds waiting events, too.
        let waiting = key.rows.lower_bound(layout, timeline::Kind::Waiting, start)
            ..key.rows.lower_bound(layout, timeline::Kind::Waiting, end.min(self.at));
        let ReadRoom { total, cut, one, spare, .. } = &mut *self.room;
        let merged = key.totals.as_ref().and_then(|totals| totals.cut_at(layout, window, start, end));
        if let Some(merged) = merged.filter(|_| waiting.is_empty()) {
            if let Some(merged) = merged {
                prepend(layout, merged, total, spare);
            }
            return;
        }
        cut.clear();
        let kept = kept.range(start, end.min(self.at)).map(|i| kept.event(layout, i));
        let waiting = waiting.map(|i| {
            (
                key.rows.time(layout, timeline::Kind::Waiting, i),
                key.rows.row(layout, timeline::Kind::Waiting, i),
            )
        });
        prepend_events(layout, kept.chain(waiting), cut, [one, spare], |_, _| {});
        prepend(layout, cut.row(), total, spare);
    }

    /// The values of a window, whose total is complete.
    fn write(&mut self, window: usize) {
        for (output, op, slot) in &self.layout.windows[window].values {
            self.values[*output] = value(*op, slot, self.room.total.row(), self.at);
        }
    }
}
