//! The events of a spine's entities, read from the log and replayed.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use perennial_features::point_in_time::{Query, replay};
use perennial_features::{EntityKey, Event, shard_of};
use perennial_log::LogReader;
use perennial_types::{Position, Record, Row, SourceSpec, Stream, Timestamp, did_you_mean};

use super::SpineReplay;
use super::wanted::Keys;
use crate::PipelineError;
use crate::feed::{DecodedEvent, Feed};

/// Records that a thread decodes at a time.
const BATCH: usize = 2_048;
/// Keys are told apart by this many shards: a range of them is what one pass or thread has to do.
const SLOTS: u64 = 1 << 32;

/// The log as the rows of one spine see it.
pub(super) struct History<'a> {
    pub(super) replay: &'a SpineReplay<'a>,
    pub(super) up_to: Position,
    pub(super) times: &'a [Timestamp],
    pub(super) seen: &'a [Position],
}

/// Lookups that read one source by the same columns, so that one pass over the log serves them all.
struct Group<'a> {
    source: &'a Arc<SourceSpec>,
    /// Where the entity stands in a row of the source.
    entity: Vec<usize>,
    /// Places of the lookups.
    lookups: Vec<usize>,
    keys: HashSet<&'a EntityKey>,
}

/// An event of one of the spine's entities, with the slot of its key.
type Kept = (u64, DecodedEvent);

/// What the threads say to the one that collects.
enum Said {
    Decoded(Position, Vec<Kept>),
    Failed(PipelineError),
}

impl History<'_> {
    /// The outputs of every lookup for every row, and how many events they come from.
    pub(super) fn answer(
        &self,
        lookups: &[&Keys<'_>],
        progress: &mut dyn FnMut(Position, Position),
    ) -> Result<(Vec<Vec<Row>>, u64), PipelineError> {
        let mut outputs = vec![vec![Row::new(); self.times.len()]; lookups.len()];
        let mut events = 0;
        for group in self.groups(lookups)? {
            let mut left: Vec<_> = std::iter::once(0..SLOTS).collect();
            while let Some(mut range) = left.pop() {
                let kept = self.collect(&group, &mut range, &mut left, progress)?;
                events += kept.len() as u64;
                for lookup in &group.lookups {
                    self.answer_one(&group, lookups[*lookup], &range, &kept, &mut outputs[*lookup]);
                }
            }
        }
        Ok((outputs, events))
    }

    fn groups<'k>(&'k self, lookups: &[&'k Keys<'k>]) -> Result<Vec<Group<'k>>, PipelineError> {
        let mut groups: Vec<Group<'k>> = Vec::new();
        for (place, lookup) in lookups.iter().enumerate() {
            let spec = lookup.view.spec();
            let known = self.replay.sources;
            let source = known.iter().find(|source| source.name == spec.from).ok_or_else(|| {
                let help = did_you_mean(&spec.from, known.iter().map(|source| &*source.name));
                PipelineError::Invalid(format!("view {:?} has no source {:?}{help}", spec.name, spec.from))
            })?;
            let entity =
                lookup.view.entity().iter().filter_map(|column| source.schema.index_of(&column.name));
            let entity: Vec<usize> = entity.collect();
            let same = |group: &&mut Group<'_>| group.source.name == source.name && group.entity == entity;
            match groups.iter_mut().find(same) {
                Some(group) => {
                    group.lookups.push(place);
                    group.keys.extend(&lookup.keys);
                }
                None => {
                    let keys = lookup.keys.iter().collect();
                    groups.push(Group { source, entity, lookups: vec![place], keys });
                }
            }
        }
        Ok(groups)
    }

    /// The events of the spine's entities whose keys are in a range of slots. Where they are too many, the range is
    /// halved and the other half left for later.
    fn collect(
        &self,
        group: &Group<'_>,
        range: &mut Range<u64>,
        left: &mut Vec<Range<u64>>,
        progress: &mut dyn FnMut(Position, Position),
    ) -> Result<Vec<Kept>, PipelineError> {
        let (options, up_to) = (self.replay.options, self.up_to);
        let mut kept: Vec<Kept> = Vec::new();
        let mut halve = |kept: &mut Vec<Kept>| {
            while kept.len() > options.events_at_once.max(1) && range.end - range.start > 1 {
                let middle = range.start.midpoint(range.end);
                left.push(middle..range.end);
                range.end = middle;
                kept.retain(|(slot, _)| *slot < middle);
            }
            range.clone()
        };
        if !Feed::as_logged(group.source) {
            // What follows from an event depends on those before it: one after the other.
            let mut feed = Feed::new(group.source)?;
            let mut records = self.replay.reader.read(Position(1), up_to)?;
            loop {
                let batch: Vec<Record> = records.by_ref().take(BATCH).collect::<Result<_, _>>()?;
                let Some(last) = batch.last().map(|record| record.position) else { return Ok(kept) };
                let range = halve(&mut kept);
                let events = feed.take(&batch)?.into_iter();
                kept.extend(events.filter_map(|event| asked(group, &range, event)));
                halve(&mut kept);
                progress(last, up_to);
            }
        }
        let wide = halve(&mut kept);
        std::thread::scope(|scope| {
            let (records_in, records) = mpsc::sync_channel::<Vec<Record>>(4);
            let (said_in, said) = mpsc::sync_channel(4);
            // Gone with the last thread that decodes, so that the one that reads does not wait for nobody.
            let records = Arc::new(Mutex::new(records));
            let reader = self.replay.reader;
            let failed = said_in.clone();
            scope.spawn(move || {
                if let Err(error) = read(reader, &group.source.name, up_to, &records_in) {
                    // Nobody listens any more once another thread has failed.
                    let _ = failed.send(Said::Failed(error));
                }
            });
            for _ in 0..options.threads.max(1) {
                let (records, said_in, wide) = (Arc::clone(&records), said_in.clone(), wide.clone());
                scope.spawn(move || decode_all(group, &wide, &records, &said_in));
            }
            drop((records, said_in));
            for said in said {
                match said {
                    Said::Failed(error) => return Err(error),
                    Said::Decoded(position, batch) => {
                        let range = halve(&mut kept);
                        kept.extend(batch.into_iter().filter(|(slot, _)| range.contains(slot)));
                        progress(position, up_to);
                    }
                }
                halve(&mut kept);
            }
            Ok(())
        })?;
        Ok(kept)
    }

    /// Replay one view over the events of a range of slots, by as many threads as there may be.
    fn answer_one(
        &self,
        group: &Group<'_>,
        lookup: &Keys<'_>,
        range: &Range<u64>,
        kept: &[Kept],
        outputs: &mut [Row],
    ) {
        let threads = self.replay.options.threads.max(1) as u64;
        let slots = range.end - range.start;
        let share = |thread: u64| range.start + slots * thread / threads;
        let answered = std::thread::scope(|scope| {
            let work = (0..threads).map(|thread| {
                let own = share(thread)..share(thread + 1);
                scope.spawn(move || self.answer_slots(group, lookup, &own, kept))
            });
            let work: Vec<_> = work.collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
                Ok(answered) => answered,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            work.into_iter().flat_map(join).collect::<Vec<(usize, Row)>>()
        });
        for (row, values) in answered {
            outputs[row] = values;
        }
    }

    fn answer_slots(
        &self,
        group: &Group<'_>,
        lookup: &Keys<'_>,
        own: &Range<u64>,
        kept: &[Kept],
    ) -> Vec<(usize, Row)> {
        let rows = lookup.keys.iter().enumerate().filter(|(_, key)| own.contains(&slot_of(key)));
        let (rows, queries): (Vec<usize>, Vec<Query>) = rows
            .map(|(row, key)| (row, Query { key: key.clone(), at: self.times[row], seen: self.seen[row] }))
            .unzip();
        let events = kept.iter().filter(|(slot, _)| own.contains(slot));
        let events: Vec<Event<'_>> = events.map(|(_, event)| event.as_event(group.source)).collect();
        rows.into_iter().zip(replay(lookup.view, &events, &queries, self.replay.mode)).collect()
    }
}

