//! What a policy declares.

use std::sync::Arc;

use perennial_types::TimeSpan;
use serde::{Deserialize, Serialize};

/// When to train, how, and what a candidate must prove. Metrics are named as texts here and are those of
/// the evaluator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// Its name.
    pub name: Arc<str>,
    /// The models it keeps, each on its own.
    pub models: Vec<Arc<str>>,
    /// What is watched.
    pub signals: Vec<SignalSpec>,
    /// What asks for a run; the first that fires wins.
    pub triggers: Vec<TriggerSpec>,
    /// What an unknown condition means.
    pub on_unknown: OnUnknown,
    /// What holds a trigger back.
    pub guards: GuardSpec,
    /// How to train.
    pub actions: ActionsSpec,
    /// What a candidate must pass.
    pub gates: Vec<GateSpec>,
}

/// A watched number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalSpec {
    /// The name that conditions use.
    pub name: Arc<str>,
    /// What it is.
    pub kind: SignalKind,
}

/// The kinds of signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// A metric over matured labels: `value, baseline, relative_change, rows, confirmed`.
    Performance {
        /// The metric's name (`mae`, `rmse`, `accuracy`, `roc_auc`, `log_loss`).
        metric: Arc<str>,
        /// Over how long.
        window: TimeSpan,
        /// NULL below this many matured labels.
        min_rows: u64,
    },
    /// `age` since the current version's training data end.
    Staleness,
    /// `rows` and `rate` (per day) of labels since the current version's training data end.
    Labels,
}

/// What asks for a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerSpec {
    /// Its name.
    pub name: Arc<str>,
    /// A SQL condition over signals.
    pub when: Option<Arc<str>>,
    /// How long the condition must hold.
    #[serde(rename = "for")]
    pub hold: Option<TimeSpan>,
    /// Five Unix fields in UTC: asked only when due.
    pub schedule: Option<Arc<str>>,
    /// What is asked for.
    pub action: Action,
}

/// What a trigger asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Start from the current version's state.
    FineTune,
    /// Start from nothing.
    Retrain,
}

/// What a NULL condition means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// It holds the trigger back, with the missing signal as the reason.
    #[default]
    Hold,
}

/// What holds a trigger back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardSpec {
    /// Rest after a run, by its outcome.
    pub cooldown: CooldownSpec,
    /// Runs at most in any such stretch of time.
    pub at_most: Option<Quota>,
    /// Rows times epochs at most in any such stretch of time, per model.
    pub budget_rows: Option<Quota>,
}

/// Rest after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CooldownSpec {
    /// After a promotion.
    pub success: TimeSpan,
    /// After a failed run or a refused candidate.
    pub failure: TimeSpan,
}

/// An amount in any stretch of time of a length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    /// The most.
    pub amount: u64,
    /// The length.
    pub per: TimeSpan,
}

/// How to train.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionsSpec {
    /// From the current version's state.
    pub fine_tune: FineTuneSpec,
    /// From nothing.
    pub retrain: RetrainSpec,
}

/// How to fine-tune: on labels after the current version's data end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FineTuneSpec {
    /// How many of the rows before the data end are mixed in, the newest ones, before the new ones.
    pub replay_rows: u64,
    /// Passes.
    pub epochs: u32,
}

impl Default for FineTuneSpec {
    fn default() -> Self {
        Self { replay_rows: 0, epochs: 1 }
    }
}

/// How to retrain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RetrainSpec {
    /// Requests of this last stretch of time; all of them if left out.
    pub data: Option<TimeSpan>,
}

/// What a candidate must pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateSpec {
    /// Refused only if proven worse than the current version by more than the margin.
    NotWorse {
        /// The metric's name.
        metric: Arc<str>,
        /// Relative: 0.05 allows five percent.
        margin: f64,
        /// One-sided confidence of the proof.
        confidence: f64,
        /// The newest labelled rows, held out of this run.
        holdout_rows: u64,
    },
}
