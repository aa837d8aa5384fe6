//! The thread that reads one topic into the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use perennial_log::decode::{DeadLetter, Origin};
use perennial_log::formats::MessageDecoder;
use perennial_log::kafka::{Brokers, Change, Message, Polled, Topic, TopicOptions};
use perennial_log::{Appended, Durability, LogError, Order};
use perennial_remote::RemoteError;
use perennial_types::{AvailableAt, Clock, KafkaStream, SourceSpec};
use tokio::runtime::Handle;

use super::collected::{Collected, InFlight};
use super::{Schemas, SourceStatus, Wanted};
use crate::progress::ProgressRecord;
use crate::{Pipeline, PipelineError};

/// Appends that may be under way; when there are so many, nothing more is fetched.
const IN_FLIGHT: usize = 4;
/// How long the thread waits for a message before it looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(100);
/// How long it waits while appends are under way.
const BUSY: Duration = Duration::from_millis(2);
/// How long it waits after something failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the group is told how far it is.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Reads one topic into the log.
pub(super) struct Reader {
    pipeline: Pipeline,
    source: Arc<SourceSpec>,
    stream: KafkaStream,
    group: String,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    status: Arc<Mutex<SourceStatus>>,
    stop: Arc<AtomicBool>,
    decoder: MessageDecoder,
    schemas: Schemas,
    /// The partitions that are read here.
    assigned: BTreeSet<i32>,
    /// By partition, the offset of the next message to take.
    position: BTreeMap<i32, i64>,
    collected: Collected,
    in_flight: VecDeque<InFlight>,
    /// By partition, the offset up to which messages are in the log.
    done: BTreeMap<i32, i64>,
    /// What of that the group was not told yet.
    untold: BTreeMap<i32, i64>,
    told_at: Instant,
}

