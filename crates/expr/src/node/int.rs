//! Trees whose result is a 64-bit integer: int64, or microseconds of a timestamp or duration.

use perennial_types::Value;

use super::{Access, Bool, Choice, Contains, Double, Nested, Text, Typed};
use crate::fields::Fields;

/// A tree whose result is an integer; what does not fit is NULL.
#[derive(Debug)]
pub(crate) enum Int {
    Constant(Option<i64>),
    Column(usize),
    TimestampColumn(usize),
    DurationColumn(usize),
    One(fn(i64) -> Option<i64>, Box<Int>),
    Two(fn(i64, i64) -> Option<i64>, Box<[Int; 2]>),
    /// A duration multiplied or divided by a number.
    Scale(fn(i64, f64) -> Option<i64>, Box<(Int, Double)>),
    OfBool(Box<Bool>),
    OfDouble(fn(f64) -> Option<i64>, Box<Double>),
    OfText(fn(&str) -> Option<i64>, Box<Text>),
    OfTexts(fn(&str, &str) -> i64, Box<[Text; 2]>),
    /// How many values a list or a map holds.
    Len(Nested),
    /// What is computed of the values of a list.
    OfList(fn(&[Value]) -> Option<i64>, Nested),
    /// How often a value is in a list.
    Occurrences(Box<Contains>),
    OfNested(Box<Access>),
    Choice(Box<Choice<Int>>),
}

impl Typed for Int {
    type Out<'a> = i64;

    fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<i64> {
        match self {
            Self::Constant(value) => *value,
            Self::Column(column) => fields.int64(*column),
            Self::TimestampColumn(column) => fields.timestamp(*column),
            Self::DurationColumn(column) => fields.duration(*column),
            Self::One(compute, tree) => compute(tree.get(fields)?),
            Self::Two(compute, trees) => compute(trees[0].get(fields)?, trees[1].get(fields)?),
            Self::Scale(compute, trees) => compute(trees.0.get(fields)?, trees.1.get(fields)?),
            Self::OfBool(tree) => tree.get(fields).map(i64::from),
            Self::OfDouble(compute, tree) => compute(tree.get(fields)?),
            Self::OfText(compute, tree) => compute(&tree.get(fields)?),
            Self::OfTexts(compute, texts) => Some(compute(&texts[0].get(fields)?, &texts[1].get(fields)?)),
            Self::Len(nested) => nested.len(fields),
            Self::OfList(compute, list) => list.of_values(fields, *compute),
            Self::Occurrences(contains) => contains.count(fields),
            Self::OfNested(access) => match access.get(fields)? {
                Value::Int64(value) => Some(value),
                Value::Timestamp(value) => Some(value.micros()),
                _ => None,
            },
            Self::Choice(choice) => choice.get(fields),
        }
    }
}
