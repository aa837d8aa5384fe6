//! A declared stream of events.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Schema, TimeSpan};

/// A declared source: the schema of its rows and which columns carry id and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The name that events are sent to.
    pub name: Arc<str>,
    /// The columns of a row.
    pub schema: Schema,
    /// The string or int64 column that identifies a row; two rows of one id are one event.
    pub id: Option<Arc<str>>,
    /// The timestamp column that says when it happened.
    pub event_time: Arc<str>,
    /// Where the time of becoming known comes from.
    pub available_at: AvailableAt,
    /// How rows arrive.
    pub stream: StreamSpec,
    /// How long events are to be kept: no window over them is longer. Older ones are not removed yet.
    pub retention: TimeSpan,
}

/// Where `available_at` of an event comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AvailableAt {
    /// The instant at which it was admitted.
    Arrival,
    /// A timestamp column, for imported history; rows must come in its order.
    Column(Arc<str>),
}

/// How rows arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamSpec {
    /// Over `POST /v1/events/{source}`.
    Http {},
}
