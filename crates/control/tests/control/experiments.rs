//! Claims about experiments between models, and about the traffic that follows from everything.

use perennial_control::{ExperimentChange, ExperimentGoal, Goal, RoutingCause};
use perennial_evaluate::{
    Algorithm, Conclusion, ExperimentSpec, GuardrailMetric, GuardrailSpec, Mode, RewardSpec, UnitSpec,
};
use perennial_types::{ContentHash, TimeSpan};

use crate::rollouts::staged;
use crate::world::{USERS, World, always_better, goal, hour};

/// One endpoint with two models, each kept by the staged policy if `kept` names it.
pub(crate) fn duel(experiment: Option<ExperimentSpec>, kept: &[&str]) -> Goal {
    let spec = (!kept.is_empty()).then(|| staged(kept));
    let mut goal = goal(&["a", "b"], spec);
    let mut endpoint = goal.endpoints.remove(0);
    endpoint.name = "e".into();
    endpoint.models = vec!["a".into(), "b".into()];
    goal.endpoints = vec![endpoint];
    for model in &mut goal.models {
        model.endpoint = "e".into();
    }
    goal.experiments = experiment.into_iter().map(declared).collect();
    goal
}

fn declared(spec: ExperimentSpec) -> ExperimentGoal {
    let version = ContentHash::of(serde_json::to_string(&spec).unwrap().as_bytes());
    ExperimentGoal { version, spec }
}

pub(crate) fn experiment(mode: Mode) -> ExperimentSpec {
    ExperimentSpec {
        name: "a-or-b".into(),
        endpoint: "e".into(),
        mode,
        arms: vec!["a".into(), "b".into()],
        unit: UnitSpec::Request,
        reward: RewardSpec { of: "-ABS(prediction - label)".into(), range: (-200.0, 0.0) },
        guardrails: vec![GuardrailSpec { of: GuardrailMetric::ErrorRate, max: 0.05 }],
        until: Some("probability_best > 0.99".into()),
        at_most: TimeSpan::from_days(12),
        then: Conclusion::PromoteBest,
        otherwise: Conclusion::KeepInitial,
    }
}

pub(crate) fn bandit() -> Mode {
    Mode::Bandit {
        algorithm: Algorithm::GaussianThompson,
        epoch: TimeSpan::from_hours(6),
        floor: 0.05,
        reset_on_change: false,
    }
}

fn world(mode: Mode, error: fn(&str, u64, i64) -> f64) -> World {
    let mut world = World::new(duel(Some(experiment(mode)), &[]), always_better);
    world.rate = 4;
    world.error = error;
    world
}

fn b_is_better(model: &str, _: u64, _: i64) -> f64 {
    if model == "b" { 10.0 } else { 20.0 }
}

fn alike(_: &str, _: u64, _: i64) -> f64 {
    15.0
}

fn changes(world: &World) -> Vec<&ExperimentChange> {
    world.experiment_moves().into_iter().map(|moved| &moved.change).collect()
}

fn concluded(champion: &str) -> ExperimentChange {
    ExperimentChange::Concluded { champion: champion.into() }
}

#[test]
fn a_bandit_moves_traffic_to_the_better_model_and_concludes_after_two_epochs() {
    let mut world = world(bandit(), b_is_better);
    world.play(0..24 * 10);
    assert_eq!(changes(&world), [&ExperimentChange::Began, &concluded("b")]);
    let moves = world.experiment_moves();
    let routed = world.routed();
    let began = routed.iter().find(|routed| routed.at == moves[0].at).unwrap();
    let shares: Vec<f64> = began.shares.iter().map(|share| share.share).collect();
    assert_eq!((shares, began.cause), (vec![0.5, 0.5], RoutingCause::Experiment));
    let epochs: Vec<_> = routed.iter().filter(|routed| routed.cause == RoutingCause::Epoch).collect();
    assert_eq!(epochs.len(), 1, "the shares of the epoch before the conclusion are those of a lead");
    assert_eq!(moves[1].at.since(epochs[0].at), TimeSpan::from_hours(6));
    assert!(epochs[0].shares[1].share > 0.9, "{:?}", epochs[0].shares);
    assert!(epochs[0].evidence["experiment"]["evidence"]["probability_best"].as_f64().unwrap() > 0.99);
    let last = routed.last().unwrap();
    assert_eq!((&*last.champion, last.shares.len(), last.experiment.is_none()), ("b", 1, true));
    assert_eq!(&**world.state.endpoint("e").unwrap().champion(), "b");
}

