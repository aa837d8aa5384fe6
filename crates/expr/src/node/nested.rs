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

/// Whether a value is in a list.
#[derive(Debug)]
pub(crate) struct Contains {
    pub(crate) list: Nested,
    /// Of the type of the list's elements.
    pub(crate) value: Node,
}

impl Contains {
    pub(crate) fn get<F: Fields + ?Sized>(&self, fields: &F) -> Option<bool> {
        let (Value::List(values), value) = (self.list.get(fields)?, self.value.value(fields)) else {
            return None;
        };
        match value {
            Value::Null => None,
            // The two zeros are equal, which they are not by their bits.
            Value::Double(wanted) => Some(values.iter().any(|value| value.as_f64() == Some(wanted))),
            value => Some(values.contains(&value)),
        }
    }
}
