//! Calls about models and how they came to be: versions, lineage, runs, decisions, roll back.

use perennial_types::{ContentHash, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::Client;
use crate::client::at_pair;
use crate::error::RemoteError;

/// A model and what answers for it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The endpoint it belongs to.
    pub endpoint: String,
    /// Its version in service.
    pub current: Option<CurrentVersion>,
}

/// The version of a model in service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CurrentVersion {
    /// Its number within the model.
    #[serde(alias = "version")]
    pub number: u64,
    /// Its content hash.
    pub content_hash: ContentHash,
}

/// Which version of a model is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRef<'a> {
    /// The one in service.
    Current,
    /// The one of this number.
    Number(u64),
    /// The one of this content hash, or of a unique prefix of at least eight digits.
    Hash(&'a str),
}

impl VersionRef<'_> {
    fn segment(self) -> String {
        match self {
            Self::Current => "current".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Hash(hash) => hash.to_owned(),
        }
    }
}

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Version {
    /// `model/number`.
    pub id: String,
    /// The model.
    pub model: String,
    /// Its number within the model, from 1.
    pub number: u64,
    /// Hash of its state, inputs and parent.
    pub content_hash: ContentHash,
    /// The number of the version whose state it started from.
    pub parent: Option<u64>,
    /// The run that made it.
    pub run: Option<String>,
    /// The training set.
    pub dataset: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// What its run measured.
    #[serde(default)]
    pub metrics: Map<String, Json>,
    /// Rows times epochs of its run.
    #[serde(default)]
    pub row_visits: u64,
    /// Steps from the version that was asked about; in lists of ancestors and descendants.
    pub depth: Option<u64>,
}

/// The versions that a version descends from, or that descend from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ancestors {
    /// The versions.
    pub items: Vec<Version>,
    /// Whether the service stopped before the end of the graph.
    pub truncated: bool,
}

/// Why a version exists.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Why {
    /// The reason in one sentence, with the numbers.
    pub sentence: String,
    /// What the sentence rests on.
    #[serde(default)]
    pub evidence: Json,
}

/// A share of an endpoint's traffic.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServedShare {
    /// The model.
    pub model: String,
    /// The number of its version.
    pub version: u64,
    /// From 0 to 1.
    pub share: f64,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when; nothing if it still does.
    pub until: Option<Timestamp>,
}

/// A change of what serves an endpoint, as the service tells it.
pub type Deployed = Map<String, Json>;

/// A training attempt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The model.
    pub model: String,
    /// How far it is.
    pub state: String,
    /// `first_fit`, `fine_tune` or `retrain`.
    pub action: String,
    /// The trigger that asked for it.
    pub trigger: Option<String>,
    /// What came of it, in a sentence.
    pub reason: Option<String>,
    /// Rows times epochs.
    pub row_visits: Option<u64>,
}

/// What was decided, with its reasons.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// How long it held.
    pub until: Option<Timestamp>,
    /// What it is about; the next decision about the same ends it.
    pub about: String,
    /// The policy, if it is one's.
    pub policy: Option<String>,
    /// The model, unless it is about an endpoint as a whole.
    pub model: Option<String>,
    /// `started`, `held`, `changed`, `promoted`, `routed` …
    pub verdict: String,
    /// The trigger.
    pub trigger: Option<String>,
    /// A sentence with the numbers.
    pub reason: String,
    /// The signals' values.
    #[serde(default)]
    pub signals: Json,
    /// The run that was started.
    pub run: Option<String>,
}

#[derive(Serialize)]
struct RollbackBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
    reason: &'a str,
}

