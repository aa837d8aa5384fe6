//! Reading the windows of one key at an instant.

use std::ops::Range;

use perennial_types::Value;

use crate::ladder::floor;
use crate::layout::{Kind, Layout, Window};
use crate::state::{Object, fold, merge, value};
use crate::tiles::Tiles;
use crate::timeline::{Row, RowMut, Shape};
use crate::{Tail, beside};

/// The aggregated values at `at` (microseconds), in the order of the outputs; nothing for an unknown key.
///
/// A window is read from its far end to its head: with an exact tail first the events of the cut tile, in
/// order of event time; then the tiles in order of start, children of one larger tile merged into it first;
/// in the tiles that waiting events belong to, those before `at` folded on top.
pub(crate) fn read(layout: &Layout, key: Option<&Tiles>, at: i64) -> Vec<Value> {
    let mut values = vec![Value::Null; layout.outputs];
    let mut merged = Merged::new(layout);
    for window in &layout.windows {
        merged.clear();
        if let Some(key) = key {
            match window.kind {
                Kind::Sliding { span, tail } => {
                    let range = at.saturating_sub(span)..at;
                    merge_window(layout, window, tail, key, range, &mut merged);
                }
                Kind::Tumbling { span } => {
                    let end = floor(at, span);
                    merge_window(layout, window, Tail::Hop, key, end.saturating_sub(span)..end, &mut merged);
                }
                Kind::Lifetime => merge_window(layout, window, Tail::Hop, key, i64::MIN..at, &mut merged),
                Kind::Session(_) | Kind::Last { .. } => {
                    let top = merged.top;
                    beside::merge_window(layout, window, key, at, &mut merged.row_mut(top));
                }
            }
        }
        let total = merged.row(merged.top);
        for (output, op, slot) in &window.values {
            values[*output] = value(*op, slot, total, at);
        }
    }
    values
}

/// Merge the tiles and events of a window, of times from `range.start` up to `range.end`.
fn merge_window(
    layout: &Layout,
    window: &Window,
    tail: Tail,
    key: &Tiles,
    range: Range<i64>,
    merged: &mut Merged,
) {
    let Range { start, end: at } = range;
    merged.top = window.layer + 1;
    let far = layout.layers[window.layer].size;
    let mut first_tile = floor(start, far);
    let mut waiting = match tail {
        Tail::Hop => key.waiting.lower_bound(first_tile),
        Tail::Exact => key.waiting.lower_bound(start),
    };
    let passed = key.waiting.lower_bound(at);
    if tail == Tail::Exact && first_tile < start {
        first_tile = first_tile.saturating_add(far);
        let kept = key.kept.lower_bound(start)..key.kept.lower_bound(first_tile);
        let total = merged.top;
        for i in kept {
            let (time, event) = (key.kept.times()[i], key.kept.row(layout.event, i));
            fold(&window.slots, &mut merged.row_mut(total), event, time);
        }
        while waiting < passed && key.waiting.times()[waiting] < first_tile {
            let (time, event) = (key.waiting.times()[waiting], key.waiting.row(layout.event, waiting));
            fold(&window.slots, &mut merged.row_mut(total), event, time);
            waiting += 1;
        }
    }
    let mut tiles = key.tiles.lower_bound(first_tile)..key.tiles.lower_bound(at);
    // Waiting events lie in the newest tile or after it; that tile is continued, not merged as it is.
    let continued = waiting < passed
        && tiles.end == key.tiles.len()
        && key.tiles.times().last() == Some(&floor(key.waiting.times()[waiting], layout.base()));
    if continued && !tiles.is_empty() {
        tiles.end -= 1;
    }
    let borders: Vec<i64> = (0..window.layer).map(|layer| layout.border(layer, key.upkeep)).collect();
    let mut layer = window.layer;
    for i in tiles.clone() {
        let start = key.tiles.times()[i];
        while layer > 0 && start >= borders[layer - 1] {
            layer -= 1;
        }
        merged.add(layout, window, layer, start, key.tiles.row(layout.tile, i));
    }
    let mut newest = continued.then(|| key.tiles.row(layout.tile, tiles.end));
    while waiting < passed {
        let start = floor(key.waiting.times()[waiting], layout.base());
        let end = key.waiting.lower_bound(start.saturating_add(layout.base())).min(passed);
        merged.copy_to_leaf(newest.take());
        for i in waiting..end {
            let (time, event) = (key.waiting.times()[i], key.waiting.row(layout.event, i));
            fold(&window.slots, &mut merged.row_mut(0), event, time);
        }
        merged.add_leaf(layout, window, start);
        waiting = end;
    }
    merged.finish(layout, window);
}

