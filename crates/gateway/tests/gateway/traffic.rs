//! Whom requests are given to, and who looks on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use perennial_control::{
    ControlRecord, ModelShare, Routed, RoutedVersion, RoutingCause, RunVerdict, VersionRef,
};
use perennial_evaluate::UnitSpec;
use perennial_pipeline::{AuditOptions, Auditor, Fallback, PredictionRecord, ServedVersion};
use perennial_types::{Stream, Timestamp};
use serde_json::{Value as Json, json};

use crate::world::{World, copy_dir, minute};

fn share(model: &str, share: f64, current: &VersionRef) -> ModelShare {
    ModelShare { model: model.into(), share, current: current.clone(), candidate: None }
}

fn routed(shares: Vec<ModelShare>, epoch: Timestamp) -> Routed {
    Routed {
        endpoint: "fare".into(),
        at: epoch,
        experiment: Some("one-or-two".into()),
        epoch,
        unit: UnitSpec::Request,
        salt: "one-or-two".into(),
        champion: "one".into(),
        shares,
        shadows: Vec::new(),
        cause: RoutingCause::Epoch,
        reason: "as it was wanted".into(),
        evidence: json!({"probability_best": {"one": 0.25}}),
    }
}

fn shadow(model: &str, version: &VersionRef) -> RoutedVersion {
    RoutedVersion { model: model.into(), version: version.clone() }
}

fn asked(km: f64) -> Json {
    json!({"km": km, "zone": "x", "night": true})
}

fn served(model: &str, version: &VersionRef) -> ServedVersion {
    ServedVersion { model: model.into(), number: version.number, content_hash: version.content_hash }
}

impl World {
    fn route(&self, routed: Routed) {
        self.control(ControlRecord::Routed(routed));
    }

    fn ask(&self, id: &str, request: &Json, at: Timestamp) -> PredictionRecord {
        self.record(self.predict(id, request, at).unwrap().position)
    }

    /// As many requests as frequencies are counted over, answered in one minute.
    fn ask_many(&self, prefix: &str, count: u32, at: Timestamp) -> Vec<PredictionRecord> {
        (0..count).map(|i| self.ask(&format!("{prefix}{i}"), &asked(f64::from(i)), at)).collect()
    }
}

fn open(dir: &Path) -> World {
    let world = World::open(dir);
    world.apply();
    world
}

#[test]
fn frequencies_follow_the_vector_that_records_carry() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let (candidate, _) = world.version("one", 2, 5.0);
    let mut first = share("one", 0.7, &one);
    first.candidate = Some((candidate.clone(), 0.3));
    world.route(routed(vec![first, share("two", 0.3, &two)], minute(0)));
    let count = 1_500;
    let mut drawn: BTreeMap<(Arc<str>, u64), f64> = BTreeMap::new();
    for record in world.ask_many("r", count, minute(1)) {
        let sum: f64 = record.probabilities.iter().map(|arm| arm.probability).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert_eq!((record.experiment.as_deref(), record.epoch), (Some("one-or-two"), Some(minute(0))));
        let by = record.drawn.clone().unwrap();
        let arm = record.probabilities.iter().find(|arm| arm.model == by.model && arm.number == by.number);
        assert_eq!(record.propensity, arm.unwrap().probability);
        assert_eq!((record.served, record.fallback, record.unit), (record.drawn, None, None));
        *drawn.entry((by.model, by.number)).or_default() += 1.0;
    }
    for (model, number, probability) in [("one", 1, 0.49), ("one", 2, 0.21), ("two", 1, 0.3)] {
        let expected = f64::from(count) * probability;
        let found = drawn[&(model.into(), number)];
        // Five standard deviations of a binomial count.
        let tolerance = 5.0 * (expected * (1.0 - probability)).sqrt();
        assert!((found - expected).abs() < tolerance, "{model}/{number}: {found} of {expected}");
    }
}

#[test]
fn single_requests_are_drawn_anew_in_every_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let halves = vec![share("one", 0.5, &one), share("two", 0.5, &two)];
    let drawn = |epoch: i64| {
        world.route(routed(halves.clone(), minute(epoch)));
        let records = world.ask_many("r", 40, minute(epoch));
        records.into_iter().map(|record| record.drawn.unwrap().model).collect::<Vec<_>>()
    };
    let (first, second) = (drawn(0), drawn(120));
    assert_ne!(first, second);
}

