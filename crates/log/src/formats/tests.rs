//! Claims about messages, with the reference crates as oracles.

use apache_avro::types::Value as AvroValue;
use perennial_types::StreamSpec;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Value as ProtobufValue};

use super::*;

const ARRIVAL: Timestamp = Timestamp::from_micros(7);

fn stream(format: Format) -> KafkaStream {
    KafkaStream {
        topic: "rides.v1".into(),
        format,
        registry: None,
        writer_schema: None,
        timestamp: None,
        group: None,
    }
}

fn source(columns: &[(&str, &str)], stream: &KafkaStream) -> Arc<SourceSpec> {
    Arc::new(SourceSpec {
        id: Some("id".into()),
        stream: StreamSpec::Kafka(stream.clone()),
        ..SourceSpec::new("rides", Schema::parse(columns).unwrap(), "at")
    })
}

const COLUMNS: [(&str, &str); 8] = [
    ("id", "string"),
    ("at", "timestamp"),
    ("cnt", "int64"),
    ("fare", "double"),
    ("paid", "boolean"),
    ("kind", "string"),
    ("tip", "double?"),
    ("note", "string?"),
];

fn written(format: Format, text: &str) -> WriterSchema {
    WriterSchema { format, text: text.into(), references: Vec::new() }
}

fn decoder(format: Format, text: &str) -> MessageDecoder {
    let stream = KafkaStream { writer_schema: Some(text.into()), ..stream(format) };
    MessageDecoder::new(&source(&COLUMNS, &stream), &stream)
}

/// The payload of the event that a value becomes.
fn payload(decoder: &mut MessageDecoder, value: &[u8]) -> Result<serde_json::Value, String> {
    let entry = decoder.decode(value, None, ARRIVAL).map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&entry.payload).unwrap())
}

/// A row as every format writes it.
#[derive(Clone, Debug)]
struct Ride {
    id: String,
    at: i64,
    cnt: i64,
    fare: f64,
    paid: bool,
    kind: usize,
    tip: Option<f64>,
    note: Option<String>,
    /// What is no column.
    stops: Vec<String>,
}

const KINDS: [&str; 3] = ["day", "night", "airport"];

fn rides() -> impl Strategy<Value = Ride> {
    let usable = |number: &f64| number.abs() <= LARGEST_DOUBLE;
    let double = || prop::num::f64::NORMAL.prop_filter("input is bounded", usable);
    let texts = (".*", prop::option::of(".*"), prop::collection::vec(".{0,20}", 0..4));
    let numbers = (INSTANTS, any::<i64>(), double(), prop::option::of(double()));
    (texts, numbers, any::<bool>(), 0..3_usize).prop_map(|(texts, numbers, paid, kind)| Ride {
        id: texts.0,
        at: numbers.0,
        cnt: numbers.1,
        fare: numbers.2,
        paid,
        kind,
        tip: numbers.3,
        note: texts.1,
        stops: texts.2,
    })
}

impl Ride {
    fn json(&self) -> serde_json::Value {
        let schema = Schema::parse(&COLUMNS).unwrap();
        let text = |text: &String| Value::String(text.as_str().into());
        schema.encode_json(&[
            text(&self.id),
            Value::Timestamp(Timestamp::from_micros(self.at)),
            Value::Int64(self.cnt),
            Value::Double(self.fare),
            Value::Boolean(self.paid),
            Value::String(KINDS[self.kind].into()),
            self.tip.map_or(Value::Null, Value::Double),
            self.note.as_ref().map_or(Value::Null, text),
        ])
    }
}

const AVRO: &str = r#"{"type": "record", "name": "Ride", "namespace": "taxi", "fields": [
    {"name": "stops", "type": ["null", {"type": "array", "items": {"type": "record", "name": "Stop", "fields": [
        {"name": "name", "type": "string"}, {"name": "next", "type": ["null", "Stop"]}]}}]},
    {"name": "note", "type": ["string", "null"]},
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "cnt", "type": "long"},
    {"name": "fare", "type": "double"},
    {"name": "extra", "type": ["null", {"type": "map", "values": "bytes"}]},
    {"name": "paid", "type": "boolean"},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["day", "night", "airport"]}},
    {"name": "tip", "type": ["null", "double"]}]}"#;

