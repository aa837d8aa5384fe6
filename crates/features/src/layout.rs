//! Where the state of a view's aggregates lies, and what each window reads of it.

mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::DataType;

use self::places::{find_slot, place_events, place_slots};
use crate::ladder::{ETERNITY, floor};
use crate::layers::{Layer, far_size, layers};
use crate::sessions::KEPT_GAPS;
use crate::state::{Doubles, Part, Slot, fold, merge};
use crate::timeline::{Row, RowMut, Shape};
use crate::{Op, Tail, WindowSpec};

/// One choice of `of`, `with`, `by`, edges and `where`, evaluated once per event however many aggregates use it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Which expression gives its values; nothing where it only counts.
    pub(crate) of: Option<usize>,
    /// Which expression gives the values of its second column.
    pub(crate) with: Option<usize>,
    /// Which expression gives the values of its buckets.
    pub(crate) by: Option<usize>,
    /// The edges of its histogram.
    pub(crate) edges: Option<Arc<[f64]>>,
    /// Which expression must be true.
    pub(crate) filter: Option<usize>,
    /// The type of its values; Int64 where it only counts.
    pub(crate) data_type: DataType,
    /// The type of its second column's values.
    pub(crate) with_type: DataType,
    /// Its bit in the mask of an event; nothing where every event that is kept counts.
    pub(crate) mask: Option<usize>,
    /// The word of its value in the row of an event.
    pub(crate) event_word: usize,
    /// The object of its value in the row of an event, if it is a text.
    pub(crate) event_object: usize,
    /// The word of its second column's value, or of the bin of its histogram, in the row of an event.
    pub(crate) event_with: usize,
    /// The object of its bucket's text in the row of an event.
    pub(crate) event_by: usize,
}

impl Default for Lane {
    /// A lane that counts events.
    fn default() -> Self {
        Self {
            of: None,
            with: None,
            by: None,
            edges: None,
            filter: None,
            data_type: DataType::Int64,
            with_type: DataType::Int64,
            mask: None,
            event_word: 0,
            event_object: 0,
            event_with: 0,
            event_by: 0,
        }
    }
}

/// One aggregate over one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) lane: usize,
    pub(crate) op: Op,
    pub(crate) window: WindowSpec,
    pub(crate) tail: Tail,
}

/// Which part of a key's state a window is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tiles from `span` before the read, in microseconds.
    Sliding { span: i64, tail: Tail },
    /// Tiles of the last complete window.
    Tumbling { span: i64 },
    /// All tiles.
    Lifetime,
    /// The current session by this gap of [`Layout::sessions`].
    Session(usize),
    /// So many of the events kept by this entry of [`Layout::recent`].
    Last { recent: usize, most: usize },
}

/// A window and what is read over it.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) kind: Kind,
    /// The layer of the tile at its far end.
    pub(crate) layer: usize,
    /// The parts that are merged over it; of each lane the count last.
    pub(crate) slots: Vec<Slot>,
    /// Index of the output, op, and the part it is made of.
    pub(crate) values: Vec<(usize, Op, Slot)>,
}

/// A lane of which the last events are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent {
    lane: usize,
    /// Its bit in the mask of an event.
    pub(crate) mask: Option<usize>,
    /// How many.
    pub(crate) most: usize,
}

/// Where everything lies. The same for all keys of a view.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The row of an event: mask words with a bit for each lane that has a value, then a word for each lane. Of
    /// a single lane only the events are kept that it counts, without a mask, unless sessions want them all.
    pub(crate) event: Shape,
    /// The row of a tile.
    pub(crate) tile: Shape,
    /// Every part of every lane.
    pub(crate) slots: Vec<Slot>,
    /// The lanes of the usual kind.
    doubles: Vec<Doubles>,
    /// The parts of the other lanes.
    others: Vec<Slot>,
    /// The sizes of tiles in use, ascending; each divides the next.
    pub(crate) layers: Vec<Layer>,
    pub(crate) windows: Vec<Window>,
    /// The windows that end at the read, by layer; within one by span, then exact ones first: each begins before
    /// the one before it.
    pub(crate) by_layer: Vec<usize>,
    /// How long events themselves are kept, in microseconds: the longest window with an exact tail.
    pub(crate) keep: Option<i64>,
    /// The gaps of sessions, in microseconds.
    pub(crate) sessions: Vec<i64>,
    /// Lanes of which last events are kept, ascending.
    pub(crate) recent: Vec<Recent>,
    /// For each object of a tile the highest layer that a window reads it from.
    read_in: Vec<usize>,
    /// Number of aggregated outputs.
    pub(crate) outputs: usize,
}

