//! `+ - * / %` by the types of their operands.

use super::alike::double;
use super::{Compiler, type_name};
use crate::error::{ExprError, Place};
use crate::node::{Double, Int, Node};
use crate::numbers;
use crate::syntax::{Operator, Syntax};

impl Compiler<'_> {
    pub(super) fn arithmetic(
        &mut self,
        operator: Operator,
        parts: &[Syntax],
        at: Option<Place>,
    ) -> Result<Node, ExprError> {
        let [left, right] = parts else {
            return Err(ExprError::new(at, format!("{} wants two operands", operator.sign())));
        };
        let (left, right) = (self.node(left)?, self.node(right)?);
        let types = (left.data_type(), right.data_type());
        combine(operator, left, right).ok_or_else(|| {
            let (left, right) = (type_name(types.0), type_name(types.1));
            ExprError::new(
                at,
                format!("{left} {} {right} has no meaning{}", operator.sign(), help(left, right)),
            )
        })
    }
}

fn help(left: &str, right: &str) -> &'static str {
    match (left, right) {
        ("string", "string") => "; join texts with ||",
        ("boolean", _) | (_, "boolean") => "; CAST(… AS BIGINT) makes 0 or 1 of a boolean",
        ("string", _) | (_, "string") => "; cast the text to a number first",
        ("timestamp", "int64" | "double") => "; add a duration such as 24h",
        _ => "",
    }
}

/// Nothing if the types do not go together.
fn combine(operator: Operator, left: Node, right: Node) -> Option<Node> {
    match (left, right) {
        (Node::Null, _) | (_, Node::Null) => Some(Node::Null),
        (Node::Int64(a), Node::Int64(b)) if operator != Operator::Divide => {
            Some(Node::Int64(Int::Two(of_ints(operator)?, Box::new([a, b]))))
        }
        (a @ (Node::Int64(_) | Node::Double(_)), b @ (Node::Int64(_) | Node::Double(_))) => {
            let operands = Box::new([double(a)?, double(b)?]);
            Some(Node::Double(Double::Two(of_doubles(operator), operands)))
        }
        (left, right) => combine_times(operator, left, right),
    }
}

fn combine_times(operator: Operator, left: Node, right: Node) -> Option<Node> {
    let two = |a, b| Some(Int::Two(of_ints(operator)?, Box::new([a, b])));
    match (operator, left, right) {
        (Operator::Add | Operator::Subtract, Node::Timestamp(a), Node::Duration(b)) => {
            Some(Node::Timestamp(two(a, b)?))
        }
        (Operator::Add, Node::Duration(a), Node::Timestamp(b)) => Some(Node::Timestamp(two(a, b)?)),
        (Operator::Subtract, Node::Timestamp(a), Node::Timestamp(b)) => Some(Node::Duration(two(a, b)?)),
        (Operator::Add | Operator::Subtract | Operator::Remainder, Node::Duration(a), Node::Duration(b)) => {
            Some(Node::Duration(two(a, b)?))
        }
        (Operator::Divide, Node::Duration(a), Node::Duration(b)) => {
            Some(Node::Double(Double::OfInts(numbers::ratio, Box::new([a, b]))))
        }
        (Operator::Multiply, Node::Duration(a), Node::Int64(b))
        | (Operator::Multiply, Node::Int64(a), Node::Duration(b)) => Some(Node::Duration(two(a, b)?)),
        (Operator::Multiply, Node::Duration(a), Node::Double(b))
        | (Operator::Multiply, Node::Double(b), Node::Duration(a)) => {
            Some(Node::Duration(Int::Scale(numbers::lengthen, Box::new((a, b)))))
        }
        (Operator::Divide, Node::Duration(a), b @ (Node::Int64(_) | Node::Double(_))) => {
            Some(Node::Duration(Int::Scale(numbers::shorten, Box::new((a, double(b)?)))))
        }
        _ => None,
    }
}

fn of_ints(operator: Operator) -> Option<fn(i64, i64) -> Option<i64>> {
    match operator {
        Operator::Add => Some(i64::checked_add),
        Operator::Subtract => Some(i64::checked_sub),
        Operator::Multiply => Some(i64::checked_mul),
        Operator::Remainder => Some(numbers::remainder),
        Operator::Divide => None,
    }
}

fn of_doubles(operator: Operator) -> fn(f64, f64) -> f64 {
    match operator {
        Operator::Add => |a, b| a + b,
        Operator::Subtract => |a, b| a - b,
        Operator::Multiply => |a, b| a * b,
        Operator::Divide => |a, b| a / b,
        Operator::Remainder => |a, b| a % b,
    }
}

/// The unary minus.
pub(super) fn negate(node: Node) -> Result<Node, ExprError> {
    match node {
        Node::Null => Ok(Node::Null),
        Node::Int64(tree) => Ok(Node::Int64(Int::One(i64::checked_neg, Box::new(tree)))),
        Node::Duration(tree) => Ok(Node::Duration(Int::One(i64::checked_neg, Box::new(tree)))),
        Node::Double(tree) => Ok(Node::Double(Double::One(|a| -a, Box::new(tree)))),
        other @ (Node::Boolean(_) | Node::String(_) | Node::Timestamp(_) | Node::Nested(_)) => {
            Err(super::wrong_type(None, "unary minus", "a number or a duration", &other))
        }
    }
}
