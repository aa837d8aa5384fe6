//! Records of how traffic is moved: rollouts, experiments, routing.

use std::sync::Arc;

use perennial_evaluate::UnitSpec;
use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::VersionRef;

/// A candidate entered a stage of its rollout, or left the rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutMoved {
    /// The run that made the candidate.
    pub run: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The endpoint that the model belongs to.
    pub endpoint: Arc<str>,
    /// The policy whose rollout it is.
    pub policy: Arc<str>,
    /// The candidate.
    pub version: VersionRef,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub change: RolloutChange,
    /// A sentence with the numbers.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
}

/// What happened to a candidate in its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutChange {
    /// It entered the stage of this index; the first one is entered when the run is judged.
    Entered(usize),
    /// It is the current version from now on.
    Promoted,
    /// It is not, and leaves.
    Refused,
}

/// An experiment began, lost an arm, or was concluded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentMoved {
    /// The experiment.
    pub experiment: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub change: ExperimentChange,
    /// A sentence with the numbers.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
}

/// What happened to an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentChange {
    /// Every arm has a version.
    Began,
    /// A guardrail took this arm out.
    ArmRemoved(Arc<str>),
    /// It is over, and this model is the endpoint's champion.
    Concluded {
        /// The champion from now on.
        champion: Arc<str>,
    },
}

/// An endpoint's traffic from `at` on: one probability vector over versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routed {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// The running experiment.
    pub experiment: Option<Arc<str>>,
    /// The start of the epoch that the shares were computed for.
    pub epoch: Timestamp,
    /// What is given an arm.
    pub unit: UnitSpec,
    /// Tells draws of one experiment from those of another: its name, or the endpoint's.
    pub salt: Arc<str>,
    /// The model that answers when nothing else decides or the drawn version fails.
    pub champion: Arc<str>,
    /// Each model's share; those of all models sum to one.
    pub shares: Vec<ModelShare>,
    /// The versions that score every request beside the one that is drawn, arms of probability zero included
    /// where they are compared.
    pub shadows: Vec<RoutedVersion>,
    /// What made the vector change.
    pub cause: RoutingCause,
    /// A sentence with the numbers.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
}

impl Routed {
    /// Every version that it names, with its model: those that may be drawn and those that look on. A version
    /// that does both is named twice.
    pub fn versions(&self) -> impl Iterator<Item = (&Arc<str>, &VersionRef)> {
        let drawn = self.shares.iter().flat_map(|share| {
            let candidate = share.candidate.iter().map(|(version, _)| version);
            std::iter::once(&share.current).chain(candidate).map(|version| (&share.model, version))
        });
        drawn.chain(self.shadows.iter().map(|shadow| (&shadow.model, &shadow.version)))
    }
}

/// A model's share of an endpoint, and how it is split between its current version and its candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelShare {
    /// The model.
    pub model: Arc<str>,
    /// Its part of the endpoint's requests, from 0 to 1.
    pub share: f64,
    /// Its current version.
    pub current: VersionRef,
    /// Its candidate in a bandit stage, and the candidate's part of the model's share.
    pub candidate: Option<(VersionRef, f64)>,
}

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedVersion {
    /// The model.
    pub model: Arc<str>,
    /// The version.
    pub version: VersionRef,
}

/// What made a vector change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingCause {
    /// The first version of a model.
    FirstVersion,
    /// An epoch of an experiment or of a rollout's bandit.
    Epoch,
    /// A candidate entered a stage, was promoted or refused.
    Rollout,
    /// An experiment began, lost an arm or was concluded.
    Experiment,
    /// A rollback, or the end of the time in which one could follow.
    Rollback,
    /// Declarations.
    Declarations,
}

impl RoutingCause {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstVersion => "first_version",
            Self::Epoch => "epoch",
            Self::Rollout => "rollout",
            Self::Experiment => "experiment",
            Self::Rollback => "rollback",
            Self::Declarations => "declarations",
        }
    }
}