impl Layout {
    /// The layout for `wanted`, of which there is at least one; the lanes' places in the row of an event
    /// are assigned.
    pub(crate) fn new(lanes: &mut [Lane], wanted: &[Wanted]) -> Self {
        let mut sessions: Vec<i64> = wanted.iter().filter_map(Wanted::gap).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let event = place_events(lanes, lanes.len() > 1 || !sessions.is_empty());
        let mut tile = Shape::default();
        let slots: Vec<Slot> = (0..lanes.len())
            .flat_map(|lane| {
                let ops = wanted.iter().filter(|other| other.lane == lane).map(|other| other.op);
                place_slots(&mut tile, lane, &lanes[lane], ops)
            })
            .collect();
        let layers = layers(wanted.iter().map(|want| want.window));
        let recent = recent(lanes, wanted);
        let mut windows: Vec<Window> = Vec::new();
        for (output, want) in wanted.iter().enumerate() {
            let kind = want.kind(&sessions, &recent);
            let at = windows.iter().position(|window| window.kind == kind).unwrap_or_else(|| {
                let layer = far_layer(&layers, want.window);
                windows.push(Window { kind, layer, slots: Vec::new(), values: Vec::new() });
                windows.len() - 1
            });
            let slot = find_slot(&slots, &lanes[want.lane], want);
            windows[at].values.extend(slot.map(|slot| (output, want.op, slot)));
        }
        for window in &mut windows {
            let read = |slot: &&Slot| {
                let mut lane = window.values.iter().filter(|(_, _, other)| other.lane == slot.lane);
                lane.any(|(_, _, other)| slot.part == Part::Count || slot.part == other.part)
            };
            window.slots = slots.iter().filter(read).cloned().collect();
        }
        let by_layer = by_layer(&windows);
        let exact = |want: &Wanted| match want.window {
            WindowSpec::Sliding(span) if want.tail == Tail::Exact => Some(span.micros()),
            _ => None,
        };
        let keep = wanted.iter().filter_map(exact).max();
        let (doubles, others) = Doubles::split(&slots);
        let read_in = read_in(tile, &windows);
        Self {
            event,
            tile,
            slots,
            doubles,
            others,
            layers,
            windows,
            by_layer,
            keep,
            sessions,
            recent,
            read_in,
            outputs: wanted.len(),
        }
    }

    /// Fold an event of `time` (microseconds) into a tile.
    pub(crate) fn fold(&self, tile: &mut RowMut<'_>, event: Row<'_>, time: i64) {
        self.doubles.iter().for_each(|lane| lane.fold(tile.words, event));
        if !self.others.is_empty() {
            fold(&self.others, tile, event, time);
        }
    }

    /// Merge a tile of a later start into `tile`.
    pub(crate) fn merge(&self, tile: &mut RowMut<'_>, later: Row<'_>) {
        self.doubles.iter().for_each(|lane| lane.merge(tile.words, later.words));
        if !self.others.is_empty() {
            merge(&self.others, tile, later);
        }
    }

    /// Let go of the objects of a tile that no window reads from layer `layer` on.
    pub(crate) fn forget(&self, layer: usize, tile: &mut RowMut<'_>) {
        for (object, last) in tile.objects.iter_mut().zip(&self.read_in) {
            if *last < layer {
                *object = None;
            }
        }
    }

    /// The size of the smallest tiles, in microseconds.
    pub(crate) fn base(&self) -> i64 {
        self.layers[0].size
    }

    /// The longest window with an end, in microseconds.
    pub(crate) fn horizon(&self) -> i64 {
        self.layers.iter().rev().find(|layer| layer.size != ETERNITY).map_or(0, |layer| layer.reach)
    }

    /// Where layer `layer` begins in the past of a key that was last kept in order at `upkeep`: tiles that
    /// start before are of the layer above, or dropped where there is none.
    pub(crate) fn border(&self, layer: usize, upkeep: i64) -> i64 {
        floor(upkeep.saturating_sub(self.layers[layer].reach), self.border_size(layer))
    }

    /// What the border of a layer is a multiple of, in microseconds.
    pub(crate) fn border_size(&self, layer: usize) -> i64 {
        let own = &self.layers[layer];
        let above = self.layers.get(layer + 1).unwrap_or(own);
        // Tiles of any start go into the one without end.
        if above.size == ETERNITY { own.size } else { above.size }
    }

