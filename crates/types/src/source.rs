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
    /// Read from a topic of Kafka.
    Kafka(KafkaStream),
}

/// A topic whose messages are rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KafkaStream {
    /// The topic.
    pub topic: Arc<str>,
    /// How the value of a message is written.
    pub format: Format,
    /// The address of the schema registry whose ids the values begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Arc<str>>,
    /// The schema by which values without such an id are written: Avro's JSON, or a `.proto` file whose first
    /// message is the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_schema: Option<Arc<str>>,
    /// The column that takes the message's own timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Arc<str>>,
    /// The consumer group; one of the project's and source's names if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
}

/// How a row is written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON object.
    Json,
    /// A line of comma-separated fields in the order of the source's schema.
    Csv,
    /// Avro, binary.
    Avro,
    /// Protocol Buffers, binary.
    Protobuf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Csv, Self::Avro, Self::Protobuf];

    /// The name in declarations and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// Whether its bytes can only be read with the schema that they were written by.
    pub fn needs_writer_schema(self) -> bool {
        matches!(self, Self::Avro | Self::Protobuf)
    }
}

/// The schema that messages were written by, as a registry or a declaration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSchema {
    /// What it describes.
    pub format: Format,
    /// Avro's JSON, or a `.proto` file.
    pub text: Arc<str>,
    /// The schemas that it refers to, by the names it uses for them, the ones they refer to included.
    pub references: Vec<(Arc<str>, Arc<str>)>,
}
