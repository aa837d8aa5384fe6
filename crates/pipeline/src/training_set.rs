//! Training sets: labelled requests of the log with their features as served, or replayed where a view was
//! not served yet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use perennial_control::{DataRange, Dataset};
use perennial_evaluate::{EndpointSpec, Feedback, Joined, LabelJoin, Prediction};
use perennial_features::EntityKey;
use perennial_features::point_in_time::{Mode, Query, Replay};
use perennial_log::LogReader;
use perennial_project::{CompiledModel, Lookup};
use perennial_types::{Position, Record, Row, SourceSpec, Stream, TimeSpan, Timestamp};

use crate::PipelineError;
use crate::content::hash_of_rows;
use crate::example::Asked;
use crate::feed::{Feed, logged};
use crate::reference::REFERENCE_ROWS;
use crate::served::{FeedbackRecord, PredictionRecord};

/// Labelled rows of a model, in the order in which their labels came.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSet {
    /// Rows to train on.
    pub training: Rows,
    /// The newest rows, held out.
    pub holdout: Rows,
    /// Of the rows to train on that are not replayed the newest [`REFERENCE_ROWS`], oldest first, each complete
    /// as [`CompiledModel::row`] has it.
    pub sample: Vec<Row>,
    /// What lineage keeps of it; nothing if there are no rows to train on.
    pub dataset: Option<Dataset>,
}

/// Rows of a model's inputs with their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Values in the order of the model's inputs.
    pub inputs: Vec<Row>,
    /// The labels.
    pub labels: Vec<f64>,
}

/// A labelled request before its features are complete.
struct Labelled {
    request: PredictionRecord,
    asked_at: Timestamp,
    asked: Position,
    label: f64,
    known: Position,
    known_at: Timestamp,
}

/// What a training set is built from.
#[derive(Clone, Copy)]
pub struct Builder<'a> {
    /// The log.
    pub reader: &'a LogReader,
    /// The definition to train under.
    pub model: &'a CompiledModel,
    /// The sources of the model's views.
    pub sources: &'a [Arc<SourceSpec>],
    /// The model's endpoint.
    pub endpoint: &'a EndpointSpec,
}

