//! One history has one outcome, however often it is interrupted.

use std::sync::OnceLock;

use perennial_control::{ControlRecord, DecisionVerdict, Goal, Input, ReportFormat, ReportSpec, RunVerdict};
use perennial_policy::{Action, AdaptSpec, DetectedLoss, DriftRule, SignalKind, SignalSpec};
use perennial_types::TimeSpan;
use proptest::prelude::*;

use crate::experiments::{bandit, duel, experiment};
use crate::world::{World, by_hash, lively, trigger};

const HOURS: i64 = 24 * 40;

fn undisturbed() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut world = World::new(lively(), by_hash);
        world.play(0..HOURS);
        world
    })
}

fn crashing(crashes: impl IntoIterator<Item = usize>, snapshots: impl IntoIterator<Item = usize>) -> World {
    let mut world = World::crashing(lively(), by_hash, crashes, snapshots);
    world.play(0..HOURS);
    world
}

const EVENTFUL_HOURS: i64 = 24 * 40;

/// Two models of one endpoint under a bandit, each with rollouts, rollbacks, adaptations, drift and a daily report.
fn eventful() -> Goal {
    let mut spec = experiment(bandit());
    spec.until = Some("probability_best > 0.9999999".into());
    spec.at_most = TimeSpan::from_days(30);
    let mut goal = duel(Some(spec), &["a", "b"]);
    let policy = &mut goal.policies[0].spec;
    let drift = SignalKind::Drift {
        columns: vec!["request.*".into()],
        window: TimeSpan::from_days(7),
        every: TimeSpan::from_days(1),
        rule: DriftRule::default(),
        min_rows: 100,
    };
    let detector = SignalKind::Detector {
        of: DetectedLoss::AbsError,
        range: (0.0, 50.0),
        one_false_alarm_in: 2_000,
        stable_after: 60,
    };
    policy.signals.push(SignalSpec { name: "inputs".into(), kind: drift });
    policy.signals.push(SignalSpec { name: "errors".into(), kind: detector });
    policy.triggers.insert(0, trigger("changed", "errors.open OR inputs.share > 0.9", None, Action::Adapt));
    policy.actions.adapt = Some(AdaptSpec {
        repeat: Action::FineTune,
        every: TimeSpan::from_hours(30),
        until: "NOT errors.open AND inputs.share < 0.3".into(),
        at_most: 3,
    });
    goal.reports.push(ReportSpec {
        name: "daily".into(),
        endpoint: "e".into(),
        schedule: "0 7 * * *".into(),
        window: TimeSpan::from_days(7),
        formats: vec![ReportFormat::Json],
    });
    goal
}

fn play_eventful(mut world: World) -> World {
    world.rate = 2;
    world.play(0..EVENTFUL_HOURS);
    world
}

pub(crate) fn eventful_undisturbed() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| play_eventful(World::new(eventful(), by_hash)))
}

/// Where a crash can separate what belongs together.
fn notable_places(world: &World) -> Vec<usize> {
    let notable = |input: &Input| match input {
        Input::Control { record, .. } => !matches!(record, ControlRecord::InstantDone { .. }),
        Input::Predicted { .. } | Input::Labelled { .. } => false,
    };
    (1..).zip(&world.log).filter(|(_, input)| notable(input)).map(|(place, _)| place).collect()
}

#[test]
fn losing_memory_after_each_record_of_traffic_rollouts_and_experiments_changes_nothing() {
    let places = notable_places(eventful_undisturbed());
    assert!(places.len() > 150, "{} places to crash at", places.len());
    let snapshots: Vec<usize> = places.iter().map(|place| place.saturating_sub(3).max(1)).collect();
    let world = play_eventful(World::crashing(eventful(), by_hash, places, snapshots));
    assert_same_as(&world, eventful_undisturbed());
}

#[test]
fn a_state_saved_anywhere_goes_on_as_if_it_had_not_been() {
    let length = eventful_undisturbed().log.len();
    let saved = (1..length).step_by(37);
    let world = play_eventful(World::crashing(eventful(), by_hash, saved.clone(), saved));
    assert_same_as(&world, eventful_undisturbed());
}

/// Everything that must not depend on interruptions; the first difference, for people.
fn assert_same(world: &World) {
    assert_same_as(world, undisturbed());
}

fn assert_same_as(world: &World, expected: &World) {
    for (place, (got, want)) in world.log.iter().zip(&expected.log).enumerate() {
        assert_eq!(got, want, "record {} differs", place + 1);
    }
    assert_eq!(world.log.len(), expected.log.len());
    assert!(world.state == expected.state, "the log is the same, the state is not");
}

#[test]
fn the_history_of_these_claims_has_every_kind_of_turn() {
    let world = undisturbed();
    let judged = world.judged();
    for verdict in [RunVerdict::Promoted, RunVerdict::Refused, RunVerdict::Failed] {
        assert!(judged.iter().any(|judged| judged.verdict == verdict), "no run was {}", verdict.name());
    }
    let decisions = world.decisions();
    for verdict in [DecisionVerdict::Started, DecisionVerdict::Held, DecisionVerdict::Changed] {
        assert!(decisions.iter().any(|(_, one)| one.verdict == verdict), "no decision {}", verdict.name());
    }
    for trigger in ["first_version", "degraded", "regular", "too_old"] {
        let started =
            |one: &perennial_control::Decision| one.run.is_some() && one.trigger.as_deref() == Some(trigger);
        assert!(decisions.iter().any(|(_, one)| started(one)), "trigger {trigger:?} never started a run");
    }
    // Two runs of one instant, whose outcomes a crash can separate.
    let both = world.records().any(|record| match record {
        ControlRecord::Decided(decided) => {
            decided.decisions.iter().filter(|one| one.run.is_some()).count() == 2
        }
        _ => false,
    });
    assert!(both, "no instant starts two runs");
}

#[test]
fn losing_memory_after_each_control_record_changes_nothing() {
    let places = notable_places(undisturbed());
    assert!(places.len() > 60, "{} places to crash at", places.len());
    // One play with all of them; a snapshot a little before each keeps it short.
    assert_same(&crashing(places.iter().copied(), places.iter().map(|place| place.saturating_sub(3).max(1))));
}

#[test]
fn losing_memory_after_every_record_changes_nothing() {
    let length = undisturbed().log.len();
    assert_same(&crashing(1..=length, (1..=length).step_by(7)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn losing_memory_anywhere_changes_nothing_with_or_without_snapshots(
        crashes in prop::collection::btree_set(1..4_000_usize, 1..12),
        snapshots in prop::collection::btree_set(1..4_000_usize, 0..4),
    ) {
        assert_same(&crashing(crashes, snapshots));
    }
}
