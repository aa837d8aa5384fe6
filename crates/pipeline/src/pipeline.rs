//! The pipeline of one project: sources to log, log to folds.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use perennial_control::ControlRecord;
use perennial_log::decode::{DeadLetter, Origin, decode_events};
use perennial_log::{Appended, Batch, Durability, Log, LogOptions, LogReader, Order, SystemFiles, Ticket};
use perennial_store::Blobs;
use perennial_types::{AvailableAt, Entry, Position, Record, SourceSpec, Stream, Timestamp, did_you_mean};
use tokio::sync::watch;

use crate::audits::{Audits, Receipts, ReceiptsFold, WeakAudits, by_stretch};
use crate::engine::{EngineFold, Memory};
use crate::pace::Pace;
use crate::progress::{Progress, ProgressFold};
use crate::snapshot::Snapshot;
use crate::source_times::{SourceTimes, SourceTimesFold};
use crate::{Declared, Engine, Fold, PipelineError};

/// How a pipeline is kept.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// The directory of log, snapshots and blobs.
    pub data_dir: PathBuf,
    /// Shards of every feature view.
    pub shards: usize,
    /// Records between two snapshots, at least.
    pub snapshot_every: u64,
    /// How many times what the last snapshot took passes before the next: records wait while one is written, so
    /// that this bounds what snapshots cost, however large the state is and however fast records come.
    pub snapshot_rest: u32,
    /// A new view over a log of at most this many records is filled before the next record is applied; over a longer
    /// one beside everything else, unless the project runs on the event clock.
    pub backfill_at_once: u64,
    /// Bytes that feature state may take in memory; of what is more, keys that were not used for a while are on disk
    /// alone.
    pub memory_bytes: u64,
    /// A view whose state takes more bytes is kept in files of its own, of which a snapshot writes what changed; a
    /// smaller one is written as a whole.
    pub whole_up_to: u64,
}

impl PipelineOptions {
    /// The defaults: two shards, a snapshot every 50,000 records that take a twentieth of the time at most, 4,096
    /// records that are read at once for a new view, no bound on memory, files for views above 8 MiB.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            shards: 2,
            snapshot_every: 50_000,
            snapshot_rest: 20,
            backfill_at_once: 4_096,
            memory_bytes: u64::MAX,
            whole_up_to: 8 << 20,
        }
    }

    /// Where the log is.
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    fn state_dir(&self) -> PathBuf {
        self.data_dir.join("state")
    }

    fn snapshot_dir(&self) -> PathBuf {
        self.data_dir.join("snapshots")
    }
}

/// A project's log with everything that is derived from it. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
}

struct Inner {
    log: Mutex<Option<Arc<Log>>>,
    reader: LogReader,
    engine: Engine,
    blobs: Blobs,
    progress: Progress,
    times: SourceTimes,
    receipts: Receipts,
    /// The audits that follow it, as long as they do.
    audits: Mutex<WeakAudits>,
    /// Held while dead letters are sent again, so that none becomes two events.
    redriving: tokio::sync::Mutex<()>,
    shared: Arc<Shared>,
}

/// What the apply thread and everybody else see of each other.
struct Shared {
    declared: RwLock<Arc<Declared>>,
    applied: watch::Sender<Position>,
    /// The last control record that was applied.
    control: watch::Sender<Position>,
    failure: OnceLock<String>,
    folds: Mutex<Folds>,
}

struct Folds {
    folds: Vec<Box<dyn Fold>>,
    options: PipelineOptions,
    pace: Pace,
}

/// What became of rows that were sent to a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ingested {
    /// Rows that are events now.
    pub accepted: u64,
    /// Rows that were events already.
    pub duplicates: u64,
    /// Rows that were refused; they are dead letters in the log.
    pub refused: Vec<RefusedRow>,
    /// The last position that was given to one of the rows.
    pub position: Option<Position>,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RefusedRow {
    /// Its line in the body, from 1; of an array its element.
    pub line: usize,
    /// Why, and what would help.
    pub reason: String,
}

