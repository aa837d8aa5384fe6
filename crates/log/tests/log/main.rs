//! The log on files that crash, sync slowly or fail, and on the machine's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails as a test does")]

mod append;
mod closed;
mod crash;
mod keyed;
mod spike;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use perennial_log::{Appended, Batch, Durability, Files, Log, LogError, LogOptions, Order};
use perennial_types::{Entry, Position, Record, Stream, TimeSpan, Timestamp};

const DIR: &str = "/log";

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn options(segment_bytes: u64) -> LogOptions {
    LogOptions { segment_bytes, dedupe_window: TimeSpan::from_secs(60), ..LogOptions::new(DIR) }
}

fn open(files: &(impl Files + Clone), options: LogOptions) -> Result<Log, LogError> {
    Log::open(Arc::new(files.clone()), options, Box::new(|_| {}))
}

/// A log and what it applied.
fn open_watched(files: &(impl Files + Clone), options: LogOptions) -> (Log, Arc<Mutex<Vec<Record>>>) {
    let applied = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&applied);
    let apply = Box::new(move |records: &[Record]| sink.lock().extend_from_slice(records));
    (Log::open(Arc::new(files.clone()), options, apply).unwrap(), applied)
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn entry(id: &str, at: i64) -> Entry {
    Entry {
        stream: Stream::Event,
        source: "demand".into(),
        key: "k".into(),
        event_time: seconds(at - 1),
        available_at: seconds(at),
        id: id.into(),
        payload: format!("{{\"id\":\"{id}\",\"text\":\"é\"}}").into_bytes(),
    }
}

fn synced(entries: Vec<Entry>) -> Batch {
    Batch { entries, durability: Durability::Synced, order: Order::Clamp }
}

fn written(entries: Vec<Entry>) -> Batch {
    Batch { durability: Durability::Written, ..synced(entries) }
}

fn all(log: &Log) -> Vec<Record> {
    log.reader().read(Position(1), log.head()).unwrap().map(Result::unwrap).collect()
}

fn positions(appended: &[Appended]) -> Vec<u64> {
    let position = |appended: &Appended| match appended {
        Appended::At(position) => position.0,
        other => panic!("not appended: {other:?}"),
    };
    appended.iter().map(position).collect()
}
