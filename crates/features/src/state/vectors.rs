//! Sums of lists of doubles, place by place; a list that is shorter counts as if zeros followed. Rounded in the
//! order of folds and merges.

use std::sync::Arc;

use perennial_types::Value;

use super::finite;
use super::object::Object;

/// Add a list, or the sums of a later tile.
pub(super) fn add(kept: &mut Option<Object>, later: Option<&Object>) {
    let Some(Object::Vector(later)) = later else { return };
    match kept {
        Some(Object::Vector(sums)) => {
            if sums.len() < later.len() {
                let zeros = std::iter::repeat_n(0.0, later.len() - sums.len());
                *sums = sums.iter().copied().chain(zeros).collect();
            }
            for (sum, value) in Arc::make_mut(sums).iter_mut().zip(later.iter()) {
                *sum += value;
            }
        }
        _ => *kept = Some(Object::Vector(Arc::clone(later))),
    }
}

/// The means of `count` lists; NULL if a sum is no double any more.
pub(super) fn mean(object: Option<&Object>, count: u64) -> Value {
    let Some(Object::Vector(sums)) = object else { return Value::Null };
    let means: Vec<Value> = sums.iter().map(|sum| finite(sum / count as f64)).collect();
    if means.iter().any(Value::null) { Value::Null } else { Value::List(means.into()) }
}
