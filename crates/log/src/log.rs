//! The log that this process writes.

use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock, atomic::AtomicI64, atomic::AtomicU64, atomic::Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use perennial_types::{Entry, Position, Record, TimeSpan, Timestamp};

use crate::commit::{Applier, Syncer};
use crate::compact::Compactor;
use crate::recover::{Recovered, recover};
use crate::storage::{AppendFile, Files};
use crate::ticket::{Ticket, Waiting};
use crate::writer::{Job, Writer};
use crate::{LogError, LogReader, frame};

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Its directory; made when it is not there. Nobody else writes to it.
    pub dir: PathBuf,
    /// The size in bytes from which on the active segment is closed.
    pub segment_bytes: u64,
    /// How long, by `available_at`, an id is remembered.
    pub dedupe_window: TimeSpan,
    /// The longest time that a written record stays without a sync.
    pub sync_within: Duration,
    /// Bytes of payloads that may wait to be written and applied before [`Log::room`] has none.
    pub most_waiting: u64,
}

impl LogOptions {
    /// The defaults: segments of 16 MiB, ids for an hour, syncs within 5 ms, 256 MiB waiting.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 16 << 20,
            dedupe_window: TimeSpan::from_hours(1),
            sync_within: Duration::from_millis(5),
            most_waiting: 256 << 20,
        }
    }
}

/// When a ticket resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the records are synced to the disk and applied.
    Synced,
    /// When the records are handed to the operating system: they survive this process, and within
    /// `sync_within` the machine too. They are applied a little later, in order.
    Written,
}

/// What happens to an entry whose `available_at` lies before that of the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It becomes that of the last record.
    Clamp,
    /// An event is refused, [`Appended::OutOfOrder`]; an entry of another stream becomes that of the last record.
    Refuse,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is a record at this position.
    At(Position),
    /// A record of its id stands at this position, within the dedupe window; it took none.
    Duplicate(Position),
    /// It lies before the last record, available at `last`, and took no position.
    OutOfOrder {
        /// The `available_at` of the last record.
        last: Timestamp,
    },
}

/// Entries that are appended together: after a crash all of those that were placed are in the log, or none.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The entries in order.
    pub entries: Vec<Entry>,
    /// When the ticket resolves.
    pub durability: Durability,
    /// What happens to entries that are out of order.
    pub order: Order,
}

impl Batch {
    /// The bytes of its payloads.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.payload.len() as u64).sum()
    }
}

/// Called on the log's apply thread, in position order, once for every record appended after opening. A
/// record of [`Durability::Written`] may come before it is synced: what is derived from it is only saved
/// after [`Log::flush`].
pub type Apply = Box<dyn FnMut(&[Record]) + Send>;

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last position.
    pub head: Position,
    /// The torn end that was cut off, if there was one.
    pub cut: Option<Cut>,
}

/// A torn end: what a crash left of records that nobody was told are safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// The length in bytes that the file has now.
    pub offset: u64,
    /// The bytes cut off.
    pub bytes: u64,
    /// The last position before the cut.
    pub after: Position,
    /// What was wrong with the first bad frame.
    pub reason: String,
}

/// A log open for appending. Dropping it is a clean stop that blocks until everything is on the disk.
pub struct Log {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    reader: LogReader,
    opened: Opened,
    most_waiting: u64,
}

impl Log {
    /// Open the log of a directory, or begin one. The active segment is cut at its first bad frame; ids of
    /// the dedupe window are remembered; conversions that a crash interrupted are done again.
    ///
    /// # Errors
    /// When a file cannot be read or written, or a closed segment is damaged.
    pub fn open(files: Arc<dyn Files>, options: LogOptions, apply: Apply) -> Result<Self, LogError> {
        let Recovered { active, opened, last_available_at, dedupe, reader, shared, closed } =
            recover(&files, &options)?;
        if let Some(cut) = &opened.cut {
            tracing::warn!(
                path = %cut.path.display(), bytes = cut.bytes, after = cut.after.0, reason = cut.reason,
                "cut a torn end off the log"
            );
        }
        let (job_sender, job_receiver) = mpsc::channel();
        let (sync_sender, sync_receiver) = mpsc::channel();
        let (apply_sender, apply_receiver) = mpsc::channel();
        let (closed_sender, closed_receiver) = mpsc::channel();
        for segment in closed {
            // The receiver is alive: it is moved into its thread below.
            let _ = closed_sender.send(segment);
        }
        let next = opened.head.next();
        let index = Arc::clone(&reader.index);
        let compactor =
            Compactor { files: Arc::clone(&files), dir: options.dir.clone(), index: Arc::clone(&index) };
        let syncer = Syncer {
            shared: Arc::clone(&shared),
            within: options.sync_within,
            to_apply: apply_sender,
            unsynced: None,
        };
        let applier = Applier { shared: Arc::clone(&shared), apply };
        let writer = Writer {
            files,
            options: options.clone(),
            active,
            next,
            last_available_at,
            dedupe,
            index,
            shared: Arc::clone(&shared),
            to_sync: sync_sender,
            to_compact: closed_sender,
        };
        let threads = vec![
            spawn("log-write", &options, move || writer.run(&job_receiver))?,
            spawn("log-sync", &options, move || syncer.run(&sync_receiver))?,
            spawn("log-apply", &options, move || applier.run(&apply_receiver))?,
            spawn("log-compact", &options, move || compactor.run(&closed_receiver))?,
        ];
        let most_waiting = options.most_waiting;
        Ok(Self { jobs: Some(job_sender), threads, shared, reader, opened, most_waiting })
    }