#[test]
fn a_unit_keeps_its_arm_over_epochs_and_a_promotion() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let (next, _) = world.version("one", 2, 5.0);
    let sticky = |one: &VersionRef, epoch: i64| Routed {
        unit: UnitSpec::Column("zone".into()),
        ..routed(vec![share("one", 0.4, one), share("two", 0.6, &two)], minute(epoch))
    };
    let units = |prefix: &str, at: i64| -> Vec<Arc<str>> {
        let records = (0..60).map(|unit| {
            let request = json!({"km": 1.0, "zone": format!("z{unit}")});
            let record = world.ask(&format!("{prefix}{unit}"), &request, minute(at));
            assert_eq!(record.unit.as_deref(), Some(&*format!("z{unit}")));
            let by = record.drawn.unwrap();
            assert_eq!(record.propensity, if &*by.model == "one" { 0.4 } else { 0.6 });
            by.model
        });
        records.collect()
    };
    world.route(sticky(&one, 0));
    let before = units("a", 1);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 2, "both arms have units");
    world.route(sticky(&one, 360));
    assert_eq!(units("b", 361), before);
    world.judge("one", next.clone(), RunVerdict::Promoted);
    assert_eq!(units("c", 362), before);
    world.route(sticky(&next, 720));
    assert_eq!(units("d", 721), before);
    let promoted = world.ask("e", &json!({"km": 1.0, "zone": "z0"}), minute(722));
    assert_eq!(promoted.drawn.unwrap().number, if &*before[0] == "one" { 2 } else { 1 });
}

#[test]
fn a_request_whose_unit_is_unknown_is_drawn_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let unit = UnitSpec::Column("night".into());
    let halves = vec![share("one", 0.5, &one), share("two", 0.5, &two)];
    world.route(Routed { unit, ..routed(halves, minute(0)) });
    let drawn = |request: &Json, prefix: &str| -> BTreeSet<(Arc<str>, Option<Arc<str>>)> {
        let records = (0..40).map(|i| world.ask(&format!("{prefix}{i}"), request, minute(1)));
        records.map(|record| (record.drawn.unwrap().model, record.unit)).collect()
    };
    let known = drawn(&json!({"km": 1.0, "zone": "x", "night": true}), "a");
    assert_eq!(known.len(), 1, "one unit has one arm: {known:?}");
    assert_eq!(known.first().unwrap().1.as_deref(), Some("true"));
    let unknown = drawn(&json!({"km": 1.0, "zone": "x", "night": null}), "b");
    assert_eq!(unknown.len(), 2, "requests without it are spread: {unknown:?}");
    assert!(unknown.iter().all(|(_, unit)| unit.is_none()));
}

#[test]
fn shadows_score_what_they_would_have_answered() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let (candidate, _) = world.version("one", 2, 5.0);
    let failing = world.failing("two", 2);
    world.ride("x", 9.0, minute(0));
    let shadows =
        vec![shadow("one", &one), shadow("one", &candidate), shadow("two", &two), shadow("two", &failing)];
    world.route(Routed { shadows, ..routed(vec![share("one", 1.0, &one)], minute(0)) });
    let record = world.ask("a", &asked(3.0), minute(1));
    assert_eq!(record.served, Some(served("one", &one)));
    let scored: Vec<_> = record.shadows.iter().map(|shadow| shadow.version.clone()).collect();
    assert_eq!(scored, [served("one", &candidate), served("two", &two), served("two", &failing)]);
    assert_eq!(record.shadows[2].value, None, "a version that fails says nothing");
    for (model, version, shadow) in [("one", &candidate, 0), ("two", &two, 1)] {
        world.route(routed(vec![share(model, 1.0, version)], minute(1)));
        let answered = world.ask(&format!("as {model}"), &asked(3.0), minute(1));
        assert_eq!(answered.served, Some(served(model, version)));
        assert_eq!(record.shadows[shadow].value, Some(answered.prediction));
    }
}

#[test]
fn an_arm_that_fails_falls_back_to_the_champion_and_then_to_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let (one, _) = world.version("one", 1, 2.0);
    let failing = world.failing("two", 1);
    world.route(routed(vec![share("one", 0.0, &one), share("two", 1.0, &failing)], minute(0)));
    let reply = world.predict("a", &asked(3.0), minute(1)).unwrap();
    assert_eq!(reply.fallback, Some(Fallback::Error));
    assert_eq!(
        (reply.served.clone(), reply.drawn.clone()),
        (Some(served("one", &one)), Some(served("two", &failing)))
    );
    let record = world.record(reply.position);
    assert_eq!((record.served, record.drawn, record.propensity), (reply.served, reply.drawn, 1.0));
    // The champion has no share: its current version answers all the same.
    world.judge("one", one.clone(), RunVerdict::Promoted);
    world.route(routed(vec![share("two", 1.0, &failing)], minute(1)));
    let record = world.ask("b", &asked(3.0), minute(1));
    assert_eq!((record.served, record.fallback), (Some(served("one", &one)), Some(Fallback::Error)));
    // The champion is the one that fails.
    world.route(Routed { champion: "two".into(), ..routed(vec![share("two", 1.0, &failing)], minute(2)) });
    let record = world.ask("c", &asked(3.0), minute(2));
    assert_eq!((record.prediction, record.served, record.fallback), (7.5, None, Some(Fallback::Error)));
    assert_eq!(record.drawn, Some(served("two", &failing)));
}