fn avro(ride: &Ride) -> Vec<u8> {
    let some = |index, value| AvroValue::Union(index, Box::new(value));
    let null = |index| some(index, AvroValue::Null);
    let stop = |name: &String| {
        AvroValue::Record(vec![
            ("name".to_owned(), AvroValue::String(name.clone())),
            ("next".to_owned(), null(0)),
        ])
    };
    let fields = vec![
        ("stops", some(1, AvroValue::Array(ride.stops.iter().map(stop).collect()))),
        ("note", ride.note.as_ref().map_or_else(|| null(1), |note| some(0, AvroValue::String(note.clone())))),
        ("id", AvroValue::String(ride.id.clone())),
        ("at", AvroValue::TimestampMicros(ride.at)),
        ("cnt", AvroValue::Long(ride.cnt)),
        ("fare", AvroValue::Double(ride.fare)),
        ("extra", null(0)),
        ("paid", AvroValue::Boolean(ride.paid)),
        ("kind", AvroValue::Enum(ride.kind as u32, KINDS[ride.kind].to_owned())),
        ("tip", ride.tip.map_or_else(|| null(0), |tip| some(1, AvroValue::Double(tip)))),
    ];
    let record =
        AvroValue::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let schema = apache_avro::Schema::parse_str(AVRO).unwrap();
    apache_avro::writer::datum::GenericDatumWriter::builder(&schema)
        .build()
        .unwrap()
        .write_value_to_vec(record)
        .unwrap()
}

const PROTOBUF: &str = r#"syntax = "proto3";
package taxi;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Ride {
  enum Kind { day = 0; night = 1; airport = 2; }
  message Stop { string name = 1; }
  string id = 1;
  google.protobuf.Timestamp at = 2;
  sint64 cnt = 3;
  double fare = 4;
  bool paid = 5;
  Kind kind = 6;
  google.protobuf.DoubleValue tip = 7;
  optional string note = 20;
  repeated Stop stops = 21;
  repeated int32 packed = 22;
}"#;

fn protobuf_pool() -> prost_reflect::DescriptorPool {
    let mut compiler = protox::Compiler::with_file_resolver({
        let mut chain = protox::file::ChainFileResolver::new();
        chain.add(OneFile);
        chain.add(protox::file::GoogleFileResolver::new());
        chain
    });
    compiler.include_imports(true).open_file("ride.proto").unwrap();
    compiler.descriptor_pool()
}

struct OneFile;

impl protox::file::FileResolver for OneFile {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        match name {
            "ride.proto" => protox::file::File::from_source(name, PROTOBUF),
            other => Err(protox::Error::file_not_found(other)),
        }
    }
}

fn protobuf(pool: &prost_reflect::DescriptorPool, ride: &Ride) -> Vec<u8> {
    let message = |name: &str| DynamicMessage::new(pool.get_message_by_name(name).unwrap());
    let mut written = message("taxi.Ride");
    let mut at = message("google.protobuf.Timestamp");
    at.set_field_by_name("seconds", ProtobufValue::I64(ride.at.div_euclid(1_000_000)));
    at.set_field_by_name("nanos", ProtobufValue::I32((ride.at.rem_euclid(1_000_000) * 1_000) as i32));
    written.set_field_by_name("id", ProtobufValue::String(ride.id.clone()));
    written.set_field_by_name("at", ProtobufValue::Message(at));
    written.set_field_by_name("cnt", ProtobufValue::I64(ride.cnt));
    written.set_field_by_name("fare", ProtobufValue::F64(ride.fare));
    written.set_field_by_name("paid", ProtobufValue::Bool(ride.paid));
    written.set_field_by_name("kind", ProtobufValue::EnumNumber(ride.kind as i32));
    if let Some(tip) = ride.tip {
        let mut value = message("google.protobuf.DoubleValue");
        value.set_field_by_name("value", ProtobufValue::F64(tip));
        written.set_field_by_name("tip", ProtobufValue::Message(value));
    }
    if let Some(note) = &ride.note {
        written.set_field_by_name("note", ProtobufValue::String(note.clone()));
    }
    let stops = ride.stops.iter().map(|name| {
        let mut stop = message("taxi.Ride.Stop");
        stop.set_field_by_name("name", ProtobufValue::String(name.clone()));
        ProtobufValue::Message(stop)
    });
    written.set_field_by_name("stops", ProtobufValue::List(stops.collect()));
    let packed = (0..ride.stops.len() as i32).map(ProtobufValue::I32).collect();
    written.set_field_by_name("packed", ProtobufValue::List(packed));
    written.encode_to_vec()
}

