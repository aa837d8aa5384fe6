//! Claims about candidates on their way to traffic, and about promotions that are taken back.

use perennial_control::{ControlRecord, RolloutChange, RoutingCause, RunVerdict, stage_of};
use perennial_policy::{Action, Otherwise, PolicySpec, RollbackSpec, StageSpec};
use perennial_types::TimeSpan;

use crate::world::{World, always_better, arms, goal, hour, policy, trigger};

/// Shadow for a day, then a bandit for three at most; a promotion can be taken back for ten days.
pub(crate) fn staged(models: &[&str]) -> PolicySpec {
    let regular = trigger("regular", "volume.rows >= 12", Some("0 3 * * *"), Action::FineTune);
    let bandit = StageSpec::Bandit {
        algorithm: "gaussian_thompson".into(),
        epoch: TimeSpan::from_hours(6),
        floor: 0.05,
        until: "probability_better > 0.8".into(),
        at_most: TimeSpan::from_days(3),
        otherwise: Otherwise::PromoteIfNotWorse,
    };
    PolicySpec {
        rollout: vec![StageSpec::Shadow { length: TimeSpan::from_days(1) }, bandit, StageSpec::Promote],
        rollback: Some(RollbackSpec {
            when: "paired.relative_change > 0.1".into(),
            within: TimeSpan::from_days(10),
        }),
        ..policy(models, vec![regular])
    }
}

fn world(error: fn(&str, u64, i64) -> f64) -> World {
    let mut world = World::new(goal(&["a"], Some(staged(&["a"]))), always_better);
    world.error = error;
    world
}

fn each_better(_: &str, number: u64, _: i64) -> f64 {
    20.0 / number as f64
}

fn each_worse(_: &str, number: u64, _: i64) -> f64 {
    10.0 * number as f64
}

