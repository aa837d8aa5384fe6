//! Claims about a bound on memory: what is served is the same, also after a crash, and a view's trouble is its own.

use std::fs;
use std::path::{Path, PathBuf};

use perennial_features::{EntityKey, Reading};
use perennial_types::{ContentHash, Position, Stream, Value, hash64};
use serde_json::json;

use crate::world::{Opening, PROJECT, World, minute, with_a_second_view};

const ZONES: u64 = 200;
/// A fraction of what the state of the zones takes.
const TIGHT: u64 = 40_000;

fn bounded(bytes: u64) -> Opening {
    Opening { memory_bytes: Some(bytes), ..Opening::default() }
}

fn started(opening: Opening) -> World {
    let world = World::empty(opening);
    world.apply(&with_a_second_view(), minute(-1));
    world
}

/// A step is ten minutes with forty rides, some of them late; busy zones have more of them.
fn ride(world: &World, steps: std::ops::Range<i64>) {
    for step in steps {
        let row = |i: i64| {
            let draw = hash64(5, &[&step.to_string(), &i.to_string()]);
            let zone = (draw % ZONES).min(draw / ZONES % ZONES);
            let late = if draw.is_multiple_of(13) { 150 } else { 1 };
            let fare = (draw % 10_007) as f64 / 97.0;
            let id = format!("r{step}-{i}");
            json!({"id": id, "at": minute(step * 10 - late), "zone": format!("z{zone}"), "fare": fare})
                .to_string()
        };
        let rows: Vec<String> = (0..40).map(row).collect();
        assert_eq!(world.ingest("rides", &rows.join("\n"), minute(step * 10)).accepted, 40);
    }
}

fn versions(world: &World) -> Vec<ContentHash> {
    world.pipeline.engine().views().iter().map(|view| view.version()).collect()
}

/// Every zone by every view, and a zone without events.
fn readings(world: &World, step: i64) -> Vec<Reading> {
    let engine = world.pipeline.engine();
    let read = |zone: u64, view| {
        let key = EntityKey::from_values(&[Value::String(format!("z{zone}").into())]);
        engine.read(view, &key, minute(step * 10)).unwrap()
    };
    let views = versions(world);
    (0..=ZONES).flat_map(|zone| views.iter().map(move |view| read(zone, *view))).collect()
}

fn assert_same(expected: &World, found: &World, step: i64) {
    let (expected_readings, found_readings) = (readings(expected, step), readings(found, step));
    for (expected, found) in expected_readings.iter().zip(&found_readings) {
        // Debug writes a double with all its bits.
        assert_eq!(format!("{expected:?}"), format!("{found:?}"));
    }
    for view in versions(expected) {
        let counts = |world: &World| world.pipeline.engine().counts(view).unwrap();
        assert_eq!(counts(expected), counts(found));
    }
}

fn spilled(world: &World) -> usize {
    versions(world).iter().map(|view| world.pipeline.engine().state(*view).unwrap().spilled).sum()
}

#[test]
fn a_bound_on_memory_changes_no_bit_of_what_is_served() {
    let free = started(Opening::default());
    for shards in [1, 3] {
        let tight = started(Opening { shards: Some(shards), snapshot_every: Some(333), ..bounded(TIGHT) });
        for step in 0..20 {
            if shards == 1 {
                ride(&free, step..step + 1);
            }
            ride(&tight, step..step + 1);
        }
        assert_same(&free, &tight, 20);
        let memory = tight.pipeline.engine().memory();
        assert!(spilled(&tight) > 100, "{}", spilled(&tight));
        assert!(memory.held <= memory.limit, "{memory:?}");
        assert!(memory.disk_reads > 100);
        let held: u64 = versions(&tight)
            .iter()
            .map(|view| tight.pipeline.engine().state(*view).unwrap().memory_bytes)
            .sum();
        assert_eq!(held, memory.held);
    }
}

#[test]
fn after_a_crash_the_state_is_that_of_an_undisturbed_run() {
    let free = started(Opening::default());
    ride(&free, 0..24);
    for (n, snapshot_every) in [(0, 97), (1, 400), (2, u64::MAX >> 1)] {
        let opening = || Opening { snapshot_every: Some(snapshot_every), ..bounded(TIGHT) };
        let tight = started(opening());
        ride(&tight, 0..11);
        let crashed = tight.crashed(&format!("first{n}"), opening()).unwrap();
        ride(&crashed, 11..17);
        let crashed = crashed.crashed(&format!("second{n}"), opening()).unwrap();
        ride(&crashed, 17..20);
        let reopened = crashed.reopened(opening());
        assert!(n == 2 || spilled(&reopened) > 0);
        ride(&reopened, 20..24);
        assert_same(&free, &reopened, 24);
    }
}

