//! What was decided, and why.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::database::instant;
use crate::{Page, PageRequest, Store, StoreError};

/// A decision: of a policy, about a candidate, about an experiment or about an endpoint's traffic. It is in
/// force until the next one about the same: an evaluation that changes nothing makes no record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Makes it happen once.
    pub key: String,
    /// The instant that was evaluated.
    pub at: Timestamp,
    /// The instant of the next decision; nothing while this one is in force.
    pub until: Option<Timestamp>,
    /// Where the log says so.
    pub position: Position,
    /// What it is about, such as `policy keep-fresh on bike-raw` or `traffic of bike`: the next decision about
    /// the same ends it.
    pub about: String,
    /// The policy, if it is one's.
    pub policy: Option<String>,
    /// The policy's version.
    pub policy_version: Option<ContentHash>,
    /// The model, unless it is about an endpoint as a whole.
    pub model: Option<String>,
    /// The endpoint; left out when it is written, that of the model.
    pub endpoint: Option<String>,
    /// The experiment, if it is about one.
    pub experiment: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// The trigger that fired.
    pub trigger: Option<String>,
    /// A sentence with the numbers.
    pub reason: String,
    /// Every trigger's evaluation, if it is a policy's.
    pub evaluations: serde_json::Value,
    /// The signals as they were, or the other measured quantities it rests on.
    pub signals: serde_json::Value,
    /// The run that was started.
    pub run: Option<String>,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A run was started.
    Started,
    /// A trigger fired and was held back.
    Held,
    /// A trigger's condition changed its truth.
    Changed,
    /// A candidate passed its gates and goes through a rollout.
    Admitted,
    /// A candidate entered another stage of its rollout.
    Advanced,
    /// A candidate became the current version.
    Promoted,
    /// A candidate was refused, by a gate or in its rollout.
    Refused,
    /// A run made no version.
    Failed,
    /// An earlier version serves again.
    RolledBack,
    /// An experiment began.
    Began,
    /// A guardrail took an arm out of an experiment.
    Removed,
    /// An experiment is over.
    Concluded,
    /// An endpoint's traffic is split in another way.
    Routed,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 13] = [
        Self::Started,
        Self::Held,
        Self::Changed,
        Self::Admitted,
        Self::Advanced,
        Self::Promoted,
        Self::Refused,
        Self::Failed,
        Self::RolledBack,
        Self::Began,
        Self::Removed,
        Self::Concluded,
        Self::Routed,
    ];

    /// The name in the database and in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Held => "held",
            Self::Changed => "changed",
            Self::Admitted => "admitted",
            Self::Advanced => "advanced",
            Self::Promoted => "promoted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Began => "began",
            Self::Removed => "removed",
            Self::Concluded => "concluded",
            Self::Routed => "routed",
        }
    }
}

/// Which decisions are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionFilter {
    /// About this model only.
    pub model: Option<String>,
    /// About this endpoint and its models only.
    pub endpoint: Option<String>,
    /// Of this policy only.
    pub policy: Option<String>,
    /// With this verdict only.
    pub verdict: Option<Verdict>,
}

/// How often a policy decided what about a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionCounts {
    /// The model.
    pub model: String,
    /// The policy, or nothing for a first version.
    pub policy: Option<String>,
    /// Runs that were started.
    pub started: u64,
    /// Triggers that fired and were held back.
    pub held: u64,
    /// Changes of a condition's truth.
    pub changed: u64,
}

impl Store {
    /// Decisions, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, or the database is away.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<Decision>, StoreError> {
        let query = sqlx::query_as::<_, (i64, Json<Decision>)>(
            "SELECT d.internal, TO_JSONB(d)
             FROM decision_row d
             WHERE d.internal < $1
               AND ($2::TEXT IS NULL OR d.model = $2)
               AND ($3::TEXT IS NULL OR d.policy = $3)
               AND ($4::TEXT IS NULL OR d.verdict = $4)
               AND ($5::TEXT IS NULL OR d.endpoint = $5)
             ORDER BY d.internal DESC
             LIMIT $6",
        );
        let query = query.bind(page.before("decisions")?).bind(&filter.model).bind(&filter.policy);
        let query = query.bind(filter.verdict.map(Verdict::name)).bind(&filter.endpoint);
        let query = query.bind(page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("list decisions"))?;
        Ok(page.page("decisions", rows.into_iter().map(|(id, Json(decision))| (id, decision)).collect()))
    }

    /// The decisions that were in force at an instant, one about each thing, the last one first. Empty before
    /// the first decision.
    ///
    /// # Errors
    /// When the instant is outside the calendar, or the database is away.
    pub async fn decisions_at(
        &self,
        filter: &DecisionFilter,
        at: Timestamp,
    ) -> Result<Vec<Decision>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<Decision>>(
            "SELECT TO_JSONB(d)
             FROM decision_row d
             WHERE d.at <= $1
               AND (d.until IS NULL OR d.until > $1)
               AND ($2::TEXT IS NULL OR d.model = $2)
               AND ($3::TEXT IS NULL OR d.policy = $3)
               AND ($4::TEXT IS NULL OR d.verdict = $4)
               AND ($5::TEXT IS NULL OR d.endpoint = $5)
             ORDER BY d.internal DESC",
        );
        let query = query.bind(instant(at)?).bind(&filter.model).bind(&filter.policy);
        let query = query.bind(filter.verdict.map(Verdict::name)).bind(&filter.endpoint);
        let rows = query.fetch_all(self.pool()).await;
        let rows = rows.map_err(StoreError::asked(format!("find the decisions in force at {at}")))?;
        Ok(rows.into_iter().map(|Json(decision)| decision).collect())
    }

    /// How often what was decided, by model and policy.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn decision_counts(&self) -> Result<Vec<DecisionCounts>, StoreError> {
        let query = sqlx::query_scalar::<_, Json<DecisionCounts>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'model', d.model, 'policy', d.policy,
                        'started', COUNT(*) FILTER (WHERE d.verdict = 'started'),
                        'held', COUNT(*) FILTER (WHERE d.verdict = 'held'),
                        'changed', COUNT(*) FILTER (WHERE d.verdict = 'changed'))
             FROM decision d
             WHERE d.verdict IN ('started', 'held', 'changed')
             GROUP BY d.model, d.policy
             ORDER BY d.model, d.policy NULLS FIRST",
        );
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked("count the decisions"))?;
        Ok(rows.into_iter().map(|Json(counts)| counts).collect())
    }
}
