//! Claims about when something is decided, and what is recorded of it.

use perennial_control::{ControlRecord, DecisionVerdict, Pace, RunVerdict, Step};
use perennial_evaluate::Metric;
use perennial_policy::{Action, CooldownSpec, GuardSpec, PolicySpec, Quota, SignalKind, check};
use perennial_types::{TimeSpan, Timestamp};
use proptest::prelude::*;

use crate::world::{Ending, HOUR, World, always_better, by_hash, goal, hour, lively, policy, trigger};

fn eager(guards: GuardSpec) -> PolicySpec {
    let often = trigger("often", "volume.rows >= 12", None, Action::FineTune);
    PolicySpec { guards, ..policy(&["a"], vec![often]) }
}

fn held(world: &World) -> Vec<(Timestamp, String)> {
    let decisions = world.decisions().into_iter();
    let held = decisions.filter(|(_, decision)| decision.verdict == DecisionVerdict::Held);
    held.map(|(at, decision)| (at, decision.reason.clone())).collect()
}

#[test]
fn a_cooldown_holds_for_its_time_and_says_until_when() {
    let success = TimeSpan::from_hours(30);
    let guards =
        GuardSpec { cooldown: CooldownSpec { success, ..CooldownSpec::default() }, ..GuardSpec::default() };
    let mut world = World::new(goal(&["a"], Some(eager(guards))), always_better);
    world.play(0..24 * 12);
    // The first fit is no run of the policy, so its end is not rested after.
    let starts: Vec<Timestamp> = world.runs()[1..].iter().map(|run| run.requested_at).collect();
    assert!(starts.len() >= 3);
    assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]) >= success), "{starts:?}");
    let (at, reason) = held(&world).remove(0);
    assert!(at > starts[0] && at < starts[0] + success);
    let (ended, until) = (starts[0], starts[0] + success);
    let expected =
        format!("cooldown of 30h after the success of the run that ended at {ended}, until {until}");
    assert!(reason.contains(&expected), "{reason}");
}

#[test]
fn a_refused_candidate_is_not_trained_again_on_the_same_labels() {
    let worse = |run: &perennial_control::RunRequest| match run.action {
        perennial_control::RunAction::FirstFit => Ending::Better,
        _ => Ending::Worse,
    };
    let regular = trigger("regular", "volume.rows >= 12", Some("0 3 * * *"), Action::FineTune);
    let mut world = World::new(goal(&["a"], Some(policy(&["a"], vec![regular]))), worse);
    world.play(0..24 * 6);
    // The clock goes on, and no label comes.
    world.tick(24 * 7);
    let runs = world.runs().len();
    world.tick(24 * 30);
    assert_eq!(world.runs().len(), runs);
    let refused = world.judged().last().unwrap().version.clone().unwrap().number;
    let (_, reason) = held(&world).pop().unwrap();
    assert!(reason.contains(&format!("no new labels since candidate {refused} was refused")), "{reason}");
    world.play(24 * 30..24 * 32);
    assert!(world.runs().len() > runs, "labels have come");
}

#[test]
fn a_change_of_the_label_counts_from_the_record_that_applied_it() {
    let late = |world: &World| world.state.endpoint("at-a").unwrap().late();
    let provisional = |world: &World, h| {
        world.state.endpoint("at-a").unwrap().performance("a").unwrap().provisional_rows(hour(h))
    };
    let mut world = World::new(goal(&["a"], None), always_better);
    world.play(0..24 * 12);
    assert!(late(&world) > 0, "some labels come after eight days");
    let before = late(&world);
    let mut changed = world.state.goal().unwrap().clone();
    changed.endpoints[0].label.give_up_after = TimeSpan::from_days(20);
    changed.endpoints[0].label.matures_after = TimeSpan::from_days(3);
    world.redeclare(changed, 24 * 12);
    assert!(provisional(&world, 24 * 12) < 12);
    world.play(24 * 12..24 * 24);
    assert_eq!(late(&world), before);
    assert!(provisional(&world, 24 * 24) > 24, "three days mature together");
}

