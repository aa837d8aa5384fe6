//! One type for several trees: equal types stay, int64 beside double becomes double, NULL becomes any type, and a
//! constant text beside timestamps is read as one.

use perennial_types::{DataType, Timestamp};

use super::{case, type_name};
use crate::error::ExprError;
use crate::node::{Alike, Bool, Choice, Double, Int, Node, Text};
use crate::numbers;

/// Trees of one type; nothing is known of `Null` but how many.
pub(super) enum Unified {
    Null,
    Boolean(Vec<Bool>),
    Int64(Vec<Int>),
    Double(Vec<Double>),
    String(Vec<Text>),
    Timestamp(Vec<Int>),
    Duration(Vec<Int>),
}

/// How a choice is made from several trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    Coalesce,
    NullIf,
    Greatest,
    Least,
}

impl Unified {
    pub(super) fn new(nodes: Vec<Node>, of: &str) -> Result<Self, ExprError> {
        let mut common = None;
        for node in &nodes {
            common = match (common, node.data_type()) {
                (None, other) | (other, None) => other,
                (Some(a), Some(b)) => Some(wider(a, b).ok_or_else(|| mixed(of, a, b))?),
            };
        }
        let count = nodes.len();
        let unified = match common {
            None => Self::Null,
            Some(DataType::Boolean) => Self::Boolean(nodes.into_iter().filter_map(boolean).collect()),
            Some(DataType::Int64) => Self::Int64(nodes.into_iter().filter_map(integer).collect()),
            Some(DataType::Double) => Self::Double(nodes.into_iter().filter_map(double).collect()),
            Some(DataType::String) => Self::String(nodes.into_iter().filter_map(text).collect()),
            Some(DataType::Timestamp) => {
                Self::Timestamp(nodes.into_iter().map(timestamp).collect::<Result<_, _>>()?)
            }
            Some(DataType::Duration) => Self::Duration(nodes.into_iter().filter_map(integer).collect()),
            Some(nested @ (DataType::List(_) | DataType::Map(_))) => {
                let help = "take one element, as in x[1], or its length, len(x)";
                return Err(ExprError::new(None, format!("{of} takes no {nested}; {help}")));
            }
        };
        assert!(
            unified.len().is_none_or(|len| len == count),
            "every tree has the common type or one that widens to it, so none is lost"
        );
        Ok(unified)
    }

    fn len(&self) -> Option<usize> {
        match self {
            Self::Null => None,
            Self::Boolean(trees) => Some(trees.len()),
            Self::Int64(trees) | Self::Timestamp(trees) | Self::Duration(trees) => Some(trees.len()),
            Self::Double(trees) => Some(trees.len()),
            Self::String(trees) => Some(trees.len()),
        }
    }

    /// For comparing. Trees that are all NULL compare as integers would.
    pub(super) fn alike(self) -> Alike {
        match self {
            Self::Null => Alike::Int(vec![Int::Constant(None), Int::Constant(None), Int::Constant(None)]),
            Self::Boolean(trees) => Alike::Boolean(trees),
            Self::Int64(trees) | Self::Timestamp(trees) | Self::Duration(trees) => Alike::Int(trees),
            Self::Double(trees) => Alike::Double(trees),
            Self::String(trees) => Alike::Text(trees),
        }
    }

    /// CASE with conditions; the first tree is ELSE, the others follow the conditions.
    pub(super) fn choose_case(self, conditions: Vec<Bool>) -> Node {
        match self {
            Self::Null => Node::Null,
            Self::Boolean(trees) => {
                Node::Boolean(Bool::Choice(case(trees, conditions, Bool::Constant(None))))
            }
            Self::Int64(trees) => Node::Int64(Int::Choice(case(trees, conditions, Int::Constant(None)))),
            Self::Double(trees) => {
                Node::Double(Double::Choice(case(trees, conditions, Double::Constant(None))))
            }
            Self::String(trees) => Node::String(Text::Choice(case(trees, conditions, Text::Constant(None)))),
            Self::Timestamp(trees) => {
                Node::Timestamp(Int::Choice(case(trees, conditions, Int::Constant(None))))
            }
            Self::Duration(trees) => {
                Node::Duration(Int::Choice(case(trees, conditions, Int::Constant(None))))
            }
        }
    }

