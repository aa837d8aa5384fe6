//! The columns that an operator adds to the rows of the source that it names first.

use perennial_expr::Expr;
use perennial_types::{Row, Value};

/// Expressions over the row of one source and some columns of another one's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Projection {
    /// The columns of the second source that are read.
    pub(crate) picked: Vec<usize>,
    /// Over the columns of the first source, then the picked ones.
    pub(crate) exprs: Vec<Expr>,
}

impl Projection {
    /// What is kept of a row of the second source.
    pub(crate) fn pick(&self, row: &[Value]) -> Row {
        self.picked.iter().map(|column| row.get(*column).cloned().unwrap_or(Value::Null)).collect()
    }

    /// Add the columns to a row of the first source. Where there is no second row its columns are NULL.
    pub(crate) fn extend(&self, mut row: Row, picked: Option<&[Value]>) -> Row {
        let width = row.len();
        match picked {
            Some(picked) => row.extend_from_slice(picked),
            None => row.resize(width + self.picked.len(), Value::Null),
        }
        let added: Row = self.exprs.iter().map(|expr| expr.evaluate(&row)).collect();
        row.truncate(width);
        row.extend(added);
        row
    }
}