/// Partial merges on the way from tiles to the whole window. Level 0 is the tile that waiting events are
/// folded into; level `k` is the open tile of layer `k`, whose children are being merged; the level above
/// the window's layer is the window itself.
struct Merged {
    shape: Shape,
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
    /// The end of the open tile of each level, where one is open.
    ends: Vec<Option<i64>>,
    /// The level of the window itself.
    top: usize,
}

impl Merged {
    fn new(layout: &Layout) -> Self {
        let levels = layout.layers.len() + 1;
        Self {
            shape: layout.tile,
            words: vec![0; levels * layout.tile.words],
            objects: vec![None; levels * layout.tile.objects],
            ends: vec![None; levels],
            top: levels - 1,
        }
    }

    fn clear(&mut self) {
        self.words.fill(0);
        self.objects.fill(None);
        self.ends.fill(None);
    }

    fn row(&self, level: usize) -> Row<'_> {
        let Shape { words, objects } = self.shape;
        Row {
            words: &self.words[level * words..(level + 1) * words],
            objects: &self.objects[level * objects..(level + 1) * objects],
        }
    }

    fn row_mut(&mut self, level: usize) -> RowMut<'_> {
        let Shape { words, objects } = self.shape;
        RowMut {
            words: &mut self.words[level * words..(level + 1) * words],
            objects: &mut self.objects[level * objects..(level + 1) * objects],
        }
    }

    /// Merge a tile of `layer` that starts at `start` into its parent.
    fn add(&mut self, layout: &Layout, window: &Window, layer: usize, start: i64, tile: Row<'_>) {
        self.close_before(layout, window, start);
        self.open(layout, layer + 1, start);
        merge(&window.slots, &mut self.row_mut(layer + 1), tile);
    }

    /// Make level 0 a copy of a tile, or the empty tile.
    fn copy_to_leaf(&mut self, tile: Option<Row<'_>>) {
        let leaf = self.row_mut(0);
        match tile {
            Some(tile) => {
                leaf.words.copy_from_slice(tile.words);
                leaf.objects.clone_from_slice(tile.objects);
            }
            None => {
                leaf.words.fill(0);
                leaf.objects.fill(None);
            }
        }
    }

    /// Merge level 0, a tile that starts at `start`, into its parent.
    fn add_leaf(&mut self, layout: &Layout, window: &Window, start: i64) {
        self.close_before(layout, window, start);
        self.open(layout, 1, start);
        self.merge_up(window, 0);
    }

    /// Merge what is still open.
    fn finish(&mut self, layout: &Layout, window: &Window) {
        self.close_before(layout, window, i64::MAX);
    }

    /// Merge the open tiles that end at or before `start` into their parents.
    fn close_before(&mut self, layout: &Layout, window: &Window, start: i64) {
        for level in 1..self.top {
            if let Some(end) = self.ends[level]
                && end <= start
            {
                self.ends[level] = None;
                self.open(layout, level + 1, end - 1);
                self.merge_up(window, level);
                let closed = self.row_mut(level);
                closed.words.fill(0);
                closed.objects.fill(None);
            }
        }
    }

    /// Open the tile of `level` that holds `time`, unless one is open.
    fn open(&mut self, layout: &Layout, level: usize, time: i64) {
        if level < self.top && self.ends[level].is_none() {
            let size = layout.layers[level].size;
            self.ends[level] = Some(floor(time, size).saturating_add(size));
        }
    }

    /// Merge a level into the one above.
    fn merge_up(&mut self, window: &Window, level: usize) {
        let Shape { words, objects } = self.shape;
        let (below, above) = self.words.split_at_mut((level + 1) * words);
        let (below_objects, above_objects) = self.objects.split_at_mut((level + 1) * objects);
        let mut parent = RowMut { words: &mut above[..words], objects: &mut above_objects[..objects] };
        merge(
            &window.slots,
            &mut parent,
            Row { words: &below[level * words..], objects: &below_objects[level * objects..] },
        );
    }
}
