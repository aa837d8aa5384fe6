//! Reading single values: lengths of time, numbers, amounts.

use perennial_types::TimeSpan;

use super::Item;
use crate::tree::Tree;

impl Item<'_> {
    /// A length of time above zero.
    pub(crate) fn span(&self) -> Option<TimeSpan> {
        let span = self.span_or_zero()?;
        if span == TimeSpan::ZERO {
            self.refuse("a duration above zero is wanted", "");
            return None;
        }
        Some(span)
    }

    /// A length of time.
    pub(crate) fn span_or_zero(&self) -> Option<TimeSpan> {
        let Some(text) = self.node.text() else {
            self.wants("a duration such as 90s, 10m, 24h or 7d");
            return None;
        };
        match TimeSpan::parse(text) {
            Ok(span) => Some(span),
            Err(error) => {
                self.refuse(error.to_string(), "");
                None
            }
        }
    }

    /// A finite number.
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.node.tree {
            Tree::Int(value) => Some(*value as f64),
            Tree::Float(value) if value.is_finite() => Some(*value),
            Tree::Float(_) | Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => {
                self.wants("a number");
                None
            }
        }
    }

    /// A number within bounds, both included.
    pub(crate) fn number_in(&self, least: f64, most: f64) -> Option<f64> {
        let number = self.number()?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        let wanted = match (least == f64::MIN_POSITIVE, most < f64::MAX) {
            (true, true) => format!("above 0, at most {most:e}"),
            (true, false) => "above 0".to_owned(),
            (false, true) => format!("from {least} to {most}"),
            (false, false) => format!("of at least {least}"),
        };
        self.refuse(format!("{number} is out of range; a number {wanted} is wanted"), "");
        None
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(&self, least: u64) -> Option<u64> {
        match &self.node.tree {
            Tree::Int(value) if u64::try_from(*value).is_ok_and(|value| value >= least) => {
                Some(*value as u64)
            }
            Tree::Int(_)
            | Tree::Float(_)
            | Tree::Null
            | Tree::Bool(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Map(_) => {
                self.wants(&format!("a whole number of at least {least}"));
                None
            }
        }
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.tree {
            Tree::Bool(value) => Some(*value),
            Tree::Null | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => {
                self.wants("true or false");
                None
            }
        }
    }

    /// Two numbers, the first below the second: `[-1000, 0]`.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let numbers: Vec<Option<f64>> = self.list().iter().map(Self::number).collect();
        match numbers.as_slice() {
            [Some(least), Some(most)] if least < most => Some((*least, *most)),
            [Some(least), Some(most)] => {
                self.refuse(format!("{least} is not below {most}"), "give the least value first");
                None
            }
            [_, _] => {
                self.break_here();
                None
            }
            _ if self.is_list() => {
                let message = format!("a range has two numbers, found {}", numbers.len());
                self.refuse(message, "write it as [least, largest]");
                None
            }
            _ => None,
        }
    }

    /// `48 rows`, at least one.
    pub(crate) fn rows(&self) -> Option<u64> {
        let Some(text) = self.node.text() else {
            self.wants("a number of rows such as 48 rows");
            return None;
        };
        match text.strip_suffix("rows").map(|number| number.trim().parse()) {
            Some(Ok(number)) if number > 0 => Some(number),
            _ => {
                self.refuse(format!("{text:?} is no number of rows"), "write it as 48 rows");
                None
            }
        }
    }
}
