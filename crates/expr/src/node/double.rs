//! Trees whose result is a finite double.

use perennial_types::Value;

use super::{Access, Choice, Int, Nested, Text, Typed};
use crate::fields::Fields;

/// A tree whose result is a double; what is not finite is NULL.
#[derive(Debug)]
pub(crate) enum Double {
    Constant(Option<f64>),
    Column(usize),
    One(fn(f64) -> f64, Box<Double>),
    Two(fn(f64, f64) -> f64, Box<[Double; 2]>),
    OfInt(fn(i64) -> f64, Box<Int>),
    OfInts(fn(i64, i64) -> f64, Box<[Int; 2]>),
    OfText(fn(&str) -> Option<f64>, Box<Text>),
    /// What is computed of the values of a list.
    OfList(fn(&[Value]) -> Option<f64>, Nested),
    OfNested(Box<Access>),
    Choice(Box<Choice<Double>>),
}

impl Typed for Double {
    type Out<'a> = f64;

    fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<f64> {
        let value = match self {
            Self::Constant(value) => return *value,
            Self::Column(column) => return fields.double(*column),
            Self::One(compute, tree) => compute(tree.get(fields)?),
            Self::Two(compute, trees) => compute(trees[0].get(fields)?, trees[1].get(fields)?),
            Self::OfInt(compute, tree) => compute(tree.get(fields)?),
            Self::OfInts(compute, trees) => compute(trees[0].get(fields)?, trees[1].get(fields)?),
            Self::OfText(read, tree) => read(&tree.get(fields)?)?,
            Self::OfList(compute, list) => list.of_values(fields, *compute)?,
            Self::OfNested(access) => match access.get(fields)? {
                Value::Double(value) => value,
                _ => return None,
            },
            Self::Choice(choice) => return choice.get(fields),
        };
        value.is_finite().then_some(value)
    }
}