#[test]
fn one_id_gets_one_reply_across_a_change_of_traffic_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    world.route(routed(vec![share("one", 1.0, &one)], minute(0)));
    let reply = world.predict("a", &asked(3.0), minute(1)).unwrap();
    world.route(routed(vec![share("two", 1.0, &two)], minute(2)));
    assert_eq!(world.predict("a", &asked(3.0), minute(2)).unwrap(), reply);
    assert_eq!(world.predict("b", &asked(3.0), minute(2)).unwrap().served, Some(served("two", &two)));
    world.runtime.block_on(world.pipeline.snapshot()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    assert_eq!(World::open(copy.path()).predict("a", &asked(3.0), minute(3)).unwrap(), reply);
}

#[test]
fn a_restart_goes_on_with_the_same_traffic_with_a_snapshot_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let (candidate, _) = world.version("two", 2, 4.0);
    let mut second = share("two", 1.0 / 3.0, &two);
    second.candidate = Some((candidate.clone(), 0.1));
    let shadows = vec![shadow("one", &one), shadow("two", &candidate)];
    world.route(Routed { shadows, ..routed(vec![share("one", 2.0 / 3.0, &one), second], minute(0)) });
    world.runtime.block_on(world.pipeline.snapshot()).unwrap();
    let copies = [true, false].map(|snapshot| {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        if !snapshot {
            std::fs::remove_dir_all(copy.path().join("snapshots")).unwrap();
        }
        World::open(copy.path()).ask_many("r", 60, minute(1))
    });
    let going_on = world.ask_many("r", 60, minute(1));
    assert_eq!(copies[0], going_on);
    assert_eq!(copies[1], going_on);
}

#[test]
fn artifacts_are_loaded_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let halves = |epoch| routed(vec![share("one", 0.5, &one), share("two", 0.5, &two)], minute(epoch));
    world.route(halves(0));
    std::fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    world.route(Routed { shadows: vec![shadow("one", &one)], ..halves(360) });
    assert_eq!(world.ask("a", &asked(1.0), minute(361)).fallback, None);
}

#[test]
fn a_request_sees_one_vector_while_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    let vectors = |epoch: i64| {
        let part = if epoch % 2 == 0 { 0.25 } else { 0.75 };
        routed(vec![share("one", part, &one), share("two", 1.0 - part, &two)], minute(epoch))
    };
    world.route(vectors(0));
    let gateway = world.gateway.clone();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for i in 0..300 {
                // What is not awaited is written all the same.
                drop(gateway.predict("fare", Some(&format!("r{i}")), &asked(1.0), minute(0)).unwrap());
            }
        });
        let mut epoch = 0;
        while !asking.is_finished() {
            epoch += 1;
            world.route(vectors(epoch));
        }
    });
    world.settle();
    let reader = world.pipeline.reader();
    let records = reader.read(perennial_types::Position(1), reader.head()).unwrap().map(Result::unwrap);
    let mut seen = 0;
    for record in records.filter(|record| record.entry.stream == Stream::Prediction) {
        let record: PredictionRecord = serde_json::from_slice(&record.entry.payload).unwrap();
        let even = record.epoch.unwrap().since(minute(0)).micros() / 60_000_000 % 2 == 0;
        assert_eq!(record.probabilities[0].probability, if even { 0.25 } else { 0.75 });
        seen += 1;
    }
    assert_eq!(seen, 300);
}

#[test]
fn the_skew_audit_finds_nothing_where_several_models_answer_and_look_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let ((one, _), (two, _)) = (world.version("one", 1, 2.0), world.version("two", 1, 3.0));
    for i in 0..30 {
        world.ride(if i % 3 == 0 { "x" } else { "y" }, f64::from(i), minute(i64::from(i)));
        if i == 10 {
            let shadows = vec![shadow("one", &one), shadow("two", &two)];
            let shares = vec![share("one", 0.5, &one), share("two", 0.5, &two)];
            world.route(Routed { shadows, ..routed(shares, minute(10)) });
        }
        world.ask(&format!("r{i}"), &asked(f64::from(i)), minute(i64::from(i)));
    }
    world.settle();
    let audit = Auditor::new(AuditOptions { batch: 100, shards: 2, share: 1.0 });
    let audit = audit.run(world.pipeline.reader(), |_| {}).unwrap();
    assert_eq!((audit.predictions, audit.values, audit.not_compared), (30, 60, 0));
    assert_eq!(audit.differences, []);
}