#[test]
fn without_a_lead_the_time_runs_out_and_the_initial_model_stays() {
    let mut world = world(Mode::Ab { split: vec![0.3, 0.7] }, alike);
    world.play(0..24 * 18);
    assert_eq!(changes(&world), [&ExperimentChange::Began, &concluded("a")]);
    let moves = world.experiment_moves();
    assert_eq!(
        moves[1].at.since(moves[0].at),
        TimeSpan::from_days(12),
        "counted from when every arm has a version"
    );
    assert!(moves[1].reason.starts_with("its 12d are over: probability_best is "), "{}", moves[1].reason);
    let shares: Vec<f64> = world
        .routed()
        .iter()
        .find(|routed| routed.experiment.is_some())
        .unwrap()
        .shares
        .iter()
        .map(|share| share.share)
        .collect();
    assert_eq!(shares, [0.3, 0.7]);
    let experiment = world.state.endpoint("e").unwrap().experiment().unwrap();
    assert!(experiment.choices().p_value().unwrap() > 0.001, "traffic is what the split says");
}

#[test]
fn a_hundred_requests_of_thirty_users_are_thirty_observations_of_an_ab_test() {
    let mut spec = experiment(Mode::Ab { split: vec![0.5, 0.5] });
    spec.until = Some("p_value < 0.05".into());
    spec.unit = UnitSpec::Column("user".into());
    let mut world = World::new(duel(Some(spec), &[]), always_better);
    world.rate = 4;
    world.error = b_is_better;
    world.play(0..24 * 18);
    // Each request by itself ends this within a week.
    assert_eq!(changes(&world), [&ExperimentChange::Began, &concluded("a")]);
    let reason = &world.experiment_moves()[1].reason;
    let missing = "p_value is unknown: an arm has matured rewards of fewer than 100 values of user (";
    assert!(reason.contains(missing), "{reason}");
    let experiment = world.state.endpoint("e").unwrap().experiment().unwrap();
    let evidence = experiment.evidence();
    assert!(evidence.rows() > 500);
    assert_eq!(evidence.arms.iter().map(|arm| arm.units).sum::<u64>(), USERS);
    assert_eq!(experiment.choices().rows(), USERS, "a unit was given an arm once");
}

#[test]
fn an_experiment_waits_for_versions_of_the_definitions_that_are_declared() {
    let mut world = World::new(duel(None, &[]), always_better);
    world.play(0..24 * 4);
    let mut changed = duel(Some(experiment(Mode::Ab { split: vec![0.5, 0.5] })), &[]);
    let definition = std::mem::replace(&mut changed.models[1].definition, ContentHash::of(b"another"));
    world.redeclare(changed.clone(), 24 * 4);
    world.play(24 * 4..24 * 5);
    assert!(world.experiment_moves().is_empty());
    assert_eq!(
        world.state.experiment_waits("e").unwrap(),
        "b has changed since its version 1: a retrain must be promoted first"
    );
    changed.models[1].definition = definition;
    world.redeclare(changed, 24 * 5);
    world.play(24 * 5..24 * 5 + 2);
    assert_eq!(changes(&world), [&ExperimentChange::Began]);
    assert_eq!(world.state.experiment_waits("e"), None);
}

