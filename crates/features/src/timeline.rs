//! The rows of one key: tiles, events that are alone in their tile, and events that wait, in one allocation.

mod objects;

use serde::{Deserialize, Serialize};

use self::objects::Objects;
use crate::layout::Layout;
use crate::state::Object;

/// How wide the rows of a kind are. It is the same for all keys of a view, so that a key does not store it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 64-bit words a row.
    pub(crate) words: usize,
    /// Objects a row.
    pub(crate) objects: usize,
}

/// One row, to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) objects: &'a [Option<Object>],
}

impl<'a> Row<'a> {
    /// Whether a lane with this bit in the mask counts this event; without a bit it counts all that are kept.
    pub(crate) fn counts(&self, mask: Option<usize>) -> bool {
        mask.is_none_or(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// The word at `i`; 0 where the row of an event has none, since nothing but a text or its being there counts.
    pub(crate) fn word(&self, i: usize) -> u64 {
        self.words.get(i).copied().unwrap_or(0)
    }

    /// The object at `i`, if there is one.
    pub(crate) fn object(&self, i: usize) -> Option<&'a Object> {
        self.objects.get(i)?.as_ref()
    }
}

/// One row, to change.
#[derive(Debug)]
pub(crate) struct RowMut<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) objects: &'a mut [Option<Object>],
}

/// Words by which the rows of a key grow, or an eighth if that is more: most keys are small, and there are
/// many of them.
const LEAST_GROWTH: usize = 8;

/// Words of a line of the processor's cache, and how many lines of a key are asked for ahead: all of most keys.
const LINE: usize = 8;
const TOUCHED: usize = 8;

/// The kinds of rows, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tiles of more than one event, by their start.
    Tile,
    /// Tiles of one event: the event itself, by its own time. That is smaller, and nothing is lost.
    Single,
    /// Events that do not count yet, by their time, then by arrival.
    Waiting,
}

/// The rows of one key, those of each kind in ascending order of time. Each row is its time (microseconds)
/// and its words; the objects of all rows lie apart, since most views have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    words: Vec<u64>,
    objects: Objects,
    lens: [u32; 3],
}

/// The bytes behind some objects.
pub(crate) fn heap_bytes(objects: &[Option<Object>]) -> usize {
    objects.iter().flatten().map(Object::heap_bytes).sum()
}

impl Kind {
    const ALL: [Self; 3] = [Self::Tile, Self::Single, Self::Waiting];

    fn shape(self, layout: &Layout) -> Shape {
        match self {
            Self::Tile => layout.tile,
            Self::Single | Self::Waiting => layout.event,
        }
    }
}

impl Timeline {
    /// Read some of the rows' words, the newest first, so that they come into the processor's cache.
    pub(crate) fn touch(&self) -> u64 {
        self.words.iter().rev().step_by(LINE).take(TOUCHED).fold(0, |sum, word| sum ^ word)
    }

    /// The bytes of its rows.
    pub(crate) fn bytes(&self) -> u64 {
        8 * self.words.capacity() as u64
    }

    /// The bytes of the objects of its rows.
    pub(crate) fn object_bytes(&self) -> usize {
        self.objects.bytes()
    }

    /// Whether there are any.
    pub(crate) fn has_objects(&self) -> bool {
        !self.objects.is_empty()
    }

    /// How many rows of a kind there are.
    pub(crate) fn len(&self, kind: Kind) -> usize {
        self.lens[kind as usize] as usize
    }

