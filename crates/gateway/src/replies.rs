//! Replies that were given, so that the same id gets the same reply.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use perennial_pipeline::{Fallback, PipelineError, PredictionRecord, ServedVersion};
use perennial_types::{Position, Record, TimeSpan, Timestamp, hash64};
use serde::{Deserialize, Serialize};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id.
    pub id: Arc<str>,
    /// The answer.
    pub prediction: f64,
    /// The version that answered; nothing if the endpoint's default did.
    pub served: Option<ServedVersion>,
    /// Why the version that was drawn did not answer.
    pub fallback: Option<Fallback>,
    /// The experiment in which an arm was drawn.
    pub experiment: Option<Arc<str>>,
    /// The start of the epoch whose probabilities were used; nothing before the first version.
    pub epoch: Option<Timestamp>,
    /// The version that was drawn.
    pub drawn: Option<ServedVersion>,
    /// With which probability.
    pub propensity: f64,
    /// Where the record stands.
    pub position: Position,
}

impl Reply {
    /// What a record says to the one who asked.
    pub(crate) fn of(id: &Arc<str>, record: PredictionRecord, position: Position) -> Self {
        Self {
            id: Arc::clone(id),
            prediction: record.prediction,
            served: record.served,
            fallback: record.fallback,
            experiment: record.experiment,
            epoch: record.epoch,
            drawn: record.drawn,
            propensity: record.propensity,
            position,
        }
    }
}

/// The replies of the dedupe window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Replies {
    replies: BTreeMap<Key, Kept>,
    order: VecDeque<(Timestamp, Key)>,
}

/// A reply that was given, with the hash of its request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) request_hash: u64,
    at: Timestamp,
    pub(crate) reply: Reply,
}

/// Endpoint and id.
type Key = (Arc<str>, Arc<str>);

/// How long a reply is kept: as long as the log knows its id.
const KEPT: TimeSpan = TimeSpan::from_hours(1);

impl Replies {
    /// The reply that an id has at an instant. Its age decides, not which records were applied meanwhile: the
    /// log goes by the same age.
    pub(crate) fn get(&self, endpoint: &Arc<str>, id: &Arc<str>, now: Timestamp) -> Option<&Kept> {
        let kept = self.replies.get(&(Arc::clone(endpoint), Arc::clone(id)))?;
        (now.since(kept.at) <= KEPT).then_some(kept)
    }

    /// Keep the reply of a record of the prediction stream, and forget the old ones.
    pub(crate) fn keep(&mut self, record: &Record) -> Result<(), PipelineError> {
        let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        let (key, at) =
            ((Arc::clone(&record.entry.source), Arc::clone(&record.entry.id)), record.entry.available_at);
        while let Some((then, key)) = self.order.pop_front_if(|(then, _)| at.since(*then) > KEPT) {
            // The id may have a younger reply by now.
            if self.replies.get(&key).is_some_and(|kept| kept.at == then) {
                self.replies.remove(&key);
            }
        }
        let request_hash = request_hash(&payload.request);
        let reply = Reply::of(&record.entry.id, payload, record.position);
        self.order.push_back((at, key.clone()));
        self.replies.insert(key, Kept { request_hash, at, reply });
        Ok(())
    }
}

/// Tells requests apart. The request is canonical: decoded and written again by the endpoint's schema.
pub(crate) fn request_hash(request: &serde_json::Value) -> u64 {
    hash64(0, &[&request.to_string()])
}
