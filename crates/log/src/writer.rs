//! The thread that gives positions and writes frames.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};

use perennial_types::{Entry, Position, Record, Stream, Timestamp};

use crate::commit::Group;
use crate::dedupe::Dedupe;
use crate::index::Index;
use crate::log::{ActiveFile, Shared};
use crate::segment::frames_path;
use crate::storage::Files;
use crate::ticket::{Reply, Waiting};
use crate::{Appended, Batch, Durability, LogError, LogOptions, Order, frame};

/// Bytes after which a write is not made longer by what else is queued.
const WRITE_BYTES: usize = 4 << 20;

/// What the writer is asked to do.
pub(crate) enum Job {
    Append(Batch, Reply<Vec<Appended>>),
    Flush(Reply<Position>),
    Settle(Reply<Position>),
}

impl Job {
    pub(crate) fn fail(self, error: &LogError) {
        match self {
            Self::Append(_, reply) => Waiting::Append(reply, Vec::new()).fail(error),
            Self::Flush(reply) => Waiting::Flush(reply).fail(error),
            Self::Settle(reply) => Waiting::Settle(reply).fail(error),
        }
    }
}

/// The active segment.
pub(crate) struct Active {
    pub(crate) first: Position,
    pub(crate) len: u64,
    /// The length from which on the index wants to know the next frame.
    pub(crate) point_due: u64,
    pub(crate) file: Arc<ActiveFile>,
}

impl Active {
    /// Begin a segment: its file exists and is durable when this returns.
    pub(crate) fn begin(files: &dyn Files, dir: &Path, first: Position) -> Result<Self, LogError> {
        let path = frames_path(dir, first);
        let file = files.append(&path).map_err(LogError::io("create", &path))?;
        // What a crash left of an earlier beginning is not worth reading.
        file.truncate(0).map_err(LogError::io("cut", &path))?;
        file.write(frame::MAGIC).map_err(LogError::io("write to", &path))?;
        file.sync().map_err(LogError::io("sync", &path))?;
        files.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        let file = Arc::new(ActiveFile { path, file });
        Ok(Self { first, len: frame::MAGIC.len() as u64, point_due: 0, file })
    }
}

/// The state of the writing thread.
pub(crate) struct Writer {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) options: LogOptions,
    pub(crate) active: Active,
    pub(crate) next: Position,
    pub(crate) last_available_at: Timestamp,
    pub(crate) dedupe: Dedupe,
    pub(crate) index: Arc<Index>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) to_sync: Sender<Group>,
    pub(crate) to_compact: mpsc::Sender<Position>,
}

/// Frames that become one write, and who waits for them.
#[derive(Default)]
struct Staged {
    /// How many appends these are.
    appends: u64,
    /// The bytes of their payloads.
    bytes: u64,
    frames: Vec<u8>,
    records: Vec<Record>,
    /// Those who wait for the write alone.
    for_write: Vec<Waiting>,
    /// Those who wait until it is synced and applied.
    for_sync: Vec<Waiting>,
}

impl Writer {
    /// Write what comes until every sender is gone.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            if let Some(failure) = self.shared.failure() {
                job.fail(failure);
                continue;
            }
            let mut staged = Staged::default();
            self.stage(job, &mut staged);
            while staged.frames.len() < WRITE_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                self.stage(job, &mut staged);
            }
            self.write(staged);
        }
    }

    fn stage(&mut self, job: Job, staged: &mut Staged) {
        match job {
            Job::Flush(reply) => staged.for_sync.push(Waiting::Flush(reply)),
            Job::Settle(reply) => staged.for_sync.push(Waiting::Settle(reply)),
            Job::Append(batch, reply) => {
                staged.appends += 1;
                staged.bytes += batch.bytes();
                let order = batch.order;
                let first = staged.records.len();
                let entries = batch.entries.into_iter();
                let appended = entries.map(|entry| self.place(entry, order, staged)).collect();
                let placed = &staged.records[first..];
                for (i, record) in placed.iter().enumerate() {
                    let goes_on = i + 1 < placed.len();
                    frame::encode(record.position, &record.entry, goes_on, &mut staged.frames);
                }
                match batch.durability {
                    Durability::Synced => staged.for_sync.push(Waiting::Append(reply, appended)),
                    Durability::Written => staged.for_write.push(Waiting::Append(reply, appended)),
                }
            }
        }
    }

    /// Give an entry its position, or say why it gets none.
    fn place(&mut self, mut entry: Entry, order: Order, staged: &mut Staged) -> Appended {
        let last = self.last_available_at;
        let hash = self.dedupe.hash(&entry);
        let now = entry.available_at.max(last);
        if let Some(position) = hash.and_then(|hash| self.dedupe.find(hash, &entry, now)) {
            return Appended::Duplicate(position);
        }
        if entry.available_at < last {
            match order {
                Order::Refuse if entry.stream == Stream::Event => return Appended::OutOfOrder { last },
                Order::Refuse | Order::Clamp => entry.available_at = last,
            }
        }
        let position = self.next;
        self.next = position.next();
        self.last_available_at = entry.available_at;
        self.dedupe.insert(hash, position, &entry);
        staged.records.push(Record { position, entry });
        Appended::At(position)
    }

    /// Write the frames, tell those who wait for that, and hand the rest to the syncing thread.
    fn write(&mut self, staged: Staged) {
        let Staged { appends, bytes, frames, records, for_write, for_sync } = staged;
        if let Err(error) = self.write_frames(&frames, &records) {
            let failure = self.shared.fail(&error);
            for_write.into_iter().chain(for_sync).for_each(|waiting| waiting.fail(&failure));
            return;
        }
        let head = Position(self.next.0 - 1);
        self.shared.last_available_at.store(self.last_available_at.micros(), Ordering::Release);
        self.shared.head.store(head.0, Ordering::Release);
        for_write.into_iter().for_each(|waiting| waiting.succeed(head));
        let group = Group { appends, bytes, records, waiting: for_sync, file: Arc::clone(&self.active.file) };
        if let Err(unsent) = self.to_sync.send(group) {
            let failure = self.shared.fail(&LogError::stopped("its syncing thread ended"));
            unsent.0.fail(&failure);
        }
    }

    fn write_frames(&mut self, frames: &[u8], records: &[Record]) -> Result<(), LogError> {
        let Some(first) = records.first() else { return Ok(()) };
        if self.active.len >= self.options.segment_bytes && first.position > self.active.first {
            self.rotate(first.position)?;
        }
        let active = &mut self.active;
        active.file.file.write(frames).map_err(LogError::io("write to", &active.file.path))?;
        for record in records {
            if active.len >= active.point_due {
                active.point_due = self.index.note(active.first, record, active.len);
            }
            active.len += frame::frame_len(&record.entry) as u64;
        }
        Ok(())
    }

    /// Close the active segment and begin the next one. The closed one is whole on the disk before the next
    /// one exists, so that only the last segment of a log can be torn.
    fn rotate(&mut self, first: Position) -> Result<(), LogError> {
        self.shared.sync(&self.active.file)?;
        let next = Active::begin(&*self.files, &self.options.dir, first)?;
        let closed = std::mem::replace(&mut self.active, next);
        // Without its thread the segment stays as frames, which are as good to read.
        let _ = self.to_compact.send(closed.first);
        Ok(())
    }
}
