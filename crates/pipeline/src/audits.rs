//! Audits in the background: they follow the log at their own pace and count what they find.
//!
//! [`Audits`] reads every record once more. It replays the features of sampled entities and compares them with what
//! was served, counts the events of each source again, and looks at the values of columns and features. What it has
//! found is a function of the log; it is saved now and then, so that a restart goes on from there. While the log
//! grows it takes at most about a tenth of a core, and catches up when there is time, or when somebody waits for it.

mod buckets;
mod columns;
mod figures;
mod loss;
mod receipts;
mod said;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use perennial_types::{Position, Record};

pub use buckets::{Buckets, Merge, STRETCH};
pub use columns::{ColumnCounts, ColumnFigures};
pub use figures::{Figures, SourceFigures};
pub use loss::{ArrivedLoss, ArrivedRows, HappenedLoss, SourceLoss};
pub use receipts::{Arrived, Freshness, Happened, Receipts, SourceReceipts};
pub(crate) use receipts::{ReceiptsFold, by_stretch};

use crate::skew::{AuditOptions, Auditor};
use crate::{Pipeline, PipelineError};

/// Records that are read in one go.
const BATCH: usize = 1_024;
/// Records between two saved states.
const SAVE_EVERY: u64 = 200_000;
/// Nothing comes for so long before predictions on their way are no longer waited for.
const QUIET: Duration = Duration::from_secs(1);
/// Of work that takes so long, nine times as much is rest.
const REST: u32 = 9;
/// The longest rest at once.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Audits of a pipeline's log. Cheap to clone.
#[derive(Clone)]
pub struct Audits {
    inner: Arc<Inner>,
}

/// Audits that end when nobody holds them any more.
#[derive(Clone, Default)]
pub(crate) struct WeakAudits(Weak<Inner>);

impl WeakAudits {
    pub(crate) fn upgrade(&self) -> Option<Audits> {
        self.0.upgrade().map(|inner| Audits { inner })
    }
}

struct Inner {
    pipeline: Pipeline,
    auditor: Mutex<Auditor>,
    progress: Mutex<Going>,
    /// Told of every change of `progress`.
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How far the audits are, and how far somebody wants them to be.
#[derive(Default)]
struct Going {
    through: Position,
    wanted: Position,
    stop: bool,
    failure: Option<String>,
}

impl Audits {
    /// Begin to follow the log of a pipeline, from where the last audits of it were.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(pipeline: Pipeline) -> Result<Self, PipelineError> {
        let audits = Self::open(pipeline);
        audits.inner.pipeline.followed_by(WeakAudits(Arc::downgrade(&audits.inner)));
        let following = audits.clone();
        let path = audits.path();
        let thread = thread::Builder::new().name("audits".to_owned()).spawn(move || following.run());
        *audits.inner.thread.lock() = Some(thread.map_err(|error| PipelineError::io(&path, error))?);
        Ok(audits)
    }