    /// CASE with an operand, which stands first in `on`; the first tree is ELSE.
    pub(super) fn choose_selected(self, on: Alike) -> Node {
        match self {
            Self::Null => Node::Null,
            Self::Boolean(trees) => {
                Node::Boolean(select(on, trees).map_or(Bool::Constant(None), Bool::Choice))
            }
            Self::Int64(trees) => Node::Int64(select(on, trees).map_or(Int::Constant(None), Int::Choice)),
            Self::Double(trees) => {
                Node::Double(select(on, trees).map_or(Double::Constant(None), Double::Choice))
            }
            Self::String(trees) => Node::String(select(on, trees).map_or(Text::Constant(None), Text::Choice)),
            Self::Timestamp(trees) => {
                Node::Timestamp(select(on, trees).map_or(Int::Constant(None), Int::Choice))
            }
            Self::Duration(trees) => {
                Node::Duration(select(on, trees).map_or(Int::Constant(None), Int::Choice))
            }
        }
    }

    /// COALESCE and its kind.
    pub(super) fn pick(self, by: Pick) -> Node {
        match self {
            Self::Null => Node::Null,
            Self::Boolean(trees) => Node::Boolean(pick(by, trees).map_or(Bool::Constant(None), Bool::Choice)),
            Self::Int64(trees) => Node::Int64(pick(by, trees).map_or(Int::Constant(None), Int::Choice)),
            Self::Double(trees) => {
                Node::Double(pick(by, trees).map_or(Double::Constant(None), Double::Choice))
            }
            Self::String(trees) => Node::String(pick(by, trees).map_or(Text::Constant(None), Text::Choice)),
            Self::Timestamp(trees) => {
                Node::Timestamp(pick(by, trees).map_or(Int::Constant(None), Int::Choice))
            }
            Self::Duration(trees) => Node::Duration(pick(by, trees).map_or(Int::Constant(None), Int::Choice)),
        }
    }
}

fn select<T>(on: Alike, mut branches: Vec<T>) -> Option<Box<Choice<T>>> {
    if branches.is_empty() {
        return None;
    }
    let otherwise = branches.remove(0);
    Some(Box::new(Choice::Select { on, arms: branches, otherwise }))
}

/// Nothing if NULLIF has not two arguments.
fn pick<T>(by: Pick, trees: Vec<T>) -> Option<Box<Choice<T>>> {
    let choice = match by {
        Pick::Coalesce => Choice::Coalesce(trees),
        Pick::NullIf => Choice::NullIf(trees.try_into().ok()?),
        Pick::Greatest => Choice::Greatest(trees),
        Pick::Least => Choice::Least(trees),
    };
    Some(Box::new(choice))
}

fn wider(a: DataType, b: DataType) -> Option<DataType> {
    match (a, b) {
        (a, b) if a == b => Some(a),
        (a, b) if a.numeric() && b.numeric() => Some(DataType::Double),
        (DataType::Timestamp, DataType::String) | (DataType::String, DataType::Timestamp) => {
            Some(DataType::Timestamp)
        }
        _ => None,
    }
}

fn mixed(of: &str, a: DataType, b: DataType) -> ExprError {
    ExprError::new(
        None,
        format!("{of} cannot mix {} and {}; cast one of them", type_name(Some(a)), type_name(Some(b))),
    )
}

fn boolean(node: Node) -> Option<Bool> {
    match node {
        Node::Boolean(tree) => Some(tree),
        Node::Null => Some(Bool::Constant(None)),
        _ => None,
    }
}

fn integer(node: Node) -> Option<Int> {
    match node {
        Node::Int64(tree) | Node::Duration(tree) | Node::Timestamp(tree) => Some(tree),
        Node::Null => Some(Int::Constant(None)),
        _ => None,
    }
}

/// A tree of a number as a double.
pub(super) fn double(node: Node) -> Option<Double> {
    match node {
        Node::Double(tree) => Some(tree),
        Node::Int64(Int::Constant(value)) => Some(Double::Constant(value.map(numbers::widen))),
        Node::Int64(tree) => Some(Double::OfInt(numbers::widen, Box::new(tree))),
        Node::Null => Some(Double::Constant(None)),
        _ => None,
    }
}

fn text(node: Node) -> Option<Text> {
    match node {
        Node::String(tree) => Some(tree),
        Node::Null => Some(Text::Constant(None)),
        _ => None,
    }
}

fn timestamp(node: Node) -> Result<Int, ExprError> {
    match node {
        Node::Timestamp(tree) => Ok(tree),
        Node::String(Text::Constant(None)) | Node::Null => Ok(Int::Constant(None)),
        Node::String(Text::Constant(Some(text))) => match Timestamp::parse(&text) {
            Ok(time) => Ok(Int::Constant(Some(time.micros()))),
            Err(error) => Err(ExprError::new(None, error.to_string())),
        },
        other => {
            let found = type_name(other.data_type());
            Err(ExprError::new(None, format!("{found} beside timestamp: write CAST(… AS TIMESTAMP)")))
        }
    }
}
