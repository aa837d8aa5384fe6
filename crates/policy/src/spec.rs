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
    /// How a candidate that passed reaches traffic; the last stage is [`StageSpec::Promote`].
    #[serde(default = "promote_at_once", skip_serializing_if = "is_promote_at_once")]
    pub rollout: Vec<StageSpec>,
    /// What takes a promotion back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
}

/// The rollout of a policy that declares none. It is not written, so that the hash of such a policy is the
/// one that it had before there were rollouts.
fn promote_at_once() -> Vec<StageSpec> {
    vec![StageSpec::Promote]
}

fn is_promote_at_once(stages: &[StageSpec]) -> bool {
    stages == [StageSpec::Promote]
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
    /// Two-sample tests of each input against what the current version was trained on:
    /// `share, weighted_share, worst, max_effect, alarmed`.
    Drift {
        /// Names of inputs or patterns: `request.*`, `on_demand.*`, `<view>.*`.
        columns: Vec<Arc<str>>,
        /// Over how long.
        window: TimeSpan,
        /// How often it is measured.
        every: TimeSpan,
        /// When a column alarms.
        rule: DriftRule,
        /// NULL below this many rows in either window.
        min_rows: u64,
    },
    /// A change detector on the losses of the current version: `open, since, mean, alarms`.
    Detector {
        /// What is watched, row by row.
        of: DetectedLoss,
        /// The least and the largest loss; what lies outside counts as the nearer end.
        range: (f64, f64),
        /// At most one false alarm in so many rows.
        one_false_alarm_in: u64,
        /// An episode ends after so many rows without another alarm.
        stable_after: u64,
    },
    /// A figure of the data against a limit: `value, limit, ok`.
    Data {
        /// What is measured.
        figure: DataFigure,
        /// Of what: names or patterns of features (`zone.*`), of columns of sources (`rides.fare`), or of sources.
        of: Vec<Arc<str>>,
        /// Over how long; it reaches back to a multiple of ten minutes.
        window: TimeSpan,
        /// How often it is measured.
        every: TimeSpan,
        /// What the value is held against; seconds for [`DataFigure::Freshness`]. Where nothing is said, the service
        /// level of each view.
        limit: Option<f64>,
    },
    /// `age` since the current version's training data end.
    Staleness,
    /// `rows` and `rate` (per day) of labels since the current version's training data end.
    Labels,
}

/// What is measured of data. The worst of what a signal names is its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFigure {
    /// The time within which 99 % of the events of a view's source could be read, from when they happened.
    Freshness,
    /// The part of the values as served that a replay does not give again, by feature.
    Skew,
    /// Rows of a source that were sent and never came, or came and are not in the features.
    Loss,
    /// The part of the values that are NULL.
    NullRate,
    /// How many texts were never seen before the window.
    NewCategories,
    /// The part of a source's rows that were refused.
    Violations,
    /// A source's rows; the limit is the least.
    Volume,
}

impl DataFigure {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Freshness,
        Self::Skew,
        Self::Loss,
        Self::NullRate,
        Self::NewCategories,
        Self::Violations,
        Self::Volume,
    ];

    /// The name in messages, and in declarations under `of` or as the signal's kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Freshness => "freshness",
            Self::Skew => "skew",
            Self::Loss => "loss",
            Self::NullRate => "null_rate",
            Self::NewCategories => "new_categories",
            Self::Violations => "violations",
            Self::Volume => "volume",
        }
    }

    /// What is held against the value where nothing is said: nothing of it is right.
    pub fn default_limit(self) -> Option<f64> {
        match self {
            Self::Skew | Self::Loss | Self::NewCategories | Self::Violations => Some(0.0),
            Self::Freshness | Self::NullRate | Self::Volume => None,
        }
    }

    /// Whether a value is within its limit.
    pub fn within(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Volume => value >= limit,
            Self::Freshness
            | Self::Skew
            | Self::Loss
            | Self::NullRate
            | Self::NewCategories
            | Self::Violations => value <= limit,
        }
    }
}

/// When a column alarms: the test is significant after correction, and the effect is large enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftRule {
    /// False discovery rate over the columns of one measurement (Benjamini-Hochberg).
    pub alpha: f64,
    /// Numeric columns: Wasserstein distance in standard deviations of the reference.
    pub min_wasserstein_sd: f64,
    /// Categorical columns: Jensen-Shannon distance to base 2.
    pub min_js: f64,
    /// Change of the share of missing values.
    pub min_missing_change: f64,
}

impl Default for DriftRule {
    fn default() -> Self {
        Self { alpha: 0.01, min_wasserstein_sd: 0.1, min_js: 0.05, min_missing_change: 0.05 }
    }
}

/// A loss of one row that a detector watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectedLoss {
    /// |prediction − label|.
    AbsError,
    /// (prediction − label)².
    SquaredError,
    /// Negative log-likelihood of a class.
    LogLoss,
    /// 1 for the wrong class at threshold one half, else 0.
    Error,
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
    /// Open an adaptation episode: another action again and again until a condition holds.
    Adapt,
}

/// What a run does: what a trigger asks for in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Training {
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
    /// Again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapt: Option<AdaptSpec>,
}

/// An adaptation episode: guards are asked once, at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptSpec {
    /// What is repeated: [`Action::FineTune`] or [`Action::Retrain`].
    pub repeat: Action,
    /// From one start to the next, at least.
    pub every: TimeSpan,
    /// SQL over the policy's signals: the episode is over when it is true.
    pub until: Arc<str>,
    /// Runs at most in one episode.
    pub at_most: u32,
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

/// A stage of a rollout. Times count from when the stage is entered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageSpec {
    /// The candidate scores every request and answers none.
    Shadow {
        /// For so long.
        length: TimeSpan,
    },
    /// A bandit splits the model's share between current version and candidate.
    Bandit {
        /// The algorithm's name (`gaussian_thompson`, `beta_thompson`), one of the evaluator's.
        algorithm: Arc<str>,
        /// How often the split may change.
        epoch: TimeSpan,
        /// The least part of the model's share that either gets.
        floor: f64,
        /// SQL over `probability_better` and `rows`: the candidate goes on when it is true.
        until: Arc<str>,
        /// The stage ends after so long.
        at_most: TimeSpan,
        /// What happens then.
        otherwise: Otherwise,
    },
    /// The candidate becomes the current version.
    Promote,
}

/// What becomes of a candidate whose stage runs out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It goes on unless the gate's test proves it worse on the pairs of the rollout; below 24 pairs it is
    /// refused.
    PromoteIfNotWorse,
    /// It goes on.
    Promote,
    /// It is refused.
    Refuse,
}

/// What takes a promotion back: the replaced version stays in shadow for so long and is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackSpec {
    /// SQL over `paired.relative_change` and `paired.rows`.
    pub when: Arc<str>,
    /// Counted from the promotion.
    pub within: TimeSpan,
}
