//! The loop's state: a fold over predictions, feedback and the control stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{Choice, Feedback, Joined, Prediction};
use perennial_policy::SignalKind;
use perennial_types::{Position, TimeSpan, Timestamp, did_you_mean};
use serde::{Deserialize, Serialize};

use crate::compiled::Compiled;
use crate::endpoint::EndpointState;
use crate::experiment::Instant;
use crate::model::ModelState;
use crate::rollout::stage_of;
use crate::terms::Terms;
use crate::{
    Applied, ControlError, ControlRecord, ExperimentGoal, Goal, Judged, Keys, RolledBack, RolloutChange,
    RolloutMoved, RoutingCause, RunRequest, RunVerdict, baseline,
};

/// What the loop knows. It changes by [`State::apply`] only, so that the log alone determines it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) goal: Option<Goal>,
    pub(crate) endpoints: BTreeMap<Arc<str>, EndpointState>,
    pub(crate) models: BTreeMap<Arc<str>, ModelState>,
    /// The last instant that is done.
    pub(crate) done: Option<Timestamp>,
    /// The last instant whose decisions were recorded.
    pub(crate) decided: Option<Timestamp>,
    /// The instant of the last scheduled report of each name.
    pub(crate) reported: BTreeMap<Arc<str>, Timestamp>,
    /// Who may call.
    keys: Arc<Keys>,
    position: Position,
    /// Derived, so it is made again after a load.
    #[serde(skip)]
    compiled: Compiled,
}

/// A record of the log as far as the loop is concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A request was answered.
    Predicted {
        /// The endpoint.
        endpoint: Arc<str>,
        /// The answer.
        prediction: Prediction,
        /// Who could have answered.
        choice: Choice,
    },
    /// A label came back.
    Labelled {
        /// The endpoint.
        endpoint: Arc<str>,
        /// The label.
        feedback: Feedback,
    },
    /// A record of the control stream.
    Control {
        /// Where it stands.
        position: Position,
        /// What it says.
        record: ControlRecord,
    },
}

impl State {
    /// Take one record into account.
    ///
    /// # Errors
    /// When a goal does not compile, which `validate` would have said; nothing changes then.
    pub fn apply(&mut self, input: Input) -> Result<(), ControlError> {
        match input {
            Input::Predicted { endpoint, prediction, choice } => {
                self.position = prediction.position;
                self.predicted(&endpoint, prediction, &choice);
                Ok(())
            }
            Input::Labelled { endpoint, feedback } => {
                self.position = feedback.position;
                if let Some(state) = self.endpoints.get_mut(&endpoint) {
                    let joined = state.labelled(feedback);
                    self.learn(&endpoint, &joined);
                }
                Ok(())
            }
            Input::Control { position, record } => {
                self.position = position;
                self.apply_control(record)
            }
        }
    }

    fn predicted(&mut self, endpoint: &str, prediction: Prediction, choice: &Choice) {
        let Some(state) = self.endpoints.get_mut(endpoint) else { return };
        for model in models_of(self.goal.as_ref(), endpoint) {
            if let Some(state) = self.models.get_mut(model) {
                state.predicted(model, &prediction);
            }
        }
        if let Some(joined) = state.predicted(prediction, choice) {
            self.learn(endpoint, &joined);
        }
    }

    /// A label was joined to its prediction, or was not.
    fn learn(&mut self, endpoint: &str, joined: &Joined) {
        let Some(state) = self.endpoints.get_mut(endpoint) else { return };
        let specs = self.goal.iter().flat_map(|goal| &goal.endpoints);
        let spec = specs.into_iter().find(|spec| &*spec.name == endpoint);
        let matures_after = spec.map_or(TimeSpan::ZERO, |spec| spec.label.matures_after);
        state.count(joined, matures_after, &self.compiled);
        let Joined::Labelled(row) = joined else { return };
        for model in spec.into_iter().flat_map(|spec| &spec.models) {
            if let Some(state) = self.models.get_mut(model) {
                state.labelled(model, row, matures_after, &self.compiled);
            }
        }
    }