    fn open(pipeline: Pipeline) -> Self {
        // Which part of the entities is compared is declared.
        let options = AuditOptions { batch: BATCH, shards: 1, share: 1.0 };
        let path = pipeline.audits_file();
        let saved = fs::read(&path).ok().map(|bytes| Auditor::load(options, &bytes));
        let auditor = match saved {
            Some(Ok(auditor)) if auditor.figures().through <= pipeline.head() => auditor,
            Some(Ok(_)) | None => Auditor::endless(options),
            Some(Err(error)) => {
                tracing::warn!(%error, path = %path.display(), "the audits begin anew");
                Auditor::endless(options)
            }
        };
        let going = Going { through: auditor.figures().through, ..Going::default() };
        let inner = Inner {
            pipeline,
            auditor: Mutex::new(auditor),
            progress: Mutex::new(going),
            changed: Condvar::new(),
            thread: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Look at what was found so far.
    pub fn look<T>(&self, read: impl FnOnce(&Figures) -> T) -> T {
        read(self.inner.auditor.lock().figures())
    }

    /// Why the log is not followed any further; nothing as long as it is.
    pub fn failure(&self) -> Option<String> {
        self.inner.progress.lock().failure.clone()
    }

    /// Wait until everything that is applied to the features now has been looked at. Blocks.
    ///
    /// # Errors
    /// When the log cannot be followed any further.
    pub fn caught_up(&self) -> Result<(), PipelineError> {
        let wanted = *self.inner.pipeline.applied().borrow();
        let mut going = self.inner.progress.lock();
        going.wanted = going.wanted.max(wanted);
        self.inner.changed.notify_all();
        while going.through < wanted {
            if let Some(failure) = &going.failure {
                return Err(PipelineError::Stopped(format!("the audits cannot go on: {failure}")));
            }
            if going.stop {
                return Err(PipelineError::Stopped("the service is stopping".to_owned()));
            }
            self.inner.changed.wait(&mut going);
        }
        Ok(())
    }

    /// Save what was found and end. Blocks.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub fn close(&self) -> Result<(), PipelineError> {
        self.inner.progress.lock().stop = true;
        self.inner.changed.notify_all();
        if let Some(thread) = self.inner.thread.lock().take() {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
        self.save()
    }

    fn run(&self) {
        let mut saved = self.inner.progress.lock().through;
        let mut since = Instant::now();
        while !self.inner.progress.lock().stop {
            let began = Instant::now();
            let worked = match self.turn(since.elapsed() >= QUIET) {
                Ok(worked) => worked,
                Err(error) => {
                    tracing::error!(%error, "the audits cannot go on");
                    self.inner.progress.lock().failure = Some(error.to_string());
                    self.inner.changed.notify_all();
                    return;
                }
            };
            if worked {
                since = Instant::now();
            }
            let through = self.inner.progress.lock().through;
            if through.0 >= saved.0 + SAVE_EVERY {
                saved = through;
                if let Err(error) = self.save() {
                    tracing::warn!(%error, "the audits could not be saved; a restart goes further back");
                }
            }
            self.rest(if worked { began.elapsed() * REST } else { LONGEST_REST });
        }
    }

    /// Take the next batch; whether there was one. Where there is none, what is held is applied, if somebody waits
    /// for it or it is `quiet`.
    fn turn(&self, quiet: bool) -> Result<bool, PipelineError> {
        let reader = self.inner.pipeline.reader();
        let applied = *self.inner.pipeline.applied().borrow();
        let mut auditor = self.inner.auditor.lock();
        let from = auditor.read_to().next();
        let batch: Vec<Record> = match from <= applied {
            true => reader.read(from, applied)?.take(BATCH).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        let worked = !batch.is_empty();
        if worked {
            auditor.feed(batch, reader)?;
        } else if auditor.figures().through < auditor.read_to() && (quiet || self.wanted(auditor.read_to())) {
            auditor.settle(reader)?;
        }
        let through = auditor.figures().through;
        drop(auditor);
        self.inner.progress.lock().through = through;
        self.inner.changed.notify_all();
        Ok(worked)
    }

    /// Whether somebody waits for what is held up to here.
    fn wanted(&self, held: Position) -> bool {
        let going = self.inner.progress.lock();
        going.wanted > going.through && going.wanted <= held
    }

    /// Rest, unless somebody waits.
    fn rest(&self, rest: Duration) {
        let mut going = self.inner.progress.lock();
        if going.wanted <= going.through && !going.stop {
            self.inner.changed.wait_for(&mut going, rest.min(LONGEST_REST));
        }
    }

    fn save(&self) -> Result<(), PipelineError> {
        let bytes = self.inner.auditor.lock().save()?;
        // What a crash could take back is not kept beyond it.
        self.inner.pipeline.flush()?.wait()?;
        let path = self.path();
        let new = path.with_extension("new");
        let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| PipelineError::io(&path, error))
    }

    fn path(&self) -> PathBuf {
        self.inner.pipeline.audits_file()
    }
}
