//! Merges of closed tiles that a busy key which is read keeps, so that a read merges a few rows however many
//! tiles there are.
//!
//! They are not state: the same merges, in the same order, are made anew at each read of a key that keeps
//! none. The order is one that can be kept while the window slides. The tiles of a layer are cut at a `flip`,
//! a multiple of [`BLOCK`] tiles: those before it are merged from the newest to the oldest, so that every
//! far end of a window is a stop on the way; those after it are merged from the oldest to the newest, so that
//! the next closed tile continues it (two stacks; Tangwongsan, Hirzel, Schneider 2021, section 3).

use std::ops::Range;

use crate::Tail;
use crate::kept::Kept;
use crate::ladder::{ETERNITY, floor};
use crate::layout::Layout;
use crate::state::Object;
use crate::tiles::Room;
use crate::timeline::{Kind, Loose, Row, Timeline, heap_bytes};

/// Tiles between two flips of a layer. A flip merges the whole layer anew, and a window shorter than the
/// distance to the flip is merged tile by tile.
const BLOCK: i64 = 16;

/// Rows from which on merges are kept, and below which they are given up.
const BUSY: usize = 32;
const QUIET: usize = 16;

/// How often a key's open tile closes without a read before its merges are given up.
const UNREAD: u8 = 64;

/// Events in a cut tile from which on their merges are kept.
const MANY: usize = 8;

/// The merges of one key.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    layers: Vec<LayerTotals>,
    /// For each window with an exact tail, the events of the tile that the far end cuts.
    cuts: Vec<Cut>,
    /// How often the open tile closed since the last read.
    unread: u8,
}

/// The merges of one layer.
#[derive(Clone, Debug)]
struct LayerTotals {
    /// Where the layer begins, and where it ends.
    border: i64,
    head: i64,
    flip: i64,
    /// Every tile before the flip with all that follow it up to the flip, the newest first.
    older: Stack,
    /// All tiles from the flip on.
    newer: Loose,
}

/// The merges of the events of one cut tile: every event with all that follow it, the newest first.
#[derive(Clone, Debug)]
struct Cut {
    window: usize,
    /// The tile's end.
    end: i64,
    /// Whether they are so few that a read merges them itself.
    few: bool,
    merged: Stack,
}

/// Rows with times in descending order.
#[derive(Clone, Debug, Default)]
struct Stack {
    times: Vec<i64>,
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
}

impl Stack {
    fn bytes(&self) -> usize {
        8 * (self.times.capacity() + self.words.capacity())
            + size_of::<Option<Object>>() * self.objects.capacity()
            + heap_bytes(&self.objects)
    }

    fn clear(&mut self) {
        self.times.clear();
        self.words.clear();
        self.objects.clear();
    }

    fn push(&mut self, time: i64, row: Row<'_>) {
        self.times.push(time);
        self.words.extend_from_slice(row.words);
        self.objects.extend_from_slice(row.objects);
    }

    /// The oldest row at or after `time`.
    fn at_or_after(&self, layout: &Layout, time: i64) -> Option<Row<'_>> {
        let i = self.times.partition_point(|other| *other >= time).checked_sub(1)?;
        let shape = layout.tile;
        Some(Row {
            words: &self.words[i * shape.words..(i + 1) * shape.words],
            objects: &self.objects[i * shape.objects..(i + 1) * shape.objects],
        })
    }

    /// Keep only the rows at or after `time`.
    fn forget_before(&mut self, layout: &Layout, time: i64) {
        let len = self.times.partition_point(|other| *other >= time);
        self.times.truncate(len);
        self.words.truncate(len * layout.tile.words);
        self.objects.truncate(len * layout.tile.objects);
    }
}

/// Where a layer ends: the layer below begins there, or the open tile.
pub(crate) fn head(layout: &Layout, layer: usize, upkeep: i64) -> i64 {
    match layer.checked_sub(1) {
        None => upkeep,
        Some(below) => layout.border(below, upkeep),
    }
}

/// Where a layer that ends at `head` is cut.
pub(crate) fn flip(layout: &Layout, layer: usize, head: i64) -> i64 {
    floor(head, layout.layers[layer].size.saturating_mul(BLOCK))
}