    /// Append entries: the order of calls is the order in the log. Never blocks on the disk.
    ///
    /// The ticket fails as `Unavailable` when the log has stopped, and as `Invalid`, with nothing
    /// appended, when an entry cannot be stored.
    pub fn append(&self, batch: Batch) -> Ticket {
        let (reply, ticket) = Ticket::pair();
        let refused = batch.entries.iter().enumerate().find_map(|(index, entry)| {
            frame::refusal(entry).map(|reason| LogError::Entry {
                index,
                stream: entry.stream.name(),
                source_name: Arc::clone(&entry.source),
                reason,
            })
        });
        match refused {
            Some(error) => Waiting::Append(reply, Vec::new()).fail(&error),
            None => {
                self.shared.queued.fetch_add(1, Ordering::AcqRel);
                self.shared.waiting_bytes.fetch_add(batch.bytes(), Ordering::AcqRel);
                self.send(Job::Append(batch, reply));
            }
        }
        ticket
    }

    /// Whether an append of so many bytes may wait its turn, as long as [`LogOptions::most_waiting`] says. To be
    /// asked before what can come later is taken in; what must be written is appended all the same.
    ///
    /// # Errors
    /// When so much is waiting already that it would be too much.
    pub fn room(&self, bytes: u64) -> Result<(), LogError> {
        let waiting = self.shared.waiting_bytes.load(Ordering::Acquire);
        // What is larger than all that may wait finds room when nothing does.
        match waiting == 0 || waiting + bytes <= self.most_waiting {
            true => Ok(()),
            false => Err(LogError::Full { waiting, most: self.most_waiting }),
        }
    }

    /// Resolves when everything appended before this call is synced and applied.
    pub fn flush(&self) -> Ticket<Position> {
        let (reply, ticket) = Ticket::pair();
        self.send(Job::Flush(reply));
        ticket
    }

    /// Resolves when everything appended before this call is applied; it may not be synced yet.
    pub fn settle(&self) -> Ticket<Position> {
        let (reply, ticket) = Ticket::pair();
        let settled = self.shared.settled.load(Ordering::Acquire);
        if settled == self.shared.queued.load(Ordering::Acquire) {
            Waiting::Settle(reply).succeed(self.applied());
        } else {
            self.send(Job::Settle(reply));
        }
        ticket
    }

    /// The last position given out.
    pub fn head(&self) -> Position {
        self.shared.head()
    }

    /// The last position that was applied; at opening, the head.
    pub fn applied(&self) -> Position {
        Position(self.shared.applied.load(Ordering::Acquire))
    }

    /// The `available_at` of the last record; [`Timestamp::MIN`] in an empty log.
    pub fn last_available_at(&self) -> Timestamp {
        Timestamp::from_micros(self.shared.last_available_at.load(Ordering::Acquire))
    }

    /// What was found at opening.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// A reader of this log, up to its head.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// A clean stop: write, sync and apply what was appended, finish conversions, end the threads.
    pub fn close(self) {
        drop(self);
    }

    fn send(&self, job: Job) {
        let unsent = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        };
        if let Some(job) = unsent {
            job.fail(&LogError::stopped("its writer ended"));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Each thread ends when the one before it has, after draining its queue.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

fn spawn(
    name: &'static str,
    options: &LogOptions,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LogError> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(body).map_err(LogError::io("start a thread for the log in", &options.dir))
}

/// What the threads of a log and its readers see of each other.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) head: AtomicU64,
    pub(crate) applied: AtomicU64,
    pub(crate) last_available_at: AtomicI64,
    /// Bytes of payloads that were queued and are not applied yet.
    pub(crate) waiting_bytes: AtomicU64,
    /// Appends that were queued, and those of them that were applied; equal when nothing is under way.
    queued: AtomicU64,
    pub(crate) settled: AtomicU64,
    /// The first failure; set once, and then nothing is acknowledged any more.
    failure: OnceLock<LogError>,
    /// The system reports a failed sync to one caller only, so callers take turns and look at `failure`.
    syncing: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(head: Position, last_available_at: Timestamp) -> Self {
        Self {
            head: AtomicU64::new(head.0),
            applied: AtomicU64::new(head.0),
            last_available_at: AtomicI64::new(last_available_at.micros()),
            waiting_bytes: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            failure: OnceLock::new(),
            syncing: Mutex::new(()),
        }
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.head.load(Ordering::Acquire))
    }

    pub(crate) fn failure(&self) -> Option<&LogError> {
        self.failure.get()
    }

    /// Stop the log; the first failure counts, and is returned.
    pub(crate) fn fail(&self, cause: &LogError) -> LogError {
        let failure = self.failure.get_or_init(|| {
            tracing::error!(%cause, "the log stopped");
            LogError::stopped(cause)
        });
        failure.clone()
    }

    /// Sync a segment, unless the log has stopped. An error stops it: a failed sync is never tried again.
    pub(crate) fn sync(&self, segment: &ActiveFile) -> Result<(), LogError> {
        let _turn = self.syncing.lock();
        if let Some(failure) = self.failure() {
            return Err(failure.clone());
        }
        segment.file.sync().map_err(|error| self.fail(&LogError::io("sync", &segment.path)(error)))
    }
}

/// The file of the active segment.
pub(crate) struct ActiveFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn AppendFile>,
}
