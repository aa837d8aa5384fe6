//! How far sources outside were read, and which dead letters are still to be set right: a function of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use perennial_types::{Entry, Position, Record, Stream, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Declared, Fold, PipelineError};

/// A record of [`Stream::Progress`]. It stands in one append with what it tells of, so that after a crash both are
/// there or neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressRecord {
    /// The topic that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Arc<str>>,
    /// The offset of the next message to read, by partition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub next: BTreeMap<i32, i64>,
    /// Dead letters that became events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redriven: Vec<Position>,
    /// Rows of the same append that were dead letters before, by the ten minutes of their event times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<(Timestamp, u64)>,
    /// Rows that were events already, by the ten minutes of their event times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<(Timestamp, u64)>,
    /// What producers say they sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<SentRows>,
}

/// How many rows a producer says it sent, by event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRows {
    /// The producer; what it says of a stretch of time replaces what it said of it before.
    pub producer: Arc<str>,
    /// By the starts of stretches of ten minutes.
    pub counts: Vec<(Timestamp, u64)>,
}

impl ProgressRecord {
    /// What a record of the progress stream says.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn of(record: &Record) -> Result<Self, PipelineError> {
        serde_json::from_slice(&record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))
    }

    /// The entry of the progress stream, made at `at` about `source`. It takes the log's own time: it says nothing
    /// that a time is needed for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn entry(&self, source: &Arc<str>, at: Timestamp) -> Result<Entry, PipelineError> {
        let payload = serde_json::to_vec(self).map_err(|error| PipelineError::Invalid(error.to_string()))?;
        Ok(Entry {
            stream: Stream::Progress,
            source: Arc::clone(source),
            key: "".into(),
            event_time: at,
            available_at: Timestamp::MIN,
            id: "".into(),
            payload,
        })
    }
}

/// What the log says of sources outside. Cheap to clone; clones see the same.
#[derive(Clone, Default)]
pub struct Progress {
    known: Arc<RwLock<Known>>,
}

/// The dead letters of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// Those that are not events yet.
    pub outstanding: BTreeSet<Position>,
    /// How many became events.
    pub redriven: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// The next offset of each partition, by source and topic.
    next: BTreeMap<(Arc<str>, Arc<str>), BTreeMap<i32, i64>>,
    letters: BTreeMap<Arc<str>, Letters>,
}

impl Progress {
    /// The offset of the next message of each partition of a topic that a source has read.
    pub fn next(&self, source: &Arc<str>, topic: &Arc<str>) -> BTreeMap<i32, i64> {
        self.known.read().next.get(&(Arc::clone(source), Arc::clone(topic))).cloned().unwrap_or_default()
    }

    /// The dead letters of a source.
    pub fn letters(&self, source: &str) -> Letters {
        self.known.read().letters.get(source).cloned().unwrap_or_default()
    }

    /// Every source with dead letters, how many are outstanding, and how many became events.
    pub fn letter_counts(&self) -> Vec<(Arc<str>, u64, u64)> {
        let known = self.known.read();
        let counts = known.letters.iter();
        counts.map(|(name, of)| (Arc::clone(name), of.outstanding.len() as u64, of.redriven)).collect()
    }
}

/// The progress as a fold.
pub(crate) struct ProgressFold(pub(crate) Progress);

impl Fold for ProgressFold {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn apply(&mut self, record: &Record, _: &Declared) -> Result<(), PipelineError> {
        let source = &record.entry.source;
        match record.entry.stream {
            Stream::DeadLetter => {
                let mut known = self.0.known.write();
                known.letters.entry(Arc::clone(source)).or_default().outstanding.insert(record.position);
            }
            Stream::Progress => {
                let said = ProgressRecord::of(record)?;
                let mut known = self.0.known.write();
                if let Some(topic) = said.topic {
                    known.next.entry((Arc::clone(source), topic)).or_default().extend(said.next);
                }
                if !said.redriven.is_empty() {
                    let letters = known.letters.entry(Arc::clone(source)).or_default();
                    let done = said.redriven.iter().filter(|position| letters.outstanding.remove(position));
                    letters.redriven += done.count() as u64;
                }
            }
            Stream::Event | Stream::Prediction | Stream::Feedback | Stream::Control => {}
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(&*self.0.known.read()).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], _: &Declared) -> Result<(), PipelineError> {
        *self.0.known.write() = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        Ok(())
    }

    fn reset(&mut self) {
        *self.0.known.write() = Known::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(position: u64, entry: Entry) -> Record {
        Record { position: Position(position), entry }
    }

    #[test]
    fn what_is_saved_is_what_the_log_said() {
        let (source, topic): (Arc<str>, Arc<str>) = ("rides".into(), "rides.v1".into());
        let at = Timestamp::from_micros(5);
        let letter = perennial_log::decode::DeadLetter::new(
            "no",
            b"{}",
            perennial_log::decode::Origin::Request { line: 1 },
        );
        let read = |partition, next| ProgressRecord {
            topic: Some(Arc::clone(&topic)),
            next: BTreeMap::from([(partition, next)]),
            ..ProgressRecord::default()
        };
        let redriven = ProgressRecord { redriven: vec![Position(2)], ..ProgressRecord::default() };
        let entries = [
            read(0, 10).entry(&source, at).unwrap(),
            letter.entry("rides", at),
            letter.entry("rides", at),
            read(3, 4).entry(&source, at).unwrap(),
            read(0, 12).entry(&source, at).unwrap(),
            redriven.entry(&source, at).unwrap(),
            redriven.entry(&source, at).unwrap(),
        ];
        let declared = Declared::default();
        let mut fold = ProgressFold(Progress::default());
        for (position, entry) in (1..).zip(entries) {
            fold.apply(&record(position, entry), &declared).unwrap();
        }
        let mut loaded = ProgressFold(Progress::default());
        loaded.load(&fold.save().unwrap(), &declared).unwrap();
        for progress in [&fold.0, &loaded.0] {
            assert_eq!(progress.next(&source, &topic), BTreeMap::from([(0, 12), (3, 4)]));
            assert!(progress.next(&source, &"other".into()).is_empty());
            let letters = Letters { outstanding: BTreeSet::from([Position(3)]), redriven: 1 };
            assert_eq!(progress.letters("rides"), letters);
            assert_eq!(progress.letter_counts(), [(Arc::clone(&source), 1, 1)]);
        }
    }
}
