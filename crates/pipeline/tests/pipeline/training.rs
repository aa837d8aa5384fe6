//! Claims about training sets, against a slow oracle.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use perennial_control::DataRange;
use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_pipeline::{Builder, FeedbackRecord, PredictionRecord, TrainingSet};
use perennial_types::{Position, Stream, TimeSpan, Timestamp};
use proptest::prelude::*;

use crate::world::{World, minute, with_a_second_view};

/// Nine days; the second view is declared after five.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new();
        world.play(0..720);
        world.apply(&with_a_second_view(), minute(7_200));
        world.play(720..1_300);
        world
    })
}

fn all() -> DataRange {
    let to = world().pipeline.head();
    DataRange { after: Position::START, to, since: None, replay_rows: 0, holdout_rows: 0, at_most: None }
}

fn build(range: &DataRange) -> TrainingSet {
    world().with_builder(|builder| builder.build(range).unwrap())
}

/// A labelled row by the records alone.
#[derive(Clone, Debug)]
struct Row {
    asked_at: Timestamp,
    known: Position,
    km: f64,
    label: f64,
}

/// Every label that was in time, by the position at which both it and its request were known.
fn oracle() -> &'static Vec<Row> {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let give_up = TimeSpan::from_days(2);
        let (mut asked, mut first) = (BTreeMap::new(), BTreeMap::new());
        for record in world().records() {
            let (position, at) = (record.position, record.entry.event_time);
            match record.entry.stream {
                Stream::Prediction => {
                    let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
                    asked.insert(
                        record.entry.id.to_string(),
                        (position, at, payload.request["km"].as_f64().unwrap()),
                    );
                }
                Stream::Feedback => {
                    let payload: FeedbackRecord = serde_json::from_slice(&record.entry.payload).unwrap();
                    first.entry(payload.prediction_id.to_string()).or_insert((position, at, payload.value));
                }
                Stream::Event | Stream::Control | Stream::DeadLetter | Stream::Progress => {}
            }
        }
        let mut rows = Vec::new();
        for (id, (position, labelled_at, label)) in first {
            let (asked_position, asked_at, km) = asked[&id];
            if labelled_at <= asked_at + give_up {
                rows.push(Row { asked_at, known: position.max(asked_position), km, label });
            }
        }
        rows.sort_by_key(|row| row.known);
        rows
    })
}

#[test]
fn the_history_of_these_claims_has_early_late_and_repeated_labels() {
    let labels = world().records().iter().filter(|record| record.entry.stream == Stream::Feedback).count();
    assert!(labels > oracle().len() + 50, "{labels} labels, {} rows", oracle().len());
    assert!(oracle().len() > 600);
    let delays = oracle().windows(2).filter(|pair| pair[0].asked_at > pair[1].asked_at).count();
    assert!(delays > 100, "labels come in the order of their requests");
}

#[test]
fn served_features_are_those_that_a_replay_gives_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let log =
        Log::open(std::sync::Arc::new(SystemFiles), LogOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    let mut served = 0;
    let mut entries = Vec::new();
    for mut record in world().records() {
        if record.entry.stream == Stream::Prediction {
            let mut payload: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
            served += payload.views.len();
            payload.views.clear();
            record.entry.payload = serde_json::to_vec(&payload).unwrap();
        }
        entries.push(record.entry);
    }
    assert!(served > 1_300);
    log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
    assert_eq!(log.head(), world().pipeline.head());
    let reader = log.reader();
    let replayed =
        world().with_builder(|builder| Builder { reader: &reader, ..builder }.build(&all()).unwrap());
    let as_served = build(&all());
    assert_eq!(as_served, replayed);
    assert!(as_served.dataset.is_some());
    log.close();
}

#[test]
fn late_labels_are_left_out() {
    let world = World::new();
    let day = 24 * 60;
    world.predict("in_time", 1.0, "x", minute(0));
    world.predict("late", 2.0, "x", minute(1));
    world.label("in_time", 10.0, minute(2 * day));
    world.label("late", 20.0, minute(2 * day + 2));
    let range = DataRange { to: world.pipeline.head(), ..all() };
    let set = world.with_builder(|builder| builder.build(&range).unwrap());
    assert_eq!(set.training.labels, [10.0]);
}

#[test]
fn a_training_set_without_rows_has_no_dataset() {
    let set = build(&DataRange { to: Position(2), ..all() });
    assert_eq!((set.training.labels.len(), set.holdout.labels.len(), set.dataset), (0, 0, None));
    let held = build(&DataRange { holdout_rows: 10_000, ..all() });
    assert_eq!((held.training.labels.len(), held.holdout.labels.len()), (0, oracle().len()));
    assert_eq!(held.dataset, None);
}

