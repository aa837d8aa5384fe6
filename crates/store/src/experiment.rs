//! Experiments: when they ran, and what came of them.

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// An experiment that began. One that was declared anew runs again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Why it is where it is, a sentence.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
    /// Where the log says that it began.
    pub position: Position,
}

impl Store {
    /// Experiments that began, newest first; those of one name if it is given.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn experiments(
        &self,
        name: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Experiment>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Experiment>)>(
            "SELECT e.id, TO_JSONB(e)
             FROM experiment e
             WHERE e.id < $1 AND ($2::TEXT IS NULL OR e.name = $2)
             ORDER BY e.id DESC
             LIMIT $3",
        );
        let query = query.bind(page.before("experiments")?).bind(name).bind(page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("list experiments"))?;
        Ok(page
            .page("experiments", rows.into_iter().map(|(id, Json(experiment))| (id, experiment)).collect()))
    }
}
