//! Trees whose result is a text, borrowed from the row where it can be.

use std::borrow::Cow;
use std::sync::Arc;

use perennial_types::Value;

use super::{Access, Bool, Choice, Double, Int, Typed};
use crate::fields::Fields;

/// A tree whose result is a text.
#[derive(Debug)]
pub(crate) enum Text {
    Constant(Option<Arc<str>>),
    Column(usize),
    /// A new text.
    One(fn(&str) -> String, Box<Text>),
    /// A part of the first, chosen by the second.
    Trim(fn(&str, &str) -> (usize, usize), Box<[Text; 2]>),
    /// The bytes from one index to another, chosen by two numbers.
    Part(fn(&str, i64, i64) -> (usize, usize), Box<(Text, Int, Int)>),
    /// All together; NULL if one is NULL, or without those that are.
    Concat {
        parts: Vec<Text>,
        skip_null: bool,
    },
    OfBool(Box<Bool>),
    OfInt(fn(i64) -> String, Box<Int>),
    OfDouble(fn(f64) -> String, Box<Double>),
    OfNested(Box<Access>),
    Choice(Box<Choice<Text>>),
}

impl Typed for Text {
    type Out<'a> = Cow<'a, str>;

    fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<Cow<'a, str>> {
        match self {
            Self::Constant(value) => value.as_deref().map(Cow::Borrowed),
            Self::Column(column) => fields.text(*column).map(Cow::Borrowed),
            Self::One(compute, tree) => Some(compute(&tree.get(fields)?).into()),
            Self::Trim(compute, texts) => {
                let text = texts[0].get(fields)?;
                let range = compute(&text, &texts[1].get(fields)?);
                Some(cut(text, range))
            }
            Self::Part(compute, inputs) => {
                let (text, first, second) = &**inputs;
                let text = text.get(fields)?;
                let range = compute(&text, first.get(fields)?, second.get(fields)?);
                Some(cut(text, range))
            }
            Self::Concat { parts, skip_null } => {
                let mut text = String::new();
                for part in parts {
                    match part.get(fields) {
                        Some(part) => text.push_str(&part),
                        None if *skip_null => {}
                        None => return None,
                    }
                }
                Some(text.into())
            }
            Self::OfBool(tree) => Some(Cow::Borrowed(if tree.get(fields)? { "true" } else { "false" })),
            Self::OfInt(write, tree) => Some(write(tree.get(fields)?).into()),
            Self::OfDouble(write, tree) => Some(write(tree.get(fields)?).into()),
            Self::OfNested(access) => match access.get(fields)? {
                Value::String(text) => Some(Cow::Owned(text.as_ref().to_owned())),
                _ => None,
            },
            Self::Choice(choice) => choice.get(fields),
        }
    }
}

fn cut(text: Cow<'_, str>, (start, end): (usize, usize)) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..end).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(start..end).unwrap_or_default().to_owned()),
    }
}
