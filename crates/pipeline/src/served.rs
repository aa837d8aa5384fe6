//! The payloads of the prediction and feedback streams.

use std::fmt;
use std::sync::Arc;

use perennial_features::View;
use perennial_project::Lookup;
use perennial_types::{Column, ContentHash, Position, Schema, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// What was asked, what was known and what was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// The request's columns.
    pub request: serde_json::Value,
    /// The views of every model of the endpoint as they were read, whichever model answered.
    pub views: Vec<ServedView>,
    /// The experiment in which an arm was drawn.
    pub experiment: Option<Arc<str>>,
    /// The start of the epoch whose probabilities were used; nothing before the first version.
    pub epoch: Option<Timestamp>,
    /// What the arm was drawn for, where that is not the request itself: the value of the unit's column.
    pub unit: Option<Arc<str>>,
    /// The probability of every arm, in the order of the vector.
    pub probabilities: Vec<ArmProbability>,
    /// The version that was drawn.
    pub drawn: Option<ServedVersion>,
    /// With which probability: for a unit of many requests that over all units.
    pub propensity: f64,
    /// The version that answered; another than the drawn one if that failed.
    pub served: Option<ServedVersion>,
    /// The answer.
    pub prediction: f64,
    /// Why the drawn version did not answer.
    pub fallback: Option<Fallback>,
    /// What the versions in shadow would have answered.
    pub shadows: Vec<ShadowScore>,
}

impl PredictionRecord {
    /// The features of a lookup as they were served for this key, as JSON; nothing if they were not. Models may
    /// look up one view by different keys.
    pub fn features_of(&self, lookup: &Lookup, key: &[Value]) -> Option<&serde_json::Value> {
        let version = lookup.view.version();
        let mut served = self.views.iter().filter(|view| view.version == version).peekable();
        served.peek()?;
        let key = key_schema(&lookup.view).encode_json(key);
        served.find(|view| view.key == key).map(|view| &view.features)
    }
}

/// An arm's probability in a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmProbability {
    /// The model.
    pub model: Arc<str>,
    /// The version's number.
    pub number: u64,
    /// From 0 to 1; those of a vector sum to one.
    pub probability: f64,
}

/// What a version in shadow says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowScore {
    /// The version.
    pub version: ServedVersion,
    /// What it says; nothing if it failed.
    pub value: Option<f64>,
}

/// A view's features as served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedView {
    /// The view's name.
    pub view: Arc<str>,
    /// Its version.
    pub version: ContentHash,
    /// The entity key by the names of its columns; NULLs are left out.
    pub key: serde_json::Value,
    /// Events up to here were seen.
    pub seen: Position,
    /// The features by full name; NULLs are left out.
    pub features: serde_json::Value,
}

/// A version by model and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedVersion {
    /// The model.
    pub model: Arc<str>,
    /// The version's number.
    pub number: u64,
    /// The version's content hash.
    pub content_hash: ContentHash,
}

/// As `model/number`.
impl fmt::Display for ServedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.number)
    }
}

/// Why the drawn version did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The model has no version yet: the endpoint's default was answered.
    NoVersion,
    /// The version could not compute an answer.
    Error,
    /// A view that the version reads is not filled from the log yet.
    NotReady,
    /// The version took longer than the endpoint allows.
    Deadline,
}

/// A label of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedbackRecord {
    /// The prediction's id.
    pub prediction_id: Arc<str>,
    /// The label.
    pub value: f64,
}

/// The columns of a view's entity key as a schema; any of them may be NULL in a request.
pub fn key_schema(view: &View) -> Schema {
    let nullable = |column: &Column| Column { nullable: true, ..column.clone() };
    // The columns of an entity have different names, which a view is refused for otherwise.
    Schema::new(view.entity().iter().map(nullable).collect()).unwrap_or_default()
}
