//! A file system in memory that knows what a crash would leave of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};
use perennial_log::{AppendFile, Files, ReadFile};
use perennial_types::unit_draw;

/// Files in memory that keep what was synced apart from what was only written.
///
/// What a crash leaves: of each file its synced bytes and, where it only grew since, some of the bytes
/// written after them; of the creations, renames and removals that no `sync_dir` made durable, any subset.
/// Clones share the files. Handles from before a crash fail after it.
#[derive(Clone, Default)]
pub struct FaultyFiles(Arc<Shared>);

/// What a crash keeps of what was not synced.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// The bytes kept of the unsynced tail of each file, if it has so many.
    pub kept_bytes: usize,
    /// Which of the operations on directories are kept, and which kept tails come back with a zeroed
    /// stretch, as pages do that were written in another order.
    pub seed: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    gate: Condvar,
}

type Content = Arc<Mutex<Bytes>>;

#[derive(Default)]
struct Bytes {
    synced: Vec<u8>,
    current: Vec<u8>,
}

#[derive(Default)]
struct State {
    durable: BTreeMap<PathBuf, Content>,
    current: BTreeMap<PathBuf, Content>,
    pending: Vec<DirOp>,
    /// Counts crashes, so that old handles are known.
    boot: u64,
    operations: u64,
    stop_after: Option<u64>,
    syncs: u64,
    fail_next_sync: bool,
    syncs_ignored: bool,
    syncs_held: bool,
    full_at: Option<usize>,
}

#[derive(Clone)]
enum DirOp {
    Create(PathBuf, Content),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl DirOp {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Content>) {
        match self {
            Self::Create(path, content) => drop(names.insert(path.clone(), Arc::clone(content))),
            Self::Rename(from, to) => {
                if let Some(content) = names.remove(from) {
                    names.insert(to.clone(), content);
                }
            }
            Self::Remove(path) => drop(names.remove(path)),
        }
    }
}

impl FaultyFiles {
    /// No files and no faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine loses its power and starts again.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.0.state.lock();
        let mut names = std::mem::take(&mut state.durable);
        for (i, operation) in std::mem::take(&mut state.pending).iter().enumerate() {
            if unit_draw(crash.seed, &["operation", &i.to_string()]) < 0.5 {
                operation.apply(&mut names);
            }
        }
        for (path, content) in &mut names {
            let kept = content.lock().after(crash, &path.to_string_lossy());
            *content = Arc::new(Mutex::new(Bytes { synced: kept.clone(), current: kept }));
        }
        let boot = state.boot + 1;
        *state = State { durable: names.clone(), current: names, boot, ..State::default() };
        self.0.gate.notify_all();
    }

    /// From the operation after the next `count` on, everything that changes files fails, as on a machine that
    /// is about to go down. A crash ends that.
    pub fn stop_after(&self, count: u64) {
        let mut state = self.0.state.lock();
        state.stop_after = Some(state.operations + count);
    }

    /// The operations so far that changed files.
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// The syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.0.state.lock().syncs
    }

    /// The next sync of a file fails, and the bytes it was for stay unsynced.
    pub fn fail_next_sync(&self) {
        self.0.state.lock().fail_next_sync = true;
    }

    /// Whether syncs of files do nothing and say that all is well.
    pub fn ignore_syncs(&self, ignored: bool) {
        self.0.state.lock().syncs_ignored = ignored;
    }

    /// Whether syncs of files wait until they are let go.
    pub fn hold_syncs(&self, held: bool) {
        self.0.state.lock().syncs_held = held;
        self.0.gate.notify_all();
    }

    /// The disk is full once a file has this many bytes.
    pub fn full_at(&self, bytes: Option<usize>) {
        self.0.state.lock().full_at = bytes;
    }

    /// The present bytes of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let content = self.0.state.lock().current.get(path).cloned()?;
        let bytes = content.lock().current.clone();
        Some(bytes)
    }

    /// Flip the bits of `mask` in one byte of a file, on the disk too.
    pub fn damage(&self, path: &Path, at: usize, mask: u8) {
        if let Some(content) = self.0.state.lock().current.get(path) {
            let mut bytes = content.lock();
            bytes.current[at] ^= mask;
            bytes.synced = bytes.current.clone();
        }
    }

    /// The paths of the files there are.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.state.lock().current.keys().cloned().collect()
    }
}

impl Bytes {
    fn after(&self, crash: Crash, name: &str) -> Vec<u8> {
        if !self.current.starts_with(&self.synced) {
            return self.synced.clone();
        }
        let end = self.current.len().min(self.synced.len() + crash.kept_bytes);
        let mut kept = self.current[..end].to_vec();
        let tail = &mut kept[self.synced.len()..];
        if unit_draw(crash.seed, &["zeroed", name]) < 0.3 {
            let from = (unit_draw(crash.seed, &["from", name]) * tail.len() as f64) as usize;
            let len = (unit_draw(crash.seed, &["len", name]) * (tail.len() - from) as f64) as usize;
            tail[from..from + len].fill(0);
        }
        kept
    }
}

impl Shared {
    /// Begin an operation that changes files.
    fn change(&self, boot: Option<u64>) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        let down = state.stop_after.is_some_and(|last| state.operations >= last);
        if down || boot.is_some_and(|boot| boot != state.boot) {
            return Err(io::Error::other("the machine is down"));
        }
        state.operations += 1;
        Ok(state)
    }
}

impl Files for FaultyFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let mut state = self.0.change(None)?;
        let content = match state.current.get(path) {
            Some(content) => Arc::clone(content),
            None => {
                let created = Content::default();
                state.perform(DirOp::Create(path.to_owned(), Arc::clone(&created)));
                created
            }
        };
        Ok(Arc::new(Handle { files: Arc::clone(&self.0), boot: state.boot, content }))
    }

    fn read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let state = self.0.state.lock();
        let content = state.current.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle { files: Arc::clone(&self.0), boot: state.boot, content }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.change(None)?;
        if !state.current.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.perform(DirOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.change(None)?;
        if !state.current.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.perform(DirOp::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.state.lock();
        let inside = state.current.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.change(None)?;
        let pending = std::mem::take(&mut state.pending);
        let (here, elsewhere): (Vec<_>, Vec<_>) = pending.into_iter().partition(|op| op.dir() == Some(dir));
        here.iter().for_each(|operation| operation.apply(&mut state.durable));
        state.pending = elsewhere;
        Ok(())
    }
}

impl State {
    fn perform(&mut self, operation: DirOp) {
        operation.apply(&mut self.current);
        self.pending.push(operation);
    }
}

struct Handle {
    files: Arc<Shared>,
    boot: u64,
    content: Content,
}

impl AppendFile for Handle {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let state = self.files.change(Some(self.boot))?;
        let mut content = self.content.lock();
        let room = state.full_at.map_or(usize::MAX, |full| full.saturating_sub(content.current.len()));
        content.current.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.files.change(Some(self.boot))?;
        // A sync covers what was written before it began.
        let until = self.content.lock().current.clone();
        while state.syncs_held && state.boot == self.boot {
            self.files.gate.wait(&mut state);
        }
        if state.boot != self.boot {
            return Err(io::Error::other("the machine went down"));
        }
        state.syncs += 1;
        if std::mem::take(&mut state.fail_next_sync) {
            return Err(io::Error::other("the disk failed"));
        }
        if !state.syncs_ignored {
            self.content.lock().synced = until;
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let _state = self.files.change(Some(self.boot))?;
        self.content.lock().current.resize(len as usize, 0);
        Ok(())
    }
}

impl ReadFile for Handle {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let rest = content.current.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
