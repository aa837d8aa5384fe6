//! Where in a file of frames a position or an instant is near.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use perennial_types::{Position, Record, Timestamp};

/// Bytes between two points.
const STRIDE: u64 = 64 << 10;

/// A frame whose place is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) position: Position,
    pub(crate) available_at: Timestamp,
    pub(crate) offset: u64,
}

/// Sparse points into the files of frames, by the first position of the file.
#[derive(Default)]
pub(crate) struct Index(RwLock<BTreeMap<Position, Vec<Point>>>);

impl Index {
    /// Note the frame of `record` at `offset` of the file of `first`, unless one nearby is known; and from which
    /// offset on the next one is wanted.
    pub(crate) fn note(&self, first: Position, record: &Record, offset: u64) -> u64 {
        let mut files = self.0.write();
        let points = files.entry(first).or_default();
        if points.last().is_none_or(|last| offset >= last.offset + STRIDE) {
            let available_at = record.entry.available_at;
            points.push(Point { position: record.position, available_at, offset });
        }
        points.last().map_or(offset, |last| last.offset) + STRIDE
    }

    /// The last known frame of the file at or before a position.
    pub(crate) fn near_position(&self, first: Position, position: Position) -> Option<Point> {
        self.last_where(first, |point| point.position <= position)
    }

    /// The last known frame of the file that was available before an instant.
    pub(crate) fn near_time(&self, first: Position, time: Timestamp) -> Option<Point> {
        self.last_where(first, |point| point.available_at < time)
    }

    /// Forget a file.
    pub(crate) fn forget(&self, first: Position) {
        self.0.write().remove(&first);
    }

    fn last_where(&self, first: Position, before: impl Fn(&Point) -> bool) -> Option<Point> {
        let files = self.0.read();
        let points = files.get(&first)?;
        points.partition_point(before).checked_sub(1).map(|i| points[i])
    }
}
