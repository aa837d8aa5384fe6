//! Trees that are true, false or unknown (Kleene's three-valued logic).

use super::alike::Found;
use perennial_types::Value;

use super::{Access, Alike, Choice, Comparison, Contains, Double, Int, Nested, Node, Text, Typed};
use crate::fields::Fields;
use crate::text::Pattern;

/// A tree whose result is a boolean.
#[derive(Debug)]
pub(crate) enum Bool {
    Constant(Option<bool>),
    Column(usize),
    Not(Box<Bool>),
    /// AND of all.
    All(Vec<Bool>),
    /// OR of all.
    Any(Vec<Bool>),
    Compare(Comparison, Alike),
    Distinct(Alike),
    Between(Alike),
    In(Alike),
    IsNull(Box<Node>),
    /// Whether the tree is known and equals the flag.
    Is(Box<Bool>, bool),
    Like(Box<Text>, Pattern),
    OfTexts(fn(&str, &str) -> bool, Box<[Text; 2]>),
    OfInt(fn(i64) -> bool, Box<Int>),
    OfDouble(fn(f64) -> bool, Box<Double>),
    OfText(fn(&str) -> Option<bool>, Box<Text>),
    OfNested(Box<Access>),
    Contains(Box<Contains>),
    /// Whether a map has a key.
    HasKey(Box<(Nested, Text)>),
    Choice(Box<Choice<Bool>>),
}

impl Typed for Bool {
    type Out<'a> = bool;

    fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<bool> {
        match self {
            Self::Constant(value) => *value,
            Self::Column(column) => fields.boolean(*column),
            Self::Not(tree) => tree.get(fields).map(|value| !value),
            Self::All(trees) => decide(trees, false, fields),
            Self::Any(trees) => decide(trees, true, fields),
            Self::Compare(by, trees) => trees.compare(*by, fields),
            Self::Distinct(trees) => Some(trees.distinct(fields)),
            Self::Between(trees) => trees.between(fields),
            Self::In(trees) => match trees.find(fields) {
                Found::At(_) => Some(true),
                Found::Nowhere => Some(false),
                Found::Unknown => None,
            },
            Self::IsNull(tree) => Some(tree.null(fields)),
            Self::Is(tree, wanted) => Some(tree.get(fields) == Some(*wanted)),
            Self::Like(text, pattern) => Some(pattern.matches(&text.get(fields)?)),
            Self::OfTexts(test, texts) => Some(test(&texts[0].get(fields)?, &texts[1].get(fields)?)),
            Self::OfInt(test, tree) => tree.get(fields).map(test),
            Self::OfDouble(test, tree) => tree.get(fields).map(test),
            Self::OfText(read, tree) => read(&tree.get(fields)?),
            Self::OfNested(access) => match access.get(fields)? {
                Value::Boolean(value) => Some(value),
                _ => None,
            },
            Self::Contains(contains) => contains.get(fields),
            Self::HasKey(inputs) => {
                let (map, key) = &**inputs;
                let (Value::Map(pairs), key) = (map.get(fields)?, key.get(fields)?) else { return None };
                Some(pairs.binary_search_by(|(other, _)| (**other).cmp(&key)).is_ok())
            }
            Self::Choice(choice) => choice.get(fields),
        }
    }
}

/// `decisive` as soon as one tree gives it; else unknown if one is unknown; else the opposite.
fn decide<F: Fields + ?Sized>(trees: &[Bool], decisive: bool, fields: &F) -> Option<bool> {
    let mut unknown = false;
    for tree in trees {
        match tree.get(fields) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(!decisive) }
}
