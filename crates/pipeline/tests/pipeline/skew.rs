//! Claims about the skew audit.

use std::sync::Arc;

use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_pipeline::{Audit, AuditOptions, Auditor, PredictionRecord};
use perennial_types::{Entry, Position, Stream};
use serde_json::json;

use crate::world::{World, minute, with_a_second_view};

/// A history with a prediction before the first event, and a view that comes later.
fn history() -> World {
    let world = World::new();
    world.predict("first", 1.0, "z1", minute(-1));
    world.play(0..60);
    world.apply(&with_a_second_view(), minute(600));
    world.play(60..150);
    world
}

fn audit(reader: &perennial_log::LogReader, batch: usize, shards: usize) -> Audit {
    Auditor::new(AuditOptions { batch, shards, share: 1.0 }).run(reader, |_| {}).unwrap()
}

/// A log of these entries, read by the auditor.
fn audit_of(entries: Vec<Entry>) -> Audit {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(Arc::new(SystemFiles), LogOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
    let audit = audit(&log.reader(), 1_000, 2);
    log.close();
    audit
}

#[test]
fn a_clean_log_has_no_difference_whatever_the_batch_and_the_shards() {
    let world = history();
    let mut audits = Vec::new();
    for (batch, shards) in [(1, 1), (2, 3), (7, 2), (100_000, 5)] {
        let audit = audit(world.reader(), batch, shards);
        assert_eq!((audit.differences.len(), audit.not_compared), (0, 0), "batch {batch}, {shards} shards");
        audits.push(audit);
    }
    assert!(audits.windows(2).all(|pair| pair[0] == pair[1]));
    let views = world.pipeline.engine().views();
    let outputs = |name: &str| {
        let view = views.iter().find(|view| &*view.spec().name == name).unwrap();
        view.outputs().columns().len() as u64
    };
    assert_eq!((audits[0].events, audits[0].predictions), (150, 151));
    assert_eq!(audits[0].values, 151 * outputs("zone") + 90 * outputs("long"));
    assert_eq!(audits[0].records, world.pipeline.head().0);
}

#[test]
fn a_flipped_bit_of_one_served_value_is_the_one_difference() {
    let world = history();
    let records = world.records();
    let victim = records.iter().rposition(|record| record.entry.stream == Stream::Prediction).unwrap();
    let mut entries: Vec<Entry> = records.iter().map(|record| record.entry.clone()).collect();
    let mut payload: PredictionRecord = serde_json::from_slice(&entries[victim].payload).unwrap();
    let view = payload.views.iter_mut().find(|view| &*view.view == "zone").unwrap();
    let value = view.features.as_object_mut().unwrap().iter_mut().find(|(_, value)| value.is_f64()).unwrap();
    let (name, served) = (value.0.clone(), f64::from_bits(value.1.as_f64().unwrap().to_bits() ^ 1));
    *value.1 = json!(served);
    let zone = view.key["zone"].as_str().unwrap().to_owned();
    entries[victim].payload = serde_json::to_vec(&payload).unwrap();
    let audit = audit_of(entries);
    assert_eq!((audit.differences.len(), audit.not_compared), (1, 0));
    let skewed = &audit.differences[0];
    assert_eq!(
        (&*skewed.prediction, skewed.position),
        (&*records[victim].entry.id, Position(victim as u64 + 1))
    );
    assert_eq!((skewed.entity.as_str(), skewed.bits), (format!("zone={zone}").as_str(), 1));
    assert!(skewed.feature.ends_with(&name) && skewed.served == served.to_string(), "{skewed:?}");
}

#[test]
fn a_view_that_no_declaration_has_is_counted_as_not_compared() {
    let world = history();
    let mut entries: Vec<Entry> = world.records().into_iter().map(|record| record.entry).collect();
    let victim = entries.iter().rposition(|entry| entry.stream == Stream::Prediction).unwrap();
    let mut payload: PredictionRecord = serde_json::from_slice(&entries[victim].payload).unwrap();
    payload.views[0].version = perennial_types::ContentHash::of(b"of another project");
    entries[victim].payload = serde_json::to_vec(&payload).unwrap();
    let audit = audit_of(entries);
    assert_eq!((audit.differences.len(), audit.not_compared), (0, 1));
}