    fn apply_control(&mut self, record: ControlRecord) -> Result<(), ControlError> {
        match record {
            ControlRecord::Applied(applied) => self.apply_goal(applied)?,
            ControlRecord::Decided(decided) => {
                self.decided = Some(decided.at);
                for decision in decided.decisions {
                    let model = self.models.entry(decision.model).or_default();
                    if let (Some(policy), Some(memory)) = (&decision.policy, decision.memory) {
                        model.remember(policy, memory);
                    }
                    if let Some(run) = decision.run {
                        let terms = terms_of(self.goal.as_ref(), decision.policy.as_deref(), &run.endpoint);
                        model.start(run, terms);
                    }
                }
            }
            ControlRecord::RunFinished(finished) => {
                if let Some(model) = self.models.get_mut(&finished.model) {
                    model.finish(&finished);
                }
            }
            ControlRecord::Judged(judged) => self.apply_judged(&judged),
            ControlRecord::RolledBack(rolled_back) => self.apply_rollback(&rolled_back),
            ControlRecord::Routed(routed) => {
                if let Some(endpoint) = self.endpoints.get_mut(&routed.endpoint) {
                    endpoint.route(routed);
                }
            }
            ControlRecord::RolloutMoved(moved) => self.apply_rollout(&moved),
            ControlRecord::ExperimentMoved(moved) => {
                if let Some(endpoint) = self.endpoints.get_mut(&moved.endpoint) {
                    endpoint.move_experiment(&moved);
                    let reason = format!("experiment {:?}: {}", moved.experiment, moved.reason);
                    endpoint.because(RoutingCause::Experiment, reason);
                }
            }
            ControlRecord::Measured(measured) => {
                if let Some(model) = self.models.get_mut(&measured.model) {
                    model.watched_mut().measured(measured);
                }
            }
            ControlRecord::Reported(reported) => {
                if !reported.on_demand {
                    self.reported.insert(reported.request.report, reported.request.at);
                }
            }
            ControlRecord::ViewPromoted(_) | ControlRecord::DatasetMade(_) => {}
            ControlRecord::KeyAdded(_) | ControlRecord::KeyRevoked(_) => {
                Arc::make_mut(&mut self.keys).apply(&record);
            }
            ControlRecord::InstantDone { at } => {
                self.settle(at);
                self.done = Some(at);
                self.complete_baselines(at);
            }
        }
        Ok(())
    }

    /// An instant is over.
    fn settle(&mut self, at: Timestamp) {
        let Some(goal) = &self.goal else { return };
        for spec in &goal.endpoints {
            let Some(endpoint) = self.endpoints.get_mut(&spec.name) else { continue };
            endpoint.settle(Instant {
                at,
                since: self.done,
                goal,
                models: &self.models,
                initial: &spec.initial,
                compiled: &self.compiled,
            });
            for name in &spec.models {
                let over = self.models.get_mut(name).and_then(|model| model.mature(at));
                if let Some(reason) = over {
                    endpoint.because(RoutingCause::Rollback, format!("{name}: {reason}"));
                }
            }
        }
    }

    fn apply_goal(&mut self, applied: Applied) -> Result<(), ControlError> {
        let compiled = self.compile(&applied.goal)?;
        for model in &applied.goal.models {
            self.models.entry(Arc::clone(&model.name)).or_default();
        }
        for endpoint in &applied.goal.endpoints {
            let state = self
                .endpoints
                .entry(Arc::clone(&endpoint.name))
                .or_insert_with(|| EndpointState::new(endpoint));
            let experiments = applied.goal.experiments.iter();
            let of_endpoint = |experiment: &&ExperimentGoal| experiment.spec.endpoint == endpoint.name;
            state.declare(endpoint, experiments.into_iter().find(of_endpoint));
            for model in &endpoint.models {
                state.watch(model, endpoint, longest_window(&applied.goal, model));
            }
        }
        for (name, model) in &mut self.models {
            let policies = applied.goal.policies.iter().map(|policy| &policy.spec);
            model.watched_mut().declare(policies.filter(|policy| policy.models.contains(name)));
            model.forget_policies_but(|name| {
                applied.goal.policies.iter().any(|policy| &*policy.spec.name == name)
            });
        }
        self.compiled = compiled;
        self.goal = Some(applied.goal);
        Ok(())
    }

