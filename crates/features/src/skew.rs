//! Training/serving skew: a served value that replay does not give again, by bits.

use std::sync::Arc;

use perennial_types::Value;

use crate::view::View;

/// A feature whose served value is not the replayed one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its full name.
    pub feature: Arc<str>,
    /// The value as it was served.
    pub served: Value,
    /// The value that replay gives.
    pub replayed: Value,
    /// How many of the 64 bits of a number differ; 64 for values that are not two numbers of one type.
    pub bits: u32,
}

/// The features whose values differ, in the order of the view's outputs; a value that is missing at the
/// end of one side differs from any, NULL too.
pub fn compare(view: &View, served: &[Value], replayed: &[Value]) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (i, column) in view.outputs().columns().iter().enumerate() {
        let (served, replayed) = (served.get(i), replayed.get(i));
        if served != replayed || served.is_none() {
            let served = served.cloned().unwrap_or(Value::Null);
            let replayed = replayed.cloned().unwrap_or(Value::Null);
            let bits = differing_bits(&served, &replayed);
            differences.push(Difference { feature: Arc::clone(&column.name), served, replayed, bits });
        }
    }
    differences
}

fn differing_bits(a: &Value, b: &Value) -> u32 {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => (a.to_bits() ^ b.to_bits()).count_ones(),
        (Value::Int64(a), Value::Int64(b)) => (a ^ b).count_ones(),
        _ => 64,
    }
}
