//! The live feature state: one set of shards per view version, one writer, many readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use perennial_features::{Batch, EntityKey, Event, ReadRoom, Reading, Shard, View, shard_of};
use perennial_log::LogReader;
use perennial_log::decode::decode_row;
use perennial_types::{ContentHash, Position, Record, SourceSpec, Stream, Timestamp, Value};

use crate::{Declared, Fold, PipelineError};

/// Events of one shard, about, that are applied while it is locked: some ten microseconds for its readers.
const EVENTS_A_LOCK: usize = 64;

/// Records that are decoded at once to fill a new view.
const BACKFILL_RUN: usize = 4_096;

/// The feature state of every view version in use.
#[derive(Clone)]
pub struct Engine {
    views: Arc<RwLock<BTreeMap<ContentHash, Arc<LiveView>>>>,
    shards: usize,
}

/// One view version, its keys spread over shards by hash.
struct LiveView {
    view: Arc<View>,
    source: Arc<SourceSpec>,
    shards: Vec<RwLock<Shard>>,
}

impl LiveView {
    fn new(view: Arc<View>, source: Arc<SourceSpec>, shards: usize) -> Self {
        let shards = (0..shards).map(|_| RwLock::new(Shard::new(vec![Arc::clone(&view)]))).collect();
        Self { view, source, shards }
    }

    /// Take in the next events of the log. Keys and values are computed before a shard is locked.
    fn apply(&self, events: &[Event<'_>]) {
        let shards = self.shards.len();
        let mut batch = Batch::default();
        for events in events.chunks(EVENTS_A_LOCK * shards) {
            batch.fill(&self.view, events, shards);
            for (index, shard) in self.shards.iter().enumerate() {
                shard.write().apply_filled(self.view.version(), &batch, index);
            }
        }
    }

    fn read(&self, key: &EntityKey, at: Timestamp) -> Reading {
        self.shards[shard_of(key, self.shards.len())].read().read(self.view.version(), key, at)
    }
}

/// A decoded event of the log.
pub(crate) struct DecodedEvent {
    row: Vec<Value>,
    position: Position,
    event_time: Timestamp,
    available_at: Timestamp,
}

impl DecodedEvent {
    pub(crate) fn decode(source: &SourceSpec, record: &Record) -> Result<Self, PipelineError> {
        let row = decode_row(source, &record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        let (event_time, available_at) = (record.entry.event_time, record.entry.available_at);
        Ok(Self { row, position: record.position, event_time, available_at })
    }

    /// The events of a source among some records.
    fn of_source(source: &SourceSpec, records: &[Record]) -> Result<Vec<Self>, PipelineError> {
        let own =
            |record: &&Record| record.entry.stream == Stream::Event && record.entry.source == source.name;
        records.iter().filter(own).map(|record| Self::decode(source, record)).collect()
    }

    pub(crate) fn as_event<'a>(&'a self, source: &'a SourceSpec) -> Event<'a> {
        Event {
            position: self.position,
            source: &source.name,
            row: &self.row,
            event_time: self.event_time,
            available_at: self.available_at,
        }
    }
}

impl Engine {
    /// No views yet; every view's keys will be spread over `shards` (at least one).
    pub fn new(shards: usize) -> Self {
        Self { views: Arc::default(), shards: shards.max(1) }
    }

    /// The features of a key at an instant, or nothing if the view version is not live.
    pub fn read(&self, view: ContentHash, key: &EntityKey, at: Timestamp) -> Option<Reading> {
        self.views.read().get(&view).map(|live| live.read(key, at))
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
        let views = self.views.read();
        let Some(live) = views.get(&view) else { return false };
        let shard = &live.shards[shard_of(key, live.shards.len())];
        shard.read().read_into(view, key, at, room, reading);
        true
    }

    /// The live view versions.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.views.read().values().map(|live| Arc::clone(&live.view)).collect()
    }

