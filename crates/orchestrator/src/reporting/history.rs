//! What happened at an endpoint over a window: the log, read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_control::{
    ControlRecord, DecisionVerdict, ExperimentChange, ReportRequest, RolloutChange, RolloutMoved, Routed,
    State, stage_of,
};
use perennial_evaluate::{EndpointSpec, Joined, LabelJoin};
use perennial_log::LogReader;
use perennial_pipeline::{PipelineError, PredictionRecord, control_record, feedback};
use perennial_report::{ArmShare, Entry, RolloutEntry, TrafficStep};
use perennial_types::{Position, Record, Stream, Timestamp};

use crate::OrchestratorError;
use crate::fold::as_prediction;

/// An endpoint over a window.
#[derive(Default)]
pub(super) struct History {
    pub(super) requests: u64,
    pub(super) labelled: u64,
    pub(super) fallbacks: u64,
    /// What models answered and what it should have been, in the order of the labels.
    pub(super) pairs: Vec<Labelled>,
    /// Oldest first.
    pub(super) decisions: Vec<Entry>,
    pub(super) rollouts: Vec<RolloutEntry>,
    /// How the traffic was split.
    pub(super) steps: Vec<TrafficStep>,
    /// The steps by model.
    shares: Vec<(Timestamp, BTreeMap<Arc<str>, f64>)>,
}

/// An answered request and its label.
pub(super) struct Labelled {
    pub(super) model: Arc<str>,
    pub(super) at: Timestamp,
    pub(super) prediction: f64,
    pub(super) label: f64,
}

/// Reads a window.
struct Scan<'a> {
    endpoint: &'a EndpointSpec,
    request: &'a ReportRequest,
    join: LabelJoin,
    /// The rollouts by run.
    rollouts: BTreeMap<Arc<str>, usize>,
    history: History,
}

impl History {
    /// Read what happened in the window of a report, with the labels that were there when it was due.
    pub(super) fn read(
        reader: &LogReader,
        endpoint: &EndpointSpec,
        request: &ReportRequest,
    ) -> Result<Self, OrchestratorError> {
        let join = LabelJoin::new(endpoint.label.give_up_after);
        let (rollouts, history) = (BTreeMap::new(), Self::default());
        let mut scan = Scan { endpoint, request, join, rollouts, history };
        let first = reader.first_at_or_after(request.from)?.max(Position(1));
        let last = Position(reader.first_at_or_after(request.at)?.0.saturating_sub(1));
        if first <= last {
            for record in reader.read(first, last)? {
                scan.take(&record?)?;
            }
        }
        Ok(scan.history)
    }

    /// Add the rollouts that go on and did not move in the window, and say of each that does when it began: that
    /// may be before the window.
    pub(super) fn add_lasting(&mut self, state: &State, endpoint: &EndpointSpec, request: &ReportRequest) {
        for name in &endpoint.models {
            let run = state.model(name).and_then(|model| model.in_flight());
            let Some((rollout, terms)) = run.and_then(|run| run.in_rollout()) else { continue };
            let (Some((stage, since)), Some(began)) = (rollout.stage(), rollout.began()) else { continue };
            let version = format!("{name}/{}", rollout.version().number);
            if let Some(shown) = self.rollouts.iter_mut().find(|shown| shown.version == version) {
                shown.began = began;
            } else if began < request.to {
                let (model, stage) = (name.to_string(), terms.stage_in_words(stage));
                let reason = format!("it has been in this stage since {since}");
                let (outcome, ended) = (None, None);
                self.rollouts.push(RolloutEntry { model, version, stage, outcome, began, ended, reason });
            }
        }
        self.rollouts.sort_by_key(|rollout| rollout.began);
    }

    /// The mean share of a model over the window.
    pub(super) fn share(&self, model: &Arc<str>, request: &ReportRequest) -> f64 {
        let (mut weighted, mut whole) = (0.0, 0.0);
        for (index, (at, shares)) in self.shares.iter().enumerate() {
            let until = self.shares.get(index + 1).map_or(request.to, |(next, _)| *next);
            let length = until.since((*at).max(request.from)).micros().max(0) as f64;
            weighted += length * shares.get(model).copied().unwrap_or(0.0);
            whole += length;
        }
        if whole > 0.0 { weighted / whole } else { 0.0 }
    }

    fn add_step(&mut self, at: Timestamp, arms: Vec<(Arc<str>, u64, f64)>) {
        let mut models: BTreeMap<Arc<str>, f64> = BTreeMap::new();
        let mut shares = Vec::with_capacity(arms.len());
        for (model, number, share) in arms {
            shares.push(ArmShare { arm: format!("{model}/{number}"), share });
            *models.entry(model).or_default() += share;
        }
        self.steps.push(TrafficStep { at, shares });
        self.shares.push((at, models));
    }

    fn decide(&mut self, at: Timestamp, kind: &str, subject: String, reason: &str) {
        self.decisions.push(Entry { at, kind: kind.to_owned(), subject, reason: reason.to_owned() });
    }
}