fn csv_line(ride: &Ride) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let optional = |text: Option<String>| text.unwrap_or_default();
    let fields = [
        ride.id.clone(),
        Timestamp::from_micros(ride.at).to_string(),
        ride.cnt.to_string(),
        ride.fare.to_string(),
        ride.paid.to_string(),
        KINDS[ride.kind].to_owned(),
        optional(ride.tip.map(|tip| tip.to_string())),
        optional(ride.note.clone()),
    ];
    writer.write_record(fields).unwrap();
    writer.into_inner().unwrap()
}

proptest! {
    #[test]
    fn a_row_is_the_same_whatever_wrote_it(ride in rides()) {
        prop_assert_eq!(payload(&mut decoder(Format::Avro, AVRO), &avro(&ride)), Ok(ride.json()));
        let pool = protobuf_pool();
        prop_assert_eq!(payload(&mut decoder(Format::Protobuf, PROTOBUF), &protobuf(&pool, &ride)), Ok(ride.json()));
        prop_assert_eq!(payload(&mut decoder(Format::Json, ""), ride.json().to_string().as_bytes()), Ok(ride.json()));
        // An empty field of CSV is NULL, and a byte-order mark in front belongs to the file.
        let lossless = !ride.id.is_empty() && !ride.id.starts_with('\u{feff}') && ride.note.as_deref() != Some("");
        if lossless {
            prop_assert_eq!(payload(&mut decoder(Format::Csv, ""), &csv_line(&ride)), Ok(ride.json()));
        }
    }

    #[test]
    fn bytes_that_are_cut_or_changed_are_an_error_or_a_row(ride in rides(), at: prop::sample::Index, byte: u8) {
        let pool = protobuf_pool();
        for (format, text, whole) in
            [(Format::Avro, AVRO, avro(&ride)), (Format::Protobuf, PROTOBUF, protobuf(&pool, &ride))]
        {
            let mut decoder = decoder(format, text);
            let place = at.index(whole.len());
            let mut changed = whole.clone();
            changed[place] = byte;
            for bytes in [&whole[..place], &changed, &whole[place..]] {
                if let Ok(row) = payload(&mut decoder, bytes) {
                    Schema::parse(&COLUMNS).unwrap().decode_json(&row).unwrap();
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_row(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (format, text) in [(Format::Avro, AVRO), (Format::Protobuf, PROTOBUF), (Format::Csv, ""), (Format::Json, "")] {
            drop(payload(&mut decoder(format, text), &bytes));
            let stream = KafkaStream { registry: Some("http://127.0.0.1:8081".into()), ..stream(format) };
            let mut framed = MessageDecoder::new(&source(&COLUMNS, &stream), &stream);
            framed.learn(1, &written(format, text));
            let _ = framed.unknown_schema(&bytes);
            let with_id = [&[0, 0, 0, 0, 1][..], &bytes].concat();
            drop((payload(&mut framed, &bytes), payload(&mut framed, &with_id)));
        }
    }
}

/// Lists and maps as Avro and Protobuf write them: in blocks, packed, and one by one.
#[test]
fn lists_and_maps_fill_columns_of_their_kind() {
    let columns = [
        ("id", "string"),
        ("at", "timestamp"),
        ("x", "list<double>"),
        ("tags", "list<string>"),
        ("counts", "map<int64>"),
    ];
    let avro = r#"{"type": "record", "name": "R", "fields": [
        {"name": "id", "type": "string"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "x", "type": {"type": "array", "items": "float"}},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}]},
        {"name": "counts", "type": {"type": "map", "values": "int"}}]}"#;
    let protobuf = r#"syntax = "proto3"; message R { string id = 1; string at = 2; repeated float x = 3;
        repeated string tags = 4; map<string, sint32> counts = 5; }"#;
    let decoder = |format, text: &str| {
        let stream = KafkaStream { writer_schema: Some(text.into()), ..stream(format) };
        MessageDecoder::new(&source(&columns, &stream), &stream)
    };
    let expected = serde_json::json!({
        "id": "a", "at": "1970-01-01T00:00:00Z", "x": [1.5, 0.0], "tags": ["u", "v"], "counts": {"p": -1, "q": 2}
    });
    let (one_and_a_half, zero) = (1.5_f32.to_le_bytes(), 0.0_f32.to_le_bytes());
    // The list of numbers in two blocks, the first of which tells its length in bytes.
    let blocks = [&[1, 8][..], &one_and_a_half, &[2], &zero, &[0]].concat();
    let rest = [2, 4, 2, b'u', 2, b'v', 0, 4, 2, b'q', 4, 2, b'p', 1, 0];
    let whole = [&[2, b'a', 0][..], &blocks, &rest].concat();
    let mut by_avro = decoder(Format::Avro, avro);
    assert_eq!(payload(&mut by_avro, &whole), Ok(expected.clone()));
    let mut by_protobuf = decoder(Format::Protobuf, protobuf);
    let head = [&[10, 1, b'a', 18, 10][..], b"1970-01-01"].concat();
    let tail = [34, 1, b'u', 42, 5, 10, 1, b'q', 16, 4, 34, 1, b'v', 42, 5, 16, 1, 10, 1, b'p'];
    let packed = [&[26, 8][..], &one_and_a_half, &zero].concat();
    let single = [&[29][..], &one_and_a_half, &[29], &zero].concat();
    for numbers in [packed, single] {
        assert_eq!(payload(&mut by_protobuf, &[&head[..], &numbers, &tail].concat()), Ok(expected.clone()));
    }
    let none = payload(&mut by_protobuf, &head).unwrap();
    assert_eq!((&none["x"], &none["counts"]), (&serde_json::json!([]), &serde_json::json!({})));
    let infinite = [&head[..], &[29], &f32::NAN.to_le_bytes()].concat();
    let error = payload(&mut by_protobuf, &infinite).unwrap_err();
    assert_eq!(error, "column \"x\" wants list<double>, found NaN");
    let endless = [&[2, b'a', 0][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    assert!(payload(&mut by_avro, &endless).unwrap_err().contains("it ends too early"));
}

#[test]
fn a_list_that_may_hold_nulls_is_a_difference() {
    let stream = stream(Format::Avro);
    let source = source(&[("id", "string"), ("at", "timestamp"), ("x", "list<double>")], &stream);
    let text = |items: &str| {
        format!(
            r#"{{"type": "record", "name": "R", "fields": [{{"name": "id", "type": "string"}},
            {{"name": "at", "type": "string"}}, {{"name": "x", "type": {{"type": "array", "items": {items}}}}}]}}"#
        )
    };
    let of = |items: &str| differences(&source, &stream, &written(Format::Avro, &text(items)));
    assert_eq!(of("\"long\""), [""; 0]);
    assert_eq!(
        of(r#"["null", "double"]"#),
        ["column \"x\" is list<double>, and is written as array of [null, double]"]
    );
    assert_eq!(of("\"string\""), ["column \"x\" is list<double>, and is written as array of string"]);
}