/// Rows that are queued in the log and not yet acknowledged.
pub struct Ingesting {
    pipeline: Pipeline,
    source: Arc<str>,
    at: Timestamp,
    /// Of each row its line; and the row, if it may be refused by its order.
    lines: Vec<(usize, Vec<u8>)>,
    /// The event time of each of these.
    times: Vec<Timestamp>,
    events: Ticket<Vec<Appended>>,
    letters: Option<Ticket<Vec<Appended>>>,
    ingested: Ingested,
}

impl Pipeline {
    /// Open the pipeline of a data directory: recover the log, restore the newest snapshot, replay what came
    /// after it. Blocks.
    ///
    /// # Errors
    /// When the log or a file beside it cannot be read, or a record cannot be understood.
    pub fn open(
        options: PipelineOptions,
        log_options: LogOptions,
        blobs: Blobs,
        mut folds: Vec<Box<dyn Fold>>,
    ) -> Result<Self, PipelineError> {
        let memory = Memory::new(options.memory_bytes, options.whole_up_to, &options.state_dir());
        let engine = Engine::within(options.shards, memory);
        let pace = Pace::new(options.snapshot_every, options.snapshot_rest);
        let shared = Arc::new(Shared {
            declared: RwLock::default(),
            applied: watch::Sender::new(Position::START),
            control: watch::Sender::new(Position::START),
            failure: OnceLock::new(),
            folds: Mutex::new(Folds { folds: Vec::new(), pace, options }),
        });
        let on_apply = Arc::clone(&shared);
        let apply = Box::new(move |records: &[Record]| on_apply.apply(records));
        let log = Log::open(Arc::new(SystemFiles), log_options, apply)?;
        let reader = log.reader();
        let (progress, times) = (Progress::default(), SourceTimes::default());
        let at_once = Position(shared.folds.lock().options.backfill_at_once);
        folds.insert(0, Box::new(EngineFold::new(engine.clone(), reader.clone(), at_once)));
        folds.insert(1, Box::new(ProgressFold(progress.clone())));
        let receipts = Receipts::default();
        folds.insert(2, Box::new(ReceiptsFold(receipts.clone())));
        folds.insert(3, Box::new(SourceTimesFold::new(times.clone())));
        shared.folds.lock().folds = folds;
        shared.recover(&reader)?;
        // Who served before the restart serves after it.
        engine.wait_for(&shared.declared.read().views_in_service());
        let log = Mutex::new(Some(Arc::new(log)));
        let redriving = tokio::sync::Mutex::default();
        let audits = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                log,
                reader,
                engine,
                blobs,
                progress,
                times,
                receipts,
                audits,
                redriving,
                shared,
            }),
        })
    }

    /// What is declared and what serves.
    pub fn declared(&self) -> Arc<Declared> {
        Arc::clone(&self.inner.shared.declared.read())
    }

    /// The live feature state.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Content-addressed artifacts.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// How far sources outside were read, and which dead letters are outstanding.
    pub fn progress(&self) -> &Progress {
        &self.inner.progress
    }

    /// What became of the rows that came to each source.
    pub fn receipts(&self) -> &Receipts {
        &self.inner.receipts
    }

    /// The audits that follow it; nothing where none do.
    pub fn audits(&self) -> Option<Audits> {
        self.inner.audits.lock().upgrade()
    }

    pub(crate) fn followed_by(&self, audits: WeakAudits) {
        *self.inner.audits.lock() = audits;
    }

    /// Resolves when everything that was appended so far is on the disk.
    pub(crate) fn flush(&self) -> Result<Ticket<Position>, PipelineError> {
        Ok(self.log()?.flush())
    }

    /// Where audits keep what they found.
    pub(crate) fn audits_file(&self) -> PathBuf {
        self.inner.shared.folds.lock().options.data_dir.join("audits")
    }

    /// How far the event time of every source has come.
    pub fn source_times(&self) -> &SourceTimes {
        &self.inner.times
    }

    /// To be held while dead letters are sent again.
    pub(crate) fn redriving(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.redriving
    }

    /// A reader of the log.
    pub fn reader(&self) -> &LogReader {
        &self.inner.reader
    }

    /// The last position given out.
    pub fn head(&self) -> Position {
        self.inner.reader.head()
    }

    /// The last control record that was applied, and a way to wait for the next.
    pub fn control(&self) -> watch::Receiver<Position> {
        self.inner.shared.control.subscribe()
    }

    /// The last position that was applied, and a way to wait for the next.
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.inner.shared.applied.subscribe()
    }

    /// The instant of the last record.
    pub fn last_available_at(&self) -> Option<Timestamp> {
        let last = self.inner.log.lock().as_ref()?.last_available_at();
        (last > Timestamp::MIN).then_some(last)
    }

    /// Queue entries in the log; the order of calls is the order in the log.
    ///
    /// # Errors
    /// When the pipeline has failed or is closed.
    pub fn append(
        &self,
        entries: Vec<Entry>,
        durability: Durability,
        order: Order,
    ) -> Result<Ticket<Vec<Appended>>, PipelineError> {
        self.check()?;
        let log = self.log()?;
        Ok(log.append(Batch { entries, durability, order }))
    }

    /// Whether so many bytes more may wait to be written, and be asked before they are taken in.
    ///
    /// # Errors
    /// When too much waits already, or the pipeline has failed or is closed.
    pub fn room(&self, bytes: u64) -> Result<(), PipelineError> {
        self.check()?;
        Ok(self.log()?.room(bytes)?)
    }

    /// Append control records at an instant, durably, and wait until they are applied.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn append_control(
        &self,
        records: &[ControlRecord],
        at: Timestamp,
        durability: Durability,
    ) -> Result<(), PipelineError> {
        let entries = records.iter().map(|record| control_entry(record, at)).collect::<Result<_, _>>()?;
        let appended = self.append(entries, durability, Order::Clamp)?.await?;
        let last = appended.iter().rev().find_map(|one| match one {
            Appended::At(position) | Appended::Duplicate(position) => Some(*position),
            Appended::OutOfOrder { .. } => None,
        });
        match last {
            Some(position) => self.applied_through(position).await,
            None => Ok(()),
        }
    }

    /// Wait until everything that was queued before this call is applied.
    ///
    /// # Errors
    /// When the log has stopped or a fold has failed.
    pub async fn settled(&self) -> Result<(), PipelineError> {
        let log = self.log()?;
        log.settle().await?;
        self.check()
    }

    /// Wait until a position is applied.
    ///
    /// # Errors
    /// When a fold has failed.
    pub async fn applied_through(&self, position: Position) -> Result<(), PipelineError> {
        let mut applied = self.applied();
        // The sender lives as long as this pipeline.
        let _ = applied
            .wait_for(|applied| *applied >= position || self.inner.shared.failure.get().is_some())
            .await;
        self.check()
    }

    /// Queue rows of a source: a JSON object, an array, or NDJSON. What cannot be understood becomes a dead
    /// letter with its reason; the rest is taken.
    ///
    /// # Errors
    /// When there is no such source, or nothing can be queued.
    pub fn ingest(&self, source: &str, body: &[u8], at: Timestamp) -> Result<Ingesting, PipelineError> {
        let declared = self.declared();
        let spec = source_of(&declared, source)?;
        if let Some(derived) = spec.derived() {
            let of: Vec<&str> = derived.operator.sources().into_iter().map(|name| &**name).collect();
            let help = format!("its rows follow from {}; send to those", of.join(" and "));
            return Err(PipelineError::Invalid(format!("source {source:?} takes no rows: {help}")));
        }
        let order = match spec.available_at {
            AvailableAt::Arrival => Order::Clamp,
            AvailableAt::Column(_) => Order::Refuse,
        };
        let refusable = order == Order::Refuse;
        let mut ingested = Ingested::default();
        let (mut events, mut letters, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut times = Vec::new();
        for (line, decoded) in (1..).zip(decode_events(spec, body, at)) {
            match decoded {
                Ok(entry) if declared.in_history(source, entry.event_time) => ingested.duplicates += 1,
                Ok(entry) => {
                    let row = if refusable { entry.payload.clone() } else { Vec::new() };
                    lines.push((line, row));
                    times.push(entry.event_time);
                    events.push(entry);
                }
                Err(letter) => {
                    let line = match letter.from {
                        Origin::Request { line } => line,
                        Origin::Message { .. } => line,
                    };
                    ingested.refused.push(RefusedRow { line, reason: letter.reason.clone() });
                    letters.push(letter.entry(source, at));
                }
            }
        }
        let events = self.append(events, Durability::Synced, order)?;
        let letters = match letters.is_empty() {
            true => None,
            false => Some(self.append(letters, Durability::Synced, Order::Clamp)?),
        };
        let source = Arc::clone(&spec.name);
        Ok(Ingesting { pipeline: self.clone(), source, at, lines, times, events, letters, ingested })
    }

    /// Write a snapshot of everything derived from the log so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn snapshot(&self) -> Result<(), PipelineError> {
        self.log()?.flush().await?;
        let pipeline = self.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let shared = &pipeline.inner.shared;
            shared.folds.lock().save(&shared.declared.read().clone(), *shared.applied.borrow())
        });
        saved.await.map_err(PipelineError::snapshot)?
    }

    /// A clean stop: everything is written, synced, applied and kept in a snapshot.
    ///
    /// # Errors
    /// When the snapshot cannot be written; the log is whole all the same.
    pub async fn close(&self) -> Result<(), PipelineError> {
        let saved = match self.check() {
            Ok(()) => self.snapshot().await,
            Err(error) => Err(error),
        };
        let log = self.inner.log.lock().take();
        // Closing joins the log's threads.
        let closed = tokio::task::spawn_blocking(move || drop(log)).await;
        saved.and(closed.map_err(PipelineError::snapshot))
    }

    fn log(&self) -> Result<Arc<Log>, PipelineError> {
        let log = self.inner.log.lock();
        log.clone().ok_or_else(|| PipelineError::Stopped("the service is stopping".to_owned()))
    }

    fn check(&self) -> Result<(), PipelineError> {
        self.inner.shared.check()
    }
}

