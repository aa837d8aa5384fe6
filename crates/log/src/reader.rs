//! Reading the log, here or in another process.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perennial_types::{Position, Record, Timestamp};

use crate::LogError;
use crate::closed::{ParquetRecords, ParquetSegment};
use crate::frame::{FrameScan, Step};
use crate::index::Index;
use crate::log::Shared;
use crate::segment::{Listing, Segment, frames_path, parquet_path};
use crate::storage::{Files, SystemFiles};

/// Reads a log, across Parquet, closed frames and the active segment. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    files: Arc<dyn Files>,
    dir: Arc<Path>,
    /// The log in this process, if that is where the writer is.
    live: Option<Arc<Shared>>,
    /// The head as last seen, for a reader of another process.
    seen: Arc<AtomicU64>,
    pub(crate) index: Arc<Index>,
}

impl LogReader {
    /// Read the log of a directory to which another process may be writing. It sees a prefix of the log.
    ///
    /// # Errors
    /// When the directory or its last segment cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LogError> {
        Self::open_with(Arc::new(SystemFiles), dir)
    }

    /// As [`LogReader::open`], over other files than the machine's.
    ///
    /// # Errors
    /// When the directory or its last segment cannot be read.
    pub fn open_with(files: Arc<dyn Files>, dir: impl AsRef<Path>) -> Result<Self, LogError> {
        let reader = Self::over(files, dir.as_ref(), None, Arc::default());
        reader.refresh()?;
        Ok(reader)
    }

    pub(crate) fn over(
        files: Arc<dyn Files>,
        dir: &Path,
        live: Option<Arc<Shared>>,
        index: Arc<Index>,
    ) -> Self {
        Self { files, dir: dir.into(), live, seen: Arc::default(), index }
    }

    /// The last position: in the process of the log the present one, elsewhere as of the last
    /// [`LogReader::refresh`].
    pub fn head(&self) -> Position {
        match &self.live {
            Some(shared) => shared.head(),
            None => Position(self.seen.load(Ordering::Acquire)),
        }
    }

    /// Look how far the log has come, and return that.
    ///
    /// # Errors
    /// When the directory or its last segment cannot be read.
    pub fn refresh(&self) -> Result<Position, LogError> {
        if let Some(shared) = &self.live {
            return Ok(shared.head());
        }
        let Some(last) = Listing::of(&*self.files, &self.dir)?.segments.last().copied() else {
            return Ok(self.head());
        };
        let mut head = Position(last.first.0.saturating_sub(1)).max(self.head());
        match self.open_segment(last, head.max(last.first))? {
            Open::Parquet(segment) => head = segment.last(),
            Open::Frames(mut scan) => {
                let path = frames_path(&self.dir, last.first);
                loop {
                    let offset = scan.offset();
                    let Step::Frame(record) = scan.step().map_err(LogError::io("read", &path))? else {
                        break;
                    };
                    // An append is seen as a whole or not at all.
                    if !scan.within_append() {
                        self.index.note(last.first, &record, offset);
                        head = head.max(record.position);
                    }
                }
            }
            Open::Nothing => {}
        }
        self.seen.fetch_max(head.0, Ordering::AcqRel);
        Ok(head)
    }

    /// The records from one position to another, both included, as far as they are there. They are read in
    /// bounded memory, starting near `from`.
    ///
    /// # Errors
    /// `NotFound` when `from` is no longer kept; when the directory cannot be read. Items fail when a file
    /// cannot be read or is damaged; nothing comes after a failed item.
    pub fn read(&self, from: Position, to: Position) -> Result<Records, LogError> {
        let next = from.max(Position(1));
        let to = if self.live.is_some() { to.min(self.head()) } else { to };
        if next <= to {
            let listing = Listing::of(&*self.files, &self.dir)?;
            if let Some(first) = listing.segments.first().filter(|segment| segment.first > next) {
                let (first, dir) = (first.first, self.dir.to_path_buf());
                return Err(LogError::Retired { position: next, first, dir });
            }
        }
        Ok(Records { reader: self.clone(), next, to, current: None, reopened: None })
    }

    /// The first position that became available at `time` or later; the one after the head if none did.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn first_at_or_after(&self, time: Timestamp) -> Result<Position, LogError> {
        let end = self.refresh()?.next();
        let segments = Listing::of(&*self.files, &self.dir)?.segments;
        let (mut low, mut high) = (0, segments.len());
        // Segments below `low` begin before `time`, those from `high` on do not.
        while low < high {
            let middle = low.midpoint(high);
            if self.begins_before(segments[middle], time)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // The segment that ends the run of those that begin before `time` is the one it may lie in.
        let after = segments.get(low).map_or(end, |segment| segment.first.min(end));
        let Some(segment) = low.checked_sub(1).map(|i| segments[i]) else { return Ok(after) };
        let near = self.index.near_time(segment.first, time).map_or(segment.first, |point| point.position);
        let found = match self.open_segment(segment, near)? {
            Open::Parquet(parquet) => parquet.first_at_or_after(time)?,
            Open::Frames(mut scan) => loop {
                let step =
                    scan.step().map_err(LogError::io("read", &frames_path(&self.dir, segment.first)))?;
                match step {
                    Step::Frame(record) if record.entry.available_at >= time => break Some(record.position),
                    Step::Frame(_) => {}
                    Step::End | Step::Bad(_) => break None,
                }
            },
            Open::Nothing => None,
        };
        Ok(found.unwrap_or(after).min(end))
    }

    fn begins_before(&self, segment: Segment, time: Timestamp) -> Result<bool, LogError> {
        Ok(match self.open_segment(segment, segment.first)? {
            Open::Parquet(parquet) => parquet.first_available_at() < time,
            Open::Frames(mut scan) => {
                let step =
                    scan.step().map_err(LogError::io("read", &frames_path(&self.dir, segment.first)))?;
                matches!(step, Step::Frame(record) if record.entry.available_at < time)
            }
            Open::Nothing => false,
        })
    }

    /// Open a segment in whichever form it is there now, at or before a position in it.
    fn open_segment(&self, segment: Segment, near: Position) -> Result<Open, LogError> {
        let first = segment.first;
        let parquet = parquet_path(&self.dir, first);
        let frames = frames_path(&self.dir, first);
        // Frames become Parquet at any time, so the second look for Parquet finds what the first missed.
        if let Some(found) = found(ParquetSegment::open(&*self.files, &parquet))? {
            return Ok(Open::Parquet(found));
        }
        let file = match self.files.read(&frames) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return ParquetSegment::open(&*self.files, &parquet).map(Open::Parquet);
            }
            Err(error) => return Err(LogError::io("open", &frames)(error)),
        };
        if let Some(point) = self.index.near_position(first, near) {
            return Ok(Open::Frames(FrameScan::new(file, point.offset, point.position)));
        }
        let scan = FrameScan::start(file, first).map_err(LogError::io("read", &frames))?;
        Ok(scan.map_or(Open::Nothing, Open::Frames))
    }
}

