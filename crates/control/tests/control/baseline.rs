//! What a performance signal is compared with.

use perennial_control::{ControlRecord, Input};
use perennial_policy::Action;
use perennial_types::{TimeSpan, Timestamp};

use crate::world::{World, always_better, goal, hour, policy, trigger};

/// The mean absolute error of the answers that matured in `(from, to]`, by the records alone; every label of
/// these histories is in time or never, as far as it matters here.
fn mae(world: &World, from: Timestamp, to: Timestamp, known_at: Timestamp) -> f64 {
    let matures = TimeSpan::from_days(1);
    let mut errors = Vec::new();
    for input in &world.log {
        let Input::Predicted { prediction, .. } = input else { continue };
        let matured = prediction.at + matures;
        if prediction.fallback || matured <= from || matured > to {
            continue;
        }
        let label = world.log.iter().find_map(|input| match input {
            Input::Labelled { feedback, .. } if feedback.prediction_id == prediction.id => Some(feedback),
            _ => None,
        });
        if let Some(label) = label.filter(|label| label.at < known_at) {
            errors.push((prediction.value - label.value).abs());
        }
    }
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn a_baseline_is_inherited_until_the_first_full_window_after_the_promotion_has_matured() {
    let window = TimeSpan::from_days(2);
    let old = trigger("too_old", "fresh.age > 6d", None, Action::Retrain);
    let mut world = World::new(goal(&["a"], Some(policy(&["a"], vec![old]))), always_better);
    let mut seen: Vec<(u64, f64, bool)> = Vec::new();
    for h in 0..24 * 16 {
        world.play(h..h + 1);
        let Some(version) = world.state.model("a").and_then(|model| model.current()) else { continue };
        let promoted = version.promoted_at.unwrap();
        let complete = promoted + TimeSpan::from_days(1) + window;
        match version.baselines.values().next() {
            None => assert!(version.id.number == 1 && hour(h) < complete, "no baseline at {}", hour(h)),
            Some(baseline) => {
                assert_eq!(
                    baseline.inherited,
                    hour(h) < complete,
                    "version {} at {}",
                    version.id.number,
                    hour(h)
                );
                let figure = (version.id.number, baseline.value, baseline.inherited);
                if !seen.contains(&figure) {
                    seen.push(figure);
                }
            }
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
    assert_eq!(
        (seen[0].0, seen[0].2, seen[1].0, seen[1].2, seen[2].0, seen[2].2),
        (1, false, 2, true, 2, false)
    );
    assert_eq!(seen[0].1, seen[1].1, "what is inherited is the parent's");
    for (number, value, _) in [seen[0], seen[2]] {
        let promoted = world.state.model("a").unwrap().version(number).unwrap().promoted_at.unwrap();
        let from = promoted + TimeSpan::from_days(1);
        let oracle = mae(&world, from, from + window, from + window);
        assert!((value - oracle).abs() < 1e-9, "version {number}: {value} is not {oracle}");
    }
}

#[test]
fn without_a_baseline_the_signal_says_when_there_will_be_one() {
    let worse = trigger("worse", "quality.relative_change > 0.1", None, Action::FineTune);
    let mut world = World::new(goal(&["a"], Some(policy(&["a"], vec![worse]))), always_better);
    world.play(0..24 * 4);
    let promoted = world.state.model("a").unwrap().current().unwrap().promoted_at.unwrap();
    let look =
        world.decisions().into_iter().find(|(_, decision)| decision.policy.is_some()).unwrap().1.clone();
    let complete = promoted + TimeSpan::from_days(3);
    assert_eq!(
        look.signals["unknown"]["quality.baseline"],
        format!("the first full window after the promotion has matured at {complete}")
    );
    assert!(world.records().any(|record| matches!(record, ControlRecord::InstantDone { .. })));
}