#[test]
fn a_budget_of_rows_holds_in_any_stretch_of_its_length() {
    let per = TimeSpan::from_days(3);
    let guards = GuardSpec { budget_rows: Some(Quota { amount: 150, per }), ..GuardSpec::default() };
    let mut spec = PolicySpec {
        guards,
        ..policy(&["a"], vec![trigger("often", "volume.rows >= 12", None, Action::Retrain)])
    };
    // A retrain costs about the same each time, unlike a fine-tune, which costs more the longer it is held.
    spec.actions.retrain.data = Some(TimeSpan::from_days(1));
    let mut world = World::new(goal(&["a"], Some(spec)), always_better);
    world.play(0..24 * 20);
    let visits: Vec<(Timestamp, u64)> = world
        .records()
        .filter_map(|record| match record {
            ControlRecord::RunFinished(finished) => match &finished.outcome {
                perennial_control::Outcome::Succeeded(trained) => Some((finished.at, trained.row_visits)),
                perennial_control::Outcome::Failed { .. } => None,
            },
            _ => None,
        })
        .skip(1)
        .collect();
    assert!(visits.len() > 8, "{visits:?}");
    for (from, _) in &visits {
        let within = visits.iter().filter(|(at, _)| at >= from && *at < *from + per);
        assert!(within.map(|(_, rows)| rows).sum::<u64>() <= 150);
    }
    let reasons = held(&world);
    assert!(
        reasons.iter().any(|(_, reason)| reason.contains("budget") && reason.contains("150")),
        "{reasons:?}"
    );
}

#[test]
fn rows_that_pile_up_while_a_budget_holds_do_not_hold_a_fine_tune_for_good() {
    // Two and a half days of labels in any three days: more come than may be trained on.
    let per = TimeSpan::from_days(3);
    let guards = GuardSpec { budget_rows: Some(Quota { amount: 60, per }), ..GuardSpec::default() };
    let mut world = World::new(goal(&["a"], Some(eager(guards))), always_better);
    world.play(0..24 * 40);
    let runs = world.runs();
    let last = runs.last().unwrap();
    assert!(last.requested_at > hour(24 * 36), "the last run was asked for at {}", last.requested_at);
    let taken: Vec<u64> = runs[1..].iter().filter_map(|run| run.data.at_most).collect();
    assert!(taken.len() > 8 && taken.iter().all(|most| *most == 60), "{taken:?}");
    // What one run leaves is the first that the next one takes.
    let ends = world.records().filter_map(|record| match record {
        ControlRecord::RunFinished(finished) => match &finished.outcome {
            perennial_control::Outcome::Succeeded(trained) => Some(trained.dataset.to_position),
            perennial_control::Outcome::Failed { .. } => None,
        },
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    assert!(runs[1..].iter().zip(&ends).all(|(run, end)| run.data.after == *end));
}

#[test]
fn a_failed_run_rests_by_the_failure_cooldown_and_takes_no_number() {
    let (success, failure) = (TimeSpan::from_hours(2), TimeSpan::from_hours(40));
    let guards = GuardSpec { cooldown: CooldownSpec { success, failure }, ..GuardSpec::default() };
    let fails = |run: &perennial_control::RunRequest| match run.parent {
        None => crate::world::Ending::Better,
        Some(_) => crate::world::Ending::Broken,
    };
    let mut world = World::new(goal(&["a"], Some(eager(guards))), fails);
    world.play(0..24 * 9);
    let starts: Vec<Timestamp> = world.runs()[1..].iter().map(|run| run.requested_at).collect();
    assert!(starts.len() >= 3);
    assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]) == failure), "{starts:?}");
    assert_eq!(world.state.model("a").unwrap().next_number(), 2);
    let failed = world.judged().into_iter().find(|judged| judged.verdict == RunVerdict::Failed).unwrap();
    assert_eq!((failed.reason.as_str(), &failed.version), ("the run failed: the loss is not finite", &None));
}

#[test]
fn a_decision_is_recorded_only_when_it_is_notable() {
    let old = trigger("too_old", "fresh.age > 3d", None, Action::Retrain);
    let mut world = World::new(goal(&["a"], Some(policy(&["a"], vec![old]))), always_better);
    world.play(0..24 * 4);
    let first = world.runs()[0].requested_at;
    let decisions: Vec<_> = world.decisions().iter().map(|(at, one)| (*at, one.verdict)).collect();
    // The start, and at the next tick the policy's first look; then the answer stays "not yet".
    let look = (first + HOUR, DecisionVerdict::Changed);
    assert_eq!(decisions, [(first, DecisionVerdict::Started), look]);
    let ticks = world.records().filter(|record| matches!(record, ControlRecord::InstantDone { .. })).count();
    assert_eq!(ticks, 24 * 4);
}

#[test]
fn every_decision_has_a_key_of_its_own_and_its_signals() {
    let mut world = World::new(lively(), by_hash);
    world.play(0..24 * 30);
    let decisions = world.decisions();
    let keys: std::collections::BTreeSet<&str> =
        decisions.iter().map(|(_, decision)| &*decision.key).collect();
    assert_eq!(keys.len(), decisions.len());
    for (at, decision) in decisions {
        assert!(decision.signals["values"].as_object().is_some_and(|values| !values.is_empty()), "at {at}");
        assert_eq!(decision.run.is_some(), decision.verdict == DecisionVerdict::Started);
    }
}

