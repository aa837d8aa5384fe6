//! Claims about spines, against reads of shards that are made for each question alone.

use std::fs;
use std::sync::{Arc, OnceLock};

use perennial_features::{EntityKey, Event, Shard, View};
use perennial_log::decode::decode_row;
use perennial_log::files::whole;
use perennial_pipeline::{
    Filled, Mode, PipelineError, PredictionRecord, ReplayOptions, Spine, SpineReplay, Wanted,
};
use perennial_types::{
    Column, DataType, Position, Record, Row, SourceSpec, Stream, Timestamp, Value, hash64,
};
use proptest::prelude::*;

use crate::world::{World, minute};

/// Six days, some of them in closed segments.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new();
        world.play(0..860);
        world
    })
}

fn view() -> Arc<View> {
    world().pipeline.engine().views().swap_remove(0)
}

fn sources() -> Vec<Arc<SourceSpec>> {
    world().pipeline.declared().views().values().map(|(_, source)| Arc::clone(source)).collect()
}

/// A spine of the text of a CSV file.
fn spine(csv: &str) -> Result<Spine, PipelineError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spine.csv");
    fs::write(&path, csv).unwrap();
    let column = |name: &str, data_type| Column { name: name.into(), data_type, nullable: true };
    let known = [column("zone", DataType::String), column("at", DataType::Timestamp)];
    Spine::new(whole(&path, &known).unwrap(), "at")
}

fn fill(spine: &Spine, wanted: &Wanted, mode: Mode, options: ReplayOptions) -> Filled {
    let sources = sources();
    let replay = SpineReplay { reader: world().reader(), sources: &sources, mode, options };
    replay.fill(spine, wanted, &mut |_, _| {}).unwrap()
}

/// Few events at once, so that there are several passes.
fn some() -> ReplayOptions {
    ReplayOptions { threads: 3, events_at_once: 100 }
}

/// A question by the events alone: a state of its own, which takes in what the question may see.
fn oracle(mode: Mode, zone: &Value, at: Timestamp, seen: Position) -> Row {
    let (view, source) = (view(), sources().swap_remove(0));
    let mut records: Vec<Record> = world().records();
    records.retain(|record| record.entry.stream == Stream::Event && record.entry.source == source.name);
    match mode {
        Mode::AsServed => records.retain(|record| record.position <= seen),
        Mode::AsKnown => records.retain(|record| record.entry.available_at < at),
        Mode::AsOccurred => {
            records.retain(|record| record.entry.event_time < at);
            records.sort_by_key(|record| (record.entry.event_time, record.position));
        }
    }
    let mut shard = Shard::new(vec![Arc::clone(&view)]);
    for (position, record) in (1..).zip(&records) {
        let row = decode_row(&source, &record.entry.payload).unwrap();
        let event_time = record.entry.event_time;
        let available_at = if mode == Mode::AsOccurred { event_time } else { record.entry.available_at };
        let position = Position(position);
        shard.apply(&Event { position, source: &source.name, row: &row, event_time, available_at }, |_| true);
    }
    shard.read(view.version(), &EntityKey::from_values(std::slice::from_ref(zone)), at).values
}

#[test]
fn what_was_served_comes_out_with_the_same_bits() {
    let mut csv = "id,zone,at,position\n".to_owned();
    let mut served = Vec::new();
    for record in world().records() {
        if record.entry.stream == Stream::Prediction {
            let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
            let seen = payload.views[0].seen;
            let zone = payload.request["zone"].as_str().unwrap();
            csv.push_str(&format!("{},{zone},{},{seen}\n", record.entry.id, record.entry.event_time));
            served.push(view().outputs().decode_json(&payload.views[0].features).unwrap());
        }
    }
    assert_eq!(served.len(), 860);
    let filled = fill(&spine(&csv).unwrap(), &Wanted::Views(vec![view()]), Mode::AsServed, some());
    let features: Vec<Row> = filled.rows.iter().map(|row| row[4..].to_vec()).collect();
    assert_eq!(features, served);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_row_is_what_a_state_of_its_own_gives(
        asked in prop::collection::vec((0..5_u8, -600..9_500_i64), 1..12),
        mode in prop_oneof![Just(Mode::AsKnown), Just(Mode::AsOccurred)],
        threads in 1..4_usize,
        events_at_once in prop_oneof![Just(1_usize), Just(150), Just(100_000)],
    ) {
        // Of five zones two are unknown; some times lie before the first event, and a row may stand there twice.
        let mut rows: Vec<(String, Timestamp)> =
            asked.iter().map(|(zone, at)| (format!("z{zone}"), minute(*at))).collect();
        rows.push(rows[0].clone());
        let lines: String = rows.iter().map(|(zone, at)| format!("x,{zone},{at}\n")).collect();
        let spine = spine(&format!("note,zone,at\n{lines}")).unwrap();
        let options = ReplayOptions { threads, events_at_once };
        let filled = fill(&spine, &Wanted::Views(vec![view()]), mode, options);
        prop_assert_eq!(filled.rows.len(), rows.len());
        for ((zone, at), row) in rows.iter().zip(&filled.rows) {
            let zone = Value::String(zone.as_str().into());
            let given = [Value::String("x".into()), zone.clone(), Value::Timestamp(*at)];
            prop_assert_eq!(&row[..3], &given[..]);
            let expected = oracle(mode, &zone, *at, Position::START);
            prop_assert_eq!(&row[3..], expected.as_slice());
        }
    }
}