/// A segment open for reading.
enum Open {
    Parquet(ParquetSegment),
    Frames(FrameScan),
    /// A file that was only just made.
    Nothing,
}

fn found(opened: Result<ParquetSegment, LogError>) -> Result<Option<ParquetSegment>, LogError> {
    match opened {
        Ok(segment) => Ok(Some(segment)),
        Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The records of [`LogReader::read`].
pub struct Records {
    reader: LogReader,
    next: Position,
    to: Position,
    current: Option<(Position, Source)>,
    /// Where the file that should go on was opened a second time.
    reopened: Option<Position>,
}

enum Source {
    Parquet(ParquetRecords),
    Frames(FrameScan),
}

impl Records {
    /// The next record of the log; nothing at its end.
    fn advance(&mut self) -> Result<Option<Record>, LogError> {
        loop {
            let Some((first, source)) = &mut self.current else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let record = match source {
                Source::Parquet(records) => records.next().transpose()?,
                Source::Frames(scan) => self.reader.step_frames(*first, scan)?,
            };
            match record {
                Some(record) if record.position < self.next => {}
                Some(record) if record.position == self.next => return Ok(Some(record)),
                Some(record) => {
                    return Err(self.reader.gap(self.next, format!("position {} follows", record.position)));
                }
                None => {
                    let ended = *first;
                    self.current = None;
                    if !self.another_after(ended)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Open the segment of the next position; false when there is none yet.
    fn open_next(&mut self) -> Result<bool, LogError> {
        let listing = Listing::of(&*self.reader.files, &self.reader.dir)?;
        let Some(segment) = listing.holding(self.next) else { return Ok(false) };
        let source = match self.reader.open_segment(segment, self.next)? {
            Open::Parquet(parquet) => Source::Parquet(parquet.records(self.next)?),
            Open::Frames(scan) => Source::Frames(scan),
            Open::Nothing => return Ok(false),
        };
        self.current = Some((segment.first, source));
        Ok(true)
    }

    /// Whether the log goes on: in a segment after the one that has ended, or in that one, if it has grown and
    /// was closed since its end was seen. A second look, with a successor there, sees all of it.
    fn another_after(&mut self, ended: Position) -> Result<bool, LogError> {
        let listing = Listing::of(&*self.reader.files, &self.reader.dir)?;
        match listing.segments.iter().find(|segment| segment.first > ended) {
            Some(later) if later.first == self.next => Ok(true),
            Some(_) if self.reopened != Some(self.next) => {
                self.reopened = Some(self.next);
                Ok(true)
            }
            Some(later) => {
                Err(self.reader.gap(self.next, format!("the next file begins at {}", later.first)))
            }
            None => Ok(false),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.to {
            return None;
        }
        match self.advance() {
            Ok(Some(record)) => {
                self.next = record.position.next();
                Some(Ok(record))
            }
            Ok(None) => None,
            Err(error) => {
                self.to = Position::START;
                Some(Err(error))
            }
        }
    }
}

impl LogReader {
    /// The next frame. At the end of the last file a bad frame is one that is being written; a file that has
    /// a successor is whole, which a second look at its bytes takes into account.
    fn step_frames(&self, first: Position, scan: &mut FrameScan) -> Result<Option<Record>, LogError> {
        let path = frames_path(&self.dir, first);
        let failed = |error| LogError::io("read", &path)(error);
        if let Step::Frame(record) = scan.step().map_err(failed)? {
            return Ok(Some(record));
        }
        let listing = Listing::of(&*self.files, &self.dir)?;
        if listing.segments.last().is_none_or(|last| last.first <= first) {
            return Ok(None);
        }
        scan.refresh();
        match scan.step().map_err(failed)? {
            Step::Frame(record) => Ok(Some(record)),
            Step::End => Ok(None),
            Step::Bad(reason) => Err(LogError::Damaged { path, offset: scan.offset(), reason }),
        }
    }

    fn gap(&self, position: Position, found: String) -> LogError {
        LogError::Gap { position, dir: self.dir.to_path_buf(), found }
    }
}
