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
