//! What a row holds beside its words: state that needs the heap.

use std::cmp::Ordering;
use std::sync::Arc;

use perennial_types::{DataType, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use super::distinct::{ApproxDistinct, Distinct};
use super::frequent::Frequent;
use super::many::{Ends, Extremes};
use super::quantiles::Quantiles;

/// A value that a collection keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Item {
    /// A value that fits a word.
    Word(u64),
    /// A text.
    Text(Arc<str>),
}

impl Item {
    /// The value of an event, where the two zeros of doubles are one.
    pub(crate) fn new(data_type: DataType, word: u64, object: Option<&Object>) -> Self {
        // A lane of another type has no object of its own: what stands at the index is another lane's.
        match object.and_then(Object::text) {
            Some(text) if data_type == DataType::String => Self::Text(Arc::clone(text)),
            _ if data_type == DataType::Double && f64::from_bits(word) == 0.0 => Self::Word(0),
            _ => Self::Word(word),
        }
    }
}

/// The order of two items of one type.
pub(super) fn compare(data_type: DataType, a: &Item, b: &Item) -> Ordering {
    match (a, b) {
        (Item::Word(a), Item::Word(b)) => compare_words(data_type, *a, *b),
        (a, b) => a.cmp(b),
    }
}

/// The bytes behind some items.
pub(super) fn heap_bytes<'a>(items: impl Iterator<Item = &'a Item>) -> usize {
    let behind = |item: &Item| match item {
        Item::Word(_) => 0,
        Item::Text(text) => 32 + text.len(),
    };
    items.map(behind).sum()
}

/// Items as a list.
pub(super) fn list<'a>(data_type: DataType, items: impl Iterator<Item = &'a Item>) -> Value {
    let value = |item: &Item| match item {
        Item::Word(word) => decode(data_type, *word, None),
        Item::Text(text) => Value::String(Arc::clone(text)),
    };
    Value::List(items.map(value).collect())
}

/// An object within a row; nothing is the state of no event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Object {
    /// A text: the value of an event, or the one that an extreme or an end keeps.
    Text(Arc<str>),
    /// The list of an event, or the sums of lists.
    Vector(Arc<[f64]>),
    /// Times and values of first or last events.
    Ends(Box<Ends>),
    /// Extreme values.
    Extremes(Box<Extremes>),
    /// Counts of frequent values.
    Frequent(Box<Frequent>),
    /// A row for each value of a column.
    Buckets(Box<Buckets>),
    /// Different values.
    Distinct(Box<Distinct>),
    /// About how many different values.
    ApproxDistinct(Box<ApproxDistinct>),
    /// Counts of values by bin.
    Quantiles(Box<Quantiles>),
}

impl Object {
    /// About how many bytes it takes beside its own place.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => 32 + text.len(),
            Self::Vector(values) => 32 + size_of_val(&**values),
            Self::Ends(ends) => ends.bytes(),
            Self::Extremes(extremes) => extremes.bytes(),
            Self::Frequent(frequent) => frequent.bytes(),
            Self::Buckets(buckets) => buckets.bytes(),
            Self::Distinct(distinct) => distinct.bytes(),
            Self::ApproxDistinct(distinct) => distinct.bytes(),
            Self::Quantiles(quantiles) => quantiles.bytes(),
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Vector(_)
            | Self::Ends(_)
            | Self::Extremes(_)
            | Self::Frequent(_)
            | Self::Buckets(_)
            | Self::Distinct(_)
            | Self::ApproxDistinct(_)
            | Self::Quantiles(_) => None,
        }
    }
}

/// The word of a value, if it fits one; a text is kept beside the words.
pub(crate) fn encode(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::Boolean(value) => Some(u64::from(*value)),
        Value::Int64(value) => Some(value.cast_unsigned()),
        // What is not finite would poison every window it is in; it counts as unknown.
        Value::Double(value) => value.is_finite().then(|| value.to_bits()),
        Value::String(_) => Some(0),
        Value::List(values) => {
            let finite = |value: &Value| matches!(value, Value::Double(value) if value.is_finite());
            values.iter().all(finite).then_some(0)
        }
        Value::Map(_) => None,
        Value::Timestamp(value) => Some(value.micros().cast_unsigned()),
        Value::Duration(value) => Some(value.micros().cast_unsigned()),
    }
}

/// The value of a word, or of the text beside it.
pub(crate) fn decode(data_type: DataType, word: u64, object: Option<&Object>) -> Value {
    match data_type {
        DataType::Boolean => Value::Boolean(word != 0),
        DataType::Int64 => Value::Int64(word.cast_signed()),
        DataType::Double => Value::Double(f64::from_bits(word)),
        DataType::String => {
            object.and_then(Object::text).map_or(Value::Null, |text| Value::String(Arc::clone(text)))
        }
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(word.cast_signed())),
        DataType::Duration | DataType::List(_) | DataType::Map(_) => Value::Null,
    }
}

/// A word as a number.
pub(crate) fn number(data_type: DataType, word: u64) -> f64 {
    match data_type {
        DataType::Double => f64::from_bits(word),
        DataType::Boolean | DataType::Int64 | DataType::String | DataType::Timestamp | DataType::Duration => {
            word.cast_signed() as f64
        }
        DataType::List(_) | DataType::Map(_) => 0.0,
    }
}

/// The order of two values that are words.
pub(crate) fn compare_words(data_type: DataType, a: u64, b: u64) -> Ordering {
    match data_type {
        DataType::Double => f64::from_bits(a).total_cmp(&f64::from_bits(b)),
        DataType::Boolean | DataType::Int64 | DataType::String | DataType::Timestamp | DataType::Duration => {
            a.cast_signed().cmp(&b.cast_signed())
        }
        DataType::List(_) | DataType::Map(_) => Ordering::Equal,
    }
}
