//! One column per value seen in the training set.

use std::sync::Arc;

use perennial_types::Value;

use crate::encoded::ABSENT;
use crate::spec::UnknownCategory;

/// The most values that a categorical may have: each is a weight that every visited row decays.
pub const MAX_CATEGORIES: usize = 10_000;

/// A fitted one-hot encoding of one input column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OneHot {
    /// Where the column stands in the inputs.
    pub(super) column: usize,
    pub(super) unknown: UnknownCategory,
    pub(super) categories: Categories,
    /// The first of its columns among those of the learner.
    pub(super) first: u32,
}

/// The values seen in the training set, sorted; all of one type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Categories {
    /// Nothing but NULL was seen.
    Unseen,
    Boolean(Vec<bool>),
    Int64(Vec<i64>),
    String(Vec<Arc<str>>),
}

impl Categories {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Unseen => 0,
            Self::Boolean(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::String(values) => values.len(),
        }
    }

    /// Take a value in, at its place; what would do when it is none, or there are too many.
    pub(super) fn insert(&mut self, value: &Value) -> Result<(), &'static str> {
        if let Self::Unseen = self {
            *self = match value {
                Value::Null => Self::Unseen,
                Value::Boolean(value) => Self::Boolean(vec![*value]),
                Value::Int64(value) => Self::Int64(vec![*value]),
                Value::String(value) => Self::String(vec![Arc::clone(value)]),
                Value::Double(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
                | Value::List(_)
                | Value::Map(_) => return Err(self.expected()),
            };
            return Ok(());
        }
        match (self.find(value)?, &mut *self, value) {
            (Err(place), Self::Boolean(values), Value::Boolean(value)) => values.insert(place, *value),
            (Err(place), Self::Int64(values), Value::Int64(value)) => values.insert(place, *value),
            (Err(place), Self::String(values), Value::String(value)) => {
                values.insert(place, Arc::clone(value))
            }
            // It is known already, or NULL, which is no category.
            (Ok(_) | Err(_), _, _) => {}
        }
        if self.len() > MAX_CATEGORIES {
            return Err(
                "at most 10000 different values in a one_hot column; group them by an on_demand expression",
            );
        }
        Ok(())
    }

    /// The place of a value: where it is, or where it would be. NULL would be last.
    fn find(&self, value: &Value) -> Result<Result<usize, usize>, &'static str> {
        match (self, value) {
            (_, Value::Null) => Ok(Err(self.len())),
            (Self::Unseen, Value::Boolean(_) | Value::Int64(_) | Value::String(_)) => Ok(Err(0)),
            (Self::Boolean(values), Value::Boolean(value)) => Ok(values.binary_search(value)),
            (Self::Int64(values), Value::Int64(value)) => Ok(values.binary_search(value)),
            (Self::String(values), Value::String(value)) => {
                Ok(values.binary_search_by(|category| (**category).cmp(value)))
            }
            (Self::Unseen | Self::Boolean(_) | Self::Int64(_) | Self::String(_), _) => Err(self.expected()),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Unseen => {
                "a category (boolean, int64 or string) or NULL; CAST it in an on_demand expression"
            }
            Self::Boolean(_) => "boolean, as the first categories seen, or NULL",
            Self::Int64(_) => "int64, as the first categories seen, or NULL",
            Self::String(_) => "string, as the first categories seen, or NULL",
        }
    }
}

impl OneHot {
    /// How many columns of the learner it makes.
    pub(super) fn width(&self) -> usize {
        match self.unknown {
            UnknownCategory::Other => self.categories.len() + 1,
            UnknownCategory::Zero => self.categories.len(),
        }
    }

    /// The column that is 1 for this value; what would do when it is no category.
    pub(super) fn encode(&self, value: &Value) -> Result<u32, &'static str> {
        Ok(match (self.categories.find(value)?, self.unknown) {
            (Ok(place), _) => self.first + place as u32,
            (Err(_), UnknownCategory::Other) => self.first + self.categories.len() as u32,
            (Err(_), UnknownCategory::Zero) => ABSENT,
        })
    }
}
