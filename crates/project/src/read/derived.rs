//! Reads a Source that follows from others, and repetitions.

use std::sync::Arc;

use perennial_types::{
    AvailableAt, DedupeSpec, DerivedSpec, EnrichSpec, EventTime, JoinSpec, KeyPair, NamedExpr, Operator,
    Schema, SourceSpec, StreamSpec, TimeSpan, UnionPart, nearest,
};

use super::source::DEFAULT_RETENTION;
use super::view::{expressions, names};
use crate::fields::{Fields, Item};

/// How rows come to a source.
const STREAMS: [&str; 5] = ["http", "kafka", "union", "join", "enrich"];

/// What follows from the sources that a derived source reads.
const FOLLOWING: [&str; 7] =
    ["schema", "id", "available_at", "retention", "lateness", "idle_after", "at_most_ahead"];

/// Whether a `stream` is meant to be an operator.
pub(super) fn is_derived(stream: &Item<'_>) -> bool {
    stream.keys().any(|key| STREAMS[2..].iter().any(|name| nearest(key, STREAMS) == Some(*name)))
}

/// A derived source, whose inputs and schema are filled in when every source was read.
pub(super) fn read(mut fields: Fields<'_>, name: Arc<str>, stream: &Item<'_>) -> SourceSpec {
    for name in FOLLOWING {
        if let Some(item) = fields.optional(name) {
            item.refuse("it follows from the sources that this one reads", "leave it out");
        }
    }
    let event_time = fields.optional("event_time").and_then(|item| item.identifier()).unwrap_or_default();
    let dedupe = fields.optional("dedupe").and_then(|item| self::dedupe(&item));
    fields.finish();
    let operator = operator(stream).unwrap_or(Operator::Union(Vec::new()));
    SourceSpec {
        name,
        schema: Schema::default(),
        id: None,
        event_time: EventTime::Column(event_time),
        available_at: AvailableAt::Arrival,
        stream: StreamSpec::Derived(Box::new(DerivedSpec { operator, inputs: Vec::new() })),
        retention: DEFAULT_RETENTION,
        lateness: TimeSpan::ZERO,
        idle_after: None,
        at_most_ahead: None,
        dedupe,
    }
}

/// `{by: order_id, within: 24h}`
pub(super) fn dedupe(item: &Item<'_>) -> Option<DedupeSpec> {
    let mut fields = item.fields();
    let by = fields.required("by").map(|item| match item.is_list() {
        true => names(&item),
        false => item.identifier().into_iter().collect(),
    });
    let within = fields.required("within").and_then(|item| item.span());
    fields.finish();
    Some(DedupeSpec { by: by?, within: within? })
}

fn operator(item: &Item<'_>) -> Option<Operator> {
    let mut fields = item.fields();
    let union = fields.optional("union").map(|item| union(&item));
    let join = fields.optional("join").map(|item| join(&item));
    let enrich = fields.optional("enrich").map(|item| enrich(&item));
    let given = [&union, &join, &enrich].into_iter().filter(|operator| operator.is_some()).count();
    if given > 1 {
        fields.refuse("a source follows from others in one way", "declare a source for each operator");
        fields.finish();
        return None;
    }
    fields.finish();
    union.or(join).or(enrich).flatten()
}

/// `[orders, refunds]`, or what each gives: `{orders: {user: customer_id, amount: amount}}`.
fn union(item: &Item<'_>) -> Option<Operator> {
    let parts: Vec<UnionPart> = if item.is_list() {
        names(item).into_iter().map(|source| UnionPart { source, columns: None }).collect()
    } else {
        let part = |(source, item): (Arc<str>, Item<'_>)| {
            let columns = expressions(&item);
            UnionPart { source, columns: (!columns.is_empty()).then_some(columns) }
        };
        item.entries().into_iter().map(part).collect()
    };
    if parts.is_empty() && (item.is_list() || item.is_map()) {
        item.refuse("no source is named", "name at least one");
    }
    (!parts.is_empty()).then_some(Operator::Union(parts))
}

/// `{left: orders, right: deliveries, on: [order_id], within: 2h}`
fn join(item: &Item<'_>) -> Option<Operator> {
    let mut fields = item.fields();
    let left = fields.required("left").and_then(|item| item.identifier());
    let right = fields.required("right").and_then(|item| item.identifier());
    let on = fields.required("on").and_then(|item| on(&item));
    let within = fields.required("within").and_then(|item| item.span_or_zero());
    let before = fields.optional("before").map_or(Some(TimeSpan::ZERO), |item| item.span_or_zero());
    let columns = fields.optional("columns").map(|item| expressions(&item));
    fields.finish();
    Some(Operator::Join(JoinSpec {
        left: left?,
        right: right?,
        on: on?,
        within: within?,
        before: before?,
        columns,
    }))
}

/// `{of: clicks, by: products, on: {sku: product_id}, columns: {price: products.price}}`
fn enrich(item: &Item<'_>) -> Option<Operator> {
    let mut fields = item.fields();
    let of = fields.required("of").and_then(|item| item.identifier());
    let by = fields.required("by").and_then(|item| item.identifier());
    let on = fields.required("on").and_then(|item| on(&item));
    let columns: Option<Vec<NamedExpr>> = fields.optional("columns").map(|item| expressions(&item));
    fields.finish();
    Some(Operator::Enrich(EnrichSpec { of: of?, by: by?, on: on?, columns }))
}

/// Columns that are equal: `[order_id]` where both have one name, else `{sku: product_id}`.
fn on(item: &Item<'_>) -> Option<Vec<KeyPair>> {
    let pairs: Vec<KeyPair> = if item.is_list() {
        names(item).into_iter().map(|name| KeyPair { left: Arc::clone(&name), right: name }).collect()
    } else {
        let pair = |(left, item): (Arc<str>, Item<'_>)| Some(KeyPair { left, right: item.identifier()? });
        item.named_items().into_iter().map(pair).collect::<Option<_>>()?
    };
    if pairs.is_empty() && (item.is_list() || item.is_map()) {
        item.refuse("no column is named", "name at least one that both sources have");
    }
    (!pairs.is_empty()).then_some(pairs)
}
