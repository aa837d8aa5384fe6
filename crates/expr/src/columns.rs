//! Rows as Arrow arrays and back, and trees run over arrays.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMicrosecondType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DurationMicrosecondArray, Float64Array, Int64Array, ListArray, MapArray,
    NullArray, StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field, FieldRef, TimeUnit};
use perennial_types::{DataType, Element, Row, Schema, TimeSpan, Timestamp, Value};

use crate::fields::Fields;
use crate::node::{Node, Typed};

/// The Arrow type of a column: timestamps are microseconds in UTC, durations microseconds, text is `Utf8`.
pub fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int64 => ArrowType::Int64,
        DataType::Double => ArrowType::Float64,
        DataType::String => ArrowType::Utf8,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Duration => ArrowType::Duration(TimeUnit::Microsecond),
        DataType::List(element) => ArrowType::List(list_field(element)),
        DataType::Map(element) => ArrowType::Map(Arc::new(entries_field(element)), false),
    }
}

fn list_field(element: Element) -> FieldRef {
    Arc::new(Field::new_list_field(arrow_type(element.data_type()), false))
}

/// Keys and values of a map, with Arrow's names for them.
fn entries_field(element: Element) -> Field {
    let keys = Field::new("key", ArrowType::Utf8, false);
    let values = Field::new("value", arrow_type(element.data_type()), false);
    Field::new("entries", ArrowType::Struct(vec![keys, values].into()), false)
}

/// Rows as one array for each column of `schema`. A value of another type than its column's, or one that is
/// missing, is null; doubles keep their bits.
pub fn to_arrays(schema: &Schema, rows: &[Row]) -> Vec<ArrayRef> {
    let array = |(index, data_type)| to_array(data_type, rows, index);
    schema.columns().iter().map(|column| column.data_type).enumerate().map(array).collect()
}

fn to_array(data_type: DataType, rows: &[Row], column: usize) -> ArrayRef {
    let fields = rows.iter().map(Vec::as_slice);
    match data_type {
        DataType::Boolean => Arc::new(fields.map(|row| row.boolean(column)).collect::<BooleanArray>()),
        DataType::Int64 => Arc::new(fields.map(|row| row.int64(column)).collect::<Int64Array>()),
        DataType::Double => {
            let double = |row: &[Value]| match row.get(column) {
                Some(Value::Double(value)) => Some(*value),
                _ => None,
            };
            Arc::new(fields.map(double).collect::<Float64Array>())
        }
        DataType::String => Arc::new(fields.map(|row| row.text(column)).collect::<StringArray>()),
        DataType::Timestamp => {
            let array: TimestampMicrosecondArray = fields.map(|row| row.timestamp(column)).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        DataType::Duration => {
            Arc::new(fields.map(|row| row.duration(column)).collect::<DurationMicrosecondArray>())
        }
        DataType::List(_) | DataType::Map(_) => {
            let values: Vec<Option<Value>> = fields.map(|row| row.nested(column)).collect();
            nested_array(data_type, &values)
        }
    }
}

/// Lists or maps as an array; what is none is null.
fn nested_array(data_type: DataType, values: &[Option<Value>]) -> ArrayRef {
    let mut keys: Vec<&str> = Vec::new();
    let mut elements: Vec<Row> = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    for value in values {
        let before = elements.len();
        match value {
            Some(Value::List(list)) => elements.extend(list.iter().map(|value| vec![value.clone()])),
            Some(Value::Map(pairs)) => {
                keys.extend(pairs.iter().map(|(key, _)| &**key));
                elements.extend(pairs.iter().map(|(_, value)| vec![value.clone()]));
            }
            _ => {}
        }
        lengths.push(elements.len() - before);
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from_iter(values.iter().map(Option::is_some)));
    let rows = values.len();
    let array = match data_type {
        DataType::List(element) => {
            let values = to_array(element.data_type(), &elements, 0);
            ListArray::try_new(list_field(element), offsets, values, nulls).map(|it| Arc::new(it) as ArrayRef)
        }
        DataType::Map(element) => {
            let values = to_array(element.data_type(), &elements, 0);
            let field = entries_field(element);
            let ArrowType::Struct(fields) = field.data_type() else {
                return new_null_array(&arrow_type(data_type), rows);
            };
            let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), values];
            StructArray::try_new(fields.clone(), columns, None)
                .and_then(|entries| {
                    MapArray::try_new(Arc::new(field.clone()), offsets, entries, nulls, false)
                })
                .map(|it| Arc::new(it) as ArrayRef)
        }
        _ => return new_null_array(&arrow_type(data_type), rows),
    };
    // It is refused only where an element is of another type than the column's, which reads as NULL.
    array.unwrap_or_else(|_| new_null_array(&arrow_type(data_type), rows))
}

/// The value at `row` of an array of one of the types that [`arrow_type`] gives; NULL for any other array and
/// beyond its end.
pub fn value_at(array: &dyn Array, row: usize) -> Value {
    if row >= array.len() || array.is_null(row) {
        return Value::Null;
    }
    match Cell::new(array) {
        Cell::Absent => Value::Null,
        Cell::Boolean(array) => Value::Boolean(array.value(row)),
        Cell::Int64(array) => Value::Int64(array.value(row)),
        Cell::Double(array) => Value::Double(array.value(row)),
        Cell::Text(array) => Value::String(array.value(row).into()),
        Cell::Timestamp(array) => Value::Timestamp(Timestamp::from_micros(array.value(row))),
        Cell::Duration(array) => Value::Duration(TimeSpan::from_micros(array.value(row))),
        Cell::List(array) => list_at(array, row),
        Cell::Map(array) => map_at(array, row),
    }
}

