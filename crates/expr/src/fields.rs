//! Where an expression reads its columns: the values of a row, or one row of arrays.

use perennial_types::Value;

/// Typed reading. A column that is missing, NULL, of another type or not finite reads as nothing.
pub(crate) trait Fields {
    fn boolean(&self, column: usize) -> Option<bool>;
    fn int64(&self, column: usize) -> Option<i64>;
    fn double(&self, column: usize) -> Option<f64>;
    fn text(&self, column: usize) -> Option<&str>;
    /// Microseconds since 1970.
    fn timestamp(&self, column: usize) -> Option<i64>;
    /// Microseconds.
    fn duration(&self, column: usize) -> Option<i64>;
    /// A list or a map, as a value.
    fn nested(&self, column: usize) -> Option<Value>;
}

impl Fields for [Value] {
    fn boolean(&self, column: usize) -> Option<bool> {
        match self.get(column) {
            Some(Value::Boolean(value)) => Some(*value),
            _ => None,
        }
    }

    fn int64(&self, column: usize) -> Option<i64> {
        match self.get(column) {
            Some(Value::Int64(value)) => Some(*value),
            _ => None,
        }
    }

    fn double(&self, column: usize) -> Option<f64> {
        match self.get(column) {
            Some(Value::Double(value)) if value.is_finite() => Some(*value),
            _ => None,
        }
    }

    fn text(&self, column: usize) -> Option<&str> {
        match self.get(column) {
            Some(Value::String(value)) => Some(value),
            _ => None,
        }
    }

    fn timestamp(&self, column: usize) -> Option<i64> {
        match self.get(column) {
            Some(Value::Timestamp(value)) => Some(value.micros()),
            _ => None,
        }
    }

    fn duration(&self, column: usize) -> Option<i64> {
        match self.get(column) {
            Some(Value::Duration(value)) => Some(value.micros()),
            _ => None,
        }
    }

    fn nested(&self, column: usize) -> Option<Value> {
        match self.get(column) {
            Some(value @ (Value::List(_) | Value::Map(_))) => Some(value.clone()),
            _ => None,
        }
    }
}
