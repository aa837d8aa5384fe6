//! How a column's values have moved from a reference to a current window.
//!
//! [`compare`] says what the samples prove and how large the difference is, column by column; [`assess`] decides
//! over all columns together, with a correction for their number and a smallest effect that matters, so that a
//! verdict depends neither on how many columns nor on how many rows there are.

mod assess;
mod column;
mod sample;

pub use assess::{Assessed, Assessment, Rule, RuleError, assess};
pub use column::{
    ColumnDrift, DriftError, Effect, Method, MissingDrift, NewCategories, ValuesDrift, compare,
};
pub use sample::{Sample, Sorted};
