//! Reads a Source, and schemas.

use perennial_types::{
    AvailableAt, Column, DataType, EventTime, Format, KafkaStream, Schema, SourceSpec, StreamSpec, TimeSpan,
    Timestamp,
};

use super::{derived, named, open};
use crate::fields::Item;
use crate::spec::{ClockKind, HistorySpec};

/// Events are kept this long unless said.
pub(super) const DEFAULT_RETENTION: TimeSpan = TimeSpan::from_days(400);

/// An event that arrives on the wall clock is dated ahead by no more than this unless said: clocks differ by less.
const DEFAULT_AT_MOST_AHEAD: TimeSpan = TimeSpan::from_hours(1);

/// Read a source, whose ready one is filled in; `whole` says that this is there.
pub(super) fn read(item: &Item<'_>, clock: ClockKind, whole: bool) -> SourceSpec {
    let (mut fields, name) = open(item, Item::identifier);
    let stream_item = fields.optional("stream");
    if let Some(item) = stream_item.as_ref().filter(|item| derived::is_derived(item)) {
        return derived::read(fields, name, item);
    }
    // Its own part of the project: what is read of it is no property of the stream.
    fields.optional("history");
    if let Some(used) = fields.optional("use") {
        used.text();
    }
    if !whole {
        fields.may_stand_elsewhere();
    }
    let columns = fields.required("schema").map(|item| schema(&item)).unwrap_or_default();
    let id = fields.optional("id").map(|item| item.identifier().unwrap_or_default());
    let event_time = fields.required("event_time").and_then(|item| item.identifier());
    let event_time = event_time.map_or_else(|| EventTime::Column("".into()), |name| EventTime::from(&*name));
    let available_at = fields.optional("available_at").map_or(Some(AvailableAt::Arrival), |item| {
        item.identifier().map(|column| match &*column {
            "arrival" => AvailableAt::Arrival,
            _ => AvailableAt::Column(column),
        })
    });
    let stream = stream_item.map_or(Some(StreamSpec::Http {}), |item| stream(&item));
    let dedupe = fields.optional("dedupe").and_then(|item| derived::dedupe(&item));
    let retention = fields.optional("retention").map_or(Some(DEFAULT_RETENTION), |item| item.span());
    let lateness = fields.optional("lateness").and_then(|item| item.span_or_zero()).unwrap_or_default();
    let idle_after = fields.optional("idle_after").and_then(|item| item.span());
    let at_most_ahead = fields.optional("at_most_ahead").map(|item| item.span_or_zero().unwrap_or_default());
    fields.finish();
    // Of history and of a play the instants are whatever they were.
    let live = clock == ClockKind::Wall
        && matches!(available_at, Some(AvailableAt::Arrival))
        && event_time != EventTime::Arrival;
    let at_most_ahead = at_most_ahead.or_else(|| live.then_some(DEFAULT_AT_MOST_AHEAD));
    SourceSpec {
        name,
        schema: columns,
        id,
        event_time,
        available_at: available_at.unwrap_or(AvailableAt::Arrival),
        stream: stream.unwrap_or(StreamSpec::Http {}),
        retention: retention
            .unwrap_or_else(|| item.guess(&[TimeSpan::from_days(1), TimeSpan::from_days(100_000)])),
        lateness,
        idle_after,
        at_most_ahead,
        dedupe,
    }
}

/// Where older rows are: `{files: "history/*.parquet", until: "2026-01-01"}`.
pub(super) fn history(item: &Item<'_>) -> Option<HistorySpec> {
    let mut fields = item.fields().optional("history")?.fields();
    let files = fields.required("files").and_then(|item| item.text());
    let until = fields.optional("until").map(|item| {
        let text = item.text();
        let read = text.as_deref().and_then(|text| Timestamp::parse(text).ok());
        if read.is_none() {
            item.refuse("expected an instant", "write it as 2026-01-01 or 2026-01-01T05:00:00Z");
        }
        read
    });
    fields.finish();
    Some(HistorySpec { files: files?, until: until.flatten() })
}

/// Names and types: `{slot: int64, note: string?}`.
pub(super) fn schema(item: &Item<'_>) -> Schema {
    let mut columns = Vec::new();
    for (name, item) in item.named_items() {
        let given = item.text();
        let read = given.as_deref().map(|given| Schema::parse_column(&name, given));
        if let Some(Err(error)) = &read {
            item.refuse(error.to_string(), "");
        }
        columns.push(read.and_then(Result::ok).unwrap_or_else(|| Column {
            name,
            data_type: item.guess(&DataType::DECLARABLE),
            nullable: given.is_some_and(|given| given.ends_with('?')),
        }));
    }
    // Names that stand twice were refused when the map was read, and stand here once.
    Schema::new(columns).unwrap_or_default()
}

fn stream(item: &Item<'_>) -> Option<StreamSpec> {
    let mut fields = item.fields();
    let http = fields.optional("http").map(|item| item.fields().finish());
    let kafka = fields.optional("kafka").map(|item| kafka(&item));
    match (http, kafka) {
        (Some(()), Some(_)) => {
            fields.refuse("rows arrive over http or from kafka, not both", "declare two sources");
            fields.finish();
            None
        }
        (None, Some(kafka)) => {
            fields.finish();
            kafka.map(StreamSpec::Kafka)
        }
        (http, None) => {
            fields.finish();
            http.map(|()| StreamSpec::Http {})
        }
    }
}

/// A topic: `{topic: demand.v1, format: avro, registry: "http://127.0.0.1:8081"}`.
fn kafka(item: &Item<'_>) -> Option<KafkaStream> {
    let mut fields = item.fields();
    let topic = fields.required("topic").and_then(|item| item.text());
    let formats = named(&Format::ALL, Format::name);
    let format = fields.optional("format").map_or(Some(Format::Json), |item| item.one_of(&formats, &[]));
    let registry = fields.optional("registry").map(|item| item.text().unwrap_or_default());
    let writer_schema = fields.optional("writer_schema").map(|item| item.text().unwrap_or_default());
    let timestamp = fields.optional("timestamp").map(|item| item.identifier().unwrap_or_default());
    let group = fields.optional("group").map(|item| item.text().unwrap_or_default());
    fields.finish();
    Some(KafkaStream { topic: topic?, format: format?, registry, writer_schema, timestamp, group })
}
