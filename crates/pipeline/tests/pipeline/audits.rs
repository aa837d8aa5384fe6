//! Claims about the audits that follow a log.

use std::fs;
use std::sync::Arc;

use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_pipeline::{Audits, Figures, PipelineOptions, PredictionRecord, SourceReceipts};
use perennial_types::{Entry, Stream, Timestamp};
use serde_json::json;

use crate::world::{Opening, PROJECT, World, minute};

/// The project with every entity audited.
fn all_audited() -> String {
    PROJECT.replacen("name: taxi", "name: taxi\naudit: {entities: 1}", 1)
}

fn world() -> World {
    let world = World::empty(Opening::default());
    world.apply(&all_audited(), minute(-1));
    world
}

/// What audits of the whole log find.
fn figures(world: &World) -> Figures {
    let audits = Audits::follow(world.pipeline.clone()).unwrap();
    audits.caught_up().unwrap();
    let figures = audits.look(Clone::clone);
    audits.close().unwrap();
    figures
}

fn receipts(world: &World, source: &str) -> SourceReceipts {
    world.pipeline.receipts().of(source, |_, known| known.clone()).unwrap()
}

#[test]
fn a_clean_play_has_nothing_to_find() {
    let world = world();
    world.play(0..150);
    let figures = figures(&world);
    assert_eq!((figures.predictions, figures.compared, figures.not_compared), (150, 150, 0));
    assert_eq!(figures.differences.len(), 0);
    let outputs = world.pipeline.engine().views()[0].outputs().columns().len();
    assert_eq!(figures.skew.len(), outputs);
    for (feature, skew) in &figures.skew {
        let skew = skew.total();
        assert_eq!(
            (skew.compared, skew.share(), skew.symmetric_error().unwrap_or(0.0)),
            (150, Some(0.0), 0.0),
            "{feature}"
        );
    }
    let audits = Audits::follow(world.pipeline.clone()).unwrap();
    audits.caught_up().unwrap();
    let loss = audits.loss("rides", minute(-1_000), minute(10_000)).unwrap();
    assert_eq!((loss.total.received, loss.total.appended, loss.unapplied, loss.lost), (150, 150, 0, 0));
    assert!(loss.arrived.iter().all(|stretch| stretch.in_log == Some(stretch.arrived.appended)));
    audits.close().unwrap();
}

/// The log's entries with one bit of the last prediction's first number turned over.
fn with_a_flipped_bit(world: &World) -> Vec<u8> {
    let records = world.records();
    let last = records.iter().rfind(|record| record.entry.stream == Stream::Prediction).unwrap();
    let mut payload: PredictionRecord = serde_json::from_slice(&last.entry.payload).unwrap();
    let value = payload.views[0].features.as_object_mut().unwrap().get_mut("zone.fare_max_1d").unwrap();
    *value = json!(f64::from_bits(value.as_f64().unwrap().to_bits() ^ 1));
    serde_json::to_vec(&payload).unwrap()
}

#[test]
fn a_flipped_bit_and_a_null_in_place_of_a_value_are_found() {
    let world = world();
    world.play(0..40);
    let flipped = with_a_flipped_bit(&world);
    world.append(Stream::Prediction, "fare", "flipped", minute(400), flipped.clone());
    let mut missing: PredictionRecord = serde_json::from_slice(&flipped).unwrap();
    missing.views[0].features.as_object_mut().unwrap().remove("zone.fare_max_1d");
    world.append(Stream::Prediction, "fare", "missing", minute(400), serde_json::to_vec(&missing).unwrap());
    world.block(world.pipeline.settled()).unwrap();
    let figures = figures(&world);
    let skew = figures.skew["zone.fare_max_1d"].total();
    assert_eq!((skew.compared, skew.mismatch, skew.missing, skew.extra), (42, 1, 1, 0));
    assert!(skew.symmetric_error().unwrap() > 0.0);
    let found: Vec<(&str, u32)> =
        figures.differences.iter().map(|found| (&*found.prediction, found.bits)).collect();
    assert_eq!(found, [("flipped", 1), ("missing", 64)]);
    let clean = figures.skew.iter().filter(|(name, _)| &***name != "zone.fare_max_1d");
    assert!(clean.map(|(_, skew)| skew.total()).all(|skew| skew.share() == Some(0.0)));
}

