//! The thread that turns closed segments into Parquet.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use perennial_types::{Position, Record, Timestamp};

use crate::LogError;
use crate::closed::ClosedFrames;
use crate::columns::{self, FIRST_AVAILABLE_AT, FIRST_POSITION, FORMAT, LAST_POSITION};
use crate::index::Index;
use crate::segment::{frames_path, parquet_path, unfinished_path};
use crate::storage::{AppendFile, Files};

/// Rows of a row group: what a reader that starts in the middle reads too much at most.
const GROUP_ROWS: usize = 8192;
const BATCH_ROWS: usize = 1024;

/// The state of the converting thread.
pub(crate) struct Compactor {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) dir: PathBuf,
    pub(crate) index: Arc<Index>,
}

impl Compactor {
    /// Convert what comes until the writer is gone.
    pub(crate) fn run(self, closed: &Receiver<Position>) {
        while let Ok(first) = closed.recv() {
            match self.convert(first) {
                Ok(()) => self.index.forget(first),
                // The frames stay, and are read as they are; the next start tries again.
                Err(error) => tracing::error!(%error, first = first.0, "cannot convert a segment of the log"),
            }
        }
    }

    /// Write the Parquet file under another name, make it durable, give it its name, make that durable, and
    /// only then remove the frames: at any point one readable copy of every record is there.
    fn convert(&self, first: Position) -> Result<(), LogError> {
        let frames = frames_path(&self.dir, first);
        let unfinished = unfinished_path(&self.dir, first);
        let finished = parquet_path(&self.dir, first);
        let records = ClosedFrames::open(&*self.files, &frames, first)?;
        let file = self.files.append(&unfinished).map_err(LogError::io("create", &unfinished))?;
        // A conversion that failed in this process may have left its beginning.
        file.truncate(0).map_err(LogError::io("cut", &unfinished))?;
        write_parquet(records, Appending(Arc::clone(&file)), &unfinished)?;
        file.sync().map_err(LogError::io("sync", &unfinished))?;
        self.files.rename(&unfinished, &finished).map_err(LogError::io("rename", &unfinished))?;
        self.files.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        self.files.remove(&frames).map_err(LogError::io("remove", &frames))
    }
}

fn write_parquet(
    records: impl Iterator<Item = Result<Record, LogError>>,
    to: impl Write + Send,
    path: &Path,
) -> Result<(), LogError> {
    let failed =
        |error: &dyn std::fmt::Display| LogError::io("write to", path)(io::Error::other(error.to_string()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let mut writer =
        ArrowWriter::try_new(to, columns::schema(), Some(properties)).map_err(|error| failed(&error))?;
    let mut range: Option<(Position, Timestamp, Position)> = None;
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    let mut records = records.peekable();
    while let Some(record) = records.next() {
        let record = record?;
        let (first, available_at, _) =
            range.unwrap_or((record.position, record.entry.available_at, record.position));
        range = Some((first, available_at, record.position));
        batch.push(record);
        if batch.len() == BATCH_ROWS || records.peek().is_none() {
            let columns = columns::from_records(&batch).map_err(|error| failed(&error))?;
            writer.write(&columns).map_err(|error| failed(&error))?;
            batch.clear();
        }
    }
    let (first, available_at, last) =
        range.ok_or_else(|| LogError::content(path, "a closed segment is empty"))?;
    let figures = [
        (FORMAT.0, FORMAT.1.to_owned()),
        (FIRST_POSITION, first.to_string()),
        (LAST_POSITION, last.to_string()),
        (FIRST_AVAILABLE_AT, available_at.micros().to_string()),
    ];
    for (key, value) in figures {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    writer.close().map(drop).map_err(|error| failed(&error))
}

/// An append file as a `Write`.
struct Appending(Arc<dyn AppendFile>);

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
