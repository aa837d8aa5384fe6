//! Values and their types.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{TimeSpan, Timestamp};

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Values of one type in order, none of them NULL: `list<double>`.
    List(Element),
    /// Values of one type by different texts, none of them NULL: `map<double>`.
    Map(Element),
}

/// The type of what a list or a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// True or false.
    Boolean,
    /// A signed 64-bit integer.
    Int64,
    /// A 64-bit float.
    Double,
    /// UTF-8 text.
    String,
    /// An instant.
    Timestamp,
}

impl Element {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Boolean, Self::Int64, Self::Double, Self::String, Self::Timestamp];

    /// The element of this type; nothing for a duration, a list or a map.
    pub fn new(data_type: DataType) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.data_type() == data_type)
    }

    /// The type of one value.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Double,
            Self::String => DataType::String,
            Self::Timestamp => DataType::Timestamp,
        }
    }
}

impl DataType {
    /// The types that a declaration may name.
    pub const DECLARABLE: [Self; 15] = [
        Self::Boolean,
        Self::Int64,
        Self::Double,
        Self::String,
        Self::Timestamp,
        Self::List(Element::Boolean),
        Self::List(Element::Int64),
        Self::List(Element::Double),
        Self::List(Element::String),
        Self::List(Element::Timestamp),
        Self::Map(Element::Boolean),
        Self::Map(Element::Int64),
        Self::Map(Element::Double),
        Self::Map(Element::String),
        Self::Map(Element::Timestamp),
    ];

    /// The name in declarations and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List(Element::Boolean) => "list<boolean>",
            Self::List(Element::Int64) => "list<int64>",
            Self::List(Element::Double) => "list<double>",
            Self::List(Element::String) => "list<string>",
            Self::List(Element::Timestamp) => "list<timestamp>",
            Self::Map(Element::Boolean) => "map<boolean>",
            Self::Map(Element::Int64) => "map<int64>",
            Self::Map(Element::Double) => "map<double>",
            Self::Map(Element::String) => "map<string>",
            Self::Map(Element::Timestamp) => "map<timestamp>",
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

    /// A list or a map.
    pub fn nested(self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mut known = Self::DECLARABLE.into_iter().chain([Self::Duration]);
        known.find(|data_type| data_type.name() == name).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{name:?} is no type; known are double, list<double> and others"
            ))
        })
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
    /// Values of one type, none of them NULL.
    List(Arc<[Value]>),
    /// Values of one type by different texts in ascending order, none of them NULL.
    Map(Arc<[(Arc<str>, Value)]>),
}

impl Value {
    /// The type, or nothing for NULL. An empty list or map is one of doubles.
    pub fn data_type(&self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Boolean(_) => Some(DataType::Boolean),
            Self::Int64(_) => Some(DataType::Int64),
            Self::Double(_) => Some(DataType::Double),
            Self::String(_) => Some(DataType::String),
            Self::Timestamp(_) => Some(DataType::Timestamp),
            Self::Duration(_) => Some(DataType::Duration),
            Self::List(values) => Some(DataType::List(element(values.first()))),
            Self::Map(pairs) => Some(DataType::Map(element(pairs.first().map(|(_, value)| value)))),
        }
    }

    /// The values of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            Self::Null
            | Self::Boolean(_)
            | Self::Int64(_)
            | Self::Double(_)
            | Self::String(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::Map(_) => None,
        }
    }

    /// The number of an Int64, Double or Boolean (0 or 1); nothing for the rest.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int64(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Null
            | Self::String(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }

    /// Whether it is NULL.
    pub fn null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// To be written as the JSON of [`Value::to_json`], without making that.
    pub fn as_json(&self) -> AsJson<'_> {
        AsJson(self)
    }

    /// As JSON: times as RFC 3339, durations as declared, lists as arrays, maps as
    /// objects, a double that JSON cannot hold as null.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Int64(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::String(value) => (**value).into(),
            Self::Timestamp(value) => value.to_string().into(),
            Self::Duration(value) => value.to_string().into(),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Map(pairs) => pairs.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect(),
        }
    }
}

/// A value that is written as JSON for people; see [`Value::as_json`].
#[derive(Clone, Copy, Debug)]
pub struct AsJson<'a>(&'a Value);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Int64(value) => serializer.serialize_i64(*value),
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Timestamp(value) => serializer.collect_str(value),
            Value::Duration(value) => serializer.collect_str(value),
            Value::List(values) => serializer.collect_seq(values.iter().map(Value::as_json)),
            Value::Map(pairs) => {
                serializer.collect_map(pairs.iter().map(|(key, value)| (key, value.as_json())))
            }
        }
    }
}

fn element(value: Option<&Value>) -> Element {
    value.and_then(Value::data_type).and_then(Element::new).unwrap_or(Element::Double)
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
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
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
            Self::List(_) | Self::Map(_) => self.to_json().fmt(f),
        }
    }
}
