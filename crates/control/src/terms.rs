//! The terms under which a run is started: how its candidate reaches traffic, and what takes it back.

use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, Metric, Outcome, RewardSpec};
use perennial_policy::{GateSpec, PolicySpec, RollbackSpec, SignalKind, StageSpec};
use serde::{Deserialize, Serialize};

use crate::Goal;
use crate::rollout::stage_in_words;

/// They are those of the declarations when the run was started, to the end of its rollback: what is declared
/// later holds for later runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The policy.
    pub policy: Arc<str>,
    /// The stages; the last one promotes.
    pub stages: Vec<StageSpec>,
    /// What takes the promotion back.
    pub rollback: Option<RollbackSpec>,
    /// By what the candidate is better.
    pub worth: Worth,
    /// The metric by which it must not be worse.
    pub metric: Metric,
    /// By how much worse it may be, relative.
    pub margin: f64,
    /// The confidence of a proof that it is worse.
    pub confidence: f64,
    /// Whether answers change outcomes; then only served answers are compared.
    pub outcome: Outcome,
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// A reward; more is better.
    Reward(RewardSpec),
    /// The loss of a metric; less is better.
    Loss(Metric),
}

impl Terms {
    /// Of a policy for the models of an endpoint.
    pub(crate) fn of(policy: &PolicySpec, endpoint: &EndpointSpec, goal: &Goal) -> Self {
        let (metric, margin, confidence) = gate(policy);
        let experiments = goal.experiments.iter().map(|experiment| &experiment.spec);
        let reward = experiments.into_iter().find(|spec| spec.endpoint == endpoint.name);
        Self {
            policy: Arc::clone(&policy.name),
            stages: policy.rollout.clone(),
            rollback: policy.rollback.clone(),
            worth: reward.map_or(Worth::Loss(metric), |spec| Worth::Reward(spec.reward.clone())),
            metric,
            margin,
            confidence,
            outcome: endpoint.outcome,
        }
    }

    /// A stage for people, by its index: `stage 2 of 3 (bandit)`.
    pub fn stage_in_words(&self, stage: usize) -> String {
        stage_in_words(self, stage)
    }

    /// Whether a candidate that passed its gates is promoted without a rollout.
    pub(crate) fn promotes_at_once(&self) -> bool {
        self.stages.first().is_none_or(|stage| *stage == StageSpec::Promote)
    }

    /// Losses of requests that nobody but the versions in question answered differently can be compared.
    pub(crate) fn compares_scores(&self) -> bool {
        self.outcome == Outcome::IndependentOfPrediction
    }
}

/// Metric, margin and confidence of the first gate. Without a gate: the metric of the first performance signal,
/// else the absolute error, without a margin at the usual confidence.
fn gate(policy: &PolicySpec) -> (Metric, f64, f64) {
    let compared = |name: &str| Metric::from_name(name).filter(|metric| metric.loss(0.0, 0.0).is_some());
    let gates = policy.gates.iter().find_map(|gate| match gate {
        GateSpec::NotWorse { metric, margin, confidence, .. } => {
            compared(metric).map(|metric| (metric, *margin, *confidence))
        }
    });
    let watched = || {
        policy.signals.iter().find_map(|signal| match &signal.kind {
            SignalKind::Performance { metric, .. } => compared(metric),
            SignalKind::Drift { .. }
            | SignalKind::Detector { .. }
            | SignalKind::Data { .. }
            | SignalKind::Staleness
            | SignalKind::Labels => None,
        })
    };
    gates.unwrap_or_else(|| (watched().unwrap_or(Metric::Mae), 0.0, 0.9))
}