impl Ingesting {
    /// Wait until the rows are safe and visible.
    ///
    /// # Errors
    /// When they could not be written.
    pub async fn acknowledged(mut self) -> Result<Ingested, PipelineError> {
        let (mut letters, mut duplicates) = (Vec::new(), Vec::new());
        for (((line, payload), time), appended) in self.lines.iter().zip(self.times).zip(self.events.await?) {
            match appended {
                Appended::At(position) => {
                    self.ingested.accepted += 1;
                    self.ingested.position = Some(position);
                }
                Appended::Duplicate(_) => {
                    self.ingested.duplicates += 1;
                    duplicates.push(time);
                }
                Appended::OutOfOrder { last } => {
                    let reason =
                        format!("its time of availability lies before {last}, that of the last record");
                    self.ingested.refused.push(RefusedRow { line: *line, reason: reason.clone() });
                    let letter = DeadLetter::new(reason, payload, Origin::Request { line: *line });
                    letters.push(letter.entry(&self.source, self.at));
                }
            }
        }
        if let Some(letters) = self.letters {
            letters.await?;
        }
        if !letters.is_empty() {
            self.pipeline.append(letters, Durability::Synced, Order::Clamp)?.await?;
        }
        if !duplicates.is_empty() {
            let duplicates = by_stretch(duplicates.into_iter());
            self.pipeline.note_duplicates(&self.source, duplicates, self.at)?.await?;
        }
        self.pipeline.check()?;
        Ok(self.ingested)
    }
}

