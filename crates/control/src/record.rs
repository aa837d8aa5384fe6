//! What is written to the control stream: the only thing that changes a decision's outcome later.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_policy::{GateSpec, Training};
use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{ExperimentMoved, Goal, KeyAdded, KeyRevoked, Measured, Reported, RolloutMoved, Routed};

/// A record of the control stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum ControlRecord {
    /// Declarations became the goal state.
    Applied(Applied),
    /// What policies decided at an instant, and the runs that this asks for.
    Decided(Decided),
    /// A run ended; the first such record of a run is its outcome.
    RunFinished(RunFinished),
    /// A finished run's candidate was promoted or refused.
    Judged(Judged),
    /// A version that had served before serves again.
    RolledBack(RolledBack),
    /// A candidate entered a stage of its rollout, or left the rollout.
    RolloutMoved(RolloutMoved),
    /// An experiment began, lost an arm, or was concluded.
    ExperimentMoved(ExperimentMoved),
    /// An endpoint's traffic is split in another way from now on: the only record that the hot path follows.
    Routed(Routed),
    /// A drift signal was measured.
    Measured(Measured),
    /// A report was written.
    Reported(Reported),
    /// A view's new version serves in place of the one before it.
    ViewPromoted(ViewPromoted),
    /// A training set was made of a file; lineage keeps it.
    DatasetMade(DatasetMade),
    /// Somebody may call from now on.
    KeyAdded(KeyAdded),
    /// A key no longer opens anything.
    KeyRevoked(KeyRevoked),
    /// Everything due at this instant has been done, its runs included under the event clock.
    InstantDone {
        /// The instant.
        at: Timestamp,
    },
}

/// Declarations became the goal state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// When.
    pub at: Timestamp,
    /// Hash of the declarations.
    pub hash: ContentHash,
    /// What control needs of them.
    pub goal: Goal,
    /// The canonical declarations, for everybody else.
    pub declarations: serde_json::Value,
}

/// What was decided at an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The instant.
    pub at: Timestamp,
    /// Only notable decisions: those that start, hold back or change the truth of a trigger.
    pub decisions: Vec<Decision>,
}

/// One decision about one model, with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Makes it happen once.
    pub key: Arc<str>,
    /// The policy, or nothing for a model's first version.
    pub policy: Option<Arc<str>>,
    /// The policy's version.
    pub policy_version: Option<ContentHash>,
    /// The model.
    pub model: Arc<str>,
    /// What came of it.
    pub verdict: DecisionVerdict,
    /// The trigger that fired.
    pub trigger: Option<Arc<str>>,
    /// A sentence with the numbers.
    pub reason: String,
    /// Every trigger's evaluation.
    pub evaluations: serde_json::Value,
    /// The signals' values as they were, with the reasons of the unknown ones.
    pub signals: serde_json::Value,
    /// What the policy remembers from now on.
    pub memory: Option<perennial_policy::PolicyState>,
    /// The run that was started.
    pub run: Option<RunRequest>,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionVerdict {
    /// A run was started.
    Started,
    /// A trigger fired and was held back.
    Held,
    /// A trigger's condition changed its truth.
    Changed,
}

impl DecisionVerdict {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Held => "held",
            Self::Changed => "changed",
        }
    }
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunAction {
    /// The first version, fitted from nothing and without a gate.
    FirstFit,
    /// From the parent's state.
    FineTune,
    /// From nothing, beside a current version.
    Retrain,
}

impl RunAction {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstFit => "first_fit",
            Self::FineTune => "fine_tune",
            Self::Retrain => "retrain",
        }
    }
}

impl From<Training> for RunAction {
    fn from(training: Training) -> Self {
        match training {
            Training::FineTune => Self::FineTune,
            Training::Retrain => Self::Retrain,
        }
    }
}

/// A run with its inputs pinned: the same request trains the same version, whenever it is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Its id, a hash of what caused it.
    pub id: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The model's endpoint.
    pub endpoint: Arc<str>,
    /// What it does.
    pub action: RunAction,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// The current version then.
    pub parent: Option<VersionRef>,
    /// The definition it trains under.
    pub definition: ContentHash,
    /// The rows.
    pub data: DataRange,
    /// Passes.
    pub epochs: u32,
    /// What the candidate must pass.
    pub gates: Vec<GateSpec>,
}