impl Builder<'_> {
    /// Build the training set of a range. A pure function of the log up to `range.to`.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn build(&self, range: &DataRange) -> Result<TrainingSet, PipelineError> {
        let mut rows = self.labelled(range)?;
        let first_new = rows.partition_point(|row| row.known <= range.after);
        let replay = usize::try_from(range.replay_rows).unwrap_or(usize::MAX);
        let dropped = first_new.saturating_sub(replay);
        rows.drain(..dropped);
        let replayed = first_new - dropped;
        let holdout = usize::try_from(range.holdout_rows).unwrap_or(usize::MAX);
        let split = rows.len().saturating_sub(holdout);
        let at_most = range.at_most.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(usize::MAX);
        let trained = split.min(replayed.saturating_add(at_most));
        let sampled = trained.saturating_sub(REFERENCE_ROWS).max(replayed.min(trained))..trained;
        let (inputs, sample) = self.inputs(&rows, sampled)?;
        let take = |from: usize, to: usize| Rows {
            inputs: inputs[from..to].to_vec(),
            labels: rows[from..to].iter().map(|row| row.label).collect(),
        };
        let (training, holdout) = (take(0, trained), take(split, rows.len()));
        let dataset = self.dataset(&rows[..trained], &training, holdout.labels.len() as u64);
        Ok(TrainingSet { training, holdout, sample, dataset })
    }

    /// Labelled requests by the position of their labels, up to `range.to`; those up to `range.after` are kept
    /// as far as they are needed for replay.
    fn labelled(&self, range: &DataRange) -> Result<Vec<Labelled>, PipelineError> {
        let give_up_after = self.endpoint.label.give_up_after;
        let mut reach = give_up_after;
        loop {
            let from = self.start(range, reach)?;
            let rows = self.scan(range, from)?;
            if range.since.is_some() || range.replay_rows == 0 || from <= Position(1) {
                return Ok(rows);
            }
            // Of rows that were known earlier, some have their request before the scan: the newest of those
            // that were found would not be the newest that there are.
            let whole_from = self.available_at(from)?.map(|at| at + give_up_after);
            let old = rows.iter().filter(|row| row.known <= range.after);
            let whole =
                old.filter(|row| whole_from.is_some_and(|whole_from| row.known_at >= whole_from)).count();
            if whole as u64 >= range.replay_rows {
                return Ok(rows);
            }
            reach =
                TimeSpan::from_micros(reach.micros().saturating_mul(2).max(TimeSpan::from_days(1).micros()));
        }
    }

    fn available_at(&self, position: Position) -> Result<Option<Timestamp>, PipelineError> {
        let record = self.reader.read(position, position)?.next().transpose()?;
        Ok(record.map(|record| record.entry.available_at))
    }

    /// Where requests may begin whose labels came after `range.after`, or a `reach` before that.
    fn start(&self, range: &DataRange, reach: TimeSpan) -> Result<Position, PipelineError> {
        if let Some(since) = range.since {
            return Ok(self.reader.first_at_or_after(since)?);
        }
        if range.after == Position::START {
            return Ok(Position(1));
        }
        match self.available_at(range.after)? {
            Some(at) => Ok(self.reader.first_at_or_after(at - reach)?),
            None => Ok(Position(1)),
        }
    }

    fn scan(&self, range: &DataRange, from: Position) -> Result<Vec<Labelled>, PipelineError> {
        let mut join = LabelJoin::new(self.endpoint.label.give_up_after);
        let mut pending: BTreeMap<Arc<str>, (Position, Timestamp, PredictionRecord)> = BTreeMap::new();
        let mut rows = Vec::new();
        for record in self.reader.read(from.max(Position(1)), range.to)? {
            let record = record?;
            if record.entry.source != self.endpoint.name {
                continue;
            }
            let joined = match record.entry.stream {
                Stream::Prediction => {
                    let (id, at) = (Arc::clone(&record.entry.id), record.entry.event_time);
                    if range.since.is_none_or(|since| at >= since) {
                        let request = decode(&record)?;
                        pending.entry(Arc::clone(&id)).or_insert((record.position, at, request));
                    }
                    join.predicted(joinable(id, at, record.position))
                }
                Stream::Feedback => Some(join.labelled(feedback(&record)?)),
                Stream::Event | Stream::Control | Stream::DeadLetter | Stream::Progress => None,
            };
            let Some(Joined::Labelled(pair)) = joined else { continue };
            if let Some((asked, asked_at, request)) = pending.remove(&pair.prediction.id)
                && (pair.position > range.after || range.replay_rows > 0)
            {
                let (label, known, known_at) = (pair.label, pair.position, pair.known_at);
                rows.push(Labelled { request, asked_at, asked, label, known, known_at });
            }
        }
        Ok(rows)
    }

    /// The model's inputs of every row, and some of the rows complete.
    fn inputs(
        &self,
        rows: &[Labelled],
        complete: Range<usize>,
    ) -> Result<(Vec<Row>, Vec<Row>), PipelineError> {
        let mut columns: Vec<Vec<Row>> = Vec::new();
        for lookup in &self.model.lookups {
            columns.push(self.features(lookup, rows)?);
        }
        let (mut inputs, mut sample) = (Vec::with_capacity(rows.len()), Vec::with_capacity(complete.len()));
        for (index, row) in rows.iter().enumerate() {
            let features = columns.iter().map(|column| column[index].as_slice());
            let row = self.asked(row)?.complete(features);
            inputs.push(self.model.inputs_of(&row));
            if complete.contains(&index) {
                sample.push(row);
            }
        }
        Ok((inputs, sample))
    }

    fn asked(&self, row: &Labelled) -> Result<Asked<'_>, PipelineError> {
        Asked::decode(self.model, &row.request.request)
            .map_err(|error| PipelineError::record(row.asked, error))
    }

    /// The outputs of a view for every row: as served where the view version was, else replayed at the
    /// request's position.
    fn features(&self, lookup: &Lookup, rows: &[Labelled]) -> Result<Vec<Row>, PipelineError> {
        let mut features = Vec::with_capacity(rows.len());
        let mut missing = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let key = self.asked(row)?.key(lookup);
            match row.request.features_of(lookup, &key) {
                Some(served) => features.push(
                    lookup
                        .view
                        .outputs()
                        .decode_json(served)
                        .map_err(|error| PipelineError::record(row.asked, error))?,
                ),
                None => {
                    features.push(Row::new());
                    let key = EntityKey::from_values(&key);
                    missing.push((index, Query { key, at: row.asked_at, seen: row.asked }));
                }
            }
        }
        self.replay(lookup, missing, &mut features)?;
        Ok(features)
    }

    /// Read a view at positions of the log, as it would have been served there.
    fn replay(
        &self,
        lookup: &Lookup,
        missing: Vec<(usize, Query)>,
        features: &mut [Row],
    ) -> Result<(), PipelineError> {
        let Some(last) = missing.iter().map(|(_, query)| query.seen).max() else { return Ok(()) };
        let source =
            self.sources.iter().find(|source| source.name == lookup.view.spec().from).ok_or_else(|| {
                PipelineError::Invalid(format!("view {:?} has no source", lookup.view.spec().name))
            })?;
        let (indexes, queries): (Vec<usize>, Vec<Query>) = missing.into_iter().unzip();
        let mut replay = Replay::new(&lookup.view, &queries, Mode::AsServed);
        let mut feed = Feed::new(source)?;
        for record in self.reader.read(Position(1), last)? {
            for event in feed.take(std::slice::from_ref(&record?))? {
                replay.take(&event.as_event(source));
            }
        }
        for (index, values) in indexes.into_iter().zip(replay.values()) {
            features[index] = values;
        }
        Ok(())
    }

    fn dataset(&self, rows: &[Labelled], training: &Rows, holdout_rows: u64) -> Option<Dataset> {
        let (first, last) = (rows.first()?, rows.last()?);
        Some(Dataset {
            content_hash: hash_of_rows(training),
            endpoint: Arc::clone(&self.endpoint.name),
            streams: self.streams(),
            from_position: rows.iter().map(|row| row.asked).min().unwrap_or(first.asked),
            to_position: last.known,
            from_time: rows.iter().map(|row| row.asked_at).min().unwrap_or(first.asked_at),
            to_time: rows.iter().map(|row| row.asked_at).max().unwrap_or(last.asked_at),
            rows: rows.len() as u64,
            holdout_rows,
        })
    }

    /// The streams that rows are read from, by stream and source.
    fn streams(&self) -> Vec<Arc<str>> {
        let endpoint = [Stream::Prediction, Stream::Feedback]
            .map(|stream| format!("{}.{}", stream.name(), self.endpoint.name).into());
        let views = self.model.lookups.iter().map(|lookup| &lookup.view.spec().from);
        let read = views.filter_map(|name| self.sources.iter().find(|source| source.name == *name));
        let logged = read.flat_map(|source| logged(source));
        let mut sources: Vec<Arc<str>> =
            logged.map(|source| format!("{}.{source}", Stream::Event.name()).into()).collect();
        sources.sort();
        sources.dedup();
        endpoint.into_iter().chain(sources).collect()
    }
}

fn decode(record: &Record) -> Result<PredictionRecord, PipelineError> {
    serde_json::from_slice(&record.entry.payload)
        .map_err(|error| PipelineError::record(record.position, error))
}

/// What the label join needs of a prediction; who answered does not matter for training.
fn joinable(id: Arc<str>, at: Timestamp, position: Position) -> Prediction {
    let nobody: Arc<str> = "".into();
    Prediction {
        id,
        at,
        model: Arc::clone(&nobody),
        version: nobody,
        value: 0.0,
        fallback: false,
        position,
        exposure: perennial_evaluate::Exposure::default(),
    }
}

/// A record of the feedback stream as the label join takes it.
///
/// # Errors
/// When the payload is not one.
pub fn feedback(record: &Record) -> Result<Feedback, PipelineError> {
    let payload: FeedbackRecord = serde_json::from_slice(&record.entry.payload)
        .map_err(|error| PipelineError::record(record.position, error))?;
    let (at, position) = (record.entry.available_at, record.position);
    Ok(Feedback { prediction_id: payload.prediction_id, value: payload.value, at, position })
}
