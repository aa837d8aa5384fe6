//! One history has one outcome, however often it is interrupted.

use std::sync::OnceLock;

use perennial_control::{ControlRecord, DecisionVerdict, Input, RunVerdict};
use proptest::prelude::*;

use crate::world::{World, by_hash, lively};

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

/// Everything that must not depend on interruptions; the first difference, for people.
fn assert_same(world: &World) {
    let expected = undisturbed();
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
    let log = &undisturbed().log;
    let notable = |input: &Input| {
        !matches!(
            input,
            Input::Control { record: ControlRecord::InstantDone { .. }, .. } | Input::Predicted { .. }
        ) && !matches!(input, Input::Labelled { .. })
    };
    let places: Vec<usize> =
        (1..).zip(log).filter(|(_, input)| notable(input)).map(|(place, _)| place).collect();
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
