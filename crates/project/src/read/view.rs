//! Reads a FeatureView.

use std::sync::Arc;

use super::{aggregate, open};
use crate::fields::Item;
use perennial_features::{AggregateSpec, NamedExpr, ViewSpec};

/// An expression of each type.
const GUESSES: [&str; 5] = ["1", "1.5", "'a'", "TRUE", "TIMESTAMP '2020-01-01 00:00:00'"];

pub(super) fn read(item: &Item<'_>) -> ViewSpec {
    let (mut fields, name) = open(item, Item::identifier);
    fields.later(&["service_level"]);
    let entity = fields.required("entity").map(|item| names(&item)).unwrap_or_default();
    let from = fields.required("from").and_then(|item| item.identifier());
    let columns = fields.optional("columns").map(|item| expressions(&item)).unwrap_or_default();
    let aggregates = fields.required("aggregates").map(|item| item.list()).unwrap_or_default();
    let aggregates: Vec<AggregateSpec> = aggregates.iter().map(aggregate::read).collect();
    let derived = fields.optional("derived").map(|item| expressions(&item)).unwrap_or_default();
    fields.finish();
    ViewSpec { name, entity, from: from.unwrap_or_default(), columns, aggregates, derived }
}

fn names(item: &Item<'_>) -> Vec<Arc<str>> {
    item.list().iter().map(|item| item.identifier().unwrap_or_else(|| item.raw())).collect()
}

/// Named expressions: `{trend: "a / b"}`.
pub(super) fn expressions(item: &Item<'_>) -> Vec<NamedExpr> {
    let named = item.named_items();
    named.into_iter().map(|(name, item)| NamedExpr { name, expr: expression(&item) }).collect()
}

/// SQL text, or an expression of any type in its place.
pub(super) fn expression(item: &Item<'_>) -> Arc<str> {
    item.text().unwrap_or_else(|| item.guess(&GUESSES).into())
}