/// Merge `later` with all of `earlier` before it: the result is in `later`.
pub(crate) fn prepend(layout: &Layout, earlier: Row<'_>, later: &mut Loose, room: &mut Loose) {
    room.copy(earlier);
    layout.merge(&mut room.row_mut(), later.row());
    std::mem::swap(room, later);
}

/// Merge the events of `range` into `merged` from the newest to the oldest; `visit` sees every stop.
pub(crate) fn prepend_events<'a>(
    layout: &Layout,
    events: impl DoubleEndedIterator<Item = (i64, Row<'a>)>,
    merged: &mut Loose,
    [one, room]: [&mut Loose; 2],
    mut visit: impl FnMut(i64, Row<'_>),
) {
    for (time, event) in events.rev() {
        one.clear();
        layout.fold(&mut one.row_mut(), event, time);
        prepend(layout, one.row(), merged, room);
        visit(time, merged.row());
    }
}

/// The end of the tile that the far end of an exact window cuts at `at`: the first whole tile begins there.
pub(crate) fn first_whole(layout: &Layout, window: usize, at: i64) -> i64 {
    let window = &layout.windows[window];
    let span = window.reach().map_or(0, |(span, _)| span);
    let (start, far) = (at.saturating_sub(span), layout.layers[window.layer].size);
    let first = floor(start, far);
    if first < start { first.saturating_add(far) } else { first }
}

impl Totals {
    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        let layers = self
            .layers
            .iter()
            .map(|layer| size_of::<LayerTotals>() + layer.older.bytes() + layer.newer.bytes());
        let cuts = self.cuts.iter().map(|cut| size_of::<Cut>() + cut.merged.bytes());
        size_of::<Self>() + layers.sum::<usize>() + cuts.sum::<usize>()
    }

    /// Whether a key has so many rows that merges are worth keeping once it is read.
    pub(crate) fn wanted(rows: &Timeline) -> bool {
        rows.len(Kind::Tile) + rows.len(Kind::Single) >= BUSY
    }

    /// Whether they are no longer worth it; `read` since this was asked last.
    pub(crate) fn done(&mut self, rows: &Timeline, read: bool) -> bool {
        self.unread = if read { 0 } else { self.unread.saturating_add(1) };
        self.unread > UNREAD || rows.len(Kind::Tile) + rows.len(Kind::Single) < QUIET
    }

    /// The merges of a key's closed tiles.
    pub(crate) fn new(
        layout: &Layout,
        rows: &Timeline,
        upkeep: i64,
        kept: Option<&Kept>,
        room: &mut Room,
    ) -> Self {
        let layers = (0..layout.layers.len()).map(|layer| {
            let head = head(layout, layer, upkeep);
            let mut totals = LayerTotals {
                border: layout.border(layer, upkeep),
                head,
                flip: flip(layout, layer, head),
                older: Stack::default(),
                newer: Loose::new(layout.tile),
            };
            totals.merge_older(layout, rows, layout.border(layer, upkeep), room);
            totals.merge_newer(layout, rows, layout.border(layer, upkeep), room);
            totals
        });
        let layers = layers.collect();
        let exact =
            |window: &usize| layout.windows[*window].reach().is_some_and(|(_, tail)| tail == Tail::Exact);
        let cuts = (0..layout.windows.len()).filter(exact);
        let cuts =
            cuts.map(|window| Cut { window, end: i64::MIN, few: true, merged: Stack::default() }).collect();
        let mut totals = Self { layers, cuts, unread: 0 };
        totals.cut(layout, upkeep, kept, room);
        totals
    }

    /// Follow the key's tiles after they were rolled up.
    pub(crate) fn advance(
        &mut self,
        layout: &Layout,
        rows: &Timeline,
        upkeep: i64,
        kept: Option<&Kept>,
        room: &mut Room,
    ) {
        let mut head = upkeep;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let border = layout.border(i, upkeep);
            let before = std::mem::replace(&mut layer.head, head);
            let border_before = std::mem::replace(&mut layer.border, border);
            // The layer above ends where this one begins.
            let head = std::mem::replace(&mut head, border);
            if (border, head) == (border_before, before) {
                continue;
            }
            let flip = flip(layout, i, head);
            if flip != layer.flip {
                layer.flip = flip;
                layer.merge_older(layout, rows, border, room);
                layer.merge_newer(layout, rows, border, room);
                continue;
            }
            layer.older.forget_before(layout, border);
            // The tile without end is one that grows, not one that is followed by others.
            if border > flip || layout.layers[i].size == ETERNITY {
                layer.merge_newer(layout, rows, border, room);
            } else {
                let newer = &mut layer.newer;
                rows.forward(layout, before, head, &mut room.single, |_, tile| {
                    layout.merge(&mut newer.row_mut(), tile);
                });
            }
        }
        self.cut(layout, upkeep, kept, room);
    }

    /// Follow a change of the closed tile that holds `time`.
    pub(crate) fn changed(
        &mut self,
        layout: &Layout,
        rows: &Timeline,
        upkeep: i64,
        kept: Option<&Kept>,
        time: i64,
        room: &mut Room,
    ) {
        let layer = (0..self.layers.len()).find(|layer| time >= layout.border(*layer, upkeep));
        if let Some((i, layer)) = layer.and_then(|i| Some((i, self.layers.get_mut(i)?))) {
            let border = layout.border(i, upkeep);
            match time >= layer.flip {
                true => layer.merge_newer(layout, rows, border, room),
                false => layer.merge_older(layout, rows, border, room),
            }
        }
        for cut in &mut self.cuts {
            let far = layout.layers[layout.windows[cut.window].layer].size;
            if time < cut.end && time >= cut.end - far {
                cut.merge(layout, kept, room);
            }
        }
    }

    /// All tiles of a layer from `from` on, if `from` is not after the flip.
    pub(crate) fn older(&self, layout: &Layout, layer: usize, from: i64) -> Option<Row<'_>> {
        self.layers[layer].older.at_or_after(layout, from)
    }

    /// Where a layer is cut.
    pub(crate) fn flip(&self, layer: usize) -> i64 {
        self.layers[layer].flip
    }

    /// All tiles of a layer from its flip on.
    pub(crate) fn newer(&self, layer: usize) -> Row<'_> {
        self.layers[layer].newer.row()
    }

    /// The events from `start` on of the tile of an exact window that ends at `end`: nothing if they were not
    /// merged, and within that nothing if there are none.
    pub(crate) fn cut_at(
        &self,
        layout: &Layout,
        window: usize,
        start: i64,
        end: i64,
    ) -> Option<Option<Row<'_>>> {
        let cut = self.cuts.iter().find(|cut| cut.window == window && cut.end == end && !cut.few)?;
        Some(cut.merged.at_or_after(layout, start))
    }

    /// Merge the events of the tiles that are cut when the key is read now.
    fn cut(&mut self, layout: &Layout, upkeep: i64, kept: Option<&Kept>, room: &mut Room) {
        for cut in &mut self.cuts {
            // Reads are after the start of the open tile.
            let end = first_whole(layout, cut.window, upkeep.saturating_add(1));
            if end != cut.end {
                cut.end = end;
                cut.merge(layout, kept, room);
            }
        }
    }
}

