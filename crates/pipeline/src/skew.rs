//! The skew audit: features as served against features replayed from the log, bit by bit.

mod against;
mod figures;
mod sample;
mod saved;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use perennial_features::{EntityKey, Event, Shard, View, shard_of, skew};
use perennial_log::LogReader;
use perennial_types::{ContentHash, Position, Record, SourceSpec, Stream, Timestamp};
use serde::{Deserialize, Serialize};

pub use against::Against;
pub use figures::FeatureSkew;

use crate::audits::Figures;
use crate::feed::{DecodedEvent, Feed};
use crate::served::PredictionRecord;
use crate::{Declared, PipelineError};
use sample::Sample;

/// Differences that an audit without an end keeps.
const KEPT: usize = 100;
/// Lookups of view versions that nothing has declared yet are kept up to this many.
const UNDECLARED: usize = 10_000;

/// How the audit replays: what it finds does not depend on `batch` and `shards`.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// Records that are read ahead of the features that they were served.
    pub batch: usize,
    /// Shards of every view.
    pub shards: usize,
    /// The part of the entities that is compared, chosen by hash; 1 for all. Of a smaller part each view has at
    /// least 100 entities and at most 20,000.
    pub share: f64,
}

/// What the audit found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Audit {
    /// Records read.
    pub records: u64,
    /// Events applied.
    pub events: u64,
    /// Predictions whose features were compared.
    pub predictions: u64,
    /// Feature values compared.
    pub values: u64,
    /// Lookups that could not be compared, because their view version is in no declaration of the log or
    /// their position lies further back than a batch.
    pub not_compared: u64,
    /// By feature.
    pub features: BTreeMap<Arc<str>, FeatureSkew>,
    /// Values that differ.
    pub differences: Vec<Skewed>,
}

/// A value that was served and is not what the log gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skewed {
    /// The prediction.
    pub prediction: Arc<str>,
    /// Where it stands.
    pub position: Position,
    /// The entity.
    pub entity: String,
    /// The feature.
    pub feature: String,
    /// The value as served.
    pub served: String,
    /// The value as replayed.
    pub replayed: String,
    /// How many bits differ.
    pub bits: u32,
}

/// Served features waiting for the replay to reach what they saw.
#[derive(Clone, Serialize, Deserialize)]
struct Query {
    prediction: Arc<str>,
    position: Position,
    at: Timestamp,
    available_at: Timestamp,
    version: ContentHash,
    key: serde_json::Value,
    features: serde_json::Value,
}

struct Replayed {
    view: Arc<View>,
    feed: Feed,
    shards: Vec<Shard>,
    sample: RefCell<Sample>,
}

/// Replays a log and compares what was served with what it gives. What it has found so far can be looked at, saved
/// and loaded.
pub struct Auditor {
    options: AuditOptions,
    views: BTreeMap<ContentHash, Replayed>,
    declared: Declared,
    /// The declared sources, whose columns are looked at.
    sources: BTreeMap<Arc<str>, Arc<SourceSpec>>,
    /// Records whose predictions are known and that are not applied yet.
    held: Vec<Record>,
    /// By what was seen, then by number.
    queries: BTreeMap<(Position, u64), Query>,
    /// The number of the next query.
    next: u64,
    /// The queries of predictions up to here are known.
    noted: Position,
    /// Queries that saw nothing after a position before their view was declared.
    undeclared: VecDeque<(Position, Query)>,
    /// Whether it goes on and on: then of the differences the last ones are kept.
    endless: bool,
    records: u64,
    events: u64,
    figures: Figures,
}

impl Auditor {
    /// An audit by some options; batch and shards are at least one.
    pub fn new(options: AuditOptions) -> Self {
        let options = AuditOptions { batch: options.batch.max(1), shards: options.shards.max(1), ..options };
        Self {
            options,
            views: BTreeMap::new(),
            declared: Declared::default(),
            sources: BTreeMap::new(),
            held: Vec::new(),
            queries: BTreeMap::new(),
            next: 0,
            noted: Position::START,
            undeclared: VecDeque::new(),
            endless: false,
            records: 0,
            events: 0,
            figures: Figures::default(),
        }
    }

    /// An audit that goes on and on, of the part of the entities that is declared.
    pub(crate) fn endless(options: AuditOptions) -> Self {
        Self { endless: true, ..Self::new(options) }
    }