#[test]
fn on_the_wall_clock_time_goes_on_while_a_run_is_carried_out() {
    let mut world = World::new(goal(&["a"], Some(eager(GuardSpec::default()))), always_better);
    world.play(0..60);
    let mut h = 60;
    while world.state.runs_to_carry_out().is_empty() {
        // Without labels nothing falls due, so the hours of this play bring them.
        world.play(h..h + 1);
        h += 1;
        loop {
            match world.state.step(hour(h), hour(h), Pace::Wall) {
                Step::Append(records) => records.into_iter().for_each(|record| {
                    world.control(record);
                }),
                Step::CarryOut(_) => panic!("a driver on the wall clock is not asked to wait"),
                Step::Measure(_) | Step::Report(_) => panic!("nothing is measured or reported here"),
                Step::Done => break,
            }
        }
    }
    assert_eq!(world.state.done(), Some(hour(h)));
    let run = world.state.runs_to_carry_out().remove(0);
    for later in h + 1..h + 5 {
        let Step::Append(records) = world.state.step(hour(later), hour(later), Pace::Wall) else {
            panic!("hour {later} was not done");
        };
        records.into_iter().for_each(|record| {
            world.control(record);
        });
    }
    assert_eq!(world.state.runs_to_carry_out(), std::slice::from_ref(&run));
    world.finish(&run, hour(h + 5));
    // A verdict does not wait for a tick.
    let judged = world.state.step(hour(h + 4), hour(h + 5), Pace::Wall);
    assert!(
        matches!(&judged, Step::Append(records) if matches!(records[0], ControlRecord::Judged(_))),
        "{judged:?}"
    );
}

#[test]
fn a_metric_that_a_policy_may_name_is_one_that_can_be_measured() {
    let faults_of = |name: &str| {
        let mut spec = eager(GuardSpec::default());
        let SignalKind::Performance { metric, .. } = &mut spec.signals[0].kind else {
            panic!("no performance")
        };
        *metric = name.into();
        check(&spec).into_iter().filter(|(path, _)| path == "signals.quality.performance").collect::<Vec<_>>()
    };
    let (_, message) = faults_of("zebra").remove(0);
    let known: Vec<&str> = message.split("known are ").nth(1).unwrap().split(", ").collect();
    assert_eq!(known, Metric::ALL.map(Metric::name));
    for name in known {
        assert!(faults_of(name).is_empty() && Metric::from_name(name).is_some(), "{name}");
    }
}

proptest! {
    #[test]
    fn instants_lie_on_the_grid_without_gaps_or_repeats(steps in prop::collection::vec(0..200_i64, 1..40)) {
        let mut world = World::new(goal(&["a"], None), always_better);
        let mut now = hour(0);
        let mut done: Vec<Timestamp> = Vec::new();
        for minutes in steps {
            now = now + TimeSpan::from_secs(minutes * 60);
            while let Some(instant) = world.state.next_instant(now) {
                prop_assert!(instant <= now && instant.floor(HOUR) == instant);
                world.control(ControlRecord::InstantDone { at: instant });
                done.push(instant);
            }
            prop_assert!(done.last().is_none_or(|last| now.since(*last) < HOUR), "a tick before {now} is missing");
        }
        prop_assert!(done.windows(2).all(|pair| pair[1].since(pair[0]) == HOUR), "{done:?}");
    }
}

#[test]
fn what_is_seen_after_an_instant_is_what_was_decided_on() {
    let mut world = World::new(lively(), by_hash);
    assert_eq!(world.state.seen("keep", "a"), None);
    let mut compared = 0;
    for h in 0..24 * 20 {
        world.tick(h);
        let decisions = world.decisions().into_iter().filter(|(at, one)| *at == hour(h) && one.run.is_none());
        for (at, decision) in decisions {
            let seen = world.state.seen(decision.policy.as_ref().unwrap(), &decision.model).unwrap();
            assert_eq!(seen.at, at);
            // A baseline may have been completed since; what has nothing to do with one is the same.
            for member in ["fresh.age", "volume.rows"] {
                assert_eq!(seen.signals.get(member).to_json(), decision.signals["values"][member], "at {at}");
            }
            let names: Vec<&str> = seen.triggers.iter().map(|trigger| &*trigger.name).collect();
            assert_eq!(names, ["degraded", "regular", "too_old"]);
            compared += 1;
        }
        world.play(h..h + 1);
    }
    assert!(compared > 10, "{compared}");
}
