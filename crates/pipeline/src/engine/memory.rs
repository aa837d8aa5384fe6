//! The bound on what all views hold in memory, and where the rest goes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use perennial_log::{Files, SystemFiles};
use perennial_types::ContentHash;

use super::live::LiveView;
use crate::PipelineError;

/// Bytes that are made free at once, at most: what a shard's readers wait for.
const BYTES_A_LOCK: u64 = 64 << 10;

/// How much all views may hold. Above it the view that holds most, which is over its share, lets keys that were not
/// used for a while be on disk alone.
pub(crate) struct Memory {
    limit: u64,
    /// A view with more bytes than this is kept on disk too, so that a snapshot writes what changed.
    disk_from: u64,
    /// Where the keys go; without it there is no bound.
    dir: Option<PathBuf>,
    files: Arc<dyn Files>,
    held: AtomicU64,
    reads: AtomicU64,
    /// For names of directories.
    next: AtomicU64,
    views: Mutex<Vec<Weak<LiveView>>>,
    spilling: Mutex<Spilling>,
}

/// How spilling goes.
#[derive(Default)]
struct Spilling {
    /// It failed; it is tried again once so many bytes are held.
    failed_at: Option<u64>,
}

impl Memory {
    /// Views may hold `limit` bytes, the rest goes to files below `dir`.
    pub(crate) fn new(limit: u64, disk_from: u64, dir: &Path) -> Self {
        Self { limit, disk_from, dir: Some(dir.to_owned()), ..Self::unbounded() }
    }

    /// Everything stays in memory.
    pub(crate) fn unbounded() -> Self {
        Self {
            limit: u64::MAX,
            disk_from: u64::MAX,
            dir: None,
            files: Arc::new(SystemFiles),
            held: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            next: AtomicU64::new(0),
            views: Mutex::default(),
            spilling: Mutex::default(),
        }
    }

    /// Another file system, for keys on disk.
    #[cfg(test)]
    pub(crate) fn with_files(self, files: Arc<dyn Files>) -> Self {
        Self { files, ..self }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Where a directory of a view is.
    pub(super) fn place(&self, dir: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|base| base.join(dir))
    }

    /// A name for the directory of a view that has none in use.
    pub(super) fn new_name(&self, version: ContentHash) -> String {
        loop {
            let name = format!("{}-{}", version.short(), self.next.fetch_add(1, Ordering::Relaxed));
            if self.place(&name).is_none_or(|path| !path.exists()) {
                return name;
            }
        }
    }

    /// Whether a view of so many bytes is kept on disk too.
    pub(super) fn wants_disk(&self, bytes: u64) -> bool {
        self.dir.is_some() && bytes > self.disk_from
    }

    pub(super) fn register(&self, view: &Arc<LiveView>) {
        let mut views = self.views.lock();
        views.retain(|view| view.strong_count() > 0);
        views.push(Arc::downgrade(view));
    }

    /// What a view holds went from `before` to `now`.
    pub(super) fn count(&self, before: u64, now: u64) {
        // Wrapping addition makes one operation of a difference of either sign.
        self.held.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(super) fn count_reads(&self, reads: u64) {
        if reads > 0 {
            self.reads.fetch_add(reads, Ordering::Relaxed);
        }
    }

    /// Remove the directories of views that are gone.
    pub(super) fn clear_away(&self) -> Result<(), PipelineError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PipelineError::io(dir, error)),
        };
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let paths = paths.map_err(|error| PipelineError::io(dir, error))?;
        // A view has a name before it has a directory: what is not in use now was not when it was listed.
        let used: BTreeSet<String> = self.alive().iter().filter_map(|view| view.dir()).collect();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !used.contains(&name) {
                fs::remove_dir_all(&path).map_err(|error| PipelineError::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// Let no key leave while this is held.
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.spilling.lock()
    }

    /// Keep within the bound, if it can be. To be called with no shard locked.
    pub(super) fn settle(&self) {
        if self.held() <= self.limit || self.dir.is_none() {
            return;
        }
        // One thread at a time: another that grows meanwhile comes back with its next events.
        let Some(mut spilling) = self.spilling.try_lock() else { return };
        if spilling.failed_at.is_some_and(|failed| self.held() < failed.saturating_add(self.limit / 16)) {
            return;
        }
        match self.spill() {
            Ok(()) => {
                if spilling.failed_at.take().is_some() {
                    tracing::info!("feature state can be moved to disk again");
                }
            }
            Err(error) => {
                tracing::error!(
                    %error, held = self.held(), limit = self.limit,
                    "feature state cannot be moved to disk: it stays in memory, above its bound"
                );
                spilling.failed_at = Some(self.held());
            }
        }
    }

    /// Make a 32nd of the bound free, so that it is not this thread's next errand too.
    fn spill(&self) -> Result<(), PipelineError> {
        let goal = self.limit - self.limit / 32;
        while self.held() > goal {
            let alive = self.alive();
            let most = alive.iter().max_by_key(|view| view.amount().key_bytes);
            let Some(view) = most.filter(|view| view.amount().key_bytes > 0) else { return Ok(()) };
            let wanted = (self.held() - goal).min((self.limit / 32).max(BYTES_A_LOCK));
            view.spill(wanted, BYTES_A_LOCK)?;
        }
        Ok(())
    }

    fn alive(&self) -> Vec<Arc<LiveView>> {
        self.views.lock().iter().filter_map(Weak::upgrade).collect()
    }
}