    fn apply_judged(&mut self, judged: &Judged) {
        if let Some(model) = self.models.get_mut(&judged.model) {
            model.judge(&judged.run, judged.verdict, judged.at);
        }
        let (RunVerdict::Promoted, Some(version)) = (judged.verdict, &judged.version) else { return };
        let cause = if judged.first { RoutingCause::FirstVersion } else { RoutingCause::Rollout };
        self.because(&judged.endpoint, cause, format!("{} {} was promoted", judged.model, version.number));
    }

    fn apply_rollout(&mut self, moved: &RolloutMoved) {
        if let Some(model) = self.models.get_mut(&moved.model) {
            model.move_rollout(&moved.run, moved.change, moved.at);
        }
        let what = match moved.change {
            RolloutChange::Entered(_) => {
                let stage = stage_of(&moved.evidence).unwrap_or_else(|| "a stage".to_owned());
                format!("entered {stage} of its rollout")
            }
            RolloutChange::Promoted => "was promoted".to_owned(),
            RolloutChange::Refused => "was refused".to_owned(),
        };
        let reason = format!("{} {} {what}: {}", moved.model, moved.version.number, moved.reason);
        self.because(&moved.endpoint, RoutingCause::Rollout, reason);
    }

    fn apply_rollback(&mut self, rolled_back: &RolledBack) {
        if let Some(model) = self.models.get_mut(&rolled_back.model) {
            model.roll_back(rolled_back.to.number, rolled_back.at);
        }
        let (model, from, to) = (&rolled_back.model, rolled_back.from.number, rolled_back.to.number);
        let reason = format!("{model} went back from {from} to {to}: {}", rolled_back.reason);
        self.because(&rolled_back.endpoint, RoutingCause::Rollback, reason);
    }

    fn because(&mut self, endpoint: &str, cause: RoutingCause, reason: String) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.because(cause, reason);
        }
    }

    /// Keep the baselines whose first full window is over.
    fn complete_baselines(&mut self, now: Timestamp) {
        let Some(goal) = &self.goal else { return };
        for policy in &goal.policies {
            for name in &policy.spec.models {
                let Some(complete) =
                    baseline::completed(goal, &self.endpoints, &self.models, name, &policy.spec, now)
                else {
                    continue;
                };
                if let Some(model) = self.models.get_mut(name) {
                    for (key, value) in complete {
                        model.complete_baseline(&key, value);
                    }
                }
            }
        }
    }

    /// Make again what is not saved. To be called once after a state was loaded.
    ///
    /// # Errors
    /// When the saved goal does not compile.
    pub fn restore(&mut self) -> Result<(), ControlError> {
        if let Some(goal) = &self.goal {
            self.compiled = self.compile(goal)?;
        }
        Ok(())
    }

    /// What was declared last.
    pub fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// The last instant that is done.
    pub fn done(&self) -> Option<Timestamp> {
        self.done
    }

    /// The last record that was taken into account.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Who may call, as of the last record: a copy that costs nothing.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys)
    }

    /// When each scheduled report was last written.
    pub fn reported(&self) -> &BTreeMap<Arc<str>, Timestamp> {
        &self.reported
    }

    /// A model's state.
    pub fn model(&self, name: &str) -> Option<&ModelState> {
        self.models.get(name)
    }

    /// Every model's state.
    pub fn models(&self) -> impl Iterator<Item = (&Arc<str>, &ModelState)> {
        self.models.iter()
    }

    /// An endpoint's state.
    pub fn endpoint(&self, name: &str) -> Option<&EndpointState> {
        self.endpoints.get(name)
    }

    /// The endpoint that knows a prediction of this id.
    pub fn endpoint_of(&self, prediction_id: &str) -> Option<&Arc<str>> {
        self.endpoints.iter().find(|(_, state)| state.knows(prediction_id)).map(|(name, _)| name)
    }

    /// The runs that have no outcome yet, in the order of their models' names.
    pub fn runs_to_carry_out(&self) -> Vec<RunRequest> {
        let in_flight = self.models.values().filter_map(ModelState::in_flight);
        in_flight.filter(|run| run.outcome.is_none()).map(|run| run.request.clone()).collect()
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// A goal, and the terms of what was begun under earlier ones.
    fn compile(&self, goal: &Goal) -> Result<Compiled, ControlError> {
        let mut compiled = Compiled::of(goal)?;
        for terms in self.models.values().flat_map(ModelState::terms) {
            compiled.add(terms)?;
        }
        Ok(compiled)
    }

    /// A rollback by hand: to the version of this number, or to the one that served before.
    ///
    /// # Errors
    /// When there is no such model or version to go back to.
    pub fn roll_back(
        &self,
        model: &str,
        to: Option<u64>,
        reason: &str,
        at: Timestamp,
    ) -> Result<RolledBack, ControlError> {
        let state = self.models.get(model).ok_or_else(|| ControlError::UnknownModel {
            name: model.to_owned(),
            help: did_you_mean(model, self.models.keys().map(AsRef::as_ref)),
        })?;
        let refuse = |reason: String| ControlError::NoTarget { model: model.to_owned(), reason };
        let current = state.current().ok_or_else(|| refuse("has no version yet".to_owned()))?;
        let target = match to {
            Some(number) if state.served_before(number) => state.version(number),
            Some(number) => {
                return Err(refuse(format!(
                    "cannot go back to version {number}: only a version that served before the current one ({}) \
                     can serve again",
                    current.id.number
                )));
            }
            None => state.previous(),
        };
        let target = target.ok_or_else(|| {
            refuse(format!("has no version before {}: there is nothing to go back to", current.id.number))
        })?;
        let (from, to) = (current.id.clone(), target.id.clone());
        let goal = self.goal.iter().flat_map(|goal| &goal.models);
        let endpoint =
            goal.into_iter().find(|known| &*known.name == model).map(|known| Arc::clone(&known.endpoint));
        let endpoint = endpoint.ok_or_else(|| refuse("is no longer declared".to_owned()))?;
        let (reason, evidence) = (reason.to_owned(), serde_json::Value::Null);
        Ok(RolledBack { model: model.into(), at, from, to, reason, endpoint, policy: None, evidence })
    }

    /// The verdict on a run that has an outcome, if there is one to be judged.
    pub(crate) fn judgement(&self, at: Timestamp) -> Option<Judged> {
        let (name, run) = self.models.iter().find_map(|(name, model)| {
            let run = model.in_flight()?;
            (run.outcome.is_some() && run.rollout.is_none()).then_some((name, run))
        })?;
        let (verdict, reason) = crate::judge::verdict(run);
        let version = run.version.clone();
        debug_assert!(
            version.is_some() || verdict == RunVerdict::Failed,
            "only a failed run makes no version"
        );
        let (run, endpoint) = (Arc::clone(&run.request.id), Arc::clone(&run.request.endpoint));
        let first = self.models.get(name).is_none_or(|model| model.current().is_none());
        Some(Judged { run, model: Arc::clone(name), at, verdict, reason, version, first, endpoint })
    }
}