    /// Whether saved vectors fit the layout, and are in order.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        let rows = || Kind::ALL.iter().map(|kind| (self.len(*kind), kind.shape(layout)));
        let words: usize = rows().map(|(len, shape)| len * (1 + shape.words)).sum();
        let objects: usize = rows().map(|(len, shape)| len * shape.objects).sum();
        let sorted = |kind: &Kind| {
            (1..self.len(*kind)).all(|i| self.time(layout, *kind, i - 1) <= self.time(layout, *kind, i))
        };
        self.words.len() == words && self.objects.len() == objects && Kind::ALL.iter().all(sorted)
    }

    /// Where row `i` of a kind begins: its first word, and its first object.
    fn place(&self, layout: &Layout, kind: Kind, i: usize) -> (usize, usize) {
        let (tile, event) = (layout.tile, layout.event);
        let (tiles, singles) = (self.len(Kind::Tile), self.len(Kind::Single));
        let (tiles, events) = match kind {
            Kind::Tile => (i, 0),
            Kind::Single => (tiles, i),
            Kind::Waiting => (tiles, singles + i),
        };
        (tiles * (1 + tile.words) + events * (1 + event.words), tiles * tile.objects + events * event.objects)
    }

    /// The time of row `i`.
    pub(crate) fn time(&self, layout: &Layout, kind: Kind, i: usize) -> i64 {
        self.words[self.place(layout, kind, i).0].cast_signed()
    }

    /// The time of the first row of a kind.
    pub(crate) fn first(&self, layout: &Layout, kind: Kind) -> Option<i64> {
        (self.len(kind) > 0).then(|| self.time(layout, kind, 0))
    }

    /// The time of the last row of a kind.
    pub(crate) fn last(&self, layout: &Layout, kind: Kind) -> Option<i64> {
        let len = self.len(kind);
        (len > 0).then(|| self.time(layout, kind, len - 1))
    }

    /// The index of the first row at or after `time`; the nearer to the end, the sooner it is found.
    pub(crate) fn lower_bound(&self, layout: &Layout, kind: Kind, time: i64) -> usize {
        let len = self.len(kind);
        let (first, stride) = (self.place(layout, kind, 0).0, 1 + kind.shape(layout).words);
        let before = |i: usize| self.words[first + i * stride].cast_signed() < time;
        // Every row from `high` on is at or after `time`.
        let (mut low, mut high, mut step) = (0, len, 1);
        while high > 0 {
            let probe = high.saturating_sub(step);
            if before(probe) {
                low = probe + 1;
                break;
            }
            high = probe;
            step *= 2;
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(crate) fn row(&self, layout: &Layout, kind: Kind, i: usize) -> Row<'_> {
        let ((word, object), shape) = (self.place(layout, kind, i), kind.shape(layout));
        Row {
            words: &self.words[word + 1..=word + shape.words],
            objects: &self.objects[object..object + shape.objects],
        }
    }

    /// Tile `i`, to change.
    pub(crate) fn tile_mut(&mut self, layout: &Layout, i: usize) -> RowMut<'_> {
        let ((word, object), shape) = (self.place(layout, Kind::Tile, i), layout.tile);
        RowMut {
            words: &mut self.words[word + 1..=word + shape.words],
            objects: &mut self.objects[object..object + shape.objects],
        }
    }

    /// Fold event `i` of a kind into tile `tile`.
    pub(crate) fn fold_into(&mut self, layout: &Layout, tile: usize, kind: Kind, i: usize) {
        let (word, object) = self.place(layout, Kind::Tile, tile);
        let (event_word, event_object) = self.place(layout, kind, i);
        let (words, events) = self.words.split_at_mut(event_word);
        let (objects, event_objects) = self.objects.split_at_mut(event_object);
        let mut into = RowMut {
            words: &mut words[word + 1..=word + layout.tile.words],
            objects: &mut objects[object..object + layout.tile.objects],
        };
        let event =
            Row { words: &events[1..=layout.event.words], objects: &event_objects[..layout.event.objects] };
        layout.fold(&mut into, event, events[0].cast_signed());
    }

    /// Give tile `i` another start; the order must stay.
    pub(crate) fn set_start(&mut self, layout: &Layout, i: usize, start: i64) {
        let word = self.place(layout, Kind::Tile, i).0;
        self.words[word] = start.cast_unsigned();
    }

    /// Give tile `i` another start and another state; the order must stay.
    pub(crate) fn set_tile(&mut self, layout: &Layout, i: usize, start: i64, state: &mut Loose) {
        self.set_start(layout, i, start);
        let tile = self.tile_mut(layout, i);
        tile.words.copy_from_slice(&state.words);
        tile.objects.swap_with_slice(&mut state.objects);
    }

    /// Insert a tile of no event before tile `i`.
    pub(crate) fn insert_tile(&mut self, layout: &Layout, i: usize, start: i64) {
        let word = self.open(layout, Kind::Tile, i);
        self.words[word] = start.cast_unsigned();
    }

    /// Insert an event before row `i` of its kind.
    pub(crate) fn insert_event(&mut self, layout: &Layout, kind: Kind, i: usize, time: i64, event: Row<'_>) {
        let object = self.place(layout, kind, i).1;
        let word = self.open(layout, kind, i);
        self.words[word] = time.cast_unsigned();
        self.words[word + 1..=word + event.words.len()].copy_from_slice(event.words);
        self.objects[object..object + event.objects.len()].clone_from_slice(event.objects);
    }

    /// The waiting events with times in `[from, to)`, in order.
    pub(crate) fn waiting<'a>(
        &'a self,
        layout: &'a Layout,
        from: i64,
        to: i64,
    ) -> impl DoubleEndedIterator<Item = (i64, Row<'a>)> + ExactSizeIterator + Clone {
        let [start, end] = self.range(layout, Kind::Waiting, from, to);
        (start..end).map(|i| (self.time(layout, Kind::Waiting, i), self.row(layout, Kind::Waiting, i)))
    }

    /// Let the first waiting event count, alone in its tile, as the last of the single ones.
    pub(crate) fn count_first_waiting(&mut self) {
        // The two kinds are neighbours with rows of one shape: only the border moves.
        self.lens[Kind::Single as usize] += 1;
        self.lens[Kind::Waiting as usize] -= 1;
    }

    /// Make room for a row of zeros before row `i`; its first word.
    fn open(&mut self, layout: &Layout, kind: Kind, i: usize) -> usize {
        let ((word, object), shape) = (self.place(layout, kind, i), kind.shape(layout));
        let (len, more) = (self.words.len(), 1 + shape.words);
        if self.words.capacity() < len + more {
            self.words.reserve_exact(more.max(len / 8).max(LEAST_GROWTH));
        }
        self.words.resize(len + more, 0);
        self.words.copy_within(word..len, word + more);
        self.words[word..word + more].fill(0);
        self.objects.open(object, shape.objects);
        self.lens[kind as usize] += 1;
        word
    }

    /// Remove the rows of a kind from `start` up to `end`.
    pub(crate) fn remove(&mut self, layout: &Layout, kind: Kind, start: usize, end: usize) {
        if start < end {
            let (word, object) = self.place(layout, kind, start);
            let (word_end, object_end) = self.place(layout, kind, end);
            self.words.drain(word..word_end);
            self.objects.remove(object..object_end);
            self.lens[kind as usize] -= (end - start) as u32;
            if self.words.capacity() > 2 * self.words.len() + 64 {
                self.words.shrink_to(self.words.len() + self.words.len() / 8);
            }
        }
    }

    /// Visit the tiles of `[from, to)` in order of time, a single event as the tile that it is.
    pub(crate) fn forward(
        &self,
        layout: &Layout,
        from: i64,
        to: i64,
        room: &mut Loose,
        mut visit: impl FnMut(i64, Row<'_>),
    ) {
        let [mut tile, tile_end] = self.range(layout, Kind::Tile, from, to);
        let [mut single, single_end] = self.range(layout, Kind::Single, from, to);
        while tile < tile_end || single < single_end {
            let tile_time = (tile < tile_end).then(|| self.time(layout, Kind::Tile, tile));
            let single_time = (single < single_end).then(|| self.time(layout, Kind::Single, single));
            match (tile_time, single_time) {
                (Some(start), time) if time.is_none_or(|time| start <= time) => {
                    visit(start, self.row(layout, Kind::Tile, tile));
                    tile += 1;
                }
                (_, time) => {
                    self.expand(layout, single, room);
                    visit(time.unwrap_or(from), room.row());
                    single += 1;
                }
            }
        }
    }

    /// Visit the tiles of `[from, to)` as [`Timeline::forward`] does, the newest first.
    pub(crate) fn backward(
        &self,
        layout: &Layout,
        from: i64,
        to: i64,
        room: &mut Loose,
        mut visit: impl FnMut(i64, Row<'_>),
    ) {
        let [tile_start, mut tile] = self.range(layout, Kind::Tile, from, to);
        let [single_start, mut single] = self.range(layout, Kind::Single, from, to);
        while tile > tile_start || single > single_start {
            let tile_time = (tile > tile_start).then(|| self.time(layout, Kind::Tile, tile - 1));
            let single_time = (single > single_start).then(|| self.time(layout, Kind::Single, single - 1));
            match (tile_time, single_time) {
                (Some(start), time) if time.is_none_or(|time| start > time) => {
                    tile -= 1;
                    visit(start, self.row(layout, Kind::Tile, tile));
                }
                (_, time) => {
                    single -= 1;
                    self.expand(layout, single, room);
                    visit(time.unwrap_or(from), room.row());
                }
            }
        }
    }

    /// Make `room` the tile of a single event.
    pub(crate) fn expand(&self, layout: &Layout, single: usize, room: &mut Loose) {
        room.clear();
        let time = self.time(layout, Kind::Single, single);
        layout.fold(&mut room.row_mut(), self.row(layout, Kind::Single, single), time);
    }

    fn range(&self, layout: &Layout, kind: Kind, from: i64, to: i64) -> [usize; 2] {
        if self.len(kind) == 0 || from >= to {
            return [0, 0];
        }
        [self.lower_bound(layout, kind, from), self.lower_bound(layout, kind, to)]
    }
}

/// A row by itself, for what is merged on the way to a result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loose {
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
}

impl Loose {
    /// The bytes that it takes beside its own place.
    pub(crate) fn bytes(&self) -> usize {
        8 * self.words.capacity()
            + size_of::<Option<Object>>() * self.objects.len()
            + heap_bytes(&self.objects)
    }

    /// The state of no event.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { words: vec![0; shape.words], objects: vec![None; shape.objects] }
    }

    /// Make it the state of no event.
    pub(crate) fn clear(&mut self) {
        self.words.iter_mut().for_each(|word| *word = 0);
        self.objects.fill(None);
    }

    /// Make it the state of a row.
    pub(crate) fn copy(&mut self, row: Row<'_>) {
        // A row has a few words; a loop over them is faster than a call that copies any number.
        self.words.iter_mut().zip(row.words).for_each(|(to, from)| *to = *from);
        if !self.objects.is_empty() {
            self.objects.clone_from_slice(row.objects);
        }
    }

    pub(crate) fn row(&self) -> Row<'_> {
        Row { words: &self.words, objects: &self.objects }
    }

    pub(crate) fn row_mut(&mut self) -> RowMut<'_> {
        RowMut { words: &mut self.words, objects: &mut self.objects }
    }
}