impl LayerTotals {
    fn merge_older(&mut self, layout: &Layout, rows: &Timeline, border: i64, room: &mut Room) {
        self.older.clear();
        let Room { merged, single, .. } = room;
        merged.clear();
        let mut spare = Loose::new(layout.tile);
        rows.backward(layout, border, self.flip.min(self.head), single, |time, tile| {
            prepend(layout, tile, merged, &mut spare);
            self.older.push(time, merged.row());
        });
    }

    fn merge_newer(&mut self, layout: &Layout, rows: &Timeline, border: i64, room: &mut Room) {
        self.newer.clear();
        rows.forward(layout, self.flip.max(border), self.head, &mut room.single, |_, tile| {
            layout.merge(&mut self.newer.row_mut(), tile);
        });
    }
}

impl Cut {
    fn merge(&mut self, layout: &Layout, kept: Option<&Kept>, room: &mut Room) {
        self.merged.clear();
        let Some(kept) = kept else { return };
        let far = layout.layers[layout.windows[self.window].layer].size;
        let range: Range<usize> = kept.range(self.end.saturating_sub(far), self.end);
        self.few = range.len() < MANY;
        if self.few {
            return;
        }
        let Room { merged, single, .. } = room;
        merged.clear();
        let mut spare = Loose::new(layout.tile);
        let events = range.map(|i| kept.event(layout, i));
        let stack = &mut self.merged;
        prepend_events(layout, events, merged, [single, &mut spare], |time, row| stack.push(time, row));
    }
}
