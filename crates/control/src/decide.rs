//! What policies decide at an instant, and what a run is asked to do.

use std::sync::Arc;

use perennial_evaluate::Metric;
use perennial_expr::Expr;
use perennial_policy::{
    DriftMembers, Evaluation, GateSpec, Outcome, PerformanceReading, PolicySpec, PolicyState, RowsIf,
    SignalKind, SignalValues, Training, Verdict, decision_key, labels_schema,
};
use perennial_types::{Position, TimeSpan, Timestamp, Value};

use crate::detector::Detector;
use crate::endpoint::EndpointState;
use crate::model::{InFlight, ModelState, Version};
use crate::{
    DataRange, Decision, DecisionVerdict, Goal, ModelGoal, PolicyGoal, Reading, RunAction, RunRequest, State,
    baseline,
};

/// How much the labels must have grown before a first fit that failed is tried again.
const FIRST_FIT_AGAIN: f64 = 1.1;

impl State {
    /// What is decided of every model at an instant; only what is worth a record.
    pub(crate) fn decisions(&self, goal: &Goal, at: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for model in &goal.models {
            decisions.extend(self.first_fit(goal, model, at));
        }
        for (place, policy) in goal.policies.iter().enumerate() {
            for name in &policy.spec.models {
                let started =
                    decisions.iter().any(|decision| decision.model == *name && decision.run.is_some());
                if !started && let Some(model) = goal.models.iter().find(|model| model.name == *name) {
                    decisions.extend(self.look(goal, place, policy, model, at));
                }
            }
        }
        decisions
    }

    /// The first version of a model, once its condition holds.
    fn first_fit(&self, goal: &Goal, model: &ModelGoal, at: Timestamp) -> Option<Decision> {
        let (state, endpoint) = (self.models.get(&model.name)?, self.endpoints.get(&model.endpoint)?);
        if state.current().is_some() || state.in_flight().is_some() {
            return None;
        }
        let rows = endpoint.labels_since(Position::START);
        let failed_at = state.last_ended().map(|run| rows - endpoint.labels_since(run.labels_to));
        if failed_at.is_some_and(|failed_at| (rows as f64) < failed_at as f64 * FIRST_FIT_AGAIN) {
            return None;
        }
        let (newest, newest_at) = endpoint.labels().nth_newest_label(1)?;
        let first_at = endpoint.labels().first_since(Position::START).unwrap_or(newest_at);
        let mut signals = SignalValues::default();
        signals.labels("labels", rows, per_day(rows, at.since(first_at)));
        let condition = Expr::compile(&model.first_version, &labels_schema()).ok()?;
        let row: Vec<Value> =
            labels_schema().columns().iter().map(|column| signals.get(&column.name).clone()).collect();
        if condition.evaluate(&row) != Value::Boolean(true) {
            return None;
        }
        let trigger: Arc<str> = "first_version".into();
        let key = decision_key(&model.definition.to_string(), &model.name, &trigger, at);
        let reason = format!("the first version is due: {} ({rows} labels)", model.first_version);
        let data = DataRange {
            after: Position::START,
            to: newest,
            since: None,
            replay_rows: 0,
            holdout_rows: 0,
            at_most: None,
        };
        let run = RunRequest {
            id: run_id(&key),
            model: Arc::clone(&model.name),
            endpoint: Arc::clone(&model.endpoint),
            action: RunAction::FirstFit,
            requested_at: at,
            parent: None,
            definition: model.definition,
            data,
            epochs: model.epochs,
            gates: Vec::new(),
        };
        debug_assert!(baseline::endpoint_of(goal, &model.name).is_some(), "a goal's model has an endpoint");
        Some(Decision {
            key: key.into(),
            policy: None,
            policy_version: None,
            model: Arc::clone(&model.name),
            verdict: DecisionVerdict::Started,
            trigger: Some(trigger),
            reason,
            evaluations: serde_json::Value::Array(Vec::new()),
            signals: signals.to_json(),
            memory: None,
            run: Some(run),
        })
    }

    /// One look of a policy at a model that has a version; nothing if it is not worth a record.
    fn look(
        &self,
        goal: &Goal,
        place: usize,
        policy: &PolicyGoal,
        model: &ModelGoal,
        at: Timestamp,
    ) -> Option<Decision> {
        let Evaluated { sight, memory, signals, verdict } = self.evaluated(goal, place, policy, model, at)?;
        // What is remembered changes by records only.
        if !verdict.notable && verdict.next_state == memory {
            return None;
        }
        let (kind, trigger, run) = match &verdict.outcome {
            Outcome::Start { trigger, action, instant } => {
                let version = policy.version.to_string();
                let key = decision_key(&version, &model.name, trigger, *instant);
                (DecisionVerdict::Started, Some(trigger), Some(sight.run(run_id(&key), *action)?))
            }
            Outcome::Held { trigger, .. } => (DecisionVerdict::Held, Some(trigger), None),
            Outcome::Quiet => (DecisionVerdict::Changed, None, None),
        };
        let named = trigger.map_or("", AsRef::as_ref);
        let key = decision_key(&policy.version.to_string(), &model.name, named, at);
        Some(Decision {
            key: key.into(),
            policy: Some(Arc::clone(&policy.spec.name)),
            policy_version: Some(policy.version),
            model: Arc::clone(&model.name),
            verdict: kind,
            trigger: trigger.cloned(),
            reason: verdict.reason,
            evaluations: serde_json::to_value(&verdict.evaluations).unwrap_or_default(),
            signals: signals.to_json(),
            memory: Some(verdict.next_state),
            run,
        })
    }

