//! What served, and when.

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::database::instant;
use crate::{Page, PageRequest, Store, StoreError};

/// A change of what answers: from `at` on, this version answers for its model at the endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The endpoint.
    pub endpoint: String,
    /// The model.
    pub model: String,
    /// The version that takes over from the model's version before.
    pub version: String,
    /// Its share of the endpoint's requests, from 0 to 1.
    pub share: f64,
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

/// What answered for a model at an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Its share of the endpoint's requests.
    pub share: f64,
    /// From when on.
    pub since: Timestamp,
    /// Until when; nothing if it still does.
    pub until: Option<Timestamp>,
    /// Why it came into service.
    pub reason: String,
}

impl Store {
    /// What answered at an endpoint at an instant: one version of each model that had a share, by model.
    /// Empty before the first deployment.
    ///
    /// # Errors
    /// When the instant is outside the calendar, or the database is away.
    pub async fn served(&self, endpoint: &str, at: Timestamp) -> Result<Vec<Served>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Served>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'model', d.model, 'version', v.public_id, 'share', d.share,
                        'since', d.at, 'until', n.at, 'reason', d.reason)
             FROM deployment_head h
             CROSS JOIN LATERAL (
                 SELECT * FROM deployment c
                 WHERE c.endpoint = h.endpoint AND c.model = h.model AND c.at <= $2
                 ORDER BY c.at DESC, c.id DESC
                 LIMIT 1
             ) d
             LEFT JOIN LATERAL (
                 SELECT c.at FROM deployment c
                 WHERE c.endpoint = h.endpoint AND c.model = h.model AND (c.at, c.id) > (d.at, d.id)
                 ORDER BY c.at, c.id
                 LIMIT 1
             ) n ON TRUE
             JOIN model_version v ON v.id = d.version
             WHERE h.endpoint = $1 AND d.share > 0
             ORDER BY h.model",
        );
        let rows = query.bind(endpoint).bind(instant(at)?).fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked(format!("find what served at {endpoint:?} at {at}")))?;
        Ok(rows.into_iter().map(|Json(served)| served).collect())
    }

    /// The changes of what answered at an endpoint, newest first.
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
