//! Transformations of a number.

use perennial_types::Value;

use super::moments::Moments;
use crate::parameters::Move;
use crate::spec::Missing;

/// What a number column must hold.
pub(super) const A_NUMBER: &str = "a finite number (int64, double or boolean) or NULL";

/// A fitted transformation of one number column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    /// Where the column stands in the inputs.
    pub(super) column: usize,
    pub(super) function: NumberFn,
    pub(super) missing: Missing,
    /// Of the values that were there; empty when nothing asks for them.
    pub(super) moments: Moments,
}

/// What is done to the number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NumberFn {
    Standardize { clip: f64, moving: bool },
    Limit { min: Option<f64>, max: Option<f64> },
}

impl Number {
    /// The transformed value; nothing when it is no finite number.
    pub(super) fn encode(&self, value: &Value) -> Option<f64> {
        let x = if value.null() { self.fill() } else { finite(value)? };
        Some(match self.function {
            NumberFn::Standardize { clip, .. } => {
                ((x - self.moments.mean) / self.moments.scale()).clamp(-clip, clip)
            }
            NumberFn::Limit { min, max } => {
                let x = min.map_or(x, |min| x.max(min));
                max.map_or(x, |max| x.min(max))
            }
        })
    }

    /// Count a value of the training set; nothing when it is no finite number.
    pub(super) fn observe(&mut self, value: &Value) -> Option<()> {
        if !value.null() {
            let x = finite(value)?;
            if self.needs_moments() {
                self.moments.push(x);
            }
        }
        Some(())
    }

    /// Whether fine-tuning moves it.
    pub(super) fn moving(&self) -> bool {
        match self.function {
            NumberFn::Standardize { moving, .. } => moving,
            NumberFn::Limit { .. } => false,
        }
    }

    /// From an earlier state of this transformation to the present one.
    pub(super) fn moved_from(&self, earlier: &Self) -> Move {
        match self.function {
            NumberFn::Standardize { .. } => {
                Move { from: earlier.centre_and_scale(), to: self.centre_and_scale() }
            }
            NumberFn::Limit { .. } => Move { from: (0.0, 1.0), to: (0.0, 1.0) },
        }
    }

    fn centre_and_scale(&self) -> (f64, f64) {
        (self.moments.mean, self.moments.scale())
    }

    /// What stands for NULL; the mean of a column that was always NULL is 0.
    fn fill(&self) -> f64 {
        match self.missing {
            Missing::Mean => self.moments.mean,
            Missing::Zero => 0.0,
            Missing::Constant(constant) => constant,
        }
    }

    fn needs_moments(&self) -> bool {
        match self.function {
            NumberFn::Standardize { .. } => true,
            NumberFn::Limit { .. } => self.missing == Missing::Mean,
        }
    }
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|x| x.is_finite())
}
