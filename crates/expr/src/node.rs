//! The compiled tree: one enum for each kind of result, so that a tree with mixed-up types cannot be built.
//! Timestamps and durations are computed as integers of microseconds; [`Node`] remembers what they mean.

mod alike;
mod boolean;
mod choice;
mod double;
mod int;
pub(crate) mod nested;
mod text;

use perennial_types::{DataType, TimeSpan, Timestamp, Value};

pub(crate) use alike::{Alike, Comparison};
pub(crate) use boolean::Bool;
pub(crate) use choice::Choice;
pub(crate) use double::Double;
pub(crate) use int::Int;
pub(crate) use nested::{Access, Contains, Nested};
pub(crate) use text::Text;

use crate::fields::Fields;

/// A tree with one kind of result; nothing is NULL.
pub(crate) trait Typed {
    /// The result. Doubles are finite, so the partial order is a total one.
    type Out<'a>: PartialOrd
    where
        Self: 'a;

    /// The result for one row.
    fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<Self::Out<'a>>;
}

/// A tree of any type.
#[derive(Debug)]
pub(crate) enum Node {
    /// Always NULL, of no type.
    Null,
    Boolean(Bool),
    Int64(Int),
    Double(Double),
    String(Text),
    Timestamp(Int),
    Duration(Int),
    /// A column of lists or maps; no computation gives one.
    Nested(Nested),
}

impl Node {
    /// A constant.
    pub(crate) fn constant(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean(Bool::Constant(Some(*value))),
            Value::Int64(value) => Self::Int64(Int::Constant(Some(*value))),
            Value::Double(value) => Self::Double(Double::Constant(Some(*value))),
            Value::String(value) => Self::String(Text::Constant(Some(value.clone()))),
            Value::Timestamp(value) => Self::Timestamp(Int::Constant(Some(value.micros()))),
            Value::Duration(value) => Self::Duration(Int::Constant(Some(value.micros()))),
            // The language has no literals of these.
            Value::List(_) | Value::Map(_) => Self::Null,
        }
    }

    /// The column at `index`.
    pub(crate) fn column(index: usize, data_type: DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean(Bool::Column(index)),
            DataType::Int64 => Self::Int64(Int::Column(index)),
            DataType::Double => Self::Double(Double::Column(index)),
            DataType::String => Self::String(Text::Column(index)),
            DataType::Timestamp => Self::Timestamp(Int::TimestampColumn(index)),
            DataType::Duration => Self::Duration(Int::DurationColumn(index)),
            DataType::List(element) => Self::Nested(Nested { column: index, element, map: false }),
            DataType::Map(element) => Self::Nested(Nested { column: index, element, map: true }),
        }
    }

    /// The type; nothing for a tree that is always NULL.
    pub(crate) fn data_type(&self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Boolean(_) => Some(DataType::Boolean),
            Self::Int64(_) => Some(DataType::Int64),
            Self::Double(_) => Some(DataType::Double),
            Self::String(_) => Some(DataType::String),
            Self::Timestamp(_) => Some(DataType::Timestamp),
            Self::Duration(_) => Some(DataType::Duration),
            Self::Nested(nested) => Some(nested.data_type()),
        }
    }

    /// The same value as a constant of the same type; for trees that read no column.
    pub(crate) fn fold(self) -> Self {
        let nothing: &[Value] = &[];
        match self {
            Self::Null => Self::Null,
            Self::Boolean(tree) => Self::Boolean(Bool::Constant(tree.get(nothing))),
            Self::Int64(tree) => Self::Int64(Int::Constant(tree.get(nothing))),
            Self::Double(tree) => Self::Double(Double::Constant(tree.get(nothing))),
            Self::String(tree) => {
                let text = tree.get(nothing).map(|text| text.as_ref().into());
                Self::String(Text::Constant(text))
            }
            Self::Timestamp(tree) => Self::Timestamp(Int::Constant(tree.get(nothing))),
            Self::Duration(tree) => Self::Duration(Int::Constant(tree.get(nothing))),
            Self::Nested(nested) => Self::Nested(nested),
        }
    }

    /// The value for one row.
    pub(crate) fn value<F: Fields + ?Sized>(&self, fields: &F) -> Value {
        let value = match self {
            Self::Null => None,
            Self::Boolean(tree) => tree.get(fields).map(Value::Boolean),
            Self::Int64(tree) => tree.get(fields).map(Value::Int64),
            Self::Double(tree) => tree.get(fields).map(Value::Double),
            Self::String(tree) => tree.get(fields).map(|text| Value::String(text.as_ref().into())),
            Self::Timestamp(tree) => {
                tree.get(fields).map(|micros| Value::Timestamp(Timestamp::from_micros(micros)))
            }
            Self::Duration(tree) => {
                tree.get(fields).map(|micros| Value::Duration(TimeSpan::from_micros(micros)))
            }
            Self::Nested(nested) => nested.get(fields),
        };
        value.unwrap_or(Value::Null)
    }

    /// Whether the value for one row is NULL.
    pub(crate) fn null<F: Fields + ?Sized>(&self, fields: &F) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(tree) => tree.get(fields).is_none(),
            Self::Int64(tree) | Self::Timestamp(tree) | Self::Duration(tree) => tree.get(fields).is_none(),
            Self::Double(tree) => tree.get(fields).is_none(),
            Self::String(tree) => tree.get(fields).is_none(),
            Self::Nested(nested) => nested.get(fields).is_none(),
        }
    }
}