#[test]
fn a_clean_stop_leaves_the_keys_where_a_start_finds_them() {
    let tight = started(bounded(TIGHT));
    ride(&tight, 0..10);
    let keys: Vec<_> = versions(&tight).iter().map(|view| tight.pipeline.engine().counts(*view)).collect();
    let tight = tight.reopened(bounded(TIGHT));
    let found: Vec<_> = versions(&tight).iter().map(|view| tight.pipeline.engine().counts(*view)).collect();
    assert_eq!(keys, found);
    assert_eq!(spilled(&tight), found.iter().flatten().map(|(keys, _)| keys).sum::<usize>());
    // What was on disk alone fits into memory now, and whole snapshots are made from it again.
    let free = started(Opening::default());
    ride(&free, 0..12);
    let roomy = tight.reopened(Opening::default());
    ride(&roomy, 10..12);
    assert_same(&free, &roomy, 12);
}

/// The files of the views' keys.
fn key_files(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![data.join("state")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// What happens to a data directory.
type Harm = fn(&Path);

#[test]
fn state_that_is_missing_cut_or_damaged_is_made_anew_from_the_log() {
    let free = started(Opening::default());
    ride(&free, 0..12);
    let opening = || Opening { snapshot_every: Some(150), ..bounded(TIGHT) };
    let tight = started(opening());
    ride(&tight, 0..10);
    let harm: [(&str, Harm); 5] = [
        ("gone", |data| fs::remove_dir_all(data.join("state")).unwrap()),
        ("one-gone", |data| fs::remove_file(&key_files(data)[0]).unwrap()),
        ("cut", |data| {
            let file = fs::OpenOptions::new().write(true).open(&key_files(data)[1]).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("flipped", |data| {
            for path in key_files(data) {
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 3;
                bytes[middle] ^= 4;
                fs::write(&path, bytes).unwrap();
            }
        }),
        ("older-snapshot", |data| fs::remove_file(crate::world::snapshots(data).pop().unwrap()).unwrap()),
    ];
    for (name, harm) in harm {
        let data = tight.copy(name);
        harm(&data);
        let opened = World::at(&tight, data, opening()).unwrap_or_else(|error| panic!("{name}: {error}"));
        ride(&opened, 10..12);
        assert_same(&free, &opened, 12);
    }
}

#[test]
fn files_of_views_that_are_gone_are_removed() {
    let tight = started(bounded(TIGHT));
    ride(&tight, 0..4);
    tight.state();
    let dirs = |world: &World| fs::read_dir(world.data.join("state")).unwrap().count();
    assert_eq!(dirs(&tight), 2);
    tight.apply(PROJECT, minute(100));
    tight.state();
    assert_eq!(dirs(&tight), versions(&tight).len());
}

#[test]
fn a_record_that_its_source_cannot_say_stops_the_views_of_that_source_alone() {
    let view = "
kind: FeatureView
name: known
entity: [id]
from: imported
aggregates: [{name: n, op: sum, of: n, windows: [3d]}]
---
kind: Model
";
    let world = World::empty(Opening::default());
    world.apply(&PROJECT.replace("kind: Model\n", view.trim_start()), minute(-1));
    ride(&world, 0..1);
    let engine = world.pipeline.engine();
    let version =
        |name: &str| engine.views().iter().find(|view| &*view.spec().name == name).unwrap().version();
    let (known, zone) = (version("known"), version("zone"));
    assert_eq!(engine.trouble(known), None);
    let position = world.append(Stream::Event, "imported", "x", minute(11), b"{\"id\": 7}".to_vec());
    ride(&world, 2..3);
    let reason = engine.trouble(known).unwrap();
    assert!(reason.starts_with(&format!("record {position} cannot be understood: ")), "{reason}");
    let key = EntityKey::from_values(&[Value::String("z1".into())]);
    assert_eq!(engine.read(known, &key, minute(40)), None);
    assert_eq!(engine.trouble(zone), None);
    assert!(engine.read(zone, &key, minute(40)).unwrap().seen > position);
    // After a start it is the same: the record is in the log.
    let reopened = world.reopened(Opening::default());
    let engine = reopened.pipeline.engine();
    assert!(engine.trouble(known).is_some());
    assert!(engine.read(zone, &key, minute(40)).unwrap().seen > Position(40));
}
