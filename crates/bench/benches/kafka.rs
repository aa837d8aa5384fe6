//! From a topic of Kafka to servable features: what lies in it already is read as fast as it goes.
//!
//! `cargo xtask bench kafka`. A benchmark of cargo's, apart from the others, because the client of Kafka is a
//! dependency of tests alone.

#[path = "../src/client.rs"]
mod client;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../src/data.rs"]
mod data;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../src/report.rs"]
mod report;
#[path = "../src/service.rs"]
mod service;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../src/wire.rs"]
mod wire;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perennial_testkit::Broker;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value as Json;

use client::{Connection, get};
use data::payments;
use report::{Report, Spent};
use service::Service;
use wire::{TEN, check_counts, project, until_now, write_line};

const DEFAULT_EVENTS: usize = 1_000_000;
const PARTITIONS: i32 = 4;
/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let events = std::env::var("PERENNIAL_EVENTS").ok().map(|text| text.parse()).transpose()?;
    let mut payments = payments(events.unwrap_or(DEFAULT_EVENTS));
    until_now(&mut payments);
    let directory = std::env::temp_dir().join(format!("perennial-bench-broker-{}", std::process::id()));
    let broker = Broker::start(&directory)?;
    let topic = format!("bench-{}", std::process::id());
    fill(broker.address(), &topic, &payments)?;
    let mut report = Report::new("kafka");
    let stream = format!("{{kafka: {{topic: {topic}, format: json}}}}");
    let service = Service::start(&project(&stream, TEN), None, &["--kafka-brokers", broker.address()])?;
    let spent = read(&service, payments.len())?;
    check_counts(&mut Connection::open(service.address())?, &payments)?;
    service.stop()?;
    report.rate("messages, if one core were free", "events/s", payments.len(), &[spent], 300_000.0);
    report.micros("CPU time of a message, service", payments.len(), &[spent]);
    report.end();
    report.print();
    Ok(())
}

/// Have the payments in a new topic.
fn fill(broker: &str, topic: &str, payments: &[data::Payment]) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("linger.ms", "20");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let wanted = [NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))];
    let making = admin.create_topics(&wanted, &AdminOptions::new());
    let made = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(making)?;
    ensure!(made.iter().all(Result::is_ok), "the topic was not made: {made:?}");
    let producer: BaseProducer = config.create()?;
    let mut line = Vec::new();
    for (number, payment) in payments.iter().enumerate() {
        line.clear();
        write_line(payment, number, &mut line)?;
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(line.trim_ascii_end());
        while let Err((error, back)) = producer.send(record) {
            let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            ensure!(full, "the producer takes nothing: {error}");
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).context("the broker does not take the messages")
}

/// Wait until everything is servable; what that took from when the first message was.
fn read(service: &Service, count: usize) -> Result<Spent> {
    let mut connection = Connection::open(service.address())?;
    let asked = Instant::now();
    let mut begun = None;
    loop {
        let sources: Json = serde_json::from_slice(connection.ask(&get("/v1/sources"))?)?;
        let source = &sources["items"][0];
        let accepted = source["accepted"].as_u64().unwrap_or(0);
        if accepted > 0 && begun.is_none() {
            begun = Some((Instant::now(), service.cpu()?));
        }
        if accepted >= count as u64
            && let Some((since, cpu)) = begun
        {
            return Ok(Spent { cpu: service.cpu()? - cpu, wall: since.elapsed() });
        }
        ensure!(asked.elapsed() < 5 * PATIENCE, "the source stays at {source}");
        thread::sleep(Duration::from_millis(5));
    }
}
