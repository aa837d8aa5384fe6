//! Claims about traffic that hold of every history.

use perennial_control::{ControlRecord, DecisionVerdict, ExperimentChange, RolloutChange, Routed};

use crate::interruption::eventful_undisturbed;
use crate::world::{World, arms};

fn every_change(check: impl Fn(&World, &Routed)) {
    let world = eventful_undisturbed();
    let routed = world.routed();
    assert!(routed.len() > 30, "{} changes of traffic", routed.len());
    for change in routed {
        check(world, change);
    }
}

#[test]
fn the_probabilities_of_every_change_sum_to_one_and_its_versions_exist() {
    every_change(|world, routed| {
        let arms = arms(routed);
        let total: f64 = arms.iter().map(|(_, probability)| probability).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total} in {routed:?}");
        assert!(arms.iter().all(|(_, probability)| (0.0..=1.0).contains(probability)));
        assert!(routed.shares.iter().any(|share| share.model == routed.champion));
        let shadows = routed.shadows.iter().map(|shadow| (&shadow.model, shadow.version.number));
        for (model, number) in arms.iter().map(|(by, _)| (&by.model, by.number)).chain(shadows) {
            assert!(world.state.model(model).unwrap().version(number).is_some(), "{model} {number}");
        }
    });
}

#[test]
fn every_change_of_traffic_says_why() {
    every_change(|_, routed| {
        let shares =
            routed.reason.contains("answers all requests") || routed.reason.contains("the shares of");
        assert!(shares, "{}", routed.reason);
        let why = routed.cause == perennial_control::RoutingCause::Epoch || routed.reason.contains("; ");
        assert!(why || routed.evidence["experiment"].is_null(), "{:?}: {}", routed.cause, routed.reason);
    });
}

#[test]
fn a_change_of_traffic_differs_from_the_one_before() {
    let routed = eventful_undisturbed().routed();
    for pair in routed.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let same = (&before.shares, &before.shadows, &before.champion, &before.experiment)
            == (&after.shares, &after.shadows, &after.champion, &after.experiment);
        assert!(!same, "{after:?}");
    }
}

#[test]
fn the_eventful_history_has_every_kind_of_turn() {
    let world = eventful_undisturbed();
    let moved =
        |wanted: fn(&RolloutChange) -> bool| world.rollout_moves().iter().any(|moved| wanted(&moved.change));
    assert!(moved(|change| *change == RolloutChange::Entered(1)), "no bandit stage");
    assert!(moved(|change| *change == RolloutChange::Promoted), "no promotion");
    assert!(moved(|change| *change == RolloutChange::Refused), "no refusal");
    assert!(world.experiment_moves().iter().any(|moved| moved.change == ExperimentChange::Began));
    assert!(!world.rollbacks().is_empty(), "no rollback");
    let count = |wanted: fn(&ControlRecord) -> bool| world.records().filter(|record| wanted(record)).count();
    assert!(count(|record| matches!(record, ControlRecord::Measured(_))) > 10);
    assert!(count(|record| matches!(record, ControlRecord::Reported(_))) > 10);
    let adapted = world.decisions().into_iter().any(|(_, decision)| {
        decision.verdict == DecisionVerdict::Started && decision.reason.contains("goes on with")
    });
    assert!(adapted, "no adaptation went on");
}
