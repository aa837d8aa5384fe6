//! Reports that were written.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// A report about an endpoint over a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its id.
    pub id: String,
    /// The name of its declaration.
    pub name: String,
    /// The endpoint.
    pub endpoint: String,
    /// When it was due, or asked for.
    pub at: Timestamp,
    /// Its window begins here …
    pub from: Timestamp,
    /// … and ends before this instant.
    pub to: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// Whether somebody asked for it by hand.
    pub on_demand: bool,
    /// Whether any column of any model alarmed.
    pub alarmed: bool,
    /// One sentence of what it says.
    pub summary: String,
    /// Its files.
    pub files: Vec<ReportFile>,
}

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFile {
    /// What it is: `html`, `json` or `markdown`.
    pub format: String,
    /// Where its bytes are.
    pub blob: ContentHash,
    /// How many they are.
    pub bytes: u64,
}

impl Store {
    /// Reports, newest first; about one endpoint if it is given.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn reports(
        &self,
        endpoint: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Report>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Report>)>(
            "SELECT p.internal, TO_JSONB(p)
             FROM report_row p
             WHERE p.internal < $1 AND ($2::TEXT IS NULL OR p.endpoint = $2)
             ORDER BY p.internal DESC
             LIMIT $3",
        );
        let query = query.bind(page.before("reports")?).bind(endpoint).bind(page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("list reports"))?;
        Ok(page.page("reports", rows.into_iter().map(|(id, Json(report))| (id, report)).collect()))
    }

    /// The report of this id.
    ///
    /// # Errors
    /// When there is none, or the database is away.
    pub async fn report(&self, id: &str) -> Result<Report, StoreError> {
        let query =
            sqlx::query_scalar::<_, Json<Report>>("SELECT TO_JSONB(p) FROM report_row p WHERE p.id = $1");
        let found = query.bind(id).fetch_optional(self.pool()).await;
        let found = found.map_err(StoreError::asked(format!("find report {id:?}")))?;
        found.map(|Json(report)| report).ok_or_else(|| StoreError::NotFound {
            what: "report",
            name: id.to_owned(),
            help: String::new(),
        })
    }
}