    /// What a policy makes of a model that has a version, by what it remembers.
    pub(crate) fn evaluated<'a>(
        &'a self,
        goal: &'a Goal,
        place: usize,
        policy: &'a PolicyGoal,
        model: &'a ModelGoal,
        at: Timestamp,
    ) -> Option<Evaluated<'a>> {
        let (state, endpoint) = (self.models.get(&model.name)?, self.endpoints.get(&model.endpoint)?);
        let current = state.current()?;
        let spec = &policy.spec;
        let sight = Sight { goal, spec, model, state, current, endpoint, at };
        let signals = sight.signals();
        let memory = state.memory(&spec.name);
        let input = Evaluation {
            at,
            since: self.done.unwrap_or(at - goal.tick),
            signals: signals.clone(),
            history: state.past_runs(&spec.name),
            rows_if: sight.rows_if(),
            busy: state.in_flight().map(InFlight::busy),
            can_fine_tune: sight.can_fine_tune(),
        };
        let verdict = self.compiled().policies().get(place)?.evaluate(&input, &memory);
        Some(Evaluated { sight, memory, signals, verdict })
    }
}

/// What a policy makes of a model, and what it goes by.
pub(crate) struct Evaluated<'a> {
    sight: Sight<'a>,
    memory: PolicyState,
    pub(crate) signals: SignalValues,
    pub(crate) verdict: Verdict,
}

/// What a policy sees of a model with a version at an instant.
struct Sight<'a> {
    goal: &'a Goal,
    spec: &'a PolicySpec,
    model: &'a ModelGoal,
    state: &'a ModelState,
    current: &'a Version,
    endpoint: &'a EndpointState,
    at: Timestamp,
}

