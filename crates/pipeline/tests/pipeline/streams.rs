//! Claims about sources that follow from others: live, after a crash, in backfill, in training sets and in audits
//! their events are the same.

use std::sync::Arc;

use perennial_control::DataRange;
use perennial_features::{EntityKey, Reading};
use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_pipeline::{AuditOptions, Auditor, Builder, PredictionRecord};
use perennial_types::{Entry, Kind, Position, Stream, Timestamp, Value, hash64};
use serde_json::json;

use crate::world::{Opening, PROJECT, World, minute};

/// Rides with their tips, with what is known of their zone, and both as money.
const STREAMS: &str = r#"
kind: Source
name: tips
schema: {ride: string, at: timestamp, tip: double}
event_time: at
lateness: 30m
dedupe: {by: ride, within: 1d}
---
kind: Source
name: zones
schema: {zone: string, size: double, shape: list<double>}
event_time: arrival
---
kind: Source
name: tipped
stream: {join: {left: rides, right: tips, on: {id: ride}, within: 2h, before: 10m, columns: {tip: tips.tip}}}
event_time: tipped_at
---
kind: Source
name: placed
stream: {enrich: {of: rides, by: zones, on: [zone]}}
---
kind: Source
name: money
stream: {union: {rides: {zone: zone, amount: fare}, tipped: {zone: zone, amount: tip}}}
event_time: at
---
kind: FeatureView
name: tips_of
entity: [zone]
from: tipped
aggregates: [{name: tip, op: [count, sum], of: tip, windows: [1d]}]
---
kind: FeatureView
name: place
entity: [zone]
from: placed
aggregates:
  - {name: dense, op: sum, of: fare / size, windows: [1d]}
  - {name: shape, op: avg, of: shape, windows: [1d]}
---
kind: FeatureView
name: money_of
entity: [zone]
from: money
aggregates: [{name: amount, op: [count, sum], of: amount, windows: [6h], tail: exact}]
---
"#;

/// The views of derived sources.
const VIEWS: [&str; 3] = ["tips_of", "place", "money_of"];

fn project() -> String {
    let features = "features: [zone.*, tips_of.*, place.dense_1d, money_of.*]";
    PROJECT
        .replace("kind: Model\n", &format!("{}kind: Model\n", STREAMS.trim_start()))
        .replace("features: [zone.*]", features)
        .replace("zone.*], fn", "zone.*, tips_of.*, place.dense_1d, money_of.*], fn")
}

fn send(world: &World, source: &str, row: &serde_json::Value, at: i64) {
    let ingested = world.ingest(source, &row.to_string(), minute(at));
    assert_eq!(ingested.refused, []);
}

/// Rides, requests and labels, and beside them tips of earlier or later rides, some twice, and zones that change.
fn play(world: &World, steps: std::ops::Range<i64>) {
    for step in steps {
        let draw = hash64(7, &[&step.to_string()]);
        let now = step * 10;
        // Its ride comes later, was, or was long ago.
        let ride = step + [1, 0, -3, -10, -20][(draw % 5) as usize];
        if draw.is_multiple_of(3) {
            let tip =
                json!({"ride": format!("r{ride}"), "at": minute(now - 2), "tip": (draw % 97) as f64 / 7.0});
            send(world, "tips", &tip, now);
            if draw.is_multiple_of(2) {
                send(world, "tips", &tip, now);
            }
        }
        if draw.is_multiple_of(13) {
            let size = (draw % 11) as f64 + 0.5;
            let zone =
                json!({"zone": format!("z{}", draw % 2), "size": size, "shape": [size, 1.0, draw % 5]});
            send(world, "zones", &zone, now);
        }
        world.play(step..step + 1);
    }
}

fn played(opening: Opening, steps: i64) -> World {
    let world = World::empty(opening);
    world.apply(&project(), minute(-1));
    play(&world, 0..steps);
    world
}

fn readings(world: &World, at: i64) -> Vec<Reading> {
    let declared = world.pipeline.declared();
    let compiled = &declared.goal().unwrap().compiled;
    let mut readings = Vec::new();
    for view in VIEWS.into_iter().chain(["zone"]) {
        let version = compiled.view(view).unwrap().version();
        for zone in ["z0", "z1", "z2"] {
            let key = EntityKey::from_values(&[Value::String(zone.into())]);
            readings.push(world.pipeline.engine().read(version, &key, minute(at)).unwrap());
        }
    }
    readings
}

