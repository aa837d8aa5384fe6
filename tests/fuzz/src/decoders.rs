//! Bytes that come from outside, into rows.

use std::sync::{Arc, LazyLock};

use perennial_log::decode::{decode_events, decode_row};
use perennial_log::formats::{MessageDecoder, differences};
use perennial_types::{Format, KafkaStream, Schema, SourceSpec, StreamSpec, Timestamp, WriterSchema};

const COLUMNS: [(&str, &str); 10] = [
    ("id", "string"),
    ("at", "timestamp"),
    ("cnt", "int64?"),
    ("fare", "double?"),
    ("paid", "boolean?"),
    ("kind", "string?"),
    ("tips", "list<double>?"),
    ("notes", "list<string>?"),
    ("times", "list<timestamp>?"),
    ("counts", "map<int64>?"),
];

const AVRO: &str = r#"{"type": "record", "name": "Ride", "fields": [
    {"name": "stops", "type": ["null", {"type": "array", "items": {"type": "record", "name": "Stop", "fields": [
        {"name": "name", "type": "string"}, {"name": "next", "type": ["null", "Stop"]}]}}]},
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "cnt", "type": ["null", "long"]},
    {"name": "fare", "type": ["float", "double"]},
    {"name": "paid", "type": "boolean"},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["day", "night"]}},
    {"name": "tips", "type": {"type": "array", "items": "double"}},
    {"name": "notes", "type": ["null", {"type": "array", "items": "string"}]},
    {"name": "times", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}},
    {"name": "extra", "type": ["null", {"type": "map", "values": "bytes"}]},
    {"name": "counts", "type": {"type": "map", "values": "int"}}]}"#;

const PROTOBUF: &str = r#"syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Ride {
  enum Kind { day = 0; night = 1; }
  message Stop { string name = 1; repeated Stop next = 2; }
  string id = 1;
  google.protobuf.Timestamp at = 2;
  sint64 cnt = 3;
  google.protobuf.DoubleValue fare = 4;
  bool paid = 5;
  Kind kind = 6;
  repeated float tips = 7;
  repeated string notes = 8;
  repeated google.protobuf.Timestamp times = 9;
  map<string, sfixed32> counts = 10;
  repeated Stop stops = 21;
}"#;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(&COLUMNS).expect("a schema"));

fn stream(format: Format) -> KafkaStream {
    let writer_schema = match format {
        Format::Avro => Some(AVRO.into()),
        Format::Protobuf => Some(PROTOBUF.into()),
        Format::Json | Format::Csv => None,
    };
    KafkaStream { topic: "rides".into(), format, registry: None, writer_schema, timestamp: None, group: None }
}

fn source(stream: StreamSpec) -> SourceSpec {
    SourceSpec { id: Some("id".into()), stream, ..SourceSpec::new("rides", SCHEMA.clone(), "at") }
}

const ARRIVAL: Timestamp = Timestamp::from_micros(7);

/// A row that was taken is stored, and read from the log with the same bits.
fn is_kept(source: &SourceSpec, payload: &[u8]) {
    let row = decode_row(source, payload).expect("what was stored is read");
    let mut again = Vec::new();
    source.schema.write_json(&row, &mut again);
    assert_eq!(again, payload, "{}", String::from_utf8_lossy(payload));
    let tree = serde_json::from_slice(payload).expect("what was stored is JSON");
    assert_eq!(source.schema.decode_json(&tree).expect("a row"), row);
}

/// A request's body; and each of its lines as the fast reader and as the tree see it.
pub(crate) fn json(data: &[u8]) {
    static SOURCE: LazyLock<SourceSpec> = LazyLock::new(|| source(StreamSpec::Http {}));
    for entry in decode_events(&SOURCE, data, ARRIVAL).into_iter().flatten() {
        is_kept(&SOURCE, &entry.payload);
    }
    if let Some(row) = SOURCE.schema.decode_plain_json(data) {
        let tree = serde_json::from_slice(data).expect("a plain row is JSON");
        assert_eq!(SOURCE.schema.decode_json(&tree).expect("a plain row is a row"), row);
    }
}

fn message(decoder: &mut MessageDecoder, data: &[u8]) {
    static SOURCE: LazyLock<SourceSpec> = LazyLock::new(|| source(StreamSpec::Http {}));
    if let Ok(entry) = decoder.decode(data, Some(ARRIVAL), ARRIVAL) {
        is_kept(&SOURCE, &entry.payload);
    }
}

fn bare(format: Format, data: &[u8]) {
    thread_local! {
        static DECODER: std::cell::RefCell<Option<MessageDecoder>> = const { std::cell::RefCell::new(None) };
    }
    DECODER.with_borrow_mut(|decoder| {
        let made = decoder.get_or_insert_with(|| {
            let stream = stream(format);
            MessageDecoder::new(&Arc::new(source(StreamSpec::Kafka(stream.clone()))), &stream)
        });
        message(made, data);
    });
}

/// A line of CSV.
pub(crate) fn csv(data: &[u8]) {
    bare(Format::Csv, data);
}

/// An Avro value.
pub(crate) fn avro(data: &[u8]) {
    bare(Format::Avro, data);
}

/// A message of Protocol Buffers.
pub(crate) fn protobuf(data: &[u8]) {
    bare(Format::Protobuf, data);
}

/// A value in the wire format of a registry, of which schema 1 is known; the first byte chooses the format.
pub(crate) fn wire(data: &[u8]) {
    let Some((format, value)) = data.split_first() else { return };
    let (format, text) = match format & 1 {
        0 => (Format::Avro, AVRO),
        _ => (Format::Protobuf, PROTOBUF),
    };
    thread_local! {
        static DECODERS: std::cell::RefCell<Vec<(Format, MessageDecoder)>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    DECODERS.with_borrow_mut(|decoders| {
        if !decoders.iter().any(|(known, _)| *known == format) {
            let registry = Some("http://127.0.0.1:8081".into());
            let stream = KafkaStream { registry, writer_schema: None, ..stream(format) };
            let mut decoder =
                MessageDecoder::new(&Arc::new(source(StreamSpec::Kafka(stream.clone()))), &stream);
            decoder.learn(1, &WriterSchema { format, text: text.into(), references: Vec::new() });
            decoders.push((format, decoder));
        }
        for (known, decoder) in decoders.iter_mut().filter(|(known, _)| *known == format) {
            let _ = (known, decoder.unknown_schema(value));
            message(decoder, value);
        }
    });
}

/// The text of a schema that somebody registered, and a value of it; the first byte chooses the format.
pub(crate) fn writer_schema(data: &[u8]) {
    let Some((format, text)) = data.split_first() else { return };
    let format = if format & 1 == 0 { Format::Avro } else { Format::Protobuf };
    let (text, value) = match text.iter().position(|byte| *byte == 0) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let stream = KafkaStream { writer_schema: Some(text.into()), ..stream(format) };
    let source = Arc::new(source(StreamSpec::Kafka(stream.clone())));
    let written = WriterSchema { format, text: text.into(), references: Vec::new() };
    drop(differences(&source, &stream, &written));
    message(&mut MessageDecoder::new(&source, &stream), value);
}
