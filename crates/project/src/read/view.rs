//! Reads a FeatureView.

use std::sync::Arc;

use perennial_features::{AggregateSpec, NamedExpr, Op, Tail, ViewSpec};
use perennial_types::TimeSpan;

use super::open;
use crate::fields::Item;

/// Aggregations of the language that do nothing yet.
const LATER: [&str; 5] = ["distinct", "quantile", "first", "last_k", "top_k"];

pub(super) fn read(item: &Item<'_>) -> Option<ViewSpec> {
    let (mut fields, name) = open(item, Item::identifier);
    fields.later(&["service_level"]);
    let entity = fields.required("entity").map(|item| names(&item)).unwrap_or_default();
    let from = fields.required("from").and_then(|item| item.identifier());
    let columns = fields.optional("columns").map(|item| expressions(&item)).unwrap_or_default();
    let aggregates = fields.required("aggregates").map(|item| item.list()).unwrap_or_default();
    let aggregates: Vec<Option<AggregateSpec>> = aggregates.iter().map(aggregate).collect();
    let derived = fields.optional("derived").map(|item| expressions(&item)).unwrap_or_default();
    fields.finish();
    // Without an aggregate the expressions over it would be called wrong for no fault of theirs.
    let aggregates = aggregates.into_iter().collect::<Option<_>>()?;
    Some(ViewSpec { name: name?, entity, from: from?, columns, aggregates, derived })
}

fn names(item: &Item<'_>) -> Vec<Arc<str>> {
    item.list().iter().filter_map(Item::identifier).collect()
}

/// Named expressions: `{trend: "a / b"}`.
pub(super) fn expressions(item: &Item<'_>) -> Vec<NamedExpr> {
    let named = item.named_items();
    named.into_iter().filter_map(|(name, item)| Some(NamedExpr { name, expr: item.text()? })).collect()
}

fn aggregate(item: &Item<'_>) -> Option<AggregateSpec> {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let op = fields.required("op");
    let of = fields.optional("of").and_then(|item| item.text());
    let filter = fields.optional("where").and_then(|item| item.text());
    let windows: Vec<TimeSpan> = fields
        .required("windows")
        .map(|item| item.list())
        .unwrap_or_default()
        .iter()
        .filter_map(Item::span)
        .collect();
    let tails = [("hop", Tail::Hop), ("exact", Tail::Exact)];
    let tail = fields.optional("tail").map_or(Some(Tail::Hop), |item| item.one_of(&tails, &[]));
    fields.finish();
    let op = op?;
    let op_in_name = op.is_list();
    let items = if op_in_name { op.list() } else { vec![op] };
    let known = Op::ALL.map(|op| (op.name(), op));
    let ops: Vec<Option<Op>> = items.iter().map(|item| item.one_of(&known, &LATER)).collect();
    let ops = ops.into_iter().collect::<Option<_>>()?;
    Some(AggregateSpec { name: name?, ops, op_in_name, of, filter, windows, tail: tail? })
}