impl Shared {
    fn check(&self) -> Result<(), PipelineError> {
        match self.failure.get() {
            Some(failure) => Err(PipelineError::Stopped(failure.clone())),
            None => Ok(()),
        }
    }

    /// Restore the newest snapshot and replay what came after it.
    fn recover(&self, reader: &LogReader) -> Result<(), PipelineError> {
        let head = reader.head();
        let mut folds = self.folds.lock();
        let dir = folds.options.snapshot_dir();
        let mut from = Position::START;
        if let Some(snapshot) = Snapshot::newest(&dir, head)? {
            match folds.load(&snapshot) {
                Ok(declared) => {
                    *self.declared.write() = Arc::new(declared);
                    from = snapshot.position;
                }
                Err(error) => {
                    tracing::warn!(%error, "the snapshot cannot be used; replaying the whole log");
                    folds.folds.iter_mut().for_each(|fold| fold.reset());
                }
            }
        }
        folds.pace.restored(from);
        drop(folds);
        if from < head {
            tracing::info!(from = from.0, to = head.0, "replaying the log");
            let mut batch = Vec::new();
            for record in reader.read(from.next(), head)? {
                batch.push(record?);
                if batch.len() == 4_096 {
                    self.apply_batch(&batch)?;
                    batch.clear();
                }
            }
            self.apply_batch(&batch)?;
        }
        self.applied.send_replace(head);
        self.control.send_replace(head);
        Ok(())
    }

