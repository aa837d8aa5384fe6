//! Bytes that come from a disk: those of the log, whole or not, and of snapshots.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use perennial_features::{AggregateSpec, EntityKey, Event, Op, Shard, Tail, View, ViewSpec, WindowSpec};
use perennial_log::{Files, Log, LogOptions, LogReader};
use perennial_testkit::FaultyFiles;
use perennial_types::{Position, Schema, SourceSpec, TimeSpan, Timestamp, Value};

const DIRECTORY: &str = "/log";

/// Files in memory, one of which has these bytes.
fn with_file(name: &str, content: &[u8]) -> FaultyFiles {
    let files = FaultyFiles::new();
    let path = Path::new(DIRECTORY).join(name);
    let written = files
        .create_dir(Path::new(DIRECTORY))
        .and_then(|()| files.append(&path))
        .and_then(|file| file.write(content).and_then(|()| file.sync()))
        .and_then(|()| files.sync_dir(Path::new(DIRECTORY)));
    written.expect("files in memory take everything");
    files
}

fn read_all(files: &FaultyFiles) {
    let Ok(reader) = LogReader::open_with(Arc::new(files.clone()), DIRECTORY) else { return };
    let head = reader.head();
    if let Ok(records) = reader.read(Position(1), head) {
        let mut next = Position(1);
        for record in records.map_while(Result::ok) {
            assert_eq!(record.position, next, "records come in order");
            next = next.next();
        }
    }
    drop(reader.first_at_or_after(Timestamp::from_micros(1_000)));
}

/// The active segment: as it is, or with checksums that fit, so that more than they is looked at.
pub(crate) fn frames(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let content = if mode & 1 == 0 { data.to_vec() } else { sealed(data) };
    let files = with_file("00000000000000000001.frames", &content);
    read_all(&files);
    // What is cut off is cut off once: the second opening finds a whole log of the same records.
    let options = LogOptions::new(DIRECTORY);
    let open = || Log::open(Arc::new(files.clone()), options.clone(), Box::new(|_| {}));
    if let Ok(log) = open() {
        let head = log.head();
        log.close();
        let again = open().expect("a log that was opened is opened again");
        assert_eq!((again.head(), again.opened().cut.is_none()), (head, true));
        again.close();
        read_all(&files);
    }
}

/// A segment whose frames are the parts of the data between bytes 0xff, each with its length and checksum.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut content = b"perennial-log 1\n".to_vec();
    for body in data.split(|byte| *byte == 0xff) {
        let length = (body.len() as u32).to_le_bytes();
        content.extend_from_slice(&length);
        content.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&length), body).to_le_bytes());
        content.extend_from_slice(body);
    }
    content
}

/// A closed segment.
pub(crate) fn parquet(data: &[u8]) {
    read_all(&with_file("00000000000000000001.parquet", data));
}

static VIEW: LazyLock<Arc<View>> = LazyLock::new(|| {
    let schema = Schema::parse(&[("user", "string"), ("fare", "double")]).expect("a schema");
    let source = SourceSpec::new("rides", schema, "at");
    let aggregate = AggregateSpec {
        name: "fare".into(),
        ops: vec![Op::Sum, Op::Min, Op::Stddev, Op::First],
        op_in_name: true,
        of: Some("fare".into()),
        with: None,
        filter: None,
        by: None,
        edges: vec![],
        windows: vec![
            WindowSpec::Sliding(TimeSpan::from_hours(1)),
            WindowSpec::Sliding(TimeSpan::from_days(7)),
        ],
        tail: Tail::Hop,
    };
    let spec = ViewSpec {
        name: "users".into(),
        entity: vec!["user".into()],
        from: "rides".into(),
        columns: vec![],
        aggregates: vec![aggregate],
        derived: vec![],
    };
    View::compile(spec, &source).expect("a view")
});

/// A state with some events in it.
pub(crate) fn saved() -> Vec<u8> {
    let mut shard = Shard::new(vec![Arc::clone(&VIEW)]);
    for number in 1..20_i64 {
        let time = Timestamp::from_micros(number * 600_000_000);
        let user = if number % 3 == 0 { "a" } else { "b" };
        let row = [Value::String(user.into()), Value::Double(number as f64)];
        let position = Position(number as u64);
        let event = Event { position, source: "rides", row: &row, event_time: time, available_at: time };
        shard.apply(&event, |_| true);
    }
    shard.save()
}

/// The state of a shard. Its file has a checksum over all of it; this is what lies behind that.
pub(crate) fn snapshot(data: &[u8]) {
    let Ok(shard) = Shard::load(vec![Arc::clone(&VIEW)], data) else { return };
    let key = EntityKey::from_values(&[Value::String("a".into())]);
    drop(shard.read(VIEW.version(), &key, Timestamp::from_micros(1_000_000)));
    let saved = shard.save();
    assert_eq!(Shard::load(vec![Arc::clone(&VIEW)], &saved).expect("what was saved").save(), saved);
}
