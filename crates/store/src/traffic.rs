//! How an endpoint's requests were split, and when.

use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::database::instant;
use crate::{Page, PageRequest, Store, StoreError};

/// From `at` on, until the endpoint's next one, requests are answered in these proportions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// The endpoint.
    pub endpoint: String,
    /// From when on.
    pub at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// The key of the decision that says why.
    pub decision: String,
    /// The start of the epoch that the probabilities were computed for.
    pub epoch: Timestamp,
    /// The running experiment.
    pub experiment: Option<String>,
    /// The model that answers when nothing else decides.
    pub champion: String,
    /// What made the split change.
    pub cause: String,
    /// Why, a sentence.
    pub reason: String,
    /// The measured quantities.
    pub evidence: serde_json::Value,
    /// Every version that answers or scores in shadow, by model and number.
    pub arms: Vec<RoutingArm>,
}

/// A version's part in an endpoint's traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutingArm {
    /// The version, such as `bike-windowed/7`.
    pub version: String,
    /// Its model.
    pub model: String,
    /// What it is to its model.
    pub role: ArmRole,
    /// Its part of the endpoint's requests, from 0 to 1.
    pub probability: f64,
}

/// What a version is to its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmRole {
    /// The current version.
    Current,
    /// The candidate of a rollout.
    Candidate,
    /// It scores requests and answers none.
    Shadow,
}

/// What answered at an endpoint at an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// What it is to its model.
    pub role: ArmRole,
    /// Its part of the endpoint's requests, from 0 to 1.
    pub share: f64,
    /// From when on it has this share.
    pub since: Timestamp,
    /// Until when; nothing if it still has.
    pub until: Option<Timestamp>,
    /// Why requests are split like this.
    pub reason: String,
}

impl Store {
    /// What answered at an endpoint at an instant, by model and version. Empty before the first version.
    ///
    /// # Errors
    /// When the instant is outside the calendar, or the database is away.
    pub async fn served(&self, endpoint: &str, at: Timestamp) -> Result<Vec<Served>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Served>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'model', v.model, 'version', v.public_id, 'role', a.role, 'share', a.probability,
                        'since', g.at, 'until', n.at, 'reason', d.reason)
             FROM (
                 SELECT * FROM routing c
                 WHERE c.endpoint = $1 AND c.at <= $2
                 ORDER BY c.at DESC, c.id DESC
                 LIMIT 1
             ) g
             LEFT JOIN LATERAL (
                 SELECT c.at FROM routing c
                 WHERE c.endpoint = g.endpoint AND (c.at, c.id) > (g.at, g.id)
                 ORDER BY c.at, c.id
                 LIMIT 1
             ) n ON TRUE
             JOIN decision d ON d.id = g.decision
             JOIN routing_arm a ON a.routing = g.id
             JOIN model_version v ON v.id = a.version
             WHERE a.probability > 0
             ORDER BY v.model, v.number",
        );
        let rows = query.bind(endpoint).bind(instant(at)?).fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked(format!("find what served at {endpoint:?} at {at}")))?;
        Ok(rows.into_iter().map(|Json(served)| served).collect())
    }

    /// How an endpoint's requests were split from an instant on and before another (or up to now), newest first:
    /// what was in force when the stretch begins is the last of it.
    ///
    /// # Errors
    /// When an instant is outside the calendar, the page makes no sense, or the database is away.
    pub async fn traffic(
        &self,
        endpoint: &str,
        from: Timestamp,
        to: Option<Timestamp>,
        page: &PageRequest,
    ) -> Result<Page<Routing>, StoreError> {
        let until = to.map_or_else(|| "now".to_owned(), |to| to.to_string());
        let list = format!("traffic of {endpoint} from {from} to {until}");
        let query = sqlx::query_as::<_, (i64, Json<Routing>)>(
            "SELECT g.internal, TO_JSONB(g)
             FROM routing_row g
             WHERE g.endpoint = $1 AND ($3 IS NULL OR g.at < $3) AND g.internal < $4
               AND g.at >= COALESCE((SELECT MAX(c.at) FROM routing c WHERE c.endpoint = $1 AND c.at <= $2), $2)
             ORDER BY g.internal DESC
             LIMIT $5",
        );
        let query = query.bind(endpoint).bind(instant(from)?).bind(to.map(instant).transpose()?);
        let rows = query.bind(page.before(&list)?).bind(page.limit()?).fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked(format!("list the {list}")))?;
        Ok(page.page(&list, rows.into_iter().map(|(id, Json(routing))| (id, routing)).collect()))
    }
}
