//! Closed segments: whole files of frames, and the Parquet files that replace them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use perennial_types::{Position, Record, Timestamp};

use crate::LogError;
use crate::columns::{self, FIRST_AVAILABLE_AT, FIRST_POSITION, LAST_POSITION};
use crate::frame::{FrameScan, Step};
use crate::storage::{Files, ReadFile};

/// The records of a segment of frames that is closed: anything but whole frames to its end is damage.
pub(crate) struct ClosedFrames {
    path: PathBuf,
    scan: FrameScan,
    ended: bool,
}

impl ClosedFrames {
    pub(crate) fn open(files: &dyn Files, path: &Path, first: Position) -> Result<Self, LogError> {
        let file = files.read(path).map_err(LogError::io("open", path))?;
        let scan = FrameScan::start(file, first).map_err(LogError::io("read", path))?;
        let scan = scan.ok_or_else(|| LogError::Damaged {
            path: path.to_owned(),
            offset: 0,
            reason: "it does not begin as a segment of the log".to_owned(),
        })?;
        Ok(Self { path: path.to_owned(), scan, ended: false })
    }
}

impl Iterator for ClosedFrames {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let offset = self.scan.offset();
        let item = match self.scan.step().map_err(LogError::io("read", &self.path)) {
            Ok(Step::Frame(record)) => return Some(Ok(record)),
            Ok(Step::End) => None,
            Ok(Step::Bad(reason)) => Some(Err(LogError::Damaged { path: self.path.clone(), offset, reason })),
            Err(error) => Some(Err(error)),
        };
        self.ended = true;
        item
    }
}

/// A Parquet segment, open.
pub(crate) struct ParquetSegment {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<Chunks>,
    first: Position,
    last: Position,
    first_available_at: Timestamp,
}

impl ParquetSegment {
    /// Open a file and read its footer.
    pub(crate) fn open(files: &dyn Files, path: &Path) -> Result<Self, LogError> {
        let file = files.read(path).map_err(LogError::io("open", path))?;
        let size = file.size().map_err(LogError::io("read", path))?;
        let chunks = Chunks { file, size };
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(chunks).map_err(|error| damaged(path, error))?;
        let figure = |key: &str| {
            let pairs = builder.metadata().file_metadata().key_value_metadata();
            let pair = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key));
            let number = pair.and_then(|pair| pair.value.as_ref()?.parse::<i64>().ok());
            number.ok_or_else(|| damaged(path, format!("its metadata has no number {key:?}")))
        };
        let (first, last) =
            (Position(figure(FIRST_POSITION)? as u64), Position(figure(LAST_POSITION)? as u64));
        let first_available_at = Timestamp::from_micros(figure(FIRST_AVAILABLE_AT)?);
        Ok(Self { path: path.to_owned(), builder, first, last, first_available_at })
    }

    pub(crate) fn last(&self) -> Position {
        self.last
    }

    pub(crate) fn first_available_at(&self) -> Timestamp {
        self.first_available_at
    }

    /// The records from a position on; only the row groups that hold them are read.
    pub(crate) fn records(self, from: Position) -> Result<ParquetRecords, LogError> {
        let mut skipped = from.0.saturating_sub(self.first.0) as usize;
        let mut first_group = 0;
        for group in self.builder.metadata().row_groups() {
            let rows = group.num_rows() as usize;
            if skipped < rows {
                break;
            }
            skipped -= rows;
            first_group += 1;
        }
        let groups = (first_group..self.builder.metadata().num_row_groups()).collect();
        let builder = self.builder.with_row_groups(groups).with_offset(skipped).with_batch_size(1024);
        let batches = builder.build().map_err(|error| damaged(&self.path, error))?;
        Ok(ParquetRecords { path: self.path, batches, ready: Vec::new().into_iter() })
    }

    /// The first position that is available at `time` or later, if it is in this segment.
    pub(crate) fn first_at_or_after(self, time: Timestamp) -> Result<Option<Position>, LogError> {
        let mask = ProjectionMask::columns(self.builder.parquet_schema(), [columns::AVAILABLE_AT]);
        let batches =
            self.builder.with_projection(mask).build().map_err(|error| damaged(&self.path, error))?;
        let mut position = self.first;
        for batch in batches {
            let batch = batch.map_err(|error| damaged(&self.path, error))?;
            let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
            let times =
                times.ok_or_else(|| damaged(&self.path, "available_at is no timestamp in microseconds"))?;
            let before = times.values().partition_point(|micros| *micros < time.micros());
            position = Position(position.0 + before as u64);
            if before < times.len() {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}

/// The records of a Parquet segment, in batches.
pub(crate) struct ParquetRecords {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    ready: std::vec::IntoIter<Record>,
}

impl ParquetRecords {
    fn fill(&mut self, batch: &RecordBatch) -> Result<(), LogError> {
        let records = columns::to_records(batch).map_err(|reason| damaged(&self.path, reason))?;
        self.ready = records.into_iter();
        Ok(())
    }
}

impl Iterator for ParquetRecords {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.next() {
                return Some(Ok(record));
            }
            let filled = match self.batches.next()? {
                Ok(batch) => self.fill(&batch),
                Err(error) => Err(damaged(&self.path, error)),
            };
            if let Err(error) = filled {
                return Some(Err(error));
            }
        }
    }
}

fn damaged(path: &Path, reason: impl ToString) -> LogError {
    LogError::Damaged { path: path.to_owned(), offset: 0, reason: reason.to_string() }
}

/// Parquet's view of a file.
pub(crate) struct Chunks {
    file: Arc<dyn ReadFile>,
    size: u64,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = io::BufReader<ReadFrom>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::BufReader::new(ReadFrom { file: Arc::clone(&self.file), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut buffer = vec![0; length];
        let count = self.file.read_at(&mut buffer, start)?;
        if count < length {
            return Err(ParquetError::EOF(format!("{count} of {length} bytes at {start}")));
        }
        Ok(buffer.into())
    }
}

/// Reads a file from an offset on.
pub(crate) struct ReadFrom {
    file: Arc<dyn ReadFile>,
    offset: u64,
}

impl Read for ReadFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
