//! Every message is one event, in the order of its partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};
use serde_json::{Value as Json, json};

use crate::cluster::{Sender, create, fresh};
use crate::world::{World, data_dir, events, numbers};

pub(crate) const PARTITIONS: i32 = 4;

/// Rows without an id: nothing but offsets keeps a message from being taken twice.
pub(crate) fn project(topic: &str) -> String {
    format!(
        "kind: Project\nname: {topic}\n---\nkind: Source\nname: ticks\n\
         schema: {{sent: timestamp, part: int64, n: int64}}\nevent_time: sent\n\
         stream: {{kafka: {{topic: {topic}, format: json, timestamp: sent}}}}\n---\n\
         kind: FeatureView\nname: parts\nentity: [part]\nfrom: ticks\n\
         aggregates: [{{name: seen, op: count, windows: [1h]}}]\n"
    )
}

/// Send messages to every partition of a topic of the shared broker.
fn send(topic: &str, stop: Arc<AtomicBool>) -> Result<Sending> {
    Ok(send_to(Sender::new(topic)?, stop))
}

/// How many messages there are in each partition, once it has ended.
pub(crate) type Sending = std::thread::JoinHandle<Result<i64>>;

/// Send messages to every partition, in turn, until told to stop.
pub(crate) fn send_to(sender: Sender, stop: Arc<AtomicBool>) -> Sending {
    std::thread::spawn(move || {
        let mut n = 0;
        while !stop.load(Ordering::Acquire) {
            for part in 0..PARTITIONS {
                sender.send(part, json!({"part": part, "n": n}).to_string().as_bytes())?;
            }
            n += 1;
            if n % 100 == 0 {
                sender.flush()?;
            }
        }
        sender.flush()?;
        Ok(n)
    })
}

pub(crate) fn sent(sending: Sending) -> Result<BTreeMap<i64, Vec<i64>>> {
    let count = sending.join().map_err(|_| anyhow!("the sender panicked"))??;
    Ok((0..i64::from(PARTITIONS)).map(|part| (part, (0..count).collect())).collect())
}

pub(crate) fn caught_up(source: &Json) -> bool {
    source["lag"] == 0 && source["partitions"] == PARTITIONS
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_one_event_in_order_however_often_the_service_is_killed() -> Result<()> {
    let (topic, data) = (fresh("killed"), data_dir()?);
    create(&topic, PARTITIONS).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let sending = send(&topic, Arc::clone(&stop))?;
    let mut world = World::start(data.path())?;
    world.apply(&project(&topic)).await?;
    for kill in 1..=2 {
        world.head(kill * 3_000).await?;
        drop(world);
        world = World::start(data.path())?;
    }
    world.source(|source| source["partitions"] == PARTITIONS).await?;
    stop.store(true, Ordering::Release);
    let expected = sent(sending)?;
    let total: usize = expected.values().map(Vec::len).sum();
    world.head(total as u64).await?;
    world.source(caught_up).await?;
    let metrics = world.metrics().await?;
    assert!(metrics.contains("perennial_source_lag_records{source=\"ticks\"} 0"), "{metrics}");
    world.stop()?;
    assert_eq!(numbers(&events(data.path())?), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_pass_between_two_services_without_loss_or_repetition() -> Result<()> {
    let (topic, first_data, second_data) = (fresh("shared"), data_dir()?, data_dir()?);
    create(&topic, PARTITIONS).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let sending = send(&topic, Arc::clone(&stop))?;
    let first = World::start(first_data.path())?;
    first.apply(&project(&topic)).await?;
    first.source(|source| source["partitions"] == PARTITIONS).await?;
    first.head(1_000).await?;

    let second = World::start(second_data.path())?;
    second.apply(&project(&topic)).await?;
    second.source(|source| source["partitions"] == PARTITIONS / 2).await?;
    first.source(|source| source["partitions"] == PARTITIONS / 2).await?;
    second.head(1_000).await?;

    first.stop()?;
    second.source(|source| source["partitions"] == PARTITIONS).await?;
    stop.store(true, Ordering::Release);
    let expected = sent(sending)?;
    second.source(caught_up).await?;
    second.stop()?;

    let (mut first, second) = (numbers(&events(first_data.path())?), numbers(&events(second_data.path())?));
    for log in [&first, &second] {
        assert!(log.values().all(|numbers| numbers.is_sorted()), "a log has the order of each partition");
    }
    for (part, numbers) in second {
        first.entry(part).or_default().extend(numbers);
    }
    first.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(first, expected);
    Ok(())
}
