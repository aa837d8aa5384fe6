//! What became of the rows that came to each source, as a function of the log, and how long it took until they could
//! be read.
//!
//! By the time of arrival: rows that became events, duplicates, dead letters. By event time, which producers know too:
//! rows received, and rows that producers say they sent. All of it is counted from the log's records, so that a
//! crash loses none of it. A duplicate takes no position: a record of the progress stream says how many there were,
//! durably, before they are acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use perennial_features::Quantiles;
use perennial_log::decode::DeadLetter;
use perennial_project::ClockKind;
use perennial_types::{Clock, Position, Record, SourceSpec, Stream, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Buckets, Merge, STRETCH};
use crate::progress::ProgressRecord;
use crate::{Declared, Fold, PipelineError};

/// In a stretch the freshness of so many events is measured one by one, and then that of every sixteenth.
const EACH: u64 = 1_024;

/// Rows of a source that arrived in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrived {
    /// Rows that became events.
    pub appended: u64,
    /// Rows that were events already.
    pub duplicates: u64,
    /// Rows that were refused.
    pub dead_letters: u64,
    /// Dead letters that were sent again: they are counted a second time, as events or duplicates.
    pub redriven: u64,
}

impl Arrived {
    /// The rows that came in.
    pub fn received(&self) -> u64 {
        (self.appended + self.duplicates + self.dead_letters).saturating_sub(self.redriven)
    }
}

/// How long it took from events to when they could be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// In seconds.
    quantiles: Quantiles,
    events: u64,
    slowest: Option<f64>,
}

impl Freshness {
    /// The seconds, within 1 %, in which so large a share of the events could be read: of a few events the slowest
    /// for a share near one. Nothing without events.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let most = self.events.checked_sub(1)?;
        let rank = ((share * self.events as f64).ceil() as u64).clamp(1, self.events) - 1;
        // Half a rank more, so that rounding does not lead to the one below.
        self.quantiles.quantile(((rank as f64 + 0.5) / most.max(1) as f64).min(1.0))
    }

    /// The longest of them.
    pub fn slowest(&self) -> Option<f64> {
        self.slowest
    }

    fn took(&mut self, seconds: f64) {
        self.quantiles.add(seconds);
        self.events += 1;
        self.slowest = Some(self.slowest.map_or(seconds, |slowest| slowest.max(seconds)));
    }
}

impl Merge for Arrived {
    fn merge(&mut self, other: &Self) {
        self.appended += other.appended;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
        self.redriven += other.redriven;
    }
}

impl Merge for Freshness {
    fn merge(&mut self, other: &Self) {
        self.quantiles.merge(&other.quantiles);
        self.events += other.events;
        self.slowest = match (self.slowest, other.slowest) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Rows of a source with event times in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Rows received: events, duplicates and dead letters. A dead letter whose event time cannot be read counts
    /// where it arrived.
    pub received: u64,
    /// Rows sent, by producer, as each said last.
    pub sent: BTreeMap<Arc<str>, u64>,
}

impl Happened {
    /// The rows that producers say they sent; nothing if none said anything.
    pub fn sent(&self) -> Option<u64> {
        (!self.sent.is_empty()).then(|| self.sent.values().sum())
    }

    /// Rows that were sent and never came; nothing if no producer said anything.
    pub fn lost(&self) -> Option<u64> {
        self.sent().map(|sent| sent.saturating_sub(self.received))
    }
}

impl Merge for Happened {
    fn merge(&mut self, other: &Self) {
        self.received += other.received;
        for (producer, sent) in &other.sent {
            *self.sent.entry(Arc::clone(producer)).or_default() += sent;
        }
    }
}

/// What became of the rows of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceReceipts {
    /// By when they arrived.
    pub arrived: Buckets<Arrived>,
    /// By when they happened.
    pub happened: Buckets<Happened>,
    /// By when they arrived, for a week: it takes more room than counts.
    pub freshness: Buckets<Freshness, { 7 * 24 * 6 }>,
}

/// What became of the rows of every source. Cheap to clone; clones see the same.
#[derive(Clone, Default)]
pub struct Receipts {
    known: Arc<RwLock<Known>>,
    /// By which it is told when an event can be read.
    clock: Arc<OnceLock<Arc<dyn Clock>>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// Records up to here are counted.
    through: Position,
    sources: BTreeMap<Arc<str>, SourceReceipts>,
}

impl Receipts {
    /// What is known of a source, and up to which record.
    pub fn of<T>(&self, source: &str, read: impl FnOnce(Position, &SourceReceipts) -> T) -> Option<T> {
        let known = self.known.read();
        known.sources.get(source).map(|found| read(known.through, found))
    }

    /// The sources of which anything is known.
    pub fn sources(&self) -> Vec<Arc<str>> {
        self.known.read().sources.keys().cloned().collect()
    }

