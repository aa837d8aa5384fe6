//! Lists and maps: columns that are read as they are, and what is asked of them.

use perennial_types::{DataType, Element, Value};

use super::{Int, Node, Text, Typed};
use crate::fields::Fields;

/// A column of lists or maps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nested {
    pub(crate) column: usize,
    /// The type of what it holds.
    pub(crate) element: Element,
    /// Whether it is a map.
    pub(crate) map: bool,
}

impl Nested {
    pub(crate) fn data_type(self) -> DataType {
        if self.map { DataType::Map(self.element) } else { DataType::List(self.element) }
    }

    pub(crate) fn get<F: Fields + ?Sized>(self, fields: &F) -> Option<Value> {
        fields.nested(self.column)
    }

    /// What is computed of the values of a list.
    pub(crate) fn of_values<F: Fields + ?Sized, T>(
        self,
        fields: &F,
        compute: fn(&[Value]) -> Option<T>,
    ) -> Option<T> {
        match self.get(fields)? {
            Value::List(values) => compute(&values),
            _ => None,
        }
    }

    /// How many values it holds.
    pub(crate) fn len<F: Fields + ?Sized>(self, fields: &F) -> Option<i64> {
        let len = match self.get(fields)? {
            Value::List(values) => values.len(),
            Value::Map(pairs) => pairs.len(),
            _ => return None,
        };
        i64::try_from(len).ok()
    }
}

/// One value of a list or a map.
#[derive(Debug)]
pub(crate) enum Access {
    /// By its place in a list, from 1, or from −1 at the end backwards.
    Element(Nested, Int),
    /// By its key in a map.
    Entry(Nested, Text),
}

impl Access {
    /// The value; nothing where there is none.
    pub(crate) fn get<F: Fields + ?Sized>(&self, fields: &F) -> Option<Value> {
        match self {
            Self::Element(list, place) => {
                let (Value::List(values), place) = (list.get(fields)?, place.get(fields)?) else {
                    return None;
                };
                let from_start = if place < 0 { place.checked_add(values.len() as i64)? } else { place - 1 };
                values.get(usize::try_from(from_start).ok()?).cloned()
            }
            Self::Entry(map, key) => {
                let (Value::Map(pairs), key) = (map.get(fields)?, key.get(fields)?) else { return None };
                let at = pairs.binary_search_by(|(other, _)| (**other).cmp(&key)).ok()?;
                Some(pairs[at].1.clone())
            }
        }
    }
}

/// Whether a value is in a list, and how often.
#[derive(Debug)]
pub(crate) struct Contains {
    pub(crate) list: Nested,
    /// Of the type of the list's elements.
    pub(crate) value: Node,
}

impl Contains {
    pub(crate) fn get<F: Fields + ?Sized>(&self, fields: &F) -> Option<bool> {
        self.count(fields).map(|count| count > 0)
    }

    /// How often it is there.
    pub(crate) fn count<F: Fields + ?Sized>(&self, fields: &F) -> Option<i64> {
        let (Value::List(values), value) = (self.list.get(fields)?, self.value.value(fields)) else {
            return None;
        };
        let count = match value {
            Value::Null => return None,
            // The two zeros are equal, which they are not by their bits.
            Value::Double(wanted) => values.iter().filter(|value| value.as_f64() == Some(wanted)).count(),
            value => values.iter().filter(|other| **other == value).count(),
        };
        i64::try_from(count).ok()
    }
}

/// The sum of integers; nothing of none, or where it does not fit.
pub(crate) fn whole_sum(values: &[Value]) -> Option<i64> {
    integers(values).try_fold(None, |sum: Option<i64>, value| match sum {
        None => Some(Some(value)),
        Some(sum) => sum.checked_add(value).map(Some),
    })?
}

/// The sum of doubles, in their order; nothing of none.
pub(crate) fn sum(values: &[Value]) -> Option<f64> {
    values.iter().filter_map(Value::as_f64).reduce(|sum, value| sum + value)
}

/// The mean of numbers; nothing of none.
pub(crate) fn mean(values: &[Value]) -> Option<f64> {
    sum(values).map(|sum| sum / values.len() as f64)
}

/// The least integer or instant.
pub(crate) fn whole_min(values: &[Value]) -> Option<i64> {
    integers(values).min()
}

/// The largest integer or instant.
pub(crate) fn whole_max(values: &[Value]) -> Option<i64> {
    integers(values).max()
}

/// The least double.
pub(crate) fn min(values: &[Value]) -> Option<f64> {
    values.iter().filter_map(Value::as_f64).min_by(f64::total_cmp)
}

/// The largest double.
pub(crate) fn max(values: &[Value]) -> Option<f64> {
    values.iter().filter_map(Value::as_f64).max_by(f64::total_cmp)
}

/// How many different values there are.
pub(crate) fn unique(values: &[Value]) -> Option<i64> {
    let different = |i: &usize| !values[..*i].iter().any(|earlier| alike(earlier, &values[*i]));
    i64::try_from((0..values.len()).filter(different).count()).ok()
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a == b,
        _ => a == b,
    }
}

fn integers(values: &[Value]) -> impl Iterator<Item = i64> {
    values.iter().filter_map(|value| match value {
        Value::Int64(value) => Some(*value),
        Value::Timestamp(value) => Some(value.micros()),
        _ => None,
    })
}
