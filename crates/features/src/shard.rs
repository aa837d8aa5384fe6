//! The state of some keys of several views.

use std::sync::Arc;

use perennial_types::{ContentHash, Position, Timestamp, Value};

use crate::batch::{Batch, Taken};
use crate::key::EntityKey;
use crate::key_state::KeyState;
use crate::keys::Keys;
use crate::tiles::{Placed, Room};
use crate::view::View;
use crate::window::{self, ReadRoom};

/// Events whose memory is asked for at once: enough to fill the processor's queue of reads, and few enough
/// that what came is still there when it is used.
const AT_ONCE: usize = 64;

/// Of so many events one has the bytes behind its key counted anew, so that busy keys are counted most.
const COUNTED: u32 = 16;

/// An event of a source, as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Where it stands.
    pub position: Position,
    /// The source.
    pub source: &'a str,
    /// Its values, in the order of the source's schema.
    pub row: &'a [Value],
    /// When it happened.
    pub event_time: Timestamp,
    /// When it became known; never decreases along the log.
    pub available_at: Timestamp,
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// In the order of [`View::outputs`]; of a key without events counts are 0 and the others NULL.
    pub values: Vec<Value>,
    /// The last position that the view's state has taken in.
    pub seen: Position,
    /// When the newest of the key's events became known; nothing for a key without events.
    pub latest: Option<Timestamp>,
}

/// The state of some keys of several views: plain data with one writer.
///
/// An event is applied to a view once: a position that the view has seen is skipped, so that a view that
/// was added later can be brought up to date by applying the log again.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    pub(crate) views: Vec<ViewState>,
}

/// The state of one view.
#[derive(Clone, Debug)]
pub(crate) struct ViewState {
    pub(crate) view: Arc<View>,
    pub(crate) seen: Position,
    pub(crate) late: u64,
    pub(crate) unreachable: u64,
    pub(crate) keys: Keys,
    /// Room for events that come without a batch of their own.
    batch: Batch,
    /// The places in a batch of the events to take in.
    places: Vec<usize>,
    room: Room,
    /// The largest time of availability, in microseconds.
    pub(crate) now: i64,
    /// The number of the key that is looked at next when cold ones are wanted.
    pub(crate) hand: u32,
    /// Events since the last one whose key was counted anew.
    uncounted: u32,
}

impl Shard {
    /// No events yet.
    pub fn new(views: Vec<Arc<View>>) -> Self {
        let mut shard = Self::default();
        for view in views {
            shard.add_view(view);
        }
        shard
    }

    /// Add a view without events; one of the same version that is there already stays as it is.
    pub fn add_view(&mut self, view: Arc<View>) {
        if self.state(view.version()).is_none() {
            self.views.push(ViewState::new(view));
        }
    }

    /// Forget a view and its state; whether it was there.
    pub fn remove_view(&mut self, version: ContentHash) -> bool {
        let before = self.views.len();
        self.views.retain(|state| state.view.version() != version);
        self.views.len() < before
    }