    /// How long after its last event nothing of a key is left that a read or a late event could find, in
    /// microseconds; nothing if something stays for ever.
    pub(crate) fn forgets_after(&self) -> Option<i64> {
        let eternal = |window: &Window| matches!(window.kind, Kind::Lifetime | Kind::Last { .. });
        if self.windows.iter().any(eternal) {
            return None;
        }
        // The far tile may begin a tile before the window.
        let horizon = self.horizon().saturating_mul(2);
        let sessions = self.sessions.iter().map(|gap| gap.saturating_mul(KEPT_GAPS + 1));
        Some(sessions.fold(horizon, i64::max))
    }

    /// Bytes of a key that has an event in every tile of the smallest size, and as many sessions and last events
    /// as are kept.
    pub(crate) fn bytes_per_key(&self) -> u64 {
        let bytes = |shape: Shape| (8 + 8 * shape.words + 24 * shape.objects) as i64;
        let heap: usize = self.slots.iter().map(Slot::heap_bytes).sum();
        let tile = bytes(self.tile) + heap as i64;
        let mut newer = 0;
        let mut tiles = 2 * self.sessions.len() as i64;
        for layer in &self.layers {
            tiles += if layer.size == ETERNITY { 1 } else { (layer.reach - newer) / layer.size + 2 };
            newer = layer.reach;
        }
        let kept = self.keep.map_or(0, |keep| keep / self.base());
        let recent: usize = self.recent.iter().map(|recent| recent.most).sum();
        // A busy key that is read keeps merges of about as many tiles beside them.
        tiles *= 2;
        let fixed = size_of::<crate::tiles::Tiles>() as i64 + 64;
        (fixed + tiles * tile + (kept + recent as i64 + 1) * bytes(self.event)).unsigned_abs()
    }
}

impl Window {
    /// Length and tail of a window that ends at the read; nothing for one that does not.
    pub(crate) fn reach(&self) -> Option<(i64, Tail)> {
        match self.kind {
            Kind::Sliding { span, tail } => Some((span, tail)),
            Kind::Lifetime => Some((ETERNITY, Tail::Hop)),
            Kind::Tumbling { .. } | Kind::Session(_) | Kind::Last { .. } => None,
        }
    }
}

fn read_in(tile: Shape, windows: &[Window]) -> Vec<usize> {
    let reads = |window: &&Window, object: usize| {
        let own = |slot: &Slot| slot.object == object && slot.part.objects(slot.data_type) > 0;
        window.slots.iter().any(own)
    };
    let highest =
        |object| windows.iter().filter(|window| reads(window, object)).map(|window| window.layer).max();
    (0..tile.objects).map(|object| highest(object).unwrap_or(0)).collect()
}

fn by_layer(windows: &[Window]) -> Vec<usize> {
    let mut ordered: Vec<(usize, i64, bool, usize)> = windows
        .iter()
        .enumerate()
        .filter_map(|(i, window)| {
            let (span, tail) = window.reach()?;
            Some((window.layer, span, tail == Tail::Hop, i))
        })
        .collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(.., window)| window).collect()
}

impl Wanted {
    fn gap(&self) -> Option<i64> {
        match self.window {
            WindowSpec::Session(gap) => Some(gap.micros()),
            WindowSpec::Sliding(_) | WindowSpec::Tumbling(_) | WindowSpec::Lifetime | WindowSpec::Last(_) => {
                None
            }
        }
    }

    fn kind(&self, sessions: &[i64], recent: &[Recent]) -> Kind {
        match self.window {
            WindowSpec::Sliding(span) => Kind::Sliding { span: span.micros(), tail: self.tail },
            WindowSpec::Tumbling(span) => Kind::Tumbling { span: span.micros() },
            WindowSpec::Lifetime => Kind::Lifetime,
            WindowSpec::Session(gap) => {
                Kind::Session(sessions.partition_point(|other| *other < gap.micros()))
            }
            WindowSpec::Last(most) => {
                let recent = recent.iter().take_while(|recent| recent.lane < self.lane).count();
                Kind::Last { recent, most: most.into() }
            }
        }
    }
}

/// The lanes of which last events are kept, ascending.
fn recent(lanes: &[Lane], wanted: &[Wanted]) -> Vec<Recent> {
    let mut kept: BTreeMap<usize, usize> = BTreeMap::new();
    for want in wanted {
        if let WindowSpec::Last(most) = want.window {
            let kept = kept.entry(want.lane).or_default();
            *kept = (*kept).max(most.into());
        }
    }
    kept.into_iter().map(|(lane, most)| Recent { lane, mask: lanes[lane].mask, most }).collect()
}

/// The layer of the tile at the far end of a window.
fn far_layer(layers: &[Layer], window: WindowSpec) -> usize {
    match far_size(window) {
        None => 0,
        Some(ETERNITY) => layers.len() - 1,
        Some(size) => layers.partition_point(|layer| layer.size < size),
    }
}
