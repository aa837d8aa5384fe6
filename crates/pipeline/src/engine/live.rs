//! One view version: its keys spread over shards by hash, within the bound on memory.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use perennial_features::{Batch, EntityKey, Event, ReadRoom, Reading, View, shard_of};
use perennial_types::{ContentHash, Position, Record, SourceSpec, Timestamp};
use serde::{Deserialize, Serialize};

use super::held::{Amount, HeldShard};
use super::memory::Memory;
use crate::PipelineError;
use crate::feed::Feed;

/// Events of one shard, about, that are applied while it is locked: some ten microseconds for its readers.
const EVENTS_A_LOCK: usize = 64;

/// One view version.
pub(super) struct LiveView {
    pub(super) view: Arc<View>,
    /// The key of the feed of its source.
    pub(super) feed: ContentHash,
    shards: Vec<RwLock<HeldShard>>,
    memory: Arc<Memory>,
    /// The name of its directory, once there is one.
    dir: OnceLock<String>,
    /// Why it goes no further, if so.
    trouble: OnceLock<String>,
}

/// What a snapshot says of a view.
#[derive(Serialize, Deserialize)]
pub(super) enum SavedView {
    /// Its shards.
    Whole(Vec<Vec<u8>>),
    /// The directory with its shards.
    Disk(String),
}

impl LiveView {
    /// Without events.
    pub(super) fn new(
        view: Arc<View>,
        source: Arc<SourceSpec>,
        shards: usize,
        memory: &Arc<Memory>,
    ) -> Arc<Self> {
        let shards = (0..shards).map(|_| HeldShard::new(Arc::clone(&view))).collect();
        Self::of(view, source, shards, memory, OnceLock::new())
    }

    fn of(
        view: Arc<View>,
        source: Arc<SourceSpec>,
        shards: Vec<HeldShard>,
        memory: &Arc<Memory>,
        dir: OnceLock<String>,
    ) -> Arc<Self> {
        let bytes: u64 = shards.iter().map(HeldShard::bytes).sum();
        memory.count(0, bytes);
        let shards = shards.into_iter().map(RwLock::new).collect();
        let memory_of_it = Arc::clone(memory);
        let (feed, trouble) = (Feed::key(&source), OnceLock::new());
        let live = Self { view, feed, shards, memory: memory_of_it, dir, trouble };
        let live = Arc::new(live);
        memory.register(&live);
        live
    }

    /// From a snapshot at `position`, over a log that ends at `head`; nothing if what is there is of no use, with
    /// the reason in the log of the service.
    pub(super) fn load(
        (view, source): (&Arc<View>, &Arc<SourceSpec>),
        saved: &SavedView,
        shards: usize,
        memory: &Arc<Memory>,
        (position, head): (Position, Position),
    ) -> Option<Arc<Self>> {
        let loaded = match saved {
            SavedView::Whole(saved) if saved.len() == shards => {
                let loaded = saved.iter().map(|bytes| HeldShard::load(Arc::clone(view), bytes));
                loaded.collect::<Result<Vec<_>, _>>().map(|shards| (shards, OnceLock::new()))
            }
            SavedView::Whole(saved) => Err(PipelineError::Snapshot(format!("it has {} shards", saved.len()))),
            SavedView::Disk(name) => open(view, name, shards, memory, (position, head))
                .map(|shards| (shards, OnceLock::from(name.clone()))),
        };
        match loaded {
            Ok((shards, dir)) => Some(Self::of(Arc::clone(view), Arc::clone(source), shards, memory, dir)),
            Err(error) => {
                let view = &view.spec().name;
                tracing::warn!(%view, %error, "the state of a view cannot be used; it is made anew from the log");
                None
            }
        }
    }

    /// The name of its directory, once there is one.
    pub(super) fn dir(&self) -> Option<String> {
        self.dir.get().cloned()
    }

