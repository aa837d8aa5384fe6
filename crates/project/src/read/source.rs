//! Reads a Source, and schemas.

use perennial_types::{AvailableAt, Schema, SourceSpec, StreamSpec, TimeSpan};

use super::open;
use crate::fields::Item;

/// Events are kept this long unless said.
const DEFAULT_RETENTION: TimeSpan = TimeSpan::from_days(400);

pub(super) fn read(item: &Item<'_>) -> Option<SourceSpec> {
    let (mut fields, name) = open(item, Item::identifier);
    fields.later(&["history", "lateness"]);
    let columns = fields.required("schema").and_then(|item| schema(&item));
    let id = fields.optional("id").map(|item| item.identifier());
    let event_time = fields.required("event_time").and_then(|item| item.identifier());
    let available_at = fields.optional("available_at").map_or(Some(AvailableAt::Arrival), |item| {
        item.identifier().map(|column| match &*column {
            "arrival" => AvailableAt::Arrival,
            _ => AvailableAt::Column(column),
        })
    });
    let stream = fields.optional("stream").map_or(Some(StreamSpec::Http {}), |item| stream(&item));
    let retention = fields.optional("retention").map_or(Some(DEFAULT_RETENTION), |item| item.span());
    fields.finish();
    let id = match id {
        Some(read) => Some(read?),
        None => None,
    };
    Some(SourceSpec {
        name: name?,
        schema: columns?,
        id,
        event_time: event_time?,
        available_at: available_at?,
        stream: stream?,
        retention: retention?,
    })
}

/// Names and types: `{slot: int64, note: string?}`.
pub(super) fn schema(item: &Item<'_>) -> Option<Schema> {
    let mut columns = Vec::new();
    let mut whole = item.is_map();
    for (name, item) in item.named_items() {
        let Some(given) = item.text() else {
            whole = false;
            continue;
        };
        match Schema::parse_column(&name, &given) {
            Ok(column) => columns.push(column),
            Err(error) => {
                item.refuse(error.to_string(), "");
                whole = false;
            }
        }
    }
    // Names that stand twice were refused when the map was read.
    Schema::new(columns).ok().filter(|_| whole)
}

fn stream(item: &Item<'_>) -> Option<StreamSpec> {
    let mut fields = item.fields();
    fields.later(&["kafka"]);
    let http = fields.optional("http").map(|item| item.fields().finish());
    fields.finish();
    http.map(|()| StreamSpec::Http {})
}
