//! Calls about how traffic is moved, what was reported, and why things were as they were at an instant.

use perennial_types::Timestamp;
use serde::Deserialize;

use crate::client::at_pair;
use crate::error::RemoteError;
use crate::{Client, Decision};

/// How an endpoint's requests are split from an instant on, until its next split.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Routing {
    /// From when on.
    pub at: Timestamp,
    /// The running experiment.
    pub experiment: Option<String>,
    /// The model that answers when nothing else decides.
    pub champion: String,
    /// What made the split change.
    pub cause: String,
    /// Why, a sentence with the numbers.
    pub reason: String,
    /// Every version that answers or scores in shadow.
    pub arms: Vec<RoutingArm>,
}

/// A version's part in an endpoint's traffic.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RoutingArm {
    /// The version, such as `bike-windowed/7`.
    pub version: String,
    /// Its model.
    pub model: String,
    /// `current`, `candidate` or `shadow`.
    pub role: String,
    /// Its part of the endpoint's requests, from 0 to 1.
    pub probability: f64,
}

/// All choices at an endpoint since its first request, held against their probabilities.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Choices {
    /// Requests for which more than one version could be drawn; of a sticky unit only the first.
    pub rows: u64,
    /// How probable counts are that are at least as far from what the logged probabilities say; nothing while there
    /// were too few choices.
    pub p_value: Option<f64>,
    /// What was drawn.
    pub arms: Vec<Chosen>,
}

/// How often a model's versions of one role were drawn.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Chosen {
    /// The model.
    pub model: String,
    /// `current` or `candidate`.
    pub role: String,
    /// How often one was drawn.
    pub chosen: u64,
    /// How often one was to be drawn.
    pub expected: f64,
}

/// A candidate's way through the stages of its rollout.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Rollout {
    /// The model.
    pub model: String,
    /// The candidate.
    pub version: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was over; nothing while it goes on.
    pub ended: Option<Timestamp>,
    /// The index of the last stage that was entered.
    pub stage: u64,
    /// `promoted` or `refused`; nothing while it goes on.
    pub outcome: Option<String>,
    /// Why it is where it is, a sentence with the numbers.
    pub reason: String,
}

/// An experiment that began.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The endpoint.
    pub endpoint: String,
    /// When every arm had a version.
    pub began: Timestamp,
    /// When it was over; nothing while it runs.
    pub ended: Option<Timestamp>,
    /// The champion that it led to.
    pub champion: Option<String>,
    /// Why it is where it is, a sentence with the numbers.
    pub reason: String,
}

/// A report about an endpoint over a stretch of time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReportEntry {
    /// Its id.
    pub id: String,
    /// The name of its declaration.
    pub name: String,
    /// When it was due, or asked for.
    pub at: Timestamp,
    /// Its window begins here …
    pub from: Timestamp,
    /// … and ends before this instant.
    pub to: Timestamp,
    /// Whether any column of any model alarmed.
    pub alarmed: bool,
    /// One sentence of what it says.
    pub summary: String,
}

/// What had been decided last, by an instant.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WhyThen {
    /// The instant.
    pub at: Timestamp,
    /// The answer in words.
    pub sentence: String,
    /// The decisions that were in force.
    pub decisions: Vec<Decision>,
}

impl Client {
    /// Every split of an endpoint's requests, newest first.
    ///
    /// # Errors
    /// When the endpoint is unknown.
    pub async fn traffic(&self, endpoint: &str) -> Result<Vec<Routing>, RemoteError> {
        Ok(self.list(self.url(&["v1", "endpoints", endpoint, "traffic"], &[])).await?.items)
    }

    /// How often versions were drawn for an endpoint's requests, against the logged probabilities.
    ///
    /// # Errors
    /// When the endpoint is unknown.
    pub async fn choices(&self, endpoint: &str) -> Result<Choices, RemoteError> {
        self.get(self.url(&["v1", "endpoints", endpoint, "choices"], &[])).await
    }

    /// The rollouts of a model, or of all, newest first.
    ///
    /// # Errors
    /// When the model is unknown.
    pub async fn rollouts(&self, model: Option<&str>) -> Result<Vec<Rollout>, RemoteError> {
        let query = [("model", model.map(str::to_owned))];
        Ok(self.list(self.url(&["v1", "rollouts"], &query)).await?.items)
    }

    /// The experiments that began, newest first.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn experiments(&self) -> Result<Vec<Experiment>, RemoteError> {
        Ok(self.list(self.url(&["v1", "experiments"], &[])).await?.items)
    }

    /// The reports about an endpoint, or about all, newest first.
    ///
    /// # Errors
    /// When the endpoint is unknown.
    pub async fn reports(&self, endpoint: Option<&str>) -> Result<Vec<ReportEntry>, RemoteError> {
        let query = [("endpoint", endpoint.map(str::to_owned))];
        Ok(self.list(self.url(&["v1", "reports"], &query)).await?.items)
    }

    /// Why things about a model were as they were at an instant.
    ///
    /// # Errors
    /// When the model is unknown.
    pub async fn why_then(&self, model: &str, at: Timestamp) -> Result<WhyThen, RemoteError> {
        let query = [("model", Some(model.to_owned())), at_pair(Some(at))];
        self.get(self.url(&["v1", "why"], &query)).await
    }
}
