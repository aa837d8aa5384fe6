//! The broker that the tests share, and what they send to it.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perennial_testkit::Broker;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The address of the broker: it is started once and ends with this process.
pub(crate) fn broker() -> Result<&'static str> {
    static BROKER: OnceLock<Result<Broker, String>> = OnceLock::new();
    let started = BROKER.get_or_init(|| {
        let name = format!("kafka-{}", std::process::id());
        Broker::start(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)).map_err(|error| error.to_string())
    });
    started.as_ref().map(Broker::address).map_err(|error| anyhow::anyhow!("{error}"))
}

/// A name that no other topic of the broker has.
pub(crate) fn fresh(name: &str) -> String {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{name}-{}-{}", std::process::id(), since.as_nanos())
}

/// Make a topic.
pub(crate) async fn create(topic: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(broker()?).create()?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = admin
        .create_topics(&[NewTopic::new(topic, partitions, TopicReplication::Fixed(1))], &options)
        .await?;
    ensure!(made.iter().all(Result::is_ok), "{made:?}");
    Ok(())
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "5");
    config
}

/// Sends messages to a topic.
pub(crate) struct Sender {
    producer: BaseProducer,
    topic: String,
}

impl Sender {
    /// To a topic of the shared broker.
    pub(crate) fn new(topic: &str) -> Result<Self> {
        Self::at(broker()?, topic)
    }

    /// To a topic of other brokers.
    pub(crate) fn at(brokers: &str, topic: &str) -> Result<Self> {
        Ok(Self { producer: config(brokers).create()?, topic: topic.to_owned() })
    }

    /// Send one message to a partition.
    pub(crate) fn send(&self, partition: i32, value: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Wait until the broker has everything.
    pub(crate) fn flush(&self) -> Result<()> {
        self.producer.flush(PATIENCE).context("the broker does not take the messages")
    }
}
