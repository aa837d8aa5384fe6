//! One shard of a view: keys in memory, and the others on disk.

use std::path::Path;
use std::sync::Arc;

use perennial_features::{Batch, Counters, EntityKey, KeyState, Leaving, ReadRoom, Reading, Shard, View};
use perennial_log::{Files, Keyed, KeyedFiles, LogError};
use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// Keys that are given to the disk at once when a snapshot is made.
const KEYS_A_LOCK: usize = 256;

/// A shard with one writer and many readers. A key is in memory, or on disk, or both; then memory is newer.
pub(super) struct HeldShard {
    view: Arc<View>,
    shard: Shard,
    disk: Option<KeyedFiles>,
}

/// What is durable together with the keys on disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Up to where the log was taken in.
    pub(super) position: Position,
    /// Which of how many shards it is.
    pub(super) shard: usize,
    pub(super) shards: usize,
    pub(super) counters: Counters,
}

/// How much there is of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    pub(super) keys: usize,
    /// Keys that are only on disk.
    pub(super) spilled: usize,
    /// In memory.
    pub(super) bytes: u64,
    /// Of these, of keys that can be spilled.
    pub(super) key_bytes: u64,
    pub(super) disk_bytes: u64,
    pub(super) late: u64,
}

impl HeldShard {
    pub(super) fn new(view: Arc<View>) -> Self {
        let shard = Shard::new(vec![Arc::clone(&view)]);
        Self { view, shard, disk: None }
    }

    /// From the bytes of [`HeldShard::save`].
    pub(super) fn load(view: Arc<View>, bytes: &[u8]) -> Result<Self, PipelineError> {
        let shard = Shard::load(vec![Arc::clone(&view)], bytes)?;
        Ok(Self { view, shard, disk: None })
    }

    /// From what the last commit left on disk; nothing if there is none.
    pub(super) fn open(
        view: Arc<View>,
        files: &Arc<dyn Files>,
        dir: &Path,
    ) -> Result<Option<(Self, Note)>, PipelineError> {
        let Some((disk, note)) = KeyedFiles::open(Arc::clone(files), dir)? else { return Ok(None) };
        let Ok(note) = postcard::from_bytes::<Note>(&note) else { return Ok(None) };
        let mut shard = Shard::new(vec![Arc::clone(&view)]);
        shard.resume(view.version(), note.counters);
        Ok(Some((Self { view, shard, disk: Some(disk) }, note)))
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        let held = self.shard.holding(self.view.version()).bytes;
        held + self.disk.as_ref().map_or(0, KeyedFiles::memory_bytes)
    }

    pub(super) fn amount(&self) -> Amount {
        let version = self.view.version();
        let held = self.shard.holding(version);
        let on_disk = self.disk.as_ref().map_or(0, KeyedFiles::len);
        let spilled = on_disk.saturating_sub(held.kept);
        Amount {
            keys: held.keys + spilled,
            spilled,
            bytes: self.bytes(),
            key_bytes: held.bytes,
            disk_bytes: self.disk.as_ref().map_or(0, KeyedFiles::disk_bytes),
            late: self.shard.late_events(version),
        }
    }

    /// Take in the events of a batch that are of this shard; how many keys were read from disk.
    ///
    /// # Errors
    /// When a key on disk cannot be read; the shard is of no use then.
    pub(super) fn apply(&mut self, batch: &Batch, index: usize) -> Result<u64, PipelineError> {
        let Self { view, shard, disk, .. } = self;
        let Some(disk) = disk else {
            shard.apply_filled(view.version(), batch, index);
            return Ok(0);
        };
        let (mut read, mut failure) = (0, None);
        let mut fetch = |key: &EntityKey| match fetch(disk, view, key) {
            Ok(state) => {
                read += u64::from(state.is_some());
                state
            }
            Err(error) => {
                failure.get_or_insert(error);
                None
            }
        };
        shard.apply_fetching(view.version(), batch, index, &mut fetch);
        match failure {
            Some(error) => Err(error),
            None => Ok(read),
        }
    }

