//! Records of the log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Where a record stands in the log: the first one has position 1, each next one the next number.
/// Zero is "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record.
    pub const START: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The streams of a project's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Rows of the declared sources; `source` is the name of the source.
    Event,
    /// Answered prediction requests; `source` is the endpoint.
    Prediction,
    /// Labels and rewards; `source` is the endpoint where it is known, else empty.
    Feedback,
    /// What was declared and decided, and what runs measured; `source` is empty.
    Control,
    /// Input that was refused, with the reason; `source` is where it was sent.
    DeadLetter,
    /// How far a source outside was read, and what of it was set right later; `source` is its name.
    Progress,
}

impl Stream {
    /// Every stream, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Event, Self::Prediction, Self::Feedback, Self::Control, Self::DeadLetter, Self::Progress];

    /// The name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Prediction => "prediction",
            Self::Feedback => "feedback",
            Self::Control => "control",
            Self::DeadLetter => "dead_letter",
            Self::Progress => "progress",
        }
    }

    /// The code in frames.
    pub fn code(self) -> u8 {
        match self {
            Self::Event => 0,
            Self::Prediction => 1,
            Self::Feedback => 2,
            Self::Control => 3,
            Self::DeadLetter => 4,
            Self::Progress => 5,
        }
    }

    /// The stream with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.code() == code)
    }

    /// The stream with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == name)
    }
}

/// A record before it has a position: what a producer hands to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream it belongs to.
    pub stream: Stream,
    /// The source or endpoint within the stream.
    pub source: Arc<str>,
    /// The entity key, the unit, or empty.
    pub key: Arc<str>,
    /// When it happened.
    pub event_time: Timestamp,
    /// When it became known; never decreases along the log.
    pub available_at: Timestamp,
    /// The id for deduplication within stream and source; empty: never a duplicate.
    pub id: Arc<str>,
    /// JSON, UTF-8.
    pub payload: Vec<u8>,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// What was appended.
    pub entry: Entry,
}
