//! What was declared, and the models of it.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// Declarations that became the goal state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Hash of the declarations.
    pub hash: ContentHash,
    /// The project's name.
    pub name: String,
    /// When they were applied.
    pub at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// The canonical declarations.
    pub declarations: serde_json::Value,
}

/// A declared model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The endpoint it belongs to.
    pub endpoint: String,
    /// How many versions it has.
    pub versions: u64,
    /// The version in service, such as `bike-windowed/3`; nothing before the first deployment.
    pub current: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Store {
    /// What was applied, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn projects(&self, page: &PageRequest) -> Result<Page<Project>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Project>)>(
            "SELECT p.id, TO_JSONB(p)
             FROM project p
             WHERE p.id < $1
             ORDER BY p.id DESC
             LIMIT $2",
        );
        let rows = query.bind(page.before("projects")?).bind(page.limit()?).fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked("list the projects"))?;
        Ok(page.page("projects", rows.into_iter().map(|(id, Json(project))| (id, project)).collect()))
    }

    /// The models with their current versions, by name.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn models(&self, page: &PageRequest) -> Result<Page<Model>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Model>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'name', m.name, 'endpoint', m.endpoint, 'versions', n.versions,
                        'current', v.public_id, 'since', d.at)
             FROM model m
             LEFT JOIN deployment_head h ON h.endpoint = m.endpoint AND h.model = m.name
             LEFT JOIN deployment d ON d.id = h.deployment
             LEFT JOIN model_version v ON v.id = d.version
             CROSS JOIN LATERAL (SELECT COUNT(*) AS versions FROM model_version c WHERE c.model = m.name) n
             WHERE m.name > $1
             ORDER BY m.name
             LIMIT $2",
        );
        let after = page.after("models")?.unwrap_or_default();
        let rows = query.bind(after).bind(page.limit()?).fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked("list the models"))?;
        Ok(page.page("models", rows.into_iter().map(|Json(model)| (model.name.clone(), model)).collect()))
    }
}
