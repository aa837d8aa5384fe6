//! What control needs to know of the declarations.

use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, ExperimentSpec};
use perennial_policy::PolicySpec;
use perennial_types::{ContentHash, TimeSpan};
use serde::{Deserialize, Serialize};

/// The goal state: the declarations as far as they bear on decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The project's name.
    pub project: Arc<str>,
    /// How often policies are looked at.
    pub tick: TimeSpan,
    /// The models in order of declaration.
    pub models: Vec<ModelGoal>,
    /// The endpoints in order of declaration.
    pub endpoints: Vec<EndpointSpec>,
    /// The policies in order of declaration, with the hashes that are their versions.
    pub policies: Vec<PolicyGoal>,
    /// The experiments in order of declaration, with the hashes that tell one from a changed one.
    #[serde(default)]
    pub experiments: Vec<ExperimentGoal>,
    /// The reports in order of declaration.
    #[serde(default)]
    pub reports: Vec<ReportSpec>,
}

/// An experiment and its version: a changed declaration is another experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentGoal {
    /// Hash of the declaration.
    pub version: ContentHash,
    /// What is declared.
    pub spec: ExperimentSpec,
}

/// A report that is written on a schedule and on demand. Its window is compared with what the current version of
/// each model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportSpec {
    /// Its name.
    pub name: Arc<str>,
    /// The endpoint that it is about.
    pub endpoint: Arc<str>,
    /// Five Unix fields in UTC.
    pub schedule: Arc<str>,
    /// How far back it looks.
    pub window: TimeSpan,
    /// The files that are written.
    pub formats: Vec<ReportFormat>,
}

/// A file of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// One page that needs nothing else.
    Html,
    /// The same as data.
    Json,
    /// A short summary as text.
    Markdown,
}

impl ReportFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Markdown];

    /// The name in declarations and addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Markdown => "markdown",
        }
    }
}

/// A model as control sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelGoal {
    /// Its name.
    pub name: Arc<str>,
    /// The one endpoint it belongs to.
    pub endpoint: Arc<str>,
    /// Hash of the definition, view versions and expanded inputs included. A version made under another one
    /// cannot be fine-tuned, only retrained.
    pub definition: ContentHash,
    /// When the first version is fitted: SQL over `labels.rows`, `labels.rate`.
    pub first_version: Arc<str>,
    /// Passes of a fit from scratch, for budgets.
    pub epochs: u32,
}

/// A policy and its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyGoal {
    /// Hash of the declaration.
    pub version: ContentHash,
    /// What is declared.
    pub spec: PolicySpec,
}
