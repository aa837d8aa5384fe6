//! The skew audit: features as served against features replayed from the log, bit by bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_features::{EntityKey, Shard, View, shard_of, skew};
use perennial_log::{LogError, LogReader};
use perennial_types::{ContentHash, Position, Record, SourceSpec, Stream, Timestamp};
use serde::Serialize;

use crate::engine::DecodedEvent;
use crate::served::PredictionRecord;
use crate::{Declared, PipelineError};

/// How the audit replays: its results do not depend on either.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// Records that are read ahead of the features that they were served.
    pub batch: usize,
    /// Shards of every view.
    pub shards: usize,
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
    /// Values that differ.
    pub differences: Vec<Skewed>,
}

/// A value that was served and is not what the log gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
struct Query {
    prediction: Arc<str>,
    position: Position,
    at: Timestamp,
    version: ContentHash,
    key: serde_json::Value,
    features: serde_json::Value,
}

struct Replayed {
    view: Arc<View>,
    source: Arc<SourceSpec>,
    shards: Vec<Shard>,
}

/// Replays a log and compares what was served with what it gives.
pub struct Auditor {
    options: AuditOptions,
    views: BTreeMap<ContentHash, Replayed>,
    declared: Declared,
    /// By what was seen, then by number.
    queries: BTreeMap<(Position, u64), Query>,
    /// Queries that saw nothing after a position before their view was declared.
    undeclared: Vec<(Position, Query)>,
    audit: Audit,
}

impl Auditor {
    /// An audit by some options; both are at least one.
    pub fn new(options: AuditOptions) -> Self {
        let options = AuditOptions { batch: options.batch.max(1), shards: options.shards.max(1) };
        let (declared, audit) = (Declared::default(), Audit::default());
        let (views, queries, undeclared) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { options, views, declared, queries, undeclared, audit }
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
        let mut current = self.read_ahead(&mut records)?;
        while let Some(last) = current.last() {
            let last = last.position;
            // A prediction stands behind the events that it saw, by less than a batch: with the next batch's
            // predictions known, every query is asked at the position that it saw.
            let next = self.read_ahead(&mut records)?;
            for record in &current {
                self.ask_before(record.position)?;
                self.apply(record, reader)?;
            }
            current = next;
            progress(last);
        }
        self.ask_before(Position(u64::MAX))?;
        self.audit.not_compared += self.undeclared.len() as u64;
        Ok(self.audit)
    }

    fn read_ahead(
        &mut self,
        records: &mut impl Iterator<Item = Result<Record, LogError>>,
    ) -> Result<Vec<Record>, PipelineError> {
        let batch: Vec<Record> = records.take(self.options.batch).collect::<Result<_, _>>()?;
        for record in batch.iter().filter(|record| record.entry.stream == Stream::Prediction) {
            let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload)
                .map_err(|error| PipelineError::record(record.position, error))?;
            self.audit.predictions += 1;
            for view in payload.views {
                let query = Query {
                    prediction: Arc::clone(&record.entry.id),
                    position: record.position,
                    at: record.entry.event_time,
                    version: view.version,
                    key: view.key,
                    features: view.features,
                };
                let number = self.audit.predictions << 16 | self.queries.len() as u64 & 0xffff;
                self.queries.insert((view.seen, number), query);
            }
        }
        Ok(batch)
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
                self.undeclared.push((seen, query));
            }
        }
        Ok(())
    }

    fn apply(&mut self, record: &Record, reader: &LogReader) -> Result<(), PipelineError> {
        self.audit.records += 1;
        match record.entry.stream {
            Stream::Control => {
                let before = self.declared.revision();
                self.declared.apply(record)?;
                if self.declared.revision() != before {
                    self.add_views(record.position, reader)?;
                }
            }
            Stream::Event => {
                self.audit.events += 1;
                for replayed in self.views.values_mut().filter(|view| view.source.name == record.entry.source)
                {
                    let event = DecodedEvent::decode(&replayed.source, record)?;
                    replayed.apply(&event);
                }
            }
            Stream::Prediction | Stream::Feedback | Stream::DeadLetter | Stream::Progress => {}
        }
        Ok(())
    }

    /// Views stay once they are there: what was served by one that is retired is compared too.
    fn add_views(&mut self, up_to: Position, reader: &LogReader) -> Result<(), PipelineError> {
        for (version, (view, source)) in self.declared.views() {
            if self.views.contains_key(version) {
                continue;
            }
            let (view, source) = (Arc::clone(view), Arc::clone(source));
            let shards = (0..self.options.shards).map(|_| Shard::new(vec![Arc::clone(&view)])).collect();
            let mut replayed = Replayed { view, source, shards };
            for record in reader.read(Position(1), up_to)? {
                let record = record?;
                if record.entry.stream == Stream::Event && record.entry.source == replayed.source.name {
                    let event = DecodedEvent::decode(&replayed.source, &record)?;
                    replayed.apply(&event);
                }
            }
            self.views.insert(*version, replayed);
        }
        for (seen, query) in std::mem::take(&mut self.undeclared) {
            match self.views.contains_key(&query.version) {
                true => self.compare(seen, &query)?,
                false => self.undeclared.push((seen, query)),
            }
        }
        Ok(())
    }

    fn compare(&mut self, seen: Position, query: &Query) -> Result<(), PipelineError> {
        let Some(replayed) = self.views.get(&query.version) else {
            self.audit.not_compared += 1;
            return Ok(());
        };
        let wrong = |reason: String| PipelineError::record(query.position, reason);
        let key = replayed.key(&query.key).map_err(wrong)?;
        let shard = &replayed.shards[shard_of(&key, replayed.shards.len())];
        if shard.seen(query.version) > seen {
            self.audit.not_compared += 1;
            return Ok(());
        }
        let outputs = replayed.view.outputs();
        let served = outputs.decode_json(&query.features).map_err(|error| wrong(error.to_string()))?;
        let reading = shard.read(query.version, &key, query.at);
        self.audit.values += served.len() as u64;
        for difference in skew::compare(&replayed.view, &served, &reading.values) {
            self.audit.differences.push(Skewed {
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
    fn apply(&mut self, event: &DecodedEvent) {
        let count = self.shards.len();
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.apply(&event.as_event(&self.source), |key| shard_of(key, count) == index);
        }
    }

    fn key(&self, json: &serde_json::Value) -> Result<EntityKey, String> {
        let row =
            crate::served::key_schema(&self.view).decode_json(json).map_err(|error| error.to_string())?;
        Ok(EntityKey::from_values(&row))
    }
}
