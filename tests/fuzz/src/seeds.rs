//! Inputs that are right.

use std::path::Path;
use std::sync::Arc;

use perennial_log::{Batch, Durability, Log, LogOptions, Order};
use perennial_testkit::FaultyFiles;
use perennial_types::{Entry, Stream, Timestamp};

/// The inputs that a target begins with.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "json" => texts(&[
            r#"{"id":"a","at":"2011-01-01T05:00:00Z","cnt":-3,"fare":0.1,"paid":true,"tips":[1,2.5],"counts":{"k":1}}"#,
            "{\"id\":\"a\\n\",\"at\":\"2011-01-01 05:00:00\"}\n{\"id\":\"b\",\"at\":\"2011-01-01T06:00:00.5+01:00\",\"fare\":1e3}\n",
            r#"[{"id":"é","at":"2011-01-01","notes":["x",""],"times":["2011-01-01T05:00:00Z"]}]"#,
        ]),
        "csv" => texts(&[
            "a,2011-01-01T05:00:00Z,3,0.5,true,day,\"[1, 2.5]\",\"[\"\"x\"\"]\",,\"{\"\"k\"\":1}\"\n",
        ]),
        "avro" => vec![avro()],
        "protobuf" => vec![protobuf()],
        "wire" => vec![
            [&[0, 0, 0, 0, 0, 1][..], &avro()].concat(),
            [&[1, 0, 0, 0, 0, 1, 0][..], &protobuf()].concat(),
        ],
        "writer_schema" => texts(&[
            "\0{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"at\",\"type\":\"string\"},\
             {\"name\":\"tips\",\"type\":{\"type\":\"array\",\"items\":\"double\"}}]}\0\x02a\x142011-01-01\0",
            "\x01syntax = \"proto3\"; message R { string id = 1; string at = 2; repeated double tips = 7; }\0\x0a\x01a",
        ]),
        "frames" => vec![segment("frames")].into_iter().map(|bytes| [&[0][..], &bytes].concat()).collect(),
        "parquet" => vec![segment("parquet")],
        "snapshot" => vec![crate::stored::saved()],
        "declarations" => texts(&[include_str!("../../../crates/server/src/schemas/example.yaml"), DECLARED]),
        "expression" => texts(&[
            "CASE WHEN a > 0.5 AND NOT b THEN n + 1 ELSE COALESCE(n, 0) END",
            "CAST(a AS BIGINT) % 7 + EXTRACT(HOUR FROM t)",
            "UPPER(SUBSTRING(s FROM 2 FOR 3)) || 'x' LIKE '%x'",
            "l[1] * len(l) + m['k']",
            "t + INTERVAL '1' DAY > TIMESTAMP '2011-01-01 00:00:00' OR s IN ('a', 'b')",
        ]),
        _ => Vec::new(),
    }
}

const DECLARED: &str = "kind: Project\nname: p\n---\nkind: Source\nname: s\nschema: {id: string, at: timestamp, x: double?}\n\
    id: id\nevent_time: at\nretention: 40d\n---\nkind: FeatureView\nname: v\nentity: [id]\nfrom: s\ncolumns: {y: \"x * 2\"}\n\
    aggregates:\n  - {name: y, op: [avg, max], of: y, windows: [1h, 7d], tail: exact}\n  \
    - {name: n, op: count, where: \"x > 1\", windows: [30d]}\nderived: {r: \"y_avg_1h / NULLIF(n_30d, 0)\"}\n";

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn avro() -> Vec<u8> {
    let head = [0, 2, b'a', 0x80, 0xa0, 0xfe, 0xff, 0x05, 2, 6, 2];
    let fare = 0.5_f64.to_le_bytes();
    let tips = [&[1, 0x02, 2][..], &[2, 16], &fare, &[0]].concat();
    [&head[..], &fare, &tips, &[2, 2, 2, b'n', 0, 0, 0, 2, 2, b'k', 4, 0]].concat()
}

fn protobuf() -> Vec<u8> {
    let fare = 0.5_f64.to_le_bytes();
    [
        &[10, 1, b'a', 18, 4, 8, 100, 16, 7, 24, 5, 34, 9, 9][..],
        &fare,
        &[40, 1, 48, 1, 58, 4, 0, 0, 0, 63, 66, 1, b'n', 74, 2, 8, 9, 82, 8, 10, 1, b'k', 21, 1, 0, 0, 0],
    ]
    .concat()
}

/// The first segment of a small log, by the ending of its file.
fn segment(ending: &str) -> Vec<u8> {
    let files = FaultyFiles::new();
    let options = LogOptions { segment_bytes: 300, ..LogOptions::new("/log") };
    let log = Log::open(Arc::new(files.clone()), options, Box::new(|_| {})).expect("a log");
    for number in 0..if ending == "parquet" { 12 } else { 2 } {
        let at = Timestamp::from_micros(number);
        let entry = Entry {
            stream: Stream::Event,
            source: "rides".into(),
            key: "".into(),
            event_time: at,
            available_at: at,
            id: number.to_string().into(),
            payload: br#"{"id":"a"}"#.to_vec(),
        };
        let batch = Batch { entries: vec![entry], durability: Durability::Synced, order: Order::Clamp };
        log.append(batch).wait().expect("an append");
    }
    log.close();
    files.content(Path::new("/log").join(format!("{:020}.{ending}", 1)).as_path()).unwrap_or_default()
}