/// Labelled requests of an endpoint, in the order in which their labels came; late labels are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRange {
    /// Labels after this position …
    pub after: Position,
    /// … up to and including this one.
    pub to: Position,
    /// Only requests at or after this instant.
    pub since: Option<Timestamp>,
    /// So many of the newest rows at or before `after` are put in front.
    pub replay_rows: u64,
    /// So many of the newest rows are held out.
    pub holdout_rows: u64,
    /// Of the rows after `after` at most so many, the oldest, are trained on; the rest is left for the next run.
    pub at_most: Option<u64>,
}

/// A version of a model by number and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRef {
    /// Its number within the model, from 1.
    pub number: u64,
    /// Its content hash.
    pub content_hash: ContentHash,
    /// Its artifact.
    pub artifact: ContentHash,
    /// The definition it was trained under.
    pub definition: ContentHash,
}

/// A run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    /// The run.
    pub run: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// How a run ended. A failure of the machine is no outcome: the run is repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It made a version.
    Succeeded(Box<Trained>),
    /// It cannot succeed, however often it is repeated.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a run made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The version's number within the model.
    pub number: u64,
    /// Hash of state, inputs and parent.
    pub content_hash: ContentHash,
    /// Where its bytes are.
    pub artifact: ContentHash,
    /// What the run did.
    pub action: RunAction,
    /// The version that was current when the run was asked for.
    pub parent: Option<VersionRef>,
    /// The definition it was trained under.
    pub definition: ContentHash,
    /// The input list, pinned.
    pub inputs: Vec<Arc<str>>,
    /// What it was trained on.
    pub dataset: Dataset,
    /// Rows times epochs.
    pub row_visits: u64,
    /// Figures by name.
    pub metrics: BTreeMap<String, f64>,
    /// Where the sample of its training rows is that drift is measured against.
    pub reference: Option<ContentHash>,
    /// The gates' results in order of declaration.
    pub gates: Vec<GateResult>,
}

/// A training set as lineage names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Hash of its rows, labels and order.
    pub content_hash: ContentHash,
    /// The endpoint that its requests came to.
    pub endpoint: Arc<str>,
    /// The streams that it was read from.
    pub streams: Vec<Arc<str>>,
    /// Position of the first request in it.
    pub from_position: Position,
    /// Position of the last training label: the data end. Labels after it are left for the next run.
    pub to_position: Position,
    /// Instant of the first request.
    pub from_time: Timestamp,
    /// Instant of the last request that was trained on.
    pub to_time: Timestamp,
    /// Rows trained on.
    pub rows: u64,
    /// Rows held out.
    pub holdout_rows: u64,
}

/// A view's new version was filled and compared with the one before it, and is read by the view's name from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewPromoted {
    /// When.
    pub at: Timestamp,
    /// The view.
    pub view: Arc<str>,
    /// The version that served until now.
    pub from: ContentHash,
    /// The version that serves.
    pub to: ContentHash,
    /// A sentence with the numbers.
    pub reason: String,
    /// What was found of each feature.
    pub evidence: serde_json::Value,
}

/// A training set was made whose rows come from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetMade {
    /// When.
    pub at: Timestamp,
    /// The model that it is for.
    pub model: Arc<str>,
    /// What it is.
    pub dataset: Dataset,
}

/// What a gate found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate.
    pub gate: GateSpec,
    /// Whether the candidate passed.
    pub passed: bool,
    /// A sentence with the numbers.
    pub sentence: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
}

/// A candidate was promoted or refused, or there was none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The run.
    pub run: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub verdict: RunVerdict,
    /// A sentence with the numbers.
    pub reason: String,
    /// The version that was made.
    pub version: Option<VersionRef>,
    /// Whether no version of the model served before.
    pub first: bool,
    /// The endpoint that the model belongs to.
    pub endpoint: Arc<str>,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Its version is the current one.
    Promoted,
    /// Its version passed the gates and goes through a rollout.
    Admitted,
    /// Its version was refused, by a gate or in its rollout.
    Refused,
    /// It made none.
    Failed,
}

impl RunVerdict {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An earlier version serves again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The model.
    pub model: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// What served until now.
    pub from: VersionRef,
    /// What serves from now on.
    pub to: VersionRef,
    /// Why.
    pub reason: String,
    /// The endpoint that the model belongs to.
    pub endpoint: Arc<str>,
    /// The policy whose condition asked for it; nothing for a rollback by hand.
    pub policy: Option<Arc<str>>,
    /// The measured quantities; NULL for a rollback by hand.
    pub evidence: serde_json::Value,
}
