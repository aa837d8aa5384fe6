//! Writing what the log says.
//!
//! Facts and the position up to which they are written are committed together. A fact at or before the
//! stored position is there already and is passed over, so that reading the log again changes nothing.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgArguments, PgQueryResult};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{Postgres, Row, Transaction};

use crate::{Dataset, Decision, Deployment, Project, Run, RunState, Store, StoreError, Version};

mod traffic;

/// A declared model, before anything is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredModel {
    /// Its name.
    pub name: String,
    /// The endpoint it belongs to.
    pub endpoint: String,
}

/// How a run ended, or what became of its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The run.
    pub run: String,
    /// When.
    pub at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// Succeeded or failed when it ended; then promoted or refused when its version was judged.
    pub state: RunState,
    /// Figures by name.
    pub metrics: Option<serde_json::Value>,
    /// What the gates found.
    pub gates: Option<serde_json::Value>,
    /// Why, a sentence.
    pub reason: Option<String>,
    /// Rows times epochs.
    pub row_visits: Option<u64>,
}

/// A transaction that writes facts of the log. Dropping it without [`Projection::commit`] writes nothing.
#[derive(Debug)]
pub struct Projection {
    transaction: Transaction<'static, Postgres>,
    position: Position,
}

impl Projection {
    /// Begin; only one projection at a time has the position, another one waits.
    ///
    /// # Errors
    /// When the database is away or was not migrated.
    pub async fn begin(store: &Store) -> Result<Self, StoreError> {
        let asked = || StoreError::asked("begin to project the log");
        let mut transaction = store.pool().begin().await.map_err(asked())?;
        let query = sqlx::query("SELECT position FROM projection FOR UPDATE");
        let row = query.fetch_one(&mut *transaction).await.map_err(asked())?;
        let position: i64 = row.try_get(0).map_err(asked())?;
        Ok(Self { transaction, position: Position(position.cast_unsigned()) })
    }

    /// The position up to which everything is stored.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Store the facts, and that everything up to `position` is stored.
    ///
    /// # Errors
    /// When the database is away; then nothing was stored.
    pub async fn commit(mut self, position: Position) -> Result<(), StoreError> {
        let asked = || StoreError::asked(format!("store the facts up to position {position}"));
        let query = sqlx::query("UPDATE projection SET position = $1 WHERE position <= $1");
        let query = query.bind(position.0.cast_signed());
        query.execute(&mut *self.transaction).await.map_err(asked())?;
        self.transaction.commit().await.map_err(asked())
    }