    /// The views, in the order in which they were added.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.iter().map(|state| &state.view)
    }

    /// Take in the next event of the log, in every view of its source, for the keys that are `mine`.
    /// Events come in the order of their positions, and no later position comes with an earlier
    /// `available_at`. The row has the columns of the source's schema.
    pub fn apply(&mut self, event: &Event<'_>, mine: impl Fn(&EntityKey) -> bool) {
        self.apply_batch(std::slice::from_ref(event), mine);
    }

    /// Take in the next events of the log, as [`Shard::apply`] one by one would, to the bit. A batch is
    /// faster: the memory that its keys need is asked for all at once.
    pub fn apply_batch(&mut self, events: &[Event<'_>], mine: impl Fn(&EntityKey) -> bool) {
        for state in &mut self.views {
            let mut batch = std::mem::take(&mut state.batch);
            batch.fill_by(&state.view, events, |key| mine(key).then_some(0));
            state.apply(&batch, 0, &mut |_| None);
            state.batch = batch;
        }
    }

    /// Take in the events of a batch of `view` whose keys are those of shard `index`, as
    /// [`Shard::apply_batch`] would; nothing if the view is not here.
    pub fn apply_filled(&mut self, view: ContentHash, batch: &Batch, index: usize) {
        self.apply_fetching(view, batch, index, &mut |_| None);
    }

    /// Ask memory for the state of some keys that will be applied or read next, one after the other: then it comes
    /// for all of them at once. It changes nothing.
    pub fn touch(&self, view: ContentHash, keys: &[EntityKey]) {
        if let Some(state) = self.state(view) {
            state.keys.touch(keys.iter().map(EntityKey::hash));
        }
    }

    /// The features of `key` at `at`, by the events taken in so far: those with an event time before `at`
    /// and within the window.
    ///
    /// This holds for `at` at or after the `available_at` of the key's events, which is the case live and
    /// in replay. For an earlier `at` the events that were over by the key's latest `available_at` cannot be
    /// told apart within a tile any more: the tile that holds `at` counts as it is, later ones do not.
    ///
    /// For a view that is not here the values are empty and the position is the start.
    pub fn read(&self, view: ContentHash, key: &EntityKey, at: Timestamp) -> Reading {
        let mut reading = Reading::default();
        self.read_into(view, key, at, &mut ReadRoom::default(), &mut reading);
        reading
    }

    /// As [`Shard::read`], over an earlier reading and with room that is used again: for many reads, one after
    /// the other.
    pub fn read_into(
        &self,
        view: ContentHash,
        key: &EntityKey,
        at: Timestamp,
        room: &mut ReadRoom,
        reading: &mut Reading,
    ) {
        let Some(state) = self.state(view) else {
            reading.values.clear();
            (reading.seen, reading.latest) = (Position::START, None);
            return;
        };
        let tiles = state.keys.get(key);
        window::read(&state.view.layout, tiles, at.micros(), room, &mut reading.values);
        state.view.derive(&mut reading.values);
        reading.seen = state.seen;
        reading.latest = tiles.map(|tiles| Timestamp::from_micros(tiles.now));
    }

    /// The last position that a view has taken in: the start for one that is yet to be backfilled.
    pub fn seen(&self, view: ContentHash) -> Position {
        self.state(view).map_or(Position::START, |state| state.seen)
    }

    /// How many events came when their key already had a newer tile, the unreachable ones included.
    pub fn late_events(&self, view: ContentHash) -> u64 {
        self.state(view).map_or(0, |state| state.late)
    }

    /// How many events came after every window that could hold them.
    pub fn unreachable_events(&self, view: ContentHash) -> u64 {
        self.state(view).map_or(0, |state| state.unreachable)
    }

    /// How many keys have state.
    pub fn keys(&self, view: ContentHash) -> usize {
        self.state(view).map_or(0, |state| state.keys.len())
    }

    pub(crate) fn state(&self, version: ContentHash) -> Option<&ViewState> {
        self.views.iter().find(|state| state.view.version() == version)
    }

    pub(crate) fn state_mut(&mut self, version: ContentHash) -> Option<&mut ViewState> {
        self.views.iter_mut().find(|state| state.view.version() == version)
    }
}

impl ViewState {
    pub(crate) fn new(view: Arc<View>) -> Self {
        let room = Room::new(&view.layout);
        Self {
            view,
            seen: Position::START,
            late: 0,
            unreachable: 0,
            keys: Keys::default(),
            batch: Batch::default(),
            places: Vec::new(),
            room,
            now: i64::MIN,
            hand: 0,
            uncounted: 0,
        }
    }

    /// Take in the events of a batch that are of shard `index`.
    pub(crate) fn apply(
        &mut self,
        batch: &Batch,
        index: usize,
        fetch: &mut dyn FnMut(&EntityKey) -> Option<KeyState>,
    ) {
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        places.extend(batch.places(index, self.seen));
        self.seen = self.seen.max(batch.last);
        for places in places.chunks(AT_ONCE) {
            self.apply_places(batch, places, fetch);
        }
        self.places = places;
    }

    /// Take in the events in some places of a batch, few enough that memory is asked for all their keys at once.
    fn apply_places(
        &mut self,
        batch: &Batch,
        places: &[usize],
        fetch: &mut dyn FnMut(&EntityKey) -> Option<KeyState>,
    ) {
        let view = Arc::clone(&self.view);
        let layout = &view.layout;
        if places.len() > 1 {
            self.keys.touch(places.iter().map(|place| batch.event(*place).key.hash()));
        }
        for place in places {
            let Taken { key, time, available_at, .. } = batch.event(*place);
            let found = self.keys.find(key);
            let number = found.unwrap_or_else(|| self.take_in(key, *available_at, fetch));
            let tiles = self.keys.tiles_mut(number);
            tiles.held.mark_changed();
            let before = tiles.rows.bytes();
            match tiles.apply(layout, *time, *available_at, batch.row(layout, *place), &mut self.room) {
                Placed::InOrder => {}
                Placed::Late => self.late += 1,
                Placed::Unreachable => {
                    self.late += 1;
                    self.unreachable += 1;
                }
            }
            self.now = self.now.max(*available_at);
            self.uncounted = (self.uncounted + 1) % COUNTED;
            self.keys.count(number, before, self.uncounted == 0);
        }
    }
}