#[test]
fn one_label_changes_the_hash_of_the_dataset_and_nothing_else_does() {
    let hash = |last: f64, noise: &str| {
        let world = World::new();
        world.predict("a", 1.0, "x", minute(0));
        world.predict("b", 2.0, "x", minute(1));
        world.label("nobody", noise.len() as f64, minute(2));
        world.label("a", 10.0, minute(3));
        world.label("b", last, minute(4));
        let range = DataRange { to: world.pipeline.head(), ..all() };
        world.with_builder(|builder| builder.build(&range).unwrap()).dataset.unwrap().content_hash
    };
    assert_eq!(hash(20.0, "some"), hash(20.0, "other"));
    assert_ne!(hash(20.0, ""), hash(20.000_000_000_000_004, ""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_range_has_the_rows_that_the_records_say(
        after in prop_oneof![Just(0.0), 0.0..1.0_f64],
        to in 0.2..1.0_f64,
        replay_rows in prop_oneof![Just(0), 1..200_u64, Just(10_000)],
        holdout_rows in prop_oneof![Just(0), 1..60_u64],
        since in prop::option::of(0..13_000_i64),
        at_most in prop::option::of(1..300_u64),
    ) {
        let head = world().pipeline.head().0 as f64;
        let (after, to) = (Position((after * head) as u64), Position((to * head) as u64));
        let since = since.map(minute);
        // Control never asks for both: a window is of whole requests.
        let replay_rows = if since.is_some() { 0 } else { replay_rows };
        let set = build(&DataRange { after, to, since, replay_rows, holdout_rows, at_most });
        let asked = oracle().iter().filter(|row| row.known <= to && since.is_none_or(|since| row.asked_at >= since));
        let (old, new): (Vec<&Row>, Vec<&Row>) = asked.partition(|row| row.known <= after);
        let kept = old.len().saturating_sub(replay_rows as usize);
        let rows: Vec<&Row> = old[kept..].iter().copied().chain(new).collect();
        let split = rows.len().saturating_sub(holdout_rows as usize);
        let trained = split.min(at_most.map_or(usize::MAX, |most| old.len() - kept + most as usize));
        for (got, want) in [(&set.training, &rows[..trained]), (&set.holdout, &rows[split..])] {
            let labels: Vec<f64> = want.iter().map(|row| row.label).collect();
            prop_assert_eq!(&got.labels, &labels);
            let km: Vec<Option<f64>> = got.inputs.iter().map(|row| row[0].as_f64()).collect();
            prop_assert_eq!(km, want.iter().map(|row| Some(row.km)).collect::<Vec<_>>());
        }
        let end = set.dataset.map(|dataset| (dataset.rows as usize, dataset.to_position));
        prop_assert_eq!(end, trained.checked_sub(1).map(|last| (trained, rows[last].known)));
    }
}

#[test]
fn a_window_with_replay_ends_even_if_there_are_too_few_rows() {
    let range = DataRange {
        since: Some(minute(8_000)),
        replay_rows: 10_000,
        after: world().pipeline.head(),
        ..all()
    };
    let expected = oracle().iter().filter(|row| row.asked_at >= minute(8_000)).count();
    assert_eq!(build(&range).training.labels.len(), expected);
}

#[test]
fn a_view_that_was_served_by_another_key_is_not_taken_for_the_models_own() {
    let world = World::new();
    for (id, zone, fare) in [("1", "a", 10.0), ("2", "b", 90.0)] {
        let ride =
            format!(r#"{{"id": "{id}", "at": "2024-05-01T00:00:00Z", "zone": "{zone}", "fare": {fare}}}"#);
        world.ingest("rides", &ride, minute(1));
    }
    let record = |position: Position| -> PredictionRecord {
        let record = world.reader().read(position, position).unwrap().next().unwrap().unwrap();
        serde_json::from_slice(&record.entry.payload).unwrap()
    };
    let own = record(world.predict("own", 1.0, "a", minute(2)));
    let other = record(world.predict("other", 1.0, "b", minute(2)));
    // As another model of the endpoint would have it, which looks the same view up by a key of its own.
    let both = [other.views.clone(), own.views.clone()].concat();
    for (id, views) in [("both", both), ("other alone", other.views)] {
        let record = PredictionRecord { views, ..own.clone() };
        world.append(Stream::Prediction, "fare", id, minute(2), serde_json::to_vec(&record).unwrap());
    }
    for id in ["own", "both", "other alone"] {
        world.label(id, 1.0, minute(3));
    }
    world.block(world.pipeline.settled()).unwrap();
    let to = world.pipeline.head();
    let range = DataRange { to, ..all() };
    let set = world.with_builder(|builder| builder.build(&range).unwrap());
    let [own, both, replayed] = set.training.inputs.as_slice() else { panic!("three rows") };
    assert_eq!((both, replayed), (own, own));
}

#[test]
fn the_sample_has_the_complete_rows_that_are_new_and_trained_on() {
    let after = oracle()[300].known;
    let range = DataRange { after, replay_rows: 40, holdout_rows: 25, ..all() };
    let set = build(&range);
    assert_eq!(set.sample.len() + 40, set.training.inputs.len());
    world().with_builder(|builder| {
        for (row, inputs) in set.sample.iter().zip(&set.training.inputs[40..]) {
            assert_eq!(row.len(), builder.model.row.columns().len());
            assert_eq!(&builder.model.inputs_of(row), inputs);
        }
    });
}
