//! Opening: from what a crash left to a log that can go on.

use std::path::Path;
use std::sync::Arc;

use perennial_types::{Position, Timestamp};

use crate::closed::{ClosedFrames, ParquetSegment};
use crate::dedupe::Dedupe;
use crate::frame::{self, FrameScan, Step};
use crate::index::Index;
use crate::log::{ActiveFile, Cut, Opened, Shared};
use crate::segment::{Listing, Segment, frames_path, parquet_path};
use crate::storage::Files;
use crate::writer::Active;
use crate::{LogError, LogOptions, LogReader};

/// A directory made ready for a writer.
pub(crate) struct Recovered {
    pub(crate) active: Active,
    pub(crate) opened: Opened,
    pub(crate) last_available_at: Timestamp,
    pub(crate) dedupe: Dedupe,
    pub(crate) reader: LogReader,
    pub(crate) shared: Arc<Shared>,
    /// Closed segments that are still frames, by first position.
    pub(crate) closed: Vec<Position>,
}

/// Make the directory of a log ready: what is unfinished is removed, a torn end cut, and what is there
/// made durable before anybody reads it.
pub(crate) fn recover(files: &Arc<dyn Files>, options: &LogOptions) -> Result<Recovered, LogError> {
    let dir = options.dir.as_path();
    files.create_dir(dir).map_err(LogError::io("create", dir))?;
    let mut segments = tidy(&**files, dir)?.segments;
    let index = Arc::new(Index::default());
    let mut cut = None;
    let last_frames = segments.pop_if(|last| last.frames && !last.parquet).map(|last| last.first);
    let closed_head = match segments.last() {
        Some(segment) => closed_end(&**files, dir, *segment)?,
        None => Position(last_frames.map_or(0, |first| first.0.saturating_sub(1))),
    };
    if let Some(first) = last_frames.filter(|first| *first != closed_head.next()) {
        let found = format!("the file of position {first} follows one that ends at {closed_head}");
        return Err(LogError::Gap { position: closed_head.next(), dir: dir.to_owned(), found });
    }
    let (active, head) = match last_frames {
        Some(first) => resume(&**files, dir, first, &index, &mut cut)?,
        None => (Active::begin(&**files, dir, closed_head.next())?, closed_head),
    };
    let shared = Arc::new(Shared::new(head, Timestamp::MIN));
    let reader = LogReader::over(Arc::clone(files), dir, Some(Arc::clone(&shared)), index);
    let (dedupe, last_available_at) = remember(&reader, head, options)?;
    shared.last_available_at.store(last_available_at.micros(), std::sync::atomic::Ordering::Release);
    let closed = segments.iter().filter(|segment| !segment.parquet).map(|segment| segment.first).collect();
    Ok(Recovered { active, opened: Opened { head, cut }, last_available_at, dedupe, reader, shared, closed })
}

/// Finish what a conversion left undone: one copy of every record stays.
fn tidy(files: &dyn Files, dir: &Path) -> Result<Listing, LogError> {
    let listing = Listing::of(files, dir)?;
    for path in &listing.unfinished {
        files.remove(path).map_err(LogError::io("remove", path))?;
    }
    // A Parquet file that is seen here may not be durable under its name yet; its frames go after it is.
    files.sync_dir(dir).map_err(LogError::io("sync", dir))?;
    for segment in listing.segments.iter().filter(|segment| segment.parquet && segment.frames) {
        let path = frames_path(dir, segment.first);
        files.remove(&path).map_err(LogError::io("remove", &path))?;
    }
    Listing::of(files, dir)
}

/// Continue the active segment after its last whole append.
fn resume(
    files: &dyn Files,
    dir: &Path,
    first: Position,
    index: &Index,
    cut: &mut Option<Cut>,
) -> Result<(Active, Position), LogError> {
    let path = frames_path(dir, first);
    let read = files.read(&path).map_err(LogError::io("open", &path))?;
    let size = read.size().map_err(LogError::io("read", &path))?;
    let failed = |error| LogError::io("read", &path)(error);
    let mut head = Position(first.0.saturating_sub(1));
    let scan = FrameScan::start(read, first).map_err(failed)?;
    let (len, reason) = match scan {
        None => (0, "the file does not begin as a log does".to_owned()),
        Some(mut scan) => {
            let mut whole = scan.offset();
            // Frames of an append whose end was not seen yet.
            let mut begun = Vec::new();
            loop {
                let offset = scan.offset();
                match scan.step().map_err(failed)? {
                    Step::Frame(record) => {
                        head = if scan.within_append() { head } else { record.position };
                        begun.push((record, offset));
                        if !scan.within_append() {
                            for (record, offset) in begun.drain(..) {
                                index.note(first, &record, offset);
                            }
                            whole = scan.offset();
                        }
                    }
                    Step::End if begun.is_empty() => break (whole, String::new()),
                    Step::End => break (whole, "an append without its end".to_owned()),
                    Step::Bad(reason) => break (whole, reason),
                }
            }
        }
    };
    if size > len {
        *cut = Some(Cut { path: path.clone(), offset: len, bytes: size - len, after: head, reason });
    }
    if len == 0 {
        return Ok((Active::begin(files, dir, first)?, head));
    }
    let file = files.append(&path).map_err(LogError::io("open", &path))?;
    file.truncate(len).map_err(LogError::io("cut", &path))?;
    // Records that were written but not synced count from here on, so they have to stay.
    file.sync().map_err(LogError::io("sync", &path))?;
    assert!(
        len >= frame::MAGIC.len() as u64,
        "a segment that has its magic bytes is not shorter than they are"
    );
    Ok((Active { first, len, point_due: 0, file: Arc::new(ActiveFile { path, file }) }, head))
}

/// The ids of the dedupe window, and the instant at which the last record became available.
fn remember(
    reader: &LogReader,
    head: Position,
    options: &LogOptions,
) -> Result<(Dedupe, Timestamp), LogError> {
    let mut dedupe = Dedupe::new(options.dedupe_window);
    let Some(last) = reader.read(head, head)?.next().transpose()? else {
        return Ok((dedupe, Timestamp::MIN));
    };
    let last_available_at = last.entry.available_at;
    let from = reader.first_at_or_after(last_available_at - options.dedupe_window)?;
    for record in reader.read(from, head)? {
        let record = record?;
        dedupe.insert(dedupe.hash(&record.entry), record.position, &record.entry);
    }
    Ok((dedupe, last_available_at))
}

/// The last position of a closed segment, which has to be whole.
fn closed_end(files: &dyn Files, dir: &Path, segment: Segment) -> Result<Position, LogError> {
    if segment.parquet {
        return Ok(ParquetSegment::open(files, &parquet_path(dir, segment.first))?.last());
    }
    let mut end = Position(segment.first.0.saturating_sub(1));
    for record in ClosedFrames::open(files, &frames_path(dir, segment.first), segment.first)? {
        end = record?.position;
    }
    Ok(end)
}
