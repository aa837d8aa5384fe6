//! Claims about recent actions: lists of the last events of an entity, summarised when they are asked for.

use std::collections::VecDeque;

use perennial_control::DataRange;
use perennial_features::EntityKey;
use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_pipeline::{Audits, Builder, PredictionRecord};
use perennial_types::{Position, Stream, TimeSpan, Timestamp, Value};

use crate::world::{Opening, PROJECT, World, minute};

fn project() -> String {
    PROJECT
        .replacen("name: taxi", "name: taxi\naudit: {entities: 1}", 1)
        .replacen("derived: {", "recent: {rides: {columns: [fare, at], last: 5, within: 96h}}\nderived: {", 1)
        .replacen(
            "on_demand: {far: \"km * km\"}",
            "on_demand:\n  far: \"km * km\"\n  spent: \"list_sum(zone.rides_fare_4d)\"\n  \
             as_far: \"list_count_of(zone.rides_fare_4d, km)\"\n  newest: \"zone.rides_fare_4d[-1]\"\n  \
             rides: \"len(zone.rides_at_4d)\"",
            1,
        )
        .replacen("[km, far, zone.*]", "[km, far, spent, as_far, newest, rides, zone.fare_avg_2h]", 1)
}

fn world() -> World {
    let world = World::empty(Opening::default());
    world.apply(&project(), minute(-1));
    world.play(0..300);
    world
}

/// The last five fares and times of a zone by the events alone, those of four days that are over by `at`.
fn oracle(world: &World, zone: &str, at: Timestamp) -> (Vec<f64>, Vec<Timestamp>) {
    let mut rides: Vec<(Timestamp, Position, f64)> = Vec::new();
    for record in world.records().into_iter().filter(|record| record.entry.stream == Stream::Event) {
        let row: serde_json::Value = serde_json::from_slice(&record.entry.payload).unwrap();
        let time = record.entry.event_time;
        if row["zone"] == zone && time < at && time >= at - TimeSpan::from_days(4) {
            rides.push((time, record.position, row["fare"].as_f64().unwrap()));
        }
    }
    rides.sort_by_key(|(time, position, _)| (*time, *position));
    let mut last: VecDeque<_> = rides.into();
    while last.len() > 5 {
        last.pop_front();
    }
    last.into_iter().map(|(time, _, fare)| (fare, time)).unzip()
}

#[test]
fn the_last_events_are_those_of_the_log() {
    let world = world();
    let views = world.pipeline.engine().views();
    let view = &views[0];
    let place = |name: &str| view.outputs().index_of(name).unwrap();
    for (zone, at) in [("z0", 2_990), ("z1", 3_000), ("z2", 7_000), ("z2", 20_000)] {
        let key = EntityKey::from_values(&[Value::String(zone.into())]);
        let reading = world.pipeline.engine().read(view.version(), &key, minute(at)).unwrap();
        let (fares, times) = oracle(&world, zone, minute(at));
        let list =
            |name: &str| reading.values[place(name)].as_list().map(<[Value]>::to_vec).unwrap_or_default();
        let wanted: Vec<Value> = fares.into_iter().map(Value::Double).collect();
        assert_eq!(list("zone.rides_fare_4d"), wanted, "{zone} at {at}");
        let wanted: Vec<Value> = times.into_iter().map(Value::Timestamp).collect();
        assert_eq!(list("zone.rides_at_4d"), wanted, "{zone} at {at}");
    }
}

#[test]
fn summaries_are_the_same_online_and_in_backfill() {
    let world = world();
    let to = world.pipeline.head();
    let range =
        DataRange { after: Position::START, to, since: None, replay_rows: 0, holdout_rows: 0, at_most: None };
    let as_served = world.with_builder(|builder| builder.build(&range).unwrap());
    // The same log without what was served.
    let mut entries = Vec::new();
    for mut record in world.records() {
        if record.entry.stream == Stream::Prediction {
            let mut payload: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
            payload.views.clear();
            record.entry.payload = serde_json::to_vec(&payload).unwrap();
        }
        entries.push(record.entry);
    }
    let dir = tempfile::tempdir().unwrap();
    let log =
        Log::open(std::sync::Arc::new(SystemFiles), LogOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
    let reader = log.reader();
    let replayed =
        world.with_builder(|builder| Builder { reader: &reader, ..builder }.build(&range).unwrap());
    assert_eq!(replayed, as_served);
    assert!(as_served.training.labels.len() > 50);
    log.close();
    let audits = Audits::follow(world.pipeline.clone()).unwrap();
    audits.caught_up().unwrap();
    assert_eq!(audits.look(|figures| (figures.compared, figures.differences.len())), (300, 0));
    audits.close().unwrap();
}
