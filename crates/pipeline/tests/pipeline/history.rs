//! Claims about history from files: the log that has it is the log of a service that was there all along.

use std::fs;

use perennial_features::EntityKey;
use perennial_log::table::write_table;
use perennial_pipeline::HistoryTaken;
use perennial_project::Project;
use perennial_types::{Schema, Stream, TimeSpan, Timestamp, Value, hash64};
use serde_json::json;

use crate::world::{Opening, PROJECT, World, minute};

fn project(history: &str) -> String {
    PROJECT.replace(
        "schema: {id: string, at: timestamp, zone: string, fare: double}\n",
        &format!(
            "schema: {{id: string, at: timestamp, zone: string, fare: double}}\nhistory: {{{history}}}\n"
        ),
    )
}

fn parsed(yaml: &str) -> Project {
    Project::parse(&[("taxi.yaml".into(), yaml.into())]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A ride: its id, minute, zone and fare.
fn ride(n: i64) -> (String, Timestamp, String, f64) {
    let draw = hash64(5, &[&n.to_string()]);
    (format!("r{n}"), minute(n * 7), format!("z{}", draw % 3), (draw % 9_973) as f64 / 91.0)
}

fn csv(rides: std::ops::Range<i64>) -> String {
    let lines = rides.map(ride).map(|(id, at, zone, fare)| format!("{id},{at},{zone},{fare:?}\n"));
    format!("id,at,zone,fare\n{}", lines.collect::<String>())
}

fn live(world: &World, rides: std::ops::Range<i64>) -> u64 {
    let sent = rides.map(ride).map(|(id, at, zone, fare)| {
        let row = json!({"id": id, "at": at, "zone": zone, "fare": fare}).to_string();
        world.ingest("rides", &row, at).duplicates
    });
    sent.sum()
}

fn features(world: &World, at: Timestamp) -> Vec<Vec<Value>> {
    let view = world.pipeline.engine().views()[0].version();
    let key = |zone: &str| EntityKey::from_values(&[Value::String(zone.into())]);
    let read = |zone: &&str| world.pipeline.engine().read(view, &key(zone), at).unwrap().values;
    ["z0", "z1", "z2", "nowhere"].iter().map(read).collect()
}

#[test]
fn features_are_those_of_a_log_that_had_all_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    // Two files that overlap, one of each format; the second reaches beyond the cut-over.
    fs::write(dir.path().join("2024-a.csv"), csv(0..300)).unwrap();
    let schema =
        Schema::parse(&[("id", "string"), ("at", "timestamp"), ("zone", "string"), ("fare", "double")]);
    let rows: Vec<Vec<Value>> = (250..700)
        .map(ride)
        .map(|(id, at, zone, fare)| {
            vec![
                Value::String(id.into()),
                Value::Timestamp(at),
                Value::String(zone.into()),
                Value::Double(fare),
            ]
        })
        .collect();
    write_table(&dir.path().join("2024-b.parquet"), &schema.unwrap(), &rows, &[]).unwrap();
    let cut_over = ride(600).1;
    let yaml = project(&format!("files: \"2024-*\", until: \"{cut_over}\""));
    let world = World::empty(Opening::default());
    let now = ride(700).1;
    let taken = world.pipeline.take_history(&parsed(&yaml), dir.path(), now).unwrap();
    let expected =
        HistoryTaken { files: 2, rows: 600, there_already: 0, duplicates: 50, after_cut_over: 100 };
    assert_eq!(taken, expected);
    world.apply(&yaml, ride(599).1);
    // The stream begins before the cut-over: what history has is not taken twice.
    assert_eq!(live(&world, 520..800), 80);

    let always = World::empty(Opening::default());
    always.apply(PROJECT, minute(-1));
    live(&always, 0..800);
    let events = |world: &World| {
        let events = world.records().into_iter().filter(|record| record.entry.stream == Stream::Event);
        events.map(|record| record.entry).collect::<Vec<_>>()
    };
    assert_eq!(events(&world), events(&always));
    for late in [0, 100, 3_000] {
        let at = ride(800).1 + TimeSpan::from_secs(late * 60);
        assert_eq!(features(&world, at), features(&always, at));
    }
    assert_eq!(
        world.pipeline.take_history(&parsed(&yaml), dir.path(), now).unwrap(),
        HistoryTaken::default()
    );
}

#[test]
fn taking_history_goes_on_where_it_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = project("files: rides.csv");
    let (world, whole) = (World::empty(Opening::default()), World::empty(Opening::default()));
    let take = |world: &World, rides: i64| {
        fs::write(dir.path().join("rides.csv"), csv(0..rides)).unwrap();
        world.pipeline.take_history(&parsed(&yaml), dir.path(), ride(1_000).1)
    };
    assert_eq!(take(&world, 40).unwrap().there_already, 0);
    let crashed = world.crashed("interrupted", Opening::default()).unwrap();
    assert_eq!(take(&crashed, 90).unwrap().there_already, 40);
    take(&whole, 90).unwrap();
    assert_eq!(crashed.records(), whole.records());
    // Another history than the one that was begun.
    fs::write(dir.path().join("rides.csv"), csv(1..90)).unwrap();
    let error = crashed.pipeline.take_history(&parsed(&yaml), dir.path(), ride(1_000).1).unwrap_err();
    assert!(error.to_string().contains("this log has another record at position 1"), "{error}");
}

#[test]
fn history_with_a_bad_row_is_not_taken_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::empty(Opening::default());
    let take = |files: &str, now: Timestamp| {
        let yaml = project(&format!("files: {files}"));
        world.pipeline.take_history(&parsed(&yaml), dir.path(), now).unwrap_err().to_string()
    };
    fs::write(dir.path().join("rides.csv"), format!("{}r9,never,z1,2\n", csv(0..5))).unwrap();
    let error = take("rides.csv", ride(9).1);
    assert!(error.contains("rides.csv, line 7: column \"at\" wants timestamp, found \"never\""), "{error}");
    fs::write(dir.path().join("rides.csv"), csv(0..5)).unwrap();
    assert!(take("rides.csv", ride(2).1).contains("which is not yet"));
    assert!(take("other*.csv", ride(9).1).ends_with("names no file"));
    assert_eq!(world.pipeline.head().0, 0);
}
