//! Reads the recent actions of a FeatureView: the last events of an entity, column by column.
//!
//! `recent: {views: {columns: [sku, price], last: 50, within: 96h}}` gives two lists, `views_sku_4d` and
//! `views_price_4d`, newest last. They are aggregates like others, and so the same online and in a replay. An event
//! with a NULL in one of the columns is left out of all, so that what stands at one place of the lists is of one event.

use std::sync::Arc;

use perennial_features::{AggregateSpec, Op, Tail};
use perennial_types::TimeSpan;

use crate::fields::Item;

/// Append what reads the actions to the aggregates of the view.
pub(super) fn read(actions: &Item<'_>, view: &Item<'_>, aggregates: &mut Vec<AggregateSpec>) {
    for (name, item) in actions.named_items() {
        let mut fields = item.fields();
        let columns = fields.required("columns").map(|item| item.list()).unwrap_or_default();
        let last = fields.required("last").and_then(|item| most(&item));
        let within = fields.required("within").and_then(|item| item.span());
        fields.finish();
        let names: Vec<Option<Arc<str>>> = columns.iter().map(Item::identifier).collect();
        let whole = |name: &Arc<str>| format!("\"{name}\" IS NOT NULL");
        let filter: Vec<String> = names.iter().flatten().map(whole).collect();
        for (item, column) in columns.iter().zip(names) {
            let Some(column) = column else { continue };
            view.stands_for(&format!("aggregates[{}]", aggregates.len()), item);
            aggregates.push(AggregateSpec {
                name: format!("{name}_{column}").into(),
                ops: vec![Op::LastK(last.unwrap_or(1))],
                op_in_name: false,
                of: Some(column),
                with: None,
                filter: Some(filter.join(" AND ").into()),
                by: None,
                edges: Vec::new(),
                windows: vec![within.unwrap_or(TimeSpan::from_days(4)).into()],
                tail: Tail::Exact,
            });
        }
    }
}

/// How many events are read at most.
fn most(item: &Item<'_>) -> Option<u16> {
    let count = item.whole(1)?;
    let small = u16::try_from(count).ok().filter(|count| *count <= Op::MOST_VALUES);
    if small.is_none() {
        item.refuse(format!("{count} events are too many; at most {}", Op::MOST_VALUES), "");
    }
    small
}
