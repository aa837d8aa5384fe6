//! Reads a FeatureView.

use std::sync::Arc;

use perennial_features::{AggregateSpec, NamedExpr, Op, Parameter, Rank, Tail, ViewSpec};
use perennial_types::TimeSpan;

use super::open;
use crate::fields::Item;

/// An expression of each type.
const GUESSES: [&str; 5] = ["1", "1.5", "'a'", "TRUE", "TIMESTAMP '2020-01-01 00:00:00'"];

/// Windows in place of one that could not be read.
const GUESSED_WINDOWS: [TimeSpan; 3] = [
    TimeSpan::from_micros(120_000_000),
    TimeSpan::from_micros(180_000_000),
    TimeSpan::from_micros(300_000_000),
];

pub(super) fn read(item: &Item<'_>) -> ViewSpec {
    let (mut fields, name) = open(item, Item::identifier);
    fields.later(&["service_level"]);
    let entity = fields.required("entity").map(|item| names(&item)).unwrap_or_default();
    let from = fields.required("from").and_then(|item| item.identifier());
    let columns = fields.optional("columns").map(|item| expressions(&item)).unwrap_or_default();
    let aggregates = fields.required("aggregates").map(|item| item.list()).unwrap_or_default();
    let aggregates: Vec<AggregateSpec> = aggregates.iter().map(aggregate).collect();
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
fn expression(item: &Item<'_>) -> Arc<str> {
    item.text().unwrap_or_else(|| item.guess(&GUESSES).into())
}

fn aggregate(item: &Item<'_>) -> AggregateSpec {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let op = fields.required("op");
    let of = fields.optional("of").map(|item| expression(&item));
    let with = fields.optional("with").map(|item| expression(&item));
    let filter = fields.optional("where").map(|item| item.text().unwrap_or_else(|| "TRUE".into()));
    let windows: Vec<TimeSpan> = fields
        .required("windows")
        .map(|item| item.list())
        .unwrap_or_default()
        .iter()
        .map(|item| item.span().unwrap_or_else(|| item.guess(&GUESSED_WINDOWS)))
        .collect();
    let tails = [("hop", Tail::Hop), ("exact", Tail::Exact)];
    let tail = fields.optional("tail").map_or(Some(Tail::Hop), |item| item.one_of(&tails, &[]));
    fields.finish();
    let op_in_name = op.as_ref().is_some_and(Item::is_list);
    let items = op.map(|op| if op_in_name { op.list() } else { vec![op] }).unwrap_or_default();
    let mut ops: Vec<Op> = items.iter().filter_map(operation).collect();
    if ops.is_empty() && !items.is_empty() {
        // What it is of may go with one op and not with another.
        ops.push(item.guess(&[Op::Count, Op::Last]));
    }
    let name = name.unwrap_or_default();
    AggregateSpec { name, ops, op_in_name, of, with, filter, windows, tail: tail.unwrap_or(Tail::Hop) }
}

/// An op: its word, or its word with a parameter: `avg`, `{quantile: 0.95}`.
fn operation(item: &Item<'_>) -> Option<Op> {
    if item.is_map() {
        return parametrised(item);
    }
    if let Some(word) = item.as_text()
        && let Some((_, parameter)) = Op::PARAMETRISED.iter().find(|(known, _)| *known == word)
        && !Op::PLAIN.iter().any(|op| op.word() == word)
    {
        let example = match parameter {
            Parameter::Rank(_) => "0.95",
            Parameter::Span(_) => "1h",
        };
        item.refuse(format!("{word} needs a parameter"), &format!("write it as {{{word}: {example}}}"));
        return None;
    }
    item.one_of(&Op::PLAIN.map(|op| (op.word(), op)), &[])
}

fn parametrised(item: &Item<'_>) -> Option<Op> {
    let mut fields = item.fields();
    let mut found = Vec::new();
    for (word, parameter) in Op::PARAMETRISED {
        if let Some(item) = fields.optional(word) {
            found.push((item, parameter));
        }
    }
    fields.finish();
    match found.as_slice() {
        [(item, Parameter::Rank(make))] => {
            let share = item.number_in(0.0, 1.0)?;
            let rank = Rank::new(share);
            if rank.is_none() {
                item.refuse(format!("{share} has more than four decimals"), "round it");
            }
            rank.map(make)
        }
        [(item, Parameter::Span(make))] => item.span().map(make),
        [] => None,
        _ => {
            item.refuse("one operation is wanted here", "write each as an item of the list");
            None
        }
    }
}
