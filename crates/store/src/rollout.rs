//! How candidates reached traffic, or did not.

use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// A candidate's way through the stages of its rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The run that made the candidate.
    pub run: String,
    /// The model.
    pub model: String,
    /// The candidate, such as `bike-windowed/7`.
    pub version: String,
    /// The policy whose rollout it is.
    pub policy: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was over; nothing while it goes on.
    pub ended: Option<Timestamp>,
    /// The index of the last stage that was entered.
    pub stage: u64,
    /// What came of it; nothing while it goes on.
    pub outcome: Option<RolloutOutcome>,
    /// Why it is where it is, a sentence.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
}

/// What came of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOutcome {
    /// The candidate became the current version.
    Promoted,
    /// It did not.
    Refused,
}

impl Store {
    /// Rollouts, newest first; of one model if it is given.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn rollouts(
        &self,
        model: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Rollout>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Rollout>)>(
            "SELECT o.internal, TO_JSONB(o)
             FROM rollout_row o
             WHERE o.internal < $1 AND ($2::TEXT IS NULL OR o.model = $2)
             ORDER BY o.internal DESC
             LIMIT $3",
        );
        let query = query.bind(page.before("rollouts")?).bind(model).bind(page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("list rollouts"))?;
        Ok(page.page("rollouts", rows.into_iter().map(|(id, Json(rollout))| (id, rollout)).collect()))
    }
}
