//! A compiled expression.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;
use perennial_types::{DataType, Schema, Value};

use crate::columns::{Cells, collect};
use crate::compile::compile;
use crate::error::ExprError;
use crate::node::{Node, Text};
use crate::syntax::{Form, Syntax};

/// A SQL scalar expression over the columns of one schema. Copies share the compiled tree.
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    sql: String,
    node: Node,
    columns: Vec<usize>,
}

impl Expr {
    /// Compile an expression over `schema`: names are found, types checked, constant parts computed.
    ///
    /// # Errors
    /// When the text is no expression, is too long or nested too deeply, names a column or a function that does
    /// not exist, mixes types that do not go together, or asks for what would differ in a replay (the clock,
    /// random numbers).
    pub fn compile(sql: &str, schema: &Schema) -> Result<Self, ExprError> {
        let (node, columns) = compile(&Syntax::parse(sql)?, schema)?;
        let columns = columns.into_iter().collect();
        Ok(Self(Arc::new(Compiled { sql: sql.to_owned(), node, columns })))
    }

    /// The columns that an expression names, sorted, each once; parts of dotted names are joined by dots.
    ///
    /// # Errors
    /// When the text is no expression. Names of functions and types are not checked.
    pub fn names(sql: &str) -> Result<Vec<String>, ExprError> {
        let syntax = Syntax::parse(sql)?;
        let mut names = BTreeSet::new();
        let mut rest = vec![&syntax];
        while let Some(part) = rest.pop() {
            if let Form::Column(name) = &part.form {
                names.insert(name.clone());
            }
            rest.extend(part.parts());
        }
        Ok(names.into_iter().collect())
    }

    /// The type of the result; nothing for an expression that is always NULL.
    pub fn data_type(&self) -> Option<DataType> {
        self.0.node.data_type()
    }

    /// The columns that are read, as indexes into the schema, sorted, each once.
    pub fn columns(&self) -> &[usize] {
        &self.0.columns
    }

    /// The text it was compiled from.
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// The value for a row in the order of the schema. What cannot be computed is NULL, as is a value of
    /// another type than its column's, or one that is missing.
    pub fn evaluate(&self, row: &[Value]) -> Value {
        match &self.0.node {
            // A column by itself shares its text instead of copying it.
            Node::String(Text::Column(column)) => match row.get(*column) {
                Some(text @ Value::String(_)) => text.clone(),
                Some(_) | None => Value::Null,
            },
            node => node.value(row),
        }
    }

    /// The values for the first `rows` rows of arrays in the order of the schema, with the same bits as
    /// [`Expr::evaluate`]. The array has the type that [`arrow_type`](crate::arrow_type) gives, or is a
    /// `NullArray` where [`Expr::data_type`] is nothing. An array that is missing, shorter than `rows` or of
    /// another type reads as NULL.
    pub fn evaluate_columns(&self, columns: &[ArrayRef], rows: usize) -> ArrayRef {
        collect(&self.0.node, &Cells::new(columns, &self.0.columns, rows), rows)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.0.sql).finish()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.sql)
    }
}