impl Reader {
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// When the address of the source's registry cannot be used.
    pub(super) fn new(
        pipeline: Pipeline,
        wanted: Wanted,
        clock: Arc<dyn Clock>,
        status: Arc<Mutex<SourceStatus>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, RemoteError> {
        let Wanted { source, stream, group } = wanted;
        let decoder = MessageDecoder::new(&source, &stream);
        let schemas = Schemas::of(&stream)?;
        Ok(Self {
            pipeline,
            source,
            stream,
            group,
            clock,
            runtime: Handle::current(),
            status,
            stop,
            decoder,
            schemas,
            assigned: BTreeSet::new(),
            position: BTreeMap::new(),
            collected: Collected::default(),
            in_flight: VecDeque::new(),
            done: BTreeMap::new(),
            untold: BTreeMap::new(),
            told_at: Instant::now(),
        })
    }

    /// Read until it is to stop, or the log takes nothing more.
    pub(super) fn run(mut self, brokers: Brokers) {
        let source = Arc::clone(&self.source.name);
        if let Err(error) = self.read(brokers) {
            tracing::error!(source = &*source, %error, "the source is not read any further");
            self.status.lock().trouble = Some(error.to_string());
        }
    }

    fn read(&mut self, brokers: Brokers) -> Result<(), PipelineError> {
        let options =
            TopicOptions { brokers, group: self.group.clone(), topic: self.stream.topic.to_string() };
        let topic = Topic::join(options)?;
        while !self.stopping() {
            self.collect(&topic)?;
            self.append()?;
            self.reap()?;
            self.make_room(&topic)?;
            self.tell(&topic, false);
            self.note_lag(&topic);
        }
        self.settle()?;
        self.tell(&topic, true);
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Collect messages until there is none at the moment, or enough for an append.
    fn collect(&mut self, topic: &Topic) -> Result<(), PipelineError> {
        let mut wait = if self.in_flight.is_empty() { IDLE } else { BUSY };
        while !self.collected.full() {
            match topic.poll(wait) {
                Polled::Message(message) => self.take(&message),
                Polled::Changed(change) => return self.change(topic, change),
                Polled::Trouble(trouble) => self.note_trouble(&trouble),
                Polled::Nothing => return Ok(()),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Collect one message.
    fn take(&mut self, message: &Message<'_>) {
        let (partition, offset, timestamp) = (message.partition(), message.offset(), message.timestamp());
        // Once it is to stop nothing is taken any more, so that no message is passed over.
        if self.stopping() || self.position.get(&partition).is_some_and(|next| offset < *next) {
            return;
        }
        let value = message.value();
        if let Some(value) = value
            && self.decoder.unknown_schema(value).is_some()
            && !self.teach(value)
        {
            return;
        }
        let origin =
            || Origin::Message { topic: self.stream.topic.to_string(), partition, offset, timestamp };
        let now = self.clock.now();
        match value.map(|value| self.decoder.decode(value, timestamp, now)) {
            // It is in the log already.
            Some(Ok(entry)) if self.pipeline.declared().in_history(&self.source.name, entry.event_time) => {}
            Some(Ok(entry)) => {
                let refusable = matches!(self.source.available_at, AvailableAt::Column(_));
                let origin = refusable.then(origin);
                self.collected.event(entry, origin);
            }
            Some(Err(error)) => {
                let letter = DeadLetter::new(error, value.unwrap_or_default(), origin());
                self.collected.letter(&letter, &self.source.name, now);
            }
            None => {
                let letter =
                    DeadLetter::new("the message has no value, as a tombstone has none", b"", origin());
                self.collected.letter(&letter, &self.source.name, now);
            }
        }
        self.collected.next.insert(partition, offset + 1);
        self.position.insert(partition, offset + 1);
    }

    /// Have the decoder know the schema of a value, however long its registry takes; false if the reader is to stop.
    fn teach(&mut self, value: &[u8]) -> bool {
        while !self.stopping() {
            match self.runtime.block_on(self.schemas.teach(&mut self.decoder, value)) {
                Ok(()) => return true,
                Err(error) => {
                    self.note_trouble(&error.to_string());
                    thread::sleep(AGAIN);
                }
            }
        }
        false
    }

    /// Append what is collected, with the offsets that it comes to.
    fn append(&mut self) -> Result<(), PipelineError> {
        if self.collected.is_empty() {
            return Ok(());
        }
        let Collected { mut entries, origins, letters, next, .. } = std::mem::take(&mut self.collected);
        let refusable = origins.into_iter().enumerate().filter_map(|(index, origin)| {
            let origin = origin?;
            Some((index, entries[index].payload.clone(), origin))
        });
        let refusable = refusable.collect();
        let times = entries.iter().map(|entry| entry.event_time).collect();
        let topic = Some(Arc::clone(&self.stream.topic));
        let progress = ProgressRecord { topic, next: next.clone(), ..ProgressRecord::default() };
        entries.push(progress.entry(&self.source.name, self.clock.now())?);
        let order = match self.source.available_at {
            AvailableAt::Arrival => Order::Clamp,
            AvailableAt::Column(_) => Order::Refuse,
        };
        let ticket = self.pipeline.append(entries, Durability::Synced, order)?;
        self.in_flight.push_back(InFlight { ticket, next, letters, times, refusable });
        Ok(())
    }

    /// Take note of the appends that are safe by now.
    fn reap(&mut self) -> Result<(), PipelineError> {
        let mut context = Context::from_waker(Waker::noop());
        while let Some(first) = self.in_flight.front_mut() {
            let Poll::Ready(appended) = Pin::new(&mut first.ticket).poll(&mut context) else { break };
            self.acknowledge(appended)?;
        }
        Ok(())
    }

    /// Wait for the first append under way; false if that takes longer than `within`.
    fn wait(&mut self, within: Duration) -> Result<bool, PipelineError> {
        let Some(first) = self.in_flight.front_mut() else { return Ok(true) };
        let waited = self.runtime.block_on(async { tokio::time::timeout(within, &mut first.ticket).await });
        match waited {
            Ok(appended) => self.acknowledge(appended).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// The first append under way is safe.
    fn acknowledge(&mut self, appended: Result<Vec<Appended>, LogError>) -> Result<(), PipelineError> {
        let Some(first) = self.in_flight.pop_front() else { return Ok(()) };
        let outcome = first.outcome(&appended?);
        if !outcome.out_of_order.is_empty() {
            let now = self.clock.now();
            let letters = outcome.out_of_order.iter().map(|letter| letter.entry(&self.source.name, now));
            let ticket = self.pipeline.append(letters.collect(), Durability::Synced, Order::Clamp)?;
            self.runtime.block_on(ticket)?;
        }
        if outcome.duplicates > 0 {
            let ticket =
                self.pipeline.note_duplicates(&self.source.name, outcome.duplicated, self.clock.now())?;
            self.runtime.block_on(ticket)?;
        }
        self.done.extend(&first.next);
        self.untold.extend(&first.next);
        let mut status = self.status.lock();
        status.accepted += outcome.accepted;
        status.duplicates += outcome.duplicates;
        status.refused += outcome.letters + outcome.out_of_order.len() as u64;
        status.trouble = None;
        Ok(())
    }

    /// While too many appends are under way nothing is fetched; changes of the group are answered all the same.
    fn make_room(&mut self, topic: &Topic) -> Result<(), PipelineError> {
        let mut held = false;
        while self.in_flight.len() >= IN_FLIGHT && !self.wait(AGAIN)? {
            if !held {
                held = self.answered(topic.hold(true));
            }
            match topic.poll(Duration::ZERO) {
                Polled::Changed(change) => self.change(topic, change)?,
                Polled::Trouble(trouble) => self.note_trouble(&trouble),
                Polled::Message(message) => self.take(&message),
                Polled::Nothing => {}
            }
        }
        if held {
            self.answered(topic.hold(false));
        }
        Ok(())
    }

    /// Have everything that was read in the log.
    fn settle(&mut self) -> Result<(), PipelineError> {
        self.append()?;
        while !self.in_flight.is_empty() {
            self.wait(AGAIN)?;
        }
        Ok(())
    }

    fn change(&mut self, topic: &Topic, change: Change) -> Result<(), PipelineError> {
        self.settle()?;
        match change {
            Change::Assigned(partitions) => self.begin(topic, &partitions),
            Change::Revoked(partitions) => {
                self.tell(topic, true);
                self.end(topic, &partitions);
            }
            Change::Lost(partitions) => {
                self.untold.retain(|partition, _| !partitions.contains(partition));
                self.end(topic, &partitions);
            }
        }
        Ok(())
    }

    /// Read partitions from where the log has come to.
    fn begin(&mut self, topic: &Topic, partitions: &[i32]) {
        let own = self.pipeline.progress().next(&self.source.name, &self.stream.topic);
        while !self.stopping() {
            match topic.assign(partitions, &own) {
                Ok(starts) => {
                    tracing::info!(source = &*self.source.name, ?partitions, ?starts, "reading partitions");
                    self.position.extend(&starts);
                    self.done.extend(starts);
                    self.assigned.extend(partitions);
                    return;
                }
                Err(error) => {
                    self.note_trouble(&error.to_string());
                    thread::sleep(AGAIN);
                }
            }
        }
    }

    fn end(&mut self, topic: &Topic, partitions: &[i32]) {
        tracing::info!(source = &*self.source.name, ?partitions, "giving up partitions");
        self.answered(topic.give_up(partitions));
        for partition in partitions {
            self.assigned.remove(partition);
            self.position.remove(partition);
            self.done.remove(partition);
        }
    }

    /// Tell the group how far this member is: now and then what is new, or everything, before others read on.
    fn tell(&mut self, topic: &Topic, everything: bool) {
        if everything {
            self.answered(topic.commit(&self.done, true));
            self.untold.clear();
        } else if !self.untold.is_empty() && self.told_at.elapsed() >= COMMIT_EVERY {
            if self.answered(topic.commit(&self.untold, false)) {
                self.untold.clear();
            }
            self.told_at = Instant::now();
        }
    }

    /// Count the messages that are not in the log yet, once the brokers have told the end of every partition.
    fn note_lag(&self, topic: &Topic) {
        let spans = topic.spans();
        let behind = |partition: &i32| {
            let (begin, end) = spans.get(partition)?;
            Some((end - self.done.get(partition).unwrap_or(begin)).max(0) as u64)
        };
        let lags: Option<Vec<u64>> = self.assigned.iter().map(behind).collect();
        let mut status = self.status.lock();
        status.partitions = self.assigned.len();
        status.lag = lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum());
    }

    /// Whether a request to the client went well; its trouble is noted otherwise.
    fn answered(&self, answer: Result<(), LogError>) -> bool {
        if let Err(error) = &answer {
            self.note_trouble(&error.to_string());
        }
        answer.is_ok()
    }

    fn note_trouble(&self, trouble: &str) {
        let mut status = self.status.lock();
        if status.trouble.as_deref() != Some(trouble) {
            tracing::warn!(source = &*self.source.name, trouble, "a source has trouble");
            status.trouble = Some(trouble.to_owned());
        }
    }
}
