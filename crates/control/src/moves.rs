//! What moves without a policy's decision: verdicts, rollbacks, rollouts, experiments, measurements, reports.

use std::sync::Arc;

use perennial_policy::SignalKind;
use perennial_types::{ContentHash, TimeSpan, Timestamp, did_you_mean};
use serde_json::json;

use crate::experiment::Instant;
use crate::model::{InFlight, ModelState};
use crate::rollout::{stage_in_words, stage_to_json};
use crate::{
    ControlError, ControlRecord, ExperimentMoved, Goal, MeasureRequest, Measurement, ReportRequest,
    ReportSpec, RolledBack, RolloutChange, RolloutMoved, State, Step,
};

impl State {
    /// What does not wait for an instant: the verdict on a run that ended, the first stage of a candidate that was
    /// admitted, the end of a rollout that has lost its ground.
    pub(crate) fn at_once(&self, now: Timestamp) -> Option<ControlRecord> {
        if let Some(judged) = self.judgement(now) {
            return Some(ControlRecord::Judged(judged));
        }
        self.models.iter().find_map(|(name, model)| {
            let run = model.in_flight()?;
            let (rollout, terms) = run.in_rollout()?;
            let (change, reason) = match self.lost(name, model) {
                Some(reason) => (RolloutChange::Refused, reason),
                None if rollout.stage().is_none() => {
                    (RolloutChange::Entered(0), format!("it passed its gates; {}", stage_in_words(terms, 0)))
                }
                None => return None,
            };
            rollout_moved(name, run, change, reason, now)
        })
    }

    /// Why a candidate can no longer be compared.
    fn lost(&self, name: &str, model: &ModelState) -> Option<String> {
        let (rollout, _) = model.in_flight()?.in_rollout()?;
        let declared = self.goal.iter().flat_map(|goal| &goal.models).any(|declared| &*declared.name == name);
        if !declared {
            return Some("the model is no longer declared".to_owned());
        }
        let current = model.current().map_or(0, |current| current.id.number);
        let reference = rollout.reference();
        (current != reference).then(|| {
            format!("version {reference}, which it started from and was held against, no longer serves")
        })
    }

    /// The next move at an instant, in one order: rollbacks, rollouts, experiments, measurements.
    pub(crate) fn moves(&self, goal: &Goal, at: Timestamp, now: Timestamp) -> Option<Step> {
        let record = self
            .rollback_due(goal, at, now)
            .map(ControlRecord::RolledBack)
            .or_else(|| self.rollout_due(goal, at, now))
            .or_else(|| self.experiment_due(goal, at, now).map(ControlRecord::ExperimentMoved));
        match record {
            Some(record) => Some(Step::Append(vec![record])),
            None => {
                let requests = self.measurements_due(goal, at);
                (!requests.is_empty()).then_some(Step::Measure(requests))
            }
        }
    }

    fn rollback_due(&self, goal: &Goal, at: Timestamp, now: Timestamp) -> Option<RolledBack> {
        goal.models.iter().find_map(|declared| {
            let model = self.models.get(&declared.name)?;
            let (watch, current) = (model.watch()?, model.current()?);
            let reason = watch.due(at, self.compiled())?;
            Some(RolledBack {
                model: Arc::clone(&declared.name),
                at: now,
                from: current.id.clone(),
                to: watch.replaced().clone(),
                reason,
                endpoint: Arc::clone(&declared.endpoint),
                policy: Some(Arc::clone(&watch.terms().policy)),
                evidence: json!({"paired": watch.compared(at), "promoted_at": watch.promoted_at()}),
            })
        })
    }

    fn rollout_due(&self, goal: &Goal, at: Timestamp, now: Timestamp) -> Option<ControlRecord> {
        goal.models.iter().find_map(|declared| {
            let run = self.models.get(&declared.name)?.in_flight()?;
            let (rollout, terms) = run.in_rollout()?;
            let due = rollout.due(terms, at, self.compiled())?;
            rollout_moved(&declared.name, run, due.change, due.reason, now)
        })
    }

    fn experiment_due(&self, goal: &Goal, at: Timestamp, now: Timestamp) -> Option<ExperimentMoved> {
        goal.endpoints.iter().find_map(|spec| {
            let experiment = self.endpoints.get(&spec.name)?.experiment()?;
            let due = experiment.due(self.instant(goal, at, &spec.initial))?;
            Some(ExperimentMoved {
                experiment: Arc::clone(&experiment.spec().name),
                endpoint: Arc::clone(&spec.name),
                at: now,
                change: due.change,
                reason: due.reason,
                evidence: experiment.to_json(),
            })
        })
    }