/// The models of a declared endpoint.
fn models_of<'a>(goal: Option<&'a Goal>, endpoint: &str) -> &'a [Arc<str>] {
    let endpoints = goal.map(|goal| goal.endpoints.as_slice()).unwrap_or_default();
    let spec = endpoints.iter().find(|spec| &*spec.name == endpoint);
    spec.map(|spec| spec.models.as_slice()).unwrap_or_default()
}

/// The terms of a run that a policy starts now.
fn terms_of(goal: Option<&Goal>, policy: Option<&str>, endpoint: &str) -> Option<Terms> {
    let (goal, policy) = (goal?, policy?);
    let policy = goal.policies.iter().find(|declared| &*declared.spec.name == policy)?;
    let endpoint = goal.endpoints.iter().find(|declared| &*declared.name == endpoint)?;
    Some(Terms::of(&policy.spec, endpoint, goal))
}

/// The longest window that a policy asks for, and a tick, so that a window that ended at the last tick is
/// still whole.
fn longest_window(goal: &Goal, model: &Arc<str>) -> TimeSpan {
    let policies = goal.policies.iter().filter(|policy| policy.spec.models.contains(model));
    let windows = policies.flat_map(|policy| &policy.spec.signals).filter_map(|signal| match &signal.kind {
        SignalKind::Performance { window, .. } => Some(*window),
        SignalKind::Drift { .. } | SignalKind::Detector { .. } | SignalKind::Data { .. } => None,
        SignalKind::Staleness | SignalKind::Labels => None,
    });
    let longest = windows.max().unwrap_or(TimeSpan::ZERO);
    TimeSpan::from_micros(longest.micros() + goal.tick.micros())
}
