//! Where the state of a view's aggregates lies, and what each window reads of it.

use perennial_types::{DataType, TimeSpan};

use crate::ladder::{floor, tile_size};
use crate::state::{Part, Slot};
use crate::timeline::Shape;
use crate::{Op, Tail};

/// One choice of `of`, `with` and `where`, evaluated once per event however many aggregates use it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Which expression gives its values; nothing where it only counts.
    pub(crate) of: Option<usize>,
    /// Which expression gives the values of its second column.
    pub(crate) with: Option<usize>,
    /// Which expression must be true.
    pub(crate) filter: Option<usize>,
    /// The type of its values; Int64 where it only counts.
    pub(crate) data_type: DataType,
    /// The type of its second column's values.
    pub(crate) with_type: DataType,
    /// The word of its value in the row of an event.
    pub(crate) event_word: usize,
    /// The object of its value in the row of an event, if it is a text.
    pub(crate) event_object: usize,
    /// The word of its second column's value in the row of an event.
    pub(crate) event_with: usize,
}

impl Default for Lane {
    /// A lane that counts events.
    fn default() -> Self {
        Self {
            of: None,
            with: None,
            filter: None,
            data_type: DataType::Int64,
            with_type: DataType::Int64,
            event_word: 0,
            event_object: 0,
            event_with: 0,
        }
    }
}

/// One aggregate over one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) lane: usize,
    pub(crate) op: Op,
    pub(crate) span: TimeSpan,
    pub(crate) tail: Tail,
}

/// The tiles of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Microseconds.
    pub(crate) size: i64,
    /// The longest window whose far end is made of tiles of this size, in microseconds.
    pub(crate) reach: i64,
}

/// A window and what is read over it.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Microseconds.
    pub(crate) span: i64,
    pub(crate) tail: Tail,
    /// The layer of the tile at its far end.
    pub(crate) layer: usize,
    /// The parts that are merged over it; of each lane the count last.
    pub(crate) slots: Vec<Slot>,
    /// Index of the output, op, and the part it is made of.
    pub(crate) values: Vec<(usize, Op, Slot)>,
}

/// Where everything lies. The same for all keys of a view.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The row of an event: mask words with a bit for each lane that has a value, then a word for each lane.
    pub(crate) event: Shape,
    /// The row of a tile.
    pub(crate) tile: Shape,
    /// Every part of every lane.
    pub(crate) slots: Vec<Slot>,
    /// The sizes of tiles in use, ascending; each divides the next.
    pub(crate) layers: Vec<Layer>,
    pub(crate) windows: Vec<Window>,
    /// How long events themselves are kept, in microseconds: the longest window with an exact tail.
    pub(crate) keep: Option<i64>,
    /// Number of aggregated outputs.
    pub(crate) outputs: usize,
}

impl Layout {
    /// The layout for `wanted`, of which there is at least one; the lanes' places in the row of an event
    /// are assigned.
    pub(crate) fn new(lanes: &mut [Lane], wanted: &[Wanted]) -> Self {
        let event = place_events(lanes);
        let mut tile = Shape::default();
        let slots: Vec<Slot> = (0..lanes.len())
            .flat_map(|lane| {
                let ops = wanted.iter().filter(|other| other.lane == lane).map(|other| other.op);
                place_slots(&mut tile, lane, &lanes[lane], ops)
            })
            .collect();
        let layers = layers(wanted);
        let mut windows: Vec<Window> = Vec::new();
        for (output, want) in wanted.iter().enumerate() {
            let span = want.span.micros();
            let part = Part::of(want.op, lanes[want.lane].of.is_some());
            let at = windows.iter().position(|window| window.span == span && window.tail == want.tail);
            let at = at.unwrap_or_else(|| {
                let layer = layers.partition_point(|layer| layer.size < tile_size(span));
                windows.push(Window { span, tail: want.tail, layer, slots: Vec::new(), values: Vec::new() });
                windows.len() - 1
            });
            let slot = slots.iter().find(|slot| slot.lane == want.lane && slot.part == part);
            windows[at].values.extend(slot.map(|slot| (output, want.op, *slot)));
        }
        for window in &mut windows {
            let read = |slot: &&Slot| {
                let mut lane = window.values.iter().filter(|(_, _, other)| other.lane == slot.lane);
                lane.any(|(_, _, other)| slot.part == Part::Count || slot.part == other.part)
            };
            window.slots = slots.iter().filter(read).copied().collect();
        }
        let exact = wanted.iter().filter(|want| want.tail == Tail::Exact);
        let keep = exact.map(|want| want.span.micros()).max();
        Self { event, tile, slots, layers, windows, keep, outputs: wanted.len() }
    }