impl Sight<'_> {
    fn signals(&self) -> SignalValues {
        let mut values = SignalValues::default();
        for signal in &self.spec.signals {
            match &signal.kind {
                SignalKind::Performance { metric, window, min_rows } => {
                    values.performance(&signal.name, metric, *min_rows, &self.performance(metric, *window));
                }
                SignalKind::Drift { .. } => values.drift(&signal.name, self.drift(&signal.name)),
                SignalKind::Data { figure, .. } => {
                    values.data(&signal.name, *figure, self.data(&signal.name));
                }
                SignalKind::Detector { .. } => {
                    let detector = self.state.watched().detector(&self.spec.name, &signal.name);
                    let said =
                        detector.map_or_else(|| Err("it was just declared".to_owned()), Detector::said);
                    values.detector(&signal.name, detector.map_or(0, Detector::alarms), said);
                }
                SignalKind::Staleness => {
                    values.staleness(&signal.name, Ok(self.at.since(self.current.data_end_at)));
                }
                SignalKind::Labels => {
                    let rows = self.endpoint.labels_since(self.current.data_end);
                    let since = self.at.since(self.current.data_end_at);
                    values.labels(&signal.name, rows, per_day(rows, since));
                }
            }
        }
        values
    }

    fn reading(&self, signal: &str) -> Result<&Reading, String> {
        let measured = self.state.watched().reading(&self.spec.name, signal);
        let measured = measured.filter(|measured| measured.number == self.current.id.number);
        let reading = &measured.ok_or_else(|| "it was not measured yet".to_owned())?.reading;
        reading.as_ref().map_err(String::clone)
    }

    /// A figure of the data and its limit.
    fn data(&self, signal: &str) -> Result<(f64, f64), String> {
        match self.reading(signal)? {
            Reading::Data(reading) => Ok((reading.value, reading.limit)),
            Reading::Drift(_) => Err("it was another signal when it was measured".to_owned()),
        }
    }

    fn drift(&self, signal: &str) -> Result<DriftMembers, String> {
        let Reading::Drift(reading) = self.reading(signal)? else {
            return Err("it was another signal when it was measured".to_owned());
        };
        Ok(DriftMembers {
            share: reading.share,
            weighted_share: reading.weighted_share,
            worst: reading.worst.clone(),
            max_effect: reading.max_effect,
            alarmed: reading.alarmed,
        })
    }

    fn performance(&self, metric: &str, window: TimeSpan) -> PerformanceReading {
        let performance = self.endpoint.performance(&self.model.name);
        let figure = Metric::from_name(metric).and_then(|metric| {
            performance.and_then(|performance| performance.metric(metric, window, self.at))
        });
        let kept = self.current.baseline(metric, window);
        let baseline = kept.map(|baseline| baseline.value).ok_or_else(|| self.no_baseline(window));
        PerformanceReading {
            value: figure.map(|figure| figure.value),
            confirmed: performance.map_or(0, |performance| performance.matured_rows(window, self.at)),
            provisional: performance.map_or(0, |performance| performance.provisional_rows(self.at)),
            baseline,
        }
    }

    fn no_baseline(&self, window: TimeSpan) -> String {
        let matures = baseline::endpoint_of(self.goal, &self.model.name).map(|spec| spec.label.matures_after);
        match (self.current.promoted_at, matures) {
            (Some(promoted), Some(matures)) => {
                let complete = promoted + matures + window;
                format!("the first full window after the promotion has matured at {complete}")
            }
            _ => "it was never promoted".to_owned(),
        }
    }

    fn can_fine_tune(&self) -> Result<(), String> {
        if self.current.id.definition != self.model.definition {
            return Err(
                "the model's definition has changed since its current version: only a retrain can follow"
                    .into(),
            );
        }
        let new = self.endpoint.labels_since(self.current.data_end);
        let holdout = holdout_rows(self.spec);
        if new <= holdout {
            return Err(format!("of {new} new labels the hold-out of {holdout} leaves none to train on"));
        }
        let wanted = self.run("".into(), Training::FineTune);
        wanted.and_then(|wanted| self.state.fine_tuned_in_vain(&wanted)).map_or(Ok(()), Err)
    }

    fn rows_if(&self) -> RowsIf {
        let holdout = holdout_rows(self.spec);
        let fine_tune = &self.spec.actions.fine_tune;
        let new = self.endpoint.labels_since(self.current.data_end).saturating_sub(holdout);
        let all = match self.spec.actions.retrain.data {
            Some(span) => self.endpoint.labels().count_known_since(self.at - span),
            None => self.endpoint.labels_since(Position::START),
        };
        let new = self.affordable_rows().map_or(new, |affordable| new.min(affordable));
        RowsIf {
            fine_tune: (new + fine_tune.replay_rows) * u64::from(fine_tune.epochs),
            retrain: all.saturating_sub(holdout) * u64::from(self.model.epochs),
        }
    }

    /// The most new rows that a fine-tune can take within the whole budget. Without this bound rows that pile
    /// up while the budget holds a fine-tune back would make it dearer than the budget, and hold it for good.
    fn affordable_rows(&self) -> Option<u64> {
        let (budget, fine_tune) = (self.spec.guards.budget_rows?, &self.spec.actions.fine_tune);
        let visits = budget.amount / u64::from(fine_tune.epochs.max(1));
        Some(visits.saturating_sub(fine_tune.replay_rows))
    }

    fn run(&self, id: Arc<str>, action: Training) -> Option<RunRequest> {
        let (to, _) = self.endpoint.labels().nth_newest_label(1)?;
        let holdout_rows = holdout_rows(self.spec);
        let fine_tune = &self.spec.actions.fine_tune;
        let (data, epochs) = match action {
            Training::FineTune => {
                let (after, replay_rows) = (self.current.data_end, fine_tune.replay_rows);
                let at_most = self.affordable_rows();
                (DataRange { after, to, since: None, replay_rows, holdout_rows, at_most }, fine_tune.epochs)
            }
            Training::Retrain => {
                let since = self.spec.actions.retrain.data.map(|span| self.at - span);
                let after = Position::START;
                let data = DataRange { after, to, since, replay_rows: 0, holdout_rows, at_most: None };
                (data, self.model.epochs)
            }
        };
        Some(RunRequest {
            id,
            model: Arc::clone(&self.model.name),
            endpoint: Arc::clone(&self.model.endpoint),
            action: RunAction::from(action),
            requested_at: self.at,
            parent: Some(self.current.id.clone()),
            definition: self.model.definition,
            data,
            epochs,
            gates: self.spec.gates.clone(),
        })
    }
}

/// Rows that the gates hold out.
fn holdout_rows(policy: &PolicySpec) -> u64 {
    let rows = policy.gates.iter().map(|gate| match gate {
        GateSpec::NotWorse { holdout_rows, .. } => *holdout_rows,
    });
    rows.max().unwrap_or(0)
}

fn per_day(rows: u64, span: TimeSpan) -> f64 {
    let days = span.micros() as f64 / TimeSpan::from_days(1).micros() as f64;
    if days > 0.0 { rows as f64 / days } else { 0.0 }
}

fn run_id(key: &str) -> Arc<str> {
    format!("run_{}", &key[..key.len().min(16)]).into()
}
