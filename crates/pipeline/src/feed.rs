//! From records of the log to the events of a source: of one that stands in the log, or of one that follows from
//! others. The one place where that is done, live, in backfill, in training sets and in audits alike.

use std::sync::Arc;

use perennial_features::streams::{Derivation, Flow};
use perennial_features::{EntityKey, Event};
use perennial_log::decode::decode_row;
use perennial_types::{ContentHash, Position, Record, Row, SourceSpec, Stream, Timestamp, Value};
use serde_json::{Value as Json, json};

use crate::PipelineError;

/// An event of a source.
pub(crate) struct DecodedEvent {
    row: Row,
    position: Position,
    event_time: Timestamp,
    available_at: Timestamp,
}

impl DecodedEvent {
    /// # Errors
    /// When the record is none of the source.
    pub(crate) fn decode(source: &SourceSpec, record: &Record) -> Result<Self, PipelineError> {
        let row = decode_row(source, &record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        let (event_time, available_at) = (record.entry.event_time, record.entry.available_at);
        Ok(Self { row, position: record.position, event_time, available_at })
    }

    /// The key that stands in these columns; nothing when one of them is NULL.
    pub(crate) fn key(&self, columns: &[usize]) -> Option<EntityKey> {
        let values: Vec<Value> = columns.iter().map(|column| self.row[*column].clone()).collect();
        (!values.iter().any(Value::null)).then(|| EntityKey::from_values(&values))
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

/// The events of one source in the order of the log. It follows the log from its first record on, or from where its
/// state was saved; a record that it has seen gives nothing again.
pub(crate) struct Feed {
    source: Arc<SourceSpec>,
    /// The state of a source that follows from others, or that passes repetitions over.
    flow: Option<Flow>,
}

impl Feed {
    /// From the beginning of the log.
    ///
    /// # Errors
    /// When the source is not one that was checked.
    pub(crate) fn new(source: &Arc<SourceSpec>) -> Result<Self, PipelineError> {
        let flow = derivation(source)?.map(Flow::new);
        Ok(Self { source: Arc::clone(source), flow })
    }

    /// From where [`Feed::save`] was called.
    ///
    /// # Errors
    /// When the bytes are not those of this source.
    pub(crate) fn load(source: &Arc<SourceSpec>, bytes: &[u8]) -> Result<Self, PipelineError> {
        let flow = match derivation(source)? {
            Some(derivation) => Some(Flow::load(derivation, bytes).map_err(PipelineError::from)?),
            None => None,
        };
        Ok(Self { source: Arc::clone(source), flow })
    }

    /// Its state; nothing of a source whose events are those of the log.
    pub(crate) fn save(&self) -> Vec<u8> {
        self.flow.as_ref().map(Flow::save).unwrap_or_default()
    }

    /// What two feeds have in common that give the same events.
    pub(crate) fn key(source: &SourceSpec) -> ContentHash {
        ContentHash::of(essence(source).to_string().as_bytes())
    }

    /// Whether the events of a source are those of the log as they are.
    pub(crate) fn as_logged(source: &SourceSpec) -> bool {
        source.derived().is_none() && source.dedupe.is_none()
    }

    /// How many rows it keeps; nothing of a source whose events are those of the log.
    pub(crate) fn kept(&self) -> Option<usize> {
        self.flow.as_ref().map(Flow::kept)
    }

    /// The source.
    pub(crate) fn source(&self) -> &Arc<SourceSpec> {
        &self.source
    }

    /// The events that follow from some records, in order. Several of them may stand at one position, which go to a
    /// view in one batch.
    ///
    /// # Errors
    /// When a record cannot be understood.
    pub(crate) fn take(&mut self, records: &[Record]) -> Result<Vec<DecodedEvent>, PipelineError> {
        let mut events = Vec::new();
        for record in records.iter().filter(|record| record.entry.stream == Stream::Event) {
            self.take_one(record, &mut events)?;
        }
        Ok(events)
    }

    fn take_one(&mut self, record: &Record, events: &mut Vec<DecodedEvent>) -> Result<(), PipelineError> {
        let Some(flow) = &mut self.flow else {
            if record.entry.source == self.source.name {
                events.push(DecodedEvent::decode(&self.source, record)?);
            }
            return Ok(());
        };
        let mut reads = flow.derivation().reads().iter();
        let Some(read) = reads.find(|read| read.name == record.entry.source).cloned() else { return Ok(()) };
        let cause = DecodedEvent::decode(&read, record)?;
        let mut follows = Vec::new();
        flow.apply(&cause.as_event(&read), &mut follows);
        let (position, available_at) = (cause.position, cause.available_at);
        events.extend(follows.into_iter().map(|one| DecodedEvent {
            row: one.row,
            position,
            event_time: one.event_time,
            available_at,
        }));
        Ok(())
    }
}

/// What the events of a source depend on: not on how its rows arrive.
fn essence(source: &SourceSpec) -> Json {
    let follows = source.derived().map(|derived| {
        let inputs: Vec<Json> = derived.inputs.iter().map(essence).collect();
        json!([derived.operator, inputs])
    });
    let times = (!Feed::as_logged(source)).then_some((source.lateness, source.retention));
    json!([source.name, source.schema, source.event_time, source.dedupe, follows, times])
}

/// What a source follows from, if its events are not those of the log.
fn derivation(source: &SourceSpec) -> Result<Option<Arc<Derivation>>, PipelineError> {
    let derivation = Derivation::compile(source).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        PipelineError::Invalid(format!("source {:?} cannot be computed: {}", source.name, faults.join("; ")))
    })?;
    Ok((!derivation.as_logged()).then_some(derivation))
}

/// The sources that stand in the log whose events a source follows from.
pub(crate) fn logged(source: &SourceSpec) -> Vec<Arc<str>> {
    match source.derived() {
        None => vec![Arc::clone(&source.name)],
        Some(derived) => derived.inputs.iter().flat_map(logged).collect(),
    }
}