/// A world whose log has one more event than its features have taken in: the snapshot is of a log without it.
fn with_an_event_dropped(of: &World) -> World {
    of.block(of.pipeline.snapshot()).unwrap();
    let mut entries: Vec<Entry> = of.records().into_iter().map(|record| record.entry).collect();
    let mut events = (0..entries.len()).filter(|place| entries[*place].stream == Stream::Event);
    let place = events.nth(20).unwrap();
    let mut event = entries[place].clone();
    event.id = "dropped".into();
    entries.insert(place, event);
    let data = of.copy("dropped");
    let dir = PipelineOptions::new(&data).log_dir();
    fs::remove_dir_all(&dir).unwrap();
    let log = Log::open(Arc::new(SystemFiles), LogOptions::new(&dir), Box::new(|_| {})).unwrap();
    log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
    log.close();
    World::at(of, data, Opening::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_event_that_the_features_never_took_in_is_found_twice_over() {
    let first = world();
    first.play(0..40);
    first.predict("last", 1.0, "z0", minute(400));
    first.block(first.pipeline.settled()).unwrap();
    let dropped = with_an_event_dropped(&first);
    // What is served now lacks the event.
    for (id, zone) in [("a", "z0"), ("b", "z1"), ("c", "z2")] {
        dropped.predict(id, 1.0, zone, minute(401));
    }
    dropped.block(dropped.pipeline.settled()).unwrap();
    let audits = Audits::follow(dropped.pipeline.clone()).unwrap();
    audits.caught_up().unwrap();
    let loss = audits.loss("rides", minute(-1_000), minute(10_000)).unwrap();
    assert_eq!(loss.unapplied, 1);
    assert!(audits.look(|figures| figures.differences.iter().any(|found| &*found.prediction != "last")));
    audits.close().unwrap();
}

#[test]
fn audits_that_are_interrupted_find_what_uninterrupted_ones_find() {
    let world = world();
    for steps in [0..30, 30..31, 31..90] {
        world.play(steps);
        figures(&world);
    }
    world.append(Stream::Prediction, "fare", "flipped", minute(900), with_a_flipped_bit(&world));
    world.block(world.pipeline.settled()).unwrap();
    let interrupted = figures(&world);
    let anew =
        World::at(&world, world.copy("anew"), Opening::default()).unwrap_or_else(|error| panic!("{error}"));
    fs::remove_file(anew.data.join("audits")).unwrap();
    assert_eq!(figures(&anew), interrupted);
    assert_eq!(interrupted.differences.len(), 1);
    assert_eq!(interrupted.through, world.pipeline.head());
}

#[test]
fn a_smaller_part_of_the_entities_is_followed_whole() {
    let world = World::new();
    world.play(0..100);
    let figures = figures(&world);
    // Three zones: of so few entities all are compared.
    assert_eq!((figures.compared, figures.differences.len()), (100, 0));
}

fn ride(id: &str, at: i64, fare: &str) -> String {
    format!("{{\"id\": \"{id}\", \"at\": \"{}\", \"zone\": \"x\", \"fare\": {fare}}}", minute(at))
}

#[test]
fn received_is_appended_and_duplicate_and_dead_and_a_crash_forgets_none() {
    let world = World::new();
    let rows = |rows: &[String]| rows.join("\n");
    world.ingest(
        "rides",
        &rows(&[ride("a", 1, "1"), ride("b", 2, "2"), ride("c", 13, "\"dear\"")]),
        minute(15),
    );
    world.ingest("rides", &rows(&[ride("a", 1, "1"), ride("d", 14, "4"), ride("d", 14, "4")]), minute(27));
    let known = receipts(&world, "rides");
    let total = known.arrived.total();
    assert_eq!((total.appended, total.duplicates, total.dead_letters, total.received()), (3, 2, 1, 6));
    let happened = |at: i64| known.happened.over(minute(at), minute(at + 10)).received;
    assert_eq!((happened(0), happened(10)), (3, 3), "by event time, the refused row too");
    for (name, every) in [("from-the-log", u64::MAX >> 1), ("from-a-snapshot", 2)] {
        let crashed = world
            .crashed(name, Opening { snapshot_every: Some(every), ..Opening::default() })
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(receipts(&crashed, "rides"), known, "{name}");
    }
}

#[test]
fn a_redriven_row_was_received_once() {
    let world = World::new();
    let tipped = ride("b", 2, "2, \"tip\": 1");
    world.ingest("rides", &[ride("a", 1, "1"), tipped].join("\n"), minute(15));
    world.apply(&PROJECT.replacen("fare: double}", "fare: double, tip: double?}", 1), minute(16));
    let redriven = world.block(world.pipeline.redrive("rides", minute(17))).unwrap();
    assert_eq!(redriven.accepted, 1);
    // The view that is live reads the source by its schema of before.
    world.block(world.pipeline.settled()).unwrap();
    let known = receipts(&world, "rides");
    let total = known.arrived.total();
    assert_eq!((total.appended, total.dead_letters, total.redriven, total.received()), (2, 1, 1, 2));
    assert_eq!(known.happened.over(minute(0), minute(10)).received, 2);
}

#[test]
fn rows_that_producers_sent_and_that_never_came_are_found() {
    let world = World::new();
    world.ingest(
        "rides",
        &[ride("a", 1, "1"), ride("b", 12, "2"), ride("c", 13, "3")].join("\n"),
        minute(15),
    );
    let sent = |producer: &str, counts: &[(i64, u64)]| {
        let counts = counts.iter().map(|(at, count)| (minute(*at), *count)).collect();
        world.block(world.pipeline.sent("rides", producer, counts, minute(30)))
    };
    sent("left", &[(0, 1), (10, 9)]).unwrap();
    sent("left", &[(10, 1)]).unwrap();
    sent("right", &[(10, 3)]).unwrap();
    let refusal = sent("left", &[(7, 1)]).unwrap_err().to_string();
    assert!(refusal.contains("is no start of ten minutes"), "{refusal}");
    let audits = Audits::follow(world.pipeline.clone()).unwrap();
    let loss = audits.loss("rides", minute(0), minute(60)).unwrap();
    let found: Vec<(Timestamp, u64, u64, u64)> =
        loss.happened.iter().map(|one| (one.start, one.sent, one.received, one.lost)).collect();
    assert_eq!(found, [(minute(10), 4, 2, 2), (minute(0), 1, 1, 0)]);
    assert_eq!(loss.lost, 2);
    audits.close().unwrap();
}

#[test]
fn the_quality_of_columns_and_of_served_features_is_that_of_their_window() {
    let world = World::new();
    world.play(0..50);
    let known = |id: &str, n: &str| {
        format!(
            "{{\"id\": \"{id}\", \"at\": \"{}\", \"known\": \"{}\", \"n\": {n}}}",
            minute(501),
            minute(502)
        )
    };
    world.ingest(
        "imported",
        &[known("a", "null"), known("b", "-3.5"), known("c", "8")].join("\n"),
        minute(502),
    );
    world.predict("unknown zone", 1.0, "nowhere", minute(520));
    world.block(world.pipeline.settled()).unwrap();
    let figures = figures(&world);
    let n = figures.sources["imported"].columns["n"].counts.over(minute(500), minute(510));
    assert_eq!((n.rows, n.nulls, n.least, n.largest), (3, 1, Some(-3.5), Some(8.0)));
    assert!(figures.sources["rides"].columns["fare"].counts.over(minute(500), minute(510)).rows == 0);
    let served = figures.features["zone.fare_max_1d"].counts.over(minute(520), minute(530));
    assert_eq!((served.rows, served.null_rate()), (1, Some(1.0)));
    let zones = &figures.sources["rides"].columns["zone"];
    assert_eq!(zones.new_categories(minute(200), minute(500)), Some(Vec::new()));
}

#[test]
fn freshness_is_from_the_event_to_when_it_can_be_read() {
    let world = World::new();
    world.ingest("rides", &[ride("a", 1, "1"), ride("b", 4, "2")].join("\n"), minute(5));
    let arrived = receipts(&world, "rides").freshness.over(minute(0), minute(10));
    // Without a wall clock an event can be read when it arrives: after one minute, and after four.
    assert_eq!(arrived.slowest(), Some(240.0));
    assert!((arrived.quantile(0.0).unwrap() - 60.0).abs() <= 0.6);
    struct Late;
    impl perennial_types::Clock for Late {
        fn now(&self) -> Timestamp {
            minute(35)
        }
    }
    world.pipeline.receipts().measure_by(Arc::new(Late));
    world.ingest("rides", &ride("c", 31, "1"), minute(32));
    assert_eq!(receipts(&world, "rides").freshness.over(minute(30), minute(40)).slowest(), Some(240.0));
    world.apply(&PROJECT.replacen("name: taxi", "name: taxi\nclock: event", 1), minute(40));
    world.ingest("rides", &ride("d", 41, "1"), minute(42));
    let arrived = receipts(&world, "rides").freshness.over(minute(40), minute(50));
    assert_eq!(arrived.slowest(), Some(60.0), "no wall time decides anything on the event clock");
}
