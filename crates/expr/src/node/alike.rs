//! Several trees of one type, compared with one another.

use std::cmp::Ordering;

use super::{Bool, Double, Int, Text, Typed};
use crate::fields::Fields;

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// Trees of one type.
#[derive(Debug)]
pub(crate) enum Alike {
    Boolean(Vec<Bool>),
    Int(Vec<Int>),
    Double(Vec<Double>),
    Text(Vec<Text>),
}

/// Where the first tree's value was found among the others.
pub(crate) enum Found {
    /// At this index of the others.
    At(usize),
    /// Nowhere, and every value was known.
    Nowhere,
    /// Nowhere, but some value was NULL.
    Unknown,
}

impl Alike {
    /// The first compared with the second; NULL if either is.
    pub(crate) fn compare<F: Fields + ?Sized>(&self, by: Comparison, fields: &F) -> Option<bool> {
        match self {
            Self::Boolean(trees) => compare(trees, by, fields),
            Self::Int(trees) => compare(trees, by, fields),
            Self::Double(trees) => compare(trees, by, fields),
            Self::Text(trees) => compare(trees, by, fields),
        }
    }

    /// Whether the first lies between the second and the third, ends included.
    pub(crate) fn between<F: Fields + ?Sized>(&self, fields: &F) -> Option<bool> {
        match self {
            Self::Boolean(trees) => between(trees, fields),
            Self::Int(trees) => between(trees, fields),
            Self::Double(trees) => between(trees, fields),
            Self::Text(trees) => between(trees, fields),
        }
    }

    /// Whether first and second differ, where NULL is a value like others.
    pub(crate) fn distinct<F: Fields + ?Sized>(&self, fields: &F) -> bool {
        match self {
            Self::Boolean(trees) => distinct(trees, fields),
            Self::Int(trees) => distinct(trees, fields),
            Self::Double(trees) => distinct(trees, fields),
            Self::Text(trees) => distinct(trees, fields),
        }
    }

    /// The first searched for among the others.
    pub(crate) fn find<F: Fields + ?Sized>(&self, fields: &F) -> Found {
        match self {
            Self::Boolean(trees) => find(trees, fields),
            Self::Int(trees) => find(trees, fields),
            Self::Double(trees) => find(trees, fields),
            Self::Text(trees) => find(trees, fields),
        }
    }
}

/// The order of two values that are never NaN.
pub(crate) fn order<T: PartialOrd>(left: &T, right: &T) -> Ordering {
    left.partial_cmp(right).unwrap_or(Ordering::Equal)
}

fn compare<T: Typed, F: Fields + ?Sized>(trees: &[T], by: Comparison, fields: &F) -> Option<bool> {
    let left = trees.first()?.get(fields)?;
    let right = trees.get(1)?.get(fields)?;
    Some(by.holds(order(&left, &right)))
}

fn between<T: Typed, F: Fields + ?Sized>(trees: &[T], fields: &F) -> Option<bool> {
    let value = trees.first()?.get(fields)?;
    let low = trees.get(1)?.get(fields).map(|low| order(&value, &low).is_ge());
    let high = trees.get(2)?.get(fields).map(|high| order(&value, &high).is_le());
    match (low, high) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        (None, _) | (_, None) => None,
    }
}

fn distinct<T: Typed, F: Fields + ?Sized>(trees: &[T], fields: &F) -> bool {
    let mut values = trees.iter().map(|tree| tree.get(fields));
    match (values.next().flatten(), values.next().flatten()) {
        (Some(left), Some(right)) => order(&left, &right).is_ne(),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

fn find<T: Typed, F: Fields + ?Sized>(trees: &[T], fields: &F) -> Found {
    let Some((value, others)) = trees.split_first() else { return Found::Nowhere };
    let Some(value) = value.get(fields) else { return Found::Unknown };
    let mut unknown = false;
    for (i, other) in others.iter().enumerate() {
        match other.get(fields) {
            Some(other) if order(&value, &other).is_eq() => return Found::At(i),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { Found::Unknown } else { Found::Nowhere }
}