#[test]
fn differences_are_all_named_and_nullable_additions_are_none() {
    let of = |columns: &[(&str, &str)], format: Format, text: &str| {
        let stream = stream(format);
        differences(&source(columns, &stream), &stream, &written(format, text))
    };
    assert_eq!(of(&COLUMNS, Format::Avro, AVRO), [""; 0]);
    assert_eq!(of(&COLUMNS, Format::Protobuf, PROTOBUF), [""; 0]);
    let mut other = COLUMNS.to_vec();
    other[2] = ("cnt", "string");
    other.push(("surge", "double?"));
    other.push(("driver", "string"));
    assert_eq!(
        of(&other, Format::Avro, AVRO),
        ["column \"cnt\" is string, and is written as long", "column \"driver\" is not written"]
    );
    assert_eq!(
        of(&other, Format::Protobuf, PROTOBUF),
        [
            "column \"cnt\" is string, and is written as sint64",
            "column \"driver\" is not in message Ride; known are id, at, cnt, fare, paid, kind, tip, note, stops, packed"
        ]
    );
    assert_eq!(
        of(&COLUMNS[..5], Format::Avro, AVRO),
        ["field \"kind\" (enum taxi.Kind) is new and never null; declare it as a column that may be missing"]
    );
    assert!(of(&COLUMNS, Format::Avro, "{").first().unwrap().starts_with("it is no Avro schema: "));
    assert!(
        of(&COLUMNS, Format::Protobuf, "message {").first().unwrap().starts_with("it cannot be compiled: ")
    );
    let stream = stream(Format::Avro);
    assert_eq!(
        differences(&source(&COLUMNS, &stream), &stream, &written(Format::Protobuf, PROTOBUF)),
        ["the source is declared as avro, and the schema is one of protobuf"]
    );
}

