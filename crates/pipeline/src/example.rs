//! From a request to the row that a model sees: the one place where it is built, for an answer, for a
//! training set and for an audit alike.

use perennial_project::{CompiledModel, Lookup};
use perennial_types::{Row, RowError, Schema, Value};
use serde_json::Value as Json;

/// A request on its way to a model's row: the request's columns and what is computed from them alone.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    model: &'a CompiledModel,
    row: Row,
}

impl<'a> Asked<'a> {
    /// Of the columns of a request that the model declares; others are passed over, since a request carries
    /// the columns of every model of its endpoint.
    ///
    /// # Errors
    /// The first column that does not fit.
    pub fn decode(model: &'a CompiledModel, request: &Json) -> Result<Self, RowError> {
        let schema = &model.spec.request;
        let mut row = schema.decode_json(&restricted(request, schema))?;
        row.reserve(model.row.columns().len() - row.len());
        for program in &model.before {
            let value = program.expr.evaluate(&row);
            row.push(value);
        }
        Ok(Self { model, row })
    }

    /// The entity key of a lookup.
    pub fn key(&self, lookup: &Lookup) -> Row {
        CompiledModel::key_of(lookup, &self.row)
    }

    /// The inputs of the learner, given the outputs of the model's lookups in their order: each a row of the
    /// view's outputs.
    pub fn inputs<'r>(mut self, features: impl IntoIterator<Item = &'r [Value]>) -> Row {
        for (lookup, outputs) in self.model.lookups.iter().zip(features) {
            self.row.extend(lookup.outputs.iter().map(|output| outputs[*output].clone()));
        }
        for program in &self.model.after {
            let value = program.expr.evaluate(&self.row);
            self.row.push(value);
        }
        self.model.inputs_of(&self.row)
    }
}

/// The members of a JSON object that a schema has; anything else stays as it is, for the schema to refuse.
fn restricted(request: &Json, schema: &Schema) -> Json {
    match request {
        Json::Object(members) => {
            let kept = members.iter().filter(|(name, _)| schema.index_of(name).is_some());
            Json::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        other => other.clone(),
    }
}
