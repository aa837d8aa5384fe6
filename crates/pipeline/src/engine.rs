//! The live feature state: one set of shards per view version, one writer, many readers.

mod backfill;
mod canary;
#[cfg(test)]
mod full_disk;
mod held;
mod live;
mod memory;
#[cfg(test)]
mod million;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use perennial_features::parity::Parity;
use perennial_features::{EntityKey, Event, ReadRoom, Reading, View};
use perennial_log::LogReader;
use perennial_project::ClockKind;
use perennial_types::{ContentHash, Position, Record, SourceSpec, Timestamp};
use serde::{Deserialize, Serialize};

use self::live::{LiveView, SavedView};
use crate::feed::Feed;
use crate::{Declared, Fold, PipelineError};
use backfill::Backfills;
use canary::Canaries;

pub use backfill::BackfillStatus;

pub(crate) use self::memory::Memory;

/// Records that are decoded at once to fill a new view.
const BACKFILL_RUN: usize = 4_096;

/// The feature state of every view version in use.
#[derive(Clone)]
pub struct Engine {
    views: Arc<RwLock<BTreeMap<ContentHash, Arc<LiveView>>>>,
    /// Up to where the live views have taken in the log; held while they do.
    turn: Arc<Mutex<Position>>,
    backfills: Arc<Backfills>,
    canaries: Arc<Canaries>,
    /// The sources of the views, by the keys of their feeds. Old and new versions of a view may read a source by
    /// different schemas.
    feeds: Arc<Mutex<BTreeMap<ContentHash, Feed>>>,
    shards: usize,
    memory: Arc<Memory>,
}

/// How much there is of a view version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewState {
    /// Keys with state.
    pub keys: usize,
    /// Keys of these whose state is on disk alone.
    pub spilled: usize,
    /// Bytes that the others take in memory, with the table of those on disk; about.
    pub memory_bytes: u64,
    /// Bytes in files.
    pub disk_bytes: u64,
    /// Events that came late and were merged.
    pub late_events: u64,
    /// Why it answers nothing any more, if so.
    pub trouble: Option<String>,
}

/// What all views hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// Bytes that are held; about.
    pub held: u64,
    /// Bytes that may be held.
    pub limit: u64,
    /// How often a key was read from disk since the start.
    pub disk_reads: u64,
}

impl Engine {
    /// No views yet; every view's keys will be spread over `shards` (at least one).
    pub fn new(shards: usize) -> Self {
        Self::within(shards, Memory::unbounded())
    }

    /// As [`Engine::new`], within a bound on memory.
    pub(crate) fn within(shards: usize, memory: Memory) -> Self {
        Self {
            views: Arc::default(),
            feeds: Arc::default(),
            turn: Arc::default(),
            backfills: Arc::default(),
            canaries: Arc::default(),
            shards: shards.max(1),
            memory: Arc::new(memory),
        }
    }

    /// The features of a key at an instant, or nothing if the view version is not live, or is in trouble.
    pub fn read(&self, view: ContentHash, key: &EntityKey, at: Timestamp) -> Option<Reading> {
        let mut reading = Reading::default();
        self.read_into(view, key, at, &mut ReadRoom::default(), &mut reading).then_some(reading)
    }

    /// Read the version that is to replace this one too, if there is one, and compare the two.
    fn compare(&self, view: ContentHash, key: &EntityKey, at: Timestamp, reading: &Reading) {
        let Some(parity) = self.canaries.of(view) else { return };
        let replacing = parity.lock().new_version().version();
        let live = self.views.read().get(&replacing).cloned();
        if let Some(other) = live.and_then(|live| live.read(key, at)) {
            canary::compare(&parity, key, at, reading, &other);
        }
    }

    /// What was found of the views whose new version is compared with the one that serves.
    pub fn parities(&self) -> Vec<Parity> {
        self.canaries.found()
    }

    /// Whether a view version can be read.
    pub fn live(&self, version: ContentHash) -> bool {
        self.views.read().contains_key(&version)
    }

    /// As [`Engine::read`], over an earlier reading and with room that is used again; whether the view version is
    /// live.
    pub fn read_into(
        &self,
        view: ContentHash,
        key: &EntityKey,
        at: Timestamp,
        room: &mut ReadRoom,
        reading: &mut Reading,
    ) -> bool {
        {
            let views = self.views.read();
            let Some(live) = views.get(&view) else { return false };
            if !live.read_into(key, at, room, reading) {
                return false;
            }
        }
        self.compare(view, key, at, reading);
        true
    }