#[test]
fn a_value_of_a_registry_is_read_by_the_schema_of_its_id() {
    let stream = KafkaStream { registry: Some("http://127.0.0.1:8081".into()), ..stream(Format::Avro) };
    let mut decoder =
        MessageDecoder::new(&source(&[("id", "string"), ("at", "timestamp")], &stream), &stream);
    let schema = |extra: &str| {
        let fields = r#"{"name": "id", "type": "string"}, {"name": "at", "type": "string"}"#;
        let text = format!(r#"{{"type": "record", "name": "R", "fields": [{fields}{extra}]}}"#);
        written(Format::Avro, &text)
    };
    let bare = [&[2, b'a', 20][..], b"2024-05-01"].concat();
    let message = |id: u8, rest: &[u8]| [&[0, 0, 0, 0, id][..], &bare, rest].concat();
    assert_eq!(decoder.unknown_schema(&message(1, &[])), Some(1));
    decoder.learn(1, &schema(""));
    assert_eq!(decoder.unknown_schema(&message(1, &[])), None);
    let expected = serde_json::json!({"id": "a", "at": "2024-05-01T00:00:00Z"});
    assert_eq!(payload(&mut decoder, &message(1, &[])).unwrap(), expected);
    decoder.learn(2, &schema(r#", {"name": "n", "type": ["null", "long"]}"#));
    assert_eq!(payload(&mut decoder, &message(2, &[2, 8])).unwrap(), expected);
    decoder.learn(3, &schema(r#", {"name": "n", "type": "long"}"#));
    assert_eq!(
        payload(&mut decoder, &message(3, &[8])).unwrap_err(),
        "schema 3 does not fit the source: field \"n\" (long) is new and never null; declare it as a column that may \
         be missing"
    );
    decoder.learn_missing(4);
    assert_eq!(payload(&mut decoder, &message(4, &[])).unwrap_err(), "schema 4 is not in the registry");
    assert_eq!(
        payload(&mut decoder, &bare).unwrap_err(),
        "not in the wire format of a registry: it begins with byte 2, not with 0 and a schema id"
    );
}

#[test]
fn a_message_that_is_not_the_first_is_found_by_its_path() {
    let text = r#"syntax = "proto2"; import "shared/kind.proto";
        message Other { required int64 n = 1; }
        message Outer { message Ride { required string id = 1; required string at = 2;
            optional shared.Kind kind = 3 [default = NIGHT]; extensions 100 to 200; } }"#;
    let kind = r#"syntax = "proto2"; package shared; enum Kind { DAY = 1; NIGHT = 2; }"#;
    let stream = KafkaStream { registry: Some("http://127.0.0.1:8081".into()), ..stream(Format::Protobuf) };
    let columns = [("id", "string"), ("at", "timestamp"), ("kind", "string?")];
    let mut decoder = MessageDecoder::new(&source(&columns, &stream), &stream);
    let references = vec![("shared/kind.proto".into(), kind.into())];
    decoder.learn(7, &WriterSchema { references, ..written(Format::Protobuf, text) });
    let row = [&[10, 1, b'a', 18, 10][..], b"2024-05-01"].concat();
    let message = |path: &[u8]| [&[0, 0, 0, 0, 7][..], path, &row].concat();
    let expected = serde_json::json!({"id": "a", "at": "2024-05-01T00:00:00Z", "kind": "NIGHT"});
    assert_eq!(payload(&mut decoder, &message(&[4, 2, 0])).unwrap(), expected);
    let error = payload(&mut decoder, &message(&[0])).unwrap_err();
    assert_eq!(
        error,
        "column \"id\" is not in message Other; known are n; column \"at\" is not in message Other; known are n"
    );
    let error = payload(&mut decoder, &message(&[2, 18])).unwrap_err();
    assert_eq!(error, "the schema has no message at [9]");
}

#[test]
fn the_timestamp_of_a_message_fills_its_column() {
    let stream = KafkaStream { timestamp: Some("at".into()), ..stream(Format::Json) };
    let mut decoder =
        MessageDecoder::new(&source(&[("id", "string"), ("at", "timestamp")], &stream), &stream);
    let at = Timestamp::parse("2024-05-01").unwrap();
    let entry = decoder.decode(br#"{"id": "a"}"#, Some(at), ARRIVAL).unwrap();
    assert_eq!((entry.event_time, entry.available_at), (at, ARRIVAL));
    assert_eq!(entry.payload, br#"{"id":"a","at":"2024-05-01T00:00:00Z"}"#);
    let error = decoder.decode(br#"{"id": "a"}"#, None, ARRIVAL).unwrap_err();
    assert_eq!(error.to_string(), "column \"at\" is missing");
    let error = decoder.decode(br#"{"id": "a", "at": "2024-05-01"}"#, Some(at), ARRIVAL).unwrap_err();
    assert_eq!(error.to_string(), "unknown column \"at\"; known are id");
}
