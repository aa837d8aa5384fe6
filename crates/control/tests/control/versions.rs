//! Claims about runs, versions and rollbacks.

use perennial_control::{
    ControlError, ControlRecord, DecisionVerdict, RunAction, RunFinished, RunRequest, RunVerdict, State,
};
use perennial_policy::Action;
use perennial_types::{Kind, Position};

use crate::world::{Ending, HOLDOUT, World, always_better, goal, hour, policy, trigger};

/// One model, fine-tuned every night.
fn nightly(fate: crate::world::Fate) -> World {
    let regular = trigger("regular", "volume.rows >= 12", Some("0 3 * * *"), Action::FineTune);
    World::new(goal(&["a"], Some(policy(&["a"], vec![regular]))), fate)
}

fn first_fit_and_one_night_refused(run: &RunRequest) -> Ending {
    let second_night =
        run.action == RunAction::FineTune && run.parent.as_ref().is_some_and(|parent| parent.number == 2);
    if second_night { Ending::Worse } else { Ending::Better }
}

#[test]
fn the_first_version_starts_at_the_first_tick_at_which_its_condition_holds() {
    let mut world = World::new(goal(&["a"], None), always_better);
    let mut due = None;
    for h in 0..24 * 5 {
        let rows = world.state.endpoint("at-a").unwrap().labels().count_since(Position::START);
        if due.is_none() && rows >= 40 {
            due = Some(hour(h));
        }
        world.play(h..h + 1);
    }
    let runs = world.runs();
    assert_eq!(runs.len(), 1, "a model without a policy gets one version");
    assert_eq!((Some(runs[0].requested_at), runs[0].action), (due, RunAction::FirstFit));
    let judged = world.judged();
    assert!(judged[0].first && judged[0].verdict == RunVerdict::Promoted);
    assert_eq!(world.decisions()[0].1.reason, "the first version is due: labels.rows >= 40 (40 labels)");
}

#[test]
fn a_first_fit_that_failed_is_tried_again_when_the_labels_have_grown_by_a_tenth() {
    let mut world = World::new(goal(&["a"], None), |run| {
        if run.requested_at < hour(72) { Ending::Broken } else { Ending::Better }
    });
    let mut rows_at = Vec::new();
    for h in 0..24 * 5 {
        let rows = world.state.endpoint("at-a").unwrap().labels().count_since(Position::START);
        let before = world.runs().len();
        world.play(h..h + 1);
        if world.runs().len() > before {
            rows_at.push(rows);
        }
    }
    assert!(rows_at.len() >= 2, "{rows_at:?}");
    assert_eq!(rows_at[0], 40);
    assert!(rows_at.windows(2).all(|pair| pair[1] as f64 >= pair[0] as f64 * 1.1), "{rows_at:?}");
    assert_eq!(world.state.model("a").unwrap().current().unwrap().id.number, 1);
}

/// A world at a run in flight, which is not finished yet.
fn in_flight() -> (World, RunRequest) {
    let mut world = World::new(goal(&["a"], None), always_better);
    world.play(0..24 * 3);
    let before = world.log.len();
    let asked = world.log[..before].iter().position(|input| {
        matches!(input, perennial_control::Input::Control { record: ControlRecord::Decided(_), .. })
    });
    world.log.truncate(asked.unwrap() + 1);
    let mut state = State::default();
    for input in &world.log {
        state.apply(input.clone()).unwrap();
    }
    world.state = state;
    let run = world.state.runs_to_carry_out().remove(0);
    (world, run)
}

#[test]
fn the_first_outcome_of_a_run_wins_and_a_second_changes_nothing() {
    let (mut world, run) = in_flight();
    let finished = |outcome| {
        ControlRecord::RunFinished(RunFinished {
            run: run.id.clone(),
            model: "a".into(),
            at: hour(80),
            outcome,
        })
    };
    let (better, broken) = (world.outcome(&run, Ending::Better), world.outcome(&run, Ending::Broken));
    world.control(finished(better.clone()));
    let after_first = serde_json::to_value(world.state.model("a").unwrap()).unwrap();
    world.control(finished(broken));
    world.control(finished(better.clone()));
    assert_eq!(serde_json::to_value(world.state.model("a").unwrap()).unwrap(), after_first);
    world.tick(81);
    assert_eq!(world.judged()[0].verdict, RunVerdict::Promoted);
    // An outcome that comes after the verdict changes nothing either.
    let judged = serde_json::to_value(world.state.model("a").unwrap()).unwrap();
    world.control(finished(better));
    assert_eq!(serde_json::to_value(world.state.model("a").unwrap()).unwrap(), judged);
    assert_eq!(world.state.model("a").unwrap().next_number(), 2);
}

#[test]
fn an_outcome_of_another_run_is_passed_over() {
    let (mut world, run) = in_flight();
    let outcome = world.outcome(&run, Ending::Better);
    let stranger = RunFinished { run: "run_of_another_log".into(), model: "a".into(), at: hour(80), outcome };
    world.control(ControlRecord::RunFinished(stranger));
    assert_eq!(world.state.runs_to_carry_out(), [run]);
    assert_eq!(world.state.model("a").unwrap().next_number(), 1);
}

