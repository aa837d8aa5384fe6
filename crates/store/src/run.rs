//! Training attempts.

use std::fmt;

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// A run: pinned inputs, a state, at most one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The model.
    pub model: String,
    /// What it does: `first_fit`, `fine_tune` or `retrain`.
    pub action: String,
    /// The policy that asked for it; nothing for a first version.
    pub policy: Option<String>,
    /// That policy's version.
    pub policy_version: Option<ContentHash>,
    /// The trigger that fired.
    pub trigger: Option<String>,
    /// The key of the decision that started it.
    pub decision: String,
    /// The version that was current then.
    pub parent: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// The pinned inputs.
    pub inputs: serde_json::Value,
    /// How far it is.
    pub state: RunState,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Figures by name, once it has ended well.
    pub metrics: Option<serde_json::Value>,
    /// What the gates found.
    pub gates: Option<serde_json::Value>,
    /// Why it ended as it did, a sentence.
    pub reason: Option<String>,
    /// Rows times epochs.
    pub row_visits: Option<u64>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Asked for; nobody works on it.
    Requested,
    /// Somebody holds its lease.
    Running,
    /// It made a version that has not been judged.
    Succeeded,
    /// It made no version.
    Failed,
    /// Its version passed the gates and goes through a rollout.
    Admitted,
    /// Its version was refused, by a gate or in its rollout.
    Refused,
    /// Its version went into service.
    Promoted,
}

impl RunState {
    /// The name in the database and in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Promoted => "promoted",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which runs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFilter {
    /// Of this model only.
    pub model: Option<String>,
    /// In this state only.
    pub state: Option<RunState>,
}

impl Store {
    /// Runs, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn runs(&self, filter: &RunFilter, page: &PageRequest) -> Result<Page<Run>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Run>)>(
            "SELECT r.internal, TO_JSONB(r)
             FROM run_row r
             WHERE r.internal < $1
               AND ($2::TEXT IS NULL OR r.model = $2)
               AND ($3::TEXT IS NULL OR r.state = $3)
             ORDER BY r.internal DESC
             LIMIT $4",
        );
        let query = query.bind(page.before("runs")?).bind(&filter.model);
        let query = query.bind(filter.state.map(RunState::name)).bind(page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("list runs"))?;
        Ok(page.page("runs", rows.into_iter().map(|(id, Json(run))| (id, run)).collect()))
    }

    /// The run of this id.
    ///
    /// # Errors
    /// When there is none, or the database is away.
    pub async fn run(&self, id: &str) -> Result<Run, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Run>>("SELECT TO_JSONB(r) FROM run_row r WHERE r.id = $1");
        let found = query.bind(id).fetch_optional(self.pool()).await;
        match found.map_err(StoreError::asked(format!("read run {id:?}")))? {
            Some(Json(run)) => Ok(run),
            None => Err(StoreError::NotFound { what: "run", name: id.to_owned(), help: String::new() }),
        }
    }
}
