//! Columns of lists and maps.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field, FieldRef, Fields};
use perennial_types::{Column, DataType, Element, Row, Value};

use super::{arrow_type, value_at};

fn element_column(name: &str, element: Element) -> Column {
    Column { name: name.into(), data_type: element.data_type(), nullable: false }
}

fn element_field(name: &str, element: Element) -> Field {
    // Only a duration has no type of Arrow, and it is no element.
    let data_type = arrow_type(&element_column(name, element)).unwrap_or(ArrowType::Null);
    Field::new(name, data_type, false)
}

pub(super) fn list_field(element: Element) -> FieldRef {
    Arc::new(element_field("item", element))
}

/// Keys and values, with Arrow's names for them.
pub(super) fn entries_field(element: Element) -> FieldRef {
    Arc::new(Field::new("entries", ArrowType::Struct(entry_fields(element)), false))
}

fn entry_fields(element: Element) -> Fields {
    vec![Field::new("key", ArrowType::Utf8, false), element_field("value", element)].into()
}

/// Whether a value may stand in a column; the elements of one that is nested too.
pub(super) fn fits(value: &Value, column: &Column) -> bool {
    let is = |value: &Value, element: Element| value.data_type() == Some(element.data_type());
    match (value, column.data_type) {
        (Value::Null, _) => column.nullable,
        (Value::List(values), DataType::List(element)) => values.iter().all(|value| is(value, element)),
        (Value::Map(pairs), DataType::Map(element)) => pairs.iter().all(|(_, value)| is(value, element)),
        (value, wanted) => value.data_type() == Some(wanted) && !wanted.nested(),
    }
}

/// The array of a column whose values fit it.
pub(super) fn to_array<'a>(
    column: &Column,
    values: impl Iterator<Item = &'a Value> + Clone,
) -> Result<ArrayRef, String> {
    let mut keys: Vec<&str> = Vec::new();
    let mut elements: Vec<Row> = Vec::new();
    let mut lengths = Vec::new();
    for value in values.clone() {
        let before = elements.len();
        match value {
            Value::List(list) => elements.extend(list.iter().map(|value| vec![value.clone()])),
            Value::Map(pairs) => {
                keys.extend(pairs.iter().map(|(key, _)| &**key));
                elements.extend(pairs.iter().map(|(_, value)| vec![value.clone()]));
            }
            _ => {}
        }
        lengths.push(elements.len() - before);
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from_iter(values.map(|value| !value.null())));
    let element = |element| super::to_array(&element_column(&column.name, element), 0, &elements, 0);
    let array = match column.data_type {
        DataType::List(of) => ListArray::try_new(list_field(of), offsets, element(of)?, nulls)
            .map(|array| Arc::new(array) as ArrayRef),
        DataType::Map(of) => {
            let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), element(of)?];
            StructArray::try_new(entry_fields(of), columns, None)
                .and_then(|entries| MapArray::try_new(entries_field(of), offsets, entries, nulls, false))
                .map(|array| Arc::new(array) as ArrayRef)
        }
        other => return Err(format!("column {:?} is {other}, which is not nested", column.name)),
    };
    array.map_err(|error| format!("column {:?}: {error}", column.name))
}

pub(super) fn list_at(column: &ArrayRef, i: usize) -> Value {
    let values = column.as_list::<i32>().value(i);
    Value::List((0..values.len()).map(|i| value_at(&values, i)).collect())
}

pub(super) fn map_at(column: &ArrayRef, i: usize) -> Value {
    let entries = column.as_map().value(i);
    let [keys, values] = entries.columns() else { return Value::Null };
    let Some(keys) = keys.as_string_opt::<i32>() else { return Value::Null };
    let mut pairs: Vec<(Arc<str>, Value)> =
        (0..entries.len()).map(|i| (keys.value(i).into(), value_at(values, i))).collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Value::Map(pairs.into())
}
