//! Brokers that fail, as librdkafka's mock cluster plays them: what is read is read once all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer};

use crate::cluster::{Sender, fresh};
use crate::once::{PARTITIONS, caught_up, project, send_to, sent};
use crate::world::{World, data_dir, events, numbers};

const BROKERS: i32 = 3;

/// What brokers answer for a while: errors that pass, in the requests of a reader.
const FAULTS: [(Request, &[Answer]); 8] = [
    (
        Request::Fetch,
        &[
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            Answer::RD_KAFKA_RESP_ERR_UNKNOWN,
        ],
    ),
    // A transport error is a connection that is cut in the middle of an answer.
    (Request::Fetch, &[Answer::RD_KAFKA_RESP_ERR__TRANSPORT, Answer::RD_KAFKA_RESP_ERR__TRANSPORT]),
    (Request::Metadata, &[Answer::RD_KAFKA_RESP_ERR__TRANSPORT]),
    (Request::Heartbeat, &[Answer::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, Answer::RD_KAFKA_RESP_ERR__TRANSPORT]),
    (Request::OffsetCommit, &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE]),
    (
        Request::OffsetFetch,
        &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, Answer::RD_KAFKA_RESP_ERR__TRANSPORT],
    ),
    (Request::JoinGroup, &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE]),
    (Request::ListOffsets, &[Answer::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE]),
];

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Have everything of [`FAULTS`] happen once, then each broker go and come back.
async fn disturb(cluster: &Cluster, world: &World, from: u64) -> Result<()> {
    let mut head = from;
    for (request, answers) in FAULTS {
        cluster.request_errors(request, answers);
        head += 300;
        world.head(head).await?;
    }
    for broker in 1..=BROKERS {
        cluster.broker_down(broker)?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.broker_up(broker)?;
        head += 300;
        world.head(head).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_one_event_whatever_the_brokers_answer() -> Result<()> {
    let (topic, data) = (fresh("faults"), data_dir()?);
    let cluster: Cluster = MockCluster::new(BROKERS)?;
    cluster.create_topic(&topic, PARTITIONS, BROKERS)?;
    let brokers = cluster.bootstrap_servers();
    let stop = Arc::new(AtomicBool::new(false));
    let sending = send_to(Sender::at(&brokers, &topic)?, Arc::clone(&stop));
    let world = World::start_at(data.path(), &brokers, &[])?;
    world.apply(&project(&topic)).await?;
    world.head(1_000).await?;
    let group = format!("perennial-{topic}-ticks");
    disturb(&cluster, &world, 1_000).await?;
    // Another broker answers for the group from now on.
    cluster.coordinator(MockCoordinator::Group(group), 2)?;
    // It dies while all of that may happen again.
    drop(world);
    let world = World::start_at(data.path(), &brokers, &[])?;
    world.source(|source| source["partitions"] == PARTITIONS).await?;
    stop.store(true, Ordering::Release);
    let expected = sent(sending)?;
    world.source(caught_up).await?;
    world.stop()?;
    assert_eq!(numbers(&events(data.path())?), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_told_while_no_broker_answers_and_is_over_when_one_does() -> Result<()> {
    let (topic, data) = (fresh("gone"), data_dir()?);
    let cluster: Cluster = MockCluster::new(1)?;
    cluster.create_topic(&topic, 1, 1)?;
    let brokers = cluster.bootstrap_servers();
    cluster.broker_down(1)?;
    let world = World::start_at(data.path(), &brokers, &["--kafka-config", "reconnect.backoff.max.ms=500"])?;
    world.apply(&project(&topic)).await?;
    world.source(|source| source["trouble"].is_string()).await?;
    cluster.broker_up(1)?;
    let sender = Sender::at(&brokers, &topic)?;
    sender.send(0, br#"{"part": 0, "n": 0}"#)?;
    sender.flush()?;
    world.source(|source| source["accepted"] == 1 && source["trouble"].is_null()).await?;
    world.stop()
}