    /// From now on the freshness of events of a project on the wall clock is measured by this one. Until then, and
    /// always on the event clock, an event can be read when it is available.
    pub fn measure_by(&self, clock: Arc<dyn Clock>) {
        // A second clock would be the same one.
        let _ = self.clock.set(clock);
    }
}

/// The receipts as a fold: what it counts is applied to the features too.
pub(crate) struct ReceiptsFold(pub(crate) Receipts);

impl ReceiptsFold {
    /// `now` is the present where the project is on the wall clock and its time is measured.
    fn event(source: &mut SourceReceipts, record: &Record, now: Option<Timestamp>) {
        let entry = &record.entry;
        source.happened.at(entry.event_time).received += 1;
        let arrived = source.arrived.at(entry.available_at);
        arrived.appended += 1;
        // On the event clock everything counts, so that a play has the same figures however it is cut.
        if now.is_some() && arrived.appended > EACH && !record.position.0.is_multiple_of(16) {
            return;
        }
        let servable = now.map_or(entry.available_at, |now| now.max(entry.available_at));
        source
            .freshness
            .at(entry.available_at)
            .took(servable.since(entry.event_time).micros().max(0) as f64 / 1e6);
    }

    fn letter(source: &mut SourceReceipts, record: &Record, declared: &Declared) {
        let arrival = record.entry.available_at;
        let time = source_of(declared, &record.entry.source)
            .and_then(|spec| letter_time(spec, &record.entry.payload))
            .unwrap_or(arrival);
        source.happened.at(time).received += 1;
        source.arrived.at(arrival).dead_letters += 1;
    }

    fn progress(source: &mut SourceReceipts, record: &Record, said: &ProgressRecord) {
        let arrived = source.arrived.at(record.entry.available_at);
        arrived.redriven += said.redriven.len() as u64;
        for (start, count) in &said.duplicates {
            arrived.duplicates += count;
            source.happened.at(*start).received += count;
        }
        // They were received when they were refused, and count once.
        for (start, count) in &said.again {
            let happened = source.happened.at(*start);
            happened.received = happened.received.saturating_sub(*count);
        }
        for sent in &said.sent {
            for (start, count) in &sent.counts {
                source.happened.at(*start).sent.insert(Arc::clone(&sent.producer), *count);
            }
        }
    }
}

impl Fold for ReceiptsFold {
    fn name(&self) -> &'static str {
        "receipts"
    }

    fn apply(&mut self, record: &Record, declared: &Declared) -> Result<(), PipelineError> {
        self.apply_run(std::slice::from_ref(record), declared)
    }

    fn apply_run(&mut self, records: &[Record], declared: &Declared) -> Result<(), PipelineError> {
        let clock = self.0.clock.get().filter(|_| clock_of(declared) == ClockKind::Wall);
        let now = clock.map(|clock| clock.now());
        let mut known = self.0.known.write();
        records.iter().try_for_each(|record| known.take(record, declared, now))
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

impl Known {
    fn take(
        &mut self,
        record: &Record,
        declared: &Declared,
        now: Option<Timestamp>,
    ) -> Result<(), PipelineError> {
        let (stream, name) = (record.entry.stream, &record.entry.source);
        self.through = record.position;
        if !matches!(stream, Stream::Event | Stream::DeadLetter | Stream::Progress) {
            return Ok(());
        }
        let source = match self.sources.get_mut(name) {
            Some(source) => source,
            None => self.sources.entry(Arc::clone(name)).or_default(),
        };
        match stream {
            Stream::Event => ReceiptsFold::event(source, record, now),
            Stream::DeadLetter => ReceiptsFold::letter(source, record, declared),
            Stream::Progress => ReceiptsFold::progress(source, record, &ProgressRecord::of(record)?),
            Stream::Prediction | Stream::Feedback | Stream::Control => {}
        }
        Ok(())
    }
}

/// How many of these event times lie in each stretch.
pub(crate) fn by_stretch(times: impl Iterator<Item = Timestamp>) -> Vec<(Timestamp, u64)> {
    let mut counts: BTreeMap<Timestamp, u64> = BTreeMap::new();
    times.for_each(|time| *counts.entry(time.floor(STRETCH)).or_default() += 1);
    counts.into_iter().collect()
}

fn clock_of(declared: &Declared) -> ClockKind {
    declared.goal().map_or(ClockKind::Wall, |goal| goal.project.clock)
}

fn source_of<'a>(declared: &'a Declared, name: &str) -> Option<&'a SourceSpec> {
    declared.goal()?.project.sources.iter().find(|spec| &*spec.name == name)
}

/// The event time of a row that was refused, where it is JSON and has one.
fn letter_time(source: &SourceSpec, payload: &[u8]) -> Option<Timestamp> {
    let letter = DeadLetter::of_payload(payload).ok()?;
    let row: serde_json::Value = serde_json::from_slice(&letter.original).ok()?;
    Timestamp::parse(row.get(&**source.event_time.column()?)?.as_str()?).ok()
}
