//! Values and their types.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{TimeSpan, Timestamp};

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// True or false.
    Boolean,
    /// A signed 64-bit integer.
    Int64,
    /// A 64-bit float.
    Double,
    /// UTF-8 text.
    String,
    /// An instant, microseconds since 1970 UTC.
    Timestamp,
    /// A length of time; in expressions only, never a column of a source.
    Duration,
}

impl DataType {
    /// The types that a declaration may name.
    pub const DECLARABLE: [Self; 5] =
        [Self::Boolean, Self::Int64, Self::Double, Self::String, Self::Timestamp];

    /// The name in declarations and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
        }
    }

    /// The declarable type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::DECLARABLE.into_iter().find(|data_type| data_type.name() == name)
    }

    /// Int64 or Double.
    pub fn numeric(self) -> bool {
        matches!(self, Self::Int64 | Self::Double)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value. Equality of doubles is by bits, so that a value equals itself and skew is visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// Unknown or absent.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer.
    Int64(i64),
    /// A float.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// An instant.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(TimeSpan),
}

impl Value {
    /// The type, or nothing for NULL.
    pub fn data_type(&self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Boolean(_) => Some(DataType::Boolean),
            Self::Int64(_) => Some(DataType::Int64),
            Self::Double(_) => Some(DataType::Double),
            Self::String(_) => Some(DataType::String),
            Self::Timestamp(_) => Some(DataType::Timestamp),
            Self::Duration(_) => Some(DataType::Duration),
        }
    }

    /// The number of an Int64, Double or Boolean (0 or 1); nothing for the rest.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int64(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Null | Self::String(_) | Self::Timestamp(_) | Self::Duration(_) => None,
        }
    }

    /// Whether it is NULL.
    pub fn null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As JSON: times as RFC 3339, durations as declared, a double that JSON cannot hold as null.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Int64(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::String(value) => (**value).into(),
            Self::Timestamp(value) => value.to_string().into(),
            Self::Duration(value) => value.to_string().into(),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Int64(a), Self::Int64(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(value) => value.fmt(f),
            Self::Int64(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Timestamp(value) => value.fmt(f),
            Self::Duration(value) => value.fmt(f),
        }
    }
}