    /// The live view versions.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.views.read().values().map(|live| Arc::clone(&live.view)).collect()
    }

    /// The view versions that are declared and not live yet.
    pub fn backfills(&self) -> Vec<BackfillStatus> {
        self.backfills.status()
    }

    /// Why a view version cannot be read; nothing if it is live and in no trouble.
    pub fn unready(&self, view: &View) -> Option<String> {
        if let Some(live) = self.views.read().get(&view.version()) {
            let name = &view.spec().name;
            return live.trouble().map(|reason| format!("view {name:?} answers nothing any more: {reason}"));
        }
        let filling = self.backfills().into_iter().find(|status| status.view.version() == view.version());
        let gone =
            || format!("version {} of view {:?} is not in use", view.version().short(), view.spec().name);
        Some(filling.map_or_else(gone, |status| status.reason()))
    }

    /// Block until every declared view is live or could not be filled.
    pub fn wait_for_backfills(&self) {
        self.backfills.wait(|_| true);
    }

    /// Block until these are.
    pub(crate) fn wait_for(&self, versions: &BTreeSet<ContentHash>) {
        self.backfills.wait(|version| versions.contains(&version));
    }

    /// Keys of a view version and late events merged into it so far.
    pub fn counts(&self, view: ContentHash) -> Option<(usize, u64)> {
        let state = self.state(view)?;
        Some((state.keys, state.late_events))
    }

    /// How much there is of a live view version.
    pub fn state(&self, view: ContentHash) -> Option<ViewState> {
        let live = Arc::clone(self.views.read().get(&view)?);
        let amount = live.amount();
        Some(ViewState {
            keys: amount.keys,
            spilled: amount.spilled,
            memory_bytes: amount.bytes,
            disk_bytes: amount.disk_bytes,
            late_events: amount.late,
            trouble: live.trouble().map(str::to_owned),
        })
    }

    /// What all views hold in memory.
    pub fn memory(&self) -> MemoryState {
        let memory = &self.memory;
        MemoryState { held: memory.held(), limit: memory.limit(), disk_reads: memory.reads() }
    }

    /// Why a view version answers nothing any more, if so.
    pub fn trouble(&self, view: ContentHash) -> Option<String> {
        self.views.read().get(&view)?.trouble().map(str::to_owned)
    }

    /// How many rows each source keeps that follows from others or passes repetitions over: what waits in joins, what
    /// rows are enriched by, what was seen.
    pub fn kept_rows(&self) -> BTreeMap<Arc<str>, usize> {
        let feeds = self.feeds.lock();
        let mut kept = BTreeMap::new();
        for feed in feeds.values() {
            if let Some(rows) = feed.kept() {
                *kept.entry(Arc::clone(&feed.source().name)).or_default() += rows;
            }
        }
        kept
    }

    /// Take the events of a run of records into every view of their sources.
    pub(crate) fn apply_events(&self, records: &[Record]) {
        let views: Vec<Arc<LiveView>> = self.views.read().values().cloned().collect();
        self.feeds.lock().retain(|key, feed| {
            let views = views.iter().filter(|live| live.feed == *key);
            match feed.take(records) {
                Ok(events) => {
                    let events: Vec<Event<'_>> =
                        events.iter().map(|event| event.as_event(feed.source())).collect();
                    views.for_each(|live| live.apply(&events));
                    true
                }
                // A record that one source's schema cannot say is the trouble of those who read it by that schema.
                Err(error) => {
                    views.for_each(|live| live.set_trouble(error.to_string()));
                    false
                }
            }
        });
    }

    /// Have a view that is where the live ones are take part. Its feed has the state of the one that may be there.
    fn serve(&self, live: Arc<LiveView>, feed: Feed) {
        self.feeds.lock().entry(live.feed).or_insert(feed);
        self.views.write().insert(live.view.version(), live);
    }

    /// Make exactly these views live. A new one is filled from the log by the code that runs live: at once, so that
    /// the next record finds it, or beside everything else; one that is no longer wanted is dropped.
    fn set_views(
        &self,
        wanted: &BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)>,
        history: &History<'_>,
    ) -> Result<(), PipelineError> {
        let mut later = Vec::new();
        for (version, (view, source)) in wanted {
            let live = self.views.read().contains_key(version);
            if live || self.backfills.contains(*version) {
                continue;
            }
            let live = LiveView::new(Arc::clone(view), Arc::clone(source), self.shards, &self.memory);
            let mut feed = Feed::new(source)?;
            if history.at_once {
                backfill(&live, &mut feed, history.reader, history.up_to)?;
                self.serve(live, feed);
            } else {
                later.push((live, feed));
            }
        }
        self.views.write().retain(|version, _| wanted.contains_key(version));
        self.backfills.retain(|version| wanted.contains_key(&version));
        if !later.is_empty() {
            backfill::start(self, later, history.reader, history.up_to);
        }
        let views = self.views.read();
        self.feeds.lock().retain(|key, _| views.values().any(|live| live.feed == *key));
        Ok(())
    }
}

/// What a new view is filled from.
struct History<'a> {
    reader: &'a LogReader,
    up_to: Position,
    /// Whether the next record waits for it.
    at_once: bool,
}

fn backfill(
    live: &LiveView,
    feed: &mut Feed,
    reader: &LogReader,
    up_to: Position,
) -> Result<(), PipelineError> {
    if up_to == Position::START {
        return Ok(());
    }
    let mut records = reader.read(Position(1), up_to)?;
    loop {
        let run: Vec<Record> = records.by_ref().take(BACKFILL_RUN).collect::<Result<_, _>>()?;
        if run.is_empty() {
            return Ok(());
        }
        live.apply_records(feed, &run);
    }
}