fn list_at(array: &ListArray, row: usize) -> Value {
    let values = array.value(row);
    Value::List((0..values.len()).map(|i| value_at(&values, i)).collect())
}

fn map_at(array: &MapArray, row: usize) -> Value {
    let entries = array.value(row);
    let [keys, values] = entries.columns() else { return Value::Null };
    let Some(keys) = keys.as_string_opt::<i32>() else { return Value::Null };
    let mut pairs: Vec<(Arc<str>, Value)> =
        (0..entries.len()).map(|i| (keys.value(i).into(), value_at(values, i))).collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Value::Map(pairs.into())
}

/// A column of known type.
#[derive(Clone, Copy)]
enum Cell<'a> {
    Absent,
    Boolean(&'a BooleanArray),
    Int64(&'a Int64Array),
    Double(&'a Float64Array),
    Text(&'a StringArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Duration(&'a DurationMicrosecondArray),
    List(&'a ListArray),
    Map(&'a MapArray),
}

impl<'a> Cell<'a> {
    fn new(array: &'a dyn Array) -> Self {
        match array.data_type() {
            ArrowType::Boolean => Self::Boolean(array.as_boolean()),
            ArrowType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            ArrowType::Float64 => Self::Double(array.as_primitive::<Float64Type>()),
            ArrowType::Utf8 => Self::Text(array.as_string()),
            ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
            }
            ArrowType::Duration(TimeUnit::Microsecond) => {
                Self::Duration(array.as_primitive::<DurationMicrosecondType>())
            }
            ArrowType::List(_) => Self::List(array.as_list()),
            ArrowType::Map(_, _) => Self::Map(array.as_map()),
            _ => Self::Absent,
        }
    }
}

/// The arrays that an expression reads, each under its index in the schema.
pub(crate) struct Cells<'a>(Vec<Cell<'a>>);

impl<'a> Cells<'a> {
    /// Of `columns` those in `used`, where they have at least `rows` rows.
    pub(crate) fn new(columns: &'a [ArrayRef], used: &[usize], rows: usize) -> Self {
        let mut cells = vec![Cell::Absent; used.last().map_or(0, |last| last + 1)];
        for &index in used {
            if let (Some(array), Some(cell)) = (columns.get(index), cells.get_mut(index))
                && array.len() >= rows
            {
                *cell = Cell::new(array.as_ref());
            }
        }
        Self(cells)
    }
}

/// One row of the arrays.
struct ArrayRow<'a> {
    cells: &'a Cells<'a>,
    row: usize,
}

impl Fields for ArrayRow<'_> {
    fn boolean(&self, column: usize) -> Option<bool> {
        match self.cells.0.get(column) {
            Some(Cell::Boolean(array)) if array.is_valid(self.row) => Some(array.value(self.row)),
            _ => None,
        }
    }

    fn int64(&self, column: usize) -> Option<i64> {
        match self.cells.0.get(column) {
            Some(Cell::Int64(array)) if array.is_valid(self.row) => Some(array.value(self.row)),
            _ => None,
        }
    }

    fn double(&self, column: usize) -> Option<f64> {
        match self.cells.0.get(column) {
            Some(Cell::Double(array)) if array.is_valid(self.row) => {
                Some(array.value(self.row)).filter(|value| value.is_finite())
            }
            _ => None,
        }
    }

    fn text(&self, column: usize) -> Option<&str> {
        match self.cells.0.get(column) {
            Some(Cell::Text(array)) if array.is_valid(self.row) => Some(array.value(self.row)),
            _ => None,
        }
    }

    fn timestamp(&self, column: usize) -> Option<i64> {
        match self.cells.0.get(column) {
            Some(Cell::Timestamp(array)) if array.is_valid(self.row) => Some(array.value(self.row)),
            _ => None,
        }
    }

    fn duration(&self, column: usize) -> Option<i64> {
        match self.cells.0.get(column) {
            Some(Cell::Duration(array)) if array.is_valid(self.row) => Some(array.value(self.row)),
            _ => None,
        }
    }

    fn nested(&self, column: usize) -> Option<Value> {
        match self.cells.0.get(column) {
            Some(Cell::List(array)) if array.is_valid(self.row) => Some(list_at(array, self.row)),
            Some(Cell::Map(array)) if array.is_valid(self.row) => Some(map_at(array, self.row)),
            _ => None,
        }
    }
}

/// The results of a tree over the first `rows` rows.
pub(crate) fn collect(node: &Node, cells: &Cells<'_>, rows: usize) -> ArrayRef {
    let every = || (0..rows).map(|row| ArrayRow { cells, row });
    match node {
        Node::Null => Arc::new(NullArray::new(rows)),
        Node::Boolean(tree) => Arc::new(every().map(|row| tree.get(&row)).collect::<BooleanArray>()),
        Node::Int64(tree) => Arc::new(every().map(|row| tree.get(&row)).collect::<Int64Array>()),
        Node::Double(tree) => Arc::new(every().map(|row| tree.get(&row)).collect::<Float64Array>()),
        Node::String(tree) => {
            let mut texts = arrow_array::builder::StringBuilder::new();
            for row in every() {
                texts.append_option(tree.get(&row));
            }
            Arc::new(texts.finish())
        }
        Node::Timestamp(tree) => {
            let array: TimestampMicrosecondArray = every().map(|row| tree.get(&row)).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        Node::Duration(tree) => {
            Arc::new(every().map(|row| tree.get(&row)).collect::<DurationMicrosecondArray>())
        }
        Node::Nested(nested) => {
            let values: Vec<Option<Value>> = every().map(|row| nested.get(&row)).collect();
            nested_array(nested.data_type(), &values)
        }
    }
}