impl Client {
    /// Every model.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn models(&self) -> Result<Vec<Model>, RemoteError> {
        Ok(self.list(self.url(&["v1", "models"], &[])).await?.items)
    }

    /// Every version of a model.
    ///
    /// # Errors
    /// When the model is unknown.
    pub async fn versions(&self, model: &str) -> Result<Vec<Version>, RemoteError> {
        Ok(self.list(self.url(&["v1", "models", model, "versions"], &[])).await?.items)
    }

    /// One version of a model.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn version(&self, model: &str, version: VersionRef<'_>) -> Result<Version, RemoteError> {
        self.get(self.url(&["v1", "models", model, "versions", &version.segment()], &[])).await
    }

    /// The versions that a version descends from.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn ancestors(&self, model: &str, version: VersionRef<'_>) -> Result<Ancestors, RemoteError> {
        self.relatives(model, version, "ancestors").await
    }

    /// The versions that descend from a version.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn descendants(&self, model: &str, version: VersionRef<'_>) -> Result<Ancestors, RemoteError> {
        self.relatives(model, version, "descendants").await
    }

    async fn relatives(
        &self,
        model: &str,
        version: VersionRef<'_>,
        which: &str,
    ) -> Result<Ancestors, RemoteError> {
        let url = self.url(&["v1", "models", model, "versions", &version.segment(), which], &[]);
        let listing = self.list(url).await?;
        Ok(Ancestors { items: listing.items, truncated: listing.truncated })
    }

    /// Why a version exists.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn why(&self, model: &str, version: VersionRef<'_>) -> Result<Why, RemoteError> {
        self.get(self.url(&["v1", "models", model, "versions", &version.segment(), "why"], &[])).await
    }

    /// What served an endpoint at an instant.
    ///
    /// # Errors
    /// When the endpoint is unknown.
    pub async fn served(&self, endpoint: &str, at: Timestamp) -> Result<Vec<ServedShare>, RemoteError> {
        Ok(self.list(self.url(&["v1", "endpoints", endpoint, "served"], &[at_pair(Some(at))])).await?.items)
    }

    /// Every change of what serves, of one endpoint or of all.
    ///
    /// # Errors
    /// When the endpoint is unknown.
    pub async fn deployments(&self, endpoint: Option<&str>) -> Result<Vec<Deployed>, RemoteError> {
        let query = [("endpoint", endpoint.map(str::to_owned))];
        Ok(self.list(self.url(&["v1", "deployments"], &query)).await?.items)
    }

    /// The runs of a model, or of all, in one state, or in any.
    ///
    /// # Errors
    /// When model or state is unknown.
    pub async fn runs(&self, model: Option<&str>, state: Option<&str>) -> Result<Vec<Run>, RemoteError> {
        let query = [("model", model.map(str::to_owned)), ("state", state.map(str::to_owned))];
        Ok(self.list(self.url(&["v1", "runs"], &query)).await?.items)
    }

    /// One run.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn run(&self, id: &str) -> Result<Run, RemoteError> {
        self.get(self.url(&["v1", "runs", id], &[])).await
    }

    /// The decisions about a model, or about all, of one verdict or of any, in force at an instant or ever.
    ///
    /// # Errors
    /// When model or verdict is unknown.
    pub async fn decisions(
        &self,
        model: Option<&str>,
        verdict: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<Vec<Decision>, RemoteError> {
        let query =
            [("model", model.map(str::to_owned)), ("verdict", verdict.map(str::to_owned)), at_pair(at)];
        Ok(self.list(self.url(&["v1", "decisions"], &query)).await?.items)
    }

    /// Send the dead letters of a source again.
    ///
    /// # Errors
    /// When there is no such source.
    pub async fn redrive(&self, source: &str, at: Option<Timestamp>) -> Result<Json, RemoteError> {
        self.post(self.url(&["v1", "sources", source, "dead-letters", "redrive"], &[at_pair(at)])).await
    }

    /// Let lineage keep a training set that was made of a file; `made` says of what.
    ///
    /// # Errors
    /// When there is no such model, or the log has no such positions.
    pub async fn record_dataset(&self, model: &str, made: &Json) -> Result<Json, RemoteError> {
        let mut body = Map::new();
        body.insert("model".to_owned(), model.into());
        for name in
            ["content_hash", "rows", "from_position", "to_position", "from_time", "to_time", "streams"]
        {
            body.insert(name.to_owned(), made[name].clone());
        }
        self.send(Method::POST, self.url(&["v1", "datasets"], &[]), &body).await
    }

    /// Let an earlier version serve again: the one of number `to`, or the one before the current one.
    ///
    /// # Errors
    /// When there is no such version, or it never served.
    pub async fn rollback(
        &self,
        model: &str,
        to: Option<u64>,
        reason: &str,
        at: Option<Timestamp>,
    ) -> Result<Json, RemoteError> {
        let url = self.url(&["v1", "models", model, "rollback"], &[at_pair(at)]);
        self.send(Method::POST, url, &RollbackBody { to, reason }).await
    }
}