    /// The number of words that say which lanes of an event have a value.
    pub(crate) fn mask_words(lanes: usize) -> usize {
        lanes.div_ceil(64)
    }

    /// The size of the smallest tiles, in microseconds.
    pub(crate) fn base(&self) -> i64 {
        self.layers[0].size
    }

    /// The longest window, in microseconds.
    pub(crate) fn horizon(&self) -> i64 {
        self.layers[self.layers.len() - 1].reach
    }

    /// Where layer `layer` begins in the past of a key that was last kept in order at `upkeep`: tiles that
    /// start before are of the layer above, or dropped where there is none.
    pub(crate) fn border(&self, layer: usize, upkeep: i64) -> i64 {
        let above = self.layers.get(layer + 1).unwrap_or(&self.layers[layer]);
        floor(upkeep.saturating_sub(self.layers[layer].reach), above.size)
    }

    /// Bytes of a key that has an event in every tile of the smallest size.
    pub(crate) fn bytes_per_key(&self) -> u64 {
        let bytes = |shape: Shape| (8 + 8 * shape.words + 24 * shape.objects) as i64;
        let heap: usize = self.slots.iter().map(|slot| slot.part.heap_bytes(slot.data_type)).sum();
        let mut newer = 0;
        let mut tiles = 0;
        for layer in &self.layers {
            tiles += (layer.reach - newer) / layer.size + 2;
            newer = layer.reach;
        }
        let kept = self.keep.map_or(0, |keep| keep / self.base());
        let fixed = 3 * size_of::<crate::timeline::Timeline>() as i64 + 64;
        (fixed + tiles * (bytes(self.tile) + heap as i64) + (kept + 1) * bytes(self.event)).unsigned_abs()
    }
}

fn place_events(lanes: &mut [Lane]) -> Shape {
    let mut shape = Shape { words: Layout::mask_words(lanes.len()), objects: 0 };
    for lane in lanes {
        match lane.data_type {
            DataType::String => {
                lane.event_object = shape.objects;
                shape.objects += 1;
            }
            _ if lane.of.is_none() => {}
            DataType::Boolean
            | DataType::Int64
            | DataType::Double
            | DataType::Timestamp
            | DataType::Duration => {
                lane.event_word = shape.words;
                shape.words += 1;
            }
        }
        if lane.with.is_some() {
            lane.event_with = shape.words;
            shape.words += 1;
        }
    }
    shape
}

/// The parts of one lane, the count last.
fn place_slots(tile: &mut Shape, lane: usize, spec: &Lane, ops: impl Iterator<Item = Op>) -> Vec<Slot> {
    let mut parts: Vec<Part> = ops.map(|op| Part::of(op, spec.of.is_some())).chain([Part::Count]).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut slots = Vec::with_capacity(parts.len());
    for part in parts {
        slots.push(Slot {
            part,
            lane,
            data_type: spec.data_type,
            with_type: spec.with_type,
            event_word: spec.event_word,
            event_object: spec.event_object,
            event_with: spec.event_with,
            word: tile.words,
            object: tile.objects,
            count: 0,
        });
        tile.words += part.words(spec.data_type);
        tile.objects += part.objects(spec.data_type);
    }
    // The count is the last part, of one word.
    let count = tile.words - 1;
    for slot in &mut slots {
        slot.count = count;
    }
    slots
}

fn layers(wanted: &[Wanted]) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut spans: Vec<i64> = wanted.iter().map(|want| want.span.micros()).collect();
    spans.sort_unstable();
    for span in spans {
        match layers.last_mut() {
            Some(layer) if layer.size == tile_size(span) => layer.reach = span,
            _ => layers.push(Layer { size: tile_size(span), reach: span }),
        }
    }
    layers
}