fn slot_of(key: &EntityKey) -> u64 {
    shard_of(key, SLOTS as usize) as u64
}

/// Read the events of a source in batches.
fn read(
    reader: &LogReader,
    source: &str,
    up_to: Position,
    records: &mpsc::SyncSender<Vec<Record>>,
) -> Result<(), PipelineError> {
    let mut batch = Vec::with_capacity(BATCH);
    for record in reader.read(Position(1), up_to)? {
        let record = record?;
        if record.entry.stream != Stream::Event || *record.entry.source != *source {
            continue;
        }
        batch.push(record);
        if batch.len() == BATCH && records.send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    // A thread that failed has said so.
    let _ = records.send(batch);
    Ok(())
}

/// Decode batches until there are no more, and keep the events of the spine's entities.
fn decode_all(
    group: &Group<'_>,
    range: &Range<u64>,
    records: &Mutex<mpsc::Receiver<Vec<Record>>>,
    said: &mpsc::SyncSender<Said>,
) {
    loop {
        let Ok(batch) = records.lock().recv() else { return };
        let Some(last) = batch.last().map(|record| record.position) else { return };
        let kept = batch.iter().filter_map(|record| decode(group, range, record).transpose());
        let answer = match kept.collect::<Result<Vec<Kept>, PipelineError>>() {
            Ok(kept) => Said::Decoded(last, kept),
            Err(error) => Said::Failed(error),
        };
        let failed = matches!(answer, Said::Failed(_));
        if said.send(answer).is_err() || failed {
            return;
        }
    }
}

fn decode(group: &Group<'_>, range: &Range<u64>, record: &Record) -> Result<Option<Kept>, PipelineError> {
    Ok(asked(group, range, DecodedEvent::decode(group.source, record)?))
}

/// The event with the slot of its key, if that is asked for.
fn asked(group: &Group<'_>, range: &Range<u64>, event: DecodedEvent) -> Option<Kept> {
    let key = event.key(&group.entity)?;
    let slot = slot_of(&key);
    (range.contains(&slot) && group.keys.contains(&key)).then_some((slot, event))
}
