//! CAST and TRY_CAST, which are the same here: what cannot be converted is NULL.

use perennial_types::DataType;

use super::alike::double;
use super::type_name;
use crate::error::ExprError;
use crate::node::{Bool, Double, Int, Node, Text};
use crate::{calendar, numbers};

/// The tree as `wanted`.
pub(super) fn cast(node: Node, wanted: DataType) -> Result<Node, ExprError> {
    let found = node.data_type();
    let none = || {
        let help = match (found, wanted) {
            (Some(DataType::Timestamp), _) => "; EXTRACT(epoch FROM …) gives its seconds",
            (Some(DataType::Duration), _) => "; divide it by 1s for seconds",
            (Some(DataType::List(_)), _) => "; take one element, as in x[1], or its length, len(x)",
            (Some(DataType::Map(_)), _) => "; take one entry, as in x['key'], or cardinality(x)",
            (_, DataType::Timestamp) => "; add a duration to TIMESTAMP '1970-01-01'",
            _ => "",
        };
        ExprError::new(None, format!("no cast from {} to {wanted}{help}", type_name(found)))
    };
    let cast = match wanted {
        DataType::Boolean => to_boolean(node).map(Node::Boolean),
        DataType::Int64 => to_int(node).map(Node::Int64),
        DataType::Double => to_double(node).map(Node::Double),
        DataType::String => to_text(node).map(Node::String),
        DataType::Timestamp => to_timestamp(node).map(Node::Timestamp),
        DataType::Duration | DataType::List(_) | DataType::Map(_) => None,
    };
    cast.ok_or_else(none)
}

fn to_boolean(node: Node) -> Option<Bool> {
    match node {
        Node::Null => Some(Bool::Constant(None)),
        Node::Boolean(tree) => Some(tree),
        Node::Int64(tree) => Some(Bool::OfInt(|a| a != 0, Box::new(tree))),
        Node::Double(tree) => Some(Bool::OfDouble(|a| a != 0.0, Box::new(tree))),
        Node::String(tree) => Some(Bool::OfText(numbers::read_boolean, Box::new(tree))),
        Node::Timestamp(_) | Node::Duration(_) | Node::Nested(_) => None,
    }
}

fn to_int(node: Node) -> Option<Int> {
    match node {
        Node::Null => Some(Int::Constant(None)),
        Node::Boolean(tree) => Some(Int::OfBool(Box::new(tree))),
        Node::Int64(tree) => Some(tree),
        Node::Double(tree) => Some(Int::OfDouble(numbers::to_int, Box::new(tree))),
        Node::String(tree) => Some(Int::OfText(numbers::read_int, Box::new(tree))),
        Node::Timestamp(_) | Node::Duration(_) | Node::Nested(_) => None,
    }
}

fn to_double(node: Node) -> Option<Double> {
    match node {
        Node::Boolean(tree) => Some(Double::OfInt(numbers::widen, Box::new(Int::OfBool(Box::new(tree))))),
        Node::String(tree) => Some(Double::OfText(numbers::read_double, Box::new(tree))),
        number @ (Node::Null | Node::Int64(_) | Node::Double(_)) => double(number),
        Node::Timestamp(_) | Node::Duration(_) | Node::Nested(_) => None,
    }
}

fn to_text(node: Node) -> Option<Text> {
    match node {
        Node::Null => Some(Text::Constant(None)),
        Node::Boolean(tree) => Some(Text::OfBool(Box::new(tree))),
        Node::Int64(tree) => Some(Text::OfInt(|a| a.to_string(), Box::new(tree))),
        Node::Double(tree) => Some(Text::OfDouble(numbers::write_double, Box::new(tree))),
        Node::String(tree) => Some(tree),
        Node::Timestamp(tree) => Some(Text::OfInt(calendar::write, Box::new(tree))),
        Node::Duration(_) | Node::Nested(_) => None,
    }
}

fn to_timestamp(node: Node) -> Option<Int> {
    match node {
        Node::Null => Some(Int::Constant(None)),
        Node::String(tree) => Some(Int::OfText(calendar::read, Box::new(tree))),
        Node::Timestamp(tree) => Some(tree),
        Node::Boolean(_) | Node::Int64(_) | Node::Double(_) | Node::Duration(_) | Node::Nested(_) => None,
    }
}
