//! Training sets.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError, Version};

/// A training set: which part of the log it is, and what it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Hash of its rows, labels and order.
    pub id: ContentHash,
    /// The model it was first built for.
    pub model: String,
    /// The endpoint that its requests came to.
    pub endpoint: String,
    /// Position of the first request in it.
    pub from_position: Position,
    /// Position of the last training label.
    pub to_position: Position,
    /// Instant of the first request.
    pub from_time: Timestamp,
    /// Instant of the last request that was trained on.
    pub to_time: Timestamp,
    /// Rows trained on.
    pub rows: u64,
    /// Rows held out.
    pub holdout_rows: u64,
    /// The streams that it was read from.
    pub streams: Vec<String>,
}

impl Store {
    /// The dataset of this hash.
    ///
    /// # Errors
    /// When there is none, or the database is away.
    pub async fn dataset(&self, id: &ContentHash) -> Result<Dataset, StoreError> {
        let query =
            sqlx::query_scalar::<_, Json<Dataset>>("SELECT TO_JSONB(d) FROM dataset_row d WHERE d.id = $1");
        let found = query.bind(id.to_string()).fetch_optional(self.pool()).await;
        match found.map_err(StoreError::asked(format!("read dataset {id}")))? {
            Some(Json(dataset)) => Ok(dataset),
            None => Err(StoreError::NotFound { what: "dataset", name: id.to_string(), help: String::new() }),
        }
    }

    /// The versions that were trained on a dataset, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn versions_of_dataset(
        &self,
        id: &ContentHash,
        page: &PageRequest,
    ) -> Result<Page<Version>, StoreError> {
        let list = format!("versions of dataset {id}");
        let query = sqlx::query_as::<_, (i64, Json<Version>)>(
            "SELECT v.internal, TO_JSONB(v)
             FROM version_row v
             WHERE v.dataset = $1 AND v.internal < $2
             ORDER BY v.internal DESC
             LIMIT $3",
        );
        let query = query.bind(id.to_string()).bind(page.before(&list)?).bind(page.limit()?);
        let rows =
            query.fetch_all(self.pool()).await.map_err(StoreError::asked(format!("list the {list}")))?;
        Ok(page.page(&list, rows.into_iter().map(|(id, Json(version))| (id, version)).collect()))
    }
}