#[test]
fn what_follows_is_what_the_rows_say() {
    let world = World::empty(Opening::default());
    world.apply(&project(), minute(-1));
    let ride = |id: &str, at: i64, fare: f64| json!({"id": id, "at": minute(at), "zone": "x", "fare": fare});
    let tip = |ride: &str, at: i64, tip: f64| json!({"ride": ride, "at": minute(at), "tip": tip});
    send(&world, "rides", &ride("a", 0, 8.0), 1);
    send(&world, "zones", &json!({"zone": "x", "size": 2.0, "shape": [1.0, 3.0]}), 2);
    send(&world, "rides", &ride("b", 3, 6.0), 4);
    send(&world, "tips", &tip("a", 5, 1.0), 6);
    send(&world, "tips", &tip("a", 7, 100.0), 7);
    send(&world, "tips", &tip("c", 8, 2.0), 9);
    send(&world, "rides", &ride("c", 10, 4.0), 11);
    send(&world, "tips", &tip("b", 200, 50.0), 201);
    let declared = world.pipeline.declared();
    let read = |view: &str| {
        let version = declared.goal().unwrap().compiled.view(view).unwrap().version();
        let key = EntityKey::from_values(&[Value::String("x".into())]);
        world.pipeline.engine().read(version, &key, minute(202)).unwrap()
    };
    // The second tip of a ride repeats the first, and that of "b" comes after more than two hours.
    assert_eq!(read("tips_of").values, [Value::Int64(2), Value::Double(3.0)]);
    assert_eq!(read("tips_of").seen, Position(8), "where the ride with a tip stands");
    let shape = Value::List([Value::Double(1.0), Value::Double(3.0)].into());
    assert_eq!(read("place").values, [Value::Double(5.0), shape]);
    assert_eq!(read("money_of").values, [Value::Int64(5), Value::Double(21.0)]);
}

#[test]
fn a_crash_a_stop_and_other_snapshots_change_nothing() {
    let expected = played(Opening::default(), 60);
    for snapshot_every in [u64::MAX >> 1, 17, 50] {
        let opening = || Opening { snapshot_every: Some(snapshot_every), ..Opening::default() };
        let mut world = played(opening(), 20);
        world = world.reopened(opening());
        play(&world, 20..40);
        let crashed = world.crashed("crashed", opening()).unwrap();
        play(&crashed, 40..60);
        assert_eq!(readings(&crashed, 600), readings(&expected, 600), "a snapshot every {snapshot_every}");
        assert!(crashed.state() == expected.state(), "a snapshot every {snapshot_every} changes the state");
    }
}

#[test]
fn views_that_are_declared_later_are_those_that_were_there_from_the_beginning() {
    // Positions are others: declarations stand in the log too.
    let known = |world: &World| -> Vec<(Vec<Value>, Option<Timestamp>)> {
        readings(world, 900).into_iter().map(|reading| (reading.values, reading.latest)).collect()
    };
    let expected = known(&played(Opening::default(), 90));
    let known_to_all = expected.iter().filter(|(_, latest)| latest.is_some());
    assert_eq!(known_to_all.count(), 11, "nothing was told of the third zone: {expected:?}");
    for shards in [1, 3] {
        let world = World::empty(Opening { shards: Some(shards), ..Opening::default() });
        // Everything but the views, then one of them, then all.
        let views = project()
            .replace("features: [zone.*, tips_of.*, place.dense_1d, money_of.*]", "features: [zone.*]");
        let views = views.replace("zone.*, tips_of.*, place.dense_1d, money_of.*], fn", "zone.*], fn");
        let documents: Vec<&str> = views.split("---\n").collect();
        let without = |left_out: &[&str]| {
            let kept = documents
                .iter()
                .filter(|text| !left_out.iter().any(|name| text.contains(&format!("name: {name}\n"))));
            kept.copied().collect::<Vec<_>>().join("---\n")
        };
        world.apply(&without(&VIEWS), minute(-1));
        play(&world, 0..40);
        world.apply(&without(&["place", "money_of"]), minute(400));
        play(&world, 40..60);
        world.apply(&project(), minute(600));
        play(&world, 60..90);
        assert_eq!(known(&world), expected, "{shards} shards");
    }
}