    /// Read a key over an earlier reading; whether that took a read of the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn read_into(
        &self,
        key: &EntityKey,
        at: Timestamp,
        room: &mut ReadRoom,
        reading: &mut Reading,
    ) -> Result<bool, PipelineError> {
        self.shard.read_into(self.view.version(), key, at, room, reading);
        if reading.absent()
            && let Some(disk) = &self.disk
            && let Some(state) = fetch(disk, &self.view, key)?
        {
            state.read_into(&self.view, at, reading.seen, room, reading);
            return Ok(true);
        }
        Ok(false)
    }

    /// The whole state as bytes, while nothing of it is on disk.
    pub(super) fn save(&self) -> Option<Vec<u8>> {
        self.disk.is_none().then(|| self.shard.save())
    }

    /// Keep keys on disk from now on.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn begin_disk(&mut self, files: &Arc<dyn Files>, dir: &Path) -> Result<(), LogError> {
        if self.disk.is_none() {
            self.disk = Some(KeyedFiles::create(Arc::clone(files), dir)?);
        }
        Ok(())
    }

    /// Let some keys that were not used for a while be on disk alone.
    ///
    /// # Errors
    /// When the disk takes no more; nothing is lost, and less is free.
    pub(super) fn spill(&mut self, bytes: u64) -> Result<(), PipelineError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let mut result = Ok(());
        self.shard.take_cold(self.view.version(), bytes, |key, leaving| {
            if let Err(error) = keep(disk, key, leaving) {
                result = Err(error);
            }
        });
        result.and_then(|()| Ok(disk.flush()?))
    }

    /// Give the disk some of the keys that changed, beginning with number `from`; where to go on.
    ///
    /// # Errors
    /// When the disk takes no more; nothing is lost.
    pub(super) fn keep_changed(&mut self, from: usize) -> Result<Option<usize>, PipelineError> {
        let Some(disk) = &mut self.disk else { return Ok(None) };
        let mut result = Ok(());
        let next = self.shard.take_changed(self.view.version(), from, KEYS_A_LOCK, |key, leaving| {
            if let Err(error) = keep(disk, key, leaving) {
                result = Err(error);
            }
        });
        result.map(|()| next)
    }

    /// Clear away some of what the disk no longer needs; whether there may be more.
    ///
    /// # Errors
    /// When the disk cannot be read or takes no more.
    pub(super) fn tidy(&mut self) -> Result<bool, PipelineError> {
        let now = self.shard.counters(self.view.version()).now;
        match &mut self.disk {
            Some(disk) => Ok(disk.tidy(now)?),
            None => Ok(false),
        }
    }

    /// Make durable what the disk was given: all that changed up to `position`.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn commit(
        &mut self,
        position: Position,
        shard: usize,
        shards: usize,
    ) -> Result<(), PipelineError> {
        let counters = self.shard.counters(self.view.version());
        let note = Note { position, shard, shards, counters };
        let note = postcard::to_stdvec(&note).map_err(PipelineError::snapshot)?;
        match &mut self.disk {
            Some(disk) => Ok(disk.commit(&note)?),
            None => Ok(()),
        }
    }
}

fn fetch(disk: &KeyedFiles, view: &View, key: &EntityKey) -> Result<Option<KeyState>, PipelineError> {
    let hash = key.hash64();
    if !disk.may_have(hash) {
        return Ok(None);
    }
    let (named, mut value) = (named(key)?, Vec::new());
    if !disk.get(hash, &named, &mut value)? {
        return Ok(None);
    }
    Ok(Some(KeyState::decode(view, key, &value)?))
}

/// Give the disk a key.
fn keep(disk: &mut KeyedFiles, key: &EntityKey, leaving: Leaving<'_>) -> Result<(), PipelineError> {
    let hash = key.hash64();
    match leaving {
        Leaving::State { bytes, expires, known } => {
            disk.put(Keyed { hash, key: &named(key)?, value: bytes, expires, known })?;
        }
        Leaving::Expired { known: true } => disk.remove(hash, &named(key)?)?,
        Leaving::Unchanged | Leaving::Expired { known: false } => {}
    }
    Ok(())
}

/// A key as bytes.
fn named(key: &EntityKey) -> Result<Vec<u8>, PipelineError> {
    postcard::to_stdvec(key).map_err(PipelineError::snapshot)
}
