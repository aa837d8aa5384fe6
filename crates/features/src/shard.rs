//! The state of some keys of several views.

use std::collections::HashMap;
use std::sync::Arc;

use perennial_types::{ContentHash, Position, Timestamp, Value};

use crate::inputs::Scratch;
use crate::key::{EntityKey, KeyHash};
use crate::tiles::{Placed, Tiles};
use crate::view::View;
use crate::window;

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
#[derive(Clone, Debug, PartialEq)]
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
    pub(crate) keys: HashMap<EntityKey, Tiles, KeyHash>,
    scratch: Scratch,
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
        for state in &mut self.views {
            if event.position > state.seen {
                state.seen = event.position;
                if *state.view.spec.from == *event.source {
                    state.apply(event, &mine);
                }
            }
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
        let Some(state) = self.state(view) else {
            return Reading { values: Vec::new(), seen: Position::START, latest: None };
        };
        let key = state.keys.get(key);
        let values = window::read(&state.view.layout, key, at.micros());
        let latest = key.map(|key| Timestamp::from_micros(key.now));
        Reading { values: state.view.derive(values), seen: state.seen, latest }
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

    fn state(&self, version: ContentHash) -> Option<&ViewState> {
        self.views.iter().find(|state| state.view.version() == version)
    }
}

impl ViewState {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            seen: Position::START,
            late: 0,
            unreachable: 0,
            keys: HashMap::default(),
            scratch: Scratch::default(),
        }
    }

    fn apply(&mut self, event: &Event<'_>, mine: &impl Fn(&EntityKey) -> bool) {
        let view = &*self.view;
        let Some(key) = EntityKey::of_row(event.row, &view.entity_columns) else { return };
        if !mine(&key) || !view.inputs.evaluate(&view.layout, event.row, &mut self.scratch) {
            return;
        }
        let (time, available_at) = (event.event_time.micros(), event.available_at.micros());
        let tiles = self.keys.entry(key).or_insert_with(|| Tiles::new(&view.layout, available_at));
        match tiles.apply(&view.layout, time, available_at, self.scratch.event()) {
            Placed::InOrder => {}
            Placed::Late => self.late += 1,
            Placed::Unreachable => {
                self.late += 1;
                self.unreachable += 1;
            }
        }
    }
}