    /// Audit a log from its files alone. `progress` is told the last position read.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn run(
        mut self,
        reader: &LogReader,
        mut progress: impl FnMut(Position),
    ) -> Result<Audit, PipelineError> {
        let mut records = reader.read(Position(1), reader.head())?;
        loop {
            let batch: Vec<Record> = records.by_ref().take(self.options.batch).collect::<Result<_, _>>()?;
            let Some(last) = batch.last().map(|record| record.position) else { break };
            self.feed(batch, reader)?;
            progress(last);
        }
        self.settle(reader)?;
        Ok(self.ended())
    }

    fn ended(self) -> Audit {
        let features: BTreeMap<Arc<str>, FeatureSkew> =
            self.figures.skew.iter().map(|(name, skew)| (Arc::clone(name), skew.total())).collect();
        Audit {
            records: self.records,
            events: self.events,
            predictions: self.figures.predictions,
            values: features.values().map(|skew| skew.compared).sum(),
            not_compared: self.figures.not_compared + self.undeclared.len() as u64,
            features,
            differences: self.figures.differences.into(),
        }
    }

    /// What was found so far.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The last record that was taken.
    pub(crate) fn read_to(&self) -> Position {
        self.held.last().map_or(self.figures.through, |record| record.position)
    }

    /// Take the next records of the log. They are held until the next ones come: a prediction stands behind the
    /// events that it saw, by less than a batch, and so is asked for at the position that it saw.
    ///
    /// # Errors
    /// When a record cannot be understood.
    pub(crate) fn feed(&mut self, batch: Vec<Record>, reader: &LogReader) -> Result<(), PipelineError> {
        for record in &batch {
            if record.position > self.noted && record.entry.stream == Stream::Prediction {
                self.note(record)?;
            }
        }
        self.noted = batch.last().map_or(self.noted, |record| self.noted.max(record.position));
        for record in std::mem::replace(&mut self.held, batch) {
            self.ask_before(record.position)?;
            self.apply(&record, reader)?;
            self.figures.through = record.position;
            self.figures.at = record.entry.available_at;
        }
        Ok(())
    }

    /// Apply what is held: no prediction on its way saw less.
    ///
    /// # Errors
    /// When a record cannot be understood.
    pub(crate) fn settle(&mut self, reader: &LogReader) -> Result<(), PipelineError> {
        self.feed(Vec::new(), reader)?;
        self.ask_before(self.figures.through.next())
    }

    /// Note what a prediction was served, to be compared at the position that it saw.
    fn note(&mut self, record: &Record) -> Result<(), PipelineError> {
        let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        self.figures.predictions += 1;
        for view in payload.views {
            let query = Query {
                prediction: Arc::clone(&record.entry.id),
                position: record.position,
                at: record.entry.event_time,
                available_at: record.entry.available_at,
                version: view.version,
                key: view.key,
                features: view.features,
            };
            self.queries.insert((view.seen, self.next), query);
            self.next += 1;
        }
        Ok(())
    }

    /// Compare what saw no event at or after `position`.
    fn ask_before(&mut self, position: Position) -> Result<(), PipelineError> {
        while let Some(entry) = self.queries.first_entry() {
            if entry.key().0 >= position {
                break;
            }
            let ((seen, _), query) = entry.remove_entry();
            if self.views.contains_key(&query.version) {
                self.compare(seen, &query)?;
            } else {
                self.undeclared.push_back((seen, query));
                if self.undeclared.len() > UNDECLARED {
                    self.undeclared.pop_front();
                    self.figures.not_compared += 1;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, record: &Record, reader: &LogReader) -> Result<(), PipelineError> {
        self.records += 1;
        match record.entry.stream {
            Stream::Control => {
                let before = self.declared.revision();
                self.declared.apply(record)?;
                if self.declared.revision() != before {
                    self.add_views(record.position, reader)?;
                }
                Ok(())
            }
            Stream::Event => self.apply_event(record),
            Stream::Prediction | Stream::Feedback | Stream::DeadLetter | Stream::Progress => Ok(()),
        }
    }

    fn apply_event(&mut self, record: &Record) -> Result<(), PipelineError> {
        self.events += 1;
        let (name, at) = (&record.entry.source, record.entry.available_at);
        let counted = self.figures.source(name);
        *counted.appended.at(at) += 1;
        if let Some(source) = self.sources.get(name) {
            let event = DecodedEvent::decode(source, record)?;
            Figures::row(&mut counted.columns, &source.schema, event.as_event(source).row, at);
        }
        for replayed in self.views.values_mut() {
            replayed.apply(record)?;
        }
        Ok(())
    }

    /// Views stay once they are there: what was served by one that is retired is compared too.
    fn add_views(&mut self, up_to: Position, reader: &LogReader) -> Result<(), PipelineError> {
        self.note_sources();
        // An audit that goes on and on compares the part that is declared.
        let declared = self.declared.goal().map(|goal| goal.project.audited).filter(|_| self.endless);
        let share = declared.unwrap_or(self.options.share);
        for (version, (view, source)) in self.declared.views() {
            if self.views.get(version).is_some_and(|replayed| replayed.sample.borrow().of(share)) {
                continue;
            }
            let (view, feed) = (Arc::clone(view), Feed::new(source)?);
            let shards = (0..self.options.shards).map(|_| Shard::new(vec![Arc::clone(&view)])).collect();
            let sample = RefCell::new(Sample::new(share));
            let mut replayed = Replayed { view, feed, shards, sample };
            for record in reader.read(Position(1), up_to)? {
                replayed.apply(&record?)?;
            }
            self.views.insert(*version, replayed);
        }
        for (seen, query) in std::mem::take(&mut self.undeclared) {
            match self.views.contains_key(&query.version) {
                true => self.compare(seen, &query)?,
                false => self.undeclared.push_back((seen, query)),
            }
        }
        Ok(())
    }

    fn note_sources(&mut self) {
        let sources = self.declared.goal().map(|goal| goal.project.sources.as_slice()).unwrap_or_default();
        self.sources =
            sources.iter().map(|source| (Arc::clone(&source.name), Arc::new(source.clone()))).collect();
    }

    fn compare(&mut self, seen: Position, query: &Query) -> Result<(), PipelineError> {
        let Some(replayed) = self.views.get(&query.version) else {
            self.figures.not_compared += 1;
            return Ok(());
        };
        let wrong = |reason: String| PipelineError::record(query.position, reason);
        let key = replayed.key(&query.key).map_err(wrong)?;
        let outputs = replayed.view.outputs();
        let served = outputs.decode_json(&query.features).map_err(|error| wrong(error.to_string()))?;
        Figures::row(&mut self.figures.features, outputs, &served, query.available_at);
        if !replayed.sample.borrow().holds(key.draw()) {
            return Ok(());
        }
        let shard = &replayed.shards[shard_of(&key, replayed.shards.len())];
        if shard.seen(query.version) > seen {
            self.figures.not_compared += 1;
            return Ok(());
        }
        self.figures.compared += 1;
        let reading = shard.read(query.version, &key, query.at);
        for ((column, served), replayed) in outputs.columns().iter().zip(&served).zip(&reading.values) {
            self.figures.compared(&column.name, query.available_at, served, replayed);
        }
        for difference in skew::compare(&replayed.view, &served, &reading.values) {
            if self.endless && self.figures.differences.len() >= KEPT {
                self.figures.differences.pop_front();
            }
            self.figures.differences.push_back(Skewed {
                prediction: Arc::clone(&query.prediction),
                position: query.position,
                entity: key.with_names(replayed.view.entity()),
                feature: difference.feature.to_string(),
                served: difference.served.to_string(),
                replayed: difference.replayed.to_string(),
                bits: difference.bits,
            });
        }
        Ok(())
    }
}

impl Replayed {
    fn apply(&mut self, record: &Record) -> Result<(), PipelineError> {
        let events = self.feed.take(std::slice::from_ref(record))?;
        let events: Vec<Event<'_>> = events.iter().map(|event| event.as_event(self.feed.source())).collect();
        let (count, sample) = (self.shards.len(), &self.sample);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.apply_batch(&events, |key| {
                shard_of(key, count) == index && sample.borrow_mut().takes(key.draw())
            });
        }
        Ok(())
    }

    fn key(&self, json: &serde_json::Value) -> Result<EntityKey, String> {
        let row =
            crate::served::key_schema(&self.view).decode_json(json).map_err(|error| error.to_string())?;
        Ok(EntityKey::from_values(&row))
    }
}