    fn instant<'a>(&'a self, goal: &'a Goal, at: Timestamp, initial: &'a Arc<str>) -> Instant<'a> {
        Instant { at, since: self.done, goal, models: &self.models, initial, compiled: self.compiled() }
    }

    /// Why the experiment of an endpoint has not begun; nothing if it has, or there is none.
    pub fn experiment_waits(&self, endpoint: &str) -> Option<String> {
        let goal = self.goal.as_ref()?;
        let spec = goal.endpoints.iter().find(|spec| &*spec.name == endpoint)?;
        let experiment = self.endpoints.get(&spec.name)?.experiment()?;
        experiment.waits(self.instant(goal, self.done.unwrap_or(Timestamp::MIN), &spec.initial))
    }

    fn measurements_due(&self, goal: &Goal, at: Timestamp) -> Vec<MeasureRequest> {
        let mut due = Vec::new();
        for policy in &goal.policies {
            for name in &policy.spec.models {
                let model = self.models.get(name).and_then(|model| Some((model, model.current()?)));
                let declared = goal.models.iter().find(|declared| declared.name == *name);
                let (Some((model, current)), Some(declared)) = (model, declared) else { continue };
                for signal in &policy.spec.signals {
                    let Some((window, every, what)) = measurement(&signal.kind, current.reference) else {
                        continue;
                    };
                    let key = (&*policy.spec.name, &*signal.name);
                    if model.watched().is_due(key, current.id.number, every, at) {
                        due.push(MeasureRequest {
                            policy: Arc::clone(&policy.spec.name),
                            signal: Arc::clone(&signal.name),
                            model: Arc::clone(name),
                            endpoint: Arc::clone(&declared.endpoint),
                            version: current.id.clone(),
                            from: at - window,
                            to: at,
                            what,
                        });
                    }
                }
            }
        }
        due
    }

    /// The first report in order of declaration that is due at an instant and not written yet.
    pub(crate) fn report_due(&self, goal: &Goal, at: Timestamp) -> Option<ReportRequest> {
        let since = self.done.unwrap_or(at - goal.tick);
        goal.reports.iter().find_map(|report| {
            let written = self.reported.get(&report.name).is_some_and(|written| *written >= at);
            let due = !written && self.compiled().schedule(&report.name)?.due_in(since, at).is_some();
            due.then(|| request(report, at, "scheduled"))
        })
    }

    /// A report asked for by hand, of the window that ends at `at`.
    ///
    /// # Errors
    /// When no report of this name is declared.
    pub fn report_on_demand(&self, name: &str, at: Timestamp) -> Result<ReportRequest, ControlError> {
        let reports = self.goal.as_ref().map(|goal| goal.reports.as_slice()).unwrap_or_default();
        let report = reports.iter().find(|report| &*report.name == name);
        report.map(|report| request(report, at, "on demand")).ok_or_else(|| ControlError::UnknownReport {
            name: name.to_owned(),
            help: did_you_mean(name, reports.iter().map(|report| &*report.name)),
        })
    }
}

/// The window of a signal that is measured, how often that is done, and what is measured.
fn measurement(
    kind: &SignalKind,
    reference: Option<ContentHash>,
) -> Option<(TimeSpan, TimeSpan, Measurement)> {
    match kind {
        SignalKind::Drift { columns, window, every, rule, min_rows } => {
            let (columns, rule, min_rows) = (columns.clone(), *rule, *min_rows);
            Some((*window, *every, Measurement::Drift { reference, columns, rule, min_rows }))
        }
        SignalKind::Data { figure, of, window, every, limit } => {
            let (figure, of, limit) = (*figure, of.clone(), *limit);
            Some((*window, *every, Measurement::Data { figure, of, limit }))
        }
        SignalKind::Performance { .. }
        | SignalKind::Detector { .. }
        | SignalKind::Staleness
        | SignalKind::Labels => None,
    }
}

fn request(report: &ReportSpec, at: Timestamp, asked: &str) -> ReportRequest {
    let micros = at.micros().to_le_bytes();
    let hash = ContentHash::of_parts([report.name.as_bytes(), &micros, asked.as_bytes()]).to_string();
    ReportRequest {
        id: format!("report_{}", &hash[..hash.len().min(16)]).into(),
        report: Arc::clone(&report.name),
        endpoint: Arc::clone(&report.endpoint),
        at,
        from: at - report.window,
        to: at,
        formats: report.formats.clone(),
    }
}

fn rollout_moved(
    model: &Arc<str>,
    run: &InFlight,
    change: RolloutChange,
    reason: String,
    now: Timestamp,
) -> Option<ControlRecord> {
    let (rollout, terms) = run.in_rollout()?;
    let stage = match change {
        RolloutChange::Entered(stage) => stage_to_json(terms, stage),
        RolloutChange::Promoted | RolloutChange::Refused => {
            stage_to_json(terms, rollout.stage().map_or(0, |(stage, _)| stage))
        }
    };
    let compared = rollout.compared(now);
    let evidence =
        json!({"stage": stage, "compared": compared, "relative_change": compared.relative_change()});
    Some(ControlRecord::RolloutMoved(RolloutMoved {
        run: Arc::clone(&run.request.id),
        model: Arc::clone(model),
        endpoint: Arc::clone(&run.request.endpoint),
        policy: Arc::clone(&terms.policy),
        version: rollout.version().clone(),
        at: now,
        change,
        reason,
        evidence,
    }))
}
