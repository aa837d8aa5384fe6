//! What an endpoint declares.

use std::sync::Arc;

use perennial_types::TimeSpan;
use serde::{Deserialize, Serialize};

/// The name that callers use, the models behind it and the label that comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Its name.
    pub name: Arc<str>,
    /// The models that may answer.
    pub models: Vec<Arc<str>>,
    /// Which one answers first.
    pub initial: Arc<str>,
    /// The label.
    pub label: LabelSpec,
    /// Whether answers change outcomes.
    pub outcome: Outcome,
    /// What happens when no model answers in time.
    pub on_failure: OnFailure,
}

/// The label of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelSpec {
    /// Its name.
    pub name: Arc<str>,
    /// When the label window of a prediction closes, counted from the request.
    pub matures_after: TimeSpan,
    /// When a label is late, counted from the request; late labels are kept and flagged, not trained on.
    pub give_up_after: TimeSpan,
}

/// Whether what is answered changes what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The label is the same whatever was answered.
    IndependentOfPrediction,
    /// The answer changes the label.
    DependsOnPrediction,
}

/// What is answered when the model fails.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnFailure {
    /// How long a model may take; under the event clock no wall time decides.
    pub deadline: TimeSpan,
    /// What is answered then, and before the first version.
    pub default: f64,
}

/// An evaluation between models of an endpoint, for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSpec {
    /// Its name.
    pub name: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// How traffic is split.
    pub mode: Mode,
    /// The models, at least two, in the order in which vectors name them.
    pub arms: Vec<Arc<str>>,
    /// What is given an arm.
    pub unit: UnitSpec,
    /// What an answer was worth.
    pub reward: RewardSpec,
    /// What takes an arm out.
    pub guardrails: Vec<GuardrailSpec>,
    /// SQL over `probability_best`, `p_value`, `rows`: a conclusion when it is true.
    pub until: Option<Arc<str>>,
    /// The experiment ends so long after every arm has a version.
    pub at_most: TimeSpan,
    /// What `until` leads to.
    pub then: Conclusion,
    /// What `at_most` without it leads to.
    pub otherwise: Conclusion,
}

/// How an experiment splits traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The champion answers, the other arms score the same requests.
    Shadow,
    /// Fixed shares.
    Ab {
        /// A share for each arm, together one.
        split: Vec<f64>,
    },
    /// A probability vector for each epoch.
    Bandit {
        /// What makes it.
        algorithm: Algorithm,
        /// How long a vector holds.
        epoch: TimeSpan,
        /// The least probability of an arm.
        floor: f64,
        /// Whether a change of the rewards begins a new regime.
        reset_on_change: bool,
    },
}

/// What makes a bandit's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Thompson sampling on means with normal posteriors.
    GaussianThompson,
    /// Thompson sampling on rewards of 0 and 1.
    BetaThompson,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::GaussianThompson, Self::BetaThompson];

    /// The name in declarations.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussianThompson => "gaussian_thompson",
            Self::BetaThompson => "beta_thompson",
        }
    }
}

/// What is given an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitSpec {
    /// Each request by its id.
    Request,
    /// Requests with the same value of this column of the request together; those without a value by their ids.
    Column(Arc<str>),
}

/// What an answer was worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardSpec {
    /// SQL over `prediction` and `label`, both DOUBLE; more is better.
    pub of: Arc<str>,
    /// The least and the largest reward; what lies outside counts as the nearer end.
    pub range: (f64, f64),
}

/// What takes an arm out of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardrailSpec {
    /// What is watched.
    pub of: GuardrailMetric,
    /// The most that is tolerated.
    pub max: f64,
}

/// What a guardrail watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailMetric {
    /// Share of the requests given to the arm that it did not answer.
    ErrorRate,
}

/// What an experiment leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The best arm becomes the champion.
    PromoteBest,
    /// The model that the endpoint begins with is the champion.
    KeepInitial,
}

/// A figure over labelled predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Share of right classes at threshold one half.
    Accuracy,
    /// Area under the ROC curve.
    RocAuc,
    /// Mean negative log-likelihood.
    LogLoss,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 5] = [Self::Mae, Self::Rmse, Self::Accuracy, Self::RocAuc, Self::LogLoss];

    /// The name in declarations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::Accuracy => "accuracy",
            Self::RocAuc => "roc_auc",
            Self::LogLoss => "log_loss",
        }
    }

    /// Whether more of it is worse.
    pub fn more_is_worse(self) -> bool {
        matches!(self, Self::Mae | Self::Rmse | Self::LogLoss)
    }
}
