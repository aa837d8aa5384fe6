//! Calls that declare, send and ask: project, events, predictions, feedback, features.

use perennial_types::{ContentHash, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::Client;
use crate::client::at_pair;
use crate::error::{RefusedRow, RemoteError};

/// Where a service stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The project's name; nothing before declarations were applied.
    pub project: Option<String>,
    /// `event` or `wall`.
    pub clock: Option<String>,
    /// The present instant under the event clock.
    pub at: Option<Timestamp>,
    /// Position of the newest record of the log.
    pub head: u64,
    /// Position up to which lineage has followed.
    pub projected: u64,
}

/// A file of declarations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectFile {
    /// Its name, for messages.
    pub name: String,
    /// Its YAML documents.
    pub text: String,
}

/// What applying declarations changes or would change.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ProjectChange {
    /// Hash of the declarations.
    pub hash: ContentHash,
    /// The changes one by one.
    #[serde(default)]
    pub changes: Vec<Json>,
    /// The plan for people.
    #[serde(default)]
    pub text: String,
}

/// What became of sent events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventReceipt {
    /// Rows that are in the log now.
    pub accepted: u64,
    /// Rows whose id was there already.
    pub duplicates: u64,
    /// Rows that do not fit the source.
    #[serde(default)]
    pub refused: Vec<RefusedRow>,
    /// A position at which the accepted rows can be read.
    pub position: u64,
}

/// An answered prediction request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Prediction {
    /// The request's id, for feedback.
    pub id: String,
    /// The answer.
    pub prediction: f64,
    /// The model that answered; nothing for the endpoint's default.
    pub model: Option<String>,
    /// Its version's number.
    pub version: Option<u64>,
    /// Its version's content hash.
    pub content_hash: Option<ContentHash>,
    /// Why the default was answered: `no_version`, `error`, `not_ready` or `deadline`.
    pub fallback: Option<String>,
    /// Position of its record in the log.
    pub position: u64,
}

/// A label or reward of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feedback {
    /// The prediction's id.
    pub prediction_id: String,
    /// The label.
    pub value: f64,
}

/// What became of one piece of feedback.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FeedbackResult {
    /// The prediction's id.
    pub prediction_id: String,
    /// What became of it.
    pub status: FeedbackStatus,
}

/// What can become of a piece of feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackStatus {
    /// Joined to its prediction.
    Accepted,
    /// The same value was there already.
    Duplicate,
    /// Another value was there already; the first one stays.
    Conflict,
    /// Kept and flagged: it came after the endpoint had given up.
    Late,
    /// Kept until a prediction of this id comes.
    UnknownPending,
}

#[derive(Serialize)]
struct ProjectBody<'a> {
    files: &'a [ProjectFile],
}

#[derive(Serialize)]
struct PredictBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    request: &'a Map<String, Json>,
}

#[derive(Deserialize)]
struct FeedbackAnswer {
    results: Vec<FeedbackResult>,
}

impl Client {
    /// Where the service stands; it answers as soon as it is ready.
    ///
    /// # Errors
    /// When there is no answer yet.
    pub async fn status(&self) -> Result<Status, RemoteError> {
        self.get(self.url(&["v1", "status"], &[])).await
    }

    /// Make the declarations in `files` the goal of the service.
    ///
    /// # Errors
    /// When they are refused: [`crate::Problem::faults`] has every mistake with its place.
    pub async fn apply(
        &self,
        files: &[ProjectFile],
        at: Option<Timestamp>,
    ) -> Result<ProjectChange, RemoteError> {
        let url = self.url(&["v1", "project"], &[at_pair(at)]);
        self.send(Method::PUT, url, &ProjectBody { files }).await
    }

    /// What applying `files` would change; nothing is changed.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn plan(&self, files: &[ProjectFile]) -> Result<ProjectChange, RemoteError> {
        self.send(Method::POST, self.url(&["v1", "project", "plan"], &[]), &ProjectBody { files }).await
    }

    /// The declarations that are in force.
    ///
    /// # Errors
    /// When there are none.
    pub async fn project(&self) -> Result<Json, RemoteError> {
        self.get(self.url(&["v1", "project"], &[])).await
    }

    /// Send events to a source; what the receipt counts as accepted is in the log.
    ///
    /// # Errors
    /// When the source is unknown, all rows are refused, or `at` is earlier than an admitted one.
    pub async fn events(
        &self,
        source: &str,
        rows: &[impl Serialize],
        at: Option<Timestamp>,
    ) -> Result<EventReceipt, RemoteError> {
        self.send(Method::POST, self.url(&["v1", "events", source], &[at_pair(at)]), &rows).await
    }

    /// Ask an endpoint. The same `id` gets the same answer, whatever has changed since.
    ///
    /// # Errors
    /// When the endpoint is unknown, a column does not fit, or `at` is earlier than an admitted one.
    pub async fn predict(
        &self,
        endpoint: &str,
        id: Option<&str>,
        request: &Map<String, Json>,
        at: Option<Timestamp>,
    ) -> Result<Prediction, RemoteError> {
        let url = self.url(&["v1", "predict", endpoint], &[at_pair(at)]);
        self.send(Method::POST, url, &PredictBody { id, request }).await
    }

    /// Send labels or rewards; the results are in the order of `feedback`.
    ///
    /// # Errors
    /// When `at` is earlier than an admitted one.
    pub async fn feedback(
        &self,
        feedback: &[Feedback],
        at: Option<Timestamp>,
    ) -> Result<Vec<FeedbackResult>, RemoteError> {
        let url = self.url(&["v1", "feedback"], &[at_pair(at)]);
        let answer: FeedbackAnswer = self.send(Method::POST, url, &feedback).await?;
        Ok(answer.results)
    }

    /// The features of one entity now; `entity` pairs the view's entity columns with values.
    ///
    /// # Errors
    /// When the view or a column is unknown.
    pub async fn features(&self, view: &str, entity: &[(&str, &str)]) -> Result<Json, RemoteError> {
        let pairs: Vec<_> =
            entity.iter().map(|(column, value)| (*column, Some((*value).to_owned()))).collect();
        self.get(self.url(&["v1", "features", view], &pairs)).await
    }
}
