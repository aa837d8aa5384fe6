//! What the client of Kafka tells while it is polled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Partition;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

/// Partitions that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These are to be read from now on: answer by [`assign`](super::Topic::assign).
    Assigned(Vec<i32>),
    /// These are to be read by another member as soon as this one has answered by
    /// [`give_up`](super::Topic::give_up); what was read of them has to be safe and committed before.
    Revoked(Vec<i32>),
    /// These were given to another member already, since this one was not heard of.
    Lost(Vec<i32>),
}

/// One member of a group, as the client sees it.
pub(super) struct Member {
    topic: String,
    changes: Mutex<VecDeque<Change>>,
    spans: Mutex<BTreeMap<i32, (i64, i64)>>,
    closing: AtomicBool,
}

impl Member {
    pub(super) fn new(topic: String) -> Self {
        Self { topic, changes: Mutex::default(), spans: Mutex::default(), closing: AtomicBool::new(false) }
    }

    /// The next change that was not answered yet.
    pub(super) fn change(&self) -> Option<Change> {
        self.changes.lock().pop_front()
    }

    pub(super) fn spans(&self) -> BTreeMap<i32, (i64, i64)> {
        self.spans.lock().clone()
    }

    /// From now on nobody answers changes.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(topic = self.topic, fac, "kafka: {text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(topic = self.topic, fac, "kafka: {text}");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let read =
            topic.partitions.iter().filter(|(_, partition)| partition.desired && partition.hi_offset >= 0);
        let span = |(number, partition): (&i32, &Partition)| {
            (*number, (partition.lo_offset.max(0), partition.hi_offset))
        };
        *self.spans.lock() = read.map(span).collect();
    }

    /// The caller is told by what it polls, and waits.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(topic = self.topic, %error, "kafka: {reason}");
    }
}

impl ConsumerContext for Member {
    /// The change is answered by whoever polls, who first has to make safe what was read.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            let given_up = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
            };
            if let Err(error) = given_up {
                tracing::warn!(topic = self.topic, %error, "partitions could not be given up");
            }
            return;
        }
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let change = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(partitions),
            _ if consumer.assignment_lost() => Change::Lost(partitions),
            _ => Change::Revoked(partitions),
        };
        self.changes.lock().push_back(change);
    }
}