    /// On the log's apply thread.
    fn apply(&self, records: &[Record]) {
        if self.failure.get().is_some() {
            return;
        }
        if let Err(error) = self.apply_batch(records) {
            tracing::error!(%error, "the log cannot be followed any further");
            let _ = self.failure.set(format!("the log cannot be followed any further: {error}"));
            // Those who wait look at the failure.
            self.applied.send_modify(|_| {});
        }
    }

    fn apply_batch(&self, records: &[Record]) -> Result<(), PipelineError> {
        let mut folds = self.folds.lock();
        let control = |record: &Record| record.entry.stream == Stream::Control;
        // What is declared may change with a control record: it is a run of its own.
        for run in records.chunk_by(|one, next| !control(one) && !control(next)) {
            let Some(last) = run.last() else { continue };
            if control(last) {
                let mut declared = Declared::clone(&self.declared.read());
                let before = declared.revision();
                declared.apply(last)?;
                if declared.revision() != before {
                    *self.declared.write() = Arc::new(declared);
                }
            }
            let declared = Arc::clone(&self.declared.read());
            for fold in &mut folds.folds {
                fold.apply_run(run, &declared)?;
            }
            self.applied.send_replace(last.position);
            if control(last) {
                self.control.send_replace(last.position);
            }
            if folds.pace.due(last.position) {
                folds.save_or_go_on(&declared, last.position);
            }
        }
        Ok(())
    }
}

impl Folds {
    fn save(&mut self, declared: &Declared, position: Position) -> Result<(), PipelineError> {
        let begun = Instant::now();
        let mut sections = vec![("declared".to_owned(), declared.save()?)];
        for fold in &self.folds {
            sections.push((fold.name().to_owned(), fold.save()?));
        }
        Snapshot { position, sections }.save(&self.options.snapshot_dir())?;
        self.pace.done(position, begun);
        Ok(())
    }

    /// A snapshot that cannot be written is no reason to stop: the log has everything. It is tried again after
    /// as many records.
    fn save_or_go_on(&mut self, declared: &Declared, position: Position) {
        let begun = Instant::now();
        if let Err(error) = self.save(declared, position) {
            tracing::error!(%error, "a snapshot could not be written; the next start replays more of the log");
            self.pace.done(position, begun);
        }
    }

    fn load(&mut self, snapshot: &Snapshot) -> Result<Declared, PipelineError> {
        let section = |name: &str| {
            let missing = || PipelineError::Snapshot(format!("no section {name:?}"));
            snapshot.section(name).ok_or_else(missing)
        };
        let declared = Declared::load(section("declared")?, snapshot.position)?;
        for fold in &mut self.folds {
            fold.load(section(fold.name())?, &declared)?;
        }
        Ok(declared)
    }
}

fn control_entry(record: &ControlRecord, at: Timestamp) -> Result<Entry, PipelineError> {
    let payload = serde_json::to_vec(record).map_err(|error| PipelineError::Invalid(error.to_string()))?;
    let empty: Arc<str> = "".into();
    Ok(Entry {
        stream: Stream::Control,
        source: Arc::clone(&empty),
        key: Arc::clone(&empty),
        event_time: at,
        available_at: at,
        id: empty,
        payload,
    })
}

/// The declared source of this name.
pub(crate) fn source_of<'a>(declared: &'a Declared, source: &str) -> Result<&'a SourceSpec, PipelineError> {
    let goal = declared.goal().ok_or_else(|| no_project(source))?;
    let sources = &goal.project.sources;
    sources.iter().find(|spec| &*spec.name == source).ok_or_else(|| {
        let help = did_you_mean(source, sources.iter().map(|spec| &*spec.name));
        PipelineError::NotFound(format!("no source {source:?}{help}"))
    })
}

fn no_project(source: &str) -> PipelineError {
    let help = "no project is applied yet; apply one with `perennial apply DIR`";
    PipelineError::NotFound(format!("no source {source:?}: {help}"))
}
