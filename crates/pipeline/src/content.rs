//! What a table of rows is known by.

use std::sync::Arc;

use perennial_types::{ContentHash, Schema, Value};

use crate::Rows;

/// The hash of rows, labels and order; of the bits of every number.
pub(crate) fn hash_of_rows(rows: &Rows) -> ContentHash {
    let labelled = rows.inputs.iter().zip(&rows.labels);
    let parts = labelled.map(|(row, label)| {
        let mut part = label.to_bits().to_le_bytes().to_vec();
        row.iter().for_each(|value| part.extend_from_slice(&bits(value)));
        part
    });
    hash_of_parts(parts)
}

/// The hash of a table: names of columns, values and order.
pub(crate) fn hash_of_table(schema: &Schema, rows: &[Vec<Value>]) -> ContentHash {
    let names = schema.names().map(|name| name.as_bytes().to_vec());
    hash_of_parts(names.chain(rows.iter().map(|row| row.iter().flat_map(bits).collect())))
}

fn hash_of_parts(parts: impl Iterator<Item = Vec<u8>>) -> ContentHash {
    let parts: Vec<Vec<u8>> = parts.collect();
    ContentHash::of_parts(parts.iter().map(Vec::as_slice))
}

fn bits(value: &Value) -> Vec<u8> {
    let (tag, bits) = match value {
        Value::Null => (0, Vec::new()),
        Value::Boolean(value) => (1, vec![u8::from(*value)]),
        Value::Int64(value) => (2, value.to_le_bytes().to_vec()),
        Value::Double(value) => (3, value.to_bits().to_le_bytes().to_vec()),
        Value::String(value) => {
            let length = (value.len() as u64).to_le_bytes();
            (4, [length.as_slice(), value.as_bytes()].concat())
        }
        Value::Timestamp(value) => (5, value.micros().to_le_bytes().to_vec()),
        Value::Duration(value) => (6, value.micros().to_le_bytes().to_vec()),
        Value::List(values) => {
            let length = (values.len() as u64).to_le_bytes();
            (7, length.into_iter().chain(values.iter().flat_map(bits)).collect())
        }
        Value::Map(pairs) => {
            let key = |key: &Arc<str>| bits(&Value::String(Arc::clone(key)));
            let length = (pairs.len() as u64).to_le_bytes();
            let pairs = pairs.iter().flat_map(|(name, value)| [key(name), bits(value)].concat());
            (8, length.into_iter().chain(pairs).collect())
        }
    };
    [vec![tag], bits].concat()
}