/// The engine as a fold, with the log that a new view is filled from.
pub(crate) struct EngineFold {
    engine: Engine,
    reader: LogReader,
    /// A log that is not longer is read at once for a new view: it takes a few milliseconds.
    at_once_up_to: Position,
    /// The revision of the declarations whose views are live.
    revision: u64,
}

/// What a snapshot keeps of the engine.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Up to where the views have taken in the log.
    position: Position,
    /// The live views by version; one that was being filled, or is in trouble, is filled anew.
    views: Vec<(ContentHash, SavedView)>,
    /// The sources of the views, by the keys of their feeds.
    feeds: Vec<(ContentHash, Vec<u8>)>,
}

impl Saved {
    /// The feed of a source; nothing of one that was not saved and is read from the beginning of the log, as one that
    /// follows from a source that has grown since. The views of such a source are filled anew.
    fn feed(&self, source: &Arc<SourceSpec>, key: ContentHash) -> Option<Feed> {
        if Feed::as_logged(source) {
            return Feed::new(source).ok();
        }
        let (_, bytes) = self.feeds.iter().find(|(saved, _)| *saved == key)?;
        Feed::load(source, bytes).ok()
    }
}

impl EngineFold {
    pub(crate) fn new(engine: Engine, reader: LogReader, at_once_up_to: Position) -> Self {
        Self { engine, reader, at_once_up_to, revision: 0 }
    }

    /// The log up to a position. Under the event clock one history has one outcome, so that what follows a
    /// declaration waits for its views.
    fn history(&self, declared: &Declared, up_to: Position) -> History<'_> {
        let event = declared.goal().is_some_and(|goal| goal.project.clock == ClockKind::Event);
        History { reader: &self.reader, up_to, at_once: event || up_to <= self.at_once_up_to }
    }
}

impl Drop for EngineFold {
    fn drop(&mut self) {
        self.engine.backfills.stop();
    }
}

impl Fold for EngineFold {
    fn name(&self) -> &'static str {
        "features"
    }

    fn apply(&mut self, record: &Record, declared: &Declared) -> Result<(), PipelineError> {
        self.apply_run(std::slice::from_ref(record), declared)
    }

    fn apply_run(&mut self, records: &[Record], declared: &Declared) -> Result<(), PipelineError> {
        let turn = Arc::clone(&self.engine.turn);
        let mut turn = turn.lock();
        let last = records.last().map_or(*turn, |record| record.position);
        if declared.revision() != self.revision {
            self.revision = declared.revision();
            self.engine.set_views(declared.views(), &self.history(declared, last))?;
            self.engine.canaries.set(&declared.replacements());
        }
        self.engine.apply_events(records);
        *turn = last;
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        // No events come while the turn is held.
        let position = self.engine.turn.lock();
        let views: Vec<Arc<LiveView>> = self.engine.views.read().values().cloned().collect();
        let mut saved = Saved { position: *position, views: Vec::new(), feeds: Vec::new() };
        for live in views.iter().filter(|live| live.trouble().is_none()) {
            saved.views.push((live.view.version(), live.save(*position)?));
        }
        for (key, feed) in self.engine.feeds.lock().iter() {
            saved.feeds.push((*key, feed.save()));
        }
        self.engine.memory.clear_away()?;
        postcard::to_stdvec(&saved).map_err(PipelineError::snapshot)
    }

    fn reset(&mut self) {
        self.revision = 0;
        self.engine.views.write().clear();
        self.engine.feeds.lock().clear();
        self.engine.backfills.retain(|_| false);
        self.engine.canaries.set(&[]);
        *self.engine.turn.lock() = Position::START;
    }

    fn load(&mut self, bytes: &[u8], declared: &Declared) -> Result<(), PipelineError> {
        let saved: Saved = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        let (shards, memory) = (self.engine.shards, &self.engine.memory);
        let between = (saved.position, self.reader.head());
        let (mut loaded, mut feeds) = (BTreeMap::new(), BTreeMap::new());
        for (version, (view, source)) in declared.views() {
            let found = saved.views.iter().find(|(saved, _)| saved == version);
            let key = Feed::key(source);
            let feed = match feeds.remove(&key) {
                Some(feed) => Some(feed),
                None => saved.feed(source, key),
            };
            let Some(feed) = feed else { continue };
            if let Some((_, saved)) = found
                && let Some(live) = LiveView::load((view, source), saved, shards, memory, between)
            {
                loaded.insert(*version, live);
            }
            feeds.insert(key, feed);
        }
        let turn = Arc::clone(&self.engine.turn);
        let mut turn = turn.lock();
        *turn = saved.position;
        self.revision = declared.revision();
        *self.engine.views.write() = loaded;
        *self.engine.feeds.lock() = feeds;
        self.engine.canaries.set(&declared.replacements());
        // One that the snapshot does not have, or not whole, is filled as a new one is.
        self.engine.set_views(declared.views(), &self.history(declared, saved.position))
    }
}