impl Scan<'_> {
    fn take(&mut self, record: &Record) -> Result<(), OrchestratorError> {
        let own = record.entry.source == self.endpoint.name;
        match record.entry.stream {
            Stream::Prediction if own => self.predicted(record),
            Stream::Feedback if own => {
                let joined = self.join.labelled(feedback(record)?);
                self.joined(joined);
                Ok(())
            }
            Stream::Control if record.entry.available_at < self.request.to => {
                self.decided(control_record(record)?);
                Ok(())
            }
            Stream::Prediction
            | Stream::Feedback
            | Stream::Control
            | Stream::Event
            | Stream::DeadLetter
            | Stream::Progress => Ok(()),
        }
    }

    fn predicted(&mut self, record: &Record) -> Result<(), OrchestratorError> {
        if !(self.request.from..self.request.to).contains(&record.entry.event_time) {
            return Ok(());
        }
        let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        self.history.requests += 1;
        self.history.fallbacks += u64::from(payload.fallback.is_some());
        // The vector that the window began with is that of its first request.
        if self.history.steps.is_empty() && !payload.probabilities.is_empty() {
            let arms = payload.probabilities.iter();
            let arms = arms.map(|arm| (Arc::clone(&arm.model), arm.number, arm.probability)).collect();
            self.history.add_step(self.request.from, arms);
        }
        if let Some(joined) = self.join.predicted(as_prediction(record, &payload)) {
            self.joined(joined);
        }
        Ok(())
    }

    fn joined(&mut self, joined: Joined) {
        let row = match joined {
            Joined::Labelled(row) | Joined::Late(row) => row,
            Joined::Duplicate | Joined::Conflict { .. } | Joined::Parked => return,
        };
        self.history.labelled += 1;
        let prediction = row.prediction;
        if !prediction.model.is_empty() {
            let (model, at, label) = (prediction.model, prediction.at, row.label);
            self.history.pairs.push(Labelled { model, at, prediction: prediction.value, label });
        }
    }

    fn decided(&mut self, record: ControlRecord) {
        let endpoint = &self.endpoint.name;
        match record {
            ControlRecord::Decided(decided) => {
                for decision in decided.decisions {
                    let notable = match decision.verdict {
                        DecisionVerdict::Started | DecisionVerdict::Held => true,
                        DecisionVerdict::Changed => false,
                    };
                    if notable && self.endpoint.models.contains(&decision.model) {
                        let (kind, model) = (decision.verdict.name(), decision.model.to_string());
                        self.history.decide(decided.at, kind, model, &decision.reason);
                    }
                }
            }
            ControlRecord::Judged(judged) if judged.endpoint == *endpoint => {
                let subject = match &judged.version {
                    Some(version) => format!("{}/{}", judged.model, version.number),
                    None => judged.model.to_string(),
                };
                self.history.decide(judged.at, judged.verdict.name(), subject, &judged.reason);
            }
            ControlRecord::RolledBack(back) if back.endpoint == *endpoint => {
                let subject = format!("{}/{}", back.model, back.to.number);
                self.history.decide(back.at, "rolled_back", subject, &back.reason);
            }
            ControlRecord::RolloutMoved(moved) if moved.endpoint == *endpoint => self.rollout_moved(&moved),
            ControlRecord::ExperimentMoved(moved) if moved.endpoint == *endpoint => {
                let (kind, subject) = match moved.change {
                    ExperimentChange::Began => ("began", moved.experiment.to_string()),
                    ExperimentChange::ArmRemoved(arm) => {
                        ("removed", format!("{arm} of {}", moved.experiment))
                    }
                    ExperimentChange::Concluded { .. } => ("concluded", moved.experiment.to_string()),
                };
                self.history.decide(moved.at, kind, subject, &moved.reason);
            }
            ControlRecord::Routed(routed) if routed.endpoint == *endpoint => self.routed(&routed),
            ControlRecord::Judged(_)
            | ControlRecord::RolledBack(_)
            | ControlRecord::RolloutMoved(_)
            | ControlRecord::ExperimentMoved(_)
            | ControlRecord::Routed(_)
            | ControlRecord::Applied(_)
            | ControlRecord::RunFinished(_)
            | ControlRecord::Measured(_)
            | ControlRecord::Reported(_)
            | ControlRecord::ViewPromoted(_)
            | ControlRecord::DatasetMade(_)
            | ControlRecord::KeyAdded(_)
            | ControlRecord::KeyRevoked(_)
            | ControlRecord::InstantDone { .. } => {}
        }
    }

    fn routed(&mut self, routed: &Routed) {
        let arms = routed.shares.iter().flat_map(|share| {
            let part = share.candidate.as_ref().map_or(0.0, |(_, part)| *part);
            let candidate =
                share.candidate.iter().map(move |(version, _)| (version.number, share.share * part));
            let current = (share.current.number, share.share * (1.0 - part));
            let arms = std::iter::once(current).chain(candidate);
            arms.map(|(number, share_of_all)| (Arc::clone(&share.model), number, share_of_all))
        });
        let arms = arms.filter(|(_, _, share)| *share > 0.0).collect();
        self.history.add_step(routed.at.max(self.request.from), arms);
    }

    fn rollout_moved(&mut self, moved: &RolloutMoved) {
        let version = format!("{}/{}", moved.model, moved.version.number);
        let kind = match moved.change {
            RolloutChange::Entered(_) => "advanced",
            RolloutChange::Promoted => "promoted",
            RolloutChange::Refused => "refused",
        };
        self.history.decide(moved.at, kind, version.clone(), &moved.reason);
        let index = *self.rollouts.entry(Arc::clone(&moved.run)).or_insert_with(|| {
            self.history.rollouts.push(RolloutEntry {
                model: moved.model.to_string(),
                version,
                stage: String::new(),
                outcome: None,
                began: if moved.change == RolloutChange::Entered(0) { moved.at } else { self.request.from },
                ended: None,
                reason: String::new(),
            });
            self.history.rollouts.len() - 1
        });
        let rollout = &mut self.history.rollouts[index];
        rollout.reason.clone_from(&moved.reason);
        match moved.change {
            RolloutChange::Entered(_) => {}
            RolloutChange::Promoted | RolloutChange::Refused => {
                rollout.outcome = Some(kind.to_owned());
                rollout.ended = Some(moved.at);
            }
        }
        if let Some(stage) = stage_of(&moved.evidence) {
            rollout.stage = stage;
        }
    }
}
