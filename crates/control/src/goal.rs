//! What control needs to know of the declarations.

use std::sync::Arc;

use perennial_evaluate::EndpointSpec;
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