    /// Declarations became the goal state, with these models.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn applied(&mut self, project: &Project, models: &[DeclaredModel]) -> Result<(), StoreError> {
        if self.stored(project.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO project (hash, name, at, position, declarations)
             SELECT f.hash, f.name, f.at, f.position, f.declarations
             FROM JSONB_TO_RECORD($1) AS f (
                 hash TEXT, name TEXT, at TIMESTAMPTZ, position BIGINT, declarations JSONB)",
        );
        self.write("declarations", query.bind(Json(project))).await?;
        let query = sqlx::query(
            "INSERT INTO model (name, endpoint)
             SELECT f.name, f.endpoint
             FROM JSONB_TO_RECORDSET($1) AS f (name TEXT, endpoint TEXT)
             ON CONFLICT (name) DO UPDATE SET endpoint = EXCLUDED.endpoint",
        );
        self.write("models", query.bind(Json(models))).await.map(|_| ())
    }

    /// Something was decided. The decision before it, about the same, ends here. Its run, if it started one, is a fact of its own: [`Projection::run_requested`].
    ///
    /// # Errors
    /// When the model is unknown, or the database is away.
    pub async fn decided(&mut self, decision: &Decision) -> Result<(), StoreError> {
        if self.stored(decision.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE decision d SET until = f.at
             FROM JSONB_TO_RECORD($1) AS f (about TEXT, at TIMESTAMPTZ)
             WHERE d.about = f.about AND d.until IS NULL",
        );
        self.write("the end of a decision", query.bind(Json(decision))).await?;
        let query = sqlx::query(
            "INSERT INTO decision (key, at, position, about, policy, policy_version, model, endpoint, experiment,
                                   verdict, trigger, reason, evaluations, signals)
             SELECT f.key, f.at, f.position, f.about, f.policy, f.policy_version, f.model,
                    COALESCE(f.endpoint, m.endpoint), f.experiment,
                    f.verdict, f.trigger, f.reason, COALESCE(f.evaluations, '[]'), COALESCE(f.signals, '{}')
             FROM JSONB_TO_RECORD($1) AS f (
                 key TEXT, at TIMESTAMPTZ, position BIGINT, about TEXT, policy TEXT, policy_version TEXT,
                 model TEXT, endpoint TEXT, experiment TEXT, verdict TEXT, trigger TEXT, reason TEXT,
                 evaluations JSONB, signals JSONB)
             LEFT JOIN model m ON m.name = f.model",
        );
        self.write("a decision", query.bind(Json(decision))).await.map(|_| ())
    }

    /// A decision asked for a run; what is known only later is not written.
    ///
    /// # Errors
    /// When the decision or the parent is unknown, or the database is away.
    pub async fn run_requested(&mut self, run: &Run) -> Result<(), StoreError> {
        if self.stored(run.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO run (public_id, model, action, decision, parent, requested_at, position, inputs)
             SELECT f.id, f.model, f.action, d.id, p.id, f.requested_at, f.position, f.inputs
             FROM JSONB_TO_RECORD($1) AS f (
                 id TEXT, model TEXT, action TEXT, decision TEXT, parent TEXT, requested_at TIMESTAMPTZ,
                 position BIGINT, inputs JSONB)
             JOIN decision d ON d.key = f.decision
             LEFT JOIN model_version p ON p.public_id = f.parent
             WHERE f.parent IS NULL OR p.id IS NOT NULL",
        );
        let reason = || {
            format!("run {:?} has an unknown decision {:?} or parent {:?}", run.id, run.decision, run.parent)
        };
        self.write_one("a run", query.bind(Json(run)), run.position, reason).await
    }

    /// A run ended, or its version was judged. A state is only reached from the one before it: requested or
    /// running, then succeeded or failed, then (from succeeded) admitted, promoted or refused, then (from
    /// admitted) promoted or refused. What is not given stays as it is.
    ///
    /// # Errors
    /// When the run is unknown or in another state, or the database is away.
    pub async fn run_ended(&mut self, end: &RunEnd) -> Result<(), StoreError> {
        if self.stored(end.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE run r
             SET state = f.state, finished_at = COALESCE(r.finished_at, f.at),
                 metrics = COALESCE(f.metrics, r.metrics), gates = COALESCE(f.gates, r.gates),
                 reason = COALESCE(f.reason, r.reason), row_visits = COALESCE(f.row_visits, r.row_visits)
             FROM JSONB_TO_RECORD($1) AS f (
                 run TEXT, state TEXT, at TIMESTAMPTZ, metrics JSONB, gates JSONB, reason TEXT,
                 row_visits BIGINT)
             WHERE r.public_id = f.run AND r.state = ANY ($2)",
        );
        let from: &[&str] = match end.state {
            RunState::Succeeded => &["requested", "running"],
            // A run that failed is judged as failed, with a reason in words.
            RunState::Failed => &["requested", "running", "failed"],
            RunState::Admitted => &["succeeded"],
            RunState::Refused | RunState::Promoted => &["succeeded", "admitted"],
            RunState::Requested | RunState::Running => &[],
        };
        let reason =
            || format!("run {:?} is unknown, or cannot become {} from its state", end.run, end.state);
        self.write_one("the end of a run", query.bind(Json(end)).bind(from), end.position, reason).await
    }

    /// A training set was built; a run that builds the same one again shares its row. `position` is where
    /// the log says so.
    ///
    /// # Errors
    /// When the model is unknown, or the database is away.
    pub async fn dataset(&mut self, dataset: &Dataset, position: Position) -> Result<(), StoreError> {
        if self.stored(position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO dataset (public_id, model, endpoint, from_position, to_position, from_time, to_time,
                                  rows, holdout_rows, streams)
             SELECT f.id, f.model, f.endpoint, f.from_position, f.to_position, f.from_time, f.to_time,
                    f.rows, f.holdout_rows, f.streams
             FROM JSONB_TO_RECORD($1) AS f (
                 id TEXT, model TEXT, endpoint TEXT, from_position BIGINT, to_position BIGINT,
                 from_time TIMESTAMPTZ, to_time TIMESTAMPTZ, rows BIGINT, holdout_rows BIGINT, streams JSONB)
             ON CONFLICT (public_id) DO NOTHING",
        );
        self.write("a dataset", query.bind(Json(dataset))).await.map(|_| ())
    }

    /// A run made a version, with its artifact and its parents.
    ///
    /// # Errors
    /// When its run, dataset or a parent is unknown, or the database is away.
    pub async fn version(&mut self, version: &Version) -> Result<(), StoreError> {
        if self.stored(version.position) {
            return Ok(());
        }
        self.artifact(version.artifact, version.artifact_bytes).await?;
        let query = sqlx::query(
            "INSERT INTO model_version (public_id, model, number, content_hash, artifact, run, dataset, definition,
                                        inputs, created_at, position, metrics)
             SELECT f.id, f.model, f.number, f.content_hash, f.artifact, r.id, d.id, f.definition, f.inputs,
                    f.created_at, f.position, f.metrics
             FROM JSONB_TO_RECORD($1) AS f (
                 id TEXT, model TEXT, number BIGINT, content_hash TEXT, artifact TEXT, run TEXT, dataset TEXT,
                 definition TEXT, inputs JSONB, created_at TIMESTAMPTZ, position BIGINT, metrics JSONB)
             JOIN run r ON r.public_id = f.run
             JOIN dataset d ON d.public_id = f.dataset",
        );
        let reason = || {
            format!(
                "version {:?} has an unknown run {:?} or dataset {}",
                version.id, version.run, version.dataset
            )
        };
        self.write_one("a version", query.bind(Json(version)), version.position, reason).await?;
        let query = sqlx::query(
            "INSERT INTO edge (child, parent, kind)
             SELECT c.id, p.id, f.kind
             FROM JSONB_TO_RECORDSET($2) AS f (version TEXT, kind TEXT)
             JOIN model_version p ON p.public_id = f.version
             JOIN model_version c ON c.public_id = $1",
        );
        let query = query.bind(&version.id).bind(Json(&version.parents));
        let written = self.write("the parents of a version", query).await?.rows_affected();
        if written == version.parents.len() as u64 {
            return Ok(());
        }
        let reason = format!("version {:?} has an unknown parent among {:?}", version.id, version.parents);
        Err(StoreError::Fact { position: version.position.0, reason })
    }

    /// Something else answers at an endpoint.
    ///
    /// # Errors
    /// When the version or the run is unknown, or the database is away.
    pub async fn deployed(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        if self.stored(deployment.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "WITH written AS (
                 INSERT INTO deployment (endpoint, model, version, at, position, kind, reason, run)
                 SELECT f.endpoint, f.model, v.id, f.at, f.position, f.kind, f.reason, r.id
                 FROM JSONB_TO_RECORD($1) AS f (
                     endpoint TEXT, model TEXT, version TEXT, at TIMESTAMPTZ,
                     position BIGINT, kind TEXT, reason TEXT, run TEXT)
                 JOIN model_version v ON v.public_id = f.version AND v.model = f.model
                 LEFT JOIN run r ON r.public_id = f.run
                 WHERE f.run IS NULL OR r.id IS NOT NULL
                 RETURNING id, endpoint, model
             )
             INSERT INTO deployment_head (endpoint, model, deployment)
             SELECT w.endpoint, w.model, w.id
             FROM written w
             ON CONFLICT (endpoint, model) DO UPDATE SET deployment = EXCLUDED.deployment",
        );
        let reason = || {
            format!(
                "the deployment at {:?} names an unknown version {:?} of model {:?}, or run {:?}",
                deployment.endpoint, deployment.version, deployment.model, deployment.run
            )
        };
        self.write_one("a deployment", query.bind(Json(deployment)), deployment.position, reason).await
    }

    async fn artifact(&mut self, sha256: ContentHash, bytes: u64) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO artifact (sha256, bytes) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING",
        );
        let query = query.bind(sha256.to_string()).bind(bytes.cast_signed());
        self.write("an artifact", query).await.map(|_| ())
    }

    fn stored(&self, position: Position) -> bool {
        position <= self.position
    }

    async fn write(
        &mut self,
        what: &str,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, StoreError> {
        query.execute(&mut *self.transaction).await.map_err(StoreError::asked(format!("store {what}")))
    }

    /// Write a fact that has exactly one row, if what it refers to is there.
    async fn write_one(
        &mut self,
        what: &str,
        query: Query<'_, Postgres, PgArguments>,
        position: Position,
        reason: impl FnOnce() -> String,
    ) -> Result<(), StoreError> {
        match self.write(what, query).await?.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Fact { position: position.0, reason: reason() }),
        }
    }
}