#[test]
fn a_refused_candidate_keeps_its_number_but_takes_no_place_and_no_data() {
    let mut world = nightly(first_fit_and_one_night_refused);
    world.play(0..24 * 8);
    let verdicts: Vec<(u64, RunVerdict)> = world
        .judged()
        .iter()
        .map(|judged| (judged.version.as_ref().unwrap().number, judged.verdict))
        .collect();
    let refused = verdicts.iter().position(|(_, verdict)| *verdict == RunVerdict::Refused).unwrap();
    assert_eq!(verdicts[refused], (3, RunVerdict::Refused), "{verdicts:?}");
    let model = world.state.model("a").unwrap();
    assert_eq!(model.current().unwrap().id.number, 2);
    assert_eq!(model.version(3).unwrap().promoted_at, None);
    assert!(!model.served_before(3));
    // Every later run begins where version 2 ended, so what version 3 saw is not lost.
    let data_end = model.version(2).unwrap().data_end;
    let later: Vec<_> = world.runs().into_iter().skip(refused).collect();
    assert!(later.len() >= 2);
    for run in later {
        assert_eq!((run.data.after, run.parent.as_ref().unwrap().number), (data_end, 2));
    }
}

#[test]
fn what_a_gate_holds_out_is_trained_on_by_the_next_run() {
    let mut world = nightly(always_better);
    world.play(0..24 * 8);
    let runs = world.runs();
    assert!(runs.len() >= 3);
    for pair in runs[1..].windows(2) {
        let parent =
            world.state.model("a").unwrap().version(pair[1].parent.as_ref().unwrap().number).unwrap();
        assert_eq!(pair[1].data.after, parent.data_end);
        assert!(parent.data_end < pair[0].data.to, "{HOLDOUT} rows were held out behind the data end");
    }
}

#[test]
fn a_rollback_goes_to_the_version_that_served_before_and_only_to_such_a_one() {
    let mut world = nightly(first_fit_and_one_night_refused);
    let refusal = |world: &World, to| world.state.roll_back("a", to, "test", hour(200)).unwrap_err();
    assert_eq!(refusal(&world, None).to_string(), "model \"a\" has no version yet",);
    world.play(0..24 * 8);
    assert_eq!(
        refusal(&world, Some(3)).to_string(),
        "model \"a\" cannot go back to version 3: only a version that served before the current one (2) can serve again"
    );
    for number in [0, 2, 99] {
        assert_eq!(refusal(&world, Some(number)).kind(), Kind::Conflict, "to {number}");
    }
    let back = world.state.roll_back("a", None, "it is worse", hour(200)).unwrap();
    assert_eq!((back.from.number, back.to.number), (2, 1));
    assert_eq!(world.state.roll_back("a", Some(1), "it is worse", hour(200)).unwrap(), back);
    world.control(ControlRecord::RolledBack(back));
    let model = world.state.model("a").unwrap();
    assert_eq!((model.current().unwrap().id.number, model.served_before(2)), (1, false));
    assert_eq!(
        refusal(&world, None).to_string(),
        "model \"a\" has no version before 1: there is nothing to go back to"
    );
    let unknown = world.state.roll_back("aa", None, "test", hour(200)).unwrap_err();
    assert!(matches!(&unknown, ControlError::UnknownModel { .. }), "{unknown}");
    assert_eq!(
        (unknown.kind(), unknown.to_string()),
        (Kind::NotFound, "no model \"aa\"; did you mean \"a\"?".into())
    );
}

#[test]
fn after_a_rollback_the_next_version_starts_from_what_serves_and_takes_a_new_number() {
    let mut world = nightly(always_better);
    world.play(0..24 * 6);
    let numbers = world.state.model("a").unwrap().next_number();
    let back = world.state.roll_back("a", Some(1), "test", hour(24 * 6)).unwrap();
    world.control(ControlRecord::RolledBack(back));
    world.play(24 * 6..24 * 8);
    let run = world.runs().into_iter().find(|run| run.requested_at >= hour(24 * 6)).unwrap();
    let model = world.state.model("a").unwrap();
    assert_eq!(run.parent.as_ref().unwrap().number, 1);
    assert_eq!(run.data.after, model.version(1).unwrap().data_end);
    assert!(model.version(numbers).unwrap().promoted_at.is_some());
}

#[test]
fn a_model_under_a_changed_definition_is_not_fine_tuned() {
    let mut world = nightly(always_better);
    world.play(0..24 * 3);
    let before = world.runs().len();
    let mut changed = world.state.goal().unwrap().clone();
    changed.models[0].definition = perennial_types::ContentHash::of(b"another");
    world.apply_goal(changed);
    world.play(24 * 3..24 * 5 + 5);
    assert_eq!(world.runs().len(), before);
    let decisions = world.decisions();
    let held =
        decisions.iter().rev().map(|(_, one)| one).find(|one| one.verdict == DecisionVerdict::Held).unwrap();
    let why = "the model's definition has changed since its current version: only a retrain can follow";
    assert!(held.reason.contains(why), "{}", held.reason);
}
