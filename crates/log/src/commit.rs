//! The threads that make written records durable and apply them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use perennial_types::{Position, Record};

use crate::LogError;
use crate::log::{ActiveFile, Apply, Shared};
use crate::ticket::Waiting;

/// Records that were written together, in order, and who waits until they are synced and applied.
pub(crate) struct Group {
    /// How many appends they come from.
    pub(crate) appends: u64,
    /// The bytes of their payloads.
    pub(crate) bytes: u64,
    pub(crate) records: Vec<Record>,
    pub(crate) waiting: Vec<Waiting>,
    /// The file they were written to. Earlier files were synced before it was begun.
    pub(crate) file: Arc<ActiveFile>,
}

impl Group {
    pub(crate) fn fail(self, error: &LogError) {
        self.waiting.into_iter().for_each(|waiting| waiting.fail(error));
    }

    /// Take in the group that was written after this one.
    fn extend(&mut self, later: Self) {
        self.appends += later.appends;
        self.bytes += later.bytes;
        self.records.extend(later.records);
        self.waiting.extend(later.waiting);
        self.file = later.file;
    }
}

/// The state of the syncing thread: one sync for everything that was written while the last one ran.
pub(crate) struct Syncer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) within: Duration,
    pub(crate) to_apply: Sender<Group>,
    /// A file with written records that are not synced, and when they must be.
    pub(crate) unsynced: Option<(Arc<ActiveFile>, Instant)>,
}

impl Syncer {
    /// Sync what comes until the writer is gone.
    pub(crate) fn run(mut self, groups: &Receiver<Group>) {
        loop {
            let next = match &self.unsynced {
                None => groups.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((_, due)) => groups.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(mut group) => {
                    while let Ok(later) = groups.try_recv() {
                        group.extend(later);
                    }
                    self.commit(group);
                }
                // An error has stopped the log; nobody waits for these records.
                Err(RecvTimeoutError::Timeout) => drop(self.sync()),
                Err(RecvTimeoutError::Disconnected) => return drop(self.sync()),
            }
        }
    }

    fn commit(&mut self, group: Group) {
        if let Some(failure) = self.shared.failure() {
            return group.fail(failure);
        }
        if !group.records.is_empty() {
            let due = self.unsynced.as_ref().map_or_else(|| Instant::now() + self.within, |(_, due)| *due);
            self.unsynced = Some((Arc::clone(&group.file), due));
        }
        let overdue = self.unsynced.as_ref().is_some_and(|(_, due)| *due <= Instant::now());
        if (overdue || group.waiting.iter().any(Waiting::needs_sync))
            && let Err(error) = self.sync()
        {
            return group.fail(&error);
        }
        if let Err(unsent) = self.to_apply.send(group) {
            let failure = self.shared.fail(&LogError::stopped("its apply thread ended"));
            unsent.0.fail(&failure);
        }
    }

    /// Sync what is not, if anything.
    fn sync(&mut self) -> Result<(), LogError> {
        match self.unsynced.take() {
            Some((file, _)) => self.shared.sync(&file),
            None => Ok(()),
        }
    }
}

/// The state of the apply thread.
pub(crate) struct Applier {
    pub(crate) shared: Arc<Shared>,
    pub(crate) apply: Apply,
}

impl Applier {
    /// Apply what comes until the syncing thread is gone.
    pub(crate) fn run(mut self, groups: &Receiver<Group>) {
        let mut applied = Position(self.shared.applied.load(Ordering::Acquire));
        while let Ok(group) = groups.recv() {
            if let Some(last) = group.records.last() {
                (self.apply)(&group.records);
                applied = last.position;
                self.shared.applied.store(applied.0, Ordering::Release);
            }
            self.shared.waiting_bytes.fetch_sub(group.bytes, Ordering::AcqRel);
            self.shared.settled.fetch_add(group.appends, Ordering::AcqRel);
            group.waiting.into_iter().for_each(|waiting| waiting.succeed(applied));
        }
    }
}