    /// Take in the next events of the log. Keys and values are computed before a shard is locked. A view in trouble
    /// takes nothing any more.
    pub(super) fn apply(&self, events: &[Event<'_>]) {
        let shards = self.shards.len();
        let mut batch = Batch::default();
        let mut rest = events;
        while !rest.is_empty() {
            let (events, after) = rest.split_at(whole_positions(rest, EVENTS_A_LOCK * shards));
            rest = after;
            if self.trouble.get().is_some() {
                return;
            }
            batch.fill(&self.view, events, shards);
            for (index, shard) in self.shards.iter().enumerate() {
                // In trouble before anybody can read what is wrong.
                self.change(shard, |shard| match shard.apply(&batch, index) {
                    Ok(reads) => self.memory.count_reads(reads),
                    Err(error) => self.set_trouble(error.to_string()),
                });
            }
            self.memory.settle();
        }
    }

    /// Take in the events of its source, which is read by a feed of the view's own, that follow from the next records
    /// of the log; a record that the source's schema cannot say is the view's trouble.
    pub(super) fn apply_records(&self, feed: &mut Feed, records: &[Record]) {
        match feed.take(records) {
            Ok(events) => {
                let events = events.iter().map(|event| event.as_event(feed.source()));
                self.apply(&events.collect::<Vec<_>>());
            }
            Err(error) => self.set_trouble(error.to_string()),
        }
    }

    /// The features of a key; nothing of a view in trouble.
    pub(super) fn read(&self, key: &EntityKey, at: Timestamp) -> Option<Reading> {
        let mut reading = Reading::default();
        self.read_into(key, at, &mut ReadRoom::default(), &mut reading).then_some(reading)
    }

    /// As [`LiveView::read`], over an earlier reading and with room that is used again; false for a view in trouble.
    pub(super) fn read_into(
        &self,
        key: &EntityKey,
        at: Timestamp,
        room: &mut ReadRoom,
        reading: &mut Reading,
    ) -> bool {
        let shard = self.shards[shard_of(key, self.shards.len())].read();
        match shard.read_into(key, at, room, reading) {
            Ok(from_disk) => self.memory.count_reads(u64::from(from_disk)),
            Err(error) => self.set_trouble(error.to_string()),
        }
        self.trouble.get().is_none()
    }

    /// How much there is of it.
    pub(super) fn amount(&self) -> Amount {
        let mut sum = Amount::default();
        for shard in &self.shards {
            let one = shard.read().amount();
            sum.keys += one.keys;
            sum.spilled += one.spilled;
            sum.bytes += one.bytes;
            sum.key_bytes += one.key_bytes;
            sum.disk_bytes += one.disk_bytes;
            sum.late += one.late;
        }
        sum
    }

    /// Why it goes no further, if so.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// Take in nothing any more, and answer nothing: what it says would be wrong. Others go on.
    pub(super) fn set_trouble(&self, reason: String) {
        let (view, version) = (&self.view.spec().name, self.view.version().short());
        if self.trouble.set(reason.clone()).is_ok() {
            tracing::error!(
                %view, version, reason,
                "a view stops at its last state and answers nothing; it is made anew from the log at the next start"
            );
        }
    }

    /// Let keys that were not used for a while be on disk alone, until so many bytes are free.
    pub(super) fn spill(&self, bytes: u64, at_once: u64) -> Result<(), PipelineError> {
        self.begin_disk()?;
        let before = self.amount().key_bytes;
        let goal = before.saturating_sub(bytes);
        // Every key is passed over once at most.
        while self.amount().key_bytes > goal {
            for shard in &self.shards {
                self.change(shard, |shard| shard.spill(at_once))?;
            }
        }
        Ok(())
    }

    /// What a snapshot at `position` says of it; what it keeps on disk is durable then. No events may come
    /// meanwhile.
    pub(super) fn save(&self, position: Position) -> Result<SavedView, PipelineError> {
        if self.dir.get().is_none() {
            let whole: Option<Vec<_>> = self.shards.iter().map(|shard| shard.read().save()).collect();
            match whole {
                Some(whole) if !self.memory.wants_disk(self.amount().bytes) => {
                    return Ok(SavedView::Whole(whole));
                }
                Some(_) | None => {}
            }
        }
        self.begin_disk()?;
        // Keys that leave meanwhile would change the others' numbers.
        let _still = self.memory.hold();
        for (index, shard) in self.shards.iter().enumerate() {
            let mut from = Some(0);
            while let Some(next) = from {
                from = self.change(shard, |shard| shard.keep_changed(next))?;
            }
            while self.change(shard, HeldShard::tidy)? {}
            self.change(shard, |shard| shard.commit(position, index, self.shards.len()))?;
        }
        Ok(SavedView::Disk(self.dir().unwrap_or_default()))
    }

    /// Change a shard, and keep count of what it holds.
    fn change<T>(&self, shard: &RwLock<HeldShard>, change: impl FnOnce(&mut HeldShard) -> T) -> T {
        let mut shard = shard.write();
        let before = shard.bytes();
        let changed = change(&mut shard);
        self.memory.count(before, shard.bytes());
        changed
    }

    fn begin_disk(&self) -> Result<(), PipelineError> {
        let name = self.dir.get_or_init(|| self.memory.new_name(self.view.version()));
        let Some(dir) = self.memory.place(name) else { return Ok(()) };
        for (index, shard) in self.shards.iter().enumerate() {
            let dir = dir.join(index.to_string());
            self.change(shard, |shard| shard.begin_disk(self.memory.files(), &dir))?;
        }
        Ok(())
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.memory.count(self.shards.iter().map(|shard| shard.read().bytes()).sum(), 0);
    }
}

/// The least number of events, at least `least` if there are so many, that ends between two positions: what follows
/// from one record is seen at once or not at all.
fn whole_positions(events: &[Event<'_>], least: usize) -> usize {
    let least = least.min(events.len());
    let last = events[..least].last().map(|event| event.position);
    let more = events[least..].iter().take_while(|event| Some(event.position) == last);
    least + more.count()
}

/// The shards in a directory, each at or after `position` and by no event after `head`.
fn open(
    view: &Arc<View>,
    name: &str,
    shards: usize,
    memory: &Memory,
    (position, head): (Position, Position),
) -> Result<Vec<HeldShard>, PipelineError> {
    let wrong = |reason: String| PipelineError::Snapshot(reason);
    let Some(dir) = memory.place(name) else { return Err(wrong("it is on disk, which is not used".into())) };
    let mut opened = Vec::with_capacity(shards);
    for index in 0..shards {
        let dir = dir.join(index.to_string());
        let found = HeldShard::open(Arc::clone(view), memory.files(), &dir)?;
        let Some((shard, note)) = found else {
            return Err(wrong(format!("{} has no whole commit", dir.display())));
        };
        if (note.shard, note.shards) != (index, shards) {
            let (of, found) = (note.shards, note.shard);
            return Err(wrong(format!("{} is shard {found} of {of}", dir.display())));
        }
        if note.position < position || note.counters.seen > head {
            let at = note.position;
            return Err(wrong(format!(
                "{} is at position {at}, not between {position} and {head}",
                dir.display()
            )));
        }
        opened.push(shard);
    }
    Ok(opened)
}