#[test]
fn a_result_does_not_depend_on_how_it_was_made_and_its_hash_names_it() {
    let rows: String = (0..400)
        .map(|row| format!("z{},{}\n", hash64(7, &[&row.to_string()]) % 4, minute(row * 20)))
        .collect();
    let spine = spine(&format!("zone,at\n{rows}")).unwrap();
    let wanted = Wanted::Views(vec![view()]);
    let whole =
        fill(&spine, &wanted, Mode::AsKnown, ReplayOptions { threads: 1, events_at_once: usize::MAX });
    let parts = fill(&spine, &wanted, Mode::AsKnown, some());
    assert_eq!(whole, parts);
    assert_eq!(whole.summary.rows, 400);
    assert!(whole.summary.to_position < world().pipeline.head(), "what came later is not read");
    let occurred = fill(&spine, &wanted, Mode::AsOccurred, some());
    assert_ne!(whole.summary.content_hash, occurred.summary.content_hash, "late events make the difference");
}

#[test]
fn a_model_sees_in_a_spine_what_it_saw_in_its_requests() {
    let model = Arc::clone(world().pipeline.declared().goal().unwrap().compiled.model("paid").unwrap());
    let spine = spine("label,zone,km,at\n1.5,z1,3.0,2024-05-03\n2.5,nowhere,4.0,2024-05-04\n").unwrap();
    spine.require_number("label").unwrap();
    let filled = fill(&spine, &Wanted::Model(Arc::clone(&model)), Mode::AsKnown, some());
    let names: Vec<&str> = filled.schema.names().collect();
    assert_eq!(names[..5], ["label", "zone", "km", "at", "far"]);
    assert_eq!(filled.rows[1][4], Value::Double(16.0));
    let at = Timestamp::parse("2024-05-03").unwrap();
    let expected = oracle(Mode::AsKnown, &Value::String("z1".into()), at, Position::START);
    assert_eq!(filled.rows[0][5..], expected);
    assert_eq!(filled.rows[1][5], Value::Null, "an average of nothing");
}

#[test]
fn what_is_wrong_with_a_spine_is_named_by_file_line_and_column() {
    let error = |csv: &str| spine(csv).unwrap_err().to_string();
    assert!(error("zone,time\nz1,2024-05-01\n").contains("has no column \"at\""));
    let text = error("zone,at\nz1,\nz2,never\n");
    assert!(text.contains("line 3: column \"at\" wants timestamp, found \"never\""), "{text}");
    assert!(text.contains("line 2: column \"at\" is empty; expected a time as of which to ask"), "{text}");
    let fails = |csv: &str, wanted: &Wanted, mode: Mode| {
        let (spine, sources) = (spine(csv).unwrap(), sources());
        let replay = SpineReplay { reader: world().reader(), sources: &sources, mode, options: some() };
        replay.fill(&spine, wanted, &mut |_, _| {}).unwrap_err().to_string()
    };
    let views = Wanted::Views(vec![view()]);
    let text = fails("zon,at\nz1,2024-05-01\n", &views, Mode::AsKnown);
    assert!(
        text.ends_with(
            "has no column \"zone\", which the entity of view \"zone\" has; did you mean \"zon\"?"
        ),
        "{text}"
    );
    let text = fails("zone,at\nz1,2024-05-01\n", &views, Mode::AsServed);
    assert!(text.contains("has no column \"position\""), "{text}");
    let taken = "zone,at,zone.trend\nz1,2024-05-01,1\n";
    assert!(fails(taken, &views, Mode::AsKnown).contains("\"zone.trend\""));
    let error = spine("zone,at,label\nz,2024-05-01,\n").unwrap().require_number("label").unwrap_err();
    assert!(error.to_string().contains("is string, not a number"), "{error}");
}
