//! Reads a FeatureView.

use std::sync::Arc;

use super::{aggregate, open, recent};
use crate::fields::Item;
use crate::spec::ServiceLevel;
use perennial_features::{AggregateSpec, NamedExpr, ViewSpec};

/// An expression of each type.
const GUESSES: [&str; 5] = ["1", "1.5", "'a'", "TRUE", "TIMESTAMP '2020-01-01 00:00:00'"];

/// A view, and what is promised of it.
pub(super) fn read(item: &Item<'_>) -> (ViewSpec, Option<ServiceLevel>) {
    let (mut fields, name) = open(item, Item::identifier);
    let entity = fields.required("entity").map(|item| names(&item)).unwrap_or_default();
    let from = fields.required("from").and_then(|item| item.identifier());
    let columns = fields.optional("columns").map(|item| expressions(&item)).unwrap_or_default();
    let actions = fields.optional("recent");
    // What reads actions one by one needs no aggregate.
    let aggregates = match actions {
        Some(_) => fields.optional("aggregates"),
        None => fields.required("aggregates"),
    };
    let aggregates = aggregates.map(|item| item.list()).unwrap_or_default();
    let mut aggregates: Vec<AggregateSpec> = aggregates.iter().map(aggregate::read).collect();
    if let Some(actions) = actions {
        recent::read(&actions, item, &mut aggregates);
    }
    let derived = fields.optional("derived").map(|item| expressions(&item)).unwrap_or_default();
    let level = fields.optional("service_level").map(|item| service_level(&item));
    fields.finish();
    (ViewSpec { name, entity, from: from.unwrap_or_default(), columns, aggregates, derived }, level)
}

fn service_level(item: &Item<'_>) -> ServiceLevel {
    let mut fields = item.fields();
    let freshness_p99 = fields.optional("freshness_p99").and_then(|item| item.span());
    let null_rate = fields.optional("null_rate").and_then(|item| item.number_in(0.0, 1.0));
    fields.finish();
    ServiceLevel { freshness_p99, null_rate }
}

/// Names of columns.
pub(super) fn names(item: &Item<'_>) -> Vec<Arc<str>> {
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