#[test]
fn an_admitted_candidate_goes_through_shadow_and_bandit_to_promotion() {
    let mut world = world(each_better);
    world.play(0..24 * 8);
    let judged = world.judged();
    assert_eq!(judged[0].verdict, RunVerdict::Promoted, "a first fit has nothing to be held against");
    assert_eq!(judged[1].verdict, RunVerdict::Admitted);
    let moves: Vec<_> = world.rollout_moves().into_iter().filter(|moved| moved.version.number == 2).collect();
    let changes: Vec<RolloutChange> = moves.iter().map(|moved| moved.change).collect();
    assert_eq!(changes, [RolloutChange::Entered(0), RolloutChange::Entered(1), RolloutChange::Promoted]);
    assert_eq!((moves[0].at, moves[1].at.since(moves[0].at)), (judged[1].at, TimeSpan::from_days(1)));
    assert!(moves[2].reason.starts_with("probability_better is "), "{}", moves[2].reason);
    assert_eq!(world.state.model("a").unwrap().version(2).unwrap().promoted_at, Some(moves[2].at));
    // In shadow both are scored and the candidate answers nothing; in the bandit it has a part of the requests.
    let routed = |at| world.routed().into_iter().find(|routed| routed.at == at).unwrap();
    let shadow = routed(moves[0].at);
    assert_eq!(shadow.cause, RoutingCause::Rollout);
    assert_eq!(shadow.shadows.iter().map(|by| by.version.number).collect::<Vec<_>>(), [2]);
    assert_eq!(arms(shadow).len(), 1);
    let bandit = arms(routed(moves[1].at));
    assert!(bandit[1].0.number == 2 && bandit[1].1 > 0.05, "{bandit:?}");
    let promoted = routed(moves[2].at);
    assert_eq!(arms(promoted), [(perennial_evaluate::Scorer { model: "a".into(), number: 2 }, 1.0)]);
    assert_eq!(promoted.shadows.iter().map(|by| by.version.number).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_worse_candidate_is_refused_when_its_time_is_over_and_counts_as_a_failure() {
    let mut world = world(each_worse);
    world.play(0..24 * 12);
    let refused =
        world.rollout_moves().into_iter().find(|moved| moved.change == RolloutChange::Refused).unwrap();
    assert_eq!(refused.version.number, 2);
    assert!(refused.reason.contains("its 3d in stage 2 of 3 (bandit) are over"), "{}", refused.reason);
    assert!(refused.reason.contains("worse by more than 5 % at 90 % confidence"), "{}", refused.reason);
    let model = world.state.model("a").unwrap();
    assert_eq!(model.current().unwrap().id.number, 1);
    assert!(
        model
            .past_runs("keep")
            .iter()
            .all(|run| { run.finished.unwrap().outcome == perennial_policy::RunOutcome::Failure })
    );
    // The next candidate starts from the same parent and sees the same labels again.
    let runs = world.runs();
    assert_eq!(runs[1].data.after, runs[2].data.after);
}

#[test]
fn a_candidate_that_fails_where_the_current_version_answers_is_refused_after_its_shadow() {
    // It is better by far on what it does score.
    let mut world = world(each_better);
    world.misses = |number, id| number == 2 && !perennial_types::hash64(7, &[id]).is_multiple_of(10);
    world.play(0..24 * 8);
    let moves = world.rollout_moves();
    let second: Vec<_> = moves.iter().filter(|moved| moved.version.number == 2).collect();
    let changes: Vec<RolloutChange> = second.iter().map(|moved| moved.change).collect();
    assert_eq!(changes, [RolloutChange::Entered(0), RolloutChange::Refused]);
    let reason = &second[1].reason;
    assert!(reason.starts_with("it failed on "), "{reason}");
    assert!(reason.ends_with("that version 1 scored, more than the 5 % that are tolerated"), "{reason}");
}

#[test]
fn a_rollback_by_hand_counts_as_a_failure() {
    let mut spec = staged(&["a"]);
    spec.rollback = None;
    spec.guards.cooldown.failure = TimeSpan::from_days(4);
    let mut world = World::new(goal(&["a"], Some(spec)), always_better);
    world.error = each_better;
    world.play(0..24 * 8);
    assert!(world.rollout_moves().iter().any(|moved| moved.change == RolloutChange::Promoted));
    let back = world.state.roll_back("a", None, "it feels wrong", hour(24 * 8)).unwrap();
    world.by_hand(ControlRecord::RolledBack(back), 24 * 8);
    let runs = world.runs().len();
    let failed = world.state.model("a").unwrap().past_runs("keep");
    let last = failed.iter().filter_map(|run| run.finished).find(|end| end.at == hour(24 * 8)).unwrap();
    assert_eq!(last.outcome, perennial_policy::RunOutcome::Failure);
    world.play(24 * 8..24 * 12);
    assert_eq!(world.runs().len(), runs, "the cooldown of a failure holds the next run");
    world.play(24 * 12..24 * 14);
    assert!(world.runs().len() > runs);
}

#[test]
fn triggers_are_held_while_a_candidate_is_in_rollout() {
    let mut spec = staged(&["a"]);
    spec.rollout[0] = StageSpec::Shadow { length: TimeSpan::from_hours(36) };
    let mut world = World::new(goal(&["a"], Some(spec)), always_better);
    world.error = each_worse;
    world.play(0..24 * 8);
    let held: Vec<&str> = world
        .decisions()
        .into_iter()
        .map(|(_, decision)| decision.reason.as_str())
        .filter(|reason| reason.contains("candidate 2 is in rollout: stage"))
        .collect();
    assert!(held.iter().any(|reason| reason.contains("stage 1 of 3 (shadow) since 2011-01-0")), "{held:#?}");
    assert!(held.iter().any(|reason| reason.contains("stage 2 of 3 (bandit) since 2011-01-0")), "{held:#?}");
    let stages: Vec<_> = world
        .records()
        .filter_map(|record| match record {
            ControlRecord::RolloutMoved(moved) => stage_of(&moved.evidence),
            _ => None,
        })
        .collect();
    assert_eq!(stages[..2], ["stage 1 of 3 (shadow)", "stage 2 of 3 (bandit)"], "{stages:?}");
    let running: Vec<_> = world.runs().into_iter().filter(|run| run.requested_at < hour(24 * 7)).collect();
    assert_eq!(running.len(), 2, "one first fit and one candidate at a time");
}

/// Version 2 is better until the tenth day and then much worse than version 1.
fn spoils(_: &str, number: u64, h: i64) -> f64 {
    match (number, h < 24 * 10) {
        (2, true) => 5.0,
        (2, false) => 40.0,
        (_, _) => 10.0,
    }
}

#[test]
fn a_promotion_that_turns_out_worse_is_taken_back_and_counts_as_a_failure() {
    let mut world = world(spoils);
    world.play(0..24 * 16);
    let backs = world.rollbacks();
    let back = backs.first().unwrap();
    assert_eq!((back.from.number, back.to.number, back.policy.as_deref()), (2, 1, Some("keep")));
    assert!(back.reason.starts_with("paired.relative_change is "), "{}", back.reason);
    let routed = world.routed().into_iter().find(|routed| routed.at == back.at).unwrap();
    assert_eq!(arms(routed)[0].0.number, 1);
    assert_eq!(routed.cause, RoutingCause::Rollback);
    let taken_back = world.state.model("a").unwrap().past_runs("keep");
    let failed = taken_back.iter().find(|run| run.finished.unwrap().at == back.at).unwrap();
    assert_eq!(failed.finished.unwrap().outcome, perennial_policy::RunOutcome::Failure);
}

#[test]
fn a_replaced_version_leaves_shadow_when_no_rollback_can_follow() {
    let mut spec = staged(&["a"]);
    spec.rollback.as_mut().unwrap().within = TimeSpan::from_hours(30);
    spec.guards.cooldown.success = TimeSpan::from_days(30);
    let mut world = World::new(goal(&["a"], Some(spec)), always_better);
    world.error = each_better;
    world.play(0..24 * 12);
    let moves = world.rollout_moves();
    let promoted = moves.iter().find(|moved| moved.change == RolloutChange::Promoted).unwrap();
    let last = *world.routed().last().unwrap();
    assert_eq!((last.cause, last.shadows.len()), (RoutingCause::Rollback, 0));
    assert!(last.at.since(promoted.at) <= TimeSpan::from_hours(31) && last.at > promoted.at);
    assert!(last.reason.contains("version 1, which was replaced, leaves shadow"), "{}", last.reason);
    assert!(world.state.model("a").unwrap().watch().is_none());
}

#[test]
fn a_rollback_by_hand_refuses_the_candidate_that_started_from_what_is_taken_back() {
    let mut world = world(each_better);
    let mut h = 0;
    let third_in_rollout = |world: &World| {
        world
            .rollout_moves()
            .last()
            .is_some_and(|moved| moved.version.number == 3 && moved.change == RolloutChange::Entered(0))
    };
    while !third_in_rollout(&world) {
        world.play(h..h + 1);
        h += 1;
        assert!(h < 24 * 20);
    }
    let back = world.state.roll_back("a", None, "it feels wrong", hour(h)).unwrap();
    let before = world.log.len();
    world.by_hand(ControlRecord::RolledBack(back), h);
    let kinds: Vec<&str> = world
        .records()
        .skip(world.records().count() - (world.log.len() - before))
        .map(|record| match record {
            ControlRecord::RolledBack(_) => "rolled back",
            ControlRecord::RolloutMoved(moved) if moved.change == RolloutChange::Refused => "refused",
            ControlRecord::Routed(_) => "routed",
            _ => "another",
        })
        .collect();
    assert_eq!(kinds, ["rolled back", "refused", "routed"]);
    let refused = *world.rollout_moves().last().unwrap();
    assert_eq!(refused.reason, "version 2, which it started from and was held against, no longer serves");
    assert_eq!(arms(world.routed().last().unwrap())[0].0.number, 1);
}

#[test]
fn a_rollout_goes_by_the_declarations_that_its_run_was_started_under() {
    let mut world = world(each_worse);
    world.play(0..24 * 5);
    assert!(world.state.model("a").unwrap().in_flight().unwrap().in_rollout().is_some());
    let mut changed = world.state.goal().unwrap().clone();
    changed.policies[0].spec.rollout = vec![StageSpec::Promote];
    changed.policies[0].version = perennial_types::ContentHash::of(b"changed");
    world.redeclare(changed, 24 * 5);
    world.play(24 * 5..24 * 12);
    let moves = world.rollout_moves();
    let second: Vec<RolloutChange> =
        moves.iter().filter(|moved| moved.version.number == 2).map(|moved| moved.change).collect();
    assert_eq!(second, [RolloutChange::Entered(0), RolloutChange::Entered(1), RolloutChange::Refused]);
    let later = world.judged().into_iter().find(|judged| judged.at > hour(24 * 6)).unwrap();
    assert_eq!(later.verdict, RunVerdict::Promoted, "later runs go by the later declarations");
}

#[test]
fn a_model_without_a_share_still_goes_through_its_rollout() {
    let mut world = World::new(crate::experiments::duel(None, &["a", "b"]), always_better);
    world.error = each_better;
    world.play(0..24 * 8);
    let promoted = world
        .rollout_moves()
        .into_iter()
        .find(|moved| &*moved.model == "b" && moved.change == RolloutChange::Promoted)
        .unwrap();
    for routed in world.routed() {
        assert!(routed.shares.iter().all(|share| &*share.model == "a"), "{routed:?}");
    }
    assert!(promoted.evidence["compared"]["rows"].as_u64().unwrap() >= 24, "{}", promoted.evidence);
}
