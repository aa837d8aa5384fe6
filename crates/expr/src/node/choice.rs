//! Trees that give one of their branches, whatever its type.

use super::alike::{Found, order};
use super::{Alike, Bool, Typed};
use crate::fields::Fields;

/// One of several trees of a type.
#[derive(Debug)]
pub(crate) enum Choice<T> {
    /// The branch of the first condition that is true.
    Case { arms: Vec<(Bool, T)>, otherwise: T },
    /// The branch whose value equals the operand, which stands first in `on`.
    Select { on: Alike, arms: Vec<T>, otherwise: T },
    /// The first that is not NULL.
    Coalesce(Vec<T>),
    /// The first, or NULL if it equals the second.
    NullIf([T; 2]),
    /// The largest that is not NULL.
    Greatest(Vec<T>),
    /// The smallest that is not NULL.
    Least(Vec<T>),
}

impl<T: Typed> Choice<T> {
    /// The value of the chosen branch.
    pub(crate) fn get<'a, F: Fields + ?Sized>(&'a self, fields: &'a F) -> Option<T::Out<'a>> {
        match self {
            Self::Case { arms, otherwise } => {
                let arm = arms.iter().find(|(condition, _)| condition.get(fields) == Some(true));
                arm.map_or(otherwise, |(_, branch)| branch).get(fields)
            }
            Self::Select { on, arms, otherwise } => match on.find(fields) {
                Found::At(i) => arms.get(i).unwrap_or(otherwise).get(fields),
                Found::Nowhere | Found::Unknown => otherwise.get(fields),
            },
            Self::Coalesce(branches) => branches.iter().find_map(|branch| branch.get(fields)),
            Self::NullIf([value, other]) => {
                let value = value.get(fields)?;
                match other.get(fields) {
                    Some(other) if order(&value, &other).is_eq() => None,
                    Some(_) | None => Some(value),
                }
            }
            Self::Greatest(branches) => {
                let values = branches.iter().filter_map(|branch| branch.get(fields));
                values.reduce(|best, value| if order(&value, &best).is_gt() { value } else { best })
            }
            Self::Least(branches) => {
                let values = branches.iter().filter_map(|branch| branch.get(fields));
                values.reduce(|best, value| if order(&value, &best).is_lt() { value } else { best })
            }
        }
    }
}
