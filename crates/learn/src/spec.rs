//! What a model declares for its learner.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A number.
    Regression,
    /// The probability of a label that is 0 or 1.
    Binary,
}

/// A declared model-dependent transformation of some input columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformSpec {
    /// Input columns, expanded: no patterns.
    pub of: Vec<Arc<str>>,
    /// What is done to each of them.
    pub function: TransformFn,
}

/// A model-dependent transformation, fitted on the training set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fn", rename_all = "snake_case")]
pub enum TransformFn {
    /// `(x - mean) / sd` (population), a constant column by 1, then clipped.
    Standardize {
        /// Values are clipped to plus and minus this.
        clip: f64,
        /// What stands for a missing value.
        missing: Missing,
        /// Whether fine-tuning moves mean and deviation, weights re-expressed so that the function stays.
        in_fine_tune: InFineTune,
    },
    /// One column per value seen in the training set.
    OneHot {
        /// What an unseen value becomes.
        unknown: UnknownCategory,
    },
    /// The number is limited to `[min, max]`.
    Clip {
        /// The lower bound.
        min: Option<f64>,
        /// The upper bound.
        max: Option<f64>,
        /// What stands for a missing value.
        missing: Missing,
    },
    /// The number as it is.
    Pass {
        /// What stands for a missing value.
        missing: Missing,
    },
}

/// What stands for a missing number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The mean of the training set's values.
    Mean,
    /// Zero.
    Zero,
    /// A constant.
    Constant(f64),
}

/// Whether a scaler moves when a model is fine-tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InFineTune {
    /// It is fitted again only by a retrain.
    Frozen,
    /// It follows all rows trained on so far.
    Moving,
}

/// What an unseen category becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCategory {
    /// A column of its own, `other`.
    Other,
    /// All columns zero.
    Zero,
}

/// The learning algorithm and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LearnerSpec {
    /// Linear regression, one row at a time by SGD.
    Linear(SgdSpec),
    /// Logistic regression, one row at a time by SGD.
    Logistic(SgdSpec),
    /// Logistic regression by L-BFGS (linfa); fine-tuning starts from the parent's parameters.
    LogisticBatch(BatchSpec),
}

/// Settings of stochastic gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdSpec {
    /// Constant step.
    pub learning_rate: f64,
    /// Ridge penalty on weights, not on the bias.
    pub l2: f64,
    /// Passes of a fit from scratch, rows in order.
    pub epochs: u32,
}

/// Settings of a batch fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchSpec {
    /// Ridge penalty.
    pub l2: f64,
    /// Iterations at most.
    pub max_iterations: u64,
}

/// Bounds of what is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// The least answer.
    pub min: Option<f64>,
    /// The greatest answer.
    pub max: Option<f64>,
}

/// Everything that a fit needs to know; the inputs are what the transforms name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSpec {
    /// What is predicted.
    pub task: Task,
    /// The input columns in order: request, on-demand and view features, expanded and pinned.
    pub inputs: Vec<Arc<str>>,
    /// The transformations; a column named in none of them is no input of the learner.
    pub transforms: Vec<TransformSpec>,
    /// The learner.
    pub learner: LearnerSpec,
    /// Bounds of the answer.
    pub output: OutputSpec,
}