#[test]
fn an_experiment_begins_anew_where_outcomes_are_said_to_depend_on_answers() {
    let mut spec = experiment(bandit());
    spec.until = None;
    let mut world = World::new(duel(Some(spec), &[]), always_better);
    world.play(0..24 * 6);
    let rows = |world: &World| {
        let experiment = world.state.endpoint("e").unwrap().experiment().unwrap();
        experiment.evidence().arms.iter().map(|arm| arm.rows).collect::<Vec<_>>()
    };
    let before = rows(&world);
    assert!(before[0] > 20 && before[0] == before[1], "every arm earned by every request: {before:?}");
    let mut changed = world.state.goal().unwrap().clone();
    changed.endpoints[0].outcome = perennial_evaluate::Outcome::DependsOnPrediction;
    world.redeclare(changed, 24 * 6);
    world.play(24 * 6..24 * 10);
    assert_eq!(changes(&world), [&ExperimentChange::Began, &ExperimentChange::Began]);
    let after = rows(&world);
    assert!(after.iter().sum::<u64>() < 24 * 4 && after[0] > 0 && after[1] > 0, "{after:?}");
}

#[test]
fn in_a_shadow_experiment_the_champion_answers_and_every_arm_scores() {
    let mut world = world(Mode::Shadow, b_is_better);
    world.play(0..24 * 10);
    assert_eq!(changes(&world), [&ExperimentChange::Began, &concluded("b")]);
    let moves = world.experiment_moves();
    let during = *world.routed().iter().find(|routed| routed.at == moves[0].at).unwrap();
    assert_eq!(during.shares.len(), 1);
    assert_eq!(during.shadows.iter().map(|by| &*by.model).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_guardrail_takes_out_an_arm_that_does_not_answer_and_the_other_one_stays() {
    let mut world = world(bandit(), alike);
    world.fails = Some("b");
    world.play(0..24 * 6);
    assert_eq!(
        changes(&world),
        [&ExperimentChange::Began, &ExperimentChange::ArmRemoved("b".into()), &concluded("a")]
    );
    let moves = world.experiment_moves();
    assert!(moves[1].reason.starts_with("b: the arm failed "), "{}", moves[1].reason);
    assert_eq!(moves[2].reason, "it is the only arm left");
}

#[test]
fn a_changed_experiment_begins_anew_and_a_removed_one_ends_with_its_champion() {
    let mut world = world(Mode::Ab { split: vec![0.5, 0.5] }, alike);
    world.play(0..24 * 6);
    let mut changed = world.state.goal().unwrap().clone();
    let mut spec = experiment(bandit());
    spec.at_most = TimeSpan::from_days(20);
    changed.experiments = vec![declared(spec)];
    world.redeclare(changed.clone(), 24 * 6);
    // Nothing counts twice: the rewards of the first declaration are not those of the second.
    assert_eq!(world.routed().last().unwrap().experiment, None);
    world.play(24 * 6..24 * 6 + 2);
    assert_eq!(changes(&world), [&ExperimentChange::Began, &ExperimentChange::Began]);
    let rows = world.state.endpoint("e").unwrap().experiment().unwrap().evidence().rows();
    assert_eq!(rows, 0);
    changed.experiments.clear();
    world.redeclare(changed, 24 * 6 + 2);
    let last = *world.routed().last().unwrap();
    assert_eq!((last.cause, &*last.champion, last.at), (RoutingCause::Declarations, "a", hour(24 * 6 + 2)));
    assert!(
        last.reason.starts_with("the declarations have changed; a 1 answers all requests"),
        "{}",
        last.reason
    );
}

#[test]
fn rollouts_split_the_share_that_an_experiment_gives_their_model() {
    let mut spec = experiment(Mode::Ab { split: vec![0.5, 0.5] });
    spec.until = None;
    let mut world = World::new(duel(Some(spec), &["a", "b"]), always_better);
    world.error = |_, number, _| 20.0 / number as f64;
    world.play(0..24 * 10);
    let split = world.routed().into_iter().find(|routed| {
        routed.experiment.is_some() && routed.shares.iter().all(|share| share.candidate.is_some())
    });
    let split = split.unwrap();
    assert!(split.shares.iter().all(|share| share.share == 0.5));
    assert_eq!(split.shadows.len(), 4, "both models compare two versions on every request");
}
