//! A declared stream of events.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{DedupeSpec, DerivedSpec, Schema, TimeSpan};

/// A declared source: the schema of its rows and which columns carry id and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The name that events are sent to.
    pub name: Arc<str>,
    /// The columns of a row.
    pub schema: Schema,
    /// The string or int64 column that identifies a row; two rows of one id are one event.
    pub id: Option<Arc<str>>,
    /// Where the time of happening comes from.
    pub event_time: EventTime,
    /// Where the time of becoming known comes from.
    pub available_at: AvailableAt,
    /// How rows arrive.
    pub stream: StreamSpec,
    /// How long events are to be kept: no window over them is longer. Older ones are not removed yet.
    pub retention: TimeSpan,
    /// How far behind the newest event others may still come: the watermark follows the newest one at this
    /// distance. What comes later yet is counted, never dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lateness: TimeSpan,
    /// After how long without an event the source holds the project's watermark back no more; never, if it is
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_after: Option<TimeSpan>,
    /// How far after it became known an event may be dated; what lies further ahead is a dead letter. Nothing is
    /// too far if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_ahead: Option<TimeSpan>,
    /// Which rows are passed over because they repeat an earlier one. They stand in the log, and views do not see
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<DedupeSpec>,
}

impl SourceSpec {
    /// A source with everything else left out: rows are sent over HTTP, known on arrival and kept for 400 days.
    pub fn new(name: &str, schema: Schema, event_time: &str) -> Self {
        Self {
            name: name.into(),
            schema,
            id: None,
            event_time: event_time.into(),
            available_at: AvailableAt::Arrival,
            stream: StreamSpec::Http {},
            retention: TimeSpan::from_days(400),
            lateness: TimeSpan::ZERO,
            idle_after: None,
            at_most_ahead: None,
            dedupe: None,
        }
    }

    /// What it follows from, if it is derived.
    pub fn derived(&self) -> Option<&DerivedSpec> {
        match &self.stream {
            StreamSpec::Derived(derived) => Some(derived),
            StreamSpec::Http {} | StreamSpec::Kafka(_) => None,
        }
    }
}

fn is_zero(span: &TimeSpan) -> bool {
    *span == TimeSpan::ZERO
}

/// Where the time of happening of an event comes from; written `arrival` or as the name of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// The instant at which it became known: rows that have no time of their own, as those of a table.
    Arrival,
    /// A timestamp column.
    Column(Arc<str>),
}

/// How [`EventTime::Arrival`] is written.
const ARRIVAL: &str = "arrival";

impl EventTime {
    /// The column, if it is one.
    pub fn column(&self) -> Option<&Arc<str>> {
        match self {
            Self::Arrival => None,
            Self::Column(column) => Some(column),
        }
    }
}

impl From<&str> for EventTime {
    fn from(text: &str) -> Self {
        if text == ARRIVAL { Self::Arrival } else { Self::Column(text.into()) }
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.column().map_or(ARRIVAL, |column| column))
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
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
    /// They do not: they follow from the rows of other sources.
    Derived(Box<DerivedSpec>),
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
