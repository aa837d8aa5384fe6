//! Which version was a model's current one, and when.

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// A change of a model's current version: from `at` on it is this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The endpoint.
    pub endpoint: String,
    /// The model.
    pub model: String,
    /// The version that takes over from the model's version before.
    pub version: String,
    /// From when on.
    pub at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// What kind of change it is.
    pub kind: DeploymentKind,
    /// Why, a sentence.
    pub reason: String,
    /// The run that made the version, if this is its promotion.
    pub run: Option<String>,
}

/// Why something else answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// The first version of the model.
    Initial,
    /// A candidate proved itself.
    Promotion,
    /// An earlier version is back.
    Rollback,
}

impl Store {
    /// The changes of current versions at an endpoint, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn deployments(
        &self,
        endpoint: &str,
        page: &PageRequest,
    ) -> Result<Page<Deployment>, StoreError> {
        let list = format!("deployments of {endpoint}");
        let query = sqlx::query_as::<_, (i64, Json<Deployment>)>(
            "SELECT d.internal, TO_JSONB(d)
             FROM deployment_row d
             WHERE d.endpoint = $1 AND d.internal < $2
             ORDER BY d.internal DESC
             LIMIT $3",
        );
        let query = query.bind(endpoint).bind(page.before(&list)?).bind(page.limit()?);
        let rows =
            query.fetch_all(self.pool()).await.map_err(StoreError::asked(format!("list the {list}")))?;
        Ok(page.page(&list, rows.into_iter().map(|(id, Json(deployment))| (id, deployment)).collect()))
    }
}
