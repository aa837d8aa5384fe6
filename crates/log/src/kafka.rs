//! A topic of Kafka, read as one member of a consumer group.
//!
//! It decides nothing about offsets: the caller says from where a partition is read when it is assigned, and keeps
//! what it has read. What is committed to Kafka only tells others how far the group is.

mod brokers;
mod member;

use std::collections::BTreeMap;
use std::time::Duration;

use perennial_types::Timestamp;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::LogError;
pub use brokers::Brokers;
pub use member::Change;
use member::Member;

/// How long a question to the brokers may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Which topic is read, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOptions {
    /// How brokers are reached.
    pub brokers: Brokers,
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
}

/// A reader of one topic. Dropping it leaves the group.
pub struct Topic {
    consumer: BaseConsumer<Member>,
    options: TopicOptions,
}

/// What comes next.
pub enum Polled<'a> {
    /// A message.
    Message(Message<'a>),
    /// Partitions came or went; nothing is read before the caller has answered.
    Changed(Change),
    /// Something that passes or that somebody else has to repair; reading goes on when it can.
    Trouble(String),
    /// Nothing within the time.
    Nothing,
}

/// One message.
pub struct Message<'a>(BorrowedMessage<'a>);

impl Message<'_> {
    /// The partition it stands in.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Where in the partition.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// When its producer made it, or the broker took it, as the topic is configured.
    pub fn timestamp(&self) -> Option<Timestamp> {
        let millis = self.0.timestamp().to_millis()?;
        millis.checked_mul(1_000).map(Timestamp::from_micros)
    }

    /// Its value; none in a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }
}

impl Topic {
    /// Join the group. Nothing is sent yet: what is wrong with the brokers shows when it is polled.
    ///
    /// # Errors
    /// `Unavailable` when the client cannot be made.
    pub fn join(options: TopicOptions) -> Result<Self, LogError> {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "perennial")
            // A member that was killed is missed after this long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            // What is read ahead is bounded.
            .set("queued.max.messages.kbytes", "32768");
        options.brokers.configure(&mut config);
        config
            .set("group.id", &options.group)
            // The caller's log says what was read.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // Partitions that stay are read on while others move.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("statistics.interval.ms", "500");
        let topic = options.topic.clone();
        let consumer: BaseConsumer<Member> = config
            .create_with_context(Member::new(topic))
            .map_err(|error| trouble(&options, "make a client for", &error))?;
        consumer.subscribe(&[&options.topic]).map_err(|error| trouble(&options, "subscribe to", &error))?;
        Ok(Self { consumer, options })
    }

    /// What comes next within a time.
    pub fn poll(&self, within: Duration) -> Polled<'_> {
        if let Some(change) = self.consumer.context().change() {
            return Polled::Changed(change);
        }
        match self.consumer.poll(within) {
            Some(Ok(message)) => Polled::Message(Message(message)),
            Some(Err(error)) => Polled::Trouble(error.to_string()),
            None => match self.consumer.context().change() {
                Some(change) => Polled::Changed(change),
                None => Polled::Nothing,
            },
        }
    }

    /// Begin to read assigned partitions: each at the offset that the caller has come to, or at the one that the
    /// group has committed, whichever is later; at the beginning of the partition if there is neither.
    ///
    /// # Errors
    /// `Unavailable` when the group's offsets cannot be asked for.
    pub fn assign(
        &self,
        partitions: &[i32],
        own: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, i64>, LogError> {
        let failed = |error: KafkaError| trouble(&self.options, "begin to read", &error);
        let topic = self.options.topic.as_str();
        let list = self.list(partitions);
        // A change may bring nothing, and of nothing no offsets can be asked for.
        let committed = match partitions {
            [] => list,
            _ => self.consumer.committed_offsets(list, ANSWER_WITHIN).map_err(failed)?,
        };
        let mut starts = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            let group = committed.find_partition(topic, *partition).and_then(|found| match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            let start = own.get(partition).copied().max(group);
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, *partition, offset).map_err(failed)?;
            starts.extend(start.map(|start| (*partition, start)));
        }
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&list),
        }
        .map_err(failed)?;
        Ok(starts)
    }

    /// Stop to read partitions that were revoked.
    ///
    /// # Errors
    /// `Unavailable` when the client refuses.
    pub fn give_up(&self, partitions: &[i32]) -> Result<(), LogError> {
        let list = self.list(partitions);
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        }
        .map_err(|error| trouble(&self.options, "stop to read", &error))
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.options.topic, *partition);
        }
        list
    }

    /// Tell the group the offsets from which on nothing was read yet. With `wait` they are committed when this returns.
    ///
    /// # Errors
    /// `Unavailable` when they could not be committed, which the next commit repairs.
    pub fn commit(&self, next: &BTreeMap<i32, i64>, wait: bool) -> Result<(), LogError> {
        if next.is_empty() {
            return Ok(());
        }
        let failed = |error: KafkaError| trouble(&self.options, "commit offsets of", &error);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in next {
            list.add_partition_offset(&self.options.topic, *partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        self.consumer.commit(&list, if wait { CommitMode::Sync } else { CommitMode::Async }).map_err(failed)
    }

    /// Fetch nothing of the assigned partitions, or go on with them.
    ///
    /// # Errors
    /// `Unavailable` when the client refuses.
    pub fn hold(&self, held: bool) -> Result<(), LogError> {
        let failed = |error: KafkaError| trouble(&self.options, "pause", &error);
        let assigned = self.consumer.assignment().map_err(failed)?;
        if assigned.count() == 0 {
            return Ok(());
        }
        if held { self.consumer.pause(&assigned) } else { self.consumer.resume(&assigned) }.map_err(failed)
    }

    /// Of each partition that is read, as the broker last said it: the offset of its first message, and that of the
    /// next one to come.
    pub fn spans(&self) -> BTreeMap<i32, (i64, i64)> {
        self.consumer.context().spans()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.consumer.client().context().close();
    }
}

fn trouble(options: &TopicOptions, doing: &'static str, error: &KafkaError) -> LogError {
    LogError::Kafka {
        doing,
        topic: options.topic.clone(),
        brokers: options.brokers.addresses().to_owned(),
        reason: error.to_string(),
    }
}