#[test]
fn audits_and_training_sets_see_what_was_served() {
    let world = played(Opening::default(), 150);
    for (batch, shards) in [(1, 1), (7, 2), (100_000, 3)] {
        let audit =
            Auditor::new(AuditOptions { batch, shards, share: 1.0 }).run(world.reader(), |_| {}).unwrap();
        assert_eq!((audit.differences.len(), audit.not_compared), (0, 0), "{:?}", audit.differences.first());
        assert_eq!(audit.predictions, 150);
    }
    let to = world.pipeline.head();
    let range =
        DataRange { after: Position::START, to, since: None, replay_rows: 0, holdout_rows: 0, at_most: None };
    let served = world.with_builder(|builder| builder.build(&range).unwrap());
    assert!(served.training.labels.len() > 30);
    // The same log without what was served.
    let entries: Vec<Entry> = world
        .records()
        .into_iter()
        .map(|mut record| {
            if record.entry.stream == Stream::Prediction {
                let mut payload: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
                payload.views.clear();
                record.entry.payload = serde_json::to_vec(&payload).unwrap();
            }
            record.entry
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(Arc::new(SystemFiles), LogOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
    let reader = log.reader();
    let replayed =
        world.with_builder(|builder| Builder { reader: &reader, ..builder }.build(&range).unwrap());
    assert_eq!(served, replayed);
    let streams = served.dataset.unwrap().streams;
    let streams: Vec<&str> = streams.iter().map(|stream| &**stream).collect();
    assert_eq!(streams, ["prediction.fare", "feedback.fare", "event.rides", "event.tips", "event.zones"]);
    log.close();
}

#[test]
fn a_derived_source_takes_no_rows() {
    let world = played(Opening::default(), 0);
    let refused = world.pipeline.ingest("tipped", b"{}", minute(1)).err().unwrap();
    assert_eq!(refused.kind(), Kind::Invalid);
    assert_eq!(
        refused.to_string(),
        "source \"tipped\" takes no rows: its rows follow from rides and tips; send to those"
    );
}

#[test]
fn a_source_may_grow_by_a_column_that_its_views_do_not_read() {
    let world = played(Opening::default(), 30);
    let grown =
        project().replace("zone: string, fare: double}", "zone: string, note: string?, fare: double}");
    world.apply(&grown, minute(300));
    let row = json!({"id": "n", "at": minute(299), "zone": "z1", "fare": 2.0, "note": "new"});
    send(&world, "rides", &row, 300);
    play(&world, 31..60);
    let expected = World::empty(Opening::default());
    expected.apply(&grown, minute(-1));
    play(&expected, 0..30);
    send(&expected, "rides", &row, 300);
    play(&expected, 31..60);
    let values = |world: &World| -> Vec<Vec<Value>> {
        readings(world, 600).into_iter().map(|reading| reading.values).collect()
    };
    assert_eq!(values(&world), values(&expected));
    let reopened = world.reopened(Opening::default());
    assert_eq!(values(&reopened), values(&expected));
}

#[test]
fn a_table_from_a_file_is_what_a_source_is_enriched_by() {
    let world = played(Opening::default(), 0);
    let file = world.data.join("zones.csv");
    std::fs::write(&file, "size,zone,shape,note\n2.5,x,\"[1.0,-0.5]\",left out\n4.0,y,[],\n").unwrap();
    let declared = world.pipeline.declared();
    let goal = declared.goal().unwrap();
    let zones = goal.project.sources.iter().find(|source| &*source.name == "zones").unwrap();
    for row in perennial_log::files::rows(&file, zones).unwrap() {
        send(&world, "zones", &row.unwrap(), 1);
    }
    let ride = json!({"id": "a", "at": minute(1), "zone": "x", "fare": 10.0});
    send(&world, "rides", &ride, 2);
    let version = goal.compiled.view("place").unwrap().version();
    let key = EntityKey::from_values(&[Value::String("x".into())]);
    let reading = world.pipeline.engine().read(version, &key, minute(3)).unwrap();
    let shape = Value::List([Value::Double(1.0), Value::Double(-0.5)].into());
    assert_eq!(reading.values, [Value::Double(4.0), shape]);
    // A table is read again when it has changed: what it says later counts for later rows.
    send(&world, "zones", &json!({"zone": "x", "size": 5.0, "shape": [3.0, 0.5]}), 4);
    send(&world, "rides", &json!({"id": "b", "at": minute(5), "zone": "x", "fare": 10.0}), 6);
    let reading = world.pipeline.engine().read(version, &key, minute(7)).unwrap();
    let shape = Value::List([Value::Double(2.0), Value::Double(0.0)].into());
    assert_eq!(reading.values, [Value::Double(6.0), shape]);
}

#[test]
fn a_version_that_still_serves_reads_rows_with_columns_that_it_does_not_know() {
    let world = World::new();
    let row = |id: &str, fare: f64| json!({"id": id, "at": minute(1), "zone": "x", "fare": fare});
    send(&world, "rides", &row("a", 1.0), 2);
    // The source grows, and its view with it: the old version serves until the two were compared.
    let grown = PROJECT.replacen("fare: double}", "fare: double, toll: double?}", 1);
    let grown = grown.replacen(
        "of: fare, windows: [2h, 1d]",
        "of: \"fare + COALESCE(toll, 0.0)\", windows: [2h, 1d]",
        1,
    );
    world.apply(&grown, minute(3));
    let mut tolled = row("b", 3.0);
    tolled["toll"] = json!(10.0);
    send(&world, "rides", &tolled, 4);
    world.block(world.pipeline.settled()).unwrap();
    let key = EntityKey::from_values(&[Value::String("x".into())]);
    let read =
        |version| world.pipeline.engine().read(version, &key, minute(5)).map(|found| found.values[0].clone());
    let mut found: Vec<Option<f64>> = world
        .pipeline
        .engine()
        .views()
        .iter()
        .map(|view| read(view.version()).and_then(|value| value.as_f64()))
        .collect();
    found.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(found, [Some(2.0), Some(7.0)], "the average fare without the toll, and with it");
}
