//! From a request to the row that a model sees: the one place where it is built, for an answer, for a
//! training set and for an audit alike.

use perennial_project::{CompiledModel, Lookup};
use perennial_types::{Row, RowError, Value};
use serde_json::Value as Json;

use crate::PredictionRecord;

/// A request on its way to a model's row: the request's columns and what is computed from them alone.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    model: &'a CompiledModel,
    row: Row,
}

impl<'a> Asked<'a> {
    /// Of the columns of a request that the model declares; others are passed over, since a request carries
    /// the columns of every model of its endpoint. One that is missing is NULL: the request came before it
    /// was declared, or after.
    ///
    /// # Errors
    /// The first column that is there and does not fit.
    pub fn decode(model: &'a CompiledModel, request: &Json) -> Result<Self, RowError> {
        Ok(Self::of_row(model, model.spec.request.decode_known_json(request)?))
    }

    /// Of the values of the model's request columns, in their order.
    pub(crate) fn of_row(model: &'a CompiledModel, mut row: Row) -> Self {
        row.reserve(model.row.columns().len().saturating_sub(row.len()));
        for program in &model.before {
            let value = program.expr.evaluate(&row);
            row.push(value);
        }
        Self { model, row }
    }

    /// The entity key of a lookup.
    pub fn key(&self, lookup: &Lookup) -> Row {
        CompiledModel::key_of(lookup, &self.row)
    }

    /// The inputs of the learner, given the outputs of the model's lookups in their order: each a row of the
    /// view's outputs.
    pub fn inputs<'r>(self, features: impl IntoIterator<Item = &'r [Value]>) -> Row {
        let model = self.model;
        model.inputs_of(&self.complete(features))
    }

    /// The complete row, laid out as [`CompiledModel::row`], given the same.
    pub fn complete<'r>(mut self, features: impl IntoIterator<Item = &'r [Value]>) -> Row {
        for (lookup, outputs) in self.model.lookups.iter().zip(features) {
            self.row.extend(lookup.outputs.iter().map(|output| outputs[*output].clone()));
        }
        for program in &self.model.after {
            let value = program.expr.evaluate(&self.row);
            self.row.push(value);
        }
        self.row
    }

    /// The complete row by what was served to a request; nothing if a view of the model was not.
    ///
    /// # Errors
    /// The first column that does not fit.
    pub fn as_served(model: &'a CompiledModel, record: &PredictionRecord) -> Result<Option<Row>, RowError> {
        let asked = Self::decode(model, &record.request)?;
        let mut features: Vec<Row> = Vec::with_capacity(model.lookups.len());
        for lookup in &model.lookups {
            let Some(served) = record.features_of(lookup, &asked.key(lookup)) else { return Ok(None) };
            features.push(lookup.view.outputs().decode_json(served)?);
        }
        Ok(Some(asked.complete(features.iter().map(Vec::as_slice))))
    }
}