    /// Keys of a view version and late events merged into it so far.
    pub fn counts(&self, view: ContentHash) -> Option<(usize, u64)> {
        let live = Arc::clone(self.views.read().get(&view)?);
        let shards = live.shards.iter().map(|shard| {
            let shard = shard.read();
            (shard.keys(view), shard.late_events(view))
        });
        Some(shards.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
    }

    /// Take the events of a run of records into every view of their sources.
    pub(crate) fn apply_events(&self, records: &[Record]) -> Result<(), PipelineError> {
        let views: Vec<Arc<LiveView>> = self.views.read().values().cloned().collect();
        // Old and new versions of a view may read the source by different schemas.
        let mut decoded: Vec<(&SourceSpec, Vec<DecodedEvent>)> = Vec::new();
        for live in &views {
            let same = |(source, _): &(&SourceSpec, _)| {
                source.name == live.source.name && source.schema == live.source.schema
            };
            if !decoded.iter().any(same) {
                decoded.push((&live.source, DecodedEvent::of_source(&live.source, records)?));
            }
        }
        for (source, decoded) in &decoded {
            let events: Vec<Event<'_>> = decoded.iter().map(|event| event.as_event(source)).collect();
            let reads = |live: &&Arc<LiveView>| {
                live.source.name == source.name && live.source.schema == source.schema
            };
            views.iter().filter(reads).for_each(|live| live.apply(&events));
        }
        Ok(())
    }

    /// Make exactly these views live. A new one is filled from the log by the code that runs live; one that
    /// is no longer wanted is dropped.
    pub(crate) fn set_views(
        &self,
        wanted: &BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)>,
        reader: &LogReader,
        up_to: Position,
    ) -> Result<(), PipelineError> {
        for (version, (view, source)) in wanted {
            if self.views.read().contains_key(version) {
                continue;
            }
            let live = Arc::new(LiveView::new(Arc::clone(view), Arc::clone(source), self.shards));
            if up_to > Position::START {
                backfill(&live, reader, up_to)?;
            }
            self.views.write().insert(*version, live);
        }
        self.views.write().retain(|version, _| wanted.contains_key(version));
        Ok(())
    }
}

fn backfill(live: &LiveView, reader: &LogReader, up_to: Position) -> Result<(), PipelineError> {
    let mut records = reader.read(Position(1), up_to)?;
    loop {
        let run: Vec<Record> = records.by_ref().take(BACKFILL_RUN).collect::<Result<_, _>>()?;
        if run.is_empty() {
            return Ok(());
        }
        let decoded = DecodedEvent::of_source(&live.source, &run)?;
        let events: Vec<Event<'_>> = decoded.iter().map(|event| event.as_event(&live.source)).collect();
        live.apply(&events);
    }
}

/// The engine as a fold, with the log that a new view is filled from.
pub(crate) struct EngineFold {
    engine: Engine,
    reader: LogReader,
    /// The revision of the declarations whose views are live.
    revision: u64,
}

impl EngineFold {
    pub(crate) fn new(engine: Engine, reader: LogReader) -> Self {
        Self { engine, reader, revision: 0 }
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
        let last = records.last().map_or(Position::START, |record| record.position);
        if declared.revision() != self.revision {
            self.revision = declared.revision();
            self.engine.set_views(declared.views(), &self.reader, last)?;
        }
        self.engine.apply_events(records)
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        let views = self.engine.views.read();
        let saved = |live: &LiveView| live.shards.iter().map(|shard| shard.read().save()).collect();
        let sections: Vec<(String, Vec<Vec<u8>>)> =
            views.iter().map(|(version, live)| (version.to_string(), saved(live))).collect();
        postcard::to_stdvec(&sections).map_err(PipelineError::snapshot)
    }

    fn reset(&mut self) {
        self.revision = 0;
        self.engine.views.write().clear();
    }

    fn load(&mut self, bytes: &[u8], declared: &Declared) -> Result<(), PipelineError> {
        let sections: Vec<(String, Vec<Vec<u8>>)> =
            postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        let mut loaded = BTreeMap::new();
        for (version, (view, source)) in declared.views() {
            let saved = sections.iter().find(|(saved, _)| *saved == version.to_string());
            let shards = match saved {
                Some((_, shards)) if shards.len() == self.engine.shards => shards,
                Some(_) | None => {
                    let reason =
                        format!("view {:?} is not in it by {} shards", view.spec().name, self.engine.shards);
                    return Err(PipelineError::Snapshot(reason));
                }
            };
            let load = |bytes: &Vec<u8>| Shard::load(vec![Arc::clone(view)], bytes).map(RwLock::new);
            let shards = shards.iter().map(load).collect::<Result<_, _>>()?;
            let live = LiveView { view: Arc::clone(view), source: Arc::clone(source), shards };
            loaded.insert(*version, Arc::new(live));
        }
        self.revision = declared.revision();
        *self.engine.views.write() = loaded;
        Ok(())
    }
}
