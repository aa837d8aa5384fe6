//! How far the event time of every source has come: a function of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use perennial_features::{SourceTime, watermark_of};
use perennial_project::Project;
use perennial_types::{Record, Stream, TimeSpan, Timestamp};

use crate::{Declared, Fold, PipelineError};

/// The time of every source that is or was declared. Cheap to clone; clones see the same.
#[derive(Clone, Default)]
pub struct SourceTimes {
    known: Arc<RwLock<BTreeMap<Arc<str>, SourceTime>>>,
}

impl SourceTimes {
    /// The time of a source; nothing before it was declared.
    pub fn get(&self, source: &str) -> Option<SourceTime> {
        self.known.read().get(source).copied()
    }

    /// The watermark over the sources of a project at `now`, as [`watermark_of`] has it; derived ones have none of
    /// their own.
    pub fn watermark(&self, project: &Project, now: Timestamp) -> Option<Timestamp> {
        let known = self.known.read();
        let sources = project.sources.iter().filter(|spec| spec.derived().is_none());
        watermark_of(sources.filter_map(|spec| Some((spec, known.get(&spec.name)?))), now)
    }
}

/// The times as a fold.
pub(crate) struct SourceTimesFold {
    times: SourceTimes,
    /// The revision of the declarations that `lateness` is of.
    revision: u64,
    /// That of each source.
    lateness: BTreeMap<Arc<str>, TimeSpan>,
}

impl SourceTimesFold {
    pub(crate) fn new(times: SourceTimes) -> Self {
        Self { times, revision: 0, lateness: BTreeMap::new() }
    }

    /// Take over what is declared; sources that are new are heard of for the first time at `at`.
    fn follow(&mut self, declared: &Declared, at: Timestamp) {
        if declared.revision() == self.revision {
            return;
        }
        self.revision = declared.revision();
        let sources = declared.goal().map(|goal| goal.project.sources.as_slice()).unwrap_or_default();
        let sources = sources.iter().filter(|spec| spec.derived().is_none());
        self.lateness = sources.clone().map(|spec| (Arc::clone(&spec.name), spec.lateness)).collect();
        let mut known = self.times.known.write();
        for spec in sources {
            known.entry(Arc::clone(&spec.name)).or_insert_with(|| SourceTime::new(at));
        }
    }
}

impl Fold for SourceTimesFold {
    fn name(&self) -> &'static str {
        "source_times"
    }

    fn apply(&mut self, record: &Record, declared: &Declared) -> Result<(), PipelineError> {
        let entry = &record.entry;
        match entry.stream {
            Stream::Event => {
                let lateness = self.lateness.get(&entry.source).copied().unwrap_or_default();
                let mut known = self.times.known.write();
                if let Some(time) = known.get_mut(&entry.source) {
                    time.take(entry.event_time, entry.available_at, lateness);
                }
            }
            Stream::Control => self.follow(declared, entry.available_at),
            Stream::Prediction | Stream::Feedback | Stream::DeadLetter | Stream::Progress => {}
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(&*self.times.known.read()).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], declared: &Declared) -> Result<(), PipelineError> {
        *self.times.known.write() = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        // Every source that is declared was heard of before the snapshot.
        self.follow(declared, Timestamp::MIN);
        Ok(())
    }

    fn reset(&mut self) {
        self.revision = 0;
        self.lateness.clear();
        self.times.known.write().clear();
    }
}
